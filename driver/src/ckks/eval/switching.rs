//! Key switching over threads: the steps of [`hetal_kernel::keyswitch`], with a group of limbs per
//! task.
//!
//! Switching a polynomial c of l limbs sums the products of its lifted digits with the key modulo
//! QP, adds the parts that need no switching, and divides by P. Dividing by P·q_{l−1} instead makes
//! the rescaling after a product almost free: it saves a transform for each remaining limb and
//! part, and there is one rounding instead of two. The limbs that are divided away are summed
//! first, so that every other limb can be divided while it is in the cache.
//! All results that use the same limb of the digits are computed one after the other.
//!
//! Limbs that cannot be dealt out evenly come last, one by one. The threads share the work on each
//! of them: first its digits, then its sums.

use std::ops::Range;

use hetal_kernel::packed::Finish;
use hetal_kernel::rns::{GROUP, MAX_DIGIT};
use hetal_kernel::scratch::limb_stride;
use hetal_kernel::{Coeff, Eval, Gadget, ModDown, RnsPoly, RnsPolyMut, RnsPolyRef};

use super::Evaluator;
use super::combination::Combination;
use crate::base::parallel::{for_each, for_each_shared};
use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::keys::EvaluationKey;

/// The digits of a polynomial under one gadget.
pub(crate) enum Digits<'a> {
    /// The digits are lifted while they are used.
    Prepared { c: RnsPolyRef<'a, Eval>, prepared: RnsPolyMut<'a, Coeff>, overflow: RnsPolyMut<'a, Coeff> },
    /// The digits were lifted before (hoisting), modulo QP.
    Lifted { limbs: usize, digits: &'a [RnsPolyRef<'a, Eval>] },
}

impl<'a> Digits<'a> {
    /// Creates digits from prepared limbs: computes the overflows.
    fn prepared(
        gadget: &Gadget,
        c: RnsPolyRef<'a, Eval>,
        prepared: RnsPolyMut<'a, Coeff>,
        mut overflow: RnsPolyMut<'a, Coeff>,
    ) -> Self {
        for_each_piece(overflow.reborrow(), |d, from, v| gadget.overflow_limb(prepared.view(), d, from, v));
        Self::Prepared { c, prepared, overflow }
    }

    fn limbs(&self) -> usize {
        match self {
            Self::Prepared { c, .. } => c.limbs(),
            Self::Lifted { limbs, .. } => *limbs,
        }
    }

    /// Returns the digits at one group of limbs modulo QP. `scratch` has [`GROUP`] limbs for each
    /// digit.
    fn at<'b>(&'b self, gadget: &'b Gadget, group: Range<usize>, scratch: &'b mut [f64]) -> DigitsAt<'b> {
        let (limbs, digits) = (self.limbs(), gadget.digits(self.limbs()));
        let own = if group.start < limbs { group.start / gadget.alpha() } else { digits };
        let (mut lifted, _) = RnsPolyMut::from_scratch(scratch, gadget.q().n(), GROUP * digits);
        if let Self::Prepared { prepared, overflow, .. } = self {
            let lifted = lifted.groups_mut(GROUP).filter(|(first, _)| first / GROUP != own);
            for_each_shared(is_shared(&group), lifted, |_, (first, lifted)| {
                let (d, mut lifted) = (first / GROUP, lifted.split_at(group.len()).0);
                gadget.digit_limbs(prepared.view(), overflow.limb(d), d, group.start, &mut lifted);
            });
        }
        DigitsAt { all: self, gadget, first: group.start, own, lifted }
    }
}

/// The digits at some limbs.
struct DigitsAt<'a> {
    all: &'a Digits<'a>,
    gadget: &'a Gadget,
    first: usize,
    /// The digit to which these limbs belong.
    own: usize,
    lifted: RnsPolyMut<'a, Eval>,
}

impl DigitsAt<'_> {
    /// Computes Σ digits·(one part of the key) at limb j and finishes it as `finish` says.
    /// The key may be one for a higher level with the same digits: its limbs are numbered by the
    /// gadget of the key.
    fn sum(&self, key: &EvaluationKey, j: usize, part: usize, finish: Finish<'_>, out: &mut [f64]) {
        let limbs = self.all.limbs();
        let digits = self.gadget.digits(limbs);
        let mut list = [&[][..]; MAX_DIGIT];
        for (d, slot) in list[..digits].iter_mut().enumerate() {
            *slot = match self.all {
                Digits::Prepared { c, .. } if d == self.own => c.limb(j),
                Digits::Prepared { .. } => self.lifted.limb(GROUP * d + j - self.first),
                Digits::Lifted { digits, .. } => digits[d].limb(j),
            };
        }
        let at = key.gadget.qp_index(limbs, j);
        key.key.accumulate_limb(&key.gadget, at, part, &list[..digits], finish, out);
    }
}

/// Returns the limbs of a polynomial that has K of them.
fn limbs_of<'a, const K: usize>(poly: &'a mut RnsPolyMut<'_, Eval>) -> [&'a mut [f64]; K] {
    let mut limbs = poly.reborrow().into_limbs_mut();
    std::array::from_fn(|_| limbs.next().expect("K limbs"))
}

/// Returns the groups of a gadget, with an additional cut at limb `kept`.
pub(super) fn groups(gadget: &Gadget, limbs: usize, kept: usize) -> Vec<Range<usize>> {
    let cut = |group: Range<usize>| {
        let at = kept.clamp(group.start, group.end);
        [group.start..at, at..group.end].into_iter().filter(|part| !part.is_empty())
    };
    gadget.groups(limbs).flat_map(cut).collect()
}

/// Splits groups so that all threads finish together, given that each thread takes the next group
/// when it has finished one. Limbs that cannot be dealt out evenly are taken off the end one by
/// one, and other groups are halved, the last ones first. A group is cheaper than its limbs one by
/// one.
fn balanced(mut groups: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let threads = rayon::current_num_threads();
    let limbs: usize = groups.iter().map(Range::len).sum();
    let mut shared = Vec::new();
    for _ in 0..limbs % threads {
        let last = groups.last_mut().expect("a limb is left");
        last.end -= 1;
        shared.push(last.end..last.end + 1);
        groups.pop_if(|last| Range::is_empty(last));
    }
    loop {
        let mut ends = vec![0; threads];
        for group in &groups {
            *ends.iter_mut().min().expect("there is a thread") += group.len();
        }
        let last = groups.iter().rposition(|group| group.len() > 1);
        let Some(last) = last.filter(|_| ends.into_iter().max() > Some(limbs / threads)) else { break };
        let Range { start, end } = groups[last];
        let middle = start + (end - start).div_ceil(2);
        groups.splice(last..=last, [start..middle, middle..end]);
    }
    groups.extend(shared.into_iter().rev());
    groups
}

/// Tells whether the threads share the work on a group. They do for a single limb,
/// since it comes when other threads have nothing else to do, or soon will have nothing.
fn is_shared(group: &Range<usize>) -> bool {
    group.len() == 1
}

/// Splits a polynomial into these groups. Its first limb is the first limb of the first group.
pub(super) fn split<'a>(poly: RnsPolyMut<'a, Eval>, groups: &[Range<usize>]) -> Vec<RnsPolyMut<'a, Eval>> {
    let mut rest = Some(poly);
    let mut parts = Vec::new();
    for group in groups {
        let (part, tail) = rest.take().expect("put back below").split_at(group.len());
        parts.push(part);
        rest = Some(tail);
    }
    parts
}

/// A polynomial to add to one part of the result of a key switch.
#[derive(Clone, Copy)]
pub(super) enum Addend<'a> {
    None,
    Stored(RnsPolyRef<'a, Eval>),
    /// This part of a combination, computed limb by limb where it is added.
    Computed(&'a Combination<'a>, usize),
}

impl Addend<'_> {
    /// Returns limb j, which is written to `scratch` if it has to be computed.
    fn limb<'a>(&'a self, j: usize, scratch: &'a mut [f64]) -> Option<&'a [f64]> {
        match self {
            Self::None => None,
            Self::Stored(poly) => Some(poly.limb(j)),
            Self::Computed(combination, part) => {
                combination.limb_into(*part, j, scratch);
                Some(scratch)
            }
        }
    }
}

/// One of several key switches of the same digits.
pub(super) struct Job<'a> {
    pub(super) key: &'a EvaluationKey,
    /// Added after the automorphism of a Galois key.
    pub(super) plus: Option<&'a Ciphertext>,
    pub(super) out: [&'a mut RnsPoly<Eval>; 2],
}

/// Calls `f` with the number, the first coefficient and the coefficients of each limb.
/// If the limbs cannot be dealt out evenly to the threads, `f` is called for pieces of limbs
/// instead.
fn for_each_piece(poly: RnsPolyMut<'_, Coeff>, f: impl Fn(usize, usize, &mut [f64]) + Sync + Send) {
    let (n, threads) = (poly.n(), rayon::current_num_threads());
    let piece = if poly.limbs().is_multiple_of(threads) { n } else { n.div_ceil(threads).next_multiple_of(8) };
    let limbs = poly.into_limbs_mut().enumerate();
    let pieces: Vec<_> =
        limbs.flat_map(|(k, limb)| limb.chunks_mut(piece).enumerate().map(move |(i, v)| (k, i, v))).collect();
    for_each(pieces.into_iter(), |_, (k, i, v)| f(k, i * piece, v));
}

/// Regroups: takes the groups of each polynomial and returns, for each group, the parts of all
/// polynomials.
fn by_group<'a>(
    polys: impl Iterator<Item = Vec<RnsPolyMut<'a, Eval>>>,
    groups: &[Range<usize>],
) -> Vec<(Range<usize>, Vec<RnsPolyMut<'a, Eval>>)> {
    let mut tasks: Vec<_> = groups.iter().map(|group| (group.clone(), Vec::new())).collect();
    for poly in polys {
        tasks.iter_mut().zip(poly).for_each(|((_, parts), part)| parts.push(part));
    }
    tasks
}

impl Evaluator {
    /// Calls `f` with the digits of c under a gadget. They are lifted when they are used.
    pub(crate) fn with_digits<R>(
        &self,
        gadget: &Gadget,
        c: RnsPolyRef<'_, Eval>,
        f: impl FnOnce(&Digits<'_>) -> R,
    ) -> R {
        self.with_prepared(gadget, c.limbs(), |mut prepared, overflow| {
            let limbs = c.limbs();
            for_each(prepared.reborrow().into_limbs_mut(), |i, out| gadget.prepare_limb(limbs, i, c.limb(i), out));
            f(&Digits::prepared(gadget, c, prepared, overflow))
        })
    }

    /// Does the same as [`Evaluator::with_digits`] for a polynomial that is first computed,
    /// limb by limb: each limb is prepared while it is in the cache.
    pub(super) fn with_computed_digits<R>(
        &self,
        gadget: &Gadget,
        c: &mut RnsPoly<Eval>,
        compute: impl Fn(usize, &mut [f64]) + Sync + Send,
        f: impl FnOnce(&Digits<'_>) -> R,
    ) -> R {
        let limbs = c.limbs();
        self.with_prepared(gadget, limbs, |mut prepared, overflow| {
            for_each(prepared.reborrow().into_limbs_mut().zip(c.limbs_mut()), |i, (out, c)| {
                compute(i, c);
                gadget.prepare_limb(limbs, i, c, out);
            });
            f(&Digits::prepared(gadget, c.view(), prepared, overflow))
        })
    }

    /// Calls `f` with memory for the prepared limbs and for the overflows of the digits.
    fn with_prepared<R>(
        &self,
        gadget: &Gadget,
        limbs: usize,
        f: impl FnOnce(RnsPolyMut<'_, Coeff>, RnsPolyMut<'_, Coeff>) -> R,
    ) -> R {
        let (n, digits) = (self.params.n(), gadget.digits(limbs));
        self.pool.with((limbs + digits) * limb_stride(n), |scratch| {
            let (prepared, scratch) = RnsPolyMut::from_scratch(scratch, n, limbs);
            let (overflow, _) = RnsPolyMut::from_scratch(scratch, n, digits);
            f(prepared, overflow)
        })
    }

    /// Lifts the digits of c to all limbs modulo QP.
    pub(crate) fn lift(&self, gadget: &Gadget, c: RnsPolyRef<'_, Eval>, digits: &mut [RnsPolyMut<'_, Eval>]) {
        let limbs = c.limbs();
        let groups = balanced(groups(gadget, limbs, limbs));
        self.with_digits(gadget, c, |source| {
            let Digits::Prepared { prepared, overflow, .. } = source else { unreachable!("with_digits prepares") };
            let tasks: Vec<_> = digits
                .iter_mut()
                .enumerate()
                .flat_map(|(d, digit)| {
                    split(digit.reborrow(), &groups).into_iter().zip(&groups).map(move |(out, g)| (d, out, g))
                })
                .collect();
            for_each(tasks.into_iter(), |_, (d, mut out, group)| {
                if group.start < limbs && group.start / gadget.alpha() == d {
                    out.copy_from(c.range(group.start, group.end));
                } else {
                    gadget.digit_limbs(prepared.view(), overflow.limb(d), d, group.start, &mut out);
                }
            });
        });
    }

    /// Adds Σ digits·key + (addend, 0), under the automorphism of the key, to (b, a) modulo QP,
    /// without division by P. All polynomials have the limbs of c and the special ones.
    pub(crate) fn switch_lazy(
        &self,
        digits: &Digits<'_>,
        key: &EvaluationKey,
        addend: RnsPolyRef<'_, Eval>,
        [b, a]: [RnsPolyMut<'_, Eval>; 2],
    ) {
        let (gadget, limbs, n) = (&*key.gadget, digits.limbs(), b.n());
        let groups = balanced(groups(gadget, limbs, limbs));
        let tasks: Vec<_> = split(b, &groups).into_iter().zip(split(a, &groups)).zip(&groups).collect();
        let words = GROUP * gadget.digits(limbs) * limb_stride(n);
        for_each(tasks.into_iter(), |_, ((b, a), group)| {
            self.pool.with(words, |scratch| {
                let at = digits.at(gadget, group.clone(), scratch);
                for_each_shared(is_shared(group), [b, a].into_iter(), |part, mut out| {
                    self.pool.with(2 * limb_stride(n), |scratch| {
                        let (mut work, _) = RnsPolyMut::<Eval>::from_scratch(scratch, n, 2);
                        let [sum, permuted] = limbs_of(&mut work);
                        for (i, j) in group.clone().enumerate() {
                            let table = gadget.qp().table(gadget.qp_index(limbs, j));
                            let add = (part == 0).then(|| (addend.limb(j), 1));
                            at.sum(key, j, part, Finish { add, divide: None }, sum);
                            let Some(automorphism) = &key.automorphism else {
                                table.add_assign(out.limb_mut(i), sum);
                                continue;
                            };
                            automorphism.limb_into(sum, permuted);
                            table.add_assign(out.limb_mut(i), permuted);
                        }
                    });
                });
            });
        });
    }

    /// Switches the digits with the key of each job:
    /// out ← round((Σ digits·key + P·addends) / (P·q_kept ⋯ q_{l−1})), under the automorphism of
    /// the key, + plus. All keys have the same digits and special primes, though not necessarily
    /// the same level, and `out` has `kept` limbs. A group of limbs of the digits is used for all
    /// jobs while it is in the cache.
    pub(super) fn switch(&self, digits: &Digits<'_>, addends: [Addend<'_>; 2], kept: usize, jobs: Vec<Job<'_>>) {
        let Some(first) = jobs.first() else { return };
        let (gadget, limbs, n) = (&*first.key.gadget, digits.limbs(), self.params.n());
        let own_divider;
        let divider: &ModDown = if kept == limbs {
            gadget.mod_down()
        } else {
            own_divider = self.params.divider(kept, limbs, gadget.special());
            &own_divider
        };
        let dropped = divider.dropped().len();
        let groups = groups(gadget, limbs, kept);
        let (kept_groups, dropped_groups): (Vec<_>, Vec<_>) = groups.into_iter().partition(|group| group.start < kept);
        let (kept_groups, dropped_groups) = (balanced(kept_groups), balanced(dropped_groups));
        let words = GROUP * gadget.digits(limbs) * limb_stride(n);
        let p = |j: usize| gadget.mod_down().dropped().product_mod(gadget.q().modulus(j));
        let (keys, plus): (Vec<_>, Vec<_>) = jobs.iter().map(|job| (job.key, job.plus)).unzip();
        self.pool.with(2 * keys.len() * (dropped + 1) * limb_stride(n), |scratch| {
            let (mut overflow, mut rest) = RnsPolyMut::<Coeff>::from_scratch(scratch, n, 2 * keys.len());
            let mut sums: Vec<RnsPolyMut<'_, Eval>> = Vec::new();
            for _ in 0..2 * keys.len() {
                let (sum, tail) = RnsPolyMut::from_scratch(rest, n, dropped);
                sums.push(sum);
                rest = tail;
            }
            let parts = sums.iter_mut().map(|sum| split(sum.reborrow(), &dropped_groups));
            for_each(by_group(parts, &dropped_groups).into_iter(), |_, (group, mut parts)| {
                self.pool.with(words, |scratch| {
                    let at = digits.at(gadget, group.clone(), scratch);
                    // All sums at one limb come before the next limb: its digits are then in the
                    // cache.
                    for (i, j) in group.clone().enumerate() {
                        for_each_shared(is_shared(&group), parts.iter_mut(), |k, out| {
                            self.pool.with(limb_stride(n), |scratch| {
                                let (mut computed, _) = RnsPolyMut::<Eval>::from_scratch(scratch, n, 1);
                                let addend = if j < limbs { addends[k % 2] } else { Addend::None };
                                let add = addend.limb(j, computed.limb_mut(0)).map(|x| (x, p(j)));
                                at.sum(keys[k / 2], j, k % 2, Finish { add, divide: None }, out.limb_mut(i));
                                divider.prepare_limb(j - kept, out.limb_mut(i));
                            });
                        });
                    }
                });
            });
            let dropped: Vec<_> = sums.into_iter().map(RnsPolyMut::assume_domain::<Coeff>).collect();
            for_each_piece(overflow.reborrow(), |k, from, v| divider.overflow_into(dropped[k].view(), from, v));

            let parts = jobs.into_iter().flat_map(|job| job.out).map(|out| split(out.view_mut(), &kept_groups));
            for_each(by_group(parts, &kept_groups).into_iter(), |_, (group, parts)| {
                self.pool.with(words, |scratch| {
                    let at = digits.at(gadget, group.clone(), scratch);
                    // Both parts of a job at one limb come before the next limb, as above.
                    // If the threads share the parts, they are done one by one.
                    let mut parts: Vec<_> = parts.into_iter().enumerate().collect();
                    let shared = is_shared(&group);
                    for_each_shared(shared, parts.chunks_mut(if shared { 1 } else { 2 }), |_, parts| {
                        let converted_limbs = parts.len() * group.len();
                        self.pool.with((converted_limbs + 2) * limb_stride(n), |scratch| {
                            let (mut converted, scratch) =
                                RnsPolyMut::<Eval>::from_scratch(scratch, n, converted_limbs);
                            let (mut work, _) = RnsPolyMut::<Eval>::from_scratch(scratch, n, 2);
                            let [sum, computed] = limbs_of(&mut work);
                            let converted_parts = converted.groups_mut(group.len());
                            for ((k, _), (_, mut converted)) in parts.iter().zip(converted_parts) {
                                let (dropped, overflow) = (dropped[*k].view(), overflow.limb(*k));
                                divider.convert_limbs(group.start, dropped, overflow, &mut converted);
                            }
                            // Each sum goes to its place while it is in the cache.
                            for (i, j) in group.clone().enumerate() {
                                for (at_part, (k, out)) in parts.iter_mut().enumerate() {
                                    let (key, part) = (keys[*k / 2], *k % 2);
                                    let add = addends[part].limb(j, computed).map(|x| (x, p(j)));
                                    let converted = converted.limb_mut(at_part * group.len() + i);
                                    let finish = Finish { add, divide: Some(divider.division(j, converted)) };
                                    let (out, plus) = (out.limb_mut(i), plus[*k / 2].map(|c| c.parts[part].limb(j)));
                                    let Some(automorphism) = &key.automorphism else {
                                        debug_assert!(plus.is_none(), "added to a switch without automorphism");
                                        at.sum(key, j, part, finish, out);
                                        continue;
                                    };
                                    at.sum(key, j, part, finish, sum);
                                    match plus {
                                        None => automorphism.limb_into(sum, out),
                                        Some(plus) => automorphism.limb_add_into(gadget.q().modulus(j), sum, plus, out),
                                    }
                                }
                            }
                        });
                    });
                });
            });
        });
    }

    /// Divides each polynomial by d and rounds: x ← round(x/d), where d is the product of the
    /// primes that the divider drops. The first limbs of x hold the result, and the dropped ones
    /// are used as work space.
    pub(crate) fn divide(&self, divider: &ModDown, parts: &mut [RnsPolyMut<'_, Eval>]) {
        let (n, count) = (parts[0].n(), parts.len());
        let kept = parts[0].limbs() - divider.dropped().len();
        self.pool.with(count * limb_stride(n), |scratch| {
            let (mut overflow, _) = RnsPolyMut::<Coeff>::from_scratch(scratch, n, count);
            let mut cut: Vec<_> = parts.iter_mut().map(|part| part.reborrow().split_at(kept)).collect();
            let tasks: Vec<_> = cut.iter_mut().flat_map(|(_, d)| d.reborrow().into_limbs_mut().enumerate()).collect();
            for_each(tasks.into_iter(), |_, (i, limb)| divider.prepare_limb(i, limb));
            let (kept, dropped): (Vec<_>, Vec<_>) =
                cut.into_iter().map(|(kept, dropped)| (kept, dropped.assume_domain::<Coeff>())).unzip();
            for_each_piece(overflow.reborrow(), |k, from, v| divider.overflow_into(dropped[k].view(), from, v));
            let limbs = kept[0].limbs();
            let groups = balanced((0..limbs).step_by(GROUP).map(|from| from..limbs.min(from + GROUP)).collect());
            let parts = kept.into_iter().map(|kept| split(kept, &groups).into_iter().zip(&groups));
            let tasks = parts.enumerate().flat_map(|(p, parts)| parts.map(move |(part, group)| (p, part, group.start)));
            for_each(tasks, |_, (p, mut group, first)| {
                self.pool.with(GROUP * limb_stride(n), |scratch| {
                    let (mut converted, _) = RnsPolyMut::from_scratch(scratch, n, GROUP);
                    divider.finish_limbs(first, dropped[p].view(), overflow.limb(p), &mut group, &mut converted);
                });
            });
        });
    }
}
