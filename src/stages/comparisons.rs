//! Stage `comparisons`: every pair of a prompt's completions, labelled by the true reward.

use super::context::Context;
use super::files::{Labelled, write_json};
use crate::error::{Error, Result};
use crate::random::Stream;
use crate::spec::{Labelling, Labels, Reward};

pub(super) fn run(context: &mut Context<'_>, reward: &Reward, labelling: &Labelling, seed: u64) -> Result<()> {
    let tokenizer = context.policy("reference")?.tokenizer;
    let prompts = context.prompts("prompts")?;
    let samples = context.completions("samples")?;
    let truth = context.true_reward(reward)?;
    let texts = samples.prompt.iter().zip(&samples.tokens);
    let texts = texts.map(|(prompt, completion)| tokenizer.decode(&[&prompts[*prompt][..], completion].concat()));
    let texts = texts.collect::<Result<Vec<_>>>()?;
    let total = texts.len();
    let rewards = truth.scores(&texts, |done| context.progress("scoring", done, total))?;
    let mut labelled = Labelled { rewards, ..Labelled::default() };
    let groups = samples.prompt.chunk_by(|a, b| a == b);
    let mut first = 0;
    for group in groups {
        for one in first..first + group.len() {
            for other in one + 1..first + group.len() {
                let draw = Stream::new(seed, other as u64, "labels", one as u64);
                let same = samples.tokens[one] == samples.tokens[other];
                match label((labelled.rewards[one], labelled.rewards[other]), labelling, draw) {
                    Some(true) if !same => labelled.pairs.push((one, other)),
                    Some(false) if !same => labelled.pairs.push((other, one)),
                    _ => labelled.ties += 1,
                }
            }
        }
        first += group.len();
    }
    if labelled.pairs.is_empty() {
        return Err(Error::Other(
            "no pair of completions differs in its true reward, so there is nothing to learn: train the reference longer, \
             or use another reward"
                .into(),
        ));
    }
    write_json(&context.folder.join("comparisons.json"), &labelled)
}

/// Whether the first of two rewards is labelled as the better; nothing for a tie of hard labels.
fn label(rewards: (f64, f64), labelling: &Labelling, mut draw: Stream) -> Option<bool> {
    let difference = rewards.0 - rewards.1;
    let (label_draw, noise_draw) = (draw.uniform(), draw.uniform());
    let first = match labelling.labels {
        Labels::Hard if difference == 0.0 => return None,
        Labels::Hard => difference > 0.0,
        Labels::BradleyTerry => label_draw < labelling.preference(difference),
    };
    Some(first != (noise_draw < labelling.label_noise))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share_first(rewards: (f64, f64), labels: Labels, reward_scale: f64, label_noise: f64) -> f64 {
        let count = 20_000;
        let labelling = Labelling { labels, reward_scale, label_noise };
        let first = |row: u64| label(rewards, &labelling, Stream::new(0, 0, "test", row)) == Some(true);
        (0..count).filter(|row| first(*row)).count() as f64 / count as f64
    }

    #[test]
    fn hard_labels_follow_the_reward_and_leave_ties_out() {
        let hard = |rewards| {
            let labelling = Labelling { labels: Labels::Hard, reward_scale: 1.0, label_noise: 0.0 };
            label(rewards, &labelling, Stream::new(0, 0, "", 0))
        };
        assert_eq!(hard((0.7, 0.6)), Some(true));
        assert_eq!(hard((0.6, 0.7)), Some(false));
        assert_eq!(hard((0.6, 0.6)), None);
    }

    #[test]
    fn bradley_terry_labels_and_noise_have_their_probabilities() {
        let sigma = |x: f64| 1.0 / (1.0 + (-x).exp());
        assert!((share_first((0.9, 0.1), Labels::BradleyTerry, 1.0, 0.0) - sigma(0.8)).abs() < 0.015);
        assert!((share_first((0.9, 0.1), Labels::BradleyTerry, 6.0, 0.0) - sigma(4.8)).abs() < 0.015);
        assert!((share_first((0.9, 0.1), Labels::Hard, 1.0, 0.2) - 0.8).abs() < 0.015);
    }
}
