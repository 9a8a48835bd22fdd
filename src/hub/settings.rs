//! Where the cache and the hub are, and who asks: from the variables that every tool of the hub reads.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Doing, Error, Result};

/// Everything that decides where files come from. It has no `Debug`, so that the token is never printed.
pub(super) struct Settings {
    /// The folder with `models--OWNER--NAME` and so on.
    pub cache: PathBuf,
    /// The address of the hub, without a slash at the end.
    pub endpoint: String,
    /// Sent to the endpoint, and to nobody else.
    pub token: Option<String>,
    /// Answer from the cache only.
    pub offline: bool,
    /// How long to wait before the second try; the third waits twice as long.
    pub pause: Duration,
}

impl Settings {
    /// Reads HF_HUB_CACHE, HF_HOME, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE through `variable`.
    pub fn read(offline: bool, variable: impl Fn(&str) -> Option<OsString>) -> Result<Settings> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| match set(name) {
            None => Ok(None),
            // Never the value itself: it may be the token.
            Some(value) => match value.into_string() {
                Ok(value) => Ok(Some(value.trim().to_owned()).filter(|value| !value.is_empty())),
                Err(_) => Err(Error::Usage(format!("{name} is not UTF-8: set it again"))),
            },
        };
        let home = match (set("HF_HOME"), set("XDG_CACHE_HOME")) {
            (Some(home), _) => PathBuf::from(home),
            (None, Some(caches)) => PathBuf::from(caches).join("huggingface"),
            (None, None) => match set("HOME").or_else(|| set("USERPROFILE")) {
                Some(home) => PathBuf::from(home).join(".cache").join("huggingface"),
                None => return Err(Error::Usage("no folder for files of the hub: HOME is not set; set HF_HOME".to_owned())),
            },
        };
        let cache = set("HF_HUB_CACHE").map_or_else(|| home.join("hub"), PathBuf::from);
        let cache = std::path::absolute(&cache).doing("find", &cache)?;
        let token = match text("HF_TOKEN")? {
            Some(token) => Some(token),
            None => std::fs::read_to_string(home.join("token")).ok().map(|token| token.trim().to_owned()),
        };
        let token = token.filter(|token| !token.is_empty());
        if token.as_ref().is_some_and(|token| !token.chars().all(|c| c.is_ascii_graphic())) {
            let place = home.join("token");
            return Err(Error::Usage(format!("the token in HF_TOKEN or {} is not one word: set it again", place.display())));
        }
        let truth = ["1", "true", "yes", "on"];
        let asked = text("HF_HUB_OFFLINE")?.is_some_and(|value| truth.contains(&value.to_ascii_lowercase().as_str()));
        let endpoint = endpoint(text("HF_ENDPOINT")?)?;
        Ok(Settings { cache, endpoint, token, offline: offline || asked, pause: Duration::from_millis(500) })
    }
}

/// The address of the hub, checked: it stands in messages, so it must not hold a password.
fn endpoint(value: Option<String>) -> Result<String> {
    let Some(value) = value else { return Ok("https://huggingface.co".to_owned()) };
    if value.contains('@') {
        return Err(Error::Usage("HF_ENDPOINT holds a user name or a password: give the address without them".to_owned()));
    }
    let address = value.trim_end_matches('/');
    let valid = address.parse::<ureq::http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.query().is_none()
    });
    if !valid {
        return Err(Error::Usage(format!(
            "HF_ENDPOINT={value:?} is not the address of a hub: write it like https://huggingface.co"
        )));
    }
    Ok(address.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;

    use super::*;

    #[test]
    fn settings_come_from_the_variables_of_the_hub() {
        let folder = tempfile::TempDir::new().unwrap();
        let home = folder.path().to_str().unwrap();
        let read = |offline: bool, set: &[(&str, &str)]| {
            let set: HashMap<String, OsString> = set.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
            Settings::read(offline, |name| set.get(name).cloned())
        };
        let settings = read(false, &[("HOME", home), ("HF_TOKEN", ""), ("HF_HUB_OFFLINE", "0")]).ok().unwrap();
        assert_eq!(settings.cache, folder.path().join(".cache/huggingface/hub"));
        assert_eq!((settings.endpoint.as_str(), settings.token, settings.offline), ("https://huggingface.co", None, false));
        let set =
            [("HF_HOME", home), ("HF_ENDPOINT", "https://mirror.example/hf/"), ("HF_TOKEN", " t "), ("HF_HUB_OFFLINE", "True")];
        let settings = read(false, &set).ok().unwrap();
        assert_eq!(settings.cache, folder.path().join("hub"));
        assert_eq!((settings.endpoint.as_str(), settings.token.as_deref()), ("https://mirror.example/hf", Some("t")));
        assert!(settings.offline && read(true, &[("HOME", home)]).ok().unwrap().offline);
        std::fs::write(folder.path().join("token"), "from-the-file\n").unwrap();
        let settings = read(false, &[("HF_HOME", home), ("HF_HUB_CACHE", "/elsewhere")]).ok().unwrap();
        assert_eq!((settings.cache.as_path(), settings.token.as_deref()), (Path::new("/elsewhere"), Some("from-the-file")));
        for (name, value, expected) in [
            ("HF_TOKEN", "hf_secret with spaces", "is not one word"),
            ("HF_ENDPOINT", "https://user:hf_secret@hub.example", "HF_ENDPOINT holds a user name or a password"),
            ("HF_ENDPOINT", "ftp://hub.example", "is not the address of a hub"),
            ("HF_ENDPOINT", "hub.example", "is not the address of a hub"),
        ] {
            let Err(Error::Usage(text)) = read(false, &[("HOME", home), (name, value)]) else {
                panic!("{name}={value} is accepted")
            };
            assert!(text.contains(expected) && !text.contains("hf_secret"), "{text}");
        }
        assert!(matches!(read(false, &[]), Err(Error::Usage(text)) if text.contains("set HF_HOME")));
    }
}
