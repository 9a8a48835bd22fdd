//! The tasks as they are meant: what each is asked, and what its completions are worth.

use serde::{Deserialize, Serialize};

/// `[task.*]`
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// Continue a review's first words with a positive review.
    Sentiment(Sentiment),
    /// Summarise a post.
    Summarisation(Summarisation),
    /// Answer as the chosen side of given comparisons does.
    Dialogue(Dialogue),
    /// A world that is small enough to enumerate, whose optimal policies are known.
    Oracle(Oracle),
}

impl Task {
    /// The task's name in the CSVs.
    pub fn name(&self) -> &'static str {
        match self {
            Task::Sentiment(_) => "sentiment",
            Task::Summarisation(_) => "summarisation",
            Task::Dialogue(_) => "dialogue",
            Task::Oracle(_) => "oracle",
        }
    }

    /// The names of its data, as they are written.
    pub fn corpus(&self) -> &[String] {
        match self {
            Task::Sentiment(task) => &task.corpus,
            Task::Summarisation(task) => &task.corpus,
            Task::Dialogue(task) => &task.corpus,
            Task::Oracle(_) => &[],
        }
    }

    /// Its longest prompt and completion in tokens.
    pub fn longest(&self) -> [usize; 2] {
        match self {
            Task::Summarisation(task) => task.max_tokens,
            Task::Dialogue(task) => [task.max_prompt_tokens, task.max_completion_tokens],
            Task::Sentiment(task) => [task.prefix_tokens[1], task.max_new_tokens],
            Task::Oracle(task) => [2, task.world.length],
        }
    }

    /// The true reward, where it is known.
    pub fn reward(&self) -> Option<&Reward> {
        match self {
            Task::Sentiment(task) => Some(&task.reward),
            Task::Oracle(task) => Some(&task.reward),
            Task::Summarisation(task) => task.reward.as_ref(),
            Task::Dialogue(task) => task.reward.as_ref(),
        }
    }

    /// How its true reward labels completions, where it does.
    pub fn labelling(&self) -> Option<&Labelling> {
        match self {
            Task::Sentiment(task) => Some(&task.labelling),
            Task::Oracle(task) => Some(&task.labelling),
            Task::Summarisation(task) => task.reward.as_ref().map(|_| &task.labelling),
            Task::Dialogue(task) => task.reward.as_ref().map(|_| &task.labelling),
        }
    }

    /// What its completions are compared with unless the study says otherwise.
    pub fn own_baseline(&self) -> &'static str {
        match self {
            Task::Summarisation(_) => "reference",
            Task::Dialogue(_) => "chosen",
            Task::Sentiment(_) | Task::Oracle(_) => "sft",
        }
    }

    /// Whether comparisons are given with the data; otherwise policies write them, and the true reward labels them.
    pub fn is_given(&self) -> bool {
        match self {
            Task::Summarisation(task) => !task.comparisons.is_empty(),
            Task::Dialogue(_) => true,
            Task::Sentiment(_) | Task::Oracle(_) => false,
        }
    }
}

/// `[task.sentiment]`
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sentiment {
    /// `builtin:reviews`, files or globs in IMDb format, or `hub:` names.
    pub corpus: Vec<String>,
    /// Least and greatest number of a prompt's tokens.
    pub prefix_tokens: [usize; 2],
    /// Training prompts.
    pub prompts: usize,
    /// Completions a training prompt; every pair of them is a comparison.
    pub completions: usize,
    /// Longest completion that is sampled for comparisons, in tokens.
    pub max_new_tokens: usize,
    /// How the true reward becomes a label.
    #[serde(flatten)]
    pub labelling: Labelling,
    /// The true reward.
    pub reward: Reward,
}

/// How rewards become labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labelling {
    /// Whether the better completion is always chosen.
    pub labels: Labels,
    /// Bradley-Terry labels: the reward is multiplied by this before the sigmoid.
    pub reward_scale: f64,
    /// Share of labels that are flipped.
    pub label_noise: f64,
}

impl Labelling {
    /// The keys of this struct; they stand in a task's table beside other keys.
    pub const KEYS: &'static [&'static str] = &["labels", "reward_scale", "label_noise"];

    /// The Bradley-Terry probability, without noise, that a completion whose reward is greater by `difference` is chosen:
    /// sigma(scale * difference).
    pub fn preference(&self, difference: f64) -> f64 {
        1.0 / (1.0 + (-self.reward_scale * difference).exp())
    }
}

/// `[task.oracle]`
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Oracle {
    /// Its size.
    #[serde(flatten)]
    pub world: World,
    /// Training comparisons; each is of two completions of its own.
    pub comparisons: usize,
    /// How the true reward becomes a label.
    #[serde(flatten)]
    pub labelling: Labelling,
    /// The world's own reward.
    #[serde(skip)]
    pub reward: Reward,
}

/// A world whose completions can be enumerated. It is part of the keys of all stages that read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct World {
    /// Tokens, the end token and the tokenizer's unknown token among them.
    pub vocabulary: usize,
    /// Longest completion in tokens.
    pub length: usize,
    /// Distinct prompts.
    pub prompts: usize,
    /// The study's seed, from which the reward is drawn.
    pub seed: u64,
}

impl World {
    /// Completions of a prompt: all sequences of at most `length` letters; as many as can be counted where they are more.
    pub fn completions(&self) -> usize {
        let longer = |count: usize| count.saturating_mul(self.vocabulary.saturating_sub(1)).saturating_add(1);
        (0..self.length.min(usize::BITS as usize)).fold(1, |count, _| longer(count))
    }
}

/// `[task.summarisation]`
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summarisation {
    /// Posts with the summaries that people wrote: `builtin:posts`, files or globs, or `hub:` names.
    pub corpus: Vec<String>,
    /// Files of compared summaries; where there are none, the reference writes summaries and the true reward compares them.
    pub comparisons: Vec<String>,
    /// Articles with summaries, on which nothing is trained; none where this is empty.
    pub out_of_distribution: Vec<String>,
    /// Posts with summaries that the reference is trained on, at most; 0 is all.
    pub demonstrations: usize,
    /// Posts whose summaries are written and compared.
    pub prompts: usize,
    /// Summaries of each; every pair of them is a comparison.
    pub completions: usize,
    /// Longest summary that is written to be compared, in tokens.
    pub max_new_tokens: usize,
    /// Given comparisons, at most; 0 is all.
    pub pairs: usize,
    /// Longest prompt and completion in tokens; longer ones are left out.
    #[serde(skip)]
    pub max_tokens: [usize; 2],
    /// How the true reward becomes a label.
    #[serde(flatten)]
    pub labelling: Labelling,
    /// The true reward, where it is known.
    pub reward: Option<Reward>,
}

/// `[task.dialogue]`: comparisons that are given, not sampled.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dialogue {
    /// `builtin:questions`, files or globs of comparisons in a known format, or `hub:` names.
    pub corpus: Vec<String>,
    /// Training comparisons, at most; 0 is all.
    pub pairs: usize,
    /// Whether dialogues with several turns of the human are used.
    pub multi_turn: bool,
    /// Whether conversations go through the model's chat template.
    pub chat: bool,
    /// Longest prompt in tokens; longer ones are left out.
    pub max_prompt_tokens: usize,
    /// Longest completion in tokens; longer ones are left out.
    pub max_completion_tokens: usize,
    /// How the built-in world's true reward labels its comparisons.
    #[serde(flatten)]
    pub labelling: Labelling,
    /// The true reward, where it is known.
    pub reward: Option<Reward>,
}

/// How a true reward labels a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Labels {
    /// The completion with the higher reward is chosen.
    Hard,
    /// The chosen one is drawn from a Bradley-Terry model of the scaled rewards.
    BradleyTerry,
}

impl std::fmt::Display for Labels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Labels::Hard => "hard",
            Labels::BradleyTerry => "bradley-terry",
        })
    }
}

/// The true reward.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reward {
    /// The exact scorer of a built-in world.
    Builtin(String),
    /// A classifier fitted on the corpus' labels.
    Fit(Fit),
    /// A pretrained classifier: a folder, or a `hub:` name.
    Classifier(String),
    /// That of a world that can be enumerated.
    Oracle(World),
}

/// What is fitted on the corpus' labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Logistic regression on word n-grams.
    Linear,
}
