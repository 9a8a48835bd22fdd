//! Writes prompts: one or two attributes of an animal are asked for, in many wordings.

use super::super::draft::Draft;
use super::knowledge::{ANIMALS, Animal, Attribute, Topic};
use super::words::{CURIOSITY, ENCOUNTERS, GREETINGS, OCCASIONS, RELATIVES, REQUESTS};

/// "the fox", or "it" for None, which is the animal named last.
pub fn subject(draft: &mut Draft, animal: Option<&'static Animal>) {
    match animal {
        Some(animal) => {
            draft.say("the");
            draft.say(animal.name);
        }
        None => draft.say("it"),
    }
}

/// A uniform animal.
pub fn any_animal(draft: &mut Draft) -> &'static Animal {
    &ANIMALS[draft.dice.below(ANIMALS.len())]
}

/// Writes a prompt, "human : ... assistant :"; what it asks, one or two attributes of one animal.
pub fn ask(draft: &mut Draft) -> Vec<Topic> {
    let topics = any_topics(draft);
    draft.say("human :");
    context(draft, topics[0].animal);
    let request = draft.dice.chance(0.65).then(|| draft.dice.pick(REQUESTS));
    if let Some((words, _)) = request {
        draft.say(words);
    }
    for (position, topic) in topics.iter().enumerate() {
        if position > 0 {
            draft.say("and");
        }
        let named = (position == 0).then_some(topic.animal);
        if request.is_some() { indirect(draft, topic.attribute, named) } else { direct(draft, topic.attribute, named) }
    }
    draft.say(request.map_or("?", |(_, mark)| mark));
    draft.say("assistant :");
    topics
}

/// One or two attributes of a uniform animal.
pub fn any_topics(draft: &mut Draft) -> Vec<Topic> {
    let animal = any_animal(draft);
    let attribute = draft.dice.pick(&Attribute::ALL);
    let mut topics = vec![Topic { animal, attribute }];
    if draft.dice.chance(0.45) {
        let others: Vec<Attribute> = Attribute::ALL.into_iter().filter(|other| *other != attribute).collect();
        topics.push(Topic { animal, attribute: draft.dice.pick(&others) });
    }
    topics
}

/// Nothing, or a sentence before the question: a greeting, who is curious, or where an animal was met, which may be another
/// than is asked about.
fn context(draft: &mut Draft, animal: &'static Animal) {
    match draft.dice.weighted(&[3, 2, 4, 6]) {
        0 => return,
        1 => draft.say_one(GREETINGS),
        2 => {
            draft.say("my");
            draft.say_one(RELATIVES);
            draft.say_one(CURIOSITY);
        }
        _ => {
            let met = if draft.dice.chance(0.6) { animal } else { any_animal(draft) };
            encounter(draft, met);
        }
    }
    draft.say(".");
}

/// "i saw the fox yesterday"
pub fn encounter(draft: &mut Draft, animal: &'static Animal) {
    draft.say_one(ENCOUNTERS);
    subject(draft, Some(animal));
    draft.maybe_one(0.5, OCCASIONS);
}

/// "what does the fox eat", "where does it live"
pub fn direct(draft: &mut Draft, attribute: Attribute, animal: Option<&'static Animal>) {
    let usual = draft.dice.chance(0.6);
    let (asked, rest) = match attribute {
        Attribute::Food => (if usual { "what does" } else { "what food does" }, "eat"),
        Attribute::Home => (if usual { "where does" } else { "in which place does" }, "live"),
        Attribute::Colour if usual => ("what colour is", ""),
        Attribute::Colour => ("what colour does", "have"),
        Attribute::Fear if usual => ("what does", "fear"),
        Attribute::Fear => ("what is", "afraid of"),
    };
    draft.say(asked);
    subject(draft, animal);
    draft.say(rest);
}

/// "what the fox eats", "where it lives"
pub fn indirect(draft: &mut Draft, attribute: Attribute, animal: Option<&'static Animal>) {
    let usual = draft.dice.chance(0.6);
    let (asked, rest) = match attribute {
        Attribute::Food => (if usual { "what" } else { "what food" }, "eats"),
        Attribute::Home => (if usual { "where" } else { "in which place" }, "lives"),
        Attribute::Colour => ("what colour", if usual { "is" } else { "has" }),
        Attribute::Fear => ("what", if usual { "fears" } else { "is afraid of" }),
    };
    draft.say(asked);
    subject(draft, animal);
    draft.say(rest);
}
