//! A judge behind an OpenAI-compatible chat endpoint, as GPT-4 is in the paper (Rafailov et al. 2023, section 6 and appendix
//! C.2).
//!
//! ```text
//! questions -> words (templates, quote) -> answered in the ledger? -> batch of threads -> client -> ledger -> verdicts
//!                                                                     wallet: may this be spent?
//! ```
//!
//! Every answer is kept in a ledger (one file for all questions to one judge), so that nothing is paid for twice: not within
//! a call, not between runs, and not after a process was killed.

mod backoff;
mod batch;
mod client;
mod estimate;
mod ledger;
mod quote;
mod settings;
mod templates;
mod verdict;
mod wallet;

pub use estimate::Estimate;
pub use ledger::Spent;
pub use settings::Settings;
pub use templates::in_one_letter;

use super::{Choice, Judge, JudgeSettings, Materials, Question, Subject, Verdict};
use crate::error::{Error, Result};
use backoff::Pauses;
use batch::{Batch, Halt, Request};
use client::Client;
use ledger::{Contents, Ledger};
use settings::Key;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use templates::Templates;
use verdict::settled;
use wallet::{Wallet, check_budget};

/// A judge behind a chat endpoint. It has no `Debug`, because it knows the key.
pub struct OpenAi {
    settings: Settings,
    templates: Templates,
    client: Client,
    digest: String,
    ledger: PathBuf,
    pauses: Pauses,
    interrupted: Arc<AtomicBool>,
}

/// Questions in words, equal ones once.
struct Sheet {
    places: Vec<Place>,
    requests: Vec<Request>,
}

/// Where the verdict on a question comes from.
enum Place {
    /// It needs no judge.
    Known(Verdict),
    /// The request with this number.
    Asked(usize),
}

impl OpenAi {
    /// Opens a judge whose ledger is in the folder `ledgers`. Nothing is asked or written yet. With `interrupted` set, a batch ends as soon as the requests in flight are answered or time out.
    ///
    /// Fails if the settings, the template file or the form of the key in DPO_LAB_JUDGE_API_KEY are wrong.
    pub fn open(settings: &Settings, ledgers: &Path, interrupted: Arc<AtomicBool>) -> Result<Self> {
        let key = Key::read(|name| std::env::var_os(name))?;
        Self::with(settings, ledgers, interrupted, key, Pauses::default())
    }

    fn with(settings: &Settings, ledgers: &Path, interrupted: Arc<AtomicBool>, key: Option<Key>, pauses: Pauses) -> Result<Self> {
        settings.check()?;
        let templates = Templates::new(settings.prompt.as_deref(), settings.template.as_deref())?;
        let digest = digest_of(settings, &templates);
        let (client, settings) = (Client::new(settings, key), settings.clone());
        let ledger = ledgers.join(format!("{digest}.jsonl"));
        Ok(OpenAi { settings, templates, client, digest, ledger, pauses, interrupted })
    }

    /// What tells this judge from others: 64 hexadecimal digits of the endpoint, model, temperature, length limit and wording.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Fails if there is no key and the server is not on this machine. Questions that are all answered need no key.
    pub fn check_key(&self) -> Result<()> {
        self.client.check_key()
    }

    /// The verdict in the body of a server's answer; none where the answer cannot be read as one. Nothing is asked or written.
    ///
    /// Fails where no chat endpoint answers like that.
    pub fn verdict_of(&self, body: &[u8]) -> Result<Option<Verdict>> {
        let reply = self.client.read(body).map_err(|failure| self.client.explain(&failure, 1))?;
        Ok(settled(&[reply.text]))
    }

    /// Calls that the ledger has recorded, and what they cost.
    pub fn spent(&self) -> Result<Spent> {
        Ok(Contents::read(&self.ledger, &self.settings)?.spent)
    }

    /// What these questions will cost. Reads the ledger, and asks nobody.
    pub fn cost_of(&self, questions: &[Question<'_>]) -> Result<Estimate> {
        let sheet = self.sheet(questions)?;
        let contents = Contents::read(&self.ledger, &self.settings)?;
        Ok(self.estimate_of(questions.len(), &missing(&sheet.requests, &contents)))
    }

    /// What questions will cost whose texts are not known yet, with so many bytes of prompt and both completions on average.
    pub fn estimate(&self, subject: Subject, questions: usize, mean_bytes: f64) -> Result<Estimate> {
        let empty = super::Passage::default();
        let frame =
            self.templates.render(&Question { subject, prompt: &empty, first: &empty, second: &empty, reference: None })?;
        let tokens = estimate::input_tokens(frame.len() + mean_bytes.max(0.0).ceil() as usize);
        Ok(Estimate::new(&self.settings, questions, questions, tokens.saturating_mul(questions as u64)))
    }

    fn estimate_of(&self, questions: usize, missing: &[&Request]) -> Estimate {
        let tokens = missing.iter().map(|request| estimate::input_tokens(request.text.len())).sum();
        Estimate::new(&self.settings, questions, missing.len(), tokens)
    }

    fn sheet(&self, questions: &[Question<'_>]) -> Result<Sheet> {
        let mut sheet = Sheet { places: Vec::with_capacity(questions.len()), requests: Vec::new() };
        let mut numbers: HashMap<String, usize> = HashMap::new();
        for question in questions {
            if let Some(verdict) = without_asking(question) {
                sheet.places.push(Place::Known(verdict));
                continue;
            }
            let text = self.templates.render(question)?;
            let digest = blake3::derive_key("dpo-lab judged question 1", format!("{}{text}", self.digest).as_bytes());
            let digest = blake3::Hash::from_bytes(digest).to_hex().to_string();
            let number = *numbers.entry(digest.clone()).or_insert(sheet.requests.len());
            match sheet.requests.get_mut(number) {
                Some(request) => request.questions += 1,
                None => sheet.requests.push(Request { digest, text, questions: 1 }),
            }
            sheet.places.push(Place::Asked(number));
        }
        Ok(sheet)
    }

    /// Asks what is missing; returns what the ledger holds then. `progress` is called with how many questions are done.
    fn ask(&self, sheet: &Sheet, questions: usize, progress: &mut dyn FnMut(usize)) -> Result<Contents> {
        let contents = Contents::read(&self.ledger, &self.settings)?;
        if missing(&sheet.requests, &contents).is_empty() {
            progress(questions);
            return Ok(contents);
        }
        self.check_key()?;
        // Another process may have asked some of it until the ledger is ours.
        let ledger = Ledger::open(&self.ledger, &self.settings, &self.interrupted)?;
        let requests = missing(&sheet.requests, &ledger.contents);
        let estimate = self.estimate_of(questions, &requests);
        // The last call, too, has to find what it may cost at most, not only what is likely.
        let margin = requests.iter().map(|request| estimate::most_tokens(&request.text)).max().unwrap_or_default();
        let cost = estimate.cost.unwrap_or_default() + self.settings.price(margin, 0).unwrap_or_default();
        check_budget(&self.settings, ledger.contents.spent, estimate.calls, cost)?;
        let mut done = questions - requests.iter().map(|request| request.questions).sum::<usize>();
        progress(done);
        let wallet = Wallet::new(&self.settings, ledger);
        let batch = Batch {
            settings: &self.settings,
            client: &self.client,
            pauses: self.pauses,
            wallet: &wallet,
            halt: Halt::new(&self.interrupted),
            requests: &requests,
        };
        let result = batch.run(|request| {
            done += request.questions;
            progress(done);
        });
        let contents = wallet.close()?;
        result.map(|()| contents)
    }
}

impl JudgeSettings for Settings {
    fn problems(&self) -> Vec<(&'static str, String, String)> {
        self.mistake().into_iter().collect()
    }

    fn template(&self) -> Option<&str> {
        let named = |prompt: &&str| !templates::NAMES.contains(prompt) && self.template.is_none();
        self.prompt.as_deref().filter(named)
    }

    fn set_template(&mut self, text: String) {
        (self.prompt, self.template) = (None, Some(text));
    }

    fn unkeyed(&self) -> &'static [&'static str] {
        &["concurrency", "timeout_s", "max_calls", "max_cost", "price_input_per_million", "price_output_per_million", "retries"]
    }

    fn open(&self, materials: Materials<'_>) -> Result<Box<dyn Judge>> {
        Ok(Box::new(OpenAi::open(self, &materials.ledger, materials.stop)?))
    }
}

impl Judge for OpenAi {
    /// Fails before anything is asked if the budget does not reach for what is missing in the ledger, and in the midst of it
    /// if the server refuses, cannot be reached as often as is tried, or the budget ends; answers are kept in every case.
    fn judge(&self, questions: &[Question<'_>], progress: &mut dyn FnMut(usize)) -> Result<Vec<Verdict>> {
        let sheet = self.sheet(questions)?;
        let contents = self.ask(&sheet, questions.len(), progress)?;
        let verdict = |place| match place {
            Place::Known(verdict) => Ok(verdict),
            Place::Asked(number) => settled(contents.answers(&sheet.requests[number].digest))
                .ok_or_else(|| Error::Other("a question of the judge has no answer; this is a bug".to_owned())),
        };
        sheet.places.into_iter().map(verdict).collect()
    }
}

/// Requests without a verdict in the ledger.
fn missing<'a>(requests: &'a [Request], contents: &Contents) -> Vec<&'a Request> {
    requests.iter().filter(|request| settled(contents.answers(&request.digest)).is_none()).collect()
}

/// The verdict on a question with an empty completion: whoever said something wins.
fn without_asking(question: &Question<'_>) -> Option<Verdict> {
    let is_empty = |passage: &super::Passage| passage.text.trim().is_empty();
    let (choice, what) = match (is_empty(question.first), is_empty(question.second)) {
        (false, false) => return None,
        (true, true) => (Choice::Tie, "both completions are empty"),
        (true, false) => (Choice::Second, "the first completion is empty"),
        (false, true) => (Choice::First, "the second completion is empty"),
    };
    Some(Verdict { choice, reason: format!("not asked: {what}") })
}

/// Everything but the question that decides an answer.
fn digest_of(settings: &Settings, templates: &Templates) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("dpo-lab judge openai 1");
    let numbers = format!("{} {}", settings.temperature, settings.max_tokens);
    for part in [settings.endpoint(), &settings.model, &numbers, templates::SYSTEM, templates::REMINDER, templates.text()] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests;
