//! Code shared by the suites: parameters, keys, worst-case and random vectors, and the [model] of
//! the noise.
#![allow(dead_code, reason = "every suite uses its part of this module")]

pub(crate) mod model;
pub(crate) mod program;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use hetal::base::fft::SpecialFft;
use hetal::{Ciphertext, Complex64, Encoder, Evaluator, KeyRequests, KeySet, Parameters, SecretKey};
use proptest::prelude::ProptestConfig;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// Returns the parameters of a preset, which are made once in a process.
pub(crate) fn params(name: &str) -> Parameters {
    static MADE: LazyLock<Mutex<HashMap<String, Parameters>>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry(name.to_owned()).or_insert_with(|| Parameters::preset(name).expect("a preset")).clone()
}

/// The configuration of the property tests: `cases` cases, unless PROPTEST_CASES says otherwise.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").map_or(cases, |text| text.parse().expect("PROPTEST_CASES: a number"));
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// Returns a number that is uniform in [−1, 1).
pub(crate) fn unit(rng: &mut ChaCha20Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

/// Returns a random number below `n`.
pub(crate) fn below(rng: &mut ChaCha20Rng, n: usize) -> usize {
    (rng.next_u64() % n as u64) as usize
}

/// Returns complex numbers with both parts uniform in [−1, 1).
pub(crate) fn random(rng: &mut ChaCha20Rng, slots: usize) -> Vec<Complex64> {
    (0..slots).map(|_| Complex64::new(unit(rng), unit(rng))).collect()
}

/// Repeats the vector up to `slots` values.
pub(crate) fn repeated(values: &[Complex64], slots: usize) -> Vec<Complex64> {
    values.iter().copied().cycle().take(slots).collect()
}

/// Returns the larger of two numbers; NaN counts as infinity, so that it is visible.
fn larger(a: f64, b: f64) -> f64 {
    if a > b {
        a
    } else if b.is_nan() {
        f64::INFINITY
    } else {
        b
    }
}

/// Returns the largest distance between the entries of two vectors.
pub(crate) fn distance(a: &[Complex64], b: &[Complex64]) -> f64 {
    assert_eq!(a.len(), b.len(), "lengths");
    a.iter().zip(b).map(|(a, b)| (a - b).norm()).fold(0.0, larger)
}

/// Returns the largest magnitude.
pub(crate) fn largest(values: &[Complex64]) -> f64 {
    values.iter().map(|z| z.norm()).fold(0.0, larger)
}

/// One secret with some keys, and the objects that use them.
pub(crate) struct Setup {
    pub(crate) params: Parameters,
    pub(crate) encoder: Encoder,
    pub(crate) secret: SecretKey,
    pub(crate) keys: Arc<KeySet>,
    pub(crate) evaluator: Evaluator,
    /// |s(ζ^(5^j))|² for every slot j: the factor by which the variance of the rounding error of the second part of a ciphertext is multiplied.
    pub(crate) secret_slots: Vec<f64>,
}

impl Setup {
    pub(crate) fn new(name: &str, seed: u64, requests: impl FnOnce(&Parameters) -> KeyRequests) -> Self {
        let (params, mut rng) = (params(name), rng(seed));
        let secret = SecretKey::generate(&params, &mut rng).expect("a secret");
        let keys = secret.evaluation_keys(&requests(&params), &mut rng).expect("keys");
        let keys = Arc::new(keys);
        let half = params.slots();
        let [mut re, mut im] =
            [0, half].map(|at| secret.coefficients()[at..at + half].iter().map(|&s| f64::from(s)).collect::<Vec<_>>());
        SpecialFft::new(half.ilog2()).to_slots(&mut re, &mut im);
        let secret_slots = re.iter().zip(&im).map(|(re, im)| re * re + im * im).collect();
        let evaluator = Evaluator::new(&params, keys.clone());
        Self { encoder: Encoder::new(&params), evaluator, params, secret, keys, secret_slots }
    }

    /// Encrypts these values at a level and scale.
    pub(crate) fn encrypt(&self, values: &[Complex64], level: usize, scale: f64, rng: &mut ChaCha20Rng) -> Ciphertext {
        let plaintext = self.encoder.encode(values, level, scale).expect("values that fit");
        self.secret.encrypt(&plaintext, rng).expect("a ciphertext")
    }

    /// Encrypts these values at the nominal scale of a level.
    pub(crate) fn fresh(&self, values: &[Complex64], level: usize, rng: &mut ChaCha20Rng) -> Ciphertext {
        self.encrypt(values, level, self.params.scale(level), rng)
    }

    pub(crate) fn decrypt(&self, ciphertext: &Ciphertext) -> Vec<Complex64> {
        self.encoder.decode(&self.secret.decrypt(ciphertext).expect("a plaintext")).expect("values")
    }
}

/// The rotations that [`all_keys`] asks for.
pub(crate) fn rotations(params: &Parameters) -> [i64; 4] {
    [1, -3, 7, params.slots() as i64 / 2]
}

/// Requests keys of all kinds at these levels.
pub(crate) fn all_keys(params: &Parameters, levels: impl IntoIterator<Item = usize>) -> KeyRequests {
    levels.into_iter().fold(KeyRequests::default(), |requests, level| {
        let requests = requests.relinearisation(level).conjugation(params, level);
        rotations(params).into_iter().fold(requests, |requests, k| requests.rotation(params, k, level))
    })
}

/// The hashes of the presets, by which stored objects name their parameters.
pub(crate) const HASHES: [(&str, &str); 4] = [
    ("n16", "d4c1e26c3424f5ec25b2995f6dc2d3cd"),
    ("test-10", "b4c464203bd5701678ca35c740e59113"),
    ("test-11", "28c33baf42a872d52ae8892b2c8021bb"),
    ("test-13", "24bf1e1223b8a6df7908e2c64f23f379"),
];
