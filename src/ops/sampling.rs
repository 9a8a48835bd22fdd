//! From logits to what is drawn from.

use super::simd::{LANES, exp, greatest, padded, vectorised};
use burn::tensor::{Int, Tensor, TensorData};

/// Shares that are summed at once where tokens are drawn on a device.
const CHUNK: usize = 64;

/// A token of each row of logits `[rows, vocabulary]` by inverting the cumulative distribution at the row's number in [0, 1), of which
/// nothing leaves the device but the tokens, `[rows]`. Temperature 0 is greedy.
pub fn draw(logits: Tensor<2>, temperature: f64, uniforms: &[f64]) -> Tensor<1, Int> {
    let most_probable = logits.clone().argmax(1);
    if temperature == 0.0 {
        return most_probable.squeeze_dim(1);
    }
    let ([rows, vocabulary], device) = (logits.dims(), logits.device());
    let shares = (logits.clone() - logits.max_dim(1)).div_scalar(temperature).exp();
    let chunks = vocabulary.div_ceil(CHUNK);
    let behind = Tensor::zeros([rows, chunks * CHUNK - vocabulary], &device);
    let shares: Tensor<3> = Tensor::cat(vec![shares, behind], 1).reshape([rows, chunks, CHUNK]);
    let sums: Tensor<2> = shares.clone().sum_dim(2).squeeze_dim(2);
    let ends = sums.clone().cumsum(1);
    let uniforms: Vec<f32> = uniforms.iter().map(|uniform| *uniform as f32).collect();
    let uniforms = Tensor::<1>::from_data(TensorData::new(uniforms, [rows]), &device).unsqueeze_dim::<2>(1);
    let place = uniforms * ends.clone().slice_dim(1, chunks - 1..chunks);
    // The first chunk that ends behind the place, and the first share within it that does.
    let chunk = ends.clone().lower_equal(place.clone().expand([rows, chunks])).int().sum_dim(1).clamp_max((chunks - 1) as i32);
    let left = place - (ends - sums).gather(1, chunk.clone());
    let own = shares.gather(1, chunk.clone().unsqueeze_dim::<3>(2).expand([rows, 1, CHUNK])).squeeze_dim::<2>(1);
    let within = own.cumsum(1).lower_equal(left.expand([rows, CHUNK])).int().sum_dim(1);
    // Rounding may leave a little behind the last share.
    let none = within.clone().greater_equal_elem(CHUNK as i32);
    (chunk.mul_scalar(CHUNK as i32) + within).mask_where(none, most_probable).squeeze_dim(1)
}

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
    fn tokens_drawn_on_a_device_are_those_of_the_distribution() {
        let device = burn::tensor::Device::flex();
        for (vocabulary, temperature) in [(5, 1.0), (64, 0.5), (1000, 1.0)] {
            let logits: Vec<f32> = numbers(vocabulary, 7).into_iter().map(|x| 3.0 * x).collect();
            let weights: Vec<f64> = logits.iter().map(|logit| (f64::from(*logit) / temperature).exp()).collect();
            let total: f64 = weights.iter().sum();
            let uniforms: Vec<f64> = (0..500).map(|index| (f64::from(index) + 0.37) / 500.0).collect();
            let rows = TensorData::new(logits.repeat(uniforms.len()), [uniforms.len(), vocabulary]);
            let drawn = draw(Tensor::from_data(rows.clone(), &device), temperature, &uniforms).to_data();
            for (token, uniform) in drawn.iter::<i64>().zip(&uniforms) {
                let before: f64 = weights[..token as usize].iter().sum::<f64>() / total;
                let after = before + weights[token as usize] / total;
                assert!(before - 1e-6 <= *uniform && *uniform <= after + 1e-6, "{token}: {uniform} not in {before}..{after}");
            }
            let greedy = draw(Tensor::from_data(rows, &device), 0.0, &uniforms).to_data();
            let best = (0..vocabulary).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
            assert!(greedy.iter::<i64>().all(|token| token == best as i64));
        }
    }

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
