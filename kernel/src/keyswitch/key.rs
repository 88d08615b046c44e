//! Key-switching keys: generation, the inner product, and their compressed bytes.

use alloc::vec;
use alloc::vec::Vec;

use rand_core::CryptoRng;
use zeroize::Zeroize;

use super::Gadget;
use crate::bytes;
use crate::error::Error;
use crate::galois::{Automorphism, GaloisElement};
use crate::poly::{Coeff, Eval, RnsPoly, RnsPolyMut, RnsPolyRef};
use crate::rns::MAX_DIGIT;
use crate::sampler::{self, Seed};

/// A key that switches from s to s′ under one [`Gadget`]: for each digit d a pair (b_d, a_d) modulo QP with
/// b_d + a_d·s′ = e_d + P·s·\[limb in digit d\]. Public.
#[derive(Clone, Debug, PartialEq)]
pub struct KeySwitchKey {
    seed: Seed,
    parts: Vec<[RnsPoly<Eval>; 2]>,
}

impl KeySwitchKey {
    /// A key from the secret `from` (limbs of q) to the secret `to` (limbs of QP), both in values. Errors are drawn from
    /// `rng` (rounded Gaussian, [`sampler::gaussian_into`]); the a parts expand from a fresh seed.
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
        let mut error = vec![0i8; qp.n()];
        let parts = (0..gadget.digits(q.len()))
            .map(|d| {
                sampler::gaussian_into(rng, &mut error);
                let mut b = RnsPoly::<Coeff>::from_small(&error, qp.len()).into_eval(qp);
                let a = expand(gadget, &seed, d);
                let mut product = vec![0.0; qp.n()];
                for j in 0..qp.len() {
                    let table = qp.table(j);
                    product.copy_from_slice(a.limb(j));
                    table.mul_assign(&mut product, to.limb(j));
                    table.sub_assign(b.limb_mut(j), &product);
                    if j < q.len() && j / gadget.alpha() == d {
                        product.copy_from_slice(from.limb(j));
                        table.mul_scalar_assign(&mut product, gadget.mod_down().dropped().product_mod(q.modulus(j)));
                        table.add_assign(b.limb_mut(j), &product);
                    }
                }
                product.zeroize();
                [b, a]
            })
            .collect();
        error.zeroize();
        Self { seed, parts }
    }

    /// The relinearisation key s² → s. `secret`: limbs of QP, in values.
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

    /// The key for X → X^g: from s to s(X^(1/g)). Switch first, then apply the [`Automorphism`] g to both parts of
    /// the result, which is then under s. In this order decomposed digits serve every g (hoisting).
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
        Automorphism::new(g.inverse()).apply_into(secret, &mut to.view_mut());
        let key = Self::generate(gadget, secret.range(0, gadget.q().len()), to.view(), rng);
        to.zeroize();
        key
    }

    /// (b_d, a_d) of digit d, modulo QP.
    ///
    /// # Panics
    /// If there is no digit d.
    #[must_use]
    pub fn part(&self, d: usize) -> [RnsPolyRef<'_, Eval>; 2] {
        self.parts[d].each_ref().map(RnsPoly::view)
    }

    /// The seed of the a parts.
    #[must_use]
    pub const fn seed(&self) -> &Seed {
        &self.seed
    }

    /// Bytes of memory of a key under this gadget.
    #[must_use]
    pub fn memory_bytes(gadget: &Gadget) -> usize {
        2 * gadget.digits(gadget.q().len()) * RnsPoly::<Eval>::bytes(gadget.qp().n(), gadget.qp().len())
    }

    /// Inner product at limb j modulo QP of `limbs` ciphertext limbs: out ← Σ_d digits\[d\]·(b_d, a_d), where digits\[d\] is limb j
    /// of the lifted digit d.
    ///
    /// # Panics
    /// If j, the number of digits or a length is wrong, or the key has not the shape of the gadget.
    pub fn accumulate_limb(&self, gadget: &Gadget, limbs: usize, j: usize, digits: &[&[f64]], out: [&mut [f64]; 2]) {
        assert!(digits.len() == gadget.digits(limbs), "{} digits at {limbs} limbs", digits.len());
        assert!(
            self.parts.len() == gadget.digits(gadget.q().len()) && self.parts[0][0].limbs() == gadget.qp().len(),
            "a key of {} digits and {} limbs for a gadget of {} and {}",
            self.parts.len(),
            self.parts[0][0].limbs(),
            gadget.digits(gadget.q().len()),
            gadget.qp().len()
        );
        let at = gadget.qp_index(limbs, j);
        let mut keys = [[&[][..]; MAX_DIGIT]; 2];
        for (d, [b, a]) in self.parts[..digits.len()].iter().enumerate() {
            (keys[0][d], keys[1][d]) = (b.limb(at), a.limb(at));
        }
        gadget.qp().table(at).dot_into(out, digits, keys.each_ref().map(|keys| &keys[..digits.len()]));
    }

    /// [`KeySwitchKey::accumulate_limb`] for all limbs of decomposed digits ([`Gadget::decompose`]), on one thread. The result is
    /// modulo QP, not divided by P.
    ///
    /// # Panics
    /// If a shape does not fit.
    pub fn accumulate(&self, gadget: &Gadget, digits: &[RnsPoly<Eval>], out: [&mut RnsPolyMut<'_, Eval>; 2]) {
        let [b, a] = out;
        let limbs = b.limbs() - gadget.special();
        for j in 0..b.limbs() {
            let mut list = [&[][..]; MAX_DIGIT];
            list.iter_mut().zip(digits).for_each(|(slot, digit)| *slot = digit.limb(j));
            self.accumulate_limb(gadget, limbs, j, &list[..digits.len()], [b.limb_mut(j), a.limb_mut(j)]);
        }
    }

    /// Length of the compressed bytes under this gadget.
    #[must_use]
    pub fn encoded_len(gadget: &Gadget) -> usize {
        let qp = gadget.qp();
        let limbs: usize = (0..qp.len()).map(|j| bytes::limb_len(qp.modulus(j), qp.n())).sum();
        Seed::LEN + gadget.digits(gadget.q().len()) * limbs
    }

    /// Writes the compressed form: the seed of the a parts, then the limbs of every b part ([`bytes::encode_limb`]). The form
    /// says nothing about the gadget; containers have to.
    ///
    /// # Panics
    /// If the length is not [`KeySwitchKey::encoded_len`].
    pub fn encode(&self, gadget: &Gadget, out: &mut [u8]) {
        assert!(out.len() == Self::encoded_len(gadget), "{} bytes", out.len());
        let (seed, mut out) = out.split_at_mut(Seed::LEN);
        seed.copy_from_slice(self.seed.as_bytes());
        for [b, _] in &self.parts {
            for j in 0..b.limbs() {
                let q = gadget.qp().modulus(j);
                let limb = out.split_off_mut(..bytes::limb_len(q, b.n())).expect("the length was checked");
                bytes::encode_limb(q, b.limb(j), limb);
            }
        }
    }

    /// Reads the compressed form and expands the a parts.
    ///
    /// # Errors
    /// [`Error::Length`], before anything is allocated, and [`Error::Residue`].
    pub fn decode(gadget: &Gadget, encoded: &[u8]) -> Result<Self, Error> {
        let wanted = Self::encoded_len(gadget);
        if encoded.len() != wanted {
            return Err(Error::Length { found: encoded.len(), wanted });
        }
        let qp = gadget.qp();
        let (seed, mut rest) = encoded.split_first_chunk().ok_or(Error::Length { found: encoded.len(), wanted })?;
        let seed = Seed::from_bytes(*seed);
        let mut parts = Vec::new();
        for d in 0..gadget.digits(gadget.q().len()) {
            let mut b = RnsPoly::zero(qp.n(), qp.len());
            for (j, limb) in b.limbs_mut().enumerate() {
                let (bytes, tail) = rest.split_at(bytes::limb_len(qp.modulus(j), qp.n()));
                bytes::decode_limb(qp.modulus(j), j, bytes, limb)?;
                rest = tail;
            }
            parts.push([b, expand(gadget, &seed, d)]);
        }
        Ok(Self { seed, parts })
    }
}

/// a_d: every limb of every digit has its own stream of the seed.
fn expand(gadget: &Gadget, seed: &Seed, d: usize) -> RnsPoly<Eval> {
    let qp = gadget.qp();
    let mut a = RnsPoly::zero(qp.n(), qp.len());
    for (j, limb) in a.limbs_mut().enumerate() {
        sampler::uniform_into(qp.modulus(j), &mut seed.expand(((d as u64) << 32) | j as u64), limb);
    }
    a
}
