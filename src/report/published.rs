//! What Rafailov et al. (2023) published as numbers, beside what a study measured: published.csv.
//!
//! Left out is what the paper shows without a number that can be compared: figure 3 left (only that DPO alone passes one half),
//! figure 3 right (its temperatures are not named) and figure 4 (a plateau).

use super::figures::tracks::is_one;
use super::judged_rows::{PublishedRow, WinRateRow};
use super::rows::FrontierRow;

/// An interval that is wider cannot tell .61, the paper's best win rate, from .5.
const WIDE: f64 = 0.2;
/// A published win rate this near to one half says that the two are about even.
const EVEN: f64 = 0.05;

/// How a number came out of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// Its text.
    Text,
    /// A table.
    Table,
    /// A plot, by eye.
    Plot,
}

/// What a published number is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantity {
    /// A win rate, by a judge or by people, against a baseline whose name begins so.
    WinRate {
        /// What the paper calls the judge, and whether it was people.
        judge: (&'static str, bool),
        /// How the baseline's name begins in winrate.csv; of several, any.
        baseline: &'static [&'static str],
    },
    /// A mean true reward of checkpoints whose KL from the reference, in nats, lies between these.
    Reward(f64, f64),
}

/// One published number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    /// The figure or table.
    pub place: &'static str,
    /// The task, by the name that winrate.csv has for it.
    pub task: &'static str,
    /// The method.
    pub method: &'static str,
    /// Sampling temperature.
    pub temperature: f64,
    /// What it is.
    pub quantity: Quantity,
    /// The least and the greatest value that it may stand for; equal where it is one number.
    pub value: (f64, f64),
    /// What it is read from.
    pub read_from: ReadFrom,
}

const HUMAN_SUMMARY: &[&str] = &["reference"];
const PPO: &[&str] = &["ppo"];
const GPT_4: (&str, bool) = ("GPT-4", false);
const GPT_4_S: (&str, bool) = ("GPT-4 (S)", false);
const GPT_4_C: (&str, bool) = ("GPT-4 (C)", false);
const PEOPLE: (&str, bool) = ("people", true);

/// Every number of the paper that a study can be compared with.
pub const PUBLISHED: [Published; 20] = [
    figure_2_right("dpo", 0.61),
    figure_2_right("ppo", 0.57),
    table_1("dpo", 0.0, 0.36),
    table_1("dpo", 0.25, 0.31),
    table_1("ppo", 0.0, 0.26),
    table_1("ppo", 0.25, 0.23),
    table_2("dpo", 0.25, GPT_4_S, 0.47),
    table_2("dpo", 0.25, GPT_4_C, 0.54),
    table_2("dpo", 0.25, PEOPLE, 0.58),
    table_2("sft", 0.25, GPT_4_S, 0.27),
    table_2("sft", 0.25, GPT_4_C, 0.32),
    table_2("sft", 0.25, PEOPLE, 0.43),
    table_2("ppo", 1.0, GPT_4_S, 0.13),
    table_2("ppo", 1.0, GPT_4_C, 0.12),
    table_2("ppo", 1.0, PEOPLE, 0.17),
    figure_2_left("dpo", (1.0, 2.0), (0.9, 0.9)),
    figure_2_left("dpo", (3.0, 5.0), (0.95, 1.0)),
    figure_2_left("ppo", (10.0, 12.0), (0.85, 0.9)),
    figure_2_left("ppo_gt", (10.0, 12.0), (0.85, 0.9)),
    figure_2_left("ppo_gt_off_the_shelf", (10.0, 17.0), (0.7, 0.8)),
];

const fn figure_2_right(method: &'static str, value: f64) -> Published {
    let quantity = Quantity::WinRate { judge: GPT_4, baseline: HUMAN_SUMMARY };
    let (place, task, value, read_from) = ("figure 2 right", "summarisation", (value, value), ReadFrom::Text);
    Published { place, task, method, temperature: 0.0, quantity, value, read_from }
}

const fn table_1(method: &'static str, temperature: f64, value: f64) -> Published {
    let quantity = Quantity::WinRate { judge: GPT_4_C, baseline: HUMAN_SUMMARY };
    let (place, task, value, read_from) = ("table 1", "summarisation-ood", (value, value), ReadFrom::Table);
    Published { place, task, method, temperature, quantity, value, read_from }
}

const fn table_2(method: &'static str, temperature: f64, judge: (&'static str, bool), value: f64) -> Published {
    let quantity = Quantity::WinRate { judge, baseline: PPO };
    let (place, task, value, read_from) = ("table 2", "summarisation", (value, value), ReadFrom::Table);
    Published { place, task, method, temperature, quantity, value, read_from }
}

const fn figure_2_left(method: &'static str, kl: (f64, f64), value: (f64, f64)) -> Published {
    let quantity = Quantity::Reward(kl.0, kl.1);
    let (place, task, read_from) = ("figure 2 left", "sentiment", ReadFrom::Plot);
    Published { place, task, method, temperature: 1.0, quantity, value, read_from }
}

/// Every published win rate beside that of each run of the same method at the same temperature, at the run's last step, by each
/// judge that compared it with the same baseline. A person's is compared with people (judges whose name begins with `human`), a
/// model's with all others.
pub fn beside(rows: &[WinRateRow]) -> Vec<PublishedRow> {
    let mut found = Vec::new();
    for published in &PUBLISHED {
        let Quantity::WinRate { judge, baseline } = published.quantity else { continue };
        let same = |row: &&WinRateRow| {
            row.task == published.task
                && super::figures::win_rates::method(row) == published.method
                && (row.temperature - published.temperature).abs() < 1e-6
                && baseline.iter().any(|name| row.baseline.starts_with(name))
                && row.judge.starts_with("human") == judge.1
        };
        let compared: Vec<&WinRateRow> = rows.iter().filter(same).collect();
        let last = |row: &&&WinRateRow| compared.iter().all(|other| other.run != row.run || other.step <= row.step);
        found.extend(compared.iter().filter(last).map(|row| {
            let (measured, interval) = (row.win_rate, (row.ci_low, row.ci_high));
            PublishedRow {
                run: row.run.clone(),
                judge: row.judge.clone(),
                measured,
                ci_low: interval.0,
                ci_high: interval.1,
                verdict: verdict(published, interval).to_owned(),
                ..published.row()
            }
        }));
    }
    found
}

/// Every published reward beside each run of the same method that was evaluated at such a KL, at the checkpoint nearest to its
/// middle. `rows` are those of a study on `task`.
pub fn rewards_beside(task: &str, rows: &[FrontierRow]) -> Vec<PublishedRow> {
    let mut found = Vec::new();
    for published in PUBLISHED.iter().filter(|published| published.task == task) {
        let Quantity::Reward(low, high) = published.quantity else { continue };
        let same = |row: &&FrontierRow| {
            super::theme::kind(&row.method, &row.params) == published.method
                && is_one(row.temperature)
                && (low..=high).contains(&row.kl_mean)
                && row.reward_mean.is_finite()
        };
        let compared: Vec<&FrontierRow> = rows.iter().filter(same).collect();
        let off = |row: &FrontierRow| (row.kl_mean - (low + high) / 2.0).abs();
        let nearest = |row: &&&FrontierRow| {
            let better = |other: &&FrontierRow| other.run == row.run && (off(other), other.step) < (off(row), row.step);
            !compared.iter().any(better)
        };
        found.extend(compared.iter().filter(nearest).map(|row| {
            let interval = (row.reward_mean - 1.96 * row.reward_se, row.reward_mean + 1.96 * row.reward_se);
            PublishedRow {
                run: row.run.clone(),
                measured: row.reward_mean,
                ci_low: interval.0,
                ci_high: interval.1,
                verdict: verdict(published, interval).to_owned(),
                ..published.row()
            }
        }));
    }
    found
}

impl Published {
    /// The columns of published.csv that nothing measured has a part in; of a range, its middle, and the range in `source`.
    fn row(&self) -> PublishedRow {
        let (low, high) = self.value;
        let about = match self.quantity {
            Quantity::WinRate { judge, baseline } => format!("{} against {}", judge.0, baseline.join(" or ")),
            Quantity::Reward(low, high) => format!("true reward at KL {low} to {high}"),
        };
        let range = if low < high { format!(", {low} to {high}") } else { String::new() };
        let read_from = match self.read_from {
            ReadFrom::Text => "from the text",
            ReadFrom::Table => "from the table",
            ReadFrom::Plot => "read off the plot",
        };
        PublishedRow {
            source: format!("{}: {about}{range} ({read_from})", self.place),
            task: self.task.to_owned(),
            method: self.method.to_owned(),
            temperature: self.temperature,
            published: (low + high) / 2.0,
            ..PublishedRow::default()
        }
    }
}

/// `differs` where the interval leaves out the published number, however wide it is. Where it holds it, that is `covered` only if
/// the interval could have said otherwise: it is `unresolved` where it is wider than [`WIDE`], or where it also holds one half
/// although the published win rate is no tie ([`EVEN`]). The published number's own error is not known and has no part in it.
fn verdict(published: &Published, (low, high): (f64, f64)) -> &'static str {
    let (least, greatest) = published.value;
    if !(low.is_finite() && high.is_finite()) {
        return "unresolved";
    }
    if greatest < low || least > high {
        return "differs";
    }
    let is_win_rate = matches!(published.quantity, Quantity::WinRate { .. });
    let is_a_claim = is_win_rate && ((least + greatest) / 2.0 - 0.5).abs() > EVEN;
    if high - low > WIDE || (is_a_claim && (low..=high).contains(&0.5)) { "unresolved" } else { "covered" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(method: &str, task: &str, temperature: f64, interval: (f64, f64)) -> WinRateRow {
        WinRateRow {
            run: format!("{method}-0"),
            method: method.into(),
            task: task.into(),
            temperature,
            judge: "true".into(),
            baseline: "reference".into(),
            win_rate: (interval.0 + interval.1) / 2.0,
            ci_low: interval.0,
            ci_high: interval.1,
            ..WinRateRow::default()
        }
    }

    fn verdict_of(low: f64, high: f64) -> String {
        beside(&[row("dpo", "summarisation", 0.0, (low, high))])[0].verdict.clone()
    }

    #[test]
    fn an_interval_covers_what_it_holds_and_could_have_left_out() {
        assert_eq!(verdict_of(0.55, 0.65), "covered");
        assert_eq!(verdict_of(0.49, 0.62), "unresolved", "it holds one half too");
        assert_eq!(verdict_of(0.53, 0.75), "unresolved", "it is wide");
        assert_eq!(verdict_of(0.20, 0.60), "differs", "wide, but .61 is not in it");
        assert_eq!(verdict_of(0.62, 0.70), "differs");
        assert_eq!(verdict_of(f64::NAN, 0.7), "unresolved");
    }

    #[test]
    fn a_published_tie_may_be_covered_together_with_one_half() {
        let judged = WinRateRow { baseline: "ppo-seed0".into(), ..row("dpo", "summarisation", 0.25, (0.45, 0.57)) };
        let found = beside(&[judged]);
        assert_eq!(
            found.iter().map(|row| (row.published, row.verdict.as_str())).collect::<Vec<_>>(),
            [(0.47, "covered"), (0.54, "covered")]
        );
        assert_eq!(found[0].source, "table 2: GPT-4 (S) against ppo (from the table)");
    }

    #[test]
    fn only_the_same_method_temperature_task_baseline_and_kind_of_judge_is_compared() {
        let interval = (0.5, 0.6);
        let others = [
            row("ipo", "summarisation", 0.0, interval),
            row("dpo", "summarisation", 0.5, interval),
            row("dpo", "dialogue", 0.0, interval),
            row("ppo_gt", "summarisation", 0.0, interval),
            WinRateRow { baseline: "sft".into(), ..row("dpo", "summarisation", 0.0, interval) },
            WinRateRow { judge: "human".into(), ..row("dpo", "summarisation", 0.0, interval) },
        ];
        assert!(beside(&others).is_empty());
        let people =
            WinRateRow { judge: "human".into(), baseline: "ppo".into(), ..row("sft", "summarisation", 0.25, (0.4, 0.48)) };
        let found = beside(&[people]);
        assert_eq!((found.len(), found[0].published, found[0].verdict.as_str()), (1, 0.43, "covered"));
        let news = beside(&[row("ppo", "summarisation-ood", 0.25, (0.2, 0.3))]);
        assert_eq!((news.len(), news[0].published), (1, 0.23));
    }

    #[test]
    fn a_run_counts_at_its_last_step() {
        let at = |step, low| WinRateRow { step, ..row("dpo", "summarisation", 0.0, (low, low + 0.1)) };
        let found = beside(&[at(100, 0.3), at(300, 0.55), at(200, 0.4)]);
        assert_eq!((found.len(), found[0].ci_low), (1, 0.55));
    }

    #[test]
    fn rewards_are_compared_at_their_kl() {
        let at = |kl_mean, reward_mean| FrontierRow {
            run: "dpo-0".into(),
            method: "dpo".into(),
            temperature: 1.0,
            kl_mean,
            reward_mean,
            reward_se: 0.01,
            ..FrontierRow::default()
        };
        let rows = [at(0.0, 0.5), at(1.1, 0.8), at(1.6, 0.91), at(4.0, 0.94), at(20.0, 0.2)];
        let found = rewards_beside("sentiment", &rows);
        let shown: Vec<_> = found.iter().map(|row| (row.measured, row.verdict.as_str())).collect();
        assert_eq!(shown, [(0.91, "covered"), (0.94, "covered")]);
        assert_eq!(found[1].source, "figure 2 left: true reward at KL 3 to 5, 0.95 to 1 (read off the plot)");
        assert!(rewards_beside("oracle", &rows).is_empty());
    }
}
