//! The methods: one file each, with its parameters, what it needs, and its loss as a pure function of log-probs.
//!
//! A new method is one file here and one line in `methods!`; the compiler then names what is missing.

mod batch;
mod best_of_n;
mod cdpo;
mod divergence;
mod dpo;
mod hinge;
mod ipo;
mod kto;
mod orpo;
mod plackett_luce;
pub mod ppo;
mod ppo_gt;
mod preferred_ft;
mod prompting;
pub mod reward_model;
mod robust_dpo;
pub mod sft;
mod simpo;
#[cfg(test)]
mod tests;
mod unlikelihood;

pub use batch::{PreferenceBatch, TokenLogProbs};
pub use dpo::Dpo;
pub use ppo::{Ppo, Preset};

use crate::spec::{Problem, Span, Table, tree};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// What an example is for a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Examples {
    /// A chosen and a rejected completion of one prompt.
    Pairs,
    /// Single completions, each desirable or undesirable; a pair is one of either kind.
    Judgements,
    /// The same, with one completion kept of each pair.
    OneOfPair,
    /// All compared completions of a prompt, the best first.
    Rankings,
}

/// How a method turns log-probs into a loss.
pub trait Objective {
    /// What the loss learns from.
    fn examples(&self) -> Examples {
        Examples::Pairs
    }

    /// Whether the loss reads the reference's log-probs; they are neither made nor read for methods that do not.
    fn needs_reference(&self) -> bool;

    /// Whether the loss reads the rejected completions; they are not run through the policy otherwise.
    fn needs_rejected(&self) -> bool {
        true
    }

    /// Whether the loss reads the mean log-ratio of mismatched completions (KTO).
    fn needs_mismatched(&self) -> bool {
        false
    }

    /// The factor of the implicit reward `beta * (log pi - log ref)` in train.csv, for methods with a reference.
    fn beta(&self) -> f64 {
        1.0
    }

    /// Whether the loss is exactly ln 2 while policy and reference are the same.
    fn starts_at_ln2(&self) -> bool {
        false
    }

    /// The beta for which the loss's minimiser on Bradley-Terry labels is pi_ref exp(r / beta) / Z, if there is one.
    fn optimum_beta(&self) -> Option<f64> {
        None
    }

    /// The loss of every example (of every completion for judgements), `[examples]`; training takes the mean.
    fn loss(&self, batch: &PreferenceBatch) -> Tensor<1>;
}

/// What a method does once its study's shared stages are there.
pub enum Role<'a> {
    /// Trains a policy on data.
    Train(&'a dyn Objective),
    /// Trains a policy on completions that it writes itself.
    Reinforce(&'a Ppo),
    /// Draws `n` completions of the reference and keeps the one that the learned reward prefers.
    BestOfN {
        /// Completions drawn for a prompt.
        n: usize,
    },
    /// The base model after `shots` examples of the task.
    Prompting {
        /// Examples before the prompt.
        shots: usize,
    },
    /// The reference policy as it is.
    Reference,
}

/// What every method's parameters can do.
pub trait Parameters {
    /// What the method does.
    fn role(&self) -> Role<'_>;

    /// Values out of range: key, what is wrong, what to do.
    fn problems(&self) -> Vec<(&'static str, String, String)>;
}

macro_rules! methods {
    ($($variant:ident($module:ident) = $name:literal,)*) => {
        /// A method with its parameters; the name is the one in `[method.NAME]` and in the CSVs.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub enum Method {
            $(#[doc = $name] #[serde(rename = $name)] $variant($module::$variant),)*
        }

        impl Method {
            /// Every name that `[method.NAME]` takes.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// The method's name.
            pub fn name(&self) -> &'static str {
                match self { $(Method::$variant(_) => $name,)* }
            }

            /// Reads the keys of `[method.NAME]` that are the method's own.
            pub fn read(name: &str, table: Table, span: Span) -> Result<Method, Problem> {
                match name {
                    $($name => tree::read(table, span).map(Method::$variant),)*
                    other => Err(Problem::at(span, format!("unknown method `{other}`")).hint(tree::nearest(other, Self::NAMES))),
                }
            }

            fn parameters(&self) -> &dyn Parameters {
                match self { $(Method::$variant(parameters) => parameters,)* }
            }
        }
    };
}

methods! {
    Sft(sft) = "sft",
    PreferredFt(preferred_ft) = "preferred_ft",
    Unlikelihood(unlikelihood) = "unlikelihood",
    Dpo(dpo) = "dpo",
    Cdpo(cdpo) = "cdpo",
    RobustDpo(robust_dpo) = "robust_dpo",
    Ipo(ipo) = "ipo",
    Hinge(hinge) = "hinge",
    Kto(kto) = "kto",
    Orpo(orpo) = "orpo",
    Simpo(simpo) = "simpo",
    PlackettLuce(plackett_luce) = "plackett_luce",
    Ppo(ppo) = "ppo",
    PpoGt(ppo_gt) = "ppo_gt",
    BestOfN(best_of_n) = "best_of_n",
    Prompting(prompting) = "prompting",
}

impl Method {
    /// Methods that train no policy: sweeps of `[training]` do not multiply their runs.
    pub const UNTRAINED: &'static [&'static str] = &["sft", "best_of_n", "prompting"];

    /// What the method does.
    pub fn role(&self) -> Role<'_> {
        self.parameters().role()
    }

    /// The loss, for methods that train a policy on data.
    pub fn objective(&self) -> Option<&dyn Objective> {
        match self.role() {
            Role::Train(objective) => Some(objective),
            Role::Reinforce(_) | Role::BestOfN { .. } | Role::Prompting { .. } | Role::Reference => None,
        }
    }

    /// The name under which summaries compare it: presets of a method are methods of their own.
    pub fn group(&self) -> String {
        match self.role() {
            Role::Reinforce(ppo) if ppo.preset == Preset::OffTheShelf => format!("{}_off_the_shelf", self.name()),
            _ => self.name().to_owned(),
        }
    }

    /// The factor of the implicit reward log(pi / ref) with which held-out comparisons are judged; 1 without a better one.
    pub fn implicit_beta(&self) -> f64 {
        self.objective().filter(|objective| objective.needs_reference()).map_or(1.0, Objective::beta)
    }

    /// Whether it trains a policy.
    pub fn trains(&self) -> bool {
        matches!(self.role(), Role::Train(_) | Role::Reinforce(_))
    }

    /// Whether it cannot do without the learned reward.
    pub fn needs_learned_reward(&self) -> bool {
        match self.role() {
            Role::Reinforce(ppo) => !ppo.uses_true_reward(),
            Role::BestOfN { .. } => true,
            Role::Train(_) | Role::Prompting { .. } | Role::Reference => false,
        }
    }

    /// The beta whose optimum of the true reward the method aims at, where that is known. `reward_scale` is that of Bradley-Terry
    /// labels: the scaled reward's optimum at beta is the reward's at beta / scale.
    pub fn optimum_beta(&self, reward_scale: f64) -> Option<f64> {
        match self.role() {
            Role::Train(objective) => objective.optimum_beta().map(|beta| beta / reward_scale),
            Role::Reinforce(ppo) => ppo.optimum_beta(),
            Role::BestOfN { .. } | Role::Prompting { .. } | Role::Reference => None,
        }
    }

    /// Values out of range: key, what is wrong, what to do.
    pub fn problems(&self) -> Vec<(&'static str, String, String)> {
        self.parameters().problems()
    }
}

/// The complaint about a value that must be positive, if it is not.
fn must_be_positive(key: &'static str, value: f64, hint: &str) -> Option<(&'static str, String, String)> {
    (!(value > 0.0 && value.is_finite())).then(|| (key, format!("`{key}` must be greater than 0, not {value}"), hint.to_owned()))
}

/// The complaint about a value that must be at least 0, if it is not.
fn must_not_be_negative(key: &'static str, value: f64, hint: &str) -> Option<(&'static str, String, String)> {
    (!(value >= 0.0 && value.is_finite())).then(|| (key, format!("`{key}` must be at least 0, not {value}"), hint.to_owned()))
}

/// The complaint about `label_smoothing` out of range.
fn must_be_label_smoothing(value: f64) -> Option<(&'static str, String, String)> {
    let what = || format!("`label_smoothing` must be at least 0 and below 0.5, not {value}");
    (!(0.0..0.5).contains(&value)).then(|| ("label_smoothing", what(), "at 0.5 the labels say nothing".to_owned()))
}

/// Whether an option is left at its default: it is then not written, so that an option's arrival changes no stage's key.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The default of weights and margins.
fn one() -> f64 {
    1.0
}

/// As [`is_default`], for options whose default is 1.
fn is_one(value: &f64) -> bool {
    *value == one()
}
