//! The binary format of parameters, plaintexts, ciphertexts and keys.
//!
//! An object is a header and a body; every number is little-endian.
//! Objects follow each other in a stream without anything between them;
//! [`expect_end`] checks whether the last one was read.
//!
//! **Header**, 52 bytes ([`Header`]):
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic: 89 68 65 74 61 6c 0d 0a (not text, "hetal", a line end that text conversion would change) |
//! | 8 | 2 | format version: 2 |
//! | 10 | 2 | kind: 1 parameters, 2 plaintext, 3 ciphertext, 4 seeded ciphertext, 5 secret key, 6 public key, 7 evaluation keys, 8 encapsulation keys |
//! | 12 | 16 | hash of the parameters ([`ParametersHash`]) |
//! | 28 | 16 | id of the key generation ([`KeyGeneration`]): 0 for parameters, a plaintext and an empty set of evaluation keys, otherwise not 0 |
//! | 44 | 8 | length of the body |
//!
//! Version 1 had no key generation. Its objects are refused, since nothing in them says which keys
//! they belong to.
//!
//! **Limbs** are encoded as in [`hetal_kernel::bytes`]: N residues below the prime,
//! each in ⌈bits/8⌉ bytes. A polynomial at level l consists of the limbs q_0 … q_l, in values,
//! in the order of [`hetal_kernel::ntt`]. A **seed** stands for a uniform polynomial,
//! whose limb i is stream i of the seed ([`Seed::expand`](hetal_kernel::sampler::Seed::expand)).
//!
//! **Parameters** (kind 1): the literal. The reader checks it and returns it with the hash of the
//! header. [`StoredParameters::build`] then makes the primes and tables and compares the hash.
//!
//! | bytes | field |
//! |---|---|
//! | 1 | length of the name |
//! | that many | the name, UTF-8 without control characters |
//! | 1 | log2 N: 4 to 17 |
//! | 1, 1 | number of ciphertext primes, number of special primes |
//! | 1 each | bits of q_0 … q_L, then of p_0 … p_{K−1} |
//! | 1 | secret: 0 uniform ternary, 1 fixed weight |
//! | 4 | the weight; 0 for a uniform ternary secret |
//! | 1 | security: 0 128 bits, 1 insecure |
//!
//! **Plaintext** (2), **ciphertext** (3), **seeded ciphertext** (4):
//!
//! | bytes | field |
//! |---|---|
//! | 1 | degree in the secret, 1 or 2: ciphertexts only |
//! | 1 | level |
//! | 1 | log2 of the number of slots |
//! | 8 | scale, an IEEE 754 double: finite and positive |
//! | 32 | seed of a: seeded ciphertexts only |
//! | | limbs: of the polynomial (plaintext), of parts 0 … degree (ciphertext), of b (seeded ciphertext) |
//!
//! **Secret key** (5): N/4 bytes with two bits for each coefficient, lowest bits first:
//! 0 for 0, 1 for 1, 3 for −1. It is neither compressed nor encrypted: its file is as secret as the
//! key ([`Access::Owner`](crate::base::files::Access::Owner)).
//!
//! **Public key** (6): the seed of a, 32 bytes; then the limbs q_0 … q_L and p_0 of b.
//!
//! **Evaluation keys** (7): the number of keys, 4 bytes; then, for each key, in any order and none
//! twice:
//!
//! | bytes | field |
//! |---|---|
//! | 1 | kind: 0 relinearisation key, 1 Galois key |
//! | 1 | level |
//! | 1, 1 | special primes of the key, limbs in a digit: those of [`Parameters::gadget_shape`] |
//! | 4 | Galois element, odd and below 2N; 0 for a relinearisation key |
//! | 8 | length of the key, which follows from the level |
//! | that many | the key: [`KeySwitchKey::encode`](hetal_kernel::KeySwitchKey::encode) under the gadget of its level |
//!
//! **Encapsulation keys** (8): the key to the sparse secret, which is modulo q_0·p_0,
//! has one digit and is encoded like an evaluation key; then the key back:
//! the seed of a, 32 bytes, and the limbs q_0 … q_L and p_0 of b.
//!
//! Readers accept any bytes: either the returned object is valid, or an error names the field and
//! its value. A reader checks every number before it allocates memory for it.
//! The memory is bounded by the parameters: it holds the returned object and, in addition,
//! one limb or, for a set of evaluation keys, one encoded key. A well-formed object need not come
//! from the expected sender: nothing is authenticated.
//!
//! ```
//! use hetal::wire::{self, Header, Kind};
//! use hetal::{Ciphertext, Encoder, Parameters, SecretKey};
//!
//! let params = Parameters::preset("test-10")?;
//! let mut rng = hetal::ckks::keys::entropy()?;
//! let secret = SecretKey::generate(&params, &mut rng)?;
//! let plaintext = Encoder::new(&params).encode(&[1.0, -2.5], 3, params.scale(3))?;
//! let ciphertext = secret.encrypt(&plaintext, &mut rng)?;
//!
//! let mut stored = Vec::new();
//! wire::write(&mut stored, &ciphertext, &params)?;
//! assert_eq!(Header::read(&mut stored.as_slice())?.kind, Kind::Ciphertext);
//!
//! let mut input = stored.as_slice();
//! let read: Ciphertext = wire::read(&mut input, &params)?;
//! wire::expect_end(&mut input)?;
//! assert_eq!(read, ciphertext);
//! # Ok::<(), hetal::Error>(())
//! ```

mod body;
mod keys;
mod kind;
mod objects;
mod parameters;
mod stored;

use std::io::{Read, Write};

pub use keys::{
    EvaluationKeyReader, evaluation_keys_len, read_evaluation_keys, read_key_set, write_evaluation_keys, write_key_set,
};
pub use kind::Kind;
pub use objects::seeded_len;
pub use parameters::{StoredParameters, read_parameters, write_parameters};

use body::{Body, Sink};

use crate::base::error::{Error, Result};
use crate::base::key_generation::KeyGeneration;
use crate::base::text::hex;
use crate::ckks::keys::check_hash;
use crate::ckks::params::{Parameters, ParametersHash};

/// The first bytes of every object.
pub const MAGIC: [u8; 8] = *b"\x89hetal\r\n";

/// The version of the format that this crate writes, and the only one that it reads.
pub const VERSION: u16 = 2;

/// The fields before the body of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The format version.
    pub version: u16,
    /// The kind of the object.
    pub kind: Kind,
    /// The hash of the parameters that the object belongs to.
    pub hash: ParametersHash,
    /// The key generation that the object belongs to; [`KeyGeneration::NONE`] if it was made
    /// without keys.
    pub generation: KeyGeneration,
    /// The number of bytes that follow the header.
    pub body_len: u64,
}

impl Header {
    /// The number of bytes of a header.
    pub const LEN: usize = 52;

    /// Reads the header of any object.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another magic or version and for an unknown kind,
    /// [`Error::Truncated`], [`Error::Io`].
    pub fn read(input: &mut impl Read) -> Result<Self> {
        const OBJECT: &str = "header";
        let mut bytes = [0; Self::LEN];
        let found =
            body::fill(input, &mut bytes).map_err(|error| Error::io(format_args!("reading the {OBJECT}"), &error))?;
        // Checks the magic bytes first, as far as there are any, so that a short text file is not
        // reported as truncated.
        let magic = &bytes[..found.min(MAGIC.len())];
        if *magic != MAGIC[..magic.len()] {
            return Err(Error::malformed(OBJECT, "magic", hex(magic), format_args!("{}: no object", hex(&MAGIC))));
        }
        let (version, kind) = (u16::from_le_bytes(part(&bytes, 8)), u16::from_le_bytes(part(&bytes, 10)));
        // Checks the version next, since headers of other versions may be shorter.
        if found >= 10 && version != VERSION {
            let what_to_do = if version < VERSION {
                "made by an earlier version of hetal, make new keys and encrypt the data again"
            } else {
                "made by a later version of hetal, read it with that one"
            };
            return Err(Error::malformed(OBJECT, "format version", version, format_args!("{VERSION}: {what_to_do}")));
        }
        if found < Self::LEN {
            let (field, missing) = (format!("first {} bytes", Self::LEN), (Self::LEN - found) as u64);
            return Err(Error::Truncated { object: OBJECT, field, missing });
        }
        let Some(kind) = Kind::ALL.into_iter().find(|known| *known as u16 == kind) else {
            return Err(Error::malformed(OBJECT, "kind", kind, format_args!("from 1 to {}", Kind::ALL.len())));
        };
        let (hash, generation) = (ParametersHash(part(&bytes, 12)), KeyGeneration(part(&bytes, 28)));
        Ok(Self { version, kind, hash, generation, body_len: u64::from_le_bytes(part(&bytes, 44)) })
    }

    fn write(
        kind: Kind,
        hash: ParametersHash,
        generation: KeyGeneration,
        body_len: u64,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let mut bytes = Vec::with_capacity(Self::LEN);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((kind as u16).to_le_bytes());
        bytes.extend(hash.0);
        bytes.extend(generation.0);
        bytes.extend(body_len.to_le_bytes());
        sink.bytes(&bytes)
    }

    fn check_kind(&self, wanted: Kind) -> Result<()> {
        if self.kind == wanted { Ok(()) } else { Err(Error::malformed("header", "kind", self.kind, wanted)) }
    }
}

/// Checks that an object made with keys has an id, and that any other object has none.
fn check_generation(kind: Kind, generation: KeyGeneration, keyed: bool) -> Result<()> {
    if keyed == (generation != KeyGeneration::NONE) {
        return Ok(());
    }
    let wanted = if keyed { "that of its keys" } else { "0, for it belongs to no keys" };
    Err(Error::malformed(kind.name(), "key generation", generation, wanted))
}

/// Returns the bytes `at..at + LEN`.
fn part<const LEN: usize>(bytes: &[u8], at: usize) -> [u8; LEN] {
    std::array::from_fn(|i| bytes[at + i])
}

/// An object with a body of known length: [`Plaintext`](crate::Plaintext),
/// [`Ciphertext`](crate::Ciphertext),
/// [`SeededCiphertext`](crate::ckks::encryption::SeededCiphertext),
/// [`SecretKey`](crate::SecretKey), [`PublicKey`](crate::PublicKey),
/// [`EncapsulationKeys`](crate::ckks::keys::EncapsulationKeys).
pub trait Wire: stored::Stored {
    /// The kind in the header of the object.
    const KIND: Kind;

    /// Returns the bytes that the object takes, header included.
    ///
    /// # Errors
    /// [`Error::OtherParameters`].
    fn encoded_len(&self, params: &Parameters) -> Result<u64> {
        check_hash(self.hash(), params)?;
        Ok(Header::LEN as u64 + self.body_len(params)?)
    }
}

/// Writes an object with its header.
///
/// # Errors
/// [`Error::OtherParameters`] if the object does not belong to these parameters,
/// [`Error::Malformed`] for a ciphertext that was never written to, [`Error::Io`].
pub fn write<T: Wire>(out: &mut impl Write, object: &T, params: &Parameters) -> Result<()> {
    check_hash(object.hash(), params)?;
    check_generation(T::KIND, object.generation(), T::KIND != Kind::Plaintext)?;
    let mut sink = Sink::new(out, T::KIND);
    Header::write(T::KIND, params.hash(), object.generation(), object.body_len(params)?, &mut sink)?;
    object.write_body(params, &mut sink)?;
    sink.flush()
}

/// Reads an object and its header, and no byte beyond it.
///
/// # Errors
/// [`Error::Malformed`] names the field and its value; [`Error::OtherParameters`],
/// [`Error::Truncated`], [`Error::Io`].
pub fn read<T: Wire>(input: &mut impl Read, params: &Parameters) -> Result<T> {
    let header = Header::read(input)?;
    header.check_kind(T::KIND)?;
    check_hash(header.hash, params)?;
    check_generation(T::KIND, header.generation, T::KIND != Kind::Plaintext)?;
    let mut body = Body::new(input, T::KIND, header.body_len);
    let object = T::read_body(params, header.generation, &mut body)?;
    body.end()?;
    Ok(object)
}

/// Checks that an input has no bytes left: a file of one object is longer only by mistake.
///
/// # Errors
/// [`Error::Malformed`], [`Error::Io`].
pub fn expect_end(input: &mut impl Read) -> Result<()> {
    let mut byte = [0];
    match body::fill(input, &mut byte).map_err(|error| Error::io("reading the end of the input", &error))? {
        0 => Ok(()),
        _ => Err(Error::malformed("input", "byte after the last object", byte[0], "absent")),
    }
}
