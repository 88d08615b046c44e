//! Encryption under the secret key, decryption, and values that may leave the owner of the key.

use std::f64::consts::TAU;

use hetal_kernel::sampler::Seed;
use hetal_kernel::{Eval, RnsPoly};
use num_complex::Complex64;
use rand_core::CryptoRng;
use zeroize::Zeroize;

use crate::base::error::{Result, check_range};
use crate::base::key_generation::KeyGeneration;
use crate::base::parallel::for_each;
use crate::ckks::ciphertext::{Ciphertext, Plaintext};
use crate::ckks::encoding::Encoder;
use crate::ckks::keys::public::{expand_seed, gaussian};
use crate::ckks::keys::{SecretKey, check_hash};
use crate::ckks::params::{Parameters, ParametersHash};

/// A fresh encryption (b, a) under the secret key that stores the seed of a instead of a:
/// half the bytes of a ciphertext.
#[derive(Clone, Debug, PartialEq)]
pub struct SeededCiphertext {
    pub(crate) hash: ParametersHash,
    pub(crate) generation: KeyGeneration,
    pub(crate) seed: Seed,
    pub(crate) b: RnsPoly<Eval>,
    pub(crate) scale: f64,
    pub(crate) log_slots: u32,
}

impl SeededCiphertext {
    /// Expands the seed and returns the ciphertext.
    ///
    /// # Errors
    /// [`Error::OtherParameters`](crate::Error::OtherParameters).
    pub fn expand(self, params: &Parameters) -> Result<Ciphertext> {
        check_hash(self.hash, params)?;
        let a = expand_seed(params, &self.seed, self.b.limbs(), |i| i);
        let Self { hash, generation, b, scale, log_slots, .. } = self;
        Ok(Ciphertext { hash, generation, parts: vec![b, a].into(), scale, log_slots })
    }

    /// Returns the key generation that the ciphertext belongs to.
    #[must_use]
    pub const fn key_generation(&self) -> KeyGeneration {
        self.generation
    }

    /// Returns the level.
    #[must_use]
    pub fn level(&self) -> usize {
        self.b.limbs() - 1
    }

    /// Returns the scale.
    #[must_use]
    pub const fn scale(&self) -> f64 {
        self.scale
    }

    /// Returns the number of slots.
    #[must_use]
    pub const fn slots(&self) -> usize {
        1 << self.log_slots
    }
}

impl SecretKey {
    /// Encrypts a plaintext m as (−a·s + e + m, a), for a fresh seed of a and a fresh Gaussian e.
    ///
    /// # Errors
    /// [`Error::OtherParameters`](crate::Error::OtherParameters).
    pub fn encrypt_seeded(
        &self,
        plaintext: &Plaintext,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<SeededCiphertext> {
        let params = self.params();
        plaintext.check(params)?;
        let (seed, limbs) = (Seed::from_rng(rng), plaintext.level() + 1);
        let mut product = expand_seed(params, &seed, limbs, |i| i);
        let mut b = gaussian(params, limbs, |i| i, rng);
        for_each(b.limbs_mut().zip(product.limbs_mut()), |i, (b, product)| {
            let table = params.qp().table(i);
            table.add_assign(b, plaintext.poly.limb(i));
            table.mul_assign(product, self.values().limb(i));
            table.sub_assign(b, product);
        });
        product.zeroize();
        let Plaintext { hash, scale, log_slots, .. } = *plaintext;
        Ok(SeededCiphertext { hash, generation: self.key_generation(), seed, b, scale, log_slots })
    }

    /// Encrypts as [`SecretKey::encrypt_seeded`] does and expands the result.
    ///
    /// # Errors
    /// [`Error::OtherParameters`](crate::Error::OtherParameters).
    pub fn encrypt(&self, plaintext: &Plaintext, rng: &mut (impl CryptoRng + ?Sized)) -> Result<Ciphertext> {
        self.encrypt_seeded(plaintext, rng)?.expand(self.params())
    }

    /// Decrypts a ciphertext of any degree: computes Σ c_i·s^i. The memory of the result is wiped
    /// when it is dropped.
    ///
    /// The result contains the noise of the ciphertext, which depends on the secret:
    /// see [`Encoder::decode_public`] before any of it leaves the owner of the key.
    ///
    /// # Errors
    /// [`Error::OtherParameters`](crate::Error::OtherParameters);
    /// [`Error::OtherKeys`](crate::Error::OtherKeys) if the ciphertext was encrypted with another
    /// secret.
    pub fn decrypt(&self, ciphertext: &Ciphertext) -> Result<Plaintext> {
        let params = self.params();
        ciphertext.check(params)?;
        ciphertext.generation.check(self.key_generation())?;
        let Ciphertext { hash, scale, log_slots, .. } = *ciphertext;
        let poly = ciphertext.parts[ciphertext.degree()].clone();
        let mut plaintext = Plaintext { hash, poly, scale, log_slots, decrypted: true };
        for_each(plaintext.poly.limbs_mut(), |i, sum| {
            let table = params.qp().table(i);
            for part in ciphertext.parts.iter().rev().skip(1) {
                table.mul_assign(sum, self.values().limb(i));
                table.add_assign(sum, part.limb(i));
            }
        });
        Ok(plaintext)
    }
}

impl Encoder {
    /// Decodes to values that may be given away. A Gaussian of standard deviation 2^−bits is added
    /// to every real and imaginary part, and the sum is rounded to a multiple of 2^−bits.
    ///
    /// A decrypted value is m + e, and whoever also holds the ciphertext and the circuit can
    /// compute the noise e, hence the secret (Li and Micciancio,
    /// [EUROCRYPT 2021](https://eprint.iacr.org/2020/1533)). Flooding hides the noise:
    /// if the noise in the real and imaginary parts is at most
    /// [`flooding_bound`]`(bits, slots, queries, security)`, then that many decryptions of that
    /// many slots give an adversary an advantage of at most 2^−(security/2).
    /// The right choice of `bits` is a few bits more than the message needs.
    ///
    /// # Errors
    /// [`Error::OtherParameters`](crate::Error::OtherParameters);
    /// [`Error::Range`](crate::Error::Range) for more than 60 bits.
    pub fn decode_public(
        &self,
        plaintext: &Plaintext,
        bits: u32,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Vec<Complex64>> {
        const MAX_BITS: u32 = 60;
        check_range("bits of public values", bits.into(), 0.0, MAX_BITS.into())?;
        let step = f64::from(bits).exp2();
        let mut values = self.decode(plaintext)?;
        for z in &mut values {
            // The method of Box and Muller gives two normal variables from two uniform ones in
            // (0, 1].
            let mut uniform = || ((rng.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64;
            let (radius, angle) = ((-2.0 * uniform().ln()).sqrt(), TAU * uniform());
            let noisy = |x: f64, normal: f64| (x * step + normal).round_ties_even() / step;
            *z = Complex64::new(noisy(z.re, radius * angle.cos()), noisy(z.im, radius * angle.sin()));
        }
        Ok(values)
    }
}

/// Returns the largest noise that [`Encoder::decode_public`] with `bits` hides over `queries`
/// decryptions of `slots` slots, with `security` bits of statistical security (30 is customary):
/// 2^−bits / (√(24·slots·queries)·2^(security/2)). The noise is the root mean square over the real
/// and imaginary parts, each by itself: 1/√2 of √E|e|², which [`noise`](crate::ckks::noise) gives.
///
/// **Derivation** (Li, Micciancio, Schultz and Sorrell,
/// [CRYPTO 2022](https://eprint.iacr.org/2022/816)). The adversary gets n = 2·slots·queries real
/// numbers, to each of which a Gaussian of deviation σ = 2^−bits is added;
/// the rounding afterwards reveals nothing more. Let the noise be a vector e of n numbers.
/// The distributions with this noise and without any have the divergence ‖e‖²/(2σ²) (Kullback and
/// Leibler, of two Gaussians; it adds up over queries, also if later ones depend on earlier
/// answers). The norm is the Euclidean one of the whole vector: noise of root mean square t has
/// ‖e‖² = n·t². At t = σ/(√(12·n)·2^(security/2)) the divergence is 2^−security/24,
/// and so (Pinsker) no test distinguishes the two with an advantage above 2^−(security/2)/√48.
/// The factor 12 is that of the cited paper.
///
/// **Heavy tails.** What counts is the mean square that actually occurs, under the one secret in
/// use. After a key switch, a rescaling or a bootstrapping, the noise of a slot is a product,
/// one factor of which is the value of the secret there, the same in every query
/// ([`SlotError::product`](crate::ckks::noise::SlotError::product)).
/// The square of that factor varies exponentially from slot to slot, and further queries do not
/// average it. Over 2^15 slots the mean square is still within a few percent of the expected one;
/// over one slot it is 100 times as much with probability 2^−26.
/// [`SlotError::bound`](crate::ckks::noise::SlotError::bound)`(slots·queries)`, divided by √2,
/// holds for every slot. This is the noise to compare if there are few slots or if there are other
/// errors than those of these formulas.
#[must_use]
pub fn flooding_bound(bits: u32, slots: usize, queries: u64, security: u32) -> f64 {
    let numbers = 2.0 * slots as f64 * queries as f64;
    (-f64::from(bits)).exp2() / ((12.0 * numbers).sqrt() * (f64::from(security) / 2.0).exp2())
}
