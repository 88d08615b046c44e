//! A variant that is chosen at run time.

use super::normalise_square::NormaliseSquare;
use super::published::Published;
use super::softmax::Softmax;
use super::vectors::Vectors;
use crate::base::error::Result;

/// A variant that is chosen at run time.
#[derive(Clone, Debug)]
pub enum Variant {
    /// The default of hetal: normalise and square.
    NormaliseSquare(NormaliseSquare),
    /// HETAL (the paper): the published method.
    Published(Published),
}

impl Softmax for Variant {
    fn name(&self) -> String {
        match self {
            Self::NormaliseSquare(variant) => variant.name(),
            Self::Published(variant) => variant.name(),
        }
    }

    fn run<E: Vectors>(&self, vectors: &E, x: E::Vector) -> Result<E::Vector> {
        match self {
            Self::NormaliseSquare(variant) => variant.run(vectors, x),
            Self::Published(variant) => variant.run(vectors, x),
        }
    }
}
