//! Errors and memory, measured and compared with what is computed beforehand.

pub mod footprint;
#[cfg(feature = "bench")]
pub mod precision;
