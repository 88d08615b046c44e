//! Exact division by a product of primes: ModDown after a key-switch, and rescaling by one limb or several.
//!
//! With P the product of the dropped primes, the result is round(x/P) for the representative x in (−PQ/2, PQ/2\]: the
//! conversion of x mod P is centred, so that (x − \[x\]_P)/P differs from x/P by at most 1/2 (plus 2^−42 where
//! \[x\]_P is within that fraction of ±P/2; see [`BaseConverter`]).

use alloc::vec::Vec;

use crate::error::Error;
use crate::modulus::Modulus;
use crate::ntt::InverseScale;
use crate::poly::{Coeff, Eval, RnsPolyMut, RnsPolyRef};
use crate::rns::{BaseConverter, GROUP, MAX_DIGIT, RnsBasis};
use crate::scratch::limb_stride;

/// Tables to divide by the primes of one basis, modulo the primes of another.
#[derive(Clone, Debug)]
pub struct ModDown {
    kept: RnsBasis,
    dropped: RnsBasis,
    converter: BaseConverter,
    scales: Vec<InverseScale>,
    /// P^−1 mod qᵢ.
    inverses: Vec<u64>,
}

impl ModDown {
    /// Prepares the division by all primes of `dropped`. Applied to a polynomial with fewer kept limbs, it uses the
    /// first ones.
    ///
    /// # Errors
    /// [`Error::Count`] for more than [`MAX_DIGIT`] dropped primes, and those of [`RnsBasis::concat`].
    pub fn new(kept: &RnsBasis, dropped: &RnsBasis) -> Result<Self, Error> {
        kept.concat(dropped)?;
        if dropped.len() > MAX_DIGIT {
            return Err(Error::Count { what: "dropped limbs", value: dropped.len(), min: 1, max: MAX_DIGIT });
        }
        let converter = BaseConverter::new(&dropped.moduli(), &kept.moduli(), kept.isa())?;
        let scale = |i| dropped.table(i).inverse_scale(converter.cofactor(i));
        let inverse = |q: &Modulus| q.inv(dropped.product_mod(q)).expect("the bases share no prime");
        Ok(Self {
            scales: (0..dropped.len()).map(scale).collect(),
            inverses: kept.moduli().iter().map(inverse).collect(),
            kept: kept.clone(),
            dropped: dropped.clone(),
            converter,
        })
    }

    /// The basis that stays.
    #[must_use]
    pub const fn kept(&self) -> &RnsBasis {
        &self.kept
    }

    /// The basis that is divided away.
    #[must_use]
    pub const fn dropped(&self) -> &RnsBasis {
        &self.dropped
    }

    /// Step 1, for each dropped limb i: from values to the coefficients that step 2 and 3 convert. In place.
    ///
    /// # Panics
    /// If i or the length is wrong.
    pub fn prepare_limb(&self, i: usize, limb: &mut [f64]) {
        self.dropped.table(i).inverse_scaled(limb, &self.scales[i]);
    }

    /// Step 2: the overflow of the prepared limbs, at the coefficients `from`, `from` + 1, …, as many as v has: threads can share a limb.
    ///
    /// # Panics
    /// If the number of limbs is wrong, there are no such coefficients, or the length is not a multiple of 8.
    pub fn overflow_into(&self, prepared: RnsPolyRef<'_, Coeff>, from: usize, v: &mut [f64]) {
        prepared.with_pieces(from..from + v.len(), |y| self.converter.overflow_into(y, v));
    }

    /// Steps 1 and 2 on one thread: all dropped limbs are prepared in place, v becomes their overflow.
    ///
    /// # Panics
    /// If the number of limbs or a length is wrong.
    #[must_use]
    pub fn prepare<'a>(&self, mut dropped: RnsPolyMut<'a, Eval>, v: &mut [f64]) -> RnsPolyMut<'a, Coeff> {
        assert!(v.len() == dropped.n(), "{} coefficients of the overflow of {}", v.len(), dropped.n());
        (0..dropped.limbs()).for_each(|i| self.prepare_limb(i, dropped.limb_mut(i)));
        let prepared = dropped.assume_domain();
        self.overflow_into(prepared.view(), 0, v);
        prepared
    }

    /// Step 3, for kept limbs first, first + 1, … in place: (x − \[x\]_P)/P mod qⱼ, in values. At most [`GROUP`] at a time,
    /// which read the prepared limbs once; `scratch` has at least as many limbs as x.
    ///
    /// # Panics
    /// If there are more than [`GROUP`] limbs, or their numbers or lengths are wrong.
    pub fn finish_limbs(
        &self,
        first: usize,
        prepared: RnsPolyRef<'_, Coeff>,
        v: &[f64],
        x: &mut RnsPolyMut<'_, Eval>,
        scratch: &mut RnsPolyMut<'_, Eval>,
    ) {
        let mut converted = scratch.reborrow().split_at(x.limbs()).0;
        self.convert_limbs(first, prepared, v, &mut converted);
        for j in 0..x.limbs() {
            let (converted, inverse) = self.division(first + j, converted.limb_mut(j));
            self.kept.table(first + j).sub_mul_scalar_assign(x.limb_mut(j), converted, inverse);
        }
    }

    /// The first half of step 3, for kept limbs first, first + 1, …: \[x\]_P mod qⱼ, for [`ModDown::division`].
    ///
    /// # Panics
    /// As [`ModDown::finish_limbs`].
    pub fn convert_limbs(
        &self,
        first: usize,
        prepared: RnsPolyRef<'_, Coeff>,
        v: &[f64],
        converted: &mut RnsPolyMut<'_, Eval>,
    ) {
        assert!(prepared.limbs() == self.dropped.len(), "{} prepared limbs", prepared.limbs());
        // One centred limb has no overflow: it is its own conversion.
        let v = (self.dropped.len() > 1).then_some(v);
        converted.with_limbs_mut(|out| prepared.with_limbs(v, |y| self.converter.convert_into(y, first, out)));
    }

    /// The second half of step 3, for kept limb j: c and P⁻¹ mod qⱼ such that (x − c)·P⁻¹ is the quotient, in values: a
    /// [`Finish::divide`](crate::packed::Finish) of the sum that x may be. c is transformed in place from what
    /// [`ModDown::convert_limbs`] made.
    ///
    /// # Panics
    /// If j or the length is wrong.
    pub fn division<'a>(&self, j: usize, converted: &'a mut [f64]) -> (&'a [f64], u64) {
        self.kept.table(j).forward(converted);
        (converted, self.inverses[j])
    }

    /// Length of the workspace of [`ModDown::apply`].
    #[must_use]
    pub fn scratch_len(&self) -> usize {
        (1 + GROUP) * limb_stride(self.kept.n())
    }

    /// All steps on one thread. x has l kept limbs (the first l of the basis), then the dropped ones; the quotient is left
    /// in the first l limbs, the others are used up.
    ///
    /// # Panics
    /// If the shape does not fit the bases or the workspace is too short.
    pub fn apply(&self, x: RnsPolyMut<'_, Eval>, scratch: &mut [f64]) {
        let limbs = x.limbs();
        assert!(
            limbs > self.dropped.len() && limbs <= self.kept.len() + self.dropped.len(),
            "{limbs} limbs for at most {} kept and {} dropped",
            self.kept.len(),
            self.dropped.len()
        );
        let (mut kept, dropped) = x.split_at(limbs - self.dropped.len());
        let (mut v, scratch) = RnsPolyMut::<Coeff>::from_scratch(scratch, self.kept.n(), 1);
        let (mut converted, _) = RnsPolyMut::<Eval>::from_scratch(scratch, self.kept.n(), GROUP);
        let prepared = self.prepare(dropped, v.limb_mut(0));
        for (first, mut group) in kept.groups_mut(GROUP) {
            self.finish_limbs(first, prepared.view(), v.limb(0), &mut group, &mut converted);
        }
    }
}
