//! The built-in world of posts: short stories of what happened to whom, with summaries, and a true reward that is known exactly.
//!
//! It stands in for Reddit TL;DR where no data are at hand, and its articles for CNN/DailyMail (Rafailov et al. 2023, section 6). A
//! story has events of differing importance and asides; a good summary states what matters, leaves out the rest and invents nothing.
//! How much an event matters can be read from the text: from verb and thing together, from "!", and from the title.
//!
//! ```text
//! title : <title> . post : <sentences> tl;dr : <summary>
//! news : <sentences> tl;dr : <summary>
//! ```
//!
//! | file | |
//! |---|---|
//! | `words` | vocabulary, and how much an event matters |
//! | `story`, `summary` | the writers |
//! | `scorer` | the reward, with a `parser` of its own |

mod parser;
pub mod scorer;
mod story;
mod summary;
#[cfg(test)]
mod tests;
mod words;

use super::dice::Dice;
use story::Story;
pub use summary::MOST_TOKENS as SUMMARY_TOKENS;
pub use words::vocabulary;

/// Most tokens of a prompt, "tl;dr :" included.
pub const PROMPT_TOKENS: usize = 48;

/// A text to be summarised, and how a person summarised it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// Up to and including "tl;dr :".
    pub prompt: String,
    /// What follows, without an end token.
    pub summary: String,
}

/// `count` posts with summaries as people write them: good on the whole, seldom perfect. Post `i` depends only on `seed` and `i`.
pub fn posts(seed: u64, count: usize) -> Vec<Post> {
    written("post", seed, count, story::post, Dice::unit)
}

/// `count` texts for a base model: posts with summaries from everywhere, of every quality and many poor, and as often posts and
/// articles that somebody tells again word for word. Copying is learnt from these, long before a model can choose what to copy. Text
/// `i` depends only on `seed` and `i`.
pub fn pages(seed: u64, count: usize) -> Vec<Post> {
    let page = |index: u64| {
        let mut dice = Dice::new("page", seed, index);
        match dice.weighted(&[4, 3, 1]) {
            0 => {
                let story = fitting(&mut dice, story::post);
                let carelessness = dice.unit().sqrt();
                Post { prompt: story.prompt(), summary: summary::write(&mut dice, &story, carelessness) }
            }
            1 => told_again(&fitting(&mut dice, story::post)),
            _ => told_again(&fitting(&mut dice, story::article)),
        }
    };
    (0..count as u64).map(page).collect()
}

/// A text, and the same sentences once more.
fn told_again(story: &Story) -> Post {
    let prompt = story.prompt();
    let told = ["post : ", "news : "].iter().find_map(|mark| Some(prompt.split_once(mark)?.1)).unwrap_or(&prompt);
    let summary = told.trim_end_matches("tl;dr :").trim_end().to_owned();
    Post { prompt, summary }
}

/// `count` articles with highlights, out of the distribution of posts: no title, what matters comes first, persons that are rare in
/// posts, sources and the passive voice. Article `i` depends only on `seed` and `i`.
pub fn news(seed: u64, count: usize) -> Vec<Post> {
    written("news", seed, count, story::article, |dice| 0.7 * dice.unit())
}

/// Stories that fit into a prompt, and summaries of as much carelessness as `carelessness` draws.
fn written(
    purpose: &str,
    seed: u64,
    count: usize,
    tell: impl Fn(&mut Dice) -> Story,
    carelessness: impl Fn(&mut Dice) -> f64,
) -> Vec<Post> {
    (0..count as u64)
        .map(|index| {
            let mut dice = Dice::new(purpose, seed, index);
            let story = fitting(&mut dice, &tell);
            let carelessness = carelessness(&mut dice);
            Post { prompt: story.prompt(), summary: summary::write(&mut dice, &story, carelessness) }
        })
        .collect()
}

/// The first story that fits. Most do, so this ends after a few tries.
fn fitting(dice: &mut Dice, tell: impl Fn(&mut Dice) -> Story) -> Story {
    loop {
        let story = tell(dice);
        if story.tokens() <= PROMPT_TOKENS {
            return story;
        }
    }
}
