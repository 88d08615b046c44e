use std::convert::Infallible;

use hetal_kernel::galois::automorphism_coeff_into;
use hetal_kernel::sampler::GAUSSIAN_BOUND;
use hetal_kernel::{Automorphism, Coeff, Error, Eval, Gadget, GaloisElement, KeySwitchKey, RnsBasis, RnsPoly, Scratch};
use num_bigint::BigInt;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng, TryCryptoRng, TryRng};

use crate::input::{FIRST_50, FIRST_RNS, Input, PRIMES, Pattern, basis};
use crate::oracle::{
    Crt, abs, add, assert_quotient, centred, is_representative, modulo, mul, negacyclic, product, residues, signed,
    sub, substitute,
};

/// Key generation, lifting, switching at any level, hoisting and automorphisms against big
/// integers.
///
/// Input: the ISA, log2 of the degree − 4, the numbers of limbs and special primes − 1, the digit
/// size − 1, the level − 1, the indices of the primes, the kind of key (see the source), the Galois
/// element, a seed, and the patterns of two secrets and of the polynomial.
///
/// # Panics
/// If the kernel is wrong.
pub fn keyswitch(data: &[u8]) {
    let mut input = Input::new(data);
    let isa = input.isa();
    let log_n = 4 + input.below(4) as u32;
    let (limbs, special) = (1 + input.below(6), 1 + input.below(3));
    let alpha = 1 + input.below(limbs);
    let level = 1 + input.below(limbs);
    let kind = input.byte();
    let mut used = Vec::new();
    let q = input.primes(limbs, &PRIMES[FIRST_RNS..], &mut used);
    let p = input.primes(special, &PRIMES[if kind & 4 == 0 { FIRST_50 } else { FIRST_RNS }..], &mut used);
    let n = 1usize << log_n;
    let g = 2 * input.below(n) + 1;
    let rng = ChaCha20Rng::seed_from_u64(input.byte().into());
    let mut rng = Random { rng, largest: kind & 8 != 0, positive: kind & 16 != 0 };
    let secrets = [(); 2].map(|()| secret(&input.pattern(), n));
    let pattern = input.pattern();

    let (basis_q, basis_p) = (basis(log_n, isa, &q), basis(log_n, isa, &p));
    let Some(gadget) = gadget(&basis_q, &basis_p, alpha, &q, &p) else { return };
    let qp = [&q[..], &p[..]].concat();

    // The key, and the secrets from which and to which it switches.
    let [other, secret] = &secrets;
    let [other_eval, secret_eval] = [other, secret].map(|s| RnsPoly::from_small(s, qp.len()).into_eval(gadget.qp()));
    let galois = GaloisElement::new(g as u64, log_n).expect("odd and below 2N");
    let secret_integers: Vec<_> = secret.iter().map(|&s| i64::from(s)).collect();
    let (key, from, to) = match kind % 4 {
        0 => (KeySwitchKey::relinearisation(&gadget, secret_eval.view(), &mut rng), None, secret_integers),
        1 => {
            let inverse = (1..2 * n).step_by(2).find(|h| g * h % (2 * n) == 1).expect("g is odd");
            assert_eq!(galois.inverse().value(), inverse as u64);
            let to = substitute(&secret_integers, inverse, |s| -s);
            (KeySwitchKey::galois(&gadget, secret_eval.view(), galois, &mut rng), Some(secret), to)
        }
        _ => {
            let key = KeySwitchKey::generate(&gadget, other_eval.prefix(limbs), secret_eval.view(), &mut rng);
            (key, Some(other), secret_integers)
        }
    };
    let residues_of = |s: &[i64], q: u64| s.iter().map(|&s| signed(s, q)).collect::<Vec<_>>();
    let to_limbs: Vec<_> = qp.iter().map(|&q| residues_of(&to, q)).collect();
    let from_limb = |(&q, to): (&u64, &Vec<u64>)| match from {
        Some(s) => s.iter().map(|&s| signed(s.into(), q)).collect(),
        None => negacyclic(to, to, q),
    };
    let case = Case {
        gadget: &gadget,
        key: &key,
        alpha,
        level,
        n,
        q: &q,
        p: &p,
        qp: &qp,
        from: qp.iter().zip(&to_limbs).map(from_limb).collect(),
        to: to_limbs,
        norm: to.iter().map(|s| s.abs()).sum(),
        c: (0..level).map(|j| (0..n).map(|i| pattern.residue(i, j, q[j])).collect()).collect(),
    };
    let mut c = RnsPoly::<Coeff>::zero(n, level);
    for (j, limb) in c.limbs_mut().enumerate() {
        limb.iter_mut().enumerate().for_each(|(i, x)| *x = pattern.centred(i, j, q[j]));
    }
    let c = c.into_eval(&basis_q);

    case.bytes();
    let errors = case.key_errors();
    let lifted = case.lift(&c);
    let switched = case.switch(&c, &lifted);
    case.check_noise(&errors, &lifted, &switched);
    for part in switched {
        check_automorphism(&gadget, galois, part, &q);
    }
}

/// A generator whose bytes are random, or such that every Gaussian has the largest magnitude, or
/// that none is negative.
struct Random {
    rng: ChaCha20Rng,
    largest: bool,
    positive: bool,
}

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.rng.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.rng.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.rng.fill_bytes(bytes);
        for (i, byte) in bytes.iter_mut().enumerate() {
            // The lowest bit of a sample's two words is its sign.
            let sign = u8::from(i % 16 == 0);
            *byte |= if self.largest { !sign } else { 0 };
            *byte &= if self.positive { !sign } else { !0 };
        }
        Ok(())
    }
}

impl TryCryptoRng for Random {}

/// Returns small coefficients: ternary ones, and some of the largest that fit.
fn secret(pattern: &Pattern, n: usize) -> Vec<i8> {
    let coefficient = |i| match pattern.code(i) {
        code @ 0..250 => [0, 1, -1, (pattern.random(i, 0) % 3) as i8 - 1][usize::from(code % 4)],
        250..253 => i8::MAX,
        _ => -i8::MAX,
    };
    (0..n).map(coefficient).collect()
}

/// Returns the gadget, or `None` where P is documented to be too small.
fn gadget(basis_q: &RnsBasis, basis_p: &RnsBasis, alpha: usize, q: &[u64], p: &[u64]) -> Option<Gadget> {
    let (four_p, largest) = (4 * product(p), q.chunks(alpha).map(product).max().expect("a digit"));
    // The kernel compares logarithms, so that close cases may go either way.
    let close = abs(&(&four_p - &largest)) << 40 < largest;
    match Gadget::new(basis_q, basis_p, alpha) {
        Ok(gadget) => {
            assert!(close || four_p >= largest, "P of {p:?} is too small for digits of {alpha} of {q:?}");
            Some(gadget)
        }
        Err(Error::SpecialModulusTooSmall { .. }) if close || four_p < largest => None,
        Err(error) => panic!("{error}: digits of {alpha} of {q:?}, {p:?}"),
    }
}

struct Case<'a> {
    gadget: &'a Gadget,
    key: &'a KeySwitchKey,
    alpha: usize,
    level: usize,
    n: usize,
    q: &'a [u64],
    p: &'a [u64],
    qp: &'a [u64],
    /// The secrets s and s′, in all limbs.
    from: Vec<Vec<u64>>,
    to: Vec<Vec<u64>>,
    /// ‖s′‖₁.
    norm: i64,
    /// The polynomial that is switched.
    c: Vec<Vec<u64>>,
}

impl Case<'_> {
    /// Returns the limbs of a sum modulo QP at this level, as the numbers of their primes in QP.
    fn raised(&self) -> Vec<usize> {
        (0..self.level).chain(self.q.len()..self.qp.len()).collect()
    }

    fn digits(&self) -> usize {
        self.level.div_ceil(self.alpha)
    }

    /// Returns the canonical coefficients of a limb of values modulo prime number j of QP.
    fn coefficients(&self, limb: &[f64], j: usize) -> Vec<u64> {
        // Outputs are centred, and so are the values that they come from.
        drop(residues(limb, self.qp[j]));
        let mut limb = limb.to_vec();
        self.gadget.qp().table(j).inverse(&mut limb);
        residues(&limb, self.qp[j])
    }

    /// Returns the errors in the key: b_d + a_d·s′ − P·s in the limbs of digit d. They have to be
    /// the same small integers in every limb.
    fn key_errors(&self) -> Vec<Vec<i64>> {
        let p = product(self.p);
        let error = |d: usize| {
            let [b, a] = self.key.part(self.gadget, d);
            let limb = |(j, &q): (usize, &u64)| {
                let (b, a_s) =
                    (self.coefficients(b.limb(j), j), negacyclic(&self.coefficients(a.limb(j), j), &self.to[j], q));
                let scale = if j < self.q.len() && j / self.alpha == d { modulo(&p, q) } else { 0 };
                let rest = |i: usize| centred(sub(add(b[i], a_s[i], q), mul(scale, self.from[j][i], q), q), q);
                (0..self.n).map(rest).collect::<Vec<_>>()
            };
            let limbs: Vec<Vec<i64>> = self.qp.iter().enumerate().map(limb).collect();
            assert!(limbs.iter().all(|limb| *limb == limbs[0]), "digit {d} of the key: {limbs:?}");
            let bound = i64::from(GAUSSIAN_BOUND);
            assert!(limbs[0].iter().all(|e| e.abs() <= bound), "errors of digit {d}: {:?}", limbs[0]);
            limbs[0].clone()
        };
        (0..self.q.len().div_ceil(self.alpha)).map(error).collect()
    }

    fn bytes(&self) {
        let mut bytes = vec![0xaa; KeySwitchKey::encoded_len(self.gadget)];
        self.key.encode(self.gadget, &mut bytes);
        assert_eq!(KeySwitchKey::decode(self.gadget, &bytes).as_ref(), Ok(self.key));
    }

    /// Returns the digits of c in all limbs, after checking that they are those of one integer of
    /// at most half a digit's product.
    fn lift(&self, c: &RnsPoly<Eval>) -> Vec<RnsPoly<Eval>> {
        let raised = self.raised();
        let mut lifted = vec![garbage(self.n, raised.len()); self.digits()];
        let mut scratch = Scratch::new(self.gadget.decompose_scratch_len(self.level));
        scratch.fill(f64::NAN);
        self.gadget.decompose(c.view(), &mut lifted, &mut scratch);

        let crt = Crt::new(&raised.iter().map(|&j| self.qp[j]).collect::<Vec<_>>());
        for (d, lifted) in lifted.iter().enumerate() {
            let own = d * self.alpha..self.level.min((d + 1) * self.alpha);
            let limbs: Vec<_> = raised.iter().enumerate().map(|(k, &j)| self.coefficients(lifted.limb(k), j)).collect();
            assert!(own.clone().all(|j| limbs[j] == self.c[j]), "digit {d} is not that of c");
            let digit = &self.q[own];
            for i in 0..self.n {
                let x = crt.compose(limbs.iter().map(|limb| limb[i]));
                assert!(is_representative(&x, digit), "digit {d} at {i} is lifted to {x}, modulo {digit:?}");
            }
        }
        lifted
    }

    /// Switches c in all possible ways, which have to agree bit for bit. Returns both parts, in
    /// values.
    fn switch(&self, c: &RnsPoly<Eval>, lifted: &[RnsPoly<Eval>]) -> [RnsPoly<Eval>; 2] {
        let (gadget, key, limbs) = (self.gadget, self.key, self.raised().len());
        let mut scratch = Scratch::new(gadget.switch_scratch_len(self.level));
        let parts = || [garbage(self.n, limbs), garbage(self.n, limbs)];
        let [mut direct, mut lazy, mut hoisted] = [parts(), parts(), parts()];

        scratch.fill(f64::NAN);
        let [b, a] = direct.each_mut().map(RnsPoly::view_mut);
        gadget.switch(c.view(), key, [&mut { b }, &mut { a }], &mut scratch);
        scratch.fill(f64::NAN);
        let [b, a] = lazy.each_mut().map(RnsPoly::view_mut);
        gadget.switch_lazy(c.view(), key, [&mut { b }, &mut { a }], &mut scratch);
        let [b, a] = hoisted.each_mut().map(RnsPoly::view_mut);
        key.accumulate(gadget, lifted, [&mut { b }, &mut { a }]);
        assert_same_bits(&lazy, &hoisted, limbs);
        self.check_sums(lifted, &lazy);

        let mut scratch = Scratch::new(gadget.mod_down().scratch_len());
        for part in &mut hoisted {
            scratch.fill(f64::NAN);
            gadget.mod_down().apply(part.view_mut(), &mut scratch);
        }
        assert_same_bits(&direct, &hoisted, self.level);
        direct.iter_mut().for_each(|part| part.truncate(self.level));
        self.check_division(&lazy, &direct);
        direct
    }

    /// Checks the inner products of the lifted digits and the key, value by value.
    fn check_sums(&self, lifted: &[RnsPoly<Eval>], sums: &[RnsPoly<Eval>; 2]) {
        let keys: Vec<_> = (0..lifted.len()).map(|d| self.key.part(self.gadget, d)).collect();
        for (part, sums) in sums.iter().enumerate() {
            for (k, &j) in self.raised().iter().enumerate() {
                let q = self.qp[j];
                let mut expected = vec![0; self.n];
                for (lifted, key) in lifted.iter().zip(&keys) {
                    let factors = [lifted.limb(k), key[part].limb(j)].map(|limb| residues(limb, q));
                    for (sum, (&x, &y)) in expected.iter_mut().zip(factors[0].iter().zip(&factors[1])) {
                        *sum = add(*sum, mul(x, y, q), q);
                    }
                }
                assert_eq!(residues(sums.limb(k), q), expected, "sum of part {part}, limb {j}");
            }
        }
    }

    /// Checks that both parts are their sums divided by P.
    fn check_division(&self, sums: &[RnsPoly<Eval>; 2], parts: &[RnsPoly<Eval>; 2]) {
        let raised = self.raised();
        let crt = Crt::new(&raised.iter().map(|&j| self.qp[j]).collect::<Vec<_>>());
        for (sum, part) in sums.iter().zip(parts) {
            let sum: Vec<_> = raised.iter().enumerate().map(|(k, &j)| self.coefficients(sum.limb(k), j)).collect();
            let part: Vec<_> = (0..self.level).map(|j| self.coefficients(part.limb(j), j)).collect();
            for i in 0..self.n {
                let found: Vec<_> = part.iter().map(|limb| limb[i]).collect();
                let sum = crt.compose(sum.iter().map(|limb| limb[i]));
                assert_quotient(&found, &self.q[..self.level], &sum, self.p);
            }
        }
    }

    /// Checks that b + a·s′ − c·s is as small as documented, and that, up to the roundings of the
    /// two divisions by P, it is the value given by the errors of the key and the digits of c.
    fn check_noise(&self, errors: &[Vec<i64>], lifted: &[RnsPoly<Eval>], [b, a]: &[RnsPoly<Eval>; 2]) {
        let noise: Vec<Vec<u64>> = (0..self.level)
            .map(|j| {
                let q = self.q[j];
                let [b, a] = [b, a].map(|part| self.coefficients(part.limb(j), j));
                let (a_s, c_s) = (negacyclic(&a, &self.to[j], q), negacyclic(&self.c[j], &self.from[j], q));
                (0..self.n).map(|i| sub(add(b[i], a_s[i], q), c_s[i], q)).collect()
            })
            .collect();
        // P·noise − Σ_d lifted_d·errors_d, modulo q₀ … and the special primes.
        let p = product(self.p);
        let roundings: Vec<Vec<u64>> = self
            .raised()
            .iter()
            .enumerate()
            .map(|(k, &j)| {
                let (q, scale) = (self.qp[j], modulo(&p, self.qp[j]));
                let mut rest: Vec<_> = match noise.get(k) {
                    Some(noise) => noise.iter().map(|&x| mul(x, scale, q)).collect(),
                    None => vec![0; self.n],
                };
                for (lifted, error) in lifted.iter().zip(errors) {
                    let error: Vec<_> = error.iter().map(|&e| signed(e, q)).collect();
                    let product = negacyclic(&self.coefficients(lifted.limb(k), j), &error, q);
                    rest.iter_mut().zip(product).for_each(|(x, y)| *x = sub(*x, y, q));
                }
                rest
            })
            .collect();

        let digit = self.q[..self.level].chunks(self.alpha).map(product).max().expect("a digit");
        let from_key = BigInt::from(self.digits() * self.n) * GAUSSIAN_BOUND;
        // Half of each bound is rounded to 50 bits.
        let slack = |x: BigInt| (&x >> 40) + x + 4 * (self.norm + 1);
        // Both bounds are multiplied by 2P.
        let documented = slack(from_key * (digit + 4) + &p * (1 + self.norm));
        let rounding = slack((&p + 4) * (1 + self.norm));
        let raised: Vec<_> = self.raised().iter().map(|&j| self.qp[j]).collect();
        let (kept, all) = (Crt::new(&self.q[..self.level]), Crt::new(&raised));
        for i in 0..self.n {
            let x = kept.compose(noise.iter().map(|limb| limb[i]));
            assert!(2 * &p * abs(&x) <= documented, "noise {x} at {i}, at most {documented} / 2P, P = {p}");
            let x = all.compose(roundings.iter().map(|limb| limb[i]));
            assert!(2 * abs(&x) <= rounding, "rounding {x} / P at {i}, P = {p}, norm {}", self.norm);
        }
    }
}

/// Returns a polynomial without any meaning, to be overwritten.
fn garbage(n: usize, limbs: usize) -> RnsPoly<Eval> {
    let mut poly = RnsPoly::zero(n, limbs);
    poly.limbs_mut().for_each(|limb| limb.fill(f64::NAN));
    poly
}

#[track_caller]
fn assert_same_bits(a: &[RnsPoly<Eval>; 2], b: &[RnsPoly<Eval>; 2], limbs: usize) {
    for (a, b) in a.iter().zip(b) {
        for j in 0..limbs {
            let same = a.limb(j).iter().zip(b.limb(j)).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "limb {j}: {:?} and {:?}", a.limb(j), b.limb(j));
        }
    }
}

/// Checks X → X^g on values and on coefficients against the definition.
fn check_automorphism(gadget: &Gadget, g: GaloisElement, x: RnsPoly<Eval>, q: &[u64]) {
    let shape = (x.n(), x.limbs());
    let coefficients = |x: RnsPoly<Coeff>| (0..shape.1).map(|j| residues(x.limb(j), q[j])).collect::<Vec<_>>();
    let mut mapped = garbage(shape.0, shape.1);
    Automorphism::new(g).apply_into(x.view(), &mut mapped.view_mut());
    let (x, mapped) = (x.into_coeff(gadget.q()), mapped.into_coeff(gadget.q()));
    let mut direct = RnsPoly::<Coeff>::zero(shape.0, shape.1);
    automorphism_coeff_into(g, x.view(), &mut direct.view_mut());
    let map = |(limb, &q): (Vec<u64>, &u64)| substitute(&limb, g.value() as usize, |x| sub(0, x, q));
    let expected: Vec<_> = coefficients(x).into_iter().zip(q).map(map).collect();
    assert_eq!(coefficients(mapped), expected, "values under X^{}", g.value());
    assert_eq!(coefficients(direct), expected, "coefficients under X^{}", g.value());
}
