//! Stage `judge`: a judge compares completions with others, each pair in both orders.

use super::context::Context;
use super::evaluate::EvaluatedSample;
use super::files::{Completions, read_csv, write_csv};
use crate::error::{Error, Result};
use crate::judges::{Choice, Kind, Materials, Models, Passage, Question, Subject, Verdict, length};
use crate::models::{Policy, Tokenizer};
use crate::plan::{Stage, Work};
use crate::spec::Reward;
use crate::stats::{Outcome, degenerate};
use crate::store::Store;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Prompts whose texts are kept for people to read.
const SHOWN: usize = 8;

/// verdicts.csv: one completion against the baseline's after the same prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgedRow {
    /// Index of the prompt.
    pub prompt: usize,
    /// Which of its completions.
    pub sample: usize,
    /// What became of the completion when it was shown first; blank where the answer could not be read.
    pub shown_first: Option<Outcome>,
    /// The same when it was shown second.
    pub shown_second: Option<Outcome>,
    /// Its tokens, without an end token.
    pub tokens: usize,
    /// Those of the baseline.
    pub baseline_tokens: usize,
    /// Whether it repeats itself or says nothing.
    pub degenerate: bool,
}

/// shown.csv: texts of the first pairs, for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShownRow {
    /// Index of the prompt.
    pub prompt: usize,
    /// The prompt.
    pub prompt_text: String,
    /// The completion.
    pub completion: String,
    /// The baseline's.
    pub baseline: String,
    /// Why, with the completion shown first.
    pub reason_first: String,
    /// Why, with it shown second.
    pub reason_second: String,
}

/// A completion and what it is compared with.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// Index of the prompt.
    pub prompt: usize,
    /// Which of its completions.
    pub sample: usize,
    /// The completion.
    pub completion: Passage,
    /// The baseline's.
    pub baseline: Passage,
}

/// What a stage of this kind compares.
pub struct Compared {
    /// Every prompt.
    pub prompts: Vec<Passage>,
    /// What the data has after each of them.
    references: Option<Vec<Option<Passage>>>,
    /// Every pair, by prompt and sample.
    pub pairs: Vec<Pair>,
}

/// The pairs that a planned stage compares, from what the store has; nobody is asked.
pub fn compared(store: &Store, stage: &Stage, device: &Device) -> Result<Compared> {
    match &stage.work {
        Work::Judge { subject, best_of_n, .. } => {
            Compared::read(&Context::reading(store, stage, device, &store.path(&stage.key)), *subject, *best_of_n)
        }
        other => Err(Error::Other(format!("a stage of the kind {} compares nothing", other.kind().name()))),
    }
}

impl Compared {
    fn read(context: &Context<'_>, subject: Subject, best_of_n: Option<usize>) -> Result<Self> {
        let tokenizer = Tokenizer::open(&context.model_folder("reference")?)?;
        let passage = |tokens: &[u32]| passage(tokens, &tokenizer, subject);
        let prompts = context.prompts("prompts")?.iter().map(|tokens| plain(tokens, &tokenizer)).collect::<Result<Vec<_>>>()?;
        let passages = |all: Vec<Option<Vec<u32>>>| -> Result<Vec<Option<Passage>>> {
            all.iter().map(|tokens| tokens.as_deref().map(passage).transpose()).collect()
        };
        let references = if context.has("references") { Some(passages(references(context, prompts.len())?)?) } else { None };
        let drawn = chosen(context, context.completions("generations")?, best_of_n)?;
        let against =
            if context.has("baseline") { Some(by_prompt(&context.completions("baseline")?, prompts.len())) } else { None };
        let mut pairs = Vec::new();
        for (prompt, completions) in by_prompt(&drawn, prompts.len()).into_iter().enumerate() {
            for (sample, tokens) in completions.into_iter().enumerate() {
                let baseline = match (&against, &references) {
                    (Some(against), _) => {
                        let others = &against[prompt];
                        let other = others.get(sample % others.len().max(1));
                        passage(other.ok_or_else(|| Error::Other("the baseline has no completion of a prompt".into()))?)?
                    }
                    (None, Some(references)) => match &references[prompt] {
                        Some(reference) => reference.clone(),
                        // Where nothing is preferred there is nothing to compare with.
                        None => continue,
                    },
                    (None, None) => return Err(Error::Other("the plan gave this stage nothing to compare with".into())),
                };
                pairs.push(Pair { prompt, sample, completion: passage(&tokens)?, baseline });
            }
        }
        Ok(Compared { prompts, references, pairs })
    }

    /// Every pair in both orders.
    pub fn questions(&self, subject: Subject) -> Vec<Question<'_>> {
        self.pairs
            .iter()
            .flat_map(|pair| {
                let (prompt, reference) =
                    (&self.prompts[pair.prompt], self.references.as_ref().and_then(|all| all[pair.prompt].as_ref()));
                let ask = |first, second| Question { subject, prompt, first, second, reference };
                [ask(&pair.completion, &pair.baseline), ask(&pair.baseline, &pair.completion)]
            })
            .collect()
    }
}

pub(super) fn run(
    context: &mut Context<'_>,
    judge: &Kind,
    subject: Subject,
    best_of_n: Option<usize>,
    truth: Option<&Reward>,
) -> Result<()> {
    let compared = Compared::read(context, subject, best_of_n)?;
    let tokenizer = Tokenizer::open(&context.model_folder("reference")?)?;
    let opened = {
        let truth = truth.map(|reward| context.true_reward(reward)).transpose()?;
        let ledger = context.ledger();
        let materials = Materials {
            device: context.device,
            ledger,
            stop: context.stop(),
            tokenizer: &tokenizer,
            truth,
            models: &Inputs(context),
        };
        judge.settings().open(materials)?
    };
    let questions = compared.questions(subject);
    let total = questions.len();
    let verdicts = opened.judge(&questions, &mut |done| context.progress("judging", done, total))?;
    let (mut rows, mut shown) = (Vec::new(), Vec::new());
    for (pair, both) in compared.pairs.iter().zip(verdicts.chunks_exact(2)) {
        rows.push(JudgedRow {
            prompt: pair.prompt,
            sample: pair.sample,
            shown_first: outcome(&both[0], true),
            shown_second: outcome(&both[1], false),
            tokens: length(&pair.completion.tokens, &tokenizer),
            baseline_tokens: length(&pair.baseline.tokens, &tokenizer),
            degenerate: degenerate(&without_end(&pair.completion.tokens, &tokenizer)),
        });
        if pair.prompt < SHOWN && pair.sample == 0 {
            shown.push(ShownRow {
                prompt: pair.prompt,
                prompt_text: compared.prompts[pair.prompt].text.clone(),
                completion: pair.completion.text.clone(),
                baseline: pair.baseline.text.clone(),
                reason_first: both[0].reason.clone(),
                reason_second: both[1].reason.clone(),
            });
        }
    }
    write_csv(&context.folder.join("verdicts.csv"), &rows)?;
    write_csv(&context.folder.join("shown.csv"), &shown)
}

/// What a verdict says of the completion, which was shown first or second.
fn outcome(verdict: &Verdict, shown_first: bool) -> Option<Outcome> {
    match verdict.choice {
        Choice::First => Some(if shown_first { Outcome::Win } else { Outcome::Loss }),
        Choice::Second => Some(if shown_first { Outcome::Loss } else { Outcome::Win }),
        Choice::Tie => Some(Outcome::Tie),
        Choice::Unparsed => None,
    }
}

/// The judge's models are the stage's inputs.
struct Inputs<'a, 'b>(&'a Context<'b>);

impl Models for Inputs<'_, '_> {
    fn policy(&self, role: &str) -> Result<Policy> {
        self.0.policy(&format!("judge_{role}"))
    }

    fn folder(&self, role: &str) -> Result<PathBuf> {
        self.0.model_folder(&format!("judge_{role}"))
    }
}

/// A completion, without what follows where a model goes on to write the next turn or the next text.
fn passage(tokens: &[u32], tokenizer: &Tokenizer, subject: Subject) -> Result<Passage> {
    let whole = plain(tokens, tokenizer)?;
    // A vocabulary of words has no empty lines.
    let of_words = tokenizer.encode("\n\n")?.is_empty();
    let stops: &[&str] = match subject {
        Subject::Dialogue if of_words => &["human :"],
        Subject::Dialogue => &["\n\nHuman:", "\n\nAssistant:"],
        Subject::Summary | Subject::NewsSummary if !of_words => &["\n\n"],
        Subject::Summary | Subject::NewsSummary | Subject::Sentiment => &[],
    };
    // What stands before the first word does not end a text.
    let begins = whole.text.len() - whole.text.trim_start().len();
    let stop = |stop: &&str| whole.text[begins..].find(stop).map(|at| begins + at);
    match stops.iter().filter_map(stop).min() {
        None => Ok(whole),
        Some(at) => {
            let text = whole.text[..at].trim_end().to_owned();
            let end = tokenizer.special().ends.first().copied();
            Ok(Passage { tokens: tokenizer.encode(&text)?.into_iter().chain(end).collect(), text })
        }
    }
}

/// A piece as it is, with its text in words.
fn plain(tokens: &[u32], tokenizer: &Tokenizer) -> Result<Passage> {
    Ok(Passage { text: tokenizer.decode(&without_end(tokens, tokenizer))?, tokens: tokens.to_vec() })
}

/// Tokens but those that start and end texts.
fn without_end(tokens: &[u32], tokenizer: &Tokenizer) -> Vec<u32> {
    let special = tokenizer.special();
    tokens.iter().copied().filter(|token| special.start != Some(*token) && !special.ends.contains(token)).collect()
}

/// The data's own completion of every prompt: the first that is chosen, where one is.
fn references(context: &Context<'_>, prompts: usize) -> Result<Vec<Option<Vec<u32>>>> {
    let (completions, labelled) = (context.completions("references")?, context.labelled("references")?);
    let mut first: Vec<Option<Vec<u32>>> = vec![None; prompts];
    for chosen in labelled.chosen() {
        let place = completions.prompt.get(chosen).and_then(|prompt| first.get_mut(*prompt));
        if let (Some(place), Some(tokens)) = (place, completions.tokens.get(chosen)) {
            place.get_or_insert_with(|| tokens.clone());
        }
    }
    Ok(first)
}

/// Of every prompt's first `best_of_n` completions, the one with the greatest learned reward; all of them otherwise.
fn chosen(context: &Context<'_>, all: Completions, best_of_n: Option<usize>) -> Result<Completions> {
    let Some(n) = best_of_n else { return Ok(all) };
    let scored: Vec<EvaluatedSample> = read_csv(&context.input("evaluation")?.join("samples.csv"))?;
    let mut best: Vec<(usize, f64)> = Vec::new();
    let mut seen = 0;
    for (at, sample) in scored.iter().enumerate() {
        let learned = sample.proxy_reward.unwrap_or(f64::NEG_INFINITY);
        let begins = at == 0 || scored[at - 1].prompt != sample.prompt;
        seen = if begins { 1 } else { seen + 1 };
        match best.last_mut() {
            Some(known) if !begins => {
                if seen <= n && learned > known.1 {
                    *known = (at, learned);
                }
            }
            _ => best.push((at, learned)),
        }
    }
    let mut kept = Completions::default();
    for (at, _) in best {
        kept.prompt.push(all.prompt[at]);
        kept.tokens.push(all.tokens[at].clone());
        kept.ended.push(all.ended[at]);
    }
    Ok(kept)
}

/// Completions of each prompt.
fn by_prompt(completions: &Completions, prompts: usize) -> Vec<Vec<Vec<u32>>> {
    let mut all = vec![Vec::new(); prompts];
    for (prompt, tokens) in completions.prompt.iter().zip(&completions.tokens) {
        if let Some(of) = all.get_mut(*prompt) {
            of.push(tokens.clone());
        }
    }
    all
}
