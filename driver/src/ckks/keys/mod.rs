//! Secret, public and evaluation keys, requests for keys, and the source of an evaluator's keys.
//!
//! A circuit says which keys it needs, each at the highest level at which it is used
//! ([`KeyRequests`]). The owner of the secret makes exactly those, and the evaluator takes them
//! from any [`EvaluationKeys`]. A key for a low level has fewer limbs, digits and special primes
//! ([`Parameters::gadget_shape`]): it is smaller and faster.

mod encapsulation;
mod generate;
pub(crate) mod public;
mod secret;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hetal_kernel::{Automorphism, Gadget, GaloisElement, KeySwitchKey};

pub use crate::base::key_generation::KeyGeneration;
pub use crate::base::key_id::KeyId;
pub use encapsulation::{EncapsulationKeys, SPARSE_WEIGHT};
pub use public::PublicKey;
pub use secret::SecretKey;

use crate::base::error::{Error, Result};
use crate::ckks::params::{Parameters, ParametersHash};

/// One evaluation key, with the gadget of the level that it was made for.
/// It serves that level and all below it.
#[derive(Clone, Debug)]
pub struct EvaluationKey {
    pub(crate) hash: ParametersHash,
    pub(crate) generation: KeyGeneration,
    pub(crate) id: KeyId,
    pub(crate) level: usize,
    pub(crate) gadget: Arc<Gadget>,
    pub(crate) key: KeySwitchKey,
    /// The permutation of values for a Galois key; `None` for a relinearisation key.
    pub(crate) automorphism: Option<Automorphism>,
}

impl EvaluationKey {
    pub(crate) fn new(
        params: &Parameters,
        generation: KeyGeneration,
        id: KeyId,
        level: usize,
        key: KeySwitchKey,
    ) -> Result<Self> {
        let automorphism = match id {
            KeyId::Relinearisation => None,
            KeyId::Galois(element) => Some(Automorphism::new(element)),
        };
        let (hash, gadget) = (params.hash(), params.gadget(level)?);
        Ok(Self { hash, generation, id, level, gadget, key, automorphism })
    }

    /// Returns the key generation that the key belongs to.
    #[must_use]
    pub const fn key_generation(&self) -> KeyGeneration {
        self.generation
    }

    /// Returns the kind of the key.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Returns the highest level that the key serves.
    #[must_use]
    pub const fn level(&self) -> usize {
        self.level
    }

    /// Returns the gadget of the key: its digits and special primes.
    #[must_use]
    pub fn gadget(&self) -> &Gadget {
        &self.gadget
    }

    /// Returns the key-switching key proper.
    #[must_use]
    pub const fn key(&self) -> &KeySwitchKey {
        &self.key
    }

    /// Returns the bytes of memory of the key and, for a Galois key, of its permutation.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        key_bytes(&self.gadget, self.id)
    }
}

fn key_bytes(gadget: &Gadget, id: KeyId) -> usize {
    let permutation = if matches!(id, KeyId::Galois(_)) { 4 * gadget.q().n() } else { 0 };
    KeySwitchKey::memory_bytes(gadget) + permutation
}

/// The source of an evaluator's keys: memory ([`KeySet`]), or wherever an implementation keeps
/// them.
pub trait EvaluationKeys: Send + Sync {
    /// Returns a key of this kind that serves this level. If there are several, it is the one with
    /// the fewest limbs.
    fn find(&self, id: KeyId, level: usize) -> Option<Arc<EvaluationKey>>;
}

/// Evaluation keys in memory, all of one key generation. The set holds nothing secret.
#[derive(Clone, Debug, Default)]
pub struct KeySet(BTreeMap<(KeyId, usize), Arc<EvaluationKey>>);

impl KeySet {
    /// Adds a key, which replaces one of the same kind and level.
    ///
    /// # Errors
    /// [`Error::OtherKeys`] if the key generation is not that of the keys in the set;
    /// the set is then unchanged.
    pub fn insert(&mut self, key: EvaluationKey) -> Result<()> {
        self.key_generation().map_or(Ok(()), |wanted| key.generation.check(wanted))?;
        self.0.insert((key.id, key.level), Arc::new(key));
        Ok(())
    }

    /// Returns the key generation of the keys, if there are any.
    #[must_use]
    pub fn key_generation(&self) -> Option<KeyGeneration> {
        self.iter().next().map(EvaluationKey::key_generation)
    }

    /// Returns the keys, ordered by kind and level.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &EvaluationKey> {
        self.0.values().map(AsRef::as_ref)
    }

    /// Returns the bytes of memory of all keys.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.iter().map(EvaluationKey::memory_bytes).sum()
    }
}

impl EvaluationKeys for KeySet {
    fn find(&self, id: KeyId, level: usize) -> Option<Arc<EvaluationKey>> {
        self.0.range((id, level)..=(id, usize::MAX)).next().map(|(_, key)| key.clone())
    }
}

/// The keys that a circuit needs, each with the levels at which it is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRequests(BTreeSet<(KeyId, usize)>);

impl KeyRequests {
    /// Asks for a key that serves this level.
    pub fn insert(&mut self, id: KeyId, level: usize) {
        self.0.insert((id, level));
    }

    /// Asks for a relinearisation key at this level.
    #[must_use]
    pub fn relinearisation(mut self, level: usize) -> Self {
        self.insert(KeyId::Relinearisation, level);
        self
    }

    /// Asks for the key that rotates slots by k to the left. No key is needed for k = 0 modulo N/2.
    #[must_use]
    pub fn rotation(mut self, params: &Parameters, k: i64, level: usize) -> Self {
        let element = GaloisElement::rotation(k, params.log_n());
        if element.value() != 1 {
            self.insert(KeyId::Galois(element), level);
        }
        self
    }

    /// Asks for the key that conjugates the slots.
    #[must_use]
    pub fn conjugation(mut self, params: &Parameters, level: usize) -> Self {
        self.insert(KeyId::Galois(GaloisElement::conjugation(params.log_n())), level);
        self
    }

    /// Adds all requests of another circuit.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// Returns the requests.
    pub fn iter(&self) -> impl Iterator<Item = (KeyId, usize)> {
        self.0.iter().copied()
    }

    /// Returns the keys to make: among requests of one kind with equal digits and special primes,
    /// only the highest level.
    ///
    /// # Errors
    /// [`Error::Level`]; [`Error::Malformed`] for a Galois element of another ring.
    pub fn plan(&self, params: &Parameters) -> Result<Vec<(KeyId, usize)>> {
        let mut highest = BTreeMap::new();
        for &(id, level) in &self.0 {
            params.check_level(level)?;
            if let KeyId::Galois(element) = id
                && element.log_n() != params.log_n()
            {
                let wanted = format_args!("of the ring of degree 2^{}", params.log_n()).to_string();
                return Err(Error::malformed(
                    "key request",
                    "ring degree",
                    format_args!("2^{}", element.log_n()),
                    wanted,
                ));
            }
            let entry = highest.entry((id, params.gadget_shape(level))).or_insert(level);
            *entry = level.max(*entry);
        }
        Ok(highest.into_iter().map(|((id, _), level)| (id, level)).collect())
    }

    /// Returns the bytes of memory that the planned keys take.
    ///
    /// # Errors
    /// [`Error::Level`].
    pub fn memory_bytes(&self, params: &Parameters) -> Result<usize> {
        self.plan(params)?.into_iter().map(|(id, level)| Ok(key_bytes(&*params.gadget(level)?, id))).sum()
    }
}

pub(crate) fn check_hash(hash: ParametersHash, params: &Parameters) -> Result<()> {
    if hash == params.hash() {
        return Ok(());
    }
    Err(Error::OtherParameters { found: hash.to_string(), wanted: params.hash().to_string() })
}

/// Creates a generator for secrets and errors, seeded by the operating system.
///
/// # Errors
/// [`Error::Randomness`].
pub fn entropy() -> Result<rand_chacha::ChaCha20Rng> {
    use rand_core::SeedableRng;
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(|error| Error::Randomness(error.to_string()))?;
    Ok(rand_chacha::ChaCha20Rng::from_seed(*seed))
}
