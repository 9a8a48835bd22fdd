//! Stage `comparisons` for data that is given: prompts, completions and verdicts, from files or from a built-in world.

use super::context::Context;
use super::files::{Completions, Labelled, write_json};
use crate::error::{Error, Result};
use crate::models::chat::ChatTemplate;
use crate::plan::Split;
use crate::tasks::given::{Given, Reading, Verdict, given};

pub(super) fn run(context: &mut Context<'_>, split: Split, count: usize, reading: &Reading, seed: u64) -> Result<()> {
    let base = context.model_folder("base")?;
    let policy = context.policy("base")?;
    let template = if reading.chat { ChatTemplate::open(&base)? } else { None };
    if reading.chat && template.is_none() {
        return Err(Error::Data(format!("{} has no chat template; set task.dialogue.chat = false", base.display())));
    }
    let reading = Reading { context: policy.decoder.config.context, ..reading.clone() };
    let exclude = match split {
        Split::Train => None,
        Split::HeldOut => {
            let mut prompts = context.prompts("train")?;
            if context.has("also_train") {
                prompts.extend(context.prompts("also_train")?);
            }
            Some(prompts)
        }
    };
    context.progress("reading the corpus", 0, 1);
    let corpus = context.corpus()?.clone();
    let Given { prompts, rows, left_out } =
        given(&corpus, split == Split::HeldOut, &policy.tokenizer, template.as_ref(), &reading, exclude.as_deref(), count, seed)?;
    if rows.is_empty() {
        return Err(Error::Data(format!("the corpus gives no row for this side ({left_out}): give more, or allow longer ones")));
    }
    tell!("{} rows of {} prompts; left out: {left_out}", rows.len(), prompts.len());
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
