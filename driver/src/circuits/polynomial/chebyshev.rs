//! Polynomials in the Chebyshev basis: T_0 = 1, T_1 = x, T_{a+b} = 2·T_a·T_b − T_{|a−b|}.
//!
//! On [−1, 1] every T_i is bounded by 1, so the coefficients of a function decay instead of
//! growing, and evaluation is stable (Trefethen, *Approximation Theory and Approximation Practice*,
//! Chapters 3 and 4).

use std::f64::consts::PI;

/// The polynomial p(x) = Σ c_i·T_i(t) on an interval [a, b], where t = (2x − a − b)/(b − a).
#[derive(Clone, Debug, PartialEq)]
pub struct Chebyshev {
    coefficients: Vec<f64>,
    interval: [f64; 2],
}

impl Chebyshev {
    /// Creates a polynomial from its coefficients, that of T_0 first. Zeros at the end are dropped.
    ///
    /// # Panics
    /// If a number is not finite or the interval is empty.
    #[must_use]
    pub fn new(mut coefficients: Vec<f64>, interval: [f64; 2]) -> Self {
        assert!(coefficients.iter().chain(&interval).all(|x| x.is_finite()), "coefficients or interval not finite");
        assert!(interval[0] < interval[1], "the interval [{}, {}] is empty", interval[0], interval[1]);
        while coefficients.len() > 1 && coefficients.last() == Some(&0.0) {
            coefficients.pop();
        }
        if coefficients.is_empty() {
            coefficients.push(0.0);
        }
        Self { coefficients, interval }
    }

    /// Returns the polynomial of this degree d that agrees with f at the d + 1 Chebyshev nodes.
    /// For a function that is analytic near the interval,
    /// its error is close to the smallest possible one.
    ///
    /// # Panics
    /// If f is not finite at a node or the interval is empty.
    #[must_use]
    pub fn interpolate(f: impl Fn(f64) -> f64, degree: usize, interval: [f64; 2]) -> Self {
        let [a, b] = interval;
        let n = degree + 1;
        // Returns cos(kπ/2n), computed from the reduced argument.
        let cos = |k: usize| (PI * (k % (4 * n)) as f64 / (2 * n) as f64).cos();
        let values: Vec<f64> = (0..n).map(|j| f(f64::midpoint(a, b) + (b - a) / 2.0 * cos(2 * j + 1))).collect();
        let coefficient = |i: usize| {
            let sum: f64 = values.iter().enumerate().map(|(j, y)| y * cos(i * (2 * j + 1))).sum();
            sum * if i == 0 { 1.0 } else { 2.0 } / n as f64
        };
        Self::new((0..n).map(coefficient).collect(), interval)
    }

    /// The coefficients c_0 … c_d.
    #[must_use]
    pub fn coefficients(&self) -> &[f64] {
        &self.coefficients
    }

    /// The interval [a, b].
    #[must_use]
    pub const fn interval(&self) -> [f64; 2] {
        self.interval
    }

    /// The degree d.
    #[must_use]
    pub fn degree(&self) -> usize {
        self.coefficients.len() - 1
    }

    /// Evaluates p(x) in the clear, by Clenshaw's recurrence.
    #[must_use]
    pub fn evaluate(&self, x: f64) -> f64 {
        let [a, b] = self.interval;
        let t = (2.0 * x - a - b) / (b - a);
        let (mut y, mut last) = (0.0, 0.0);
        for &c in self.coefficients[1..].iter().rev() {
            (y, last) = (c + 2.0 * t * y - last, y);
        }
        self.coefficients[0] + t * y - last
    }
}

/// Returns q and r with p = q·T_m + r and deg r < m, for deg p < 2m.
/// They follow from the identity 2·T_i·T_m = T_{i+m} + T_{m−i}.
pub(super) fn divide(p: &[f64], m: usize) -> (Vec<f64>, Vec<f64>) {
    debug_assert!(m < p.len() && p.len() <= 2 * m);
    let mut r = p[..m].to_vec();
    let mut q = vec![0.0; p.len() - m];
    q[0] = p[m];
    for i in 1..q.len() {
        q[i] = 2.0 * p[m + i];
        r[m - i] -= p[m + i];
    }
    (q, r)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolates_and_evaluates() {
        let p = Chebyshev::interpolate(f64::exp, 20, [-1.0, 3.0]);
        for i in 0..=100 {
            let x = -1.0 + 0.04 * f64::from(i);
            assert!((p.evaluate(x) - x.exp()).abs() < 1e-12, "{x}");
        }
        // T_3(t) = 4t³ − 3t.
        let t3 = Chebyshev::new(vec![0.0, 0.0, 0.0, 1.0, 0.0], [-1.0, 1.0]);
        assert_eq!((t3.degree(), t3.evaluate(0.5)), (3, -1.0));
    }

    #[test]
    fn divides() {
        let p: Vec<f64> = (0..16).map(|i| f64::from(i * i % 7) - 2.5).collect();
        let (q, r) = divide(&p, 8);
        let at = |c: &[f64], x: f64| Chebyshev::new(c.to_vec(), [-1.0, 1.0]).evaluate(x);
        for i in 0..=20 {
            let x = -1.0 + 0.1 * f64::from(i);
            let t8 = (8.0 * x.acos()).cos();
            assert!((at(&q, x) * t8 + at(&r, x) - at(&p, x)).abs() < 1e-12, "{x}");
        }
    }
}
