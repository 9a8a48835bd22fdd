//! From a method's table to its runs: every list is an axis, axes multiply, `zip` pairs them and `exclude` removes points.

use super::source::{Problem, Span};
use super::tree::{self, Table, Value};
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::DeValue;

/// More runs than anybody trains, and few enough to be planned.
const MOST_POINTS: usize = 100_000;

/// One point of a sweep: a table without lists, and which keys were axes.
#[derive(Clone, Debug)]
pub struct Point {
    /// The method's table with one value for every key.
    pub table: Table,
    /// Where the method was written.
    pub span: Span,
    /// Keys that were lists, sorted.
    pub axes: Vec<String>,
}

/// `[sweep]`
#[derive(Clone, Debug, Default)]
pub struct Sweep {
    /// Groups of keys (`method.dpo.beta`) that advance together.
    pub zip: Vec<(Vec<String>, Span)>,
    /// Points to leave out: each a set of `method.dpo.beta = value`.
    pub exclude: Vec<Vec<(String, String)>>,
}

/// Reads `[sweep]`.
pub fn read(mut table: Table) -> Result<Sweep, Problem> {
    let mut sweep = Sweep::default();
    if let Some(zip) = table.remove("zip") {
        for group in array(&zip, "`zip` must be a list of lists of keys")? {
            let keys = array(group, "every entry of `zip` must be a list of keys")?
                .iter()
                .map(|key| text(key, "a key in `zip` must be a string such as \"method.dpo.beta\""))
                .collect::<Result<Vec<_>, _>>()?;
            sweep.zip.push((keys, group.span()));
        }
    }
    if let Some(exclude) = table.remove("exclude") {
        for entry in array(&exclude, "`exclude` must be a list of tables")? {
            let Some(entry) = entry.get_ref().as_table() else {
                return Err(Problem::at(entry.span(), "every entry of `exclude` must be a table")
                    .hint("for example { \"method.dpo.beta\" = 5.0, \"method.dpo.seed\" = 1 }"));
            };
            sweep.exclude.push(entry.iter().map(|(key, value)| (key.get_ref().to_string(), literal(value.get_ref()))).collect());
        }
    }
    match table.into_iter().next() {
        None => Ok(sweep),
        Some((key, _)) => Err(Problem::at(key.span(), format!("unknown key `{}`", key.get_ref()))
            .hint(tree::nearest(key.get_ref(), &["zip", "exclude"]))),
    }
}

/// Expands one method's table. Keys in `zip` are written with the method's prefix (`method.dpo.`).
pub fn expand(method: &str, table: &Table, span: Span, sweep: &Sweep) -> Result<Vec<Point>, Problem> {
    let prefix = format!("method.{method}.");
    let mut axes: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut fixed = Table::new();
    for (key, value) in table {
        match value.get_ref() {
            DeValue::Array(items) if items.is_empty() => {
                return Err(Problem::at(value.span(), format!("`{}` is an empty list: this sweep has no runs", key.get_ref()))
                    .hint("give at least one value, or remove the key"));
            }
            DeValue::Array(items) => {
                axes.insert(key.get_ref().to_string(), items.iter().cloned().collect());
            }
            _ => {
                fixed.insert(key.clone(), value.clone());
            }
        }
    }
    let groups = group(&prefix, &axes, sweep)?;
    let points = groups.iter().map(|keys| axes[&keys[0]].len()).try_fold(1_usize, usize::checked_mul);
    if points.is_none_or(|points| points > MOST_POINTS) {
        return Err(Problem::at(span, format!("this sweep has more than {MOST_POINTS} runs"))
            .hint("give fewer values, or let lists advance together with [sweep] zip"));
    }
    let names: Vec<String> = axes.keys().cloned().collect();
    let mut tables = vec![fixed];
    for keys in groups {
        let length = axes[&keys[0]].len();
        tables = tables
            .iter()
            .flat_map(|table| {
                let (keys, axes) = (&keys, &axes);
                (0..length).map(move |index| {
                    let mut table = table.clone();
                    for key in keys {
                        let value = axes[key][index].clone();
                        table.insert(tree::key(key, value.span()), value);
                    }
                    table
                })
            })
            .collect();
    }
    tables.retain(|table| !sweep.exclude.iter().any(|point| excluded(&prefix, point, table)));
    Ok(tables.into_iter().map(|table| Point { table, span: span.clone(), axes: names.clone() }).collect())
}

/// Axes that advance together; an axis outside every `zip` is a group of its own.
fn group(prefix: &str, axes: &BTreeMap<String, Vec<Value>>, sweep: &Sweep) -> Result<Vec<Vec<String>>, Problem> {
    let mut left: Vec<String> = axes.keys().cloned().collect();
    let mut groups = Vec::new();
    for (keys, span) in &sweep.zip {
        let mine: Vec<String> = keys.iter().filter_map(|key| key.strip_prefix(prefix)).map(str::to_owned).collect();
        if mine.is_empty() {
            continue;
        }
        if let Some(missing) = mine.iter().find(|key| !axes.contains_key(*key)) {
            return Err(Problem::at(span.clone(), format!("`zip` names `{prefix}{missing}`, which is not a list"))
                .hint("zipped keys must be lists of the same length"));
        }
        let lengths: Vec<usize> = mine.iter().map(|key| axes[key].len()).collect();
        if lengths.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(Problem::at(span.clone(), format!("zipped lists differ in length: {lengths:?}"))
                .hint("zipped keys advance together, so their lists need the same length"));
        }
        left.retain(|key| !mine.contains(key));
        groups.push(mine);
    }
    groups.extend(left.into_iter().map(|key| vec![key]));
    Ok(groups)
}

fn excluded(prefix: &str, point: &[(String, String)], table: &Table) -> bool {
    !point.is_empty()
        && point.iter().all(|(key, value)| {
            let found = key.strip_prefix(prefix).and_then(|key| table.get(key));
            found.is_some_and(|found| literal(found.get_ref()) == *value)
        })
}

/// A value as text, the same however it was spelt (0.1, 1e-1).
pub fn literal(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Integer(digits) => number(&digits.to_string()),
        DeValue::Float(digits) => number(&digits.to_string()),
        DeValue::Datetime(value) => value.to_string(),
        DeValue::Array(_) | DeValue::Table(_) => String::from("..."),
    }
}

fn number(text: &str) -> String {
    text.replace('_', "").parse::<f64>().map_or_else(|_| text.to_owned(), |value| value.to_string())
}

fn array<'a>(value: &'a Value, wrong: &str) -> Result<Vec<&'a Spanned<DeValue<'static>>>, Problem> {
    value.get_ref().as_array().map(|items| items.iter().collect()).ok_or_else(|| Problem::at(value.span(), wrong))
}

fn text(value: &Value, wrong: &str) -> Result<String, Problem> {
    value.get_ref().as_str().map(str::to_owned).ok_or_else(|| Problem::at(value.span(), wrong))
}
