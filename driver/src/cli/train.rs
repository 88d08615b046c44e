//! `hetal train`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::config::{self, ConfigArgs};
use super::interrupt::Graceful;
use super::plan::print_plan;
use super::progress::Progress;
use super::shuffle::{ShuffleArgs, warn_of_missing};
use super::{open_keys, plain, table, warn};
use crate::base::error::{Error, Result};
use crate::base::text;
use crate::ckks::ciphertext::Ciphertext;
use crate::measure::footprint;
use crate::train::data::dataset::Dataset;
use crate::train::data::normaliser::Normaliser;
use crate::train::log::{Quality, Writer};
use crate::train::protocol::{BatchSource, ClientLink, Compare, Outputs, Stepped};
use crate::train::server::run::{self, Outcome};
use crate::train::store::{Checkpoint, DataFolder, KeyFolder, RunFolder};
use crate::train::{Client, Config, Prediction, Run, Server, Twins, Validator, predict};

#[derive(Debug, Args)]
pub(super) struct TrainArgs {
    /// The folder of keys.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["print_config", "plain"])]
    keys: Option<PathBuf>,
    /// The folder of encrypted data.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["print_config", "dry_run", "plain"])]
    encrypted: Option<PathBuf>,
    /// The new folder of the run: logs, checkpoints, results.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["print_config", "dry_run", "plain"])]
    run: Option<PathBuf>,
    /// The data set of the client, who validates and decides when to stop: a folder of .npy files,
    /// or an .npz file.
    #[arg(long, value_name = "DIR|FILE.npz", required_unless_present_any = ["print_config", "dry_run"])]
    data: Option<PathBuf>,
    /// Continue from the last checkpoint of the run.
    #[arg(long)]
    resume: bool,
    /// Only say what it will take.
    #[arg(long)]
    dry_run: bool,
    /// Train on plain numbers instead, with exact softmax and with the approximation, and say which
    /// ranges keys need; takes only data and
    /// settings, which with --keys are those of the keys.
    #[arg(long)]
    plain: bool,
    /// Standardise features by the training rows, as encrypt does: for --plain.
    #[arg(long, requires = "plain")]
    normalise: bool,
    /// Train on the rows in the order in which they are: for --plain.
    #[arg(long, requires = "plain")]
    no_shuffle: bool,
    /// Shuffle the rows to train on with this seed, as encrypt or --plain printed it, instead of a
    /// new one: for --plain.
    #[arg(long, value_name = "N", requires = "plain", conflicts_with = "no_shuffle")]
    shuffle_seed: Option<u64>,
    /// Decrypt the weights after every step and compare them with those of the plain twin.
    #[arg(long)]
    compare: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Serialize)]
struct Predicted {
    #[serde(flatten)]
    prediction: Prediction,
    epoch_seconds: f64,
    run_seconds: f64,
}

/// The result of a training.
#[derive(Serialize)]
pub(super) struct Ended {
    pub(super) steps: usize,
    pub(super) epochs: usize,
    /// Whether there was a validation set.
    pub(super) validated: bool,
    /// The epoch that is the result; `None` if no epoch stayed within the range of logits.
    pub(super) best_epoch: Option<usize>,
    pub(super) seconds: f64,
    pub(super) peak_memory_bytes: Option<usize>,
}

impl TrainArgs {
    pub(super) fn run(&self, json: bool) -> Result<()> {
        let folder = self.keys.as_deref().map(open_keys).transpose()?;
        let base = folder.as_ref().map_or_else(Config::default, |folder| folder.plan().config().clone());
        let config = self.config.config(base)?;
        if self.config.print_config {
            config::print(&config);
            return Ok(());
        }
        if self.plain {
            return self.plain(&config, json);
        }
        let folder = folder.expect("required on the command line").with_config(&config)?;
        let plan = folder.plan();
        if self.dry_run {
            print_plan(plan, json)?;
            let prediction = predict(plan)?;
            let epoch_seconds = prediction.step_seconds * plan.steps_per_epoch() as f64;
            let run_seconds = epoch_seconds * config.epochs as f64;
            if json {
                table::json(&Predicted { prediction, epoch_seconds, run_seconds });
            } else {
                let Prediction { step_seconds, memory_bytes } = prediction;
                table::facts(&[
                    ("predicted: a step", format!("{step_seconds:.2} s")),
                    ("an epoch, all epochs", format!("{epoch_seconds:.0} s, {run_seconds:.0} s")),
                    ("memory", text::bytes(memory_bytes)),
                ]);
            }
            return Ok(());
        }
        let mut dataset = Dataset::read(self.data.as_ref().expect("required on the command line"))?;
        let [Some(data), Some(path)] = [&self.encrypted, &self.run] else {
            unreachable!("required on the command line")
        };
        // Everything that can be refused is refused here, before anything is written or takes long.
        let data = DataFolder::open(data, &folder)?;
        let (plan, origin) = (data.plan(), data.origin());
        let receipt = folder.receipt(&origin.data)?;
        let normaliser = folder.normaliser_of(origin.normaliser.as_deref())?;
        receipt.prepare(&mut dataset, normaliser.as_ref())?;
        let client = Client::new(plan.clone(), folder.secret()?)?;
        let run = if self.resume { RunFolder::resume(path) } else { RunFolder::create(path) }?;
        let resume = run.load(plan, &origin)?;
        if let Some(checkpoint) = &resume {
            run.check_logs(checkpoint, dataset.val.is_some())?.iter().for_each(|text| warn(text));
        }
        let progress = Progress::new("keys", plan.requests().plan(plan.params())?.len());
        let (keys, encapsulation) = folder.public(&mut |done, _| progress.set(done))?;
        progress.finish();
        let server = Server::new(plan.clone(), Arc::new(keys), Arc::new(encapsulation))?;
        let training = Training { dataset: &dataset, client: &client, compare: self.compare };
        let ended = training.run(&server, &data, &run, resume)?;
        if json {
            table::json(&ended);
        } else {
            ended.print();
            let measured =
                if ended.best_epoch.is_some() { "hetal evaluate decrypts and measures the result, " } else { "" };
            println!("{measured}hetal report {} shows the run", path.display());
        }
        Ok(())
    }

    /// Trains on plain numbers.
    fn plain(&self, config: &Config, json: bool) -> Result<()> {
        config.check()?;
        let mut dataset = Dataset::read(self.data.as_ref().expect("required on the command line"))?;
        let of_keys = match &self.keys {
            Some(keys) => KeyFolder::open(keys)?.normaliser()?.map(|stored| stored.normaliser),
            None => None,
        };
        let fitted = || self.normalise.then(|| Normaliser::fit(&dataset.train)).transpose();
        let normaliser = of_keys.map_or_else(fitted, |normaliser| Ok(Some(normaliser)))?;
        if let Some(normaliser) = &normaliser {
            normaliser.apply_to(&mut dataset)?;
        }
        let shuffle = ShuffleArgs { no_shuffle: self.no_shuffle, shuffle_seed: self.shuffle_seed };
        let seed = shuffle.seed()?;
        if let Some(seed) = seed {
            dataset.shuffle(seed);
        }
        warn_of_missing(&dataset, config.batch, seed);
        plain::run(&dataset, config, normaliser.is_some(), seed, json)
    }
}

/// The client's inputs to a training.
pub(super) struct Training<'a> {
    pub(super) dataset: &'a Dataset,
    pub(super) client: &'a Client,
    pub(super) compare: bool,
}

impl Training<'_> {
    /// Runs both roles to the end. Progress goes to standard error.
    pub(super) fn run(
        &self,
        server: &Server,
        batches: &dyn BatchSource,
        run: &RunFolder,
        resume: Option<Checkpoint>,
    ) -> Result<Ended> {
        let plan = server.plan();
        let config = plan.config();
        let (earlier, _) = run.client_events()?;
        let prediction = predict(plan)?;
        // From here on the run has files, and an interruption ends it with a checkpoint.
        let graceful = Graceful::new();
        let interrupt = graceful.flag();
        let labels = self.dataset.val.as_ref().map_or(&[][..], |val| &val.labels);
        let twins = Twins::new(config, self.dataset, interrupt)?;
        let validator = Validator::new(self.client, labels, twins, Writer::open(run.client_log()?)?, &earlier);
        let first = resume.as_ref().map_or(0, |checkpoint| checkpoint.step);
        let progress = Progress::new("steps", plan.steps_per_epoch() * config.epochs);
        progress.set(first);
        let mut owner = Watched { validator, progress, range: config.logit_range, told: false };
        let settings = Run { folder: run, interrupt, predicted: (prediction.step_seconds, prediction.memory_bytes) };
        let ended = if self.compare {
            settings.train_compared(server, batches, &mut owner, resume)
        } else {
            settings.train(server, batches, &mut owner, resume)
        };
        let run::Ended { outcome, steps, epochs, seconds } = ended?;
        owner.progress.finish();
        if outcome == Outcome::Interrupted {
            return Err(Error::Interrupted { step: steps });
        }
        Ok(Ended {
            steps,
            epochs,
            validated: batches.validation_batches() > 0,
            best_epoch: run.best_epoch(config.logit_range)?,
            seconds,
            peak_memory_bytes: footprint::peak().ok(),
        })
    }
}

impl Ended {
    /// Prints the result for people.
    pub(super) fn print(&self) {
        let Self { steps, epochs, seconds, .. } = self;
        let result = match self.best_epoch {
            Some(epoch) if self.validated => format!("the best epoch is {epoch}"),
            Some(epoch) => format!("there is no validation set, so that the result is that of epoch {epoch}"),
            None => "no epoch stayed within the range of logits, so that there is no result".to_owned(),
        };
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let (of_steps, of_epochs) = (plural(*steps), plural(*epochs));
        println!("{steps} step{of_steps} in {epochs} epoch{of_epochs}, {seconds:.1} s; {result}");
        if let Some(bytes) = self.peak_memory_bytes {
            println!("peak memory {}", text::bytes(bytes));
        }
    }
}

/// The fraction of their range up to which logits raise no warning. They fill 0.91 of the range
/// that `train --plain` proposes.
const NEAR: f64 = 0.95;

/// A client that shows the progress of a training.
struct Watched<'a> {
    validator: Validator<'a>,
    progress: Progress,
    range: f64,
    /// Whether the user was told that training rows left the range.
    told: bool,
}

impl ClientLink for Watched<'_> {
    fn goes_on(&mut self, epoch: usize, step: usize, outputs: &[Outputs]) -> Result<bool> {
        let go_on = self.validator.goes_on(epoch, step, outputs)?;
        let Some((Quality { loss, accuracy, max_logit }, max_logit_w)) = self.validator.last() else {
            return Ok(go_on);
        };
        self.progress.message(format!("epoch {epoch}: loss {loss:.4}, accuracy {:.2} %", 100.0 * accuracy));
        // The larger logit is usually that of W, which runs ahead of V.
        let (largest, range) = (max_logit_w.unwrap_or(0.0).max(max_logit), self.range);
        if largest > range || largest.is_nan() {
            self.progress.warn(&format!(
                "after epoch {epoch} a logit is {largest:.2} and logit_range is {range}: stopped, as softmax is wrong from there on; make keys with a larger --logit-range"
            ));
        } else if largest > NEAR * range {
            self.progress.warn(&format!(
                "after epoch {epoch} a logit is {largest:.2} and logit_range is {range}: softmax is wrong beyond it"
            ));
        }
        Ok(go_on)
    }

    fn resumes(&mut self, epochs: usize) -> bool {
        self.validator.resumes(epochs)
    }

    fn stepped(&mut self, done: Stepped) -> Result<()> {
        let step = done.step;
        self.progress.set(step);
        let (largest, range) = (self.validator.max_logit_rows(step)?, self.range);
        if !self.told && (largest > range || largest.is_nan()) {
            self.told = true;
            self.progress.warn(&format!(
                "in step {step} a training row has a logit of {largest:.2} by the plain twin, and logit_range is {range}: softmax is wrong beyond it; make keys with a larger --logit-range"
            ));
        }
        Ok(())
    }
}

impl Compare for Watched<'_> {
    fn compare(&mut self, step: usize, state: &[Ciphertext]) -> Result<()> {
        self.validator.compare(step, state)
    }
}
