//! When stages will be done: the executor's rule, played through with estimated times.

use super::super::stage::Stage;
use crate::store::Key;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// Seconds between a worker's start and its first work, and between its end and the next one's start.
const TURNOVER: f64 = 0.05;

/// When everything will be done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timetable {
    /// Seconds from the start to the end of the last stage.
    pub seconds: f64,
    /// Whether the time of every stage is known; otherwise it takes at least so long.
    pub complete: bool,
}

/// How stages are run.
#[derive(Clone, Copy, Debug)]
pub struct Ahead {
    /// Stages at once.
    pub jobs: usize,
    /// Cores that they share: a stage that nothing can run beside has all of them.
    pub cores: usize,
}

impl Ahead {
    /// Threads of a stage while as many run as may.
    pub fn threads(&self) -> usize {
        (self.cores / self.jobs.max(1)).max(1)
    }
}

/// Runs `stages`, whose inputs are among them or there already, where `seconds(stage, threads)` says how long one takes. Stages start
/// in their order, as soon as their inputs are there and fewer than `jobs` run.
pub fn timetable(stages: &[&Stage], ahead: Ahead, seconds: impl Fn(usize, usize) -> Option<f64>) -> Timetable {
    let places: HashMap<&Key, usize> = stages.iter().enumerate().map(|(place, stage)| (&stage.key, place)).collect();
    let mut above: Vec<Vec<usize>> = vec![Vec::new(); stages.len()];
    let mut missing = vec![0usize; stages.len()];
    for (place, stage) in stages.iter().enumerate() {
        for input in stage.inputs.values().filter_map(|key| places.get(key)) {
            above[*input].push(place);
            missing[place] += 1;
        }
    }
    let mut ready: BinaryHeap<Reverse<usize>> = (0..stages.len()).filter(|place| missing[*place] == 0).map(Reverse).collect();
    // Times in whole microseconds, which are in order.
    let mut running: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let (mut now, mut complete) = (0, true);
    loop {
        while running.len() < ahead.jobs.max(1) {
            let beside = (running.len() + ready.len()).min(ahead.jobs).max(1);
            let Some(Reverse(place)) = ready.pop() else { break };
            let time = seconds(place, (ahead.cores / beside).max(1));
            complete &= time.is_some();
            let ends = now + ((time.unwrap_or(0.0) + TURNOVER) * 1e6).round() as u64;
            running.push(Reverse((ends, place)));
        }
        let Some(Reverse((ends, place))) = running.pop() else {
            return Timetable { seconds: now as f64 / 1e6, complete };
        };
        now = ends;
        let mut ended = vec![place];
        // What ends at the same moment has ended before anything starts.
        while running.peek().is_some_and(|Reverse((ends, _))| *ends == now) {
            ended.extend(running.pop().map(|Reverse((_, place))| place));
        }
        for next in ended.iter().flat_map(|place| &above[*place]) {
            missing[*next] -= 1;
            if missing[*next] == 0 {
                ready.push(Reverse(*next));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Work;
    use std::collections::BTreeMap;

    /// a -> b, and c and d by themselves.
    fn stages() -> Vec<Stage> {
        let stage = |seed: u64, input: Option<&Key>| {
            let inputs: BTreeMap<String, Key> = input.map(|key| ("input".to_owned(), *key)).into_iter().collect();
            Stage::new(format!("stage {seed}"), Work::Classifier { seed }, inputs, None, None)
        };
        let a = stage(0, None);
        let b = stage(1, Some(&a.key));
        vec![a, b, stage(2, None), stage(3, None)]
    }

    fn seconds(jobs: usize, cores: usize, of: impl Fn(usize, usize) -> Option<f64>) -> Timetable {
        let stages = stages();
        timetable(&stages.iter().collect::<Vec<_>>(), Ahead { jobs, cores }, of)
    }

    #[test]
    fn jobs_share_the_work_and_inputs_come_first() {
        let one_each = |_: usize, _: usize| Some(10.0);
        assert_eq!(seconds(1, 1, one_each).seconds, 4.0 * 10.05);
        assert_eq!(seconds(2, 2, one_each).seconds, 2.0 * 10.05);
        // b waits for a however many may run.
        assert_eq!(seconds(9, 9, one_each).seconds, 2.0 * 10.05);
    }

    #[test]
    fn a_stage_alone_has_all_cores() {
        let stages = stages();
        let [a, b, ..] = &stages[..] else { panic!("there are four") };
        let time = timetable(&[a, b], Ahead { jobs: 4, cores: 4 }, |_, threads| Some(12.0 / threads as f64));
        assert_eq!(time.seconds, 2.0 * 3.05);
    }

    #[test]
    fn an_unknown_time_makes_the_whole_a_lower_bound() {
        let time = seconds(1, 1, |place, _| (place != 2).then_some(1.0));
        assert_eq!((time.seconds, time.complete), (3.2, false));
    }
}
