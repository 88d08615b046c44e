//! Circuits on ciphertexts: linear transforms, polynomials, bootstrapping and softmax.
//! Before any key exists, each circuit can tell which keys it needs at which levels,
//! how many levels it consumes and what it costs.

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
