//! A place in a sentence, with the few moves that a recursive-descent parser needs.

/// Tokens of one sentence without its end mark, and how many of them are consumed.
#[derive(Clone, Copy)]
pub struct Cursor<'a> {
    tokens: &'a [&'a str],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor before the first token.
    pub fn new(tokens: &'a [&'a str]) -> Self {
        Self { tokens, at: 0 }
    }

    /// Whether every token is consumed.
    pub fn finished(&self) -> bool {
        self.at == self.tokens.len()
    }

    /// The tokens consumed since `earlier`, as text.
    pub fn since(&self, earlier: &Self) -> String {
        self.tokens.get(earlier.at..self.at).unwrap_or_default().join(" ")
    }

    /// The next token, not consumed; empty at the end.
    pub fn peek(&self) -> &'a str {
        self.tokens.get(self.at).copied().unwrap_or("")
    }

    /// Consumes `phrase` (one or more words) if all of it comes next.
    pub fn eat(&mut self, phrase: &str) -> bool {
        let mut ahead = *self;
        for word in phrase.split(' ') {
            if ahead.peek() != word {
                return false;
            }
            ahead.at += 1;
        }
        *self = ahead;
        true
    }

    /// As `eat`, for use with `?`.
    pub fn need(&mut self, phrase: &str) -> Option<()> {
        self.eat(phrase).then_some(())
    }

    /// Consumes the first of `phrases` that comes next.
    pub fn one_of(&mut self, phrases: &[&'static str]) -> Option<&'static str> {
        phrases.iter().find(|phrase| self.eat(phrase)).copied()
    }

    /// Consumes a word of a table of strengths.
    pub fn weighed(&mut self, table: &[(&'static str, f64)]) -> Option<(&'static str, f64)> {
        table.iter().find(|(word, _)| self.eat(word)).copied()
    }

    /// Runs `rule`; when it fails, nothing is consumed.
    pub fn attempt<T>(&mut self, rule: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let before = *self;
        let result = rule(self);
        if result.is_none() {
            *self = before;
        }
        result
    }

    /// Runs `rule`; it must consume the sentence to its end.
    pub fn whole<T>(&mut self, rule: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.attempt(|cursor| rule(cursor).filter(|_| cursor.finished()))
    }
}
