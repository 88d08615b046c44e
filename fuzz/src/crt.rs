use hetal_kernel::rns::crt::CrtComposer;
use num_bigint::{BigInt, BigUint, Sign};

use crate::input::{Input, OTHER_PRIMES, PRIMES, Pattern, modulus};
use crate::oracle::{Crt, modulo};

/// Composition into integers and floats, and decomposition, against big integers.
///
/// Input: the number of primes − 1, their indices, the number of integers − 1, their pattern, and
/// then a word for each.
///
/// # Panics
/// If the kernel is wrong.
pub fn crt(data: &[u8]) {
    let mut input = Input::new(data);
    let count = 1 + input.below(28);
    let primes = input.primes(count, &[&PRIMES[..], &OTHER_PRIMES].concat(), &mut Vec::new());
    let composer = CrtComposer::new(&primes.iter().map(|&q| modulus(q)).collect::<Vec<_>>()).expect("distinct primes");
    let crt = Crt::new(&primes);
    assert_eq!(composer.product(), crt.product.magnitude().to_u64_digits());
    assert_eq!(composer.words(), composer.product().len());
    let cases = 1 + input.below(16);
    let pattern = input.pattern();
    for i in 0..cases {
        let x = integer(&crt, &pattern, i, input.u64());
        decompose(&composer, &crt, &x);
        compose(&composer, &crt, crt.compose(crt.decompose(&x)));
    }
}

/// Returns an integer of any size.
fn integer(crt: &Crt, pattern: &Pattern, i: usize, word: u64) -> BigInt {
    let half = crt.half();
    let wide = |j| pattern.random(i, j);
    let bits = half.bits().max(1);
    let magnitude: BigInt = match pattern.code(i) % 32 {
        0 => word.into(),
        1 => half - word % 4,
        2 => half + word,
        3 => &crt.product * (word % 4),
        4 => &crt.product * word + word,
        // Powers of two and their neighbours.
        5 => BigInt::from(1) << (word % bits),
        6 => (BigInt::from(1) << (word % bits)) - 1,
        7 => (BigInt::from(1) << (word % bits)) + 1,
        // 53 bits and one half, and its neighbours: ties of the rounding.
        8..=11 => {
            let mantissa = BigInt::from(1u64 << 52 | wide(0) >> 12) << 1 | BigInt::from(1);
            let x = mantissa << (word % bits.saturating_sub(54).max(1));
            match pattern.code(i) % 4 {
                0 => x,
                1 => x + 1,
                2 => x - 1,
                _ => x + (1u64 << 60),
            }
        }
        // All bits set: the rounding carries to the next power of two.
        12 => ((BigInt::from(1) << 54) - 1 - word % 3) << (word / 4 % bits.saturating_sub(54).max(1)),
        // The largest float and the first that is too large.
        13 => (BigInt::from(1) << 1024) - (BigInt::from(1) << 970) - word % 3,
        14 => (BigInt::from(1) << 1024) - (BigInt::from(1) << 970) + word % 3,
        // Digits at their edges: a product of the first primes.
        15 => crt.primes[..word as usize % crt.primes.len()].iter().product::<BigUint>().into(),
        16 => (crt.primes[..word as usize % crt.primes.len()].iter().product::<BigUint>() / 2u8).into(),
        17 => crt.compose(crt.primes.iter().map(|q| q / 2)),
        18 => crt.compose(crt.primes.iter().map(|q| q - 1 - word % 2)),
        // A number with zero words in the middle.
        19 => (BigInt::from(wide(0)) << 192) + word,
        // Numbers longer than Q.
        20 => (0..word % 64).fold(BigInt::ZERO, |x, j| (x << 64) + wide(j as usize)),
        21 => (BigInt::from(1) << (64 * (word % 40))) - 1,
        _ => (0..crt.primes.len()).fold(BigInt::ZERO, |x, j| (x << 64) + wide(j)) >> (word % 1500),
    };
    if pattern.code(i) >= 128 { -magnitude } else { magnitude }
}

fn decompose(composer: &CrtComposer, crt: &Crt, x: &BigInt) {
    let mut words = x.magnitude().to_u64_digits();
    let expected = crt.decompose(x);
    for _ in 0..2 {
        let mut residues = vec![u64::MAX; crt.primes.len()];
        composer.decompose(&words, x.sign() == Sign::Minus, &mut residues);
        assert_eq!(residues, expected, "residues of {x}");
        // Leading zeros change nothing.
        words.resize(words.len() + 2, 0);
    }
}

/// Checks the composition of the residues of x, which is the representative that has to be found.
fn compose(composer: &CrtComposer, crt: &Crt, x: BigInt) {
    let residues: Vec<_> = crt.primes.iter().map(|&q| modulo(&x, q)).collect();
    // Whatever is left in the buffers must not matter.
    let mut scratch = vec![u64::MAX; composer.scratch_len()];
    let mut out = vec![u64::MAX; composer.words()];
    let negative = composer.compose(&residues, &mut out, &mut scratch);
    assert_eq!(BigInt::from(BigUint::new(halves(&out))) * if negative { -1 } else { 1 }, x);
    assert!(!negative || x.sign() == Sign::Minus, "negative zero");
    scratch.fill(u64::MAX);
    let float = composer.compose_f64(&residues, &mut scratch);
    assert_eq!(float.to_bits(), nearest(&x).to_bits(), "{float} for {x}");
}

fn halves(words: &[u64]) -> Vec<u32> {
    words.iter().flat_map(|&word| [word as u32, (word >> 32) as u32]).collect()
}

/// Rounds to nearest, with ties to even, from the bits of the result.
fn nearest(x: &BigInt) -> f64 {
    let magnitude = x.magnitude();
    let drop = magnitude.bits().saturating_sub(53);
    let mut mantissa = u64::try_from(magnitude >> drop).expect("53 bits");
    let twice_rest = (magnitude - (BigUint::from(mantissa) << drop)) << 1u8;
    let unit = BigUint::from(1u8) << drop;
    if drop > 0 && (twice_rest > unit || twice_rest == unit && mantissa % 2 == 1) {
        mantissa += 1;
    }
    // This is exact: at most 2^53, times a power of two in as many steps as it takes.
    let float = (0..drop).fold(mantissa as f64, |float, _| 2.0 * float);
    if x.sign() == Sign::Minus { -float } else { float }
}
