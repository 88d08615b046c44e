//! A variant that is chosen at run time.

use super::normalise_square::{NormaliseSquare, NormaliseSquareConfig};
use super::published::{Paper, PaperConfig};
use super::rivals::{Gumbel, Hong, PrivGd};
use super::softmax::Softmax;
use super::vectors::Vectors;
use crate::base::error::{Error, Result};

/// A variant that is chosen at run time.
#[derive(Clone, Debug)]
pub enum Variant {
    /// The default of hetal: normalise and square.
    Ours(NormaliseSquare),
    /// HETAL (the paper): the published method.
    Paper(Paper),
    /// The softmax of Hong et al.
    Hong(Hong),
    /// PrivGD, the softmax of Jin et al.
    PrivGd(PrivGd),
    /// The Gumbel softmax of Lee et al.
    Gumbel(Gumbel),
}

impl Variant {
    /// Returns all variants of the [`table`](super::table) for one number of classes and one range:
    /// hetal's normalise and square, made for the range; the two variants of HETAL (the paper) as
    /// published, with the parameters of R = 128; and those rivals that are defined on the range.
    ///
    /// # Errors
    /// Those of the variants; there are none for the classes and ranges of the table.
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
