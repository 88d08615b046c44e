//! The secret key.

use hetal_kernel::{Coeff, Eval, RnsPoly, sampler};
use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

use crate::base::error::{Error, Result, check_count};
use crate::base::key_generation::KeyGeneration;
use crate::ckks::params::{Parameters, ParametersHash, SecretDistribution};

/// A secret s with coefficients in {−1, 0, 1}. Its memory is wiped when it is dropped;
/// `Debug` shows nothing of it.
pub struct SecretKey {
    params: Parameters,
    generation: KeyGeneration,
    coefficients: Zeroizing<Vec<i8>>,
    /// The secret in values modulo all primes.
    values: RnsPoly<Eval>,
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretKey").field("parameters", &self.params.hash()).finish_non_exhaustive()
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.values.zeroize();
    }
}

impl SecretKey {
    /// Draws a secret from the distribution that the parameters name, in constant time,
    /// and the id of its key generation.
    ///
    /// # Errors
    /// [`Error::Kernel`] for an impossible weight, which checked parameters do not have.
    pub fn generate(params: &Parameters, rng: &mut (impl CryptoRng + ?Sized)) -> Result<Self> {
        let mut coefficients = Zeroizing::new(vec![0; params.n()]);
        match params.literal().secret {
            SecretDistribution::Ternary => sampler::ternary_into(rng, &mut coefficients),
            SecretDistribution::FixedWeight(weight) => {
                sampler::ternary_fixed_weight_into(weight, rng, &mut coefficients)?;
            }
        }
        Self::from_coefficients(params, coefficients, KeyGeneration::draw(rng))
    }

    /// Creates the secret with these coefficients. `generation` is the id under which other objects
    /// were or will be made with it: keys and ciphertexts with another id are refused.
    ///
    /// Coefficients that were not drawn from the distribution of the parameters are refused too:
    /// a damaged file, or one of zeros, would encrypt without hiding anything.
    ///
    /// # Errors
    /// [`Error::Count`] if there are not N coefficients; [`Error::Range`] if one is not −1, 0 or 1;
    /// [`Error::ImplausibleSecret`] if all are 0, if a secret of fixed weight has another weight,
    /// or if the numbers of −1, 0 and 1 in a uniform ternary secret are not within 10 standard
    /// deviations of N/3 (which happens by chance with a probability below 2^−64 for N from 2^10
    /// on); [`Error::Malformed`] for [`KeyGeneration::NONE`].
    pub fn from_coefficients(
        params: &Parameters,
        coefficients: Zeroizing<Vec<i8>>,
        generation: KeyGeneration,
    ) -> Result<Self> {
        check_count("coefficients of a secret", coefficients.len(), params.n())?;
        if coefficients.iter().fold(false, |wrong, c| wrong | !(-1..=1).contains(c)) {
            let value =
                coefficients.iter().map(|&c| f64::from(c)).fold(0.0, |a: f64, b| if b.abs() > a.abs() { b } else { a });
            return Err(Error::Range { what: "coefficient of a secret", value, min: -1.0, max: 1.0 });
        }
        check_plausible(params, &coefficients)?;
        if generation == KeyGeneration::NONE {
            return Err(Error::malformed("secret key", "key generation", generation, "a random id, not 0"));
        }
        let values = RnsPoly::<Coeff>::from_small(&coefficients, params.qp().len()).into_eval(params.qp());
        Ok(Self { params: params.clone(), generation, coefficients, values })
    }

    /// Returns the parameters.
    #[must_use]
    pub const fn params(&self) -> &Parameters {
        &self.params
    }

    /// Returns the hash of the parameters that the secret belongs to.
    #[must_use]
    pub fn parameters_hash(&self) -> ParametersHash {
        self.params.hash()
    }

    /// Returns the id of the key generation.
    #[must_use]
    pub const fn key_generation(&self) -> KeyGeneration {
        self.generation
    }

    /// Returns the coefficients, to be stored by their owner.
    #[must_use]
    pub fn coefficients(&self) -> &[i8] {
        &self.coefficients
    }

    /// Returns the values: the limbs of q, then all special ones.
    pub(crate) const fn values(&self) -> &RnsPoly<Eval> {
        &self.values
    }

    /// Returns the limbs q_0 … q_level and the first special ones. The caller has to wipe them.
    pub(crate) fn range(&self, level: usize, special: usize) -> RnsPoly<Eval> {
        let mut out = RnsPoly::zero(self.values.n(), level + 1 + special);
        let first = self.params.max_level() + 1;
        let from = (0..=level).chain(first..first + special);
        out.limbs_mut().zip(from).for_each(|(out, i)| out.copy_from_slice(self.values.limb(i)));
        out
    }
}

/// Refuses coefficients from {−1, 0, 1} that were not drawn at random.
/// This takes the same time for all that pass: no branch and no index depends on a coefficient.
fn check_plausible(params: &Parameters, coefficients: &[i8]) -> Result<()> {
    let count = |bit: fn(u8) -> u8| coefficients.iter().map(|&c| u64::from(bit(c as u8))).sum::<u64>();
    let (nonzero, negative) = (count(|c| c & 1), count(|c| c >> 7));
    let n = coefficients.len() as u64;
    // Each count has the variance 2N/9.
    let usual = |count: u64| (3 * count).abs_diff(n).pow(2) <= 100 * 2 * n;
    let (plausible, wanted) = match params.literal().secret {
        SecretDistribution::Ternary => (
            usual(n - nonzero) & usual(negative) & usual(nonzero - negative),
            format!("about {} coefficients each of -1, 0 and 1", n / 3),
        ),
        SecretDistribution::FixedWeight(weight) => {
            (nonzero == weight as u64, format!("exactly {weight} coefficients other than 0"))
        }
    };
    if plausible & (nonzero > 0) { Ok(()) } else { Err(Error::ImplausibleSecret { wanted }) }
}
