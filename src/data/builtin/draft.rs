//! A text being written: its words so far, and what it has already talked about.

use super::dice::Dice;

/// Words so far, with memory, so that a writer never says the same thing twice.
pub struct Draft<'a> {
    /// The source of every choice.
    pub dice: &'a mut Dice,
    words: Vec<&'static str>,
    used: Vec<&'static str>,
    repeats: bool,
}

impl<'a> Draft<'a> {
    /// An empty text.
    pub fn new(dice: &'a mut Dice) -> Self {
        Self { dice, words: Vec::new(), used: Vec::new(), repeats: false }
    }

    /// Appends a phrase of one or more words.
    pub fn say(&mut self, phrase: &'static str) {
        self.words.extend(phrase.split_whitespace());
    }

    /// Appends a uniform element of `phrases`.
    pub fn say_one(&mut self, phrases: &[&'static str]) {
        let phrase = self.dice.pick(phrases);
        self.say(phrase);
    }

    /// Appends `phrase` with probability `p`.
    pub fn maybe(&mut self, p: f64, phrase: &'static str) {
        if self.dice.chance(p) {
            self.say(phrase);
        }
    }

    /// Appends a uniform element of `phrases` with probability `p`.
    pub fn maybe_one(&mut self, p: f64, phrases: &[&'static str]) {
        if self.dice.chance(p) {
            self.say_one(phrases);
        }
    }

    /// Appends "a" or "an", as `next` asks.
    pub fn say_article(&mut self, next: &str) {
        self.say(if next.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" });
    }

    /// Marks `word` as used; false when it already was.
    pub fn claim(&mut self, word: &'static str) -> bool {
        let fresh = !self.used.contains(&word);
        if fresh {
            self.used.push(word);
        }
        fresh
    }

    /// A uniform element of `choices` that was not used before, now marked as used. When all are used, one of them again, and the
    /// text is spoilt.
    pub fn fresh(&mut self, choices: &[&'static str]) -> &'static str {
        let unused: Vec<&'static str> = choices.iter().copied().filter(|word| !self.used.contains(word)).collect();
        if unused.is_empty() {
            self.repeats = true;
            return self.dice.pick(choices);
        }
        let word = self.dice.pick(&unused);
        self.claim(word);
        word
    }

    /// Whether the text had to use a word twice that it should not.
    pub fn repeats(&self) -> bool {
        self.repeats
    }

    /// Number of tokens so far.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// The text, its tokens separated by single spaces.
    pub fn text(&self) -> String {
        self.words.join(" ")
    }
}
