//! Tells the program which commit it was built from, for provenance.

use std::process::Command;

fn main() {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
    };
    // A package that lies unpacked in somebody else's repository was not built from their commit.
    let own = git(&["rev-parse", "--show-prefix"]).is_some_and(|prefix| prefix.is_empty());
    let commit = git(&["rev-parse", "HEAD"]).filter(|_| own).map(|commit| {
        let changed = git(&["status", "--porcelain", "--untracked-files=no", "--", "src", "Cargo.toml", "Cargo.lock"]);
        if changed.is_none_or(|files| files.is_empty()) { commit } else { format!("{commit}+") }
    });
    println!("cargo::rustc-env=DPO_LAB_COMMIT={}", commit.unwrap_or_default());
    // A commit that changes nothing here needs no new build; what is built from a fresh clone names its commit exactly.
    println!("cargo::rerun-if-changed=Cargo.lock");
    println!("cargo::rerun-if-changed=src");
}
