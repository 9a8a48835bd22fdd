//! Every loss against golden values, PyTorch's gradients, and finite differences.

use super::batch::PairLogProbs;
use super::unlikelihood::{Form, Unlikelihood};
use super::{
    Objective, PreferenceBatch, TokenLogProbs, cdpo::Cdpo, dpo::Dpo, preferred_ft::PreferredFt, reward_model::bradley_terry_loss,
};
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde_json::Value;

/// One pair: log pi_w = -12 (5 tokens), log pi_l = -15 (8 tokens), log ref_w = -13, log ref_l = -14, equal token probabilities.
fn golden_batch() -> PreferenceBatch {
    let device = Device::flex();
    let row = |sum: f32, tokens: usize| (0..8).map(move |t| if t < tokens { sum / tokens as f32 } else { 0.0 });
    let mask = |tokens: usize| (0..8).map(move |t| if t < tokens { 1.0f32 } else { 0.0 });
    let matrix = |values: Vec<f32>| -> Tensor<2> { Tensor::from_data(TensorData::new(values, [2, 8]), &device) };
    let index = |row: i32| -> Tensor<1, Int> { Tensor::from_data(TensorData::new(vec![row], [1]), &device) };
    PreferenceBatch {
        policy: TokenLogProbs {
            values: matrix(row(-12.0, 5).chain(row(-15.0, 8)).collect()),
            mask: matrix(mask(5).chain(mask(8)).collect()),
        },
        reference: Some(Tensor::from_floats([-13.0, -14.0], &device)),
        chosen: index(0),
        rejected: Some(index(1)),
    }
}

fn value(loss: Tensor<1>) -> f64 {
    f64::from(loss.into_scalar::<f32>())
}

#[track_caller]
fn close(got: f64, wanted: f64) {
    assert!((got - wanted).abs() < 2e-6 * wanted.abs().max(1.0), "{got} is not {wanted}");
}

#[test]
fn golden_values() {
    let batch = golden_batch();
    close(value(Dpo { beta: 0.1 }.loss(&batch)), 0.598139);
    close(value(Cdpo { beta: 0.1, label_smoothing: 0.1 }.loss(&batch)), 0.618139);
    close(value(Unlikelihood { alpha: 0.5, form: Form::LogLikelihood }.loss(&batch)), 4.5);
    close(value(Unlikelihood { alpha: 0.5, form: Form::Token }.loss(&batch)), 12.665895);
    close(value(PreferredFt {}.loss(&batch)), 12.0);
    let device = Device::flex();
    let score = |value: f32| Tensor::<1>::from_floats([value], &device);
    close(value(bradley_terry_loss(score(1.2), score(0.4), 0.3)), 0.474077);
    close(value(bradley_terry_loss(score(1.2), score(0.4), 0.0)), 0.371101);
}

#[test]
fn dpo_of_the_reference_itself_is_ln_2() {
    let device = Device::flex();
    let sums = (&[-3.0, -40.0][..], &[-7.0, -2.0][..]);
    let batch = PreferenceBatch::from_sums(sums.0, sums.1, Some(sums), &device);
    for objective in [&Dpo { beta: 5.0 } as &dyn Objective, &Cdpo { beta: 0.1, label_smoothing: 0.3 }] {
        close(value(objective.loss(&batch).mean()), std::f64::consts::LN_2);
    }
}

#[test]
fn without_a_reference_its_log_probs_count_as_zero() {
    let mut batch = golden_batch();
    batch.reference = None;
    close(value(Dpo { beta: 0.1 }.loss(&batch)), 0.554355);
}

/// Value and gradient with respect to (chosen, rejected), from leaves that hold the two sums.
fn with_gradient(objective: &dyn Objective, chosen: f64, rejected: f64, reference: (f64, f64)) -> (f64, [f64; 2]) {
    let device = Device::flex().autodiff();
    let mut batch = PreferenceBatch::from_sums(&[chosen], &[rejected], Some((&[reference.0], &[reference.1])), &device);
    let leaf = batch.policy.values.clone().require_grad();
    batch.policy.values = leaf.clone();
    let loss = objective.loss(&batch).mean();
    let mut tape = loss.backward();
    let gradient: Vec<f64> = leaf.grad_remove(&mut tape).expect("a gradient").to_data().iter::<f32>().map(f64::from).collect();
    (value(loss.inner()), [gradient[0], gradient[1]])
}

#[test]
fn values_and_gradients_are_pytorchs() {
    let fixture: Value = serde_json::from_str(include_str!("../../tests/parity/losses.json")).expect("JSON");
    for example in fixture["examples"].as_array().expect("examples") {
        let input = |key: &str| example["inputs"][key].as_f64().expect("a number");
        for case in example["losses"].as_array().expect("losses") {
            let number = |key: &str| case[key].as_f64().unwrap_or_default();
            let objective: Box<dyn Objective> = match case["loss"].as_str().expect("a name") {
                "dpo" => Box::new(Dpo { beta: number("beta") }),
                "cdpo" => Box::new(Cdpo { beta: number("beta"), label_smoothing: number("label_smoothing") }),
                "unlikelihood" => Box::new(Unlikelihood { alpha: number("alpha"), form: Form::LogLikelihood }),
                _ => {
                    let device = Device::flex().autodiff();
                    let leaf = |key: &str| Tensor::<1>::from_floats([input(key) as f32], &device).require_grad();
                    let (chosen, rejected) = (leaf("reward_w"), leaf("reward_l"));
                    let loss = bradley_terry_loss(chosen.clone(), rejected.clone(), 0.0);
                    let mut tape = loss.backward();
                    let mut of = |leaf: Tensor<1>| value(leaf.grad_remove(&mut tape).expect("a gradient"));
                    assert!((of(chosen) - number("grad_w")).abs() < 1e-5);
                    assert!((of(rejected) - number("grad_l")).abs() < 1e-5);
                    close(value(loss.inner()), number("value"));
                    continue;
                }
            };
            let (got, gradient) = with_gradient(&*objective, input("logp_w"), input("logp_l"), (input("ref_w"), input("ref_l")));
            assert!((got - number("value")).abs() < 1e-4 * number("value").abs().max(1.0), "{case}: {got}");
            for (got, key) in gradient.into_iter().zip(["grad_w", "grad_l"]) {
                assert!((got - number(key)).abs() < 1e-4, "{case}: {key} is {got}");
            }
        }
    }
}

#[test]
fn gradients_are_finite_differences() {
    let objectives: [&dyn Objective; 4] = [
        &Dpo { beta: 0.5 },
        &Cdpo { beta: 0.5, label_smoothing: 0.2 },
        &Unlikelihood { alpha: 0.3, form: Form::LogLikelihood },
        &Unlikelihood { alpha: 0.3, form: Form::Token },
    ];
    for objective in objectives {
        let at = |chosen: f64, rejected: f64| with_gradient(objective, chosen, rejected, (-2.5, -1.0));
        let (chosen, rejected, step) = (-2.0, -1.5, 1e-2);
        let (_, gradient) = at(chosen, rejected);
        let slope_chosen = (at(chosen + step, rejected).0 - at(chosen - step, rejected).0) / (2.0 * step);
        let slope_rejected = (at(chosen, rejected + step).0 - at(chosen, rejected - step).0) / (2.0 * step);
        assert!((gradient[0] - slope_chosen).abs() < 1e-3, "{gradient:?}, {slope_chosen}");
        assert!((gradient[1] - slope_rejected).abs() < 1e-3, "{gradient:?}, {slope_rejected}");
    }
}

#[test]
fn the_token_form_stays_finite_at_probability_one() {
    let (loss, gradient) = with_gradient(&Unlikelihood { alpha: 1.0, form: Form::Token }, -1.0, 0.0, (0.0, 0.0));
    assert!(loss.is_finite() && gradient.iter().all(|g| g.is_finite()), "{loss}, {gradient:?}");
}

#[test]
fn pairs_of_a_batch_without_rejected_rows_count_them_as_zero() {
    let mut batch = golden_batch();
    batch.rejected = None;
    let PairLogProbs { rejected, reference_rejected, .. } = batch.pairs();
    close(value(rejected), 0.0);
    close(value(reference_rejected), 0.0);
}

#[test]
fn the_untrained_methods_are_those_without_an_objective() {
    let read = |name: &str| {
        let mut table = crate::spec::Table::new();
        if name == "best_of_n" {
            let four = toml::de::DeValue::parse("4").expect("a value");
            table.insert(crate::spec::tree::key("n", 0..0), four);
        }
        super::Method::read(name, table, 0..0).expect("defaults")
    };
    for name in super::Method::NAMES {
        assert_eq!(read(name).objective().is_none(), super::Method::UNTRAINED.contains(name), "{name}");
    }
}
