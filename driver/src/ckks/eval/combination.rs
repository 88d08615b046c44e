//! Linear combinations of products, ciphertexts and a constant, whose limbs are computed where they
//! are used.

use std::slice;

use crate::base::error::{Result, check_reaches};
use crate::base::key_generation::KeyGeneration;
use crate::ckks::ciphertext::{Ciphertext, check_scales};
use crate::ckks::params::Parameters;

use super::Evaluator;

/// A combination factor·Σ a·b + Σ c·x + constant at one level and scale:
/// products and polynomials consist of such sums. It is not stored: a part that is added only once,
/// to another polynomial, is computed in the cache.
pub(crate) struct Combination<'a> {
    params: &'a Parameters,
    pub(super) generation: KeyGeneration,
    pub(super) level: usize,
    pub(super) scale: f64,
    pub(super) log_slots: u32,
    factor: u64,
    pairs: Vec<(&'a Ciphertext, &'a Ciphertext)>,
    /// The ciphertexts x, each with the values of its c by limb.
    multiples: Vec<(&'a Ciphertext, Vec<u64>)>,
    /// The values of the constant by limb; `None` for zero.
    constant: Option<Vec<u64>>,
}

impl Evaluator {
    /// Describes a combination. All operands and the result are under the keys of `generation`.
    /// Each c is encoded at the quotient of `scale` and the scale of its x.
    /// The result has degree 2 if there is a product or if an x has degree 2.
    ///
    /// # Errors
    /// [`Error::LowLevel`] for an operand below the level, [`Error::Degree`] for a factor of degree
    /// 2, [`Error::ScaleMismatch`] if a product has another scale, [`Error::NotFinite`],
    /// [`Error::Overflow`], [`Error::Scale`], [`Error::OtherParameters`], [`Error::OtherKeys`].
    pub(crate) fn combination<'a>(
        &'a self,
        generation: KeyGeneration,
        (level, scale): (usize, f64),
        (factor, pairs): (u64, &[(&'a Ciphertext, &'a Ciphertext)]),
        multiples: &[(f64, &'a Ciphertext)],
        constant: f64,
    ) -> Result<Combination<'a>> {
        let factors = || pairs.iter().flat_map(|&(a, b)| [a, b]);
        let operands = || factors().chain(multiples.iter().map(|&(_, x)| x));
        for x in operands() {
            x.check(&self.params)?;
            x.generation.check(generation)?;
            check_reaches(x.level(), level)?;
        }
        factors().try_for_each(|x| x.check_degree(1))?;
        let scale = self.product_scale(scale, 1.0, level)?;
        pairs.iter().try_for_each(|(a, b)| check_scales(scale, a.scale * b.scale))?;
        // The polynomial of a real constant is constant, so that both of its values in a limb are
        // equal.
        let values = |c: f64, scale: f64| -> Result<Vec<u64>> {
            Ok(self.constant_values(c.into(), scale, level)?.into_iter().map(|[value, _]| value).collect())
        };
        Ok(Combination {
            params: &self.params,
            generation,
            level,
            scale,
            log_slots: operands().map(|x| x.log_slots).max().unwrap_or(0),
            factor,
            pairs: pairs.to_vec(),
            multiples: multiples.iter().map(|&(c, x)| Ok((x, values(c, scale / x.scale)?))).collect::<Result<_>>()?,
            constant: (constant != 0.0).then(|| values(constant, scale)).transpose()?,
        })
    }
}

impl Combination<'_> {
    /// Returns the degree of the sum.
    pub(super) fn degree(&self) -> usize {
        let multiples = self.multiples.iter().map(|(x, _)| x.degree()).max().unwrap_or(1);
        multiples.max(1 + usize::from(!self.pairs.is_empty()))
    }

    /// Writes limb j of a part to `out`.
    pub(super) fn limb_into(&self, part: usize, j: usize, out: &mut [f64]) {
        let table = self.params.qp().table(j);
        let multiples = || self.multiples.iter().filter_map(|(x, c)| Some((x.parts.get(part)?.limb(j), c[j])));
        if self.pairs.is_empty() {
            let (limbs, values): (Vec<_>, Vec<_>) =
                multiples().map(|(x, c)| (x, table.modulus().centre(c) as f64)).unzip();
            let values: Vec<_> = values.iter().map(slice::from_ref).collect();
            let n = out.len();
            table.dot_repeated_into([&mut *out], &values, [&limbs], n);
        } else {
            // Part k of a product is Σ a_i·b_(k−i).
            let split = (0..=part).filter(|&i| i < 2 && part - i < 2);
            let terms = split.flat_map(|i| self.pairs.iter().map(move |(a, b)| (&a.parts[i], &b.parts[part - i])));
            let (a, b): (Vec<_>, Vec<_>) = terms.map(|(a, b)| (a.limb(j), b.limb(j))).unzip();
            table.dot_into([&mut *out], &a, [&b]);
            if self.factor != 1 {
                table.mul_scalar_assign(out, self.factor);
            }
            multiples().for_each(|(x, c)| table.mul_scalar_add_assign(out, x, c));
        }
        if let Some(constant) = self.constant.as_ref().filter(|_| part == 0) {
            table.add_scalar_assign(out, constant[j]);
        }
    }
}
