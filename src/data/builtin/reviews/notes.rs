//! Writes neutral sentences about a film: how it was seen, what it tells, who made it.

use super::draft::Draft;
use super::words::{
    CREW, DEEDS, DESTINATIONS, HOURS, JOURNEYS, MAKINGS, PEOPLE, RELATIVES, SETTINGS, TELLINGS, TIMES, TRAITS, VENUES, WRITINGS,
};

/// Names of the film in the middle of a sentence.
const THE_FILM: &[&str] = &["the film", "this film", "the movie", "this movie"];

/// A text of one to three neutral sentences.
pub fn write(draft: &mut Draft) {
    let sentences = 1 + draft.dice.weighted(&[2, 5, 3]);
    let mut hero = false;
    for _ in 0..sentences {
        // A plot needs its hero before "he" or "she" can do anything.
        match draft.dice.weighted(&[4, 6, if hero { 10 } else { 0 }, 5]) {
            0 if draft.claim("viewing") => viewing(draft),
            2 => {
                deed(draft);
                if draft.dice.chance(0.35) {
                    draft.say("and");
                    deed(draft);
                }
            }
            3 => production(draft),
            _ => {
                telling(draft);
                hero = true;
            }
        }
        draft.say(".");
    }
}

/// "i saw this film last week with my sister" and its variants.
pub fn viewing(draft: &mut Draft) {
    let early = draft.dice.chance(0.3);
    if early {
        draft.say_one(TIMES);
    }
    if draft.dice.chance(0.3) {
        draft.say("my");
        draft.say_one(RELATIVES);
        draft.say_one(&["took me to", "chose"]);
        draft.say_one(THE_FILM);
    } else {
        draft.say_one(&["i", "i", "we"]);
        draft.say_one(&["saw", "watched"]);
        draft.say_one(THE_FILM);
        draft.maybe_one(0.25, VENUES);
        if draft.dice.chance(0.1) {
            draft.say("alone");
        } else if draft.dice.chance(0.35) {
            draft.say("with my");
            draft.say_one(RELATIVES);
        }
    }
    if !early {
        draft.maybe_one(0.5, TIMES);
    }
}

/// "the film follows a young doctor in a small town"
pub fn telling(draft: &mut Draft) {
    draft.say_one(&["the film", "this film", "the movie", "this movie", "the story", "the plot"]);
    draft.say_one(TELLINGS);
    person(draft);
    draft.maybe_one(0.5, SETTINGS);
}

/// "she meets an old soldier", "he returns to the sea"
fn deed(draft: &mut Draft) {
    draft.say_one(&["he", "she"]);
    match draft.dice.weighted(&[6, 3, 2]) {
        0 => {
            draft.say_one(DEEDS);
            person(draft);
            draft.maybe_one(0.3, SETTINGS);
        }
        1 => {
            draft.say_one(JOURNEYS);
            let place = draft.fresh(DESTINATIONS);
            draft.say(place);
        }
        _ => {
            draft.say("works as");
            person(draft);
            draft.maybe_one(0.4, SETTINGS);
        }
    }
}

/// A person with at most one trait: "an old sailor".
fn person(draft: &mut Draft) {
    let who = draft.fresh(PEOPLE);
    if draft.dice.chance(0.6) {
        let quality = draft.dice.pick(TRAITS);
        draft.say_article(quality);
        draft.say(quality);
    } else {
        draft.say_article(who);
    }
    draft.say(who);
}

/// Who made the film, where, and how long it is.
pub fn production(draft: &mut Draft) {
    match draft.fresh(&["making", "length", "casting", "writer", "crew", "author"]) {
        "making" => {
            draft.say("it was");
            draft.say_one(MAKINGS);
            draft.say_one(SETTINGS);
        }
        "length" => {
            draft.say_one(&["it", "the film", "the movie"]);
            draft.say("runs for");
            draft.say_one(HOURS);
        }
        "casting" => {
            if draft.dice.chance(0.4) {
                person(draft);
                draft.say("plays the");
                draft.say_one(PEOPLE);
            } else {
                draft.say("the cast includes");
                person(draft);
                draft.say("and");
                person(draft);
            }
        }
        "writer" => {
            draft.say("the");
            draft.say_one(WRITINGS);
            draft.say("was written by");
            person(draft);
        }
        "crew" => {
            draft.say("the");
            draft.say_one(CREW);
            draft.say("is");
            person(draft);
        }
        _ => {
            draft.say("the");
            draft.say_one(CREW);
            draft.maybe(0.4, "also");
            draft.say("wrote the");
            draft.say_one(WRITINGS);
        }
    }
}
