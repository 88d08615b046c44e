//! The noise of a ciphertext, predicted slot by slot, and operations on ciphertexts together with
//! their plain twins.
//!
//! Errors are measured in the slots of the canonical embedding, all N/2 of them, as the decoded
//! value less the exact one. A polynomial with independent coefficients of variance v has in every
//! slot an error of variance N·v. Half of it is in the real part and half in the imaginary part,
//! and the two are uncorrelated, because Σ_k ζ^(2jk) = 0 for every primitive root. By the central
//! limit theorem the error is a circular complex Gaussian. Two numbers describe the error of a
//! slot:
//!
//! * `std`, a standard deviation: the error is a sum Σ (α·E_s + β·conj E_s) over circular Gaussians
//!   E_s from independent sources s. `std` is at least √(Σ (|α| + |β|)²·σ_s²), so that the variance
//!   in any direction of the plane is at most std²/2 and P(|error| > t·std) ≤ exp(−t²). For a sum
//!   of two errors that have no source in common, variances are added; otherwise standard
//!   deviations are added (the triangle inequality holds for any correlation).
//! * `bias`, a bound on the errors that are not noise: roundings of constants, second-order terms,
//!   double precision.
//!
//! The sources, in units of integer coefficients, and hence to be divided by the scale:
//!
//! | source | variance in slot j |
//! |---|---|
//! | fresh encryption | N·(σ² + 1/12): a Gaussian of σ = 3.2, rounded |
//! | rounding of an encoding | N/12; counted twice, since for real values it is real, not circular |
//! | division by a prime, or by P | (1 + \|S_j\|²)·N/12 for the two parts of the ciphertext |
//! | switching a key | Σ_d N²·Q_d²/12·(σ² + 1/12)/P² over the digits d, which are uniform modulo Q_d; times [`KEY_TAIL`]² |
//!
//! S_j is slot j of the secret. Its own value is used, since the largest |S_j|² of N/2 slots is far
//! above the mean 2N/3.
//!
//! The products are (m + e)·(m' + e') = m·m' + m·e' + m'·e + e·e'. For the last term only a bound
//! is kept, in `bias`.

use std::collections::BTreeSet;

use hetal::ckks::keys::{EvaluationKey, KeyId};
use hetal::kernel::GaloisElement;
use hetal::kernel::sampler::SIGMA;
use hetal::{Ciphertext, Complex64};
use rand_chacha::ChaCha20Rng;

use super::{Setup, largest, repeated};

/// The variance σ² + 1/12 of a rounded Gaussian.
pub(crate) const FRESH: f64 = SIGMA * SIGMA + 1.0 / 12.0;

/// The factor by which standard deviations of key-switching are enlarged to cover its heavier tail.
/// The error of a key is the same in every switch. Slot j of a switch is a product D·E of two
/// Gaussians, with P(|D·E| > x·σ_D·σ_E) = 2x·K_1(2x) ≈ √(πx)·exp(−2x) (K_1 a Bessel function), not
/// exp(−x²). Where the bound of a Gaussian is t ≈ 6.3, it has to be 20 here for the same
/// probability of 2^−57.
pub(crate) const KEY_TAIL: f64 = 3.2;

/// The error of double precision in the transforms and in the plain twin's operations, relative to
/// the largest value.
const ROUNDING: f64 = 1.0 / (1u64 << 48) as f64;

/// Returns the number of standard deviations that `count` Gaussian errors do not exceed, except
/// with probability 2^−40.
pub(crate) fn deviations(count: usize) -> f64 {
    ((count as f64).ln() + 40.0 * std::f64::consts::LN_2).sqrt()
}

/// A ciphertext with its plain twin and the bounds of their difference, for all N/2 slots.
#[derive(Clone)]
pub(crate) struct Tracked {
    pub(crate) ct: Ciphertext,
    pub(crate) plain: Vec<Complex64>,
    pub(crate) std: Vec<f64>,
    pub(crate) bias: Vec<f64>,
    sources: BTreeSet<u64>,
}

/// The model of a program: it runs operations on the plain twins and predicts the errors.
pub(crate) struct Model<'a> {
    pub(crate) setup: &'a Setup,
    /// The number of standard deviations allowed.
    pub(crate) t: f64,
    sources: u64,
}

fn zip(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect()
}

fn norms(values: &[Complex64]) -> Vec<f64> {
    values.iter().map(|z| z.norm()).collect()
}

impl<'a> Model<'a> {
    /// Returns a model for programs of this many operations.
    pub(crate) fn new(setup: &'a Setup, operations: usize) -> Self {
        Self { setup, t: deviations(setup.params.slots() * operations), sources: 0 }
    }

    fn n(&self) -> f64 {
        self.setup.params.n() as f64
    }

    /// Returns the standard deviation of the rounding of a division, by slot.
    pub(crate) fn rounding(&self, scale: f64) -> Vec<f64> {
        self.setup.secret_slots.iter().map(|s| ((1.0 + s) * self.n() / 12.0).sqrt() / scale).collect()
    }

    /// Returns the standard deviation of a switch at a level, before the rounding.
    pub(crate) fn switching(&self, id: KeyId, level: usize, scale: f64) -> f64 {
        let params = &self.setup.params;
        // A Galois key with the digits of the level is preferred to smaller keys.
        let serves = |key: &&EvaluationKey| key.id() == id && key.level() >= level;
        let other = |key: &&EvaluationKey| {
            id != KeyId::Relinearisation && params.gadget_shape(key.level()) != params.gadget_shape(level)
        };
        let key = self.setup.keys.iter().filter(serves).min_by_key(|key| (other(key), key.level())).expect("a key");
        let shape = params.gadget_shape(key.level());
        let log = |i: usize| params.qp().modulus(i).as_f64().log2();
        let p: f64 = (0..shape.special).map(|i| log(params.max_level() + 1 + i)).sum();
        let variance: f64 = (0..=level)
            .step_by(shape.alpha)
            .map(|from| {
                let digit: f64 = (from..(from + shape.alpha).min(level + 1)).map(log).sum();
                (2.0 * (digit - p)).exp2() * self.n() * self.n() / 12.0 * FRESH
            })
            .sum();
        KEY_TAIL * variance.sqrt() / scale
    }

    /// Returns the standard deviation of the rounding of an encoding.
    pub(crate) fn encoding(&self, scale: f64) -> f64 {
        (2.0 * self.n() / 12.0).sqrt() / scale
    }

    /// Adds an independent error.
    fn noise(&mut self, mut x: Tracked, std: &[f64]) -> Tracked {
        x.std = zip(&x.std, std, f64::hypot);
        x.sources.insert(self.sources);
        self.sources += 1;
        x
    }

    fn uniform_noise(&mut self, x: Tracked, std: f64) -> Tracked {
        let std = vec![std; x.std.len()];
        self.noise(x, &std)
    }

    /// Returns the twin after an operation that adds no noise. `factor` multiplies the error, slot
    /// by slot.
    fn with(&self, ct: Ciphertext, plain: Vec<Complex64>, x: &Tracked, factor: &[f64], bias: &[f64]) -> Tracked {
        let floor = ROUNDING / 4.0 * largest(&plain);
        let bias = zip(&zip(&x.bias, factor, |b, f| b * f), bias, |a, b| a + b + floor);
        Tracked { ct, plain, std: zip(&x.std, factor, |s, f| s * f), bias, sources: x.sources.clone() }
    }

    fn unchanged(&self, ct: Ciphertext, plain: Vec<Complex64>, x: &Tracked) -> Tracked {
        let n = x.std.len();
        self.with(ct, plain, x, &vec![1.0; n], &vec![0.0; n])
    }

    pub(crate) fn fresh(&mut self, values: &[Complex64], level: usize, rng: &mut ChaCha20Rng) -> Tracked {
        let scale = self.setup.params.scale(level);
        let plain = repeated(values, self.setup.params.slots());
        let zeros = vec![0.0; plain.len()];
        let bias = vec![ROUNDING * largest(&plain); plain.len()];
        let ct = self.setup.encrypt(values, level, scale, rng);
        let x = Tracked { ct, plain, std: zeros, bias, sources: BTreeSet::new() };
        let variance = self.n() * FRESH / (scale * scale);
        let std = variance.sqrt().hypot(self.encoding(scale));
        self.uniform_noise(x, std)
    }

    /// Returns the twin of a ± b, of which `ct` is the ciphertext.
    pub(crate) fn sum(&self, ct: Ciphertext, a: &Tracked, b: &Tracked, sign: f64) -> Tracked {
        let plain: Vec<_> = a.plain.iter().zip(&b.plain).map(|(a, b)| a + b * sign).collect();
        let disjoint = a.sources.is_disjoint(&b.sources);
        let std = zip(&a.std, &b.std, |a, b| if disjoint { a.hypot(b) } else { a + b });
        // Scales count as equal up to 2^-40, and b's values are then off by as much.
        let off = (a.ct.scale() / b.ct.scale() - 1.0).abs();
        let floor = ROUNDING / 4.0 * largest(&plain) + off * largest(&b.plain);
        let bias = zip(&a.bias, &b.bias, |a, b| a + b + floor);
        Tracked { ct, plain, std, bias, sources: a.sources.union(&b.sources).copied().collect() }
    }

    /// Returns the twin of a·b, without the errors of switching and rescaling.
    fn product(&self, ct: Ciphertext, a: &Tracked, b: &Tracked) -> Tracked {
        let plain: Vec<_> = a.plain.iter().zip(&b.plain).map(|(a, b)| a * b).collect();
        let (ma, mb) = (norms(&a.plain), norms(&b.plain));
        let (x, y) = (zip(&ma, &b.std, |m, s| m * s), zip(&mb, &a.std, |m, s| m * s));
        let disjoint = a.sources.is_disjoint(&b.sources);
        let std = zip(&x, &y, |x, y| if disjoint { x.hypot(y) } else { x + y });
        let floor = ROUNDING / 4.0 * largest(&a.plain) * largest(&b.plain);
        let bias = (0..plain.len()).map(|j| {
            let second = (self.t * a.std[j] + a.bias[j]) * (self.t * b.std[j] + b.bias[j]);
            ma[j] * b.bias[j] + mb[j] * a.bias[j] + second + floor
        });
        Tracked { ct, bias: bias.collect(), plain, std, sources: a.sources.union(&b.sources).copied().collect() }
    }

    /// Returns the twin of a sum of products. Relinearisation at `level` and rescaling made `ct` of
    /// it, in one division (`merged`) or in two.
    pub(crate) fn mul(
        &mut self,
        ct: Ciphertext,
        pairs: &[(&Tracked, &Tracked)],
        level: usize,
        merged: bool,
    ) -> Tracked {
        let products: Vec<_> = pairs.iter().map(|(a, b)| self.product(ct.clone(), a, b)).collect();
        let (first, rest) = products.split_first().expect("a product");
        let sum = rest.iter().fold(first.clone(), |sum, x| self.sum(ct.clone(), &sum, x, 1.0));
        let scale = ct.scale();
        let before = scale * self.setup.params.q(level).as_f64();
        let switching = self.switching(KeyId::Relinearisation, level, before);
        let mut out = self.uniform_noise(sum, switching);
        if !merged {
            let rounding = self.rounding(before);
            out = self.noise(out, &rounding);
        }
        let rounding = self.rounding(scale);
        self.noise(out, &rounding)
    }

    /// Returns the twin of x after rescaling, of which `ct` is the result.
    pub(crate) fn rescaled(&mut self, ct: Ciphertext, x: &Tracked) -> Tracked {
        let rounding = self.rounding(ct.scale());
        let x = self.unchanged(ct, x.plain.clone(), x);
        self.noise(x, &rounding)
    }

    /// Returns the twin of x times a plaintext of this scale.
    pub(crate) fn mul_plain(&mut self, ct: Ciphertext, x: &Tracked, values: &[Complex64], scale: f64) -> Tracked {
        let plain: Vec<_> = x.plain.iter().zip(values).map(|(a, b)| a * b).collect();
        let (own, encoding, floor) = (norms(&x.plain), self.encoding(scale), ROUNDING * largest(values));
        let off: Vec<_> =
            (0..plain.len()).map(|j| own[j] * floor + (self.t * x.std[j] + x.bias[j]) * self.t * encoding).collect();
        let out = self.with(ct, plain, x, &norms(values), &off);
        let std: Vec<_> = own.iter().map(|m| m * encoding).collect();
        self.noise(out, &std)
    }

    /// Returns the twin of x times a constant of this scale. The constant is off by at most 1/2 in
    /// both parts.
    pub(crate) fn mul_constant(&self, ct: Ciphertext, x: &Tracked, c: Complex64, scale: f64) -> Tracked {
        let plain: Vec<_> = x.plain.iter().map(|z| z * c).collect();
        let off: Vec<_> = norms(&x.plain).iter().map(|m| m * 0.5f64.sqrt() / scale).collect();
        self.with(ct, plain, x, &vec![c.norm(); x.std.len()], &off)
    }

    pub(crate) fn add_plain(&mut self, ct: Ciphertext, x: &Tracked, values: &[Complex64]) -> Tracked {
        let plain = x.plain.iter().zip(values).map(|(a, b)| a + b).collect();
        let off = vec![ROUNDING * largest(values); x.std.len()];
        let encoding = self.encoding(ct.scale());
        let out = self.with(ct, plain, x, &vec![1.0; off.len()], &off);
        self.uniform_noise(out, encoding)
    }

    pub(crate) fn add_constant(&self, ct: Ciphertext, x: &Tracked, c: Complex64) -> Tracked {
        let off = vec![0.5f64.sqrt() / ct.scale(); x.std.len()];
        let plain = x.plain.iter().map(|z| z + c).collect();
        self.with(ct, plain, x, &vec![1.0; off.len()], &off)
    }

    /// Returns the twin of x times a number of magnitude 1, or of x at a lower level: nothing is
    /// rounded.
    pub(crate) fn exact(&self, ct: Ciphertext, x: &Tracked, f: impl Fn(Complex64) -> Complex64) -> Tracked {
        self.unchanged(ct, x.plain.iter().map(|&z| f(z)).collect(), x)
    }

    /// Returns the twin of x adjusted to the level and scale of `ct`: by a product with a constant
    /// near `factor` and a rescaling, or unchanged.
    pub(crate) fn adjusted(&mut self, ct: Ciphertext, x: &Tracked) -> Tracked {
        let (from, to) = (x.ct.scale(), ct.scale());
        if (from / to - 1.0).abs() < 2.0 * hetal::ckks::ciphertext::SCALE_TOLERANCE {
            return self.unchanged(ct, x.plain.clone(), x);
        }
        let factor = to / from * self.setup.params.q(ct.level() + 1).as_f64();
        let off: Vec<_> = norms(&x.plain).iter().map(|m| m * 0.5 / factor).collect();
        let rounding = self.rounding(to);
        let out = self.with(ct, x.plain.clone(), x, &vec![1.0; off.len()], &off);
        self.noise(out, &rounding)
    }

    /// Returns the twin after an automorphism: slots rotated by k, or conjugated for `None`.
    pub(crate) fn automorphism(&mut self, ct: Ciphertext, x: &Tracked, k: Option<i64>) -> Tracked {
        let (slots, log_n) = (x.plain.len(), self.setup.params.log_n());
        let shift = k.unwrap_or(0).rem_euclid(slots as i64) as usize;
        let mut out = x.clone();
        out.ct = ct;
        out.plain.rotate_left(shift);
        out.std.rotate_left(shift);
        out.bias.rotate_left(shift);
        let element = match k {
            Some(k) => GaloisElement::rotation(k, log_n),
            None => GaloisElement::conjugation(log_n),
        };
        if k.is_none() {
            out.plain.iter_mut().for_each(|z| *z = z.conj());
        }
        if element.value() == 1 {
            return out;
        }
        let (level, scale) = (out.ct.level(), out.ct.scale());
        let std = self.switching(KeyId::Galois(element), level, scale);
        let rounding: Vec<_> = self.rounding(scale).into_iter().map(|r| r.hypot(std)).collect();
        self.noise(out, &rounding)
    }

    /// Decrypts x and asserts |error| ≤ t·std + bias in every slot. Returns the largest quotient of
    /// the two.
    pub(crate) fn check(&self, x: &Tracked, what: &str) -> f64 {
        let found = self.setup.decrypt(&x.ct);
        // Decoding rounds as encoding does.
        let floor = ROUNDING * largest(&x.plain);
        // With fewer slots, each is the mean over those that coincide, and its error is below the
        // largest of their bounds.
        let bound = |j: usize| {
            let same = (j..x.plain.len()).step_by(found.len());
            same.map(|j| self.t * x.std[j] + x.bias[j] + floor).fold(0.0, f64::max)
        };
        let mut worst = 0.0f64;
        for (j, z) in found.iter().enumerate() {
            let (error, bound) = ((z - x.plain[j]).norm(), bound(j));
            assert!(
                error <= bound,
                "{what}: slot {j} is {z}, should be {}: off by 2^{:.2}, the bound is 2^{:.2} at level {}, scale 2^{:.2}",
                x.plain[j],
                error.log2(),
                bound.log2(),
                x.ct.level(),
                x.ct.scale().log2()
            );
            worst = worst.max(error / bound);
        }
        worst
    }
}
