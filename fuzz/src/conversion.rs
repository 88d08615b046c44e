use hetal_kernel::rns::BaseConverter;
use hetal_kernel::{Coeff, ModDown, RnsPoly, Scratch};
use num_bigint::BigInt;

use crate::input::{FIRST_RNS, Input, PRIMES, Pattern, basis, farther, modulus};
use crate::oracle::{
    Crt, assert_quotient, centred, inverse, is_representative, modulo, mul, residue, residues, residues_within,
};

/// Base conversion, or division by dropped primes, against big integers.
///
/// The first byte tells which of both it is (bit 0; bit 1 cuts a conversion in two). The ISA
/// follows, and then
/// * for a conversion: the numbers of primes − 1 and their indices, for the source and for the
///   target; the length; the first target; the number of targets − 1; a pattern of integers modulo
///   Q or of inputs y;
/// * for a division: log2 of the degree − 4; the numbers of kept and dropped primes − 1; the level
///   − 1; their indices; a pattern of integers modulo PQ.
///
/// # Panics
/// If the kernel is wrong.
pub fn base_conversion(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 4 {
        kind @ (0 | 2) => conversion(&mut input, kind == 2),
        _ => division(&mut input),
    }
}

/// Lengths around one and several vectors, and beyond one block of 384.
const LENGTHS: [usize; 8] = [8, 16, 24, 32, 40, 64, 72, 528];

fn conversion(input: &mut Input<'_>, cut: bool) {
    let isa = input.isa();
    let [from, to] = [12, 8].map(|most| {
        let count = 1 + input.below(most);
        input.primes(count, &PRIMES, &mut Vec::new())
    });
    let len = LENGTHS[input.below(LENGTHS.len())];
    let first = input.below(to.len());
    let targets = first..first + 1 + input.below(to.len() - first);
    let pattern = input.pattern();

    let [source, target] = [&from, &to].map(|primes| primes.iter().map(|&q| modulus(q)).collect::<Vec<_>>());
    let converter = BaseConverter::new(&source, &target, isa).expect("distinct primes");
    assert_eq!((converter.from(), converter.to()), (&source[..], &target[..]));
    let crt = Crt::new(&from);
    let others: Vec<BigInt> = from.iter().map(|&q| &crt.product / q).collect();
    let cofactors: Vec<_> = from.iter().zip(&others).map(|(&q, others)| inverse(modulo(others, q), q)).collect();
    assert_eq!((0..from.len()).map(|i| converter.cofactor(i)).collect::<Vec<_>>(), cofactors);

    let y: Vec<Vec<f64>> = {
        let columns: Vec<_> = (0..len).map(|i| inputs(&crt, &cofactors, &pattern, i)).collect();
        (0..from.len()).map(|k| columns.iter().map(|column| column[k]).collect()).collect()
    };
    let mut v = vec![f64::NAN; len];
    converter.overflow_into(&y.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut v);

    let convert = |inputs: &[&[f64]]| {
        let mut out = vec![vec![f64::NAN; len]; targets.len()];
        // Coefficients can be converted in parts.
        let at = if cut { 8 * (len / 16) } else { 0 };
        for part in [0..at, at..len] {
            let inputs: Vec<_> = inputs.iter().map(|x| &x[part.clone()]).collect();
            let mut out: Vec<_> = out.iter_mut().map(|x| &mut x[part.clone()]).collect();
            converter.convert_into(&inputs, first, &mut out);
        }
        out.iter().zip(&to[targets.clone()]).map(|(out, &p)| residues_within(out, p, 5 * p / 4)).collect::<Vec<_>>()
    };
    let mut limbs: Vec<_> = y.iter().map(Vec::as_slice).collect();
    let fast = convert(&limbs);
    limbs.push(&v);
    let precise = convert(&limbs);

    for i in 0..len {
        let sum: BigInt = y.iter().zip(&others).map(|(y, others)| others * (y[i] as i64)).sum();
        assert!(v[i] == v[i].trunc(), "overflow {}", v[i]);
        let representative = &sum - &crt.product * (v[i] as i64);
        assert!(is_representative(&representative, &from), "overflow {} of {sum} modulo {}", v[i], crt.product);
        for (k, &p) in to[targets.clone()].iter().enumerate() {
            assert_eq!(fast[k][i], modulo(&sum, p), "fast conversion of {sum} at {i} to {p}");
            assert_eq!(precise[k][i], modulo(&representative, p), "conversion of {representative} at {i} to {p}");
        }
    }
}

/// Returns the input of the conversion for coefficient i: the yₖ.
fn inputs(crt: &Crt, cofactors: &[u64], pattern: &Pattern, i: usize) -> Vec<f64> {
    let (code, limbs) = (pattern.code(i), crt.primes.iter().enumerate());
    match code % 32 {
        // The largest and smallest sums.
        16 => limbs.map(|(_, &q)| (q / 2) as f64).collect(),
        17 => limbs.map(|(_, &q)| -((q / 2) as f64)).collect(),
        18 => limbs.map(|(k, &q)| (q / 2) as f64 * if (i + k).is_multiple_of(2) { 1.0 } else { -1.0 }).collect(),
        // Any centred values, also those just beyond q/2.
        19 => limbs.map(|(k, &q)| farther((q / 2) as f64 - (pattern.random(i, k) % 2) as f64, q)).collect(),
        20 => limbs.map(|(k, &q)| pattern.centred(i, k, q)).collect(),
        _ => {
            let x = integer(crt, pattern, i);
            let y = |(k, &q): (usize, &u64)| centred(mul(modulo(&x, q), cofactors[k], q), q) as f64;
            limbs.map(y).collect()
        }
    }
}

/// Returns integer i modulo a product Q of primes, with |x| < Q.
fn integer(crt: &Crt, pattern: &Pattern, i: usize) -> BigInt {
    let (code, q) = (pattern.code(i), &crt.product);
    let random = pattern.random(i, 1000);
    let small = BigInt::from(random % 16);
    match code % 32 {
        0 => 0.into(),
        1 => 1.into(),
        2 => (-1).into(),
        3 => crt.half(),
        4 => -crt.half(),
        5 => crt.half() - small,
        6 => small - crt.half(),
        // Ever nearer to ±Q/2, where a sum of f64 cannot tell the sides apart any more.
        7 => crt.half() - (q >> (40 + random % 20)),
        8 => (q >> (40 + random % 20)) - crt.half(),
        9 => q / 4 + small,
        10 => q - crt.half() / (1 + small),
        // A multiple of all primes but one, or of all but two.
        11 => q / crt.primes[random as usize % crt.primes.len()],
        12 => (q / crt.primes[0]) * (random % crt.primes[0]) % q,
        13 => crt.compose(crt.primes.iter().map(|q| q / 2 + 1)),
        // Small compared with Q.
        14 => BigInt::from(random as i64),
        _ => crt.compose(crt.primes.iter().enumerate().map(|(k, q)| pattern.random(i, k) % q)),
    }
}

fn division(input: &mut Input<'_>) {
    let isa = input.isa();
    let log_n = 4 + input.below(4) as u32;
    let (kept, dropped) = (1 + input.below(6), 1 + input.below(6));
    let level = 1 + input.below(kept);
    let mut used = Vec::new();
    let [kept, dropped] = [kept, dropped].map(|count| input.primes(count, &PRIMES[FIRST_RNS..], &mut used));
    let pattern = input.pattern();

    let [kept_basis, dropped_basis] = [&kept, &dropped].map(|primes| basis(log_n, isa, primes));
    let mod_down = ModDown::new(&kept_basis, &dropped_basis).expect("distinct primes");
    let primes = [&kept[..level], &dropped[..]].concat();
    let all = basis(log_n, isa, &primes);
    let (n, crt, p) = (all.n(), Crt::new(&primes), Crt::new(&dropped));

    let integers: Vec<_> = (0..n)
        .map(|i| match pattern.code(i) % 32 {
            // Near the middle between two multiples of P.
            16 => p.half() + BigInt::from(pattern.random(i, 0)) * &p.product,
            17 => -p.half() - BigInt::from(pattern.random(i, 0)) * &p.product,
            18 => p.half() - (&p.product >> (40 + pattern.random(i, 0) % 20)),
            19 => crt.half() / &p.product * &p.product,
            _ => integer(&crt, &pattern, i),
        })
        .map(|x| crt.compose(crt.decompose(&x)))
        .collect();
    let mut x = RnsPoly::<Coeff>::zero(n, primes.len());
    for (limb, &q) in x.limbs_mut().zip(&primes) {
        limb.iter_mut().zip(&integers).for_each(|(x, integer)| *x = centred(modulo(integer, q), q) as f64);
    }
    let mut x = x.into_eval(&all);
    let mut scratch = Scratch::new(mod_down.scratch_len());
    scratch.fill(f64::NAN);
    mod_down.apply(x.view_mut(), &mut scratch);
    x.truncate(level);
    (0..level).for_each(|j| drop(residues(x.limb(j), kept[j])));
    let x = x.into_coeff(&all);

    for (i, integer) in integers.iter().enumerate() {
        let found: Vec<_> = (0..level).map(|j| residue(x.limb(j)[i], kept[j])).collect();
        assert_quotient(&found, &kept[..level], integer, &dropped);
    }
}
