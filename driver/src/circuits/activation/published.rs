//! The softmax of HETAL (the paper): approximate maximum, domain extension,
//! exponential, Goldschmidt's inverse (Lee, Lee, Kim, Shin and Lee,
//! [ICML 2023](https://arxiv.org/abs/2403.14111), Algorithm 1).
//!
//! The table is for logits in [−R, R], with base range r = 8, ratio L = 2 and R ≤ R_n = (r/2)·L^n:
//!
//! | step | computation | levels |
//! |---|---|---|
//! | scale | maps x, or x/R if that is the input, to x/2R_n in [−1/2, 1/2], with padding −1/2 for the maximum and 0 for the rest | 1 |
//! | maximum | takes max(a, b) ≈ b + (a − b)·(1 + f(g(g(a − b))))/2 over pairs, then pairs of pairs; the result is subtracted | 10·⌈log2 c⌉ |
//! | extension | applies n times w ↦ L·w − (4/27)·L³·w³, which maps [−r·L^(i+1), r·L^(i+1)]/r·L^(i+1) to [−r·L^i, r·L^i]/r·L^i | 2n |
//! | precise | applies w ↦ w + κ·(w³ − w⁵), which removes the error of third order; not in the normal variant | 3 |
//! | exponential | evaluates a polynomial of degree 8 for e^w and squares it three times: e^(8w) | 7 |
//! | inverse | computes 1/s = (2 − s)·∏ (1 + (1 − s)^(2^i)), i = 1 … 16, for s = Σ e/100 | 17 |
//! | product | multiplies the exponentials by the inverse | 1 |
//!
//! In total, that is 56 levels for up to 4 classes, 66 for 8 and 76 for 16, at R = 128.
//! The factor 1/100 is part of the coefficients of the exponential.
//! Maxima are taken of pairs at the distance c'/2 first, then c'/4 and so on.
//! All classes of a row then have the same maximum, although it is approximate.
//!
//! **Theorem 1.** If softmax is approximated within ε on the base range,
//! the extended one has an error below β + ε. Here β is derived as follows.
//! Softmax does not change when a number is subtracted from the whole row. So let z_i be
//! the logits minus the approximate maximum. This maximum falls short of the true one by at most δ,
//! so that the largest logit is z_0 in [0, δ]. Let D be the extension, r_i = e^(z_i − z_0)
//! and r̃_i = e^(D(z_i) − D(z_0)). An entry of softmax is r_i/(1 + Σ_(j>0) r_j),
//! whose derivatives by all r_j are at most 1 in magnitude. Hence the error is at most
//!
//! Σ_(j>0) |r̃_j − r_j| ≤ β = (c − 1)·max |e^(D(z) − D(z_0)) − e^(z − z_0)|
//!
//! over −2R_n ≤ z ≤ z_0 ≤ δ.
//!
//! For δ: in units of 2R_n, a maximum of two falls short
//! by at most δ_1 = max d·(1 − f(g(g(d))))/2 over 0 ≤ d ≤ 1, and it never exceeds the true one.
//! ⌈log2 c⌉ rounds of such maxima fall short by at most ⌈log2 c⌉·δ_1.
//!
//! **Limits.** Sums are at most c·e^D(δ). Where that is above 200, nothing
//! excludes rows for which the inverse diverges, although none of the random rows of a table does.
//! [`Published::shortfall`] tells δ.

use super::softmax::check_classes;
use super::vectors::powers;
use super::{Layout, Softmax, Vectors};
use crate::base::error::{Result, check_integer, check_range};
use crate::circuits::Chebyshev;
use crate::circuits::polynomial::minimax::exponential;

/// The base range r: the exponential is approximated on [−r, r].
const BASE: f64 = 8.0;
/// The ratio L of the domain extension.
const RATIO: f64 = 2.0;
/// The divisor of sums. Goldschmidt's inverse converges for sums below twice this value.
const SUM: f64 = 100.0;
/// The number of factors of the inverse.
const ITERATIONS: usize = 16;
/// The number of squarings after the exponential, from e^w to e^8w.
const SQUARINGS: usize = 3;
/// The number of applications of g before that of f.
const ROUGH: usize = 2;

/// The settings of [`Published::new`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PublishedConfig {
    /// The number of classes.
    pub classes: usize,
    /// The range R: logits are in [−R, R].
    pub range: f64,
    /// Whether to apply the correction of third order.
    pub precise: bool,
    /// Whether the input is x/R already.
    pub scaled: bool,
}

/// The softmax of HETAL (the paper) for a range and a number of classes.
#[derive(Clone, Debug)]
pub struct Published {
    config: PublishedConfig,
    extensions: usize,
    /// The polynomial g.
    rough: Chebyshev,
    /// The polynomial f/2.
    fine: Chebyshev,
    extension: Chebyshev,
    correction: Option<Chebyshev>,
    exponential: Chebyshev,
    /// The relative error of the exponential, before squaring.
    error: f64,
}

/// Returns the odd polynomial Σ c_i·x^(2i+1), whose even coefficients are exactly zero.
fn odd(c: &[f64]) -> Chebyshev {
    let degree = 2 * c.len() - 1;
    let p = Chebyshev::interpolate(|x| x * c.iter().rev().fold(0.0, |sum, c| sum * x * x + c), degree, [-1.0, 1.0]);
    let keep = |(i, &c): (usize, &f64)| if i % 2 == 1 { c } else { 0.0 };
    Chebyshev::new(p.coefficients().iter().enumerate().map(keep).collect(), [-1.0, 1.0])
}

impl Published {
    /// The largest number of classes: Goldschmidt's inverse was not made for the sums of more.
    pub const MOST_CLASSES: usize = 16;

    /// Chooses n as the smallest number with R ≤ (r/2)·L^n.
    ///
    /// # Errors
    /// [`Error::Range`](crate::Error::Range) for fewer than two or more than 16 classes,
    /// for whose sums Goldschmidt's inverse was not made, or a range outside [0.1, 1024].
    pub fn new(config: PublishedConfig) -> Result<Self> {
        check_integer("classes", config.classes, 2, Self::MOST_CLASSES)?;
        check_range("range", config.range, 0.1, 1024.0)?;
        let reached = |n: &usize| BASE / 2.0 * RATIO.powi(*n as i32) >= config.range;
        let extensions = (0..).find(reached).expect("powers grow");
        let third = 4.0 / 27.0;
        let squared = RATIO * RATIO;
        let power = squared.powi(extensions as i32);
        let kappa = third * (power - 1.0) / (power / squared * (squared - 1.0));
        let best = exponential(8, [-1.0, 1.0])?;
        let factor = SUM.powf(-1.0 / f64::from(1u32 << SQUARINGS));
        Ok(Self {
            config,
            extensions,
            rough: odd(&[4589.0, -16577.0, 25614.0, -12860.0].map(|c| c / 1024.0)),
            fine: odd(&[35.0, -35.0, 21.0, -5.0].map(|c| c / 32.0)),
            extension: odd(&[RATIO, -third * RATIO.powi(3)]),
            correction: (config.precise && extensions > 0).then(|| odd(&[1.0, kappa, -kappa])),
            exponential: Chebyshev::new(
                best.polynomial.coefficients().iter().map(|c| c * factor).collect(),
                [-1.0, 1.0],
            ),
            error: best.error,
        })
    }

    /// The settings that the softmax was made from.
    #[must_use]
    pub const fn config(&self) -> &PublishedConfig {
        &self.config
    }

    /// The number n of extensions.
    #[must_use]
    pub const fn extensions(&self) -> usize {
        self.extensions
    }

    /// The width 2R_n of the extended range.
    fn width(&self) -> f64 {
        BASE * RATIO.powi(self.extensions as i32)
    }

    /// The largest input: 1 if it is scaled already, otherwise R.
    const fn bound(&self) -> f64 {
        if self.config.scaled { 1.0 } else { self.config.range }
    }

    /// Returns D(z), the extension of a logit minus the maximum.
    #[must_use]
    pub fn extended(&self, z: f64) -> f64 {
        let w = (0..self.extensions).fold(z / self.width(), |w, _| self.extension.evaluate(w));
        BASE * self.correction.as_ref().map_or(w, |p| p.evaluate(w))
    }

    /// Returns δ, the largest amount by which the approximate maximum falls short of the true one.
    #[must_use]
    pub fn shortfall(&self) -> f64 {
        let sign = |d: f64| 2.0 * self.fine.evaluate((0..ROUGH).fold(d, |d, _| self.rough.evaluate(d)));
        let steps = 20_000;
        let short = |d: f64| d * (1.0 - sign(d)) / 2.0;
        let one = (0..=steps).map(|i| short(f64::from(i) / f64::from(steps))).fold(0.0, f64::max);
        one * self.width() * f64::from(self.config.classes.next_power_of_two().ilog2())
    }

    /// Returns β of Theorem 1, computed over a grid.
    #[must_use]
    pub fn beta(&self) -> f64 {
        let (steps, delta) = (4000, self.shortfall());
        let mut largest = 0.0f64;
        for top in (0..=40).map(|i| delta * f64::from(i) / 40.0) {
            let at_top = self.extended(top);
            for z in (0..=steps).map(|i| top - (self.width() + top) * (f64::from(i) / f64::from(steps)).powi(3)) {
                let difference = (self.extended(z) - at_top).exp() - (z - top).exp();
                largest = largest.max(difference.abs());
            }
        }
        (self.config.classes - 1) as f64 * largest
    }

    /// Returns ε of Theorem 1, which follows from the relative error of the exponential.
    /// In `f64`, Goldschmidt's inverse has no error for sums from 1 to 199.
    #[must_use]
    pub fn base_error(&self) -> f64 {
        ((1.0 + self.error) / (1.0 - self.error)).powi(1i32 << SQUARINGS) - 1.0
    }

    /// Returns the approximate maximum of every row, where `a` has x scaled with padding −1/2.
    /// The result is zero in the padding.
    fn maximum<E: Vectors>(&self, vectors: &E, x: &mut E::Vector, mut a: E::Vector) -> Result<E::Vector> {
        let layout = *vectors.layout();
        let (bound, mask) = (self.bound(), layout.fill(|_, _| 1.0, 0.0));
        let half = vec![0.5; layout.slots()];
        let distances: Vec<i64> = powers(layout.padded_classes()).collect();
        for &k in distances.iter().rev() {
            vectors.checkpoint(&mut [(&mut *x, bound), (&mut a, 0.5)])?;
            let mut sign = vectors.sub(&a, &vectors.rotate(&a, k)?)?;
            for _ in 0..ROUGH {
                sign = vectors.polynomial(&sign, &self.rough)?;
                vectors.checkpoint(&mut [(&mut *x, bound), (&mut a, 0.5), (&mut sign, 1.0)])?;
            }
            let weight = vectors.add_slots(&vectors.polynomial(&sign, &self.fine)?, &half)?;
            // The difference is taken from a once more, because a may have been refreshed.
            // The product with the mask takes no level, because the weight is at a lower one.
            let mut other = vectors.rotate(&a, k)?;
            let mut difference = vectors.sub(&a, &other)?;
            if k == 1 && layout.is_cyclic() {
                other = vectors.mul_slots(&other, &mask)?;
                difference = vectors.mul_slots(&difference, &mask)?;
            }
            a = vectors.add(&vectors.mul(&difference, &weight)?, &other)?;
        }
        if layout.is_cyclic() { Ok(a) } else { vectors.mul_slots(&vectors.broadcast(&a)?, &mask) }
    }

    /// Returns e^z/100 for w = z/r. The result is zero in the padding, where w is zero.
    fn powers_of_e<E: Vectors>(&self, vectors: &E, w: &E::Vector, layout: &Layout) -> Result<E::Vector> {
        let mut e = vectors.polynomial(w, &self.exponential)?;
        let mut at_zero = self.exponential.evaluate(0.0);
        for _ in 0..SQUARINGS {
            vectors.checkpoint(&mut [(&mut e, 2.0)])?;
            e = vectors.mul(&e, &e)?;
            at_zero *= at_zero;
        }
        vectors.add_slots(&e, &layout.fill(|_, _| 0.0, -at_zero))
    }

    /// Returns e/Σ e.
    fn normalised<E: Vectors>(&self, vectors: &E, mut e: E::Vector, layout: &Layout) -> Result<E::Vector> {
        let constant = |c: f64| vec![c; layout.slots()];
        let sum = vectors.row_sum(&e)?;
        // In padded rows the inverse of 1 is computed, because that of 0 would be large.
        let mut sum = vectors.add_slots(&sum, &layout.padded_rows(1.0))?;
        vectors.checkpoint(&mut [(&mut e, 2.0), (&mut sum, 2.0)])?;
        let t = vectors.add_slots(&sum, &constant(-1.0))?;
        let mut t = vectors.mul(&t, &t)?;
        let factor = vectors.add_slots(&t, &constant(1.0))?;
        let product = vectors.mul(&sum, &factor)?;
        let mut y = vectors.sub(&vectors.add(&factor, &factor)?, &product)?;
        for _ in 1..ITERATIONS {
            t = vectors.mul(&t, &t)?;
            vectors.checkpoint(&mut [(&mut e, 2.0), (&mut t, 1.0), (&mut y, 128.0)])?;
            y = vectors.mul(&y, &vectors.add_slots(&t, &constant(1.0))?)?;
        }
        vectors.checkpoint(&mut [(&mut e, 2.0), (&mut y, 128.0)])?;
        vectors.mul(&e, &y)
    }
}

impl Softmax for Published {
    fn name(&self) -> String {
        if self.config.precise { "paper, precise" } else { "paper, normal" }.to_owned()
    }

    fn run<E: Vectors>(&self, vectors: &E, mut x: E::Vector) -> Result<E::Vector> {
        check_classes(vectors, self.config.classes)?;
        let layout = *vectors.layout();
        let factor = self.config.range / self.bound() / self.width();
        let scale = layout.fill(|_, _| factor, 0.0);
        vectors.checkpoint(&mut [(&mut x, self.bound())])?;
        let a = vectors.add_slots(&vectors.mul_slots(&x, &scale)?, &layout.fill(|_, _| 0.0, -0.5))?;
        let maximum = self.maximum(vectors, &mut x, a)?;
        // Scales x a second time, so that the vector that waits for the maximum has consumed
        // no level.
        let mut w = vectors.sub(&vectors.mul_slots(&x, &scale)?, &maximum)?;
        vectors.checkpoint(&mut [(&mut w, 1.0)])?;
        for p in std::iter::repeat_n(&self.extension, self.extensions).chain(&self.correction) {
            w = vectors.polynomial(&w, p)?;
            vectors.checkpoint(&mut [(&mut w, 1.0)])?;
        }
        let e = self.powers_of_e(vectors, &w, &layout)?;
        self.normalised(vectors, e, &layout)
    }
}
