//! Writes everything that a study leaves in results/NAME.

use super::best::best_step;
use super::collect::{Collected, Collection, collect};
use super::figures::{Figures, RunLabel, draw_all};
use super::judged_rows::WinRateRow;
use super::rows::{FrontierRow, TrainRow};
use super::{artifacts, choices, judged, optimum, page, preferences, provenance, published, seeds, summary, tables, win_rates};
use crate::error::{Doing, Error, Result};
use crate::plan::{Plan, Saved};
use crate::spec::{Reward, Run, Study};
use crate::stages::csv_bytes;
use crate::store::{Store, write_atomically};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The first column of train.csv that only methods with rollouts fill.
const FIRST_OF_REINFORCEMENT: &str = "objective/kl";
/// Completions a run that samples.csv shows.
const SHOWN_SAMPLES: usize = 8;

/// What was written.
pub struct Written {
    /// Every figure.
    pub figures: Vec<PathBuf>,
    /// report.html
    pub page: PathBuf,
    /// Last row of every run in frontier.csv.
    pub last: Vec<FrontierRow>,
    /// Step of every run's best checkpoint, where one is known to be best.
    pub best: BTreeMap<String, u64>,
    /// Rows of winrate.csv.
    pub win_rates: Vec<WinRateRow>,
}

/// samples.csv: completions of each run's last checkpoint.
#[derive(Default, Serialize)]
struct SampleRow<'a> {
    run: &'a str,
    step: u64,
    temperature: f64,
    prompt: usize,
    #[serde(with = "super::blank")]
    reward: f64,
    kl: f64,
    text: &'a str,
}

/// Writes CSVs, figures and report.html into `folder` from what the store has. `saved` says how the plan came about, `status` how
/// each run ended.
pub fn write(
    study: &Study,
    plan: &Plan,
    saved: &Saved,
    store: &Store,
    folder: &Path,
    status: &dyn Fn(&str) -> String,
) -> Result<Written> {
    fs::create_dir_all(folder).doing("create", folder)?;
    let collection = collect(study, plan, store);
    let frontier = tables::frontier(&collection);
    let best_of_n = tables::best_of_n_rows(&collection);
    let preferences = preferences::preferences(&collection);
    let summary = summary::summary(&collection);
    write_atomically(&folder.join("runs.csv"), &runs_csv(&collection, status))?;
    write_rows(&folder.join("frontier.csv"), &frontier)?;
    write_rows(&folder.join("best_of_n.csv"), &best_of_n)?;
    write_rows(&folder.join("preferences.csv"), &preferences)?;
    write_rows(&folder.join("summary.csv"), &summary)?;
    write_rows(&folder.join("samples.csv"), &samples(&collection))?;
    let (oracle, optimum, seeds) = (optimum::oracle(&collection), optimum::optimum(&collection), seeds::seeds(&collection));
    write_if_any(&folder.join("oracle.csv"), &oracle)?;
    write_if_any(&folder.join("optimum.csv"), &optimum)?;
    write_if_any(&folder.join("seeds.csv"), &seeds)?;
    let (win_rates, differences) = (win_rates::win_rates(&collection), win_rates::differences(&collection));
    write_if_any(&folder.join("winrate.csv"), &win_rates)?;
    write_if_any(&folder.join("winrate_differences.csv"), &differences)?;
    write_if_any(&folder.join("side_by_side.csv"), &judged::rows(&collection))?;
    let beside = [published::beside(&win_rates), published::rewards_beside(study.task.name(), &frontier)].concat();
    write_if_any(&folder.join("published.csv"), &beside)?;
    write_atomically(&folder.join("deviations.md"), choices::deviations(study).as_bytes())?;
    let provenance = provenance::write(study, plan, saved, store, folder)?;
    let best_of = |run: &Run| Some((run.name.clone(), best_step(&run.name, &frontier, &win_rates)?));
    let best: BTreeMap<String, u64> = study.runs.iter().filter_map(best_of).collect();
    let mut training: Vec<(RunLabel, Vec<TrainRow>)> = Vec::new();
    for collected in &collection.runs {
        let run = folder.join("runs").join(&collected.run.name);
        let policy = plan.kept(collected.plan, study.keep, best.get(&collected.run.name).copied());
        write_atomically(&run.join(artifacts::FILE), artifacts::of(study, collected, policy).as_bytes())?;
        if !collected.training.is_empty() {
            write_atomically(&run.join("train.csv"), &training_csv(&collected.training)?)?;
            training.push((label(collected), collected.training.clone()));
        }
    }
    remove_stale_runs(&folder.join("runs"), &collection)?;
    let reward_label = reward_label(study);
    let data = Figures {
        study: &study.name,
        reward_label: &reward_label,
        frontier: &frontier,
        best_of_n: &best_of_n,
        preferences: &preferences,
        training: &training,
        oracle: &oracle,
        optimum: &optimum,
        seeds: &seeds,
        win_rates: &win_rates,
    };
    let figures = draw_all(&data, &folder.join("figures"))?;
    let human = read_table(&folder.join("human.csv"));
    let tables = page::Tables {
        frontier: &frontier,
        best_of_n: &best_of_n,
        summary: &summary,
        win_rates: &win_rates,
        published: &beside,
        oracle: &oracle,
        human: &human,
        provenance: &provenance,
    };
    let html = page::page(&collection, &tables, &figures, status);
    let page = folder.join("report.html");
    write_atomically(&page, html.as_bytes())?;
    let mut last: Vec<FrontierRow> = Vec::new();
    for row in frontier {
        match last.iter_mut().find(|known| known.run == row.run) {
            Some(known) => *known = row,
            None => last.push(row),
        }
    }
    Ok(Written { figures, page, last, best, win_rates })
}

fn reward_label(study: &Study) -> String {
    match study.task.reward() {
        Some(Reward::Builtin(_) | Reward::Oracle(_)) | None => "true reward".to_owned(),
        Some(Reward::Classifier(name)) => format!("true reward (p(positive), {})", short(name)),
        Some(Reward::Fit(_)) => "true reward (p(positive), fitted classifier)".to_owned(),
    }
}

/// The last part of a name or path.
fn short(name: &str) -> &str {
    name.trim_end_matches('/').rsplit('/').next().unwrap_or(name)
}

/// A CSV as it is, its header first; nothing where there is none.
fn read_table(path: &Path) -> Vec<Vec<String>> {
    let reader = csv::ReaderBuilder::new().has_headers(false).from_path(path);
    let records = reader.into_iter().flat_map(csv::Reader::into_records).flatten();
    records.map(|record| record.iter().map(str::to_owned).collect()).collect()
}

/// Writes rows under their header, which is there without rows too.
fn write_rows<T: Serialize + Default>(path: &Path, rows: &[T]) -> Result<()> {
    let bytes = if rows.is_empty() {
        let text = csv_bytes(&[T::default()])?;
        text.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default().to_vec()
    } else {
        csv_bytes(rows)?
    };
    write_atomically(path, &bytes)
}

/// Writes rows that only some studies have, and removes a file that was left by another plan.
fn write_if_any<T: Serialize + Default>(path: &Path, rows: &[T]) -> Result<()> {
    if !rows.is_empty() {
        return write_rows(path, rows);
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).doing("remove", path),
        _ => Ok(()),
    }
}

/// train.csv, in which the columns of reinforcement learning stand only where they say something.
fn training_csv(rows: &[TrainRow]) -> Result<Vec<u8>> {
    let bytes = csv_bytes(rows)?;
    if rows.iter().any(|row| row.objective_kl.is_some()) {
        return Ok(bytes);
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&bytes[..]);
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut kept = usize::MAX;
    for record in reader.records() {
        let record = record.map_err(Error::other)?;
        if kept == usize::MAX {
            kept = record.iter().position(|name| name == FIRST_OF_REINFORCEMENT).unwrap_or(record.len());
        }
        writer.write_record(record.iter().take(kept)).map_err(Error::other)?;
    }
    writer.into_inner().map_err(Error::other)
}

fn label(collected: &Collected<'_>) -> RunLabel {
    RunLabel {
        run: collected.run.name.clone(),
        method: collected.run.method.name().to_owned(),
        params: collected.run.params(),
        seed: collected.run.seed,
        beta: collected.run.method.objective().filter(|objective| objective.needs_reference()).map(|o| o.beta()),
    }
}

/// Folders of runs that the study no longer has would be taken for its own.
fn remove_stale_runs(folder: &Path, collection: &Collection<'_>) -> Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let path = entry.path();
        let ours = path.join(artifacts::FILE).exists() || path.join(provenance::FILE).exists();
        if ours && !collection.runs.iter().any(|collected| name == collected.run.name.as_str()) {
            fs::remove_dir_all(&path).doing("remove", &path)?;
        }
    }
    Ok(())
}

/// runs.csv: fixed columns, then one for every parameter that any run sweeps.
fn runs_csv(collection: &Collection<'_>, status: &dyn Fn(&str) -> String) -> Vec<u8> {
    let mut swept: Vec<&str> =
        collection.runs.iter().flat_map(|collected| collected.run.swept.iter().map(|(key, _)| key.as_str())).collect();
    swept.sort_unstable();
    swept.dedup();
    let fixed = ["run", "method", "task", "seed", "status", "steps", "train_tokens", "wall_s", "tokens_per_s", "device"];
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing into memory does not fail, and every row has as many fields as the header.
    let _ = writer.write_record(fixed.iter().copied().chain(swept.iter().copied()));
    for collected in &collection.runs {
        let run = collected.run;
        let tokens = collected.training.last().map_or(0, |row| row.tokens);
        let rate = if collected.seconds > 0.0 { tokens as f64 / collected.seconds } else { 0.0 };
        let mut record = vec![
            run.name.clone(),
            run.method.name().to_owned(),
            collection.study.task.name().to_owned(),
            run.seed.to_string(),
            status(&run.name),
            collected.training.last().map_or(0, |row| row.step).to_string(),
            tokens.to_string(),
            format!("{:.1}", collected.seconds),
            format!("{rate:.0}"),
            collected.device.clone(),
        ];
        record.extend(
            swept
                .iter()
                .map(|key| run.swept.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone()).unwrap_or_default()),
        );
        let _ = writer.write_record(record);
    }
    writer.into_inner().unwrap_or_default()
}

fn samples<'a>(collection: &'a Collection<'_>) -> Vec<SampleRow<'a>> {
    let of_run = |collected: &'a Collected<'_>| {
        let (step, temperature, evaluation) = collected.evaluations.last()?;
        let shown = evaluation.samples.iter().filter(|sample| sample.prompt < SHOWN_SAMPLES).take(SHOWN_SAMPLES);
        Some(shown.map(|sample| SampleRow {
            run: &collected.run.name,
            step: *step,
            temperature: *temperature,
            prompt: sample.prompt,
            reward: sample.reward,
            kl: sample.kl,
            text: &sample.text,
        }))
    };
    collection.runs.iter().filter(|run| run.run.method.trains()).filter_map(of_run).flatten().collect()
}
