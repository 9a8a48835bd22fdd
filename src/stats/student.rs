//! Quantiles of 95% intervals.

/// The 97.5% quantile of the standard normal.
pub(super) const NORMAL: f64 = 1.959_963_985;

/// The 97.5% quantile of Student's t, for a whole number of degrees of freedom (the normal's where that is 0).
pub(super) fn student(freedom: usize) -> f64 {
    let z = |power: i32| NORMAL.powi(power);
    let n = freedom as f64;
    // The expansion of Cornish and Fisher needs 4 degrees of freedom for 3 digits.
    match freedom {
        0 => NORMAL,
        1 => 12.706,
        2 => 4.303,
        3 => 3.182,
        _ => {
            NORMAL
                + (z(3) + z(1)) / (4.0 * n)
                + (5.0 * z(5) + 16.0 * z(3) + 3.0 * z(1)) / (96.0 * n.powi(2))
                + (3.0 * z(7) + 19.0 * z(5) + 17.0 * z(3) - 15.0 * z(1)) / (384.0 * n.powi(3))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn student_quantiles_are_the_tables() {
        for (freedom, wanted) in [(1, 12.706), (2, 4.303), (4, 2.776), (9, 2.262), (30, 2.042), (1_000_000, 1.960)] {
            assert!((student(freedom) / wanted - 1.0).abs() < 0.004, "{freedom}");
        }
    }
}
