//! Values of training that have the right type but cannot work.

use super::run::{TrainingData, TrainingSize};
use super::source::{Problem, Span};
use super::study::{Optimisation, Optimizer};
use super::tree::Table;

/// Checks an optimiser's values.
pub fn optimisation(values: &Optimisation, table: &Table, fallback: &Span) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut that = |fine: bool, key: &str, what: &str, hint: &str| {
        if !fine {
            let span = table.get(key).map_or(fallback.clone(), |value| value.span());
            problems.push(Problem::at(span, format!("`{key}` {what}")).hint(hint));
        }
    };
    let positive = |value: f64| value > 0.0 && value.is_finite();
    let share = |value: f64| (0.0..1.0).contains(&value);
    that(positive(values.learning_rate), "learning_rate", "must be greater than 0", "for example 1e-4");
    that(values.gradient_accumulation_steps > 0, "gradient_accumulation_steps", "must be at least 1", "1 runs a batch at once");
    that(
        positive(values.max_grad_norm),
        "max_grad_norm",
        "must be greater than 0",
        "the authors' code uses 10.0; inf is not TOML's",
    );
    that(values.weight_decay >= 0.0 && values.weight_decay.is_finite(), "weight_decay", "must be at least 0", "0.0 turns it off");
    that(share(values.momentum), "momentum", "must lie in [0, 1)", "0.0 turns it off");
    that(share(values.smoothing), "smoothing", "must lie in [0, 1)", "PyTorch's default is 0.99");
    that(share(values.adam_beta1), "adam_beta1", "must lie in [0, 1)", "PyTorch's default is 0.9");
    that(share(values.adam_beta2), "adam_beta2", "must lie in [0, 1)", "PyTorch's default is 0.999");
    that(values.epsilon >= 0.0 && values.epsilon.is_finite(), "epsilon", "must be at least 0", "PyTorch's default is 1e-8");
    let idle = values.optimizer == Optimizer::Adamw && values.momentum != 0.0;
    that(!idle, "momentum", "is not read by adamw", "use adam_beta1, or optimizer = \"sgd\"");
    problems
}

/// Each checkpoint of a run is a stage of the plan.
const MOST_SEGMENTS: u64 = 10_000;

/// Checks a run's sizes.
pub fn training(size: &TrainingSize, table: &Table, fallback: &Span) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut that = |fine: bool, key: &str, what: String, hint: &str| {
        if !fine {
            let span = table.get(key).map_or(fallback.clone(), |value| value.span());
            problems.push(Problem::at(span, what).hint(hint));
        }
    };
    that(size.steps > 0, "steps", "`steps` must be at least 1".into(), "to evaluate the reference as it is, use [method.sft]");
    that(size.batch_pairs > 0, "batch_pairs", "`batch_pairs` must be at least 1".into(), "the paper uses 64");
    let every = size.checkpoint_every;
    that(every > 0, "checkpoint_every", "`checkpoint_every` must be at least 1".into(), "try 100");
    let segments = size.steps.div_ceil(every.max(1));
    let what = format!("{segments} checkpoints are more than the {MOST_SEGMENTS} that a run may have");
    that(segments <= MOST_SEGMENTS, "checkpoint_every", what, "raise `checkpoint_every`, or lower `steps`");
    problems
}

/// Checks what a run learns from.
pub fn data(data: &TrainingData, table: &Table, fallback: &Span) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut that = |fine: bool, key: &str, what: String, hint: &str| {
        if !fine {
            let span = table.get(key).map_or(fallback.clone(), |value| value.span());
            problems.push(Problem::at(span, format!("`{key}` {what}")).hint(hint));
        }
    };
    let temperature = data.samples_temperature;
    let sound = temperature > 0.0 && temperature.is_finite();
    that(sound, "samples_temperature", format!("must be greater than 0, not {temperature}"), "1.0 is the policy itself");
    let noise = data.label_noise.unwrap_or(0.0);
    that((0.0..0.5).contains(&noise), "label_noise", format!("must lie in [0, 0.5), not {noise}"), "at 0.5 labels say nothing");
    problems
}
