//! Rankings: several completions of one prompt. `ranking[i]` is the rank of `completions[i]`; 1 is the best, and no two
//! have the same, so `"completions": ["b", "a", "c"], "ranking": [2, 1, 3]` puts "a" first.

use super::dropped::{Reason, Unusable};
use super::example::Example;
use super::fields::{Fields, list};
use super::messages::{completed, content, parse};

/// A row as an example.
pub fn example(fields: &Fields) -> Result<Example, Unusable> {
    let before = content(fields, "prompt")?;
    let (given, ranks) = (list(fields, "completions")?, list(fields, "ranking")?);
    if given.len() < 2 {
        return Err(format!("\"completions\" has {} of them; a ranking needs two or more", given.len()).into());
    }
    if given.len() != ranks.len() {
        let what = format!("\"ranking\" has {} ranks for {} completions; give each its rank", ranks.len(), given.len());
        return Err(what.into());
    }
    let mut prompts = Vec::new();
    let mut ordered: Vec<Option<String>> = vec![None; given.len()];
    for (value, rank) in given.iter().zip(ranks) {
        let (prompt, completion) = completed(before.clone(), parse(value, "completions")?)?;
        let whole = rank.as_f64().filter(|rank| rank.fract() == 0.0 && *rank >= 1.0);
        let place = whole.map(|rank| rank as usize - 1);
        let Some(place) = place.and_then(|place| ordered.get_mut(place)) else {
            let what = format!("\"ranking\" has {rank}; write the ranks 1 (best) to {}", given.len());
            return Err(what.into());
        };
        if place.replace(completion).is_some() {
            return Err(
                format!("\"ranking\" has {rank} twice; ties are not read, so give each completion a rank of its own").into()
            );
        }
        prompts.push(prompt);
    }
    let first = prompts.swap_remove(0);
    if prompts.iter().any(|other| *other != first) {
        return Err("\"completions\" has texts and lists; write all as texts or all as messages".to_owned().into());
    }
    let completions: Option<Vec<String>> = ordered.into_iter().collect();
    Ok(Example::Ranking { prompt: first, completions: completions.ok_or(Reason::Empty)? })
}
