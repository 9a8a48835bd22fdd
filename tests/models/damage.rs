//! Models that are not what they should be: a clear error that names the file, exit code 2, no panic.

use super::{lab, model};
use proptest::prelude::*;
use std::fs;
use std::path::Path;

/// What `score` says of a model that `damage` was done to.
#[track_caller]
fn refused(name: &str, damage: impl Fn(&Path), says: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = model(folder.path(), name, true);
    damage(&copy);
    fs::write(folder.path().join("rows.jsonl"), "{\"prompt\": \"w5\", \"completion\": \"w6\"}\n").expect("written");
    let output = lab(folder.path(), &["score", name, "rows.jsonl"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in says {
        assert!(said.contains(part), "{part:?} is not in {said:?}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

/// config.json with other values.
fn configure(folder: &Path, changes: &[(&str, serde_json::Value)]) {
    let path = folder.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).expect("read")).expect("JSON");
    for (key, value) in changes {
        config[*key] = value.clone();
    }
    fs::write(path, config.to_string()).expect("written");
}

fn edit_weights(folder: &Path, edit: impl Fn(&mut Vec<u8>)) {
    let path = folder.join("model.safetensors");
    let mut bytes = fs::read(&path).expect("read");
    edit(&mut bytes);
    fs::write(path, bytes).expect("written");
}

#[test]
fn weights_that_are_cut_or_scrambled() {
    let file = "llama_grouped/model.safetensors";
    refused("llama_grouped", |folder| edit_weights(folder, |bytes| bytes.truncate(bytes.len() / 2)), &[file, "damaged"]);
    refused("llama_grouped", |folder| edit_weights(folder, Vec::clear), &[file]);
    refused("llama_grouped", |folder| edit_weights(folder, |bytes| bytes[0..8].fill(0xff)), &[file, "damaged"]);
    refused(
        "llama_grouped",
        |folder| fs::remove_file(folder.join("model.safetensors")).expect("removed"),
        &["has no model.safetensors"],
    );
    let not_a_number = |bytes: &mut Vec<u8>| {
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    };
    refused("llama_grouped", |folder| edit_weights(folder, not_a_number), &[file, "is NaN at element"]);
}

#[test]
fn a_shard_that_is_missing_or_elsewhere() {
    let index = "qwen3/model.safetensors.index.json";
    refused(
        "qwen3",
        |folder| fs::remove_file(folder.join("model-00002-of-00002.safetensors")).expect("removed"),
        &["model-00002-of-00002"],
    );
    let elsewhere = |folder: &Path| {
        let path = folder.join("model.safetensors.index.json");
        let text = fs::read_to_string(&path).expect("read").replace("model-00001-of-00002", "../x/model-00001-of-00002");
        fs::write(path, text).expect("written");
    };
    refused("qwen3", elsewhere, &[index, "not the name of a file in the same folder"]);
}

#[test]
fn a_config_that_lies_about_shapes() {
    let config = |changes: &'static [(&'static str, i64)]| {
        move |folder: &Path| {
            let changes: Vec<(&str, serde_json::Value)> = changes.iter().map(|(key, value)| (*key, (*value).into())).collect();
            configure(folder, &changes);
        }
    };
    let file = "llama_grouped/model.safetensors does not fit its config.json";
    refused("llama_grouped", config(&[("intermediate_size", 7)]), &[file, "mlp.gate_proj.weight is", "and", "more"]);
    refused("llama_grouped", config(&[("num_hidden_layers", 1)]), &[file, "surplus model.layers.1"]);
    refused("llama_grouped", config(&[("num_hidden_layers", 3)]), &[file, "missing model.layers.2"]);
    refused("llama_grouped", config(&[("vocab_size", -1)]), &["llama_grouped/config.json", "`vocab_size` is -1, not a size"]);
    refused("llama_grouped", config(&[("num_attention_heads", 0)]), &["llama_grouped/config.json"]);
    refused("llama_grouped", config(&[("num_hidden_layers", 200_000_000)]), &["blocks are more than any model has"]);
    refused(
        "llama_grouped",
        |folder| fs::write(folder.join("config.json"), "{").expect("written"),
        &["config.json is not a JSON object"],
    );
}

#[test]
fn what_a_config_asks_for_and_is_not_supported_is_named() {
    let asks = |key: &'static str, value: serde_json::Value| move |folder: &Path| configure(folder, &[(key, value.clone())]);
    refused("llama_grouped", asks("model_type", "mamba".into()), &["model type \"mamba\" is not supported"]);
    refused("llama_grouped", asks("hidden_act", "relu2".into()), &["activation \"relu2\""]);
    let yarn = serde_json::json!({ "rope_type": "yarn", "factor": 4.0 });
    refused("llama_grouped", asks("rope_scaling", yarn.clone()), &["rope scaling \"yarn\""]);
    refused("llama_grouped", asks("rope_parameters", yarn), &["rope scaling \"yarn\""]);
    refused(
        "llama_grouped",
        asks("quantization_config", serde_json::json!({ "quant_method": "gptq" })),
        &["quantised with gptq"],
    );
    refused("mistral", asks("sliding_window", 4.into()), &["sliding window of 4 tokens"]);
    refused("gpt2", asks("scale_attn_by_inverse_layer_idx", true.into()), &["`scale_attn_by_inverse_layer_idx` = true"]);
}

#[test]
fn a_tokenizer_of_another_model() {
    let larger = |folder: &Path| {
        let path = folder.join("tokenizer.json");
        let text = fs::read_to_string(&path).expect("read").replace("\"w39\": 39", "\"w39\": 39999");
        fs::write(path, text).expect("written");
    };
    refused("llama_grouped", larger, &["the tokenizer has token 39999, but the embedding has only"]);
    refused(
        "llama_grouped",
        |folder| fs::remove_file(folder.join("tokenizer.json")).expect("removed"),
        &["tokenizer.json is missing"],
    );
    refused("llama_grouped", |folder| fs::write(folder.join("tokenizer.json"), "[]").expect("written"), &["tokenizer.json"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever bytes of the files change, loading ends with a model or an error.
    #[test]
    fn scrambled_files_never_panic(file in 0usize..2, places in prop::collection::vec((0usize..4000, any::<u8>()), 1..6)) {
        let folder = tempfile::tempdir().expect("a folder");
        let copy = model(folder.path(), "llama_tied", true);
        let path = copy.join(["config.json", "model.safetensors"][file]);
        let mut bytes = fs::read(&path).expect("read");
        for (place, byte) in places {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        fs::write(path, bytes).expect("written");
        let _ = dpo_lab::models::Policy::load(&copy, &burn::tensor::Device::flex());
    }

    #[test]
    fn configs_of_any_sizes_never_panic(key in 0usize..8, size in prop_oneof![Just(0u64), 1u64..100, Just(1 << 28), Just(u64::MAX)]) {
        let keys = ["hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim", "vocab_size", "intermediate_size",
            "num_hidden_layers", "max_position_embeddings"];
        let folder = tempfile::tempdir().expect("a folder");
        let copy = model(folder.path(), "llama_tied", true);
        configure(&copy, &[(keys[key], size.into())]);
        let _ = dpo_lab::models::Policy::load(&copy, &burn::tensor::Device::flex());
    }
}
