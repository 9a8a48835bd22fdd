//! Tests of the formats: what a row of each becomes, what is dropped, and what is wrong.

use std::path::Path;

use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::*;

/// The row as an example of this format, after all checks.
fn one(format: Format, row: Value) -> Result<Example, Unusable> {
    let Value::Object(fields) = row else { panic!("a row is an object") };
    format.example(&fields).and_then(|example| usable(example, Turns::Any))
}

fn wrong(format: Format, row: Value) -> String {
    match one(format, row) {
        Err(Unusable::Wrong(what)) => what,
        other => panic!("{other:?}"),
    }
}

fn dropped(format: Format, row: Value) -> Reason {
    match one(format, row) {
        Err(Unusable::Dropped(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

fn said(role: &str, content: &str) -> Message {
    Message { role: role.into(), content: content.into() }
}

fn comparison(prompt: Prompt, chosen: &str, rejected: &str) -> Result<Example, Unusable> {
    Ok(Example::Comparison { prompt, chosen: chosen.into(), rejected: rejected.into() })
}

fn written(text: &str) -> Prompt {
    Prompt::Text(text.into())
}

#[test]
fn names_and_columns_tell_the_format() {
    for (format, name) in Format::ALL.into_iter().zip(Format::NAMES) {
        assert_eq!((format.name(), name.parse()), (name, Ok(format)));
    }
    let wanted = "unknown format \"trl\"; the formats are imdb, hh, tldr, tldr-comparisons, cnn-dailymail, preference, sharegpt, kto, \
        ranking, completion";
    assert_eq!("trl".parse::<Format>().unwrap_err(), wanted);
    let of = |row: Value| recognise(row.as_object().unwrap());
    for (format, row) in [
        (Format::Text, json!({"id": 1, "Text": "", "label": 0})),
        (Format::Dialogue, json!({"chosen": "", "rejected": ""})),
        (Format::Post, json!({"id": 1, "subreddit": "", "title": "", "post": "", "summary": ""})),
        (Format::SummaryComparison, json!({"info": {}, "summaries": [], "choice": 0, "worker": ""})),
        (Format::Article, json!({"article": "", "highlights": "", "id": 1})),
        (Format::Preference, json!({"prompt": "", "chosen": "", "rejected": ""})),
        (Format::Preference, json!({"chosen": [], "rejected": []})),
        (Format::ShareGpt, json!({"conversations": [], "chosen": {}, "rejected": {}})),
        (Format::Judged, json!({"messages": [], "label": true})),
        (Format::Judged, json!({"prompt": "", "completion": "", "label": true})),
        (Format::Ranking, json!({"prompt": "", "completions": [], "ranking": []})),
        (Format::Completion, json!({"prompt": "", "completion": ""})),
    ] {
        assert_eq!(of(row), Ok(format));
    }
    let unknown = of(json!({"question": "", "answer": ""})).unwrap_err();
    assert!(unknown.starts_with("the columns \"question\", \"answer\" are of no known format; rename"), "{unknown}");
    assert!(unknown.contains("hh (chosen, rejected)") && unknown.ends_with("imdb (text)"), "{unknown}");
}

#[test]
fn texts() {
    let text = |label| Ok(Example::Text { text: "a <br/> b".into(), label });
    assert_eq!(one(Format::Text, json!({"text": "a <br/> b", "label": "Pos"})), text(Some(true)));
    assert_eq!(one(Format::Text, json!({"text": "a <br/> b", "label": 0})), text(Some(false)));
    assert_eq!(one(Format::Text, json!({"text": "a <br/> b"})), text(None));
    assert_eq!(dropped(Format::Text, json!({"text": " "})), Reason::Empty);
    assert!(wrong(Format::Text, json!({"text": "a", "label": 2})).starts_with("unknown label \"2\"; write 0"));
    assert!(wrong(Format::Text, json!({"label": 1})).starts_with("no \"text\", only \"label\"; give every row"));
}

#[test]
fn dialogues() {
    let row = |chosen: &str, rejected: &str| json!({"chosen": chosen, "rejected": rejected});
    let begin = "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:";
    let of = |chosen: &str, rejected: &str| row(&format!("{begin}{chosen}"), &format!("{begin}{rejected}"));
    let example = one(Format::Dialogue, of(" d \n", " e"));
    assert_eq!(example, comparison(written(begin), " d", " e"));
    assert_eq!(example.unwrap().prompt().unwrap().human_turns(), 2);
    assert_eq!(dropped(Format::Dialogue, of(" d", " d ")), Reason::Same);
    assert_eq!(dropped(Format::Dialogue, of(" d", " ")), Reason::Empty);
    assert_eq!(
        dropped(Format::Dialogue, row("\n\nHuman: a\n\nAssistant: b", "\n\nHuman: A\n\nAssistant: c")),
        Reason::PromptsDiffer
    );
    assert_eq!(dropped(Format::Dialogue, row("a", "b")), Reason::MalformedTurns);
    assert_eq!(dropped(Format::Dialogue, row("\n\nAssistant: a", "\n\nAssistant: b")), Reason::MalformedTurns);
    assert_eq!(dropped(Format::Dialogue, of(" d\n\nHuman: e", " d")), Reason::MalformedTurns);
    assert_eq!(
        wrong(Format::Dialogue, json!({"chosen": 1, "rejected": ""})),
        "\"chosen\" is a number, not a string; put the text there in quotes"
    );
}

#[test]
fn posts_and_articles() {
    let row = json!({"subreddit": "tifu", "title": "t", "post": "p\n", "summary": " s "});
    let prompt = written("SUBREDDIT: r/tifu\n\nTITLE: t\n\nPOST: p\n\n\nTL;DR:");
    assert_eq!(one(Format::Post, row), Ok(Example::Completion { prompt: prompt.clone(), completion: " s".into() }));
    let empty = json!({"subreddit": "tifu", "title": "t", "post": "", "summary": "s"});
    assert_eq!(dropped(Format::Post, empty), Reason::Empty);
    let row = json!({"article": "a", "highlights": "h"});
    assert_eq!(one(Format::Article, row), Ok(Example::Completion { prompt: written("a\n\nTL;DR:"), completion: " h".into() }));
    assert_eq!(dropped(Format::Article, json!({"article": "", "highlights": "h"})), Reason::Empty);
    assert_eq!(dropped(Format::Article, json!({"article": "a", "highlights": ""})), Reason::Empty);

    let post = json!({"post": "p\n", "title": "t", "subreddit": "tifu", "article": null});
    let summaries = json!([{"text": " one", "policy": "x"}, {"text": "two"}]);
    let row = |info: &Value, choice: Value| json!({"info": info, "summaries": summaries, "choice": choice});
    assert_eq!(one(Format::SummaryComparison, row(&post, json!(0))), comparison(prompt.clone(), " one", " two"));
    assert_eq!(one(Format::SummaryComparison, row(&post, json!(1))), comparison(prompt, " two", " one"));
    let article = json!({"post": null, "article": "a"});
    assert_eq!(one(Format::SummaryComparison, row(&article, json!(0))), comparison(written("a\n\nTL;DR:"), " one", " two"));
    let of = |info: &Value, choice| wrong(Format::SummaryComparison, row(info, choice));
    assert_eq!(of(&post, json!(2)), "\"choice\" is 2; write 0 for the first summary or 1 for the second");
    assert_eq!(of(&post, json!("0")), "\"choice\" is a string; write 0 for the first summary or 1 for the second");
    assert_eq!(of(&json!({}), json!(0)), "\"info\" has neither \"post\" nor \"article\"; give it the text that was summarised");
    assert_eq!(
        of(&json!("{}"), json!(0)),
        "\"info\" is a string, not an object; CSV and TSV hold texts only, so write JSON lines"
    );
    let three = json!({"info": post, "summaries": [{"text": "a"}], "choice": 0});
    assert!(wrong(Format::SummaryComparison, three).starts_with("\"summaries\" has not two elements"));
}

#[test]
fn preferences() {
    let text = json!({"prompt": "p", "chosen": " a ", "rejected": "b"});
    assert_eq!(one(Format::Preference, text), comparison(written("p"), " a ", "b"));
    let user = json!({"role": "user", "content": "p"});
    let (a, b) = (json!({"role": "assistant", "content": "a"}), json!({"role": "assistant", "content": "b"}));
    let wanted = comparison(Prompt::Messages(vec![said("user", "p")]), "a", "b");
    for row in [
        json!({"prompt": [user], "chosen": [a], "rejected": [b]}),
        json!({"prompt": [user], "chosen": [user, a], "rejected": [user, b]}),
        json!({"prompt": [user], "chosen": "a", "rejected": "b"}),
        json!({"prompt": "p", "chosen": [a], "rejected": [b]}),
        json!({"prompt": "p", "chosen": [user, a], "rejected": [user, b]}),
        json!({"chosen": [user, a], "rejected": [user, b]}),
    ] {
        assert_eq!(one(Format::Preference, row), wanted);
    }
    for (reason, row) in [
        (Reason::Same, json!({"chosen": [user, a], "rejected": [user, a]})),
        (Reason::PromptsDiffer, json!({"chosen": [user, a], "rejected": [user, b, user, a]})),
        (Reason::MalformedTurns, json!({"chosen": [a, user], "rejected": [a, user]})),
        (Reason::MalformedTurns, json!({"chosen": [a], "rejected": [b]})),
        (Reason::MalformedTurns, json!({"chosen": [], "rejected": []})),
        (Reason::MalformedTurns, json!({"prompt": [user], "chosen": [a, user, b], "rejected": [b]})),
        (Reason::MalformedTurns, json!({"prompt": [a], "chosen": [a], "rejected": [b]})),
        (Reason::Empty, json!({"prompt": "", "chosen": "a", "rejected": "b"})),
        (Reason::Empty, json!({"prompt": "p", "chosen": "a", "rejected": ""})),
    ] {
        assert_eq!(dropped(Format::Preference, row.clone()), reason, "{row}");
    }
    let of = |row| wrong(Format::Preference, row);
    assert!(of(json!({"chosen": "a", "rejected": "b"})).starts_with("no \"prompt\", only \"chosen\", \"rejected\"; give"));
    assert!(
        of(json!({"prompt": [user], "chosen": 1, "rejected": "b"})).starts_with("\"chosen\" is a number; write a text or a list")
    );
    assert!(
        of(json!({"prompt": "p", "chosen": "a", "rejected": [b]}))
            .starts_with("\"chosen\" and \"rejected\" are a text and a list")
    );
    let wanted = "message 2 of \"chosen\": \"content\" is null; give it a value or take the row out";
    assert_eq!(of(json!({"chosen": [user, {"role": "assistant", "content": null}], "rejected": [user, b]})), wanted);
}

#[test]
fn conversations() {
    let human = json!({"from": "human", "value": "p"});
    let gpt = |text: &str| json!({"from": "gpt", "value": text});
    let system = json!({"from": "system", "value": "s"});
    let row = |conversations: Value| json!({"conversations": conversations, "chosen": gpt("a"), "rejected": gpt("b")});
    let prompt = Prompt::Messages(vec![said("system", "s"), said("user", "p")]);
    assert_eq!(one(Format::ShareGpt, row(json!([system, human]))), comparison(prompt, "a", "b"));
    assert_eq!(dropped(Format::ShareGpt, row(json!([human, gpt("x")]))), Reason::MalformedTurns);
    assert_eq!(dropped(Format::ShareGpt, row(json!([human, {"from": "tool", "value": ""}]))), Reason::MalformedTurns);
    let odd = json!({"conversations": [human], "chosen": human, "rejected": gpt("b")});
    assert_eq!(dropped(Format::ShareGpt, odd), Reason::MalformedTurns);
    let wanted = "message 1 of \"conversations\": it is a string; write {\"from\": ..., \"value\": ...}";
    assert_eq!(wrong(Format::ShareGpt, row(json!(["p"]))), wanted);
    let wanted = "\"conversations\" is an object, not a list; write it as in the format's description";
    assert_eq!(wrong(Format::ShareGpt, row(json!({}))), wanted);
}

#[test]
fn verdicts_and_demonstrations() {
    let (user, a) = (json!({"role": "user", "content": "p"}), json!({"role": "assistant", "content": "a"}));
    for (label, desirable) in
        [(json!(true), true), (json!("False"), false), (json!(1), true), (json!("0"), false), (json!(1.0), true)]
    {
        let wanted = |prompt| Ok(Example::Judged { prompt, completion: "a".into(), desirable });
        let text = json!({"prompt": "p", "completion": "a", "label": label});
        assert_eq!(one(Format::Judged, text), wanted(written("p")));
        let messages = json!({"messages": [user, a], "label": label});
        assert_eq!(one(Format::Judged, messages), wanted(Prompt::Messages(vec![said("user", "p")])));
    }
    assert_eq!(dropped(Format::Judged, json!({"messages": [user], "label": true})), Reason::MalformedTurns);
    assert_eq!(dropped(Format::Judged, json!({"messages": [], "label": true})), Reason::MalformedTurns);
    assert_eq!(wrong(Format::Judged, json!({"messages": [user, a], "label": 2})), "\"label\" is \"2\"; write true or false");
    assert_eq!(
        wrong(Format::Judged, json!({"messages": "p", "label": 1})),
        "\"messages\" is a string, not a list; CSV and TSV hold texts only, so write JSON lines"
    );
    let wanted = Example::Completion { prompt: Prompt::Messages(vec![said("user", "p")]), completion: "a".into() };
    assert_eq!(one(Format::Completion, json!({"prompt": [user], "completion": [a]})), Ok(wanted));
}

#[test]
fn rankings() {
    let row = |ranking: Value| json!({"prompt": "p", "completions": ["b", "a", "c"], "ranking": ranking});
    let wanted = Example::Ranking { prompt: written("p"), completions: ["a", "b", "c"].map(String::from).to_vec() };
    assert_eq!(one(Format::Ranking, row(json!([2, 1, 3]))), Ok(wanted.clone()));
    assert_eq!(one(Format::Ranking, row(json!([2.0, 1.0, 3.0]))), Ok(wanted));
    let of = |ranking| wrong(Format::Ranking, row(ranking));
    assert_eq!(of(json!([1, 1, 2])), "\"ranking\" has 1 twice; ties are not read, so give each completion a rank of its own");
    for odd in
        [json!([0, 1, 2]), json!([1, 2, 4]), json!([1, 2, -3]), json!([1, 2, "3"]), json!([1, 2, 1e300]), json!([1.5, 2, 3])]
    {
        assert!(of(odd.clone()).ends_with("; write the ranks 1 (best) to 3"), "{odd}");
    }
    assert_eq!(of(json!([1, 2])), "\"ranking\" has 2 ranks for 3 completions; give each its rank");
    let single = json!({"prompt": "p", "completions": ["a"], "ranking": [1]});
    assert_eq!(wrong(Format::Ranking, single), "\"completions\" has 1 of them; a ranking needs two or more");
    let same = json!({"prompt": "p", "completions": ["a", "b", "a"], "ranking": [1, 2, 3]});
    assert_eq!(dropped(Format::Ranking, same), Reason::Same);
    let mixed = json!({"prompt": "p", "completions": ["a", [{"role": "assistant", "content": "b"}]], "ranking": [1, 2]});
    assert!(wrong(Format::Ranking, mixed).starts_with("\"completions\" has texts and lists"));
}

/// What is read of files of these names and contents.
fn read_files(files: &[(&str, &str)], options: &Options) -> Result<(Reading, Vec<Example>), String> {
    let folder = TempDir::new().unwrap();
    let mut paths = Vec::new();
    for (name, text) in files {
        paths.push(folder.path().join(name));
        std::fs::write(&paths[paths.len() - 1], text).unwrap();
    }
    let mut all = Vec::new();
    let reading = examples(&paths, options, &mut |example| {
        all.push(example);
        Ok(())
    });
    let reading = reading.map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))?;
    assert_eq!(reading.rows, reading.dropped.total() + all.len());
    Ok((reading, all))
}

#[test]
fn files_are_of_one_format() {
    let any = Options::default();
    let pairs = "prompt,chosen,rejected\np,a,b\np,a,a\n";
    let (reading, all) = read_files(&[("a.csv", pairs), ("b.tsv", "rejected\tchosen\tprompt\nb\ta\tp")], &any).unwrap();
    assert_eq!((reading.format, reading.rows, all.len()), (Format::Preference, 3, 2));
    assert_eq!((all[0] == all[1], reading.dropped.to_string().as_str()), (true, "1 with equal completions"));
    let texts = ("b.jsonl", "{\"text\": \"a\"}");
    let wanted = "b.jsonl: is of the format imdb, but a.csv of preference; give files of one format";
    assert_eq!(read_files(&[("a.csv", pairs), texts], &any).unwrap_err(), wanted);
    // A format that is given is not asked for again.
    let given = Options { format: Some(Format::Text), ..any };
    assert_eq!(read_files(&[texts], &given).unwrap().0.format, Format::Text);
    assert!(read_files(&[("a.csv", pairs)], &given).unwrap_err().starts_with("a.csv, row 1: no \"text\", only \"prompt\""));
    assert_eq!(read_files(&[], &any).unwrap_err(), "no data files; name at least one");
    assert_eq!(read_files(&[texts, ("c.json", "[]")], &any).unwrap_err(), "c.json: no rows; give it rows, or leave the file out");
    let second = "{\"text\": \"a\"}\n\n{\"text\": 5}";
    let wanted = "a.jsonl, row 2: \"text\" is a number, not a string; put the text there in quotes (line 3)";
    assert_eq!(read_files(&[("a.jsonl", second)], &any).unwrap_err(), wanted);
}

#[test]
fn single_turns_are_kept_and_others_counted() {
    let user = json!({"role": "user", "content": "p"});
    let of = |said: &str| json!({"role": "assistant", "content": said});
    let short = json!({"prompt": [user], "chosen": [of("a")], "rejected": [of("b")]});
    let long = json!({"prompt": [user, of("x"), user], "chosen": [of("a")], "rejected": [of("b")]});
    let options = Options { format: None, turns: Turns::Single };
    let (reading, all) = read_files(&[("a.jsonl", &format!("{short}\n{long}\n{long}"))], &options).unwrap();
    assert_eq!((all.len(), reading.dropped.other_turns), (1, 2));
    assert_eq!(reading.dropped.to_string(), "2 with more than one turn");
    assert_eq!(Dropped::default().to_string(), "none");
    let all = Dropped { empty: 1, same: 2, prompts_differ: 3, other_turns: 4, malformed_turns: 5 };
    let wanted = "1 empty, 2 with equal completions, 3 with different prompts, 4 with more than one turn, 5 with malformed turns";
    assert_eq!((all.total(), all.to_string().as_str()), (15, wanted));
}

/// The published data, when it is there: format, rows, and what is left out.
#[test]
fn real_data_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let none = Dropped::default();
    for (name, format, rows, wanted) in [
        ("imdb_test", Format::Text, 25_000, none),
        ("hh_helpful_base_test", Format::Dialogue, 2354, Dropped { empty: 4, same: 2, prompts_differ: 9, ..none }),
        ("hh_helpful_single_turn_train", Format::Dialogue, 7938, none),
        ("hh_helpful_single_turn_test", Format::Dialogue, 3991, none),
        ("tldr_openai_test_500", Format::Post, 500, none),
        ("tldr_comparisons_ai_judged", Format::SummaryComparison, 354, none),
        ("tldr_sft_train", Format::Post, 2182, none),
        ("tldr_sft_validation", Format::Post, 259, none),
        ("tldr_sft_test", Format::Post, 292, none),
        ("cnndm_validation_1k", Format::Article, 1000, none),
        ("summeval_cnndm_comparisons", Format::SummaryComparison, 4000, none),
        ("llamafactory_dpo_en_demo", Format::ShareGpt, 300, none),
    ] {
        let path = folder.join(format!("{name}.jsonl.gz"));
        if !path.is_file() {
            // Not by `println!`, which the test runner keeps to itself.
            tell!("skipped: real data ../shared/data/{name}.jsonl.gz is absent");
            continue;
        }
        let mut kept = 0;
        let mut count = |options: Options| {
            kept = 0;
            examples(std::slice::from_ref(&path), &options, &mut |_| {
                kept += 1;
                Ok(())
            })
        };
        let reading = count(Options::default()).unwrap();
        assert_eq!(reading, Reading { format, rows, dropped: wanted }, "{name}");
        if format == Format::Dialogue {
            let single = count(Options { turns: Turns::Single, ..Options::default() }).unwrap();
            // Of the 700 of one turn in the first, 4 have different prompts and 2 are empty or equal.
            let wanted = if name == "hh_helpful_base_test" { (694, 1649) } else { (rows, 0) };
            assert_eq!((kept, single.dropped.other_turns), wanted, "{name}");
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let words = "user|assistant|human|gpt|\n\nHuman: a\n\nAssistant: b|true|1|";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1..4i64).prop_map(Value::from),
        words.prop_map(Value::from)
    ];
    let names = "role|content|from|value|text|post|title|subreddit|article";
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(names, inner, 0..4).prop_map(|fields| json!(fields)),
        ]
    })
}

proptest! {
    #[test]
    fn any_row_is_an_example_or_is_refused(fields in proptest::collection::btree_map(
        "text|label|chosen|rejected|prompt|completion|completions|ranking|messages|conversations|info|summaries|choice|article|highlights",
        any_json(),
        0..8,
    )) {
        let fields: Map<String, Value> = fields.into_iter().collect();
        let _ = recognise(&fields);
        for format in Format::ALL {
            let _ = format.example(&fields).and_then(|example| usable(example, Turns::Single));
        }
    }
}
