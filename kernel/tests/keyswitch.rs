//! Tests of key-switching against big integers: the digits, the sums, their division and the noise,
//! for every level and ISA.

mod common;

use common::*;
use hetal_kernel::packed::Finish;
use hetal_kernel::primes::{Direction, NttPrimes};
use hetal_kernel::rns::{GROUP, MAX_DIGIT};
use hetal_kernel::sampler::{self, Seed};
use hetal_kernel::{
    Automorphism, Coeff, Error, Eval, Gadget, GaloisElement, Isa, KeySwitchKey, ModDown, Modulus, NttTable, RnsBasis,
    RnsPoly, RnsPolyMut, RnsPolyRef, Scratch, bytes,
};
use num_bigint::BigInt;
use rand_core::Rng;

// ---- set-up ----

/// The shape of keys: the primes of the ciphertext, the special primes, and the limbs of a digit.
#[derive(Clone)]
struct Shape {
    log_n: u32,
    q: Vec<Modulus>,
    p: Vec<Modulus>,
    alpha: usize,
}

impl Shape {
    /// Takes ciphertext primes just below 2^bits and special primes just above it.
    fn tight(log_n: u32, bits: u32, limbs: usize, special: usize, alpha: usize) -> Self {
        let next = NttPrimes::new(log_n, 1 << bits, Direction::Ascending).expect("a size");
        Self { log_n, q: moduli_below(log_n, bits, limbs, 0), p: next.take(special).collect(), alpha }
    }

    fn gadget(&self, isa: Isa) -> Gadget {
        let basis = |moduli: &[Modulus]| RnsBasis::with_isa(self.log_n, moduli, isa).expect("a basis");
        Gadget::new(&basis(&self.q), &basis(&self.p), self.alpha).expect("a gadget")
    }
}

/// Returns shapes with: one limb and one digit; one limb per digit and more digits than an
/// accumulator holds; α not dividing the number of limbs; primes of all sizes; the largest primes;
/// special primes 2 bits below the digit.
fn shapes(log_n: u32) -> Vec<Shape> {
    let of = |q: Vec<Modulus>, p: Vec<Modulus>, alpha| Shape { log_n, q, p, alpha };
    let largest = |limbs: usize, special: usize, alpha| {
        of(moduli_below(log_n, 50, limbs, special), moduli_below(log_n, 50, special, 0), alpha)
    };
    let below_two_thirds =
        NttPrimes::new(log_n, (1 << 48) / 3, Direction::Descending).expect("a size").take(3).collect();
    let mut shapes = vec![
        Shape::tight(log_n, 45, 1, 1, 1),
        Shape::tight(log_n, 40, 5, 2, 2),
        Shape::tight(log_n, 48, 7, 3, 3),
        largest(4, 4, 4),
        of(mixed_moduli(log_n, 5, 2, 0), moduli_below(log_n, 49, 2, 0), 2),
    ];
    if thorough() {
        shapes.extend([
            Shape::tight(log_n, 30, 10, 1, 1),
            // There are more limbs in a digit, and more special primes, than an accumulator holds.
            Shape::tight(log_n, 48, 10, 9, 9),
            largest(5, 2, 2),
            of(moduli_below(log_n, 47, 6, 0), below_two_thirds, 3),
            of(moduli_below(log_n, 45, 3, 0), moduli_below(log_n, 45, 3, 3), 8),
        ]);
    }
    shapes
}

fn product(moduli: &[Modulus]) -> BigInt {
    moduli.iter().map(|q| BigInt::from(q.value())).product()
}

/// Returns a ternary secret, and its values modulo QP.
fn secret(gadget: &Gadget, rng: &mut (impl rand_core::CryptoRng + ?Sized)) -> (Vec<i8>, RnsPoly<Eval>) {
    let mut small = vec![0; gadget.qp().n()];
    sampler::ternary_into(rng, &mut small);
    let values = RnsPoly::from_small(&small, gadget.qp().len()).into_eval(gadget.qp());
    (small, values)
}

/// Returns the primes of a sum modulo QP at a level.
fn level_basis(gadget: &Gadget, limbs: usize) -> RnsBasis {
    let special = gadget.qp().range(gadget.q().len()..gadget.qp().len());
    gadget.q().range(0..limbs).concat(&special).expect("coprime")
}

fn small_residues(q: u64, small: &[i8]) -> Vec<u64> {
    small.iter().map(|&x| residue(q, f64::from(x))).collect()
}

/// Returns the coefficients of a limb of values.
fn coefficients(table: &NttTable, values: &[f64]) -> Vec<u64> {
    let mut x = values.to_vec();
    table.inverse(&mut x);
    residues(table.modulus().value(), &x)
}

/// Returns the coefficients in (−Q/2, Q/2) of values modulo the first primes of a basis.
fn integers(basis: &RnsBasis, poly: RnsPolyRef<'_, Eval>) -> Vec<BigInt> {
    let limbs: Vec<_> = (0..poly.limbs()).map(|i| coefficients(basis.table(i), poly.limb(i))).collect();
    let crt = crt(&basis.range(0..poly.limbs()));
    (0..poly.n()).map(|k| crt.compose(&limbs.iter().map(|limb| limb[k]).collect::<Vec<_>>())).collect()
}

/// Returns, for every digit, \[c\]_{Q_d} (centred) and Q_d.
fn digits(shape: &Shape, c: &[BigInt], limbs: usize) -> Vec<(Vec<BigInt>, BigInt)> {
    shape.q[..limbs]
        .chunks(shape.alpha)
        .map(|primes| {
            let product = product(primes);
            (c.iter().map(|c| centred(c, &product)).collect(), product)
        })
        .collect()
}

/// Returns b + a·s′ − Σ cᵢ·sᵢ modulo the first primes of q as integers, computed term by term.
fn noise(
    q: &RnsBasis,
    [b, a]: [RnsPolyRef<'_, Eval>; 2],
    to: &[i8],
    inputs: &[(RnsPolyRef<'_, Eval>, Vec<BigInt>)],
) -> Vec<BigInt> {
    let limb = |i: usize| -> Vec<u64> {
        let (table, ring) = (q.table(i), Ring::new(q.modulus(i), q.log_n()));
        let q = ring.q;
        let mut sum = coefficients(table, b.limb(i));
        let a_s = ring.product(&coefficients(table, a.limb(i)), &small_residues(q, to));
        sum.iter_mut().zip(a_s).for_each(|(x, y)| *x = (*x + y) % q);
        for (c, s) in inputs {
            let s: Vec<_> = s.iter().map(|s| modulo(s, q)).collect();
            let c_s = ring.product(&coefficients(table, c.limb(i)), &s);
            sum.iter_mut().zip(c_s).for_each(|(x, y)| *x = (*x + q - y) % q);
        }
        sum
    };
    let limbs: Vec<_> = (0..b.limbs()).map(limb).collect();
    let crt = crt(&q.range(0..b.limbs()));
    (0..q.n()).map(|k| crt.compose(&limbs.iter().map(|limb| limb[k]).collect::<Vec<_>>())).collect()
}

/// Asserts the documented bound of the noise of `switches` switches that share a division:
/// D·N·B_e·max(Q_d)/(2P) for each, and (1 + h)/2 for the division. For random inputs, it also
/// asserts 9 standard deviations of the noise, which is a closer bound.
fn check_noise(shape: &Shape, limbs: usize, to: &[i8], noise: &[BigInt], switches: usize, random: bool, what: &str) {
    let (n, p) = (1u64 << shape.log_n, product(&shape.p));
    let digits = shape.q[..limbs].chunks(shape.alpha);
    let count = digits.len();
    let largest = digits.map(product).max().expect("a digit");
    let weight = to.iter().filter(|&&x| x != 0).count() as u64;
    // The rounding of the division may be off by a little where [x]_P is next to ±P/2: see
    // `hetal_kernel::ModDown`.
    let rounding = &p + ((&p * overflow_error(shape.p.len())) >> 54u8) + 4;
    let bound: BigInt = &largest * (switches * count) * n * sampler::GAUSSIAN_BOUND as u64 + rounding * (1 + weight);
    let worst = noise.iter().map(|x| x.magnitude().clone()).max().expect("coefficients");
    assert!(BigInt::from(worst.clone()) * 2 * &p <= bound, "{what}: noise of {worst}");
    assert!(worst > 0u8.into(), "{what}: no noise at all");
    if random {
        let ratio = 2f64.powf(largest.magnitude().bits() as f64 - p.magnitude().bits() as f64 + 1.0);
        let digit = (switches * count) as f64 * n as f64 * (sampler::SIGMA * ratio).powi(2) / 12.0;
        let sigma = (digit + (1 + weight) as f64 / 12.0).sqrt();
        let worst = worst.to_string().parse::<f64>().expect("a number");
        assert!(worst <= 9.0 * sigma + 1.0, "{what}: noise of {worst}, sigma {sigma}");
    }
}

/// Returns named test inputs: random values first, then values and digits at the ends of their
/// ranges.
fn ciphertexts(gadget: &Gadget, limbs: usize, rng: &mut impl Rng) -> Vec<(&'static str, RnsPoly<Eval>)> {
    let basis = gadget.q().range(0..limbs);
    let (n, moduli) = (basis.n(), basis.moduli());
    let of_values = |f: &mut dyn FnMut(u64, usize) -> f64| {
        let mut poly = RnsPoly::<Eval>::zero(n, limbs);
        for (limb, q) in poly.limbs_mut().zip(&moduli) {
            limb.iter_mut().enumerate().for_each(|(i, x)| *x = f(q.value(), i));
        }
        poly
    };
    // Builds a polynomial whose coefficient k of digit d is a function of d, k and Q_d.
    let of_digits = |f: &dyn Fn(usize, usize, &BigInt) -> BigInt| {
        let mut poly = RnsPoly::<Coeff>::zero(n, limbs);
        for (d, primes) in moduli.chunks(gadget.alpha()).enumerate() {
            let product = product(primes);
            for (i, q) in primes.iter().enumerate() {
                let q = q.value();
                let limb = poly.limb_mut(d * gadget.alpha() + i);
                limb.iter_mut().enumerate().for_each(|(k, x)| *x = centre(q, modulo(&f(d, k, &product), q)));
            }
        }
        poly.into_eval(&basis)
    };
    let mut cases = vec![
        ("random", of_values(&mut |q, _| centre(q, rng.next_u64() % q))),
        // These stay away from ±Q_d/2 by 2^−40 of it, so that the digits are certain.
        ("digits near Q_d/2", of_digits(&|_, k, q| (q >> 1u8) - (q >> 40u8) - k)),
        ("digits near -Q_d/2", of_digits(&|_, k, q| (q >> 40u8) - (q >> 1u8) + k)),
        (
            "digits near Q_d/2 of both signs",
            of_digits(&|d, k, q| ((q >> 1u8) - (q >> 40u8)) * (1 - 2 * ((d + k) as i64 % 2))),
        ),
        ("values q/2 + 2", of_values(&mut |q, i| if i % 2 == 0 { extreme(q) } else { -extreme(q) })),
        ("values q - 1", of_values(&mut |_, _| -1.0)),
        ("coefficients Q - 1", of_digits(&|_, _, _| BigInt::from(-1))),
        ("digits (Q_d - 1)/2", of_digits(&|_, _, q| q >> 1u8)),
        ("digits next to -Q_d/2", of_digits(&|_, k, q| k - (q >> 1u8))),
    ];
    if !thorough() {
        cases.truncate(2);
    }
    cases
}

fn switch(gadget: &Gadget, c: RnsPolyRef<'_, Eval>, key: &KeySwitchKey) -> [RnsPoly<Eval>; 2] {
    let limbs = c.limbs();
    let mut out = [(); 2].map(|()| RnsPoly::zero(c.n(), limbs + gadget.special()));
    out.iter_mut().for_each(|out| out.limbs_mut().for_each(|limb| limb.fill(f64::NAN)));
    let mut scratch = Scratch::new(gadget.switch_scratch_len(limbs));
    scratch.fill(f64::NAN);
    let [b, a] = &mut out;
    gadget.switch(c, key, [&mut b.view_mut(), &mut a.view_mut()], &mut scratch);
    out.each_mut().map(|out| {
        out.truncate(limbs);
        out.clone()
    })
}

fn limbs_of(poly: RnsPolyRef<'_, Eval>) -> Vec<&[f64]> {
    (0..poly.limbs()).map(|i| poly.limb(i)).collect()
}

fn assert_same_limbs(a: RnsPolyRef<'_, Eval>, b: RnsPolyRef<'_, Eval>, what: &str) {
    assert_eq!(a.limbs(), b.limbs());
    for i in 0..a.limbs() {
        let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_same(&bits(a.limb(i)), &bits(b.limb(i)), format!("limb {i}, {what}"));
    }
}

// ---- switching ----

/// Checks everything about one shape on every ISA, at every number of limbs, against big integers.
fn check_shape(shape: &Shape) {
    let (n, p) = (1usize << shape.log_n, product(&shape.p));
    // The scalar code runs first: its residues are those of all ISAs.
    let gadgets: Vec<_> = isas().into_iter().map(|isa| shape.gadget(isa)).collect();
    let (from, from_values): (Vec<_>, Vec<_>) = gadgets.iter().map(|gadget| secret(gadget, &mut rng(1))).unzip();
    let (to, to_values): (Vec<_>, Vec<_>) = gadgets.iter().map(|gadget| secret(gadget, &mut rng(2))).unzip();
    let (from, to) = (&from[0], &to[0]);
    let from_big: Vec<_> = from.iter().map(|&x| BigInt::from(x)).collect();
    let keys: Vec<_> = gadgets
        .iter()
        .zip(from_values.iter().zip(&to_values))
        .map(|(gadget, (from, to))| KeySwitchKey::generate(gadget, from.prefix(shape.q.len()), to.view(), &mut rng(3)))
        .collect();

    // The parts of the key, by limb, as coefficients. They satisfy the definition of the key, with
    // errors within their bound.
    let qp = gadgets[0].qp();
    let parts: Vec<[Vec<Vec<u64>>; 2]> = (0..gadgets[0].digits(shape.q.len()))
        .map(|d| {
            let first = keys[0].part(&gadgets[0], d);
            let mut bits = [SameBits::default(), SameBits::default()];
            for (key, gadget) in keys.iter().zip(&gadgets) {
                for ((part, first), bits) in key.part(gadget, d).iter().zip(&first).zip(&mut bits) {
                    let found = limb_residues(qp, part.view());
                    assert_same(&found.concat(), &limb_residues(qp, first.view()).concat(), "keys of the same seed");
                    bits.check(gadget.qp().isa(), &limbs_of(part.view()).concat());
                }
            }
            let mut p_s = RnsPoly::<Coeff>::zero(n, qp.len());
            for j in 0..qp.len() {
                let q = qp.modulus(j).value();
                let in_digit = j < shape.q.len() && j / shape.alpha == d;
                let factor = if in_digit { modulo(&p, q) } else { 0 };
                let residues = small_residues(q, from);
                p_s.limb_mut(j).iter_mut().zip(residues).for_each(|(x, s)| *x = centre(q, mul_mod(q, s, factor)));
            }
            let p_s = p_s.into_eval(qp);
            let one: Vec<_> = (0..n).map(|i| BigInt::from(u8::from(i == 0))).collect();
            let error = noise(qp, first.each_ref().map(RnsPoly::view), to, &[(p_s.view(), one)]);
            let bound = BigInt::from(sampler::GAUSSIAN_BOUND);
            assert!(error.iter().all(|e| BigInt::from(e.magnitude().clone()) <= bound));
            assert!(error.iter().any(|e| *e != BigInt::ZERO));
            first.each_ref().map(|part| (0..qp.len()).map(|j| coefficients(qp.table(j), part.limb(j))).collect())
        })
        .collect();

    for limbs in 1..=shape.q.len() {
        if !thorough() && ![1, 2, shape.q.len()].contains(&limbs) {
            continue;
        }
        let mut rng = rng(limbs as u64);
        for (case, c) in ciphertexts(&gadgets[0], limbs, &mut rng) {
            let what = format!("{case}, {limbs} limbs of {}, alpha {}, N = {n}", shape.q.len(), shape.alpha);
            let basis = level_basis(&gadgets[0], limbs);
            let c_integers = integers(&basis, c.view());
            let digits = digits(shape, &c_integers, limbs);
            // Next to ±Q_d/2 the kernel may take the digit of the other side: there, only the noise
            // is checked.
            let near = |x: &BigInt, q: &BigInt| -> bool { (q - BigInt::from(x.magnitude() * 2u8)) << 44u8 < *q };
            let certain = shape.alpha == 1 || !digits.iter().any(|(digit, q)| digit.iter().any(|x| near(x, q)));
            assert!(certain || case.contains("Q_d - 1") || case.contains("next"), "{what}");

            // Σ [c]_{Q_d}·(b_d, a_d) modulo QP, as integers.
            let sums = [0, 1].map(|half| {
                let limb = |j: usize| -> Vec<u64> {
                    let (at, ring) = (gadgets[0].qp_index(limbs, j), Ring::new(basis.modulus(j), shape.log_n));
                    assert_eq!(qp.modulus(at), basis.modulus(j));
                    let mut sum = vec![0; n];
                    for ((digit, _), part) in digits.iter().zip(&parts) {
                        let digit: Vec<_> = digit.iter().map(|x| modulo(x, ring.q)).collect();
                        let product = ring.product(&digit, &part[half][at]);
                        sum.iter_mut().zip(product).for_each(|(sum, x)| *sum = (*sum + x) % ring.q);
                    }
                    sum
                };
                let residues: Vec<_> = (0..basis.len()).map(limb).collect();
                let crt = crt(&basis);
                let compose = |k: usize| crt.compose(&residues.iter().map(|limb| limb[k]).collect::<Vec<_>>());
                (0..n).map(compose).collect::<Vec<_>>()
            });

            let mut bits = SameBits::default();
            let mut first: Option<[Vec<Vec<u64>>; 2]> = None;
            for (gadget, key) in gadgets.iter().zip(&keys) {
                let isa = gadget.qp().isa();
                let what = format!("{what}, {isa}");
                let result = switch(gadget, c.view(), key);
                let [b, a] = result.each_ref();
                let found = [b, a].map(|x| limb_residues(gadget.q(), x.view()));
                bits.check(isa, &[limbs_of(b.view()), limbs_of(a.view())].concat().concat());

                // Checks that the quotient is that of a division to the nearest integer. The ISAs
                // agree, so it is enough to check one of them.
                if first.is_none() {
                    let total = &p * product(&shape.q[..limbs]);
                    let allowed = &p + ((&p * overflow_error(shape.p.len())) >> 54u8) + 4;
                    for (sum, quotient) in sums.iter().zip([b, a]).filter(|_| certain) {
                        for (x, y) in sum.iter().zip(integers(gadget.q(), quotient.view())) {
                            let twice_error: BigInt = centred(&(&p * y - x), &total) * 2;
                            assert!(BigInt::from(twice_error.magnitude().clone()) <= allowed, "{what}: quotient");
                        }
                    }
                    let inputs = [(c.view(), from_big.clone())];
                    let noise = noise(gadget.q(), [b.view(), a.view()], to, &inputs);
                    check_noise(shape, limbs, to, &noise, 1, case == "random", &what);
                }
                let expected = first.get_or_insert_with(|| found.clone());
                assert!(found == *expected, "{what}: not the residues of the scalar code");
                check_hoisted(gadget, c.view(), key, &result, &digits, &what);
            }
        }
    }
}

/// Checks decomposition, inner product and division as separate steps: the digits exactly, the
/// result bit for bit against that of the whole switch.
fn check_hoisted(
    gadget: &Gadget,
    c: RnsPolyRef<'_, Eval>,
    key: &KeySwitchKey,
    result: &[RnsPoly<Eval>; 2],
    digits: &[(Vec<BigInt>, BigInt)],
    what: &str,
) {
    let (n, limbs) = (c.n(), c.limbs());
    let count = gadget.digits(limbs);
    assert_eq!(count, digits.len());
    let mut lifted: Vec<_> = (0..count).map(|_| RnsPoly::zero(n, limbs + gadget.special())).collect();
    let mut scratch = Scratch::new(gadget.decompose_scratch_len(limbs));
    scratch.fill(f64::NAN);
    gadget.decompose(c, &mut lifted, &mut scratch);
    for (d, (lifted, (digit, product))) in lifted.iter().zip(digits).enumerate() {
        for j in 0..lifted.limbs() {
            let table = gadget.qp().table(gadget.qp_index(limbs, j));
            let q = table.modulus().value();
            for (k, (found, x)) in coefficients(table, lifted.limb(j)).into_iter().zip(digit).enumerate() {
                // Next to ±Q_d/2 the digit of the other side is as good.
                let distance: BigInt = product - BigInt::from(x.magnitude() * 2u8);
                let other = if *x > BigInt::ZERO { x - product } else { x + product };
                let close = distance << 54u8 <= product * overflow_error(gadget.alpha());
                let right = found == modulo(x, q) || close && found == modulo(&other, q);
                assert!(right, "coefficient {k} of limb {j} of digit {d}, {what}");
            }
        }
    }
    let [mut b, mut a] = [(); 2].map(|()| RnsPoly::zero(n, limbs + gadget.special()));
    key.accumulate(gadget, &lifted, [&mut b.view_mut(), &mut a.view_mut()]);
    let mut scratch = Scratch::new(gadget.mod_down().scratch_len());
    for (x, expected) in [&mut b, &mut a].into_iter().zip(result) {
        gadget.mod_down().apply(x.view_mut(), &mut scratch);
        assert_same_limbs(x.prefix(limbs), expected.view(), &format!("hoisted, {what}"));
    }
}

/// Key-switching at every level against big integers, at N = 128, where every ISA runs its own
/// code.
#[test]
fn switching_at_every_level() {
    shapes(7).iter().for_each(check_shape);
}

/// The same at N = 16 and 32, where the ISAs fall back to narrower ones.
#[test]
fn switching_in_small_rings() {
    for log_n in [4, 5] {
        shapes(log_n).iter().skip(log_n as usize - 3).step_by(2).for_each(check_shape);
    }
}

/// Keys made for a level, with fewer limbs and special primes, are keys of a smaller gadget: they
/// take less memory, and switch as big integers say.
#[test]
fn keys_for_a_level() {
    let shape = Shape::tight(7, 44, 6, 3, 3);
    for (limbs, special, alpha) in [(4, 2, 2), (2, 1, 1), (3, 3, 3)] {
        let part = Shape { q: shape.q[..limbs].to_vec(), p: shape.p[..special].to_vec(), alpha, ..shape.clone() };
        let whole = shape.gadget(Isa::detect());
        let p = whole.qp().range(6..6 + special);
        let gadget = Gadget::new(&whole.q().range(0..limbs), &p, alpha).expect("a gadget");
        assert_eq!((gadget.q().moduli(), gadget.special()), (part.q.clone(), special));
        assert!(KeySwitchKey::memory_bytes(&gadget) < KeySwitchKey::memory_bytes(&whole));
        check_shape(&part);
    }
}

/// Key-switching in larger rings. There, the noise is computed from the values, slot by slot in
/// u128.
#[test]
fn switching_in_large_rings() {
    for log_n in degrees([10, 13]) {
        let shape = Shape::tight(log_n, 45, 5, 2, 2);
        let mut bits = [SameBits::default(), SameBits::default()];
        for isa in isas() {
            let gadget = shape.gadget(isa);
            let (_, from) = secret(&gadget, &mut rng(1));
            let (to_small, to) = secret(&gadget, &mut rng(2));
            let key = KeySwitchKey::generate(&gadget, from.prefix(5), to.view(), &mut rng(3));
            for (limbs, bits) in [5, 3].into_iter().zip(&mut bits) {
                let (_, c) = ciphertexts(&gadget, limbs, &mut rng(4)).swap_remove(0);
                let [b, a] = switch(&gadget, c.view(), &key);
                bits.check(isa, &[limbs_of(b.view()), limbs_of(a.view())].concat().concat());
                let noise: Vec<_> = (0..limbs)
                    .map(|i| {
                        let table = gadget.q().table(i);
                        let q = table.modulus().value();
                        let [b, a, s, c, t] =
                            [b.limb(i), a.limb(i), to.limb(i), c.limb(i), from.limb(i)].map(|x| residues(q, x));
                        let slot = |k: usize| (b[k] + mul_mod(q, a[k], s[k]) + q - mul_mod(q, c[k], t[k])) % q;
                        let mut noise: Vec<_> = (0..gadget.q().n()).map(slot).collect();
                        table.inverse_u64(&mut noise);
                        noise
                    })
                    .collect();
                let crt = Crt::new(&shape.q[..limbs]);
                let compose = |k: usize| crt.compose(&noise.iter().map(|limb| limb[k]).collect::<Vec<_>>());
                let noise: Vec<_> = (0..gadget.q().n()).map(compose).collect();
                check_noise(&shape, limbs, &to_small, &noise, 1, true, &format!("N = 2^{log_n}, {isa}"));
            }
        }
    }
}

// ---- what keys are for ----

/// A relinearisation key switches from s² to s: the noise against the square of the secret,
/// computed in integers.
#[test]
fn relinearisation() {
    for isa in isas() {
        let shape = Shape::tight(7, 45, 4, 2, 2);
        let gadget = shape.gadget(isa);
        let (small, values) = secret(&gadget, &mut rng(1));
        let key = KeySwitchKey::relinearisation(&gadget, values.view(), &mut rng(2));
        let big: Vec<_> = small.iter().map(|&x| BigInt::from(x)).collect();
        let square = negacyclic(&big, &big);
        for limbs in 1..=4 {
            let (_, c) = ciphertexts(&gadget, limbs, &mut rng(3)).swap_remove(0);
            let [b, a] = switch(&gadget, c.view(), &key);
            let noise = noise(gadget.q(), [b.view(), a.view()], &small, &[(c.view(), square.clone())]);
            check_noise(&shape, limbs, &small, &noise, 1, true, &format!("{limbs} limbs, {isa}"));
        }
    }
}

/// Switching and then permuting gives σ(c₀ + b) + σ(a)·s = σ(c₀ + c₁·s) up to the noise; the right
/// side is substituted term by term in integers.
#[test]
fn galois_keys() {
    for isa in isas() {
        for (log_n, shape) in [(7, Shape::tight(7, 45, 3, 2, 2)), (5, Shape::tight(5, 45, 3, 1, 1))] {
            let gadget = shape.gadget(isa);
            let (small, values) = secret(&gadget, &mut rng(1));
            let big: Vec<_> = small.iter().map(|&x| BigInt::from(x)).collect();
            let elements = [
                GaloisElement::rotation(1, log_n),
                GaloisElement::rotation(-3, log_n),
                GaloisElement::conjugation(log_n),
                GaloisElement::new(1, log_n).expect("odd"),
            ];
            for g in elements {
                let key = KeySwitchKey::galois(&gadget, values.view(), g, &mut rng(2));
                let limbs = 2;
                let mut rng = rng(3);
                let [c0, c1] = [(); 2].map(|()| ciphertexts(&gadget, limbs, &mut rng).swap_remove(0).1);
                let [mut b, a] = switch(&gadget, c1.view(), &key);
                b.view_mut().add_assign(gadget.q(), c0.view());
                let automorphism = Automorphism::new(g);
                let [b, a] = [b, a].map(|x| {
                    let mut out = RnsPoly::zero(x.n(), limbs);
                    automorphism.apply_into(x.view(), &mut out.view_mut());
                    out
                });
                // The right side of the equation, substituted term by term.
                let q = product(&shape.q[..limbs]);
                let c1_s = negacyclic(&integers(gadget.q(), c1.view()), &big);
                let message: Vec<_> = integers(gadget.q(), c0.view()).iter().zip(c1_s).map(|(a, b)| a + b).collect();
                let mut image = vec![BigInt::ZERO; message.len()];
                for (j, x) in message.iter().enumerate() {
                    let power = j as u64 * g.value() % (2 << log_n);
                    let at = (power % (1 << log_n)) as usize;
                    image[at] = centred(&(if power >> log_n == 1 { -x } else { x.clone() }), &q);
                }
                let image = to_eval(&gadget.q().range(0..limbs), &image);
                let one: Vec<_> = (0..1 << log_n).map(|i| BigInt::from(u8::from(i == 0))).collect();
                let noise = noise(gadget.q(), [b.view(), a.view()], &small, &[(image.view(), one)]);
                check_noise(&shape, limbs, &small, &noise, 1, true, &format!("g = {}, {isa}", g.value()));
            }
        }
    }
}

/// The sum of two products modulo QP, and P times a polynomial, may be divided once: the noise is
/// within the bound for two switches.
#[test]
fn sums_before_the_division() {
    for isa in isas() {
        for shape in [Shape::tight(7, 45, 4, 2, 2), Shape::tight(7, 50 - 2, 3, 1, 1)] {
            let gadget = shape.gadget(isa);
            let (from, from_values) = secret(&gadget, &mut rng(1));
            let (other, other_values) = secret(&gadget, &mut rng(2));
            let (to, to_values) = secret(&gadget, &mut rng(3));
            let key = |from: &RnsPoly<Eval>, seed| {
                KeySwitchKey::generate(&gadget, from.prefix(shape.q.len()), to_values.view(), &mut rng(seed))
            };
            let keys = [key(&from_values, 4), key(&other_values, 5)];
            let big = [from, other].map(|small| small.iter().map(|&x| BigInt::from(x)).collect::<Vec<_>>());
            let limbs = shape.q.len() - 1;
            let (n, basis) = (gadget.q().n(), level_basis(&gadget, limbs));
            let mut rng = rng(6);
            let c = [(); 3].map(|()| ciphertexts(&gadget, limbs, &mut rng).swap_remove(0).1);
            let mut scratch = Scratch::new(gadget.switch_scratch_len(limbs));
            let mut sum = [(); 2].map(|()| RnsPoly::<Eval>::zero(n, basis.len()));
            for (c, key) in c.iter().zip(&keys) {
                let mut part = [(); 2].map(|()| RnsPoly::<Eval>::zero(n, basis.len()));
                let [b, a] = &mut part;
                gadget.switch_lazy(c.view(), key, [&mut b.view_mut(), &mut a.view_mut()], &mut scratch);
                sum.iter_mut().zip(&part).for_each(|(sum, part)| sum.view_mut().add_assign(&basis, part.view()));
            }
            // P·c₂ is zero modulo the special primes.
            let p: Vec<_> = (0..limbs).map(|i| modulo(&product(&shape.p), shape.q[i].value())).collect();
            let mut multiple = c[2].clone();
            multiple.view_mut().mul_scalars_assign(&basis, &p);
            sum[0].prefix_mut(limbs).add_assign(&basis, multiple.view());

            sum.iter_mut().for_each(|sum| gadget.mod_down().apply(sum.view_mut(), &mut scratch));
            let [b, a] = sum.each_ref().map(|sum| sum.prefix(limbs));
            let one: Vec<_> = (0..n).map(|i| BigInt::from(u8::from(i == 0))).collect();
            let [s0, s1] = big;
            let inputs = [(c[0].view(), s0), (c[1].view(), s1), (c[2].view(), one)];
            let noise = noise(gadget.q(), [b, a], &to, &inputs);
            check_noise(&shape, limbs, &to, &noise, 2, true, &format!("{isa}"));
        }
    }
}

/// One decomposition serves many keys, and gives bit for bit the results of whole switches.
#[test]
fn one_decomposition_serves_all_keys() {
    let gadget = Shape::tight(7, 45, 5, 2, 2).gadget(Isa::detect());
    let (_, values) = secret(&gadget, &mut rng(1));
    let (_, c) = ciphertexts(&gadget, 4, &mut rng(2)).swap_remove(0);
    let mut lifted = vec![RnsPoly::zero(128, 6); 2];
    gadget.decompose(c.view(), &mut lifted, &mut Scratch::new(gadget.decompose_scratch_len(4)));
    for k in [1, 2, -1] {
        let key = KeySwitchKey::galois(&gadget, values.view(), GaloisElement::rotation(k, 7), &mut rng(3));
        let expected = switch(&gadget, c.view(), &key);
        let [mut b, mut a] = [(); 2].map(|()| RnsPoly::zero(128, 6));
        key.accumulate(&gadget, &lifted, [&mut b.view_mut(), &mut a.view_mut()]);
        let mut scratch = Scratch::new(gadget.mod_down().scratch_len());
        for (x, expected) in [&mut b, &mut a].into_iter().zip(&expected) {
            gadget.mod_down().apply(x.view_mut(), &mut scratch);
            assert_same_limbs(x.prefix(4), expected.view(), "hoisted");
        }
    }
}

// ---- limb by limb, in threads ----

/// Switching limb by limb and group by group in threads gives bit for bit the result of the whole
/// switch.
// There are no threads on wasm.
#[cfg(not(target_family = "wasm"))]
#[test]
fn limbs_in_threads() {
    for isa in isas() {
        for (shape, limbs) in
            [(Shape::tight(8, 45, 5, 2, 2), 5), (Shape::tight(8, 45, 5, 2, 2), 3), (Shape::tight(7, 45, 3, 1, 1), 3)]
        {
            let gadget = &shape.gadget(isa);
            let (_, from) = secret(gadget, &mut rng(1));
            let (_, to) = secret(gadget, &mut rng(2));
            let key = &KeySwitchKey::generate(gadget, from.prefix(shape.q.len()), to.view(), &mut rng(3));
            let (_, c) = ciphertexts(gadget, limbs, &mut rng(4)).swap_remove(0);
            let c = &c;
            let expected = switch(gadget, c.view(), key);

            let (n, digits, total) = (c.n(), gadget.digits(limbs), limbs + gadget.special());
            let mut prepared = RnsPoly::<Coeff>::zero(n, limbs);
            std::thread::scope(|scope| {
                for (i, limb) in prepared.limbs_mut().enumerate() {
                    scope.spawn(move || gadget.prepare_limb(limbs, i, c.limb(i), limb));
                }
            });
            let prepared = prepared.view();
            let mut overflow = RnsPoly::<Coeff>::zero(n, digits);
            std::thread::scope(|scope| {
                for (d, limb) in overflow.limbs_mut().enumerate() {
                    let (low, high) = limb.split_at_mut(n / 2);
                    scope.spawn(move || gadget.overflow_limb(prepared, d, 0, low));
                    scope.spawn(move || gadget.overflow_limb(prepared, d, n / 2, high));
                }
            });
            let overflow = &overflow;
            let [mut b, mut a] = [(); 2].map(|()| RnsPoly::<Eval>::zero(n, total));
            // One limb per thread, and one of the gadget's groups per thread, give the same.
            let single = (0..total).map(|j| j..j + 1).collect();
            let groups: Vec<Vec<_>> = vec![single, gadget.groups(limbs).collect()];
            for groups in groups {
                let (mut b_limbs, mut a_limbs) = (b.limbs_mut(), a.limbs_mut());
                std::thread::scope(|scope| {
                    for group in groups {
                        let b: Vec<_> = b_limbs.by_ref().take(group.len()).collect();
                        let a: Vec<_> = a_limbs.by_ref().take(group.len()).collect();
                        scope.spawn(move || {
                            let lifted: Vec<_> = (0..digits)
                                .map(|d| {
                                    let mut lifted = RnsPoly::<Eval>::zero(n, group.len());
                                    if group.start < limbs && group.start / gadget.alpha() == d {
                                        lifted.view_mut().copy_from(c.view().range(group.start, group.end));
                                    } else {
                                        let out = &mut lifted.view_mut();
                                        gadget.digit_limbs(prepared, overflow.limb(d), d, group.start, out);
                                    }
                                    lifted
                                })
                                .collect();
                            for ((i, j), (b, a)) in group.enumerate().zip(b.into_iter().zip(a)) {
                                let lifted: Vec<_> = lifted.iter().map(|lifted| lifted.limb(i)).collect();
                                for (part, out) in [b, a].into_iter().enumerate() {
                                    let at = gadget.qp_index(limbs, j);
                                    key.accumulate_limb(gadget, at, part, &lifted, Finish::default(), out);
                                }
                            }
                        });
                    }
                });
            }
            let mod_down: &ModDown = gadget.mod_down();
            for (x, expected) in [&mut b, &mut a].into_iter().zip(&expected) {
                let (mut kept, mut dropped) = x.view_mut().split_at(limbs);
                std::thread::scope(|scope| {
                    for (i, limb) in dropped.reborrow().into_limbs_mut().enumerate() {
                        scope.spawn(move || mod_down.prepare_limb(i, limb));
                    }
                });
                let dropped = dropped.assume_domain::<Coeff>();
                let prepared = dropped.view();
                let mut v = vec![f64::NAN; n];
                for (i, v) in v.chunks_mut(8).enumerate() {
                    mod_down.overflow_into(prepared, 8 * i, v);
                }
                let v = &v;
                std::thread::scope(|scope| {
                    for (first, mut group) in kept.groups_mut(2) {
                        scope.spawn(move || {
                            let mut scratch = RnsPoly::<Eval>::zero(n, 2);
                            mod_down.finish_limbs(first, prepared, v, &mut group, &mut scratch.view_mut());
                        });
                    }
                });
                assert_same_limbs(x.prefix(limbs), expected.view(), &format!("in threads, {isa}"));
            }
        }
    }
}

/// All types of the interface are `Send` and `Sync`.
#[test]
fn everything_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Isa>();
    shared::<Modulus>();
    shared::<Error>();
    shared::<NttTable>();
    shared::<hetal_kernel::ntt::InverseScale>();
    shared::<RnsBasis>();
    shared::<hetal_kernel::rns::BaseConverter>();
    shared::<hetal_kernel::rns::crt::CrtComposer>();
    shared::<ModDown>();
    shared::<RnsPoly<Coeff>>();
    shared::<RnsPoly<Eval>>();
    shared::<RnsPolyRef<'static, Eval>>();
    shared::<RnsPolyMut<'static, Coeff>>();
    shared::<GaloisElement>();
    shared::<Automorphism>();
    shared::<Gadget>();
    shared::<KeySwitchKey>();
    shared::<Seed>();
    shared::<Scratch>();
}

// ---- bytes ----

/// A key written and read again is the same and switches alike; other lengths, and residues not
/// below their primes, are refused.
#[test]
fn keys_round_trip_through_bytes() {
    for isa in isas() {
        for shape in shapes(7) {
            let gadget = shape.gadget(isa);
            let (_, from) = secret(&gadget, &mut rng(1));
            let (_, to) = secret(&gadget, &mut rng(2));
            let key = KeySwitchKey::generate(&gadget, from.prefix(shape.q.len()), to.view(), &mut rng(3));
            let digits = shape.q.len().div_ceil(shape.alpha);
            let limbs: Vec<_> = shape.q.iter().chain(&shape.p).map(|q| bytes::limb_len(q, 128)).collect();
            let len = 32 + digits * limbs.iter().sum::<usize>();
            assert_eq!(KeySwitchKey::encoded_len(&gadget), len);
            let mut encoded = vec![0xAA; len];
            key.encode(&gadget, &mut encoded);
            assert_eq!(encoded[..32], *key.seed().as_bytes());
            let decoded = KeySwitchKey::decode(&gadget, &encoded).expect("its own bytes");
            assert_eq!(decoded, key);
            let mut again = vec![0; len];
            decoded.encode(&gadget, &mut again);
            assert!(again == encoded);
            let (_, c) = ciphertexts(&gadget, shape.q.len(), &mut rng(4)).swap_remove(0);
            let [first, second] = [&key, &decoded].map(|key| switch(&gadget, c.view(), key));
            assert_same_limbs(first[0].view(), second[0].view(), "decoded");
            assert_same_limbs(first[1].view(), second[1].view(), "decoded");

            // The length is wrong by one byte or by more.
            for found in [0, 1, 31, 32, len - 1] {
                let error = KeySwitchKey::decode(&gadget, &encoded[..found]).map(|_| ());
                assert_eq!(error, Err(Error::Length { found, wanted: len }));
                assert!(panics(|| key.encode(&gadget, &mut vec![0; found])));
            }
            let longer = [&encoded[..], &[0]].concat();
            let error = KeySwitchKey::decode(&gadget, &longer).map(|_| ());
            assert_eq!(error, Err(Error::Length { found: len + 1, wanted: len }));
            assert!(panics(|| key.encode(&gadget, &mut vec![0; len + 1])));

            // One residue is not below its prime: in the first digit and in the last, in every
            // limb.
            for (d, index) in [(0, 0), (digits - 1, 127), (0, 77)] {
                for (limb, modulus) in shape.q.iter().chain(&shape.p).enumerate() {
                    let width = limbs[limb] / 128;
                    let start = 32 + d * limbs.iter().sum::<usize>() + limbs[..limb].iter().sum::<usize>();
                    let at = start + index * width;
                    for value in [modulus.value(), (1u64 << (8 * width)) - 1] {
                        let mut bad = encoded.clone();
                        bad[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
                        let error = KeySwitchKey::decode(&gadget, &bad).map(|_| ());
                        let modulus = modulus.value();
                        assert_eq!(error, Err(Error::Residue { limb, index, value, modulus }));
                    }
                    // The largest residue is accepted.
                    let mut good = encoded.clone();
                    good[at..at + width].copy_from_slice(&(modulus.value() - 1).to_le_bytes()[..width]);
                    let decoded = KeySwitchKey::decode(&gadget, &good).expect("a residue");
                    assert_eq!(decoded.part(&gadget, d)[0].limb(limb)[index], -1.0);
                }
            }
        }
    }
}

/// Keys take the memory that is computed beforehand, and every key, digit and limb has fresh
/// randomness.
#[test]
fn keys_take_the_memory_they_say() {
    let gadget = Shape::tight(9, 45, 5, 2, 2).gadget(Isa::detect());
    // There are three digits of two parts of seven limbs. 16 residues of 45 bits take 13 words, and
    // 17 cache lines come on top for each limb.
    assert_eq!(KeySwitchKey::memory_bytes(&gadget), 3 * 2 * 7 * 8 * (512 / 16 * 13 + 17 * 8));
    let (_, s) = secret(&gadget, &mut rng(1));
    let [first, second] = [7, 8].map(|seed| KeySwitchKey::relinearisation(&gadget, s.view(), &mut rng(seed)));
    // Randomness is fresh for every key and, in one key, for every digit and limb.
    assert_ne!(first.seed(), second.seed());
    let parts: Vec<_> = (0..3).flat_map(|d| first.part(&gadget, d)).collect();
    let limbs: Vec<_> = parts.iter().flat_map(|part| (0..7).map(|i| part.limb(i))).collect();
    for (i, a) in limbs.iter().enumerate() {
        assert!(limbs[..i].iter().all(|b| a != b), "limb {i}");
    }
    assert!(panics(|| first.part(&gadget, 3)));
}

// ---- refusals ----

/// Gadgets with digits out of range, repeated primes, other degrees or special primes that are too
/// small are refused.
#[test]
fn gadgets_are_checked() {
    let basis = |moduli: &[Modulus]| RnsBasis::new(4, moduli).expect("a basis");
    let (q, p) = (basis(&moduli_below(4, 40, 4, 0)), basis(&moduli_below(4, 41, 2, 0)));
    let error = |q: &RnsBasis, p: &RnsBasis, alpha| Gadget::new(q, p, alpha).map(|_| ()).expect_err("refused");
    for alpha in [0, MAX_DIGIT + 1, usize::MAX] {
        match error(&q, &p, alpha) {
            Error::Count { value, min: 1, max: MAX_DIGIT, .. } => assert_eq!(value, alpha),
            other => panic!("{other:?}"),
        }
    }
    let many = basis(&moduli_below(4, 40, MAX_DIGIT + 1, 0));
    match error(&many, &p, 1) {
        Error::Count { value, min: 1, max: MAX_DIGIT, .. } => assert_eq!(value, MAX_DIGIT + 1),
        other => panic!("{other:?}"),
    }
    assert_eq!(error(&q, &q.range(3..4), 1), Error::RepeatedModulus { modulus: q.modulus(3).value() });
    let other = RnsBasis::new(5, &moduli_below(5, 41, 2, 0)).expect("a basis");
    assert_eq!(error(&q, &other, 2), Error::RingDegree { log_n: 5 });
    // First, digits of 120 bits and special primes of 82; then 80 and 41 bits; last, 40 bits and 38
    // (accepted) or 37 (refused).
    assert!(matches!(error(&q, &p, 3), Error::SpecialModulusTooSmall { special_bits: 81, digit_bits: 119 }));
    assert!(matches!(error(&q, &p.range(0..1), 2), Error::SpecialModulusTooSmall { special_bits: 40, digit_bits: 79 }));
    assert!(Gadget::new(&q, &p, 2).is_ok());
    assert!(Gadget::new(&q, &basis(&[above(4, 1 << 38)]), 1).is_ok());
    assert!(matches!(error(&q, &basis(&[below(4, 37)]), 1), Error::SpecialModulusTooSmall { .. }));
    // The last digit counts too: here it is one large prime at the end.
    let uneven = basis(&[below(4, 40), below(4, 39), below(4, 50)]);
    assert!(matches!(error(&uneven, &p.range(0..1), 1), Error::SpecialModulusTooSmall { digit_bits: 49, .. }));
}

/// Gadgets report their primes, digits and the places of limbs in a key.
#[test]
fn gadgets_say_what_they_are() {
    let shape = Shape::tight(5, 40, 5, 2, 2);
    let gadget = shape.gadget(Isa::detect());
    assert_eq!((gadget.alpha(), gadget.special(), gadget.q().moduli()), (2, 2, shape.q.clone()));
    assert_eq!(gadget.qp().moduli(), [&shape.q[..], &shape.p].concat());
    assert_eq!([1, 2, 3, 4, 5].map(|limbs| gadget.digits(limbs)), [1, 1, 2, 2, 3]);
    assert_eq!((gadget.mod_down().kept().moduli(), gadget.mod_down().dropped().moduli()), (shape.q, shape.p));
    assert_eq!([0, 2, 3, 4].map(|j| gadget.qp_index(3, j)), [0, 2, 5, 6]);
    assert_eq!([4, 5, 6].map(|j| gadget.qp_index(5, j)), [4, 5, 6]);
    assert!(panics(|| gadget.qp_index(3, 5)));
    assert!(panics(|| gadget.qp_index(6, 0)));
}

/// Groups cover every limb once and in order, keep to one digit or to the special primes, and are
/// not longer than allowed.
#[test]
fn groups_of_limbs() {
    for (limbs, special, alpha) in [(1, 1, 1), (7, 3, 3), (5, 2, 2), (12, 9, 9), (10, 5, 5), (6, 6, 6), (3, 1, 1)] {
        let shape = Shape::tight(4, 40, limbs, special, alpha);
        let gadget = shape.gadget(Isa::detect());
        for level in 1..=limbs {
            let groups: Vec<_> = gadget.groups(level).collect();
            assert!(groups.iter().cloned().flatten().eq(0..level + special), "{groups:?}");
            for group in groups {
                assert!((1..=GROUP).contains(&group.len()));
                assert!(group.start >= level || group.end <= level);
                assert!(group.start >= level || group.start / alpha == (group.end - 1) / alpha);
            }
        }
    }
}

/// Operands and workspaces of other shapes panic.
#[test]
fn shapes_are_checked() {
    let shape = Shape::tight(5, 40, 4, 2, 2);
    let gadget = &shape.gadget(Isa::detect());
    let (_, s) = secret(gadget, &mut rng(1));
    let key = KeySwitchKey::relinearisation(gadget, s.view(), &mut rng(2));
    assert!(panics(|| KeySwitchKey::relinearisation(gadget, s.prefix(5), &mut rng(2))));
    assert!(panics(|| KeySwitchKey::generate(gadget, s.prefix(3), s.view(), &mut rng(2))));
    assert!(panics(|| KeySwitchKey::generate(gadget, s.prefix(4), s.prefix(5), &mut rng(2))));
    let g = GaloisElement::rotation(1, 6);
    assert!(panics(|| KeySwitchKey::galois(gadget, s.view(), g, &mut rng(2))));

    // The arguments are the limbs of c and of both results, and by how much the workspace is too
    // short.
    let run = |c: usize, out: [usize; 2], short: usize| {
        let c = RnsPoly::<Eval>::zero(32, c);
        let mut out = out.map(|limbs| RnsPoly::<Eval>::zero(32, limbs));
        let mut scratch = Scratch::new(gadget.switch_scratch_len(c.limbs()) - short);
        let [b, a] = &mut out;
        gadget.switch(c.view(), &key, [&mut b.view_mut(), &mut a.view_mut()], &mut scratch);
    };
    (1..=4).for_each(|limbs| run(limbs, [limbs + 2; 2], 0));
    assert!(panics(|| run(5, [7; 2], 0)));
    assert!(panics(|| run(3, [4, 5], 0)));
    assert!(panics(|| run(3, [5, 4], 0)));
    assert!(panics(|| run(4, [7, 6], 0)));
    assert!(panics(|| run(3, [6; 2], 0)));
    assert!(panics(|| run(3, [5; 2], 1)));

    let c = RnsPoly::<Eval>::zero(32, 3);
    let decompose = |count: usize, limbs: usize, short: usize| {
        let mut out = vec![RnsPoly::zero(32, limbs); count];
        gadget.decompose(c.view(), &mut out, &mut Scratch::new(gadget.decompose_scratch_len(3) - short));
    };
    decompose(2, 5, 0);
    assert!(panics(|| decompose(1, 5, 0)));
    assert!(panics(|| decompose(3, 5, 0)));
    assert!(panics(|| decompose(2, 4, 0)));
    assert!(panics(|| decompose(2, 6, 0)));
    assert!(panics(|| decompose(2, 5, 1)));

    let accumulate = |count: usize, digit_limbs: usize, out: [usize; 2]| {
        let digits = vec![RnsPoly::zero(32, digit_limbs); count];
        let [mut b, mut a] = out.map(|limbs| RnsPoly::zero(32, limbs));
        key.accumulate(gadget, &digits, [&mut b.view_mut(), &mut a.view_mut()]);
    };
    accumulate(2, 5, [5, 5]);
    assert!(panics(|| accumulate(1, 5, [5, 5])));
    assert!(panics(|| accumulate(3, 5, [5, 5])));
    assert!(panics(|| accumulate(2, 4, [5, 5])));
    assert!(panics(|| accumulate(2, 5, [5, 4])));

    let prepared = RnsPoly::<Coeff>::zero(32, 3);
    let digit = |d: usize, first: usize, (limbs, n): (usize, usize), v: usize| {
        let mut out = RnsPoly::<Eval>::zero(n, limbs);
        gadget.digit_limbs(prepared.view(), &vec![0.0; v], d, first, &mut out.view_mut());
    };
    digit(0, 2, (1, 32), 32);
    digit(0, 3, (2, 32), 32);
    digit(1, 0, (2, 32), 32);
    // Refused are: limbs of the digit itself, also together with the special primes; limbs past the
    // end; a digit that does not exist; other lengths.
    assert!(panics(|| digit(0, 1, (1, 32), 32)));
    assert!(panics(|| digit(0, 1, (2, 32), 32)));
    assert!(panics(|| digit(1, 1, (2, 32), 32)));
    assert!(panics(|| digit(0, 2, (2, 32), 32)));
    assert!(panics(|| digit(0, 4, (2, 32), 32)));
    assert!(panics(|| digit(0, 5, (1, 32), 32)));
    assert!(panics(|| digit(2, 0, (1, 32), 32)));
    assert!(panics(|| digit(0, 2, (1, 32), 24)));
    assert!(panics(|| digit(0, 2, (1, 16), 32)));
    let (c, mut limb) = ([0.0; 32], [0.0; 32]);
    assert!(panics(|| gadget.overflow_limb(prepared.view(), 2, 0, &mut limb)));
    assert!(panics(|| gadget.overflow_limb(prepared.view(), 0, 8, &mut limb)));
    assert!(panics(|| gadget.overflow_limb(prepared.view(), 0, 0, &mut limb[..12])));
    gadget.prepare_limb(3, 2, &c, &mut limb);
    assert!(panics(|| gadget.prepare_limb(3, 3, &c, &mut limb)));
    assert!(panics(|| gadget.prepare_limb(5, 4, &c, &mut limb)));
    assert!(panics(|| gadget.prepare_limb(3, 0, &c, &mut limb[..16])));
    assert!(panics(|| gadget.prepare_limb(3, 0, &c[..16], &mut limb)));
}

/// A key for more limbs is refused, since its special limbs are elsewhere.
#[test]
fn keys_of_another_gadget_are_refused() {
    let whole = Shape::tight(5, 40, 4, 2, 2).gadget(Isa::detect());
    let (_, s) = secret(&whole, &mut rng(1));
    let key = KeySwitchKey::relinearisation(&whole, s.view(), &mut rng(2));
    let part = Gadget::new(&whole.q().range(0..2), &whole.qp().range(4..6), 2).expect("a gadget");
    let c = RnsPoly::<Eval>::zero(32, 2);
    let [mut b, mut a] = [(); 2].map(|()| RnsPoly::<Eval>::zero(32, 4));
    let mut scratch = Scratch::new(part.switch_scratch_len(2));
    assert!(panics(|| part.switch(c.view(), &key, [&mut b.view_mut(), &mut a.view_mut()], &mut scratch)));
}
