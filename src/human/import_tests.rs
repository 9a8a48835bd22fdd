//! What happens to answer files that people get wrong.

use super::*;
use crate::human::{Comparison, Packet, packets};

/// One full packet and one of five items, all of which are in the first as well.
fn export() -> (Vec<Packet>, Key) {
    let comparison = |prompt_index: usize| Comparison {
        study: "study".into(),
        run: "run".into(),
        method: "dpo".into(),
        step: 100,
        temperature: 1.0,
        prompt_index,
        prompt: format!("prompt {prompt_index}"),
        baseline: "reference".into(),
        policy_text: format!("policy {prompt_index}"),
        baseline_text: format!("baseline {prompt_index}"),
    };
    packets(&(0..25).map(comparison).collect::<Vec<_>>(), 0.2, 1)
}

fn file(name: &str, text: &str) -> AnswerFile {
    AnswerFile { path: name.into(), bytes: text.as_bytes().to_vec() }
}

fn complaint(files: &[AnswerFile]) -> String {
    let error = import(files, &export().1).expect_err("a mistake");
    assert!(matches!(error, Error::Data(_)));
    error.to_string()
}

/// What the page saves, with ITEM for the first item's id and NEXT for the second's.
fn saved(rows: &str) -> AnswerFile {
    let items = &export().0[0].items;
    let text = format!("packet,rater,id,answer\n{}", rows.replace("ITEM", &items[0].id).replace("NEXT", &items[1].id));
    file("answers.csv", &text)
}

#[test]
fn a_rater_who_skips_items_is_said_and_the_rest_counts() {
    let imported = import(&[saved("packet-01,Anna,ITEM,a\npacket-01,anna ,NEXT,tie\n")], &export().1).expect("fine");
    assert_eq!(imported.answers.len(), 2);
    assert_eq!(imported.skipped, [Skipped { rater: "anna".into(), packet: "packet-01".into(), items: 23 }]);
    let notes = imported.notes().join("\n");
    assert!(notes.contains("answers: 2, of raters: 1") && notes.contains("items of packet-01 that anna skipped: 23"), "{notes}");
    assert!(notes.contains("answers of no difference: 1"), "{notes}");
}

#[test]
fn the_same_answer_twice_counts_once_and_is_said() {
    let answers = saved("packet-01,anna,ITEM,a\n");
    let imported = import(&[answers.clone(), answers], &export().1).expect("fine");
    assert_eq!((imported.answers.len(), imported.repeated), (1, 1));
    assert!(imported.notes().join("\n").contains("repeat an answer of the same rater: 1"));
}

#[test]
fn different_answers_of_one_rater_to_one_item_name_both_rows() {
    let said = complaint(&[saved("packet-01,anna,ITEM,a\npacket-01,anna,ITEM,b\n")]);
    assert!(
        said.starts_with("answers.csv, row 3: anna answers item") && said.contains("differently in answers.csv, row 2"),
        "{said}"
    );
    let two = [saved("packet-01,anna,ITEM,a\n"), saved("packet-01,ben,ITEM,b\n")];
    assert_eq!(import(&two, &export().1).expect("two raters may differ").answers.len(), 2);
}

#[test]
fn unknown_items_and_packets_are_named() {
    let said = complaint(&[saved("packet-01,anna,c123,a\npacket-09,anna,ITEM,a\n")]);
    assert!(said.contains("answers.csv, row 2: item `c123` is not in packet-01 of this export; use the key.json"), "{said}");
    assert!(said.contains("answers.csv, row 3: `packet-09` is no packet of this export"), "{said}");
}

#[test]
fn other_answers_than_a_b_and_tie_are_named() {
    let said = complaint(&[saved("packet-01,anna,ITEM,both\n")]);
    assert!(
        said.contains("row 2: the answer to item") && said.ends_with("is `both`; write a, b or tie, or leave it blank"),
        "{said}"
    );
    assert!(complaint(&[saved("packet-01, ,ITEM,a\n")]).contains("row 2: the rater has no name; write one"));
}

#[test]
fn a_long_list_of_mistakes_is_cut() {
    let said = complaint(&[saved(&"packet-01,anna,c1,a\n".repeat(30))]);
    assert_eq!(said.lines().count(), SHOWN_MISTAKES + 1);
    assert!(said.ends_with("and 20 more mistakes; correct these first"), "{said}");
}

#[test]
fn files_that_are_no_answers_are_refused_with_what_to_do() {
    let sheet = complaint(&[AnswerFile { path: "answers.xlsx".into(), bytes: b"PK\x03\x04\0\0".to_vec() }]);
    assert_eq!(sheet, "answers.xlsx: this is not CSV; open it in a spreadsheet and save it as CSV (UTF-8)");
    for text in ["", "<!doctype html>\n<html>", "{\"notice\": 1}", "id;rating\nc1;a"] {
        let said = complaint(&[file("x.csv", text)]);
        assert!(said.starts_with("x.csv: there is no column `") && said.contains("give a file that"), "{said}");
    }
    assert!(complaint(&[file("x.csv", "packet,id,answer\n")]).contains("no column `rater`"));
    assert!(complaint(&[saved("")]).contains("this file holds no row; ask its rater"));
}

#[test]
fn a_filled_packet_takes_packet_and_rater_from_its_name() {
    let (packets, key) = export();
    let id = &packets[1].items[0].id;
    // As a spreadsheet of a country with decimal commas saves it, not in UTF-8, with blank rows at the end.
    let mut bytes = format!("\u{feff}id;prompt;a;b;answer\r\n{id};\"one;\ntwo\";").into_bytes();
    bytes.extend(b"\xe9t\xe9;y; TIE \r\n;;;;\r\n");
    for name in ["packet-02-Anna.csv", "folder/packet-02_anna (1).csv", "packet-02 anna.CSV"] {
        let imported = import(&[AnswerFile { path: name.into(), bytes: bytes.clone() }], &key).expect(name);
        assert_eq!(imported.answers, [Answer { rater: "anna".into(), id: id.clone(), choice: None }]);
        assert_eq!(imported.skipped, [Skipped { rater: "anna".into(), packet: "packet-02".into(), items: 4 }]);
    }
    for name in ["packet-02.csv", "packet-02-.csv", "packet-02 (1).csv", "anna.csv", "packet-021.csv"] {
        let said = complaint(&[AnswerFile { path: name.into(), bytes: bytes.clone() }]);
        assert!(said.contains("the name does not say whose") && said.ends_with("rename it to packet-01-NAME.csv"), "{said}");
    }
}

#[test]
fn a_packet_that_comes_back_blank_is_skipped_whole() {
    let (packets, key) = export();
    let bytes = crate::human::csv::packet_csv(&packets[0]).expect("CSV");
    let imported = import(&[AnswerFile { path: "packet-01-anna.csv".into(), bytes }], &key).expect("fine");
    assert_eq!((imported.answers.len(), imported.skipped[0].items), (0, 25));
}
