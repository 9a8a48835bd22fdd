//! A packet as CSV, for raters who prefer a spreadsheet, with care for what spreadsheets do to cells.

use super::Packet;
use crate::error::{Error, Result};

/// Tells Excel that a file is UTF-8; other readers skip it.
pub(super) const BYTE_ORDER_MARK: &str = "\u{feff}";
/// What a spreadsheet takes for the beginning of a formula, now or after it has trimmed a cell.
const FORMULA: [char; 4] = ['=', '+', '-', '@'];

/// The packet with columns `id,prompt,a,b,answer`, the answers blank.
pub(super) fn packet_csv(packet: &Packet) -> Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().from_writer(BYTE_ORDER_MARK.as_bytes().to_vec());
    writer.write_record(["id", "prompt", "a", "b", "answer"]).map_err(Error::other)?;
    for item in &packet.items {
        let [prompt, first, second] = [&item.prompt, &item.first, &item.second].map(|text| guarded(text));
        writer.write_record([&item.id, &prompt, &first, &second, ""]).map_err(Error::other)?;
    }
    writer.into_inner().map_err(Error::other)
}

/// A text as a cell that no spreadsheet runs as a formula, and without characters that no spreadsheet shows.
fn guarded(text: &str) -> String {
    let shown = |letter: char| if letter.is_control() && !matches!(letter, '\n' | '\t') { '\u{fffd}' } else { letter };
    let apostrophe = if text.trim_start().starts_with(FORMULA) { "'" } else { "" };
    apostrophe.chars().chain(text.replace("\r\n", "\n").chars().map(shown)).collect()
}

/// The text that a guarded cell stands for.
pub(super) fn unguarded(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(text) if text.trim_start().starts_with(FORMULA) => text,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::human::Item;

    #[test]
    fn no_cell_begins_like_a_formula_and_the_guard_can_be_undone() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1"] {
            let cell = guarded(text);
            assert!(cell.starts_with('\''), "{text:?}");
            assert_eq!(unguarded(&cell), text);
        }
        for text in ["", "plain", "'quoted'", "1=1", "'tis"] {
            assert_eq!((guarded(text).as_str(), unguarded(text)), (text, text));
        }
    }

    #[test]
    fn texts_with_quotes_line_ends_and_controls_stay_one_cell() {
        let item = Item {
            id: "c0".into(),
            prompt: "one\r\ntwo, \"three\"".into(),
            first: "\0bell\u{7}".into(),
            second: "日本語".into(),
        };
        let bytes = packet_csv(&Packet { name: "packet-01".into(), items: vec![item] }).expect("CSV");
        let text = String::from_utf8(bytes).expect("UTF-8");
        let mut reader = csv::Reader::from_reader(text.strip_prefix(BYTE_ORDER_MARK).expect("a mark").as_bytes());
        assert_eq!(reader.headers().expect("a header"), vec!["id", "prompt", "a", "b", "answer"]);
        let row = reader.records().next().expect("a row").expect("a row");
        assert_eq!(row, vec!["c0", "one\ntwo, \"three\"", "\u{fffd}bell\u{fffd}", "日本語", ""]);
    }
}
