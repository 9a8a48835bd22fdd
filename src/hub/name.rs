//! Names on the hub: `hub:OWNER/NAME@REVISION`.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// What every name on the hub begins with.
pub const PREFIX: &str = "hub:";

/// A repository on the hub, a model or a data set: `hub:OWNER/NAME` or `hub:OWNER/NAME@REVISION`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// `OWNER/NAME`, or `NAME` alone for the few old repositories without an owner, such as `gpt2`.
    pub repository: String,
    /// A branch, a tag or a commit; nothing is the branch `main`.
    pub revision: Option<String>,
}

impl Name {
    /// The revision that is asked for.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }

    /// The fields are public, so that whoever uses a name checks it: it becomes a part of addresses and of paths.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = |why: String| {
            let form = "write hub:OWNER/NAME or hub:OWNER/NAME@REVISION";
            Err(Error::Usage(format!("{:?} is not a name on the hub: {why}; {form}", self.to_string())))
        };
        let parts: Vec<&str> = self.repository.split('/').collect();
        if parts.len() > 2 {
            return wrong("more than one slash before the revision".to_owned());
        }
        for part in parts {
            if part.is_empty() {
                return wrong("the owner or the name is empty".to_owned());
            }
            if let Some(bad) = part.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_.".contains(*c)) {
                return wrong(format!("{bad:?} cannot be in it"));
            }
            // The hub's own rules. `--` also stands for the slash in the folders of the cache.
            if part.starts_with(['-', '.']) || part.ends_with(['-', '.']) || part.contains("--") || part.contains("..") {
                return wrong(format!("{part:?} begins or ends with `-` or `.`, or has two of them in a row"));
            }
        }
        if self.repository.len() > 96 {
            return wrong("longer than 96 characters".to_owned());
        }
        let Some(revision) = &self.revision else { return Ok(()) };
        if let Some(bad) = revision.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_.+/".contains(*c)) {
            return wrong(format!("{bad:?} cannot be in the revision"));
        }
        // A revision is also a path below `refs/` of the cache.
        if revision.len() > 200 || revision.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
            return wrong(
                "the revision is empty, longer than 200 characters or has a part that is empty or begins with `.`".into(),
            );
        }
        Ok(())
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Name> {
        let Some(rest) = text.strip_prefix(PREFIX) else {
            return Err(Error::Usage(format!("{text:?} is not a name on the hub: it does not begin with {PREFIX}")));
        };
        let (repository, revision) = match rest.split_once('@') {
            Some((repository, revision)) => (repository, Some(revision.to_owned())),
            None => (rest, None),
        };
        let name = Name { repository: repository.to_owned(), revision };
        name.check()?;
        Ok(name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.repository)?;
        match &self.revision {
            Some(revision) => write!(f, "@{revision}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for text in ["hub:gpt2", "hub:openai-community/gpt2", "hub:o/m@refs/pr/1", "hub:a_b/c.d-e@v1.0+x"] {
            assert_eq!(text.parse::<Name>().unwrap().to_string(), text);
        }
        let parsed = "hub:o/m@v1".parse::<Name>().unwrap();
        assert_eq!((parsed.repository.as_str(), parsed.revision.as_deref()), ("o/m", Some("v1")));
        let long = format!("hub:{}", "a".repeat(97));
        for bad in [
            "",
            "gpt2",
            "hub:",
            "hub:/",
            "hub:o/",
            "hub:/m",
            "hub:a/b/c",
            "hub:o/m@",
            "hub:..",
            "hub:../x",
            "hub:o/m@../x",
            "hub:o/m@a//b",
            "hub:o/m@/a",
            "hub:o/m@.",
            "hub:o/m@a b",
            "hub:o/m@v1@v2",
            "hub:o m",
            "hub:a--b",
            "hub:-a",
            "hub:a.",
            "hub:o/m?x",
            "hub:ä",
            &long,
        ] {
            let error = bad.parse::<Name>().unwrap_err();
            assert!(matches!(&error, Error::Usage(text) if text.contains("is not a name on the hub")), "{bad}: {error}");
        }
    }
}
