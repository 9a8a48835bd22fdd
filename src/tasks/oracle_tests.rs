use super::*;
use crate::stats::Enumerated;
use std::collections::HashSet;

fn world() -> Oracle {
    Oracle::new(1, 8, 4).expect("a world")
}

/// Log-probs of all completions when every next token is equally likely.
fn uniform(world: &Oracle) -> Vec<f64> {
    let next = vec![vec![-(world.tree.symbols as f64).ln(); world.tree.symbols]; world.tree.prefix_count()];
    world.tree.leaf_log_probs(&next).expect("a table")
}

/// Log-probs of all completions of a prompt in the corpus.
fn of_corpus(world: &Oracle, prompt: &[u32]) -> Vec<f64> {
    let after = |prefix: &Vec<u32>| world.next_token(prompt, &[prompt, prefix].concat()).iter().map(|p| p.ln()).collect();
    world.tree.leaf_log_probs(&world.tree.prefixes().iter().map(after).collect::<Vec<_>>()).expect("a table")
}

fn words(world: &Oracle, tokens: &[u32]) -> String {
    let word = |token: &u32| match *token {
        0 => None,
        1 => Some("<|unknown|>".to_owned()),
        id => Some(world.letters()[id as usize - 2].clone()),
    };
    tokens.iter().filter_map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn prompts_are_different_and_of_named_letters() {
    let world = world();
    let prompts: Vec<Vec<u32>> = (0..world.prompt_count()).map(|index| world.prompt(index)).collect();
    assert_eq!((prompts.len(), prompts.iter().collect::<HashSet<_>>().len()), (36, 36));
    assert!(prompts.iter().all(|prompt| prompt[0] == END && prompt[1..].iter().all(|letter| (2..8).contains(letter))));
    assert_eq!(world.prompt(36), world.prompt(0));
}

#[test]
fn rewards_are_spread_between_0_and_1() {
    for seed in 0..20 {
        for (symbols, length) in [(8, 4), (12, 3), (6, 5)] {
            let world = Oracle::new(seed, symbols, length).expect("a world");
            let probabilities: Vec<f64> = uniform(&world).iter().map(|log_prob| log_prob.exp()).collect();
            let (mut mean, mut square) = (0.0, 0.0);
            for index in 0..world.prompt_count() {
                for (reward, probability) in world.rewards(&world.prompt(index)).expect("rewards").iter().zip(&probabilities) {
                    assert!(*reward > 0.0 && *reward < 1.0);
                    mean += probability * reward / world.prompt_count() as f64;
                    square += probability * reward * reward / world.prompt_count() as f64;
                }
            }
            let deviation = (square - mean * mean).sqrt();
            assert!(
                (0.15..0.35).contains(&deviation) && (0.2..0.6).contains(&mean),
                "{seed}, {symbols}, {length}: {mean}, {deviation}"
            );
        }
    }
}

#[test]
fn no_two_completions_are_tied() {
    let world = world();
    let mut rewards = world.rewards(&world.prompt(0)).expect("rewards");
    rewards.sort_by(f64::total_cmp);
    assert!(rewards.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn rewards_depend_on_the_study_seed_and_on_the_prompt_alone() {
    let (world, other) = (world(), Oracle::new(2, 8, 4).expect("a world"));
    let (first, second) = ([0, 2, 3], [0, 2, 4]);
    assert_eq!(world.rewards(&first), self::world().rewards(&first));
    assert_ne!(world.rewards(&first), world.rewards(&second));
    assert_ne!(world.rewards(&first), other.rewards(&first));
}

#[test]
fn the_reward_of_a_text_is_that_of_its_tokens() {
    let world = world();
    for index in [0, 7, 35] {
        let prompt = world.prompt(index);
        for completion in world.tree.leaves() {
            let text = words(&world, &[prompt.as_slice(), &completion].concat());
            assert_eq!(world.reward_of_words(&text), world.reward(&prompt, &completion), "{text}");
        }
    }
}

#[test]
fn texts_that_the_task_cannot_have_are_refused() {
    let world = world();
    for text in ["", "a", "a <|unknown|> b", "a b x", "a b a a a a a", "a b <|endoftext|>"] {
        assert!(world.reward_of_words(text).is_err(), "{text}");
    }
    assert!(world.reward(&[0, 2, 9], &[0]).is_err());
    for completion in [&[0, 2][..], &[8], &[2, 2, 2, 2, 0]] {
        assert!(world.reward(&[0, 2, 3], completion).is_err(), "{completion:?}");
    }
}

#[test]
fn worlds_too_small_or_too_large_are_refused() {
    for (symbols, length) in [(3, 4), (29, 2), (8, 0), (28, 5), (8, usize::MAX)] {
        assert!(Oracle::new(0, symbols, length).is_err(), "{symbols}, {length}");
    }
}

#[test]
fn every_token_is_likely_enough_and_few_are_near_certain() {
    for (symbols, least, most) in [(4, 0.4, 0.85), (8, 0.4, 0.8), (28, 0.4, 0.9)] {
        let world = Oracle::new(3, symbols, 2).expect("a world");
        let mut perplexities = Vec::new();
        for index in 0..world.prompt_count() {
            let prompt = world.prompt(index);
            for last in 1..symbols as u32 {
                let probabilities = world.next_token(&prompt, &[prompt.as_slice(), &[last]].concat());
                assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                assert!(probabilities.iter().all(|probability| *probability >= FLOOR));
                perplexities.push((-probabilities.iter().map(|p| p * p.ln()).sum::<f64>()).exp() / symbols as f64);
            }
        }
        let mean = perplexities.iter().sum::<f64>() / perplexities.len() as f64;
        assert!((least..most).contains(&mean), "{symbols}: {mean}");
    }
}

#[test]
fn the_corpus_is_whole_sequences_of_the_process() {
    let world = world();
    let corpus = world.corpus(5, 20_000);
    let leaves: HashSet<Vec<u32>> = world.tree.leaves().into_iter().collect();
    assert!(corpus.iter().all(|sequence| sequence[0] == END && leaves.contains(&sequence[3..])));
    assert_eq!(world.corpus(5, 10), corpus[..10]);
    assert_ne!(world.corpus(6, 10), corpus[..10]);

    let ended_at_once = corpus.iter().filter(|sequence| sequence.len() == 4).count() as f64 / 20_000.0;
    let prompts: Vec<Vec<u32>> = (0..36).map(|index| world.prompt(index)).collect();
    let wanted = prompts.iter().map(|prompt| world.next_token(prompt, prompt)[0]).sum::<f64>() / 36.0;
    assert!((ended_at_once - wanted).abs() < 0.01, "{ended_at_once} {wanted}");
}

#[test]
fn the_corpus_covers_every_completion_and_a_few_nats_buy_most_of_the_reward() {
    let world = world();
    let prompts: Vec<Vec<u32>> = (0..36).map(|index| world.prompt(index)).collect();
    let reference = prompts.iter().map(|prompt| of_corpus(&world, prompt)).collect();
    let rewards = prompts.iter().map(|prompt| world.rewards(prompt).expect("rewards")).collect();
    let set = Enumerated::new(reference, rewards).expect("a set");
    let (start, end) = (set.optimum(f64::INFINITY), set.optimum(0.0));
    assert!(end.kl <= -4.0 * FLOOR.ln() && end.reward - start.reward > 0.4, "{start:?} {end:?}");
    assert!(set.reward_at(3.0) - start.reward > 0.7 * (end.reward - start.reward), "{}", set.reward_at(3.0));
}
