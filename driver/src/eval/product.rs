//! Products of ciphertexts, relinearisation.

use std::slice;

use hetal_kernel::{Eval, RnsPoly};

use super::Evaluator;
use super::switch::Job;
use crate::ciphertext::{Ciphertext, check_scales};
use crate::error::{Error, Result};
use crate::keys::KeyId;
use crate::parallel::for_each_limb;

impl Evaluator {
    /// Σ a·b over the pairs, of degree 2: one relinearisation serves the whole sum.
    ///
    /// # Errors
    /// [`Error::Count`] for an empty list, [`Error::Degree`] for operands of degree 2, [`Error::ScaleMismatch`] if the products have different
    /// scales, [`Error::Scale`], [`Error::OtherParameters`].
    pub fn dot_lazy(&self, pairs: &[(&Ciphertext, &Ciphertext)]) -> Result<Ciphertext> {
        let level = pairs.iter().map(|(a, b)| a.level().min(b.level())).min().unwrap_or(0);
        let mut out = self.blank(3, level);
        self.dot_lazy_into(pairs, &mut out)?;
        Ok(out)
    }

    /// [`Evaluator::dot_lazy`] into a ciphertext.
    ///
    /// # Errors
    /// As [`Evaluator::dot_lazy`].
    pub fn dot_lazy_into(&self, pairs: &[(&Ciphertext, &Ciphertext)], out: &mut Ciphertext) -> Result<()> {
        let Some(&(first, second)) = pairs.first() else {
            return Err(Error::Count { what: "products to sum", found: 0, wanted: 1 });
        };
        let both = || pairs.iter().flat_map(|&(a, b)| [a, b]);
        for x in both() {
            x.check(&self.params)?;
            x.check_degree(1)?;
        }
        let level = both().map(Ciphertext::level).min().expect("not empty");
        let scale = self.product_scale(first.scale, second.scale, level)?;
        pairs.iter().try_for_each(|(a, b)| check_scales(scale, a.scale * b.scale))?;
        out.reshape(&self.params, 3, level + 1);
        out.scale = scale;
        out.log_slots = both().map(|x| x.log_slots).max().expect("not empty");
        // Part k is the sum of a_i·b_(k−i).
        let terms = [0, 1, 2].map(|part| {
            let split = (0..=part).filter(|&i| i < 2 && part - i < 2);
            let terms = split.flat_map(|i| pairs.iter().map(move |(a, b)| (&a.parts[i], &b.parts[part - i])));
            terms.collect::<Vec<(&RnsPoly<Eval>, &RnsPoly<Eval>)>>()
        });
        for_each_limb(&mut out.parts, |part, j, out| {
            let a: Vec<_> = terms[part].iter().map(|(a, _)| a.limb(j)).collect();
            let b: Vec<_> = terms[part].iter().map(|(_, b)| b.limb(j)).collect();
            self.params.qp().table(j).dot_into([out], &a, [&b]);
        });
        Ok(())
    }

    /// a·b of degree 2, to be summed or [relinearised](Evaluator::relinearise).
    ///
    /// # Errors
    /// As [`Evaluator::dot_lazy`].
    pub fn mul_lazy(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext> {
        self.dot_lazy(&[(a, b)])
    }

    /// factor·a·b + Σ c·x + constant at this level and scale, in one pass over memory: what polynomials consist of. Each c is encoded at what
    /// the scale of its x lacks. Of degree 2 if there is a product or an x is.
    ///
    /// # Errors
    /// [`Error::Level`] for an operand below the level, [`Error::Degree`] for a factor of degree 2, [`Error::NotFinite`], [`Error::Overflow`],
    /// [`Error::Scale`], [`Error::OtherParameters`].
    pub(crate) fn combine(
        &self,
        (level, scale): (usize, f64),
        product: Option<(u64, &Ciphertext, &Ciphertext)>,
        multiples: &[(f64, &Ciphertext)],
        constant: f64,
    ) -> Result<Ciphertext> {
        let factors = product.map(|(_, a, b)| [a, b]);
        for x in factors.iter().flatten() {
            x.check_degree(1)?;
        }
        let operands = || factors.iter().flatten().copied().chain(multiples.iter().map(|&(_, x)| x));
        for x in operands() {
            x.check(&self.params)?;
            if x.level() < level {
                return Err(Error::Level { level, max: x.level() });
            }
        }
        let scale = self.product_scale(scale, 1.0, level)?;
        let encode = |&(c, x): &(f64, &Ciphertext)| self.constant_values(c.into(), scale / x.scale, level);
        let values = multiples.iter().map(encode).collect::<Result<Vec<_>>>()?;
        let constants = self.constant_values(constant.into(), scale, level)?;
        let degree =
            multiples.iter().map(|(_, x)| x.degree()).max().unwrap_or(1).max(1 + usize::from(product.is_some()));
        let mut out = self.blank(degree + 1, level);
        (out.scale, out.log_slots) = (scale, operands().map(|x| x.log_slots).max().unwrap_or(0));
        for_each_limb(&mut out.parts, |part, j, out| {
            let table = self.params.qp().table(j);
            match product {
                Some((factor, a, b)) => {
                    let [a, b] = [a, b].map(|x| [x.parts[0].limb(j), x.parts[1].limb(j)]);
                    match part {
                        0 => table.dot_into([&mut *out], &a[..1], [&b[..1]]),
                        1 => table.dot_into([&mut *out], &a, [&[b[1], b[0]]]),
                        _ => table.dot_into([&mut *out], &a[1..], [&b[1..]]),
                    }
                    if factor != 1 {
                        table.mul_scalar_assign(out, factor);
                    }
                    for ((_, x), values) in multiples.iter().zip(&values) {
                        if let Some(x) = x.parts.get(part) {
                            table.mul_scalar_add_assign(out, x.limb(j), values[j][0]);
                        }
                    }
                }
                None => {
                    let terms = multiples.iter().zip(&values).filter_map(|(&(_, x), values)| {
                        Some((x.parts.get(part)?.limb(j), table.modulus().centre(values[j][0]) as f64))
                    });
                    let (limbs, weights): (Vec<_>, Vec<_>) = terms.unzip();
                    let weights: Vec<_> = weights.iter().map(slice::from_ref).collect();
                    let n = out.len();
                    table.dot_repeated_into([&mut *out], &weights, [&limbs], n);
                }
            }
            if part == 0 && constant != 0.0 {
                table.add_scalar_assign(out, constants[j][0]);
            }
        });
        Ok(out)
    }

    fn relinearise_to(&self, a: &Ciphertext, kept: usize, out: &mut Ciphertext) -> Result<()> {
        a.check(&self.params)?;
        a.check_degree(2)?;
        let key = self.key(KeyId::Relinearisation, a.level())?;
        out.reshape(&self.params, 2, kept);
        let [c0, c1, c2] = &a.parts[..] else { unreachable!("degree 2") };
        let [b, a_out] = &mut out.parts[..] else { unreachable!("two parts") };
        self.with_digits(&key.gadget, c2.view(), |digits| {
            let jobs = vec![Job { key: &key, out: [b, a_out] }];
            self.switch(digits, [Some(c0.view()), Some(c1.view())], kept, jobs);
        });
        (out.scale, out.log_slots) = (a.scale, a.log_slots);
        (kept..a.level() + 1).rev().for_each(|l| out.scale /= self.params.q(l).as_f64());
        Ok(())
    }

    /// The same value in degree 1.
    ///
    /// # Errors
    /// [`Error::Degree`] if the degree is not 2, [`Error::MissingKey`], [`Error::OtherParameters`].
    pub fn relinearise(&self, a: &Ciphertext) -> Result<Ciphertext> {
        let mut out = self.blank(2, a.level());
        self.relinearise_to(a, a.level() + 1, &mut out)?;
        Ok(out)
    }

    /// [`Evaluator::relinearise`] and [`Evaluator::rescale`] in one division.
    ///
    /// # Errors
    /// As both.
    pub fn relinearise_rescale(&self, a: &Ciphertext) -> Result<Ciphertext> {
        let mut out = self.blank(2, a.level().saturating_sub(1));
        self.relinearise_rescale_into(a, &mut out)?;
        Ok(out)
    }

    /// [`Evaluator::relinearise_rescale`] into a ciphertext.
    ///
    /// # Errors
    /// As [`Evaluator::relinearise_rescale`].
    pub fn relinearise_rescale_into(&self, a: &Ciphertext, out: &mut Ciphertext) -> Result<()> {
        if a.level() == 0 {
            return Err(Error::NoLevelsLeft { operation: "rescaling", needed: 1, level: 0 });
        }
        self.relinearise_to(a, a.level(), out)
    }

    /// Relinearises a product into `out`, rescales it or not, and takes back its memory.
    fn finish_product(&self, product: Ciphertext, rescale: bool, out: &mut Ciphertext) -> Result<()> {
        if rescale {
            self.relinearise_rescale_into(&product, out)?;
        } else {
            self.relinearise_to(&product, product.level() + 1, out)?;
        }
        self.recycle(product);
        Ok(())
    }

    /// a·b, slot by slot, relinearised, not rescaled.
    ///
    /// # Errors
    /// As [`Evaluator::dot_lazy`] and [`Evaluator::relinearise`].
    pub fn mul(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext> {
        let mut out = self.blank(2, a.level().min(b.level()));
        self.finish_product(self.mul_lazy(a, b)?, false, &mut out)?;
        Ok(out)
    }

    /// out ← a·b.
    ///
    /// # Errors
    /// As [`Evaluator::mul`].
    pub fn mul_into(&self, a: &Ciphertext, b: &Ciphertext, out: &mut Ciphertext) -> Result<()> {
        self.finish_product(self.mul_lazy(a, b)?, false, out)
    }

    /// a ← a·b.
    ///
    /// # Errors
    /// As [`Evaluator::mul`].
    pub fn mul_assign(&self, a: &mut Ciphertext, b: &Ciphertext) -> Result<()> {
        self.finish_product(self.mul_lazy(a, b)?, false, a)
    }

    /// a·b, relinearised and rescaled in one division: cheaper than one after the other, and with one rounding.
    ///
    /// # Errors
    /// As [`Evaluator::mul`] and [`Evaluator::rescale`].
    pub fn mul_rescale(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext> {
        let mut out = self.blank(2, a.level().min(b.level()).saturating_sub(1));
        self.finish_product(self.mul_lazy(a, b)?, true, &mut out)?;
        Ok(out)
    }

    /// out ← a·b, relinearised and rescaled.
    ///
    /// # Errors
    /// As [`Evaluator::mul_rescale`].
    pub fn mul_rescale_into(&self, a: &Ciphertext, b: &Ciphertext, out: &mut Ciphertext) -> Result<()> {
        self.finish_product(self.mul_lazy(a, b)?, true, out)
    }

    /// a ← a·b, relinearised and rescaled.
    ///
    /// # Errors
    /// As [`Evaluator::mul_rescale`].
    pub fn mul_rescale_assign(&self, a: &mut Ciphertext, b: &Ciphertext) -> Result<()> {
        self.finish_product(self.mul_lazy(a, b)?, true, a)
    }
}
