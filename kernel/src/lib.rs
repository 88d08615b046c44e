//! Ring arithmetic for homomorphic encryption.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bytes;
pub mod error;
pub mod galois;
pub mod keyswitch;
pub mod modulus;
pub mod ntt;
pub mod poly;
pub mod primes;
pub mod rns;
pub mod sampler;
pub mod scratch;
pub mod simd;

pub use error::Error;
pub use galois::{Automorphism, GaloisElement};
pub use keyswitch::{Gadget, KeySwitchKey};
pub use modulus::Modulus;
pub use ntt::NttTable;
pub use poly::{Coeff, Eval, RnsPoly, RnsPolyMut, RnsPolyRef};
pub use rns::{ModDown, RnsBasis};
pub use scratch::Scratch;
pub use simd::Isa;

/// Smallest supported log2 of the ring degree.
pub const MIN_LOG_N: u32 = 4;
/// Largest supported log2 of the ring degree.
pub const MAX_LOG_N: u32 = 17;
