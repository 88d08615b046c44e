//! A step as published (Lee et al., [ICML 2023](https://arxiv.org/abs/2403.14111)).
//!
//! **State.** The blocks of W, tiled downwards, then those of V: one ciphertext each, all of them bootstrapped one by one after every step.
//!
//! | part | what | levels |
//! |---|---|---|
//! | logits | [`DiagAbt`] | 3 |
//! | softmax | [`softmax::Paper`](crate::circuits::activation::Paper), of each row of blocks alone ([`Layout::spaced`]); less the labels: errors | |
//! | errors | rotations that tile them to the right | 0 |
//! | gradient | [`DiagAtb`], with PRotUp where the features are above the errors | 3; 4 without PRotUp and with more than two classes |
//! | update | V ← W − G; W ← (1 − γ)V + γ·the V before | 1 |
//!
//! The products, their unit block ([`Dimensions::unit`](crate::circuits::matrix::Dimensions::unit)), the tiled layouts, the bias as a last feature and the
//! approximations in softmax are the published ones. What was not published is chosen here:
//!
//! * Softmax works on one tile of each row, so that its sums run over zeros between rows and take no mask, unless there are fewer than 3p − 2 columns.
//!   The masks of the classes in [`DiagAbt`] keep that tile and divide by the range; filling the others again takes log2(s1/p) rotations. The maximum is
//!   brought from the first class to the others, which takes two levels more than the published depth.
//! * The extension is that for the range of the logits, without the correction of third order.
//! * W and V are bootstrapped separately, real slots each. Softmax is bootstrapped where [`SoftmaxPlan`](crate::circuits::activation::SoftmaxPlan)
//!   finds it cheapest, the logits first where they have no levels left.
//! * η/n is in the masks of [`DiagAtb`].
//!
//! **Cost.** With a batch of 512, 768 features, 3 classes and R = 12 at the preset `n16`, a step takes 60 levels and 33 bootstraps, 26 of the state and 7
//! of softmax, which are 93 % of ten times the work of [`fast`](super::fast).

use super::{Frame, Levels, Masks, Step, Weights, lower};
use crate::base::error::Result;
use crate::base::parallel::try_map;
use crate::circuits::activation::Layout;
use crate::circuits::matrix::ops::fold;
use crate::circuits::matrix::{DiagAbt, DiagAtb, Packing, Product, Slots};

/// Shapes and packings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paper {
    pub(super) frame: Frame,
    abt: DiagAbt,
    atb: DiagAtb,
}

impl Paper {
    pub(super) fn new(frame: Frame) -> Result<Self> {
        Ok(Self { frame, abt: DiagAbt::new(frame.dims, frame.unit)?, atb: DiagAtb::new(frame.dims, frame.unit)? })
    }

    pub(super) fn features(&self) -> Packing {
        self.abt.packings()[0]
    }

    fn weights_packing(&self) -> Packing {
        self.abt.packings()[1]
    }

    /// Blocks of W.
    fn blocks(&self) -> usize {
        self.weights_packing().grid().cols
    }

    /// Where the blocks of a matrix are in the state.
    pub(super) fn blocks_of(&self, which: Weights) -> std::ops::Range<usize> {
        let blocks = self.blocks();
        match which {
            Weights::W => 0..blocks,
            Weights::V => blocks..2 * blocks,
        }
    }

    pub(super) fn states(&self) -> usize {
        2 * self.blocks()
    }

    pub(super) const fn output_rows(&self) -> usize {
        self.frame.unit.rows
    }

    pub(super) fn layout(&self, rows: usize) -> Result<Layout> {
        let Frame { dims, unit, .. } = self.frame;
        Layout::spaced(unit.len(), rows, dims.classes, unit.cols)
    }

    pub(super) fn levels(&self, features: usize, update: usize) -> Option<Levels> {
        // Of the product in DiagATB, of which the result is two below.
        let product = update + 3;
        let with_prot_up = DiagAtb::rotates_features([product + 1, features]);
        let rotated_errors = !with_prot_up && self.frame.dims.period() > 2;
        let errors = product + 1 + usize::from(rotated_errors);
        (features >= product).then_some(Levels { state: features, features, errors, update })
    }

    /// The level of logits: that of the features less a product and two masks.
    pub(super) const fn logits_level(levels: Levels) -> usize {
        levels.features - 3
    }

    /// Logits over their range, as [`Paper::layout`] has them, from features and the blocks of the weights.
    pub(super) fn logits<S: Slots>(
        &self,
        slots: &S,
        _: &Masks<S::Mask>,
        features: &[S::Vector],
        weights: &[S::Vector],
    ) -> Result<Vec<S::Vector>> {
        let (classes, factor) = (self.frame.dims.classes, self.frame.logits_factor());
        self.abt.weighted(slots, features, weights, |_, j| if j < classes { factor } else { 0.0 })
    }

    /// Errors of each row of blocks, tiled to the right.
    pub(super) fn errors<S: Slots>(
        &self,
        slots: &S,
        _: &Step<'_, S::Vector>,
        errors: &[S::Vector],
    ) -> Result<Vec<S::Vector>> {
        let period = self.frame.dims.period();
        try_map(errors, |error| fold(slots, error.clone(), self.frame.unit.cols / period, -(period as i64)))
    }

    /// The blocks of η/n times the gradient.
    pub(super) fn gradient<S: Slots>(
        &self,
        slots: &S,
        step: &Step<'_, S::Vector>,
        errors: &[S::Vector],
    ) -> Result<Vec<S::Vector>> {
        self.atb.scaled(slots, errors, step.features, self.frame.gradient_factor(step))
    }

    /// The next state, with the momentum γ ≤ 0. State and gradient are at one level.
    pub(super) fn update<S: Slots>(
        &self,
        slots: &S,
        state: &[S::Vector],
        gradient: &[S::Vector],
        momentum: f64,
    ) -> Result<Vec<S::Vector>> {
        let constant = |c: f64| slots.encode(slots.level(&gradient[0]), &|_| c.into());
        let (own, other) = (constant(1.0 - momentum)?, constant(momentum)?);
        let (w, v) = state.split_at(self.blocks());
        let next = try_map(w.iter().zip(gradient), |(w, g)| slots.sub(w, g))?;
        let ahead = |(next, v)| slots.add(&slots.mask(next, &own)?, &slots.mask(v, &other)?);
        let mut out = try_map(next.iter().zip(v), ahead)?;
        let level = slots.level(&out[0]);
        out.extend(lower(slots, &next, level)?);
        Ok(out)
    }

    pub(super) fn pack_state(&self, matrices: [&[f64]; 2]) -> Result<Vec<Vec<f64>>> {
        let [w, v] = matrices.map(|matrix| self.frame.pack_weights(self.weights_packing(), matrix));
        Ok([w?, v?].concat())
    }

    pub(super) fn unpack_state(&self, state: &[Vec<f64>]) -> Result<[Vec<f64>; 2]> {
        let matrix =
            |which| self.frame.unpack_weights(self.weights_packing(), state[self.blocks_of(which)].iter().cloned());
        Ok([matrix(Weights::W)?, matrix(Weights::V)?])
    }
}
