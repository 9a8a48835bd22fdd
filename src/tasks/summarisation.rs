//! Summarisation (Rafailov et al. 2023, section 6): a short summary that covers what matters in a post.

use crate::data::builtin::posts;
use crate::data::formats::{Example, Prompt};

/// Posts, or news, of the built-in world with the summaries that its people wrote.
pub fn demonstrations(name: &str, seed: u64, count: usize) -> Vec<Example> {
    let texts = if name == "news" { posts::news(seed, count) } else { posts::posts(seed, count) };
    let example = |post: posts::Post| Example::Completion { prompt: Prompt::Text(post.prompt), completion: post.summary };
    texts.into_iter().map(example).collect()
}
