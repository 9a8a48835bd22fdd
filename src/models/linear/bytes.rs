//! A classifier as bytes: a header, then the weights, all little-endian. What is read may be anything and is checked.

use super::LinearClassifier;
use super::calibrate::Calibration;
use crate::error::{Error, Result};

/// The first bytes; the last one is the version.
const MAGIC: [u8; 8] = *b"dpolin\0\x01";
/// Magic, n-grams, log2 of the buckets, and the three numbers of the calibration.
const HEADER: usize = 8 + 4 + 4 + 3 * 8;

/// The n-gram lengths that a classifier can have.
pub const NGRAMS: std::ops::RangeInclusive<usize> = 1..=3;
/// The sizes that a classifier can have: 1 KiB to 256 MiB.
pub const BUCKETS_LOG2: std::ops::RangeInclusive<u32> = 8..=26;

impl LinearClassifier {
    /// The classifier as bytes, the same on every machine.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + 4 * self.weights.len());
        bytes.extend(MAGIC);
        bytes.extend((self.ngrams as u32).to_le_bytes());
        bytes.extend(self.buckets_log2.to_le_bytes());
        for number in self.calibration.numbers() {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.weights.iter().flat_map(|weight| weight.to_le_bytes()));
        bytes
    }

    /// A classifier from [`LinearClassifier::to_bytes`], or what is wrong with the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let bad = |what: &str| Error::Corrupt(format!("not a classifier: {what}; fit it again"));
        let (header, weights) = bytes.split_at_checked(HEADER).ok_or_else(|| bad("shorter than its header"))?;
        if header[..8] != MAGIC {
            return Err(bad("it does not start with \"dpolin\" and version 1"));
        }
        let ngrams = u32::from_le_bytes(array(&header[8..])) as usize;
        let buckets_log2 = u32::from_le_bytes(array(&header[12..]));
        if !NGRAMS.contains(&ngrams) || !BUCKETS_LOG2.contains(&buckets_log2) {
            return Err(bad("its n-grams or its size are out of range"));
        }
        let calibration = [16, 24, 32].map(|start| f64::from_le_bytes(array(&header[start..])));
        let calibration = Calibration::from_numbers(calibration).ok_or_else(|| bad("its calibration is out of range"))?;
        if weights.len() != 4usize << buckets_log2 {
            return Err(bad(&format!("{} bytes of weights, not {}", weights.len(), 4usize << buckets_log2)));
        }
        let weights: Vec<f32> = weights.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        if !weights.iter().all(|weight| weight.is_finite()) {
            return Err(bad("a weight is not a number"));
        }
        Ok(LinearClassifier { ngrams, buckets_log2, calibration, weights })
    }
}

/// The first `N` bytes; the callers' offsets are inside the header, whose length was checked.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[..N]);
    array
}
