//! What a training needs and costs, before any key exists.
//!
//! A step takes levels for the logits, softmax, the gradient and the update: how many says its [`circuit`](super::circuit). The state is refreshed at
//! its end, softmax refreshes in between. The planner tries every unit block (that of the paper, in its mode), and for every number of bootstraps the
//! lowest level of the features that makes do with it: products at low levels are cheap, but then logits have few levels left for softmax. All that
//! with SlotToCoeff in three levels and in two.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::circuit::{Circuit, Levels, Step};
use super::config::{Config, Mode};
use crate::circuits::bootstrap::Packing;
use crate::circuits::softmax::plan::{Refresh, depth_and_bootstraps};
use crate::circuits::softmax::{SoftmaxPlan, Variant};
use crate::circuits::{BootstrapConfig, BootstrapPlan, Cost};
use crate::error::{Result, check_integer};
use crate::keys::KeyRequests;
use crate::matrix::{Dimensions, Dry, Record, Recorded, Shape};
use crate::params::Parameters;

/// The size of a training set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataShape {
    /// Rows to train on.
    pub rows: usize,
    /// Features, without the bias.
    pub features: usize,
    /// Classes.
    pub classes: usize,
}

/// What has to be the same for keys, encrypted data and checkpoints to belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobHash(pub [u8; 16]);

impl fmt::Display for JobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
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

/// A unit block, the level of the features, and what a step costs with them.
struct Candidate {
    circuit: Circuit,
    levels: Levels,
    softmax_plan: SoftmaxPlan,
    record: Record,
    cost: f64,
}

impl TrainPlan {
    /// Plans a training.
    ///
    /// # Errors
    /// [`Error::Range`](crate::Error::Range) for settings that cannot be meant and for data that cannot be packed,
    /// [`Error::UnknownPreset`](crate::Error::UnknownPreset), [`Error::NoLevelsLeft`](crate::Error::NoLevelsLeft) if no number of bootstraps makes do with the levels of the preset.
    pub fn new(config: &Config, shape: DataShape) -> Result<Self> {
        config.check()?;
        check_integer("rows to train on", shape.rows, 1, u32::MAX as usize)?;
        check_integer("features", shape.features, 1, 1 << 20)?;
        check_integer("classes", shape.classes, 2, 1024)?;
        let params = Parameters::preset(&config.preset)?;
        let softmax = config.softmax(shape.classes, true)?;
        let dims = Dimensions::new(config.batch.min(shape.rows), shape.features + 1, shape.classes);
        let fast = BootstrapConfig::fast(params.log_n() - 1, Packing::Real);
        let candidate = |stc| {
            let bootstrap = BootstrapPlan::new(&params, BootstrapConfig { stc, ..fast })?;
            Ok((best(&params, config, dims, &softmax, &bootstrap)?, bootstrap))
        };
        // SlotToCoeff in two levels takes longer, and leaves one more.
        let candidates: Vec<_> = [fast.stc, fast.stc - 1].map(candidate).into_iter().collect::<Result<_>>()?;
        let cheapest = candidates.into_iter().min_by(|(a, _), (b, _)| a.cost.total_cmp(&b.cost));
        let (Candidate { circuit, levels, softmax_plan, record, .. }, bootstrap) = cheapest.expect("two candidates");
        Ok(Self { config: config.clone(), shape, params, circuit, levels, softmax, softmax_plan, bootstrap, record })
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The size of the data.
    #[must_use]
    pub const fn shape(&self) -> DataShape {
        self.shape
    }

    /// The parameters.
    #[must_use]
    pub const fn params(&self) -> &Parameters {
        &self.params
    }

    /// The linear part of a step.
    #[must_use]
    pub const fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    /// The levels of a step.
    #[must_use]
    pub const fn levels(&self) -> Levels {
        self.levels
    }

    /// The softmax.
    #[must_use]
    pub const fn softmax(&self) -> &Variant {
        &self.softmax
    }

    /// Its levels and bootstraps.
    #[must_use]
    pub const fn softmax_plan(&self) -> &SoftmaxPlan {
        &self.softmax_plan
    }

    /// The bootstrapping.
    #[must_use]
    pub const fn bootstrap(&self) -> &BootstrapPlan {
        &self.bootstrap
    }

    /// What the linear part of a step does.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// Rows of a full batch.
    #[must_use]
    pub const fn batch(&self) -> usize {
        self.circuit.dimensions().rows
    }

    /// Steps of an epoch.
    #[must_use]
    pub const fn steps_per_epoch(&self) -> usize {
        self.shape.rows.div_ceil(self.batch())
    }

    /// Rows of batch `i` of an epoch.
    #[must_use]
    pub const fn batch_rows(&self, i: usize) -> usize {
        let (from, left) = (i * self.batch(), self.shape.rows);
        if left - from < self.batch() { left - from } else { self.batch() }
    }

    /// Levels from one state to the next, over all bootstraps.
    #[must_use]
    pub const fn depth(&self) -> usize {
        let Levels { state, errors, update, .. } = self.levels;
        state - self.softmax_plan.level() + self.softmax_plan.depth() + errors - update
    }

    /// Bootstraps of a step.
    #[must_use]
    pub fn bootstraps(&self) -> usize {
        self.softmax_plan.bootstraps() * self.circuit.outputs() + self.circuit.states()
    }

    /// log2 of the probability that some bootstrapping of the whole run fails.
    #[must_use]
    pub fn log_failure(&self) -> f64 {
        let all = self.bootstraps() * self.steps_per_epoch() * self.config.epochs;
        self.bootstrap.log_failure() + (all as f64).log2()
    }

    /// All evaluation keys, without those of the sparse secret.
    #[must_use]
    pub fn requests(&self) -> KeyRequests {
        let mut requests = self.bootstrap.requests();
        requests.extend(&self.record.requests);
        requests.extend(self.softmax_plan.requests());
        requests
    }

    /// What a step costs.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.record.cost(&self.params)
            + self.softmax_plan.cost() * self.circuit.outputs() as u64
            + self.bootstrap.cost() * self.bootstraps() as u64
    }

    /// What keys, encrypted data and checkpoints of one training have in common: parameters, shapes and levels, but not how many epochs
    /// and what step size.
    #[must_use]
    pub fn hash(&self) -> JobHash {
        let (dims, unit) = (self.circuit.dimensions(), self.circuit.unit());
        let Levels { state, features, errors, update } = self.levels;
        let mode = self.config.mode as usize;
        let shapes = [self.shape.rows, dims.rows, dims.features, dims.classes, unit.rows, unit.cols];
        let numbers = [&shapes[..], &[mode, state, features, errors, update]].concat();
        let mut hasher = Sha256::new();
        hasher.update(b"hetal job 1");
        hasher.update(self.params.hash().0);
        numbers.iter().for_each(|&x| hasher.update((x as u64).to_le_bytes()));
        [self.config.logit_range, self.config.weight_range, self.config.softmax_error]
            .iter()
            .for_each(|x| hasher.update(x.to_le_bytes()));
        let digest = hasher.finalize();
        JobHash(std::array::from_fn(|i| digest[i]))
    }
}

/// What reading and expanding a limb of a seeded ciphertext costs, in transforms, as measured.
const LOAD: f64 = 18.0;

/// The cheapest unit block and level.
fn best(
    params: &Parameters,
    config: &Config,
    dims: Dimensions,
    softmax: &Variant,
    bootstrap: &BootstrapPlan,
) -> Result<Candidate> {
    let refresh = Refresh { input: bootstrap.input_level(), output: bootstrap.output_level() };
    let slots = params.slots();
    let units = match config.mode {
        Mode::Fast => (0..=slots.ilog2()).map(|log| Shape::new(slots >> log, 1 << log)).collect(),
        Mode::Paper => vec![dims.unit(slots)?],
    };
    let mut best: Option<Candidate> = None;
    let mut refused = None;
    for unit in units {
        let circuit = match Circuit::new(config.mode, dims, unit, config.logit_range, config.weight_range) {
            Ok(circuit) => circuit,
            Err(error) => {
                refused = Some(error);
                continue;
            }
        };
        let layout = circuit.layout()?;
        let mut fewest = usize::MAX;
        let levels = (refresh.input..=refresh.output).filter_map(|features| circuit.levels(features, refresh.input));
        for levels in levels.filter(|levels| levels.state <= refresh.output) {
            let (record, logits) = record(&circuit, slots, levels, refresh.output)?;
            let bootstraps = match depth_and_bootstraps(softmax, layout, logits, levels.errors, Some(refresh)) {
                Ok((_, bootstraps)) => bootstraps,
                Err(error) => {
                    refused = Some(error);
                    continue;
                }
            };
            if bootstraps >= fewest {
                continue;
            }
            fewest = bootstraps;
            let softmax_plan = SoftmaxPlan::new(params, softmax, layout, logits, levels.errors, Some(refresh))?;
            let times = circuit.outputs() * softmax_plan.bootstraps() + circuit.states();
            let cost =
                record.cost(params) + softmax_plan.cost() * circuit.outputs() as u64 + bootstrap.cost() * times as u64;
            let limbs = circuit.features().grid().len() * (levels.features + 1);
            let cost = cost.in_transforms() + LOAD * limbs as f64;
            if best.as_ref().is_none_or(|best| cost < best.cost) {
                best = Some(Candidate { circuit, levels, softmax_plan, record, cost });
            }
        }
    }
    best.ok_or_else(|| refused.expect("there are unit blocks"))
}

/// Goes through the linear part of a step without ciphertexts: what it does, and the level of the logits.
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
