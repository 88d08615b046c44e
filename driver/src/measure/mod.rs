//! Errors and memory, measured and compared with what is computed beforehand.

pub mod footprint;
pub mod precision;
