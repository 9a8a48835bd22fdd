//! What a judge's server answers: the body as bytes. Whatever it repeats of the key is not in what is made of it.
#![no_main]

use dpo_lab::judges::openai::{OpenAi, Settings};
use std::path::Path;
use std::sync::{Arc, OnceLock};

const KEY: &str = "sk-fuzz";

struct Shared(OpenAi);
// SAFETY: libFuzzer calls the target from one thread.
unsafe impl Sync for Shared {}
unsafe impl Send for Shared {}

fn judge() -> &'static OpenAi {
    static JUDGE: OnceLock<Shared> = OnceLock::new();
    let open = || {
        // SAFETY: no other thread is there yet that could read the environment.
        unsafe { std::env::set_var("DPO_LAB_JUDGE_API_KEY", KEY) };
        let settings = Settings { model: "m".into(), base_url: "http://127.0.0.1:9/v1".into(), ..Settings::default() };
        Shared(OpenAi::open(&settings, Path::new("/nonexistent"), Arc::default()).expect("a judge"))
    };
    &JUDGE.get_or_init(open).0
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let said = match judge().verdict_of(data) {
        Ok(verdict) => verdict.map(|verdict| verdict.reason).unwrap_or_default(),
        Err(error) => error.to_string(),
    };
    assert!(!said.contains(KEY), "the key is repeated");
});
