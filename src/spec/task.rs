//! `[task.*]`: which task, and what its table need not say.

use super::load::{Failure, also_known, split};
use super::source::{Problem, Span};
use super::tasks::{Dialogue, Labelling, Oracle, Reward, Sentiment, Task, World};
use super::tree::{self, Table};
use serde::Deserialize;
use toml::Spanned;
use toml::de::DeValue;

/// Takes the one task out of the tables.
pub(super) fn task(tables: &mut Table, seed: u64) -> Result<Task, Failure> {
    const KNOWN: &[&str] = &["sentiment", "dialogue", "oracle"];
    let (mut table, at) = tree::take_table(tables, "task")?;
    let missing = || Problem { span: at.clone(), what: "the experiment file has no task".into(), hint: None };
    let Some((name, value)) = table.iter().next().map(|(name, value)| (name.clone(), value.clone())) else {
        return Err(missing().hint("add [task.sentiment], [task.dialogue] or [task.oracle]").into());
    };
    if !KNOWN.contains(&name.get_ref().as_ref()) {
        return Err(Problem::at(name.span(), format!("unknown task `{}`", name.get_ref()))
            .hint(tree::nearest(name.get_ref(), KNOWN))
            .into());
    }
    if table.len() > 1 {
        return Err(missing().hint("a study has one task: keep one [task.*]").into());
    }
    let span = value.span();
    match name.get_ref().as_ref() {
        "dialogue" => dialogue(&mut table, &name, span).map(Task::Dialogue),
        "oracle" => oracle(&mut table, &name, span, seed).map(Task::Oracle),
        _ => sentiment(&mut table, &name, span).map(Task::Sentiment),
    }
}

/// The keys of `[task.sentiment]` beside those of labels.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentimentKeys {
    corpus: Vec<String>,
    prefix_tokens: [usize; 2],
    prompts: usize,
    completions: usize,
    max_new_tokens: usize,
    reward: Reward,
}

fn sentiment(table: &mut Table, name: &tree::Key, span: Span) -> Result<Sentiment, Failure> {
    let (mut sentiment, _) = tree::take_table(table, "sentiment")?;
    let corpus = sentiment.get("corpus").map(|corpus| corpus.get_ref());
    let builtin = corpus.is_none_or(|corpus| corpus.as_str().is_some_and(|name| name.starts_with("builtin:")));
    let defaults = [
        ("corpus", "\"builtin:reviews\""),
        ("reward", if builtin { "\"builtin:sentiment\"" } else { "{ fit = \"linear\" }" }),
        ("prefix_tokens", "[2, 8]"),
        ("prompts", "2000"),
        ("completions", "4"),
        ("max_new_tokens", "24"),
        ("labels", "\"hard\""),
        ("reward_scale", "1.0"),
        ("label_noise", "0.0"),
    ];
    with_defaults(&mut sentiment, name, &defaults)?;
    wrap(&mut sentiment, "corpus", as_list);
    wrap(&mut sentiment, "reward", |value| {
        let span = value.span();
        let Some(name) = value.get_ref().as_str().and_then(|text| text.strip_prefix("builtin:")) else { return value };
        let inner = Spanned::new(span.clone(), DeValue::String(name.to_owned().into()));
        Spanned::new(span.clone(), DeValue::Table([(tree::key("builtin", span), inner)].into_iter().collect()))
    });
    let labelling: Labelling = tree::read(split(&mut sentiment, Labelling::KEYS), span.clone())?;
    let SentimentKeys { corpus, prefix_tokens, prompts, completions, max_new_tokens, reward } =
        tree::read(sentiment, span).map_err(|problem| also_known(problem, Labelling::KEYS))?;
    Ok(Sentiment { corpus, prefix_tokens, prompts, completions, max_new_tokens, labelling, reward })
}

/// The keys of `[task.oracle]` beside those of labels.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OracleKeys {
    vocabulary: usize,
    length: usize,
    prompts: usize,
    comparisons: usize,
}

fn oracle(table: &mut Table, name: &tree::Key, span: Span, seed: u64) -> Result<Oracle, Failure> {
    let (mut oracle, _) = tree::take_table(table, "oracle")?;
    let defaults = [
        ("vocabulary", "5"),
        ("length", "4"),
        ("prompts", "4"),
        ("comparisons", "20000"),
        ("labels", "\"bradley-terry\""),
        ("reward_scale", "1.0"),
        ("label_noise", "0.0"),
    ];
    with_defaults(&mut oracle, name, &defaults)?;
    let labelling: Labelling = tree::read(split(&mut oracle, Labelling::KEYS), span.clone())?;
    let OracleKeys { vocabulary, length, prompts, comparisons } =
        tree::read(oracle, span).map_err(|problem| also_known(problem, Labelling::KEYS))?;
    let world = World { vocabulary, length, prompts, seed };
    Ok(Oracle { reward: Reward::Oracle(world.clone()), world, comparisons, labelling })
}

fn dialogue(table: &mut Table, name: &tree::Key, span: Span) -> Result<Dialogue, Failure> {
    let (mut dialogue, _) = tree::take_table(table, "dialogue")?;
    if !dialogue.contains_key("corpus") {
        let what = "`corpus` is missing: this task has no built-in one";
        return Err(Problem::at(name.span(), what)
            .hint("name files of comparisons, for example corpus = \"data/hh_*.jsonl.gz\"")
            .into());
    }
    let defaults = [
        ("pairs", "0"),
        ("multi_turn", "false"),
        ("chat", "false"),
        ("max_prompt_tokens", "256"),
        ("max_completion_tokens", "256"),
    ];
    with_defaults(&mut dialogue, name, &defaults)?;
    wrap(&mut dialogue, "corpus", as_list);
    Ok(tree::read(dialogue, span)?)
}

/// Adds what a table does not say.
fn with_defaults(table: &mut Table, name: &tree::Key, defaults: &[(&'static str, &'static str)]) -> Result<(), Failure> {
    for (key, value) in defaults {
        if !table.contains_key(*key) {
            let value = DeValue::parse(value).map_err(|error| tree::explain(&error, name.span()))?;
            table.insert(tree::key(key, name.span()), Spanned::new(name.span(), value.into_inner()));
        }
    }
    Ok(())
}

/// One string as a list of one.
fn as_list(value: tree::Value) -> tree::Value {
    let span = value.span();
    match value.get_ref() {
        DeValue::String(_) => Spanned::new(span, DeValue::Array([value].into_iter().collect())),
        _ => value,
    }
}

/// Rewrites one value, if it is there.
fn wrap(table: &mut Table, key: &str, rewrite: impl FnOnce(tree::Value) -> tree::Value) {
    if let Some((key, value)) = table.remove_entry(key) {
        table.insert(key, rewrite(value));
    }
}
