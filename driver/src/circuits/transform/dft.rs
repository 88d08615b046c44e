//! The transform between slots and coefficients as a few sparse matrices (Chen, Chillotti and Song,
//! [EUROCRYPT 2019](https://eprint.iacr.org/2018/1043), Section 4; Han, Hhan and Cheon, [IEEE Access 2019](https://eprint.iacr.org/2018/1073)).
//!
//! The embedding of n slots (see [`crate::ckks::encoding`]) is w ↦ S_k ⋯ S_1·B·w for w_t = m_t + i·m_{t+n}: B reverses the bits of the index t, and the
//! butterflies S_j of length 2^j have three diagonals each. Neighbouring S_j are multiplied together: a product of r has at most
//! 2^{r+1} − 1 diagonals. B is left out: SlotToCoeff writes slot t to coefficient B(t), CoeffToSlot reads it from there, and what is between them works on
//! all slots alike.

use std::f64::consts::TAU;

use num_complex::Complex64;

use crate::base::error::{Result, check_integer};
use crate::circuits::LinearTransform;

/// S_k ⋯ S_1 for 2^`log_slots` slots in `factors` matrices, that which is applied first in front: from coefficients, in bit-reversed order, to slots.
///
/// # Errors
/// [`Error::Range`](crate::Error::Range) if there are no factors or more than stages.
pub fn slot_to_coeff(log_slots: u32, factors: usize) -> Result<Vec<LinearTransform>> {
    merge(log_slots, factors, (1..=log_slots).map(|j| butterfly(log_slots, j)))
}

/// S_1⁻¹ ⋯ S_k⁻¹, in the same way: from slots to coefficients in bit-reversed order.
///
/// # Errors
/// [`Error::Range`](crate::Error::Range) if there are no factors or more than stages.
pub fn coeff_to_slot(log_slots: u32, factors: usize) -> Result<Vec<LinearTransform>> {
    merge(log_slots, factors, (1..=log_slots).rev().map(|j| inverse_butterfly(log_slots, j)))
}

/// Multiplies neighbouring stages together; the first factors get one more if they do not divide evenly.
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

/// For each pair p = p_0 + j, p + h of a stage (h = 2^{stage−1}, j < h): calls `f` with both and the root exp(2πi·5^j/(8h)).
fn pairs(log_slots: u32, stage: u32, mut f: impl FnMut(usize, usize, Complex64)) {
    let (len, h) = (1usize << stage, 1usize << (stage - 1));
    let mut power = 1usize;
    for j in 0..h {
        let root = Complex64::cis(TAU * power as f64 / (4 * len) as f64);
        (0..1usize << log_slots).step_by(len).for_each(|from| f(from + j, from + j + h, root));
        power = power * 5 % (4 * len);
    }
}

/// (x_p, x_{p+h}) ↦ (x_p + ω·x_{p+h}, x_p − ω·x_{p+h}).
fn butterfly(log_slots: u32, stage: u32) -> LinearTransform {
    let (n, h) = (1usize << log_slots, 1usize << (stage - 1));
    let [mut main, mut up, mut down] = [(); 3].map(|()| vec![Complex64::ZERO; n]);
    pairs(log_slots, stage, |p, q, root| {
        (main[p], up[p]) = (Complex64::ONE, root);
        (main[q], down[q]) = (-root, Complex64::ONE);
    });
    LinearTransform::new(n, [(0, main), (h as i64, up), (-(h as i64), down)]).expect("three diagonals")
}

/// (x_p, x_q) ↦ ((x_p + x_q)/2, (x_p − x_q)·ω̄/2).
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

    /// The factors are the embedding, but for the reversal of bits.
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
