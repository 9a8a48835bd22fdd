//! Sizes of artifacts. Numbers in text are counted by their digits; constants are what files have.

use super::contents::{Contents, Reading};
use super::passes::states;
use super::shape::{FLOAT, Shape};
use super::texts::Texts;
use crate::plan::Work;
use crate::spec::Optimisation;

/// artifact.json.
const MANIFEST: f64 = 1_500.0;
/// config.json and tokenizer_config.json.
const CONFIGS: f64 = 750.0;
/// An entry of a vocabulary of words, and of one with merges.
const ENTRY: [f64; 2] = [13.0, 45.0];
/// Vocabularies of built-in worlds are of words, and no larger than this.
const WORDS: f64 = 1_000.0;
/// A number with all its digits and what is between it and the next.
const NUMBER: f64 = 19.5;
/// A row of train.csv: of a language model, of a reward model, of a policy that learns from data, and of one that learns from itself.
const TRAIN_ROW: [f64; 4] = [107.0, 180.0, 212.0, 330.0];
/// A row of samples.csv without text and measured numbers.
const SAMPLE_ROW: f64 = 40.0;
/// A measured number that is 0 in every row.
const ZERO: f64 = 4.0;
/// A token's text in a row.
const TOKEN_TEXT: f64 = 4.4;
/// A row of preferences.csv.
const PREFERENCE_ROW: f64 = 23.0;
/// The same where policy and reference are the same.
const NO_PREFERENCE_ROW: f64 = 8.0;
/// A row of verdicts.csv, and all of shown.csv.
const VERDICTS: [f64; 2] = [24.0, 6_000.0];
/// exact.json: of a policy, and of the reference with its frontier.
const EXACT: [f64; 2] = [150.0, 15_000.0];

/// Bytes of a stage's artifact.
pub(super) fn bytes(reading: &Reading<'_>, made: &Contents) -> f64 {
    let model = || made.model.map_or(0.0, |shape| folder(&shape));
    let steps = |count: u64, which: usize| count as f64 * TRAIN_ROW[which];
    let own = match &reading.stage.work {
        Work::Tokenizer { .. } => made.vocabulary.map_or(0.0, tokenizer),
        Work::Base { training, .. } | Work::Sft { training, .. } | Work::SftOnChosen { training, .. } => {
            model() + steps(training.size.steps, 0)
        }
        Work::RewardModel { training, .. } => {
            let pairs = reading.input("comparisons").pairs.unwrap_or_default() * training.size.epochs as f64;
            model() + steps((pairs / training.size.batch_pairs.max(1) as f64) as u64, 1)
        }
        Work::Train { optimisation, first, last, .. } => trained(made, optimisation) + steps(last.saturating_sub(*first), 2),
        Work::Reinforce { optimisation, first, last, .. } => trained(made, optimisation) + steps(last.saturating_sub(*first), 3),
        Work::Given { .. } => prompts(made, reading) + completions(made, reading) + labelled(made, 0.0),
        Work::Population { .. } => {
            let weights = made.pairs.unwrap_or_default() * NUMBER;
            prompts(made, reading) + completions(made, reading) + labelled(made, made.completions().count) + weights
        }
        Work::Prompts { .. } | Work::FewShot { .. } => prompts(made, reading),
        Work::Samples { .. } | Work::Generate { .. } => completions(made, reading),
        Work::Comparisons { .. } => labelled(made, reading.input("samples").completions().count),
        Work::Rankings { .. } => {
            number(reading.input("samples").completions().count) * reading.input("samples").completions().count
        }
        Work::ReferenceLogprobs { mismatched } => {
            let input = if *mismatched { reading.input("prompts").prompts() } else { reading.input("samples").completions() };
            input.count * NUMBER
        }
        Work::Evaluate { .. } => evaluation(reading),
        Work::Judge { .. } => reading.input("prompts").prompts().count * VERDICTS[0] + VERDICTS[1],
        Work::Exact { best_of_n, .. } => EXACT[usize::from(best_of_n.is_none() && reading.same("policy", "reference"))],
        // A pretrained model stays where it is.
        Work::Pretrained {} | Work::PretrainedClassifier {} | Work::Classifier { .. } => 0.0,
    };
    own + MANIFEST
}

/// A model's folder; of one with adapters these alone.
fn folder(shape: &Shape) -> f64 {
    if shape.trained < shape.weights {
        FLOAT * shape.trained
    } else {
        FLOAT * shape.weights + CONFIGS + tokenizer(shape.vocabulary)
    }
}

fn trained(made: &Contents, optimisation: &Optimisation) -> f64 {
    made.model.map_or(0.0, |shape| folder(&shape) + FLOAT * shape.trained * states(optimisation))
}

fn tokenizer(vocabulary: f64) -> f64 {
    vocabulary * ENTRY[usize::from(vocabulary > WORDS)]
}

/// A number below `most`, with what follows it.
fn number(most: f64) -> f64 {
    most.max(1.0).log10().ceil().max(1.0) + 1.0
}

/// A token's number in JSON.
fn token(reading: &Reading<'_>) -> f64 {
    let vocabulary = reading.model(&["policy", "reference", "base"]).map_or(0.0, |shape| shape.vocabulary);
    number(vocabulary) - 0.5
}

fn list(texts: Texts, token: f64) -> f64 {
    texts.tokens() * token + 2.0 * texts.count
}

fn prompts(made: &Contents, reading: &Reading<'_>) -> f64 {
    list(made.prompts(), token(reading))
}

/// Tokens, the prompt's number and whether it has ended.
fn completions(made: &Contents, reading: &Reading<'_>) -> f64 {
    let texts = made.completions();
    let prompts = if made.prompts.is_some() { made.prompts() } else { reading.input("prompts").prompts() };
    list(texts, token(reading)) + texts.count * (5.0 + number(prompts.count))
}

/// Rewards of completions, and pairs of their numbers.
fn labelled(made: &Contents, rewards: f64) -> f64 {
    let completions = if rewards > 0.0 { rewards } else { made.completions().count };
    rewards * NUMBER + made.pairs.unwrap_or_default() * (2.0 * number(completions) + 2.0)
}

fn evaluation(reading: &Reading<'_>) -> f64 {
    let (written, prompts) = (reading.input("generations").completions(), reading.input("prompts").prompts());
    let is_reference = reading.same("policy", "reference");
    // Of Best-of-N's pool neither KL, log-ratio nor entropy is measured; a reference's KL and log-ratio are 0.
    let zeros = match (is_reference, reading.has("held_out_samples")) {
        (true, false) => 3.0,
        (true, true) => 2.0,
        (false, _) => 0.0,
    };
    let scores = ["reward_model", "fluency"].iter().filter(|role| reading.has(role)).count() as f64;
    let numbers = NUMBER * (scores + 3.0 - zeros) + ZERO * zeros;
    let text = TOKEN_TEXT * (written.mean + prompts.mean);
    let pairs = reading.input("held_out_comparisons").pairs.unwrap_or_default();
    let row = match (is_reference, reading.has("reward_model")) {
        (true, true) => NO_PREFERENCE_ROW + PREFERENCE_ROW,
        (true, false) => NO_PREFERENCE_ROW,
        (false, _) => PREFERENCE_ROW,
    };
    written.count * (SAMPLE_ROW + numbers + text) + pairs * row
}
