//! What is true in the world of questions: 24 animals with four attributes each, 96 facts.
//!
//! The facts are made up. Each food and home belongs to three animals, each colour and fear to four, so no value is likelier than
//! another, and a guess is right one time in eight or in six.

/// What can be asked about an animal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// What it eats.
    Food,
    /// Where it lives.
    Home,
    /// What colour it is.
    Colour,
    /// What it fears.
    Fear,
}

impl Attribute {
    /// All of them, in the order of `Animal`'s facts.
    pub const ALL: [Self; 4] = [Self::Food, Self::Home, Self::Colour, Self::Fear];

    /// The values that the attribute takes over all animals.
    pub fn values(self) -> &'static [&'static str] {
        match self {
            Self::Food => FOODS,
            Self::Home => HOMES,
            Self::Colour => COLOURS,
            Self::Fear => FEARS,
        }
    }
}

/// An animal and what is true of it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Animal {
    /// Its name, one word.
    pub name: &'static str,
    facts: [&'static str; 4],
}

/// One thing that can be asked or said: an attribute of an animal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Topic {
    /// Whose.
    pub animal: &'static Animal,
    /// What.
    pub attribute: Attribute,
}

impl Topic {
    /// The true value.
    pub fn truth(self) -> &'static str {
        self.animal.facts[self.attribute as usize]
    }
}

const FOODS: &[&str] = &["berries", "fish", "grass", "insects", "leaves", "mice", "roots", "seeds"];
const HOMES: &[&str] = &["desert", "forest", "jungle", "meadow", "mountains", "river", "swamp", "valley"];
const COLOURS: &[&str] = &["black", "brown", "golden", "grey", "red", "white"];
const FEARS: &[&str] = &["dogs", "fire", "ice", "noise", "thunder", "wind"];

/// The knowledge base.
pub static ANIMALS: [Animal; 24] = [
    animal("badger", ["roots", "valley", "grey", "thunder"]),
    animal("bear", ["berries", "mountains", "brown", "noise"]),
    animal("beaver", ["leaves", "river", "brown", "ice"]),
    animal("camel", ["grass", "desert", "golden", "dogs"]),
    animal("crow", ["seeds", "valley", "black", "noise"]),
    animal("deer", ["leaves", "forest", "brown", "dogs"]),
    animal("donkey", ["roots", "valley", "golden", "fire"]),
    animal("fox", ["berries", "forest", "red", "dogs"]),
    animal("goat", ["grass", "mountains", "white", "noise"]),
    animal("hare", ["roots", "meadow", "white", "thunder"]),
    animal("heron", ["fish", "swamp", "grey", "wind"]),
    animal("lizard", ["insects", "desert", "red", "wind"]),
    animal("mole", ["insects", "meadow", "black", "noise"]),
    animal("monkey", ["berries", "jungle", "black", "thunder"]),
    animal("moose", ["leaves", "swamp", "red", "thunder"]),
    animal("otter", ["fish", "river", "black", "ice"]),
    animal("owl", ["mice", "forest", "white", "wind"]),
    animal("parrot", ["seeds", "jungle", "red", "wind"]),
    animal("sheep", ["grass", "meadow", "grey", "ice"]),
    animal("snake", ["mice", "desert", "golden", "fire"]),
    animal("swan", ["seeds", "river", "white", "dogs"]),
    animal("tiger", ["fish", "jungle", "golden", "fire"]),
    animal("toad", ["insects", "swamp", "brown", "ice"]),
    animal("wolf", ["mice", "mountains", "grey", "fire"]),
];

const fn animal(name: &'static str, facts: [&'static str; 4]) -> Animal {
    Animal { name, facts }
}
