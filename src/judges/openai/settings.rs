//! `[judge.openai]`: which endpoint is asked, how, and how much it may cost; and the key, which no file holds.

use crate::error::{Error, Result};
use crate::web::Reach;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;

/// The variable with the key; there is no other way to give one.
const KEY_VARIABLE: &str = "DPO_LAB_JUDGE_API_KEY";

/// `[judge.openai]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The address that `/chat/completions` is added to.
    pub base_url: String,
    /// The model's name on that server.
    pub model: String,
    /// `S`, `C`, `dialogue`, or the path of a template; if absent, what is judged decides.
    pub prompt: Option<String>,
    /// The text of the template that `prompt` names, once it is read; it goes before `prompt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// How many questions are asked at a time.
    pub concurrency: usize,
    /// How long one request may take, in seconds.
    pub timeout_s: f64,
    /// Most requests that the judge may get, over all runs that share its ledger.
    pub max_calls: Option<u64>,
    /// Most money that the judge may cost, in the currency of the prices, over all runs that share its ledger.
    pub max_cost: Option<f64>,
    /// Price of a million tokens of a question.
    pub price_input_per_million: Option<f64>,
    /// Price of a million tokens of an answer.
    pub price_output_per_million: Option<f64>,
    /// The judge's own sampling temperature.
    pub temperature: f64,
    /// Most tokens of an answer.
    pub max_tokens: u64,
    /// How often a request is made again when the server is busy or the answer is lost.
    pub retries: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            base_url: "https://api.openai.com/v1".to_owned(),
            model: String::new(),
            prompt: None,
            template: None,
            concurrency: 4,
            timeout_s: 60.0,
            max_calls: None,
            max_cost: None,
            price_input_per_million: None,
            price_output_per_million: None,
            temperature: 0.0,
            max_tokens: 200,
            retries: 4,
        }
    }
}

impl Settings {
    /// Fails with what is wrong in the table, if anything is. Reads no file.
    pub fn check(&self) -> Result<()> {
        match self.mistake() {
            Some((_, what, hint)) => Err(Error::Data(format!("[judge.openai] {what}: {hint}"))),
            None => Ok(()),
        }
    }

    /// The first value that cannot be: its key, what is wrong, and what to do.
    pub(super) fn mistake(&self) -> Option<(&'static str, String, String)> {
        let wrong = |key, what: String, hint: &str| Some((key, what, hint.to_owned()));
        if self.model.trim().is_empty() {
            return wrong(
                "model",
                "`model` is missing".to_owned(),
                "name one that the server has, for example model = \"gpt-4o-mini\"",
            );
        }
        // The address stands in messages and in the ledger's name, so it must not hold a password.
        if self.base_url.contains('@') {
            let what = "`base_url` holds a user name or a password".to_owned();
            return wrong("base_url", what, "give it without them, and the key in DPO_LAB_JUDGE_API_KEY");
        }
        if Reach::of(&self.base_url).is_none() {
            let what = format!("`base_url` = {:?} is not an address", self.base_url);
            return wrong("base_url", what, "write it like https://api.openai.com/v1");
        }
        for (key, count) in [("concurrency", self.concurrency as u64), ("max_tokens", self.max_tokens)] {
            if count == 0 {
                return wrong(key, format!("`{key}` must be at least 1"), "leave it out for the default");
            }
        }
        // A day; longer than any answer takes, and short enough to be added to a clock.
        if !(self.timeout_s > 0.0 && self.timeout_s <= 86_400.0) {
            let what = format!("`timeout_s` = {} must be above 0 and at most 86400", self.timeout_s);
            return wrong("timeout_s", what, "60 is the default");
        }
        if !(0.0..=2.0).contains(&self.temperature) {
            let what = format!("`temperature` = {} must be from 0 to 2", self.temperature);
            return wrong("temperature", what, "0 is the default");
        }
        let money = [
            ("max_cost", self.max_cost),
            ("price_input_per_million", self.price_input_per_million),
            ("price_output_per_million", self.price_output_per_million),
        ];
        for (key, value) in money {
            if let Some(value) = value
                && !(value >= 0.0 && value.is_finite())
            {
                return wrong(key, format!("`{key}` = {value} must be a number from 0"), "give it in the currency of the bill");
            }
        }
        if self.max_cost.is_some() && self.price(0, 0).is_none() {
            let hint = "give price_input_per_million and price_output_per_million";
            return wrong("max_cost", "`max_cost` needs both prices".to_owned(), hint);
        }
        None
    }

    /// What these tokens cost, where both prices are known.
    pub(super) fn price(&self, input_tokens: u64, output_tokens: u64) -> Option<f64> {
        let (input, output) = (self.price_input_per_million?, self.price_output_per_million?);
        Some((input_tokens as f64 * input + output_tokens as f64 * output) / 1e6)
    }

    /// The address without a slash at the end.
    pub(super) fn endpoint(&self) -> &str {
        self.base_url.trim_end_matches('/')
    }

    /// Whether the server is on this machine, where keys are often not used and proxies do not reach.
    pub(super) fn is_loopback(&self) -> bool {
        Reach::of(&self.base_url) == Some(Reach::Loopback)
    }

    /// Fails where the server is elsewhere and there is no key.
    pub(super) fn check_key(&self, key: Option<&Key>) -> Result<()> {
        if key.is_some() || self.is_loopback() {
            return Ok(());
        }
        let server = self.endpoint();
        Err(Error::Data(format!(
            "the judge at {server} needs a key: set {KEY_VARIABLE} to it (or to any word, if that server wants none)"
        )))
    }
}

/// The key of the endpoint. It has no `Debug`, so that it is never printed.
pub(super) struct Key(String);

impl Key {
    /// Reads DPO_LAB_JUDGE_API_KEY through `variable`.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Option<Key>> {
        let Some(value) = variable(KEY_VARIABLE) else { return Ok(None) };
        // Never the value itself in a message.
        let wrong = || Error::Data(format!("{KEY_VARIABLE} is not one word of plain characters: set it again"));
        let value = value.into_string().map_err(|_| wrong())?;
        match value.trim() {
            "" => Ok(None),
            key if key.chars().all(|c| c.is_ascii_graphic()) => Ok(Some(Key(key.to_owned()))),
            _ => Err(wrong()),
        }
    }

    /// The header that carries it.
    pub fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// A text of the server's, which may repeat the key, without it.
    pub fn remove_from(&self, text: &str) -> String {
        text.replace(&self.0, "(the key)")
    }
}
