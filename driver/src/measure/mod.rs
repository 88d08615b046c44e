//! Errors and memory, measured beside what is computed beforehand.

pub mod footprint;
pub mod precision;
