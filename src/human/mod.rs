//! The human study: blinded packets for people to judge, their answers read back, and how far people and judges agree
//! (Rafailov et al. 2023, section 6.4, appendix D.3 and table 2). Knows no store: comparisons come in, files go out.

mod csv;
mod html;
mod import;
mod packets;
mod summary;

pub use import::{Answer, AnswerFile, Imported, Skipped, import};
pub use packets::{Item, Key, KeyEntry, PACKET_ITEMS, Packet, Side, packets};
pub use summary::{HumanRow, JudgeVerdicts, summary};

use crate::error::{Error, Result};
use crate::judges::Subject;
use std::path::PathBuf;

/// One completion of a policy beside its baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Name of the study.
    pub study: String,
    /// Name of the run.
    pub run: String,
    /// Name of the method, as in the experiment file's table.
    pub method: String,
    /// Optimiser steps taken.
    pub step: u64,
    /// Sampling temperature.
    pub temperature: f64,
    /// Which held-out prompt it is.
    pub prompt_index: usize,
    /// The prompt's text.
    pub prompt: String,
    /// What the policy is compared with, as in winrate.csv.
    pub baseline: String,
    /// What the policy wrote.
    pub policy_text: String,
    /// What the baseline wrote.
    pub baseline_text: String,
}

/// What people are asked. The wording follows the judges': coverage without clutter, and helpfulness.
pub fn question(subject: Subject) -> &'static str {
    match subject {
        Subject::Sentiment => "Which text continues the beginning with the more positive opinion?",
        Subject::Summary => "Which summary covers the main points of this post better, and leaves out what does not matter?",
        Subject::NewsSummary => {
            "Which summary covers the main points of this news article better, and leaves out what does not matter?"
        }
        Subject::Dialogue => "Which response is more helpful?",
    }
}

/// Everything that an export leaves, as relative path and content: `packets/`, which raters get, and `key.json`, which they
/// must not see.
pub fn files(packets: &[Packet], key: &Key, subject: Subject) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let folder = PathBuf::from("packets");
    let question = question(subject);
    let mut files = vec![(folder.join("README.txt"), instructions(question).into_bytes())];
    for packet in packets {
        files.push((folder.join(format!("{}.csv", packet.name)), csv::packet_csv(packet)?));
        files.push((folder.join(format!("{}.html", packet.name)), html::packet_html(packet, question)?.into_bytes()));
    }
    let mut key = serde_json::to_vec_pretty(key).map_err(Error::other)?;
    key.push(b'\n');
    files.push((PathBuf::from("key.json"), key));
    Ok(files)
}

fn instructions(question: &str) -> String {
    format!(
        "{question}\n\n\
         One packet is for one person; two people may get the same packet. There are two ways to answer, and one is enough.\n\n\
         - Open packet-01.html in a browser. It works without a network and remembers answers when it is closed. At the end\n  \
         it saves a file named after the packet and you. Send that file back.\n\
         - Or open packet-01.csv in a spreadsheet. Write a, b or tie into the column `answer`, leave the rest as it is, and\n  \
         save it as CSV under the name packet-01-NAME.csv, with your name for NAME. Send that file back.\n\n\
         An item that you cannot judge may be left out.\n"
    )
}

#[cfg(test)]
mod tests;
