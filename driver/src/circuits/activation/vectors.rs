//! The interface to the things that a softmax runs on: numbers, ciphertexts or levels.

use super::layout::{Layout, Sums};
use crate::base::error::Result;
use crate::circuits::Chebyshev;

/// The operations of a softmax.
pub trait Vectors {
    /// A matrix, stored row by row in slots.
    type Vector: Clone;

    /// The positions of the entries.
    fn layout(&self) -> &Layout;

    /// Computes a + b.
    ///
    /// # Errors
    /// Those of the evaluator, here and below.
    fn add(&self, a: &Self::Vector, b: &Self::Vector) -> Result<Self::Vector>;

    /// Computes a − b.
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn sub(&self, a: &Self::Vector, b: &Self::Vector) -> Result<Self::Vector>;

    /// Computes a·b, entry by entry. This takes one level.
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn mul(&self, a: &Self::Vector, b: &Self::Vector) -> Result<Self::Vector>;

    /// Multiplies a by a constant for every slot. This takes one level.
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn mul_slots(&self, a: &Self::Vector, constants: &[f64]) -> Result<Self::Vector>;

    /// Adds a constant for every slot to a.
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn add_slots(&self, a: &Self::Vector, constants: &[f64]) -> Result<Self::Vector>;

    /// Computes p(a). This takes ⌈log2(degree + 1)⌉ levels,
    /// and one more for an interval other than [−1, 1].
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn polynomial(&self, a: &Self::Vector, p: &Chebyshev) -> Result<Self::Vector>;

    /// Rotates the slots by k classes to the left; with a cyclic layout, this happens within rows.
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn rotate(&self, a: &Self::Vector, k: i64) -> Result<Self::Vector>;

    /// Adds to a its rotation by k classes (see [`Vectors::rotate`]).
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn rotate_sum(&self, a: &Self::Vector, k: i64) -> Result<Self::Vector> {
        self.add(a, &self.rotate(a, k)?)
    }

    /// Marks a place where all vectors that are still needed may be bootstrapped.
    /// Each comes with a bound on its magnitude. They are bootstrapped if the plan says so,
    /// except those at or above the output level of the bootstrapping. Up to the next such place,
    /// all of them consume the same levels as if they came from one level.
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn checkpoint(&self, live: &mut [(&mut Self::Vector, f64)]) -> Result<()> {
        self.checkpoint_amplified(live, 0)
    }

    /// Does the same with 2^`log_gain` times less noise,
    /// but with the error of the sine of entries up to 2^`log_gain` times
    /// the bound ([`Bootstrap::bootstrap_bounded`](crate::circuits::Bootstrap::bootstrap_bounded)).
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn checkpoint_amplified(&self, live: &mut [(&mut Self::Vector, f64)], log_gain: u32) -> Result<()>;

    /// Copies the value in the first class of every row to all its classes. This takes a level
    /// for the mask, unless the layout is cyclic, where all classes are assumed to be equal.
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn broadcast(&self, a: &Self::Vector) -> Result<Self::Vector> {
        if self.layout().is_cyclic() {
            return Ok(a.clone());
        }
        self.fold(self.mul_slots(a, &self.layout().first_classes())?, -1)
    }

    /// Returns for every slot the sum over as many classes as there are, padding included,
    /// beginning with that slot. The slots are rotated to the left (1) or to the right (−1).
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn fold(&self, mut a: Self::Vector, direction: i64) -> Result<Self::Vector> {
        for k in powers(self.layout().padded_classes()) {
            a = self.rotate_sum(&a, direction * k)?;
        }
        Ok(a)
    }

    /// Returns the sum of every row, padding included, in all its classes.
    /// Between the rows of a skewed layout, the result is a part of the sum of one row.
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn row_sum(&self, a: &Self::Vector) -> Result<Self::Vector> {
        let left = self.fold(a.clone(), 1)?;
        match self.layout().sums() {
            Sums::Cyclic => Ok(left),
            Sums::TwoSided => self.sub(&self.add(&left, &self.fold(a.clone(), -1)?)?, a),
            Sums::Masked => self.broadcast(&left),
        }
    }
}

/// Returns 1, 2, 4, … below n.
pub(super) fn powers(n: usize) -> impl Iterator<Item = i64> {
    (0..n.ilog2()).map(|i| 1i64 << i)
}
