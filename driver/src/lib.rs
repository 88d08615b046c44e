//! CKKS on [`hetal_kernel`].

pub mod ciphertext;
pub mod circuits;
pub mod cli;
pub mod crypt;
pub mod encoding;
pub mod error;
pub mod eval;
pub mod footprint;
pub mod io;
pub mod keys;
pub mod noise;
pub mod params;
pub mod precision;

pub use ciphertext::{Ciphertext, Plaintext};
pub use encoding::Encoder;
pub use error::{Error, Result};
pub use eval::Evaluator;
pub use hetal_kernel as kernel;
pub use keys::{KeyRequests, KeySet, PublicKey, SecretKey};
pub use num_complex::Complex64;
pub use params::{Parameters, ParametersLiteral};
