//! The search for NTT-friendly primes q = 1 mod 2N.

use alloc::vec::Vec;

use crate::error::Error;
use crate::modulus::Modulus;

pub use crate::modulus::is_prime;

/// The direction in which [`NttPrimes`] walks from its starting size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Upwards, from the first candidate at or above the size.
    Ascending,
    /// Downwards, from the first candidate below the size.
    Descending,
}

/// An iterator over the primes q = 1 mod 2N from a given size on, all distinct and below 2^50.
///
/// ```
/// use hetal_kernel::primes::{Direction, NttPrimes};
/// let q: Vec<u64> = NttPrimes::new(16, 1 << 40, Direction::Descending)?.take(2).map(|q| q.value()).collect();
/// assert!(q[0] > q[1] && q[0] < 1 << 40 && q.iter().all(|q| q % (1 << 17) == 1));
/// # Ok::<(), hetal_kernel::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct NttPrimes {
    step: u64,
    next: Option<u64>,
    direction: Direction,
}

impl NttPrimes {
    /// Starts at `size` (a value, not a number of bits) for ring degree 2^log_n. Ascending yields
    /// primes ≥ size and descending yields primes < size, so the two directions never meet.
    ///
    /// # Errors
    /// [`Error::RingDegree`] if log_n > 17, [`Error::PrimeSize`] if size > 2^50.
    pub fn new(log_n: u32, size: u64, direction: Direction) -> Result<Self, Error> {
        if log_n > crate::MAX_LOG_N {
            return Err(Error::RingDegree { log_n });
        }
        if size > 1 << Modulus::MAX_BITS {
            return Err(Error::PrimeSize { size });
        }
        let step = 2u64 << log_n;
        let above = size.saturating_sub(1).div_ceil(step) * step + 1;
        let next = match direction {
            Direction::Ascending => Some(above),
            Direction::Descending => above.checked_sub(step),
        };
        Ok(Self { step, next, direction })
    }
}

impl Iterator for NttPrimes {
    type Item = Modulus;

    fn next(&mut self) -> Option<Modulus> {
        while let Some(candidate) = self.next.filter(|&c| c >> Modulus::MAX_BITS == 0) {
            self.next = match self.direction {
                Direction::Ascending => Some(candidate + self.step),
                Direction::Descending => candidate.checked_sub(self.step),
            };
            if let Ok(q) = Modulus::new(candidate) {
                return Some(q);
            }
        }
        self.next = None;
        None
    }
}

/// Returns the `count` primes q = 1 mod 2N nearest below 2^bits, in descending order.
///
/// # Errors
/// [`Error::RingDegree`] if log_n > 17, [`Error::Count`] for bits outside log_n + 2 … 50 (smaller
/// primes are not 1 modulo 2N, larger ones are not moduli), [`Error::NotEnoughPrimes`] if fewer
/// exist.
pub fn below_bits(log_n: u32, bits: u32, count: usize) -> Result<Vec<Modulus>, Error> {
    if log_n > crate::MAX_LOG_N {
        return Err(Error::RingDegree { log_n });
    }
    let (min, max) = (log_n + 2, Modulus::MAX_BITS);
    if !(min..=max).contains(&bits) {
        let [value, min, max] = [bits, min, max].map(|bits| bits as usize);
        return Err(Error::Count { what: "bits of a prime", value, min, max });
    }
    let found: Vec<_> = NttPrimes::new(log_n, 1 << bits, Direction::Descending)?.take(count).collect();
    if found.len() < count {
        return Err(Error::NotEnoughPrimes { found: found.len(), wanted: count });
    }
    Ok(found)
}
