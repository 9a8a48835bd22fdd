//! Servers that are busy, broken, slow, or not there, and answers that are none.

use super::*;
use std::time::Instant;

#[test]
fn faults_that_pass_are_got_over_several_at_once() {
    // Each question meets all of them, one after the other.
    let tries = std::sync::Mutex::new(HashMap::<String, usize>::new());
    let server = Server::start(move |asked| {
        let mut tries = tries.lock().unwrap();
        let count = tries.entry(asked.text().to_owned()).or_default();
        *count += 1;
        let faults = [
            Act::Status(500, "", "oops".into()),
            Act::Cut,
            Act::Hang,
            Act::Body("{\"choices\": [{\"mess".into()),
            Act::Status(503, "Retry-After: 0", String::new()),
            Act::Body("<html>".into()),
            Act::Sleep(Duration::from_millis(1500)),
        ];
        match faults.get(*count - 1) {
            Some(fault) => fault.clone(),
            None => prefers_left(asked),
        }
    });
    let bench = Bench::new(&server.url());
    let settings = Settings { timeout_s: 1.0, retries: 7, concurrency: 6, ..bench.settings.clone() };
    let bench = Bench { settings, ..bench };
    let mut texts = posts(3);
    texts.extend(turned(&posts(3)));
    let verdicts = choices(&bench.judge(&texts).unwrap());
    assert_eq!(verdicts[..3], [Choice::First; 3]);
    assert_eq!(verdicts[3..], [Choice::Second; 3]);
    assert_eq!(server.seen().len(), 6 * 8);
    // Every request that got out is accounted for; refusals cost nothing.
    let ledger = bench.ledger();
    assert_eq!(ledger.lines().count(), 6 * 8);
    let refused = ledger.lines().filter(|line| line.contains("HTTP 50")).collect::<Vec<_>>();
    assert_eq!(refused.len(), 6 * 2);
    assert!(refused.iter().all(|line| line.contains("\"input_tokens\":0,\"output_tokens\":0")));
    assert_eq!(ledger.matches("\"estimated\":true").count(), 6 * 5);
}

#[test]
fn a_server_that_asks_for_a_pause_gets_it() {
    let server = Server::start(|asked| match asked.number {
        0 => Act::Status(429, "Retry-After: 1", "{\"error\": {\"message\": \"slow down\"}}".into()),
        // Longer than any pause may be, which is 1.5 s here.
        1 => Act::Status(503, "Retry-After: Fri, 31 Dec 2999 23:59:59 GMT", String::new()),
        _ => Act::say("A"),
    });
    let began = Instant::now();
    assert_eq!(choices(&Bench::new(&server.url()).judge(&posts(1)).unwrap()), [Choice::First]);
    assert!((2.4..9.0).contains(&began.elapsed().as_secs_f64()), "{:?}", began.elapsed());
}

#[test]
fn faults_that_stay_end_the_batch_with_what_to_do() {
    let too_many = |kind: Act| Server::start(move |_| kind.clone());
    for (act, expected) in [
        (
            Act::Status(429, "", "{\"error\": \"slow\"}".into()),
            "gets too many requests (HTTP 429, \"slow\"), 5 times: lower concurrency",
        ),
        (Act::Status(502, "", "<html>".into()), "fails (HTTP 502), 5 times: try again later"),
        (Act::Hang, "does not answer, after 5 tries"),
        (Act::Body("{}".into()), "it often ends in /v1"),
    ] {
        let server = too_many(act);
        let text = Bench::new(&server.url()).complaint(&posts(1));
        assert!(text.contains(expected) && text.contains(server.url().trim_end_matches('/')), "{text}");
        assert!(text.contains("the same command goes on"), "{text}");
        assert_eq!(server.seen().len(), 5);
    }
}

#[test]
fn refusals_end_the_batch_at_once_with_what_to_do() {
    let echo = format!("{{\"error\": {{\"message\": \"no such\\n\\u001bthing for {KEY}\", \"code\": \"x\"}}}}");
    let quota = "{\"error\": {\"message\": \"pay\", \"code\": \"insufficient_quota\"}}".to_owned();
    for (status, body, expected) in [
        (401, &echo, "does not accept the key (HTTP 401): check DPO_LAB_JUDGE_API_KEY"),
        (403, &echo, "refuses (HTTP 403, \"no such  thing for (the key)\"): may the key"),
        (404, &echo, "has no model \"gpt-test\", or base_url is not right (HTTP 404, \"no such  thing for (the key)\")"),
        (400, &echo, "does not accept the question (HTTP 400"),
        (301, &echo, "has moved (HTTP 301"),
        (429, &quota, "has no money left (HTTP 429, \"pay\")"),
    ] {
        let body = body.clone();
        let server = Server::start(move |_| Act::Status(status, "Location: http://127.0.0.1:9/", body.clone()));
        let bench = Bench::new(&server.url());
        let bench = Bench { settings: Settings { concurrency: 1, ..bench.settings.clone() }, ..bench };
        let text = bench.complaint(&posts(3));
        assert!(text.contains(expected), "{text}");
        assert_eq!(server.seen().len(), 1, "{text}");
    }
    let server = Server::start(|_| Act::Status(401, "", String::new()));
    let text = Bench { key: None, ..Bench::new(&server.url()) }.complaint(&posts(1));
    assert!(text.contains("wants a key (HTTP 401): set DPO_LAB_JUDGE_API_KEY"), "{text}");
}

#[test]
fn prose_is_asked_again_with_a_reminder_and_then_counts_as_unread() {
    let server = Server::start(|asked| match asked.quote("The forum post").as_str() {
        "post 0" => Act::say("Both have their merits."),
        _ if asked.text().ends_with(templates::REMINDER) => Act::say("Fine.\nB"),
        _ => Act::say("Hm, hard to say."),
    });
    let bench = Bench::new(&server.url());
    let verdicts = bench.judge(&posts(2)).unwrap();
    assert_eq!(choices(&verdicts), [Choice::Unparsed, Choice::Second]);
    assert_eq!(verdicts[0].reason, "Both have their merits.");
    assert_eq!(server.seen().len(), 3 + 2);
    assert_eq!(bench.judge(&posts(2)).unwrap(), verdicts);
    assert_eq!(server.seen().len(), 3 + 2, "unread answers are not bought again");
}

#[test]
fn a_refused_text_and_a_renamed_limit_do_not_end_a_batch() {
    let filter = "{\"error\": {\"message\": \"filtered\", \"code\": \"content_filter\"}}";
    let server = Server::start(move |asked| match asked.quote("The forum post").as_str() {
        _ if !asked.body["max_tokens"].is_null() => {
            let message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.";
            Act::Status(400, "", format!("{{\"error\": {{\"message\": \"{message}\"}}}}"))
        }
        "post 0" => Act::Status(400, "", filter.to_owned()),
        _ => prefers_left(asked),
    });
    let verdicts = Bench::new(&server.url()).judge(&posts(6)).unwrap();
    assert_eq!(choices(&verdicts)[..2], [Choice::Unparsed, Choice::First]);
    assert_eq!(server.seen().last().unwrap().body["max_completion_tokens"], 200);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    // Nothing listens on the port of a service that nobody runs any more.
    let bench = Bench::new("http://127.0.0.1:9/v1");
    let text = bench.complaint(&posts(2));
    assert!(text.contains("cannot be reached, after 5 tries") && text.contains("is base_url right"), "{text}");
    assert!(bench.ledger().is_empty(), "nothing got out, so nothing is counted");
}

#[test]
fn a_key_is_wanted_where_the_server_is_elsewhere() {
    let bench = Bench { key: None, ..Bench::new("https://judge.example/v1") };
    let text = bench.complaint(&posts(1));
    assert!(text.contains("the judge at https://judge.example/v1 needs a key: set DPO_LAB_JUDGE_API_KEY"), "{text}");
    assert!(bench.ledger().is_empty());
    let text = Key::read(|_| Some(OsString::from("two very-secret words"))).err().unwrap().to_string();
    assert!(text.contains("DPO_LAB_JUDGE_API_KEY is not one word") && !text.contains("secret"), "{text}");
    assert!(Key::read(|_| Some(OsString::from(" "))).ok().unwrap().is_none());
}

#[test]
fn a_batch_that_dies_in_the_middle_goes_on_with_the_rest_only() {
    let dead = Arc::new(AtomicBool::new(true));
    let is_dead = dead.clone();
    let server = Server::start(move |asked| match asked.number {
        7.. if is_dead.load(Ordering::SeqCst) => Act::Hang,
        _ => prefers_left(asked),
    });
    let bench = Bench::new(&server.url());
    let text = bench.complaint(&posts(20));
    assert!(text.contains("what was answered is kept"), "{text}");
    // The process was killed while it wrote a line.
    let ledger = bench.folder.path().join("ledgers").join(format!("{}.jsonl", bench.open().digest()));
    let mut torn = std::fs::read(&ledger).unwrap();
    torn.extend(b"{\"question\":\"00");
    std::fs::write(&ledger, torn).unwrap();
    assert_eq!(bench.open().cost_of(&questions(&posts(20))).unwrap().missing, 13);

    let before = server.seen().len();
    dead.store(false, Ordering::SeqCst);
    let verdicts = choices(&bench.judge(&posts(20)).unwrap());
    assert_eq!(verdicts, [Choice::First; 20]);
    assert_eq!(server.seen().len() - before, 13);
}

/// The other process of the next test.
#[test]
#[ignore = "run by another test"]
fn a_process_that_is_killed() {
    let mut bench = Bench::new(&std::env::var("TEST_JUDGE_URL").unwrap());
    bench.settings.concurrency = 3;
    let judge = OpenAi::open(&bench.settings, Path::new(&std::env::var("TEST_LEDGERS").unwrap()), Arc::default());
    let _ = judge.ok().unwrap().judge(&questions(&posts(400)), &mut |_| {});
}

#[test]
fn what_a_killed_process_paid_for_is_not_paid_for_again() {
    let server = Server::start(|asked| {
        std::thread::sleep(Duration::from_millis(5));
        prefers_left(asked)
    });
    let bench = Bench::new(&server.url());
    let test = format!("{}::a_process_that_is_killed", module_path!().split_once("::").unwrap().1);
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &test, "--ignored"])
        .env("TEST_JUDGE_URL", server.url())
        .env("TEST_LEDGERS", bench.folder.path().join("ledgers"))
        .env("DPO_LAB_JUDGE_API_KEY", KEY)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while server.seen().len() < 30 && began.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let bench = Bench { settings: Settings { concurrency: 3, ..bench.settings.clone() }, ..bench };
    let kept = bench.open().cost_of(&questions(&posts(400))).unwrap().cached;
    assert!((25..400).contains(&kept), "{kept}");
    assert_eq!(choices(&bench.judge(&posts(400)).unwrap()), [Choice::First; 400]);
    // Only what was in flight may have been asked twice.
    assert!(server.seen().len() <= 400 + 3, "{}", server.seen().len());
    assert!(!bench.ledger().contains(KEY));
}

#[test]
fn an_interrupted_batch_ends_soon_and_keeps_what_came() {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    let server = Server::start(move |asked| match asked.number {
        0..3 => prefers_left(asked),
        _ => {
            flag.store(true, Ordering::SeqCst);
            Act::Status(503, "Retry-After: 9", String::new())
        }
    });
    let longest_pause = Duration::from_secs(9);
    let bench = Bench { interrupted: interrupted.clone(), longest_pause, ..Bench::new(&server.url()) };
    let began = Instant::now();
    assert!(matches!(bench.judge(&posts(50)), Err(Error::Interrupted)));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(bench.open().cost_of(&questions(&posts(50))).unwrap().cached, 3);
}
