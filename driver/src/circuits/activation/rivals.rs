//! Softmaxes to compare with, from three other works on encrypted networks.
//!
//! | variant | formula | defined for | levels |
//! |---|---|---|---|
//! | [`Hong`] | e^x ≈ ((x + 16)/32)^16 up to a factor, Goldschmidt's inverse | R ≤ 26 | 36 |
//! | [`PrivGd`] | ∏_(j≠i) σ(x_i − x_j) with σ of degree 3 | R ≤ 4 | 5 – 7 |
//! | [`Gumbel`] | softmax of x/4: an exponential of degree 12, squared six times, Goldschmidt's inverse | R ≤ 39 | 20 |
//!
//! **Sources.** The formulas, and every constant in them, are those that the authors of HETAL
//! (the paper) compare with: the script `src/benchmark/softmax.py` of CryptoLabInc/HETAL.
//! The texts of the three papers could not be read. So nothing here is known to be
//! the recommendation of those papers themselves, or to be the best choice for a range. As in that
//! script, errors are measured against softmax of x, although [`Gumbel`] approximates that of x/4.
//! Three things are done differently, and none of them changes any of the digits shown:
//! constant factors of Goldschmidt's inverse are moved into the exponential before it;
//! the quotient is updated instead of the inverse, which would be up to 2^27;
//! and the exponential of degree 12 is the best approximation.
//!
//! **Limits.** A range is refused where the exponential of a single class leaves the interval
//! on which the inverse converges, or where a difference leaves the interval that σ was made for.
//! [`PrivGd`] takes cyclic layouts only. On ciphertexts, the sums of [`Hong`]
//! are as small as 2^−37 at R = 8 and vanish in the error of a bootstrapping (about 2^−20):
//! |1 − s| is then above 1 in places and is squared thirty times,
//! so that the result is astronomically large. The other two are as inexact as on numbers.

use super::softmax::check_classes;
use super::{Layout, Softmax, Vectors};
use crate::base::error::{Error, Result, check_integer, check_range};
use crate::circuits::Chebyshev;
use crate::circuits::polynomial::minimax::exponential;

/// Refuses fewer than two or more than 16 classes, and ranges beyond `most`.
fn check(classes: usize, range: f64, most: f64) -> Result<()> {
    check_integer("classes", classes, 2, 16)?;
    check_range("range", range, 0.1, most)
}

/// Returns e/Σ e by Goldschmidt's division, for sums s below 2.
/// With t = 1 − s, it computes e·(1 + t)·∏ (1 + t^(2^i)), i = 1 … `iterations`.
/// No e is above `bound`, and e is zero in the padding.
fn divided<E: Vectors>(vectors: &E, mut e: E::Vector, bound: f64, iterations: usize) -> Result<E::Vector> {
    let layout = *vectors.layout();
    let constant = |c: f64| vec![c; layout.slots()];
    vectors.checkpoint(&mut [(&mut e, bound)])?;
    let sum = vectors.row_sum(&e)?;
    // In padded rows the sum is set to 1, so that t is 0 there.
    let sum = vectors.add_slots(&sum, &layout.padded_rows(1.0))?;
    // This is −t, which has the same square as t.
    let mut t = vectors.add_slots(&sum, &constant(-1.0))?;
    vectors.checkpoint(&mut [(&mut e, bound), (&mut t, 1.0)])?;
    let mut quotient = vectors.sub(&e, &vectors.mul(&e, &t)?)?;
    for _ in 0..iterations {
        t = vectors.mul(&t, &t)?;
        vectors.checkpoint(&mut [(&mut quotient, 1.0), (&mut t, 1.0)])?;
        quotient = vectors.add(&quotient, &vectors.mul(&quotient, &t)?)?;
    }
    Ok(quotient)
}

/// Squares v repeatedly. Before the first square, no v is above `bound` in magnitude.
fn squared<E: Vectors>(vectors: &E, mut v: E::Vector, mut bound: f64, times: usize) -> Result<E::Vector> {
    for _ in 0..times {
        vectors.checkpoint(&mut [(&mut v, bound)])?;
        v = vectors.mul(&v, &v)?;
        bound *= bound;
    }
    Ok(v)
}

/// Returns x/`width`, with zeros in the padding.
fn scaled<E: Vectors>(vectors: &E, x: &mut E::Vector, range: f64, width: f64) -> Result<E::Vector> {
    vectors.checkpoint(&mut [(&mut *x, range)])?;
    vectors.mul_slots(x, &vectors.layout().fill(|_, _| 1.0 / width, 0.0))
}

/// The softmax of Hong, Park, Choi, Choe and Cheon ([BMC Genomics 2022](https://doi.org/10.1186/s12864-022-08469-w)).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hong {
    classes: usize,
    range: f64,
}

impl Hong {
    /// The number r of squarings in e^x ≈ (1 + x/2^r)^(2^r).
    const SQUARINGS: usize = 4;
    /// The divisor L of x + 2^r.
    const WIDTH: f64 = 32.0;
    /// The divisor of sums.
    const SUM: f64 = 80.0;
    /// The number of factors of the inverse.
    const ITERATIONS: usize = 30;

    /// Creates the variant for logits in [−R, R].
    ///
    /// # Errors
    /// [`Error::Range`] for fewer than two or more than 16 classes, or a range outside [0.1, 26].
    pub fn new(classes: usize, range: f64) -> Result<Self> {
        // The 16th power of (16 + R)/32 reaches 160 a little above R = 27.
        check(classes, range, 26.0)?;
        Ok(Self { classes, range })
    }

    /// Returns 2^r.
    fn power() -> f64 {
        f64::from(1u32 << Self::SQUARINGS)
    }
}

impl Softmax for Hong {
    fn name(&self) -> String {
        "Hong et al.".to_owned()
    }

    fn run<E: Vectors>(&self, vectors: &E, mut x: E::Vector) -> Result<E::Vector> {
        check_classes(vectors, self.classes)?;
        let width = Self::WIDTH * Self::SUM.powf(1.0 / Self::power());
        let scaled = scaled(vectors, &mut x, self.range, width)?;
        let shifted = vectors.add_slots(&scaled, &vectors.layout().fill(|_, _| Self::power() / width, 0.0))?;
        let bound = (Self::power() + self.range) / width;
        let e = squared(vectors, shifted, bound, Self::SQUARINGS)?;
        divided(vectors, e, bound.powf(Self::power()), Self::ITERATIONS)
    }
}

/// PrivGD's softmax (Jin, Ragab and Aung, [ProvSec 2020](https://doi.org/10.1007/978-3-030-62576-4_14)): a product of sigmoids of differences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrivGd {
    classes: usize,
    range: f64,
}

impl PrivGd {
    /// The coefficients of x and x³ of the sigmoid.
    /// They are about the best in mean square on [−8, 8].
    const SIGMOID: [f64; 2] = [0.15012, -0.00156];
    /// The largest difference.
    const DIFFERENCE: f64 = 8.0;

    /// Creates the variant for logits in [−R, R].
    ///
    /// # Errors
    /// [`Error::Range`] for fewer than two or more than 16 classes, or a range outside [0.1, 4].
    pub fn new(classes: usize, range: f64) -> Result<Self> {
        check(classes, range, Self::DIFFERENCE / 2.0)?;
        Ok(Self { classes, range })
    }

    /// Returns the sigmoid of 8w, where w is a difference divided by the largest one.
    fn sigmoid() -> Chebyshev {
        let [first, third] = Self::SIGMOID;
        let sigmoid = |w: f64| {
            let x = Self::DIFFERENCE * w;
            0.5 + first * x + third * x.powi(3)
        };
        Chebyshev::interpolate(sigmoid, 3, [-1.0, 1.0])
    }

    /// Returns σ(x_i − x_(i+k)) where both classes exist, 1 where only the first one exists,
    /// and 0 where not even that exists.
    fn factor<E: Vectors>(&self, vectors: &E, x: &E::Vector, k: usize) -> Result<E::Vector> {
        let layout = *vectors.layout();
        let both = |class: usize| (class + k) % layout.padded_classes() < layout.classes();
        let choose = |of_both: f64, of_one: f64, of_none: f64| {
            layout.fill(|_, class| if both(class) { of_both } else { of_one }, of_none)
        };
        let difference = vectors.sub(x, &vectors.rotate(x, k as i64)?)?;
        let difference = vectors.mul_slots(&difference, &choose(1.0 / Self::DIFFERENCE, 0.0, 0.0))?;
        let sigmoid = Self::sigmoid();
        let at_zero = sigmoid.evaluate(0.0);
        vectors.add_slots(&vectors.polynomial(&difference, &sigmoid)?, &choose(0.0, 1.0 - at_zero, -at_zero))
    }
}

impl Softmax for PrivGd {
    fn name(&self) -> String {
        "PrivGD".to_owned()
    }

    fn run<E: Vectors>(&self, vectors: &E, mut x: E::Vector) -> Result<E::Vector> {
        check_classes(vectors, self.classes)?;
        if !vectors.layout().is_cyclic() {
            return Err(Error::Unsupported { what: "PrivGD's softmax of a layout that is not cyclic" });
        }
        vectors.checkpoint(&mut [(&mut x, self.range)])?;
        let others = 1..vectors.layout().padded_classes();
        let mut factors: Vec<_> = others.map(|k| self.factor(vectors, &x, k)).collect::<Result<_>>()?;
        while factors.len() > 1 {
            let product = |pair: &[E::Vector]| match pair {
                [a, b] => vectors.mul(a, b),
                one => Ok(one[0].clone()),
            };
            factors = factors.chunks(2).map(product).collect::<Result<_>>()?;
        }
        Ok(factors.remove(0))
    }
}

/// The Gumbel softmax of Lee et al.
/// ([IEEE Access 2022](https://doi.org/10.1109/ACCESS.2022.3159694)),
/// which is the softmax of x/λ with λ = 4.
#[derive(Clone, Debug, PartialEq)]
pub struct Gumbel {
    classes: usize,
    range: f64,
    exponential: Chebyshev,
}

impl Gumbel {
    /// The temperature λ.
    const TEMPERATURE: f64 = 4.0;
    /// The number of squarings after the exponential.
    const SQUARINGS: usize = 6;
    /// The divisor of sums.
    const SUM: f64 = 10_000.0;
    /// The number of factors of the inverse.
    const ITERATIONS: usize = 8;

    /// Creates the variant for logits in [−R, R].
    ///
    /// # Errors
    /// [`Error::Range`] for fewer than two or more than 16 classes, or a range outside [0.1, 39].
    pub fn new(classes: usize, range: f64) -> Result<Self> {
        // e^(R/4) reaches 20000 a little above R = 39.
        check(classes, range, 39.0)?;
        let best = exponential(12, [-1.0, 1.0])?.polynomial;
        let factor = Self::SUM.powf(-1.0 / Self::power());
        let coefficients = best.coefficients().iter().map(|c| c * factor).collect();
        Ok(Self { classes, range, exponential: Chebyshev::new(coefficients, [-1.0, 1.0]) })
    }

    /// The number by which the argument of the exponential is divided.
    fn power() -> f64 {
        f64::from(1u32 << Self::SQUARINGS)
    }

    /// Returns minus the value that padding has after the squarings, to be added there.
    fn of_padding(&self, layout: &Layout) -> Vec<f64> {
        let at_zero = (0..Self::SQUARINGS).fold(self.exponential.evaluate(0.0), |e, _| e * e);
        layout.fill(|_, _| 0.0, -at_zero)
    }
}

impl Softmax for Gumbel {
    fn name(&self) -> String {
        "Gumbel (Lee et al.)".to_owned()
    }

    fn run<E: Vectors>(&self, vectors: &E, mut x: E::Vector) -> Result<E::Vector> {
        check_classes(vectors, self.classes)?;
        let scaled = scaled(vectors, &mut x, self.range, Self::TEMPERATURE * Self::power())?;
        let e = vectors.polynomial(&scaled, &self.exponential)?;
        let bound = self.exponential.evaluate(self.range / Self::TEMPERATURE / Self::power());
        let e = squared(vectors, e, bound, Self::SQUARINGS)?;
        let e = vectors.add_slots(&e, &self.of_padding(vectors.layout()))?;
        divided(vectors, e, bound.powf(Self::power()), Self::ITERATIONS)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Plain;
    use super::super::plan::depth;
    use super::super::table::errors;
    use super::*;

    /// Returns rows that are spread over [−R, R], with steps that have no common factor
    /// with their number.
    fn rows(classes: usize, range: f64) -> Vec<Vec<f64>> {
        let entry = |i: usize, j: usize| range * ((i * 37 + j * 101) % 199) as f64 / 99.0 - range;
        (0..50).map(|i| (0..classes).map(|j| entry(i, j)).collect()).collect()
    }

    fn compare(variant: &impl Softmax, classes: usize, range: f64, formula: impl Fn(&[f64]) -> Vec<f64>) {
        let rows = rows(classes, range);
        for (row, found) in rows.iter().zip(Plain::softmax(variant, &rows).expect("rows")) {
            for (found, wanted) in found.iter().zip(formula(row)) {
                assert!((found - wanted).abs() < 1e-6, "{}, {row:?}: {found} {wanted}", variant.name());
            }
        }
    }

    /// Returns e/s with the error of an inverse after all its factors:
    /// 1/s − y = (1 − s)^(2^(n + 1))/s, for s divided by `sum`.
    fn divided_by_sum(e: &[f64], sum: f64, iterations: i32) -> Vec<f64> {
        let s: f64 = e.iter().sum();
        let lost = (1.0 - s / sum).powf(f64::from(iterations + 1).exp2());
        e.iter().map(|e| e / s * (1.0 - lost)).collect()
    }

    #[test]
    fn formulas() {
        for classes in [2, 3, 5, 7, 8, 10, 16] {
            for range in [2.0, 4.0, 8.0] {
                compare(&Hong::new(classes, range).expect("in range"), classes, range, |row| {
                    let e: Vec<f64> = row.iter().map(|x| ((x + 16.0) / 32.0).powi(16)).collect();
                    divided_by_sum(&e, 80.0, 30)
                });
            }
            for range in [4.0, 8.0, 16.0] {
                compare(&Gumbel::new(classes, range).expect("in range"), classes, range, |row| {
                    let e: Vec<f64> = row.iter().map(|x| (x / 4.0).exp()).collect();
                    divided_by_sum(&e, 10_000.0, 8)
                });
            }
            compare(&PrivGd::new(classes, 4.0).expect("in range"), classes, 4.0, |row| {
                let sigmoid = |x: f64| 0.5 + 0.15012 * x - 0.00156 * x.powi(3);
                let others = |i: usize| (0..row.len()).filter(move |&j| j != i);
                (0..row.len()).map(|i| others(i).map(|j| sigmoid(row[i] - row[j])).product()).collect()
            });
        }
    }

    /// The largest and the mean errors are compared with those of an independent simulation
    /// of the same formulas. Maxima over fewer samples are smaller, while means are the same.
    #[test]
    fn errors_are_those_of_the_comparison() {
        for (classes, hong, privgd, gumbel) in [
            (3, [0.074, 0.016], [0.17, 0.091], [0.92, 0.70]),
            (5, [0.086, 0.024], [0.31, 0.115], [0.91, 0.58]),
            (7, [0.080, 0.030], [0.46, 0.130], [0.90, 0.49]),
            (10, [0.083, 0.034], [0.66, 0.150], [0.87, 0.40]),
        ] {
            let near = |[largest, mean]: [f64; 2], wanted: [f64; 2]| {
                assert!(largest < wanted[0] + 0.01, "{classes}: {largest} {wanted:?}");
                assert!((mean / wanted[1] - 1.0).abs() < 0.05, "{classes}: {mean} {wanted:?}");
            };
            let (samples, range) = (4000, 4.0);
            let found = errors(&Hong::new(classes, range).expect("in range"), classes, range, samples, 3);
            near(found.expect("rows"), hong);
            let found = errors(&PrivGd::new(classes, range).expect("in range"), classes, range, samples, 3);
            near(found.expect("rows"), privgd);
            let found = errors(&Gumbel::new(classes, range).expect("in range"), classes, range, samples, 3);
            near(found.expect("rows"), gumbel);
        }
    }

    #[test]
    fn depths_and_padding() {
        for (classes, levels) in [(2, 3), (3, 5), (5, 6), (7, 6), (10, 7)] {
            let layout = Layout::strided(64, 3, classes).expect("fits");
            assert_eq!(depth(&PrivGd::new(classes, 4.0).expect("in range"), layout).expect("classes"), levels);
            assert_eq!(depth(&Hong::new(classes, 8.0).expect("in range"), layout).expect("classes"), 36);
            assert_eq!(depth(&Gumbel::new(classes, 8.0).expect("in range"), layout).expect("classes"), 20);
        }
        let layout = Layout::strided(64, 3, 3).expect("fits");
        let padding = layout.fill(|_, _| 0.0, 1.0);
        let x = layout.fill(|row, class| (row + class) as f64 / 4.0, 3.5);
        let zero = |out: Vec<f64>| assert!(out.iter().zip(&padding).all(|(x, p)| x * p == 0.0));
        let plain = Plain::new(layout);
        zero(PrivGd::new(3, 4.0).expect("in range").run(&plain, x.clone()).expect("runs"));
        zero(Hong::new(3, 4.0).expect("in range").run(&plain, x.clone()).expect("runs"));
        zero(Gumbel::new(3, 4.0).expect("in range").run(&plain, x).expect("runs"));
    }

    #[test]
    fn refusals() {
        assert!(matches!(Hong::new(3, 32.0), Err(Error::Range { .. })));
        assert!(matches!(Hong::new(17, 4.0), Err(Error::Range { .. })));
        assert!(matches!(PrivGd::new(3, 8.0), Err(Error::Range { .. })));
        assert!(matches!(Gumbel::new(1, 4.0), Err(Error::Range { .. })));
        assert!(matches!(Gumbel::new(3, 128.0), Err(Error::Range { .. })));
        let rows = Layout::new(64, 3, 3, 1).expect("fits");
        let refused = depth(&PrivGd::new(3, 4.0).expect("in range"), rows).unwrap_err();
        assert!(matches!(refused, Error::Unsupported { .. }), "{refused}");
        // With three classes at the top of the range, each alone would do, but their sum does not.
        let tops = Plain::softmax(&Gumbel::new(3, 38.0).expect("in range"), &[vec![38.0; 3]]);
        assert!(matches!(tops, Err(Error::Range { .. })));
    }
}
