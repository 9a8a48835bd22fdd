//! The wordings, and files with wordings of one's own.

use super::*;
use crate::judges::Passage;
use proptest::prelude::*;

fn ask(templates: &Templates, subject: Subject, texts: [&str; 3]) -> Result<String> {
    let [prompt, first, second] = texts.map(|text| Passage { text: text.to_owned(), tokens: Vec::new() });
    templates.render(&Question { subject, prompt: &prompt, first: &first, second: &second, reference: None })
}

fn own(text: &str) -> Result<Templates> {
    Templates::new(None, Some(text))
}

#[test]
fn what_is_judged_decides_the_wording() {
    let of = |prompt, subject| ask(&Templates::new(prompt, None).unwrap(), subject, ["P", "F", "S"]);
    let summary = of(None, Subject::Summary).unwrap();
    assert!(summary.contains("most important points of the forum post") && !summary.contains("concise"), "{summary}");
    let concise = of(Some("C"), Subject::Summary).unwrap();
    assert!(concise.contains("the forum post, without details") && concise.contains("concise"), "{concise}");
    let news = of(None, Subject::NewsSummary).unwrap();
    assert_eq!(news, of(Some("C"), Subject::NewsSummary).unwrap());
    assert!(news.contains("The news article: \"P\"") && !news.contains("forum"), "{news}");
    assert!(of(None, Subject::Dialogue).unwrap().contains("more helpful"));
    assert!(of(None, Subject::Sentiment).unwrap().contains("more positive"));
    for subject in [Subject::Summary, Subject::NewsSummary, Subject::Dialogue, Subject::Sentiment] {
        let text = of(None, subject).unwrap();
        assert!(text.contains(" A: \"F\"\n") && text.contains(" B: \"S\"\n"), "{text}");
        assert!(text.contains("one sentence") && text.ends_with("that you prefer: \"A\" or \"B\"."), "{text}");
    }
    for (prompt, subject) in [("S", Subject::Dialogue), ("C", Subject::Sentiment), ("dialogue", Subject::Summary)] {
        let error = of(Some(prompt), subject).unwrap_err().to_string();
        assert!(error.contains(&format!("prompt = {prompt:?} asks about")) && error.contains("leave it out"), "{error}");
    }
}

#[test]
fn a_template_may_be_ones_own() {
    let templates = own("{{ source }}|{{ prompt }}|{{ first }}|{{ second }}\n").unwrap();
    assert_eq!(ask(&templates, Subject::NewsSummary, ["p", "\"f\"", "s"]).unwrap(), "news article|\"p\"|\"\\\"f\\\"\"|\"s\"");
    assert_ne!(templates.text(), own("{{ prompt }}{{ first }}{{ second }}").unwrap().text());
}

#[test]
fn mistakes_in_a_template_are_found_before_anything_is_asked() {
    for (text, expected) in [
        ("", "`prompt` is missing"),
        ("{{ prompt }} {{ first }}", "`second` is missing"),
        ("{{ prompt }} {{ first }} {{ second }} {{ third }}", "line 1: this template of a judge is wrong: a variable is unknown"),
        ("{{ prompt }}\n{{ first }\n{{ second }}", "template, line 2"),
        ("{{ prompt }} {{ first | upper }} {{ second }}", "does not hold `first` as it was given"),
        ("{{ prompt }} {{ first }} {% if second == 1 %}{{ second }}{% endif %}", "does not hold `second` as it was given"),
        ("{{ prompt }} {{ first }} {{ second }} {{ [][::-1] }}", "the renderer of templates failed"),
        (
            "{{ prompt }} {{ first }} {{ second }}{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}",
            "does not end within",
        ),
    ] {
        let error = own(text).err().unwrap().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert!(own(&"x".repeat(LONGEST_SOURCE + 1)).err().unwrap().to_string().contains("are too many"));
    let error = Templates::new(Some("T"), None).err().unwrap().to_string();
    assert!(error.contains("neither \"S\", \"C\" nor \"dialogue\""), "{error}");
}

proptest! {
    #[test]
    fn no_completion_changes_the_frame(texts in prop::array::uniform3("(\\PC|[\"\\\\\n{}%<]|A\n|Summary B: ){0,20}")) {
        let templates = Templates::new(None, None).unwrap();
        let text = ask(&templates, Subject::Summary, [&texts[0], &texts[1], &texts[2]]).unwrap();
        let frame = ask(&templates, Subject::Summary, ["", "", ""]).unwrap();
        prop_assert_eq!(text.lines().count(), frame.lines().count());
        for ((line, empty), position) in text.lines().zip(frame.lines()).zip(0..) {
            let quote = match position { 2 => Some(0), 4 => Some(1), 6 => Some(2), _ => None };
            match quote {
                Some(number) => {
                    let label = empty.strip_suffix("\"\"").unwrap();
                    let given: String = serde_json::from_str(line.strip_prefix(label).unwrap()).unwrap();
                    prop_assert_eq!(&given, &texts[number]);
                }
                None => prop_assert_eq!(line, empty),
            }
        }
    }
}
