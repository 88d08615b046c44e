//! Linear maps of the slots, given by their diagonals, and the factors of the embedding.

pub mod dft;
pub mod linear;

pub use linear::{EncodedTransform, LinearPlan, LinearTransform};
