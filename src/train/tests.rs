//! What a whole training run promises, whatever it is computed with.

use super::{
    Batch, Checkpoints, Example, PreferenceData, PreferenceRun, Sequence, completion_log_probs, train_language_model,
    train_preference,
};
use crate::methods::{Dpo, Examples, Method, Objective};
use crate::models::{Decoder, DecoderConfig, Precision};
use crate::ops::testing::plainly;
use crate::random::Stream;
use crate::spec::{LanguageModelSize, LanguageModelTraining, Optimisation, Optimizer, Shuffle, TrainingSize};
use burn::tensor::{Device, Tensor};

/// Random pairs of different lengths, 4 completions a prompt.
pub(super) fn texts() -> Vec<Vec<u32>> {
    let mut stream = Stream::new(0, 0, "training test", 0);
    (0..96).map(|_| (0..8 + stream.below(24)).map(|_| 1 + stream.below(49) as u32).collect()).collect()
}

/// Losses and final weights of `steps` steps of DPO.
fn train(steps: u64, change: impl Fn(&mut Optimisation)) -> (Vec<f64>, Vec<Vec<f32>>) {
    let device = Device::flex();
    let config = DecoderConfig::gpt2(50, 40, 24, 2, 3);
    let model = Decoder::new(config, &mut Stream::new(0, 0, "training test weights", 0), &device);
    let texts = texts();
    let sequences: Vec<Sequence<'_>> = texts.iter().map(|text| Sequence { prompt: &text[..4], completion: &text[4..] }).collect();
    let reference = completion_log_probs(&model, &sequences, &device, |_| ());
    let data = PreferenceData {
        prompt_of: (0..sequences.len()).map(|index| index / 4).collect(),
        examples: (0..sequences.len())
            .step_by(4)
            .flat_map(|first| [(first, first + 1), (first + 2, first + 1), (first + 2, first + 3)])
            .map(|(chosen, rejected)| Example::Pair(chosen, rejected))
            .collect(),
        sequences,
        reference: Some(reference),
        ..PreferenceData::default()
    };
    let mut optimisation = Optimisation {
        warmup_steps: 5,
        max_grad_norm: 1.0,
        weight_decay: 0.01,
        ..Optimisation::constant(Optimizer::Adamw, 1e-3)
    };
    change(&mut optimisation);
    let run = PreferenceRun {
        objective: &Dpo::default(),
        optimisation: &optimisation,
        size: &TrainingSize { steps, batch_pairs: 36, shuffle: Shuffle::Prompts, checkpoint_every: steps, evaluate_every: 0 },
        first: 0,
        last: steps,
        seeds: (0, 0),
        tokens: 0,
    };
    let (model, _, rows) =
        train_preference(model, None, &data, &run, &device, &mut Checkpoints::none(), |_| ()).expect("trained");
    let weights = model.parameters.0.iter().map(|parameter| crate::models::values(&parameter.value)).collect();
    (rows.into_iter().map(|row| row.loss).collect(), weights)
}

fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads").install(work)
}

#[test]
fn kernels_and_plain_operations_train_alike() {
    for optimizer in [Optimizer::Adamw, Optimizer::Rmsprop] {
        let settings = |optimisation: &mut Optimisation| {
            optimisation.optimizer = optimizer;
            optimisation.epsilon = 1e-4;
        };
        let (fused, _) = train(50, settings);
        let (plain, _) = on_threads(1, || plainly(|| train(50, settings)));
        assert!(fused[49] < 0.9 * fused[0], "it learns: {fused:?}");
        for (step, (fused, plain)) in fused.iter().zip(&plain).enumerate() {
            assert!((fused - plain).abs() < 1e-4 * plain, "{optimizer:?}, step {step}: {fused} is not {plain}");
        }
    }
}

#[test]
fn training_has_the_same_bits_on_any_number_of_threads() {
    let one = on_threads(1, || train(4, |_| ()));
    for threads in [2, 3, 8] {
        assert!(on_threads(threads, || train(4, |_| ())) == one, "bits on {threads} threads");
    }
}

#[test]
fn a_batch_in_parts_is_the_same_step() {
    let (whole, whole_weights) = train(10, |_| ());
    let (parts, weights) = train(10, |optimisation| optimisation.gradient_accumulation_steps = 5);
    assert_ne!(weights, whole_weights, "the parts are really run one by one");
    for (step, (parts, whole)) in parts.iter().zip(&whole).enumerate() {
        assert!((parts - whole).abs() < 1e-4 * whole, "step {step}: {parts} is not {whole}");
    }
}

#[test]
fn blocks_that_are_run_again_train_the_same_bits() {
    assert!(train(4, |optimisation| optimisation.gradient_checkpointing = true) == train(4, |_| ()));
}

#[test]
fn what_a_gpu_runs_trains_alike_with_blocks_that_are_run_again() {
    // Sequences are filled up, and logits are made again in parts. Attention with a tape is not attention without one.
    let plain = |checkpointing| on_threads(1, || plainly(|| train(10, |it| it.gradient_checkpointing = checkpointing))).0;
    for (step, (again, once)) in plain(true).iter().zip(plain(false)).enumerate() {
        assert!((again - once).abs() < 1e-5 * once, "step {step}: {again} is not {once}");
    }
}

#[test]
fn products_in_bf16_train_as_those_in_f32_but_for_rounding() {
    let (exact, exact_weights) = train(50, |_| ());
    let (rounded, weights) = train(50, |optimisation| optimisation.precision = Precision::Bf16);
    assert_ne!(weights, exact_weights, "they are really rounded");
    for (step, (rounded, exact)) in rounded.iter().zip(&exact).enumerate() {
        assert!((rounded - exact).abs() < 2e-2 * exact, "step {step}: {rounded} is not {exact}");
    }
}

/// Log-probs, scores, and the gradients of a weighting of both, of sequences run in these groups.
fn numbers_and_gradients(groups: &[&[Sequence<'_>]]) -> (Vec<f32>, Vec<Vec<f32>>) {
    let device = Device::flex();
    let config = DecoderConfig::gpt2(50, 40, 24, 2, 3);
    let mut model = Decoder::new(config, &mut Stream::new(0, 0, "sharing test", 0), &device).with_scalar_head(&device);
    let head = model.parameters.0.last_mut().expect("a head");
    head.value = head.value.clone() + 0.3;
    let model = model.tracked(&device);
    let taped = device.autodiff();
    let outputs = groups.iter().flat_map(|group| {
        let scores = Batch::new(group, true, &model, &taped).scores(&model);
        [Batch::new(group, false, &model, &taped).token_log_probs(&model), scores.clone() * scores]
    });
    let outputs: Vec<Tensor<1>> = outputs.collect();
    // Every log-prob and score weighs the same, in whatever order they come.
    let mut tape =
        outputs.iter().cloned().map(|output| (output.clone() * output).sum()).reduce(|a, b| a + b).expect("outputs").backward();
    let gradients =
        model.parameters.0.iter().map(|p| crate::models::values(&p.value.grad_remove(&mut tape).expect("a gradient")));
    let gradients = gradients.collect();
    let of =
        |which: usize| outputs.iter().skip(which).step_by(2).flat_map(|output| crate::models::values(&output.clone().inner()));
    (of(0).chain(of(1)).collect(), gradients)
}

#[test]
fn a_shared_prompt_changes_nothing() {
    let texts = texts();
    let (prompt, other) = (&texts[0][..6], &texts[1][..3]);
    let cut = [
        (prompt, &texts[2][..5]),
        (prompt, &texts[3][..1]),
        (prompt, &texts[4][..8]),
        (other, &texts[5][..1]),
        (other, &texts[6][..4]),
    ];
    let sequences = cut.map(|(prompt, completion)| Sequence { prompt, completion });
    let alone: Vec<&[Sequence<'_>]> = sequences.chunks(1).collect();
    let ((shared, shared_gradients), (alone, alone_gradients)) =
        (numbers_and_gradients(&[&sequences]), numbers_and_gradients(&alone));
    assert_eq!(shared.len(), 5 + 1 + 8 + 1 + 4 + 5);
    let close = |got: &[f32], wanted: &[f32], what: &str| {
        for (index, (got, wanted)) in got.iter().zip(wanted).enumerate() {
            assert!((got - wanted).abs() < 1e-4 * wanted.abs().max(1.0), "{what}, {index}: {got} is not {wanted}");
        }
    };
    close(&shared, &alone, "numbers");
    for (index, (shared, alone)) in shared_gradients.iter().zip(&alone_gradients).enumerate() {
        close(shared, alone, &format!("gradient {index}"));
    }
}

/// Gradient-descent steps of a method on this data: the losses.
fn losses(method: &dyn Objective, data: &PreferenceData<'_>, model: &Decoder, parts: usize) -> Vec<f64> {
    let optimisation = Optimisation { gradient_accumulation_steps: parts, ..Optimisation::constant(Optimizer::Sgd, 1e-3) };
    let run = PreferenceRun {
        objective: method,
        optimisation: &optimisation,
        size: &TrainingSize { steps: 4, batch_pairs: 12, shuffle: Shuffle::Pairs, checkpoint_every: 4, evaluate_every: 0 },
        first: 0,
        last: 4,
        seeds: (0, 0),
        tokens: 0,
    };
    let (_, _, rows) =
        train_preference(model.clone(), None, data, &run, &Device::flex(), &mut Checkpoints::none(), |_| ()).expect("trained");
    rows.into_iter().map(|row| row.loss).collect()
}

/// A method as an experiment file names it.
fn method(name: &str) -> Method {
    Method::read(name, crate::spec::Table::new(), 0..0).expect("defaults")
}

#[test]
fn every_kind_of_example_is_learnt_from_in_parts_as_in_one() {
    let (texts, device) = (texts(), Device::flex());
    let model = Decoder::new(DecoderConfig::gpt2(50, 40, 24, 2, 3), &mut Stream::new(0, 0, "parts test", 0), &device);
    // The reference is another model, so that no estimate is 0 by itself.
    let other = Decoder::new(DecoderConfig::gpt2(50, 40, 24, 2, 3), &mut Stream::new(0, 0, "parts test", 1), &device);
    let sequences: Vec<Sequence<'_>> = texts.iter().map(|text| Sequence { prompt: &text[..4], completion: &text[4..] }).collect();
    let reference = completion_log_probs(&other, &sequences, &device, |_| ());
    let prompts = sequences.len() / 4;
    let pairs: Vec<(usize, usize)> = (0..sequences.len()).step_by(2).map(|chosen| (chosen, chosen + 1)).collect();
    let shifted: Vec<Sequence<'_>> = (0..prompts)
        .map(|prompt| Sequence {
            prompt: sequences[4 * prompt].prompt,
            completion: sequences[(4 * prompt + 4) % texts.len()].completion,
        })
        .collect();
    let shifted_reference = completion_log_probs(&other, &shifted, &device, |_| ());
    for (name, examples) in [
        ("kto", Example::of_pairs(&pairs, Examples::Judgements)),
        ("kto", Example::of_pairs(&pairs, Examples::OneOfPair)),
        (
            "plackett_luce",
            (0..prompts).map(|prompt| Example::Ranking((4 * prompt..4 * prompt + 2 + prompt % 3).collect())).collect(),
        ),
        ("ipo", Example::of_pairs(&pairs, Examples::Pairs)),
        ("orpo", Example::of_pairs(&pairs, Examples::Pairs)),
    ] {
        let data = PreferenceData {
            sequences: sequences.clone(),
            prompt_of: (0..sequences.len()).map(|index| index / 4).collect(),
            examples,
            weights: None,
            reference: Some(reference.clone()),
            mismatched: Some(shifted.iter().copied().zip(shifted_reference.iter().copied()).collect()),
        };
        let method = method(name);
        let objective = method.objective().expect("a loss");
        let (whole, parts) = (losses(objective, &data, &model, 1), losses(objective, &data, &model, 3));
        for (whole, parts) in whole.iter().zip(parts) {
            assert!((parts - whole).abs() < 2e-4 * whole.abs().max(1.0), "{name}: {parts} is not {whole}");
        }
    }
}

#[test]
fn a_weighted_population_is_learnt_from_as_a_whole() {
    let (texts, device) = (texts(), Device::flex());
    let model = Decoder::new(DecoderConfig::gpt2(50, 40, 24, 2, 3), &mut Stream::new(0, 0, "parts test", 0), &device);
    let sequences: Vec<Sequence<'_>> = texts.iter().map(|text| Sequence { prompt: &text[..4], completion: &text[4..] }).collect();
    let pairs = [(0, 1), (1, 0), (2, 3)];
    let data = |weights: Option<Vec<f64>>, pairs: &[(usize, usize)]| PreferenceData {
        prompt_of: (0..sequences.len()).map(|index| index / 4).collect(),
        sequences: sequences.clone(),
        examples: Example::of_pairs(pairs, Examples::Pairs),
        weights,
        ..PreferenceData::default()
    };
    let simpo = method("simpo");
    let first = |data: PreferenceData<'_>| losses(simpo.objective().expect("a loss"), &data, &model, 1)[0];
    let alone: Vec<f64> = pairs.iter().map(|pair| first(data(None, &[*pair]))).collect();
    let whole = first(data(Some(vec![0.2, 0.5, 0.3]), &pairs));
    assert!((whole - (0.2 * alone[0] + 0.5 * alone[1] + 0.3 * alone[2])).abs() < 1e-5, "{whole}, {alone:?}");
}

#[test]
fn a_batch_of_texts_in_parts_is_the_same_step() {
    let (texts, device) = (texts(), Device::flex());
    let sequences: Vec<Sequence<'_>> = texts.iter().map(|text| Sequence::whole(text)).collect();
    let model = Decoder::new(DecoderConfig::gpt2(50, 40, 24, 2, 3), &mut Stream::new(0, 0, "text test", 0), &device);
    let losses = |parts: usize| -> Vec<f64> {
        let optimisation = Optimisation { gradient_accumulation_steps: parts, ..Optimisation::constant(Optimizer::Sgd, 0.01) };
        let size = LanguageModelSize { steps: 6, batch_sequences: 12, max_tokens: 40 };
        let training = LanguageModelTraining { optimisation, size };
        let shuffle = Stream::new(0, 0, "text batches", 0);
        let (_, rows) =
            train_language_model(model.clone(), &sequences, &training, shuffle, &device, &mut Checkpoints::none(), |_| ())
                .expect("trained");
        rows.into_iter().map(|row| row.loss).collect()
    };
    for (step, (parts, whole)) in losses(4).iter().zip(losses(1)).enumerate() {
        assert!((parts - whole).abs() < 1e-4 * whole, "step {step}: {parts} is not {whole}");
    }
}
