//! The methods: one file each, with its parameters, what it needs, and its loss as a pure function of log-probs.
//!
//! A new method is one file here and one line in `methods!`; the compiler then names what is missing.

mod batch;
mod best_of_n;
mod cdpo;
mod dpo;
#[cfg(test)]
mod golden_tests;
mod preferred_ft;
pub mod reward_model;
pub mod sft;
mod unlikelihood;

pub use batch::{PreferenceBatch, TokenLogProbs};
pub use dpo::Dpo;

use crate::spec::{Problem, Span, Table, tree};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// How a method turns log-probs into a loss.
pub trait Objective {
    /// Whether the loss reads the reference's log-probs; they are neither made nor read for methods that do not.
    fn needs_reference(&self) -> bool;

    /// Whether the loss reads the rejected completions; they are not run through the policy otherwise.
    fn needs_rejected(&self) -> bool {
        true
    }

    /// The factor of the implicit reward `beta * (log pi - log ref)` in train.csv, for methods with a reference.
    fn beta(&self) -> f64 {
        1.0
    }

    /// Whether the loss is exactly ln 2 while policy and reference are the same.
    fn starts_at_ln2(&self) -> bool {
        false
    }

    /// The loss of every pair, `[pairs]`; training takes the mean.
    fn loss(&self, batch: &PreferenceBatch) -> Tensor<1>;
}

/// What a method does once its study's shared stages are there.
pub enum Role<'a> {
    /// Trains a policy from the reference.
    Train(&'a dyn Objective),
    /// Draws `n` completions of the reference and keeps the one that the learned reward prefers.
    BestOfN {
        /// Completions drawn for a prompt.
        n: usize,
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
    BestOfN(best_of_n) = "best_of_n",
}

impl Method {
    /// Methods that train no policy: sweeps of `[training]` do not multiply their runs.
    pub const UNTRAINED: &'static [&'static str] = &["sft", "best_of_n"];

    /// What the method does.
    pub fn role(&self) -> Role<'_> {
        self.parameters().role()
    }

    /// The loss, for methods that train a policy.
    pub fn objective(&self) -> Option<&dyn Objective> {
        match self.role() {
            Role::Train(objective) => Some(objective),
            Role::BestOfN { .. } | Role::Reference => None,
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
