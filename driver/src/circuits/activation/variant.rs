//! A variant that is chosen at run time.

use super::normalise_square::NormaliseSquare;
use super::published::Paper;
use super::softmax::Softmax;
use super::vectors::Vectors;
use crate::base::error::Result;

/// A variant that is chosen at run time.
#[derive(Clone, Debug)]
pub enum Variant {
    /// The default of hetal: normalise and square.
    Ours(NormaliseSquare),
    /// HETAL (the paper): the published method.
    Paper(Paper),
}

impl Softmax for Variant {
    fn name(&self) -> String {
        match self {
            Self::Ours(variant) => variant.name(),
            Self::Paper(variant) => variant.name(),
        }
    }

    fn run<E: Vectors>(&self, vectors: &E, x: E::Vector) -> Result<E::Vector> {
        match self {
            Self::Ours(variant) => variant.run(vectors, x),
            Self::Paper(variant) => variant.run(vectors, x),
        }
    }
}
