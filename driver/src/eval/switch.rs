//! Key-switching over threads: the steps of [`hetal_kernel::keyswitch`], a group of limbs a task.
//!
//! A switch of c at l limbs sums its lifted digits with the key modulo QP, adds the parts that need no switching, and divides by P, or
//! by P·q_{l−1}, which makes the rescaling after a product almost free: a transform less for each remaining limb and part, and one
//! rounding instead of two. The limbs that are divided away are summed first, so that all others are divided while they
//! are in the cache.

use std::ops::Range;

use hetal_kernel::rns::{GROUP, MAX_DIGIT};
use hetal_kernel::scratch::limb_stride;
use hetal_kernel::{Coeff, Eval, Gadget, ModDown, RnsPoly, RnsPolyMut, RnsPolyRef};

use super::Evaluator;
use crate::keys::EvaluationKey;
use crate::parallel::for_each;

/// Digits of a polynomial under one gadget.
pub(crate) enum Digits<'a> {
    /// Lifted while they are used.
    Prepared { c: RnsPolyRef<'a, Eval>, prepared: RnsPolyMut<'a, Coeff>, overflow: RnsPolyMut<'a, Coeff> },
    /// Lifted before (hoisting), modulo QP.
    Lifted { limbs: usize, digits: &'a [RnsPolyRef<'a, Eval>] },
}

impl Digits<'_> {
    fn limbs(&self) -> usize {
        match self {
            Self::Prepared { c, .. } => c.limbs(),
            Self::Lifted { limbs, .. } => *limbs,
        }
    }

    /// Sums at one group of limbs modulo QP. `scratch` has [`GROUP`] limbs for each digit.
    fn sum(
        &self,
        key: &EvaluationKey,
        group: Range<usize>,
        scratch: &mut [f64],
        [b, a]: [&mut RnsPolyMut<'_, Eval>; 2],
    ) {
        let (gadget, limbs) = (&*key.gadget, self.limbs());
        let digits = gadget.digits(limbs);
        let own = if group.start < limbs { group.start / gadget.alpha() } else { digits };
        let (mut lifted, _) = RnsPolyMut::from_scratch(scratch, gadget.q().n(), GROUP * digits);
        if let Self::Prepared { prepared, overflow, .. } = self {
            for (first, lifted) in lifted.groups_mut(GROUP).filter(|(first, _)| first / GROUP != own) {
                let (d, mut lifted) = (first / GROUP, lifted.split_at(group.len()).0);
                gadget.digit_limbs(prepared.view(), overflow.limb(d), d, group.start, &mut lifted);
            }
        }
        for (i, j) in group.enumerate() {
            let mut list = [&[][..]; MAX_DIGIT];
            for (d, slot) in list[..digits].iter_mut().enumerate() {
                *slot = match self {
                    Self::Prepared { c, .. } if d == own => c.limb(j),
                    Self::Prepared { .. } => lifted.limb(GROUP * d + i),
                    Self::Lifted { digits, .. } => digits[d].limb(j),
                };
            }
            key.key.accumulate_limb(gadget, limbs, j, &list[..digits], [b.limb_mut(i), a.limb_mut(i)]);
        }
    }
}

/// The groups of a gadget, cut once more at limb `kept`.
pub(super) fn groups(gadget: &Gadget, limbs: usize, kept: usize) -> Vec<Range<usize>> {
    let cut = |group: Range<usize>| {
        let at = kept.clamp(group.start, group.end);
        [group.start..at, at..group.end].into_iter().filter(|part| !part.is_empty())
    };
    gadget.groups(limbs).flat_map(cut).collect()
}

/// Halves groups, the last first, until the threads, of which each takes the next group when it is done with one, are done at the same
/// time but for a limb. A group is cheaper than its limbs one by one.
fn balanced(mut groups: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let threads = rayon::current_num_threads();
    let limbs: usize = groups.iter().map(Range::len).sum();
    loop {
        let mut ends = vec![0; threads];
        for group in &groups {
            *ends.iter_mut().min().expect("there is a thread") += group.len();
        }
        let Some(last) = groups.iter().rposition(|group| group.len() > 1) else { return groups };
        if ends.into_iter().max() <= Some(limbs.div_ceil(threads)) {
            return groups;
        }
        let Range { start, end } = groups[last];
        let middle = start + (end - start).div_ceil(2);
        groups.splice(last..=last, [start..middle, middle..end]);
    }
}

/// Cuts a polynomial whose first limb is that of the first group into these groups.
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

/// One of several switches of the same digits.
pub(super) struct Job<'a> {
    pub(super) key: &'a EvaluationKey,
    pub(super) out: [&'a mut RnsPoly<Eval>; 2],
}

/// From the groups of each polynomial to the polynomials' parts of each group.
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

/// Parts b and a, alternating, two by two.
fn pairs<T>(parts: Vec<T>) -> impl Iterator<Item = [T; 2]> {
    let mut parts = parts.into_iter();
    std::iter::from_fn(move || Some([parts.next()?, parts.next()?]))
}

impl Evaluator {
    /// Calls `f` with the digits of c under a gadget, which are lifted when they are used.
    pub(crate) fn with_digits<R>(
        &self,
        gadget: &Gadget,
        c: RnsPolyRef<'_, Eval>,
        f: impl FnOnce(&Digits<'_>) -> R,
    ) -> R {
        let (limbs, digits) = (c.limbs(), gadget.digits(c.limbs()));
        self.pool.with((limbs + digits) * limb_stride(c.n()), |scratch| {
            let (mut prepared, scratch) = RnsPolyMut::from_scratch(scratch, c.n(), limbs);
            let (mut overflow, _) = RnsPolyMut::from_scratch(scratch, c.n(), digits);
            for_each(prepared.reborrow().into_limbs_mut(), |i, out| gadget.prepare_limb(limbs, i, c.limb(i), out));
            for_each(overflow.reborrow().into_limbs_mut(), |d, v| gadget.overflow_limb(prepared.view(), d, v));
            f(&Digits::Prepared { c, prepared, overflow })
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

    /// (b, a) ← (b, a) + Σ digits·key + (addend, 0) modulo QP, not divided by P, under the key's automorphism; all have the limbs of c and the
    /// special ones.
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
        // Lifted digits, two groups for the sums, and two more if they are to be permuted.
        let words = (GROUP * gadget.digits(limbs) + 4 * GROUP) * limb_stride(n);
        for_each(tasks.into_iter(), |_, ((mut b, mut a), group)| {
            self.pool.with(words, |scratch| {
                let (mut switched_b, scratch) = RnsPolyMut::from_scratch(scratch, n, group.len());
                let (mut switched_a, scratch) = RnsPolyMut::from_scratch(scratch, n, group.len());
                let out = [switched_b.reborrow(), switched_a.reborrow()];
                self.permuted(key, group.clone(), out, scratch, |group, [b, a], scratch| {
                    digits.sum(key, group.clone(), scratch, [&mut *b, &mut *a]);
                    for (i, j) in group.enumerate() {
                        gadget.qp().table(gadget.qp_index(limbs, j)).add_assign(b.limb_mut(i), addend.limb(j));
                    }
                });
                for (i, j) in group.clone().enumerate() {
                    let table = gadget.qp().table(gadget.qp_index(limbs, j));
                    table.add_assign(b.limb_mut(i), switched_b.limb(i));
                    table.add_assign(a.limb_mut(i), switched_a.limb(i));
                }
            });
        });
    }

    /// Calls `f` for the limbs of a group: with `out` itself, or, for a Galois key, with scratch that is then permuted into it.
    fn permuted(
        &self,
        key: &EvaluationKey,
        group: Range<usize>,
        [mut b, mut a]: [RnsPolyMut<'_, Eval>; 2],
        scratch: &mut [f64],
        f: impl FnOnce(Range<usize>, [&mut RnsPolyMut<'_, Eval>; 2], &mut [f64]),
    ) {
        let Some(automorphism) = &key.automorphism else { return f(group, [&mut b, &mut a], scratch) };
        let (mut sum_b, scratch) = RnsPolyMut::from_scratch(scratch, b.n(), group.len());
        let (mut sum_a, scratch) = RnsPolyMut::from_scratch(scratch, b.n(), group.len());
        f(group, [&mut sum_b, &mut sum_a], scratch);
        automorphism.apply_into(sum_b.view(), &mut b);
        automorphism.apply_into(sum_a.view(), &mut a);
    }

    /// For each job, out ← round((Σ digits·key + P·addends) / (P·q_kept ⋯ q_{l−1})), under the key's automorphism. All keys have the same
    /// digits and special primes, and `out` has `kept` limbs. A group of limbs of the digits is used for all jobs while it is in the cache.
    pub(super) fn switch(
        &self,
        digits: &Digits<'_>,
        addends: [Option<RnsPolyRef<'_, Eval>>; 2],
        kept: usize,
        jobs: Vec<Job<'_>>,
    ) {
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
        // Lifted digits, one group to convert into, and two for the sums if they are to be permuted.
        let words = (GROUP * gadget.digits(limbs) + 3 * GROUP) * limb_stride(n);
        // P·addends, to what is not yet divided by P.
        let add = |j: usize, out: [&mut RnsPolyMut<'_, Eval>; 2]| {
            for (out, addend) in out.into_iter().zip(addends).filter(|_| kept < limbs) {
                let Some(addend) = addend else { continue };
                for i in (0..out.limbs()).filter(|i| j + i < limbs) {
                    let table = self.params.qp().table(j + i);
                    let p = gadget.mod_down().dropped().product_mod(table.modulus());
                    table.mul_scalar_add_assign(out.limb_mut(i), addend.limb(j + i), p);
                }
            }
        };
        let keys: Vec<&EvaluationKey> = jobs.iter().map(|job| job.key).collect();
        self.pool.with(2 * keys.len() * (dropped + 1) * limb_stride(n), |scratch| {
            let (mut overflow, mut rest) = RnsPolyMut::<Coeff>::from_scratch(scratch, n, 2 * keys.len());
            let mut sums: Vec<RnsPolyMut<'_, Eval>> = Vec::new();
            for _ in 0..2 * keys.len() {
                let (sum, tail) = RnsPolyMut::from_scratch(rest, n, dropped);
                sums.push(sum);
                rest = tail;
            }
            let parts = sums.iter_mut().map(|sum| split(sum.reborrow(), &dropped_groups));
            for_each(by_group(parts, &dropped_groups).into_iter(), |_, (group, parts)| {
                self.pool.with(words, |scratch| {
                    for (key, [mut b, mut a]) in keys.iter().zip(pairs(parts)) {
                        digits.sum(key, group.clone(), scratch, [&mut b, &mut a]);
                        add(group.start, [&mut b, &mut a]);
                        for part in [&mut b, &mut a] {
                            let first = group.start - kept;
                            (0..group.len()).for_each(|i| divider.prepare_limb(first + i, part.limb_mut(i)));
                        }
                    }
                });
            });
            let dropped: Vec<_> = sums.into_iter().map(RnsPolyMut::assume_domain::<Coeff>).collect();
            for_each(overflow.reborrow().into_limbs_mut().zip(&dropped), |_, (v, dropped)| {
                divider.overflow_into(dropped.view(), v)
            });

            let parts = jobs.into_iter().flat_map(|job| job.out).map(|out| split(out.view_mut(), &kept_groups));
            for_each(by_group(parts, &kept_groups).into_iter(), |_, (group, parts)| {
                self.pool.with(words, |scratch| {
                    for (i, (key, parts)) in keys.iter().zip(pairs(parts)).enumerate() {
                        self.permuted(key, group.clone(), parts, scratch, |group, [b, a], scratch| {
                            let first = group.start;
                            digits.sum(key, group, scratch, [&mut *b, &mut *a]);
                            add(first, [&mut *b, &mut *a]);
                            let (mut converted, _) = RnsPolyMut::from_scratch(scratch, n, GROUP);
                            for (part, sum) in [b, a].into_iter().enumerate() {
                                let (dropped, v) = (dropped[2 * i + part].view(), overflow.limb(2 * i + part));
                                divider.finish_limbs(first, dropped, v, sum, &mut converted);
                                let Some(addend) = addends[part].filter(|_| kept == limbs) else { continue };
                                for i in 0..sum.limbs() {
                                    let table = self.params.qp().table(first + i);
                                    table.add_assign(sum.limb_mut(i), addend.limb(first + i));
                                }
                            }
                        });
                    }
                });
            });
        });
    }

    /// x ← round(x/d) for each x: its first limbs are kept, the others, which the divider drops, are used up.
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
            for_each(overflow.reborrow().into_limbs_mut().zip(&dropped), |_, (v, dropped)| {
                divider.overflow_into(dropped.view(), v)
            });
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
