//! Every method in one small study, and a world that can be enumerated: what they leave, and what they do not read.

use super::{Lab, STUDY, stderr};
use std::collections::HashMap;
use std::fs;

/// The small study with these methods instead of its own.
fn with(methods: &str) -> Lab {
    let lab = Lab::new();
    let head = STUDY.split("[method.dpo]").next().expect("a head");
    let tail = STUDY.split("[evaluation]").nth(1).expect("a tail");
    lab.write(&format!("{head}{methods}\n[evaluation]{tail}optimum_samples = 6\n"));
    lab
}

/// Rows of a CSV of results/small by column.
fn rows(lab: &Lab, name: &str) -> Vec<HashMap<String, String>> {
    let path = lab.results().join(name);
    let mut reader = csv::Reader::from_path(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    reader.deserialize().map(|row| row.expect("a row")).collect()
}

const PPO: &str = "steps = 4\nrollouts = 8\nminibatch = 4\nepochs = 2\ntarget_kl = 3.0\n";

#[test]
fn every_method_trains_and_leaves_finite_numbers() {
    let methods = [
        "[[method.dpo]]\n[[method.dpo]]\naverage_log_prob = true\n[[method.dpo]]\nreference_free = true\n",
        "[[method.dpo]]\ndivergence = \"forward-kl\"\n[[method.dpo]]\ndivergence = \"jensen-shannon\"\n",
        "[[method.dpo]]\ndivergence = \"alpha\"\ndivergence_alpha = 0.3\n[[method.dpo]]\nsft_weight = 0.5\n",
        "[method.cdpo]\n[method.robust_dpo]\n[method.hinge]\n[method.ipo]\nform = [\"sum\", \"mean\"]\n",
        "[method.kto]\ndata = [\"paired\", \"one-of-pair\"]\n[method.orpo]\n[method.simpo]\n[method.plackett_luce]\n",
        &format!("[method.ppo]\nseed = [0, 1]\n{PPO}"),
        &format!("[[method.ppo_gt]]\npreset = \"own\"\n{PPO}[[method.ppo_gt]]\npreset = \"off-the-shelf\"\n{PPO}"),
        &format!("[[method.ppo_gt]]\nadvantages = \"leave-one-out\"\nsamples_per_prompt = 2\n{PPO}"),
    ];
    // Presets and advantages differ between variants of one method, so each has a study of its own to be named in.
    let lab = with(&methods[..7].concat());
    let output = lab.run(&[]);
    assert!(!stderr(&output).contains("failed"), "{}", stderr(&output));
    for name in ["frontier.csv", "preferences.csv", "summary.csv", "seeds.csv", "optimum.csv", "best_of_n.csv"] {
        let text = fs::read_to_string(lab.results().join(name)).expect("a table");
        assert!(!text.contains("NaN"), "{name} has NaN");
    }
    let trained = |row: &HashMap<String, String>| row["step"] == "4" && row["kl_mean"].parse::<f64>().expect("a KL") >= 0.0;
    let frontier = rows(&lab, "frontier.csv");
    assert_eq!(frontier.iter().filter(|row| trained(row)).count(), 21);
    for run in fs::read_dir(lab.results().join("runs")).expect("runs").flatten() {
        let train = fs::read_to_string(run.path().join("train.csv")).expect("train.csv");
        let reinforced = run.file_name().to_string_lossy().starts_with("ppo");
        assert!(!train.contains("NaN") && train.lines().count() == 5, "{train}");
        for column in
            ["objective/kl", "objective/scores", "policy/approxkl", "policy/clipfrac", "loss/policy", "loss/value", "val/ratio"]
        {
            assert_eq!(train.lines().next().expect("a header").contains(column), reinforced, "{column} in {:?}", run.file_name());
        }
    }
    let seeds = rows(&lab, "seeds.csv");
    assert!(seeds.iter().all(|row| row["method"] == "ppo" && row["seeds"] == "2"), "{seeds:?}");
    assert!(rows(&lab, "optimum.csv").iter().all(|row| row["kind"] == "estimated"));
    let groups: Vec<String> = rows(&lab, "summary.csv").into_iter().map(|row| row["method"].clone()).collect();
    assert!(groups.iter().any(|group| group == "ppo_gt_off_the_shelf"), "presets are compared as methods of their own");
    let last = with(methods[7]);
    last.run(&[]);
    assert_eq!(rows(&last, "frontier.csv").iter().filter(|row| trained(row)).count(), 1);
}

#[test]
fn methods_without_a_reference_neither_make_nor_read_its_log_probs_in_training() {
    let lab = with("[method.orpo]\n[method.simpo]\n[method.preferred_ft]\n[[method.dpo]]\nreference_free = true\n");
    let plan = lab.lab(&["plan", "study.toml", "--json"]);
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).expect("JSON");
    let stages = plan["stages"].as_array().expect("stages");
    let labels: Vec<&str> = stages.iter().filter_map(|stage| stage["stage"].as_str()).collect();
    assert!(!labels.contains(&"reference log-probs"), "{labels:?}");
    // Evaluation measures held-out comparisons against the reference.
    assert!(labels.contains(&"held-out reference log-probs"), "{labels:?}");
}

#[test]
fn what_a_run_learns_from_is_its_own_and_shared_where_it_is_the_same() {
    let lab = with(
        "[method.dpo]\nsamples_from = [\"reference\", \"base\", \"policy\"]\n[method.ipo]\nlabel_noise = [0.0, 0.2]\n\
         [method.cdpo]\nreference = \"base\"\ncomparisons = 20\n",
    );
    lab.run(&[]);
    let plan: serde_json::Value =
        serde_json::from_slice(&fs::read(lab.results().join("plan.json")).expect("a plan")).expect("JSON");
    let labels: Vec<&str> = plan["stages"].as_array().expect("stages").iter().filter_map(|s| s["label"].as_str()).collect();
    let count = |start: &str| labels.iter().filter(|label| label.starts_with(start)).count();
    // The reference's, the base model's, and the policy's at step 2; at step 0 the policy is the reference.
    assert_eq!(count("samples"), 3, "{labels:?}");
    assert_eq!(count("comparisons"), 4, "{labels:?}");
    assert!(labels.contains(&"base log-probs") && labels.contains(&"evaluate base 0"), "{labels:?}");
}

const ORACLE: &str = r#"
name = "small"
[task.oracle]
vocabulary = 5
length = 2
prompts = 3
comparisons = 200
reward_scale = 4.0
[base]
steps = 10
batch_sequences = 16
max_tokens = 8
[reward_model]
batch_pairs = 16
[training]
steps = 4
batch_pairs = 8
checkpoint_every = 2
optimizer = "adamw"
learning_rate = 1e-3
[[method.dpo]]
comparisons = [50, 200]
[[method.dpo]]
samples_from = "population"
labels = ["hard", "bradley-terry"]
[method.ppo_gt]
rollouts = 8
minibatch = 4
[method.best_of_n]
n = [1, 4]
[evaluation]
every = 2
prompts = 12
max_new_tokens = 2
"#;

#[test]
fn a_world_that_can_be_enumerated_is_evaluated_exactly() {
    let lab = Lab::new();
    lab.write(ORACLE);
    lab.run(&[]);
    let number = |row: &HashMap<String, String>, key: &str| row[key].parse::<f64>().expect("a number");
    let oracle = rows(&lab, "oracle.csv");
    // Step 0, 2 and 4 of five runs that train, and two N.
    assert_eq!(oracle.len(), 17);
    for row in &oracle {
        let regret = number(row, "optimal_reward") - number(row, "reward");
        assert!((regret - number(row, "regret")).abs() < 1e-9 && regret > -1e-9, "{row:?}");
        assert_eq!(row["kl_to_own_optimum"].is_empty(), row["method"] != "dpo", "{row:?}");
    }
    let one = oracle.iter().find(|row| row["params"] == "n=1").expect("the best of one");
    assert!(number(one, "kl").abs() < 1e-9, "the best of one is the reference");
    let optimum = rows(&lab, "optimum.csv");
    assert!(optimum.iter().all(|row| row["kind"] == "exact" && row["reliable"] == "true"));
    assert!(optimum.windows(2).all(|pair| number(&pair[0], "kl") <= number(&pair[1], "kl")));
    for figure in ["oracle", "convergence", "frontier"] {
        assert!(lab.results().join(format!("figures/{figure}.svg")).is_file(), "{figure}");
    }
    let again = lab.would_run(&[]);
    assert!(again.is_empty(), "{again:?}");
}

#[test]
fn what_cannot_be_learnt_from_is_said_before_or_when_it_is_met() {
    for (methods, message) in [
        ("[method.ppo]\ntarget_kl = 0.0", "`target_kl` must be greater than 0"),
        ("[method.dpo]\nsamples_from = \"population\"", "only [task.oracle] has a population"),
        ("[method.ppo]\nreward = \"none\"", "unknown value `none`"),
        ("[method.ppo_gt]\nreward = \"learned\"", "`ppo_gt` is PPO on the true reward"),
        ("[method.dpo]\ndivergence = \"alpha\"\ndivergence_alpha = 1.5", "`divergence_alpha` must lie in [0, 1]"),
        ("[method.kto]\ncomparisons = 1\ndata = \"one-of-pair\"", "is undesirable"),
    ] {
        let output = with(methods).lab(&["run", "study.toml"]);
        assert!(!output.status.success() && stderr(&output).contains(message), "{methods}: {}", stderr(&output));
    }
}
