//! Data files: the first byte chooses the kind of file and how it is packed, the second the row format (0 recognises it), and the
//! rest is the file. With DPO_LAB_FUZZ_FORMAT=NAME every input is of that format.
#![no_main]

use dpo_lab::data::formats::{Format, Options, Turns, examples};
use dpo_lab_fuzz::{LARGEST, end_if_given_up, folder, write};
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

const NAMES: [&str; 15] = [
    "a.jsonl",
    "a.json",
    "a.csv",
    "a.tsv",
    "a.parquet",
    "a.jsonl.gz",
    "a.json.gz",
    "a.csv.gz",
    "a.tsv.gz",
    "a.parquet.gz",
    "a.jsonl.zst",
    "a.json.zst",
    "a.csv.zst",
    "a.tsv.zst",
    "a.parquet.zst",
];

fn fixed() -> Option<Format> {
    static FIXED: OnceLock<Option<Format>> = OnceLock::new();
    *FIXED.get_or_init(|| std::env::var("DPO_LAB_FUZZ_FORMAT").ok().map(|name| name.parse().expect("a format's name")))
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [name, format, bytes @ ..] = data else { return };
    LARGEST.store(1 << 31, Ordering::Relaxed);
    let path = folder(|_| ()).join(NAMES[usize::from(*name) % NAMES.len()]);
    write(&path, bytes);
    let chosen = match usize::from(*format) % (Format::ALL.len() + 1) {
        0 => None,
        number => Some(Format::ALL[number - 1]),
    };
    let turns = if *format >= 128 { Turns::Single } else { Turns::Any };
    let options = Options { format: fixed().or(chosen), turns };
    let read = examples(&[path], &options, &mut |example| {
        let _ = (example.prompt(), example.texts());
        Ok(())
    });
    if let Err(error) = read {
        end_if_given_up(&error);
    }
});
