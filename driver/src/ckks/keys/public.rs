//! The public key.

use hetal_kernel::sampler::{self, Seed};
use hetal_kernel::{Coeff, Eval, RnsPoly};
use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

use super::SecretKey;
use crate::base::error::Result;
use crate::base::key_generation::KeyGeneration;
use crate::base::parallel::for_each;
use crate::ckks::ciphertext::{Ciphertext, Plaintext};
use crate::ckks::params::{Parameters, ParametersHash};

/// An encryption (b, a) of 0 modulo Q·p_0, with which anyone can encrypt.
/// An encryption ends with a division by p_0, which leaves only a rounding error of the noise of
/// the key (Kim, Polyakov and Zucca, [ASIACRYPT 2021](https://eprint.iacr.org/2021/204),
/// Section 3.3).
#[derive(Clone, Debug, PartialEq)]
pub struct PublicKey {
    pub(crate) hash: ParametersHash,
    pub(crate) generation: KeyGeneration,
    pub(crate) seed: Seed,
    /// The first part b = −a·s + e in the limbs q_0 … q_L, p_0; a is expanded from the seed.
    pub(crate) b: RnsPoly<Eval>,
    pub(crate) a: RnsPoly<Eval>,
}

/// Expands a seed to a uniform polynomial: limb i is modulo the prime of QP with number `table(i)`
/// and uses the stream of that number.
pub(crate) fn expand_seed(
    params: &Parameters,
    seed: &Seed,
    limbs: usize,
    table: impl Fn(usize) -> usize + Sync,
) -> RnsPoly<Eval> {
    let mut a = RnsPoly::zero(params.n(), limbs);
    for_each(a.limbs_mut(), |i, limb| {
        sampler::uniform_into(params.qp().modulus(table(i)), &mut seed.expand(table(i) as u64), limb);
    });
    a
}

/// Draws a rounded Gaussian polynomial and returns its values modulo the primes of `table`.
/// The caller has to wipe it.
pub(crate) fn gaussian(
    params: &Parameters,
    limbs: usize,
    table: impl Fn(usize) -> usize + Sync,
    rng: &mut (impl CryptoRng + ?Sized),
) -> RnsPoly<Eval> {
    let mut small = Zeroizing::new(vec![0; params.n()]);
    sampler::gaussian_into(rng, &mut small);
    small_values(params, &small, limbs, table)
}

fn small_values(
    params: &Parameters,
    small: &[i8],
    limbs: usize,
    table: impl Fn(usize) -> usize + Sync,
) -> RnsPoly<Eval> {
    let mut poly = RnsPoly::<Coeff>::from_small(small, limbs);
    for_each(poly.limbs_mut(), |i, limb| params.qp().table(table(i)).forward(limb));
    poly.assume_domain()
}

impl PublicKey {
    /// Makes the public key of a secret.
    #[must_use]
    pub fn generate(secret: &SecretKey, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let params = secret.params();
        let (seed, limbs) = (Seed::from_rng(rng), params.max_level() + 2);
        let a = expand_seed(params, &seed, limbs, |i| i);
        let mut b = gaussian(params, limbs, |i| i, rng);
        let mut product = secret.range(params.max_level(), 1);
        product.view_mut().mul_assign(params.qp(), a.view());
        b.view_mut().sub_assign(params.qp(), product.view());
        product.zeroize();
        Self { hash: params.hash(), generation: secret.key_generation(), seed, b, a }
    }

    /// Returns the key generation that the key belongs to.
    #[must_use]
    pub const fn key_generation(&self) -> KeyGeneration {
        self.generation
    }

    /// Returns the bytes of memory that the key takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        2 * RnsPoly::<Eval>::bytes(self.b.n(), self.b.limbs())
    }

    /// Encrypts a plaintext m as ((v·(b, a) + (e_0, e_1))/p_0) + (m, 0), for a fresh ternary v and
    /// Gaussian e_0, e_1.
    ///
    /// # Errors
    /// [`Error::OtherParameters`](crate::Error::OtherParameters).
    pub fn encrypt(
        &self,
        params: &Parameters,
        plaintext: &Plaintext,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Ciphertext> {
        plaintext.check(params)?;
        crate::ckks::keys::check_hash(self.hash, params)?;
        let (level, special) = (plaintext.level(), params.max_level() + 1);
        let table = |i| if i <= level { i } else { special };
        let limbs = level + 2;
        let mut small = Zeroizing::new(vec![0; params.n()]);
        sampler::ternary_into(rng, &mut small);
        let mut v = small_values(params, &small, limbs, table);
        let divider = params.divider(level + 1, level + 1, 1);
        let parts: Vec<_> = [&self.b, &self.a]
            .into_iter()
            .map(|key| {
                let mut part = gaussian(params, limbs, table, rng);
                for_each(part.limbs_mut(), |i, limb| {
                    params.qp().table(table(i)).mul_add_assign(limb, v.limb(i), key.limb(table(i)));
                });
                let mut scratch = hetal_kernel::Scratch::new(divider.scratch_len());
                divider.apply(part.view_mut(), &mut scratch);
                part.truncate(level + 1);
                part
            })
            .collect();
        v.zeroize();
        let Plaintext { scale, log_slots, .. } = *plaintext;
        let (hash, generation) = (self.hash, self.generation);
        let mut out = Ciphertext { hash, generation, parts: parts.into(), scale, log_slots };
        out.parts[0].view_mut().add_assign(params.qp(), plaintext.poly.view());
        Ok(out)
    }
}
