//! Models as Hugging Face's `transformers` keeps them: config.json and safetensors, for every family one small file.
//!
//! A family says what its config.json means as a [`DecoderConfig`], and how each weight lies in its files. Both ways are taken:
//! what was read is written again under the same names and shapes, beside the same config.json.

pub mod encoders;
mod fields;
mod gpt2;
mod gpt_neox;
mod gptj;
mod llama;
mod mistral;
pub mod peft;
#[cfg(test)]
mod peft_tests;
mod qwen2;
mod qwen3;
mod rope;
mod stored;
#[cfg(test)]
mod tests;
mod weights;

use super::config::{DecoderConfig, Place};
use super::lora::Module;
use super::parameters::{Parameter, Parameters, tensor, values};
use super::{Decoder, INITIAL_DEVIATION, Start, parameters};
use crate::error::{Doing, Error, Result};
use burn::tensor::{Device, Tensor};
pub use fields::Fields;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;
pub use stored::Stored;
pub use weights::Weights;

/// A family of decoders.
pub struct Family {
    /// What config.json calls it.
    pub model_type: &'static str,
    /// Class of `transformers` that predicts tokens.
    pub language_model: &'static str,
    /// Class that scores sequences.
    pub classifier: &'static str,
    /// What names of weights begin with, but for the heads; files of the body alone leave it out.
    pub prefix: &'static str,
    /// What a config.json means.
    pub read: fn(&Fields) -> Result<DecoderConfig, String>,
    /// How a weight lies in files.
    pub stored: fn(&DecoderConfig, Place) -> Stored,
}

/// Every family. A new one is a file and a line here.
pub const FAMILIES: [&Family; 7] =
    [&gpt2::FAMILY, &gpt_neox::FAMILY, &gptj::FAMILY, &llama::FAMILY, &mistral::FAMILY, &qwen2::FAMILY, &qwen3::FAMILY];

/// Where a model came from, and so how it is written again.
pub struct Origin {
    family: &'static Family,
    config: Map<String, Value>,
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.family.model_type)
    }
}

impl Origin {
    /// Of a model of the GPT-2 family that no file describes.
    pub fn gpt2(config: &DecoderConfig) -> Self {
        Origin { family: &gpt2::FAMILY, config: gpt2::describe(config) }
    }

    /// How a weight lies in the files.
    pub(super) fn stored(&self, config: &DecoderConfig, place: Place) -> Stored {
        (self.family.stored)(config, place)
    }

    /// config.json of a model of this origin; weights are f32.
    fn describe(&self, config: &DecoderConfig) -> Value {
        let mut json = self.config.clone();
        let class = if config.scores > 0 { self.family.classifier } else { self.family.language_model };
        json.insert("architectures".into(), json!([class]));
        for key in ["torch_dtype", "dtype"] {
            if json.contains_key(key) || key == "torch_dtype" {
                json.insert(key.into(), json!("float32"));
            }
        }
        if config.scores > 0 {
            // With it `transformers` would look for the score before the padding, and the end token may be the padding, too.
            json.shift_remove("pad_token_id");
            if config.scores == 1 {
                json.insert("num_labels".into(), json!(1));
                json.insert("id2label".into(), json!({ "0": "LABEL_0" }));
                json.insert("label2id".into(), json!({ "LABEL_0": 0 }));
            }
        }
        Value::Object(json)
    }
}

impl Decoder {
    /// Reads config.json and the weights of a folder.
    pub fn load(folder: &Path, device: &Device) -> Result<Self> {
        let (config, origin) = architecture(folder)?;
        let weights = Weights::open(folder)?;
        let parameters = read_parameters(origin.family, &config, &weights, device)?;
        Ok(Decoder::from_parts(config, parameters, Arc::new(origin)))
    }

    /// Writes config.json and model.safetensors in f32, as `transformers` reads them; adapters are added to their weights.
    pub fn save(&self, folder: &Path) -> Result<()> {
        if self.adapters().is_some() {
            return self.merged().save(folder);
        }
        let mut tensors = Vec::new();
        for ((place, shape), parameter) in self.config.places().into_iter().zip(&self.parameters.0) {
            let stored = self.origin.stored(&self.config, place);
            let parts = stored.write(values(&parameter.value), &shape, &self.config);
            let named = stored.shapes(&shape).into_iter().zip(parts).map(|((name, shape), values)| (name, shape, values));
            tensors.extend(named);
        }
        parameters::write(&folder.join("model.safetensors"), tensors)?;
        let path = folder.join("config.json");
        std::fs::write(&path, format!("{:#}\n", self.origin.describe(&self.config))).doing("write", &path)
    }
}

impl Module {
    /// Those of the model of a folder, of which only config.json is read.
    pub fn of_folder(folder: &Path) -> Result<Vec<Module>> {
        architecture(folder).map(|(config, origin)| Module::all(&config, &origin))
    }
}

/// What config.json of a folder says.
fn architecture(folder: &Path) -> Result<(DecoderConfig, Origin)> {
    let (path, fields) = Fields::open(folder)?;
    let in_config = |what: String| Error::Data(format!("{}: {what}", path.display()));
    let family = family(&fields).map_err(in_config)?;
    let mut config = (family.read)(&fields).map_err(in_config)?;
    config.scores = scores(&fields).map_err(in_config)?;
    check(&config).map_err(in_config)?;
    Ok((config, Origin { family, config: fields.into_map() }))
}

impl Decoder {
    /// A new decoder of the family and sizes that a config.json names, whose weights `make` makes, from how each starts and how many
    /// numbers it has.
    pub fn of_config(config: Map<String, Value>, make: impl FnMut(Start, usize) -> Tensor<1>) -> Result<Self> {
        let fields = Fields::from(config);
        let family = family(&fields).map_err(Error::Other)?;
        let config = (family.read)(&fields).and_then(|config| check(&config).map(|()| config)).map_err(Error::Other)?;
        Ok(Decoder::with_weights(config, Origin { family, config: fields.into_map() }, INITIAL_DEVIATION, make))
    }
}

/// The decoder that a folder's config.json describes, without its weights.
pub fn config(folder: &Path) -> Result<DecoderConfig> {
    architecture(folder).map(|(config, _)| config)
}

/// The family that a config.json names.
fn family(fields: &Fields) -> Result<&'static Family, String> {
    let name = fields.text("model_type")?;
    let found = FAMILIES.into_iter().find(|family| family.model_type == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = FAMILIES.iter().map(|family| family.model_type).collect();
        format!("model type \"{name}\" is not supported; {} are", names.join(", "))
    })
}

/// How many scores the model gives; 0 for one that predicts tokens.
fn scores(fields: &Fields) -> Result<usize, String> {
    let classifies = fields.architecture().is_some_and(|name| name.ends_with("ForSequenceClassification"));
    if classifies { fields.labels().map(|labels| labels.len()) } else { Ok(0) }
}

/// More blocks than any model has.
const MOST_LAYERS: usize = 1024;

/// What every architecture needs, whatever its config.json says.
fn check(config: &DecoderConfig) -> Result<(), String> {
    let heads = config.heads;
    if heads.queries == 0 || heads.keys == 0 || config.head_width == 0 || config.width == 0 || config.vocabulary == 0 {
        return Err("a size is 0".into());
    }
    if config.layers > MOST_LAYERS {
        return Err(format!("{} blocks are more than any model has", config.layers));
    }
    if !heads.queries.is_multiple_of(heads.keys) {
        return Err(format!("{} key-value heads do not divide {} heads", heads.keys, heads.queries));
    }
    Ok(())
}

/// Names in a list of mistakes, at most.
const LISTED: usize = 8;

/// Every weight of the architecture; what is missing, surplus or misshapen is listed.
fn read_parameters(family: &Family, config: &DecoderConfig, weights: &Weights, device: &Device) -> Result<Parameters> {
    let mut wrong = Vec::new();
    let mut used = Vec::new();
    let mut places = Vec::new();
    for (place, shape) in config.places() {
        let stored = (family.stored)(config, place);
        let mut names = Vec::new();
        for (name, shape) in stored.shapes(&shape) {
            let bare = name.strip_prefix(family.prefix).unwrap_or(&name);
            match [name.as_str(), bare].into_iter().find_map(|name| Some((name, weights.shape(name)?))) {
                None => wrong.push(format!("missing {name}")),
                Some((name, found)) if found != shape => wrong.push(format!("{name} is {found:?}, not {shape:?}")),
                Some((name, _)) => names.push(name.to_owned()),
            }
        }
        used.extend(names.iter().cloned());
        places.push((place, shape, stored, names));
    }
    let used: std::collections::HashSet<String> = used.into_iter().collect();
    let surplus = weights.names().filter(|name| !used.contains(*name) && !is_ignored(name, config));
    let mut surplus: Vec<String> = surplus.map(|name| format!("surplus {name}")).collect();
    surplus.sort();
    wrong.extend(surplus);
    if !wrong.is_empty() {
        let more = wrong.len().saturating_sub(LISTED);
        wrong.truncate(LISTED);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        return Err(Error::Data(format!("{} does not fit its config.json: {}{more}", weights.place(), wrong.join(", "))));
    }
    let parameters = places.into_iter().map(|(place, shape, stored, names)| {
        let parts = names.iter().map(|name| weights.read(name)).collect::<Result<Vec<_>>>()?;
        let values = stored.read(parts, &shape, config);
        Ok(Parameter { name: place.to_string(), shape, value: tensor(values, device), trainable: true })
    });
    Ok(Parameters(parameters.collect::<Result<_>>()?))
}

/// What files hold beside weights: masks and frequencies that follow from config.json, and a head that is the embedding.
fn is_ignored(name: &str, config: &DecoderConfig) -> bool {
    let buffers = [".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", "rotary_emb.inv_freq"];
    let tied_head = ["lm_head.weight", "embed_out.weight"];
    buffers.iter().any(|end| name.ends_with(end)) || config.tied && tied_head.contains(&name)
}
