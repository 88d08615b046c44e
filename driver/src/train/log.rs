//! The log of a run: one JSON object per event and line. Server and client write separate files.
//!
//! The server's file holds nothing that depends on decrypted values; the client's file does,
//! and stays with the client.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::mem::discriminant;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::base::files::{Access, read_bounded, restrict};

/// A part of a step, with the time that it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// The name of the phase: load, weights, logits, softmax, errors, gradient, update, refresh, …
    pub name: String,
    /// The seconds, bootstraps included.
    pub seconds: f64,
    /// The seconds in bootstraps.
    pub bootstrap_seconds: f64,
    /// The number of bootstraps.
    pub bootstraps: usize,
    /// The level at the end of the phase.
    pub level: usize,
    /// The log2 of the scale at the end of the phase.
    pub log_scale: f64,
}

/// An event that the server logs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ServerEvent {
    /// The start of a run, or of its continuation.
    Start {
        /// The time in seconds since 1970.
        unix_time: u64,
        /// The name of the preset.
        preset: String,
        /// Whether the parameters are below 128 bits of security.
        insecure: bool,
        /// The name of the mode: fast or paper.
        mode: String,
        /// The number of rows of the training set.
        rows: usize,
        /// The number of features, without the bias.
        features: usize,
        /// The number of classes.
        classes: usize,
        /// The number of rows of a batch.
        batch: usize,
        /// The number of steps of an epoch.
        steps_per_epoch: usize,
        /// The largest number of epochs.
        epochs: usize,
        /// The range R of the softmax.
        logit_range: f64,
        /// The size of the evaluation keys in bytes.
        key_bytes: usize,
        /// The predicted seconds of a step.
        predicted_step_seconds: f64,
        /// The predicted peak of memory in bytes.
        predicted_memory_bytes: usize,
        /// The number of steps done before; not 0 if the run was resumed.
        first_step: usize,
        /// The number of threads.
        threads: usize,
    },
    /// A completed step.
    Step {
        /// The number of the epoch, counted from 1.
        epoch: usize,
        /// The number of the step, counted from 1 over all epochs.
        step: usize,
        /// The number of rows of the batch.
        rows: usize,
        /// The seconds of the whole step.
        seconds: f64,
        /// The phases of the step.
        phases: Vec<Phase>,
        /// The number of bootstraps in the step.
        bootstraps: usize,
        /// The level of the weights after the step.
        level: usize,
        /// The log2 of the scale of the weights after the step.
        log_scale: f64,
        /// The memory of the process at the end of the step, in bytes.
        memory_bytes: usize,
    },
    /// The end of an epoch.
    Epoch {
        /// The number of the epoch, counted from 1.
        epoch: usize,
        /// The seconds of its steps.
        seconds: f64,
        /// The seconds of computing the validation outputs, with the client's answer.
        validation_seconds: f64,
        /// Whether the client said to go on.
        go_on: bool,
    },
    /// A checkpoint was written.
    Checkpoint {
        /// The number of steps done.
        step: usize,
        /// The seconds that writing took.
        seconds: f64,
        /// The size of the checkpoint in bytes.
        bytes: u64,
    },
    /// The end of the run.
    End {
        /// The number of steps done in all.
        steps: usize,
        /// The number of epochs done in all.
        epochs: usize,
        /// The seconds of all steps and validations, including those before the run was resumed.
        seconds: f64,
        /// The largest memory of the process, in bytes.
        peak_memory_bytes: usize,
        /// The reason: stopped by the client, all epochs done, or interrupted.
        reason: String,
    },
}

/// Loss and accuracy on one set of rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// The mean cross-entropy.
    pub loss: f64,
    /// The fraction of the rows that are classified correctly.
    pub accuracy: f64,
    /// The largest magnitude of a logit.
    pub max_logit: f64,
}

/// An event that the client logs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ClientEvent {
    /// A comparison of the decrypted weights with those of the plain twin,
    /// in runs that compare them.
    Weights {
        /// The number of steps done.
        step: usize,
        /// The largest difference of a weight from the twin with the same approximations.
        difference: f64,
        /// The largest weight.
        max_weight: f64,
        /// The largest logit of the batch, computed by the twin.
        max_logit: f64,
        /// The loss on the batch, computed by the twin.
        loss: f64,
    },
    /// The validation after an epoch.
    Validation {
        /// The number of the epoch, counted from 1.
        epoch: usize,
        /// The number of steps done.
        step: usize,
        /// The quality of the encrypted model V.
        encrypted: Quality,
        /// The largest magnitude of a logit of W on the same rows: softmax is applied to
        /// the logits of W.
        #[serde(default)]
        max_logit_w: Option<f64>,
        /// The largest magnitude of a logit of W that a training row has had so far,
        /// computed by the plain twin.
        #[serde(default)]
        max_logit_rows: Option<f64>,
        /// The quality of the plain twin with the same approximations, if there is one.
        twin: Option<Quality>,
        /// The quality of the plain training with exact softmax, if there is one.
        exact: Option<Quality>,
        /// Whether the training goes on.
        go_on: bool,
    },
    /// The result on the test set.
    Test {
        /// The quality of the encrypted model.
        encrypted: Quality,
        /// The quality of the plain twin, if there is one.
        twin: Option<Quality>,
        /// The quality of the plain training with exact softmax, if there is one.
        exact: Option<Quality>,
        /// The numbers of rows by true class, then by predicted class.
        confusion: Vec<Vec<usize>>,
        /// The names of the classes, if these have names other than their numbers.
        #[serde(default)]
        class_names: Option<Vec<String>>,
    },
}

/// A type of event that a log holds.
pub trait Event: Serialize + DeserializeOwned {
    /// The access rights of a new log file.
    const ACCESS: Access;

    /// Returns the step or epoch of the event; `None` for an event that happens once in a run.
    /// A later event of the same kind and number replaces this one: after a resumption,
    /// the steps since the last checkpoint are repeated.
    fn number(&self) -> Option<usize>;
}

impl Event for ServerEvent {
    const ACCESS: Access = Access::Shared;

    fn number(&self) -> Option<usize> {
        match self {
            Self::Start { .. } | Self::End { .. } => None,
            Self::Step { step, .. } | Self::Checkpoint { step, .. } => Some(*step),
            Self::Epoch { epoch, .. } => Some(*epoch),
        }
    }
}

impl Event for ClientEvent {
    const ACCESS: Access = Access::Owner;

    fn number(&self) -> Option<usize> {
        match self {
            Self::Weights { step, .. } => Some(*step),
            Self::Validation { epoch, .. } => Some(*epoch),
            Self::Test { .. } => None,
        }
    }
}

/// Returns the events that no later one replaces, in their order: see [`Event::number`].
#[must_use]
pub fn latest<E: Event>(events: &[E]) -> Vec<&E> {
    let mut seen = HashSet::new();
    let last = |event: &&E| event.number().is_none_or(|number| seen.insert((discriminant(*event), number)));
    let mut kept: Vec<&E> = events.iter().rev().filter(last).collect();
    kept.reverse();
    kept
}

/// A writer that appends events to a log file.
#[derive(Debug)]
pub struct Writer<E> {
    file: File,
    path: PathBuf,
    event: PhantomData<fn(E)>,
}

impl<E: Event> Writer<E> {
    /// Opens a log, which need not exist, to write after its last complete line. A part of a line,
    /// left by a process that was killed or lost its power, is cut off; [`read`] reports it.
    ///
    /// # Errors
    /// [`Error::Io`] names the path; [`Error::Malformed`] for anything that is not a regular file,
    /// and for a log that is damaged elsewhere than at its end.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let whole = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            _ => read::<E>(path)?.bytes,
        };
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        restrict(&mut options, E::ACCESS);
        let open = || {
            let mut file = options.open(path)?;
            file.set_len(whole)?;
            file.seek(SeekFrom::Start(whole))?;
            Ok(file)
        };
        let file = open().map_err(|error| Error::io(format_args!("opening the log {}", path.display()), &error))?;
        Ok(Self { file, path: path.to_owned(), event: PhantomData })
    }

    /// Writes the whole line of an event at once, and syncs it to the disk.
    ///
    /// # Errors
    /// [`Error::Malformed`] if a number of the event is not finite, which JSON cannot represent;
    /// [`Error::Io`] names the path. After an [`Error::Io`] the log has to be opened anew,
    /// as a part of the line may have been written.
    pub fn write(&mut self, event: &E) -> Result<()> {
        let mut line = serde_json::to_string(event).expect("numbers and strings have a JSON form");
        // Numbers that are not finite became null, which does not parse as a number.
        serde_json::from_str::<E>(&line).map_err(|_| Error::malformed("log", "event", &line, "of finite numbers"))?;
        line.push('\n');
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|error| Error::io(format_args!("writing the log {}", self.path.display()), &error))
    }
}

/// The content of a log.
#[derive(Clone, Debug, PartialEq)]
pub struct Log<E> {
    /// The events, in order.
    pub events: Vec<E>,
    /// The number of bytes of the events' lines.
    bytes: u64,
    /// The number of bytes of a torn line after them.
    torn: u64,
}

impl<E> Log<E> {
    /// Returns a warning for the user if the end of the log was torn and is left out.
    #[must_use]
    pub fn warning(&self, path: &Path) -> Option<String> {
        (self.torn > 0).then(|| {
            format!(
                "the last line of {} was not written to its end and is left out ({} bytes)",
                path.display(),
                self.torn
            )
        })
    }
}

/// The length limit of a log in bytes. The log of a million steps takes half of it.
const LIMIT: u64 = 1 << 30;

/// Reads a log. A last line that has no end, or is not JSON, is one that a process is still
/// writing, was killed at, or lost with its power: it is left out, and [`Log::warning`] reports it.
///
/// # Errors
/// [`Error::Io`] names the path; [`Error::Malformed`] names the path and the number of a
/// line that is not an event.
pub fn read<E: DeserializeOwned>(path: impl AsRef<Path>) -> Result<Log<E>> {
    let path = path.as_ref();
    parse(&read_bounded(path, LIMIT)?, path)
}

/// Returns whether a last line that is not an event is a part of one.
fn is_torn(line: &[u8]) -> bool {
    !line.ends_with(b"\n") || serde_json::from_slice::<serde::de::IgnoredAny>(line).is_err()
}

/// Does the work of [`read`] on the bytes of a log; the path is for errors.
///
/// # Errors
/// As [`read`].
pub fn parse<E: DeserializeOwned>(bytes: &[u8], path: &Path) -> Result<Log<E>> {
    let mut log = Log { events: Vec::new(), bytes: 0, torn: 0 };
    let mut lines = bytes.split_inclusive(|&byte| byte == b'\n').enumerate().peekable();
    while let Some((i, line)) = lines.next() {
        let event =
            if line.ends_with(b"\n") { serde_json::from_slice(line) } else { Err(serde::de::Error::custom("")) };
        match event {
            Ok(event) => {
                log.events.push(event);
                log.bytes += line.len() as u64;
            }
            Err(_) if lines.peek().is_none() && is_torn(line) => log.torn = line.len() as u64,
            Err(error) => {
                let field = format_args!("{}, line {},", path.display(), i + 1);
                let start: String = String::from_utf8_lossy(line).trim_end().chars().take(40).collect();
                // The position in the error counts from this line, and would mislead.
                let error = error.to_string();
                let reason = error.split(" at line ").next().unwrap_or_default();
                let wanted = format_args!("an event ({reason}): restore the log from a copy, or remove this line");
                return Err(Error::malformed("log", field, format_args!("{start:?}"), wanted));
            }
        }
    }
    Ok(log)
}
