//! What a person sees while stages run: bars on a terminal, plain lines elsewhere. All of it goes to stderr.

use crate::console::harmless;
use crate::store::{Key, Status};
use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Failures only.
    Quiet,
    /// What starts and ends.
    Normal,
    /// Also what each worker does.
    Verbose,
}

/// The study's bar and one for each running stage, or lines.
pub struct Progress {
    bars: Option<MultiProgress>,
    study: ProgressBar,
    running: HashMap<Key, (ProgressBar, String, Instant)>,
    verbosity: Verbosity,
    total: usize,
    finished: usize,
}

impl Progress {
    /// For `total` stages that are to run.
    pub fn new(study: &str, total: usize, verbosity: Verbosity) -> Self {
        let terminal = std::io::stderr().is_terminal() && verbosity > Verbosity::Quiet;
        let bars = terminal.then(MultiProgress::new);
        let bar = match &bars {
            Some(bars) => bars.add(ProgressBar::new(total as u64)),
            None => ProgressBar::hidden(),
        };
        bar.set_style(style("{prefix:<28!} {wide_bar:.cyan/white.dim} {pos}/{len} stages, {elapsed}"));
        bar.set_prefix(study.to_owned());
        bar.enable_steady_tick(Duration::from_millis(500));
        Progress { bars, study: bar, running: HashMap::new(), verbosity, total, finished: 0 }
    }

    /// Lets another thread say something, however little else is said.
    pub fn speaker(&self) -> impl Fn(&str) + Send + use<> {
        let bars = self.bars.clone();
        move |text| match &bars {
            Some(bars) => {
                let _ = bars.println(harmless(text));
            }
            None => tell!("{text}"),
        }
    }

    /// A stage starts.
    pub fn started(&mut self, key: &Key, label: &str) {
        let bar = match &self.bars {
            Some(bars) => bars.insert_before(&self.study, ProgressBar::new(0)),
            None => ProgressBar::hidden(),
        };
        bar.set_style(style("{prefix:<28!} {wide_bar:.green/white.dim} {pos}/{len} {msg}"));
        bar.set_prefix(label.to_owned());
        self.running.insert(*key, (bar, label.to_owned(), Instant::now()));
        if self.verbosity == Verbosity::Verbose {
            self.line(&format!("starting {label}"));
        }
    }

    /// How far a running stage is.
    pub fn at(&mut self, key: &Key, status: &Status) {
        let Some((bar, _, started)) = self.running.get(key) else { return };
        bar.set_length(status.total);
        bar.set_position(status.done);
        let mut parts = vec![status.doing.clone()];
        parts.extend(status.loss.map(|loss| format!("loss {loss:.4}")));
        parts.extend(status.tokens_per_s.map(|rate| format!("{rate:.0} tokens/s")));
        if status.done > 0 && status.total > status.done {
            let left = started.elapsed().mul_f64((status.total - status.done) as f64 / status.done as f64);
            parts.push(format!("{} left", HumanDuration(left)));
        }
        bar.set_message(harmless(&parts.join(", ")).into_owned());
    }

    /// A stage ends.
    pub fn finished(&mut self, key: &Key, how: &str) {
        self.finished += usize::from(self.running.contains_key(key));
        self.put_back(key, how);
    }

    /// Stages that were there have to be made, too.
    pub fn more(&mut self, stages: usize) {
        self.total += stages;
        self.study.set_length(self.total as u64);
    }

    /// A stage stops running, and will have to run again.
    pub fn put_back(&mut self, key: &Key, how: &str) {
        let Some((bar, label, started)) = self.running.remove(key) else { return };
        bar.finish_and_clear();
        if let Some(bars) = &self.bars {
            bars.remove(&bar);
        }
        self.study.set_position(self.finished as u64);
        let seconds = started.elapsed().as_secs_f64();
        if self.bars.is_none() || how != "done" {
            self.line(&format!("[{}/{}] {label}: {how} after {seconds:.1} s", self.finished, self.total));
        }
    }

    /// Says something.
    pub fn line(&self, text: &str) {
        match (&self.bars, self.verbosity) {
            (_, Verbosity::Quiet) => {}
            (Some(bars), _) => {
                let _ = bars.println(harmless(text));
            }
            (None, _) => tell!("{text}"),
        }
    }

    /// Takes the bars away.
    pub fn end(&self) {
        self.study.finish_and_clear();
    }
}

/// A bar's style; templates here are constants, and a wrong one falls back to indicatif's own.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_that_runs_twice_counts_once_and_one_that_has_to_be_made_again_adds_to_the_total() {
        let mut progress = Progress::new("study", 1, Verbosity::Quiet);
        let key = Key::of("a stage");
        progress.started(&key, "a stage");
        progress.put_back(&key, "found a corrupt input");
        progress.more(1);
        for stage in [Key::of("its input"), key] {
            progress.started(&stage, "a stage");
            progress.finished(&stage, "done");
            progress.finished(&stage, "done");
        }
        assert_eq!((progress.finished, progress.total), (2, 2));
    }
}
