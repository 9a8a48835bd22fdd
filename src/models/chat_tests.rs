//! Chat templates against the renderer of `transformers`: the cases were made by tests/parity/make_chat.py.

use super::*;
use serde_json::json;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn render(source: &str) -> Result<String, String> {
    let folder = folder(&[("chat_template.jinja", source)]);
    let messages = [("system", "Be <b>."), ("user", " Hé ")].map(|(role, content)| message(role, content));
    let template = ChatTemplate::open(folder.path()).map(Option::unwrap);
    template.and_then(|template| template.render(&messages, true)).map_err(|error| error.to_string())
}

fn message(role: &str, content: &str) -> Message {
    Message { role: role.into(), content: content.into() }
}

#[test]
fn cases_render_as_with_transformers() {
    let cases: Vec<serde_json::Value> = serde_json::from_str(include_str!("../../tests/parity/chat/cases.json")).unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let config = json!({
            "chat_template": case["template"], "bos_token": case["bos_token"], "eos_token": { "content": case["eos_token"] },
        });
        let folder = folder(&[("tokenizer_config.json", &config.to_string())]);
        let template = ChatTemplate::open(folder.path()).unwrap().unwrap();
        let prompt = case["add_generation_prompt"].as_bool().unwrap();
        match (template.render_values(Value::from(Serde(&case["messages"])), prompt), case["rendered"].as_str()) {
            (Ok(rendered), Some(wanted)) => assert_eq!(rendered, wanted, "{}", case["name"]),
            (Err(error), None) => {
                let wanted = case["error_message"].as_str().unwrap_or_default();
                assert!(error.to_string().contains(wanted), "{}: {error}", case["name"]);
            }
            (got, wanted) => panic!("{}: {got:?} instead of {wanted:?}", case["name"]),
        }
    }
}

#[test]
fn finds_the_template() {
    let open = |files: &[(&str, &str)]| {
        let template = ChatTemplate::open(folder(files).path()).map_err(|error| error.to_string())?;
        template.map(|template| template.render(&[], false).map_err(|error| error.to_string())).transpose()
    };
    let config = |template: serde_json::Value| json!({ "bos_token": "<s>", "chat_template": template }).to_string();
    let parts = |name: &str| json!([{ "name": "rag", "template": "rag" }, { "name": name, "template": "{{ bos_token }}" }]);

    assert_eq!(open(&[]), Ok(None));
    assert_eq!(open(&[("tokenizer_config.json", &config(serde_json::Value::Null))]), Ok(None));
    assert_eq!(open(&[("tokenizer_config.json", &config(parts("default")))]), Ok(Some("<s>".into())));
    assert!(open(&[("tokenizer_config.json", &config(parts("tools")))]).unwrap_err().contains("\"default\""));
    assert!(open(&[("tokenizer_config.json", "{\"chat")]).unwrap_err().contains("tokenizer_config.json"));
    let both = [("chat_template.jinja", "{{ bos_token }} file"), ("tokenizer_config.json", &config("config".into()))];
    assert_eq!(open(&both), Ok(Some("<s> file".into())));
    let map = json!({ "unk_token": { "content": "<unk>" } }).to_string();
    let mapped = [("chat_template.jinja", "{{ unk_token }}{{ bos_token }}"), ("special_tokens_map.json", &map)];
    assert_eq!(open(&mapped), Ok(Some("<unk>".into())));
}

#[test]
fn does_what_templates_of_transformers_do() {
    for (source, wanted) in [
        ("{% generation %}\na{%- set x = 1 %}{% endgeneration -%}\n b{{ x }}", "ab"),
        ("{{ messages | tojson }}", r#"[{"role": "system", "content": "Be <b>."}, {"role": "user", "content": " Hé "}]"#),
        ("{{ {'a': [1]} | tojson(indent=1) }}", "{\n \"a\": [\n  1\n ]\n}"),
        ("{{ tools is none }} {{ tools is iterable }} {{ nothing | length }} {{ 'a' is sequence }}", "True False 0 True"),
        ("{{ messages[1:][0].content.strip().split('é')[0] }}{{ messages[::-1][0].role }}", "Huser"),
        ("{% for m in messages %}{% if m.role == 'user' %}{% break %}{% endif %}{{ m.role }}{% endfor %}", "system"),
    ] {
        assert_eq!(render(source).as_deref(), Ok(wanted), "{source}");
    }
}

#[test]
fn errors_name_file_line_and_reason() {
    for (source, wanted) in [
        ("a\n{{ raise_exception('only users') }}", "line 2: the template refuses these messages: only users"),
        ("\n\n{% if %}", "line 3: "),
        ("{{ messages[7].role }}", "line 1: "),
        ("{{ nothing | tojson }}", "undefined"),
        ("{{ strftime_now('%Q') }}", "%Q"),
        ("{{ [][::-1] | list }}", "empty"),
    ] {
        let error = render(source).unwrap_err();
        assert!(error.contains("chat_template.jinja: chat template") && error.contains(wanted), "{source}: {error}");
    }
}

#[test]
fn every_template_comes_to_an_end() {
    let loops = "{% for i in range(99999) %}{% for j in range(99999) %}{% set x = i + j %}{% endfor %}{% endfor %}";
    assert!(render(loops).unwrap_err().contains("steps"));
    assert!(render("{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}").is_err());
    assert!(render("{{ 'a' * 99999999999 }}").is_err());
    for (open, close) in [("(", ")"), ("not ", ""), ("-", ""), ("a.b(", ")"), ("", ".b"), ("", "|upper"), ("1 and ", "")] {
        let times = LONGEST_SOURCE / (open.len() + close.len()) - 9;
        let _ = render(&format!("{{{{ {}1{} }}}}", open.repeat(times), close.repeat(times)));
    }
    assert!(render(&"a".repeat(LONGEST_SOURCE + 1)).unwrap_err().contains("bytes long"));
}

#[test]
fn time_is_written_as_in_python() {
    let all = "%Y-%m-%d %H:%M:%S %y %B %b %A %a %j %I%p %F %T 100%%";
    let wanted = "2024-02-29 13:05:09 24 February Feb Thursday Thu 060 01PM 2024-02-29 13:05:09 100%";
    assert_eq!(format_time(all, 1_709_211_909).unwrap(), wanted);
    assert_eq!(format_time("%d %b %Y", 1_721_952_000).unwrap(), "26 Jul 2024");
    assert_eq!(format_time("%d %b %Y %a %j", 0).unwrap(), "01 Jan 1970 Thu 001");
    assert_eq!(format_time("%d %b %Y %a %j", 4_133_980_799).unwrap(), "31 Dec 2100 Fri 365");
}
