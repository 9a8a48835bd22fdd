//! Arithmetic on 16 numbers at a time, in loops that the compiler turns into vector instructions.

/// Numbers that a loop takes at once: two AVX2 registers.
pub(crate) const LANES: usize = 16;

/// Defines a function twice, with and without AVX2 and FMA, and chooses when it is called.
///
/// `FMA` is true in the body where a fused multiply-add is one instruction.
macro_rules! vectorised {
    ($(#[$meta:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)] // slices and sizes of a kernel; a struct for each would only rename them
        $visibility fn $name($($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            #[allow(clippy::extra_unused_type_parameters)] // not every body has a multiply-add
            fn body<const FMA: bool>($($argument: $type),*) $(-> $result)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn wide($($argument: $type),*) $(-> $result)? {
                    body::<true>($($argument),*)
                }
                if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
                    // SAFETY: `wide` is safe but for the two features, which this processor has.
                    return unsafe { wide($($argument),*) };
                }
            }
            body::<{ cfg!(target_arch = "aarch64") }>($($argument),*)
        }
    };
}
pub(crate) use vectorised;

/// a b + c, rounded once where that is one instruction.
#[inline(always)]
pub(crate) fn multiply_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// e^x to about one part in 10^7, as Cephes' expf: 2^n e^r with |r| <= ln(2) / 2 and a polynomial for e^r.
///
/// Below -87.3 the result stays at e^-87.3 = 1.2e-38, above 88 at e^88; NaN stays NaN.
#[inline(always)]
#[allow(clippy::manual_clamp)] // clamp() and min() would cost more, or lose NaN
pub(crate) fn exp<const FMA: bool>(x: f32) -> f32 {
    let x = if x < -87.3 { -87.3 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    // Adding 1.5 * 2^23 rounds to an integer, which is then in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    let rounded = multiply_add::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    // ln(2) in two parts, of which the first has so few bits that its multiples are exact.
    let r = multiply_add::<FMA>(n, -0.693_359_4, x);
    let r = multiply_add::<FMA>(n, 2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = multiply_add::<FMA>(p, r, coefficient);
    }
    let fraction = multiply_add::<FMA>(p, r * r, r) + 1.0;
    let exponent = rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    fraction * f32::from_bits(exponent)
}

/// The sum of all lanes, in a fixed order.
#[inline(always)]
pub(crate) fn sum(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// The greatest of all lanes.
#[inline(always)]
pub(crate) fn greatest(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = if lanes[lane + half] > lanes[lane] { lanes[lane + half] } else { lanes[lane] };
        }
        half /= 2;
    }
    lanes[0]
}

/// The last, shorter part of a row in full width.
#[inline(always)]
pub(crate) fn padded(tail: &[f32], padding: f32) -> [f32; LANES] {
    let mut lanes = [padding; LANES];
    lanes[..tail.len()].copy_from_slice(tail);
    lanes
}

/// The sum of a function of every element, in a fixed order.
#[inline(always)]
pub(crate) fn total(values: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let (chunks, tail) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            sums[lane] += of(chunk[lane]);
        }
    }
    sum(sums) + tail.iter().map(|&value| of(value)).sum::<f32>()
}

/// The sum of a function of the elements of two rows, in a fixed order.
#[inline(always)]
pub(crate) fn total_of_two(a: &[f32], b: &[f32], of: impl Fn(f32, f32) -> f32) -> f32 {
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += of(a[lane], b[lane]);
        }
    }
    sum(sums) + a_tail.iter().zip(b_tail).map(|(&a, &b)| of(a, b)).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    vectorised! {
        fn exp_of_all(values: &mut [f32]) {
            for value in values {
                *value = exp::<FMA>(*value);
            }
        }
    }

    #[test]
    fn exp_is_right_over_its_range() {
        let inputs: Vec<f32> = (0..2_000_000).map(|i| -87.2 + 175.1 * i as f32 / 2e6).chain([0.0, -0.0, 1.0, -1.0]).collect();
        let mut vector = inputs.clone();
        exp_of_all(&mut vector);
        let check = |x: f32, got: f32| {
            let wanted = f64::from(x).exp();
            let error = (f64::from(got) - wanted).abs() / wanted;
            assert!(error < 2e-7, "exp({x}) is {got}, off by {error:e}");
        };
        for (&x, got) in inputs.iter().zip(vector) {
            check(x, got);
            check(x, exp::<false>(x));
        }
    }

    #[test]
    fn exp_keeps_nan_and_saturates() {
        assert!(exp::<false>(f32::NAN).is_nan());
        let mut values = [f32::NAN, f32::NEG_INFINITY, -1e30, 1e30];
        exp_of_all(&mut values);
        assert!(values[0].is_nan() && values[1] < 2e-38 && values[2] < 2e-38 && values[3] > 1e38 && values[3].is_finite());
    }

    #[test]
    fn reductions_see_every_lane() {
        let lanes: [f32; LANES] = std::array::from_fn(|lane| (lane * 7 % LANES) as f32);
        assert_eq!(sum(lanes), 120.0);
        assert_eq!(greatest(lanes), 15.0);
        assert_eq!(padded(&[1.0], 3.0)[..2], [1.0, 3.0]);
    }
}
