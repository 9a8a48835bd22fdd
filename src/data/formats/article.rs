//! CNN/DailyMail: an article with its highlights.

use super::dropped::Unusable;
use super::example::{Example, Prompt};
use super::fields::{Fields, text};
use super::post::summary;

/// A row as an example.
pub fn example(fields: &Fields) -> Result<Example, Unusable> {
    Ok(Example::Completion { prompt: prompt(fields)?, completion: summary(text(fields, "highlights")?) })
}

/// An article in the layout of the TL;DR models.
pub fn prompt(fields: &Fields) -> Result<Prompt, String> {
    let article = text(fields, "article")?;
    Ok(Prompt::Text(if article.trim().is_empty() { String::new() } else { format!("{article}\n\nTL;DR:") }))
}
