//! What train.csv says about a PPO update: how far the policy moved, how often the clips bit, how good the values were.
//! Pure functions on the host, in f64.

use super::advantages::mean_and_variance;
use super::losses::LOG_RATIO_BOUND;

/// Means over the tokens of a minibatch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Statistics {
    /// 1/2 (log rho)^2, in nats: KL(pi_old || pi) to second order.
    pub approx_kl: f64,
    /// Share of tokens whose policy loss is the clipped one, strictly.
    pub clip_fraction: f64,
    /// rho = pi / pi_old.
    pub ratio: f64,
    /// Share of tokens whose value loss is the clipped one, strictly.
    pub value_clip_fraction: f64,
}

/// One token of a minibatch, as the losses see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Token {
    /// log pi, in nats.
    pub log_prob: f64,
    /// log pi_old, in nats.
    pub old_log_prob: f64,
    /// A, whitened.
    pub advantage: f64,
    /// V
    pub value: f64,
    /// V_old
    pub old_value: f64,
    /// R
    pub returned: f64,
}

impl Statistics {
    /// The statistics of these tokens with the clips of the losses; all 0 without tokens.
    pub fn of(tokens: impl IntoIterator<Item = Token>, clip: f64, value_clip: f64) -> Self {
        let (mut sum, mut count) = (Statistics::default(), 0usize);
        for token in tokens {
            let one = Statistics::of_token(token, clip, value_clip);
            sum.approx_kl += one.approx_kl;
            sum.clip_fraction += one.clip_fraction;
            sum.ratio += one.ratio;
            sum.value_clip_fraction += one.value_clip_fraction;
            count += 1;
        }
        let count = count.max(1) as f64;
        Statistics {
            approx_kl: sum.approx_kl / count,
            clip_fraction: sum.clip_fraction / count,
            ratio: sum.ratio / count,
            value_clip_fraction: sum.value_clip_fraction / count,
        }
    }

    fn of_token(token: Token, clip: f64, value_clip: f64) -> Self {
        let log_ratio = (token.log_prob - token.old_log_prob).clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND);
        let ratio = log_ratio.exp();
        let clipped = ratio.max(1.0 - clip).min(1.0 + clip);
        // Unlike V_old + clip(V - V_old), this is exactly V where the clip does not bite.
        let clipped_value = token.value.max(token.old_value - value_clip).min(token.old_value + value_clip);
        let error = |value: f64| (value - token.returned).powi(2);
        let share = |bites: bool| f64::from(u8::from(bites));
        Statistics {
            approx_kl: 0.5 * log_ratio.powi(2),
            clip_fraction: share(-token.advantage * clipped > -token.advantage * ratio),
            ratio,
            value_clip_fraction: share(error(clipped_value) > error(token.value)),
        }
    }
}

/// 1 - Var(R - V_old) / Var(R) over all tokens of a rollout: 1 for perfect values, at most 0 for useless ones. Absent where
/// all returns are equal.
pub fn explained_variance(returns: &[f64], values: &[f64]) -> Option<f64> {
    let errors: Vec<f64> = returns.iter().zip(values).map(|(returned, value)| returned - value).collect();
    let (_, unexplained) = mean_and_variance(&errors);
    let (_, variance) = mean_and_variance(returns);
    (variance > 0.0).then(|| 1.0 - unexplained / variance)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STILL: Token = Token { log_prob: -2.0, old_log_prob: -2.0, advantage: 1.0, value: 0.3, old_value: 0.3, returned: 1.0 };

    #[test]
    fn a_policy_that_has_not_moved_has_ratio_1_and_no_clips() {
        assert_eq!(Statistics::of([STILL; 3], 0.2, 0.2), Statistics { ratio: 1.0, ..Statistics::default() });
    }

    #[test]
    fn clips_count_only_where_they_make_the_loss_larger() {
        let moved = |ratio: f64, advantage: f64| Token { log_prob: -2.0 + ratio.ln(), advantage, ..STILL };
        let tokens = [moved(1.5, 1.0), moved(1.5, -1.0), moved(0.5, 1.0), moved(0.5, -1.0), moved(1.1, 1.0)];
        let statistics = Statistics::of(tokens, 0.2, 0.2);
        assert_eq!((statistics.clip_fraction, statistics.value_clip_fraction), (0.4, 0.0));
        assert!((statistics.ratio - 1.02).abs() < 1e-12);
        let squares: f64 = [1.5f64, 1.5, 0.5, 0.5, 1.1].iter().map(|ratio| ratio.ln().powi(2)).sum();
        assert!((statistics.approx_kl - squares / 10.0).abs() < 1e-12);

        let valued = |value: f64, returned: f64| Token { value, returned, ..STILL };
        let tokens = [valued(0.4, 1.0), valued(0.9, 1.0), valued(0.9, 0.6), valued(-0.5, 1.0)];
        assert_eq!(Statistics::of(tokens, 0.2, 0.2).value_clip_fraction, 0.25);
    }

    #[test]
    fn no_tokens_have_statistics_0() {
        assert_eq!(Statistics::of([], 0.2, 0.2), Statistics::default());
    }

    #[test]
    fn explained_variance_is_1_for_perfect_values_and_0_for_constant_ones() {
        let returns = [1.0, 2.0, 4.0];
        assert_eq!(explained_variance(&returns, &returns), Some(1.0));
        assert_eq!(explained_variance(&returns, &[7.0; 3]), Some(0.0));
        assert!(explained_variance(&returns, &[-1.0, -2.0, -4.0]).is_some_and(|share| share < 0.0));
        assert_eq!(explained_variance(&[2.0; 3], &returns), None);
        assert_eq!(explained_variance(&[], &[]), None);
    }
}
