//! Products to compare with: those of Crockett work class by class, and those of Jin et al.
//! use a ciphertext for every column.

use std::borrow::Cow;

use super::ops::{accumulate, at_level, fold, indicator, lowest, same_level, sum_rows};
use super::packing::{Layout, Packing, Shape};
use super::slots::{Counts, Slots};
use super::{Dimensions, Product};
use crate::base::error::{Result, check_integer};
use crate::base::parallel::try_map;

/// Counts the operations that both of Crockett's products take:
/// for every class, a row or column is spread over a block, and sums are put in place.
fn crockett(grid: Shape, unit: Shape, classes: usize) -> Counts {
    let (a, b, c) = (grid.rows as u64, grid.cols as u64, classes as u64);
    let (rows, cols) = (u64::from(unit.rows.ilog2()), u64::from(unit.cols.ilog2()));
    Counts {
        constants: c * (a + b),
        products: c * a * b,
        rotations: c * (b * rows + a * (cols + 1)) - a,
        conjugations: 0,
        relinearisations: 0,
    }
}

/// The product A·Bᵀ after Crockett: each row of B is spread over all rows,
/// multiplied with A and summed over the columns. It takes 3 levels.
///
/// For a' × b' blocks, HETAL (the paper) counts c·(a'b' + a') constants.
/// c·(a' + b') are enough, which is the same for the one row of blocks that its tables have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColMajor {
    packings: [Packing; 3],
    classes: usize,
}

impl ColMajor {
    /// Creates the product for matrices in these unit blocks.
    ///
    /// # Errors
    /// As [`Packing::new`].
    pub fn new(dims: Dimensions, unit: Shape) -> Result<Self> {
        let shapes = [dims.features_shape(), dims.weights_shape(), dims.logits_shape()];
        let [a, b, c] = shapes.map(|shape| Packing::new(shape, unit, Layout::Blocks));
        Ok(Self { packings: [a?, one_block(b?, true)?, one_block(c?, false)?], classes: dims.classes })
    }
}

/// Refuses classes in more than one row or column of blocks.
fn one_block(packing: Packing, rows: bool) -> Result<Packing> {
    let (shape, unit) = (packing.shape(), packing.unit());
    let (value, max) = if rows { (shape.rows, unit.rows) } else { (shape.cols, unit.cols) };
    check_integer("classes of a block", value, 1, max)?;
    Ok(packing)
}

impl Product for ColMajor {
    fn name(&self) -> &'static str {
        "ColMajor"
    }

    fn packings(&self) -> [Packing; 3] {
        self.packings
    }

    fn counts(&self, _: [usize; 2]) -> Counts {
        let grid = self.packings[0].grid();
        let counts = crockett(grid, self.packings[0].unit(), self.classes);
        Counts { relinearisations: (self.classes * grid.rows) as u64, ..counts }
    }

    fn apply<S: Slots>(&self, slots: &S, left: &[S::Vector], right: &[S::Vector]) -> Result<Vec<S::Vector>> {
        let (grid, unit) = (self.packings[0].grid(), self.packings[0].unit());
        let level = lowest(slots, right).min(lowest(slots, left) + 1);
        let right = at_level(slots, right, level)?;
        let left = at_level(slots, left, level.saturating_sub(1))?;
        let column = indicator(slots, unit, level.saturating_sub(2), |_, j| j == 0)?;
        let of_classes = try_map(0..self.classes, |k| {
            let row = indicator(slots, unit, level, |i, _| i == k)?;
            let spread = try_map(&right, |b| sum_rows(slots, unit, slots.mask(b, &row)?))?;
            try_map(left.chunks(grid.cols), |row| {
                let terms: Vec<_> = row.iter().map(|a| &**a).zip(&spread).collect();
                let class = slots.mask(&fold(slots, slots.dot(&terms)?, unit.cols, 1)?, &column)?;
                slots.rotate(&class, -(k as i64))
            })
        })?;
        let mut sums = vec![None; grid.rows];
        for rows in of_classes {
            sums.iter_mut().zip(rows).try_for_each(|(sum, row)| accumulate(slots, sum, row))?;
        }
        Ok(sums.into_iter().flatten().collect())
    }
}

/// The product Aᵀ·B after Crockett: each column of A is spread over all columns, multiplied with B
/// and summed over the rows. It takes 3 levels and as many constants as [`ColMajor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowMajor {
    packings: [Packing; 3],
    classes: usize,
}

impl RowMajor {
    /// Creates the product for matrices in these unit blocks.
    ///
    /// # Errors
    /// As [`Packing::new`].
    pub fn new(dims: Dimensions, unit: Shape) -> Result<Self> {
        let [features, weights, logits] = ColMajor::new(dims, unit)?.packings;
        Ok(Self { packings: [logits, features, weights], classes: dims.classes })
    }
}

impl Product for RowMajor {
    fn name(&self) -> &'static str {
        "RowMajor"
    }

    fn packings(&self) -> [Packing; 3] {
        self.packings
    }

    fn counts(&self, _: [usize; 2]) -> Counts {
        let grid = self.packings[1].grid();
        let counts = crockett(grid, self.packings[1].unit(), self.classes);
        Counts { relinearisations: (self.classes * grid.cols) as u64, ..counts }
    }

    fn apply<S: Slots>(&self, slots: &S, left: &[S::Vector], right: &[S::Vector]) -> Result<Vec<S::Vector>> {
        let (grid, unit) = (self.packings[1].grid(), self.packings[1].unit());
        let level = lowest(slots, left).min(lowest(slots, right) + 1);
        let left = at_level(slots, left, level)?;
        let right = at_level(slots, right, level.saturating_sub(1))?;
        let of_classes = try_map(0..self.classes, |k| {
            let column = indicator(slots, unit, level, |_, j| j == k)?;
            let row = indicator(slots, unit, level.saturating_sub(2), |i, _| i == k)?;
            // Rotations to the right that start from the first column fill a row and do not
            // leave it.
            let spread = |a: &S::Vector| {
                let first = slots.rotate(&slots.mask(a, &column)?, k as i64)?;
                fold(slots, first, unit.cols, -1)
            };
            Ok((try_map(&left, |a| spread(a))?, row))
        })?;
        try_map(0..grid.cols, |j| {
            let mut sum = None;
            for (spread, row) in &of_classes {
                let features = (j..grid.len()).step_by(grid.cols).map(|at| &*right[at]);
                let terms: Vec<_> = spread.iter().zip(features).collect();
                accumulate(slots, &mut sum, slots.mask(&sum_rows(slots, unit, slots.dot(&terms)?)?, row)?)?;
            }
            Ok(sum.expect("there is a class"))
        })
    }
}

/// Returns the packing in columns of N/2 slots.
fn columns(shape: Shape, slots: usize) -> Result<Packing> {
    Packing::new(shape, Shape::new(slots, 1), Layout::Blocks)
}

/// The product A·Bᵀ after Jin et al.: columns of A times weights that fill a ciphertext each.
/// It needs no rotations, but c·b ciphertexts of weights. It takes 1 level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JinAbt {
    packings: [Packing; 3],
}

impl JinAbt {
    /// Creates the product for this many slots.
    ///
    /// # Errors
    /// As [`Packing::new`].
    pub fn new(dims: Dimensions, slots: usize) -> Result<Self> {
        let weights = Packing::new(dims.weights_shape(), Shape::new(slots, 1), Layout::Replicated)?;
        let packings = [columns(dims.features_shape(), slots)?, weights, columns(dims.logits_shape(), slots)?];
        Ok(Self { packings })
    }
}

impl Product for JinAbt {
    fn name(&self) -> &'static str {
        "Jin ABT"
    }

    fn packings(&self) -> [Packing; 3] {
        self.packings
    }

    fn counts(&self, _: [usize; 2]) -> Counts {
        let [features, _, logits] = self.packings.map(|packing| packing.grid());
        let sums = logits.len() as u64;
        Counts { products: sums * features.cols as u64, relinearisations: sums, ..Counts::default() }
    }

    fn apply<S: Slots>(&self, slots: &S, left: &[S::Vector], right: &[S::Vector]) -> Result<Vec<S::Vector>> {
        let features = self.packings[0].grid().cols;
        let (_, left, right) = same_level(slots, left, right)?;
        let sum = |row: &[Cow<'_, S::Vector>], weights: &[Cow<'_, S::Vector>]| {
            let terms: Vec<_> = row.iter().map(|a| &**a).zip(weights.iter().map(|b| &**b)).collect();
            slots.dot(&terms)
        };
        let pairs = left.chunks(features).flat_map(|row| right.chunks(features).map(move |weights| (row, weights)));
        try_map(pairs, |(row, weights)| sum(row, weights))
    }
}

/// The product Aᵀ·B after Jin et al.: every entry is an inner product of two columns,
/// summed over all slots. It takes 1 level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JinAtb {
    packings: [Packing; 3],
}

impl JinAtb {
    /// Creates the product for this many slots.
    ///
    /// # Errors
    /// As [`Packing::new`].
    pub fn new(dims: Dimensions, slots: usize) -> Result<Self> {
        let [features, weights, logits] = JinAbt::new(dims, slots)?.packings;
        Ok(Self { packings: [logits, features, weights] })
    }
}

impl Product for JinAtb {
    fn name(&self) -> &'static str {
        "Jin ATB"
    }

    fn packings(&self) -> [Packing; 3] {
        self.packings
    }

    fn counts(&self, _: [usize; 2]) -> Counts {
        let [_, features, weights] = self.packings.map(|packing| packing.grid());
        let entries = weights.len() as u64;
        Counts {
            products: entries * features.rows as u64,
            rotations: entries * u64::from(self.packings[0].unit().rows.ilog2()),
            relinearisations: entries,
            ..Counts::default()
        }
    }

    fn apply<S: Slots>(&self, slots: &S, left: &[S::Vector], right: &[S::Vector]) -> Result<Vec<S::Vector>> {
        let [errors, features, weights] = self.packings.map(|packing| packing.grid());
        let (_, left, right) = same_level(slots, left, right)?;
        let entry = |at: usize| {
            let (class, feature) = (at / weights.cols, at % weights.cols);
            let left = left.iter().skip(class).step_by(errors.cols).map(|a| &**a);
            let right = right.iter().skip(feature).step_by(features.cols).map(|b| &**b);
            let sum = slots.dot(&left.zip(right).collect::<Vec<_>>())?;
            fold(slots, sum, self.packings[0].unit().rows, 1)
        };
        try_map(0..weights.len(), entry)
    }
}
