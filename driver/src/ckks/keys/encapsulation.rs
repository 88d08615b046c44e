//! The two keys of sparse-secret encapsulation (Bossuat, Troncoso-Pastoriza and Hubaux,
//! [ACNS 2022](https://eprint.iacr.org/2022/024)).
//!
//! A raised ciphertext decrypts to m + q_0·I, and the overflow I grows with the weight of the
//! secret. Therefore the ciphertext is switched to a sparse secret s′ before it is raised,
//! where its modulus is only q_0, and back to the dense secret s afterwards.
//! A key under s′ exists only modulo q_0·p_0, which has at most [`max_sparse_log_qp`] bits:
//! at that size a secret with 32 nonzero coefficients is as secure as anything else here.
//! The key back is under s.

use hetal_kernel::sampler::{self, Seed};
use hetal_kernel::{Coeff, Eval, Gadget, KeySwitchKey, RnsPoly};
use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

use super::SecretKey;
use super::public::{expand_seed, gaussian};
use crate::base::error::{Error, Result};
use crate::base::key_generation::KeyGeneration;
use crate::base::parallel::for_each;
use crate::ckks::params::{Parameters, ParametersHash, max_sparse_log_qp};

/// The weight of the sparse secret.
pub const SPARSE_WEIGHT: usize = 32;

/// The keys from the dense to a sparse secret, modulo q_0·p_0, and back, modulo q_0 ⋯ q_L·p_0.
/// Both are public.
#[derive(Clone, Debug, PartialEq)]
pub struct EncapsulationKeys {
    pub(crate) hash: ParametersHash,
    pub(crate) generation: KeyGeneration,
    /// The key from s to s′.
    pub(crate) to_sparse: KeySwitchKey,
    pub(crate) seed: Seed,
    /// The first part of the key back, b = −a·s + e + p_0·s′, in the limbs q_0 … q_L, p_0.
    /// A single digit suffices: a raised polynomial is below q_0 and so is itself a digit.
    pub(crate) b: RnsPoly<Eval>,
    /// The second part of the key back, which is expanded from the seed.
    pub(crate) a: RnsPoly<Eval>,
}

impl EncapsulationKeys {
    /// Returns the gadget of the key to the sparse secret: one limb and one special prime.
    ///
    /// # Errors
    /// [`Error::Insecure`] if q_0·p_0 is above [`max_sparse_log_qp`] and the parameters do not say
    /// that they are insecure.
    pub(crate) fn gadget(params: &Parameters) -> Result<Gadget> {
        let special = params.max_level() + 1;
        let gadget = Gadget::new(&params.qp().range(0..1), &params.qp().range(special..special + 1), 1)?;
        if !params.is_insecure() {
            check_modulus(&params.literal().name, params.log_n(), gadget.qp().log2_product())?;
        }
        Ok(gadget)
    }

    /// Returns the key generation that the keys belong to.
    #[must_use]
    pub const fn key_generation(&self) -> KeyGeneration {
        self.generation
    }

    /// Returns log2 of the modulus under which the sparse secret has a key.
    ///
    /// # Errors
    /// [`Error::Insecure`] if it is too large.
    pub fn sparse_log_modulus(params: &Parameters) -> Result<f64> {
        Ok(Self::gadget(params)?.qp().log2_product())
    }

    /// Returns the bytes of memory that the keys take.
    #[must_use]
    pub fn memory_bytes(params: &Parameters) -> usize {
        let limb = RnsPoly::<Eval>::bytes(params.n(), 1);
        (4 + 2 * (params.max_level() + 2)) * limb
    }
}

/// Refuses a modulus of the sparse secret that is not known to be secure.
fn check_modulus(name: &str, log_n: u32, log_qp: f64) -> Result<()> {
    let bound = max_sparse_log_qp(log_n).unwrap_or(0);
    if log_qp <= f64::from(bound) {
        return Ok(());
    }
    Err(Error::Insecure { name: name.to_owned(), log_n, weight: Some(SPARSE_WEIGHT), log_qp, bound })
}

impl SecretKey {
    /// Draws a sparse secret, makes the keys to it and back, and wipes the sparse secret.
    ///
    /// # Errors
    /// [`Error::Insecure`] if q_0·p_0 is above [`max_sparse_log_qp`] and the parameters do not say
    /// that they are insecure.
    pub fn encapsulation_keys(&self, rng: &mut (impl CryptoRng + ?Sized)) -> Result<EncapsulationKeys> {
        let params = self.params();
        let gadget = EncapsulationKeys::gadget(params)?;
        let mut small = Zeroizing::new(vec![0; params.n()]);
        sampler::ternary_fixed_weight_into(SPARSE_WEIGHT.min(params.n()), rng, &mut small)?;
        let limbs = params.max_level() + 2;
        // q_0 … q_L and the first special prime are the first limbs of QP.
        let mut sparse = RnsPoly::<Coeff>::from_small(&small, limbs).into_eval(params.qp());
        let mut target = RnsPoly::<Coeff>::from_small(&small, 2).into_eval(gadget.qp());
        let mut dense = self.range(params.max_level(), 1);
        let to_sparse = KeySwitchKey::generate(&gadget, dense.prefix(1), target.view(), rng);
        let seed = Seed::from_rng(rng);
        let a = expand_seed(params, &seed, limbs, |i| i);
        let mut b = gaussian(params, limbs, |i| i, rng);
        let p = params.qp().modulus(limbs - 1).value();
        for_each(b.limbs_mut().zip(dense.limbs_mut()), |i, (b, s)| {
            let table = params.qp().table(i);
            table.mul_assign(s, a.limb(i));
            table.sub_assign(b, s);
            table.mul_scalar_add_assign(b, sparse.limb(i), table.modulus().reduce(p));
        });
        [&mut sparse, &mut target, &mut dense].into_iter().for_each(Zeroize::zeroize);
        Ok(EncapsulationKeys { hash: params.hash(), generation: self.key_generation(), to_sparse, seed, b, a })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No prime is above 2^50, so that q_0·p_0 cannot exceed 100 bits: above that, only the numbers
    /// can be tested.
    #[test]
    fn both_sides_of_the_limits() {
        for (log_n, bound) in [(15, 100), (16, 121)] {
            let limit = f64::from(bound);
            assert_eq!((check_modulus("mine", log_n, 50.0), check_modulus("mine", log_n, limit)), (Ok(()), Ok(())));
            for log_qp in [limit + 1e-9, limit + 1.0, 200.0] {
                let error = check_modulus("mine", log_n, log_qp).expect_err("above the limit");
                let wanted = Error::Insecure { name: "mine".to_owned(), log_n, weight: Some(32), log_qp, bound };
                assert_eq!(error, wanted);
                let text = error.to_string();
                assert!(
                    [&format!("{log_qp:.1} bits"), &format!("{bound} bits")].iter().all(|part| text.contains(*part)),
                    "{text}"
                );
            }
        }
        for log_n in (4..15).chain([17]) {
            let error = check_modulus("mine", log_n, 50.0).expect_err("no estimate");
            assert!(matches!(error, Error::Insecure { bound: 0, weight: Some(32), .. }), "{error:?}");
            assert!(error.to_string().contains(&format!("N = 2^{log_n}: use N = 2^15 or 2^16")), "{error}");
        }
    }
}
