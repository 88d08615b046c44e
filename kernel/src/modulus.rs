//! One NTT-friendly prime below 2^50 and its scalar reference arithmetic.
//!
//! Scalars in this module are canonical residues in [0, q). These functions run at set-up,
//! in samplers, at the public boundary and as the reference that the vector code is tested against;
//! the hot loops are in [`crate::ntt`]. Where a function says that an argument is canonical or
//! below a bound, this is not checked: beyond it the result is unspecified, and a build with
//! overflow checks may panic.

use crate::MAX_LOG_N;
use crate::error::Error;

/// A prime 3 ≤ q < 2^50 with its constants.
///
/// The bound 2^50 makes products of residues exact in pairs of `f64`:
/// see the [ranges](crate#numbers-and-ranges).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Modulus {
    q: u64,
    /// The Barrett constant µ = ⌊2^(bits+63)/q⌋, see `reduce_u128`.
    barrett: u64,
    bits: u32,
}

impl Modulus {
    /// The bit length that bounds all moduli: they are below 2^50.
    pub const MAX_BITS: u32 = 50;

    /// Makes the modulus from an odd prime below 2^50.
    ///
    /// # Errors
    /// [`Error::NotAPrime`] for anything else. The test is deterministic (Miller-Rabin,
    /// [`is_prime`]).
    pub fn new(q: u64) -> Result<Self, Error> {
        if q < 3 || q >> Self::MAX_BITS != 0 || !is_prime(q) {
            return Err(Error::NotAPrime { value: q });
        }
        let bits = u64::BITS - q.leading_zeros();
        // 2^(bits-1) < q < 2^bits, so 2^63 < 2^(bits+63) / q < 2^64.
        let barrett = ((1u128 << (bits + 63)) / u128::from(q)) as u64;
        Ok(Self { q, barrett, bits })
    }

    /// The prime itself.
    #[inline]
    #[must_use]
    pub const fn value(&self) -> u64 {
        self.q
    }

    /// The prime as `f64`, which is exact.
    #[inline]
    #[must_use]
    pub const fn as_f64(&self) -> f64 {
        self.q as f64
    }

    /// The bit length of the prime: 2^(bits-1) < q < 2^bits.
    #[inline]
    #[must_use]
    pub const fn bits(&self) -> u32 {
        self.bits
    }

    /// Returns a + b mod q for canonical a, b.
    #[inline]
    #[must_use]
    pub const fn add(&self, a: u64, b: u64) -> u64 {
        sub_if_not_below(a + b, self.q)
    }

    /// Returns a − b mod q for canonical a, b.
    #[inline]
    #[must_use]
    pub const fn sub(&self, a: u64, b: u64) -> u64 {
        sub_if_not_below(a + self.q - b, self.q)
    }

    /// Returns −a mod q for canonical a.
    #[inline]
    #[must_use]
    pub const fn neg(&self, a: u64) -> u64 {
        sub_if_not_below(self.q - a, self.q)
    }

    /// Returns a·b mod q for canonical a, b.
    #[inline]
    #[must_use]
    pub const fn mul(&self, a: u64, b: u64) -> u64 {
        self.reduce_u128(a as u128 * b as u128)
    }

    /// Returns x mod q for x < 2^(bits + 63), which includes every product of canonical residues
    /// and every u64 (Barrett, Crypto '86).
    ///
    /// With t = ⌊x / 2^(bits−1)⌋ < 2^64 and µ = ⌊2^(bits+63)/q⌋, the quotient ⌊tµ/2^64⌋ is at most
    /// 2 below ⌊x/q⌋.
    #[inline]
    #[must_use]
    pub const fn reduce_u128(&self, x: u128) -> u64 {
        debug_assert!(x >> (self.bits + 63) == 0);
        let t = (x >> (self.bits - 1)) as u64;
        let quotient = ((t as u128 * self.barrett as u128) >> 64) as u64;
        let r = (x as u64).wrapping_sub(quotient.wrapping_mul(self.q));
        sub_if_not_below(sub_if_not_below(r, 2 * self.q), self.q)
    }

    /// Returns x mod q for any x.
    #[inline]
    #[must_use]
    pub const fn reduce(&self, x: u64) -> u64 {
        self.reduce_u128(x as u128)
    }

    /// Returns x mod q in [0, q) for any signed x.
    #[inline]
    #[must_use]
    pub const fn reduce_i64(&self, x: i64) -> u64 {
        self.neg_if(self.reduce(x.unsigned_abs()), x >> 63)
    }

    /// Returns −a mod q if `mask` is all ones, or a if it is 0.
    #[inline(always)]
    pub(crate) const fn neg_if(&self, a: u64, mask: i64) -> u64 {
        a ^ ((a ^ self.neg(a)) & mask as u64)
    }

    /// Returns the representative of canonical a in [−(q−1)/2, (q−1)/2].
    #[inline]
    #[must_use]
    pub const fn centre(&self, a: u64) -> i64 {
        // The mask is all ones if a > q/2.
        let above = (((self.q / 2) as i64 - a as i64) >> 63) as u64;
        a as i64 - (self.q & above) as i64
    }

    /// Returns a^e mod q for any a. The time depends on e, so this is for public exponents.
    #[must_use]
    pub const fn pow_vartime(&self, a: u64, mut e: u64) -> u64 {
        let (mut base, mut r) = (self.reduce(a), 1);
        while e != 0 {
            if e & 1 == 1 {
                r = self.mul(r, base);
            }
            base = self.mul(base, base);
            e >>= 1;
        }
        r
    }

    /// Returns a^−1 mod q (Fermat) for any a, or `None` for multiples of q.
    #[must_use]
    pub const fn inv(&self, a: u64) -> Option<u64> {
        if self.reduce(a) == 0 { None } else { Some(self.pow_vartime(a, self.q - 2)) }
    }

    /// Returns the primitive 2N-th root of unity of smallest base: g^((q−1)/2N) for the first
    /// g = 2, 3, … for which it has order 2N.
    ///
    /// # Errors
    /// [`Error::RingDegree`] if log_n > 17, [`Error::NoRootOfUnity`] if q is not 1 modulo 2N.
    pub fn root_of_unity(&self, log_n: u32) -> Result<u64, Error> {
        if log_n > MAX_LOG_N {
            return Err(Error::RingDegree { log_n });
        }
        let two_n = 2u64 << log_n;
        if !(self.q - 1).is_multiple_of(two_n) {
            return Err(Error::NoRootOfUnity { modulus: self.q, log_n });
        }
        // An element has order exactly 2N = 2^k iff its N-th power is −1; half of all g give one.
        (2..self.q)
            .map(|g| self.pow_vartime(g, (self.q - 1) / two_n))
            .find(|&psi| self.pow_vartime(psi, two_n / 2) == self.q - 1)
            .ok_or(Error::NoRootOfUnity { modulus: self.q, log_n })
    }
}

/// Returns x − m if that is not negative, else x, for x, m < 2^63.
#[inline(always)]
const fn sub_if_not_below(x: u64, m: u64) -> u64 {
    let d = x.wrapping_sub(m);
    // The top bit tells whether d is negative.
    d.wrapping_add(m & (d >> 63).wrapping_neg())
}

/// Tests whether n is prime with a Miller-Rabin test that is deterministic for every u64 (the first
/// twelve primes suffice as bases: Sorenson and Webster, 2015).
#[must_use]
pub fn is_prime(n: u64) -> bool {
    const BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if n < 2 {
        return false;
    }
    for b in BASES {
        if n.is_multiple_of(b) {
            return n == b;
        }
    }
    let mul = |a: u64, b: u64| (u128::from(a) * u128::from(b) % u128::from(n)) as u64;
    let (s, d) = ((n - 1).trailing_zeros(), (n - 1) >> (n - 1).trailing_zeros());
    BASES.iter().all(|&b| {
        let (mut x, mut base, mut e) = (1, b, d);
        while e != 0 {
            if e & 1 == 1 {
                x = mul(x, base);
            }
            base = mul(base, base);
            e >>= 1;
        }
        if x == 1 || x == n - 1 {
            return true;
        }
        for _ in 1..s {
            x = mul(x, x);
            if x == n - 1 {
                return true;
            }
        }
        false
    })
}
