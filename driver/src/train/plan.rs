//! Plans what a training needs and costs, before any key exists.
//!
//! A step takes levels for the logits, softmax, the gradient and the update;
//! its [`circuit`](super::step) says how many. The state is refreshed at the end of a step,
//! and softmax refreshes in between. The planner tries every unit block (the published method has
//! only one), and for every number of bootstraps the lowest level of the features that suffices:
//! products at low levels are cheap, but then the logits have few levels left for softmax.
//! It does so with SlotToCoeff in three levels and in two.
//!
//! **Bounds.** Recording a step takes time in proportion to the number of ciphertexts that hold
//! the features of a batch, which is at most [`MOST_BLOCKS`]. A choice whose bootstraps and
//! relinearisations alone cost more than the best choice so far is not recorded.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::config::{Config, Mode};
use super::step::{Circuit, Levels, Step};
use crate::base::error::{Error, Result, check_integer};
use crate::base::text::hex;
use crate::circuits::activation::plan::{Refresh, depth_and_bootstraps};
use crate::circuits::activation::{SoftmaxPlan, Variant};
use crate::circuits::bootstrap::Packing;
use crate::circuits::matrix::{Dimensions, Dry, Record, Recorded, Shape};
use crate::circuits::{BootstrapConfig, BootstrapPlan, Cost};
use crate::ckks::keys::KeyRequests;
use crate::ckks::params::{Parameters, preset};

/// The size of a training set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataShape {
    /// The number of training rows. Keys do not depend on it, as long as batches have as many rows.
    pub rows: usize,
    /// The number of features, without the bias.
    pub features: usize,
    /// The number of classes.
    pub classes: usize,
}

/// A hash that has to agree for keys, encrypted data and checkpoints to belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobHash(pub [u8; 16]);

impl fmt::Display for JobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// A planned training.
#[derive(Clone, Debug)]
pub struct TrainPlan {
    config: Config,
    shape: DataShape,
    params: Parameters,
    circuit: Circuit,
    levels: Levels,
    softmax: Variant,
    softmax_plan: SoftmaxPlan,
    bootstrap: BootstrapPlan,
    record: Record,
}

/// The largest number of ciphertexts for the features of a batch.
pub const MOST_BLOCKS: usize = 1 << 16;

/// A choice of unit block and level of the features, with a lower bound on the cost of its step.
struct Draft {
    circuit: Circuit,
    levels: Levels,
    bootstraps: usize,
    bound: f64,
}

/// A choice of unit block and level of the features, with the cost of its step.
struct Candidate {
    circuit: Circuit,
    levels: Levels,
    softmax_plan: SoftmaxPlan,
    record: Record,
    cost: f64,
}

impl TrainPlan {
    /// Plans a training. A batch has no more rows than there are in all:
    /// the [`config`](Self::config) of the plan has the number that is used.
    ///
    /// # Errors
    /// [`Error::Range`] for settings out of range; [`Error::TooMany`] for data that cannot be
    /// packed or is too much for a plan; [`Error::SoftmaxError`] if no softmax has the wanted
    /// error; [`Error::UnknownPreset`]; [`Error::FewLevels`] if the levels of the preset do not
    /// suffice for any number of bootstraps.
    pub fn new(config: &Config, shape: DataShape) -> Result<Self> {
        config.check()?;
        check_integer("rows to train on", shape.rows, 1, u32::MAX as usize)?;
        check_integer("features", shape.features, 1, 1 << 20)?;
        check_integer("classes", shape.classes, 2, 1024)?;
        let config = Config { batch: config.batch.min(shape.rows), ..config.clone() };
        let dims = Dimensions::new(config.batch, shape.features + 1, shape.classes);
        let log_slots = preset::by_name(&config.preset)?.log_n - 1;
        // These errors are reported in this order, before anything takes time: more classes than
        // the mode takes in any ring; what the ring refuses; then the error of softmax.
        let softmax = match config.softmax(shape.classes, true) {
            Err(error @ Error::TooMany { .. }) => return Err(error),
            other => other,
        };
        let circuits = circuits(&config, dims, log_slots)?;
        let softmax = softmax?;
        let params = Parameters::preset(&config.preset)?;
        let fast = BootstrapConfig::fast(log_slots, Packing::Real);
        let candidate = |stc| {
            let bootstrap = BootstrapPlan::new(&params, BootstrapConfig { stc, ..fast })?;
            Ok((best(&params, &circuits, &softmax, &bootstrap)?, bootstrap))
        };
        let cheaper = |a: (Candidate, BootstrapPlan), b: (Candidate, BootstrapPlan)| {
            if b.0.cost < a.0.cost { b } else { a }
        };
        // SlotToCoeff in two levels takes longer than in three, but leaves one more level.
        let (candidate, bootstrap) = match [fast.stc, fast.stc - 1].map(candidate) {
            [Ok(a), Ok(b)] => cheaper(a, b),
            [Ok(only), Err(_)] | [_, Ok(only)] => only,
            [_, Err(error)] => return Err(error),
        };
        let Candidate { circuit, levels, softmax_plan, record, .. } = candidate;
        Ok(Self { config, shape, params, circuit, levels, softmax, softmax_plan, bootstrap, record })
    }

    /// Plans the same training for another number of rows, in batches of the same size.
    ///
    /// # Errors
    /// [`Error::Range`] for no rows, and for more than can be counted in 32 bits.
    pub fn with_rows(mut self, rows: usize) -> Result<Self> {
        check_integer("rows to train on", rows, 1, u32::MAX as usize)?;
        self.shape.rows = rows;
        Ok(self)
    }

    /// Returns the settings.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the size of the data.
    #[must_use]
    pub const fn shape(&self) -> DataShape {
        self.shape
    }

    /// Returns the parameters.
    #[must_use]
    pub const fn params(&self) -> &Parameters {
        &self.params
    }

    /// Returns the linear part of a step.
    #[must_use]
    pub const fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    /// Returns the levels of a step.
    #[must_use]
    pub const fn levels(&self) -> Levels {
        self.levels
    }

    /// Returns the softmax.
    #[must_use]
    pub const fn softmax(&self) -> &Variant {
        &self.softmax
    }

    /// Returns the levels and bootstraps of the softmax.
    #[must_use]
    pub const fn softmax_plan(&self) -> &SoftmaxPlan {
        &self.softmax_plan
    }

    /// Returns the plan of the bootstrapping.
    #[must_use]
    pub const fn bootstrap(&self) -> &BootstrapPlan {
        &self.bootstrap
    }

    /// Returns the record of the operations in the linear part of a step.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// Returns the number of rows of a full batch.
    #[must_use]
    pub const fn batch(&self) -> usize {
        self.circuit.dimensions().rows
    }

    /// Returns the number of steps of an epoch.
    #[must_use]
    pub const fn steps_per_epoch(&self) -> usize {
        self.shape.rows.div_ceil(self.batch())
    }

    /// Returns the number of rows of batch `i` of an epoch: 0 if the epoch has fewer batches.
    #[must_use]
    pub const fn batch_rows(&self, i: usize) -> usize {
        let left = self.shape.rows.saturating_sub(i.saturating_mul(self.batch()));
        if left < self.batch() { left } else { self.batch() }
    }

    /// Returns the number of levels from one state to the next, over all bootstraps.
    #[must_use]
    pub const fn depth(&self) -> usize {
        let Levels { state, errors, update, .. } = self.levels;
        state - self.softmax_plan.level() + self.softmax_plan.depth() + errors - update
    }

    /// Returns the number of bootstraps of a step.
    #[must_use]
    pub fn bootstraps(&self) -> usize {
        self.softmax_plan.bootstraps() * self.circuit.outputs() + self.circuit.states()
    }

    /// Returns log2 of the probability that some bootstrapping of the whole run fails.
    #[must_use]
    pub fn log_failure(&self) -> f64 {
        let all = [self.bootstraps(), self.steps_per_epoch(), self.config.epochs];
        self.bootstrap.log_failure() + all.map(|count| (count as f64).log2()).iter().sum::<f64>()
    }

    /// Returns the requests for all evaluation keys, without those of the sparse secret.
    #[must_use]
    pub fn requests(&self) -> KeyRequests {
        let mut requests = self.bootstrap.requests();
        requests.extend(&self.record.requests);
        requests.extend(self.softmax_plan.requests());
        requests
    }

    /// Returns the cost of a step.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.record.cost(&self.params)
            + self.softmax_plan.cost() * self.circuit.outputs() as u64
            + self.bootstrap.cost() * self.bootstraps() as u64
    }

    /// Returns a hash of what keys, encrypted data and checkpoints of one training have in common:
    /// parameters, the shape of a batch, ranges and levels. The numbers of rows and epochs and the
    /// step size are not part of it.
    #[must_use]
    pub fn hash(&self) -> JobHash {
        let (dims, unit) = (self.circuit.dimensions(), self.circuit.unit());
        let Levels { state, features, errors, update } = self.levels;
        let mode = self.config.mode as usize;
        let shapes = [dims.rows, dims.features, dims.classes, unit.rows, unit.cols];
        let numbers = [&shapes[..], &[mode, state, features, errors, update]].concat();
        let mut hasher = Sha256::new();
        hasher.update(b"hetal job 2");
        hasher.update(self.params.hash().0);
        numbers.iter().for_each(|&x| hasher.update((x as u64).to_le_bytes()));
        [self.config.logit_range, self.config.weight_range, self.config.softmax_error]
            .iter()
            .for_each(|x| hasher.update(x.to_le_bytes()));
        let digest = hasher.finalize();
        JobHash(std::array::from_fn(|i| digest[i]))
    }
}

/// The measured cost of reading and expanding a limb of a seeded ciphertext, in transforms.
const LOAD: f64 = 18.0;

/// Builds the circuit for each unit block that has room for the classes and packs a batch into
/// few enough ciphertexts.
fn circuits(config: &Config, dims: Dimensions, log_slots: u32) -> Result<Vec<Circuit>> {
    // The fast mode needs unit blocks of at least two periods of rows (for W and V) by one period
    // of columns (with guard columns); the published method needs one period by one.
    let room = |log_slots: u32| match config.mode {
        Mode::Fast => 1 << ((log_slots - 1) / 2),
        Mode::Published => 1 << (log_slots / 2),
    };
    let most = room(log_slots);
    let others = preset::NAMES.iter().filter_map(|name| preset::by_name(name).ok());
    let largest = others.map(|other| other.log_n - 1).max().unwrap_or(log_slots);
    if dims.classes > most {
        let place = format!("preset {} in mode {}", config.preset, config.mode.name());
        let larger = dims.classes <= room(largest);
        let advice = if larger { "use fewer, or a preset with a larger ring, such as n16" } else { "use fewer" };
        return Err(Error::TooMany { what: "classes", found: dims.classes, place, most, advice });
    }
    let (slots, log_period) = (1 << log_slots, dims.period().ilog2());
    let units: Vec<_> = match config.mode {
        Mode::Fast => (log_period..log_slots - log_period).map(|log| Shape::new(slots >> log, 1 << log)).collect(),
        Mode::Published => vec![dims.unit(slots)?],
    };
    let circuit = |unit| Circuit::new(config.mode, dims, unit, config.logit_range, config.weight_range);
    let mut all = units.into_iter().map(circuit).collect::<Result<Vec<_>>>()?;
    let blocks = |circuit: &Circuit| circuit.features().grid().len();
    let fewest = all.iter().map(blocks).min().unwrap_or(0);
    if fewest > MOST_BLOCKS {
        let (what, place) = ("ciphertexts of the features of a batch", "a plan".to_owned());
        let advice = if log_slots < largest {
            "use a smaller batch, fewer features, or a preset with a larger ring, such as n16"
        } else {
            "use a smaller batch or fewer features"
        };
        return Err(Error::TooMany { what, found: fewest, place, most: MOST_BLOCKS, advice });
    }
    all.retain(|circuit| blocks(circuit) <= MOST_BLOCKS);
    Ok(all)
}

/// Finds, for each circuit and every number of bootstraps, the lowest level of the
/// features that suffices.
fn drafts(
    params: &Parameters,
    circuits: &[Circuit],
    softmax: &Variant,
    refresh: Refresh,
    bootstrap: Cost,
) -> Result<Vec<Draft>> {
    let mut drafts = Vec::new();
    for &circuit in circuits {
        let layout = circuit.layout()?;
        let mut fewest = usize::MAX;
        let levels = (refresh.input..=refresh.output).filter_map(|features| circuit.levels(features, refresh.input));
        for levels in levels.filter(|levels| levels.state <= refresh.output) {
            let logits = circuit.logits_level(levels);
            let bootstraps = match depth_and_bootstraps(softmax, layout, logits, levels.errors, Some(refresh)) {
                Ok((_, bootstraps)) if bootstraps < fewest => bootstraps,
                Ok(_) | Err(Error::NoLevelsLeft { .. }) => continue,
                Err(error) => return Err(error),
            };
            fewest = bootstraps;
            let switch = |(level, count): (usize, usize)| {
                let level = level.min(params.max_level());
                Cost::key_switch(level, params.gadget_shape(level), 1) * count as u64
            };
            let times = circuit.outputs() * bootstraps + circuit.states();
            let switches = circuit.relinearisations(levels).into_iter().map(switch);
            let bound = switches.fold(bootstrap * times as u64, |sum, cost| sum + cost);
            let bound = bound.in_transforms() + load(&circuit, levels);
            drafts.push(Draft { circuit, levels, bootstraps, bound });
        }
    }
    Ok(drafts)
}

/// Returns the cost of reading the features of a batch.
fn load(circuit: &Circuit, levels: Levels) -> f64 {
    LOAD * (circuit.features().grid().len() * (levels.features + 1)) as f64
}

/// Returns the cheapest choice of unit block and level; of choices with equal costs, the first.
fn best(params: &Parameters, circuits: &[Circuit], softmax: &Variant, bootstrap: &BootstrapPlan) -> Result<Candidate> {
    let refresh = Refresh { input: bootstrap.input_level(), output: bootstrap.output_level() };
    let drafts_with = |output| drafts(params, circuits, softmax, Refresh { output, ..refresh }, bootstrap.cost());
    let mut drafts: Vec<_> = drafts_with(refresh.output)?.into_iter().enumerate().collect();
    // Starts with the smallest lower bounds, so that the search can stop at the first bound that
    // exceeds the best cost.
    drafts.sort_by(|(_, a), (_, b)| a.bound.total_cmp(&b.bound));
    let mut best: Option<(usize, Candidate)> = None;
    for (at, Draft { circuit, levels, bootstraps, bound }) in drafts {
        if best.as_ref().is_some_and(|(_, best)| bound > best.cost) {
            break;
        }
        let (record, logits) = record(&circuit, params.slots(), levels, refresh.output)?;
        debug_assert!(logits == circuit.logits_level(levels), "logits at level {logits} of {levels:?}");
        let softmax_plan = SoftmaxPlan::new(params, softmax, circuit.layout()?, logits, levels.errors, Some(refresh))?;
        let times = circuit.outputs() * bootstraps + circuit.states();
        let cost =
            record.cost(params) + softmax_plan.cost() * circuit.outputs() as u64 + bootstrap.cost() * times as u64;
        let cost = cost.in_transforms() + load(&circuit, levels);
        if best.as_ref().is_none_or(|(first, best)| cost < best.cost || cost == best.cost && at < *first) {
            best = Some((at, Candidate { circuit, levels, softmax_plan, record, cost }));
        }
    }
    if let Some((_, best)) = best {
        return Ok(best);
    }
    // Searches for the number of levels that would suffice. 64 more are the limit:
    // nothing takes more levels at a time than a polynomial of degree 63 and a few others.
    let enough = |output: &usize| drafts_with(*output).is_ok_and(|drafts| !drafts.is_empty());
    let needed = (refresh.output + 1..refresh.output + 64).find(enough).unwrap_or(refresh.output + 64);
    let [levels, needed] = [refresh.output, needed].map(|output| output - refresh.input);
    Err(Error::FewLevels { preset: params.literal().name.clone(), levels, needed })
}

/// Goes through the linear part of a step without ciphertexts. Returns the record of its
/// operations, and the level of the logits.
fn record(circuit: &Circuit, slots: usize, levels: Levels, state: usize) -> Result<(Record, usize)> {
    let slots = Recorded::new(Dry { slots });
    let masks = circuit.masks(&slots, levels.features)?;
    let state = vec![state; circuit.states()];
    let features = vec![levels.features; circuit.features().grid().len()];
    let step = Step { state: &state, features: &features, rows: 1, learning_rate: 1.0, momentum: -1.0 };
    let mut level = 0;
    let softmax = |logits: Vec<usize>| {
        level = logits[0];
        Ok(vec![levels.errors; logits.len()])
    };
    circuit.step(&slots, &masks, levels, step, softmax, |_, _| {})?;
    Ok((slots.record(), level))
}
