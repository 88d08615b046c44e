//! Key-switching keys: generation, the inner product, and their compressed bytes.

use alloc::vec;

use rand_core::CryptoRng;
use zeroize::Zeroize;

use super::Gadget;
use crate::bytes;
use crate::error::Error;
use crate::galois::{Automorphism, GaloisElement};
use crate::modulus::Modulus;
use crate::packed::{Finish, PackedPolys};
use crate::poly::{Eval, RnsPoly, RnsPolyMut, RnsPolyRef};
use crate::rns::MAX_DIGIT;
use crate::sampler::{self, Seed};
use crate::scratch::{Scratch, total};

/// A key that switches from s to s′ under one [`Gadget`]. For each digit d it holds a pair
/// (b_d, a_d) modulo QP with b_d + a_d·s′ = e_d + P·s·\[limb in digit d\]. It is public.
#[derive(Clone, Debug, PartialEq)]
pub struct KeySwitchKey {
    seed: Seed,
    /// The parts in the order b_0, a_0, b_1, a_1, …
    parts: PackedPolys,
}

impl KeySwitchKey {
    /// Generates a key from the secret `from` (limbs of q) to the secret `to` (limbs of QP),
    /// both in values. Errors are drawn from `rng` (rounded Gaussian, [`sampler::gaussian_into`]);
    /// the a parts expand from a fresh seed.
    ///
    /// # Panics
    /// If the shapes are not those of the gadget.
    #[must_use]
    pub fn generate(
        gadget: &Gadget,
        from: RnsPolyRef<'_, Eval>,
        to: RnsPolyRef<'_, Eval>,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Self {
        let (q, qp) = (gadget.q(), gadget.qp());
        assert!(from.limbs() == q.len() && to.limbs() == qp.len(), "{} and {} limbs", from.limbs(), to.limbs());
        let seed = Seed::from_rng(rng);
        let mut parts = PackedPolys::new(qp, 2 * gadget.digits(q.len()));
        let mut error = vec![0i8; qp.n()];
        let [mut b, mut a, mut product] = [(); 3].map(|()| Scratch::new(qp.n()));
        for d in 0..gadget.digits(q.len()) {
            sampler::gaussian_into(rng, &mut error);
            for j in 0..qp.len() {
                let table = qp.table(j);
                expand_limb(&seed, d, j, table.modulus(), &mut a);
                parts.pack(qp, 2 * d + 1, j, &a);
                table.mul_assign(&mut a, to.limb(j));
                b.iter_mut().zip(&error).for_each(|(b, &error)| *b = f64::from(error));
                table.forward(&mut b);
                table.sub_assign(&mut b, &a);
                if j < q.len() && j / gadget.alpha() == d {
                    product.copy_from_slice(from.limb(j));
                    table.mul_scalar_assign(&mut product, gadget.mod_down().dropped().product_mod(q.modulus(j)));
                    table.add_assign(&mut b, &product);
                }
                parts.pack(qp, 2 * d, j, &b);
            }
        }
        // Wipes the errors, a·s′ and P·s, which are secret.
        error.zeroize();
        [a, product].iter_mut().for_each(|limb| limb.zeroize());
        Self { seed, parts }
    }

    /// Generates the relinearisation key s² → s. `secret` has the limbs of QP, in values.
    ///
    /// # Panics
    /// If the shape is not that of the gadget.
    #[must_use]
    pub fn relinearisation(gadget: &Gadget, secret: RnsPolyRef<'_, Eval>, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let limbs = gadget.q().len();
        let mut square = secret.range(0, limbs).to_owned();
        square.view_mut().mul_assign(gadget.q(), secret.range(0, limbs));
        let key = Self::generate(gadget, square.view(), secret, rng);
        square.zeroize();
        key
    }

    /// Generates the key for X → X^g, which switches from s to s(X^(1/g)). Switch first,
    /// then apply the [`Automorphism`] g to both parts of the result, which is then under s.
    /// In this order, decomposed digits serve every g (hoisting).
    ///
    /// # Panics
    /// If the shape is not that of the gadget, or g belongs to another ring.
    #[must_use]
    pub fn galois(
        gadget: &Gadget,
        secret: RnsPolyRef<'_, Eval>,
        g: GaloisElement,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Self {
        let mut to = RnsPoly::zero(secret.n(), secret.limbs());
        Automorphism::with_isa(g.inverse(), gadget.q().isa()).apply_into(secret, &mut to.view_mut());
        let key = Self::generate(gadget, secret.range(0, gadget.q().len()), to.view(), rng);
        to.zeroize();
        key
    }

    /// Returns (b_d, a_d) of digit d modulo QP, unpacked.
    ///
    /// # Panics
    /// If there is no digit d, or the key does not have the shape of the gadget.
    #[must_use]
    pub fn part(&self, gadget: &Gadget, d: usize) -> [RnsPoly<Eval>; 2] {
        assert!(d < self.parts.len() / 2, "digit {d} of {}", self.parts.len() / 2);
        [2 * d, 2 * d + 1].map(|i| self.parts.unpack(gadget.qp(), i))
    }

    /// The seed of the a parts.
    #[must_use]
    pub const fn seed(&self) -> &Seed {
        &self.seed
    }

    /// The number of bytes that a key under this gadget takes in memory.
    ///
    /// # Panics
    /// If the number is more than `usize::MAX`: no such key can be made.
    #[must_use]
    pub fn memory_bytes(gadget: &Gadget) -> usize {
        PackedPolys::bytes(gadget.qp(), 2 * gadget.digits(gadget.q().len()))
    }

    /// Computes the inner product of lifted digits with one part of the key at one limb:
    /// out ← Σ_d digits\[d\]·b_d if `part` is 0, or Σ_d digits\[d\]·a_d if it is 1.
    /// Then `finish` is applied. `at` is a limb of [`Gadget::qp`] ([`Gadget::qp_index`]);
    /// `digits` holds that limb of every digit.
    ///
    /// # Panics
    /// If `at`, `part`, the number of digits or a length is wrong, or the key does not have
    /// the shape of the gadget.
    pub fn accumulate_limb(
        &self,
        gadget: &Gadget,
        at: usize,
        part: usize,
        digits: &[&[f64]],
        finish: Finish<'_>,
        out: &mut [f64],
    ) {
        let most = gadget.digits(gadget.q().len());
        assert!((1..=most).contains(&digits.len()) && part < 2, "{} digits of {most}, part {part}", digits.len());
        assert!(
            self.parts.len() == 2 * most && self.parts.limbs() == gadget.qp().len(),
            "a key of {} digits and {} limbs for a gadget of {most} and {}",
            self.parts.len() / 2,
            self.parts.limbs(),
            gadget.qp().len()
        );
        let mut keys = [&[][..]; MAX_DIGIT];
        let keys = &mut keys[..digits.len()];
        keys.iter_mut().enumerate().for_each(|(d, slot)| *slot = self.parts.limb(2 * d + part, at));
        gadget.qp().table(at).dot_packed_into(out, digits, keys, finish);
    }

    /// Does [`KeySwitchKey::accumulate_limb`] for both parts and all limbs of decomposed digits
    /// ([`Gadget::decompose`]), on one thread. The result is modulo QP, not divided by P.
    ///
    /// # Panics
    /// If a shape does not fit.
    pub fn accumulate(&self, gadget: &Gadget, digits: &[RnsPoly<Eval>], mut out: [&mut RnsPolyMut<'_, Eval>; 2]) {
        let [b, a] = out.each_ref().map(|out| out.limbs());
        assert!(b == a, "{b} and {a} limbs");
        let limbs = b - gadget.special();
        assert!(digits.len() == gadget.digits(limbs), "{} digits at {limbs} limbs", digits.len());
        for j in 0..b {
            let mut list = [&[][..]; MAX_DIGIT];
            list.iter_mut().zip(digits).for_each(|(slot, digit)| *slot = digit.limb(j));
            let (at, list) = (gadget.qp_index(limbs, j), &list[..digits.len()]);
            // The second part finds the digits in the cache.
            for (part, out) in out.iter_mut().enumerate() {
                self.accumulate_limb(gadget, at, part, list, Finish::default(), out.limb_mut(j));
            }
        }
    }

    /// The length of the compressed bytes under this gadget.
    ///
    /// # Panics
    /// As [`KeySwitchKey::memory_bytes`].
    #[must_use]
    pub fn encoded_len(gadget: &Gadget) -> usize {
        let qp = gadget.qp();
        let limbs: usize = (0..qp.len()).map(|j| bytes::limb_len(qp.modulus(j), qp.n())).sum();
        let parts = total(gadget.digits(gadget.q().len()), limbs);
        parts.checked_add(Seed::LEN).expect("a length beyond the address space")
    }

    /// Writes the compressed form: the seed of the a parts, then the limbs of every b part
    /// ([`bytes::encode_limb`]). The form does not identify the gadget; containers have to.
    ///
    /// # Panics
    /// If the length is not [`KeySwitchKey::encoded_len`].
    pub fn encode(&self, gadget: &Gadget, out: &mut [u8]) {
        assert!(out.len() == Self::encoded_len(gadget), "{} bytes", out.len());
        let (seed, mut out) = out.split_at_mut(Seed::LEN);
        seed.copy_from_slice(self.seed.as_bytes());
        let mut values = vec![0.0; gadget.qp().n()];
        for d in 0..gadget.digits(gadget.q().len()) {
            for j in 0..gadget.qp().len() {
                let table = gadget.qp().table(j);
                let limb = out.split_off_mut(..bytes::limb_len(table.modulus(), values.len()));
                table.unpack_into(self.parts.limb(2 * d, j), &mut values);
                bytes::encode_limb(table.modulus(), &values, limb.expect("the length was checked"));
            }
        }
    }

    /// Reads the compressed form and expands the a parts.
    ///
    /// # Errors
    /// [`Error::Length`] for a wrong length, before anything is allocated, and [`Error::Residue`]
    /// for a residue that is not below its modulus.
    ///
    /// # Panics
    /// As [`KeySwitchKey::memory_bytes`].
    pub fn decode(gadget: &Gadget, encoded: &[u8]) -> Result<Self, Error> {
        let wanted = Self::encoded_len(gadget);
        if encoded.len() != wanted {
            return Err(Error::Length { found: encoded.len(), wanted });
        }
        let qp = gadget.qp();
        let (seed, mut rest) = encoded.split_first_chunk().ok_or(Error::Length { found: encoded.len(), wanted })?;
        let seed = Seed::from_bytes(*seed);
        let mut parts = PackedPolys::new(qp, 2 * gadget.digits(gadget.q().len()));
        let mut values = vec![0.0; qp.n()];
        for d in 0..gadget.digits(gadget.q().len()) {
            for j in 0..qp.len() {
                let q = qp.modulus(j);
                let (bytes, tail) = rest.split_at(bytes::limb_len(q, qp.n()));
                bytes::decode_limb(q, j, bytes, &mut values)?;
                rest = tail;
                parts.pack(qp, 2 * d, j, &values);
                expand_limb(&seed, d, j, q, &mut values);
                parts.pack(qp, 2 * d + 1, j, &values);
            }
        }
        Ok(Self { seed, parts })
    }
}

/// Expands limb j of a_d. Every limb of every digit has its own stream of the seed.
fn expand_limb(seed: &Seed, d: usize, j: usize, q: &Modulus, out: &mut [f64]) {
    sampler::uniform_into(q, &mut seed.expand(((d as u64) << 32) | j as u64), out);
}
