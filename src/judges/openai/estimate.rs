//! What questions will cost, before any is asked.

use super::settings::Settings;
use super::templates::SYSTEM;

/// Bytes of a token in English text, about.
const BYTES_PER_TOKEN: u64 = 4;
/// Tokens that a chat format puts round the two messages; some tens are plenty.
const CHAT_FORMAT: u64 = 16;

/// What a number of questions comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Questions that have to be asked; equal ones count once.
    pub missing: usize,
    /// Questions that are answered already, equal another one, or need no judge.
    pub cached: usize,
    /// Requests, if every answer comes at once and can be read.
    pub calls: u64,
    /// Tokens of the questions, at 4 bytes each.
    pub input_tokens: u64,
    /// Tokens of the answers, if each is as long as it may be.
    pub output_tokens: u64,
    /// Their cost, where both prices are known.
    pub cost: Option<f64>,
}

impl Estimate {
    /// For `missing` questions whose messages have `input_tokens` in all, out of `questions`.
    pub(super) fn new(settings: &Settings, questions: usize, missing: usize, input_tokens: u64) -> Self {
        let calls = missing as u64;
        let output_tokens = calls.saturating_mul(settings.max_tokens);
        let cost = settings.price(input_tokens, output_tokens);
        Estimate { missing, cached: questions - missing, calls, input_tokens, output_tokens, cost }
    }
}

impl Estimate {
    /// This and another together.
    pub fn and(self, other: Estimate) -> Estimate {
        Estimate {
            missing: self.missing + other.missing,
            cached: self.cached + other.cached,
            calls: self.calls + other.calls,
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cost: self.cost.zip(other.cost).map(|(one, other)| one + other),
        }
    }
}

/// About how many tokens so many bytes are.
pub(super) fn likely_tokens(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(BYTES_PER_TOKEN)
}

/// About how many tokens a question of so many bytes is, with all that is sent along.
pub(super) fn input_tokens(bytes: usize) -> u64 {
    likely_tokens(SYSTEM.len() + bytes) + CHAT_FORMAT
}

/// As many tokens as a question can be, with all that is sent along: none of them is shorter than a byte.
pub(super) fn most_tokens(text: &str) -> u64 {
    (SYSTEM.len() + text.len()) as u64 + CHAT_FORMAT
}
