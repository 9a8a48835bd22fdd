//! A model's folder: two bytes say how long config.json is, which follows them; the rest is model.safetensors. What opens goes on
//! to score two tokens.
#![no_main]

use burn::tensor::Device;
use dpo_lab::models::encoder::Encoder;
use dpo_lab::models::{Decoder, hf::peft};
use dpo_lab_fuzz::{folder, write};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [low, high, rest @ ..] = data else { return };
    let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
    let (config, weights) = rest.split_at(length);
    let folder = folder(|_| ());
    for name in ["config.json", peft::CONFIG] {
        write(&folder.join(name), config);
    }
    for name in ["model.safetensors", "adapter_model.safetensors"] {
        write(&folder.join(name), weights);
    }
    let device = Device::flex();
    if let Ok(decoder) = Decoder::load(folder, &device) {
        if decoder.config.scores > 0 {
            decoder.classify(&[vec![0, 0]], &device);
        } else {
            decoder.next_token_log_probs(&[vec![0, 0]], &device);
        }
        let _ = decoder.load_adapters(folder, &device);
    }
    if let Ok(encoder) = Encoder::load(folder, &device) {
        let _ = encoder.logits(&[vec![0, 0]], |_| ());
    }
    let _ = peft::base(folder);
});
