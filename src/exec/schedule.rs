//! What can start, what must wait, and what can no longer be done: a pure state machine.

use crate::plan::Stage;
use crate::store::Key;
use std::collections::HashMap;

/// Where a stage stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// In the store before the run.
    Cached,
    /// Waits for its inputs, or for a free worker.
    Pending,
    /// A worker has it.
    Running,
    /// Finished in this run.
    Done,
    /// Failed; the message.
    Failed(String),
    /// Not started, because something it needs failed.
    Skipped,
    /// Not started, because the run was interrupted or limited.
    Cancelled,
}

/// The stages of a run, inputs before what reads them.
pub struct Schedule {
    stages: Vec<Stage>,
    outcomes: HashMap<Key, Outcome>,
}

impl Schedule {
    /// Stages to look after; `cached` says which are in the store.
    pub fn new(stages: Vec<Stage>, cached: impl Fn(&Key) -> bool) -> Self {
        let outcome = |stage: &Stage| if cached(&stage.key) { Outcome::Cached } else { Outcome::Pending };
        let outcomes = stages.iter().map(|stage| (stage.key.clone(), outcome(stage))).collect();
        Schedule { stages, outcomes }
    }

    /// Does not start stages for which `which` holds.
    pub fn leave_out(&mut self, which: impl Fn(&Stage) -> bool) {
        for stage in self.stages.iter().filter(|stage| which(stage)) {
            if let Some(outcome) = self.outcomes.get_mut(&stage.key).filter(|outcome| **outcome == Outcome::Pending) {
                *outcome = Outcome::Cancelled;
            }
        }
    }

    /// Every stage.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// Where a stage stands.
    pub fn outcome(&self, key: &Key) -> &Outcome {
        self.outcomes.get(key).unwrap_or(&Outcome::Cancelled)
    }

    /// Records where a stage stands; a failure skips everything above it.
    pub fn set(&mut self, key: &Key, outcome: Outcome) {
        let failed = matches!(outcome, Outcome::Failed(_) | Outcome::Skipped);
        self.outcomes.insert(key.clone(), outcome);
        if failed {
            let above: Vec<Key> = self
                .stages
                .iter()
                .filter(|stage| stage.inputs.values().any(|input| input == key))
                .map(|s| s.key.clone())
                .collect();
            for key in above {
                if self.outcome(&key) == &Outcome::Pending {
                    self.set(&key, Outcome::Skipped);
                }
            }
        }
    }

    /// Stages whose inputs are all there, in order.
    pub fn ready(&self) -> impl Iterator<Item = &Stage> {
        let there = |key: &Key| matches!(self.outcomes.get(key), None | Some(Outcome::Cached | Outcome::Done));
        self.stages.iter().filter(move |stage| self.outcome(&stage.key) == &Outcome::Pending && stage.inputs.values().all(there))
    }

    /// Number of stages for which `which` holds.
    pub fn count(&self, which: impl Fn(&Outcome) -> bool) -> usize {
        self.outcomes.values().filter(|outcome| which(outcome)).count()
    }

    /// Gives up what has not started.
    pub fn cancel_pending(&mut self) {
        for outcome in self.outcomes.values_mut().filter(|outcome| **outcome == Outcome::Pending) {
            *outcome = Outcome::Cancelled;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Work;
    use std::collections::BTreeMap;

    /// a -> b -> c, and d by itself.
    fn schedule() -> (Schedule, [Key; 4]) {
        let stage = |seed: u64, input: Option<&Key>| {
            let inputs: BTreeMap<String, Key> = input.map(|key| ("input".to_owned(), key.clone())).into_iter().collect();
            Stage::new(format!("stage {seed}"), Work::Classifier { seed }, inputs, None, None)
        };
        let a = stage(0, None);
        let b = stage(1, Some(&a.key));
        let c = stage(2, Some(&b.key));
        let d = stage(3, None);
        let keys = [&a, &b, &c, &d].map(|stage| stage.key.clone());
        (Schedule::new(vec![a, b, c, d], |_| false), keys)
    }

    #[test]
    fn a_stage_waits_for_its_inputs() {
        let (mut schedule, [a, b, c, d]) = schedule();
        let ready = |schedule: &Schedule| schedule.ready().next().map(|stage| stage.key.clone());
        assert_eq!(ready(&schedule), Some(a.clone()));
        schedule.set(&a, Outcome::Running);
        assert_eq!(ready(&schedule), Some(d.clone()));
        schedule.set(&d, Outcome::Running);
        assert_eq!(ready(&schedule), None);
        schedule.set(&a, Outcome::Done);
        assert_eq!(ready(&schedule), Some(b.clone()));
        schedule.set(&b, Outcome::Done);
        assert_eq!(ready(&schedule), Some(c));
    }

    #[test]
    fn a_failure_skips_what_needs_it_and_nothing_else() {
        let (mut schedule, [a, b, c, d]) = schedule();
        schedule.set(&a, Outcome::Failed("no".into()));
        assert_eq!(schedule.outcome(&b), &Outcome::Skipped);
        assert_eq!(schedule.outcome(&c), &Outcome::Skipped);
        assert_eq!(schedule.ready().next().map(|stage| stage.key.clone()), Some(d));
    }

    #[test]
    fn cancelling_leaves_what_runs() {
        let (mut schedule, [a, b, ..]) = schedule();
        schedule.set(&a, Outcome::Running);
        schedule.cancel_pending();
        assert_eq!(schedule.outcome(&a), &Outcome::Running);
        assert_eq!(schedule.outcome(&b), &Outcome::Cancelled);
    }
}
