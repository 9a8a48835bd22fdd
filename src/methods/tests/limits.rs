//! Where one loss becomes another, symmetries, and batches of unusual shapes.

use super::*;
use proptest::prelude::*;

fn loss_of(name: &str, settings: Value, example: &Example) -> f64 {
    example.loss(objective(&method(name, settings)))
}

fn divergence(name: &str, alpha: Option<f64>, example: &Example) -> f64 {
    let mut settings = json!({"beta": 0.5, "divergence": name});
    if let Some(alpha) = alpha {
        settings["divergence_alpha"] = alpha.into();
    }
    loss_of("dpo", settings, example)
}

fn pair(chosen: f64, rejected: f64, reference: [f64; 2]) -> Example {
    Example { rankings: vec![vec![0, 1]], ..Example::pair(&[chosen], &[rejected], reference) }
}

#[test]
fn losses_of_the_reference_itself_are_ln_2_where_they_say_so() {
    let settings = [
        ("dpo", json!({"beta": 5.0})),
        ("dpo", json!({"average_log_prob": true})),
        ("dpo", json!({"divergence": "forward-kl"})),
        ("dpo", json!({"divergence": "jensen-shannon"})),
        ("dpo", json!({"divergence": "alpha", "divergence_alpha": 0.2})),
        ("cdpo", json!({"label_smoothing": 0.3})),
        ("robust_dpo", json!({"label_smoothing": 0.3})),
    ];
    let same = pair(-3.0, -7.0, [-3.0, -7.0]);
    for (name, settings) in settings {
        let method = method(name, settings);
        assert!(objective(&method).starts_at_ln2(), "{method:?}");
        close(same.loss(objective(&method)), std::f64::consts::LN_2, 1e-15);
    }
}

#[test]
fn losses_that_start_elsewhere_say_so() {
    let same = pair(-3.0, -7.0, [-3.0, -7.0]);
    for (name, settings) in [
        ("dpo", json!({"reference_free": true})),
        ("dpo", json!({"sft_weight": 0.1})),
        ("ipo", json!({})),
        ("hinge", json!({})),
        ("kto", json!({})),
        ("orpo", json!({})),
        ("simpo", json!({})),
    ] {
        let method = method(name, settings);
        assert!(!objective(&method).starts_at_ln2(), "{method:?}");
        let example = if objective(&method).needs_reference() { same.clone() } else { same.clone().without_reference() };
        assert!((example.loss(objective(&method)) - std::f64::consts::LN_2).abs() > 1e-3, "{method:?}");
    }
    // A ranking of two does start at ln 2, but no longer one does.
    assert!(!objective(&method("plackett_luce", json!({}))).starts_at_ln2());
}

#[test]
fn the_alpha_divergence_is_the_reverse_kl_at_0_and_the_forward_kl_at_1() {
    let example = pair(-12.0, -15.0, [-13.0, -14.0]);
    assert_eq!(divergence("alpha", Some(0.0), &example), divergence("reverse-kl", None, &example));
    assert_eq!(divergence("alpha", Some(1.0), &example), divergence("forward-kl", None, &example));
    assert_eq!(divergence("alpha", None, &example), divergence("alpha", Some(0.5), &example));
}

#[test]
fn the_alpha_divergence_nears_its_limits_smoothly() {
    let example = pair(-12.0, -16.0, [-13.5, -14.0]);
    let (reverse, forward) = (divergence("reverse-kl", None, &example), divergence("forward-kl", None, &example));
    for near in [1e-3, 1e-6, 1e-8, 2e-9, 1e-12, 1e-300] {
        let (below, above) = (divergence("alpha", Some(near), &example), divergence("alpha", Some(1.0 - near), &example));
        assert!((below - reverse).abs() < 3.0 * near + 1e-14, "{near}: {below}, {reverse}");
        assert!((above - forward).abs() < 3.0 * near + 1e-14, "{near}: {above}, {forward}");
    }
}

#[test]
fn a_tiny_alpha_loses_nothing_in_f32() {
    let near = method("dpo", json!({"divergence": "alpha", "divergence_alpha": 1e-8}));
    let (loss, gradient) = pair(-12.0, -15.0, [-13.0, -14.0]).gradient(objective(&near), DType::F32);
    let (wanted, slope) = pair(-12.0, -15.0, [-13.0, -14.0]).gradient(objective(&method("dpo", json!({}))), DType::F64);
    close(loss, wanted, 1e-6);
    close(gradient[0][0], slope[0][0], 1e-6);
}

#[test]
fn the_forward_kl_is_constant_beyond_its_bound() {
    let at = |ratio: f64| pair(ratio - 40.0, -40.0, [-40.0, -40.0]);
    assert_eq!(divergence("forward-kl", None, &at(-31.0)), divergence("forward-kl", None, &at(-39.0)));
    assert!(divergence("forward-kl", None, &at(-29.0)) < divergence("forward-kl", None, &at(-31.0)));
    let forward = method("dpo", json!({"divergence": "forward-kl"}));
    assert_eq!(at(-31.0).gradient(objective(&forward), DType::F32).1[0][0], 0.0);
}

#[test]
fn smoothed_losses_without_smoothing_are_dpo() {
    let example = pair(-12.0, -15.0, [-13.0, -14.0]);
    for name in ["cdpo", "robust_dpo"] {
        close(
            loss_of(name, json!({"beta": 0.7, "label_smoothing": 0.0}), &example),
            loss_of("dpo", json!({"beta": 0.7}), &example),
            1e-15,
        );
    }
}

#[test]
fn the_robust_loss_of_flipped_labels_is_dpos_of_true_ones_on_average() {
    let (example, flipped) = (pair(-12.0, -15.0, [-13.0, -14.0]), pair(-15.0, -12.0, [-14.0, -13.0]));
    let robust = |example: &Example| loss_of("robust_dpo", json!({"beta": 0.7, "label_smoothing": 0.2}), example);
    close(0.8 * robust(&example) + 0.2 * robust(&flipped), loss_of("dpo", json!({"beta": 0.7}), &example), 1e-14);
}

#[test]
fn kto_learns_from_completions_of_one_kind_alone() {
    let both = Example { mismatched: 0.5, ..pair(-12.0, -15.0, [-13.0, -14.0]) };
    let kto = method("kto", json!({"desirable_weight": 1.5}));
    let wanted = both.losses(objective(&kto));
    let desirable = Example { rejected: Vec::new(), ..both.clone() };
    let undesirable = Example { chosen: Vec::new(), ..both };
    for (example, wanted, untouched) in [(desirable, wanted[0], 1), (undesirable, wanted[1], 0)] {
        assert_eq!(example.losses(objective(&kto)), [wanted]);
        for precision in [DType::F32, DType::F64] {
            let (_, gradient) = example.gradient(objective(&kto), precision);
            assert_eq!(gradient[untouched], [0.0]);
            assert_ne!(gradient[1 - untouched], [0.0]);
        }
    }
}

#[test]
fn ktos_reference_point_is_never_below_zero() {
    let at = |mismatched: f64| Example { mismatched, ..pair(-12.0, -15.0, [-13.0, -14.0]) };
    assert_eq!(loss_of("kto", json!({}), &at(-3.0)), loss_of("kto", json!({}), &at(0.0)));
    assert_ne!(loss_of("kto", json!({}), &at(3.0)), loss_of("kto", json!({}), &at(0.0)));
}

#[test]
fn rows_of_an_absent_kind_are_none() {
    let batch = Example { rejected: Vec::new(), ..pair(-12.0, -15.0, [-13.0, -14.0]) }.batch(1, &Device::flex(), DType::F64);
    assert!(host(batch.of_rejected(batch.policy.sums())).is_empty());
    assert_eq!(host(batch.of_chosen(batch.policy.sums())), [-12.0]);
}

#[test]
fn rankings_of_different_lengths_keep_their_losses_and_gradients_in_one_batch() {
    let (policy, reference) = ([-3.0, -5.0, -4.0, -9.0, -2.0], [-4.0, -4.5, -4.5, -7.0, -3.0]);
    let rankings = vec![vec![4, 0], vec![2, 1, 0], vec![3, 1, 4, 2, 0], vec![1, 3]];
    let method = method("plackett_luce", json!({"beta": 0.8}));
    let with = |rankings: &[Vec<usize>]| Example { rankings: rankings.to_vec(), ..Example::ranking(&policy, &reference) };
    let together = with(&rankings).losses(objective(&method));
    let (_, gradient) = with(&rankings).gradient(objective(&method), DType::F64);
    let mut sum = vec![0.0; policy.len()];
    for (ranking, together) in rankings.iter().zip(together) {
        let (alone, gradient) = with(std::slice::from_ref(ranking)).gradient(objective(&method), DType::F64);
        close(together, alone, 1e-14);
        sum.iter_mut().zip(gradient.iter().flatten()).for_each(|(sum, slope)| *sum += slope / rankings.len() as f64);
    }
    for (got, wanted) in gradient.iter().flatten().zip(sum) {
        close(*got, wanted, 1e-14);
    }
}

/// Scores of two to six completions.
fn scores() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-30.0..30.0, 2..6)
}

/// The Plackett-Luce loss in its own words: K! orders, each a product of choices.
fn likelihood(scores: &[f64]) -> f64 {
    (0..scores.len()).map(|k| scores[k].exp() / scores[k..].iter().map(|score| score.exp()).sum::<f64>()).product()
}

proptest! {
    #[test]
    fn a_ranking_of_two_is_dpo(chosen in -200.0..0.0, rejected in -200.0..0.0, beta in 0.01..5.0) {
        let example = pair(chosen, rejected, [-90.0, -110.0]);
        let ranking = method("plackett_luce", json!({"beta": beta}));
        let dpo = method("dpo", json!({"beta": beta}));
        let ((got, slopes), (wanted, wanted_slopes)) =
            (example.gradient(objective(&ranking), DType::F64), example.gradient(objective(&dpo), DType::F64));
        prop_assert!((got - wanted).abs() < 1e-12 * wanted.max(1.0), "{got} {wanted}");
        for (got, wanted) in slopes.iter().flatten().zip(wanted_slopes.iter().flatten()) {
            prop_assert!((got - wanted).abs() < 1e-12, "{got} {wanted}");
        }
    }

    #[test]
    fn a_rankings_loss_is_minus_the_log_of_its_likelihood(scores in scores()) {
        let example = Example::ranking(&scores, &vec![0.0; scores.len()]);
        let wanted = -likelihood(&scores).ln();
        let got = loss_of("plackett_luce", json!({"beta": 1.0}), &example);
        prop_assert!((got - wanted).abs() < 1e-10 * wanted.max(1.0), "{got} {wanted}");
    }

    #[test]
    fn a_rankings_loss_ignores_what_all_its_completions_share(scores in scores(), shift in -50.0..50.0) {
        let shifted: Vec<f64> = scores.iter().map(|score| score + shift).collect();
        let of = |scores: &[f64]| loss_of("plackett_luce", json!({"beta": 0.3}), &Example::ranking(scores, &vec![0.0; scores.len()]));
        prop_assert!((of(&scores) - of(&shifted)).abs() < 1e-11 * of(&scores).max(1.0));
    }

    #[test]
    fn the_order_of_scores_is_likelier_than_its_reverse(scores in scores()) {
        let (mut best_first, mut worst_first) = (scores.clone(), scores);
        best_first.sort_by(|a, b| b.total_cmp(a));
        worst_first.sort_by(f64::total_cmp);
        let of = |scores: &[f64]| loss_of("plackett_luce", json!({"beta": 0.3}), &Example::ranking(scores, &vec![0.0; scores.len()]));
        prop_assert!(of(&best_first) <= of(&worst_first));
    }
}
