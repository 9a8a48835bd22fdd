//! A rollout and its minibatches as PyTorch computed them (tests/parity/make_ppo.py), token by token.

use super::advantages::{Advantages, generalised_advantages, token_rewards, whiten};
use super::losses::{policy_loss, value_loss};
use super::statistics::{Statistics, Token, explained_variance};
use burn::tensor::{Device, Tensor, TensorData};
use serde_json::Value;

fn fixture() -> Value {
    serde_json::from_str(include_str!("../../../tests/parity/ppo.json")).expect("JSON")
}

fn number(json: &Value) -> f64 {
    json.as_f64().expect("a number")
}

fn numbers(json: &Value) -> Vec<f64> {
    list(json).iter().map(number).collect()
}

fn list(json: &Value) -> &Vec<Value> {
    json.as_array().expect("a list")
}

#[track_caller]
fn close(what: &str, got: &[f64], wanted: &[f64], tolerance: f64) {
    assert_eq!(got.len(), wanted.len(), "{what}");
    for (got, wanted) in got.iter().zip(wanted) {
        assert!((got - wanted).abs() <= tolerance * wanted.abs().max(1.0), "{what}: {got} is not {wanted}");
    }
}

#[test]
fn rewards_advantages_and_returns_are_pytorchs() {
    let fixture = fixture();
    let setting = |key: &str| number(&fixture["settings"][key]);
    let (mut advantages, mut whitened, mut returns, mut values) = (vec![], vec![], vec![], vec![]);
    for completion in list(&fixture["rollout"]) {
        let column = |key: &str| numbers(&completion[key]);
        let (old, reference) = (column("old_log_probs"), column("reference_log_probs"));
        let rewards = token_rewards(&old, &reference, number(&completion["score"]), setting("kl_coefficient"));
        close("rewards", &rewards, &column("rewards"), 1e-12);
        let result = generalised_advantages(&rewards, &column("values"), setting("gamma"), setting("lambda"));
        let Advantages { advantages: of_completion, returns: returns_of_completion } = result;
        close("advantages", &of_completion, &column("advantages"), 1e-12);
        close("returns", &returns_of_completion, &column("returns"), 1e-12);
        advantages.extend(of_completion);
        returns.extend(returns_of_completion);
        whitened.extend(column("whitened"));
        values.extend(column("values"));
    }
    close("whitened", &whiten(&advantages), &whitened, 1e-12);
    let explained = explained_variance(&returns, &values).expect("returns that differ");
    close("explained variance", &[explained], &[number(&fixture["explained_variance"])], 1e-12);
}

/// What the rollout says of the tokens of a minibatch, one column a key.
fn column(fixture: &Value, minibatch: &Value, key: &str) -> Vec<f64> {
    let rows = list(&minibatch["completions"]).iter().map(|row| row.as_u64().expect("a row") as usize);
    rows.flat_map(|row| numbers(&fixture["rollout"][row][key])).collect()
}

#[test]
fn losses_and_their_gradients_are_pytorchs() {
    let fixture = fixture();
    let setting = |key: &str| number(&fixture["settings"][key]);
    let device = Device::flex().autodiff();
    let tensor = |values: &[f64]| -> Tensor<1> {
        let narrow: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        Tensor::from_data(TensorData::new(narrow, [values.len()]), &device)
    };
    let host = |tensor: Tensor<1>| -> Vec<f64> { tensor.to_data().iter::<f32>().map(f64::from).collect() };
    for minibatch in list(&fixture["updates"]).iter().flat_map(|update| list(&update["minibatches"])) {
        let rollout = |key: &str| tensor(&column(&fixture, minibatch, key));
        let log_probs = tensor(&numbers(&minibatch["log_probs"])).require_grad();
        let values = tensor(&numbers(&minibatch["values"])).require_grad();
        let policy = policy_loss(log_probs.clone(), rollout("old_log_probs"), rollout("whitened"), setting("clip")).mean();
        let value = value_loss(values.clone(), rollout("values"), rollout("returns"), setting("value_clip")).mean();
        close("policy loss", &host(policy.clone()), &[number(&minibatch["policy_loss"])], 2e-6);
        close("value loss", &host(value.clone()), &[number(&minibatch["value_loss"])], 2e-6);
        let mut tape = (policy + value.mul_scalar(setting("value_coefficient"))).backward();
        let mut gradient = |leaf: Tensor<1>| host(leaf.grad_remove(&mut tape).expect("a gradient"));
        close("gradient of log-probs", &gradient(log_probs), &numbers(&minibatch["grad_log_probs"]), 1e-6);
        close("gradient of values", &gradient(values), &numbers(&minibatch["grad_values"]), 1e-6);
    }
}

#[test]
fn statistics_are_pytorchs() {
    let fixture = fixture();
    let setting = |key: &str| number(&fixture["settings"][key]);
    for minibatch in list(&fixture["updates"]).iter().flat_map(|update| list(&update["minibatches"])) {
        let rollout = |key: &str| column(&fixture, minibatch, key);
        let (log_probs, values) = (numbers(&minibatch["log_probs"]), numbers(&minibatch["values"]));
        let (old_log_probs, advantages) = (rollout("old_log_probs"), rollout("whitened"));
        let (old_values, returns) = (rollout("values"), rollout("returns"));
        let tokens = (0..values.len()).map(|t| Token {
            log_prob: log_probs[t],
            old_log_prob: old_log_probs[t],
            advantage: advantages[t],
            value: values[t],
            old_value: old_values[t],
            returned: returns[t],
        });
        let got = Statistics::of(tokens, setting("clip"), setting("value_clip"));
        let wanted = ["approx_kl", "clip_fraction", "mean_ratio", "value_clip_fraction"].map(|key| number(&minibatch[key]));
        close("statistics", &[got.approx_kl, got.clip_fraction, got.ratio, got.value_clip_fraction], &wanted, 1e-12);
    }
}
