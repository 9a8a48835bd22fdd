//! Best-of-N from one pool of completions.

/// log N - (N - 1) / N: an upper bound of KL(Best-of-N || reference) in nats.
pub fn kl_bound(n: usize) -> f64 {
    let n = n as f64;
    n.ln() - (n - 1.0) / n
}

/// Expected (true, learned) reward of the completion with the highest learned reward among N drawn without replacement
/// from a prompt's pool of (true, learned) rewards: the average over all subsets of size N, each subset's winner by
/// learned reward, so it is unbiased for Best-of-N and uses the whole pool.
///
/// With the pool sorted by learned reward, the i-th (from 1) wins in C(i - 1, N - 1) of C(M, N) subsets. Completions of
/// equal learned reward share their wins, so the order of the pool does not matter.
pub fn best_of_n(pool: &[(f64, f64)], n: usize) -> Option<(f64, f64)> {
    let size = pool.len();
    if n == 0 || n > size {
        return None;
    }
    let mut sorted = pool.to_vec();
    sorted.sort_by(|a, b| a.1.total_cmp(&b.1));
    // weight_i = C(i - 1, n - 1) / C(size, n), by the recurrence weight_{i} = weight_{i + 1} (i - n + 1) / i from the top.
    let mut weights = vec![0.0; size];
    weights[size - 1] = n as f64 / size as f64;
    for i in (n..size).rev() {
        weights[i - 1] = weights[i] * (i - n + 1) as f64 / i as f64;
    }
    let mut expected = (0.0, 0.0);
    let mut first = 0;
    for tied in sorted.chunk_by(|a, b| a.1 == b.1) {
        let weight: f64 = weights[first..first + tied.len()].iter().sum();
        let mean = tied.iter().map(|(truth, _)| truth).sum::<f64>() / tied.len() as f64;
        expected.0 += weight * mean;
        expected.1 += weight * tied[0].1;
        first += tied.len();
    }
    Some(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_the_papers() {
        for (n, wanted) in [(1, 0.0), (4, 0.636), (16, 1.835), (64, 3.175), (128, 3.860)] {
            assert!((kl_bound(n) - wanted).abs() < 5e-4, "{n}");
        }
    }

    /// Every subset, one by one.
    fn by_enumeration(pool: &[(f64, f64)], n: usize) -> (f64, f64) {
        let subsets: Vec<u32> = (0..1u32 << pool.len()).filter(|subset| subset.count_ones() as usize == n).collect();
        let winner = |subset: &u32| {
            let members = (0..pool.len()).filter(|index| subset & (1 << index) != 0).map(|index| pool[index]);
            members.max_by(|a, b| a.1.total_cmp(&b.1)).expect("a member")
        };
        let sum = subsets.iter().map(winner).fold((0.0, 0.0), |sum, (a, b)| (sum.0 + a, sum.1 + b));
        (sum.0 / subsets.len() as f64, sum.1 / subsets.len() as f64)
    }

    #[test]
    fn it_is_the_average_over_all_subsets() {
        let pool = [(0.1, 3.0), (0.9, 1.0), (0.4, 2.0), (0.7, 5.0), (0.2, 4.0), (0.6, -1.0)];
        for n in 1..=pool.len() {
            let (got, wanted) = (best_of_n(&pool, n).expect("a value"), by_enumeration(&pool, n));
            assert!((got.0 - wanted.0).abs() < 1e-12 && (got.1 - wanted.1).abs() < 1e-12, "{n}: {got:?}, {wanted:?}");
        }
    }

    #[test]
    fn ties_share_and_order_does_not_matter() {
        let pool = [(0.0, 1.0), (1.0, 1.0), (0.5, 0.0)];
        let mut other = pool;
        other.reverse();
        assert_eq!(best_of_n(&pool, 3), Some((0.5, 1.0)));
        assert_eq!(best_of_n(&pool, 2), best_of_n(&other, 2));
    }

    #[test]
    fn a_pool_that_is_too_small_gives_nothing() {
        assert_eq!(best_of_n(&[(0.0, 0.0)], 2), None);
        assert_eq!(best_of_n(&[], 0), None);
    }
}
