//! Writes and reads parameters.

use std::io::{Read, Write};

use super::body::{Body, Sink};
use super::{Header, Kind};
use crate::base::error::{Error, Result};
use crate::base::key_generation::KeyGeneration;
use crate::ckks::params::{self, Parameters, ParametersHash, ParametersLiteral, SecretDistribution, Security};

/// The longest name that can be stored.
const MAX_NAME: usize = u8::MAX as usize;
/// The longest body: a name, three numbers, 64 ciphertext primes, 64 special primes,
/// secret and security.
const MAX_BODY: u64 = (1 + MAX_NAME + 3 + 2 * 64 + 5 + 1) as u64;

/// Parameters as they were stored: a checked literal, and the hash that its primes must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredParameters {
    /// The literal, whose numbers are in their ranges.
    pub literal: ParametersLiteral,
    /// The hash in the header.
    pub hash: ParametersHash,
}

impl StoredParameters {
    /// Chooses the primes, compares the hash and makes the tables.
    /// This takes seconds and up to 2^29 bytes for the largest literals:
    /// look at [`StoredParameters::literal`] before building parameters from others.
    ///
    /// # Errors
    /// Those of [`Parameters::new`]; [`Error::Malformed`] if the hash differs.
    pub fn build(self) -> Result<Parameters> {
        let params = Parameters::new(self.literal)?;
        if params.hash() != self.hash {
            let name = Kind::Parameters.name();
            return Err(Error::malformed(name, "hash", self.hash, format_args!("{} for this literal", params.hash())));
        }
        Ok(params)
    }
}

/// Writes parameters.
///
/// # Errors
/// [`Error::Malformed`] if the name is longer than 255 bytes or has control characters;
/// [`Error::Io`].
pub fn write_parameters(out: &mut impl Write, params: &Parameters) -> Result<()> {
    let ParametersLiteral { name, log_n, q_bits, p_bits, secret, security } = params.literal();
    check_name(name)?;
    // All of these are small, since the literal was checked.
    let byte = |x: u32| x as u8;
    let mut body = vec![name.len() as u8];
    body.extend(name.as_bytes());
    body.extend([byte(*log_n), q_bits.len() as u8, p_bits.len() as u8]);
    body.extend(q_bits.iter().chain(p_bits).map(|&bits| byte(bits)));
    let (distribution, weight) = match *secret {
        SecretDistribution::Ternary => (0, 0),
        SecretDistribution::FixedWeight(weight) => (1, weight as u32),
    };
    body.push(distribution);
    body.extend(weight.to_le_bytes());
    body.push(match security {
        Security::Bits128 => 0,
        Security::Insecure => 1,
    });
    let mut sink = Sink::new(out, Kind::Parameters);
    Header::write(Kind::Parameters, params.hash(), KeyGeneration::NONE, body.len() as u64, &mut sink)?;
    sink.bytes(&body)?;
    sink.flush()
}

/// Reads parameters, and no byte beyond them. This searches no primes and makes no tables.
///
/// # Errors
/// [`Error::Malformed`] and [`Error::Parameters`] name the field and its value;
/// [`Error::Truncated`], [`Error::Io`].
pub fn read_parameters(input: &mut impl Read) -> Result<StoredParameters> {
    let header = Header::read(input)?;
    header.check_kind(Kind::Parameters)?;
    super::check_generation(Kind::Parameters, header.generation, false)?;
    let mut body = Body::new(input, Kind::Parameters, header.body_len);
    if header.body_len > MAX_BODY {
        return Err(body.malformed("body length", header.body_len, format_args!("at most {MAX_BODY}")));
    }
    let [name_len] = body.array("length of the name")?;
    let mut name = vec![0; usize::from(name_len)];
    body.fill(&mut name, format_args!("name"))?;
    let name = String::from_utf8(name)
        .map_err(|error| body.malformed("name", format_args!("{:?}", error.as_bytes()), "UTF-8"))?;
    check_name(&name)?;
    let [log_n] = body.array("log2 of N")?;
    let counts: [u8; 2] = body.array("numbers of primes")?;
    let mut bits = |count: u8, what: &str| -> Result<Vec<u32>> {
        let mut bits = vec![0; usize::from(count)];
        body.fill(&mut bits, format_args!("bits of the {what} primes"))?;
        Ok(bits.into_iter().map(u32::from).collect())
    };
    let (q_bits, p_bits) = (bits(counts[0], "ciphertext")?, bits(counts[1], "special")?);
    let [distribution] = body.array("distribution of the secret")?;
    let weight = u32::from_le_bytes(body.array("weight of the secret")?);
    let secret = match (distribution, weight) {
        (0, 0) => SecretDistribution::Ternary,
        (0, weight) => return Err(body.malformed("weight of a uniform ternary secret", weight, 0)),
        (1, weight) => SecretDistribution::FixedWeight(weight as usize),
        (other, _) => return Err(body.malformed("distribution of the secret", other, "0 or 1")),
    };
    let security = match body.array("security")? {
        [0] => Security::Bits128,
        [1] => Security::Insecure,
        [other] => return Err(body.malformed("security", other, "0 or 1")),
    };
    body.end()?;
    let literal = ParametersLiteral { name, log_n: u32::from(log_n), q_bits, p_bits, secret, security };
    params::check(&literal)?;
    Ok(StoredParameters { literal, hash: header.hash })
}

/// Refuses names with control characters: names are printed, so nothing in them may move a cursor.
fn check_name(name: &str) -> Result<()> {
    let object = Kind::Parameters.name();
    if name.len() > MAX_NAME {
        return Err(Error::malformed(object, "length of the name", name.len(), format_args!("at most {MAX_NAME}")));
    }
    if name.chars().any(char::is_control) {
        return Err(Error::malformed(object, "name", format_args!("{name:?}"), "without control characters"));
    }
    Ok(())
}
