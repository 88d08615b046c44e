//! The backends that compute a matrix product: ciphertexts, plain slots, or levels alone.
//!
//! The products are written once over [`Slots`]. [`Encrypted`] computes them, [`Plain`] is their
//! oracle, exact slot by slot, and [`Dry`] goes through the same steps with nothing but levels.
//! [`Recorded`] wraps any of them, counts the operations and records the keys.
//! The keys, depth and counts of a product thus follow from its own code.
//!
//! Every vector has the nominal scale of its level. A product, with a mask or of two vectors,
//! takes a level and ends at the nominal scale of the next.

use std::collections::BTreeMap;
use std::ops::{Add, AddAssign};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hetal_kernel::GaloisElement;
use num_complex::Complex64;

use crate::base::error::{Error, Result, check_reaches};
use crate::circuits::Cost;
use crate::ckks::ciphertext::{Ciphertext, Plaintext};
use crate::ckks::encoding::Encoder;
use crate::ckks::eval::Evaluator;
use crate::ckks::keys::{KeyId, KeyRequests};
use crate::ckks::params::Parameters;

/// Operations on vectors of N/2 slots.
pub trait Slots: Sync {
    /// A vector at a level.
    type Vector: Clone + Send + Sync;
    /// A mask of constants to multiply by, for vectors of one level.
    type Mask: Send + Sync;

    /// The number of slots, N/2.
    fn slots(&self) -> usize;

    /// The level of a vector.
    fn level(&self, a: &Self::Vector) -> usize;

    /// Computes a + b for vectors at the same level.
    ///
    /// # Errors
    /// [`Error::LevelMismatch`] or [`Error::ScaleMismatch`] for different levels.
    fn add(&self, a: &Self::Vector, b: &Self::Vector) -> Result<Self::Vector>;

    /// Computes a ← a + b for vectors at the same level.
    ///
    /// # Errors
    /// As [`Slots::add`].
    fn add_assign(&self, a: &mut Self::Vector, b: Self::Vector) -> Result<()> {
        *a = self.add(a, &b)?;
        Ok(())
    }

    /// Computes a − b for vectors at the same level.
    ///
    /// # Errors
    /// As [`Slots::add`].
    fn sub(&self, a: &Self::Vector, b: &Self::Vector) -> Result<Self::Vector>;

    /// Computes i·a, which takes no level.
    ///
    /// # Errors
    /// [`Error::OtherParameters`].
    fn mul_i(&self, a: &Self::Vector) -> Result<Self::Vector>;

    /// Brings a to a lower level and its nominal scale.
    /// This is a product with a number ([`Evaluator::adjust`]), not a mask.
    ///
    /// # Errors
    /// [`Error::LowLevel`] if a is below that level.
    fn lower(&self, a: &Self::Vector, level: usize) -> Result<Self::Vector>;

    /// Encodes a constant for every slot, for vectors of a given level.
    ///
    /// # Errors
    /// [`Error::NoLevelsLeft`] at level 0, [`Error::Level`].
    fn encode(&self, level: usize, value: &dyn Fn(usize) -> Complex64) -> Result<Self::Mask>;

    /// Multiplies a by constants and rescales it. This takes a level.
    ///
    /// # Errors
    /// [`Error::LevelMismatch`] if the mask is for another level.
    fn mask(&self, a: &Self::Vector, mask: &Self::Mask) -> Result<Self::Vector>;

    /// Computes Σ a·b with one relinearisation, and rescales it. All vectors are at the same level;
    /// the sum takes one level.
    ///
    /// # Errors
    /// [`Error::Count`] for an empty sum, [`Error::LevelMismatch`],
    /// [`Error::NoLevelsLeft`], [`Error::MissingKey`].
    fn dot(&self, pairs: &[(&Self::Vector, &Self::Vector)]) -> Result<Self::Vector>;

    /// Rotates a by k: slot j of the result is slot j + k of a.
    ///
    /// # Errors
    /// [`Error::MissingKey`].
    fn rotate(&self, a: &Self::Vector, k: i64) -> Result<Self::Vector>;

    /// Computes a plus a rotated by k.
    ///
    /// # Errors
    /// As [`Slots::rotate`].
    fn rotate_sum(&self, a: &Self::Vector, k: i64) -> Result<Self::Vector> {
        self.add(a, &self.rotate(a, k)?)
    }

    /// Rotates one vector by many amounts, with a single decomposition.
    ///
    /// # Errors
    /// As [`Slots::rotate`].
    fn rotate_many(&self, a: &Self::Vector, ks: &[i64]) -> Result<Vec<Self::Vector>>;

    /// Conjugates every slot.
    ///
    /// # Errors
    /// As [`Slots::rotate`].
    fn conjugate(&self, a: &Self::Vector) -> Result<Self::Vector>;
}

/// Returns the level below, for an operation that takes one.
fn next_level(operation: &'static str, level: usize) -> Result<usize> {
    level.checked_sub(1).ok_or(Error::NoLevelsLeft { operation, needed: 1, level })
}

/// Returns the common level of both and refuses different levels.
fn same_level(a: usize, b: usize) -> Result<usize> {
    if a == b { Ok(a) } else { Err(Error::LevelMismatch { left: a, right: b }) }
}

/// Returns the level of a sum of products.
fn dot_level(mut levels: impl Iterator<Item = usize>) -> Result<usize> {
    let first = levels.next().ok_or(Error::Count { what: "products to sum", found: 0, wanted: 1 })?;
    next_level("a product", levels.try_fold(first, same_level)?)
}

/// The backend that computes with ciphertexts.
#[derive(Clone, Debug)]
pub struct Encrypted<'a> {
    evaluator: &'a Evaluator,
    encoder: Encoder,
}

impl<'a> Encrypted<'a> {
    /// Creates a backend that computes with this evaluator's keys.
    #[must_use]
    pub fn new(evaluator: &'a Evaluator) -> Self {
        Self { evaluator, encoder: Encoder::new(evaluator.params()) }
    }
}

impl Slots for Encrypted<'_> {
    type Vector = Ciphertext;
    type Mask = Plaintext;

    fn slots(&self) -> usize {
        self.evaluator.params().slots()
    }

    fn level(&self, a: &Ciphertext) -> usize {
        a.level()
    }

    fn add(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext> {
        same_level(a.level(), b.level())?;
        self.evaluator.add(a, b)
    }

    fn add_assign(&self, a: &mut Ciphertext, b: Ciphertext) -> Result<()> {
        same_level(a.level(), b.level())?;
        self.evaluator.add_assign(a, &b)
    }

    fn sub(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext> {
        same_level(a.level(), b.level())?;
        self.evaluator.sub(a, b)
    }

    fn mul_i(&self, a: &Ciphertext) -> Result<Ciphertext> {
        self.evaluator.mul_i(a)
    }

    fn lower(&self, a: &Ciphertext, level: usize) -> Result<Ciphertext> {
        let params = self.evaluator.params();
        params.check_level(level)?;
        self.evaluator.adjust(a, level, params.scale(level))
    }

    fn encode(&self, level: usize, value: &dyn Fn(usize) -> Complex64) -> Result<Plaintext> {
        next_level("a mask", level)?;
        let params = self.evaluator.params();
        params.check_level(level)?;
        let values: Vec<_> = (0..params.slots()).map(value).collect();
        // A product with this scale, divided by the prime of this level,
        // has the nominal scale of the next level.
        let scale = params.scale(level - 1) / params.scale(level) * params.q(level).as_f64();
        self.encoder.encode(&values, level, scale)
    }

    fn mask(&self, a: &Ciphertext, mask: &Plaintext) -> Result<Ciphertext> {
        same_level(a.level(), mask.level())?;
        let mut out = self.evaluator.mul_plain(a, mask)?;
        self.evaluator.rescale_assign(&mut out)?;
        Ok(out)
    }

    fn dot(&self, pairs: &[(&Ciphertext, &Ciphertext)]) -> Result<Ciphertext> {
        dot_level(pairs.iter().flat_map(|(a, b)| [a.level(), b.level()]))?;
        self.evaluator.dot_rescale(pairs)
    }

    fn rotate(&self, a: &Ciphertext, k: i64) -> Result<Ciphertext> {
        self.evaluator.rotate(a, k)
    }

    fn rotate_sum(&self, a: &Ciphertext, k: i64) -> Result<Ciphertext> {
        self.evaluator.rotate_sum(a, k)
    }

    fn rotate_many(&self, a: &Ciphertext, ks: &[i64]) -> Result<Vec<Ciphertext>> {
        self.evaluator.rotate_hoisted(a, ks)
    }

    fn conjugate(&self, a: &Ciphertext) -> Result<Ciphertext> {
        self.evaluator.conjugate(a)
    }
}

/// Plain slots, with the level that a ciphertext would have.
#[derive(Clone, Debug, PartialEq)]
pub struct PlainVector {
    /// The slots.
    pub values: Vec<Complex64>,
    /// The level.
    pub level: usize,
}

impl PlainVector {
    fn zip(&self, other: &Self, f: impl Fn(Complex64, Complex64) -> Complex64) -> Result<Self> {
        let values = self.values.iter().zip(&other.values).map(|(&a, &b)| f(a, b)).collect();
        Ok(Self { values, level: same_level(self.level, other.level)? })
    }

    fn map(&self, f: impl Fn(Complex64) -> Complex64) -> Self {
        Self { values: self.values.iter().map(|&z| f(z)).collect(), level: self.level }
    }
}

/// The backend that computes with plain slots: the oracle.
#[derive(Clone, Copy, Debug)]
pub struct Plain {
    /// The number of slots.
    pub slots: usize,
}

impl Slots for Plain {
    type Vector = PlainVector;
    type Mask = PlainVector;

    fn slots(&self) -> usize {
        self.slots
    }

    fn level(&self, a: &PlainVector) -> usize {
        a.level
    }

    fn add(&self, a: &PlainVector, b: &PlainVector) -> Result<PlainVector> {
        a.zip(b, |a, b| a + b)
    }

    fn sub(&self, a: &PlainVector, b: &PlainVector) -> Result<PlainVector> {
        a.zip(b, |a, b| a - b)
    }

    fn mul_i(&self, a: &PlainVector) -> Result<PlainVector> {
        Ok(a.map(|z| Complex64::I * z))
    }

    fn lower(&self, a: &PlainVector, level: usize) -> Result<PlainVector> {
        let level = Dry { slots: self.slots }.lower(&a.level, level)?;
        Ok(PlainVector { values: a.values.clone(), level })
    }

    fn encode(&self, level: usize, value: &dyn Fn(usize) -> Complex64) -> Result<PlainVector> {
        next_level("a mask", level)?;
        Ok(PlainVector { values: (0..self.slots).map(value).collect(), level })
    }

    fn mask(&self, a: &PlainVector, mask: &PlainVector) -> Result<PlainVector> {
        let mut out = a.zip(mask, |a, b| a * b)?;
        out.level = next_level("a mask", out.level)?;
        Ok(out)
    }

    fn dot(&self, pairs: &[(&PlainVector, &PlainVector)]) -> Result<PlainVector> {
        let level = dot_level(pairs.iter().flat_map(|(a, b)| [a.level, b.level]))?;
        let mut values = vec![Complex64::ZERO; self.slots];
        for (a, b) in pairs {
            values.iter_mut().zip(a.values.iter().zip(&b.values)).for_each(|(sum, (a, b))| *sum += a * b);
        }
        Ok(PlainVector { values, level })
    }

    fn rotate(&self, a: &PlainVector, k: i64) -> Result<PlainVector> {
        let mut out = a.clone();
        out.values.rotate_left(k.rem_euclid(self.slots as i64) as usize);
        Ok(out)
    }

    fn rotate_many(&self, a: &PlainVector, ks: &[i64]) -> Result<Vec<PlainVector>> {
        ks.iter().map(|&k| self.rotate(a, k)).collect()
    }

    fn conjugate(&self, a: &PlainVector) -> Result<PlainVector> {
        Ok(a.map(|z| z.conj()))
    }
}

/// The backend that computes with levels alone.
#[derive(Clone, Copy, Debug)]
pub struct Dry {
    /// The number of slots.
    pub slots: usize,
}

impl Slots for Dry {
    type Vector = usize;
    type Mask = usize;

    fn slots(&self) -> usize {
        self.slots
    }

    fn level(&self, a: &usize) -> usize {
        *a
    }

    fn add(&self, a: &usize, b: &usize) -> Result<usize> {
        same_level(*a, *b)
    }

    fn sub(&self, a: &usize, b: &usize) -> Result<usize> {
        same_level(*a, *b)
    }

    fn mul_i(&self, a: &usize) -> Result<usize> {
        Ok(*a)
    }

    fn lower(&self, a: &usize, level: usize) -> Result<usize> {
        check_reaches(*a, level)?;
        Ok(level)
    }

    fn encode(&self, level: usize, _: &dyn Fn(usize) -> Complex64) -> Result<usize> {
        next_level("a mask", level)?;
        Ok(level)
    }

    fn mask(&self, a: &usize, mask: &usize) -> Result<usize> {
        next_level("a mask", same_level(*a, *mask)?)
    }

    fn dot(&self, pairs: &[(&usize, &usize)]) -> Result<usize> {
        dot_level(pairs.iter().flat_map(|(a, b)| [**a, **b]))
    }

    fn rotate(&self, a: &usize, _: i64) -> Result<usize> {
        Ok(*a)
    }

    fn rotate_many(&self, a: &usize, ks: &[i64]) -> Result<Vec<usize>> {
        Ok(vec![*a; ks.len()])
    }

    fn conjugate(&self, a: &usize) -> Result<usize> {
        Ok(*a)
    }
}

/// The numbers of operations of a product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Products with plaintexts, which are masks.
    pub constants: u64,
    /// Products of two ciphertexts.
    pub products: u64,
    /// Rotations.
    pub rotations: u64,
    /// Conjugations.
    pub conjugations: u64,
    /// Relinearisations. A sum of products takes only one.
    pub relinearisations: u64,
}

impl Counts {
    /// The number of operations that switch keys, which take most of the time.
    #[must_use]
    pub const fn key_switches(&self) -> u64 {
        self.rotations + self.conjugations + self.relinearisations
    }
}

impl Add for Counts {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            constants: self.constants + other.constants,
            products: self.products + other.products,
            rotations: self.rotations + other.rotations,
            conjugations: self.conjugations + other.conjugations,
            relinearisations: self.relinearisations + other.relinearisations,
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// The work at one level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Products of two limb vectors in sums of products, without relinearisation.
    pub products: u64,
    /// Key switches that have a decomposition of their own, without rescaling.
    pub switches: u64,
    /// Key switches that reuse the decomposition of another one.
    pub hoisted: u64,
    /// Relinearisations with rescaling.
    pub relinearisations: u64,
    /// Rescalings of products with constants.
    pub rescalings: u64,
}

/// The operations that were performed, and the keys that were used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The operations.
    pub counts: Counts,
    /// The number of rotations that used the digits of another rotation.
    pub hoisted: u64,
    /// The number of products with a number that bring a vector to a lower level.
    pub adjustments: u64,
    /// The work by level, as far as it depends on the level.
    pub work: BTreeMap<usize, Work>,
    /// The keys that were used, with their levels.
    pub requests: KeyRequests,
}

impl Record {
    /// Returns the cost under these parameters.
    ///
    /// # Panics
    /// If the parameters do not have the levels that were recorded.
    #[must_use]
    pub fn cost(&self, params: &Parameters) -> Cost {
        let at = |(&level, work): (&usize, &Work)| {
            let shape = params.gadget_shape(level);
            let product = Cost { products: 4 * (level as u64 + 1), ..Cost::default() };
            let hoisted = Cost::inner_product(level, shape) + Cost::division(2, level + 1, shape.special);
            let rescaling = Cost { products: 2 * (level as u64 + 1), ..Cost::division(2, level, 1) };
            product * work.products
                + Cost::key_switch(level, shape, 0) * work.switches
                + hoisted * work.hoisted
                + Cost::key_switch(level, shape, 1) * work.relinearisations
                + rescaling * work.rescalings
        };
        // Operations that take a level are never performed at level 0.
        self.work.iter().map(at).fold(Cost::default(), |sum, cost| sum + cost)
    }

    fn work(&mut self, level: usize) -> &mut Work {
        self.work.entry(level).or_default()
    }
}

/// A backend that records the operations of another one.
#[derive(Debug)]
pub struct Recorded<S> {
    inner: S,
    record: Mutex<Record>,
}

impl<S: Slots> Recorded<S> {
    /// Creates a backend with an empty record.
    #[must_use]
    pub fn new(inner: S) -> Self {
        Self { inner, record: Mutex::default() }
    }

    /// Returns the operations that were performed so far.
    #[must_use]
    pub fn record(&self) -> Record {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        // A poisoned lock is no problem, because the record is complete after every statement.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// log2 of the ring degree N, where there are N/2 slots.
    fn log_n(&self) -> u32 {
        self.slots().ilog2() + 1
    }

    /// Records rotations, except those by 0. All but the first use the digits of the first.
    fn note_rotations(&self, level: usize, ks: &[i64]) {
        let (slots, log_n) = (self.slots() as i64, self.log_n());
        let record = &mut *self.lock();
        let mut rotations = 0;
        for &k in ks.iter().filter(|k| k.rem_euclid(slots) != 0) {
            record.requests.insert(KeyId::Galois(GaloisElement::rotation(k, log_n)), level);
            rotations += 1;
        }
        if rotations > 0 {
            record.counts.rotations += rotations;
            record.hoisted += rotations - 1;
            let work = record.work(level);
            work.switches += 1;
            work.hoisted += rotations - 1;
        }
    }
}

impl<S: Slots> Slots for Recorded<S> {
    type Vector = S::Vector;
    type Mask = S::Mask;

    fn slots(&self) -> usize {
        self.inner.slots()
    }

    fn level(&self, a: &S::Vector) -> usize {
        self.inner.level(a)
    }

    fn add(&self, a: &S::Vector, b: &S::Vector) -> Result<S::Vector> {
        self.inner.add(a, b)
    }

    fn add_assign(&self, a: &mut S::Vector, b: S::Vector) -> Result<()> {
        self.inner.add_assign(a, b)
    }

    fn sub(&self, a: &S::Vector, b: &S::Vector) -> Result<S::Vector> {
        self.inner.sub(a, b)
    }

    fn mul_i(&self, a: &S::Vector) -> Result<S::Vector> {
        self.inner.mul_i(a)
    }

    fn lower(&self, a: &S::Vector, level: usize) -> Result<S::Vector> {
        if self.level(a) != level {
            let mut record = self.lock();
            record.adjustments += 1;
            record.work(level + 1).rescalings += 1;
        }
        self.inner.lower(a, level)
    }

    fn encode(&self, level: usize, value: &dyn Fn(usize) -> Complex64) -> Result<S::Mask> {
        self.inner.encode(level, value)
    }

    fn mask(&self, a: &S::Vector, mask: &S::Mask) -> Result<S::Vector> {
        let mut record = self.lock();
        record.counts.constants += 1;
        record.work(self.level(a)).rescalings += 1;
        drop(record);
        self.inner.mask(a, mask)
    }

    fn dot(&self, pairs: &[(&S::Vector, &S::Vector)]) -> Result<S::Vector> {
        if let Some((a, _)) = pairs.first() {
            let mut record = self.lock();
            record.counts.products += pairs.len() as u64;
            record.counts.relinearisations += 1;
            let work = record.work(self.level(a));
            work.products += pairs.len() as u64;
            work.relinearisations += 1;
            record.requests.insert(KeyId::Relinearisation, self.level(a));
        }
        self.inner.dot(pairs)
    }

    fn rotate(&self, a: &S::Vector, k: i64) -> Result<S::Vector> {
        self.note_rotations(self.level(a), &[k]);
        self.inner.rotate(a, k)
    }

    fn rotate_sum(&self, a: &S::Vector, k: i64) -> Result<S::Vector> {
        self.note_rotations(self.level(a), &[k]);
        self.inner.rotate_sum(a, k)
    }

    fn rotate_many(&self, a: &S::Vector, ks: &[i64]) -> Result<Vec<S::Vector>> {
        self.note_rotations(self.level(a), ks);
        self.inner.rotate_many(a, ks)
    }

    fn conjugate(&self, a: &S::Vector) -> Result<S::Vector> {
        let id = KeyId::Galois(GaloisElement::conjugation(self.log_n()));
        let mut record = self.lock();
        record.requests.insert(id, self.level(a));
        record.counts.conjugations += 1;
        record.work(self.level(a)).switches += 1;
        drop(record);
        self.inner.conjugate(a)
    }
}
