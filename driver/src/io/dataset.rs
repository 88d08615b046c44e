//! Data sets: rows of features with labels.

/// Rows of features, each with a class.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Values by rows.
    pub features: Vec<f32>,
    /// Features of a row, without a bias.
    pub columns: usize,
    /// The class of every row, from 0.
    pub labels: Vec<u32>,
}

impl Split {
    /// The number of rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.labels.len()
    }

    /// The features of a row.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn row(&self, i: usize) -> &[f32] {
        &self.features[i * self.columns..(i + 1) * self.columns]
    }
}

/// What one folder holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// To train on.
    pub train: Split,
    /// To decide when to stop.
    pub val: Option<Split>,
    /// To measure the result.
    pub test: Option<Split>,
    /// The number of classes: one more than the largest label.
    pub classes: usize,
}
