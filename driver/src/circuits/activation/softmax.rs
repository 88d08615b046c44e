//! The parts that all variants of softmax have in common.

use super::vectors::Vectors;
use crate::base::error::{Result, check_count};

/// A way to compute softmax.
pub trait Softmax {
    /// The name of the variant.
    fn name(&self) -> String;

    /// Computes the softmax of every row, with zeros in the padding.
    ///
    /// # Errors
    /// Those of the evaluator; [`Error::Count`](crate::Error::Count) if the number
    /// of classes is not the one that the variant was made for.
    fn run<E: Vectors>(&self, vectors: &E, x: E::Vector) -> Result<E::Vector>;
}

/// Computes the exact softmax of a row.
#[must_use]
pub fn exact(row: &[f64]) -> Vec<f64> {
    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = row.iter().map(|x| (x - top).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|x| x / sum).collect()
}

/// Returns the bound for a bootstrapping of entries up to `bound`, amplified by 2^`log_gain`.
/// It is at least 2⁻⁸, because below that, rounding after the bootstrapping dominates.
pub(super) fn log_bound(bound: f64, log_gain: u32) -> i32 {
    (bound.log2().ceil() as i32).saturating_sub(log_gain as i32).max(-8)
}

pub(super) fn check_classes<E: Vectors>(vectors: &E, wanted: usize) -> Result<()> {
    check_count("classes", vectors.layout().classes(), wanted)
}
