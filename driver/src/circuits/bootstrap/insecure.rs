//! A bootstrapping with the secret key, which stands in for the real one in tests.

use std::sync::Mutex;

use rand_chacha::ChaCha20Rng;

use super::{Bootstrap, reduced_by};
use crate::base::error::{Error, Result};
use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::encoding::Encoder;
use crate::ckks::eval::Evaluator;
use crate::ckks::keys::SecretKey;

/// Decrypts and encrypts again, **with the secret key**: for tests of code that uses
/// a [`Bootstrap`]. It accepts only parameters that are marked insecure.
#[derive(Debug)]
pub struct InsecureRefresh {
    secret: SecretKey,
    encoder: Encoder,
    input_level: usize,
    output_level: usize,
    rng: Mutex<ChaCha20Rng>,
}

impl InsecureRefresh {
    /// Creates a stand-in that refreshes from the input level to the output level.
    ///
    /// # Errors
    /// [`Error::Parameters`] if the parameters are not marked insecure,
    /// [`Error::Level`] if a level does not exist.
    pub fn new(secret: SecretKey, input_level: usize, output_level: usize, rng: ChaCha20Rng) -> Result<Self> {
        let params = secret.params().clone();
        if !params.is_insecure() {
            let reason = "refreshing with the secret key is for parameters marked insecure".to_owned();
            return Err(Error::Parameters { name: params.literal().name.clone(), reason });
        }
        params.check_level(input_level.max(output_level))?;
        Ok(Self { secret, encoder: Encoder::new(&params), input_level, output_level, rng: Mutex::new(rng) })
    }
}

impl Bootstrap for InsecureRefresh {
    fn input_level(&self) -> usize {
        self.input_level
    }

    fn output_level(&self) -> usize {
        self.output_level
    }

    fn bootstrap_bounded(&self, evaluator: &Evaluator, a: &Ciphertext, log_bound: i32) -> Result<Ciphertext> {
        let params = evaluator.params();
        let low = reduced_by(evaluator, a, self.input_level, log_bound)?;
        let mut slots = self.encoder.decode(&self.secret.decrypt(&low)?)?;
        slots.iter_mut().for_each(|slot| *slot *= f64::from(log_bound).exp2());
        let plaintext = self.encoder.encode(&slots, self.output_level, params.scale(self.output_level))?;
        let mut rng = self.rng.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.secret.encrypt(&plaintext, &mut *rng)
    }
}
