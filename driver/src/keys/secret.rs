//! The secret key.

use hetal_kernel::{Coeff, Eval, RnsPoly, sampler};
use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, Result, check_count};
use crate::params::{Parameters, ParametersHash, SecretDistribution};

/// A secret s with coefficients in {−1, 0, 1}. Its memory is wiped when it is dropped; `Debug` shows nothing of it.
pub struct SecretKey {
    params: Parameters,
    coefficients: Zeroizing<Vec<i8>>,
    /// Modulo all primes, in values.
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
    /// Draws a secret, in constant time, from the distribution that the parameters name.
    ///
    /// # Errors
    /// [`Error::Kernel`] for an impossible weight; checked parameters have none.
    pub fn generate(params: &Parameters, rng: &mut (impl CryptoRng + ?Sized)) -> Result<Self> {
        let mut coefficients = Zeroizing::new(vec![0; params.n()]);
        match params.literal().secret {
            SecretDistribution::Ternary => sampler::ternary_into(rng, &mut coefficients),
            SecretDistribution::FixedWeight(weight) => {
                sampler::ternary_fixed_weight_into(weight, rng, &mut coefficients)?;
            }
        }
        Self::from_coefficients(params, coefficients)
    }

    /// The secret with these coefficients.
    ///
    /// # Errors
    /// [`Error::Count`] if there are not N, [`Error::Range`] if one is not −1, 0 or 1.
    pub fn from_coefficients(params: &Parameters, coefficients: Zeroizing<Vec<i8>>) -> Result<Self> {
        check_count("coefficients of a secret", coefficients.len(), params.n())?;
        if coefficients.iter().fold(false, |wrong, c| wrong | !(-1..=1).contains(c)) {
            let value =
                coefficients.iter().map(|&c| f64::from(c)).fold(0.0, |a: f64, b| if b.abs() > a.abs() { b } else { a });
            return Err(Error::Range { what: "coefficient of a secret", value, min: -1.0, max: 1.0 });
        }
        let values = RnsPoly::<Coeff>::from_small(&coefficients, params.qp().len()).into_eval(params.qp());
        Ok(Self { params: params.clone(), coefficients, values })
    }

    /// The parameters.
    #[must_use]
    pub const fn params(&self) -> &Parameters {
        &self.params
    }

    /// The parameters it belongs to.
    #[must_use]
    pub fn parameters_hash(&self) -> ParametersHash {
        self.params.hash()
    }

    /// The coefficients, to be stored by their owner.
    #[must_use]
    pub fn coefficients(&self) -> &[i8] {
        &self.coefficients
    }

    /// Limbs of q, then all special ones.
    pub(crate) const fn values(&self) -> &RnsPoly<Eval> {
        &self.values
    }

    /// The limbs q_0 … q_level and the first special ones, to be wiped by the caller.
    pub(crate) fn range(&self, level: usize, special: usize) -> RnsPoly<Eval> {
        let mut out = RnsPoly::zero(self.values.n(), level + 1 + special);
        let first = self.params.max_level() + 1;
        let from = (0..=level).chain(first..first + special);
        out.limbs_mut().zip(from).for_each(|(out, i)| out.copy_from_slice(self.values.limb(i)));
        out
    }
}
