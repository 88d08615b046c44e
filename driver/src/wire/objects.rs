//! The bodies of plaintexts, ciphertexts, and secret, public and encapsulation keys.

use hetal_kernel::KeySwitchKey;
use hetal_kernel::sampler::Seed;
use zeroize::Zeroizing;

use super::body::{Body, Sink, poly_len};
use super::stored::Stored;
use super::{Header, Kind, Wire};
use crate::base::error::Result;
use crate::base::key_generation::KeyGeneration;
use crate::ckks::ciphertext::{Ciphertext, Plaintext};
use crate::ckks::encryption::SeededCiphertext;
use crate::ckks::keys::public::expand_seed;
use crate::ckks::keys::{EncapsulationKeys, PublicKey, SecretKey};
use crate::ckks::params::{Parameters, ParametersHash};

/// The fields that plaintexts and all ciphertexts have.
struct Shape {
    level: usize,
    log_slots: u32,
    scale: f64,
}

impl Shape {
    const LEN: u64 = 10;

    fn write(&self, sink: &mut Sink<'_>) -> Result<()> {
        // A level is below 64, and the log2 of the number of slots is below 17.
        let mut bytes = vec![self.level as u8, self.log_slots as u8];
        bytes.extend(self.scale.to_le_bytes());
        sink.bytes(&bytes)
    }

    fn read(params: &Parameters, body: &mut Body<'_>) -> Result<Self> {
        let [level] = body.array("level")?;
        let level = usize::from(level);
        if level > params.max_level() {
            return Err(body.malformed("level", level, format_args!("at most {}", params.max_level())));
        }
        let [log_slots] = body.array("number of slots")?;
        let (log_slots, max) = (u32::from(log_slots), params.log_n() - 1);
        if log_slots > max {
            return Err(body.malformed("log2 of the number of slots", log_slots, format_args!("at most {max}")));
        }
        let scale = f64::from_le_bytes(body.array("scale")?);
        if !(scale.is_finite() && scale > 0.0) {
            return Err(body.malformed("scale", format_args!("{scale:?}"), "finite and positive"));
        }
        Ok(Self { level, log_slots, scale })
    }
}

impl Stored for Plaintext {
    fn hash(&self) -> ParametersHash {
        self.hash
    }

    fn generation(&self) -> KeyGeneration {
        KeyGeneration::NONE
    }

    fn body_len(&self, params: &Parameters) -> Result<u64> {
        Ok(Shape::LEN + poly_len(params, self.poly.limbs(), |i| i))
    }

    fn write_body(&self, params: &Parameters, sink: &mut Sink<'_>) -> Result<()> {
        Shape { level: self.level(), log_slots: self.log_slots, scale: self.scale }.write(sink)?;
        sink.poly(params, &self.poly, |i| i)
    }

    fn read_body(params: &Parameters, _: KeyGeneration, body: &mut Body<'_>) -> Result<Self> {
        let Shape { level, log_slots, scale } = Shape::read(params, body)?;
        let wanted = Shape::LEN + poly_len(params, level + 1, |i| i);
        body.check_len(wanted, format_args!("level {level}"))?;
        let poly = body.poly(params, level + 1, |i| i, "the polynomial")?;
        Ok(Self { hash: params.hash(), poly, scale, log_slots, decrypted: false })
    }
}

impl Wire for Plaintext {
    const KIND: Kind = Kind::Plaintext;
}

impl Stored for Ciphertext {
    fn hash(&self) -> ParametersHash {
        self.hash
    }

    fn generation(&self) -> KeyGeneration {
        self.generation
    }

    fn body_len(&self, params: &Parameters) -> Result<u64> {
        Ok(1 + Shape::LEN + self.parts.len() as u64 * poly_len(params, self.level() + 1, |i| i))
    }

    fn write_body(&self, params: &Parameters, sink: &mut Sink<'_>) -> Result<()> {
        // The degree is 1 or 2.
        sink.bytes(&[self.degree() as u8])?;
        Shape { level: self.level(), log_slots: self.log_slots, scale: self.scale }.write(sink)?;
        self.parts.iter().try_for_each(|part| sink.poly(params, part, |i| i))
    }

    fn read_body(params: &Parameters, generation: KeyGeneration, body: &mut Body<'_>) -> Result<Self> {
        let [degree] = body.array("degree")?;
        if !matches!(degree, 1 | 2) {
            return Err(body.malformed("degree", degree, "1 or 2"));
        }
        let Shape { level, log_slots, scale } = Shape::read(params, body)?;
        let wanted = 1 + Shape::LEN + (u64::from(degree) + 1) * poly_len(params, level + 1, |i| i);
        body.check_len(wanted, format_args!("degree {degree} and level {level}"))?;
        let parts = (0..=degree).map(|i| body.poly(params, level + 1, |i| i, &format!("part {i}")));
        let parts = parts.collect::<Result<Vec<_>>>()?.into();
        Ok(Self { hash: params.hash(), generation, parts, scale, log_slots })
    }
}

impl Wire for Ciphertext {
    const KIND: Kind = Kind::Ciphertext;
}

impl Stored for SeededCiphertext {
    fn hash(&self) -> ParametersHash {
        self.hash
    }

    fn generation(&self) -> KeyGeneration {
        self.generation
    }

    fn body_len(&self, params: &Parameters) -> Result<u64> {
        Ok(seeded_len(params, self.level()) - Header::LEN as u64)
    }

    fn write_body(&self, params: &Parameters, sink: &mut Sink<'_>) -> Result<()> {
        Shape { level: self.level(), log_slots: self.log_slots, scale: self.scale }.write(sink)?;
        sink.bytes(self.seed.as_bytes())?;
        sink.poly(params, &self.b, |i| i)
    }

    fn read_body(params: &Parameters, generation: KeyGeneration, body: &mut Body<'_>) -> Result<Self> {
        let Shape { level, log_slots, scale } = Shape::read(params, body)?;
        let wanted = Shape::LEN + Seed::LEN as u64 + poly_len(params, level + 1, |i| i);
        body.check_len(wanted, format_args!("level {level}"))?;
        let seed = Seed::from_bytes(body.array("seed")?);
        let b = body.poly(params, level + 1, |i| i, "b")?;
        Ok(Self { hash: params.hash(), generation, seed, b, scale, log_slots })
    }
}

/// Returns the bytes that a seeded ciphertext at a level takes, header included.
#[must_use]
pub fn seeded_len(params: &Parameters, level: usize) -> u64 {
    Header::LEN as u64 + Shape::LEN + Seed::LEN as u64 + poly_len(params, level + 1, |i| i)
}

impl Wire for SeededCiphertext {
    const KIND: Kind = Kind::SeededCiphertext;
}

impl Stored for PublicKey {
    fn hash(&self) -> ParametersHash {
        self.hash
    }

    fn generation(&self) -> KeyGeneration {
        self.generation
    }

    fn body_len(&self, params: &Parameters) -> Result<u64> {
        Ok(public_len(params))
    }

    fn write_body(&self, params: &Parameters, sink: &mut Sink<'_>) -> Result<()> {
        sink.bytes(self.seed.as_bytes())?;
        sink.poly(params, &self.b, |i| i)
    }

    fn read_body(params: &Parameters, generation: KeyGeneration, body: &mut Body<'_>) -> Result<Self> {
        body.check_len(public_len(params), format_args!("these parameters"))?;
        let (seed, limbs) = (Seed::from_bytes(body.array("seed")?), params.max_level() + 2);
        let b = body.poly(params, limbs, |i| i, "b")?;
        let a = expand_seed(params, &seed, limbs, |i| i);
        Ok(Self { hash: params.hash(), generation, seed, b, a })
    }
}

fn public_len(params: &Parameters) -> u64 {
    Seed::LEN as u64 + poly_len(params, params.max_level() + 2, |i| i)
}

impl Wire for PublicKey {
    const KIND: Kind = Kind::PublicKey;
}

impl Stored for EncapsulationKeys {
    fn hash(&self) -> ParametersHash {
        self.hash
    }

    fn generation(&self) -> KeyGeneration {
        self.generation
    }

    fn body_len(&self, params: &Parameters) -> Result<u64> {
        Ok(KeySwitchKey::encoded_len(&Self::gadget(params)?) as u64 + public_len(params))
    }

    fn write_body(&self, params: &Parameters, sink: &mut Sink<'_>) -> Result<()> {
        let gadget = Self::gadget(params)?;
        let mut encoded = vec![0; KeySwitchKey::encoded_len(&gadget)];
        self.to_sparse.encode(&gadget, &mut encoded);
        sink.bytes(&encoded)?;
        sink.bytes(self.seed.as_bytes())?;
        sink.poly(params, &self.b, |i| i)
    }

    fn read_body(params: &Parameters, generation: KeyGeneration, body: &mut Body<'_>) -> Result<Self> {
        let gadget = Self::gadget(params)?;
        let len = KeySwitchKey::encoded_len(&gadget);
        body.check_len(len as u64 + public_len(params), format_args!("these parameters"))?;
        let mut encoded = vec![0; len];
        body.fill(&mut encoded, format_args!("key to the sparse secret"))?;
        let to_sparse = KeySwitchKey::decode(&gadget, &encoded)
            .map_err(|error| body.residue("the key to the sparse secret", error))?;
        let (seed, limbs) = (Seed::from_bytes(body.array("seed")?), params.max_level() + 2);
        let b = body.poly(params, limbs, |i| i, "b")?;
        let a = expand_seed(params, &seed, limbs, |i| i);
        Ok(Self { hash: params.hash(), generation, to_sparse, seed, b, a })
    }
}

impl Wire for EncapsulationKeys {
    const KIND: Kind = Kind::EncapsulationKeys;
}

/// The number of coefficients in a byte.
const PACKED: usize = 4;

impl Stored for SecretKey {
    fn hash(&self) -> ParametersHash {
        self.parameters_hash()
    }

    fn generation(&self) -> KeyGeneration {
        self.key_generation()
    }

    fn body_len(&self, params: &Parameters) -> Result<u64> {
        Ok((params.n() / PACKED) as u64)
    }

    fn write_body(&self, _: &Parameters, sink: &mut Sink<'_>) -> Result<()> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.coefficients().len() / PACKED));
        // The code is the two lowest bits of −1, 0 or 1.
        let pack = |four: &[i8]| four.iter().rev().fold(0, |byte, &c| byte << 2 | (c as u8 & 3));
        bytes.extend(self.coefficients().chunks(PACKED).map(pack));
        sink.bytes(&bytes)
    }

    /// Reads a secret key, in the same time for all keys.
    fn read_body(params: &Parameters, generation: KeyGeneration, body: &mut Body<'_>) -> Result<Self> {
        let n = params.n();
        body.check_len((n / PACKED) as u64, format_args!("N = {n}"))?;
        let mut bytes = Zeroizing::new(vec![0; n / PACKED]);
        body.fill(&mut bytes, format_args!("coefficients"))?;
        if bytes.iter().fold(0, |sum, &byte| sum | refused_pairs(byte)) != 0 {
            let pairs = bytes.iter().map(|&byte| (refused_pairs(byte).trailing_zeros() / 2) as usize);
            let first = pairs.enumerate().find(|&(_, pair)| pair < PACKED);
            let index = first.map_or(n, |(i, pair)| PACKED * i + pair);
            return Err(body.malformed(format_args!("code of coefficient {index}"), 2, "0, 1 or 3"));
        }
        let mut coefficients = Zeroizing::new(vec![0; n]);
        for (four, byte) in coefficients.chunks_mut(PACKED).zip(bytes.iter()) {
            for (i, c) in four.iter_mut().enumerate() {
                let code = (byte >> (2 * i) & 3) as i8;
                *c = code - ((code & 2) << 1);
            }
        }
        Self::from_coefficients(params, coefficients, generation)
    }
}

/// Returns, for every pair of bits, 1 in its lower bit if the pair is 2:
/// its upper bit is set and its lower bit is not.
const fn refused_pairs(byte: u8) -> u8 {
    byte >> 1 & !byte & 0x55
}

impl Wire for SecretKey {
    const KIND: Kind = Kind::SecretKey;
}
