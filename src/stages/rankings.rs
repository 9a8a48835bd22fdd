//! Stage `rankings`: all completions of a prompt in order, as a Plackett-Luce model of the true reward draws them (Rafailov et al.
//! 2023, appendix A.3).

use super::context::Context;
use super::files::{Completions, write_json};
use crate::error::{Error, Result};
use crate::random::Stream;
use crate::spec::{Labelling, Labels};

pub(super) fn run(context: &mut Context<'_>, labelling: &Labelling, seed: u64) -> Result<()> {
    let samples = context.completions("samples")?;
    let rewards = context.labelled("comparisons")?.rewards;
    let rankings = rankings(&samples, &rewards, labelling, seed);
    if rankings.is_empty() {
        return Err(Error::Data(
            "no prompt has two completions that differ in text and reward, so there is nothing to rank: raise `completions`, or set \
             labels = \"bradley-terry\""
                .into(),
        ));
    }
    tell!("{} rankings", rankings.len());
    write_json(&context.folder.join("rankings.json"), &rankings)
}

/// Every prompt's distinct completions, the best first. Of completions that tie the first one stays, since the model knows no
/// ties; what is left of a prompt with fewer than two is nothing.
fn rankings(samples: &Completions, rewards: &[f64], labelling: &Labelling, seed: u64) -> Vec<Vec<usize>> {
    let all: Vec<usize> = (0..samples.tokens.len()).collect();
    let groups = all.chunk_by(|a, b| samples.prompt[*a] == samples.prompt[*b]);
    let ranked = groups.map(|group| {
        let mut draw = Stream::new(seed, 0, "rankings", group[0] as u64);
        let mut scored: Vec<(f64, usize)> = Vec::new();
        for index in group {
            // With Gumbel noise on top, sorting draws from Plackett-Luce (Yellott 1977); it is drawn for every completion, so that
            // leaving one out changes no other.
            let gumbel = -(-(1.0 - draw.uniform()).ln()).ln();
            let same = |(_, other): &(f64, usize)| {
                let tie = labelling.labels == Labels::Hard && rewards[*other] == rewards[*index];
                tie || samples.tokens[*other] == samples.tokens[*index]
            };
            if !scored.iter().any(same) {
                let score = match labelling.labels {
                    Labels::Hard => rewards[*index],
                    Labels::BradleyTerry => labelling.reward_scale * rewards[*index] + gumbel,
                };
                scored.push((score, *index));
            }
        }
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut ranking: Vec<usize> = scored.into_iter().map(|(_, index)| index).collect();
        // As a flipped label for two: every neighbour may have changed places.
        for place in 1..ranking.len() {
            if draw.uniform() < labelling.label_noise {
                ranking.swap(place - 1, place);
            }
        }
        ranking
    });
    ranked.filter(|ranking| ranking.len() > 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(prompts: usize, each: usize) -> Completions {
        let count = prompts * each;
        Completions {
            prompt: (0..count).map(|index| index / each).collect(),
            tokens: (0..count).map(|index| vec![index as u32]).collect(),
            ended: vec![true; count],
        }
    }

    fn labelling(labels: Labels, label_noise: f64) -> Labelling {
        Labelling { labels, reward_scale: 2.0, label_noise }
    }

    #[test]
    fn hard_rankings_follow_the_reward_and_keep_one_of_a_tie() {
        let hard = labelling(Labels::Hard, 0.0);
        assert_eq!(rankings(&samples(1, 4), &[0.2, 0.9, 0.2, 0.5], &hard, 0), [[1, 3, 0]]);
        assert!(rankings(&samples(1, 3), &[0.2; 3], &hard, 0).is_empty());
        let mut twins = samples(1, 2);
        twins.tokens[1] = twins.tokens[0].clone();
        assert!(rankings(&twins, &[0.2, 0.3], &hard, 0).is_empty());
    }

    #[test]
    fn drawn_rankings_have_the_probabilities_of_plackett_luce() {
        let (prompts, rewards) = (20_000, [0.1, 0.6, 0.3]);
        let all: Vec<f64> = (0..prompts).flat_map(|_| rewards).collect();
        let drawn = rankings(&samples(prompts, 3), &all, &labelling(Labels::BradleyTerry, 0.0), 7);
        let share = |order: [usize; 3]| {
            let is_it = |ranking: &&Vec<usize>| ranking.iter().map(|index| index % 3).eq(order);
            drawn.iter().filter(is_it).count() as f64 / prompts as f64
        };
        let weight = rewards.map(|reward: f64| (2.0 * reward).exp());
        let total: f64 = weight.iter().sum();
        for order in [[1, 2, 0], [0, 1, 2]] {
            let wanted = weight[order[0]] / total * weight[order[1]] / (weight[order[1]] + weight[order[2]]);
            assert!((share(order) - wanted).abs() < 0.015, "{order:?}: {} is not {wanted}", share(order));
        }
    }

    #[test]
    fn noise_flips_a_ranking_of_two_as_often_as_a_label() {
        let prompts = 20_000;
        let all: Vec<f64> = (0..prompts).flat_map(|_| [0.1, 0.9]).collect();
        let drawn = rankings(&samples(prompts, 2), &all, &labelling(Labels::Hard, 0.2), 7);
        let flipped = drawn.iter().filter(|ranking| ranking[0] % 2 == 0).count() as f64 / prompts as f64;
        assert!((flipped - 0.2).abs() < 0.015, "{flipped}");
    }
}
