//! Products of ciphertexts and relinearisation.

use hetal_kernel::{Eval, RnsPoly};

use super::Evaluator;
use super::combination::Combination;
use super::switching::{Addend, Job};
use crate::base::error::{Error, Result};
use crate::base::key_generation::KeyGeneration;
use crate::base::parallel::for_each_limb;
use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::keys::KeyId;

impl Evaluator {
    /// Returns Σ a·b over the pairs, of degree 2: one relinearisation serves the whole sum.
    ///
    /// # Errors
    /// [`Error::Count`] for an empty list, [`Error::Degree`] for operands of degree 2,
    /// [`Error::ScaleMismatch`] if the products have different scales, [`Error::Scale`],
    /// [`Error::OtherParameters`], [`Error::OtherKeys`].
    pub fn dot_lazy(&self, pairs: &[(&Ciphertext, &Ciphertext)]) -> Result<Ciphertext> {
        Ok(self.store(&self.dot(pairs)?))
    }

    /// Writes the result of [`Evaluator::dot_lazy`] to `out`.
    ///
    /// # Errors
    /// As [`Evaluator::dot_lazy`].
    pub fn dot_lazy_into(&self, pairs: &[(&Ciphertext, &Ciphertext)], out: &mut Ciphertext) -> Result<()> {
        self.store_into(&self.dot(pairs)?, out);
        Ok(())
    }

    /// Returns Σ a·b over the pairs, relinearised and rescaled in one division.
    /// This is cheaper than one step after the other, and there is only one rounding.
    ///
    /// # Errors
    /// As [`Evaluator::dot_lazy`] and [`Evaluator::relinearise_rescale`].
    pub fn dot_rescale(&self, pairs: &[(&Ciphertext, &Ciphertext)]) -> Result<Ciphertext> {
        self.relinearise_rescale_combination(&self.dot(pairs)?)
    }

    fn dot<'a>(&'a self, pairs: &[(&'a Ciphertext, &'a Ciphertext)]) -> Result<Combination<'a>> {
        let Some(&(a, b)) = pairs.first() else {
            return Err(Error::Count { what: "products to sum", found: 0, wanted: 1 });
        };
        let level = pairs.iter().map(|(a, b)| a.level().min(b.level())).min().expect("not empty");
        self.combination(a.generation, (level, a.scale * b.scale), (1, pairs), &[], 0.0)
    }

    /// Computes all limbs of a combination and stores them.
    pub(crate) fn store(&self, a: &Combination<'_>) -> Ciphertext {
        let mut out = self.blank(a.generation, a.degree() + 1, a.level);
        self.store_into(a, &mut out);
        out
    }

    fn store_into(&self, a: &Combination<'_>, out: &mut Ciphertext) {
        out.reshape(&self.params, a.generation, a.degree() + 1, a.level + 1);
        (out.scale, out.log_slots) = (a.scale, a.log_slots);
        for_each_limb(&mut out.parts, |part, j, out| a.limb_into(part, j, out));
    }

    /// Returns a·b of degree 2, to be summed or [relinearised](Evaluator::relinearise).
    ///
    /// # Errors
    /// As [`Evaluator::dot_lazy`].
    pub fn mul_lazy(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext> {
        self.dot_lazy(&[(a, b)])
    }

    fn relinearise_to(&self, a: &Ciphertext, kept: usize, out: &mut Ciphertext) -> Result<()> {
        a.check(&self.params)?;
        a.check_degree(2)?;
        let key = self.key(KeyId::Relinearisation, a.level(), a.generation)?;
        let [c0, c1, c2] = &a.parts[..] else { unreachable!("degree 2") };
        let addends = [c0, c1].map(|c| Addend::Stored(c.view()));
        self.with_digits(&key.gadget, c2.view(), |digits| {
            let out = self.two_parts(a.generation, kept, out);
            self.switch(digits, addends, kept, vec![Job { key: &key, plus: None, out }]);
        });
        (out.scale, out.log_slots) = (self.rescaled(a.scale, a.level(), kept), a.log_slots);
        Ok(())
    }

    /// Relinearises a combination. Only the part that is switched is computed in advance;
    /// the two others are computed where they are added.
    fn relinearise_combination(&self, a: &Combination<'_>, kept: usize, out: &mut Ciphertext) -> Result<()> {
        let key = self.key(KeyId::Relinearisation, a.level, a.generation)?;
        let mut c2 = self.spares.take(self.params.n(), a.level + 1);
        let addends = [0, 1].map(|part| Addend::Computed(a, part));
        let compute = |j: usize, limb: &mut [f64]| a.limb_into(2, j, limb);
        self.with_computed_digits(&key.gadget, &mut c2, compute, |digits| {
            let out = self.two_parts(a.generation, kept, out);
            self.switch(digits, addends, kept, vec![Job { key: &key, plus: None, out }]);
        });
        self.spares.give([c2]);
        (out.scale, out.log_slots) = (self.rescaled(a.scale, a.level, kept), a.log_slots);
        Ok(())
    }

    /// Gives `out` two parts of `limbs` limbs and returns them, to be written.
    fn two_parts<'a>(
        &self,
        generation: KeyGeneration,
        limbs: usize,
        out: &'a mut Ciphertext,
    ) -> [&'a mut RnsPoly<Eval>; 2] {
        out.reshape(&self.params, generation, 2, limbs);
        let [b, a] = &mut out.parts[..] else { unreachable!("two parts") };
        [b, a]
    }

    /// Returns a scale after rescaling to the first `kept` limbs.
    fn rescaled(&self, scale: f64, level: usize, kept: usize) -> f64 {
        (kept..=level).rev().fold(scale, |scale, l| scale / self.params.q(l).as_f64())
    }

    /// Relinearises and rescales a combination of degree 2.
    ///
    /// # Errors
    /// As [`Evaluator::relinearise_rescale`].
    pub(crate) fn relinearise_rescale_combination(&self, a: &Combination<'_>) -> Result<Ciphertext> {
        let mut out = self.blank(a.generation, 2, a.level.saturating_sub(1));
        self.relinearise_rescale_combination_into(a, &mut out)?;
        Ok(out)
    }

    fn relinearise_rescale_combination_into(&self, a: &Combination<'_>, out: &mut Ciphertext) -> Result<()> {
        self.relinearise_combination(a, kept_after_rescaling(a.level)?, out)
    }

    /// Returns the same value in degree 1.
    ///
    /// # Errors
    /// [`Error::Degree`] if the degree is not 2, [`Error::MissingKey`], [`Error::OtherParameters`],
    /// [`Error::OtherKeys`].
    pub fn relinearise(&self, a: &Ciphertext) -> Result<Ciphertext> {
        let mut out = self.blank(a.generation, 2, a.level());
        self.relinearise_to(a, a.level() + 1, &mut out)?;
        Ok(out)
    }

    /// Relinearises and rescales in one division, as [`Evaluator::relinearise`] and
    /// [`Evaluator::rescale`] do in two.
    ///
    /// # Errors
    /// As [`Evaluator::relinearise`] and [`Evaluator::rescale`].
    pub fn relinearise_rescale(&self, a: &Ciphertext) -> Result<Ciphertext> {
        let mut out = self.blank(a.generation, 2, a.level().saturating_sub(1));
        self.relinearise_rescale_into(a, &mut out)?;
        Ok(out)
    }

    /// Writes the result of [`Evaluator::relinearise_rescale`] to `out`.
    ///
    /// # Errors
    /// As [`Evaluator::relinearise_rescale`].
    pub fn relinearise_rescale_into(&self, a: &Ciphertext, out: &mut Ciphertext) -> Result<()> {
        self.relinearise_to(a, kept_after_rescaling(a.level())?, out)
    }

    /// Returns a·b, slot by slot, relinearised but not rescaled.
    ///
    /// # Errors
    /// As [`Evaluator::dot_lazy`] and [`Evaluator::relinearise`].
    pub fn mul(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext> {
        let mut out = self.blank(a.generation, 2, a.level().min(b.level()));
        self.mul_into(a, b, &mut out)?;
        Ok(out)
    }

    /// Writes a·b to `out`, relinearised but not rescaled.
    ///
    /// # Errors
    /// As [`Evaluator::mul`].
    pub fn mul_into(&self, a: &Ciphertext, b: &Ciphertext, out: &mut Ciphertext) -> Result<()> {
        let product = self.dot(&[(a, b)])?;
        self.relinearise_combination(&product, product.level + 1, out)
    }

    /// Multiplies a by b in place, relinearised but not rescaled.
    ///
    /// # Errors
    /// As [`Evaluator::mul`].
    pub fn mul_assign(&self, a: &mut Ciphertext, b: &Ciphertext) -> Result<()> {
        *a = self.mul(a, b)?;
        Ok(())
    }

    /// Returns a·b, relinearised and rescaled in one division. This is cheaper than one step after
    /// the other, and there is only one rounding.
    ///
    /// # Errors
    /// As [`Evaluator::mul`] and [`Evaluator::rescale`].
    pub fn mul_rescale(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext> {
        self.dot_rescale(&[(a, b)])
    }

    /// Writes a·b to `out`, relinearised and rescaled.
    ///
    /// # Errors
    /// As [`Evaluator::mul_rescale`].
    pub fn mul_rescale_into(&self, a: &Ciphertext, b: &Ciphertext, out: &mut Ciphertext) -> Result<()> {
        self.relinearise_rescale_combination_into(&self.dot(&[(a, b)])?, out)
    }

    /// Multiplies a by b in place, relinearised and rescaled.
    ///
    /// # Errors
    /// As [`Evaluator::mul_rescale`].
    pub fn mul_rescale_assign(&self, a: &mut Ciphertext, b: &Ciphertext) -> Result<()> {
        *a = self.mul_rescale(a, b)?;
        Ok(())
    }
}

/// Returns the number of limbs that a rescaling leaves.
fn kept_after_rescaling(level: usize) -> Result<usize> {
    match level {
        0 => Err(Error::NoLevelsLeft { operation: "rescaling", needed: 1, level: 0 }),
        level => Ok(level),
    }
}
