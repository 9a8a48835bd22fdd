//! Values and gradients against PyTorch's autograd in float64 (tests/parity/make_fixtures.py), and finite differences.

use super::*;
use crate::methods::reward_model::bradley_terry_loss;

/// What f64 may lose where PyTorch orders operations otherwise, and what f32 may lose beside it.
const PRECISIONS: [(DType, f64); 2] = [(DType::F64, 1e-9), (DType::F32, 2e-4)];

fn fixture() -> Value {
    serde_json::from_str(include_str!("../../../tests/parity/losses.json")).expect("JSON")
}

fn list<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    of[key].as_array().expect("a list")
}

fn number(of: &Value, key: &str) -> f64 {
    of[key].as_f64().expect("a number")
}

/// One number or a list of them.
fn numbers(of: &Value, key: &str) -> Vec<f64> {
    match &of[key] {
        Value::Array(items) => items.iter().map(|item| item.as_f64().expect("a number")).collect(),
        one => vec![one.as_f64().expect("a number")],
    }
}

/// The method of a case: what is no result is a key of its table.
fn method_of(case: &Value) -> Method {
    let result = |key: &str| key.starts_with("grad_") || ["loss", "value", "mismatched"].contains(&key);
    let settings = case.as_object().expect("a case").iter().filter(|(key, _)| !result(key));
    method(case["loss"].as_str().expect("a name"), settings.map(|(key, value)| (key.clone(), value.clone())).collect())
}

#[track_caller]
fn agrees(example: &Example, case: &Value, gradients: &[Vec<f64>]) {
    let method = method_of(case);
    let objective = objective(&method);
    let reference = example.reference.clone().filter(|_| objective.needs_reference());
    let mismatched = case["mismatched"].as_f64().unwrap_or_default();
    let example = Example { reference, mismatched, ..example.clone() };
    for (precision, tolerance) in PRECISIONS {
        let (value, got) = example.gradient(objective, precision);
        close(value, number(case, "value"), tolerance);
        for (got, wanted) in got.iter().flatten().zip(gradients.iter().flatten()) {
            assert!((got - wanted).abs() <= tolerance * wanted.abs().max(1.0), "{case}, {precision:?}: {got} is not {wanted}");
        }
        assert_eq!(got.iter().flatten().count(), gradients.iter().flatten().count(), "{case}");
    }
}

#[test]
fn losses_of_sums_are_pytorchs() {
    for example in list(&fixture(), "examples") {
        let input = |key: &str| number(&example["inputs"], key);
        let pair = Example::pair(&[input("logp_w")], &[input("logp_l")], [input("ref_w"), input("ref_l")]);
        for case in list(example, "losses").iter().filter(|case| case["loss"] != "bradley_terry") {
            agrees(&pair, case, &[numbers(case, "grad_w"), numbers(case, "grad_l")]);
        }
    }
}

#[test]
fn losses_that_depend_on_length_are_pytorchs_token_by_token() {
    for example in list(&fixture(), "token_examples") {
        let inputs = &example["inputs"];
        let reference = [number(inputs, "ref_w"), number(inputs, "ref_l")];
        let pair = Example::pair(&numbers(inputs, "tokens_w"), &numbers(inputs, "tokens_l"), reference);
        for case in list(example, "losses") {
            agrees(&pair, case, &[numbers(case, "grad_w"), numbers(case, "grad_l")]);
        }
    }
}

#[test]
fn the_loss_of_rankings_is_pytorchs() {
    for example in list(&fixture(), "ranking_examples") {
        let ranking = Example::ranking(&numbers(&example["inputs"], "logp"), &numbers(&example["inputs"], "ref"));
        for case in list(example, "losses") {
            agrees(&ranking, case, &[numbers(case, "grad_logp")]);
        }
    }
}

#[test]
fn the_reward_models_loss_is_pytorchs() {
    for example in list(&fixture(), "examples") {
        for case in list(example, "losses").iter().filter(|case| case["loss"] == "bradley_terry") {
            let device = Device::flex().autodiff();
            let score = |key: &str| Tensor::<1>::from_floats([number(&example["inputs"], key) as f32], &device).require_grad();
            let (chosen, rejected) = (score("reward_w"), score("reward_l"));
            let loss = bradley_terry_loss(chosen.clone(), rejected.clone(), 0.0);
            let mut tape = loss.backward();
            let mut gradient = |score: Tensor<1>| host(score.grad_remove(&mut tape).expect("a gradient"))[0];
            close(gradient(chosen), number(case, "grad_w"), 1e-5);
            close(gradient(rejected), number(case, "grad_l"), 1e-5);
            close(host(loss.inner())[0], number(case, "value"), 2e-6);
        }
    }
}

/// Every loss in every form, each with its settings.
fn every_loss() -> Vec<Method> {
    let dpo = [
        json!({"beta": 0.5}),
        json!({"beta": 0.5, "average_log_prob": true}),
        json!({"beta": 0.5, "reference_free": true}),
        json!({"beta": 0.5, "divergence": "forward-kl"}),
        json!({"beta": 0.5, "divergence": "jensen-shannon"}),
        json!({"beta": 0.5, "divergence": "alpha", "divergence_alpha": 0.3}),
        json!({"beta": 0.5, "sft_weight": 0.7}),
    ];
    let others = [
        ("cdpo", json!({"beta": 0.5, "label_smoothing": 0.2})),
        ("robust_dpo", json!({"beta": 0.5, "label_smoothing": 0.2})),
        ("ipo", json!({"beta": 0.5})),
        ("ipo", json!({"beta": 0.5, "form": "mean"})),
        ("hinge", json!({"beta": 0.5})),
        ("kto", json!({"beta": 0.5, "desirable_weight": 1.3, "undesirable_weight": 0.8})),
        ("orpo", json!({"beta": 0.5})),
        ("simpo", json!({"beta": 2.0, "gamma": 0.5})),
        ("plackett_luce", json!({"beta": 0.5})),
        ("preferred_ft", json!({})),
        ("unlikelihood", json!({"alpha": 0.3})),
        ("unlikelihood", json!({"alpha": 0.3, "form": "token"})),
    ];
    let dpo = dpo.into_iter().map(|settings| ("dpo", settings));
    dpo.chain(others).map(|(name, settings)| method(name, settings)).collect()
}

#[test]
fn gradients_are_finite_differences() {
    let example = Example {
        tokens: vec![vec![-0.7, -1.3], vec![-0.4, -2.0, -0.6], vec![-1.9]],
        reference: Some(vec![-2.5, -2.2, -1.6]),
        chosen: vec![0, 1],
        rejected: vec![2, 0],
        rankings: vec![vec![1, 0, 2], vec![0, 2]],
        mismatched: 0.2,
    };
    let step = 1e-5;
    for method in every_loss() {
        let objective = objective(&method);
        let example = Example { reference: example.reference.clone().filter(|_| objective.needs_reference()), ..example.clone() };
        let (_, gradient) = example.gradient(objective, DType::F64);
        for (row, token) in [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 0)] {
            let at = |offset: f64| {
                let mut moved = example.clone();
                moved.tokens[row][token] += offset;
                moved.loss(objective)
            };
            let slope = (at(step) - at(-step)) / (2.0 * step);
            assert!((gradient[row][token] - slope).abs() < 1e-8, "{method:?}: {gradient:?}, {slope} at {row}, {token}");
        }
    }
}

#[test]
fn every_loss_and_gradient_is_finite_at_extreme_log_probs() {
    let ratios = [-100.0, -1e-9, 0.0, 1e-9, 100.0];
    let cases = [-1e4, -300.0, -1e-9, 0.0].into_iter().flat_map(|policy| ratios.map(|ratio| (policy, ratio)));
    for (policy, ratio) in cases {
        let example = Example {
            tokens: vec![vec![policy], vec![-1.0, -1.0], vec![policy, 0.0]],
            reference: Some(vec![policy - ratio, -2.0, policy + ratio]),
            chosen: vec![0, 1, 0],
            rejected: vec![1, 2, 2],
            rankings: vec![vec![0, 1, 2], vec![2, 1]],
            mismatched: ratio,
        };
        for method in every_loss() {
            let objective = objective(&method);
            let reference = example.reference.clone().filter(|_| objective.needs_reference());
            for (precision, _) in PRECISIONS {
                let (loss, gradient) = Example { reference: reference.clone(), ..example.clone() }.gradient(objective, precision);
                let all = gradient.iter().flatten().all(|slope| slope.is_finite());
                assert!(loss.is_finite() && all, "{method:?} at {policy}, {ratio}: {loss}, {gradient:?}");
            }
        }
    }
}

#[test]
fn no_loss_reads_what_stands_behind_a_completions_end() {
    let example = Example { rankings: vec![vec![0, 1]], ..Example::pair(&[-0.7, -1.3], &[-2.0, -0.3, -0.9], [-1.5, -3.0]) };
    for method in every_loss() {
        let losses = |width: usize, behind: f64| {
            let mut batch = example.batch(width, &Device::flex(), DType::F64);
            let outside = batch.policy.mask.clone().equal_elem(0.0);
            batch.policy.values = batch.policy.values.clone().mask_fill(outside, behind);
            host(objective(&method).loss(&batch))
        };
        for (got, wanted) in losses(7, -5.0).into_iter().zip(losses(3, 0.0)) {
            close(got, wanted, 1e-14);
        }
    }
}
