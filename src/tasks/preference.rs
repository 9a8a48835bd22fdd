//! Labels from true rewards: which of two completions is chosen.

use crate::random::Stream;
use crate::spec::{Labelling, Labels};

/// Whether a completion whose reward is greater by `difference` is chosen; nothing for a tie of hard labels.
pub fn first_is_chosen(difference: f64, labelling: &Labelling, mut draw: Stream) -> Option<bool> {
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
        let first = |row: u64| first_is_chosen(rewards.0 - rewards.1, &labelling, Stream::new(0, 0, "test", row)) == Some(true);
        (0..count).filter(|row| first(*row)).count() as f64 / count as f64
    }

    #[test]
    fn hard_labels_follow_the_reward_and_leave_ties_out() {
        let hard = |rewards: (f64, f64)| {
            let labelling = Labelling { labels: Labels::Hard, reward_scale: 1.0, label_noise: 0.0 };
            first_is_chosen(rewards.0 - rewards.1, &labelling, Stream::new(0, 0, "", 0))
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
