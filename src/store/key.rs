//! The content address of an artifact.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::hash::{Hash, Hasher};

/// A digest, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Key([u8; 32]);

impl Key {
    /// The key of what these bytes describe.
    pub fn of(description: impl AsRef<[u8]>) -> Self {
        Key(*blake3::hash(description.as_ref()).as_bytes())
    }

    /// The first digits, which people see.
    pub fn short(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex()[..8].to_owned()
    }

    /// Reads what was written by another process.
    pub fn parse(text: &str) -> Result<Self> {
        // A key becomes a path, and of one key there is one path: digits are small.
        let hash = blake3::Hash::from_hex(text).ok().filter(|hash| hash.to_hex().as_str() == text);
        let hash = hash.ok_or_else(|| Error::Usage(format!("error: `{text}` is not a stage key")))?;
        Ok(Key(*hash.as_bytes()))
    }
}

impl Hash for Key {
    /// A digest already: a few of its bytes are as good as all.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        hasher.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

impl From<Key> for String {
    fn from(key: Key) -> String {
        key.to_string()
    }
}

/// What a file says is a key becomes a path, so it has to be one.
impl TryFrom<String> for Key {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Key::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_and_nothing_else_does() {
        let key = Key::of("a stage");
        let text = key.to_string();
        assert_eq!(Key::parse(&text).unwrap(), key);
        assert_eq!(text[..8], key.short());
        assert_eq!(serde_json::to_string(&key).unwrap(), format!("\"{text}\""));
        for wrong in ["", "../../etc/passwd", &text[1..], &text.to_uppercase(), &format!("{text}0")] {
            assert!(Key::parse(wrong).is_err(), "{wrong}");
        }
    }
}
