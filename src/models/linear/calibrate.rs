//! From a score to log odds that mean what they say, at every length of text: Platt scaling, fitted on held-out texts,
//! with a slope that changes with the logarithm of the number of n-grams.

/// Where the slope's dependence on length is centred: about 32 words.
const CENTRE: f64 = 4.0;
/// Lengths beyond these (in log n-grams) were not fitted on, and are taken as these.
const LENGTHS: (f64, f64) = (0.0, 7.0);
/// A smaller slope would let a text with good words score like a neutral one, or worse.
const LEAST_SLOPE: f64 = 0.05;
/// No fit gives more; what is read from outside might.
const MOST: f64 = 1e6;

/// Log odds as `slope(length) * score + offset`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    slope: f64,
    per_length: f64,
    offset: f64,
}

/// A held-out text: its score, its number of n-grams, its label.
pub struct Held {
    /// As from the fitted weights.
    pub score: f64,
    /// Distinct n-grams.
    pub count: usize,
    /// The label.
    pub positive: bool,
}

fn length(count: usize) -> f64 {
    (count.max(1) as f64).ln().clamp(LENGTHS.0, LENGTHS.1) - CENTRE
}

impl Calibration {
    /// Scores as they are, with the bias of the fit.
    pub fn identity(bias: f64) -> Self {
        Calibration { slope: 1.0, per_length: 0.0, offset: bias }
    }

    /// The log odds of a text.
    pub fn logit(&self, score: f64, count: usize) -> f64 {
        (self.slope + self.per_length * length(count)).max(LEAST_SLOPE) * score + self.offset
    }

    /// For writing.
    pub fn numbers(&self) -> [f64; 3] {
        [self.slope, self.per_length, self.offset]
    }

    /// From reading; none where a number is not one that a fit gives.
    pub fn from_numbers(numbers: [f64; 3]) -> Option<Self> {
        let [slope, per_length, offset] = numbers;
        numbers.iter().all(|number| number.abs() <= MOST).then_some(Calibration { slope, per_length, offset })
    }

    /// The most likely calibration of `held`, pulled weakly towards [`Calibration::identity`], which is what few
    /// held-out texts leave it at. Newton's method with halved steps on a convex objective.
    pub fn fit(held: &[Held], bias: f64) -> Self {
        let start = [1.0, 0.0, bias];
        let mut at = start;
        let mut best = loss(held, at, start);
        for _ in 0..50 {
            let mut step = newton(held, at, start);
            let mut next = best;
            for _ in 0..20 {
                let candidate: [f64; 3] = std::array::from_fn(|i| at[i] - step[i]);
                next = loss(held, candidate, start);
                if next < best {
                    at = candidate;
                    break;
                }
                step = step.map(|x| x / 2.0);
            }
            // Also where a loss is not a number.
            if next.is_nan() || best - next <= 1e-9 * best.abs() {
                break;
            }
            best = next;
        }
        Self::from_numbers(at).unwrap_or(Self::identity(bias))
    }
}

fn inputs(held: &Held) -> [f64; 3] {
    [held.score, held.score * length(held.count), 1.0]
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Log loss plus the pull towards `start`.
fn loss(held: &[Held], at: [f64; 3], start: [f64; 3]) -> f64 {
    let pull: f64 = (0..3).map(|i| (at[i] - start[i]).powi(2) / 2.0).sum();
    let surprise = |h: &Held| {
        let logit = dot(at, inputs(h));
        let against = if h.positive { -logit } else { logit };
        against.max(0.0) + (-against.abs()).exp().ln_1p()
    };
    pull + held.iter().map(surprise).sum::<f64>()
}

/// The inverse Hessian times the gradient.
fn newton(held: &[Held], at: [f64; 3], start: [f64; 3]) -> [f64; 3] {
    let mut gradient: [f64; 3] = std::array::from_fn(|i| at[i] - start[i]);
    // The pull makes the matrix positive definite.
    let mut hessian = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    for h in held {
        let x = inputs(h);
        let p = super::sigmoid(dot(at, x));
        for i in 0..3 {
            gradient[i] += (p - f64::from(u8::from(h.positive))) * x[i];
            for j in 0..3 {
                hessian[i][j] += p * (1.0 - p) * x[i] * x[j];
            }
        }
    }
    solve(hessian, gradient)
}

/// Gauss elimination; a positive definite matrix needs no pivoting.
fn solve(mut a: [[f64; 3]; 3], mut b: [f64; 3]) -> [f64; 3] {
    for i in 0..3 {
        for k in i + 1..3 {
            let factor = a[k][i] / a[i][i];
            let row = a[i];
            a[k].iter_mut().zip(row).for_each(|(x, y)| *x -= factor * y);
            b[k] -= factor * b[i];
        }
    }
    for i in (0..3).rev() {
        for j in i + 1..3 {
            b[i] -= a[i][j] * b[j];
        }
        b[i] /= a[i][i];
    }
    b
}
