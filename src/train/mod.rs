//! Training: sequences to tensors, optimisers, and one loop for everything that is trained.

mod language_model;
#[cfg(test)]
mod lora_tests;
mod optimizer;
mod pairs;
mod preference;
mod reward_model;
mod sequences;
mod step;
#[cfg(test)]
mod tests;

pub use language_model::train_language_model;
pub use optimizer::{OptimizerState, clip_factor, global_norm, learning_rate};
pub use pairs::PairData;
pub use preference::{PreferenceRun, train_preference};
pub use reward_model::{RewardModelResult, train_reward_model};
pub use sequences::{Batch, Divergence, Sequence, completion_log_probs, divergences, scores};
pub use step::{Output, StepResult, Trainer};
