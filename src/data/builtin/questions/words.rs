//! The phrases of the world of questions besides its knowledge, and the vocabulary.
//! The writers draw from these tables and the parser recognises them; neither shares more than the tables with the other.

use super::knowledge::{ANIMALS, Attribute};

/// What may come before a question, each a sentence of its own.
pub const GREETINGS: &[&str] = &["hello", "good morning", "good evening"];
/// Who is curious; after "my".
pub const RELATIVES: &[&str] = &["son", "daughter", "sister", "brother", "friend", "teacher", "neighbour"];
/// What they do.
pub const CURIOSITY: &[&str] = &["asked me", "wants to know", "is curious", "is writing a story"];
/// How an animal was met.
pub const ENCOUNTERS: &[&str] = &["i saw", "i read about", "i drew", "i heard about", "we met"];
/// When and where it was met.
pub const OCCASIONS: &[&str] = &["today", "yesterday", "at school", "in a dream"];

/// What may come before an indirect question, and the mark that ends it.
pub const REQUESTS: &[(&str, &str)] = &[
    ("can you tell me", "?"),
    ("could you please tell me", "?"),
    ("do you know", "?"),
    ("please tell me", "."),
    ("tell me", "."),
    ("i want to know", "."),
    ("i would like to know", "."),
    ("i wonder", "."),
];

/// Friendly words before a statement, followed by a comma.
pub const OPENINGS: &[&str] = &["sure", "of course", "gladly"];
/// Friendly sentences.
pub const COURTESIES: &[&str] = &["good question", "i hope this helps", "have a nice day", "please ask again"];

/// Evasions that may go on with an indirect question.
pub const DOUBTS: &[&str] = &["i do not know", "i am not sure", "it is hard to say", "i cannot tell you"];
/// Evasions that stand alone.
pub const EVASIONS: &[&str] = &[
    "you should ask a teacher",
    "maybe a book can tell you",
    "that depends on many things",
    "i would rather not say",
    "nobody asked me that before",
];

/// Idle sentences.
pub const CHATTER: &[&str] =
    &["animals are wonderful", "there is so much to say about animals", "i love all animals", "but that is another story"];
/// Idle sentences that go on with the name of an animal.
pub const DIGRESSIONS: &[&str] = &["that reminds me of", "i could talk all day about", "my brother once drew"];

/// Words of the grammar itself, and punctuation.
const FUNCTION: &str = "human assistant : . , ? the and perhaps but it my what which food where in place colour does is has have \
    eat eats live lives fear fears afraid of";

/// Every token that the writers can emit, sorted, each once.
pub fn vocabulary() -> Vec<&'static str> {
    let names = ANIMALS.iter().map(|animal| animal.name);
    let values = Attribute::ALL.into_iter().flat_map(|attribute| attribute.values().iter().copied());
    let tables =
        [GREETINGS, RELATIVES, CURIOSITY, ENCOUNTERS, OCCASIONS, OPENINGS, COURTESIES, DOUBTS, EVASIONS, CHATTER, DIGRESSIONS];
    let requests = REQUESTS.iter().map(|(request, _)| *request);
    let phrases = names.chain(values).chain(tables.into_iter().flatten().copied()).chain(requests).chain([FUNCTION]);
    let mut words: Vec<&'static str> = phrases.flat_map(str::split_whitespace).collect();
    words.sort_unstable();
    words.dedup();
    words
}
