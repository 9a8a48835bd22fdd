//! How many texts there are, and how long they are: known where the store has them or a built-in world writes them, and at most what
//! the study allows elsewhere.

use crate::data::builtin::{World, posts, questions, reviews};
use crate::resolve::Corpus;
use crate::spec;

/// So many texts of a built-in world are written to see how long they are.
const WRITTEN: usize = 400;
/// Prompts of a world that can be enumerated: the start token and two letters.
const ORACLE_PROMPT: f64 = 3.0;

/// Pieces of text, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Texts {
    /// How many.
    pub count: f64,
    /// Their mean length.
    pub mean: f64,
    /// The longest one.
    pub longest: f64,
}

impl Texts {
    /// Of these lengths; nothing of none.
    pub fn of(lengths: &[usize]) -> Option<Self> {
        let longest = *lengths.iter().max()? as f64;
        Some(Texts { count: lengths.len() as f64, mean: lengths.iter().sum::<usize>() as f64 / lengths.len() as f64, longest })
    }

    /// So many, of which nothing is known but the greatest length.
    pub fn at_most(count: f64, longest: f64) -> Self {
        Texts { count, mean: longest, longest }
    }

    /// As long as these, but so many.
    pub fn times(self, count: f64) -> Self {
        Texts { count, ..self }
    }

    /// None longer than this.
    pub fn cut(self, longest: f64) -> Self {
        Texts { mean: self.mean.min(longest), longest: self.longest.min(longest), ..self }
    }

    /// Tokens of all.
    pub fn tokens(&self) -> f64 {
        self.count * self.mean
    }
}

/// Prompts, and what follows them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pieces {
    /// What is given, with its start token.
    pub prompts: Texts,
    /// What comes after one, with its end token.
    pub completions: Texts,
}

/// Completions that are run together share their prompt, up to so many of them.
const SIBLINGS: f64 = 8.0;

impl Pieces {
    /// Completions with the prompts that are run for them: one for all that share it.
    pub fn shared(prompts: Texts, completions: Texts) -> Self {
        let each = completions.count / prompts.count.max(1.0);
        Pieces { prompts: prompts.times(prompts.count * (each / SIBLINGS).ceil()), completions }
    }

    /// Tokens of every completion with its prompt: what a record counts.
    pub fn tokens(&self) -> f64 {
        self.completions.count * self.length()
    }

    /// Tokens that are run.
    pub fn run(&self) -> f64 {
        self.prompts.tokens() + self.completions.tokens()
    }

    /// Mean length of a completion with its prompt.
    pub fn length(&self) -> f64 {
        self.prompts.mean + self.completions.mean
    }

    /// The same of the longest.
    pub fn longest(&self) -> f64 {
        self.prompts.longest + self.completions.longest
    }

    /// These of so many of the completions, with their share of the prompts.
    pub fn part(&self, completions: f64) -> Self {
        let share = completions / self.completions.count.max(1.0);
        Pieces { prompts: self.prompts.times(self.prompts.count * share), completions: self.completions.times(completions) }
    }
}

/// General text that a base model learns from: each with what is given and what is learnt. `None` for a corpus of which nothing is
/// known.
pub fn general(corpus: &Corpus, judge: bool, max_tokens: usize) -> Option<Pieces> {
    match corpus {
        Corpus::Builtin(name) => match World::named(name)? {
            World::Reviews if judge => reviews_of(max_tokens),
            World::Reviews => {
                let notes = reviews::notes(0, WRITTEN).into_iter().map(|text| whole(&text));
                let texts = reviews::reviews(0, WRITTEN).into_iter().map(|text| whole(&text)).chain(notes);
                whole_texts(texts, max_tokens)
            }
            world => {
                let page = |[given, written]: [String; 2]| {
                    let given = 1 + words(&given);
                    [given, (words(&written) + 1).min(max_tokens.saturating_sub(given))]
                };
                pieces(world.pages(0, WRITTEN).into_iter().map(page))
            }
        },
        Corpus::Oracle(world) => {
            let completion = oracle_completion(world);
            // The prompt's two letters are learnt, too.
            let completions = Texts { count: 1.0, mean: completion.mean + 2.0, longest: completion.longest + 2.0 };
            Some(Pieces { prompts: Texts::at_most(1.0, 1.0), completions })
        }
        Corpus::Files(_) | Corpus::Hub(_) => None,
    }
}

/// Whole reviews of a built-in world.
pub fn reviews_of(max_tokens: usize) -> Option<Pieces> {
    whole_texts(reviews::reviews(0, WRITTEN).into_iter().map(|text| whole(&text)), max_tokens)
}

/// `count` prefixes of reviews of a built-in world, and what follows in the review.
pub fn prefixes(count: f64, [least, most]: [usize; 2]) -> Option<Pieces> {
    let cut = |(index, text): (usize, String)| {
        // Lengths come evenly, as the stage draws them.
        let prefix = least + index % (most - least + 1).max(1);
        let length = whole(&text);
        (length >= prefix + 2).then(|| [prefix + 1, length - prefix - 1])
    };
    let found = pieces(reviews::reviews(0, WRITTEN).into_iter().enumerate().filter_map(cut))?;
    Some(Pieces { prompts: found.prompts.times(count), completions: found.completions.times(count) })
}

/// `count` rows of a corpus of which people wrote the completions, and completions of each row.
pub fn given(corpus: &Corpus, count: f64) -> Option<(Pieces, f64)> {
    let Corpus::Builtin(name) = corpus else { return None };
    let (found, each) = match World::named(name)? {
        World::Reviews => return None,
        World::Posts => {
            let posts = if name == "news" { posts::news(0, WRITTEN) } else { posts::posts(0, WRITTEN) };
            (pieces(posts.iter().map(|post| [1 + words(&post.prompt), words(&post.summary) + 1]))?, 1.0)
        }
        World::Questions => {
            let exchanges = questions::exchanges(0, WRITTEN);
            let row = |exchange: &questions::Exchange| {
                exchange.answers.each_ref().map(|answer| [1 + words(&exchange.prompt), words(answer) + 1])
            };
            (pieces(exchanges.iter().flat_map(row))?, 2.0)
        }
    };
    Some((Pieces { prompts: found.prompts.times(count), completions: found.completions.times(each * count) }, each))
}

/// `count` prompts of a world that can be enumerated, and a completion of each.
pub fn oracle(world: &spec::World, count: f64) -> Pieces {
    Pieces { prompts: Texts::at_most(count, ORACLE_PROMPT), completions: oracle_completion(world).times(count) }
}

/// A completion that ends after each letter with the same probability as any letter has.
fn oracle_completion(world: &spec::World) -> Texts {
    let goes_on = 1.0 - 1.0 / world.vocabulary.max(1) as f64;
    let mean = (0..world.length).map(|letter| goes_on.powi(letter as i32)).sum();
    Texts { count: 1.0, mean, longest: world.length as f64 }
}

/// Entries of the vocabulary of a corpus; one that is trained on files is as large as asked for.
pub fn vocabulary(corpus: &Corpus, trained: usize) -> usize {
    // Every vocabulary of words has the end token and the unknown token beside them.
    match corpus {
        Corpus::Builtin(name) => World::named(name).map_or(trained, |world| world.vocabulary().len() + 2),
        Corpus::Oracle(world) => world.vocabulary,
        Corpus::Files(_) | Corpus::Hub(_) => trained,
    }
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// With a start and an end token.
fn whole(text: &str) -> usize {
    words(text) + 2
}

fn whole_texts(lengths: impl Iterator<Item = usize>, max_tokens: usize) -> Option<Pieces> {
    pieces(lengths.map(|length| [1, length.min(max_tokens).saturating_sub(1)]))
}

fn pieces(lengths: impl Iterator<Item = [usize; 2]>) -> Option<Pieces> {
    let lengths: Vec<[usize; 2]> = lengths.collect();
    let side = |at: usize| Texts::of(&lengths.iter().map(|both| both[at]).collect::<Vec<_>>());
    Some(Pieces { prompts: side(0)?, completions: side(1)? })
}
