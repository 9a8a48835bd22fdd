//! Budgets in calls and in money, what questions will cost, and settings that are wrong.

use super::server::{INPUT_TOKENS, OUTPUT_TOKENS};
use super::*;

/// With these a call of the test's server costs .0005.
fn with_prices(bench: Bench, max_cost: Option<f64>) -> Bench {
    let (input, output) = (Some(1.0), Some(5.0));
    let prices = Settings { price_input_per_million: input, price_output_per_million: output, ..bench.settings.clone() };
    Bench { settings: Settings { max_cost, concurrency: 8, ..prices }, ..bench }
}

#[test]
fn a_budget_that_does_not_reach_is_found_before_the_first_call() {
    let server = Server::start(prefers_left);
    let bench = Bench::new(&server.url());
    for max_calls in [0, 4] {
        let bench = Bench { settings: Settings { max_calls: Some(max_calls), ..bench.settings.clone() }, ..Bench::new("") };
        let text = bench.complaint(&posts(5));
        let expected = format!(
            "5 more calls are needed, and of max_calls = {max_calls} there are left {max_calls} calls, after 0 calls; raise it"
        );
        assert!(text.contains(&expected) && text.contains("nothing was asked"), "{text}");
    }
    let text = with_prices(Bench::new(&server.url()), Some(0.0)).complaint(&posts(5));
    assert!(
        text.contains("5 more calls at about 0.00") && text.contains("of max_cost = 0 there are left 0.0000 in money"),
        "{text}"
    );
    assert!(server.seen().is_empty());
    // What the ledger has is counted, and is not asked for again.
    let exact = Bench { settings: Settings { max_calls: Some(5), ..bench.settings.clone() }, ..bench };
    assert_eq!(exact.judge(&posts(5)).unwrap().len(), 5);
    assert_eq!(exact.judge(&posts(5)).unwrap().len(), 5);
    let text = exact.complaint(&posts(6));
    assert!(text.contains("1 more calls are needed, and of max_calls = 5 there are left 0 calls, after 5 calls"), "{text}");
    assert_eq!(server.seen().len(), 5);
}

#[test]
fn the_cap_in_calls_holds_while_tries_fail() {
    let server =
        Server::start(|asked| if asked.number % 2 == 0 { Act::Status(500, "", String::new()) } else { prefers_left(asked) });
    let bench = Bench::new(&server.url());
    let bench = Bench { settings: Settings { max_calls: Some(30), concurrency: 8, ..bench.settings.clone() }, ..bench };
    let text = bench.complaint(&posts(25));
    assert!(text.contains("max_calls = 30 does not reach for another call, after 30 calls; what was answered is kept"), "{text}");
    assert_eq!((server.seen().len(), bench.ledger().lines().count()), (30, 30));
}

#[test]
fn the_cap_in_money_holds_while_many_ask_at_a_time() {
    // Every answer but the last tenth is worth nothing, so that three times the money is needed.
    let server = Server::start(|asked| {
        std::thread::sleep(Duration::from_millis(2));
        if asked.number % 10 == 9 { prefers_left(asked) } else { Act::say("Who knows.") }
    });
    let bench = with_prices(Bench::new(&server.url()), None);
    let estimate = bench.open().cost_of(&questions(&posts(40))).unwrap();
    let cap = estimate.cost.unwrap() + 0.002;
    let bench = with_prices(bench, Some(cap));
    let text = bench.complaint(&posts(40));
    assert!(text.contains(&format!("max_cost = {cap} does not reach")), "{text}");
    let one = (INPUT_TOKENS as f64 + 5.0 * OUTPUT_TOKENS as f64) / 1e6;
    let paid = server.seen().len() as f64 * one;
    assert!(paid <= cap, "{paid} of {cap}");
    // No call is left out for fear: what remains is less than the most that one may cost.
    assert!(cap - paid < 0.003, "{paid} of {cap}");
}

#[test]
fn unread_answers_count_and_tokens_are_estimated_where_the_server_is_silent() {
    let body = serde_json::json!({ "choices": [{ "message": { "content": "It is better.\nA" } }] }).to_string();
    let server = Server::start(move |_| Act::Body(body.clone()));
    let bench = with_prices(Bench::new(&server.url()), Some(1.0));
    bench.judge(&posts(1)).unwrap();
    let line: serde_json::Value = serde_json::from_str(&bench.ledger()).unwrap();
    let bytes = templates::SYSTEM.len() + server.seen()[0].text().len();
    let tokens = line["input_tokens"].as_u64().unwrap();
    assert!(tokens.abs_diff(bytes as u64 / 4) < 20 && line["output_tokens"] == 4 && line["estimated"] == true, "{line}");
    assert_eq!(line["cost"].as_f64().unwrap(), (tokens as f64 + 20.0) / 1e6);
}

#[test]
fn the_cost_is_known_before() {
    let server = Server::start(prefers_left);
    let bench = with_prices(Bench::new(&server.url()), None);
    bench.judge(&posts(3)).unwrap();
    let mut texts = posts(10);
    texts.extend(posts(2));
    texts.push(["p", "", "x"].map(passage));
    let judge = bench.open();
    let estimate = judge.cost_of(&questions(&texts)).unwrap();
    assert_eq!((estimate.missing, estimate.cached, estimate.calls, estimate.output_tokens), (7, 6, 7, 1400));
    assert_eq!(estimate.cost, Some((estimate.input_tokens as f64 + 5.0 * 1400.0) / 1e6));
    // "post 3", "left 3" and "right 3" are 19 bytes; their tokens are rounded up for each question.
    let blind = judge.estimate(Subject::Summary, 7, 19.0).unwrap();
    assert_eq!((blind.calls, blind.missing, blind.cached), (7, 7, 0));
    assert!(blind.input_tokens.abs_diff(estimate.input_tokens) <= 7, "{blind:?} {estimate:?}");
    assert_eq!(Bench::new(&server.url()).open().cost_of(&questions(&texts)).unwrap().cost, None);
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn settings_are_read_from_their_table_and_mistakes_are_named() {
    let read = |text: &str| toml::from_str::<Settings>(text);
    let settings = read("model = \"m\"\nprompt = \"C\"\nmax_calls = 10").unwrap();
    assert_eq!((settings.base_url.as_str(), settings.concurrency, settings.retries), ("https://api.openai.com/v1", 4, 4));
    assert!(settings.check().is_ok());
    assert!(read("modell = \"m\"").unwrap_err().to_string().contains("unknown field `modell`"));
    for (line, expected) in [
        ("", "`model` is missing"),
        ("base_url = \"https://me:very-secret@host/v1\"", "`base_url` holds a user name or a password"),
        ("base_url = \"host/v1\"", "`base_url` = \"host/v1\" is not an address"),
        ("base_url = \"ftp://host/v1\"", "is not an address"),
        ("concurrency = 0", "`concurrency` must be at least 1"),
        ("max_tokens = 0", "`max_tokens` must be at least 1"),
        ("timeout_s = 0", "`timeout_s` = 0 must be above 0"),
        ("timeout_s = nan", "`timeout_s` = NaN must be"),
        ("temperature = -1", "`temperature` = -1 must be from 0 to 2"),
        ("max_cost = 1.0", "`max_cost` needs both prices"),
        ("price_input_per_million = -1", "`price_input_per_million` = -1 must be a number from 0"),
        ("max_cost = inf", "`max_cost` = inf must be a number"),
    ] {
        let model = if line.is_empty() { "" } else { "model = \"m\"" };
        let text = read(&format!("{model}\n{line}")).unwrap().check().unwrap_err().to_string();
        assert!(text.contains(expected) && !text.contains("secret"), "{line}: {text}");
    }
}
