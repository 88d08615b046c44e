//! Tests of parameters: refusals, the choice of primes and scales, hashes, and the shapes of keys.

mod common;

use common::*;
use hetal::ckks::params::{SecretDistribution, Security, max_log_qp, preset};
use hetal::kernel::primes::is_prime;
use hetal::{Error, Parameters, ParametersLiteral};

fn literal(log_n: u32, q_bits: &[u32], p_bits: &[u32]) -> ParametersLiteral {
    ParametersLiteral {
        name: "test-literal".to_owned(),
        log_n,
        q_bits: q_bits.to_vec(),
        p_bits: p_bits.to_vec(),
        secret: SecretDistribution::Ternary,
        security: Security::Insecure,
    }
}

fn with(change: impl FnOnce(&mut ParametersLiteral)) -> ParametersLiteral {
    let mut literal = literal(10, &[50, 40, 40], &[50, 50]);
    change(&mut literal);
    literal
}

/// Literals that are not possible are refused, and the error has the value and the bound.
#[test]
fn refusals_name_the_value() {
    let cases: Vec<(ParametersLiteral, &[&str])> = vec![
        (with(|l| l.log_n = 3), &["log_n = 3", "4 to 17"]),
        (with(|l| l.log_n = 18), &["log_n = 18", "4 to 17"]),
        (with(|l| l.log_n = u32::MAX), &["log_n = 4294967295"]),
        (with(|l| l.q_bits.clear()), &["0 ciphertext primes", "from 2 to 64"]),
        (with(|l| l.q_bits = vec![50]), &["1 ciphertext primes", "from 2 to 64"]),
        (with(|l| l.q_bits = vec![50; 65]), &["65 ciphertext primes"]),
        (with(|l| l.p_bits.clear()), &["0 special primes", "from 1 to 64"]),
        (with(|l| l.p_bits = vec![50; 65]), &["65 special primes"]),
        (with(|l| l.q_bits[1] = 24), &["ciphertext prime 1 of 24 bits", "from 25 to 50"]),
        (with(|l| l.q_bits[2] = 51), &["ciphertext prime 2 of 51 bits"]),
        (with(|l| l.q_bits[0] = 0), &["ciphertext prime 0 of 0 bits"]),
        (with(|l| l.p_bits[1] = 51), &["special prime 1 of 51 bits"]),
        (with(|l| l.p_bits[0] = 24), &["special prime 0 of 24 bits"]),
        (with(|l| l.p_bits = vec![49]), &["special primes of 49 bits in all", "50 bits", "add one"]),
        (with(|l| l.name = "mine".to_owned()), &["mine", "begin with test- or insecure-"]),
        (with(|l| l.name = "Test-mine".to_owned()), &["Test-mine", "begin with test- or insecure-"]),
        (with(|l| l.name = String::new()), &["begin with test- or insecure-"]),
        (with(|l| l.secret = SecretDistribution::FixedWeight(0)), &["weight 0", "from 1 to 1024"]),
        (with(|l| l.secret = SecretDistribution::FixedWeight(1025)), &["weight 1025", "from 1 to 1024"]),
        (
            with(|l| (l.secret, l.security) = (SecretDistribution::FixedWeight(64), Security::Bits128)),
            &["weight 64", "128-bit security"],
        ),
    ];
    for (literal, wanted) in cases {
        let error = Parameters::new(literal.clone()).expect_err("must be refused");
        assert!(matches!(&error, Error::Parameters { name, .. } if *name == literal.name), "{error:?}");
        let text = error.to_string();
        assert!(wanted.iter().all(|part| text.contains(part)), "{text}: without {wanted:?}");
    }
    // The bounds themselves are accepted.
    for weight in [1, 1024] {
        Parameters::new(with(|l| l.secret = SecretDistribution::FixedWeight(weight))).expect("a weight up to N");
    }
    Parameters::new(with(|l| l.name = "insecure-mine".to_owned())).expect("an insecure name");
    Parameters::new(literal(4, &[25, 50], &[25, 25])).expect("the smallest ring and primes");
    let error = Parameters::preset("test-12").expect_err("no such preset");
    assert!(error.to_string().contains("\"test-12\"") && error.to_string().contains("n16-light"), "{error}");
}

/// A product Q·P just below the security bound is accepted, and one bit more in one prime is not:
/// for the degrees 2^12 to 2^14, which have an entry and take primes.
#[test]
fn the_security_bound() {
    for log_n in 12..=14 {
        let bound = max_log_qp(log_n).expect("an entry");
        // Primes near 2^b have b bits to within 2^-10. Hence sizes that add up to the bound less 1
        // are below it, and to the bound plus 1 above.
        let sizes = |sum: u32| {
            let count = sum.div_ceil(50);
            (0..count).map(|i| sum / count + u32::from(i < sum % count)).collect::<Vec<_>>()
        };
        let make = |sum: u32| {
            let mut q = sizes(sum);
            q.sort_unstable();
            let p = q.pop().expect("a size");
            let literal = with(|l| {
                (l.log_n, l.q_bits, l.p_bits) = (log_n, q, vec![p]);
                (l.name, l.security) = ("mine".to_owned(), Security::Bits128);
            });
            Parameters::new(literal)
        };
        let params = make(bound - 1).expect("below the bound");
        assert!(params.log_qp() <= f64::from(bound) && params.log_qp() > f64::from(bound) - 1.1, "{}", params.log_qp());
        assert!(!params.is_insecure());
        let error = make(bound + 1).expect_err("above the bound");
        let Error::Insecure { name, log_n: found, log_qp, bound: limit, weight: None } = &error else {
            panic!("{error:?}")
        };
        assert_eq!((name.as_str(), *found, *limit), ("mine", log_n, bound));
        assert!(*log_qp > f64::from(bound) && *log_qp < f64::from(bound) + 1.1);
        let text = error.to_string();
        assert!(text.contains(&format!("2^{log_n}")) && text.contains(&format!("{bound} bits")), "{text}");
        assert!(text.contains(&format!("{log_qp:.1}")), "{text}");
    }
    // Degrees without an entry have no secure parameters.
    assert_eq!((max_log_qp(9), max_log_qp(18)), (None, None));
    let small = with(|l| (l.log_n, l.name, l.security) = (9, "mine".to_owned(), Security::Bits128));
    assert!(matches!(Parameters::new(small), Err(Error::Insecure { bound: 0, .. })));
}

/// Checks the primes of a literal: they are distinct, prime and 1 modulo 2N, special primes are
/// taken first, and for no q_l a free candidate is nearer to the target.
fn check_chain(params: &Parameters) {
    let (literal, top) = (params.literal(), params.max_level());
    let primes: Vec<u64> = params.qp().moduli().iter().map(|q| q.value()).collect();
    assert_eq!(primes.len(), literal.q_bits.len() + literal.p_bits.len());
    let step = 2u64 << params.log_n();
    for (i, &q) in primes.iter().enumerate() {
        assert!(is_prime(q) && q % step == 1 && q < 1 << 50, "{q}");
        assert!(!primes[..i].contains(&q), "{q} occurs twice");
    }
    let bits: Vec<u32> = literal.q_bits.iter().chain(&literal.p_bits).copied().collect();
    // They were taken in this order: special ones, then from the top, q_0 last.
    let order: Vec<usize> = (top + 1..primes.len()).chain((1..=top).rev()).chain([0]).collect();
    let mut taken = Vec::new();
    for i in order {
        let nominal = f64::from(bits[i]).exp2();
        let scale = if i == 0 || i > top { nominal } else { params.scale(i) };
        let target = scale * (scale / nominal);
        let distance = (primes[i] as f64 - target).abs();
        // Candidates in the open interval around the target.
        let first = (target - distance).max(1.0) as u64 / step * step + 1;
        for candidate in (first..).step_by(step as usize).take_while(|&c| (c as f64) < target + distance) {
            let nearer = (candidate as f64 - target).abs() < distance && candidate < 1 << 50;
            assert!(!nearer || taken.contains(&candidate) || !is_prime(candidate), "{candidate} is nearer than {i}");
        }
        taken.push(primes[i]);
        if i > top || i == 0 {
            continue;
        }
        // Primes that are 1 modulo 2N lie N·ln(2^b) apart on average. At most all the others are
        // taken, on either side, and where there are this many, a gap is rarely above three times
        // the mean. No prime is above 2^50: there the deviation doubles with every level of a run.
        let gap = f64::from(bits[i]) * std::f64::consts::LN_2 * params.n() as f64;
        let run = (i + 1..=top).take_while(|&l| bits[l] == bits[i]).count() as f64;
        let doubled = if bits[i] == 50 { run.exp2() } else { 1.0 };
        let deviation = 3.0 * primes.len() as f64 * gap / nominal * doubled;
        assert!((scale / nominal - 1.0).abs() <= deviation, "scale {scale} at level {i}: off by more than {deviation}");
        if i == top || bits[i + 1] != bits[i] {
            assert_eq!(scale, nominal, "the top of a run");
        }
        if i == 1 || bits[i - 1] == bits[i] {
            assert_eq!(params.scale(i - 1), scale * (scale / primes[i] as f64), "the recurrence at level {i}");
            let exact = scale * scale / primes[i] as f64;
            assert!((params.scale(i - 1) - exact).abs() <= exact * f64::EPSILON);
        }
    }
}

/// The primes and scales of the presets and of other chains, by their definition.
#[test]
fn primes_and_scales() {
    for name in preset::NAMES {
        if name.starts_with("test-") {
            check_chain(&params(name));
        }
    }
    check_chain(&params("n16"));
    check_chain(&Parameters::new(literal(4, &[25, 50, 30, 30, 25], &[25, 25])).expect("a literal"));
    check_chain(&Parameters::new(literal(13, &[45, 45, 45, 30, 30], &[45, 46])).expect("a literal"));
}

/// The numbers of bits, levels and primes of the presets.
#[test]
fn sizes_of_the_presets() {
    // These are the sums of the sizes. Primes deviate from the powers of two by less than 2^-14
    // each at N = 2^16.
    for (name, log_n, q, p) in [("n16", 16, 50 + 17 * 40 + 12 * 50, 400), ("test-10", 10, 50 + 17 * 40 + 12 * 50, 400)]
    {
        let params = params(name);
        assert_eq!((params.log_n(), params.n(), params.slots()), (log_n, 1 << log_n, 1 << (log_n - 1)));
        assert!((params.log_qp() - f64::from(q + p)).abs() < 38.0 / 16384.0, "{}", params.log_qp());
        assert!((params.log_q(params.max_level()) - f64::from(q)).abs() < 38.0 / 16384.0);
        assert!((params.log_q(0) - 50.0).abs() < 1e-3);
        assert_eq!((params.max_level(), params.special()), (29, 8));
        assert_eq!(params.is_insecure(), name != "n16");
    }
    let n16 = params("n16");
    assert!(n16.log_qp() <= f64::from(max_log_qp(16).expect("an entry")));
    let light = preset::by_name("n16-light").expect("a preset");
    let sum: u32 = light.q_bits.iter().chain(&light.p_bits).sum();
    assert!(sum < 1747 && light.security == Security::Bits128);
    assert_eq!((light.q_bits.len(), light.p_bits.len()), (27, 10));
}

/// Hashes of the presets never change, and literals that differ in more than the name differ in
/// their hash.
#[test]
fn hashes() {
    // Stored objects name their parameters by these hashes, so that they must never change.
    for (name, wanted) in HASHES {
        assert_eq!(params(name).hash().to_string(), wanted, "{name}");
    }
    let base = with(|_| ());
    let hash = |literal: ParametersLiteral| Parameters::new(literal).expect("a literal").hash();
    assert_eq!(hash(base.clone()), hash(with(|l| l.name = "test-other".to_owned())), "the name does not count");
    let changed = [
        with(|l| l.log_n = 11),
        with(|l| l.q_bits = vec![50, 40, 41]),
        with(|l| l.q_bits = vec![50, 40]),
        with(|l| l.q_bits = vec![50, 40, 40, 40]),
        with(|l| l.p_bits = vec![50]),
        with(|l| l.p_bits = vec![50, 49]),
        with(|l| l.p_bits = vec![50, 50, 50]),
        // The same primes, divided differently into ciphertext and special ones.
        with(|l| (l.q_bits, l.p_bits) = (vec![50, 40, 40, 50], vec![50])),
        with(|l| l.secret = SecretDistribution::FixedWeight(1)),
        with(|l| l.secret = SecretDistribution::FixedWeight(64)),
        literal(14, &[50, 40, 40], &[50, 50]),
        ParametersLiteral { security: Security::Bits128, ..literal(14, &[50, 40, 40], &[50, 50]) },
    ];
    let mut hashes: Vec<_> = changed.into_iter().map(|literal| hash(literal).0).collect();
    hashes.push(hash(base).0);
    let count = hashes.len();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), count, "two literals with one hash");
}

/// Where a size has too few primes, those taken, and the scales, drift away from it, at last beyond
/// all numbers. Such a literal is refused, with the place where this begins, before a key is made.
#[test]
fn sizes_with_too_few_primes() {
    for (log_n, q, p, texts) in [
        // No prime is above 2^50: the deviation of the scale doubles with every level.
        (10, vec![50; 64], vec![50], ["the scale at level", "of 50 bits", "N = 2^10"]),
        (16, vec![50; 40], vec![50], ["the scale at level", "of 50 bits", "N = 2^16"]),
        // There are 2^25/(25·ln 2·2^17) = 15 primes of 25 bits, some of them half a bit away.
        (17, vec![25; 20], vec![50; 8], ["ciphertext prime", "of 25 bits", "N = 2^17"]),
        (17, vec![50, 40], vec![25; 8], ["special prime", "of 25 bits", "N = 2^17"]),
    ] {
        let error = Parameters::new(literal(log_n, &q, &p)).expect_err("too few primes");
        let text = error.to_string();
        assert!(texts.iter().all(|part| text.contains(part)), "{text}");
        assert!(matches!(error, Error::Parameters { .. }), "{error:?}");
    }
}

/// Checks that a key for every level of `params` can be made, and that P is at least as large as
/// each digit (less the 2 bits that the kernel tolerates where primes of one size lie around a
/// power of two).
fn check_gadgets(params: &Parameters) {
    for level in 0..=params.max_level() {
        let shape = params.gadget_shape(level);
        assert!((1..=params.special()).contains(&shape.special) && (1..=level + 1).contains(&shape.alpha));
        let log = |i: usize| params.qp().modulus(i).as_f64().log2();
        let p: f64 = (0..shape.special).map(|i| log(params.max_level() + 1 + i)).sum();
        for from in (0..=level).step_by(shape.alpha) {
            let digit: f64 = (from..(from + shape.alpha).min(level + 1)).map(log).sum();
            assert!(digit <= p + 1e-3, "level {level}: a digit of {digit} bits, P of {p} bits");
        }
        let gadget = params.gadget(level).unwrap_or_else(|e| panic!("{:?} at level {level}: {e}", params.literal()));
        assert_eq!((gadget.special(), gadget.alpha(), gadget.q().len()), (shape.special, shape.alpha, level + 1));
    }
    let max = params.max_level();
    assert_eq!(params.gadget(max + 1).map(|_| ()), Err(Error::Level { level: max + 1, max }));
    assert_eq!(params.basis(max + 1, 0).map(|_| ()), Err(Error::Level { level: max + 1, max }));
}

/// Keys for all levels fit, in the presets and in other chains.
#[test]
fn gadgets_fit_at_all_levels() {
    check_gadgets(&params("test-10"));
    check_gadgets(&params("test-13"));
    for (log_n, q, p) in [
        (10, vec![50, 40, 40], vec![50, 50]),
        (10, vec![40; 20], vec![40; 4]),
        (13, vec![45; 12], vec![45; 3]),
        (11, vec![50; 8], vec![25, 25]),
        (10, [vec![50], vec![30; 10], vec![50; 5]].concat(), vec![50, 40, 30]),
        (4, vec![25; 64], vec![50; 8]),
        (10, vec![50; 24], vec![50]),
        (17, [vec![50], vec![40; 20]].concat(), vec![50; 6]),
    ] {
        check_gadgets(&Parameters::new(literal(log_n, &q, &p)).expect("a literal"));
    }
}
