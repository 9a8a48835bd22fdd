//! Which stages become one job array: those of one kind whose inputs are made by the same jobs, each needing either the same
//! task as all others, or the task of its own number. Pure.
//!
//! Slurm's dependencies set the limits: `afterok:JOB_TASK` is one for all tasks of an array, `aftercorr:JOB` lets task i wait
//! for task i (sbatch's manual, --dependency).

use super::jobs::JobId;
use crate::plan::{Kind, Stage};
use crate::store::Key;
use std::collections::{BTreeMap, BTreeSet};

/// Most tasks of an array: Slurm's own default is numbers up to 1000 (MaxArraySize).
const MOST_TASKS: usize = 1000;

/// A job that makes inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Job {
    /// The group of this place in the list: it is submitted before those that need it.
    Group(usize),
    /// A job that Slurm has already.
    Queued(u64),
}

/// What has to end well before a group's tasks start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// One job, or one task of an array, for all.
    Same(Job, Option<u32>),
    /// For each task that of the same number.
    Corresponding(Job),
}

/// Stages that are submitted as one job: an array, where they are several.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// What all of them do.
    pub kind: Kind,
    /// Number and stage of each task; a single stage is no array, and has no number.
    pub tasks: Vec<(Option<u32>, &'a Stage)>,
    /// What they wait for; anything else that they read is in the store.
    pub needs: BTreeSet<Need>,
}

/// A stage, and the number of the task that makes each of its inputs, in the order of its roles.
struct Member<'a> {
    stage: &'a Stage,
    tasks: Vec<Option<u32>>,
}

/// Kind, and the job of each role that is not in the store: what members of a group have in common.
type Shape<'a> = (Kind, Vec<(&'a str, Job)>);

/// Puts every stage into one group; groups only need what stands before them. `stages` has inputs before what reads them, and
/// `queued` says which inputs a living job makes; all others are in the store.
pub fn groups<'a>(stages: &[&'a Stage], queued: &BTreeMap<Key, JobId>) -> Vec<Group<'a>> {
    let mut made: BTreeMap<&Key, (Job, Option<u32>)> =
        queued.iter().map(|(key, id)| (key, (Job::Queued(id.job), id.task))).collect();
    let mut groups = Vec::new();
    for level in levels(stages) {
        // In the order of the plan, so that two submissions of one study look alike.
        let mut alike: Vec<(Shape<'a>, Vec<Member<'a>>)> = Vec::new();
        for stage in level {
            let sources: Vec<_> = stage.inputs.iter().filter_map(|(role, key)| Some((role, made.get(key)?))).collect();
            let shape: Shape = (stage.work.kind(), sources.iter().map(|(role, (job, _))| (role.as_str(), *job)).collect());
            let member = Member { stage, tasks: sources.iter().map(|(_, (_, task))| *task).collect() };
            match alike.iter_mut().find(|(known, _)| *known == shape) {
                Some((_, members)) => members.push(member),
                None => alike.push((shape, vec![member])),
            }
        }
        for ((kind, roles), members) in alike {
            let jobs: Vec<Job> = roles.into_iter().map(|(_, job)| job).collect();
            for numbered in arrays(members) {
                let needs = needs(&jobs, &numbered);
                let single = numbered.len() == 1;
                let tasks: Vec<_> =
                    numbered.into_iter().map(|(number, member)| ((!single).then_some(number), member.stage)).collect();
                made.extend(tasks.iter().map(|(number, stage)| (&stage.key, (Job::Group(groups.len()), *number))));
                groups.push(Group { kind, tasks, needs });
            }
        }
    }
    groups
}

/// Stages by the longest way to them through others of the list.
fn levels<'a>(stages: &[&'a Stage]) -> Vec<Vec<&'a Stage>> {
    let mut depths: BTreeMap<&Key, usize> = BTreeMap::new();
    let mut levels: Vec<Vec<&Stage>> = Vec::new();
    for stage in stages {
        let depth = stage.inputs.values().filter_map(|key| Some(depths.get(key)? + 1)).max().unwrap_or(0);
        depths.insert(&stage.key, depth);
        if levels.len() <= depth {
            levels.resize_with(depth + 1, Vec::new);
        }
        levels[depth].push(stage);
    }
    levels
}

/// Splits members of one shape until the tasks of each part can be numbered.
fn arrays(members: Vec<Member<'_>>) -> Vec<Vec<(u32, Member<'_>)>> {
    let varying = varying(&members);
    let Some(&first) = varying.first() else {
        // All wait for the same: the numbers are free.
        let mut parts = Vec::new();
        let mut members = members.into_iter().peekable();
        while members.peek().is_some() {
            parts.push((0..).zip(members.by_ref().take(MOST_TASKS)).collect());
        }
        return parts;
    };
    let agrees = |member: &Member| varying.iter().all(|role| member.tasks[*role] == member.tasks[first]);
    let by_number = numbers(&members, first);
    let most = by_number.values().copied().max().unwrap_or(0);
    if members.iter().all(agrees) && most <= by_number.len() {
        // Those that share a number go to different arrays.
        let mut parts: Vec<Vec<(u32, Member)>> = Vec::new();
        let mut seen: BTreeMap<Option<u32>, usize> = BTreeMap::new();
        for member in members {
            let number = member.tasks[first];
            let part = seen.entry(number).or_default();
            if parts.len() <= *part {
                parts.push(Vec::new());
            }
            parts[*part].push((number.unwrap_or_default(), member));
            *part += 1;
        }
        return parts;
    }
    // One role becomes the same for all: that with the fewest numbers gives the fewest parts.
    let role = varying.iter().copied().min_by_key(|role| numbers(&members, *role).len()).unwrap_or(first);
    let mut parts: BTreeMap<Option<u32>, Vec<Member>> = BTreeMap::new();
    for member in members {
        parts.entry(member.tasks[role]).or_default().push(member);
    }
    parts.into_values().flat_map(arrays).collect()
}

/// Roles whose input is not the same task for all.
fn varying(members: &[Member]) -> Vec<usize> {
    let Some(first) = members.first() else { return Vec::new() };
    (0..first.tasks.len()).filter(|role| members.iter().any(|member| member.tasks[*role] != first.tasks[*role])).collect()
}

/// How many members need each task of a role's job.
fn numbers(members: &[Member], role: usize) -> BTreeMap<Option<u32>, usize> {
    let mut counts = BTreeMap::new();
    for member in members {
        *counts.entry(member.tasks[role]).or_default() += 1;
    }
    counts
}

/// What the tasks of an array wait for, given the job of each role.
fn needs(jobs: &[Job], numbered: &[(u32, Member)]) -> BTreeSet<Need> {
    let need = |(role, job): (usize, &Job)| {
        let task = numbered.first().and_then(|(_, member)| member.tasks[role]);
        let same = numbered.iter().all(|(_, member)| member.tasks[role] == task);
        if same { Need::Same(*job, task) } else { Need::Corresponding(*job) }
    };
    jobs.iter().enumerate().map(need).collect()
}

#[cfg(test)]
#[path = "grouping_tests.rs"]
mod tests;
