//! Hands stages to Slurm: one job a group, and a last one that draws the report.

use super::Request;
use super::client::{Client, QueueState};
use super::grouping::groups;
use super::jobs::{JobId, Jobs};
use super::script::{Script, after, dependency};
use super::waves::{Slot, waves};
use crate::error::{Doing, Result};
use crate::exec::worker::freeze;
use crate::plan::Stage;
use crate::plan::cost::Cost;
use crate::store::{Key, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Tasks of one array that run at once where --jobs does not say: a sweep must not take a whole cluster.
const AT_ONCE: usize = 64;

/// Hands in `stages`, which have inputs before what reads them; inputs that are not among them are in the store, or living jobs
/// of `queue` make them. The file of jobs is written after each, so that a runner that dies forgets at most one. Returns how
/// many jobs were handed in, the report included.
pub(super) fn submit(
    request: &Request,
    client: &Client,
    store: &Store,
    stages: &[&Stage],
    cost: &dyn Fn(&Key) -> Option<Cost>,
    queue: &BTreeMap<JobId, QueueState>,
    jobs: &mut Jobs,
) -> Result<usize> {
    if stages.is_empty() {
        return Ok(0);
    }
    for stage in stages {
        let work = freeze(stage, cost(&stage.key), store)?;
        // The worker of another runner may be at it; this one's will wait for it.
        if !work.is_held() {
            work.forget()?;
        }
    }
    let script = script(request, store)?;
    let queued: BTreeMap<Key, JobId> =
        jobs.stages.iter().filter(|(_, id)| queue.contains_key(id)).map(|(key, id)| (*key, *id)).collect();
    let living: BTreeSet<u64> = queued.values().map(|id| id.job).collect();
    let groups = groups(stages, &queued);
    let sizes = groups.iter().map(|group| group.tasks.len());
    let slots: Vec<Slot> = match request.jobs {
        Some(limit) => waves(sizes, limit),
        None => sizes.map(|size| Slot { wave: 0, at_once: size.min(AT_ONCE) }).collect(),
    };
    // The report of an earlier submission would come too soon.
    if let Some(report) = jobs.report.take().filter(|report| queue.contains_key(report)) {
        client.cancel(&[report.job])?;
    }
    let mut numbers: Vec<u64> = Vec::new();
    for (group, slot) in groups.iter().zip(&slots) {
        // All waves before, and not the last one alone: jobs that can no longer start leave their wave before it is its turn.
        let before = numbers.iter().zip(&slots).filter(|(_, other)| other.wave < slot.wave).map(|(number, _)| *number);
        let ended: Vec<u64> = living.iter().copied().filter(|_| request.jobs.is_some()).chain(before).collect();
        let number = client.submit(&script.of_group(group, &dependency(group, &numbers, &ended), slot.at_once))?;
        numbers.push(number);
        jobs.stages.extend(group.tasks.iter().map(|(task, stage)| (stage.key, JobId { job: number, task: *task })));
        jobs.write(request.folder)?;
    }
    let all: Vec<u64> = living.iter().chain(&numbers).copied().collect();
    let report = client.submit(&script.of_report(&after(&all).unwrap_or_default()))?;
    jobs.report = Some(JobId { job: report, task: None });
    jobs.write(request.folder)?;
    Ok(numbers.len() + 1)
}

/// What the scripts of this study share.
fn script<'a>(request: &'a Request, store: &Store) -> Result<Script<'a>> {
    let absolute = |path: &Path| std::path::absolute(path).doing("find", path);
    Ok(Script {
        study: request.study,
        settings: request.settings,
        device: request.device,
        checkpoint_every: request.checkpoint_every,
        program: std::env::current_exe().doing("find", Path::new("dpo-lab's own program"))?,
        folder: absolute(Path::new("."))?,
        results: absolute(request.results)?,
        works: absolute(&store.works())?,
        log: absolute(&request.folder.join("slurm.log"))?,
    })
}
