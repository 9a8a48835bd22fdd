use super::*;
use proptest::prelude::*;

/// Sets of 1 to 4 prompts with 6 completions each.
pub fn sets() -> impl Strategy<Value = Enumerated> {
    prop::collection::vec((prop::collection::vec(-3.0..3.0f64, 6), prop::collection::vec(0.0..1.0f64, 6)), 1..5).prop_map(
        |rows| {
            let (logits, rewards): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
            Enumerated::new(logits.iter().map(|logits: &Vec<f64>| normalised(logits)).collect(), rewards).expect("a set")
        },
    )
}

/// A policy for any of `sets`, from logits `[4][6]`.
fn policies() -> impl Strategy<Value = Vec<Vec<f64>>> {
    prop::collection::vec(prop::collection::vec(-8.0..8.0f64, 6).prop_map(|logits| normalised(&logits)), 4)
}

pub fn normalised(logits: &[f64]) -> Vec<f64> {
    let total = log_sum_exp(logits);
    logits.iter().map(|logit| logit - total).collect()
}

pub fn golden() -> Enumerated {
    let reference = [0.4, 0.3, 0.2, 0.1f64].map(f64::ln).to_vec();
    Enumerated::new(vec![reference], vec![vec![0.0, 0.3, 0.7, 1.0]]).expect("a set")
}

#[test]
fn the_golden_optima_are_the_protocols() {
    for (beta, reward, kl) in [(0.1, 0.971003, 1.915044), (1.0, 0.456387, 0.064658)] {
        let point = golden().optimum(beta);
        assert!((point.reward - reward).abs() < 5e-7 && (point.kl - kl).abs() < 5e-7, "{beta}: {point:?}");
    }
}

#[test]
fn the_frontier_runs_from_the_reference_to_the_best_completions() {
    let set = golden();
    let reference = set.optimum(f64::INFINITY);
    assert!((reference.reward - 0.33).abs() < 1e-12 && reference.kl.abs() < 1e-12, "{reference:?}");
    assert!((set.last_kl() - 10f64.ln()).abs() < 1e-12);
    for (kl, reward) in [(-0.1, 0.33), (0.0, 0.33), (10f64.ln(), 1.0), (50.0, 1.0), (0.064658, 0.456387)] {
        assert!((set.reward_at(kl) - reward).abs() < 1e-5, "{kl}");
    }
}

#[test]
fn tied_best_completions_share_the_mass_in_proportion_to_the_reference() {
    let reference = [0.5, 0.3, 0.2f64].map(f64::ln).to_vec();
    let set = Enumerated::new(vec![reference], vec![vec![0.1, 0.8, 0.8]]).expect("a set");
    for beta in [0.0, 1e-9] {
        let policy = &set.optimal_policy(beta)[0];
        assert!(policy[0] < -1e6 && (policy[1].exp() - 0.6).abs() < 1e-12 && (policy[2].exp() - 0.4).abs() < 1e-12, "{policy:?}");
    }
    assert!((set.last_kl() - 2f64.ln()).abs() < 1e-12);
}

#[test]
fn equal_rewards_leave_nothing_to_buy() {
    let set = Enumerated::new(vec![vec![0.5f64.ln(); 2]], vec![vec![0.3; 2]]).expect("a set");
    assert!((set.reward_at(1.0) - 0.3).abs() < 1e-12 && set.last_kl() == 0.0);
    assert_eq!(set.curve(5).len(), 1);
}

#[test]
fn log_z_is_its_definition() {
    let wanted =
        [(0.0, 0.4), (0.3, 0.3), (0.7, 0.2), (1.0, 0.1f64)].map(|(r, p)| p * (r / 0.5f64).exp()).iter().sum::<f64>().ln();
    assert!((golden().log_partition(0.5)[0] - wanted).abs() < 1e-12);
}

#[test]
fn tables_that_do_not_fit_are_refused() {
    let half = 0.5f64.ln();
    assert!(Enumerated::new(vec![], vec![]).is_err());
    assert!(Enumerated::new(vec![vec![half; 2]], vec![vec![1.0]]).is_err());
    assert!(Enumerated::new(vec![vec![half; 2]], vec![vec![1.0, f64::NAN]]).is_err());
    let error = Enumerated::new(vec![vec![half; 3]], vec![vec![1.0; 3]]).expect_err("probabilities of 1.5");
    assert!(error.contains("prompt 0") && error.contains("1.5"), "{error}");
}

#[test]
fn the_curve_is_ordered_and_spaced_in_log_beta() {
    let curve = golden().curve(20);
    assert_eq!(curve.len(), 22);
    assert!(
        curve.windows(2).all(|pair| pair[0].0 > pair[1].0 && pair[0].1.kl < pair[1].1.kl && pair[0].1.reward < pair[1].1.reward)
    );
    let ratios: Vec<f64> = curve[1..21].windows(2).map(|pair| pair[0].0 / pair[1].0).collect();
    assert!(ratios.iter().all(|ratio| (ratio / ratios[0] - 1.0).abs() < 1e-9), "{ratios:?}");
}

proptest! {
    #[test]
    fn what_a_policy_lacks_is_beta_times_its_kl_to_the_optimum(set in sets(), policy in policies(), log_beta in -3.0..2.0f64) {
        let (beta, policy) = (log_beta.exp(), &policy[..set.rewards.len()]);
        let optimal = set.optimal_policy(beta);
        let lacks = set.objective(&optimal, beta) - set.objective(policy, beta);
        prop_assert!((lacks - beta * mean_kl(policy, &optimal)).abs() < 1e-10);
        // J(pi*) = beta E[log Z].
        prop_assert!((set.objective(&optimal, beta) - beta * mean(&set.log_partition(beta))).abs() < 1e-10);
    }

    #[test]
    fn the_slope_of_the_frontier_is_beta(set in sets(), log_beta in -2.0..1.0f64) {
        let (before, after) = (set.optimum((log_beta - 1e-4).exp()), set.optimum((log_beta + 1e-4).exp()));
        let slope = (after.reward - before.reward) / (after.kl - before.kl);
        prop_assert!((slope / log_beta.exp() - 1.0).abs() < 1e-5, "{slope}");
    }

    #[test]
    fn no_policy_lies_above_the_frontier(set in sets(), policy in policies()) {
        let point = set.point(&policy[..set.rewards.len()]);
        prop_assert!(point.reward <= set.reward_at(point.kl) + 1e-9);
    }

    #[test]
    fn a_search_by_kl_finds_the_beta(set in sets(), log_beta in -3.0..2.0f64) {
        let found = set.beta_at(set.optimum(log_beta.exp()).kl);
        prop_assert!((found.ln() - log_beta).abs() < 1e-5, "{found}");
    }

    #[test]
    fn betas_of_any_size_keep_kl_and_reward_in_bounds(set in sets(), log_beta in -40.0..40.0f64) {
        let point = set.optimum(log_beta.exp());
        prop_assert!(point.kl >= -1e-12 && point.kl <= set.last_kl() + 1e-9);
        prop_assert!(point.reward <= set.optimum(0.0).reward + 1e-12);
    }
}
