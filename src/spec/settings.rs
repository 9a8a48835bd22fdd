//! Every value that a run was made with, in the layout of an experiment file: after defaults, `extends`, `--set` and sweeps.

use super::run::Run;
use super::study::Study;
use super::tasks::Task;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The values of one run. What a method's table may hold stands in `method.NAME`, also where `[training]` says it; what has no
/// value is left out.
pub fn settings(study: &Study, run: &Run) -> Value {
    let (base, sft) = (&study.base, &study.sft);
    let judges: Map<String, Value> = study.judges.iter().map(|judge| (judge.name.clone(), json!(judge.kind))).collect();
    let method = json!(run.method).get(run.method.name()).cloned().unwrap_or_default();
    let seed = json!({ "seed": run.seed });
    let method = if run.method.trains() {
        merged([method, seed, json!(run.optimisation), json!(run.size), json!(run.data)])
    } else {
        merged([method, seed])
    };
    let mut all = json!({
        "name": study.name,
        "seed": study.seed,
        "model": study.model,
        "base": merged([json!(base.optimisation), json!(base.size)]),
        "task": { study.task.name(): task(&study.task) },
        "sft": merged([json!(sft.optimisation), json!(sft.size)]),
        "reward_model": study.reward_model.as_ref().map(|it| merged([json!(it.optimisation), json!(it.size)])),
        "evaluation": study.evaluation,
        "judge": judges,
        "training": { "keep": study.keep },
        "method": { run.method.name(): method },
    });
    drop_nulls(&mut all);
    all
}

/// The task's keys as its table has them.
fn task(task: &Task) -> Value {
    let lengths = |[prompt, completion]: [usize; 2]| json!({ "max_prompt_tokens": prompt, "max_completion_tokens": completion });
    match task {
        Task::Sentiment(task) => json!(task),
        Task::Dialogue(task) => json!(task),
        Task::Oracle(task) => json!(task),
        Task::Summarisation(task) => merged([json!(task), lengths(task.max_tokens)]),
    }
}

/// Dotted key and value of everything in `settings`, as `--set` takes them.
pub fn flat(settings: &Value) -> BTreeMap<String, Value> {
    fn walk(path: &str, value: &Value, found: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    walk(&if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, value, found);
                }
            }
            _ => drop(found.insert(path.to_owned(), value.clone())),
        }
    }
    let mut found = BTreeMap::new();
    walk("", settings, &mut found);
    found
}

/// Several tables as one.
fn merged<const N: usize>(tables: [impl Serialize; N]) -> Value {
    let fields = tables.into_iter().filter_map(|table| json!(table).as_object().cloned());
    Value::Object(fields.flatten().collect())
}

fn drop_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, value| !value.is_null());
        fields.values_mut().for_each(drop_nulls);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_what_the_file_its_defaults_and_its_overrides_say_together() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("study.toml");
        let text = "name = \"small\"\n[task.sentiment]\n[training]\nsteps = 7\n[method.dpo]\nbeta = [0.1, 1.0]\n[method.best_of_n]\nn = 4\n";
        std::fs::write(&file, text).expect("written");
        let study = crate::spec::load(&file, &["task.sentiment.prompts=40".to_owned()]).expect("a study").study;
        let of = |run: usize| flat(&settings(&study, &study.runs[run]));
        let dpo = of(1);
        let number = |key: &str| dpo.get(key).and_then(Value::as_f64);
        assert_eq!(number("method.dpo.beta"), Some(1.0));
        assert_eq!(number("method.dpo.steps"), Some(7.0));
        assert_eq!(number("method.dpo.seed"), Some(0.0));
        assert_eq!(number("method.dpo.adam_beta1"), Some(study.runs[1].optimisation.adam_beta1));
        assert_eq!(number("task.sentiment.prompts"), Some(40.0));
        assert_eq!(dpo.get("task.sentiment.labels"), Some(&json!("hard")));
        assert_eq!(number("base.steps"), Some(study.base.size.steps as f64));
        assert!(!dpo.contains_key("model.lora"));
        let untrained: Vec<String> = of(2).into_keys().filter(|key| key.starts_with("method.")).collect();
        assert_eq!(untrained, ["method.best_of_n.n", "method.best_of_n.seed"]);
    }
}
