//! Adapters of every family: what they promise, and against PEFT, whose adapters and numbers tests/parity/make_lora.py made.

use super::tests::{close, expected_log_probs, fixtures, log_probs};
use super::{Weights, peft};
use crate::models::lora::{Lora, Module};
use crate::models::{Decoder, Parameter, values};
use crate::random::Stream;
use crate::train::{Batch, Sequence};
use burn::tensor::{Device, Tensor};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const RANK: usize = 3;

fn settings(targets: &[&str]) -> Lora {
    Lora { rank: RANK, alpha: 5.0, targets: targets.iter().map(|target| (*target).to_owned()).collect() }
}

fn stream() -> Stream {
    Stream::new(0, 0, "adapter tests", 0)
}

/// Every family's model and sequences.
fn models() -> impl Iterator<Item = (String, Decoder, Vec<Vec<u32>>)> {
    fixtures("causal-lm").into_iter().map(|(name, folder, expected)| {
        let model = Decoder::load(&folder, &Device::flex()).expect("a model");
        (name, model, expected_log_probs(&expected).0)
    })
}

/// The model with random adapters, B as large as A.
fn adapted(model: &Decoder, settings: &Lora) -> Decoder {
    let mut model = model.with_adapters(settings, &mut stream(), &Device::flex()).expect("adapters");
    let mut noise = Stream::new(1, 0, "adapter tests", 0);
    for parameter in model.parameters.trainable_mut() {
        let count = parameter.shape.iter().product();
        parameter.value = crate::models::tensor((0..count).map(|_| 0.2 * noise.normal() as f32).collect(), &Device::flex());
    }
    model
}

fn host(parameter: &Parameter) -> Vec<f32> {
    values(&parameter.value)
}

#[test]
fn fresh_adapters_change_nothing_to_the_bit() {
    for (name, model, sequences) in models() {
        let fresh = model.with_adapters(&settings(&["all-linear"]), &mut stream(), &Device::flex()).expect("adapters");
        assert_eq!(log_probs(&fresh, &sequences), log_probs(&model, &sequences), "{name}");
        for pair in fresh.adapter_values() {
            let (a, bound) = (host(&pair[0]), 1.0 / (pair[0].shape[0] as f32).sqrt());
            let most = a.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            assert!(most <= bound && most > 0.7 * bound, "{name}, {}: {most} of {bound}", pair[0].name);
            assert!(host(&pair[1]).iter().all(|value| *value == 0.0), "{name}, {}", pair[1].name);
        }
    }
}

#[test]
fn adapters_change_a_model_as_their_sum_with_its_weights_does_and_can_be_turned_off() {
    for (name, model, sequences) in models() {
        for target in ["all-linear"].into_iter().chain(short_names(&model).iter().map(String::as_str)) {
            let adapted = adapted(&model, &settings(&[target]));
            let (plain, with) = (log_probs(&model, &sequences), log_probs(&adapted, &sequences));
            let largest = plain.iter().zip(&with).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(largest > 1e-3, "{name}: adapters of {target} change nothing");
            let merged = adapted.merged();
            assert!(merged.adapters().is_none() && merged.parameters.0.len() == model.parameters.0.len());
            for (attached, merged) in with.iter().zip(log_probs(&merged, &sequences)) {
                assert!((attached - merged).abs() < 1e-5 * merged.abs().max(1.0), "{name}, {target}: {attached} is not {merged}");
            }
            assert_eq!(log_probs(&adapted.without_adapters(), &sequences), plain, "{name}");
        }
    }
}

fn short_names(model: &Decoder) -> Vec<String> {
    let mut names: Vec<String> =
        Module::all(&model.config, &model.origin).iter().map(|module| module.short_name().to_owned()).collect();
    names.sort();
    names.dedup();
    names
}

/// Gradients of the sum of all log-probs, of every parameter that has one.
fn gradients(model: &Decoder, sequences: &[Vec<u32>]) -> Vec<Option<Vec<f32>>> {
    let device = Device::flex();
    let model = model.tracked(&device);
    let batch: Vec<Sequence<'_>> = sequences.iter().map(|s| Sequence { prompt: &s[..1], completion: &s[1..] }).collect();
    let mut tape = Batch::new(&batch, false, &model, &device.autodiff()).token_log_probs(&model).sum().backward();
    let gradient = |parameter: &Parameter| Some(values(&parameter.value.grad_remove(&mut tape)?));
    model.parameters.0.iter().map(gradient).collect()
}

/// With G the gradient of W + A B s, that of A is s G B^T, and that of B is s A^T G.
#[test]
fn gradients_of_adapters_are_projections_of_those_of_the_weights_which_get_none() {
    let device = Device::flex();
    for (name, model, sequences) in models() {
        let adapted = adapted(&model, &settings(&["all-linear"]));
        let (whole, own) = (gradients(&adapted.merged(), &sequences), gradients(&adapted, &sequences));
        let adapters = adapted.adapters().expect("adapters");
        assert!(own[..adapted.places()].iter().all(Option::is_none), "{name}: a frozen weight has a gradient");
        let scale = (adapters.settings.alpha / adapters.settings.rank as f64) as f32;
        let matrix =
            |values: &[f32], shape: [usize; 2]| -> Tensor<2> { Tensor::<1>::from_floats(values, &device).reshape(shape) };
        for (index, (module, pair)) in adapters.modules.iter().zip(adapted.adapter_values()).enumerate() {
            let (place, columns) = module.columns();
            let weight = adapted.position(place);
            let packed = adapted.parameters.0[weight].shape[1];
            let gradient = matrix(whole[weight].as_ref().expect("a gradient"), [module.shape[0], packed]).slice_dim(1, columns);
            let [a, b] = [0, 1].map(|which| matrix(&host(&pair[which]), module.shapes(RANK)[which]));
            let wanted = [gradient.clone().matmul(b.transpose()) * scale, a.transpose().matmul(gradient) * scale];
            for (which, wanted) in wanted.into_iter().enumerate() {
                let got = own[adapted.places() + 2 * index + which].as_ref().expect("a gradient");
                let wanted: Vec<f32> = wanted.to_data().iter::<f32>().collect();
                let largest = wanted.iter().fold(1.0_f32, |most, value| most.max(value.abs()));
                for (got, wanted) in got.iter().zip(&wanted) {
                    assert!((got - wanted).abs() < 1e-4 * largest, "{name}, {}: {got} is not {wanted}", pair[which].name);
                }
            }
        }
    }
}

#[test]
fn a_new_score_head_is_trained_beside_adapters() {
    for (name, model, _) in models() {
        let scoring = adapted(&model, &settings(&["all-linear"])).with_scalar_head(&Device::flex());
        let trained: Vec<&str> = scoring.parameters.trainable().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!(trained.iter().filter(|name| **name == "Score").count(), 1, "{name}");
        assert!(trained.iter().all(|parameter| *parameter == "Score" || parameter.contains("adapter")), "{name}: {trained:?}");
        assert_eq!(scoring.merged().parameters.0.len(), scoring.config.places().len(), "{name}");
    }
}

#[test]
fn what_is_saved_is_read_again_under_the_names_and_shapes_of_peft() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, model, sequences) in models() {
        let (adapted, folder) = (adapted(&model, &settings(&["all-linear"])), folder.path().join(&name));
        adapted.save_adapters(&folder, "some/model").expect("saved");
        let again = model.load_adapters(&folder, &Device::flex()).expect("read");
        assert_eq!(log_probs(&again, &sequences), log_probs(&adapted, &sequences), "{name}");
        assert_eq!(peft::base(&folder).expect("read"), Some("some/model".to_owned()));
        let file = folder.join("adapter_model.safetensors");
        let weights = Weights::of(file.clone(), &[file]).expect("a file");
        for Module { name, shape: [inputs, outputs], .. } in &adapted.adapters().expect("adapters").modules {
            let shape = |which| weights.shape(&format!("base_model.model.{name}.lora_{which}.weight"));
            assert_eq!([shape("A"), shape("B")], [Some(vec![RANK, *inputs]), Some(vec![*outputs, RANK])], "{name}");
        }
        assert_eq!(weights.names().count(), 2 * again.adapters().expect("adapters").modules.len(), "{name}");
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/lora").join(name)
}

fn base_of(name: &str) -> Decoder {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/families").join(name);
    Decoder::load(&folder, &Device::flex()).expect("a model")
}

#[test]
fn adapters_of_peft_give_its_log_probs() {
    for name in ["gpt2", "gpt_neox_parallel", "llama_grouped"] {
        let text = std::fs::read_to_string(fixture(name).join("expected.json")).expect("expectations");
        let expected: Value = serde_json::from_str(&text).expect("JSON");
        let (model, (sequences, wanted)) = (base_of(name), expected_log_probs(&expected));
        let adapted = model.load_adapters(&fixture(name), &Device::flex()).unwrap_or_else(|error| panic!("{name}: {error}"));
        close(&log_probs(&adapted, &sequences), &wanted.concat(), name);
        let plain = log_probs(&model, &sequences);
        assert!(plain.iter().zip(wanted.concat()).any(|(plain, wanted)| (plain - wanted).abs() > 0.01), "{name} says nothing");
    }
}

/// A copy of the fixture of GPT-2 with another value in its adapter_config.json.
fn edited(key: &str, value: Value) -> Result<Decoder, String> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(fixture("gpt2").join("adapter_model.safetensors"), folder.path().join("adapter_model.safetensors"))
        .expect("copied");
    let text = std::fs::read_to_string(fixture("gpt2").join(peft::CONFIG)).expect("read");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    config[key] = value;
    std::fs::write(folder.path().join(peft::CONFIG), config.to_string()).expect("written");
    base_of("gpt2").load_adapters(folder.path(), &Device::flex()).map_err(|error| error.to_string())
}

#[test]
fn adapters_that_are_something_else_are_refused_by_name() {
    // What a pattern, or a list that leaves out layers otherwise, means is what the file has.
    for targets in [json!(".*c_attn"), json!(["c_proj"])] {
        let adapted = edited("target_modules", targets).expect("adapters");
        assert_eq!(adapted.adapters().expect("adapters").settings.targets[0], "transformer.h.0.attn.c_attn");
    }
    let adapted = edited("inference_mode", json!(false)).expect("adapters");
    assert_eq!(adapted.adapters().expect("adapters").settings.targets, ["c_attn", "c_fc", "mlp.c_proj"]);
    for (key, value, says) in [
        ("peft_type", json!("IA3"), "\"IA3\" are not supported"),
        ("use_dora", json!(true), "`use_dora` = true is not supported"),
        ("use_rslora", json!(true), "`use_rslora` = true is not supported"),
        ("bias", json!("all"), "`bias` = \"all\" is not supported"),
        ("modules_to_save", json!(["lm_head"]), "`modules_to_save` = [\"lm_head\"] is not supported"),
        ("rank_pattern", json!({ "c_attn": 2 }), "`rank_pattern`"),
        ("r", json!(7), "lora_A.weight is"),
        ("r", json!(0), "`r` is 0"),
        ("lora_alpha", json!("much"), "`lora_alpha` is \"much\", not a number"),
    ] {
        let error = edited(key, value).expect_err(key);
        assert!(error.contains(says), "{says:?} is not in {error}");
    }
    let other = base_of("llama_grouped").load_adapters(&fixture("gpt2"), &Device::flex()).expect_err("another family's");
    assert!(other.to_string().contains("surplus base_model.model.transformer.h.0.attn.c_attn.lora_A.weight"), "{other}");
}

#[test]
fn targets_match_as_in_peft_and_must_match_something() {
    let modules = |model: &str| {
        let model = base_of(model);
        Module::all(&model.config, &model.origin)
    };
    let names = |model: &str, targets: &[&str]| -> Vec<String> {
        settings(targets).choose(modules(model)).expect("modules").into_iter().map(|module| module.name).collect()
    };
    assert_eq!(
        names("llama_grouped", &["v_proj", "model.layers.1.mlp.up_proj"])[..2],
        ["model.layers.0.self_attn.v_proj", "model.layers.1.self_attn.v_proj"]
    );
    let in_first = names("gpt2", &["c_proj"]).into_iter().filter(|name| name.contains(".h.0.")).collect::<Vec<_>>();
    assert_eq!(in_first, ["transformer.h.0.attn.c_proj", "transformer.h.0.mlp.c_proj"]);
    assert_eq!(names("gpt2", &["attn.c_proj"])[0], "transformer.h.0.attn.c_proj");
    assert_eq!(names("gpt2", &["all-linear"]).len(), modules("gpt2").len());
    for unknown in ["proj", "q_proj", "lm_head", "wte"] {
        let mistake = settings(&["c_attn", unknown]).choose(modules("gpt2")).expect_err(unknown);
        assert_eq!(mistake.key, "targets");
        assert!(mistake.what.contains(&format!("`{unknown}`")) && mistake.hint.contains("c_attn, c_fc, c_proj"), "{mistake:?}");
    }
    let mistake = Lora { rank: 1000, ..Lora::default() }.choose(modules("gpt2")).expect_err("too much");
    assert_eq!(mistake.key, "rank");
}
