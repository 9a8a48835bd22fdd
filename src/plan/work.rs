//! What a stage does, with every value that changes its result: one variant for each kind of work.

use super::kind::Kind;
use crate::judges;
use crate::methods::Method;
use crate::models::{Lora, Precision, Sampling};
use crate::spec::{Labelling, LanguageModelTraining, Optimisation, Reward, RewardModelTraining, TrainingSize, World};
use serde::{Deserialize, Serialize};

/// Which side of the corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Trained on.
    Train,
    /// Only measured on.
    HeldOut,
}

/// What a language model is trained for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelRole {
    /// The base model, on general text.
    Base,
    /// A judge of fluency, on the held-out side of the corpus: no policy is trained from it.
    HeldOutJudge,
}

/// What a stage does, with every value that changes its result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Inputs: none.
    Tokenizer {
        /// Vocabulary size of a trained tokenizer.
        vocabulary: usize,
        /// The study's seed.
        seed: u64,
    },
    /// Inputs: tokenizer.
    Base {
        /// What the model is for.
        role: ModelRole,
        /// `builtin:NAME`.
        model: String,
        /// How it is trained.
        training: LanguageModelTraining,
        /// The study's seed.
        seed: u64,
    },
    /// A model that is there already. Inputs: none.
    Pretrained {},
    /// A classifier that is there already. Inputs: none.
    PretrainedClassifier {},
    /// Inputs: base.
    Sft {
        /// How it is trained.
        training: LanguageModelTraining,
        /// The study's seed.
        seed: u64,
    },
    /// Preferred-FT as reference: maximum likelihood of the chosen completions. Inputs: base, and comparisons as prompts, samples and
    /// comparisons.
    SftOnChosen {
        /// How it is trained.
        training: LanguageModelTraining,
        /// The study's seed.
        seed: u64,
    },
    /// Comparisons that are given: prompts, completions and pairs at once. Inputs: base (its tokenizer); the held-out side also reads
    /// train.
    Given {
        /// Which side.
        split: Split,
        /// Comparisons, at most; 0 is all.
        count: usize,
        /// Whether dialogues with several turns of the human are used.
        multi_turn: bool,
        /// Whether conversations go through the chat template.
        chat: bool,
        /// Longest prompt and completion in tokens.
        max_tokens: [usize; 2],
        /// How the true reward of a built-in world labels its comparisons.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        labelling: Option<Labelling>,
        /// The study's seed.
        seed: u64,
    },
    /// Prompts with examples of the task before them. Inputs: base (its tokenizer), prompts, and train, whose chosen completions are
    /// the examples.
    FewShot {
        /// Examples before each prompt.
        shots: usize,
        /// Longest completion that follows, for which there must be room.
        max_new_tokens: usize,
        /// The true reward, where it is known: the best of some examples are taken then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reward: Option<Reward>,
        /// The study's seed.
        seed: u64,
    },
    /// Inputs: none.
    Classifier {
        /// The study's seed.
        seed: u64,
    },
    /// Inputs: reference (its tokenizer); held-out prompts also read train.
    Prompts {
        /// Which side.
        split: Split,
        /// Least and greatest number of tokens.
        prefix_tokens: [usize; 2],
        /// How many.
        count: usize,
        /// The study's seed.
        seed: u64,
    },
    /// Inputs: reference, prompts; and policy, which writes in the reference's place.
    Samples {
        /// Completions a prompt.
        completions: usize,
        /// Divides the logits; 1 is not part of the key.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        temperature: f64,
        /// Longest completion.
        max_new_tokens: usize,
        /// The study's seed.
        seed: u64,
    },
    /// Inputs: reference (its tokenizer), prompts, samples, and classifier for a fitted reward.
    Comparisons {
        /// The true reward.
        reward: Reward,
        /// How it labels.
        #[serde(flatten)]
        labelling: Labelling,
        /// The study's seed.
        seed: u64,
    },
    /// Inputs: samples, comparisons (their rewards).
    Rankings {
        /// How rewards become ranks.
        labelling: Labelling,
        /// The study's seed.
        seed: u64,
    },
    /// Every pair of completions with its probability. Inputs: reference.
    Population {
        /// The world.
        world: World,
        /// How its reward labels them.
        labelling: Labelling,
    },
    /// Inputs: reference, prompts, samples.
    ReferenceLogprobs {
        /// Of one completion of the next prompt for every prompt, instead of its own; not part of the key otherwise.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        mismatched: bool,
    },
    /// Inputs: reference, prompts, samples, comparisons.
    RewardModel {
        /// How it is trained.
        training: RewardModelTraining,
        /// The study's seed.
        seed: u64,
    },
    /// Inputs: reference or previous (both with adapters), prompts, samples, comparisons, and reference_logprobs for methods that need
    /// them.
    Train {
        /// The method.
        method: Method,
        /// Adapters of the reference that are trained instead of its weights.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lora: Option<Lora>,
        /// Optimiser and schedule.
        optimisation: Optimisation,
        /// Sizes; `steps` only where the schedule depends on it, so that raising it keeps finished segments.
        size: TrainingSize,
        /// Examples that are used, at most; 0, which is all, is not part of the key.
        #[serde(default, skip_serializing_if = "is_zero")]
        examples: usize,
        /// First step, from 0.
        first: u64,
        /// Step that the segment ends before.
        last: u64,
        /// The study's seed.
        seed: u64,
        /// The run's seed.
        run_seed: u64,
    },
    /// Reinforcement learning. Inputs: reference, previous but in the first segment, prompts, and what the reward needs:
    /// reward_model, or classifier.
    Reinforce {
        /// The method.
        method: Method,
        /// As in `Train`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lora: Option<Lora>,
        /// Optimiser and schedule.
        optimisation: Optimisation,
        /// Sizes, as in `Train`.
        size: TrainingSize,
        /// Longest completion.
        max_new_tokens: usize,
        /// The true reward, where it is what is optimised.
        reward: Option<Reward>,
        /// First step, from 0.
        first: u64,
        /// Step that the segment ends before.
        last: u64,
        /// The study's seed.
        seed: u64,
        /// The run's seed.
        run_seed: u64,
    },
    /// Inputs: policy, prompts, and reference for a policy of adapters.
    Generate {
        /// How they are drawn.
        sampling: Sampling,
        /// Whether they are a baseline's, which must not share the randomness of what is compared with it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        rival: bool,
        /// The study's seed.
        seed: u64,
    },
    /// Inputs: policy, reference, prompts, generations; reward_model and classifier where there are; and, but for
    /// Best-of-N's pool, fluency, held_out_samples, held_out_comparisons and held_out_logprobs.
    Evaluate {
        /// The true reward, where it is known.
        reward: Option<Reward>,
    },
    /// Compares completions with others, in both orders. Inputs: reference (its tokenizer), prompts, generations; references, where
    /// the data has completions of its own, and baseline, where it is not these that are compared with; evaluation for Best-of-N;
    /// classifier for a fitted reward; and the judge's models as judge_ROLE.
    Judge {
        /// The judge.
        judge: judges::Kind,
        /// What is judged.
        subject: judges::Subject,
        /// Of so many completions a prompt, the one that the learned reward prefers; all of them otherwise.
        best_of_n: Option<usize>,
        /// The true reward, for judges that read it.
        truth: Option<Reward>,
    },
    /// A policy's exact reward and KL in a world that can be enumerated. Inputs: policy, reference, and reward_model for
    /// Best-of-N.
    Exact {
        /// The world.
        world: World,
        /// The beta at which the method's own optimum is known.
        beta: Option<f64>,
        /// Best of so many completions of the policy by the learned reward, instead of the policy itself.
        best_of_n: Option<usize>,
    },
}

fn one() -> f64 {
    1.0
}

fn is_one(value: &f64) -> bool {
    *value == 1.0
}

fn is_zero(value: &usize) -> bool {
    *value == 0
}

impl Work {
    /// Whether it trains, so that a batch can be cut into parts.
    pub fn trains(&self) -> bool {
        self.in_parts(2) != *self
    }

    /// The same work, with every training batch in so many times more parts, and blocks run again in the backward: each gives the same
    /// gradient but for rounding.
    pub fn in_parts(&self, parts: usize) -> Work {
        let mut work = self.clone();
        if let Some(optimisation) = work.optimisation() {
            optimisation.gradient_accumulation_steps *= parts;
            optimisation.gradient_checkpointing |= parts > 1;
        }
        work
    }

    /// What products are computed in where it trains, and f32 elsewhere.
    pub fn precision(&self) -> Precision {
        self.clone().optimisation().map_or(Precision::F32, |optimisation| optimisation.precision)
    }

    fn optimisation(&mut self) -> Option<&mut Optimisation> {
        match self {
            Work::Base { training, .. } | Work::Sft { training, .. } | Work::SftOnChosen { training, .. } => {
                Some(&mut training.optimisation)
            }
            Work::RewardModel { training, .. } => Some(&mut training.optimisation),
            Work::Train { optimisation, .. } | Work::Reinforce { optimisation, .. } => Some(optimisation),
            _ => None,
        }
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        match self {
            Work::Tokenizer { .. } => Kind::Tokenizer,
            Work::Base { .. } => Kind::Base,
            Work::Pretrained {} => Kind::Base,
            Work::Sft { .. } | Work::SftOnChosen { .. } => Kind::Sft,
            Work::Given { .. } => Kind::Comparisons,
            Work::Classifier { .. } | Work::PretrainedClassifier {} => Kind::Classifier,
            Work::Prompts { .. } | Work::FewShot { .. } => Kind::Prompts,
            Work::Samples { .. } => Kind::Samples,
            Work::Comparisons { .. } => Kind::Comparisons,
            Work::Rankings { .. } => Kind::Rankings,
            Work::Population { .. } => Kind::Comparisons,
            Work::ReferenceLogprobs { .. } => Kind::ReferenceLogprobs,
            Work::RewardModel { .. } => Kind::RewardModel,
            Work::Train { .. } | Work::Reinforce { .. } => Kind::Train,
            Work::Generate { .. } => Kind::Generate,
            Work::Evaluate { .. } | Work::Exact { .. } => Kind::Evaluate,
            Work::Judge { .. } => Kind::Judge,
        }
    }
}
