//! Losses of one pair, worked out by hand from their formulas.

use super::*;
use crate::methods::reward_model::bradley_terry_loss;

/// log pi_w = -12 (5 tokens), log pi_l = -15 (8 tokens), log ref_w = -13, log ref_l = -14, equal token probabilities.
fn golden() -> Example {
    Example::pair(&[-12.0 / 5.0; 5], &[-15.0 / 8.0; 8], [-13.0, -14.0])
}

#[track_caller]
fn expect(name: &str, settings: Value, example: &Example, wanted: f64) {
    let method = method(name, settings);
    close(example.loss(objective(&method)), wanted, 5.000_001e-7 / wanted.abs().max(1.0));
}

#[test]
fn losses_of_a_pair_have_their_golden_values() {
    let pair = golden();
    expect("dpo", json!({"beta": 0.1}), &pair, 0.598139);
    expect("cdpo", json!({"beta": 0.1, "label_smoothing": 0.1}), &pair, 0.618139);
    expect("robust_dpo", json!({"beta": 0.1, "label_smoothing": 0.1}), &pair, 0.573139);
    expect("hinge", json!({"beta": 0.1}), &pair, 0.8);
    expect("ipo", json!({"beta": 0.1}), &pair, 9.0);
    expect("ipo", json!({"beta": 0.1, "form": "mean"}), &pair, 21.855625);
    expect("orpo", json!({"beta": 0.1}), &pair, 2.503515);
    expect("simpo", json!({"beta": 2.0, "gamma": 1.0}), &pair, 2.171097);
    expect("unlikelihood", json!({"alpha": 0.5, "form": "log-likelihood"}), &pair, 4.5);
    expect("unlikelihood", json!({"alpha": 0.5, "form": "token"}), &pair, 12.665895);
    expect("preferred_ft", json!({}), &pair, 12.0);
}

#[test]
fn variants_of_dpo_have_their_golden_values() {
    let pair = golden();
    expect("dpo", json!({"divergence": "reverse-kl"}), &pair, 0.598139);
    expect("dpo", json!({"divergence": "forward-kl"}), &pair, 0.582517);
    expect("dpo", json!({"divergence": "jensen-shannon"}), &pair, 0.644397);
    expect("dpo", json!({"divergence": "alpha"}), &pair, 0.594349);
    expect("dpo", json!({"reference_free": true}), &pair.clone().without_reference(), 0.554355);
    expect("dpo", json!({"average_log_prob": true}), &pair, 0.677029);
    expect("dpo", json!({"sft_weight": 0.5}), &pair, 0.598139 + 0.5 * 12.0 / 5.0);
}

#[test]
fn kto_has_its_golden_values_the_desirable_completion_first() {
    let losses = Example { mismatched: 0.5, ..golden() }.losses(objective(&method("kto", json!({}))));
    close(losses[0], 0.487503, 5e-7);
    close(losses[1], 0.462570, 5e-7);
    assert_eq!(losses.len(), 2);
}

#[test]
fn a_ranking_of_three_has_its_golden_value() {
    expect("plackett_luce", json!({"beta": 0.1}), &Example::ranking(&[-1.0, -3.0, -1.5], &[-2.0, -2.0, -2.0]), 1.789790);
}

#[test]
fn the_odds_ratios_share_of_orpo_is_its_golden_value() {
    let beta_0_2 = golden().loss(objective(&method("orpo", json!({"beta": 0.2}))));
    let beta_0_1 = golden().loss(objective(&method("orpo", json!({"beta": 0.1}))));
    close(beta_0_2 - beta_0_1, 0.103515, 5e-7);
}

#[test]
fn the_reward_models_loss_has_its_golden_values() {
    let score = |value: f32| Tensor::<1>::from_floats([value], &Device::flex());
    close(host(bradley_terry_loss(score(1.2), score(0.4), 0.3))[0], 0.474077, 2e-6);
    close(host(bradley_terry_loss(score(1.2), score(0.4), 0.0))[0], 0.371101, 2e-6);
}

#[test]
fn golden_values_hold_in_f32() {
    for (name, wanted) in [("dpo", 0.598139), ("hinge", 0.8), ("ipo", 9.0), ("orpo", 2.503515), ("simpo", 2.171097)] {
        let batch = golden().batch(8, &Device::flex(), DType::F32);
        close(host(objective(&method(name, json!({}))).loss(&batch))[0], wanted, 2e-6);
    }
}

#[test]
fn a_batch_from_sums_is_the_batch_of_their_completions() {
    let sums = PreferenceBatch::from_sums(&[-12.0], &[-15.0], Some((&[-13.0], &[-14.0])), &Device::flex());
    close(host(objective(&method("dpo", json!({}))).loss(&sums))[0], 0.598139, 2e-6);
    let free = PreferenceBatch::from_sums(&[-12.0], &[-15.0], None, &Device::flex());
    close(host(objective(&method("dpo", json!({"reference_free": true}))).loss(&free))[0], 0.554355, 2e-6);
}

#[test]
fn token_log_probs_have_sums_counts_and_means_without_their_padding() {
    let policy = golden().batch(11, &Device::flex(), DType::F64).policy;
    assert_eq!(host(policy.counts()), [5.0, 8.0]);
    for (got, wanted) in [(policy.sums(), [-12.0, -15.0]), (policy.means(), [-2.4, -1.875])] {
        for (got, wanted) in host(got).into_iter().zip(wanted) {
            close(got, wanted, 1e-12);
        }
    }
}
