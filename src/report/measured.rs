//! The numbers of one checkpoint, by prompt where the store has its samples, so that two of them can be paired.

use super::compare::Number;
use super::past::PastRun;
use super::tables::best_by_prompt;
use super::win_rates::pairs;
use crate::stages::{EvaluatedSample, JudgedRow, PreferenceRow, read_csv};
use crate::stats::{JudgedPair, PairedDifference, paired_difference, paired_means};
use crate::store::{Key, State, Store};

/// One number of one checkpoint.
pub struct Measured {
    /// What it is, with all that has to be the same for two of them to be compared.
    pub what: String,
    /// The number.
    pub number: Number,
    /// What it is made of, where the store has it, and the artifact that says which prompts these are.
    by_prompt: Option<(Key, ByPrompt)>,
}

enum ByPrompt {
    Values(Vec<(usize, f64)>),
    Pairs(Vec<JudgedPair>),
}

impl Measured {
    fn new(what: String, value: f64, se: Option<f64>) -> Self {
        Measured { what, number: Number { value, se }, by_prompt: None }
    }

    /// Difference to another, where both are known by prompt and the prompts are the same.
    pub fn paired(&self, other: &Measured) -> Option<PairedDifference> {
        let ((prompts, mine), (other_prompts, theirs)) = (self.by_prompt.as_ref()?, other.by_prompt.as_ref()?);
        match (mine, theirs) {
            _ if prompts != other_prompts => None,
            (ByPrompt::Values(mine), ByPrompt::Values(theirs)) => paired_means(mine, theirs),
            (ByPrompt::Pairs(mine), ByPrompt::Pairs(theirs)) => paired_difference(mine, theirs),
            _ => None,
        }
    }
}

/// Every number of the checkpoint at this step; Best-of-N and prompting have only one.
pub fn measure(run: &PastRun, step: u64, store: Option<&Store>) -> Vec<Measured> {
    let mut found = Vec::new();
    for row in run.oracle.iter().filter(|row| row.step == step) {
        found.push(Measured::new("exact reward".to_owned(), row.reward, None));
        found.push(Measured::new("exact KL (nats)".to_owned(), row.kl, None));
        found.push(Measured::new("regret".to_owned(), row.regret, None));
    }
    for row in run.frontier.iter().filter(|row| row.step == step) {
        let samples = Samples::of(run, step, row.temperature, store);
        let number = |what: &str, value: f64, se: Option<f64>, of: &dyn Fn(&EvaluatedSample) -> Option<f64>| {
            let mut number = Measured::new(format!("{what} at temperature {}", row.temperature), value, se);
            number.by_prompt = samples.as_ref().and_then(|samples| samples.values(of));
            number
        };
        if !row.reward_mean.is_nan() {
            found.push(number("true reward", row.reward_mean, Some(row.reward_se), &|sample| Some(sample.reward)));
        }
        found.push(number("KL (nats)", row.kl_mean, Some(row.kl_se), &|sample| Some(sample.kl)));
    }
    for row in &run.best_of_n {
        let what = format!("true reward at temperature {}", row.temperature);
        if row.reward_mean.is_nan() || found.iter().any(|number| number.what == what) {
            continue;
        }
        let mut number = Measured::new(what, row.reward_mean, Some(row.reward_se));
        number.by_prompt = Samples::of(run, 0, row.temperature, store).and_then(|samples| {
            let best = best_by_prompt(&samples.rows, row.n)?;
            Some((samples.prompts?, ByPrompt::Values(best.into_iter().map(|(prompt, (truth, _))| (prompt, truth)).collect())))
        });
        found.push(number);
    }
    for row in run.preferences.iter().filter(|row| row.step == step) {
        let mut number = Measured::new("held-out accuracy".to_owned(), row.accuracy, Some(row.accuracy_se));
        number.by_prompt = preferences(run, step, store);
        found.push(number);
    }
    for row in run.win_rates.iter().filter(|row| row.step == step && !row.win_rate.is_nan()) {
        let what =
            format!("win rate in {} against {} by {} at temperature {}", row.task, row.baseline, row.judge, row.temperature);
        // Half the interval is 1.96 errors, nearly: it is Wilson's.
        let mut number = Measured::new(what, row.win_rate, Some((row.ci_high - row.ci_low) / (2.0 * 1.96)));
        number.by_prompt = verdicts(run, row, store);
        found.push(number);
    }
    found
}

/// The completions of one evaluation.
struct Samples {
    prompts: Option<Key>,
    rows: Vec<EvaluatedSample>,
}

impl Samples {
    fn of(run: &PastRun, step: u64, temperature: f64, store: Option<&Store>) -> Option<Self> {
        let evaluations = &run.artifacts.as_ref()?.evaluations;
        let found = evaluations.iter().find(|found| found.step == step && found.temperature == temperature)?;
        let (rows, prompts) = read(store?, &found.key, "samples.csv", "prompts")?;
        Some(Samples { rows, prompts })
    }

    fn values(&self, of: &dyn Fn(&EvaluatedSample) -> Option<f64>) -> Option<(Key, ByPrompt)> {
        let values = self.rows.iter().filter_map(|sample| Some((sample.prompt, of(sample)?))).collect();
        Some((self.prompts?, ByPrompt::Values(values)))
    }
}

/// Whether each held-out comparison is ranked as its label says; a margin of 0 is half right.
fn preferences(run: &PastRun, step: u64, store: Option<&Store>) -> Option<(Key, ByPrompt)> {
    let evaluations = run.artifacts.as_ref()?.evaluations.iter().filter(|found| found.step == step);
    let right = |row: &PreferenceRow| (row.prompt, if row.margin == 0.0 { 0.5 } else { f64::from(u8::from(row.margin > 0.0)) });
    evaluations.into_iter().find_map(|found| {
        let (rows, prompts) = read::<PreferenceRow>(store?, &found.key, "preferences.csv", "held_out_comparisons")?;
        Some((prompts?, ByPrompt::Values(rows.iter().map(right).collect())))
    })
}

fn verdicts(run: &PastRun, row: &super::judged_rows::WinRateRow, store: Option<&Store>) -> Option<(Key, ByPrompt)> {
    let other = row.task.ends_with(super::judged_rows::OUT_OF_DISTRIBUTION);
    let found = run.artifacts.as_ref()?.judged.iter().find(|judged| {
        (judged.step, judged.temperature, judged.out_of_distribution) == (row.step, row.temperature, other)
            && (&judged.judge, &judged.baseline) == (&row.judge, &row.baseline)
    })?;
    let (rows, prompts) = read::<JudgedRow>(store?, &found.key, "verdicts.csv", "prompts")?;
    Some((prompts?, ByPrompt::Pairs(pairs(&rows))))
}

/// A table of an artifact, and the artifact that gave it the prompts.
fn read<T: serde::de::DeserializeOwned>(store: &Store, key: &Key, file: &str, role: &str) -> Option<(Vec<T>, Option<Key>)> {
    if store.state(key) != State::Present {
        return None;
    }
    let rows = read_csv(&store.path(key).join(file)).ok()?;
    Some((rows, store.manifest(key)?.inputs.get(role).cloned()))
}
