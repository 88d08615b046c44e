//! The quality of logits on rows whose classes are known.

use super::log::Quality;

/// Returns the mean cross-entropy, the accuracy and the largest logit.
///
/// # Panics
/// If there is not one label per row, or a label is not a class.
#[must_use]
pub fn quality(logits: &[Vec<f64>], labels: &[u32]) -> Quality {
    assert_eq!(logits.len(), labels.len(), "one label per row");
    let n = labels.len() as f64;
    let pairs = || logits.iter().zip(labels);
    let loss = pairs().map(|(row, &label)| cross_entropy(row, label)).sum::<f64>() / n;
    let right = pairs().filter(|&(row, &label)| predicted(row) == label as usize).count();
    Quality { loss, accuracy: right as f64 / n, max_logit: largest(logits) }
}

/// Returns the largest magnitude of a logit. NaN counts as the largest value,
/// so that it is visible.
#[must_use]
pub fn largest(logits: &[Vec<f64>]) -> f64 {
    let larger = |a: f64, b: f64| if b > a || b.is_nan() { b } else { a };
    logits.iter().flatten().map(|x| x.abs()).fold(0.0, larger)
}

/// Returns −log of the probability of a class.
fn cross_entropy(row: &[f64], label: u32) -> f64 {
    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|x| (x - top).exp()).sum();
    sum.ln() + top - row[label as usize]
}

/// Returns the class with the largest logit or probability; of equal ones, the first.
#[must_use]
pub fn predicted(row: &[f64]) -> usize {
    (0..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best })
}

/// Numbers of rows by their true and their predicted classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    counts: Vec<Vec<usize>>,
}

impl Confusion {
    /// Counts the rows.
    ///
    /// # Panics
    /// As [`quality`].
    #[must_use]
    pub fn new(logits: &[Vec<f64>], labels: &[u32], classes: usize) -> Self {
        assert_eq!(logits.len(), labels.len(), "one label per row");
        let mut counts = vec![vec![0; classes]; classes];
        logits.iter().zip(labels).for_each(|(row, &label)| counts[label as usize][predicted(row)] += 1);
        Self { counts }
    }

    /// Returns the numbers of rows by true class, then by predicted class.
    #[must_use]
    pub fn counts(&self) -> &[Vec<usize>] {
        &self.counts
    }

    /// Returns the fraction of the rows predicted to be of `class` that are of this class;
    /// `None` if no row is predicted to be.
    ///
    /// # Panics
    /// If there is no such class, here and below.
    #[must_use]
    pub fn precision(&self, class: usize) -> Option<f64> {
        part(self.counts[class][class], self.counts.iter().map(|row| row[class]).sum())
    }

    /// Returns the fraction of the rows of `class` that are predicted to be of it;
    /// `None` if the class has no rows.
    #[must_use]
    pub fn recall(&self, class: usize) -> Option<f64> {
        part(self.counts[class][class], self.counts[class].iter().sum())
    }
}

fn part(of: usize, all: usize) -> Option<f64> {
    (all > 0).then(|| of as f64 / all as f64)
}
