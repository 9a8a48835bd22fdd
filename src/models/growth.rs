//! By how much a tokenizer.json can lengthen a text. Replacements in a row multiply: thirty that write two letters for one make a
//! gigabyte of one letter, and the crate `tokenizers` has no limits of its own.

use serde::Deserialize;
use serde_json::Value;

/// The parts of a tokenizer.json that can lengthen texts.
#[derive(Default, Deserialize)]
pub struct Outline {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    decoder: Value,
}

/// The most that a text may grow to, in bytes.
pub const MOST: f64 = 1e9;
/// Far more than any tokenizer's decoder does.
const MOST_DECODED: f64 = 1e4;

impl Outline {
    /// By which factor a text grows at most before it is cut into tokens and the tokens are put together. Fails where what tokens
    /// decode to grows beyond reason.
    pub fn growth(&self) -> Result<f64, String> {
        let decoded = factor(&self.decoder);
        if decoded > MOST_DECODED {
            return Err(format!("its decoder makes texts up to {decoded:e} times as long"));
        }
        Ok(factor(&self.normalizer) * factor(&self.post_processor))
    }
}

fn factor(part: &Value) -> f64 {
    let list = |key: &str| part[key].as_array().map_or(&[][..], Vec::as_slice);
    let length = |value: &Value| value.as_str().map_or(0, str::len) as f64;
    match part["type"].as_str() {
        Some("Sequence") => {
            ["normalizers", "processors", "decoders"].iter().flat_map(|key| list(key)).map(factor).product::<f64>().max(1.0)
        }
        Some("Replace") => match length(&part["pattern"]["String"]) {
            // A pattern may match between any two letters.
            0.0 => length(&part["content"]) + 1.0,
            replaced => (length(&part["content"]) / replaced).max(1.0),
        },
        Some("Prepend") => length(&part["prepend"]) + 1.0,
        Some("TemplateProcessing") => (list("single").len() as f64).max(1.0),
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn growth(value: Value) -> Result<f64, String> {
        serde_json::from_value::<Outline>(value).unwrap().growth()
    }

    #[test]
    fn replacements_in_a_row_multiply() {
        let double = json!({ "type": "Replace", "pattern": { "String": "a" }, "content": "aa" });
        let sequence = |count: usize| json!({ "type": "Sequence", "normalizers": vec![double.clone(); count] });
        assert_eq!(growth(json!({ "model": {} })), Ok(1.0));
        assert_eq!(growth(json!({ "normalizer": null, "decoder": null })), Ok(1.0));
        assert_eq!(growth(json!({ "normalizer": double })), Ok(2.0));
        assert_eq!(growth(json!({ "normalizer": sequence(30) })), Ok(1_073_741_824.0));
        let pattern = json!({ "type": "Replace", "pattern": { "Regex": "" }, "content": "bbb" });
        assert_eq!(growth(json!({ "normalizer": pattern })), Ok(4.0));
        assert!(growth(json!({ "decoder": { "type": "Sequence", "decoders": vec![double.clone(); 30] } })).is_err());
    }

    #[test]
    fn tokenizers_of_real_models_hardly_grow() {
        let llama = json!({
            "normalizer": { "type": "Sequence", "normalizers": [
                { "type": "Prepend", "prepend": "▁" }, { "type": "Replace", "pattern": { "String": " " }, "content": "▁" }] },
            "post_processor": { "type": "TemplateProcessing", "single": [{ "SpecialToken": {} }, { "Sequence": {} }] },
            "decoder": { "type": "Sequence", "decoders": [
                { "type": "Replace", "pattern": { "String": "▁" }, "content": " " }, { "type": "ByteFallback" }] },
        });
        assert_eq!(growth(llama), Ok(24.0));
    }
}
