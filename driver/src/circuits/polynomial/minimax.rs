//! Polynomials with the smallest possible largest error, computed with the Remez exchange algorithm
//! (Trefethen, *Approximation Theory and Approximation Practice*, Chapter 10;
//! Pachón and Trefethen, [BIT 2009](https://doi.org/10.1007/s10543-009-0240-1)).
//!
//! Let e = w·(f − p) be the error of a polynomial p of degree d, with a weight w > 0.
//! By Chebyshev's theorem, p is the best approximation of f exactly if e takes its
//! largest magnitude with alternating signs at d + 2 points. Each round starts from d + 2 points,
//! solves for p and E with e = ±E at these points, and takes the extrema of e as the next points.
//! By de la Vallée-Poussin, the best error lies between the smallest and the largest of these
//! extrema, which tells when to stop.

use crate::base::error::{Error, Result};
use crate::circuits::Chebyshev;

/// A polynomial and its largest weighted error.
#[derive(Clone, Debug, PartialEq)]
pub struct Minimax {
    /// The polynomial.
    pub polynomial: Chebyshev,
    /// The largest |w·(f − p)| on the interval.
    pub error: f64,
}

/// The relative difference within which extrema count as equal.
const TOLERANCE: f64 = 1e-6;
/// The maximal number of rounds. The exchange converges quadratically:
/// it either ends after a handful of rounds or not at all.
const ROUNDS: usize = 60;
/// The relative error that rounding may cause in a value of a polynomial.
const ROUNDING: f64 = 32.0 * f64::EPSILON;
/// The number of points in the search for extrema, for each extremum.
const GRID: usize = 24;

/// Returns the best approximation of f by a polynomial of this degree, with the weight w.
///
/// # Errors
/// [`Error::Range`] if the exchange does not end, which happens if f is not continuous.
/// Where the best error is close to the rounding errors (10⁻¹⁴ times the largest f and the largest
/// w), any polynomial that is about as good is returned.
pub fn remez(f: impl Fn(f64) -> f64, weight: impl Fn(f64) -> f64, degree: usize, [a, b]: [f64; 2]) -> Result<Minimax> {
    let x = |theta: f64| f64::midpoint(a, b) - (b - a) / 2.0 * theta.cos();
    let count = degree + 2;
    // Starts with the extrema of T_(d+1), which are nearly right for analytic functions.
    let mut angles: Vec<f64> = (0..count).map(|j| std::f64::consts::PI * j as f64 / (count - 1) as f64).collect();
    let largest = |g: &dyn Fn(f64) -> f64| angles.iter().map(|&theta| g(x(theta)).abs()).fold(0.0, f64::max);
    // The part of the error that is due to rounding in p,
    // whose coefficients are about as large as f.
    let rounding = ROUNDING * largest(&f) * largest(&weight);
    for _ in 0..ROUNDS {
        let polynomial = levelled(&f, &weight, &angles, [a, b]);
        let error = |theta: f64| weight(x(theta)) * (f(x(theta)) - polynomial.evaluate(x(theta)));
        let Some(next) = extrema(error, &angles, rounding) else {
            // Only rounding errors are left.
            return Ok(Minimax { polynomial, error: rounding });
        };
        if next.len() < count {
            break;
        }
        let sizes = || next.iter().map(|&theta| error(theta).abs());
        let (low, high) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
        if high - low <= TOLERANCE * high + rounding {
            return Ok(Minimax { polynomial, error: high });
        }
        angles = next;
    }
    Err(Error::Range { what: "degree of a best approximation", value: degree as f64, min: 0.0, max: 63.0 })
}

/// Returns the p with e = ±E at these points.
fn levelled(f: impl Fn(f64) -> f64, weight: impl Fn(f64) -> f64, angles: &[f64], [a, b]: [f64; 2]) -> Chebyshev {
    let n = angles.len();
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(n);
    for (j, &theta) in angles.iter().enumerate() {
        let x = f64::midpoint(a, b) - (b - a) / 2.0 * theta.cos();
        // A row has the values T_i(−cos θ) = (−1)^i·cos iθ, then the factor of E with its sign,
        // then the right-hand side.
        let mut row: Vec<f64> = (0..n - 1).map(|i| sign(i) * (i as f64 * theta).cos()).collect();
        row.extend([sign(j) / weight(x), f(x)]);
        rows.push(row);
    }
    let mut coefficients = solve(rows);
    coefficients.pop();
    Chebyshev::new(coefficients, [a, b])
}

const fn sign(i: usize) -> f64 {
    if i.is_multiple_of(2) { 1.0 } else { -1.0 }
}

/// Solves a regular system by elimination with row pivoting.
/// The last column is the right-hand side.
fn solve(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let n = rows.len();
    for i in 0..n {
        let pivot = (i..n).max_by(|&a, &b| rows[a][i].abs().total_cmp(&rows[b][i].abs())).expect("not empty");
        rows.swap(i, pivot);
        let (head, tail) = rows.split_at_mut(i + 1);
        for row in tail {
            let factor = row[i] / head[i][i];
            row.iter_mut().zip(&head[i]).skip(i).for_each(|(x, y)| *x -= factor * y);
        }
    }
    let mut x = vec![0.0; n];
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|j| rows[i][j] * x[j]).sum();
        x[i] = (rows[i][n] - known) / rows[i][i];
    }
    x
}

/// Returns as many angles from 0 to π as the last reference has,
/// at which e is extremal with alternating signs. There are fewer if e has fewer such extrema,
/// and `None` is returned if e is nowhere larger than `rounding`.
fn extrema(e: impl Fn(f64) -> f64, reference: &[f64], rounding: f64) -> Option<Vec<f64>> {
    let count = reference.len();
    let steps = GRID * count;
    let step = std::f64::consts::PI / steps as f64;
    // The signs of e alternate at the points of the last reference.
    // With these points included, no run of one sign is missed, however short it is.
    let mut angles: Vec<f64> = (0..=steps).map(|i| i as f64 * step).chain(reference.iter().copied()).collect();
    angles.sort_by(f64::total_cmp);
    // Keeps the largest value of each run of one sign.
    let mut found: Vec<(f64, f64)> = Vec::new();
    for (theta, y) in angles.into_iter().map(|theta| (theta, e(theta))) {
        match found.last_mut() {
            Some(last) if (last.1 > 0.0) == (y > 0.0) => {
                if y.abs() > last.1.abs() {
                    *last = (theta, y);
                }
            }
            _ => found.push((theta, y)),
        }
    }
    if found.iter().all(|(_, y)| y.abs() <= rounding) {
        return None;
    }
    while found.len() > count {
        // Surplus extrema are removed from the ends, so that the signs still alternate.
        let drop_first = found[0].1.abs() < found[found.len() - 1].1.abs();
        found.remove(if drop_first { 0 } else { found.len() - 1 });
    }
    Some(found.into_iter().map(|(theta, _)| refined(&e, theta, step)).collect())
}

/// Returns the extremum of e near an angle, found by golden-section search.
fn refined(e: impl Fn(f64) -> f64, theta: f64, step: f64) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let (mut low, mut high) = ((theta - step).max(0.0), (theta + step).min(std::f64::consts::PI));
    let inner = |low: f64, high: f64| [high - GOLDEN * (high - low), low + GOLDEN * (high - low)];
    for _ in 0..32 {
        let [left, right] = inner(low, high);
        if e(left).abs() > e(right).abs() { high = right } else { low = left }
    }
    // An extremum at an end of the interval lies exactly there.
    let middle = f64::midpoint(low, high);
    [0.0, std::f64::consts::PI, middle, theta]
        .into_iter()
        .max_by(|&a, &b| {
            let near = |t: f64| if (t - theta).abs() <= step { e(t).abs() } else { -1.0 };
            near(a).total_cmp(&near(b))
        })
        .expect("not empty")
}

/// Approximates exp on [a, b] with the smallest *relative* error.
///
/// # Errors
/// Those of [`remez`].
pub fn exponential(degree: usize, interval: [f64; 2]) -> Result<Minimax> {
    remez(f64::exp, |x| (-x).exp(), degree, interval)
}

/// Approximates 1/x on [a, b], a > 0, with the smallest relative error.
/// The error is 1/T_{d+1}((b + a)/(b − a)): 1 − x·p(x) is T_{d+1} of the mapped x,
/// divided by its value at x = 0.
///
/// # Errors
/// Those of [`remez`]; [`Error::Range`] if a is not positive.
pub fn inverse(degree: usize, interval: [f64; 2]) -> Result<Minimax> {
    if interval[0] <= 0.0 {
        return Err(Error::Range {
            what: "start of an interval",
            value: interval[0],
            min: f64::MIN_POSITIVE,
            max: f64::MAX,
        });
    }
    remez(|x| 1.0 / x, |x| x, degree, interval)
}

/// The relative error of the best polynomial for 1/x on an interval, in closed form.
#[must_use]
pub fn inverse_error(degree: usize, [a, b]: [f64; 2]) -> f64 {
    1.0 / ((degree + 1) as f64 * ((b + a) / (b - a)).acosh()).cosh()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn largest(e: impl Fn(f64) -> f64, [a, b]: [f64; 2]) -> f64 {
        (0..=20_000).map(|i| e(a + (b - a) * f64::from(i) / 20_000.0).abs()).fold(0.0, f64::max)
    }

    /// The best constant for e^x has the error (e² − 1)/2e = sinh 1 and the best line 0.2788….
    /// Both were derived by hand: the line has the slope sinh 1 and touches at ln sinh 1.
    #[test]
    fn known_errors() {
        let best = |d| remez(f64::exp, |_| 1.0, d, [-1.0, 1.0]).expect("converges");
        let (s, c) = (1f64.sinh(), 1f64.cosh());
        assert!((best(0).error - s).abs() < 1e-5);
        let line = (c - s * (1.0 - s.ln())) / 2.0;
        assert!((best(1).error - line).abs() < 1e-5 && (line - 0.2788).abs() < 1e-4, "{} {line}", best(1).error);
        // The best error for x^{d+1} by degree d is 2^−d.
        // That for |x| by degree 2 is 1/8, reached by x² + 1/8.
        for d in 1..12 {
            let monomial = remez(|x| x.powi(d + 1), |_| 1.0, d as usize, [-1.0, 1.0]).expect("converges");
            assert!((monomial.error * f64::from(d).exp2() - 1.0).abs() < 1e-5, "{d}");
        }
        for (d, to) in [(3, 10.0), (7, 10.0), (7, 55.0), (15, 14.0), (31, 200.0)] {
            let found = inverse(d, [1.0, to]).expect("converges").error;
            let wanted = inverse_error(d, [1.0, to]);
            assert!((found / wanted - 1.0).abs() < 1e-3, "{d} {to}: {found} {wanted}");
        }
    }

    #[test]
    fn equioscillates_and_beats_interpolation() {
        for (degree, interval) in [(3, [-1.0, 1.0]), (7, [-2.0, 2.0]), (7, [-4.0, 0.0]), (15, [-8.0, 8.0])] {
            let best = exponential(degree, interval).expect("converges");
            let e = |p: &Chebyshev, x: f64| 1.0 - p.evaluate(x) * (-x).exp();
            let error = largest(|x| e(&best.polynomial, x), interval);
            assert!(error <= best.error * (1.0 + 1e-5), "{degree}: {error} {}", best.error);
            assert!(error < largest(|x| e(&Chebyshev::interpolate(f64::exp, degree, interval), x), interval));
            // There are d + 2 extrema of nearly this size, with alternating signs.
            let (mut signs, mut last) = (0, 0.0);
            for i in 0..=20_000 {
                let y = e(&best.polynomial, interval[0] + (interval[1] - interval[0]) * f64::from(i) / 20_000.0);
                if y.abs() > 0.99 * best.error && y.signum() != last {
                    (signs, last) = (signs + 1, y.signum());
                }
            }
            assert_eq!(signs, degree + 2);
        }
        assert!(inverse(3, [0.0, 1.0]).is_err());
    }
}
