//! Tests of linear transforms and polynomials of ciphertexts against plain arithmetic.

use std::sync::Arc;

use hetal::circuits::{Chebyshev, Cost, EncodedTransform, LinearTransform, PolynomialPlan};
use hetal::ckks::keys::KeyId;
use hetal::{Complex64, Encoder, Error, Evaluator, KeyRequests, KeySet, Parameters, SecretKey};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

struct Setup {
    params: Parameters,
    encoder: Encoder,
    secret: SecretKey,
    rng: ChaCha20Rng,
}

fn setup(seed: u64) -> Setup {
    let params = Parameters::preset("test-10").expect("a preset");
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let secret = SecretKey::generate(&params, &mut rng).expect("a secret");
    Setup { encoder: Encoder::new(&params), params, secret, rng }
}

impl Setup {
    fn evaluator(&mut self, requests: &KeyRequests) -> Evaluator {
        let keys = self.secret.evaluation_keys(requests, &mut self.rng).expect("keys");
        Evaluator::new(&self.params, Arc::new(keys))
    }

    fn encrypt(&mut self, z: &[Complex64], level: usize) -> hetal::Ciphertext {
        let plaintext = self.encoder.encode(z, level, self.params.scale(level)).expect("encodes");
        self.secret.encrypt(&plaintext, &mut self.rng).expect("encrypts")
    }

    fn decrypt(&self, ciphertext: &hetal::Ciphertext) -> Vec<Complex64> {
        self.encoder.decode(&self.secret.decrypt(ciphertext).expect("decrypts")).expect("decodes")
    }
}

fn largest_error(found: &[Complex64], wanted: &[Complex64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    found.iter().zip(wanted).map(|(a, b)| (a - b).norm()).fold(0.0, f64::max)
}

/// Bounds the errors of a few key-switches and encodings at N = 2^10 and a scale of 2^40: each is
/// below 2^−27.7 (`hetal bench precision`).
const FEW_STEPS: f64 = 1.0 / (1u64 << 24) as f64;

fn wave(n: usize, frequency: f64) -> Vec<Complex64> {
    (0..n).map(|i| Complex64::from_polar(0.9, i as f64 * frequency)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Linear transforms with random diagonals, strides, periods and levels, against the same
    /// transform of the plain slots.
    #[test]
    fn transforms(log_slots in 0u32..=9, count in 1usize..24, stride in 0u32..4, level in 1usize..18, extra in 0usize..3, log_period in 0u32..=9, seed: u64) {
        let mut s = setup(seed);
        let n = 1usize << log_slots;
        let step = 1i64 << stride.min(log_slots);
        // The diagonals are around the main one, and some of them are missing.
        let indices = (0..count as i64).map(|i| (i - count as i64 / 2) * step).filter(|k| (seed >> (k.rem_euclid(61))) & 3 != 0);
        // Diagonals that repeat themselves are kept in a smaller ring.
        let entries = |k: i64| wave(n.min(1 << log_period), 0.1 + k as f64).into_iter().map(|z| z / count as f64).cycle().take(n);
        let diagonals: Vec<_> = indices.map(|k| (k, entries(k).collect())).collect();
        prop_assume!(!diagonals.is_empty());
        let transform = LinearTransform::new(n, diagonals).expect("diagonals");
        let key_level = (level + extra).min(17);
        let plan = transform.plan(&s.params, level, key_level).expect("a plan");
        let evaluator = s.evaluator(&plan.requests(&s.params));
        let encoded = EncodedTransform::new(&s.encoder, &transform, plan, s.params.q(level).as_f64()).expect("encodes");
        let z = wave(n, 0.37);
        // A ciphertext above the level of the plan is brought down.
        let a = s.encrypt(&z, key_level);
        let copy = a.clone();
        let out = evaluator.transform(&a, &encoded).expect("transforms");
        prop_assert_eq!(&a, &copy);
        prop_assert_eq!(out.level(), level - 1);
        prop_assert!((out.scale() / a.scale() - 1.0).abs() < 1e-12);
        let error = largest_error(&s.decrypt(&out), &transform.apply(&z));
        prop_assert!(error < FEW_STEPS, "2^{}", error.log2());
    }

    /// Random polynomials on random intervals, against the values of the plain polynomial, within
    /// the bound of the plan.
    #[test]
    fn polynomials(degree in 0usize..70, level in 8usize..18, from in -4.0f64..0.0, width in 0.5f64..8.0, parity in 0usize..3, unit: bool, seed: u64) {
        let mut s = setup(seed);
        let interval = if unit { [-1.0, 1.0] } else { [from, from + width] };
        // The coefficients fall slowly, and are even, odd or neither.
        let keep = |i: usize| parity == 2 || i % 2 == parity;
        let coefficients = (0..=degree).map(|i| if keep(i) { (i as f64 * 1.7 + 0.3).cos() / (i + 1) as f64 } else { 0.0 });
        let polynomial = Chebyshev::new(coefficients.collect(), interval);
        let degree = polynomial.degree();
        let plan = PolynomialPlan::new(&s.params, polynomial, level).expect("a plan");
        let depth = (degree + 1).next_power_of_two().ilog2() as usize + usize::from(!unit);
        prop_assert_eq!(plan.depth(), depth);
        let evaluator = s.evaluator(&plan.requests());
        let n = 64;
        let x: Vec<Complex64> = (0..n).map(|i| (interval[0] + (interval[1] - interval[0]) * i as f64 / 63.0).into()).collect();
        let a = s.encrypt(&x, level);
        let after = level - depth;
        let out = evaluator.polynomial(&a, &plan, s.params.scale(after)).expect("evaluates");
        prop_assert_eq!((out.level(), out.scale()), (after, s.params.scale(after)));
        let wanted: Vec<Complex64> = x.iter().map(|x| plan.polynomial().evaluate(x.re).into()).collect();
        // A fresh error and a rounding are each below 2^−27 at this ring; the plan says what
        // becomes of them.
        let unit_error = 1.0 / f64::from(1 << 27);
        let bound = plan.error_bound(unit_error * if unit { 1.0 } else { width.max(1.0) }, unit_error);
        let error = largest_error(&s.decrypt(&out), &wanted);
        prop_assert!(error < bound, "2^{} of 2^{}", error.log2(), bound.log2());
    }
}

/// A composition of transforms, and a transform given by rows, against plain matrix products.
#[test]
fn transforms_compose() {
    let n = 16;
    let a = LinearTransform::new(n, [(0, wave(n, 0.3)), (3, wave(n, 0.7)), (-2, wave(n, 1.1))]).expect("diagonals");
    let b = LinearTransform::new(n, [(1, wave(n, 0.2)), (9, wave(n, 2.3))]).expect("diagonals");
    let z = wave(n, 0.9);
    assert!(largest_error(&a.compose(&b).apply(&z), &a.apply(&b.apply(&z))) < 1e-13);
    let rows: Vec<Vec<Complex64>> = (0..n).map(|j| wave(n, j as f64)).collect();
    let wanted: Vec<Complex64> = rows.iter().map(|row| row.iter().zip(&z).map(|(m, z)| m * z).sum()).collect();
    assert!(largest_error(&LinearTransform::from_rows(&rows).expect("square").apply(&z), &wanted) < 1e-13);
}

/// Depth and products of Chebyshev polynomials: ⌈log2(d + 1)⌉ levels, and no more relinearisations
/// than in Bossuat et al., Table 2 (2^⌈m/2⌉ + m − ⌈m/2⌉ + … for degrees below 2^m).
#[test]
fn polynomial_plans() {
    let s = setup(1);
    for (degree, depth, relinearisations) in
        [(1, 1, 0), (2, 2, 1), (3, 2, 2), (7, 3, 4), (15, 4, 7), (31, 5, 10), (63, 6, 15)]
    {
        let polynomial = Chebyshev::new((0..=degree).map(|i| 1.0 / (i + 1) as f64).collect(), [-1.0, 1.0]);
        let plan = PolynomialPlan::new(&s.params, polynomial, 17).expect("a plan");
        assert_eq!(plan.depth(), depth, "degree {degree}");
        assert!(plan.relinearisations() <= relinearisations, "degree {degree}: {}", plan.relinearisations());
        assert!(plan.requests().iter().all(|(id, level)| id == KeyId::Relinearisation && level <= 17));
    }
}

/// The counts of a key-switch are those of the table in the kernel's documentation.
#[test]
fn costs() {
    let s = setup(2);
    let shape = s.params.gadget_shape(29);
    assert_eq!((shape.alpha, shape.special), (8, 8));
    let cost = Cost::key_switch(29, shape, 0);
    // D(l + k) − l lifted limbs and l back, for D = 4, l = 30, k = 8; then 2k back and 2l forward.
    assert_eq!(cost.transforms, 4 * 38 + 2 * 8 + 2 * 30);
    assert_eq!(cost.conversions, 3 * 30 * 9 + 32 * 7 + 2 * 30 * 9);
    assert_eq!(cost.products, 2 * 4 * 38 + 2 * 30);
    assert_eq!(cost.key_limbs, 2 * 4 * 38);
}

/// Levels, keys, plans and sizes that do not fit are refused.
#[test]
fn refusals() {
    let mut s = setup(3);
    let z = wave(512, 0.1);
    let transform = LinearTransform::new(512, [(0, z.clone()), (1, z.clone())]).expect("diagonals");
    assert_eq!(transform.plan(&s.params, 5, 4), Err(Error::LowLevel { level: 4, needed: 5 }));
    assert_eq!(transform.plan(&s.params, 5, 30), Err(Error::Level { level: 30, max: 29 }));
    let plan = transform.plan(&s.params, 5, 5).expect("a plan");
    let encoded = EncodedTransform::new(&s.encoder, &transform, plan, s.params.q(5).as_f64()).expect("encodes");
    let without = Evaluator::new(&s.params, Arc::new(KeySet::default()));
    let a = s.encrypt(&z, 5);
    assert!(matches!(without.transform(&a, &encoded), Err(Error::MissingKey { level: 5, .. })));
    let low = s.encrypt(&z, 4);
    assert_eq!(without.transform(&low, &encoded), Err(Error::LowLevel { level: 4, needed: 5 }));
    // Plans for other diagonals: with other indices, other periods, or another number of slots.
    let plan = transform.plan(&s.params, 5, 5).expect("a plan");
    for other in [
        LinearTransform::new(512, [(0, z.clone())]),
        LinearTransform::new(512, [(0, z.clone()), (1, z.clone()), (2, z.clone())]),
        LinearTransform::new(512, [(0, z.clone()), (2, z.clone())]),
        LinearTransform::new(512, [(0, vec![Complex64::ONE; 512]), (1, vec![Complex64::ONE; 512])]),
        LinearTransform::new(256, [(0, z[..256].to_vec()), (1, z[..256].to_vec())]),
    ] {
        let found = EncodedTransform::new(&s.encoder, &other.expect("diagonals"), plan.clone(), 1e12);
        assert!(matches!(found, Err(Error::Malformed { .. })), "{:?}", found.map(|_| ()));
    }
    let narrow = LinearTransform::new(8, [(0, wave(8, 0.1))]).expect("a diagonal");
    let plan = narrow.plan(&s.params, 5, 5).expect("a plan");
    let encoded = EncodedTransform::new(&s.encoder, &narrow, plan, s.params.q(5).as_f64()).expect("encodes");
    assert_eq!(without.transform(&a, &encoded), Err(Error::Slots { slots: 512, max: 8 }));
    assert!(matches!(LinearTransform::new(6, []), Err(Error::Slots { slots: 6, .. })));
    assert!(matches!(LinearTransform::new(8, []), Err(Error::Count { found: 0, .. })));
    assert!(matches!(LinearTransform::new(8, [(0, wave(7, 0.1))]), Err(Error::Count { found: 7, wanted: 8, .. })));
    let polynomial = Chebyshev::new(vec![0.0; 16].into_iter().chain([1.0]).collect(), [-1.0, 1.0]);
    let wanted = Error::NoLevelsLeft { operation: "the polynomial", needed: 5, level: 4 };
    assert_eq!(PolynomialPlan::new(&s.params, polynomial, 4), Err(wanted));
}
