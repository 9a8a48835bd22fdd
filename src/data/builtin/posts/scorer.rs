//! The true reward of any summary in the world of posts: exact, graded, in [0, 1].
//!
//! ```text
//! reward = g * (.1 + .9 coverage) * .5^invented * .65^asides * .7^idle * .9^extras
//! coverage = (importance of the facts that the summary states) / (importance of all facts of the post)
//! ```
//!
//! The importance of a fact is that of its kind (`words::importance`), times 1.5 when its sentence in the post ends in "!", times 1.5
//! when the title names its person or its thing. A statement is right when person, verb and thing are those of one sentence of the
//! post, and so is the time if it gives one; otherwise it is invented, and covers nothing.
//!
//! Costs are factors, not subtractions, so that every fault matters at every level and nothing is cut off at 0: an invention costs
//! more than an aside, that more than an idle fact (one of importance 0), that more than an extra (a time or a source that could have
//! been left out). Facts of importance above 0 have no cost of their own, so the best summary of a post has exactly 1. Silence has .1:
//! it is worth more than an invention, and less than any fact that matters.
//!
//! `g` is the share of tokens in sentences that parse and are not there for the second time, so repetition costs what it takes up.

use super::parser::{Fact, Sentence, sentence, sentences};

/// What the scorer found in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// The true reward, in [0, 1].
    pub reward: f64,
    /// Share of tokens in sentences that parse and do not repeat, in [0, 1]; 1 for an empty summary.
    pub grammatical: f64,
    /// Share of the post's importance that is stated, in [0, 1]; 0 when nothing in the post matters.
    pub coverage: f64,
    /// Sentences of the summary, a trailing incomplete one included.
    pub statements: usize,
    /// Right statements of facts that matter.
    pub important: usize,
    /// Right statements of facts that do not.
    pub idle: usize,
    /// Statements of what is not in the post.
    pub invented: usize,
    /// Sentences that are there for the second time.
    pub repeated: usize,
    /// Sentences that state nothing.
    pub asides: usize,
    /// Times and sources in right statements.
    pub extras: usize,
}

/// Reward of silence.
const SILENCE: f64 = 0.1;
/// Factors of each fault.
const INVENTED: f64 = 0.5;
const ASIDE: f64 = 0.65;
const IDLE: f64 = 0.7;
const EXTRA: f64 = 0.9;
/// What "!" and the title each do to importance.
const STRESS: f64 = 1.5;

/// Scores the summary in a text: what follows the last "tl;dr :", against what precedes it. Any text has a score; without "tl;dr :" it
/// is all zeros.
pub fn score(text: &str) -> Score {
    let tokens: Vec<&str> = text.split_whitespace().collect();
    let Some(end) = last(&tokens, "tl;dr") else { return Score::default() };
    let facts = facts(&tokens[..end]);
    judge(&facts, &tokens[end + 2..])
}

/// Index of the last `word` that ":" follows.
fn last(tokens: &[&str], word: &str) -> Option<usize> {
    tokens.windows(2).rposition(|pair| pair == [word, ":"])
}

/// The facts after the last "post :" or "news :", each once, with their importance.
fn facts<'a>(prompt: &[&'a str]) -> Vec<(Fact<'a>, f64)> {
    let Some(start) = last(prompt, "post").max(last(prompt, "news")) else { return Vec::new() };
    // After an example, an article would otherwise take the example's title.
    let title = last(&prompt[..start], "title").map(|title| &prompt[title + 2..start]).filter(|title| !title.contains(&"tl;dr"));
    let title = title.unwrap_or_default();
    let mut facts: Vec<(Fact, f64)> = Vec::new();
    for words in sentences(&prompt[start + 2..]) {
        let Some(Sentence::Fact(fact)) = sentence(words) else { continue };
        if facts.iter().any(|(other, _)| other.is_event_of(&fact)) {
            continue;
        }
        let titled = title.contains(&fact.who) || title.contains(&fact.what);
        let stress = [fact.stressed, titled].iter().filter(|stressed| **stressed).count();
        facts.push((fact, fact.importance() * STRESS.powi(stress as i32)));
    }
    facts
}

/// Scores the tokens of a summary.
fn judge(facts: &[(Fact, f64)], summary: &[&str]) -> Score {
    let mut score = Score::default();
    let mut said: Vec<Sentence> = Vec::new();
    let (mut counted, mut covered) = (0, 0.0);
    for words in sentences(summary) {
        score.statements += 1;
        let Some(parsed) = sentence(words) else { continue };
        if said.iter().any(|earlier| says_again(&parsed, earlier)) {
            score.repeated += 1;
            continue;
        }
        counted += words.len();
        match &parsed {
            Sentence::Aside(_) => score.asides += 1,
            Sentence::Fact(fact) => match facts.iter().find(|(told, _)| is_right(fact, told)) {
                None => score.invented += 1,
                Some((_, importance)) => {
                    covered += importance;
                    score.extras += usize::from(fact.when.is_some()) + usize::from(fact.sourced);
                    *(if *importance > 0.0 { &mut score.important } else { &mut score.idle }) += 1;
                }
            },
        }
        said.push(parsed);
    }
    let total: f64 = facts.iter().map(|(_, importance)| importance).sum();
    score.coverage = if total > 0.0 { (covered / total).min(1.0) } else { 0.0 };
    // Silence breaks no rule of grammar.
    score.grammatical = if summary.is_empty() { 1.0 } else { counted as f64 / summary.len() as f64 };
    let faults = [(INVENTED, score.invented), (ASIDE, score.asides), (IDLE, score.idle), (EXTRA, score.extras)];
    let kept: f64 = faults.iter().map(|(factor, count)| factor.powi(*count as i32)).product();
    score.reward = score.grammatical * (SILENCE + (1.0 - SILENCE) * score.coverage) * kept;
    score
}

fn says_again(sentence: &Sentence, earlier: &Sentence) -> bool {
    match (sentence, earlier) {
        (Sentence::Fact(fact), Sentence::Fact(before)) => fact.is_event_of(before),
        _ => sentence == earlier,
    }
}

/// Whether all that `fact` says was told; it may leave out the time, and anything about sources.
fn is_right(fact: &Fact, told: &Fact) -> bool {
    fact.is_event_of(told) && (fact.when.is_none() || fact.when == told.when)
}
