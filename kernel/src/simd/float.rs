//! The modular arithmetic of all `f64` leaves, written once over the few operations that an ISA
//! file supplies.

use super::{Lanes, chunk_bits};
use crate::modulus::Modulus;

/// L `f64` in a register. An ISA file implements this trait with wrappers of single instructions.
///
/// The ISA must have a **fused** multiply-add: [`fma`](FloatLanes::fma) and
/// [`fnma`](FloatLanes::fnma) round once. A product modulo q is exact only because the second of
/// two such operations returns the rounding error of the first; with a rounding after the product
/// the results would be wrong without any sign of it. Relaxed multiply-adds, which may or may not
/// be fused (those of WebAssembly, for instance), will not do.
pub(crate) trait FloatLanes<const L: usize>: Copy {
    type V: Copy;
    fn splat(self, x: f64) -> Self::V;
    fn load(self, x: &[f64; L]) -> Self::V;
    fn store(self, x: &mut [f64; L], v: Self::V);
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// Returns a·b + c with one rounding.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Returns c − a·b with one rounding.
    fn fnma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Rounds to the nearest integer, ties to even.
    fn round(self, a: Self::V) -> Self::V;
    /// Returns `if x < 0 { y } else { 0 }`; the condition is false for −0.
    fn if_negative(self, x: Self::V, y: Self::V) -> Self::V;
    fn load_bits(self, x: &[u64; L]) -> Self::V;
    fn and_bits(self, a: Self::V, b: Self::V) -> Self::V;
    fn or_bits(self, a: Self::V, b: Self::V) -> Self::V;
    fn xor_bits(self, a: Self::V, b: Self::V) -> Self::V;
    /// Shifts the bits of a to the right by n.
    fn shift_bits_right(self, a: Self::V, n: u32) -> Self::V;
    fn transpose(self, v: [Self::V; L]) -> [Self::V; L];
    /// Permutes lanes as [`Lanes::permute`] does.
    fn permute(self, v: Self::V, lanes: &[u64; L]) -> Self::V;
}

/// Modular arithmetic over the operations of a [`FloatLanes`] leaf.
#[derive(Clone, Copy)]
pub(crate) struct Fma<P>(pub(crate) P);

/// The constants of a modulus: q, 1/q and `packed` = 2^52 + (q − 1)/2. A packed residue,
/// read as `f64` with the exponent of 2^52, exceeds the residue that it stands for by `packed`.
#[derive(Clone, Copy)]
pub(crate) struct FloatModulus<V> {
    q: V,
    inv: V,
    packed: V,
}

/// A sum of products in two parts: `hi` carries [`BIAS`] and is a multiple of 2^50;
/// the sum is exactly hi − BIAS − excess.
#[derive(Clone, Copy)]
pub(crate) struct FloatAcc<V> {
    hi: V,
    excess: V,
}

/// Or-ing a u64 x below 2^52 into the bits of 2^52 gives the `f64` 2^52 + x.
const TWO_52: f64 = (1u64 << 52) as f64;
/// 1.5·2^102: sums of size up to 2^101 added to it stay in [2^102, 2^103), where the spacing
/// of `f64` is 2^50.
const BIAS: f64 = 1.5 * (1u128 << 102) as f64;

impl<const L: usize, P: FloatLanes<L>> Lanes<L> for Fma<P> {
    type V = P::V;
    type Q = FloatModulus<P::V>;
    type W = [P::V; 2];
    type Acc = FloatAcc<P::V>;
    type Real = P::V;

    #[inline(always)]
    fn modulus(self, q: &Modulus) -> Self::Q {
        FloatModulus {
            q: self.0.splat(q.as_f64()),
            inv: self.0.splat(1.0 / q.as_f64()),
            packed: self.0.splat(TWO_52 + (q.value() / 2) as f64),
        }
    }

    #[inline(always)]
    fn multiplier(self, w: [f64; 2]) -> Self::W {
        [self.0.splat(w[0]), self.0.splat(w[1])]
    }

    #[inline(always)]
    fn splat(self, x: f64) -> P::V {
        self.0.splat(x)
    }

    #[inline(always)]
    fn load(self, x: &[f64; L]) -> P::V {
        self.0.load(x)
    }

    #[inline(always)]
    fn store(self, x: &mut [f64; L], v: P::V) {
        self.0.store(x, v);
    }

    #[inline(always)]
    fn load_u64(self, x: &[f64; L]) -> P::V {
        let t = self.0.splat(TWO_52);
        self.0.sub(self.0.or_bits(self.0.load(x), t), t)
    }

    #[inline(always)]
    fn unpack_low(self, q: Self::Q, bits: u32, word: &[u64; L]) -> P::V {
        let low = self.0.splat(f64::from_bits(u64::MAX >> bits));
        let residue = self.0.and_bits(self.0.load_bits(word), low);
        self.0.sub(self.0.or_bits(residue, self.0.splat(TWO_52)), q.packed)
    }

    #[inline(always)]
    fn unpack_high<const C: usize>(self, q: Self::Q, words: [&[u64; L]; C]) -> P::V {
        let bits = chunk_bits(C);
        let mut residue = self.0.splat(TWO_52);
        for (c, word) in words.into_iter().enumerate() {
            let from = c as u32 * bits;
            let chunk = self.0.splat(f64::from_bits(((1 << bits) - 1) << from));
            let shifted = self.0.shift_bits_right(self.0.load_bits(word), u64::BITS - bits - from);
            residue = self.0.or_bits(residue, self.0.and_bits(shifted, chunk));
        }
        self.0.sub(residue, q.packed)
    }

    #[inline(always)]
    fn store_u64(self, q: Self::Q, x: &mut [f64; L], v: P::V) {
        let [r] = self.reduce(q, [v]);
        let canonical = self.0.add(r, self.0.if_negative(r, q.q));
        let t = self.0.splat(TWO_52);
        self.0.store(x, self.0.xor_bits(self.0.add(canonical, t), t));
    }

    #[inline(always)]
    fn add(self, a: P::V, b: P::V) -> P::V {
        self.0.add(a, b)
    }

    #[inline(always)]
    fn sub(self, a: P::V, b: P::V) -> P::V {
        self.0.sub(a, b)
    }

    #[inline(always)]
    fn reduce<const K: usize>(self, q: Self::Q, a: [P::V; K]) -> [P::V; K] {
        let quotient = array!(K, |i| self.0.round(self.0.mul(a[i], q.inv)));
        array!(K, |i| self.0.fnma(quotient[i], q.q, a[i]))
    }

    #[inline(always)]
    fn mul_const<const K: usize>(self, q: Self::Q, b: [P::V; K], w: [Self::W; K]) -> [P::V; K] {
        let quotient = array!(K, |i| self.0.round(self.0.mul(b[i], w[i][1])));
        let h = array!(K, |i| self.0.mul(b[i], w[i][0]));
        self.mul_finish(q, b, array!(K, |i| w[i][0]), h, quotient)
    }

    #[inline(always)]
    fn mul<const K: usize>(self, q: Self::Q, b: [P::V; K], w: [P::V; K]) -> [P::V; K] {
        let h = array!(K, |i| self.0.mul(b[i], w[i]));
        let quotient = array!(K, |i| self.0.round(self.0.mul(h[i], q.inv)));
        self.mul_finish(q, b, w, h, quotient)
    }

    #[inline(always)]
    fn transpose(self, v: [P::V; L]) -> [P::V; L] {
        self.0.transpose(v)
    }

    #[inline(always)]
    fn permute(self, v: P::V, lanes: &[u64; L]) -> P::V {
        self.0.permute(v, lanes)
    }

    #[inline(always)]
    fn acc_first(self, a: P::V, b: P::V) -> Self::Acc {
        let bias = self.0.splat(BIAS);
        let hi = self.0.fma(a, b, bias);
        FloatAcc { hi, excess: self.0.fnma(a, b, self.0.sub(hi, bias)) }
    }

    #[inline(always)]
    fn acc_mul(self, acc: Self::Acc, a: P::V, b: P::V) -> Self::Acc {
        let hi = self.0.fma(a, b, acc.hi);
        let step = self.0.sub(hi, acc.hi);
        // The rounding of `hi` added step − a·b.
        FloatAcc { hi, excess: self.0.add(acc.excess, self.0.fnma(a, b, step)) }
    }

    #[inline(always)]
    fn acc_finish<const K: usize>(self, q: Self::Q, acc: [Self::Acc; K]) -> [P::V; K] {
        let bias = self.0.splat(BIAS);
        let h = array!(K, |i| self.0.sub(acc[i].hi, bias));
        let high = self.reduce(q, h);
        self.reduce(q, array!(K, |i| self.0.sub(high[i], acc[i].excess)))
    }

    #[inline(always)]
    fn acc_finish_lazy<const K: usize>(self, q: Self::Q, acc: [Self::Acc; K]) -> [P::V; K] {
        let bias = self.0.splat(BIAS);
        let h = array!(K, |i| self.0.sub(acc[i].hi, bias));
        let sum = array!(K, |i| self.0.sub(h[i], acc[i].excess));
        let quotient = array!(K, |i| self.0.round(self.0.mul(sum[i], q.inv)));
        let high = array!(K, |i| self.0.fnma(quotient[i], q.q, h[i]));
        array!(K, |i| self.0.sub(high[i], acc[i].excess))
    }

    #[inline(always)]
    fn real_zero(self) -> P::V {
        self.0.splat(0.0)
    }

    #[inline(always)]
    fn real_add(self, r: P::V, v: P::V, c: f64) -> P::V {
        self.0.add(r, self.0.mul(v, self.0.splat(c)))
    }

    #[inline(always)]
    fn real_round(self, r: P::V) -> P::V {
        self.0.round(r)
    }
}

impl<P> Fma<P> {
    /// Returns (h − quotient·q) − (h − b·w), the residue of b·w. Every step is exact.
    #[inline(always)]
    fn mul_finish<const L: usize, const K: usize>(
        self,
        q: FloatModulus<P::V>,
        b: [P::V; K],
        w: [P::V; K],
        h: [P::V; K],
        quotient: [P::V; K],
    ) -> [P::V; K]
    where
        P: FloatLanes<L>,
    {
        let rounded_off = array!(K, |i| self.0.fnma(b[i], w[i], h[i]));
        let high = array!(K, |i| self.0.fnma(quotient[i], q.q, h[i]));
        array!(K, |i| self.0.sub(high[i], rounded_off[i]))
    }
}

/// Implements the operations that pulp offers on every token, for a leaf with `$lanes` lanes in
/// a `$vector`.
#[allow(unused_macros, reason = "unused on architectures that pulp has no SIMD for")]
macro_rules! pulp_float_ops {
    ($lanes:literal, $vector:ty) => {
        type V = $vector;
        #[inline(always)]
        fn splat(self, x: f64) -> Self::V {
            self.0.splat_f64s(x)
        }
        #[inline(always)]
        fn load(self, x: &[f64; $lanes]) -> Self::V {
            pulp::cast(*x)
        }
        #[inline(always)]
        fn store(self, x: &mut [f64; $lanes], v: Self::V) {
            *x = pulp::cast(v);
        }
        #[inline(always)]
        fn add(self, a: Self::V, b: Self::V) -> Self::V {
            self.0.add_f64s(a, b)
        }
        #[inline(always)]
        fn sub(self, a: Self::V, b: Self::V) -> Self::V {
            self.0.sub_f64s(a, b)
        }
        #[inline(always)]
        fn mul(self, a: Self::V, b: Self::V) -> Self::V {
            self.0.mul_f64s(a, b)
        }
        #[inline(always)]
        fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            self.0.mul_add_f64s(a, b, c)
        }
        #[inline(always)]
        fn fnma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            self.0.negate_mul_add_f64s(a, b, c)
        }
        #[inline(always)]
        fn if_negative(self, x: Self::V, y: Self::V) -> Self::V {
            let zero = self.0.splat_f64s(0.0);
            self.0.select_f64s(self.0.less_than_f64s(x, zero), y, zero)
        }
        #[inline(always)]
        fn load_bits(self, x: &[u64; $lanes]) -> Self::V {
            pulp::cast(*x)
        }
        #[inline(always)]
        fn and_bits(self, a: Self::V, b: Self::V) -> Self::V {
            self.0.and_f64s(a, b)
        }
        #[inline(always)]
        fn or_bits(self, a: Self::V, b: Self::V) -> Self::V {
            self.0.or_f64s(a, b)
        }
        #[inline(always)]
        fn xor_bits(self, a: Self::V, b: Self::V) -> Self::V {
            self.0.xor_f64s(a, b)
        }
    };
}
#[allow(unused_imports, reason = "unused on architectures that pulp has no SIMD for")]
pub(super) use pulp_float_ops;

/// Declares the closure type through which pulp calls a [`Task`](super::Task) with the instructions
/// of a token enabled.
#[allow(unused_macros, reason = "unused on architectures that pulp has no SIMD for")]
macro_rules! pulp_call {
    ($call:ident, $token:ty, $leaf:ident) => {
        pub(super) struct $call<T>(pub(super) $token, pub(super) T);

        impl<T: super::Task> pulp::NullaryFnOnce for $call<T> {
            type Output = T::Output;
            #[inline(always)]
            fn call(self) -> T::Output {
                self.1.run(super::float::Fma($leaf(self.0)))
            }
        }
    };
}
#[allow(unused_imports, reason = "unused on architectures that pulp has no SIMD for")]
pub(super) use pulp_call;
