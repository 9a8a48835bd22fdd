//! Reads answers back: files that the page saved (`packet,rater,id,answer`), and packets filled in in a spreadsheet
//! (`id,...,answer`, with packet and rater in the file's name). Rows are counted as a spreadsheet counts them: the header is row 1.

use super::csv::{BYTE_ORDER_MARK, unguarded};
use super::packets::{Key, Side};
use crate::error::{Error, Result};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Mistakes that one message names.
const SHOWN_MISTAKES: usize = 10;

/// A file of answers.
#[derive(Clone, Debug)]
pub struct AnswerFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// What one person said of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who, in lower case: people do not always write their own name alike.
    pub rater: String,
    /// The item's id.
    pub id: String,
    /// Which text is better; `None` where there is no difference.
    pub choice: Option<Side>,
}

/// Items of a packet that a rater gave no answer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Who.
    pub rater: String,
    /// The packet's name.
    pub packet: String,
    /// How many items.
    pub items: usize,
}

/// What the files hold together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// One answer for each rater and item, in the order of the files.
    pub answers: Vec<Answer>,
    /// Rows that say again what their rater said before.
    pub repeated: usize,
    /// Who skipped how much, by rater and packet.
    pub skipped: Vec<Skipped>,
}

impl Imported {
    /// What a person should know of the import, one thing a line.
    pub fn notes(&self) -> Vec<String> {
        let raters: BTreeSet<&str> = self.answers.iter().map(|answer| answer.rater.as_str()).collect();
        let ties = self.answers.iter().filter(|answer| answer.choice.is_none()).count();
        let mut notes = vec![format!("answers: {}, of raters: {}", self.answers.len(), raters.len())];
        if ties > 0 {
            notes.push(format!("answers of no difference: {ties}; win rates and agreement leave them out"));
        }
        if self.repeated > 0 {
            notes.push(format!("rows that repeat an answer of the same rater: {}; each is counted once", self.repeated));
        }
        let skipped =
            |skipped: &Skipped| format!("items of {} that {} skipped: {}", skipped.packet, skipped.rater, skipped.items);
        notes.extend(self.skipped.iter().map(skipped));
        notes
    }
}

/// Reads answer files. Repeated answers are counted once. Every mistake is an error that names file and row: a file that is
/// not CSV, a missing column, an unknown item, an answer other than a, b and tie, two different answers of one rater to one item.
pub fn import(files: &[AnswerFile], key: &Key) -> Result<Imported> {
    let mut reading = Reading { key, given: BTreeMap::new(), begun: BTreeSet::new(), imported: Imported::default() };
    let mut mistakes = Vec::new();
    for file in files {
        if let Err(mistake) = reading.file(file, &mut mistakes) {
            mistakes.push(mistake);
        }
    }
    if mistakes.is_empty() { Ok(reading.finished()) } else { Err(together(&mistakes)) }
}

fn together(mistakes: &[Error]) -> Error {
    let mut lines: Vec<String> = mistakes.iter().take(SHOWN_MISTAKES).map(Error::to_string).collect();
    if mistakes.len() > SHOWN_MISTAKES {
        lines.push(format!("and {} more mistakes; correct these first", mistakes.len() - SHOWN_MISTAKES));
    }
    Error::Data(lines.join("\n"))
}

struct Reading<'a> {
    key: &'a Key,
    /// The answer of a rater to an item, and where it stands.
    given: BTreeMap<(String, String), (Option<Side>, String)>,
    /// Raters and the packets they were given.
    begun: BTreeSet<(String, String)>,
    imported: Imported,
}

/// Where a file has what.
struct Layout {
    /// Column of the items.
    id: usize,
    /// Column of the answers.
    answer: usize,
    whose: Whose,
}

/// Where a file says whose answers to which packet it holds.
enum Whose {
    /// In these columns.
    Columns { packet: usize, rater: usize },
    /// In its name.
    Name { packet: String, rater: String },
}

impl Reading<'_> {
    /// Reads one file. A mistake in a row does not hide those in other rows; one in the file as a whole ends it.
    fn file(&mut self, file: &AnswerFile, mistakes: &mut Vec<Error>) -> Result<()> {
        let path = &file.path;
        let bytes = file.bytes.strip_prefix(BYTE_ORDER_MARK.as_bytes()).unwrap_or(&file.bytes);
        if bytes.contains(&0) {
            return Err(wrong(path, "this is not CSV; open it in a spreadsheet and save it as CSV (UTF-8)"));
        }
        // Only ids, answers and names are read as text: a spreadsheet may have saved the rest in another encoding.
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter(bytes)).flexible(true).from_reader(bytes);
        let damaged = |error: csv::Error| wrong(path, format!("this is not CSV: {error}; save it again as CSV (UTF-8)"));
        let layout = self.layout(path, reader.byte_headers().map_err(damaged)?)?;
        if let Whose::Name { packet, rater } = &layout.whose {
            self.begun.insert((rater.clone(), packet.clone()));
        }
        let mut rows = 0;
        for (record, row) in reader.byte_records().zip(2..) {
            let record = record.map_err(damaged)?;
            if record.iter().all(|cell| cell.trim_ascii().is_empty()) {
                continue;
            }
            rows += 1;
            if let Err(what) = self.row(path, row, &record, &layout) {
                mistakes.push(Error::row(path, row, what));
            }
        }
        if rows == 0 {
            return Err(wrong(path, "this file holds no row; ask its rater to save it again, or leave it out"));
        }
        Ok(())
    }

    fn row(&mut self, path: &Path, row: usize, record: &csv::ByteRecord, layout: &Layout) -> Result<(), String> {
        let cell = |column: usize| {
            let text = std::str::from_utf8(record.get(column).unwrap_or_default());
            text.map(str::trim).map_err(|_| "a cell is not UTF-8; save the file as CSV (UTF-8)".to_owned())
        };
        let (packet, rater) = match &layout.whose {
            Whose::Columns { packet, rater } => (cell(*packet)?.to_owned(), unguarded(cell(*rater)?).to_lowercase()),
            Whose::Name { packet, rater } => (packet.clone(), rater.clone()),
        };
        let id = cell(layout.id)?;
        let Some(held) = self.key.packets.get(&packet) else {
            return Err(format!("`{packet}` is no packet of this export; use the key.json that was exported with it"));
        };
        if !held.iter().any(|held| held == id) {
            return Err(format!(
                "item `{id}` is not in {packet} of this export; use the key.json that was exported with it, or restore the id"
            ));
        }
        if rater.is_empty() {
            return Err("the rater has no name; write one into the column `rater`".to_owned());
        }
        self.begun.insert((rater.clone(), packet));
        let choice = match cell(layout.answer)?.to_lowercase().as_str() {
            "" => return Ok(()),
            "a" => Some(Side::First),
            "b" => Some(Side::Second),
            "tie" => None,
            other => return Err(format!("the answer to item `{id}` is `{other}`; write a, b or tie, or leave it blank")),
        };
        self.give(rater, id.to_owned(), choice, format!("{}, row {row}", path.display()))
    }

    fn give(&mut self, rater: String, id: String, choice: Option<Side>, here: String) -> Result<(), String> {
        match self.given.entry((rater.clone(), id.clone())) {
            Entry::Vacant(entry) => {
                entry.insert((choice, here));
                self.imported.answers.push(Answer { rater, id, choice });
                Ok(())
            }
            Entry::Occupied(entry) if entry.get().0 == choice => {
                self.imported.repeated += 1;
                Ok(())
            }
            Entry::Occupied(entry) => Err(format!(
                "{rater} answers item `{id}` differently in {}; remove one of the two rows, or give two raters two names",
                entry.get().1
            )),
        }
    }

    fn layout(&self, path: &Path, header: &csv::ByteRecord) -> Result<Layout> {
        let names: Vec<String> = header.iter().map(|name| String::from_utf8_lossy(name).trim().to_lowercase()).collect();
        let find = |wanted: &str| names.iter().position(|name| name == wanted);
        let need = |wanted: &str| {
            let what = || {
                format!(
                    "there is no column `{wanted}` in the first row; give a file that the packet's page saved \
                     (packet,rater,id,answer) or the packet's own CSV with its answers (id,prompt,a,b,answer)"
                )
            };
            find(wanted).ok_or_else(|| wrong(path, what()))
        };
        let (id, answer) = (need("id")?, need("answer")?);
        let whose = match (find("packet"), find("rater")) {
            (None, None) => self.named(path)?,
            _ => Whose::Columns { packet: need("packet")?, rater: need("rater")? },
        };
        Ok(Layout { id, answer, whose })
    }

    /// What a filled packet's file name says: `packet-01-NAME.csv`.
    fn named(&self, path: &Path) -> Result<Whose> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
        let stem = without_copy_number(&stem);
        let rater = |packet: &String| Some(stem.strip_prefix(packet.as_str())?.strip_prefix(['-', '_', ' '])?.trim().to_owned());
        let named = self.key.packets.keys().find_map(|packet| Some((packet.clone(), rater(packet)?)));
        let (packet, rater) = named.filter(|(_, rater)| !rater.is_empty()).ok_or_else(|| {
            let example = self.key.packets.keys().next().map_or("packet-01", String::as_str);
            wrong(path, format!("the name does not say whose answers to which packet these are; rename it to {example}-NAME.csv"))
        })?;
        Ok(Whose::Name { packet, rater })
    }

    fn finished(mut self) -> Imported {
        for (rater, packet) in self.begun {
            let held = self.key.packets.get(&packet).into_iter().flatten();
            let items = held.filter(|id| !self.given.contains_key(&(rater.clone(), id.to_string()))).count();
            if items > 0 {
                self.imported.skipped.push(Skipped { rater, packet, items });
            }
        }
        self.imported
    }
}

fn wrong(path: &Path, what: impl std::fmt::Display) -> Error {
    Error::Data(format!("{}: {what}", path.display()))
}

/// What separates cells: spreadsheets write `;` where a comma is the decimal mark.
fn delimiter(bytes: &[u8]) -> u8 {
    let header = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let count = |delimiter: u8| header.iter().filter(|&&byte| byte == delimiter).count();
    // Of equals the last counts, which is the comma.
    [b'\t', b';', b','].into_iter().max_by_key(|&delimiter| count(delimiter)).unwrap_or(b',')
}

/// A name without the ` (1)` that browsers and file managers append to a second copy.
fn without_copy_number(stem: &str) -> &str {
    let copied = stem.strip_suffix(')').and_then(|stem| stem.rsplit_once(" ("));
    match copied {
        Some((name, number)) if !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => stem,
    }
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
