//! Stage `comparisons` in a world that can be enumerated: every pair of completions, weighted by how likely it is to be drawn and
//! labelled so. Training on it is training on infinitely many comparisons.

use super::context::Context;
use super::exact::log_probs;
use super::files::{Completions, Labelled, write_json};
use crate::error::{Error, Result};
use crate::spec::{Labelling, Labels, World};
use crate::tasks::oracle;

pub(super) fn run(context: &mut Context<'_>, world: &World, labelling: &Labelling) -> Result<()> {
    let oracle = oracle::open(world)?;
    let device = context.device.clone();
    context.progress("enumerating", 0, 1);
    let reference = log_probs(&context.policy("reference")?.decoder, &oracle, world, &device)?;
    let (leaves, mut completions, mut labelled) = (oracle.tree().leaves(), Completions::default(), Labelled::default());
    let mut prompts = Vec::new();
    for (index, log_probs) in reference.iter().enumerate() {
        let (prompt, first) = (oracle.prompt(index), completions.tokens.len());
        let rewards = oracle.rewards(&prompt).map_err(Error::Other)?;
        for ((one, other), weight) in pairs(log_probs, &rewards, labelling) {
            labelled.pairs.push((first + one, first + other));
            labelled.weights.push(weight);
        }
        labelled.rewards.extend(rewards);
        for leaf in &leaves {
            completions.prompt.push(index);
            completions.ended.push(leaf.last() == Some(&oracle::END));
            completions.tokens.push(leaf.clone());
        }
        prompts.push(prompt);
    }
    let total: f64 = labelled.weights.iter().sum();
    labelled.weights.iter_mut().for_each(|weight| *weight /= total);
    write_json(&context.folder.join("prompts.json"), &prompts)?;
    completions.write(context.folder)?;
    write_json(&context.folder.join("comparisons.json"), &labelled)
}

/// (chosen, rejected) completions of a prompt and the probability of this pair with this label, both drawn from the reference. Pairs
/// of a completion with itself are left out, as they are where comparisons are sampled, and so are ties of hard labels.
pub(super) fn pairs(log_probs: &[f64], rewards: &[f64], labelling: &Labelling) -> Vec<((usize, usize), f64)> {
    let mut pairs = Vec::new();
    for one in 0..rewards.len() {
        for other in 0..one {
            let difference = rewards[one] - rewards[other];
            let clean = match labelling.labels {
                Labels::Hard if difference == 0.0 => continue,
                Labels::Hard => f64::from(u8::from(difference > 0.0)),
                Labels::BradleyTerry => labelling.preference(difference),
            };
            let first = clean + labelling.label_noise * (1.0 - 2.0 * clean);
            let drawn = 2.0 * (log_probs[one] + log_probs[other]).exp();
            pairs.extend([((one, other), drawn * first), ((other, one), drawn * (1.0 - first))]);
        }
    }
    pairs.retain(|(_, weight)| *weight > 0.0);
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_weighs_as_often_as_it_is_drawn_and_labelled_so() {
        let log_probs = [0.5f64.ln(), 0.3f64.ln(), 0.2f64.ln()];
        let weights = |labels, label_noise| {
            let labelling = Labelling { labels, reward_scale: 2.0, label_noise };
            pairs(&log_probs, &[0.0, 1.0, 1.0], &labelling)
        };
        let of =
            |pairs: &[((usize, usize), f64)], wanted| pairs.iter().find(|(pair, _)| *pair == wanted).map(|(_, weight)| *weight);
        let hard = weights(Labels::Hard, 0.0);
        assert_eq!(hard.len(), 2, "a tie says nothing");
        assert!((of(&hard, (1, 0)).expect("a pair") - 2.0 * 0.5 * 0.3).abs() < 1e-12);
        let noisy = weights(Labels::Hard, 0.25);
        assert!((of(&noisy, (0, 2)).expect("a pair") - 0.25 * 2.0 * 0.5 * 0.2).abs() < 1e-12);
        let drawn = weights(Labels::BradleyTerry, 0.0);
        let (right, wrong) = (of(&drawn, (1, 0)).expect("a pair"), of(&drawn, (0, 1)).expect("a pair"));
        assert!((right / wrong - 2.0f64.exp()).abs() < 1e-9 && (right + wrong - 0.3).abs() < 1e-12);
        assert!((of(&drawn, (1, 2)).expect("a pair") - 0.3 * 0.2).abs() < 1e-12);
    }
}
