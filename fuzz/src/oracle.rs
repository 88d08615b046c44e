//! The oracles' arithmetic: `u128` and `%`, and big integers.

use num_bigint::{BigInt, BigUint, Sign};

pub(crate) fn mul(a: u64, b: u64, q: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(q)) as u64
}

pub(crate) fn add(a: u64, b: u64, q: u64) -> u64 {
    ((u128::from(a) + u128::from(b)) % u128::from(q)) as u64
}

/// Returns a − b for b in [0, q].
pub(crate) fn sub(a: u64, b: u64, q: u64) -> u64 {
    add(a, q - b, q)
}

pub(crate) fn pow(a: u64, mut e: u64, q: u64) -> u64 {
    let (mut base, mut r) = (a % q, 1);
    while e != 0 {
        if e % 2 == 1 {
            r = mul(r, base, q);
        }
        base = mul(base, base, q);
        e /= 2;
    }
    r
}

/// Returns 1/a modulo a prime.
pub(crate) fn inverse(a: u64, q: u64) -> u64 {
    pow(a, q - 2, q)
}

/// Returns the residue in [0, q) of an `f64`, which has to be an integer.
#[track_caller]
pub(crate) fn residue(x: f64, q: u64) -> u64 {
    assert!(x == x.trunc() && x.abs() <= (1u64 << 53) as f64, "{x} is not an integer");
    signed(x as i64, q)
}

/// Returns the residues in [0, q) of a result of the kernel: integers with |x| ≤ q/2 + 2.
#[track_caller]
pub(crate) fn residues(limb: &[f64], q: u64) -> Vec<u64> {
    residues_within(limb, q, q / 2 + 2)
}

/// Returns the residues in [0, q) of integers with |x| ≤ limit.
#[track_caller]
pub(crate) fn residues_within(limb: &[f64], q: u64, limit: u64) -> Vec<u64> {
    let mut out = Vec::with_capacity(limb.len());
    for (i, &x) in limb.iter().enumerate() {
        assert!(x.abs() <= limit as f64, "{x} at {i} is beyond {limit}, modulo {q}");
        out.push(residue(x, q));
    }
    out
}

/// Returns the residue in [0, q) of a signed integer.
pub(crate) fn signed(x: i64, q: u64) -> u64 {
    x.rem_euclid(q as i64) as u64
}

/// Returns the representative of r in [0, q) that is nearest to 0.
pub(crate) fn centred(r: u64, q: u64) -> i64 {
    if r > q / 2 { r as i64 - q as i64 } else { r as i64 }
}

/// Returns a·b modulo X^n + 1 and q, by the definition, for at most 2^27 coefficients.
pub(crate) fn negacyclic(a: &[u64], b: &[u64], q: u64) -> Vec<u64> {
    let n = a.len();
    // Products are below 2^100.
    let sum = |x: &[u64], y: &[u64]| {
        let sum: u128 = x.iter().zip(y.iter().rev()).map(|(&x, &y)| u128::from(x) * u128::from(y)).sum();
        (sum % u128::from(q)) as u64
    };
    (0..n).map(|k| sub(sum(&a[..=k], &b[..=k]), sum(&a[k + 1..], &b[k + 1..]), q)).collect()
}

/// Returns Σ aᵢ·xⁱ modulo q.
pub(crate) fn evaluate(a: &[u64], x: u64, q: u64) -> u64 {
    a.iter().rev().fold(0, |sum, &a| add(mul(sum, x, q), a, q))
}

/// Returns a(X^g) modulo X^n + 1. `neg` is applied where a coefficient wraps around.
pub(crate) fn substitute<T: Copy>(a: &[T], g: usize, neg: impl Fn(T) -> T) -> Vec<T> {
    let n = a.len();
    let mut out = a.to_vec();
    for (j, &a) in a.iter().enumerate() {
        let at = g * j % (2 * n);
        out[at % n] = if at < n { a } else { neg(a) };
    }
    out
}

/// Returns the residue in [0, q) of a big integer.
pub(crate) fn modulo(x: &BigInt, q: u64) -> u64 {
    let r = u64::try_from(x.magnitude() % q).expect("below q");
    if x.sign() == Sign::Minus && r != 0 { q - r } else { r }
}

/// Returns ⌊x/p + 1/2⌋ for p > 0.
pub(crate) fn round_div(x: &BigInt, p: &BigInt) -> BigInt {
    let (x, p): (BigInt, BigInt) = (2 * x + p, 2 * p);
    let quotient = &x / &p;
    if &quotient * p > x { quotient - 1 } else { quotient }
}

/// Returns |x|.
pub(crate) fn abs(x: &BigInt) -> BigInt {
    x.magnitude().clone().into()
}

pub(crate) fn product(primes: &[u64]) -> BigInt {
    primes.iter().map(|&q| BigInt::from(q)).product()
}

/// Returns the largest relative error of Σ yᵢ/qᵢ in `f64`, as the numerator and log2 of the
/// denominator of a fraction of Q. A product and its constant are off by 2^−53 together, and sum
/// number k by k/2·2^−53.
fn sum_error(terms: usize) -> (u64, u32) {
    let terms = terms as u64;
    (4 * terms + terms * (terms + 1), 55)
}

/// Whether x may be the representative that a conversion from these primes takes: |x| ≤ Q/2, except
/// for the rounding of a sum of several quotients. With one prime it may be up to 2 more, since a
/// reduction leaves such values.
pub(crate) fn is_representative(x: &BigInt, primes: &[u64]) -> bool {
    let product = product(primes);
    if primes.len() == 1 {
        return 2 * abs(x) <= product + 4;
    }
    let (numerator, log2) = sum_error(primes.len());
    (2 * abs(x)) << log2 <= (&product << log2) + product * 2 * numerator
}

/// Asserts that these residues modulo `kept` are those of x divided by the product of `dropped` and
/// rounded to the nearest integer.
#[track_caller]
pub(crate) fn assert_quotient(found: &[u64], kept: &[u64], x: &BigInt, dropped: &[u64]) {
    let p = product(dropped);
    let quotient = round_div(x, &p);
    let rest = x - &quotient * &p;
    let is = |quotient: &BigInt| kept.iter().zip(found).all(|(&q, &found)| found == modulo(quotient, q));
    // The other neighbour, where the rest is half of P as far as the kernel can tell.
    let other: BigInt = if rest > BigInt::ZERO { &quotient + 1 } else { &quotient - 1 };
    assert!(
        is(&quotient) || is_representative(&(x - &other * &p), dropped) && is(&other),
        "{found:?} for {x} divided by {p}: {quotient}, rest {rest}"
    );
}

/// The Chinese remainder theorem, in big integers.
pub(crate) struct Crt {
    pub(crate) primes: Vec<u64>,
    pub(crate) product: BigInt,
    /// For each prime, an integer that is 1 modulo it and 0 modulo all others.
    idempotents: Vec<BigUint>,
}

impl Crt {
    pub(crate) fn new(primes: &[u64]) -> Self {
        let product = product(primes);
        let idempotent = |&q: &u64| {
            let others = product.magnitude() / q;
            let inverse = inverse(modulo(&others.clone().into(), q), q);
            others * inverse
        };
        Self { primes: primes.to_vec(), idempotents: primes.iter().map(idempotent).collect(), product }
    }

    /// Returns the integer in [−(Q−1)/2, (Q−1)/2] with these residues.
    pub(crate) fn compose(&self, residues: impl IntoIterator<Item = u64>) -> BigInt {
        let sum: BigUint = residues.into_iter().zip(&self.idempotents).map(|(r, e)| e * r).sum();
        let x = BigInt::from(sum % self.product.magnitude());
        if 2 * &x > self.product { x - &self.product } else { x }
    }

    pub(crate) fn decompose(&self, x: &BigInt) -> Vec<u64> {
        self.primes.iter().map(|&q| modulo(x, q)).collect()
    }

    /// Returns (Q − 1)/2.
    pub(crate) fn half(&self) -> BigInt {
        (&self.product - 1) / 2
    }
}
