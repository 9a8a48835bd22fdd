//! Best-of-N as a policy, exactly (its KL is at most log N - (N - 1) / N: Beirami et al. 2024).

use super::Enumerated;
use rayon::prelude::*;

impl Enumerated {
    /// Log-probs of the completion with the highest proxy reward among `n` independent draws from the reference. `proxy` and
    /// the result are `[prompts][completions]`. Of completions of equal proxy reward the first drawn wins, so they share
    /// their wins in proportion to the reference. An `n` of 0 counts as 1.
    ///
    /// [`point`](Self::point) of the result is the exact KL and true reward of Best-of-N.
    pub fn best_of_n(&self, proxy: &[Vec<f64>], n: usize) -> Vec<Vec<f64>> {
        self.reference.par_iter().zip(proxy).map(|(reference, proxy)| of_a_prompt(reference, proxy, n.max(1) as f64)).collect()
    }
}

/// With F the probability of at most a proxy reward and p that of exactly it, it is the highest of n with probability
/// F^n - (F - p)^n = F^n (1 - (1 - p / F)^n), the form that keeps its digits.
fn of_a_prompt(reference: &[f64], proxy: &[f64], n: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..proxy.len()).collect();
    order.sort_by(|a, b| proxy[*a].total_cmp(&proxy[*b]));
    let mut log_probs = vec![f64::NEG_INFINITY; proxy.len()];
    let mut at_most = 0.0;
    for tied in order.chunk_by(|a, b| proxy[*a] == proxy[*b]) {
        let mass: f64 = tied.iter().map(|completion| reference[*completion].exp()).sum();
        // Completions that underflow are never drawn.
        if mass == 0.0 {
            continue;
        }
        at_most += mass;
        let loses_all = n * (-(mass / at_most)).ln_1p();
        let log_win = n * at_most.ln() + (-loses_all.exp_m1()).ln();
        for completion in tied {
            log_probs[*completion] = log_win + reference[*completion] - mass.ln();
        }
    }
    log_probs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use crate::stats::optimum::tests::{golden, sets};
    use crate::stats::{kl_bound, mean_kl};
    use proptest::prelude::*;

    #[test]
    fn it_is_what_drawing_and_choosing_gives() {
        let (set, proxy, n, draws) = (golden(), vec![vec![0.2, 0.9, 0.9, 0.5]], 3, 200_000);
        let mut stream = Stream::new(0, 0, "test", 0);
        let mut wins = [0.0; 4];
        for _ in 0..draws {
            // The reference's 0.4, 0.3, 0.2 and 0.1.
            let drawn = [(); 3].map(|()| [0, 0, 0, 0, 1, 1, 1, 2, 2, 3][stream.below(10)]);
            let first_best = drawn[1..].iter().fold(drawn[0], |best, y| if proxy[0][*y] > proxy[0][best] { *y } else { best });
            wins[first_best] += 1.0 / f64::from(draws);
        }
        for (win, log_prob) in wins.iter().zip(&set.best_of_n(&proxy, n)[0]) {
            assert!((win - log_prob.exp()).abs() < 0.005, "{win} {}", log_prob.exp());
        }
    }

    #[test]
    fn a_constant_proxy_leaves_the_reference() {
        assert!(mean_kl(&golden().best_of_n(&[vec![0.5; 4]], 64), &golden().reference).abs() < 1e-12);
    }

    #[test]
    fn with_many_equal_completions_its_kl_comes_close_to_the_bound() {
        let count = 10_000;
        let rewards: Vec<f64> = (0..count).map(f64::from).collect();
        let set = Enumerated::new(vec![vec![-f64::from(count).ln(); count as usize]], vec![rewards.clone()]).expect("a set");
        let kl = set.point(&set.best_of_n(&[rewards], 16)).kl;
        assert!(kl <= kl_bound(16) && kl > kl_bound(16) - 0.01, "{kl}");
    }

    proptest! {
        #[test]
        fn it_is_a_distribution_within_the_bound_and_under_the_frontier(
            set in sets(), proxy in prop::collection::vec(prop::collection::vec(0..4u8, 6), 4), n in 1..2000usize
        ) {
            let proxy: Vec<Vec<f64>> = proxy.iter().map(|row| row.iter().map(|score| f64::from(*score)).collect()).collect();
            for chosen in [set.best_of_n(&proxy[..set.rewards.len()], n), set.best_of_n(&set.rewards, n)] {
                for log_probs in &chosen {
                    prop_assert!((log_probs.iter().map(|log_prob| log_prob.exp()).sum::<f64>() - 1.0).abs() < 1e-9);
                }
                let point = set.point(&chosen);
                prop_assert!(point.kl <= kl_bound(n) + 1e-9);
                prop_assert!(point.reward <= set.reward_at(point.kl) + 1e-9);
            }
        }

        #[test]
        fn one_draw_is_the_reference(set in sets()) {
            prop_assert!(mean_kl(&set.best_of_n(&set.rewards, 1), &set.reference).abs() < 1e-12);
        }
    }
}
