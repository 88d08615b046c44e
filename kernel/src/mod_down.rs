//! Exact division by a product of primes: ModDown after a key-switch, and rescaling by one limb or
//! several.
//!
//! With P the product of the dropped primes, the result is round(x/P) for the representative x in
//! (−PQ/2, PQ/2\]. The conversion of x mod P is centred, so (x − \[x\]_P)/P differs from x/P by at
//! most 1/2 (plus 2^−42 where \[x\]_P is within that fraction of ±P/2; see [`BaseConverter`]).

use alloc::vec::Vec;

use crate::error::Error;
use crate::modulus::Modulus;
use crate::ntt::InverseScale;
use crate::poly::{Coeff, Eval, RnsPolyMut, RnsPolyRef};
use crate::rns::{BaseConverter, GROUP, MAX_DIGIT, RnsBasis};
use crate::scratch::limb_stride;

/// Tables that divide by the primes of one basis, modulo the primes of another.
#[derive(Clone, Debug)]
pub struct ModDown {
    kept: RnsBasis,
    dropped: RnsBasis,
    converter: BaseConverter,
    scales: Vec<InverseScale>,
    /// The inverses P^−1 mod qᵢ.
    inverses: Vec<u64>,
}

impl ModDown {
    /// Prepares the division by all primes of `dropped`. For a polynomial with fewer kept limbs,
    /// it uses the first primes of `kept`.
    ///
    /// # Errors
    /// [`Error::Count`] for more than [`MAX_DIGIT`] dropped primes, and the errors
    /// of [`RnsBasis::concat`].
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

    /// The basis that remains.
    #[must_use]
    pub const fn kept(&self) -> &RnsBasis {
        &self.kept
    }

    /// The basis that is divided away.
    #[must_use]
    pub const fn dropped(&self) -> &RnsBasis {
        &self.dropped
    }

    /// Step 1, for each dropped limb i: transforms its values, in place, into the coefficients that
    /// steps 2 and 3 convert.
    ///
    /// # Panics
    /// If i or the length is wrong.
    pub fn prepare_limb(&self, i: usize, limb: &mut [f64]) {
        self.dropped.table(i).inverse_scaled(limb, &self.scales[i]);
    }

    /// Step 2: computes the overflow of the prepared limbs at the coefficients `from`,
    /// `from` + 1, …, one for each entry of v, so that threads can share a limb.
    ///
    /// # Panics
    /// If the number of limbs is wrong, there are no such coefficients, or the length is not
    /// a multiple of 8.
    pub fn overflow_into(&self, prepared: RnsPolyRef<'_, Coeff>, from: usize, v: &mut [f64]) {
        prepared.with_pieces(from..from + v.len(), |y| self.converter.overflow_into(y, v));
    }

    /// Does steps 1 and 2 on one thread: prepares all dropped limbs in place and writes their
    /// overflow to v.
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

    /// Step 3, for the kept limbs first, first + 1, …: replaces the values x by (x − \[x\]_P)/P
    /// mod qⱼ, in place. At most [`GROUP`] limbs are done at a time, which read the prepared limbs
    /// once. `scratch` has at least as many limbs as x.
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

    /// Does the first half of step 3, for the kept limbs first, first + 1, …:
    /// computes \[x\]_P mod qⱼ for [`ModDown::division`].
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
        // A single centred limb has no overflow: it is its own conversion.
        let v = (self.dropped.len() > 1).then_some(v);
        converted.with_limbs_mut(|out| prepared.with_limbs(v, |y| self.converter.convert_into(y, first, out)));
    }

    /// Does the second half of step 3, for the kept limb j:
    /// returns c and P⁻¹ mod qⱼ such that the quotient is (x − c)·P⁻¹, in values.
    /// They are a [`Finish::divide`](crate::packed::Finish) for a sum x of products.
    /// c is transformed in place from the result of [`ModDown::convert_limbs`].
    ///
    /// # Panics
    /// If j or the length is wrong.
    pub fn division<'a>(&self, j: usize, converted: &'a mut [f64]) -> (&'a [f64], u64) {
        self.kept.table(j).forward(converted);
        (converted, self.inverses[j])
    }

    /// The length of the workspace of [`ModDown::apply`].
    #[must_use]
    pub fn scratch_len(&self) -> usize {
        (1 + GROUP) * limb_stride(self.kept.n())
    }

    /// Does all steps on one thread. x has l kept limbs (the first l of the basis),
    /// then the dropped ones. The quotient is left in the first l limbs;
    /// the contents of the others are lost.
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
