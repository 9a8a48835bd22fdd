//! Stage `comparisons` for comparisons that are given: prompts, completions and pairs from files.

use super::context::Context;
use super::files::{Completions, Labelled, write_json};
use crate::error::{Error, Result};
use crate::models::chat::ChatTemplate;
use crate::plan::Split;
use crate::tasks::dialogue::{Comparisons, Reading, Verdict, comparisons};

pub(super) fn run(context: &mut Context<'_>, split: Split, count: usize, reading: &Reading, seed: u64) -> Result<()> {
    let base = context.model_folder("base")?;
    let policy = context.policy("base")?;
    let template = if reading.chat { ChatTemplate::open(&base)? } else { None };
    if reading.chat && template.is_none() {
        return Err(Error::Data(format!("{} has no chat template; set task.dialogue.chat = false", base.display())));
    }
    let context_tokens = policy.decoder.config.context;
    let reading = Reading { max_tokens: reading.max_tokens.map(|most| most.min(context_tokens / 2)), ..*reading };
    let exclude = match split {
        Split::Train => None,
        Split::HeldOut => Some(context.prompts("train")?),
    };
    context.progress("reading the corpus", 0, 1);
    let corpus = context.corpus()?.clone();
    let Comparisons { prompts, rows, left_out } = comparisons(
        &corpus,
        split == Split::HeldOut,
        &policy.tokenizer,
        template.as_ref(),
        &reading,
        exclude.as_deref(),
        count,
        seed,
    )?;
    if rows.is_empty() {
        return Err(Error::Data(format!(
            "the corpus gives no comparison for this side ({left_out}): give more, or allow longer ones"
        )));
    }
    tell!("{} comparisons of {} prompts; left out: {left_out}", rows.len(), prompts.len());
    let (mut completions, mut labelled) = (Completions::default(), Labelled::default());
    let mut rankings: Vec<Vec<usize>> = Vec::new();
    for (prompt, verdict) in rows {
        let first = completions.tokens.len();
        let texts = match verdict {
            Verdict::Ranked(texts) => {
                // Everybody beats those that are ranked below.
                let places = first..first + texts.len();
                labelled
                    .pairs
                    .extend(places.clone().flat_map(|better| (better + 1..places.end).map(move |worse| (better, worse))));
                rankings.push(places.collect());
                texts
            }
            Verdict::Judged(text, desirable) => {
                labelled.judged.push((first, desirable));
                vec![text]
            }
        };
        for tokens in texts {
            completions.prompt.push(prompt);
            completions.tokens.push(tokens);
            completions.ended.push(true);
        }
    }
    if rankings.iter().any(|ranking| ranking.len() > 2) {
        write_json(&context.folder.join("rankings.json"), &rankings)?;
    }
    write_json(&context.folder.join("prompts.json"), &prompts)?;
    completions.write(context.folder)?;
    write_json(&context.folder.join("comparisons.json"), &labelled)
}
