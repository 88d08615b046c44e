//! The forward transform: first passes over memory, then groups in registers.

use core::array::from_mut;

use super::NttTable;
use super::block::{Groups, fetch_lane_twiddles, forward_sums, halves, lane_twiddles, seconds, vector_twiddles};
use crate::simd::{Lanes, Task, array};

impl NttTable {
    /// Transforms coefficients into values, in place. Takes integral |x| ≤ 5q/4 and returns centred
    /// residues.
    ///
    /// # Panics
    /// If the length is not N.
    #[track_caller]
    pub fn forward(&self, x: &mut [f64]) {
        self.check(x.len());
        self.isa.run(Forward::<false> { table: self, x });
    }

    /// Transforms canonical residues in [0, q), in place, like [`NttTable::forward`].
    ///
    /// # Panics
    /// If the length is not N. Words of q or more are not detected; the result is then unspecified.
    #[track_caller]
    pub fn forward_u64(&self, x: &mut [u64]) {
        self.check(x.len());
        self.isa.run(Forward::<true> { table: self, x: bytemuck::cast_slice_mut(x) });
    }
}

/// The transform of `x`. If U64, the bits of `x` are canonical u64 before and after.
struct Forward<'a, const U64: bool> {
    table: &'a NttTable,
    x: &'a mut [f64],
}

impl<const U64: bool> Task for Forward<'_, U64> {
    type Output = ();

    #[inline(always)]
    fn run<const L: usize, S: Lanes<L>>(self, simd: S) {
        let NttTable { modulus, plan, forward: tw, .. } = self.table;
        let q = simd.modulus(modulus);
        let x = self.x.as_chunks_mut::<L>().0;
        let lane = tw.lane.as_chunks::<L>().0;
        let tw = &tw.vector[..];
        let (outer, inner) = plan.passes.split_at(plan.outer);

        let mut blocks = 1;
        for (passes, to_the_end) in [(outer, false), (inner, true)] {
            let (len, lanes) = (x.len() / blocks, lane.len() / blocks);
            for (b, x) in x.chunks_exact_mut(len).enumerate() {
                let mut parts = 1;
                for pass in passes {
                    let kind = (pass.layers, pass.reduce_forward, U64 && blocks * parts == 1);
                    sweep(simd, q, x, parts, tw, (blocks + b) * parts, kind);
                    parts <<= pass.layers;
                }
                if to_the_end {
                    let lane = &lane[b * lanes..(b + 1) * lanes];
                    let first = (blocks + b) * parts;
                    match plan.reduce_group {
                        [false, false] => groups::<L, S, false, false, U64>(simd, q, x, tw, first, lane),
                        [false, true] => groups::<L, S, false, true, U64>(simd, q, x, tw, first, lane),
                        [true, false] => groups::<L, S, true, false, U64>(simd, q, x, tw, first, lane),
                        [true, true] => groups::<L, S, true, true, U64>(simd, q, x, tw, first, lane),
                    }
                }
            }
            blocks <<= passes.iter().map(|pass| pass.layers).sum::<u32>();
        }
    }
}

/// Does one pass over `x`, seen as `parts` blocks whose first twiddle is `tw[first]`.
/// `kind` holds the number of layers, whether to reduce and whether to read u64.
#[inline(always)]
fn sweep<const L: usize, S: Lanes<L>>(
    simd: S,
    q: S::Q,
    x: &mut [[f64; L]],
    parts: usize,
    tw: &[[f64; 2]],
    first: usize,
    kind: (u32, bool, bool),
) {
    match kind {
        (2, false, false) => radix4::<L, S, false, false>(simd, q, x, parts, tw, first),
        (2, true, false) => radix4::<L, S, true, false>(simd, q, x, parts, tw, first),
        (2, _, true) => radix4::<L, S, false, true>(simd, q, x, parts, tw, first),
        (_, false, false) => radix2::<L, S, false, false>(simd, q, x, parts, tw, first),
        (_, true, false) => radix2::<L, S, true, false>(simd, q, x, parts, tw, first),
        (_, _, true) => radix2::<L, S, false, true>(simd, q, x, parts, tw, first),
    }
}

#[inline(always)]
fn load<const L: usize, S: Lanes<L>, const U64: bool>(simd: S, x: &[f64; L]) -> S::V {
    if U64 { simd.load_u64(x) } else { simd.load(x) }
}

#[inline(always)]
fn radix2<const L: usize, S: Lanes<L>, const REDUCE: bool, const U64: bool>(
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
        let (a, b) = x.split_at_mut(len / 2);
        for (a, b) in a.iter_mut().zip(b) {
            let mut va = load::<L, S, U64>(simd, a);
            if REDUCE {
                [va] = simd.reduce(q, [va]);
            }
            let [t] = simd.mul_const(q, [load::<L, S, U64>(simd, b)], [w]);
            simd.store(a, simd.add(va, t));
            simd.store(b, simd.sub(va, t));
        }
    }
}

#[inline(always)]
fn radix4<const L: usize, S: Lanes<L>, const REDUCE: bool, const U64: bool>(
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
        let (lo, hi) = x.split_at_mut(len / 2);
        let ((a, b), (c, d)) = (lo.split_at_mut(len / 4), hi.split_at_mut(len / 4));
        // Two vectors of each quarter side by side hide each other's latency.
        let ((a, a1), (b, b1)) = (a.as_chunks_mut::<2>(), b.as_chunks_mut::<2>());
        let ((c, c1), (d, d1)) = (c.as_chunks_mut::<2>(), d.as_chunks_mut::<2>());
        for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
            butterfly4::<L, S, 2, 4, REDUCE, U64>(simd, q, [a, b, c, d], w);
        }
        // A quarter of a single vector occurs with one lane only.
        if let ([a], [b], [c], [d]) = (a1, b1, c1, d1) {
            let single = [from_mut(a), from_mut(b), from_mut(c), from_mut(d)];
            butterfly4::<L, S, 1, 2, REDUCE, U64>(simd, q, single, w);
        }
    }
}

/// Does two layers on U vectors of each of four quarters; K = 2U.
#[inline(always)]
fn butterfly4<const L: usize, S: Lanes<L>, const U: usize, const K: usize, const REDUCE: bool, const U64: bool>(
    simd: S,
    q: S::Q,
    x: [&mut [[f64; L]; U]; 4],
    [w1, w2, w3]: [S::W; 3],
) {
    let mut a = array!(K, |i| load::<L, S, U64>(simd, &x[i / U][i % U]));
    let b = array!(K, |i| load::<L, S, U64>(simd, &x[2 + i / U][i % U]));
    if REDUCE {
        a = simd.reduce(q, a);
    }
    let t = simd.mul_const(q, b, [w1; K]);
    let y = [array!(K, |i| simd.add(a[i], t[i])), array!(K, |i| simd.sub(a[i], t[i]))];
    // Quarters 0 and 2 are now the first operands, 1 and 3 the second ones.
    let a = array!(K, |i| y[i / U][i % U]);
    let b = array!(K, |i| y[i / U][U + i % U]);
    let t = simd.mul_const(q, b, array!(K, |i| if i < U { w2 } else { w3 }));
    let [x0, x1, x2, x3] = x;
    for i in 0..U {
        simd.store(&mut x0[i], simd.add(a[i], t[i]));
        simd.store(&mut x1[i], simd.sub(a[i], t[i]));
        simd.store(&mut x2[i], simd.add(a[U + i], t[U + i]));
        simd.store(&mut x3[i], simd.sub(a[U + i], t[U + i]));
    }
}

/// Does the layers inside groups of L² coefficients and the final reduction.
/// `first` is the number of the twiddle of the first group's first layer.
#[inline(always)]
fn groups<const L: usize, S: Lanes<L>, const RED1: bool, const RED2: bool, const U64: bool>(
    simd: S,
    q: S::Q,
    x: &mut [[f64; L]],
    tw: &[[f64; 2]],
    first: usize,
    lane: &[[f64; L]],
) {
    if L == 1 {
        for x in x {
            let v = simd.load(x);
            if U64 { simd.store_u64(q, x, v) } else { simd.store(x, simd.reduce(q, [v])[0]) }
        }
        return;
    }
    for (pair, (x, lane)) in
        x.as_chunks_mut::<L>().0.as_chunks_mut::<2>().0.iter_mut().zip(lane.chunks_exact(2 * (L - 1))).enumerate()
    {
        let group = first + 2 * pair;
        fetch_lane_twiddles(lane);
        let mut v: Groups<S::V, L> = array!(2, |g| array!(L, |i| simd.load(&x[g][i])));
        if RED1 {
            reduce_first_operands(simd, q, &mut v);
        }
        macro_rules! across_vectors {
            ($half:literal) => {
                let w = vector_twiddles(simd, tw, group, $half);
                let products = simd.mul_const(q, seconds(&v, $half), w);
                forward_sums(simd, &mut v, $half, products);
            };
        }
        halves!(forward L, across_vectors);
        v = [simd.transpose(v[0]), simd.transpose(v[1])];
        if RED2 {
            reduce_first_operands(simd, q, &mut v);
        }
        macro_rules! inside_runs {
            ($half:literal) => {
                let w = lane_twiddles(simd, lane, $half);
                let products = simd.mul(q, seconds(&v, $half), w);
                forward_sums(simd, &mut v, $half, products);
            };
        }
        halves!(forward L, inside_runs);
        for g in 0..2 {
            let v = simd.transpose(if U64 { v[g] } else { simd.reduce(q, v[g]) });
            for i in 0..L {
                if U64 { simd.store_u64(q, &mut x[g][i], v[i]) } else { simd.store(&mut x[g][i], v[i]) }
            }
        }
    }
}

#[inline(always)]
fn reduce_first_operands<const L: usize, S: Lanes<L>>(simd: S, q: S::Q, v: &mut Groups<S::V, L>) {
    for v in v {
        for v in &mut v[..L / 2] {
            [*v] = simd.reduce(q, [*v]);
        }
    }
}
