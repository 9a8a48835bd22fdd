//! What can start, what must wait, and what can no longer be done: a pure state machine.

use crate::plan::Stage;
use crate::plan::cost::Cost;
use crate::store::Key;
use std::collections::{BTreeSet, HashMap};

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
    outcomes: Vec<Outcome>,
    place: HashMap<Key, usize>,
    /// Stages that read each stage.
    readers: Vec<Vec<usize>>,
    /// Inputs of each stage that are not there.
    missing: Vec<usize>,
    /// Pending stages without missing inputs.
    ready: BTreeSet<usize>,
    /// What stages are planned to cost, where that is known.
    costs: HashMap<Key, Cost>,
}

/// Whether what reads the stage can start.
fn is_there(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Cached | Outcome::Done)
}

impl Schedule {
    /// Stages to look after; `cached` says which are in the store.
    pub fn new(stages: Vec<Stage>, cached: impl Fn(&Key) -> bool) -> Self {
        let outcomes: Vec<Outcome> =
            stages.iter().map(|stage| if cached(&stage.key) { Outcome::Cached } else { Outcome::Pending }).collect();
        let place: HashMap<Key, usize> = stages.iter().enumerate().map(|(index, stage)| (stage.key, index)).collect();
        let mut readers = vec![Vec::new(); stages.len()];
        let mut missing = vec![0; stages.len()];
        for (index, stage) in stages.iter().enumerate() {
            // An input that is not looked after here is taken to be there.
            for input in stage.inputs.values().filter_map(|key| place.get(key)) {
                readers[*input].push(index);
                missing[index] += usize::from(!is_there(&outcomes[*input]));
            }
        }
        let mut schedule = Schedule { stages, outcomes, place, readers, missing, ready: BTreeSet::new(), costs: HashMap::new() };
        (0..schedule.stages.len()).for_each(|index| schedule.note(index));
        schedule
    }

    /// The same with what each of the stages is planned to cost, in their order.
    pub fn with_costs(mut self, costs: Vec<Cost>) -> Self {
        self.costs = self.stages.iter().map(|stage| stage.key).zip(costs).collect();
        self
    }

    /// What a stage is planned to cost, its memory among it.
    pub fn cost(&self, key: &Key) -> Option<Cost> {
        self.costs.get(key).copied()
    }

    /// Does not start stages for which `which` holds.
    pub fn leave_out(&mut self, which: impl Fn(&Stage) -> bool) {
        for index in 0..self.stages.len() {
            if self.outcomes[index] == Outcome::Pending && which(&self.stages[index]) {
                self.change(index, Outcome::Cancelled);
            }
        }
    }

    /// Every stage.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// Where a stage stands.
    pub fn outcome(&self, key: &Key) -> &Outcome {
        self.place.get(key).map_or(&Outcome::Cancelled, |index| &self.outcomes[*index])
    }

    /// Records where a stage stands; a failure skips everything above it.
    pub fn set(&mut self, key: &Key, outcome: Outcome) {
        let Some(&index) = self.place.get(key) else { return };
        let failed = matches!(outcome, Outcome::Failed(_) | Outcome::Skipped);
        self.change(index, outcome);
        let mut above = if failed { self.readers[index].clone() } else { Vec::new() };
        while let Some(reader) = above.pop() {
            if self.outcomes[reader] == Outcome::Pending {
                self.change(reader, Outcome::Skipped);
                above.extend(&self.readers[reader]);
            }
        }
    }

    /// Stages whose inputs are all there, in order.
    pub fn ready(&self) -> impl Iterator<Item = &Stage> {
        self.ready.iter().map(|index| &self.stages[*index])
    }

    /// Number of stages for which `which` holds.
    pub fn count(&self, which: impl Fn(&Outcome) -> bool) -> usize {
        self.outcomes.iter().filter(|outcome| which(outcome)).count()
    }

    /// Gives up what has not started.
    pub fn cancel_pending(&mut self) {
        self.leave_out(|_| true);
    }

    fn change(&mut self, index: usize, outcome: Outcome) {
        let before = is_there(&self.outcomes[index]);
        let now = is_there(&outcome);
        self.outcomes[index] = outcome;
        self.note(index);
        if before != now {
            for reader in self.readers[index].clone() {
                if now {
                    self.missing[reader] -= 1;
                } else {
                    self.missing[reader] += 1;
                }
                self.note(reader);
            }
        }
    }

    /// Keeps the set of what can start true to a stage's state.
    fn note(&mut self, index: usize) {
        if self.outcomes[index] == Outcome::Pending && self.missing[index] == 0 {
            self.ready.insert(index);
        } else {
            self.ready.remove(&index);
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
            let inputs: BTreeMap<String, Key> = input.map(|key| ("input".to_owned(), *key)).into_iter().collect();
            Stage::new(format!("stage {seed}"), Work::Classifier { seed }, inputs, None, None)
        };
        let a = stage(0, None);
        let b = stage(1, Some(&a.key));
        let c = stage(2, Some(&b.key));
        let d = stage(3, None);
        let keys = [&a, &b, &c, &d].map(|stage| stage.key);
        (Schedule::new(vec![a, b, c, d], |_| false), keys)
    }

    #[test]
    fn a_stage_waits_for_its_inputs() {
        let (mut schedule, [a, b, c, d]) = schedule();
        let ready = |schedule: &Schedule| schedule.ready().next().map(|stage| stage.key);
        assert_eq!(ready(&schedule), Some(a));
        schedule.set(&a, Outcome::Running);
        assert_eq!(ready(&schedule), Some(d));
        schedule.set(&d, Outcome::Running);
        assert_eq!(ready(&schedule), None);
        schedule.set(&a, Outcome::Done);
        assert_eq!(ready(&schedule), Some(b));
        schedule.set(&b, Outcome::Done);
        assert_eq!(ready(&schedule), Some(c));
    }

    #[test]
    fn a_failure_skips_what_needs_it_and_nothing_else() {
        let (mut schedule, [a, b, c, d]) = schedule();
        schedule.set(&a, Outcome::Failed("no".into()));
        assert_eq!(schedule.outcome(&b), &Outcome::Skipped);
        assert_eq!(schedule.outcome(&c), &Outcome::Skipped);
        assert_eq!(schedule.ready().next().map(|stage| stage.key), Some(d));
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
