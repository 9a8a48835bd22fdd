//! From logits to what is drawn from.

use super::simd::{LANES, exp, greatest, padded, vectorised};

vectorised! {
    /// e^((logit - the greatest logit) / temperature) of every logit, in place of what was in `out`; NaN counts for nothing.
    pub fn shares(logits: &[f32], temperature: f32, out: &mut Vec<f32>) {
        let (chunks, tail) = logits.as_chunks::<LANES>();
        let mut most = padded(tail, f32::NEG_INFINITY);
        for lane in &mut most {
            *lane = lane.max(f32::NEG_INFINITY);
        }
        for chunk in chunks {
            for lane in 0..LANES {
                most[lane] = if chunk[lane] > most[lane] { chunk[lane] } else { most[lane] };
            }
        }
        let (most, sharpness) = (greatest(most), 1.0 / temperature);
        out.clear();
        out.extend(logits.iter().map(|logit| {
            let share = exp::<FMA>((logit - most) * sharpness);
            if share >= 0.0 { share } else { 0.0 }
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::numbers;
    use super::*;

    #[test]
    fn shares_are_exponentials_below_the_greatest() {
        for count in [1, 15, 16, 100] {
            let logits: Vec<f32> = numbers(count, 3).into_iter().map(|x| 10.0 * x).collect();
            let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let mut got = vec![5.0; 3];
            shares(&logits, 0.5, &mut got);
            assert_eq!(got.len(), count);
            for (got, logit) in got.iter().zip(&logits) {
                let wanted = (f64::from(logit - most) / 0.5).exp();
                assert!((f64::from(*got) - wanted).abs() < 1e-6 * wanted + 1e-30, "{got} is not {wanted}");
            }
        }
        let mut got = Vec::new();
        shares(&[f32::NAN, 1.0, f32::NEG_INFINITY], 1.0, &mut got);
        assert!(got[0] == 0.0 && got[1] == 1.0 && got[2] < 1e-30, "{got:?}");
    }
}
