//! A step of the published method (Lee et al., [ICML 2023](https://arxiv.org/abs/2403.14111)).
//!
//! **State.** The state holds the blocks of W, tiled downwards, and then those of V.
//! Each block is one ciphertext, and each is bootstrapped on its own after every step.
//!
//! | part | computation | levels |
//! |---|---|---|
//! | logits | [`DiagAbt`] | 3 |
//! | softmax | [`softmax::Published`](crate::circuits::activation::Published), for each row of blocks alone ([`Layout::spaced`]); minus the labels, this gives the errors | |
//! | errors | rotations that tile them to the right | 0 |
//! | gradient | [`DiagAtb`], with PRotUp where the features are above the errors | 3; 4 without PRotUp and with more than two classes |
//! | update | V ← W − G; W ← (1 − γ)V + γ·the V before | 1 |
//!
//! The products, their unit block
//! ([`Dimensions::unit`](crate::circuits::matrix::Dimensions::unit)), the tiled layouts,
//! the bias as the last feature and the approximations in softmax are those of the publication.
//! The following was not published, and was chosen here (p is the period, the number of classes
//! rounded up to a power of two):
//!
//! * Softmax works on one tile of each row. Its sums then run over the zeros between rows
//!   and take no mask, unless there are fewer than 3p − 2 columns. The masks of the classes
//!   in [`DiagAbt`] keep that tile and divide by the range; filling the other tiles again
//!   takes log2(s1/p) rotations. The maximum is brought from the first class to the others,
//!   which takes two levels more than the published depth.
//! * The domain extension is the one for the range of the logits, without the
//!   third-order correction.
//! * W and V are bootstrapped separately, with real slots each. Softmax is bootstrapped
//!   where [`SoftmaxPlan`](crate::circuits::activation::SoftmaxPlan) finds it cheapest;
//!   the logits are bootstrapped first if they have no levels left.
//! * The factor η/n is in the masks of [`DiagAtb`].
//!
//! **Cost.** With a batch of 512, 768 features, 3 classes and R = 12 at the preset `n16`, a step
//! takes 60 levels and 33 bootstraps: 26 of the state and 7 of softmax, which are 93 % of the work.
//! In all, this is ten times the work of [`fast`](super::fast).

use super::{Frame, Levels, Masks, Step, Weights, lower};
use crate::base::error::Result;
use crate::base::parallel::try_map;
use crate::circuits::activation::Layout;
use crate::circuits::matrix::ops::fold;
use crate::circuits::matrix::{DiagAbt, DiagAtb, Packing, Product, Slots};

/// The shapes and packings of the published method.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    pub(super) frame: Frame,
    abt: DiagAbt,
    atb: DiagAtb,
}

impl Published {
    pub(super) fn new(frame: Frame) -> Result<Self> {
        Ok(Self { frame, abt: DiagAbt::new(frame.dims, frame.unit)?, atb: DiagAtb::new(frame.dims, frame.unit)? })
    }

    pub(super) fn features(&self) -> Packing {
        self.abt.packings()[0]
    }

    fn weights_packing(&self) -> Packing {
        self.abt.packings()[1]
    }

    /// Returns the number of blocks of W.
    fn blocks(&self) -> usize {
        self.weights_packing().grid().cols
    }

    /// Returns the positions of the blocks of W or V in the state.
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
        // The level of the product in DiagATB, whose result is two levels below.
        let product = update + 3;
        let with_prot_up = DiagAtb::rotates_features([product + 1, features]);
        let rotated_errors = !with_prot_up && self.frame.dims.period() > 2;
        let errors = product + 1 + usize::from(rotated_errors);
        (features >= product).then_some(Levels { state: features, features, errors, update })
    }

    /// Returns the level of the logits: that of the features minus a product and two masks.
    pub(super) const fn logits_level(levels: Levels) -> usize {
        levels.features - 3
    }

    /// Computes the logits over their range, in the form of [`Published::layout`],
    /// from features and the blocks of the weights.
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

    /// Tiles the errors of each row of blocks to the right.
    pub(super) fn errors<S: Slots>(
        &self,
        slots: &S,
        _: &Step<'_, S::Vector>,
        errors: &[S::Vector],
    ) -> Result<Vec<S::Vector>> {
        let period = self.frame.dims.period();
        try_map(errors, |error| fold(slots, error.clone(), self.frame.unit.cols / period, -(period as i64)))
    }

    /// Computes the blocks of the gradient times η/n.
    pub(super) fn gradient<S: Slots>(
        &self,
        slots: &S,
        step: &Step<'_, S::Vector>,
        errors: &[S::Vector],
    ) -> Result<Vec<S::Vector>> {
        self.atb.scaled(slots, errors, step.features, self.frame.gradient_factor(step))
    }

    /// Computes the next state, with the momentum γ ≤ 0. State and gradient are at the same level.
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
