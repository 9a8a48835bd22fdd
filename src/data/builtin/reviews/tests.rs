//! What the built-in world promises: exact grammar, compositional and bounded rewards, varied texts.

use std::collections::HashSet;

use proptest::prelude::*;

use super::scorer::score;
use super::words::{ADJECTIVES, ADVICE, EFFECTS, FATES, FEELINGS, QUALITIES, REACTIONS};
use super::*;

fn reward(text: &str) -> f64 {
    score(text).reward
}

/// Asserts that the rewards of `texts` fall strictly.
fn falls(texts: &[&str]) {
    for pair in texts.windows(2) {
        let (better, worse) = (reward(pair[0]), reward(pair[1]));
        assert!(better > worse, "{:?} has {better}, {:?} has {worse}", pair[0], pair[1]);
    }
}

/// Mean and standard deviation.
fn moments(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
    (mean, variance.sqrt())
}

fn correlation(left: &[f64], right: &[f64]) -> f64 {
    let ((left_mean, left_sd), (right_mean, right_sd)) = (moments(left), moments(right));
    let products = left.iter().zip(right).map(|(a, b)| (a - left_mean) * (b - right_mean));
    products.sum::<f64>() / left.len() as f64 / (left_sd * right_sd)
}

#[test]
fn adjectives_negation_and_degree_are_ordered() {
    falls(&[
        "the film was great .",
        "the film was good .",
        "the film was not bad .",
        "the film was not good .",
        "the film was bad .",
        "the film was awful .",
    ]);
    falls(&["the plot was very good .", "the plot was good .", "the plot was rather good .", "the plot was a bit dull ."]);
    falls(&[
        "it was not bad at all .",
        "it was not bad .",
        "it was not very bad .",
        "it was not very good .",
        "it was not good .",
    ]);
    falls(&["i really loved the cast .", "i loved the cast .", "i never hated the cast .", "i did not love the cast ."]);
    falls(&["the plot was not dull or slow .", "the plot was slow .", "the plot was slow and dull ."]);
    falls(&["it had real wit .", "it had some wit .", "it had little wit .", "it lacked wit ."]);
    falls(&["i would gladly recommend it .", "i would recommend it .", "i would not recommend it ."]);
    falls(&["nobody could call the plot dull .", "i do not think the plot was dull .", "i thought the plot was dull ."]);
    falls(&["what a great film !", "a great film .", "a slightly great film ."]);
}

#[test]
fn the_second_side_of_a_contrast_weighs_more() {
    falls(&["slow , but moving .", "moving , but slow ."]);
    falls(&["the plot was weak , but the cast was good .", "the cast was good , but the plot was weak ."]);
    falls(&["although the plot was weak , the cast was good .", "the plot was weak , although the cast was good ."]);
    falls(&["despite a weak plot , the cast was good .", "despite a good cast , the plot was weak ."]);
    // Like opinions make no contrast.
    assert_eq!(reward("the plot was great but the cast was good ."), reward("the plot was great and the cast was good ."));
}

#[test]
fn more_evidence_says_more_and_one_opinion_is_not_all() {
    falls(&[
        "the cast was great . the music was great .",
        "the cast was great .",
        "the cast was dull .",
        "the cast was dull . it was dull .",
    ]);
    assert!(reward("the cast was utterly perfect !") < 0.95);
    assert!(reward("the cast was utterly dreadful !") > 0.05);
}

#[test]
fn repetition_does_not_pay() {
    falls(&["the cast was great .", "the cast was great . the cast was great .", "it was great . it was great . it was great ."]);
    falls(&["it was great .", "it was great . this movie was very great ."]);
    falls(&["slow but moving .", "slow but moving . dull but funny ."]);
    let said_again = score("i saw this film . the cast was great and the cast was great . we watched the movie at home .");
    assert_eq!((said_again.opinions, said_again.repeated, said_again.sentences), (0, 2, 3));
}

#[test]
fn broken_text_scores_low() {
    for text in
        ["", "  \n", "great great great", "great great great .", ". . .", "!", "the the .", "the cast was great", "zebra ü 🎬 ."]
    {
        assert_eq!(reward(text), 0.0, "{text:?}");
    }
    falls(&["the cast was great . it was funny .", "the cast was great . it funny was .", "cast the great was . it funny was ."]);
    let cut = score("the cast was great . the plot was not");
    assert_eq!((cut.opinions, cut.sentences), (1, 2));
    assert!((cut.grammatical - 5.0 / 9.0).abs() < 1e-12);
    for text in [
        "a awful film .",
        "an great film .",
        "the jokes was great .",
        "a great jokes .",
        "plot was great .",
        "what a great film .",
    ] {
        // The last is a sentence with "!" only.
        assert_eq!(score(text).grammatical, 0.0, "{text:?}");
    }
    assert_eq!(reward("i saw this film last night ."), 0.5);
    assert_eq!(reward("i saw this film last night . it was"), 0.5 * 7.0 / 9.0);
}

#[test]
fn reviews_parse_fully_and_notes_are_neutral() {
    for text in reviews(7, 20_000) {
        let score = score(&text);
        assert!(score.grammatical == 1.0 && score.opinions > 0 && score.repeated == 0, "{text}");
        assert!((1..=4).contains(&score.sentences), "{text}");
    }
    for text in notes(7, 20_000) {
        let score = score(&text);
        assert!(score.reward == 0.5 && score.grammatical == 1.0 && score.opinions == 0, "{text}");
    }
}

#[test]
fn rewards_are_spread_and_reviews_are_varied() {
    let texts = reviews(11, 20_000);
    let rewards: Vec<f64> = texts.iter().map(|text| reward(text)).collect();
    let (mean, sd) = moments(&rewards);
    assert!((mean - 0.5).abs() < 0.03 && (0.27..0.34).contains(&sd), "mean {mean}, sd {sd}");
    assert!(texts.iter().collect::<HashSet<_>>().len() > 19_000);
    assert!(rewards.iter().map(|value| value.to_bits()).collect::<HashSet<_>>().len() > 2_000);
    let lengths: Vec<f64> = texts.iter().map(|text| text.split(' ').count() as f64).collect();
    assert!(lengths.iter().all(|length| TOKENS.contains(&(*length as usize))));
    assert!((16.0..18.0).contains(&moments(&lengths).0));
    let prefixes: HashSet<Vec<&str>> = texts.iter().map(|text| text.split(' ').take(4).collect()).collect();
    assert!(prefixes.len() > 5_000);
}

#[test]
fn counting_words_is_not_enough() {
    let mut strengths: Vec<(&str, f64)> = [ADJECTIVES, REACTIONS, QUALITIES, ADVICE].concat();
    strengths
        .extend([FEELINGS, EFFECTS, FATES].concat().into_iter().flat_map(|(past, base, value)| [(past, value), (base, value)]));
    let strength = |token: &str| strengths.iter().find(|(word, _)| *word == token).map_or(0.0, |(_, value)| *value);
    let texts = reviews(13, 5_000);
    let counts: Vec<f64> = texts.iter().map(|text| text.split(' ').map(strength).sum()).collect();
    let rewards: Vec<f64> = texts.iter().map(|text| reward(text)).collect();
    let agreement = correlation(&counts, &rewards);
    assert!((0.65..0.9).contains(&agreement), "correlation {agreement}");
}

/// The writer wants a sign, the scorer finds one; a faint last word after a strong first one is the only way to differ.
#[test]
fn writer_and_scorer_agree_on_signs() {
    for (positivity, good) in [(1.0, true), (0.0, false)] {
        let agree = (0..4_000).filter(|index| {
            let text = write(&mut Dice::new("signs", 3, *index), |draft| super::writer::write(draft, positivity));
            (score(&text).sentiment > 0.0) == good
        });
        assert!(agree.count() > 3_900);
    }
}

#[test]
fn texts_depend_on_seed_and_index_only() {
    assert_eq!(reviews(5, 300)[..100], reviews(5, 100)[..]);
    assert_eq!(notes(5, 300)[..100], notes(5, 100)[..]);
    assert_ne!(reviews(5, 10), reviews(6, 10));
}

#[test]
fn vocabulary_is_exactly_what_is_written() {
    let words = vocabulary();
    assert!(words.is_sorted() && (180..=300).contains(&words.len()), "{} words", words.len());
    let texts = [reviews(17, 20_000), notes(17, 20_000)].concat();
    let written: HashSet<&str> = texts.iter().flat_map(|text| text.split(' ')).collect();
    assert_eq!(written, words.into_iter().collect::<HashSet<_>>());
}

/// Texts of the world's words, some of them reviews, ended by a mark.
fn soup() -> impl Strategy<Value = String> {
    let words = proptest::collection::vec(proptest::sample::select(vocabulary()), 0..30).prop_map(|words| words.join(" ") + " .");
    prop_oneof![words, (0..500_usize).prop_map(|index| reviews(19, index + 1).swap_remove(index))]
}

proptest! {
    #[test]
    fn any_text_has_a_score(text in any::<String>()) {
        let first = score(&text);
        prop_assert!((0.0..=1.0).contains(&first.reward) && (0.0..=1.0).contains(&first.grammatical) && first.sentiment.abs() < 1.0);
        prop_assert_eq!(first, score(&text));
    }

    #[test]
    fn any_words_and_any_cut_have_a_score(text in soup(), cut in 0..30_usize) {
        let prefix = text.split(' ').take(cut).collect::<Vec<_>>().join(" ");
        let found = score(&prefix);
        prop_assert!((0.0..=1.0).contains(&found.reward) && found.reward <= found.grammatical);
    }

    #[test]
    fn saying_it_again_never_raises(before in soup(), text in soup()) {
        let once = format!("{before} {text}");
        let twice = format!("{once} {text}");
        prop_assert!(reward(&twice) < reward(&once) || reward(&once) == 0.0);
        let alone = [text.as_str(), text.as_str()].join(" ");
        prop_assert!(reward(&alone) <= reward(&text));
    }

    #[test]
    fn shuffled_words_score_low(index in 0..500_usize) {
        let text = reviews(23, index + 1).swap_remove(index);
        let mut words: Vec<&str> = text.split(' ').collect();
        words.sort_unstable();
        prop_assert!(reward(&words.join(" ")) < 0.05);
        words = text.split(' ').rev().collect();
        prop_assert!(reward(&words.join(" ")) < reward(&text));
    }
}
