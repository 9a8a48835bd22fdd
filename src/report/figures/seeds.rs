//! How much a method's result depends on its seed: means and intervals over all seeds of a setting.

use super::canvas::Drawing;
use super::multiples::{Curve, Layout, Plot, grid, kl_axis};
use super::tracks::Palette;
use super::{Figures, half};
use crate::report::rows::SeedsRow;
use crate::report::theme::{kind, look, order, order_params};

/// Draws the figure, of everything that has at least two seeds.
pub fn draw(data: &Figures<'_>) -> Option<Drawing> {
    let of = |row: &SeedsRow| kind(&row.method, &row.params).to_owned();
    let mut rows: Vec<&SeedsRow> = data.seeds.iter().filter(|row| row.seeds >= 2 && row.reward_mean.is_finite()).collect();
    rows.sort_by(|a, b| order(&of(a), &of(b)).then_with(|| order_params(&a.params, &b.params)).then_with(|| a.step.cmp(&b.step)));
    let palette = Palette::new(rows.iter().map(|row| (kind(&row.method, &row.params), row.params.as_str())));
    let groups: Vec<&[&SeedsRow]> = rows.chunk_by(|a, b| (&a.method, &a.params) == (&b.method, &b.params)).collect();
    let plot = |title: &str, at: fn(&SeedsRow) -> f64, banded: bool| {
        let curve = |group: &&[&SeedsRow]| {
            let method = kind(&group[0].method, &group[0].params);
            let points = group.iter().map(|row| (at(row), row.reward_mean, if banded { 0.0 } else { half(row.reward_se) }));
            let band = group.iter().filter(|_| banded).map(|row| (at(row), row.ci_low, row.ci_high));
            Curve {
                color: palette.color(method, &group[0].params),
                marker: Some(look(method).marker),
                points: points.collect(),
                band: band.collect(),
                ..Curve::default()
            }
        };
        let curves = groups.iter().map(curve).collect();
        Plot { title: title.to_owned(), y: data.reward_label.to_owned(), curves, ..Plot::default() }
    };
    let against_kl = plot("against KL", |row| row.kl_mean, false);
    let plots = vec![
        plot("reward", |row| row.step as f64, true),
        Plot { x: Some(kl_axis(rows.iter().map(|row| row.kl_mean))), ..against_kl },
    ];
    let counts = (rows.iter().map(|row| row.seeds).min()?, rows.iter().map(|row| row.seeds).max()?);
    let counts = if counts.0 == counts.1 { counts.0.to_string() } else { format!("{} to {}", counts.0, counts.1) };
    let title = format!("{}: means over {counts} seeds (95% intervals)", data.study);
    grid(&title, "optimiser step", plots, Layout::large(2), &palette.entries(true))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Made, seeds};
    use super::*;

    #[test]
    fn one_seed_says_nothing_about_seeds() {
        assert!(Made { seeds: vec![seeds("dpo", "", 1, 1)], ..Made::default() }.draw(draw).is_none());
        let rows =
            vec![seeds("dpo", "beta=1", 1, 3), seeds("dpo", "beta=5", 1, 1), seeds("ppo_gt", "preset=off-the-shelf", 1, 5)];
        let shown = Made { seeds: rows, ..Made::default() }.svg(draw);
        for text in ["DPO", "PPO-GT (off-the-shelf)", "oracle: means over 3 to 5 seeds (95% intervals)", "against KL"] {
            assert!(shown.lines().any(|line| line.trim() == text), "{text}");
        }
    }
}
