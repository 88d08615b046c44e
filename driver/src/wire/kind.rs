//! The kinds of stored objects.

use std::fmt;

/// The kind of a stored object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Kind {
    /// A parameter literal.
    Parameters = 1,
    /// A [`Plaintext`](crate::Plaintext).
    Plaintext = 2,
    /// A [`Ciphertext`](crate::Ciphertext).
    Ciphertext = 3,
    /// A [`SeededCiphertext`](crate::ckks::encryption::SeededCiphertext).
    SeededCiphertext = 4,
    /// A [`SecretKey`](crate::SecretKey).
    SecretKey = 5,
    /// A [`PublicKey`](crate::PublicKey).
    PublicKey = 6,
    /// A stream of [`EvaluationKey`](crate::ckks::keys::EvaluationKey)s.
    EvaluationKeys = 7,
    /// [`EncapsulationKeys`](crate::ckks::keys::EncapsulationKeys).
    EncapsulationKeys = 8,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Parameters,
        Self::Plaintext,
        Self::Ciphertext,
        Self::SeededCiphertext,
        Self::SecretKey,
        Self::PublicKey,
        Self::EvaluationKeys,
        Self::EncapsulationKeys,
    ];

    /// Returns the name of the kind, for messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parameters => "parameters",
            Self::Plaintext => "plaintext",
            Self::Ciphertext => "ciphertext",
            Self::SeededCiphertext => "seeded ciphertext",
            Self::SecretKey => "secret key",
            Self::PublicKey => "public key",
            Self::EvaluationKeys => "evaluation keys",
            Self::EncapsulationKeys => "encapsulation keys",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
