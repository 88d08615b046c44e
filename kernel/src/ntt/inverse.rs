//! The inverse transform: first groups in registers, then passes over memory, the last of which
//! also divides by N (and multiplies by any other constant).

use core::array::from_mut;

use super::NttTable;
use super::block::{Groups, fetch_lane_twiddles, halves, inverse_sums, lane_twiddles, set_seconds, vector_twiddles};
use super::range::Pass;
use crate::modulus::Modulus;
use crate::simd::{Lanes, Task, array};

/// A constant that an inverse transform multiplies into its result at no cost:
/// see [`NttTable::inverse_scaled`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InverseScale {
    /// The factor c/N and its quotient by q.
    plain: [f64; 2],
    /// The factor c/N times the twiddle of the last layer, and its quotient by q.
    twiddled: [f64; 2],
}

impl InverseScale {
    /// Prepares c; `last` is the centred twiddle of the last layer.
    pub(super) fn new(modulus: &Modulus, log_n: u32, last: f64, c: u64) -> Self {
        let n_inv = modulus.inv(modulus.reduce(1 << log_n)).expect("q is odd");
        let scale = modulus.mul(modulus.reduce(c), n_inv);
        let pair = |w: u64| {
            let w = modulus.centre(w) as f64;
            [w, w / modulus.as_f64()]
        };
        Self { plain: pair(scale), twiddled: pair(modulus.mul(scale, modulus.reduce_i64(last as i64))) }
    }
}

impl NttTable {
    /// Transforms values into coefficients, in place. Takes integral |x| ≤ q and returns centred
    /// residues.
    ///
    /// # Panics
    /// If the length is not N.
    #[track_caller]
    pub fn inverse(&self, x: &mut [f64]) {
        self.inverse_scaled(x, &self.scale);
    }

    /// Transforms canonical residues in [0, q) back, in place, like [`NttTable::inverse`].
    ///
    /// # Panics
    /// If the length is not N. Words of q or more are not detected; the result is then unspecified.
    #[track_caller]
    pub fn inverse_u64(&self, x: &mut [u64]) {
        self.check(x.len());
        self.isa.run(Inverse::<true> { table: self, source: None, x: bytemuck::cast_slice_mut(x), scale: &self.scale });
    }

    /// Prepares the constant c for [`NttTable::inverse_scaled`].
    #[must_use]
    pub fn inverse_scale(&self, c: u64) -> InverseScale {
        InverseScale::new(&self.modulus, self.log_n, self.inverse.vector[1][0], c)
    }

    /// Transforms like [`NttTable::inverse`] and multiplies by a constant that
    /// [`NttTable::inverse_scale`] of this table prepared.
    ///
    /// # Panics
    /// If the length is not N.
    #[track_caller]
    pub fn inverse_scaled(&self, x: &mut [f64], scale: &InverseScale) {
        self.check(x.len());
        self.isa.run(Inverse::<false> { table: self, source: None, x, scale });
    }

    /// Transforms like [`NttTable::inverse_scaled`], but from one slice to another. This is cheaper
    /// than a copy before the transform, because the copy is made in the first-level cache.
    ///
    /// # Panics
    /// If a length is not N.
    #[track_caller]
    pub fn inverse_scaled_into(&self, source: &[f64], out: &mut [f64], scale: &InverseScale) {
        self.check(source.len());
        self.check(out.len());
        self.isa.run(Inverse::<false> { table: self, source: Some(source), x: out, scale });
    }
}

/// The inverse transform of `source`, or of `x` itself, into `x`. If U64, the bits of `x` are
/// canonical u64 before and after.
struct Inverse<'a, const U64: bool> {
    table: &'a NttTable,
    source: Option<&'a [f64]>,
    x: &'a mut [f64],
    scale: &'a InverseScale,
}

impl<const U64: bool> Task for Inverse<'_, U64> {
    type Output = ();

    #[inline(always)]
    fn run<const L: usize, S: Lanes<L>>(self, simd: S) {
        let NttTable { modulus, plan, inverse: tw, .. } = self.table;
        let q = simd.modulus(modulus);
        let scale = [simd.multiplier(self.scale.plain), simd.multiplier(self.scale.twiddled)];
        let x = self.x.as_chunks_mut::<L>().0;
        let lane = tw.lane.as_chunks::<L>().0;
        let tw = &tw.vector[..];
        let (outer, inner) = plan.passes.split_at(plan.outer);

        let layers = |passes: &[Pass]| passes.iter().map(|pass| pass.layers).sum::<u32>();
        for (passes, blocks, from_the_start) in [(inner, 1 << layers(outer), true), (outer, 1, false)] {
            let (len, lanes) = (x.len() / blocks, lane.len() / blocks);
            for (b, x) in x.chunks_exact_mut(len).enumerate() {
                let mut parts = 1 << layers(passes);
                if from_the_start {
                    if let Some(source) = self.source {
                        x.copy_from_slice(&source.as_chunks::<L>().0[b * len..(b + 1) * len]);
                    }
                    let lane = &lane[b * lanes..(b + 1) * lanes];
                    let first = (blocks + b) * parts;
                    if plan.reduce_group_inverse {
                        groups::<L, S, true, U64>(simd, q, x, tw, first, lane);
                    } else {
                        groups::<L, S, false, U64>(simd, q, x, tw, first, lane);
                    }
                }
                for pass in passes.iter().rev() {
                    parts >>= pass.layers;
                    if blocks * parts == 1 {
                        last_sweep::<L, S, U64>(simd, q, x, tw, pass.layers, scale);
                    } else {
                        sweep(simd, q, x, parts, tw, (blocks + b) * parts, (pass.layers, pass.reduce_inverse));
                    }
                }
            }
        }
    }
}

/// The number of the layer with this `half` on its side of the transposition.
#[inline(always)]
const fn log2(half: usize) -> u32 {
    half.trailing_zeros()
}

/// Does the layers inside groups of L² coefficients. `first` is the number of the twiddle
/// of the first group in the layer with half = L/2.
#[inline(always)]
fn groups<const L: usize, S: Lanes<L>, const REDUCE: bool, const U64: bool>(
    simd: S,
    q: S::Q,
    x: &mut [[f64; L]],
    tw: &[[f64; 2]],
    first: usize,
    lane: &[[f64; L]],
) {
    if L == 1 {
        if U64 {
            for x in x {
                simd.store(x, simd.load_u64(x));
            }
        }
        return;
    }
    for (pair, (x, lane)) in
        x.as_chunks_mut::<L>().0.as_chunks_mut::<2>().0.iter_mut().zip(lane.chunks_exact(2 * (L - 1))).enumerate()
    {
        let group = first + 2 * pair;
        fetch_lane_twiddles(lane);
        let mut v: Groups<S::V, L> = array!(2, |g| {
            let v = array!(L, |i| if U64 { simd.load_u64(&x[g][i]) } else { simd.load(&x[g][i]) });
            simd.transpose(v)
        });
        macro_rules! inside_runs {
            ($half:literal) => {
                let w = lane_twiddles(simd, lane, $half);
                let differences = inverse_sums::<L, S, REDUCE>(simd, q, &mut v, log2($half), $half);
                set_seconds(&mut v, $half, simd.mul(q, differences, w));
            };
        }
        halves!(inverse L, inside_runs);
        v = [simd.transpose(v[0]), simd.transpose(v[1])];
        macro_rules! across_vectors {
            ($half:literal) => {
                let w = vector_twiddles(simd, tw, group, $half);
                let differences = inverse_sums::<L, S, REDUCE>(simd, q, &mut v, log2(L) + log2($half), $half);
                set_seconds(&mut v, $half, simd.mul_const(q, differences, w));
            };
        }
        halves!(inverse L, across_vectors);
        for g in 0..2 {
            for i in 0..L {
                simd.store(&mut x[g][i], v[g][i]);
            }
        }
    }
}

/// Does one pass over `x`, seen as `parts` blocks whose first twiddle is `tw[first]`.
/// `kind` holds the number of layers and whether to reduce.
#[inline(always)]
fn sweep<const L: usize, S: Lanes<L>>(
    simd: S,
    q: S::Q,
    x: &mut [[f64; L]],
    parts: usize,
    tw: &[[f64; 2]],
    first: usize,
    kind: (u32, bool),
) {
    match kind {
        (2, false) => radix4_blocks::<L, S, false>(simd, q, x, parts, tw, first),
        (2, true) => radix4_blocks::<L, S, true>(simd, q, x, parts, tw, first),
        (_, false) => radix2_blocks::<L, S, false>(simd, q, x, parts, tw, first),
        (_, true) => radix2_blocks::<L, S, true>(simd, q, x, parts, tw, first),
    }
}

#[inline(always)]
fn radix4_blocks<const L: usize, S: Lanes<L>, const REDUCE: bool>(
    simd: S,
    q: S::Q,
    x: &mut [[f64; L]],
    parts: usize,
    tw: &[[f64; 2]],
    first: usize,
) {
    let len = x.len() / parts;
    let second = tw[2 * first..2 * (first + parts)].as_chunks::<2>().0;
    for ((x, w1), [w2, w3]) in x.chunks_exact_mut(len).zip(&tw[first..first + parts]).zip(second) {
        let w = [simd.multiplier(*w1), simd.multiplier(*w2), simd.multiplier(*w3)];
        radix4::<L, S, REDUCE, false, false>(simd, q, x, w, w[0]);
    }
}

#[inline(always)]
fn radix2_blocks<const L: usize, S: Lanes<L>, const REDUCE: bool>(
    simd: S,
    q: S::Q,
    x: &mut [[f64; L]],
    parts: usize,
    tw: &[[f64; 2]],
    first: usize,
) {
    let len = x.len() / parts;
    for (x, w) in x.chunks_exact_mut(len).zip(&tw[first..first + parts]) {
        let w = simd.multiplier(*w);
        radix2::<L, S, REDUCE, false, false>(simd, q, x, w, w);
    }
}

/// Does the pass with the first layer of the ring, multiplies every output by the scale and centres
/// it.
#[inline(always)]
fn last_sweep<const L: usize, S: Lanes<L>, const U64: bool>(
    simd: S,
    q: S::Q,
    x: &mut [[f64; L]],
    tw: &[[f64; 2]],
    layers: u32,
    [plain, twiddled]: [S::W; 2],
) {
    if layers == 2 {
        let w = [twiddled, simd.multiplier(tw[2]), simd.multiplier(tw[3])];
        radix4::<L, S, false, true, U64>(simd, q, x, w, plain);
    } else {
        radix2::<L, S, false, true, U64>(simd, q, x, twiddled, plain);
    }
}

/// Stores K outputs of a butterfly. If LAST, they are centred and stored as `f64` or u64.
#[inline(always)]
fn store<const L: usize, S: Lanes<L>, const K: usize, const LAST: bool, const U64: bool>(
    simd: S,
    q: S::Q,
    x: &mut [[f64; L]; K],
    v: [S::V; K],
) {
    let v = if LAST && !U64 { simd.reduce(q, v) } else { v };
    for (x, v) in x.iter_mut().zip(v) {
        if LAST && U64 { simd.store_u64(q, x, v) } else { simd.store(x, v) }
    }
}

/// Does one layer. REDUCE reduces the sums. LAST multiplies the sums by `plain` and centres
/// everything.
#[inline(always)]
fn radix2<const L: usize, S: Lanes<L>, const REDUCE: bool, const LAST: bool, const U64: bool>(
    simd: S,
    q: S::Q,
    x: &mut [[f64; L]],
    w: S::W,
    plain: S::W,
) {
    let (a, b) = x.split_at_mut(x.len() / 2);
    for (a, b) in a.as_chunks_mut::<1>().0.iter_mut().zip(b.as_chunks_mut::<1>().0) {
        let (va, vb) = (simd.load(&a[0]), simd.load(&b[0]));
        let mut sum = [simd.add(va, vb)];
        let product = simd.mul_const(q, [simd.sub(va, vb)], [w]);
        if LAST {
            sum = simd.mul_const(q, sum, [plain]);
        } else if REDUCE {
            sum = simd.reduce(q, sum);
        }
        store::<L, S, 1, LAST, U64>(simd, q, a, sum);
        store::<L, S, 1, LAST, U64>(simd, q, b, product);
    }
}

/// Does two layers of one block. REDUCE reduces the sum of all four inputs.
/// LAST is as in [`radix2`].
#[inline(always)]
fn radix4<const L: usize, S: Lanes<L>, const REDUCE: bool, const LAST: bool, const U64: bool>(
    simd: S,
    q: S::Q,
    x: &mut [[f64; L]],
    w: [S::W; 3],
    plain: S::W,
) {
    let (lo, hi) = x.split_at_mut(x.len() / 2);
    let ((a, b), (c, d)) = (lo.split_at_mut(lo.len() / 2), hi.split_at_mut(hi.len() / 2));
    // Two vectors of each quarter side by side hide each other's latency;
    // a quarter of a single vector occurs with one lane only.
    let ((a, a1), (b, b1)) = (a.as_chunks_mut::<2>(), b.as_chunks_mut::<2>());
    let ((c, c1), (d, d1)) = (c.as_chunks_mut::<2>(), d.as_chunks_mut::<2>());
    for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
        butterfly4::<L, S, 2, 4, REDUCE, LAST, U64>(simd, q, [a, b, c, d], w, plain);
    }
    if let ([a], [b], [c], [d]) = (a1, b1, c1, d1) {
        let single = [from_mut(a), from_mut(b), from_mut(c), from_mut(d)];
        butterfly4::<L, S, 1, 2, REDUCE, LAST, U64>(simd, q, single, w, plain);
    }
}

/// Does two layers on U vectors of each of four quarters; K = 2U.
#[inline(always)]
fn butterfly4<
    const L: usize,
    S: Lanes<L>,
    const U: usize,
    const K: usize,
    const REDUCE: bool,
    const LAST: bool,
    const U64: bool,
>(
    simd: S,
    q: S::Q,
    x: [&mut [[f64; L]; U]; 4],
    [w1, w2, w3]: [S::W; 3],
    plain: S::W,
) {
    let a = array!(K, |i| simd.load(&x[2 * (i / U)][i % U]));
    let b = array!(K, |i| simd.load(&x[2 * (i / U) + 1][i % U]));
    let difference = array!(K, |i| simd.sub(a[i], b[i]));
    let sums = array!(K, |i| simd.add(a[i], b[i]));
    let products = simd.mul_const(q, difference, array!(K, |i| if i < U { w2 } else { w3 }));
    // The next layer combines the sums of both pairs with each other, and likewise the products.
    let layer = [sums, products];
    let a = array!(K, |i| layer[i / U][i % U]);
    let b = array!(K, |i| layer[i / U][U + i % U]);
    let difference = array!(K, |i| simd.sub(a[i], b[i]));
    let mut sums = array!(K, |i| simd.add(a[i], b[i]));
    let products = simd.mul_const(q, difference, [w1; K]);
    if LAST {
        sums = simd.mul_const(q, sums, [plain; K]);
    }
    let mut y0 = array!(U, |i| sums[i]);
    if REDUCE {
        y0 = simd.reduce(q, y0);
    }
    let [x0, x1, x2, x3] = x;
    store::<L, S, U, LAST, U64>(simd, q, x0, y0);
    store::<L, S, U, LAST, U64>(simd, q, x1, array!(U, |i| sums[U + i]));
    store::<L, S, U, LAST, U64>(simd, q, x2, array!(U, |i| products[i]));
    store::<L, S, U, LAST, U64>(simd, q, x3, array!(U, |i| products[U + i]));
}
