//! Tests of packed limbs on every ISA: bit by bit against the layout that the module documents, and
//! their sums against integers.

mod common;

use std::ops::Range;

use common::*;
use hetal_kernel::packed::{BLOCK, Finish, packed_len};
use hetal_kernel::{Modulus, NttTable};
use proptest::prelude::*;

/// Rings of less than a block, of one block, and of several.
const DEGREES: [u32; 5] = [4, 6, 7, 8, 10];

/// Returns the smallest prime, primes on both sides of the border between the two layouts, and the
/// largest one.
fn primes(log_n: u32) -> Vec<Modulus> {
    vec![
        above(log_n, 0),
        below(log_n, 40),
        below(log_n, 42),
        above(log_n, 1 << 42),
        above(log_n, 1 << 49),
        below(log_n, 50),
    ]
}

fn tables(modulus: Modulus, log_n: u32) -> Vec<NttTable> {
    isas().into_iter().map(|isa| NttTable::with_isa(modulus, log_n, isa).expect("a table")).collect()
}

/// Returns (C, B) of the module's documentation.
fn layout(q: u64) -> (usize, usize) {
    if q >> 42 == 0 { (2, 21) } else { (4, 13) }
}

/// Returns residue i of packed words, put together bit by bit as the documentation says.
fn stored(q: u64, words: &[u64], i: usize) -> u64 {
    let (c, bits) = layout(q);
    let words_of_block = 8 * (16 - 16 / (c + 1));
    let (block, vector, lane) = (i / 128, i % 128 / 8, i % 8);
    let word = |k: usize| words[block * words_of_block + 8 * k + lane];
    let (group, place) = (vector / (c + 1), vector % (c + 1));
    let bit = |b: usize| match () {
        () if place == c => word(c * group + b / bits) >> (64 - bits + b % bits) & 1,
        () if vector == 15 => word(words_of_block / 8 - 1) >> b & 1,
        () if b + bits < 64 => word(c * group + place) >> b & 1,
        () => 0,
    };
    (0..c * bits).map(|b| bit(b) << b).sum()
}

/// Returns integers of absolute value at most q, in pieces of n: first those where signs and
/// reductions turn, then random ones.
fn values(q: u64, n: usize) -> Vec<Vec<f64>> {
    let (half, whole) = ((q / 2) as f64, q as f64);
    let mut values: Vec<_> = [0.0, 1.0, 2.0, half - 1.0, half, half + 1.0, half + 2.0, whole - 1.0, whole].to_vec();
    values.extend(values.clone().iter().map(|x| 0.0 - x));
    let mut rng = rng(q);
    while values.len() % n != 0 || values.len() < 2 * n {
        values.extend(random_centred(q, 1, &mut rng));
    }
    values.chunks(n).map(<[f64]>::to_vec).collect()
}

/// Packing gives the words of the documented layout, and unpacking gives back the centred residues.
#[test]
fn words_are_as_documented() {
    for log_n in degrees(DEGREES) {
        for modulus in primes(log_n) {
            let (q, n) = (modulus.value(), 1 << log_n);
            let (c, _) = layout(q);
            assert_eq!(packed_len(&modulus, n), n.div_ceil(128) * if c == 2 { 88 } else { 104 });
            for values in values(q, n) {
                let mut bits = SameBits::default();
                for table in tables(modulus, log_n) {
                    let what = format!("q = {q}, N = {n}, {}", table.isa());
                    let mut words = vec![u64::MAX; packed_len(&modulus, n)];
                    table.pack_into(&values, &mut words);
                    let found: Vec<_> = (0..n).map(|i| stored(q, &words, i)).collect();
                    let expected: Vec<_> = values.iter().map(|&x| residue(q, x + (q / 2) as f64)).collect();
                    assert_same(&found, &expected, &what);
                    let mut unpacked = vec![f64::NAN; n];
                    table.unpack_into(&words, &mut unpacked);
                    let expected: Vec<_> = values.iter().map(|&x| centre(q, residue(q, x))).collect();
                    assert_same(&unpacked, &expected, &what);
                    check_centred(q, &unpacked);
                    bits.check(table.isa(), &unpacked);
                }
            }
        }
    }
}

/// The operands of a [`Finish`]: none, one to add, one to subtract (each with its constant), or
/// both.
struct Operands {
    add: Option<(Vec<f64>, u64)>,
    divide: Option<(Vec<f64>, u64)>,
}

impl Operands {
    /// Returns all four combinations of the given operands and constants.
    fn all(x: &[f64], w: u64, c: &[f64], v: u64) -> [Self; 4] {
        let (add, divide) = (Some((x.to_vec(), w)), Some((c.to_vec(), v)));
        [(None, None), (add.clone(), None), (None, divide.clone()), (add, divide)]
            .map(|(add, divide)| Self { add, divide })
    }

    /// Returns the operands at these values.
    fn at(&self, range: Range<usize>) -> Finish<'_> {
        let [add, divide] =
            [&self.add, &self.divide].map(|x| x.as_ref().map(|(x, w)| (&x[range.start..range.end], *w)));
        Finish { add, divide }
    }

    /// Returns what becomes of `sum` at value i, computed in integers.
    fn of(&self, q: u64, sum: u64, i: usize) -> u64 {
        let sum = self.add.as_ref().map_or(sum, |(x, w)| add_mod(q, sum, mul_mod(q, residue(q, x[i]), *w)));
        self.divide.as_ref().map_or(sum, |(x, w)| mul_mod(q, add_mod(q, sum, residue(q, 0.0 - x[i])), *w))
    }
}

fn add_mod(q: u64, a: u64, b: u64) -> u64 {
    ((u128::from(a) + u128::from(b)) % u128::from(q)) as u64
}

/// Checks Σ aᵢ·bᵢ with these operands on every ISA against integers. The result starts as garbage.
fn check_dot(modulus: Modulus, log_n: u32, a: &[Vec<f64>], b: &[Vec<f64>], operands: &Operands) {
    let (q, n) = (modulus.value(), 1 << log_n);
    let product = |i: usize, j: usize| mul_mod(q, residue(q, a[j][i]), residue(q, b[j][i]));
    let sum = |i| (0..a.len()).fold(0, |sum, j| add_mod(q, sum, product(i, j)));
    let expected: Vec<_> = (0..n).map(|i| operands.of(q, sum(i), i)).collect();
    let mut bits = SameBits::default();
    for table in tables(modulus, log_n) {
        let what = format!("{} terms, q = {q}, N = {n}, {}", a.len(), table.isa());
        let mut packed = vec![vec![0; packed_len(&modulus, n)]; b.len()];
        packed.iter_mut().zip(b).for_each(|(words, b)| table.pack_into(b, words));
        let a: Vec<_> = a.iter().map(|a| &a[..]).collect();
        let b: Vec<_> = packed.iter().map(|b| &b[..]).collect();
        let mut out = vec![f64::NAN; n];
        table.dot_packed_into(&mut out, &a, &b, operands.at(0..n));
        assert_same(&check_centred(q, &out), &expected, &what);
        bits.check(table.isa(), &out);
        // Piece by piece, the result is the same.
        let words = packed_len(&modulus, BLOCK);
        for (k, out) in out.chunks(BLOCK).enumerate() {
            let a: Vec<_> = a.iter().map(|a| a.chunks(BLOCK).nth(k).expect("a piece")).collect();
            let b: Vec<_> = b.iter().map(|b| b.chunks(words).nth(k).expect("a piece")).collect();
            let mut piece = vec![f64::NAN; out.len()];
            table.dot_packed_into(&mut piece, &a, &b, operands.at(k * BLOCK..k * BLOCK + out.len()));
            assert_same(&piece, out, format!("piece {k}, {what}"));
        }
    }
}

/// Sums of random and of maximal products, with all combinations of operands, against integers.
#[test]
fn sums_of_any_number_of_products() {
    let counts: &[usize] = if thorough() { &[1, 2, 3, 4, 5, 7, 8, 9, 13] } else { &[1, 4, 9] };
    for log_n in degrees(DEGREES) {
        for modulus in primes(log_n) {
            let (q, n) = (modulus.value(), 1 << log_n);
            let (mut rng, half) = (rng(q), (q / 2) as f64);
            for &terms in counts {
                let mut random = || -> Vec<Vec<f64>> { (0..terms).map(|_| random_centred(q, n, &mut rng)).collect() };
                let (a, b, x, c) = (random(), random(), random(), random());
                let constant = |x: &[f64]| residue(q, x[0]);
                for operands in Operands::all(&x[0], constant(&c[0]), &c[0], constant(&x[0])) {
                    check_dot(modulus, log_n, &a, &b, &operands);
                }
                // The largest sums of either sign, with the largest operands and constants.
                for sign in [1.0, -1.0] {
                    let (a, b) = (vec![vec![extreme(q); n]; terms], vec![vec![sign * half; n]; terms]);
                    let (x, c) = (vec![extreme(q); n], vec![-sign * extreme(q); n]);
                    let w = residue(q, sign * half);
                    for v in [1, q / 2, q - 1] {
                        for operands in Operands::all(&x, w, &c, v) {
                            check_dot(modulus, log_n, &a, &b, &operands);
                        }
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(config(64))]

    /// Packed words do not depend on the representative, and random sums are those of the integers.
    #[test]
    fn representatives(seed: u64, which in 0usize..6, terms in 1usize..6) {
        let (log_n, mut rng) = (8, rng(seed));
        let modulus = primes(log_n)[which];
        let (q, n) = (modulus.value(), 1 << log_n);
        let mut random = || -> Vec<Vec<f64>> { (0..terms).map(|_| random_centred(q, n, &mut rng)).collect() };
        let (a, b) = (random(), random());
        for operands in Operands::all(&b[0], residue(q, a[0][0]), &a[0], residue(q, b[0][0])) {
            check_dot(modulus, log_n, &a, &b, &operands);
        }
        let other = |x: &f64| if *x > 0.0 { x - q as f64 } else { x + q as f64 };
        let table = NttTable::new(modulus, log_n).expect("a table");
        for b in &b {
            let [mut words, mut again] = [(); 2].map(|()| vec![0; packed_len(&modulus, n)]);
            table.pack_into(b, &mut words);
            table.pack_into(&b.iter().map(other).collect::<Vec<_>>(), &mut again);
            prop_assert_eq!(words, again);
        }
    }
}

/// Slices of a wrong length make packing, unpacking and sums panic.
#[test]
fn shapes_are_checked() {
    let log_n = 8;
    for modulus in [below(log_n, 40), below(log_n, 50)] {
        let (table, n, len) = (NttTable::new(modulus, log_n).expect("a table"), 256, packed_len(&modulus, 256));
        let (values, words) = (vec![0.0; n + 1], vec![0; len + 1]);
        for (wrong, wrong_len) in [(n - 1, len), (n + 1, len), (n, len - 1), (n, len + 1)] {
            assert!(panics(|| table.pack_into(&values[..wrong], &mut words.clone()[..wrong_len])));
            assert!(panics(|| table.unpack_into(&words[..wrong_len], &mut values.clone()[..wrong])));
            assert!(panics(|| table.dot_packed_into(
                &mut values.clone()[..n],
                &[&values[..wrong]],
                &[&words[..wrong_len]],
                Finish::default()
            )));
        }
        let finish = |len: usize, finish: Finish<'_>, a: &[&[f64]], b: &[&[u64]]| {
            panics(|| table.dot_packed_into(&mut vec![0.0; len], a, b, finish))
        };
        for wrong in [0, n - 1, n + 1] {
            let operand = Some((&values[..wrong], 1));
            for operands in
                [Finish { add: operand, ..Finish::default() }, Finish { divide: operand, ..Finish::default() }]
            {
                assert!(finish(n, operands, &[&values[..n]], &[&words[..len]]));
            }
        }
        let dot = |len: usize, a: &[&[f64]], b: &[&[u64]]| finish(len, Finish::default(), a, b);
        assert!(!dot(n, &[&values[..n]], &[&words[..len]]) && !dot(128, &[&values[..128]], &[&words[..len / 2]]));
        // These are lists of different lengths, empty lists, and a piece that is cut through a
        // block.
        assert!(dot(n, &[&values[..n]; 2], &[&words[..len]]) && dot(n, &[&values[..n]], &[&words[..len]; 2]));
        assert!(dot(n, &[], &[]));
        assert!(dot(64, &[&values[..64]], &[&words[..len / 2]]));
    }
}
