//! Judges in small studies of the built-in worlds: win rates, other judges afterwards, people, and a judge behind an endpoint.

use super::{Lab, stderr};
use std::collections::HashMap;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A study too small to learn anything; `task` and what differs between worlds.
fn study(task: &str, further: &str) -> String {
    format!(
        r#"
name = "small"
[model]
base = "builtin:mini"
{task}
labels = "bradley-terry"
reward_scale = 6.0
[base]
steps = 4
batch_sequences = 8
max_tokens = 48
[sft]
steps = 2
batch_sequences = 8
max_tokens = 48
[reward_model]
batch_pairs = 8
[training]
steps = 4
batch_pairs = 8
checkpoint_every = 2
learning_rate = 1e-3
warmup_steps = 1
[method.dpo]
beta = 0.1
[method.sft]
[method.best_of_n]
n = [1, 4]
{further}
[evaluation]
every = 2
prompts = 10
temperature = [0.0, 1.0]
checkpoint_temperature = [1.0]
max_new_tokens = 6
"#
    )
}

fn dialogue(further: &str) -> String {
    study("[task.dialogue]\npairs = 40\n", &format!("[method.prompting]\nshots = [0, 1]\n{further}"))
}

/// Rows of a CSV of results/small by column.
fn rows(lab: &Lab, name: &str) -> Vec<HashMap<String, String>> {
    let path = lab.results().join(name);
    let mut reader = csv::Reader::from_path(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    reader.deserialize().map(|row| row.expect("a row")).collect()
}

fn lab(study: &str) -> Lab {
    let lab = Lab::new();
    lab.write(study);
    lab
}

const CONTRACT: &str = "run,method,params,seed,step,temperature,task,judge,baseline,n,wins,losses,ties,win_rate,ci_low,ci_high,\
                        order_consistency,length_controlled_win_rate,";

#[test]
fn every_method_of_a_dialogue_study_is_judged_against_the_chosen_answer() {
    let lab = lab(&dialogue("[judge.true]\n[judge.length]\n[judge.biased]\nunread = 0.2\n"));
    lab.run(&[]);
    let text = fs::read_to_string(lab.results().join("winrate.csv")).expect("winrate.csv");
    assert!(text.starts_with(CONTRACT), "{text}");
    let rates = rows(&lab, "winrate.csv");
    let of = |method: &str, judge: &str| {
        rates.iter().filter(|row| row["method"] == method && row["judge"] == judge).collect::<Vec<_>>()
    };
    // DPO: the reference at step 0 and step 2 at temperature 1, and its last step at both temperatures.
    let steps: Vec<(&str, &str)> = of("dpo", "true").iter().map(|row| (&row["step"][..], &row["temperature"][..])).collect();
    assert_eq!(steps, [("0", "1.0"), ("2", "1.0"), ("4", "0.0"), ("4", "1.0")]);
    assert_eq!(of("prompting", "true").len(), 4, "two numbers of shots at two temperatures");
    assert_eq!(of("best_of_n", "length").len(), 4);
    for row in &rates {
        assert_eq!((&row["task"][..], &row["baseline"][..], &row["n"][..]), ("dialogue", "chosen", "10"));
        let [wins, losses, ties, n] = ["wins", "losses", "ties", "n"].map(|key| row[key].parse::<usize>().expect("a count"));
        assert_eq!(wins + losses + ties, n);
        let [low, rate, high] = ["ci_low", "win_rate", "ci_high"].map(|key| row[key].parse::<f64>().expect("a rate"));
        assert!(low <= rate && rate <= high && (0.0..=1.0).contains(&rate), "{row:?}");
        // Judges that score each completion by itself cannot contradict themselves; one that does not read can.
        assert!(row["judge"] == "biased" || row["order_consistency"] == "1.0", "{row:?}");
    }
    assert!(of("dpo", "biased").iter().any(|row| row["position_bias"].parse::<f64>().expect("a bias") > 0.0));
    let best = rows(&lab, "best_of_n.csv");
    assert!(best.iter().all(|row| !row["judge"].is_empty() && !row["win_rate"].is_empty()), "{best:?}");
    let page = fs::read_to_string(lab.results().join("report.html")).expect("report.html");
    assert!(page.contains("Win rates over temperature") && page.contains("Side by side"));
    // Nothing is left to do, and nothing is judged twice.
    assert!(stderr(&lab.run(&[])).contains("nothing to do"));
}

#[test]
fn summaries_are_judged_on_news_too_and_against_another_run() {
    let task = "[task.summarisation]\ndemonstrations = 40\nprompts = 8\ncompletions = 3\nmax_new_tokens = 6\n";
    let further = "[method.prompting]\n[method.preferred_ft]\n[judge.true]\n[judge.rouge]\n[judge.length]\n";
    let lab = lab(&study(task, further));
    let output = lab.run(&["--set", "evaluation.baseline=[\"reference\", \"sft\", \"dpo-seed0@0.0\"]"]);
    assert!(!stderr(&output).contains("failed"), "{}", stderr(&output));
    let rates = rows(&lab, "winrate.csv");
    let baselines = |run: &str, task: &str, judge: &str| {
        let mut found: Vec<&str> = rates
            .iter()
            .filter(|row| row["method"] == run && row["task"] == task && row["judge"] == judge)
            .map(|row| &row["baseline"][..])
            .collect();
        found.sort_unstable();
        found.dedup();
        found.join(" ")
    };
    assert_eq!(baselines("preferred_ft", "summarisation", "length"), "dpo-seed0@0.0 reference sft");
    assert_eq!(baselines("preferred_ft", "summarisation-ood", "true"), "dpo-seed0@0.0 reference sft");
    assert_eq!(baselines("sft", "summarisation", "true"), "dpo-seed0@0.0 reference", "nothing is compared with itself");
    assert_eq!(
        baselines("preferred_ft", "summarisation", "rouge"),
        "dpo-seed0@0.0 sft",
        "the reference is what rouge measures by"
    );
    // People judge held-out posts, and only what the judge says of these is compared with them.
    let output = lab.lab(&[
        "human",
        "export",
        "small",
        "--only",
        "dpo*",
        "--set",
        "evaluation.baseline=[\"reference\", \"sft\", \"dpo-seed0@0.0\"]",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let packet = fs::read_to_string(lab.results().join("human/packets/packet-01.csv")).expect("a packet");
    let mut reader = csv::Reader::from_reader(packet.as_bytes());
    let mut filled = csv::Writer::from_writer(Vec::new());
    filled.write_record(reader.headers().expect("a header")).expect("written");
    for row in reader.records() {
        let row = row.expect("a row");
        filled.write_record([&row[0], &row[1], &row[2], &row[3], "a"]).expect("written");
    }
    fs::write(lab.folder.path().join("packet-01-anna.csv"), filled.into_inner().expect("bytes")).expect("written");
    let output = lab.lab(&["human", "import", "small", "packet-01-anna.csv"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let of_judge = rows(&lab, "human.csv").into_iter().find(|row| row["judge"] == "length").expect("a row");
    let held_out = rates
        .iter()
        .find(|row| {
            let of = [&row["method"][..], &row["task"][..], &row["judge"][..], &row["baseline"][..], &row["temperature"][..]];
            of == ["dpo", "summarisation", "length", "reference", "0.0"] && row["step"] == "4"
        })
        .expect("a row");
    let [wins, losses] = ["wins", "losses"].map(|key| held_out[key].parse::<f64>().expect("a count"));
    assert!((of_judge["judge_win_rate"].parse::<f64>().expect("a rate") - wins / (wins + losses)).abs() < 1e-9, "{of_judge:?}");
    let report = lab.lab(&["report", "small"]);
    assert!(report.status.success(), "{}", stderr(&report));
    let page = fs::read_to_string(lab.results().join("report.html")).expect("report.html");
    assert!(page.contains("human-human agreement"), "table 2 is in the report");
    let differences = rows(&lab, "winrate_differences.csv");
    assert!(differences.iter().all(|row| ["better", "worse", "unresolved"].contains(&&row["verdict"][..])));
}

#[test]
fn best_of_n_is_compared_with_the_reference_even_where_its_pool_is_what_the_reference_wrote() {
    let lab = lab(&dialogue("[judge.length]\n").replace("n = [1, 4]", "n = [2]"));
    let samples = "evaluation.samples_per_prompt=2";
    lab.run(&["-q", "--set", samples, "--set", "evaluation.optimum_samples=0", "--set", "evaluation.baseline=[\"sft\"]"]);
    let rates = rows(&lab, "winrate.csv");
    assert!(rates.iter().any(|row| row["method"] == "best_of_n" && row["baseline"] == "sft"), "{rates:?}");
}

#[test]
fn another_judge_looks_at_the_same_completions_without_any_training() {
    let lab = lab(&dialogue("[judge.true]\n"));
    lab.run(&[]);
    let frontier = lab.frontier();
    fs::write(lab.folder.path().join("others.toml"), "[judge.length]\n[judge.implicit-reward]\nrun = \"dpo-seed0\"\n")
        .expect("written");
    let output = lab.lab(&["judge", "small", "--with", "others.toml"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let judges = |lab: &Lab| {
        let mut found: Vec<String> = rows(lab, "winrate.csv").iter().map(|row| row["judge"].clone()).collect();
        found.sort_unstable();
        found.dedup();
        found.join(" ")
    };
    assert_eq!(judges(&lab), "implicit-reward length true");
    assert_eq!(lab.frontier(), frontier);
    let log = stderr(&output);
    assert!(!log.contains("train ") && !log.contains("generate "), "{log}");
    // A baseline that is not in the store yet is drawn, from policies that are.
    let again = lab.lab(&["judge", "small", "--with", "others.toml", "--set", "evaluation.baseline=[\"sft\"]"]);
    assert!(again.status.success(), "{}", stderr(&again));
    assert!(rows(&lab, "winrate.csv").iter().any(|row| row["baseline"] == "sft" && row["judge"] == "length"));
    assert!(!stderr(&again).contains("train "), "{}", stderr(&again));
    lab.lab(&["judge", "small", "--with", "others.toml", "--set", "evaluation.baseline=[\"chosen\"]"]);
    // The report remembers who judged.
    let report = lab.lab(&["report", "small"]);
    assert!(report.status.success(), "{}", stderr(&report));
    assert_eq!(judges(&lab), "implicit-reward length true");
}

#[test]
fn a_calibrated_judge_has_a_corrected_rate() {
    let lab = lab(&dialogue("[judge.biased]\naccuracy = 0.9\n"));
    lab.run(&[]);
    assert!(rows(&lab, "winrate.csv").iter().all(|row| row["corrected_win_rate"].is_empty()));
    fs::write(lab.folder.path().join("judges.toml"), "[judge.biased]\naccuracy = 0.9\n[judge.true]\n").expect("written");
    let output = lab.lab(&["judge", "--calibrate", "builtin:questions", "--with", "judges.toml", "--pairs", "300"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let mut reader = csv::Reader::from_reader(&output.stdout[..]);
    let table: Vec<HashMap<String, String>> = reader.deserialize().map(|row| row.expect("a row")).collect();
    let number = |at: usize, key: &str| table[at][key].parse::<f64>().expect("a number");
    assert_eq!((&table[0]["judge"][..], &table[1]["judge"][..]), ("biased", "true"));
    assert!((number(0, "accuracy") - 0.9).abs() < 0.05, "{table:?}");
    assert_eq!((number(1, "accuracy"), number(1, "agreement_label"), number(1, "agreement_true")), (1.0, 1.0, 1.0));
    lab.run(&[]);
    assert!(rows(&lab, "winrate.csv").iter().all(|row| !row["corrected_win_rate"].is_empty()));
}

#[test]
fn people_judge_blinded_packets_and_agree_with_themselves() {
    let lab = lab(&dialogue("[judge.true]\n"));
    lab.run(&[]);
    let output = lab.lab(&["human", "export", "small", "--items", "10", "--double", "0.5", "--only", "dpo*"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let folder = lab.results().join("human");
    let packets: Vec<_> = fs::read_dir(folder.join("packets")).expect("packets").flatten().map(|entry| entry.path()).collect();
    let csvs: Vec<_> = packets.iter().filter(|path| path.extension().is_some_and(|end| end == "csv")).collect();
    assert!(!csvs.is_empty() && packets.iter().any(|path| path.extension().is_some_and(|end| end == "html")));
    let mut answers = Vec::new();
    for (at, packet) in csvs.iter().enumerate() {
        let text = fs::read_to_string(packet).expect("a packet");
        assert!(!text.contains("dpo"), "a packet says nothing of who wrote what");
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let mut filled = csv::Writer::from_writer(Vec::new());
        filled.write_record(reader.headers().expect("a header")).expect("written");
        for row in reader.records() {
            let row = row.expect("a row");
            filled.write_record([&row[0], &row[1], &row[2], &row[3], "a"]).expect("written");
        }
        let name = packet.file_stem().expect("a name").to_string_lossy().into_owned();
        let path = lab.folder.path().join(format!("{name}-rater{at}.csv"));
        fs::write(&path, filled.into_inner().expect("bytes")).expect("written");
        answers.push(path.display().to_string());
    }
    let mut arguments = vec!["human", "import", "small"];
    arguments.extend(answers.iter().map(String::as_str));
    let output = lab.lab(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let human = rows(&lab, "human.csv");
    assert_eq!((human.len(), &human[0]["baseline"][..], &human[0]["judge"][..]), (1, "chosen", "true"), "{human:?}");
    // Whoever gets an item twice sees it the same way round, so that two who always say "a" agree.
    assert_eq!(human[0]["human_human_agreement"].parse::<f64>().expect("agreement"), 1.0);
    let again = lab.lab(&["human", "export", "small"]);
    assert_eq!(again.status.code(), Some(2), "an export must not overwrite the key of another");
}

#[test]
fn mistakes_about_judges_are_found_before_anything_runs() {
    for (further, wanted) in [
        ("[judge.opnai]\n", "did you mean `openai`"),
        ("[judge.openai]\n", "model"),
        ("[judge.implicit-reward]\nrun = \"ppo\"\n", "no run of this study"),
        ("[[judge.length]]\n[[judge.length]]\n", "two judges are called `length`"),
        ("[judge.rouge]\n", "cannot be its baseline as well"),
        ("[judge.biased]\naccuracy = 1.5\n", "must lie in [0, 1]"),
        ("", "nothing measures it without a judge"),
    ] {
        let lab = lab(&dialogue(further));
        let output = lab.lab(&["check", "study.toml"]);
        assert_eq!(output.status.code(), Some(2), "{further}: {}", stderr(&output));
        assert!(stderr(&output).contains(wanted), "{further}: {}", stderr(&output));
    }
    let none_learned = dialogue("[judge.reward-model]\n").replace("[reward_model]\nbatch_pairs = 8\n", "");
    let output = lab(&none_learned.replace("[method.best_of_n]\nn = [1, 4]\n", "")).lab(&["check", "study.toml"]);
    assert!(stderr(&output).contains("add [reward_model] to the study"), "{}", stderr(&output));
    let lab = lab(&dialogue("[judge.true]\n"));
    let baseline = lab.lab(&["check", "study.toml", "--set", "evaluation.baseline=[\"ppo\"]"]);
    assert!(stderr(&baseline).contains("nor a run"), "{}", stderr(&baseline));
}

/// Says why a test does not run, past the test runner's capture.
fn skipped(why: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// Kills a server at the end of a test, however that comes.
struct Server(std::process::Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `transformers serve` is the nearest thing to a provider that runs on any machine: what is sent to it, and what it answers, is
/// nobody's idea of the protocol but its own.
#[test]
fn a_real_server_is_asked_and_its_answers_are_kept() {
    let program = std::env::var("DPO_LAB_TRANSFORMERS").unwrap_or_else(|_| "transformers".to_owned());
    let installed = Command::new(&program).args(["serve", "--help"]).output().is_ok_and(|output| output.status.success());
    let default = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/models/SmolLM2-135M-Instruct");
    let model = std::env::var_os("DPO_LAB_SMOLLM2").map_or(default, std::path::PathBuf::from);
    if !installed || !model.join("config.json").is_file() {
        skipped(
            "a real judge: give `transformers` with its server in PATH or DPO_LAB_TRANSFORMERS, and SmolLM2 in DPO_LAB_SMOLLM2",
        );
        return;
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let serve = ["serve", &model.display().to_string(), "--host", "127.0.0.1", "--port", &port.to_string()].map(str::to_owned);
    let child = Command::new(&program).args(serve).env("HF_HUB_OFFLINE", "1").stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _server = Server(child.expect("transformers starts"));
    let began = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < Duration::from_secs(180), "the server does not listen");
        std::thread::sleep(Duration::from_millis(200));
    }
    let lab = Lab::new();
    let judge = format!(
        "[judge.openai]\nbase_url = \"http://127.0.0.1:{port}/v1\"\nmodel = \"{}\"\nmax_tokens = 60\nconcurrency = 1\ntimeout_s = 120.0\n",
        model.display()
    );
    fs::write(lab.folder.path().join("judges.toml"), judge).expect("written");
    let ask = || lab.lab(&["judge", "--calibrate", "builtin:questions", "--with", "judges.toml", "--pairs", "3"]);
    let output = ask();
    // So small a model seldom ends with a letter; what counts is that it was asked, and understood.
    assert!(output.status.success() || stderr(&output).contains("none of its answers could be read"), "{}", stderr(&output));
    let ledger = || {
        let folder = lab.folder.path().join("results/.store/judges");
        let files = fs::read_dir(folder).expect("judges").flatten().map(|entry| entry.path());
        let ledger = files.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect::<Vec<_>>();
        fs::read_to_string(&ledger[0]).expect("a ledger")
    };
    let first = ledger();
    assert!(first.lines().count() >= 6 && first.lines().all(|line| line.contains("\"answer\"")), "{first}");
    ask();
    assert_eq!(ledger(), first, "nothing is asked twice");
}

/// The first rows of a packed file with their posts cut, so that they fit a small context; in the lab's folder under the same name.
fn shortened(lab: &Lab, file: &std::path::Path) {
    use std::io::Read as _;
    let mut text = String::new();
    flate2::read::GzDecoder::new(fs::File::open(file).expect("a file")).read_to_string(&mut text).expect("JSON Lines");
    let row = |line: &str| {
        let mut row: serde_json::Value = serde_json::from_str(line).expect("a row");
        let post = if row["info"].is_object() { &mut row["info"]["post"] } else { &mut row["post"] };
        *post = post.as_str().map_or("", |post| &post[..post.floor_char_boundary(200)]).into();
        row.to_string() + "\n"
    };
    let name = file.file_stem().expect("a name");
    fs::write(lab.folder.path().join(name), text.lines().take(300).map(row).collect::<String>()).expect("written");
}

/// Real posts with people's summaries and comparisons, and a model that knows nothing of them: what is tested is that every row finds
/// its place.
#[test]
fn real_posts_are_summarised_and_judged() {
    let shared = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let (data, model) = (shared.join("data"), shared.join("models/stories260k-hf"));
    if !data.is_dir() || !model.is_dir() {
        skipped("real data is not there");
        return;
    }
    let study = format!(
        r#"
name = "small"
[model]
base = {:?}
[task.summarisation]
corpus = ["tldr_sft_train.jsonl", "tldr_sft_test.jsonl"]
comparisons = "tldr_comparisons_ai_judged.jsonl"
max_prompt_tokens = 400
max_completion_tokens = 160
[sft]
steps = 2
batch_sequences = 4
[reward_model]
batch_pairs = 4
[training]
steps = 2
batch_pairs = 4
checkpoint_every = 2
learning_rate = 1e-4
[method.dpo]
[method.prompting]
[evaluation]
every = 2
prompts = 4
max_new_tokens = 8
temperature = [0.25]
baseline = ["reference", "sft"]
[judge.rouge]
[judge.reward-model]
[judge.language-model]
model = {:?}
[judge.implicit-reward]
run = "dpo-seed0"
"#,
        model.display().to_string(),
        model.display().to_string(),
    );
    let lab = lab(&study);
    for name in ["tldr_sft_train", "tldr_sft_test", "tldr_comparisons_ai_judged"] {
        shortened(&lab, &data.join(format!("{name}.jsonl.gz")));
    }
    lab.run(&[]);
    let rates = rows(&lab, "winrate.csv");
    let judged = |judge: &str, baseline: &str| {
        rates.iter().filter(|row| row["judge"] == judge && row["baseline"] == baseline && row["method"] == "dpo").count()
    };
    assert_eq!((judged("rouge", "sft"), judged("rouge", "reference")), (1, 0), "the reference policy is no rival of itself");
    assert_eq!((judged("reward-model", "reference"), judged("implicit-reward", "sft")), (2, 1));
    // A model that knows nothing of letters says the same one in both orders: no pair is decided, and the bias is seen.
    let letters: Vec<_> = rates.iter().filter(|row| row["judge"] == "language-model").collect();
    assert!(!letters.is_empty());
    for row in letters {
        let [rate, consistency, bias] =
            ["win_rate", "order_consistency", "position_bias"].map(|key| row[key].parse::<f64>().expect("a number"));
        assert!(consistency < 1.0 && bias != 0.0 && (0.2..0.8).contains(&rate), "{row:?}");
    }
    let page = fs::read_to_string(lab.results().join("report.html")).expect("report.html");
    assert!(page.contains("mind its licence"), "a page that shows other people's texts says so");
}
