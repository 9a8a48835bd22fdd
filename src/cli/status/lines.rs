//! A study's state as lines of text, and which of them a screen shows: pure functions.

use crate::cli::look::{Doing, Seen, seconds_left};
use crate::plan::SavedStage;
use crate::store::Status;

/// What a line is worth on a screen that has no room for all; lower ones go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Study,
    Running,
    Trouble,
    Log,
    Waiting,
    Done,
}

/// How a line is coloured, where there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// A study's own line.
    Heading,
    /// Something that goes on.
    Running,
    /// Something that a person should look at.
    Trouble,
    /// Everything else.
    Quiet,
}

/// A line of text, without colours and without its end.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    rank: Rank,
    /// How it is coloured.
    pub tone: Tone,
    /// What it says.
    pub text: String,
}

/// The words of the counts, in the order in which stages are shown.
const ORDER: [&str; 9] = ["running", "failed", "gone", "corrupt", "stopped", "queued", "waiting", "blocked", "done"];

/// A study's line, and one for each stage that is not done (or for every stage, with `all`), with its log below where it failed.
pub(super) fn lines(seen: &Seen, now: f64, all: bool) -> Vec<Line> {
    let of_order = |name: &str| match seen.count(name) {
        0 => String::new(),
        count => format!(", {count} {name}"),
    };
    let counts: String = ORDER.iter().filter(|name| **name != "done").map(|name| of_order(name)).collect();
    let done = seen.count("done");
    let text = format!("{}: {} runs, {done} of {} stages done{counts}", seen.study, seen.runs, seen.stages.len());
    let mut lines = vec![Line { rank: Rank::Study, tone: Tone::Heading, text }];
    for name in ORDER.iter().filter(|name| all || **name != "done") {
        for (stage, doing) in seen.stages.iter().filter(|(_, doing)| doing.name() == *name) {
            stage_lines(stage, doing, now, &mut lines);
        }
    }
    lines
}

fn stage_lines(stage: &SavedStage, doing: &Doing, now: f64, lines: &mut Vec<Line>) {
    let (rank, tone) = match doing {
        Doing::Running(_) => (Rank::Running, Tone::Running),
        Doing::Failed(..) | Doing::Gone(..) | Doing::Corrupt(_) | Doing::Stopped(_) => (Rank::Trouble, Tone::Trouble),
        Doing::Queued(_) | Doing::Waiting | Doing::Blocked => (Rank::Waiting, Tone::Quiet),
        Doing::Done => (Rank::Done, Tone::Quiet),
    };
    let (what, log): (String, &[String]) = match doing {
        Doing::Running(status) => {
            let left = seconds_left(stage, status, now).map(|seconds| format!("{} left", duration(seconds)));
            ([Some(progress(status)), left].into_iter().flatten().collect::<Vec<_>>().join(", "), &[])
        }
        Doing::Failed(message, log) => (message.clone(), log),
        Doing::Gone(status, log) => (format!("killed? it was at {}", progress(status)), log),
        Doing::Stopped(status) => (format!("at {}", progress(status)), &[]),
        Doing::Corrupt(why) | Doing::Queued(why) => (why.clone(), &[]),
        Doing::Waiting | Doing::Blocked | Doing::Done => (String::new(), &[]),
    };
    let separator = if what.is_empty() { "" } else { ": " };
    // A message of several lines must not look like several stages.
    let text = plain(&format!("{}{separator}{what}", stage.label));
    lines.push(Line { rank, tone, text: format!("  {:7}  {text}", doing.name()) });
    lines.extend(log.iter().map(|line| Line {
        rank: Rank::Log,
        tone: Tone::Quiet,
        text: format!("           | {}", plain(line)),
    }));
}

/// Text without what could move a terminal's cursor.
fn plain(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

/// How far a stage is.
fn progress(status: &Status) -> String {
    let percent = (100 * status.done).checked_div(status.total);
    let place = percent.map(|percent| format!(" {} of {} ({percent}%)", status.done, status.total)).unwrap_or_default();
    let mut parts = vec![format!("{}{place}", status.doing)];
    parts.extend(status.loss.map(|loss| format!("loss {loss:.4}")));
    parts.extend(status.tokens_per_s.map(|rate| format!("{rate:.0} tokens/s")));
    parts.join(", ")
}

/// Seconds in the two units that say most.
fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {:02} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes:02} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// The lines of all studies that a screen of this size has room for, in their order; the last of them says what is left out.
pub(super) fn screen(studies: &[Seen], now: f64, width: usize, height: usize) -> Vec<Line> {
    let mut all: Vec<Line> = studies.iter().flat_map(|seen| lines(seen, now, false)).collect();
    if all.len() > height {
        let room = height.saturating_sub(1);
        let mut by_worth: Vec<usize> = (0..all.len()).collect();
        by_worth.sort_by_key(|index| all[*index].rank);
        let mut kept = by_worth[..room].to_vec();
        kept.sort_unstable();
        let left_out = all.len() - room;
        all = kept.into_iter().map(|index| all[index].clone()).collect();
        let text = format!("  … and {left_out} lines more: dpo-lab status shows them");
        all.extend((height > 0).then_some(Line { rank: Rank::Done, tone: Tone::Quiet, text }));
    }
    for line in &mut all {
        line.text = ::console::truncate_str(&line.text, width, "…").into_owned();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Key;
    use std::collections::BTreeMap;

    fn seen(doing: Vec<Doing>) -> Seen {
        let stage = |(index, doing): (usize, Doing)| {
            let key = Key::of(index.to_string());
            let (label, kind) = (format!("stage {index}"), "train".to_owned());
            (SavedStage { label, kind, key, parameters: serde_json::Value::Null, inputs: BTreeMap::new() }, doing)
        };
        Seen { study: "small".into(), runs: 2, stages: doing.into_iter().enumerate().map(stage).collect() }
    }

    fn training() -> Status {
        let (loss, tokens_per_s) = (Some(0.512_34), Some(1234.5));
        Status {
            done: 30,
            total: 120,
            began: 100.0,
            updated: 130.0,
            loss,
            tokens_per_s,
            doing: "training".into(),
            ..Status::default()
        }
    }

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn every_stage_that_is_not_done_says_what_it_does() {
        let failed = Doing::Failed("the loss is not finite\nat step 3".into(), vec!["step \u{1b}[31m2".into()]);
        let gone = Doing::Gone(training(), Vec::new());
        let doing = vec![Doing::Done, Doing::Waiting, failed, Doing::Running(training()), gone, Doing::Blocked];
        let seen = seen(doing);
        assert_eq!(
            texts(&lines(&seen, 130.0, false)),
            [
                "small: 2 runs, 1 of 6 stages done, 1 running, 1 failed, 1 gone, 1 waiting, 1 blocked",
                "  running  stage 3: training 30 of 120 (25%), loss 0.5123, 1234 tokens/s, 1 min 30 s left",
                "  failed   stage 2: the loss is not finite at step 3",
                "           | step  [31m2",
                "  gone     stage 4: killed? it was at training 30 of 120 (25%), loss 0.5123, 1234 tokens/s",
                "  waiting  stage 1",
                "  blocked  stage 5",
            ]
        );
        assert_eq!(texts(&lines(&seen, 130.0, true)).last(), Some(&"  done     stage 0"));
    }

    #[test]
    fn a_finished_study_is_one_line() {
        assert_eq!(texts(&lines(&seen(vec![Doing::Done; 3]), 0.0, false)), ["small: 2 runs, 3 of 3 stages done"]);
    }

    #[test]
    fn a_screen_is_never_larger_than_the_terminal_and_keeps_what_is_worth_most() {
        let mut doing = vec![Doing::Waiting; 500];
        doing[400] = Doing::Failed("no".into(), vec!["one".into(), "two".into()]);
        doing[450] = Doing::Running(training());
        let studies = [seen(doing), seen(vec![Doing::Running(training())])];
        for (width, height) in [(80, 24), (20, 3), (1, 1), (0, 0), (200, 600)] {
            let shown = screen(&studies, 130.0, width, height);
            assert!(shown.len() <= height, "{width} x {height}");
            assert!(shown.iter().all(|line| ::console::measure_text_width(&line.text) <= width), "{width} x {height}");
        }
        let shown = screen(&studies, 130.0, 80, 7);
        let ranks: Vec<Rank> = shown[..6].iter().map(|line| line.rank).collect();
        assert_eq!(ranks, [Rank::Study, Rank::Running, Rank::Trouble, Rank::Log, Rank::Study, Rank::Running]);
        assert!(shown[6].text.contains("lines more"), "{shown:?}");
    }

    #[test]
    fn durations_are_two_units() {
        for (seconds, text) in
            [(0.4, "0 s"), (59.0, "59 s"), (61.0, "1 min 01 s"), (3700.0, "1 h 01 min"), (180_000.0, "2 d 2 h")]
        {
            assert_eq!(duration(seconds), text);
        }
    }
}
