//! Preprocessing that a client may do before it encrypts: features are brought to a common size for
//! which the learning rate 1 is safe.
//!
//! x = s·clip((raw − mean)/σ, −8, 8), where the mean and the standard deviation σ of every
//! feature are those of the training rows; later rows are normalised with the same numbers.
//! A feature that is constant in the training rows becomes 0.
//!
//! **The scale s** is chosen so that Nesterov's method with learning rate 1 is stable.
//! Gradient descent with rate η and momentum is stable if the Hessian of the loss has no eigenvalue
//! above 1/η. For softmax regression over rows (x, 1) the Hessian is the mean of (diag(p) − p·pᵀ)
//! ⊗ (x, 1)(x, 1)ᵀ. Its first factor has no eigenvalue above 1/2, whatever the probabilities p are:
//! hence the largest eigenvalue of the Hessian is at most half of λ, the largest eigenvalue of the
//! mean of (x, 1)(x, 1)ᵀ, and λ ≤ 2 is sufficient. Let z = x/s, let μ be the largest eigenvalue of
//! the mean of z·zᵀ, found by power iteration, and let m be the mean of z (0 except for clipping).
//! With vectors (u, b) one has λ ≤ max (s²μ·u² + 2s|m|·u·b + b²)/(u² + b²).
//! This bound is 2 where (2 − s²μ)·(2 − 1) = s²m², which gives s = √(2/(μ + m²)).
//!
//! Batches are smaller than the training set and may have somewhat larger eigenvalues;
//! with the momenta of Nesterov's method a quadratic stays stable up to 4/3 of the bound.
//! The factor 1/2 is reached only by rows that are half one class and half another.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::dataset::{Dataset, Split};
use crate::base::error::{Error, Result, check_count};

/// Standardised features are clipped to [−`CLIP`, `CLIP`].
const CLIP: f64 = 8.0;
/// The bound on the largest eigenvalue of the mean of (x, 1)(x, 1)ᵀ:
/// twice the reciprocal of the learning rate.
const EIGENVALUE: f64 = 2.0;
/// Power iteration ends when the eigenvalue grows by less than this fraction of itself.
const TOLERANCE: f64 = 1e-6;
const ITERATIONS: usize = 1000;
/// The number of rows that are summed in one piece, whatever the number of threads.
const ROWS: usize = 256;

/// The parameters with which features are normalised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normaliser {
    /// The mean of every feature.
    mean: Vec<f64>,
    /// The reciprocal of the standard deviation of every feature; 0 for constant ones.
    inverse: Vec<f64>,
    /// The scale s.
    scale: f64,
}

impl Normaliser {
    /// Computes the normaliser of training rows.
    ///
    /// # Errors
    /// [`Error::Malformed`] if all features are constant.
    pub fn fit(train: &Split) -> Result<Self> {
        let n = train.rows() as f64;
        let columns = train.columns;
        let mut mean = sum(train, columns, |x, sum| zip(sum, x, |sum, x| *sum += x));
        mean.iter_mut().for_each(|x| *x /= n);
        let squares = sum(train, columns, |x, sum| {
            sum.iter_mut().zip(x).zip(&mean).for_each(|((sum, x), mean)| *sum += (f64::from(*x) - mean).powi(2));
        });
        let inverse = squares.iter().map(|&square| if square > 0.0 { (square / n).sqrt().recip() } else { 0.0 });
        let mut found = Self { inverse: inverse.collect(), mean, scale: 1.0 };
        // The total adds |m|² (`shift`) to the largest eigenvalue μ of the standardised features.
        let shift = sum(train, columns, |x, sum| zip(sum, &found.row(x), |sum, z| *sum += z));
        let shift = shift.iter().map(|x| (x / n).powi(2)).sum::<f64>();
        let total = largest_eigenvalue(train, columns, |x| found.row(x)) + shift;
        if total <= 0.0 {
            let wanted = "at least 1: features that are the same in all rows tell nothing";
            return Err(Error::malformed("training rows", "features that vary", 0, wanted));
        }
        found.scale = (EIGENVALUE / total).sqrt();
        Ok(found)
    }

    /// Refuses a normaliser that was read and is invalid: with numbers that are not finite,
    /// or lists of different lengths.
    ///
    /// # Errors
    /// [`Error::Count`], [`Error::Malformed`].
    pub fn check(&self) -> Result<()> {
        check_count("reciprocals of deviations", self.inverse.len(), self.mean.len())?;
        let wrong = self.mean.iter().chain(&self.inverse).chain([&self.scale]).find(|x| !x.is_finite());
        wrong.map_or(Ok(()), |x| Err(Error::malformed("normaliser", "number", x, "finite")))
    }

    /// Returns the scale s.
    #[must_use]
    pub const fn scale(&self) -> f64 {
        self.scale
    }

    /// Normalises rows of features.
    ///
    /// # Errors
    /// [`Error::Count`] for rows of another number of features than the normaliser
    /// was computed from.
    pub fn apply(&self, values: &mut [f32], columns: usize) -> Result<()> {
        let wanted = self.mean.len();
        if columns != wanted || self.inverse.len() != wanted {
            return Err(Error::Count { what: "features", found: columns, wanted });
        }
        values.par_chunks_mut(columns).for_each(|row| row.copy_from_slice(&self.row(row)));
        Ok(())
    }

    /// Normalises all splits.
    ///
    /// # Errors
    /// As [`Normaliser::apply`].
    pub fn apply_to(&self, dataset: &mut Dataset) -> Result<()> {
        let Dataset { train, val, test, .. } = dataset;
        [Some(train), val.as_mut(), test.as_mut()]
            .into_iter()
            .flatten()
            .try_for_each(|split| self.apply(&mut split.features, split.columns))
    }

    fn row(&self, raw: &[f32]) -> Vec<f32> {
        let standardise = |((x, mean), inverse): ((&f32, &f64), &f64)| {
            (self.scale * ((f64::from(*x) - mean) * inverse).clamp(-CLIP, CLIP)) as f32
        };
        raw.iter().zip(&self.mean).zip(&self.inverse).map(standardise).collect()
    }
}

/// Returns the size of the features as training sees it: half of the largest eigenvalue of the mean
/// of (x, 1)(x, 1)ᵀ, which bounds the largest eigenvalue of the Hessian of the loss (see above).
/// Training is certainly stable if the learning rate is at most the reciprocal of this.
#[must_use]
pub fn curvature(train: &Split) -> f64 {
    largest_eigenvalue(train, train.columns + 1, |x| [x, &[1.0]].concat()) / EIGENVALUE
}

/// Returns the largest eigenvalue of the mean of z·zᵀ, where `row` turns a row of features into a
/// vector z of `numbers` numbers.
fn largest_eigenvalue(train: &Split, numbers: usize, row: impl Fn(&[f32]) -> Vec<f32> + Sync) -> f64 {
    // No symmetry of the data makes this start vector orthogonal to an eigenvector.
    let mut vector: Vec<f64> = (0..numbers).map(|j| 1.0 + (j as f64).sin() / 2.0).collect();
    let mut eigenvalue = 0.0;
    for _ in 0..ITERATIONS {
        let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm == 0.0 {
            return 0.0;
        }
        vector.iter_mut().for_each(|x| *x /= norm);
        let product = sum(train, numbers, |x, sum| {
            let z = row(x);
            let factor = z.iter().zip(&vector).map(|(z, v)| f64::from(*z) * v).sum::<f64>();
            zip(sum, &z, |sum, z| *sum += factor * z);
        });
        let next = product.iter().zip(&vector).map(|(a, b)| a * b).sum::<f64>() / train.rows() as f64;
        vector = product;
        if next - eigenvalue <= TOLERANCE * next {
            return next;
        }
        eigenvalue = next;
    }
    eigenvalue
}

fn zip(to: &mut [f64], from: &[f32], f: impl Fn(&mut f64, f64)) {
    to.iter_mut().zip(from).for_each(|(to, from)| f(to, f64::from(*from)));
}

/// Returns a sum of vectors of length `numbers` over rows; `add` adds a row.
/// The result is the same for every number of threads.
fn sum(split: &Split, numbers: usize, add: impl Fn(&[f32], &mut [f64]) + Sync) -> Vec<f64> {
    let part = |rows: &[f32]| {
        let mut sum = vec![0.0; numbers];
        rows.chunks_exact(split.columns).for_each(|row| add(row, &mut sum));
        sum
    };
    let parts: Vec<Vec<f64>> = split.features.par_chunks(ROWS * split.columns).map(part).collect();
    let mut total = vec![0.0; numbers];
    parts.iter().for_each(|part| total.iter_mut().zip(part).for_each(|(total, x)| *total += x));
    total
}
