//! Circuits: linear transforms, polynomials, bootstrapping and softmax of ciphertexts. Each can say, before any key exists, which keys it needs at which
//! levels, how many levels it consumes and what it costs.

pub mod bootstrap;
pub mod chebyshev;
pub mod cost;
pub mod dft;
pub mod linear;
pub mod mod1;
pub mod polynomial;
pub mod softmax;

pub use bootstrap::{Bootstrap, BootstrapConfig, BootstrapPlan, Bootstrapper};
pub use chebyshev::Chebyshev;
pub use cost::Cost;
pub use linear::{EncodedTransform, LinearPlan, LinearTransform};
pub use polynomial::PolynomialPlan;
