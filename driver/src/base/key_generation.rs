//! The id that says which keys and ciphertexts belong together.

use std::fmt;
use std::str::FromStr;

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use super::text::hex;

/// The id of a key generation. It is drawn with a secret key and carried by everything made with
/// that key: keys and ciphertexts. Without it, combining them with other keys of the same
/// parameters would compute and decrypt to noise, unnoticed.
///
/// The id is public and says nothing of the secret. It detects mix-ups but proves nothing,
/// since whoever makes an object can write any id into it. It is shown, read and serialised as 32
/// hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct KeyGeneration(pub [u8; 16]);

impl KeyGeneration {
    /// The id of objects made without keys: parameters, plaintexts, an empty set of keys,
    /// and a ciphertext that is still to be overwritten.
    pub const NONE: Self = Self([0; 16]);

    pub(crate) fn draw(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        Self(id)
    }
}

/// The error for a text that is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key generation: id {0:?}: must be 32 hexadecimal digits")]
pub struct NoId(pub String);

impl fmt::Display for KeyGeneration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl FromStr for KeyGeneration {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        // Only digits are accepted: `from_str_radix` would also accept a sign.
        let number = text.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u128::from_str_radix(text, 16).ok());
        match number.flatten().filter(|_| text.len() == 32) {
            Some(number) => Ok(Self(number.to_be_bytes())),
            None => Err(NoId(text.to_owned())),
        }
    }
}

impl TryFrom<String> for KeyGeneration {
    type Error = NoId;

    fn try_from(text: String) -> Result<Self, NoId> {
        text.parse()
    }
}

impl From<KeyGeneration> for String {
    fn from(generation: KeyGeneration) -> Self {
        generation.to_string()
    }
}
