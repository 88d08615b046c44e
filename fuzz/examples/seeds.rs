//! Writes the hand-made cases of the corpora: `cargo run -p hetal-fuzz --example seeds`. The
//! meaning of each byte is documented at the target.

use std::fs;
use std::path::Path;

use hetal_fuzz::archive;
use hetal_fuzz::input::{FIRST_50, FIRST_RNS, OTHER_PRIMES, PRIMES};

const SCALAR: u8 = 0;
const PORTABLE: u8 = 1;
const AVX2: u8 = 2;
const AVX512: u8 = 3;
const ISAS: [u8; 4] = [SCALAR, PORTABLE, AVX2, AVX512];

// Codes of residues.
const ZERO: u8 = 0;
const ONE: u8 = 1;
const MAX: u8 = 2;
const HALF: u8 = 3;
const HALF_UP: u8 = 4;
const RANDOM: u8 = 31;
/// The representative ±q, where there is a choice.
const PLUS_Q: u8 = 32;
const MINUS_Q: u8 = 64;
/// The centred representative that is farther from 0.
const FARTHER: u8 = 128;

/// The indices, among the primes of the big rings, of the first prime of 50 bits and of the first
/// of 40.
const Q50: u8 = (FIRST_50 - FIRST_RNS) as u8;
const Q40: u8 = 33;
const Q13: u8 = 0;

type Case = (String, Vec<u8>);

fn pattern(codes: &[u8]) -> Vec<u8> {
    let mut bytes = vec![codes.len() as u8 - 1, 0];
    bytes.extend(codes);
    bytes
}

fn case(name: &str, parts: &[&[u8]]) -> Case {
    (name.to_owned(), parts.concat())
}

/// Returns the pattern of X^at in a ring of 2^log_n coefficients.
fn monomial(log_n: u32, at: usize) -> Vec<u8> {
    let mut codes = vec![ZERO; 1 << log_n];
    codes[at] = ONE;
    pattern(&codes)
}

fn ntt() -> Vec<Case> {
    let largest = (PRIMES.len() - 1) as u8;
    let mut cases = vec![
        case("smallest-prime", &[&[AVX2, 0, 0, MAX, 3, 5, 9], &pattern(&[RANDOM]), &pattern(&[RANDOM, MAX])]),
        case(
            "smallest-prime-of-degree-128",
            &[&[AVX512, 3, 2, HALF, 1, 127, 8], &pattern(&[RANDOM]), &pattern(&[HALF])],
        ),
        case("no-root", &[&[SCALAR, 1, 0]]),
        case("empty", &[]),
        case("x-to-the-n", &[&[AVX2, 1, 40, ONE, 0, 31, 1], &monomial(5, 31), &monomial(5, 1)]),
        case("constant-one", &[&[SCALAR, 0, largest, 0, 0, 0, 0], &monomial(4, 0), &pattern(&[RANDOM])]),
        case("above-2-49", &[&[AVX512, 4, 60, HALF_UP, 7, 200, 17], &pattern(&[HALF, HALF_UP]), &pattern(&[MAX])]),
        case("46-bits", &[&[AVX2, 4, 54, 6, 9, 99, 16], &pattern(&[PLUS_Q]), &pattern(&[RANDOM, PLUS_Q])]),
        case("minus-zero", &[&[PORTABLE, 3, largest, 0, 1, 2, 3], &pattern(&[96, 96, RANDOM]), &pattern(&[96])]),
        case("2-to-the-53", &[&[AVX512, 4, largest, 2, 3, 4, 0], &pattern(&[MAX, MAX + 64, 6, 70]), &pattern(&[2])]),
    ];
    for isa in ISAS {
        let head = [isa, 4, largest, MAX, 0, 255, 8 + isa];
        let name = ["scalar", "portable", "avx2", "avx512"][usize::from(isa)];
        cases.extend([
            case(&format!("{name}-all-plus-q"), &[&head, &pattern(&[PLUS_Q]), &pattern(&[PLUS_Q])]),
            case(&format!("{name}-signs-of-q"), &[&head, &pattern(&[PLUS_Q, MINUS_Q]), &pattern(&[MINUS_Q])]),
            case(
                &format!("{name}-halves"),
                &[&head, &pattern(&[HALF + FARTHER]), &pattern(&[HALF_UP, HALF_UP + FARTHER])],
            ),
            case(&format!("{name}-random"), &[&head, &pattern(&[RANDOM]), &pattern(&[RANDOM + 32, RANDOM + 64])]),
        ]);
    }
    cases
}

fn base_conversion() -> Vec<Case> {
    let convert = |name: &str, isa: u8, from: &[u8], to: &[u8], len: u8, codes: &[u8]| {
        let counts = [from.len() as u8 - 1, to.len() as u8 - 1];
        case(name, &[&[0, isa, counts[0]], from, &[counts[1]], to, &[len, 0, counts[1]], &pattern(codes)])
    };
    let all50: Vec<u8> = (0..9).map(|i| FIRST_50 as u8 + i).collect();
    let twelve: Vec<u8> = (58..70).collect();
    let edges = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20];
    let divide = |name: &str, isa: u8, log_n: u8, level: u8, kept: &[u8], dropped: &[u8], codes: &[u8]| {
        let head = [1, isa, log_n, kept.len() as u8 - 1, dropped.len() as u8 - 1, level - 1];
        case(name, &[&head, kept, dropped, &pattern(codes)])
    };
    let mut cases = vec![
        convert("one-limb", AVX512, &[69], &[0, 40, 69], 3, &edges),
        convert("one-tiny-limb-beyond-half", AVX2, &[0], &[1, 69], 3, &[19, 147, 148, 20]),
        convert("nine-terms", AVX512, &all50[..8], &all50, 6, &[16, 17, 18, 19]),
        convert("ten-limbs-two-runs", AVX2, &[&all50[..], &[40]].concat(), &[41, 0, 69], 7, &edges),
        convert("twelve-largest", AVX512, &twelve, &twelve[..8], 4, &[16, 17, 7, 8]),
        convert("twelve-smallest", PORTABLE, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], &[12, 69], 5, &edges),
        convert("mixed-sizes", SCALAR, &[69, 0, 40, 20, 7, 61], &[0, 61, 30, 69, 1], 2, &edges),
        convert("ties", AVX2, &all50, &[0, 61], 6, &[7, 8, 3, 4, 13]),
        case("cut-in-two", &[&[2, AVX512, 2, 61, 40, 30, 1, 41, 62, 7, 0, 1], &pattern(&edges)]),
        divide("rescale-by-one", AVX512, 3, 2, &[Q50, Q40], &[Q40 + 1], &edges),
        divide("rescale-by-the-smallest", AVX2, 2, 1, &[Q50, Q40], &[Q13], &[16, 17, 18, 19, 3, 4, 31]),
        divide("six-by-six", SCALAR, 1, 6, &[54, 55, 56, 57, 58, 59], &[60, 61, 62, 33, 34, 35], &edges),
        divide("lower-level", AVX512, 3, 2, &[54, 55, 56, 57], &[60, 61, 62], &[16, 17, 18, 19, 3, 4, 31]),
        divide("more-dropped-than-kept", PORTABLE, 3, 1, &[Q13], &[54, 55, 56, 33, 20, 7], &edges),
    ];
    for isa in ISAS {
        let name = ["scalar", "portable", "avx2", "avx512"][usize::from(isa)];
        cases.push(convert(&format!("{name}-largest-sums"), isa, &all50[..8], &all50[..4], 6, &[16, 17, 19]));
        cases.push(divide(&format!("{name}-division"), isa, 3, 3, &[54, 55, 33], &[56, 57], &[16, 17, 18, 31]));
    }
    cases
}

/// The kinds of key, and flags: any special primes, the largest errors, errors of one sign.
const RELINEARISATION: u8 = 0;
const GALOIS: u8 = 1;
const ANY: u8 = 2;
const ANY_SPECIAL: u8 = 4;
const LARGEST: u8 = 8;
const POSITIVE: u8 = 16;

fn keyswitch() -> Vec<Case> {
    // The sizes are log2 N, the digit size and the level.
    let switch = |name: &str, isa: u8, sizes: [u8; 3], kind: u8, q: &[u8], p: &[u8], g: u8, codes: [&[u8]; 3]| {
        let head = [isa, sizes[0] - 4, q.len() as u8 - 1, p.len() as u8 - 1, sizes[1] - 1, sizes[2] - 1, kind];
        let patterns = codes.map(pattern).concat();
        case(name, &[&head, q, p, &[g / 2, 1], &patterns])
    };
    let (ternary, ones): (&[u8], &[u8]) = (&[3], &[1]);
    let (halves, random): (&[u8], &[u8]) = (&[HALF], &[RANDOM]);
    let big: Vec<u8> = (0..6).map(|i| Q50 - 1 - i).collect();
    let q40: Vec<u8> = (0..6).map(|i| Q40 + i).collect();
    // P is hardly larger than a digit, and all terms of the noise have one sign, so that it comes
    // close to its bound.
    let largest: Vec<u8> = (0..6).map(|i| Q50 + i).collect();
    let worst = |name: &str, isa, log_n| {
        switch(name, isa, [log_n, 1, 6], ANY | LARGEST | POSITIVE, &largest, &[8], 5, [ternary, ones, halves])
    };
    let worst_of_three = |name: &str, isa, log_n| {
        let kind = GALOIS | LARGEST | POSITIVE;
        switch(name, isa, [log_n, 3, 3], kind, &largest[..3], &[6, 7, 8], 5, [ternary, ones, halves])
    };
    vec![
        worst("worst-scalar", SCALAR, 4),
        worst("worst-avx2", AVX2, 6),
        worst("worst-avx512", AVX512, 7),
        worst("worst-portable", PORTABLE, 7),
        worst_of_three("worst-digit-of-three-avx2", AVX2, 6),
        worst_of_three("worst-digit-of-three-avx512", AVX512, 7),
        switch("one-limb", AVX2, [5, 1, 1], RELINEARISATION, &[Q50], &[1], 1, [ternary, ternary, random]),
        switch("one-digit", AVX2, [5, 3, 3], RELINEARISATION, &q40[..3], &[0, 1, 2], 1, [ternary, ternary, random]),
        switch("digits-of-one", AVX2, [6, 1, 6], GALOIS, &q40, &[3], 5, [ternary, ternary, random]),
        switch("short-last-digit", AVX512, [7, 2, 5], GALOIS, &q40[..5], &[3, 4], 255, [ternary, ternary, halves]),
        switch("lower-level", AVX2, [6, 2, 3], GALOIS, &q40, &[3, 4], 127, [ternary, ternary, &[HALF_UP + FARTHER]]),
        switch("lowest-level", AVX2, [6, 3, 1], ANY, &q40, &[3, 4, 5], 3, [ternary, ternary, &[MAX, RANDOM]]),
        switch("special-too-small", SCALAR, [4, 3, 1], ANY, &big[..3], &[0], 1, [ternary, ternary, random]),
        switch(
            "special-two-bits-smaller",
            SCALAR,
            [4, 1, 2],
            ANY | ANY_SPECIAL | LARGEST,
            &[Q50, Q50 + 1],
            &[49],
            1,
            [ternary, ones, halves],
        ),
        switch("smallest-primes", SCALAR, [4, 2, 4], ANY, &[0, 1, 2, 3], &[0], 7, [ternary, ternary, random]),
        switch(
            "smallest-special-primes",
            AVX2,
            [5, 1, 2],
            ANY | ANY_SPECIAL | LARGEST,
            &[0, 1],
            &[2],
            9,
            [ternary, ones, halves],
        ),
        switch("mixed-sizes", AVX2, [5, 2, 4], ANY, &[0, Q50, 20, Q40], &[5, 6], 33, [ternary, ternary, random]),
        switch("large-secrets", AVX2, [6, 2, 4], ANY | LARGEST, &q40[..4], &[5, 6], 11, [&[250], &[253], halves]),
        switch("zero-secrets", AVX2, [5, 2, 2], RELINEARISATION, &q40[..2], &[5, 6], 11, [&[0], &[0], &[MAX]]),
        switch("zero-target", AVX512, [7, 2, 4], ANY, &q40[..4], &[5, 6], 7, [ternary, &[0], random]),
        switch("zero-polynomial", AVX2, [5, 2, 2], GALOIS, &q40[..2], &[5, 6], 63, [ternary, ternary, &[ZERO]]),
        switch("all-50-bits", AVX512, [7, 2, 6], GALOIS | LARGEST, &big, &[7, 8], 3, [ternary, ones, &[HALF, HALF_UP]]),
    ]
}

fn bytes_limb() -> Vec<Case> {
    let mut cases = vec![
        case("no-residues", &[&[0, 0, 3, 0]]),
        case("no-bytes", &[&[69, 4, 3, 0]]),
        case("one-byte-short", &[&[69, 4, 3, 0], &[0; 27]]),
        case("one-byte-long", &[&[69, 4, 3, 0], &[0; 29]]),
        case("second-residue-wrong", &[&[69, 3, 200, 1], &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4]]),
        case("all-valid-kinds", &[&[69, 79, 0, 2, 0], &pattern(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, RANDOM])]),
        case("last-residue-wrong", &[&[69, 79, 255, 2, 1, 40, 2, 255], &pattern(&[RANDOM])]),
        case("two-wrong", &[&[69, 40, 1, 2, 2, 13, 0, 255, 34, 0, 255], &pattern(&[RANDOM])]),
    ];
    // Every second prime has q − 1, 0 and the middle; the others have values that are just or much
    // too large.
    for (i, q) in OTHER_PRIMES.into_iter().enumerate() {
        let width = (u64::BITS - q.leading_zeros()).div_ceil(8) as usize;
        let (name, values) = match i % 4 {
            0 | 2 => ("edges", [q - 1, 0, q / 2, q / 2 + 1]),
            1 => ("itself", [q - 1, q - 1, q, 0]),
            _ => ("all-bits", [q - 1, q - 1, u64::MAX, 0]),
        };
        let bytes: Vec<_> = values.iter().flat_map(|x| x.to_le_bytes()[..width].to_vec()).collect();
        cases.push(case(&format!("{name}-of-{q}"), &[&[(PRIMES.len() + i) as u8, 4, 1, 0], &bytes]));
    }
    cases
}

fn bytes_key() -> Vec<Case> {
    let head = |limbs: u8, special: u8, alpha: u8, q: &[u8], p: &[u8]| {
        [&[limbs - 1, special - 1, alpha - 1][..], q, p].concat()
    };
    let small = head(1, 1, 1, &[0], &[0]);
    let large = head(3, 2, 2, &[Q50, Q40, 0], &[1, 2]);
    let digits = head(3, 1, 1, &[Q40, Q40 + 1, 5], &[3]);
    // There are 32 bytes of seed, and 16 residues of 2 and of 7 bytes.
    let valid = [&[7; 32][..], &[0, 30].repeat(16), &[255, 255, 255, 255, 255, 255, 3].repeat(15), &[1; 7]].concat();
    vec![
        case("no-bytes", &[&small, &[0]]),
        case("seed-only", &[&small, &[0], &[9; 32]]),
        case("zeros", &[&small, &[1]]),
        case("one-byte-short", &[&small, &[0], &[0; 32 + 16 * 9 - 1]]),
        case("one-byte-long", &[&small, &[0], &[0; 32 + 16 * 9 + 1]]),
        case("ones", &[&small, &[0], &[1; 32 + 16 * 9]]),
        case("first-special-residue-wrong", &[&small, &[0], &valid]),
        case("all-bits", &[&small, &[0], &[255; 32 + 16 * 9]]),
        case("equal-to-the-modulus", &[&small, &[1], &[3; 32], &[0, 30].repeat(15), &[1, 30]]),
        case("valid-random", &[&large, &[2, 0], &pattern(&[RANDOM])]),
        case("valid-edges", &[&large, &[2, 0], &pattern(&[MAX, HALF, HALF_UP, ZERO, ONE])]),
        case("valid-three-digits", &[&digits, &[2, 0], &pattern(&[RANDOM, MAX])]),
        case("wrong-in-the-second-digit", &[&digits, &[2, 1, 0x98, 2, 255], &pattern(&[RANDOM])]),
        case("other-seed-byte", &[&digits, &[2, 1, 3, 0, 255], &pattern(&[RANDOM])]),
        case("two-wrong", &[&large, &[2, 2, 2, 2, 255, 52, 0, 255], &pattern(&[RANDOM])]),
    ]
}

fn crt() -> Vec<Case> {
    let compose = |name: &str, primes: &[u8], codes: &[u8], words: &[u64]| {
        let words: Vec<_> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let head = [&[primes.len() as u8 - 1], primes, &[codes.len().max(words.len() / 8) as u8 - 1]].concat();
        case(name, &[&head, &pattern(codes), &words])
    };
    let largest: Vec<u8> = (42..70).collect();
    let other = PRIMES.len() as u8;
    let exponents: Vec<u64> = (0..16).map(|i| 11 * i + 1).collect();
    vec![
        compose("three", &[other], &[0, 1, 2, 3, 4, 128, 129, 131], &[0, 1, 2, 3, 4, 1, 2, 1]),
        compose("three-and-five-and-seven", &[other, other + 1, other + 2], &[1, 129, 0, 128, 17], &[0, 1, 52, 53, 0]),
        compose("largest-prime", &[other + 17], &[1, 129, 17, 18, 4], &[0, 0, 0, 1, u64::MAX]),
        compose("two-halves", &[69, 68], &[1, 129, 2, 130, 17, 18, 145], &[0, 0, 1, 1, 0, 1, 0]),
        compose("powers-of-two", &largest[..12], &[5, 6, 7, 133, 134, 135], &exponents),
        compose("ties-even-and-odd", &largest[..20], &[8, 9, 10, 136, 137, 138, 11], &exponents),
        compose("carry-into-the-exponent", &largest[..8], &[12, 140], &exponents),
        compose("largest-float", &largest, &[13, 14, 141, 142], &[0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]),
        compose("infinite", &largest, &[1, 129, 3, 4], &[0, 0, 1, 2]),
        compose("products-of-first-primes", &largest[..10], &[15, 16, 143, 144], &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
        compose("zero-words-inside", &largest[..9], &[19, 147], &[0, 0, 1, 1]),
        compose("longer-than-the-product", &[69, other, 5], &[20, 148, 21, 149], &[5, 63, 39, 17]),
        compose("mixed-sizes", &[other, 69, 0, 40, other + 16, 20], &[22, 150, 17, 18, 1, 129], &[0, 9, 99, 0, 0, 0]),
        compose("random", &largest[..25], &[31, 159], &[0, 300, 600, 900, 1200, 1400, 1499, 1000]),
    ]
}

/// Returns the cases of one reader: the driver's golden files, objects made of patterns with good
/// and bad fields, and bytes under a header.
fn wire(golden: &[(&str, &[u8])], made: &[(&str, Vec<u8>)], bodies: &[(&str, &[u8])]) -> Vec<Case> {
    const RAW: u8 = 0;
    const UNDER_HEADER: u8 = 1;
    const MADE: u8 = 2;
    let mut cases = vec![case("no-bytes", &[&[0, RAW]]), case("header-only", &[&[0, UNDER_HEADER]])];
    for (name, bytes) in golden {
        let name = format!("golden-{name}");
        let half = bytes.len() / 2;
        cases.extend([
            case(&name, &[&[0, RAW], bytes]),
            case(&format!("{name}-cut"), &[&[0, RAW], &bytes[..half]]),
            case(&format!("{name}-and-more"), &[&[0, RAW], bytes, &[1, 2]]),
            case(&format!("{name}-of-other-parameters"), &[&[1, RAW], bytes]),
            case(&format!("{name}-body"), &[&[0, UNDER_HEADER], &bytes[52..]]),
        ]);
    }
    for (name, bytes) in made {
        cases.extend([
            case(&format!("made-{name}"), &[&[0, MADE, 0, 0], bytes]),
            case(&format!("made-large-{name}"), &[&[1, MADE, 0, 0], bytes]),
            case(&format!("made-longer-{name}"), &[&[1, MADE, 0, 3], bytes]),
            // These overwrite the lowest byte of the length, and one of the last bytes.
            case(&format!("made-other-length-{name}"), &[&[0, MADE, 1, 44, 0, 17, 0], bytes]),
            case(&format!("made-two-wrong-{name}"), &[&[0, MADE, 2, 76, 0, 255, 146, 0, 255, 0], bytes]),
        ]);
    }
    cases.extend(bodies.iter().map(|(name, bytes)| case(name, &[&[0, UNDER_HEADER], bytes])));
    cases
}

/// Returns level, log2 of slots and scale.
fn shape(level: u8, log_slots: u8, scale: f64) -> Vec<u8> {
    [&[level, log_slots][..], &scale.to_le_bytes()].concat()
}

/// Returns shapes, good ones first, with a pattern after each.
fn shapes(before: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let made = |shape: Vec<u8>, codes: &[u8]| [before, &shape, &pattern(codes)].concat();
    vec![
        ("level-0", made(shape(0, 0, 1.0), &[RANDOM])),
        ("level-2", made(shape(2, 3, 1048576.0), &[MAX, ZERO, HALF])),
        ("smallest-scale", made(shape(1, 2, f64::from_bits(1)), &[RANDOM])),
        ("largest-scale", made(shape(1, 2, f64::MAX), &[RANDOM])),
        ("no-scale", made(shape(1, 2, 0.0), &[RANDOM])),
        ("negative-scale", made(shape(1, 2, -1.0), &[RANDOM])),
        ("infinite-scale", made(shape(1, 2, f64::INFINITY), &[RANDOM])),
        ("nan-scale", made(shape(1, 2, f64::NAN), &[RANDOM])),
        ("too-many-slots", made(shape(1, 7, 1.0), &[RANDOM])),
        ("too-high", made(shape(3, 1, 1.0), &[ONE])),
    ]
}

macro_rules! golden {
    ($($name:literal)*) => {
        &[$(($name, &include_bytes!(concat!("../../driver/tests/golden/", $name, "-2.hetal"))[..])),*]
    };
}

fn wire_ciphertext() -> Vec<Case> {
    let mut made = Vec::new();
    for (degree, names) in [(1, "one"), (2, "two")] {
        made.extend(shapes(&[degree]).into_iter().map(|(name, bytes)| (format!("{names}-{name}"), bytes)));
    }
    made.push(("degree-0".to_owned(), [vec![0], shape(1, 1, 1.0), pattern(&[RANDOM])].concat()));
    made.push(("degree-3".to_owned(), [vec![3], shape(1, 1, 1.0), pattern(&[RANDOM])].concat()));
    let made: Vec<_> = made.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    wire(golden!["ciphertext-of-degree-1" "ciphertext-of-degree-2"], &made, &[])
}

fn wire_secret_key() -> Vec<Case> {
    let made = [
        ("zeros", vec![0; 8]),
        ("ones", vec![0x55; 8]),
        ("minus-ones", vec![0xff; 8]),
        ("mixed", vec![0x1d, 0xf4, 0x07, 0x31, 0xcd, 0x43, 0x70, 0x0c]),
        ("first-wrong", vec![0x02, 0, 0, 0, 0, 0, 0, 0]),
        ("last-wrong", vec![0, 0, 0, 0x80, 0, 0, 0, 0x80]),
    ];
    wire(golden!["secret-key"], &made, &[("short", &[0; 3]), ("long", &[0; 5])])
}

fn wire_evaluation_keys() -> Vec<Case> {
    let key = |kind: u8, level: u8, element: u8, codes: &[u8]| [&[kind, level, element][..], &pattern(codes)].concat();
    let good = [key(0, 2, 0, &[RANDOM]), key(1, 0, 5, &[MAX]), key(1, 1, 31, &[HALF, HALF_UP])];
    let set = |keys: &[Vec<u8>]| [vec![keys.len() as u8], keys.concat()].concat();
    let made = [
        ("none", set(&[])),
        ("three", set(&good)),
        ("same-kind-other-level", set(&[good[1].clone(), key(1, 2, 5, &[RANDOM])])),
        ("twice", set(&[good[1].clone(), good[1].clone()])),
        ("even", set(&[good[0].clone(), key(1, 0, 4, &[RANDOM])])),
        ("not-below-2n", set(&[key(1, 0, 33, &[RANDOM])])),
        ("relinearisation-with-element", set(&[key(0, 0, 5, &[RANDOM])])),
        ("unknown-kind", set(&[key(2, 0, 5, &[RANDOM])])),
    ];
    let count = |count: u32, rest: &[u8]| [&count.to_le_bytes()[..], rest].concat();
    let record = |level: u8, len: u64| [&[0, level, 1, 1, 0, 0, 0, 0][..], &len.to_le_bytes()].concat();
    let bodies = [
        ("no-count", vec![1, 0, 0]),
        ("many-declared", count(u32::MAX, &record(0, 208))),
        ("huge-length", count(1, &record(0, u64::MAX))),
        ("too-high", count(1, &record(9, 208))),
        ("length-beyond-the-body", count(1, &record(0, 208))),
        ("bytes-after-no-keys", count(0, &[0; 20])),
    ];
    let bodies: Vec<_> = bodies.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    wire(golden!["evaluation-keys" "no-evaluation-keys"], &made, &bodies)
}

fn wire_parameters() -> Vec<Case> {
    let literal = |log_n: u8, q: &[u8], p: &[u8], tail: [u8; 6]| {
        let counts = [q.len() as u8, p.len() as u8];
        [&b"\x05test-"[..], &[log_n], &counts, q, p, &tail].concat()
    };
    const TERNARY: [u8; 6] = [0, 0, 0, 0, 0, 1];
    let bodies = [
        ("smallest", literal(4, &[25, 25], &[25], TERNARY)),
        ("fixed-weight", literal(5, &[40, 30], &[50], [1, 32, 0, 0, 0, 1])),
        ("too-heavy", literal(5, &[40, 30], &[50], [1, 33, 0, 0, 0, 1])),
        ("largest", literal(17, &[50; 64], &[50; 64], [1, 0, 0, 2, 0, 1])),
        ("one-prime", literal(4, &[25], &[25], TERNARY)),
        ("no-special-prime", literal(4, &[25, 25], &[], TERNARY)),
        ("small-special-prime", literal(4, &[25, 40], &[30], TERNARY)),
        ("24-bits", literal(4, &[25, 24], &[30], TERNARY)),
        ("51-bits", literal(4, &[25, 25], &[51], TERNARY)),
        ("degree-8", literal(3, &[25, 25], &[30], TERNARY)),
        ("degree-2-to-the-18", literal(18, &[25, 25], &[30], TERNARY)),
        ("weight-without-distribution", literal(4, &[25, 25], &[30], [0, 1, 0, 0, 0, 1])),
        ("unknown-distribution", literal(4, &[25, 25], &[30], [2, 0, 0, 0, 0, 1])),
        ("unknown-security", literal(4, &[25, 25], &[30], [0, 0, 0, 0, 0, 2])),
        ("secure", literal(17, &[25, 25], &[30], [0; 6])),
        ("sparse-and-secure", literal(17, &[25, 25], &[30], [1, 1, 0, 0, 0, 0])),
        ("65-primes", literal(4, &[25; 65], &[30], TERNARY)),
        ("name-too-long", vec![255, b'x']),
        ("name-not-utf-8", vec![1, 255]),
        ("name-with-escape", [&b"\x06test-\x1b\x04\x02\x01\x19\x19\x19"[..], &TERNARY].concat()),
    ];
    let bodies: Vec<_> = bodies.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    let made = [
        ("literal", vec![9, 4, 2, 1, 9, 1, 16, 0, 0, 0, 0, 1]),
        ("of-weight", vec![9, 4, 2, 1, 9, 1, 16, 1, 7, 0, 0, 1]),
    ];
    wire(golden!["parameters" "parameters-of-weight-9"], &made, &bodies)
}

/// Returns an array file of version 1.
fn array(descr: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), values].concat()
}

fn npy() -> Vec<Case> {
    let raw = |file: Vec<u8>| [&[0, 0][..], &file].concat();
    let mut cases: Vec<Case> = [
        ("features", array("<f4", "(2, 3)", &[0; 24])),
        ("labels", array("|u1", "(2,)", &[0, 1])),
        ("flags", array("|b1", "(2,)", &[1, 0])),
        ("names", array("<U2", "(2,)", &[97, 0, 0, 0, 0, 0, 0, 0, 233, 0, 0, 0, 98, 0, 0, 0])),
        ("names-as-bytes", array("|S2", "(2,)", b"a\0\xc3\xa9")),
        ("objects", array("|O", "(2,)", b"\x80\x03cnumpy.core.multiarray\n_reconstruct\n")),
        ("records", array("', [('a', '<f4')], '", "(2,)", &[])),
        ("2-to-the-62", array("|u1", "(2305843009213693952, 2)", &[])),
        ("2-to-the-96", array("|u1", "(4294967296, 4294967296, 4294967296)", &[])),
        ("0-by-2-to-the-64", array("<f8", "(18446744073709551615, 0)", &[])),
        ("long-text", array("<U16385", "(1,)", &[])),
        ("text-of-2-to-the-64", array("<U18446744073709551615", "(1,)", &[])),
        ("escapes", array("\\x3cf4\\0\\777\\u20ac\\U0001F600\\N{BULLET}", "(1L, 1)", &[])),
        ("terminal", array("\x1b[31m", "(1,)", &[])),
        ("deep", array("<f4", &"(".repeat(5000), &[])),
        ("version-2", b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec()),
        ("version-9", b"\x93NUMPY\x09\x00".to_vec()),
        ("empty", Vec::new()),
    ]
    .into_iter()
    .map(|(name, file)| (name.to_owned(), raw(file)))
    .collect();
    let eight = |value: f64| value.to_le_bytes();
    let values = [eight(1.5), eight(-0.0), eight(1e39), eight(f64::NAN), [255; 8], [0x80; 8]].concat();
    for kind in 0u8..12 {
        for style in [0, kind.wrapping_mul(37).wrapping_add(1)] {
            let head = [1, style, kind, style, 1, 2];
            cases.push((format!("written-{kind}-{style}"), [&head[..], &values].concat()));
        }
    }
    for style in 0u8..6 {
        let head = [3, 41 * style, style, 3, 4];
        let codes: Vec<u8> = (0..40).map(|i| i * (style + 1)).collect();
        cases.push((format!("written-names-{style}"), [&head[..], &codes].concat()));
    }
    cases
}

fn npz() -> Vec<Case> {
    let (features, labels) = (array("|u1", "(2, 1)", &[3, 4]), array("|u1", "(2,)", &[0, 1]));
    let names = array("<U1", "(2,)", &[97, 0, 0, 0, 98, 0, 0, 0]);
    let train = |labels| [("features_train.npy", &features[..]), ("labels_train.npy", labels)];
    let val = [("features_val.npy", &features[..]), ("labels_val.npy", &labels[..])];
    let whole = archive(&train(&labels), false);
    let mut changed = whole.clone();
    changed[60] ^= 1;
    // The directory has sizes of four gigabytes; the last entry stands before the names of both
    // members.
    let mut large = whole.clone();
    let at = large.windows(4).rposition(|window| window == b"PK\x01\x02").expect("a directory");
    large[at + 20..at + 28].fill(0xF0);
    let record = [&b"PK\x05\x06"[..], &[0; 4], &[0xFF; 12], &[0; 2]].concat();
    [
        ("stored", whole.clone()),
        ("deflated", archive(&train(&labels), true)),
        ("names", archive(&train(&names), true)),
        ("validation", archive(&[train(&labels), val].concat(), false)),
        ("names-and-numbers", archive(&[train(&names), val].concat(), true)),
        ("no-suffix", archive(&[("features_train", &features[..]), ("labels_train", &labels[..])], true)),
        ("no-labels", archive(&[("features_train.npy", &features[..])], false)),
        ("twice", archive(&[train(&labels), train(&names)].concat(), false)),
        ("empty", archive(&[], false)),
        ("cut", whole[..whole.len() - 9].to_vec()),
        ("check-sum", changed),
        ("large", large),
        ("zip64", [&b"PK\x06\x07"[..], &[0; 16], &record].concat()),
        ("no-directory", record),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .to_vec()
}

fn texts(cases: &[(&str, &str)]) -> Vec<Case> {
    cases.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
}

fn settings() -> Vec<Case> {
    texts(&[
        ("empty", ""),
        (
            "all",
            "preset = \"test-10\"\nmode = \"paper\"\nmethod = \"sgd\"\nlearning_rate = 0.5\nbatch = 8\nepochs = 2\n\
             patience = 1\nlogit_range = 8.0\nweight_range = 2\nsoftmax_error = 1e-3\ncheckpoint_steps = 4\n",
        ),
        ("nan", "learning_rate = nan\n"),
        ("infinite", "learning_rate = -inf\nlogit_range = +inf\n"),
        ("overflow", "softmax_error = 1e999\nbatch = 9223372036854775807\n"),
        ("negative", "epochs = -1\n"),
        ("radix", "epochs = 0x1_0\nbatch = 0b11\n"),
        ("unknown", "# comment\nlearning-rate = 1\n"),
        ("twice", "batch = 1\nbatch = 2\n"),
        ("table", "[preset]\nname = 1\n"),
        ("date", "preset = 1979-05-27T07:32:00Z\n"),
        ("terminal", "\"\\u001b[31m\" = 1\n"),
        ("control", "batch = \u{1b}[31m\n"),
        ("unfinished", "preset = \"\"\"\n"),
        ("deep", &format!("batch = {}", "[".repeat(1000))),
        ("dotted", &format!("a{} = 1", ".a".repeat(1000))),
    ])
}

fn job() -> Vec<Case> {
    let job = |config: &str, shape: &str, hash: &str| {
        format!(r#"{{"config":{config},"shape":{shape},"hash":{hash},"keys":{{keys}}}}"#)
    };
    let shape = |rows: u64| format!(r#"{{"rows":{rows},"features":2,"classes":2}}"#);
    let zeros = format!("{:?}", [0; 16]);
    texts(&[
        ("good", &job("{config}", &shape(8), "{job}")),
        ("other-hash", &job("{config}", &shape(8), &zeros)),
        ("short-hash", &job("{config}", &shape(8), "[0]")),
        ("many-rows", &job("{config}", &shape(u64::from(u32::MAX)), &zeros)),
        ("rows-of-2-to-the-64", &job("{config}", &shape(u64::MAX), &zeros)),
        ("defaults", &job("{}", &shape(8), &zeros)),
        ("unknown", &job(r#"{"\u001b[31m":1}"#, &shape(8), &zeros)),
        ("empty", ""),
        ("deep", &"[".repeat(1000)),
    ])
}

fn manifest() -> Vec<Case> {
    let manifest = |rows: &str, files: &str| {
        format!(r#"{{"job":{{job}},"keys":{{keys}},"rows":[{rows}],"normaliser":null,"files":{{{files}}}}}"#)
    };
    // The SHA-256 of an empty file.
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let file = |name: &str| format!(r#""{name}":"{empty}""#);
    let all = ["start.ct", "train-00000.ct", "train-00001.ct", "val-00000.ct", "test-00000.ct"].map(file).join(",");
    texts(&[
        ("good", &manifest("8,4,1", &all)),
        ("no-rows", &manifest("0,0,0", &file("start.ct"))),
        ("no-files", &manifest("8,0,0", "")),
        ("many-rows", &manifest("18446744073709551615,0,0", &all)),
        ("path", &manifest("8,0,0", &[&all, ",", &file("../\\u001b[31m")].concat())),
        (
            "other-job",
            r#"{"job":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0],"keys":{keys},"rows":[8,0,0],"normaliser":null,"files":{}}"#,
        ),
        (
            "other-keys",
            r#"{"job":{job},"keys":"00000000000000000000000000000000","rows":[8,0,0],"normaliser":null,"files":{}}"#,
        ),
        ("empty", ""),
    ])
}

fn model() -> Vec<Case> {
    let header = |epoch: u64| format!(r#"{{"origin":{{origin}},"epoch":{epoch}}}"#);
    let with = |header: &str, rest: &str| [&[1], header.as_bytes(), &[255], rest.as_bytes()].concat();
    [
        ("good", with(&header(1), "{state}")),
        ("cut", with(&header(1), "")),
        ("too-long", with(&header(1), "{state}0")),
        ("other-epoch", with(&header(2), "{state}")),
        ("other", b"0123456789abcdef".to_vec()),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .to_vec()
}

fn checkpoint() -> Vec<Case> {
    let header = |step: &str, epochs: u64, kept: &str| {
        format!(
            r#"{{"origin":{{origin}},"config":{{config}},"step":{step},"epochs":{epochs},"go_on":true,"seconds":1.5,"kept":[{kept}]}}"#
        )
    };
    let with = |header: &str, rest: &str| [&[1], header.as_bytes(), &[255], rest.as_bytes()].concat();
    [
        ("good", with(&header("2", 1, "1"), "{state}{state}")),
        ("first", with(&header("0", 0, ""), "{state}")),
        ("cut", with(&header("2", 1, "1"), "{state}")),
        ("too-long", with(&header("2", 1, ""), "{state}{state}")),
        ("steps-of-2-to-the-64", with(&header("18446744073709551615", 1, ""), "{state}")),
        ("epochs-before-steps", with(&header("0", 7, ""), "{state}")),
        ("many-kept", with(&header("2", 1, &["1"; 2000].join(",")), "")),
        (
            "other-data",
            with(
                &header("2", 1, "1")
                    .replace("{origin}", r#"{"job":{job},"keys":{keys},"data":"\u001b[31m","normaliser":"x"}"#),
                "{state}",
            ),
        ),
        ("long-header", vec![0, 0, 0, 16, 0, b'{']),
        ("empty", Vec::new()),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .to_vec()
}

fn logs() -> Vec<Case> {
    let (server, client) = events();
    texts(&[
        ("server", &server),
        ("client", &client),
        ("both", &format!("{server}{client}")),
        ("torn", &server[..server.len() - 9]),
        ("unfinished", server.trim_end()),
        ("blank-line", &format!("{server}\n")),
        ("unknown", "{\"event\":\"\\u001b[31m\"}\n"),
        ("control", "\u{1b}[31m\n"),
        ("deep", &format!("{}\n", "[".repeat(1000))),
        ("empty", ""),
    ])
}

/// Returns lines of both logs.
fn events() -> (String, String) {
    let phase = r#"{"name":"load","seconds":0.5,"bootstrap_seconds":0.0,"bootstraps":0,"level":3,"log_scale":30.0}"#;
    let server = [
        r#"{"event":"start","unix_time":1700000000,"preset":"test-10","insecure":true,"mode":"fast","rows":8,"features":2,"classes":2,"batch":4,"steps_per_epoch":2,"epochs":1,"logit_range":8.0,"key_bytes":1000,"predicted_step_seconds":0.5,"predicted_memory_bytes":1000,"first_step":0,"threads":2}"#.to_owned(),
        format!(
            r#"{{"event":"step","epoch":1,"step":1,"rows":4,"seconds":0.75,"phases":[{phase}],"bootstraps":1,"level":5,"log_scale":30.0,"memory_bytes":2000}}"#
        ),
        r#"{"event":"epoch","epoch":1,"seconds":1.5,"validation_seconds":0.25,"go_on":false}"#.to_owned(),
        r#"{"event":"checkpoint","step":1,"seconds":0.125,"bytes":3000}"#.to_owned(),
        r#"{"event":"end","steps":1,"epochs":1,"seconds":2.0,"peak_memory_bytes":2000,"reason":"all epochs done"}"#.to_owned(),
    ];
    let quality = r#"{"loss":0.5,"accuracy":0.75,"max_logit":4.0}"#;
    let client = [
        r#"{"event":"weights","step":1,"difference":1e-6,"max_weight":0.5,"max_logit":2.0,"loss":0.25}"#.to_owned(),
        format!(
            r#"{{"event":"validation","epoch":1,"step":1,"encrypted":{quality},"twin":{quality},"exact":null,"go_on":true}}"#
        ),
        format!(r#"{{"event":"test","encrypted":{quality},"twin":null,"exact":{quality},"confusion":[[1,2],[3,4]]}}"#),
    ];
    (server.map(|line| line + "\n").concat(), client.map(|line| line + "\n").concat())
}

fn report() -> Vec<Case> {
    let (server, client) = events();
    let all = server + &client;
    // Each case has an extreme number in some places, or names that are markup.
    let with = |from: &str, to: &str| all.replace(from, to);
    texts(&[
        ("all", &all),
        ("empty", ""),
        ("smallest", &with(":0.", ":5e-324,\"x\":0.")),
        ("smallest-seconds", &with("\"seconds\":0.75", "\"seconds\":5e-324")),
        ("smallest-loss", &with("\"loss\":0.5", "\"loss\":5e-324")),
        ("smallest-difference", &with("1e-6", "5e-324")),
        ("largest", &with("\"seconds\":0.75", "\"seconds\":1.7976931348623157e308")),
        ("largest-logit", &with("\"max_logit\":4.0", "\"max_logit\":-1.7976931348623157e308")),
        ("largest-bytes", &with("2000", "18446744073709551615")),
        ("largest-time", &with("1700000000", "18446744073709551615")),
        ("largest-step", &with("\"step\":1", "\"step\":18446744073709551615")),
        ("largest-counts", &with("[1,2],[3,4]", "[18446744073709551615,18446744073709551615],[]")),
        ("zeros", &with("4.0", "0.0").replace("0.5", "0.0").replace("0.25", "-0.0")),
        ("markup", &with("load", "</text><script>&\\u0000\\u001b\\ud83d\\ude00").replace("test-10", "]]>")),
    ])
}

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let all = [
        ("ntt", ntt()),
        ("base_conversion", base_conversion()),
        ("keyswitch", keyswitch()),
        ("bytes_limb", bytes_limb()),
        ("bytes_key", bytes_key()),
        ("crt", crt()),
        ("wire_parameters", wire_parameters()),
        ("wire_plaintext", wire(golden!["plaintext"], &shapes(&[]), &[])),
        ("wire_ciphertext", wire_ciphertext()),
        ("wire_seeded", wire(golden!["seeded-ciphertext"], &shapes(&[]), &[])),
        ("wire_secret_key", wire_secret_key()),
        (
            "wire_public_key",
            wire(golden!["public-key"], &[("random", pattern(&[RANDOM])), ("edges", pattern(&[MAX, 0]))], &[]),
        ),
        ("wire_evaluation_keys", wire_evaluation_keys()),
        (
            "wire_encapsulation_keys",
            wire(golden!["encapsulation-keys"], &[("random", pattern(&[RANDOM])), ("edges", pattern(&[MAX, 0]))], &[]),
        ),
    ];
    let all = all.into_iter().chain([
        ("npy", npy()),
        ("npz", npz()),
        ("settings", settings()),
        ("job", job()),
        ("manifest", manifest()),
        ("checkpoint", checkpoint()),
        ("model", model()),
        ("logs", logs()),
        ("report", report()),
    ]);
    for (target, cases) in all {
        fs::create_dir_all(corpus.join(target)).expect("a directory");
        for (name, bytes) in cases {
            fs::write(corpus.join(target).join(name), bytes).expect("a file");
        }
    }
}
