//! How long stages take, by how long such stages took on this device before.

use super::Cost;
use crate::judges;
use crate::plan::{Kind, Stage, Work};
use serde_json::Value;
use std::collections::HashMap;

/// Stages that do alike things, an operation of which takes about as long in each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Thing {
    /// Kind of stage.
    pub kind: Kind,
    /// What a kind does in several ways: the method that trains, the judge, or what tells the stage's form from others.
    pub way: String,
    /// The model's weights as the nearest power of two: larger models do more operations in a second.
    pub size: Option<u32>,
}

/// Keys of parameters that tell forms of a kind apart; the first that is there does.
const FORMS: [&str; 4] = ["method", "judge", "max_tokens", "world"];

impl Thing {
    /// Of a planned stage, whose main model has so many weights.
    pub fn of(stage: &Stage, weights: f64) -> Self {
        let way = match &stage.work {
            Work::Train { method, .. } | Work::Reinforce { method, .. } => method.name(),
            Work::Judge { judge, .. } => judges::Kind::name(judge),
            Work::Given { .. } => FORMS[2],
            Work::Exact { .. } | Work::Population { .. } => FORMS[3],
            _ => "",
        };
        Thing { kind: stage.work.kind(), way: way.to_owned(), size: size(weights) }
    }

    /// Of an artifact: its kind, the values that its key is made of, and its main model's weights.
    pub fn of_artifact(kind: Kind, parameters: &Value, weights: f64) -> Self {
        let form = FORMS.into_iter().find(|form| parameters.get(form).is_some());
        let way = form.map(|form| match &parameters[form] {
            Value::Object(tagged) if form == "method" || form == "judge" => tagged.keys().next().cloned().unwrap_or_default(),
            _ => form.to_owned(),
        });
        Thing { kind, way: way.unwrap_or_default(), size: size(weights) }
    }
}

fn size(weights: f64) -> Option<u32> {
    (weights >= 1.0).then(|| weights.log2().round() as u32)
}

/// A stage that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// What it did.
    pub thing: Thing,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Threads that it had.
    pub threads: usize,
    /// Floating-point operations, as planned.
    pub flops: f64,
}

/// Sums over stages that were made.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    stages: f64,
    seconds: f64,
    /// Seconds of every thread.
    thread_seconds: f64,
    flops: f64,
}

impl Sum {
    fn add(&mut self, made: &Made) {
        self.stages += 1.0;
        self.seconds += made.seconds;
        self.thread_seconds += made.seconds * made.threads as f64;
        self.flops += made.flops;
    }
}

/// Measured throughput.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    /// With this number of threads, exactly.
    exact: HashMap<(Thing, usize), Sum>,
    /// With any.
    alike: HashMap<Thing, Sum>,
    /// Of a kind and a size.
    sizes: HashMap<(Kind, Option<u32>), Sum>,
    kinds: HashMap<Kind, Sum>,
}

impl Rates {
    /// From what was made on this device.
    pub fn of(all: impl IntoIterator<Item = Made>) -> Self {
        let mut rates = Rates::default();
        for made in all {
            let Thing { kind, size, .. } = made.thing;
            rates.exact.entry((made.thing.clone(), made.threads)).or_default().add(&made);
            rates.alike.entry(made.thing.clone()).or_default().add(&made);
            rates.sizes.entry((kind, size)).or_default().add(&made);
            rates.kinds.entry(kind).or_default().add(&made);
        }
        rates
    }

    /// Seconds of a stage with so many threads, by what is most like it; `None` for a kind that was never made here. A kind without
    /// models takes as long as before.
    pub fn seconds(&self, thing: &Thing, cost: &Cost, threads: usize) -> Option<f64> {
        if let Some(sum) = self.exact.get(&(thing.clone(), threads)) {
            return Some(if cost.flops > 0.0 && sum.flops > 0.0 {
                sum.seconds / sum.flops * cost.flops
            } else {
                sum.seconds / sum.stages
            });
        }
        let nearest = self.alike.get(thing).or_else(|| self.sizes.get(&(thing.kind, thing.size)));
        let sum = nearest.or_else(|| self.kinds.get(&thing.kind))?;
        let of_threads = |thread_seconds: f64| thread_seconds / threads.max(1) as f64;
        Some(match cost.flops > 0.0 && sum.flops > 0.0 {
            true => of_threads(sum.thread_seconds / sum.flops * cost.flops),
            false => of_threads(sum.thread_seconds / sum.stages),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(way: &str, size: u32, threads: usize, seconds: f64, flops: f64) -> Made {
        Made { thing: Thing { kind: Kind::Train, way: way.to_owned(), size: Some(size) }, seconds, threads, flops }
    }

    #[test]
    fn time_follows_operations_by_what_is_most_like_the_stage() {
        let rates = Rates::of([made("dpo", 17, 1, 4.0, 1e9), made("dpo", 17, 2, 3.0, 1e9), made("ppo", 17, 1, 10.0, 1e9)]);
        let seconds = |way: &str, size, threads| {
            let thing = made(way, size, 0, 0.0, 0.0).thing;
            rates.seconds(&thing, &Cost { flops: 2e9, ..Cost::default() }, threads)
        };
        assert_eq!(seconds("dpo", 17, 1), Some(8.0));
        assert_eq!(seconds("dpo", 17, 2), Some(6.0));
        // Never with four threads: 10 seconds of a thread for 2e9 operations.
        assert_eq!(seconds("dpo", 17, 4), Some(2.5));
        // Never this method, never this size: all of the kind.
        assert_eq!(seconds("kto", 20, 1), Some(2.0 * (4.0 + 6.0 + 10.0) / 3.0));
        let other = Thing { kind: Kind::Judge, way: String::new(), size: None };
        assert_eq!(rates.seconds(&other, &Cost::default(), 1), None);
    }
}
