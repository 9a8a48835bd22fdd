//! A world in which everything about preference optimisation can be computed: completions are few enough to list, so the
//! optimal policy, its KL and its reward are known exactly (`stats::Enumerated`), and a trained policy can be held against
//! them.
//!
//! Text is letters. A prompt is two of them; what is likely to follow, and what is rewarded, depends on both in a way that
//! can be learnt from other prompts: each of a prompt's letters has effects of its own, and they add up.

pub use super::tree::END;

use super::tree::CompletionTree;
use crate::error::{Error, Result as OrError};
use crate::random::Stream;
use crate::spec::World;

/// The vocabulary is at most the end token, the unknown token, and a to z.
const MOST_SYMBOLS: usize = 28;
/// Fewer leave a single prompt.
const LEAST_SYMBOLS: usize = 4;
/// Completions of a prompt at most: their tables should fit in memory many times over.
const MOST_COMPLETIONS: usize = 1_000_000;
/// First id that prompts are made of, and that `letters` names: after the end token and the tokenizer's unknown token.
const FIRST_NAMED: usize = 2;
/// How a decoded text writes id 1, which is a letter like others in completions.
const UNKNOWN_TEXT: &str = "<|unknown|>";
/// Letters of a prompt.
const PROMPT_LETTERS: usize = 2;

/// Deviation of the letter scores of a whole completion, in logits of the reward; it spreads rewards by 0.2 to 0.3.
const SCORE_SLOPE: f64 = 1.7;
/// Logits that a completion loses when it misses the preferred length by the whole length.
const LENGTH_SLOPE: f64 = 2.0;
/// Least probability of any token in the corpus, so that the base model covers every completion.
const FLOOR: f64 = 0.02;
/// Deviation of the corpus's logits, with which the perplexity of a token is a half to four fifths of the vocabulary.
const LOGIT_DEVIATION: f64 = 1.8;

/// The world of one study.
#[derive(Clone, Debug)]
pub struct Oracle {
    seed: u64,
    tree: CompletionTree,
    /// Prompts' numbers in the order of `prompt`.
    order: Vec<usize>,
    /// Normal scores for the reward: of a prompt's letter with a position and a letter there, `[2][symbols][length][symbols]`.
    position_scores: Vec<f64>,
    /// Normal scores for the reward: of neighbours, `[symbols][symbols]`.
    neighbour_scores: Vec<f64>,
    /// Where between 1 letter (0) and the full length (1) a prompt's letter prefers completions to end, `[2][symbols]`.
    preferred_shares: Vec<f64>,
    /// Normal logits of the corpus: of a token after a letter, `[symbols][symbols]`.
    transitions: Vec<f64>,
    /// Normal logits of the corpus: of a token anywhere, given a prompt's letter, `[2][symbols][symbols]`.
    topics: Vec<f64>,
}

/// The world of an experiment file.
pub fn open(world: &World) -> OrError<Oracle> {
    Oracle::new(world.seed, world.vocabulary, world.length).map_err(Error::Data)
}

impl Oracle {
    /// The world of a study seed, with `symbols` tokens and completions of at most `length` tokens.
    ///
    /// Fails if there are not 4 to 28 symbols, or not 1 to 1,000,000 completions.
    pub fn new(seed: u64, symbols: usize, length: usize) -> Result<Self, String> {
        if !(LEAST_SYMBOLS..=MOST_SYMBOLS).contains(&symbols) {
            return Err(format!(
                "{symbols} symbols: give {LEAST_SYMBOLS} to {MOST_SYMBOLS}, the end and unknown tokens included"
            ));
        }
        let tree = CompletionTree { symbols, length };
        if length == 0 || tree.leaf_count() > MOST_COMPLETIONS {
            return Err(format!(
                "{symbols} symbols and completions of {length} tokens: lengths start at 1, and at most {MOST_COMPLETIONS} \
                 completions of a prompt can be listed; lower one of them"
            ));
        }
        let named = symbols - FIRST_NAMED;
        let normals = |purpose: &str, count: usize| {
            let mut stream = Stream::new(seed, 0, purpose, 0);
            (0..count).map(|_| stream.normal()).collect()
        };
        let mut shares = Stream::new(seed, 0, "oracle lengths", 0);
        Ok(Oracle {
            seed,
            tree,
            order: Stream::new(seed, 0, "oracle prompts", 0).permutation(named * named),
            position_scores: normals("oracle positions", PROMPT_LETTERS * symbols * length * symbols),
            neighbour_scores: normals("oracle neighbours", symbols * symbols),
            preferred_shares: (0..PROMPT_LETTERS * symbols).map(|_| shares.uniform()).collect(),
            transitions: normals("oracle transitions", symbols * symbols),
            topics: normals("oracle topics", PROMPT_LETTERS * symbols * symbols),
        })
    }

    /// The completions of every prompt.
    pub fn tree(&self) -> CompletionTree {
        self.tree
    }

    /// The words of ids 2, 3, ...: the vocabulary to give to a tokenizer of words, which adds the end and unknown tokens.
    pub fn letters(&self) -> Vec<String> {
        (b'a'..).take(self.tree.symbols - FIRST_NAMED).map(|letter| char::from(letter).to_string()).collect()
    }

    /// Number of different prompts.
    pub fn prompt_count(&self) -> usize {
        self.order.len()
    }

    /// The start token (0) and the two letters of a prompt, in an order that is random but fixed by the study seed. From
    /// `prompt_count` on the prompts come again.
    pub fn prompt(&self, index: usize) -> Vec<u32> {
        let (named, number) = (self.tree.symbols - FIRST_NAMED, self.order[index % self.order.len()]);
        vec![END, (FIRST_NAMED + number / named) as u32, (FIRST_NAMED + number % named) as u32]
    }

    /// True reward, in (0, 1), of a completion's tokens after a prompt as `prompt` gives it. The start and the end token may be
    /// left out.
    ///
    /// Its logit adds up a score for every letter, which depends on the prompt, on the letter's position and on the letter
    /// before it, and a loss for missing the prompt's preferred length.
    ///
    /// Fails if the prompt is not two letters that prompts have, or the completion is none of the tree's.
    pub fn reward(&self, prompt: &[u32], completion: &[u32]) -> Result<f64, String> {
        let prompt = prompt.strip_prefix(&[END]).unwrap_or(prompt);
        let letters = completion.strip_suffix(&[END]).unwrap_or(completion);
        let CompletionTree { symbols, length } = self.tree;
        let known = |least: usize| move |letter: &u32| (least..symbols).contains(&(*letter as usize));
        if prompt.len() != PROMPT_LETTERS || !prompt.iter().all(known(FIRST_NAMED)) {
            return Err(format!("{prompt:?} is not a prompt of this task: give 2 letters with ids of 2 to {}", symbols - 1));
        }
        if completion.len() > length || !letters.iter().all(known(1)) {
            return Err(format!(
                "{completion:?} is not a completion of this task: give at most {length} tokens, letters with ids of 1 \
                 to {} and then the end",
                symbols - 1
            ));
        }
        let owners = || prompt.iter().enumerate().map(|(place, letter)| place * symbols + *letter as usize);
        let before = prompt.iter().skip(PROMPT_LETTERS - 1).chain(letters);
        let scores = letters.iter().zip(before).enumerate().map(|(position, (letter, before))| {
            let of_prompt: f64 =
                owners().map(|owner| self.position_scores[(owner * length + position) * symbols + *letter as usize]).sum();
            of_prompt + self.neighbour_scores[*before as usize * symbols + *letter as usize]
        });
        // Three normal scores a letter: divided so that a completion of the full length has a sum of deviation 1.
        let sum = scores.sum::<f64>() / (3.0 * length as f64).sqrt();
        let share = owners().map(|owner| self.preferred_shares[owner]).sum::<f64>() / PROMPT_LETTERS as f64;
        let missed = (letters.len() as f64 - (1.0 + share * (length - 1) as f64).round()).abs() / length as f64;
        Ok(1.0 / (1.0 + (LENGTH_SLOPE * missed - SCORE_SLOPE * sum).exp()))
    }

    /// True rewards of all completions of a prompt, in the order of the tree's leaves. Fails as `reward` does.
    pub fn rewards(&self, prompt: &[u32]) -> Result<Vec<f64>, String> {
        self.tree.leaves().iter().map(|completion| self.reward(prompt, completion)).collect()
    }

    /// True reward of a decoded text: words apart by blanks, of which the first two are the prompt.
    ///
    /// Fails at a word that is not in the vocabulary, and as `reward` does.
    pub fn reward_of_words(&self, text: &str) -> Result<f64, String> {
        let names = self.letters();
        let id = |word: &str| match names.iter().position(|name| name == word) {
            Some(letter) => Ok((letter + FIRST_NAMED) as u32),
            None if word == UNKNOWN_TEXT => Ok(1),
            None => Err(format!("\"{word}\" is not a word of this task, in \"{text}\": give letters from a on, apart by blanks")),
        };
        let tokens = text.split_whitespace().map(id).collect::<Result<Vec<u32>, String>>()?;
        let (prompt, completion) = tokens.split_at(tokens.len().min(PROMPT_LETTERS));
        self.reward(prompt, completion)
    }

    /// `count` sequences to train a base model on: start token, a prompt, and a completion from a Markov process that depends
    /// on the prompt. `seed` selects the draws; the process is the study's. Sequence i is the same for every count.
    pub fn corpus(&self, seed: u64, count: usize) -> Vec<Vec<u32>> {
        (0..count).map(|row| self.sequence(&mut Stream::new(self.seed, seed, "oracle corpus", row as u64))).collect()
    }

    fn sequence(&self, stream: &mut Stream) -> Vec<u32> {
        let mut sequence = self.prompt(stream.below(self.prompt_count()));
        let prompt = sequence.clone();
        for _ in 0..self.tree.length {
            let mut left = stream.uniform();
            let probabilities = self.next_token(&prompt, &sequence);
            let drawn = probabilities.iter().position(|probability| {
                left -= probability;
                left < 0.0
            });
            // None only if rounding leaves the sum just below 1.
            let token = drawn.unwrap_or(self.tree.symbols - 1) as u32;
            sequence.push(token);
            if token == END {
                break;
            }
        }
        sequence
    }

    /// Probabilities of the corpus's next token, `[symbols]`: a share of `FLOOR` for every token, and a softmax of logits of
    /// the last letter and of the prompt's letters.
    fn next_token(&self, prompt: &[u32], sequence: &[u32]) -> Vec<f64> {
        let symbols = self.tree.symbols;
        let last = sequence.last().map_or(0, |token| *token as usize);
        let weight = |token: usize| {
            let letters = prompt.iter().skip(1).enumerate();
            let topics: f64 =
                letters.map(|(place, letter)| self.topics[(place * symbols + *letter as usize) * symbols + token]).sum();
            (LOGIT_DEVIATION * (self.transitions[last * symbols + token] + topics) / 3f64.sqrt()).exp()
        };
        let weights: Vec<f64> = (0..symbols).map(weight).collect();
        let total: f64 = weights.iter().sum();
        let free = 1.0 - FLOOR * symbols as f64;
        weights.into_iter().map(|weight| FLOOR + free * weight / total).collect()
    }
}

#[cfg(test)]
#[path = "oracle_tests.rs"]
mod tests;
