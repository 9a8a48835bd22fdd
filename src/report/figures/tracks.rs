//! The evaluated checkpoints of each run in order, and the colour and name of every run.

use super::legend::Entry;
use crate::report::rows::FrontierRow;
use crate::report::theme::{Marker, kind, label, look, of_kind, order, order_params, setting, shade};
use plotters::style::RGBColor;
use std::collections::BTreeMap;

/// One run at one sampling temperature, in the order of its steps.
#[derive(Clone, Debug)]
pub struct Track<'a> {
    /// The method, as [`kind`] tells it apart.
    pub method: &'a str,
    /// Swept parameters.
    pub params: &'a str,
    /// Its checkpoints; never empty.
    pub rows: Vec<&'a FrontierRow>,
}

/// The runs at temperature 1, or at every temperature where nothing was sampled at 1; by method, parameters and name.
pub fn tracks(rows: &[FrontierRow]) -> Vec<Track<'_>> {
    let plain = rows.iter().any(|row| is_one(row.temperature));
    let mut runs: BTreeMap<(&str, u64), Track<'_>> = BTreeMap::new();
    for row in rows.iter().filter(|row| !plain || is_one(row.temperature)) {
        let run = runs.entry((&row.run, row.temperature.to_bits()));
        run.or_insert_with(|| Track { method: kind(&row.method, &row.params), params: &row.params, rows: Vec::new() })
            .rows
            .push(row);
    }
    let mut tracks: Vec<Track<'_>> = runs.into_values().collect();
    for track in &mut tracks {
        track.rows.sort_by_key(|row| row.step);
    }
    tracks.sort_by(|a, b| order(a.method, b.method).then_with(|| order_params(a.params, b.params)));
    tracks
}

/// Whether a sampling temperature is 1.
pub fn is_one(temperature: f64) -> bool {
    (temperature - 1.0).abs() < 1e-9
}

/// Names and shades of runs: the colour of the method, lighter or darker by the order of its parameters.
#[derive(Clone, Debug)]
pub struct Palette {
    kinds: Vec<(String, Vec<String>)>,
}

impl Palette {
    /// A palette for these pairs of method, as [`kind`] tells it apart, and parameters.
    pub fn new<'a>(runs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut kinds: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (method, params) in runs {
            kinds.entry(method).or_default().push(params.to_owned());
        }
        let mut kinds: Vec<_> = kinds.into_iter().map(|(method, params)| (method.to_owned(), params)).collect();
        kinds.sort_by(|a, b| order(&a.0, &b.0));
        for (_, params) in &mut kinds {
            params.sort_by(|a, b| order_params(a, b));
            params.dedup();
        }
        Self { kinds }
    }

    fn params(&self, method: &str) -> &[String] {
        self.kinds.iter().find(|kind| kind.0 == method).map_or(&[], |kind| &kind.1)
    }

    /// Where a run stands in a legend.
    pub fn place(&self, method: &str, params: &str) -> (usize, usize) {
        let of_kind = self.kinds.iter().position(|kind| kind.0 == method).unwrap_or(self.kinds.len());
        (of_kind, self.params(method).iter().position(|one| one == params).unwrap_or(0))
    }

    /// The colour of a run.
    pub fn color(&self, method: &str, params: &str) -> RGBColor {
        let all = self.params(method);
        shade(look(method).color, self.place(method, params).1, all.len())
    }

    /// The settings that tell this run from others of its method, or all of them where it is alone: `β=0.1`.
    pub fn settings(&self, method: &str, params: &str) -> String {
        let all = self.params(method);
        let told = |written: &&str| all.len() < 2 || all.iter().any(|other| !other.split(';').any(|one| one == *written));
        let shown: Vec<String> =
            params.split(';').filter(|one| !one.is_empty() && !of_kind(one)).filter(told).map(setting).collect();
        shown.join(", ")
    }

    /// A legend with one line for every method and its parameters.
    pub fn entries(&self, marked: bool) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (method, all) in &self.kinds {
            let marker: Option<Marker> = marked.then(|| look(method).marker);
            for params in all {
                let settings = if all.len() > 1 { self.settings(method, params) } else { String::new() };
                let name = format!("{} {settings}", label(method)).trim_end().to_owned();
                entries.push(Entry { label: name, color: self.color(method, params), marker, dash: None });
            }
        }
        entries
    }
}
