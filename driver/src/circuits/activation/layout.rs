//! Where the classes of a row are in the slots.

use crate::base::error::{Error, Result, check_integer, check_power_of_two};

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
pub(super) enum Sums {
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

    pub(super) const fn sums(&self) -> Sums {
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
    pub(super) fn first_classes(&self) -> Vec<f64> {
        let is_first = |slot: usize| match self.arrangement {
            Arrangement::Strided(stride) => (slot / stride).is_multiple_of(self.padded_classes()),
            Arrangement::Spaced(spacing) | Arrangement::Skewed { spacing, .. } => slot.is_multiple_of(spacing),
        };
        (0..self.slots).map(|slot| f64::from(u8::from(is_first(slot)))).collect()
    }
}
