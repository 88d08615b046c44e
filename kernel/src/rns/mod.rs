//! Residue number systems: a basis of NTT primes, conversion between bases, exact division by dropped primes.

mod convert;
pub mod crt;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

pub use convert::BaseConverter;

use crate::error::Error;
use crate::modulus::Modulus;
use crate::ntt::NttTable;
use crate::simd::Isa;

/// Largest number of primes in a basis, far above what any ring needs: so that what takes time quadratic in it stays short.
pub const MAX_LIMBS: usize = 1024;

/// Largest number of primes that are converted or divided away at once: the limbs of a digit, the special primes.
pub const MAX_DIGIT: usize = 64;

/// Limbs converted together. A conversion reads all its inputs, often 4 MiB from the third-level cache or from memory,
/// whatever the number of outputs: inside a key-switch, one output at a time took a third longer than four (125 µs and 93 µs
/// a limb at N = 2^16), and four at a time make a key-switch at 28 + 7 limbs 4 % slower than seven. With more than seven it is no
/// faster.
pub const GROUP: usize = 7;

/// Distinct primes q₀…q_{L−1} with the tables of one ring degree. Cloning and taking parts shares the tables.
#[derive(Clone, Debug)]
pub struct RnsBasis {
    tables: Vec<Arc<NttTable>>,
}

impl RnsBasis {
    /// Builds the tables for the fastest ISA of this machine.
    ///
    /// # Errors
    /// [`Error::Count`] for no primes or more than [`MAX_LIMBS`], [`Error::RepeatedModulus`], and those of [`NttTable::new`].
    pub fn new(log_n: u32, moduli: &[Modulus]) -> Result<Self, Error> {
        Self::with_isa(log_n, moduli, Isa::detect())
    }

    /// Builds the tables for a given ISA.
    ///
    /// # Errors
    /// As [`RnsBasis::new`].
    pub fn with_isa(log_n: u32, moduli: &[Modulus], isa: Isa) -> Result<Self, Error> {
        check_moduli(moduli)?;
        let table = |&q: &Modulus| NttTable::with_isa(q, log_n, isa).map(Arc::new);
        Ok(Self { tables: moduli.iter().map(table).collect::<Result<_, _>>()? })
    }

    /// The primes `range` of this basis.
    ///
    /// # Panics
    /// If the range is empty or out of bounds.
    #[must_use]
    pub fn range(&self, range: Range<usize>) -> Self {
        assert!(!range.is_empty(), "empty basis");
        Self { tables: self.tables[range].to_vec() }
    }

    /// This basis followed by another.
    ///
    /// # Errors
    /// [`Error::RepeatedModulus`] if they share a prime, [`Error::RingDegree`] if their rings differ, [`Error::Count`] for
    /// more than [`MAX_LIMBS`] primes.
    pub fn concat(&self, other: &Self) -> Result<Self, Error> {
        if self.log_n() != other.log_n() {
            return Err(Error::RingDegree { log_n: other.log_n() });
        }
        let tables: Vec<_> = self.tables.iter().chain(&other.tables).cloned().collect();
        let all = Self { tables };
        check_moduli(&all.moduli())?;
        Ok(all)
    }

    /// Number of primes.
    #[expect(clippy::len_without_is_empty, reason = "a basis is never empty")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// log2 of the ring degree.
    #[must_use]
    pub fn log_n(&self) -> u32 {
        self.tables[0].log_n()
    }

    /// Ring degree N.
    #[must_use]
    pub fn n(&self) -> usize {
        self.tables[0].n()
    }

    /// The ISA whose code runs.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.tables[0].isa()
    }

    /// Transform and arithmetic modulo qᵢ.
    ///
    /// # Panics
    /// If there is no prime number i.
    #[must_use]
    pub fn table(&self, i: usize) -> &NttTable {
        &self.tables[i]
    }

    /// qᵢ.
    ///
    /// # Panics
    /// If there is no prime number i.
    #[must_use]
    pub fn modulus(&self, i: usize) -> &Modulus {
        self.tables[i].modulus()
    }

    /// All primes.
    #[must_use]
    pub fn moduli(&self) -> Vec<Modulus> {
        self.tables.iter().map(|t| *t.modulus()).collect()
    }

    /// log2 of the product of all primes.
    #[must_use]
    pub fn log2_product(&self) -> f64 {
        self.tables.iter().map(|t| libm::log2(t.modulus().as_f64())).sum()
    }

    /// The product of all primes modulo another modulus, in [0, m).
    #[must_use]
    pub fn product_mod(&self, m: &Modulus) -> u64 {
        self.tables.iter().fold(1, |p, t| m.mul(p, m.reduce(t.modulus().value())))
    }
}

/// Whether a basis can have these primes.
fn check_moduli(moduli: &[Modulus]) -> Result<(), Error> {
    if !(1..=MAX_LIMBS).contains(&moduli.len()) {
        return Err(Error::Count { what: "limbs", value: moduli.len(), min: 1, max: MAX_LIMBS });
    }
    match moduli.iter().enumerate().find(|(i, q)| moduli[..*i].contains(q)) {
        Some((_, q)) => Err(Error::RepeatedModulus { modulus: q.value() }),
        None => Ok(()),
    }
}
