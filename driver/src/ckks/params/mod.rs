//! Parameters: an unchecked literal that anyone can write down, and the checked, immutable set that
//! everything else takes.
//!
//! A *level* l is the number of rescalings that a ciphertext has left:
//! it has the l + 1 limbs q_0 … q_l. Every level has a nominal scale Δ_l ([`Parameters::scale`]):
//! a product of two ciphertexts of scale Δ_l at level l, rescaled, has exactly the scale Δ_{l−1}.
//! The primes are chosen so that all Δ_l of a run of equal sizes stay at 2^bits.
//! The deviation is within about a gap between primes if there are primes on both sides,
//! and within 2^−14 of 2^bits for the 50-bit primes of the presets, above which there are none.
//!
//! ```
//! use hetal::Parameters;
//! use hetal::ckks::params::preset;
//!
//! let params = Parameters::new(preset::by_name("n16")?)?;
//! assert_eq!((params.n(), params.slots(), params.max_level()), (65536, 32768, 29));
//! assert!(params.log_qp() <= 1747.0);
//! assert!((params.scale(12).log2() - 40.0).abs() < 1e-4);
//! # Ok::<(), hetal::Error>(())
//! ```

mod chain;
mod gadget;
pub mod preset;
mod security;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use hetal_kernel::rns::MAX_DIGIT;
use hetal_kernel::{Gadget, MAX_LOG_N, MIN_LOG_N, ModDown, Modulus, RnsBasis};
use sha2::{Digest, Sha256};

pub use gadget::GadgetShape;
pub use security::{max_log_qp, max_sparse_log_qp};

use crate::base::error::{Error, Result};
use crate::base::fft::SpecialFft;
use crate::base::text::hex;

/// The distribution of the coefficients of the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretDistribution {
    /// Each coefficient is independently uniform in {−1, 0, 1}.
    Ternary,
    /// Exactly this many coefficients are ±1. The security table does not cover this:
    /// it is for insecure literals only.
    FixedWeight(usize),
}

/// The security that a literal promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// 128 bits of classical security, by [`max_log_qp`], and by [`max_sparse_log_qp`] for the keys
    /// of bootstrapping. This is checked. The bits count gates of the best attack:
    /// 2^129.3 for `n16`, whose core-SVP is 2^95.
    Bits128,
    /// No security: for tests. The name of the literal has to begin with `test-` or `insecure-`.
    Insecure,
}

/// Unchecked parameters, which [`Parameters::new`] checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParametersLiteral {
    /// The name, for messages.
    pub name: String,
    /// The log2 of the ring degree N, from 4 to 17.
    pub log_n: u32,
    /// The bits of the ciphertext primes q_0 … q_L, bottom to top: at least two primes,
    /// each of 25 to 50 bits.
    pub q_bits: Vec<u32>,
    /// The bits of the special primes p_0 … p_{K−1}, each from 25 to 50.
    pub p_bits: Vec<u32>,
    /// The distribution of secrets.
    pub secret: SecretDistribution,
    /// The promised security.
    pub security: Security,
}

/// The hash that identifies parameters in stored objects: 16 bytes of SHA-256 over the literal
/// (without its name) and all primes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ParametersHash(pub [u8; 16]);

impl fmt::Display for ParametersHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for ParametersHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Checked parameters with the tables of their ring. Clones share them.
#[derive(Clone, Debug)]
pub struct Parameters(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    literal: ParametersLiteral,
    qp: RnsBasis,
    scales: Vec<f64>,
    hash: ParametersHash,
    shapes: Vec<GadgetShape>,
    // These tables are made when they are first needed.
    gadgets: Mutex<HashMap<usize, Arc<Gadget>>>,
    dividers: Mutex<HashMap<[usize; 3], Arc<ModDown>>>,
    subrings: [OnceLock<RnsBasis>; MAX_LOG_N as usize],
    embeddings: [OnceLock<SpecialFft>; MAX_LOG_N as usize],
}

impl PartialEq for Parameters {
    fn eq(&self, other: &Self) -> bool {
        self.0.hash == other.0.hash
    }
}

const BITS: std::ops::RangeInclusive<u32> = 25..=Modulus::MAX_BITS;

impl Parameters {
    /// Checks a literal, chooses its primes and builds the tables of its ring (about 20·N bytes for
    /// each prime).
    ///
    /// # Errors
    /// [`Error::Parameters`] names the value that is wrong; [`Error::Insecure`] if log2(QP) is
    /// above the bound for 128 bits and the literal does not say [`Security::Insecure`].
    pub fn new(literal: ParametersLiteral) -> Result<Self> {
        check(&literal)?;
        let chain = chain::choose(literal.log_n, &literal.q_bits, &literal.p_bits)?;
        check_chain(&literal, &chain)?;
        let moduli = [chain.q, chain.p].concat();
        let log_qp: f64 = moduli.iter().map(|q| q.as_f64().log2()).sum();
        if literal.security == Security::Bits128 {
            let bound = max_log_qp(literal.log_n).unwrap_or(0);
            if log_qp > f64::from(bound) {
                return Err(Error::Insecure { name: literal.name, log_n: literal.log_n, weight: None, log_qp, bound });
            }
        }
        let shapes =
            (1..=literal.q_bits.len()).map(|l| gadget::choose(&literal.q_bits[..l], &literal.p_bits)).collect();
        Ok(Self(Arc::new(Inner {
            hash: hash(&literal, &moduli),
            qp: RnsBasis::new(literal.log_n, &moduli)?,
            scales: chain.scales,
            literal,
            shapes,
            gadgets: Mutex::default(),
            dividers: Mutex::default(),
            subrings: Default::default(),
            embeddings: Default::default(),
        })))
    }

    /// Creates the parameters of a preset, with [`preset::by_name`] and [`Parameters::new`].
    ///
    /// # Errors
    /// [`Error::UnknownPreset`].
    pub fn preset(name: &str) -> Result<Self> {
        Self::new(preset::by_name(name)?)
    }

    /// Returns the literal that the parameters were made from.
    #[must_use]
    pub fn literal(&self) -> &ParametersLiteral {
        &self.0.literal
    }

    /// Tells whether the parameters promise no security.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        self.0.literal.security == Security::Insecure
    }

    /// Returns log2 of the ring degree.
    #[must_use]
    pub fn log_n(&self) -> u32 {
        self.0.literal.log_n
    }

    /// Returns the ring degree N.
    #[must_use]
    pub fn n(&self) -> usize {
        1 << self.log_n()
    }

    /// Returns the largest number of slots, N/2.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.n() / 2
    }

    /// Returns the highest level L.
    #[must_use]
    pub fn max_level(&self) -> usize {
        self.0.literal.q_bits.len() - 1
    }

    /// Returns the number K of special primes.
    #[must_use]
    pub fn special(&self) -> usize {
        self.0.literal.p_bits.len()
    }

    /// Returns the basis of all primes q_0 … q_L, p_0 … p_{K−1}.
    #[must_use]
    pub fn qp(&self) -> &RnsBasis {
        &self.0.qp
    }

    /// Returns the basis of q_0 … q_level and the first `special` special primes.
    ///
    /// # Errors
    /// [`Error::Level`].
    ///
    /// # Panics
    /// If there are fewer special primes.
    pub fn basis(&self, level: usize, special: usize) -> Result<RnsBasis> {
        self.check_level(level)?;
        let q = self.0.qp.range(0..level + 1);
        let first = self.max_level() + 1;
        Ok(if special == 0 { q } else { q.concat(&self.0.qp.range(first..first + special))? })
    }

    /// Returns the prime q_l.
    ///
    /// # Panics
    /// If l is above the highest level.
    #[must_use]
    pub fn q(&self, l: usize) -> &Modulus {
        assert!(l <= self.max_level(), "level {l} of {}", self.max_level());
        self.0.qp.modulus(l)
    }

    /// Returns the nominal scale Δ_level.
    ///
    /// # Panics
    /// If the level does not exist.
    #[must_use]
    pub fn scale(&self, level: usize) -> f64 {
        self.0.scales[level]
    }

    /// Returns log2 of q_0 ⋯ q_level.
    ///
    /// # Panics
    /// If the level does not exist.
    #[must_use]
    pub fn log_q(&self, level: usize) -> f64 {
        (0..=level).map(|l| self.q(l).as_f64().log2()).sum()
    }

    /// Returns log2 of the product of all primes, including the special ones, on which the security
    /// depends.
    #[must_use]
    pub fn log_qp(&self) -> f64 {
        self.0.qp.log2_product()
    }

    /// Returns the hash that identifies the parameters in stored objects.
    #[must_use]
    pub fn hash(&self) -> ParametersHash {
        self.0.hash
    }

    /// Returns the digits and special primes of a key made for this level.
    ///
    /// # Panics
    /// If the level does not exist.
    #[must_use]
    pub fn gadget_shape(&self, level: usize) -> GadgetShape {
        self.0.shapes[level]
    }

    /// Returns the gadget of keys made for this level.
    ///
    /// # Errors
    /// [`Error::Level`].
    pub fn gadget(&self, level: usize) -> Result<Arc<Gadget>> {
        self.check_level(level)?;
        let mut gadgets = lock(&self.0.gadgets);
        if let Some(gadget) = gadgets.get(&level) {
            return Ok(gadget.clone());
        }
        let GadgetShape { special, alpha } = self.gadget_shape(level);
        let first = self.max_level() + 1;
        let (q, p) = (self.0.qp.range(0..level + 1), self.0.qp.range(first..first + special));
        let gadget = Arc::new(Gadget::new(&q, &p, alpha)?);
        gadgets.insert(level, gadget.clone());
        Ok(gadget)
    }

    /// Returns the division by q_kept ⋯ q_{limbs−1} and the first `special` special primes.
    ///
    /// # Panics
    /// If nothing is kept or nothing is dropped, or if there are not enough primes.
    pub(crate) fn divider(&self, kept: usize, limbs: usize, special: usize) -> Arc<ModDown> {
        let make = || {
            let first = self.max_level() + 1;
            let parts = [kept..limbs, first..first + special];
            let mut dropped = parts.into_iter().filter(|part| !part.is_empty()).map(|part| self.0.qp.range(part));
            let first = dropped.next().expect("something is dropped");
            let dropped = dropped.fold(first, |a, b| a.concat(&b).expect("distinct primes"));
            Arc::new(ModDown::new(&self.0.qp.range(0..kept), &dropped).expect("distinct primes, at most 64"))
        };
        lock(&self.0.dividers).entry([kept, limbs, special]).or_insert_with(make).clone()
    }

    /// Returns the basis of all primes in the ring of degree 2^log_n, which consists of polynomials
    /// in X^(N/2^log_n).
    pub(crate) fn subring(&self, log_n: u32) -> Result<&RnsBasis> {
        if log_n == self.log_n() {
            return Ok(self.qp());
        }
        let cell = &self.0.subrings[log_n as usize];
        if cell.get().is_none() {
            // Two threads may both get here; one of the two equal bases is dropped.
            let _ = cell.set(RnsBasis::with_isa(log_n, &self.0.qp.moduli(), self.0.qp.isa())?);
        }
        Ok(cell.get().expect("was just set"))
    }

    /// Returns the embedding of 2^log_slots slots.
    pub(crate) fn embedding(&self, log_slots: u32) -> &SpecialFft {
        self.0.embeddings[log_slots as usize].get_or_init(|| SpecialFft::new(log_slots))
    }

    pub(crate) fn check_level(&self, level: usize) -> Result<()> {
        let max = self.max_level();
        if level > max { Err(Error::Level { level, max }) } else { Ok(()) }
    }

    /// Returns log2 of a number of slots.
    pub(crate) fn log_slots(&self, slots: usize) -> Result<u32> {
        let max = self.slots();
        if slots.is_power_of_two() && slots <= max { Ok(slots.ilog2()) } else { Err(Error::Slots { slots, max }) }
    }
}

/// Ignores poisoning, since no code panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

pub(crate) fn check(literal: &ParametersLiteral) -> Result<()> {
    let refuse = |reason: String| Err(Error::Parameters { name: literal.name.clone(), reason });
    let ParametersLiteral { name, log_n, q_bits, p_bits, secret, security } = literal;
    if !(MIN_LOG_N..=MAX_LOG_N).contains(log_n) {
        return refuse(format!("log_n = {log_n} is outside {MIN_LOG_N} to {MAX_LOG_N}"));
    }
    for (what, bits, min) in [("ciphertext", q_bits, 2), ("special", p_bits, 1)] {
        if !(min..=MAX_DIGIT).contains(&bits.len()) {
            return refuse(format!("{} {what} primes: must be from {min} to {MAX_DIGIT}", bits.len()));
        }
        if let Some((i, bits)) = bits.iter().enumerate().find(|(_, bits)| !BITS.contains(bits)) {
            return refuse(format!("{what} prime {i} of {bits} bits: must be from {} to {}", BITS.start(), BITS.end()));
        }
        if let Some(bits) = bits.iter().find(|&&bits| bits < log_n + 6) {
            // Near 2^b there are about 2^b/(b·N) primes that are 1 modulo 2N.
            return refuse(format!(
                "{what} primes of {bits} bits are too few at N = 2^{log_n}: use at least {}",
                log_n + 6
            ));
        }
    }
    let (special, largest) = (p_bits.iter().sum::<u32>(), q_bits.iter().copied().max().unwrap_or(0));
    if special < largest {
        return refuse(format!(
            "special primes of {special} bits in all for ciphertext primes of {largest} bits: add one"
        ));
    }
    match (security, secret) {
        (Security::Bits128, SecretDistribution::FixedWeight(weight)) => refuse(format!(
            "a secret of weight {weight} is not covered by the table for 128-bit security: use uniform ternary secrets"
        )),
        (Security::Insecure, _) if !(name.starts_with("test-") || name.starts_with("insecure-")) => {
            refuse("the name of insecure parameters has to begin with test- or insecure-".to_owned())
        }
        (_, SecretDistribution::FixedWeight(weight)) if *weight == 0 || *weight > 1 << log_n => {
            refuse(format!("a secret of weight {weight}: must be from 1 to {}", 1u64 << log_n))
        }
        _ => Ok(()),
    }
}

/// Refuses sizes that have too few primes: the chosen primes, or the scales that they leave,
/// are then far from 2^bits, and farther with every level. An eighth of a bit keeps digits of 8
/// limbs within the 2 bits by which they may exceed 8 special primes.
fn check_chain(literal: &ParametersLiteral, chain: &chain::Chain) -> Result<()> {
    const DEVIATION: f64 = 0.125;
    let primes = |list: &[Modulus]| list.iter().map(Modulus::as_f64).collect::<Vec<_>>();
    let (q, p, scales) = (primes(&chain.q), primes(&chain.p), &chain.scales);
    let (q_bits, p_bits) = (&literal.q_bits, &literal.p_bits);
    // A message at level 0 has the scale of the level above.
    for (what, first, bits, values) in [
        ("special prime", 0, &p_bits[..], &p[..]),
        ("ciphertext prime", 0, &q_bits[..], &q[..]),
        ("the scale at level", 1, &q_bits[1..], &scales[1..]),
    ] {
        let far = |(_, (bits, value)): &(usize, (&u32, &f64))| {
            let deviation = (value.log2() - f64::from(**bits)).abs();
            deviation.is_nan() || deviation > DEVIATION
        };
        // The deviation begins at the highest level that is far off, which is the one to report.
        if let Some((i, (bits, value))) = bits.iter().zip(values).enumerate().rfind(far) {
            return Err(Error::Parameters {
                name: literal.name.clone(),
                reason: format!(
                    "{what} {} of {bits} bits would be 2^{:.2}: there are too few primes of this size at N = 2^{}: use another size \
                     or fewer levels of it",
                    first + i,
                    value.log2(),
                    literal.log_n
                ),
            });
        }
    }
    Ok(())
}

fn hash(literal: &ParametersLiteral, moduli: &[Modulus]) -> ParametersHash {
    let mut sha = Sha256::new();
    sha.update(b"hetal parameters 1");
    sha.update(literal.log_n.to_le_bytes());
    sha.update((literal.q_bits.len() as u32).to_le_bytes());
    literal.q_bits.iter().for_each(|bits| sha.update(bits.to_le_bytes()));
    moduli.iter().for_each(|q| sha.update(q.value().to_le_bytes()));
    let (kind, weight) = match literal.secret {
        SecretDistribution::Ternary => (0u8, 0),
        SecretDistribution::FixedWeight(weight) => (1, weight as u64),
    };
    sha.update([kind, u8::from(literal.security == Security::Insecure)]);
    sha.update(weight.to_le_bytes());
    let digest = sha.finalize();
    ParametersHash(std::array::from_fn(|i| digest[i]))
}
