//! Tests of automorphisms against term-by-term substitution, and of the group that they form.

mod common;

use common::*;
use hetal_kernel::galois::automorphism_coeff_into;
use hetal_kernel::{Automorphism, Coeff, Error, Eval, GaloisElement, RnsBasis, RnsPoly};
use proptest::prelude::*;
use rand_core::Rng;

fn element(g: u64, log_n: u32) -> GaloisElement {
    GaloisElement::new(g, log_n).expect("odd")
}

/// Returns the element given by the low bits of this word, made odd.
fn random_element(log_n: u32, word: u64) -> GaloisElement {
    element((word & ((2 << log_n) - 1)) | 1, log_n)
}

/// Returns a(X^g) modulo X^N + 1, as residues: X^(jg) is ±X^(jg mod N).
fn substitute(q: u64, a: &[u64], g: u64) -> Vec<u64> {
    let n = a.len() as u64;
    let mut out = vec![0; a.len()];
    for (j, &x) in (0..).zip(a) {
        let power = u128::from(g) * j;
        let at = (power % u128::from(n)) as usize;
        let negative = power / u128::from(n) % 2 == 1;
        out[at] = (out[at] + if negative { q - x } else { x }) % q;
    }
    out
}

/// Checks both forms of the automorphism, on random polynomials, against the substitution.
fn check(basis: &RnsBasis, g: GaloisElement, rng: &mut impl Rng) {
    let (n, limbs) = (basis.n(), basis.len());
    let mut a = RnsPoly::<Coeff>::zero(n, limbs);
    for (limb, q) in a.limbs_mut().zip(basis.moduli()) {
        limb.copy_from_slice(&random_centred(q.value(), n, rng));
        limb[n - 1] = 0.0;
    }
    let mut out = RnsPoly::<Coeff>::zero(n, limbs);
    out.limbs_mut().for_each(|limb| limb.fill(f64::NAN));
    automorphism_coeff_into(g, a.view(), &mut out.view_mut());
    let what = format!("g = {}, N = {n}, {}", g.value(), basis.isa());
    let found = limb_residues(basis, out.view());
    for (i, found) in found.iter().enumerate() {
        let q = basis.modulus(i).value();
        assert_same(found, &substitute(q, &residues(q, a.limb(i)), g.value()), &what);
    }

    let values = a.into_eval(basis);
    let mut permuted = RnsPoly::<Eval>::zero(n, limbs);
    permuted.limbs_mut().for_each(|limb| limb.fill(f64::NAN));
    let automorphism = Automorphism::with_isa(g, basis.isa());
    assert_eq!(automorphism.element(), g);
    automorphism.apply_into(values.view(), &mut permuted.view_mut());
    let expected = limb_residues(basis, out.clone().into_eval(basis).view());
    assert_same(&limb_residues(basis, permuted.view()), &expected, &what);
    for i in 0..limbs {
        let mut limb = vec![f64::NAN; n];
        automorphism.limb_into(values.limb(i), &mut limb);
        assert_eq!(limb, permuted.limb(i));
        // With the largest residues of either sign added.
        let q = basis.modulus(i);
        let (half, modulus) = ((q.value() / 2) as f64, q.value());
        let plus: Vec<_> = (0..n).map(|j| if j % 2 == 0 { half } else { -half }).collect();
        let mut sum = vec![f64::NAN; n];
        automorphism.limb_add_into(q, values.limb(i), &plus, &mut sum);
        let expected: Vec<_> = limb.iter().zip(&plus).map(|(x, y)| residue(modulus, x + y)).collect();
        assert_same(&check_centred(modulus, &sum), &expected, &what);
    }
    assert_same(&limb_residues(basis, permuted.into_coeff(basis).view()), &found, &what);
}

fn basis_of(log_n: u32, isa: hetal_kernel::Isa) -> RnsBasis {
    RnsBasis::with_isa(log_n, &mixed_moduli(log_n, 3, 1, 0), isa).expect("a basis")
}

/// All automorphisms of the rings of 16 to 64 coefficients against the substitution.
#[test]
fn every_automorphism_of_small_rings() {
    for isa in isas() {
        for log_n in 4..=6 {
            let basis = basis_of(log_n, isa);
            let mut rng = rng(u64::from(log_n));
            (1..2u64 << log_n).step_by(2).for_each(|g| check(&basis, element(g, log_n), &mut rng));
        }
    }
}

/// Rotations, the conjugation and random automorphisms of larger rings against the substitution.
#[test]
fn some_automorphisms_of_large_rings() {
    for isa in isas() {
        for log_n in degrees([7, 8, 10, 11, 12, 14]) {
            let basis = basis_of(log_n, isa);
            let mut rng = rng(u64::from(log_n));
            let mut elements = vec![GaloisElement::conjugation(log_n), GaloisElement::rotation(1, log_n)];
            elements.push(GaloisElement::rotation(-5, log_n));
            elements.extend([(); 3].map(|()| random_element(log_n, rng.next_u64())));
            elements.into_iter().for_each(|g| check(&basis, g, &mut rng));
        }
    }
}

/// Three automorphisms of the largest rings against the substitution.
#[test]
fn automorphisms_of_the_largest_rings() {
    for log_n in [15, 17] {
        if log_n > log_n_large() {
            continue;
        }
        let basis = RnsBasis::new(log_n, &moduli_below(log_n, 50, 1, 0)).expect("a basis");
        for g in [3, (2 << log_n) - 1, (1 << log_n) + 1] {
            check(&basis, element(g, log_n), &mut rng(g));
        }
    }
}

/// The permutation of slots alone, for all odd g: slot i of a(X^g) is the value of a at
/// ψ^(g·(2·brev(i) + 1)).
#[test]
fn permutations_follow_the_exponents() {
    for log_n in 4..=8 {
        let n = 1usize << log_n;
        let exponents: Vec<_> = (0..n).map(|i| (2 * reverse(i, log_n) + 1) as f64).collect();
        for g in (1..2 * n).step_by(2) {
            let expected: Vec<_> = exponents.iter().map(|&e| ((g * e as usize) % (2 * n)) as f64).collect();
            for isa in isas() {
                let mut out = vec![0.0; n];
                Automorphism::with_isa(element(g as u64, log_n), isa).limb_into(&exponents, &mut out);
                assert_eq!(out, expected, "g = {g}, N = {n}, {isa}");
            }
        }
    }
}

/// Aligned runs of slots stay together, so that the permutation moves whole cache lines.
#[test]
fn permutations_keep_aligned_runs() {
    for log_n in degrees([4, 8, 9, 13]) {
        let n = 1usize << log_n;
        let slots: Vec<_> = (0..n).map(|i| i as f64).collect();
        for g in [3, 5, n as u64 + 1, 2 * n as u64 - 1, 2 * n as u64 - 5] {
            let mut out = vec![0.0; n];
            Automorphism::new(element(g, log_n)).limb_into(&slots, &mut out);
            for run in (0..=log_n).map(|k| 1usize << k) {
                assert!(out.chunks(run).all(|out| out.iter().all(|&x| x as usize / run == out[0] as usize / run)));
            }
        }
    }
}

// ---- the group ----

/// Composition and inverse of elements are those of odd integers modulo 2N.
#[test]
fn elements_multiply_modulo_2n() {
    for log_n in 4..=7 {
        let two_n = 2u64 << log_n;
        for g in (1..two_n).step_by(2) {
            let a = element(g, log_n);
            assert_eq!((a.value(), a.log_n()), (g, log_n));
            assert_eq!(a.inverse().value() * g % two_n, 1);
            assert_eq!(a.inverse().inverse(), a);
            for h in (1..two_n).step_by(2) {
                assert_eq!(a.compose(element(h, log_n)), element(g * h % two_n, log_n));
            }
        }
    }
    for log_n in [10, 16, 17] {
        let mut rng = rng(7);
        for _ in 0..200 {
            let g = random_element(log_n, rng.next_u64());
            assert_eq!(g.compose(g.inverse()), element(1, log_n));
        }
    }
}

/// Rotations are the powers of 5 modulo 2N, of order N/2, and the conjugation is −1.
#[test]
fn rotations_and_conjugation() {
    for log_n in 4..=17 {
        let (slots, two_n) = (1i64 << (log_n - 1), 2u64 << log_n);
        let (one, conjugation) = (element(1, log_n), GaloisElement::conjugation(log_n));
        assert_eq!(conjugation, element(two_n - 1, log_n));
        assert_eq!((conjugation.compose(conjugation), conjugation.inverse()), (one, conjugation));
        // 5 has order exactly N/2: its N/4-th power is 1 + N, not 1.
        assert_eq!(GaloisElement::rotation(slots, log_n), one);
        assert_eq!(GaloisElement::rotation(slots / 2, log_n), element(two_n / 2 + 1, log_n));
        assert_eq!(GaloisElement::rotation(0, log_n), one);
        assert_eq!(GaloisElement::rotation(1, log_n), element(5, log_n));
        let mut power = one;
        for k in 0..100 {
            let rotation = GaloisElement::rotation(k, log_n);
            assert_eq!(rotation, power);
            assert_eq!(GaloisElement::rotation(-k, log_n), rotation.inverse());
            assert_eq!(GaloisElement::rotation(k - 3 * slots, log_n), rotation);
            assert_eq!(GaloisElement::rotation(k + 5 * slots, log_n), rotation);
            power = power.compose(element(5, log_n));
        }
        for k in [i64::MIN, i64::MAX] {
            let remainder = k.rem_euclid(slots);
            assert_eq!(GaloisElement::rotation(k, log_n), GaloisElement::rotation(remainder, log_n));
        }
    }
    // No power of 5 is −1, and the two generate everything: the rotations and their conjugates are
    // all odd numbers.
    let mut all: Vec<_> = (0..32)
        .flat_map(|k| {
            let g = GaloisElement::rotation(k, 6);
            [g.value(), g.compose(GaloisElement::conjugation(6)).value()]
        })
        .collect();
    all.sort_unstable();
    assert_eq!(all, (1..128).step_by(2).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(config(100))]
    /// Applying g and then h is applying their composition, in both forms; inverses, opposite
    /// rotations and a second conjugation give back the input.
    #[test]
    fn automorphisms_compose(log_n in 4u32..=8, g: u64, h: u64, seed: u64) {
        let n = 1usize << log_n;
        let [g, h] = [g, h].map(|g| random_element(log_n, g));
        let mut a = RnsPoly::<Coeff>::zero(n, 1);
        a.limb_mut(0).copy_from_slice(&random_centred(below(log_n, 50).value(), n, &mut rng(seed)));
        let coeff = |g: GaloisElement, a: &RnsPoly<Coeff>| {
            let mut out = RnsPoly::zero(n, 1);
            automorphism_coeff_into(g, a.view(), &mut out.view_mut());
            out
        };
        let eval = |g: GaloisElement, a: &[f64]| {
            let mut out = vec![f64::NAN; n];
            Automorphism::new(g).limb_into(a, &mut out);
            out
        };
        // The results are exact copies up to sign, so equality is that of numbers.
        prop_assert_eq!(coeff(h, &coeff(g, &a)), coeff(g.compose(h), &a));
        prop_assert_eq!(coeff(g.inverse(), &coeff(g, &a)), a.clone());
        let values = a.limb(0);
        prop_assert_eq!(eval(h, &eval(g, values)), eval(g.compose(h), values));
        prop_assert_eq!(eval(g.inverse(), &eval(g, values)), values);
        let k = (seed % 1000) as i64;
        let there = eval(GaloisElement::rotation(k, log_n), values);
        prop_assert_eq!(eval(GaloisElement::rotation(-k, log_n), &there), values);
        let conjugation = GaloisElement::conjugation(log_n);
        prop_assert_eq!(eval(conjugation, &eval(conjugation, values)), values);
    }
}

// ---- refusals ----

/// Even elements, elements of 2N or more, and degrees out of range are refused.
#[test]
fn elements_are_checked() {
    for log_n in [4, 10, 17] {
        let two_n = 2u64 << log_n;
        for g in [0, 2, two_n, two_n - 2, two_n + 1, two_n + 3, 1 << 32 | 1, u64::MAX] {
            assert_eq!(GaloisElement::new(g, log_n), Err(Error::GaloisElement { element: g }));
        }
    }
    for log_n in [0, 1, 3, 18, 31, 32, u32::MAX] {
        assert!(panics(|| GaloisElement::new(1, log_n)));
        assert!(panics(|| GaloisElement::rotation(1, log_n)));
        assert!(panics(|| GaloisElement::conjugation(log_n)));
    }
    assert!(panics(|| element(3, 4).compose(element(3, 5))));
}

/// Polynomials and limbs of other lengths panic.
#[test]
fn shapes_are_checked() {
    let automorphism = Automorphism::new(element(3, 5));
    let (a, mut out) = (RnsPoly::<Eval>::zero(32, 2), RnsPoly::<Eval>::zero(32, 3));
    assert!(panics(|| automorphism.apply_into(a.view(), &mut out.view_mut())));
    assert!(panics(|| automorphism.apply_into(RnsPoly::zero(64, 3).view(), &mut out.view_mut())));
    assert!(panics(|| automorphism.limb_into(&[0.0; 16], &mut [0.0; 32])));
    assert!(panics(|| automorphism.limb_into(&[0.0; 32], &mut [0.0; 16])));
    assert!(panics(|| automorphism.limb_into(&[0.0; 16], &mut [0.0; 16])));
    let q = &moduli_below(5, 40, 1, 0)[0];
    assert!(!panics(|| automorphism.limb_add_into(q, &[0.0; 32], &[0.0; 32], &mut [0.0; 32])));
    for [a, b, c] in [[16, 32, 32], [32, 16, 32], [32, 32, 16], [16; 3]] {
        let values = [0.0; 32];
        assert!(panics(|| automorphism.limb_add_into(q, &values[..a], &values[..b], &mut { values }[..c])));
    }
    let (a, g) = (RnsPoly::<Coeff>::zero(32, 2), element(3, 5));
    for (n, limbs) in [(32, 3), (32, 1), (16, 2), (64, 2)] {
        let mut out = RnsPoly::<Coeff>::zero(n, limbs);
        assert!(panics(|| automorphism_coeff_into(g, a.view(), &mut out.view_mut())));
    }
    let mut out = RnsPoly::<Coeff>::zero(32, 2);
    assert!(panics(|| automorphism_coeff_into(element(3, 4), a.view(), &mut out.view_mut())));
}
