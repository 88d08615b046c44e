//! Sums, constants, plaintexts, rescaling, levels.

use hetal_kernel::{NttTable, RnsPoly};
use num_complex::Complex64;

use super::Evaluator;
use crate::base::error::{Error, Result, check_reaches};
use crate::base::parallel::{for_each, for_each_limb};
use crate::ckks::ciphertext::{Ciphertext, Plaintext, check_scales};
use crate::ckks::encoding::{constant, constant_values, exceeds};

impl Evaluator {
    /// a ← a op b; negate: parts that only b has are negated.
    fn combine_assign(
        &self,
        a: &mut Ciphertext,
        b: &Ciphertext,
        op: impl Fn(&NttTable, &mut [f64], &[f64]) + Sync,
        negate: bool,
    ) -> Result<()> {
        a.check(&self.params)?;
        b.check(&self.params)?;
        b.generation.check(a.generation)?;
        check_scales(a.scale, b.scale)?;
        let limbs = a.level().min(b.level()) + 1;
        a.parts.iter_mut().for_each(|part| part.reshape(limbs));
        a.log_slots = a.log_slots.max(b.log_slots);
        let common = a.parts.len().min(b.parts.len());
        for_each_limb(&mut a.parts[..common], |k, i, x| op(self.params.qp().table(i), x, b.parts[k].limb(i)));
        for y in &b.parts[common..] {
            let mut part = y.prefix(limbs).to_owned();
            if negate {
                for_each(part.limbs_mut(), |i, x| self.params.qp().table(i).neg_assign(x));
            }
            a.parts.push(part);
        }
        Ok(())
    }

    /// a ← a + b. Degrees may differ.
    ///
    /// # Errors
    /// [`Error::ScaleMismatch`], [`Error::OtherParameters`], [`Error::OtherKeys`].
    pub fn add_assign(&self, a: &mut Ciphertext, b: &Ciphertext) -> Result<()> {
        self.combine_assign(a, b, NttTable::add_assign, false)
    }

    /// a + b.
    ///
    /// # Errors
    /// As [`Evaluator::add_assign`].
    pub fn add(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext> {
        let mut out = self.at_level_of(a, b.level());
        self.add_assign(&mut out, b)?;
        Ok(out)
    }

    /// out ← a + b.
    ///
    /// # Errors
    /// As [`Evaluator::add_assign`].
    pub fn add_into(&self, a: &Ciphertext, b: &Ciphertext, out: &mut Ciphertext) -> Result<()> {
        copy(a, a.level().min(b.level()), out);
        self.add_assign(out, b)
    }

    /// a ← a − b. Degrees may differ.
    ///
    /// # Errors
    /// As [`Evaluator::add_assign`].
    pub fn sub_assign(&self, a: &mut Ciphertext, b: &Ciphertext) -> Result<()> {
        self.combine_assign(a, b, NttTable::sub_assign, true)
    }

    /// a − b.
    ///
    /// # Errors
    /// As [`Evaluator::add_assign`].
    pub fn sub(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext> {
        let mut out = self.at_level_of(a, b.level());
        self.sub_assign(&mut out, b)?;
        Ok(out)
    }

    /// out ← a − b.
    ///
    /// # Errors
    /// As [`Evaluator::add_assign`].
    pub fn sub_into(&self, a: &Ciphertext, b: &Ciphertext, out: &mut Ciphertext) -> Result<()> {
        copy(a, a.level().min(b.level()), out);
        self.sub_assign(out, b)
    }

    /// a at the lower one of its own level and another.
    fn at_level_of(&self, a: &Ciphertext, level: usize) -> Ciphertext {
        let level = a.level().min(level);
        let mut out = self.blank(a.generation, a.parts.len(), level);
        copy(a, level, &mut out);
        out
    }

    fn combine_plain(
        &self,
        a: &mut Ciphertext,
        b: &Plaintext,
        op: impl Fn(&NttTable, &mut [f64], &[f64]) + Sync,
    ) -> Result<()> {
        a.check(&self.params)?;
        b.check(&self.params)?;
        check_scales(a.scale, b.scale)?;
        self.drop_to_level_assign(a, a.level().min(b.level()))?;
        a.log_slots = a.log_slots.max(b.log_slots);
        for_each(a.parts[0].limbs_mut(), |i, x| op(self.params.qp().table(i), x, b.poly.limb(i)));
        Ok(())
    }

    /// a ← a + b for a plaintext b.
    ///
    /// # Errors
    /// As [`Evaluator::add_assign`].
    pub fn add_plain_assign(&self, a: &mut Ciphertext, b: &Plaintext) -> Result<()> {
        self.combine_plain(a, b, NttTable::add_assign)
    }

    /// a + b for a plaintext b.
    ///
    /// # Errors
    /// As [`Evaluator::add_assign`].
    pub fn add_plain(&self, a: &Ciphertext, b: &Plaintext) -> Result<Ciphertext> {
        let mut out = self.at_level_of(a, b.level());
        self.add_plain_assign(&mut out, b)?;
        Ok(out)
    }

    /// a ← a − b for a plaintext b.
    ///
    /// # Errors
    /// As [`Evaluator::add_assign`].
    pub fn sub_plain_assign(&self, a: &mut Ciphertext, b: &Plaintext) -> Result<()> {
        self.combine_plain(a, b, NttTable::sub_assign)
    }

    /// a − b for a plaintext b.
    ///
    /// # Errors
    /// As [`Evaluator::add_assign`].
    pub fn sub_plain(&self, a: &Ciphertext, b: &Plaintext) -> Result<Ciphertext> {
        let mut out = self.at_level_of(a, b.level());
        self.sub_plain_assign(&mut out, b)?;
        Ok(out)
    }

    /// a ← −a.
    ///
    /// # Errors
    /// [`Error::OtherParameters`].
    pub fn negate_assign(&self, a: &mut Ciphertext) -> Result<()> {
        a.check(&self.params)?;
        for_each_limb(&mut a.parts, |_, i, x| self.params.qp().table(i).neg_assign(x));
        Ok(())
    }

    /// −a.
    ///
    /// # Errors
    /// [`Error::OtherParameters`].
    pub fn negate(&self, a: &Ciphertext) -> Result<Ciphertext> {
        let mut out = self.at_level_of(a, a.level());
        self.negate_assign(&mut out)?;
        Ok(out)
    }

    /// a ← a + c in every slot. Costs one pass over c_0 and no encoding.
    ///
    /// # Errors
    /// [`Error::OtherParameters`], [`Error::NotFinite`], [`Error::Overflow`].
    pub fn add_constant_assign(&self, a: &mut Ciphertext, c: impl Into<Complex64>) -> Result<()> {
        a.check(&self.params)?;
        let values = self.constant_values(c.into(), a.scale, a.level())?;
        for_each(a.parts[0].limbs_mut(), |i, x| {
            let table = self.params.qp().table(i);
            if values[i][0] == values[i][1] {
                return table.add_scalar_assign(x, values[i][0]);
            }
            let modulus = table.modulus();
            let (low, high) = x.split_at_mut(x.len() / 2);
            for (half, c) in [(low, values[i][0]), (high, values[i][1])] {
                let c = modulus.centre(c) as f64;
                half.iter_mut().for_each(|x| *x += c);
            }
            // Sums of two centred residues are below q: a product with 1 centres them again.
            table.mul_scalar_assign(x, 1);
        });
        Ok(())
    }

    /// a + c in every slot.
    ///
    /// # Errors
    /// As [`Evaluator::add_constant_assign`].
    pub fn add_constant(&self, a: &Ciphertext, c: impl Into<Complex64>) -> Result<Ciphertext> {
        let mut out = self.at_level_of(a, a.level());
        self.add_constant_assign(&mut out, c)?;
        Ok(out)
    }

    /// a ← a + c·b for a real constant c encoded at a scale of its own. The scale of a has to be the product of that and the scale of b,
    /// and b at the level of a or above it.
    ///
    /// # Errors
    /// [`Error::ScaleMismatch`], [`Error::LowLevel`], [`Error::Degree`] if b has a higher degree than a, [`Error::NotFinite`],
    /// [`Error::Overflow`], [`Error::OtherParameters`], [`Error::OtherKeys`].
    pub fn add_multiple(&self, a: &mut Ciphertext, b: &Ciphertext, c: f64, scale: f64) -> Result<()> {
        a.check(&self.params)?;
        b.check(&self.params)?;
        b.generation.check(a.generation)?;
        check_scales(a.scale, b.scale * scale)?;
        check_reaches(b.level(), a.level())?;
        if b.degree() > a.degree() {
            return Err(Error::Degree { degree: b.degree(), wanted: a.degree() });
        }
        let values = self.constant_values(c.into(), scale, a.level())?;
        a.log_slots = a.log_slots.max(b.log_slots);
        for_each_limb(&mut a.parts[..b.parts.len()], |k, i, x| {
            self.params.qp().table(i).mul_scalar_add_assign(x, b.parts[k].limb(i), values[i][0]);
        });
        Ok(())
    }

    /// The two values of the constant's polynomial, by limb.
    pub(super) fn constant_values(&self, c: Complex64, scale: f64, level: usize) -> Result<Vec<[u64; 2]>> {
        if !c.is_finite() {
            return Err(Error::NotFinite { slot: 0, value: if c.re.is_finite() { c.im } else { c.re } });
        }
        let (integers, log_q) = (constant(c, scale), self.params.log_q(level));
        let needed = integers[0].abs().max(integers[1].abs()).log2() + 1.0;
        if exceeds(needed, log_q) {
            return Err(Error::Overflow { needed, scale, level, log_q });
        }
        (0..=level).map(|i| constant_values(self.params.q(i), integers)).collect()
    }

    /// a ← c·a in every slot, with c encoded at a scale of its own, by which the scale of a is multiplied. A scale of q_level and a rescaling
    /// afterwards leave the scale of a as it is.
    ///
    /// # Errors
    /// [`Error::OtherParameters`], [`Error::NotFinite`], [`Error::Overflow`], [`Error::Scale`].
    pub fn mul_constant_assign(&self, a: &mut Ciphertext, c: impl Into<Complex64>, scale: f64) -> Result<()> {
        a.check(&self.params)?;
        let product = self.product_scale(a.scale, scale, a.level())?;
        let values = self.constant_values(c.into(), scale, a.level())?;
        self.mul_values(a, &values);
        a.scale = product;
        Ok(())
    }

    /// c·a in every slot.
    ///
    /// # Errors
    /// As [`Evaluator::mul_constant_assign`].
    pub fn mul_constant(&self, a: &Ciphertext, c: impl Into<Complex64>, scale: f64) -> Result<Ciphertext> {
        let mut out = self.at_level_of(a, a.level());
        self.mul_constant_assign(&mut out, c, scale)?;
        Ok(out)
    }

    /// Multiplies by constants with two values a limb.
    fn mul_values(&self, a: &mut Ciphertext, values: &[[u64; 2]]) {
        for_each_limb(&mut a.parts, |_, i, x| {
            let (table, [low, high]) = (self.params.qp().table(i), values[i]);
            if low == high {
                return table.mul_scalar_assign(x, low);
            }
            let mut factor = vec![table.modulus().centre(low) as f64; x.len()];
            factor[x.len() / 2..].fill(table.modulus().centre(high) as f64);
            table.mul_assign(x, &factor);
        });
    }

    /// a ← c·a for an integer c; the scale stays.
    ///
    /// # Errors
    /// [`Error::OtherParameters`].
    pub fn mul_integer_assign(&self, a: &mut Ciphertext, c: i64) -> Result<()> {
        a.check(&self.params)?;
        let values: Vec<_> = (0..=a.level()).map(|i| [self.params.q(i).reduce_i64(c); 2]).collect();
        self.mul_values(a, &values);
        Ok(())
    }

    /// c·a for an integer c; the scale stays.
    ///
    /// # Errors
    /// [`Error::OtherParameters`].
    pub fn mul_integer(&self, a: &Ciphertext, c: i64) -> Result<Ciphertext> {
        let mut out = self.at_level_of(a, a.level());
        self.mul_integer_assign(&mut out, c)?;
        Ok(out)
    }

    /// a ← i·a: a product with the monomial X^(N/2), exact, without noise and without a level.
    ///
    /// # Errors
    /// [`Error::OtherParameters`].
    pub fn mul_i_assign(&self, a: &mut Ciphertext) -> Result<()> {
        a.check(&self.params)?;
        for_each_limb(&mut a.parts, |_, i, x| {
            let table = self.params.qp().table(i);
            let root = table.modulus().root_of_unity(1).expect("an NTT prime is 1 modulo 4");
            table.mul_scalar_assign(x, root);
            let half = x.len() / 2;
            x[half..].iter_mut().for_each(|x| *x = 0.0 - *x);
        });
        Ok(())
    }

    /// i·a.
    ///
    /// # Errors
    /// [`Error::OtherParameters`].
    pub fn mul_i(&self, a: &Ciphertext) -> Result<Ciphertext> {
        let mut out = self.at_level_of(a, a.level());
        self.mul_i_assign(&mut out)?;
        Ok(out)
    }

    /// a ← a·b, slot by slot, for a plaintext b.
    ///
    /// # Errors
    /// [`Error::OtherParameters`], [`Error::Scale`] if the product of the scales is beyond the modulus.
    pub fn mul_plain_assign(&self, a: &mut Ciphertext, b: &Plaintext) -> Result<()> {
        a.check(&self.params)?;
        b.check(&self.params)?;
        let level = a.level().min(b.level());
        let scale = self.product_scale(a.scale, b.scale, level)?;
        self.drop_to_level_assign(a, level)?;
        for_each_limb(&mut a.parts, |_, i, x| self.params.qp().table(i).mul_assign(x, b.poly.limb(i)));
        a.scale = scale;
        a.log_slots = a.log_slots.max(b.log_slots);
        Ok(())
    }

    /// a·b, slot by slot, for a plaintext b.
    ///
    /// # Errors
    /// As [`Evaluator::mul_plain_assign`].
    pub fn mul_plain(&self, a: &Ciphertext, b: &Plaintext) -> Result<Ciphertext> {
        let mut out = self.at_level_of(a, b.level());
        self.mul_plain_assign(&mut out, b)?;
        Ok(out)
    }

    /// out ← a·b, slot by slot, for a plaintext b.
    ///
    /// # Errors
    /// As [`Evaluator::mul_plain_assign`].
    pub fn mul_plain_into(&self, a: &Ciphertext, b: &Plaintext, out: &mut Ciphertext) -> Result<()> {
        copy(a, a.level().min(b.level()), out);
        self.mul_plain_assign(out, b)
    }

    /// The product of two scales, if it is below the modulus.
    pub(crate) fn product_scale(&self, a: f64, b: f64, level: usize) -> Result<f64> {
        let (scale, log_q) = (a * b, self.params.log_q(level));
        if scale.is_finite() && scale > 0.0 && scale.log2() < log_q {
            Ok(scale)
        } else {
            Err(Error::Scale { scale, level, log_q })
        }
    }

    /// a ← a/q_level, rounded: the level falls by one, the scale is divided by q_level, the values stay.
    ///
    /// # Errors
    /// [`Error::NoLevelsLeft`], [`Error::OtherParameters`].
    pub fn rescale_assign(&self, a: &mut Ciphertext) -> Result<()> {
        self.rescale_by_assign(a, 1)
    }

    /// [`Evaluator::rescale_assign`] by the product of the highest `count` primes at once: one rounding.
    ///
    /// # Errors
    /// As [`Evaluator::rescale_assign`].
    pub fn rescale_by_assign(&self, a: &mut Ciphertext, count: usize) -> Result<()> {
        a.check(&self.params)?;
        let level = a.level();
        if count > level {
            return Err(Error::NoLevelsLeft { operation: "rescaling", needed: count, level });
        }
        if count == 0 {
            return Ok(());
        }
        let divider = self.params.divider(level + 1 - count, level + 1, 0);
        let mut parts: Vec<_> = a.parts.iter_mut().map(RnsPoly::view_mut).collect();
        self.divide(&divider, &mut parts);
        a.parts.iter_mut().for_each(|part| part.reshape(level + 1 - count));
        // Prime by prime, as rescaling one by one does: the tracked scales are then equal, not only close.
        a.scale = (level + 1 - count..=level).rev().fold(a.scale, |scale, l| scale / self.params.q(l).as_f64());
        Ok(())
    }

    /// a/q_level, rounded.
    ///
    /// # Errors
    /// As [`Evaluator::rescale_assign`].
    pub fn rescale(&self, a: &Ciphertext) -> Result<Ciphertext> {
        let mut out = self.at_level_of(a, a.level());
        self.rescale_assign(&mut out)?;
        Ok(out)
    }

    /// out ← a/q_level, rounded.
    ///
    /// # Errors
    /// As [`Evaluator::rescale_assign`].
    pub fn rescale_into(&self, a: &Ciphertext, out: &mut Ciphertext) -> Result<()> {
        copy(a, a.level(), out);
        self.rescale_assign(out)
    }

    /// Forgets limbs: the level falls, values and scale stay, no noise is added. Values have to fit what is left of the modulus: those of q_0 ⋯
    /// q_level / (2·scale) and more wrap around.
    ///
    /// # Errors
    /// [`Error::LowLevel`] if the ciphertext is below that level.
    pub fn drop_to_level_assign(&self, a: &mut Ciphertext, level: usize) -> Result<()> {
        check_reaches(a.level(), level)?;
        a.parts.iter_mut().for_each(|part| part.reshape(level + 1));
        Ok(())
    }

    /// a at a lower level.
    ///
    /// # Errors
    /// [`Error::LowLevel`] if the ciphertext is below that level.
    pub fn drop_to_level(&self, a: &Ciphertext, level: usize) -> Result<Ciphertext> {
        check_reaches(a.level(), level)?;
        Ok(self.at_level_of(a, level))
    }

    /// a at a lower level and exactly this scale, so that it can be added to what is there. Where the scale differs it takes a product with a
    /// constant near scale·q/(scale of a), and so at least one level; the values change by less than 2^−(log2 of that constant).
    ///
    /// # Errors
    /// [`Error::LowLevel`] if the ciphertext is below that level; [`Error::ScaleMismatch`] if it is at that level with another scale, or if the
    /// constant would be below 2^20; [`Error::Scale`] for a scale that is not positive, finite and below the modulus;
    /// [`Error::OtherParameters`].
    pub fn adjust(&self, a: &Ciphertext, level: usize, scale: f64) -> Result<Ciphertext> {
        a.check(&self.params)?;
        if level >= a.level() || check_scales(a.scale, scale).is_ok() {
            check_scales(a.scale, scale)?;
            return self.drop_to_level(a, level);
        }
        let mut out = self.drop_to_level(a, level + 1)?;
        let factor = (scale / a.scale) * self.params.q(level + 1).as_f64();
        if factor < f64::from(1 << 20) {
            return Err(Error::ScaleMismatch { left: a.scale, right: scale });
        }
        self.mul_constant_assign(&mut out, 1.0, factor)?;
        self.rescale_assign(&mut out)?;
        out.scale = scale;
        Ok(out)
    }
}

/// Overwrites `out` with a at a lower level, in the memory that it has.
pub(super) fn copy(a: &Ciphertext, level: usize, out: &mut Ciphertext) {
    out.parts.retain(|part| part.n() == a.parts[0].n());
    out.parts.resize_with(a.parts.len(), || RnsPoly::zero(a.parts[0].n(), 0));
    out.parts.iter_mut().for_each(|part| part.reshape(level + 1));
    for_each_limb(&mut out.parts, |k, i, out| out.copy_from_slice(a.parts[k].limb(i)));
    (out.hash, out.generation, out.scale, out.log_slots) = (a.hash, a.generation, a.scale, a.log_slots);
}
