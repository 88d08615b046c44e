//! Polynomials: the Chebyshev basis, best approximations of functions,
//! and evaluation on ciphertexts.

pub mod chebyshev;
pub mod evaluate;
pub mod minimax;

pub use chebyshev::Chebyshev;
pub use evaluate::PolynomialPlan;
