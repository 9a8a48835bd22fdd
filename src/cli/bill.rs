//! What judges that cost money will be asked, before any of them is.

use super::study::Prepared;
use crate::error::{Error, Result};
use crate::judges::Kind;
use crate::judges::openai::{Estimate, OpenAi};
use crate::plan::{Stage, Work};
use crate::stages::compared;
use crate::store::{Key, State, Store};
use burn::tensor::Device;
use std::collections::HashMap;
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
    let judged = prepared.plan.runs.iter().flat_map(|run| &run.judged);
    let judges: HashMap<&Key, &str> =
        judged.map(|judged| (&judged.key, prepared.study.judges[judged.judge].name.as_str())).collect();
    for stage in wanted {
        let Work::Judge { judge: Kind::OpenAi(settings), subject, best_of_n, .. } = &stage.work else { continue };
        if store.state(&stage.key) == State::Present {
            continue;
        }
        let judge = OpenAi::open(settings, &store.judges(), Arc::new(AtomicBool::new(false)))?;
        let there = stage.inputs.values().all(|key| store.state(key) == State::Present);
        let known = match there.then(|| compared(store, stage, &Device::flex())).transpose() {
            // What is damaged will be made again.
            Err(Error::Corrupt(_)) => None,
            known => known?,
        };
        let estimate = if let Some(compared) = known {
            judge.cost_of(&compared.questions(*subject))?
        } else {
            let evaluation = &prepared.study.evaluation;
            let samples = if best_of_n.is_some() { 1 } else { evaluation.samples_per_prompt };
            let questions = 2 * evaluation.prompts * samples;
            let [prompt, completion] = prepared.study.task.longest();
            let bytes = BYTES_PER_TOKEN * (prompt + completion.max(evaluation.max_new_tokens) + evaluation.max_new_tokens);
            judge.estimate(*subject, questions, bytes as f64)?
        };
        let name = judges.get(&stage.key).copied().unwrap_or("openai").to_owned();
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
