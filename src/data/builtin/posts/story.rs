//! What happened, and how a post or an article tells it.

use super::Dice;
use super::words::{ASIDES, EVENTS, FAMILIARS, PUBLIC, SOURCES, TIMES, TOPICS, TRIFLES, VALUABLES, importance};

/// One event. No person, verb or thing occurs in two events of a story, so each of them tells which event is meant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// Who did it.
    pub who: &'static str,
    /// The verb.
    pub deed: &'static str,
    /// What it happened to.
    pub what: &'static str,
    /// When it happened, if that is told.
    pub when: Option<&'static str>,
    /// Whether the sentence ends in "!".
    pub stressed: bool,
    /// Whether it matters by its kind.
    pub matters: bool,
}

/// The voice of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// Someone about their own life.
    Personal,
    /// A newspaper.
    Public,
}

/// A story before it is put into words.
#[derive(Clone, Debug)]
pub struct Story {
    /// Its events in the order of the text.
    pub events: Vec<Event>,
    /// Whole sentences without a fact.
    pub asides: Vec<&'static str>,
    prompt: Vec<&'static str>,
}

impl Story {
    /// The text up to and including "tl;dr :".
    pub fn prompt(&self) -> String {
        self.prompt.join(" ")
    }

    /// Number of tokens of the prompt.
    pub fn tokens(&self) -> usize {
        self.prompt.len()
    }
}

/// A post: a title, one to three events that matter among some that do not, in any order, and asides.
pub fn post(dice: &mut Dice) -> Story {
    let mut events = draw(dice, Voice::Personal, &[3, 5, 3], &[5, 3]);
    shuffle(dice, &mut events);
    let asides = asides(dice, &[5, 4]);
    let mut prompt = vec!["title", ":"];
    title(dice, &events, &mut prompt);
    prompt.extend([".", "post", ":"]);
    tell(dice, Voice::Personal, &events, &asides, &mut prompt);
    Story { events, asides, prompt }
}

/// An article: no title, what matters first, more of it, and fewer asides.
pub fn article(dice: &mut Dice) -> Story {
    let events = draw(dice, Voice::Public, &[1, 4, 5], &[6, 3]);
    let asides = asides(dice, &[7, 3]);
    let mut prompt = vec!["news", ":"];
    tell(dice, Voice::Public, &events, &asides, &mut prompt);
    Story { events, asides, prompt }
}

/// Events that matter, then events that do not; the weights are those of one, two ... of them.
fn draw(dice: &mut Dice, voice: Voice, mattering: &[usize], idle: &[usize]) -> Vec<Event> {
    let mattering = 1 + dice.weighted(mattering);
    let total = mattering + 1 + dice.weighted(idle);
    let mut events: Vec<Event> = Vec::new();
    while events.len() < total {
        let event = event(dice, voice, events.len() < mattering);
        let clashes = |other: &Event| other.who == event.who || other.deed == event.deed || other.what == event.what;
        if !events.iter().any(clashes) {
            events.push(event);
        }
    }
    events
}

/// One event of the wanted kind, slight ones less often.
fn event(dice: &mut Dice, voice: Voice, matters: bool) -> Event {
    let who = subject(dice, voice);
    loop {
        let (deed, change) = dice.pick(EVENTS);
        let valuable = dice.chance(if matters { 0.75 } else { 0.4 });
        if (importance(change, valuable) > 0.0) == matters {
            let what = dice.pick(if valuable { VALUABLES } else { TRIFLES });
            let when = dice.chance(0.25).then(|| dice.pick(TIMES));
            let stressed = dice.chance(if matters { 0.35 } else { 0.1 });
            return Event { who, deed, what, when, stressed, matters };
        }
    }
}

fn subject(dice: &mut Dice, voice: Voice) -> &'static str {
    match voice {
        Voice::Personal if dice.chance(0.75) => dice.pick(FAMILIARS),
        Voice::Public if dice.chance(0.1) => dice.pick(&FAMILIARS[1..]),
        _ => dice.pick(PUBLIC),
    }
}

/// Different asides; the weights are those of none, one ...
fn asides(dice: &mut Dice, weights: &[usize]) -> Vec<&'static str> {
    let total = dice.weighted(weights);
    let mut chosen = Vec::new();
    while chosen.len() < total {
        let aside = dice.pick(ASIDES);
        if !chosen.contains(&aside) {
            chosen.push(aside);
        }
    }
    chosen
}

/// Names the person or the thing, or both, of one event, mostly of one that matters.
fn title(dice: &mut Dice, events: &[Event], words: &mut Vec<&'static str>) {
    let mattering: Vec<Event> = events.iter().filter(|event| event.matters).copied().collect();
    let choices = if dice.chance(0.75) { &mattering } else { events };
    let event = dice.pick(choices);
    // "help with i" is not English.
    let form = if event.who == "i" { 0 } else { dice.below(3) };
    if form < 2 {
        words.extend(dice.pick(TOPICS).split(' '));
    }
    words.extend([&[event.what][..], &[event.who], &[event.who, "and", event.what]][form]);
}

/// The sentences of the text, asides in random places among the events, and the request for a summary.
fn tell(dice: &mut Dice, voice: Voice, events: &[Event], asides: &[&'static str], words: &mut Vec<&'static str>) {
    let mut sentences: Vec<Vec<&'static str>> = events.iter().map(|event| told(dice, voice, event)).collect();
    for aside in asides {
        sentences.insert(dice.below(sentences.len() + 1), aside.split(' ').chain(["."]).collect());
    }
    words.extend(sentences.concat());
    words.extend(["tl;dr", ":"]);
}

/// An event as the text tells it: articles like to name a source and to put the thing first.
fn told(dice: &mut Dice, voice: Voice, event: &Event) -> Vec<&'static str> {
    let (sourced, passive) = if voice == Voice::Public { (0.2, 0.2) } else { (0.03, 0.05) };
    let mut words = Vec::new();
    if dice.chance(sourced) {
        words.extend(dice.pick(SOURCES).split(' '));
    }
    if event.who != "i" && dice.chance(passive) {
        words.extend([event.what, "got", event.deed, "by", event.who]);
    } else {
        words.extend([event.who, event.deed, event.what]);
    }
    words.extend(event.when.unwrap_or_default().split_whitespace());
    words.push(if event.stressed { "!" } else { "." });
    words
}

fn shuffle(dice: &mut Dice, events: &mut [Event]) {
    for last in (1..events.len()).rev() {
        events.swap(last, dice.below(last + 1));
    }
}
