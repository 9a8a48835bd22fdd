//! What holds for every experiment file: a stage's key follows from what is meant, not from how it is spelt, and a sweep has as
//! many runs as its lists multiply to.

use dpo_lab::plan;
use dpo_lab::resolve;
use dpo_lab::spec::{self, Loaded};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn load(text: &str) -> Loaded {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("study.toml");
    std::fs::write(&path, text).expect("written");
    spec::load(&path, &[]).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Keys and labels of every stage, and names of the runs.
fn planned(text: &str) -> (BTreeSet<(String, String)>, BTreeSet<String>) {
    let study = load(text).study;
    let here = std::path::Path::new(".");
    let resolved = resolve::resolve(&study, &|_| here.to_owned(), resolve::Fetch::No).expect("the built-in corpus");
    let plan = plan::build(&study, &resolved);
    let stages = plan.stages.iter().map(|stage| (stage.key.to_string(), stage.label.clone())).collect();
    (stages, study.runs.iter().map(|run| run.name.clone()).collect())
}

/// Ways to write the same number in TOML.
fn spelling(value: f64, style: u8) -> String {
    match style % 5 {
        0 => format!("{value:?}"),
        1 => format!("{value:e}"),
        2 => format!("{value:.12}"),
        3 => format!("+{value:?}"),
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        _ => format!("{value:E}"),
    }
}

fn file(beta: &str, rate: &str, weight_decay: &str, order: &[usize]) -> String {
    let table = |name: &str, mut lines: Vec<String>| {
        if order[0] % 2 == 1 {
            lines.reverse();
        }
        format!("[{name}]\n{}\n", lines.join("\n"))
    };
    let tables = [
        table(
            "task.sentiment",
            vec![r#"corpus = "builtin:reviews""#.into(), "prompts = 100".into(), "label_noise = 0.25".into()],
        ),
        table(
            "training",
            vec![format!("learning_rate = {rate}"), format!("weight_decay = {weight_decay}"), "warmup_steps = 3".into()],
        ),
        table("method.dpo", vec![format!("beta = {beta}"), "steps = 200".into(), "seed = 3".into()]),
        table("evaluation", vec!["prompts = 64".into(), "samples_per_prompt = 2".into()]),
    ];
    let tables: Vec<&str> = order.iter().map(|&at| tables[at].as_str()).collect();
    format!("name = \"same\"\n{}", tables.concat())
}

fn order() -> impl Strategy<Value = Vec<usize>> {
    Just(vec![0, 1, 2, 3]).prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn keys_do_not_depend_on_key_order_or_on_how_numbers_are_spelt(
        beta in prop_oneof![Just(0.05), Just(0.1), Just(1.0), Just(5.0)],
        exponent in -7_i32..-2,
        decay in prop_oneof![Just(0.0), Just(0.5)],
        styles in prop::array::uniform3(0_u8..5),
        orders in (order(), order()),
    ) {
        let rate = 10.0_f64.powi(exponent);
        let plain = file(&format!("{beta:?}"), &format!("{rate:?}"), &format!("{decay:?}"), &orders.0);
        let other = file(&spelling(beta, styles[0]), &spelling(rate, styles[1]), &spelling(decay, styles[2]), &orders.1);
        prop_assert_eq!(planned(&plain), planned(&other), "{}\n{}", plain, other);
    }

    #[test]
    fn a_value_that_changes_what_is_done_changes_keys(beta in 0.01_f64..10.0, other in 0.01_f64..10.0) {
        prop_assume!(beta != other);
        let order = [0, 1, 2, 3];
        let (stages, _) = planned(&file(&format!("{beta:?}"), "1e-4", "0.0", &order));
        let (others, _) = planned(&file(&format!("{other:?}"), "1e-4", "0.0", &order));
        let label = |stages: &BTreeSet<(String, String)>, what: &str| -> Vec<String> {
            stages.iter().filter(|(_, label)| label.starts_with(what)).map(|(key, _)| key.clone()).collect()
        };
        prop_assert_ne!(label(&stages, "train"), label(&others, "train"));
        prop_assert_eq!(label(&stages, "sft"), label(&others, "sft"));
    }

    #[test]
    fn a_sweep_has_as_many_runs_as_its_lists_multiply_to(
        betas in prop::collection::btree_set(1_u32..1000, 1..5),
        rates in prop::collection::btree_set(1_u32..1000, 1..4),
        seeds in prop::collection::btree_set(0_u32..100, 1..4),
        excluded in any::<bool>(),
    ) {
        let list = |values: &BTreeSet<u32>, by: f64| {
            let texts: Vec<String> = values.iter().map(|value| format!("{:?}", f64::from(*value) / by)).collect();
            format!("[{}]", texts.join(", "))
        };
        let first = f64::from(*betas.first().expect("one")) / 100.0;
        let exclude = if excluded { format!("[sweep]\nexclude = [{{ \"method.dpo.beta\" = {first:?} }}]\n") } else { String::new() };
        let seed_list: Vec<u32> = seeds.iter().copied().collect();
        let text = format!(
            "name = \"sweep\"\n[task.sentiment]\n\
             [method.sft]\n[method.dpo]\nbeta = {}\nlearning_rate = {}\nseed = {seed_list:?}\n{exclude}",
            list(&betas, 100.0),
            list(&rates, 1e6),
        );
        let runs = load(&text).study.runs;
        let betas_left = betas.len() - usize::from(excluded);
        prop_assert_eq!(runs.len(), 1 + betas_left * rates.len() * seeds.len());
        let names: BTreeSet<_> = runs.iter().map(|run| run.name.clone()).collect();
        prop_assert_eq!(names.len(), runs.len(), "names are unique");
    }
}

#[test]
fn another_reward_takes_the_place_of_the_one_below() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("study.toml");
    let text = "name = \"s\"\n[task.sentiment]\ncorpus = \"x.csv\"\nreward = { fit = \"linear\" }\n[method.dpo]\n";
    std::fs::write(&path, text).expect("written");
    let over = ["task.sentiment.reward={ classifier = \"judge\" }".to_owned()];
    let study = spec::load(&path, &over).unwrap_or_else(|error| panic!("{error}")).study;
    assert_eq!(study.task.reward(), Some(&spec::Reward::Classifier("judge".into())));
}

/// A study with judges and everything that can be a baseline.
const JUDGED: &str = "name = \"judged\"\n[task.sentiment]\n[method.dpo]\n[method.sft]\n[method.best_of_n]\nn = [1, 4]\n[evaluation]\n\
                      temperature = [0.5, 1.0]\nbaseline = [\"sft\", \"dpo-seed0\"]\n[judge.true]\n[judge.openai]\nmodel = \"m\"\nmax_calls = 9\n";

fn plan_of(text: &str) -> plan::Plan {
    let study = load(text).study;
    let here = std::path::Path::new(".");
    let resolved = resolve::resolve(&study, &|_| here.to_owned(), resolve::Fetch::No).expect("the built-in corpus");
    plan::build(&study, &resolved)
}

/// With shared random numbers the best of a pool would be compared with a member of the pool.
#[test]
fn a_baseline_that_a_policy_writes_is_drawn_apart_from_what_is_compared_with_it() {
    let plan = plan_of(JUDGED);
    let judged: Vec<_> = plan.stages.iter().filter(|stage| stage.work.kind() == plan::Kind::Judge).collect();
    assert!(!judged.is_empty());
    for stage in judged {
        let baseline = plan.stage(&stage.inputs["baseline"]).expect("a stage");
        assert!(matches!(baseline.work, plan::Work::Generate { rival: true, .. }), "{}", baseline.label);
        assert_ne!(stage.inputs["baseline"], stage.inputs["generations"]);
    }
}

/// What a judge may spend, and how fast it asks, changes no verdict; what it is asked with does.
#[test]
fn a_budget_is_not_part_of_a_key_and_a_model_is() {
    let keys = |text: &str| -> BTreeSet<String> { plan_of(text).stages.iter().map(|stage| stage.key.to_string()).collect() };
    assert_eq!(keys(JUDGED), keys(&JUDGED.replace("max_calls = 9", "max_calls = 5\nconcurrency = 2\nretries = 1")));
    assert_ne!(keys(JUDGED), keys(&JUDGED.replace("\"m\"", "\"n\"")));
}

/// Judges are added to a study without touching what is there.
#[test]
fn judges_change_no_key_of_any_other_stage() {
    let keys = |text: &str| -> BTreeSet<String> {
        let plan = plan_of(text);
        let other = |stage: &&plan::Stage| {
            let rival = matches!(stage.work, plan::Work::Generate { rival: true, .. });
            stage.work.kind() != plan::Kind::Judge && !rival
        };
        plan.stages.iter().filter(other).map(|stage| stage.key.to_string()).collect()
    };
    assert_eq!(keys(JUDGED), keys(JUDGED.split("[judge.true]").next().expect("a head")));
}
