//! What this program was built from: its version, its commit, and the versions of everything in it.

use std::collections::BTreeMap;

/// Version of dpo-lab.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The versions that it was built with.
pub const LOCK: &str = include_str!("../Cargo.lock");
const PACKAGE: &str = include_str!("../Cargo.toml");

/// Commit that it was built from, with `+` where files had been changed; nothing outside a repository.
pub fn commit() -> Option<&'static str> {
    Some(env!("DPO_LAB_COMMIT")).filter(|commit| !commit.is_empty())
}

/// BLAKE3 digest of [`LOCK`], hexadecimal.
pub fn lock_digest() -> String {
    blake3::hash(LOCK.as_bytes()).to_hex().to_string()
}

/// Name and version of every package of a Cargo.lock; several versions of one are joined by `, `.
pub fn packages(lock: &str) -> BTreeMap<String, String> {
    let tables: toml::Table = lock.parse().unwrap_or_default();
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for package in tables.get("package").and_then(toml::Value::as_array).into_iter().flatten() {
        let text = |key: &str| package.get(key).and_then(toml::Value::as_str);
        if let (Some(name), Some(version)) = (text("name"), text("version")) {
            let versions = found.entry(name.to_owned()).or_default();
            *versions = if versions.is_empty() { version.to_owned() } else { format!("{versions}, {version}") };
        }
    }
    found
}

/// Names of the packages that dpo-lab itself asks for.
pub fn direct() -> Vec<String> {
    let tables: toml::Table = PACKAGE.parse().unwrap_or_default();
    let dependencies = tables.get("dependencies").and_then(toml::Value::as_table);
    let wanted =
        |value: &toml::Value| value.get("optional").and_then(toml::Value::as_bool) != Some(true) || cfg!(feature = "cuda");
    dependencies.into_iter().flatten().filter(|(_, value)| wanted(value)).map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_direct_dependency_has_a_version() {
        let packages = packages(LOCK);
        assert!(packages.len() > direct().len() && direct().contains(&"burn".to_owned()));
        assert_eq!(direct().into_iter().find(|name| !packages.contains_key(name)), None);
        assert_eq!(packages.get("dpo-lab").map(String::as_str), Some(VERSION));
    }

    #[test]
    fn versions_of_one_package_stand_together() {
        let package = |version: &str| format!("[[package]]\nname = \"a\"\nversion = \"{version}\"\n");
        let lock = [package("1.0.0"), package("2.0.0")].concat();
        assert_eq!(packages(&lock), BTreeMap::from([("a".to_owned(), "1.0.0, 2.0.0".to_owned())]));
    }
}
