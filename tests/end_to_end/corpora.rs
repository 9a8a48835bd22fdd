//! The same story on files of labelled reviews: what is read, what is refused, and what makes another corpus.

use super::{Lab, stderr};
use std::fs;
use std::path::Path;

fn write_reviews(path: &Path, rows: usize) {
    let good = ["a great and moving film", "i loved every minute", "wonderful acting here", "truly a joy to watch"];
    let bad = ["a dull and silly film", "i hated every minute", "terrible acting here", "truly a pain to watch"];
    let row = |index: usize| {
        let side = if index.is_multiple_of(2) { good } else { bad };
        let text = format!("{index} : {} , and {} .", side[index / 2 % 4], side[(index / 8 + 1) % 4]);
        format!("{}\n", serde_json::json!({ "text": text, "label": 1 - index % 2 }))
    };
    fs::write(path, (0..rows).map(row).collect::<String>()).expect("written");
}

const FILES: &str = r#"
name = "small"
[model]
vocabulary = 300
[task.sentiment]
corpus = "reviews_*.jsonl"
prefix_tokens = [2, 4]
prompts = 16
completions = 2
max_new_tokens = 8
reward = { fit = "linear" }
[base]
steps = 4
batch_sequences = 8
[sft]
steps = 2
batch_sequences = 8
[training]
steps = 2
batch_pairs = 4
checkpoint_every = 2
[method.dpo]
[evaluation]
every = 2
prompts = 6
max_new_tokens = 8
"#;

#[test]
fn a_corpus_of_single_sentences_runs_end_to_end() {
    let lab = Lab::new();
    lab.write(FILES);
    write_reviews(&lab.folder.path().join("reviews_train.jsonl"), 200);
    write_reviews(&lab.folder.path().join("reviews_other.jsonl"), 260);
    lab.run(&["-q"]);
    let page = fs::read_to_string(lab.results().join("report.html")).expect("the report");
    assert!(page.contains("The true reward"), "the classifier's accuracy is in the report");
}

/// A file's name says which side its rows are on, so the same bytes under another name are another corpus.
#[test]
fn a_file_that_changes_sides_is_another_corpus() {
    let lab = Lab::new();
    lab.write(FILES);
    let path = |name: &str| lab.folder.path().join(name);
    write_reviews(&path("reviews_a.jsonl"), 60);
    lab.run(&["-q", "--until", "tokenizer"]);
    let before = lab.would_run(&[]).len();
    fs::rename(path("reviews_a.jsonl"), path("reviews_b.jsonl")).expect("renamed");
    assert_eq!(lab.would_run(&[]).len(), before, "a name alone is nothing");
    fs::rename(path("reviews_b.jsonl"), path("reviews_train.jsonl")).expect("renamed");
    assert!(lab.would_run(&[]).len() > before, "a side is");
}

#[test]
fn a_bad_row_is_named_with_its_file_and_fails_the_stage_only() {
    let lab = Lab::new();
    lab.write(FILES);
    let path = lab.folder.path().join("reviews_train.jsonl");
    write_reviews(&path, 50);
    let good = fs::read_to_string(&path).expect("read");
    fs::write(&path, good.replacen("\"text\"", "\"txt\"", 3)).expect("written");
    let output = lab.lab(&["run", "study.toml"]);
    assert_eq!(output.status.code(), Some(100));
    assert!(stderr(&output).contains("reviews_train.jsonl, row 1"), "{}", stderr(&output));
}
