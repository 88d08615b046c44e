//! Errors and memory, measured beside what is computed beforehand.

pub mod footprint;
#[cfg(feature = "bench")]
pub mod precision;
