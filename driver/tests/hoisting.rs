//! Tests of hoisted rotations and double-hoisted sums with keys of any levels. Keys of several
//! levels may have equal digits and special primes but different gadgets: the limbs of each key
//! have to be found by its own gadget.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::model::{Model, Tracked};
use common::*;
use hetal::base::fft::SpecialFft;
use hetal::circuits::{EncodedTransform, LinearTransform};
use hetal::ckks::keys::{EvaluationKey, EvaluationKeys, KeyId};
use hetal::ckks::params::preset;
use hetal::kernel::GaloisElement;
use hetal::{Ciphertext, Complex64, Encoder, Error, Evaluator, KeyRequests, KeySet, Parameters, SecretKey};
use proptest::prelude::*;

fn galois(params: &Parameters, k: i64) -> KeyId {
    KeyId::Galois(GaloisElement::rotation(k, params.log_n()))
}

/// Returns a key for each pair. A single set of requests would leave out keys whose work a key of
/// another level can do.
fn keys_of(secret: &SecretKey, wanted: impl IntoIterator<Item = (KeyId, usize)>) -> KeySet {
    let (mut all, mut rng) = (KeySet::default(), rng(3));
    for (id, level) in wanted {
        let mut requests = KeyRequests::default();
        requests.insert(id, level);
        let made = secret.evaluation_keys(&requests, &mut rng).expect("levels that exist");
        made.iter().for_each(|key| all.insert(key.clone()).expect("one key generation"));
    }
    all
}

/// Returns the chain of `n16-light` in a small ring: its shapes are other ones than those of the
/// other presets.
fn light() -> Parameters {
    let mut literal = preset::by_name("n16-light").expect("a preset");
    (literal.name, literal.log_n) = ("test-light".to_owned(), 9);
    literal.security = hetal::ckks::params::Security::Insecure;
    Parameters::new(literal).expect("a literal")
}

/// Returns, by shape, the levels whose keys have equal digits and special primes, at least two of
/// them.
fn shared_shapes(params: &Parameters) -> Vec<Vec<usize>> {
    let mut all = BTreeMap::<_, Vec<usize>>::new();
    (0..=params.max_level()).for_each(|level| all.entry(params.gadget_shape(level)).or_default().push(level));
    all.into_values().filter(|levels| levels.len() > 1).collect()
}

/// Two keys of one shape for different levels rotate as well hoisted as one by one.
#[test]
fn two_keys_of_one_shape() {
    let s = Setup::new("test-11", 1, |_| KeyRequests::default());
    let shape = |level| s.params.gadget_shape(level);
    assert_eq!(shape(9), shape(4), "the case is one of equal shapes");
    let keys = keys_of(&s.secret, [(galois(&s.params, 1), 9), (galois(&s.params, 2), 4)]);
    let (ev, mut rng) = (Evaluator::new(&s.params, Arc::new(keys)), rng(2));
    let a = s.fresh(&random(&mut rng, 1024), 4, &mut rng);
    let single = |k| ev.rotate(&a, k).expect("a key");
    for ks in [[1, 2], [2, 1]] {
        assert!(ev.rotate_hoisted(&a, &ks).expect("keys") == ks.map(single), "rotations by {ks:?}");
    }
}

/// A source of keys that finds, of all keys that were made, only those at some levels.
struct Some<'a> {
    all: &'a KeySet,
    levels: BTreeMap<KeyId, BTreeSet<usize>>,
}

impl EvaluationKeys for Some<'static> {
    fn find(&self, id: KeyId, level: usize) -> Option<Arc<EvaluationKey>> {
        let level = *self.levels.get(&id)?.range(level..).next()?;
        self.all.find(id, level)
    }
}

const ROTATIONS: [i64; 5] = [1, 2, -3, 17, 100];

/// Checks that hoisted rotations with keys of random levels are the single rotations, bit for bit.
fn check_batches(params: &Parameters, batches: u64) {
    let mut rng = rng(11);
    let secret = SecretKey::generate(params, &mut rng).expect("a secret");
    let encoder = Encoder::new(params);
    let ids = ROTATIONS.map(|k| galois(params, k));
    let levels = 0..=params.max_level();
    let all: &'static KeySet =
        Box::leak(Box::new(keys_of(&secret, ids.iter().flat_map(|&id| levels.clone().map(move |level| (id, level))))));
    let shared = shared_shapes(params);
    assert!(shared.len() > 1, "shapes of several levels");
    let (mut mixed, mut crossed) = (0, 0);
    for batch in 0..batches {
        // Every other batch has only keys of one shape, at any of its levels, as a plan makes them.
        let same = &shared[below(&mut rng, shared.len())];
        let level = if batch % 2 == 0 { same[below(&mut rng, same.len())] } else { below(&mut rng, levels.end() + 1) };
        let mut of_key = |_| {
            let some = |rng: &mut _| match batch % 2 {
                0 => same[below(rng, same.len())],
                _ => below(rng, levels.end() + 1),
            };
            let mut chosen: BTreeSet<_> = (0..1 + below(&mut rng, 3)).map(|_| some(&mut rng)).collect();
            // At least one key must serve the level.
            let above: Vec<_> = same.iter().copied().filter(|&l| l >= level).collect();
            chosen.insert(if batch % 2 == 0 { above[below(&mut rng, above.len())] } else { *levels.end() });
            chosen
        };
        let keys = ids.map(|id| (id, of_key(id)));
        let other = |l: usize| params.gadget_shape(l) != params.gadget_shape(level);
        let used = |(_, levels): &(KeyId, BTreeSet<usize>)| {
            *levels.range(level..).min_by_key(|&&l| (other(l), l)).expect("one serves")
        };
        let used: BTreeSet<_> = keys.iter().map(used).collect();
        let shapes: BTreeSet<_> = used.iter().map(|&level| params.gadget_shape(level)).collect();
        mixed += usize::from(shapes.len() > 1);
        crossed += usize::from(shapes.len() < used.len());
        let ev = Evaluator::new(params, Arc::new(Some { all, levels: keys.into_iter().collect() }));
        let z = random(&mut rng, params.slots());
        let a = encoder.encode(&z, level, params.scale(level)).expect("values that fit");
        let a = secret.encrypt(&a, &mut rng).expect("a ciphertext");
        // The rotations come in any order, some of them twice or not at all, and with the identity.
        let ks: Vec<i64> =
            (0..2 + below(&mut rng, 5)).map(|_| [&ROTATIONS[..], &[0]].concat()[below(&mut rng, 6)]).collect();
        let hoisted = ev.rotate_hoisted(&a, &ks).expect("keys");
        let single: Vec<Ciphertext> = ks.iter().map(|&k| ev.rotate(&a, k).expect("a key")).collect();
        assert!(hoisted == single, "batch {batch}: rotations by {ks:?} at level {level}, keys at {used:?}");
        // The digits may be those of any other level, too.
        let foreseen = level + below(&mut rng, levels.end() + 1 - level);
        let hoisted = ev.hoist(&a, foreseen).expect("a level");
        let elements: Vec<_> = ks.iter().map(|&k| GaloisElement::rotation(k, params.log_n())).collect();
        let found = ev.automorphisms_hoisted(&hoisted, &elements).expect("keys");
        assert!(found == single, "batch {batch}: hoisted for level {foreseen}");
    }
    assert!(mixed > batches as usize / 8 && crossed > batches as usize / 8, "{mixed} mixed, {crossed} crossed");
}

/// Hoisted rotations with keys of random levels are the single rotations, in two chains.
#[test]
fn batches_are_the_single_rotations() {
    check_batches(&params("test-10"), 600);
    check_batches(&light(), 600);
}

/// Returns a setup with these keys.
fn setup_with(params: &Parameters, secret: SecretKey, keys: KeySet) -> Setup {
    let half = params.slots();
    let [mut re, mut im] =
        [0, half].map(|at| secret.coefficients()[at..at + half].iter().map(|&s| f64::from(s)).collect::<Vec<_>>());
    SpecialFft::new(half.ilog2()).to_slots(&mut re, &mut im);
    let (keys, encoder) = (Arc::new(keys), Encoder::new(params));
    let evaluator = Evaluator::new(params, keys.clone());
    let secret_slots = re.iter().zip(&im).map(|(re, im)| re * re + im * im).collect();
    Setup { params: params.clone(), encoder, secret, keys, evaluator, secret_slots }
}

/// Computes Σ_k d_k ⊙ rot_k(a) one operation after the other, rescales it, and tracks its error.
fn single_operations(model: &mut Model<'_>, a: &Tracked, transform: &LinearTransform, scale: f64) -> Tracked {
    let (setup, level) = (model.setup, a.ct.level());
    let (ev, slots) = (&setup.evaluator, setup.params.slots());
    let mut sum: Option<Tracked> = None;
    for (&k, diagonal) in transform.diagonals() {
        let diagonal = repeated(diagonal, slots);
        let rotated = ev.rotate(&a.ct, k as i64).expect("a key");
        let rotated = model.automorphism(rotated, a, Some(k as i64));
        let plain = setup.encoder.encode(&diagonal, level, scale).expect("values that fit");
        let product = ev.mul_plain(&rotated.ct, &plain).expect("a product");
        let product = model.mul_plain(product, &rotated, &diagonal, scale);
        sum = Some(match sum {
            None => product,
            Some(sum) => {
                let ct = ev.add(&sum.ct, &product.ct).expect("a sum");
                model.sum(ct, &sum, &product, 1.0)
            }
        });
    }
    let sum = sum.expect("there is a diagonal");
    model.rescaled(ev.rescale(&sum.ct).expect("a level"), &sum)
}

/// Double-hoisted sums with keys at random levels, all of the planned shape, are the same as the
/// single operations, within the noise of these. A sum of single operations has all the noise of a
/// double-hoisted one and more: it has a rounding for each rotation, where that of a giant step is
/// at the scale of the product.
#[test]
fn transforms_are_the_single_operations() {
    let of_test = params("test-10");
    let of_light = light();
    proptest!(config(60), |(seed: u64, is_light: bool, level in 1usize..18, extra in 0usize..6, count in 2usize..20, stride in 0u32..4)| {
        let params = if is_light { &of_light } else { &of_test };
        let (mut rng, slots) = (rng(seed), params.slots());
        let secret = SecretKey::generate(params, &mut rng).expect("a secret");
        let step = 1i64 << stride;
        let indices = (0..count as i64).map(|i| (i - count as i64 / 2) * step);
        let entries = |rng: &mut _| random(rng, slots).into_iter().map(|z| z / count as f64).collect();
        let diagonals: Vec<_> = indices.map(|k| (k, entries(&mut rng))).collect();
        let transform = LinearTransform::new(slots, diagonals).expect("diagonals");
        let key_level = level + extra;
        let plan = transform.plan(params, level, key_level).expect("a plan");
        let shape = params.gadget_shape(key_level);
        let fitting: Vec<_> = (key_level..=params.max_level()).filter(|&l| params.gadget_shape(l) == shape).collect();
        let others: Vec<_> = (level..=params.max_level()).filter(|&l| params.gadget_shape(l) != shape).collect();
        let planned: BTreeSet<_> = plan.requests(params).iter().map(|(id, _)| id).collect();
        let mut wanted: Vec<_> = planned.iter().map(|&id| (id, fitting[below(&mut rng, fitting.len())])).collect();
        // These are other keys that serve the level, but not the digits, and the keys for single
        // operations that the transform does without.
        let mut of_any_shape: Vec<_> = planned.iter().map(|&id| (id, others[below(&mut rng, others.len())])).collect();
        of_any_shape.retain(|_| below(&mut rng, 2) == 0);
        wanted.extend(of_any_shape.iter().copied());
        let singles = transform.diagonals().keys().map(|&k| galois(params, k as i64));
        let identity = galois(params, 0);
        wanted.extend(singles.filter(|id| !planned.contains(id) && *id != identity).map(|id| (id, key_level)));
        let s = setup_with(params, SecretKey::generate(params, &mut common::rng(seed)).expect("a secret"), keys_of(&secret, wanted));
        let scale = params.q(level).as_f64();
        let encoded = EncodedTransform::new(&s.encoder, &transform, plan, scale).expect("encodes");
        let mut model = Model::new(&s, 4 * count);
        let a = model.fresh(&random(&mut rng, slots), level, &mut rng);
        let mut wanted = single_operations(&mut model, &a, &transform, scale);
        model.check(&wanted, "single operations");
        wanted.ct = s.evaluator.transform(&a.ct, &encoded).expect("keys");
        prop_assert_eq!((wanted.ct.level(), wanted.ct.degree()), (level - 1, 1));
        model.check(&wanted, "a transform");
        let lazy = s.evaluator.transform_lazy(&a.ct, &encoded).expect("keys");
        wanted.ct = s.evaluator.rescale(&lazy).expect("a level");
        // Dividing in two steps adds another rounding; the bound has one for each rotation.
        model.check(&wanted, "a transform, rescaled later");

        // Keys of other shapes alone do not serve the digits; the missing key is named.
        let without = keys_of(&secret, planned.iter().map(|&id| (id, others[others.len() - 1])));
        let found = Evaluator::new(params, Arc::new(without)).transform(&a.ct, &encoded);
        prop_assert!(matches!(found, Err(Error::MissingKey { level: l, .. }) if l == key_level), "{found:?}");
    });
}

/// Keys that a plan keeps serve every request with the shape of its level, whatever lies in
/// between: 4 and 9 share a shape, 5 has another.
#[test]
fn planned_keys_have_the_shape_of_the_request() {
    let s = Setup::new("test-10", 5, |params| {
        [4, 5, 9]
            .iter()
            .fold(KeyRequests::default(), |all, &l| all.rotation(params, 1, l).rotation(params, 2, l.min(4)))
    });
    let shape = |level| s.params.gadget_shape(level);
    assert!(shape(4) == shape(9) && shape(4) != shape(5), "a shape with another one between");
    let levels = |k| s.keys.iter().filter(|key| key.id() == galois(&s.params, k)).map(EvaluationKey::level).collect();
    let (one, two): (Vec<_>, Vec<_>) = (levels(1), levels(2));
    assert_eq!((one, two), (vec![5, 9], vec![4]));
    let slots = s.params.slots();
    let mut rng = rng(6);
    let diagonals: Vec<(i64, Vec<Complex64>)> = (0..3).map(|k| (k, random(&mut rng, slots))).collect();
    let transform = LinearTransform::new(slots, diagonals).expect("diagonals");
    let plan = transform.plan(&s.params, 4, 4).expect("a plan");
    let planned = plan.requests(&s.params);
    assert!(planned.iter().all(|(id, _)| [1, 2].map(|k| galois(&s.params, k)).contains(&id)), "{planned:?}");
    let encoded = EncodedTransform::new(&s.encoder, &transform, plan, s.params.q(4).as_f64()).expect("encodes");
    let z = random(&mut rng, slots);
    let a = s.fresh(&z, 4, &mut rng);
    // The key of level 5 is smaller than that of level 9 and serves level 4, but not these digits.
    let out = s.evaluator.transform(&a, &encoded).expect("keys of this shape");
    assert!(distance(&s.decrypt(&out), &transform.apply(&z)) < 1e-6);
}

/// Ciphertexts of other parameters, or of another degree, are refused before a key is looked for.
#[test]
fn refusals() {
    let s = Setup::new("test-10", 7, |params| KeyRequests::default().rotation(params, 1, 5));
    let (other, mut rng) = (light(), rng(8));
    let secret = SecretKey::generate(&other, &mut rng).expect("a secret");
    let plain = Encoder::new(&other).encode(&random(&mut rng, 8), 5, other.scale(5)).expect("values that fit");
    let x = secret.encrypt(&plain, &mut rng).expect("a ciphertext");
    for ks in [&[][..], &[0], &[1], &[0, 1]] {
        let found = s.evaluator.rotate_hoisted(&x, ks);
        assert!(matches!(found, Err(Error::OtherParameters { .. })), "{ks:?}: {found:?}");
    }
    let theirs = Evaluator::without_keys(&other);
    let hoisted = theirs.hoist(&x, 5).expect("a level");
    let found = s.evaluator.automorphism_hoisted(&hoisted, GaloisElement::rotation(1, 10));
    assert!(matches!(found, Err(Error::OtherParameters { .. })), "{found:?}");
    let a = s.fresh(&random(&mut rng, 8), 5, &mut rng);
    let square = s.evaluator.mul_lazy(&a, &a).expect("a product");
    for ks in [&[][..], &[0], &[1]] {
        let found = s.evaluator.rotate_hoisted(&square, ks);
        assert!(matches!(found, Err(Error::Degree { degree: 2, wanted: 1 })), "{ks:?}: {found:?}");
    }
}
