//! What an evaluation key is for.

use std::fmt;

use hetal_kernel::GaloisElement;

/// What an evaluation key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyId {
    /// From s² to s: after a product.
    Relinearisation,
    /// From s(X^g) to s: for the automorphism X → X^g.
    Galois(GaloisElement),
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relinearisation => f.write_str("relinearisation key"),
            Self::Galois(g) if *g == GaloisElement::conjugation(g.log_n()) => f.write_str("conjugation key"),
            Self::Galois(g) => write!(f, "Galois key for X^{}", g.value()),
        }
    }
}
