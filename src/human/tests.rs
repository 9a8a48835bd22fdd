//! What an export promises, and the way from comparisons through packets and answers to win rates.

use super::*;
use crate::stats::Outcome;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Comparisons of two runs with one baseline, `count` prompts each.
fn comparisons(count: usize) -> Vec<Comparison> {
    let comparison = |(run, method): (&str, &str), prompt_index: usize| Comparison {
        study: "secret-study".into(),
        run: run.into(),
        method: method.into(),
        step: 300,
        temperature: 0.25,
        prompt_index,
        prompt: format!("prompt {prompt_index}"),
        baseline: "chosen-completion".into(),
        policy_text: format!("text {prompt_index} of {}", if method == "dpo" { "one" } else { "another" }),
        baseline_text: format!("text {prompt_index} of a third"),
    };
    let runs = [("dpo-beta0.1-seed0", "dpo"), ("ppo-seed0", "ppo")];
    runs.into_iter().flat_map(|run| (0..count).map(move |prompt| comparison(run, prompt))).collect()
}

#[test]
fn packets_are_deterministic() {
    let comparisons = comparisons(40);
    assert_eq!(packets(&comparisons, 0.2, 7), packets(&comparisons, 0.2, 7));
    assert_ne!(packets(&comparisons, 0.2, 7).0, packets(&comparisons, 0.2, 8).0);
    assert_eq!(packets(&[], 0.2, 7).0, []);
}

#[test]
fn nothing_that_raters_get_says_who_wrote_what() {
    let comparisons = comparisons(30);
    let (packets, key) = packets(&comparisons, 0.2, 7);
    for (path, bytes) in files(&packets, &key, Subject::Summary).expect("files") {
        let text = String::from_utf8(bytes).expect("UTF-8").to_lowercase();
        let names = ["dpo", "ppo", "sft", "secret-study", "beta", "seed", "chosen-completion", "\"policy", "baseline", "0.25"];
        for name in names {
            assert!(!path.starts_with("packets") || !text.contains(name), "{name} in {}", path.display());
        }
        let only_key = path.starts_with("packets") || (path == Path::new("key.json") && text.contains("raters must not see it"));
        assert!(only_key, "{}", path.display());
    }
    // Whoever wrote which text, the id is the same.
    let mut swapped = comparisons.clone();
    swapped.iter_mut().for_each(|comparison| std::mem::swap(&mut comparison.policy_text, &mut comparison.baseline_text));
    let ids = |comparisons: &[Comparison]| super::packets(comparisons, 0.2, 7).1.items.into_keys().collect::<Vec<_>>();
    assert_eq!(ids(&comparisons), ids(&swapped));
    assert!(ids(&comparisons).iter().all(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())));
}

#[test]
fn the_policy_stands_first_in_half_of_a_runs_items() {
    let (_, key) = packets(&comparisons(51), 0.0, 3);
    for run in ["dpo-beta0.1-seed0", "ppo-seed0"] {
        let sides = key.items.values().filter(|entry| entry.run == run).map(|entry| entry.policy);
        let first = sides.filter(|&side| side == Side::First).count();
        assert!(first == 25 || first == 26, "{first} of 51");
    }
}

#[test]
fn an_item_shows_the_texts_of_its_comparison_on_the_sides_that_the_key_names() {
    let comparisons = comparisons(30);
    let (packets, key) = packets(&comparisons, 0.2, 7);
    for item in packets.iter().flat_map(|packet| &packet.items) {
        let entry = &key.items[&item.id];
        let comparison = comparisons.iter().find(|one| (&one.run, one.prompt_index) == (&entry.run, entry.prompt_index));
        let comparison = comparison.expect("its comparison");
        let (policy, baseline) = match entry.policy {
            Side::First => (&item.first, &item.second),
            Side::Second => (&item.second, &item.first),
        };
        assert_eq!((policy, baseline, &item.prompt), (&comparison.policy_text, &comparison.baseline_text, &comparison.prompt));
    }
}

#[test]
fn a_comparison_that_repeats_another_is_asked_once() {
    let mut comparisons = comparisons(5);
    comparisons.extend(comparisons.clone());
    assert_eq!(packets(&comparisons, 0.0, 0).1.items.len(), 10);
}

#[test]
fn doubled_items_connect_many_pairs_of_raters() {
    let (packets, _) = packets(&comparisons(100), 0.2, 0);
    let mut held: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for packet in &packets {
        packet.items.iter().for_each(|item| held.entry(&item.id).or_default().push(&packet.name));
    }
    let pairs: BTreeSet<_> = held.values().filter(|names| names.len() == 2).collect();
    // 40 doubled items over 10 packets.
    assert!(pairs.len() > 15, "{} pairs", pairs.len());
}

proptest! {
    #[test]
    fn every_packet_but_the_last_is_full_and_the_share_is_in_two(count in 1usize..90, share in 0.0f64..=1.0, seed in any::<u64>()) {
        let comparisons: Vec<_> = comparisons(count).into_iter().take(count).collect();
        let (packets, key) = packets(&comparisons, share, seed);
        let size = PACKET_ITEMS.min(count);
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for (at, packet) in packets.iter().enumerate() {
            let ids: BTreeSet<_> = packet.items.iter().map(|item| item.id.as_str()).collect();
            prop_assert_eq!(ids.len(), packet.items.len());
            prop_assert!(ids.len() == size || (at + 1 == packets.len() && ids.len() < size));
            prop_assert_eq!(&key.packets[&packet.name], &packet.items.iter().map(|item| item.id.clone()).collect::<Vec<_>>());
            ids.into_iter().for_each(|id| *times.entry(id).or_default() += 1);
        }
        prop_assert_eq!(times.len(), count);
        prop_assert_eq!(times.values().filter(|&&times| times == 2).count(), (share * count as f64).round() as usize);
        prop_assert!(times.values().all(|&times| times <= 2));
    }
}

/// The packet's CSV as its rater fills it in: `choose` answers an item by its id.
fn filled(packet: &Packet, rater: &str, choose: impl Fn(&str) -> &'static str) -> AnswerFile {
    let bytes = csv::packet_csv(packet).expect("CSV");
    let mut reader = ::csv::Reader::from_reader(&bytes[csv::BYTE_ORDER_MARK.len()..]);
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(reader.headers().expect("a header")).expect("written");
    for row in reader.records() {
        let row = row.expect("a row");
        writer.write_record([&row[0], &row[1], &row[2], &row[3], choose(&row[0])]).expect("written");
    }
    AnswerFile { path: format!("{}-{rater}.csv", packet.name).into(), bytes: writer.into_inner().expect("written") }
}

#[test]
fn answers_come_back_as_win_rates_and_agreement() {
    let (packets, key) = packets(&comparisons(20), 0.25, 5);
    let key = Key::read(Path::new("key.json"), &serde_json::to_vec(&key).expect("JSON")).expect("a key");
    let letter = |id: &str, wins: bool| if (key.items[id].policy == Side::First) == wins { "a" } else { "b" };
    // Everybody prefers dpo, ties on prompt 0, and prefers ppo on prompts below 5 alone.
    let choose = |id: &str| match &key.items[id] {
        entry if entry.prompt_index == 0 => "tie",
        entry => letter(id, entry.method == "dpo" || entry.prompt_index < 5),
    };
    let answers: Vec<_> =
        packets.iter().enumerate().map(|(rater, packet)| filled(packet, &format!("rater{rater}"), choose)).collect();
    let imported = import(&answers, &key).expect("fine");
    assert_eq!((imported.answers.len(), imported.skipped.len(), imported.repeated), (50, 0, 0));

    // A judge that is for the policy everywhere, and undecided on prompt 1.
    let outcome = |index: usize| if index == 1 { Outcome::Tie } else { Outcome::Win };
    let outcomes = key.items.iter().map(|(id, entry)| (id.clone(), outcome(entry.prompt_index))).collect();
    let rows = summary(&imported.answers, &key, &[JudgeVerdicts { judge: "length".into(), outcomes }]);
    assert_eq!(rows.len(), 2);
    let (dpo, ppo) = (&rows[0], &rows[1]);
    assert_eq!((dpo.method.as_str(), dpo.human_win_rate, dpo.human_human_agreement), ("dpo", Some(1.0), Some(1.0)));
    assert_eq!(dpo.respondents, 2);
    assert_eq!((dpo.items, ppo.items, dpo.answers + ppo.answers), (20, 20, 50));
    assert!(dpo.ties_dropped >= 1 && dpo.ci_low.expect("low") < 1.0 && dpo.ci_high == Some(1.0));
    assert_eq!((dpo.judge_win_rate, dpo.judge_human_agreement), (Some(1.0), Some(1.0)));
    // Every answer counts once, doubled items twice.
    let decided = |wins: Option<bool>| {
        let of = imported.answers.iter().map(|answer| &key.items[&answer.id]).filter(|entry| entry.method == "ppo");
        of.filter(|entry| entry.prompt_index > 0 && wins.is_none_or(|wins| wins == (entry.prompt_index < 5))).count() as f64
    };
    assert_eq!(ppo.human_win_rate, Some(decided(Some(true)) / decided(None)));
    assert!(ppo.judge_human_agreement.expect("agreement") < ppo.human_win_rate.expect("rate"));
    assert!(ppo.judge_human_pairs.expect("pairs") < ppo.answers);

    let alone = summary(&imported.answers, &key, &[]);
    assert_eq!((alone.len(), alone[0].judge_win_rate, alone[0].human_win_rate), (2, None, Some(1.0)));
}

#[test]
fn a_checkpoint_with_ties_alone_has_no_rate() {
    let (packets, key) = packets(&comparisons(3), 0.0, 5);
    let imported = import(&[filled(&packets[0], "anna", |_| "tie")], &key).expect("fine");
    let rows = summary(&imported.answers, &key, &[]);
    assert!(rows.iter().all(|row| (row.human_win_rate, row.ties_dropped, row.human_human_pairs) == (None, 3, 0)));
}

#[test]
fn a_file_that_is_no_key_is_refused() {
    let error = Key::read(Path::new("plan.json"), b"{}").expect_err("no key").to_string();
    assert!(
        error.starts_with("plan.json: not a key: ") && error.ends_with("give the key.json that `human export` wrote"),
        "{error}"
    );
}
