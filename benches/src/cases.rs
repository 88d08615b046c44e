//! The benchmarked work. Each case owns its buffers, does the work of this project and of the peer
//! call by call, and checks that both agree.

use hetal_kernel::rns::BaseConverter;
use hetal_kernel::sampler::{GAUSSIAN_BOUND, ternary_into};
use hetal_kernel::{
    Coeff, Error, Eval, Gadget, Isa, KeySwitchKey, ModDown, Modulus, NttTable, RnsBasis, RnsPoly, Scratch,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::peer::{self, Plan};
use crate::setup::{WordPoly, Words, basis, canonical, primes, random_poly};

/// Returns `Err` with the message, unless `holds` is true.
fn ensure(holds: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message()) }
}

/// Transforms of one limb, in place and repeated: the result of each is a valid input of the next.
#[derive(Debug)]
pub struct Transforms {
    basis: RnsBasis,
    plan: Plan,
    limb: Scratch,
    words: Words,
    peer_words: Words,
}

impl Transforms {
    /// Makes tables and inputs for the largest prime.
    ///
    /// # Errors
    /// Those of [`basis`].
    pub fn new(log_n: u32, isa: Isa) -> Result<Self, Error> {
        let basis = basis(log_n, 0, 1, isa)?;
        let limb = random_poly::<Coeff>(basis.n(), &basis.moduli(), 1);
        let words = canonical(basis.modulus(0), limb.limb(0));
        let mut scratch = Scratch::new(basis.n());
        scratch.copy_from_slice(limb.limb(0));
        Ok(Self { plan: peer::plan(basis.table(0)), basis, limb: scratch, peer_words: words.clone(), words })
    }

    /// Returns this project's tables.
    #[must_use]
    pub fn table(&self) -> &NttTable {
        self.basis.table(0)
    }

    /// Returns the peer's tables.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Runs this project's forward transform on `f64`.
    pub fn forward(&mut self) {
        self.basis.table(0).forward(&mut self.limb);
    }

    /// Runs this project's forward transform on `u64`.
    pub fn forward_u64(&mut self) {
        self.basis.table(0).forward_u64(&mut self.words);
    }

    /// Runs this project's inverse transform on `f64`, with the factor 1/N.
    pub fn inverse(&mut self) {
        self.basis.table(0).inverse(&mut self.limb);
    }

    /// Runs this project's inverse transform on `u64`, with the factor 1/N.
    pub fn inverse_u64(&mut self) {
        self.basis.table(0).inverse_u64(&mut self.words);
    }

    /// Runs the peer's forward transform.
    pub fn peer_forward(&mut self) {
        self.plan.fwd(&mut self.peer_words);
    }

    /// Runs the peer's inverse transform, without the factor 1/N.
    pub fn peer_inverse(&mut self) {
        self.plan.inv(&mut self.peer_words);
    }

    /// Runs the peer's inverse transform, with the factor 1/N.
    pub fn peer_inverse_normalised(&mut self) {
        self.plan.inv(&mut self.peer_words);
        self.plan.normalize(&mut self.peer_words);
    }

    /// Checks the round trip in both number formats, and that the product of two random polynomials
    /// is the peer's.
    ///
    /// # Errors
    /// A description of the difference.
    pub fn check(&self) -> Result<(), String> {
        check_transforms(self.table(), &self.plan)
    }
}

/// [`Transforms::check`], for any pair of tables.
fn check_transforms(table: &NttTable, plan: &Plan) -> Result<(), String> {
    let (q, n) = (table.modulus(), table.n());
    let right = |what: &str, holds: bool| {
        ensure(holds, || format!("{what} is wrong for q = {}, N = {n}, {}", q.value(), table.isa()))
    };
    let factors = [2, 3].map(|label| random_poly::<Coeff>(n, &[*q], label));
    let [x, y] = factors.each_ref().map(|factor| {
        let words = canonical(q, factor.limb(0));
        (factor.limb(0).to_vec(), words.clone(), words)
    });
    let original = x.1.clone();
    let (mut x, mut y) = (x, y);
    for (limb, words, peer_words) in [&mut x, &mut y] {
        table.forward(limb);
        table.forward_u64(words);
        plan.fwd(peer_words);
        right("the u64 transform", canonical(q, limb) == *words)?;
        right("the range of the peer's values", peer_words.iter().all(|&x| x < q.value()))?;
    }
    let (mut limb, mut words, mut peer_words) = x.clone();
    table.inverse(&mut limb);
    table.inverse_u64(&mut words);
    plan.inv(&mut peer_words);
    plan.normalize(&mut peer_words);
    right("the round trip", canonical(q, &limb) == original)?;
    right("the u64 round trip", words == original)?;
    right("the peer's round trip", peer_words == original)?;

    table.mul_assign(&mut x.0, &y.0);
    table.inverse(&mut x.0);
    table.mul_assign_u64(&mut x.1, &y.1);
    table.inverse_u64(&mut x.1);
    plan.mul_assign_normalize(&mut x.2, &y.2);
    plan.inv(&mut x.2);
    right("the product", canonical(q, &x.0) == x.2)?;
    right("the u64 product", x.1 == x.2)
}

/// Base conversion of one random polynomial.
#[derive(Debug)]
pub struct Conversion {
    from: Vec<Modulus>,
    to: Vec<Modulus>,
    isa: Isa,
    converter: BaseConverter,
    input: RnsPoly<Coeff>,
    overflow: RnsPoly<Coeff>,
    output: RnsPoly<Coeff>,
    peer: peer::Converter,
    peer_input: WordPoly,
    peer_overflow: WordPoly,
    peer_output: WordPoly,
}

impl Conversion {
    /// The numbers of limbs of a digit that is lifted to the rest of a chain.
    pub const ALL: [[usize; 2]; 2] = [[5, 13], [7, 22]];

    /// Makes a case of so many limbs.
    ///
    /// # Errors
    /// Those of [`primes`] and [`BaseConverter::new`].
    pub fn new(log_n: u32, [from, to]: [usize; 2], isa: Isa) -> Result<Self, Error> {
        let n = 1 << log_n;
        let mut from_moduli = primes(log_n, from + to)?;
        let to_moduli = from_moduli.split_off(from);
        let input = random_poly(n, &from_moduli, 4);
        Ok(Self {
            isa,
            converter: BaseConverter::new(&from_moduli, &to_moduli, isa)?,
            overflow: RnsPoly::zero(n, 1),
            output: RnsPoly::zero(n, to),
            peer: peer::Converter::new(&from_moduli, &to_moduli),
            peer_input: WordPoly::canonical(&from_moduli, &input),
            peer_overflow: WordPoly::zero(n, 1),
            peer_output: WordPoly::zero(n, to),
            from: from_moduli,
            to: to_moduli,
            input,
        })
    }

    /// Returns the ISA of this project's side.
    #[must_use]
    pub const fn isa(&self) -> Isa {
        self.isa
    }

    /// Runs this project's fast conversion.
    pub fn fast(&mut self) {
        let y: Vec<_> = (0..self.from.len()).map(|i| self.input.limb(i)).collect();
        self.converter.convert_into(&y, 0, &mut self.output.limbs_mut().collect::<Vec<_>>());
    }

    /// Runs this project's centred conversion.
    pub fn centred(&mut self) {
        let mut y: Vec<_> = (0..self.from.len()).map(|i| self.input.limb(i)).collect();
        self.converter.overflow_into(&y, self.overflow.limb_mut(0));
        y.push(self.overflow.limb(0));
        self.converter.convert_into(&y, 0, &mut self.output.limbs_mut().collect::<Vec<_>>());
    }

    /// Runs the peer's fast conversion.
    pub fn peer_fast(&mut self) {
        let y: Vec<_> = self.peer_input.limbs().collect();
        self.peer.convert_into(&y, 0, &mut self.peer_output.limbs_mut().collect::<Vec<_>>());
    }

    /// Runs the peer's centred conversion.
    pub fn peer_centred(&mut self) {
        let mut y: Vec<_> = self.peer_input.limbs().collect();
        self.peer_overflow.limbs_mut().for_each(|v| self.peer.overflow_into(&y, v));
        y.extend(self.peer_overflow.limbs());
        self.peer.convert_into(&y, 0, &mut self.peer_output.limbs_mut().collect::<Vec<_>>());
    }

    /// Checks that both sides give the same residues, fast and centred.
    ///
    /// # Errors
    /// A description of the difference.
    pub fn check(&mut self) -> Result<(), String> {
        // The fast conversions start from different representatives: with yᵢ + qᵢ for yᵢ < 0, the
        // sum grows by Q.
        let raised: Vec<u64> = (0..self.input.n())
            .map(|c| (0..self.from.len()).map(|i| u64::from(self.input.limb(i)[c] < 0.0)).sum())
            .collect();
        self.fast();
        self.peer_fast();
        self.compare("fast", |product, p, c, x| p.add(x, p.mul(raised[c], product)))?;
        self.centred();
        self.peer_centred();
        self.compare("centred", |_, _, _, x| x)
    }

    /// Checks that this project's result, passed through `adapt` with \[Q\]_p, p and the number of
    /// the coefficient, is the peer's.
    fn compare(&self, what: &str, adapt: impl Fn(u64, &Modulus, usize, u64) -> u64) -> Result<(), String> {
        for (j, (p, peer)) in self.to.iter().zip(self.peer_output.limbs()).enumerate() {
            let product = self.from.iter().fold(1, |product, q| p.mul(product, p.reduce(q.value())));
            let ours = canonical(p, self.output.limb(j));
            let wrong = ours.iter().enumerate().position(|(c, &x)| adapt(product, p, c, x) != peer[c]);
            ensure(wrong.is_none(), || {
                format!("{what} conversion, {}: limb {j} differs at coefficient {wrong:?}", self.isa)
            })?;
        }
        Ok(())
    }
}

/// Division of one polynomial by its last primes. The quotient and the used-up limbs are a valid
/// input again.
#[derive(Debug)]
pub struct Division {
    mod_down: ModDown,
    limbs: RnsPoly<Eval>,
    scratch: Scratch,
    peer: peer::ModDown,
    peer_limbs: WordPoly,
}

impl Division {
    /// Makes a case of so many kept and dropped limbs.
    ///
    /// # Errors
    /// Those of [`basis`] and [`ModDown::new`].
    pub fn new(log_n: u32, [kept, dropped]: [usize; 2], isa: Isa) -> Result<Self, Error> {
        let all = basis(log_n, 0, kept + dropped, isa)?;
        let mod_down = ModDown::new(&all.range(0..kept), &all.range(kept..kept + dropped))?;
        let moduli = all.moduli();
        let peer = peer::ModDown::new(all.n(), &moduli[..kept], &moduli[kept..]);
        // The order of values and the root of unity are the peer's own, so both sides start from
        // the same coefficients.
        let x = random_poly::<Coeff>(all.n(), &moduli, 5);
        let mut peer_limbs = WordPoly::canonical(&moduli, &x);
        peer_limbs.limbs_mut().zip(peer.plans()).for_each(|(x, plan)| plan.fwd(x));
        Ok(Self { scratch: Scratch::new(mod_down.scratch_len()), mod_down, limbs: x.into_eval(&all), peer, peer_limbs })
    }

    /// Returns the ISA of this project's side.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.mod_down.kept().isa()
    }

    /// Returns a table of the peer.
    ///
    /// # Panics
    /// Never: there is one.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        self.peer.plans().next().expect("some limb is kept")
    }

    /// Runs this project's division.
    pub fn divide(&mut self) {
        self.mod_down.apply(self.limbs.view_mut(), &mut self.scratch);
    }

    /// Runs the peer's division.
    pub fn peer_divide(&mut self) {
        self.peer.apply(&mut self.peer_limbs);
    }

    /// Checks that both quotients have the same coefficients. This holds only before the first
    /// division.
    ///
    /// # Errors
    /// A description of the difference.
    pub fn check(&mut self) -> Result<(), String> {
        self.divide();
        self.peer_divide();
        let basis = self.mod_down.kept();
        let ours = self.limbs.prefix(basis.len()).to_owned().into_coeff(basis);
        for (j, (peer, plan)) in self.peer_limbs.limbs().zip(self.peer.plans()).take(basis.len()).enumerate() {
            let mut peer = peer.to_vec();
            plan.inv(&mut peer);
            plan.normalize(&mut peer);
            let right = canonical(basis.modulus(j), ours.limb(j))[..] == peer;
            ensure(right, || format!("division by the last primes, {}: limb {j} differs", basis.isa()))?;
        }
        Ok(())
    }
}

/// The number of limbs and primes of a key-switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The limbs of the ciphertext.
    pub limbs: usize,
    /// The special primes.
    pub special: usize,
    /// The limbs in a digit.
    pub alpha: usize,
}

impl Shape {
    /// A chain without room for bootstrapping, and one with it.
    pub const ALL: [Self; 2] = [Self { limbs: 13, special: 5, alpha: 5 }, Self { limbs: 28, special: 7, alpha: 7 }];

    /// Returns the number of digits of the decomposition.
    #[must_use]
    pub const fn digits(self) -> usize {
        self.limbs.div_ceil(self.alpha)
    }

    /// Returns the numbers of inverse and forward transforms of the decomposition.
    #[must_use]
    pub const fn decompose_ntts(self) -> [usize; 2] {
        [self.limbs, self.digits() * (self.limbs + self.special) - self.limbs]
    }

    /// Returns the numbers of inverse and forward transforms of the divisions of both parts by P.
    #[must_use]
    pub const fn mod_down_ntts(self) -> [usize; 2] {
        [2 * self.special, 2 * self.limbs]
    }

    /// Returns the numbers of inverse and forward transforms of the whole key-switch.
    #[must_use]
    pub const fn ntts(self) -> [usize; 2] {
        let ([i, f], [j, g]) = (self.decompose_ntts(), self.mod_down_ntts());
        [i + j, f + g]
    }
}

/// A key-switch from one random ternary secret to another, with every buffer that it needs.
#[derive(Debug)]
pub struct KeySwitch {
    shape: Shape,
    gadget: Gadget,
    key: KeySwitchKey,
    /// The parts of each digit of the key, unpacked.
    unpacked: Vec<[RnsPoly<Eval>; 2]>,
    /// The old secret and the new one.
    secrets: [RnsPoly<Eval>; 2],
    input: RnsPoly<Eval>,
    digits: Vec<RnsPoly<Eval>>,
    out: [RnsPoly<Eval>; 2],
    scratch: Scratch,
    transforms: Transforms,
}

impl KeySwitch {
    /// Makes the secrets, the key and a random input.
    ///
    /// # Errors
    /// Those of [`Gadget::new`] and [`basis`].
    pub fn new(log_n: u32, shape: Shape, isa: Isa) -> Result<Self, Error> {
        let Shape { limbs, special, alpha } = shape;
        let q = basis(log_n, 0, limbs, isa)?;
        let gadget = Gadget::new(&q, &basis(log_n, limbs, special, isa)?, alpha)?;
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let secrets = [(); 2].map(|()| {
            let mut secret = vec![0; q.n()];
            ternary_into(&mut rng, &mut secret);
            RnsPoly::from_small(&secret, limbs + special).into_eval(gadget.qp())
        });
        let scratch =
            [gadget.switch_scratch_len(limbs), gadget.decompose_scratch_len(limbs), gadget.mod_down().scratch_len()];
        let key = KeySwitchKey::generate(&gadget, secrets[0].prefix(limbs), secrets[1].view(), &mut rng);
        Ok(Self {
            unpacked: (0..shape.digits()).map(|d| key.part(&gadget, d)).collect(),
            key,
            secrets,
            input: random_poly(q.n(), &q.moduli(), 1),
            digits: vec![RnsPoly::zero(q.n(), limbs + special); shape.digits()],
            out: [(); 2].map(|()| RnsPoly::zero(q.n(), limbs + special)),
            scratch: Scratch::new(scratch.into_iter().fold(0, usize::max)),
            gadget,
            shape,
            transforms: Transforms::new(log_n, isa)?,
        })
    }

    /// Returns the ISA of this project's side.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.gadget.q().isa()
    }

    /// Returns a table of the peer.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        self.transforms.plan()
    }

    /// Runs so many inverse and forward transforms of this project, all on one and the same limb.
    pub fn ntts(&mut self, [inverse, forward]: [usize; 2]) {
        (0..inverse).for_each(|_| self.transforms.inverse());
        (0..forward).for_each(|_| self.transforms.forward());
    }

    /// Runs so many inverse and forward transforms of the peer, all on one and the same limb,
    /// without the factor 1/N.
    pub fn peer_ntts(&mut self, [inverse, forward]: [usize; 2]) {
        (0..inverse).for_each(|_| self.transforms.peer_inverse());
        (0..forward).for_each(|_| self.transforms.peer_forward());
    }

    /// Runs the whole key-switch at once: `Gadget::switch`.
    pub fn switch(&mut self) {
        let [mut b, mut a] = self.out.each_mut().map(RnsPoly::view_mut);
        self.gadget.switch(self.input.view(), &self.key, [&mut b, &mut a], &mut self.scratch);
    }

    /// Runs the part that hoisting does once for many keys.
    pub fn decompose(&mut self) {
        self.gadget.decompose(self.input.view(), &mut self.digits, &mut self.scratch);
    }

    /// Runs the inner product of the decomposed digits with the key.
    pub fn accumulate(&mut self) {
        let [b, a] = &mut self.out;
        self.key.accumulate(&self.gadget, &self.digits, [&mut b.view_mut(), &mut a.view_mut()]);
    }

    /// Runs the same with residues in `f64` that are not packed.
    pub fn accumulate_unpacked(&mut self) {
        let [b, a] = &mut self.out;
        for j in 0..b.limbs() {
            let digits: Vec<_> = self.digits.iter().map(|digit| digit.limb(j)).collect();
            let [key_b, key_a] = [0, 1].map(|i| self.unpacked.iter().map(|parts| parts[i].limb(j)).collect::<Vec<_>>());
            self.gadget.qp().table(j).dot_into([b.limb_mut(j), a.limb_mut(j)], &digits, [&key_b, &key_a]);
        }
    }

    /// Runs the division of both parts of the result by P.
    pub fn mod_down(&mut self) {
        for part in &mut self.out {
            self.gadget.mod_down().apply(part.view_mut(), &mut self.scratch);
        }
    }

    /// Checks that the switched pair (b, a) of a random c decrypts to it, b + a·s′ ≈ c·s, with no
    /// more noise than the documentation of the kernel promises, and that the hoisted steps give
    /// the same pair.
    ///
    /// # Errors
    /// A description of the difference.
    pub fn check(&mut self) -> Result<(), String> {
        let Shape { limbs, alpha, .. } = self.shape;
        let n = self.input.n();
        let q = self.gadget.q();
        let digit =
            (0..limbs).step_by(alpha).map(|i| q.range(i..limbs.min(i + alpha)).log2_product()).fold(0.0, f64::max);
        let p = self.gadget.mod_down().dropped().log2_product();
        let key_noise = self.shape.digits() as f64 * n as f64 * f64::from(GAUSSIAN_BOUND);
        let bound = key_noise * (digit - p - 1.0).exp2() + (1.0 + n as f64) / 2.0;

        self.transforms.check()?;
        self.switch();
        let switched = self.out.each_ref().map(|part| part.prefix(limbs).to_owned());
        let mut first: Option<Vec<f64>> = None;
        for i in 0..limbs {
            let table = self.gadget.q().table(i);
            let [b, a] = switched.each_ref().map(|part| part.limb(i));
            let [from, to] = self.secrets.each_ref().map(|secret| secret.limb(i));
            let mut noise = b.to_vec();
            table.mul_add_assign(&mut noise, a, to);
            let mut product = self.input.limb(i).to_vec();
            table.mul_assign(&mut product, from);
            table.sub_assign(&mut noise, &product);
            table.inverse(&mut noise);
            let largest = noise.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
            ensure(largest <= bound, || format!("key-switch: noise of {largest} in limb {i}, possible are {bound}"))?;
            let same = *first.get_or_insert_with(|| noise.clone()) == noise;
            ensure(same, || format!("key-switch: the noise in limb {i} is not that in limb 0"))?;
        }

        self.decompose();
        self.accumulate_unpacked();
        let unpacked = self.out.clone();
        self.accumulate();
        let same = self.out == unpacked;
        ensure(same, || "key-switch: packed and unpacked keys give different sums".into())?;
        self.mod_down();
        let same = self.out.iter().zip(&switched).all(|(x, y)| (0..limbs).all(|i| x.limb(i) == y.limb(i)));
        ensure(same, || "key-switch: the hoisted steps give another result".into())
    }
}
