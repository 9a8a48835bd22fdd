//! The words of posts and articles, and how much an event matters.
//! The writers draw from these tables and the parser recognises them; neither shares more than the tables with the other.

/// Who posts are about; "i" is the writer of the post.
pub const FAMILIARS: &[&str] =
    &["i", "mum", "dad", "grandma", "grandpa", "anna", "ben", "clara", "david", "emma", "felix", "gina", "henry"];
/// Who articles are about; rare in posts.
pub const PUBLIC: &[&str] = &["farmers", "bankers", "pilots", "doctors", "judges", "actors", "sailors", "teachers"];

/// How an event changes things. Every verb is its own participle, so "gold was lost by bankers" needs no other form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Something is gone.
    Loss,
    /// Something has another owner.
    Trade,
    /// All is as before.
    None,
}

/// What happened, in the past tense.
pub const EVENTS: &[(&str, Change)] = &[
    ("lost", Change::Loss),
    ("burned", Change::Loss),
    ("wasted", Change::Loss),
    ("destroyed", Change::Loss),
    ("sold", Change::Trade),
    ("bought", Change::Trade),
    ("found", Change::Trade),
    ("borrowed", Change::Trade),
    ("liked", Change::None),
    ("praised", Change::None),
    ("counted", Change::None),
    ("cleaned", Change::None),
];

/// What a life can turn on. No thing takes an article, which keeps texts short.
pub const VALUABLES: &[&str] = &["money", "gold", "land", "cattle", "horses", "jewels", "medicine", "boats"];
/// What a life does not turn on.
pub const TRIFLES: &[&str] = &["hats", "lamps", "chairs", "cups", "books", "coats", "rugs", "kites"];

/// Importance of an event that happens to a valuable, or else to a trifle: 3 grave, 2 notable, 1 slight, 0 not worth a word.
pub fn importance(change: Change, valuable: bool) -> f64 {
    match (change, valuable) {
        (Change::Loss, true) => 3.0,
        (Change::Trade, true) => 2.0,
        (Change::Loss, false) => 1.0,
        (Change::Trade, false) | (Change::None, _) => 0.0,
    }
}

/// When it happened: what a summary may leave out.
pub const TIMES: &[&str] = &["yesterday", "today", "last week", "last month", "last winter"];
/// How it is known: what a summary may leave out, too. Rare in posts.
pub const SOURCES: &[&str] = &["reports say", "it seems"];

/// Whole sentences that have nothing to do with what happened.
pub const ASIDES: &[&str] = &[
    "the weather was nice",
    "the weather was awful",
    "it seems rain is coming",
    "reports say rain is coming",
    "the soup was cold",
    "i saw it on the news",
    "thanks for reading",
    "sorry for my spelling",
    "sorry for the long post",
    "i am new here",
    "by the way i like tea",
    "by the way i like jazz",
    "please be kind",
    "coffee is great",
];

/// What a title says before the person or the thing that the text is about.
pub const TOPICS: &[&str] = &["help with", "advice about", "trouble with", "what about", "all about"];

/// Words of the layout and of the grammar, and punctuation.
const FUNCTION: &str = "title post news tl;dr : . ! got by and";

/// Every token that the writers can emit, sorted, each once.
pub fn vocabulary() -> Vec<&'static str> {
    let tables = [FAMILIARS, PUBLIC, VALUABLES, TRIFLES, TIMES, SOURCES, ASIDES, TOPICS];
    let phrases = tables.into_iter().flatten().copied().chain(EVENTS.iter().map(|(verb, _)| *verb)).chain([FUNCTION]);
    let mut words: Vec<&'static str> = phrases.flat_map(str::split_whitespace).collect();
    words.sort_unstable();
    words.dedup();
    words
}
