//! Means with standard errors clustered by prompt.

use std::collections::BTreeMap;

/// A mean and its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// The mean over observations.
    pub mean: f64,
    /// Its standard error over clusters; 0 with fewer than two clusters.
    pub se: f64,
    /// Number of clusters.
    pub clusters: usize,
}

/// The mean of (cluster, value) observations. Its error treats clusters, not observations, as independent: with m
/// clusters of sizes n_i and sums s_i, se^2 = m / (m - 1) * sum_i (s_i - n_i mean)^2 / n^2 (Liang and Zeger 1986).
pub fn clustered_mean(observations: impl IntoIterator<Item = (usize, f64)>) -> Mean {
    let mut clusters: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (cluster, value) in observations {
        let entry = clusters.entry(cluster).or_default();
        entry.0 += value;
        entry.1 += 1.0;
    }
    let (sum, count) = clusters.values().fold((0.0, 0.0), |(sum, count), (s, n)| (sum + s, count + n));
    let mean = sum / count;
    let m = clusters.len() as f64;
    let squares: f64 = clusters.values().map(|(s, n)| (s - n * mean).powi(2)).sum();
    let se = if clusters.len() > 1 { (m / (m - 1.0) * squares).sqrt() / count } else { 0.0 };
    Mean { mean, se, clusters: clusters.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_one_observation_a_cluster_it_is_the_textbook_error() {
        let values = [1.0, 4.0, 2.0, 8.0];
        let mean = clustered_mean(values.into_iter().enumerate());
        let m = values.iter().sum::<f64>() / 4.0;
        let sd = (values.iter().map(|v| (v - m).powi(2)).sum::<f64>() / 3.0).sqrt();
        assert!((mean.mean - m).abs() < 1e-12 && (mean.se - sd / 2.0).abs() < 1e-12);
    }

    #[test]
    fn repeating_observations_inside_clusters_adds_no_certainty() {
        let values = [1.0, 4.0, 2.0, 8.0];
        let once = clustered_mean(values.into_iter().enumerate());
        let thrice = clustered_mean(values.into_iter().enumerate().flat_map(|pair| [pair; 3]));
        assert!((once.se - thrice.se).abs() < 1e-12 && (once.mean - thrice.mean).abs() < 1e-12);
    }

    #[test]
    fn one_cluster_has_no_error() {
        assert_eq!(clustered_mean([(7, 1.0), (7, 3.0)]), Mean { mean: 2.0, se: 0.0, clusters: 1 });
    }
}
