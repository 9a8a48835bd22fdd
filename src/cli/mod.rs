//! The command line: what can be typed. One file a verb, each returning an exit code.

mod bench;
mod bill;
mod calibrate;
mod cancel;
mod check;
mod classify;
mod cluster;
mod compare;
mod completions;
mod data;
mod doctor;
mod drawn;
mod estimate;
mod executor;
mod export;
mod find;
mod forecast;
mod gc;
mod human;
mod judge;
mod keep;
mod logs;
mod look;
mod model;
mod output;
mod plan;
mod report;
mod run;
mod sample;
mod score;
mod show;
mod stage;
mod status;
mod study;
mod summary;
mod table;
mod units;

use crate::error::{Error, Exit, Result};
use crate::exec::Verbosity;
use crate::plan::Kind;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// One experiment file, every run of the Direct Preference Optimization paper.
///
/// Start with: dpo-lab run experiments/sentiment.toml
#[derive(Debug, Parser)]
#[command(version, about, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run studies: every stage once, then tables, figures and a report
    Run(run::Run),
    /// Say what a study would run, what is in the store, and why
    Plan(plan::Plan),
    /// Look for mistakes in an experiment file
    Check(check::Check),
    /// Say how far studies are; with --verify, read every artifact in full
    Status(status::Status),
    /// End what is left of a study's Slurm jobs
    Cancel(cancel::Cancel),
    /// Draw a study's tables, figures and report again from the store
    Report(report::Report),
    /// Show one run: its values, its results, its artifacts, and how it came about
    Show(show::Show),
    /// Say what two runs differ in: values, results, and how they came about
    Compare(compare::Compare),
    /// Print a stage's or a run's log
    Logs(logs::Logs),
    /// Rows of data files as the trainer sees them
    Data(data::Data),
    /// Log-probs of completions under a model, as CSV
    Score(score::Score),
    /// Completions of prompts by a model; a conversation on a terminal
    Sample(sample::Sample),
    /// What a sequence classifier says of texts, as CSV
    Classify(classify::Classify),
    /// Judge a study's completions with other judges, or measure judges on labelled pairs
    Judge(judge::Judge),
    /// Let people judge: packets of pairs, and what they answered
    Human(human::Human),
    /// Copy a run's model to a folder that `transformers` opens
    Export(export::Export),
    /// Time training steps and sampling of a model of known size
    Bench(bench::Bench),
    /// Say what this machine has for training, and what to do about what is missing
    Doctor(doctor::Doctor),
    /// Remove artifacts that no study's last plan uses
    Gc(gc::Gc),
    /// Print a completion script for a shell
    Completions(completions::Completions),
    /// Run stages that `run` has frozen
    #[command(hide = true)]
    Stage(stage::RunStage),
}

/// Where results are.
#[derive(Debug, Clone, Args)]
pub struct Results {
    /// Folder of results and of the store
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
}

/// What every verb that reads an experiment file takes.
#[derive(Debug, Clone, Args)]
pub struct StudyArguments {
    #[command(flatten)]
    results: Results,
    /// Override a value; a list is a sweep axis. Paths are relative to the working folder
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Only runs whose name or method matches; may be given more than once
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Only stages up to this kind
    #[arg(long, value_name = "STAGE")]
    until: Option<Kind>,
    /// Do stages of this kind again; the old artifacts are moved aside
    #[arg(long, value_name = "STAGE")]
    force: Vec<Kind>,
    /// Where tensors live: cpu, cuda, cuda:1, cuda:0,1 for one stage on each, or wgpu; GPUs need a build with --features cuda or
    /// wgpu. One of CUDA's that can be used, or the CPU, unless given
    #[arg(long, env = "DPO_LAB_DEVICE", value_name = "DEVICE")]
    device: Option<String>,
    /// Never use the network
    #[arg(long, env = "DPO_LAB_OFFLINE", value_parser = clap::builder::FalseyValueParser::new())]
    offline: bool,
}

/// Default of `--checkpoint-minutes`.
const CHECKPOINT_MINUTES: &str = "10";

/// Minutes as somebody types them.
fn minutes(text: &str) -> Result<Duration, String> {
    let minutes = text.parse::<f64>().ok().filter(|minutes| (0.0..1e6).contains(minutes));
    minutes
        .map(|minutes| Duration::from_secs_f64(60.0 * minutes))
        .ok_or_else(|| "expected a number of minutes, 0 or more".to_owned())
}

/// How stages are spread and kept.
#[derive(Debug, Clone, Copy, Args)]
pub struct Execution {
    /// Stages at once; one for each core, or each GPU, unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// How often a training stage keeps a checkpoint of what it has not finished
    #[arg(long, value_name = "N", default_value = CHECKPOINT_MINUTES, value_parser = minutes)]
    checkpoint_minutes: Duration,
}

/// How much is said.
#[derive(Debug, Clone, Copy, Args)]
pub struct Voice {
    /// Say nothing but failures
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more
    #[arg(short, long)]
    verbose: bool,
}

impl Voice {
    fn verbosity(self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        }
    }
}

/// Says why a command failed. A closed standard error leaves the exit code to speak.
pub fn complain(error: &Error) {
    match error {
        Error::Usage(rendered) => tell!("{rendered}"),
        other => tell!("error: {other}"),
    }
}

/// Runs what was typed.
pub fn dispatch(cli: Cli) -> Result<Exit> {
    crate::guard::shorten_panics();
    match cli.verb {
        Verb::Run(verb) => verb.run(),
        Verb::Plan(verb) => verb.run(),
        Verb::Check(verb) => verb.run(),
        Verb::Status(verb) => verb.run(),
        Verb::Cancel(verb) => verb.run(),
        Verb::Report(verb) => verb.run(),
        Verb::Show(verb) => verb.run(),
        Verb::Compare(verb) => verb.run(),
        Verb::Logs(verb) => verb.run(),
        Verb::Data(verb) => verb.run(),
        Verb::Score(verb) => verb.run(),
        Verb::Sample(verb) => verb.run(),
        Verb::Classify(verb) => verb.run(),
        Verb::Judge(verb) => verb.run(),
        Verb::Human(verb) => verb.run(),
        Verb::Export(verb) => verb.run(),
        Verb::Bench(verb) => verb.run(),
        Verb::Doctor(verb) => verb.run(),
        Verb::Gc(verb) => verb.run(),
        Verb::Completions(verb) => verb.run(),
        Verb::Stage(verb) => verb.run(),
    }
}
