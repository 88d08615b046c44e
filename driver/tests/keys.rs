//! Tests of requests for keys, of the keys made for them, and of finding them.

mod common;

use std::collections::BTreeSet;

use common::*;
use hetal::base::key_generation::KeyGeneration;
use hetal::ckks::keys::{EvaluationKeys, KeyId, entropy};
use hetal::ckks::params::{SecretDistribution, Security};
use hetal::kernel::GaloisElement;
use hetal::{Encoder, Error, KeyRequests, KeySet, Parameters, ParametersLiteral, PublicKey, SecretKey};
use proptest::prelude::*;
use zeroize::Zeroizing;

fn rotation(params: &Parameters, k: i64) -> KeyId {
    KeyId::Galois(GaloisElement::rotation(k, params.log_n()))
}

/// Requests for rotations by the same amount modulo N/2 are one request, and the identity is none.
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

/// A plan has, for every kind and shape, the highest level asked for, so that every request is
/// served by a key of its own shape.
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
    // This is a rotation of another ring.
    let foreign = KeyRequests::default().rotation(&common::params("test-11"), 1, 3);
    let text = foreign.plan(&params).unwrap_err().to_string();
    assert_eq!(text, "key request: ring degree 2^11: must be of the ring of degree 2^10");
    assert!(secret.evaluation_keys(&foreign, &mut rng(1)).is_err());
}

/// Returns the words of a limb of a key: 11 for 16 residues of up to 42 bits, 13 for larger ones,
/// and 17 cache lines besides.
fn packed_limb(params: &Parameters, bits: u32) -> usize {
    params.n() / 16 * if bits <= 42 { 11 } else { 13 } + 136
}

/// Keys are made in the order of the plan, take the memory computed by hand, and are found for
/// every level that they serve.
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
        // There are two parts of (limbs + special primes) limbs for each digit. The permutation of
        // a Galois key takes 4 bytes per slot.
        let digits = (key.level() + 1).div_ceil(shape.alpha);
        assert_eq!(key.gadget().qp().len(), key.level() + 1 + shape.special);
        let numbers =
            2 * digits * key.gadget().qp().moduli().iter().map(|q| packed_limb(&params, q.bits())).sum::<usize>();
        let permutation = if key.id() == KeyId::Relinearisation { 0 } else { 4 * params.n() };
        assert_eq!(key.memory_bytes(), 8 * numbers + permutation, "level {}", key.level());
    }
    // For every level, the smallest key that serves it is found, and none above the highest.
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
    all.insert(keys.iter().next().expect("a key").clone()).expect("of the same generation");
    assert_eq!(all.iter().len(), count);
    assert_eq!((KeySet::default().iter().len(), KeySet::default().memory_bytes()), (0, 0));
}

/// Secrets have the distribution of their parameters, print nothing of themselves, and other
/// coefficients are refused.
#[test]
fn secrets() {
    let (params, mut rng) = (params("test-13"), rng(3));
    let secret = SecretKey::generate(&params, &mut rng).expect("a secret");
    // Each value has probability 1/3: it occurs N/3 times, with a standard deviation of √(2N/9), of
    // which 8 are allowed.
    for value in [-1, 0, 1] {
        let count = secret.coefficients().iter().filter(|&&c| c == value).count() as f64;
        let n = params.n() as f64;
        assert!((count - n / 3.0).abs() <= 8.0 * (2.0 * n / 9.0).sqrt(), "{count} coefficients are {value}");
    }
    assert_eq!(secret.parameters_hash(), params.hash());
    let hash = params.hash();
    assert_eq!(format!("{secret:?}"), format!("SecretKey {{ parameters: {hash}, .. }}"), "nothing of the secret");
    assert_eq!(format!("{secret:#?}").lines().count(), 4, "nothing of the secret");
    let of =
        |coefficients| SecretKey::from_coefficients(&params, Zeroizing::new(coefficients), secret.key_generation());
    let same = of(secret.coefficients().to_vec()).expect("a secret");
    assert_eq!(same.coefficients(), secret.coefficients());
    assert_eq!(same.key_generation(), secret.key_generation());
    for wrong in [2, -2, i8::MAX, i8::MIN] {
        let mut coefficients = vec![1; params.n()];
        coefficients[params.n() - 1] = wrong;
        let error = of(coefficients).expect_err("out of range");
        assert!(matches!(error, Error::Range { value, min: -1.0, max: 1.0, .. } if value == f64::from(wrong)));
        assert!(error.to_string().contains(&wrong.to_string()), "{error}");
    }
    for found in [0, params.n() - 1, params.n() + 1] {
        let error = of(vec![0; found]).expect_err("a wrong length");
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

/// Everything made with a secret has its id. Each secret has another id, which comes after the
/// secret in the random stream.
#[test]
fn generations() {
    let (params, mut rng) = (params("test-10"), rng(5));
    let [a, b] = [(); 2].map(|()| SecretKey::generate(&params, &mut rng).expect("a secret"));
    let (id, other) = (a.key_generation(), b.key_generation());
    assert!(id != other && ![id, other].contains(&KeyGeneration::NONE));
    let again = SecretKey::generate(&params, &mut common::rng(5)).expect("a secret");
    assert_eq!((again.coefficients(), again.key_generation()), (a.coefficients(), id), "from one stream");

    let requests = all_keys(&params, [0, 7]);
    let keys = a.evaluation_keys(&requests, &mut rng).expect("keys");
    assert!(keys.iter().all(|key| key.key_generation() == id));
    assert_eq!(keys.key_generation(), Some(id));
    assert_eq!(KeySet::default().key_generation(), None);
    assert_eq!(a.encapsulation_keys(&mut rng).expect("keys").key_generation(), id);
    let public = PublicKey::generate(&a, &mut rng);
    assert_eq!(public.key_generation(), id);
    let plain = Encoder::new(&params).encode(&[1.0], 3, 1e9).expect("a plaintext");
    let seeded = a.encrypt_seeded(&plain, &mut rng).expect("a ciphertext");
    assert_eq!(seeded.key_generation(), id);
    assert_eq!(seeded.expand(&params).expect("a ciphertext").key_generation(), id);
    assert_eq!(public.encrypt(&params, &plain, &mut rng).expect("a ciphertext").key_generation(), id);

    // A set of keys refuses other keys, and stays as it was.
    let theirs = b.evaluation_keys(&KeyRequests::default().relinearisation(3), &mut rng).expect("keys");
    let (mut all, key) = (keys.clone(), theirs.iter().next().expect("a key"));
    let error = all.insert(key.clone()).expect_err("other keys");
    assert_eq!(error, Error::OtherKeys { found: other, wanted: id });
    assert_eq!(
        error.to_string(),
        format!(
            "made with other keys: key generation {other} where {id} is needed: use keys and data that were made together, or \
             encrypt the data again with these keys"
        )
    );
    assert_eq!((all.iter().len(), all.key_generation()), (keys.iter().len(), Some(id)));
}

/// Ids are written and read as 32 hexadecimal digits; other texts are refused.
#[test]
fn generations_as_text() {
    let id = KeyGeneration([0, 1, 0x2f, 0xa0, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff]);
    let text = "00012fa00405060708090a0b0c0d0eff";
    assert_eq!((id.to_string(), text.parse()), (text.to_owned(), Ok(id)));
    assert_eq!(text.to_uppercase().parse(), Ok(id));
    let json = serde_json::to_string(&id).expect("a string");
    assert_eq!(json, format!("\"{text}\""));
    assert_eq!(serde_json::from_str::<KeyGeneration>(&json).expect("an id"), id);
    let long = format!("{text}0");
    for wrong in ["", "0", &text[1..], &long, "+0012fa00405060708090a0b0c0d0eff", "é\u{1b}12fa00405060708090a0b0c0d0e"]
    {
        let error = wrong.parse::<KeyGeneration>().expect_err("no id").to_string();
        assert_eq!(error, format!("key generation: id {wrong:?}: must be 32 hexadecimal digits"));
        serde_json::from_str::<KeyGeneration>(&format!("{wrong:?}")).expect_err("no id");
    }
    serde_json::from_str::<KeyGeneration>("7").expect_err("no id");
}

/// Secrets that chance does not give are refused: all zeros, too few or too many of one value,
/// another weight. A secret that chance gives once in 10^20 times is accepted.
#[test]
fn implausible_secrets() {
    let id = KeyGeneration([1; 16]);
    let of = |params: &Parameters, counts: [usize; 3]| {
        let values = [-1, 0, 1].into_iter().zip(counts).flat_map(|(value, count)| std::iter::repeat_n(value, count));
        SecretKey::from_coefficients(params, Zeroizing::new(values.collect()), id).map(|_| ())
    };
    let params = params("test-10");
    // 10·√(2·1024/9) = 150.8 around a third of 1024, 341.3: from 191 to 492.
    let error = Error::ImplausibleSecret { wanted: "about 341 coefficients each of -1, 0 and 1".to_owned() };
    for ok in [[341, 342, 341], [492, 191, 341], [191, 341, 492], [341, 492, 191], [492, 341, 191]] {
        assert_eq!(of(&params, ok), Ok(()), "{ok:?}");
    }
    for [a, b, c] in [[190, 417, 417], [493, 265, 266], [0, 1024, 0], [0, 512, 512], [0, 0, 1024]] {
        for counts in [[a, b, c], [b, c, a], [c, a, b], [b, a, c]] {
            assert_eq!(of(&params, counts), Err(error.clone()), "{counts:?}");
        }
    }
    assert_eq!(
        error.to_string(),
        "the secret key was not drawn at random: it must have about 341 coefficients each of -1, 0 and 1; its file is damaged or not \
         from keygen: use a copy of the right one, or make new keys"
    );
    let literal = |log_n, secret| ParametersLiteral {
        name: "test-secret".to_owned(),
        log_n,
        q_bits: vec![40, 40],
        p_bits: vec![45],
        secret,
        security: Security::Insecure,
    };
    let sparse = Parameters::new(literal(8, SecretDistribution::FixedWeight(100))).expect("a literal");
    for (counts, ok) in [
        ([50, 156, 50], true),
        ([100, 156, 0], true),
        ([50, 155, 51], false),
        ([50, 157, 49], false),
        ([0, 256, 0], false),
    ] {
        let wanted = "exactly 100 coefficients other than 0".to_owned();
        assert_eq!(
            of(&sparse, counts),
            if ok { Ok(()) } else { Err(Error::ImplausibleSecret { wanted }) },
            "{counts:?}"
        );
    }
    // There are so few coefficients that chance may give anything but all zeros.
    let small = Parameters::new(literal(4, SecretDistribution::Ternary)).expect("a literal");
    assert_eq!(of(&small, [16, 0, 0]), Ok(()));
    assert_eq!(of(&small, [0, 15, 1]), Ok(()));
    assert!(matches!(of(&small, [0, 16, 0]), Err(Error::ImplausibleSecret { .. })));
    // Without an id, nothing that it makes could be told from what other secrets make.
    let secret = SecretKey::generate(&params, &mut rng(6)).expect("a secret");
    let copy = Zeroizing::new(secret.coefficients().to_vec());
    let error = SecretKey::from_coefficients(&params, copy, KeyGeneration::NONE).expect_err("no id");
    assert_eq!(error.to_string(), format!("secret key: key generation {}: must be a random id, not 0", "0".repeat(32)));
}

/// The memory of keys at N = 2^16, made and computed by hand.
#[test]
fn at_n16() {
    let (params, mut rng) = (params("n16"), rng(4));
    let requests = KeyRequests::default().relinearisation(3).rotation(&params, 1, 2).rotation(&params, 1, 3);
    let keys = SecretKey::generate(&params, &mut rng).expect("a secret");
    let keys = keys.evaluation_keys(&requests, &mut rng).expect("keys");
    assert_eq!(keys.memory_bytes(), requests.memory_bytes(&params).expect("levels that exist"));
    // The size of a key of the top level, which is not made here: 2·(30 + k) limbs for each digit.
    let top = KeyRequests::default().relinearisation(29).memory_bytes(&params).expect("a level");
    let shape = params.gadget_shape(29);
    let limbs = 17 * packed_limb(&params, 40) + (13 + shape.special) * packed_limb(&params, 50);
    assert_eq!(top, 8 * 2 * 30usize.div_ceil(shape.alpha) * limbs);
}
