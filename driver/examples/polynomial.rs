//! Computes 1/(1 + e^−x) of encrypted numbers by a polynomial, and measures its error.
//!
//! A plan says, before any key exists, how many levels the polynomial takes and which keys it
//! needs.
//! Run with `cargo run --release -p hetal-driver --example polynomial`.

use std::sync::Arc;

use hetal::circuits::{Chebyshev, PolynomialPlan};
use hetal::ckks::keys::entropy;
use hetal::{Encoder, Evaluator, Parameters, Result, SecretKey};

fn main() -> Result<()> {
    let params = Parameters::preset("test-11")?; // Insecure: for a quick look.
    let mut rng = entropy()?;
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());

    // The interpolation in Chebyshev's points of [−8, 8]. An interval other than [−1, 1] takes a
    // level more.
    let polynomial = Chebyshev::interpolate(sigmoid, 31, [-8.0, 8.0]);
    let inputs: Vec<f64> = (0..params.slots()).map(|i| 16.0 * i as f64 / params.slots() as f64 - 8.0).collect();
    let approximation = inputs.iter().map(|&x| (polynomial.evaluate(x) - sigmoid(x)).abs()).fold(0.0, f64::max);

    let level = 10;
    let plan = PolynomialPlan::new(&params, polynomial, level)?;
    println!("degree 31: {} levels, {} products", plan.depth(), plan.products());

    let secret = SecretKey::generate(&params, &mut rng)?;
    let evaluator = Evaluator::new(&params, Arc::new(secret.evaluation_keys(&plan.requests(), &mut rng)?));
    let encoder = Encoder::new(&params);
    let x = secret.encrypt(&encoder.encode(&inputs, level, params.scale(level))?, &mut rng)?;

    let y = evaluator.polynomial(&x, &plan, params.scale(level - plan.depth()))?;

    let found = encoder.decode_real(&secret.decrypt(&y)?)?;
    let error = found.iter().zip(&inputs).map(|(y, &x)| (y - sigmoid(x)).abs()).fold(0.0, f64::max);
    println!("largest error {error:.2e}, of which the approximation has {approximation:.2e}");
    assert!(error < approximation + 1e-5);
    Ok(())
}
