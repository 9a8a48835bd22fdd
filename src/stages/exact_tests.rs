//! What a world that can be enumerated is for: the other studies' estimators, and DPO itself, against exact values.

use super::exact::{enumerated, log_probs};
use super::population::pairs;
use crate::methods::{Dpo, Examples};
use crate::models::generate::generate;
use crate::models::{Decoder, DecoderConfig, Sampling};
use crate::random::Stream;
use crate::spec::{Labelling, Labels, Optimisation, Optimizer, Shuffle, TrainingSize, World};
use crate::stats::{self, Mean, clustered_mean, kl_bound, mean_kl, population_loss};
use crate::tasks::oracle::{self, Oracle};
use crate::train::{
    Checkpoints, Example, PreferenceData, PreferenceRun, Sequence, completion_log_probs, divergences, train_preference,
};
use burn::tensor::Device;

const WORLD: World = World { vocabulary: 5, length: 2, prompts: 3, seed: 0 };

fn world() -> (Oracle, Decoder, Device) {
    let (oracle, device) = (oracle::open(&WORLD).expect("a world"), Device::flex());
    let config = DecoderConfig::gpt2(WORLD.vocabulary, 8, 32, 2, 2);
    (oracle, Decoder::new(config, &mut Stream::new(0, 0, "exact test", 0), &device), device)
}

/// A policy at some distance from the reference.
fn other(device: &Device) -> Decoder {
    let config = DecoderConfig::gpt2(WORLD.vocabulary, 8, 32, 2, 2);
    let mut policy = Decoder::new(config, &mut Stream::new(0, 0, "exact test", 1), device);
    for parameter in &mut policy.parameters.0 {
        parameter.value = parameter.value.clone().mul_scalar(4.0);
    }
    policy
}

#[test]
fn listed_log_probs_are_those_of_the_completions_and_sum_to_1() {
    let (oracle, _, device) = world();
    let policy = other(&device);
    let listed = log_probs(&policy, &oracle, &WORLD, &device).expect("log-probs");
    for (index, listed) in listed.iter().enumerate() {
        let (prompt, leaves) = (oracle.prompt(index), oracle.tree().leaves());
        let sequences: Vec<Sequence<'_>> = leaves.iter().map(|leaf| Sequence { prompt: &prompt, completion: leaf }).collect();
        for (listed, run) in listed.iter().zip(completion_log_probs(&policy, &sequences, &device, |_| ())) {
            assert!((listed - run).abs() < 1e-4, "{listed} is not {run}");
        }
        assert!((listed.iter().map(|log_prob| log_prob.exp()).sum::<f64>() - 1.0).abs() < 1e-5);
    }
}

/// Per-step KL, sampled KL and reward of `count` completions a prompt, as evaluations estimate them.
fn estimates(oracle: &Oracle, policy: &Decoder, reference: &Decoder, count: usize, seed: u64, device: &Device) -> [Mean; 3] {
    let prompts: Vec<Vec<u32>> = (0..WORLD.prompts * count).map(|index| oracle.prompt(index % WORLD.prompts)).collect();
    let sampling = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, max_new_tokens: WORLD.length, samples: 1 };
    let streams = |prompt: usize, sample: usize| Stream::new(seed, sample as u64, "estimates", prompt as u64);
    let drawn: Vec<Vec<u32>> = generate(policy, &prompts, &[oracle::END], sampling, device, streams, |_| ())
        .unwrap()
        .into_iter()
        .flat_map(|drawn| drawn.into_iter().map(|completion| completion.tokens))
        .collect();
    let sequences: Vec<Sequence<'_>> =
        prompts.iter().zip(&drawn).map(|(prompt, completion)| Sequence { prompt, completion }).collect();
    let found = divergences(policy, reference, &sequences, device, |_| ());
    let mean = |of: &dyn Fn(usize) -> f64| clustered_mean((0..drawn.len()).map(|index| (index, of(index))));
    [
        mean(&|index| found[index].kl),
        mean(&|index| found[index].log_ratio),
        mean(&|index| oracle.reward(&prompts[index], &drawn[index]).expect("a reward")),
    ]
}

#[test]
fn estimators_agree_with_exact_values_within_their_errors_and_have_no_bias() {
    let (oracle, reference, device) = world();
    let policy = other(&device);
    let listed = |model: &Decoder| log_probs(model, &oracle, &WORLD, &device).expect("log-probs");
    let set = enumerated(&oracle, &WORLD, listed(&reference)).expect("a set");
    let exact = set.point(&listed(&policy));
    let wanted = [exact.kl, exact.kl, exact.reward];
    for (estimate, wanted) in estimates(&oracle, &policy, &reference, 1000, 0, &device).into_iter().zip(wanted) {
        assert!((estimate.mean - wanted).abs() < 3.0 * estimate.se, "{estimate:?} is not {wanted}");
    }
    let repetitions = 40;
    let all: Vec<[Mean; 3]> = (1..=repetitions).map(|seed| estimates(&oracle, &policy, &reference, 40, seed, &device)).collect();
    for (which, wanted) in wanted.into_iter().enumerate() {
        let over = clustered_mean(all.iter().map(|estimates| estimates[which].mean).enumerate());
        assert!((over.mean - wanted).abs() < 3.0 * over.se, "estimator {which}: {over:?} is not {wanted}");
        // The errors that are reported are those that are made.
        let reported = all.iter().map(|estimates| estimates[which].se).sum::<f64>() / repetitions as f64;
        let made = over.se * (repetitions as f64).sqrt();
        assert!((0.7..1.4).contains(&(reported / made)), "estimator {which}: {reported} is reported, {made} is made");
    }
    let per_step = all.iter().map(|estimates| estimates[0].se).sum::<f64>();
    assert!(per_step < all.iter().map(|estimates| estimates[1].se).sum(), "the sum over the vocabulary has less variance");
}

#[test]
fn the_weighted_pairs_of_a_population_give_its_expected_loss() {
    let (oracle, reference, device) = world();
    let listed = |model: &Decoder| log_probs(model, &oracle, &WORLD, &device).expect("log-probs");
    let set = enumerated(&oracle, &WORLD, listed(&reference)).expect("a set");
    let (reference, policy, beta) = (set.optimal_policy(f64::INFINITY), listed(&other(&device)), 0.7);
    for (labels, wanted) in [
        (Labels::Hard, population_loss(&set, &policy, beta, stats::Labels::Hard).0),
        (Labels::BradleyTerry, population_loss(&set, &policy, beta, stats::Labels::BradleyTerry { reward_scale: 4.0 }).0),
    ] {
        let labelling = Labelling { labels, reward_scale: 4.0, label_noise: 0.0 };
        let mut sum = 0.0;
        for index in 0..WORLD.prompts {
            let ratio = |completion: usize| policy[index][completion] - reference[index][completion];
            let rewards = oracle.rewards(&oracle.prompt(index)).expect("rewards");
            for ((chosen, rejected), weight) in pairs(&reference[index], &rewards, &labelling) {
                sum += weight * (-beta * (ratio(chosen) - ratio(rejected))).exp().ln_1p();
            }
            // Pairs of a completion with itself are left out of training, and cost ln 2 whatever the policy.
            let same: f64 = reference[index].iter().map(|log_prob| (2.0 * log_prob).exp()).sum();
            sum += same * std::f64::consts::LN_2;
        }
        assert!((sum / WORLD.prompts as f64 - wanted).abs() < 1e-9, "{labels}: {sum}, {wanted}");
    }
}

/// KL to the optimum at beta and KL to the reference after so many steps of DPO on the population of labelled pairs.
fn on_population(labels: Labels, beta: f64, steps: u64) -> (f64, f64) {
    let (oracle, reference, device) = world();
    let listed = log_probs(&reference, &oracle, &WORLD, &device).expect("log-probs");
    let set = enumerated(&oracle, &WORLD, listed.clone()).expect("a set");
    let labelling = Labelling { labels, reward_scale: 4.0, label_noise: 0.0 };
    let leaves = oracle.tree().leaves();
    let prompts: Vec<Vec<u32>> = (0..WORLD.prompts).map(|index| oracle.prompt(index)).collect();
    let (mut data, mut weights) = (PreferenceData::default(), Vec::new());
    for (index, prompt) in prompts.iter().enumerate() {
        let (first, rewards) = (data.sequences.len(), oracle.rewards(prompt).expect("rewards"));
        for ((one, other), weight) in pairs(&listed[index], &rewards, &labelling) {
            data.examples.extend(Example::of_pairs(&[(first + one, first + other)], Examples::Pairs));
            weights.push(weight);
        }
        data.sequences.extend(leaves.iter().map(|leaf| Sequence { prompt, completion: leaf }));
        data.prompt_of.extend(vec![index; leaves.len()]);
    }
    let total: f64 = weights.iter().sum();
    data.weights = Some(weights.into_iter().map(|weight| weight / total).collect());
    data.reference = Some(completion_log_probs(&reference, &data.sequences, &device, |_| ()));
    let optimisation = Optimisation::constant(Optimizer::Adamw, 1e-3);
    let run = PreferenceRun {
        objective: &Dpo { beta, ..Dpo::default() },
        optimisation: &optimisation,
        size: &TrainingSize { steps, batch_pairs: 1, shuffle: Shuffle::Pairs, checkpoint_every: steps, evaluate_every: 0 },
        first: 0,
        last: steps,
        seeds: (0, 0),
        tokens: 0,
    };
    let (policy, _, _) =
        train_preference(reference.clone(), None, &data, &run, &device, &mut Checkpoints::none(), |_| ()).expect("trained");
    let policy = log_probs(&policy, &oracle, &WORLD, &device).expect("log-probs");
    (mean_kl(&policy, &set.optimal_policy(beta / labelling.reward_scale)), set.point(&policy).kl)
}

#[test]
fn on_infinitely_many_bradley_terry_labels_dpo_finds_its_optimum() {
    let (to_optimum, to_reference) = on_population(Labels::BradleyTerry, 1.0, 300);
    assert!(to_optimum < 0.003, "{to_optimum} nats from the optimum, {to_reference} from the reference");
    assert!(to_reference > 0.05, "the optimum is elsewhere than the reference: {to_reference}");
}

#[test]
fn on_hard_labels_dpo_runs_away() {
    let (near, far) = (on_population(Labels::Hard, 1.0, 100), on_population(Labels::Hard, 1.0, 300));
    assert!(far.1 > near.1 + 0.2, "{near:?}, {far:?}");
    assert!(far.0 > 0.3, "{far:?}");
}

#[test]
fn best_of_n_is_under_the_frontier_and_its_bound_for_a_real_model() {
    let (oracle, _, device) = world();
    let reference = log_probs(&other(&device), &oracle, &WORLD, &device).expect("log-probs");
    let set = enumerated(&oracle, &WORLD, reference).expect("a set");
    let rewards: Vec<Vec<f64>> =
        (0..WORLD.prompts).map(|index| oracle.rewards(&oracle.prompt(index)).expect("rewards")).collect();
    for n in [2, 4, 16, 64] {
        let point = set.point(&set.best_of_n(&rewards, n));
        assert!(point.kl <= kl_bound(n) + 1e-12 && point.reward <= set.reward_at(point.kl) + 1e-9, "{n}: {point:?}");
    }
}
