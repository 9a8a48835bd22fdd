//! The summary at the top of report.html: what was asked and what came out, in sentences made from numbers.

use super::collect::Collection;
use super::judged_rows::{OUT_OF_DISTRIBUTION, WinRateRow};
use super::origins::{duration, stages};
use super::page::Tables;
use super::rows::{OracleRow, SummaryRow};
use super::sections::displacement;

/// What the study asks, and of whom.
pub fn asked(collection: &Collection<'_>, tables: &Tables<'_>) -> String {
    let study = collection.study;
    let question = match (study.task.reward().is_some(), tables.win_rates.first()) {
        (_, Some(row)) => format!("How often is a policy's completion preferred to what it is compared with ({})?", row.baseline),
        (true, None) => {
            "How much true reward does each method gain for the divergence from its reference that it spends?".to_owned()
        }
        (false, None) => {
            "How far does each method move from its reference, and how well does it rank held-out comparisons?".to_owned()
        }
    };
    let mut methods: Vec<(&str, usize)> = Vec::new();
    for run in &study.runs {
        match methods.iter_mut().find(|(name, _)| *name == run.method.name()) {
            Some((_, count)) => *count += 1,
            None => methods.push((run.method.name(), 1)),
        }
    }
    let methods: Vec<String> =
        methods.into_iter().map(|(name, count)| if count == 1 { name.to_owned() } else { format!("{name} ({count})") }).collect();
    let (runs, prompts) = (study.runs.len(), study.evaluation.prompts);
    let runs = if runs == 1 { "One run".to_owned() } else { format!("{runs} runs") };
    format!("{question} {runs} on {prompts} held-out prompts: {}.", methods.join(", "))
}

/// What came out, a sentence or two each.
pub fn found(collection: &Collection<'_>, tables: &Tables<'_>, status: &dyn Fn(&str) -> String) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(unfinished(collection, status));
    found.extend(at_budgets(tables));
    found.extend(best_of_n(tables));
    found.extend(oracle(tables.oracle));
    found.extend(win_rates(tables.win_rates));
    found.extend(accuracy(tables.summary));
    found.extend(displaced(collection));
    found.extend(cost(tables));
    found
}

fn unfinished(collection: &Collection<'_>, status: &dyn Fn(&str) -> String) -> Option<String> {
    let finished = |name: &str| ["done", "cached"].contains(&status(name).as_str());
    let missing = collection.study.runs.iter().filter(|run| !finished(&run.name)).count();
    (missing > 0).then(|| format!("Not complete: {missing} of {} runs are not finished.", collection.study.runs.len()))
}

/// The best method within the greatest and the least KL budget, and how far the next is behind.
fn at_budgets(tables: &Tables<'_>) -> Vec<String> {
    let rewards: Vec<&SummaryRow> = tables.summary.iter().filter(|row| row.metric == "reward_at_kl").collect();
    let budgets = || rewards.iter().filter_map(|row| row.kl_budget);
    let ends = [budgets().fold(f64::NEG_INFINITY, f64::max), budgets().fold(f64::INFINITY, f64::min)];
    let reference = tables.frontier.iter().find(|row| row.step == 0 && row.temperature == 1.0 && !row.reward_mean.is_nan());
    let reference = reference
        .map(|row| format!(" The reference itself has {:.3} ± {:.3}.", row.reward_mean, row.reward_se))
        .unwrap_or_default();
    let mut sentences: Vec<String> = Vec::new();
    for budget in ends.iter().take(if ends[0] > ends[1] { 2 } else { 1 }) {
        let mut here: Vec<&&SummaryRow> = rewards.iter().filter(|row| row.kl_budget == Some(*budget)).collect();
        here.sort_by(|a, b| b.value.total_cmp(&a.value));
        let Some(best) = here.first() else { continue };
        let next = here.get(1).map(|next| behind(tables.summary, best, next)).unwrap_or_default();
        let reference = if sentences.is_empty() { reference.as_str() } else { "" };
        sentences.push(format!(
            "Within {budget} nats of KL, {} reaches the highest true reward, {:.3} [{:.3}, {:.3}]{next}.{reference}",
            best.method, best.value, best.ci_low, best.ci_high
        ));
    }
    sentences
}

fn behind(summary: &[SummaryRow], best: &SummaryRow, next: &SummaryRow) -> String {
    let difference = summary.iter().find(|row| {
        row.metric == "reward_difference_at_kl"
            && (&row.method, row.versus.as_ref(), row.kl_budget) == (&best.method, Some(&next.method), best.kl_budget)
    });
    let Some(row) = difference else { return format!("; next is {} with {:.3}", next.method, next.value) };
    let interval = format!("{:.3} [{:.3}, {:.3}]", row.value, row.ci_low, row.ci_high);
    if row.ci_low > 0.0 {
        format!(", {interval} more than {}", next.method)
    } else {
        format!(", which cannot be told from that of {} (difference {interval})", next.method)
    }
}

fn best_of_n(tables: &Tables<'_>) -> Option<String> {
    // Its KL bound is to the policy that it draws from, which is the reference at temperature 1 alone.
    let known = tables.best_of_n.iter().filter(|row| !row.reward_mean.is_nan() && row.temperature == 1.0);
    let row = known.max_by(|a, b| a.reward_mean.total_cmp(&b.reward_mean))?;
    Some(format!(
        "Best-of-N is best with N = {}: {:.3} ± {:.3}, at a KL of at most {:.2} nats.",
        row.n, row.reward_mean, row.reward_se, row.kl_bound
    ))
}

/// The last checkpoint that is least below the optimal frontier.
fn oracle(rows: &[OracleRow]) -> Option<String> {
    let later = |row: &OracleRow| rows.iter().any(|other| other.run == row.run && other.step > row.step);
    let trained = rows.iter().filter(|row| row.step > 0 && !later(row));
    let row = trained.min_by(|a, b| a.regret.total_cmp(&b.regret))?;
    Some(format!(
        "Exactly: at its last checkpoint {} is nearest to the optimal frontier, {:.3} below it at a KL of {:.2} nats.",
        row.run, row.regret, row.kl
    ))
}

/// The run that the first judge prefers most, at its last step.
fn win_rates(rows: &[WinRateRow]) -> Vec<String> {
    let Some(first) = rows.iter().find(|row| !row.task.ends_with(OUT_OF_DISTRIBUTION)) else { return Vec::new() };
    let same = |row: &&WinRateRow| (&row.task, &row.judge, &row.baseline) == (&first.task, &first.judge, &first.baseline);
    let last = |row: &&WinRateRow| !rows.iter().any(|other| other.run == row.run && other.step > row.step);
    let known: Vec<&WinRateRow> = rows.iter().filter(same).filter(last).filter(|row| !row.win_rate.is_nan()).collect();
    let Some(best) = known.iter().max_by(|a, b| a.win_rate.total_cmp(&b.win_rate)) else { return Vec::new() };
    let rate = |row: &WinRateRow| format!("{:.3} [{:.3}, {:.3}]", row.win_rate, row.ci_low, row.ci_high);
    let mut sentence = format!(
        "By the judge `{}` and against {}, {} at temperature {} wins most often: {} of {} pairs.",
        best.judge,
        best.baseline,
        best.run,
        best.temperature,
        rate(best),
        best.n
    );
    let others = known.iter().filter(|row| row.method == "sft").max_by(|a, b| a.win_rate.total_cmp(&b.win_rate));
    if let Some(reference) = others.filter(|row| row.run != best.run) {
        sentence.push_str(&format!(" The reference policy reaches {}.", rate(reference)));
    }
    vec![sentence]
}

fn accuracy(summary: &[SummaryRow]) -> Option<String> {
    let rows = || summary.iter().filter(|row| row.metric == "preference_accuracy");
    let best = rows().filter(|row| row.run.is_some()).max_by(|a, b| a.value.total_cmp(&b.value))?;
    let share = |row: &SummaryRow| format!("{:.1}% ± {:.1}", 100.0 * row.value, 100.0 * row.se);
    let learned = rows().find(|row| row.method == "reward_model");
    let learned = learned.map(|row| format!("; the learned reward ranks {} so", share(row))).unwrap_or_default();
    Some(format!("Of held-out comparisons {} ranks most as their labels do: {}{learned}.", best.run.as_deref()?, share(best)))
}

/// In how many runs the chosen completions themselves have become less likely.
fn displaced(collection: &Collection<'_>) -> Option<String> {
    let known: Vec<f64> = collection.runs.iter().filter_map(|run| displacement(run.run, &run.training)).collect();
    let fallen = known.iter().filter(|nats| **nats < 0.0).count();
    (!known.is_empty()).then(|| match fallen {
        0 => "In no run did the chosen completions become less likely than they were under the reference.".to_owned(),
        some => format!(
            "In {some} of {} runs with a reference the chosen completions have become less likely (likelihood displacement).",
            known.len()
        ),
    })
}

fn cost(tables: &Tables<'_>) -> Option<String> {
    let stages = stages(tables.provenance);
    let made: Vec<f64> = stages.values().filter_map(|stage| Some(stage.record.as_ref()?.seconds)).collect();
    (!made.is_empty()).then(|| format!("Its {} stages took {} of processes' time.", made.len(), duration(made.iter().sum())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::rows::FrontierRow;

    fn row(method: &str, versus: Option<&str>, value: f64, ci_low: f64) -> SummaryRow {
        let metric = if versus.is_some() { "reward_difference_at_kl" } else { "reward_at_kl" };
        SummaryRow {
            metric: metric.into(),
            method: method.into(),
            versus: versus.map(str::to_owned),
            kl_budget: Some(4.0),
            value,
            ci_low,
            ci_high: value + 0.1,
            ..SummaryRow::default()
        }
    }

    fn tables<'a>(summary: &'a [SummaryRow], frontier: &'a [FrontierRow]) -> Tables<'a> {
        Tables { frontier, best_of_n: &[], summary, win_rates: &[], published: &[], oracle: &[], human: &[], provenance: &[] }
    }

    #[test]
    fn the_best_method_is_said_with_how_far_the_next_is_behind() {
        let reference = FrontierRow { temperature: 1.0, reward_mean: 0.5, reward_se: 0.01, ..FrontierRow::default() };
        let known = [row("ipo", None, 0.7, 0.6), row("dpo", None, 0.8, 0.7), row("dpo", Some("ipo"), 0.1, 0.05)];
        assert_eq!(
            at_budgets(&tables(&known, &[reference])),
            [
                "Within 4 nats of KL, dpo reaches the highest true reward, 0.800 [0.700, 0.900], 0.100 [0.050, 0.200] more than ipo. \
              The reference itself has 0.500 ± 0.010."
            ]
        );
        let unresolved = [row("ipo", None, 0.7, 0.6), row("dpo", None, 0.8, 0.7), row("dpo", Some("ipo"), 0.1, -0.05)];
        assert!(at_budgets(&tables(&unresolved, &[]))[0].contains("cannot be told from that of ipo"));
        assert_eq!(at_budgets(&tables(&[], &[])), Vec::<String>::new());
    }

    #[test]
    fn the_least_regret_is_that_of_a_last_checkpoint() {
        let row = |run: &str, step: u64, regret: f64| OracleRow { run: run.into(), step, regret, ..OracleRow::default() };
        let rows = [row("a", 0, 0.0), row("a", 10, 0.01), row("a", 20, 0.3), row("b", 20, 0.2)];
        assert!(oracle(&rows).is_some_and(|text| text.contains("b is nearest") && text.contains("0.200 below")));
        assert_eq!(oracle(&rows[..1]), None);
    }
}
