//! The positions of the classes of a row in the slots.

use crate::base::error::{Error, Result, check_integer, check_power_of_two};

/// The positions of the entries of a matrix of logits in the slots.
///
/// | layout | class j of row i | a sum over classes |
/// |---|---|---|
/// | [`strided`](Layout::strided) | ⌊i/s⌋·s·c' + j·s + (i mod s), for c' classes with padding and the largest stride s | needs no level, because rotations are cyclic |
/// | [`new`](Layout::new) | the same with any stride (1: the classes of a row are adjacent) | takes a level, for a mask |
/// | [`spaced`](Layout::spaced), [`skewed`](Layout::skewed), rows at least 3c' − 2 slots apart | i·spacing + j; as [`crate::circuits::matrix::skew`] leaves them | needs no level, because it is taken from both sides |
/// | the same, with rows closer together | the same | takes a level, for a mask |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    slots: usize,
    rows: usize,
    classes: usize,
    arrangement: Arrangement,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrangement {
    /// The distance of neighbouring classes, in slots.
    Strided(usize),
    /// The distance of neighbouring rows, in slots.
    Spaced(usize),
    /// The slots form a unit block of `unit_rows` × `cols`.
    /// In each of its rows, the c' classes of another row of logits begin every `spacing` slots,
    /// starting with the class that has the number of the row modulo c'.
    Skewed { unit_rows: usize, cols: usize, spacing: usize },
}

/// The way in which the classes of a row are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sums {
    /// Rotations are cyclic within rows.
    Cyclic,
    /// The sums to the left and to the right are added.
    /// There are so many zeros between rows that no slot sees two of them.
    TwoSided,
    /// The first class has the sum, and the others copy it from there.
    Masked,
}

impl Layout {
    /// Creates a layout with a given stride for `rows` rows of `classes` classes.
    ///
    /// # Errors
    /// [`Error::Range`] for fewer than two classes, no rows or more than fit, or a stride
    /// that is too large; [`Error::PowerOfTwo`] for a stride that is not a power of two;
    /// [`Error::Slots`] if the number of slots is not a power of two.
    pub fn new(slots: usize, rows: usize, classes: usize, stride: usize) -> Result<Self> {
        let most = Self::most_rows(slots, classes)?;
        check_integer("rows", rows, 1, most)?;
        check_integer("stride", stride, 1, most)?;
        check_power_of_two("stride", stride)?;
        Ok(Self { slots, rows, classes, arrangement: Arrangement::Strided(stride) })
    }

    /// Creates a layout with the largest stride, for which sums need no mask.
    ///
    /// # Errors
    /// As [`Layout::new`].
    pub fn strided(slots: usize, rows: usize, classes: usize) -> Result<Self> {
        Self::new(slots, rows, classes, Self::most_rows(slots, classes)?)
    }

    /// Creates a layout for the logits of [`crate::circuits::matrix::SkewAbt`].
    /// Row i of the b-th block of `unit_rows` rows has class (i + t) mod c' in slot
    /// i·s1 + b·`spacing` + t, where s1 = slots/`unit_rows` and t < c'.
    ///
    /// # Errors
    /// As [`Layout::new`]; [`Error::PowerOfTwo`] for sides and spacings that are not powers of two,
    /// [`Error::Range`] if the spacing is less than c' or more than s1.
    pub fn skewed(slots: usize, rows: usize, classes: usize, unit_rows: usize, spacing: usize) -> Result<Self> {
        Self::most_rows(slots, classes)?;
        check_integer("rows of a unit block", unit_rows, 1, slots)?;
        check_power_of_two("rows of a unit block", unit_rows)?;
        let cols = slots / unit_rows;
        Self::check_spacing(slots, rows, classes, spacing, cols)?;
        Ok(Self { slots, rows, classes, arrangement: Arrangement::Skewed { unit_rows, cols, spacing } })
    }

    /// Creates a layout with class j of row i in slot i·`spacing` + j.
    ///
    /// # Errors
    /// As [`Layout::new`]; [`Error::PowerOfTwo`] for a spacing that is not a power of two,
    /// [`Error::Range`] if it is less than c'.
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

    /// The number of rows, without padding.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// The number of classes, without padding.
    #[must_use]
    pub const fn classes(&self) -> usize {
        self.classes
    }

    /// The number of classes with padding, which is a power of two.
    #[must_use]
    pub const fn padded_classes(&self) -> usize {
        self.classes.next_power_of_two()
    }

    /// The distance of neighbouring classes, in slots.
    #[must_use]
    pub const fn stride(&self) -> usize {
        match self.arrangement {
            Arrangement::Strided(stride) => stride,
            Arrangement::Spaced(_) | Arrangement::Skewed { .. } => 1,
        }
    }

    pub(super) const fn sums(&self) -> Sums {
        let classes = self.padded_classes();
        match self.arrangement {
            Arrangement::Strided(stride) if stride * classes == self.slots => Sums::Cyclic,
            // The 2c' − 2 slots between two rows leave room for c' − 1 slots of the sums
            // of either row.
            Arrangement::Spaced(spacing) | Arrangement::Skewed { spacing, .. } if spacing >= 3 * classes - 2 => {
                Sums::TwoSided
            }
            _ => Sums::Masked,
        }
    }

    /// Tells whether rotations by classes are cyclic within rows.
    #[must_use]
    pub fn is_cyclic(&self) -> bool {
        self.sums() == Sums::Cyclic
    }

    /// Returns the slot of an entry.
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

    /// Returns the values of all slots from a function of row and class,
    /// with `padding` in slots that hold no entry.
    #[must_use]
    pub fn fill(&self, value: impl Fn(usize, usize) -> f64, padding: f64) -> Vec<f64> {
        let mut slots = vec![padding; self.slots];
        for row in 0..self.rows {
            (0..self.classes).for_each(|class| slots[self.slot(row, class)] = value(row, class));
        }
        slots
    }

    /// Returns slots with `value` in padded rows, and 0 in all classes of the other rows.
    #[must_use]
    pub fn padded_rows(&self, value: f64) -> Vec<f64> {
        let mut slots = vec![value; self.slots];
        for row in 0..self.rows {
            (0..self.padded_classes()).for_each(|class| slots[self.slot(row, class)] = 0.0);
        }
        slots
    }

    /// Returns 1 in the first slot of every row, including places of rows that are not used,
    /// and 0 elsewhere.
    pub(super) fn first_classes(&self) -> Vec<f64> {
        let is_first = |slot: usize| match self.arrangement {
            Arrangement::Strided(stride) => (slot / stride).is_multiple_of(self.padded_classes()),
            Arrangement::Spaced(spacing) | Arrangement::Skewed { spacing, .. } => slot.is_multiple_of(spacing),
        };
        (0..self.slots).map(|slot| f64::from(u8::from(is_first(slot)))).collect()
    }
}
