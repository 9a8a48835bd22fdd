//! The clipped losses of PPO, for every token: Schulman et al. 2017, equation 7, and the clipped value loss that Ziegler et
//! al. 2019 train with.
//!
//! All tensors are `[tokens]`: the tokens of a minibatch's completions one after another, without padding. Training takes
//! the mean, so a minibatch may be run in chunks that are weighted by their tokens.

use burn::tensor::Tensor;

/// Log-ratios are kept within +-20 nats, where the ratio lies in [2e-9, 5e8]: its square is still finite in f32. Beyond,
/// the gradient is 0.
pub const LOG_RATIO_BOUND: f64 = 20.0;

/// max(-A rho, -A clip(rho, 1 - clip, 1 + clip)) with rho = pi / pi_old, `[tokens]`. `log_probs` carries the gradient.
pub fn policy_loss(log_probs: Tensor<1>, old_log_probs: Tensor<1>, advantages: Tensor<1>, clip: f64) -> Tensor<1> {
    let ratio = (log_probs - old_log_probs).clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND).exp();
    let clipped = ratio.clone().clamp(1.0 - clip, 1.0 + clip);
    let cost = advantages.neg();
    (cost.clone() * ratio).max_pair(cost * clipped)
}

/// 1/2 max((V - R)^2, (V_clip - R)^2) with V_clip = V_old + clip(V - V_old, -clip, clip), `[tokens]`. `values` carries the
/// gradient.
pub fn value_loss(values: Tensor<1>, old_values: Tensor<1>, returns: Tensor<1>, clip: f64) -> Tensor<1> {
    let clipped = old_values.clone() + (values.clone() - old_values).clamp(-clip, clip);
    let squared_error = |values: Tensor<1>| (values - returns.clone()).square();
    squared_error(values).max_pair(squared_error(clipped)).mul_scalar(0.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    fn tensor(values: &[f64], device: &Device) -> Tensor<1> {
        let narrow: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        Tensor::from_data(TensorData::new(narrow, [values.len()]), device)
    }

    fn host(tensor: Tensor<1>) -> Vec<f64> {
        tensor.to_data().iter::<f32>().map(f64::from).collect()
    }

    /// The loss of every token, and its derivative by that token's `at`.
    fn with_gradient(at: &[f64], loss: impl Fn(Tensor<1>, &dyn Fn(&[f64]) -> Tensor<1>) -> Tensor<1>) -> (Vec<f64>, Vec<f64>) {
        let device = Device::flex().autodiff();
        let leaf = tensor(at, &device).require_grad();
        let losses = loss(leaf.clone(), &|values| tensor(values, &device));
        let mut tape = losses.clone().sum().backward();
        (host(losses), host(leaf.grad_remove(&mut tape).expect("a gradient")))
    }

    fn policy(log_probs: &[f64], old: &[f64], advantages: &[f64]) -> (Vec<f64>, Vec<f64>) {
        with_gradient(log_probs, |leaf, constant| policy_loss(leaf, constant(old), constant(advantages), 0.2))
    }

    fn value(values: &[f64], old: &[f64], returns: &[f64]) -> (Vec<f64>, Vec<f64>) {
        with_gradient(values, |leaf, constant| value_loss(leaf, constant(old), constant(returns), 0.2))
    }

    #[track_caller]
    fn close(got: &[f64], wanted: &[f64], tolerance: f64) {
        assert_eq!(got.len(), wanted.len());
        for (got, wanted) in got.iter().zip(wanted) {
            assert!((got - wanted).abs() <= tolerance * wanted.abs().max(1.0), "{got} is not {wanted}");
        }
    }

    #[test]
    fn the_old_policy_has_ratio_1_and_the_gradient_of_reinforce() {
        let (losses, gradient) = policy(&[-3.0, -0.5, -7.0], &[-3.0, -0.5, -7.0], &[2.0, -1.0, 0.0]);
        close(&losses, &[-2.0, 1.0, 0.0], 1e-6);
        close(&gradient, &[-2.0, 1.0, 0.0], 1e-6);
    }

    #[test]
    fn the_policy_loss_is_clipped_only_where_that_makes_it_larger() {
        let (up, down) = (1.5f64.ln(), 0.5f64.ln());
        // Ratio and advantage: up and good (clipped), up and bad, down and good, down and bad (clipped).
        let (losses, gradient) = policy(&[up, up, down, down], &[0.0; 4], &[1.0, -1.0, 1.0, -1.0]);
        close(&losses, &[-1.2, 1.5, -0.5, 0.8], 1e-6);
        close(&gradient, &[0.0, 1.5, -0.5, 0.0], 1e-6);
    }

    #[test]
    fn the_value_loss_is_clipped_only_where_that_makes_it_larger() {
        // Value and return around an old value of 0: near, too far towards the return (clipped), beyond it, away from it.
        let (losses, gradient) = value(&[0.1, 0.7, 0.7, -0.7], &[0.0; 4], &[1.0, 1.0, 0.3, 1.0]);
        close(&losses, &[0.405, 0.32, 0.08, 1.445], 1e-6);
        close(&gradient, &[-0.9, 0.0, 0.4, -1.7], 1e-6);
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let step = 1e-2;
        let old: Vec<f64> = (0..24).map(|i| -2.0 - 0.1 * f64::from(i)).collect();
        let target: Vec<f64> = (0..24).map(|i| (f64::from(i) * 1.7).sin() * 2.0).collect();
        // Distances from the old numbers that keep clear of the kinks, at ln 0.8, ln 1.2 and +-0.2.
        let now: Vec<f64> =
            old.iter().zip((0..24).map(|i| [-0.5, -0.3, -0.1, 0.05, 0.15, 0.4][i % 6])).map(|(o, d)| o + d).collect();
        let moved = |by: f64| -> Vec<f64> { now.iter().map(|x| x + by).collect() };
        for loss in [policy, value] {
            let (above, below) = (loss(&moved(step), &old, &target).0, loss(&moved(-step), &old, &target).0);
            let differences: Vec<f64> = above.iter().zip(&below).map(|(a, b)| (a - b) / (2.0 * step)).collect();
            close(&loss(&now, &old, &target).1, &differences, 1e-3);
        }
    }

    #[test]
    fn ratios_of_any_size_stay_finite() {
        let (losses, gradient) = policy(&[-1e6, 0.0, -1e6, 0.0], &[0.0, -1e6, 0.0, -1e6], &[-3.0, -3.0, 3.0, 3.0]);
        assert!(losses.iter().chain(&gradient).all(|x| x.is_finite()), "{losses:?} {gradient:?}");
        assert_eq!(gradient, [0.0; 4]);
        assert!((LOG_RATIO_BOUND.exp() as f32).powi(2).is_finite());
    }
}
