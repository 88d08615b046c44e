//! A step of the fast mode, which bootstraps the whole state at once.
//!
//! **State.** One ciphertext holds the weights W in the upper half of its rows and the optimiser's
//! V in the lower half. Each half is divided into groups of p rows, where the period p is the
//! number of classes rounded up to a power of two. A group holds one block of the skewed weights
//! ([`crate::circuits::matrix::skew`]). All blocks of W and V together are therefore bootstrapped
//! once a step, whereas the blocks of the published method are tiled and are bootstrapped one by
//! one. If half of the rows has too few groups, there are several such ciphertexts.
//!
//! | part | computation | levels |
//! |---|---|---|
//! | weights | for a block: the mask of its group, and rotations that repeat it in all rows | 1 |
//! | logits | skewed product; the logits of all rows are masked, which divides them by their range, and moved side by side | 2 |
//! | softmax | for all rows at once ([`Layout::skewed`]); minus the labels, this gives the errors | |
//! | errors | for a row of blocks: the mask of its columns, times η/n, and rotations that repeat it in all columns | 1 |
//! | gradient | skewed product, repeated in all rows | 1 |
//! | update | W ← (1 − γ)(W − G) + γV, V ← W − G: masks of groups, times 1 − γ in the upper half | 1 |

use num_complex::Complex64;

use super::{Frame, Levels, Masks, Step, Weights, lower};
use crate::base::error::{Error, Result, check_integer};
use crate::base::parallel::try_map;
use crate::circuits::activation::Layout;
use crate::circuits::matrix::ops::{fold, indicator};
use crate::circuits::matrix::{Packing, Product, SkewAbt, SkewAtb, Slots};

/// The shapes and packings of the fast mode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fast {
    pub(super) frame: Frame,
    abt: SkewAbt,
    atb: SkewAtb,
}

impl Fast {
    pub(super) fn new(frame: Frame) -> Result<Self> {
        let Frame { dims, unit, .. } = frame;
        let (abt, atb) = (SkewAbt::new(dims, unit)?, SkewAtb::new(dims, unit)?);
        check_integer("rows of a unit block", unit.rows, 2 * dims.period(), unit.len())?;
        Ok(Self { frame, abt, atb })
    }

    pub(super) fn features(&self) -> Packing {
        self.abt.packings()[0]
    }

    fn weights_packing(&self) -> Packing {
        self.abt.packings()[1]
    }

    /// Returns the number of blocks of weights.
    fn blocks(&self) -> usize {
        self.weights_packing().grid().cols
    }

    /// Returns the number of blocks of W (and as many of V) that one ciphertext of the state holds.
    fn groups(&self) -> usize {
        (self.frame.unit.rows / 2 / self.frame.dims.period()).min(self.blocks())
    }

    pub(super) fn states(&self) -> usize {
        self.blocks().div_ceil(self.groups())
    }

    /// Returns the number of rows of blocks whose logits one ciphertext holds.
    fn rows_together(&self) -> usize {
        let room = self.frame.unit.cols / self.frame.dims.period();
        self.features().grid().rows.next_power_of_two().min(room)
    }

    /// Returns the number of columns between the logits of one row of blocks and those of the next.
    fn spacing(&self) -> usize {
        self.frame.unit.cols / self.rows_together()
    }

    pub(super) fn output_rows(&self) -> usize {
        self.rows_together() * self.frame.unit.rows
    }

    pub(super) fn layout(&self, rows: usize) -> Result<Layout> {
        let Frame { dims, unit, .. } = self.frame;
        Layout::skewed(unit.len(), rows, dims.classes, unit.rows, self.spacing())
    }

    pub(super) fn levels(&self, features: usize, update: usize) -> Option<Levels> {
        let errors = update + 3;
        (features + 1 >= errors).then_some(Levels { state: features + 1, features, errors, update })
    }

    /// Returns the level of the logits: that of the features minus a product and a mask.
    pub(super) const fn logits_level(levels: Levels) -> usize {
        levels.features - 2
    }

    /// Returns the relinearisations of both products, as pairs of level and count.
    pub(super) fn relinearisations(&self, levels: Levels) -> [(usize, usize); 2] {
        let (grid, half) = (self.features().grid(), self.frame.dims.period() / 2);
        [(levels.features, half * grid.rows), (levels.errors - 1, half * grid.cols)]
    }

    pub(super) fn pack_state(&self, matrices: [&[f64]; 2]) -> Result<Vec<Vec<f64>>> {
        let (slots, group) = (self.frame.unit.len(), self.frame.dims.period() * self.frame.unit.cols);
        let mut out = vec![vec![0.0; slots]; self.states()];
        for (matrix, half) in matrices.into_iter().zip([0, slots / 2]) {
            for (j, block) in self.frame.pack_weights(self.weights_packing(), matrix)?.into_iter().enumerate() {
                let at = half + j % self.groups() * group;
                out[j / self.groups()][at..at + group].copy_from_slice(&block[..group]);
            }
        }
        Ok(out)
    }

    pub(super) fn unpack_state(&self, state: &[Vec<f64>]) -> Result<[Vec<f64>; 2]> {
        let (slots, group) = (self.frame.unit.len(), self.frame.dims.period() * self.frame.unit.cols);
        let matrix = |half: usize| {
            let block = |j: usize| {
                let at = half + j % self.groups() * group;
                let values = &state[j / self.groups()][at..at + group];
                // All groups of rows of a block are the same.
                (0..slots).map(|slot| values[slot % group]).collect()
            };
            self.frame.unpack_weights(self.weights_packing(), (0..self.blocks()).map(block))
        };
        Ok([matrix(0)?, matrix(slots / 2)?])
    }

    /// Returns whether a row of a unit block is in this group of its half.
    fn in_group(&self, group: usize, row: usize) -> bool {
        row % (self.frame.unit.rows / 2) / self.frame.dims.period() == group
    }

    /// Encodes the constants for a state at level `features` + 1 and sums at level `features` − 1.
    pub(super) fn masks<S: Slots>(&self, slots: &S, features: usize) -> Result<Masks<S::Mask>> {
        let (unit, dims) = (self.frame.unit, self.frame.dims);
        let group = |g, upper: bool| {
            indicator(slots, unit, features + 1, |i, _| (i < unit.rows / 2) == upper && self.in_group(g, i))
        };
        let logits = |row: usize| {
            let factor = self.frame.logits_factor();
            slots.encode(features.saturating_sub(1), &|slot| {
                let (i, t) = (slot / unit.cols, slot % unit.cols);
                let holds =
                    t < dims.period() && row * unit.rows + i < dims.rows && (i + t) % dims.period() < dims.classes;
                if holds { factor.into() } else { Complex64::ZERO }
            })
        };
        Ok(Masks {
            w: try_map(0..self.groups(), |g| group(g, true))?,
            v: try_map(0..self.groups(), |g| group(g, false))?,
            logits: try_map(0..self.features().grid().rows, logits)?,
        })
    }

    /// Returns the blocks of W or V, each repeated in all rows.
    pub(super) fn weights<S: Slots>(
        &self,
        slots: &S,
        masks: &Masks<S::Mask>,
        state: &[S::Vector],
        which: Weights,
    ) -> Result<Vec<S::Vector>> {
        let masks = match which {
            Weights::W => &masks.w,
            Weights::V => &masks.v,
        };
        let (groups, group) = (self.groups(), self.frame.dims.period() * self.frame.unit.cols);
        try_map(0..self.blocks(), |j| {
            let one = slots.mask(&state[j / groups], &masks[j % groups])?;
            fold(slots, one, self.frame.unit.len() / group, group as i64)
        })
    }

    /// Computes the logits over their range, in the form of [`Fast::layout`], from features and the
    /// blocks of the weights.
    pub(super) fn logits<S: Slots>(
        &self,
        slots: &S,
        masks: &Masks<S::Mask>,
        features: &[S::Vector],
        weights: &[S::Vector],
    ) -> Result<Vec<S::Vector>> {
        let sums = self.abt.sums(slots, features, weights)?;
        let (together, spacing) = (self.rows_together(), self.spacing());
        let moved = try_map(sums.iter().zip(&masks.logits).enumerate(), |(row, (sum, mask))| {
            slots.rotate(&slots.mask(sum, mask)?, -((row % together * spacing) as i64))
        })?;
        moved.chunks(together).map(|parts| sum(slots, parts)).collect()
    }

    /// Returns the errors of each row of blocks, repeated in all columns and multiplied by η/n
    /// over the weight range.
    pub(super) fn errors<S: Slots>(
        &self,
        slots: &S,
        step: &Step<'_, S::Vector>,
        errors: &[S::Vector],
    ) -> Result<Vec<S::Vector>> {
        let (unit, period) = (self.frame.unit, self.frame.dims.period());
        let (together, spacing) = (self.rows_together(), self.spacing());
        let factor = Complex64::from(self.frame.gradient_factor(step));
        try_map(0..self.features().grid().rows, |row| {
            let (from, error) = (row % together * spacing, &errors[row / together]);
            let mask = slots.encode(slots.level(error), &|slot| {
                if (from..from + period).contains(&(slot % unit.cols)) { factor } else { Complex64::ZERO }
            })?;
            let one = slots.rotate(&slots.mask(error, &mask)?, from as i64)?;
            fold(slots, one, unit.cols / period, -(period as i64))
        })
    }

    /// Computes the blocks of the gradient times η/n.
    pub(super) fn gradient<S: Slots>(
        &self,
        slots: &S,
        step: &Step<'_, S::Vector>,
        errors: &[S::Vector],
    ) -> Result<Vec<S::Vector>> {
        self.atb.apply(slots, errors, &lower(slots, step.features, slots.level(&errors[0]))?)
    }

    /// Computes the next state, with the momentum γ ≤ 0. State and gradient are at the same level.
    pub(super) fn update<S: Slots>(
        &self,
        slots: &S,
        state: &[S::Vector],
        gradient: &[S::Vector],
        momentum: f64,
    ) -> Result<Vec<S::Vector>> {
        let (unit, half) = (self.frame.unit, self.frame.unit.len() / 2);
        let level = slots.level(&state[0]);
        let halves =
            |upper: f64, lower: f64| slots.encode(level, &|slot| if slot < half { upper } else { lower }.into());
        let (own, other) = (halves(1.0 - momentum, 0.0)?, halves(momentum, 1.0)?);
        let group = |g: usize| {
            slots.encode(level, &|slot| {
                let holds = self.in_group(g, slot / unit.cols);
                if !holds {
                    0.0
                } else if slot < half {
                    momentum - 1.0
                } else {
                    -1.0
                }
                .into()
            })
        };
        let groups = try_map(0..self.groups(), group)?;
        let steps = try_map(gradient.iter().enumerate(), |(j, g)| slots.mask(g, &groups[j % self.groups()]))?;
        try_map(state.iter().zip(steps.chunks(self.groups())), |(state, steps)| {
            let swapped = slots.rotate(state, half as i64)?;
            let mut next = slots.add(&slots.mask(state, &own)?, &slots.mask(&swapped, &other)?)?;
            for step in steps {
                next = slots.add(&next, step)?;
            }
            Ok(next)
        })
    }
}

fn sum<S: Slots>(slots: &S, terms: &[S::Vector]) -> Result<S::Vector> {
    let (first, others) = terms.split_first().ok_or(Error::Count { what: "terms of a sum", found: 0, wanted: 1 })?;
    others.iter().try_fold(first.clone(), |sum, term| slots.add(&sum, term))
}
