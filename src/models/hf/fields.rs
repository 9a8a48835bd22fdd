//! The values of a config.json, each read with its type, its default and a message.

use crate::bounded;
use crate::error::{Doing, Error, Result};
use crate::ops::Activation;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// More than any model; a size beyond it is a mistake in the file.
const LARGEST: u64 = 1 << 28;

/// More labels than any classifier has.
const MOST_LABELS: usize = 1 << 16;

/// A config.json.
#[derive(Clone, Debug, Default)]
pub struct Fields(Map<String, Value>);

impl From<Map<String, Value>> for Fields {
    fn from(map: Map<String, Value>) -> Self {
        Fields(map)
    }
}

impl Fields {
    /// Reads config.json of a folder; also its path, for messages.
    pub fn open(folder: &Path) -> Result<(PathBuf, Self)> {
        let path = folder.join("config.json");
        if !path.is_file() {
            let what = "is not there: name a folder in Hugging Face layout (config.json, model.safetensors, tokenizer.json)";
            return Err(Error::Data(format!("{} {what}", path.display())));
        }
        Fields::read(path)
    }

    /// Reads a file of the kind of config.json; also its path, for messages.
    pub fn read(path: PathBuf) -> Result<(PathBuf, Self)> {
        let bytes = bounded::read(&path, bounded::SETTINGS).doing("read", &path)?;
        let fields = serde_json::from_slice(&bytes)
            .map_err(|error| Error::Data(format!("{} is not a JSON object: {error}; copy it again", path.display())))?;
        Ok((path, Fields(fields)))
    }

    /// All of it, as it was read.
    pub fn into_map(self) -> Map<String, Value> {
        self.0
    }

    /// A value that is there and not null.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// The values of a table within, which may be missing.
    pub fn table(&self, key: &str) -> Result<Option<Fields>, String> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Fields(map.clone()))),
            Some(other) => Err(format!("`{key}` is {other}, not a table")),
        }
    }

    /// Its keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// A size that has to be there.
    pub fn size(&self, key: &str) -> Result<usize, String> {
        self.size_if_there(key)?.ok_or_else(|| format!("`{key}` is missing"))
    }

    /// A size, or `None`.
    pub fn size_if_there(&self, key: &str) -> Result<Option<usize>, String> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let size = value.as_u64().filter(|size| *size <= LARGEST);
        size.map(|size| Some(size as usize)).ok_or_else(|| format!("`{key}` is {value}, not a size"))
    }

    /// A number, or a default.
    pub fn number_or(&self, key: &str, default: f64) -> Result<f64, String> {
        Ok(self.number_if_there(key)?.unwrap_or(default))
    }

    /// A number, or `None`.
    pub fn number_if_there(&self, key: &str) -> Result<Option<f64>, String> {
        let number = |value: &Value| value.as_f64().ok_or_else(|| format!("`{key}` is {value}, not a number"));
        self.get(key).map(number).transpose()
    }

    /// A number that has to be there.
    pub fn number(&self, key: &str) -> Result<f64, String> {
        self.number_if_there(key)?.ok_or_else(|| format!("`{key}` is missing"))
    }

    /// True or false, or a default.
    pub fn flag_or(&self, key: &str, default: bool) -> Result<bool, String> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_bool().ok_or_else(|| format!("`{key}` is {value}, not true or false"))
    }

    /// A text that has to be there.
    pub fn text(&self, key: &str) -> Result<&str, String> {
        let value = self.get(key).ok_or_else(|| format!("`{key}` is missing"))?;
        value.as_str().ok_or_else(|| format!("`{key}` is {value}, not a text"))
    }

    /// The first of `architectures`.
    pub fn architecture(&self) -> Option<&str> {
        self.get("architectures")?.get(0)?.as_str()
    }

    /// Names of a classifier's labels, in the order of its logits.
    pub fn labels(&self) -> Result<Vec<String>, String> {
        if let Some(names) = self.table("id2label")? {
            let name = |index: usize| {
                let name = names.get(&index.to_string()).and_then(Value::as_str);
                // Tables are printed as they are.
                match name.filter(|name| !name.contains(char::is_control)) {
                    Some(name) => Ok(name.to_owned()),
                    None => Err(format!("`id2label` has no name of label {index}, or one with control characters")),
                }
            };
            return (0..names.0.len()).map(name).collect();
        }
        // What transformers assumes.
        let count = self.size_if_there("num_labels")?.unwrap_or(2);
        if count > MOST_LABELS {
            return Err(format!("`num_labels` is {count}, more than the {MOST_LABELS} that any classifier has"));
        }
        Ok((0..count).map(|index| format!("LABEL_{index}")).collect())
    }

    /// The activation under this key, in a feed-forward layer with a gate or without.
    pub fn activation(&self, key: &str, gated: bool) -> Result<Activation, String> {
        match (self.text(key)?, gated) {
            ("gelu_new" | "gelu_fast" | "gelu_pytorch_tanh", false) => Ok(Activation::GeluTanh),
            ("gelu", false) => Ok(Activation::Gelu),
            ("relu", false) => Ok(Activation::Relu),
            ("silu" | "swish", true) => Ok(Activation::SiluGate),
            (other, true) => Err(format!("activation \"{other}\" with a gate is not supported; silu is")),
            (other, false) => {
                Err(format!("activation \"{other}\" is not supported; gelu, gelu_new, gelu_fast, gelu_pytorch_tanh and relu are"))
            }
        }
    }

    /// Refuses weights that are not plain numbers, and switches that this implementation does not have: `key` must be absent or
    /// `wanted`.
    pub fn refuse(&self, switches: &[(&str, bool)]) -> Result<(), String> {
        if let Some(quantised) = self.get("quantization_config") {
            let method = quantised.get("quant_method").and_then(Value::as_str).unwrap_or("some method");
            return Err(format!("weights quantised with {method} are not supported; use those in f32, f16 or bf16"));
        }
        for (key, wanted) in switches {
            if self.flag_or(key, *wanted)? != *wanted {
                return Err(format!("`{key}` = {} is not supported", !wanted));
            }
        }
        Ok(())
    }

    /// Refuses attention to a window that is shorter than the context: then attention to everything would be another model.
    pub fn refuse_sliding_window(&self, context: usize, unless_switched_on: bool) -> Result<(), String> {
        if unless_switched_on && !self.flag_or("use_sliding_window", false)? {
            return Ok(());
        }
        let window = self.size_if_there("sliding_window")?.filter(|window| *window < context);
        let layers = self.get("layer_types").and_then(Value::as_array);
        let somewhere = layers.is_none_or(|layers| layers.iter().any(|layer| layer == "sliding_attention"));
        match window {
            Some(window) if somewhere => Err(format!(
                "a sliding window of {window} tokens within {context} positions is not supported; with max_position_embeddings = \
                 {window} it has no effect, and texts up to there can be used"
            )),
            _ => Ok(()),
        }
    }
}
