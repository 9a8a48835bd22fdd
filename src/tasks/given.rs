//! Data that is given, not sampled: comparisons, rankings, single verdicts and demonstrations, from files or from a built-in world.

use super::rows::{LeftOut, RowEncoder};
use super::{dialogue, summarisation};
use crate::data::builtin::World;
use crate::data::formats::{Example, Options, Turns, examples};
use crate::data::reviews::Split;
use crate::error::{Error, Result};
use crate::models::Tokenizer;
use crate::models::chat::ChatTemplate;
use crate::random::Stream;
use crate::resolve::{Corpus, DataFile};
use crate::spec::Labelling;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

/// General texts of a built-in world.
const PAGES: usize = 60_000;

/// How rows become tokens.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Whether dialogues with several turns of the human are used.
    pub multi_turn: bool,
    /// Whether conversations go through the chat template.
    pub chat: bool,
    /// Longest prompt and completion in tokens.
    pub max_tokens: [usize; 2],
    /// Longest prompt and completion together.
    pub context: usize,
    /// How the true reward of a built-in world labels its comparisons.
    pub labelling: Option<Labelling>,
}

/// What a row of data says of completions, which are in tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Completions in order, the best first; two are a comparison.
    Ranked(Vec<Vec<u32>>),
    /// One completion, and whether it is desirable; a demonstration is.
    Judged(Vec<u32>, bool),
}

/// Rows in tokens.
#[derive(Debug, Default)]
pub struct Given {
    /// Distinct prompts.
    pub prompts: Vec<Vec<u32>>,
    /// What is known of completions of each prompt, sorted by prompt.
    pub rows: Vec<(usize, Verdict)>,
    /// What was left out, for people.
    pub left_out: String,
}

/// One side's rows in random order, at most `count` of them (0 is all), none with a prompt of `exclude`. A file's rows go where its
/// name says; those of a file that says nothing go by a digest of their prompt, so that a prompt is on one side.
#[expect(clippy::too_many_arguments, reason = "each is one thing, and there is one caller")]
pub fn given(
    corpus: &Corpus,
    held_out: bool,
    tokenizer: &Tokenizer,
    template: Option<&ChatTemplate>,
    reading: &Reading,
    exclude: Option<&[Vec<u32>]>,
    count: usize,
    seed: u64,
) -> Result<Given> {
    let [max_prompt_tokens, max_completion_tokens] = reading.max_tokens;
    let encoder = RowEncoder { tokenizer, template, max_prompt_tokens, max_completion_tokens };
    let exclude = exclude.into_iter().flatten().collect();
    let mut rows = Rows { encoder, exclude, context: reading.context, ..Rows::new(tokenizer) };
    let dropped = match corpus {
        Corpus::Files(files) => rows.of_files(files, held_out, reading)?,
        Corpus::Builtin(name) => {
            rows.starts = tokenizer.special().start;
            // Some prompts of the held-out side occur in training, and are left out.
            for example in builtin(name, held_out, seed, if held_out { 2 * count } else { count }, reading)? {
                rows.take(&example)?;
            }
            String::new()
        }
        Corpus::Hub(names) => return Err(Error::Data(format!("{} is not on this machine", names.join(", ")))),
        Corpus::Oracle(_) => return Err(Error::Other("this task has no rows, only tokens".into())),
    };
    Ok(rows.chosen(held_out, count, seed, &dropped))
}

/// Rows of a built-in world.
fn builtin(name: &str, held_out: bool, seed: u64, count: usize, reading: &Reading) -> Result<Vec<Example>> {
    let side = if held_out { "held-out" } else { "train" };
    let seed = Stream::new(seed, 0, &format!("{side} {name}"), 0).below(usize::MAX) as u64;
    match World::named(name) {
        Some(World::Posts) => Ok(summarisation::demonstrations(name, seed, count)),
        Some(World::Questions) => Ok(dialogue::comparisons(seed, count, reading.labelling.as_ref())),
        Some(World::Reviews) | None => Err(Error::Data(format!("builtin:{name} has no completions of its own"))),
    }
}

/// General texts of a built-in world in tokens, for its base model: what is given, and what is learnt, at most `max_tokens` together.
pub fn pages(name: &str, seed: u64, tokenizer: &Tokenizer, max_tokens: usize) -> Result<Vec<[Vec<u32>; 2]>> {
    let world = World::named(name).ok_or_else(|| Error::Data(format!("there is no built-in world builtin:{name}")))?;
    let seed = Stream::new(seed, 0, "train pages", 0).below(usize::MAX) as u64;
    let special = tokenizer.special();
    let page = |[given, written]: [String; 2]| {
        let given: Vec<u32> = special.start.into_iter().chain(tokenizer.encode(&given)?).collect();
        let mut written: Vec<u32> = tokenizer.encode(&written)?.into_iter().chain(special.ends.first().copied()).collect();
        written.truncate(max_tokens.saturating_sub(given.len()));
        Ok([given, written])
    };
    let pages: Vec<[Vec<u32>; 2]> = world.pages(seed, PAGES).into_iter().map(page).collect::<Result<_>>()?;
    Ok(pages.into_iter().filter(|[_, written]| !written.is_empty()).collect())
}

/// Rows as they are read.
struct Rows<'a> {
    encoder: RowEncoder<'a>,
    exclude: HashSet<&'a Vec<u32>>,
    context: usize,
    /// The token that prompts start with, where texts of the world do.
    starts: Option<u32>,
    rows: Vec<(Vec<u32>, Verdict)>,
    too_long: usize,
    control: usize,
    seen: usize,
}

impl<'a> Rows<'a> {
    fn new(tokenizer: &'a Tokenizer) -> Self {
        let encoder = RowEncoder { tokenizer, template: None, max_prompt_tokens: 0, max_completion_tokens: 0 };
        Rows { encoder, exclude: HashSet::new(), context: 0, starts: None, rows: Vec::new(), too_long: 0, control: 0, seen: 0 }
    }

    fn take(&mut self, example: &Example) -> Result<()> {
        let mut row = match self.encoder.encode(example)? {
            Err(LeftOut::TooLong) => {
                self.too_long += 1;
                return Ok(());
            }
            Err(LeftOut::ControlTokens) => {
                self.control += 1;
                return Ok(());
            }
            Ok(row) => row,
        };
        row.prompt.splice(0..0, self.starts);
        if row.completions.iter().any(|completion| row.prompt.len() + completion.len() > self.context) {
            self.too_long += 1;
            return Ok(());
        }
        if self.exclude.contains(&row.prompt) {
            self.seen += 1;
            return Ok(());
        }
        let verdict = match example {
            Example::Judged { desirable, .. } => Verdict::Judged(row.completions.swap_remove(0), *desirable),
            Example::Completion { .. } => Verdict::Judged(row.completions.swap_remove(0), true),
            Example::Comparison { .. } | Example::Ranking { .. } | Example::Text { .. } => Verdict::Ranked(row.completions),
        };
        self.rows.push((row.prompt, verdict));
        Ok(())
    }

    /// Reads the files of one side; returns what they dropped, for people.
    fn of_files(&mut self, files: &[DataFile], held_out: bool, reading: &Reading) -> Result<String> {
        let wanted = if held_out { Split::Test } else { Split::Train };
        let turns = if reading.multi_turn { Turns::Any } else { Turns::Single };
        if files.iter().all(|file| file.side.is_some_and(|side| side != wanted)) {
            let (side, word) = if held_out { ("held-out", "test") } else { ("training", "train") };
            return Err(Error::Data(format!(
                "the corpus has no {side} comparisons: add a file with \"{word}\" in its name, or give files whose names say neither train \
                 nor test, of which a tenth is held out"
            )));
        }
        let mut dropped = Vec::new();
        // Sides of one split are read together; files that say nothing are on both.
        let paths: Vec<(PathBuf, Option<Split>)> = files
            .iter()
            .filter(|file| file.side.is_none_or(|side| side == wanted))
            .map(|file| (file.path.clone(), file.side))
            .collect();
        for (path, side) in paths {
            let found = examples(std::slice::from_ref(&path), &Options { format: None, turns }, &mut |example| {
                if matches!(example, Example::Text { .. }) {
                    let what = "has no completions: this task needs some that are compared, ranked, judged or demonstrated";
                    return Err(Error::Data(format!("{} {what}", path.display())));
                }
                let by_text = || Split::of_text(&format!("{:?}", example.prompt()));
                if side.unwrap_or_else(by_text) == wanted { self.take(&example) } else { Ok(()) }
            })?;
            dropped.push(found.dropped.to_string());
        }
        Ok(dropped.join("; "))
    }

    /// At most `count` of the rows in random order, sorted by prompt.
    fn chosen(self, held_out: bool, count: usize, seed: u64, dropped: &str) -> Given {
        let rows = self.rows;
        let order = Stream::new(seed, 0, "order of comparisons", u64::from(held_out)).permutation(rows.len());
        let kept = if count == 0 { rows.len() } else { count.min(rows.len()) };
        let mut result = Given {
            left_out: format!(
                "{} too long, {} spelling control tokens, {} with a prompt of training, of rows: {dropped}",
                self.too_long, self.control, self.seen
            ),
            ..Given::default()
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
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let reading = Reading { multi_turn: false, chat: false, max_tokens: [9, 9], context: 18, labelling: None };
        let side = |held_out, exclude: Option<&[Vec<u32>]>| {
            given(&corpus, held_out, &tokenizer, None, &reading, exclude, 0, 0).expect("comparisons")
        };
        let train = side(false, None);
        assert_eq!(train.prompts.len(), 2);
        let held_out = side(true, Some(&train.prompts));
        assert_eq!(held_out.prompts, [tokenizer.encode("three").expect("tokens")]);
        assert!(held_out.left_out.contains("1 with a prompt of training"), "{}", held_out.left_out);
    }
}
