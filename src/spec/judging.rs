//! `[judge.*]`: who compares completions, and what they are compared with.

use super::load::Failure;
use super::source::{Problem, Sources};
use super::tree::{self, Table};
use crate::error::{Doing, Error, Result};
use crate::judges::Kind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use toml::de::DeValue;

/// A judge of a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judge {
    /// Its name in the CSVs: that of its table, unless its table says another.
    pub name: String,
    /// Which judge, with its settings.
    pub kind: Kind,
    /// The table it was written in: `judge`, or `also_judge` for one that was added by `dpo-lab judge`.
    pub table: String,
}

/// What completions are compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Baseline {
    /// The data's own completion: the reference summary, or the chosen answer.
    Data,
    /// The reference policy at the same temperature.
    Sft,
    /// The last checkpoint of a run, at the same temperature or at one of its own.
    Run {
        /// Its name or its label.
        run: String,
        /// Sampling temperature.
        temperature: Option<f64>,
    },
}

impl Baseline {
    /// From `reference`, `chosen`, `sft`, `RUN` or `RUN@TEMPERATURE`.
    pub fn parse(text: &str) -> Self {
        match text {
            "reference" | "chosen" => Baseline::Data,
            "sft" => Baseline::Sft,
            run => {
                let split = run.rsplit_once('@').and_then(|(run, temperature)| Some((run, temperature.parse().ok()?)));
                let (run, temperature) = split.map_or((run, None), |(run, temperature)| (run, Some(temperature)));
                Baseline::Run { run: run.to_owned(), temperature }
            }
        }
    }
}

/// A file that has nothing but `[judge.*]` tables.
pub struct JudgeFile {
    /// The judges, in the order of the file.
    pub judges: Vec<Judge>,
    /// Their tables by kind, with paths as seen from the working folder.
    tables: toml::Table,
}

impl JudgeFile {
    /// The `--set` overrides that add these judges to a study that was run with the overrides `before`. Judges that were added
    /// then stay, but for those whose names these take.
    pub fn overrides(&self, before: &[String]) -> Vec<String> {
        let mut added: BTreeMap<String, Vec<toml::Value>> = BTreeMap::new();
        let mut others = Vec::new();
        for text in before {
            match text.parse::<toml::Table>().ok().and_then(|mut table| table.remove(ADDED)) {
                Some(toml::Value::Table(tables)) => tables.into_iter().for_each(|(kind, value)| add(&mut added, &kind, value)),
                _ => others.push(text.clone()),
            }
        }
        self.tables.iter().for_each(|(kind, value)| add(&mut added, &kind.replace('_', "-"), value.clone()));
        let overrides = added.into_iter().map(|(kind, tables)| format!("{ADDED}.{kind}={}", toml::Value::Array(tables)));
        others.into_iter().chain(overrides).collect()
    }
}

/// Adds judges of one kind in the place of those of the same names.
fn add(added: &mut BTreeMap<String, Vec<toml::Value>>, kind: &str, value: toml::Value) {
    let tables = match value {
        toml::Value::Array(tables) => tables,
        table => vec![table],
    };
    let name = |table: &toml::Value| table.get("name").and_then(toml::Value::as_str).unwrap_or(kind).to_owned();
    let of_kind = added.entry(kind.to_owned()).or_default();
    of_kind.retain(|before| tables.iter().all(|table| name(table) != name(before)));
    of_kind.extend(tables);
}

/// The table of judges that were added to a study afterwards: its own stay.
const ADDED: &str = "also_judge";

/// Keys whose values are paths, where they are not names.
const PATHS: [&str; 4] = ["model", "policy", "reference", "prompt"];

/// Reads a file of judges.
pub fn load_judges(file: &Path) -> Result<JudgeFile> {
    let unreadable = |error| Error::Usage(format!("error: {error}\nhelp: give a file with [judge.*] tables"));
    let text = std::fs::read_to_string(file).doing("read", file).map_err(unreadable)?;
    let mut sources = Sources::default();
    let read = |sources: &mut Sources| -> Result<Vec<Judge>, Failure> {
        let mut table = tree::parse(sources, &file.display().to_string(), &text)?;
        let mut problems = Vec::new();
        let judges = judges(&mut table, &mut problems)?;
        if let Some((key, _)) = table.iter().next() {
            let what = format!("unknown key `{}`", key.get_ref());
            problems
                .push(Problem::at(key.span(), what).hint("this file says who judges: it has [judge.*] tables and nothing else"));
        }
        if judges.is_empty() && problems.is_empty() {
            let problem = Problem { span: None, what: format!("{} has no judge", file.display()), hint: None };
            problems.push(problem.hint(format!("add a table such as [judge.openai]; known: {}", Kind::NAMES.join(", "))));
        }
        if problems.is_empty() { Ok(judges) } else { Err(Failure::Problems(problems)) }
    };
    let judges = read(&mut sources).map_err(|failure| match failure {
        Failure::Problems(problems) => sources.render(&problems),
        Failure::Io(error) => error,
    })?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let plain: toml::Table = text.parse().map_err(Error::other)?;
    let mut tables = plain.get("judge").and_then(toml::Value::as_table).cloned().unwrap_or_default();
    tables.iter_mut().for_each(|(_, value)| from_here(value, folder));
    Ok(JudgeFile { judges, tables })
}

/// Makes the paths in a judge's table relative to the working folder.
fn from_here(value: &mut toml::Value, folder: &Path) {
    match value {
        toml::Value::Array(items) => items.iter_mut().for_each(|item| from_here(item, folder)),
        toml::Value::Table(table) => {
            for (_, value) in table.iter_mut().filter(|(key, _)| PATHS.contains(&key.as_str())) {
                let path = value.as_str().map(|name| folder.join(name)).filter(|path| path.exists());
                if let Some(path) = path {
                    *value = toml::Value::String(path.display().to_string());
                }
            }
        }
        _ => {}
    }
}

/// Takes the judges out of the tables, in the order of the file; those that were added come after the study's own.
pub(super) fn judges(tables: &mut Table, problems: &mut Vec<Problem>) -> Result<Vec<Judge>, Failure> {
    let mut found = Vec::new();
    for table in ["judge", ADDED] {
        judges_of(table, tables, &mut found, problems)?;
    }
    Ok(found)
}

/// Takes the judges of one table.
fn judges_of(
    name_of_table: &str,
    tables: &mut Table,
    found: &mut Vec<Judge>,
    problems: &mut Vec<Problem>,
) -> Result<(), Failure> {
    let (table, _) = tree::take_table(tables, name_of_table)?;
    let mut in_order: Vec<_> = table.iter().collect();
    in_order.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in in_order {
        // `reward-model` is a bare key of TOML, and `reward_model` what a hand may type.
        let kind = key.get_ref().replace('_', "-");
        if !Kind::NAMES.contains(&kind.as_str()) {
            let hint = tree::nearest(key.get_ref(), Kind::NAMES);
            return Err(Problem::at(key.span(), format!("unknown judge `{}`", key.get_ref())).hint(hint).into());
        }
        let variants: Vec<&Table> = match value.get_ref() {
            DeValue::Table(table) => vec![table],
            DeValue::Array(items) => items.iter().filter_map(|item| item.get_ref().as_table()).collect(),
            _ => Vec::new(),
        };
        if variants.is_empty() {
            return Err(Problem::at(value.span(), format!("`judge.{}` must be a table", key.get_ref()))
                .hint(format!("write [judge.{}], or [[judge.{0}]] for several", key.get_ref()))
                .into());
        }
        for variant in variants {
            let mut own = variant.clone();
            let name = match own.remove("name") {
                None => kind.clone(),
                Some(name) => match name.get_ref().as_str() {
                    Some(text) if is_plain(text) => text.to_owned(),
                    _ => {
                        let what = "a judge's `name` must be a text of one line, without commas";
                        return Err(Problem::at(name.span(), what)
                            .hint("it stands in the CSVs, for example \"GPT-4 (S)\"")
                            .into());
                    }
                },
            };
            if found.iter().any(|judge| judge.name == name) {
                let what = format!("two judges are called `{name}`");
                problems.push(Problem::at(key.span(), what).hint("give each a `name` of its own"));
            }
            let kind = Kind::read(&kind, own, key.span())?;
            let at = |key_of: &str| variant.get(key_of).map_or(key.span(), |value| value.span());
            let wrong = kind.settings().problems().into_iter();
            problems.extend(wrong.map(|(of, what, hint)| Problem::at(at(of), what).hint(hint)));
            found.push(Judge { name, kind, table: name_of_table.to_owned() });
        }
    }
    Ok(())
}

fn is_plain(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= 80 && !name.contains(|letter: char| letter.is_control() || letter == ',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_is_the_data_the_reference_or_a_run_at_a_temperature() {
        assert_eq!(Baseline::parse("reference"), Baseline::Data);
        assert_eq!(Baseline::parse("chosen"), Baseline::Data);
        assert_eq!(Baseline::parse("sft"), Baseline::Sft);
        let run = |run: &str, temperature| Baseline::Run { run: run.to_owned(), temperature };
        assert_eq!(Baseline::parse("ppo-targetkl6-seed0"), run("ppo-targetkl6-seed0", None));
        assert_eq!(Baseline::parse("ppo-targetkl6-seed0@0.25"), run("ppo-targetkl6-seed0", Some(0.25)));
        assert_eq!(Baseline::parse("odd@name"), run("odd@name", None));
    }

    #[test]
    fn judges_of_a_second_file_come_beside_those_of_the_first_and_take_the_place_of_their_namesakes() {
        let file = |text: &str| JudgeFile { judges: Vec::new(), tables: text.parse().unwrap() };
        let first = file("length = {}\nopenai = { model = \"a\", name = \"A\" }").overrides(&["seed=1".to_owned()]);
        let both = file("openai = [{ model = \"b\" }, { model = \"c\", name = \"C\" }]").overrides(&first);
        let text = both.join("\n");
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["seed"].as_integer(), Some(1));
        let names = |table: &toml::Table| -> Vec<String> {
            let judges = table[ADDED]["openai"].as_array().unwrap();
            judges.iter().map(|judge| judge["model"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(
            (names(&table), table[ADDED]["length"].as_array().unwrap().len()),
            (vec!["a".into(), "b".into(), "c".into()], 1)
        );
        let again = file("openai = { model = \"d\" }").overrides(&both).join("\n");
        assert_eq!(names(&again.parse().unwrap()), ["a", "c", "d"]);
    }
}
