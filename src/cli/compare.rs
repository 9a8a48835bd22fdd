//! `dpo-lab compare`

use super::Results;
use super::find::find;
use super::table::{number, print, with_error};
use crate::error::{Error, Exit, Result};
use crate::report::{self, Comparison, Difference, PastRun};
use clap::Args;
use serde_json::Value;

#[derive(Debug, Args)]
pub(super) struct Compare {
    /// A run's name, the start of it, STUDY/RUN, or a path that ends so
    a: String,
    /// The other run
    b: String,
    #[command(flatten)]
    results: Results,
    /// Everything as JSON
    #[arg(long)]
    json: bool,
}

impl Compare {
    pub(super) fn run(self) -> Result<Exit> {
        let found = [find(&self.results.results, &self.a)?, find(&self.results.results, &self.b)?];
        let stores = [found[0].store()?, found[1].store()?];
        let runs = found.each_ref().map(|found| PastRun::read(&found.study_folder(), &found.study, &found.run));
        let comparison = report::compare([&runs[0], &runs[1]], stores.each_ref().map(Option::as_ref));
        if self.json {
            let text = serde_json::to_string_pretty(&comparison).map_err(Error::other)?;
            say!("{text}");
        } else {
            show(&comparison);
        }
        Ok(Exit::Done)
    }
}

fn show(comparison: &Comparison) {
    print(0, &[["a", &comparison.a], ["b", &comparison.b]]);
    differences("settings", &comparison.settings);
    differences("provenance", &comparison.provenance);
    if !comparison.results.is_empty() {
        let [a, b] = comparison.results[0].steps;
        let step = if a == b { format!("at step {a}") } else { format!("at step {a} and step {b}") };
        say!("\nresults {step}");
        let header = ["", "a", "b", "a - b", "95% interval", "paired by"].map(str::to_owned);
        let rows = comparison.results.iter().map(|row| {
            [
                row.what.clone(),
                with_error(row.a.value, row.a.se),
                with_error(row.b.value, row.b.se),
                with_error(row.difference.value, row.difference.se),
                row.interval.map(|[low, high]| format!("[{}, {}]", number(low), number(high))).unwrap_or_default(),
                row.paired_prompts.map(|prompts| format!("{prompts} prompts")).unwrap_or_default(),
            ]
        });
        print(2, &std::iter::once(header).chain(rows).collect::<Vec<_>>());
    }
    if !comparison.notes.is_empty() {
        say!();
    }
    for note in &comparison.notes {
        say!("note: {note}");
    }
}

fn differences(of: &str, found: &[Difference]) {
    if found.is_empty() {
        say!("\ndifferences in {of}: none that is known");
        return;
    }
    say!("\ndifferences in {of}");
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let header = ["", "a", "b"].map(str::to_owned);
    let rows = found.iter().map(|difference| [difference.what.clone(), text(&difference.a), text(&difference.b)]);
    print(2, &std::iter::once(header).chain(rows).collect::<Vec<_>>());
}
