//! Requests for keys, the keys made for them, and where they are found.

mod common;

use std::collections::BTreeSet;

use common::*;
use hetal::kernel::GaloisElement;
use hetal::keys::{EvaluationKeys, KeyId, entropy};
use hetal::params::{SecretDistribution, Security};
use hetal::{Error, KeyRequests, KeySet, Parameters, ParametersLiteral, SecretKey};
use proptest::prelude::*;
use zeroize::Zeroizing;

fn rotation(params: &Parameters, k: i64) -> KeyId {
    KeyId::Galois(GaloisElement::rotation(k, params.log_n()))
}

#[test]
fn requests_name_elements_once() {
    let params = params("test-10");
    let slots = params.slots() as i64;
    for k in [0, slots, -slots, 3 * slots, i64::MIN] {
        assert_eq!(KeyRequests::default().rotation(&params, k, 3), KeyRequests::default(), "rotation by {k}");
    }
    let one = KeyRequests::default().rotation(&params, 1, 3);
    for k in [1 + slots, 1 - slots, 1 - 8 * slots] {
        assert_eq!(KeyRequests::default().rotation(&params, k, 3), one, "rotation by {k}");
    }
    assert_eq!(KeyRequests::default().rotation(&params, -1, 3), KeyRequests::default().rotation(&params, i64::MAX, 3));
    let mut all = one.clone().relinearisation(2);
    all.extend(&one.rotation(&params, 1, 3).conjugation(&params, 7));
    let conjugation = KeyId::Galois(GaloisElement::conjugation(params.log_n()));
    let wanted = BTreeSet::from([(KeyId::Relinearisation, 2), (rotation(&params, 1), 3), (conjugation, 7)]);
    assert_eq!(all.iter().collect::<BTreeSet<_>>(), wanted);
    let names = [KeyId::Relinearisation, conjugation, rotation(&params, 1)].map(|id| id.to_string());
    assert_eq!(names, ["relinearisation key", "conjugation key", "Galois key for X^5"]);
}

/// The plan: for every kind and shape the highest level asked for; so every request is served by a key of its own shape.
#[test]
fn plans_merge_equal_shapes() {
    let params = params("test-10");
    proptest!(config(64), |(wanted in proptest::collection::vec((0i64..5, 0usize..30), 0..40))| {
        let requests = wanted.iter().fold(KeyRequests::default(), |requests, &(k, level)| match k {
            0 => requests.relinearisation(level),
            k => requests.rotation(&params, k, level),
        });
        let plan = requests.plan(&params).expect("levels that exist");
        let shape = |level| params.gadget_shape(level);
        let distinct: BTreeSet<_> = plan.iter().map(|&(id, level)| (id, shape(level))).collect();
        prop_assert_eq!(distinct.len(), plan.len());
        for &(id, level) in &plan {
            let same = requests.iter().filter(|&(other, l)| other == id && shape(l) == shape(level));
            prop_assert_eq!(same.map(|(_, level)| level).max(), Some(level));
        }
        for (id, level) in requests.iter() {
            prop_assert!(distinct.contains(&(id, shape(level))));
        }
    });
    let error = Error::Level { level: 30, max: 29 };
    let requests = KeyRequests::default().relinearisation(30);
    assert_eq!(requests.plan(&params), Err(error.clone()));
    assert_eq!(requests.memory_bytes(&params), Err(error.clone()));
    let secret = SecretKey::generate(&params, &mut rng(1)).expect("a secret");
    assert_eq!(secret.evaluation_keys(&requests, &mut rng(1)).map(|_| ()), Err(error));
    assert_eq!(KeyRequests::default().plan(&params), Ok(vec![]));
    // A rotation of another ring.
    let foreign = KeyRequests::default().rotation(&common::params("test-11"), 1, 3);
    let text = foreign.plan(&params).unwrap_err().to_string();
    assert_eq!(text, "key request: ring degree 2^11: must be of the ring of degree 2^10");
    assert!(secret.evaluation_keys(&foreign, &mut rng(1)).is_err());
}

/// Words of a limb of a key: 11 for 16 residues of up to 42 bits, 13 for larger ones; then 17 cache lines.
fn packed_limb(params: &Parameters, bits: u32) -> usize {
    params.n() / 16 * if bits <= 42 { 11 } else { 13 } + 136
}

#[test]
fn keys_as_requested() {
    let (params, mut rng) = (params("test-10"), rng(2));
    let secret = SecretKey::generate(&params, &mut rng).expect("a secret");
    let requests = all_keys(&params, [0, 1, 4, 5, 6, 12, 17, 29]);
    let plan = requests.plan(&params).expect("levels that exist");
    let made = secret.evaluation_keys_iter(&requests, &mut rng).expect("levels that exist");
    let order: Vec<_> = made.map(|key| key.expect("a key")).map(|key| (key.id(), key.level())).collect();
    assert_eq!(order, plan, "one by one in the order of the plan");
    let keys = secret.evaluation_keys(&requests, &mut rng).expect("keys");
    assert_eq!(keys.iter().len(), plan.len());
    assert_eq!(keys.memory_bytes(), requests.memory_bytes(&params).expect("levels that exist"));
    for key in keys.iter() {
        let shape = params.gadget_shape(key.level());
        assert_eq!((key.gadget().alpha(), key.gadget().special()), (shape.alpha, shape.special));
        // Two parts of (limbs + special primes) limbs for each digit; the permutation of a Galois key has 4 bytes a slot.
        let digits = (key.level() + 1).div_ceil(shape.alpha);
        assert_eq!(key.gadget().qp().len(), key.level() + 1 + shape.special);
        let numbers =
            2 * digits * key.gadget().qp().moduli().iter().map(|q| packed_limb(&params, q.bits())).sum::<usize>();
        let permutation = if key.id() == KeyId::Relinearisation { 0 } else { 4 * params.n() };
        assert_eq!(key.memory_bytes(), 8 * numbers + permutation, "level {}", key.level());
    }
    // The smallest that serves a level, for every level; nothing above the highest.
    for id in [KeyId::Relinearisation, rotation(&params, -3)] {
        let levels: BTreeSet<_> = plan.iter().filter(|(other, _)| *other == id).map(|&(_, level)| level).collect();
        for level in 0..40 {
            let found = keys.find(id, level).map(|key| (key.id(), key.level()));
            assert_eq!(found, levels.range(level..).next().map(|&l| (id, l)), "level {level}");
        }
    }
    assert!(keys.find(rotation(&params, 2), 0).is_none(), "no key was asked for");
    for (id, level) in requests.iter() {
        let key = keys.find(id, level).expect("a key");
        assert_eq!(params.gadget_shape(key.level()), params.gadget_shape(level), "with the shape of the request");
    }
    // A key replaces the one of the same kind and level.
    let (count, mut all) = (keys.iter().len(), keys.clone());
    all.insert(keys.iter().next().expect("a key").clone());
    assert_eq!(all.iter().len(), count);
    assert_eq!((KeySet::default().iter().len(), KeySet::default().memory_bytes()), (0, 0));
}

#[test]
fn secrets() {
    let (params, mut rng) = (params("test-13"), rng(3));
    let secret = SecretKey::generate(&params, &mut rng).expect("a secret");
    // Each value has probability 1/3: N/3 of them, with a standard deviation of √(2N/9), of which 8 are allowed.
    for value in [-1, 0, 1] {
        let count = secret.coefficients().iter().filter(|&&c| c == value).count() as f64;
        let n = params.n() as f64;
        assert!((count - n / 3.0).abs() <= 8.0 * (2.0 * n / 9.0).sqrt(), "{count} coefficients are {value}");
    }
    assert_eq!(secret.parameters_hash(), params.hash());
    let hash = params.hash();
    assert_eq!(format!("{secret:?}"), format!("SecretKey {{ parameters: {hash}, .. }}"), "nothing of the secret");
    assert_eq!(format!("{secret:#?}").lines().count(), 4, "nothing of the secret");
    let same = SecretKey::from_coefficients(&params, Zeroizing::new(secret.coefficients().to_vec())).expect("a secret");
    assert_eq!(same.coefficients(), secret.coefficients());
    for wrong in [2, -2, i8::MAX, i8::MIN] {
        let mut coefficients = vec![1; params.n()];
        coefficients[params.n() - 1] = wrong;
        let error = SecretKey::from_coefficients(&params, Zeroizing::new(coefficients)).expect_err("out of range");
        assert!(matches!(error, Error::Range { value, min: -1.0, max: 1.0, .. } if value == f64::from(wrong)));
        assert!(error.to_string().contains(&wrong.to_string()), "{error}");
    }
    for found in [0, params.n() - 1, params.n() + 1] {
        let error = SecretKey::from_coefficients(&params, Zeroizing::new(vec![0; found])).expect_err("a wrong length");
        assert_eq!(error, Error::Count { what: "coefficients of a secret", found, wanted: params.n() });
    }
    for weight in [1, 100, 256] {
        let literal = ParametersLiteral {
            name: "test-weight".to_owned(),
            log_n: 8,
            q_bits: vec![40, 40],
            p_bits: vec![45],
            secret: SecretDistribution::FixedWeight(weight),
            security: Security::Insecure,
        };
        let secret = SecretKey::generate(&Parameters::new(literal).expect("a literal"), &mut rng).expect("a secret");
        assert_eq!(secret.coefficients().iter().filter(|&&c| c != 0).count(), weight);
    }
    let [mut a, mut b] = [entropy(), entropy()].map(|rng| rng.expect("randomness"));
    assert_ne!(random(&mut a, 4), random(&mut b, 4), "two generators with one seed");
}

#[test]
fn at_n16() {
    let (params, mut rng) = (params("n16"), rng(4));
    let requests = KeyRequests::default().relinearisation(3).rotation(&params, 1, 2).rotation(&params, 1, 3);
    let keys = SecretKey::generate(&params, &mut rng).expect("a secret");
    let keys = keys.evaluation_keys(&requests, &mut rng).expect("keys");
    assert_eq!(keys.memory_bytes(), requests.memory_bytes(&params).expect("levels that exist"));
    // A key of the top level, which is not made here: 2·(30 + k) limbs for each digit.
    let top = KeyRequests::default().relinearisation(29).memory_bytes(&params).expect("a level");
    let shape = params.gadget_shape(29);
    let limbs = 17 * packed_limb(&params, 40) + (13 + shape.special) * packed_limb(&params, 50);
    assert_eq!(top, 8 * 2 * 30usize.div_ceil(shape.alpha) * limbs);
}
