//! A loop that is stopped and goes on from its checkpoint ends with the same bits as one that was left alone.

use super::tests::texts;
use super::{
    Checkpoints, Example, PreferenceData, PreferenceRun, ReinforceRun, Sequence, completion_log_probs, reinforce,
    train_language_model, train_preference, train_reward_model,
};
use crate::error::{Error, Result};
use crate::methods::Dpo;
use crate::methods::ppo::{Ppo, Preset};
use crate::models::{Decoder, DecoderConfig, values};
use crate::random::Stream;
use crate::report::rows::TrainRow;
use crate::spec::{
    LanguageModelSize, LanguageModelTraining, Optimisation, Optimizer, RewardModelSize, RewardModelTraining, Shuffle,
    TrainingSize,
};
use burn::tensor::Device;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const NEVER: Duration = Duration::from_secs(1_000_000);
const STEPS: u64 = 7;

/// What a loop is given: its checkpoints, and what to call after every step.
type Loop<'a> = dyn Fn(&mut Checkpoints, &dyn Fn(u64)) -> Result<(Decoder, Vec<TrainRow>)> + 'a;

fn model() -> Decoder {
    Decoder::new(DecoderConfig::gpt2(50, 40, 24, 2, 3), &mut Stream::new(0, 0, "checkpoint test", 0), &Device::flex())
}

fn optimisation() -> Optimisation {
    Optimisation { warmup_steps: 3, max_grad_norm: 1.0, weight_decay: 0.01, ..Optimisation::constant(Optimizer::Adamw, 3e-3) }
}

/// Bits of every weight, and the rows without what a clock says.
fn bits(done: (Decoder, Vec<TrainRow>)) -> (Vec<u32>, Vec<TrainRow>) {
    let weights = done.0.parameters.0.iter().flat_map(|parameter| values(&parameter.value)).map(f32::to_bits).collect();
    (weights, done.1.into_iter().map(|row| TrainRow { tokens_per_s: 0.0, ..row }).collect())
}

/// Stops after the given step, where there is one.
fn until(train: &Loop<'_>, folder: &Path, every: Duration, last: Option<u64>) -> Result<(Decoder, Vec<TrainRow>)> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut checkpoints = Checkpoints::new(folder.to_owned(), every, Arc::clone(&stop));
    train(&mut checkpoints, &|step| stop.store(last.is_some_and(|last| step >= last), Ordering::SeqCst))
}

fn ends_with_the_same_bits(train: &Loop<'_>) {
    let whole = bits(train(&mut Checkpoints::none(), &|_| ()).expect("trained"));
    for stops in [vec![1], vec![3], vec![2, 5], vec![6]] {
        let folder = tempfile::tempdir().expect("a folder");
        for stop in &stops {
            let stopped = until(train, folder.path(), NEVER, Some(*stop)).err();
            assert!(matches!(stopped, Some(Error::Interrupted)), "{stopped:?}");
            let left = std::fs::read_dir(folder.path()).expect("a folder").count();
            assert_eq!(left, 1, "one checkpoint is kept");
        }
        let done = bits(until(train, folder.path(), NEVER, None).expect("trained"));
        assert_eq!(done.1, whole.1, "rows after stopping at {stops:?}");
        assert!(done.0 == whole.0, "weights after stopping at {stops:?}");
    }
}

#[test]
fn a_language_model_goes_on() {
    let texts = texts();
    let sequences: Vec<Sequence<'_>> = texts.iter().map(|text| Sequence::whole(text)).collect();
    let size = LanguageModelSize { steps: STEPS, batch_sequences: 24, max_tokens: 40 };
    let training = LanguageModelTraining { optimisation: optimisation(), size };
    ends_with_the_same_bits(&|checkpoints, after| {
        // 24 of 96 texts a step: the order is drawn anew within.
        let shuffle = Stream::new(0, 0, "text batches", 0);
        train_language_model(model(), &sequences, &training, shuffle, &Device::flex(), checkpoints, |row| after(row.step))
    });
}

/// The second of every pair is the rejected one; 4 completions a prompt.
fn data<'a>(texts: &'a [Vec<u32>], reference: &Decoder) -> PreferenceData<'a> {
    let sequences: Vec<Sequence<'_>> = texts.iter().map(|text| Sequence { prompt: &text[..4], completion: &text[4..] }).collect();
    let log_probs = completion_log_probs(reference, &sequences, &Device::flex(), |_| ());
    PreferenceData {
        prompt_of: (0..sequences.len()).map(|index| index / 4).collect(),
        examples: (0..sequences.len()).step_by(2).map(|first| Example::Pair(first, first + 1)).collect(),
        sequences,
        reference: Some(log_probs),
        ..PreferenceData::default()
    }
}

#[test]
fn preference_training_goes_on_in_the_middle_of_a_segment() {
    let (texts, model) = (texts(), model());
    let data = data(&texts, &model);
    let size =
        TrainingSize { steps: STEPS, batch_pairs: 12, shuffle: Shuffle::Prompts, checkpoint_every: STEPS, evaluate_every: 0 };
    let (objective, optimisation) = (Dpo { beta: 0.5, ..Dpo::default() }, optimisation());
    ends_with_the_same_bits(&|checkpoints, after| {
        let run = PreferenceRun {
            objective: &objective,
            optimisation: &optimisation,
            size: &size,
            first: 0,
            last: STEPS,
            seeds: (0, 0),
            tokens: 100,
        };
        let done = train_preference(model.clone(), None, &data, &run, &Device::flex(), checkpoints, |row| after(row.step))?;
        Ok((done.0, done.2))
    });
}

#[test]
fn a_reward_model_goes_on_and_remembers_its_best_epoch() {
    let (texts, model) = (texts(), model());
    let data = data(&texts, &model);
    let size = RewardModelSize { epochs: 3, batch_pairs: 10, validation_share: 0.25 };
    let training = RewardModelTraining { optimisation: optimisation(), size };
    ends_with_the_same_bits(&|checkpoints, after| {
        let done =
            train_reward_model(model.clone(), &data, &training, 0, &Device::flex(), checkpoints, |row, _| after(row.step))?;
        Ok((done.model, done.rows))
    });
}

#[test]
fn reinforcement_goes_on_with_its_coefficient_and_its_scores() {
    let reference = Decoder::new(DecoderConfig::gpt2(12, 12, 16, 2, 2), &mut Stream::new(0, 0, "checkpoint", 0), &Device::flex());
    let policy = reference.with_value_head(&Device::flex());
    let prompts: Vec<Vec<u32>> = (1..9).map(|token| vec![0, token]).collect();
    let ppo =
        Ppo { rollouts: 16, minibatch: 8, epochs: 2, target_kl: Some(0.1), normalise_scores: true, ..Ppo::preset(Preset::Own) };
    let optimisation = optimisation();
    ends_with_the_same_bits(&|checkpoints, after| {
        let run = ReinforceRun {
            ppo: &ppo,
            optimisation: &optimisation,
            steps: STEPS,
            first: 0,
            last: STEPS,
            seeds: (0, 0),
            max_new_tokens: 6,
            ends: &[0],
            tokens: 0,
        };
        let score = |sequences: &[Sequence<'_>]| Ok(sequences.iter().map(|s| s.completion.len() as f64).collect());
        let device = Device::flex();
        let done =
            reinforce(policy.clone(), None, &reference, &prompts, &run, score, &device, checkpoints, |row| after(row.step))?;
        Ok((done.0, done.3))
    });
}

#[test]
fn what_a_kill_left_half_written_is_passed_over() {
    let texts = texts();
    let sequences: Vec<Sequence<'_>> = texts.iter().map(|text| Sequence::whole(text)).collect();
    let size = LanguageModelSize { steps: STEPS, batch_sequences: 12, max_tokens: 40 };
    let training = LanguageModelTraining { optimisation: optimisation(), size };
    let train: &Loop<'_> = &|checkpoints, after| {
        let shuffle = Stream::new(0, 0, "text batches", 0);
        train_language_model(model(), &sequences, &training, shuffle, &Device::flex(), checkpoints, |row| after(row.step))
    };
    let whole = bits(train(&mut Checkpoints::none(), &|_| ()).expect("trained"));
    for damaged in ["weights.safetensors", "optimizer.safetensors", "state.json", "train.csv"] {
        let folder = tempfile::tempdir().expect("a folder");
        // One after every step, as with a very short interval.
        let stopped = until(train, folder.path(), Duration::ZERO, Some(4)).err();
        assert!(matches!(stopped, Some(Error::Interrupted)));
        let path = folder.path().join("00000004").join(damaged);
        let bytes = std::fs::read(&path).expect("there");
        std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("cut");
        // A draft that was never renamed is no checkpoint.
        std::fs::create_dir_all(folder.path().join("draft")).expect("a folder");
        let done = bits(until(train, folder.path(), NEVER, None).expect("trained"));
        assert!(done == whole, "with half of {damaged}");
    }
}
