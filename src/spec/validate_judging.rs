//! Judges and baselines that cannot work with a study.

use super::judging::Baseline;
use super::study::Study;
use super::tasks::Task;
use super::validate::Checker;
use crate::judges::Source;
use crate::methods::Role;

/// What judges and the methods that are only judged need.
pub(super) fn judging(study: &Study, check: &mut Checker<'_>) {
    let has_data = matches!(study.task, Task::Summarisation(_) | Task::Dialogue(_));
    for (name, baseline) in study.baselines() {
        match baseline {
            Baseline::Data => {
                let what = "this task's data has no completions to compare with";
                check.that(has_data, "evaluation.baseline", what, "use [\"sft\"], or a run's label");
            }
            Baseline::Sft => {}
            Baseline::Run { run, temperature } => {
                let labels: Vec<&str> = study.runs.iter().map(|run| run.label()).collect();
                let what = format!("`{name}` is neither \"reference\", \"chosen\", \"sft\" nor a run");
                let known = study.run(&run).is_some();
                check.that(known, "evaluation.baseline", &what, &format!("the runs are {}", labels.join(", ")));
                let at = temperature.is_none_or(|at| study.evaluation.temperature.contains(&at));
                let what = format!("`{name}`: evaluation.temperature does not have this temperature");
                check.that(at, "evaluation.baseline", &what, "add it there");
                let pooled = study.run(&run).is_some_and(|run| matches!(run.method.role(), Role::BestOfN { .. }));
                check.that(!pooled, "evaluation.baseline", "Best-of-N is no baseline", "name another run");
            }
        }
    }
    for judge in &study.judges {
        let key = format!("{}.{}", judge.table, judge.kind.name());
        let all_data = study.baselines().iter().all(|(_, baseline)| *baseline == Baseline::Data);
        let itself = judge.kind.settings().measures_by_reference() && all_data;
        let what = "it measures by the data's own completion, which cannot be its baseline as well";
        check.that(!itself, &key, what, "add \"sft\" or a run to evaluation.baseline");
        let known = study.task.reward().is_some() || !judge.kind.settings().needs_truth();
        check.that(known, &key, "no true reward of this corpus is known", "use another judge");
        for (_, source) in judge.kind.settings().models() {
            let learned = source != Source::LearnedReward || study.reward_model.is_some();
            check.that(
                learned,
                &key,
                "this study learns no reward",
                "name a folder as `model`, or add [reward_model] to the study",
            );
            if let Source::Named(name) = source {
                let what = format!("`{name}` is trained by a study, and cannot judge one");
                check.that(
                    !name.starts_with("builtin:"),
                    &key,
                    &what,
                    "name a folder in Hugging Face layout, or \"hub:OWNER/NAME\"",
                );
            }
            if let Source::Run(name) = source {
                let labels: Vec<&str> = study.runs.iter().map(|run| run.label()).collect();
                let trained = study.run(name).is_some_and(|run| run.method.trains());
                let what = format!("`{name}` is no run of this study that trains a policy");
                check.that(trained, &format!("{key}.run"), &what, &format!("the runs are {}", labels.join(", ")));
            }
        }
    }
    let prompting = study.runs.iter().any(|run| matches!(run.method.role(), Role::Prompting { .. }));
    let what = "examples of the task are summaries or dialogues";
    check.that(!prompting || has_data, "method.prompting", what, "remove it: this task has no prompts to stand before");
    let only_judged = prompting && study.judges.is_empty();
    check.that(!only_judged, "method.prompting", "nothing measures it without a judge", "add [judge.true] or another");
    let among = |at: &f64| study.evaluation.temperature.contains(at);
    let what = "must be among evaluation.temperature";
    let fine = study.evaluation.checkpoint_temperature.iter().all(among);
    check.that(fine, "evaluation.checkpoint_temperature", what, "add it there, or remove it here");
}
