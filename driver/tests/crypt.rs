//! Tests of encryption and decryption: the noise and its distribution, seeds, and decoded values
//! that are made public.

mod common;

use std::f64::consts::TAU;

use common::model::FRESH;
use common::*;
use hetal::base::fft::SpecialFft;
use hetal::base::key_generation::KeyGeneration;
use hetal::ckks::encryption::flooding_bound;
use hetal::kernel::scratch::limb_stride;
use hetal::{Ciphertext, Complex64, Encoder, Error, Evaluator, KeyRequests, PublicKey, SecretKey};

/// The number of encryptions of 0 to take statistics over.
const COUNT: usize = 16;

/// Returns the coefficients of the error of an encryption of 0 at scale 1, which are integers.
fn errors(s: &Setup, ciphertext: &Ciphertext) -> Vec<f64> {
    let slots = s.decrypt(ciphertext);
    assert_eq!((slots.len(), ciphertext.scale()), (s.params.slots(), 1.0));
    let (mut re, mut im): (Vec<_>, Vec<_>) = slots.iter().map(|z| (z.re, z.im)).unzip();
    SpecialFft::new(slots.len().ilog2()).to_coefficients(&mut re, &mut im);
    re.extend(im);
    assert!(re.iter().all(|e| (e - e.round()).abs() < 1e-6), "coefficients are integers");
    re.iter().map(|e| e.round()).collect()
}

/// Returns mean and variance.
fn moments(samples: &[f64]) -> (f64, f64) {
    let n = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / n;
    (mean, samples.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n)
}

/// Asserts that samples have mean 0 and this variance, within 8 deviations, times `spread`. The
/// mean of m independent samples of variance v has a deviation of √(v/m), and the variance of
/// Gaussian ones a deviation of v·√(2/m).
fn check_moments(what: &str, samples: &[f64], variance: f64, spread: f64) {
    let ((mean, found), m) = (moments(samples), samples.len() as f64);
    assert!(mean.abs() <= 8.0 * (variance / m).sqrt() * spread, "{what}: mean {mean}");
    let limit = 8.0 * variance * (2.0 / m).sqrt() * spread;
    assert!((found - variance).abs() <= limit, "{what}: variance {found}, should be {variance} ± {limit}");
}

/// The noise of the secret key has the moments of the rounded Gaussian, and its bound.
#[test]
fn noise_of_the_secret_key() {
    let (s, mut rng) = (Setup::new("test-10", 1, |_| KeyRequests::default()), rng(2));
    for level in [0, 12, 29] {
        let zeros = [Complex64::ZERO; 512];
        let all: Vec<_> = (0..COUNT).flat_map(|_| errors(&s, &s.encrypt(&zeros, level, 1.0, &mut rng))).collect();
        check_moments("secret key", &all, FRESH, 1.0);
        assert!(all.iter().all(|e| e.abs() <= 42.0), "the Gaussian is cut at 42");
        // A Gaussian has kurtosis 3, over m samples with deviation √(24/m); a uniform distribution
        // has 1.8.
        let fourth = all.iter().map(|e| e.powi(4)).sum::<f64>() / all.len() as f64 / FRESH / FRESH;
        assert!((fourth - 3.0).abs() <= 8.0 * (96.0 / all.len() as f64).sqrt(), "kurtosis {fourth}");
    }
}

/// The noise of the public key has the variance computed here, and stays within the worst case.
/// (v·e + e_0 + e_1·s)/p_0 is far below 1. What is left are the roundings r_0 + r_1·s of the
/// division: their variance is (1 + h)/12 for a secret of weight h, and they are at most (1 + h)/2.
/// The variance over one encryption is Σ|S_j|²·|R_j|² for the slots S of the secret. Since |S_j|²
/// is exponentially distributed, its deviation is √2 times that of independent samples, for half as
/// many (complex) ones of exponential |R_j|².
#[test]
fn noise_of_the_public_key() {
    let (s, mut rng) = (Setup::new("test-10", 3, |_| KeyRequests::default()), rng(4));
    let key = PublicKey::generate(&s.secret, &mut rng);
    let weight = s.secret.coefficients().iter().filter(|&&c| c != 0).count() as f64;
    for level in [0, 12, 29] {
        let zeros = s.encoder.encode(&[0.0; 512], level, 1.0).expect("zeros");
        let all: Vec<_> = (0..COUNT)
            .flat_map(|_| errors(&s, &key.encrypt(&s.params, &zeros, &mut rng).expect("a ciphertext")))
            .collect();
        check_moments("public key", &all, (1.0 + weight) / 12.0, 2.0);
        assert!(all.iter().all(|e| e.abs() <= (1.0 + weight) / 2.0 + 1.0), "beyond the worst case");
    }
    // b and a have 31 limbs each.
    assert_eq!(key.memory_bytes(), 2 * 31 * 8 * limb_stride(1024));
    let x = random(&mut rng, 64);
    let plain = s.encoder.encode(&x, 7, s.params.scale(7)).expect("a plaintext");
    let encrypted = key.encrypt(&s.params, &plain, &mut rng).expect("a ciphertext");
    assert_eq!((encrypted.level(), encrypted.slots(), encrypted.scale()), (7, 64, plain.scale()));
    // An error in a slot is at most N times the largest coefficient of the error, including the
    // rounding.
    let limit = 1024.0 * ((1.0 + weight) / 2.0 + 2.0) / plain.scale();
    assert!(distance(&s.decrypt(&encrypted), &x) <= limit);
    let again = key.encrypt(&s.params, &plain, &mut rng).expect("a ciphertext");
    assert!(again != encrypted, "encryption is randomised");
}

/// A seeded ciphertext expands to the same ciphertext that encryption gives with the same
/// randomness.
#[test]
fn seeded_ciphertexts() {
    let s = Setup::new("test-10", 5, |_| KeyRequests::default());
    for (level, slots) in [(0, 1), (12, 512), (29, 16)] {
        let plain = s.encoder.encode(&random(&mut rng(6), slots), level, 2f64.powi(30)).expect("a plaintext");
        let seeded = s.secret.encrypt_seeded(&plain, &mut rng(7)).expect("a ciphertext");
        assert_eq!((seeded.level(), seeded.scale(), seeded.slots()), (level, plain.scale(), slots));
        let wanted = s.secret.encrypt(&plain, &mut rng(7)).expect("a ciphertext");
        assert!(seeded.clone().expand(&s.params).expect("expanded") == wanted, "expanded");
        assert!(s.secret.encrypt(&plain, &mut rng(8)).expect("a ciphertext") != wanted, "encryption is randomised");
        assert_eq!((wanted.degree(), wanted.parameters_hash()), (1, s.params.hash()));
        let error = seeded.expand(&params("test-11")).expect_err("other parameters");
        assert!(matches!(error, Error::OtherParameters { .. }), "{error:?}");
    }
}

/// A ciphertext of degree 2 is decrypted to the product, and so is the relinearised one. Another
/// secret is refused, and would decrypt to something else.
#[test]
fn decryption() {
    let (s, mut rng) = (Setup::new("test-10", 9, |p| KeyRequests::default().relinearisation(p.max_level())), rng(10));
    for level in [1, 12, 29] {
        let (x, y, scale) = (random(&mut rng, 512), random(&mut rng, 512), 2f64.powi(40));
        let [a, b] = [&x, &y].map(|z| s.encrypt(z, level, scale, &mut rng));
        let lazy = s.evaluator.mul_lazy(&a, &b).expect("mul_lazy");
        let wanted: Vec<_> = x.iter().zip(&y).map(|(x, y)| x * y).collect();
        // The worst case is an error of N·43 in each factor, times √2, the largest value.
        let limit = 2.0 * 1.5 * 1024.0 * 43.0 / scale;
        assert!(distance(&s.decrypt(&lazy), &wanted) <= limit, "degree 2 at level {level}");
        assert!(distance(&s.decrypt(&s.evaluator.relinearise(&lazy).expect("relinearise")), &wanted) <= limit);
        // Another secret is refused unless it claims to be the same one.
        let other = SecretKey::generate(&s.params, &mut rng).expect("a secret");
        let (found, wanted) = (a.key_generation(), other.key_generation());
        assert_eq!(other.decrypt(&a).map(|_| ()), Err(Error::OtherKeys { found, wanted }));
        let coefficients = other.coefficients().to_vec().into();
        let other = SecretKey::from_coefficients(&s.params, coefficients, a.key_generation()).expect("a secret");
        let found = s.encoder.decode(&other.decrypt(&a).expect("a plaintext")).expect("values");
        assert!(distance(&found, &x) > 1.0, "another secret");
    }
    // An empty ciphertext belongs to no secret.
    let empty = Ciphertext::empty(&s.params);
    let (found, wanted) = (KeyGeneration::NONE, s.secret.key_generation());
    assert_eq!(empty.key_generation(), found);
    assert_eq!(s.secret.decrypt(&empty).map(|_| ()), Err(Error::OtherKeys { found, wanted }));
}

/// Every combination of objects of two parameters is refused, with both hashes.
#[test]
fn mixed_parameters_are_refused() {
    let (s, mut rng) = (Setup::new("test-10", 11, |_| KeyRequests::default()), rng(12));
    let t = Setup::new("test-11", 13, |_| KeyRequests::default());
    let [mine, theirs] = [&s, &t].map(|s| s.encoder.encode(&[1.0], 3, 1e6).expect("a plaintext"));
    let check = |what: &str, result: hetal::Result<()>| {
        let error = result.expect_err(what);
        let (text, hashes) = (error.to_string(), [&s, &t].map(|s| s.params.hash().to_string()));
        assert!(matches!(error, Error::OtherParameters { .. }), "{what}: {text}");
        assert!(hashes.iter().all(|hash| text.contains(hash)), "{what}: {text}");
    };
    let key = PublicKey::generate(&s.secret, &mut rng);
    check("encrypt", s.secret.encrypt(&theirs, &mut rng).map(|_| ()));
    check("encrypt_seeded", s.secret.encrypt_seeded(&theirs, &mut rng).map(|_| ()));
    check("public key, plaintext", key.encrypt(&s.params, &theirs, &mut rng).map(|_| ()));
    check("public key, parameters and plaintext", key.encrypt(&t.params, &theirs, &mut rng).map(|_| ()));
    check("public key, parameters", key.encrypt(&t.params, &mine, &mut rng).map(|_| ()));
    let x = t.secret.encrypt(&theirs, &mut rng).expect("a ciphertext");
    check("decrypt", s.secret.decrypt(&x).map(|_| ()));
    check("decode", s.encoder.decode(&theirs).map(|_| ()));
    check("decode_real", s.encoder.decode_real(&theirs).map(|_| ()));
    check("decode_public", s.encoder.decode_public(&theirs, 10, &mut rng).map(|_| ()));
    check("an operation", Evaluator::without_keys(&s.params).negate(&x).map(|_| ()));
}

/// Values to be published are on the grid 2^−bits. Their noise is a Gaussian of that deviation plus
/// the rounding: variance (1 + 1/12)·4^−bits.
#[test]
fn public_values() {
    let (params, mut rng) = (params("test-13"), rng(14));
    let encoder = Encoder::new(&params);
    let x = random(&mut rng, params.slots());
    let plain = encoder.encode(&x, 2, 2f64.powi(90)).expect("a plaintext");
    let exact = encoder.decode(&plain).expect("values");
    for bits in [0, 1, 10, 20, 40] {
        let step = f64::from(bits).exp2();
        let found = encoder.decode_public(&plain, bits, &mut rng).expect("values");
        let scaled: Vec<f64> = found.iter().flat_map(|z| [z.re * step, z.im * step]).collect();
        assert!(scaled.iter().all(|x| x.fract() == 0.0), "multiples of 2^-{bits}");
        let exact: Vec<f64> = exact.iter().flat_map(|z| [z.re * step, z.im * step]).collect();
        let noise: Vec<f64> = scaled.iter().zip(&exact).map(|(a, b)| a - b).collect();
        check_moments("public values", &noise, 1.0 + 1.0 / 12.0, 1.0);
        // Of 8192 normal values some lie beyond 3 deviations (22 are expected) and none beyond 9
        // (one in 10^18).
        let beyond = |k: f64| noise.iter().filter(|x| x.abs() > k).count();
        assert!((1..80).contains(&beyond(3.3)) && beyond(9.5) == 0, "{} and {} beyond", beyond(3.3), beyond(9.5));
        // Real and imaginary parts, and neighbours, are independent: their products have mean 0
        // with deviation v/√m.
        for lag in [1, 2] {
            let products: Vec<f64> = noise.iter().zip(&noise[lag..]).map(|(a, b)| a * b).collect();
            let limit = 8.0 * (13.0 / 12.0) / (products.len() as f64).sqrt();
            assert!(moments(&products).0.abs() <= limit, "noise {lag} apart is correlated");
        }
    }
    let found = encoder.decode_public(&plain, 60, &mut rng).expect("values");
    assert!(distance(&found, &exact) <= 16.0 * 2f64.powi(-60) + 2f64.powi(-52), "60 bits");
    let error = encoder.decode_public(&plain, 61, &mut rng).expect_err("too many bits");
    assert!(matches!(error, Error::Range { value: 61.0, min: 0.0, max: 60.0, .. }));
    assert!(error.to_string().contains("61") && error.to_string().contains("60"), "{error}");
}

/// The bound of the flooding at one point by hand, and how it depends on queries, slots, bits and
/// security.
#[test]
fn bound_of_the_flooding() {
    // 2^-20/(√24·2^15), by hand.
    let wanted = 2f64.powi(-35) / 24f64.sqrt();
    let is = |found: f64, wanted: f64| (found / wanted - 1.0).abs() < 1e-12;
    assert!(is(flooding_bound(20, 1, 1, 30), wanted));
    assert!(is(flooding_bound(20, 1, 1 << 20, 30), wanted / 1024.0), "queries count by their root");
    assert!(is(flooding_bound(20, 1 << 14, 1, 30), wanted / 128.0), "slots count by their root");
    assert!(is(flooding_bound(21, 1, 1, 30), wanted / 2.0), "a bit");
    assert!(is(flooding_bound(20, 1, 1, 32), wanted / 2.0), "two bits of security");
    assert!(flooding_bound(0, 1, 1, 0) < 1.0 && flooding_bound(60, 1 << 16, u64::MAX, 128) > 0.0);
}

/// Returns the integral of f from a to b, by Simpson's rule.
fn integral(a: f64, b: f64, f: impl Fn(f64) -> f64) -> f64 {
    const STEPS: usize = 2000;
    let h = (b - a) / STEPS as f64;
    let sum = |from: usize| (from..STEPS).step_by(2).map(|i| f(a + i as f64 * h)).sum::<f64>();
    (f(a) + f(b) + 4.0 * sum(1) + 2.0 * sum(2)) * h / 3.0
}

/// Returns the density of the normal distribution.
fn density(x: f64) -> f64 {
    (-x * x / 2.0).exp() / TAU.sqrt()
}

/// The best adversary against noise at the bound has at most the claimed advantage, over all
/// coordinates of all queries. To tell Gaussians around e from Gaussians around 0, it projects to
/// the line through both (Neyman and Pearson), on which their distance is ‖e‖₂ deviations. Its
/// advantage is the mass within half of that distance around the middle. ‖e‖₂ is summed number by
/// number.
#[test]
fn advantage_against_noise_at_the_bound() {
    for (slots, queries) in [(1usize, 1u64), (1, 100), (64, 7), (1 << 10, 50), (1 << 15, 1), (1 << 15, 20)] {
        for (bits, security) in [(0, 0), (5, 10), (20, 20), (20, 30), (40, 40)] {
            let noise = flooding_bound(bits, slots, queries, security);
            // Unequal numbers with this root mean square: 1/5 and 7/5 of it by turns.
            let parts = [noise / 5.0, noise * 7.0 / 5.0];
            let square: f64 = (0..queries).map(|_| (0..2 * slots).map(|i| parts[i % 2].powi(2)).sum::<f64>()).sum();
            let distance = square.sqrt() * f64::from(bits).exp2();
            let advantage = integral(-distance / 2.0, distance / 2.0, density);
            let claimed = 2f64.powf(-f64::from(security) / 2.0);
            let what = format!("{slots} slots, {queries} queries, {bits} bits, security {security}: {advantage:e}");
            assert!(advantage <= claimed, "{what}, claimed {claimed:e}");
            // The bound is not needlessly strict either: by at most 4 bits.
            assert!(advantage >= claimed / 16.0, "{what}, claimed {claimed:e}");
            // The divergence of one number that is moved by this many deviations, from its
            // definition. Divergences add up.
            let divergence = |moved: f64| integral(-12.0, 12.0, |x| density(x) * (moved * moved / 2.0 - moved * x));
            let each = parts.map(|part| divergence(part * f64::from(bits).exp2()));
            let sum = (each[0] + each[1]) * slots as f64 * queries as f64;
            assert!((sum * 24.0 / claimed.powi(2) - 1.0).abs() < 1e-6, "{what}: divergence {sum:e}");
        }
    }
}

/// The noise of both keys at N = 2^16.
#[test]
fn at_n16() {
    let (s, mut rng) = (Setup::new("n16", 15, |_| KeyRequests::default()), rng(16));
    let key = PublicKey::generate(&s.secret, &mut rng);
    let weight = s.secret.coefficients().iter().filter(|&&c| c != 0).count() as f64;
    let zeros = vec![Complex64::ZERO; s.params.slots()];
    check_moments("secret key", &errors(&s, &s.encrypt(&zeros, 3, 1.0, &mut rng)), FRESH, 1.0);
    let plain = s.encoder.encode(&zeros, 3, 1.0).expect("zeros");
    let all = errors(&s, &key.encrypt(&s.params, &plain, &mut rng).expect("a ciphertext"));
    check_moments("public key", &all, (1.0 + weight) / 12.0, 2.0);
}
