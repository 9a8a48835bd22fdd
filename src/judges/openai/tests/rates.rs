//! What judges of known quality come to when every pair is asked in both orders.

use super::*;
use crate::random::Stream;

/// A number in [0, 1) that belongs to a text.
fn chance(purpose: &str, text: &str) -> f64 {
    Stream::new(0, 0, &format!("{purpose} {text}"), 0).uniform()
}

/// The true preference: "left" is better with probability `p`.
fn left_is_better(p: f64, number: &str) -> bool {
    chance("truth", number) < p
}

/// Win rate of "left" and the share of pairs on which both orders agree, over as many posts, each order asked.
fn measured(server: &Server, count: usize) -> (f64, f64) {
    let bench = Bench::new(&server.url());
    let bench = Bench { settings: Settings { concurrency: 8, ..bench.settings.clone() }, ..bench };
    let texts = posts(count);
    let shown_first = choices(&bench.judge(&texts).unwrap());
    let shown_second = choices(&bench.judge(&turned(&texts)).unwrap());
    let pairs = || shown_first.iter().zip(&shown_second);
    let wins = pairs().filter(|pair| *pair == (&Choice::First, &Choice::Second)).count() as f64;
    let losses = pairs().filter(|pair| *pair == (&Choice::Second, &Choice::First)).count() as f64;
    let count = count as f64;
    (wins / count + (count - wins - losses) / count / 2.0, (wins + losses) / count)
}

/// Answers for the side that `left` says, in the order shown.
fn verdict(asked: &Asked, left: bool) -> Act {
    let shown_first = asked.pair().0.starts_with("left");
    Act::say(if left == shown_first { "This one.\nA" } else { "This one.\nB" })
}

fn number(asked: &Asked) -> String {
    asked.quote("The forum post")
}

/// Four standard errors of a rate of `count` pairs; the texts are fixed, so a test passes always or never.
fn tolerance(count: usize) -> f64 {
    4.0 * (0.25 / count as f64).sqrt()
}

#[test]
fn a_judge_who_always_says_a_finds_only_ties() {
    let server = Server::start(|_| Act::say("The first is better.\nA"));
    assert_eq!(measured(&server, 40), (0.5, 0.0));
}

#[test]
fn unread_a_in_a_fifth_of_the_calls_pulls_the_rate_to_a_tenth_and_four_fifths_of_it() {
    // Each call by itself: one order gets a wrong answer from it and the other a right one, whichever summary is better.
    let p = 0.7;
    let server = Server::start(move |asked| match number(asked) {
        _ if chance("unread", asked.text()) < 0.2 => Act::say("A"),
        post => verdict(asked, left_is_better(p, &post)),
    });
    let count = 800;
    let truth = (0..count).filter(|n| left_is_better(p, &format!("post {n}"))).count() as f64 / count as f64;
    let (rate, consistency) = measured(&server, count);
    assert!((rate - (0.8 * truth + 0.1)).abs() < tolerance(count) / 2.0, "{rate}, truth {truth}");
    assert!((consistency - 0.8).abs() < tolerance(count), "{consistency}");
}

#[test]
fn a_judge_who_is_right_four_times_in_five_makes_56_of_60_percent() {
    let server = Server::start(|asked| {
        let post = number(asked);
        verdict(asked, left_is_better(0.6, &post) == (chance("right", asked.text()) < 0.8))
    });
    let count = 800;
    let (rate, consistency) = measured(&server, count);
    assert!((rate - 0.56).abs() < tolerance(count), "{rate}");
    // Both orders right, or both wrong.
    assert!((consistency - (0.8 * 0.8 + 0.2 * 0.2)).abs() < tolerance(count), "{consistency}");
}
