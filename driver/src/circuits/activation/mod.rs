//! Softmax of the rows of an encrypted matrix, in several variants, each with one code path for ciphertexts and for plain numbers.
//!
//! | module | what |
//! |---|---|
//! | [`plain`], [`encrypted`], [`plan`] | the three things that a variant runs on: numbers, ciphertexts, levels |
//! | [`normalise_square`] | normalise and square |
//! | [`published`] | HETAL's: maximum, domain extension, exponential, Goldschmidt's inverse |
//! | [`rivals`] | three more to compare with |
//! | [`table`] | errors, depths and bootstraps side by side |
//!
//! A variant is written once, against [`Vectors`]. Run on levels ([`SoftmaxPlan::new`]) it tells its depth, where to bootstrap and
//! which keys it needs, before any key exists; on plain numbers, its error; on ciphertexts it does the same steps.
//!
//! **Padding.** Classes are padded to a power of two, rows to the number of slots. Padding contributes exactly nothing: the input is multiplied by
//! a mask in the product that scales it, so that what a polynomial makes of padding is known, and is subtracted.
//!
//! **Range.** Every variant is made for logits within a range. Beyond it results are wrong without a sign of it: check what the client decrypts.

pub mod encrypted;
pub mod normalise_square;
pub mod plain;
pub mod plan;
pub mod published;
pub mod rivals;
pub mod table;

pub use encrypted::Encrypted;
pub use normalise_square::{NormaliseSquare, NormaliseSquareConfig};
pub use plain::Plain;
pub use plan::SoftmaxPlan;
pub use published::{Paper, PaperConfig};
use rivals::{Gumbel, Hong, PrivGd};

use crate::base::error::{Error, Result, check_count, check_integer, check_power_of_two};
use crate::circuits::Chebyshev;

/// Where the entries of a matrix of logits are.
///
/// | layout | class j of row i | a sum over classes |
/// |---|---|---|
/// | [`strided`](Layout::strided) | ⌊i/s⌋·s·c' + j·s + (i mod s), for c' classes with padding and the largest stride s | rotations are cyclic: no level |
/// | [`new`](Layout::new) | the same with any stride (1: rows in one piece) | takes a level, for a mask |
/// | [`spaced`](Layout::spaced), [`skewed`](Layout::skewed), rows at least 3c' − 2 slots apart | i·spacing + j; as [`crate::circuits::matrix::skew`] leaves them | from both sides: no level |
/// | the same, less apart | | takes a level, for a mask |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    slots: usize,
    rows: usize,
    classes: usize,
    arrangement: Arrangement,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrangement {
    /// Slots from one class to the next.
    Strided(usize),
    /// Slots from one row to the next.
    Spaced(usize),
    /// In each row of `cols` slots of the unit block `unit_rows` × `cols`, every `spacing` slots c' classes of another row, from that of the row's
    /// number on.
    Skewed { unit_rows: usize, cols: usize, spacing: usize },
}

/// How the classes of a row are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sums {
    /// Rotations are cyclic within rows.
    Cyclic,
    /// What is to the left and what is to the right: there are so many zeros between rows that no slot sees two of them.
    TwoSided,
    /// The first class has the sum, the others get it from there.
    Masked,
}

impl Layout {
    /// For `rows` rows of `classes` classes.
    ///
    /// # Errors
    /// [`Error::Range`] for fewer than two classes, no rows or more than fit, or a stride that is too large; [`Error::PowerOfTwo`] for another stride;
    /// [`Error::Slots`] if the slots are not a power of two.
    pub fn new(slots: usize, rows: usize, classes: usize, stride: usize) -> Result<Self> {
        let most = Self::most_rows(slots, classes)?;
        check_integer("rows", rows, 1, most)?;
        check_integer("stride", stride, 1, most)?;
        check_power_of_two("stride", stride)?;
        Ok(Self { slots, rows, classes, arrangement: Arrangement::Strided(stride) })
    }

    /// With the largest stride: sums without masks.
    ///
    /// # Errors
    /// As [`Layout::new`].
    pub fn strided(slots: usize, rows: usize, classes: usize) -> Result<Self> {
        Self::new(slots, rows, classes, Self::most_rows(slots, classes)?)
    }

    /// For logits of [`crate::circuits::matrix::SkewAbt`]: row i of the b-th block of `unit_rows` rows has class (i + t) mod c' in slot i·s1 + b·`spacing` + t, for
    /// s1 = slots/`unit_rows` and t < c'.
    ///
    /// # Errors
    /// As [`Layout::new`]; [`Error::PowerOfTwo`] for sides and spacings that are none, [`Error::Range`] if the spacing is less than c' or more than s1.
    pub fn skewed(slots: usize, rows: usize, classes: usize, unit_rows: usize, spacing: usize) -> Result<Self> {
        Self::most_rows(slots, classes)?;
        check_integer("rows of a unit block", unit_rows, 1, slots)?;
        check_power_of_two("rows of a unit block", unit_rows)?;
        let cols = slots / unit_rows;
        Self::check_spacing(slots, rows, classes, spacing, cols)?;
        Ok(Self { slots, rows, classes, arrangement: Arrangement::Skewed { unit_rows, cols, spacing } })
    }

    /// Class j of row i in slot i·`spacing` + j.
    ///
    /// # Errors
    /// As [`Layout::new`]; [`Error::PowerOfTwo`] for a spacing that is none, [`Error::Range`] if it is less than c'.
    pub fn spaced(slots: usize, rows: usize, classes: usize, spacing: usize) -> Result<Self> {
        Self::most_rows(slots, classes)?;
        Self::check_spacing(slots, rows, classes, spacing, slots)?;
        Ok(Self { slots, rows, classes, arrangement: Arrangement::Spaced(spacing) })
    }

    fn check_spacing(slots: usize, rows: usize, classes: usize, spacing: usize, most: usize) -> Result<()> {
        check_integer("spacing of rows", spacing, classes.next_power_of_two(), most)?;
        check_power_of_two("spacing of rows", spacing)?;
        check_integer("rows", rows, 1, slots / spacing)
    }

    fn most_rows(slots: usize, classes: usize) -> Result<usize> {
        if !slots.is_power_of_two() {
            return Err(Error::Slots { slots, max: usize::MAX / 2 + 1 });
        }
        check_integer("classes", classes, 2, slots)?;
        Ok(slots / classes.next_power_of_two())
    }

    /// The number of slots.
    #[must_use]
    pub const fn slots(&self) -> usize {
        self.slots
    }

    /// Rows, without padding.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Classes, without padding.
    #[must_use]
    pub const fn classes(&self) -> usize {
        self.classes
    }

    /// Classes with padding: a power of two.
    #[must_use]
    pub const fn padded_classes(&self) -> usize {
        self.classes.next_power_of_two()
    }

    /// Slots from one class to the next.
    #[must_use]
    pub const fn stride(&self) -> usize {
        match self.arrangement {
            Arrangement::Strided(stride) => stride,
            Arrangement::Spaced(_) | Arrangement::Skewed { .. } => 1,
        }
    }

    const fn sums(&self) -> Sums {
        let classes = self.padded_classes();
        match self.arrangement {
            Arrangement::Strided(stride) if stride * classes == self.slots => Sums::Cyclic,
            // Two rows whose ends are 2c' − 2 slots apart: c' − 1 to either side of what is between them.
            Arrangement::Spaced(spacing) | Arrangement::Skewed { spacing, .. } if spacing >= 3 * classes - 2 => {
                Sums::TwoSided
            }
            _ => Sums::Masked,
        }
    }

    /// Whether rotations by classes are cyclic within rows.
    #[must_use]
    pub fn is_cyclic(&self) -> bool {
        self.sums() == Sums::Cyclic
    }

    /// The slot of an entry.
    #[must_use]
    pub const fn slot(&self, row: usize, class: usize) -> usize {
        let classes = self.padded_classes();
        match self.arrangement {
            Arrangement::Strided(stride) => (row / stride * classes + class) * stride + row % stride,
            Arrangement::Spaced(spacing) => row * spacing + class,
            Arrangement::Skewed { unit_rows, cols, spacing } => {
                let i = row % unit_rows;
                i * cols + row / unit_rows * spacing + (class + classes - i % classes) % classes
            }
        }
    }

    /// Values of all slots from those of row and class; `padding` where there is none.
    #[must_use]
    pub fn fill(&self, value: impl Fn(usize, usize) -> f64, padding: f64) -> Vec<f64> {
        let mut slots = vec![padding; self.slots];
        for row in 0..self.rows {
            (0..self.classes).for_each(|class| slots[self.slot(row, class)] = value(row, class));
        }
        slots
    }

    /// A value in padded rows, 0 in all classes of the others.
    #[must_use]
    pub fn padded_rows(&self, value: f64) -> Vec<f64> {
        let mut slots = vec![value; self.slots];
        for row in 0..self.rows {
            (0..self.padded_classes()).for_each(|class| slots[self.slot(row, class)] = 0.0);
        }
        slots
    }

    /// 1 in the first slot of every row, or place for one.
    fn first_classes(&self) -> Vec<f64> {
        let is_first = |slot: usize| match self.arrangement {
            Arrangement::Strided(stride) => (slot / stride).is_multiple_of(self.padded_classes()),
            Arrangement::Spaced(spacing) | Arrangement::Skewed { spacing, .. } => slot.is_multiple_of(spacing),
        };
        (0..self.slots).map(|slot| f64::from(u8::from(is_first(slot)))).collect()
    }
}

/// What a softmax runs on.
pub trait Vectors {
    /// A matrix, row by row in slots.
    type Vector: Clone;

    /// Where its entries are.
    fn layout(&self) -> &Layout;

    /// a + b.
    ///
    /// # Errors
    /// Those of the evaluator: here and below.
    fn add(&self, a: &Self::Vector, b: &Self::Vector) -> Result<Self::Vector>;

    /// a − b.
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn sub(&self, a: &Self::Vector, b: &Self::Vector) -> Result<Self::Vector>;

    /// a·b, entry by entry: one level.
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn mul(&self, a: &Self::Vector, b: &Self::Vector) -> Result<Self::Vector>;

    /// a times one constant for every slot: one level.
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn mul_slots(&self, a: &Self::Vector, constants: &[f64]) -> Result<Self::Vector>;

    /// a plus one constant for every slot.
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn add_slots(&self, a: &Self::Vector, constants: &[f64]) -> Result<Self::Vector>;

    /// p(a): ⌈log2(degree + 1)⌉ levels, and one more for an interval other than [−1, 1].
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn polynomial(&self, a: &Self::Vector, p: &Chebyshev) -> Result<Self::Vector>;

    /// Slots rotated by k classes to the left; with a cyclic layout, within rows.
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn rotate(&self, a: &Self::Vector, k: i64) -> Result<Self::Vector>;

    /// a plus a rotated by k classes, as [`Vectors::rotate`].
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn rotate_sum(&self, a: &Self::Vector, k: i64) -> Result<Self::Vector> {
        self.add(a, &self.rotate(a, k)?)
    }

    /// A place where all that is still needed may be bootstrapped, each with a bound on its magnitude: taken if the plan says so, but
    /// for what has the output level of the bootstrapping, or a higher one. Up to the next such place all consume the same levels as if they came from one
    /// level.
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn checkpoint(&self, live: &mut [(&mut Self::Vector, f64)]) -> Result<()> {
        self.checkpoint_amplified(live, 0)
    }

    /// The same with 2^`log_gain` times less noise, for the error of the sine of entries up to 2^`log_gain` times the bound
    /// ([`Bootstrap::bootstrap_bounded`](crate::circuits::Bootstrap::bootstrap_bounded)).
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn checkpoint_amplified(&self, live: &mut [(&mut Self::Vector, f64)], log_gain: u32) -> Result<()>;

    /// What the first class of every row has, in all its classes: takes a level, for the mask, unless the layout is cyclic, where all
    /// classes are taken to be equal.
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn broadcast(&self, a: &Self::Vector) -> Result<Self::Vector> {
        if self.layout().is_cyclic() {
            return Ok(a.clone());
        }
        self.fold(self.mul_slots(a, &self.layout().first_classes())?, -1)
    }

    /// The sum of as many classes as there are, padding included, from every slot on, to the left (1) or to the right (−1).
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn fold(&self, mut a: Self::Vector, direction: i64) -> Result<Self::Vector> {
        for k in powers(self.layout().padded_classes()) {
            a = self.rotate_sum(&a, direction * k)?;
        }
        Ok(a)
    }

    /// The sum of every row, padding included, in all its classes. Between rows of a skewed layout it is a part of the sum of one row.
    ///
    /// # Errors
    /// As [`Vectors::add`].
    fn row_sum(&self, a: &Self::Vector) -> Result<Self::Vector> {
        let left = self.fold(a.clone(), 1)?;
        match self.layout().sums() {
            Sums::Cyclic => Ok(left),
            Sums::TwoSided => self.sub(&self.add(&left, &self.fold(a.clone(), -1)?)?, a),
            Sums::Masked => self.broadcast(&left),
        }
    }
}

/// 1, 2, 4, … below n.
fn powers(n: usize) -> impl Iterator<Item = i64> {
    (0..n.ilog2()).map(|i| 1i64 << i)
}

/// A way to compute softmax.
pub trait Softmax {
    /// Its name.
    fn name(&self) -> String;

    /// The softmax of every row; zero where there is padding.
    ///
    /// # Errors
    /// Those of the evaluator; [`Error::Count`] for another number of classes than it was made for.
    fn run<E: Vectors>(&self, vectors: &E, x: E::Vector) -> Result<E::Vector>;
}

/// A variant that is chosen at run time.
#[derive(Clone, Debug)]
pub enum Variant {
    /// Ours.
    Ours(NormaliseSquare),
    /// HETAL's.
    Paper(Paper),
    /// Hong et al.
    Hong(Hong),
    /// Jin et al.
    PrivGd(PrivGd),
    /// Lee et al.
    Gumbel(Gumbel),
}

impl Variant {
    /// All of the [`table`] for one number of classes and one range: ours made for the range, the paper's two, as published, with the parameters of R = 128,
    /// and those rivals that are defined on the range.
    ///
    /// # Errors
    /// Those of the variants: none for the classes and ranges of the table.
    pub fn all(classes: usize, range: f64) -> Result<Vec<Self>> {
        let paper = |precise| Paper::new(PaperConfig { classes, range: 128.0, precise, scaled: false });
        let ours = NormaliseSquare::new(NormaliseSquareConfig::new(classes, range))?;
        let rivals = [
            Hong::new(classes, range).map(Self::Hong),
            PrivGd::new(classes, range).map(Self::PrivGd),
            Gumbel::new(classes, range).map(Self::Gumbel),
        ];
        let mut all = vec![Self::Ours(ours), Self::Paper(paper(false)?), Self::Paper(paper(true)?)];
        for rival in rivals {
            match rival {
                Ok(rival) => all.push(rival),
                Err(Error::Range { what: "range", .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }
}

impl Softmax for Variant {
    fn name(&self) -> String {
        match self {
            Self::Ours(variant) => variant.name(),
            Self::Paper(variant) => variant.name(),
            Self::Hong(variant) => variant.name(),
            Self::PrivGd(variant) => variant.name(),
            Self::Gumbel(variant) => variant.name(),
        }
    }

    fn run<E: Vectors>(&self, vectors: &E, x: E::Vector) -> Result<E::Vector> {
        match self {
            Self::Ours(variant) => variant.run(vectors, x),
            Self::Paper(variant) => variant.run(vectors, x),
            Self::Hong(variant) => variant.run(vectors, x),
            Self::PrivGd(variant) => variant.run(vectors, x),
            Self::Gumbel(variant) => variant.run(vectors, x),
        }
    }
}

/// Exact softmax of a row.
#[must_use]
pub fn exact(row: &[f64]) -> Vec<f64> {
    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = row.iter().map(|x| (x - top).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|x| x / sum).collect()
}

/// The bound for a bootstrapping of entries up to `bound`, amplified by 2^`log_gain`: not below 2⁻⁸, where rounding after the bootstrapping is what
/// remains.
fn log_bound(bound: f64, log_gain: u32) -> i32 {
    (bound.log2().ceil() as i32).saturating_sub(log_gain as i32).max(-8)
}

fn check_classes<E: Vectors>(vectors: &E, wanted: usize) -> Result<()> {
    check_count("classes", vectors.layout().classes(), wanted)
}
