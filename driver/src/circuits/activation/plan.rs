//! Planning on levels: finds out what a variant needs, before any key exists.

use std::cell::RefCell;
use std::collections::BTreeSet;

use hetal_kernel::GaloisElement;

use super::softmax::log_bound;
use super::{Layout, Softmax, Vectors};
use crate::base::error::{Error, Result};
use crate::circuits::{Bootstrap, Chebyshev, Cost, PolynomialPlan};
use crate::ckks::keys::{KeyId, KeyRequests};
use crate::ckks::params::Parameters;

/// A checkpoint, with the levels that it takes to get there and the ciphertexts to refresh there.
#[derive(Clone, Copy, Debug)]
struct Point {
    /// The number of levels since the start.
    depth: usize,
    /// The same, including the level that is needed to divide values that are too large
    /// for a bootstrapping.
    ready: usize,
    /// The number of ciphertexts to refresh that have consumed levels.
    used: usize,
    /// The number of other ciphertexts.
    unused: usize,
}

/// The levels from which and to which a bootstrapping goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// The lowest level of an input.
    pub input: usize,
    /// The level of the results.
    pub output: usize,
}

impl Refresh {
    /// Returns the levels of an implementation.
    #[must_use]
    pub fn of(bootstrap: &dyn Bootstrap) -> Self {
        Self { input: bootstrap.input_level(), output: bootstrap.output_level() }
    }
}

/// The levels, bootstraps and keys of a variant that starts at a given level.
#[derive(Clone, Debug)]
pub struct SoftmaxPlan {
    layout: Layout,
    level: usize,
    output_level: usize,
    depth: usize,
    /// The numbers of the checkpoints at which to refresh.
    refreshes: BTreeSet<usize>,
    bootstraps: usize,
    requests: KeyRequests,
    cost: Cost,
}

impl SoftmaxPlan {
    /// Plans for a ciphertext at `level`, a result at `end` or above, and a bootstrapping
    /// if there is one. Bootstraps are placed where they refresh the fewest ciphertexts in total.
    /// Among such places, late ones are preferred, so that the result has more levels.
    ///
    /// # Errors
    /// [`Error::Level`]; [`Error::NoLevelsLeft`] if a step takes more levels than
    /// a bootstrapping gives, or if there is no bootstrapping and the depth exceeds the levels;
    /// [`Error::Count`] for another number of classes.
    pub fn new(
        params: &Parameters,
        variant: &impl Softmax,
        layout: Layout,
        level: usize,
        end: usize,
        refresh: Option<Refresh>,
    ) -> Result<Self> {
        params.check_level(refresh.map_or(level, |refresh| level.max(refresh.output)))?;
        let points = points(variant, layout)?;
        let refreshes = place(&points, level, end, refresh)?;
        let depth = points[points.len() - 1].depth;
        let (output_level, state) = trace(variant, layout, Some(params), level, &refreshes, refresh)?;
        let State { requests, bootstraps, cost, .. } = state;
        debug_assert!(output_level >= end, "the planner took {output_level} for {end}");
        Ok(Self { layout, level, output_level, depth, refreshes, bootstraps, requests, cost })
    }

    /// The layout.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The level of the inputs.
    #[must_use]
    pub const fn level(&self) -> usize {
        self.level
    }

    /// The level of the results.
    #[must_use]
    pub const fn output_level(&self) -> usize {
        self.output_level
    }

    /// The number of levels that the variant consumes, over all bootstraps.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.depth
    }

    /// The number of ciphertexts that are bootstrapped.
    #[must_use]
    pub const fn bootstraps(&self) -> usize {
        self.bootstraps
    }

    /// The keys that the variant needs, without those of the bootstrapping.
    #[must_use]
    pub const fn requests(&self) -> &KeyRequests {
        &self.requests
    }

    /// The cost of the variant, without the bootstraps.
    #[must_use]
    pub const fn cost(&self) -> Cost {
        self.cost
    }

    pub(super) const fn refreshes(&self) -> &BTreeSet<usize> {
        &self.refreshes
    }
}

/// Returns the number of levels that a variant consumes and the number of bootstraps that it takes
/// from `level` to `end`, with a bootstrapping of these levels.
///
/// # Errors
/// As [`SoftmaxPlan::new`].
pub fn depth_and_bootstraps(
    variant: &impl Softmax,
    layout: Layout,
    level: usize,
    end: usize,
    refresh: Option<Refresh>,
) -> Result<(usize, usize)> {
    let points = points(variant, layout)?;
    let refreshes = place(&points, level, end, refresh)?;
    let (_, state) = trace(variant, layout, None, level, &refreshes, refresh)?;
    Ok((points[points.len() - 1].depth, state.bootstraps))
}

/// Returns the number of levels that a variant consumes.
///
/// # Errors
/// [`Error::Count`] for another number of classes than the variant's.
pub fn depth(variant: &impl Softmax, layout: Layout) -> Result<usize> {
    let points = points(variant, layout)?;
    Ok(points[points.len() - 1].depth)
}

/// Returns all checkpoints, with the end as the last point.
fn points(variant: &impl Softmax, layout: Layout) -> Result<Vec<Point>> {
    let (last, mut state) = trace(variant, layout, None, UNLIMITED, &BTreeSet::new(), None)?;
    let depth = UNLIMITED - last;
    state.points.push(Point { depth, ready: depth, used: 0, unused: 0 });
    Ok(state.points)
}

/// Runs a variant on levels. Returns the last level and the recorded state.
fn trace(
    variant: &impl Softmax,
    layout: Layout,
    params: Option<&Parameters>,
    level: usize,
    refreshes: &BTreeSet<usize>,
    refresh: Option<Refresh>,
) -> Result<(usize, State)> {
    let tracer = Tracer { layout, params, refreshes, refresh, state: RefCell::new(State::default()) };
    let last = variant.run(&tracer, level)?;
    Ok((last, tracer.state.into_inner()))
}

/// More levels than any variant takes.
const UNLIMITED: usize = 1 << 20;

/// Finds the cheapest checkpoints to refresh at, as a shortest path over them.
fn place(points: &[Point], level: usize, end: usize, refresh: Option<Refresh>) -> Result<BTreeSet<usize>> {
    let (last, others) = points.split_last().expect("the end is a point");
    let refused = |level| Error::NoLevelsLeft { operation: "softmax", needed: last.depth, level };
    let Some(Refresh { input, output }) = refresh else {
        return if last.depth + end <= level { Ok(BTreeSet::new()) } else { Err(refused(level)) };
    };
    // For each point i, the cheapest way in which the last refresh is at i:
    // its cost and the point of the refresh before.
    let mut best: Vec<Option<(usize, Option<usize>)>> = Vec::new();
    let reach = |best: &[Option<(usize, Option<usize>)>], point: &Point, needed: usize| {
        let start = (point.ready + needed <= level).then_some((0, None));
        let from = best.iter().enumerate().filter_map(|(j, way)| {
            let fits = point.ready + needed <= output + points[j].depth;
            way.filter(|_| fits).map(|(cost, _)| (cost, Some(j)))
        });
        // Among equal costs, takes the way whose last refresh is the latest.
        start.into_iter().chain(from).min_by_key(|&(cost, at)| (cost, std::cmp::Reverse(at)))
    };
    for point in others {
        // Ciphertexts that have consumed nothing since the start are at or above the output level,
        // unless the start is below it.
        let live = point.used + if level < output { point.unused } else { 0 };
        let way = reach(&best, point, input).map(|(cost, at)| (cost + live, at));
        best.push(way);
    }
    let (_, mut at) = reach(&best, last, end).ok_or_else(|| refused(output))?;
    let mut chosen = BTreeSet::new();
    while let Some(i) = at {
        chosen.insert(i);
        at = best[i].expect("was reached").1;
    }
    Ok(chosen)
}

#[derive(Default)]
struct State {
    points: Vec<Point>,
    requests: KeyRequests,
    bootstraps: usize,
    cost: Cost,
}

/// Computes with levels, and records checkpoints and keys.
struct Tracer<'a> {
    layout: Layout,
    /// With `None`, only levels are counted.
    params: Option<&'a Parameters>,
    refreshes: &'a BTreeSet<usize>,
    refresh: Option<Refresh>,
    state: RefCell<State>,
}

impl Tracer<'_> {
    fn lowered(level: usize, by: usize) -> Result<usize> {
        level.checked_sub(by).ok_or(Error::NoLevelsLeft { operation: "a step of softmax", needed: by, level })
    }

    fn note(&self, add: impl FnOnce(&mut KeyRequests, &Parameters) -> Cost) {
        if let Some(params) = self.params {
            let state = &mut *self.state.borrow_mut();
            state.cost += add(&mut state.requests, params);
        }
    }
}

impl Vectors for Tracer<'_> {
    type Vector = usize;

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn add(&self, a: &usize, b: &usize) -> Result<usize> {
        Ok(*a.min(b))
    }

    fn sub(&self, a: &usize, b: &usize) -> Result<usize> {
        Ok(*a.min(b))
    }

    fn mul(&self, a: &usize, b: &usize) -> Result<usize> {
        let level = *a.min(b);
        let after = Self::lowered(level, 1)?;
        self.note(|requests, params| {
            requests.insert(KeyId::Relinearisation, level);
            Cost::mul_rescale(params, level)
        });
        Ok(after)
    }

    fn mul_slots(&self, a: &usize, _: &[f64]) -> Result<usize> {
        let after = Self::lowered(*a, 1)?;
        self.note(|_, _| Cost::division(2, after + 1, 1));
        Ok(after)
    }

    fn add_slots(&self, a: &usize, _: &[f64]) -> Result<usize> {
        Ok(*a)
    }

    fn polynomial(&self, a: &usize, p: &Chebyshev) -> Result<usize> {
        let Some(params) = self.params else {
            let mapped = usize::from(p.interval() != [-1.0, 1.0]);
            return Self::lowered(*a, (p.degree() + 1).next_power_of_two().ilog2() as usize + mapped);
        };
        let plan = PolynomialPlan::new(params, p.clone(), *a)?;
        self.note(|requests, params| {
            requests.extend(&plan.requests());
            plan.cost(params)
        });
        Self::lowered(*a, plan.depth())
    }

    fn rotate(&self, a: &usize, k: i64) -> Result<usize> {
        self.note(|requests, params| {
            let element = GaloisElement::rotation(k * self.layout.stride() as i64, params.log_n());
            requests.insert(KeyId::Galois(element), *a);
            Cost::key_switch(*a, params.gadget_shape(*a), 0)
        });
        Ok(*a)
    }

    fn checkpoint_amplified(&self, live: &mut [(&mut usize, f64)], log_gain: u32) -> Result<()> {
        let depth = |level: usize| UNLIMITED.saturating_sub(level);
        let divided = |bound: f64| usize::from(log_bound(bound, log_gain) > 0);
        let mut state = self.state.borrow_mut();
        let here = state.points.len();
        let unused = live.iter().filter(|(level, _)| **level >= UNLIMITED).count();
        state.points.push(Point {
            depth: live.iter().map(|(level, _)| depth(**level)).max().unwrap_or(0),
            ready: live.iter().map(|(level, bound)| depth(**level) + divided(*bound)).max().unwrap_or(0),
            used: live.len() - unused,
            unused,
        });
        let Some(refresh) = self.refresh.filter(|_| self.refreshes.contains(&here)) else { return Ok(()) };
        for (level, bound) in live.iter_mut().filter(|(level, _)| **level < refresh.output) {
            Self::lowered(**level, refresh.input + divided(*bound))?;
            **level = refresh.output;
            state.bootstraps += 1;
        }
        Ok(())
    }
}
