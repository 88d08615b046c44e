//! The automorphisms X → X^g for odd g.
//!
//! An automorphism moves coefficient j to position gj mod N, with the sign of gj mod 2N.
//! On values, slot i holds the value at ψ^(2·brev(i) + 1), and a(X^g) at ψ^e is a at ψ^(ge).
//! So the values undergo a permutation of slots, which maps aligned runs of 2^k slots to aligned
//! runs and therefore stays within cache lines and pages.

use alloc::vec::Vec;

use crate::error::Error;
use crate::modulus::Modulus;
use crate::poly::{Coeff, Eval, RnsPolyMut, RnsPolyRef};
use crate::simd::{Isa, Lanes, Task, lane, lane_index};
use crate::{MAX_LOG_N, MIN_LOG_N};

/// An odd g in [1, 2N), which identifies the automorphism X → X^g.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GaloisElement {
    g: u32,
    log_n: u32,
}

impl GaloisElement {
    /// Makes the element from an odd g below 2N.
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

    /// Returns the element 5^k mod 2N, which rotates the slots of the canonical embedding by k (to
    /// the left for k > 0). There are N/2 slots, and 5 has this order, so k counts modulo N/2.
    ///
    /// # Panics
    /// If log_n is outside 4 … 17.
    #[must_use]
    #[track_caller]
    pub fn rotation(k: i64, log_n: u32) -> Self {
        check_degree(log_n);
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

    /// Returns the element 2N − 1, which conjugates the (complex) slots.
    ///
    /// # Panics
    /// If log_n is outside 4 … 17.
    #[must_use]
    #[track_caller]
    pub const fn conjugation(log_n: u32) -> Self {
        check_degree(log_n);
        Self { g: (2 << log_n) - 1, log_n }
    }

    /// The value of g.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.g as u64
    }

    /// The log2 of the ring degree that the element belongs to.
    #[must_use]
    pub const fn log_n(self) -> u32 {
        self.log_n
    }

    /// Returns the element of the inverse automorphism.
    #[must_use]
    pub const fn inverse(self) -> Self {
        // This is Newton's iteration: each step doubles the number of right low bits,
        // starting from 3.
        let mut x = self.g;
        let mut step = 0;
        while step < 4 {
            x = x.wrapping_mul(2u32.wrapping_sub(self.g.wrapping_mul(x)));
            step += 1;
        }
        Self { g: x & ((2 << self.log_n) - 1), log_n: self.log_n }
    }

    /// Returns the element that applies first self, then other (they commute).
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

/// The number of values that stay together: see [`Automorphism`].
const BLOCK: usize = 8;

/// The slot permutation of one automorphism in [`Eval`] form. It takes N/2 bytes and is made once
/// for a Galois element.
///
/// Value i is the one at ψ^(2·brev(i) + 1). The low 3 bits of i are the high bits of the exponent,
/// so the exponents of 8 neighbours differ by multiples of 2N/8.
/// This remains true after a multiplication by g, so 8 neighbours are made from 8 neighbours.
/// Their order depends on g modulo 8 and on the high bits of the first product.
///
/// The result is written from one end to the other, as the processor expects:
/// waiting for its memory can take longer than the moves. Moving the sums of a key-switch to their
/// places as soon as they are made, 128 to 4096 at a time, took 130 to 155 us a limb instead of 121
/// (Zen 4, result from memory).
#[derive(Clone, Debug)]
pub struct Automorphism {
    element: GaloisElement,
    isa: Isa,
    /// For each block of the result: the block that it is made from and, in the low 3 bits,
    /// the order to use.
    blocks: Vec<u32>,
    /// For each order, the place that each place of a block is made from, as [`Lanes::permute`]
    /// takes it.
    orders: [[u64; BLOCK]; BLOCK],
}

/// Returns the place in its block that value i is made from, for g modulo 8 and the high bits
/// of the first value's exponent.
const fn order(g: usize, high: usize, i: usize) -> usize {
    const REVERSED: [usize; BLOCK] = [0, 4, 2, 6, 1, 5, 3, 7];
    REVERSED[(g * REVERSED[i] + high) % BLOCK]
}

impl Automorphism {
    /// Tabulates the permutation for the fastest ISA of this machine.
    #[must_use]
    pub fn new(element: GaloisElement) -> Self {
        Self::with_isa(element, Isa::detect())
    }

    /// Tabulates the permutation for a given ISA.
    #[must_use]
    pub fn with_isa(element: GaloisElement, isa: Isa) -> Self {
        let GaloisElement { g, log_n } = element;
        let reverse = |i: u32, bits: u32| i.reverse_bits() >> (u32::BITS - bits);
        let (low, mask) = (log_n - 3, (2u32 << log_n) - 1);
        let block = |b: u32| {
            let exponent = g.wrapping_mul(2 * reverse(b, low) + 1) & mask;
            let rest = exponent & ((2 << low) - 1);
            reverse(rest >> 1, low) << 3 | exponent >> (low + 1)
        };
        let order = |high| core::array::from_fn(|i| lane(order(g as usize, high, i)));
        Self { element, isa, blocks: (0..1 << low).map(block).collect(), orders: core::array::from_fn(order) }
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
        let n = 1 << self.element.log_n;
        assert!(a.len() == n && out.len() == n, "lengths differ from the ring degree");
        self.isa.run(Permute { automorphism: self, a, plus: None, out });
    }

    /// Writes a(X^g) + b to `out` for one limb of values, centred. This takes one pass over memory
    /// less than the two steps one after the other.
    ///
    /// # Panics
    /// If a length is not N.
    pub fn limb_add_into(&self, modulus: &Modulus, a: &[f64], b: &[f64], out: &mut [f64]) {
        let n = 1 << self.element.log_n;
        assert!(a.len() == n && b.len() == n && out.len() == n, "lengths differ from the ring degree");
        self.isa.run(Permute { automorphism: self, a, plus: Some((modulus, b)), out });
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

/// One limb under an automorphism. Each register of L values of the result is made from one
/// register of the source, because aligned runs stay together.
struct Permute<'a> {
    automorphism: &'a Automorphism,
    a: &'a [f64],
    /// What to add, and the modulus q for it.
    plus: Option<(&'a Modulus, &'a [f64])>,
    out: &'a mut [f64],
}

impl Task for Permute<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const L: usize, S: Lanes<L>>(self, simd: S) {
        let (a, out) = (self.a.as_chunks::<BLOCK>().0, self.out.as_chunks_mut::<BLOCK>().0);
        let plus = self.plus.map(|(q, b)| (simd.modulus(q), b.as_chunks::<BLOCK>().0));
        let orders = &self.automorphism.orders;
        for (i, (out, &block)) in out.iter_mut().zip(&self.automorphism.blocks).enumerate() {
            let (from, order) = (a[block as usize / BLOCK].as_chunks::<L>().0, &orders[block as usize % BLOCK]);
            for (r, (out, lanes)) in out.as_chunks_mut::<L>().0.iter_mut().zip(order.as_chunks::<L>().0).enumerate() {
                let mut v = simd.permute(simd.load(&from[lane_index(lanes[0]) / L]), lanes);
                if let Some((q, b)) = plus {
                    [v] = simd.reduce(q, [simd.add(v, simd.load(&b[i].as_chunks::<L>().0[r]))]);
                }
                simd.store(out, v);
            }
        }
    }
}

/// Applies X → X^g to coefficients, limb by limb.
///
/// # Panics
/// If the shapes differ, or N is not that of the element.
pub fn automorphism_coeff_into(element: GaloisElement, a: RnsPolyRef<'_, Coeff>, out: &mut RnsPolyMut<'_, Coeff>) {
    let n = 1usize << element.log_n;
    assert!(a.limbs() == out.limbs() && a.n() == n && out.n() == n, "shapes differ");
    for i in 0..a.limbs() {
        let out = out.limb_mut(i);
        let mut at = 0usize;
        for &x in a.limb(i) {
            // X^(N + j) = −X^j. The code computes 0 − x so that no −0 appears.
            out[at % n] = if at >= n { 0.0 - x } else { x };
            at = (at + element.g as usize) % (2 * n);
        }
    }
}
