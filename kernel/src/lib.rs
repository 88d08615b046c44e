//! Ring arithmetic for homomorphic encryption.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod error;
pub mod modulus;
pub mod primes;

pub use error::Error;
pub use modulus::Modulus;

/// Smallest supported log2 of the ring degree.
pub const MIN_LOG_N: u32 = 4;
/// Largest supported log2 of the ring degree.
pub const MAX_LOG_N: u32 = 17;
