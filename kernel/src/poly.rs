//! Polynomials in RNS form, with their domain in the type.
//!
//! A polynomial of L limbs modulo q₀…q_{L−1} is limb-major: limb i holds N residues modulo qᵢ
//! as centred integral `f64`. A polynomial does not carry its basis; operations take the basis
//! and check the number of limbs. The first l limbs of a polynomial *are* the polynomial modulo
//! q₀…q_{l−1}, so levels are [prefix views](RnsPoly::prefix) and nothing is copied.

use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;

use aligned_vec::{AVec, ConstAlign};
use zeroize::Zeroize;

use crate::rns::{GROUP, MAX_DIGIT, RnsBasis};
use crate::scratch::{limb_stride, total};

mod private {
    pub trait Sealed {}
}

/// The domain of a polynomial: [`Coeff`] or [`Eval`].
pub trait Domain: private::Sealed + Copy + fmt::Debug + Send + Sync + 'static {}

/// The coefficients of X⁰ … X^(N−1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coeff {}

/// The values at the odd powers of ψ, in the order of [`crate::ntt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eval {}

impl private::Sealed for Coeff {}
impl private::Sealed for Eval {}
impl Domain for Coeff {}
impl Domain for Eval {}

/// A polynomial that owns its limbs. Two polynomials are equal if their representatives are,
/// limb by limb. `Debug` shows sizes, not megabytes of residues.
pub struct RnsPoly<D: Domain> {
    n: usize,
    limbs: usize,
    /// The limbs, followed by whatever [`RnsPoly::reshape`] has left behind them.
    data: AVec<f64, ConstAlign<64>>,
    domain: PhantomData<D>,
}

/// A shared view of some limbs of a polynomial.
#[derive(Clone, Copy, Debug)]
pub struct RnsPolyRef<'a, D: Domain> {
    n: usize,
    limbs: usize,
    data: &'a [f64],
    domain: PhantomData<D>,
}

/// An exclusive view of some limbs of a polynomial.
#[derive(Debug)]
pub struct RnsPolyMut<'a, D: Domain> {
    n: usize,
    limbs: usize,
    data: &'a mut [f64],
    domain: PhantomData<D>,
}

/// Returns where the data of limbs `from..to` are, pads included.
fn range_of(n: usize, limbs: usize, from: usize, to: usize) -> Range<usize> {
    assert!(from <= to && to <= limbs, "limbs {from}..{to} of a polynomial of {limbs} limbs");
    from * limb_stride(n)..to * limb_stride(n)
}

/// Returns where the residues of limb i are.
fn limb_of(n: usize, limbs: usize, i: usize) -> Range<usize> {
    let from = range_of(n, limbs, i, i + 1).start;
    from..from + n
}

impl<D: Domain> fmt::Debug for RnsPoly<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RnsPoly").field("n", &self.n).field("limbs", &self.limbs).finish_non_exhaustive()
    }
}

impl<D: Domain> RnsPoly<D> {
    /// Returns the zero polynomial with N coefficients and `limbs` limbs.
    ///
    /// # Panics
    /// If the polynomial is larger than the address space.
    #[must_use]
    pub fn zero(n: usize, limbs: usize) -> Self {
        let data = AVec::from_iter(64, core::iter::repeat_n(0.0, total(limbs, limb_stride(n))));
        Self { n, limbs, data, domain: PhantomData }
    }

    /// The number of bytes that a polynomial of this shape takes in memory, pads included.
    ///
    /// # Panics
    /// If the number is more than `usize::MAX`.
    #[must_use]
    pub const fn bytes(n: usize, limbs: usize) -> usize {
        total(total(limbs, limb_stride(n)), size_of::<f64>())
    }

    /// Returns a view of all limbs.
    #[must_use]
    pub fn view(&self) -> RnsPolyRef<'_, D> {
        let data = &self.data[range_of(self.n, self.limbs, 0, self.limbs)];
        RnsPolyRef { n: self.n, limbs: self.limbs, data, domain: PhantomData }
    }

    /// Returns an exclusive view of all limbs.
    pub fn view_mut(&mut self) -> RnsPolyMut<'_, D> {
        let data = &mut self.data[range_of(self.n, self.limbs, 0, self.limbs)];
        RnsPolyMut { n: self.n, limbs: self.limbs, data, domain: PhantomData }
    }

    /// Returns the polynomial modulo the first `limbs` primes.
    ///
    /// # Panics
    /// If there are fewer limbs.
    #[must_use]
    pub fn prefix(&self, limbs: usize) -> RnsPolyRef<'_, D> {
        self.view().range(0, limbs)
    }

    /// Returns an exclusive [`RnsPoly::prefix`].
    ///
    /// # Panics
    /// If there are fewer limbs.
    pub fn prefix_mut(&mut self, limbs: usize) -> RnsPolyMut<'_, D> {
        self.view_mut().split_at(limbs).0
    }

    /// Forgets all limbs but the first `limbs`, which leaves the polynomial modulo fewer primes.
    /// Does nothing if there are no more. The memory is kept; the forgotten limbs are overwritten
    /// with zeros, since a later `zeroize` will not reach them.
    pub fn truncate(&mut self, limbs: usize) {
        self.limbs = self.limbs.min(limbs);
        self.data[self.limbs * limb_stride(self.n)..].zeroize();
        self.data.truncate(self.limbs * limb_stride(self.n));
    }

    /// The number of limbs that the memory suffices for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.data.capacity() / limb_stride(self.n)
    }

    /// Keeps the first `limbs` limbs, or appends limbs of zeros until there are as many.
    /// The memory is kept where it suffices, so a polynomial that was made or resized for the most
    /// limbs allocates no more. Where the memory does not suffice, the limbs move, and what they
    /// leave behind is not overwritten.
    ///
    /// # Panics
    /// If the polynomial becomes larger than the address space.
    pub fn resize(&mut self, limbs: usize) {
        let len = total(limbs, limb_stride(self.n));
        self.truncate(limbs);
        self.data.reserve_exact(len - self.data.len());
        self.data.resize(len, 0.0);
        self.limbs = limbs;
    }

    /// Changes the number of limbs to any other. The first limbs stay as they are, new limbs have
    /// unspecified residues: where the memory suffices, nothing is written at all. This is for
    /// public polynomials whose memory serves one result after another, because nothing is wiped.
    ///
    /// # Panics
    /// As [`RnsPoly::resize`].
    pub fn reshape(&mut self, limbs: usize) {
        let len = total(limbs, limb_stride(self.n));
        if len > self.data.len() {
            self.data.reserve_exact(len - self.data.len());
            self.data.resize(len, 0.0);
        }
        self.limbs = limbs;
    }

    /// Becomes a copy of `source`, whatever the shape was. As in [`RnsPoly::resize`],
    /// the memory is kept where it suffices and forgotten limbs are overwritten with zeros.
    pub fn copy_from(&mut self, source: RnsPolyRef<'_, D>) {
        let len = source.data.len();
        if let Some(forgotten) = self.data.get_mut(len..) {
            forgotten.zeroize();
        }
        self.data.clear();
        self.data.reserve_exact(len);
        self.data.extend_from_slice(source.data);
        (self.n, self.limbs) = (source.n, source.limbs);
    }

    /// The ring degree N.
    #[must_use]
    pub const fn n(&self) -> usize {
        self.n
    }

    /// The number of limbs.
    #[must_use]
    pub const fn limbs(&self) -> usize {
        self.limbs
    }

    /// Returns limb i, which is N centred residues.
    ///
    /// # Panics
    /// If i is out of range.
    #[must_use]
    pub fn limb(&self, i: usize) -> &[f64] {
        &self.data[limb_of(self.n, self.limbs, i)]
    }

    /// Returns limb i for writing. Callers keep the residues integral and centred.
    ///
    /// # Panics
    /// If i is out of range.
    pub fn limb_mut(&mut self, i: usize) -> &mut [f64] {
        &mut self.data[limb_of(self.n, self.limbs, i)]
    }

    /// Returns all limbs at once, for example to spread them over threads.
    pub fn limbs_mut(&mut self) -> impl ExactSizeIterator<Item = &mut [f64]> {
        self.view_mut().into_limbs_mut()
    }

    /// Returns the same residues under another domain. This is for code that has transformed
    /// the limbs one by one.
    #[must_use]
    pub fn assume_domain<E: Domain>(self) -> RnsPoly<E> {
        RnsPoly { n: self.n, limbs: self.limbs, data: self.data, domain: PhantomData }
    }
}

impl<D: Domain> Clone for RnsPoly<D> {
    fn clone(&self) -> Self {
        self.view().to_owned()
    }
}

impl<D: Domain> PartialEq for RnsPoly<D> {
    fn eq(&self, other: &Self) -> bool {
        // The pads between limbs are not compared: they are unspecified.
        self.n == other.n && self.limbs == other.limbs && (0..self.limbs).all(|i| self.limb(i) == other.limb(i))
    }
}

impl<D: Domain> Zeroize for RnsPoly<D> {
    /// Overwrites all limbs with zeros, for secret polynomials.
    fn zeroize(&mut self) {
        self.data.as_mut_slice().zeroize();
    }
}

impl<'a, D: Domain> RnsPolyRef<'a, D> {
    /// Returns a view of the limbs `from..to`.
    ///
    /// # Panics
    /// If they do not exist.
    #[must_use]
    pub fn range(&self, from: usize, to: usize) -> Self {
        let range = range_of(self.n, self.limbs, from, to);
        Self { n: self.n, limbs: to - from, data: &self.data[range], domain: PhantomData }
    }

    /// The ring degree N.
    #[must_use]
    pub const fn n(&self) -> usize {
        self.n
    }

    /// The number of limbs.
    #[must_use]
    pub const fn limbs(&self) -> usize {
        self.limbs
    }

    /// Returns limb i.
    ///
    /// # Panics
    /// If i is out of range.
    #[must_use]
    pub fn limb(&self, i: usize) -> &'a [f64] {
        &self.data[limb_of(self.n, self.limbs, i)]
    }

    /// Calls `f` with the slices of all limbs, followed by `extra`. The list lives on the stack.
    ///
    /// # Panics
    /// If there are more than [`MAX_DIGIT`] limbs.
    pub(crate) fn with_limbs<R>(&self, extra: Option<&[f64]>, f: impl FnOnce(&[&[f64]]) -> R) -> R {
        let mut list = [&[][..]; MAX_DIGIT + 1];
        (0..self.limbs).for_each(|i| list[i] = self.limb(i));
        if let Some(extra) = extra {
            list[self.limbs] = extra;
        }
        f(&list[..self.limbs + usize::from(extra.is_some())])
    }

    /// Calls `f` with the range `at` of coefficients or values of all limbs.
    /// The list lives on the stack.
    ///
    /// # Panics
    /// If there are more than [`MAX_DIGIT`] limbs, or the limbs are shorter.
    pub(crate) fn with_pieces<R>(&self, at: Range<usize>, f: impl FnOnce(&[&[f64]]) -> R) -> R {
        let mut list = [&[][..]; MAX_DIGIT];
        (0..self.limbs).for_each(|i| list[i] = &self.limb(i)[at.clone()]);
        f(&list[..self.limbs])
    }

    /// Copies the limbs into a polynomial that owns them.
    #[must_use]
    pub fn to_owned(&self) -> RnsPoly<D> {
        RnsPoly { n: self.n, limbs: self.limbs, data: AVec::from_slice(64, self.data), domain: PhantomData }
    }
}

impl<'a, D: Domain> RnsPolyMut<'a, D> {
    /// Takes a polynomial of unspecified residues from a caller's workspace.
    /// Returns it and the rest of the workspace.
    ///
    /// # Panics
    /// If the workspace is shorter than `limbs` times [`limb_stride`].
    #[must_use]
    pub fn from_scratch(scratch: &'a mut [f64], n: usize, limbs: usize) -> (Self, &'a mut [f64]) {
        let len = total(limbs, limb_stride(n));
        assert!(len <= scratch.len(), "{} words of workspace where {len} are needed", scratch.len());
        let (data, rest) = scratch.split_at_mut(len);
        (Self { n, limbs, data, domain: PhantomData }, rest)
    }

    /// Returns limb i for reading.
    ///
    /// # Panics
    /// If i is out of range.
    #[must_use]
    pub fn limb(&self, i: usize) -> &[f64] {
        &self.data[limb_of(self.n, self.limbs, i)]
    }

    /// Returns a shared view of the same limbs.
    #[must_use]
    pub fn view(&self) -> RnsPolyRef<'_, D> {
        RnsPolyRef { n: self.n, limbs: self.limbs, data: self.data, domain: PhantomData }
    }

    /// Returns the same residues under another domain. This is for code that has transformed
    /// the limbs one by one.
    #[must_use]
    pub fn assume_domain<E: Domain>(self) -> RnsPolyMut<'a, E> {
        RnsPolyMut { n: self.n, limbs: self.limbs, data: self.data, domain: PhantomData }
    }

    /// Returns the same limbs for a shorter time.
    pub fn reborrow(&mut self) -> RnsPolyMut<'_, D> {
        RnsPolyMut { n: self.n, limbs: self.limbs, data: self.data, domain: PhantomData }
    }

    /// Splits the view into the first `limbs` limbs and the others.
    ///
    /// # Panics
    /// If there are fewer limbs.
    #[must_use]
    pub fn split_at(self, limbs: usize) -> (Self, Self) {
        let at = range_of(self.n, self.limbs, 0, limbs).end;
        let (head, tail) = self.data.split_at_mut(at);
        let (n, domain) = (self.n, PhantomData);
        (Self { n, limbs, data: head, domain }, Self { n, limbs: self.limbs - limbs, data: tail, domain })
    }

    /// The ring degree N.
    #[must_use]
    pub const fn n(&self) -> usize {
        self.n
    }

    /// The number of limbs.
    #[must_use]
    pub const fn limbs(&self) -> usize {
        self.limbs
    }

    /// Returns limb i for writing.
    ///
    /// # Panics
    /// If i is out of range.
    pub fn limb_mut(&mut self, i: usize) -> &mut [f64] {
        &mut self.data[limb_of(self.n, self.limbs, i)]
    }

    /// Splits the limbs into runs of `size` limbs (the last may be shorter), each with the number
    /// of its first limb, to convert several limbs at once or to spread them over threads.
    ///
    /// # Panics
    /// If `size` is 0.
    pub fn groups_mut(&mut self, size: usize) -> impl ExactSizeIterator<Item = (usize, RnsPolyMut<'_, D>)> {
        let (n, stride) = (self.n, limb_stride(self.n));
        self.data
            .chunks_mut(size.saturating_mul(stride))
            .enumerate()
            .map(move |(i, data)| (i * size, RnsPolyMut { n, limbs: data.len() / stride, data, domain: PhantomData }))
    }

    /// Calls `f` with the slices of all limbs. The list lives on the stack.
    ///
    /// # Panics
    /// If there are more than [`GROUP`] limbs.
    pub(crate) fn with_limbs_mut<R>(&mut self, f: impl FnOnce(&mut [&mut [f64]]) -> R) -> R {
        let limbs = self.limbs;
        assert!(limbs <= GROUP, "{limbs} limbs in a group of at most {GROUP}");
        let mut list: [&mut [f64]; GROUP] = Default::default();
        list.iter_mut().zip(self.reborrow().into_limbs_mut()).for_each(|(slot, limb)| *slot = limb);
        f(&mut list[..limbs])
    }

    /// Returns all limbs at once.
    pub fn into_limbs_mut(self) -> impl ExactSizeIterator<Item = &'a mut [f64]> {
        let n = self.n;
        self.data.chunks_exact_mut(limb_stride(n)).map(move |limb| &mut limb[..n])
    }

    /// Sets all residues to 0.
    pub fn fill_zero(&mut self) {
        self.data.fill(0.0);
    }

    /// Overwrites the limbs with those of `source`.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn copy_from(&mut self, source: RnsPolyRef<'_, D>) {
        assert!(self.n == source.n && self.limbs == source.limbs, "shapes differ");
        self.data.copy_from_slice(source.data);
    }

    /// Adds b: a ← a + b modulo the first primes of `basis`.
    ///
    /// # Panics
    /// If the shapes differ or the basis has fewer primes than the polynomials have limbs.
    pub fn add_assign(&mut self, basis: &RnsBasis, b: RnsPolyRef<'_, D>) {
        assert!(self.limbs == b.limbs, "{} and {} limbs", self.limbs, b.limbs);
        (0..self.limbs).for_each(|i| basis.table(i).add_assign(self.limb_mut(i), b.limb(i)));
    }

    /// Subtracts b: a ← a − b.
    ///
    /// # Panics
    /// As [`RnsPolyMut::add_assign`].
    pub fn sub_assign(&mut self, basis: &RnsBasis, b: RnsPolyRef<'_, D>) {
        assert!(self.limbs == b.limbs, "{} and {} limbs", self.limbs, b.limbs);
        (0..self.limbs).for_each(|i| basis.table(i).sub_assign(self.limb_mut(i), b.limb(i)));
    }

    /// Negates: a ← −a.
    ///
    /// # Panics
    /// If the basis has fewer primes than the polynomial has limbs.
    pub fn neg_assign(&mut self, basis: &RnsBasis) {
        (0..self.limbs).for_each(|i| basis.table(i).neg_assign(self.limb_mut(i)));
    }

    /// Multiplies each limb by a constant: a ← c·a for one residue c in [0, qᵢ) per limb.
    ///
    /// # Panics
    /// If the number of constants differs or the basis has fewer primes than the polynomial has
    /// limbs.
    pub fn mul_scalars_assign(&mut self, basis: &RnsBasis, c: &[u64]) {
        assert!(self.limbs == c.len(), "{} limbs and {} constants", self.limbs, c.len());
        (0..self.limbs).for_each(|i| basis.table(i).mul_scalar_assign(self.limb_mut(i), c[i]));
    }
}

impl RnsPolyMut<'_, Eval> {
    /// Multiplies by b: a ← a·b.
    ///
    /// # Panics
    /// As [`RnsPolyMut::add_assign`].
    pub fn mul_assign(&mut self, basis: &RnsBasis, b: RnsPolyRef<'_, Eval>) {
        assert!(self.limbs == b.limbs, "{} and {} limbs", self.limbs, b.limbs);
        (0..self.limbs).for_each(|i| basis.table(i).mul_assign(self.limb_mut(i), b.limb(i)));
    }

    /// Adds a product: a ← a + b·c.
    ///
    /// # Panics
    /// As [`RnsPolyMut::add_assign`].
    pub fn mul_add_assign(&mut self, basis: &RnsBasis, b: RnsPolyRef<'_, Eval>, c: RnsPolyRef<'_, Eval>) {
        assert!(self.limbs == b.limbs && b.limbs == c.limbs, "{}, {} and {} limbs", self.limbs, b.limbs, c.limbs);
        (0..self.limbs).for_each(|i| basis.table(i).mul_add_assign(self.limb_mut(i), b.limb(i), c.limb(i)));
    }
}

impl RnsPoly<Coeff> {
    /// Returns the polynomial with these small signed coefficients, modulo the first `limbs` primes
    /// of any basis. Secrets and errors are made this way.
    ///
    /// # Panics
    /// If the number of coefficients is not a power of two, or the polynomial is larger than
    /// the address space.
    #[must_use]
    pub fn from_small(coefficients: &[i8], limbs: usize) -> Self {
        assert!(coefficients.len().is_power_of_two(), "{} coefficients", coefficients.len());
        let mut poly = Self::zero(coefficients.len(), limbs);
        for limb in poly.limbs_mut() {
            limb.iter_mut().zip(coefficients).for_each(|(x, &c)| *x = f64::from(c));
        }
        poly
    }

    /// Transforms all limbs into values.
    ///
    /// # Panics
    /// If the basis has fewer primes than the polynomial has limbs.
    #[must_use]
    pub fn into_eval(mut self, basis: &RnsBasis) -> RnsPoly<Eval> {
        (0..self.limbs).for_each(|i| basis.table(i).forward(self.limb_mut(i)));
        self.assume_domain()
    }
}

impl RnsPoly<Eval> {
    /// Transforms all limbs back into coefficients.
    ///
    /// # Panics
    /// If the basis has fewer primes than the polynomial has limbs.
    #[must_use]
    pub fn into_coeff(mut self, basis: &RnsBasis) -> RnsPoly<Coeff> {
        (0..self.limbs).for_each(|i| basis.table(i).inverse(self.limb_mut(i)));
        self.assume_domain()
    }
}
