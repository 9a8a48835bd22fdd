//! What is left of a plan: every stage with its cost, and what they come to.

use super::study::Prepared;
use crate::plan::cost::{Ahead, Cost, Rates, Thing, timetable};
use crate::plan::{Kind, Stage};
use crate::store::Key;
use serde_json::{Value, json};

/// A stage of the plan.
pub(super) struct Row {
    /// What people call it.
    pub label: String,
    /// What kind it is.
    pub kind: Kind,
    /// First digits of its key.
    pub key: String,
    /// Why it will run; nothing for one that is cached.
    pub why: Option<String>,
    /// Its cost when nothing of it is done.
    pub cost: Cost,
    /// Share that is left, of time and operations.
    pub left: f64,
    /// What it will take, where such stages were made before; 0 for one that is cached.
    pub seconds: Option<f64>,
}

impl Row {
    /// The row as JSON.
    pub fn json(&self) -> Value {
        let Cost { tokens, flops, peak_memory, disk, .. } = self.cost;
        json!({
            "stage": self.label, "kind": self.kind, "key": self.key, "cached": self.why.is_none(), "why": self.why,
            "tokens": tokens.round(), "flops": flops.round(), "seconds": self.seconds, "left": self.left,
            "peak_memory": peak_memory, "disk": disk,
        })
    }
}

/// What the stages that will run come to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    /// How many they are.
    pub stages: usize,
    /// Tokens of models.
    pub tokens: f64,
    /// Floating-point operations.
    pub flops: f64,
    /// Seconds of all workers.
    pub work: f64,
    /// Seconds until all are done.
    pub wall: f64,
    /// Whether every time is known.
    pub complete: bool,
    /// Stages at once.
    pub jobs: usize,
    /// Bytes of what they leave.
    pub disk: f64,
    /// Bytes of memory of the largest.
    pub peak_memory: f64,
    /// Bytes of the `jobs` largest together.
    pub at_once: f64,
}

impl Totals {
    /// The totals as JSON; `memory` is the machine's.
    pub fn json(&self, memory: Option<f64>) -> Value {
        json!({
            "tokens": self.tokens.round(), "flops": self.flops.round(), "worker_seconds": self.work, "wall_seconds": self.wall,
            "complete": self.complete, "jobs": self.jobs, "disk": self.disk, "peak_memory": self.peak_memory,
            "memory_at_once": self.at_once, "machine_memory": memory,
        })
    }
}

/// All rows and their totals.
pub(super) struct Forecast {
    /// One a wanted stage, in the plan's order.
    pub rows: Vec<Row>,
    /// Of those that will run.
    pub totals: Totals,
}

impl Forecast {
    /// From why each wanted stage runs, what all stages cost, and how fast this device is. `left` says what is left of a stage.
    pub fn of(
        prepared: &Prepared,
        reasons: Vec<(&Stage, Option<String>)>,
        costs: &[Cost],
        rates: &Rates,
        ahead: Ahead,
        left: impl Fn(&Key) -> f64,
    ) -> Self {
        let mut rows = Vec::with_capacity(reasons.len());
        let mut running: Vec<(&Stage, Thing, f64)> = Vec::new();
        for (stage, why) in reasons {
            let cost = prepared.plan.place(&stage.key).map(|place| costs[place]).unwrap_or_default();
            let kind = stage.work.kind();
            let (mut share, mut seconds) = (1.0, Some(0.0));
            if why.is_some() {
                share = left(&stage.key);
                let thing = Thing::of(stage, cost.weights);
                seconds = rates.seconds(&thing, &cost, ahead.threads()).map(|seconds| share * seconds);
                running.push((stage, thing, share));
            }
            let (label, key) = (stage.label.clone(), stage.key.short());
            rows.push(Row { label, kind, key, why, cost, left: share, seconds });
        }
        let totals = totals(&rows, &running, rates, ahead);
        Forecast { rows, totals }
    }
}

fn totals(rows: &[Row], running: &[(&Stage, Thing, f64)], rates: &Rates, ahead: Ahead) -> Totals {
    let to_run: Vec<&Row> = rows.iter().filter(|row| row.why.is_some()).collect();
    let sum = |of: fn(&Row) -> f64| to_run.iter().map(|row| of(row)).sum::<f64>();
    let stages: Vec<&Stage> = running.iter().map(|(stage, ..)| *stage).collect();
    let table = timetable(&stages, ahead, |place, threads| {
        let (_, thing, share) = &running[place];
        rates.seconds(thing, &to_run[place].cost, threads).map(|seconds| share * seconds)
    });
    let mut memory: Vec<f64> = to_run.iter().map(|row| row.cost.peak_memory as f64).collect();
    memory.sort_by(|one, other| other.total_cmp(one));
    Totals {
        stages: to_run.len(),
        tokens: sum(|row| row.left * row.cost.tokens),
        flops: sum(|row| row.left * row.cost.flops),
        work: sum(|row| row.seconds.unwrap_or_default()),
        wall: table.seconds,
        complete: table.complete,
        jobs: ahead.jobs,
        disk: sum(|row| row.cost.disk as f64),
        peak_memory: memory.first().copied().unwrap_or_default(),
        at_once: memory.iter().take(ahead.jobs).sum(),
    }
}
