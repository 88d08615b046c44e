//! Rotations, conjugation and sums over slots.

use std::borrow::Cow;

use hetal_kernel::{Eval, GaloisElement, RnsPoly};

use super::Evaluator;
use super::sums::copy;
use super::switching::{Addend, Digits, Job};
use crate::base::error::{Result, check_reaches};
use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::keys::KeyId;
use crate::ckks::params::{GadgetShape, Parameters};

/// A ciphertext with its lifted digits, so that many rotations share one decomposition (Halevi and
/// Shoup, [CRYPTO 2018](https://eprint.iacr.org/2018/244)). It holds (digits)·(limbs + special
/// primes) limbs.
#[derive(Debug)]
pub struct Hoisted<'a> {
    evaluator: &'a Evaluator,
    ciphertext: &'a Ciphertext,
    shape: GadgetShape,
    digits: Vec<RnsPoly<Eval>>,
}

impl Drop for Hoisted<'_> {
    fn drop(&mut self) {
        self.evaluator.spares.give(self.digits.drain(..));
    }
}

impl Evaluator {
    /// Writes a(X^g) to `out` for a Galois element g: the slots are permuted or conjugated.
    ///
    /// # Errors
    /// [`Error::MissingKey`](crate::Error::MissingKey), [`Error::Degree`](crate::Error::Degree) if
    /// the degree is not 1, [`Error::OtherParameters`](crate::Error::OtherParameters),
    /// [`Error::OtherKeys`](crate::Error::OtherKeys).
    pub fn automorphism_into(&self, a: &Ciphertext, element: GaloisElement, out: &mut Ciphertext) -> Result<()> {
        a.check(&self.params)?;
        a.check_degree(1)?;
        if element.value() == 1 {
            copy(a, a.level(), out);
            return Ok(());
        }
        self.switched_into(a, element, None, out)
    }

    /// Writes a(X^g) + plus to `out`, for g other than 1.
    fn switched_into(
        &self,
        a: &Ciphertext,
        element: GaloisElement,
        plus: Option<&Ciphertext>,
        out: &mut Ciphertext,
    ) -> Result<()> {
        let key = self.key(KeyId::Galois(element), a.level(), a.generation)?;
        let [b, a_out] = prepare(&self.params, a, out);
        self.with_digits(&key.gadget, a.parts[1].view(), |digits| {
            let jobs = vec![Job { key: &key, plus, out: [b, a_out] }];
            self.switch(digits, [Addend::Stored(a.parts[0].view()), Addend::None], a.level() + 1, jobs);
        });
        Ok(())
    }

    /// Returns the result of [`Evaluator::automorphism_into`] as a new ciphertext.
    ///
    /// # Errors
    /// As [`Evaluator::automorphism_into`].
    pub fn automorphism(&self, a: &Ciphertext, element: GaloisElement) -> Result<Ciphertext> {
        let mut out = self.blank(a.generation, 2, a.level());
        self.automorphism_into(a, element, &mut out)?;
        Ok(out)
    }

    /// Rotates the slots: slot j of the result is slot j + k of a (to the left for k > 0),
    /// modulo the number of slots. Any k is allowed.
    ///
    /// # Errors
    /// As [`Evaluator::automorphism_into`].
    pub fn rotate(&self, a: &Ciphertext, k: i64) -> Result<Ciphertext> {
        self.automorphism(a, self.rotation(k))
    }

    /// Writes a, rotated by k, to `out`.
    ///
    /// # Errors
    /// As [`Evaluator::automorphism_into`].
    pub fn rotate_into(&self, a: &Ciphertext, k: i64, out: &mut Ciphertext) -> Result<()> {
        self.automorphism_into(a, self.rotation(k), out)
    }

    /// Rotates a by k in place.
    ///
    /// # Errors
    /// As [`Evaluator::automorphism_into`].
    pub fn rotate_assign(&self, a: &mut Ciphertext, k: i64) -> Result<()> {
        *a = self.rotate(a, k)?;
        Ok(())
    }

    fn rotation(&self, k: i64) -> GaloisElement {
        GaloisElement::rotation(k, self.params.log_n())
    }

    /// Returns the sum of a and a rotated by k. This is cheaper than one step after the other.
    ///
    /// # Errors
    /// As [`Evaluator::automorphism_into`].
    pub fn rotate_sum(&self, a: &Ciphertext, k: i64) -> Result<Ciphertext> {
        let element = self.rotation(k);
        a.check(&self.params)?;
        a.check_degree(1)?;
        if element.value() == 1 {
            return self.add(a, a);
        }
        let mut out = self.blank(a.generation, 2, a.level());
        self.switched_into(a, element, Some(a), &mut out)?;
        Ok(out)
    }

    /// Returns a with every slot conjugated.
    ///
    /// # Errors
    /// As [`Evaluator::automorphism_into`].
    pub fn conjugate(&self, a: &Ciphertext) -> Result<Ciphertext> {
        self.automorphism(a, GaloisElement::conjugation(self.params.log_n()))
    }

    /// Conjugates every slot of a in place.
    ///
    /// # Errors
    /// As [`Evaluator::automorphism_into`].
    pub fn conjugate_assign(&self, a: &mut Ciphertext) -> Result<()> {
        *a = self.conjugate(a)?;
        Ok(())
    }

    /// Decomposes a for many automorphisms. They will use keys with the digits and special primes
    /// of a key made for `key_level`.
    ///
    /// # Errors
    /// [`Error::Degree`](crate::Error::Degree), [`Error::Level`](crate::Error::Level),
    /// [`Error::LowLevel`](crate::Error::LowLevel) if the key would not serve a,
    /// [`Error::OtherParameters`](crate::Error::OtherParameters).
    pub fn hoist<'a>(&'a self, a: &'a Ciphertext, key_level: usize) -> Result<Hoisted<'a>> {
        a.check(&self.params)?;
        a.check_degree(1)?;
        check_reaches(key_level, a.level())?;
        let gadget = self.params.gadget(key_level)?;
        let (limbs, n) = (a.level() + 1, self.params.n());
        let digit = |_| self.spares.take(n, limbs + gadget.special());
        let mut digits: Vec<_> = (0..gadget.digits(limbs)).map(digit).collect();
        let mut views: Vec<_> = digits.iter_mut().map(RnsPoly::view_mut).collect();
        self.lift(&gadget, a.parts[1].view(), &mut views);
        Ok(Hoisted { evaluator: self, ciphertext: a, shape: self.params.gadget_shape(key_level), digits })
    }

    /// Returns a(X^g) for several Galois elements g, computed from the digits of a.
    /// The results are those of [`Evaluator::automorphism`] with the same keys, bit for bit.
    /// Keys of another shape than the foreseen one give correct results too, but are slower.
    ///
    /// # Errors
    /// As [`Evaluator::automorphism_into`].
    pub fn automorphisms_hoisted(&self, a: &Hoisted<'_>, elements: &[GaloisElement]) -> Result<Vec<Ciphertext>> {
        let (ciphertext, level) = (a.ciphertext, a.ciphertext.level());
        // The digits may belong to another evaluator.
        ciphertext.check(&self.params)?;
        let key = |element: &GaloisElement| {
            let needed = element.value() != 1;
            needed.then(|| self.key(KeyId::Galois(*element), level, ciphertext.generation)).transpose()
        };
        let keys = elements.iter().map(key).collect::<Result<Vec<_>>>()?;
        let mut out: Vec<_> = keys.iter().map(|_| self.blank(ciphertext.generation, 2, level)).collect();
        let mut jobs = Vec::new();
        for ((out, key), &element) in out.iter_mut().zip(&keys).zip(elements) {
            match key {
                Some(key) if self.params.gadget_shape(key.level) == a.shape => {
                    jobs.push(Job { key, plus: None, out: prepare(&self.params, ciphertext, out) });
                }
                _ => self.automorphism_into(ciphertext, element, out)?,
            }
        }
        let views: Vec<_> = a.digits.iter().map(RnsPoly::view).collect();
        let digits = Digits::Lifted { limbs: level + 1, digits: &views };
        self.switch(&digits, [Addend::Stored(ciphertext.parts[0].view()), Addend::None], level + 1, jobs);
        Ok(out)
    }

    /// Returns a(X^g) for one Galois element (see [`Evaluator::automorphisms_hoisted`]).
    ///
    /// # Errors
    /// As [`Evaluator::automorphism_into`].
    pub fn automorphism_hoisted(&self, a: &Hoisted<'_>, element: GaloisElement) -> Result<Ciphertext> {
        Ok(self.automorphisms_hoisted(a, &[element])?.swap_remove(0))
    }

    /// Returns all these rotations of one ciphertext, which is decomposed only once.
    ///
    /// # Errors
    /// As [`Evaluator::automorphism_into`].
    pub fn rotate_hoisted(&self, a: &Ciphertext, rotations: &[i64]) -> Result<Vec<Ciphertext>> {
        a.check(&self.params)?;
        a.check_degree(1)?;
        let elements: Vec<_> = rotations.iter().map(|&k| self.rotation(k)).collect();
        let Some(element) = elements.iter().find(|element| element.value() != 1) else {
            return Ok(rotations.iter().map(|_| a.clone()).collect());
        };
        let hoisted = self.hoist(a, self.key(KeyId::Galois(*element), a.level(), a.generation)?.level)?;
        self.automorphisms_hoisted(&hoisted, &elements)
    }

    /// Sums slots: slot j of the result is the sum of the slots j,
    /// j + stride, … j + (count − 1)·stride of a. `count` is a power of two.
    /// This takes log2(count) rotations, by stride, 2·stride, 4·stride, …
    ///
    /// # Errors
    /// [`Error::Slots`](crate::Error::Slots) if `count` is not a power of two up to N/2,
    /// and those of [`Evaluator::automorphism_into`].
    pub fn sum_slots(&self, a: &Ciphertext, count: usize, stride: i64) -> Result<Ciphertext> {
        let mut sum = Cow::Borrowed(a);
        for i in 0..self.params.log_slots(count)? {
            sum = Cow::Owned(self.rotate_sum(&sum, stride << i)?);
        }
        Ok(sum.into_owned())
    }
}

/// Gives `out` the shape of a, which is two parts at the level of a, and returns its parts.
fn prepare<'a>(params: &Parameters, a: &Ciphertext, out: &'a mut Ciphertext) -> [&'a mut RnsPoly<Eval>; 2] {
    out.reshape(params, a.generation, 2, a.level() + 1);
    (out.scale, out.log_slots) = (a.scale, a.log_slots);
    let [b, a] = &mut out.parts[..] else { unreachable!("two parts") };
    [b, a]
}
