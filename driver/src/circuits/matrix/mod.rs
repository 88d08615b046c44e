//! Encrypted matrices: packing into unit blocks, and the two products of training a linear layer, A·Bᵀ (logits, from features and
//! weights) and Aᵀ·B (gradient, from errors and features).
//!
//! | product | what | levels |
//! |---|---|---|
//! | [`DiagAbt`], [`DiagAtb`] | HETAL's (Lee et al., [ICML 2023](https://arxiv.org/abs/2403.14111)): classes along diagonals, two in one complex slot | 3; 4 or 3 |
//! | [`SkewAbt`], [`SkewAtb`] | logits and weights skewed, features with guard columns: no class masks | 2; 1 |
//! | [`ColMajor`], [`RowMajor`] | class by class (Crockett, WAHC 2020) | 3; 3 |
//! | [`JinAbt`], [`JinAtb`] | a ciphertext for every column and every weight (Jin, Ragab and Aung, [ProvSec 2020](https://doi.org/10.1007/978-3-030-62576-4_14)) | 1; 1 |
//!
//! Every product is a [`Product`]: it names the packings of its operands and of its result, and says, before any key exists, which keys it
//! needs, the levels it takes and the operations it makes ([`Product::plan`]). Features have a rows and b columns, weights c rows and b
//! columns, logits and errors a rows and c columns: [`Dimensions`].
//!
//! # Example
//!
//! Which keys the skewed logits of 1024 rows, 769 features and 8 classes need at level 5:
//!
//! ```
//! use hetal::circuits::matrix::{Dimensions, Product, SkewAbt, skew};
//!
//! let (dims, slots) = (Dimensions::new(1024, 769, 8), 1 << 15);
//! let product = SkewAbt::new(dims, skew::best_unit(dims, slots)?)?;
//! let plan = product.plan(slots, [5, 5])?;
//! assert_eq!(plan.depth(), 2);
//! assert_eq!(plan.record.counts, product.counts([5, 5]));
//! assert_eq!(plan.record.counts.key_switches(), 96);
//! assert_eq!(plan.requests().iter().filter(|&(_, level)| level == 5).count(), 5);
//! # Ok::<(), hetal::Error>(())
//! ```

#[cfg(feature = "bench")]
mod baselines;
mod diag_abt;
mod diag_atb;
pub mod ops;
pub mod packing;
pub mod skew;
pub mod slots;

#[cfg(feature = "bench")]
pub use baselines::{ColMajor, JinAbt, JinAtb, RowMajor};
pub use diag_abt::DiagAbt;
pub use diag_atb::DiagAtb;
pub use packing::{BlockMatrix, EncryptedMatrix, Layout, PackedMatrix, Packing, Shape};
pub use skew::{SkewAbt, SkewAtb};
pub use slots::{Counts, Dry, Encrypted, Plain, PlainVector, Record, Recorded, Slots, Work};

use crate::base::error::{Error, Result};
use crate::ckks::keys::KeyRequests;

/// a, b and c.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dimensions {
    /// Rows of the features: a.
    pub rows: usize,
    /// Columns of the features and of the weights: b.
    pub features: usize,
    /// Rows of the weights and columns of the logits: c.
    pub classes: usize,
}

impl Dimensions {
    /// (a, b, c).
    #[must_use]
    pub const fn new(rows: usize, features: usize, classes: usize) -> Self {
        Self { rows, features, classes }
    }

    /// The period of tiled matrices: the classes up to a power of two, two at least since they are handled in pairs.
    #[must_use]
    pub fn period(self) -> usize {
        self.classes.next_power_of_two().max(2)
    }

    /// The period, if so many slots hold it in both directions.
    fn square_period(self, slots: usize) -> Result<usize> {
        if !slots.is_power_of_two() {
            return Err(Error::Slots { slots, max: usize::MAX / 2 + 1 });
        }
        let (most, classes) = (1 << (slots.ilog2() / 2), self.classes);
        // Two are handled in pairs, whatever there is.
        if classes > most || most < 2 {
            let (what, place) = ("classes in both directions", format!("a unit block of {slots} slots"));
            let advice = "use fewer classes or a larger ring";
            return Err(Error::TooMany { what, found: classes, place, most, advice });
        }
        Ok(self.period())
    }

    /// HETAL's unit block for this many slots: all rows of the features in one block if the classes leave room for them.
    ///
    /// # Errors
    /// [`Error::Slots`] if the slots are not a power of two, [`Error::TooMany`] if they do not hold the classes in both directions.
    pub fn unit(self, slots: usize) -> Result<Shape> {
        let period = self.square_period(slots)?;
        let rows = self.rows.next_power_of_two().max(period).min(slots / period);
        Ok(Shape::new(rows, slots / rows))
    }

    /// a × b.
    #[must_use]
    pub const fn features_shape(self) -> Shape {
        Shape::new(self.rows, self.features)
    }

    /// c × b.
    #[must_use]
    pub const fn weights_shape(self) -> Shape {
        Shape::new(self.classes, self.features)
    }

    /// a × c.
    #[must_use]
    pub const fn logits_shape(self) -> Shape {
        Shape::new(self.rows, self.classes)
    }
}

/// What a product will do for operands at certain levels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductPlan {
    /// Operations, adjustments and keys, from going through the product without ciphertexts.
    pub record: Record,
    /// The levels of the operands.
    pub levels: [usize; 2],
    /// The level of the result.
    pub level: usize,
}

impl ProductPlan {
    /// Levels from the lower one of the operands to the result.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.levels[0].min(self.levels[1]) - self.level
    }

    /// The keys that are needed, with their levels.
    #[must_use]
    pub const fn requests(&self) -> &KeyRequests {
        &self.record.requests
    }
}

/// A product of two matrices in unit blocks.
pub trait Product {
    /// Its name, for tables.
    fn name(&self) -> &'static str;

    /// Packings of the two operands and of the result.
    fn packings(&self) -> [Packing; 3];

    /// The operations that it makes for operands at these levels, from formulas. They count on levels enough.
    fn counts(&self, levels: [usize; 2]) -> Counts;

    /// The product of blocks, grids by rows.
    ///
    /// # Errors
    /// Those of [`Slots`]: missing keys, levels that are used up.
    fn apply<S: Slots>(&self, slots: &S, left: &[S::Vector], right: &[S::Vector]) -> Result<Vec<S::Vector>>;

    /// The product of two matrices. Operands at different levels are brought to one, each block by a product with a number: do that
    /// once, beforehand, for a matrix that is used many times.
    ///
    /// # Errors
    /// [`Error::Malformed`] if an operand has another packing, [`Error::Slots`] if a unit block has not the slots there are, and those
    /// of [`Product::apply`].
    fn evaluate<S: Slots>(
        &self,
        slots: &S,
        left: &BlockMatrix<S::Vector>,
        right: &BlockMatrix<S::Vector>,
    ) -> Result<BlockMatrix<S::Vector>> {
        let [left_packing, right_packing, result] = self.packings();
        for (operand, wanted) in [(left, left_packing), (right, right_packing)] {
            if *operand.packing() != wanted {
                let (found, wanted) = (format!("{:?}", operand.packing()), format!("{wanted:?}"));
                return Err(Error::malformed("operand of a matrix product", "packing", found, wanted));
            }
        }
        self.check_slots(slots.slots())?;
        BlockMatrix::new(result, self.apply(slots, left.blocks(), right.blocks())?)
    }

    /// What it will do with this many slots for operands at these levels.
    ///
    /// # Errors
    /// [`Error::Slots`], [`Error::NoLevelsLeft`].
    fn plan(&self, slots: usize, levels: [usize; 2]) -> Result<ProductPlan> {
        self.check_slots(slots)?;
        let [left, right, _] = self.packings();
        let recorded = Recorded::new(Dry { slots });
        let (left, right) = (vec![levels[0]; left.grid().len()], vec![levels[1]; right.grid().len()]);
        let blocks = self.apply(&recorded, &left, &right)?;
        let level = blocks.into_iter().min().expect("a matrix has a block");
        Ok(ProductPlan { record: recorded.record(), levels, level })
    }

    /// Refuses another number of slots than a unit block has.
    ///
    /// # Errors
    /// [`Error::Slots`].
    fn check_slots(&self, slots: usize) -> Result<()> {
        let max = self.packings()[0].unit().len();
        if slots == max { Ok(()) } else { Err(Error::Slots { slots, max }) }
    }
}
