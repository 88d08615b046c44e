//! Arithmetic on ciphertexts.
//!
//! Every operation comes as `op` (returns a new ciphertext) and, where that saves something,
//! as `op_assign` (in place) and `op_into` (writes into the memory of another ciphertext).
//! All forms give the same result bit for bit. The level and scale of the result follow from those
//! of the operands:
//!
//! | operation | level | scale |
//! |---|---|---|
//! | add, sub | the lower one | must be equal |
//! | mul, mul_plain, mul_constant | the lower one | the product |
//! | …_rescale, rescale | one less | divided by q_level |
//! | rotate, conjugate, negate, mul_i | the same | the same |
//!
//! Operands and keys have to belong together. Every operation reports [`Error::OtherParameters`]
//! for an object made under other parameters and [`Error::OtherKeys`] for one made with another
//! secret key. A result belongs to the keys of its operands.
//!
//! Limbs and digits are spread over the threads of the current rayon pool;
//! the result does not depend on the number of threads.

mod combination;
mod products;
mod rotations;
mod sums;
mod switching;

use std::sync::Arc;

use hetal_kernel::{Eval, RnsPoly};

use crate::base::error::{Error, Result};
use crate::base::key_generation::KeyGeneration;
use crate::ckks::ciphertext::{Ciphertext, Parts};
use crate::ckks::keys::{EvaluationKey, EvaluationKeys, KeyId, KeySet};
use crate::ckks::params::Parameters;

pub use rotations::Hoisted;

use crate::base::memory::Pool;
use crate::base::memory::Spares;

/// Computes on ciphertexts, with public keys only.
pub struct Evaluator {
    params: Parameters,
    keys: Arc<dyn EvaluationKeys>,
    pub(crate) pool: Pool,
    pub(crate) spares: Arc<Spares>,
}

impl std::fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluator").field("parameters", &self.params.hash()).finish_non_exhaustive()
    }
}

impl Evaluator {
    /// Creates an evaluator with these keys.
    #[must_use]
    pub fn new(params: &Parameters, keys: Arc<dyn EvaluationKeys>) -> Self {
        Self { params: params.clone(), keys, pool: Pool::default(), spares: Arc::default() }
    }

    /// Creates an evaluator for the operations that need no keys: sums, products with plaintexts,
    /// rescaling.
    #[must_use]
    pub fn without_keys(params: &Parameters) -> Self {
        Self::new(params, Arc::new(KeySet::default()))
    }

    /// Returns the parameters.
    #[must_use]
    pub const fn params(&self) -> &Parameters {
        &self.params
    }

    /// Returns a ciphertext of this shape with unspecified values, for a result under these keys.
    pub(crate) fn blank(&self, generation: KeyGeneration, parts: usize, level: usize) -> Ciphertext {
        let polys = (0..parts).map(|_| self.spares.take(self.params.n(), level + 1)).collect();
        Ciphertext { hash: self.params.hash(), generation, parts: self.parts(polys), scale: 1.0, log_slots: 0 }
    }

    /// Makes polynomials from this evaluator's memory the parts of a ciphertext.
    pub(crate) fn parts(&self, polys: Vec<RnsPoly<Eval>>) -> Parts {
        Parts::new(polys, Arc::downgrade(&self.spares))
    }

    /// Returns the smallest key that serves a ciphertext of this level and key generation.
    /// Among Galois keys, one with the digits and special primes of this level is preferred,
    /// whatever level the key itself has:
    /// [`KeyRequests::plan`](crate::ckks::keys::KeyRequests::plan) keeps such a key for a request,
    /// and it lets hoisted rotations share their digits.
    pub(crate) fn key(&self, id: KeyId, level: usize, generation: KeyGeneration) -> Result<Arc<EvaluationKey>> {
        let find = |from: usize| -> Result<Option<Arc<EvaluationKey>>> {
            let Some(key) = self.keys.find(id, from).filter(|key| key.id == id && key.level >= from) else {
                return Ok(None);
            };
            crate::ckks::keys::check_hash(key.hash, &self.params)?;
            generation.check(key.generation)?;
            Ok(Some(key))
        };
        let smallest = find(level)?.ok_or(Error::MissingKey { id, level })?;
        if id == KeyId::Relinearisation {
            return Ok(smallest);
        }
        let shape = self.params.gadget_shape(level);
        let mut key = smallest.clone();
        while self.params.gadget_shape(key.level) != shape {
            let Some(next) = find(key.level + 1)? else { return Ok(smallest) };
            key = next;
        }
        Ok(key)
    }
}
