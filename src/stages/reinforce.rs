//! Stage `train` of a method that learns from its own completions: one segment of a run.

use super::context::Context;
use super::files::{read_csv, read_json, write_csv, write_json};
use super::train::adapted;
use crate::error::{Error, Result};
use crate::methods::Role;
use crate::models::{Parameter, Parameters};
use crate::plan::Work;
use crate::report::rows::TrainRow;
use crate::train::{Carried, OptimizerState, ReinforceRun, Sequence, reinforce, scores};

/// The value head beside the policy, which is a folder of its own.
const VALUE_HEAD: &str = "value_head.safetensors";
/// Name of the only weight there.
const VALUE: &str = "value";

pub(super) fn run(context: &mut Context<'_>, work: &Work) -> Result<()> {
    let Work::Reinforce { method, lora, optimisation, size, max_new_tokens, reward, first, last, seed, run_seed } = work else {
        return Err(Error::Other("this stage does not reinforce".into()));
    };
    let Role::Reinforce(ppo) = method.role() else {
        return Err(Error::Other(format!("{} does not learn from its own completions", method.name())));
    };
    let device = context.device.clone();
    let previous = if context.has("previous") { Some(context.policy("previous")?) } else { None };
    // A policy of adapters has its reference's weights in it: they are not held twice.
    let reference = match &previous {
        Some(policy) if policy.decoder.adapters().is_some() => policy.with(policy.decoder.without_adapters()),
        _ => context.policy("reference")?,
    };
    let prompts = context.prompts("prompts")?;
    let (start, before, tokens) = if let Some(policy) = previous {
        let folder = context.input("previous")?;
        let shape = vec![1, policy.decoder.config.width + 1];
        let mut heads = Parameters::load(&folder.join(VALUE_HEAD), &[(VALUE.to_owned(), shape)], &device)?;
        let head = heads.0.pop().ok_or_else(|| Error::Other("there is no value head".into()))?;
        let decoder = policy.decoder.with_given_value_head(head);
        let optimizer = OptimizerState::load(optimisation, &decoder.parameters, &folder.join("optimizer.safetensors"), &device)?;
        let carried: Carried = read_json(&folder.join("carried.json"))?;
        let rows: Vec<TrainRow> = read_csv(&folder.join("train.csv"))?;
        (decoder, Some((optimizer, carried)), rows.last().map_or(0, |row| row.tokens))
    } else {
        let start = adapted(reference.clone(), lora.as_ref(), (*seed, *run_seed), &device)?;
        (start.decoder.with_value_head(&device), None, 0)
    };
    let run = ReinforceRun {
        ppo,
        optimisation,
        steps: size.steps,
        first: *first,
        last: *last,
        seeds: (*seed, *run_seed),
        max_new_tokens: *max_new_tokens,
        ends: &reference.tokenizer.special().ends,
        tokens,
    };
    let truth = reward.as_ref().map(|reward| context.true_reward(reward)).transpose()?;
    let learned = if truth.is_none() { Some(context.learned_reward()?) } else { None };
    let score = |sequences: &[Sequence<'_>]| -> Result<Vec<f64>> {
        match (&truth, &learned) {
            (Some(truth), _) => {
                let text = |s: &Sequence<'_>| reference.tokenizer.decode(&[s.prompt, s.completion].concat());
                truth.scores(&sequences.iter().map(text).collect::<Result<Vec<_>>>()?, |_| ())
            }
            (None, Some(learned)) => {
                Ok(scores(&learned.model, sequences, &device, |_| ()).into_iter().map(|score| score - learned.mean).collect())
            }
            (None, None) => Err(Error::Other("there is neither a true nor a learned reward".into())),
        }
    };
    let mut checkpoints = context.checkpoints();
    let (decoder, optimizer, carried, rows) =
        reinforce(start, before, &reference.decoder, &prompts, &run, score, &device, &mut checkpoints, |row| {
            context.trained(row, *last);
        })?;
    context.seconds_before = checkpoints.seconds_before();
    context.tokens = rows.last().map(|row| row.tokens - tokens);
    write_csv(&context.folder.join("train.csv"), &rows)?;
    write_json(&context.folder.join("carried.json"), &carried)?;
    optimizer.save(&context.folder.join("optimizer.safetensors"))?;
    let (policy, head) = decoder.without_value_head();
    let named = head.map(|head| Parameter { name: VALUE.to_owned(), ..head });
    Parameters(named.into_iter().collect()).save(&context.folder.join(VALUE_HEAD))?;
    context.save_policy(reference.beside(), policy)
}
