//! Stage `evaluate` in a world that can be enumerated: a policy's exact reward and KL, and how far from the best ones they are.

use super::context::Context;
use super::files::write_json;
use crate::error::{Error, Result};
use crate::models::Decoder;
use crate::spec::World;
use crate::stats::{Enumerated, mean_kl};
use crate::tasks::oracle::{self, Oracle};
use crate::train::{Sequence, scores};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// Points of the optimal frontier, its two ends beside them.
const CURVE_POINTS: usize = 200;

/// exact.json
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExactReport {
    /// KL(policy || reference) in nats, the mean over prompts.
    pub kl: f64,
    /// Expected true reward.
    pub reward: f64,
    /// The greatest expected reward within that KL.
    pub optimal_reward: f64,
    /// KL(policy || optimum at the method's beta) in nats, for methods that aim at one.
    pub kl_to_own_optimum: Option<f64>,
    /// The optimal frontier, where the policy is the reference.
    pub curve: Vec<OptimalPoint>,
}

/// A point of the optimal frontier.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OptimalPoint {
    /// The beta whose optimum it is; absent for the reference, whose beta is infinite.
    pub beta: Option<f64>,
    /// Its KL in nats.
    pub kl: f64,
    /// Its expected reward.
    pub reward: f64,
}

pub(super) fn run(context: &mut Context<'_>, world: &World, beta: Option<f64>, best_of_n: Option<usize>) -> Result<()> {
    let oracle = oracle::open(world)?;
    let device = context.device.clone();
    context.progress("enumerating", 0, 1);
    let reference = log_probs(&context.policy("reference")?.decoder, &oracle, world, &device)?;
    let set = enumerated(&oracle, world, reference)?;
    let policy = match best_of_n {
        Some(n) => {
            let learned = context.learned_reward()?;
            set.best_of_n(&proxies(&learned.model, &oracle, world, &device), n)
        }
        None => log_probs(&context.policy("policy")?.decoder, &oracle, world, &device)?,
    };
    let is_reference = best_of_n.is_none() && context.same("policy", "reference");
    let point = |(beta, point): (f64, crate::stats::Point)| OptimalPoint {
        beta: beta.is_finite().then_some(beta),
        kl: point.kl,
        reward: point.reward,
    };
    let curve = if is_reference { set.curve(CURVE_POINTS).into_iter().map(point).collect() } else { Vec::new() };
    let at = set.point(&policy);
    let report = ExactReport {
        kl: at.kl,
        reward: at.reward,
        optimal_reward: set.reward_at(at.kl),
        kl_to_own_optimum: beta.map(|beta| mean_kl(&policy, &set.optimal_policy(beta))),
        curve,
    };
    write_json(&context.folder.join("exact.json"), &report)
}

/// The world under this reference.
pub fn enumerated(oracle: &Oracle, world: &World, reference: Vec<Vec<f64>>) -> Result<Enumerated> {
    let rewards = (0..world.prompts).map(|index| oracle.rewards(&oracle.prompt(index)));
    Enumerated::new(reference, rewards.collect::<Result<_, _>>().map_err(Error::Other)?).map_err(Error::Other)
}

/// log pi(y|x) of all completions after every prompt, `[prompts][completions]`.
pub fn log_probs(model: &Decoder, oracle: &Oracle, world: &World, device: &Device) -> Result<Vec<Vec<f64>>> {
    let prefixes = oracle.tree().prefixes();
    let of_prompt = |index: usize| {
        let prompt = oracle.prompt(index);
        let contexts: Vec<Vec<u32>> = prefixes.iter().map(|prefix| [&prompt[..], prefix].concat()).collect();
        oracle.tree().leaf_log_probs(&model.next_token_log_probs(&contexts, device)).map_err(Error::Other)
    };
    (0..world.prompts).map(of_prompt).collect()
}

/// Learned rewards of all completions after every prompt.
fn proxies(model: &Decoder, oracle: &Oracle, world: &World, device: &Device) -> Vec<Vec<f64>> {
    let leaves = oracle.tree().leaves();
    let of_prompt = |index: usize| {
        let prompt = oracle.prompt(index);
        let sequences: Vec<Sequence<'_>> = leaves.iter().map(|leaf| Sequence { prompt: &prompt, completion: leaf }).collect();
        scores(model, &sequences, device, |_| ())
    };
    (0..world.prompts).map(of_prompt).collect()
}
