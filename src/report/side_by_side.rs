//! Samples side by side, with what a judge said of them: tables 4 to 10 of the paper, as a section of report.html.

use super::html::{Block, Column, Section};
use crate::stats::Outcome;

/// One completion of a policy beside what it was compared with.
#[derive(Clone, Copy, Debug)]
pub struct SideBySide<'a> {
    /// What both answer.
    pub prompt: &'a str,
    /// Who wrote A, the policy's completion: `DPO β=0.1, temperature 0.25`.
    pub policy: &'a str,
    /// A.
    pub policy_text: &'a str,
    /// Whether A is degenerate.
    pub degenerate: bool,
    /// Who wrote B: `reference summary`.
    pub baseline: &'a str,
    /// B.
    pub baseline_text: &'a str,
    /// The judge.
    pub judge: &'a str,
    /// What it said with the policy's completion shown first.
    pub shown_first: Said<'a>,
    /// What it said with the policy's completion shown second.
    pub shown_second: Said<'a>,
}

/// What a judge said in one order.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// In terms of the policy's completion; nothing where the answer could not be read.
    pub outcome: Option<Outcome>,
    /// The judge's reason; empty where it gives none.
    pub reason: &'a str,
}

/// The section; nothing without rows.
pub fn section(rows: &[SideBySide<'_>]) -> Option<Section> {
    let paragraph = "A is the policy's completion, B what it was compared with. The judge saw every pair in both orders, and called \
                     the one that it saw first A; a pair counts as won or lost where both orders agree, otherwise as a tie.";
    (!rows.is_empty()).then(|| Section {
        heading: "Side by side".to_owned(),
        paragraphs: vec![paragraph.to_owned()],
        blocks: rows.iter().map(block).collect(),
        ..Section::default()
    })
}

fn block(row: &SideBySide<'_>) -> Block {
    let column = |name: &str, by: &str, text: &str, degenerate: bool| Column {
        heading: format!("{name}: {by}"),
        flag: if degenerate { "degenerate".to_owned() } else { String::new() },
        text: if text.trim().is_empty() { "(empty)".to_owned() } else { text.to_owned() },
    };
    let mut notes = vec![(format!("Judge {}", row.judge), verdict(row.shown_first.outcome, row.shown_second.outcome).to_owned())];
    // Letters in a reason are those of the order in which the judge saw the two, and the page's only in the first.
    for (order, said) in [("A shown first", row.shown_first), ("B shown first, as its A", row.shown_second)] {
        if !said.reason.trim().is_empty() || row.shown_first.outcome != row.shown_second.outcome {
            notes.push((order.to_owned(), format!("{} {}", choice(said.outcome), quoted(said.reason)).trim_end().to_owned()));
        }
    }
    Block {
        prompt: row.prompt.to_owned(),
        columns: vec![
            column("A", row.policy, row.policy_text, row.degenerate),
            column("B", row.baseline, row.baseline_text, false),
        ],
        notes,
    }
}

/// What both orders say together.
fn verdict(first: Option<Outcome>, second: Option<Outcome>) -> &'static str {
    match (first, second) {
        (Some(Outcome::Win), Some(Outcome::Win)) => "A is better in both orders",
        (Some(Outcome::Loss), Some(Outcome::Loss)) => "B is better in both orders",
        (Some(Outcome::Tie), Some(Outcome::Tie)) => "a tie in both orders",
        (None, None) => "no answer could be read",
        (None, _) | (_, None) => "one answer could not be read",
        _ => "a tie: the two orders disagree",
    }
}

fn choice(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Win) => "A.",
        Some(Outcome::Loss) => "B.",
        Some(Outcome::Tie) => "Tie.",
        None => "Not read.",
    }
}

fn quoted(reason: &str) -> String {
    let reason = reason.trim();
    if reason.is_empty() { String::new() } else { format!("“{reason}”") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(first: Option<Outcome>, second: Option<Outcome>, reason: &'static str) -> SideBySide<'static> {
        SideBySide {
            prompt: "POST",
            policy: "DPO",
            policy_text: "short",
            degenerate: false,
            baseline: "reference summary",
            baseline_text: "long",
            judge: "true",
            shown_first: Said { outcome: first, reason },
            shown_second: Said { outcome: second, reason: "" },
        }
    }

    fn notes(row: &SideBySide<'_>) -> Vec<String> {
        block(row).notes.into_iter().map(|(name, text)| format!("{name} | {text}")).collect()
    }

    #[test]
    fn a_verdict_without_reasons_is_one_line() {
        assert_eq!(notes(&row(Some(Outcome::Win), Some(Outcome::Win), "")), ["Judge true | A is better in both orders"]);
    }

    #[test]
    fn orders_that_disagree_are_both_shown() {
        let shown = notes(&row(Some(Outcome::Win), Some(Outcome::Loss), ""));
        let wanted = ["Judge true | a tie: the two orders disagree", "A shown first | A.", "B shown first, as its A | B."];
        assert_eq!(shown, wanted);
    }

    #[test]
    fn reasons_stand_with_their_order() {
        let shown = notes(&row(Some(Outcome::Loss), Some(Outcome::Loss), " A rambles. "));
        assert_eq!(shown, ["Judge true | B is better in both orders", "A shown first | B. “A rambles.”"]);
    }

    #[test]
    fn answers_that_could_not_be_read_are_no_ties() {
        assert_eq!(notes(&row(None, Some(Outcome::Win), ""))[0], "Judge true | one answer could not be read");
        assert_eq!(notes(&row(None, None, "")), ["Judge true | no answer could be read"]);
    }

    #[test]
    fn degenerate_and_empty_completions_are_seen() {
        let shown = block(&SideBySide { policy_text: " ", degenerate: true, ..row(None, None, "") });
        assert_eq!((shown.columns[0].flag.as_str(), shown.columns[0].text.as_str()), ("degenerate", "(empty)"));
        assert_eq!((shown.columns[1].heading.as_str(), shown.columns[1].flag.as_str()), ("B: reference summary", ""));
    }

    #[test]
    fn without_rows_there_is_no_section() {
        assert!(section(&[]).is_none());
        assert_eq!(section(&[row(None, None, ""); 2]).map(|section| section.blocks.len()), Some(2));
    }
}
