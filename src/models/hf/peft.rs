//! Adapters as PEFT keeps them: adapter_config.json, and adapter_model.safetensors with A `[rank, in]` and B `[out, rank]` of every
//! module (`peft.LoraConfig`, `PeftModel.save_pretrained`).

use super::{Fields, LISTED, Stored, Weights};
use crate::error::{Doing, Error, Result};
use crate::models::lora::{ALL_LINEAR, Adapters, Lora, Module};
use crate::models::{Decoder, parameters, values};
use burn::tensor::Device;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashSet};
use std::path::Path;

/// What PEFT knows an adapter's folder by.
pub const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";

/// Whether a folder holds adapters rather than a model.
pub fn is_adapter(folder: &Path) -> bool {
    folder.join(CONFIG).is_file()
}

/// The model that a folder's adapters say they belong to: a folder or a name on the hub, and nothing where they do not say.
pub fn base(folder: &Path) -> Result<Option<String>> {
    let (path, fields) = Fields::read(folder.join(CONFIG))?;
    match fields.get("base_model_name_or_path") {
        None => Ok(None),
        Some(_) => fields.text("base_model_name_or_path").map(|name| Some(name.to_owned())).map_err(in_file(&path)),
    }
}

fn in_file(path: &Path) -> impl Fn(String) -> Error {
    move |what| Error::Data(format!("{}: {what}", path.display()))
}

/// Keys of variants of LoRA that are not there, with the values that turn them off.
fn refuse_variants(fields: &Fields) -> Result<(), String> {
    let kind = fields.text("peft_type")?;
    if kind != "LORA" {
        return Err(format!("adapters of the type \"{kind}\" are not supported; LORA is"));
    }
    fields.refuse(&[("use_dora", false), ("use_rslora", false), ("use_qalora", false), ("lora_bias", false)])?;
    let is_off = |value: &Value| {
        let empty = value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(serde_json::Map::is_empty);
        empty || *value == json!("none")
    };
    let others = ["bias", "modules_to_save", "rank_pattern", "alpha_pattern", "layer_replication", "trainable_token_indices"];
    match others.iter().find_map(|key| Some((key, fields.get(key).filter(|value| !is_off(value))?))) {
        Some((key, value)) => Err(format!("`{key}` = {value} is not supported; merge the adapter with PEFT first")),
        None => Ok(()),
    }
}

/// What adapter_config.json says of the adapters of some of a model's modules. Where its targets are a pattern, or mean others too,
/// the targets are the full names of these.
fn settings(fields: &Fields, modules: &[Module], all: Vec<Module>) -> Result<Lora, String> {
    refuse_variants(fields)?;
    let named = fields.get("target_modules").and_then(Value::as_array);
    let named = named.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    let settings = Lora { rank: fields.size("r")?, alpha: fields.number("lora_alpha")?, targets: named };
    if settings.rank == 0 {
        return Err("`r` is 0".into());
    }
    let means_these = settings.choose(all).is_ok_and(|chosen| chosen == modules);
    let names = || modules.iter().map(|module| module.name.clone()).collect();
    Ok(if means_these { settings } else { Lora { targets: names(), ..settings } })
}

/// `target_modules` that make PEFT choose the same modules.
fn target_modules(adapters: &Adapters) -> Vec<String> {
    let targets = &adapters.settings.targets;
    if !targets.iter().any(|target| target == ALL_LINEAR) {
        return targets.clone();
    }
    let names: BTreeSet<&str> = adapters.modules.iter().map(Module::short_name).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// A tensor of an adapter's file.
struct Tensor {
    name: String,
    /// Its shape there.
    in_file: Vec<usize>,
    /// Its shape in the decoder.
    shape: [usize; 2],
    stored: Stored,
}

/// A and B of a module.
fn tensors(module: &Module, rank: usize) -> impl Iterator<Item = Tensor> {
    let pairs = module.stored(rank).into_iter().zip(module.shapes(rank));
    pairs.flat_map(|(stored, shape)| {
        let named = stored.shapes(&shape).into_iter();
        named.map(move |(name, in_file)| Tensor { name, in_file, shape, stored: stored.clone() })
    })
}

impl Decoder {
    /// The model with the adapters of a folder that PEFT or [`save_adapters`](Self::save_adapters) wrote.
    pub fn load_adapters(&self, folder: &Path, device: &Device) -> Result<Self> {
        let (path, fields) = Fields::read(folder.join(CONFIG))?;
        let file = folder.join(WEIGHTS);
        let weights = Weights::of(file.clone(), &[file])?;
        let present: HashSet<&str> = weights.names().collect();
        let has_adapter = |module: &Module| tensors(module, 1).any(|tensor| present.contains(tensor.name.as_str()));
        let all = Module::all(&self.config, &self.origin);
        let modules: Vec<Module> = all.iter().filter(|module| has_adapter(module)).cloned().collect();
        let settings = settings(&fields, &modules, all).map_err(in_file(&path))?;
        let (mut wrong, mut known) = (Vec::new(), HashSet::new());
        for Tensor { name, in_file, .. } in modules.iter().flat_map(|module| tensors(module, settings.rank)) {
            match weights.shape(&name) {
                None => wrong.push(format!("missing {name}")),
                Some(found) if found != in_file => wrong.push(format!("{name} is {found:?}, not {in_file:?}")),
                Some(_) => {}
            }
            known.insert(name);
        }
        let mut surplus: Vec<&str> = present.into_iter().filter(|name| !known.contains(*name)).collect();
        surplus.sort_unstable();
        wrong.extend(surplus.into_iter().map(|name| format!("surplus {name}")));
        if modules.is_empty() || !wrong.is_empty() {
            let listed = wrong.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
            let what = if wrong.is_empty() { "it holds no adapters" } else { &listed };
            return Err(Error::Data(format!("{} does not fit the model that it is attached to: {what}", weights.place())));
        }
        let read = |tensor: Tensor| Ok(tensor.stored.read(vec![weights.read(&tensor.name)?], &tensor.shape, &self.config));
        let values = modules.iter().map(|module| tensors(module, settings.rank).map(read).collect::<Result<Vec<_>>>());
        let values = values.collect::<Result<Vec<_>>>()?;
        Ok(self.attached(settings, modules, values, device))
    }

    /// Writes adapter_config.json and adapter_model.safetensors in f32, as PEFT reads them. `base` is the model that they belong to, as
    /// a path or a name on the hub. A score head is not among them.
    pub fn save_adapters(&self, folder: &Path, base: &str) -> Result<()> {
        let adapters = self.adapters().ok_or_else(|| Error::Other("this model has no adapters to write".into()))?;
        let Lora { rank, alpha, .. } = adapters.settings;
        std::fs::create_dir_all(folder).doing("create", folder)?;
        let mut written = Vec::new();
        for (module, parameters) in adapters.modules.iter().zip(self.adapter_values()) {
            for (tensor, parameter) in tensors(module, rank).zip(parameters) {
                let values = tensor.stored.write(values(&parameter.value), &tensor.shape, &self.config).concat();
                written.push((tensor.name, tensor.in_file, values));
            }
        }
        parameters::write(&folder.join(WEIGHTS), written)?;
        let config = json!({
            "base_model_name_or_path": base,
            "bias": "none",
            "fan_in_fan_out": adapters.modules.iter().any(|module| module.is_transposed),
            "inference_mode": true,
            "init_lora_weights": true,
            // PEFT's type is a whole number.
            "lora_alpha": if alpha.fract() == 0.0 { json!(alpha as i64) } else { json!(alpha) },
            "lora_dropout": 0.0,
            "modules_to_save": null,
            "peft_type": "LORA",
            "r": rank,
            "target_modules": target_modules(adapters),
            "task_type": "CAUSAL_LM",
        });
        let path = folder.join(CONFIG);
        std::fs::write(&path, format!("{config:#}\n")).doing("write", &path)
    }
}
