//! Over-optimisation of the learned reward (Gao et al. 2023): how the true and the learned reward go on with the KL that is
//! spent. Where the learned one still rises and the true one falls, the policy exploits the reward model's mistakes.

use super::axis::{Axis, reach};
use super::best_of_n::curves;
use super::canvas::Drawing;
use super::legend::Entry;
use super::multiples::{Curve, Layout, Plot, Stroke, grid};
use super::tracks::{Palette, tracks};
use super::{Figures, half};
use crate::report::theme::{label, look};

/// Methods that are trained for, or chosen by, the learned reward or the comparisons that it was fitted to.
const METHODS: [&str; 3] = ["dpo", "ppo", "ppo_off_the_shelf"];

const DASH: (f64, f64) = (5.0, 3.5);

/// Draws the figure, of those runs whose learned reward is known.
pub fn draw(data: &Figures<'_>) -> Option<Drawing> {
    let mut tracks = tracks(data.frontier);
    tracks.retain(|track| METHODS.contains(&track.method));
    for track in &mut tracks {
        track.rows.retain(|row| row.proxy_reward_mean.is_some() && row.reward_mean.is_finite());
    }
    let mut best = curves(data.best_of_n);
    best.iter_mut().for_each(|curve| curve.retain(|row| row.proxy_reward_mean.is_some()));
    let rows = || tracks.iter().flat_map(|track| &track.rows);
    // The reference's own learned reward is no optimisation.
    let spent = rows().map(|row| row.kl_mean).chain(best.iter().flatten().map(|row| row.kl_bound));
    let limit = reach(spent.filter(|kl| *kl > 0.0))?;

    let palette = Palette::new(tracks.iter().filter(|track| !track.rows.is_empty()).map(|track| (track.method, track.params)));
    let bon = look("best_of_n");
    let plot = |title: &str, y: &str, learned: bool| {
        let of_runs = tracks.iter().map(|track| {
            let value = |true_reward: (f64, f64), learned_reward: Option<f64>| {
                if learned { (learned_reward.unwrap_or(f64::NAN), 0.0) } else { (true_reward.0, half(true_reward.1)) }
            };
            let points = track.rows.iter().map(|row| {
                let (value, half) = value((row.reward_mean, row.reward_se), row.proxy_reward_mean);
                // Sampling can put the reference's own KL a little below 0, which has no root.
                (row.kl_mean.max(0.0), value, half)
            });
            Curve {
                color: palette.color(track.method, track.params),
                marker: Some(look(track.method).marker),
                points: points.collect(),
                ..Curve::default()
            }
        });
        let of_best = best.iter().map(|curve| {
            let points = curve.iter().map(|row| match row.proxy_reward_mean.filter(|_| learned) {
                Some(value) => (row.kl_bound, value, 0.0),
                None => (row.kl_bound, row.reward_mean, half(row.reward_se)),
            });
            let stroke = Stroke::Dashed(1.2, DASH);
            Curve { color: bon.color, marker: Some(bon.marker), points: points.collect(), stroke, ..Curve::default() }
        });
        let curves = of_runs.chain(of_best).collect();
        let x = Axis::sqrt("KL(π ‖ π_ref), nats (square-root scale)", limit * 1.04, 6);
        Plot { title: title.to_owned(), y: y.to_owned(), curves, x: Some(x), ..Plot::default() }
    };
    let plots =
        vec![plot("true reward", data.reward_label, false), plot("learned reward (no interval)", "mean learned reward", true)];
    let mut entries = palette.entries(true);
    if best.iter().any(|curve| !curve.is_empty()) {
        let name = format!("{} (KL bound)", label("best_of_n"));
        entries.push(Entry { label: name, color: bon.color, marker: Some(bon.marker), dash: Some(DASH) });
    }
    let title = format!("{}: over-optimisation of the learned reward (95% intervals)", data.study);
    grid(&title, "", plots, Layout::large(2), &entries)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Made, best, made, row};
    use super::*;

    #[test]
    fn only_known_learned_rewards_are_shown() {
        let shown = made().svg(draw);
        for text in ["true reward", "learned reward (no interval)", "Best-of-N (KL bound)", "DPO β=0.1"] {
            assert!(shown.lines().any(|line| line.trim() == text), "{text}");
        }
        assert!(!shown.contains("Unlikelihood"), "it is not trained for the learned reward");
        let mut unknown = made();
        unknown.frontier.iter_mut().for_each(|row| row.proxy_reward_mean = None);
        unknown.best_of_n.iter_mut().for_each(|row| row.proxy_reward_mean = None);
        assert!(unknown.draw(draw).is_none());
    }

    #[test]
    fn the_reference_alone_is_no_optimisation() {
        let made = Made { frontier: vec![row("dpo", "", 0, 0.0, 0.5)], best_of_n: vec![best(1, 0.5)], ..Made::default() };
        assert!(made.draw(draw).is_none());
    }
}
