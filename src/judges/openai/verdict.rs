//! Reading an answer: one sentence of comparison, then a line with only "A" or "B" (the structure of the paper's judge
//! prompts, appendix C.2). A judge that will not choose has not answered.

use crate::judges::{Choice, Verdict};

/// How often a question is asked before its answers count as unreadable.
pub(super) const MOST_ANSWERS: usize = 3;

/// Words that may stand before the letter: "Preferred: A". None of them turns the choice round, as "worse" would.
const LABELS: [&str; 23] = [
    "answer",
    "best",
    "better",
    "choice",
    "choose",
    "continuation",
    "final",
    "i",
    "is",
    "judgement",
    "judgment",
    "more",
    "my",
    "option",
    "preference",
    "preferred",
    "prefer",
    "response",
    "summary",
    "the",
    "verdict",
    "winner",
    "helpful",
];

/// What the answers to one question come to, in the order in which they came; none if it has to be asked (again).
pub(super) fn settled(answers: &[String]) -> Option<Verdict> {
    if let Some(verdict) = answers.iter().find_map(|answer| read(answer)) {
        return Some(verdict);
    }
    let last = answers.last().filter(|_| answers.len() >= MOST_ANSWERS)?;
    Some(Verdict { choice: Choice::Unparsed, reason: last.trim().to_owned() })
}

/// The verdict of an answer: that of its last line; or, where the reason comes after it, that of the lines that hold a letter
/// and nothing else, if they agree.
pub(super) fn read(answer: &str) -> Option<Verdict> {
    let lines: Vec<&str> = answer.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let (last, before) = lines.split_last()?;
    if let Some(choice) = choice_of(last) {
        return Some(Verdict { choice, reason: before.join("\n") });
    }
    let mut letters = before.iter().filter_map(|line| letter(line));
    let choice = letters.next()?;
    if letters.any(|other| other != choice) {
        return None;
    }
    let reason: Vec<&str> = lines.into_iter().filter(|line| letter(line).is_none()).collect();
    Some(Verdict { choice, reason: reason.join("\n") })
}

/// The choice of a line that holds a letter, or a label and a letter.
fn choice_of(line: &str) -> Option<Choice> {
    let line = bare(line);
    let start = line.char_indices().rev().take_while(|(_, c)| c.is_alphanumeric()).last()?.0;
    let (label, last) = line.split_at(start);
    let mut words = label.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    if words.all(|word| LABELS.contains(&word.to_ascii_lowercase().as_str())) { letter(last) } else { None }
}

/// The choice of a line that holds a letter and nothing else but what marks it.
fn letter(line: &str) -> Option<Choice> {
    match bare(line) {
        "A" => Some(Choice::First),
        "B" => Some(Choice::Second),
        _ => None,
    }
}

/// A line without white space, quotes, brackets and the marks of Markdown round it. A colon stays: "A:" is a heading.
fn bare(line: &str) -> &str {
    line.trim_matches(|c: char| c.is_whitespace() || "*_`#>~'\"()[]{}<$.,;!\u{201c}\u{201d}\u{2018}\u{2019}".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn choice(answer: &str) -> Option<Choice> {
        read(answer).map(|verdict| verdict.choice)
    }

    #[test]
    fn the_last_line_decides_and_the_text_before_it_is_the_reason() {
        let verdict = read("Summary A is shorter,\nbut B says what happened.\n\n  B \n\n").unwrap();
        assert_eq!(verdict.choice, Choice::Second);
        assert_eq!(verdict.reason, "Summary A is shorter,\nbut B says what happened.");
    }

    #[test]
    fn common_decorations_of_the_letter_are_read() {
        for line in [
            "A",
            "A.",
            "**A**",
            "\"A\"",
            "(A)",
            "[[A]]",
            "`A`",
            "Preferred: A",
            "**Preferred:** A",
            "Final verdict: **A**.",
            "Verdict - A",
            "Summary A",
            "The better response is A",
            "More helpful: A",
            "- A",
            "# A",
            "\u{201c}A\u{201d}",
            "A\r",
        ] {
            assert_eq!(choice(&format!("A reason.\n{line}")), Some(Choice::First), "{line:?}");
            assert_eq!(choice(&format!("A reason.\n{}", line.replace('A', "B"))), Some(Choice::Second), "{line:?} with B");
        }
    }

    #[test]
    fn what_is_no_verdict_is_not_read_as_one() {
        for answer in [
            "",
            " \n",
            "I prefer neither.",
            "Tie",
            "C",
            "A or B",
            "A/B",
            "A B",
            "AB",
            "a",
            "Worse: A",
            "Less helpful: B",
            "Not A",
            "Both are fine, as A covers more",
            "Reason: plan A",
            "A:\nIt covers more.",
            "Summary A\nIt is short and",
            "A\nlong\nB\nshort and good",
            "Vitamin A",
        ] {
            assert_eq!(read(answer), None, "{answer:?}");
        }
    }

    #[test]
    fn a_letter_before_the_reason_is_read_where_no_other_contradicts_it() {
        let verdict = read("B\nIt says more.\nI hope this helps!").unwrap();
        assert_eq!((verdict.choice, verdict.reason.as_str()), (Choice::Second, "It says more.\nI hope this helps!"));
    }

    #[test]
    fn three_unreadable_answers_settle_a_question_and_one_readable_one_does() {
        let answers = |texts: &[&str]| settled(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(answers(&[]), None);
        assert_eq!(answers(&["hm", "hm"]), None);
        assert_eq!(answers(&["hm", "hm", "who knows"]).map(|verdict| verdict.choice), Some(Choice::Unparsed));
        assert_eq!(answers(&["hm", "Good.\nA"]).map(|verdict| verdict.choice), Some(Choice::First));
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_reader_fail(answer in any::<String>()) {
            let _ = read(&answer);
        }

        #[test]
        fn lines_of_marks_and_letters_never_fail(answer in "[AB:.*\"\\[ \n\u{201c}é\u{0}Preferd-]{0,40}") {
            let _ = read(&answer);
        }

        #[test]
        fn any_reason_before_a_letter_on_its_own_line_is_kept(reason in "[a-zA-Z ,.\n]{0,60}", first in any::<bool>()) {
            let verdict = read(&format!("{reason}\n{}", if first { "A" } else { "B" })).unwrap();
            prop_assert_eq!(verdict.choice, if first { Choice::First } else { Choice::Second });
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(words(&verdict.reason), words(&reason));
        }
    }
}
