//! What arrays promise: every stage once, needs before what needs them, and each task waiting for exactly its own inputs.

use super::*;
use crate::plan::Work;
use proptest::prelude::*;

/// A stage of a kind whose inputs are others, each in a role of its own.
fn stage(kind: Kind, seed: u64, inputs: &[&Stage]) -> Stage {
    let work = match kind {
        Kind::Tokenizer => Work::Tokenizer { vocabulary: 260, seed },
        Kind::Comparisons => Work::ReferenceLogprobs { mismatched: seed.is_multiple_of(2) },
        _ => Work::Classifier { seed },
    };
    let inputs = inputs.iter().enumerate().map(|(role, input)| (format!("role {role}"), input.key)).collect();
    let mut stage = Stage::new(format!("stage {seed}"), work, inputs, None, None);
    // Keys that differ by the seed alone, whatever the kind's own parameters are.
    stage.key = Key::of(format!("{kind:?} {seed}"));
    stage
}

fn none() -> BTreeMap<Key, JobId> {
    BTreeMap::new()
}

/// The job and task that make an input of task `number`, as Slurm will understand the group's needs.
fn waits_for(group: &Group, number: Option<u32>) -> BTreeSet<(Job, Option<u32>)> {
    let source = |need: &Need| match need {
        Need::Same(job, task) => (*job, *task),
        Need::Corresponding(job) => (*job, number),
    };
    group.needs.iter().map(source).collect()
}

/// Every stage once, needs on earlier groups only, and every task waits for exactly the tasks that make its inputs.
fn holds(stages: &[&Stage], queued: &BTreeMap<Key, JobId>, groups: &[Group]) -> Result<(), String> {
    let mut made: BTreeMap<&Key, (Job, Option<u32>)> =
        queued.iter().map(|(key, id)| (key, (Job::Queued(id.job), id.task))).collect();
    for (place, group) in groups.iter().enumerate() {
        let numbers: BTreeSet<_> = group.tasks.iter().map(|(number, _)| number).collect();
        if numbers.len() != group.tasks.len() || group.tasks.len() > MOST_TASKS {
            return Err(format!("group {place} has numbers {numbers:?}"));
        }
        for (number, stage) in &group.tasks {
            let inputs: BTreeSet<_> = stage.inputs.values().filter_map(|key| made.get(key).copied()).collect();
            if inputs != waits_for(group, *number) {
                return Err(format!("{} of group {place} needs {inputs:?} and waits for {:?}", stage.label, group.needs));
            }
        }
        for (number, stage) in &group.tasks {
            if made.insert(&stage.key, (Job::Group(place), *number)).is_some() {
                return Err(format!("{} stands twice", stage.label));
            }
        }
    }
    let all = stages.iter().all(|stage| matches!(made.get(&stage.key), Some((Job::Group(_), _))));
    if all { Ok(()) } else { Err("a stage is in no group".to_owned()) }
}

#[test]
fn runs_of_a_sweep_are_one_array_and_what_follows_waits_task_by_task() {
    let shared = stage(Kind::Tokenizer, 0, &[]);
    let first: Vec<Stage> = (1..5).map(|seed| stage(Kind::Classifier, seed, &[&shared])).collect();
    let second: Vec<Stage> =
        first.iter().zip(11..).map(|(input, seed)| stage(Kind::Classifier, seed, &[input, &shared])).collect();
    let stages: Vec<&Stage> = std::iter::once(&shared).chain(&first).chain(&second).collect();
    let groups = groups(&stages, &none());
    assert_eq!(groups.iter().map(|group| group.tasks.len()).collect::<Vec<_>>(), [1, 4, 4]);
    assert_eq!(groups[1].needs, [Need::Same(Job::Group(0), None)].into());
    assert_eq!(groups[2].needs, [Need::Corresponding(Job::Group(1)), Need::Same(Job::Group(0), None)].into());
    assert_eq!(holds(&stages, &none(), &groups), Ok(()));
}

#[test]
fn tasks_that_read_the_same_element_of_an_array_are_still_one_array() {
    let pair: Vec<Stage> = (0..2).map(|seed| stage(Kind::Tokenizer, seed, &[])).collect();
    let runs: Vec<Stage> = (10..14).map(|seed| stage(Kind::Classifier, seed, &[&pair[0]])).collect();
    let stages: Vec<&Stage> = pair.iter().chain(&runs).collect();
    let groups = groups(&stages, &none());
    assert_eq!(groups.len(), 2);
    assert_eq!(groups[1].needs, [Need::Same(Job::Group(0), Some(0))].into());
}

#[test]
fn several_readers_of_each_element_go_to_several_arrays() {
    let runs: Vec<Stage> = (0..5).map(|seed| stage(Kind::Tokenizer, seed, &[])).collect();
    let temperatures: Vec<Stage> =
        runs.iter().flat_map(|run| [run, run]).zip(10..).map(|(run, seed)| stage(Kind::Classifier, seed, &[run])).collect();
    let stages: Vec<&Stage> = runs.iter().chain(&temperatures).collect();
    let groups = groups(&stages, &none());
    assert_eq!(groups.iter().map(|group| group.tasks.len()).collect::<Vec<_>>(), [5, 5, 5]);
    assert_eq!(holds(&stages, &none(), &groups), Ok(()));
}

#[test]
fn what_is_queued_already_is_waited_for_by_its_number() {
    let runs: Vec<Stage> = (0..3).map(|seed| stage(Kind::Tokenizer, seed, &[])).collect();
    let next: Vec<Stage> = runs.iter().zip(10..).map(|(run, seed)| stage(Kind::Classifier, seed, &[run])).collect();
    let queued: BTreeMap<Key, JobId> =
        runs.iter().zip([0, 4, 7]).map(|(run, task)| (run.key, JobId { job: 99, task: Some(task) })).collect();
    let stages: Vec<&Stage> = next.iter().collect();
    let groups = groups(&stages, &queued);
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].needs, [Need::Corresponding(Job::Queued(99))].into());
    assert_eq!(groups[0].tasks.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [Some(0), Some(4), Some(7)]);
}

#[test]
fn an_array_has_no_more_tasks_than_slurm_takes() {
    let runs: Vec<Stage> = (0..2 * MOST_TASKS as u64 + 1).map(|seed| stage(Kind::Tokenizer, seed, &[])).collect();
    let stages: Vec<&Stage> = runs.iter().collect();
    let groups = groups(&stages, &none());
    assert_eq!(groups.iter().map(|group| group.tasks.len()).collect::<Vec<_>>(), [MOST_TASKS, MOST_TASKS, 1]);
    assert_eq!(groups[2].tasks[0].0, None);
}

proptest! {
    /// Graphs of any shape: each stage reads up to three of those before it, some of which are queued already.
    #[test]
    fn any_graph_keeps_what_arrays_promise(
        shape in proptest::collection::vec((0usize..3, proptest::collection::vec(0usize..60, 0..4)), 1..60),
        already in 0usize..8,
    ) {
        let kinds = [Kind::Tokenizer, Kind::Classifier, Kind::Comparisons];
        let mut all: Vec<Stage> = Vec::new();
        for (seed, (kind, inputs)) in shape.iter().enumerate() {
            let inputs: Vec<&Stage> = inputs.iter().filter(|input| **input < seed).map(|input| &all[*input]).collect();
            let next = stage(kinds[*kind], seed as u64, &inputs);
            all.push(next);
        }
        let (old, new) = all.split_at(already.min(all.len()));
        let id = |place: usize| JobId { job: 7 + place as u64 / 3, task: Some(place as u32 % 3) };
        let queued: BTreeMap<Key, JobId> = old.iter().enumerate().map(|(place, stage)| (stage.key, id(place))).collect();
        let stages: Vec<&Stage> = new.iter().collect();
        let found = groups(&stages, &queued);
        prop_assert_eq!(holds(&stages, &queued, &found), Ok(()));
    }
}
