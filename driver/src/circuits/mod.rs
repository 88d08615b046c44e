//! Circuits: linear transforms and polynomials of ciphertexts. Each can say, before any key exists, which keys it needs at which
//! levels, how many levels it consumes and what it costs.

pub mod chebyshev;
pub mod cost;
pub mod linear;
pub mod polynomial;

pub use chebyshev::Chebyshev;
pub use cost::Cost;
pub use linear::{EncodedTransform, LinearPlan, LinearTransform};
pub use polynomial::PolynomialPlan;
