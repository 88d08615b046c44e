//! Code shared by the suites: the ISAs and ring sizes to run, worst-case residues, and oracles in
//! `u128` and big integers.
//! The oracles use none of the kernel's arithmetic. They take from the kernel only its primes and
//! the root of unity that defines the transform, and the order of this root is checked here.
#![allow(dead_code, reason = "every suite uses its part of this module")]

use std::fmt::{Debug, Display};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use hetal_kernel::poly::Domain;
use hetal_kernel::primes::{Direction, NttPrimes};
use hetal_kernel::{Coeff, Eval, Isa, Modulus, RnsBasis, RnsPoly, RnsPolyRef};
use num_bigint::{BigInt, BigUint, Sign};
use proptest::prelude::ProptestConfig;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

// ---- what runs ----

fn env<T: FromStr<Err: Debug>>(name: &str) -> Option<T> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e:?}")))
}

/// Returns every ISA that this machine has; each suite runs on all of them with the same oracles.
pub(crate) fn isas() -> Vec<Isa> {
    Isa::available().collect()
}

/// log2 of the largest ring of the ordinary checks. HETAL_TEST_LOG_N_MAX makes it smaller for
/// emulators.
pub(crate) fn log_n_max() -> u32 {
    env("HETAL_TEST_LOG_N_MAX").unwrap_or(14).clamp(8, 17)
}

/// log2 of the largest ring of the checks that are done only a few times.
pub(crate) fn log_n_large() -> u32 {
    env("HETAL_TEST_LOG_N_MAX").unwrap_or(17).clamp(8, 17)
}

/// Returns those of the given sizes that are to be run.
pub(crate) fn degrees(log_n: impl IntoIterator<Item = u32>) -> impl Iterator<Item = u32> {
    log_n.into_iter().filter(|&log_n| log_n <= log_n_max())
}

/// Whether there is time to run every case, which there is not in emulators.
pub(crate) fn thorough() -> bool {
    log_n_max() >= 12
}

/// The configuration of the property tests: `cases` cases, unless PROPTEST_CASES says otherwise.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases: env("PROPTEST_CASES").unwrap_or(cases),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// Whether `f` panics.
pub(crate) fn panics<R>(f: impl FnOnce() -> R) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

// ---- primes ----

/// Returns the largest prime below 2^bits for degree 2^log_n.
pub(crate) fn below(log_n: u32, bits: u32) -> Modulus {
    NttPrimes::new(log_n, 1 << bits, Direction::Descending).expect("a size").next().expect("a prime")
}

/// Returns the smallest prime above `size` for degree 2^log_n.
pub(crate) fn above(log_n: u32, size: u64) -> Modulus {
    NttPrimes::new(log_n, size, Direction::Ascending).expect("a size").next().expect("a prime")
}

/// Returns the smallest prime there is, the smallest of 50 bits, and the largest of several sizes.
pub(crate) fn moduli(log_n: u32) -> Vec<Modulus> {
    let sizes = [20, 30, 40, 46, 47, 48, 49, 50].into_iter().filter(|&bits| bits > log_n + 2);
    let mut moduli = vec![above(log_n, 0), above(log_n, 1 << 49)];
    moduli.extend(sizes.map(|bits| below(log_n, bits)));
    moduli
}

/// Returns `count` distinct primes whose sizes cycle through 20, 30, 40 and 50 bits, beginning with
/// number `start` of these sizes. The first `skip` primes of each size are left out.
pub(crate) fn mixed_moduli(log_n: u32, count: usize, start: usize, skip: usize) -> Vec<Modulus> {
    let mut searches = [20, 30, 40, 50]
        .map(|bits| NttPrimes::new(log_n, 1 << bits, Direction::Descending).expect("a size").skip(skip));
    (0..count).map(|i| searches[(start + i) % 4].next().expect("a prime")).collect()
}

/// Returns `count` primes below 2^bits, after skipping the `skip` largest ones.
pub(crate) fn moduli_below(log_n: u32, bits: u32, count: usize, skip: usize) -> Vec<Modulus> {
    NttPrimes::new(log_n, 1 << bits, Direction::Descending).expect("a size").skip(skip).take(count).collect()
}

// ---- residues ----

/// Returns the residue in [0, q) of an integer that is held as an `f64`.
#[track_caller]
pub(crate) fn residue(q: u64, x: f64) -> u64 {
    assert!(x.fract() == 0.0 && x.abs() <= 2f64.powi(53), "{x} is not an integer within 2^53");
    (x as i64).rem_euclid(q as i64) as u64
}

#[track_caller]
pub(crate) fn residues(q: u64, x: &[f64]) -> Vec<u64> {
    x.iter().map(|&x| residue(q, x)).collect()
}

/// Returns the representative in [−(q−1)/2, (q−1)/2].
pub(crate) fn centre(q: u64, x: u64) -> f64 {
    if x > q / 2 { x as f64 - q as f64 } else { x as f64 }
}

/// Asserts what the kernel promises of every result: integers, |x| ≤ q/2 + 2, no −0 and no NaN.
/// Returns their residues.
#[track_caller]
pub(crate) fn check_centred(q: u64, x: &[f64]) -> Vec<u64> {
    check_within(q, q as f64 / 2.0 + 2.0, x)
}

/// The largest absolute value that base conversions may return, and that forward transforms must
/// accept.
pub(crate) fn widest(q: u64) -> f64 {
    (5 * q / 4) as f64
}

/// Asserts that all x are integers of absolute value at most `limit`, with no −0 and no NaN.
/// Returns their residues.
#[track_caller]
pub(crate) fn check_within(q: u64, limit: f64, x: &[f64]) -> Vec<u64> {
    for (i, &x) in x.iter().enumerate() {
        assert!(x.fract() == 0.0, "{x} at {i} is not an integer");
        assert!(x.abs() <= limit, "{x} at {i} is above {limit}, modulo {q}");
        assert!(x != 0.0 || x.is_sign_positive(), "-0 at {i}");
    }
    residues(q, x)
}

pub(crate) fn random_residues(q: u64, n: usize, rng: &mut impl Rng) -> Vec<u64> {
    (0..n).map(|_| rng.next_u64() % q).collect()
}

pub(crate) fn random_centred(q: u64, n: usize, rng: &mut impl Rng) -> Vec<f64> {
    random_residues(q, n, rng).iter().map(|&x| centre(q, x)).collect()
}

/// The largest integer within q/2 + 2: a representative as far out as the kernel's own results may
/// be.
pub(crate) fn extreme(q: u64) -> f64 {
    (q / 2 + 2) as f64
}

/// Asserts that the `f64` ISAs return the same bits. Scalar results are left out: they may be other
/// representatives.
#[derive(Default)]
pub(crate) struct SameBits {
    first: Option<(Isa, Vec<u64>)>,
}

impl SameBits {
    /// Compares x with the first result. `isa` is the ISA whose code ran
    /// ([`hetal_kernel::NttTable::isa`]).
    #[track_caller]
    pub(crate) fn check(&mut self, isa: Isa, x: &[f64]) {
        if isa == Isa::SCALAR {
            return;
        }
        let bits: Vec<_> = x.iter().map(|x| x.to_bits()).collect();
        if let Some((first, expected)) = &self.first {
            let at = bits.iter().zip(expected).position(|(a, b)| a != b);
            assert!(at.is_none(), "{isa} and {first} differ at {at:?}");
        } else {
            self.first = Some((isa, bits));
        }
    }
}

/// Asserts equality and reports only the first difference.
#[track_caller]
pub(crate) fn assert_same<T: PartialEq + Debug>(got: &[T], expected: &[T], what: impl Display) {
    assert_eq!(got.len(), expected.len(), "{what}: lengths");
    if let Some(i) = got.iter().zip(expected).position(|(a, b)| a != b) {
        panic!("{what}: {:?} at {i} where {:?} is right", got[i], expected[i]);
    }
}

// ---- modular arithmetic with the `%` of u128 ----

pub(crate) fn mul_mod(q: u64, a: u64, b: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(q)) as u64
}

pub(crate) fn pow_mod(q: u64, a: u64, e: u64) -> u64 {
    let (mut power, mut base) = (1 % q, a);
    for bit in 0..u64::BITS {
        if e >> bit & 1 == 1 {
            power = mul_mod(q, power, base);
        }
        base = mul_mod(q, base, base);
    }
    power
}

pub(crate) fn inv_mod(q: u64, a: u64) -> u64 {
    let inverse = pow_mod(q, a % q, q - 2);
    assert_eq!(mul_mod(q, a % q, inverse), 1);
    inverse
}

/// Reverses the low `bits` bits of i.
pub(crate) fn reverse(i: usize, bits: u32) -> usize {
    (0..bits).fold(0, |r, bit| r << 1 | (i >> bit & 1))
}

/// The ring Z_q\[X\]/(X^N + 1) and its transform, following the definition in the documentation of
/// `hetal_kernel::ntt`.
pub(crate) struct Ring {
    pub(crate) q: u64,
    pub(crate) log_n: u32,
    pub(crate) psi: u64,
}

impl Ring {
    pub(crate) fn new(modulus: &Modulus, log_n: u32) -> Self {
        let (q, psi) = (modulus.value(), modulus.root_of_unity(log_n).expect("a root"));
        // As 2N is a power of two, this shows that the order is exactly 2N.
        assert_eq!(pow_mod(q, psi, 1 << log_n), q - 1);
        Self { q, log_n, psi }
    }

    pub(crate) fn n(&self) -> usize {
        1 << self.log_n
    }

    /// Returns the value that slot i has to hold, by Horner's rule.
    pub(crate) fn value(&self, a: &[u64], slot: usize) -> u64 {
        let x = pow_mod(self.q, self.psi, 2 * reverse(slot, self.log_n) as u64 + 1);
        let q = u128::from(self.q);
        a.iter().rev().fold(0, |value, &a| ((u128::from(value) * u128::from(x) + u128::from(a)) % q) as u64)
    }

    /// Returns all slots, by a recursion over even and odd coefficients that has neither merged
    /// twists nor bit-reversed twiddles.
    pub(crate) fn forward(&self, a: &[u64]) -> Vec<u64> {
        let q = self.q;
        let mut power = 1;
        let twisted: Vec<_> = a
            .iter()
            .map(|&a| {
                let x = mul_mod(q, a, power);
                power = mul_mod(q, power, self.psi);
                x
            })
            .collect();
        // The powers of ψ², for every level of the recursion.
        let square = mul_mod(q, self.psi, self.psi);
        let mut powers = vec![1; self.n() / 2];
        for i in 1..powers.len() {
            powers[i] = mul_mod(q, powers[i - 1], square);
        }
        let natural = cyclic(q, &twisted, &powers);
        (0..self.n()).map(|i| natural[reverse(i, self.log_n)]).collect()
    }

    /// Returns a·b modulo X^N + 1, computed term by term.
    pub(crate) fn product(&self, a: &[u64], b: &[u64]) -> Vec<u64> {
        let (n, q) = (self.n(), u128::from(self.q));
        assert!(n <= 1 << 20, "sums below 2^128");
        let coefficient = |k: usize| {
            let sum = |i: usize, j: usize| u128::from(a[i]) * u128::from(b[j]);
            let plus: u128 = (0..=k).map(|i| sum(i, k - i)).sum();
            let minus: u128 = (k + 1..n).map(|i| sum(i, n + k - i)).sum();
            ((plus % q + q - minus % q) % q) as u64
        };
        (0..n).map(coefficient).collect()
    }
}

/// Returns the values of a at the powers of a root of unity of order `a.len()`. This root is a
/// power of the one whose powers are given.
fn cyclic(q: u64, a: &[u64], powers: &[u64]) -> Vec<u64> {
    if let [a] = a {
        return vec![*a];
    }
    let part = |from: usize| cyclic(q, &a[from..].iter().step_by(2).copied().collect::<Vec<_>>(), powers);
    let (even, odd) = (part(0), part(1));
    let (half, step) = (even.len(), powers.len() / even.len());
    let twisted: Vec<_> = (0..half).map(|k| mul_mod(q, odd[k], powers[k * step])).collect();
    let lower = even.iter().zip(&twisted).map(|(&a, &b)| (a + b) % q);
    let upper = even.iter().zip(&twisted).map(|(&a, &b)| (a + q - b) % q);
    lower.chain(upper).collect()
}

// ---- big integers ----

/// Returns x mod q in [0, q).
pub(crate) fn modulo(x: &BigInt, q: u64) -> u64 {
    let r = (x.magnitude() % q).try_into().expect("below q");
    if x.sign() == Sign::Minus && r != 0 { q - r } else { r }
}

/// Returns the representative of x in [−m/2, m/2), which for odd m is in [−(m−1)/2, (m−1)/2].
pub(crate) fn centred(x: &BigInt, m: &BigInt) -> BigInt {
    let r = x % m;
    if (&r << 1u8) >= *m {
        r - m
    } else if (&r << 1u8) < -m {
        r + m
    } else {
        r
    }
}

/// Returns the integer nearest to x/m, for odd m > 0.
pub(crate) fn round_div(x: &BigInt, m: &BigInt) -> BigInt {
    (x - centred(x, m)) / m
}

/// Returns a number in [−(m−1)/2, (m−1)/2], for odd m, that is uniform up to 2^−64.
pub(crate) fn random_below(m: &BigInt, rng: &mut impl Rng) -> BigInt {
    let mut bytes = vec![0; m.magnitude().to_bytes_le().len() + 8];
    rng.fill_bytes(&mut bytes);
    centred(&BigInt::from(BigUint::from_bytes_le(&bytes)), m)
}

/// The Chinese remainder theorem, evaluated term by term.
pub(crate) struct Crt {
    pub(crate) moduli: Vec<u64>,
    pub(crate) product: BigInt,
    /// For each prime, an integer that is 1 modulo it and 0 modulo the others.
    units: Vec<BigInt>,
}

impl Crt {
    pub(crate) fn new(moduli: &[Modulus]) -> Self {
        let moduli: Vec<_> = moduli.iter().map(Modulus::value).collect();
        let product: BigInt = moduli.iter().map(|&q| BigInt::from(q)).product();
        let unit = |&q: &u64| {
            let others = &product / q;
            let inverse = inv_mod(q, modulo(&others, q));
            others * inverse
        };
        Self { units: moduli.iter().map(unit).collect(), moduli, product }
    }

    /// Returns the centred integer with these residues.
    pub(crate) fn compose(&self, residues: &[u64]) -> BigInt {
        assert_eq!(residues.len(), self.moduli.len());
        let sum = residues.iter().zip(&self.units).fold(BigInt::ZERO, |sum, (&x, unit)| sum + unit * x);
        centred(&sum, &self.product)
    }

    /// Returns the coefficients of a polynomial from its limbs.
    pub(crate) fn compose_all<L: AsRef<[f64]>>(&self, limbs: &[L]) -> Vec<BigInt> {
        let limbs: Vec<_> = limbs.iter().zip(&self.moduli).map(|(limb, &q)| residues(q, limb.as_ref())).collect();
        (0..limbs[0].len()).map(|i| self.compose(&limbs.iter().map(|limb| limb[i]).collect::<Vec<_>>())).collect()
    }
}

/// Returns the composer for the primes of a basis.
pub(crate) fn crt(basis: &RnsBasis) -> Crt {
    Crt::new(&basis.moduli())
}

/// Bounds the error of Σ yᵢ/qᵢ of `terms` terms in `f64`, in units of 2^−55.
/// Each product with the rounded 1/qᵢ is off by at most 2^−53. The k-th addition, whose sum is at
/// most k/2 + 2^−40, is off by at most half the spacing there, which is at most k·2^−54.
pub(crate) fn overflow_error(terms: usize) -> u64 {
    (terms * (terms + 5)) as u64
}

/// Returns the polynomial with these coefficients modulo every prime of the basis.
pub(crate) fn to_coeff(basis: &RnsBasis, x: &[BigInt]) -> RnsPoly<Coeff> {
    let mut poly = RnsPoly::zero(basis.n(), basis.len());
    for (limb, q) in poly.limbs_mut().zip(basis.moduli()) {
        limb.iter_mut().zip(x).for_each(|(limb, x)| *limb = centre(q.value(), modulo(x, q.value())));
    }
    poly
}

/// Returns the polynomial of [`to_coeff`], transformed.
pub(crate) fn to_eval(basis: &RnsBasis, x: &[BigInt]) -> RnsPoly<Eval> {
    to_coeff(basis, x).into_eval(basis)
}

/// Returns the residues of every limb.
pub(crate) fn limb_residues<D: Domain>(basis: &RnsBasis, poly: RnsPolyRef<'_, D>) -> Vec<Vec<u64>> {
    (0..poly.limbs()).map(|i| check_centred(basis.modulus(i).value(), poly.limb(i))).collect()
}

/// Returns a·b modulo X^N + 1 over the integers, computed term by term.
pub(crate) fn negacyclic(a: &[BigInt], b: &[BigInt]) -> Vec<BigInt> {
    let n = a.len();
    assert_eq!(n, b.len());
    let mut out = vec![BigInt::ZERO; n];
    for (i, a) in a.iter().enumerate().filter(|(_, a)| a.sign() != Sign::NoSign) {
        for (j, b) in b.iter().enumerate().filter(|(_, b)| b.sign() != Sign::NoSign) {
            if i + j < n {
                out[i + j] += a * b;
            } else {
                out[i + j - n] -= a * b;
            }
        }
    }
    out
}
