//! Tests of the wire format: golden files, round trips, malformed input, and files.
//!
//! After an intended change of the format (that is, with a new version) the golden files are
//! written again by `HETAL_WRITE_GOLDEN=1 cargo test -p hetal-driver --test wire golden`.

use std::cell::Cell;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use hetal::base::files::{Access, write_atomically};
use hetal::base::key_generation::KeyGeneration;
use hetal::ckks::encryption::SeededCiphertext;
use hetal::ckks::keys::{EncapsulationKeys, EvaluationKey, KeyId};
use hetal::ckks::params::{SecretDistribution, Security};
use hetal::kernel::GaloisElement;
use hetal::wire::{self, Header, Kind, Wire};
use hetal::{
    Ciphertext, Encoder, Error, Evaluator, KeyRequests, KeySet, Parameters, ParametersLiteral, Plaintext, PublicKey,
    Result, SecretKey,
};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use zeroize::Zeroizing;

fn literal(log_n: u32, q_bits: &[u32], p_bits: &[u32]) -> ParametersLiteral {
    ParametersLiteral {
        name: "test-wire".to_owned(),
        log_n,
        q_bits: q_bits.to_vec(),
        p_bits: p_bits.to_vec(),
        secret: SecretDistribution::Ternary,
        security: Security::Insecure,
    }
}

/// N = 16, with three primes of 5, 4 and 4 bytes per residue. The special prime has 6 bytes, since
/// it is just above 2^40.
fn small() -> Parameters {
    Parameters::new(literal(4, &[33, 25, 30], &[40])).expect("a good literal")
}

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn to_bytes<T: Wire>(object: &T, params: &Parameters) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::write(&mut bytes, object, params).expect("memory takes all bytes");
    assert_eq!(object.encoded_len(params).expect("its parameters"), bytes.len() as u64);
    bytes
}

fn from_bytes<T: Wire>(mut bytes: &[u8], params: &Parameters) -> Result<T> {
    let object = wire::read(&mut bytes, params)?;
    wire::expect_end(&mut bytes)?;
    Ok(object)
}

/// One object of every kind.
struct Objects {
    params: Parameters,
    plaintext: Plaintext,
    seeded: SeededCiphertext,
    ciphertext: Ciphertext,
    product: Ciphertext,
    secret: SecretKey,
    public: PublicKey,
    keys: KeySet,
    /// Present only where q_0 and p_0 allow these keys.
    encapsulation: Option<EncapsulationKeys>,
}

fn requests(params: &Parameters) -> KeyRequests {
    let requests = KeyRequests::default().relinearisation(params.max_level()).relinearisation(0);
    requests.rotation(params, 1, 0).rotation(params, -3, params.max_level()).conjugation(params, 1)
}

fn objects(params: &Parameters, level: usize, slots: usize, scale: f64, seed: u64) -> Objects {
    let mut rng = rng(seed);
    let secret = SecretKey::generate(params, &mut rng).expect("a distribution that exists");
    let values: Vec<f64> = (0..slots).map(|i| (i as f64 - 3.0) / 8.0).collect();
    let plaintext = Encoder::new(params).encode(&values, level, scale).expect("small values");
    let seeded = secret.encrypt_seeded(&plaintext, &mut rng).expect("its parameters");
    let public = PublicKey::generate(&secret, &mut rng);
    let ciphertext = public.encrypt(params, &plaintext, &mut rng).expect("its parameters");
    let product = Evaluator::without_keys(params).mul_lazy(&ciphertext, &ciphertext).expect("one scale");
    let keys = secret.evaluation_keys(&requests(params), &mut rng).expect("levels that exist");
    let encapsulation = secret.encapsulation_keys(&mut rng).ok();
    Objects { params: params.clone(), plaintext, seeded, ciphertext, product, secret, public, keys, encapsulation }
}

fn key_set_bytes(keys: &KeySet, params: &Parameters) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::write_key_set(&mut bytes, params, keys).expect("memory takes all bytes");
    bytes
}

fn parameter_bytes(params: &Parameters) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::write_parameters(&mut bytes, params).expect("memory takes all bytes");
    bytes
}

impl Objects {
    fn bytes(&self) -> Vec<(&'static str, Kind, Vec<u8>)> {
        let params = &self.params;
        let mut all = vec![
            ("parameters", Kind::Parameters, parameter_bytes(params)),
            ("plaintext", Kind::Plaintext, to_bytes(&self.plaintext, params)),
            ("seeded-ciphertext", Kind::SeededCiphertext, to_bytes(&self.seeded, params)),
            ("ciphertext-of-degree-1", Kind::Ciphertext, to_bytes(&self.ciphertext, params)),
            ("ciphertext-of-degree-2", Kind::Ciphertext, to_bytes(&self.product, params)),
            ("secret-key", Kind::SecretKey, to_bytes(&self.secret, params)),
            ("public-key", Kind::PublicKey, to_bytes(&self.public, params)),
            ("evaluation-keys", Kind::EvaluationKeys, key_set_bytes(&self.keys, params)),
        ];
        if let Some(keys) = &self.encapsulation {
            all.push(("encapsulation-keys", Kind::EncapsulationKeys, to_bytes(keys, params)));
        }
        all
    }
}

/// Reads an object of any kind to its end and writes it again. A byte that is not canonical shows
/// as a difference: two files would be one object.
fn rewrite(kind: Kind, bytes: &[u8], params: &Parameters) -> Result<Vec<u8>> {
    let mut input = bytes;
    let again = match kind {
        Kind::Parameters => {
            let stored = wire::read_parameters(&mut input)?;
            wire::expect_end(&mut input)?;
            parameter_bytes(&stored.build()?)
        }
        Kind::Plaintext => to_bytes(&from_bytes::<Plaintext>(bytes, params)?, params),
        Kind::Ciphertext => to_bytes(&from_bytes::<Ciphertext>(bytes, params)?, params),
        Kind::SeededCiphertext => to_bytes(&from_bytes::<SeededCiphertext>(bytes, params)?, params),
        Kind::SecretKey => to_bytes(&from_bytes::<SecretKey>(bytes, params)?, params),
        Kind::PublicKey => to_bytes(&from_bytes::<PublicKey>(bytes, params)?, params),
        Kind::EncapsulationKeys => to_bytes(&from_bytes::<EncapsulationKeys>(bytes, params)?, params),
        Kind::EvaluationKeys => {
            let keys: Vec<EvaluationKey> = wire::read_evaluation_keys(&mut input, params)?.collect::<Result<_>>()?;
            wire::expect_end(&mut input)?;
            let plan: Vec<_> = keys.iter().map(|key| (key.id(), key.level())).collect();
            let mut again = Vec::new();
            wire::write_evaluation_keys(&mut again, params, &plan, keys.iter().map(Ok))?;
            again
        }
    };
    Ok(again)
}

fn assert_same_keys(left: &KeySet, right: &KeySet) {
    assert_eq!(left.iter().len(), right.iter().len());
    for (left, right) in left.iter().zip(right.iter()) {
        assert_eq!((left.id(), left.level(), left.key()), (right.id(), right.level(), right.key()));
    }
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}-2.hetal"))
}

/// Compares with the committed file, or writes it.
fn check_golden(name: &str, bytes: &[u8]) -> Vec<u8> {
    let path = golden(name);
    if std::env::var_os("HETAL_WRITE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().expect("a directory")).expect("writable");
        fs::write(&path, bytes).expect("writable");
    }
    let stored = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(stored == bytes, "{name} is written in other bytes than those of version {}", wire::VERSION);
    stored
}

/// Every kind of object is written as the bytes of its golden file, and these are read as the
/// object.
#[test]
fn golden_files() {
    let params = small();
    let made = objects(&params, 2, 8, 1048576.0, 1);
    for (name, kind, bytes) in made.bytes() {
        let stored = check_golden(name, &bytes);
        let header = Header::read(&mut stored.as_slice()).expect("a header");
        let body_len = (stored.len() - Header::LEN) as u64;
        let keyed = !matches!(kind, Kind::Parameters | Kind::Plaintext);
        let generation = if keyed { made.secret.key_generation() } else { KeyGeneration::NONE };
        assert_eq!(header, Header { version: 2, kind, hash: params.hash(), generation, body_len });
        assert_eq!(rewrite(kind, &stored, &params).as_ref(), Ok(&stored), "{name}");
    }
    let read = |name| fs::read(golden(name)).expect("was there");
    let stored = wire::read_parameters(&mut read("parameters").as_slice()).expect("valid");
    assert_eq!((&stored.literal, stored.hash), (params.literal(), params.hash()));
    assert_eq!(stored.build().expect("its own hash"), params);
    assert_eq!(from_bytes(&read("plaintext"), &params), Ok(made.plaintext));
    assert_eq!(from_bytes(&read("seeded-ciphertext"), &params), Ok(made.seeded));
    assert_eq!(from_bytes(&read("ciphertext-of-degree-1"), &params), Ok(made.ciphertext));
    assert_eq!(from_bytes(&read("ciphertext-of-degree-2"), &params), Ok(made.product));
    let secret: SecretKey = from_bytes(&read("secret-key"), &params).expect("valid");
    assert_eq!(secret.coefficients(), made.secret.coefficients());
    assert_eq!(from_bytes(&read("public-key"), &params), Ok(made.public));
    let keys = wire::read_key_set(&mut read("evaluation-keys").as_slice(), &params).expect("valid");
    assert_same_keys(&keys, &made.keys);
    assert_eq!(from_bytes(&read("encapsulation-keys"), &params).ok(), made.encapsulation);
    assert!(made.encapsulation.is_some());

    let sparse = ParametersLiteral { secret: SecretDistribution::FixedWeight(9), ..literal(6, &[40, 30], &[40]) };
    let sparse = Parameters::new(sparse).expect("a good literal");
    let stored = check_golden("parameters-of-weight-9", &parameter_bytes(&sparse));
    let stored = wire::read_parameters(&mut stored.as_slice()).expect("valid");
    assert_eq!(&stored.literal, sparse.literal());
    let mut empty = Vec::new();
    wire::write_key_set(&mut empty, &params, &KeySet::default()).expect("memory takes all bytes");
    let stored = check_golden("no-evaluation-keys", &empty);
    assert_eq!(wire::read_key_set(&mut stored.as_slice(), &params).expect("valid").iter().len(), 0);
}

/// The layout, byte by byte as the module documents it.
#[test]
fn layout() {
    let params = small();
    let made = objects(&params, 1, 4, 1000.5, 2);
    let bytes = to_bytes(&made.plaintext, &params);
    let mut expected = b"\x89hetal\r\n\x02\x00\x02\x00".to_vec();
    expected.extend(params.hash().0);
    expected.extend([0; 16]);
    expected.extend((10u64 + 16 * 5 + 16 * 4).to_le_bytes());
    expected.extend([1, 2]);
    expected.extend(1000.5f64.to_le_bytes());
    assert_eq!(bytes[..62], expected);
    assert_eq!(bytes.len(), 62 + 16 * 9);

    let bytes = parameter_bytes(&params);
    assert_eq!(bytes[52..], *b"\x09test-wire\x04\x03\x01\x21\x19\x1e\x28\x00\x00\x00\x00\x00\x01");

    let coefficients: Vec<i8> = (0..16).map(|i| [0, 1, -1, -1, 1][i % 5]).collect();
    let generation = KeyGeneration(std::array::from_fn(|i| i as u8));
    let secret = SecretKey::from_coefficients(&params, Zeroizing::new(coefficients), generation).expect("ternary");
    let bytes = to_bytes(&secret, &params);
    assert_eq!(bytes[28..44], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    assert_eq!(bytes[44..52], 4u64.to_le_bytes());
    assert_eq!(bytes[52..], [0b11_11_01_00, 0b11_01_00_01, 0b01_00_01_11, 0b00_01_11_11]);

    let bytes = key_set_bytes(&made.keys, &params);
    assert_eq!(bytes[28..44], made.secret.key_generation().0);
    assert_eq!(bytes[52..56], (made.keys.iter().len() as u32).to_le_bytes());
    assert_eq!(bytes[56], 0, "the relinearisation key comes first");
    let levels: Vec<_> = made.keys.iter().map(|key| (key.id(), key.level())).collect();
    let mut at = 56;
    for (id, level) in levels {
        let element = if let KeyId::Galois(element) = id { element.value() as u32 } else { 0 };
        assert_eq!(bytes[at + 1], level as u8);
        let shape = params.gadget_shape(level);
        assert_eq!(bytes[at + 2..at + 4], [shape.special as u8, shape.alpha as u8]);
        assert_eq!(bytes[at + 4..at + 8], element.to_le_bytes());
        let len = u64::from_le_bytes(std::array::from_fn(|i| bytes[at + 8 + i]));
        at += 16 + len as usize;
    }
    assert_eq!(at, bytes.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Objects of random parameters are read as they were written, and their bytes are canonical.
    #[test]
    fn round_trips(
        log_n in 4u32..=6,
        q_bits in prop::collection::vec(25u32..=50, 2..=4),
        special in 1usize..=2,
        level in any::<prop::sample::Index>(),
        log_slots in any::<prop::sample::Index>(),
        log_scale in 1.0f64..12.0,
        seed: u64,
    ) {
        let params = Parameters::new(literal(log_n, &q_bits, &vec![50; special])).expect("a good literal");
        let (level, slots) = (level.index(q_bits.len()), 1 << log_slots.index(log_n as usize));
        let made = objects(&params, level, slots, log_scale.exp2(), seed);
        for (name, kind, bytes) in made.bytes() {
            prop_assert_eq!(rewrite(kind, &bytes, &params), Ok(bytes), "{}", name);
        }
        prop_assert_eq!(from_bytes(&to_bytes(&made.plaintext, &params), &params), Ok(made.plaintext));
        prop_assert_eq!(from_bytes(&to_bytes(&made.public, &params), &params), Ok(made.public));
        let secret: SecretKey = from_bytes(&to_bytes(&made.secret, &params), &params).expect("valid");
        prop_assert_eq!(secret.coefficients(), made.secret.coefficients());
        let keys = wire::read_key_set(&mut key_set_bytes(&made.keys, &params).as_slice(), &params).expect("valid");
        assert_same_keys(&keys, &made.keys);
        let seeded: SeededCiphertext = from_bytes(&to_bytes(&made.seeded, &params), &params).expect("valid");
        prop_assert_eq!(seeded.expand(&params), made.seeded.expand(&params));
    }

    /// Noise is refused. Noise under a good header is refused, or is canonical.
    #[test]
    fn noise(kind in 0..Kind::ALL.len(), noise in prop::collection::vec(any::<u8>(), 0..600)) {
        let (params, kind) = (small(), Kind::ALL[kind]);
        prop_assert!(rewrite(kind, &noise, &params).is_err());
        let bytes = with_header(kind, &params, noise.len() as u64, &noise);
        if let Ok(again) = rewrite(kind, &bytes, &params) {
            prop_assert_eq!(again, bytes);
        }
    }
}

/// Returns a body under a header. The header has an id of keys for the kinds that need one;
/// evaluation keys need one unless there are 0 of them.
fn with_header(kind: Kind, params: &Parameters, body_len: u64, body: &[u8]) -> Vec<u8> {
    let keyed = match kind {
        Kind::Parameters | Kind::Plaintext => false,
        Kind::EvaluationKeys => body.get(..4).is_none_or(|count| *count != [0; 4]),
        _ => true,
    };
    let mut bytes = wire::MAGIC.to_vec();
    bytes.extend(wire::VERSION.to_le_bytes());
    bytes.extend((kind as u16).to_le_bytes());
    bytes.extend(params.hash().0);
    bytes.extend(if keyed { [7; 16] } else { [0; 16] });
    bytes.extend(body_len.to_le_bytes());
    bytes.extend(body);
    bytes
}

/// A header with any byte changed is refused; in the id of the keys, the change gives the id of
/// other keys.
#[test]
fn every_byte_of_a_header_counts() {
    let params = small();
    for (name, kind, bytes) in objects(&params, 2, 8, 1000.0, 3).bytes() {
        let keyed = !matches!(kind, Kind::Parameters | Kind::Plaintext);
        for at in 0..Header::LEN {
            for change in 1..=255 {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                let again = rewrite(kind, &changed, &params);
                if keyed && (28..44).contains(&at) {
                    assert_eq!(again, Ok(changed), "{name}: byte {at} xor {change}");
                } else {
                    assert!(again.is_err(), "{name}: byte {at} xor {change} is taken");
                }
            }
        }
    }
}

/// A body with any byte changed is refused or is another object: no two files are read as the same
/// object.
#[test]
fn every_byte_of_a_body_counts() {
    let params = small();
    for (name, kind, bytes) in objects(&params, 1, 8, 1000.0, 4).bytes() {
        let mut taken = 0;
        for at in Header::LEN..bytes.len() {
            for change in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                if let Ok(again) = rewrite(kind, &changed, &params) {
                    taken += 1;
                    assert!(again == changed, "{name}: byte {at} xor {change} has no effect");
                }
            }
        }
        assert!(taken > 0, "{name}: no change is taken");
    }
}

/// Every cut input is refused with the number of missing bytes, and bytes after the end are
/// refused.
#[test]
fn cut_inputs_say_how_much_is_missing() {
    let params = small();
    for (name, kind, bytes) in objects(&params, 2, 4, 1000.0, 5).bytes() {
        for len in 0..bytes.len() {
            let error = rewrite(kind, &bytes[..len], &params).expect_err("is cut");
            let wanted = if len < Header::LEN { Header::LEN } else { bytes.len() };
            let Error::Truncated { object, missing, .. } = &error else { panic!("{name} cut to {len}: {error}") };
            assert_eq!((*object == "header", *missing), (len < Header::LEN, (wanted - len) as u64), "{error}");
        }
        let mut longer = bytes.clone();
        longer.push(7);
        let error = rewrite(kind, &longer, &params).expect_err("is longer");
        assert_eq!(error.to_string(), "input: byte after the last object 7: must be absent");
        longer[44] = longer[44].wrapping_add(1);
        let error = rewrite(kind, &longer, &params).expect_err("is longer").to_string();
        assert!(error.contains("body length") || error.contains("record"), "{name}: {error}");
    }
    assert_eq!(
        rewrite(Kind::Plaintext, &with_header(Kind::Plaintext, &params, 100, &[2, 3]), &params)
            .unwrap_err()
            .to_string(),
        "plaintext: 98 bytes are missing: the input ends within the scale"
    );
}

/// Version 1 had no id of keys. Its objects are refused with advice, short ones too. So are keyed
/// objects without an id, and other objects with one.
#[test]
fn other_headers_are_refused() {
    let params = small();
    for (name, kind) in [
        ("parameters", Kind::Parameters),
        ("ciphertext-of-degree-1", Kind::Ciphertext),
        ("secret-key", Kind::SecretKey),
        ("no-evaluation-keys", Kind::EvaluationKeys),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}-1.hetal"));
        let error = rewrite(kind, &fs::read(&path).expect("was there"), &params).expect_err("an earlier version");
        assert_eq!(
            error.to_string(),
            "header: format version 1: must be 2: made by an earlier version of hetal, make new keys and encrypt the data again"
        );
    }
    let made = objects(&params, 2, 8, 1000.0, 13);
    let mut empty = Vec::new();
    wire::write_key_set(&mut empty, &params, &KeySet::default()).expect("memory takes all bytes");
    for (name, kind, mut bytes) in made.bytes().into_iter().chain([("no keys", Kind::EvaluationKeys, empty)]) {
        let keyed = bytes[28..44] != [0; 16];
        assert_eq!(keyed, !matches!(name, "parameters" | "plaintext" | "no keys"), "{name}");
        let (other, wanted) = if keyed { (0, "that of its keys") } else { (7, "0, for it belongs to no keys") };
        bytes[28..44].fill(other);
        let shown = format!("{other:02x}").repeat(16);
        assert_eq!(
            rewrite(kind, &bytes, &params).expect_err("a wrong id").to_string(),
            format!("{kind}: key generation {shown}: must be {wanted}")
        );
    }
    let error = wire::write(&mut Vec::new(), &Ciphertext::empty(&params), &params).expect_err("belongs to no keys");
    assert!(error.to_string().starts_with("ciphertext: key generation 0000"), "{error}");
}

/// Evaluation keys of two secrets are not written into one set, and a reader knows the id of the
/// keys before the first one.
#[test]
fn evaluation_keys_have_one_id() {
    let params = small();
    let [a, b] = [14, 15].map(|seed| objects(&params, 2, 8, 1000.0, seed));
    let plan: Vec<_> = a.keys.iter().map(|key| (key.id(), key.level())).collect();
    let mixed = a.keys.iter().take(2).chain(b.keys.iter().skip(2)).map(Ok);
    let (found, wanted) = (b.secret.key_generation(), a.secret.key_generation());
    let error = wire::write_evaluation_keys(&mut Vec::new(), &params, &plan, mixed).expect_err("two secrets");
    assert_eq!(error, Error::OtherKeys { found, wanted });
    let bytes = key_set_bytes(&a.keys, &params);
    let mut input = bytes.as_slice();
    let mut keys = wire::read_evaluation_keys(&mut input, &params).expect("a good beginning");
    assert_eq!(keys.key_generation(), wanted);
    assert!(keys.all(|key| key.expect("valid").key_generation() == wanted));
}

/// A stored secret of zeros, or of another weight, is refused, and the error tells nothing of it.
#[test]
fn implausible_secrets_are_refused() {
    let error = |params: &Parameters, body: &[u8]| {
        from_bytes::<SecretKey>(&with_header(Kind::SecretKey, params, body.len() as u64, body), params).unwrap_err()
    };
    let ternary = Parameters::new(literal(10, &[33, 25], &[40])).expect("a good literal");
    let sparse = ParametersLiteral { secret: SecretDistribution::FixedWeight(9), ..literal(6, &[40, 30], &[40]) };
    let sparse = Parameters::new(sparse).expect("a good literal");
    for (params, bytes, wanted) in [
        (&small(), vec![0; 4], "about 5 coefficients each of -1, 0 and 1"),
        (&ternary, vec![0; 256], "about 341 coefficients each of -1, 0 and 1"),
        (&ternary, vec![0b01_01_01_01; 256], "about 341 coefficients each of -1, 0 and 1"),
        (&ternary, vec![0b11_11_00_00; 256], "about 341 coefficients each of -1, 0 and 1"),
        // The first half of a file, the rest of which was lost.
        (&ternary, [vec![0b01_00_11_01; 128], vec![0; 128]].concat(), "about 341 coefficients each of -1, 0 and 1"),
        (&sparse, vec![0b01_00_00_00; 16], "exactly 9 coefficients other than 0"),
        (&sparse, [vec![0b11_00_00_00; 8], vec![0; 8]].concat(), "exactly 9 coefficients other than 0"),
    ] {
        assert_eq!(error(params, &bytes), Error::ImplausibleSecret { wanted: wanted.to_owned() });
    }
}

/// Objects can follow each other in a stream.
#[test]
fn streams() {
    let params = small();
    let made = objects(&params, 2, 8, 1000.0, 6);
    let stream: Vec<u8> = made.bytes().into_iter().flat_map(|(_, _, bytes)| bytes).collect();
    let mut input = stream.as_slice();
    let input = &mut input;
    assert_eq!(wire::read_parameters(input).and_then(wire::StoredParameters::build).expect("valid"), params);
    assert_eq!(wire::read(input, &params), Ok(made.plaintext));
    assert_eq!(wire::read(input, &params), Ok(made.seeded));
    assert_eq!(wire::read(input, &params), Ok(made.ciphertext));
    assert_eq!(wire::read::<Ciphertext>(input, &params).expect("valid").degree(), 2);
    assert!(wire::read::<SecretKey>(input, &params).is_ok());
    assert_eq!(wire::read(input, &params), Ok(made.public));
    assert_same_keys(&wire::read_key_set(input, &params).expect("valid"), &made.keys);
    assert_eq!(wire::read(input, &params).ok(), made.encapsulation);
    assert_eq!(wire::expect_end(input), Ok(()));
}

/// A wrong header is refused with the field, the value found and the one wanted.
#[test]
fn headers_name_what_is_wrong() {
    let params = small();
    let made = objects(&params, 1, 8, 1000.0, 7);
    let good = to_bytes(&made.ciphertext, &params);
    let refused = |at: usize, value: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        from_bytes::<Ciphertext>(&bytes, &params).unwrap_err().to_string()
    };
    assert_eq!(refused(0, b"PK"), "header: magic 504b6574616c0d0a: must be 89686574616c0d0a: no object");
    assert_eq!(
        refused(8, &[3]),
        "header: format version 3: must be 2: made by a later version of hetal, read it with that one"
    );
    assert_eq!(refused(10, &[0]), "header: kind 0: must be from 1 to 8");
    assert_eq!(refused(10, &[9, 1]), "header: kind 265: must be from 1 to 8");
    assert_eq!(refused(10, &[5]), "header: kind secret key: must be ciphertext");
    assert_eq!(
        refused(12, &[0; 16]),
        format!(
            "parameter hash {} where {} is needed: the object was made under other parameters",
            "00".repeat(16),
            params.hash()
        )
    );
    assert_eq!(
        refused(44, &[0xff; 8]),
        "ciphertext: body length 18446744073709551615: must be 299 for degree 1 and level 1"
    );
    assert_eq!(refused(44, &[5, 0]), "ciphertext: body length 5: must be at least 11 for the scale");
    assert_eq!(
        from_bytes::<Ciphertext>(b"no ciphertext", &params).unwrap_err().to_string(),
        "header: magic 6e6f206369706865: must be 89686574616c0d0a: no object"
    );
    assert_eq!(
        from_bytes::<Ciphertext>(&good[..20], &params).unwrap_err().to_string(),
        "header: 32 bytes are missing: the input ends within the first 52 bytes"
    );
    // A server asks for a public key and is given a secret one.
    let secret = to_bytes(&made.secret, &params);
    let error = from_bytes::<PublicKey>(&secret, &params).unwrap_err();
    assert_eq!(error.to_string(), "header: kind secret key: must be public key");
    // Objects are not written under other parameters.
    let other = Parameters::new(literal(4, &[33, 25, 31], &[40])).expect("a good literal");
    for error in [
        wire::write(&mut Vec::new(), &made.secret, &other).unwrap_err(),
        made.public.encoded_len(&other).unwrap_err(),
        wire::write_key_set(&mut Vec::new(), &other, &made.keys).unwrap_err(),
        wire::read_key_set(&mut key_set_bytes(&made.keys, &params).as_slice(), &other).unwrap_err(),
    ] {
        assert!(matches!(error, Error::OtherParameters { .. }), "{error}");
    }
}

/// A wrong body is refused with the field, the value found and the one wanted.
#[test]
fn bodies_name_what_is_wrong() {
    let params = small();
    let made = objects(&params, 1, 8, 1000.0, 8);
    let patched = |bytes: &[u8], at: usize, value: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[Header::LEN + at..Header::LEN + at + value.len()].copy_from_slice(value);
        bytes
    };
    let all = made.bytes();
    let refused = |name: &str, at: usize, value: &[u8]| {
        let (_, kind, bytes) = all.iter().find(|(n, ..)| *n == name).expect("a name");
        rewrite(*kind, &patched(bytes, at, value), &params).unwrap_err().to_string()
    };
    for (name, object, at) in [
        ("ciphertext-of-degree-1", "ciphertext", 1),
        ("plaintext", "plaintext", 0),
        ("seeded-ciphertext", "seeded ciphertext", 0),
    ] {
        assert_eq!(refused(name, at, &[3]), format!("{object}: level 3: must be at most 2"));
        assert_eq!(refused(name, at + 1, &[4]), format!("{object}: log2 of the number of slots 4: must be at most 3"));
        for (scale, shown) in [
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
            (-1.5e300, "-1.5e300"),
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            let wanted = format!("{object}: scale {shown}: must be finite and positive");
            assert_eq!(refused(name, at + 2, &scale.to_le_bytes()), wanted);
        }
        assert!(refused(name, at, &[2]).starts_with(&format!("{object}: body length ")));
    }
    for degree in [0, 3, 255] {
        let wanted = format!("ciphertext: degree {degree}: must be 1 or 2");
        assert_eq!(refused("ciphertext-of-degree-2", 0, &[degree]), wanted);
    }
    let (q0, q1) = (params.q(0).value(), params.q(1).value());
    let wanted = format!("ciphertext: residue 3 of limb 0 of part 0 {q0}: must be below {q0}");
    assert_eq!(refused("ciphertext-of-degree-1", 11 + 15, &q0.to_le_bytes()[..5]), wanted);
    let wanted = format!("ciphertext: residue 15 of limb 1 of part 2 4294967295: must be below {q1}");
    assert_eq!(refused("ciphertext-of-degree-2", 11 + 3 * 144 - 4, &[255; 4]), wanted);
    let wanted = format!("plaintext: residue 0 of limb 1 of the polynomial 4294967295: must be below {q1}");
    assert_eq!(refused("plaintext", 10 + 80, &[255; 4]), wanted);
    let wanted = format!("seeded ciphertext: residue 0 of limb 0 of b 1099511627775: must be below {q0}");
    assert_eq!(refused("seeded-ciphertext", 42, &[255; 5]), wanted);
    let special = params.qp().modulus(3).value();
    let wanted = format!("public key: residue 15 of limb 3 of b 281474976710655: must be below {special}");
    assert_eq!(refused("public-key", 32 + 16 * (5 + 4 + 4 + 6) - 6, &[255; 6]), wanted);
    let wanted = format!("encapsulation keys: residue 15 of limb 3 of b 281474976710655: must be below {special}");
    assert_eq!(refused("encapsulation-keys", 208 + 336 - 6, &[255; 6]), wanted);
    let wanted = format!(
        "encapsulation keys: residue 0 of limb 0 of the key to the sparse secret 1099511627775: must be below {q0}"
    );
    assert_eq!(refused("encapsulation-keys", 32, &[255; 5]), wanted);
    for index in 0..16 {
        let wanted = format!("secret key: code of coefficient {index} 2: must be 0, 1 or 3");
        assert_eq!(refused("secret-key", index / 4, &[0b10 << (2 * (index % 4))]), wanted);
    }
    let wanted = "secret key: code of coefficient 9 2: must be 0, 1 or 3";
    assert_eq!(refused("secret-key", 2, &[0b10_00_10_01]), wanted);
    for (name, body_len, wanted) in [
        ("public-key", 1, "public key: body length 1: must be 336 for these parameters"),
        ("encapsulation-keys", 1, "encapsulation keys: body length 1: must be 544 for these parameters"),
        ("secret-key", 5, "secret key: body length 5: must be 4 for N = 16"),
    ] {
        let (_, kind, bytes) = all.iter().find(|(n, ..)| *n == name).expect("a name");
        let bytes = with_header(*kind, &params, body_len, &bytes[Header::LEN..]);
        assert_eq!(rewrite(*kind, &bytes, &params).unwrap_err().to_string(), wanted);
    }
}

/// Wrong parameters are refused with the field, the value found and the one wanted.
#[test]
fn parameters_name_what_is_wrong() {
    let params = small();
    let good = parameter_bytes(&params)[Header::LEN..].to_vec();
    let refused = |at: usize, value: &[u8]| {
        let mut body = good.clone();
        body[at..at + value.len()].copy_from_slice(value);
        let bytes = with_header(Kind::Parameters, &params, body.len() as u64, &body);
        wire::read_parameters(&mut bytes.as_slice()).unwrap_err().to_string()
    };
    assert_eq!(
        refused(1, b"x"),
        "parameters xest-wire: the name of insecure parameters has to begin with test- or insecure-"
    );
    assert_eq!(refused(1, b"\n"), r#"parameters: name "\nest-wire": must be without control characters"#);
    assert_eq!(refused(1, &[0xff]), "parameters: name [255, 101, 115, 116, 45, 119, 105, 114, 101]: must be UTF-8");
    assert_eq!(refused(10, &[3]), "parameters test-wire: log_n = 3 is outside 4 to 17");
    assert_eq!(refused(10, &[255]), "parameters test-wire: log_n = 255 is outside 4 to 17");
    assert_eq!(
        refused(11, &[255]),
        "parameters: body length 23: must be at least 268 for the bits of the ciphertext primes"
    );
    assert_eq!(refused(13, &[24]), "parameters test-wire: ciphertext prime 0 of 24 bits: must be from 25 to 50");
    assert_eq!(refused(16, &[51]), "parameters test-wire: special prime 0 of 51 bits: must be from 25 to 50");
    assert_eq!(refused(17, &[2]), "parameters: distribution of the secret 2: must be 0 or 1");
    assert_eq!(refused(18, &[9]), "parameters: weight of a uniform ternary secret 9: must be 0");
    assert_eq!(refused(17, &[1]), "parameters test-wire: a secret of weight 0: must be from 1 to 16");
    assert_eq!(refused(17, &[1, 17]), "parameters test-wire: a secret of weight 17: must be from 1 to 16");
    assert_eq!(refused(22, &[2]), "parameters: security 2: must be 0 or 1");
    let bytes = with_header(Kind::Parameters, &params, 1 << 40, &good);
    let error = wire::read_parameters(&mut bytes.as_slice()).unwrap_err().to_string();
    assert_eq!(error, "parameters: body length 1099511627776: must be at most 393");
    let bytes = with_header(Kind::Parameters, &params, 24, &[&good[..], &[0]].concat());
    let error = wire::read_parameters(&mut bytes.as_slice()).unwrap_err().to_string();
    assert_eq!(error, "parameters: body length 24: must be 23 for what it holds");
    // The hash is compared when the primes are made.
    let mut bytes = parameter_bytes(&params);
    bytes[12] ^= 1;
    let stored = wire::read_parameters(&mut bytes.as_slice()).expect("well formed");
    let shown = stored.hash.to_string();
    let wanted = format!("parameters: hash {shown}: must be {} for this literal", params.hash());
    assert_eq!(stored.build().unwrap_err().to_string(), wanted);
    // Names that could not be read back are not written.
    for (name, wanted) in [
        ("test-\u{1b}[2J".to_owned(), r#"parameters: name "test-\u{1b}[2J": must be without control characters"#),
        (format!("test-{}", "x".repeat(251)), "parameters: length of the name 256: must be at most 255"),
    ] {
        let params = Parameters::new(ParametersLiteral { name, ..params.literal().clone() }).expect("a good literal");
        assert_eq!(wire::write_parameters(&mut Vec::new(), &params).unwrap_err().to_string(), wanted);
    }
}

/// The largest literal is read without making its primes and tables, in less than a second.
#[test]
fn hostile_parameters_are_cheap() {
    let largest = ParametersLiteral {
        name: format!("test-{}", "x".repeat(250)),
        secret: SecretDistribution::FixedWeight(1 << 17),
        ..literal(17, &[50; 64], &[50; 64])
    };
    let mut body = vec![255];
    body.extend(largest.name.as_bytes());
    body.extend([17, 64, 64]);
    body.extend([50; 128]);
    body.extend([1, 0, 0, 2, 0, 1]);
    let bytes = with_header(Kind::Parameters, &small(), body.len() as u64, &body);
    let start = std::time::Instant::now();
    let stored = wire::read_parameters(&mut bytes.as_slice()).expect("legal");
    assert!(start.elapsed().as_secs() < 1, "{:?}", start.elapsed());
    assert_eq!(stored.literal, largest);
}

/// Returns a set of keys: the count, and records of (kind, level, element, length, bytes), each
/// with one special prime and digits of one limb.
fn key_set(params: &Parameters, count: u32, records: &[(u8, u8, u32, u64, &[u8])]) -> Vec<u8> {
    let mut body = count.to_le_bytes().to_vec();
    for &(kind, level, element, len, bytes) in records {
        body.extend([kind, level, 1, 1]);
        body.extend(element.to_le_bytes());
        body.extend(len.to_le_bytes());
        body.extend(bytes);
    }
    with_header(Kind::EvaluationKeys, params, body.len() as u64, &body)
}

/// A wrong record of evaluation keys is refused with the field, the value found and the one wanted.
#[test]
fn evaluation_keys_name_what_is_wrong() {
    let params = small();
    // Level 0 has one digit of one limb and one special prime; all zeros are a well-formed key.
    let zeros = [0; 32 + 16 * (5 + 6)];
    let len = zeros.len() as u64;
    let read = |bytes: &[u8]| wire::read_key_set(&mut &bytes[..], &params);
    let refused = |count, records: &[(u8, u8, u32, u64, &[u8])]| {
        read(&key_set(&params, count, records)).map(drop).unwrap_err().to_string()
    };
    let good = (0, 0, 0, len, &zeros[..]);
    assert_eq!(read(&key_set(&params, 2, &[good, (1, 0, 5, len, &zeros)])).expect("valid").iter().len(), 2);
    let object = "evaluation keys:";
    assert_eq!(refused(1, &[(2, 0, 0, len, &zeros)]), format!("{object} kind of record 0 2: must be 0 or 1"));
    assert_eq!(refused(1, &[(0, 3, 0, len, &zeros)]), format!("{object} level of record 0 3: must be at most 2"));
    assert_eq!(
        refused(2, &[good, (1, 0, 6, len, &zeros)]),
        format!("{object} Galois element of record 1 6: must be odd and below 32")
    );
    assert_eq!(
        refused(2, &[good, (1, 0, 33, len, &zeros)]),
        format!("{object} Galois element of record 1 33: must be odd and below 32")
    );
    assert_eq!(
        refused(1, &[(0, 0, 5, len, &zeros)]),
        format!("{object} Galois element of record 0 5: must be 0 for a relinearisation key")
    );
    assert_eq!(
        refused(2, &[good, good]),
        format!("{object} key of record 1 relinearisation key for level 0: must be there once")
    );
    assert_eq!(
        refused(1, &[(0, 0, 0, len + 1, &zeros)]),
        format!("{object} length of record 0 {}: must be {len} at level 0", len + 1)
    );
    assert_eq!(
        refused(1, &[(0, 0, 0, len, &zeros[1..])]),
        format!("{object} length of record 0 {len}: must be at most {}, what is left of the body", len - 1)
    );
    assert_eq!((4 + 16 + len, 4 + 2 * (16 + len)), (228, 452));
    assert_eq!(refused(1, &[good, good]), format!("{object} body length 452: must be 228 for what it holds"));
    assert_eq!(
        refused(3, &[good]),
        format!("{object} body length 228: must be at least 244 for the beginning of record 1")
    );
    assert_eq!(refused(100, &[good]), format!("{object} body length 228: must be at least 1604 for 100 keys"));
    assert_eq!(refused(0, &[good]), format!("{object} body length 228: must be 4 for what it holds"));
    assert_eq!(
        refused(u32::MAX, &[]),
        format!("{object} body length 4: must be at least {} for 4294967295 keys", 4 + 16 * u64::from(u32::MAX))
    );
    let mut wrong = zeros;
    wrong[32..37].fill(255);
    assert_eq!(
        refused(1, &[(0, 0, 0, len, &wrong)]),
        format!("{object} residue 0 of limb 0 of record 0 1099511627775: must be below {}", params.q(0).value())
    );
    for (at, field) in [(2, "special primes"), (3, "limbs in a digit")] {
        let mut bytes = key_set(&params, 1, &[good]);
        bytes[Header::LEN + 4 + at] = 2;
        let error = read(&bytes).map(drop).unwrap_err().to_string();
        assert_eq!(error, format!("{object} {field} of record 0 2: must be 1 at level 0"));
    }
    // After an error there are no more keys.
    let bytes = key_set(&params, 2, &[(0, 0, 0, len, &wrong), (1, 0, 5, len, &zeros)]);
    let mut input = bytes.as_slice();
    let mut keys = wire::read_evaluation_keys(&mut input, &params).expect("a good beginning");
    assert_eq!(keys.size_hint(), (0, Some(2)));
    assert!(keys.next().expect("the first").is_err());
    assert!(keys.next().is_none() && keys.next().is_none());
}

/// Evaluation keys are written and read one by one, and keys other than those planned are refused.
#[test]
fn evaluation_keys_are_written_as_they_come() {
    /// Counts the bytes written.
    struct Counter<'a>(&'a Cell<usize>);
    impl Write for Counter<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.set(self.0.get() + bytes.len());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let params = small();
    let secret = SecretKey::generate(&params, &mut rng(9)).expect("a distribution that exists");
    let requests = requests(&params);
    let plan = requests.plan(&params).expect("levels that exist");

    let mut streamed = Vec::new();
    let mut source = rng(10);
    let keys = secret.evaluation_keys_iter(&requests, &mut source).expect("levels that exist");
    wire::write_evaluation_keys(&mut streamed, &params, &plan, keys).expect("memory takes all bytes");
    let set = secret.evaluation_keys(&requests, &mut rng(10)).expect("levels that exist");
    assert_eq!(streamed, key_set_bytes(&set, &params));
    assert_eq!(wire::evaluation_keys_len(&params, &plan), Ok(streamed.len() as u64));

    // A key is asked for only after the one before it is written.
    let (written, mut wanted) = (Cell::new(0), 0);
    let mut source = rng(10);
    let keys = secret.evaluation_keys_iter(&requests, &mut source).expect("levels that exist");
    let watched = keys.inspect(|key| {
        assert_eq!(written.get(), wanted);
        // The header has the id of the first key.
        wanted += if wanted == 0 { Header::LEN + 4 } else { 0 };
        wanted += 16 + hetal::kernel::KeySwitchKey::encoded_len(key.as_ref().expect("a key").gadget());
    });
    wire::write_evaluation_keys(&mut Counter(&written), &params, &plan, watched).expect("it counts");
    assert_eq!((written.get(), wanted), (streamed.len(), streamed.len()));

    // When reading, a key is read only after the one before it was taken.
    let mut input = streamed.as_slice();
    let mut lengths = Vec::new();
    for key in wire::read_evaluation_keys(&mut input, &params).expect("valid") {
        lengths.push(key.expect("valid").memory_bytes());
    }
    assert_eq!(lengths, set.iter().map(EvaluationKey::memory_bytes).collect::<Vec<_>>());

    let refused = |plan: &[(KeyId, usize)], keys: Vec<Result<EvaluationKey>>| {
        wire::write_evaluation_keys(&mut Vec::new(), &params, plan, keys).unwrap_err().to_string()
    };
    let all = || set.iter().cloned().map(Ok).collect::<Vec<_>>();
    let (last, count) = (plan.len() - 1, plan.len());
    let shown = |i: usize| format!("{} for level {}", plan[i].0, plan[i].1);
    let object = "evaluation keys: key of record";
    assert_eq!(refused(&plan, all().split_off(1)), format!("{object} 0 {}: must be {}", shown(1), shown(0)));
    let short = all().drain(..last).collect();
    assert_eq!(refused(&plan, short), format!("{object} {last} absent: must be {}", shown(last)));
    assert_eq!(refused(&plan[..last], all()), format!("{object} {last} {}: must be absent", shown(last)));
    let twice = [&plan[..], &plan[..1]].concat();
    assert_eq!(refused(&twice, all()), format!("{object} {count} {}: must be planned once", shown(0)));
    assert_eq!(refused(&[(KeyId::Relinearisation, 9)], vec![]), "level 9 does not exist: the highest is 2");
    assert_eq!(
        refused(&plan, vec![Err(Error::Randomness("none".to_owned()))]),
        "no randomness from the operating system: none"
    );
    let foreign = KeyId::Galois(GaloisElement::conjugation(9));
    assert!(refused(&[(foreign, 0)], all()).starts_with(object));
}

/// A reader that gives at most `step` bytes at a time, counts them, is interrupted before each
/// piece and ends with the error `then`.
struct Slow<'a> {
    bytes: &'a [u8],
    step: usize,
    given: usize,
    interrupted: bool,
    then: Option<io::ErrorKind>,
}

impl<'a> Slow<'a> {
    fn new(bytes: &'a [u8], step: usize) -> Self {
        Self { bytes, step, given: 0, interrupted: false, then: None }
    }
}

impl Read for Slow<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = self.step.min(out.len()).min(self.bytes.len());
        if let (0, Some(kind)) = (count, self.then) {
            return Err(kind.into());
        }
        out[..count].copy_from_slice(&self.bytes[..count]);
        self.bytes = &self.bytes[count..];
        self.given += count;
        Ok(count)
    }
}

/// Slow and interrupted inputs are read, and errors of readers and writers are passed on with the
/// place.
#[test]
fn failing_and_slow_inputs() {
    let params = small();
    let made = objects(&params, 1, 8, 1000.0, 11);
    let bytes = to_bytes(&made.ciphertext, &params);
    for step in [1, 7, 1000] {
        assert_eq!(wire::read(&mut Slow::new(&bytes, step), &params).as_ref(), Ok(&made.ciphertext));
    }
    for (len, wanted) in [
        (10, "reading the header: "),
        (56, "ciphertext: reading the scale: "),
        (63, "ciphertext: reading the limb 0 of part 0: "),
        (316, "ciphertext: reading the limb 1 of part 1: "),
    ] {
        let mut input = Slow { then: Some(io::ErrorKind::ConnectionReset), ..Slow::new(&bytes[..len], 5) };
        let error = wire::read::<Ciphertext>(&mut input, &params).unwrap_err();
        assert!(matches!(error, Error::Io { kind: io::ErrorKind::ConnectionReset, .. }), "{error:?}");
        assert!(error.to_string().starts_with(wanted), "{error}");
    }
    // The writer takes only 100 bytes.
    let mut out = [0; 100];
    let error = wire::write(&mut &mut out[..], &made.ciphertext, &params).unwrap_err();
    assert!(matches!(error, Error::Io { kind: io::ErrorKind::WriteZero, .. }), "{error:?}");
    assert!(error.to_string().starts_with("ciphertext: writing: "), "{error}");
}

/// A wrong length is refused before a body of the declared size is read, let alone memory allocated
/// for it.
#[test]
fn declared_lengths_are_checked_first() {
    let params = small();
    let noise = [0; 4096];
    for (kind, most) in [
        (Kind::Plaintext, 10),
        (Kind::Ciphertext, 11),
        (Kind::SeededCiphertext, 10),
        (Kind::PublicKey, 0),
        (Kind::SecretKey, 0),
        (Kind::EncapsulationKeys, 0),
        (Kind::Parameters, 0),
        (Kind::EvaluationKeys, 4 + 16),
    ] {
        for len in [1 << 20, 1 << 40, u64::MAX] {
            let mut body = if kind == Kind::Ciphertext { vec![1, 1, 1] } else { vec![1, 1] };
            body.extend(1.0f64.to_le_bytes());
            if kind == Kind::EvaluationKeys {
                body = 1u32.to_le_bytes().to_vec();
                body.extend([0, 0, 1, 1, 0, 0, 0, 0]);
                body.extend(len.to_le_bytes());
            }
            body.extend(noise);
            let bytes = with_header(kind, &params, len, &body);
            let mut input = Slow::new(&bytes, usize::MAX);
            let error = match kind {
                Kind::Parameters => wire::read_parameters(&mut input).map(drop),
                Kind::Plaintext => wire::read::<Plaintext>(&mut input, &params).map(drop),
                Kind::Ciphertext => wire::read::<Ciphertext>(&mut input, &params).map(drop),
                Kind::SeededCiphertext => wire::read::<SeededCiphertext>(&mut input, &params).map(drop),
                Kind::SecretKey => wire::read::<SecretKey>(&mut input, &params).map(drop),
                Kind::PublicKey => wire::read::<PublicKey>(&mut input, &params).map(drop),
                Kind::EvaluationKeys => wire::read_key_set(&mut input, &params).map(drop),
                Kind::EncapsulationKeys => wire::read::<EncapsulationKeys>(&mut input, &params).map(drop),
            };
            let error = error.unwrap_err().to_string();
            assert!(error.contains(&len.to_string()), "{kind}: {error}");
            assert!(input.given <= Header::LEN + most, "{kind}: {} bytes read for {error}", input.given);
        }
    }
}

/// A directory that is removed on drop.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hetal-wire-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("writable");
        Self(path)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("readable");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn put(bytes: &'static [u8]) -> impl FnOnce(&mut fs::File) -> Result<()> {
    move |file| {
        file.write_all(bytes).expect("writable");
        Ok(())
    }
}

/// A file is written as a whole or left as it was, also when the writer fails or panics.
#[test]
fn files_are_complete_or_absent() {
    let directory = Directory::new("files");
    let path = directory.0.join("x");
    write_atomically(&path, Access::Shared, put(b"first")).expect("writable");
    assert_eq!(fs::read(&path).expect("readable"), b"first");
    write_atomically(&path, Access::Shared, put(b"2nd")).expect("writable");
    assert_eq!(fs::read(&path).expect("readable"), b"2nd");

    let fails = |file: &mut fs::File| {
        put(b"half of the th")(file)?;
        Err(Error::Randomness("none".to_owned()))
    };
    assert_eq!(write_atomically(&path, Access::Shared, fails), Err(Error::Randomness("none".to_owned())));
    let panics = |file: &mut fs::File| -> Result<()> {
        put(b"half of the th")(file)?;
        panic!("on purpose");
    };
    assert!(std::panic::catch_unwind(|| write_atomically(&path, Access::Shared, panics)).is_err());
    assert_eq!((fs::read(&path).expect("readable"), directory.names()), (b"2nd".to_vec(), vec!["x".to_owned()]));

    let error = write_atomically(directory.0.join("none/x"), Access::Shared, put(b"")).unwrap_err();
    assert!(matches!(error, Error::Io { kind: io::ErrorKind::NotFound, .. }), "{error:?}");
    assert!(error.to_string().contains("none/x"), "{error}");
    let error = write_atomically(&directory.0, Access::Shared, put(b"")).unwrap_err();
    assert!(error.to_string().ends_with("must be a file or not exist"), "{error}");
}

#[cfg(unix)]
/// Files for the owner alone have the mode 0600 from the beginning, also where an older file had
/// another one; links stay links.
#[test]
fn secret_files_are_the_owners() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let directory = Directory::new("modes");
    let path = directory.0.join("secret");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    fs::write(&path, b"older").expect("writable");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("the owner");

    let params = small();
    let secret = SecretKey::generate(&params, &mut rng(12)).expect("a distribution that exists");
    write_atomically(&path, Access::Owner, |file| {
        let names = directory.names();
        assert_eq!(names.len(), 2);
        assert!(names.iter().all(|name| name == "secret" || mode(&directory.0.join(name)) == 0o600));
        wire::write(file, &secret, &params)
    })
    .expect("writable");
    assert_eq!(mode(&path), 0o600);
    let mut file = fs::File::open(&path).expect("readable");
    let again: SecretKey = wire::read(&mut file, &params).expect("valid");
    assert_eq!((again.coefficients(), wire::expect_end(&mut file)), (secret.coefficients(), Ok(())));

    // A link stays a link.
    let link = directory.0.join("link");
    symlink(&path, &link).expect("writable");
    write_atomically(&link, Access::Shared, put(b"through")).expect("writable");
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    assert_eq!(fs::read(&path).expect("readable"), b"through");
}
