//! Fast base conversion (Halevi, Polyakov, Shoup, CT-RSA 2019), in `f64`.
//!
//! For x modulo Q = ∏qᵢ, let yᵢ = \[x·(Q/qᵢ)^−1\] mod qᵢ, centred. Then Σ yᵢ·Q/qᵢ = x̃ + v·Q,
//! where x̃ is the centred representative of x and the *overflow* v = ⌊Σ yᵢ/qᵢ⌉ has |v| ≤ L/2.
//! So, modulo another prime p,
//!
//! * Σ yᵢ·\[Q/qᵢ\]_p is x̃ + vQ: the *fast* conversion, which is right up to a small multiple of Q;
//! * with the additional term v·\[−Q\]_p it is x̃: the *centred* conversion.
//!   v is one more input limb, computed once for all p.
//!
//! v is summed in `f64` with an error of at most (L(L + 1)/16 + L/4)·2^−51, which is 2^−48.3 for
//! L = 8. It is off by one only if x̃ lies within that fraction of Q of ±Q/2, and the result is
//! then the representative on the other side.

use alloc::vec::Vec;

use crate::error::Error;
use crate::modulus::Modulus;
use crate::rns::check_moduli;
use crate::simd::{Isa, Lanes, MAX_TERMS, Task, array};

/// Tables that convert limbs modulo q₀…q_{L−1} to limbs modulo p₀…p_{M−1}.
#[derive(Clone, Debug)]
pub struct BaseConverter {
    from: Vec<Modulus>,
    to: Vec<Modulus>,
    isa: Isa,
    /// The centred weights: for each p, \[Q/qᵢ\]_p for all i, then \[−Q\]_p.
    weights: Vec<f64>,
    /// The floating-point inverses 1/qᵢ.
    inverses: Vec<f64>,
    /// The cofactors \[(Q/qᵢ)^−1\] mod qᵢ.
    cofactors: Vec<u64>,
}

/// The number of coefficients converted at a time. The inputs of a block, 24 KiB for eight,
/// stay in the first-level cache for all outputs.
const BLOCK: usize = 384;

impl BaseConverter {
    /// Tabulates the constants. A prime may occur on both sides; its output is then that limb
    /// again.
    ///
    /// # Errors
    /// [`Error::RepeatedModulus`] if a prime occurs twice on one side, [`Error::Count`] if a side
    /// has none or more than [`MAX_LIMBS`](super::MAX_LIMBS).
    pub fn new(from: &[Modulus], to: &[Modulus], isa: Isa) -> Result<Self, Error> {
        check_moduli(from)?;
        check_moduli(to)?;
        let others = |i: usize, m: &Modulus| {
            let others = from.iter().enumerate().filter(|(k, _)| *k != i);
            others.fold(1, |p, (_, q)| m.mul(p, m.reduce(q.value())))
        };
        let mut weights = Vec::with_capacity(to.len() * (from.len() + 1));
        for p in to {
            weights.extend((0..from.len()).map(|i| p.centre(others(i, p)) as f64));
            weights.push(p.centre(p.neg(others(usize::MAX, p))) as f64);
        }
        let inverse = |(i, q): (usize, &Modulus)| q.inv(others(i, q)).expect("the primes are distinct");
        Ok(Self {
            weights,
            inverses: from.iter().map(|q| 1.0 / q.as_f64()).collect(),
            cofactors: from.iter().enumerate().map(inverse).collect(),
            from: from.to_vec(),
            to: to.to_vec(),
            isa,
        })
    }

    /// The source primes.
    #[must_use]
    pub fn from(&self) -> &[Modulus] {
        &self.from
    }

    /// The target primes.
    #[must_use]
    pub fn to(&self) -> &[Modulus] {
        &self.to
    }

    /// Returns the factor (Q/qᵢ)^−1 mod qᵢ that turns limb i into the yᵢ that
    /// the conversions take. It costs nothing when it is folded into an inverse NTT
    /// ([`NttTable::inverse_scaled`](crate::NttTable::inverse_scaled)).
    ///
    /// # Panics
    /// If there is no source prime number i.
    #[must_use]
    pub fn cofactor(&self, i: usize) -> u64 {
        self.cofactors[i]
    }

    /// Computes the overflow v = ⌊Σ yᵢ/qᵢ⌉, the last input of a centred conversion.
    ///
    /// # Panics
    /// If there are not L inputs, or lengths differ or are not a multiple of 8.
    #[track_caller]
    pub fn overflow_into(&self, y: &[&[f64]], v: &mut [f64]) {
        struct Overflow<'a>(&'a BaseConverter, &'a [&'a [f64]], &'a mut [f64]);
        impl Task for Overflow<'_> {
            type Output = ();
            #[inline(always)]
            fn run<const L: usize, S: Lanes<L>>(self, simd: S) {
                let Overflow(converter, y, v) = self;
                // Four vectors at a time stay in the cache for all inputs.
                for (block, v) in v.chunks_mut(4 * L).enumerate() {
                    let mut sums = [simd.real_zero(); 4];
                    for (y, &inverse) in y.iter().zip(&converter.inverses) {
                        let y = y[block * 4 * L..][..v.len()].as_chunks::<L>().0;
                        for (sum, y) in sums.iter_mut().zip(y) {
                            *sum = simd.real_add(*sum, simd.load(y), inverse);
                        }
                    }
                    for (v, sum) in v.as_chunks_mut::<L>().0.iter_mut().zip(sums) {
                        simd.store(v, simd.real_round(sum));
                    }
                }
            }
        }
        assert!(y.len() == self.from.len(), "{} limbs where {} are converted", y.len(), self.from.len());
        check_lengths(y, v.len());
        self.isa.run(Overflow(self, y, v));
    }

    /// Converts to the target primes `first`, `first + 1`, …, one for each limb of `out`.
    /// `y` holds the L limbs yᵢ for a fast conversion, and v after them for a centred one,
    /// all as centred `f64`. All lengths are equal but need not be N,
    /// so that callers can also split the coefficients. Results are residues with |x| ≤ 5p/4,
    /// which [`NttTable::forward`](crate::NttTable::forward) takes.
    ///
    /// # Panics
    /// If the number of limbs is not L or L + 1, targets do not exist, or lengths differ or are not
    /// a multiple of 8.
    #[track_caller]
    pub fn convert_into(&self, y: &[&[f64]], first: usize, out: &mut [&mut [f64]]) {
        let inputs = self.from.len();
        assert!(
            y.len() == inputs || y.len() == inputs + 1,
            "{} limbs where {inputs}, or these and the overflow, are converted",
            y.len()
        );
        let left = self.to.len().checked_sub(first);
        assert!(left.is_some_and(|left| out.len() <= left), "targets {first}.. of {}", self.to.len());
        out.iter().for_each(|out| check_lengths(y, out.len()));
        // The overflow is so small that it fits beside MAX_TERMS products.
        let mut from = 0;
        while from < y.len() {
            let left = y.len() - from;
            let terms = if left == MAX_TERMS + 1 && y.len() > inputs { left } else { left.min(MAX_TERMS) };
            macro_rules! run {
                ($($k:literal)*) => {
                    match terms {
                        $($k => self.isa.run(Convert::<$k> {
                            y: core::array::from_fn(|i| y[from + i]),
                            weights: &self.weights[first * (inputs + 1) + from..],
                            stride: inputs + 1,
                            to: &self.to[first..],
                            out,
                            add: from > 0,
                        }),)*
                        _ => unreachable!("1 to {} terms", MAX_TERMS + 1),
                    }
                };
            }
            run!(1 2 3 4 5 6 7 8 9);
            from += terms;
        }
    }
}

#[track_caller]
fn check_lengths(y: &[&[f64]], len: usize) {
    assert!(
        len.is_multiple_of(8) && y.iter().all(|y| y.len() == len),
        "limbs of unequal length, or not a multiple of 8"
    );
}

/// Computes Σ yᵢ·wᵢ over K inputs and stores it in `out` or adds it to it.
struct Convert<'a, 'b, const K: usize> {
    y: [&'a [f64]; K],
    weights: &'a [f64],
    stride: usize,
    to: &'a [Modulus],
    out: &'a mut [&'b mut [f64]],
    add: bool,
}

impl<const K: usize> Task for Convert<'_, '_, K> {
    type Output = ();

    #[inline(always)]
    fn run<const L: usize, S: Lanes<L>>(self, simd: S) {
        let len = self.y[0].len();
        let mut at = 0;
        while at < len {
            let block = BLOCK.min(len - at);
            let y = array!(K, |i| self.y[i][at..at + block].as_chunks::<L>().0);
            for ((out, p), w) in self.out.iter_mut().zip(self.to).zip(self.weights.chunks(self.stride)) {
                let q = simd.modulus(p);
                let w = array!(K, |i| simd.splat(w[i]));
                let out = out[at..at + block].as_chunks_mut::<L>().0;
                let y4 = array!(K, |i| y[i].as_chunks::<4>().0);
                let (out4, rest) = out.as_chunks_mut::<4>();
                for (i, out) in out4.iter_mut().enumerate() {
                    let y = array!(K, |k| &y4[k][i]);
                    sums::<L, S, K, 4>(simd, q, y, w, out, self.add);
                }
                let done = 4 * out4.len();
                for (i, out) in rest.as_chunks_mut::<1>().0.iter_mut().enumerate() {
                    let y = array!(K, |k| core::array::from_ref(&y[k][done + i]));
                    sums::<L, S, K, 1>(simd, q, y, w, out, self.add);
                }
            }
            at += block;
        }
    }
}

/// Sums U vectors of one output side by side.
#[inline(always)]
fn sums<const L: usize, S: Lanes<L>, const K: usize, const U: usize>(
    simd: S,
    q: S::Q,
    y: [&[[f64; L]; U]; K],
    w: [S::V; K],
    out: &mut [[f64; L]; U],
    add: bool,
) {
    let mut acc = array!(U, |u| simd.acc_first(simd.load(&y[0][u]), w[0]));
    for k in 1..K {
        for u in 0..U {
            acc[u] = simd.acc_mul(acc[u], simd.load(&y[k][u]), w[k]);
        }
    }
    let mut sum = simd.acc_finish_lazy(q, acc);
    if add {
        sum = simd.reduce(q, array!(U, |u| simd.add(sum[u], simd.load(&out[u]))));
    }
    for u in 0..U {
        simd.store(&mut out[u], sum[u]);
    }
}
