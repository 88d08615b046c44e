//! Bootstraps a ciphertext that has no levels left, so that it can be computed with again.
//!
//! Run with `cargo run --release -p hetal-driver --example bootstrap`; with `n16` behind `--` at
//! 128 bits of security, where the keys take several GiB.

use std::sync::Arc;
use std::time::Instant;

use hetal::circuits::bootstrap::Packing;
use hetal::circuits::{Bootstrap, BootstrapConfig, BootstrapPlan, Bootstrapper};
use hetal::ckks::keys::entropy;
use hetal::{Encoder, Evaluator, Parameters, Result, SecretKey};

fn main() -> Result<()> {
    let preset = std::env::args().nth(1).unwrap_or_else(|| "test-13".to_owned());
    let params = Parameters::preset(&preset)?;
    let mut rng = entropy()?;

    // The plan: all slots, real values, as trainings bootstrap.
    let log_slots = params.log_n() - 1;
    let plan = BootstrapPlan::new(&params, BootstrapConfig::fast(log_slots, Packing::Real))?;
    let (bytes, failure) = (plan.key_bytes()?, plan.log_failure());
    println!("{preset}: {} MiB of keys, fails with probability 2^{failure:.0}", bytes >> 20);

    let secret = SecretKey::generate(&params, &mut rng)?;
    let keys = secret.evaluation_keys(&plan.requests(), &mut rng)?;
    let evaluator = Evaluator::new(&params, Arc::new(keys));
    // The keys from and to the sparse secret, under which the modulus is raised.
    let bootstrapper = Bootstrapper::new(plan, Arc::new(secret.encapsulation_keys(&mut rng)?))?;

    let values: Vec<f64> = (0..params.slots()).map(|i| (i as f64 * 0.37).sin()).collect();
    let encoder = Encoder::new(&params);
    let level = bootstrapper.input_level();
    let low = secret.encrypt(&encoder.encode(&values, level, params.scale(level))?, &mut rng)?;

    let clock = Instant::now();
    let high = bootstrapper.bootstrap(&evaluator, &low)?;
    println!("level {} to {} in {:.2} s", low.level(), high.level(), clock.elapsed().as_secs_f64());

    let found = encoder.decode_real(&secret.decrypt(&high)?)?;
    let error = found.iter().zip(&values).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!("largest error {error:.2e}");
    assert!(error < 1e-3);
    Ok(())
}
