//! The transform between slots and coefficients as a product of a few sparse matrices (Chen,
//! Chillotti and Song, [EUROCRYPT 2019](https://eprint.iacr.org/2018/1043), Section 4;
//! Han, Hhan and Cheon, [IEEE Access 2019](https://eprint.iacr.org/2018/1073)).
//!
//! The embedding of n slots (see [`crate::ckks::encoding`]) is the map w ↦ S_k ⋯ S_1·B·w, where
//! w_t = m_t + i·m_{t+n}. The matrix B reverses the bits of the index t. Each S_j is a stage of
//! butterflies of length 2^j and has three diagonals. Neighbouring stages are multiplied together:
//! a product of r stages has at most 2^{r+1} − 1 diagonals.
//!
//! B itself is left out: SlotToCoeff writes slot t to coefficient B(t),
//! and CoeffToSlot reads it from there. The steps between the two treat all slots alike,
//! so the bit-reversed order does not matter to them.

use std::f64::consts::TAU;

use num_complex::Complex64;

use crate::base::error::{Result, check_integer};
use crate::circuits::LinearTransform;

/// The product S_k ⋯ S_1 for 2^`log_slots` slots, split into `factors` matrices
/// in the order in which they are applied. It maps coefficients, in bit-reversed order, to slots.
///
/// # Errors
/// [`Error::Range`](crate::Error::Range) if there are no factors, or more factors than stages.
pub fn slot_to_coeff(log_slots: u32, factors: usize) -> Result<Vec<LinearTransform>> {
    merge(log_slots, factors, (1..=log_slots).map(|j| butterfly(log_slots, j)))
}

/// The product S_1⁻¹ ⋯ S_k⁻¹, split in the same way.
/// It maps slots to coefficients in bit-reversed order.
///
/// # Errors
/// [`Error::Range`](crate::Error::Range) if there are no factors, or more factors than stages.
pub fn coeff_to_slot(log_slots: u32, factors: usize) -> Result<Vec<LinearTransform>> {
    merge(log_slots, factors, (1..=log_slots).rev().map(|j| inverse_butterfly(log_slots, j)))
}

/// Multiplies neighbouring stages together.
/// If the stages do not divide evenly, each of the first factors takes one more.
fn merge(
    log_slots: u32,
    factors: usize,
    stages: impl Iterator<Item = LinearTransform>,
) -> Result<Vec<LinearTransform>> {
    let count = log_slots as usize;
    check_integer("factors of a transform", factors, 1, count)?;
    let mut stages = stages;
    let sizes = (0..factors).map(|i| count / factors + usize::from(i < count % factors));
    let product =
        |size| stages.by_ref().take(size).reduce(|first, next| next.compose(&first)).expect("at least one stage");
    Ok(sizes.map(product).collect())
}

/// Calls `f` for every butterfly of a stage, with the indices p = p_0 + j and p + h of its two
/// entries (h = 2^{stage−1}, j < h) and its root exp(2πi·5^j/(8h)).
fn pairs(log_slots: u32, stage: u32, mut f: impl FnMut(usize, usize, Complex64)) {
    let (len, h) = (1usize << stage, 1usize << (stage - 1));
    let mut power = 1usize;
    for j in 0..h {
        let root = Complex64::cis(TAU * power as f64 / (4 * len) as f64);
        (0..1usize << log_slots).step_by(len).for_each(|from| f(from + j, from + j + h, root));
        power = power * 5 % (4 * len);
    }
}

/// The stage with the butterflies (x_p, x_{p+h}) ↦ (x_p + ω·x_{p+h}, x_p − ω·x_{p+h}).
fn butterfly(log_slots: u32, stage: u32) -> LinearTransform {
    let (n, h) = (1usize << log_slots, 1usize << (stage - 1));
    let [mut main, mut up, mut down] = [(); 3].map(|()| vec![Complex64::ZERO; n]);
    pairs(log_slots, stage, |p, q, root| {
        (main[p], up[p]) = (Complex64::ONE, root);
        (main[q], down[q]) = (-root, Complex64::ONE);
    });
    LinearTransform::new(n, [(0, main), (h as i64, up), (-(h as i64), down)]).expect("three diagonals")
}

/// The inverse stage, with the butterflies (x_p, x_q) ↦ ((x_p + x_q)/2, (x_p − x_q)·ω̄/2).
fn inverse_butterfly(log_slots: u32, stage: u32) -> LinearTransform {
    let (n, h) = (1usize << log_slots, 1usize << (stage - 1));
    let [mut main, mut up, mut down] = [(); 3].map(|()| vec![Complex64::ZERO; n]);
    pairs(log_slots, stage, |p, q, root| {
        let half = Complex64::from(0.5);
        (main[p], up[p]) = (half, half);
        (main[q], down[q]) = (-root.conj() / 2.0, root.conj() / 2.0);
    });
    LinearTransform::new(n, [(0, main), (h as i64, up), (-(h as i64), down)]).expect("three diagonals")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::base::fft::SpecialFft;

    fn error(a: &[Complex64], b: &[Complex64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - b).norm()).fold(0.0, f64::max)
    }

    /// The product of the factors is the embedding, up to the bit reversal.
    #[test]
    fn factors_are_the_embedding() {
        for log_slots in 1..=9 {
            let n = 1usize << log_slots;
            let reverse = |t: usize| t.reverse_bits() >> (usize::BITS - log_slots);
            let w: Vec<Complex64> = (0..n).map(|t| Complex64::new((t as f64).sin(), (1.3 * t as f64).cos())).collect();
            let (mut re, mut im): (Vec<f64>, Vec<f64>) = w.iter().map(|w| (w.re, w.im)).unzip();
            SpecialFft::new(log_slots).to_slots(&mut re, &mut im);
            let wanted: Vec<Complex64> = re.iter().zip(&im).map(|(&re, &im)| Complex64::new(re, im)).collect();
            let reversed: Vec<Complex64> = (0..n).map(|t| w[reverse(t)]).collect();
            for factors in 1..=(log_slots as usize).min(4) {
                let forward = slot_to_coeff(log_slots, factors).expect("factors");
                let found = forward.iter().fold(reversed.clone(), |x, m| m.apply(&x));
                assert!(error(&found, &wanted) < 1e-12 * n as f64, "{n} slots, {factors} factors");
                let back = coeff_to_slot(log_slots, factors).expect("factors").iter().fold(found, |x, m| m.apply(&x));
                assert!(error(&back, &reversed) < 1e-12, "{n} slots, {factors} factors");
                assert!(forward.iter().all(|m| m.diagonals().len() < 2 << (log_slots as usize).div_ceil(factors)));
            }
        }
        assert!(matches!(slot_to_coeff(3, 4), Err(Error::Range { .. })));
    }
}
