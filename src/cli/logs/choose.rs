//! Which stages a name means: a pure function of the studies' last plans.

use crate::plan::{Saved, SavedStage};
use std::collections::HashSet;

/// What a name means.
#[derive(Debug, PartialEq)]
pub(super) enum Choice<'a> {
    /// Stages of one study, in the order in which they run.
    One(&'a Saved, Vec<&'a SavedStage>),
    /// Nothing.
    None,
    /// Any of these names.
    Several(Vec<String>),
}

/// A run or a stage that a name may mean.
struct Candidate<'a> {
    saved: &'a Saved,
    name: &'a str,
    /// The run's label; nothing for a stage.
    run: Option<&'a str>,
}

/// What `name` means: a run or a stage of just this name, or else the only one that starts with it, runs before stages. With `all`,
/// a run has the stages that belong to no run alone, as well.
pub(super) fn choose<'a>(studies: &'a [Saved], name: &str, all: bool) -> Choice<'a> {
    let runs = || {
        let of = |saved: &'a Saved| saved.runs.iter().map(move |run| Candidate { saved, name: run, run: Some(label(run)) });
        studies.iter().flat_map(of)
    };
    let stages = || {
        let of = |saved: &'a Saved| saved.stages.iter().map(move |stage| Candidate { saved, name: &stage.label, run: None });
        studies.iter().flat_map(of)
    };
    let is_same = |candidate: &Candidate<'_>| {
        let name = within(candidate.saved, name);
        candidate.name == name || candidate.run == Some(name)
    };
    let starts = |candidate: &Candidate<'_>| candidate.name.starts_with(within(candidate.saved, name));
    let mut found: Vec<Candidate<'a>> = runs().chain(stages()).filter(is_same).collect();
    if found.is_empty() {
        found = runs().filter(starts).collect();
    }
    if found.is_empty() {
        found = stages().filter(starts).collect();
    }
    match found.as_slice() {
        [] => Choice::None,
        [one] => Choice::One(one.saved, stages_of(one, all)),
        several => {
            Choice::Several(several.iter().map(|candidate| format!("{}/{}", candidate.saved.study, candidate.name)).collect())
        }
    }
}

/// A run's name without its digest, which its stages' labels do not have.
fn label(run: &str) -> &str {
    run.rsplit_once('-').map_or(run, |(label, _)| label)
}

/// A name without the study that it starts with.
fn within<'n>(saved: &Saved, name: &'n str) -> &'n str {
    name.strip_prefix(saved.study.as_str()).and_then(|rest| rest.strip_prefix('/')).unwrap_or(name)
}

fn stages_of<'a>(candidate: &Candidate<'a>, all: bool) -> Vec<&'a SavedStage> {
    let labels: HashSet<&str> = candidate.saved.runs.iter().map(|run| label(run)).collect();
    let wanted = |stage: &&SavedStage| match candidate.run {
        None => stage.label == candidate.name,
        Some(run) => match owner(&stage.label, &labels) {
            Some(owner) => owner == run,
            None => all,
        },
    };
    candidate.saved.stages.iter().filter(wanted).collect()
}

/// The run that a stage belongs to: the one that its label has as a word, but not as a judge's baseline.
fn owner<'l>(stage: &'l str, labels: &HashSet<&str>) -> Option<&'l str> {
    let own = stage.split_once(" against ").map_or(stage, |(own, _)| own);
    own.split([' ', ',']).find(|word| labels.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Key;
    use std::collections::BTreeMap;

    fn saved(study: &str, runs: &[&str], stages: &[&str]) -> Saved {
        let stage = |label: &&str| {
            let key = Key::of(label);
            let (label, kind) = ((*label).to_owned(), "train".to_owned());
            SavedStage { label, kind, key, parameters: serde_json::Value::Null, inputs: BTreeMap::new() }
        };
        Saved {
            study: study.to_owned(),
            runs: runs.iter().map(|run| (*run).to_owned()).collect(),
            stages: stages.iter().map(stage).collect(),
            ..Saved::default()
        }
    }

    fn small() -> Vec<Saved> {
        let stages = [
            "sft",
            "train dpo-seed1 0-2",
            "train dpo-seed11 0-2",
            "generate dpo-seed1 2, out of distribution",
            "true of dpo-seed11 2 at temperature 1 against dpo-seed1",
            "evaluate reference 0",
        ];
        vec![saved("small", &["dpo-seed1-aaaa", "dpo-seed11-bbbb", "sft-seed0-cccc"], &stages)]
    }

    fn labels(studies: &[Saved], name: &str, all: bool) -> Vec<String> {
        match choose(studies, name, all) {
            Choice::One(_, stages) => stages.iter().map(|stage| stage.label.clone()).collect(),
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn a_run_has_its_own_stages_and_no_others() {
        let own = ["train dpo-seed1 0-2", "generate dpo-seed1 2, out of distribution"];
        for name in ["dpo-seed1", "dpo-seed1-aaaa", "dpo-seed1-a", "small/dpo-seed1"] {
            assert_eq!(labels(&small(), name, false), own, "{name}");
        }
        let theirs = ["train dpo-seed11 0-2", "true of dpo-seed11 2 at temperature 1 against dpo-seed1"];
        assert_eq!(labels(&small(), "dpo-seed11", false), theirs);
        assert_eq!(labels(&small(), "dpo-seed1", true), ["sft", own[0], own[1], "evaluate reference 0"]);
    }

    #[test]
    fn a_stage_is_known_by_its_label() {
        assert_eq!(labels(&small(), "sft", false), ["sft"]);
        assert_eq!(labels(&small(), "evaluate", false), ["evaluate reference 0"]);
        assert_eq!(labels(&small(), "sft-", false), Vec::<String>::new(), "this run has nothing of its own");
    }

    #[test]
    fn a_name_that_may_mean_several_is_not_guessed() {
        let several = |names: &[&str]| Choice::Several(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(choose(&small(), "dpo", false), several(&["small/dpo-seed1-aaaa", "small/dpo-seed11-bbbb"]));
        let two = [small(), vec![saved("other", &["dpo-seed1-aaaa"], &["train dpo-seed1 0-9"])]].concat();
        assert_eq!(choose(&two, "dpo-seed1", false), several(&["small/dpo-seed1-aaaa", "other/dpo-seed1-aaaa"]));
        assert_eq!(labels(&two, "other/dpo", false), ["train dpo-seed1 0-9"]);
        assert_eq!(choose(&small(), "seed1", false), Choice::None, "names are not searched");
    }
}
