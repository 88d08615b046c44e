//! Plaintexts and ciphertexts with their level and scale.

use std::ops::{Deref, DerefMut};
use std::sync::Weak;

use hetal_kernel::{Eval, RnsPoly};
use zeroize::Zeroize;

use crate::base::error::{Error, Result};
use crate::base::key_generation::KeyGeneration;
use crate::base::memory::Spares;
use crate::base::parallel::for_each_limb;
use crate::ckks::keys::check_hash;
use crate::ckks::params::{Parameters, ParametersHash};

/// The relative difference up to which two scales count as equal.
/// Rounding of the tracked scales stays below it over 2^10 operations, and an error of 2^−40 in a
/// value is far below the noise.
pub const SCALE_TOLERANCE: f64 = 1.0 / (1u64 << 40) as f64;

/// Checks that two scales are equal within [`SCALE_TOLERANCE`].
pub(crate) fn check_scales(left: f64, right: f64) -> Result<()> {
    if (left - right).abs() <= SCALE_TOLERANCE * left { Ok(()) } else { Err(Error::ScaleMismatch { left, right }) }
}

/// An encoded vector: a polynomial with level and scale, not encrypted.
/// A decrypted plaintext and every copy of it are wiped when they are dropped;
/// the constants of a circuit are not.
#[derive(Clone, Debug)]
pub struct Plaintext {
    pub(crate) hash: ParametersHash,
    pub(crate) poly: RnsPoly<Eval>,
    pub(crate) scale: f64,
    pub(crate) log_slots: u32,
    /// Whether the plaintext was decrypted from a ciphertext.
    pub(crate) decrypted: bool,
}

impl Drop for Plaintext {
    fn drop(&mut self) {
        if self.decrypted {
            self.poly.zeroize();
        }
    }
}

impl PartialEq for Plaintext {
    /// Compares hash, scale, slots and polynomial, but not whether they were decrypted.
    fn eq(&self, other: &Self) -> bool {
        (self.hash, self.scale, self.log_slots) == (other.hash, other.scale, other.log_slots) && self.poly == other.poly
    }
}

/// An encrypted vector: parts c_0 … c_d with Σ c_i·s^i ≈ scale·m.
/// The degree d is 1, or 2 for a product that is not yet relinearised.
#[derive(Clone, Debug, PartialEq)]
pub struct Ciphertext {
    pub(crate) hash: ParametersHash,
    pub(crate) generation: KeyGeneration,
    pub(crate) parts: Parts,
    pub(crate) scale: f64,
    pub(crate) log_slots: u32,
}

/// The polynomials of a ciphertext. When they are dropped, their memory goes back to the evaluator
/// that made them, to be reused for later results: this is faster than freeing it.
#[derive(Debug)]
pub(crate) struct Parts {
    polys: Vec<RnsPoly<Eval>>,
    spares: Weak<Spares>,
}

impl Parts {
    /// Wraps polynomials from an evaluator's memory.
    pub(crate) const fn new(polys: Vec<RnsPoly<Eval>>, spares: Weak<Spares>) -> Self {
        Self { polys, spares }
    }
}

impl From<Vec<RnsPoly<Eval>>> for Parts {
    /// Wraps polynomials that are not owned by an evaluator: they are freed on drop.
    fn from(polys: Vec<RnsPoly<Eval>>) -> Self {
        Self::new(polys, Weak::new())
    }
}

impl Deref for Parts {
    type Target = Vec<RnsPoly<Eval>>;

    fn deref(&self) -> &Self::Target {
        &self.polys
    }
}

impl DerefMut for Parts {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.polys
    }
}

impl Clone for Parts {
    fn clone(&self) -> Self {
        let Some(spares) = self.spares.upgrade() else { return self.polys.clone().into() };
        let mut polys: Vec<_> = self.iter().map(|part| spares.take(part.n(), part.limbs())).collect();
        for_each_limb(&mut polys, |k, j, out| out.copy_from_slice(self[k].limb(j)));
        Self::new(polys, self.spares.clone())
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        if let Some(spares) = self.spares.upgrade() {
            spares.give(self.polys.drain(..));
        }
    }
}

impl PartialEq for Parts {
    fn eq(&self, other: &Self) -> bool {
        self.polys == other.polys
    }
}

macro_rules! accessors {
    ($type:ident, $poly:expr) => {
        impl $type {
            /// Returns the level, which is the number of limbs less one.
            #[must_use]
            pub fn level(&self) -> usize {
                let poly: fn(&Self) -> &RnsPoly<Eval> = $poly;
                poly(self).limbs() - 1
            }

            /// Returns the scale, by which encoded values are multiplied.
            #[must_use]
            pub const fn scale(&self) -> f64 {
                self.scale
            }

            /// Declares another scale, at no cost. This divides the values by the quotient of the
            /// new and the old scale.
            ///
            /// # Errors
            /// [`Error::Scale`] if it is not positive and finite.
            pub fn set_scale(&mut self, scale: f64) -> Result<()> {
                if !(scale.is_finite() && scale > 0.0) {
                    return Err(Error::Scale { scale, level: self.level(), log_q: f64::INFINITY });
                }
                self.scale = scale;
                Ok(())
            }

            /// Returns the number of slots of the vector, a power of two up to N/2.
            /// If it is less than N/2, the vector is repeated.
            #[must_use]
            pub const fn slots(&self) -> usize {
                1 << self.log_slots
            }

            /// Returns the hash of the parameters that the object belongs to.
            #[must_use]
            pub const fn parameters_hash(&self) -> ParametersHash {
                self.hash
            }

            pub(crate) fn check(&self, params: &Parameters) -> Result<()> {
                check_hash(self.hash, params)
            }
        }
    };
}

accessors!(Plaintext, |plaintext| &plaintext.poly);
accessors!(Ciphertext, |ciphertext| &ciphertext.parts[0]);

impl Ciphertext {
    /// Creates a ciphertext to be overwritten by the `_into` operations, which reuse its memory.
    /// Until then it belongs to no keys.
    #[must_use]
    pub fn empty(params: &Parameters) -> Self {
        let parts = vec![RnsPoly::zero(params.n(), 1); 2];
        let (hash, generation) = (params.hash(), KeyGeneration::NONE);
        Self { hash, generation, parts: parts.into(), scale: 1.0, log_slots: 0 }
    }

    /// Returns the key generation that the ciphertext belongs to.
    #[must_use]
    pub const fn key_generation(&self) -> KeyGeneration {
        self.generation
    }

    /// Returns the degree in the secret: 1, or 2 before relinearisation.
    #[must_use]
    pub fn degree(&self) -> usize {
        self.parts.len() - 1
    }

    /// Returns the bytes of memory that the ciphertext takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.parts.iter().map(|part| RnsPoly::<Eval>::bytes(part.n(), part.limbs())).sum()
    }

    /// Gives the ciphertext this many parts of this many limbs, whatever shape it had,
    /// for a result under these keys. The values are unspecified.
    pub(crate) fn reshape(&mut self, params: &Parameters, generation: KeyGeneration, parts: usize, limbs: usize) {
        self.parts.retain(|part| part.n() == params.n());
        self.parts.resize_with(parts, || RnsPoly::zero(params.n(), 0));
        self.parts.iter_mut().for_each(|part| part.reshape(limbs));
        (self.hash, self.generation) = (params.hash(), generation);
    }

    pub(crate) fn check_degree(&self, wanted: usize) -> Result<()> {
        let degree = self.degree();
        if degree == wanted { Ok(()) } else { Err(Error::Degree { degree, wanted }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ckks::eval::Evaluator;

    /// Results and clones reuse the memory of dropped ciphertexts, as long as the evaluator lives.
    #[test]
    fn memory_comes_back() {
        let evaluator = Evaluator::without_keys(&Parameters::preset("test-10").expect("a preset"));
        let places = |a: &Ciphertext| {
            let mut places: Vec<_> = a.parts.iter().map(|part| part.limb(0).as_ptr()).collect();
            places.sort();
            places
        };
        let first = evaluator.blank(KeyGeneration::NONE, 2, 3);
        let wanted = places(&first);
        drop(first);
        // These would take memory that had been returned to the system's allocator.
        let _others = [(); 4].map(|()| RnsPoly::<Eval>::zero(evaluator.params().n(), 4));
        let second = evaluator.blank(KeyGeneration::NONE, 2, 3);
        assert_eq!(places(&second), wanted);
        let copy = second.clone();
        assert_eq!(copy, second);
        drop(second);
        let third = copy.clone();
        assert_eq!((places(&third), &third), (wanted, &copy));
        drop(evaluator);
        assert_eq!(third.clone(), copy);
    }
}
