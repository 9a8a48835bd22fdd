//! Training: sequences to tensors, optimisers, and one loop for everything that is trained.

mod checkpoint;
#[cfg(test)]
mod checkpoint_tests;
mod examples;
mod inference;
mod language_model;
#[cfg(test)]
mod lora_tests;
mod optimizer;
mod pass;
mod preference;
mod reinforce;
#[cfg(test)]
mod reinforce_tests;
mod reward_model;
mod sequences;
mod step;
#[cfg(test)]
mod tests;

pub use checkpoint::Checkpoints;
pub use examples::{Example, PreferenceData};
pub use inference::{Divergence, completion_log_probs, divergences, scores};
pub use language_model::train_language_model;
pub use optimizer::{OptimizerState, clip_factor, global_norm, learning_rate};
pub use preference::{PreferenceRun, train_preference};
pub use reinforce::{Carried, ReinforceRun, Rollout, reinforce, update};
pub use reward_model::{RewardModelResult, train_reward_model};
pub use sequences::{Batch, Output, Sequence};
pub use step::{StepResult, Trainer};
