//! Circuits: linear transforms, polynomials, bootstrapping and softmax of ciphertexts. Each can say, before any key exists, which keys it needs at which
//! levels, how many levels it consumes and what it costs.

pub mod activation;
pub mod bootstrap;
pub mod cost;
pub mod matrix;
pub mod polynomial;
pub mod transform;

pub use bootstrap::{Bootstrap, BootstrapConfig, BootstrapPlan, Bootstrapper};
pub use cost::Cost;
pub use polynomial::{Chebyshev, PolynomialPlan};
pub use transform::{EncodedTransform, LinearPlan, LinearTransform};
