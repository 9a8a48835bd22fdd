//! A judge with known faults, to test what a study makes of them: it is right only so often, and sometimes it answers "first"
//! without having read.

use super::truth::Truth;
use super::{Choice, Judge, JudgeSettings, Materials, Question, Verdict};
use crate::error::Result;
use crate::random::Stream;
use serde::{Deserialize, Serialize};

/// `[judge.biased]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Biased {
    /// Share of questions that it reads and answers as the true reward does; it answers the others that it reads the wrong way.
    #[serde(default = "accuracy")]
    pub accuracy: f64,
    /// Share of questions that it answers with "first" without reading them.
    #[serde(default)]
    pub unread: f64,
    /// Which of them.
    #[serde(default)]
    pub seed: u64,
}

fn accuracy() -> f64 {
    0.8
}

impl JudgeSettings for Biased {
    fn needs_truth(&self) -> bool {
        true
    }

    fn problems(&self) -> Vec<(&'static str, String, String)> {
        let share = |key, value: f64| {
            let what = || (key, format!("`{key}` must lie in [0, 1], not {value}"), "it is a share of the questions".to_owned());
            (!(0.0..=1.0).contains(&value)).then(what)
        };
        share("accuracy", self.accuracy).into_iter().chain(share("unread", self.unread)).collect()
    }

    fn open(&self, materials: Materials<'_>) -> Result<Box<dyn Judge>> {
        Ok(Box::new(Faulty { settings: self.clone(), truth: Truth::new(materials)? }))
    }
}

struct Faulty {
    settings: Biased,
    truth: Truth,
}

impl Judge for Faulty {
    fn judge(&self, questions: &[Question<'_>], progress: &mut dyn FnMut(usize)) -> Result<Vec<Verdict>> {
        let mut verdicts = self.truth.judge(questions, progress)?;
        for (question, verdict) in questions.iter().zip(&mut verdicts) {
            // The faults belong to the question, wherever it is asked.
            let asked = [&question.prompt.text, &question.first.text, &question.second.text];
            let mut stream = Stream::new(self.settings.seed, 0, &format!("faults of a judge {asked:?}"), 0);
            let (unread, right) = (stream.uniform() < self.settings.unread, stream.uniform() < self.settings.accuracy);
            verdict.choice = match verdict.choice {
                _ if unread => Choice::First,
                Choice::First if !right => Choice::Second,
                Choice::Second if !right => Choice::First,
                choice => choice,
            };
            if unread {
                verdict.reason = "unread".to_owned();
            }
        }
        Ok(verdicts)
    }
}
