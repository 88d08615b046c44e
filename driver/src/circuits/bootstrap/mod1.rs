//! Reduction modulo 1: it maps t = I + x, with an integer I and a small x, to x.
//!
//! The reduction uses sin(2πt) = sin(2πx) ≈ 2πx. A polynomial approximates
//! c_0(t) = cos(2π(t − 1/4)/2^r) on [−K, K]; then r doublings of the angle, c ↦ 2c² − 1,
//! give cos(2π(t − 1/4)) = sin(2πt) (Han and Ki, [CT-RSA 2020](https://eprint.iacr.org/2019/688)).
//! The error of the sine, (2πx)²/6 relative to x, can be removed by the first terms of the arcsine
//! (Lee, Lee, Lee, Kim, Kim, No and Kang, [EUROCRYPT 2021](https://eprint.iacr.org/2020/552)).
//!
//! **The bound K.** Under a secret of weight h, t is a sum of h + 1 variables that are uniform
//! in [−1/2, 1/2]. Chernoff's bound gives P(|t| > K) ≤ 2·min_θ exp(−θK)·(sinh(θ/2)/(θ/2))^{h+1}.
//! No t is beyond (h + 1)/2.

use std::f64::consts::{LN_2, TAU};

use crate::base::error::{Error, Result};
use crate::circuits::cost::Cost;
use crate::circuits::polynomial::chebyshev::Chebyshev;
use crate::circuits::polynomial::evaluate::PolynomialPlan;
use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::eval::Evaluator;
use crate::ckks::keys::KeyRequests;
use crate::ckks::params::Parameters;

/// Returns log2 of a bound on P(|t| > K) for one coefficient, under a secret of this weight.
#[must_use]
pub fn log_failure(weight: usize, k: f64) -> f64 {
    let terms = weight as f64 + 1.0;
    if k >= terms / 2.0 {
        return f64::NEG_INFINITY;
    }
    // The exponent is convex in θ. Its derivative vanishes where coth(θ/2)/2 − 1/θ = K/(h + 1).
    let exponent = |theta: f64| {
        // Computes ln(sinh(θ/2)/(θ/2)) without overflow.
        let ln = theta / 2.0 + (-(-theta).exp()).ln_1p() - theta.ln();
        terms * ln - theta * k
    };
    let (mut low, mut high) = (1e-6, 1e6);
    for _ in 0..200 {
        let middle: f64 = f64::midpoint(low, high);
        let slope = 0.5 / (middle / 2.0).tanh() - 1.0 / middle - k / terms;
        if slope < 0.0 { low = middle } else { high = middle }
    }
    exponent(low) / LN_2 + 1.0
}

/// Returns the smallest integer K that none of `coefficients` coefficients exceeds,
/// except with a probability of 2^`wanted`.
#[must_use]
pub fn bound(weight: usize, coefficients: usize, wanted: f64) -> u32 {
    let fails = |k: u32| log_failure(weight, f64::from(k)) + (coefficients as f64).log2() > wanted;
    (1..).find(|&k| !fails(k)).expect("nothing is beyond (h + 1)/2")
}

/// Returns an odd function without the rounding errors in its even coefficients.
fn odd_part(p: &Chebyshev) -> Chebyshev {
    let odd = p.coefficients().iter().enumerate().map(|(i, &c)| if i % 2 == 1 { c } else { 0.0 });
    Chebyshev::new(odd.collect(), p.interval())
}

/// Evaluates a polynomial of odd degree d up to 7 for the arcsine on [−u, u]. It is the series
/// up to s^{d+2}, where the last term is replaced by its best approximation of degree d.
/// Its error c·s^{d+2} thus becomes c·u^{d+2}·T_{d+2}(s/u)/2^{d+1}.
fn arcsine_value(degree: usize, u: f64, s: f64) -> f64 {
    const SERIES: [f64; 10] = [0.0, 1.0, 0.0, 1.0 / 6.0, 0.0, 3.0 / 40.0, 0.0, 5.0 / 112.0, 0.0, 35.0 / 1152.0];
    let n = degree + 2;
    let series = SERIES[..=n].iter().rev().fold(0.0, |sum, c| sum * s + c);
    // The recurrence for P_i = u^i·T_i(s/u).
    let (p, _) = (1..n).fold((s, 1.0), |(p, last), _| (2.0 * s * p - u * u * last, p));
    series - SERIES[n] * p / f64::from(degree as u32 + 1).exp2()
}

/// The steps that reduce ciphertexts with slots t/K, from one level and scale to another.
#[derive(Clone, Debug)]
pub struct Mod1Plan {
    cosine: PolynomialPlan,
    doublings: usize,
    arcsine: Option<PolynomialPlan>,
    /// The scale of the result.
    scale: f64,
    log_error: f64,
}

/// The settings of [`Mod1Plan::new`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mod1Config {
    /// The bound K.
    pub k: u32,
    /// The number r of doublings of the angle.
    pub doublings: u32,
    /// The wanted log2 of the error of the cosine's polynomial.
    pub log_error: f64,
    /// The degree of the arcsine: 1 (only a factor), 3, 5 or 7.
    pub arcsine: usize,
    /// The largest |x|. The error of the arcsine is made as small as possible up to this value;
    /// with 0, it is smallest near 0.
    pub range: f64,
}

impl Mod1Plan {
    /// Plans the reduction of slots t/K at `level`. The result is 2πx at the scale `scale`.
    ///
    /// # Errors
    /// [`Error::Range`] for a degree of the arcsine other than 1, 3, 5, 7,
    /// or if no polynomial of degree up to 255 reaches the wanted error; [`Error::NoLevelsLeft`].
    pub fn new(params: &Parameters, level: usize, config: Mod1Config, scale: f64) -> Result<Self> {
        let Mod1Config { k, doublings, log_error, arcsine, range } = config;
        let power = f64::from(doublings).exp2();
        let f = |u: f64| (TAU * (f64::from(k) * u - 0.25) / power).cos();
        let error = |p: &Chebyshev| {
            let samples = (0..=2000).map(|i| f64::from(i) / 1000.0 - 1.0);
            samples.map(|u| (p.evaluate(u) - f(u)).abs()).fold(0.0, f64::max).log2()
        };
        let interpolate = |degree| {
            let p = Chebyshev::interpolate(f, degree, [-1.0, 1.0]);
            // Without doublings, the function is the sine itself, which is odd.
            if doublings == 0 { odd_part(&p) } else { p }
        };
        let (polynomial, reached) = (8..256)
            .map(interpolate)
            .map(|p| (error(&p), p))
            .map(|(e, p)| (p, e))
            .find(|&(_, e)| e <= log_error)
            .ok_or(Error::Range { what: "log2 of the error of the cosine", value: log_error, min: -45.0, max: 0.0 })?;
        let cosine = PolynomialPlan::new(params, polynomial, level)?;
        if ![1, 3, 5, 7].contains(&arcsine) {
            return Err(Error::Range { what: "degree of the arcsine", value: arcsine as f64, min: 1.0, max: 7.0 });
        }
        let after = level.checked_sub(cosine.depth() + doublings as usize);
        let after = after.ok_or(Error::NoLevelsLeft {
            operation: "the reduction modulo 1",
            needed: cosine.depth() + doublings as usize,
            level,
        })?;
        let p = |s: f64| arcsine_value(arcsine, (TAU * range).sin(), s);
        let (arcsine, scale) = if arcsine == 1 {
            // Degree 1 is only a factor, which is applied to the scale.
            (None, scale * p(1.0))
        } else {
            let p = odd_part(&Chebyshev::interpolate(p, arcsine, [-1.0, 1.0]));
            (Some(PolynomialPlan::new(params, p, after)?), scale)
        };
        Ok(Self { cosine, doublings: doublings as usize, arcsine, scale, log_error: reached })
    }

    /// Returns log2 of the largest error of the cosine's polynomial.
    #[must_use]
    pub const fn log_error(&self) -> f64 {
        self.log_error
    }

    /// The degree of the cosine's polynomial.
    #[must_use]
    pub fn degree(&self) -> usize {
        self.cosine.polynomial().degree()
    }

    /// The number of levels that the reduction consumes.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.cosine.depth() + self.doublings + self.arcsine.as_ref().map_or(0, PolynomialPlan::depth)
    }

    fn doubling_levels(&self) -> impl Iterator<Item = usize> {
        let first = self.cosine.level() - self.cosine.depth();
        (0..self.doublings).map(move |i| first - i)
    }

    /// Returns the scale of the cosine, then that of each doubled angle, for a result at `scale`.
    fn scales(&self, params: &Parameters, scale: f64) -> Vec<f64> {
        // The scales are computed from the end: c² at level l has the scale S²,
        // and S²/q_l after rescaling. The arcsine accepts any scale.
        // It gets the one with which its square has the nominal scale;
        // that scale differs from the nominal one of its level where larger primes begin.
        let squared = |l: usize| (params.scale(l - 1) * params.q(l).as_f64()).sqrt();
        let last = self.arcsine.as_ref().map_or(scale, |plan| squared(plan.level()));
        let mut levels: Vec<usize> = self.doubling_levels().collect();
        levels.reverse();
        let before = |scale: &mut f64, l: usize| {
            *scale = (*scale * params.q(l).as_f64()).sqrt();
            Some(*scale)
        };
        let mut scales: Vec<f64> = std::iter::once(last).chain(levels.into_iter().scan(last, before)).collect();
        scales.reverse();
        scales
    }

    /// The keys that the reduction needs.
    #[must_use]
    pub fn requests(&self) -> KeyRequests {
        let mut requests = self.doubling_levels().fold(self.cosine.requests(), KeyRequests::relinearisation);
        self.arcsine.iter().for_each(|plan| requests.extend(&plan.requests()));
        requests
    }

    /// The cost of the reduction.
    #[must_use]
    pub fn cost(&self, params: &Parameters) -> Cost {
        let doublings = self.doubling_levels().fold(Cost::default(), |sum, l| sum + Cost::mul_rescale(params, l));
        self.cosine.cost(params)
            + doublings
            + self.arcsine.as_ref().map_or_else(Cost::default, |plan| plan.cost(params))
    }
}

impl Evaluator {
    /// Returns 2πx for slots t/K (see [`Mod1Plan`]).
    /// The result has the plan's scale times `factor`.
    ///
    /// # Errors
    /// Those of [`Evaluator::polynomial`].
    pub fn mod1(&self, a: &Ciphertext, plan: &Mod1Plan, factor: f64) -> Result<Ciphertext> {
        let scales = plan.scales(self.params(), plan.scale * factor);
        let mut c = self.polynomial(a, &plan.cosine, scales[0])?;
        for &scale in &scales[1..] {
            let at = (c.level(), c.scale * c.scale);
            let doubled = self.combination(c.generation, at, (2, &[(&c, &c)]), &[], -1.0)?;
            c = self.relinearise_rescale_combination(&doubled)?;
            c.set_scale(scale)?;
        }
        match &plan.arcsine {
            Some(arcsine) => self.polynomial(&c, arcsine, plan.scale * factor),
            None => Ok(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        // Chernoff's bounds were computed independently, in double precision by a search over θ.
        for (k, wanted) in [(8.0, -17.187), (12.0, -46.280), (14.0, -74.233), (15.0, -98.552), (16.0, -150.856)] {
            assert!((log_failure(32, k) - wanted).abs() < 0.01, "{k}: {}", log_failure(32, k));
        }
        assert_eq!(log_failure(32, 16.5), f64::NEG_INFINITY);
        assert_eq!((bound(32, 1 << 16, -64.0), bound(32, 1 << 16, -40.0), bound(32, 1 << 16, -1000.0)), (15, 13, 17));
    }

    /// The error of the arcsine's polynomials has the size of the first omitted term,
    /// divided by 2^{d+1}, and alternates d + 2 times. With u = 0 it is the error of the series.
    #[test]
    fn arcsines() {
        let u = 0.05f64;
        for (degree, next) in [(1usize, 1.0 / 6.0), (3, 3.0 / 40.0), (5, 5.0 / 112.0)] {
            let errors: Vec<f64> = (-1000..=1000)
                .map(|i| u * f64::from(i) / 1000.0)
                .map(|s| arcsine_value(degree, u, s) - s.asin())
                .collect();
            let worst = errors.iter().fold(0.0f64, |max, e| max.max(e.abs()));
            let wanted = next * u.powi(degree as i32 + 2) / f64::from(2 << degree);
            // The next term is not reduced by 2^{d+1}.
            let others = 1.0 + u * u * f64::from(2 << degree);
            assert!((0.999..others).contains(&(worst / wanted)), "degree {degree}: {worst:e}, not {wanted:e}");
            let large: Vec<bool> = errors.iter().filter(|e| e.abs() > 0.75 * worst).map(|&e| e > 0.0).collect();
            assert_eq!(large.windows(2).filter(|w| w[0] != w[1]).count(), degree + 2);
            assert!(
                (arcsine_value(degree, 0.0, u) - u.asin() + next * u.powi(degree as i32 + 2)).abs()
                    < 0.01 * worst * f64::from(2 << degree)
            );
        }
        assert!((arcsine_value(7, u, u) - u.asin()).abs() < 1e-15);
    }
}
