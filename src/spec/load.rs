//! Reads an experiment file: what was written becomes what is meant, here and nowhere else.

use super::executor::executors;
use super::judging;
use super::run::{Run, TrainingData, TrainingSize};
use super::source::{Problem, Sources, Span};
use super::study::{LanguageModelTraining, Optimisation, RewardModelTraining, Study};
use super::sweep::{self, Point, Sweep};
use super::task::task;
use super::tree::{self, Table};
use super::{paper, validate, validate_training};
use crate::error::{Doing, Error, Result};
use crate::methods::Method;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use toml::de::DeValue;

const DEFAULTS: &str = include_str!("defaults.toml");

/// A study, and the texts that it was read from.
pub struct Loaded {
    /// The study.
    pub study: Study,
    /// The folder of the experiment file: paths in it are relative to this.
    pub folder: PathBuf,
    /// `--set` overrides, as typed.
    pub overrides: Vec<String>,
    sources: Sources,
    tables: Table,
}

impl Loaded {
    /// A mistake in the value at a dotted path, found after loading, rendered as all others are.
    pub fn mistake(&self, path: &str, what: impl Into<String>, hint: &str) -> Error {
        let span = tree::get(&self.tables, path).map(|value| value.span());
        self.sources.render(&[Problem { span, what: what.into(), hint: Some(hint.to_owned()) }])
    }
}

/// Reads FILE with `--set` overrides (`KEY=TOML value`) on top.
pub fn load(file: &Path, overrides: &[String]) -> Result<Loaded> {
    let mut sources = Sources::default();
    let (study, tables) = build(&mut sources, file, overrides).map_err(|failure| match failure {
        Failure::Problems(problems) => sources.render(&problems),
        Failure::Io(error) => error,
    })?;
    let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(Loaded { study, folder: folder.to_owned(), overrides: overrides.to_vec(), sources, tables })
}

pub(super) enum Failure {
    Problems(Vec<Problem>),
    Io(Error),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Failure::Problems(vec![problem])
    }
}

fn build(sources: &mut Sources, file: &Path, overrides: &[String]) -> Result<(Study, Table), Failure> {
    let mut written = read_file(sources, file, &mut Vec::new())?;
    for text in overrides {
        set(sources, &mut written, text)?;
    }
    let has_reward_model = written.contains_key("reward_model");
    let deviations = paper::deviations(sources, &written);
    let mut tables = tree::parse(sources, "defaults.toml", DEFAULTS)?;
    tree::merge(&mut tables, written);
    let mut problems = Vec::new();
    let study = assemble(tables.clone(), has_reward_model, deviations, &mut problems)?;
    if problems.is_empty() { Ok((study, tables)) } else { Err(Failure::Problems(problems)) }
}

/// A file and, below it, what it extends.
fn read_file(sources: &mut Sources, file: &Path, parents: &mut Vec<PathBuf>) -> Result<Table, Failure> {
    let text = std::fs::read_to_string(file).doing("read", file).map_err(|error| {
        Failure::Io(Error::Usage(format!(
            "error: {error}\nhelp: give the path of an experiment file, for example experiments/sentiment.toml"
        )))
    })?;
    let mut table = tree::parse(sources, &file.display().to_string(), &text)?;
    let Some(extends) = table.remove("extends") else { return Ok(table) };
    let Some(parent) = extends.get_ref().as_str() else {
        return Err(Problem::at(extends.span(), "`extends` must be the path of an experiment file").into());
    };
    let parent = file.parent().unwrap_or(Path::new(".")).join(parent);
    parents.push(file.to_owned());
    if parents.iter().any(|seen| seen.canonicalize().ok() == parent.canonicalize().ok() && seen.exists() && parent.exists()) {
        return Err(Problem::at(extends.span(), "`extends` goes in a circle").into());
    }
    if !parent.is_file() {
        return Err(Problem::at(extends.span(), format!("there is no file {}", parent.display()))
            .hint("`extends` is relative to the file that says it")
            .into());
    }
    let mut below = read_file(sources, &parent, parents)?;
    tree::merge(&mut below, table);
    Ok(below)
}

/// Applies `--set KEY=VALUE`.
fn set(sources: &mut Sources, table: &mut Table, text: &str) -> Result<(), Failure> {
    let Some((key, value)) = text.split_once('=') else {
        return Err(Failure::Io(Error::Usage(format!(
            "error: --set {text} has no `=`\nhelp: write --set KEY=VALUE with a TOML value, for example --set method.dpo.beta=0.1"
        ))));
    };
    let over = tree::parse(sources, "--set", &format!("{} = {}", key.trim(), value.trim()))
        .map_err(|problem| problem.hint("the value is TOML: numbers bare, strings in \"quotes\", lists in [brackets]"))?;
    tree::merge(table, over);
    Ok(())
}

fn assemble(
    mut tables: Table,
    has_reward_model: bool,
    deviations: Vec<super::Deviation>,
    problems: &mut Vec<Problem>,
) -> Result<Study, Failure> {
    let everything = tables.clone();
    let whole = 0..0;
    let name = required_name(&mut tables)?;
    let seed = scalar::<u64>(&mut tables, "seed")?;
    let (model, at) = tree::take_table(&mut tables, "model")?;
    let model = tree::read(model, at.unwrap_or(whole.clone()))?;
    let base = language_model(&mut tables, "base")?;
    let sft = language_model(&mut tables, "sft")?;
    let (mut reward_model, at) = tree::take_table(&mut tables, "reward_model")?;
    let at = at.unwrap_or(whole.clone());
    let optimisation = tree::read(split(&mut reward_model, Optimisation::KEYS), at.clone())?;
    let reward_model = RewardModelTraining { optimisation, size: tree::read(reward_model, at)? };
    let task = task(&mut tables, seed)?;
    let (evaluation, at) = tree::take_table(&mut tables, "evaluation")?;
    let evaluation = tree::read(evaluation, at.unwrap_or(whole.clone()))?;
    let judges = judging::judges(&mut tables, problems)?;
    let executors = executors(&mut tables)?;
    let (tracking, at) = tree::take_table(&mut tables, "tracking")?;
    let tracking = tree::read(tracking, at.unwrap_or(whole.clone()))?;
    let (mut training, training_at) = tree::take_table(&mut tables, "training")?;
    let keep = scalar(&mut training, "keep")?;
    let (sweep_table, _) = tree::take_table(&mut tables, "sweep")?;
    let sweep = sweep::read(sweep_table)?;
    let (methods, methods_at) = tree::take_table(&mut tables, "method")?;
    if let Some((key, _)) = tables.iter().next() {
        const KNOWN: &[&str] = &[
            "name",
            "seed",
            "extends",
            "model",
            "base",
            "task",
            "sft",
            "reward_model",
            "training",
            "method",
            "evaluation",
            "executor",
            "judge",
            "also_judge",
            "sweep",
            "tracking",
        ];
        return Err(Problem::at(key.span(), format!("unknown key `{}`", key.get_ref()))
            .hint(tree::nearest(key.get_ref(), KNOWN))
            .into());
    }
    let runs = runs(&methods, &training, training_at.unwrap_or(whole), &sweep, problems)?;
    if runs.is_empty() && problems.is_empty() {
        let problem = Problem { span: methods_at, what: "this study has no runs".into(), hint: None };
        problems.push(problem.hint(format!("add a method, for example [method.dpo]; known: {}", Method::NAMES.join(", "))));
    }
    let needs_reward = runs.iter().any(|run| run.method.needs_learned_reward());
    let reward_model = (has_reward_model || needs_reward).then_some(reward_model);
    let study = Study {
        name,
        seed,
        model,
        base,
        sft,
        task,
        reward_model,
        evaluation,
        judges,
        keep,
        tracking,
        runs,
        executors,
        deviations,
    };
    validate::study(&study, &everything, problems);
    Ok(study)
}

fn required_name(tables: &mut Table) -> Result<String, Failure> {
    let Some(value) = tables.remove("name") else {
        let problem = Problem { span: None, what: "the experiment file has no `name`".into(), hint: None };
        return Err(problem.hint("add a first line such as name = \"sentiment\": results go to results/NAME").into());
    };
    let name = value.get_ref().as_str().unwrap_or_default().to_owned();
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(fine) {
        return Err(Problem::at(value.span(), "`name` must be a string of letters, digits, `-`, `_` and `.`")
            .hint("it becomes a folder under results/")
            .into());
    }
    Ok(name)
}

fn scalar<T: DeserializeOwned>(tables: &mut Table, name: &str) -> Result<T, Failure> {
    let Some((key, value)) = tables.remove_entry(name) else {
        return Err(Problem { span: None, what: format!("`{name}` is missing"), hint: None }.into());
    };
    let span = value.span();
    T::deserialize(toml::de::ValueDeserializer::from(value))
        .map_err(|error| tree::explain(&error, key.span().start..span.end).into())
}

fn language_model(tables: &mut Table, name: &str) -> Result<LanguageModelTraining, Failure> {
    let (mut table, at) = tree::take_table(tables, name)?;
    let at = at.unwrap_or(0..0);
    let optimisation = tree::read(split(&mut table, Optimisation::KEYS), at.clone())?;
    Ok(LanguageModelTraining { optimisation, size: tree::read(table, at)? })
}

/// Moves the entries with these keys into a table of their own.
pub(super) fn split(table: &mut Table, keys: &[&str]) -> Table {
    keys.iter().filter_map(|key| table.remove_entry(*key)).collect()
}

fn runs(
    methods: &Table,
    training: &Table,
    training_at: Span,
    sweep: &Sweep,
    problems: &mut Vec<Problem>,
) -> Result<Vec<Run>, Failure> {
    let mut named: Vec<(String, Point)> = Vec::new();
    // Tables come sorted by key; runs follow the file's order, which spans remember.
    let mut in_order: Vec<_> = methods.iter().collect();
    in_order.sort_by_key(|(key, _)| key.span().start);
    for (name, value) in in_order {
        let variants: Vec<&Table> = match value.get_ref() {
            DeValue::Table(table) => vec![table],
            DeValue::Array(items) => items.iter().filter_map(|item| item.get_ref().as_table()).collect(),
            _ => Vec::new(),
        };
        if variants.is_empty() {
            return Err(Problem::at(value.span(), format!("`method.{}` must be a table", name.get_ref()))
                .hint(format!("write [method.{}], or [[method.{0}]] for several variants", name.get_ref()))
                .into());
        }
        if !Method::NAMES.contains(&name.get_ref().as_ref()) {
            let hint = tree::nearest(name.get_ref(), Method::NAMES);
            return Err(Problem::at(name.span(), format!("unknown method `{}`", name.get_ref())).hint(hint).into());
        }
        let differing = differing_keys(&variants);
        for variant in variants {
            let mut table = training.clone();
            if Method::UNTRAINED.contains(&name.get_ref().as_ref()) {
                first_of_each_axis(&mut table);
            }
            tree::merge(&mut table, variant.clone());
            for mut point in sweep::expand(name.get_ref(), &table, name.span(), sweep)? {
                // A variant that leaves a key to its default is told apart by those that do not.
                point.axes.extend(differing.iter().filter(|key| variant.contains_key(key.as_str())).cloned());
                named.push((name.get_ref().to_string(), point));
            }
        }
    }
    let mut seen = std::collections::BTreeMap::new();
    let mut runs = Vec::new();
    for (method, point) in named {
        let repeated = point.axes.first().and_then(|key| point.table.get(key.as_str()));
        let span = repeated.map_or(point.span.clone(), |value| value.span());
        let (run, found) = run(&method, point, training_at.clone())?;
        problems.extend(found);
        if seen.insert(run.name.clone(), ()).is_some() {
            problems.push(
                Problem::at(span, format!("two runs are the same: {}", run.name))
                    .hint("remove the repeated value, or give the runs different seeds"),
            );
        }
        runs.push(run);
    }
    Ok(runs)
}

/// Sweeps of `[training]` must not multiply runs that do not train.
fn first_of_each_axis(table: &mut Table) {
    for (_, value) in table.iter_mut() {
        if let Some(first) = value.get_ref().as_array().and_then(|items| items.iter().next().cloned()) {
            *value = first;
        }
    }
}

/// Keys that tell the variants of a `[[method.NAME]]` apart: those whose values differ.
fn differing_keys(variants: &[&Table]) -> Vec<String> {
    let keys: BTreeSet<&str> = variants.iter().flat_map(|table| table.keys()).map(|key| key.get_ref().as_ref()).collect();
    let text = |table: &Table, key: &str| table.get(key).map(|value| sweep::literal(value.get_ref()));
    let differs = |key: &str| variants.iter().any(|table| text(table, key) != text(variants[0], key));
    // A preset of its own names all that goes with it.
    let presets: BTreeSet<Option<String>> = variants.iter().map(|table| text(table, "preset")).collect();
    if presets.len() == variants.len() && variants.len() > 1 {
        return vec!["preset".to_owned()];
    }
    keys.into_iter().filter(|key| differs(key)).map(str::to_owned).collect()
}

fn run(method: &str, point: Point, training_at: Span) -> Result<(Run, Vec<Problem>), Failure> {
    let mut table = point.table;
    let everything = table.clone();
    let seed = if table.contains_key("seed") { scalar::<u64>(&mut table, "seed")? } else { 0 };
    let optimisation: Optimisation = tree::read(split(&mut table, Optimisation::KEYS), training_at.clone())?;
    let size: TrainingSize = tree::read(split(&mut table, TrainingSize::KEYS), training_at.clone())?;
    let data: TrainingData = tree::read(split(&mut table, TrainingData::KEYS), training_at)?;
    let known = [Optimisation::KEYS, TrainingSize::KEYS, TrainingData::KEYS, &["seed"]].concat();
    let own = Method::read(method, table, point.span.clone()).map_err(|problem| also_known(problem, &known))?;
    let axes: BTreeSet<String> = point.axes.into_iter().filter(|key| key != "seed").collect();
    let written = |key: String| {
        let value = sweep::literal(everything.get(key.as_str())?.get_ref());
        Some((key, value))
    };
    let swept: Vec<(String, String)> = axes.into_iter().filter_map(written).collect();
    let values = if own.trains() && data == TrainingData::default() {
        // Runs that were named before there was a choice of data keep their names.
        serde_json::json!([own, optimisation, size, seed])
    } else if own.trains() {
        serde_json::json!([own, optimisation, size, seed, data])
    } else {
        serde_json::json!([own, seed])
    };
    let digest = blake3::hash(values.to_string().as_bytes());
    let labels: String = swept.iter().map(|(key, value)| format!("-{}{value}", key.replace('_', ""))).collect();
    let name = format!("{method}{labels}-seed{seed}-{}", &digest.to_hex()[..4]);
    let at = |key: &str| everything.get(key).map_or(point.span.clone(), |value| value.span());
    let mut found: Vec<Problem> =
        own.problems().into_iter().map(|(key, what, hint)| Problem::at(at(key), what).hint(hint)).collect();
    found.extend(validate_training::optimisation(&optimisation, &everything, &point.span));
    found.extend(validate_training::training(&size, &everything, &point.span));
    found.extend(validate_training::data(&data, &everything, &point.span));
    Ok((Run { name, method: own, optimisation, size, data, seed, swept }, found))
}

/// A table's own keys are few; a typo of a key that is read apart from them deserves its hint too.
pub(super) fn also_known(problem: Problem, known: &[&str]) -> Problem {
    let Some(unknown) = problem.what.strip_prefix("unknown key `").and_then(|rest| rest.strip_suffix('`')) else {
        return problem;
    };
    let hint = tree::nearest(unknown, known);
    if hint.starts_with("did you mean") && !problem.hint.as_ref().is_some_and(|hint| hint.starts_with("did you mean")) {
        return Problem { hint: Some(hint), ..problem };
    }
    problem
}
