//! What to watch while PPO trains: what its objective gives, how far an update goes, and how well the value function predicts.
//! The names of the columns are those that PPO's users know from other implementations.

use super::Figures;
use super::canvas::Drawing;
use super::multiples::{Layout, grid};
use super::steps::{Column, WINDOW, plots, runs};
use super::tracks::Palette;
use crate::report::rows::TrainRow;

const COLUMNS: [Column; 7] = [
    ("objective/scores", "score", |row| row.objective_scores, true),
    ("objective/kl", "nats per sequence", |row| row.objective_kl, true),
    ("objective/kl_coef", "KL coefficient", |row| row.objective_kl_coef, true),
    ("policy/approxkl", "nats per token", |row| row.policy_approxkl, true),
    ("policy/clipfrac", "share of tokens", |row| row.policy_clipfrac, false),
    ("loss/value", "loss", |row| row.loss_value, true),
    ("val/ratio", "new / old probability", |row| row.val_ratio, true),
];

/// Draws the figure, of those runs that have any of the columns.
pub fn draw(data: &Figures<'_>) -> Option<Drawing> {
    let mut runs = runs(data);
    runs.retain(|(_, rows)| rows.iter().any(of_ppo));
    let palette = Palette::new(runs.iter().map(|(run, _)| (run.kind(), run.params.as_str())));
    let title = format!("{}: PPO (running mean of {WINDOW} steps)", data.study);
    grid(&title, "optimiser step", plots(&runs, &palette, &COLUMNS), Layout::small(4), &palette.entries(false))
}

fn of_ppo(row: &TrainRow) -> bool {
    COLUMNS.iter().any(|(_, _, value, _)| value(row).is_some())
}

#[cfg(test)]
mod tests {
    use super::super::tests::made;
    use super::*;

    #[test]
    fn only_runs_with_its_columns_are_shown() {
        let mut made = made();
        let shown = made.svg(draw);
        for text in ["objective/kl", "policy/clipfrac", "PPO"] {
            assert!(shown.lines().any(|line| line.trim() == text), "{text}");
        }
        assert!(!shown.contains("DPO") && !shown.contains("loss/value"), "a column without values has no panel");
        made.training.retain(|(run, _)| run.method == "dpo");
        assert!(made.draw(draw).is_none());
    }
}
