//! The Chinese remainder theorem at full precision: integers from their residues and back,
//! for decoding and for tests.
//!
//! The residues of v modulo distinct odd primes q_0 … q_{L−1} with product Q determine its
//! representative in [−(Q−1)/2, (Q−1)/2]. This module finds it through its *balanced mixed-radix
//! digits*
//!
//! > v = Σ d_i·P_i,  P_i = q_0·…·q_{i−1},  |d_i| ≤ h_i = (q_i − 1)/2.
//!
//! These digits are unique. The sign of v is that of its highest nonzero digit, and all higher
//! digits of a v that is small beside Q are zero. Garner's algorithm (IRE Trans.
//! Electronic Computers EC-8, 1959) finds them without signed arithmetic: by telescoping,
//! Σ h_i·P_i = (Q−1)/2 = H. Hence the ordinary digits of v + H, which are in [0, q_i),
//! are d_i + h_i, and its residues are those of v plus H mod q_i = h_i (since 2H + 1 = Q).
//!
//! The time of everything in this module depends on the values, not only on their number.

use alloc::vec::Vec;

use crate::error::Error;
use crate::modulus::Modulus;
use crate::rns::check_moduli;

/// Composes residues modulo a set of distinct primes into integers, exactly or rounded,
/// and decomposes integers into residues.
///
/// Multi-word integers are slices of `u64`, least significant word first.
/// Residues are canonical and in the order of the moduli. Only debug assertions detect a residue
/// that is not below its modulus; otherwise it gives an unspecified integer or a panic.
/// A composition takes O(L²) word operations for L moduli and does not allocate.
#[derive(Clone, Debug)]
pub struct CrtComposer {
    moduli: Vec<Modulus>,
    /// The radices P_0 … P_{i−1} modulo q_i form row i; the rows follow each other.
    radices: Vec<u64>,
    /// The inverses P_i^−1 modulo q_i.
    inverses: Vec<u64>,
    /// The product Q.
    product: Vec<u64>,
}

impl CrtComposer {
    /// Builds the tables for these moduli.
    ///
    /// # Errors
    /// [`Error::Count`] if there is none or more than [`MAX_LIMBS`](super::MAX_LIMBS),
    /// [`Error::RepeatedModulus`] if they are not distinct.
    pub fn new(moduli: &[Modulus]) -> Result<Self, Error> {
        check_moduli(moduli)?;
        let len = moduli.len();
        let mut radices = Vec::with_capacity(len * (len - 1) / 2);
        let mut inverses = Vec::with_capacity(len);
        for (i, q) in moduli.iter().enumerate() {
            let mut radix = 1;
            for p in &moduli[..i] {
                radices.push(radix);
                radix = q.mul(radix, q.reduce(p.value()));
            }
            inverses.push(q.inv(radix).expect("the primes are distinct"));
        }
        let mut product = alloc::vec![0; len];
        let mut words = 0;
        push_digit(&mut product, &mut words, 1, 1);
        for q in moduli {
            push_digit(&mut product, &mut words, q.value(), 0);
        }
        product.truncate(words);
        Ok(Self { moduli: moduli.to_vec(), radices, inverses, product })
    }

    /// The moduli, in the order of the residues.
    #[must_use]
    pub fn moduli(&self) -> &[Modulus] {
        &self.moduli
    }

    /// The product Q of the moduli, without leading zero words.
    #[must_use]
    pub fn product(&self) -> &[u64] {
        &self.product
    }

    /// The length of Q, and so of a magnitude, in words.
    #[must_use]
    pub fn words(&self) -> usize {
        self.product.len()
    }

    /// The number of words of scratch that [`compose`](Self::compose)
    /// and [`compose_f64`](Self::compose_f64) need.
    #[must_use]
    pub fn scratch_len(&self) -> usize {
        self.moduli.len() + self.words()
    }

    /// Composes canonical residues into the integer in [−(Q−1)/2, (Q−1)/2] that has them:
    /// writes its magnitude to `out` and returns whether it is negative (0 is not).
    ///
    /// # Panics
    /// If there is not one residue for each modulus, `out` is not [`words`](Self::words)
    /// long or `scratch` is shorter than [`scratch_len`](Self::scratch_len).
    pub fn compose(&self, residues: &[u64], out: &mut [u64], scratch: &mut [u64]) -> bool {
        assert_eq!(out.len(), self.words(), "words of a magnitude");
        let (digits, _) = self.split_scratch(scratch);
        self.compose_with(residues, digits, out).0
    }

    /// Composes canonical residues into the integer in [−(Q−1)/2, (Q−1)/2] that has them and
    /// returns it correctly rounded (to nearest, ties to even). However small it is beside Q,
    /// the relative error is at most 2^−53. From 2^1024 − 2^970 on, the result is ±∞.
    ///
    /// # Panics
    /// If there is not one residue for each modulus or `scratch` is shorter than
    /// [`scratch_len`](Self::scratch_len).
    #[must_use]
    pub fn compose_f64(&self, residues: &[u64], scratch: &mut [u64]) -> f64 {
        let (digits, magnitude) = self.split_scratch(scratch);
        let (negative, len) = self.compose_with(residues, digits, magnitude);
        let magnitude = round(&magnitude[..len]);
        if negative { -magnitude } else { magnitude }
    }

    /// Writes the canonical residues of an integer of any size, given by its magnitude and whether
    /// it is negative.
    ///
    /// # Panics
    /// If there is not one residue for each modulus.
    pub fn decompose(&self, magnitude: &[u64], negative: bool, residues: &mut [u64]) {
        assert_eq!(residues.len(), self.moduli.len(), "one residue for each modulus");
        for (x, q) in residues.iter_mut().zip(&self.moduli) {
            // Works by half words: r·2^32 + 2^32 − 1 < 2^(bits + 32) is in the range of the
            // reduction; r·2^64 need not be.
            let push = |r, half| q.reduce_u128(u128::from(r) << 32 | u128::from(half));
            let r = magnitude.iter().rev().fold(0, |r, &word| push(push(r, word >> 32), word & u64::from(u32::MAX)));
            *x = if negative { q.neg(r) } else { r };
        }
    }

    /// Splits the workspace into room for the digits and room for a magnitude.
    fn split_scratch<'a>(&self, scratch: &'a mut [u64]) -> (&'a mut [u64], &'a mut [u64]) {
        let wanted = self.scratch_len();
        assert!(scratch.len() >= wanted, "{} words of scratch where {wanted} are needed", scratch.len());
        scratch[..wanted].split_at_mut(self.moduli.len())
    }

    /// Writes the magnitude. Returns whether the integer is negative, and the length of the
    /// magnitude without leading zeros.
    fn compose_with(&self, residues: &[u64], digits: &mut [u64], magnitude: &mut [u64]) -> (bool, usize) {
        self.shifted_digits(residues, digits);
        let half = |q: &Modulus| (q.value() / 2) as i64;
        let descending = || digits.iter().zip(&self.moduli).rev().map(|(&d, q)| (d as i64 - half(q), q.value()));

        let negative = descending().find(|&(d, _)| d != 0).is_some_and(|(d, _)| d < 0);
        magnitude.fill(0);
        let mut len = 0;
        // The number so far is 0 until the highest nonzero digit and at least 1 from there on:
        // q·1 − h > 0, so it never becomes negative.
        for (d, q) in descending() {
            push_digit(magnitude, &mut len, q, if negative { -d } else { d });
        }
        (negative, len)
    }

    /// Computes the shifted digits d_i + h_i in [0, q_i).
    fn shifted_digits(&self, residues: &[u64], digits: &mut [u64]) {
        assert_eq!(residues.len(), self.moduli.len(), "one residue for each modulus");
        let mut rows = self.radices.as_slice();
        for (i, (q, &x)) in self.moduli.iter().zip(residues).enumerate() {
            debug_assert!(x < q.value(), "residue {x} of modulus {}", q.value());
            let (row, others) = rows.split_at(i);
            rows = others;
            // These are at most 2^10 products of a digit below 2^50 and a residue below 2^bits:
            // the sum is below 2^(bits + 60), in range.
            let lower = digits[..i].iter().zip(row).map(|(&d, &radix)| u128::from(d) * u128::from(radix)).sum();
            let rest = q.sub(q.add(x, q.value() / 2), q.reduce_u128(lower));
            digits[i] = q.mul(rest, self.inverses[i]);
        }
    }
}

/// Replaces a number by number·radix + digit, which must not be negative.
/// `len` counts its words without leading zeros.
fn push_digit(number: &mut [u64], len: &mut usize, radix: u64, digit: i64) {
    let mut carry = i128::from(digit);
    for word in &mut number[..*len] {
        carry += i128::from(*word) * i128::from(radix);
        *word = carry as u64;
        carry >>= u64::BITS;
    }
    if carry != 0 {
        number[*len] = carry as u64;
        *len += 1;
    }
}

/// Rounds a number without leading zero words to nearest, ties to even.
fn round(number: &[u64]) -> f64 {
    match *number {
        [] => 0.0,
        [word] => word as f64,
        [ref low @ .., next, top] => {
            // The number is 64 bits (top.next…) times 2^exponent, plus a rest.
            // Whether the rest is 0 matters only at ties, where any bit below the 53 that are kept
            // may stand for it: here the last of the 64.
            let shift = top.leading_zeros();
            let window = (u128::from(top) << 64 | u128::from(next)) << shift;
            let sticky = window as u64 != 0 || low.iter().any(|&word| word != 0);
            let exponent = 64 * (low.len() as u64 + 1) - u64::from(shift);
            let power = f64::from_bits((exponent.min(1023) + 1023) << 52);
            ((window >> 64) as u64 | u64::from(sticky)) as f64 * power
        }
    }
}
