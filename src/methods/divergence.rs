//! f-DPO: DPO whose constraint is another divergence than the reverse KL (Wang et al. 2024, "Beyond reverse KL").
//!
//! Under a constraint by the f-divergence, a completion's implicit reward is beta f'(u) with u = pi / ref, up to a constant
//! that cancels between the completions of one prompt. Only f' is needed, and it is written here as a function of log u.

use burn::tensor::{Tensor, activation::log_sigmoid};
use serde::{Deserialize, Serialize};

/// The divergence from the reference that constrains the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Divergence {
    /// f'(u) = log u, as in the DPO paper.
    #[default]
    ReverseKl,
    /// f'(u) = -1 / u
    ForwardKl,
    /// f'(u) = log(2u / (1 + u))
    JensenShannon,
    /// f'(u) = (1 - u^-alpha) / alpha with alpha in [0, 1]: the reverse KL at 0, the forward KL at 1.
    Alpha,
}

/// Largest exponent of 1 / u, in nats. The square of e^30 times a log-prob's gradient still fits f32, which a gradient's
/// norm needs; beyond it f' is constant and its gradient 0.
const LARGEST_EXPONENT: f64 = 30.0;

/// Below it the alpha divergence is the reverse KL to the precision of f32, and 1 / alpha may overflow.
const SMALLEST_ALPHA: f64 = 1e-9;

impl Divergence {
    /// f'(u) of log u, `[completions]` to `[completions]`; `alpha` is read by the alpha divergence only.
    pub fn link(self, log_ratios: Tensor<1>, alpha: f64) -> Tensor<1> {
        match self {
            Divergence::ReverseKl => log_ratios,
            Divergence::Alpha if alpha < SMALLEST_ALPHA => log_ratios,
            Divergence::Alpha if alpha < 1.0 => expm1(scaled(log_ratios, alpha)).mul_scalar(-1.0 / alpha),
            // At alpha = 1 this is 1 - 1 / u, and the 1 cancels.
            Divergence::ForwardKl | Divergence::Alpha => scaled(log_ratios, 1.0).exp().neg(),
            Divergence::JensenShannon => log_sigmoid(log_ratios).add_scalar(std::f64::consts::LN_2),
        }
    }
}

/// -alpha log u, at most [`LARGEST_EXPONENT`].
fn scaled(log_ratios: Tensor<1>, alpha: f64) -> Tensor<1> {
    log_ratios.mul_scalar(-alpha).clamp_max(LARGEST_EXPONENT)
}

/// exp(x) - 1 = tanh(x / 2) (exp(x) + 1), without the cancellation near 0.
fn expm1(x: Tensor<1>) -> Tensor<1> {
    x.clone().mul_scalar(0.5).tanh() * x.exp().add_scalar(1.0)
}
