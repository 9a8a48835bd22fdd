//! What training adapters promises.

use super::tests::texts;
use super::{
    Checkpoints, Example, OptimizerState, PreferenceData, PreferenceRun, Sequence, completion_log_probs, train_preference,
};
use crate::methods::Dpo;
use crate::models::{Decoder, DecoderConfig, Lora, values};
use crate::random::Stream;
use crate::report::rows::TrainRow;
use crate::spec::{Optimisation, Optimizer, Shuffle, TrainingSize};
use burn::tensor::Device;
use std::ops::Range;

fn reference() -> Decoder {
    let config = DecoderConfig::gpt2(50, 40, 24, 2, 3);
    Decoder::new(config, &mut Stream::new(0, 0, "adapter training test", 0), &Device::flex())
}

fn adapted(reference: &Decoder) -> Decoder {
    let settings = Lora { rank: 4, alpha: 8.0, targets: vec!["c_attn".into(), "mlp.c_proj".into()] };
    reference.with_adapters(&settings, &mut Stream::new(0, 0, "lora", 0), &Device::flex()).expect("adapters")
}

fn optimisation() -> Optimisation {
    Optimisation { max_grad_norm: 1.0, weight_decay: 0.01, ..Optimisation::constant(Optimizer::Adamw, 5e-3) }
}

/// DPO from a model and optimiser through some steps of 12.
fn train(
    model: &Decoder,
    optimizer: Option<OptimizerState>,
    steps: Range<u64>,
    reference: &Decoder,
) -> (Decoder, OptimizerState, Vec<TrainRow>) {
    let (texts, device) = (texts(), Device::flex());
    let sequences: Vec<Sequence<'_>> = texts.iter().map(|text| Sequence { prompt: &text[..4], completion: &text[4..] }).collect();
    let log_probs = completion_log_probs(reference, &sequences, &device, |_| ());
    let examples = (0..sequences.len()).step_by(2).map(|first| Example::Pair(first, first + 1)).collect();
    let prompt_of = (0..sequences.len()).collect();
    let reference = Some(log_probs);
    let data = PreferenceData { sequences, prompt_of, examples, reference, ..PreferenceData::default() };
    let run = PreferenceRun {
        objective: &Dpo { beta: 0.5, ..Dpo::default() },
        optimisation: &optimisation(),
        size: &TrainingSize { steps: 12, batch_pairs: 24, shuffle: Shuffle::Pairs, checkpoint_every: 12, evaluate_every: 0 },
        first: steps.start,
        last: steps.end,
        seeds: (0, 0),
        tokens: 0,
    };
    train_preference(model.clone(), optimizer, &data, &run, &device, &mut Checkpoints::none(), |_| ()).expect("trained")
}

fn bits(model: &Decoder) -> Vec<Vec<f32>> {
    model.parameters.0.iter().map(|parameter| values(&parameter.value)).collect()
}

#[test]
fn adapters_alone_are_trained_from_the_reference_on() {
    let reference = reference();
    let start = adapted(&reference);
    let (model, optimizer, rows) = train(&start, None, 0..12, &reference);
    assert!((rows[0].loss - std::f64::consts::LN_2).abs() < 1e-6, "{} is not ln 2", rows[0].loss);
    assert!(rows[11].loss < 0.95 * rows[0].loss, "it learns: {rows:?}");
    for ((before, after), parameter) in bits(&start).iter().zip(bits(&model)).zip(&model.parameters.0) {
        assert_eq!(*before != after, parameter.trainable, "{}", parameter.name);
    }
    assert_eq!(bits(&model.without_adapters()), bits(&reference), "the reference is still there");

    // Two states of AdamW for A and B of two modules of two blocks, and the number of the step.
    let file = tempfile::NamedTempFile::new().expect("a file");
    optimizer.save(file.path()).expect("saved");
    let bytes = std::fs::read(file.path()).expect("read");
    assert_eq!(safetensors::SafeTensors::deserialize(&bytes).expect("a file").len(), 2 * 8 + 1);
}

#[test]
fn training_goes_on_from_saved_adapters_as_if_nothing_happened() {
    let (reference, device) = (reference(), Device::flex());
    let (whole, ..) = train(&adapted(&reference), None, 0..12, &reference);
    let (half, optimizer, _) = train(&adapted(&reference), None, 0..6, &reference);
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("optimizer.safetensors");
    half.save_adapters(folder.path(), "reference").expect("saved");
    optimizer.save(&state).expect("saved");
    let half = reference.load_adapters(folder.path(), &device).expect("read");
    let optimizer = OptimizerState::load(&optimisation(), &half.parameters, &state, &device).expect("read");
    let (again, ..) = train(&half, Some(optimizer), 6..12, &reference);
    assert_eq!(bits(&again), bits(&whole));
}
