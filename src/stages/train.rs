//! Stage `train`: one segment of a run, with the optimiser's state, so that the next one goes on.

use super::context::Context;
use super::files::{read_csv, read_json, write_csv};
use crate::error::{Error, Result};
use crate::plan::Work;
use crate::random::Stream;
use crate::report::rows::TrainRow;
use crate::train::{OptimizerState, PairData, PreferenceRun, train_preference};

pub(super) fn run(context: &mut Context<'_>, work: &Work) -> Result<()> {
    let Work::Train { method, lora, optimisation, size, first, last, seed, run_seed } = work else {
        return Err(Error::Other("this stage does not train".into()));
    };
    let objective = method.objective().ok_or_else(|| Error::Other(format!("{} does not train", method.name())))?;
    let prompts = context.prompts("prompts")?;
    let samples = context.completions("samples")?;
    let labelled = context.labelled("comparisons")?;
    let resumed = context.has("previous");
    let mut start = context.policy(if resumed { "previous" } else { "reference" })?;
    if let (Some(lora), false) = (lora, resumed) {
        let adapted = start.decoder.with_adapters(lora, &mut Stream::new(*seed, *run_seed, "lora", 0), context.device);
        start = start.with(adapted.map_err(|mistake| Error::Data(format!("model.lora: {}; {}", mistake.what, mistake.hint)))?);
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
    let data =
        PairData { sequences: samples.sequences(&prompts), prompt_of: samples.prompt.clone(), pairs: labelled.pairs, reference };
    let (optimizer, tokens) = previous.map_or((None, 0), |(state, tokens)| (Some(state), tokens));
    let run = PreferenceRun { objective, optimisation, size, first: *first, last: *last, seeds: (*seed, *run_seed), tokens };
    let device = context.device.clone();
    let (decoder, optimizer, rows) =
        train_preference(&start.decoder, optimizer, &data, &run, &device, |row| context.trained(row, *last))?;
    context.tokens = rows.last().map(|row| row.tokens - tokens);
    write_csv(&context.folder.join("train.csv"), &rows)?;
    optimizer.save(&context.folder.join("optimizer.safetensors"))?;
    let folder = context.folder.join("model");
    match decoder.adapters() {
        Some(_) => decoder.save_adapters(&folder, &context.relative_model_folder("reference")?),
        None => start.with(decoder).save(&folder),
    }
}
