//! Errors, depths and bootstraps of the variants, side by side.
//!
//! The table of HETAL (the paper) takes its samples for a range from that
//! range and all smaller ones of [`RANGES`]. Its means are therefore the means of those given here,
//! and its maxima are the largest of those given here, over more samples.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde::Serialize;

use super::plan::{Refresh, depth_and_bootstraps};
use super::rivals::{Gumbel, Hong, PrivGd};
use super::{
    Layout, NormaliseSquare, NormaliseSquareConfig, Plain, Published, PublishedConfig, Softmax, Variant, Vectors, exact,
};
use crate::base::error::{Error, Result};

/// The numbers of classes of the table.
pub const CLASSES: [usize; 4] = [3, 5, 7, 10];
/// The ranges of the table.
pub const RANGES: [f64; 4] = [4.0, 8.0, 32.0, 128.0];

/// One variant for one number of classes on one range.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The variant.
    pub variant: String,
    /// The number of classes.
    pub classes: usize,
    /// The range R: logits are uniform in [−R, R].
    pub range: f64,
    /// The largest error of an entry.
    pub max_error: f64,
    /// The mean over rows of the largest error in the row.
    pub mean_error: f64,
    /// The number of levels.
    pub depth: usize,
    /// The number of bootstraps of one ciphertext, from 17 levels to 3 and back.
    pub bootstraps: usize,
}

/// A softmax of the table.
#[derive(Clone, Debug)]
pub enum Compared {
    /// A softmax that can be trained with.
    Variant(Variant),
    /// The softmax of Hong et al.
    Hong(Hong),
    /// PrivGD, the softmax of Jin et al.
    PrivGd(PrivGd),
    /// The Gumbel softmax of Lee et al.
    Gumbel(Gumbel),
}

impl Compared {
    /// Returns all for one number of classes and one range: hetal's normalise and square, made for
    /// the range; the two variants of HETAL (the paper) as published, with the parameters of
    /// R = 128; and those rivals that are defined on the range.
    ///
    /// # Errors
    /// Those of the variants; there are none for the classes and ranges of the table.
    pub fn all(classes: usize, range: f64) -> Result<Vec<Self>> {
        let paper = |precise| Published::new(PublishedConfig { classes, range: 128.0, precise, scaled: false });
        let ours = NormaliseSquare::new(NormaliseSquareConfig::new(classes, range))?;
        let variants =
            [Variant::NormaliseSquare(ours), Variant::Published(paper(false)?), Variant::Published(paper(true)?)];
        let rivals = [
            Hong::new(classes, range).map(Self::Hong),
            PrivGd::new(classes, range).map(Self::PrivGd),
            Gumbel::new(classes, range).map(Self::Gumbel),
        ];
        let mut all = variants.map(Self::Variant).to_vec();
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

impl Softmax for Compared {
    fn name(&self) -> String {
        match self {
            Self::Variant(variant) => variant.name(),
            Self::Hong(variant) => variant.name(),
            Self::PrivGd(variant) => variant.name(),
            Self::Gumbel(variant) => variant.name(),
        }
    }

    fn run<E: Vectors>(&self, vectors: &E, x: E::Vector) -> Result<E::Vector> {
        match self {
            Self::Variant(variant) => variant.run(vectors, x),
            Self::Hong(variant) => variant.run(vectors, x),
            Self::PrivGd(variant) => variant.run(vectors, x),
            Self::Gumbel(variant) => variant.run(vectors, x),
        }
    }
}

/// The levels of the bootstrapping of the presets.
pub const REFRESH: Refresh = Refresh { input: 3, output: 17 };

/// Returns the largest error and the mean (over rows) of the error of a variant,
/// on rows with independent uniform entries in [−R, R].
///
/// # Errors
/// Those of the variant.
pub fn errors(variant: &impl Softmax, classes: usize, range: f64, samples: usize, seed: u64) -> Result<[f64; 2]> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut entry = || range * ((rng.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0);
    let rows: Vec<Vec<f64>> = (0..samples).map(|_| (0..classes).map(|_| entry()).collect()).collect();
    let (mut largest, mut sum) = (0.0f64, 0.0);
    for (row, found) in rows.iter().zip(Plain::softmax(variant, &rows)?) {
        let error = exact(row).iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        largest = largest.max(error);
        sum += error;
    }
    Ok([largest, sum / samples as f64])
}

/// Computes one row of the table from this many samples.
///
/// # Errors
/// Those of the variant.
pub fn row(variant: &impl Softmax, classes: usize, range: f64, samples: usize) -> Result<Row> {
    let [max_error, mean_error] = errors(variant, classes, range, samples, 1)?;
    let layout = Layout::strided(classes.next_power_of_two(), 1, classes)?;
    let (depth, bootstraps) = depth_and_bootstraps(variant, layout, REFRESH.output, REFRESH.input, Some(REFRESH))?;
    Ok(Row { variant: variant.name(), classes, range, max_error, mean_error, depth, bootstraps })
}

/// Computes the table for every [`Compared::all`],
/// from this many samples for each number of classes and range.
///
/// # Errors
/// Those of the variants; there are none for these classes and ranges.
pub fn table(samples: usize) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (classes, range) in CLASSES.into_iter().flat_map(|classes| RANGES.map(|range| (classes, range))) {
        for variant in Compared::all(classes, range)? {
            rows.push(row(&variant, classes, range, samples)?);
        }
    }
    Ok(rows)
}
