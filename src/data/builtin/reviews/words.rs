//! The words of the built-in world, with the strength of those that carry an opinion.
//! The writer draws from these tables and the parser recognises them; neither shares more than the tables with the other.

/// How an aspect of a film behaves as a noun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// Takes "was" and an article: "a clever plot was".
    Count,
    /// Takes "was" and no article: "clever dialogue was".
    Mass,
    /// Takes "were" and no article: "clever jokes were".
    Plural,
}

use Number::{Count, Mass, Plural};

/// What one can have an opinion about; "film" stands for the whole.
pub const ASPECTS: &[(&str, Number)] = &[
    ("acting", Mass),
    ("dialogue", Mass),
    ("direction", Mass),
    ("editing", Mass),
    ("humour", Mass),
    ("music", Mass),
    ("pacing", Mass),
    ("photography", Mass),
    ("sound", Mass),
    ("cast", Count),
    ("ending", Count),
    ("opening", Count),
    ("plot", Count),
    ("romance", Count),
    ("script", Count),
    ("story", Count),
    ("actors", Plural),
    ("characters", Plural),
    ("costumes", Plural),
    ("effects", Plural),
    ("jokes", Plural),
    ("scenes", Plural),
    ("songs", Plural),
];

/// The two names of the whole; both mean the aspect "film".
pub const WHOLES: &[&str] = &["film", "movie"];

/// Adjectives and their strength, from -1 (worst) to 1 (best).
pub const ADJECTIVES: &[(&str, f64)] = &[
    ("perfect", 0.95),
    ("brilliant", 0.9),
    ("superb", 0.9),
    ("wonderful", 0.85),
    ("beautiful", 0.7),
    ("great", 0.7),
    ("gripping", 0.65),
    ("charming", 0.6),
    ("moving", 0.6),
    ("clever", 0.55),
    ("funny", 0.55),
    ("warm", 0.5),
    ("fresh", 0.4),
    ("good", 0.4),
    ("pleasant", 0.35),
    ("solid", 0.35),
    ("nice", 0.3),
    ("decent", 0.25),
    ("odd", -0.25),
    ("slow", -0.3),
    ("thin", -0.35),
    ("bland", -0.4),
    ("flat", -0.4),
    ("rushed", -0.4),
    ("silly", -0.45),
    ("weak", -0.45),
    ("bad", -0.5),
    ("messy", -0.5),
    ("clumsy", -0.55),
    ("dull", -0.6),
    ("boring", -0.65),
    ("tedious", -0.65),
    ("painful", -0.8),
    ("awful", -0.9),
    ("terrible", -0.9),
    ("dreadful", -0.95),
];

/// A verb that carries an opinion: its past form, its base form, its strength.
pub type Verb = (&'static str, &'static str, f64);

/// What "i" did to an aspect: "i loved the plot", "i did not love the plot".
pub const FEELINGS: &[Verb] = &[
    ("adored", "adore", 0.9),
    ("loved", "love", 0.8),
    ("enjoyed", "enjoy", 0.55),
    ("liked", "like", 0.4),
    ("endured", "endure", -0.35),
    ("disliked", "dislike", -0.5),
    ("hated", "hate", -0.85),
    ("loathed", "loathe", -0.9),
];

/// What an aspect did to "me": "the ending moved me".
pub const EFFECTS: &[Verb] = &[
    ("thrilled", "thrill", 0.7),
    ("moved", "move", 0.6),
    ("charmed", "charm", 0.55),
    ("annoyed", "annoy", -0.55),
    ("bored", "bore", -0.6),
    ("disappointed", "disappoint", -0.65),
];

/// What an aspect did by itself: "the jokes failed".
pub const FATES: &[Verb] =
    &[("shone", "shine", 0.65), ("worked", "work", 0.4), ("dragged", "drag", -0.45), ("failed", "fail", -0.6)];

/// What "i" did while watching: "i never laughed".
pub const REACTIONS: &[(&str, f64)] = &[("laughed", 0.5), ("smiled", 0.4), ("sighed", -0.35), ("yawned", -0.5)];

/// What a film can have or lack: "it had no wit".
pub const QUALITIES: &[(&str, f64)] = &[
    ("wit", 0.5),
    ("depth", 0.5),
    ("heart", 0.55),
    ("energy", 0.4),
    ("tension", 0.45),
    ("noise", -0.35),
    ("clutter", -0.45),
    ("nonsense", -0.6),
];

/// Strength of a recommendation by its verb; "see" and "watch" ask for "again" after "i would".
pub const ADVICE: &[(&str, f64)] =
    &[("recommend", 0.6), ("see", 0.55), ("watch", 0.55), ("skip", -0.55), ("avoid", -0.65), ("miss", -0.55)];

/// Comparatives: "the ending was better than the book".
pub const COMPARATIVES: &[(&str, f64)] = &[("better", 0.45), ("worse", -0.45)];
/// What a comparative compares with.
pub const YARDSTICKS: &[&str] = &["expected", "the book", "the trailer"];
/// Strength of "worth ...", the goods it is worth, and of "a waste of ..." with what is wasted.
pub const WORTH: f64 = 0.55;
pub const GOODS: &[&str] = &["seeing", "the money", "the time"];
pub const WASTE: f64 = -0.8;
pub const WASTED: &[&str] = &["time", "money"];
/// Strength of "i wanted my money back".
pub const REFUND: f64 = -0.8;

/// Degree words before an adjective; "a bit" also diminishes, but only after a verb.
pub const INTENSIFIERS: &[&str] = &["very", "really", "truly", "utterly"];
pub const DIMINISHERS: &[&str] = &["slightly", "rather", "fairly"];
/// Degree words that can also stand before a verb.
pub const VERB_INTENSIFIERS: &[&str] = &["really", "truly"];
pub const VERB_DIMINISHERS: &[&str] = &["rather", "slightly"];

/// Verbs that link an aspect to an adjective besides "was": past and base.
pub const LINKS: &[(&str, &str)] = &[("felt", "feel"), ("seemed", "seem"), ("looked", "look")];

/// What may stand before a sentence, followed by a comma.
pub const ADVERBIALS: &[&str] =
    &["honestly", "frankly", "overall", "for me", "in my view", "to be fair", "in the end", "all in all", "on the whole"];

/// When, where and with whom a film was seen.
pub const TIMES: &[&str] = &["last night", "last week", "last winter", "yesterday", "this morning", "on friday", "on sunday"];
pub const VENUES: &[&str] = &["at home", "at a festival", "in town", "on a train"];
pub const RELATIVES: &[&str] = &["sister", "brother", "mother", "father", "wife", "friends"];

/// The people, places and doings of plot notes; none of them carries an opinion.
pub const PEOPLE: &[&str] = &["doctor", "teacher", "soldier", "farmer", "singer", "thief", "widow", "detective", "sailor"];
pub const TRAITS: &[&str] = &["young", "old", "retired", "rich", "poor"];
pub const SETTINGS: &[&str] = &[
    "in a small town",
    "in a big city",
    "in a quiet village",
    "by the sea",
    "during the war",
    "on an island",
    "near the border",
    "in winter",
];
pub const DESTINATIONS: &[&str] = &["a small town", "a big city", "a quiet village", "an island", "the border", "the sea"];
pub const TELLINGS: &[&str] = &["follows", "shows", "is about", "begins with", "opens with", "ends with"];
pub const DEEDS: &[&str] = &["meets", "marries", "leaves", "finds", "follows"];
pub const JOURNEYS: &[&str] = &["moves to", "returns to"];
pub const MAKINGS: &[&str] = &["filmed", "made", "set"];
pub const CREW: &[&str] = &["director", "producer"];
pub const WRITINGS: &[&str] = &["script", "music", "story", "dialogue", "ending"];
pub const HOURS: &[&str] = &["two hours", "three hours"];

/// Words of the grammar itself, and punctuation.
const FUNCTION: &str = ". , ! a an the its it this i me my you we he she was were did do not never hardly no nor neither or and but \
    yet although despite far from anything at all bit there in with both had lacked little some real plenty enough of \
    found find think thought nobody could call would should gladly again better worse than much worth well waste wanted money back \
    often rarely what saw watched alone took to chose plays works as also wrote includes is runs for by written";

/// Every token that the writers can emit, sorted, each once.
pub fn vocabulary() -> Vec<&'static str> {
    let plain = [WHOLES, YARDSTICKS, GOODS, WASTED, INTENSIFIERS, DIMINISHERS, ADVERBIALS, TIMES, VENUES, RELATIVES]
        .into_iter()
        .chain([PEOPLE, TRAITS, SETTINGS, DESTINATIONS, TELLINGS, DEEDS, JOURNEYS, MAKINGS, CREW, WRITINGS, HOURS])
        .flatten()
        .copied();
    let weighed = [ADJECTIVES, REACTIONS, QUALITIES, ADVICE, COMPARATIVES].into_iter().flatten().map(|(word, _)| *word);
    let verbs = [FEELINGS, EFFECTS, FATES].into_iter().flatten().flat_map(|(past, base, _)| [*past, *base]);
    let links = LINKS.iter().flat_map(|(past, base)| [*past, *base]);
    let aspects = ASPECTS.iter().map(|(word, _)| *word);
    let phrases = plain.chain(weighed).chain(verbs).chain(links).chain(aspects).chain([FUNCTION]);
    let mut words: Vec<&'static str> = phrases.flat_map(str::split_whitespace).collect();
    words.sort_unstable();
    words.dedup();
    words
}
