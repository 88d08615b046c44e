//! Primes, bases and random limbs, the same in every run.

use aligned_vec::{AVec, ConstAlign};
use hetal_kernel::poly::Domain;
use hetal_kernel::primes::below_bits;
use hetal_kernel::sampler::{Seed, uniform_into};
use hetal_kernel::scratch::limb_stride;
use hetal_kernel::{Error, Isa, Modulus, RnsBasis, RnsPoly};

use crate::BITS;

/// The canonical residues of one limb, aligned as the kernel aligns its own limbs.
pub type Words = AVec<u64, ConstAlign<64>>;

/// Returns the ISAs to measure where the user names none: AVX2, which most machines have, then the
/// best of this machine.
#[must_use]
pub fn default_isas() -> Vec<Isa> {
    let mut isas: Vec<_> = Isa::by_name("avx2").into_iter().chain([Isa::detect()]).collect();
    isas.dedup();
    isas
}

/// Returns primes of [`BITS`] bits.
///
/// # Errors
/// [`Error::NotEnoughPrimes`].
pub fn primes(log_n: u32, count: usize) -> Result<Vec<Modulus>, Error> {
    below_bits(log_n, BITS, count)
}

/// Returns the basis of `count` of these primes, after the first `skip`.
///
/// # Errors
/// Those of [`RnsBasis::with_isa`].
pub fn basis(log_n: u32, skip: usize, count: usize, isa: Isa) -> Result<RnsBasis, Error> {
    RnsBasis::with_isa(log_n, &primes(log_n, skip + count)?[skip..], isa)
}

/// Returns a polynomial whose limb i has uniform centred residues modulo `moduli[i]`, the same for
/// the same `label`.
#[must_use]
pub fn random_poly<D: Domain>(n: usize, moduli: &[Modulus], label: u8) -> RnsPoly<D> {
    let seed = Seed::from_bytes([label; Seed::LEN]);
    let mut poly = RnsPoly::zero(n, moduli.len());
    for (i, (limb, q)) in poly.limbs_mut().zip(moduli).enumerate() {
        uniform_into(q, &mut seed.expand(i as u64), limb);
    }
    poly
}

/// Returns the same residues in [0, q), for the functions that take `u64`.
#[must_use]
pub fn canonical(q: &Modulus, limb: &[f64]) -> Words {
    AVec::from_iter(64, limb.iter().map(|&x| q.reduce_i64(x as i64)))
}

/// Limbs of canonical residues, as far apart as those of an [`RnsPoly`]: distances that are powers
/// of two would cost the peer cache conflicts.
#[derive(Clone, Debug)]
pub struct WordPoly {
    n: usize,
    words: Words,
}

impl WordPoly {
    /// Returns zeros.
    #[must_use]
    pub fn zero(n: usize, limbs: usize) -> Self {
        Self { n, words: AVec::from_iter(64, std::iter::repeat_n(0, limbs * limb_stride(n))) }
    }

    /// Returns the residues of `poly` modulo `moduli`.
    #[must_use]
    pub fn canonical<D: Domain>(moduli: &[Modulus], poly: &RnsPoly<D>) -> Self {
        let mut words = Self::zero(poly.n(), poly.limbs());
        for (i, (limb, q)) in words.limbs_mut().zip(moduli).enumerate() {
            limb.copy_from_slice(&canonical(q, poly.limb(i)));
        }
        words
    }

    /// Returns all limbs.
    pub fn limbs(&self) -> impl Iterator<Item = &[u64]> {
        self.words.chunks_exact(limb_stride(self.n)).map(|limb| &limb[..self.n])
    }

    /// Returns all limbs, exclusively.
    pub fn limbs_mut(&mut self) -> impl Iterator<Item = &mut [u64]> {
        self.words.chunks_exact_mut(limb_stride(self.n)).map(|limb| &mut limb[..self.n])
    }
}
