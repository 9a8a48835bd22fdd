//! Controlled sentiment (Rafailov et al. 2023, section 6): continue a review's first words with a positive review.

use crate::data::builtin::World;
use crate::data::{builtin, reviews};
use crate::error::{Error, Result};
use crate::models::Tokenizer;
use crate::models::linear::FitSettings;
use crate::random::Stream;
use crate::resolve::Corpus;
use std::collections::HashSet;
use std::path::PathBuf;

/// Reviews and notes that a built-in corpus holds on each side.
const BUILTIN_TEXTS: usize = 20_000;
/// Reviews that a tokenizer is trained on; more changes its merges little.
const TOKENIZER_TEXTS: usize = 8_000;

/// One side of a corpus.
pub struct Texts {
    /// The task's text: whole reviews.
    pub reviews: Vec<String>,
    /// Other text of the same world, for the base model's mixture; empty for real corpora, whose base model is trained
    /// on windows of whole reviews.
    pub notes: Vec<String>,
}

/// The train or the held-out side of a corpus.
pub fn texts(corpus: &Corpus, held_out: bool, seed: u64) -> Result<Texts> {
    match corpus {
        Corpus::Builtin(_) => {
            let purpose = if held_out { "held-out reviews" } else { "train reviews" };
            let seed = Stream::new(seed, 0, purpose, 0).below(usize::MAX) as u64;
            Ok(Texts {
                reviews: builtin::reviews::reviews(seed, BUILTIN_TEXTS),
                notes: builtin::reviews::notes(seed, BUILTIN_TEXTS),
            })
        }
        Corpus::Files(_) => {
            let corpus = labelled(corpus)?;
            let side = if held_out { corpus.test } else { corpus.train };
            if side.is_empty() {
                return Err(Error::Data(
                    "the corpus has no held-out rows: name a file with \"test\" in its name, or give more rows".into(),
                ));
            }
            let mut order = Stream::new(seed, 0, "order of reviews", u64::from(held_out)).permutation(side.len());
            let mut texts: Vec<Option<String>> = side.into_iter().map(|review| Some(review.text)).collect();
            let reviews = order.drain(..).filter_map(|index| texts[index].take()).collect();
            Ok(Texts { reviews, notes: Vec::new() })
        }
        Corpus::Hub(names) => Err(Error::Data(format!("{} is not on this machine", names.join(", ")))),
        Corpus::Oracle(_) => Err(Error::Other("this task has no texts, only tokens".into())),
    }
}

/// A corpus with its labels.
pub fn labelled(corpus: &Corpus) -> Result<reviews::Corpus> {
    let Corpus::Files(files) = corpus else { return Err(Error::Data("this corpus has no labels".into())) };
    let paths: Vec<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
    reviews::read(&paths)
}

/// The tokenizer of a corpus: the built-in world's words, or a byte-level BPE trained on its reviews.
pub fn tokenizer(corpus: &Corpus, texts: &Texts, vocabulary: usize) -> Result<Tokenizer> {
    match corpus {
        Corpus::Builtin(name) => {
            let unknown = || Error::Data(format!("there is no built-in world builtin:{name}"));
            Tokenizer::words(&World::named(name).ok_or_else(unknown)?.vocabulary())
        }
        Corpus::Files(_) | Corpus::Hub(_) | Corpus::Oracle(_) => {
            Tokenizer::byte_level_bpe(texts.reviews.iter().take(TOKENIZER_TEXTS).map(String::as_str), vocabulary)
        }
    }
}

/// Sequences of the base model. A built-in world's notes and reviews come half and half, whole; real reviews are cut into
/// windows one after another, of which only the first begins with the start token's meaning "a text begins here".
pub fn general_sequences(texts: &Texts, tokenizer: &Tokenizer, max_tokens: usize, wanted: usize) -> Result<Vec<Vec<u32>>> {
    if !texts.notes.is_empty() {
        let mut mixture = whole_sequences(&texts.reviews, tokenizer, max_tokens, wanted.div_ceil(2))?;
        mixture.extend(whole_sequences(&texts.notes, tokenizer, max_tokens, wanted.div_ceil(2))?);
        return Ok(mixture);
    }
    let mut windows = Vec::new();
    for review in &texts.reviews {
        if windows.len() >= wanted {
            break;
        }
        let mut tokens = vec![start_of(tokenizer)?];
        tokens.extend(tokenizer.encode(review)?);
        tokens.push(end_of(tokenizer)?);
        windows.extend(tokens.chunks(max_tokens).filter(|window| window.len() >= 8).map(<[u32]>::to_vec));
    }
    if windows.is_empty() {
        return whole_sequences(&texts.reviews, tokenizer, max_tokens, wanted);
    }
    Ok(windows)
}

/// Sequences of the task: start token, the review from its first word, and the end token where the review ends in time.
pub fn whole_sequences(texts: &[String], tokenizer: &Tokenizer, max_tokens: usize, wanted: usize) -> Result<Vec<Vec<u32>>> {
    texts.iter().take(wanted.max(1)).map(|text| whole_sequence(text, tokenizer, max_tokens)).collect()
}

fn whole_sequence(text: &str, tokenizer: &Tokenizer, max_tokens: usize) -> Result<Vec<u32>> {
    // A token has rarely more than a dozen bytes: reading a whole long review for its first words would be waste.
    let limit = max_tokens * 16;
    let head = if text.len() > limit { &text[..text.floor_char_boundary(limit)] } else { text };
    let mut sequence = vec![start_of(tokenizer)?];
    sequence.extend(tokenizer.encode(head)?);
    if head.len() == text.len() {
        sequence.push(end_of(tokenizer)?);
    }
    sequence.truncate(max_tokens);
    Ok(sequence)
}

/// The token that texts start with; models without one start them with what ends them, as GPT-2 was trained.
fn start_of(tokenizer: &Tokenizer) -> Result<u32> {
    tokenizer.special().start.map_or_else(|| end_of(tokenizer), Ok)
}

/// The token that texts end with.
fn end_of(tokenizer: &Tokenizer) -> Result<u32> {
    let end = tokenizer.special().ends.first();
    end.copied()
        .ok_or_else(|| Error::Data("the tokenizer has no end token; name one as eos_token in its tokenizer_config.json".into()))
}

/// Prompts: the start token and a review's first 2-8 tokens, say. Held-out prompts are distinct, and none of them is a
/// training prompt.
pub fn prompts(
    texts: &Texts,
    tokenizer: &Tokenizer,
    prefix_tokens: [usize; 2],
    count: usize,
    exclude: Option<&[Vec<u32>]>,
    seed: u64,
) -> Result<Vec<Vec<u32>>> {
    let [least, most] = prefix_tokens;
    let mut taken: HashSet<Vec<u32>> = exclude.into_iter().flatten().cloned().collect();
    let mut prompts = Vec::new();
    for round in 0.. {
        let before = prompts.len();
        for (index, review) in texts.reviews.iter().enumerate() {
            if prompts.len() == count {
                return Ok(prompts);
            }
            let row = round * texts.reviews.len() + index;
            let purpose = if exclude.is_some() { "held-out prefix" } else { "train prefix" };
            let length = least + Stream::new(seed, 0, purpose, row as u64).below(most - least + 1);
            let sequence = whole_sequence(review, tokenizer, most + 2)?;
            // A review that is no longer than its prefix would leave nothing to write.
            if sequence.len() < length + 2 {
                continue;
            }
            let prompt = sequence[..=length].to_vec();
            if exclude.is_none() || taken.insert(prompt.clone()) {
                prompts.push(prompt);
            }
        }
        if prompts.len() == before {
            break;
        }
    }
    Err(Error::Data(format!(
        "the corpus gives only {} of {count} prompts of {least} to {most} tokens that training does not have: lower prompts, or give more text",
        prompts.len()
    )))
}

/// Settings of the classifier that is fitted as true reward.
pub fn fit_settings(seed: u64) -> FitSettings {
    FitSettings { seed, ..FitSettings::default() }
}
