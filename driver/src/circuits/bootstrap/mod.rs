//! Bootstrapping: it turns a ciphertext with no levels left into one with many (Cheon, Han, Kim,
//! Kim and Song, [EUROCRYPT 2018](https://eprint.iacr.org/2018/153)).
//!
//! | step | effect | levels |
//! |---|---|---|
//! | SlotToCoeff | the slots become the coefficients of the polynomial m | lowest |
//! | raise | m mod q_0, under the sparse secret, is read as m + q_0·I modulo q_0 ⋯ q_L | back to L |
//! | CoeffToSlot | the coefficients, divided by q_0·K, become slots | top |
//! | EvalMod | t = I + m/q_0 becomes sin(2πt)/2π ≈ m/q_0 ([`crate::circuits::bootstrap::mod1`]) | below |
//!
//! This is the *StC-first* order (Kim and Guyot, [2021](https://eprint.iacr.org/2021/1605), use it
//! for convolutions): the linear transform that usually comes at the end is done at the beginning,
//! where there are four limbs and not twenty, and real slots need only one EvalMod instead of two.
//! EvalMod then sees the slots themselves. For slots up
//! to 1 and r = 2^−[`log_ratio`](BootstrapConfig::log_ratio), the error of the sine is (2πr)²/24,
//! which falls with r, while all noise in EvalMod grows with 1/r. An arcsine of degree 3 leaves
//! an error of (2πr)⁴/213; r may then be larger, which makes the noise smaller. In the classic
//! order (*StC last*), EvalMod sees the coefficients of the message, which are smaller.
//!
//! If there are fewer slots than N/2, the message lives in a subring,
//! and after raising, a trace (log2(N/2n) rotations) maps to this subring. The real and imaginary
//! parts of the n complex slots then fill 2n real slots, so that one EvalMod serves both.
//! A mask puts them together again, which takes one more level. Real slots need neither.
//!
//! **Range.** Slots have to be at most 1 in magnitude (real and imaginary parts).
//! Up to 2^log_ratio/4, the value comes back with the error of the sine, which grows with its cube.
//! Beyond that, it is reduced modulo 2^log_ratio without any error message,
//! so check the values that the client decrypts.

mod insecure;
pub mod mod1;
mod raise;

use std::f64::consts::TAU;
use std::sync::Arc;
use std::time::{Duration, Instant};

use num_complex::Complex64;

pub use insecure::InsecureRefresh;

use super::transform::dft;
use super::{Cost, EncodedTransform, LinearPlan, LinearTransform};
use crate::base::error::{Error, Result, check_range, check_reaches};
use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::encoding::Encoder;
use crate::ckks::eval::Evaluator;
use crate::ckks::keys::{EncapsulationKeys, KeyRequests, SPARSE_WEIGHT};
use crate::ckks::params::Parameters;
use mod1::{Mod1Config, Mod1Plan, bound, log_failure};

/// The kind of numbers in the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Complex numbers.
    Complex,
    /// Real numbers: imaginary parts are dropped. In StC-first order,
    /// N/2 slots then take one EvalMod.
    Real,
}

/// The place of SlotToCoeff among the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Before raising, at the lowest levels.
    StcFirst,
    /// After EvalMod.
    StcLast,
}

/// The settings of a bootstrapping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BootstrapConfig {
    /// log2 of the number of slots: from 3 up to log2(N/2).
    pub log_slots: u32,
    /// The kind of numbers in the slots.
    pub packing: Packing,
    /// The order of the steps.
    pub order: Order,
    /// The number of levels of SlotToCoeff.
    pub stc: usize,
    /// The number of levels of CoeffToSlot.
    pub cts: usize,
    /// The number of doublings of the angle in EvalMod.
    pub doublings: u32,
    /// log2 of the quotient of q_0 and the scale of the raised message.
    pub log_ratio: u32,
    /// The degree of the arcsine after EvalMod: 1 for none, or 3, 5, 7.
    pub arcsine: usize,
    /// The precision, in bits, that the approximation of the cosine allows.
    pub precision: f64,
    /// log2 of the wanted probability that one bootstrapping fails.
    pub log_failure: f64,
    /// The maximal number of Galois keys for one factor of a transform.
    pub max_keys: usize,
}

impl BootstrapConfig {
    /// The precise choice for this many slots, made for the levels of the presets:
    /// EvalMod uses the sine itself, by a polynomial of degree 127, and its arcsine.
    /// The remaining error is noise, which does not add up when results are bootstrapped again.
    #[must_use]
    pub const fn new(log_slots: u32, packing: Packing) -> Self {
        Self {
            log_slots,
            packing,
            order: Order::StcFirst,
            stc: 2,
            cts: 4,
            doublings: 0,
            log_ratio: 8,
            arcsine: 3,
            precision: 24.0,
            log_failure: -64.0,
            max_keys: 10,
        }
    }

    /// The fast choice, which takes as many levels and is 5 bits less precise:
    /// a cosine of degree 30 whose angle is doubled three times, and no arcsine.
    /// The error of the sine is the same function of the slots each time.
    #[must_use]
    pub const fn fast(log_slots: u32, packing: Packing) -> Self {
        Self { stc: 3, doublings: 3, log_ratio: 10, arcsine: 1, precision: 20.0, ..Self::new(log_slots, packing) }
    }
}

/// Refreshes ciphertexts.
pub trait Bootstrap: Send + Sync {
    /// The lowest level of an input with the nominal scale of its level.
    fn input_level(&self) -> usize;

    /// The level of the result. Its scale is the nominal one.
    fn output_level(&self) -> usize;

    /// Returns the same slots at the output level. The input is not modified.
    ///
    /// # Errors
    /// [`Error::LowLevel`] if the input is below the input level, [`Error::ScaleMismatch`] if
    /// it is at that level with a scale other than the nominal one, [`Error::Slots`] if it has
    /// more slots than were planned for, [`Error::MissingKey`], [`Error::OtherKeys`] if the input,
    /// the evaluation keys and the keys of the bootstrapping do not belong together.
    fn bootstrap(&self, evaluator: &Evaluator, a: &Ciphertext) -> Result<Ciphertext> {
        self.bootstrap_bounded(evaluator, a, 0)
    }

    /// Does the same for slots up to 2^`log_bound` in magnitude instead of 1.
    /// All noise is proportional to this bound. Beyond the bound, the error
    /// of the sine grows with the cube of the slots. It is the same function for all slots:
    /// where it is harmless, the bound may be smaller than the slots.
    ///
    /// # Errors
    /// Those of [`Bootstrap::bootstrap`]; for a bound above 1,
    /// the input has to be above the input level, or its scale has to be larger by the same factor.
    /// [`Error::Range`] for a bound outside 2⁻¹⁶ … 2¹⁶.
    fn bootstrap_bounded(&self, evaluator: &Evaluator, a: &Ciphertext, log_bound: i32) -> Result<Ciphertext>;
}

/// The steps of a bootstrapping and everything that it needs, known before any key exists.
#[derive(Clone, Debug)]
pub struct BootstrapPlan {
    params: Parameters,
    config: BootstrapConfig,
    k: u32,
    stc: Vec<Factor>,
    /// The rotations that map to the subring.
    trace: Vec<i64>,
    cts: Vec<Factor>,
    eval_mod: Mod1Plan,
    /// The maps from the halves of 2n real slots to n complex ones, to the real parts,
    /// and to the imaginary parts.
    merge: Vec<Factor>,
    /// The scale that the ciphertext is declared to have after raising.
    raised_scale: f64,
    input_level: usize,
    output_level: usize,
}

/// A factor of a transform with its plan and the scale of its diagonals.
#[derive(Clone, Debug)]
struct Factor {
    transform: LinearTransform,
    plan: LinearPlan,
    scale: f64,
}

impl BootstrapPlan {
    /// Plans a bootstrapping that starts at the top level of these parameters.
    ///
    /// # Errors
    /// [`Error::Slots`]; [`Error::NoLevelsLeft`] if the chain of primes is too short,
    /// [`Error::Range`] for a wrong setting, [`Error::Insecure`] if q_0·p_0 is too large
    /// for the sparse secret.
    pub fn new(params: &Parameters, config: BootstrapConfig) -> Result<Self> {
        let BootstrapConfig { log_slots, packing, order, .. } = config;
        let max_log = params.log_n() - 1;
        if !(3..=max_log).contains(&log_slots) {
            return Err(Error::Slots { slots: 1 << log_slots.min(31), max: params.slots() });
        }
        check_range("log_ratio", config.log_ratio.into(), 4.0, 24.0)?;
        EncapsulationKeys::gadget(params)?;
        let (n, full, top) = (1usize << log_slots, log_slots == max_log, params.max_level());
        let k = bound(SPARSE_WEIGHT.min(params.n()), 2 * n, config.log_failure);
        let q0 = params.q(0).as_f64();
        let gap = (params.slots() / n) as f64;
        let first = order == Order::StcFirst;
        // Real slots stay real only if EvalMod sees the slots themselves.
        let one_real = first && packing == Packing::Real;
        let halves = !(full || one_real);

        // CoeffToSlot goes from the declared scale to the nominal one of the level at which it
        // ends. It includes a factor of 1/2, because the conjugate is added.
        let after_cts = top.checked_sub(config.cts).ok_or(Error::NoLevelsLeft {
            operation: "CoeffToSlot",
            needed: config.cts,
            level: top,
        })?;
        // With few slots, there are fewer stages than levels for factors.
        // The highest levels are then left out.
        let factors = config.cts.min(log_slots as usize);
        let raised_scale = q0 * f64::from(k) * gap;
        let mut transforms = dft::coeff_to_slot(log_slots, factors)?;
        let last = transforms.pop().expect("at least one factor");
        transforms.push(if halves {
            // Real parts go to the first n of the 2n slots and imaginary parts to the others:
            // the rows are multiplied by 1/2 and −i/2.
            rows(&last, &[Complex64::new(0.5, 0.0), Complex64::new(0.0, -0.5)])?
        } else {
            rows(&last, &[Complex64::new(0.5, 0.0)])?
        });
        let factor = (params.scale(after_cts) / raised_scale).powf(1.0 / factors as f64);
        let scale = |l: usize| params.q(l).as_f64() * factor;
        let cts = plan_factors(params, transforms, after_cts + factors, scale, config.max_keys)?;

        // EvalMod returns 2πr times the message. Declared at the scale Δ/(2πr),
        // this is the message at Δ, the nominal scale of its last level.
        let message_scale = if first { q0 / f64::from(config.log_ratio).exp2() } else { params.scale(0) };
        let ratio = q0 / message_scale;
        let log_error = -(config.precision + (ratio / TAU).log2() + 2.0 * f64::from(config.doublings));
        // Slots can be as large as 1, whereas most coefficients are small.
        let range = if first { 1.0 / ratio } else { 0.0 };
        let mod1 = |scale| {
            let BootstrapConfig { doublings, arcsine, .. } = config;
            Mod1Plan::new(params, after_cts, Mod1Config { k, doublings, log_error, arcsine, range }, scale)
        };
        // The depth does not depend on the scale, so any scale will do here.
        let after_mod = after_cts - mod1(params.scale(0))?.depth();
        let eval_mod = mod1(params.scale(after_mod) * ratio / TAU)?;

        // The scale of diagonals that map the nominal scale of a level to that of the next one.
        let nominal = |l: usize| params.scale(l - 1) * params.q(l).as_f64() / params.scale(l);
        let mut level = after_mod;
        let merge = if halves {
            // There are three matrices with the diagonals 0 and n. They write y_j + i·y_{j+n},
            // the real parts y_j, and the imaginary parts y_{j+n} to both halves.
            let [zero, one, i] = [Complex64::ZERO, Complex64::ONE, Complex64::I];
            let half = |low, high| [vec![low; n], vec![high; n]].concat();
            let matrix = |real, imaginary| {
                LinearTransform::new(2 * n, [(0, half(real, imaginary)), (n as i64, half(imaginary, real))])
            };
            let plan = |matrix| plan_factors(params, vec![matrix], after_mod, nominal, usize::MAX);
            let matrices = [matrix(one, i)?, matrix(one, zero)?, matrix(zero, one)?];
            let planned = matrices.into_iter().map(plan).collect::<Result<Vec<_>>>()?.concat();
            // Cannot underflow: without this level, the plan above would have failed.
            level -= 1;
            planned
        } else {
            Vec::new()
        };

        let factors = config.stc.min(log_slots as usize);
        params.check_level(factors)?;
        let stc = dft::slot_to_coeff(log_slots, factors)?;
        let (stc, input_level, output_level) = if first {
            // SlotToCoeff goes from the nominal scale to that of the message.
            let factor = (message_scale / params.scale(factors)).powf(1.0 / factors as f64);
            (plan_factors(params, stc, factors, |l| params.q(l).as_f64() * factor, config.max_keys)?, factors, level)
        } else {
            let after = level.checked_sub(factors);
            let after = after.ok_or(Error::NoLevelsLeft { operation: "SlotToCoeff", needed: factors, level })?;
            (plan_factors(params, stc, level, nominal, config.max_keys)?, 0, after)
        };
        if output_level <= input_level {
            let needed = top + input_level - output_level + 1;
            return Err(Error::NoLevelsLeft { operation: "bootstrapping", needed, level: top });
        }
        let trace = (log_slots..max_log).map(|j| 1i64 << j).collect();
        Ok(Self {
            params: params.clone(),
            config,
            k,
            stc,
            trace,
            cts,
            eval_mod,
            merge,
            raised_scale,
            input_level,
            output_level,
        })
    }

    /// The settings that the plan was made from.
    #[must_use]
    pub const fn config(&self) -> &BootstrapConfig {
        &self.config
    }

    /// The level to which inputs are taken down.
    #[must_use]
    pub const fn input_level(&self) -> usize {
        self.input_level
    }

    /// The level of the results.
    #[must_use]
    pub const fn output_level(&self) -> usize {
        self.output_level
    }

    /// The number of levels from the top that the bootstrapping consumes.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.params.max_level() - self.output_level
    }

    /// The bound K on the overflows I.
    #[must_use]
    pub const fn overflow_bound(&self) -> u32 {
        self.k
    }

    /// The reduction modulo 1.
    #[must_use]
    pub const fn eval_mod(&self) -> &Mod1Plan {
        &self.eval_mod
    }

    /// The number of reductions modulo 1 in one bootstrapping.
    #[must_use]
    pub fn reductions(&self) -> usize {
        let full = self.trace.is_empty();
        let real = matches!((self.config.packing, self.config.order), (Packing::Real, Order::StcFirst));
        if full && !real { 2 } else { 1 }
    }

    /// Returns log2 of the probability that a bootstrapping fails,
    /// which happens if an overflow exceeds its bound.
    #[must_use]
    pub fn log_failure(&self) -> f64 {
        let coefficients = (2u64 << self.config.log_slots) as f64;
        log_failure(SPARSE_WEIGHT.min(self.params.n()), self.k.into()) + coefficients.log2()
    }

    /// The evaluation keys that the bootstrapping needs, besides [`EncapsulationKeys`].
    #[must_use]
    pub fn requests(&self) -> KeyRequests {
        let mut requests = self.eval_mod.requests();
        let top = self.params.max_level();
        self.factors().for_each(|factor| requests.extend(&factor.plan.requests(&self.params)));
        requests = self.trace.iter().fold(requests, |all, &k| all.rotation(&self.params, k, top));
        requests.conjugation(&self.params, top - self.config.cts + 1)
    }

    fn factors(&self) -> impl Iterator<Item = &Factor> {
        self.stc.iter().chain(&self.cts).chain(&self.merge)
    }

    /// The memory of all keys, in bytes.
    ///
    /// # Errors
    /// A plan that was made successfully causes no error.
    pub fn key_bytes(&self) -> Result<usize> {
        Ok(self.requests().memory_bytes(&self.params)? + EncapsulationKeys::memory_bytes(&self.params))
    }

    /// The memory of the encoded diagonals, in bytes.
    #[must_use]
    pub fn diagonal_bytes(&self) -> usize {
        self.factors().map(|factor| factor.plan.diagonal_bytes(&self.params)).sum()
    }

    /// The cost of one bootstrapping.
    #[must_use]
    pub fn cost(&self) -> Cost {
        let (params, top) = (&self.params, self.params.max_level());
        // A bootstrapping uses one of the three ways to merge.
        let factors = self.stc.iter().chain(&self.cts).chain(self.merge.first());
        let transforms = factors.fold(Cost::default(), |sum, factor| sum + factor.plan.cost());
        let rotation = |l: usize| Cost::key_switch(l, params.gadget_shape(l), 0);
        transforms
            + raise::cost(params)
            + rotation(top) * self.trace.len() as u64
            + rotation(top - self.config.cts + 1)
            + Cost::division(2, top - self.config.cts + 1, 1) * self.reductions() as u64
            + self.eval_mod.cost(params) * self.reductions() as u64
    }
}

/// Returns the slots divided by 2^`log_bound`, at a level and with its nominal scale.
fn reduced_by(evaluator: &Evaluator, a: &Ciphertext, level: usize, log_bound: i32) -> Result<Ciphertext> {
    check_range("log2 of the bound of slots", log_bound.into(), -16.0, 16.0)?;
    let scale = evaluator.params().scale(level);
    if log_bound > 0 {
        // Declaring a larger scale makes the values smaller.
        let mut a = a.clone();
        a.set_scale(a.scale() * f64::from(log_bound).exp2())?;
        return evaluator.adjust(&a, level, scale);
    }
    let mut out = evaluator.adjust(a, level, scale)?;
    if log_bound < 0 {
        evaluator.mul_integer_assign(&mut out, 1 << -log_bound)?;
    }
    Ok(out)
}

/// Returns the matrix once for each part, with its rows multiplied by that part.
/// Each part covers as many slots as the matrix has.
fn rows(matrix: &LinearTransform, parts: &[Complex64]) -> Result<LinearTransform> {
    let n = matrix.slots();
    let diagonals = matrix.diagonals().iter().map(|(&k, d)| {
        // On a vector of 2n slots that repeats itself after n, rotations by k and k − n give
        // the same result, but need different keys. The shorter one is taken.
        let k = if 2 * k > n { k as i64 - n as i64 } else { k as i64 };
        (k, parts.iter().flat_map(|&part| d.iter().map(move |x| x * part)).collect())
    });
    LinearTransform::new(n * parts.len(), diagonals)
}

/// Plans the factors, one per level from this level down.
fn plan_factors(
    params: &Parameters,
    transforms: Vec<LinearTransform>,
    level: usize,
    scale: impl Fn(usize) -> f64,
    max_keys: usize,
) -> Result<Vec<Factor>> {
    let needed = transforms.len();
    let planned = transforms.into_iter().enumerate().map(|(i, transform)| {
        let l = level.checked_sub(i).filter(|&l| l > 0);
        let l = l.ok_or(Error::NoLevelsLeft { operation: "a transform of the bootstrapping", needed, level })?;
        let plan = transform.plan_within(params, l, l, max_keys)?;
        Ok(Factor { transform, plan, scale: scale(l) })
    });
    planned.collect()
}

/// Bootstraps with public keys only.
#[derive(Debug)]
pub struct Bootstrapper {
    plan: BootstrapPlan,
    keys: Arc<EncapsulationKeys>,
    stc: Vec<EncodedTransform>,
    cts: Vec<EncodedTransform>,
    merge: Vec<EncodedTransform>,
}

/// The times of the steps of one bootstrapping.
#[derive(Clone, Copy, Debug, Default)]
pub struct Breakdown {
    /// SlotToCoeff.
    pub stc: Duration,
    /// Raising and the trace.
    pub raise: Duration,
    /// CoeffToSlot with the conjugation.
    pub cts: Duration,
    /// EvalMod, and the merging of the parts.
    pub eval_mod: Duration,
}

impl Bootstrapper {
    /// Encodes the diagonals of all transforms ([`BootstrapPlan::diagonal_bytes`] of memory).
    ///
    /// # Errors
    /// [`Error::OtherParameters`] for keys of other parameters.
    pub fn new(plan: BootstrapPlan, keys: Arc<EncapsulationKeys>) -> Result<Self> {
        crate::ckks::keys::check_hash(keys.hash, &plan.params)?;
        let encoder = Encoder::new(&plan.params);
        let encode = |f: &Factor| EncodedTransform::new(&encoder, &f.transform, f.plan.clone(), f.scale);
        let all = |factors: &[Factor]| factors.iter().map(encode).collect::<Result<Vec<_>>>();
        let (stc, cts) = (all(&plan.stc)?, all(&plan.cts)?);
        let merge = all(&plan.merge)?;
        Ok(Self { plan, keys, stc, cts, merge })
    }

    /// The plan.
    #[must_use]
    pub const fn plan(&self) -> &BootstrapPlan {
        &self.plan
    }

    /// Does the same as [`Bootstrap::bootstrap_bounded`] and returns the times of the steps.
    ///
    /// # Errors
    /// Those of [`Bootstrap::bootstrap_bounded`].
    pub fn bootstrap_timed(
        &self,
        evaluator: &Evaluator,
        a: &Ciphertext,
        log_bound: i32,
    ) -> Result<(Ciphertext, Breakdown)> {
        let mut times = Breakdown::default();
        let (mut out, imaginary) = self.reduced(evaluator, a, log_bound, &mut times)?;
        let clock = Instant::now();
        if let Some(mut imaginary) = imaginary {
            evaluator.mul_i_assign(&mut imaginary)?;
            evaluator.add_assign(&mut out, &imaginary)?;
        }
        if let [merge, ..] = &self.merge[..] {
            out = self.merged(evaluator, &out, merge)?;
        }
        times.eval_mod += clock.elapsed();
        let clock = Instant::now();
        if self.plan.config.order == Order::StcLast {
            out = self.stc(evaluator, out)?;
            times.stc += clock.elapsed();
        }
        Ok((out, times))
    }

    /// Bootstraps two ciphertexts with real slots as one with complex slots, for the price of one.
    ///
    /// # Errors
    /// Those of [`Bootstrap::bootstrap`];
    /// [`Error::Unsupported`] if the plan was made for real slots or has SlotToCoeff last.
    pub fn bootstrap_pair(&self, evaluator: &Evaluator, a: &Ciphertext, b: &Ciphertext) -> Result<[Ciphertext; 2]> {
        if self.plan.config.packing == Packing::Real || self.plan.config.order == Order::StcLast {
            return Err(Error::Unsupported { what: "bootstrapping a pair with real packing or with SlotToCoeff last" });
        }
        let both = evaluator.add(a, &evaluator.mul_i(b)?)?;
        let (real, imaginary) = self.reduced(evaluator, &both, 0, &mut Breakdown::default())?;
        if let Some(imaginary) = imaginary {
            return Ok([real, imaginary]);
        }
        let [_, first, second] = &self.merge[..] else { unreachable!("complex slots fewer than N/2 are merged") };
        Ok([self.merged(evaluator, &real, first)?, self.merged(evaluator, &real, second)?])
    }

    fn merged(&self, evaluator: &Evaluator, a: &Ciphertext, merge: &EncodedTransform) -> Result<Ciphertext> {
        let mut out = evaluator.transform(a, merge)?;
        out.log_slots = self.plan.config.log_slots;
        out.set_scale(self.plan.params.scale(out.level()))?;
        Ok(out)
    }

    fn stc(&self, evaluator: &Evaluator, a: Ciphertext) -> Result<Ciphertext> {
        let mut out = self.stc.iter().try_fold(a, |x, factor| evaluator.transform(&x, factor))?;
        if self.plan.config.order == Order::StcLast {
            out.set_scale(self.plan.params.scale(out.level()))?;
        }
        Ok(out)
    }

    /// Runs all steps through EvalMod. Returns the real parts of the slots, or both parts in the
    /// halves of twice as many slots, and the imaginary parts if they take a separate EvalMod.
    fn reduced(
        &self,
        evaluator: &Evaluator,
        a: &Ciphertext,
        log_bound: i32,
        times: &mut Breakdown,
    ) -> Result<(Ciphertext, Option<Ciphertext>)> {
        let (plan, params) = (&self.plan, &self.plan.params);
        a.check(params)?;
        a.generation.check(self.keys.generation)?;
        crate::ckks::keys::check_hash(params.hash(), evaluator.params())?;
        a.check_degree(1)?;
        let slots = 1usize << plan.config.log_slots;
        if a.slots() > slots {
            return Err(Error::Slots { slots: a.slots(), max: slots });
        }
        check_reaches(a.level(), plan.input_level)?;
        let mut clock = Instant::now();
        let mut lap = |time: &mut Duration| *time += std::mem::replace(&mut clock, Instant::now()).elapsed();
        let mut x = reduced_by(evaluator, a, plan.input_level, log_bound)?;
        if plan.config.order == Order::StcFirst {
            x = self.stc(evaluator, x)?;
            lap(&mut times.stc);
        }
        let mut x = evaluator.raise(&x, &self.keys)?;
        x.set_scale(plan.raised_scale)?;
        for &k in &plan.trace {
            x = evaluator.rotate_sum(&x, k)?;
        }
        x.log_slots = plan.config.log_slots;
        lap(&mut times.raise);

        let (last, others) = self.cts.split_last().expect("at least one factor");
        let x = others.iter().try_fold(x, |x, factor| evaluator.transform(&x, factor))?;
        // Conjugates before rescaling, so that the noise of the conjugation is divided as well.
        let x = evaluator.transform_lazy(&x, last)?;
        let conjugate = evaluator.conjugate(&x)?;
        let mut real = evaluator.add(&x, &conjugate)?;
        evaluator.rescale_assign(&mut real)?;
        // As CoeffToSlot halves w, w − w̄ is i times the imaginary part.
        let imaginary = || {
            let mut out = evaluator.mul_i(&evaluator.sub(&conjugate, &x)?)?;
            evaluator.rescale_assign(&mut out)?;
            Ok::<_, Error>(out)
        };
        let imaginary = (plan.reductions() == 2).then(imaginary).transpose()?;
        drop((x, conjugate));
        lap(&mut times.cts);
        let reduce = |x: &Ciphertext| {
            // The factor between the sine and the message is part of the scale.
            let mut out = evaluator.mod1(x, &plan.eval_mod, f64::from(log_bound).exp2())?;
            out.set_scale(params.scale(out.level()))?;
            Ok::<_, Error>(out)
        };
        let (real, imaginary) = (reduce(&real)?, imaginary.as_ref().map(reduce).transpose()?);
        lap(&mut times.eval_mod);
        Ok((real, imaginary))
    }
}

impl Bootstrap for Bootstrapper {
    fn input_level(&self) -> usize {
        self.plan.input_level
    }

    fn output_level(&self) -> usize {
        self.plan.output_level
    }

    fn bootstrap_bounded(&self, evaluator: &Evaluator, a: &Ciphertext, log_bound: i32) -> Result<Ciphertext> {
        Ok(self.bootstrap_timed(evaluator, a, log_bound)?.0)
    }
}
