//! The true reward of any answer in the world of questions: exact, graded, in [0, 1].
//!
//! ```text
//! reward = g * logistic(-1.2 + 4.2 a + .4 a f - 2.6 w - .15 i)
//! ```
//!
//! - `a`: how much of what was asked is answered, the mean over its parts: 1 for nothing but the truth, 1/2 where it comes with
//!   "perhaps", 0 where nothing or anything false is said. So saying all that could be true wins nothing.
//! - `f`: 1 with a friendly word, else 0. It is worth little, and nothing without an answer.
//! - `w`: false statements, asked for or not. One costs more than answering one of two parts gains: the evasive answer, at
//!   logistic(-1.2) = .23, is better than any answer of which half is false, as trust is lost more easily than time.
//! - `i`: idle tokens: statements that nobody asked for, chatter, evasions after the first or where nothing is left open, and
//!   friendly words after the first or without an answer. A sentence's tokens are divided equally among the things it says.
//! - `g`: share of tokens in sentences that parse and say nothing for a second time; text after the last "." is in none.
//!
//! The truth alone has logistic(3) = .95; six idle tokens leave .89, fourteen .71; half an answer has .71, a false one .02.
//! Log-odds add up, so that there is always something to gain or lose and no bound is hit. `parser` reads the text; the writers
//! share only tables with it.

use std::collections::HashSet;

use super::knowledge::{Animal, Topic};
use super::parser::{Claim, Remark, Sentence, asked, sentence};

const NOTHING: f64 = -1.2;
const ANSWERED: f64 = 4.2;
const FRIENDLY: f64 = 0.4;
const WRONG: f64 = -2.6;
const IDLE: f64 = -0.15;

/// What the scorer found in an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// The true reward, in [0, 1].
    pub reward: f64,
    /// Share of what was asked that is answered, in [0, 1].
    pub correct: f64,
    /// Number of false statements.
    pub wrong: usize,
    /// Whether the answer evades, in whole or in part.
    pub evasive: bool,
    /// Whether the answer has a friendly word.
    pub friendly: bool,
    /// Tokens that answer nothing, fractional where a sentence does several things.
    pub idle: f64,
    /// Number of sentences that parse but say something for a second time.
    pub repeated: usize,
    /// Share of tokens in sentences that parse and do not repeat, in [0, 1].
    pub grammatical: f64,
}

/// Scores a whole text: the answer follows the last "assistant :", the question the last "human :" before it. Any text has a
/// score; without a question or an answer all of it is 0.
pub fn score(text: &str) -> Score {
    let words: Vec<&str> = text.split_whitespace().collect();
    after(&words, "assistant").map_or_else(Score::default, |answer| score_words(&words[..words.len() - answer.len()], answer))
}

/// Scores `answer` to the last question of `prompt`. This is for completions of a known prompt: one that goes on as the human is
/// ungrammatical from there, while `score` would let it choose its own question.
pub fn score_answer(prompt: &str, answer: &str) -> Score {
    let [prompt, answer] = [prompt, answer].map(|text| text.split_whitespace().collect::<Vec<&str>>());
    score_words(&prompt, &answer)
}

/// What follows the last turn of `speaker`.
fn after<'a>(words: &'a [&'a str], speaker: &str) -> Option<&'a [&'a str]> {
    let turn = words.windows(2).rposition(|pair| pair == [speaker, ":"])?;
    words.get(turn + 2..)
}

fn score_words(prompt: &[&str], answer: &[&str]) -> Score {
    let question = after(prompt, "human").unwrap_or_default();
    let (topics, referent) = asked(question);
    if topics.is_empty() || answer.is_empty() {
        return Score::default();
    }
    let Reading { said, counted, repeated } = read(answer, referent);
    let claims = || said.iter().flat_map(|(sentence, _)| &sentence.claims);
    let correct = topics.iter().map(|topic| credit(*topic, claims())).sum::<f64>() / topics.len() as f64;
    let wrong = claims().filter(|claim| is_false(claim)).count();
    let remarks = |kind: Remark| said.iter().any(|(sentence, _)| sentence.remarks.iter().any(|(remark, _)| *remark == kind));
    let (evasive, friendly) = (remarks(Remark::Evasion), remarks(Remark::Courtesy));
    let idle = idle(&said, &topics, correct);
    let grammatical = counted as f64 / answer.len() as f64;
    let bonus = if friendly { FRIENDLY * correct } else { 0.0 };
    let log_odds = NOTHING + ANSWERED * correct + bonus + WRONG * wrong as f64 + IDLE * idle;
    let reward = grammatical / (1.0 + (-log_odds).exp());
    Score { reward, correct, wrong, evasive, friendly, idle, repeated, grammatical }
}

/// The sentences of an answer that parse and are new, each with the tokens that fall to each thing it says.
struct Reading {
    said: Vec<(Sentence, f64)>,
    counted: usize,
    repeated: usize,
}

fn read(answer: &[&str], mut referent: Option<&'static Animal>) -> Reading {
    let (mut claims, mut remarks) = (HashSet::new(), HashSet::new());
    let mut reading = Reading { said: Vec::new(), counted: 0, repeated: 0 };
    for words in answer.split_inclusive(|token| *token == ".") {
        let Some(found) = sentence(words, referent) else { continue };
        referent = found.referent;
        let (before, things) = (claims.len() + remarks.len(), found.claims.len() + found.remarks.len());
        claims.extend(found.claims.iter().cloned());
        remarks.extend(found.remarks.iter().cloned());
        if claims.len() + remarks.len() < before + things {
            reading.repeated += 1;
            continue;
        }
        reading.counted += words.len();
        reading.said.push((found, words.len() as f64 / things as f64));
    }
    reading
}

fn is_false(claim: &Claim) -> bool {
    claim.value != claim.topic.truth()
}

/// How far `topic` is answered: 1 by nothing but the truth, 1/2 by the truth with "perhaps", 0 where nothing or something false is
/// said.
fn credit<'a>(topic: Topic, claims: impl Iterator<Item = &'a Claim>) -> f64 {
    let about: Vec<&Claim> = claims.filter(|claim| claim.topic == topic).collect();
    if about.iter().any(|claim| is_false(claim)) {
        return 0.0;
    }
    about.iter().map(|claim| if claim.certain { 1.0 } else { 0.5 }).reduce(f64::min).unwrap_or(0.0)
}

/// Tokens spent on what nobody asked for.
fn idle(said: &[(Sentence, f64)], topics: &[Topic], correct: f64) -> f64 {
    let open = topics.iter().any(|topic| !said.iter().any(|(found, _)| found.claims.iter().any(|claim| claim.topic == *topic)));
    let (mut evasions, mut courtesies) = (usize::from(open), usize::from(correct > 0.0));
    let mut tokens = 0.0;
    for (found, share) in said {
        tokens += share * found.claims.iter().filter(|claim| !topics.contains(&claim.topic)).count() as f64;
        for (remark, _) in &found.remarks {
            let left = match remark {
                Remark::Evasion => &mut evasions,
                Remark::Courtesy => &mut courtesies,
                Remark::Chatter => &mut 0,
            };
            if *left > 0 {
                *left -= 1;
            } else {
                tokens += share;
            }
        }
    }
    tokens
}
