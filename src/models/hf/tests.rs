//! Every family and variant against `transformers`: the fixtures were made by tests/parity/make_families.py.

use crate::models::encoder::Encoder;
use crate::models::hf::Fields;
use crate::models::{Decoder, Sampling, generate::generate};
use crate::random::Stream;
use crate::train::{Batch, Sequence};
use burn::tensor::Device;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn families() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/families")
}

/// Name, folder and expectations of every fixture of one kind, but for encoders or for decoders.
pub(super) fn fixtures(kind: &str) -> Vec<(String, PathBuf, Value)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(families()).expect("fixtures").flatten() {
        let folder = entry.path();
        let Ok(text) = std::fs::read_to_string(folder.join("expected.json")) else { continue };
        let expected: Value = serde_json::from_str(&text).expect("JSON");
        if expected["kind"] == kind {
            found.push((entry.file_name().to_string_lossy().into_owned(), folder, expected));
        }
    }
    assert!(!found.is_empty(), "fixtures of kind {kind}");
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

pub(super) fn floats(json: &Value) -> Vec<f64> {
    json.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number")).collect()
}

fn ids(json: &Value) -> Vec<u32> {
    floats(json).into_iter().map(|id| id as u32).collect()
}

pub(super) fn list<'a>(json: &'a Value, key: &str) -> &'a [Value] {
    json[key].as_array().expect("a list")
}

pub(super) fn close(got: &[f64], wanted: &[f64], what: &str) {
    assert_eq!(got.len(), wanted.len(), "{what}");
    for (index, (got, wanted)) in got.iter().zip(wanted).enumerate() {
        assert!((got - wanted).abs() < 1e-4, "{what}, number {index}: {got} is not {wanted}");
    }
}

/// log p of every token but the first, of all sequences together.
pub(super) fn log_probs(model: &Decoder, sequences: &[Vec<u32>]) -> Vec<f64> {
    let batch: Vec<Sequence<'_>> = sequences.iter().map(|s| Sequence { prompt: &s[..1], completion: &s[1..] }).collect();
    let values = Batch::new(&batch, false, model, &Device::flex()).token_log_probs(model);
    crate::models::values(&values).into_iter().map(f64::from).collect()
}

pub(super) fn expected_log_probs(expected: &Value) -> (Vec<Vec<u32>>, Vec<Vec<f64>>) {
    list(expected, "sequences").iter().map(|s| (ids(&s["ids"]), floats(&s["logprobs"]))).unzip()
}

#[test]
fn log_probs_are_those_of_transformers_one_by_one_and_together() {
    for (name, folder, expected) in fixtures("causal-lm") {
        let model = Decoder::load(&folder, &Device::flex()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (sequences, wanted) = expected_log_probs(&expected);
        close(&log_probs(&model, &sequences), &wanted.concat(), &format!("{name}, together"));
        for (sequence, wanted) in sequences.iter().zip(&wanted) {
            close(&log_probs(&model, std::slice::from_ref(sequence)), wanted, &name);
        }
    }
}

#[test]
fn greedy_continuations_are_those_of_transformers_with_the_cache_and_without() {
    for (name, folder, expected) in fixtures("causal-lm") {
        let model = Decoder::load(&folder, &Device::flex()).expect("a model");
        let prompts: Vec<Vec<u32>> = list(&expected, "greedy").iter().map(|g| ids(&g["prompt"])).collect();
        let wanted: Vec<Vec<u32>> = list(&expected, "greedy").iter().map(|g| ids(&g["continuation"])).collect();
        let sampling = Sampling { temperature: 0.0, top_k: 0, top_p: 1.0, max_new_tokens: wanted[0].len(), samples: 1 };
        // Prompts of all lengths at once.
        let streams = |prompt, _| Stream::new(0, 0, "parity", prompt as u64);
        let drawn = generate(&model, &prompts, &[], sampling, &Device::flex(), streams, |_| ()).unwrap();
        for (index, wanted) in wanted.iter().enumerate() {
            assert_eq!(&drawn[index][0].tokens, wanted, "{name}, prompt {index}, with the cache");
            let mut tokens = prompts[index].clone();
            for wanted in wanted {
                let (logits, _) = model.start(&[&tokens], tokens.len(), &Device::flex());
                let next = logits.argmax(1).to_data().iter::<i64>().next().expect("one") as u32;
                assert_eq!(next, *wanted, "{name}, prompt {index}, without the cache");
                tokens.push(next);
            }
        }
    }
}

#[test]
fn what_is_saved_is_read_again_under_the_same_names() {
    let temporary = tempfile::tempdir().expect("a folder");
    for (name, folder, expected) in fixtures("causal-lm") {
        let model = Decoder::load(&folder, &Device::flex()).expect("a model");
        let copy = temporary.path().join(&name);
        std::fs::create_dir(&copy).expect("a folder");
        model.save(&copy).expect("saved");
        let (sequences, _) = expected_log_probs(&expected);
        let again = Decoder::load(&copy, &Device::flex()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(log_probs(&again, &sequences), log_probs(&model, &sequences), "{name}");
        let names = |folder: &Path| {
            let weights = super::Weights::open(folder).expect("weights");
            let mut names: Vec<(String, Vec<usize>)> =
                weights.names().map(|name| (name.to_owned(), weights.shape(name).expect("a shape"))).collect();
            names.sort();
            names
        };
        // Other variants differ on purpose: bare names, buffers beside the weights.
        if expected["edited"].is_null() {
            assert_eq!(names(&copy), names(&folder), "{name}");
        }
    }
}

#[test]
fn gradients_reach_every_weight() {
    for (name, folder, expected) in fixtures("causal-lm") {
        let device = Device::flex();
        let model = Decoder::load(&folder, &device).expect("a model").tracked(&device);
        let (sequences, _) = expected_log_probs(&expected);
        let batch: Vec<Sequence<'_>> = sequences.iter().map(|s| Sequence { prompt: &s[..1], completion: &s[1..] }).collect();
        let mut tape = Batch::new(&batch, false, &model, &device.autodiff()).token_log_probs(&model).sum().backward();
        for parameter in &model.parameters.0 {
            let gradient = parameter.value.grad_remove(&mut tape);
            let gradient = gradient.unwrap_or_else(|| panic!("{name}: no gradient of {}", parameter.name));
            let largest = crate::models::values(&gradient).into_iter().fold(0.0, |most: f32, value| most.max(value.abs()));
            assert!(largest > 0.0 && largest.is_finite(), "{name}: gradient of {} is {largest}", parameter.name);
        }
    }
}

#[test]
fn logits_of_classifiers_are_those_of_transformers() {
    for (name, folder, expected) in fixtures("sequence-classifier") {
        let sequences: Vec<Vec<u32>> = list(&expected, "inputs").iter().map(|input| ids(&input["ids"])).collect();
        let wanted: Vec<Vec<f64>> = list(&expected, "logits").iter().map(floats).collect();
        let (_, fields) = Fields::open(&folder).expect("a config");
        let labels: Vec<&str> = list(&expected, "labels").iter().filter_map(Value::as_str).collect();
        let got: Vec<Vec<f32>> = if super::encoders::EncoderFamily::knows(&fields) {
            let encoder = Encoder::load(&folder, &Device::flex()).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(encoder.labels(), labels, "{name}");
            encoder.logits(&sequences, |_| ()).expect("logits")
        } else {
            let model = Decoder::load(&folder, &Device::flex()).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(fields.labels().expect("labels"), labels, "{name}");
            model.classify(&sequences, &Device::flex())
        };
        for (index, (got, wanted)) in got.iter().zip(&wanted).enumerate() {
            let got: Vec<f64> = got.iter().map(|logit| f64::from(*logit)).collect();
            close(&got, wanted, &format!("{name}, input {index}"));
        }
    }
}
