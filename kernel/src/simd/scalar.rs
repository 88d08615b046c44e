//! One residue at a time in `i64`, with products in `u128` and Barrett reduction:
//! residues meet no floating-point arithmetic and no FMA. This leaf is the fallback for every CPU
//! and a second, independent implementation beside the `f64` leaves.

use super::{Lanes, chunk_bits};
use crate::modulus::Modulus;

#[derive(Clone, Copy)]
pub(super) struct Scalar;

/// Returns the centred representative of a·b.
#[inline(always)]
fn product(q: Modulus, a: i64, b: i64) -> i64 {
    // |a| ≤ 2^53 and |b| ≤ q/2 + 2, so the product is far below the limit 2^(bits + 63)
    // of `reduce_u128`.
    let r = q.reduce_u128(u128::from(a.unsigned_abs()) * u128::from(b.unsigned_abs()));
    q.centre(q.neg_if(r, (a ^ b) >> 63))
}

impl Lanes<1> for Scalar {
    type V = i64;
    type Q = Modulus;
    type W = i64;
    type Acc = i128;
    type Real = f64;

    #[inline(always)]
    fn modulus(self, q: &Modulus) -> Modulus {
        *q
    }
    #[inline(always)]
    fn multiplier(self, w: [f64; 2]) -> i64 {
        w[0] as i64
    }
    #[inline(always)]
    fn splat(self, x: f64) -> i64 {
        x as i64
    }
    #[inline(always)]
    fn load(self, x: &[f64; 1]) -> i64 {
        x[0] as i64
    }
    #[inline(always)]
    fn store(self, x: &mut [f64; 1], v: i64) {
        x[0] = v as f64;
    }
    #[inline(always)]
    fn load_u64(self, x: &[f64; 1]) -> i64 {
        x[0].to_bits() as i64
    }
    #[inline(always)]
    fn unpack_low(self, q: Modulus, bits: u32, word: &[u64; 1]) -> i64 {
        (word[0] & u64::MAX >> bits) as i64 - q.value() as i64 / 2
    }
    #[inline(always)]
    fn unpack_high<const C: usize>(self, q: Modulus, words: [&[u64; 1]; C]) -> i64 {
        let bits = chunk_bits(C);
        // Chunk 0 comes last because it is the lowest.
        let residue =
            words.iter().rev().fold(0, |high, word| high << bits | (u128::from(word[0]) << bits >> 64) as i64);
        residue - q.value() as i64 / 2
    }
    #[inline(always)]
    fn store_u64(self, q: Modulus, x: &mut [f64; 1], v: i64) {
        x[0] = f64::from_bits(q.reduce_i64(v));
    }
    #[inline(always)]
    fn add(self, a: i64, b: i64) -> i64 {
        a + b
    }
    #[inline(always)]
    fn sub(self, a: i64, b: i64) -> i64 {
        a - b
    }
    #[inline(always)]
    fn reduce<const K: usize>(self, q: Modulus, a: [i64; K]) -> [i64; K] {
        a.map(|a| q.centre(q.reduce_i64(a)))
    }
    #[inline(always)]
    fn mul_const<const K: usize>(self, q: Modulus, b: [i64; K], w: [i64; K]) -> [i64; K] {
        self.mul(q, b, w)
    }
    #[inline(always)]
    fn mul<const K: usize>(self, q: Modulus, b: [i64; K], w: [i64; K]) -> [i64; K] {
        core::array::from_fn(|i| product(q, b[i], w[i]))
    }
    #[inline(always)]
    fn transpose(self, v: [i64; 1]) -> [i64; 1] {
        v
    }
    #[inline(always)]
    fn permute(self, v: i64, _lanes: &[u64; 1]) -> i64 {
        v
    }
    #[inline(always)]
    fn acc_first(self, a: i64, b: i64) -> i128 {
        i128::from(a) * i128::from(b)
    }
    #[inline(always)]
    fn acc_mul(self, acc: i128, a: i64, b: i64) -> i128 {
        acc + i128::from(a) * i128::from(b)
    }
    #[inline(always)]
    fn acc_finish<const K: usize>(self, q: Modulus, acc: [i128; K]) -> [i64; K] {
        acc.map(|acc| {
            // The sum is below 2^102, so it takes two Barrett steps:
            // one handles up to 2^(bits + 63) only.
            let x = acc.unsigned_abs();
            let high = q.reduce((x >> 52) as u64);
            let r = q.reduce_u128((u128::from(high) << 52) + (x & ((1 << 52) - 1)));
            q.centre(q.neg_if(r, (acc >> 127) as i64))
        })
    }
    #[inline(always)]
    fn acc_finish_lazy<const K: usize>(self, q: Modulus, acc: [i128; K]) -> [i64; K] {
        self.acc_finish(q, acc)
    }
    #[inline(always)]
    fn real_zero(self) -> f64 {
        0.0
    }
    #[inline(always)]
    fn real_add(self, r: f64, v: i64, c: f64) -> f64 {
        r + v as f64 * c
    }
    #[inline(always)]
    fn real_round(self, r: f64) -> i64 {
        libm::rint(r) as i64
    }
}
