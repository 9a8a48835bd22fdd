//! Tests of reading rows: every container, and every way in which a file can be wrong.

use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::parquet_tests::{PARQUET_ROWS, parquet};
use super::source::Packing;
use super::*;

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// The rows of one file of this name and content: line, and fields as JSON.
pub fn read_all(name: &str, bytes: &[u8]) -> Result<Vec<(Option<u64>, String)>> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let mut all = Vec::new();
    let count = rows(&path, &mut |row| {
        assert_eq!(row.number, all.len() + 1);
        all.push((row.line, Value::Object(row.fields).to_string()));
        Ok(())
    });
    match count {
        Ok(count) => {
            assert_eq!(count, all.len());
            Ok(all)
        }
        Err(error) => Err(match error {
            Error::Data(said) => Error::Data(said.replace(&format!("{}/", folder.path().display()), "")),
            other => other,
        }),
    }
}

/// What is said of a file that is wrong.
pub fn complaint(name: &str, bytes: &[u8]) -> String {
    let error = read_all(name, bytes).unwrap_err();
    assert!(matches!(error, Error::Data(_)), "{error:?}");
    error.to_string()
}

const LINES: &str = "\n{\"a\": \"1\", \"b\": \"x, y\"}\r\n \n{\"a\": \"\", \"b\": \"é\\n\\\"\"}";
const LIST: &str = " [\n{\"a\": \"1\", \"b\": \"x, y\"},\n\n{\"a\": \"\",\n \"b\": \"é\\n\\\"\"}]\n";
const COMMAS: &str = "a , b\r\n1,\"x, y\"\r\n\n\"\",\"é\n\"\"\"\n";
const TABS: &str = "a\tb\n1\tx, y\n\n\t\"é\n\"\"\"\n";

#[test]
fn every_container_gives_the_same_rows() {
    let object = format!(
        "{{\"version\": 1.5, \"names\": [\"a\", 2], \"of\": {{\"a\": [{{}}]}}, \"none\": [], \"data\": {LIST}, \"end\": null}}"
    );
    for (name, text) in [
        ("a.jsonl", LINES),
        ("a.ndjson", LINES),
        ("a.json", LINES),
        ("a.JSON", LIST),
        ("a.json", &object),
        ("a.csv", COMMAS),
        ("a.tsv", TABS),
    ] {
        let marked = format!("\u{feff}{text}");
        for text in [text, &marked] {
            let text = text.as_bytes();
            let (first, second) = text.split_at(text.len() / 2);
            for (name, bytes) in [
                (name.to_owned(), text.to_vec()),
                (format!("{name}.gz"), gzip(text)),
                (format!("{name}.zst"), zstd(text)),
                (format!("{name}.GZ"), [gzip(first), gzip(second)].concat()),
                (format!("{name}.ZST"), [zstd(first), zstd(second)].concat()),
            ] {
                let rows = read_all(&name, &bytes).unwrap();
                let fields: Vec<&str> = rows.iter().map(|(_, fields)| fields.as_str()).collect();
                assert_eq!(fields, [r#"{"a":"1","b":"x, y"}"#, r#"{"a":"","b":"é\n\""}"#], "{name}");
                let lines: Vec<u64> = rows.iter().filter_map(|(line, _)| *line).collect();
                assert_eq!(lines, [2, 4], "{name} {rows:?}");
            }
        }
    }
}

#[test]
fn one_line_of_json_is_a_row_or_a_list() {
    let of = |text: &str| read_all("a.json", text.as_bytes()).unwrap().into_iter().map(|(_, row)| row).collect::<Vec<_>>();
    // One list of objects: rows. None, or several: a row.
    assert_eq!(of(r#"{"data": [{"a": 1}, {"a": 2}], "n": [1]}"#), [r#"{"a":1}"#, r#"{"a":2}"#]);
    assert_eq!(of(r#"{"a": 1, "n": [1]}"#), [r#"{"a":1,"n":[1]}"#]);
    assert_eq!(of(r#"{"chosen": [{"a": 1}], "rejected": [{"a": 2}]}"#), [r#"{"chosen":[{"a":1}],"rejected":[{"a":2}]}"#]);
    // Two lines are two rows, even with a list of objects in each.
    assert_eq!(of("{\"m\": [{\"a\": 1}]}\n{\"m\": [{\"a\": 2}]}"), [r#"{"m":[{"a":1}]}"#, r#"{"m":[{"a":2}]}"#]);
    assert_eq!((of(""), of(" \n"), of("[]"), of("{\"data\":\n[]}")), (vec![], vec![], vec![], vec![]));
}

#[test]
fn wrong_json_says_where_and_what_to_do() {
    let shape = "write a list of objects, one for each row, or one object with such a list in a field";
    for (text, wanted) in [
        ("[{},\n 5]", format!("a.json, row 2: a number, not an object; {shape}")),
        ("[\n\n[1]]", format!("a.json, row 1: a list, not an object; {shape} (line 3)")),
        ("7", format!("a.json: neither a list nor an object; {shape}")),
        ("[{}] {}", format!("a.json, row 2: invalid JSON at column 6 (trailing characters); {shape} (line 1)")),
        ("[{}, {\"a\" 1}]", format!("a.json, row 2: invalid JSON at column 11 (expected `:`); {shape} (line 1)")),
        ("[{},", "a.json, row 2: invalid JSON at column 4 (EOF while parsing a value); the file ends too early; copy or download it again (line 1)".into()),
        ("[{},{\"a\": \"b", "a.json, row 2: invalid JSON at column 12 (EOF while parsing a string); the file ends too early; copy or download it again (line 1)".into()),
        ("{\n\"a\": {}}", format!("a.json: an object without a list of rows; {shape}")),
        ("{\"a\": [{}],\n\"b\": [{}]}", "a.json: two lists of rows, \"a\" and \"b\"; keep one, or write JSON lines".into()),
        ("{\"a\": 1}\n[1]", "a.json, row 2: not a JSON object; write one object such as {\"text\": \"...\", \"label\": 0} on each line".into()),
    ] {
        assert_eq!(complaint("a.json", text.as_bytes()), wanted, "{text}");
    }
    let wanted = "a.json, row 2: not UTF-8 before column 9; save the file as UTF-8 (line 1)";
    assert_eq!(complaint("a.json", b"[{}, {\"a\xff\": 1}]"), wanted);
    assert!(complaint("a.json", "[".repeat(100_000).as_bytes()).contains("recursion limit"));
    assert!(complaint("a.json", "{\"a\":".repeat(100_000).as_bytes()).contains("ends too early"));
}

#[test]
fn wrong_tables_say_where_and_what_to_do() {
    let wanted = "a.tsv, row 2: has 3 columns, the header 2; put texts with tabs or quotes in double quotes (line 3)";
    assert_eq!(complaint("a.tsv", b"a\tb\n1\t2\n1\t2\t3\n"), wanted);
    assert_eq!(complaint("a.csv", b"a, a\n1,2\n"), "a.csv: two columns are called \"a\"; rename one of them");
    assert_eq!(complaint("a.csv", b"a,\xff\n1,2\n"), "a.csv: the header is not UTF-8 after byte 0; save the file as UTF-8");
    let wanted = "a.csv, row 1: column \"b\" is not UTF-8 after byte 2; save the file as UTF-8 (line 2)";
    assert_eq!(complaint("a.csv", b"a,b\n1,xy\xff\n"), wanted);
}

#[test]
fn damaged_packing_names_file_and_row() {
    let rows: String = (0..20_000u64).map(|i| format!("{{\"text\": \"t{}\"}}\n", i.wrapping_mul(i) * 7919 % 1_000_003)).collect();
    let list = format!("[{}]", rows.trim_end().replace('\n', ",\n"));
    let table = format!("text\n{}", rows.replace('"', ""));
    for (name, text) in [("a.jsonl", &rows), ("a.json", &rows), ("a.json", &list), ("a.csv", &table)] {
        for (packing, ending, packed) in [("gzip", "gz", gzip(text.as_bytes())), ("zstd", "zst", zstd(text.as_bytes()))] {
            let name = format!("{name}.{ending}");
            let said = complaint(&name, &packed[..packed.len() / 2]);
            let (row, what) = said.strip_prefix(&format!("{name}, row ")).unwrap().split_once(": ").unwrap();
            assert!((1000..19_000).contains(&row.parse::<usize>().unwrap()), "{said}");
            assert!(what.starts_with(&format!("the {packing} data is damaged or ends too early (")), "{said}");
            assert!(what.ends_with("); copy or download the file again"), "{said}");
            let said = complaint(&name, text.as_bytes());
            assert!(said.starts_with(&format!("{name}, row 1: the {packing} data is damaged")), "{said}");
        }
    }
}

type Reader = fn(&Source, &mut dyn BufRead, Take) -> Result<usize>;

const COMMA_SEPARATED: Reader = |source, input, take| table::rows(source, input, b',', take);

/// The rows of a text that may not exceed `longest` bytes a row.
fn bounded(reader: Reader, input: impl Read, longest: u64) -> Result<usize> {
    let source = Source { path: Path::new("a"), packing: Packing::Plain, longest };
    reader(&source, &mut BufReader::new(input), &mut |_| Ok(()))
}

#[test]
fn a_row_without_an_end_is_refused() {
    let longest = 1 << 20;
    for (reader, start, wanted) in [
        (json_lines::rows as Reader, "{}\n{\"a\": \"", "row 2: longer than 1 MiB; write one JSON object on each line"),
        (json::rows, "[\n{}, {\"a\": \"", "row 2: longer than 1 MiB; write a list of objects, one for each row"),
        (json::rows, "[{}, {\"", "row 2: longer than 1 MiB; write a list of objects, one for each row (line 1)"),
        (
            json::rows,
            "{\"data\": [{}, {\"a\": \"",
            "row 2: longer than 1 MiB; write a list of objects, one for each row (line 1)",
        ),
        (json::rows, "{\"a\": \"", "row 1: longer than 1 MiB; write a list of objects, one for each row"),
        (
            COMMA_SEPARATED,
            "a,b\n1,2\n3,\"",
            "row 2: longer than 1 MiB; close every double quote, and write quotes inside a text as \"\"",
        ),
        (COMMA_SEPARATED, "a,\"", "row 1: longer than 1 MiB; close every double quote, and write quotes inside a text as \"\""),
    ] {
        let endless = Cursor::new(start).chain(std::io::repeat(b'x'));
        let error = bounded(reader, endless, longest).unwrap_err();
        assert!(matches!(error, Error::Data(_)));
        assert_eq!(error.to_string(), format!("a, {wanted}"), "{start}");
    }
    let endless = Cursor::new("[{\"a\": [").chain(std::io::repeat(b'['));
    assert!(bounded(json::rows, endless, longest).is_err());
}

/// Repeats a text, a number of times.
struct Repeated(&'static str, usize, usize);

impl Read for Repeated {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = &self.0.as_bytes()[self.2..];
        let read = left.len().min(buffer.len()).min(if self.1 == 0 { 0 } else { usize::MAX });
        buffer[..read].copy_from_slice(&left[..read]);
        self.2 += read;
        if self.2 == self.0.len() {
            (self.1, self.2) = (self.1 - 1, 0);
        }
        Ok(read)
    }
}

#[test]
fn a_long_file_is_read_row_by_row() {
    // Far more in all than one row may have.
    let (count, longest) = (20_000, 10_000);
    let list =
        Cursor::new("{\"n\": 1, \"rows\":\n[{}").chain(Repeated(", {\"a\": [\"b\", 1]}\n", count, 0)).chain(Cursor::new("]}"));
    assert_eq!(bounded(json::rows, list, longest).unwrap(), count + 1);
    assert_eq!(bounded(json::rows, Repeated("{\"a\": [\"b\", 1]}\n", count, 0), longest).unwrap(), count);
    assert_eq!(bounded(json_lines::rows, Repeated("{\"a\": [\"b\", 1]}\n", count, 0), longest).unwrap(), count);
    assert_eq!(bounded(COMMA_SEPARATED, Cursor::new("a,b\n").chain(Repeated("1,\"2\n3\"\n", count, 0)), longest).unwrap(), count);
}

#[test]
fn the_first_error_of_the_taker_ends_the_reading() {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in
        [("a.jsonl", LINES.as_bytes()), ("a.json", LIST.as_bytes()), ("a.csv", COMMAS.as_bytes()), ("a.parquet", &parquet())]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let mut taken = 0;
        let result = rows(&path, &mut |row| {
            taken += 1;
            Err(row.wrong(&path, "enough"))
        });
        let said = result.unwrap_err().to_string();
        assert!(said.contains(&format!("{name}, row 1: enough")) && taken == 1, "{said}");
    }
}

#[test]
fn what_is_no_file_is_an_io_error() {
    let folder = TempDir::new().unwrap();
    for name in ["a.jsonl", "a.json.gz", "a.csv.zst", "a.parquet", "a.parquet.gz"] {
        let absent = rows(Path::new(name), &mut |_| Ok(())).unwrap_err();
        assert!(
            matches!(absent, Error::Io { .. }) && absent.to_string().starts_with(&format!("cannot open {name}: ")),
            "{absent}"
        );
        let path: PathBuf = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        let error = rows(&path, &mut |_| Ok(())).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error:?}");
    }
    assert!(reads(Path::new("x/A.Parquet.ZST")) && !reads(Path::new("jsonl")) && !reads(Path::new("a.txt.gz")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        "[\\[{},:\"a1 \n\\\\é\t]{0,60}".prop_map(String::into_bytes),
    ]) {
        for name in ["a.jsonl", "a.json", "a.csv", "a.tsv", "a.parquet"] {
            let _ = read_all(name, &bytes);
            let _ = read_all(&format!("{name}.gz"), &gzip(&bytes));
            let _ = read_all(&format!("{name}.zst"), &zstd(&bytes));
        }
        for name in ["a.jsonl.gz", "a.json.zst", "a.parquet.zst", "a.parquet.gz"] {
            let _ = read_all(name, &bytes);
        }
    }

    #[test]
    fn lists_are_read_as_lines_are(rows in proptest::collection::vec(proptest::collection::btree_map(any::<String>(), any::<String>(), 0..4), 0..6)) {
        let wanted: Vec<String> = rows.iter().map(|row| json!(row).to_string()).collect();
        for (name, text) in [
            ("a.jsonl", wanted.join("\n")),
            ("a.json", json!(rows).to_string()),
            ("a.json", serde_json::to_string_pretty(&json!({ "data": rows })).unwrap()),
        ] {
            let read: Vec<String> = read_all(name, text.as_bytes()).unwrap().into_iter().map(|(_, row)| row).collect();
            prop_assert_eq!(&read, &wanted);
        }
    }

    #[test]
    fn any_damage_to_parquet_is_survived(at in any::<proptest::sample::Index>(), byte: u8, end in any::<proptest::sample::Index>()) {
        let mut bytes = parquet();
        let whole = read_all("a.parquet", &bytes).unwrap();
        prop_assert_eq!(whole.len(), PARQUET_ROWS.len());
        let end = end.index(bytes.len());
        prop_assert!(matches!(read_all("a.parquet", &bytes[..end]), Err(Error::Data(_))));
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = read_all("a.parquet", &bytes);
    }
}
