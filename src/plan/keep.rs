//! `training.keep`: which of a run's checkpoints keeps its weights.

use super::{Plan, RunPlan, Work};
use crate::spec::Keep;
use crate::store::Key;

impl Plan {
    /// The segment whose weights are a run's policy once it is complete: that of its best step where the study keeps the best, and
    /// otherwise the last.
    pub fn kept<'a>(&self, run: &'a RunPlan, keep: Keep, best_step: Option<u64>) -> Option<&'a Key> {
        let ends_at = |key: &Key| match &self.stage(key)?.work {
            Work::Train { last, .. } | Work::Reinforce { last, .. } => Some(*last),
            _ => None,
        };
        let best = run.segments.iter().find(|key| best_step.is_some() && ends_at(key) == best_step);
        best.filter(|_| keep == Keep::Best).or(run.segments.last())
    }
}
