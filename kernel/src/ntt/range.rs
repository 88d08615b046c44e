//! Decides which sums of a transform have to be reduced, from a bound on every intermediate value.
//! The bounds follow the recurrences of the section "Ranges" in [`crate::ntt`], which are evaluated
//! when a table is built.

use alloc::vec::Vec;

use super::LOG_BLOCK;
use crate::modulus::Modulus;

/// The bounds on inputs, over q. Inputs of the forward transform are within ±5q/4,
/// as base conversions leave them, those of the inverse within ±q.
const FORWARD_INPUT: f64 = 1.25;
const INVERSE_INPUT: f64 = 1.0;

/// One sweep over memory that does one layer (radix 2) or two (radix 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    /// log2 of the radix.
    pub(crate) layers: u32,
    /// Forward: whether to reduce the first operands of the first layer.
    pub(crate) reduce_forward: bool,
    /// Inverse: whether to reduce the sum of all inputs.
    pub(crate) reduce_inverse: bool,
}

/// The passes in forward order, and the reductions of both directions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// The first `outer` passes go over the whole ring, the others over blocks of at most 2^12
    /// coefficients.
    pub(crate) passes: Vec<Pass>,
    pub(crate) outer: usize,
    /// Forward, in the group of L² coefficients: whether to reduce before the layers across
    /// vectors, and before those inside vectors.
    pub(crate) reduce_group: [bool; 2],
    /// Inverse, in the group: whether to reduce after every second layer.
    pub(crate) reduce_group_inverse: bool,
}

/// The recurrences for one prime.
#[derive(Clone, Copy)]
struct Bounds {
    delta: f64,
    /// The bound 2^53 on exact values, over q.
    limit: f64,
    /// The bound q/2 + 2 of centred residues, over q.
    centred: f64,
}

/// The factors c for multipliers with and without their quotient.
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

    /// Returns the bound after `layers` forward layers, or `None` if a value could leave ±2^53.
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

    /// Returns the bound after one inverse pass of radix 2^layers, or `None` if a value could leave
    /// ±2^53.
    fn inverse(&self, layers: u32, reduce: bool, beta: f64) -> Option<f64> {
        let sum = beta * f64::from(1 << layers);
        let others = match layers {
            1 => self.product(CONSTANT, sum),
            // y₁ is a sum of two products; y₂ is a product of the difference of two sums.
            _ => (2.0 * self.product(CONSTANT, 2.0 * beta)).max(self.product(CONSTANT, sum)),
        };
        (sum <= self.limit).then_some(if reduce { others } else { sum.max(others) })
    }

    /// Returns the bound after the inverse layers of a group of L² coefficients.
    /// See [`super::block`] for the order of layers and reductions.
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

/// Whether the inverse group reduces the sum at vector i after its layer number `layer` (from 0),
/// whose butterflies are between vectors i and i + half. After every second layer, it reduces
/// the sums of sums. If the previous layer was on the other side of the transposition (half = 1),
/// every vector has sums of sums in half of its lanes.
pub(crate) const fn reduced_sum(layer: u32, i: usize, half: usize) -> bool {
    layer % 2 == 1 && i & (half | (half >> 1)) == 0
}

impl Plan {
    pub(crate) fn new(modulus: &Modulus, log_n: u32, lanes: usize) -> Self {
        let bounds = Bounds::new(modulus);
        let group = lanes.trailing_zeros();
        let mut passes = Vec::new();
        let pass = |layers| Pass { layers, reduce_forward: false, reduce_inverse: false };
        // The first sweeps go over the whole ring until a block fits the cache, the next ones over
        // the block down to the group.
        let sweeps = |from: u32, to: u32| {
            let odd = (from - to) % 2;
            core::iter::repeat_n(pass(2), ((from - to) / 2) as usize).chain(core::iter::repeat_n(pass(1), odd as usize))
        };
        let block = log_n.min(LOG_BLOCK);
        passes.extend(sweeps(log_n, block));
        let outer = passes.len();
        passes.extend(sweeps(block, 2 * group));

        let mut beta = FORWARD_INPUT;
        for (i, pass) in passes.iter_mut().enumerate() {
            let without = bounds.forward(CONSTANT, pass.layers, false, beta);
            pass.reduce_forward = without.is_none();
            // The first pass may read u64 and then has no reduction; with β = 5/4 and two layers it
            // never needs one.
            assert!(i > 0 || without.is_some(), "the first two layers fit for every prime below 2^50");
            beta = without
                .or_else(|| bounds.forward(CONSTANT, pass.layers, true, beta))
                .expect("a reduced leg leaves room for two layers: β ≤ 1 + 1 + 1/2 + 2/8");
        }
        let in_group = |[first, second]: [bool; 2]| {
            let across = bounds.forward(CONSTANT, group, first, beta);
            across.and_then(|beta| bounds.forward(COMPUTED, group, second, beta)).is_some()
        };
        let reduce_group = [[false, false], [false, true], [true, false], [true, true]]
            .into_iter()
            .find(|&reduce| in_group(reduce))
            .expect("three layers after a reduction stay below 2 + 3/2 + 3·4/8");

        // The reductions of the inverse are decided in the order of its passes.
        // A pass (or the group) skips its reduction if the next pass still fits with its own
        // reduction, whatever follows.
        let next_fits = |beta: f64, next: &Pass| bounds.inverse(next.layers, true, beta).is_some();
        let last = passes[passes.len() - 1];
        let unreduced = bounds.inverse_group(lanes, false, INVERSE_INPUT).filter(|&beta| next_fits(beta, &last));
        let mut beta = unreduced
            .or_else(|| bounds.inverse_group(lanes, true, INVERSE_INPUT))
            .expect("the group's reductions keep β ≤ 2");
        for i in (0..passes.len()).rev() {
            let without = bounds.inverse(passes[i].layers, false, beta);
            // The last pass multiplies and reduces every output in any case.
            let without = without.filter(|&beta| i == 0 || next_fits(beta, &passes[i - 1]));
            passes[i].reduce_inverse = without.is_none();
            beta = without
                .or_else(|| bounds.inverse(passes[i].layers, true, beta))
                .expect("β ≤ 2 is kept by a pass with a reduction");
        }
        Self { passes, outer, reduce_group, reduce_group_inverse: unreduced.is_none() }
    }
}

#[cfg(test)]
mod tests {
    //! Checks plans against the bounds of the section "Ranges" of [`crate::ntt`], in integers and
    //! layer by layer; for the inverse transform, for every coefficient separately.

    use alloc::boxed::Box;
    use alloc::vec;

    use super::*;
    use crate::primes::{Direction, NttPrimes};

    /// Integers up to here are exact in `f64`.
    const EXACT: u128 = 1 << 53;

    /// Returns q/2 + 2, rounded up.
    fn centred(q: u128) -> u128 {
        q / 2 + 3
    }

    /// Returns q/2 + c·|b|·q·2^−53 and a little more, for c = `halves`/2 and |b| ≤ 2^53.
    fn product(q: u128, halves: u128, b: u128) -> u128 {
        assert!(b <= EXACT, "a factor of {b}");
        centred(q) + ((halves * b * q) >> 54)
    }

    fn check_forward(plan: &Plan, q: u128, log_n: u32, lanes: usize) {
        let group = lanes.trailing_zeros();
        let passes = plan.passes.iter().flat_map(|pass| (0..pass.layers).map(|l| (l == 0 && pass.reduce_forward, 2)));
        let across = (0..group).map(|l| (l == 0 && plan.reduce_group[0], 2));
        let inside = (0..group).map(|l| (l == 0 && plan.reduce_group[1], 3));
        let layers: Vec<(bool, u128)> = passes.chain(across).chain(inside).collect();
        assert_eq!(layers.len(), log_n as usize);
        let mut bound = 5 * q / 4;
        for (reduce, halves) in layers {
            bound = if reduce { centred(q) } else { bound } + product(q, halves, bound);
            assert!(bound <= EXACT, "forward sums of {bound}, q = {q}, N = 2^{log_n}, {lanes} lanes");
        }
    }

    fn check_inverse(plan: &Plan, q: u128, log_n: u32, lanes: usize) {
        let (n, group) = (1usize << log_n, lanes.trailing_zeros());
        // For each layer: whether it is inside lanes, and which sums it reduces.
        type Reduces<'a> = Box<dyn Fn(usize) -> bool + 'a>;
        let mut layers: Vec<(bool, Reduces<'_>)> = Vec::new();
        for layer in 0..2 * group {
            // Inside runs, the vectors are places in a run; across vectors, they are runs.
            let (first, half) = if layer < group { (1, 1 << layer) } else { (lanes, 1 << (layer - group)) };
            let reduces = move |j: usize| plan.reduce_group_inverse && reduced_sum(layer, j / first % lanes, half);
            layers.push((layer < group, Box::new(reduces)));
        }
        for pass in plan.passes.iter().rev() {
            let from = layers.len() as u32;
            for layer in from..from + pass.layers {
                // The sum of all inputs is reduced at the end of a pass;
                // the last pass multiplies every output instead.
                let all = (1usize << (from + pass.layers)) - (1 << from);
                let last = layer + 1 == from + pass.layers && layer + 1 < log_n;
                layers.push((false, Box::new(move |j| pass.reduce_inverse && last && j & all == 0)));
            }
        }
        assert_eq!(layers.len(), log_n as usize);
        let mut bounds = vec![q; n];
        for (layer, (inside_lanes, reduces)) in layers.iter().enumerate() {
            let half = 1 << layer;
            for j in (0..n).filter(|j| j & half == 0) {
                let sum = bounds[j] + bounds[j + half];
                assert!(sum <= EXACT, "inverse sum of {sum} at {j}, q = {q}, N = 2^{log_n}, {lanes} lanes");
                bounds[j] = if reduces(j) { centred(q) } else { sum };
                bounds[j + half] = product(q, if *inside_lanes { 3 } else { 2 }, sum);
            }
        }
    }

    #[test]
    fn no_sum_exceeds_what_is_exact() {
        for log_n in crate::MIN_LOG_N..=crate::MAX_LOG_N {
            let below = (44..=50).map(|bits| (1 << bits, Direction::Descending));
            let above = (44..=49).map(|bits| ((1 << bits) + (1 << (bits - 6)), Direction::Ascending));
            for (size, direction) in below.chain(above).chain([(0, Direction::Ascending)]) {
                let modulus = NttPrimes::new(log_n, size, direction).expect("a size").next().expect("a prime");
                let q = u128::from(modulus.value());
                for lanes in [1usize, 2, 4, 8].into_iter().filter(|lanes| 1 << log_n >= 2 * lanes * lanes) {
                    let plan = Plan::new(&modulus, log_n, lanes);
                    check_forward(&plan, q, log_n, lanes);
                    check_inverse(&plan, q, log_n, lanes);
                }
            }
        }
    }

    /// Reductions happen only where they are needed.
    #[test]
    fn small_primes_are_hardly_reduced() {
        for lanes in [1, 2, 4, 8] {
            let modulus = NttPrimes::new(17, 1 << 46, Direction::Descending).expect("a size").next().expect("a prime");
            let plan = Plan::new(&modulus, 17, lanes);
            assert!(plan.passes.iter().all(|pass| !pass.reduce_forward) && plan.reduce_group == [false; 2]);
            let modulus = NttPrimes::new(17, 1 << 36, Direction::Descending).expect("a size").next().expect("a prime");
            let plan = Plan::new(&modulus, 17, lanes);
            assert!(plan.passes.iter().all(|pass| !pass.reduce_inverse) && !plan.reduce_group_inverse);
        }
    }
}
