//! Small files that want to be large: memory stays bounded, and the error says what to do.

use super::{lab, model, plain_words, said};
use std::fs;
use std::io::Write;
use std::path::Path;

/// What a command says that fails for its data: exit code 2 and no panic.
#[track_caller]
fn refused(folder: &Path, arguments: &[&str], says: &str) {
    let output = lab(folder, arguments);
    let text = said(&output);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{:?}: {text}", output.status);
    assert!(text.contains(says) && !text.contains("panicked"), "{says:?} is not in {text:?}");
}

#[test]
fn a_template_that_doubles_a_text_is_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = model(folder.path(), "llama_tied", &plain_words());
    for bomb in [
        "{% set n = namespace(a='xxxxxxxx') %}{% for i in range(60) %}{% set n.a = n.a ~ n.a %}{% endfor %}{{ n.a }}",
        "{% set n = namespace(a=['x']) %}{% for i in range(60) %}{% set n.a = (n.a + n.a) | list %}{% endfor %}{{ n.a }}",
    ] {
        fs::write(copy.join("chat_template.jinja"), bomb).expect("written");
        refused(folder.path(), &["sample", "llama_tied", "--chat", "--prompt", "w3"], "takes more than 512 MiB of memory");
    }
}

#[test]
fn a_models_files_of_absurd_size_are_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    for (file, most) in [("tokenizer.json", "128 MiB"), ("config.json", "16 MiB"), ("tokenizer_config.json", "16 MiB")] {
        let copy = model(folder.path(), "llama_tied", &plain_words());
        // It takes no space on the disk.
        fs::File::create(copy.join(file)).and_then(|file| file.set_len(1 << 40)).expect("a sparse file");
        refused(folder.path(), &["sample", "llama_tied", "--prompt", "w3"], &format!("{file}: it has more than {most}"));
    }
}

#[test]
fn sizes_in_a_config_are_checked_before_anything_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    for (key, value, says) in [
        ("vocab_size", 1_u64 << 28, "does not fit its config.json"),
        ("max_position_embeddings", u64::MAX, "not a size"),
        ("head_dim", 1 << 28, "wider than any model's"),
        ("num_hidden_layers", 1 << 28, "more than any model has"),
    ] {
        let path = model(folder.path(), "llama_tied", &plain_words()).join("config.json");
        let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).expect("read")).expect("JSON");
        config[key] = value.into();
        fs::write(&path, config.to_string()).expect("written");
        refused(folder.path(), &["sample", "llama_tied", "--prompt", "w3"], says);
    }
    let path = model(folder.path(), "llama_reward", &plain_words()).join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).expect("read")).expect("JSON");
    config.as_object_mut().expect("an object").remove("id2label");
    config["num_labels"] = (1 << 28).into();
    fs::write(&path, config.to_string()).expect("written");
    fs::write(folder.path().join("rows.jsonl"), "{\"text\": \"w3\"}\n").expect("written");
    refused(folder.path(), &["classify", "llama_reward", "rows.jsonl"], "more than the 65536 that any classifier has");
}

#[test]
fn a_header_of_weights_that_claims_more_than_there_is_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for length in [u64::MAX, 1 << 40, 1 << 27, 1 << 20] {
        let copy = model(folder.path(), "llama_tied", &plain_words());
        let mut bytes = fs::read(copy.join("model.safetensors")).expect("read");
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        fs::write(copy.join("model.safetensors"), bytes).expect("written");
        refused(folder.path(), &["sample", "llama_tied", "--prompt", "w3"], "damaged or no safetensors file");
    }
}

#[test]
fn packed_rows_that_unpack_without_end_are_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let row = "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}\n".repeat(1 << 14);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..100 {
        encoder.write_all(row.as_bytes()).expect("packed");
    }
    let packed = encoder.finish().expect("packed");
    fs::write(folder.path().join("rows.jsonl.gz"), packed).expect("written");
    refused(folder.path(), &["data", "rows.jsonl.gz"], "unpacks to more than 100 times its size");
    let packed = zstd::encode_all(std::io::Read::take(std::io::repeat(b' '), 64 << 20), 3).expect("packed");
    fs::write(folder.path().join("rows.json.zst"), packed).expect("written");
    refused(folder.path(), &["data", "rows.json.zst"], "unpacks to more than 100 times its size");
}

#[test]
fn rows_without_measure_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let most = 17 << 20;
    for (name, text, says) in [
        ("deep.jsonl", "[".repeat(1 << 20), "not a JSON object"),
        ("deep.json", format!("[{}", "{\"a\":".repeat(1 << 20)), "recursion limit"),
        ("long.jsonl", format!("{{\"a\": \"{}", "x".repeat(most)), "longer than 16 MiB"),
        ("field.csv", format!("a,b\n1,\"{}", "x".repeat(most)), "longer than 16 MiB"),
        ("columns.csv", ",".repeat(1 << 20), "1048577 columns, and 10000 are read at most"),
    ] {
        fs::write(folder.path().join(name), text).expect("written");
        refused(folder.path(), &["data", name], says);
    }
}

/// `FileMetaData` of Parquet in Thrift's compact protocol with a schema of one group, "a", that claims so many children.
fn claiming(children: u64) -> Vec<u8> {
    let mut number = Vec::new();
    let mut rest = children << 1;
    while rest >= 0x80 {
        number.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    number.push(rest as u8);
    let footer = [&[0x15, 2, 0x19, 0x1c, 0x48, 1, b'a', 0x15][..], &number, &[0, 0x16, 0, 0x19, 0x0c, 0]].concat();
    [b"PAR1", &footer[..], &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat()
}

#[test]
fn columns_that_a_parquet_file_only_claims_are_not_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("rows.parquet"), claiming(i32::MAX as u64)).expect("written");
    refused(folder.path(), &["data", "rows.parquet"], "a group claims 2147483647 columns");
}

#[test]
fn a_study_without_measure_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let list = |from: f64| (0..20).map(|step| format!("{:?}", from + f64::from(step) * 1e-3)).collect::<Vec<_>>().join(", ");
    let axes = ["beta", "learning_rate", "max_grad_norm", "weight_decay", "epsilon", "label_noise"];
    let sweep: String = axes.iter().map(|key| format!("{key} = [{}]\n", list(0.01))).collect();
    for (further, says) in [
        (format!("[method.dpo]\n{sweep}"), "this sweep has more than 100000 runs"),
        ("[method.dpo]\nsteps = 1000000000\ncheckpoint_every = 1\n".to_owned(), "more than the 10000 that a run may have"),
        (
            format!(
                "[training]\nsteps = 9000\ncheckpoint_every = 1\n[method.dpo]\nseed = [{}]\n",
                (0..200).map(|seed| seed.to_string()).collect::<Vec<_>>().join(", ")
            ),
            "more than the 1000000 that can be planned",
        ),
    ] {
        let study = format!("name = \"a\"\n[task.sentiment]\n{further}[evaluation]\nevery = 100\n");
        fs::write(folder.path().join("study.toml"), study).expect("written");
        refused(folder.path(), &["check", "study.toml"], says);
    }
}
