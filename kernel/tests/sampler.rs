//! Tests of the samplers against their exact distributions.
//!
//! Generators have fixed seeds, so a test that passes once passes always. Statistics are accepted
//! within five standard deviations of their exact mean. For chi-square, these are deviations of the
//! normal deviate that Wilson and Hilferty (1931) assign to it, on both sides. A correct sampler
//! fails one such comparison for one in 1.7 million seeds.

use std::collections::BTreeMap;
use std::convert::Infallible;

use hetal_kernel::sampler::{
    GAUSSIAN_BOUND, SIGMA, Seed, gaussian_into, ternary_fixed_weight_into, ternary_into, uniform_into,
};
use hetal_kernel::{Error, Modulus};
use num_bigint::BigInt;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng, TryCryptoRng, TryRng};

const DEVIATIONS: f64 = 5.0;

/// Asserts that these counts, in cells of these probabilities, have a plausible chi-square.
fn check_chi_square(what: &str, counts: &[u64], probabilities: &[f64], degrees: usize) {
    let n: u64 = counts.iter().sum();
    let cells = counts.iter().zip(probabilities);
    let chi_square: f64 = cells
        .map(|(&count, p)| {
            let expected = p * n as f64;
            assert!(expected >= 10.0, "{what}: cell of {expected} is too small for a chi-square");
            (count as f64 - expected).powi(2) / expected
        })
        .sum();
    check_chi_square_value(what, chi_square, degrees);
}

fn check_chi_square_value(what: &str, chi_square: f64, degrees: usize) {
    let spread = 2.0 / (9.0 * degrees as f64);
    let deviate = ((chi_square / degrees as f64).cbrt() - (1.0 - spread)) / spread.sqrt();
    assert!(
        deviate.abs() < DEVIATIONS,
        "{what}: chi-square {chi_square} of {degrees} degrees of freedom ({deviate} σ)"
    );
}

fn check_equal_cells(what: &str, counts: &[u64]) {
    check_chi_square(what, counts, &vec![1.0 / counts.len() as f64; counts.len()], counts.len() - 1);
}

/// Asserts that the average of `values` is plausible for independent values of this mean and
/// variance.
fn check_mean(what: &str, values: impl ExactSizeIterator<Item = f64>, mean: f64, variance: f64) {
    let n = values.len() as f64;
    let deviate = (values.sum::<f64>() / n - mean) / (variance / n).sqrt();
    assert!(deviate.abs() < DEVIATIONS, "{what}: {deviate} σ from the mean {mean}");
}

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// A generator that plays back words.
struct Script<'a>(&'a [u64]);

impl TryRng for Script<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("the samplers take whole words")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let (&word, rest) = self.0.split_first().expect("a sampler drew more words than it documents");
        self.0 = rest;
        Ok(word)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let Ok(word) = self.try_next_u64();
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Script<'_> {}

fn modulus(q: u64) -> Modulus {
    Modulus::new(q).expect("prime")
}

fn uniform(q: &Modulus, rng: &mut (impl Rng + ?Sized), n: usize) -> Vec<f64> {
    let mut out = vec![f64::NAN; n];
    uniform_into(q, rng, &mut out);
    out
}

/// Uniform residues are the masked words of the generator, drawn one by one, of which those not
/// below q are rejected.
#[test]
fn uniform_is_rejection_of_masked_words() {
    // 3, 5, 65537 and 2^49 + 69 reject a quarter, 3/8 and nearly half of the words.
    for q in [3, 5, 97, 65537, (1 << 49) + 69, (1 << 50) - 27].map(modulus) {
        for n in [0, 1, 63, 64, 65, 1000] {
            let (mut rng, mut reference) = (rng(n as u64), rng(n as u64));
            let out = uniform(&q, &mut rng, n);
            for x in out {
                let canonical = std::iter::repeat_with(|| reference.next_u64() & ((1 << q.bits()) - 1))
                    .find(|&word| word < q.value())
                    .expect("endless");
                assert_eq!(x, q.centre(canonical) as f64);
            }
            assert_eq!(rng.next_u64(), reference.next_u64(), "words are drawn one by one and none is lost");
        }
    }
}

/// Uniform residues for words at the edges of the range, which a scripted generator plays back.
#[test]
fn uniform_at_the_edges_of_the_range() {
    let q = modulus((1 << 50) - 27);
    let half = (q.value() / 2) as f64;
    // The upper 14 bits of a word do not matter. The words q and 2^50 − 1 are rejected, so that the
    // last residue comes from 7.
    let words = [0, 1, q.value() / 2, q.value() / 2 + 1, 0xFFFF << 50 | (q.value() - 1), q.value(), u64::MAX, 7];
    let mut out = [f64::NAN; 6];
    uniform_into(&q, &mut Script(&words), &mut out);
    assert_eq!(out, [0.0, 1.0, half, -half, -1.0, 7.0]);
    // Any generator will do, also one behind a pointer.
    let mut seeded = rng(1);
    let behind: &mut dyn Rng = &mut seeded;
    assert_eq!(uniform(&q, behind, 10), uniform(&q, &mut rng(1), 10));
}

/// For small moduli, every residue is equally likely, by chi-square.
#[test]
fn uniform_hits_every_residue_equally() {
    for value in [3, 5, 97, 257, 509] {
        let q = modulus(value);
        let mut counts = vec![0; value as usize];
        for x in uniform(&q, &mut rng(value), 1 << 18) {
            counts[(x + (value / 2) as f64) as usize] += 1;
        }
        check_equal_cells(&format!("residues mod {value}"), &counts);
    }
}

/// For large moduli, high bits, low bits, moments and neighbouring pairs are those of the uniform
/// distribution.
#[test]
fn uniform_of_large_moduli() {
    for value in [(1 << 49) + 69, (1 << 50) - 27] {
        let q = modulus(value);
        let n = 1 << 18;
        let out = uniform(&q, &mut rng(value), n);
        let (mut high, mut low) = ([0; 256], [0; 256]);
        for &x in &out {
            assert!(x == x.round() && x.abs() <= (value / 2) as f64);
            let shifted = (x as i64 + (value / 2) as i64) as u128;
            high[(shifted * 256 / u128::from(value)) as usize] += 1;
            low[(shifted % 256) as usize] += 1;
        }
        check_equal_cells("high bits", &high);
        check_equal_cells("low bits", &low);
        let size = value as f64;
        check_mean("uniform x", out.iter().copied(), 0.0, size.powi(2) / 12.0);
        check_mean("uniform x^2", out.iter().map(|x| x * x), size.powi(2) / 12.0, size.powi(4) / 180.0);
        check_mean("uniform lag 1", out.windows(2).map(|x| x[0] * x[1]), 0.0, size.powi(4) / 144.0);
    }
}

/// Ternary coefficients for words at the thresholds.
#[test]
fn ternary_at_the_thresholds() {
    // The multiples of 2^64 / 3, rounded up: each value has as many words as documented.
    let (first, second) = (0x5555_5555_5555_5556, 0xAAAA_AAAA_AAAA_AAAB);
    let mut out = [7; 6];
    ternary_into(&mut Script(&[0, first - 1, first, second - 1, second, u64::MAX]), &mut out);
    assert_eq!(out, [-1, -1, 0, 0, 1, 1]);
}

/// Triples of ternary coefficients are equally likely, and no word is lost between calls.
#[test]
fn ternary_is_uniform() {
    let mut out = vec![7; 3 << 16];
    ternary_into(&mut rng(1), &mut out);
    // Counting triples of neighbours tests single coefficients and their independence at once.
    let mut counts = [0; 27];
    for &[a, b, c] in out.as_chunks().0 {
        assert!([a, b, c].iter().all(|x| (-1..=1).contains(x)));
        counts[(9 * (a + 1) + 3 * (b + 1) + c + 1) as usize] += 1;
    }
    check_equal_cells("triples", &counts);
    check_mean("ternary x", out.iter().map(|&x| x.into()), 0.0, 2.0 / 3.0);
    // No word is lost between blocks, for any length.
    for n in [0, 1, 63, 64, 65, 200] {
        let (mut whole, mut generator) = (vec![0; n], rng(1));
        ternary_into(&mut generator, &mut whole);
        assert_eq!(whole, out[..n]);
        let mut next = [0];
        ternary_into(&mut generator, &mut next);
        assert_eq!(next[0], out[n]);
    }
}

fn fixed_weight(weight: usize, n: usize, rng: &mut ChaCha20Rng) -> Vec<i8> {
    let mut out = vec![7; n];
    ternary_fixed_weight_into(weight, rng, &mut out).expect("weight <= n");
    out
}

/// Vectors of fixed weight have exactly the weight asked for.
#[test]
fn fixed_weight_is_exact() {
    let mut rng = rng(2);
    for n in [0, 1, 2, 63, 64, 65, 130] {
        for weight in 0..=n {
            let out = fixed_weight(weight, n, &mut rng);
            assert!(out.iter().all(|x| (-1..=1).contains(x)));
            assert_eq!(out.iter().filter(|&&x| x != 0).count(), weight, "weight {weight} of {n}");
        }
    }
    for weight in [0, 1, 32, 192, 1 << 16, (1 << 17) - 1, 1 << 17] {
        let out = fixed_weight(weight, 1 << 17, &mut rng);
        assert_eq!(out.iter().filter(|&&x| x != 0).count(), weight);
    }
}

/// A weight above the length is refused before a word is drawn or a coefficient written.
#[test]
fn fixed_weight_refuses_more_than_the_length() {
    for (weight, n) in [(1, 0), (17, 16), (usize::MAX, 64)] {
        let mut out = vec![7; n];
        let refused = ternary_fixed_weight_into(weight, &mut Script(&[]), &mut out);
        assert_eq!(refused, Err(Error::HammingWeight { weight, n }));
        assert!(out.iter().all(|&x| x == 7));
    }
}

/// Positions and signs of fixed-weight vectors for words at the thresholds.
#[test]
fn fixed_weight_at_the_thresholds() {
    let sample = |weight, words: &[u64]| {
        let mut out = [7; 4];
        ternary_fixed_weight_into(weight, &mut Script(words), &mut out).expect("weight <= n");
        out
    };
    // The smallest words choose the first positions, the largest ones the last. The signs come
    // after them, bit by bit.
    assert_eq!(sample(2, &[0, 0, 0, 0, 0b0000]), [1, 1, 0, 0]);
    assert_eq!(sample(2, &[u64::MAX, u64::MAX, u64::MAX, u64::MAX, 0b0100]), [0, 0, -1, 1]);
    assert_eq!(sample(4, &[u64::MAX, 0, 1, 2, 0b1001]), [-1, 1, 1, -1]);
    assert_eq!(sample(0, &[0, 0, 0, 0, 0b1111]), [0, 0, 0, 0]);
    // P(first) = 3/4, P(second | first) = 2/3, P(third | both) = 1/2: a position is chosen by
    // ⌈2^64·p⌉ of the words.
    let (p1, p2, p3) = (3 << 62, 0xAAAA_AAAA_AAAA_AAAB, 1 << 63);
    assert_eq!(sample(3, &[p1 - 1, p2 - 1, p3 - 1, u64::MAX, 0]), [1, 1, 1, 0]);
    assert_eq!(sample(3, &[p1, u64::MAX, u64::MAX, u64::MAX, 0]), [0, 1, 1, 1]);
    assert_eq!(sample(3, &[p1 - 1, p2, u64::MAX, u64::MAX, 0]), [1, 0, 1, 1]);
    assert_eq!(sample(3, &[p1 - 1, p2 - 1, p3, u64::MAX, 0]), [1, 1, 0, 1]);
}

/// In small dimensions, all vectors of a fixed weight occur and are equally likely, by chi-square.
#[test]
fn fixed_weight_vectors_are_equally_likely() {
    // There are C(5, 2)·2^2 and C(6, 3)·2^3 vectors.
    for (weight, n, vectors) in [(2, 5, 40), (3, 6, 160)] {
        let mut rng = rng(3);
        let mut counts = BTreeMap::new();
        for _ in 0..100_000 {
            *counts.entry(fixed_weight(weight, n, &mut rng)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), vectors);
        check_equal_cells("vectors", &counts.into_values().collect::<Vec<_>>());
    }
}

/// In 200 dimensions, the positions and signs of fixed-weight vectors are uniform, by chi-square.
#[test]
fn fixed_weight_positions_and_signs_are_uniform() {
    let (n, runs, mut rng) = (200, 20_000, rng(4));
    for weight in [1, 20, 150] {
        let (mut positions, mut positive) = (vec![0u64; n], vec![0u64; n]);
        for _ in 0..runs {
            for (i, &x) in fixed_weight(weight, n, &mut rng).iter().enumerate() {
                positions[i] += u64::from(x != 0);
                positive[i] += u64::from(x == 1);
            }
        }
        // The counts add up to runs·weight, each with mean m = runs·p and variance m·(1 − p): the
        // sum of squares below is distributed like that of n − 1 independent normal deviates, once
        // it is multiplied by (n − 1)/n.
        let p = weight as f64 / n as f64;
        let mean = f64::from(runs) * p;
        let squares: f64 = positions.iter().map(|&count| (count as f64 - mean).powi(2)).sum();
        check_chi_square_value("positions", squares / (mean * (1.0 - p)) * (n - 1) as f64 / n as f64, n - 1);
        // Given the positions, signs are fair bits everywhere.
        let signs =
            positions.iter().zip(&positive).map(|(&k, &plus)| (2.0 * plus as f64 - k as f64).powi(2) / k as f64);
        check_chi_square_value("signs", signs.sum(), n);
    }
}

/// The fractional bits of the numbers from which the Gaussian's thresholds are computed.
const PRECISION: usize = 512;

/// Returns P(|X| < k) · 2^[`PRECISION`] for the rounded Gaussian X of standard deviation 3.2, off
/// by less than 2^140.
///
/// The probability is erf(t/√2) = √(2/π)·Σ (−1)^n t^(2n+1) / (2^n·n!·(2n + 1)) with t = (k −
/// 1/2)/3.2 = 5·(2k − 1)/32. The terms reach e^(t²/2) < 2^130, and each is off by a few units.
fn probability_below(k: i64) -> BigInt {
    let one = BigInt::from(1) << PRECISION;
    let arctan_of_inverse = |x: i64| {
        let mut power = &one / x;
        let mut sum = BigInt::ZERO;
        for n in 0i64.. {
            if power == BigInt::ZERO {
                break;
            }
            sum += &power / if n % 2 == 0 { 2 * n + 1 } else { -(2 * n + 1) };
            power /= x * x;
        }
        sum
    };
    // Machin's formula (1706).
    let pi: BigInt = 16 * arctan_of_inverse(5) - 4 * arctan_of_inverse(239);
    let factor: BigInt = ((BigInt::from(2) << (3 * PRECISION)) / pi).sqrt();

    let mut power = &one * (5 * (2 * k - 1)) / 32;
    let mut sum = BigInt::ZERO;
    for n in 0i64.. {
        if power == BigInt::ZERO {
            break;
        }
        sum += &power / if n % 2 == 0 { 2 * n + 1 } else { -(2 * n + 1) };
        power = power * (25 * (2 * k - 1).pow(2)) / (1024 * 2 * (n + 1));
    }
    (factor * sum) >> PRECISION
}

/// Returns round(2^126·P(|X| < k)).
fn threshold(k: i64) -> u128 {
    let shift = PRECISION - 126;
    let rounded = (probability_below(k) + (BigInt::from(1) << (shift - 1))) >> shift;
    u128::try_from(rounded).expect("a probability")
}

/// Returns the words from which the sampler takes u, this sign bit and, as the bit that it ignores,
/// `unused`.
fn words_of(u: u128, sign: u64, unused: u64) -> [u64; 2] {
    [(u as u64) << 1 | sign, ((u >> 63) as u64) << 1 | unused]
}

/// The Gaussian changes its value exactly at the thresholds that the series above gives.
#[test]
fn gaussian_at_every_threshold() {
    let bound = i64::from(GAUSSIAN_BOUND);
    // Compares the series with another implementation: the error function of the C library.
    let first = threshold(1) as f64 / 2f64.powi(126);
    assert!((first - 0.124_164_033_616_589_72).abs() < 1e-15, "{first}");
    let mut cases = vec![(0, 0), ((1 << 126) - 1, bound)];
    for k in 1..=bound {
        cases.extend([(threshold(k) - 1, k - 1), (threshold(k), k)]);
    }
    for unused in [0, 1] {
        let mut words = vec![];
        let mut expected = vec![];
        for &(u, magnitude) in &cases {
            words.extend(words_of(u, 0, unused).into_iter().chain(words_of(u, 1, unused)));
            expected.extend([magnitude as i8, -magnitude as i8]);
        }
        let mut out = vec![99; expected.len()];
        gaussian_into(&mut Script(&words), &mut out);
        assert_eq!(out, expected);
    }
    // The table ends where it must: the next threshold is 2^126, or nearer to it than half a unit.
    assert!(threshold(bound) < 1 << 126 && threshold(bound + 1) == 1 << 126);
    assert_eq!(SIGMA, 3.2);
}

/// The statistical distance to the rounded Gaussian, computed from the series, is within its
/// documented bound.
#[test]
fn gaussian_distance_is_as_documented() {
    // Σ |F̂ − F| bounds the total variation distance of the magnitudes on the integers, including
    // the cut tail.
    let mut distance = BigInt::ZERO;
    for k in 1..=i64::from(GAUSSIAN_BOUND) {
        let error: BigInt = (BigInt::from(threshold(k)) << (PRECISION - 126)) - probability_below(k);
        distance += BigInt::from(error.magnitude().clone());
    }
    let tail: BigInt = (BigInt::from(1) << PRECISION) - probability_below(i64::from(GAUSSIAN_BOUND) + 1);
    assert!(tail > BigInt::from(1) << (PRECISION - 132) && tail < BigInt::from(1) << (PRECISION - 131));
    assert!(distance + tail < BigInt::from(1) << (PRECISION - 122));
}

/// Samples have the probabilities, moments and independence of the rounded Gaussian.
#[test]
fn gaussian_has_the_exact_distribution() {
    let n = 1 << 20;
    let mut out = vec![99; n];
    gaussian_into(&mut rng(5), &mut out);
    // P(X = x) for |x| ≤ 12, and for the rest on either side.
    let below = |k| threshold(k) as f64 / 2f64.powi(126);
    let edge = 12;
    let inner = |x: i64| if x == 0 { below(1) } else { (below(x.abs() + 1) - below(x.abs())) / 2.0 };
    let tail = (1.0 - below(edge + 1)) / 2.0;
    let probabilities: Vec<_> = [tail].into_iter().chain((-edge..=edge).map(inner)).chain([tail]).collect();
    assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    let mut counts = vec![0; probabilities.len()];
    for &x in &out {
        counts[(i64::from(x).clamp(-edge - 1, edge + 1) + edge + 1) as usize] += 1;
    }
    check_chi_square("Gaussian", &counts, &probabilities, counts.len() - 1);

    // The moments of X, from the thresholds. The variance of a rounded Gaussian is σ² + 1/12 up to
    // e^(−2π²σ²).
    let moment = |m: i32| (1..=30).map(|x| 2.0 * inner(x) * (x as f64).powi(m)).sum::<f64>();
    let variance = SIGMA * SIGMA + 1.0 / 12.0;
    assert!((moment(2) - variance).abs() < 1e-9);
    let x = || out.iter().map(|&x| f64::from(x));
    check_mean("Gaussian x", x(), 0.0, moment(2));
    check_mean("Gaussian x^2", x().map(|x| x.powi(2)), moment(2), moment(4) - moment(2).powi(2));
    check_mean("Gaussian x^3", x().map(|x| x.powi(3)), 0.0, moment(6));
    check_mean("Gaussian x^4", x().map(|x| x.powi(4)), moment(4), moment(8) - moment(4).powi(2));
    for lag in [1, 2, 63, 64] {
        let products = out.windows(lag + 1).map(|x| f64::from(x[0]) * f64::from(x[lag]));
        check_mean("Gaussian lag", products, 0.0, variance.powi(2));
    }
}

/// Gaussian samples do not depend on how they are split into calls, so that no word is lost or
/// reused.
#[test]
fn gaussian_draws_two_words_a_sample() {
    let mut whole = vec![0; 300];
    gaussian_into(&mut rng(6), &mut whole);
    for n in [0, 1, 63, 64, 65, 200] {
        let (mut out, mut generator) = (vec![0; n], rng(6));
        gaussian_into(&mut generator, &mut out);
        assert_eq!(out, whole[..n]);
        let mut rest = vec![0; 300 - n];
        gaussian_into(&mut generator, &mut rest);
        assert_eq!(rest, whole[n..]);
    }
}

/// Returns one block of ChaCha20 as in Bernstein's paper: with a 64-bit counter and a 64-bit nonce.
fn chacha20_block(key: &[u8; 32], counter: u64, nonce: u64) -> [u8; 64] {
    let mut start = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (word, bytes) in start[4..12].iter_mut().zip(key.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    (start[12], start[13]) = (counter as u32, (counter >> 32) as u32);
    (start[14], start[15]) = (nonce as u32, (nonce >> 32) as u32);
    let mut x = start;
    for _ in 0..10 {
        for [a, b, c, d] in [
            [0, 4, 8, 12],
            [1, 5, 9, 13],
            [2, 6, 10, 14],
            [3, 7, 11, 15],
            [0, 5, 10, 15],
            [1, 6, 11, 12],
            [2, 7, 8, 13],
            [3, 4, 9, 14],
        ] {
            for (sum, term, target, shift) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
                x[sum] = x[sum].wrapping_add(x[term]);
                x[target] = (x[target] ^ x[sum]).rotate_left(shift);
            }
        }
    }
    let mut block = [0; 64];
    for ((bytes, x), start) in block.as_chunks_mut().0.iter_mut().zip(x).zip(start) {
        *bytes = x.wrapping_add(start).to_le_bytes();
    }
    block
}

fn expanded(seed: &Seed, stream: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    seed.expand(stream).fill_bytes(&mut bytes);
    bytes
}

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("hexadecimal")).collect()
}

/// Seeds expand to the published test vectors of ChaCha20.
#[test]
fn seeds_expand_to_the_vectors_of_rfc_8439() {
    // RFC 8439, Appendix A.1: test vectors 1, 2, 4 (blocks 0, 1, 2) and 5 (nonce 0…02).
    let zero = Seed::from_bytes([0; Seed::LEN]);
    let blocks = expanded(&zero, 0, 128);
    assert_eq!(
        blocks[..64],
        hex("76 b8 e0 ad a0 f1 3d 90 40 5d 6a e5 53 86 bd 28 bd d2 19 b8 a0 8d ed 1a a8 36 ef cc 8b 77 0d c7
             da 41 59 7c 51 57 48 8d 77 24 e0 3f b8 d8 4a 37 6a 43 b8 f4 15 18 a1 1c c3 87 b6 69 b2 ee 65 86")
    );
    assert_eq!(
        blocks[64..],
        hex("9f 07 e7 be 55 51 38 7a 98 ba 97 7c 73 2d 08 0d cb 0f 29 a0 48 e3 65 69 12 c6 53 3e 32 ee 7a ed
             29 b7 21 76 9c e6 4e 43 d5 71 33 b0 74 d8 39 d5 31 ed 1f 28 51 0a fb 45 ac e1 0a 1f 4b 79 4d 6f")
    );
    let mut key = [0; Seed::LEN];
    key[1] = 0xff;
    assert_eq!(
        expanded(&Seed::from_bytes(key), 0, 192)[128..],
        hex("72 d5 4d fb f1 2e c4 4b 36 26 92 df 94 13 7f 32 8f ea 8d a7 39 90 26 5e c1 bb be a1 ae 9a f0 ca
             13 b2 5a a2 6c b4 a6 48 cb 9b 9d 1b e6 5b 2c 09 24 a6 6c 54 d5 45 ec 1b 73 74 f4 87 2e 99 f0 96")
    );
    assert_eq!(
        expanded(&zero, 2 << 56, 64),
        hex("c2 c6 4d 37 8c d5 36 37 4a e2 04 b9 ef 93 3f cd 1a 8b 22 88 b3 df a4 96 72 ab 76 5b 54 ee 27 c7
             8a 97 0e 0e 95 5c 14 f3 a8 8e 74 1b 97 c2 86 f7 5f 8f c2 99 e8 14 83 62 fa 19 8a 39 53 1b ed 6d")
    );
}

/// Random seeds and streams expand to the blocks of the ChaCha20 above, and limbs are drawn from
/// these alone.
#[test]
fn seeds_expand_to_chacha20() {
    let mut rng = rng(7);
    for stream in [0, 1, 0xFFFF_FFFF, 1 << 32, 0x0123_4567_89AB_CDEF, u64::MAX] {
        let seed = Seed::from_rng(&mut rng);
        let blocks: Vec<_> = (0..9).flat_map(|counter| chacha20_block(seed.as_bytes(), counter, stream)).collect();
        assert_eq!(expanded(&seed, stream, blocks.len()), blocks);
        // A limb is a function of the seed and its stream alone.
        let q = modulus((1 << 50) - 27);
        let words = blocks.as_chunks().0.iter().map(|&bytes| u64::from_le_bytes(bytes) & ((1 << 50) - 1));
        let expected: Vec<_> = words.filter(|&word| word < q.value()).map(|word| q.centre(word) as f64).collect();
        assert_eq!(uniform(&q, &mut seed.expand(stream), expected.len()), expected);
    }
}

/// Different seeds, and different streams of one seed, expand to different bytes; the same ones to
/// the same.
#[test]
fn seeds_and_their_streams_differ() {
    let mut rng = rng(8);
    let seeds: Vec<_> = (0..10).map(|_| Seed::from_rng(&mut rng)).collect();
    let mut starts = std::collections::BTreeSet::new();
    for seed in &seeds {
        assert_eq!(*seed, Seed::from_bytes(*seed.as_bytes()));
        for stream in (0..100).chain((0..64).map(|bit| 1 << bit).filter(|&stream| stream >= 100)) {
            assert!(starts.insert(expanded(seed, stream, 32)), "stream {stream} repeats another one");
            assert_eq!(expanded(seed, stream, 32), expanded(&seed.clone(), stream, 32));
        }
    }
}
