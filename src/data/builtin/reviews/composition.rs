//! How opinions compose: the numbers and rules behind the true reward.
//!
//! An opinion starts from the strength of its word (`words.rs`) and is changed by what surrounds it. The scorer alone uses these rules;
//! the writer of reviews knows only the sign that it wants to express.

/// "very good" is stronger than "good" ...
pub const INTENSE: f64 = 1.35;
/// ... and "somewhat good" is weaker.
pub const FAINT: f64 = 0.5;
/// Denying a quality asserts a weaker opposite: "not bad" is mild praise.
pub const DENIED: f64 = -0.5;
/// A denial made complete: "not bad at all", "far from bad", "anything but bad", "lacked wit", "nobody could call it bad".
pub const FIRMLY_DENIED: f64 = DENIED * INTENSE;
/// "not very good" denies the degree rather than the quality.
pub const DEGREE_DENIED: f64 = DENIED * 0.5;
/// Denying an act leaves nothing between: "i would not recommend it".
pub const REFUSED: f64 = -1.0;
/// A sentence that ends in "!" is meant a little more.
pub const EXCLAIMED: f64 = 1.15;
/// Steepness of the logistic curve from sentiment to reward.
pub const STEEPNESS: f64 = 5.0;

/// Weights of the two sides of a contrast or concession: twice .3 and twice .7, so that their mean is .3 first + .7 second.
const CONCEDED: f64 = 0.6;
const ASSERTED: f64 = 1.4;

/// One opinion: what it is about, the word that carries it, and its value so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Opinion {
    /// Canonical aspect ("film" for "it", "the movie", ...).
    pub aspect: &'static str,
    /// The word that carries the opinion, verbs in their base form.
    pub head: &'static str,
    /// Signed strength after the rules applied so far.
    pub value: f64,
}

/// Multiplies every value by `factor`.
pub fn scale(mut opinions: Vec<Opinion>, factor: f64) -> Vec<Opinion> {
    opinions.iter_mut().for_each(|opinion| opinion.value *= factor);
    opinions
}

/// "conceded , but asserted". Only opposite opinions make a contrast: otherwise, as with "and", both sides count in full.
pub fn contrast(conceded: Vec<Opinion>, asserted: Vec<Opinion>) -> Vec<Opinion> {
    let total = |side: &[Opinion]| side.iter().map(|opinion| opinion.value).sum::<f64>();
    let opposed = total(&conceded) * total(&asserted) < 0.0;
    let (first, second) = if opposed { (CONCEDED, ASSERTED) } else { (1.0, 1.0) };
    let mut both = scale(conceded, first);
    both.extend(scale(asserted, second));
    both
}

/// Sentiment in (-1, 1): the mean of the opinions together with one neutral opinion, so that more evidence of one kind says more.
/// One opinion alone is not held to more than 1.
pub fn sentiment<'a>(opinions: impl IntoIterator<Item = &'a Opinion>) -> f64 {
    let (sum, count) =
        opinions.into_iter().fold((0.0, 0.0), |(sum, count), opinion| (sum + opinion.value.clamp(-1.0, 1.0), count + 1.0));
    sum / (count + 1.0)
}

/// Reward in [0, 1] of grammatical text with this sentiment.
pub fn logistic(sentiment: f64) -> f64 {
    1.0 / (1.0 + (-STEEPNESS * sentiment).exp())
}
