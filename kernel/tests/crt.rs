//! Tests of the composition of residues against big integers.

use hetal_kernel::primes::{Direction, NttPrimes};
use hetal_kernel::rns::MAX_LIMBS;
use hetal_kernel::rns::crt::CrtComposer;
use hetal_kernel::{Error, Modulus};
use num_bigint::{BigInt, BigUint, Sign};
use proptest::prelude::*;

/// Returns `count` distinct primes whose sizes cycle through 20 … 50 bits in steps of 7, beginning
/// with number `start`: they are neither sorted nor of one size.
fn moduli(count: usize, start: u32) -> Vec<Modulus> {
    let mut searches: Vec<_> =
        (20..=50).map(|bits| NttPrimes::new(4, 1 << bits, Direction::Descending).expect("a size")).collect();
    (0..count).map(|i| searches[(start as usize + 7 * i) % 31].next().expect("enough primes")).collect()
}

fn words(x: &BigUint, len: usize) -> Vec<u64> {
    let mut words = x.to_u64_digits();
    assert!(words.len() <= len);
    words.resize(len, 0);
    words
}

/// Returns the words of |x| < 2^(64·len) and the sign of x, in the composer's form.
fn split(x: &BigInt, len: usize) -> (Vec<u64>, bool) {
    (words(x.magnitude(), len), x.sign() == Sign::Minus)
}

fn residues(moduli: &[Modulus], x: &BigInt) -> Vec<u64> {
    let residue = |q: &Modulus| {
        let q = BigInt::from(q.value());
        u64::try_from(((x % &q) + &q) % &q).expect("below q")
    };
    moduli.iter().map(residue).collect()
}

/// Rounds x to the nearest float, with ties to even. The bits that are cut off are compared with
/// one half as exact integers.
fn nearest(x: &BigInt) -> f64 {
    let magnitude = x.magnitude();
    let bits = magnitude.bits();
    let rounded = if bits <= 53 {
        u64::try_from(magnitude).expect("53 bits") as f64
    } else {
        let exponent = bits - 53;
        let mantissa = u64::try_from(magnitude >> exponent).expect("53 bits");
        let rest = magnitude - (BigUint::from(mantissa) << exponent);
        let half = BigUint::from(1u8) << (exponent - 1);
        let mantissa = mantissa + u64::from(rest > half || (rest == half && mantissa % 2 == 1));
        (0..exponent).fold(mantissa as f64, |x, _| 2.0 * x)
    };
    if x.sign() == Sign::Minus { -rounded } else { rounded }
}

/// Checks the composition of x, its rounding to a float and the way back, against big integers.
fn check(moduli: &[Modulus], composer: &CrtComposer, x: &BigInt) {
    let canonical = residues(moduli, x);
    // Whatever is left in the buffers must not matter.
    let mut out = vec![u64::MAX; composer.words()];
    let mut scratch = vec![u64::MAX; composer.scratch_len() + 3];
    let (magnitude, negative) = split(x, composer.words());
    assert_eq!(composer.compose(&canonical, &mut out, &mut scratch), negative, "sign of {x}");
    assert_eq!(out, magnitude, "{x}");
    scratch.fill(u64::MAX);
    let rounded = composer.compose_f64(&canonical, &mut scratch);
    assert_eq!(rounded.to_bits(), nearest(x).to_bits(), "{rounded} for {x}");
    let mut back = vec![u64::MAX; moduli.len()];
    composer.decompose(&magnitude, negative, &mut back);
    assert_eq!(back, canonical, "residues of {x}");
}

fn half(composer: &CrtComposer) -> BigInt {
    let product = composer.product().iter().rev().fold(BigInt::ZERO, |x, &word| (x << 64) + word);
    (product - 1) / 2
}

/// The product of up to 40 moduli is that of big integers.
#[test]
fn product_of_the_moduli() {
    for count in 1..=40 {
        let moduli = moduli(count, count as u32);
        let composer = CrtComposer::new(&moduli).expect("distinct");
        let product: BigUint = moduli.iter().map(|q| BigUint::from(q.value())).product();
        assert_eq!(composer.product(), product.to_u64_digits());
        assert_eq!(composer.words(), composer.product().len());
        assert_eq!(composer.moduli(), moduli);
    }
}

/// Composition of the extreme values, of mixed-radix digits at their ends and of powers of two,
/// against big integers.
#[test]
fn extremes_and_powers_of_two() {
    for count in 1..=40 {
        let moduli = moduli(count, 3 * count as u32);
        let composer = CrtComposer::new(&moduli).expect("distinct");
        let half = half(&composer);
        let mut radix = BigInt::from(1);
        let mut cases = vec![BigInt::ZERO, half.clone(), &half - 1, &half / 2];
        for q in &moduli {
            // Here a digit becomes 1, or is at its largest.
            cases.extend([radix.clone(), &radix - 1, &radix + 1, (&radix - 1) / 2, (&radix + 1) / 2]);
            radix *= q.value();
        }
        for exponent in (0..half.bits()).step_by(13) {
            let power = BigInt::from(1) << exponent;
            cases.extend([&power - 1, &power + 1, power]);
        }
        // A word is 0 when the last digit, −1, is added, so the borrow goes through it.
        cases.extend([64, 128].map(|exponent| (BigInt::from(moduli[0].value()) << exponent) - 1));
        for x in cases.iter().filter(|&x| *x <= half) {
            check(&moduli, &composer, x);
            check(&moduli, &composer, &-x);
        }
    }
}

/// All values of a product of four small primes.
#[test]
fn every_value_of_a_small_product() {
    let moduli = [11, 3, 7, 5].map(|q| Modulus::new(q).expect("prime"));
    let composer = CrtComposer::new(&moduli).expect("distinct");
    assert_eq!(composer.product(), [1155]);
    for x in -577..=577 {
        check(&moduli, &composer, &x.into());
    }
}

/// Floats are rounded to nearest, with ties to even, at and next to ties.
#[test]
fn rounding_at_ties() {
    let moduli = moduli(24, 0);
    let composer = CrtComposer::new(&moduli).expect("distinct");
    for exponent in [1, 2, 10, 11, 12, 63, 64, 65, 74, 75, 76, 500] {
        for mantissa in [1u64 << 52, (1 << 52) + 1, (1 << 53) - 2, (1 << 53) - 1] {
            // mantissa + 1/2 and its neighbours, in units of the last of the 53 bits.
            let tie = (BigInt::from(2 * mantissa + 1)) << (exponent - 1);
            for x in [&tie - 1, &tie + 1, tie] {
                check(&moduli, &composer, &x);
                check(&moduli, &composer, &-x);
            }
        }
    }
}

/// Values are rounded to the largest float or to infinity, as IEEE 754 says.
#[test]
fn rounding_at_the_largest_float() {
    let moduli = moduli(40, 20);
    let composer = CrtComposer::new(&moduli).expect("distinct");
    assert!(half(&composer).bits() > 1100);
    let power: BigInt = BigInt::from(1) << 1024;
    let unit: BigInt = BigInt::from(1) << 970;
    let mut scratch = vec![0; composer.scratch_len()];
    let cases = [
        (&power - 2 * &unit, f64::MAX),
        (&power - &unit - 1, f64::MAX),
        (&power - &unit, f64::INFINITY),
        (power.clone(), f64::INFINITY),
        (&power << 64, f64::INFINITY),
        (half(&composer), f64::INFINITY),
    ];
    for (x, expected) in cases {
        assert_eq!(composer.compose_f64(&residues(&moduli, &x), &mut scratch), expected, "{x}");
        assert_eq!(composer.compose_f64(&residues(&moduli, &-x), &mut scratch), -expected);
    }
}

/// A signed integer with a random number of bits up to `bits`.
fn integer(bits: usize) -> impl Strategy<Value = BigInt> {
    (prop::collection::vec(any::<u8>(), bits / 8 + 1), any::<prop::sample::Index>(), any::<bool>()).prop_map(
        move |(bytes, shift, negative)| {
            let sign = if negative { Sign::Minus } else { Sign::Plus };
            BigInt::from_bytes_le(sign, &bytes) >> shift.index(bits)
        },
    )
}

proptest! {
    /// Random integers of up to 2100 bits, reduced to the range, against big integers.
    #[test]
    fn random_values(count in 1usize..=40, start in 0u32..31, x in integer(2100)) {
        let moduli = moduli(count, start);
        let composer = CrtComposer::new(&moduli).unwrap();
        let half = half(&composer);
        check(&moduli, &composer, &(x % (half + 1)));
    }

    /// Decomposition takes integers beyond the product, of as many words as they need; their
    /// residues are those of big integers.
    #[test]
    fn decomposition_of_large_integers(count in 1usize..=10, start in 0u32..31, x in integer(2100)) {
        let moduli = moduli(count, start);
        let composer = CrtComposer::new(&moduli).unwrap();
        let mut out = vec![0; count];
        composer.decompose(&x.magnitude().to_u64_digits(), x.sign() == Sign::Minus, &mut out);
        prop_assert_eq!(out, residues(&moduli, &x));
    }
}

/// All moduli are just below 2^50, which gives the lazy sum of Garner's algorithm its largest
/// digits and radices.
#[test]
fn many_moduli_of_the_largest_size() {
    let moduli: Vec<_> = NttPrimes::new(4, 1 << 50, Direction::Descending).expect("a size").take(120).collect();
    let composer = CrtComposer::new(&moduli).expect("distinct");
    let half = half(&composer);
    for x in [half.clone(), &half - 1, &half / 3, BigInt::from(-5)] {
        let (magnitude, negative) = split(&x, composer.words());
        let mut out = vec![0; composer.words()];
        assert_eq!(composer.compose(&residues(&moduli, &x), &mut out, &mut vec![0; composer.scratch_len()]), negative);
        assert_eq!(out, magnitude);
    }
}

/// Empty sets, sets of too many moduli and repeated moduli are refused.
#[test]
fn refused_sets() {
    let q = moduli(5, 0);
    let count = |value| Error::Count { what: "limbs", value, min: 1, max: MAX_LIMBS };
    assert_eq!(CrtComposer::new(&[]).err(), Some(count(0)));
    assert_eq!(CrtComposer::new(&[q[0]; MAX_LIMBS + 1]).err(), Some(count(MAX_LIMBS + 1)));
    for (i, j) in [(0, 1), (0, 4), (3, 4)] {
        let mut repeated = q.clone();
        repeated[j] = repeated[i];
        assert_eq!(CrtComposer::new(&repeated).err(), Some(Error::RepeatedModulus { modulus: q[i].value() }));
    }
    assert!(CrtComposer::new(&q).is_ok());
}

#[test]
#[should_panic(expected = "one residue for each modulus")]
fn composing_too_few_residues_panics() {
    let composer = CrtComposer::new(&moduli(3, 0)).expect("distinct");
    composer.compose(&[1, 2], &mut vec![0; composer.words()], &mut vec![0; composer.scratch_len()]);
}

#[test]
#[should_panic(expected = "words of a magnitude")]
fn composing_into_too_few_words_panics() {
    let composer = CrtComposer::new(&moduli(3, 0)).expect("distinct");
    composer.compose(&[1, 2, 3], &mut [0], &mut vec![0; composer.scratch_len()]);
}

#[test]
#[should_panic(expected = "scratch")]
fn composing_with_too_little_scratch_panics() {
    let composer = CrtComposer::new(&moduli(3, 0)).expect("distinct");
    let _ = composer.compose_f64(&[1, 2, 3], &mut vec![0; composer.scratch_len() - 1]);
}
