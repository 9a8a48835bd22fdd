//! A language model on this machine: whichever of "A" and "B" is the likelier next token after the question is its verdict.

use super::openai::in_one_letter;
use super::score::greater;
use super::{Choice, Judge, JudgeSettings, Materials, Question, Source, Verdict};
use crate::data::formats::Message;
use crate::error::{Error, Result};
use crate::models::Policy;
use crate::models::chat::ChatTemplate;
use crate::train::{Sequence, completion_log_probs};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// `[judge.language-model]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanguageModel {
    /// A folder in Hugging Face layout, or a `hub:` name.
    pub model: String,
}

impl JudgeSettings for LanguageModel {
    fn models(&self) -> Vec<(&'static str, Source<'_>)> {
        vec![("model", Source::Named(&self.model))]
    }

    fn open(&self, materials: Materials<'_>) -> Result<Box<dyn Judge>> {
        let template = ChatTemplate::open(&materials.models.folder("model")?)?;
        let model = materials.models.policy("model")?;
        Ok(Box::new(Letters { model, template, device: materials.device.clone() }))
    }
}

struct Letters {
    model: Policy,
    template: Option<ChatTemplate>,
    device: Device,
}

impl Letters {
    /// The question up to the letter, in tokens.
    fn prompt(&self, question: &Question<'_>) -> Result<Vec<u32>> {
        let text = in_one_letter(question)?;
        match &self.template {
            Some(template) => {
                let message = Message { role: "user".into(), content: text };
                self.model.tokenizer.encode_with_special(&template.render(&[message], true)?)
            }
            None => self.model.tokenizer.encode(&format!("{text}\nAnswer:")),
        }
    }

    /// A letter as an answer says it, in tokens: some tokenizers write a space as a token of its own.
    fn letter(&self, letter: &str) -> Result<Vec<u32>> {
        let text = if self.template.is_some() { letter.to_owned() } else { format!(" {letter}") };
        self.model.tokenizer.encode(&text)
    }
}

impl Judge for Letters {
    fn judge(&self, questions: &[Question<'_>], progress: &mut dyn FnMut(usize)) -> Result<Vec<Verdict>> {
        let letters = [self.letter("A")?, self.letter("B")?];
        if letters[0] == letters[1] {
            let what = "the judge's tokenizer has the same tokens for \"A\" and \"B\", so that its model cannot choose";
            return Err(Error::Data(format!("{what}: use another")));
        }
        let prompts = questions.iter().map(|question| self.prompt(question)).collect::<Result<Vec<_>>>()?;
        let context = self.model.decoder.config.context;
        let longest = letters.iter().map(Vec::len).max().unwrap_or(1);
        let fits = |prompt: &&Vec<u32>| prompt.len() + longest <= context;
        let both = |prompt: &'_ Vec<u32>| letters.each_ref().map(|completion| (prompt.clone(), completion));
        let asked: Vec<_> = prompts.iter().filter(fits).flat_map(both).collect();
        let sequences: Vec<Sequence<'_>> = asked.iter().map(|(prompt, completion)| Sequence { prompt, completion }).collect();
        let values = completion_log_probs(&self.model.decoder, &sequences, &self.device, |done| progress(done / 2));
        let mut pairs = values.chunks_exact(2);
        let verdict = |prompt: &Vec<u32>| {
            let long = || Verdict {
                choice: Choice::Unparsed,
                reason: format!("the question has {} tokens, and the model reads at most {context}", prompt.len()),
            };
            let answered = if fits(&prompt) { pairs.next() } else { None };
            answered.map_or_else(long, |pair| greater(pair[0], pair[1]))
        };
        Ok(prompts.iter().map(verdict).collect())
    }
}
