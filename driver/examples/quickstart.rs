//! Multiplies and rotates two encrypted vectors.
//!
//! The owner of the data makes keys for exactly the operations that will be computed; the server
//! holds public keys alone. Run with `cargo run --release -p hetal-driver --example quickstart`.

use std::sync::Arc;

use hetal::ckks::keys::entropy;
use hetal::{Encoder, Evaluator, KeyRequests, Parameters, Result, SecretKey};

fn main() -> Result<()> {
    // A preset fixes the ring degree and the primes. test-11 is small and insecure; n16 has 128
    // bits of security.
    let params = Parameters::preset("test-11")?;
    let mut rng = entropy()?;
    let level = 5;

    // The owner: a secret key, the evaluation keys, two ciphertexts at level 5.
    let secret = SecretKey::generate(&params, &mut rng)?;
    let requests = KeyRequests::default().relinearisation(level).rotation(&params, 1, level - 1);
    let keys = secret.evaluation_keys(&requests, &mut rng)?;
    println!("{} evaluation keys, {} bytes", keys.iter().len(), keys.memory_bytes());
    let encoder = Encoder::new(&params);
    let scale = params.scale(level);
    let a = secret.encrypt(&encoder.encode(&[1.0, 2.0, 3.0, 4.0], level, scale)?, &mut rng)?;
    let b = secret.encrypt(&encoder.encode(&[0.5, 0.25, -1.0, 2.0], level, scale)?, &mut rng)?;

    // The server: a product, which takes a level, and a rotation of the slots by one.
    let evaluator = Evaluator::new(&params, Arc::new(keys));
    let product = evaluator.mul_rescale(&a, &b)?;
    let rotated = evaluator.rotate(&product, 1)?;
    println!("levels: {} before, {} after", a.level(), rotated.level());

    // The owner again.
    let found = encoder.decode_real(&secret.decrypt(&rotated)?)?;
    let wanted = [0.5, -3.0, 8.0, 0.5];
    println!("decrypted {found:.6?}, exactly {wanted:?}");
    assert!(found.iter().zip(wanted).all(|(x, y)| (x - y).abs() < 1e-6));
    Ok(())
}
