//! Tests of bases, base conversion and exact division against big integers, on every ISA.

mod common;

use common::*;
use hetal_kernel::ModDown;
use hetal_kernel::poly::{Coeff, Eval, RnsPoly};
use hetal_kernel::rns::{BaseConverter, GROUP, MAX_DIGIT, MAX_LIMBS, RnsBasis};
use hetal_kernel::scratch::limb_stride;
use hetal_kernel::{Error, Isa, Modulus, NttTable, Scratch};
use num_bigint::BigInt;
use proptest::prelude::*;
use rand_core::Rng;

// ---- bases ----

/// Ranges, concatenations and products of bases, with products checked against big integers.
#[test]
fn parts_of_a_basis() {
    let moduli = mixed_moduli(5, 6, 0, 0);
    let basis = RnsBasis::new(5, &moduli).expect("a basis");
    assert_eq!((basis.len(), basis.log_n(), basis.n()), (6, 5, 32));
    assert_eq!(basis.moduli(), moduli);
    for (i, q) in moduli.iter().enumerate() {
        assert_eq!((basis.modulus(i), basis.table(i).modulus(), basis.table(i).log_n()), (q, q, 5));
    }
    let part = basis.range(2..5);
    assert_eq!(part.moduli(), moduli[2..5]);
    assert_eq!(basis.range(0..2).concat(&part).map(|basis| basis.moduli()), Ok(moduli[..5].to_vec()));

    let product: BigInt = moduli.iter().map(|q| BigInt::from(q.value())).product();
    let log2 = product.magnitude().bits() as f64;
    assert!(basis.log2_product() <= log2 && basis.log2_product() > log2 - 1.0 - 1e-9);
    for m in moduli.iter().chain(&moduli_below(5, 45, 2, 0)).chain(&[Modulus::new(3).expect("prime")]) {
        assert_eq!(basis.product_mod(m), modulo(&product, m.value()));
    }
    for isa in isas() {
        let table = NttTable::with_isa(moduli[0], 7, isa);
        let effective = RnsBasis::with_isa(7, &mixed_moduli(7, 2, 0, 0), isa).map(|basis| basis.isa());
        assert_eq!(effective, Ok(table.map_or(isa, |table| table.isa())));
    }
}

/// Empty, long or repeated sets of primes and other degrees are refused.
#[test]
fn bases_are_checked() {
    let moduli = mixed_moduli(5, 4, 0, 0);
    let count = |value| Err(Error::Count { what: "limbs", value, min: 1, max: MAX_LIMBS });
    assert_eq!(RnsBasis::new(5, &[]).map(|_| ()), count(0));
    assert_eq!(RnsBasis::new(5, &[moduli[0]; MAX_LIMBS + 1]).map(|_| ()), count(MAX_LIMBS + 1));
    let repeated = Error::RepeatedModulus { modulus: moduli[1].value() };
    assert_eq!(RnsBasis::new(5, &[moduli[1], moduli[0], moduli[1]]).map(|_| ()), Err(repeated));
    let modulus = Modulus::new(97).expect("prime");
    let no_root = Err(Error::NoRootOfUnity { modulus: 97, log_n: 5 });
    assert_eq!(RnsBasis::new(5, &[moduli[0], modulus]).map(|_| ()), no_root);
    assert_eq!(RnsBasis::new(3, &moduli).map(|_| ()), Err(Error::RingDegree { log_n: 3 }));

    let basis = RnsBasis::new(5, &moduli).expect("a basis");
    assert_eq!(basis.range(0..2).concat(&basis.range(1..3)).map(|_| ()), Err(repeated));
    let other = RnsBasis::new(4, &moduli_below(5, 45, 1, 0)).expect("a basis");
    assert_eq!(basis.concat(&other).map(|_| ()), Err(Error::RingDegree { log_n: 4 }));
    let most = RnsBasis::new(4, &moduli_below(4, 40, MAX_LIMBS, 0)).expect("a basis");
    assert_eq!(most.len(), MAX_LIMBS);
    assert_eq!(most.concat(&other).map(|_| ()), count(MAX_LIMBS + 1));
    assert!(panics(|| basis.range(2..2)));
    assert!(panics(|| basis.range(2..5)));
    assert!(panics(|| basis.modulus(4)));
}

// ---- base conversion ----

/// Checks the overflow, the fast and the centred conversion of y on every ISA against big integers.
/// Returns the number of coefficients that were so close to ±Q/2 that either neighbour would do,
/// and for how many of these some ISA took the farther one.
fn check_conversion(from: &[Modulus], to: &[Modulus], y: &[Vec<f64>], isas: &[Isa]) -> [usize; 2] {
    let (crt, len) = (Crt::new(from), y[0].len());
    let sources: Vec<_> = y.iter().map(|y| &y[..]).collect();
    // x̃ + vQ, x̃ and v of every coefficient, where v is the overflow.
    let cofactors: Vec<_> = crt.moduli.iter().map(|&q| &crt.product / q).collect();
    let sum = |i: usize| -> BigInt { cofactors.iter().zip(y).map(|(cofactor, y)| cofactor * y[i] as i64).sum() };
    let sums: Vec<_> = (0..len).map(sum).collect();
    let overflows: Vec<_> =
        sums.iter().map(|sum| i64::try_from(round_div(sum, &crt.product)).expect("small")).collect();
    let mut boundary = [0, 0];
    let (mut overflow_bits, mut bits) = (SameBits::default(), [SameBits::default(), SameBits::default()]);
    for &isa in isas {
        let what = format!("{} to {} primes, {len} coefficients, {isa}", from.len(), to.len());
        let converter = BaseConverter::new(from, to, isa).expect("a converter");
        let mut v = vec![f64::NAN; len];
        converter.overflow_into(&sources, &mut v);
        overflow_bits.check(isa, &v);
        let mut near = 0;
        for (i, (v, sum)) in v.iter().zip(&sums).enumerate() {
            let exact = overflows[i] as f64;
            assert!(v.fract() == 0.0 && v.abs() <= from.len() as f64 / 2.0 + 1.0, "overflow {v}: {what}");
            let x = sum - &crt.product * overflows[i];
            let distance: BigInt = &crt.product - BigInt::from(x.magnitude() * 2u8);
            let close = distance << 54u8 <= &crt.product * overflow_error(from.len());
            near += usize::from(close);
            if *v != exact {
                let farther = exact + if x > BigInt::ZERO { 1.0 } else { -1.0 };
                assert!(close && *v == farther, "overflow {v} at {i} where {exact} is right: {what}");
                boundary[1] += 1;
            }
        }
        boundary[0] = near;

        let with_overflow: Vec<_> = sources.iter().copied().chain([&v[..]]).collect();
        for centred in [false, true] {
            let y = if centred { &with_overflow } else { &sources };
            let mut out = vec![vec![f64::NAN; len]; to.len()];
            converter.convert_into(y, 0, &mut out.iter_mut().map(|out| &mut out[..]).collect::<Vec<_>>());
            for (out, p) in out.iter().zip(to) {
                let expected: Vec<_> = sums
                    .iter()
                    .zip(&v)
                    .map(|(sum, &v)| {
                        let overflow = if centred { &crt.product * v as i64 } else { BigInt::ZERO };
                        modulo(&(sum - overflow), p.value())
                    })
                    .collect();
                assert_same(
                    &check_within(p.value(), widest(p.value()), out),
                    &expected,
                    format!("centred: {centred}, {what}"),
                );
            }
            bits[usize::from(centred)].check(isa, &out.concat());
            // Converting ranges of targets and of coefficients gives the same bits.
            let cut = to.len() / 2;
            let mut parts = vec![vec![f64::NAN; len]; to.len()];
            for range in [cut..to.len(), 0..cut] {
                let (first, at) = (range.start, len / 16 * 8);
                let (mut head, mut tail): (Vec<_>, Vec<_>) =
                    parts[range].iter_mut().map(|part| part.split_at_mut(at)).unzip();
                converter.convert_into(&y.iter().map(|y| &y[..at]).collect::<Vec<_>>(), first, &mut head);
                converter.convert_into(&y.iter().map(|y| &y[at..]).collect::<Vec<_>>(), first, &mut tail);
            }
            assert!(
                parts.iter().flatten().zip(out.iter().flatten()).all(|(a, b)| a.to_bits() == b.to_bits()),
                "{what}"
            );
        }
        for (i, q) in from.iter().enumerate() {
            let others = modulo(&cofactors[i], q.value());
            assert_eq!(mul_mod(q.value(), converter.cofactor(i), others), 1, "cofactor {i}");
        }
        assert_eq!((converter.from(), converter.to()), (from, to));
    }
    boundary
}

/// Returns yᵢ that are all nearly the same fraction of qᵢ/2: the ends of the range, and inputs
/// whose sums are hardest.
fn extreme_inputs(from: &[Modulus], len: usize, rng: &mut impl Rng) -> Vec<Vec<f64>> {
    let column = |i: usize, limb: usize, q: u64, rng: &mut dyn FnMut() -> u64| {
        let half = (q / 2) as f64;
        let alternating = if limb.is_multiple_of(2) { 1.0 } else { -1.0 };
        match i {
            0 => 0.0,
            1 => half,
            2 => 0.0 - half,
            3 => extreme(q),
            4 => -extreme(q),
            5 => alternating * half,
            6 => alternating * extreme(q),
            7 => half - 1.0,
            8 => 1.0 - half,
            _ if i.is_multiple_of(3) => half - (rng() % (q / 2).min(1 << 16)) as f64,
            _ if i % 3 == 1 => (rng() % (q / 2).min(1 << 16)) as f64 - half,
            _ => centre(q, rng() % q),
        }
    };
    let mut word = || rng.next_u64();
    let mut limb = |(limb, q): (usize, &Modulus)| (0..len).map(|i| column(i, limb, q.value(), &mut word)).collect();
    from.iter().enumerate().map(&mut limb).collect()
}

/// Lengths that fill vectors, half blocks, and more than one block.
const LENGTHS: [usize; 3] = [8, 24, 520];

/// Conversions from 1 to 22 primes against big integers.
#[test]
fn conversions_of_every_size() {
    for inputs in 1..=22 {
        if !thorough() && ![1, 2, 8, 9, 17].contains(&inputs) {
            continue;
        }
        for (case, outputs) in [1, 2 + inputs * 5 % 27].into_iter().enumerate() {
            let len = LENGTHS[(inputs + case) % if thorough() { 3 } else { 2 }];
            let mut rng = rng((inputs * 100 + outputs) as u64);
            // The sides have: primes of all sizes; the largest primes only; large primes to small
            // ones; and small primes to large ones.
            let sides = [
                (mixed_moduli(5, inputs, inputs, 0), mixed_moduli(5, outputs, 1, 30)),
                (moduli_below(5, 50, inputs, 0), moduli_below(5, 50, outputs, 30)),
                (moduli_below(5, 50, inputs, 0), moduli_below(5, 20, outputs, 0)),
                (moduli_below(5, 20, inputs, 0), moduli_below(5, 50, outputs, 0)),
            ];
            for (from, to) in sides {
                check_conversion(&from, &to, &extreme_inputs(&from, len, &mut rng), &isas());
            }
        }
    }
}

/// The same for digits of as many primes as there may be.
#[test]
fn conversion_of_the_longest_digits() {
    let (from, to) = (moduli_below(5, 50, MAX_DIGIT, 0), moduli_below(5, 50, 2, MAX_DIGIT));
    check_conversion(&from, &to, &extreme_inputs(&from, 40, &mut rng(1)), &isas());
}

/// A prime on both sides comes out again, times the cofactor.
#[test]
fn conversion_to_the_same_primes() {
    let from = mixed_moduli(5, 5, 2, 0);
    let mut to = from.clone();
    to.reverse();
    to.extend(mixed_moduli(5, 3, 0, 5));
    let y = extreme_inputs(&from, 24, &mut rng(2));
    check_conversion(&from, &to, &y, &isas());
    // With the cofactors multiplied in, these are the residues themselves.
    let converter = BaseConverter::new(&from, &to, Isa::detect()).expect("a converter");
    let mut out = vec![vec![0.0; 24]; to.len()];
    let y_refs: Vec<_> = y.iter().map(|y| &y[..]).collect();
    converter.convert_into(&y_refs, 0, &mut out.iter_mut().map(|out| &mut out[..]).collect::<Vec<_>>());
    for (i, q) in from.iter().enumerate() {
        let crt = Crt::new(&from);
        let others = modulo(&(&crt.product / q.value()), q.value());
        let expected: Vec<_> = residues(q.value(), &y[i]).iter().map(|&y| mul_mod(q.value(), y, others)).collect();
        assert_eq!(residues(q.value(), &out[4 - i]), expected);
    }
}

/// Conversions of inputs whose products with the weights of one target are all rounded in the same
/// direction in the accumulator, against big integers.
#[test]
fn conversions_that_are_hard_to_round() {
    for inputs in [7, 8, 9, 16, 17, 22] {
        let (from, to) = (moduli_below(5, 50, inputs, 0), moduli_below(5, 50, 3, 30));
        let crt = Crt::new(&from);
        let mut rng = rng(inputs as u64);
        let len = 40;
        let y: Vec<Vec<_>> = from
            .iter()
            .map(|q| {
                let weights = to.iter().map(|p| centre(p.value(), modulo(&(&crt.product / q.value()), p.value())));
                let weights: Vec<_> = weights.collect();
                (0..len)
                    .map(|i| {
                        let weight = weights[i % to.len()];
                        let sign = if (weight < 0.0) == (i % 2 == 0) { -1.0 } else { 1.0 };
                        let far = |y: u64| {
                            let rest = u128::from(y) * u128::from(weight.abs() as u64) % (1 << 50);
                            if rest < 1 << 49 { rest } else { 0 }
                        };
                        let candidates = (0..200).map(|_| q.value() / 2 - rng.next_u64() % (1 << 20));
                        sign * candidates.max_by_key(|&y| far(y)).expect("candidates") as f64
                    })
                    .collect()
            })
            .collect();
        check_conversion(&from, &to, &y, &isas());
    }
}

/// Conversions of x within a few 2^−51 of ±Q/2. This is the only place where the overflow may be
/// off by one, and the result then is the representative on the other side.
#[test]
fn conversion_at_the_boundary() {
    let mut totals = [0, 0];
    for inputs in 1..=22 {
        let (from, to) = (moduli_below(5, 50, inputs, 0), mixed_moduli(5, 2, 3, 30));
        let crt = Crt::new(&from);
        let (mut rng, len) = (rng(inputs as u64), 80);
        let xs: Vec<_> = (0..len)
            .map(|i| {
                // Q/2 less 0 … 2^−49 of Q.
                let less = (&crt.product * (rng.next_u64() >> 1 >> (i % 16))) >> 113u8;
                let x: BigInt = (&crt.product - 1u8) / 2u8 - less;
                if i % 2 == 0 { x } else { -x }
            })
            .collect();
        let y: Vec<Vec<_>> = crt
            .moduli
            .iter()
            .map(|&q| {
                let cofactor = inv_mod(q, modulo(&(&crt.product / q), q));
                xs.iter().map(|x| centre(q, mul_mod(q, modulo(x, q), cofactor))).collect()
            })
            .collect();
        let found = check_conversion(&from, &to, &y, &isas());
        totals = [totals[0] + found[0], totals[1] + found[1]];
    }
    // The case does occur.
    assert!(totals[0] > 100 && totals[1] > 0, "{totals:?}");
}

/// Overflows of inputs for which every rounding in the sum of yᵢ/qᵢ goes up and whose exact sum is
/// just below a half, against big integers.
#[test]
fn overflows_that_are_hard_to_sum() {
    let mut farther = 0;
    for inputs in [8, 16, 22, MAX_DIGIT] {
        let (from, to) = (moduli_below(5, 50, inputs, 0), moduli_below(5, 50, 1, MAX_DIGIT));
        // Fixed-point numbers, in units of 2^−75.
        let fixed = |x: f64| (x * 2f64.powi(75)) as i128;
        let fraction = |y: u64, q: u64| (i128::from(y) << 75) / i128::from(q);
        let (mut rng, len) = (rng(inputs as u64), 48);
        let mut y = vec![vec![0.0; len]; inputs];
        for i in 0..len {
            let (mut sum, mut exact) = (0.0, 0);
            for (y, q) in y.iter_mut().zip(&from[..inputs - 1]) {
                let q = q.value();
                let add = |y: u64| sum + y as f64 * (1.0 / q as f64);
                let candidates = (0..60).map(|_| q / 2 - rng.next_u64() % (q >> 4));
                let best = candidates.max_by_key(|&y| fixed(add(y)) - fraction(y, q)).expect("candidates");
                (sum, exact) = (add(best), exact + fraction(best, q));
                y[i] = best as f64;
            }
            // The distance to the next half: from 0 to overflow_error/16, in units of 2^−51.
            let below = i128::from(rng.next_u64() % (overflow_error(inputs) << 20));
            let q = from[inputs - 1].value();
            let rest = (1i128 << 74) - below - exact.rem_euclid(1 << 75);
            let last = ((rest >> 25) * i128::from(q)) >> 50;
            y[inputs - 1][i] = last as f64;
            assert!(last.unsigned_abs() <= u128::from(q / 2));
        }
        farther += check_conversion(&from, &to, &y, &isas())[1];
    }
    assert!(farther > 0);
}

proptest! {
    #![proptest_config(config(60))]
    /// Random integers: the conversion of their residues gives their residues modulo the targets.
    #[test]
    fn conversion_of_any_integer(inputs in 1usize..12, outputs in 1usize..6, start in 0usize..4, seed: u64) {
        let (from, to) = (mixed_moduli(5, inputs, start, 0), mixed_moduli(5, outputs, start + 1, 9));
        let (crt, mut rng) = (Crt::new(&from), rng(seed));
        let xs: Vec<_> = (0..16).map(|_| random_below(&crt.product, &mut rng)).collect();
        let y: Vec<Vec<_>> = crt
            .moduli
            .iter()
            .map(|&q| {
                let cofactor = inv_mod(q, modulo(&(&crt.product / q), q));
                xs.iter().map(|x| centre(q, mul_mod(q, modulo(x, q), cofactor))).collect()
            })
            .collect();
        check_conversion(&from, &to, &y, &isas());
        // The same once more without y: the centred conversion is x modulo the targets.
        let converter = BaseConverter::new(&from, &to, Isa::detect()).expect("a converter");
        let mut sources: Vec<_> = y.iter().map(|y| &y[..]).collect();
        let mut v = vec![0.0; 16];
        converter.overflow_into(&sources, &mut v);
        sources.push(&v);
        for (j, p) in to.iter().enumerate() {
            let mut out = vec![f64::NAN; 16];
            converter.convert_into(&sources, j, &mut [&mut out]);
            let expected: Vec<_> = xs.iter().map(|x| modulo(x, p.value())).collect();
            assert_same(&check_within(p.value(), widest(p.value()), &out), &expected, "x");
        }
    }
}

/// Empty, long and repeated sets of primes are refused, and operands of other shapes panic.
#[test]
fn conversions_are_checked() {
    let (from, to) = (mixed_moduli(5, 3, 0, 0), mixed_moduli(5, 2, 0, 5));
    for isa in isas() {
        let error =
            |from: &[Modulus], to: &[Modulus]| BaseConverter::new(from, to, isa).map(|_| ()).expect_err("refused");
        let count = |value| Error::Count { what: "limbs", value, min: 1, max: MAX_LIMBS };
        assert_eq!((error(&[], &to), error(&from, &[])), (count(0), count(0)));
        let many = [from[0]; MAX_LIMBS + 1];
        assert_eq!((error(&many, &to), error(&from, &many)), (count(MAX_LIMBS + 1), count(MAX_LIMBS + 1)));
        let repeated = Error::RepeatedModulus { modulus: from[0].value() };
        assert_eq!(error(&[from[0], from[1], from[0]], &to), repeated);
        assert_eq!(error(&to, &[from[0], from[0]]), repeated);

        let converter = BaseConverter::new(&from, &to, isa).expect("a converter");
        let (y, mut out, mut more) = (vec![0.0; 16], vec![0.0; 16], vec![0.0; 16]);
        let y = &y[..];
        assert!(panics(|| converter.convert_into(&[y, y], 0, &mut [&mut out])));
        assert!(panics(|| converter.convert_into(&[y, y, y, y, y], 0, &mut [&mut out])));
        assert!(panics(|| converter.convert_into(&[y, y, y], 2, &mut [&mut out])));
        assert!(panics(|| converter.convert_into(&[y, y, y], 1, &mut [&mut out, &mut more])));
        assert!(panics(|| converter.convert_into(&[y, y, &y[..8]], 0, &mut [&mut out])));
        assert!(panics(|| converter.convert_into(&[y, y, y], 0, &mut [&mut out[..8]])));
        assert!(panics(|| converter.convert_into(&[&y[..12]; 3], 0, &mut [&mut out[..12]])));
        assert!(panics(|| converter.overflow_into(&[y, y], &mut out)));
        assert!(panics(|| converter.overflow_into(&[y, y, y, y], &mut out)));
        assert!(panics(|| converter.overflow_into(&[y, y, &y[..8]], &mut out)));
        assert!(panics(|| converter.overflow_into(&[&y[..12]; 3], &mut out[..12])));
        // With no targets or no coefficients there is nothing to do.
        converter.convert_into(&[y, y, y], 2, &mut []);
        converter.convert_into(&[&y[..0]; 3], 0, &mut [&mut out[..0]]);
        converter.overflow_into(&[&y[..0]; 3], &mut out[..0]);
    }
}

// ---- division ----

/// Divides x, given modulo `kept_limbs` kept primes and all dropped ones, on every ISA and checks
/// the quotient against big integers.
fn check_division(log_n: u32, kept: &[Modulus], dropped: &[Modulus], kept_limbs: usize, x: &[BigInt]) {
    let all: Vec<_> = kept[..kept_limbs].iter().chain(dropped).copied().collect();
    let product = Crt::new(&all).product;
    let dropped_product = Crt::new(dropped).product;
    let mut bits = SameBits::default();
    for isa in isas() {
        let basis = |moduli: &[Modulus]| RnsBasis::with_isa(log_n, moduli, isa).expect("a basis");
        let (kept, dropped) = (basis(kept), basis(dropped));
        let mod_down = ModDown::new(&kept, &dropped).expect("coprime bases");
        assert_eq!((mod_down.kept().moduli(), mod_down.dropped().moduli()), (kept.moduli(), dropped.moduli()));
        let mut poly = to_eval(&basis(&all), x);
        let mut scratch = Scratch::new(mod_down.scratch_len());
        scratch.fill(f64::NAN);
        mod_down.apply(poly.view_mut(), &mut scratch);
        poly.truncate(kept_limbs);
        let limbs: Vec<_> = (0..kept_limbs).map(|i| poly.limb(i)).collect();
        limbs.iter().enumerate().for_each(|(i, limb)| drop(check_centred(kept.modulus(i).value(), limb)));
        bits.check(kept.isa(), &limbs.concat());
        let quotient = poly.into_coeff(&kept);
        let limbs: Vec<_> = (0..kept_limbs).map(|i| quotient.limb(i)).collect();
        let quotients = crt(&kept.range(0..kept_limbs)).compose_all(&limbs);
        for (i, (x, y)) in x.iter().zip(&quotients).enumerate() {
            // x/P − y, times 2P, modulo 2PQ: at most P, plus what the overflow and the centring may
            // be off by.
            let twice_error: BigInt = centred(&(&dropped_product * y - x), &product) * 2;
            let beyond = BigInt::from(twice_error.magnitude().clone()) - &dropped_product;
            let allowed = ((&dropped_product * overflow_error(dropped.len())) >> 54u8) + 4;
            let (k, l) = (kept_limbs, dropped.len());
            assert!(beyond <= allowed, "coefficient {i} is {beyond}/2P beyond 1/2: {k} kept, {l} dropped, {isa}");
        }
    }
}

/// Returns dividends: the ends of the range, multiples of P and halves of P with their neighbours,
/// and random integers.
fn dividends(kept: &BigInt, dropped: &BigInt, n: usize, rng: &mut impl Rng) -> Vec<BigInt> {
    let half = |m: &BigInt| -> BigInt { (m - 1u8) / 2u8 };
    let all = kept * dropped;
    let mut x = vec![BigInt::ZERO, 1.into(), half(&all), half(&all) - half(dropped), half(dropped)];
    x.push(half(kept) * dropped);
    while x.len() < n / 2 {
        let multiple = random_below(kept, rng) * dropped;
        match x.len() % 5 {
            0 => x.push(multiple),
            1 => x.push(multiple + half(dropped)),
            2 => x.push(multiple - half(dropped)),
            3 => x.push(multiple + half(dropped) - random_below(dropped, rng) / (1u64 << 40)),
            _ => x.push(random_below(&all, rng)),
        }
    }
    let negative: Vec<_> = x.iter().map(|x| -x).collect();
    x.extend(negative);
    x.truncate(n);
    x.iter().map(|x| centred(x, &all)).collect()
}

/// Divisions with 1 to 4 kept and 1 to 17 dropped primes, against big integers.
#[test]
fn division_of_every_shape() {
    for log_n in [4, 5, 7] {
        for (kept, dropped) in [(1, 1), (3, 1), (2, 2), (4, 3), (2, 5), (1, 8), (3, 9), (1, 17)] {
            if !thorough() && (log_n == 5 || dropped > 9) {
                continue;
            }
            let shapes = [
                (moduli_below(log_n, 50, kept, 0), moduli_below(log_n, 50, dropped, 20)),
                (mixed_moduli(log_n, kept, 0, 0), mixed_moduli(log_n, dropped, 2, 8)),
                (moduli_below(log_n, 30, kept, 0), moduli_below(log_n, 48, dropped, 0)),
            ];
            for (kept, dropped) in shapes {
                let mut rng = rng((kept.len() * 100 + dropped.len()) as u64);
                for limbs in [1, kept.len()] {
                    let products = [Crt::new(&kept[..limbs]).product, Crt::new(&dropped).product];
                    let x = dividends(&products[0], &products[1], 1 << log_n, &mut rng);
                    check_division(log_n, &kept, &dropped, limbs, &x);
                }
            }
        }
    }
}

/// The same with as many dropped primes as there may be.
#[test]
fn division_by_the_most_primes() {
    let (kept, dropped) = (moduli_below(7, 40, 2, 0), moduli_below(7, 50, MAX_DIGIT, 0));
    let products = [Crt::new(&kept).product, Crt::new(&dropped).product];
    check_division(7, &kept, &dropped, 2, &dividends(&products[0], &products[1], 128, &mut rng(3)));
}

/// Divisions with every number of kept limbs up to the tabulated one.
#[test]
fn division_with_fewer_limbs() {
    let (kept, dropped) = (mixed_moduli(7, 6, 1, 0), mixed_moduli(7, 3, 3, 5));
    for limbs in 1..=6 {
        let products = [Crt::new(&kept[..limbs]).product, Crt::new(&dropped).product];
        check_division(7, &kept, &dropped, limbs, &dividends(&products[0], &products[1], 128, &mut rng(4)));
    }
}

proptest! {
    #![proptest_config(config(40))]
    /// Divisions of random polynomials.
    #[test]
    fn division_of_any_polynomial(kept in 1usize..4, dropped in 1usize..5, start in 0usize..4, seed: u64) {
        let (kept, dropped) = (mixed_moduli(4, kept, start, 0), mixed_moduli(4, dropped, start + 1, 4));
        let product = Crt::new(&kept).product * Crt::new(&dropped).product;
        let mut rng = rng(seed);
        let x: Vec<_> = (0..16).map(|_| random_below(&product, &mut rng)).collect();
        check_division(4, &kept, &dropped, kept.len(), &x);
    }
}

/// The three steps one by one, with limbs in any order and in groups of any size, give bit for bit
/// the result of the whole division.
#[test]
fn division_step_by_step() {
    let (kept, dropped) = (mixed_moduli(7, GROUP + 4, 1, 0), mixed_moduli(7, 3, 3, 5));
    for isa in isas() {
        let basis = |moduli: &[Modulus]| RnsBasis::with_isa(7, moduli, isa).expect("a basis");
        let (kept, dropped) = (basis(&kept), basis(&dropped));
        for (dropped, size) in [(dropped.range(0..1), 1), (dropped.clone(), 1), (dropped.clone(), 3), (dropped, GROUP)]
        {
            let mod_down = ModDown::new(&kept, &dropped).expect("coprime bases");
            let all = kept.concat(&dropped).expect("coprime bases");
            let mut rng = rng(5);
            let x: Vec<_> = (0..128).map(|_| random_below(&crt(&all).product, &mut rng)).collect();
            let original = to_eval(&all, &x);
            let mut whole = original.clone();
            let mut scratch = Scratch::new(mod_down.scratch_len());
            mod_down.apply(whole.view_mut(), &mut scratch);

            let mut parts = original.clone();
            let (mut head, mut tail) = parts.view_mut().split_at(kept.len());
            for i in (0..dropped.len()).rev() {
                mod_down.prepare_limb(i, tail.limb_mut(i));
            }
            let prepared = tail.assume_domain::<Coeff>();
            let mut v = vec![f64::NAN; 128];
            mod_down.overflow_into(prepared.view(), 0, &mut v);
            let mut at_once = original.view().range(kept.len(), all.len()).to_owned();
            let mut overflow = vec![f64::NAN; 128];
            assert_eq!(
                mod_down.prepare(at_once.view_mut(), &mut overflow).view().to_owned(),
                prepared.view().to_owned()
            );
            assert_eq!(overflow, v);
            let mut scratch = RnsPoly::<Eval>::zero(128, GROUP + 1);
            scratch.limbs_mut().for_each(|limb| limb.fill(f64::NAN));
            for first in (0..kept.len()).step_by(size).rev() {
                let end = kept.len().min(first + size);
                let mut group = head.reborrow().split_at(end).0.split_at(first).1;
                mod_down.finish_limbs(first, prepared.view(), &v, &mut group, &mut scratch.view_mut());
            }
            for j in 0..kept.len() {
                assert_eq!(parts.limb(j), whole.limb(j), "limb {j} by {size}, {isa}");
            }
        }
    }
}

/// Bases that share primes or differ in degree are refused, and operands of other shapes panic.
#[test]
fn divisions_are_checked() {
    let moduli = mixed_moduli(5, 6, 0, 0);
    let basis = RnsBasis::new(5, &moduli).expect("a basis");
    let (kept, dropped) = (basis.range(0..3), basis.range(3..5));
    let repeated = Error::RepeatedModulus { modulus: moduli[2].value() };
    assert_eq!(ModDown::new(&kept, &basis.range(2..4)).map(|_| ()), Err(repeated));
    let other = RnsBasis::new(4, &moduli_below(5, 45, 1, 0)).expect("a basis");
    assert_eq!(ModDown::new(&kept, &other).map(|_| ()), Err(Error::RingDegree { log_n: 4 }));
    let many = RnsBasis::new(5, &moduli_below(5, 45, MAX_DIGIT + 1, 0)).expect("a basis");
    match ModDown::new(&kept, &many) {
        Err(Error::Count { value, min: 1, max: MAX_DIGIT, .. }) => assert_eq!(value, MAX_DIGIT + 1),
        other => panic!("{other:?}"),
    }

    let mod_down = ModDown::new(&kept, &dropped).expect("coprime bases");
    assert_eq!(mod_down.scratch_len(), (1 + GROUP) * limb_stride(32));
    let mut scratch = Scratch::new(mod_down.scratch_len());
    for limbs in 0..8 {
        let mut poly = RnsPoly::<Eval>::zero(32, limbs);
        let refused = panics(|| mod_down.apply(poly.view_mut(), &mut scratch));
        assert_eq!(refused, !(3..=5).contains(&limbs), "{limbs} limbs");
    }
    let mut poly = RnsPoly::<Eval>::zero(32, 5);
    let short = scratch.len() - 1;
    assert!(panics(|| mod_down.apply(poly.view_mut(), &mut scratch[..short])));
    let mut wrong = RnsPoly::<Eval>::zero(64, 5);
    assert!(panics(|| mod_down.apply(wrong.view_mut(), &mut Scratch::new(1000))));
    assert!(panics(|| mod_down.prepare_limb(2, &mut [0.0; 32])));
    assert!(panics(|| mod_down.prepare_limb(0, &mut [0.0; 16])));
    let prepared = RnsPoly::<Coeff>::zero(32, 2);
    let mut x = [0.0; 32];
    assert!(panics(|| mod_down.overflow_into(prepared.prefix(1), 0, &mut x)));
    assert!(panics(|| mod_down.overflow_into(prepared.view(), 8, &mut x)));
    assert!(panics(|| mod_down.overflow_into(prepared.view(), 0, &mut x[..12])));
    // The arguments are the limbs, the degree and the length of the overflow.
    let prepare = |limbs: usize, n: usize, v: usize| {
        let mut dropped = RnsPoly::<Eval>::zero(n, limbs);
        assert_eq!(mod_down.prepare(dropped.view_mut(), &mut vec![0.0; v]).limbs(), limbs);
    };
    prepare(2, 32, 32);
    assert!(panics(|| prepare(1, 32, 32)));
    assert!(panics(|| prepare(3, 32, 32)));
    assert!(panics(|| prepare(2, 16, 16)));
    assert!(panics(|| prepare(2, 32, 24)));

    // The arguments are the first limb, the limbs and degree of x, the limbs and degree of the
    // workspace, and the length of the overflow.
    let mod_down = ModDown::new(&basis.range(0..4), &basis.range(4..6)).expect("coprime bases");
    let finish = |first: usize, x: (usize, usize), scratch: (usize, usize), v: usize| {
        let [mut x, mut scratch] = [x, scratch].map(|(limbs, n)| RnsPoly::<Eval>::zero(n, limbs));
        mod_down.finish_limbs(first, prepared.view(), &vec![0.0; v], &mut x.view_mut(), &mut scratch.view_mut());
    };
    finish(1, (3, 32), (3, 32), 32);
    finish(4, (0, 32), (0, 32), 32);
    assert!(panics(|| finish(2, (3, 32), (3, 32), 32)));
    assert!(panics(|| finish(0, (3, 32), (2, 32), 32)));
    assert!(panics(|| finish(0, (3, 16), (3, 32), 32)));
    assert!(panics(|| finish(0, (3, 32), (3, 16), 32)));
    assert!(panics(|| finish(0, (3, 32), (3, 32), 24)));
    let basis = RnsBasis::new(5, &mixed_moduli(5, GROUP + 2, 0, 0)).expect("a basis");
    let mod_down = ModDown::new(&basis.range(0..GROUP + 1), &basis.range(GROUP + 1..GROUP + 2)).expect("coprime bases");
    let [mut x, mut scratch] = [(); 2].map(|()| RnsPoly::<Eval>::zero(32, GROUP + 1));
    let (prepared, v) = (prepared.prefix(1), [0.0; 32]);
    assert!(panics(|| mod_down.finish_limbs(0, prepared, &v, &mut x.view_mut(), &mut scratch.view_mut())));
}

/// The last step panics if it gets fewer prepared limbs than there are dropped primes.
#[test]
fn division_counts_the_prepared_limbs() {
    let basis = RnsBasis::new(5, &mixed_moduli(5, 5, 0, 0)).expect("a basis");
    let mod_down = ModDown::new(&basis.range(0..3), &basis.range(3..5)).expect("coprime bases");
    let (prepared, v) = (RnsPoly::<Coeff>::zero(32, 1), [0.0; 32]);
    let [mut x, mut scratch] = [(); 2].map(|()| RnsPoly::<Eval>::zero(32, 1));
    assert!(panics(|| mod_down.finish_limbs(0, prepared.view(), &v, &mut x.view_mut(), &mut scratch.view_mut())));
}
