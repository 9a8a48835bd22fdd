//! The rows of CSVs about judges: winrate.csv, winrate_differences.csv and published.csv. Their columns are a contract.

use crate::stats::Outcome;
use serde::{Deserialize, Serialize};

/// What ends the name of a task whose prompts are out of distribution: `summarisation-ood`.
pub const OUT_OF_DISTRIBUTION: &str = "-ood";

/// winrate.csv: one judge's comparison of one checkpoint with a baseline.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct WinRateRow {
    /// Name of the run.
    pub run: String,
    /// Name of the method, as in the experiment file's table.
    pub method: String,
    /// Swept parameters, sorted: `beta=0.1;learning_rate=0.0001`.
    pub params: String,
    /// Seed of the run.
    pub seed: u64,
    /// Optimiser steps taken.
    pub step: u64,
    /// Sampling temperature.
    pub temperature: f64,
    /// `summarisation`, `dialogue`, `sentiment`, or one of them with [`OUT_OF_DISTRIBUTION`].
    pub task: String,
    /// Name of the judge.
    pub judge: String,
    /// What the policy's completions were compared with.
    pub baseline: String,
    /// Number of pairs, each asked in both orders.
    pub n: usize,
    /// Pairs that both orders gave to the policy.
    pub wins: usize,
    /// Pairs that both orders gave to the baseline.
    pub losses: usize,
    /// Pairs that are neither.
    pub ties: usize,
    /// Mean pair score: 1 for a win, 1/2 for a tie, 0 for a loss; NaN, which is blank in the file, where no answer could be read.
    #[serde(with = "super::blank")]
    pub win_rate: f64,
    /// Lower end of its 95% interval.
    #[serde(with = "super::blank")]
    pub ci_low: f64,
    /// Upper end of its 95% interval.
    #[serde(with = "super::blank")]
    pub ci_high: f64,
    /// Share of pairs on which both orders agree.
    #[serde(with = "super::blank")]
    pub order_consistency: f64,
    /// Win rate at equal length, where it could be fitted.
    pub length_controlled_win_rate: Option<f64>,
    /// Lower end of its 95% interval.
    pub length_controlled_ci_low: Option<f64>,
    /// Upper end of its 95% interval.
    pub length_controlled_ci_high: Option<f64>,
    /// How much more often the judge takes what it is shown first.
    #[serde(with = "super::blank")]
    pub position_bias: f64,
    /// Win rate corrected for the judge's errors (Rogan and Gladen 1978), where it was calibrated.
    pub corrected_win_rate: Option<f64>,
    /// Lower end of its 95% interval.
    pub corrected_ci_low: Option<f64>,
    /// Upper end of its 95% interval.
    pub corrected_ci_high: Option<f64>,
    /// Number of prompts.
    pub prompts: usize,
    /// Answers that could not be read, asked again as often as allowed.
    pub unparsed: usize,
    /// Share of the policy's completions that are degenerate.
    pub degenerate_share: f64,
}

/// winrate_differences.csv: two checkpoints against the same baseline on the same prompts.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct DifferenceRow {
    /// Name of the task.
    pub task: String,
    /// Name of the judge.
    pub judge: String,
    /// What both were compared with.
    pub baseline: String,
    /// Sampling temperature of both.
    pub temperature: f64,
    /// Optimiser steps of the first.
    pub step_a: u64,
    /// Run of the first.
    pub run_a: String,
    /// Optimiser steps of the second.
    pub step_b: u64,
    /// Run of the second.
    pub run_b: String,
    /// Win rate of the first less that of the second, paired by prompt.
    pub difference: f64,
    /// Lower end of its 95% interval.
    pub ci_low: f64,
    /// Upper end of its 95% interval.
    pub ci_high: f64,
    /// Prompts that both have.
    pub prompts: usize,
    /// `better` or `worse`, said of the first, or `unresolved`.
    pub verdict: String,
}

/// side_by_side.csv: a completion beside what it was compared with, and what a judge said (tables 4 to 10 of the paper).
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct SideBySideRow {
    /// Name of the run.
    pub run: String,
    /// Optimiser steps taken.
    pub step: u64,
    /// Sampling temperature.
    pub temperature: f64,
    /// Name of the judge.
    pub judge: String,
    /// What the completion was compared with.
    pub baseline: String,
    /// Index of the prompt.
    pub prompt: usize,
    /// The prompt.
    pub prompt_text: String,
    /// What the policy wrote.
    pub completion: String,
    /// What it was compared with, in words.
    pub baseline_text: String,
    /// What became of the completion when it was shown first; blank where the answer could not be read.
    pub shown_first: Option<Outcome>,
    /// The same when it was shown second.
    pub shown_second: Option<Outcome>,
    /// The judge's reason, with the completion shown first.
    pub reason_first: String,
    /// The same with it shown second.
    pub reason_second: String,
    /// Whether the completion is empty or repeats itself.
    pub degenerate: bool,
}

/// published.csv: a number that the paper published, beside what a run measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct PublishedRow {
    /// Where it stands, what it is against, and what it is read from.
    pub source: String,
    /// Name of the task.
    pub task: String,
    /// Name of the method.
    pub method: String,
    /// Sampling temperature.
    pub temperature: f64,
    /// The published number.
    pub published: f64,
    /// Name of the run.
    pub run: String,
    /// Name of the judge; empty for a true reward.
    pub judge: String,
    /// What the run measured.
    pub measured: f64,
    /// Lower end of its 95% interval.
    pub ci_low: f64,
    /// Upper end of its 95% interval.
    pub ci_high: f64,
    /// `covered`, `differs` or `unresolved`.
    pub verdict: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header<T: Serialize + Default>() -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.serialize(T::default()).unwrap();
        let bytes = writer.into_inner().unwrap();
        String::from_utf8(bytes).unwrap().lines().next().unwrap().to_owned()
    }

    #[test]
    fn columns_are_a_contract() {
        assert!(header::<WinRateRow>().starts_with(
            "run,method,params,seed,step,temperature,task,judge,baseline,n,wins,losses,ties,win_rate,ci_low,ci_high,\
             order_consistency,length_controlled_win_rate,"
        ));
        assert_eq!(
            header::<DifferenceRow>(),
            "task,judge,baseline,temperature,step_a,run_a,step_b,run_b,difference,ci_low,ci_high,prompts,verdict"
        );
        assert_eq!(
            header::<PublishedRow>(),
            "source,task,method,temperature,published,run,judge,measured,ci_low,ci_high,verdict"
        );
    }
}
