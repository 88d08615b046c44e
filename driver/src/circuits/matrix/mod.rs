//! Encrypted matrices: packing into unit blocks, and the two products of training a linear layer.
//! A·Bᵀ computes logits from features and weights, and Aᵀ·B the gradient from errors and features.
//!
//! | product | method | levels |
//! |---|---|---|
//! | [`DiagAbt`], [`DiagAtb`] | HETAL (the paper; Lee et al., [ICML 2023](https://arxiv.org/abs/2403.14111)): classes along diagonals, two in one complex slot | 3; 4 or 3 |
//! | [`SkewAbt`], [`SkewAtb`] | logits and weights skewed, features with guard columns: no class masks | 2; 1 |
//! | [`ColMajor`], [`RowMajor`] | class by class (Crockett, WAHC 2020) | 3; 3 |
//! | [`JinAbt`], [`JinAtb`] | a ciphertext for every column and every weight (Jin, Ragab and Aung, [ProvSec 2020](https://doi.org/10.1007/978-3-030-62576-4_14)) | 1; 1 |
//!
//! Every product is a [`Product`]. It names the packings of its operands and of its result.
//! Before any key exists, [`Product::plan`] tells which keys it needs,
//! how many levels it takes and which operations it performs. Features have a rows and b columns,
//! weights c rows and b columns, logits and errors a rows and c columns: see [`Dimensions`].
//!
//! # Example
//!
//! The keys that the skewed logits of 1024 rows, 769 features and 8 classes need at level 5:
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

/// The dimensions a, b and c of the matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dimensions {
    /// The number a of rows of the features.
    pub rows: usize,
    /// The number b of columns of the features and of the weights.
    pub features: usize,
    /// The number c of rows of the weights and of columns of the logits.
    pub classes: usize,
}

impl Dimensions {
    /// Creates the dimensions (a, b, c).
    #[must_use]
    pub const fn new(rows: usize, features: usize, classes: usize) -> Self {
        Self { rows, features, classes }
    }

    /// The period of tiled matrices: the number of classes rounded up to a power of two.
    /// It is at least two, because classes are handled in pairs.
    #[must_use]
    pub fn period(self) -> usize {
        self.classes.next_power_of_two().max(2)
    }

    /// Returns the period if this many slots hold it in both directions.
    fn square_period(self, slots: usize) -> Result<usize> {
        if !slots.is_power_of_two() {
            return Err(Error::Slots { slots, max: usize::MAX / 2 + 1 });
        }
        let (most, classes) = (1 << (slots.ilog2() / 2), self.classes);
        // At least two classes have to fit, because classes are handled in pairs.
        if classes > most || most < 2 {
            let (what, place) = ("classes in both directions", format!("a unit block of {slots} slots"));
            let advice = "use fewer classes or a larger ring";
            return Err(Error::TooMany { what, found: classes, place, most, advice });
        }
        Ok(self.period())
    }

    /// Returns the unit block of HETAL (the paper) for this many slots:
    /// one block holds all rows of the features if the classes leave room for them.
    ///
    /// # Errors
    /// [`Error::Slots`] if the number of slots is not a power of two,
    /// [`Error::TooMany`] if they do not hold the classes in both directions.
    pub fn unit(self, slots: usize) -> Result<Shape> {
        let period = self.square_period(slots)?;
        let rows = self.rows.next_power_of_two().max(period).min(slots / period);
        Ok(Shape::new(rows, slots / rows))
    }

    /// The shape a × b of the features.
    #[must_use]
    pub const fn features_shape(self) -> Shape {
        Shape::new(self.rows, self.features)
    }

    /// The shape c × b of the weights.
    #[must_use]
    pub const fn weights_shape(self) -> Shape {
        Shape::new(self.classes, self.features)
    }

    /// The shape a × c of the logits.
    #[must_use]
    pub const fn logits_shape(self) -> Shape {
        Shape::new(self.rows, self.classes)
    }
}

/// The steps of a product for operands at given levels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductPlan {
    /// The operations, adjustments and keys, recorded by running the product without ciphertexts.
    pub record: Record,
    /// The levels of the operands.
    pub levels: [usize; 2],
    /// The level of the result.
    pub level: usize,
}

impl ProductPlan {
    /// The number of levels from the lower operand to the result.
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
    /// The name, for tables.
    fn name(&self) -> &'static str;

    /// The packings of the two operands and of the result.
    fn packings(&self) -> [Packing; 3];

    /// Computes from formulas the number of operations that the product performs for operands at
    /// these levels. The formulas assume that there are enough levels.
    fn counts(&self, levels: [usize; 2]) -> Counts;

    /// Computes the product of blocks, with the grids stored by rows.
    ///
    /// # Errors
    /// Those of [`Slots`]: missing keys, or levels that are used up.
    fn apply<S: Slots>(&self, slots: &S, left: &[S::Vector], right: &[S::Vector]) -> Result<Vec<S::Vector>>;

    /// Computes the product of two matrices. Operands at different levels are brought to one,
    /// which takes a product with a number for each block.
    /// If a matrix is used many times, do that once beforehand.
    ///
    /// # Errors
    /// [`Error::Malformed`] if an operand has another packing, [`Error::Slots`] if a unit block
    /// does not have this number of slots, and those of [`Product::apply`].
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

    /// Plans the product with this many slots for operands at these levels.
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

    /// Refuses a number of slots that is not that of a unit block.
    ///
    /// # Errors
    /// [`Error::Slots`].
    fn check_slots(&self, slots: usize) -> Result<()> {
        let max = self.packings()[0].unit().len();
        if slots == max { Ok(()) } else { Err(Error::Slots { slots, max }) }
    }
}
