//! The precision of every operation, measured and compared with the bounds from the formulas of
//! [`crate::ckks::noise`].

use std::sync::Arc;

use num_complex::Complex64;
use rand_core::Rng;
use serde::Serialize;

use crate::base::error::Result;
use crate::circuits::{Chebyshev, EncodedTransform, LinearTransform, PolynomialPlan};
use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::encoding::Encoder;
use crate::ckks::eval::Evaluator;
use crate::ckks::keys::{KeyRequests, PublicKey, SecretKey, entropy};
use crate::ckks::noise::{Noise, SlotError};
use crate::ckks::params::Parameters;

/// The errors of one operation over all slots, in bits: −log2 of the error.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The operation.
    pub operation: &'static str,
    /// The level before the operation.
    pub level: usize,
    /// The level after the operation.
    pub level_after: usize,
    /// The −log2 of the mean error.
    pub mean_bits: f64,
    /// The −log2 of the largest error.
    pub worst_bits: f64,
    /// The −log2 of the bound on the largest error.
    pub bound_bits: f64,
}

impl Row {
    /// Tells whether the largest error is within its bound.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.worst_bits >= self.bound_bits
    }
}

/// Runs every operation once on N/2 random slots of magnitude up to 1.
/// Encoding and fresh encryptions are run at the top level and at the highest computing level,
/// everything else at the latter, and products down to level 0.
///
/// # Errors
/// Those of the operations, which occur for parameters with fewer than six levels.
pub fn measure(params: &Parameters) -> Result<Vec<Row>> {
    let mut rng = entropy()?;
    let mut uniform = || (rng.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
    let n = params.slots();
    let z: Vec<Complex64> =
        (0..n).map(|_| Complex64::new(uniform(), uniform()) * std::f64::consts::FRAC_1_SQRT_2).collect();
    let x: Vec<Complex64> = (0..n).map(|_| uniform().into()).collect();

    let (encoder, noise) = (Encoder::new(params), Noise::new(params));
    let top = params.max_level();
    // The highest computing level is the top of the run of sizes that the levels near the bottom
    // have.
    let bits = &params.literal().q_bits;
    let level = (1..=top).rev().find(|&l| bits[l] == bits[1]).unwrap_or(top);
    let scale = params.scale(level);

    let mut rng = entropy()?;
    let secret = SecretKey::generate(params, &mut rng)?;
    let public = PublicKey::generate(&secret, &mut rng);
    let mut rows = Vec::new();
    let mut add = |operation, [from, after]: [usize; 2], found: &[Complex64], wanted: &[Complex64], allowed: f64| {
        let errors = || found.iter().zip(wanted).map(|(a, b)| (a - b).norm());
        let bits = |error: f64| -error.log2();
        rows.push(Row {
            operation,
            level: from,
            level_after: after,
            mean_bits: bits(errors().sum::<f64>() / n as f64),
            worst_bits: bits(errors().fold(0.0, f64::max)),
            bound_bits: bits(allowed),
        });
    };

    for l in [top, level] {
        let scale = params.scale(l);
        let plaintext = encoder.encode(&z, l, scale)?;
        add("encode, decode", [l, l], &encoder.decode(&plaintext)?, &z, noise.encoding(n, scale).bound(n));
        let error = noise.encoding(n, scale).and(noise.secret_encryption(scale));
        let ciphertext = secret.encrypt(&plaintext, &mut rng)?;
        add("encrypt with the secret key", [l, l], &encoder.decode(&secret.decrypt(&ciphertext)?)?, &z, error.bound(n));
        let error = noise.encoding(n, scale).and(noise.public_encryption(scale));
        let ciphertext = public.encrypt(params, &plaintext, &mut rng)?;
        add("encrypt with the public key", [l, l], &encoder.decode(&secret.decrypt(&ciphertext)?)?, &z, error.bound(n));
    }

    let polynomial = Chebyshev::interpolate(|x| (6.0 * x).cos(), 31, [-1.0, 1.0]);
    let polynomial = PolynomialPlan::new(params, polynomial, level)?;
    let transform = LinearTransform::new(n, (-15..=15).map(|k| (k, z.iter().map(|z| z / 31.0).collect::<Vec<_>>())))?;
    let plan = transform.plan(params, level, level)?;
    let mut requests = KeyRequests::default().rotation(params, 1, level).conjugation(params, level);
    (1..=level).for_each(|l| requests.insert(crate::ckks::keys::KeyId::Relinearisation, l));
    requests.extend(&polynomial.requests());
    requests.extend(&plan.requests(params));
    let evaluator = Evaluator::new(params, Arc::new(secret.evaluation_keys(&requests, &mut rng)?));

    let fresh = noise.encoding(n, scale).and(noise.secret_encryption(scale));
    let a = secret.encrypt(&encoder.encode(&z, level, scale)?, &mut rng)?;
    let b = secret.encrypt(&encoder.encode(&x, level, scale)?, &mut rng)?;
    let open = |ciphertext: &Ciphertext| encoder.decode(&secret.decrypt(ciphertext)?);
    let zip = |f: fn((&Complex64, &Complex64)) -> Complex64| z.iter().zip(&x).map(f).collect::<Vec<_>>();

    let sum = evaluator.add(&a, &b)?;
    add("add", [level, level], &open(&sum)?, &zip(|(a, b)| a + b), fresh.and(fresh).bound(n));

    let switched = fresh.and(noise.key_switch(level, level, scale)?);
    let mut wanted = z.clone();
    wanted.rotate_left(1);
    add("rotate", [level, level], &open(&evaluator.rotate(&a, 1)?)?, &wanted, switched.bound(n));
    let wanted: Vec<_> = z.iter().map(Complex64::conj).collect();
    add("conjugate", [level, level], &open(&evaluator.conjugate(&a)?)?, &wanted, switched.bound(n));

    // The slots are at most 1, so that the error of a product is at most the sum of both errors and
    // the error of the division.
    let product = evaluator.mul_rescale(&a, &b)?;
    let step = |l: usize| -> Result<SlotError> { noise.relinearise_rescale(l, l, params.scale(l) * params.scale(l)) };
    let error = fresh.and(fresh).and(step(level)?);
    add("multiply, rescale", [level, level - 1], &open(&product)?, &zip(|(a, b)| a * b), error.bound(n));

    // The value is multiplied by 1, encrypted at each level, down to the last level.
    let (mut value, mut error) = (a.clone(), fresh);
    for l in (1..=level).rev() {
        let scale = params.scale(l);
        let one = secret.encrypt(&encoder.encode(&vec![Complex64::ONE; n], l, scale)?, &mut rng)?;
        evaluator.mul_rescale_assign(&mut value, &one)?;
        error = error.and(noise.encoding(n, scale).and(noise.secret_encryption(scale))).and(step(l)?);
    }
    add("multiply, rescale to level 0", [level, value.level()], &open(&value)?, &z, error.bound(n));

    // Each diagonal is at most 1/31; its rounding, over Δ = q_level, is multiplied by slots of at
    // most 1.
    let encoded = EncodedTransform::new(&encoder, &transform, plan, params.q(level).as_f64())?;
    let rotations = noise.key_switch(level, level, scale)?;
    let diagonals = noise.encoding(n, params.q(level).as_f64()).times(31f64.sqrt());
    let error = fresh.and(rotations).and(diagonals).and(rotations).and(noise.division(params.scale(level - 1)));
    let result = evaluator.transform(&a, &encoded)?;
    add("linear transform, 31 diagonals", [level, level - 1], &open(&result)?, &transform.apply(&z), error.bound(n));

    let after = level - polynomial.depth();
    let (mut rounding, input) = (0f64, fresh.bound(n));
    for l in after + 1..=level {
        rounding = rounding.max(step(l)?.bound(n));
    }
    let result = evaluator.polynomial(&b, &polynomial, params.scale(after))?;
    let wanted: Vec<_> = x.iter().map(|x| polynomial.polynomial().evaluate(x.re).into()).collect();
    let allowed = polynomial.error_bound(input, rounding);
    add("polynomial of degree 31", [level, after], &open(&result)?, &wanted, allowed);
    Ok(rows)
}
