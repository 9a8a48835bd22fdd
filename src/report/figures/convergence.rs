//! Whether a method reaches the optimum of its own objective: with more comparisons, and with more steps. With labels that are
//! drawn from the Bradley-Terry model DPO has such an optimum; with hard labels its loss has none, and KL grows without end.

use super::Figures;
use super::axis::{Axis, Scale, extent};
use super::canvas::Drawing;
use super::legend::Entry;
use super::multiples::{Curve, Layout, Plot, Stroke, grid};
use super::oracle::{Run, curves, method, palette, runs};
use super::tracks::Palette;
use crate::report::rows::OracleRow;
use crate::report::theme::{FAINT, label, look, setting};

const GUIDE: (f64, f64) = (5.0, 3.5);
const ALL: (f64, f64) = (6.0, 2.0);
const POPULATION: (f64, f64) = (1.5, 2.5);

/// What a run was trained on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparisons {
    /// So many drawn comparisons.
    Drawn(f64),
    /// All that were drawn.
    All,
    /// Every pair that there could be, with its probability: the loss is its exact expectation.
    Population,
}

/// Draws the figure, where the distance from the own optimum is known or the number of comparisons is swept.
pub fn draw(data: &Figures<'_>) -> Option<Drawing> {
    let runs = runs(data.oracle);
    let distant = data.oracle.iter().any(|row| row.kl_to_own_optimum.is_some());
    if !distant && !runs.iter().any(|run| comparisons(&run[0].params).is_some()) {
        return None;
    }
    let palette = palette(&runs);
    let (mut plots, mut entries) = (Vec::new(), palette.entries(true));
    if let Some((plot, guides)) = by_comparisons(&runs, &palette) {
        plots.push(plot);
        entries.extend(guides);
    }
    let by_step = |title: &str, y: &str, point: fn(&OracleRow) -> (f64, f64)| Plot {
        title: title.to_owned(),
        y: y.to_owned(),
        curves: curves(&runs, &palette, point),
        scale: Scale::Log,
        ..Plot::default()
    };
    // Blank is not 0, and neither has a place on this axis.
    let own = |row: &OracleRow| (row.step as f64, row.kl_to_own_optimum.unwrap_or(f64::NAN));
    plots.push(by_step("KL to the own optimum", "nats per sequence (log scale)", own));
    plots.push(by_step("KL from the reference", "nats per sequence (log scale)", |row| (row.step as f64, row.kl)));
    let title = format!("{}: convergence to the optimum of the own objective", data.study);
    grid(&title, "optimiser step", plots, Layout::small(3), &entries)
}

/// What a run's settings say of its comparisons, if anything.
fn comparisons(params: &str) -> Option<Comparisons> {
    let settings = || params.split(';').filter_map(|written| written.split_once('='));
    if settings().any(|(name, value)| of_population(name, value)) {
        return Some(Comparisons::Population);
    }
    let count = settings().find(|(name, _)| *name == "comparisons")?.1.parse().ok()?;
    match count {
        0.0 => Some(Comparisons::All),
        count => (count > 0.0 && f64::is_finite(count)).then_some(Comparisons::Drawn(count)),
    }
}

fn of_population(name: &str, value: &str) -> bool {
    (name == "samples_from" && value == "population") || (name == "population" && value != "false")
}

/// The settings of a run but for what says how many comparisons it has. The population is one of the reference's completions.
fn others(params: &str) -> String {
    let told = |(name, value): &(&str, &str)| {
        let counts = matches!(*name, "comparisons" | "population") || (*name, *value) == ("samples_from", "reference");
        !counts && !of_population(name, value)
    };
    let kept = params.split(';').filter(|written| written.split_once('=').is_some_and(|setting| told(&setting)));
    kept.map(setting).collect::<Vec<_>>().join(", ")
}

/// The last checkpoint of a run that was trained on so many comparisons.
struct Last<'a> {
    params: &'a str,
    comparisons: Comparisons,
    /// KL to the own optimum; positive.
    distance: f64,
}

/// The distance of each run's last checkpoint against the number of comparisons, with a guide that falls as 1 / n, and the
/// legend's lines for what has none of its own.
fn by_comparisons(runs: &[Run<'_>], palette: &Palette) -> Option<(Plot, Vec<Entry>)> {
    let mut lines: Vec<(&str, String, Vec<Last<'_>>)> = Vec::new();
    for run in runs {
        let params = run[0].params.as_str();
        let (Some(comparisons), Some(last)) = (comparisons(params), run.last()) else { continue };
        let Some(distance) = last.kl_to_own_optimum.filter(|distance| distance.is_finite() && *distance > 0.0) else { continue };
        let (others, last) = (others(params), Last { params, comparisons, distance });
        match lines.iter_mut().find(|line| line.0 == method(run) && line.1 == others) {
            Some(line) => line.2.push(last),
            None => lines.push((method(run), others, vec![last])),
        }
    }
    let drawn = |last: &Last<'_>| match last.comparisons {
        Comparisons::Drawn(count) => Some((count, last.distance)),
        Comparisons::All | Comparisons::Population => None,
    };
    let all: Vec<(f64, f64)> = lines.iter().flat_map(|line| line.2.iter().filter_map(drawn)).collect();
    let span = extent(all.iter().map(|point| point.0))?;
    let (mut curves, mut entries) = (Vec::new(), Vec::new());
    for (method, others, found) in &lines {
        let look = look(method);
        let mut points: Vec<(f64, f64)> = found.iter().filter_map(drawn).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Seeds are points; the line joins their geometric means.
        let means = points.chunk_by(|a, b| a.0 == b.0).map(|seeds| (seeds[0].0, middle(seeds.iter().map(|seed| seed.1)), 0.0));
        curves.push(Curve { color: look.color, points: means.collect(), ..Curve::default() });
        for last in found {
            let points = drawn(last).map(|(count, distance)| (count, distance, 0.0)).into_iter().collect();
            let color = palette.color(method, last.params);
            curves.push(Curve { color, marker: Some(look.marker), points, stroke: Stroke::None, ..Curve::default() });
        }
        let alone = lines.iter().filter(|line| line.0 == *method).count() == 1;
        let name = if alone || others.is_empty() { label(method) } else { format!("{} {others}", label(method)) };
        for (comparisons, text, dash) in
            [(Comparisons::All, "all comparisons", ALL), (Comparisons::Population, "exact loss", POPULATION)]
        {
            let level = || found.iter().filter(|last| last.comparisons == comparisons);
            let Some(last) = level().next() else { continue };
            let (color, level) = (palette.color(method, last.params), middle(level().map(|last| last.distance)));
            let points = vec![(span.0, level, 0.0), (span.1, level, 0.0)];
            curves.push(Curve { color, points, stroke: Stroke::Dashed(1.6, dash), ..Curve::default() });
            entries.push(Entry { label: format!("{name}: {text}"), color, marker: None, dash: Some(dash) });
        }
    }
    let through = middle(all.iter().map(|(count, distance)| count * distance));
    let guide = [span.0, span.1].map(|count| (count, through / count, 0.0));
    curves.push(Curve { color: FAINT, points: guide.into(), stroke: Stroke::Dashed(1.0, GUIDE), ..Curve::default() });
    entries.push(Entry { label: "1 / n".to_owned(), color: FAINT, marker: None, dash: Some(GUIDE) });
    let plot = Plot {
        title: "with more comparisons".to_owned(),
        y: "KL to the own optimum, nats (log scale)".to_owned(),
        curves,
        x: Some(Axis::log10("comparisons n (log scale)", all.iter().map(|point| point.0))),
        scale: Scale::Log,
        ..Plot::default()
    };
    Some((plot, entries))
}

/// The geometric mean of positive values.
fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let logs: Vec<f64> = values.map(f64::ln).collect();
    (logs.iter().sum::<f64>() / logs.len() as f64).exp()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Made, made, oracle};
    use super::*;

    #[test]
    fn comparisons_are_read_from_the_settings() {
        assert_eq!(comparisons("beta=1;comparisons=64"), Some(Comparisons::Drawn(64.0)));
        assert_eq!(comparisons("comparisons=0"), Some(Comparisons::All));
        assert_eq!(comparisons("comparisons=0;samples_from=population"), Some(Comparisons::Population));
        assert_eq!(comparisons("samples_from=population"), Some(Comparisons::Population));
        assert_eq!(
            (comparisons("beta=1"), comparisons("comparisons=many"), comparisons("samples_from=base")),
            (None, None, None)
        );
        assert_eq!(others("comparisons=64;labels=hard;beta=1;samples_from=reference"), "labels=hard, β=1");
        assert_eq!(others("samples_from=base"), "samples from=base");
    }

    #[test]
    fn the_guide_and_the_exact_loss_are_named() {
        let shown = made().svg(draw);
        for text in [
            "1 / n",
            "DPO: all comparisons",
            "DPO: exact loss",
            "comparisons n (log scale)",
            "KL to the own optimum",
            "DPO comparisons=64",
        ] {
            assert!(shown.lines().any(|line| line.trim() == text), "{text}");
        }
    }

    #[test]
    fn a_run_without_an_optimum_of_its_own_still_shows_its_kl() {
        let of = |params| Made { oracle: vec![oracle("dpo", params, 1, 1.0, None)], ..Made::default() };
        let shown = of("comparisons=64;labels=hard").svg(draw);
        assert!(shown.contains("KL from the reference") && !shown.contains("1 / n"));
        assert!(of("beta=1").draw(draw).is_none());
    }

    #[test]
    fn the_middle_is_the_geometric_mean() {
        assert!((middle([1.0, 100.0].into_iter()) - 10.0).abs() < 1e-12);
    }
}
