//! What reinforcement learning promises: PyTorch's numbers for a whole step, and a run that can be cut anywhere.

use super::inference::token_log_probs_and_values;
use super::{Carried, Checkpoints, OptimizerState, ReinforceRun, Rollout, Sequence, Trainer, reinforce, update};
use crate::methods::ppo::{Estimator, Ppo, Preset};
use crate::models::{Decoder, DecoderConfig, Parameter, tensor, values};
use crate::random::Stream;
use crate::report::rows::TrainRow;
use crate::spec::{Optimisation, Optimizer};
use burn::tensor::Device;
use serde_json::Value;
use std::path::Path;

fn number(json: &Value) -> f64 {
    json.as_f64().expect("a number")
}

fn list(json: &Value) -> &Vec<Value> {
    json.as_array().expect("a list")
}

fn numbers(json: &Value) -> Vec<f64> {
    list(json).iter().map(number).collect()
}

fn tokens(json: &Value) -> Vec<u32> {
    numbers(json).into_iter().map(|id| id as u32).collect()
}

#[track_caller]
fn close(what: &str, got: f64, wanted: f64, tolerance: f64) {
    assert!((got - wanted).abs() <= tolerance * wanted.abs().max(1.0), "{what}: {got} is not {wanted}");
}

/// The fixture's policy with its value head, and its reference.
fn models(fixture: &Value, device: &Device) -> [Decoder; 2] {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/gpt2");
    let policy = Decoder::load(&folder, device).expect("a model");
    let twin = tempfile::tempdir().expect("a folder");
    for (from, to) in [("config.json", "config.json"), ("model_b.safetensors", "model.safetensors")] {
        std::fs::copy(folder.join(from), twin.path().join(to)).expect("copied");
    }
    let reference = Decoder::load(twin.path(), device).expect("a model");
    let head = [numbers(&fixture["head"]["weight"]), numbers(&fixture["head"]["bias"])].concat();
    let shape = vec![1, head.len()];
    let value = tensor(head.iter().map(|weight| *weight as f32).collect(), device);
    [policy.with_given_value_head(Parameter { name: "value".into(), shape, value, trainable: true }), reference]
}

/// A column of train.csv.
type Column = fn(&TrainRow) -> Option<f64>;

#[test]
fn a_step_of_ppo_is_pytorchs() {
    let fixture: Value = serde_json::from_str(include_str!("../../tests/parity/ppo.json")).expect("JSON");
    let device = Device::flex();
    let [policy, reference] = models(&fixture, &device);
    let rollout = list(&fixture["rollout"]);
    let texts: Vec<[Vec<u32>; 2]> = rollout.iter().map(|row| [tokens(&row["prompt"]), tokens(&row["completion"])]).collect();
    let sequences: Vec<Sequence<'_>> = texts.iter().map(|[prompt, completion]| Sequence { prompt, completion }).collect();
    let setting = |key: &str| number(&fixture["settings"][key]);
    let ppo = Ppo {
        gamma: setting("gamma"),
        lambda: setting("lambda"),
        clip: setting("clip"),
        value_clip: setting("value_clip"),
        value_coefficient: setting("value_coefficient"),
        rollouts: 8,
        minibatch: 4,
        epochs: 2,
        ..Ppo::preset(Preset::Own)
    };
    let own = token_log_probs_and_values(&policy, &sequences, &device);
    let references = token_log_probs_and_values(&reference, &sequences, &device);
    let scores: Vec<f64> = rollout.iter().map(|row| number(&row["score"])).collect();
    let made = Rollout::new(&ppo, own, &references, &scores, setting("kl_coefficient"));
    for (index, row) in rollout.iter().enumerate() {
        let of = |what: &str, got: &[f64], key: &str| {
            let wanted = numbers(&row[key]);
            assert_eq!(got.len(), wanted.len(), "{what}");
            got.iter().zip(wanted).for_each(|(got, wanted)| close(what, *got, wanted, 2e-5));
        };
        of("log-probs", &made.log_probs[index], "old_log_probs");
        of("values", &made.values[index], "values");
        of("advantages", &made.advantages[index].advantages, "whitened");
        of("returns", &made.advantages[index].returns, "returns");
    }
    for case in list(&fixture["updates"]) {
        let set = |key: &str, default: f64| case["settings"][key].as_f64().unwrap_or(default);
        let optimizer = if case["optimizer"] == "AdamW" { Optimizer::Adamw } else { Optimizer::Rmsprop };
        let settings = Optimisation {
            max_grad_norm: setting("max_grad_norm"),
            epsilon: set("eps", 1e-8),
            smoothing: set("alpha", 0.99),
            ..Optimisation::constant(optimizer, set("lr", 0.0))
        };
        let minibatches = list(&case["minibatches"]);
        let order = |epoch: usize| -> Vec<usize> {
            let of_epoch = minibatches.iter().filter(|minibatch| minibatch["epoch"] == epoch);
            of_epoch.flat_map(|minibatch| tokens(&minibatch["completions"])).map(|index| index as usize).collect()
        };
        let mut trainer = Trainer::new(policy.clone(), &settings, 1, &device);
        let row = update(&mut trainer, &sequences, &made, &ppo, order, 0).expect("updated");
        let mean = |key: &str| minibatches.iter().map(|one| number(&one[key])).sum::<f64>() / minibatches.len() as f64;
        let columns: [(Column, &str); 6] = [
            (|row| row.loss_policy, "policy_loss"),
            (|row| row.loss_value, "value_loss"),
            (|row| row.policy_approxkl, "approx_kl"),
            (|row| row.policy_clipfrac, "clip_fraction"),
            (|row| row.val_ratio, "mean_ratio"),
            (|row| Some(row.grad_norm), "grad_norm"),
        ];
        for (of, key) in columns {
            close(key, of(&row).expect("a number"), mean(key), 1e-4);
        }
        close("explained variance", row.val_explained_variance.expect("a number"), number(&fixture["explained_variance"]), 1e-4);
        weights_are(&trainer.model, case);
    }
}

/// Compares every weight's sum and first values. The fixture leaves the keys' biases out of sums: their gradient is exactly 0, so
/// that an optimiser follows rounding.
fn weights_are(model: &Decoder, case: &Value) {
    let (policy, head) = model.without_value_head();
    let head = values(&head.expect("a head").value);
    let folder = tempfile::tempdir().expect("a folder");
    policy.save(folder.path()).expect("saved");
    let bytes = std::fs::read(folder.path().join("model.safetensors")).expect("read");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a safetensors file");
    for wanted in list(&case["weights"]) {
        let name = wanted["name"].as_str().expect("a name");
        let got: Vec<f32> = if name.contains("head") && !name.contains("lm_head") {
            if name.ends_with("bias") { head[head.len() - 1..].to_vec() } else { head[..head.len() - 1].to_vec() }
        } else {
            let bytes = file.tensor(name).expect("a weight").data();
            bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
        };
        for (got, wanted) in got.iter().zip(numbers(&wanted["first"])) {
            close(name, f64::from(*got), wanted, 3e-4);
        }
        if !name.ends_with("c_attn.bias") {
            close(name, got.iter().map(|value| f64::from(*value)).sum(), number(&wanted["sum"]), 2e-3);
        }
    }
}

/// Four steps of a small policy that is rewarded for one token; cut after `cut` of them.
fn run(cut: u64, change: impl Fn(&mut Ppo)) -> (Vec<f64>, Vec<f32>) {
    let device = Device::flex();
    let config = DecoderConfig::gpt2(12, 12, 16, 2, 2);
    let reference = Decoder::new(config, &mut Stream::new(0, 0, "reinforce test", 0), &device);
    let prompts: Vec<Vec<u32>> = (1..9).map(|token| vec![0, token]).collect();
    let mut ppo = Ppo { rollouts: 16, minibatch: 8, epochs: 2, ..Ppo::preset(Preset::Own) };
    change(&mut ppo);
    let optimisation = Optimisation::constant(Optimizer::Adamw, 3e-3);
    let score = |sequences: &[Sequence<'_>]| {
        let share =
            |s: &Sequence<'_>| s.completion.iter().filter(|token| **token == 3).count() as f64 / s.completion.len() as f64;
        Ok(sequences.iter().map(share).collect())
    };
    let (mut policy, mut before, mut scores) = (reference.with_value_head(&device), None, Vec::new());
    for (first, last) in [(0, cut), (cut, 4)].into_iter().filter(|(first, last)| first < last) {
        let run = ReinforceRun {
            ppo: &ppo,
            optimisation: &optimisation,
            steps: 4,
            first,
            last,
            seeds: (0, 0),
            max_new_tokens: 6,
            ends: &[0],
            tokens: 0,
        };
        let done =
            reinforce(policy.clone(), before, &reference, &prompts, &run, score, &device, &mut Checkpoints::none(), |_| ())
                .expect("trained");
        let (trained, optimizer, carried, rows) = done;
        policy = trained;
        // Through their files, as between stages.
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("optimizer.safetensors");
        optimizer.save(&path).expect("saved");
        let optimizer = OptimizerState::load(&optimisation, &policy.parameters, &path, &device).expect("loaded");
        let carried: Carried = serde_json::from_str(&serde_json::to_string(&carried).expect("JSON")).expect("JSON");
        before = Some((optimizer, carried));
        scores.extend(rows.iter().filter_map(|row| row.objective_scores));
    }
    (scores, policy.parameters.0.iter().flat_map(|parameter| values(&parameter.value)).collect())
}

#[test]
fn a_run_in_segments_is_the_same_run() {
    for estimator in [Estimator::Generalised, Estimator::LeaveOneOut] {
        let change = |ppo: &mut Ppo| (ppo.advantages, ppo.samples_per_prompt) = (estimator, 2);
        assert_eq!(run(4, change), run(1, change), "{estimator:?}");
    }
}

#[test]
fn it_has_the_same_bits_on_any_number_of_threads() {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| run(4, |_| ()))
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn a_score_that_is_no_number_is_refused() {
    let device = Device::flex();
    let reference = Decoder::new(DecoderConfig::gpt2(12, 12, 16, 2, 2), &mut Stream::new(0, 0, "reinforce test", 0), &device);
    let ppo = Ppo { rollouts: 4, minibatch: 4, ..Ppo::preset(Preset::Own) };
    let optimisation = Optimisation::constant(Optimizer::Adamw, 3e-3);
    let run = ReinforceRun {
        ppo: &ppo,
        optimisation: &optimisation,
        steps: 1,
        first: 0,
        last: 1,
        seeds: (0, 0),
        max_new_tokens: 6,
        ends: &[0],
        tokens: 0,
    };
    let nan = |sequences: &[Sequence<'_>]| Ok(vec![f64::NAN; sequences.len()]);
    let policy = reference.with_value_head(&device);
    let error = reinforce(policy.clone(), None, &reference, &[vec![0, 1]], &run, nan, &device, &mut Checkpoints::none(), |_| ())
        .err()
        .expect("an error");
    assert!(error.to_string().contains("score of sample 1"), "{error}");
}
