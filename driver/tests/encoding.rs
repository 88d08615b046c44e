//! Tests of encoding and decoding: against the definition of the embedding, rounding errors at all
//! scales, and refusals.

mod common;

use std::f64::consts::PI;

use common::*;
use hetal::base::fft::SpecialFft;
use hetal::ckks::encoding::Encoder;
use hetal::{Ciphertext, Complex64, Error, Evaluator, Plaintext};
use num_bigint::BigUint;
use proptest::prelude::*;

/// Returns the error that double precision may cause in values up to `largest`: by transforms,
/// naive or fast, of up to 2^16 terms.
fn floor(largest: f64) -> f64 {
    largest * 2f64.powi(-46)
}

/// Returns exp(πik/2n) for k < 4n.
fn roots(slots: usize) -> Vec<Complex64> {
    (0..4 * slots).map(|k| Complex64::from_polar(1.0, 2.0 * PI * k as f64 / (4 * slots) as f64)).collect()
}

/// Returns the exponents 5^j of the roots at which the slots are values.
fn exponents(slots: usize) -> Vec<usize> {
    std::iter::successors(Some(1), |power| Some(power * 5 % (4 * slots))).take(slots).collect()
}

/// Returns the values at the slots of a polynomial with 2n real coefficients, by the definition.
fn naive_slots(coefficients: &[f64]) -> Vec<Complex64> {
    let slots = coefficients.len() / 2;
    let roots = roots(slots);
    let value = |e: usize| coefficients.iter().enumerate().map(|(k, &c)| roots[k * e % (4 * slots)] * c).sum();
    exponents(slots).into_iter().map(value).collect()
}

/// Returns the 2n real coefficients with these slots: m_k = 1/n·Re Σ_j z_j·ζ^(−k·5^j), since the
/// other n roots have the conjugate values.
fn naive_coefficients(values: &[Complex64]) -> Vec<f64> {
    let slots = values.len();
    let (roots, exponents) = (roots(slots), exponents(slots));
    let at = |k: usize| -> f64 {
        values.iter().zip(&exponents).map(|(z, e)| (z * roots[k * e % (4 * slots)].conj()).re).sum()
    };
    (0..2 * slots).map(|k| at(k) / slots as f64).collect()
}

/// Returns random and worst-case vectors with parts up to 1.
fn vectors(slots: usize) -> Vec<Vec<Complex64>> {
    let mut rng = rng(slots as u64);
    let mut single = vec![Complex64::ZERO; slots];
    single[slots - 1] = Complex64::new(-1.0, 1.0);
    let alternating = (0..slots).map(|j| Complex64::new(if j % 2 == 0 { 1.0 } else { -1.0 }, 0.0)).collect();
    vec![
        random(&mut rng, slots),
        random(&mut rng, slots).into_iter().map(|z| z.re.into()).collect(),
        vec![Complex64::ONE; slots],
        vec![Complex64::new(-1.0, 1.0); slots],
        vec![Complex64::ZERO; slots],
        single,
        alternating,
    ]
}

/// The fast transforms give the slots and coefficients of the definition.
#[test]
fn the_embedding_by_its_definition() {
    for log_slots in [0, 1, 2, 3, 6, 9] {
        let slots = 1 << log_slots;
        let fft = SpecialFft::new(log_slots);
        for z in vectors(slots) {
            let coefficients = naive_coefficients(&z);
            assert!(distance(&naive_slots(&coefficients), &z) <= floor(2.0), "the oracles undo each other");
            let [mut re, mut im] = [0, slots].map(|at| coefficients[at..at + slots].to_vec());
            fft.to_slots(&mut re, &mut im);
            let found: Vec<_> = re.iter().zip(&im).map(|(&re, &im)| Complex64::new(re, im)).collect();
            assert!(distance(&found, &z) <= floor(2.0), "to {slots} slots");
            fft.to_coefficients(&mut re, &mut im);
            let off = re.iter().chain(&im).zip(&coefficients).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(off <= floor(2.0), "to the coefficients of {slots} slots");
        }
    }
}

/// Coefficients that are rounded here and evaluated by the definition give the values of encoding
/// and decoding. At a scale of 2^20, one coefficient rounded otherwise would make a difference of
/// 2^-20.
#[test]
fn encoding_by_its_definition() {
    let encoder = Encoder::new(&params("test-10"));
    for slots in [1, 2, 8, 64, 512] {
        for z in vectors(slots) {
            for scale in [2f64.powi(20), 1e6 + 0.5] {
                let rounded: Vec<f64> =
                    naive_coefficients(&z).into_iter().map(|c| (c * scale).round_ties_even() / scale).collect();
                let plaintext = encoder.encode(&z, 3, scale).expect("values that fit");
                assert_eq!((plaintext.level(), plaintext.scale(), plaintext.slots()), (3, scale, slots));
                let found = encoder.decode(&plaintext).expect("values");
                assert!(distance(&found, &naive_slots(&rounded)) <= floor(2.0), "{slots} slots");
            }
        }
    }
}

/// The rounding error of a slot is at most n/Δ, half a unit for each of 2n coefficients. The mean
/// square of random ones is 2n/12/Δ² (Parseval), with a standard deviation of 2n·√((1/80 −
/// 1/144)/2n), of which 8 are allowed.
#[test]
fn rounding_errors() {
    for (name, slots) in [("test-10", 1), ("test-10", 16), ("test-10", 512), ("test-13", 4096)] {
        let encoder = Encoder::new(&params(name));
        for (level, bits) in [(0, 20), (0, 40), (1, 45), (1, 53), (1, 60), (2, 90), (29, 20), (29, 90)] {
            let scale = f64::from(bits).exp2();
            for (i, z) in vectors(slots).into_iter().enumerate() {
                let plaintext = encoder.encode(&z, level, scale).expect("values that fit");
                let found = encoder.decode(&plaintext).expect("values");
                let limit = slots as f64 / scale + floor(2.0);
                assert!(distance(&found, &z) <= limit, "{slots} slots at 2^{bits}, vector {i}");
                if i == 0 && bits <= 40 && slots >= 16 {
                    let square: f64 = found.iter().zip(&z).map(|(a, b)| (a - b).norm_sqr()).sum::<f64>() / slots as f64;
                    let (m, found) = (2.0 * slots as f64, square * scale * scale);
                    let deviation = 8.0 * (m * (1.0 / 80.0 - 1.0 / 144.0)).sqrt();
                    assert!(
                        (found - m / 12.0).abs() <= deviation,
                        "{slots} slots at 2^{bits}: {found} for {}",
                        m / 12.0
                    );
                }
            }
        }
    }
}

/// Decoded values are those of the same integers and do not depend on the level, and powers of two
/// are exact.
#[test]
fn large_coefficients_at_many_limbs() {
    let encoder = Encoder::new(&params("test-10"));
    let z = random(&mut rng(3), 512);
    for bits in [40, 52, 53, 54, 60, 88] {
        let scale = f64::from(bits).exp2();
        let coefficients = encoder.coefficients(&z, scale).expect("finite values");
        let decode = |plaintext: &Plaintext| encoder.decode(plaintext).expect("values");
        let wanted = decode(&encoder.encode(&z, 2, scale).expect("values that fit"));
        for level in [2, 3, 7, 16, 29] {
            let plaintext = encoder.expand(&coefficients, level).expect("values that fit");
            assert!(plaintext == encoder.encode(&z, level, scale).expect("values that fit"), "expand is encode");
            assert!(decode(&plaintext) == wanted, "2^{bits} at level {level}");
        }
        let one = encoder.encode(&[Complex64::new(1.0, -1.0)], 2, scale).expect("a constant");
        assert_eq!(decode(&one), [Complex64::new(1.0, -1.0)]);
    }
    // This is far above any integer type: 3·2^700 at 20 limbs.
    let huge = encoder.encode(&[3.0], 19, 2f64.powi(700)).expect("a constant");
    assert_eq!(encoder.decode(&huge).expect("values"), [Complex64::new(3.0, 0.0)]);
}

/// Returns the polynomial of a plaintext in the dense ring, as the first part of a ciphertext. It
/// can be compared bit for bit.
fn polynomial(base: &Ciphertext, plaintext: &Plaintext) -> Ciphertext {
    Evaluator::without_keys(&params("test-10")).add_plain(base, plaintext).expect("equal scales")
}

/// A vector of few slots is encoded as its repetition, bit for bit.
#[test]
fn few_slots_are_repeated() {
    let s = Setup::new("test-10", 5, |_| Default::default());
    let (mut rng, scale) = (rng(6), 2f64.powi(30));
    for level in [0, 3, 29] {
        let base = s.encrypt(&[Complex64::ZERO; 512], level, scale, &mut rng);
        for log_slots in 0..9 {
            let z = random(&mut rng, 1 << log_slots);
            let few = s.encoder.encode(&z, level, scale).expect("values that fit");
            let all = s.encoder.encode(&repeated(&z, 512), level, scale).expect("values that fit");
            assert!(polynomial(&base, &few) == polynomial(&base, &all), "2^{log_slots} slots at level {level}");
        }
    }
}

/// Real slots are encoded as complex ones, and constants and multiplication by i agree with
/// encodings, bit for bit.
#[test]
fn real_values_and_constants() {
    let params = params("test-10");
    let (encoder, ev, mut rng) = (Encoder::new(&params), Evaluator::without_keys(&params), rng(7));
    let scale = 2f64.powi(30);
    let real: Vec<f64> = (0..512).map(|_| unit(&mut rng)).collect();
    let complex: Vec<Complex64> = real.iter().map(|&x| x.into()).collect();
    let plaintext = encoder.encode(&real, 3, scale).expect("values that fit");
    assert!(plaintext == encoder.encode(&complex, 3, scale).expect("values that fit"), "f64 slots are complex ones");
    let decoded = encoder.decode(&plaintext).expect("values");
    let parts: Vec<f64> = decoded.iter().map(|z| z.re).collect();
    assert_eq!(encoder.decode_real(&plaintext).expect("values"), parts);
    // The coefficients of a real vector are antisymmetric, m_k = −m_(N−k), and so are the rounded
    // ones: it stays real.
    assert!(decoded.iter().all(|z| z.im.abs() <= floor(1.0)), "real values stay real");

    let mut empty = Ciphertext::empty(&params);
    empty.set_scale(scale).expect("a scale");
    for c in [Complex64::ONE, Complex64::I, Complex64::new(-0.3, 0.7), Complex64::ZERO] {
        let one = encoder.encode(&[c], 0, scale).expect("a constant");
        let wanted = ev.add_plain(&empty, &one).expect("add_plain");
        assert!(ev.add_constant(&empty, c).expect("add_constant") == wanted, "the constant {c}");
    }
    // X^(N/2) is i in every slot.
    for z in vectors(512) {
        let turned: Vec<_> = z.iter().map(|z| z * Complex64::I).collect();
        let [x, y] = [&z, &turned].map(|z| {
            let plaintext = encoder.encode(z, 0, scale).expect("values that fit");
            ev.add_plain(&empty, &plaintext).expect("add_plain")
        });
        assert!(ev.mul_i(&x).expect("mul_i") == y, "multiplication by X^(N/2)");
    }
}

/// Other numbers of slots, levels that do not exist, values that are not finite, and scales that do
/// not fit are refused, and the error names them.
#[test]
fn refusals() {
    let params = params("test-10");
    let encoder = Encoder::new(&params);
    let check = |result: hetal::Result<Plaintext>, wanted: Error, texts: &[&str]| {
        let error = result.expect_err("must be refused");
        let text = error.to_string();
        assert_eq!(error, wanted);
        assert!(texts.iter().all(|part| text.contains(part)), "{text}: without {texts:?}");
    };
    for slots in [0, 3, 511, 1024, 1 << 20] {
        let text = slots.to_string();
        check(encoder.encode(&vec![1.0; slots], 0, 1e6), Error::Slots { slots, max: 512 }, &[&text, "512"]);
    }
    let level = Error::Level { level: 30, max: 29 };
    check(encoder.encode(&[1.0], 30, 1e6), level.clone(), &["30", "29"]);
    let coefficients = encoder.coefficients(&[1.0], 1e6).expect("finite values");
    check(encoder.expand(&coefficients, 30), level, &["30", "29"]);
    for slot in [0, 1, 7] {
        for value in [f64::INFINITY, f64::NEG_INFINITY] {
            let mut z = [Complex64::ONE; 8];
            z[slot].im = value;
            let text = format!("slot {slot}");
            check(encoder.encode(&z, 0, 1e6), Error::NotFinite { slot, value }, &[&text, "inf"]);
        }
        let mut x = [1.0; 8];
        x[slot] = f64::NAN;
        let error = encoder.encode(&x, 0, 1e6).expect_err("not a number");
        assert!(matches!(error, Error::NotFinite { slot: found, value } if found == slot && value.is_nan()));
    }
    let log_q = params.log_q(0);
    for scale in [0.0, -1.0, f64::INFINITY, f64::NEG_INFINITY, params.q(0).as_f64(), 2f64.powi(51)] {
        check(encoder.encode(&[0.0], 0, scale), Error::Scale { scale, level: 0, log_q }, &["level 0", "2^50"]);
    }
    assert!(matches!(encoder.encode(&[0.0], 0, f64::NAN), Err(Error::Scale { .. })));
    encoder.encode(&[0.0], 0, 2f64.powi(49)).expect("a scale below the modulus");
    let text = encoder.encode(&[1024.0], 0, 2f64.powi(40)).expect_err("too large").to_string();
    assert!(["51.0 bits", "2^40.0", "level 0", "2^50.0"].iter().all(|part| text.contains(part)), "{text}");
}

/// Integers up to (Q − 1)/2 can be told from negative ones. An accepted value is decoded to itself;
/// (Q + 1)/2 is never accepted.
#[test]
fn overflow_at_the_boundary() {
    let params = params("test-10");
    let encoder = Encoder::new(&params);
    let mut q = BigUint::from(1u32);
    for level in 0..22 {
        q *= params.q(level).value();
        // The largest double up to Q/2, and the one above it.
        let bits = q.bits() as i32 - 1;
        let shift = (bits - 53).max(0);
        let mantissa: BigUint = (&q >> 1u32) >> shift as u32;
        let below = u64::try_from(&mantissa).expect("53 bits") as f64 * f64::from(shift).exp2();
        let above = if shift == 0 { below + 1.0 } else { below.next_up() };
        for sign in [1.0, -1.0] {
            let refused = encoder.encode(&[sign * above], level, 1.0);
            assert!(matches!(refused, Err(Error::Overflow { .. })), "level {level}: {above:e} of {q}");
            // A relative 2^-28 below it, a value is certainly accepted.
            let c = sign * (below * (1.0 - 2f64.powi(-28))).round();
            let plaintext = encoder.encode(&[c], level, 1.0).unwrap_or_else(|e| panic!("level {level}: {e}"));
            assert_eq!(encoder.decode(&plaintext).expect("values")[0].re, c);
            if let Ok(plaintext) = encoder.encode(&[sign * below], level, 1.0) {
                assert_eq!(encoder.decode(&plaintext).expect("values")[0].re, sign * below);
            }
        }
    }
}

/// Levels that do not exist, and coefficients of more slots than there are, are refused.
#[test]
fn expansions_that_do_not_exist() {
    let [small, large] = ["test-10", "test-11"].map(|name| Encoder::new(&params(name)));
    let coefficients = large.coefficients(&vec![0.5; 1024], 1e6).expect("values that fit");
    for level in [30, usize::MAX] {
        assert_eq!(large.expand(&coefficients, level).map(|_| ()), Err(Error::Level { level, max: 29 }));
    }
    assert_eq!(small.expand(&coefficients, 3).map(|_| ()), Err(Error::Slots { slots: 1024, max: 512 }));
}

/// Finite values whose transform is not finite are refused, never encoded as something else.
#[test]
fn overflow_of_the_transform() {
    let encoder = Encoder::new(&params("test-10"));
    let part = || prop_oneof![Just(f64::MAX), Just(-f64::MAX), Just(1e308), Just(-1e308)];
    let values = |log: usize| proptest::collection::vec((part(), part()), 1 << log);
    proptest!(config(64), |(values in (0usize..10).prop_flat_map(values), scale in 1.0f64..100.0)| {
        let z: Vec<_> = values.into_iter().map(|(re, im)| Complex64::new(re, im)).collect();
        let result = encoder.encode(&z, 3, scale);
        prop_assert!(matches!(result, Err(Error::Overflow { .. })), "accepted");
    });
    // A scale that is not a number reaches the coefficients only where no level is known yet.
    for scale in [f64::NAN, f64::INFINITY] {
        if let Ok(coefficients) = encoder.coefficients(&[0.0, 1.0], scale) {
            assert!(matches!(encoder.expand(&coefficients, 3), Err(Error::Overflow { .. })), "scale {scale}");
        }
    }
}

/// Decoding undoes encoding up to the rounding, at N = 2^16.
#[test]
fn at_n16() {
    let encoder = Encoder::new(&params("n16"));
    let (slots, scale) = (1 << 15, 2f64.powi(40));
    let mut single = vec![Complex64::ZERO; slots];
    single[slots / 2 + 1] = Complex64::new(100.0, -100.0);
    for z in [random(&mut rng(8), slots), vec![Complex64::ONE; slots], single] {
        let found = encoder.decode(&encoder.encode(&z, 2, scale).expect("values that fit")).expect("values");
        // Eight standard deviations of 2n roundings are allowed: 1/12 each, and twice that for a
        // real vector. Of these vectors, only the second is real.
        let limit = (8.0 * (2.0 * 2.0 * slots as f64 / 12.0).sqrt()) / scale + floor(largest(&z));
        assert!(distance(&found, &z) <= limit);
    }
}
