//! The judges: one file each, with its settings and how it compares two completions of one prompt.
//!
//! A new judge is one file here and one line in `judges!`; the compiler then names what is missing.

mod biased;
mod classifier;
mod implicit_reward;
mod language_model;
mod length;
pub mod openai;
mod reward_model;
mod rouge;
mod score;
#[cfg(test)]
mod tests;
mod truth;

use crate::error::{Doing, Result};
use crate::models::{Policy, Tokenizer};
use crate::spec::{Problem, Span, Table, tree};
use crate::tasks::reward::TrueReward;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What is judged: it decides the wording of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Which text is more positive.
    Sentiment,
    /// Which summary of a post is better.
    Summary,
    /// Which summary of a news article is better.
    NewsSummary,
    /// Which answer is more helpful.
    Dialogue,
}

impl Subject {
    /// All of them.
    pub const ALL: [Subject; 4] = [Subject::Sentiment, Subject::Summary, Subject::NewsSummary, Subject::Dialogue];
}

/// A piece of text as people read it, and as the study's models saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passage {
    /// Without control tokens.
    pub text: String,
    /// Tokens under the study's tokenizer: a prompt with its start token, a completion with its end token if it has ended.
    pub tokens: Vec<u32>,
}

/// Two completions of one prompt, in the order in which a judge sees them.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What is judged.
    pub subject: Subject,
    /// What comes before the completions.
    pub prompt: &'a Passage,
    /// The completion that is shown first.
    pub first: &'a Passage,
    /// The other one.
    pub second: &'a Passage,
    /// What a person wrote after the prompt, where that is known.
    pub reference: Option<&'a Passage>,
}

/// What a judge says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The first completion is better.
    First,
    /// The second one is.
    Second,
    /// Neither is.
    Tie,
    /// The answer could not be read, asked again as often as allowed.
    Unparsed,
}

/// A choice with its reason in the judge's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The choice.
    pub choice: Choice,
    /// Why; empty for judges that do not say.
    pub reason: String,
}

/// A judge that is ready to compare.
pub trait Judge {
    /// One verdict for each question, in their order. `progress` is called with how many are done.
    fn judge(&self, questions: &[Question<'_>], progress: &mut dyn FnMut(usize)) -> Result<Vec<Verdict>>;
}

/// Tokens that people read: all but those that start and end texts.
pub fn length(tokens: &[u32], tokenizer: &Tokenizer) -> usize {
    let special = tokenizer.special();
    tokens.iter().filter(|token| special.start != Some(**token) && !special.ends.contains(token)).count()
}

/// What judges are made of.
pub struct Materials<'a> {
    /// Where tensors live.
    pub device: &'a Device,
    /// The folder in which answers that cost money are kept.
    pub ledger: PathBuf,
    /// Set when judging is to end with what was answered.
    pub stop: Arc<AtomicBool>,
    /// Of the passages' tokens.
    pub tokenizer: &'a Tokenizer,
    /// The task's true reward, where it is known.
    pub truth: Option<TrueReward>,
    /// The models that the judge named.
    pub models: &'a dyn Models,
}

/// Gives a judge the models that it named, by role.
pub trait Models {
    /// A language model or reward model.
    fn policy(&self, role: &str) -> Result<Policy>;

    /// The folder of a model.
    fn folder(&self, role: &str) -> Result<PathBuf>;
}

/// A model that a judge reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// The study's learned reward.
    LearnedReward,
    /// The study's reference policy.
    Reference,
    /// The last checkpoint of a run of the study, by its name or label.
    Run(&'a str),
    /// A folder in Hugging Face layout or a `hub:` name.
    Named(&'a str),
}

/// What every judge's settings can do.
pub trait JudgeSettings {
    /// Models that it reads: the key or role under which it asks for each, and where it comes from.
    fn models(&self) -> Vec<(&'static str, Source<'_>)> {
        Vec::new()
    }

    /// Values out of range: key, what is wrong, what to do.
    fn problems(&self) -> Vec<(&'static str, String, String)> {
        Vec::new()
    }

    /// The file of its question's template, where it names one.
    fn template(&self) -> Option<&str> {
        None
    }

    /// Puts the template's text in its file's place; only judges that name a template are asked to.
    fn set_template(&mut self, _: String) {}

    /// Whether it measures completions by the data's own, so that these cannot be its baseline.
    fn measures_by_reference(&self) -> bool {
        false
    }

    /// Keys that change no verdict.
    fn unkeyed(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether it reads the task's true reward.
    fn needs_truth(&self) -> bool {
        false
    }

    /// The judge, ready to compare.
    fn open(&self, materials: Materials<'_>) -> Result<Box<dyn Judge>>;
}

/// Puts the text of a question's template, if the judge names a file relative to `folder`, in the file's place.
pub fn read_template(judge: &mut Kind, folder: &Path) -> Result<()> {
    if let Some(path) = judge.settings().template().map(|path| folder.join(path)) {
        let text = std::fs::read_to_string(&path).doing("read", &path)?;
        judge.set_template(text);
    }
    Ok(())
}

macro_rules! judges {
    ($($variant:ident($settings:path) = $name:literal,)*) => {
        /// A judge with its settings; the name is the one in `[judge.NAME]`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub enum Kind {
            $(#[doc = $name] #[serde(rename = $name)] $variant($settings),)*
        }

        impl Kind {
            /// Every name that `[judge.NAME]` takes.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// The judge's name.
            pub fn name(&self) -> &'static str {
                match self { $(Kind::$variant(_) => $name,)* }
            }

            /// Reads the keys of `[judge.NAME]`.
            pub fn read(name: &str, table: Table, span: Span) -> Result<Kind, Problem> {
                match name {
                    $($name => tree::read(table, span).map(Kind::$variant),)*
                    other => Err(Problem::at(span, format!("unknown judge `{other}`")).hint(tree::nearest(other, Self::NAMES))),
                }
            }

            /// What tells it from others: 32 hexadecimal digits of its name and of the settings that can change a verdict.
            pub fn digest(&self) -> String {
                let mut value = serde_json::to_value(self).unwrap_or_default();
                if let Some(settings) = value.get_mut(self.name()).and_then(serde_json::Value::as_object_mut) {
                    settings.retain(|key, _| !self.settings().unkeyed().contains(&key.as_str()));
                }
                blake3::hash(value.to_string().as_bytes()).to_hex()[..32].to_owned()
            }

            /// Puts a template's text in the place of the file that it was in.
            pub fn set_template(&mut self, text: String) {
                match self { $(Kind::$variant(settings) => settings.set_template(text),)* }
            }

            /// Its settings.
            pub fn settings(&self) -> &dyn JudgeSettings {
                match self { $(Kind::$variant(settings) => settings,)* }
            }
        }
    };
}

judges! {
    OpenAi(openai::Settings) = "openai",
    RewardModel(reward_model::RewardModel) = "reward-model",
    Classifier(classifier::Classifier) = "classifier",
    ImplicitReward(implicit_reward::ImplicitReward) = "implicit-reward",
    LanguageModel(language_model::LanguageModel) = "language-model",
    Length(length::Length) = "length",
    Rouge(rouge::Rouge) = "rouge",
    True(truth::True) = "true",
    Biased(biased::Biased) = "biased",
}
