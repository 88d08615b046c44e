//! Linear transforms of the slots by the baby-step giant-step method with double hoisting (Bossuat,
//! Mouchet, Troncoso-Pastoriza and Hubaux, [EUROCRYPT 2021](https://eprint.iacr.org/2020/1203),
//! Section 4).
//!
//! A matrix M is given by its nonzero diagonals d_k: (Mz)_j = Σ_k d_k\[j\]·z_{j+k}. Each index is
//! written k = o + g + b, where b < n_1 is the baby step and g, a multiple of n_1, the giant step:
//!
//! Mz = Σ_g rot_{o+g}( Σ_b rot_{−o−g}(d_{o+g+b}) ⊙ rot_b(z) ).
//!
//! The rotations by b share one decomposition. Like the diagonals, they stay modulo
//! QP and are not divided by P; for each g, only the part that has to be switched again is divided.
//! The whole ends with one division of both parts by P, or by P·q_level. Everything between ModUp
//! and ModDown works limb by limb: a limb of all baby steps stays in the cache while
//! the sums of all giant steps are computed from it, and every key and every diagonal is read once.
//!
//! If all diagonals repeat themselves after p slots, they are polynomials in X^(N/2p).
//! They are then stored as polynomials of degree 2p, which takes N/2p times less memory,
//! because the values of such a polynomial come in runs. The diagonals of CoeffToSlot
//! and SlotToCoeff repeat themselves, except in the factor with the longest butterflies.

use std::collections::{BTreeMap, BTreeSet};

use hetal_kernel::packed::Finish;
use hetal_kernel::rns::MAX_DIGIT;
use hetal_kernel::scratch::limb_stride;
use hetal_kernel::{Eval, GaloisElement, MIN_LOG_N, RnsPoly, RnsPolyMut};
use num_complex::Complex64;

use crate::base::error::{Error, Result, check_count, check_reaches};
use crate::base::parallel::{for_each, for_each_limb};
use crate::circuits::Cost;
use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::encoding::Encoder;
use crate::ckks::eval::Evaluator;
use crate::ckks::keys::{KeyId, KeyRequests};
use crate::ckks::params::{GadgetShape, Parameters, ParametersHash};

/// The number of coefficients of all baby steps that are multiplied with the diagonals at a time.
/// For eight baby steps they fill half of a second-level cache of 1 MiB.
const BLOCK: usize = 4096;

/// A square matrix over the slots, given by its nonzero diagonals.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearTransform {
    slots: usize,
    diagonals: BTreeMap<usize, Vec<Complex64>>,
}

impl LinearTransform {
    /// Creates a matrix from pairs of an index k and the diagonal d_k.
    /// Indices are taken modulo the number of slots, and diagonals with the same index are added.
    ///
    /// # Errors
    /// [`Error::Slots`] if the number of slots is not a power of two,
    /// [`Error::Count`] if there is no diagonal or one has another length.
    pub fn new(slots: usize, diagonals: impl IntoIterator<Item = (i64, Vec<Complex64>)>) -> Result<Self> {
        if !slots.is_power_of_two() {
            return Err(Error::Slots { slots, max: usize::MAX / 2 + 1 });
        }
        let mut all: BTreeMap<usize, Vec<Complex64>> = BTreeMap::new();
        for (k, diagonal) in diagonals {
            check_count("entries of a diagonal", diagonal.len(), slots)?;
            let sum = all.entry(k.rem_euclid(slots as i64) as usize).or_insert_with(|| vec![Complex64::ZERO; slots]);
            sum.iter_mut().zip(diagonal).for_each(|(sum, x)| *sum += x);
        }
        if all.is_empty() {
            return Err(Error::Count { what: "diagonals", found: 0, wanted: 1 });
        }
        Ok(Self { slots, diagonals: all })
    }

    /// Creates a matrix from its rows.
    ///
    /// # Errors
    /// As [`LinearTransform::new`].
    pub fn from_rows(rows: &[Vec<Complex64>]) -> Result<Self> {
        let slots = rows.len();
        rows.iter().try_for_each(|row| check_count("entries of a row", row.len(), slots))?;
        let diagonal = |k: usize| (k as i64, (0..slots).map(|j| rows[j][(j + k) % slots]).collect::<Vec<_>>());
        let nonzero = |(_, d): &(i64, Vec<Complex64>)| d.iter().any(|x| *x != Complex64::ZERO);
        let mut diagonals: Vec<_> = (0..slots).map(diagonal).filter(nonzero).collect();
        if diagonals.is_empty() && slots > 0 {
            diagonals.push(diagonal(0));
        }
        Self::new(slots, diagonals)
    }

    /// The number of slots.
    #[must_use]
    pub const fn slots(&self) -> usize {
        self.slots
    }

    /// The nonzero diagonals, by index.
    #[must_use]
    pub const fn diagonals(&self) -> &BTreeMap<usize, Vec<Complex64>> {
        &self.diagonals
    }

    /// Computes Mz in the clear.
    ///
    /// # Panics
    /// If z has another length.
    #[must_use]
    pub fn apply(&self, z: &[Complex64]) -> Vec<Complex64> {
        assert!(z.len() == self.slots, "{} values for {} slots", z.len(), self.slots);
        let mut out = vec![Complex64::ZERO; self.slots];
        for (k, diagonal) in &self.diagonals {
            for (j, (out, d)) in out.iter_mut().zip(diagonal).enumerate() {
                *out += d * z[(j + k) % self.slots];
            }
        }
        out
    }

    /// Returns the transform that applies `first`, then self.
    ///
    /// # Panics
    /// If the numbers of slots differ.
    #[must_use]
    pub fn compose(&self, first: &Self) -> Self {
        assert!(self.slots == first.slots, "{} and {} slots", self.slots, first.slots);
        let n = self.slots;
        let mut diagonals: BTreeMap<usize, Vec<Complex64>> = BTreeMap::new();
        for (k, outer) in &self.diagonals {
            for (l, inner) in &first.diagonals {
                let sum = diagonals.entry((k + l) % n).or_insert_with(|| vec![Complex64::ZERO; n]);
                for (j, sum) in sum.iter_mut().enumerate() {
                    *sum += outer[j] * inner[(j + k) % n];
                }
            }
        }
        Self { slots: n, diagonals }
    }

    /// The number of slots after which all diagonals repeat themselves.
    fn period(&self) -> usize {
        let mut period = self.slots;
        let repeats = |d: &Vec<Complex64>, half: usize| d[..half] == d[half..2 * half];
        while period > 1 && self.diagonals.values().all(|d| repeats(d, period / 2)) {
            period /= 2;
        }
        period
    }

    /// Chooses the baby and giant steps with the smallest cost for a ciphertext at `level` and keys
    /// made for `key_level` (usually the same level).
    ///
    /// # Errors
    /// [`Error::Level`] if a level does not exist, [`Error::LowLevel`] if the keys
    /// would not serve the ciphertext, [`Error::Slots`] if the ring does not have as many slots.
    pub fn plan(&self, params: &Parameters, level: usize, key_level: usize) -> Result<LinearPlan> {
        self.plan_within(params, level, key_level, usize::MAX)
    }

    /// Like [`LinearTransform::plan`], but with at most `max_keys` keys, or with as few
    /// as possible if that cannot be reached: baby steps are cheap, while giant steps save keys.
    ///
    /// # Errors
    /// As [`LinearTransform::plan`].
    pub fn plan_within(
        &self,
        params: &Parameters,
        level: usize,
        key_level: usize,
        max_keys: usize,
    ) -> Result<LinearPlan> {
        params.check_level(key_level)?;
        params.log_slots(self.slots)?;
        check_reaches(key_level, level)?;
        let n = self.slots;
        // Diagonals often lie at multiples of a power of two.
        // Baby and giant steps then count in that stride.
        let stride = self.diagonals.keys().fold(n, |s, &k| if k == 0 { s } else { s.min(1 << k.trailing_zeros()) });
        let units = n / stride;
        let period = self.period();
        // The shortest cyclic interval with all indices starts at the end of the longest gap
        // between them.
        let indices: Vec<usize> = self.diagonals.keys().map(|k| k / stride).collect();
        let gap = |i: usize| (indices[i] + units - indices[(i + indices.len() - 1) % indices.len()] - 1) % units;
        let first = indices[(0..indices.len()).max_by_key(|&i| gap(i)).expect("there is a diagonal")];
        let place: Vec<usize> = indices.iter().map(|k| (k + units - first) % units).collect();
        let span = place.iter().max().expect("there is a diagonal") + 1;
        let plan = |baby: usize, shift: usize| {
            // k = first − shift + baby·(giant) + (baby step).
            let mut steps: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
            for (place, k) in place.iter().zip(self.diagonals.keys()) {
                let (giant, step) = ((place + shift) / baby, (place + shift) % baby);
                let rotation = (first + units * baby - shift + giant * baby) % units * stride;
                steps.entry(rotation).or_default().push((step * stride, *k));
            }
            let (hash, shape) = (params.hash(), params.gadget_shape(key_level));
            LinearPlan { hash, slots: n, period, level, key_level, shape, steps }
        };
        let candidates = (1..=span.min(64)).flat_map(|baby| (0..baby).map(move |shift| (baby, shift)));
        // The number of keys is compared first, then the cost.
        let rank = |plan: &LinearPlan| (plan.keys().max(max_keys), plan.cost().in_transforms());
        let best = candidates
            .map(|(baby, shift)| plan(baby, shift))
            .min_by(|a, b| rank(a).partial_cmp(&rank(b)).expect("costs are numbers"))
            .expect("one baby step is always possible");
        Ok(best)
    }
}

/// The baby and giant steps of a transform at a level.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearPlan {
    hash: ParametersHash,
    slots: usize,
    /// The number of slots after which the diagonals repeat themselves.
    period: usize,
    level: usize,
    key_level: usize,
    shape: GadgetShape,
    /// For each giant rotation, the baby rotations, each with the index of its diagonal.
    steps: BTreeMap<usize, Vec<(usize, usize)>>,
}

impl LinearPlan {
    /// The level of the ciphertexts that the transform takes.
    #[must_use]
    pub const fn level(&self) -> usize {
        self.level
    }

    /// The number of levels that the transform consumes, including the rescaling.
    #[must_use]
    pub const fn depth(&self) -> usize {
        1
    }

    fn baby(&self) -> BTreeSet<usize> {
        self.steps.values().flatten().map(|&(b, _)| b).collect()
    }

    /// The number of Galois keys that the transform needs.
    #[must_use]
    pub fn keys(&self) -> usize {
        let mut rotations = self.baby();
        rotations.extend(self.steps.keys());
        rotations.iter().filter(|&&k| k != 0).count()
    }

    /// The degree of the ring in which the diagonals are encoded.
    /// Diagonals that repeat themselves are polynomials in a power of X, whose values come in runs.
    /// Only one value of each run is kept if the runs are long enough
    /// for [`dot_repeated_into`](hetal_kernel::NttTable::dot_repeated_into).
    fn degree(&self, params: &Parameters) -> usize {
        let degree = (2 * self.period).max(1 << MIN_LOG_N);
        if params.n() / degree < 8 { params.n() } else { degree }
    }

    /// The memory of the encoded diagonals, in bytes.
    #[must_use]
    pub fn diagonal_bytes(&self, params: &Parameters) -> usize {
        let diagonals: usize = self.steps.values().map(Vec::len).sum();
        diagonals * RnsPoly::<Eval>::bytes(self.degree(params), self.level + 1 + self.shape.special)
    }

    /// The Galois keys that the transform needs.
    #[must_use]
    pub fn requests(&self, params: &Parameters) -> KeyRequests {
        let rotations = self.baby().into_iter().chain(self.steps.keys().copied());
        rotations.fold(KeyRequests::default(), |all, k| all.rotation(params, k as i64, self.key_level))
    }

    /// The cost of the transform, including the rescaling at the end.
    #[must_use]
    pub fn cost(&self) -> Cost {
        let (limbs, k) = (self.level + 1, self.shape.special);
        let baby = self.baby().into_iter().filter(|&b| b != 0).count() as u64;
        let giant = self.steps.keys().filter(|&&g| g != 0).count() as u64;
        let diagonals: u64 = self.steps.values().map(|steps| steps.len() as u64).sum();
        let inner = Cost::inner_product(self.level, self.shape);
        let mod_up = Cost::mod_up(self.level, self.shape);
        let mut cost = inner * baby + (Cost::division(1, limbs, k) + mod_up + inner) * giant;
        if baby != 0 {
            cost += mod_up;
        }
        cost.products += 2 * diagonals * (limbs + k) as u64;
        cost + Cost::division(2, limbs - usize::from(self.level > 0), k + usize::from(self.level > 0))
    }
}

/// The diagonals of a transform, rotated for their giant steps and encoded modulo QP.
#[derive(Clone, Debug)]
pub struct EncodedTransform {
    plan: LinearPlan,
    scale: f64,
    log_slots: u32,
    /// The encoded diagonals, in the order of the plan's steps.
    diagonals: Vec<Vec<RnsPoly<Eval>>>,
}

impl EncodedTransform {
    /// Encodes the diagonals at a scale, by which the transform multiplies the scale of a
    /// ciphertext. With a scale of q_level, the ciphertext has its old scale again after rescaling.
    ///
    /// # Errors
    /// [`Error::NotFinite`], [`Error::Overflow`], [`Error::OtherParameters`],
    /// [`Error::Malformed`] if the plan was made for other diagonals.
    pub fn new(encoder: &Encoder, transform: &LinearTransform, plan: LinearPlan, scale: f64) -> Result<Self> {
        let params = encoder.params();
        crate::ckks::keys::check_hash(plan.hash, params)?;
        let n = plan.slots;
        let planned: BTreeSet<usize> = plan.steps.values().flatten().map(|&(_, k)| k).collect();
        if (n, plan.period) != (transform.slots, transform.period()) || !planned.iter().eq(transform.diagonals.keys()) {
            let of = |slots, count| format!("{count} of {slots} slots");
            let found = of(transform.slots, transform.diagonals.len());
            let wanted = format_args!("those that were planned for, {}", of(n, planned.len())).to_string();
            return Err(Error::malformed("linear transform", "diagonals", found, wanted));
        }
        let encode = |giant: usize, k: usize| {
            let mut diagonal = transform.diagonals[&k].clone();
            diagonal.rotate_right(giant);
            diagonal.truncate(plan.period);
            let mut poly = RnsPoly::zero(plan.degree(params), plan.level + 1 + plan.shape.special);
            encoder.expand_into(&encoder.coefficients(&diagonal, scale)?, plan.level, &mut poly)?;
            Ok(poly)
        };
        let diagonals = plan
            .steps
            .iter()
            .map(|(&giant, steps)| steps.iter().map(|&(_, k)| encode(giant, k)).collect::<Result<Vec<_>>>())
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { log_slots: params.log_slots(n)?, plan, scale, diagonals })
    }

    /// The plan.
    #[must_use]
    pub const fn plan(&self) -> &LinearPlan {
        &self.plan
    }

    /// The memory of the diagonals, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.diagonals.iter().flatten().map(|d| RnsPoly::<Eval>::bytes(d.n(), d.limbs())).sum()
    }
}

impl Evaluator {
    /// Computes M·a and rescales it: the level of the result is one lower than that of the plan.
    ///
    /// # Errors
    /// [`Error::LowLevel`] if a is below the level of the plan,
    /// [`Error::NoLevelsLeft`] if that level is 0, [`Error::MissingKey`],
    /// [`Error::Degree`], [`Error::Scale`], [`Error::OtherParameters`], [`Error::OtherKeys`];
    /// [`Error::Slots`] if a has more slots than the matrix.
    pub fn transform(&self, a: &Ciphertext, transform: &EncodedTransform) -> Result<Ciphertext> {
        if transform.plan.level == 0 {
            return Err(Error::NoLevelsLeft { operation: "a linear transform", needed: 1, level: 0 });
        }
        self.transform_to(a, transform, transform.plan.level)
    }

    /// Computes M·a at the level of the plan without rescaling it,
    /// for callers that rotate or add it first.
    ///
    /// # Errors
    /// As [`Evaluator::transform`].
    pub fn transform_lazy(&self, a: &Ciphertext, transform: &EncodedTransform) -> Result<Ciphertext> {
        self.transform_to(a, transform, transform.plan.level + 1)
    }

    /// Computes M·a and divides it down to `kept` limbs.
    fn transform_to(&self, a: &Ciphertext, transform: &EncodedTransform, kept: usize) -> Result<Ciphertext> {
        let plan = &transform.plan;
        let (params, level, shape) = (self.params(), plan.level, plan.shape);
        a.check(params)?;
        crate::ckks::keys::check_hash(plan.hash, params)?;
        a.check_degree(1)?;
        check_reaches(a.level(), level)?;
        if a.log_slots > transform.log_slots {
            return Err(Error::Slots { slots: a.slots(), max: plan.slots });
        }
        let product = self.product_scale(a.scale, transform.scale, level)?;
        let scale = if kept == level { product / params.q(level).as_f64() } else { product };
        let rotation = |k: usize| {
            let id = KeyId::Galois(GaloisElement::rotation(k as i64, params.log_n()));
            let key = self.key(id, plan.key_level, a.generation)?;
            let fits = params.gadget_shape(key.level) == shape;
            if fits { Ok(key) } else { Err(Error::MissingKey { id, level: plan.key_level }) }
        };
        let baby: Vec<usize> = plan.baby().into_iter().collect();
        // A key for each step except those by 0.
        let keys = |steps: &mut dyn Iterator<Item = usize>| {
            steps.map(|k| if k == 0 { Ok(None) } else { rotation(k).map(Some) }).collect::<Result<Vec<_>>>()
        };
        let baby_keys = keys(&mut baby.iter().copied())?;
        let giant_keys = keys(&mut plan.steps.keys().copied())?;

        let (n, limbs, all) = (params.n(), level + 1, level + 1 + shape.special);
        let gadget = params.gadget(plan.key_level)?;
        let [c0, c1] = [a.parts[0].prefix(limbs), a.parts[1].prefix(limbs)];
        let digits = if baby_keys.iter().any(Option::is_some) { gadget.digits(limbs) } else { 0 };
        let mut out = self.blank(a.generation, 2, kept - 1);
        // Scratch memory for the digits, the two parts of all sums,
        // and a total if that is not one of the sums.
        let polys = digits + 2 * (plan.steps.len() + usize::from(giant_keys[0].is_some()));
        self.pool.with(polys * all * limb_stride(n), |scratch| {
            let mut rest = scratch;
            let mut take = || {
                let (poly, tail) = RnsPolyMut::<Eval>::from_scratch(std::mem::take(&mut rest), n, all);
                rest = tail;
                poly
            };
            let mut digits: Vec<_> = (0..digits).map(|_| take()).collect();
            let mut sums: Vec<_> = plan.steps.iter().map(|_| [take(), take()]).collect();
            if !digits.is_empty() {
                self.lift(&gadget, c1, &mut digits);
            }

            let run = n / plan.degree(params);
            let block = n.min(run.max(BLOCK));
            // Limb by limb, computes all baby steps and then the sums of all giant steps.
            let mut tasks: Vec<Vec<[&mut [f64]; 2]>> = (0..all).map(|_| Vec::new()).collect();
            for [b, a] in &mut sums {
                let limbs = b.reborrow().into_limbs_mut().zip(a.reborrow().into_limbs_mut());
                tasks.iter_mut().zip(limbs).for_each(|(task, (b, a))| task.push([b, a]));
            }
            for_each(tasks.into_iter(), |j, mut sums| {
                let table = gadget.qp().table(gadget.qp_index(limbs, j));
                let p = gadget.mod_down().dropped().product_mod(table.modulus());
                self.pool.with((2 * baby.len() + 1) * limb_stride(n), |scratch| {
                    let (mut rotated, scratch) = RnsPolyMut::<Eval>::from_scratch(scratch, n, 2 * baby.len());
                    let (mut work, _) = RnsPolyMut::<Eval>::from_scratch(scratch, n, 1);
                    for (i, key) in baby_keys.iter().enumerate() {
                        for (part, c) in [c0, c1].into_iter().enumerate() {
                            let out = rotated.limb_mut(2 * i + part);
                            let Some(key) = key else {
                                out.fill(0.0);
                                if j < limbs {
                                    table.mul_scalar_add_assign(out, c.limb(j), p);
                                }
                                continue;
                            };
                            let mut list = [&[][..]; MAX_DIGIT];
                            list.iter_mut().zip(&digits).for_each(|(slot, digit)| *slot = digit.limb(j));
                            // The key may have been made for a higher level, with the same digits.
                            let (gadget, list) = (&key.gadget, &list[..digits.len()]);
                            let finish = Finish { add: (part == 0 && j < limbs).then(|| (c.limb(j), p)), divide: None };
                            let at = gadget.qp_index(limbs, j);
                            match &key.automorphism {
                                None => key.key.accumulate_limb(gadget, at, part, list, finish, out),
                                Some(automorphism) => {
                                    key.key.accumulate_limb(gadget, at, part, list, finish, work.limb_mut(0));
                                    automorphism.limb_into(work.limb(0), out);
                                }
                            }
                        }
                    }
                    // Works block by block, so that a block stays in the cache for all sums.
                    for from in (0..n).step_by(block) {
                        let (block, diagonal_block) = (from..from + block, from / run..(from + block) / run);
                        for ((sum, steps), diagonals) in
                            sums.iter_mut().zip(plan.steps.values()).zip(&transform.diagonals)
                        {
                            let at = |&(b, _): &(usize, usize)| baby.binary_search(&b).expect("one of the baby steps");
                            let parts: [Vec<&[f64]>; 2] = [0, 1].map(|part| {
                                steps.iter().map(|step| &rotated.limb(2 * at(step) + part)[block.clone()]).collect()
                            });
                            let diagonals: Vec<&[f64]> =
                                diagonals.iter().map(|d| &d.limb(j)[diagonal_block.clone()]).collect();
                            let sum = sum.each_mut().map(|sum| &mut sum[block.clone()]);
                            if run == 1 {
                                table.dot_into(sum, &diagonals, [&parts[0], &parts[1]]);
                            } else {
                                table.dot_repeated_into(sum, &diagonals, [&parts[0], &parts[1]], run);
                            }
                        }
                    }
                });
            });

            // Adds all giant steps to the sum of the step by 0, which comes first.
            let mut sums = sums.into_iter();
            let mut total = match giant_keys[0] {
                None => sums.next().expect("there is a step"),
                Some(_) => [take(), take()].map(|mut zero| {
                    zero.fill_zero();
                    zero
                }),
            };
            for ([b, mut a], key) in sums.zip(giant_keys.iter().flatten()) {
                self.divide(gadget.mod_down(), std::slice::from_mut(&mut a));
                let divided = a.view().range(0, limbs);
                self.with_digits(&gadget, divided, |digits| {
                    self.switch_lazy(digits, key, b.view(), total.each_mut().map(RnsPolyMut::reborrow));
                });
            }
            self.divide(&params.divider(kept, limbs, shape.special), &mut total);
            for_each_limb(&mut out.parts, |part, j, out| out.copy_from_slice(total[part].limb(j)));
        });
        (out.scale, out.log_slots) = (scale, transform.log_slots);
        Ok(out)
    }
}
