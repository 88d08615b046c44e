//! The product A·Bᵀ of HETAL (the paper).

use super::ops::{accumulate, complexify, rot_up, same_level, select, sum_cols, sum_cols_mask, twice_real};
use super::packing::{Layout, Packing, Shape};
use super::slots::{Counts, Slots};
use super::{Dimensions, Product};
use crate::base::error::Result;
use crate::base::parallel::try_map;

/// The product A·Bᵀ by the method DiagABT: A·Bᵀ = Σ_(k<c) SumCols(A ⊙ RotUp(B̄, k))
/// ⊙ M_k for weights B̄ tiled downwards. The mask M_k\[i, j\] is 1 where j ≡ i + k modulo c,
/// so that row i meets class i + k. Classes k and k + c/2 share a complex slot. The logits come out
/// tiled to the right. The method takes 3 levels: for the product, the mask in SumCols, and M_k.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiagAbt {
    packings: [Packing; 3],
    period: usize,
}

impl DiagAbt {
    /// Creates the product for features, weights and logits in these unit blocks.
    ///
    /// # Errors
    /// As [`Packing::new`].
    pub fn new(dims: Dimensions, unit: Shape) -> Result<Self> {
        let period = dims.period();
        let packings = [
            Packing::new(dims.features_shape(), unit, Layout::Blocks)?,
            Packing::new(dims.weights_shape(), unit, Layout::TiledRows(period))?,
            Packing::new(dims.logits_shape(), unit, Layout::TiledColumns(period))?,
        ];
        Ok(Self { packings, period })
    }

    /// Computes the product and multiplies slot (i, j) of every block by `factor(i, j)`.
    /// The factor is part of the mask of the classes, so that it takes no level.
    ///
    /// # Errors
    /// As [`Product::apply`].
    pub fn weighted<S: Slots>(
        &self,
        slots: &S,
        left: &[S::Vector],
        right: &[S::Vector],
        factor: impl Fn(usize, usize) -> f64 + Sync,
    ) -> Result<Vec<S::Vector>> {
        let (grid, unit) = (self.packings[0].grid(), self.packings[0].unit());
        let (period, half) = (self.period, self.period / 2);
        let (level, left, right) = same_level(slots, left, right)?;
        let pairs = |b: &S::Vector| complexify(slots, b, &rot_up(slots, unit, b, half as i64)?);
        let weights = try_map(&right, |b| pairs(b))?;
        // The product takes a level, and so does the mask.
        let column = sum_cols_mask(slots, unit, level.saturating_sub(1))?;
        let of_classes = try_map(0..half, |k| {
            let rotated = try_map(&weights, |b| rot_up(slots, unit, b, k as i64))?;
            let class = |k| move |i, j| j % period == (i + k) % period;
            let mask = select(slots, unit, level.saturating_sub(2), class(k), class(k + half), &factor)?;
            try_map(left.chunks(grid.cols), |row| {
                let terms: Vec<_> = row.iter().map(|a| &**a).zip(&rotated).collect();
                slots.mask(&sum_cols(slots, unit, slots.dot(&terms)?, &column)?, &mask)
            })
        })?;
        let mut sums = vec![None; grid.rows];
        for rows in of_classes {
            sums.iter_mut().zip(rows).try_for_each(|(sum, row)| accumulate(slots, sum, row))?;
        }
        try_map(sums.iter().flatten(), |sum| twice_real(slots, sum))
    }
}

impl Product for DiagAbt {
    fn name(&self) -> &'static str {
        "DiagABT"
    }

    fn packings(&self) -> [Packing; 3] {
        self.packings
    }

    fn counts(&self, _: [usize; 2]) -> Counts {
        let (grid, unit) = (self.packings[0].grid(), self.packings[0].unit());
        let (a, b, half) = (grid.rows as u64, grid.cols as u64, self.period as u64 / 2);
        Counts {
            constants: 2 * half * a,
            products: half * a * b,
            rotations: half * (b + 2 * a * u64::from(unit.cols.ilog2())),
            conjugations: a,
            relinearisations: half * a,
        }
    }

    fn apply<S: Slots>(&self, slots: &S, left: &[S::Vector], right: &[S::Vector]) -> Result<Vec<S::Vector>> {
        self.weighted(slots, left, right, |_, _| 1.0)
    }
}
