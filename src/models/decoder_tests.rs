//! The decoder against `transformers`: the fixture was made by tests/parity/make_fixtures.py.

use super::generate::generate;
use super::hf::Stored;
use super::{Decoder, DecoderConfig, Sampling};
use crate::random::Stream;
use crate::train::{Sequence, divergences};
use burn::tensor::Device;
use serde_json::Value;
use std::path::Path;

fn fixture() -> Value {
    serde_json::from_str(include_str!("../../tests/parity/gpt2/expected.json")).expect("JSON")
}

/// The fixture's model with the weights of one of its files.
fn model(file: &str) -> Decoder {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/gpt2");
    let folder = tempfile::tempdir().expect("a folder");
    for (from, to) in [("config.json", "config.json"), (file, "model.safetensors")] {
        std::fs::copy(fixture.join(from), folder.path().join(to)).expect("copied");
    }
    Decoder::load(folder.path(), &Device::flex()).expect("a model")
}

fn numbers(json: &Value) -> Vec<f64> {
    json.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number")).collect()
}

fn ids(json: &Value) -> Vec<u32> {
    numbers(json).into_iter().map(|id| id as u32).collect()
}

#[test]
fn log_probs_of_sequences_of_different_lengths_are_those_of_transformers() {
    let fixture = fixture();
    let sequences: Vec<Vec<u32>> = fixture["sequences"].as_array().expect("list").iter().map(|s| ids(&s["ids"])).collect();
    let batch: Vec<Sequence<'_>> = sequences.iter().map(|s| Sequence { prompt: &s[..1], completion: &s[1..] }).collect();
    let model = model("model.safetensors");
    let log_probs = crate::train::Batch::new(&batch, false, &model, &Device::flex()).token_log_probs(&model);
    let mut values = super::values(&log_probs).into_iter().map(f64::from);
    for (row, wanted) in fixture["sequences"].as_array().expect("list").iter().enumerate() {
        for (index, wanted) in numbers(&wanted["logprobs"]).into_iter().enumerate() {
            let got = values.next().expect("a value of every token");
            assert!((got - wanted).abs() < 1e-4, "sequence {row}, token {index}: {got} is not {wanted}");
        }
    }
}

#[test]
fn gradients_are_those_of_transformers() {
    let fixture = fixture();
    let sequences: Vec<Vec<u32>> = fixture["sequences"].as_array().expect("list").iter().map(|s| ids(&s["ids"])).collect();
    let batch: Vec<Sequence<'_>> = sequences.iter().map(|s| Sequence { prompt: &s[..1], completion: &s[1..] }).collect();
    let device = Device::flex();
    let model = model("model.safetensors").tracked(&device);
    let sum = crate::train::Batch::new(&batch, false, &model, &device.autodiff()).token_log_probs(&model).sum();
    let mut tape = sum.backward();
    for wanted in fixture["gradients"].as_array().expect("list") {
        let name = wanted["name"].as_str().expect("a name");
        let places = model.config.places().into_iter().zip(&model.parameters.0);
        let mut named = places.filter(|((place, _), _)| model.origin.stored(&model.config, *place) == Stored::AsIs(name.into()));
        let (_, parameter) = named.next().expect("the weight");
        let gradient = parameter.value.grad_remove(&mut tape).expect("a gradient");
        for (got, wanted) in super::values(&gradient).into_iter().zip(numbers(&wanted["values"])) {
            assert!((f64::from(got) - wanted).abs() < 1e-4 * wanted.abs().max(1.0), "{name}: {got} is not {wanted}");
        }
    }
}

#[test]
fn greedy_continuations_with_the_cache_are_those_of_transformers() {
    let fixture = fixture();
    let model = model("model.safetensors");
    for wanted in fixture["sequences"].as_array().expect("list") {
        let prompt = ids(&wanted["ids"]);
        let (mut logits, mut cache) = model.start(&[&prompt], prompt.len() + 12, &Device::flex());
        let mut got = Vec::new();
        for _ in 0..12 {
            let next = logits.argmax(1).to_data().iter::<i64>().next().expect("one");
            got.push(next as f64);
            logits = model.advance(&[next as u32], &mut cache);
        }
        assert_eq!(got, numbers(&wanted["greedy"]));
    }
}

#[test]
fn exact_kl_and_entropy_are_those_of_transformers() {
    let fixture = fixture();
    let (policy, reference) = (model("model.safetensors"), model("model_b.safetensors"));
    for wanted in fixture["sequences"].as_array().expect("list") {
        let tokens = ids(&wanted["ids"]);
        let sequence = Sequence { prompt: &tokens[..1], completion: &tokens[1..] };
        let got = divergences(&policy, &reference, &[sequence], &Device::flex(), |_| ())[0];
        let steps = tokens.len() - 1;
        let sum = |key: &str| numbers(&wanted[key])[..steps].iter().sum::<f64>();
        assert!((got.kl - sum("kl")).abs() < 1e-3, "{} is not {}", got.kl, sum("kl"));
        assert!((got.entropy - sum("entropy")).abs() < 1e-3);
        assert!((got.log_ratio - (sum("logprobs") - sum("logprobs_b"))).abs() < 1e-3);
    }
}

#[test]
fn a_text_past_the_positions_that_a_model_learned_is_an_error_and_not_a_panic() {
    let config = DecoderConfig::gpt2(11, 8, 8, 1, 2);
    let model = Decoder::new(config, &mut Stream::new(0, 0, "test", 0), &Device::flex());
    let drawn = |new_tokens: usize| {
        let sampling = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, max_new_tokens: new_tokens, samples: 1 };
        let streams = |_: usize, _: usize| Stream::new(0, 0, "test", 1);
        generate(&model, &[vec![1, 2, 3]], &[], sampling, &Device::flex(), streams, |_| ())
    };
    assert_eq!(drawn(5).unwrap()[0][0].tokens.len(), 5);
    assert!(drawn(6).unwrap_err().to_string().contains("8 positions"));
}
