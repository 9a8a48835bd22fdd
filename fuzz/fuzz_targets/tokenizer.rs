//! tokenizer.json, and what stands beside it: the first byte says which file the rest is. What opens reads a few texts and writes
//! them again.
#![no_main]

use dpo_lab::models::Tokenizer;
use dpo_lab_fuzz::{folder, write};
use std::path::Path;

const FILES: [&str; 4] = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json"];

fn prepare(folder: &Path) {
    let words = Tokenizer::words(&["good", "bad", "film"]).expect("a tokenizer");
    words.save(&folder.join("plain.json")).expect("room for a file");
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [which, rest @ ..] = data else { return };
    let folder = folder(prepare);
    for name in FILES {
        let _ = std::fs::remove_file(folder.join(name));
    }
    let chosen = FILES[usize::from(*which) % FILES.len()];
    if chosen != FILES[0] {
        std::fs::copy(folder.join("plain.json"), folder.join(FILES[0])).expect("room for a file");
    }
    write(&folder.join(chosen), rest);
    let Ok(tokenizer) = Tokenizer::open(folder) else { return };
    let _ = (tokenizer.size(), tokenizer.largest_id(), tokenizer.opening());
    for text in ["", "good film", " a  b\n\té日本🙂 <|endoftext|> </s>", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"]
    {
        let _ = tokenizer.encode_with_special(text);
        let _ = tokenizer.encode_wrapped(text);
        if let Ok(tokens) = tokenizer.encode(text) {
            let _ = (tokenizer.decode(&tokens), tokenizer.decode_all(&tokens));
            let mut stream = tokenizer.stream(&[]);
            for token in tokens {
                let _ = stream.push(token);
            }
            let _ = stream.finish();
        }
    }
    let _ = tokenizer.decode_all(&[0, 1, 2, 3, u32::MAX]);
});
