//! The linear part of a step: everything but softmax and bootstrapping, over any [`Slots`].
//! [`fast`] and [`published`] describe how each mode computes it.
//!
//! It returns logits divided by their range; the weights W and the optimiser's V are kept divided
//! by theirs. The last batch of an epoch may be incomplete. Its missing rows have no features,
//! not even the bias, so that their errors change nothing.

pub mod fast;
pub mod published;

use num_complex::Complex64;
use serde::Serialize;

pub use fast::Fast;
pub use published::Published;

use super::config::Mode;
use crate::base::error::{Result, check_count, check_integer};
use crate::base::parallel::try_map;
use crate::circuits::activation::Layout;
use crate::circuits::matrix::{BlockMatrix, Dimensions, Packing, Shape, Slots};

/// The shapes and ranges for which the circuits of both modes are made.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Frame {
    dims: Dimensions,
    unit: Shape,
    /// The range by which logits are divided.
    logit_range: f64,
    /// The range by which weights are divided.
    weight_range: f64,
}

impl Frame {
    /// The factor applied to products of features and the state.
    fn logits_factor(&self) -> f64 {
        self.weight_range / self.logit_range
    }

    /// The factor applied to the sum of errors times features: the step size for the mean,
    /// over the weight range.
    fn gradient_factor<V>(&self, step: &Step<'_, V>) -> f64 {
        step.learning_rate / step.rows as f64 / self.weight_range
    }

    /// Packs weights, a matrix of classes by features, into blocks, divided by their range.
    fn pack_weights(&self, packing: Packing, weights: &[f64]) -> Result<Vec<Vec<f64>>> {
        let block = |block: &Vec<Complex64>| block.iter().map(|z| z.re / self.weight_range).collect();
        Ok(packing.pack(weights)?.blocks().iter().map(block).collect())
    }

    /// The inverse of [`Frame::pack_weights`].
    fn unpack_weights(&self, packing: Packing, blocks: impl Iterator<Item = Vec<f64>>) -> Result<Vec<f64>> {
        let block = |block: Vec<f64>| block.into_iter().map(|x| (x * self.weight_range).into()).collect();
        Ok(BlockMatrix::new(packing, blocks.map(block).collect())?.unpack())
    }
}

/// The shapes and packings of a step, by mode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Circuit {
    /// The circuit of [`Mode::Fast`].
    Fast(Fast),
    /// The circuit of [`Mode::Published`].
    Published(Published),
}

/// The levels at which a step works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Levels {
    /// The level of the state from which logits are computed.
    pub state: usize,
    /// The level of the features.
    pub features: usize,
    /// The level of labels and errors.
    pub errors: usize,
    /// The level of the next state.
    pub update: usize,
}

/// One of the two matrices of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// W, where gradients are taken.
    W,
    /// V, the result.
    V,
}

/// The inputs of a step.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a, V> {
    /// The state.
    pub state: &'a [V],
    /// The features of the batch.
    pub features: &'a [V],
    /// The number of rows of the batch that are present.
    pub rows: usize,
    /// The step size η.
    pub learning_rate: f64,
    /// The momentum γ, from −1 to 0.
    pub momentum: f64,
}

/// The constants that are the same in every step. The published method has none:
/// its products make theirs as they go.
#[derive(Clone, Debug)]
pub struct Masks<M> {
    /// The masks that select W, one for each group of rows.
    w: Vec<M>,
    /// The masks that select V, one for each group of rows.
    v: Vec<M>,
    /// The masks of the logits, one for each row of blocks.
    logits: Vec<M>,
}

/// Calls a method of the circuit of the mode.
macro_rules! of_mode {
    ($circuit:expr, $of:ident => $call:expr) => {
        match $circuit {
            Circuit::Fast($of) => $call,
            Circuit::Published($of) => $call,
        }
    };
}

impl Circuit {
    /// Creates a circuit for batches of `dims.rows` rows, with the bias among the features,
    /// in these unit blocks.
    ///
    /// # Errors
    /// [`Error::Range`](crate::Error::Range) and [`Error::Slots`](crate::Error::Slots) for unit
    /// blocks that the mode cannot use.
    pub fn new(mode: Mode, dims: Dimensions, unit: Shape, logit_range: f64, weight_range: f64) -> Result<Self> {
        let frame = Frame { dims, unit, logit_range, weight_range };
        Ok(match mode {
            Mode::Fast => Self::Fast(Fast::new(frame)?),
            Mode::Published => Self::Published(Published::new(frame)?),
        })
    }

    const fn frame(&self) -> &Frame {
        match self {
            Self::Fast(fast) => &fast.frame,
            Self::Published(paper) => &paper.frame,
        }
    }

    /// Returns the number of rows of a batch, of features with the bias, and of classes.
    #[must_use]
    pub const fn dimensions(&self) -> Dimensions {
        self.frame().dims
    }

    /// Returns the shape of a unit block.
    #[must_use]
    pub const fn unit(&self) -> Shape {
        self.frame().unit
    }

    /// Returns the packing of the features of a batch.
    #[must_use]
    pub fn features(&self) -> Packing {
        of_mode!(self, c => c.features())
    }

    /// Returns the number of ciphertexts of the state.
    #[must_use]
    pub fn states(&self) -> usize {
        of_mode!(self, c => c.states())
    }

    /// Returns the number of ciphertexts of logits.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.dimensions().rows.div_ceil(self.output_rows())
    }

    /// Returns the number of rows whose logits one ciphertext holds.
    fn output_rows(&self) -> usize {
        of_mode!(self, c => c.output_rows())
    }

    /// Returns the positions of logits and labels, which are the same in each ciphertext.
    ///
    /// # Errors
    /// None for a circuit.
    pub fn layout(&self) -> Result<Layout> {
        let rows = self.dimensions().rows.min(self.output_rows());
        of_mode!(self, c => c.layout(rows))
    }

    /// Returns the lowest possible levels of a step with the features and the next state at the
    /// given levels; `None` if the level of the features is too low.
    #[must_use]
    pub fn levels(&self, features: usize, update: usize) -> Option<Levels> {
        of_mode!(self, c => c.levels(features, update))
    }

    /// Returns the level of the logits of a step at these levels.
    #[must_use]
    pub const fn logits_level(&self, levels: Levels) -> usize {
        match self {
            Self::Fast(_) => Fast::logits_level(levels),
            Self::Published(_) => Published::logits_level(levels),
        }
    }

    /// Returns relinearisations that a step makes, as pairs of level and count;
    /// the step may make more. The list is empty for the published method, which has only one unit
    /// block to choose from.
    pub(super) fn relinearisations(&self, levels: Levels) -> Vec<(usize, usize)> {
        match self {
            Self::Fast(fast) => fast.relinearisations(levels).to_vec(),
            Self::Published(_) => Vec::new(),
        }
    }

    /// Encodes the constants for features at a level.
    ///
    /// # Errors
    /// As [`Slots::encode`].
    pub fn masks<S: Slots>(&self, slots: &S, features: usize) -> Result<Masks<S::Mask>> {
        match self {
            Self::Fast(fast) => fast.masks(slots, features),
            Self::Published(_) => Ok(Masks { w: Vec::new(), v: Vec::new(), logits: Vec::new() }),
        }
    }

    /// Computes a whole step, and returns the next state, at `levels.update`.
    /// `softmax` turns logits into errors at `levels.errors`. `mark` is called after every part,
    /// with its name and a vector that it made.
    ///
    /// # Errors
    /// The errors of [`Slots`] and of `softmax`.
    pub fn step<S: Slots>(
        &self,
        slots: &S,
        masks: &Masks<S::Mask>,
        levels: Levels,
        step: Step<'_, S::Vector>,
        softmax: impl FnOnce(Vec<S::Vector>) -> Result<Vec<S::Vector>>,
        mut mark: impl FnMut(&'static str, &S::Vector),
    ) -> Result<Vec<S::Vector>> {
        let weights = self.weights(slots, masks, levels, step.state, Weights::W)?;
        mark("weights", &weights[0]);
        let logits = of_mode!(self, c => c.logits(slots, masks, step.features, &weights))?;
        drop(weights);
        mark("logits", &logits[0]);
        let errors = softmax(logits)?;
        mark("softmax", &errors[0]);
        let errors = of_mode!(self, c => c.errors(slots, &step, &errors))?;
        mark("errors", &errors[0]);
        let gradient = of_mode!(self, c => c.gradient(slots, &step, &errors))?;
        drop(errors);
        mark("gradient", &gradient[0]);
        let state = lower(slots, step.state, slots.level(&gradient[0]))?;
        let next = of_mode!(self, c => c.update(slots, &state, &gradient, step.momentum))?;
        mark("update", &next[0]);
        Ok(next)
    }

    /// Computes the logits of V, which is the result, or of W.
    ///
    /// # Errors
    /// The errors of [`Slots`].
    pub fn outputs_of<S: Slots>(
        &self,
        slots: &S,
        masks: &Masks<S::Mask>,
        levels: Levels,
        state: &[S::Vector],
        features: &[S::Vector],
        which: Weights,
    ) -> Result<Vec<S::Vector>> {
        let weights = self.weights(slots, masks, levels, state, which)?;
        of_mode!(self, c => c.logits(slots, masks, features, &weights))
    }

    /// Returns the blocks of W or V in the form that the logits need.
    fn weights<S: Slots>(
        &self,
        slots: &S,
        masks: &Masks<S::Mask>,
        levels: Levels,
        state: &[S::Vector],
        which: Weights,
    ) -> Result<Vec<S::Vector>> {
        match self {
            Self::Fast(fast) => fast.weights(slots, masks, &lower(slots, state, levels.state)?, which),
            Self::Published(paper) => lower(slots, &state[paper.blocks_of(which)], levels.state),
        }
    }

    /// Packs values, given by row and class, into the slots of every ciphertext of logits.
    ///
    /// # Errors
    /// As [`Circuit::layout`].
    pub fn pack_outputs(&self, value: impl Fn(usize, usize) -> f64) -> Result<Vec<Vec<f64>>> {
        let (layout, together, rows) = (self.layout()?, self.output_rows(), self.dimensions().rows);
        let one = |i: usize| {
            let value = |row, class| if i * together + row < rows { value(i * together + row, class) } else { 0.0 };
            layout.fill(value, 0.0)
        };
        Ok((0..self.outputs()).map(one).collect())
    }

    /// Inverts [`Circuit::pack_outputs`] for the first `rows` rows.
    ///
    /// # Errors
    /// As [`Circuit::layout`]; [`Error::Count`](crate::Error::Count) for another number of
    /// ciphertexts, [`Error::Range`](crate::Error::Range) for more rows than a batch has.
    pub fn unpack_outputs(&self, slots: &[Vec<f64>], rows: usize) -> Result<Vec<Vec<f64>>> {
        check_count("ciphertexts of outputs", slots.len(), self.outputs())?;
        check_integer("rows of a batch", rows, 0, self.dimensions().rows)?;
        let (layout, together) = (self.layout()?, self.output_rows());
        let row = |row: usize| {
            let class = |class| slots[row / together][layout.slot(row % together, class)];
            (0..self.dimensions().classes).map(class).collect()
        };
        Ok((0..rows).map(row).collect())
    }

    /// Packs weights and V, matrices of classes by features, into the slots of the state.
    ///
    /// # Errors
    /// [`Error::Count`](crate::Error::Count) for matrices of another size.
    pub fn pack_state(&self, weights: &[f64], v: &[f64]) -> Result<Vec<Vec<f64>>> {
        of_mode!(self, c => c.pack_state([weights, v]))
    }

    /// Unpacks weights and V from the slots of the state.
    ///
    /// # Errors
    /// [`Error::Count`](crate::Error::Count) if the number of vectors is not the number of
    /// ciphertexts of the state.
    pub fn unpack_state(&self, state: &[Vec<f64>]) -> Result<[Vec<f64>; 2]> {
        check_count("ciphertexts of the state", state.len(), self.states())?;
        of_mode!(self, c => c.unpack_state(state))
    }
}

/// Lowers vectors to a level.
pub(super) fn lower<S: Slots>(slots: &S, list: &[S::Vector], level: usize) -> Result<Vec<S::Vector>> {
    try_map(list, |v| slots.lower(v, level))
}
