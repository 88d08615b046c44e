//! Addition, subtraction, constants, products with plaintexts, rescaling and level changes.

use hetal_kernel::{NttTable, RnsPoly};
use num_complex::Complex64;

use super::Evaluator;
use crate::base::error::{Error, Result, check_reaches};
use crate::base::parallel::{for_each, for_each_limb};
use crate::ckks::ciphertext::{Ciphertext, Plaintext, check_scales};
use crate::ckks::encoding::{constant, constant_values, exceeds};

impl Evaluator {
    /// Computes a ← a op b. With `negate`, the parts that only b has are negated.
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

    /// Adds b to a in place. The degrees may differ.
    ///
    /// # Errors
    /// [`Error::ScaleMismatch`], [`Error::OtherParameters`], [`Error::OtherKeys`].
    pub fn add_assign(&self, a: &mut Ciphertext, b: &Ciphertext) -> Result<()> {
        self.combine_assign(a, b, NttTable::add_assign, false)
    }

    /// Returns a + b.
    ///
    /// # Errors
    /// As [`Evaluator::add_assign`].
    pub fn add(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext> {
        let mut out = self.at_level_of(a, b.level());
        self.add_assign(&mut out, b)?;
        Ok(out)
    }

    /// Writes a + b to `out`.
    ///
    /// # Errors
    /// As [`Evaluator::add_assign`].
    pub fn add_into(&self, a: &Ciphertext, b: &Ciphertext, out: &mut Ciphertext) -> Result<()> {
        copy(a, a.level().min(b.level()), out);
        self.add_assign(out, b)
    }

    /// Subtracts b from a in place. The degrees may differ.
    ///
    /// # Errors
    /// As [`Evaluator::add_assign`].
    pub fn sub_assign(&self, a: &mut Ciphertext, b: &Ciphertext) -> Result<()> {
        self.combine_assign(a, b, NttTable::sub_assign, true)
    }

    /// Returns a − b.
    ///
    /// # Errors
    /// As [`Evaluator::add_assign`].
    pub fn sub(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext> {
        let mut out = self.at_level_of(a, b.level());
        self.sub_assign(&mut out, b)?;
        Ok(out)
    }

    /// Writes a − b to `out`.
    ///
    /// # Errors
    /// As [`Evaluator::add_assign`].
    pub fn sub_into(&self, a: &Ciphertext, b: &Ciphertext, out: &mut Ciphertext) -> Result<()> {
        copy(a, a.level().min(b.level()), out);
        self.sub_assign(out, b)
    }

    /// Returns a copy of a at the lower one of its level and `level`.
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

    /// Adds the plaintext b to a in place.
    ///
    /// # Errors
    /// As [`Evaluator::add_assign`].
    pub fn add_plain_assign(&self, a: &mut Ciphertext, b: &Plaintext) -> Result<()> {
        self.combine_plain(a, b, NttTable::add_assign)
    }

    /// Returns a + b for a plaintext b.
    ///
    /// # Errors
    /// As [`Evaluator::add_assign`].
    pub fn add_plain(&self, a: &Ciphertext, b: &Plaintext) -> Result<Ciphertext> {
        let mut out = self.at_level_of(a, b.level());
        self.add_plain_assign(&mut out, b)?;
        Ok(out)
    }

    /// Subtracts the plaintext b from a in place.
    ///
    /// # Errors
    /// As [`Evaluator::add_assign`].
    pub fn sub_plain_assign(&self, a: &mut Ciphertext, b: &Plaintext) -> Result<()> {
        self.combine_plain(a, b, NttTable::sub_assign)
    }

    /// Returns a − b for a plaintext b.
    ///
    /// # Errors
    /// As [`Evaluator::add_assign`].
    pub fn sub_plain(&self, a: &Ciphertext, b: &Plaintext) -> Result<Ciphertext> {
        let mut out = self.at_level_of(a, b.level());
        self.sub_plain_assign(&mut out, b)?;
        Ok(out)
    }

    /// Negates a in place.
    ///
    /// # Errors
    /// [`Error::OtherParameters`].
    pub fn negate_assign(&self, a: &mut Ciphertext) -> Result<()> {
        a.check(&self.params)?;
        for_each_limb(&mut a.parts, |_, i, x| self.params.qp().table(i).neg_assign(x));
        Ok(())
    }

    /// Returns −a.
    ///
    /// # Errors
    /// [`Error::OtherParameters`].
    pub fn negate(&self, a: &Ciphertext) -> Result<Ciphertext> {
        let mut out = self.at_level_of(a, a.level());
        self.negate_assign(&mut out)?;
        Ok(out)
    }

    /// Adds c to every slot of a in place. This costs one pass over c_0 and no encoding.
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
            // A sum of two centred residues is below q in absolute value:
            // a product with 1 centres it again.
            table.mul_scalar_assign(x, 1);
        });
        Ok(())
    }

    /// Returns a with c added to every slot.
    ///
    /// # Errors
    /// As [`Evaluator::add_constant_assign`].
    pub fn add_constant(&self, a: &Ciphertext, c: impl Into<Complex64>) -> Result<Ciphertext> {
        let mut out = self.at_level_of(a, a.level());
        self.add_constant_assign(&mut out, c)?;
        Ok(out)
    }

    /// Adds c·b to a in place, for a real constant c that is encoded at `scale`.
    /// The scale of a has to be the product of `scale` and the scale of b, and b has to be at the
    /// level of a or above it.
    ///
    /// # Errors
    /// [`Error::ScaleMismatch`], [`Error::LowLevel`], [`Error::Degree`] if b has a higher degree
    /// than a, [`Error::NotFinite`], [`Error::Overflow`], [`Error::OtherParameters`],
    /// [`Error::OtherKeys`].
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

    /// Returns, for each limb, the two values that the polynomial of a constant takes.
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

    /// Multiplies every slot of a by c in place. The constant is encoded at `scale`,
    /// and the scale of a is multiplied by `scale`. With `scale` = q_level, a rescaling afterwards
    /// restores the scale of a.
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

    /// Returns a with every slot multiplied by c.
    ///
    /// # Errors
    /// As [`Evaluator::mul_constant_assign`].
    pub fn mul_constant(&self, a: &Ciphertext, c: impl Into<Complex64>, scale: f64) -> Result<Ciphertext> {
        let mut out = self.at_level_of(a, a.level());
        self.mul_constant_assign(&mut out, c, scale)?;
        Ok(out)
    }

    /// Multiplies by a constant that is given by its two values for each limb.
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

    /// Multiplies a by an integer in place; the scale stays.
    ///
    /// # Errors
    /// [`Error::OtherParameters`].
    pub fn mul_integer_assign(&self, a: &mut Ciphertext, c: i64) -> Result<()> {
        a.check(&self.params)?;
        let values: Vec<_> = (0..=a.level()).map(|i| [self.params.q(i).reduce_i64(c); 2]).collect();
        self.mul_values(a, &values);
        Ok(())
    }

    /// Returns c·a for an integer c; the scale stays.
    ///
    /// # Errors
    /// [`Error::OtherParameters`].
    pub fn mul_integer(&self, a: &Ciphertext, c: i64) -> Result<Ciphertext> {
        let mut out = self.at_level_of(a, a.level());
        self.mul_integer_assign(&mut out, c)?;
        Ok(out)
    }

    /// Multiplies a by the imaginary unit in place. This is a product with the monomial X^(N/2):
    /// it is exact, adds no noise and takes no level.
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

    /// Returns i·a for the imaginary unit i.
    ///
    /// # Errors
    /// [`Error::OtherParameters`].
    pub fn mul_i(&self, a: &Ciphertext) -> Result<Ciphertext> {
        let mut out = self.at_level_of(a, a.level());
        self.mul_i_assign(&mut out)?;
        Ok(out)
    }

    /// Multiplies a by the plaintext b in place, slot by slot.
    ///
    /// # Errors
    /// [`Error::OtherParameters`], [`Error::Scale`] if the product of the scales is beyond the
    /// modulus.
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

    /// Returns a·b, slot by slot, for a plaintext b.
    ///
    /// # Errors
    /// As [`Evaluator::mul_plain_assign`].
    pub fn mul_plain(&self, a: &Ciphertext, b: &Plaintext) -> Result<Ciphertext> {
        let mut out = self.at_level_of(a, b.level());
        self.mul_plain_assign(&mut out, b)?;
        Ok(out)
    }

    /// Writes a·b to `out`, slot by slot, for a plaintext b.
    ///
    /// # Errors
    /// As [`Evaluator::mul_plain_assign`].
    pub fn mul_plain_into(&self, a: &Ciphertext, b: &Plaintext, out: &mut Ciphertext) -> Result<()> {
        copy(a, a.level().min(b.level()), out);
        self.mul_plain_assign(out, b)
    }

    /// Returns the product of two scales, which has to be below the modulus.
    pub(crate) fn product_scale(&self, a: f64, b: f64, level: usize) -> Result<f64> {
        let (scale, log_q) = (a * b, self.params.log_q(level));
        if scale.is_finite() && scale > 0.0 && scale.log2() < log_q {
            Ok(scale)
        } else {
            Err(Error::Scale { scale, level, log_q })
        }
    }

    /// Divides a by q_level and rounds, in place: the level falls by one, the scale is divided by
    /// q_level, and the values stay.
    ///
    /// # Errors
    /// [`Error::NoLevelsLeft`], [`Error::OtherParameters`].
    pub fn rescale_assign(&self, a: &mut Ciphertext) -> Result<()> {
        self.rescale_by_assign(a, 1)
    }

    /// Rescales by the product of the highest `count` primes at once, with one rounding (see
    /// [`Evaluator::rescale_assign`]).
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
        // The scale is divided prime by prime, as repeated rescaling does:
        // the tracked scales are then equal, not only close.
        a.scale = (level + 1 - count..=level).rev().fold(a.scale, |scale, l| scale / self.params.q(l).as_f64());
        Ok(())
    }

    /// Returns a/q_level, rounded.
    ///
    /// # Errors
    /// As [`Evaluator::rescale_assign`].
    pub fn rescale(&self, a: &Ciphertext) -> Result<Ciphertext> {
        let mut out = self.at_level_of(a, a.level());
        self.rescale_assign(&mut out)?;
        Ok(out)
    }

    /// Writes a/q_level, rounded, to `out`.
    ///
    /// # Errors
    /// As [`Evaluator::rescale_assign`].
    pub fn rescale_into(&self, a: &Ciphertext, out: &mut Ciphertext) -> Result<()> {
        copy(a, a.level(), out);
        self.rescale_assign(out)
    }

    /// Drops limbs: the level falls, values and scale stay, and no noise is added.
    /// The values have to fit the remaining modulus: those of q_0 ⋯ q_level / (2·scale) and more
    /// wrap around.
    ///
    /// # Errors
    /// [`Error::LowLevel`] if the ciphertext is below that level.
    pub fn drop_to_level_assign(&self, a: &mut Ciphertext, level: usize) -> Result<()> {
        check_reaches(a.level(), level)?;
        a.parts.iter_mut().for_each(|part| part.reshape(level + 1));
        Ok(())
    }

    /// Returns a at a lower level.
    ///
    /// # Errors
    /// [`Error::LowLevel`] if the ciphertext is below that level.
    pub fn drop_to_level(&self, a: &Ciphertext, level: usize) -> Result<Ciphertext> {
        check_reaches(a.level(), level)?;
        Ok(self.at_level_of(a, level))
    }

    /// Returns a at a lower level and exactly this scale, so that it can be added to other
    /// ciphertexts there. If the scales differ, this takes a product with a constant near
    /// scale·q/(scale of a), and so at least one level; the values change by less than 2^−(log2 of
    /// that constant).
    ///
    /// # Errors
    /// [`Error::LowLevel`] if the ciphertext is below that level; [`Error::ScaleMismatch`] if it is
    /// at that level with another scale, or if the constant would be below 2^20;
    /// [`Error::Scale`] for a scale that is not positive, finite and below the modulus;
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

/// Overwrites `out` with a at a lower level and reuses the memory of `out`.
pub(super) fn copy(a: &Ciphertext, level: usize, out: &mut Ciphertext) {
    out.parts.retain(|part| part.n() == a.parts[0].n());
    out.parts.resize_with(a.parts.len(), || RnsPoly::zero(a.parts[0].n(), 0));
    out.parts.iter_mut().for_each(|part| part.reshape(level + 1));
    for_each_limb(&mut out.parts, |k, i, out| out.copy_from_slice(a.parts[k].limb(i)));
    (out.hash, out.generation, out.scale, out.log_slots) = (a.hash, a.generation, a.scale, a.log_slots);
}
