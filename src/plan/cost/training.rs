//! Which texts a step of training runs.

use super::contents::Reading;
use super::passes::{Load, Read, score, step, write};
use super::shape::Shape;
use super::texts::{self, Pieces, Texts};
use super::worker::Worker;
use crate::methods::{Examples, Method, Objective, Role};
use crate::plan::{ModelRole, Work};
use crate::resolve::Corpus;
use crate::spec::{LanguageModelTraining, Optimisation, RewardModelTraining, Shuffle, TrainingSize};

/// Maximum likelihood on `texts`, of which only completions are predicted.
pub(super) fn language_model(shape: &Shape, texts: &Pieces, training: &LanguageModelTraining, worker: Worker) -> Load {
    let count = training.size.batch_sequences as f64;
    let batch = Pieces { prompts: texts.prompts.times(count), completions: texts.completions.times(count) };
    let load = step(shape, &batch, Read::LogProbs, &training.optimisation, worker);
    // A record counts what is predicted.
    Load { tokens: batch.completions.tokens(), ..load }.times(training.size.steps as f64)
}

/// Texts of a base model or of a judge of fluency.
pub(super) fn general(corpus: Option<&Corpus>, role: ModelRole, max_tokens: usize) -> Pieces {
    let known = corpus.and_then(|corpus| texts::general(corpus, role == ModelRole::HeldOutJudge, max_tokens));
    known.unwrap_or_else(|| as_long_as_allowed(max_tokens))
}

/// Whole reviews.
pub(super) fn reviews(corpus: Option<&Corpus>, max_tokens: usize) -> Pieces {
    let builtin = matches!(corpus, Some(Corpus::Builtin(_)));
    builtin.then(|| texts::reviews_of(max_tokens)).flatten().unwrap_or_else(|| as_long_as_allowed(max_tokens))
}

fn as_long_as_allowed(max_tokens: usize) -> Pieces {
    Pieces { prompts: Texts::at_most(1.0, 1.0), completions: Texts::at_most(1.0, max_tokens.saturating_sub(1) as f64) }
}

/// Labelled completions.
#[derive(Clone, Copy)]
pub(super) struct Labelled {
    prompts: Texts,
    completions: Texts,
    pairs: f64,
}

impl Labelled {
    /// What a stage is given as prompts, samples and comparisons.
    pub(super) fn of(reading: &Reading<'_>) -> Self {
        Labelled {
            prompts: reading.input("prompts").prompts(),
            completions: reading.input("samples").completions(),
            pairs: reading.input("comparisons").pairs.unwrap_or_default(),
        }
    }

    /// Every completion with its prompt.
    pub(super) fn all(&self) -> Pieces {
        Pieces::shared(self.prompts, self.completions)
    }

    /// One completion of each prompt with it.
    fn one_each(&self) -> Pieces {
        Pieces { prompts: self.prompts, completions: self.completions.times(self.prompts.count) }
    }

    /// The distinct completions of a batch of `count` of these pairs with their prompts. Without the rejected ones only those are run
    /// that win against another.
    fn batch(&self, count: f64, shuffle: Shuffle, with_rejected: bool) -> Pieces {
        let each = self.completions.count / self.prompts.count.max(1.0);
        // All but the last of a ranking win.
        let chosen = if with_rejected { each } else { (each - 1.0).max(1.0) };
        let pairs_each = self.pairs / self.prompts.count.max(1.0);
        let (prompts, completions) = match shuffle {
            Shuffle::Prompts => {
                let prompts = (count / pairs_each.max(1e-9)).min(self.prompts.count);
                (prompts, prompts * chosen)
            }
            Shuffle::Pairs => {
                let sides = if with_rejected { 2.0 } else { 1.0 };
                let all = self.prompts.count * chosen;
                // Every completion is in so many pairs, each of which is in the batch with the same probability.
                let missed = (1.0 - (count / self.pairs.max(1.0)).min(1.0)).powf(sides * self.pairs / all.max(1.0));
                let completions = (all * (1.0 - missed)).min(sides * count);
                (count.min(completions), completions)
            }
        };
        Pieces { prompts: self.prompts.times(prompts), completions: self.completions.times(completions) }
    }
}

/// A segment of preference training on `examples` of the data, 0 being all.
pub(super) fn preference(
    shape: &Shape,
    data: &Labelled,
    (objective, optimisation, size): (&dyn Objective, &Optimisation, &TrainingSize),
    examples: usize,
    reading: &Reading<'_>,
    worker: Worker,
) -> Load {
    let (Work::Train { first, last, .. }, prompts) = (&reading.stage.work, data.prompts.count) else {
        return Load::default();
    };
    // Fewer examples are those of the first prompts.
    let share = if examples > 0 { (examples as f64 / data.pairs.max(1.0)).min(1.0) } else { 1.0 };
    let data = Labelled {
        prompts: data.prompts.times((prompts * share).max(1.0)),
        completions: data.completions.times((data.completions.count * share).max(1.0)),
        pairs: (data.pairs * share).max(1.0),
    };
    let count = size.batch_pairs as f64;
    let batch = if reading.input("comparisons").weighted {
        data.all()
    } else if data.pairs <= 1.0 {
        // Completions that were judged by themselves.
        data.all().part(count)
    } else {
        match objective.examples() {
            Examples::Pairs | Examples::Judgements => data.batch(count, size.shuffle, objective.needs_rejected()),
            Examples::OneOfPair => {
                let both = data.batch(count, size.shuffle, true);
                Pieces { completions: both.completions.times(count.min(both.completions.count)), ..both }
            }
            Examples::Rankings => data.all().part(count * data.completions.count / data.prompts.count.max(1.0)),
        }
    };
    let mut load = step(shape, &batch, Read::LogProbs, optimisation, worker);
    if objective.needs_mismatched() {
        let others = data.one_each().part(batch.prompts.count.min(data.prompts.count));
        load = Load { tokens: load.tokens, ..load.then(score(shape, &others, Read::LogProbs, worker)) };
    }
    load.times(last.saturating_sub(*first) as f64)
}

/// A reward model: epochs over the pairs that do not choose the epoch, a look at all completions after each, and one for their mean.
pub(super) fn reward_model(shape: &Shape, data: &Labelled, training: &RewardModelTraining, worker: Worker) -> Load {
    let trained = data.pairs * (1.0 - training.size.validation_share);
    // An epoch's last batch may be smaller.
    let steps = trained / training.size.batch_pairs.max(1) as f64;
    let batch = data.batch(training.size.batch_pairs as f64, Shuffle::Prompts, true);
    let epoch = step(shape, &batch, Read::Scores, &training.optimisation, worker).times(steps);
    let look = Load { tokens: 0.0, ..score(shape, &data.all(), Read::Scores, worker) };
    epoch.then(look).times(training.size.epochs as f64).then(look)
}

/// A segment of reinforcement learning: rollouts, their log-probs under policy and reference, their scores, and the updates.
pub(super) fn reinforce(shape: &Shape, reading: &Reading<'_>, worker: Worker) -> Load {
    let Work::Reinforce { method, optimisation, max_new_tokens, first, last, .. } = &reading.stage.work else {
        return Load::default();
    };
    let Role::Reinforce(ppo) = Method::role(method) else { return Load::default() };
    let (rollouts, samples) = (ppo.rollouts as f64, ppo.samples_per_prompt as f64);
    let from = reading.input("prompts");
    let prompts = from.prompts().times(rollouts / samples.max(1.0));
    let completions = from.written(1, *max_new_tokens).times(rollouts);
    let pieces = Pieces::shared(prompts, completions);
    let unseen = |load: Load| Load { tokens: 0.0, ..load };
    let mut load = unseen(write(shape, prompts, completions, worker));
    for _ in 0..2 {
        load = load.then(unseen(score(shape, &pieces, Read::LogProbs, worker)));
    }
    if let Some(judge) = reading.model(&["reward_model", "classifier"]) {
        load = load.then(unseen(score(&judge, &pieces, Read::Scores, worker)));
    }
    // An update sees completions in any order, each with a prompt of its own.
    let minibatch = (ppo.minibatch as f64).min(rollouts);
    let alone = Pieces { prompts: prompts.times(minibatch), completions: completions.times(minibatch) };
    let update = step(shape, &alone, Read::LogProbs, optimisation, worker);
    let updates = ppo.epochs as f64 * (rollouts / minibatch.max(1.0));
    load.then(update.times(updates)).times(last.saturating_sub(*first) as f64)
}
