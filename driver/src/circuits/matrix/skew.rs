//! A pair of products that need no class masks, because logits and weights are kept skewed.
//!
//! Slot (r, κ) of the logits holds class r + κ of row r. Slot (ρ, l) of the weights holds
//! row ρ + l of column l. These classes and rows are taken modulo the period p and repeat with it.
//! Softmax, labels and updates work on slots or on whole rows of p slots,
//! so the skew does not affect them. The products are then:
//!
//! * logits = mask·fold(Σ_(k<p) Rot_(−k)(X ⊙ RotUp(V, k))):
//!   slot (r, l) of the k-th product belongs to class r + k + l. Moved to the right by k,
//!   it therefore has the same place modulo p as all the slots that are to be added to it.
//!   The fold adds columns that are p apart. The mask keeps the first p columns,
//!   where no other row has come in, and rotations to the right repeat them. This takes two levels.
//! * gradient = fold(Σ_(k<p) RotDown_k(Rot_k(P) ⊙ X)): slot (r, l) of the k-th product is of class
//!   r + k + l and column l, and so belongs in row r + k. The fold adds rows that are p apart.
//!   It is cyclic and needs no mask. This takes one level.
//!
//! The last p − 1 columns of every unit row of X are zero ([`Layout::Guarded`]),
//! so that plain rotations do no harm in places where the products of HETAL (the paper) use masks.
//! Classes k and k + p/2 share a complex slot, and are separated at the end as z + z̄
//! and −i·(z − z̄). As these are twice the parts, X is halved. Rotations of V and P are hoisted,
//! and all p/2 of them are in memory at once. Sums of products are relinearised once.

use std::borrow::Cow;

use super::ops::{accumulate, complexify, fold, indicator, rot_up, same_level};
use super::packing::{Layout, Packing, Shape};
use super::slots::{Counts, Slots};
use super::{Dimensions, Product};
use crate::base::error::Result;
use crate::base::parallel::try_map;

/// The packings of features, weights and logits.
fn packings(dims: Dimensions, unit: Shape) -> Result<[Packing; 3]> {
    let period = dims.period();
    Ok([
        Packing::new(dims.features_shape(), unit, Layout::Guarded(period))?,
        Packing::new(dims.weights_shape(), unit, Layout::SkewedRows(period))?,
        Packing::new(dims.logits_shape(), unit, Layout::SkewedColumns(period))?,
    ])
}

/// Chooses the unit block with the fewest key switches in both products together,
/// and among equals the one with the fewest blocks of features.
///
/// # Errors
/// Those of [`Dimensions::unit`] and of [`Packing::new`].
pub fn best_unit(dims: Dimensions, slots: usize) -> Result<Shape> {
    let period = dims.square_period(slots)?;
    let rows = (period.ilog2()..=(slots / period).ilog2()).map(|log| 1 << log);
    let costs: Vec<_> = rows
        .map(|rows| {
            let unit = Shape::new(rows, slots / rows);
            let (abt, atb) = (SkewAbt::new(dims, unit)?, SkewAtb::new(dims, unit)?);
            let switches = (abt.counts([0; 2]) + atb.counts([0; 2])).key_switches();
            Ok((switches, abt.packings[0].grid().len(), unit))
        })
        .collect::<Result<_>>()?;
    let best = costs.into_iter().min_by_key(|&(switches, blocks, _)| (switches, blocks));
    Ok(best.expect("a range that is not empty").2)
}

/// Adds the imaginary part of v, rotated, to its real part. Both come out doubled.
fn part<S: Slots>(slots: &S, v: &S::Vector, rotation: i64) -> Result<S::Vector> {
    let conjugate = slots.conjugate(v)?;
    let real = slots.add(v, &conjugate)?;
    // −i·(v − v̄) = i·(v̄ − v).
    let imaginary = slots.mul_i(&slots.sub(&conjugate, v)?)?;
    slots.add(&real, &slots.rotate(&imaginary, rotation)?)
}

/// Returns the rotations of every vector by 0, stride, … (count − 1)·stride, grouped by rotation.
fn rotations<S: Slots>(slots: &S, list: &[S::Vector], count: usize, stride: usize) -> Result<Vec<Vec<S::Vector>>> {
    let ks: Vec<_> = (0..count).map(|k| (k * stride) as i64).collect();
    let mut by_rotation: Vec<_> = ks.iter().map(|_| Vec::with_capacity(list.len())).collect();
    for rotated in try_map(list, |v| slots.rotate_many(v, &ks))? {
        by_rotation.iter_mut().zip(rotated).for_each(|(all, v)| all.push(v));
    }
    Ok(by_rotation)
}

/// The product for skewed logits, from features with guard columns and skewed weights.
/// It takes 2 levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkewAbt {
    packings: [Packing; 3],
    period: usize,
}

impl SkewAbt {
    /// Creates the product for matrices in these unit blocks.
    ///
    /// # Errors
    /// As [`Packing::new`].
    pub fn new(dims: Dimensions, unit: Shape) -> Result<Self> {
        Ok(Self { packings: packings(dims, unit)?, period: dims.period() })
    }

    /// Returns one block for every row of blocks, with the logits in its first columns, one column
    /// for each class with padding. The other columns are not masked. This takes 1 level.
    ///
    /// # Errors
    /// As [`Product::apply`].
    pub fn sums<S: Slots>(&self, slots: &S, left: &[S::Vector], right: &[S::Vector]) -> Result<Vec<S::Vector>> {
        let (grid, unit) = (self.packings[0].grid(), self.packings[0].unit());
        let (period, half) = (self.period, self.period / 2);
        let (_, left, right) = same_level(slots, left, right)?;
        let pair = |v: &Cow<'_, S::Vector>| complexify(slots, v, &rot_up(slots, unit, v, half as i64)?);
        let pairs = try_map(&right, pair)?;
        let weights = rotations(slots, &pairs, half, unit.cols)?;
        try_map(left.chunks(grid.cols), |row| {
            let mut sum = None;
            for (k, weights) in weights.iter().enumerate() {
                let terms: Vec<_> = row.iter().map(|x| &**x).zip(weights).collect();
                accumulate(slots, &mut sum, slots.rotate(&slots.dot(&terms)?, -(k as i64))?)?;
            }
            let sum = part(slots, &sum.expect("half of a period is not 0"), -(half as i64))?;
            fold(slots, sum, unit.cols / period, period as i64)
        })
    }
}

impl Product for SkewAbt {
    fn name(&self) -> &'static str {
        "skewed ABT"
    }

    fn packings(&self) -> [Packing; 3] {
        self.packings
    }

    fn counts(&self, _: [usize; 2]) -> Counts {
        let (grid, unit) = (self.packings[0].grid(), self.packings[0].unit());
        let (a, b, half) = (grid.rows as u64, grid.cols as u64, self.period as u64 / 2);
        let fold = u64::from((unit.cols / self.period).ilog2());
        Counts {
            constants: a,
            products: half * a * b,
            rotations: half * b + (half + 2 * fold) * a,
            conjugations: a,
            relinearisations: half * a,
        }
    }

    fn apply<S: Slots>(&self, slots: &S, left: &[S::Vector], right: &[S::Vector]) -> Result<Vec<S::Vector>> {
        let (unit, period) = (self.packings[0].unit(), self.period);
        let sums = self.sums(slots, left, right)?;
        let first = indicator(slots, unit, slots.level(&sums[0]), |_, j| j < period)?;
        try_map(&sums, |sum| fold(slots, slots.mask(sum, &first)?, unit.cols / period, -(period as i64)))
    }
}

/// The product for the gradient, skewed like the weights,
/// from skewed errors and features with guard columns. It takes 1 level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkewAtb {
    packings: [Packing; 3],
    period: usize,
}

impl SkewAtb {
    /// Creates the product for matrices in these unit blocks.
    ///
    /// # Errors
    /// As [`Packing::new`].
    pub fn new(dims: Dimensions, unit: Shape) -> Result<Self> {
        let [features, weights, errors] = packings(dims, unit)?;
        Ok(Self { packings: [errors, features, weights], period: dims.period() })
    }
}

impl Product for SkewAtb {
    fn name(&self) -> &'static str {
        "skewed ATB"
    }

    fn packings(&self) -> [Packing; 3] {
        self.packings
    }

    fn counts(&self, _: [usize; 2]) -> Counts {
        let (grid, unit) = (self.packings[1].grid(), self.packings[1].unit());
        let (a, b, half) = (grid.rows as u64, grid.cols as u64, self.period as u64 / 2);
        let fold = u64::from((unit.rows / self.period).ilog2());
        Counts {
            constants: 0,
            products: half * a * b,
            rotations: half * a + (half + fold) * b,
            conjugations: b,
            relinearisations: half * b,
        }
    }

    fn apply<S: Slots>(&self, slots: &S, left: &[S::Vector], right: &[S::Vector]) -> Result<Vec<S::Vector>> {
        let (grid, unit) = (self.packings[1].grid(), self.packings[1].unit());
        let (period, half) = (self.period, self.period / 2);
        let (_, left, right) = same_level(slots, left, right)?;
        let pair = |p: &Cow<'_, S::Vector>| complexify(slots, p, &slots.rotate(p, half as i64)?);
        let pairs = try_map(&left, pair)?;
        let errors = rotations(slots, &pairs, half, 1)?;
        let stride = unit.cols as i64;
        let gradient = |j: usize| {
            let mut sum = None;
            for (k, errors) in errors.iter().enumerate() {
                let column = (j..grid.len()).step_by(grid.cols).map(|at| &*right[at]);
                let terms: Vec<_> = errors.iter().zip(column).collect();
                accumulate(slots, &mut sum, rot_up(slots, unit, &slots.dot(&terms)?, -(k as i64))?)?;
            }
            let sum = part(slots, &sum.expect("half of a period is not 0"), -(half as i64) * stride)?;
            fold(slots, sum, unit.rows / period, period as i64 * stride)
        };
        try_map(0..grid.cols, gradient)
    }
}
