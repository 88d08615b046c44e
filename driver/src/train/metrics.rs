//! How good logits are, on rows whose classes are known.

use super::log::Quality;

/// Mean cross-entropy, accuracy and the largest logit.
///
/// # Panics
/// If there is not one label per row, or a label that is no class.
#[must_use]
pub fn quality(logits: &[Vec<f64>], labels: &[u32]) -> Quality {
    assert_eq!(logits.len(), labels.len(), "one label per row");
    let n = labels.len() as f64;
    let pairs = || logits.iter().zip(labels);
    let loss = pairs().map(|(row, &label)| cross_entropy(row, label)).sum::<f64>() / n;
    let right = pairs().filter(|&(row, &label)| predicted(row) == label as usize).count();
    Quality { loss, accuracy: right as f64 / n, max_logit: largest(logits) }
}

/// The largest magnitude of a logit. One that is not a number counts as the largest, so that it is visible.
#[must_use]
pub fn largest(logits: &[Vec<f64>]) -> f64 {
    let larger = |a: f64, b: f64| if b > a || b.is_nan() { b } else { a };
    logits.iter().flatten().map(|x| x.abs()).fold(0.0, larger)
}

/// −log of the probability of a class.
fn cross_entropy(row: &[f64], label: u32) -> f64 {
    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|x| (x - top).exp()).sum();
    sum.ln() + top - row[label as usize]
}

/// The class with the largest logit, or probability; of equal ones the first.
#[must_use]
pub fn predicted(row: &[f64]) -> usize {
    (0..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best })
}

/// Rows counted by their true and their predicted classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    counts: Vec<Vec<usize>>,
}

impl Confusion {
    /// Counts rows.
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

    /// Rows by true class, then by predicted class.
    #[must_use]
    pub fn counts(&self) -> &[Vec<usize>] {
        &self.counts
    }

    /// Of the rows predicted to be of a class, the part that is; none if there are none.
    ///
    /// # Panics
    /// If there is no such class, here and below.
    #[must_use]
    pub fn precision(&self, class: usize) -> Option<f64> {
        part(self.counts[class][class], self.counts.iter().map(|row| row[class]).sum())
    }

    /// Of the rows of a class, the part predicted to be; none if there are none.
    #[must_use]
    pub fn recall(&self, class: usize) -> Option<f64> {
        part(self.counts[class][class], self.counts[class].iter().sum())
    }
}

fn part(of: usize, all: usize) -> Option<f64> {
    (all > 0).then(|| of as f64 / all as f64)
}
