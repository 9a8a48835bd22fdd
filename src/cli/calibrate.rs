//! `dpo-lab judge --calibrate`: how far judges can be believed, measured on pairs whose better completion is known.

use super::model::downloads;
use crate::data::formats::{Example, Options, Prompt, Turns, examples, transcript};
use crate::error::{Doing, Error, Exit, Result};
use crate::judges::{Choice, Materials, Models, Passage, Question, Source, Subject};
use crate::models::{Policy, Tokenizer};
use crate::random::Stream;
use crate::report::calibration_file;
use crate::resolve::{self, Fetch};
use crate::spec::{Judge, JudgeFile};
use crate::stats::{Calibration, JudgedPair, Outcome, Sides, agreement, calibrate};
use crate::store::{Store, write_atomically};
use crate::tasks::dialogue;
use crate::tasks::reward::TrueReward;
use burn::tensor::Device;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A pair of which the first completion is labelled better.
struct Labelled {
    subject: Subject,
    prompt: String,
    chosen: String,
    rejected: String,
}

/// Measures every judge on at most `most` of the labelled pairs, prints a table, and keeps what was found for reports.
pub(super) fn run(judges: &JudgeFile, file: &Path, data: &[String], most: usize, results: &Path, offline: bool) -> Result<Exit> {
    let store = Store::open(results)?;
    let pairs = labelled(data, most)?;
    let builtin = data.iter().any(|name| name.starts_with("builtin:"));
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut measured: Vec<(String, Calibration, Vec<Option<Outcome>>, usize)> = Vec::new();
    for judge in &judges.judges {
        let verdicts = verdicts(judge, &pairs, folder, &store, builtin, offline)?;
        let read: Vec<JudgedPair> = verdicts.iter().filter_map(|pair| pair.as_ref().ok().copied()).collect();
        let unparsed = verdicts.len() - read.len();
        let found = calibrate(&read)
            .ok_or_else(|| Error::Other(format!("{}: none of its answers could be read, so nothing was measured", judge.name)))?;
        std::fs::create_dir_all(store.judges()).doing("create", &store.judges())?;
        let mut kind = judge.kind.clone();
        crate::judges::read_template(&mut kind, folder)?;
        for subject in Subject::ALL {
            let of_subject = verdicts.iter().zip(&pairs).filter(|(_, labelled)| labelled.subject == subject);
            let read: Vec<JudgedPair> = of_subject.filter_map(|(pair, _)| pair.as_ref().ok().copied()).collect();
            if let Some(found) = calibrate(&read) {
                let json = serde_json::to_vec_pretty(&found).map_err(Error::other)?;
                write_atomically(&store.judges().join(calibration_file(&kind, subject)), &json)?;
            }
        }
        let outcomes = verdicts.iter().map(|pair| pair.as_ref().ok().map(JudgedPair::outcome)).collect();
        measured.push((judge.name.clone(), found, outcomes, unparsed));
    }
    print(&measured)?;
    Ok(Exit::Done)
}

/// One judge's verdict on every pair in both orders, with the completion that is labelled better in the policy's place; an error
/// where an answer could not be read.
fn verdicts(
    judge: &Judge,
    pairs: &[Labelled],
    folder: &Path,
    store: &Store,
    builtin: bool,
    offline: bool,
) -> Result<Vec<Result<JudgedPair, ()>>> {
    let mut kind = judge.kind.clone();
    crate::judges::read_template(&mut kind, folder)?;
    let mut models = Folders(Vec::new());
    for (role, source) in kind.settings().models() {
        let Source::Named(name) = source else {
            let what = "reads a model of a study, and there is none here";
            return Err(Error::Usage(format!("error: the judge {} {what}\nhelp: name a folder in its table", judge.name)));
        };
        let mut bars = downloads();
        let fetch = if offline { Fetch::No } else { Fetch::Yes(&mut bars) };
        models.0.push((role, resolve::model_folder(name, folder, fetch)?));
    }
    let device = Device::flex();
    // Without a model of its own, a judge's tokens are words.
    let tokenizer = match models.0.first() {
        Some((_, folder)) => Tokenizer::open(folder)?,
        None => {
            let texts = pairs.iter().flat_map(|pair| [&pair.prompt, &pair.chosen, &pair.rejected]);
            let mut words: Vec<&str> = texts.flat_map(|text| text.split_whitespace()).collect();
            words.sort_unstable();
            words.dedup();
            Tokenizer::words(&words)?
        }
    };
    let truth = if kind.settings().needs_truth() && builtin { Some(TrueReward::builtin("helpfulness")?) } else { None };
    let opening: Vec<u32> = tokenizer.opening()?.into_iter().collect();
    let end = tokenizer.special().ends.first().copied();
    let prompt = |text: &String| Ok(Passage { tokens: [&opening[..], &tokenizer.encode(text)?].concat(), text: text.clone() });
    let passage =
        |text: &String| Ok(Passage { tokens: tokenizer.encode(text)?.into_iter().chain(end).collect(), text: text.clone() });
    let passages = pairs
        .iter()
        .map(|pair| Ok([prompt(&pair.prompt)?, passage(&pair.chosen)?, passage(&pair.rejected)?]))
        .collect::<Result<Vec<_>>>()?;
    let questions: Vec<Question<'_>> = pairs
        .iter()
        .zip(&passages)
        .flat_map(|(pair, [prompt, chosen, rejected])| {
            let ask = |first, second| Question { subject: pair.subject, prompt, first, second, reference: None };
            [ask(chosen, rejected), ask(rejected, chosen)]
        })
        .collect();
    // Ctrl-C ends this process at once: every answer is in the ledger already.
    let stop = Arc::default();
    let ledger = store.judges();
    let materials = Materials { device: &device, ledger, stop, tokenizer: &tokenizer, truth, models: &models };
    let opened = kind.settings().open(materials)?;
    let answers = opened.judge(&questions, &mut |_| ())?;
    let mut prompts: Vec<String> = Vec::new();
    let outcome = |choice: Choice, first: Outcome, second: Outcome| match choice {
        Choice::First => Ok(first),
        Choice::Second => Ok(second),
        Choice::Tie => Ok(Outcome::Tie),
        Choice::Unparsed => Err(()),
    };
    let row = |((pair, texts), both): ((&Labelled, &[Passage; 3]), &[crate::judges::Verdict])| {
        let prompt = prompts.iter().position(|known| *known == pair.prompt).unwrap_or(prompts.len());
        if prompt == prompts.len() {
            // Pairs of one prompt are not independent.
            prompts.push(pair.prompt.clone());
        }
        Ok(JudgedPair {
            prompt,
            shown_first: outcome(both[0].choice, Outcome::Win, Outcome::Loss)?,
            shown_second: outcome(both[1].choice, Outcome::Loss, Outcome::Win)?,
            length_difference: texts[1].tokens.len() as f64 - texts[2].tokens.len() as f64,
        })
    };
    Ok(pairs.iter().zip(&passages).zip(answers.chunks_exact(2)).map(row).collect())
}

/// Models in folders, by role.
struct Folders(Vec<(&'static str, PathBuf)>);

impl Models for Folders {
    fn policy(&self, role: &str) -> Result<Policy> {
        Policy::load(&self.folder(role)?, &Device::flex())
    }

    fn folder(&self, role: &str) -> Result<PathBuf> {
        let found = self.0.iter().find(|(name, _)| *name == role);
        found.map(|(_, folder)| folder.clone()).ok_or_else(|| Error::Other(format!("the judge has no {role}")))
    }
}

/// At most `most` labelled pairs, in random order.
fn labelled(data: &[String], most: usize) -> Result<Vec<Labelled>> {
    let mut pairs = Vec::new();
    let mut add = |example: Example| {
        let Example::Comparison { prompt, chosen, rejected } = example else {
            let what = "has no pairs of completions of which one is labelled better";
            return Err(Error::Usage(format!("error: {} {what}\nhelp: give comparisons, as Anthropic's HH", data.join(", "))));
        };
        let prompt = match prompt {
            Prompt::Text(text) => text,
            Prompt::Messages(messages) => transcript::of(&messages),
        };
        let subject = match prompt.trim_end().ends_with("TL;DR:") {
            true if prompt.starts_with("SUBREDDIT:") => Subject::Summary,
            true => Subject::NewsSummary,
            false => Subject::Dialogue,
        };
        pairs.push(Labelled { subject, prompt, chosen, rejected });
        Ok(())
    };
    let (builtin, files): (Vec<String>, Vec<String>) = data.iter().cloned().partition(|name| name.starts_with("builtin:"));
    for name in &builtin {
        if name != "builtin:questions" {
            return Err(Error::Usage(format!("error: {name} has no labelled pairs\nhelp: builtin:questions has some")));
        }
        // Labelled by the true reward itself.
        dialogue::comparisons(0, 2 * most, None).into_iter().try_for_each(&mut add)?;
    }
    if !files.is_empty() {
        let paths = crate::data::files::expand(&files, Path::new("."))?;
        examples(&paths, &Options { format: None, turns: Turns::Any }, &mut add)?;
    }
    let order = Stream::new(0, 0, "order of labelled pairs", 0).permutation(pairs.len());
    let mut kept: Vec<Option<Labelled>> = pairs.into_iter().map(Some).collect();
    Ok(order.into_iter().take(most).filter_map(|at| kept[at].take()).collect())
}

/// The table: a row for each judge, and how often it agrees with the labels and with every other judge where both decide.
fn print(measured: &[(String, Calibration, Vec<Option<Outcome>>, usize)]) -> Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let fixed = [
        "judge",
        "pairs",
        "prompts",
        "accuracy",
        "se",
        "ci_low",
        "ci_high",
        "both_order_consistency",
        "position_bias",
        "unparsed",
        "agreement_label",
    ];
    let others = measured.iter().map(|(name, ..)| format!("agreement_{name}"));
    writer.write_record(fixed.iter().map(|name| (*name).to_owned()).chain(others)).map_err(Error::other)?;
    for (name, found, outcomes, unparsed) in measured {
        let number = |value: f64| format!("{value:.4}");
        let with = |other: &dyn Fn(usize) -> Option<Outcome>| {
            let both = outcomes.iter().enumerate().filter_map(|(at, outcome)| Some((at, (*outcome)?, other(at)?)));
            let found = agreement(&both.collect::<Vec<_>>(), Sides::Distinct);
            found.map(|found| number(found.share.share)).unwrap_or_default()
        };
        let mut record = vec![name.clone(), found.pairs.to_string(), found.prompts.to_string()];
        record.extend(
            [found.accuracy, found.se, found.ci_low, found.ci_high, found.both_order_consistency, found.position_bias]
                .map(number),
        );
        record.push(unparsed.to_string());
        record.push(with(&|_| Some(Outcome::Win)));
        record.extend(measured.iter().map(|(_, _, others, _)| with(&|at| others[at])));
        writer.write_record(record).map_err(Error::other)?;
    }
    let bytes = writer.into_inner().map_err(Error::other)?;
    say!("{}", String::from_utf8_lossy(&bytes).trim_end());
    Ok(())
}
