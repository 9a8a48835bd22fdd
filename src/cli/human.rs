//! `dpo-lab human`

use super::StudyArguments;
use super::status::studies;
use super::study::{Prepared, prepare};
use crate::error::{Doing, Error, Exit, Result};
use crate::human::{self, AnswerFile, Comparison, JudgeVerdicts, Key};
use crate::judges::Subject;
use crate::plan::{PromptSet, Work};
use crate::resolve::Fetch;
use crate::stages::{JudgedRow, compared, csv_bytes, read_csv};
use crate::stats::{JudgedPair, Outcome};
use crate::store::{State, Store, write_atomically};
use burn::tensor::Device;
use clap::{Args, Subcommand};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct Human {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write blinded packets of pairs for people to judge
    Export(Export),
    /// Read their answers back: win rates, and how far people and judges agree
    Import(Import),
}

#[derive(Debug, Args)]
struct Export {
    /// Study whose completions are compared
    name: String,
    /// Where packets and key go; results/STUDY/human unless given
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Pairs of each run and temperature, at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    items: usize,
    /// Sampling temperatures; the lowest of the study unless given
    #[arg(long, value_name = "T")]
    temperature: Vec<f64>,
    /// What completions are compared with, as in winrate.csv; the first of the study's baselines unless given
    #[arg(long, value_name = "NAME")]
    baseline: Option<String>,
    /// Share of the items that two people judge
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = share)]
    double: f64,
    #[command(flatten)]
    study: StudyArguments,
}

#[derive(Debug, Args)]
struct Import {
    /// Study that the packets are of
    name: String,
    /// Answer files that raters sent back
    #[arg(required = true)]
    answers: Vec<PathBuf>,
    /// The key.json beside the packets; that of results/STUDY/human unless given
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    study: StudyArguments,
}

fn share(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "give a number from 0 to 1".to_owned())?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("give a number from 0 to 1".to_owned()) }
}

impl Human {
    pub(super) fn run(self) -> Result<Exit> {
        match self.verb {
            Verb::Export(export) => export.run(),
            Verb::Import(import) => import.run(),
        }
    }
}

/// The study as its last run planned it.
fn reopen(name: &String, arguments: &StudyArguments, further: &[String]) -> Result<Prepared> {
    let saved = studies(&arguments.results, std::slice::from_ref(name))?;
    let saved = saved.first().ok_or_else(|| Error::Other(format!("there is no study {name}")))?;
    let mut arguments = arguments.clone();
    arguments.set = saved.overrides.iter().chain(further).chain(&arguments.set).cloned().collect();
    let file = arguments.results.results.join(&saved.study).join(&saved.experiment);
    prepare(&file, &arguments, Fetch::No)
}

impl Export {
    fn run(self) -> Result<Exit> {
        // What is compared does not depend on the judge, and one that costs nothing shows it where the study has none.
        let mut prepared = reopen(&self.name, &self.study, &[])?;
        if prepared.study.judges.is_empty() {
            prepared = reopen(&self.name, &self.study, &["judge.length={}".to_owned()])?;
        }
        let store = Store::open(&self.study.results.results)?;
        let (comparisons, subject) = self.comparisons(&prepared, &store)?;
        let out = self.out.clone().unwrap_or_else(|| prepared.folder.join("human"));
        let key = out.join("key.json");
        if key.exists() {
            let what = format!("{} is there already, and answers to its packets need it", key.display());
            return Err(Error::Usage(format!("error: {what}\nhelp: give another folder with --out, or remove that one")));
        }
        let (packets, keys) = human::packets(&comparisons, self.double, prepared.study.seed);
        for (path, bytes) in human::files(&packets, &keys, subject)? {
            let path = out.join(path);
            let folder = path.parent().unwrap_or(&out);
            std::fs::create_dir_all(folder).doing("create", folder)?;
            write_atomically(&path, &bytes)?;
        }
        say!("{} pairs in {} packets: {}", keys.items.len(), packets.len(), out.join("packets").display());
        say!("keep {} to yourself: it says who wrote what", key.display());
        Ok(Exit::Done)
    }

    /// Pairs of the last checkpoints of the selected runs.
    fn comparisons(&self, prepared: &Prepared, store: &Store) -> Result<(Vec<Comparison>, Subject)> {
        let study = &prepared.study;
        let lowest = study.evaluation.temperature.iter().copied().min_by(f64::total_cmp);
        let temperatures = if self.temperature.is_empty() { lowest.into_iter().collect() } else { self.temperature.clone() };
        let baselines: Vec<String> = study.baselines().into_iter().map(|(name, _)| name).collect();
        let baseline = self.baseline.clone().or_else(|| baselines.first().cloned()).unwrap_or_default();
        if !baselines.contains(&baseline) {
            let known = baselines.join(", ");
            return Err(Error::Usage(format!(
                "error: the study compares with {known}, not with {baseline}\nhelp: set evaluation.baseline=[\"{baseline}\"], with --set"
            )));
        }
        let (mut comparisons, mut found) = (Vec::new(), Subject::Dialogue);
        for (run, plan) in study.runs.iter().zip(&prepared.plan.runs).filter(|(run, _)| prepared.selected.contains(&run.name)) {
            for judged in plan.judged.iter().filter(|judged| judged.judge == 0 && judged.baseline == baseline) {
                let drawn = &plan.drawn[judged.drawn];
                let wanted = drawn.last && drawn.set == PromptSet::HeldOut && temperatures.contains(&drawn.temperature);
                let Some(stage) = prepared.plan.stage(&judged.key).filter(|_| wanted) else { continue };
                if stage.inputs.values().any(|key| store.state(key) != State::Present) {
                    continue;
                }
                if let Work::Judge { subject, .. } = &stage.work {
                    found = *subject;
                }
                let compared = compared(store, stage, &Device::flex())?;
                let of_pair = |pair: &crate::stages::Pair| Comparison {
                    study: study.name.clone(),
                    run: run.name.clone(),
                    method: run.method.name().to_owned(),
                    step: drawn.step,
                    temperature: drawn.temperature,
                    prompt_index: pair.prompt,
                    prompt: compared.prompts[pair.prompt].text.clone(),
                    baseline: baseline.clone(),
                    policy_text: pair.completion.text.clone(),
                    baseline_text: pair.baseline.text.clone(),
                };
                let first = compared.pairs.iter().filter(|pair| pair.sample == 0);
                comparisons.extend(first.take(self.items).map(of_pair));
            }
        }
        if comparisons.is_empty() {
            let what = format!(
                "{} has no completions in the store that could be compared with {baseline} at {temperatures:?}",
                study.name
            );
            return Err(Error::Usage(format!("error: {what}\nhelp: dpo-lab run {} makes them", prepared.experiment)));
        }
        Ok((comparisons, found))
    }
}

impl Import {
    fn run(self) -> Result<Exit> {
        let prepared = reopen(&self.name, &self.study, &[])?;
        let store = Store::open(&self.study.results.results)?;
        let path = self.key.clone().unwrap_or_else(|| prepared.folder.join("human").join("key.json"));
        let key = Key::read(&path, &std::fs::read(&path).doing("read", &path)?)?;
        let read = |path: &PathBuf| {
            let bytes = std::fs::read(path).doing("read", path)?;
            Ok(AnswerFile { path: path.clone(), bytes })
        };
        let files = self.answers.iter().map(read).collect::<Result<Vec<_>>>()?;
        let imported = human::import(&files, &key)?;
        for note in imported.notes() {
            tell!("{note}");
        }
        let rows = human::summary(&imported.answers, &key, &verdicts(&prepared, &store, &key)?);
        let bytes = csv_bytes(&rows)?;
        let file = prepared.folder.join("human.csv");
        write_atomically(&file, &bytes)?;
        say!("{}", String::from_utf8_lossy(&bytes).trim_end());
        tell!("{}; dpo-lab report {} shows it", file.display(), self.name);
        Ok(Exit::Done)
    }
}

/// What the study's judges say of the items of a key.
fn verdicts(prepared: &Prepared, store: &Store, key: &Key) -> Result<Vec<JudgeVerdicts>> {
    let place = |run: &str, step: u64, temperature: f64, baseline: &str, prompt: usize| {
        (run.to_owned(), step, temperature.to_bits(), baseline.to_owned(), prompt)
    };
    let ids: BTreeMap<_, &String> = key
        .items
        .iter()
        .map(|(id, item)| (place(&item.run, item.step, item.temperature, &item.baseline, item.prompt_index), id))
        .collect();
    let of_judge = |(at, judge): (usize, &crate::spec::Judge)| {
        let mut outcomes: BTreeMap<String, Outcome> = BTreeMap::new();
        for plan in &prepared.plan.runs {
            for judged in plan.judged.iter().filter(|judged| judged.judge == at && store.state(&judged.key) == State::Present) {
                let drawn = &plan.drawn[judged.drawn];
                if drawn.set != PromptSet::HeldOut {
                    continue;
                }
                let rows: Vec<JudgedRow> = read_csv(&store.path(&judged.key).join(Path::new("verdicts.csv")))?;
                for row in rows.iter().filter(|row| row.sample == 0) {
                    let id = ids.get(&place(&plan.name, drawn.step, drawn.temperature, &judged.baseline, row.prompt));
                    if let (Some(id), Some(shown_first), Some(shown_second)) = (id, row.shown_first, row.shown_second) {
                        let pair = JudgedPair { prompt: row.prompt, shown_first, shown_second, length_difference: 0.0 };
                        outcomes.insert((*id).clone(), pair.outcome());
                    }
                }
            }
        }
        Ok(JudgeVerdicts { judge: judge.name.clone(), outcomes })
    };
    prepared.study.judges.iter().enumerate().map(of_judge).collect()
}
