//! The product Aᵀ·B of HETAL (the paper).

use std::borrow::Cow;

use super::ops::{
    Blocks, accumulate, at_level, complexify, lowest, prot_up, prot_up_mask, rot_left, rot_left_mask, select, sum_rows,
    twice_real,
};
use super::packing::{Layout, Packing, Shape};
use super::slots::{Counts, Slots};
use super::{Dimensions, Product};
use crate::base::error::Result;
use crate::base::parallel::try_map;

/// The product Aᵀ·B by the method DiagATB: Aᵀ·B = Σ_(k<c) SumRows(RotLeft(Ā, k) ⊙ B) ⊙ M'_k for
/// errors Ā tiled to the right. The mask M'_k\[i, l\] is 1 where i ≡ l + k modulo c. Classes k and
/// k + c/2 share a complex slot. The gradient comes out tiled downwards, like the weights.
///
/// Where A is at a lower level than B, plain rotations of A replace RotLeft, which saves A a level.
/// The entries that they carry over from the next row meet columns of B that were rotated
/// up by a row (PRotUp). As SumRows is cyclic, this changes no sum. With more than two classes,
/// A loses 4 levels (two for RotLeft, one for the product, one for M'_k), or 3 with PRotUp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiagAtb {
    packings: [Packing; 3],
    period: usize,
}

impl DiagAtb {
    /// Creates the product for errors, features and gradient in these unit blocks.
    ///
    /// # Errors
    /// As [`Packing::new`].
    pub fn new(dims: Dimensions, unit: Shape) -> Result<Self> {
        let period = dims.period();
        let packings = [
            Packing::new(dims.logits_shape(), unit, Layout::TiledColumns(period))?,
            Packing::new(dims.features_shape(), unit, Layout::Blocks)?,
            Packing::new(dims.weights_shape(), unit, Layout::TiledRows(period))?,
        ];
        Ok(Self { packings, period })
    }

    /// Tells whether the features, at the second level,
    /// are rotated up for errors at the first level.
    #[must_use]
    pub const fn rotates_features(levels: [usize; 2]) -> bool {
        levels[0] < levels[1]
    }

    const fn unit(&self) -> Shape {
        self.packings[1].unit()
    }

    /// Returns Ā + i·RotLeft(Ā, c/2), a level lower.
    fn pairs<S: Slots>(&self, slots: &S, left: &[Cow<'_, S::Vector>]) -> Result<Vec<S::Vector>> {
        let half = self.period / 2;
        let mask = rot_left_mask(slots, self.unit(), lowest(slots, left.iter().map(|a| &**a)), half)?;
        let pair = |a: &S::Vector| {
            let rotated = rot_left(slots, self.unit(), a, half, &mask)?;
            complexify(slots, &slots.lower(a, slots.level(&rotated))?, &rotated)
        };
        try_map(left, |a| pair(a))
    }

    /// Returns RotLeft(A, k), or the plain rotations, of all blocks at `level`.
    fn rotated_errors<'a, S: Slots>(
        &self,
        slots: &S,
        errors: &'a [S::Vector],
        (k, plain): (usize, bool),
        level: usize,
    ) -> Result<Blocks<'a, S>> {
        if k == 0 {
            return at_level(slots, errors, level);
        }
        let rotated = if plain {
            let lowered = at_level(slots, errors, level)?;
            try_map(&lowered, |a| slots.rotate(a, k as i64))?
        } else {
            // RotLeft starts from the level above, because it takes one.
            let lowered = at_level(slots, errors, level + 1)?;
            let mask = rot_left_mask(slots, self.unit(), level + 1, k)?;
            try_map(&lowered, |a| rot_left(slots, self.unit(), a, k, &mask))?
        };
        Ok(rotated.into_iter().map(Cow::Owned).collect())
    }

    /// Computes the product times a factor. The factor is part of the mask of the classes,
    /// so that it takes no level.
    ///
    /// # Errors
    /// As [`Product::apply`].
    pub fn scaled<S: Slots>(
        &self,
        slots: &S,
        left: &[S::Vector],
        right: &[S::Vector],
        factor: f64,
    ) -> Result<Vec<S::Vector>> {
        let (grid, unit) = (self.packings[1].grid(), self.unit());
        let (period, half) = (self.period, self.period / 2);
        let levels = [lowest(slots, left), lowest(slots, right)];
        let errors = self.pairs(slots, &at_level(slots, left, levels[0])?)?;
        let up = Self::rotates_features(levels);
        // With two classes, nothing is rotated except in forming the pairs.
        let taken = |here: bool| usize::from(here && half > 1);
        let [a, b] = [(levels[0] - 1, !up), (levels[1], up)].map(|(level, here)| level.saturating_sub(taken(here)));
        let level = a.min(b);
        let above = at_level(slots, right, level + taken(up))?;
        let features: Blocks<'_, S> = above
            .iter()
            .map(|b| Ok(at_level(slots, std::slice::from_ref(&**b), level)?.remove(0)))
            .collect::<Result<_>>()?;
        let of_classes = try_map(0..half, |k| {
            let errors = self.rotated_errors(slots, &errors, (k, up), level)?;
            let class = |k| move |i, j| i % period == (j + k) % period;
            let mask = select(slots, unit, level.saturating_sub(1), class(k), class(k + half), |_, _| factor)?;
            let moved = if up && k > 0 { Some(prot_up_mask(slots, unit, level + 1, k)?) } else { None };
            Ok((errors, mask, moved))
        })?;
        try_map(0..grid.cols, |j| {
            let mut sum = None;
            for (errors, mask, moved) in &of_classes {
                let column = (j..grid.len()).step_by(grid.cols);
                let features: Blocks<'_, S> = match moved {
                    None => column.map(|at| Cow::Borrowed(&*features[at])).collect(),
                    Some(mask) => try_map(column, |at| Ok(Cow::Owned(prot_up(slots, unit, &above[at], mask)?)))?,
                };
                let terms: Vec<_> = errors.iter().map(|a| &**a).zip(features.iter().map(|b| &**b)).collect();
                let rows = sum_rows(slots, unit, slots.dot(&terms)?)?;
                accumulate(slots, &mut sum, slots.mask(&rows, mask)?)?;
            }
            twice_real(slots, &sum.expect("half of a period is not 0"))
        })
    }
}

impl Product for DiagAtb {
    fn name(&self) -> &'static str {
        "DiagATB"
    }

    fn packings(&self) -> [Packing; 3] {
        self.packings
    }

    /// Uses the formulas of HETAL (the paper) for one row of blocks, which is the only case
    /// in the paper's tables. For more rows of blocks, it counts the steps of the code.
    fn counts(&self, levels: [usize; 2]) -> Counts {
        let (grid, unit) = (self.packings[1].grid(), self.unit());
        let (a, b, half) = (grid.rows as u64, grid.cols as u64, self.period as u64 / 2);
        let (masked, rotated) = if Self::rotates_features(levels) { (a * b, a + a * b) } else { (a, 2 * a) };
        Counts {
            constants: a + (half - 1) * masked + half * b,
            products: half * a * b,
            rotations: 2 * a + (half - 1) * rotated + half * b * u64::from(unit.rows.ilog2()),
            conjugations: b,
            relinearisations: half * b,
        }
    }

    fn apply<S: Slots>(&self, slots: &S, left: &[S::Vector], right: &[S::Vector]) -> Result<Vec<S::Vector>> {
        self.scaled(slots, left, right, 1.0)
    }
}
