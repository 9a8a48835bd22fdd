//! What every swept setting does: reward and KL of the last checkpoint against it.

use super::axis::{Axis, Scale};
use super::canvas::Drawing;
use super::legend::Entry;
use super::multiples::{Curve, Layout, Plot, grid};
use super::swept::{Outcome, Swept, Value, number, outcomes, sorted, swept};
use super::{Figures, half};
use crate::report::theme::{label, look, order, setting_name, shade};

/// More columns of panels than this are not taken in.
const SETTINGS: usize = 4;
/// Numbers whose ratio is greater lie on a logarithmic axis.
const RATIO: f64 = 15.0;

/// About how wide a panel is without its labels, in pixels, less the room at both ends.
const WIDTH: f64 = 200.0;

/// Value of the setting, mean, and the half-width of its 95% interval.
type Point = (f64, f64, f64);

/// All outcomes of one method, and the settings that it sweeps.
type Method<'a> = (Vec<&'a Outcome<'a>>, Vec<Swept<'a>>);

/// Draws the figure.
pub fn draw(data: &Figures<'_>) -> Option<Drawing> {
    let outcomes = outcomes(data.frontier);
    let methods: Vec<Method<'_>> = outcomes
        .chunk_by(|a, b| a.method == b.method)
        .map(|of_method| of_method.iter().collect::<Vec<_>>())
        .map(|of_method| (of_method.clone(), swept(&of_method)))
        .collect();
    let settings = settings(&methods);
    let mut entries: Vec<(&str, Entry)> = Vec::new();
    let (mut rewards, mut kls) = (Vec::new(), Vec::new());
    for setting in &settings {
        let (title, x) = (setting_name(setting.name), horizontal(setting));
        let mut bare = x.clone();
        bare.title.clear();
        let reward = Plot {
            y: data.reward_label.to_owned(),
            curves: curves(&methods, setting, |outcome| outcome.reward, &mut entries),
            ..Plot::default()
        };
        let kl = Plot {
            y: "KL (nats per sequence)".to_owned(),
            curves: curves(&methods, setting, |outcome| outcome.kl, &mut entries),
            ..Plot::default()
        };
        rewards.push(Plot { title: title.clone(), x: Some(bare), ..reward });
        kls.push(Plot { title: String::new(), x: Some(x), ..kl });
    }
    // Without rewards the KL is all there is, and says itself what it is against.
    let known = |plot: &Plot| plot.curves.iter().any(|curve| curve.points.iter().any(|point| point.1.is_finite()));
    let plots: Vec<Plot> = if rewards.iter().all(known) { rewards.into_iter().chain(kls).collect() } else { kls };
    let title = format!("{}: last checkpoint of every setting (95% intervals)", data.study);
    entries.sort_by(|a, b| order(a.0, b.0));
    let entries: Vec<Entry> = entries.into_iter().map(|entry| entry.1).collect();
    grid(&title, "", plots, Layout::small(settings.len()), &entries)
}

/// The settings that are shown: of all methods that sweep them together, those with most values first.
fn settings<'a>(methods: &[Method<'a>]) -> Vec<Swept<'a>> {
    let mut settings: Vec<Swept<'a>> = Vec::new();
    for one in methods.iter().flat_map(|method| &method.1) {
        match settings.iter_mut().find(|known| known.name == one.name) {
            Some(known) => known.values = sorted(known.values.iter().chain(&one.values).copied()),
            None => settings.push(one.clone()),
        }
    }
    settings.sort_by(|a, b| b.values.len().cmp(&a.values.len()).then_with(|| a.name.cmp(b.name)));
    settings.truncate(SETTINGS);
    settings
}

fn horizontal(setting: &Swept<'_>) -> Axis {
    let title = setting_name(setting.name);
    let Some(numbers) = setting.numbers() else { return Axis::names(title, &setting.values) };
    let wide = numbers.first().is_some_and(|least| *least > 0.0 && numbers.last().is_some_and(|most| most / least > RATIO));
    if wide {
        Axis::values(format!("{title} (log scale)"), Scale::Log, &numbers, WIDTH)
    } else {
        Axis::values(title, Scale::Linear, &numbers, WIDTH)
    }
}

/// A curve for every method that sweeps the setting, and for every combination of its other settings.
fn curves<'a>(
    methods: &[Method<'a>],
    setting: &Swept<'_>,
    value: fn(&Outcome<'_>) -> Value,
    entries: &mut Vec<(&'a str, Entry)>,
) -> Vec<Curve> {
    let numeric = setting.numbers().is_some();
    let place = |written: &str| match number(written).filter(|_| numeric) {
        Some(number) => number,
        None => setting.values.iter().position(|known| *known == written).map_or(f64::NAN, |at| at as f64),
    };
    let mut curves = Vec::new();
    for (outcomes, swept) in methods.iter().filter(|method| method.1.iter().any(|one| one.name == setting.name)) {
        let mut lines: Vec<(String, Vec<Point>)> = Vec::new();
        for outcome in outcomes {
            let Some(written) = outcome.value(setting.name) else { continue };
            let (others, (mean, error)) = (outcome.others(setting.name, swept), value(outcome));
            let point = (place(written), mean, half(error));
            match lines.iter_mut().find(|line| line.0 == others) {
                Some(line) => line.1.push(point),
                None => lines.push((others, vec![point])),
            }
        }
        let (count, method) = (lines.len(), outcomes[0].method);
        for (at, (others, mut points)) in lines.into_iter().enumerate() {
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (color, marker) = (shade(look(method).color, at, count), Some(look(method).marker));
            let name = format!("{} {others}", label(method)).trim_end().to_owned();
            if !entries.iter().any(|entry| entry.1.label == name) {
                entries.push((method, Entry { label: name, color, marker, dash: None }));
            }
            curves.push(Curve { color, marker, points, ..Curve::default() });
        }
    }
    curves
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Made, row};
    use super::*;

    fn study(params: &[&str]) -> Made {
        Made { frontier: params.iter().map(|params| row("dpo", params, 100, 1.0, 0.6)).collect(), ..Made::default() }
    }

    #[test]
    fn numbers_far_apart_lie_on_a_logarithmic_axis_and_words_on_names() {
        let title = |values: &[&'static str]| horizontal(&Swept { name: "beta", values: values.to_vec() }).title;
        assert_eq!(title(&["0.1", "0.5", "2"]), "β (log scale)");
        assert_eq!(title(&["0.1", "1.5"]), "β");
        assert_eq!(title(&["0", "100"]), "β");
        let words = horizontal(&Swept { name: "labels", values: vec!["0.1", "hard"] });
        assert_eq!(words.ticks.iter().map(|tick| tick.1.as_str()).collect::<Vec<_>>(), ["0.1", "hard"]);
    }

    #[test]
    fn a_line_is_named_by_its_other_settings() {
        let shown = study(&["beta=0.1;labels=hard", "beta=1;labels=hard", "beta=1;labels=bradley-terry"]).svg(draw);
        for text in ["DPO labels=hard", "DPO labels=bradley-terry", "DPO β=1", "labels", "bradley-terry", "mean true reward"] {
            assert!(shown.lines().any(|line| line.trim() == text), "{text}");
        }
    }

    #[test]
    fn a_setting_with_one_value_is_not_swept_and_four_settings_are_enough() {
        assert!(study(&["beta=0.1"]).draw(draw).is_none());
        let many: Vec<String> =
            (0..2).map(|value| ["a", "b", "c", "d", "e"].map(|name| format!("{name}={value}")).join(";")).collect();
        let many = study(&many.iter().map(String::as_str).collect::<Vec<_>>());
        let outcomes = outcomes(&many.frontier);
        let of_method: Vec<&Outcome<'_>> = outcomes.iter().collect();
        let shown = settings(&[(of_method.clone(), swept(&of_method))]);
        assert_eq!(shown.iter().map(|one| one.name).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    }

    #[test]
    fn without_rewards_the_kl_is_shown_alone() {
        let mut unknown = study(&["beta=0.1", "beta=1"]);
        unknown.frontier.iter_mut().for_each(|row| row.reward_mean = f64::NAN);
        let shown = unknown.svg(draw);
        assert!(shown.contains("KL (nats per sequence)") && !shown.contains("mean true reward"));
    }
}
