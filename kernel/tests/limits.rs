//! Tests of numbers at the edge of what a function takes: lengths that would wrap around, and
//! indices that are doubled or multiplied. On 32-bit targets, real lengths come close to the first
//! of these.

mod common;

use std::hint::black_box;

use common::*;
use hetal_kernel::packed::Finish;
use hetal_kernel::rns::BaseConverter;
use hetal_kernel::scratch::limb_stride;
use hetal_kernel::{Coeff, Error, Eval, Gadget, GaloisElement, Isa, KeySwitchKey, NttTable};
use hetal_kernel::{RnsBasis, RnsPoly, RnsPolyMut, bytes, packed};

/// Half of all numbers: doubled, it is 0 in arithmetic without checks.
const HALF: usize = usize::MAX / 2 + 1;

/// Returns a gadget of four limbs in two digits, with two special primes.
fn gadget() -> Gadget {
    let basis = |moduli: &[_]| RnsBasis::new(4, moduli).expect("a basis");
    Gadget::new(&basis(&moduli_below(4, 45, 4, 0)), &basis(&moduli_below(4, 46, 2, 0)), 2).expect("a gadget")
}

/// Lengths in bytes and words are exact, or the function panics; they never wrap around.
#[test]
fn lengths_do_not_wrap_around() {
    let q = below(4, 45);
    // A residue of 45 bits takes 6 bytes.
    let most = usize::MAX / 6;
    assert_eq!(bytes::limb_len(&q, most), 6 * most);
    assert!(panics(|| bytes::limb_len(&q, most + 1)) && panics(|| bytes::limb_len(&q, usize::MAX)));
    // 16 residues take 13 words.
    assert_eq!(packed::packed_len(&q, usize::MAX), usize::MAX.div_ceil(128) * 104);
    assert_eq!(limb_stride(usize::MAX - 136), usize::MAX);
    assert!(panics(|| limb_stride(usize::MAX - 135)) && panics(|| limb_stride(usize::MAX)));
    // A limb takes 16 words and a pad of 8.
    let most = usize::MAX / 8 / 24;
    assert_eq!(RnsPoly::<Eval>::bytes(16, most), 8 * 24 * most);
    assert!(panics(|| RnsPoly::<Eval>::bytes(16, most + 1)) && panics(|| RnsPoly::<Eval>::bytes(16, usize::MAX)));
    // So many limbs take 8 words in arithmetic without checks.
    let limbs = usize::MAX / 24 + 1;
    assert_eq!(limbs.wrapping_mul(24), 8);
    assert!(panics(|| RnsPoly::<Eval>::zero(16, limbs)) && panics(|| RnsPoly::<Coeff>::from_small(&[0; 16], limbs)));
    let mut scratch = [0.0; 64];
    assert!(panics(|| RnsPolyMut::<Eval>::from_scratch(&mut scratch, 16, limbs).0.limbs()));
    let mut poly = RnsPoly::<Eval>::zero(16, 2);
    poly.limb_mut(1).fill(1.0);
    // This looks at what a panic leaves behind. Without black_box, LLVM 22 would lose the ones on
    // wasm, whose panics are caught in tests only.
    let poly = black_box(&mut poly);
    assert!(panics(|| poly.resize(limbs)) && panics(|| poly.reshape(limbs)));
    assert_eq!((poly.limbs(), poly.limb(1)), (2, &[1.0; 16][..]), "a refused size leaves a polynomial as it was");
}

/// Groups that are longer than the polynomial hold all of its limbs.
#[test]
fn groups_of_any_size() {
    let mut poly = RnsPoly::<Eval>::zero(16, 3);
    // The third and the fourth of these sizes, times the stride of 24 words, are 0 and 24 in
    // arithmetic without checks.
    for size in [3, 4, HALF / 4, HALF / 4 + 1, usize::MAX / 24 + 1, usize::MAX] {
        let groups: Vec<_> = poly.view_mut().groups_mut(size).map(|(first, group)| (first, group.limbs())).collect();
        assert_eq!(groups, [(0, 3)], "{size} limbs in a group");
    }
}

/// Digits, limbs and parts that do not exist make the function panic, however large their index.
#[test]
fn limbs_and_digits_that_do_not_exist() {
    let gadget = gadget();
    let secret = RnsPoly::<Coeff>::from_small(&[1; 16], 6).into_eval(gadget.qp());
    let key = KeySwitchKey::generate(&gadget, secret.prefix(4), secret.view(), &mut rng(1));
    let prepared = RnsPoly::<Coeff>::zero(16, 4);
    let (c, mut out) = (RnsPoly::<Eval>::zero(16, 4), [0.0; 16]);
    for d in [2, 3, HALF, HALF + 1, usize::MAX] {
        assert!(panics(|| key.part(&gadget, d)), "part {d}");
        assert!(panics(|| gadget.overflow_limb(prepared.view(), d, 0, &mut out)), "overflow of digit {d}");
        let mut lifted = RnsPoly::<Eval>::zero(16, 1);
        assert!(panics(|| gadget.digit_limbs(prepared.view(), &[0.0; 16], d, 0, &mut lifted.view_mut())), "digit {d}");
    }
    for limbs in [5, 6, HALF, usize::MAX] {
        // Limb 0 of a polynomial with more limbs than the gadget has is not a limb of this gadget.
        assert!(panics(|| gadget.prepare_limb(limbs, 0, c.limb(0), &mut out)), "a limb of {limbs}");
        assert!(panics(|| gadget.groups(limbs).count()) && panics(|| gadget.qp_index(limbs, 0)), "{limbs} limbs");
        assert!(panics(|| gadget.switch_scratch_len(limbs)) && panics(|| gadget.decompose_scratch_len(limbs)));
    }
    for i in [4, HALF, usize::MAX] {
        assert!(panics(|| gadget.prepare_limb(4, i, c.limb(0), &mut out)), "limb {i}");
        assert!(panics(|| gadget.qp_index(4, i.saturating_add(2))), "limb {i} after the special ones");
        assert!(
            panics(|| c.limb(i)) && panics(|| c.prefix(i.saturating_add(1))) && panics(|| gadget.q().table(i)),
            "limb {i}"
        );
    }
    for (at, part) in [(6, 0), (HALF, 0), (usize::MAX, 1), (0, 2), (0, HALF)] {
        let digits = [c.limb(0); 2];
        let sum = panics(|| key.accumulate_limb(&gadget, at, part, &digits, Finish::default(), &mut out));
        assert!(sum, "limb {at}, part {part}");
    }
}

/// Targets that the converter does not have make it panic, however large their index.
#[test]
fn targets_of_a_conversion_that_do_not_exist() {
    let moduli = moduli_below(4, 45, 4, 0);
    let converter = BaseConverter::new(&moduli[..2], &moduli[2..], Isa::SCALAR).expect("a converter");
    let (y, mut out) = ([[0.0; 16]; 2], [[0.0; 16]; 2]);
    let mut convert = |first: usize, count: usize| {
        let mut out = out.each_mut().map(|out| &mut out[..]);
        panics(|| converter.convert_into(&y.each_ref().map(|y| &y[..]), first, &mut out[..count]))
    };
    assert!(!convert(0, 2) && !convert(1, 1) && !convert(2, 0));
    for (first, count) in [(1, 2), (2, 1), (3, 0), (HALF, 0), (usize::MAX, 1), (usize::MAX - 1, 2)] {
        assert!(convert(first, count), "{count} targets from {first} on");
    }
    assert!(panics(|| converter.cofactor(2)) && panics(|| converter.cofactor(usize::MAX)));
}

/// One value too many for the runs of a sum is refused, although run · values is the length of the
/// sum in 32-bit arithmetic.
#[test]
fn runs_of_a_sum() {
    let table = NttTable::new(below(4, 45), 4).expect("a table");
    let run = 1 << 16;
    let (values, b, mut out) = (vec![0.0; run + 1], vec![0.0; run], vec![0.0; run]);
    let mut sum = |a: &[f64]| panics(|| table.dot_repeated_into([&mut out], &[a], [&[&b]], run));
    assert!(!sum(&values[..1]));
    assert!(sum(&values) && sum(&values[..2]) && sum(&[]));
}

/// Rotations take any number of slots and count it modulo N/2; they are powers of 5, multiplied out
/// one by one.
#[test]
fn rotations_by_any_number() {
    for log_n in [4, 11, 17] {
        let half = 1i64 << (log_n - 1);
        for k in [i64::MIN, i64::MIN + 1, -half - 1, -half, -1, 0, 1, half, half + 1, i64::MAX - 1, i64::MAX] {
            let residue = i128::from(k).rem_euclid(i128::from(half));
            let wanted = (0..residue).fold(1u64, |g, _| g * 5 % (4 * half as u64));
            assert_eq!(GaloisElement::rotation(k, log_n).value(), wanted, "rotation by {k} at N = 2^{log_n}");
        }
        for element in [0, 2, 4 * half as u64, 4 * half as u64 + 1, (1 << 32) + 1, u64::MAX] {
            assert_eq!(GaloisElement::new(element, log_n), Err(Error::GaloisElement { element }));
        }
    }
}
