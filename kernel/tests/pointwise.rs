//! Tests of every pointwise operation against integers, on every ISA, with operands as far out as
//! the kernel's own results may be.

mod common;

use common::*;
use hetal_kernel::{Isa, Modulus, NttTable};
use proptest::prelude::*;
use rand_core::Rng;

type Binary = fn(&NttTable, &mut [f64], &[f64]);
type Definition = fn(i128, i128) -> i128;

/// Returns x mod q of an exact result.
fn reduced(q: u64, x: i128) -> u64 {
    x.rem_euclid(i128::from(q)) as u64
}

fn exact(x: f64) -> i128 {
    assert!(x.fract() == 0.0);
    x as i128
}

/// Returns the tables of all ISAs for one prime.
fn tables(modulus: Modulus, log_n: u32) -> Vec<(Isa, NttTable)> {
    let table = |isa| (isa, NttTable::with_isa(modulus, log_n, isa).expect("a table"));
    isas().into_iter().map(table).collect()
}

/// Degrees for which every ISA has its own code, and degrees at which ISAs fall back.
const DEGREES: [u32; 4] = [4, 5, 6, 7];

/// Returns centred residues out to q/2 + 2 at which reductions, quotients and signs turn.
fn edges(q: u64) -> Vec<f64> {
    let half = (q / 2) as f64;
    let mut edges: Vec<_> = [0.0, 1.0, 2.0, half - 1.0, half, half + 1.0, extreme(q)].to_vec();
    edges.extend(edges.clone().iter().skip(1).map(|x| -x));
    edges
}

/// Returns operands of a function of three arguments, in pieces of n: all pairs of the edges with
/// further edges, then random operands.
fn operands(q: u64, n: usize) -> Vec<[Vec<f64>; 3]> {
    let edges = edges(q);
    let mut triples: Vec<_> = edges
        .iter()
        .flat_map(|&a| edges.iter().flat_map(move |&b| [[a, b], [b, a]]))
        .map(|[a, b]| [a, b, 0.0])
        .collect();
    triples.iter_mut().enumerate().for_each(|(i, triple)| triple[2] = edges[i * 5 % edges.len()]);
    let extreme = extreme(q);
    triples.extend([1.0, -1.0].map(|sign| [sign * extreme; 3]));
    triples.extend([[extreme, -extreme, extreme], [extreme, extreme, -extreme], [-extreme, extreme, extreme]]);
    let mut rng = rng(q);
    while triples.len() % n != 0 || triples.len() < 1000 {
        triples.push([(); 3].map(|()| centre(q, rng.next_u64() % q)));
    }
    triples.chunks(n).map(|piece| [0, 1, 2].map(|k| piece.iter().map(|triple| triple[k]).collect())).collect()
}

/// Checks one operation against its definition in integers. `run` gets a table and three operands
/// and returns the result.
fn check(
    what: &str,
    tables: &[(Isa, NttTable)],
    operands: &[[Vec<f64>; 3]],
    run: impl Fn(&NttTable, &[Vec<f64>; 3]) -> Vec<f64>,
    definition: impl Fn(i128, i128, i128) -> i128,
) {
    let q = tables[0].1.modulus().value();
    for operands in operands {
        let [a, b, c] = operands;
        let expected: Vec<_> =
            (0..a.len()).map(|i| reduced(q, definition(exact(a[i]), exact(b[i]), exact(c[i])))).collect();
        let mut bits = SameBits::default();
        for (isa, table) in tables {
            let result = run(table, operands);
            assert_same(&check_centred(q, &result), &expected, format!("{what}, q = {q}, N = {}, {isa}", table.n()));
            bits.check(table.isa(), &result);
        }
    }
}

/// Returns constants in [0, q).
fn constants(q: u64) -> [u64; 7] {
    [0, 1, 2, q / 2, q / 2 + 1, q - 2, q - 1]
}

fn check_all(tables: &[(Isa, NttTable)], operands: &[[Vec<f64>; 3]]) {
    let q = tables[0].1.modulus().value();
    let binary: [(&str, Binary, Definition); 4] = [
        ("add_assign", NttTable::add_assign, |a, b| a + b),
        ("sub_assign", NttTable::sub_assign, |a, b| a - b),
        ("sub_reverse_assign", NttTable::sub_reverse_assign, |a, b| b - a),
        ("mul_assign", NttTable::mul_assign, |a, b| a * b),
    ];
    for (what, operation, definition) in binary {
        let run = |table: &NttTable, [a, b, _]: &[Vec<f64>; 3]| {
            let mut x = a.clone();
            operation(table, &mut x, b);
            x
        };
        check(what, tables, operands, run, |a, b, _| definition(a, b));
    }
    let run = |table: &NttTable, [a, b, c]: &[Vec<f64>; 3]| {
        let mut x = a.clone();
        table.mul_add_assign(&mut x, b, c);
        x
    };
    check("mul_add_assign", tables, operands, run, |a, b, c| a + b * c);
    let run = |table: &NttTable, [a, _, _]: &[Vec<f64>; 3]| {
        let mut x = a.clone();
        table.neg_assign(&mut x);
        // This holds exactly, not only modulo q.
        assert!(x.iter().zip(a).all(|(x, a)| *x == -a));
        x
    };
    check("neg_assign", tables, operands, run, |a, _, _| -a);
    for constant in constants(q) {
        let c = i128::from(constant);
        let run = |table: &NttTable, [a, _, _]: &[Vec<f64>; 3]| {
            let mut x = a.clone();
            table.mul_scalar_assign(&mut x, constant);
            x
        };
        check("mul_scalar_assign", tables, operands, run, |a, _, _| a * c);
        let run = |table: &NttTable, [a, _, _]: &[Vec<f64>; 3]| {
            let mut x = a.clone();
            table.add_scalar_assign(&mut x, constant);
            x
        };
        check("add_scalar_assign", tables, operands, run, |a, _, _| a + c);
        let run = |table: &NttTable, [a, b, _]: &[Vec<f64>; 3]| {
            let mut x = a.clone();
            table.sub_mul_scalar_assign(&mut x, b, constant);
            x
        };
        check("sub_mul_scalar_assign", tables, operands, run, |a, b, _| (a - b) * c);
        let run = |table: &NttTable, [a, b, _]: &[Vec<f64>; 3]| {
            let mut x = a.clone();
            table.mul_scalar_add_assign(&mut x, b, constant);
            x
        };
        check("mul_scalar_add_assign", tables, operands, run, |a, b, _| a + b * c);
    }
}

/// All operations on operands at the edges, for primes of every size, against integers.
#[test]
fn operations_at_the_edges() {
    for log_n in DEGREES {
        for modulus in moduli(log_n) {
            let tables = tables(modulus, log_n);
            check_all(&tables, &operands(modulus.value(), 1 << log_n));
        }
    }
}

proptest! {
    #![proptest_config(config(100))]
    /// All operations on random operands, against integers.
    #[test]
    fn operations_on_any_operands(prime in 0usize..16, words in proptest::collection::vec(any::<u64>(), 3 * 128)) {
        let moduli = moduli(7);
        let modulus = moduli[prime % moduli.len()];
        let q = modulus.value();
        // The operands are any integers within q/2 + 2.
        let span = 2 * extreme(q) as u64 + 1;
        let operand = |k: usize| words[128 * k..][..128].iter().map(|x| (x % span) as f64 - extreme(q)).collect();
        check_all(&tables(modulus, 7), &[[operand(0), operand(1), operand(2)]]);
    }
}

// ---- canonical words ----

/// Products of canonical words against u128 arithmetic.
#[test]
fn products_of_canonical_words() {
    for log_n in DEGREES {
        for modulus in moduli(log_n) {
            let (q, n) = (modulus.value(), 1usize << log_n);
            let tables = tables(modulus, log_n);
            let mut rng = rng(q);
            let mut pairs: Vec<_> = constants(q).iter().flat_map(|&a| constants(q).map(|b| (a, b))).collect();
            pairs.resize_with(256, || (rng.next_u64() % q, rng.next_u64() % q));
            for pairs in pairs.chunks(n) {
                let (a, b): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
                let expected: Vec<_> = pairs.iter().map(|&(a, b)| mul_mod(q, a, b)).collect();
                for (isa, table) in &tables {
                    let mut x = a.clone();
                    table.mul_assign_u64(&mut x, &b);
                    assert_same(&x, &expected, format!("q = {q}, N = {n}, {isa}"));
                }
            }
        }
    }
}

/// Floats become canonical words, and words become centred floats, as the `%` of integers says.
#[test]
fn words_and_floats() {
    for log_n in DEGREES {
        for modulus in moduli(log_n) {
            let (q, n) = (modulus.value(), 1usize << log_n);
            let tables = tables(modulus, log_n);
            let mut rng = rng(q);

            // Any integer within 2^53 becomes canonical.
            let largest = 1i64 << 53;
            let multiple = largest / q as i64 * q as i64;
            let mut x = vec![0, 1, -1, largest, 1 - largest, largest - 1, -largest];
            for near in [q as i64 / 2, q as i64, multiple, multiple / 2, -multiple, multiple - q as i64 / 2] {
                x.extend([near - 1, near, near + 1, -near]);
            }
            x.retain(|x| x.abs() <= largest);
            x.resize_with(256, || (rng.next_u64() as i64) >> 10);
            for x in x.chunks(n) {
                let floats: Vec<_> = x.iter().map(|&x| x as f64).collect();
                for (isa, table) in &tables {
                    let mut words = vec![u64::MAX; n];
                    table.to_u64(&floats, &mut words);
                    assert_same(&words, &residues(q, &floats), format!("to_u64, q = {q}, {isa}"));
                }
            }
            // −0 is 0.
            for (isa, table) in &tables {
                let mut words = vec![u64::MAX; n];
                table.to_u64(&vec![-0.0; n], &mut words);
                assert_same(&words, &vec![0; n], format!("to_u64(-0), q = {q}, {isa}"));
            }

            // Any word below 2^52 becomes centred.
            let mut x: Vec<_> = constants(q).to_vec();
            x.extend([q, q + 1, 2 * q - 1, (1 << 52) - 1, (1 << 52) - 2, 1 << 51]);
            x.resize_with(256, || rng.next_u64() >> 12);
            for x in x.chunks(n) {
                let expected: Vec<_> = x.iter().map(|x| x % q).collect();
                let mut bits = SameBits::default();
                for (isa, table) in &tables {
                    let mut floats = vec![f64::NAN; n];
                    table.from_u64(x, &mut floats);
                    assert_same(&check_centred(q, &floats), &expected, format!("from_u64, q = {q}, {isa}"));
                    bits.check(table.isa(), &floats);
                }
            }
        }
    }
}

// ---- sums of products ----

/// Checks `dot_into` on every ISA against integers. The results start as garbage.
fn check_dot<const OUT: usize>(what: &str, tables: &[(Isa, NttTable)], a: &[Vec<f64>], b: &[Vec<f64>]) {
    let (q, n, terms) = (tables[0].1.modulus().value(), tables[0].1.n(), a.len());
    // Sum k takes the second factors in the order b_k, b_{k+1}, …, so that all sums differ.
    let factor = |k: usize, j: usize| &b[(j + k) % terms];
    let expected: Vec<Vec<_>> = (0..OUT)
        .map(|k| {
            let sum = |i: usize| (0..terms).map(|j| exact(a[j][i]) * exact(factor(k, j)[i])).sum();
            (0..n).map(|i| reduced(q, sum(i))).collect()
        })
        .collect();
    let mut bits: Vec<_> = expected.iter().map(|_| SameBits::default()).collect();
    for (isa, table) in tables {
        let mut out: [Vec<f64>; OUT] = std::array::from_fn(|_| vec![f64::NAN; n]);
        let a: Vec<_> = a.iter().map(|a| &a[..]).collect();
        let b: [Vec<_>; OUT] = std::array::from_fn(|k| (0..terms).map(|j| &factor(k, j)[..]).collect());
        table.dot_into(out.each_mut().map(|out| &mut out[..]), &a, b.each_ref().map(|b| &b[..]));
        for (k, out) in out.iter().enumerate() {
            let what = format!("{what}: sum {k} of {OUT}, {terms} terms, q = {q}, N = {n}, {isa}");
            assert_same(&check_centred(q, out), &expected[k], what);
            bits[k].check(table.isa(), out);
        }
    }
}

fn check_dots(what: &str, tables: &[(Isa, NttTable)], a: &[Vec<f64>], b: &[Vec<f64>]) {
    check_dot::<1>(what, tables, a, b);
    check_dot::<2>(what, tables, a, b);
    check_dot::<3>(what, tables, a, b);
}

/// Returns factors close to `extreme` for which the sum of the rounded-off parts grows fastest: the
/// products are rounded by as much as possible, and always in the same direction, when they are
/// added up as the kernel's documentation says ("Sums of products").
fn hard_to_round(extreme: f64, terms: usize, rng: &mut impl Rng) -> Vec<[f64; 2]> {
    let near = ((extreme / 16.0) as u64).clamp(1, 1 << 40);
    let (mut high, mut low) = (1.5 * 2f64.powi(102), 0.0);
    let term = |_| {
        let candidates = (0..200).map(|_| [(); 2].map(|()| extreme - (rng.next_u64() % near) as f64));
        let added = |&[a, b]: &[f64; 2]| {
            let sum = a.mul_add(b, high);
            (sum, low - (-a).mul_add(b, sum - high))
        };
        let best = candidates.max_by(|x, y| added(x).1.total_cmp(&added(y).1)).expect("candidates");
        (high, low) = added(&best);
        best
    };
    (0..terms).map(term).collect()
}

/// Sums of up to 20 products of the largest operands, and of those that are hardest to round,
/// against integers.
#[test]
fn sums_of_maximal_products() {
    let (log_n, largest) = (7, if thorough() { 20 } else { 10 });
    for modulus in [below(log_n, 50), above(log_n, 1 << 49), below(log_n, 49), below(log_n, 30), above(log_n, 0)] {
        let (q, n) = (modulus.value(), 1 << log_n);
        let tables = tables(modulus, log_n);
        let mut rng = rng(q);
        let pairs: Vec<_> = (0..n).map(|_| hard_to_round(extreme(q), largest, &mut rng)).collect();
        for terms in 1..=largest {
            for sign in [1.0, -1.0] {
                let all = |x: f64| vec![vec![x; n]; terms];
                check_dots("q/2 + 2", &tables, &all(extreme(q)), &all(sign * extreme(q)));
                let half = (q / 2) as f64;
                check_dots("(q - 1)/2", &tables, &all(half), &all(sign * half));
                // Only one order of the factors is checked: they were searched as pairs.
                let part = |k: usize, sign: f64| -> Vec<Vec<f64>> {
                    (0..terms).map(|j| pairs.iter().map(|pairs| sign * pairs[j][k]).collect()).collect()
                };
                check_dot::<1>("hard to round", &tables, &part(0, 1.0), &part(1, sign));
            }
        }
    }
}

/// Sums of 0 to 25 products, random and at the edges, against integers.
#[test]
fn sums_of_any_number_of_products() {
    for log_n in DEGREES {
        for modulus in [above(log_n, 0), below(log_n, 40), below(log_n, 50)] {
            let (q, n) = (modulus.value(), 1 << log_n);
            let tables = tables(modulus, log_n);
            let mut rng = rng(q);
            let edges = edges(q);
            for terms in [0, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 24, 25] {
                let mut random = || -> Vec<Vec<f64>> { (0..terms).map(|_| random_centred(q, n, &mut rng)).collect() };
                let (a, b) = (random(), random());
                check_dots("random", &tables, &a, &b);
                let pick = |step: usize| -> Vec<Vec<f64>> {
                    let limb = |j: usize| (0..n).map(|i| edges[(step * (i + 3 * j) + i / 5) % edges.len()]).collect();
                    (0..terms).map(limb).collect()
                };
                check_dots("edges", &tables, &pick(1), &pick(5));
            }
        }
    }
}

fn slices(x: &[Vec<f64>], range: std::ops::Range<usize>) -> Vec<&[f64]> {
    x.iter().map(|x| &x[range.clone()]).collect()
}

/// A sum with runs is that of [`NttTable::dot_into`] with every value written as often as it
/// counts; piece by piece, sums are the same.
#[test]
fn sums_of_products_with_runs() {
    for log_n in DEGREES {
        let modulus = below(log_n, 50);
        let (q, n, mut rng) = (modulus.value(), 1 << log_n, rng(log_n.into()));
        for terms in [1, 3, 8, 17] {
            for run in [8, 16, 64].into_iter().filter(|&run| run <= n) {
                let heads: Vec<_> = (0..terms).map(|_| random_centred(q, n / run, &mut rng)).collect();
                let b: Vec<_> = (0..terms).map(|_| random_centred(q, n, &mut rng)).collect();
                let full: Vec<Vec<f64>> = heads.iter().map(|heads| (0..n).map(|i| heads[i / run]).collect()).collect();
                for (isa, table) in tables(modulus, log_n) {
                    let mut out = [(); 3].map(|()| [vec![f64::NAN; n], vec![f64::NAN; n]]);
                    let (all, all_b) = (slices(&full, 0..n), slices(&b, 0..n));
                    let backwards: Vec<_> = all_b.iter().rev().copied().collect();
                    let [plain, repeated, pieces] = &mut out;
                    table.dot_into(plain.each_mut().map(|x| &mut x[..]), &all, [&all_b, &backwards]);
                    let heads_all = slices(&heads, 0..n / run);
                    table.dot_repeated_into(
                        repeated.each_mut().map(|x| &mut x[..]),
                        &heads_all,
                        [&all_b, &backwards],
                        run,
                    );
                    let piece = run.max(n / 4);
                    for from in (0..n).step_by(piece) {
                        let (part, part_b) = (slices(&full, from..from + piece), slices(&b, from..from + piece));
                        let backwards: Vec<_> = part_b.iter().rev().copied().collect();
                        let piece = pieces.each_mut().map(|x| &mut x[from..from + piece]);
                        table.dot_into(piece, &part, [&part_b, &backwards]);
                    }
                    assert_eq!(out[0], out[1], "runs of {run}, {terms} terms, N = {n}, {isa}");
                    assert_eq!(out[0], out[2], "pieces of {piece}, {terms} terms, N = {n}, {isa}");
                }
            }
        }
    }
}

// ---- refusals ----

/// Operands of other lengths panic.
#[test]
fn lengths_are_checked() {
    for isa in isas() {
        let table = NttTable::with_isa(below(7, 50), 7, isa).expect("a table");
        let n = table.n();
        for wrong in [0, 8, n - 1, n + 1, 2 * n] {
            let mut bad = vec![0.0; wrong];
            let (mut good, mut bad_words, mut good_words) = (vec![0.0; n], vec![0; wrong], vec![0; n]);
            let binary: [Binary; 10] = [
                NttTable::add_assign,
                NttTable::sub_assign,
                NttTable::sub_reverse_assign,
                NttTable::mul_assign,
                |table, a, b| table.sub_mul_scalar_assign(a, b, 3),
                |table, a, b| table.mul_scalar_add_assign(a, b, 3),
                |table, a, b| table.mul_add_assign(a, b, &vec![0.0; table.n()]),
                |table, a, b| table.mul_add_assign(a, &vec![0.0; table.n()], b),
                |table, a, b| table.dot_into([a], &[b], [&[&vec![0.0; table.n()]]]),
                |table, a, b| table.dot_into([a], &[&vec![0.0; table.n()]], [&[b]]),
            ];
            for (i, operation) in binary.into_iter().enumerate() {
                assert!(!panics(|| operation(&table, &mut good, &vec![0.0; n])), "operation {i}");
                assert!(panics(|| operation(&table, &mut bad, &good)), "operation {i}");
                assert!(panics(|| operation(&table, &mut good, &bad)), "operation {i}");
                assert!(wrong == n || panics(|| operation(&table, &mut bad, &vec![0.0; wrong])), "operation {i}");
            }
            assert!(panics(|| table.neg_assign(&mut bad)));
            assert!(panics(|| table.mul_scalar_assign(&mut bad, 3)));
            assert!(panics(|| table.add_scalar_assign(&mut bad, 3)));
            assert!(panics(|| table.mul_assign_u64(&mut bad_words, &good_words)));
            assert!(panics(|| table.mul_assign_u64(&mut good_words, &bad_words)));
            assert!(panics(|| table.to_u64(&bad, &mut good_words)));
            assert!(panics(|| table.to_u64(&good, &mut bad_words)));
            assert!(panics(|| table.from_u64(&bad_words, &mut good)));
            assert!(panics(|| table.from_u64(&good_words, &mut bad)));
        }
        // These lists have different lengths.
        let (mut out, x) = (vec![0.0; n], vec![0.0; n]);
        assert!(panics(|| table.dot_into([&mut out], &[&x, &x], [&[&x]])));
        assert!(panics(|| table.dot_into([&mut out], &[&x], [&[&x, &x]])));
        // Refused are: runs that do not fill vectors, other numbers of values than one for each
        // run, and pieces that are cut through a vector.
        let mut repeated = |run: usize, values: usize, len: usize| {
            panics(|| table.dot_repeated_into([&mut out[..len]], &[&x[..values]], [&[&x[..len]]], run))
        };
        assert!(!repeated(16, n / 16, n) && !repeated(8, 4, 32));
        assert!(repeated(4, n / 4, n) && repeated(12, 8, 96) && repeated(0, 0, n));
        assert!(repeated(16, n / 8, n) && repeated(16, n / 32, n) && repeated(16, 1, 24));
        let mut short = vec![0.0; 12];
        assert!(panics(|| table.dot_into([&mut short], &[&x[..12]], [&[&x[..12]]])));
    }
}
