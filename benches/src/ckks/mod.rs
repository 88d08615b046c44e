//! The CKKS layer. Each case owns its operands and results, does one operation per call, and checks
//! all of them against plain arithmetic on the slots.

mod circuits;
mod client;
pub mod stored;

use hetal::ckks::params::Parameters;
use hetal::{Complex64, Encoder, Plaintext, SecretKey};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

pub use circuits::{Circuits, Operation};
pub use client::{Client, ClientOperation};

/// Slots may differ from those of plain arithmetic by less than this.
pub const TOLERANCE: f64 = 1.0 / (1 << 18) as f64;

/// The levels that are measured besides the highest: those of 13 and 25 limbs.
const LEVELS: [usize; 2] = [12, 24];

/// Parameters and a secret, the same in every run, which all cases share.
#[derive(Debug)]
pub struct Setup {
    encoder: Encoder,
    secret: SecretKey,
}

impl Setup {
    /// Makes the setup for a preset of `hetal`.
    ///
    /// # Errors
    /// Those of [`Parameters::preset`] and [`SecretKey::generate`].
    pub fn new(preset: &str) -> hetal::Result<Self> {
        settle();
        let params = Parameters::preset(preset)?;
        Ok(Self { encoder: Encoder::new(&params), secret: SecretKey::generate(&params, &mut rng(0))? })
    }

    /// Returns the parameters.
    #[must_use]
    pub const fn params(&self) -> &Parameters {
        self.encoder.params()
    }

    /// Returns the levels to measure at, the highest last.
    #[must_use]
    pub fn levels(&self) -> Vec<usize> {
        let highest = self.params().max_level();
        LEVELS.into_iter().filter(|&level| level < highest).chain([highest]).collect()
    }

    /// Returns random slots in the unit disc.
    fn slots(&self, rng: &mut impl Rng) -> Vec<Complex64> {
        let mut uniform = || (rng.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
        (0..self.params().slots()).map(|_| Complex64::new(uniform(), uniform()) * 0.5f64.sqrt()).collect()
    }

    /// Checks that a plaintext holds these slots, within [`TOLERANCE`].
    fn compare(&self, what: &str, plaintext: &Plaintext, expected: &[Complex64]) -> Result<(), String> {
        compare(what, &self.encoder.decode(plaintext).map_err(|error| format!("{what}: {error}"))?, expected)
    }
}

/// Checks that slots are as expected, within [`TOLERANCE`].
fn compare(what: &str, found: &[Complex64], expected: &[Complex64]) -> Result<(), String> {
    let lengths = [found, expected].map(<[_]>::len);
    if lengths[0] != lengths[1] {
        return Err(format!("{what}: {} slots instead of {}", lengths[0], lengths[1]));
    }
    // The largest difference would not do: `max` drops NaN.
    let close = |(x, y): (&Complex64, &Complex64)| (x - y).norm() < TOLERANCE;
    match found.iter().zip(expected).position(|pair| !close(pair)) {
        Some(slot) => Err(format!("{what}: slot {slot} is {} instead of {}", found[slot], expected[slot])),
        None => Ok(()),
    }
}

/// Lets the allocator keep freed memory. That of glibc hands blocks above a threshold back to the
/// system at once, so that every operation takes new pages. The threshold grows when a larger block
/// is freed: here, one of nearly 32 MiB, the largest that counts.
fn settle() {
    drop(std::hint::black_box(vec![1u8; 31 << 20]));
}

/// Returns a generator that is the same in every run.
fn rng(label: usize) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(label as u64)
}

/// Returns a pool of so many threads. In a pool of one, everything that `install` runs is done by
/// one thread, which the pool owns: only there does [`thread_time`](crate::timing::thread_time)
/// give the CPU time of the work.
///
/// # Errors
/// If the system refuses threads.
pub fn pool(threads: usize) -> Result<ThreadPool, ThreadPoolBuildError> {
    ThreadPoolBuilder::new().num_threads(threads).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slots that differ by the tolerance, NaN, and other numbers of slots are noticed.
    #[test]
    fn wrong_slots_are_found() {
        let one = [Complex64::ONE];
        assert!(compare("close", &one, &[Complex64::new(1.0, 1e-6)]).is_ok());
        for wrong in [vec![], vec![Complex64::new(1.0, 4e-6)], vec![Complex64::new(f64::NAN, 0.0)]] {
            assert!(compare("wrong", &one, &wrong).is_err(), "{wrong:?}");
        }
    }

    /// The cases pass their checks against plain arithmetic at N = 2^10, at all measured levels.
    #[test]
    fn everything_is_right_in_a_small_ring() {
        let setup = Setup::new("test-10").unwrap();
        assert_eq!(setup.levels(), [12, 24, 29]);
        Client::new(&setup).unwrap().check().unwrap();
        for level in setup.levels() {
            Circuits::new(&setup, level).unwrap().check().unwrap();
        }
    }
}
