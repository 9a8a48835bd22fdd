//! Which of a run's checkpoints is the best one.

use super::judged_rows::WinRateRow;
use super::rows::FrontierRow;

/// The step of a run's best checkpoint: by true reward where it is known, else by the first judge's win rate against the first
/// baseline, else by the learned reward; of several temperatures the first counts. Nothing where none of them is known.
pub fn best_step(run: &str, frontier: &[FrontierRow], win_rates: &[WinRateRow]) -> Option<u64> {
    let rows: Vec<&FrontierRow> = frontier.iter().filter(|row| row.run == run && row.step > 0).collect();
    let first = rows.first().map(|row| row.temperature);
    let of = |value: &dyn Fn(&FrontierRow) -> f64| -> Vec<(u64, f64)> {
        rows.iter().filter(|row| Some(row.temperature) == first).map(|row| (row.step, value(row))).collect()
    };
    let judged: Vec<&WinRateRow> = win_rates.iter().filter(|row| row.run == run && row.step > 0).collect();
    let judged: Vec<(u64, f64)> = judged
        .iter()
        .filter(|row| {
            let alike = |first: &&&WinRateRow| {
                (&row.judge, &row.baseline, &row.task) == (&first.judge, &first.baseline, &first.task)
                    && row.temperature == first.temperature
            };
            judged.first().as_ref().is_some_and(alike)
        })
        .map(|row| (row.step, row.win_rate))
        .collect();
    [of(&|row| row.reward_mean), judged, of(&|row| row.proxy_reward_mean.unwrap_or(f64::NAN))]
        .iter()
        .find_map(|scores| greatest(scores))
}

/// The step with the greatest score, the earlier of two that are equal.
fn greatest(scores: &[(u64, f64)]) -> Option<u64> {
    let known = scores.iter().filter(|(_, score)| !score.is_nan());
    known.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(step, _)| *step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: u64, temperature: f64, reward: f64, proxy: f64) -> FrontierRow {
        FrontierRow {
            run: "dpo".into(),
            step,
            temperature,
            reward_mean: reward,
            proxy_reward_mean: Some(proxy),
            ..FrontierRow::default()
        }
    }

    #[test]
    fn the_true_reward_decides_where_it_is_known() {
        let rows = [row(0, 1.0, 0.99, 0.0), row(100, 1.0, 0.7, 0.1), row(200, 1.0, 0.6, 0.9), row(100, 0.5, 0.1, 0.0)];
        assert_eq!(best_step("dpo", &rows, &[]), Some(100));
        assert_eq!(best_step("another", &rows, &[]), None);
    }

    #[test]
    fn then_the_first_judge_and_then_the_learned_reward() {
        let rows = [row(100, 1.0, f64::NAN, 0.1), row(200, 1.0, f64::NAN, 0.9), row(300, 1.0, f64::NAN, 0.9)];
        assert_eq!(best_step("dpo", &rows, &[]), Some(200), "the earlier of equals");
        let judged = |judge: &str, step, win_rate| WinRateRow {
            run: "dpo".into(),
            judge: judge.into(),
            step,
            win_rate,
            ..WinRateRow::default()
        };
        let win_rates = [judged("a", 100, 0.8), judged("a", 300, 0.7), judged("b", 300, 0.9)];
        assert_eq!(best_step("dpo", &rows, &win_rates), Some(100));
    }
}
