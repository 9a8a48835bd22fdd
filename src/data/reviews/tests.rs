//! Tests of reading reviews: every format, every complaint, and what is kept apart.

use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Reads one file of this name and content.
fn read_one(name: &str, bytes: &[u8]) -> Result<Corpus> {
    let folder = TempDir::new().unwrap();
    read(&[write(&folder, name, bytes)])
}

/// The message of reading it, without the folder.
fn complaint(name: &str, bytes: &[u8]) -> String {
    let folder = TempDir::new().unwrap();
    let error = read(&[write(&folder, name, bytes)]).unwrap_err();
    assert!(matches!(error, Error::Data(_)), "{error:?}");
    error.to_string().replace(&format!("{}/", folder.path().display()), "")
}

fn review(text: &str, positive: bool) -> Review {
    Review { text: text.into(), positive }
}

const JSON: &[u8] =
    b"{\"text\": \"Good <br /><br />film\", \"label\": 1, \"id\": 7}\n\n{\"label\": \"neg\", \"text\": \" bad \"}\r\n";
const CSV: &[u8] = b"id, Label ,text\r\n1,pos,\"Good\n<br />film\"\n2,0,bad\n";

#[test]
fn every_format_gives_the_same_rows() {
    let bom = [b"\xef\xbb\xbf", JSON].concat();
    let two = [gzip(&JSON[..JSON.len() / 2]), gzip(&JSON[JSON.len() / 2..])].concat();
    for (name, bytes) in [
        ("train.jsonl", JSON),
        ("train.jsonl", &bom),
        ("train.jsonl.gz", &gzip(JSON)),
        ("TRAIN.JSONL.GZ", &two),
        ("train.csv", CSV),
        ("train.csv", &[b"\xef\xbb\xbf", CSV].concat()),
        ("train.csv.gz", &gzip(CSV)),
    ] {
        let corpus = read_one(name, bytes).unwrap();
        assert_eq!(corpus.train, [review("Good film", true), review("bad", false)], "{name}");
        assert_eq!((corpus.test.len(), corpus.dropped_duplicates, corpus.dropped_leaked), (0, 0, 0));
    }
}

#[test]
fn labels_have_many_spellings() {
    let labels = ["1", "true", "\"pos\"", "\"Positive\"", "\"1\"", "0", "false", "\"neg\"", "\"negative\"", "\" 0 \""];
    let lines: String = labels.iter().enumerate().map(|(i, l)| format!("{{\"text\":\"t{i}\",\"label\":{l}}}\n")).collect();
    let train = read_one("train.jsonl", lines.as_bytes()).unwrap().train;
    assert_eq!(train.iter().map(|row| row.positive).collect::<Vec<_>>(), [[true; 5], [false; 5]].concat());
}

#[test]
fn wrong_json_rows_say_where_and_what_to_do() {
    let label = "; write 0, false, \"neg\" or \"negative\", or 1, true, \"pos\" or \"positive\" (line 3)";
    for (row, wanted) in [
        (&b"{\"label\": 1}"[..], "no \"text\", only \"label\"; give every row a field \"text\" (line 3)"),
        (b"{\"text\": null, \"label\": 1}", "\"text\" is null; give it a value or take the row out (line 3)"),
        (b"{\"text\": 5, \"label\": 1}", "\"text\" is a number, not a string; put the text there in quotes (line 3)"),
        (b"{\"text\": [\"a\"], \"label\": 1}", "\"text\" is a list, not a string; put the text there in quotes (line 3)"),
        (b"{\"text\": \" <br/> \", \"label\": 1}", "the text is empty; write a text or take the row out (line 3)"),
        (
            b"{\"text\": \"a\"}",
            "no label among \"text\"; give every row a field \"label\" of 0 (negative) or 1 (positive) (line 3)",
        ),
        (b"{\"text\": \"a\", \"label\": -1}", &format!("unknown label \"-1\"{label}")),
        (b"{\"text\": \"a\", \"label\": \"meh\"}", &format!("unknown label \"meh\"{label}")),
        (b"{\"text\": \"a\", \"label\": {}}", "the label is an object; write 0 or 1 (line 3)"),
        (b"[\"a\", 1]", "not a JSON object; write one object such as {\"text\": \"...\", \"label\": 0} on each line (line 3)"),
        (
            b"{\"text\": \"a\", \"label\": 1",
            "invalid JSON at column 24 (EOF while parsing an object); write one complete JSON object on each line (line 3)",
        ),
        (b"{\"text\": \"a\xff\", \"label\": 1}", "not UTF-8 after byte 11; save the file as UTF-8 (line 3)"),
    ] {
        let bytes = [b"{\"text\": \"a\", \"label\": 0}\n\n", row, b"\n"].concat();
        assert_eq!(complaint("train.jsonl", &bytes), format!("train.jsonl, row 2: {wanted}"));
        let wanted = wanted.replace(" (line 3)", " (line 2)");
        assert_eq!(complaint("x.jsonl.gz", &gzip(&bytes[26..])), format!("x.jsonl.gz, row 1: {wanted}"));
    }
}

#[test]
fn wrong_csv_rows_say_where_and_what_to_do() {
    let columns = "put texts with commas or quotes in double quotes";
    for (row, wanted) in [
        (&b",1"[..], "the text is empty; write a text or take the row out (line 4)"),
        (b"a,", "no label; give every row a field \"label\" of 0 (negative) or 1 (positive) (line 4)"),
        (b"a,2", "unknown label \"2\"; write 0, false, \"neg\" or \"negative\", or 1, true, \"pos\" or \"positive\" (line 4)"),
        (b"a, b,1", &format!("has 3 columns, the header 2; {columns} (line 4)")),
        (b"a", &format!("has 1 columns, the header 2; {columns} (line 4)")),
        (b"a\xff,1", "column \"text\" is not UTF-8 after byte 1; save the file as UTF-8 (line 4)"),
    ] {
        let bytes = [b"text,label\n\"a\nb\",0\n", row, b"\n"].concat();
        assert_eq!(complaint("train.csv", &bytes), format!("train.csv, row 2: {wanted}"));
    }
    let wanted = "x.csv, row 1: no label among \"text\", \"score\"; give every row a field \"label\" of 0 (negative) or 1 (positive) (line 2)";
    assert_eq!(complaint("x.csv", b"text,score\na,1\n"), wanted);
}

#[test]
fn files_that_cannot_be_a_corpus_say_so() {
    let rows = "no rows; give it rows with a text and a label, or leave the file out";
    for (name, bytes) in [("a.jsonl", &b"\n"[..]), ("a.csv", b""), ("a.csv", b"text,label\n"), ("a.jsonl.gz", &gzip(b""))] {
        assert_eq!(complaint(name, bytes), format!("{name}: {rows}"));
    }
    let wanted = "test.jsonl: no rows to train on: every row is a test row; add a file with \"train\" in its name";
    assert_eq!(complaint("test.jsonl", JSON), wanted);
    let wanted = "train.csv: all 2 rows to train on are negative; add rows with the other label";
    assert_eq!(complaint("train.csv", b"text,label\na,0\nb,0\n"), wanted);
    let wanted = "train.csv: all 1 rows to train on are positive; add rows with the other label";
    assert_eq!(complaint("train.csv", b"text,label\na,1\n"), wanted);
    let wanted = "train.txt: not a format that is read; convert it to .jsonl, .json, .csv, .tsv or .parquet, \
        each also as .gz or .zst";
    assert_eq!(complaint("train.txt", b"a"), wanted);
    let wanted = "no files with labelled reviews; name at least one, for example .jsonl or .csv";
    assert_eq!(read(&[]).unwrap_err().to_string(), wanted);
    let absent = read(&["nowhere/train.csv".into()]).unwrap_err();
    assert!(matches!(absent, Error::Io { .. }) && absent.to_string().starts_with("cannot open nowhere/train.csv: "));
}

#[test]
fn damaged_gzip_names_file_and_row() {
    let rows: String = (0..3000u64).map(|i| format!("{{\"text\": \"t{}\", \"label\": {}}}\n", i * i * 7919, i % 2)).collect();
    let whole = gzip(rows.as_bytes());
    let message = complaint("train.jsonl.gz", &whole[..whole.len() / 2]);
    let (before, after) = message.strip_prefix("train.jsonl.gz, row ").unwrap().split_once(": ").unwrap();
    assert!((100..3000).contains(&before.parse::<usize>().unwrap()), "{message}");
    assert!(
        after.starts_with("the gzip data is damaged or ends too early (") && after.ends_with("copy or download the file again")
    );
    // Also where only the checksum at the end is wrong, where it is no gzip at all, and where nothing is there.
    let mut wrong = whole.clone();
    let end = wrong.len() - 6;
    wrong[end] ^= 1;
    assert!(complaint("train.jsonl.gz", &wrong).starts_with("train.jsonl.gz, row 3001: the gzip data is damaged"));
    assert!(complaint("train.csv.gz", CSV).starts_with("train.csv.gz, row 1: the gzip data is damaged"));
    assert!(complaint("train.csv.gz", &gzip(CSV)[..12]).starts_with("train.csv.gz, row 1: the gzip data is damaged"));
}

#[test]
fn a_name_says_the_split_by_whole_words() {
    let of = |name: &str| Split::of_file(Path::new(name));
    for name in ["train.csv", "imdb_train.jsonl.gz", "IMDb-Training-1.csv", "test/a.train2.csv"] {
        assert_eq!(of(name), Some(Split::Train), "{name}");
    }
    for name in ["test.csv", "imdb_TEST.jsonl", "train/testing.csv"] {
        assert_eq!(of(name), Some(Split::Test), "{name}");
    }
    for name in ["latest.csv", "restraint.csv", "train_test.csv", "reviews.jsonl", "contest-trains.csv"] {
        assert_eq!(of(name), None, "{name}");
    }
}

#[test]
fn a_file_without_a_split_in_its_name_is_split_by_its_texts() {
    let rows = |from: usize, to: usize| -> String {
        (from..to).map(|i| format!("{{\"text\": \"review {i}\", \"label\": {}}}\n", i % 2)).collect()
    };
    let corpus = read_one("reviews.jsonl", rows(0, 2000).as_bytes()).unwrap();
    assert!((150..250).contains(&corpus.test.len()), "{}", corpus.test.len());
    assert_eq!(corpus.train.len() + corpus.test.len(), 2000);
    // The side of a text is the same among other texts, and a copy in another file is on the same side.
    let folder = TempDir::new().unwrap();
    let files = [write(&folder, "b.jsonl", rows(500, 2000).as_bytes()), write(&folder, "a.jsonl", rows(0, 1000).as_bytes())];
    let again = read(&files).unwrap();
    assert_eq!((again.dropped_duplicates, again.dropped_contradictions, again.dropped_leaked), (500, 0, 0));
    assert_eq!((again.train.len(), again.test.len()), (corpus.train.len(), corpus.test.len()));
    assert!(again.test.iter().all(|row| corpus.test.contains(row)));
}

#[test]
fn repetitions_and_leaks_are_dropped_and_counted() {
    let folder = TempDir::new().unwrap();
    let test = b"text,label\nonly here,1\nshared,0\nonly  here ,1\nshared<br>,1\n";
    let train = b"text,label\nshared,1\nb,0\nb,1\n";
    let corpus = read(&[write(&folder, "test.csv", test), write(&folder, "train.csv", train)]).unwrap();
    assert_eq!(corpus.train, [review("shared", true), review("b", false)]);
    assert_eq!(corpus.test, [review("only here", true)]);
    assert_eq!((corpus.dropped_duplicates, corpus.dropped_contradictions, corpus.dropped_leaked), (3, 2, 1));
}

#[test]
fn cleaning_takes_line_breaks_out() {
    assert_eq!(clean("  a<br /><BR/>b <br> c\n\td<br\n/ >e "), "a b c d e");
    assert_eq!(clean("a < b > c <brr> <i>d</i> br> <br"), "a < b > c <brr> <i>d</i> br> <br");
    assert_eq!(clean("a<br <br>>b <<br>br>"), "a b < br>");
    assert_eq!(clean("<br />"), "");
    assert_eq!(clean("é<br>ß\u{a0}\u{3000}x"), "é ß x");
}

proptest! {
    #[test]
    fn cleaning_twice_is_cleaning_once(text in "([<>bBrR/ \n]|<br|<br />|\\PC){0,40}") {
        let once = clean(&text);
        prop_assert_eq!(clean(&once), once);
    }

    #[test]
    fn what_was_written_is_read(texts in proptest::collection::btree_map(any::<String>(), any::<bool>(), 1..20), packed: bool) {
        let cleaned: std::collections::BTreeMap<String, bool> = texts.iter().map(|(text, &label)| (clean(text), label)).collect();
        let rows: Vec<Review> = cleaned.iter().filter(|(text, _)| !text.is_empty()).map(|(text, &label)| review(text, label))
            .chain([review("<always> there", true), review("<never> away", false)]).collect();
        let mut lines = Vec::new();
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_record(["label", "text"]).unwrap();
        for row in &rows {
            writeln!(lines, "{}", serde_json::json!({ "text": row.text, "label": row.positive })).unwrap();
            table.write_record([if row.positive { "pos" } else { "neg" }, &row.text]).unwrap();
        }
        for (name, bytes) in [("train.jsonl", lines), ("train.csv", table.into_inner().unwrap())] {
            let corpus = if packed { read_one(&format!("{name}.gz"), &gzip(&bytes)) } else { read_one(name, &bytes) };
            prop_assert_eq!(&corpus.unwrap().train, &rows);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for name in ["a.jsonl", "a.csv", "a.csv.gz"] {
            let _ = read_one(name, &bytes);
        }
    }
}
