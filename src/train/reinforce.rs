//! Reinforcement learning (Ziegler et al. 2019; Stiennon et al. 2020): sample completions, score them, and follow the clipped policy
//! gradient, one segment of a run at a time.

use super::checkpoint::Checkpoints;
use super::inference::token_log_probs_and_values;
use super::optimizer::OptimizerState;
use super::sequences::{Output, Sequence};
use super::step::Trainer;
use crate::error::{Error, Result};
use crate::methods::Ppo;
use crate::methods::ppo::advantages::{Advantages, Estimator, token_rewards};
use crate::methods::ppo::control::{KlControl, RunningScores};
use crate::methods::ppo::losses::{policy_loss, value_loss};
use crate::methods::ppo::statistics::{Statistics, Token, explained_variance};
use crate::models::generate::generate;
use crate::models::{Decoder, Sampling};
use crate::random::Stream;
use crate::report::rows::TrainRow;
use crate::spec::Optimisation;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Where a segment starts and ends, and how it trains.
pub struct ReinforceRun<'a> {
    /// The method.
    pub ppo: &'a Ppo,
    /// Optimiser and schedule.
    pub optimisation: &'a Optimisation,
    /// Steps of the whole run, at which a decaying schedule ends.
    pub steps: u64,
    /// First step of the segment, from 0.
    pub first: u64,
    /// Step that the segment ends before.
    pub last: u64,
    /// (study seed, run seed): all runs with these seeds see the same prompts and random numbers.
    pub seeds: (u64, u64),
    /// Longest completion in tokens.
    pub max_new_tokens: usize,
    /// Tokens that end a completion.
    pub ends: &'a [u32],
    /// Tokens processed by the segments before.
    pub tokens: u64,
}

/// What a run carries from step to step beside weights and the optimiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Carried {
    /// The coefficient of the KL penalty.
    pub kl: KlControl,
    /// Mean and deviation of the scores so far.
    pub scores: RunningScores,
}

impl Carried {
    /// At the start of a run.
    pub fn new(ppo: &Ppo) -> Self {
        Carried { kl: KlControl::new(ppo.kl_coefficient, ppo.target_kl, ppo.kl_horizon), scores: RunningScores::default() }
    }
}

/// A batch of scored completions, as the updates of a step see it.
pub struct Rollout {
    /// Log-probs under the policy that wrote them, of every token of every completion.
    pub log_probs: Vec<Vec<f64>>,
    /// Values before every token under the same policy.
    pub values: Vec<Vec<f64>>,
    /// What the updates follow, for every completion.
    pub advantages: Vec<Advantages>,
}

/// Runs one segment of a policy with a value head and returns it, the optimiser, what is carried on, and one row a step. `score`
/// gives the reward of whole completions.
#[expect(clippy::too_many_arguments, reason = "each is one thing, and there is one caller")]
pub fn reinforce(
    policy: Decoder,
    before: Option<(OptimizerState, Carried)>,
    reference: &Decoder,
    prompts: &[Vec<u32>],
    run: &ReinforceRun<'_>,
    mut score: impl FnMut(&[Sequence<'_>]) -> Result<Vec<f64>>,
    device: &Device,
    checkpoints: &mut Checkpoints,
    mut progress: impl FnMut(&TrainRow),
) -> Result<(Decoder, OptimizerState, Carried, Vec<TrainRow>)> {
    let (mut trainer, mut carried) = match before {
        Some((optimizer, carried)) => (Trainer::resume(policy, optimizer, run.optimisation, run.steps, device), carried),
        None => (Trainer::new(policy, run.optimisation, run.steps, device), Carried::new(run.ppo)),
    };
    let mut rows = Vec::new();
    if let Some(left) = checkpoints.resume::<Carried>(&mut trainer) {
        (rows, carried) = (left.rows, left.carried);
    }
    let mut tokens = rows.last().map_or(run.tokens, |row: &TrainRow| row.tokens);
    for step in run.first + rows.len() as u64..run.last {
        let began = Instant::now();
        let (completions, starts) = sampled(&trainer.model, prompts, run, step, device)?;
        let sequences: Vec<Sequence<'_>> = completions
            .iter()
            .zip(&starts)
            .map(|(completion, prompt)| Sequence { prompt: &prompts[*prompt], completion })
            .collect();
        let scores = score(&sequences)?;
        let used = carried.scores.normalise(&scores)?;
        let used = if run.ppo.normalise_scores { used } else { scores.clone() };
        let coefficient = carried.kl.coefficient();
        let own = token_log_probs_and_values(&trainer.model, &sequences, device);
        let references = token_log_probs_and_values(reference, &sequences, device);
        let rollout = Rollout::new(run.ppo, own, &references, &used, coefficient);
        let kls: Vec<f64> = rollout.log_ratios(&references);
        let kl = kls.iter().sum::<f64>() / kls.len() as f64;
        let order = |epoch: usize| {
            let row = step * run.ppo.epochs as u64 + epoch as u64;
            Stream::new(run.seeds.0, run.seeds.1, "minibatches", row).permutation(sequences.len())
        };
        let mut row = update(&mut trainer, &sequences, &rollout, run.ppo, order, step)?;
        carried.kl.update(kl, sequences.len())?;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let written: usize = sequences.iter().map(|sequence| sequence.completion.len()).sum();
        let processed: usize = sequences.iter().map(Sequence::len).sum::<usize>() * run.ppo.epochs;
        tokens += processed as u64;
        row.step = step + 1;
        row.objective_kl = Some(kl);
        row.objective_kl_coef = Some(coefficient);
        row.objective_scores = Some(mean(&scores));
        row.objective_non_score_reward = Some(-coefficient * kl);
        let surprise: Vec<f64> = rollout.log_probs.iter().map(|log_probs| -log_probs.iter().sum::<f64>()).collect();
        row.objective_entropy = Some(mean(&surprise));
        row.completion_tokens = Some(written as f64 / sequences.len() as f64);
        row.tokens = tokens;
        row.tokens_per_s = processed as f64 / began.elapsed().as_secs_f64();
        progress(&row);
        rows.push(row);
        if step + 1 < run.last {
            checkpoints.after(&trainer, &rows, &carried, None)?;
        }
    }
    Ok((trainer.model, trainer.optimizer, carried, rows))
}

/// Completions of a step's prompts and the prompt of each, samples of a prompt next to each other. Prompts come in epochs, in an
/// order that depends on the seeds and the epoch only.
fn sampled(
    policy: &Decoder,
    prompts: &[Vec<u32>],
    run: &ReinforceRun<'_>,
    step: u64,
    device: &Device,
) -> Result<(Vec<Vec<u32>>, Vec<usize>)> {
    let samples = run.ppo.samples_per_prompt;
    let (count, all) = ((run.ppo.rollouts / samples) as u64, prompts.len() as u64);
    let mut order: Option<(u64, Vec<usize>)> = None;
    let chosen: Vec<usize> = (step * count..(step + 1) * count)
        .map(|draw| {
            let epoch = draw / all;
            if order.as_ref().is_none_or(|(current, _)| *current != epoch) {
                let stream = Stream::new(run.seeds.0, run.seeds.1, "rollout prompts", epoch);
                order = Some((epoch, { stream }.permutation(prompts.len())));
            }
            order.as_ref().map_or(0, |(_, order)| order[(draw % all) as usize])
        })
        .collect();
    let starts: Vec<Vec<u32>> = chosen.iter().map(|prompt| prompts[*prompt].clone()).collect();
    let sampling = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, max_new_tokens: run.max_new_tokens, samples };
    let streams = |prompt: usize, sample: usize| {
        let row = step * run.ppo.rollouts as u64 + (prompt * samples + sample) as u64;
        Stream::new(run.seeds.0, run.seeds.1, "rollouts", row)
    };
    let drawn = generate(policy, &starts, run.ends, sampling, device, streams, |_| ())?;
    let of_prompt = chosen.iter().flat_map(|prompt| std::iter::repeat_n(*prompt, samples)).collect();
    Ok((drawn.into_iter().flatten().map(|completion| completion.tokens).collect(), of_prompt))
}

impl Rollout {
    /// From (log-prob, value) of every token under the policy that wrote it and under the reference, and the scores of whole
    /// completions.
    pub fn new(ppo: &Ppo, own: Vec<Vec<[f64; 2]>>, reference: &[Vec<[f64; 2]>], scores: &[f64], coefficient: f64) -> Self {
        let column = |which: usize| move |tokens: &Vec<[f64; 2]>| tokens.iter().map(|token| token[which]).collect::<Vec<f64>>();
        let log_probs: Vec<Vec<f64>> = own.iter().map(column(0)).collect();
        let values: Vec<Vec<f64>> = own.iter().map(column(1)).collect();
        let of_completion = |((own, reference), score): ((&Vec<f64>, &Vec<[f64; 2]>), &f64)| {
            token_rewards(own, &column(0)(reference), *score, coefficient)
        };
        let rewards: Vec<Vec<f64>> = log_probs.iter().zip(reference).zip(scores).map(of_completion).collect();
        let advantages = match ppo.advantages {
            Estimator::Generalised => Advantages::generalised(&rewards, &values, ppo.gamma, ppo.lambda),
            Estimator::LeaveOneOut | Estimator::GroupNormalised => {
                Advantages::of_groups(ppo.advantages, &rewards, &values, ppo.samples_per_prompt)
            }
        };
        Rollout { log_probs, values, advantages }
    }

    /// log pi - log ref of every completion.
    fn log_ratios(&self, reference: &[Vec<[f64; 2]>]) -> Vec<f64> {
        let of = |(own, reference): (&Vec<f64>, &Vec<[f64; 2]>)| {
            own.iter().zip(reference).map(|(own, [log_prob, _])| own - log_prob).sum()
        };
        self.log_probs.iter().zip(reference).map(of).collect()
    }

    /// One number of every token of these completions, one completion after another.
    fn tokens(&self, completions: &[usize], of: impl Fn(usize) -> Vec<f64>) -> Vec<f64> {
        completions.iter().flat_map(|completion| of(*completion)).collect()
    }
}

/// Takes every epoch's minibatches of a rollout, in the order that `order(epoch)` gives completions, and describes the step by the
/// means over its updates.
pub fn update(
    trainer: &mut Trainer,
    sequences: &[Sequence<'_>],
    rollout: &Rollout,
    ppo: &Ppo,
    order: impl Fn(usize) -> Vec<usize>,
    step: u64,
) -> Result<TrainRow> {
    let mut sums = Updates::default();
    for epoch in 0..ppo.epochs {
        for minibatch in order(epoch).chunks(ppo.minibatch) {
            let all: usize = minibatch.iter().map(|index| sequences[*index].completion.len()).sum();
            let (mut losses, mut statistics) = ([0.0; 2], Vec::with_capacity(all));
            let parts = trainer.settings().gradient_accumulation_steps;
            for part in minibatch.chunks(minibatch.len().div_ceil(parts)) {
                let part_sequences: Vec<Sequence<'_>> = part.iter().map(|index| sequences[*index]).collect();
                trainer.add(&part_sequences, Output::TokenLogProbsAndValues, |numbers| {
                    let (loss, of_part) = loss(numbers, rollout, part, all, ppo, &mut statistics)?;
                    losses.iter_mut().zip(of_part).for_each(|(sum, loss)| *sum += loss);
                    Ok(loss)
                })?;
            }
            let result = trainer.step(step)?;
            sums.add(losses, &Statistics::of(statistics, ppo.clip, ppo.value_clip), result.loss, result.grad_norm);
            sums.learning_rate = result.learning_rate;
        }
    }
    let of_tokens = |of: fn(&Advantages) -> &Vec<f64>| -> Vec<f64> { rollout.advantages.iter().flat_map(of).copied().collect() };
    let values: Vec<f64> = rollout.values.concat();
    let explained = explained_variance(&of_tokens(|advantages| &advantages.returns), &values);
    Ok(sums.row(explained.filter(|_| ppo.advantages == Estimator::Generalised)))
}

/// The loss of a part of a minibatch of `all` tokens, and its policy and value losses; notes every token's statistics.
fn loss(
    numbers: Tensor<1>,
    rollout: &Rollout,
    part: &[usize],
    all: usize,
    ppo: &Ppo,
    statistics: &mut Vec<Token>,
) -> Result<(Tensor<1>, [f64; 2])> {
    let device = numbers.device();
    let [count] = numbers.dims();
    let pairs: Tensor<2> = numbers.clone().reshape([count / 2, 2]);
    let column = |which: usize| -> Tensor<1> { pairs.clone().slice_dim(1, which..which + 1).squeeze_dim(1) };
    let given = |values: &[f64]| -> Tensor<1> {
        let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        Tensor::from_data(TensorData::new(values, [count / 2]), &device)
    };
    let old_log_probs = rollout.tokens(part, |index| rollout.log_probs[index].clone());
    let old_values = rollout.tokens(part, |index| rollout.values[index].clone());
    let advantages = rollout.tokens(part, |index| rollout.advantages[index].advantages.clone());
    let returns = rollout.tokens(part, |index| rollout.advantages[index].returns.clone());
    let policy = policy_loss(column(0), given(&old_log_probs), given(&advantages), ppo.clip).sum().div_scalar(all as f64);
    let value = value_loss(column(1), given(&old_values), given(&returns), ppo.value_clip).sum().div_scalar(all as f64);
    let host: Vec<f64> = numbers.inner().to_data().iter::<f32>().map(f64::from).collect();
    if let Some(value) = host.chunks_exact(2).map(|token| token[1]).find(|value| !value.is_finite()) {
        return Err(Error::Other(format!(
            "the value head gave {value}: it has diverged; lower learning_rate or value_coefficient, or set normalise_scores = true"
        )));
    }
    statistics.extend(host.chunks_exact(2).enumerate().map(|(index, token)| Token {
        log_prob: token[0],
        old_log_prob: old_log_probs[index],
        advantage: advantages[index],
        value: token[1],
        old_value: old_values[index],
        returned: returns[index],
    }));
    let of = |loss: &Tensor<1>| f64::from(loss.clone().into_scalar::<f32>());
    let losses = [of(&policy), of(&value)];
    let loss = match ppo.advantages {
        Estimator::Generalised => policy + value.mul_scalar(ppo.value_coefficient),
        // Without a baseline to learn the value head stays as it is.
        Estimator::LeaveOneOut | Estimator::GroupNormalised => policy,
    };
    Ok((loss, losses))
}

/// Sums over the updates of a step.
#[derive(Default)]
struct Updates {
    count: f64,
    losses: [f64; 2],
    loss: f64,
    grad_norm: f64,
    approx_kl: f64,
    clip_fraction: f64,
    ratio: f64,
    learning_rate: f64,
}

impl Updates {
    fn add(&mut self, losses: [f64; 2], statistics: &Statistics, loss: f64, grad_norm: f64) {
        self.count += 1.0;
        self.losses.iter_mut().zip(losses).for_each(|(sum, loss)| *sum += loss);
        self.loss += loss;
        self.grad_norm += grad_norm;
        self.approx_kl += statistics.approx_kl;
        self.clip_fraction += statistics.clip_fraction;
        self.ratio += statistics.ratio;
    }

    fn row(&self, explained_variance: Option<f64>) -> TrainRow {
        let mean = |sum: f64| sum / self.count;
        TrainRow {
            loss: mean(self.loss),
            grad_norm: mean(self.grad_norm),
            learning_rate: self.learning_rate,
            policy_approxkl: Some(mean(self.approx_kl)),
            policy_clipfrac: Some(mean(self.clip_fraction)),
            loss_policy: Some(mean(self.losses[0])),
            loss_value: Some(mean(self.losses[1])),
            val_ratio: Some(mean(self.ratio)),
            val_explained_variance: explained_variance,
            ..TrainRow::default()
        }
    }
}
