//! Stages `base` and `classifier` for models that are there already: where they lie, not copies of them.

use super::context::Context;
use super::files::write_json;
use crate::error::Result;
use crate::models::Policy;
use crate::tasks::reward::TrueReward;

pub(super) fn run(context: &mut Context<'_>) -> Result<()> {
    let folder = context.pretrained()?.clone();
    context.progress("reading the model", 0, 1);
    // What cannot be read is found here rather than by the stages behind it.
    Policy::load(&folder.path, context.device)?;
    write_json(&context.folder.join("source.json"), &folder)
}

/// A classifier that is the true reward.
pub(super) fn classifier(context: &mut Context<'_>) -> Result<()> {
    let folder = context.pretrained()?.clone();
    context.progress("reading the classifier", 0, 1);
    TrueReward::classifier(&folder.path, context.device)?;
    write_json(&context.folder.join("source.json"), &folder)
}
