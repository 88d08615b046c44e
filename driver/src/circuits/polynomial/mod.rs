//! Polynomials: in the Chebyshev basis, the best ones for a function, evaluated on ciphertexts.

pub mod chebyshev;
pub mod evaluate;
pub mod minimax;

pub use chebyshev::Chebyshev;
pub use evaluate::PolynomialPlan;
