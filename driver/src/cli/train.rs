//! `hetal train`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use serde::Serialize;

use super::config::{self, ConfigArgs};
use super::encrypt::normaliser_of;
use super::plan::print_plan;
use super::progress::Progress;
use super::table;
use crate::ciphertext::Ciphertext;
use crate::error::{Error, Result};
use crate::footprint;
use crate::io::dataset::Dataset;
use crate::train::log::{self, Quality, ServerEvent, Writer};
use crate::train::metrics::quality;
use crate::train::run::{Batches, Done, Outcome};
use crate::train::store::{Checkpoint, DataFolder, KeyFolder, RunFolder};
use crate::train::twin::{self, Exact, RowSoftmax, Trained};
use crate::train::{Client, Config, Owner, Prediction, Run, Server, Validator, predict};

#[derive(Debug, Args)]
pub(super) struct TrainArgs {
    /// The folder of keys.
    #[arg(long, value_name = "DIR", required_unless_present = "print_config")]
    keys: Option<PathBuf>,
    /// The folder of encrypted data.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["print_config", "dry_run", "plain"])]
    encrypted: Option<PathBuf>,
    /// The new folder of the run: logs, checkpoints, results.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["print_config", "dry_run", "plain"])]
    run: Option<PathBuf>,
    /// The data set of the client, who validates and decides when to stop: a folder of .npy files, or an .npz file.
    #[arg(long, value_name = "DIR|FILE.npz", required_unless_present_any = ["print_config", "dry_run"])]
    data: Option<PathBuf>,
    /// Continue from the last checkpoint of the run.
    #[arg(long)]
    resume: bool,
    /// Only say what it will take.
    #[arg(long)]
    dry_run: bool,
    /// Train on plain numbers instead, with exact softmax and with the approximation.
    #[arg(long)]
    plain: bool,
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

#[derive(Serialize)]
struct PlainResult {
    softmax: &'static str,
    epochs: usize,
    best_epoch: usize,
    max_logit: f64,
    max_weight: f64,
    validation: Option<Quality>,
    test: Option<Quality>,
}

/// What a training has come to.
#[derive(Serialize)]
pub(super) struct Ended {
    pub(super) steps: usize,
    pub(super) epochs: usize,
    pub(super) best_epoch: usize,
    pub(super) seconds: f64,
    pub(super) peak_memory_bytes: Option<usize>,
}

impl TrainArgs {
    pub(super) fn run(&self, json: bool) -> Result<()> {
        let folder = self.keys.as_deref().map(KeyFolder::open).transpose()?;
        let base = folder.as_ref().map_or_else(Config::default, |folder| folder.plan().config().clone());
        let config = self.config.config(base)?;
        if self.config.print_config {
            config::print(&config);
            return Ok(());
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
                    ("memory", table::bytes(memory_bytes)),
                ]);
            }
            return Ok(());
        }
        let mut dataset = Dataset::read(self.data.as_ref().expect("required on the command line"))?;
        if let Some(normaliser) = normaliser_of(self.keys.as_ref().expect("required on the command line"))? {
            normaliser.apply_to(&mut dataset)?;
        }
        if self.plain {
            return plain(&dataset, &config, json);
        }
        let [Some(data), Some(path)] = [&self.encrypted, &self.run] else {
            unreachable!("required on the command line")
        };
        let data = DataFolder::open(data, plan)?;
        let run = if self.resume { RunFolder::open(path) } else { RunFolder::create(path) }?;
        let resume = self.resume.then(|| run.load(plan, &Batches::hash(&data))).transpose()?;
        let client = Client::new(plan.clone(), folder.secret()?)?;
        let progress = Progress::new("keys", plan.requests().plan(plan.params())?.len());
        let (keys, encapsulation) = folder.public(&mut |done, _| progress.set(done))?;
        progress.finish();
        let server = Server::new(plan.clone(), Arc::new(keys), Arc::new(encapsulation))?;
        let interrupt = interruption()?;
        let training = Training { dataset: &dataset, client: &client, compare: self.compare };
        let ended = training.run(&server, &data, &run, resume, interrupt)?;
        if json {
            table::json(&ended);
        } else {
            ended.print();
            println!("hetal evaluate decrypts and measures the result, hetal report {} shows the run", path.display());
        }
        Ok(())
    }
}

/// A flag that is set when the process is asked to end; asked again, it ends at once.
pub(super) fn interruption() -> Result<&'static AtomicBool> {
    static INTERRUPTED: AtomicBool = AtomicBool::new(false);
    let handler = || {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(1);
        }
        eprintln!("hetal: ending after this step; once more to end at once");
    };
    ctrlc::set_handler(handler).map_err(|error| match error {
        ctrlc::Error::System(error) => Error::io("waiting for signals", &error),
        _ => Error::Unsupported { what: "waiting for signals" },
    })?;
    Ok(&INTERRUPTED)
}

/// The client's part of a training.
pub(super) struct Training<'a> {
    pub(super) dataset: &'a Dataset,
    pub(super) client: &'a Client,
    pub(super) compare: bool,
}

impl Training<'_> {
    /// Both roles, to the end. Progress goes to standard error.
    pub(super) fn run(
        &self,
        server: &Server,
        batches: &dyn Batches,
        run: &RunFolder,
        resume: Option<Checkpoint>,
        interrupt: &AtomicBool,
    ) -> Result<Ended> {
        let plan = server.plan();
        let config = plan.config();
        let earlier =
            if resume.is_some() && run.client_log().exists() { log::read(run.client_log())? } else { Vec::new() };
        let labels = self.dataset.val.as_ref().map_or(&[][..], |val| &val.labels);
        // Whether logits stay in their range is for the validations to tell.
        let approximate = validations(self.dataset, config, config.softmax(plan.shape().classes, false)?);
        let plain = [approximate.unwrap_or_default(), validations(self.dataset, config, Exact)?];
        let mut validator = Validator::new(self.client, labels, plain, Writer::open(run.client_log())?, &earlier);
        if self.compare {
            validator.compare(&self.dataset.train)?;
        }
        let prediction = predict(plan)?;
        let first = resume.as_ref().map_or(0, |checkpoint| checkpoint.step);
        let progress = Progress::new("steps", plan.steps_per_epoch() * config.epochs);
        progress.set(first);
        let mut owner = Watched { validator, progress, range: config.logit_range, last: (first, 0) };
        let settings = Run { folder: run, interrupt, predicted: (prediction.step_seconds, prediction.memory_bytes) };
        let outcome = settings.train(server, batches, &mut owner, resume)?;
        owner.progress.finish();
        let (steps, epochs) = owner.last;
        if outcome == Outcome::Interrupted {
            return Err(Error::Interrupted { step: steps });
        }
        let seconds = |event: &ServerEvent| match event {
            ServerEvent::End { seconds, .. } => Some(*seconds),
            _ => None,
        };
        let events: Vec<ServerEvent> = log::read(run.server_log())?;
        Ok(Ended {
            steps,
            epochs,
            best_epoch: owner.validator.best_epoch(),
            seconds: events.iter().rev().find_map(seconds).unwrap_or(0.0),
            peak_memory_bytes: footprint::peak().ok(),
        })
    }
}

impl Ended {
    /// Prints it for people.
    pub(super) fn print(&self) {
        let Self { steps, epochs, best_epoch, seconds, .. } = self;
        println!("{steps} steps in {epochs} epochs, {seconds:.1} s; the best epoch is {best_epoch}");
        if let Some(bytes) = self.peak_memory_bytes {
            println!("peak memory {}", table::bytes(bytes));
        }
    }
}

/// Shows the progress of a training.
struct Watched<'a> {
    validator: Validator<'a>,
    progress: Progress,
    range: f64,
    /// Steps and epochs done.
    last: (usize, usize),
}

impl Owner for Watched<'_> {
    fn goes_on(&mut self, epoch: usize, step: usize, outputs: &[Vec<Ciphertext>]) -> Result<bool> {
        let go_on = self.validator.goes_on(epoch, step, outputs)?;
        self.last = (step, epoch);
        if let Some(Quality { loss, accuracy, max_logit }) = self.validator.quality() {
            self.progress.message(format!("epoch {epoch}: loss {loss:.4}, accuracy {:.2} %", 100.0 * accuracy));
            if max_logit > self.range {
                let range = self.range;
                self.progress.warn(&format!(
                    "after epoch {epoch} a logit is {max_logit:.2} and logit_range is {range}: stopped, as softmax is wrong from there on; make keys with a larger --logit-range"
                ));
            }
        }
        Ok(go_on)
    }

    fn stepped(&mut self, done: Done<'_>) -> Result<()> {
        self.last.0 = done.step;
        self.progress.set(done.step);
        self.validator.stepped(done)
    }
}

/// Of the plain training with a softmax, after every epoch.
fn validations(dataset: &Dataset, config: &Config, softmax: impl RowSoftmax) -> Result<Vec<Quality>> {
    let all = Config { patience: config.epochs, ..config.clone() };
    let trained = twin::train(dataset, &all, softmax, |_| {})?;
    Ok(trained.epochs.iter().filter_map(|epoch| epoch.validation).collect())
}

/// Trains on plain numbers.
fn plain(dataset: &Dataset, config: &Config, json: bool) -> Result<()> {
    let exact = twin::train(dataset, config, Exact, |_| {})?;
    let approximate = twin::train(dataset, config, config.softmax(dataset.classes, false)?, |_| {})?;
    let result = |softmax, trained: Trained| {
        let best = trained.epochs.iter().find(|epoch| epoch.epoch == trained.best_epoch);
        let test = dataset.test.as_ref().map(|test| quality(&trained.weights.logits(&test.features), &test.labels));
        PlainResult {
            softmax,
            epochs: trained.epochs.len(),
            best_epoch: trained.best_epoch,
            max_logit: trained.max_logit(),
            max_weight: trained.max_weight(),
            validation: best.and_then(|epoch| epoch.validation),
            test,
        }
    };
    let results = [result("exact", exact), result("approximate", approximate)];
    if json {
        results.iter().for_each(table::json);
        return Ok(());
    }
    let cells = results.iter().map(|r| {
        let show = |quality: Option<Quality>| match quality {
            Some(q) => [format!("{:.4}", q.loss), format!("{:.2} %", 100.0 * q.accuracy)],
            None => ["-".to_owned(), "-".to_owned()],
        };
        let start = [r.softmax.to_owned(), r.epochs.to_string(), r.best_epoch.to_string()];
        let end = [format!("{:.2}", r.max_logit), format!("{:.3}", r.max_weight)];
        [&start[..], &show(r.validation), &show(r.test), &end].concat()
    });
    let names = [
        "softmax",
        "epochs",
        "best epoch",
        "val. loss",
        "val. accuracy",
        "test loss",
        "test accuracy",
        "largest logit",
        "largest weight",
    ];
    table::print(&names, &cells.collect::<Vec<_>>());
    Ok(())
}
