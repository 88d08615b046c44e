//! The needs of a planned training, and `hetal keygen`.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::config::{self, ConfigArgs, ShapeArgs};
use super::progress::Progress;
use super::{announce, table};
use crate::base::error::Result;
use crate::base::text;
use crate::ckks::keys::entropy;
use crate::train::step::Levels;
use crate::train::store::KeyFolder;
use crate::train::{Config, DataShape, TrainPlan};
use crate::wire::{evaluation_keys_len, seeded_len};

/// The numbers that the planner knows.
#[derive(Serialize)]
struct Facts {
    preset: String,
    insecure: bool,
    job: String,
    shape: DataShape,
    batch: usize,
    steps_per_epoch: usize,
    epochs: usize,
    unit_block: [usize; 2],
    feature_ciphertexts: usize,
    logit_ciphertexts: usize,
    state_ciphertexts: usize,
    levels: Levels,
    bootstrap_input_level: usize,
    bootstrap_output_level: usize,
    softmax_depth: usize,
    depth: usize,
    bootstraps_per_step: usize,
    key_switches_per_step: u64,
    /// The rotations in the linear part of a step.
    rotations_per_step: u64,
    /// The work of a step, in number-theoretic transforms of a limb.
    transforms_per_step: f64,
    keys: usize,
    key_bytes: usize,
    key_file_bytes: u64,
    train_file_bytes: u64,
    log2_failure: f64,
}

impl Facts {
    fn new(plan: &TrainPlan) -> Result<Self> {
        let (params, circuit) = (plan.params(), plan.circuit());
        let (levels, unit) = (plan.levels(), circuit.unit());
        let requests = plan.requests();
        let keys = requests.plan(params)?;
        let (features, outputs) = (circuit.features().grid().len(), circuit.outputs());
        let bytes = |count: usize, level| count as u64 * seeded_len(params, level);
        let batch = bytes(features, levels.features) + bytes(outputs, levels.errors);
        let cost = plan.cost();
        Ok(Self {
            preset: params.literal().name.clone(),
            insecure: params.is_insecure(),
            job: plan.hash().to_string(),
            shape: plan.shape(),
            batch: plan.batch(),
            steps_per_epoch: plan.steps_per_epoch(),
            epochs: plan.config().epochs,
            unit_block: [unit.rows, unit.cols],
            feature_ciphertexts: features,
            logit_ciphertexts: outputs,
            state_ciphertexts: circuit.states(),
            levels,
            bootstrap_input_level: plan.bootstrap().input_level(),
            bootstrap_output_level: plan.bootstrap().output_level(),
            softmax_depth: plan.softmax_plan().depth(),
            depth: plan.depth(),
            bootstraps_per_step: plan.bootstraps(),
            key_switches_per_step: cost.key_switches,
            rotations_per_step: plan.record().counts.rotations,
            transforms_per_step: cost.in_transforms(),
            keys: keys.len(),
            key_bytes: requests.memory_bytes(params)?,
            key_file_bytes: evaluation_keys_len(params, &keys)?,
            train_file_bytes: batch.saturating_mul(plan.steps_per_epoch() as u64),
            log2_failure: plan.log_failure(),
        })
    }
}

/// Prints everything that is known of a training before it starts.
pub(super) fn print_plan(plan: &TrainPlan, json: bool) -> Result<()> {
    let facts = Facts::new(plan)?;
    if json {
        table::json(&facts);
        return Ok(());
    }
    let Facts { shape, levels, .. } = &facts;
    println!("{}", table::headline(plan.params()));
    let rows = [
        ("job", facts.job.clone()),
        ("rows, features, classes", format!("{}, {}, {}", shape.rows, shape.features, shape.classes)),
        ("rows of a batch", facts.batch.to_string()),
        ("steps of an epoch, epochs", format!("{}, {}", facts.steps_per_epoch, facts.epochs)),
        ("unit block", format!("{} x {}", facts.unit_block[0], facts.unit_block[1])),
        (
            "ciphertexts of features, logits, state",
            format!("{}, {}, {}", facts.feature_ciphertexts, facts.logit_ciphertexts, facts.state_ciphertexts),
        ),
        ("levels of features, errors", format!("{}, {}", levels.features, levels.errors)),
        ("bootstrap from, to level", format!("{}, {}", facts.bootstrap_input_level, facts.bootstrap_output_level)),
        ("depth of softmax, of a step", format!("{}, {}", facts.softmax_depth, facts.depth)),
        ("bootstraps of a step", facts.bootstraps_per_step.to_string()),
        ("key-switches of a step", facts.key_switches_per_step.to_string()),
        ("rotations of its linear part", facts.rotations_per_step.to_string()),
        ("work of a step, in transforms", format!("{:.0}", facts.transforms_per_step)),
        ("evaluation keys", facts.keys.to_string()),
        ("  in memory", text::bytes(facts.key_bytes)),
        ("  on disk", text::bytes(facts.key_file_bytes as usize)),
        ("encrypted training set on disk", text::bytes(facts.train_file_bytes as usize)),
        ("a bootstrap of the run fails with", format!("2^{:.1}", facts.log2_failure)),
    ];
    table::facts(&rows);
    Ok(())
}

/// What is planned: for `keygen` and `inspect plan`.
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    shape: ShapeArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

impl PlanArgs {
    /// Returns the plan; `None` if the settings were to be printed.
    pub(super) fn plan(&self) -> Result<Option<TrainPlan>> {
        let config = self.config.config(Config::default())?;
        if self.config.print_config {
            config::print(&config);
            return Ok(None);
        }
        TrainPlan::new(&config, self.shape.shape()?).map(Some)
    }
}

#[derive(Debug, Args)]
pub(super) struct KeygenArgs {
    /// The new folder of keys.
    #[arg(long, value_name = "DIR", required_unless_present = "print_config")]
    keys: Option<PathBuf>,
    #[command(flatten)]
    plan: PlanArgs,
}

#[derive(Serialize)]
struct Made {
    keys: usize,
    file_bytes: u64,
    seconds: f64,
}

impl KeygenArgs {
    pub(super) fn run(&self, json: bool) -> Result<()> {
        let (Some(plan), Some(path)) = (self.plan.plan()?, &self.keys) else { return Ok(()) };
        let keys = plan.requests().plan(plan.params())?;
        let (keys, file_bytes) = (keys.len(), evaluation_keys_len(plan.params(), &keys)?);
        announce(plan.params(), json);
        if !json {
            println!("job {}: {keys} evaluation keys, {}", plan.hash(), text::bytes(file_bytes as usize));
        }
        let (start, progress) = (Instant::now(), Progress::new("keys", keys));
        KeyFolder::create(path, plan, &mut entropy()?, &mut |done, _| progress.set(done))?;
        progress.finish();
        let seconds = start.elapsed().as_secs_f64();
        if json {
            table::json(&Made { keys, file_bytes, seconds });
        } else {
            println!("made in {seconds:.1} s in {}", path.display());
        }
        Ok(())
    }
}
