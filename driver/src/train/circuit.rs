//! The linear part of a step, in the fast mode: everything but softmax and bootstrapping, over any [`Slots`].
//!
//! **State.** One ciphertext holds weights W in the upper half of its rows and the optimiser's V in the lower half, divided by the weight range. A
//! group of p rows (p: the classes up to a power of two) has one block of the skewed weights ([`crate::matrix::skew`]): all blocks of W and V
//! together are bootstrapped once a step, where HETAL's are tiled and are bootstrapped block by block. Where half of the rows has too few groups there are several such
//! ciphertexts.
//!
//! | part | what | levels |
//! |---|---|---|
//! | [`weights`](Circuit::weights) | a block: the mask of its group, and rotations that repeat it in all rows | 1 |
//! | [`logits`](Circuit::logits) | skewed product; the logits of all rows are masked, which divides them by their range, and moved side by side | 2 |
//! | softmax | of all rows at once ([`Layout::skewed`]); less the labels: errors | |
//! | [`errors`](Circuit::errors) | a row of blocks: the mask of its columns, times η/n, and rotations that repeat it in all columns | 1 |
//! | [`gradient`](Circuit::gradient) | skewed product, repeated in all rows | 1 |
//! | [`update`](Circuit::update) | W ← (1 − γ)(W − G) + γV, V ← W − G: masks of groups, times 1 − γ in the upper half | 1 |
//!
//! Rows of the last batch of an epoch that are not there have no features, not even the bias; so their errors change nothing.

use num_complex::Complex64;
use serde::Serialize;

use crate::circuits::softmax::Layout;
use crate::error::{Error, Result};
use crate::matrix::ops::{fold, indicator};
use crate::matrix::{Dimensions, Packing, Product, Shape, SkewAbt, SkewAtb, Slots};
use crate::parallel::try_map;

/// Shapes and packings of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Circuit {
    dims: Dimensions,
    unit: Shape,
    abt: SkewAbt,
    atb: SkewAtb,
    /// Logits are divided by this.
    logit_range: f64,
    /// Weights are divided by this.
    weight_range: f64,
}

/// The levels at which a step works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Levels {
    /// Of features and the blocks of weights. Logits are two below.
    pub features: usize,
    /// Of labels and errors. The gradient is two below, the next state three.
    pub errors: usize,
}

/// What a step is made of.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a, V> {
    /// The state.
    pub state: &'a [V],
    /// The features of the batch.
    pub features: &'a [V],
    /// Its rows, as far as they are there.
    pub rows: usize,
    /// η.
    pub learning_rate: f64,
    /// γ, from −1 to 0.
    pub momentum: f64,
}

/// The constants of a step that stay the same.
#[derive(Clone, Debug)]
pub struct Masks<M> {
    /// By group of rows: those of W.
    weights: Vec<M>,
    /// Those of V.
    results: Vec<M>,
    /// By row of blocks.
    logits: Vec<M>,
}

impl Circuit {
    /// For batches of `dims.rows` rows, with the bias among the features, in these unit blocks.
    ///
    /// # Errors
    /// [`Error::Range`] if the unit block has not two groups of rows, and those of [`SkewAbt::new`].
    pub fn new(dims: Dimensions, unit: Shape, logit_range: f64, weight_range: f64) -> Result<Self> {
        let (abt, atb) = (SkewAbt::new(dims, unit)?, SkewAtb::new(dims, unit)?);
        let (rows, least) = (unit.rows, 2 * dims.period());
        if rows < least {
            let [value, min, max] = [rows, least, unit.len()].map(|x| x as f64);
            return Err(Error::Range { what: "rows of a unit block", value, min, max });
        }
        Ok(Self { dims, unit, abt, atb, logit_range, weight_range })
    }

    /// Rows of a batch, features with the bias, classes.
    #[must_use]
    pub const fn dimensions(&self) -> Dimensions {
        self.dims
    }

    /// The unit block.
    #[must_use]
    pub const fn unit(&self) -> Shape {
        self.unit
    }

    /// The packing of the features of a batch.
    #[must_use]
    pub fn features(&self) -> Packing {
        self.abt.packings()[0]
    }

    fn weights_packing(&self) -> Packing {
        self.abt.packings()[1]
    }

    /// Blocks of weights.
    fn blocks(&self) -> usize {
        self.weights_packing().grid().cols
    }

    /// Blocks of weights that one ciphertext of the state holds.
    fn groups(&self) -> usize {
        (self.unit.rows / 2 / self.dims.period()).min(self.blocks())
    }

    /// Ciphertexts of the state.
    #[must_use]
    pub fn states(&self) -> usize {
        self.blocks().div_ceil(self.groups())
    }

    /// Rows of blocks whose logits one ciphertext holds.
    fn rows_together(&self) -> usize {
        let room = self.unit.cols / self.dims.period();
        self.features().grid().rows.next_power_of_two().min(room)
    }

    /// Columns from the logits of one row of blocks to those of the next.
    fn spacing(&self) -> usize {
        self.unit.cols / self.rows_together()
    }

    /// Ciphertexts of logits.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.features().grid().rows.div_ceil(self.rows_together())
    }

    /// Where logits and labels are: of each ciphertext the same.
    ///
    /// # Errors
    /// None for a circuit.
    pub fn layout(&self) -> Result<Layout> {
        let rows = self.dims.rows.min(self.rows_together() * self.unit.rows);
        Layout::skewed(self.unit.len(), rows, self.dims.classes, self.unit.rows, self.spacing())
    }

    /// A whole step: the next state, at the level below that of updates. `softmax` makes errors, at `levels.errors`, of logits; `mark` is told
    /// the name of every part that is done, and a vector that it made.
    ///
    /// # Errors
    /// Those of [`Slots`] and of `softmax`.
    pub fn step<S: Slots>(
        &self,
        slots: &S,
        masks: &Masks<S::Mask>,
        levels: Levels,
        step: Step<'_, S::Vector>,
        softmax: impl FnOnce(Vec<S::Vector>) -> Result<Vec<S::Vector>>,
        mut mark: impl FnMut(&'static str, &S::Vector),
    ) -> Result<Vec<S::Vector>> {
        let lower = |list: &[S::Vector], level| try_map(list, |v| slots.lower(v, level));
        let weights = self.weights(slots, &lower(step.state, levels.features + 1)?, &masks.weights)?;
        mark("weights", &weights[0]);
        let logits = self.logits(slots, step.features, &weights, masks)?;
        drop(weights);
        mark("logits", &logits[0]);
        let errors = softmax(logits)?;
        mark("softmax", &errors[0]);
        let errors = self.errors(slots, &errors, step.learning_rate, step.rows)?;
        mark("errors", &errors[0]);
        let gradient = self.gradient(slots, &errors, &lower(step.features, levels.errors - 1)?)?;
        drop(errors);
        mark("gradient", &gradient[0]);
        let state = lower(step.state, levels.errors - 2)?;
        let next = self.update(slots, &state, &gradient, step.momentum)?;
        mark("update", &next[0]);
        Ok(next)
    }

    /// The logits of V, which is the result, alone.
    ///
    /// # Errors
    /// Those of [`Slots`].
    pub fn outputs_of<S: Slots>(
        &self,
        slots: &S,
        masks: &Masks<S::Mask>,
        levels: Levels,
        state: &[S::Vector],
        features: &[S::Vector],
    ) -> Result<Vec<S::Vector>> {
        let state = try_map(state, |v| slots.lower(v, levels.features + 1))?;
        self.logits(slots, features, &self.weights(slots, &state, &masks.results)?, masks)
    }

    /// Values by rows and classes in the slots of every ciphertext of logits.
    ///
    /// # Errors
    /// As [`Circuit::layout`].
    pub fn pack_outputs(&self, value: impl Fn(usize, usize) -> f64) -> Result<Vec<Vec<f64>>> {
        let (layout, together) = (self.layout()?, self.rows_together() * self.unit.rows);
        let one = |i: usize| {
            let value =
                |row, class| if i * together + row < self.dims.rows { value(i * together + row, class) } else { 0.0 };
            layout.fill(value, 0.0)
        };
        Ok((0..self.outputs()).map(one).collect())
    }

    /// The inverse of [`Circuit::pack_outputs`] for the first `rows` rows.
    ///
    /// # Errors
    /// As [`Circuit::layout`].
    pub fn unpack_outputs(&self, slots: &[Vec<f64>], rows: usize) -> Result<Vec<Vec<f64>>> {
        let (layout, together) = (self.layout()?, self.rows_together() * self.unit.rows);
        let row = |row: usize| {
            let class = |class| slots[row / together][layout.slot(row % together, class)];
            (0..self.dims.classes).map(class).collect()
        };
        Ok((0..rows).map(row).collect())
    }

    /// Slots of the state from weights and V, by classes and features.
    ///
    /// # Errors
    /// [`Error::Count`].
    pub fn pack_state(&self, weights: &[f64], v: &[f64]) -> Result<Vec<Vec<f64>>> {
        let (packing, group) = (self.weights_packing(), self.dims.period() * self.unit.cols);
        let mut out = vec![vec![0.0; self.unit.len()]; self.states()];
        for (matrix, half) in [(weights, 0), (v, self.unit.len() / 2)] {
            for (j, block) in packing.pack(matrix)?.blocks().iter().enumerate() {
                let at = half + j % self.groups() * group;
                let values = block[..group].iter().map(|z| z.re / self.weight_range);
                out[j / self.groups()][at..at + group].iter_mut().zip(values).for_each(|(slot, x)| *slot = x);
            }
        }
        Ok(out)
    }

    /// Weights and V from the slots of the state.
    ///
    /// # Errors
    /// None for as many vectors as there are ciphertexts of the state.
    pub fn unpack_state(&self, state: &[Vec<f64>]) -> Result<[Vec<f64>; 2]> {
        let (packing, group) = (self.weights_packing(), self.dims.period() * self.unit.cols);
        let matrix = |half: usize| {
            let block = |j: usize| {
                let at = half + j % self.groups() * group;
                let values = &state[j / self.groups()][at..at + group];
                // Every group of rows of a block is the same.
                (0..self.unit.len()).map(|slot| Complex64::from(values[slot % group] * self.weight_range)).collect()
            };
            let blocks = (0..self.blocks()).map(block).collect();
            Ok::<_, Error>(crate::matrix::BlockMatrix::new(packing, blocks)?.unpack())
        };
        Ok([matrix(0)?, matrix(self.unit.len() / 2)?])
    }

    /// Whether a row of a unit block is in this group of its half.
    fn in_group(&self, group: usize, row: usize) -> bool {
        row % (self.unit.rows / 2) / self.dims.period() == group
    }

    /// The constants for weights at `weights` + 1 and logits at `weights` − 1.
    ///
    /// # Errors
    /// As [`Slots::encode`].
    pub fn masks<S: Slots>(&self, slots: &S, weights: usize) -> Result<Masks<S::Mask>> {
        let (unit, dims) = (self.unit, self.dims);
        let group = |g, upper: bool| {
            indicator(slots, unit, weights + 1, |i, _| (i < unit.rows / 2) == upper && self.in_group(g, i))
        };
        let logits = |row: usize| {
            let factor = self.weight_range / self.logit_range;
            slots.encode(weights.saturating_sub(1), &|slot| {
                let (i, t) = (slot / unit.cols, slot % unit.cols);
                let holds =
                    t < dims.period() && row * unit.rows + i < dims.rows && (i + t) % dims.period() < dims.classes;
                if holds { factor.into() } else { Complex64::ZERO }
            })
        };
        Ok(Masks {
            weights: try_map(0..self.groups(), |g| group(g, true))?,
            results: try_map(0..self.groups(), |g| group(g, false))?,
            logits: try_map(0..self.features().grid().rows, logits)?,
        })
    }

    /// The blocks of the weights, each repeated in all rows: by the masks of W or of V.
    ///
    /// # Errors
    /// Those of [`Slots`], here and below.
    pub fn weights<S: Slots>(&self, slots: &S, state: &[S::Vector], masks: &[S::Mask]) -> Result<Vec<S::Vector>> {
        let (groups, group) = (self.groups(), self.dims.period() * self.unit.cols);
        try_map(0..self.blocks(), |j| {
            let one = slots.mask(&state[j / groups], &masks[j % groups])?;
            fold(slots, one, self.unit.len() / group, group as i64)
        })
    }

    /// Logits over their range, as [`Circuit::layout`] has them, from features and the blocks of the weights.
    ///
    /// # Errors
    /// As [`Circuit::weights`].
    pub fn logits<S: Slots>(
        &self,
        slots: &S,
        features: &[S::Vector],
        weights: &[S::Vector],
        masks: &Masks<S::Mask>,
    ) -> Result<Vec<S::Vector>> {
        let sums = self.abt.sums(slots, features, weights)?;
        let (together, spacing) = (self.rows_together(), self.spacing());
        let moved = try_map(sums.iter().zip(&masks.logits).enumerate(), |(row, (sum, mask))| {
            slots.rotate(&slots.mask(sum, mask)?, -((row % together * spacing) as i64))
        })?;
        moved.chunks(together).map(|parts| sum(slots, parts)).collect()
    }

    /// Errors of each row of blocks, repeated in all columns and multiplied by η/n over the weight range, for `rows` rows.
    ///
    /// # Errors
    /// As [`Circuit::weights`].
    pub fn errors<S: Slots>(
        &self,
        slots: &S,
        errors: &[S::Vector],
        learning_rate: f64,
        rows: usize,
    ) -> Result<Vec<S::Vector>> {
        let (unit, period) = (self.unit, self.dims.period());
        let (together, spacing) = (self.rows_together(), self.spacing());
        let factor = Complex64::from(learning_rate / rows as f64 / self.weight_range);
        try_map(0..self.features().grid().rows, |row| {
            let (from, error) = (row % together * spacing, &errors[row / together]);
            let mask = slots.encode(slots.level(error), &|slot| {
                if (from..from + period).contains(&(slot % unit.cols)) { factor } else { Complex64::ZERO }
            })?;
            let one = slots.rotate(&slots.mask(error, &mask)?, from as i64)?;
            fold(slots, one, unit.cols / period, -(period as i64))
        })
    }

    /// The blocks of the gradient, from errors and features.
    ///
    /// # Errors
    /// As [`Circuit::weights`].
    pub fn gradient<S: Slots>(
        &self,
        slots: &S,
        errors: &[S::Vector],
        features: &[S::Vector],
    ) -> Result<Vec<S::Vector>> {
        self.atb.apply(slots, errors, features)
    }

    /// The next state, with the momentum γ ≤ 0. State and gradient are at one level.
    ///
    /// # Errors
    /// As [`Circuit::weights`].
    pub fn update<S: Slots>(
        &self,
        slots: &S,
        state: &[S::Vector],
        gradient: &[S::Vector],
        momentum: f64,
    ) -> Result<Vec<S::Vector>> {
        let (unit, half) = (self.unit, self.unit.len() / 2);
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
