//! What a softmax runs on: numbers, ciphertexts or levels.

use super::layout::{Layout, Sums};
use crate::base::error::Result;
use crate::circuits::Chebyshev;

/// What a softmax runs on.
pub trait Vectors {
    /// A matrix, row by row in slots.
    type Vector: Clone;

    /// Where its entries are.
    fn layout(&self) -> &Layout;

    /// a + b.
    ///
    /// # Errors
    /// Those of the evaluator: here and below.
    fn add(&self, a: &Self::Vector, b: &Self::Vector) -> Result<Self::Vector>;

    /// a − b.
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn sub(&self, a: &Self::Vector, b: &Self::Vector) -> Result<Self::Vector>;

    /// a·b, entry by entry: one level.
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn mul(&self, a: &Self::Vector, b: &Self::Vector) -> Result<Self::Vector>;

    /// a times one constant for every slot: one level.
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn mul_slots(&self, a: &Self::Vector, constants: &[f64]) -> Result<Self::Vector>;

    /// a plus one constant for every slot.
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn add_slots(&self, a: &Self::Vector, constants: &[f64]) -> Result<Self::Vector>;

    /// p(a): ⌈log2(degree + 1)⌉ levels, and one more for an interval other than [−1, 1].
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn polynomial(&self, a: &Self::Vector, p: &Chebyshev) -> Result<Self::Vector>;

    /// Slots rotated by k classes to the left; with a cyclic layout, within rows.
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn rotate(&self, a: &Self::Vector, k: i64) -> Result<Self::Vector>;

    /// a plus a rotated by k classes, as [`Vectors::rotate`].
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn rotate_sum(&self, a: &Self::Vector, k: i64) -> Result<Self::Vector> {
        self.add(a, &self.rotate(a, k)?)
    }

    /// A place where all that is still needed may be bootstrapped, each with a bound on its magnitude: taken if the plan says so, but
    /// for what has the output level of the bootstrapping, or a higher one. Up to the next such place all consume the same levels as if they came from one
    /// level.
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn checkpoint(&self, live: &mut [(&mut Self::Vector, f64)]) -> Result<()> {
        self.checkpoint_amplified(live, 0)
    }

    /// The same with 2^`log_gain` times less noise, for the error of the sine of entries up to 2^`log_gain` times the bound
    /// ([`Bootstrap::bootstrap_bounded`](crate::circuits::Bootstrap::bootstrap_bounded)).
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn checkpoint_amplified(&self, live: &mut [(&mut Self::Vector, f64)], log_gain: u32) -> Result<()>;

    /// What the first class of every row has, in all its classes: takes a level, for the mask, unless the layout is cyclic, where all
    /// classes are taken to be equal.
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn broadcast(&self, a: &Self::Vector) -> Result<Self::Vector> {
        if self.layout().is_cyclic() {
            return Ok(a.clone());
        }
        self.fold(self.mul_slots(a, &self.layout().first_classes())?, -1)
    }

    /// The sum of as many classes as there are, padding included, from every slot on, to the left (1) or to the right (−1).
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn fold(&self, mut a: Self::Vector, direction: i64) -> Result<Self::Vector> {
        for k in powers(self.layout().padded_classes()) {
            a = self.rotate_sum(&a, direction * k)?;
        }
        Ok(a)
    }

    /// The sum of every row, padding included, in all its classes. Between rows of a skewed layout it is a part of the sum of one row.
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

/// 1, 2, 4, … below n.
pub(super) fn powers(n: usize) -> impl Iterator<Item = i64> {
    (0..n.ilog2()).map(|i| 1i64 << i)
}
