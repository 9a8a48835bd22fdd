//! Built-in worlds: texts from grammars, with true rewards that are known exactly. One folder each.
//!
//! They stand in for a data set and for human judgement where neither is at hand.

mod cursor;
mod dice;
mod draft;
pub mod posts;
pub mod questions;
pub mod reviews;

/// A built-in world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// Movie reviews: `builtin:reviews`, rewarded by `builtin:sentiment`.
    Reviews,
    /// Posts and articles with summaries: `builtin:posts` and `builtin:news`, rewarded by `builtin:summary`.
    Posts,
    /// Questions with answers: `builtin:questions`, rewarded by `builtin:helpfulness`.
    Questions,
}

impl World {
    /// The world of a corpus or of a reward.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "reviews" | "sentiment" => Some(World::Reviews),
            "posts" | "news" | "summary" => Some(World::Posts),
            "questions" | "helpfulness" => Some(World::Questions),
            _ => None,
        }
    }

    /// Every word that its texts have.
    pub fn vocabulary(self) -> Vec<&'static str> {
        match self {
            World::Reviews => reviews::vocabulary(),
            World::Posts => posts::vocabulary(),
            World::Questions => questions::vocabulary(),
        }
    }

    /// `count` general texts, for a base model: what is given, and what it learns to write after it. A post's words are given:
    /// predicting facts that were drawn at random would teach a small model nothing, and keep it from learning to look them up.
    pub fn pages(self, seed: u64, count: usize) -> Vec<[String; 2]> {
        let written = |text: String| [String::new(), text];
        match self {
            World::Reviews => reviews::reviews(seed, count).into_iter().map(written).collect(),
            World::Posts => posts::pages(seed, count).into_iter().map(|page| [page.prompt, page.summary]).collect(),
            World::Questions => questions::pages(seed, count).into_iter().map(written).collect(),
        }
    }

    /// The true reward of a whole text, prompt included, in [0, 1].
    pub fn reward(self, text: &str) -> f64 {
        match self {
            World::Reviews => reviews::scorer::score(text).reward,
            World::Posts => posts::scorer::score(text).reward,
            // What follows the first answer's mark is the answer: a completion that asks another question answers none.
            World::Questions => match text.split_once("assistant :") {
                Some((prompt, answer)) => questions::scorer::score_answer(prompt, answer).reward,
                None => 0.0,
            },
        }
    }
}
