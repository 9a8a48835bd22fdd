//! Tokenizers of model folders, real and damaged ones.

use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::path::PathBuf;

fn trained() -> Tokenizer {
    let texts = ["the cat sat on the mat", "the dog and the cat", "naïve café, 日本"];
    Tokenizer::byte_level_bpe(texts.into_iter(), 280).unwrap()
}

fn folder(tokenizer: &Tokenizer, files: &[(&str, Value)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    tokenizer.save(&folder.path().join("tokenizer.json")).unwrap();
    for (name, json) in files {
        std::fs::write(folder.path().join(name), json.to_string()).unwrap();
    }
    folder
}

fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path);
    if !path.exists() {
        tell!("skipped: real data: {} is not there", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn reads_gpt2() {
    let Some(path) = shared("models/tokenizers/gpt2") else { return };
    let tokenizer = Tokenizer::open(&path).unwrap();
    assert_eq!(tokenizer.encode("Hello world").unwrap(), [15496, 995]);
    assert_eq!(tokenizer.encode_with_special("Hello<|endoftext|>").unwrap(), [15496, 50256]);
    assert!(!tokenizer.encode("Hello<|endoftext|>").unwrap().contains(&50256));
    assert_eq!(tokenizer.special(), &SpecialTokens { start: Some(50256), ends: vec![50256], padding: Some(50256) });
    assert_eq!((tokenizer.size(), tokenizer.largest_id()), (50257, 50256));
    assert_eq!(tokenizer.token_text(995).as_deref(), Some("Ġworld"));
}

#[test]
fn reads_a_llama() {
    let Some(path) = shared("models/stories260k-hf") else { return };
    let tokenizer = Tokenizer::open(&path).unwrap();
    assert_eq!(tokenizer.special(), &SpecialTokens { start: Some(1), ends: vec![2], padding: None });
    let reference = JsonFile::read(path.join("reference.json")).unwrap();
    let (text, ids) = (reference.entries["text"].as_str().unwrap(), reference.ids("ids").unwrap());
    assert_eq!(tokenizer.encode(text).unwrap(), ids[1..]);
    // The space before a completion's first word is part of the completion.
    let mut stream = tokenizer.stream(&ids[..3]);
    let pieces: Vec<String> = ids[3..].iter().filter_map(|id| stream.push(*id).unwrap()).collect();
    assert_eq!(tokenizer.decode(&ids[..3]).unwrap() + &pieces.concat(), text);
}

#[test]
fn built_in_tokenizers_start_and_end_with_0() {
    let special = SpecialTokens { start: Some(END), ends: vec![END], padding: Some(END) };
    assert_eq!(Tokenizer::words(&["a", "b"]).unwrap().special(), &special);
    assert_eq!(trained().special(), &special);
    assert_eq!(Tokenizer::open(folder(&trained(), &[]).path()).unwrap().special(), &special);
}

#[test]
fn reads_special_tokens_of_every_file() {
    let new = trained().size() as u32;
    let token = json!({ "content": "<|im_end|>", "special": true });
    let files = [
        (
            "tokenizer_config.json",
            json!({ "bos_token": null, "eos_token": token, "added_tokens_decoder": { new.to_string(): token } }),
        ),
        ("special_tokens_map.json", json!({ "eos_token": "the", "pad_token": "<|endoftext|>" })),
        ("generation_config.json", json!({ "eos_token_id": [new, 0, 99_999] })),
        ("config.json", json!({ "bos_token_id": 0, "eos_token_id": 5, "pad_token_id": -1 })),
    ];
    let tokenizer = Tokenizer::open(folder(&trained(), &files).path()).unwrap();
    assert_eq!(tokenizer.special(), &SpecialTokens { start: None, ends: vec![new, 0], padding: Some(0) });
    assert_eq!(tokenizer.encode_with_special("a<|im_end|>").unwrap().last(), Some(&new));
    assert_eq!(tokenizer.decode_all(&[new]).unwrap(), "<|im_end|>");

    let tokenizer = Tokenizer::open(folder(&trained(), &files[3..]).path()).unwrap();
    assert_eq!(tokenizer.special(), &SpecialTokens { start: Some(0), ends: vec![5], padding: None });
}

#[test]
fn special_tokens_in_data_stay_text() {
    let tokenizer = trained();
    let text = "the cat<|endoftext|>";
    let (plain, special) = (tokenizer.encode(text).unwrap(), tokenizer.encode_with_special(text).unwrap());
    assert!(!plain.contains(&END) && special.last() == Some(&END));
    assert_eq!(tokenizer.decode(&plain).unwrap(), text);
    assert_eq!(tokenizer.decode(&special).unwrap(), "the cat");
    assert_eq!(tokenizer.decode_all(&special).unwrap(), text);
}

#[test]
fn cutting_and_padding_are_switched_off() {
    let folder = folder(&trained(), &[]);
    let mut file = JsonFile::read(folder.path().join("tokenizer.json")).unwrap();
    file.entries["truncation"] = json!({ "direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0 });
    file.entries["padding"] = json!({
        "strategy": { "Fixed": 64 }, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "<|endoftext|>",
    });
    std::fs::write(&file.path, Value::Object(file.entries).to_string()).unwrap();
    let text = "the dog and the cat";
    assert_eq!(Tokenizer::load(&file.path).unwrap().encode(text).unwrap(), trained().encode(text).unwrap());
}

#[test]
fn what_is_wrong_with_a_folder_is_said() {
    let error = |folder: &Path| Tokenizer::open(folder).unwrap_err().to_string();
    assert!(error(tempfile::tempdir().unwrap().path()).contains("save_pretrained"));
    for name in ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json", "config.json"] {
        for damaged in [json!([]), json!("eos")] {
            assert!(error(folder(&trained(), &[(name, damaged)]).path()).contains(name));
        }
    }
    for (name, wrong) in [
        ("config.json", json!({ "eos_token_id": "2" })),
        ("tokenizer_config.json", json!({ "added_tokens_decoder": { "x": "<a>" } })),
        ("tokenizer_config.json", json!({ "added_tokens_decoder": { "7": { "content": "<a>" } } })),
    ] {
        assert!(error(folder(&trained(), &[(name, wrong)]).path()).contains(name));
    }
}

/// A tokenizer of the letters a and b with these parts.
fn of_parts(parts: &[(&str, Value)]) -> Result<Tokenizer> {
    let mut whole =
        json!({ "version": "1.0", "added_tokens": [], "model": { "type": "BPE", "vocab": { "a": 0, "b": 1 }, "merges": [] } });
    for (key, value) in parts {
        whole[*key] = value.clone();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, whole.to_string()).unwrap();
    Tokenizer::load(&path)
}

#[test]
fn a_normalizer_that_doubles_and_doubles_is_refused_before_it_does() {
    let double = json!({ "type": "Replace", "pattern": { "String": "a" }, "content": "aa" });
    let normalizer = |count: usize| ("normalizer", json!({ "type": "Sequence", "normalizers": vec![double.clone(); count] }));
    assert_eq!(of_parts(&[normalizer(3)]).unwrap().encode("ab").unwrap().len(), 9);
    let said = of_parts(&[normalizer(40)]).unwrap().encode("a").unwrap_err().to_string();
    assert!(said.contains("a text of 1 bytes may become") && said.contains("repository"), "{said}");
    let decoder = json!({ "type": "Sequence", "decoders": vec![double; 40] });
    assert!(of_parts(&[("decoder", decoder)]).unwrap_err().to_string().contains("decoder makes texts"));
}

/// fancy-regex gives up after a million steps, and `tokenizers` takes what is left as one piece.
#[test]
fn a_pattern_that_backtracks_without_end_ends() {
    let split = json!({ "type": "Split", "pattern": { "Regex": "(?=(a+)+b)a" }, "behavior": "Isolated", "invert": false });
    let tokenizer = of_parts(&[("pre_tokenizer", split)]).unwrap();
    let began = std::time::Instant::now();
    assert_eq!(tokenizer.encode(&"a".repeat(200)).unwrap().len(), 200);
    assert!(began.elapsed() < std::time::Duration::from_secs(30));
}

proptest! {
    #[test]
    fn any_text_comes_back(text in any::<String>()) {
        let tokenizer = trained();
        let tokens = tokenizer.encode(&text).unwrap();
        prop_assert_eq!(tokenizer.decode(&tokens).unwrap(), text);
    }

    #[test]
    fn a_stream_gives_the_whole_text(tokens in prop::collection::vec(0..280_u32, 0..24)) {
        let tokenizer = trained();
        let mut stream = tokenizer.stream(&[]);
        let mut text = String::new();
        for token in &tokens {
            text += &stream.push(*token).unwrap().unwrap_or_default();
        }
        text += &stream.finish().unwrap();
        prop_assert_eq!(text, tokenizer.decode(&tokens).unwrap());
    }

    #[test]
    fn a_damaged_tokenizer_is_an_error(length in 0..1_000_usize) {
        let folder = folder(&trained(), &[]);
        let path = folder.path().join("tokenizer.json");
        let text = std::fs::read(&path).unwrap();
        std::fs::write(&path, &text[..length]).unwrap();
        prop_assert!(Tokenizer::open(folder.path()).is_err());
    }
}
