//! Data flows one way: which modules may `use` which others.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Module, and what it may use. Everything may use the leaves.
const ALLOWED: &[(&str, &[&str])] = &[
    ("bench", &["methods", "models", "ops", "random", "spec", "train"]),
    (
        "cli",
        &[
            "bench", "data", "exec", "hub", "human", "judges", "models", "ops", "plan", "report", "resolve", "spec", "stages",
            "stats", "store", "tasks", "tracking", "train",
        ],
    ),
    ("data", &[]),
    ("exec", &["plan", "spec", "store"]),
    ("hub", &[]),
    ("methods", &["spec"]),
    ("human", &["judges", "stats"]),
    ("judges", &["data", "models", "spec", "stats", "tasks", "train"]),
    ("models", &["ops", "train", "data"]),
    ("ops", &[]),
    ("report", &["judges", "methods", "plan", "resolve", "spec", "stages", "stats", "store"]),
    ("plan", &["data", "judges", "methods", "models", "resolve", "spec", "store"]),
    ("resolve", &["data", "hub", "judges", "spec", "store"]),
    ("spec", &["judges", "methods", "models"]),
    ("stages", &["judges", "methods", "models", "plan", "report", "resolve", "spec", "stats", "store", "tasks", "train"]),
    ("stats", &[]),
    ("store", &[]),
    ("tasks", &["data", "models", "resolve", "spec", "stats"]),
    ("tracking", &["methods", "plan", "report", "resolve", "spec", "stages", "stats", "store"]),
    ("train", &["methods", "models", "ops", "report", "spec"]),
];

/// What belongs to no step of the flow.
const LEAVES: &[&str] = &["bounded", "build_info", "console", "error", "guard", "machine", "random", "watch", "web"];

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn modules_use_only_what_they_may() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = BTreeSet::new();
    for path in files(&source) {
        let relative = path.strip_prefix(&source).expect("below src");
        let module = relative.iter().next().and_then(|part| part.to_str()).unwrap_or_default().trim_end_matches(".rs");
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == module) else { continue };
        let text = fs::read_to_string(&path).expect("source");
        for (at, _) in text.match_indices("crate::") {
            let used: String = text[at + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if used.chars().next().is_some_and(char::is_lowercase)
                && used != module
                && !LEAVES.contains(&used.as_str())
                && !allowed.contains(&used.as_str())
            {
                wrong.insert(format!("{} uses crate::{used}", relative.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "edges against the flow of data:\n{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_module_has_its_place() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(source).expect("src").flatten() {
        let name = entry.file_name().to_string_lossy().trim_end_matches(".rs").to_owned();
        assert!(
            LEAVES.contains(&name.as_str())
                || ["lib", "main"].contains(&name.as_str())
                || ALLOWED.iter().any(|(module, _)| *module == name),
            "{name} is not in ALLOWED"
        );
    }
}
