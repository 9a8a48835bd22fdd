//! The table of runs that a run ends with.

use super::study::Prepared;
use crate::report::Written;

/// One line a run, win rates where there are judges, and where the figures are.
pub(super) fn print_table(prepared: &Prepared, written: &Written, status: &dyn Fn(&str) -> String) {
    let width = prepared.study.runs.iter().map(|run| run.name.len()).max().unwrap_or(3);
    say!("{:width$}  {:9}  {:>6}  {:>13}  {:>12}", "run", "status", "step", "true reward", "KL (nats)");
    for run in &prepared.study.runs {
        let row = written.last.iter().find(|row| row.run == run.name);
        let (step, reward, kl) = row.map_or_else(Default::default, |row| {
            let with_error =
                |mean: f64, se: f64| if mean.is_nan() { "unknown".to_owned() } else { format!("{mean:.3} ± {se:.3}") };
            (row.step.to_string(), with_error(row.reward_mean, row.reward_se), format!("{:.2} ± {:.2}", row.kl_mean, row.kl_se))
        });
        say!("{:width$}  {:9}  {step:>6}  {reward:>13}  {kl:>12}", run.name, status(&run.name));
    }
    print_win_rates(written, width);
    say!();
    for path in written.figures.iter().filter(|path| path.extension().is_some_and(|extension| extension == "png")) {
        say!("{}", path.display());
    }
    say!("{}", written.page.display());
}

/// Win rates of every run's last checkpoint over temperature, by the first judge against the first baseline; winrate.csv has all.
fn print_win_rates(written: &Written, width: usize) {
    let Some(first) = written.win_rates.first() else { return };
    let (judge, baseline, task) = (&first.judge, &first.baseline, &first.task);
    let rows: Vec<_> =
        written.win_rates.iter().filter(|row| (&row.judge, &row.baseline, &row.task) == (judge, baseline, task)).collect();
    let mut temperatures: Vec<f64> = rows.iter().map(|row| row.temperature).collect();
    temperatures.sort_by(f64::total_cmp);
    temperatures.dedup();
    say!("\nwin rate against {baseline}, judged by {judge}, at temperature:");
    let header: String = temperatures.iter().map(|temperature| format!("  {temperature:>11}")).collect();
    say!("{:width$}{header}", "run");
    let mut runs: Vec<&str> = rows.iter().map(|row| row.run.as_str()).collect();
    runs.dedup();
    for run in runs {
        let last = rows.iter().filter(|row| row.run == run).map(|row| row.step).max();
        let cell = |temperature: &f64| {
            let at = rows.iter().find(|row| row.run == run && row.temperature == *temperature && Some(row.step) == last);
            let text = at.map(|row| format!("{:.2} ± {:.2}", row.win_rate, (row.ci_high - row.ci_low) / 2.0)).unwrap_or_default();
            format!("  {text:>11}")
        };
        say!("{run:width$}{}", temperatures.iter().map(cell).collect::<String>());
    }
}
