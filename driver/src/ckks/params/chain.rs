//! The choice of the primes, so that the scale of every level stays at its nominal size.
//!
//! A product of two ciphertexts of scale Δ_l at level l, divided by q_l,
//! has the scale Δ_{l−1} = Δ_l²/q_l: a deviation of Δ_l from the nominal 2^b doubles with every
//! level. Therefore each q_l is the unused prime nearest to Δ_l²/2^b, which brings Δ_{l−1} back to
//! 2^b, within half a gap between primes (Kim, Papadimitriou and Polyakov,
//! [CT-RSA 2022](https://eprint.iacr.org/2020/1118), Section 3); half a gap is 2^−18 of 2^b at
//! N = 2^16 and b = 40.
//!
//! No prime is above 2^50. In a run of 50-bit primes, all targets after the first are above it,
//! so that the deviation doubles with every level: it is 2^−14.4 after 12 levels at N = 2^16.
//! It is tracked like that of any other scale; runs that are too long are refused.

use hetal_kernel::primes::{Direction, NttPrimes};
use hetal_kernel::{Error, Modulus};

/// The primes and scales of a modulus chain.
pub(super) struct Chain {
    /// The ciphertext primes q_0 … q_L.
    pub(super) q: Vec<Modulus>,
    /// The special primes p_0 … p_{K−1}.
    pub(super) p: Vec<Modulus>,
    /// The scales Δ_0 … Δ_L.
    pub(super) scales: Vec<f64>,
}

/// Chooses primes of the given sizes; `q_bits` is ordered bottom to top.
/// The special primes are chosen first: they are the largest of their size, so that P is not below
/// a digit of as many primes.
pub(super) fn choose(log_n: u32, q_bits: &[u32], p_bits: &[u32]) -> Result<Chain, Error> {
    let mut used = Vec::new();
    let mut p = Vec::new();
    for &bits in p_bits {
        p.push(take_nearest(log_n, f64::from(bits).exp2(), &mut used)?);
    }
    let levels = q_bits.len();
    let mut q = vec![p[0]; levels];
    let mut scales = vec![0.0; levels];
    for l in (1..levels).rev() {
        let nominal = f64::from(q_bits[l]).exp2();
        // A run of primes of one size starts, at its top, with its nominal scale.
        if l + 1 == levels || q_bits[l + 1] != q_bits[l] {
            scales[l] = nominal;
        }
        q[l] = take_nearest(log_n, scales[l] * (scales[l] / nominal), &mut used)?;
        scales[l - 1] = scales[l] * (scales[l] / q[l].as_f64());
    }
    // A message at level 0 is never multiplied: it has the scale that the level above leaves.
    q[0] = take_nearest(log_n, f64::from(q_bits[0]).exp2(), &mut used)?;
    Ok(Chain { q, p, scales })
}

/// Takes the unused prime nearest to `target`.
fn take_nearest(log_n: u32, target: f64, used: &mut Vec<Modulus>) -> Result<Modulus, Error> {
    // In a run of 50-bit primes the targets drift above 2^50, where there are no primes:
    // the nearest ones are below it.
    let size = (target as u64).min(1 << Modulus::MAX_BITS);
    let unused = |direction| Ok(NttPrimes::new(log_n, size, direction)?.find(|q| !used.contains(q)));
    let distance = |q: &Modulus| (q.as_f64() - target).abs();
    let candidates = [unused(Direction::Descending)?, unused(Direction::Ascending)?];
    let nearest = candidates.into_iter().flatten().min_by(|a, b| distance(a).total_cmp(&distance(b)));
    let nearest = nearest.ok_or(Error::NotEnoughPrimes { found: used.len(), wanted: used.len() + 1 })?;
    used.push(nearest);
    Ok(nearest)
}
