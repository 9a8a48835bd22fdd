//! The experiment file: from TOML to the whole plan, as `dpo-lab plan` makes it. A file that names paths is only loaded, since a glob
//! over the whole machine is slow and no mistake.
#![no_main]

use dpo_lab::{plan, resolve, spec};
use dpo_lab_fuzz::{folder, write};
use std::path::Path;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let path = folder(|_| ()).join("study.toml");
    write(&path, data);
    let Ok(loaded) = spec::load(&path, &[]) else { return };
    if data.contains(&b'/') {
        return;
    }
    let nowhere = |_: &str| Path::new("/nonexistent").to_owned();
    if let Ok(resolved) = resolve::resolve(&loaded.study, &nowhere, resolve::Fetch::No) {
        plan::build(&loaded.study, &resolved);
    }
});
