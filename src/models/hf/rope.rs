//! Rotary position embeddings as configurations describe them: in `rope_parameters`, or at the top level with `rope_scaling`.

use super::Fields;
use crate::ops::{Pairing, Rotary};
use std::f64::consts::TAU;

/// What a family assumes where its config.json says nothing.
pub struct Defaults {
    /// Keys that may hold the base.
    pub base_keys: &'static [&'static str],
    /// The base.
    pub base: f64,
    /// Keys that may hold the share of a head that turns.
    pub share_keys: &'static [&'static str],
    /// The share of a head that turns.
    pub share: f64,
}

/// Wider than any model's head, which has 64 to 512 elements.
const WIDEST_HEAD: usize = 1 << 16;

/// The embedding of heads of this width.
pub fn rotary(fields: &Fields, head_width: usize, defaults: &Defaults) -> Result<Rotary, String> {
    let parameters = fields.table("rope_parameters")?;
    let scaling = match &parameters {
        Some(parameters) => Some(parameters.clone()),
        None => fields.table("rope_scaling")?,
    };
    let mut base = None;
    if let Some(parameters) = &parameters {
        base = parameters.number_if_there("rope_theta")?;
    }
    for key in defaults.base_keys {
        base = base.or(fields.number_if_there(key)?);
    }
    let base = base.unwrap_or(defaults.base);
    let mut share = None;
    if let Some(parameters) = &parameters {
        share = parameters.number_if_there("partial_rotary_factor")?;
    }
    for key in defaults.share_keys {
        share = share.or(fields.number_if_there(key)?);
    }
    let share = share.unwrap_or(defaults.share);
    if base.is_nan() || base <= 1.0 || !(0.0..=1.0).contains(&share) {
        return Err(format!("a rotary embedding with base {base} of {share} of each head makes no sense"));
    }
    if head_width > WIDEST_HEAD {
        return Err(format!("a head of {head_width} elements is wider than any model's"));
    }
    let turning = (head_width as f64 * share) as usize / 2 * 2;
    let mut rotary = Rotary::new(base, turning, Pairing::Halves);
    if let Some(scaling) = &scaling {
        rotary = Rotary::with(scaled(&rotary.frequencies, scaling)?, rotary.pairing);
    }
    Ok(rotary)
}

/// Frequencies after `rope_scaling`.
fn scaled(frequencies: &[f64], scaling: &Fields) -> Result<Vec<f64>, String> {
    let kind = ["rope_type", "type"].into_iter().find_map(|key| scaling.get(key)).and_then(|kind| kind.as_str());
    match kind.unwrap_or("default") {
        "default" => Ok(frequencies.to_vec()),
        "linear" => {
            let factor = factor(scaling)?;
            Ok(frequencies.iter().map(|frequency| frequency / factor).collect())
        }
        "llama3" => {
            let (factor, low, high) = (factor(scaling)?, scaling.number("low_freq_factor")?, scaling.number("high_freq_factor")?);
            let trained = scaling.number("original_max_position_embeddings")?;
            if high <= low || trained <= 0.0 {
                return Err(format!("rope scaling from {low} to {high} over {trained} positions makes no sense"));
            }
            let scale = |frequency: &f64| {
                // Turns within the context that the model was trained on.
                let turns = trained * frequency / TAU;
                if turns < low {
                    frequency / factor
                } else if turns > high {
                    *frequency
                } else {
                    let kept = (turns - low) / (high - low);
                    (1.0 - kept) * frequency / factor + kept * frequency
                }
            };
            Ok(frequencies.iter().map(scale).collect())
        }
        other => Err(format!("rope scaling \"{other}\" is not supported; default, linear and llama3 are")),
    }
}

fn factor(scaling: &Fields) -> Result<f64, String> {
    let factor = scaling.number("factor")?;
    if factor >= 1.0 { Ok(factor) } else { Err(format!("a rope scaling factor of {factor} makes no sense; it is at least 1")) }
}
