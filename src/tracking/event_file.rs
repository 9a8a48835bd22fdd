//! A run's event file, beside its train.csv: written once, and then only longer, so that a TensorBoard that reads it goes on.

use super::curves::{Part, Tracked};
use super::events::{self, Event};
use crate::error::{Doing, Result};
use crate::store::{Key, write_atomically};
use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// TensorBoard reads every file with `tfevents` in its name.
const NAME: &str = "events.out.tfevents.dpo-lab";

/// Adds what is finished and not yet in the file; `told` are the stages that are in it. A file that has other stages' numbers, or
/// that is not whole, is written anew.
pub(super) fn update(folder: &Path, tracked: &Tracked<'_>, told: &mut BTreeSet<Key>) -> Result<()> {
    let path = folder.join(NAME);
    let all: HashSet<&Key> = tracked.keys().collect();
    let is_of_this_plan = told.iter().all(|key| all.contains(key)) && path.is_file();
    let finished = tracked.finished();
    if is_of_this_plan && finished.iter().all(|key| told.contains(key)) || finished.is_empty() {
        return Ok(());
    }
    let there = if is_of_this_plan { fs::read(&path).ok().as_deref().and_then(events::read) } else { None };
    if let Some(there) = there {
        let there: HashSet<Event> = there.into_iter().collect();
        let parts = tracked.parts(|key| finished.contains(&key) && !told.contains(key));
        // A run that was killed may have written a stage's numbers, and not that it has.
        let missing = scalars(&parts).into_iter().filter(|event| !there.contains(event));
        let bytes = framed(missing);
        let mut file = File::options().append(true).open(&path).doing("write", &path)?;
        file.write_all(&bytes).doing("write", &path)?;
        told.extend(parts.into_iter().map(|part| part.key));
        return Ok(());
    }
    let parts = tracked.parts(|key| finished.contains(&key));
    let began = parts.iter().flat_map(|part| &part.points).map(|point| point.time).fold(f64::INFINITY, f64::min);
    if began.is_infinite() {
        return Ok(());
    }
    let heading = [Event::version(began), Event::text(began, "hyperparameters/text_summary", &table(&tracked.parameters()))];
    fs::create_dir_all(folder).doing("create", folder)?;
    write_atomically(&path, &framed(heading.into_iter().chain(scalars(&parts))))?;
    *told = parts.into_iter().map(|part| part.key).collect();
    Ok(())
}

/// The events of the parts, by step.
fn scalars(parts: &[Part]) -> Vec<Event> {
    let mut points: Vec<_> = parts.iter().flat_map(|part| &part.points).collect();
    points.sort_by_key(|point| point.step);
    points.into_iter().map(|point| Event::scalar(point.time, point.step, &point.name, point.value)).collect()
}

fn framed(events: impl IntoIterator<Item = Event>) -> Vec<u8> {
    let mut bytes = Vec::new();
    events.into_iter().for_each(|event| event.write(&mut bytes));
    bytes
}

/// Parameters as Markdown.
fn table(parameters: &[(String, String)]) -> String {
    let row = |(key, value): &(String, String)| format!("| {key} | {} |\n", value.replace('|', "\\|").replace('\n', " "));
    format!("| parameter | value |\n| --- | --- |\n{}", parameters.iter().map(row).collect::<String>())
}
