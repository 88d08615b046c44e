//! Standard deviations of the noise in a slot, computed from formulas before anything is run.
//!
//! The coefficients of noise are treated as independent (the usual heuristic;
//! see Costache, Curtis, Hales, Murphy, Ogilvie and Player, [On the precision loss in approximate
//! homomorphic encryption](https://eprint.iacr.org/2022/162)). A slot is the value of the noise
//! polynomial at a root of unity. If each of its N coefficients has the standard deviation σ,
//! the error of a slot is therefore a complex Gaussian with E|e|² = N·σ²/Δ².
//!
//! A rounding of c_1 is multiplied by the secret, and the slots of the secret differ:
//! |s(ζ)|² has an exponential distribution over them. Such an error is a product of two Gaussians,
//! with the same E|e|² but a much longer tail: the largest one among 2^15 slots is usually 7 times
//! √E|e|², while for a single Gaussian it is 3 times. Therefore the two kinds are kept apart.

use std::f64::consts::{LN_2, PI};

use hetal_kernel::sampler::SIGMA;

use crate::base::error::{Result, check_reaches};
use crate::ckks::params::{Parameters, SecretDistribution};

/// The variance of the error of rounding a number to an integer.
const ROUNDING: f64 = 1.0 / 12.0;

/// The errors of a slot, as √E|e|²: Gaussian ones, and those that are products of two Gaussians.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SlotError {
    /// The Gaussian errors.
    pub gaussian: f64,
    /// The products of two Gaussians. One factor, the secret, may be the same in all of them.
    pub product: f64,
}

impl SlotError {
    /// Returns both errors together, if they are independent.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { gaussian: self.gaussian.hypot(other.gaussian), product: self.product.hypot(other.product) }
    }

    /// Returns the error multiplied by a number.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self { gaussian: self.gaussian * factor, product: self.product * factor }
    }

    /// Returns √E|e|².
    #[must_use]
    pub fn rms(self) -> f64 {
        self.gaussian.hypot(self.product)
    }

    /// Returns a bound on the largest error among this many slots, which is exceeded with a
    /// probability below 2^−39.
    #[must_use]
    pub fn bound(self, slots: usize) -> f64 {
        let l = (slots as f64).ln() + 40.0 * LN_2;
        // For a Gaussian, P(|e| > t·rms) = exp(−t²). For a product it is x·K_1(x) with x = 2t,
        // which is below √(πx/2)·exp(−x)·(1 + 3/8x).
        let x = (0..8).fold(l, |x, _| l + (PI * x / 2.0).ln() / 2.0 + (1.0 + 0.375 / x).ln());
        self.gaussian * l.sqrt() + self.product * x / 2.0
    }
}

/// The error that each operation adds to a slot, at a scale.
#[derive(Clone, Debug)]
pub struct Noise {
    params: Parameters,
}

impl Noise {
    /// Creates the formulas for these parameters.
    #[must_use]
    pub fn new(params: &Parameters) -> Self {
        Self { params: params.clone() }
    }

    fn slot(&self, variance: f64, scale: f64) -> f64 {
        (self.params.n() as f64 * variance).sqrt() / scale
    }

    /// Returns E‖s‖² of the secret.
    fn secret(&self) -> f64 {
        match self.params.literal().secret {
            SecretDistribution::Ternary => 2.0 / 3.0 * self.params.n() as f64,
            SecretDistribution::FixedWeight(weight) => weight as f64,
        }
    }

    /// Returns the error of encoding: the rounding of the 2·slots coefficients.
    #[must_use]
    pub fn encoding(&self, slots: usize, scale: f64) -> SlotError {
        SlotError { gaussian: (2.0 * slots as f64 * ROUNDING).sqrt() / scale, product: 0.0 }
    }

    /// Returns the error of a fresh encryption under the secret key.
    #[must_use]
    pub fn secret_encryption(&self, scale: f64) -> SlotError {
        SlotError { gaussian: self.slot(SIGMA * SIGMA + ROUNDING, scale), product: 0.0 }
    }

    /// Returns the error of a fresh encryption under the public key: the division by p_0 leaves a
    /// rounding of both parts.
    #[must_use]
    pub fn public_encryption(&self, scale: f64) -> SlotError {
        self.division(scale)
    }

    /// Returns the error of dividing a ciphertext by P or by q_level: both parts are rounded,
    /// and the rounding of the second one is multiplied by the secret.
    /// The scale is that of the result.
    #[must_use]
    pub fn division(&self, scale: f64) -> SlotError {
        SlotError { gaussian: self.slot(ROUNDING, scale), product: self.slot(self.secret() * ROUNDING, scale) }
    }

    /// Returns the error that the key contributes to a key switch, after the division by P:
    /// each digit, uniform up to Q_d/2, is multiplied by a Gaussian error.
    ///
    /// # Errors
    /// [`Error::Level`](crate::Error::Level), [`Error::LowLevel`](crate::Error::LowLevel) if such a
    /// key does not serve the level.
    pub fn key_error(&self, level: usize, key_level: usize, scale: f64) -> Result<SlotError> {
        let gadget = self.params.gadget(key_level)?;
        check_reaches(key_level, level)?;
        let log_p = gadget.mod_down().dropped().log2_product();
        let digit = |from: usize| {
            let log_q = gadget.q().range(from..(from + gadget.alpha()).min(level + 1)).log2_product();
            (2.0 * (log_q - log_p)).exp2()
        };
        let digits: f64 = (0..=level).step_by(gadget.alpha()).map(digit).sum();
        let variance = digits * self.params.n() as f64 * (SIGMA * SIGMA + ROUNDING) * ROUNDING;
        Ok(SlotError { gaussian: 0.0, product: self.slot(variance, scale) })
    }

    /// Returns the error of a rotation, a conjugation or a relinearisation.
    ///
    /// # Errors
    /// [`Error::Level`](crate::Error::Level), [`Error::LowLevel`](crate::Error::LowLevel) if such a
    /// key does not serve the level.
    pub fn key_switch(&self, level: usize, key_level: usize, scale: f64) -> Result<SlotError> {
        Ok(self.key_error(level, key_level, scale)?.and(self.division(scale)))
    }

    /// Returns the error of a relinearisation and rescaling in one division;
    /// the scale is that before it.
    ///
    /// # Errors
    /// [`Error::Level`](crate::Error::Level), [`Error::LowLevel`](crate::Error::LowLevel) if such a
    /// key does not serve the level.
    pub fn relinearise_rescale(&self, level: usize, key_level: usize, scale: f64) -> Result<SlotError> {
        Ok(self.key_error(level, key_level, scale)?.and(self.division(scale / self.params.q(level).as_f64())))
    }
}
