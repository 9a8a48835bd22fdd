//! Passes of texts through a model: operations, and the memory that they need.

use super::shape::{FLOAT, Shape};
use super::texts::{Pieces, Texts};
use super::worker::Worker;
use crate::models::generate::CACHE;
use crate::models::{Precision, gpu};
use crate::spec::{Optimisation, Optimizer};

/// Sequences that inference runs at once, on every thread.
const SCORED_AT_ONCE: f64 = 64.0;
/// Rows that are decoded at once by a small model, at least and at most.
const DECODED_AT_ONCE: [f64; 2] = [8.0, 512.0];
/// Groups into which a small model's rows are cut.
const GROUPS: f64 = 16.0;
/// Models up to this size share a batch out by sequences, with gradients for each shard.
const SMALL: f64 = (1 << 24) as f64;
/// Tokens of a shard, at most.
const SHARD_TOKENS: f64 = 512.0;
/// Logits of a shard that are kept for the backward pass, at most.
const KEPT_LOGITS: f64 = (1 << 20) as f64;
/// Numbers that a token leaves in a block until the backward pass is through, in widths of the residual stream. Counted from what
/// training takes: 16 are the inputs of the block's operations, the rest are gradients on their way and, on the CPU, blocks that the
/// allocator keeps, of which small models have the most. docs/plan.md and docs/gpu.md have the measurements.
const TAPE: f64 = 50.0;
/// The same on a GPU: in f32, and where products are computed in bf16.
const TAPE_ON_GPU: [f64; 2] = [17.0, 11.0];
/// Numbers for every logit of a piece of the head on a GPU, forwards and backwards.
const LOGITS_ON_GPU: f64 = 6.0;
/// Numbers of a token that inference holds at once, in the same unit.
const FLIGHT: f64 = gpu::NUMBERS_IN_FLIGHT as f64;

/// What a part of a stage takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Tokens that are trained on, read or written.
    pub tokens: f64,
    /// Floating-point operations.
    pub flops: f64,
    /// Bytes beside those of models at rest.
    pub memory: f64,
    /// Those of them that a batch of training in twice as many parts takes half of.
    pub batch: f64,
}

impl Load {
    /// One after the other.
    pub fn then(self, next: Load) -> Self {
        let Load { memory, batch, .. } = if self.memory >= next.memory { self } else { next };
        Load { tokens: self.tokens + next.tokens, flops: self.flops + next.flops, memory, batch }
    }

    /// So many times, one after another.
    pub fn times(self, count: f64) -> Self {
        Load { tokens: self.tokens * count, flops: self.flops * count, ..self }
    }
}

/// What is read off a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Log-probs of completions.
    LogProbs,
    /// A score at the end.
    Scores,
}

impl Read {
    fn head(self, shape: &Shape, pieces: &Pieces) -> f64 {
        match self {
            Read::LogProbs => shape.head(pieces.completions.tokens()),
            Read::Scores => 0.0,
        }
    }
}

/// One forward pass of all `pieces`, which are many batches.
pub fn score(shape: &Shape, pieces: &Pieces, read: Read, worker: Worker) -> Load {
    let flops = shape.forward(pieces.run(), pieces.length() / 2.0) + read.head(shape, pieces);
    let of = |rows: f64| rows.min(pieces.completions.count) * pieces.longest() * FLIGHT * shape.width * FLOAT;
    let memory =
        if worker.is_gpu { of(f64::INFINITY).min(gpu::IN_FLIGHT as f64) } else { of(SCORED_AT_ONCE * worker.threads as f64) };
    Load { tokens: pieces.tokens(), flops, memory, batch: 0.0 }
}

/// Writes `completions` after `prompts`, with keys and values of what was read and written kept.
pub fn write(shape: &Shape, prompts: Texts, completions: Texts, worker: Worker) -> Load {
    let read = shape.forward(prompts.tokens(), prompts.mean / 2.0) + shape.head(prompts.count);
    let attended = prompts.mean + completions.mean / 2.0;
    let written = shape.forward(completions.tokens(), attended) + shape.head(completions.tokens());
    let [least, most] = DECODED_AT_ONCE;
    let longest = prompts.longest + completions.longest;
    let drawn = if worker.is_gpu { gpu::DRAWN as f64 } else { 0.0 } * shape.vocabulary * FLOAT;
    let rows = if shape.weights <= SMALL && !worker.is_gpu {
        worker.threads as f64 * (completions.count / GROUPS).ceil().clamp(least, most)
    } else {
        let most = if worker.is_gpu { gpu::ROWS as f64 } else { most };
        (CACHE as f64 / (2.0 * longest * shape.cache() + drawn)).floor().clamp(1.0, most)
    };
    let rows = rows.min(completions.count);
    // Rows that end leave a cache of which the rest is copied.
    let cache = 2.0 * rows * longest * shape.cache();
    let logits = rows * (2.0 * shape.vocabulary * FLOAT).max(drawn);
    Load { tokens: prompts.tokens() + completions.tokens(), flops: read + written, memory: cache + logits, batch: 0.0 }
}

/// One step of training on a batch; memory is that of one of the `parts` into which the batch is cut, gradients and the optimiser's
/// state.
pub fn step(shape: &Shape, batch: &Pieces, read: Read, optimisation: &Optimisation, worker: Worker) -> Load {
    let forward = shape.forward(batch.run(), batch.length() / 2.0) + read.head(shape, batch);
    let parts = optimisation.gradient_accumulation_steps.max(1) as f64;
    let tokens = batch.tokens() / parts;
    let is_cut = shape.weights <= SMALL && !worker.is_gpu;
    let shards = if is_cut { (tokens / SHARD_TOKENS).ceil().max(1.0).log2().floor().exp2() } else { 1.0 };
    let predicted = batch.completions.tokens() / parts;
    let [logits, taped] = if worker.is_gpu {
        let taped = TAPE_ON_GPU[usize::from(optimisation.precision == Precision::Bf16)];
        [LOGITS_ON_GPU * predicted.min(gpu::HEAD_TOKENS as f64) * shape.vocabulary, taped]
    } else {
        [(predicted * shape.vocabulary).min(shards * KEPT_LOGITS), TAPE]
    };
    let logits = if read == Read::LogProbs { logits } else { 0.0 };
    // With checkpointing one number a block stays, and one block's tape is made at a time.
    let [kept, blocks] = if optimisation.gradient_checkpointing { [shape.layers, 1.0] } else { [0.0, shape.layers] };
    let tape = worker.run(batch, shape.width) / parts * shape.width * (kept + blocks * taped);
    let again = if optimisation.gradient_checkpointing { forward } else { 0.0 };
    // One pass adds to the sum as it goes; several have gradients of their own.
    let summed = if parts > 1.0 && shards > 1.0 { 1.0 } else { 0.0 };
    // A GPU's embedding has its gradient apart from that of the head until both are there.
    let embedding = if worker.is_gpu { shape.vocabulary * shape.width * (shape.trained / shape.weights).min(1.0) } else { 0.0 };
    let own = shape.trained * (states(optimisation) + shards + summed) + embedding;
    let flops = shape.training_factor() * forward + again;
    Load { tokens: batch.tokens(), flops, memory: FLOAT * (tape + logits + own), batch: FLOAT * (tape + logits) }
}

/// Numbers that an optimiser keeps of every weight.
pub fn states(optimisation: &Optimisation) -> f64 {
    let momentum = if optimisation.momentum > 0.0 { 1.0 } else { 0.0 };
    match optimisation.optimizer {
        Optimizer::Adamw => 2.0,
        Optimizer::Rmsprop => 1.0 + momentum,
        Optimizer::Sgd => momentum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::DecoderConfig;

    const CPU: Worker = Worker { threads: 1, is_gpu: false };

    fn mebibytes(bytes: f64) -> f64 {
        bytes / f64::from(1 << 20)
    }

    /// docs/gpu.md has what a driver for CUDA was asked for, in MiB.
    #[test]
    fn a_step_on_a_gpu_takes_the_memory_that_was_counted() {
        let small = Shape::of(&DecoderConfig::gpt2(50257, 1024, 768, 12, 12));
        let large = Shape::of(&DecoderConfig::gpt2(50257, 1024, 1280, 36, 20));
        // Near enough to Pythia-2.8B's, which has a head of its own.
        let pythia = Shape {
            weights: 2_775_208_960.0,
            trained: 2_775_208_960.0,
            ..Shape::of(&DecoderConfig::gpt2(50304, 2048, 2560, 32, 32))
        };
        let (f32, bf16) = (Precision::F32, Precision::Bf16);
        for (shape, [sequences, tokens], precision, gradient_checkpointing, counted) in [
            (small, [4, 128], f32, false, 2_674.0),
            (small, [16, 256], f32, false, 5_243.0),
            (small, [16, 256], bf16, false, 4_451.0),
            (small, [16, 256], f32, true, 3_065.0),
            (small, [32, 512], f32, false, 12_855.0),
            (small, [32, 512], f32, true, 4_385.0),
            (large, [16, 512], f32, false, 36_515.0),
            (large, [16, 512], bf16, false, 27_858.0),
            (large, [16, 512], bf16, true, 15_018.0),
            (pythia, [16, 512], bf16, true, 48_688.0),
        ] {
            let [count, prompt] = [sequences as f64, (tokens / 4 + 1) as f64];
            let batch =
                Pieces { prompts: Texts::at_most(count, prompt), completions: Texts::at_most(count, tokens as f64 - prompt) };
            let settings = Optimisation { precision, gradient_checkpointing, ..Optimisation::constant(Optimizer::Adamw, 1e-4) };
            let step = step(&shape, &batch, Read::LogProbs, &settings, Worker { threads: 16, is_gpu: true });
            let planned = mebibytes(step.memory + FLOAT * shape.weights);
            assert!((0.9..1.2).contains(&(planned / counted)), "{sequences} x {tokens}: {planned} MiB instead of {counted}");
        }
    }

    #[test]
    fn a_gpu_runs_texts_of_many_lengths_with_little_to_fill_them_up_where_the_model_is_wide() {
        let gpu = Worker { threads: 1, is_gpu: true };
        let texts = |mean: f64| Texts { count: 128.0, mean, longest: 400.0 };
        let pieces = Pieces { prompts: Texts { longest: 100.0, ..texts(50.0) }, completions: texts(100.0) };
        assert_eq!(CPU.run(&pieces, 2560.0), pieces.run());
        assert_eq!(gpu.run(&pieces, 64.0), 128.0 * 512.0);
        assert!((1.1..1.4).contains(&(gpu.run(&pieces, 2560.0) / pieces.tokens())));
    }

    /// docs/performance.md has 2,462 MiB for 4 sequences of 128 tokens, the process itself included.
    #[test]
    fn a_step_of_gpt2_takes_the_memory_that_was_measured() {
        let shape = Shape::of(&DecoderConfig::gpt2(50257, 1024, 768, 12, 12));
        let batch = Pieces { prompts: Texts::at_most(4.0, 1.0), completions: Texts::at_most(4.0, 127.0) };
        let step = step(&shape, &batch, Read::LogProbs, &Optimisation::constant(Optimizer::Adamw, 1e-4), CPU);
        let all = mebibytes(step.memory + FLOAT * shape.weights);
        assert!((0.8..1.2).contains(&(all / 2_400.0)), "{all} MiB");
    }

    #[test]
    fn checkpointing_takes_a_third_more_operations_and_a_fraction_of_the_memory_of_long_texts() {
        let shape = Shape::of(&DecoderConfig::gpt2(50257, 1024, 768, 12, 12));
        let batch = Pieces { prompts: Texts::at_most(16.0, 1.0), completions: Texts::at_most(16.0, 511.0) };
        let settings =
            |gradient_checkpointing| Optimisation { gradient_checkpointing, ..Optimisation::constant(Optimizer::Sgd, 1e-4) };
        let [without, with] =
            [false, true].map(|checkpointing| step(&shape, &batch, Read::LogProbs, &settings(checkpointing), CPU));
        assert!((with.flops / without.flops - 4.0 / 3.0).abs() < 1e-9);
        assert!(with.memory < 0.2 * without.memory, "{with:?} {without:?}");
    }

    #[test]
    fn training_costs_three_forward_passes_and_writing_one_for_every_token() {
        let shape = Shape::of(&DecoderConfig::gpt2(200, 64, 32, 2, 4));
        let (prompts, completions) = (Texts::at_most(6.0, 5.0), Texts::at_most(6.0, 9.0));
        let pieces = Pieces { prompts, completions };
        let step = step(&shape, &pieces, Read::LogProbs, &Optimisation::constant(Optimizer::Sgd, 1.0), CPU);
        let scored = score(&shape, &pieces, Read::LogProbs, CPU);
        assert_eq!(step.flops, 3.0 * scored.flops);
        let written = write(&shape, prompts, completions, CPU);
        assert_eq!(written.tokens, scored.tokens);
        assert!((0.8..1.3).contains(&(written.flops / scored.flops)), "{written:?} {scored:?}");
    }
}
