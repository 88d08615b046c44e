//! The loop over epochs and steps, on the server; and what the client answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::client::Client;
use super::log::{ClientEvent, Phase, Quality, ServerEvent, Writer};
use super::metrics::quality;
use super::plan::TrainPlan;
use super::server::{Batch, Server};
use super::stopping::EarlyStopping;
use super::store::{Checkpoint, DataFolder, Kept, Part, RunFolder};
use super::twin::Twin;
use crate::ciphertext::Ciphertext;
use crate::circuits::softmax::Variant;
use crate::error::{Error, Result, check_count};
use crate::footprint;
use crate::io::dataset::Split;

/// Where the server finds encrypted rows.
pub trait Batches: Sync {
    /// What a checkpoint has to have in common with these rows.
    fn hash(&self) -> String;

    /// The state to begin with.
    ///
    /// # Errors
    /// Those of reading, here and below.
    fn start(&self) -> Result<Vec<Ciphertext>>;

    /// A batch of an epoch.
    ///
    /// # Errors
    /// As [`Batches::start`].
    fn batch(&self, i: usize) -> Result<Batch>;

    /// Batches to validate with; 0 for no validation.
    fn validation_batches(&self) -> usize;

    /// The features of one of them.
    ///
    /// # Errors
    /// As [`Batches::start`].
    fn validation(&self, i: usize) -> Result<Vec<Ciphertext>>;
}

impl Batches for DataFolder {
    fn hash(&self) -> String {
        Self::hash(self)
    }

    fn start(&self) -> Result<Vec<Ciphertext>> {
        Self::start(self)
    }

    fn batch(&self, i: usize) -> Result<Batch> {
        Self::batch(self, i)
    }

    fn validation_batches(&self) -> usize {
        self.batches(Part::Val)
    }

    fn validation(&self, i: usize) -> Result<Vec<Ciphertext>> {
        self.features(Part::Val, i)
    }
}

/// The client as the server sees it: it gets encrypted outputs, and says whether to go on. Nothing else comes back.
pub trait Owner {
    /// After an epoch, from 1, and this many steps. An epoch that is done again, after a run was resumed, replaces what was said before.
    ///
    /// # Errors
    /// Those of decryption and of the client's log.
    fn goes_on(&mut self, epoch: usize, step: usize, outputs: &[Vec<Ciphertext>]) -> Result<bool>;

    /// After a step, for whoever wants to follow the training.
    ///
    /// # Errors
    /// Those of decryption and of the client's log.
    fn stepped(&mut self, _done: Done<'_>) -> Result<()> {
        Ok(())
    }
}

/// A run in its folder.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Where logs, checkpoints and results go.
    pub folder: &'a RunFolder,
    /// Set by others to end the run after the step that is being computed.
    pub interrupt: &'a AtomicBool,
    /// What is told as predicted in the log: seconds of a step, bytes of memory.
    pub predicted: (f64, usize),
}

/// A step that was done.
#[derive(Clone, Copy, Debug)]
pub struct Done<'a> {
    /// From 1, over all epochs.
    pub step: usize,
    /// From 1.
    pub epoch: usize,
    /// The batch, from 0.
    pub batch: usize,
    /// Seconds, with loading.
    pub seconds: f64,
    /// The state after it.
    pub state: &'a [Ciphertext],
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client said so.
    Stopped,
    /// All epochs are done.
    Finished,
    /// [`Run::interrupt`]: a checkpoint was written.
    Interrupted,
}

impl Outcome {
    const fn reason(self) -> &'static str {
        match self {
            Self::Stopped => "stopped by the client",
            Self::Finished => "all epochs done",
            Self::Interrupted => "interrupted",
        }
    }
}

impl Run<'_> {
    /// Trains from the start, or from a checkpoint, to the end.
    ///
    /// # Errors
    /// Those of [`Server::step`], of reading batches and of writing files.
    pub fn train(
        &self,
        server: &Server,
        batches: &dyn Batches,
        owner: &mut dyn Owner,
        resume: Option<Checkpoint>,
    ) -> Result<Outcome> {
        let plan = server.plan();
        let (config, steps) = (plan.config(), plan.steps_per_epoch());
        let fresh = || {
            let state = batches.start()?;
            Ok::<_, Error>(Checkpoint { step: 0, epochs: 0, go_on: true, seconds: 0.0, state, kept: Vec::new() })
        };
        let mut at = resume.map_or_else(fresh, Ok)?;
        let mut log = Writer::open(self.folder.server_log())?;
        log.write(&self.started(plan, at.step)?)?;
        let data = batches.hash();
        let save = |at: &Checkpoint, log: &mut Writer<ServerEvent>| {
            let clock = Instant::now();
            let bytes = self.folder.save(plan, &data, at)?;
            log.write(&ServerEvent::Checkpoint { step: at.step, seconds: clock.elapsed().as_secs_f64(), bytes })
        };
        let mut outcome = if at.go_on { Outcome::Finished } else { Outcome::Stopped };
        'epochs: while at.go_on && at.epochs < config.epochs {
            let (epoch, before) = (at.epochs + 1, at.seconds);
            let mut ahead = None;
            for batch in at.step - at.epochs * steps..steps {
                if self.interrupt.load(Ordering::Relaxed) {
                    save(&at, &mut log)?;
                    outcome = Outcome::Interrupted;
                    break 'epochs;
                }
                let clock = Instant::now();
                let loaded = ahead.take().unwrap_or_else(|| batches.batch(batch))?;
                // The next batch is read while this one is computed with.
                let read = || (batch + 1 < steps).then(|| batches.batch(batch + 1));
                let (done, next) = rayon::join(|| server.step(&at.state, &loaded, at.step + 1), read);
                ahead = next;
                let (state, phases) = done?;
                let seconds = clock.elapsed().as_secs_f64();
                let event = stepped(&state, phases, seconds, epoch, at.step + 1, loaded.rows);
                at.state = state;
                at.step += 1;
                log.write(&event)?;
                at.seconds += seconds;
                owner.stepped(Done { step: at.step, epoch, batch, seconds, state: &at.state })?;
                // The one at the end of an epoch comes after the validation.
                if batch + 1 < steps && at.step.is_multiple_of(config.checkpoint_steps) {
                    save(&at, &mut log)?;
                }
            }
            let (seconds, clock) = (at.seconds - before, Instant::now());
            if batches.validation_batches() > 0 {
                let output = |i| server.outputs(&at.state, &batches.validation(i)?);
                let outputs = (0..batches.validation_batches()).map(output).collect::<Result<Vec<_>>>()?;
                at.go_on = owner.goes_on(epoch, at.step, &outputs)?;
            }
            // The best epoch of a client with this patience is one of these, whenever it stops.
            at.kept.push(Kept { epoch, state: server.kept(&at.state)? });
            at.kept.drain(..at.kept.len().saturating_sub(config.patience + 1));
            let validation_seconds = clock.elapsed().as_secs_f64();
            at.seconds += validation_seconds;
            at.epochs = epoch;
            log.write(&ServerEvent::Epoch { epoch, seconds, validation_seconds, go_on: at.go_on })?;
            save(&at, &mut log)?;
            outcome = if at.go_on { Outcome::Finished } else { Outcome::Stopped };
        }
        if outcome != Outcome::Interrupted {
            self.folder.write_models(plan, &at.kept)?;
        }
        log.write(&ServerEvent::End {
            steps: at.step,
            epochs: at.epochs,
            seconds: at.seconds,
            peak_memory_bytes: footprint::peak().unwrap_or(0),
            reason: outcome.reason().to_owned(),
        })?;
        Ok(outcome)
    }

    fn started(&self, plan: &TrainPlan, first_step: usize) -> Result<ServerEvent> {
        let (config, shape) = (plan.config(), plan.shape());
        Ok(ServerEvent::Start {
            unix_time: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            preset: config.preset.clone(),
            insecure: plan.params().is_insecure(),
            mode: config.mode.name().to_owned(),
            rows: shape.rows,
            features: shape.features,
            classes: shape.classes,
            batch: plan.batch(),
            steps_per_epoch: plan.steps_per_epoch(),
            epochs: config.epochs,
            logit_range: config.logit_range,
            key_bytes: plan.requests().memory_bytes(plan.params())?,
            predicted_step_seconds: self.predicted.0,
            predicted_memory_bytes: self.predicted.1,
            first_step,
            threads: rayon::current_num_threads(),
        })
    }
}

/// The event of a step, with what it waited for batches as its first part.
fn stepped(
    state: &[Ciphertext],
    phases: Vec<Phase>,
    seconds: f64,
    epoch: usize,
    step: usize,
    rows: usize,
) -> ServerEvent {
    let load = Phase {
        name: "load".to_owned(),
        seconds: (seconds - phases.iter().map(|phase| phase.seconds).sum::<f64>()).max(0.0),
        bootstrap_seconds: 0.0,
        bootstraps: 0,
        level: state[0].level(),
        log_scale: state[0].scale().log2(),
    };
    ServerEvent::Step {
        epoch,
        step,
        rows,
        seconds,
        bootstraps: phases.iter().map(|phase| phase.bootstraps).sum(),
        phases: std::iter::once(load).chain(phases).collect(),
        level: state[0].level(),
        log_scale: state[0].scale().log2(),
        memory_bytes: footprint::resident().unwrap_or(0),
    }
}

/// A client that stops when the validation loss has not fallen for a while, or a logit has left its range, and writes down what it sees.
#[derive(Debug)]
pub struct Validator<'a> {
    client: &'a Client,
    labels: &'a [u32],
    /// Of epochs done.
    losses: Vec<f64>,
    last: Option<Quality>,
    /// By epoch, of the plain twin with the same approximations and with exact softmax, as far as they are known.
    plain: [Vec<Quality>; 2],
    /// To be compared with after every step: the twin with the same approximations, and what it is trained on.
    compared: Option<(Twin<Variant>, &'a Split)>,
    log: Writer<ClientEvent>,
}

impl<'a> Validator<'a> {
    /// With the labels of the validation set and the plain twins' results. `earlier` are events of a run that is resumed.
    #[must_use]
    pub fn new(
        client: &'a Client,
        labels: &'a [u32],
        plain: [Vec<Quality>; 2],
        log: Writer<ClientEvent>,
        earlier: &[ClientEvent],
    ) -> Self {
        let mut losses = Vec::new();
        for event in earlier {
            if let ClientEvent::Validation { epoch, encrypted, .. } = event {
                losses.truncate(epoch.saturating_sub(1));
                let in_range = encrypted.max_logit <= client.plan().config().logit_range;
                losses.push(if in_range { encrypted.loss } else { f64::NAN });
            }
        }
        Self { client, labels, losses, last: None, plain, compared: None, log }
    }

    /// Compares weights with those of the plain twin after every step.
    ///
    /// # Errors
    /// Those of the twin's softmax.
    pub fn compare(&mut self, train: &'a Split) -> Result<()> {
        let plan = self.client.plan();
        let (config, shape) = (plan.config(), plan.shape());
        let twin = Twin::new(config, shape.classes, shape.features, config.softmax(shape.classes, false)?)?;
        self.compared = Some((twin, train));
        Ok(())
    }

    /// What the last validation of this run has seen.
    #[must_use]
    pub const fn quality(&self) -> Option<Quality> {
        self.last
    }

    /// The epoch with the smallest loss, from 1; 0 before the first.
    #[must_use]
    pub fn best_epoch(&self) -> usize {
        self.stopping().best_epoch()
    }

    fn stopping(&self) -> EarlyStopping {
        let mut stopping = EarlyStopping::new(self.client.plan().config().patience);
        self.losses.iter().for_each(|&loss| {
            stopping.is_best(loss);
        });
        stopping
    }

    /// Writes down an event.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn note(&mut self, event: &ClientEvent) -> Result<()> {
        self.log.write(event)
    }
}

impl Owner for Validator<'_> {
    fn goes_on(&mut self, epoch: usize, step: usize, outputs: &[Vec<Ciphertext>]) -> Result<bool> {
        let labels = self.labels.chunks(self.client.plan().batch());
        check_count("batches of outputs", outputs.len(), labels.len())?;
        let logits = outputs.iter().zip(labels).map(|(outputs, labels)| self.client.logits(outputs, labels.len()));
        let encrypted = quality(&logits.collect::<Result<Vec<_>>>()?.concat(), self.labels);
        self.losses.truncate(epoch - 1);
        // Beyond the range softmax is wrong without a sign of it: this epoch is never the best, and there is no use in going on.
        let in_range = encrypted.max_logit <= self.client.plan().config().logit_range;
        self.losses.push(if in_range { encrypted.loss } else { f64::NAN });
        self.last = Some(encrypted);
        let go_on = in_range && self.stopping().goes_on();
        let [twin, exact] = &self.plain;
        let plain = |list: &[Quality]| list.get(epoch - 1).copied();
        let event = ClientEvent::Validation { epoch, step, encrypted, twin: plain(twin), exact: plain(exact), go_on };
        self.note(&event)?;
        Ok(go_on)
    }

    fn stepped(&mut self, done: Done<'_>) -> Result<()> {
        let Some((twin, train)) = &mut self.compared else { return Ok(()) };
        let plan = self.client.plan();
        // Several steps where a run was resumed.
        let mut last = None;
        while twin.step < done.step {
            let batch = twin.step % plan.steps_per_epoch();
            let (from, rows) = (batch * plan.batch(), plan.batch_rows(batch));
            let features = &train.features[from * train.columns..(from + rows) * train.columns];
            last = Some(twin.step(features, &train.labels[from..from + rows])?);
        }
        let Some(step) = last else { return Ok(()) };
        let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let [w, v] = self.client.weights(done.state)?;
        self.log.write(&ClientEvent::Weights {
            step: done.step,
            difference: difference(&w, &twin.w.values).max(difference(&v, &twin.v.values)),
            max_weight: step.max_weight,
            max_logit: step.quality.max_logit,
            loss: step.quality.loss,
        })
    }
}
