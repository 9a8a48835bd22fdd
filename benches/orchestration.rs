//! What the runner costs beside the work: planning, looking into the store, and starting stages.
//!
//!     cargo bench --bench orchestration
//!
//! Aims: 10,000 runs are planned in under 2 s, the store of a finished study of 1,000 runs
//! is looked through in under 1 s, and a stage costs under 20 ms beyond the start of its process.

use criterion::{Criterion, criterion_group};
use dpo_lab::exec::{self, Interrupts, Local, Memory, Outcome, Progress, Schedule, Slots, Verbosity};
use dpo_lab::plan::{self, Plan, Stage, Work};
use dpo_lab::resolve::{Fetch, resolve};
use dpo_lab::spec;
use dpo_lab::store::{Key, Manifest, Record, State, Store};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A study of `betas` times `rates` runs of DPO, each of three segments with an evaluation.
fn planned(folder: &Path, betas: usize, rates: usize) -> Plan {
    let list = |count: usize, unit: f64| (1..=count).map(|n| format!("{:.7}", n as f64 * unit)).collect::<Vec<_>>().join(", ");
    let file = folder.join("study.toml");
    let text = format!(
        "name = \"many\"\n[task.sentiment]\ncorpus = \"builtin:reviews\"\n[method.dpo]\nbeta = [{}]\nlearning_rate = [{}]\n",
        list(betas, 0.01),
        list(rates, 1e-6)
    );
    std::fs::write(&file, text).expect("written");
    let study = spec::load(&file, &[]).expect("a study").study;
    let here = |_: &str| PathBuf::from(".");
    let resolved = resolve(&study, &here, Fetch::No).map_err(|(_, error)| error).expect("a corpus");
    plan::build(&study, &resolved)
}

/// Publishes an artifact that takes no work.
fn publish(store: &Store, key: &Key) {
    let draft = store.draft(key).expect("a draft");
    std::fs::write(draft.folder().join("rows.json"), b"[]").expect("written");
    let manifest = Manifest {
        kind: "prompts".into(),
        label: String::new(),
        parameters: serde_json::Value::Null,
        inputs: BTreeMap::new(),
        files: BTreeMap::new(),
        thinned: false,
        record: Record::default(),
    };
    draft.publish(manifest).expect("published");
}

fn planning(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut group = criterion.benchmark_group("plan");
    group.sample_size(10);
    group.bench_function("10,000 runs", |bencher| bencher.iter(|| planned(folder.path(), 100, 100)));
    let plan = planned(folder.path(), 100, 100);
    group.bench_function("schedule of 10,000 runs, every stage done", |bencher| {
        bencher.iter(|| {
            let mut schedule = Schedule::new(plan.stages.clone(), |_| false);
            loop {
                let Some(key) = schedule.ready().next().map(|stage| stage.key) else { break };
                schedule.set(&key, Outcome::Done);
            }
            assert_eq!(schedule.count(|outcome| *outcome == Outcome::Done), plan.stages.len());
        });
    });
    group.finish();
}

fn looking(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = planned(folder.path(), 50, 20);
    let store = Store::open(folder.path()).expect("a store");
    plan.stages.iter().for_each(|stage| publish(&store, &stage.key));
    let mut group = criterion.benchmark_group("store");
    group.sample_size(10);
    group.bench_function("states of a finished study of 1,000 runs", |bencher| {
        bencher.iter(|| assert!(plan.stages.iter().all(|stage| store.state(&stage.key) == State::Present)));
    });
    group.finish();
}

/// Stages that do nothing, one after another: what the runner adds to the start of a process.
fn starting(criterion: &mut Criterion) {
    const STAGES: u64 = 20;
    let folder = tempfile::tempdir().expect("a folder");
    let interrupts = Interrupts::default();
    let mut seed = 0;
    let mut group = criterion.benchmark_group("run");
    group.sample_size(10);
    group.bench_function("20 stages that do nothing, one at a time", |bencher| {
        bencher.iter(|| {
            let store = Store::open(folder.path()).expect("a store");
            let stages = (0..STAGES).map(|number| {
                let work = Work::Classifier { seed: seed + number };
                Stage::new(format!("stage {number}"), work, BTreeMap::new(), None, None)
            });
            let mut schedule = Schedule::new(stages.collect(), |_| false);
            seed += STAGES;
            let local = Local {
                store: &store,
                results: folder.path(),
                slots: Slots::new(&["cpu".to_owned()], Some(1), 1),
                memory: Memory::Together(None),
                checkpoint_every: Duration::from_secs(600),
                interrupts: &interrupts,
                finished: &mut |_| (),
            };
            exec::run(local, &mut schedule, &mut Progress::new("bench", 0, Verbosity::Quiet)).expect("ran");
            assert_eq!(schedule.count(|outcome| *outcome == Outcome::Done), STAGES as usize);
        });
    });
    group.bench_function("20 processes that do the same, one at a time", |bencher| {
        bencher.iter(|| {
            for _ in 0..STAGES {
                let key = blake3::hash(&seed.to_le_bytes()).to_hex().to_string();
                seed += 1;
                let program = std::env::current_exe().expect("a program");
                let mut command = Command::new(program);
                let status = command.args(["stage", &key, "--results"]).arg(folder.path()).status().expect("starts");
                assert!(status.success());
            }
        });
    });
    group.finish();
}

criterion_group!(benches, planning, looking, starting);

/// The runner starts its own program as a worker: this one, then, which publishes at once.
fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|verb| verb == "stage") {
        let results = arguments.iter().position(|argument| argument == "--results").and_then(|at| arguments.get(at + 1));
        let store = Store::open(Path::new(results.expect("a folder"))).expect("a store");
        publish(&store, &Key::parse(&arguments[2]).expect("a key"));
        return;
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
