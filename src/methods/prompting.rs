//! Prompting: the base model as it is, after a few examples of the task (Rafailov et al. 2023, section 6). Nothing is trained.

use super::{Parameters, Role};
use serde::{Deserialize, Serialize};

/// `[method.prompting]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompting {
    /// Examples before the prompt.
    #[serde(default)]
    pub shots: usize,
}

impl Parameters for Prompting {
    fn role(&self) -> Role<'_> {
        Role::Prompting { shots: self.shots }
    }

    fn problems(&self) -> Vec<(&'static str, String, String)> {
        Vec::new()
    }
}
