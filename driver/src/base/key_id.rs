//! The kind of an evaluation key.

use std::fmt;

use hetal_kernel::GaloisElement;

/// The kind of an evaluation key: what it is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyId {
    /// Switches from s² to s, after a product.
    Relinearisation,
    /// Switches from s(X^g) to s, for the automorphism X → X^g.
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
