//! Generation of evaluation keys.

use hetal_kernel::KeySwitchKey;
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng};
use rayon::prelude::*;
use zeroize::Zeroize;

use super::{EvaluationKey, KeyId, KeyRequests, KeySet, SecretKey};
use crate::base::error::Result;

impl SecretKey {
    /// Makes the requested keys, on all cores.
    ///
    /// The relinearisation key encrypts s² and the Galois keys encrypt s(X^g), all under s itself.
    /// That this reveals nothing about s is the usual assumption of circular security.
    ///
    /// # Errors
    /// [`Error::Level`](crate::Error::Level).
    pub fn evaluation_keys(&self, requests: &KeyRequests, rng: &mut (impl CryptoRng + ?Sized)) -> Result<KeySet> {
        let mut keys = KeySet::default();
        for key in self.evaluation_keys_iter(requests, rng)? {
            keys.insert(key?)?;
        }
        Ok(keys)
    }

    /// Makes the requested keys a few at a time, for sets of keys that are written to a file and do
    /// not fit in memory (see [`SecretKey::evaluation_keys`]).
    ///
    /// # Errors
    /// [`Error::Level`](crate::Error::Level).
    pub fn evaluation_keys_iter(
        &self,
        requests: &KeyRequests,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<impl Iterator<Item = Result<EvaluationKey>>> {
        // Each key has its own generator, so that the threads need not share one.
        let plan: Vec<_> = requests
            .plan(self.params())?
            .into_iter()
            .map(|(id, level)| (id, level, ChaCha20Rng::from_rng(rng)))
            .collect();
        let mut plan = plan.into_iter();
        let threads = rayon::current_num_threads();
        let batches = std::iter::from_fn(move || {
            let batch: Vec<_> = plan.by_ref().take(threads).collect();
            (!batch.is_empty()).then_some(batch)
        });
        Ok(batches.flat_map(|batch| {
            let make = |(id, level, mut rng)| self.evaluation_key(id, level, &mut rng);
            batch.into_par_iter().map(make).collect::<Vec<_>>()
        }))
    }

    fn evaluation_key(&self, id: KeyId, level: usize, rng: &mut ChaCha20Rng) -> Result<EvaluationKey> {
        let params = self.params();
        let gadget = params.gadget(level)?;
        let mut secret = self.range(level, gadget.special());
        let key = match id {
            KeyId::Relinearisation => KeySwitchKey::relinearisation(&gadget, secret.view(), rng),
            KeyId::Galois(element) => KeySwitchKey::galois(&gadget, secret.view(), element, rng),
        };
        secret.zeroize();
        EvaluationKey::new(params, self.key_generation(), id, level, key)
    }
}
