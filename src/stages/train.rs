//! Stage `train`: one segment of a run, with the optimiser's state, so that the next one goes on.

use super::context::Context;
use super::files::{Labelled, read_csv, read_json, write_csv};
use crate::error::{Error, Result};
use crate::methods::Examples;
use crate::models::{Lora, Policy};
use crate::plan::Work;
use crate::random::Stream;
use crate::report::rows::TrainRow;
use crate::train::{Example, OptimizerState, PreferenceData, PreferenceRun, train_preference};
use burn::tensor::Device;

pub(super) fn run(context: &mut Context<'_>, work: &Work) -> Result<()> {
    let Work::Train { method, lora, optimisation, size, examples: limit, first, last, seed, run_seed } = work else {
        return Err(Error::Other("this stage does not train".into()));
    };
    let objective = method.objective().ok_or_else(|| Error::Other(format!("{} does not train", method.name())))?;
    let prompts = context.prompts("prompts")?;
    let samples = context.completions("samples")?;
    let labelled = context.labelled("comparisons")?;
    let resumed = context.has("previous");
    let mut start = context.policy(if resumed { "previous" } else { "reference" })?;
    if !resumed {
        start = adapted(start, lora.as_ref(), (*seed, *run_seed), context.device)?;
    }
    let previous: Option<(OptimizerState, u64)> = if resumed {
        let folder = context.input("previous")?;
        let path = folder.join("optimizer.safetensors");
        let state = OptimizerState::load(optimisation, &start.decoder.parameters, &path, context.device)?;
        let rows: Vec<TrainRow> = read_csv(&folder.join("train.csv"))?;
        Some((state, rows.last().map_or(0, |row| row.tokens)))
    } else {
        None
    };
    let reference = if objective.needs_reference() {
        Some(read_json(&context.input("reference_logprobs")?.join("logprobs.json"))?)
    } else {
        None
    };
    let sequences = samples.sequences(&prompts);
    let mismatched = if objective.needs_mismatched() {
        let references: Vec<f64> = read_json(&context.input("mismatched_logprobs")?.join("logprobs.json"))?;
        Some(samples.mismatched(&prompts)?.into_iter().zip(references).collect())
    } else {
        None
    };
    let examples = examples(context, &labelled, objective.examples(), *limit)?;
    let weights = (!labelled.weights.is_empty()).then(|| labelled.weights.clone());
    let data = PreferenceData { sequences, prompt_of: samples.prompt.clone(), examples, weights, reference, mismatched };
    let (optimizer, tokens) = previous.map_or((None, 0), |(state, tokens)| (Some(state), tokens));
    let run = PreferenceRun { objective, optimisation, size, first: *first, last: *last, seeds: (*seed, *run_seed), tokens };
    let device = context.device.clone();
    let mut checkpoints = context.checkpoints();
    let beside = start.beside();
    let (decoder, optimizer, rows) =
        train_preference(start.decoder, optimizer, &data, &run, &device, &mut checkpoints, |row| context.trained(row, *last))?;
    context.seconds_before = checkpoints.seconds_before();
    context.tokens = rows.last().map(|row| row.tokens - tokens);
    write_csv(&context.folder.join("train.csv"), &rows)?;
    optimizer.save(&context.folder.join("optimizer.safetensors"))?;
    context.save_policy(beside, decoder)
}

/// The policy with fresh adapters, where the study wants some.
pub(super) fn adapted(policy: Policy, lora: Option<&Lora>, seeds: (u64, u64), device: &Device) -> Result<Policy> {
    let Some(lora) = lora else { return Ok(policy) };
    let adapted = policy.decoder.with_adapters(lora, &mut Stream::new(seeds.0, seeds.1, "lora", 0), device);
    Ok(policy.with(adapted.map_err(|mistake| Error::Data(format!("model.lora: {}; {}", mistake.what, mistake.hint)))?))
}

/// What the method learns from, `limit` of them at most (0: all).
fn examples(context: &Context<'_>, labelled: &Labelled, wanted: Examples, limit: usize) -> Result<Vec<Example>> {
    // Rankings have a stage of their own, or came with the comparisons.
    let folder = context.input(if context.has("rankings") { "rankings" } else { "comparisons" })?;
    let rankings = folder.join("rankings.json");
    let mut examples = if wanted == Examples::Rankings && rankings.is_file() {
        read_json::<Vec<Vec<usize>>>(&rankings)?.into_iter().map(Example::Ranking).collect()
    } else if matches!(wanted, Examples::Judgements | Examples::OneOfPair) && !labelled.judged.is_empty() {
        let of = |(completion, desirable): &(usize, bool)| {
            if *desirable { Example::Desirable(*completion) } else { Example::Undesirable(*completion) }
        };
        labelled.judged.iter().map(of).collect()
    } else {
        Example::of_pairs(&labelled.pairs, wanted)
    };
    if limit > 0 {
        examples.truncate(limit);
    }
    if examples.is_empty() {
        let what = "the data compare no two completions of a prompt, and this method learns from comparisons";
        return Err(Error::Data(format!(
            "{what}: give a chosen and a rejected completion, or use kto, which learns from single ones"
        )));
    }
    let is_there =
        |kind: fn(&Example) -> bool| examples.iter().any(|example| kind(example) || matches!(example, Example::Pair(..)));
    if matches!(wanted, Examples::Judgements | Examples::OneOfPair) {
        for (kind, name) in [
            ((|example| matches!(example, Example::Desirable(_))) as fn(&Example) -> bool, "desirable"),
            (|example| matches!(example, Example::Undesirable(_)), "undesirable"),
        ] {
            if !is_there(kind) {
                return Err(Error::Data(format!(
                    "none of the {} examples is {name}: this method learns from both kinds; give examples of it, or raise `comparisons`",
                    examples.len()
                )));
            }
        }
    }
    Ok(examples)
}
