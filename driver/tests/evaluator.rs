//! Tests of every operation. All its forms agree bit for bit, whatever `out` held before and
//! however many threads there are. Levels, scales and values are right, and refusals name the
//! numbers.

mod common;

use common::model::{FRESH, deviations};
use common::*;
use hetal::circuits::{Chebyshev, EncodedTransform, LinearTransform, PolynomialPlan};
use hetal::ckks::encoding::Encoder;
use hetal::ckks::params::{SecretDistribution, Security};
use hetal::kernel::GaloisElement;
use hetal::{Ciphertext, Complex64, Error, Evaluator, KeyRequests, Parameters, ParametersLiteral, SecretKey};
use proptest::prelude::*;
use std::sync::LazyLock;

/// Keys of all kinds for the top level and for level 5.
static SETUP: LazyLock<Setup> = LazyLock::new(|| {
    Setup::new("test-10", 11, |params| {
        let levels = [params.max_level(), 5];
        levels.into_iter().fold(all_keys(params, levels), |requests, level| {
            (0..9).fold(requests, |requests, i| requests.rotation(params, 1 << i, level)).rotation(params, -1, level)
        })
    })
});

/// Returns parameters with the same ring degree and, except for one special prime, the same primes.
fn other_parameters() -> Parameters {
    let mut literal = SETUP.params.literal().clone();
    literal.p_bits.pop();
    Parameters::new(literal).expect("a literal")
}

/// Returns contents that `out` may have: nothing; more limbs; fewer; degree 2; ciphertexts of other
/// parameters; values that are not residues of any number.
fn garbage() -> &'static [Ciphertext] {
    static GARBAGE: LazyLock<Vec<Ciphertext>> = LazyLock::new(|| {
        let (s, mut rng) = (&*SETUP, rng(99));
        let high = s.encrypt(&random(&mut rng, 4), 29, 3.0, &mut rng);
        let low = s.encrypt(&random(&mut rng, 512), 0, 2f64.powi(45), &mut rng);
        let square = s.evaluator.mul_lazy(&high, &high).expect("a product");
        let large = Setup::new("test-11", 12, |_| KeyRequests::default());
        let large = large.fresh(&random(&mut rng, 8), 7, &mut rng);
        vec![
            Ciphertext::empty(&s.params),
            square,
            high,
            low,
            Ciphertext::empty(&other_parameters()),
            Ciphertext::empty(&params("test-11")),
            large,
        ]
    });
    &GARBAGE
}

/// Checks that `f` writes `wanted` into any of these.
fn check_into(what: &str, wanted: &Ciphertext, f: impl Fn(&mut Ciphertext) -> hetal::Result<()>) {
    for (i, garbage) in garbage().iter().enumerate() {
        let mut out = garbage.clone();
        f(&mut out).unwrap_or_else(|e| panic!("{what} into {i}: {e}"));
        assert!(out == *wanted, "{what} into garbage {i} differs");
    }
}

/// Checks that `f` turns `a` into `wanted` in place.
fn check_assign(what: &str, wanted: &Ciphertext, a: &Ciphertext, f: impl Fn(&mut Ciphertext) -> hetal::Result<()>) {
    let mut out = a.clone();
    f(&mut out).unwrap_or_else(|e| panic!("{what} in place: {e}"));
    assert!(out == *wanted, "{what} in place differs");
}

/// Asserts level, scale and degree of a result.
fn check_shape(what: &str, x: &Ciphertext, level: usize, scale: f64, degree: usize) {
    assert_eq!((x.level(), x.scale(), x.degree()), (level, scale, degree), "{what}");
}

/// Runs all forms of all operations on operands at these levels, checks that they agree, and
/// returns everything that was computed.
fn all_forms(seed: u64, levels: [usize; 2], log_slots: [u32; 2]) -> Vec<Ciphertext> {
    let (s, mut rng) = (&*SETUP, rng(seed));
    let (ev, params) = (&s.evaluator, &s.params);
    let scale = 2f64.powi(20);
    let [x, y] = [0, 1].map(|i| random(&mut rng, 1 << log_slots[i]));
    let [a, b] = [s.encrypt(&x, levels[0], scale, &mut rng), s.encrypt(&y, levels[1], scale, &mut rng)];
    let plain = s.encoder.encode(&y, levels[1], scale).expect("a plaintext");
    let originals = (a.clone(), b.clone(), plain.clone());
    let (low, product) = (levels[0].min(levels[1]), scale * scale);
    let slots = 1 << log_slots[0].max(log_slots[1]);
    let mut all = Vec::new();
    let mut keep = |what: &str, x: &Ciphertext, level: usize, scale: f64, degree: usize| {
        check_shape(what, x, level, scale, degree);
        all.push(x.clone());
    };

    let sum = ev.add(&a, &b).expect("add");
    assert_eq!(sum.slots(), slots);
    check_assign("add", &sum, &a, |a| ev.add_assign(a, &b));
    check_into("add", &sum, |out| ev.add_into(&a, &b, out));
    keep("add", &sum, low, scale, 1);
    let difference = ev.sub(&a, &b).expect("sub");
    check_assign("sub", &difference, &a, |a| ev.sub_assign(a, &b));
    check_into("sub", &difference, |out| ev.sub_into(&a, &b, out));
    keep("sub", &difference, low, scale, 1);
    let x = ev.add_plain(&a, &plain).expect("add_plain");
    check_assign("add_plain", &x, &a, |a| ev.add_plain_assign(a, &plain));
    keep("add_plain", &x, low, scale, 1);
    let x = ev.sub_plain(&a, &plain).expect("sub_plain");
    check_assign("sub_plain", &x, &a, |a| ev.sub_plain_assign(a, &plain));
    keep("sub_plain", &x, low, scale, 1);
    let x = ev.mul_plain(&a, &plain).expect("mul_plain");
    assert_eq!(x.slots(), slots);
    check_assign("mul_plain", &x, &a, |a| ev.mul_plain_assign(a, &plain));
    check_into("mul_plain", &x, |out| ev.mul_plain_into(&a, &plain, out));
    keep("mul_plain", &x, low, product, 1);
    let negative = ev.negate(&a).expect("negate");
    check_assign("negate", &negative, &a, |a| ev.negate_assign(a));
    keep("negate", &negative, levels[0], scale, 1);
    for c in [Complex64::new(0.7, 0.0), Complex64::new(-0.3, 0.9), Complex64::new(0.0, -1.0), Complex64::ZERO] {
        let x = ev.add_constant(&a, c).expect("add_constant");
        check_assign("add_constant", &x, &a, |a| ev.add_constant_assign(a, c));
        keep("add_constant", &x, levels[0], scale, 1);
        let x = ev.mul_constant(&a, c, 1000.0).expect("mul_constant");
        check_assign("mul_constant", &x, &a, |a| ev.mul_constant_assign(a, c, 1000.0));
        keep("mul_constant", &x, levels[0], scale * 1000.0, 1);
    }
    for c in [0, 1, -1, 3, i64::MAX, i64::MIN] {
        let x = ev.mul_integer(&a, c).expect("mul_integer");
        check_assign("mul_integer", &x, &a, |a| ev.mul_integer_assign(a, c));
        keep("mul_integer", &x, levels[0], scale, 1);
    }
    assert!(ev.mul_integer(&a, -1).expect("mul_integer") == negative, "−1·a is −a");
    let turned = ev.mul_i(&a).expect("mul_i");
    check_assign("mul_i", &turned, &a, |a| ev.mul_i_assign(a));
    let twice = ev.mul_i(&turned).expect("mul_i");
    assert!(twice == negative, "i·i·a is −a");
    assert!(ev.mul_i(&ev.mul_i(&twice).expect("mul_i")).expect("mul_i") == a, "i^4·a is a");
    keep("mul_i", &turned, levels[0], scale, 1);
    for level in [0, low] {
        let x = ev.drop_to_level(&a, level).expect("drop");
        check_assign("drop", &x, &a, |a| ev.drop_to_level_assign(a, level));
        assert!(x == ev.adjust(&a, level, scale).expect("adjust"), "adjusting to the same scale only drops");
        keep("drop", &x, level, scale, 1);
    }

    let lazy = ev.mul_lazy(&a, &b).expect("mul_lazy");
    keep("mul_lazy", &lazy, low, product, 2);
    check_into("dot_lazy", &lazy, |out| ev.dot_lazy_into(&[(&a, &b)], out));
    let dot = ev.dot_lazy(&[(&a, &b), (&b, &b), (&a, &a)]).expect("dot_lazy");
    let squares = [ev.mul_lazy(&b, &b).expect("mul_lazy"), ev.mul_lazy(&a, &a).expect("mul_lazy")];
    let summed = squares.iter().fold(lazy.clone(), |sum, x| ev.add(&sum, x).expect("add"));
    assert!(dot == summed, "a sum of products at once");
    keep("dot_lazy", &dot, low, product, 2);
    // Degrees 1 and 2, on either side.
    let mut first = ev.drop_to_level(&a, low).expect("drop");
    first.set_scale(product).expect("a scale");
    let mixed = ev.sub(&first, &lazy).expect("sub");
    keep("sub of degrees 1 and 2", &mixed, low, product, 2);
    assert!(ev.negate(&mixed).expect("negate") == ev.sub(&lazy, &first).expect("sub"), "a − b is −(b − a)");
    check_into("sub of degrees 1 and 2", &mixed, |out| ev.sub_into(&first, &lazy, out));
    check_into("add of degrees 2 and 1", &ev.add(&lazy, &first).expect("add"), |out| ev.add_into(&lazy, &first, out));
    let linear = ev.relinearise(&lazy).expect("relinearise");
    assert!(linear == ev.mul(&a, &b).expect("mul"), "mul relinearises");
    check_assign("mul", &linear, &a, |a| ev.mul_assign(a, &b));
    check_into("mul", &linear, |out| ev.mul_into(&a, &b, out));
    keep("mul", &linear, low, product, 1);
    if low > 0 {
        let below = scale * scale / params.q(low).as_f64();
        let x = ev.rescale(&linear).expect("rescale");
        check_assign("rescale", &x, &linear, |a| ev.rescale_assign(a));
        check_assign("rescale_by 1", &x, &linear, |a| ev.rescale_by_assign(a, 1));
        check_assign("rescale_by 0", &linear, &linear, |a| ev.rescale_by_assign(a, 0));
        check_into("rescale", &x, |out| ev.rescale_into(&linear, out));
        keep("rescale", &x, low - 1, below, 1);
        keep("rescale of degree 2", &ev.rescale(&lazy).expect("rescale"), low - 1, below, 2);
        let x = ev.mul_rescale(&a, &b).expect("mul_rescale");
        assert!(x == ev.relinearise_rescale(&lazy).expect("relinearise_rescale"), "mul_rescale in two steps");
        check_assign("mul_rescale", &x, &a, |a| ev.mul_rescale_assign(a, &b));
        check_into("mul_rescale", &x, |out| ev.mul_rescale_into(&a, &b, out));
        check_into("relinearise_rescale", &x, |out| ev.relinearise_rescale_into(&lazy, out));
        keep("mul_rescale", &x, low - 1, below, 1);
        let x = ev.dot_rescale(&[(&a, &b), (&b, &b), (&a, &a)]).expect("dot_rescale");
        assert!(x == ev.relinearise_rescale(&dot).expect("relinearise_rescale"), "dot_rescale in two steps");
        keep("dot_rescale", &x, low - 1, below, 1);
    }
    if low > 1 {
        let mut x = linear.clone();
        ev.rescale_by_assign(&mut x, 2).expect("rescale_by");
        let scale = product / params.q(low).as_f64() / params.q(low - 1).as_f64();
        keep("rescale_by 2", &x, low - 2, scale, 1);
        let mut x = linear.clone();
        ev.rescale_by_assign(&mut x, low).expect("rescale_by");
        assert_eq!(x.level(), 0);
    }

    let slots = params.slots() as i64;
    let indices = [0, 1, -3, 7, slots / 2, slots, -slots, 1 + slots, 1 - 4 * slots, i64::MAX, i64::MIN];
    let hoisted = ev.rotate_hoisted(&a, &indices).expect("rotate_hoisted");
    let top = ev.hoist(&a, params.max_level()).expect("hoist");
    for (&k, hoisted) in indices.iter().zip(&hoisted) {
        let x = ev.rotate(&a, k).expect("rotate");
        assert!(*hoisted == x, "hoisted rotation by {k}");
        let element = GaloisElement::rotation(k, params.log_n());
        let found = ev.automorphism_hoisted(&top, element).expect("automorphism_hoisted");
        assert!(found == x, "rotation by {k}, hoisted for a key of the top level");
        check_assign("rotate", &x, &a, |a| ev.rotate_assign(a, k));
        check_into("rotate", &x, |out| ev.rotate_into(&a, k, out));
        assert!(ev.rotate_sum(&a, k).expect("rotate_sum") == ev.add(&a, &x).expect("add"), "sum with rotation by {k}");
        assert!(k.rem_euclid(slots) != 0 || x == a, "rotation by {k} is the identity");
        assert!(x == ev.rotate(&a, k.rem_euclid(slots)).expect("rotate"), "rotation by {k}");
        keep("rotate", &x, levels[0], scale, 1);
    }
    assert!(ev.rotate_hoisted(&a, &[0, slots]).expect("rotate_hoisted") == [a.clone(), a.clone()]);
    assert!(ev.rotate_hoisted(&a, &[]).expect("rotate_hoisted").is_empty());
    let x = ev.conjugate(&a).expect("conjugate");
    check_assign("conjugate", &x, &a, |a| ev.conjugate_assign(a));
    let element = GaloisElement::conjugation(params.log_n());
    check_into("automorphism", &x, |out| ev.automorphism_into(&a, element, out));
    let found = ev.automorphism_hoisted(&top, element).expect("automorphism_hoisted");
    assert!(found == x, "conjugation, hoisted");
    keep("conjugate", &x, levels[0], scale, 1);
    keep("sum_slots", &ev.sum_slots(&a, 4, 2).expect("sum_slots"), levels[0], scale, 1);
    drop(top);
    assert!((a, b, plain) == originals, "an operand was changed");
    all
}

/// The levels at which shapes of keys change, the lowest and the highest ones.
fn level() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0usize), Just(1), Just(5), Just(6), Just(17), Just(18), Just(29), 0usize..30]
}

/// All forms of all operations agree bit for bit, at random levels and numbers of slots.
#[test]
fn forms_agree() {
    proptest!(config(10), |(seed: u64, a in level(), b in level(), x in 0u32..10, y in 0u32..10)| {
        // A product of two scales of 2^20 fits into the 50 bits of level 0.
        all_forms(seed, [a, b], [x, y]);
    });
    all_forms(1, [29, 29], [9, 9]);
    all_forms(2, [0, 0], [9, 0]);
}

/// The results of operations, keys, encryption, encoding and decoding do not depend on the number
/// of threads.
#[test]
fn threads_do_not_matter() {
    let run = || {
        let mut rng = rng(5);
        let params = params("test-10");
        let secret = SecretKey::generate(&params, &mut rng).expect("a secret");
        let keys = secret.evaluation_keys(&all_keys(&params, [29, 3]), &mut rng).expect("keys");
        let ev = Evaluator::new(&params, std::sync::Arc::new(keys));
        let encoder = Encoder::new(&params);
        let plain = encoder.encode(&random(&mut rng, 512), 20, 2f64.powi(60)).expect("a plaintext");
        let a = secret.encrypt(&plain, &mut rng).expect("a ciphertext");
        let low = ev.drop_to_level(&a, 3).expect("drop");
        let results = [
            ev.mul_rescale(&a, &a).expect("mul_rescale"),
            ev.mul(&a, &a).expect("mul"),
            ev.conjugate(&low).expect("conjugate"),
            ev.rotate(&a, -3).expect("rotate"),
            ev.rotate_hoisted(&a, &[7, 1]).expect("rotate_hoisted").remove(1),
        ];
        let decoded = encoder.decode(&secret.decrypt(&results[1]).expect("a plaintext")).expect("values");
        (plain, a, results, decoded, all_forms(6, [9, 13], [9, 3]))
    };
    let in_pool = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(run)
    };
    let one = in_pool(1);
    for threads in [2, 5] {
        assert!(in_pool(threads) == one, "{threads} threads give other results than one");
    }
}

/// Returns a bound on the errors of slots after linear operations and rescalings of values below 2:
/// for a fresh ciphertext or a rounding, with so many standard deviations that the probability of
/// more is 2^−40.
fn bound(s: &Setup, scale: f64) -> f64 {
    let largest = s.secret_slots.iter().copied().fold(0.0, f64::max);
    let n = s.params.n() as f64;
    let fresh = n * (FRESH + 2.0 / 12.0);
    deviations(s.params.slots() * 64) * (fresh + (1.0 + largest) * n / 12.0).sqrt() / scale
}

/// Decrypted sums and multiples against plain ones, within the bound of the noise.
#[test]
fn values_of_sums_and_multiples() {
    let (s, mut rng) = (&*SETUP, rng(21));
    let (ev, scale) = (&s.evaluator, 2f64.powi(40));
    for level in [1, 12, 29] {
        let (x, y) = (random(&mut rng, 512), random(&mut rng, 512));
        let (a, b) = (s.encrypt(&x, level, scale, &mut rng), s.encrypt(&y, level, scale, &mut rng));
        // The error of an integer multiple is the multiple of the error.
        for c in [0i64, 1, -1, 100] {
            let wanted: Vec<_> = x.iter().map(|z| z * c as f64).collect();
            let found = s.decrypt(&ev.mul_integer(&a, c).expect("mul_integer"));
            assert!(distance(&found, &wanted) <= (c.abs() as f64) * bound(s, scale) + 1e-13 * 100.0, "{c}·a");
        }
        // a·1 + c·b, at the scale of the product.
        let factor = 2f64.powi(20);
        for c in [0.0, 1.0, -0.625, 1.0 / 3.0] {
            let mut sum = ev.mul_constant(&a, 1.0, factor).expect("mul_constant");
            ev.add_multiple(&mut sum, &b, c, factor).expect("add_multiple");
            let wanted: Vec<_> = x.iter().zip(&y).map(|(x, y)| x + y * c).collect();
            // The constant is rounded to 2^-21.
            let limit = 2.0 * bound(s, scale) + 2f64.powf(0.5) / 2.0 / factor + 1e-13;
            assert!(distance(&s.decrypt(&sum), &wanted) <= limit, "a + {c}·b");
            assert_eq!((sum.level(), sum.scale()), (level, scale * factor));
        }
        // Adds from a higher level, and into degree 2.
        if level > 1 {
            let mut square = ev.drop_to_level(&ev.mul_lazy(&a, &a).expect("mul_lazy"), level - 1).expect("drop");
            ev.add_multiple(&mut square, &b, 0.5, scale).expect("add_multiple");
            let wanted: Vec<_> = x.iter().zip(&y).map(|(x, y)| x * x + y * 0.5).collect();
            // |x| ≤ √2 multiplies the error of x twice.
            let limit = (2.0 * 2f64.sqrt() + 1.0) * bound(s, scale) + 1e-13;
            assert!(distance(&s.decrypt(&square), &wanted) <= limit, "a·a + b/2 in degree 2");
        }
    }
}

/// Sums over slots against plain sums, within the bound of the noise.
#[test]
fn values_of_sums_over_slots() {
    let (s, mut rng) = (&*SETUP, rng(22));
    let (ev, scale) = (&s.evaluator, 2f64.powi(40));
    let slots = s.params.slots();
    for (count, stride, len) in
        [(1, 5, 512), (2, 1, 512), (512, 1, 512), (8, 64, 512), (4, 1, 4), (512, 1, 8), (16, 16, 256)]
    {
        let x = random(&mut rng, len);
        let found = s.decrypt(&ev.sum_slots(&s.encrypt(&x, 4, scale, &mut rng), count, stride).expect("sum_slots"));
        let wanted: Vec<Complex64> =
            (0..len).map(|j| (0..count).map(|i| x[(j + i * stride as usize) % len]).sum()).collect();
        // The ciphertext contributes `count` errors, and the rotations together fewer than `count`.
        let limit = 2.0 * count as f64 * bound(s, scale) + 1e-12;
        assert!(distance(&found, &wanted) <= limit, "{count} slots by {stride} of {len}");
    }
    let all = vec![Complex64::ONE; slots];
    let sum = ev.sum_slots(&s.encrypt(&all, 4, scale, &mut rng), slots, 1).expect("sum_slots");
    assert!(distance(&s.decrypt(&sum), &vec![Complex64::new(512.0, 0.0); slots]) <= 1024.0 * bound(s, scale) + 1e-12);
    for count in [0, 3, 2 * slots] {
        let error = ev.sum_slots(&sum, count, 1).expect_err("no such number of slots");
        assert_eq!(error, Error::Slots { slots: count, max: slots });
        assert!(error.to_string().contains(&count.to_string()) && error.to_string().contains("512"), "{error}");
    }
}

/// A product that is divided in one step or in two: the results differ only by their roundings.
#[test]
fn merged_rescaling() {
    let (s, mut rng) = (&*SETUP, rng(23));
    for level in [1, 2, 5, 6, 12, 17, 18, 29] {
        for x in [random(&mut rng, 512), vec![Complex64::ONE; 512]] {
            let a = s.fresh(&x, level, &mut rng);
            let merged = s.evaluator.mul_rescale(&a, &a).expect("mul_rescale");
            let two = s.evaluator.rescale(&s.evaluator.mul(&a, &a).expect("mul")).expect("rescale");
            assert_eq!((merged.level(), merged.scale()), (two.level(), two.scale()));
            // There is one rounding of variance (1 + |S|²)·N/12 in each, and less than one more
            // from the earlier of the two steps.
            let limit = 2.0 * bound(s, merged.scale()) + 1e-13;
            let found = distance(&s.decrypt(&merged), &s.decrypt(&two));
            assert!(found <= limit, "level {level}: {found:e} above {limit:e}");
        }
    }
}

/// Adjusting gives exactly the level and scale asked for and keeps the values; what is impossible
/// is refused.
#[test]
fn adjusting() {
    let (s, mut rng) = (&*SETUP, rng(24));
    let (ev, params) = (&s.evaluator, &s.params);
    let x = random(&mut rng, 512);
    for (from, to) in [(29, 28), (29, 0), (18, 17), (17, 16), (12, 3), (1, 0)] {
        let a = s.fresh(&x, from, &mut rng);
        let wanted = params.scale(to);
        let out = ev.adjust(&a, to, wanted).expect("adjust");
        assert_eq!((out.level(), out.scale()), (to, wanted), "exactly this scale");
        // The constant has at least 29 bits here, of which half a unit is lost.
        let factor = wanted / a.scale() * params.q(to + 1).as_f64();
        let limit = 2.0 * bound(s, wanted.min(a.scale())) + 2f64.sqrt() / factor + 1e-13;
        assert!(distance(&s.decrypt(&out), &x) <= limit, "from {from} to {to}");
    }
    let a = s.fresh(&x, 5, &mut rng);
    assert_eq!(ev.adjust(&a, 6, a.scale()), Err(Error::LowLevel { level: 5, needed: 6 }));
    let twice = 2.0 * a.scale();
    for (level, scale) in [(5, twice), (6, twice), (4, a.scale() / 2f64.powi(21)), (4, -1.0)] {
        let found = ev.adjust(&a, level, scale);
        assert!(matches!(found, Err(Error::ScaleMismatch { left, .. }) if left == a.scale()), "{level} {scale}");
    }
    for scale in [f64::NAN, f64::INFINITY] {
        assert!(matches!(ev.adjust(&a, 4, scale), Err(Error::Scale { level: 5, .. })), "{scale}");
    }
}

/// Checks a refusal: its variant and the texts in its message. The operand must stay as it was.
fn check_refused(
    a: &Ciphertext,
    texts: &[&str],
    wanted: fn(&Error) -> bool,
    f: impl FnOnce(&mut Ciphertext) -> hetal::Result<()>,
) {
    let mut operand = a.clone();
    let error = f(&mut operand).expect_err("must be refused");
    let text = error.to_string();
    assert!(wanted(&error), "{error:?}");
    assert!(texts.iter().all(|part| text.contains(part)), "{text}: without {texts:?}");
    assert!(operand == *a, "{text}: the operand was changed");
}

/// Every operation refuses operands that do not fit, names the numbers and leaves the operand as it
/// was.
#[test]
fn refusals() {
    let (s, mut rng) = (&*SETUP, rng(31));
    let (ev, encoder) = (&s.evaluator, &s.encoder);
    let x = random(&mut rng, 512);
    let [a, b] = [2f64.powi(40), 2f64.powi(41)].map(|scale| s.encrypt(&x, 6, scale, &mut rng));
    let plain = encoder.encode(&x, 6, 2f64.powi(41)).expect("a plaintext");
    let mismatch: fn(&Error) -> bool = |e| matches!(e, Error::ScaleMismatch { .. });
    check_refused(&a, &["2^40", "2^41"], mismatch, |a| ev.add_assign(a, &b));
    check_refused(&a, &["2^40", "2^41"], mismatch, |a| ev.sub_assign(a, &b));
    check_refused(&a, &["2^40", "2^41"], mismatch, |a| ev.add_plain_assign(a, &plain));
    check_refused(&a, &["2^40", "2^41"], mismatch, |a| ev.sub_plain_assign(a, &plain));
    check_refused(&a, &["2^40", "2^42"], mismatch, |a| ev.add_multiple(a, &b, 1.0, 2.0));
    check_refused(&a, &["2^80", "2^81"], mismatch, |a| ev.dot_lazy(&[(a, a), (a, &b)]).map(|_| ()));
    // Scales that are 2^-39 apart are not equal, scales that are 2^-41 apart are.
    let mut near = a.clone();
    near.set_scale(a.scale() * (1.0 + 2f64.powi(-41))).expect("a scale");
    ev.add(&a, &near).expect("equal scales");
    near.set_scale(a.scale() * (1.0 + 2f64.powi(-39))).expect("a scale");
    check_refused(&a, &["scales differ"], mismatch, |a| ev.add_assign(a, &near));

    let none: fn(&Error) -> bool = |e| matches!(e, Error::NoLevelsLeft { .. });
    let low = ev.drop_to_level(&a, 0).expect("drop");
    let lazy = ev.dot_lazy(&[(&a, &a)]).expect("dot_lazy");
    check_refused(&low, &["1 levels", "level 0"], none, |a| ev.rescale_assign(a));
    check_refused(&a, &["7 levels", "level 6"], none, |a| ev.rescale_by_assign(a, 7));
    check_refused(&a, &[&format!("{} levels", usize::MAX)], none, |a| ev.rescale_by_assign(a, usize::MAX));
    let bottom = s.encrypt(&x, 0, 2f64.powi(20), &mut rng);
    check_refused(&bottom, &["1 levels", "level 0"], none, |a| ev.mul_rescale_assign(a, &bottom));

    let scale: fn(&Error) -> bool = |e| matches!(e, Error::Scale { .. });
    check_refused(&low, &["level 0", "2^50"], scale, |a| ev.mul_assign(a, &low));
    check_refused(&low, &["level 0", "2^50"], scale, |a| ev.mul_plain_assign(a, &plain));
    for factor in [0.0, -1.0, f64::NAN, f64::INFINITY, 1024.0] {
        check_refused(&low, &["level 0", "2^50"], scale, |a| ev.mul_constant_assign(a, 1.0, factor));
        let invalid = factor == 1024.0;
        assert!(invalid || low.clone().set_scale(factor).is_err(), "scale {factor}");
    }
    check_refused(&low, &["-1e0"], scale, |a| a.set_scale(-1.0));
    ev.mul_constant(&low, 0.5, 1023.0).expect("below 2^50");

    let degree: fn(&Error) -> bool = |e| matches!(e, Error::Degree { degree: 2, wanted: 1 });
    let text = &["degree 2", "1 is needed"];
    check_refused(&lazy, text, degree, |a| ev.mul_assign(a, &b));
    check_refused(&lazy, text, degree, |a| ev.rotate_assign(a, 1));
    check_refused(&lazy, text, degree, |a| ev.rotate_assign(a, 0));
    check_refused(&lazy, text, degree, |a| ev.rotate_sum(a, 1).map(drop));
    check_refused(&lazy, text, degree, |a| ev.rotate_sum(a, 0).map(drop));
    check_refused(&lazy, text, degree, |a| ev.conjugate_assign(a));
    check_refused(&lazy, text, degree, |a| ev.hoist(a, 29).map(|_| ()));
    let mut wide = a.clone();
    wide.set_scale(lazy.scale() * 2.0).expect("a scale");
    check_refused(&wide, text, degree, |a| ev.add_multiple(a, &lazy, 1.0, 2.0));
    let linear: fn(&Error) -> bool = |e| matches!(e, Error::Degree { degree: 1, wanted: 2 });
    check_refused(&a, &["degree 1", "2 is needed"], linear, |a| ev.relinearise(a).map(|_| ()));
    check_refused(&a, &["degree 1", "2 is needed"], linear, |a| ev.relinearise_rescale(a).map(|_| ()));

    let finite: fn(&Error) -> bool = |e| matches!(e, Error::NotFinite { slot: 0, .. });
    check_refused(&a, &["NaN"], finite, |a| ev.add_constant_assign(a, f64::NAN));
    check_refused(&a, &["inf"], finite, |a| ev.add_constant_assign(a, Complex64::new(0.0, f64::INFINITY)));
    check_refused(&a, &["-inf"], finite, |a| ev.mul_constant_assign(a, f64::NEG_INFINITY, 2.0));
    check_refused(&b, &["NaN"], finite, |b| ev.add_multiple(b, &a, f64::NAN, 2.0));
    let overflow: fn(&Error) -> bool = |e| matches!(e, Error::Overflow { .. });
    check_refused(&low, &["2^40.0", "level 0", "2^50.0", "51.0 bits"], overflow, |a| ev.add_constant_assign(a, 1024.0));
    check_refused(&low, &["2^50.0"], overflow, |a| ev.mul_constant_assign(a, 1e15, 1.0));
    // A constant with |c·Δ| below q/2 is accepted.
    ev.add_constant(&low, 511.0).expect("below half the modulus");

    let count: fn(&Error) -> bool = |e| matches!(e, Error::Count { found: 0, wanted: 1, .. });
    check_refused(&a, &["0 products", "1 are needed"], count, |a| ev.dot_lazy_into(&[], a));

    let level: fn(&Error) -> bool = |e| matches!(e, Error::LowLevel { .. } | Error::Level { .. });
    check_refused(&a, &["level 7", "6"], level, |a| ev.drop_to_level_assign(a, 7));
    check_refused(&a, &["level 7", "6"], level, |a| ev.drop_to_level(a, 7).map(|_| ()));
    check_refused(&b, &["level 6", "0"], level, |b| ev.add_multiple(b, &low, 1.0, 2.0));
    check_refused(&a, &["level 6", "5"], level, |a| ev.hoist(a, 5).map(|_| ()));
    check_refused(&a, &["level 30", "29"], level, |a| ev.hoist(a, 30).map(|_| ()));

    let missing: fn(&Error) -> bool = |e| matches!(e, Error::MissingKey { .. });
    // The rotation by 9 has the name 5^9 mod 2048.
    let element = format!("X^{}", 5u64.pow(9) % 2048);
    check_refused(&a, &["Galois key", &element, "level 6"], missing, |a| ev.rotate_assign(a, 9));
    check_refused(&a, &["Galois key"], missing, |a| ev.rotate_hoisted(a, &[1, 9]).map(|_| ()));
    let bare = Evaluator::without_keys(&s.params);
    check_refused(&a, &["conjugation key", "level 6"], missing, |a| bare.conjugate_assign(a));
    check_refused(&a, &["relinearisation key", "level 6"], missing, |a| bare.mul_assign(a, &b));
    check_refused(&lazy, &["relinearisation key", "level 6"], missing, |a| bare.relinearise_rescale(a).map(|_| ()));
    // Keys of level 5 do not serve level 6.
    let keys = s.secret.evaluation_keys(&all_keys(&s.params, [5]), &mut rng).expect("keys");
    let fifth = Evaluator::new(&s.params, std::sync::Arc::new(keys));
    check_refused(&a, &["relinearisation key", "level 6"], missing, |a| fifth.mul_assign(a, &b));
    fifth.mul(&ev.drop_to_level(&a, 5).expect("drop"), &b).expect("a key");
}

/// Every operation refuses objects of other parameters, with both hashes, also where the ring is
/// the same.
#[test]
fn other_parameters_are_refused() {
    let (s, mut rng) = (&*SETUP, rng(41));
    let (ev, wanted) = (&s.evaluator, s.params.hash().to_string());
    let others = [other_parameters(), params("test-11")];
    for other in others {
        let mine = s.fresh(&random(&mut rng, 8), 5, &mut rng);
        let secret = SecretKey::generate(&other, &mut rng).expect("a secret");
        let encoder = Encoder::new(&other);
        let plain = encoder.encode(&random(&mut rng, 8), 5, mine.scale()).expect("a plaintext");
        let x = secret.encrypt(&plain, &mut rng).expect("a ciphertext");
        let found = other.hash().to_string();
        let check = |what: &str, result: hetal::Result<()>| {
            let error = result.expect_err(what);
            assert!(matches!(error, Error::OtherParameters { .. }), "{what}: {error:?}");
            let text = error.to_string();
            assert!(text.contains(&wanted) && text.contains(&found), "{what}: {text}");
        };
        let drop = |_: Ciphertext| ();
        check("add", ev.add(&x, &mine).map(drop));
        check("add", ev.add(&mine, &x).map(drop));
        check("sub", ev.sub(&x, &mine).map(drop));
        check("add_plain", ev.add_plain(&mine, &plain).map(drop));
        check("sub_plain", ev.sub_plain(&mine, &plain).map(drop));
        check("mul_plain", ev.mul_plain(&mine, &plain).map(drop));
        check("add_constant", ev.add_constant(&x, 1.0).map(drop));
        check("add_multiple", ev.add_multiple(&mut mine.clone(), &x, 1.0, 1.0));
        check("mul_constant", ev.mul_constant(&x, 1.0, 2.0).map(drop));
        check("mul_integer", ev.mul_integer(&x, 1).map(drop));
        check("mul_i", ev.mul_i(&x).map(drop));
        check("negate", ev.negate(&x).map(drop));
        check("rescale", ev.rescale(&x).map(drop));
        check("rescale_by", ev.rescale_by_assign(&mut x.clone(), 0));
        check("adjust", ev.adjust(&x, 4, s.params.scale(4)).map(drop));
        check("mul", ev.mul(&x, &mine).map(drop));
        check("mul", ev.mul(&mine, &x).map(drop));
        check("dot_lazy", ev.dot_lazy(&[(&mine, &mine), (&mine, &x)]).map(drop));
        check("dot_rescale", ev.dot_rescale(&[(&mine, &mine), (&mine, &x)]).map(drop));
        check("rotate", ev.rotate(&x, 1).map(drop));
        check("rotate by 0", ev.rotate(&x, 0).map(drop));
        check("conjugate", ev.conjugate(&x).map(drop));
        check("hoist", ev.hoist(&x, 29).map(|_| ()));
        check("rotate_hoisted", ev.rotate_hoisted(&x, &[1, 0]).map(|_| ()));
        check("decode", s.encoder.decode(&plain).map(|_| ()));
        check("decrypt", s.secret.decrypt(&x).map(|_| ()));
        check("encrypt", s.secret.encrypt(&plain, &mut rng).map(drop));
        // Here, keys of other parameters are used on ciphertexts of these.
        let keys = secret.evaluation_keys(&KeyRequests::default().relinearisation(5), &mut rng).expect("keys");
        let mixed = Evaluator::new(&s.params, std::sync::Arc::new(keys));
        check("a key", mixed.mul(&mine, &mine).map(drop));
    }
}

/// An operation that writes its result into a ciphertext.
type Into = fn(&Evaluator, &Ciphertext, &mut Ciphertext) -> hetal::Result<()>;

/// Every operation that takes two objects made with two secrets of the same parameters refuses
/// them, with both ids. Results have the id of their operands, whatever their memory held.
#[test]
fn other_keys_are_refused() {
    let (s, mut rng) = (&*SETUP, rng(42));
    let ev = &s.evaluator;
    let secret = SecretKey::generate(&s.params, &mut rng).expect("a secret");
    let (found, wanted) = (secret.key_generation(), s.secret.key_generation());
    let mine = s.fresh(&random(&mut rng, 8), 5, &mut rng);
    let plain = s.encoder.encode(&random(&mut rng, 8), 5, mine.scale()).expect("a plaintext");
    let x = secret.encrypt(&plain, &mut rng).expect("a ciphertext");
    let lazy = ev.mul_lazy(&x, &x).expect("needs no key");
    let refused = |what: &str, result: hetal::Result<()>| {
        let error = result.expect_err(what);
        let Error::OtherKeys { found: a, wanted: b } = &error else { panic!("{what}: {error:?}") };
        assert!([(found, wanted), (wanted, found)].contains(&(*a, *b)), "{what}: {error}");
        let text = error.to_string();
        assert!(text.contains(&found.to_string()) && text.contains(&wanted.to_string()), "{what}: {text}");
    };
    let drop = |_: Ciphertext| ();
    for (a, b) in [(&x, &mine), (&mine, &x)] {
        let mut out = Ciphertext::empty(&s.params);
        refused("add", ev.add(a, b).map(drop));
        refused("add_into", ev.add_into(a, b, &mut out));
        refused("add_assign", ev.add_assign(&mut a.clone(), b));
        refused("sub", ev.sub(a, b).map(drop));
        refused("sub_into", ev.sub_into(a, b, &mut out));
        refused("sub_assign", ev.sub_assign(&mut a.clone(), b));
        refused("add_multiple", ev.add_multiple(&mut a.clone(), b, 1.0, 1.0));
        refused("mul", ev.mul(a, b).map(drop));
        refused("mul_into", ev.mul_into(a, b, &mut out));
        refused("mul_assign", ev.mul_assign(&mut a.clone(), b));
        refused("mul_lazy", ev.mul_lazy(a, b).map(drop));
        refused("mul_rescale", ev.mul_rescale(a, b).map(drop));
        refused("mul_rescale_into", ev.mul_rescale_into(a, b, &mut out));
        refused("mul_rescale_assign", ev.mul_rescale_assign(&mut a.clone(), b));
        refused("dot_lazy", ev.dot_lazy(&[(a, a), (a, b)]).map(drop));
        refused("dot_lazy_into", ev.dot_lazy_into(&[(a, a), (b, b)], &mut out));
        refused("dot_rescale", ev.dot_rescale(&[(a, a), (a, b)]).map(drop));
    }
    // The ciphertexts are of one secret and the keys of the other.
    refused("mul", ev.mul(&x, &x).map(drop));
    refused("mul_rescale", ev.mul_rescale(&x, &x).map(drop));
    refused("relinearise", ev.relinearise(&lazy).map(drop));
    refused("relinearise_rescale", ev.relinearise_rescale(&lazy).map(drop));
    refused("rotate", ev.rotate(&x, 1).map(drop));
    refused("rotate_sum", ev.rotate_sum(&x, 1).map(drop));
    refused("rotate_hoisted", ev.rotate_hoisted(&x, &[1, 2]).map(|_| ()));
    refused("conjugate", ev.conjugate(&x).map(drop));
    refused("sum_slots", ev.sum_slots(&x, 4, 1).map(drop));
    let hoisted = ev.hoist(&x, 29).expect("needs no key");
    refused("automorphism_hoisted", ev.automorphism_hoisted(&hoisted, GaloisElement::rotation(1, 10)).map(drop));
    let square = Chebyshev::new(vec![0.0, 0.0, 1.0], [-1.0, 1.0]);
    let square = PolynomialPlan::new(&s.params, square, 5).expect("a plan");
    refused("polynomial", ev.polynomial(&x, &square, 1e12).map(drop));
    let shift = LinearTransform::new(8, [(1, vec![Complex64::ONE; 8])]).expect("a diagonal");
    let plan = shift.plan(&s.params, 5, 5).expect("a plan");
    let shift = EncodedTransform::new(&s.encoder, &shift, plan, s.params.q(5).as_f64()).expect("encodes");
    refused("transform", ev.transform(&x, &shift).map(drop));
    refused("decrypt", s.secret.decrypt(&x).map(|_| ()));
    refused("decrypt", secret.decrypt(&mine).map(|_| ()));

    // Without keys, ciphertexts of each secret can be computed with on their own. No result has
    // another id than its operands.
    for (c, id) in [(&x, found), (&mine, wanted)] {
        let mut results = vec![
            ev.add(c, c),
            ev.sub(c, c),
            ev.negate(c),
            ev.add_plain(c, &plain),
            ev.mul_plain(c, &plain),
            ev.add_constant(c, 1.0),
            ev.mul_constant(c, 1.0, 2.0),
            ev.mul_integer(c, 3),
            ev.mul_i(c),
            ev.mul_lazy(c, c),
            ev.rescale(c),
            ev.adjust(c, 3, s.params.scale(3)),
            ev.rotate(c, 0),
            ev.rotate_sum(c, 0),
        ];
        if id == wanted {
            let lazy = ev.mul_lazy(c, c).expect("mul_lazy");
            let hoisted = ev.rotate_hoisted(c, &[0, 1, 2]).expect("keys");
            results.extend(hoisted.into_iter().map(Ok));
            results.extend([ev.mul(c, c), ev.mul_rescale(c, c), ev.rotate(c, 1), ev.rotate_sum(c, 1), ev.conjugate(c)]);
            results.extend([ev.relinearise(&lazy), ev.relinearise_rescale(&lazy), ev.sum_slots(c, 4, 1)]);
            results.extend([ev.polynomial(c, &square, 1e12), ev.transform(c, &shift), ev.transform_lazy(c, &shift)]);
            let constant = Chebyshev::new(vec![0.5], [-1.0, 1.0]);
            let constant = PolynomialPlan::new(&s.params, constant, 5).expect("a plan");
            results.push(ev.polynomial(c, &constant, 1e12));
        }
        for (i, result) in results.into_iter().enumerate() {
            assert_eq!(result.expect("runs").key_generation(), id, "result {i}");
        }
        for mut out in [Ciphertext::empty(&s.params), x.clone(), mine.clone()] {
            let into: [Into; 5] = [
                |ev, c, out| ev.add_into(c, c, out),
                |ev, c, out| ev.sub_into(c, c, out),
                |ev, c, out| ev.dot_lazy_into(&[(c, c)], out),
                |ev, c, out| ev.rescale_into(c, out),
                |ev, c, out| ev.rotate_into(c, 0, out),
            ];
            for run in into {
                run(ev, c, &mut out).expect("runs");
                assert_eq!(out.key_generation(), id);
            }
            if id == wanted {
                let into: [Into; 3] = [
                    |ev, c, out| ev.mul_into(c, c, out),
                    |ev, c, out| ev.mul_rescale_into(c, c, out),
                    |ev, c, out| ev.rotate_into(c, 1, out),
                ];
                for run in into {
                    out = x.clone();
                    run(ev, c, &mut out).expect("runs");
                    assert_eq!(out.key_generation(), id);
                }
            }
        }
    }
}

/// Two conjugations, and a rotation and its opposite, give back the slots: at the lowest level, a
/// middle one and a high one, for worst-case vectors.
#[test]
fn automorphisms_undone() {
    let (s, mut rng) = (&*SETUP, rng(51));
    let mut single = vec![Complex64::ZERO; 512];
    single[511] = Complex64::new(1.0, -1.0);
    for level in [0, 5, 17] {
        for x in [vec![Complex64::ONE; 512], single.clone(), random(&mut rng, 512), random(&mut rng, 1)] {
            let a = s.encrypt(&x, level, 2f64.powi(40), &mut rng);
            let ev = &s.evaluator;
            let limit = 3.0 * bound(s, a.scale()) + 1e-13;
            let back = ev.conjugate(&ev.conjugate(&a).expect("conjugate")).expect("conjugate");
            assert!(distance(&s.decrypt(&back), &x) <= limit, "conjugated twice at level {level}");
            let back = ev.rotate(&ev.rotate(&a, 1).expect("rotate"), -1).expect("rotate");
            assert!(distance(&s.decrypt(&back), &x) <= limit, "rotated and back at level {level}");
            let mut wanted = x.clone();
            wanted.rotate_left(7 % x.len());
            assert!(distance(&s.decrypt(&ev.rotate(&a, 7).expect("rotate")), &wanted) <= limit, "rotated by 7");
        }
    }
}

/// Operations at N = 2^16, level 12, against plain ones: the slots are zeros but for one large
/// value.
#[test]
fn at_n16() {
    let s = Setup::new("n16", 61, |params| {
        KeyRequests::default().relinearisation(12).rotation(params, -1, 12).conjugation(params, 12)
    });
    let (ev, mut rng, slots) = (&s.evaluator, rng(62), s.params.slots());
    let mut x = vec![Complex64::ZERO; slots];
    x[0] = Complex64::new(1.0, 1.0);
    let a = s.fresh(&x, 12, &mut rng);
    let product = ev.mul_rescale(&a, &a).expect("mul_rescale");
    assert_eq!(product.scale(), s.params.scale(11), "the nominal scale");
    x[0] = Complex64::new(0.0, 2.0);
    // The error of the square is 2·|x|·error, where |x| ≤ √2.
    let limit = 4.0 * bound(&s, product.scale());
    assert!(distance(&s.decrypt(&product), &x) <= limit);
    let turned = ev.conjugate(&ev.rotate(&product, -1).expect("rotate")).expect("conjugate");
    x.swap(0, 1);
    x[1] = x[1].conj();
    assert!(distance(&s.decrypt(&turned), &x) <= limit + 2.0 * bound(&s, product.scale()));
    assert!(ev.rotate(&a, slots as i64).expect("rotate") == a, "rotation by N/2");
}

/// A chain of few small primes in the smallest ring, with shapes that the presets do not have,
/// against plain operations.
#[test]
fn another_chain() {
    let literal = ParametersLiteral {
        name: "test-small".to_owned(),
        log_n: 4,
        q_bits: vec![40, 30, 30, 30],
        p_bits: vec![30, 40],
        secret: SecretDistribution::FixedWeight(5),
        security: Security::Insecure,
    };
    let (params, mut rng) = (Parameters::new(literal).expect("a literal"), rng(71));
    let secret = SecretKey::generate(&params, &mut rng).expect("a secret");
    let requests = KeyRequests::default().relinearisation(3).rotation(&params, 3, 3);
    let keys = secret.evaluation_keys(&requests, &mut rng).expect("keys");
    let (ev, encoder) = (Evaluator::new(&params, std::sync::Arc::new(keys)), Encoder::new(&params));
    let x = random(&mut rng, 8);
    let plain = encoder.encode(&x, 3, params.scale(3)).expect("a plaintext");
    let mut a = secret.encrypt(&plain, &mut rng).expect("a ciphertext");
    let mut wanted = x;
    for _ in 0..3 {
        a = ev.rotate(&ev.mul_rescale(&a, &a).expect("mul_rescale"), 3).expect("rotate");
        wanted = (0..8).map(|j| wanted[(j + 3) % 8] * wanted[(j + 3) % 8]).collect();
    }
    let found = encoder.decode(&secret.decrypt(&a).expect("a plaintext")).expect("values");
    // These are worst cases, not deviations. A fresh error is at most 16·42.5, and rounding errors
    // are at most 16/2·(1 + 5). Three squarings of |x| ≤ √2, √2², √2⁴ multiply the first by
    // 2√2·4·8; the rounding errors grow with the later ones. A switch adds less than its rounding.
    let unit = 1.0 / params.scale(3).min(params.scale(0));
    let limit = unit * (16.0 * 42.5 * 90.6 + 3.0 * 2.0 * 48.0 * 32.0);
    assert!(distance(&found, &wanted) <= limit, "{found:?} {wanted:?}");
    // This chain does not have this level.
    let (s, mut rng) = (&*SETUP, common::rng(72));
    let high = s.fresh(&random(&mut rng, 8), 25, &mut rng);
    for refused in [
        ev.adjust(&high, 24, s.params.scale(24)).map(drop),
        ev.rotate(&high, 3).map(drop),
        ev.rotate_hoisted(&high, &[3]).map(drop),
        ev.mul(&high, &high).map(drop),
    ] {
        assert!(matches!(refused, Err(Error::OtherParameters { .. })), "{refused:?}");
    }
}
