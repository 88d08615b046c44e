//! Tests of polynomials: their views, and their arithmetic against term-by-term products modulo X^N
//! + 1, on every ISA.

mod common;

use common::*;
use hetal_kernel::scratch::limb_stride;
use hetal_kernel::{Coeff, Eval, Isa, Modulus, RnsBasis, RnsPoly, RnsPolyMut, Scratch};
use proptest::prelude::*;
use rand_core::Rng;
use zeroize::Zeroize;

fn basis(log_n: u32, moduli: &[Modulus], isa: Isa) -> RnsBasis {
    RnsBasis::with_isa(log_n, moduli, isa).expect("a basis")
}

/// Returns the polynomial whose limbs hold these residues, centred.
fn from_residues(basis: &RnsBasis, limbs: &[Vec<u64>]) -> RnsPoly<Coeff> {
    let mut poly = RnsPoly::zero(basis.n(), limbs.len());
    for (i, (out, limb)) in poly.limbs_mut().zip(limbs).enumerate() {
        let q = basis.modulus(i).value();
        out.iter_mut().zip(limb).for_each(|(out, &x)| *out = centre(q, x));
    }
    poly
}

/// Returns a polynomial whose limb i is filled with i + 1.
fn numbered(n: usize, limbs: usize) -> RnsPoly<Coeff> {
    let mut poly = RnsPoly::zero(n, limbs);
    poly.limbs_mut().zip(1..).for_each(|(limb, i)| limb.fill(f64::from(i)));
    poly
}

// ---- shapes and views ----

/// Limbs begin at cache lines and are followed by a pad, and a new polynomial is zero.
#[test]
fn limbs_are_aligned_and_padded() {
    for n in [16, 256, 512, 4096] {
        let mut poly = RnsPoly::<Coeff>::zero(n, 3);
        assert_eq!((poly.n(), poly.limbs()), (n, 3));
        assert_eq!(RnsPoly::<Coeff>::bytes(n, 3), 3 * 8 * limb_stride(n));
        assert!(limb_stride(n) > n && limb_stride(n).is_multiple_of(8));
        for i in 0..3 {
            assert_eq!(poly.limb(i), vec![0.0; n]);
            assert_eq!(poly.limb(i).as_ptr().addr() % 64, 0);
        }
        assert_eq!(poly.limbs_mut().len(), 3);
        assert!(poly.limbs_mut().all(|limb| limb.len() == n));
        let scratch = Scratch::new(limb_stride(n));
        assert_eq!((scratch.as_ptr().addr() % 64, scratch.len()), (0, limb_stride(n)));
        assert!(scratch.iter().all(|&x| x == 0.0));
    }
}

/// Views, ranges, parts and groups show the limbs of the polynomial itself, and panic beyond them.
#[test]
fn views_show_the_same_limbs() {
    let mut poly = numbered(32, 5);
    assert_eq!((poly.view().n(), poly.view().limbs()), (32, 5));
    for limbs in 0..=5 {
        let prefix = poly.prefix(limbs);
        assert_eq!((prefix.n(), prefix.limbs()), (32, limbs));
        (0..limbs).for_each(|i| assert_eq!(prefix.limb(i).as_ptr(), poly.limb(i).as_ptr()));
        assert!(panics(|| prefix.limb(limbs)));
        for from in 0..=limbs {
            let range = poly.view().range(from, limbs);
            assert_eq!(range.limbs(), limbs - from);
            (0..limbs - from).for_each(|i| assert_eq!(range.limb(i), vec![(from + i + 1) as f64; 32]));
        }
    }
    assert!(panics(|| poly.prefix(6).limbs()));
    assert!(panics(|| poly.view().range(2, 6).limbs()));
    assert!(panics(|| poly.view().range(3, 2).limbs()));
    assert!(panics(|| poly.limb(5).len()));
    assert!(panics(|| poly.clone().limb_mut(5).len()));

    poly.prefix_mut(2).limb_mut(1).fill(7.0);
    assert_eq!((poly.limb(1)[31], poly.limb(2)[0]), (7.0, 3.0));
    assert!(panics(|| poly.clone().prefix_mut(6).limbs()));
    let (mut head, tail) = poly.view_mut().split_at(3);
    assert_eq!((head.limbs(), tail.limbs(), head.n(), tail.n()), (3, 2, 32, 32));
    assert_eq!((head.limb(2)[0], tail.limb(0)[0]), (3.0, 4.0));
    head.reborrow().limb_mut(0).fill(9.0);
    assert!(panics(|| head.limb(3).len()));
    head.limb_mut(0)[5] = 8.0;
    assert_eq!(head.view().limb(0)[4..6], [9.0, 8.0]);
    let limbs: Vec<_> = tail.into_limbs_mut().map(|limb| limb.to_vec()).collect();
    assert_eq!(limbs, [vec![4.0; 32], vec![5.0; 32]]);
    assert!(panics(|| poly.clone().view_mut().split_at(6).0.limbs()));
    let groups: Vec<_> = poly.view_mut().groups_mut(2).map(|(first, group)| (first, group.limbs())).collect();
    assert_eq!(groups, [(0, 2), (2, 2), (4, 1)]);
    for (first, group) in poly.prefix_mut(3).groups_mut(2) {
        (0..group.limbs()).for_each(|i| assert_eq!(group.limb(i)[0], [9.0, 7.0, 3.0][first + i]));
    }
    // The second part of a prefix ends where the prefix does.
    assert_eq!(poly.prefix_mut(4).split_at(1).1.into_limbs_mut().len(), 3);
}

/// Limbs are copied, cut off and wiped.
#[test]
fn limbs_are_copied_and_forgotten() {
    let poly = numbered(16, 4);
    let mut other = RnsPoly::zero(16, 4);
    other.view_mut().copy_from(poly.view());
    assert_eq!(other, poly);
    let mut part = RnsPoly::zero(16, 2);
    part.view_mut().copy_from(poly.view().range(1, 3));
    assert_eq!((part.limb(0)[0], part.limb(1)[15]), (2.0, 3.0));
    assert!(panics(|| part.clone().view_mut().copy_from(poly.view())));
    assert!(panics(|| RnsPoly::zero(32, 4).view_mut().copy_from(poly.view())));

    assert_eq!(poly.view().range(1, 3).to_owned(), part);
    for limbs in [5, 4, 2, 0] {
        let mut short = poly.clone();
        short.truncate(limbs);
        assert_eq!(short.limbs(), limbs.min(4));
        assert_eq!(short, poly.prefix(limbs.min(4)).to_owned());
        assert_eq!(short.limbs_mut().len(), limbs.min(4));
        assert!(panics(|| short.limb(limbs).len()));
    }
    let mut secret = poly.clone();
    secret.zeroize();
    assert_eq!(secret, RnsPoly::zero(16, 4));
    let eval: RnsPoly<Eval> = poly.clone().assume_domain();
    assert_eq!(eval.limb(3), poly.limb(3));
}

/// Asserts that limb i is filled with i + 1, and with zeros from limb `known` on.
fn assert_numbered(poly: &RnsPoly<Coeff>, known: usize) {
    for i in 0..poly.limbs() {
        let x = if i < known { (i + 1) as f64 } else { 0.0 };
        assert!(poly.limb(i).iter().all(|y| y.to_bits() == x.to_bits()), "limb {i} of {}", poly.limbs());
    }
}

/// Resizing keeps the first limbs, fills new ones with zeros, and allocates only beyond the
/// capacity.
#[test]
fn limbs_are_resized() {
    for n in [16, 512] {
        let mut poly = numbered(n, 5);
        let at = poly.limb(0).as_ptr();
        // Former contents do not come back, and nothing is allocated up to the largest number of
        // limbs so far.
        let mut expected = vec![1.0, 2.0, 3.0, 4.0, 5.0];
        for limbs in [5, 3, 5, 4, 1, 2, 5, 0, 3, 5] {
            poly.resize(limbs);
            expected.resize(limbs, 0.0);
            assert_eq!((poly.n(), poly.limbs(), poly.limbs_mut().len()), (n, limbs, limbs));
            expected.iter().enumerate().for_each(|(i, &x)| assert_eq!(poly.limb(i), vec![x; n]));
            assert!(limbs == 0 || poly.limb(0).as_ptr() == at);
            assert_eq!(poly.capacity(), 5);
            assert!(panics(|| poly.limb(limbs).len()));
            if let Some(last) = expected.last_mut() {
                *last += 7.0;
                poly.limb_mut(limbs - 1).fill(*last);
            }
        }
        poly.truncate(2);
        poly.resize(4);
        assert_numbered(&poly, 0);

        for limbs in [5, 6, 40] {
            let mut poly = numbered(n, 5);
            poly.resize(limbs);
            assert_eq!(poly.limbs(), limbs);
            assert_numbered(&poly, 5);
            assert_eq!(poly.limb(limbs - 1).as_ptr().addr() % 64, 0);
        }
        let mut poly = RnsPoly::<Coeff>::zero(n, 0);
        poly.resize(2);
        assert_eq!(poly, RnsPoly::zero(n, 2));
    }
}

/// Reshaping changes the number of limbs, keeps the first ones and allocates only beyond the
/// capacity.
#[test]
fn limbs_are_reshaped() {
    for n in [16, 512] {
        let mut poly = numbered(n, 5);
        let at = poly.limb(0).as_ptr();
        for limbs in [3, 5, 1, 4, 0, 5] {
            poly.reshape(limbs);
            assert_eq!((poly.limbs(), poly.view().limbs(), poly.capacity()), (limbs, limbs, 5));
            assert_eq!(poly.limbs_mut().len(), limbs);
            // The first limbs are what they were, and are all there is for views, copies and
            // comparisons.
            assert_numbered(&poly, limbs);
            assert_eq!((poly.clone().capacity(), poly.clone() == numbered(n, limbs)), (limbs, true));
            assert!(panics(|| poly.limb(limbs).len()));
            assert!(limbs == 0 || poly.limb(0).as_ptr() == at);
        }
        // What is behind the limbs does not come back where zeros are promised.
        poly.reshape(2);
        poly.resize(4);
        assert_numbered(&poly, 2);
        poly.reshape(1);
        poly.copy_from(numbered(n, 2).view());
        assert_eq!(poly, numbered(n, 2));
        poly.reshape(9);
        assert_eq!((poly.limbs(), poly.limb(8).as_ptr().addr() % 64), (9, 0));
    }
}

/// Copying from a polynomial of any other shape gives an equal one, in the same memory if that is
/// large enough.
#[test]
fn polynomials_take_over_others() {
    let sources = [numbered(512, 3), numbered(16, 5), numbered(32, 0), numbered(1024, 2), numbered(16, 1)];
    for source in &sources {
        for mut poly in sources.clone() {
            poly.copy_from(source.view());
            assert_eq!(poly, *source);
            assert_eq!((poly.n(), poly.limbs(), poly.limbs_mut().len()), (source.n(), source.limbs(), source.limbs()));
            // Limbs that were cut off do not come back.
            poly.resize(6);
            assert_numbered(&poly, source.limbs());
        }
    }
    let mut poly = RnsPoly::zero(64, 7);
    let at = poly.limb(0).as_ptr();
    for range in [1..3, 0..0, 2..5, 4..5, 0..5] {
        poly.copy_from(numbered(64, 5).view().range(range.start, range.end));
        assert_eq!((poly.n(), poly.limbs()), (64, range.len()));
        range.enumerate().for_each(|(i, x)| assert_eq!(poly.limb(i), [(x + 1) as f64; 64]));
        poly.resize(7);
        assert_eq!(poly.limb(0).as_ptr(), at);
    }
    poly.copy_from(numbered(16, 9).view());
    assert_eq!((poly.limb(0).as_ptr(), poly), (at, numbered(16, 9)));
}

/// Filling a part with zeros leaves the other limbs alone.
#[test]
fn parts_are_filled_with_zeros() {
    let mut poly = numbered(16, 4);
    poly.view_mut().split_at(3).0.split_at(1).1.fill_zero();
    let first: Vec<_> = (0..4).map(|i| poly.limb(i).to_vec()).collect();
    assert_eq!(first, [1.0, 0.0, 0.0, 4.0].map(|x| vec![x; 16]));
    poly.view_mut().split_at(0).0.fill_zero();
    assert_eq!(poly.limb(0), [1.0; 16]);
    poly.limb_mut(2).fill(-0.0);
    poly.limb_mut(3).fill(f64::NAN);
    poly.view_mut().fill_zero();
    assert_numbered(&poly, 0);
}

/// Polynomials in a workspace take their limbs from its front and leave the rest.
#[test]
fn polynomials_in_a_workspace() {
    let mut scratch = Scratch::new(3 * limb_stride(16) + 5);
    scratch.fill(f64::NAN);
    let (mut poly, rest) = RnsPolyMut::<Coeff>::from_scratch(&mut scratch, 16, 2);
    assert_eq!((poly.n(), poly.limbs(), rest.len()), (16, 2, limb_stride(16) + 5));
    poly.copy_from(numbered(16, 2).view());
    assert_eq!(poly.view().limb(1), [2.0; 16]);
    let eval = poly.assume_domain::<Eval>();
    assert_eq!(eval.limb(0), [1.0; 16]);
    assert!(panics(|| RnsPolyMut::<Coeff>::from_scratch(&mut scratch, 16, 4).0.limbs()));
}

/// The pads behind the limbs do not count for equality.
#[test]
fn equality_does_not_look_at_pads() {
    let mut scratch = Scratch::new(2 * limb_stride(16));
    scratch.fill(f64::NAN);
    let (mut poly, _) = RnsPolyMut::<Coeff>::from_scratch(&mut scratch, 16, 2);
    (0..2).for_each(|i| poly.limb_mut(i).fill(0.0));
    assert_eq!(poly.view().to_owned(), RnsPoly::zero(16, 2));
}

/// A polynomial from small coefficients has them in every limb, without −0.
#[test]
fn small_polynomials() {
    let small: Vec<i8> = (0..32).map(|i| (i * 37 % 256) as u8 as i8).collect();
    assert!(small.contains(&0));
    let poly = RnsPoly::from_small(&small, 3);
    assert_eq!((poly.n(), poly.limbs()), (32, 3));
    for i in 0..3 {
        assert!(
            poly.limb(i).iter().zip(&small).all(|(&x, &c)| x == f64::from(c) && (x != 0.0 || x.is_sign_positive()))
        );
    }
    assert!(panics(|| RnsPoly::from_small(&small[..24], 1)));
}

// ---- arithmetic ----

/// Checks sums, products and so on of polynomials given as residues, at several numbers of limbs,
/// against u128 arithmetic and term-by-term products.
fn check_arithmetic(log_n: u32, moduli: &[Modulus], operands: &[Vec<Vec<u64>>; 3]) {
    let rings: Vec<_> = moduli.iter().map(|q| Ring::new(q, log_n)).collect();
    let n = 1usize << log_n;
    let [a, b, c] = operands;
    let slotwise = |definition: fn(u64, u64, u64) -> u64| -> Vec<Vec<u64>> {
        let limb = |(i, ring): (usize, &Ring)| (0..n).map(|k| definition(ring.q, a[i][k], b[i][k])).collect();
        rings.iter().enumerate().map(limb).collect()
    };
    let sum = slotwise(|q, a, b| (a + b) % q);
    let difference = slotwise(|q, a, b| (a + q - b) % q);
    let negative = slotwise(|q, a, _| (q - a) % q);
    let constants: Vec<_> = rings.iter().map(|ring| ring.q - 2).collect();
    let scaled = slotwise(|q, a, _| mul_mod(q, a, q - 2));
    let product: Vec<_> = rings.iter().enumerate().map(|(i, ring)| ring.product(&a[i], &b[i])).collect();
    let product_sum: Vec<Vec<_>> = rings
        .iter()
        .enumerate()
        .map(|(i, ring)| ring.product(&b[i], &c[i]).iter().zip(&a[i]).map(|(x, a)| (x + a) % ring.q).collect())
        .collect();

    for isa in isas() {
        let basis = basis(log_n, moduli, isa);
        for limbs in [1, moduli.len()] {
            let [a, b, c] = operands.each_ref().map(|x| from_residues(&basis, &x[..limbs]));
            let expect = |what: &str, poly: &RnsPoly<Coeff>, expected: &[Vec<u64>]| {
                let found = limb_residues(&basis, poly.view());
                assert_same(&found.concat(), &expected[..limbs].concat(), format!("{what}, N = {n}, {isa}"));
            };
            let mut x = a.clone();
            x.view_mut().add_assign(&basis, b.view());
            expect("sum", &x, &sum);
            let mut x = a.clone();
            x.view_mut().sub_assign(&basis, b.view());
            expect("difference", &x, &difference);
            let mut x = a.clone();
            x.view_mut().neg_assign(&basis);
            expect("negative", &x, &negative);
            let mut x = a.clone();
            x.view_mut().mul_scalars_assign(&basis, &constants[..limbs]);
            expect("scaled", &x, &scaled);

            let [a, b, c] = [a, b, c].map(|x| x.into_eval(&basis));
            let mut x = a.clone();
            x.view_mut().mul_assign(&basis, b.view());
            expect("product", &x.into_coeff(&basis), &product);
            let mut x = a.clone();
            x.view_mut().mul_add_assign(&basis, b.view(), c.view());
            expect("product and sum", &x.into_coeff(&basis), &product_sum);
            // Linear maps commute with the transform.
            let mut x = a.clone();
            x.view_mut().add_assign(&basis, b.view());
            expect("sum of values", &x.into_coeff(&basis), &sum);
            let mut x = a.clone();
            x.view_mut().mul_scalars_assign(&basis, &constants[..limbs]);
            expect("scaled values", &x.into_coeff(&basis), &scaled);
            expect("round trip", &a.into_coeff(&basis), &operands[0]);
        }
    }
}

/// All arithmetic in rings of 16 to 128 coefficients, with random and extreme operands.
#[test]
fn arithmetic_in_every_small_ring() {
    for log_n in 4..=7 {
        let moduli = mixed_moduli(log_n, 4, log_n as usize, 0);
        let mut rng = rng(u64::from(log_n));
        let mut random = || moduli.iter().map(|q| random_residues(q.value(), 1 << log_n, &mut rng)).collect();
        let all = |x: fn(u64) -> u64| moduli.iter().map(|q| vec![x(q.value()); 1 << log_n]).collect();
        check_arithmetic(log_n, &moduli, &[random(), random(), random()]);
        check_arithmetic(log_n, &moduli, &[all(|q| q - 1), all(|q| q - 1), all(|q| q - 1)]);
        check_arithmetic(log_n, &moduli, &[all(|q| q / 2), all(|q| q / 2 + 1), random()]);
        check_arithmetic(log_n, &moduli, &[all(|_| 0), all(|q| q / 2), all(|_| 1)]);
    }
}

/// Returns a ring element as residues of two limbs.
fn element(moduli: &[Modulus], n: usize, words: &[u64]) -> Vec<Vec<u64>> {
    let limb = |(i, q): (usize, &Modulus)| {
        let value = |k: usize| match words[k] % 8 {
            0 => q.value() - 1,
            1 => q.value() / 2 + words[k] / 8 % 2,
            2 => 0,
            _ => (words[k] >> (3 + i)) % q.value(),
        };
        (0..n).map(value).collect()
    };
    moduli.iter().enumerate().map(limb).collect()
}

proptest! {
    #![proptest_config(config(100))]
    /// Arithmetic of random elements against the oracle, and the laws of a commutative ring.
    #[test]
    fn ring_laws(log_n in 4u32..=7, start in 0usize..4, words in proptest::collection::vec(any::<u64>(), 3 * 128)) {
        let moduli = mixed_moduli(log_n, 2, start, 0);
        let n = 1 << log_n;
        let operands = [0, 1, 2].map(|k| element(&moduli, n, &words[128 * k..]));
        check_arithmetic(log_n, &moduli, &operands);
        for isa in isas() {
            let basis = basis(log_n, &moduli, isa);
            let [a, b, c] = operands.each_ref().map(|x| from_residues(&basis, x).into_eval(&basis));
            let add = |x: &RnsPoly<Eval>, y: &RnsPoly<Eval>| {
                let mut x = x.clone();
                x.view_mut().add_assign(&basis, y.view());
                x
            };
            let mul = |x: &RnsPoly<Eval>, y: &RnsPoly<Eval>| {
                let mut x = x.clone();
                x.view_mut().mul_assign(&basis, y.view());
                x
            };
            let negative = |x: &RnsPoly<Eval>| {
                let mut x = x.clone();
                x.view_mut().neg_assign(&basis);
                x
            };
            let equal = |x: &RnsPoly<Eval>, y: &RnsPoly<Eval>| {
                limb_residues(&basis, x.view()) == limb_residues(&basis, y.view())
            };
            prop_assert!(equal(&add(&a, &b), &add(&b, &a)));
            prop_assert!(equal(&mul(&a, &b), &mul(&b, &a)));
            prop_assert!(equal(&add(&add(&a, &b), &c), &add(&a, &add(&b, &c))));
            prop_assert!(equal(&mul(&mul(&a, &b), &c), &mul(&a, &mul(&b, &c))));
            prop_assert!(equal(&mul(&a, &add(&b, &c)), &add(&mul(&a, &b), &mul(&a, &c))));
            prop_assert!(equal(&add(&a, &negative(&a)), &RnsPoly::zero(n, 2)));
            prop_assert!(equal(&mul(&negative(&a), &b), &negative(&mul(&a, &b))));
            let mut one = RnsPoly::<Eval>::zero(n, 2);
            one.limbs_mut().for_each(|limb| limb.fill(1.0));
            prop_assert!(equal(&mul(&a, &one), &a));
        }
    }
}

/// Products known beforehand, X^i·X^j with its sign, in rings in which the transform takes each of
/// its code paths.
#[test]
fn monomials_in_large_rings() {
    for log_n in degrees([8, 10, 12, 14]) {
        let (n, moduli) = (1usize << log_n, mixed_moduli(log_n, 2, 2, 0));
        for isa in isas() {
            let basis = basis(log_n, &moduli, isa);
            let mut rng = rng(u64::from(log_n));
            for _ in 0..3 {
                let [i, j] = [(); 2].map(|()| rng.next_u64() as usize % n);
                let monomial = |i: usize| {
                    let mut poly = RnsPoly::<Coeff>::zero(n, 2);
                    poly.limbs_mut().for_each(|limb| limb[i] = 1.0);
                    poly.into_eval(&basis)
                };
                let mut product = monomial(i);
                product.view_mut().mul_assign(&basis, monomial(j).view());
                let product = product.into_coeff(&basis);
                for limb in 0..2 {
                    let mut expected = vec![0.0; n];
                    expected[(i + j) % n] = if i + j < n { 1.0 } else { -1.0 };
                    assert_eq!(product.limb(limb), expected, "X^{i} X^{j}, N = {n}, {isa}");
                }
            }
        }
    }
}

/// Operands and bases of other shapes panic.
#[test]
fn shapes_are_checked() {
    let moduli = mixed_moduli(5, 3, 0, 0);
    let basis = basis(5, &moduli, Isa::detect());
    let short = basis.range(0..2);
    let (mut a, b) = (RnsPoly::<Eval>::zero(32, 3), RnsPoly::<Eval>::zero(32, 2));
    let wide = RnsPoly::<Eval>::zero(64, 3);
    assert!(panics(|| a.view_mut().add_assign(&basis, b.view())));
    assert!(panics(|| a.view_mut().sub_assign(&basis, b.view())));
    assert!(panics(|| a.view_mut().mul_assign(&basis, b.view())));
    assert!(panics(|| a.view_mut().mul_add_assign(&basis, b.view(), wide.view())));
    assert!(panics(|| a.view_mut().mul_add_assign(&basis, wide.view(), b.view())));
    assert!(panics(|| a.view_mut().add_assign(&basis, wide.view())));
    assert!(panics(|| a.view_mut().mul_scalars_assign(&basis, &[1, 1])));
    assert!(panics(|| a.view_mut().mul_scalars_assign(&basis, &[1, 1, 1, 1])));
    let c = a.clone();
    assert!(panics(|| a.view_mut().add_assign(&short, c.view())));
    assert!(panics(|| a.view_mut().neg_assign(&short)));
    assert!(panics(|| a.clone().into_coeff(&short)));
    assert!(panics(|| wide.clone().into_coeff(&basis)));
    // A basis with more primes than the polynomial has limbs is right: this is a level.
    let d = b.clone();
    a.prefix_mut(2).add_assign(&basis, d.view());
}
