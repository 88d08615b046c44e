//! Residue number systems: bases of NTT primes, fast conversion between bases, and big integers
//! from residues.

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

/// The largest number of primes in a basis. It is far above what any ring needs and keeps
/// computations short whose time is quadratic in it.
pub const MAX_LIMBS: usize = 1024;

/// The largest number of primes that are converted or divided away at once:
/// the limbs of a digit, the special primes.
pub const MAX_DIGIT: usize = 64;

/// The number of limbs that are converted together. A conversion reads all its inputs, often 4 MiB
/// from the third-level cache or from memory, whatever the number of outputs. Inside a key-switch,
/// one output at a time took a third longer than four (125 µs and 93 µs a limb at N = 2^16),
/// and four at a time make a key-switch at 28 + 7 limbs 4 % slower than seven.
/// More than seven are not faster.
pub const GROUP: usize = 7;

/// Distinct primes q₀…q_{L−1} with their tables for one ring degree. Clones and parts of a basis
/// share the tables.
#[derive(Clone, Debug)]
pub struct RnsBasis {
    tables: Vec<Arc<NttTable>>,
}

impl RnsBasis {
    /// Builds the tables for the fastest ISA of this machine.
    ///
    /// # Errors
    /// [`Error::Count`] for no primes or more than [`MAX_LIMBS`], [`Error::RepeatedModulus`],
    /// and the errors of [`NttTable::new`].
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

    /// Returns the basis of the primes `range`, which shares the tables.
    ///
    /// # Panics
    /// If the range is empty or out of bounds.
    #[must_use]
    pub fn range(&self, range: Range<usize>) -> Self {
        assert!(!range.is_empty(), "empty basis");
        Self { tables: self.tables[range].to_vec() }
    }

    /// Returns this basis followed by another; the tables are shared.
    ///
    /// # Errors
    /// [`Error::RepeatedModulus`] if the bases share a prime, [`Error::RingDegree`] if their rings
    /// differ, [`Error::Count`] for more than [`MAX_LIMBS`] primes.
    pub fn concat(&self, other: &Self) -> Result<Self, Error> {
        if self.log_n() != other.log_n() {
            return Err(Error::RingDegree { log_n: other.log_n() });
        }
        let tables: Vec<_> = self.tables.iter().chain(&other.tables).cloned().collect();
        let all = Self { tables };
        check_moduli(&all.moduli())?;
        Ok(all)
    }

    /// The number of primes.
    #[expect(clippy::len_without_is_empty, reason = "a basis is never empty")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// The log2 of the ring degree.
    #[must_use]
    pub fn log_n(&self) -> u32 {
        self.tables[0].log_n()
    }

    /// The ring degree N.
    #[must_use]
    pub fn n(&self) -> usize {
        self.tables[0].n()
    }

    /// The ISA whose code runs.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.tables[0].isa()
    }

    /// The table of qᵢ: transforms and arithmetic modulo this prime.
    ///
    /// # Panics
    /// If there is no prime number i.
    #[must_use]
    pub fn table(&self, i: usize) -> &NttTable {
        &self.tables[i]
    }

    /// The prime qᵢ.
    ///
    /// # Panics
    /// If there is no prime number i.
    #[must_use]
    pub fn modulus(&self, i: usize) -> &Modulus {
        self.tables[i].modulus()
    }

    /// Returns all primes.
    #[must_use]
    pub fn moduli(&self) -> Vec<Modulus> {
        self.tables.iter().map(|t| *t.modulus()).collect()
    }

    /// The log2 of the product of all primes.
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

/// Checks whether a basis can have these primes.
fn check_moduli(moduli: &[Modulus]) -> Result<(), Error> {
    if !(1..=MAX_LIMBS).contains(&moduli.len()) {
        return Err(Error::Count { what: "limbs", value: moduli.len(), min: 1, max: MAX_LIMBS });
    }
    match moduli.iter().enumerate().find(|(i, q)| moduli[..*i].contains(q)) {
        Some((_, q)) => Err(Error::RepeatedModulus { modulus: q.value() }),
        None => Ok(()),
    }
}
