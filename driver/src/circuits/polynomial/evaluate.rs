//! Polynomials of ciphertexts: the method of Paterson and Stockmeyer in the Chebyshev basis,
//! with the smallest possible depth and exact scales (Bossuat, Mouchet,
//! Troncoso-Pastoriza and Hubaux, [EUROCRYPT 2021](https://eprint.iacr.org/2020/1203), Section 5).
//!
//! With m the largest power of two up to the degree, the polynomial is divided as p = q·T_m + r.
//! Both q and r are divided again until they are short sums of the T_i, i < 2^b, that were
//! computed before. A polynomial of degree d takes ⌈log2(d + 1)⌉ levels. T_m needs log2(m) of them,
//! and so may q; therefore the quotients of quotients are divided further than the remainders,
//! down to degree 1.
//!
//! **Scales.** The result has a wanted level and scale, from which those of all intermediate
//! values are derived. Take p with scale S at level l, *not yet rescaled*. Either it is a sum
//! of constants times T_i, and each constant is encoded at S divided by the scale that T_i has.
//! Or it is q·T_m + r: then r has the same S and l, while q, once rescaled, has
//! the scale S/(scale of T_m), and hence q_{l+1} times that before its rescaling at level l + 1.
//! No two terms ever differ in scale, and nothing is adjusted.
//! Products are relinearised and rescaled together with the remainders that are added to them.

use std::collections::BTreeMap;

use super::chebyshev::{Chebyshev, divide};
use crate::base::error::{Error, Result};
use crate::circuits::cost::Cost;
use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::eval::Evaluator;
use crate::ckks::keys::KeyRequests;
use crate::ckks::params::{Parameters, ParametersHash};

/// The steps by which a polynomial of ciphertexts at one level is evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct PolynomialPlan {
    hash: ParametersHash,
    polynomial: Chebyshev,
    level: usize,
    /// Remainders of degree below 2^baby are sums of the T_i.
    /// Quotients are divided as far as the levels require.
    baby: u32,
    /// The T_i to compute, for i > 1, with their levels.
    powers: BTreeMap<usize, usize>,
    /// The levels of the products of two ciphertexts.
    products: Vec<usize>,
    /// The levels at which sums of products are relinearised and rescaled.
    relinearised: Vec<usize>,
    /// The levels at which sums without products are rescaled.
    rescaled: Vec<usize>,
}

/// Returns ⌈log2 i⌉, the number of levels that T_i takes.
const fn depth_of(i: usize) -> usize {
    i.next_power_of_two().ilog2() as usize
}

/// Returns the a and b of T_i = 2·T_a·T_b − T_{a−b}, where a is the largest power of two below i.
const fn factors(i: usize) -> (usize, usize) {
    let a = i.next_power_of_two() / 2;
    (a, i - a)
}

impl PolynomialPlan {
    /// Chooses the steps with the smallest cost for a ciphertext at `level`.
    ///
    /// # Errors
    /// [`Error::Level`] if the level does not exist,
    /// [`Error::NoLevelsLeft`] if it is below the depth.
    pub fn new(params: &Parameters, polynomial: Chebyshev, level: usize) -> Result<Self> {
        params.check_level(level)?;
        let depth = depth(&polynomial);
        if depth > level {
            return Err(Error::NoLevelsLeft { operation: "the polynomial", needed: depth, level });
        }
        let plan = |baby: u32| {
            let mut plan = Self {
                hash: params.hash(),
                polynomial: polynomial.clone(),
                level,
                baby,
                powers: BTreeMap::new(),
                products: Vec::new(),
                relinearised: Vec::new(),
                rescaled: vec![level; mapped(&polynomial)],
            };
            // The level of T_1, after the map to [−1, 1].
            let top = level - mapped(&polynomial);
            if polynomial.degree() > 0 {
                plan.visit(top, polynomial.coefficients(), level - depth + 1, true);
            }
            for &l in plan.powers.values() {
                plan.products.push(l + 1);
                plan.relinearised.push(l + 1);
            }
            plan
        };
        let candidates = (1..=depth_of(polynomial.degree() + 1).max(1) as u32).map(plan);
        let cost = |plan: &Self| plan.cost(params).in_transforms();
        Ok(candidates.min_by(|a, b| cost(a).total_cmp(&cost(b))).expect("at least one candidate"))
    }

    /// Records the powers and operations that p at level l takes.
    /// The level is that before rescaling, which takes place unless p is a remainder.
    fn visit(&mut self, top: usize, p: &[f64], l: usize, rescaled: bool) {
        match self.step(top, p, l) {
            Step::Sum(terms) => {
                terms.into_iter().for_each(|i| self.need(top, i));
                self.rescaled.extend(rescaled.then_some(l));
            }
            Step::Divide(m) => {
                let (q, r) = divide(p, m);
                self.need(top, m);
                self.products.push(l);
                self.relinearised.extend(rescaled.then_some(l));
                self.visit(top, &q, l + 1, true);
                self.visit(top, &r, l, false);
            }
        }
    }

    /// Decides whether p is computed as a sum or divided further.
    fn step(&self, top: usize, p: &[f64], l: usize) -> Step {
        let degree = p.iter().rposition(|&c| c != 0.0).unwrap_or(0);
        let terms: Vec<usize> = (1..=degree).filter(|&i| p[i] != 0.0).collect();
        let ready = terms.iter().all(|&i| depth_of(i) + l <= top);
        if degree < 2 || (degree < 1 << self.baby && ready) {
            Step::Sum(terms)
        } else {
            Step::Divide(1 << degree.ilog2())
        }
    }

    fn need(&mut self, top: usize, i: usize) {
        if i < 2 || self.powers.insert(i, top - depth_of(i)).is_some() {
            return;
        }
        let (a, b) = factors(i);
        [a, b, a - b].into_iter().for_each(|i| self.need(top, i));
    }

    /// The polynomial.
    #[must_use]
    pub const fn polynomial(&self) -> &Chebyshev {
        &self.polynomial
    }

    /// The level of the ciphertexts that the polynomial takes.
    #[must_use]
    pub const fn level(&self) -> usize {
        self.level
    }

    /// The number of levels that the polynomial consumes:
    /// ⌈log2(degree + 1)⌉, and one more for the map from an interval other than [−1, 1].
    #[must_use]
    pub fn depth(&self) -> usize {
        depth(&self.polynomial)
    }

    /// The number of products of two ciphertexts.
    #[must_use]
    pub fn products(&self) -> usize {
        self.products.len()
    }

    /// The number of relinearisations. One of them serves a whole sum of products.
    #[must_use]
    pub fn relinearisations(&self) -> usize {
        self.relinearised.len()
    }

    /// The keys that the polynomial needs.
    #[must_use]
    pub fn requests(&self) -> KeyRequests {
        self.relinearised.iter().fold(KeyRequests::default(), |all, &level| all.relinearisation(level))
    }

    /// A bound on the error of a slot of the result. It assumes that the errors of the input are
    /// at most `input`, and that every rescaled product and every constant adds at most `rounding`.
    /// It is the worst case, in which errors never cancel.
    #[must_use]
    pub fn error_bound(&self, input: f64, rounding: f64) -> f64 {
        let [from, to] = self.polynomial.interval();
        let first = if mapped(&self.polynomial) == 1 { input * 2.0 / (to - from) + 2.0 * rounding } else { input };
        let mut powers = BTreeMap::from([(1, first)]);
        for &i in self.powers.keys() {
            let (a, b) = factors(i);
            let (ea, eb) = (powers[&a], powers[&b]);
            // Every |T_i| is at most 1, and T_0 has no error.
            powers.insert(i, 2.0 * (ea + eb + ea * eb) + powers.get(&(a - b)).unwrap_or(&0.0) + rounding);
        }
        let top = self.level - mapped(&self.polynomial);
        let last = self.level + 1 - self.depth();
        self.error_of(&powers, top, self.polynomial.coefficients(), last, rounding)
    }

    fn error_of(&self, powers: &BTreeMap<usize, f64>, top: usize, p: &[f64], l: usize, rounding: f64) -> f64 {
        match self.step(top, p, l) {
            Step::Sum(terms) => terms.iter().map(|i| p[*i].abs() * powers[i] + rounding).sum::<f64>() + rounding,
            Step::Divide(m) => {
                let (q, r) = divide(p, m);
                let (eq, er) =
                    (self.error_of(powers, top, &q, l + 1, rounding), self.error_of(powers, top, &r, l, rounding));
                let size: f64 = q.iter().map(|c| c.abs()).sum();
                eq + size * powers[&m] + eq * powers[&m] + er + rounding
            }
        }
    }

    /// The cost of the polynomial, without the products with constants.
    #[must_use]
    pub fn cost(&self, params: &Parameters) -> Cost {
        let product = |&l: &usize| Cost { products: 4 * (l as u64 + 1), ..Cost::default() };
        let relinearisation = |&l: &usize| Cost::key_switch(l, params.gadget_shape(l), 1);
        let rescaling = |&l: &usize| Cost::division(2, l, 1);
        let products = self.products.iter().map(product);
        let others = self.relinearised.iter().map(relinearisation).chain(self.rescaled.iter().map(rescaling));
        products.chain(others).fold(Cost::default(), |sum, cost| sum + cost)
    }
}

enum Step {
    /// The polynomial is a sum of these T_i.
    Sum(Vec<usize>),
    /// The polynomial is divided by T_m.
    Divide(usize),
}

/// Returns 1 if x has to be mapped to [−1, 1], and 0 otherwise.
fn mapped(polynomial: &Chebyshev) -> usize {
    usize::from(polynomial.interval() != [-1.0, 1.0])
}

fn depth(polynomial: &Chebyshev) -> usize {
    depth_of(polynomial.degree() + 1) + mapped(polynomial)
}

impl Evaluator {
    /// Evaluates p(a), slot by slot. The result is at the level of the plan minus its depth
    /// and has the scale `scale` (usually that of its level). Slots have to lie in the polynomial's
    /// interval. Outside of it, the values are those of the polynomial, which grow as (2x)^degree.
    ///
    /// # Errors
    /// [`Error::LowLevel`] if a is below the level of the plan, [`Error::MissingKey`],
    /// [`Error::Degree`], [`Error::Scale`], [`Error::OtherParameters`], [`Error::OtherKeys`].
    pub fn polynomial(&self, a: &Ciphertext, plan: &PolynomialPlan, scale: f64) -> Result<Ciphertext> {
        let params = self.params();
        a.check(params)?;
        crate::ckks::keys::check_hash(plan.hash, params)?;
        a.check_degree(1)?;
        let mut x = self.drop_to_level(a, plan.level)?;
        if mapped(&plan.polynomial) == 1 {
            // Maps x to t = (2x − a − b)/(b − a), at the scale of the next level.
            let [from, to] = plan.polynomial.interval();
            let factor = params.scale(plan.level - 1) * params.q(plan.level).as_f64() / x.scale;
            self.mul_constant_assign(&mut x, 2.0 / (to - from), factor)?;
            self.add_constant_assign(&mut x, -(from + to) / (to - from))?;
            self.rescale_assign(&mut x)?;
        }
        let top = x.level();
        let mut powers = BTreeMap::from([(1, x)]);
        // In ascending order, T_a, T_b and T_{a−b} are computed before T_{a+b}.
        for (&i, &level) in &plan.powers {
            let (a, b) = factors(i);
            let (x, y) = (&powers[&a], &powers[&b]);
            let (third, constant) = if a == b { (None, -1.0) } else { (Some((-1.0, &powers[&(a - b)])), 0.0) };
            let at = (level + 1, x.scale * y.scale);
            let product = self.combination(x.generation, at, (2, &[(x, y)]), third.as_slice(), constant)?;
            powers.insert(i, self.relinearise_rescale_combination(&product)?);
        }
        let last = plan.level - plan.depth() + 1;
        if last > top {
            // The polynomial is constant: no level is consumed after the map.
            let mut zero = powers.remove(&1).expect("was just inserted");
            self.mul_integer_assign(&mut zero, 0)?;
            zero.scale = scale;
            self.add_constant_assign(&mut zero, plan.polynomial.coefficients()[0])?;
            return Ok(zero);
        }
        let scale_before = scale * params.q(last).as_f64();
        let mut out = self.divided(plan, &powers, plan.polynomial.coefficients(), last, scale_before, true)?;
        out.scale = scale;
        Ok(out)
    }

    /// Evaluates p at level l, where `scale` is the scale before rescaling.
    /// If `rescaled` is set, the result is rescaled. Otherwise p is a remainder, which is added
    /// to a product that is not rescaled yet, and the result is a ciphertext of degree 1 or 2.
    fn divided(
        &self,
        plan: &PolynomialPlan,
        powers: &BTreeMap<usize, Ciphertext>,
        p: &[f64],
        l: usize,
        scale: f64,
        rescaled: bool,
    ) -> Result<Ciphertext> {
        match plan.step(powers[&1].level(), p, l) {
            Step::Sum(terms) => {
                let multiples: Vec<_> = terms.iter().map(|i| (p[*i], &powers[i])).collect();
                let mut sum =
                    self.store(&self.combination(powers[&1].generation, (l, scale), (1, &[]), &multiples, p[0])?);
                if rescaled {
                    self.rescale_assign(&mut sum)?;
                }
                Ok(sum)
            }
            Step::Divide(m) => {
                let (q, r) = divide(p, m);
                let inner = scale / powers[&m].scale;
                let scale_before = inner * self.params().q(l + 1).as_f64();
                let mut quotient = self.divided(plan, powers, &q, l + 1, scale_before, true)?;
                quotient.scale = inner;
                let remainder = self.divided(plan, powers, &r, l, scale, false)?;
                let sum = self.combination(
                    quotient.generation,
                    (l, scale),
                    (1, &[(&quotient, &powers[&m])]),
                    &[(1.0, &remainder)],
                    0.0,
                )?;
                if rescaled { self.relinearise_rescale_combination(&sum) } else { Ok(self.store(&sum)) }
            }
        }
    }
}
