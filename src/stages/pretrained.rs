//! Stage `base` for a model that is there already: where it lies, not a copy of it.

use super::context::Context;
use super::files::write_json;
use crate::error::Result;
use crate::models::Policy;

pub(super) fn run(context: &mut Context<'_>) -> Result<()> {
    let folder = context.pretrained()?.clone();
    context.progress("reading the model", 0, 1);
    // What cannot be read is found here rather than by the stages behind it.
    Policy::load(&folder.path, context.device)?;
    write_json(&context.folder.join("source.json"), &folder)
}
