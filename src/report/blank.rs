//! A number that may not be known: NaN in memory, blank in a CSV.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes a number, or nothing for NaN.
pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    (!value.is_nan()).then_some(*value).serialize(serializer)
}

/// Reads a number, or NaN from nothing.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}
