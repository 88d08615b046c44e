//! The code that the kernel is compared with: tfhe-ntt, and scalar base conversion.

use hetal_kernel::{Isa, Modulus, NttTable};
pub use tfhe_ntt::prime64::Plan;

use crate::setup::WordPoly;

/// The version that Cargo.toml pins.
const TFHE_NTT: &str = "tfhe-ntt 0.7.1";

/// Returns the peer's tables for the ring of `table`.
///
/// # Panics
/// Never: a ring that has a table here satisfies the peer's conditions, too.
#[must_use]
pub fn plan(table: &NttTable) -> Plan {
    Plan::try_new(table.n(), table.modulus().value()).expect("an NTT prime and N ≥ 16")
}

/// Returns the name of the peer, and which of its code runs for this plan. It takes the best
/// instructions that the machine has and its features allow.
#[must_use]
pub fn name(plan: &Plan) -> String {
    let has = |isa| Isa::by_name(isa).is_ok();
    let code = if plan.use_ifma() {
        "avx512ifma"
    } else if cfg!(feature = "peer-avx512") && has("avx512") {
        "avx512"
    } else if has("avx2") {
        "avx2"
    } else {
        "scalar"
    };
    format!("{TFHE_NTT} {code}")
}

/// The coefficients that a conversion works on at a time: a block of all inputs fits the
/// first-level cache.
const BLOCK: usize = 128;

/// Base conversion in the way of scalar code: sums of 64 × 64-bit products in 128 bits, and one
/// Barrett reduction for each output.
#[derive(Clone, Debug)]
pub struct Converter {
    /// 1/qᵢ.
    inverses: Vec<f64>,
    targets: Vec<Target>,
}

#[derive(Clone, Debug)]
struct Target {
    p: u64,
    /// ⌊2^104/p⌋.
    barrett: u64,
    /// \[Q/qᵢ\]_p, then \[−Q\]_p.
    weights: Vec<u64>,
}

impl Target {
    /// Returns x mod p for x < 2^103. With t = ⌊x/2^40⌋ < 2^63, the quotient ⌊t·⌊2^104/p⌋/2^64⌋ is
    /// at most 1 below ⌊x/p⌋, because the two roundings cut off less than 2^40/p + t/2^64 < 1.
    #[inline(always)]
    fn reduce(&self, x: u128) -> u64 {
        let t = (x >> 40) as u64;
        let quotient = ((u128::from(t) * u128::from(self.barrett)) >> 64) as u64;
        last_step((x as u64).wrapping_sub(quotient.wrapping_mul(self.p)), self.p)
    }
}

/// Returns r mod p for r < 2p.
#[inline(always)]
fn last_step(r: u64, p: u64) -> u64 {
    // This keeps the comparison scalar. SSE2 has none for 64 bits, and the compiler would vectorise
    // it all the same (10 % slower).
    let r = std::hint::black_box(r);
    r.min(r.wrapping_sub(p))
}

impl Converter {
    /// Returns the converter from limbs modulo `from` to limbs modulo `to`.
    ///
    /// # Panics
    /// If there are more than 7 primes in `from`, or one of `to` is below 2^42.
    #[must_use]
    pub fn new(from: &[Modulus], to: &[Modulus]) -> Self {
        assert!(from.len() < 8 && to.iter().all(|p| p.bits() > 42), "too many terms, or too small a prime");
        let target = |p: &Modulus| Target {
            p: p.value(),
            barrett: ((1 << 104) / u128::from(p.value())) as u64,
            weights: (0..from.len())
                .map(|i| product(from, Some(i), p))
                .chain([p.neg(product(from, None, p))])
                .collect(),
        };
        Self { inverses: from.iter().map(|q| 1.0 / q.as_f64()).collect(), targets: to.iter().map(target).collect() }
    }

    /// Computes the last input of a centred conversion: ⌊Σ yᵢ/qᵢ⌉.
    ///
    /// # Panics
    /// If the number of limbs is wrong, lengths differ or are not multiples of 128.
    pub fn overflow_into(&self, y: &[&[u64]], v: &mut [u64]) {
        assert!(y.len() == self.inverses.len(), "{} limbs", y.len());
        let (blocks, []) = v.as_chunks_mut::<BLOCK>() else { panic!("not whole blocks") };
        for (block, v) in blocks.iter_mut().enumerate() {
            let mut sums = [0.5; BLOCK];
            for (y, inverse) in y.iter().zip(&self.inverses) {
                for (sum, &y) in sums.iter_mut().zip(&y.as_chunks::<BLOCK>().0[block]) {
                    // A signed conversion takes one instruction.
                    *sum += y as i64 as f64 * inverse;
                }
            }
            v.iter_mut().zip(sums).for_each(|(v, sum)| *v = sum as i64 as u64);
        }
    }

    /// Converts L limbs (fast), or these and their overflow (centred), to the targets beginning
    /// with number `first`.
    ///
    /// # Panics
    /// If the number of limbs is wrong or not 5 … 8, lengths differ or are not multiples of 128.
    pub fn convert_into(&self, y: &[&[u64]], first: usize, out: &mut [&mut [u64]]) {
        assert!([0, 1].map(|v| self.inverses.len() + v).contains(&y.len()), "{} limbs", y.len());
        match y.len() {
            5 => self.convert::<5>(y, first, out),
            6 => self.convert::<6>(y, first, out),
            7 => self.convert::<7>(y, first, out),
            8 => self.convert::<8>(y, first, out),
            inputs => panic!("{inputs} limbs"),
        }
    }

    /// Does the work of [`Converter::convert_into`] with the number of inputs known to the
    /// compiler, as in the kernel.
    fn convert<const K: usize>(&self, y: &[&[u64]], first: usize, out: &mut [&mut [u64]]) {
        let y: [&[[u64; BLOCK]]; K] = std::array::from_fn(|k| y[k].as_chunks().0);
        for block in 0..y[0].len() {
            let y = y.map(|y| &y[block]);
            for (out, target) in out.iter_mut().zip(&self.targets[first..]) {
                let weights: &[u64; K] = target.weights.first_chunk().expect("as many weights as limbs");
                for (i, out) in out.as_chunks_mut::<BLOCK>().0[block].iter_mut().enumerate() {
                    let mut sum = 0;
                    for k in 0..K {
                        sum += u128::from(y[k][i]) * u128::from(weights[k]);
                    }
                    *out = target.reduce(sum);
                }
            }
        }
    }
}

/// A constant c modulo p, with ⌊2^64·c/p⌋ (Shoup).
#[derive(Clone, Copy, Debug)]
struct Constant {
    p: u64,
    c: u64,
    quotient: u64,
}

impl Constant {
    fn new(p: &Modulus, c: u64) -> Self {
        Self { p: p.value(), c, quotient: ((u128::from(c) << 64) / u128::from(p.value())) as u64 }
    }

    /// Returns c·x mod p for any x.
    #[inline(always)]
    fn mul(self, x: u64) -> u64 {
        let quotient = ((u128::from(x) * u128::from(self.quotient)) >> 64) as u64;
        last_step(x.wrapping_mul(self.c).wrapping_sub(quotient.wrapping_mul(self.p)), self.p)
    }
}

/// Division by a product of primes as in [`hetal_kernel::ModDown`], made of tfhe-ntt's transforms
/// and [`Converter`].
#[derive(Debug)]
pub struct ModDown {
    kept: Vec<Plan>,
    dropped: Vec<Plan>,
    converter: Converter,
    /// \[(P/pᵢ)^−1/N\] mod pᵢ.
    scales: Vec<Constant>,
    /// P^−1 mod qᵢ.
    inverses: Vec<Constant>,
    /// The overflow, and one converted limb.
    scratch: WordPoly,
}

impl ModDown {
    /// Returns the division by `dropped`.
    ///
    /// # Panics
    /// If these are not NTT primes for N, or as [`Converter::new`].
    #[must_use]
    pub fn new(n: usize, kept: &[Modulus], dropped: &[Modulus]) -> Self {
        let plan = |q: &Modulus| Plan::try_new(n, q.value()).expect("an NTT prime");
        let scale = |(i, p): (usize, &Modulus)| {
            Constant::new(p, p.inv(p.mul(product(dropped, Some(i), p), n as u64)).expect("the primes are distinct"))
        };
        let inverse =
            |q: &Modulus| Constant::new(q, q.inv(product(dropped, None, q)).expect("the primes are distinct"));
        Self {
            kept: kept.iter().map(plan).collect(),
            dropped: dropped.iter().map(plan).collect(),
            converter: Converter::new(dropped, kept),
            scales: dropped.iter().enumerate().map(scale).collect(),
            inverses: kept.iter().map(inverse).collect(),
            scratch: WordPoly::zero(n, 2),
        }
    }

    /// Returns the peer's tables of the kept primes, then those of the dropped ones.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.kept.iter().chain(&self.dropped)
    }

    /// Divides in place, on values, not on coefficients. `x` has the kept limbs and then the
    /// dropped ones, which are used up.
    ///
    /// # Panics
    /// If the number of limbs or a length is wrong.
    pub fn apply(&mut self, x: &mut WordPoly) {
        let mut limbs: Vec<_> = x.limbs_mut().collect();
        let (kept, dropped) = limbs.split_at_mut(self.kept.len());
        for ((x, plan), &scale) in dropped.iter_mut().zip(&self.dropped).zip(&self.scales) {
            plan.inv(x);
            x.iter_mut().for_each(|x| *x = scale.mul(*x));
        }
        let mut scratch = self.scratch.limbs_mut();
        let [overflow, converted] = [(); 2].map(|()| scratch.next().expect("two limbs"));
        let mut y: Vec<&[u64]> = dropped.iter().map(|y| &**y).collect();
        self.converter.overflow_into(&y, overflow);
        y.push(overflow);
        for (j, ((x, plan), &inverse)) in kept.iter_mut().zip(&self.kept).zip(&self.inverses).enumerate() {
            self.converter.convert_into(&y, j, &mut [&mut *converted]);
            plan.fwd(converted);
            for (x, &c) in x.iter_mut().zip(converted.iter()) {
                *x = inverse.mul(*x + inverse.p - c);
            }
        }
    }
}

/// Returns the product of the moduli modulo m, leaving out modulus number `but`.
fn product(moduli: &[Modulus], but: Option<usize>, m: &Modulus) -> u64 {
    let factors = moduli.iter().enumerate().filter(|(i, _)| Some(*i) != but);
    factors.fold(1, |product, (_, q)| m.mul(product, m.reduce(q.value())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::primes;

    /// Both reductions at and next to multiples of p and up to their largest inputs, against the
    /// `%` of u128.
    #[test]
    fn reductions() {
        for p in primes(4, 3).unwrap() {
            let target = Converter::new(&[], &[p]).targets.remove(0);
            let constant = Constant::new(&p, p.value() - 2);
            let q = u128::from(p.value());
            for x in (0..200).flat_map(|i| [i * q, i * q + 1, (i + 1) * q - 1, ((1 << 103) - 1) / 200 * (i + 1)]) {
                assert_eq!(u128::from(target.reduce(x)), x % q);
                assert_eq!(u128::from(constant.mul(x as u64)), u128::from(x as u64) * (q - 2) % q);
            }
        }
    }
}
