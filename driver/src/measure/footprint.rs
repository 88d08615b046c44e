//! Bytes of memory of keys and ciphertexts, computed from the parameters, and a measurement that
//! checks the computation.

use std::sync::Arc;

use hetal_kernel::rns::GROUP;
use hetal_kernel::{Eval, KeySwitchKey, RnsPoly};
use num_complex::Complex64;
use serde::Serialize;

use crate::base::error::{Error, Result};
use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::encoding::Encoder;
use crate::ckks::eval::Evaluator;
use crate::ckks::keys::{KeyRequests, PublicKey, SecretKey, entropy};
use crate::ckks::params::Parameters;

/// The bytes of memory that objects take under one set of parameters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Footprint {
    /// The tables of the transforms of all primes.
    pub tables: usize,
    /// A secret key, modulo all primes.
    pub secret_key: usize,
    /// A public key.
    pub public_key: usize,
    /// The sizes that depend on the level, by level.
    pub levels: Vec<Level>,
    /// A process that holds the tables, a secret key, a public key, a relinearisation key and a
    /// Galois key for the top level, and two ciphertexts, and multiplies these (see [`measure`]).
    pub process: usize,
}

/// The sizes at one level.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Level {
    /// The level.
    pub level: usize,
    /// The log2 of its nominal scale.
    pub log_scale: f64,
    /// The number of special primes of a key for this level.
    pub special: usize,
    /// The number of digits of a key for this level.
    pub digits: usize,
    /// A ciphertext of degree 1.
    pub ciphertext: usize,
    /// An evaluation key without the permutation of a Galois key.
    pub evaluation_key: usize,
}

impl Footprint {
    /// Computes the sizes.
    ///
    /// # Errors
    /// None for checked parameters.
    pub fn new(params: &Parameters) -> Result<Self> {
        let (n, top) = (params.n(), params.max_level());
        let poly = |limbs| RnsPoly::<Eval>::bytes(n, limbs);
        let level = |level: usize| {
            let gadget = params.gadget(level)?;
            Ok(Level {
                level,
                log_scale: params.scale(level).log2(),
                special: gadget.special(),
                digits: gadget.digits(level + 1),
                ciphertext: 2 * poly(level + 1),
                evaluation_key: KeySwitchKey::memory_bytes(&gadget),
            })
        };
        let levels = (0..=top).map(level).collect::<Result<Vec<_>>>()?;
        let tables = (0..params.qp().len()).map(|i| params.qp().table(i).table_bytes()).sum();
        let secret_key = n + poly(params.qp().len());
        let public_key = 2 * poly(top + 2);
        let requests = requests(params);
        // The product needs memory for the part that is relinearised, the result, the work space of
        // the digits and the limbs that are divided away; in addition, each thread needs memory for
        // the lifted digits of a group and for what is subtracted from both parts.
        let (limbs, digits, special) = (top + 1, levels[top].digits, levels[top].special);
        let workspace = poly(limbs + digits)
            + 2 * poly(special + 1)
            + rayon::current_num_threads() * poly(GROUP * digits + 2 * GROUP + 2);
        let product = 3 * levels[top].ciphertext + poly(limbs) + workspace;
        let process = tables + secret_key + public_key + requests.memory_bytes(params)? + product;
        Ok(Self { tables, secret_key, public_key, levels, process })
    }
}

/// Returns the requests for the keys of the measured process.
fn requests(params: &Parameters) -> KeyRequests {
    KeyRequests::default().relinearisation(params.max_level()).rotation(params, 1, params.max_level())
}

/// Makes the objects that [`Footprint::process`] counts and returns the largest memory that this
/// process has held. The memory held before is subtracted. So are the pages of the program itself
/// that were read meanwhile, whose number depends on the compiler.
/// The tables of the parameters count, although they existed before.
///
/// # Errors
/// [`Error::Unsupported`] if the system does not tell; those of key generation.
pub fn measure(params: &Parameters) -> Result<usize> {
    let (before, code) = (resident()?, status("RssFile:")?);
    let tables = Footprint::new(params)?.tables;
    let mut rng = entropy()?;
    let secret = SecretKey::generate(params, &mut rng)?;
    let public = PublicKey::generate(&secret, &mut rng);
    let keys = secret.evaluation_keys(&requests(params), &mut rng)?;
    let (encoder, level) = (Encoder::new(params), params.max_level());
    let plaintext = encoder.encode(&[Complex64::ONE], level, params.scale(level))?;
    let ciphertexts = [secret.encrypt(&plaintext, &mut rng)?, public.encrypt(params, &plaintext, &mut rng)?];
    drop(plaintext);
    let evaluator = Evaluator::new(params, Arc::new(keys));
    let mut product = Ciphertext::empty(params);
    evaluator.mul_into(&ciphertexts[0], &ciphertexts[1], &mut product)?;
    let code = status("RssFile:")?.saturating_sub(code);
    Ok(peak()?.saturating_sub(before + code) + tables)
}

/// Returns the largest memory that this process has held, in bytes.
///
/// # Errors
/// [`Error::Unsupported`] if the system does not tell.
pub fn peak() -> Result<usize> {
    status("VmHWM:")
}

/// Returns the memory that this process holds now, in bytes.
///
/// # Errors
/// [`Error::Unsupported`] if the system does not tell.
pub fn resident() -> Result<usize> {
    status("VmRSS:")
}

/// Returns the value of a line of the process's status, in bytes.
fn status(name: &str) -> Result<usize> {
    let unsupported = || Error::Unsupported { what: "the memory of a process on this system" };
    let text = std::fs::read_to_string("/proc/self/status").map_err(|_| unsupported())?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or_else(unsupported)?;
    let kib: usize = line.trim().trim_end_matches("kB").trim().parse().map_err(|_| unsupported())?;
    Ok(kib * 1024)
}
