//! What judges that cost money will be asked, before any of them is.

use super::study::Prepared;
use crate::error::{Error, Result};
use crate::judges::Kind;
use crate::judges::openai::{Estimate, OpenAi};
use crate::plan::{Stage, Work};
use crate::spec::Task;
use crate::stages::compared;
use crate::store::{State, Store};
use burn::tensor::Device;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Bytes of a token of English, about.
const BYTES_PER_TOKEN: usize = 4;

/// One judge's part.
pub(super) struct Bill {
    /// The judge's name.
    pub judge: String,
    /// What all its wanted stages come to; what two stages ask alike is counted twice where it is not known yet.
    pub estimate: Estimate,
    /// Calls that its ledger has recorded, and the most it may make.
    pub calls: (u64, Option<u64>),
    /// The same in money.
    pub cost: (f64, Option<f64>),
}

/// Fails before anything runs where a judge that will be asked has no key, or no budget for what it will be asked.
pub(super) fn check(prepared: &Prepared, store: &Store, wanted: &[&Stage]) -> Result<()> {
    for stage in wanted {
        if let Work::Judge { judge: Kind::OpenAi(settings), .. } = &stage.work
            && store.state(&stage.key) != State::Present
        {
            OpenAi::open(settings, &store.judges(), Arc::new(AtomicBool::new(false)))?.check_key()?;
        }
    }
    bills(prepared, store, wanted)?.iter().try_for_each(Bill::check)
}

/// The bills of the wanted stages that are not in the store.
pub(super) fn bills(prepared: &Prepared, store: &Store, wanted: &[&Stage]) -> Result<Vec<Bill>> {
    let mut bills: Vec<Bill> = Vec::new();
    for stage in wanted {
        let Work::Judge { judge: Kind::OpenAi(settings), subject, best_of_n, .. } = &stage.work else { continue };
        if store.state(&stage.key) == State::Present {
            continue;
        }
        let judge = OpenAi::open(settings, &store.judges(), Arc::new(AtomicBool::new(false)))?;
        let there = stage.inputs.values().all(|key| store.state(key) == State::Present);
        let estimate = if there {
            let compared = compared(store, stage, &Device::flex())?;
            judge.cost_of(&compared.questions(*subject))?
        } else {
            let evaluation = &prepared.study.evaluation;
            let samples = if best_of_n.is_some() { 1 } else { evaluation.samples_per_prompt };
            let questions = 2 * evaluation.prompts * samples;
            let [prompt, completion] = longest(&prepared.study.task);
            let bytes = BYTES_PER_TOKEN * (prompt + completion.max(evaluation.max_new_tokens) + evaluation.max_new_tokens);
            judge.estimate(*subject, questions, bytes as f64)?
        };
        let named = prepared.study.judges.iter().find(|one| stage.label.starts_with(&format!("{} of ", one.name)));
        let name = named.map_or_else(|| "openai".to_owned(), |one| one.name.clone());
        match bills.iter_mut().find(|bill| bill.judge == name) {
            Some(bill) => bill.estimate = bill.estimate.and(estimate),
            None => {
                let spent = judge.spent()?;
                bills.push(Bill {
                    judge: name,
                    estimate,
                    calls: (spent.calls, settings.max_calls),
                    cost: (spent.cost, settings.max_cost),
                });
            }
        }
    }
    Ok(bills)
}

/// Longest prompt and completion of the data in tokens: an estimate from these is an upper bound.
fn longest(task: &Task) -> [usize; 2] {
    match task {
        Task::Summarisation(task) => task.max_tokens,
        Task::Dialogue(task) => [task.max_prompt_tokens, task.max_completion_tokens],
        Task::Sentiment(task) => [task.prefix_tokens[1], task.max_new_tokens],
        Task::Oracle(task) => [2, task.world.length],
    }
}

impl Bill {
    /// The same as JSON.
    pub fn json(&self) -> serde_json::Value {
        let Estimate { missing, cached, calls, input_tokens, output_tokens, cost } = self.estimate;
        serde_json::json!({
            "judge": self.judge, "questions": missing, "answered": cached, "calls": calls, "input_tokens": input_tokens,
            "output_tokens": output_tokens, "cost": cost, "calls_made": self.calls.0, "max_calls": self.calls.1,
            "spent": self.cost.0, "max_cost": self.cost.1,
        })
    }

    /// What it says to a person, in one line.
    pub fn line(&self) -> String {
        let Estimate { calls, cached, input_tokens, output_tokens, cost, .. } = self.estimate;
        let money = cost.map_or("cost unknown without prices".to_owned(), |cost| format!("cost at most {cost:.2}"));
        format!(
            "judge {}: about {calls} calls ({cached} questions are answered already), {input_tokens} tokens in, at most {output_tokens} \
             out, {money}",
            self.judge
        )
    }

    /// Fails where the budget does not reach.
    pub fn check(&self) -> Result<()> {
        let Estimate { calls, cost, .. } = self.estimate;
        let over = |what: &str, needed: String, left: String, key: &str| {
            Err(Error::Usage(format!(
                "error: judge {} needs about {needed} {what}, and its budget has {left} left\nhelp: raise {key}, or judge less: fewer \
                 evaluation.prompts, temperatures or checkpoints; `dpo-lab plan` says what it comes to",
                self.judge
            )))
        };
        if let Some(most) = self.calls.1 {
            let left = most.saturating_sub(self.calls.0);
            if calls > left {
                return over("calls", calls.to_string(), left.to_string(), "max_calls");
            }
        }
        match (self.cost.1, cost) {
            (Some(most), Some(cost)) if cost > most - self.cost.0 => {
                over("in money", format!("{cost:.2}"), format!("{:.2}", (most - self.cost.0).max(0.0)), "max_cost")
            }
            _ => Ok(()),
        }
    }
}
