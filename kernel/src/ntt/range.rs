//! Which sums of a transform have to be reduced, decided by a bound on every intermediate value: the recurrences of the
//! section "Ranges" in [`crate::ntt`], walked through when a table is built.

use alloc::vec::Vec;

use super::LOG_BLOCK;
use crate::modulus::Modulus;

/// Inputs of both transforms are within ±q.
const INPUT: f64 = 1.0;

/// One sweep of one (radix 2) or two (radix 4) layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    /// log2 of the radix.
    pub(crate) layers: u32,
    /// Forward: reduce the first operands of the first layer.
    pub(crate) reduce_forward: bool,
    /// Inverse: reduce the sum of all inputs.
    pub(crate) reduce_inverse: bool,
}

/// Passes in forward order, and the reductions of both directions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// The first `outer` go over the whole ring, the others over blocks of at most 2^12 coefficients.
    pub(crate) passes: Vec<Pass>,
    pub(crate) outer: usize,
    /// Forward, in the group of L² coefficients: reduce before the layers across vectors, before those inside vectors.
    pub(crate) reduce_group: [bool; 2],
    /// Inverse, in the group: reduce after every second layer.
    pub(crate) reduce_group_inverse: bool,
    /// Largest β that the forward, the inverse transform can reach before their last reduction.
    pub(crate) max_beta: [f64; 2],
}

/// The recurrences for one prime.
#[derive(Clone, Copy)]
struct Bounds {
    delta: f64,
    /// 2^53 / q.
    limit: f64,
    /// |x| ≤ q/2 + 2, over q.
    centred: f64,
}

/// c for multipliers with and without their quotient.
const CONSTANT: f64 = 1.0;
const COMPUTED: f64 = 1.5;

impl Bounds {
    fn new(modulus: &Modulus) -> Self {
        let q = modulus.as_f64();
        let limit = (1u64 << 53) as f64 / q;
        Self { delta: 1.0 / limit, limit, centred: 0.5 + 2.0 / q }
    }

    fn product(&self, c: f64, beta: f64) -> f64 {
        self.centred + c * self.delta * beta
    }

    /// `layers` forward layers; `None` if a value could leave ±2^53.
    fn forward(&self, c: f64, layers: u32, reduce: bool, mut beta: f64) -> Option<f64> {
        for layer in 0..layers {
            let a = if reduce && layer == 0 { self.centred } else { beta };
            beta = a + self.product(c, beta);
            if beta > self.limit {
                return None;
            }
        }
        Some(beta)
    }

    /// One inverse pass of radix 2^layers.
    fn inverse(&self, layers: u32, reduce: bool, beta: f64) -> Option<f64> {
        let sum = beta * f64::from(1 << layers);
        let others = match layers {
            1 => self.product(CONSTANT, sum),
            // y₁ is a sum of two products, y₂ a product of the difference of two sums.
            _ => (2.0 * self.product(CONSTANT, 2.0 * beta)).max(self.product(CONSTANT, sum)),
        };
        (sum <= self.limit).then_some(if reduce { others } else { sum.max(others) })
    }

    /// The group of L² coefficients, inverse: see [`super::block`] for the order of layers and reductions.
    fn inverse_group(&self, lanes: usize, reduce: bool, beta: f64) -> Option<f64> {
        let mut bounds = [beta; 8];
        let mut layer = 0;
        for c in [COMPUTED, CONSTANT] {
            let mut half = 1;
            while half < lanes {
                for i in (0..lanes).filter(|i| i & half == 0) {
                    let sum = bounds[i] + bounds[i + half];
                    if sum > self.limit {
                        return None;
                    }
                    bounds[i] = if reduce && reduced_sum(layer, i, half) { self.centred } else { sum };
                    bounds[i + half] = self.product(c, sum);
                }
                half *= 2;
                layer += 1;
            }
            // The transposition mixes the bounds of all vectors.
            bounds = [bounds[..lanes].iter().copied().fold(0.0, f64::max); 8];
        }
        Some(bounds[0])
    }
}

/// Whether the inverse group reduces the sum at vector i after its layer number `layer` (from 0) with butterflies between
/// vectors i and i + half: after every second layer, the sums of sums. If the layer before was on the other side of the
/// transposition (half = 1), every vector has sums of sums in half of its lanes.
pub(crate) const fn reduced_sum(layer: u32, i: usize, half: usize) -> bool {
    layer % 2 == 1 && i & (half | (half >> 1)) == 0
}

impl Plan {
    pub(crate) fn new(modulus: &Modulus, log_n: u32, lanes: usize) -> Self {
        let bounds = Bounds::new(modulus);
        let group = lanes.trailing_zeros();
        let mut passes = Vec::new();
        let pass = |layers| Pass { layers, reduce_forward: false, reduce_inverse: false };
        // Sweeps over the whole ring until a block fits the cache, then sweeps over the block until the group.
        let sweeps = |from: u32, to: u32| {
            let odd = (from - to) % 2;
            core::iter::repeat_n(pass(2), ((from - to) / 2) as usize).chain(core::iter::repeat_n(pass(1), odd as usize))
        };
        let block = log_n.min(LOG_BLOCK);
        passes.extend(sweeps(log_n, block));
        let outer = passes.len();
        passes.extend(sweeps(block, 2 * group));

        let mut beta = INPUT;
        let mut max_forward = beta;
        for (i, pass) in passes.iter_mut().enumerate() {
            let without = bounds.forward(CONSTANT, pass.layers, false, beta);
            pass.reduce_forward = without.is_none();
            // The first pass may read u64, and never has to reduce: β = 1, two layers.
            assert!(i > 0 || without.is_some(), "the first two layers fit for every prime below 2^50");
            beta = without
                .or_else(|| bounds.forward(CONSTANT, pass.layers, true, beta))
                .expect("a reduced leg leaves room for two layers: β ≤ 1 + 1 + 1/2 + 2/8");
            max_forward = max_forward.max(beta);
        }
        let in_group = |[first, second]: [bool; 2]| {
            bounds
                .forward(CONSTANT, group, first, beta)
                .and_then(|across| Some(across.max(bounds.forward(COMPUTED, group, second, across)?)))
        };
        let (reduce_group, beta) = [[false, false], [false, true], [true, false], [true, true]]
            .into_iter()
            .find_map(|reduce| Some((reduce, in_group(reduce)?)))
            .expect("three layers after a reduction stay below 2 + 3/2 + 3·4/8");
        let max_forward = max_forward.max(beta);

        // Backwards: a pass (or the group) skips its reduction if the one after it still fits, whatever follows.
        let next_fits = |beta: f64, next: &Pass| bounds.inverse(next.layers, true, beta).is_some();
        let mut max_inverse = INPUT;
        let last = passes[passes.len() - 1];
        let unreduced = bounds.inverse_group(lanes, false, INPUT).filter(|&beta| next_fits(beta, &last));
        let mut beta =
            unreduced.or_else(|| bounds.inverse_group(lanes, true, INPUT)).expect("the group's reductions keep β ≤ 2");
        for i in (0..passes.len()).rev() {
            max_inverse = max_inverse.max(beta * f64::from(1 << passes[i].layers));
            let without = bounds.inverse(passes[i].layers, false, beta);
            // After the pass over the whole ring every output is multiplied and reduced in any case.
            let without = without.filter(|&beta| i == 0 || next_fits(beta, &passes[i - 1]));
            passes[i].reduce_inverse = without.is_none();
            beta = without
                .or_else(|| bounds.inverse(passes[i].layers, true, beta))
                .expect("β ≤ 2 is kept by a pass with a reduction");
        }
        Self {
            passes,
            outer,
            reduce_group,
            reduce_group_inverse: unreduced.is_none(),
            max_beta: [max_forward, max_inverse],
        }
    }
}
