//! Parameter sets that are ready to use.

use super::{ParametersLiteral, SecretDistribution, Security};
use crate::base::error::{Error, Result};

/// The names that [`by_name`] knows.
pub const NAMES: [&str; 6] = ["n16", "n16-light", "test-10", "test-11", "test-13", "test-16"];

/// Returns the preset of this name.
///
/// | name | N | primes of Q, bottom to top | special primes | security |
/// |---|---|---|---|---|
/// | `n16` | 2^16 | 50, 17 × 40, 12 × 50 | 8 × 50, digits of 8 limbs | 128 bits |
/// | `n16-light` | 2^16 | 50, 14 × 40, 12 × 50 | 10 × 50, digits of 10 limbs | 128 bits |
/// | `test-10`, `test-11`, `test-13` | 2^10, 2^11, 2^13 | 50, 17 × 40, 12 × 50 | 8 × 50 | **none**: for tests |
/// | `test-16` | 2^16 | 50, 6 × 40, 12 × 50 | 7 × 50, digits of 7 limbs | **not claimed**: for tests of bootstrapping |
///
/// The 40-bit levels are for computing; the lowest two or three of them are for the SlotToCoeff
/// step of a bootstrapping. The 50-bit levels above are for its EvalMod step (8 levels;
/// with an arcsine it takes the highest 40-bit level too) and its CoeffToSlot step (4 levels).
///
/// # Errors
/// [`Error::UnknownPreset`].
pub fn by_name(name: &str) -> Result<ParametersLiteral> {
    let literal = |log_n, compute, special, security| ParametersLiteral {
        name: name.to_owned(),
        log_n,
        q_bits: [vec![50], vec![40; compute], vec![50; 12]].concat(),
        p_bits: vec![50; special],
        secret: SecretDistribution::Ternary,
        security,
    };
    match name {
        "n16" => Ok(literal(16, 17, 8, Security::Bits128)),
        "n16-light" => Ok(literal(16, 14, 10, Security::Bits128)),
        "test-10" => Ok(literal(10, 17, 8, Security::Insecure)),
        "test-11" => Ok(literal(11, 17, 8, Security::Insecure)),
        "test-13" => Ok(literal(13, 17, 8, Security::Insecure)),
        "test-16" => Ok(literal(16, 6, 7, Security::Insecure)),
        _ => Err(Error::UnknownPreset { name: name.to_owned(), known: NAMES.join(", ") }),
    }
}
