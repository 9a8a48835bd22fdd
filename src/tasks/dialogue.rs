//! Dialogue (Rafailov et al. 2023, section 6): answer as the chosen side of given comparisons does.

use super::rows::{LeftOut, RowEncoder};
use crate::data::formats::{Example, Options, Turns, examples};
use crate::data::reviews::Split;
use crate::error::{Error, Result};
use crate::models::Tokenizer;
use crate::models::chat::ChatTemplate;
use crate::random::Stream;
use crate::resolve::Corpus;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

/// How dialogues become tokens.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Whether dialogues with several turns of the human are used.
    pub multi_turn: bool,
    /// Whether conversations go through the chat template.
    pub chat: bool,
    /// Longest prompt and completion in tokens.
    pub max_tokens: [usize; 2],
}

/// What a row of data says of completions, which are in tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Completions in order, the best first; two are a comparison.
    Ranked(Vec<Vec<u32>>),
    /// One completion, and whether it is desirable.
    Judged(Vec<u32>, bool),
}

/// Comparisons in tokens.
#[derive(Debug, Default)]
pub struct Comparisons {
    /// Distinct prompts.
    pub prompts: Vec<Vec<u32>>,
    /// What is known of completions of each prompt, sorted by prompt.
    pub rows: Vec<(usize, Verdict)>,
    /// What was left out, for people.
    pub left_out: String,
}

/// One side's comparisons in random order, at most `count` of them (0 is all), none with a prompt of `exclude`. A file's rows go
/// where its name says; those of a file that says nothing go by a digest of their prompt, so that a prompt is on one side.
#[expect(clippy::too_many_arguments, reason = "each is one thing, and there is one caller")]
pub fn comparisons(
    corpus: &Corpus,
    held_out: bool,
    tokenizer: &Tokenizer,
    template: Option<&ChatTemplate>,
    reading: &Reading,
    exclude: Option<&[Vec<u32>]>,
    count: usize,
    seed: u64,
) -> Result<Comparisons> {
    let Corpus::Files(files) = corpus else {
        return Err(Error::Data("dialogues come from files or the hub; name them in task.dialogue.corpus".into()));
    };
    let wanted = if held_out { Split::Test } else { Split::Train };
    let [max_prompt_tokens, max_completion_tokens] = reading.max_tokens;
    let encoder = RowEncoder { tokenizer, template, max_prompt_tokens, max_completion_tokens };
    let exclude: HashSet<&Vec<u32>> = exclude.into_iter().flatten().collect();
    let turns = if reading.multi_turn { Turns::Any } else { Turns::Single };
    if files.iter().all(|file| file.side.is_some_and(|side| side != wanted)) {
        let (side, word) = if held_out { ("held-out", "test") } else { ("training", "train") };
        return Err(Error::Data(format!(
            "the corpus has no {side} comparisons: add a file with \"{word}\" in its name, or give files whose names say neither train nor \
             test, of which a tenth is held out"
        )));
    }
    let (mut rows, mut too_long, mut control, mut seen) = (Vec::new(), 0, 0, 0);
    let mut dropped = Vec::new();
    // Sides of one split are read together; files that say nothing are on both.
    let paths: Vec<(PathBuf, Option<Split>)> = files
        .iter()
        .filter(|file| file.side.is_none_or(|side| side == wanted))
        .map(|file| (file.path.clone(), file.side))
        .collect();
    for (path, side) in paths {
        let found = examples(std::slice::from_ref(&path), &Options { format: None, turns }, &mut |example| {
            let desirable = match &example {
                Example::Comparison { .. } | Example::Ranking { .. } => None,
                Example::Judged { desirable, .. } => Some(*desirable),
                Example::Text { .. } | Example::Completion { .. } => {
                    let what = "has no comparisons: this task needs completions that are compared, ranked or judged";
                    return Err(Error::Data(format!("{} {what}", path.display())));
                }
            };
            let by_text = || Split::of_text(&format!("{:?}", example.prompt()));
            if side.unwrap_or_else(by_text) != wanted {
                return Ok(());
            }
            match encoder.encode(&example)? {
                Err(LeftOut::TooLong) => too_long += 1,
                Err(LeftOut::ControlTokens) => control += 1,
                Ok(row) if exclude.contains(&row.prompt) => seen += 1,
                Ok(mut row) => rows.push(match desirable {
                    None => (row.prompt, Verdict::Ranked(row.completions)),
                    Some(desirable) => (row.prompt, Verdict::Judged(row.completions.swap_remove(0), desirable)),
                }),
            }
            Ok(())
        })?;
        dropped.push(found.dropped.to_string());
    }
    let order = Stream::new(seed, 0, "order of comparisons", u64::from(held_out)).permutation(rows.len());
    let kept = if count == 0 { rows.len() } else { count.min(rows.len()) };
    let mut result = Comparisons {
        left_out: format!(
            "{too_long} too long, {control} spelling control tokens, {seen} with a prompt of training, of rows: {}",
            dropped.join("; ")
        ),
        ..Comparisons::default()
    };
    let mut places: HashMap<&Vec<u32>, usize> = HashMap::new();
    for index in order.into_iter().take(kept) {
        let (prompt, verdict) = &rows[index];
        let next = places.len();
        let place = *places.entry(prompt).or_insert(next);
        if place == next {
            result.prompts.push(prompt.clone());
        }
        result.rows.push((place, verdict.clone()));
    }
    result.rows.sort_by_key(|(prompt, _)| *prompt);
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::DataFile;

    /// A policy must not be measured on what it was trained on.
    #[test]
    fn a_held_out_comparison_has_no_prompt_of_training() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, prompts: &[&str]| {
            let path = folder.path().join(name);
            let row = |prompt: &&str| serde_json::json!({ "prompt": prompt, "chosen": "yes", "rejected": "no" }).to_string();
            std::fs::write(&path, prompts.iter().map(row).collect::<Vec<_>>().join("\n")).expect("written");
            DataFile { side: Split::of_file(&path), blake3: String::new(), path }
        };
        let files = [file("train.jsonl", &["one", "two"]), file("test.jsonl", &["two", "three"])];
        let corpus = Corpus::Files(files.to_vec());
        let tokenizer = Tokenizer::words(&["one", "two", "three", "yes", "no"]).expect("a tokenizer");
        let reading = Reading { multi_turn: false, chat: false, max_tokens: [9, 9] };
        let side = |held_out, exclude: Option<&[Vec<u32>]>| {
            comparisons(&corpus, held_out, &tokenizer, None, &reading, exclude, 0, 0).expect("comparisons")
        };
        let train = side(false, None);
        assert_eq!(train.prompts.len(), 2);
        let held_out = side(true, Some(&train.prompts));
        assert_eq!(held_out.prompts, [tokenizer.encode("three").expect("tokens")]);
        assert!(held_out.left_out.contains("1 with a prompt of training"), "{}", held_out.left_out);
    }
}
