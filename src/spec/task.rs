//! `[task.*]`: which task, and what its table need not say.

use super::load::{Failure, also_known, split};
use super::source::{Problem, Span};
use super::tasks::{Dialogue, Labelling, Oracle, Reward, Sentiment, Summarisation, Task, World};
use super::tree::{self, Table};
use serde::Deserialize;
use toml::Spanned;
use toml::de::DeValue;

/// Takes the one task out of the tables.
pub(super) fn task(tables: &mut Table, seed: u64) -> Result<Task, Failure> {
    const KNOWN: &[&str] = &["sentiment", "summarisation", "dialogue", "oracle"];
    let (mut table, at) = tree::take_table(tables, "task")?;
    let missing = || Problem { span: at.clone(), what: "the experiment file has no task".into(), hint: None };
    let Some((name, value)) = table.iter().next().map(|(name, value)| (name.clone(), value.clone())) else {
        return Err(missing().hint("add [task.sentiment], [task.summarisation], [task.dialogue] or [task.oracle]").into());
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
        "summarisation" => summarisation(&mut table, &name, span).map(Task::Summarisation),
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
    let builtin = is_builtin(&sentiment);
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

/// The keys of `[task.summarisation]` beside those of labels.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SummarisationKeys {
    corpus: Vec<String>,
    comparisons: Vec<String>,
    out_of_distribution: Vec<String>,
    demonstrations: usize,
    prompts: usize,
    completions: usize,
    max_new_tokens: usize,
    pairs: usize,
    max_prompt_tokens: usize,
    max_completion_tokens: usize,
}

fn summarisation(table: &mut Table, name: &tree::Key, span: Span) -> Result<Summarisation, Failure> {
    let (mut summarisation, _) = tree::take_table(table, "summarisation")?;
    let builtin = is_builtin(&summarisation);
    no_labels_of_its_own(&summarisation, builtin, "builtin:posts")?;
    let defaults = [
        ("corpus", "\"builtin:posts\""),
        ("comparisons", "[]"),
        ("out_of_distribution", if builtin { "\"builtin:news\"" } else { "[]" }),
        ("demonstrations", if builtin { "16000" } else { "0" }),
        ("prompts", "4000"),
        ("completions", "4"),
        ("max_new_tokens", "24"),
        ("pairs", "0"),
        ("max_prompt_tokens", "512"),
        ("max_completion_tokens", "128"),
        ("labels", "\"bradley-terry\""),
        ("reward_scale", "6.0"),
        ("label_noise", "0.0"),
    ];
    with_defaults(&mut summarisation, name, &defaults)?;
    for key in ["corpus", "comparisons", "out_of_distribution"] {
        wrap(&mut summarisation, key, as_list);
    }
    let labelling: Labelling = tree::read(split(&mut summarisation, Labelling::KEYS), span.clone())?;
    let keys: SummarisationKeys = tree::read(summarisation, span).map_err(|problem| also_known(problem, Labelling::KEYS))?;
    Ok(Summarisation {
        reward: builtin.then(|| Reward::Builtin("summary".to_owned())),
        corpus: keys.corpus,
        comparisons: keys.comparisons,
        out_of_distribution: keys.out_of_distribution,
        demonstrations: keys.demonstrations,
        prompts: keys.prompts,
        completions: keys.completions,
        max_new_tokens: keys.max_new_tokens,
        pairs: keys.pairs,
        max_tokens: [keys.max_prompt_tokens, keys.max_completion_tokens],
        labelling,
    })
}

/// The keys of `[task.dialogue]` beside those of labels.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DialogueKeys {
    corpus: Vec<String>,
    pairs: usize,
    multi_turn: bool,
    chat: bool,
    max_prompt_tokens: usize,
    max_completion_tokens: usize,
}

fn dialogue(table: &mut Table, name: &tree::Key, span: Span) -> Result<Dialogue, Failure> {
    let (mut dialogue, _) = tree::take_table(table, "dialogue")?;
    let builtin = is_builtin(&dialogue);
    no_labels_of_its_own(&dialogue, builtin, "builtin:questions")?;
    let defaults = [
        ("corpus", "\"builtin:questions\""),
        ("pairs", if builtin { "8000" } else { "0" }),
        ("multi_turn", "false"),
        ("chat", "false"),
        ("max_prompt_tokens", "256"),
        ("max_completion_tokens", "256"),
        ("labels", "\"bradley-terry\""),
        ("reward_scale", "6.0"),
        ("label_noise", "0.0"),
    ];
    with_defaults(&mut dialogue, name, &defaults)?;
    wrap(&mut dialogue, "corpus", as_list);
    let labelling: Labelling = tree::read(split(&mut dialogue, Labelling::KEYS), span.clone())?;
    let DialogueKeys { corpus, pairs, multi_turn, chat, max_prompt_tokens, max_completion_tokens } =
        tree::read(dialogue, span).map_err(|problem| also_known(problem, Labelling::KEYS))?;
    let reward = builtin.then(|| Reward::Builtin("helpfulness".to_owned()));
    Ok(Dialogue { corpus, pairs, multi_turn, chat, max_prompt_tokens, max_completion_tokens, labelling, reward })
}

/// Refuses what says how completions are labelled where the data has labels.
fn no_labels_of_its_own(table: &Table, builtin: bool, world: &str) -> Result<(), Failure> {
    let written = Labelling::KEYS.iter().find_map(|key| Some((*key, table.get(*key)?.span())));
    let Some((key, at)) = written.filter(|_| !builtin) else { return Ok(()) };
    let what = format!("the labels of this corpus are given, so that nothing reads `{key}`");
    Err(Problem::at(at, what).hint(format!("remove it; it is for the built-in world, \"{world}\"")).into())
}

/// Whether a table's corpus is a built-in world, which is so where it names none.
fn is_builtin(table: &Table) -> bool {
    let corpus = table.get("corpus").map(|corpus| corpus.get_ref());
    let only = |value: &DeValue<'_>| value.as_str().is_some_and(|name| name.starts_with("builtin:"));
    corpus.is_none_or(|corpus| match corpus.as_array() {
        Some(names) => names.len() == 1 && names.iter().all(|name| only(name.get_ref())),
        None => only(corpus),
    })
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

#[cfg(test)]
mod tests {
    use crate::spec::load;

    #[test]
    fn labels_are_for_worlds_that_have_none_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let loads = |task: &str, corpus: &str| {
            let file = folder.path().join("study.toml");
            let text = format!(
                "name = \"a\"\n[model]\nbase = \"model\"\n[task.{task}]\ncorpus = {corpus}\nreward_scale = 2.0\n[method.sft]\n"
            );
            std::fs::write(&file, text).unwrap();
            load(&file, &[]).map(|_| ()).map_err(|error| error.to_string())
        };
        for task in ["dialogue", "summarisation"] {
            let refused = loads(task, "\"rows.jsonl\"").unwrap_err();
            assert!(refused.contains("nothing reads `reward_scale`"), "{task}: {refused}");
        }
        for (task, world) in [("dialogue", "[\"builtin:questions\"]"), ("summarisation", "\"builtin:posts\"")] {
            let other = loads(task, world).err().unwrap_or_default();
            assert!(!other.contains("nothing reads"), "{task}: {other}");
        }
    }
}
