//! TL;DR: a post with the summary that its author wrote.

use super::dropped::Unusable;
use super::example::{Example, Prompt};
use super::fields::{Fields, text};

/// A row as an example.
pub fn example(fields: &Fields) -> Result<Example, Unusable> {
    Ok(Example::Completion { prompt: prompt(fields)?, completion: summary(text(fields, "summary")?) })
}

/// A post in the layout of the TL;DR models.
pub fn prompt(fields: &Fields) -> Result<Prompt, String> {
    let (subreddit, title, post) = (text(fields, "subreddit")?, text(fields, "title")?, text(fields, "post")?);
    // Around nothing, the layout would make a prompt that looks like one.
    let laid_out = format!("SUBREDDIT: r/{subreddit}\n\nTITLE: {title}\n\nPOST: {post}\n\nTL;DR:");
    Ok(Prompt::Text(if post.trim().is_empty() { String::new() } else { laid_out }))
}

/// A summary as what follows `TL;DR:`; without a text, nothing.
pub fn summary(text: &str) -> String {
    format!(" {}", text.trim())
}
