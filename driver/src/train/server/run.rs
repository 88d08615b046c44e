//! The loop over epochs and steps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::Server;
use crate::base::error::{Error, Result};
use crate::ckks::ciphertext::Ciphertext;
use crate::measure::footprint;
use crate::train::log::{Phase, ServerEvent, Writer};
use crate::train::plan::TrainPlan;
use crate::train::protocol::{BatchSource, ClientLink, Compare, Outputs, Stepped};
use crate::train::step::Weights;
use crate::train::store::{Checkpoint, Kept, RunFolder};

/// A run and its folder.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The folder for logs, checkpoints and results.
    pub folder: &'a RunFolder,
    /// A flag that others set to end the run after the step that is being computed.
    pub interrupt: &'a AtomicBool,
    /// The predictions to record in the log: seconds of a step, and bytes of memory.
    pub predicted: (f64, usize),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client answered not to go on.
    Stopped,
    /// All epochs are done.
    Finished,
    /// [`Run::interrupt`] was set; a checkpoint was written.
    Interrupted,
}

/// The result of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ended {
    /// Why it ended.
    pub outcome: Outcome,
    /// The number of steps done in all.
    pub steps: usize,
    /// The number of epochs done in all.
    pub epochs: usize,
    /// The seconds of all steps and validations, including those before the run was resumed.
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

/// The client, which may also compare the states.
enum Side<'a> {
    Linked(&'a mut dyn ClientLink),
    Comparing(&'a mut dyn Compare),
}

impl Side<'_> {
    fn link(&mut self) -> &mut dyn ClientLink {
        match self {
            Self::Linked(client) => *client,
            Self::Comparing(client) => *client,
        }
    }

    fn stepped(&mut self, step: Stepped, state: &[Ciphertext]) -> Result<()> {
        self.link().stepped(step)?;
        if let Self::Comparing(client) = self { client.compare(step.step, state) } else { Ok(()) }
    }
}

impl Run<'_> {
    /// Trains from the start, or from a checkpoint, to the end. A checkpoint is written before the
    /// first step, so that a run can be resumed whenever it was ended.
    ///
    /// # Errors
    /// The errors of [`Server::step`], of reading batches, of the client and of writing files.
    pub fn train(
        &self,
        server: &Server,
        batches: &dyn BatchSource,
        client: &mut dyn ClientLink,
        resume: Option<Checkpoint>,
    ) -> Result<Ended> {
        self.run(server, batches, Side::Linked(client), resume)
    }

    /// Trains like [`Run::train`], and also shows every state to a client in this process.
    ///
    /// # Errors
    /// As [`Run::train`].
    pub fn train_compared(
        &self,
        server: &Server,
        batches: &dyn BatchSource,
        client: &mut dyn Compare,
        resume: Option<Checkpoint>,
    ) -> Result<Ended> {
        self.run(server, batches, Side::Comparing(client), resume)
    }

    fn run(
        &self,
        server: &Server,
        batches: &dyn BatchSource,
        mut client: Side<'_>,
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
            at.go_on = client.link().resumes(at.epochs);
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
        // Whenever a client with this patience stops, its best epoch is among the last
        // `patience + 1`.
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
                // The next batch is read while this one is being computed with.
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
                uninterrupted(client.stepped(Stepped { step: at.step, epoch, batch, seconds }, &at.state))?;
                // The checkpoint at the end of an epoch is written after the validation.
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
                let go_on = outputs.and_then(|outputs| client.link().goes_on(epoch, at.step, &outputs));
                let Some(go_on) = uninterrupted(go_on)? else {
                    // The validation is repeated when the run is resumed.
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

/// Maps an interruption to `None`.
fn uninterrupted<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Err(Error::Interrupted { .. }) => Ok(None),
        result => result.map(Some),
    }
}

/// Builds the event of a step. Its first phase is the time spent waiting for the batch.
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
