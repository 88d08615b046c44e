//! Normalise and square (Cho, Hanrot, Kim, Park and Stehlé,
//! [CCS 2024](https://eprint.iacr.org/2024/182)).
//!
//! The method computes y = exp(x/2^k) and then repeats y ← y²/Σ y² k times.
//! A common factor of y cancels in the next step, so only the last inverse has to be accurate.
//!
//! **Intervals.** With |x| ≤ R and a = R/2^k, the first Σ y² is in [c·e^−2a, c·e^2a].
//! An inverse with the relative error ε leaves 1 − ε ≤ Σ y ≤ 1 + ε,
//! hence the next Σ y² is in [(1 − ε)²/c, (1 + ε)²].
//!
//! **Error.** With the relative error η of the exponential and ε of the last inverse,
//! the relative error of every result is at most (1 + ε)·((1 + η)/(1 − η))^(2^k) − 1.
//!
//! **Levels.** Inverses are polynomials on [−1, 1].
//! The map from [a, b] multiplies Σ y² by 2/(b − a), and hence y by the root of it, which
//! is put into the coefficients of the polynomial before. A step takes one level for the square,
//! ⌈log2(degree + 1)⌉ for the inverse and one for the product. The map of x to [−1, 1] takes
//! a level, in which padding is masked. Subtracting the mean of the classes takes another.
//!
//! | R | k | levels for 3 … 10 classes and an error of 10⁻³ (one more unless the input is scaled) |
//! |---|---|---|
//! | 4 | 2 | 14 – 15 |
//! | 8 | 3 | 18 – 19 |
//! | 16 | 4 | 23 – 24 |
//! | 32 | 5 | 28 – 29 |
//! | 128 | 8 (smaller intervals, inverses of degree 3), 7 for 10 classes | 36 – 39 |
//!
//! Each step doubles the range and takes four or five levels.
//! Rounding errors of y relative to Σ y are doubled by every square that follows: a level whose
//! slots have an error δ contributes up to 2^k·c·δ. For a given precision, this bounds the range,
//! rather than the approximation. The largest δ is that of a bootstrapping. Therefore y and y² are
//! amplified when they are bootstrapped, which reduces this error to an eighth.

use super::softmax::check_classes;
use super::{Softmax, Vectors};
use crate::base::error::{Error, Result, check_integer, check_range};
use crate::circuits::Chebyshev;
use crate::circuits::polynomial::minimax::{Minimax, exponential, inverse, inverse_error};

/// The settings of [`NormaliseSquare::new`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormaliseSquareConfig {
    /// The number of classes.
    pub classes: usize,
    /// The range R: logits are in [−R, R], after subtracting the mean if that is wanted
    /// (which takes [−R, R] to [−2R, 2R] at worst).
    pub range: f64,
    /// The wanted bound on the error.
    pub error: f64,
    /// Whether to subtract the mean of the classes first.
    pub centre: bool,
    /// Whether the input is x/R already, and zero in the padding.
    /// This saves a level and cannot be combined with `centre`.
    pub scaled: bool,
}

impl NormaliseSquareConfig {
    /// Settings for an error of 10⁻³ and inputs in [−R, R], without centring.
    #[must_use]
    pub const fn new(classes: usize, range: f64) -> Self {
        Self { classes, range, error: 1e-3, centre: false, scaled: false }
    }
}

/// One step, y ← y²·p(Σ y² − shift).
#[derive(Clone, Debug)]
struct Step {
    inverse: Chebyshev,
    shift: f64,
    /// A bound on y² and on Σ y².
    square: f64,
    /// The largest |p|, including the values in padded rows.
    gain: f64,
}

/// Normalise and square, with degrees chosen for a range and a number of classes.
#[derive(Clone, Debug)]
pub struct NormaliseSquare {
    config: NormaliseSquareConfig,
    exponential: Chebyshev,
    steps: Vec<Step>,
    error: f64,
}

/// The degrees of one candidate, the intervals of its inverses and a bound on its error.
struct Candidate {
    exponential: usize,
    inverses: Vec<(usize, [f64; 2])>,
    error: f64,
}

impl Candidate {
    fn depth(&self) -> usize {
        let levels = |degree: usize| (degree + 1).ilog2() as usize;
        levels(self.exponential) + self.inverses.iter().map(|&(degree, _)| levels(degree) + 2).sum::<usize>()
    }
}

/// The part of the wanted error that the exponential may take.
const SHARE: f64 = 0.25;

/// log2 of the factor by which y and y² are amplified when they are bootstrapped.
/// The sine then reduces y by a part of up to 64·(2πy/2^10)²/6 ≤ 4·10⁻⁴,
/// and entries of about the same size by as much. Such a common factor cancels in the next step,
/// and between classes that are far apart it makes no difference.
const GAIN: u32 = 3;

/// The largest error of intermediate inverses. Beyond it, the intervals grow out of bounds.
const LOOSEST: f64 = 0.6;

/// Computes the intervals for an exponential with the relative error η on [−a, a] and inverses
/// of these degrees in the middle and at the end.
fn candidate(
    classes: usize,
    a: f64,
    k: u32,
    (exponential, eta): (usize, f64),
    middle: usize,
    last: usize,
) -> Option<Candidate> {
    let c = classes as f64;
    let mut interval = [c * ((-a).exp() * (1.0 - eta)).powi(2), c * (a.exp() * (1.0 + eta)).powi(2)];
    let (mut inverses, mut error) = (Vec::new(), 0.0);
    for j in 0..k {
        let degree = if j + 1 == k { last } else { middle };
        error = inverse_error(degree, interval);
        if error > LOOSEST {
            return None;
        }
        inverses.push((degree, interval));
        // The slack leaves room for rounding errors.
        let slack = error + 1e-4;
        interval = [(1.0 - slack).powi(2) / c, (1.0 + slack).powi(2)];
    }
    let spread = ((1.0 + eta) / (1.0 - eta)).powf(f64::from(k).exp2());
    Some(Candidate { exponential, inverses, error: (1.0 + error) * spread - 1.0 })
}

impl NormaliseSquare {
    /// Chooses k and the degrees with the smallest depth.
    ///
    /// # Errors
    /// [`Error::Range`] for fewer than two or more than 1024 classes, a range outside [0.1, 1024],
    /// or an error outside [10⁻⁷, 0.1]; [`Error::Conflict`] for both `centre` and `scaled`;
    /// [`Error::SoftmaxError`] if no degrees reach the error.
    pub fn new(config: NormaliseSquareConfig) -> Result<Self> {
        let NormaliseSquareConfig { classes, range, error, centre, scaled } = config;
        check_integer("classes", classes, 2, 1024)?;
        check_range("range", range, 0.1, 1024.0)?;
        check_range("wanted error", error, 1e-7, 0.1)?;
        if centre && scaled {
            return Err(Error::Conflict { first: "centring", second: "inputs that are scaled already" });
        }
        let Some(best) = Self::search(classes, range, error)? else {
            // Looks for the first of 1, 2, 5, 10 … times 10⁻⁷ that can be reached.
            let powers = (0..7).map(|i| 10f64.powi(i));
            let others = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * power / 1e7)).chain([0.1]);
            let mut larger = others.filter(|&other| other > error);
            let reached = |&other: &f64| Self::search(classes, range, other).is_ok_and(|found| found.is_some());
            return Err(Error::SoftmaxError { classes, range, error, reachable: larger.find(reached) });
        };
        Self::build(config, &best)
    }

    /// Returns the degrees with the smallest depth, if any degrees reach the error.
    fn search(classes: usize, range: f64, error: f64) -> Result<Option<Candidate>> {
        let mut best: Option<Candidate> = None;
        for k in 1..=12u32 {
            let a = range / f64::from(k).exp2();
            if a > 3.0 || a < 0.25 && k > 1 {
                continue;
            }
            let allowed = SHARE * error / f64::from(k + 1).exp2();
            let Some(exponential) = smallest_exponential(a, allowed)? else { continue };
            for (middle, last) in [3, 7, 15].into_iter().flat_map(|m| [3, 7, 15, 31, 63].map(|l| (m, l))) {
                let Some(found) = candidate(classes, a, k, exponential, middle, last) else { continue };
                let better = |best: &Candidate| (found.depth(), found.error) < (best.depth(), best.error);
                if found.error <= error && best.as_ref().is_none_or(better) {
                    best = Some(found);
                }
            }
        }
        Ok(best)
    }

    /// Builds the polynomials on [−1, 1], including the factors that the maps of their
    /// successors need.
    fn build(config: NormaliseSquareConfig, candidate: &Candidate) -> Result<Self> {
        let a = config.range / f64::from(candidate.inverses.len() as u32).exp2();
        let factor = |[from, to]: [f64; 2]| 2.0 / (to - from);
        let next = |i: usize| candidate.inverses.get(i).map_or(1.0, |&(_, interval)| factor(interval).sqrt());
        let Minimax { polynomial, .. } = exponential(candidate.exponential, [-a, a])?;
        let exponential = on_unit(&polynomial, next(0));
        let mut steps = Vec::new();
        for (i, &(degree, [from, to])) in candidate.inverses.iter().enumerate() {
            let alpha = factor([from, to]);
            let Minimax { polynomial, .. } = inverse(degree, [from, to])?;
            // y² has the factor α, which the inverse removes.
            let inverse = on_unit(&polynomial, next(i + 1) / alpha);
            let shift = (from + to) / (to - from);
            // As 1/x falls, p is largest at the start of the interval or, in padded rows,
            // at Σ y² = 0.
            let gain = (1.0 + candidate.error) * inverse.evaluate(-shift).abs().max(inverse.evaluate(-1.0).abs());
            steps.push(Step { inverse, shift, square: alpha * to, gain });
        }
        Ok(Self { config, exponential, steps, error: candidate.error })
    }

    /// The settings that the variant was made from.
    #[must_use]
    pub const fn config(&self) -> &NormaliseSquareConfig {
        &self.config
    }

    /// The number k of steps.
    #[must_use]
    pub fn squarings(&self) -> usize {
        self.steps.len()
    }

    /// The degree of the exponential and those of the inverses.
    #[must_use]
    pub fn degrees(&self) -> (usize, Vec<usize>) {
        (self.exponential.degree(), self.steps.iter().map(|step| step.inverse.degree()).collect())
    }

    /// The bound on the error within the range, without the noise of encryption.
    #[must_use]
    pub const fn error_bound(&self) -> f64 {
        self.error
    }

    /// Returns x/R in [−1, 1], with zeros in the padding.
    fn mapped<E: Vectors>(&self, vectors: &E, x: E::Vector) -> Result<E::Vector> {
        if self.config.scaled {
            return Ok(x);
        }
        let layout = *vectors.layout();
        let mask = |factor: f64| layout.fill(|_, _| factor, 0.0);
        let scaled = vectors.mul_slots(&x, &mask(1.0 / self.config.range))?;
        if !self.config.centre {
            return Ok(scaled);
        }
        let mean = vectors.row_sum(&scaled)?;
        let mean = vectors.mul_slots(&mean, &mask(1.0 / layout.classes() as f64))?;
        vectors.sub(&scaled, &mean)
    }
}

/// Returns the smallest degree 2^m − 1 that has this relative error on [−a, a],
/// and the error that it reaches.
fn smallest_exponential(a: f64, allowed: f64) -> Result<Option<(usize, f64)>> {
    for degree in [3, 7, 15] {
        let interpolated = Chebyshev::interpolate(f64::exp, degree, [-a, a]);
        let relative = |x: f64| (1.0 - interpolated.evaluate(x) * (-x).exp()).abs();
        let rough = (0..=50).map(|i| relative(a * (f64::from(i) / 25.0 - 1.0))).fold(0.0, f64::max);
        // The error of interpolation is at least the best one and at most a few times it.
        // The Remez exchange needs an error that exceeds rounding.
        if rough > 10.0 * allowed {
            continue;
        }
        let error = exponential(degree, [-a, a])?.error;
        if error <= allowed {
            return Ok(Some((degree, error)));
        }
    }
    Ok(None)
}

/// Returns the same coefficients times a factor, for an argument in [−1, 1].
fn on_unit(p: &Chebyshev, factor: f64) -> Chebyshev {
    Chebyshev::new(p.coefficients().iter().map(|c| c * factor).collect(), [-1.0, 1.0])
}

impl Softmax for NormaliseSquare {
    fn name(&self) -> String {
        "normalise and square".to_owned()
    }

    fn run<E: Vectors>(&self, vectors: &E, mut x: E::Vector) -> Result<E::Vector> {
        check_classes(vectors, self.config.classes)?;
        let layout = *vectors.layout();
        let input = if self.config.scaled { 1.0 } else { self.config.range };
        // Before the mean is subtracted, there is no bound on the part that is common to a row.
        if !self.config.centre {
            vectors.checkpoint(&mut [(&mut x, input)])?;
        }
        let mut x = self.mapped(vectors, x)?;
        vectors.checkpoint(&mut [(&mut x, 1.0)])?;
        let y = vectors.polynomial(&x, &self.exponential)?;
        // Subtracts the exponential of padding, which is 0 at this point.
        let mut y = vectors.add_slots(&y, &layout.fill(|_, _| 0.0, -self.exponential.evaluate(0.0)))?;
        for step in &self.steps {
            vectors.checkpoint_amplified(&mut [(&mut y, step.square.sqrt())], GAIN)?;
            let mut square = vectors.mul(&y, &y)?;
            vectors.checkpoint_amplified(&mut [(&mut square, step.square)], GAIN)?;
            let sum = vectors.row_sum(&square)?;
            let mut sum = vectors.add_slots(&sum, &vec![-step.shift; layout.slots()])?;
            vectors.checkpoint(&mut [(&mut square, step.square), (&mut sum, step.shift)])?;
            let mut inverse = vectors.polynomial(&sum, &step.inverse)?;
            vectors.checkpoint(&mut [(&mut square, step.square), (&mut inverse, step.gain)])?;
            y = vectors.mul(&square, &inverse)?;
        }
        Ok(y)
    }
}
