//! preferences.csv: how every checkpoint ranks held-out comparisons.

use super::collect::{Collection, Evaluation};
use super::rows::PreferencesRow;
use crate::stats::{Mean, clustered_mean};

/// One row for every evaluated checkpoint of every run that trains.
pub fn preferences(collection: &Collection<'_>) -> Vec<PreferencesRow> {
    let mut rows = Vec::new();
    for collected in &collection.runs {
        if !collected.run.method.trains() {
            continue;
        }
        let beta = collected.run.method.implicit_beta();
        // Comparisons have no temperature: one evaluation of a step is enough.
        let mut evaluations: Vec<&(u64, f64, std::rc::Rc<Evaluation>)> = collected.evaluations.iter().collect();
        evaluations.dedup_by_key(|(step, ..)| *step);
        for (step, _, evaluation) in evaluations {
            if evaluation.preferences.is_empty() {
                continue;
            }
            let margins = evaluation.preferences.iter().map(|row| (row.prompt, beta * row.margin));
            let [accuracy, margin, loss] = of_margins(margins);
            rows.push(PreferencesRow {
                run: collected.run.name.clone(),
                method: collected.run.method.name().to_owned(),
                params: collected.run.params(),
                seed: collected.run.seed,
                step: *step,
                comparisons: evaluation.preferences.len(),
                prompts: accuracy.clusters,
                accuracy: accuracy.mean,
                accuracy_se: accuracy.se,
                margin: margin.mean,
                margin_se: margin.se,
                loss: loss.mean,
                loss_se: loss.se,
            });
        }
    }
    rows
}

/// Accuracy (a margin of 0 is half right), margin and -log sigma(margin), each clustered by prompt, of (prompt, margin).
pub(super) fn of_margins(margins: impl Iterator<Item = (usize, f64)> + Clone) -> [Mean; 3] {
    let right = |margin: f64| if margin == 0.0 { 0.5 } else { f64::from(u8::from(margin > 0.0)) };
    // Without overflow for large negative margins.
    let loss = |margin: f64| (-margin).max(0.0) + (-margin.abs()).exp().ln_1p();
    [
        clustered_mean(margins.clone().map(|(prompt, margin)| (prompt, right(margin)))),
        clustered_mean(margins.clone()),
        clustered_mean(margins.map(|(prompt, margin)| (prompt, loss(margin)))),
    ]
}
