//! Whether a device computes what the CPU computes: every family's forward and backward pass, decoding, and a short training run.

use super::subject::{Subject, random};
use super::training::{Workload, losses};
use crate::error::Result;
use crate::models::{Decoder, Parameter, Parameters, Precision, tensor, values};
use crate::ops;
use crate::random::Stream;
use crate::train::{Batch, Sequence};
use burn::tensor::{Device, Tensor};
use serde::Serialize;
use serde_json::{Value, json};

/// A comparison with the CPU.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// What was computed, of which model.
    pub what: String,
    /// What products were computed in.
    pub precision: Precision,
    /// How far apart the results are, relative to the CPU's in f32.
    pub deviation: f64,
    /// How far apart they may be.
    pub bound: f64,
}

impl Comparison {
    /// Whether the results are near enough; what is no number is not.
    pub fn holds(&self) -> bool {
        self.deviation <= self.bound
    }
}

/// Steps of the training run.
const STEPS: u64 = 50;

/// How far apart (log-probs, losses) and (gradients, logits) may be. A GPU rounds factors in f32 to TF32, which has the 10 bits of a
/// half float.
fn bounds(precision: Precision) -> [f64; 2] {
    match precision {
        Precision::F32 => [1e-3, 1e-2],
        Precision::Bf16 => [2e-2, 5e-2],
    }
}

/// Something that a device computed.
struct Computed {
    what: String,
    values: Vec<f32>,
    /// Which of the bounds holds.
    bound: usize,
    distance: fn(&[f32], &[f32]) -> f64,
}

/// Compares a device with the CPU, in every precision that it knows; `each` hears of every comparison when it is there, since a GPU's
/// first ones wait for its kernels to be compiled.
pub fn parity(device: &Device, each: &mut dyn FnMut(Comparison)) -> Result<()> {
    let mut expected = Vec::new();
    computed(&Device::flex(), Precision::F32, STEPS, &mut |found| expected.push(found))?;
    for precision in [Precision::F32, Precision::Bf16] {
        if precision.is_known_to(device) {
            computed(device, precision, STEPS, &mut |found| {
                if let Some(comparison) = compare(&expected, &found, precision) {
                    each(comparison);
                }
            })?;
        }
    }
    Ok(())
}

fn compare(expected: &[Computed], found: &Computed, precision: Precision) -> Option<Comparison> {
    let expected = expected.iter().find(|expected| expected.what == found.what)?;
    let deviation = (found.distance)(&found.values, &expected.values);
    Some(Comparison { what: found.what.clone(), precision, deviation, bound: bounds(precision)[found.bound] })
}

/// Everything that is compared.
fn computed(device: &Device, precision: Precision, steps: u64, each: &mut dyn FnMut(Computed)) -> Result<()> {
    for (family, config) in families() {
        let model = moved(&random(&config, &Device::flex())?, device).computing_in(precision);
        let [log_probs, gradients] = passes(&model, device);
        let mut parts = vec![("log-probs", log_probs, 0), ("gradients", gradients, 1)];
        // Whatever a model was trained in, completions are drawn in f32.
        if precision == Precision::F32 {
            parts.push(("decoding", decoded(&model, device), 1));
        }
        let part = |(what, values, bound)| Computed { what: format!("{family}: {what}"), values, bound, distance };
        parts.into_iter().map(part).for_each(&mut *each);
    }
    let mut subject = Subject::find("bench-tiny", &Device::flex())?;
    let workload = Workload::random(&subject);
    subject.model = moved(&subject.model, device);
    subject.optimisation.precision = precision;
    let values = losses(&subject, &workload, steps, device)?.into_iter().map(|loss| loss as f32).collect();
    each(Computed { what: format!("losses of {steps} steps of DPO"), values, bound: 0, distance: greatest_distance });
    Ok(())
}

/// A small model of every kind of block: norms, activations, residuals, positions, shared keys.
fn families() -> Vec<(&'static str, Value)> {
    let llama = |model_type: &str| {
        json!({
            "model_type": model_type, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "head_dim": 16, "intermediate_size": 128, "max_position_embeddings": 128, "vocab_size": 500, "hidden_act": "silu",
        })
    };
    vec![
        (
            "gpt2",
            json!({
                "model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 128, "vocab_size": 500,
                "activation_function": "gelu_new",
            }),
        ),
        (
            "gpt_neox",
            json!({
                "model_type": "gpt_neox", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256,
                "max_position_embeddings": 128, "vocab_size": 500, "rotary_pct": 0.5, "hidden_act": "gelu",
            }),
        ),
        (
            "gptj",
            json!({
                "model_type": "gptj", "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 128, "vocab_size": 500, "rotary_dim": 8,
                "activation_function": "gelu_new",
            }),
        ),
        ("llama", llama("llama")),
        ("qwen3", llama("qwen3")),
    ]
}

/// The same model on a device.
fn moved(model: &Decoder, device: &Device) -> Decoder {
    let moved = |parameter: &Parameter| Parameter { value: tensor(values(&parameter.value), device), ..parameter.clone() };
    let parameters = Parameters(model.parameters.0.iter().map(moved).collect());
    let mut model = model.clone();
    model.parameters = parameters;
    model
}

fn texts(model: &Decoder, count: usize) -> Vec<Vec<u32>> {
    let mut stream = Stream::new(0, 0, "parity tokens", 0);
    let text = |stream: &mut Stream| {
        let length = 8 + stream.below(40);
        (0..length).map(|_| stream.below(model.config.vocabulary) as u32).collect()
    };
    (0..count).map(|_| text(&mut stream)).collect()
}

/// log p of every token of some texts, and all weights' gradients of their mean.
fn passes(model: &Decoder, device: &Device) -> [Vec<f32>; 2] {
    let texts = texts(model, 8);
    let sequences: Vec<Sequence<'_>> = texts.iter().map(|text| Sequence::whole(text)).collect();
    let tracked = model.tracked(device);
    let log_probs = Batch::new(&sequences, false, &tracked, &device.clone().autodiff()).token_log_probs(&tracked);
    let mut tape = log_probs.clone().mean().backward();
    let gradient = |leaf: &Tensor<1>| leaf.grad_remove(&mut tape).map(|gradient| values(&gradient)).unwrap_or_default();
    let gradients = tracked.parameters.trainable().map(|parameter| &parameter.value).flat_map(gradient).collect();
    [values(&log_probs.inner()), gradients]
}

/// Logits after prompts of different lengths and after each of some tokens that follow, with keys and values kept: of one text after
/// another on the CPU, of both together elsewhere.
fn decoded(model: &Decoder, device: &Device) -> Vec<f32> {
    const MORE: usize = 4;
    let texts = texts(model, 2);
    let texts = [&texts[0][..4 + MORE], &texts[1][..2 + MORE]];
    let run = |texts: &[&[u32]]| -> Vec<Vec<f32>> {
        let prompts: Vec<&[u32]> = texts.iter().map(|text| &text[..text.len() - MORE]).collect();
        let (logits, mut cache) = model.start(&prompts, 4 + MORE, device);
        let mut all = vec![values(&logits.flatten(0, 1))];
        for place in (1..=MORE).rev() {
            let ids: Vec<u32> = texts.iter().map(|text| text[text.len() - place]).collect();
            all.push(values(&model.advance(&ids, &mut cache).flatten(0, 1)));
        }
        let row = |row: usize| {
            all.iter().flat_map(move |step| step.chunks_exact(step.len() / texts.len()).nth(row).into_iter().flatten())
        };
        (0..texts.len()).map(|index| row(index).copied().collect()).collect()
    };
    if ops::is_cpu(device) { texts.iter().flat_map(|text| run(&[text])).flatten().collect() } else { run(&texts).concat() }
}

/// The length of the difference over that of what was expected.
fn distance(found: &[f32], expected: &[f32]) -> f64 {
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    let length = |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|number| number * number).sum::<f64>().sqrt();
    let apart = found.iter().zip(expected).map(|(found, expected)| f64::from(*found) - f64::from(*expected));
    length(&mut apart.into_iter()) / length(&mut expected.iter().copied().map(f64::from))
}

/// The greatest difference of two numbers, over the one that was expected; not a number where one of them is none.
fn greatest_distance(found: &[f32], expected: &[f32]) -> f64 {
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    let apart = found.iter().zip(expected).map(|(found, expected)| f64::from((found - expected).abs() / expected.abs()));
    apart.fold(0.0, |greatest, apart| if greatest >= apart { greatest } else { apart + 0.0 * greatest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::plainly;

    #[test]
    fn what_a_gpu_runs_agrees_with_the_kernels_of_the_cpu() {
        let all = |precision: Precision| {
            let mut all = Vec::new();
            computed(&Device::flex(), precision, 3, &mut |found| all.push(found)).unwrap();
            all
        };
        let expected = all(Precision::F32);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        // On the CPU products in f32 are not rounded to TF32.
        for (precision, bound) in [(Precision::F32, 1e-4), (Precision::Bf16, 1.0)] {
            let found = pool.install(|| plainly(|| all(precision)));
            for it in found.iter().filter_map(|found| compare(&expected, found, precision)) {
                assert!(it.holds() && it.deviation < bound, "{it:?}");
                assert!(it.deviation > 0.0 || it.what.ends_with("decoding"), "it was really computed another way: {it:?}");
            }
        }
    }

    #[test]
    fn a_result_that_is_off_or_no_number_is_told() {
        let off = |found: &[f32]| Comparison {
            what: String::new(),
            precision: Precision::F32,
            deviation: distance(found, &[3.0, 4.0]),
            bound: 0.1,
        };
        assert!(off(&[3.0, 4.4]).holds());
        assert!(!off(&[3.0, 4.6]).holds());
        assert!(!off(&[3.0]).holds() && !off(&[f32::NAN, 4.0]).holds());
        assert!((greatest_distance(&[1.0, 2.5, 4.0], &[1.0, 2.0, 4.0]) - 0.25).abs() < 1e-6);
        assert!(greatest_distance(&[1.0, f32::NAN, 5.0], &[1.0, 2.0, 4.0]).is_nan());
    }
}
