//! What a plan will cost: gathers what files and the store know, and hands it to the plan's own arithmetic.

use super::study::Prepared;
use crate::models::hf;
use crate::plan::cost::{Ahead, Contents, Cost, Known, MAIN, Made, Rates, Shape, Texts, Thing, Worker, costs};
use crate::plan::{Kind, Stage, Work};
use crate::resolve::Corpus;
use crate::stages::{Completions, Labelled, read_json};
use crate::store::{Key, Manifest, State, Store};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// Bytes of a token of English, about.
const BYTES_PER_TOKEN: f64 = 4.0;

/// Costs of all stages of a plan, in its order, where workers share the cores as `ahead` says.
pub(super) fn of(prepared: &Prepared, store: &Store, ahead: Ahead) -> Vec<Cost> {
    let mut known = Known::default();
    for stage in &prepared.plan.stages {
        if let Some(contents) = contents(stage, store) {
            known.artifacts.insert(stage.key, contents);
        }
        if let (Work::Given { count: 0, .. }, Some(Corpus::Files(files))) = (&stage.work, &stage.corpus) {
            let bytes: u64 = files.iter().filter_map(|file| Some(std::fs::metadata(&file.path).ok()?.len())).sum();
            known.corpora.insert(stage.key, bytes as f64 / BYTES_PER_TOKEN);
        }
    }
    let is_gpu = prepared.devices.first().is_some_and(|device| device != "cpu");
    costs(&prepared.plan.stages, &known, Worker { threads: ahead.threads(), is_gpu })
}

/// What files say of an artifact: of a pretrained model its config.json, of texts in the store their numbers. What cannot be read is
/// left to the stage that needs it.
fn contents(stage: &Stage, store: &Store) -> Option<Contents> {
    match (&stage.work, &stage.model) {
        (Work::Pretrained {}, Some(model)) => {
            let config = hf::config(&model.path).ok()?;
            return Some(Contents { model: Some(Shape::of(&config)), ..Contents::default() });
        }
        (Work::PretrainedClassifier {}, Some(model)) => {
            return Some(Contents { model: encoder(&model.path), ..Contents::default() });
        }
        _ => {}
    }
    let writes_texts = matches!(stage.work.kind(), Kind::Prompts | Kind::Samples | Kind::Comparisons);
    if !writes_texts || store.state(&stage.key) != State::Present {
        return None;
    }
    let folder = store.path(&stage.key);
    let lengths = |texts: &[Vec<u32>]| Texts::of(&texts.iter().map(Vec::len).collect::<Vec<_>>());
    let prompts: Option<Vec<Vec<u32>>> = read_json(&folder.join("prompts.json")).ok();
    let completions = Completions::read(&folder).ok();
    let labelled: Option<Labelled> = read_json(&folder.join("comparisons.json")).ok();
    Some(Contents {
        prompts: prompts.and_then(|prompts| lengths(&prompts)),
        completions: completions.and_then(|completions| lengths(&completions.tokens)),
        pairs: labelled.map(|labelled| labelled.pairs.len() as f64),
        ..Contents::default()
    })
}

/// The shape of a classifier of another architecture, by the names that encoders' config.json share.
fn encoder(folder: &Path) -> Option<Shape> {
    let config: Value = read_json(&folder.join("config.json")).ok()?;
    let number = |names: &[&str]| names.iter().find_map(|name| config[*name].as_f64());
    let (width, layers) = (number(&["hidden_size", "dim"])?, number(&["num_hidden_layers", "n_layers"])?);
    let inner = number(&["intermediate_size", "hidden_dim"]).unwrap_or(4.0 * width);
    let (vocabulary, context) = (number(&["vocab_size"])?, number(&["max_position_embeddings"]).unwrap_or(512.0));
    let body = layers * (4.0 * width * width + 2.0 * width * inner);
    let weights = body + (vocabulary + context) * width;
    Some(Shape { weights, trained: weights, body, layers, width, queries: width, keys: width, vocabulary, context })
}

/// Throughput of the stages in the store that were made on this device. One without a record of its operations counts where the plan
/// has it.
pub(super) fn rates(prepared: &Prepared, store: &Store, costs: &[Cost]) -> Rates {
    let planned: HashMap<&Key, &Cost> = prepared.plan.stages.iter().map(|stage| &stage.key).zip(costs).collect();
    let device = prepared.devices.first().map_or("cpu", |device| class(device));
    let keys = store.keys();
    let manifests: HashMap<&Key, Manifest> = keys.iter().filter_map(|key| Some((key, store.manifest(key)?))).collect();
    let made = manifests.iter().filter(|(_, manifest)| class(&manifest.record.device) == device).filter_map(|(key, manifest)| {
        let kind: Kind = serde_json::from_value(Value::String(manifest.kind.clone())).ok()?;
        let main = MAIN.iter().find_map(|role| manifests.get(manifest.inputs.get(*role)?));
        let cost = planned.get(key);
        let weights = cost.map(|cost| cost.weights).or_else(|| weights(manifest)).or_else(|| weights(main?)).unwrap_or_default();
        Some(Made {
            thing: Thing::of_artifact(kind, &manifest.parameters, weights),
            seconds: manifest.record.seconds,
            threads: manifest.record.threads.unwrap_or(1),
            flops: manifest.record.flops.or(cost.map(|cost| cost.flops))?,
        })
    });
    Rates::of(made)
}

/// A device without its number: those of one machine are alike.
fn class(device: &str) -> &str {
    device.split(':').next().unwrap_or(device)
}

/// Weights of the model that an artifact holds, by the size of its file.
fn weights(manifest: &Manifest) -> Option<f64> {
    manifest.files.get("model/model.safetensors").map(|file| file.bytes as f64 / 4.0)
}

/// Shares that are still to be done of stages whose worker was stopped after a checkpoint; all of the others is.
pub(super) fn left(store: &Store) -> HashMap<Key, f64> {
    let begun = store.begun().into_iter().filter_map(|key| {
        let status = store.work(&key).status().filter(|status| status.total > 0)?;
        Some((key, 1.0 - (status.done as f64 / status.total as f64).min(1.0)))
    });
    begun.collect()
}
