//! What the world of questions promises: exact and ordered rewards, hands of different worth, varied texts in their limits.

use std::collections::HashSet;

use proptest::prelude::*;

use super::knowledge::{ANIMALS, Attribute};
use super::scorer::{score, score_answer};
use super::*;

const ONE: &str = "human : tell me what the fox eats . assistant :";
const TWO: &str = "human : hello . what does the fox eat and where does it live ? assistant :";

fn length(text: &str) -> usize {
    text.split(' ').count()
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.into_iter().collect();
    values.iter().sum::<f64>() / values.len() as f64
}

/// Asserts that the rewards of `answers` to `prompt` fall strictly.
fn falls(prompt: &str, answers: &[&str]) {
    for pair in answers.windows(2) {
        let [better, worse] = [pair[0], pair[1]].map(|answer| score_answer(prompt, answer).reward);
        assert!(better > worse, "{:?} has {better}, {:?} has {worse}", pair[0], pair[1]);
    }
}

/// `count` prompts, each with an answer of this hand.
fn answered(hand: Hand, seed: u64, count: u64) -> Vec<(String, String)> {
    (0..count)
        .map(|index| {
            let mut dice = Dice::new("answered", seed, index);
            let (topics, prompt) = fitting(&mut dice, PROMPT_TOKENS, ask);
            (prompt, answer_by(&mut dice, hand, &topics))
        })
        .collect()
}

fn rewards(hand: Hand) -> Vec<f64> {
    answered(hand, 3, 4_000).iter().map(|(prompt, answer)| score_answer(prompt, answer).reward).collect()
}

#[test]
fn knowledge_favours_no_value() {
    for attribute in Attribute::ALL {
        for value in attribute.values() {
            let holders = ANIMALS.iter().filter(|animal| Topic { animal, attribute }.truth() == *value).count();
            assert_eq!(holders, ANIMALS.len() / attribute.values().len(), "{value}");
        }
    }
    let names: HashSet<&str> = ANIMALS.iter().map(|animal| animal.name).collect();
    assert_eq!(names.len(), 24);
}

#[test]
fn the_helpful_beat_the_rambling_the_partial_the_evasive_and_the_wrong() {
    falls(
        ONE,
        &[
            "of course , the fox eats berries .",
            "the fox eats berries .",
            "the fox eats berries and is red .",
            "the fox eats berries . it lives in the forest .",
            "the fox eats berries . it lives in the forest . animals are wonderful .",
            "perhaps the fox eats berries .",
            "i do not know .",
            "the fox eats fish .",
            "the fox eats fish . the owl eats fish .",
        ],
    );
    falls(
        TWO,
        &[
            "it eats berries and lives in the forest .",
            "it eats berries and lives in the forest . the owl is white .",
            "it eats berries , but i do not know where it lives .",
            "i am not sure where it lives .",
            "it eats berries and lives in the desert .",
            "it eats fish and lives in the desert .",
        ],
    );
}

#[test]
fn each_hand_is_worth_more_than_the_next() {
    let means = Hand::ALL.map(|hand| mean(rewards(hand)));
    assert!(means.windows(2).all(|pair| pair[0] > pair[1] + 0.05), "{means:?}");
    assert!(means[0] > 0.94 && means[4] < 0.1, "{means:?}");
    // The best of the wrong is worse than a plain evasion, and no helpful answer is bad.
    assert!(rewards(Hand::Wrong).into_iter().fold(0.0, f64::max) < score_answer(ONE, "i do not know .").reward);
    assert!(rewards(Hand::Helpful).into_iter().fold(1.0, f64::min) > 0.8);
}

#[test]
fn rewards_follow_the_documented_formula() {
    let logistic = |log_odds: f64| 1.0 / (1.0 + (-log_odds).exp());
    let close = |prompt: &str, answer: &str, expected: f64| {
        let found = score_answer(prompt, answer);
        assert!((found.reward - expected).abs() < 1e-12, "{answer:?}: {found:?}, not {expected}");
    };
    close(ONE, "it eats berries .", logistic(3.0));
    close(ONE, "it eats berries . good question .", logistic(3.4));
    close(ONE, "it eats berries . good question . have a nice day .", logistic(3.4 - 0.15 * 5.0));
    close(ONE, "it eats berries . the owl is white .", logistic(3.0 - 0.15 * 5.0));
    close(ONE, "it eats berries and is red .", logistic(3.0 - 0.15 * 3.5));
    close(ONE, "it eats berries . it is black .", logistic(3.0 - 2.6 - 0.15 * 4.0));
    close(ONE, "perhaps it eats berries .", logistic(0.9));
    close(ONE, "perhaps it eats mice .", logistic(-1.2 - 2.6));
    close(ONE, "i am not sure what it eats .", logistic(-1.2));
    close(ONE, "i do not know . that depends on many things .", logistic(-1.2 - 0.15 * 6.0));
    close(ONE, "it eats berries . i do not know .", logistic(3.0 - 0.15 * 5.0));
    close(ONE, "good question .", logistic(-1.2 - 0.15 * 3.0));
    close(ONE, "it eats berries . it lives in", 4.0 / 7.0 * logistic(3.0));
    close(TWO, "it lives in the forest .", logistic(0.9));
    close(TWO, "it lives in the forest and eats fish .", logistic(0.9 - 2.6));
}

#[test]
fn saying_all_that_could_be_true_does_not_pay() {
    falls(ONE, &["the fox eats berries .", "i do not know .", "the fox eats berries . the fox eats fish ."]);
    falls(ONE, &["it eats berries .", "perhaps it eats berries .", "perhaps it eats mice . perhaps it eats berries ."]);
    let unsure = score_answer(ONE, "perhaps it eats berries .").reward;
    assert_eq!(score_answer(ONE, "perhaps it eats berries . it eats berries .").reward, unsure);
}

#[test]
fn repetition_does_not_pay() {
    falls(
        ONE,
        &[
            "it eats berries .",
            "it eats berries . the fox eats berries .",
            "it eats berries . it eats berries . it eats berries .",
        ],
    );
    falls(ONE, &["i do not know .", "i do not know . i do not know what the fox eats ."]);
    let found = score_answer(ONE, "it eats berries and eats berries . have a nice day . have a nice day .");
    assert_eq!((found.correct, found.repeated), (0.0, 2));
}

#[test]
fn questions_are_understood_in_any_wording() {
    for question in [
        "what does the fox eat ?",
        "what food does the fox eat ?",
        "i saw the fox . what food does it eat ?",
        "the fox : what does it eat ?",
        "the fox eats what ?",
        "my son is curious . could you please tell me what food the fox eats",
    ] {
        let prompt = format!("human : {question} assistant :");
        assert_eq!(score_answer(&prompt, "the fox eats berries .").correct, 1.0, "{question}");
        assert_eq!(score_answer(&prompt, "the fox is red .").correct, 0.0, "{question}");
    }
    // "it" is the animal named last, in the question or in the answer.
    let prompt = "human : i saw the owl . what does the fox eat ? assistant :";
    assert_eq!(score_answer(prompt, "it eats berries .").correct, 1.0);
    let found = score_answer(prompt, "that reminds me of the owl . it eats mice .");
    assert_eq!((found.correct, found.wrong), (0.0, 0));
}

#[test]
fn the_last_question_and_the_last_answer_count() {
    let shots = "human : what does the owl eat ? assistant : the owl eats fish . ";
    assert_eq!(score(&format!("{shots}{ONE} it eats berries .")), score_answer(ONE, "it eats berries ."));
    let run_on = "it eats fish . human : what does the owl eat ? assistant : it eats mice .";
    assert_eq!(score(&format!("{ONE} {run_on}")).correct, 1.0);
    assert!(score_answer(ONE, run_on).reward < 0.05);
}

#[test]
fn broken_text_scores_low() {
    for text in ["", " \n", "human :", "assistant :", ONE, "the fox eats berries .", "assistant : human : zebra ü 🎬 ."] {
        assert_eq!(score(text).reward, 0.0, "{text:?}");
    }
    for answer in
        ["berries .", "the fox eats berries", "the fox eat berries .", "fox eats berries .", "it lives in berries .", ". . ."]
    {
        assert_eq!(score_answer(ONE, answer).reward, 0.0, "{answer:?}");
    }
    assert_eq!(score("human : hello . assistant : the fox eats berries .").reward, 0.0);
}

#[test]
fn written_answers_parse_and_are_what_their_hand_means_them_to_be() {
    for hand in Hand::ALL {
        for (prompt, answer) in answered(hand, 7, 4_000) {
            let found = score_answer(&prompt, &answer);
            let as_meant = match hand {
                Hand::Helpful => found.correct == 1.0 && found.wrong == 0,
                Hand::Rambling => found.correct == 1.0 && found.wrong == 0 && found.idle >= 4.0,
                Hand::Partial => found.correct == 0.5 && found.wrong == 0,
                Hand::Evasive => found.correct == 0.0 && found.wrong == 0 && found.evasive,
                Hand::Wrong => found.correct < 1.0 && found.wrong > 0,
            };
            assert!(as_meant && found.grammatical == 1.0 && found.repeated == 0, "{hand:?}: {prompt} {answer} {found:?}");
        }
    }
}

#[test]
fn exchanges_have_different_answers_in_random_order_within_the_limits() {
    let all = exchanges(11, 20_000);
    for Exchange { prompt, answers } in &all {
        assert!(
            prompt.starts_with("human : ") && prompt.ends_with(" assistant :") && length(prompt) <= PROMPT_TOKENS,
            "{prompt}"
        );
        assert!(
            answers.iter().all(|answer| answer.ends_with(" .") && length(answer) <= ANSWER_TOKENS) && answers[0] != answers[1]
        );
    }
    let scored = |side: usize| all.iter().map(move |exchange| score_answer(&exchange.prompt, &exchange.answers[side]).reward);
    let first_better = mean(scored(0).zip(scored(1)).filter(|(a, b)| a != b).map(|(a, b)| f64::from(u8::from(a > b))));
    assert!((first_better - 0.5).abs() < 0.02, "{first_better}");
    let average = mean(scored(0));
    let sd = mean(scored(0).map(|reward| (reward - average).powi(2))).sqrt();
    assert!((0.35..0.6).contains(&average) && sd > 0.3, "mean {average}, sd {sd}");
    let values: HashSet<u64> = scored(0).map(f64::to_bits).collect();
    assert!(values.len() > 60, "{} values", values.len());
}

#[test]
fn prompts_are_many() {
    let usual: HashSet<String> = exchanges(11, 20_000).into_iter().map(|exchange| exchange.prompt).collect();
    assert!(usual.len() > 15_000, "{} prompts", usual.len());
}

#[test]
fn length_gives_only_rambling_away() {
    let lengths = Hand::ALL.map(|hand| mean(answered(hand, 13, 4_000).iter().map(|(_, answer)| length(answer) as f64)));
    let [helpful, rambling, others @ ..] = lengths;
    assert!(rambling > helpful + 4.0, "{lengths:?}");
    assert!(others.iter().all(|other| (other - helpful).abs() < 2.5), "{lengths:?}");
}

#[test]
fn pages_keep_their_promises() {
    let pages = pages(17, 5_000);
    assert!(pages.iter().all(|page| length(page) <= PAGE_TOKENS));
    let talking = mean(pages.iter().map(|page| f64::from(u8::from(page.starts_with("human :")))));
    assert!((0.5..0.7).contains(&talking), "{talking}");
    for page in pages.iter().filter(|page| !page.starts_with("human :")) {
        let found = score_answer("human : what does the fox eat ? assistant :", page);
        assert!(found.grammatical == 1.0 && found.wrong == 0, "{page}");
    }
}

#[test]
fn texts_depend_on_seed_and_index_only() {
    assert_eq!(exchanges(5, 300)[..100], exchanges(5, 100)[..]);
    assert_eq!(pages(5, 300)[..100], pages(5, 100)[..]);
    assert_ne!(exchanges(5, 10), exchanges(6, 10));
}

#[test]
fn vocabulary_is_exactly_what_is_written() {
    let words = vocabulary();
    assert!(words.is_sorted() && (120..=200).contains(&words.len()), "{} words", words.len());
    let spoken =
        |all: Vec<Exchange>| all.into_iter().flat_map(|exchange| [vec![exchange.prompt], exchange.answers.to_vec()].concat());
    let usual: Vec<String> = spoken(exchanges(19, 20_000)).chain(pages(19, 5_000)).collect();
    let written: HashSet<&str> = usual.iter().flat_map(|text| text.split(' ')).collect();
    assert_eq!(written, words.into_iter().collect::<HashSet<_>>());
}

/// Texts of the world's words, among them its sentences, with or without speakers.
fn soup() -> impl Strategy<Value = String> {
    let words = proptest::collection::vec(proptest::sample::select(vocabulary()), 0..30).prop_map(|words| words.join(" ") + " .");
    let answer = (0..100_usize).prop_map(|index| exchanges(23, index + 1).swap_remove(index).answers.join(" "));
    prop_oneof![words, answer]
}

proptest! {
    #[test]
    fn any_text_has_a_score(text in any::<String>(), words in soup()) {
        let spoken = [format!("{ONE} {text}"), format!("{TWO} {words}"), format!("{words} {ONE} {words}")];
        for text in spoken.into_iter().chain([text, words]) {
            let found = score(&text);
            prop_assert!((0.0..=1.0).contains(&found.reward) && (0.0..=1.0).contains(&found.grammatical));
            prop_assert!((0.0..=1.0).contains(&found.correct) && found.idle >= 0.0 && found.reward <= found.grammatical);
            prop_assert_eq!(found, score(&text));
        }
    }

    #[test]
    fn saying_it_again_never_raises(answer in soup()) {
        let twice = [answer.as_str(), answer.as_str()].join(" ");
        prop_assert!(score_answer(TWO, &twice).reward <= score_answer(TWO, &answer).reward);
    }

    #[test]
    fn shuffled_words_score_low(index in 0..100_usize) {
        let Exchange { prompt, answers: [answer, _] } = exchanges(29, index + 1).swap_remove(index);
        let mut words: Vec<&str> = answer.split(' ').collect();
        words.sort_unstable();
        prop_assert!(score_answer(&prompt, &words.join(" ")).reward < 0.05);
    }
}
