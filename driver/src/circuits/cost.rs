//! Exact counts of the limb operations that a circuit performs.

use std::ops::{Add, AddAssign, Mul};

use crate::ckks::params::{GadgetShape, Parameters};

/// Counts of operations on limbs of N residues; additions are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Number-theoretic transforms (NTTs) in either direction.
    pub transforms: u64,
    /// Terms of base conversions: the number of limbs read times the number of limbs written.
    pub conversions: u64,
    /// Products of limbs, whether or not they are added to a sum.
    pub products: u64,
    /// Key switches, which are inner products of digits with a key.
    pub key_switches: u64,
    /// Limbs of keys that are read.
    pub key_limbs: u64,
}

impl Add for Cost {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            transforms: self.transforms + other.transforms,
            conversions: self.conversions + other.conversions,
            products: self.products + other.products,
            key_switches: self.key_switches + other.key_switches,
            key_limbs: self.key_limbs + other.key_limbs,
        }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Mul<u64> for Cost {
    type Output = Self;
    fn mul(self, times: u64) -> Self {
        Self {
            transforms: self.transforms * times,
            conversions: self.conversions * times,
            products: self.products * times,
            key_switches: self.key_switches * times,
            key_limbs: self.key_limbs * times,
        }
    }
}

impl Cost {
    /// The cost of ModUp, which lifts all digits of a polynomial at a level. It takes the inverse
    /// transforms, then one conversion (from the digit's limbs and its overflow)
    /// and one transform for each limb modulo QP that does not belong to the digit itself.
    #[must_use]
    pub fn mod_up(level: usize, shape: GadgetShape) -> Self {
        let (limbs, k) = (level + 1, shape.special);
        let digits = (0..limbs).step_by(shape.alpha).map(|from| shape.alpha.min(limbs - from));
        let mut cost = Self { transforms: limbs as u64, ..Self::default() };
        for own in digits {
            let others = (limbs + k - own) as u64;
            cost.transforms += others;
            cost.conversions += others * terms(own);
        }
        cost
    }

    /// The cost of the inner product of the lifted digits with a key.
    #[must_use]
    pub fn inner_product(level: usize, shape: GadgetShape) -> Self {
        let limbs = 2 * (level + 1).div_ceil(shape.alpha) * (level + 1 + shape.special);
        Self { products: limbs as u64, key_switches: 1, key_limbs: limbs as u64, ..Self::default() }
    }

    /// The cost of dividing `parts` polynomials by `dropped` primes,
    /// after which `kept` limbs remain.
    #[must_use]
    pub fn division(parts: usize, kept: usize, dropped: usize) -> Self {
        let (parts, kept) = (parts as u64, kept as u64);
        Self {
            transforms: parts * (dropped as u64 + kept),
            conversions: parts * kept * terms(dropped),
            products: parts * kept,
            ..Self::default()
        }
    }

    /// The cost of a key switch that ends with a division by P, or by P and `rescaled` primes.
    #[must_use]
    pub fn key_switch(level: usize, shape: GadgetShape, rescaled: usize) -> Self {
        Self::mod_up(level, shape)
            + Self::inner_product(level, shape)
            + Self::division(2, level + 1 - rescaled, shape.special + rescaled)
    }

    /// The cost of a product of two ciphertexts that is relinearised and rescaled.
    ///
    /// # Panics
    /// If the level is 0 or does not exist.
    #[must_use]
    pub fn mul_rescale(params: &Parameters, level: usize) -> Self {
        Self { products: 4 * (level as u64 + 1), ..Self::default() }
            + Self::key_switch(level, params.gadget_shape(level), 1)
    }

    /// The running time of a single thread, in units of one transform. A term of a conversion
    /// takes 0.06 of a transform and a product 0.25, as measured at N = 2^16.
    #[must_use]
    pub fn in_transforms(&self) -> f64 {
        self.transforms as f64 + 0.06 * self.conversions as f64 + 0.25 * self.products as f64
    }
}

/// The number of terms of a conversion from this many limbs.
/// The overflow is an additional term, unless there is only one limb.
const fn terms(limbs: usize) -> u64 {
    if limbs == 1 { 1 } else { limbs as u64 + 1 }
}
