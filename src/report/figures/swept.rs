//! The settings that a study sweeps, and what every combination of them came to, its seeds averaged.

use super::tracks::tracks;
use crate::report::rows::FrontierRow;
use crate::report::theme::{of_kind, order_params, setting};
use std::collections::BTreeSet;

/// A mean and its standard error.
pub type Value = (f64, f64);

/// The last checkpoint of one method with one combination of settings.
#[derive(Clone, Debug)]
pub struct Outcome<'a> {
    /// The method, as figures tell it apart.
    pub method: &'a str,
    /// Name and value of every setting.
    pub settings: Vec<(&'a str, &'a str)>,
    /// True reward; NaN where it is not known.
    pub reward: Value,
    /// KL from the reference in nats.
    pub kl: Value,
}

impl<'a> Outcome<'a> {
    /// The value of a setting.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.settings.iter().find(|setting| setting.0 == name).map(|setting| setting.1)
    }

    /// What tells it from others beside one setting: `lr=0.1, γ=2`, of the settings in `swept`.
    pub fn others(&self, but: &str, swept: &[Swept<'_>]) -> String {
        let told = |name: &str| name != but && swept.iter().any(|other| other.name == name);
        let others = self.settings.iter().filter(|(name, _)| told(name));
        others.map(|(name, value)| setting(&format!("{name}={value}"))).collect::<Vec<_>>().join(", ")
    }
}

/// A setting that takes several values.
#[derive(Clone, Debug)]
pub struct Swept<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its values in order: numbers by size, words by letter.
    pub values: Vec<&'a str>,
}

impl Swept<'_> {
    /// Its values, where all are finite numbers.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        self.values.iter().map(|value| number(value)).collect()
    }
}

/// A value that is a finite number.
pub fn number(value: &str) -> Option<f64> {
    value.parse().ok().filter(|number: &f64| number.is_finite())
}

/// The last checkpoint of every run that trained, at temperature 1, one for every method and combination, in a legend's order.
pub fn outcomes<'a>(rows: &'a [FrontierRow]) -> Vec<Outcome<'a>> {
    let mut seeds: Vec<(&'a str, &'a str, Vec<&FrontierRow>)> = Vec::new();
    for track in tracks(rows) {
        let Some(last) = track.rows.last().filter(|row| row.step > 0) else { continue };
        match seeds.iter_mut().find(|known| (known.0, known.1) == (track.method, track.params)) {
            Some(known) => known.2.push(last),
            None => seeds.push((track.method, track.params, vec![last])),
        }
    }
    let outcome = |(method, params, rows): (&'a str, &'a str, Vec<&FrontierRow>)| {
        let mean = |value: fn(&FrontierRow) -> Value| over_seeds(&rows.iter().map(|row| value(row)).collect::<Vec<_>>());
        let (reward, kl) = (mean(|row| (row.reward_mean, row.reward_se)), mean(|row| (row.kl_mean, row.kl_se)));
        Outcome { method, settings: settings(params), reward, kl }
    };
    seeds.into_iter().map(outcome).collect()
}

/// Name and value of every setting in `beta=0.1;learning_rate=0.0001`.
fn settings(params: &str) -> Vec<(&str, &str)> {
    params.split(';').filter(|written| !of_kind(written)).filter_map(|written| written.split_once('=')).collect()
}

/// The mean over seeds and its error, sqrt(mean of se^2 + variance between seeds / seeds): seeds share their prompts, so more of
/// them do not make the prompts' part of the error smaller.
fn over_seeds(values: &[Value]) -> Value {
    let count = values.len() as f64;
    let mean = values.iter().map(|value| value.0 / count).sum::<f64>();
    let within = values.iter().map(|value| value.1 * value.1 / count).sum::<f64>();
    let squares = values.iter().map(|value| (value.0 - mean) * (value.0 - mean)).sum::<f64>();
    let between = if values.len() > 1 { squares / (count - 1.0) } else { 0.0 };
    (mean, (within + between / count).sqrt())
}

/// The settings that take at least two values among these outcomes of one method, those with most values first.
pub fn swept<'a>(outcomes: &[&Outcome<'a>]) -> Vec<Swept<'a>> {
    let names: BTreeSet<&str> = outcomes.iter().flat_map(|outcome| outcome.settings.iter().map(|setting| setting.0)).collect();
    let mut swept: Vec<Swept<'_>> = names
        .into_iter()
        .map(|name| Swept { name, values: sorted(outcomes.iter().filter_map(|outcome| outcome.value(name))) })
        .filter(|swept| swept.values.len() > 1)
        .collect();
    swept.sort_by_key(|swept| std::cmp::Reverse(swept.values.len()));
    swept
}

/// Every value once, numbers by size and words by letter.
pub fn sorted<'a>(values: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut values: Vec<&str> = values.collect();
    values.sort_by(|a, b| order_params(&format!("={a}"), &format!("={b}")).then_with(|| a.cmp(b)));
    values.dedup();
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_seeds_are_combined() {
        assert_eq!(over_seeds(&[(2.0, 0.5)]), (2.0, 0.5));
        let (mean, se) = over_seeds(&[(1.0, 0.3), (3.0, 0.5)]);
        assert!((mean - 2.0).abs() < 1e-12);
        assert!((se - f64::sqrt((0.09 + 0.25) / 2.0 + 2.0 / 2.0)).abs() < 1e-12, "{se}");
        assert!(over_seeds(&[(f64::NAN, f64::NAN)]).0.is_nan());
    }

    #[test]
    fn the_last_checkpoint_counts_and_settings_with_one_value_are_not_swept() {
        let row = |seed: u64, beta: &str, step, reward_mean| FrontierRow {
            run: format!("dpo-{beta}-{seed}"),
            method: "dpo".into(),
            params: format!("beta={beta};x=1"),
            seed,
            step,
            temperature: 1.0,
            reward_mean,
            ..FrontierRow::default()
        };
        let rows =
            [row(0, "0.1", 0, 0.0), row(0, "0.1", 9, 1.0), row(1, "0.1", 9, 3.0), row(0, "10", 9, 5.0), row(0, "5", 9, 5.0)];
        let outcomes = outcomes(&rows);
        assert_eq!(outcomes.iter().map(|outcome| outcome.reward.0).collect::<Vec<_>>(), [2.0, 5.0, 5.0]);
        let swept = swept(&outcomes.iter().collect::<Vec<_>>());
        assert_eq!(
            swept.iter().map(|one| (one.name, one.values.clone())).collect::<Vec<_>>(),
            [("beta", vec!["0.1", "5", "10"])]
        );
        assert_eq!(outcomes[0].others("beta", &swept), "");
    }
}
