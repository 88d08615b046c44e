//! The loop over epochs and steps, on the server; and what the client answers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::client::Client;
use super::data::dataset::Part;
use super::follower::Twins;
use super::log::{ClientEvent, Phase, Quality, ServerEvent, Writer, latest};
use super::metrics::{largest, quality};
use super::plan::TrainPlan;
use super::server::{Batch, Server};
use super::step::Weights;
use super::stopping::best_epoch;
use super::store::{Checkpoint, DataFolder, Kept, Origin, RunFolder};
use crate::base::error::{Error, Result, check_count};
use crate::ckks::ciphertext::Ciphertext;
use crate::measure::footprint;

/// Where the server finds encrypted rows.
pub trait Batches: Sync {
    /// What a checkpoint has to have in common with these rows, and a model says it comes from.
    fn origin(&self) -> Origin;

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
    fn origin(&self) -> Origin {
        Self::origin(self)
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

/// What the server computes of a batch of validation rows: encrypted logits over their range.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// Of V, the result.
    pub v: Vec<Ciphertext>,
    /// Of W, where gradients are taken: it runs ahead of V, and softmax is computed of its logits.
    pub w: Vec<Ciphertext>,
}

/// The client as the server sees it: it gets encrypted outputs, and says whether to go on. Nothing else comes back.
pub trait Owner {
    /// After an epoch, from 1, and this many steps. An epoch that is done again, after a run was resumed, replaces what was said before.
    ///
    /// # Errors
    /// Those of decryption and of the client's log.
    fn goes_on(&mut self, epoch: usize, step: usize, outputs: &[Outputs]) -> Result<bool>;

    /// Whether a run that is resumed after this many validated epochs goes on: its patience may be another one now.
    fn resumes(&mut self, epochs: usize) -> bool;

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

/// What a run has come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ended {
    /// Why it ended.
    pub outcome: Outcome,
    /// Steps done in all.
    pub steps: usize,
    /// Epochs done in all.
    pub epochs: usize,
    /// Seconds of all steps and validations, over resumed runs.
    pub seconds: f64,
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
    /// Trains from the start, or from a checkpoint, to the end. A checkpoint is written before the first step, so that
    /// a run can be resumed whenever it was ended.
    ///
    /// # Errors
    /// Those of [`Server::step`], of reading batches and of writing files.
    pub fn train(
        &self,
        server: &Server,
        batches: &dyn Batches,
        owner: &mut dyn Owner,
        resume: Option<Checkpoint>,
    ) -> Result<Ended> {
        let plan = server.plan();
        let (config, steps) = (plan.config(), plan.steps_per_epoch());
        let origin = batches.origin();
        let resumed = resume.is_some();
        let fresh = || {
            let state = batches.start()?;
            Ok::<_, Error>(Checkpoint { step: 0, epochs: 0, go_on: true, seconds: 0.0, state, kept: Vec::new() })
        };
        let mut at = resume.map_or_else(fresh, Ok)?;
        if at.epochs > 0 && batches.validation_batches() > 0 {
            at.go_on = owner.resumes(at.epochs);
        }
        let mut log = Writer::open(self.folder.server_log()?)?;
        log.write(&self.started(plan, at.step)?)?;
        let save = |at: &Checkpoint, log: &mut Writer<ServerEvent>| {
            let clock = Instant::now();
            let bytes = self.folder.save(plan, &origin, at)?;
            log.write(&ServerEvent::Checkpoint { step: at.step, seconds: clock.elapsed().as_secs_f64(), bytes })
        };
        if !resumed {
            save(&at, &mut log)?;
        }
        // The best epoch of a client with this patience is one of so many, whenever it stops.
        let window = at.kept.len().max(config.patience + 1);
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
                uninterrupted(owner.stepped(Done { step: at.step, epoch, batch, seconds, state: &at.state }))?;
                // The one at the end of an epoch comes after the validation.
                if batch + 1 < steps && at.step.is_multiple_of(config.checkpoint_steps) {
                    save(&at, &mut log)?;
                }
            }
            let (seconds, clock) = (at.seconds - before, Instant::now());
            if batches.validation_batches() > 0 {
                let output = |i| {
                    self.check_interrupt(at.step)?;
                    let features = batches.validation(i)?;
                    let of = |weights| server.outputs(&at.state, &features, weights);
                    Ok(Outputs { v: of(Weights::V)?, w: of(Weights::W)? })
                };
                let outputs = (0..batches.validation_batches()).map(output).collect::<Result<Vec<_>>>();
                let go_on = outputs.and_then(|outputs| owner.goes_on(epoch, at.step, &outputs));
                let Some(go_on) = uninterrupted(go_on)? else {
                    // The validation is done when the run is resumed.
                    save(&at, &mut log)?;
                    outcome = Outcome::Interrupted;
                    break;
                };
                at.go_on = go_on;
            }
            at.kept.push(Kept { epoch, state: server.kept(&at.state)? });
            at.kept.drain(..at.kept.len().saturating_sub(window));
            let validation_seconds = clock.elapsed().as_secs_f64();
            at.seconds += validation_seconds;
            at.epochs = epoch;
            log.write(&ServerEvent::Epoch { epoch, seconds, validation_seconds, go_on: at.go_on })?;
            save(&at, &mut log)?;
            outcome = if at.go_on { Outcome::Finished } else { Outcome::Stopped };
        }
        if outcome != Outcome::Interrupted {
            self.folder.write_models(plan, &origin, &at.kept)?;
        }
        log.write(&ServerEvent::End {
            steps: at.step,
            epochs: at.epochs,
            seconds: at.seconds,
            peak_memory_bytes: footprint::peak().unwrap_or(0),
            reason: outcome.reason().to_owned(),
        })?;
        Ok(Ended { outcome, steps: at.step, epochs: at.epochs, seconds: at.seconds })
    }

    fn check_interrupt(&self, step: usize) -> Result<()> {
        if self.interrupt.load(Ordering::Relaxed) { Err(Error::Interrupted { step }) } else { Ok(()) }
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

/// None for what was interrupted.
fn uninterrupted<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Err(Error::Interrupted { .. }) => Ok(None),
        result => result.map(Some),
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
    /// By epoch: of V, and the largest logit of W.
    validations: BTreeMap<usize, (Quality, Option<f64>)>,
    twins: Twins<'a>,
    /// The largest logit of a training row so far, by the twin.
    max_logit_rows: f64,
    /// Whether weights are compared with those of the twin after every step.
    compares: bool,
    log: Writer<ClientEvent>,
}

impl<'a> Validator<'a> {
    /// With the labels of the validation set, and the plain twins. `earlier` are events of a run that is resumed.
    #[must_use]
    pub fn new(
        client: &'a Client,
        labels: &'a [u32],
        twins: Twins<'a>,
        log: Writer<ClientEvent>,
        earlier: &[ClientEvent],
    ) -> Self {
        let validation = |event: &ClientEvent| match *event {
            ClientEvent::Validation { epoch, encrypted, max_logit_w, .. } => Some((epoch, (encrypted, max_logit_w))),
            _ => None,
        };
        let validations = latest(earlier).into_iter().filter_map(validation).collect();
        Self { client, labels, validations, twins, max_logit_rows: 0.0, compares: false, log }
    }

    /// Compares weights with those of the plain twin after every step.
    pub const fn compare(&mut self) {
        self.compares = true;
    }

    /// What the last validation has seen: of V, and the largest logit of W.
    #[must_use]
    pub fn last(&self) -> Option<(Quality, Option<f64>)> {
        self.validations.values().next_back().copied()
    }

    /// The largest logit of a training row so far, by the plain twin.
    #[must_use]
    pub const fn max_logit_rows(&self) -> f64 {
        self.max_logit_rows
    }

    /// The epoch that is the result so far: see [`best_epoch`].
    #[must_use]
    pub fn best_epoch(&self) -> Option<usize> {
        let qualities = self.validations.iter().map(|(&epoch, &(quality, _))| (epoch, quality));
        best_epoch(qualities, self.client.plan().config().logit_range)
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
    fn goes_on(&mut self, epoch: usize, step: usize, outputs: &[Outputs]) -> Result<bool> {
        let labels = self.labels.chunks(self.client.plan().batch());
        check_count("batches of outputs", outputs.len(), labels.len())?;
        let (mut v, mut w) = (Vec::with_capacity(self.labels.len()), Vec::with_capacity(self.labels.len()));
        for (outputs, labels) in outputs.iter().zip(labels) {
            v.extend(self.client.logits(&outputs.v, labels.len())?);
            w.extend(self.client.logits(&outputs.w, labels.len())?);
        }
        let (encrypted, max_logit_w) = (quality(&v, self.labels), Some(largest(&w)));
        // The twins may be interrupted: nothing of this epoch is known before they are done.
        let [twin, exact] = self.twins.validate(step)?;
        self.max_logit_rows = self.twins.max_logit(step)?;
        self.validations.insert(epoch, (encrypted, max_logit_w));
        let go_on = self.resumes(epoch);
        let max_logit_rows = Some(self.max_logit_rows);
        let event = ClientEvent::Validation { epoch, step, encrypted, max_logit_w, max_logit_rows, twin, exact, go_on };
        self.note(&event)?;
        Ok(go_on)
    }

    /// Beyond the range softmax is wrong without a sign of it, and there is no use in going on.
    fn resumes(&mut self, epochs: usize) -> bool {
        self.validations.split_off(&(epochs + 1));
        let config = self.client.plan().config();
        let beyond = |logit: f64| logit > config.logit_range || logit.is_nan();
        let last = self.validations.get(&epochs);
        let in_range = last.is_none_or(|(v, w)| !beyond(v.max_logit) && !w.is_some_and(beyond));
        in_range && epochs < self.best_epoch().unwrap_or(0) + config.patience
    }

    fn stepped(&mut self, done: Done<'_>) -> Result<()> {
        self.max_logit_rows = self.twins.max_logit(done.step)?;
        if self.compares {
            let weights = self.client.weights(done.state)?;
            let event = self.twins.compare(done.step, &weights)?;
            event.map_or(Ok(()), |event| self.note(&event))?;
        }
        Ok(())
    }
}
