//! Encodes vectors of complex numbers as polynomials and decodes them:
//! the canonical embedding, rounded (Cheon, Kim, Kim and Song,
//! [ASIACRYPT 2017](https://eprint.iacr.org/2016/421), Section 3.2).
//!
//! A polynomial m(X) with real coefficients is determined by the vector of its values
//! z_j = m(ζ^(5^j)) with ζ = exp(πi/N) and j < N/2; the other N/2 roots of X^N + 1 are conjugate to
//! these. Encoding computes the coefficients from z, multiplies them by the scale Δ and rounds them
//! to integers; decoding evaluates the polynomial and divides by Δ.
//! Products of polynomials are products of slots, X → X^5 rotates the slots by one,
//! X → X^−1 conjugates them, and X^(N/2) is i in every slot.
//!
//! A vector of n = 2^k < N/2 slots is encoded as a polynomial in X^(N/2n), which represents the
//! vector repeated N/2n times. Its transforms are those of a ring of degree 2n, each value of which
//! occurs N/2n times in a row, and they cost no more than in that ring.
//!
//! **Error.** Rounding changes a coefficient by at most 1/2. Hence it changes a slot by at most n/Δ
//! and typically, if the errors are independent, by √(2n/12)/Δ: 2^−34 for 2^15 slots at Δ = 2^40.
//! The transforms work in double precision: they add about 2^−50 of the largest slot.

use hetal_kernel::rns::crt::CrtComposer;
use hetal_kernel::{Eval, MIN_LOG_N, Modulus, NttTable, RnsPoly};
use num_complex::Complex64;
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::base::error::{Error, Result};
use crate::base::parallel::for_each;
use crate::ckks::ciphertext::Plaintext;
use crate::ckks::params::Parameters;

/// Encodes and decodes under one set of parameters.
#[derive(Clone, Debug)]
pub struct Encoder {
    params: Parameters,
}

/// The rounded coefficients of an encoded vector, before they are reduced modulo any prime.
/// They take 8 bytes for each coefficient of the ring of degree 2·slots, and the limbs of any level
/// can be made from them.
#[derive(Clone, Debug, PartialEq)]
pub struct Coefficients {
    /// The integer coefficients, in the ring of degree 2^log_n.
    values: Vec<f64>,
    log_slots: u32,
    scale: f64,
    /// The log2 of twice the largest magnitude; −∞ if all are zero.
    log_size: f64,
}

impl Coefficients {
    /// Returns the bytes of memory that the coefficients take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of_val(self.values.as_slice())
    }

    /// Returns the scale.
    #[must_use]
    pub const fn scale(&self) -> f64 {
        self.scale
    }

    fn log_n(&self) -> u32 {
        self.values.len().ilog2()
    }
}

/// All integers from −2^53 to 2^53 can be represented in `f64`.
const EXACT: f64 = (1u64 << 53) as f64;
/// The radix in which larger integers are reduced.
const RADIX_BITS: u32 = 52;
const RADIX: f64 = (1u64 << RADIX_BITS) as f64;

/// Tells whether an integer is too large for a modulus. `needed` is the log2 of its magnitude,
/// plus one bit for the sign, and `log_q` is the log2 of the modulus.
/// The logarithms are sums of rounded ones, which are off by less than 2^−36 for up to 2^10 limbs:
/// what is nearer to the modulus than 2^−30 counts as too large.
pub(crate) fn exceeds(needed: f64, log_q: f64) -> bool {
    needed >= log_q - 1.0 / (1u64 << 30) as f64
}

impl Encoder {
    /// Creates an encoder, which shares the tables of the parameters.
    #[must_use]
    pub fn new(params: &Parameters) -> Self {
        Self { params: params.clone() }
    }

    /// Returns the parameters.
    #[must_use]
    pub const fn params(&self) -> &Parameters {
        &self.params
    }

    /// Encodes complex slots (or `f64` ones) at a level and a scale.
    /// The number of values has to be a power of two up to N/2.
    ///
    /// # Errors
    /// [`Error::Slots`], [`Error::Level`], [`Error::NotFinite`]; [`Error::Scale`] for a scale that
    /// is not positive and below the modulus, [`Error::Overflow`] if the scaled values are not
    /// below it.
    pub fn encode<T: Into<Complex64> + Copy + Sync>(
        &self,
        values: &[T],
        level: usize,
        scale: f64,
    ) -> Result<Plaintext> {
        self.params.check_level(level)?;
        let log_q = self.params.log_q(level);
        if !(scale.is_finite() && scale > 0.0 && scale.log2() < log_q) {
            return Err(Error::Scale { scale, level, log_q });
        }
        self.expand(&self.coefficients(values, scale)?, level)
    }

    /// Returns the rounded coefficients of a vector at a scale.
    ///
    /// # Errors
    /// [`Error::Slots`], [`Error::NotFinite`]; [`Error::Range`] for a scale that is not positive
    /// and finite.
    pub fn coefficients<T: Into<Complex64> + Copy + Sync>(&self, values: &[T], scale: f64) -> Result<Coefficients> {
        let log_slots = self.params.log_slots(values.len())?;
        if !(scale.is_finite() && scale > 0.0) {
            return Err(Error::Range { what: "scale", value: scale, min: f64::MIN_POSITIVE, max: f64::MAX });
        }
        let complex = values.iter().map(|&value| value.into());
        if let Some((slot, z)) = complex.clone().enumerate().find(|(_, z)| !z.is_finite()) {
            return Err(Error::NotFinite { slot, value: if z.re.is_finite() { z.im } else { z.re } });
        }
        let (mut re, mut im): (Vec<_>, Vec<_>) = complex.map(|z| (z.re, z.im)).unzip();
        self.params.embedding(log_slots).to_coefficients(&mut re, &mut im);
        // The smallest ring is larger than that of very few slots: its other coefficients are zero.
        let n = (2 << log_slots).max(1 << MIN_LOG_N);
        let mut coefficients = vec![0.0; n];
        let (gap, (low, high)) = (n / (2 << log_slots), coefficients.split_at_mut(n / 2));
        let mut largest = 0.0f64;
        for (half, part) in [(low, re), (high, im)] {
            for (c, x) in half.iter_mut().step_by(gap).zip(part) {
                *c = (x * scale).round_ties_even();
                // Values or a scale that overflow in the transform leave NaN, which `max` would
                // ignore.
                largest = if c.is_finite() { largest.max(c.abs()) } else { f64::INFINITY };
            }
        }
        Ok(Coefficients { values: coefficients, log_slots, scale, log_size: largest.log2() + 1.0 })
    }

    /// Returns the plaintext of these coefficients at a level.
    ///
    /// # Errors
    /// [`Error::Level`], [`Error::Overflow`]; [`Error::Slots`] for coefficients of more slots than
    /// the ring has.
    pub fn expand(&self, coefficients: &Coefficients, level: usize) -> Result<Plaintext> {
        self.params.check_level(level)?;
        self.params.log_slots(1 << coefficients.log_slots)?;
        let mut poly = RnsPoly::zero(self.params.n(), level + 1);
        self.expand_into(coefficients, level, &mut poly)?;
        let (hash, scale, log_slots) = (self.params.hash(), coefficients.scale, coefficients.log_slots);
        Ok(Plaintext { hash, poly, scale, log_slots, decrypted: false })
    }

    /// Writes the limbs q_0 … q_level of these coefficients to `poly`, then those of the first
    /// special primes: as many as `poly` has limbs left.
    pub(crate) fn expand_into(
        &self,
        coefficients: &Coefficients,
        level: usize,
        poly: &mut RnsPoly<Eval>,
    ) -> Result<()> {
        self.params.check_level(level)?;
        let (needed, scale, log_q) = (coefficients.log_size, coefficients.scale, self.params.log_q(level));
        if exceeds(needed, log_q) {
            return Err(Error::Overflow { needed, scale, level, log_q });
        }
        let basis = self.params.subring(coefficients.log_n())?;
        let special = self.params.max_level() + 1;
        let digits = radix_digits(&coefficients.values);
        for_each(poly.limbs_mut(), |j, limb| {
            let table = basis.table(if j <= level { j } else { special + j - level - 1 });
            let n = table.n();
            reduce_into(table, &coefficients.values, &digits, &mut limb[..n]);
            table.forward(&mut limb[..n]);
            // Value i of the small ring is that at the places i·gap … (i + 1)·gap − 1,
            // in the order of the transform.
            let gap = limb.len() / n;
            for i in (0..n).rev().filter(|_| gap > 1) {
                let value = limb[i];
                limb[i * gap..(i + 1) * gap].fill(value);
            }
        });
        Ok(())
    }

    /// Decodes a plaintext: takes the exact integers modulo q_0 ⋯ q_level, nearest to 0,
    /// divides them by the scale and evaluates. Only the result is left in memory:
    /// intermediate values are wiped.
    ///
    /// # Errors
    /// [`Error::OtherParameters`].
    pub fn decode(&self, plaintext: &Plaintext) -> Result<Vec<Complex64>> {
        let parts = self.decode_parts(plaintext)?;
        let (re, im) = parts.split_at(plaintext.slots());
        Ok(re.iter().zip(im).map(|(&re, &im)| Complex64::new(re, im)).collect())
    }

    /// Returns the real parts of all slots, followed by the imaginary parts.
    fn decode_parts(&self, plaintext: &Plaintext) -> Result<Zeroizing<Vec<f64>>> {
        plaintext.check(&self.params)?;
        let (n, slots, limbs) = (self.params.n(), plaintext.slots(), plaintext.level() + 1);
        let basis = self.params.qp();
        let mut residues = Zeroizing::new(vec![vec![0; n]; limbs]);
        residues.par_iter_mut().enumerate().for_each(|(j, out)| {
            let mut limb = Zeroizing::new(plaintext.poly.limb(j).to_vec());
            basis.table(j).inverse(&mut limb);
            basis.table(j).to_u64(&limb, out);
        });
        let moduli: Vec<Modulus> = (0..limbs).map(|j| *basis.modulus(j)).collect();
        let crt = CrtComposer::new(&moduli)?;
        let gap = n / (2 * slots);
        let mut coefficients = Zeroizing::new(vec![0.0; 2 * slots]);
        const CHUNK: usize = 1024;
        coefficients.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, out)| {
            let [mut scratch, mut gathered] = [crt.scratch_len(), limbs].map(|len| Zeroizing::new(vec![0; len]));
            for (i, out) in out.iter_mut().enumerate() {
                let at = (chunk * CHUNK + i) * gap;
                gathered.iter_mut().zip(residues.iter()).for_each(|(x, limb)| *x = limb[at]);
                *out = crt.compose_f64(&gathered, &mut scratch) / plaintext.scale;
            }
        });
        let (re, im) = coefficients.split_at_mut(slots);
        self.params.embedding(plaintext.log_slots).to_slots(re, im);
        Ok(coefficients)
    }

    /// Decodes a plaintext and returns only the real parts (see [`Encoder::decode`]).
    ///
    /// # Errors
    /// [`Error::OtherParameters`].
    pub fn decode_real(&self, plaintext: &Plaintext) -> Result<Vec<f64>> {
        Ok(self.decode_parts(plaintext)?[..plaintext.slots()].to_vec())
    }
}

/// Splits integers beyond 2^53 into digits of radix 2^52, most significant first.
/// The result is empty if there are no such integers.
fn radix_digits(values: &[f64]) -> Vec<Vec<f64>> {
    let mut digits = Vec::new();
    let mut rest = values.to_vec();
    while rest.iter().any(|x| x.abs() > EXACT) {
        // Division and multiplication by a power of two, and the difference, are exact.
        let high: Vec<f64> = rest.iter().map(|x| (x / RADIX).round_ties_even()).collect();
        digits.push(rest.iter().zip(&high).map(|(x, high)| x - high * RADIX).collect());
        rest = high;
    }
    if !digits.is_empty() {
        digits.push(rest);
        digits.reverse();
    }
    digits
}

/// Writes the centred residues of the values to `out`; `digits` are the digits of the values.
fn reduce_into(table: &NttTable, values: &[f64], digits: &[Vec<f64>], out: &mut [f64]) {
    let [top, lower @ ..] = digits else {
        out.copy_from_slice(values);
        return table.mul_scalar_assign(out, 1);
    };
    out.copy_from_slice(top);
    table.mul_scalar_assign(out, 1);
    let radix = table.modulus().reduce(1 << RADIX_BITS);
    for digit in lower {
        table.mul_scalar_assign(out, radix);
        out.iter_mut().zip(digit).for_each(|(x, d)| *x += d);
        table.mul_scalar_assign(out, 1);
    }
}

/// Returns the residue in [0, q) of an integral `f64` of any size.
pub(crate) fn residue(q: &Modulus, x: f64) -> u64 {
    debug_assert!(x.round_ties_even() == x, "{x} is not an integer");
    let (mut x, mut exponent) = (x, 0);
    while x.abs() > EXACT {
        x /= 2.0;
        exponent += 1;
    }
    // Halving keeps the 53 significant bits, so that x is still an integer.
    q.mul(q.reduce_i64(x as i64), q.pow_vartime(2, exponent))
}

/// Encodes a complex constant at a scale as the integers (re, im) of re + im·X^(N/2).
pub(crate) fn constant(c: Complex64, scale: f64) -> [f64; 2] {
    [(c.re * scale).round_ties_even(), (c.im * scale).round_ties_even()]
}

/// Returns the two values of the polynomial re + im·X^(N/2) modulo q: that in the first half of its
/// values and that in the second half. In the order of the transform, X^(N/2) is a root of −1 at
/// the first N/2 places and the negative of that root at the others.
pub(crate) fn constant_values(q: &Modulus, [re, im]: [f64; 2]) -> Result<[u64; 2]> {
    let (re, im) = (residue(q, re), q.mul(residue(q, im), q.root_of_unity(1)?));
    Ok([q.add(re, im), q.sub(re, im)])
}
