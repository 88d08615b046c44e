//! The 2·log2(L) layers inside groups of L² coefficients, done in registers, for two groups side by
//! side.
//!
//! A group is L vectors of L coefficients. In the forward transform, the layers with butterflies
//! between vectors come first. After a transposition, lane j holds the j-th run of L coefficients,
//! so the layers inside runs are butterflies between vectors again, with one twiddle per lane.

use super::range::reduced_sum;
use crate::simd::{Lanes, array, fetch};

/// Two groups of L vectors.
pub(super) type Groups<V, const L: usize> = [[V; L]; 2];

/// Locates the k-th of the L butterflies of a layer in two groups. Returns its group,
/// the vector of its first operand, and the number of its twiddle.
#[inline(always)]
const fn butterfly<const L: usize>(k: usize, half: usize) -> (usize, usize, usize) {
    let (group, r) = (k / (L / 2), k % (L / 2));
    (group, r / half * 2 * half + r % half, r / half)
}

/// Calls `layer!(half)` for half = L/2 … 1 (forward) or 1 … L/2 (inverse). The calls are spelt out
/// because vectors stay in registers only if every index into them is a constant.
macro_rules! halves {
    (forward $l:ident, $layer:ident) => {
        if $l >= 8 {
            $layer!(4);
        }
        if $l >= 4 {
            $layer!(2);
        }
        if $l >= 2 {
            $layer!(1);
        }
    };
    (inverse $l:ident, $layer:ident) => {
        if $l >= 2 {
            $layer!(1);
        }
        if $l >= 4 {
            $layer!(2);
        }
        if $l >= 8 {
            $layer!(4);
        }
    };
}
pub(super) use halves;

/// Returns the L second operands of a layer with butterflies between vectors i and i + half.
#[inline(always)]
pub(super) fn seconds<const L: usize, V: Copy>(v: &Groups<V, L>, half: usize) -> [V; L] {
    array!(L, |k| {
        let (g, i, _) = butterfly::<L>(k, half);
        v[g][i + half]
    })
}

/// Stores a ± b in a forward layer, given the products b.
#[inline(always)]
pub(super) fn forward_sums<const L: usize, S: Lanes<L>>(simd: S, v: &mut Groups<S::V, L>, half: usize, b: [S::V; L]) {
    for (k, &b) in b.iter().enumerate() {
        let (g, i, _) = butterfly::<L>(k, half);
        let a = v[g][i];
        v[g][i] = simd.add(a, b);
        v[g][i + half] = simd.sub(a, b);
    }
}

/// Leaves the sums of inverse layer number `layer` in place and returns the L differences.
#[inline(always)]
pub(super) fn inverse_sums<const L: usize, S: Lanes<L>, const REDUCE: bool>(
    simd: S,
    q: S::Q,
    v: &mut Groups<S::V, L>,
    layer: u32,
    half: usize,
) -> [S::V; L] {
    let differences = array!(L, |k| {
        let (g, i, _) = butterfly::<L>(k, half);
        simd.sub(v[g][i], v[g][i + half])
    });
    for k in 0..L {
        let (g, i, _) = butterfly::<L>(k, half);
        let sum = simd.add(v[g][i], v[g][i + half]);
        v[g][i] = if REDUCE && reduced_sum(layer, i, half) { simd.reduce(q, [sum])[0] } else { sum };
    }
    differences
}

/// Stores the products of an inverse layer.
#[inline(always)]
pub(super) fn set_seconds<const L: usize, V: Copy>(v: &mut Groups<V, L>, half: usize, b: [V; L]) {
    for (k, &b) in b.iter().enumerate() {
        let (g, i, _) = butterfly::<L>(k, half);
        v[g][i + half] = b;
    }
}

/// Returns the twiddles of a layer across vectors, for the two groups `group` and `group` + 1.
/// `tw` has one multiplier per block of 2·half vectors.
#[inline(always)]
pub(super) fn vector_twiddles<const L: usize, S: Lanes<L>>(
    simd: S,
    tw: &[[f64; 2]],
    group: usize,
    half: usize,
) -> [S::W; L] {
    let blocks = L / 2 / half;
    let tw = &tw[group * blocks..(group + 2) * blocks];
    array!(L, |k| {
        let (g, _, w) = butterfly::<L>(k, half);
        simd.multiplier(tw[g * blocks + w])
    })
}

/// How many pairs of groups ahead of the transformed one the twiddles are prefetched.
const AHEAD: usize = 4;

/// Prefetches the inside-run twiddles of a later pair of groups; `lane` starts at those of the
/// current pair. The processor prefetches them by itself only as long as it can tell the streams
/// of the loop apart, which depends on the addresses of the loop's instructions: in another binary
/// the same transform of 54 limbs took 7.9 ms instead of 5.8, waiting for these loads.
#[inline(always)]
pub(super) fn fetch_lane_twiddles<const L: usize>(lane: &[[f64; L]]) {
    (0..lane.len()).step_by(8 / L).for_each(|vector| fetch(lane, AHEAD * lane.len() + vector));
}

/// Returns the twiddles of a layer inside runs, from the L − 1 vectors of each of the two groups.
#[inline(always)]
pub(super) fn lane_twiddles<const L: usize, S: Lanes<L>>(simd: S, lane: &[[f64; L]], half: usize) -> [S::V; L] {
    let lane = &lane[..2 * (L - 1)];
    array!(L, |k| {
        let (g, _, w) = butterfly::<L>(k, half);
        simd.load(&lane[g * (L - 1) + L / 2 / half - 1 + w])
    })
}
