//! Hybrid key-switching (Han and Ki, CT-RSA 2020): turns a product with one secret into a product
//! with another.
//!
//! The limbs q₀…q_L are split into digits of α limbs. A key for s → s′ holds, for each digit d,
//! an encryption under s′ modulo QP: of P·s in the limbs of that digit and of 0 in all others.
//! To switch c, each digit \[c\]_{Q_d} is lifted to all limbs of QP (ModUp) and multiplied with its
//! part of the key; the products are summed and divided by P (ModDown):
//!
//! (b, a) = Σ_d ModUp(\[c\]_{Q_d})·(b_d, a_d) / P,   b + a·s′ ≈ c·s.
//!
//! | step | function | cost at l limbs, k special primes, D digits of α |
//! |---|---|---|
//! | prepare | [`Gadget::prepare_limb`] | l inverse NTT |
//! | overflow | [`Gadget::overflow_limb`] | l·N multiply-adds |
//! | ModUp | [`Gadget::digit_limbs`] | D(l + k) − l conversions of α + 1 terms, as many NTT |
//! | inner product | [`KeySwitchKey::accumulate_limb`] | 2D(l + k) limb products |
//! | ModDown | [`ModDown`] | 2k inverse NTT, 2l conversions of k + 1 terms, 2l NTT |
//!
//! Every row works limb by limb on disjoint outputs, so callers can spread it over threads;
//! [`Gadget::switch`] does the whole sequence on one thread. Lifted digits can be kept
//! ([`Gadget::decompose`]) and used for many keys (hoisting, Halevi and Shoup, CRYPTO 2018);
//! sums modulo QP can be kept and divided by P once.
//!
//! **Noise.** The conversions are centred: \[c\]_{Q_d} has coefficients of at most Q_d/2,
//! and the division rounds to nearest. With errors of size B_e in the key, h = ‖s′‖₁ and P ≥ Q_d,
//! |b + a·s′ − c·s| ≤ D·N·B_e·max(Q_d)/(2P) + (1 + h)/2.
//!
//! **Keys for a level.** A gadget made from fewer limbs ([`RnsBasis::range`]) and fewer special
//! primes shares all tables and has smaller, faster keys. Rotations that happen only at low levels
//! should have such a gadget.

mod key;

use alloc::vec::Vec;
use core::ops::Range;

pub use key::KeySwitchKey;

use crate::error::Error;
use crate::mod_down::ModDown;
use crate::ntt::InverseScale;
use crate::packed::Finish;
use crate::poly::{Coeff, Eval, RnsPoly, RnsPolyMut, RnsPolyRef};
use crate::rns::{BaseConverter, GROUP, MAX_DIGIT, RnsBasis};
use crate::scratch::limb_stride;

/// The digit decomposition of one modulus chain: α, the special primes, and tables for every level.
#[derive(Clone, Debug)]
pub struct Gadget {
    q: RnsBasis,
    qp: RnsBasis,
    alpha: usize,
    mod_down: ModDown,
    /// The tables of digit d at length r = 1 … α (it is shorter at lower levels)
    /// are \[d\]\[r − 1\].
    digits: Vec<Vec<Digit>>,
}

#[derive(Clone, Debug)]
struct Digit {
    /// Converts from the limbs of the digit to all limbs of QP.
    converter: BaseConverter,
    scales: Vec<InverseScale>,
}

impl Gadget {
    /// Builds a gadget with digits of `alpha` limbs of `q` and the special primes `p`.
    ///
    /// # Errors
    /// [`Error::Count`] if alpha or the number of digits is outside 1 … [`MAX_DIGIT`],
    /// [`Error::SpecialModulusTooSmall`] if P is more than 2 bits below the largest digit
    /// (the noise of a switch would be that much above the rounding error), and the errors
    /// of [`ModDown::new`].
    pub fn new(q: &RnsBasis, p: &RnsBasis, alpha: usize) -> Result<Self, Error> {
        if !(1..=MAX_DIGIT).contains(&alpha) {
            return Err(Error::Count { what: "limbs in a digit", value: alpha, min: 1, max: MAX_DIGIT });
        }
        let qp = q.concat(p)?;
        let all = qp.moduli();
        if q.len().div_ceil(alpha) > MAX_DIGIT {
            return Err(Error::Count { what: "digits", value: q.len().div_ceil(alpha), min: 1, max: MAX_DIGIT });
        }
        let mut digits = Vec::new();
        for from in (0..q.len()).step_by(alpha) {
            let limbs = alpha.min(q.len() - from);
            let digit_bits = q.range(from..from + limbs).log2_product();
            if p.log2_product() + 2.0 < digit_bits {
                return Err(Error::SpecialModulusTooSmall {
                    special_bits: p.log2_product() as u32,
                    digit_bits: digit_bits as u32,
                });
            }
            let digit = |r: usize| {
                let converter = BaseConverter::new(&all[from..from + r], &all, q.isa())?;
                let scale = |i| q.table(from + i).inverse_scale(converter.cofactor(i));
                Ok(Digit { scales: (0..r).map(scale).collect(), converter })
            };
            digits.push((1..=limbs).map(digit).collect::<Result<_, Error>>()?);
        }
        Ok(Self { mod_down: ModDown::new(q, p)?, q: q.clone(), qp, alpha, digits })
    }

    /// The ciphertext primes q₀…q_L.
    #[must_use]
    pub const fn q(&self) -> &RnsBasis {
        &self.q
    }

    /// The ciphertext primes q₀…q_L, then the special primes.
    #[must_use]
    pub const fn qp(&self) -> &RnsBasis {
        &self.qp
    }

    /// The number of special primes.
    #[must_use]
    pub fn special(&self) -> usize {
        self.qp.len() - self.q.len()
    }

    /// The number α of limbs in a digit.
    #[must_use]
    pub const fn alpha(&self) -> usize {
        self.alpha
    }

    /// The number of digits of a polynomial of `limbs` limbs.
    #[must_use]
    pub const fn digits(&self, limbs: usize) -> usize {
        limbs.div_ceil(self.alpha)
    }

    /// The division by P.
    #[must_use]
    pub const fn mod_down(&self) -> &ModDown {
        &self.mod_down
    }

    /// Returns the index in [`Gadget::qp`] of limb j of a sum modulo QP at `limbs` ciphertext
    /// limbs, whose limbs are q₀…q_{limbs−1}, then the special primes.
    ///
    /// # Panics
    /// If there is no such limb.
    #[must_use]
    pub fn qp_index(&self, limbs: usize, j: usize) -> usize {
        assert!(
            limbs <= self.q.len() && j < limbs + self.special(),
            "limb {j} of {limbs} and {} special",
            self.special()
        );
        if j < limbs { j } else { j - limbs + self.q.len() }
    }

    #[track_caller]
    fn digit(&self, limbs: usize, d: usize) -> (Range<usize>, &Digit) {
        assert!(
            limbs <= self.q.len() && d < self.digits(limbs),
            "digit {d} of {limbs} limbs, of a gadget of {}",
            self.q.len()
        );
        let range = d * self.alpha..limbs.min((d + 1) * self.alpha);
        let digit = &self.digits[d][range.len() - 1];
        (range, digit)
    }

    /// Prepares limb i of c at `limbs` limbs: transforms values into coefficients that are ready
    /// for conversion.
    ///
    /// # Panics
    /// If `limbs`, i or a length is wrong.
    pub fn prepare_limb(&self, limbs: usize, i: usize, c: &[f64], out: &mut [f64]) {
        let (range, digit) = self.digit(limbs, i / self.alpha);
        self.q.table(i).inverse_scaled_into(c, out, &digit.scales[i - range.start]);
    }

    /// Computes the overflow of digit d of the prepared polynomial at the coefficients `from`,
    /// `from` + 1, …, one for each entry of v, so that threads can share a limb.
    ///
    /// # Panics
    /// If d is wrong, there are no such coefficients, or the length is not a multiple of 8.
    pub fn overflow_limb(&self, prepared: RnsPolyRef<'_, Coeff>, d: usize, from: usize, v: &mut [f64]) {
        let (range, digit) = self.digit(prepared.limbs(), d);
        let prepared = prepared.range(range.start, range.end);
        prepared.with_pieces(from..from + v.len(), |y| digit.converter.overflow_into(y, v));
    }

    /// Splits the limbs modulo QP of a polynomial of `limbs` limbs into runs of at most [`GROUP`]
    /// that [`Gadget::digit_limbs`] can compute at once. No run crosses the border of a digit or
    /// the border between q and the special primes.
    ///
    /// # Panics
    /// If q has fewer limbs.
    pub fn groups(&self, limbs: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        assert!(limbs <= self.q.len(), "{limbs} limbs of a gadget of {}", self.q.len());
        let (alpha, special) = (self.alpha, self.special());
        let runs = |run: Range<usize>| {
            // Runs have nearly equal lengths: 3 + 2, not 4 + 1.
            let size = run.len().div_ceil(run.len().div_ceil(GROUP));
            run.clone().step_by(size).map(move |from| from..run.end.min(from + size))
        };
        (0..limbs)
            .step_by(alpha)
            .map(move |from| from..limbs.min(from + alpha))
            .chain(core::iter::once(limbs..limbs + special))
            .flat_map(runs)
    }

    /// Does ModUp: computes the limbs first, first + 1, … modulo QP of the lifted digit d,
    /// in values. All of them lie in one of [`Gadget::groups`]. `v` is the overflow of the digit.
    /// The limbs of the digit itself are those of c and are not computed here.
    ///
    /// # Panics
    /// If a limb belongs to the digit, the limbs cross from q to the special primes, there are more
    /// than [`GROUP`], or numbers or lengths are wrong.
    pub fn digit_limbs(
        &self,
        prepared: RnsPolyRef<'_, Coeff>,
        v: &[f64],
        d: usize,
        first: usize,
        out: &mut RnsPolyMut<'_, Eval>,
    ) {
        let limbs = prepared.limbs();
        let (range, digit) = self.digit(limbs, d);
        let (end, target) = (first + out.limbs(), self.qp_index(limbs, first));
        assert!(end <= range.start || range.end <= first, "limbs {first}..{end} include some of digit {d}");
        assert!(end <= limbs || limbs <= first, "limbs {first}..{end} cross to the special primes at {limbs}");
        // A single centred limb has no overflow.
        let v = (range.len() > 1).then_some(v);
        let y = prepared.range(range.start, range.end);
        out.with_limbs_mut(|out| y.with_limbs(v, |y| digit.converter.convert_into(y, target, out)));
        (0..out.limbs()).for_each(|j| self.qp.table(target + j).forward(out.limb_mut(j)));
    }

    /// Prepares all limbs and computes all overflows on one thread: fills `prepared` (as many limbs
    /// as c) and `overflow` (one limb per digit).
    ///
    /// # Panics
    /// If shapes do not fit.
    pub fn prepare(
        &self,
        c: RnsPolyRef<'_, Eval>,
        prepared: &mut RnsPolyMut<'_, Coeff>,
        overflow: &mut RnsPolyMut<'_, Coeff>,
    ) {
        let limbs = c.limbs();
        assert!(prepared.limbs() == limbs && limbs <= self.q.len(), "{limbs} limbs, {} prepared", prepared.limbs());
        for i in 0..limbs {
            self.prepare_limb(limbs, i, c.limb(i), prepared.limb_mut(i));
        }
        (0..self.digits(limbs)).for_each(|d| self.overflow_limb(prepared.view(), d, 0, overflow.limb_mut(d)));
    }

    /// The length of the workspace of [`Gadget::decompose`] for a polynomial of `limbs` limbs.
    ///
    /// # Panics
    /// If q has fewer limbs.
    #[must_use]
    pub fn decompose_scratch_len(&self, limbs: usize) -> usize {
        assert!(limbs <= self.q.len(), "{limbs} limbs of a gadget of {}", self.q.len());
        (limbs + self.digits(limbs)) * limb_stride(self.q.n())
    }

    /// Decomposes c once, to be multiplied with many keys (hoisting):
    /// out\[d\] becomes digit d lifted to the limbs of c and the special primes.
    ///
    /// # Panics
    /// If the number of digits, a shape or the workspace does not fit.
    pub fn decompose(&self, c: RnsPolyRef<'_, Eval>, out: &mut [RnsPoly<Eval>], scratch: &mut [f64]) {
        let limbs = c.limbs();
        assert!(out.len() == self.digits(limbs), "{} digits for {} polynomials", self.digits(limbs), out.len());
        let (prepared, scratch) = RnsPolyMut::from_scratch(scratch, c.n(), limbs);
        let (overflow, _) = RnsPolyMut::from_scratch(scratch, c.n(), out.len());
        let (mut prepared, mut overflow) = (prepared, overflow);
        self.prepare(c, &mut prepared, &mut overflow);
        for (d, out) in out.iter_mut().enumerate() {
            assert!(out.limbs() == limbs + self.special(), "{} limbs of digit {d}", out.limbs());
            let (own, _) = self.digit(limbs, d);
            for group in self.groups(limbs) {
                let mut out = out.view_mut().split_at(group.end).0.split_at(group.start).1;
                if own.contains(&group.start) {
                    out.copy_from(c.range(group.start, group.end));
                } else {
                    self.digit_limbs(prepared.view(), overflow.limb(d), d, group.start, &mut out);
                }
            }
        }
    }

    /// The length of the workspace of [`Gadget::switch_lazy`] and [`Gadget::switch`] for
    /// a polynomial of `limbs` limbs.
    ///
    /// # Panics
    /// If q has fewer limbs.
    #[must_use]
    pub fn switch_scratch_len(&self, limbs: usize) -> usize {
        assert!(limbs <= self.q.len(), "{limbs} limbs of a gadget of {}", self.q.len());
        (limbs + (1 + GROUP) * self.digits(limbs) + 2 + GROUP) * limb_stride(self.q.n())
    }

    /// Computes Σ_d ModUp(\[c\]_{Q_d})·key_d modulo QP without dividing it by P.
    /// Both parts of `out` get the limbs of c, then those of the special primes.
    /// Sums of several such results (and of P times other polynomials) may share one ModDown.
    ///
    /// # Panics
    /// If a shape, the key or the workspace does not fit.
    pub fn switch_lazy(
        &self,
        c: RnsPolyRef<'_, Eval>,
        key: &KeySwitchKey,
        out: [&mut RnsPolyMut<'_, Eval>; 2],
        scratch: &mut [f64],
    ) {
        let (mut switching, _) = Switching::new(self, c, key, scratch);
        let [b, a] = out;
        for group in self.groups(c.limbs()) {
            switching.lift(group.clone());
            for j in group {
                switching.accumulate(j, 0, Finish::default(), b.limb_mut(j));
                switching.accumulate(j, 1, Finish::default(), a.limb_mut(j));
            }
        }
    }

    /// Does [`Gadget::switch_lazy`] and ModDown: the first limbs of both parts of `out` become
    /// (b, a) with b + a·s′ ≈ c·s; the contents of the special limbs are lost.
    ///
    /// The special limbs are summed first, so that every other sum is divided while it is in
    /// the cache.
    ///
    /// # Panics
    /// As [`Gadget::switch_lazy`].
    pub fn switch(
        &self,
        c: RnsPolyRef<'_, Eval>,
        key: &KeySwitchKey,
        out: [&mut RnsPolyMut<'_, Eval>; 2],
        scratch: &mut [f64],
    ) {
        let limbs = c.limbs();
        let (mut switching, scratch) = Switching::new(self, c, key, scratch);
        let (mut overflow, scratch) = RnsPolyMut::<Coeff>::from_scratch(scratch, c.n(), 2);
        let (mut converted, _) = RnsPolyMut::<Eval>::from_scratch(scratch, c.n(), GROUP);
        let [b, a] = out;
        for group in self.groups(limbs).filter(|group| group.start >= limbs) {
            switching.lift(group.clone());
            for j in group {
                switching.accumulate(j, 0, Finish::default(), b.limb_mut(j));
                switching.accumulate(j, 1, Finish::default(), a.limb_mut(j));
            }
        }
        let [(mut b, special_b), (mut a, special_a)] = [b, a].map(|sum| sum.reborrow().split_at(limbs));
        let prepared = [
            self.mod_down.prepare(special_b, overflow.limb_mut(0)),
            self.mod_down.prepare(special_a, overflow.limb_mut(1)),
        ];
        for group in self.groups(limbs).filter(|group| group.start < limbs) {
            switching.lift(group.clone());
            for (part, out) in [&mut b, &mut a].into_iter().enumerate() {
                let mut converted = converted.reborrow().split_at(group.len()).0;
                let (prepared, v) = (prepared[part].view(), overflow.limb(part));
                self.mod_down.convert_limbs(group.start, prepared, v, &mut converted);
                for (i, j) in group.clone().enumerate() {
                    let divide = Some(self.mod_down.division(j, converted.limb_mut(i)));
                    switching.accumulate(j, part, Finish { divide, ..Finish::default() }, out.limb_mut(j));
                }
            }
        }
    }
}

/// A key-switch in progress, in the caller's workspace.
struct Switching<'a> {
    gadget: &'a Gadget,
    c: RnsPolyRef<'a, Eval>,
    key: &'a KeySwitchKey,
    prepared: RnsPolyMut<'a, Coeff>,
    overflow: RnsPolyMut<'a, Coeff>,
    /// The lifted limbs: [`GROUP`] for each digit.
    lifted: RnsPolyMut<'a, Eval>,
    /// The limbs modulo QP to which the digits are lifted at the moment.
    group: Range<usize>,
}

impl<'a> Switching<'a> {
    /// Prepares c. Returns also the rest of the workspace.
    fn new(
        gadget: &'a Gadget,
        c: RnsPolyRef<'a, Eval>,
        key: &'a KeySwitchKey,
        scratch: &'a mut [f64],
    ) -> (Self, &'a mut [f64]) {
        let digits = gadget.digits(c.limbs());
        let (mut prepared, scratch) = RnsPolyMut::from_scratch(scratch, c.n(), c.limbs());
        let (mut overflow, scratch) = RnsPolyMut::from_scratch(scratch, c.n(), digits);
        let (lifted, scratch) = RnsPolyMut::from_scratch(scratch, c.n(), GROUP * digits);
        gadget.prepare(c, &mut prepared, &mut overflow);
        (Self { gadget, c, key, prepared, overflow, lifted, group: 0..0 }, scratch)
    }

    /// Returns the digit that the limbs of the group belong to, or `None` for special primes.
    fn own(&self) -> Option<usize> {
        (self.group.start < self.c.limbs()).then(|| self.group.start / self.gadget.alpha)
    }

    /// Lifts the digits to the limbs of one group, which are used while they are in the cache.
    fn lift(&mut self, group: Range<usize>) {
        self.group = group;
        let (own, Self { gadget, prepared, overflow, lifted, group, .. }) = (self.own(), self);
        for (first, lifted) in lifted.groups_mut(GROUP).filter(|(first, _)| Some(first / GROUP) != own) {
            let (d, mut lifted) = (first / GROUP, lifted.split_at(group.len()).0);
            gadget.digit_limbs(prepared.view(), overflow.limb(d), d, group.start, &mut lifted);
        }
    }

    /// Computes the sum at limb j of the group, for one part of the key.
    fn accumulate(&self, j: usize, part: usize, finish: Finish<'_>, out: &mut [f64]) {
        let (digits, limbs) = (self.overflow.limbs(), self.c.limbs());
        let mut list = [&[][..]; MAX_DIGIT];
        for (d, slot) in list[..digits].iter_mut().enumerate() {
            *slot = match Some(d) == self.own() {
                true => self.c.limb(j),
                false => self.lifted.limb(GROUP * d + j - self.group.start),
            };
        }
        let at = self.gadget.qp_index(limbs, j);
        self.key.accumulate_limb(self.gadget, at, part, &list[..digits], finish, out);
    }
}
