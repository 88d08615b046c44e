//! Tests of softmax: the approximations against the exact function, and ciphertexts against the
//! approximations.

mod common;

use std::sync::Arc;

use common::{params, rng, unit};
use hetal::circuits::activation::plan::{Refresh, depth};
use hetal::circuits::activation::table::{self, CLASSES, RANGES};
use hetal::circuits::activation::{
    Encrypted, Layout, NormaliseSquare, NormaliseSquareConfig, Plain, Published, PublishedConfig, Softmax, SoftmaxPlan,
    Vectors, exact,
};
use hetal::circuits::bootstrap::{InsecureRefresh, Packing};
use hetal::circuits::{BootstrapConfig, BootstrapPlan, Bootstrapper};
use hetal::{Encoder, Error, Evaluator, SecretKey};

/// Returns rows whose entries are all equal, one huge, alternating extremes, all at one end, or all
/// but one equal.
fn worst_rows(classes: usize, range: f64) -> Vec<Vec<f64>> {
    let row = |f: &dyn Fn(usize) -> f64| (0..classes).map(|j| range * f(j)).collect::<Vec<f64>>();
    vec![
        row(&|_| 0.0),
        row(&|_| 1.0),
        row(&|_| -1.0),
        row(&|j| if j == 0 { 1.0 } else { -1.0 }),
        row(&|j| if j == 0 { -1.0 } else { 1.0 }),
        row(&|j| if j % 2 == 0 { 1.0 } else { -1.0 }),
        row(&|j| if j + 1 == classes { 1.0 } else { 0.0 }),
        row(&|j| if j < 2 { 1.0 } else { -1.0 }),
        row(&|j| 1.0 - 0.5 * j as f64 / classes as f64),
    ]
}

fn largest_error(found: &[Vec<f64>], wanted: &[Vec<f64>]) -> f64 {
    let errors = found.iter().flatten().zip(wanted.iter().flatten()).map(|(a, b)| (a - b).abs());
    errors.fold(0.0, |a, b| if b > a || b.is_nan() { b } else { a })
}

fn against_exact(variant: &impl Softmax, rows: &[Vec<f64>]) -> f64 {
    let wanted: Vec<Vec<f64>> = rows.iter().map(|row| exact(row)).collect();
    largest_error(&Plain::softmax(variant, rows).expect("rows"), &wanted)
}

fn ours(classes: usize, range: f64) -> NormaliseSquare {
    NormaliseSquare::new(NormaliseSquareConfig::new(classes, range)).expect("reachable")
}

/// Normalise-and-square stays within its error bound, and within 1e-3, against the exact softmax.
#[test]
fn normalise_and_square_within_its_bound() {
    for classes in [2, 3, 5, 7, 10, 16] {
        for range in RANGES {
            let variant = ours(classes, range);
            let bound = variant.error_bound();
            assert!(bound <= 1e-3, "{classes} {range}: {bound}");
            let worst = against_exact(&variant, &worst_rows(classes, range));
            assert!(worst <= bound, "{classes} {range}: {worst} of {bound}");
            let [random, _] = table::errors(&variant, classes, range, 2000, 5).expect("rows");
            assert!(random <= bound, "{classes} {range}: {random} of {bound}");
        }
    }
}

/// The published depths are not exceeded for an input that is already scaled: 19, 24 and 29 for
/// ranges from 8 to 32. Other inputs take one more level.
#[test]
fn depths() {
    for classes in CLASSES {
        let layout = Layout::strided(512, 10, classes).expect("fits");
        for (range, most) in [(4.0, 15), (8.0, 19), (16.0, 24), (32.0, 29), (128.0, 39)] {
            let config = NormaliseSquareConfig::new(classes, range);
            let scaled = NormaliseSquare::new(NormaliseSquareConfig { scaled: true, ..config }).expect("reachable");
            let found = depth(&scaled, layout).expect("classes");
            assert!(found <= most, "{classes} {range}: {found}");
            assert_eq!(depth(&ours(classes, range), layout).expect("classes"), found + 1);
        }
    }
}

/// With centring, rows far from 0 whose entries are near each other stay within the error bound.
#[test]
fn centring() {
    let (classes, range) = (5, 16.0);
    let config = NormaliseSquareConfig { centre: true, ..NormaliseSquareConfig::new(classes, range) };
    let variant = NormaliseSquare::new(config).expect("reachable");
    // These logits are far from 0 but near each other.
    let rows: Vec<Vec<f64>> = worst_rows(classes, range / 2.0)
        .into_iter()
        .enumerate()
        .map(|(i, row)| row.into_iter().map(|x| x + 40.0 * i as f64 - 100.0).collect())
        .collect();
    let worst = against_exact(&variant, &rows);
    assert!(worst <= variant.error_bound(), "{worst}");
}

/// Sums in every layout are those of the rows, padding becomes exactly 0, and layouts that do not
/// fit are refused.
#[test]
fn layouts() {
    for (classes, stride) in [(3, 1), (3, 4), (3, 16), (10, 1), (10, 4), (2, 32)] {
        let (slots, rows) = (64, if classes == 10 { 3 } else { 13 });
        let layout = Layout::new(slots, rows, classes, stride).expect("fits");
        let plain = Plain::new(layout);
        let x = layout.fill(|row, class| (row * classes + class) as f64, 0.0);
        assert_eq!(x.iter().filter(|x| **x != 0.0).count(), rows * classes - 1);
        let sums = plain.row_sum(&x).expect("sums");
        for row in 0..rows {
            let wanted: f64 = (0..classes).map(|class| (row * classes + class) as f64).sum();
            (0..layout.padded_classes()).for_each(|class| assert_eq!(sums[layout.slot(row, class)], wanted));
        }
        // The padding has any value: only the mask makes it vanish, exactly.
        let x = layout.fill(|row, class| (row + class) as f64 / 8.0, 3.5);
        let out = ours(classes, 4.0).run(&plain, x).expect("runs");
        let padding = layout.fill(|_, _| 0.0, 1.0);
        assert!(out.iter().zip(&padding).all(|(x, p)| *p == 0.0 || *x == 0.0));
    }
    assert!(matches!(Layout::new(48, 1, 3, 1), Err(Error::Slots { .. })));
    for (rows, classes, stride) in [(0, 3, 1), (17, 3, 1), (1, 1, 1), (1, 3, 32), (1, 3, 0), (1, 65, 1)] {
        assert!(
            matches!(Layout::new(64, rows, classes, stride), Err(Error::Range { .. })),
            "{rows} {classes} {stride}"
        );
    }
    assert_eq!(Layout::new(64, 1, 3, 3), Err(Error::PowerOfTwo { what: "stride", value: 3 }));
    assert_eq!(Layout::skewed(64, 1, 3, 12, 4), Err(Error::PowerOfTwo { what: "rows of a unit block", value: 12 }));
    assert_eq!(Error::PowerOfTwo { what: "stride", value: 3 }.to_string(), "stride 3: must be a power of two");
    // There are more classes than powers of two.
    assert!(matches!(Layout::strided(64, 1, usize::MAX), Err(Error::Range { what: "classes", .. })));
}

/// Runs a variant on ciphertexts and on numbers and returns the largest difference, in padding as
/// well.
fn encrypted(variant: &impl Softmax, layout: Layout, rows: &[Vec<f64>], padding: f64) -> f64 {
    let params = params("test-10");
    let mut rng = rng(7);
    let plan =
        SoftmaxPlan::new(&params, variant, layout, 17, 3, Some(Refresh { input: 3, output: 17 })).expect("a plan");
    let secret = SecretKey::generate(&params, &mut rng).expect("a secret");
    let keys = secret.evaluation_keys(plan.requests(), &mut rng).expect("keys");
    let evaluator = Evaluator::new(&params, Arc::new(keys));
    let encoder = Encoder::new(&params);
    let x = layout.fill(|row, class| rows[row][class], padding);
    let plaintext = encoder.encode(&x, 17, params.scale(17)).expect("encodes");
    let ciphertext = secret.encrypt(&plaintext, &mut rng).expect("encrypts");
    let (coefficients, generation) = (secret.coefficients().to_vec().into(), secret.key_generation());
    let copy = SecretKey::from_coefficients(&params, coefficients, generation).expect("a secret");
    let refresh = InsecureRefresh::new(copy, 3, 17, rng).expect("insecure parameters");
    let out = Encrypted::softmax(variant, &plan, &evaluator, Some(&refresh), &ciphertext).expect("runs");
    assert_eq!((out.level(), out.scale()), (plan.output_level(), params.scale(plan.output_level())));
    assert!(out.level() >= 3 && plan.depth() <= 17 - 3 + 14 * plan.bootstraps());
    let found = encoder.decode_real(&secret.decrypt(&out).expect("decrypts")).expect("decodes");
    let wanted = variant.run(&Plain::new(layout), x).expect("runs");
    found.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Normalise-and-square on ciphertexts against the same approximation on numbers.
#[test]
fn encrypted_ours() {
    let mut rng = rng(3);
    for (classes, range, stride) in [(3, 8.0, 128), (2, 4.0, 256), (10, 32.0, 32), (5, 8.0, 1), (7, 128.0, 64)] {
        let mut rows = worst_rows(classes, range);
        rows.extend((0..10).map(|_| (0..classes).map(|_| range * unit(&mut rng)).collect()));
        let layout = Layout::new(512, rows.len(), classes, stride).expect("fits");
        let error = encrypted(&ours(classes, range), layout, &rows, 0.25);
        assert!(error < 1e-4, "{classes} classes, {range}: {error}");
    }
}

/// Normalise-and-square with real bootstrapping against the same approximation on numbers. The
/// largest error of bootstrapping is 2^−18 in slots up to 1. It is multiplied by 4, since Σ y² is
/// up to 2 and a little, and by a few for the step that follows.
#[test]
fn bootstrapped() {
    let (params, mut rng) = (params("test-10"), rng(8));
    let (classes, range) = (3, 8.0);
    let variant = ours(classes, range);
    let mut rows = worst_rows(classes, range);
    rows.extend((0..100).map(|_| (0..classes).map(|_| range * unit(&mut rng)).collect()));
    let layout = Layout::strided(512, rows.len(), classes).expect("fits");
    let bootstrap = BootstrapPlan::new(&params, BootstrapConfig::fast(9, Packing::Real)).expect("a plan");
    let refresh = Refresh { input: bootstrap.input_level(), output: bootstrap.output_level() };
    let plan = SoftmaxPlan::new(&params, &variant, layout, 17, 3, Some(refresh)).expect("a plan");
    let mut requests = plan.requests().clone();
    requests.extend(&bootstrap.requests());
    let secret = SecretKey::generate(&params, &mut rng).expect("a secret");
    let keys = secret.evaluation_keys(&requests, &mut rng).expect("keys");
    let capsule = secret.encapsulation_keys(&mut rng).expect("keys");
    let bootstrapper = Bootstrapper::new(bootstrap, Arc::new(capsule)).expect("diagonals");
    assert_eq!(Refresh::of(&bootstrapper), refresh);
    let (evaluator, encoder) = (Evaluator::new(&params, Arc::new(keys)), Encoder::new(&params));
    let x = layout.fill(|row, class| rows[row][class], 0.0);
    let plaintext = encoder.encode(&x, 17, params.scale(17)).expect("encodes");
    let ciphertext = secret.encrypt(&plaintext, &mut rng).expect("encrypts");
    let out = Encrypted::softmax(&variant, &plan, &evaluator, Some(&bootstrapper), &ciphertext).expect("runs");
    let found = encoder.decode_real(&secret.decrypt(&out).expect("decrypts")).expect("decodes");
    let wanted = variant.run(&Plain::new(layout), x).expect("runs");
    let error = found.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(plan.bootstraps() == 1 && error < 2e-4, "{} bootstraps, {error}", plan.bootstraps());
}

fn paper(classes: usize, range: f64, precise: bool) -> Published {
    Published::new(PublishedConfig { classes, range, precise, scaled: false }).expect("in range")
}

/// The depths are the published ones at R = 128. The largest and mean errors are at most those of
/// independent simulations of the same approximations, whose samples for a range are taken from
/// that range and all smaller ones.
#[test]
fn the_paper() {
    for (classes, levels, normal, precise) in [
        (3, 56, [0.0037, 0.0015], [0.0022, 0.0006]),
        (5, 66, [0.0070, 0.0028], [0.0043, 0.0010]),
        (7, 66, [0.0082, 0.0031], [0.0062, 0.0013]),
        (10, 76, [0.0150, 0.0046], [0.0085, 0.0016]),
    ] {
        let layout = Layout::strided(512, 10, classes).expect("fits");
        assert_eq!(depth(&paper(classes, 128.0, false), layout).expect("classes"), levels);
        assert_eq!(depth(&paper(classes, 128.0, true), layout).expect("classes"), levels + 3);
        for ([largest, mean], precisely) in [(normal, false), (precise, true)] {
            // The simulations used the parameters of R = 128 throughout.
            let variant = paper(classes, 128.0, precisely);
            let errors = RANGES.map(|range| table::errors(&variant, classes, range, 4000, 9).expect("rows"));
            for i in 1..=errors.len() {
                let found = [
                    errors[..i].iter().map(|error| error[0]).fold(0.0, f64::max),
                    errors[..i].iter().map(|error| error[1]).sum::<f64>() / i as f64,
                ];
                // The figures have four decimals.
                let within = found[0] <= largest + 5e-5 && found[1] <= mean + 5e-5;
                assert!(within, "{classes} {} {precisely}: {found:?} {largest} {mean}", RANGES[i - 1]);
            }
        }
    }
}

/// The published softmax with extensions satisfies Theorem 1, for random rows and for rows whose
/// entries are so near each other that the approximate maximum is worst.
#[test]
fn the_extended_softmax_stays_within_its_bound() {
    let mut rng = rng(11);
    for (classes, range) in [(2, 32.0), (3, 4.0), (3, 32.0), (4, 8.0), (5, 16.0), (10, 32.0)] {
        for precise in [false, true] {
            let variant = paper(classes, range, precise);
            let bound = variant.beta() + variant.base_error();
            let mut rows = worst_rows(classes, range);
            rows.extend((0..500).map(|_| (0..classes).map(|_| range * unit(&mut rng)).collect()));
            rows.extend((0..500).map(|i| {
                let width = range * f64::from(i) / 500.0;
                (0..classes).map(|_| range - width * (1.0 + unit(&mut rng)) / 2.0).collect()
            }));
            let worst = against_exact(&variant, &rows);
            assert!(worst < bound, "{classes} {range} {precise}: {worst} of {bound}");
        }
    }
}

/// The published softmax on ciphertexts against the same approximation on numbers.
#[test]
fn encrypted_paper() {
    let mut rng = rng(4);
    for (classes, range, stride, precise) in [(3, 8.0, 128, false), (5, 16.0, 1, true)] {
        let mut rows = worst_rows(classes, range);
        rows.extend((0..10).map(|_| (0..classes).map(|_| range * unit(&mut rng)).collect()));
        let layout = Layout::new(512, rows.len(), classes, stride).expect("fits");
        let error = encrypted(&paper(classes, range, precise), layout, &rows, 0.25);
        assert!(error < 1e-4, "{classes} classes, {range}: {error}");
    }
}

/// Plans with and without bootstrapping, and settings that are refused with advice that works.
#[test]
fn plans_and_refusals() {
    let params = params("test-10");
    let variant = ours(3, 8.0);
    let layout = Layout::strided(512, 5, 3).expect("fits");
    let plan = |level, refresh| SoftmaxPlan::new(&params, &variant, layout, level, 3, refresh);
    // All levels are used at once, including those of bootstrapping.
    let deep = plan(29, None).expect("a plan");
    assert_eq!((deep.bootstraps(), deep.output_level()), (0, 29 - deep.depth()));
    assert!(matches!(plan(17, None), Err(Error::NoLevelsLeft { .. })));
    let refresh = Refresh { input: 3, output: 17 };
    assert_eq!(plan(17, Some(refresh)).expect("a plan").bootstraps(), 1);
    // Here, a bootstrapping is needed before the first step.
    assert!(plan(4, Some(refresh)).expect("a plan").bootstraps() >= 1);
    assert!(matches!(plan(17, Some(Refresh { input: 3, output: 5 })), Err(Error::NoLevelsLeft { .. })));
    assert!(matches!(plan(40, None), Err(Error::Level { .. })));
    assert!(matches!(plan(17, Some(Refresh { input: 3, output: 30 })), Err(Error::Level { level: 30, max: 29 })));
    let other = Layout::strided(512, 5, 4).expect("fits");
    assert!(matches!(depth(&variant, other), Err(Error::Count { found: 4, wanted: 3, .. })));
    let config = NormaliseSquareConfig::new(3, 8.0);
    for config in [
        NormaliseSquareConfig { classes: 1, ..config },
        NormaliseSquareConfig { range: 1e6, ..config },
        NormaliseSquareConfig { error: 0.0, ..config },
    ] {
        assert!(matches!(NormaliseSquare::new(config), Err(Error::Range { .. })), "{config:?}");
    }
    let refused = |config| NormaliseSquare::new(config).unwrap_err();
    let both = refused(NormaliseSquareConfig { centre: true, scaled: true, ..config });
    assert!(matches!(both, Error::Conflict { .. }), "{both}");
    assert_eq!(both.to_string(), "centring and inputs that are scaled already exclude each other: choose one of them");
    // The error that is named can be reached.
    let wide = NormaliseSquareConfig { range: 32.0, ..NormaliseSquareConfig::new(128, 32.0) };
    let Error::SoftmaxError { classes: 128, range: 32.0, error: 1e-3, reachable: Some(error) } = refused(wide) else {
        panic!("{}", refused(wide))
    };
    assert!((1e-3..=0.1).contains(&error), "{error}");
    assert!(NormaliseSquare::new(NormaliseSquareConfig { error, ..wide }).expect("reached").error_bound() <= error);
    let none = refused(NormaliseSquareConfig { range: 1024.0, ..NormaliseSquareConfig::new(1024, 1024.0) });
    assert!(none.to_string().ends_with("use fewer classes or a smaller logit_range"), "{none}");
    let config = PublishedConfig { classes: 3, range: 8.0, precise: false, scaled: false };
    for config in [PublishedConfig { classes: 17, ..config }, PublishedConfig { range: 1e6, ..config }] {
        assert!(matches!(Published::new(config), Err(Error::Range { .. })), "{config:?}");
    }
}

/// Normalise-and-square has the smallest error for every number of classes and range, and takes
/// fewer levels and fewer bootstraps than the published method.
#[test]
fn the_table() {
    let rows = table::table(2000).expect("reachable");
    // Three variants exist everywhere. Of the other rivals there are three up to R = 4, two up to 8
    // and one up to 32.
    assert_eq!(rows.len(), CLASSES.len() * (3 * RANGES.len() + 3 + 2 + 1));
    for cell in rows.chunk_by(|a, b| (a.classes, a.range) == (b.classes, b.range)) {
        let [ours, others @ ..] = cell else { unreachable!("chunks are not empty") };
        assert!(ours.max_error <= 1e-3, "{ours:?}");
        for other in others {
            assert!(ours.max_error < other.max_error, "{ours:?} {other:?}");
            let cheaper = ours.depth < other.depth && ours.bootstraps < other.bootstraps;
            assert!(cheaper || !other.variant.starts_with("paper"), "{ours:?} {other:?}");
        }
    }
}
