//! The automorphisms X → X^g for odd g.
//!
//! On coefficients, coefficient j moves to position gj mod N with the sign of gj mod 2N. On values, slot i holds the value
//! at ψ^(2·brev(i) + 1), and a(X^g) at ψ^e is a at ψ^(ge): a permutation of slots that maps aligned runs of 2^k slots to
//! aligned runs, so that it stays within cache lines and pages.

use alloc::vec::Vec;

use crate::error::Error;
use crate::poly::{Coeff, Eval, RnsPolyMut, RnsPolyRef};
use crate::{MAX_LOG_N, MIN_LOG_N};

/// An odd g in [1, 2N): names the automorphism X → X^g.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GaloisElement {
    g: u32,
    log_n: u32,
}

impl GaloisElement {
    /// Takes an odd g below 2N.
    ///
    /// # Errors
    /// [`Error::GaloisElement`] for an even or too large g.
    ///
    /// # Panics
    /// If log_n is outside 4 … 17.
    #[track_caller]
    pub const fn new(g: u64, log_n: u32) -> Result<Self, Error> {
        check_degree(log_n);
        if g.is_multiple_of(2) || g >> (log_n + 1) != 0 {
            Err(Error::GaloisElement { element: g })
        } else {
            Ok(Self { g: g as u32, log_n })
        }
    }

    /// The element 5^k mod 2N: rotates the slots of the canonical embedding by k (to the left for k > 0).
    ///
    /// # Panics
    /// If log_n is outside 4 … 17.
    #[must_use]
    #[track_caller]
    pub fn rotation(k: i64, log_n: u32) -> Self {
        check_degree(log_n);
        // 5 has order N/2.
        let mut e = k.rem_euclid(1 << (log_n - 1));
        let mask = (2u32 << log_n) - 1;
        let (mut g, mut base) = (1u32, 5u32);
        while e != 0 {
            if e & 1 == 1 {
                g = g.wrapping_mul(base) & mask;
            }
            base = base.wrapping_mul(base) & mask;
            e >>= 1;
        }
        Self { g, log_n }
    }

    /// The element 2N − 1: complex conjugation of the slots.
    ///
    /// # Panics
    /// If log_n is outside 4 … 17.
    #[must_use]
    #[track_caller]
    pub const fn conjugation(log_n: u32) -> Self {
        check_degree(log_n);
        Self { g: (2 << log_n) - 1, log_n }
    }

    /// g.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.g as u64
    }

    /// log2 of the ring degree it belongs to.
    #[must_use]
    pub const fn log_n(self) -> u32 {
        self.log_n
    }

    /// The automorphism that undoes this one.
    #[must_use]
    pub const fn inverse(self) -> Self {
        // Newton: each step doubles the number of right low bits, starting from 3.
        let mut x = self.g;
        let mut step = 0;
        while step < 4 {
            x = x.wrapping_mul(2u32.wrapping_sub(self.g.wrapping_mul(x)));
            step += 1;
        }
        Self { g: x & ((2 << self.log_n) - 1), log_n: self.log_n }
    }

    /// First self, then other (they commute).
    ///
    /// # Panics
    /// If they belong to different rings.
    #[must_use]
    pub const fn compose(self, other: Self) -> Self {
        assert!(self.log_n == other.log_n, "Galois elements of different rings");
        Self { g: self.g.wrapping_mul(other.g) & ((2 << self.log_n) - 1), log_n: self.log_n }
    }
}

#[track_caller]
const fn check_degree(log_n: u32) {
    assert!(MIN_LOG_N <= log_n && log_n <= MAX_LOG_N, "ring degree outside 2^4 to 2^17");
}

/// The slot permutation of one automorphism in [`Eval`] form: 4N bytes, made once for a Galois element.
#[derive(Clone, Debug)]
pub struct Automorphism {
    element: GaloisElement,
    /// out[i] = in[source[i]].
    source: Vec<u32>,
}

impl Automorphism {
    /// Tabulates the permutation.
    #[must_use]
    pub fn new(element: GaloisElement) -> Self {
        let GaloisElement { g, log_n } = element;
        let reverse = |i: u32| i.reverse_bits() >> (u32::BITS - log_n);
        let mask = (2u32 << log_n) - 1;
        let source = (0..1u32 << log_n).map(|i| reverse((g.wrapping_mul(2 * reverse(i) + 1) & mask) >> 1)).collect();
        Self { element, source }
    }

    /// The Galois element.
    #[must_use]
    pub const fn element(&self) -> GaloisElement {
        self.element
    }

    /// Applies the automorphism to one limb of values.
    ///
    /// # Panics
    /// If a length is not N.
    pub fn limb_into(&self, a: &[f64], out: &mut [f64]) {
        assert!(a.len() == self.source.len() && out.len() == a.len(), "lengths differ from the ring degree");
        for (out, &i) in out.iter_mut().zip(&self.source) {
            *out = a[i as usize];
        }
    }

    /// Applies the automorphism to every limb.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn apply_into(&self, a: RnsPolyRef<'_, Eval>, out: &mut RnsPolyMut<'_, Eval>) {
        assert!(a.limbs() == out.limbs(), "{} and {} limbs", a.limbs(), out.limbs());
        (0..a.limbs()).for_each(|i| self.limb_into(a.limb(i), out.limb_mut(i)));
    }
}

/// Applies X → X^g to coefficients, limb by limb.
///
/// # Panics
/// If the shapes differ, or N is not the element's.
pub fn automorphism_coeff_into(element: GaloisElement, a: RnsPolyRef<'_, Coeff>, out: &mut RnsPolyMut<'_, Coeff>) {
    let n = 1usize << element.log_n;
    assert!(a.limbs() == out.limbs() && a.n() == n && out.n() == n, "shapes differ");
    for i in 0..a.limbs() {
        let out = out.limb_mut(i);
        let mut at = 0usize;
        for &x in a.limb(i) {
            // X^(N + j) = −X^j; 0 − x, so that no −0 appears.
            out[at % n] = if at >= n { 0.0 - x } else { x };
            at = (at + element.g as usize) % (2 * n);
        }
    }
}
