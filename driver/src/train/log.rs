//! What a run writes down: one JSON object per event and line, the server's and the client's in files of their own.
//!
//! The server's file holds nothing that depends on decrypted values; the client's does, and stays with the client.

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
    /// Its name: load, weights, logits, softmax, errors, gradient, update, refresh, …
    pub name: String,
    /// Seconds, bootstraps included.
    pub seconds: f64,
    /// Seconds in bootstraps.
    pub bootstrap_seconds: f64,
    /// Bootstraps.
    pub bootstraps: usize,
    /// The level at its end.
    pub level: usize,
    /// log2 of the scale at its end.
    pub log_scale: f64,
}

/// What the server writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ServerEvent {
    /// The beginning of a run, or its continuation.
    Start {
        /// Seconds since 1970.
        unix_time: u64,
        /// The preset.
        preset: String,
        /// Whether the parameters are below 128 bits of security.
        insecure: bool,
        /// fast or paper.
        mode: String,
        /// Rows of the training set.
        rows: usize,
        /// Features, without the bias.
        features: usize,
        /// Classes.
        classes: usize,
        /// Rows of a batch.
        batch: usize,
        /// Steps of an epoch.
        steps_per_epoch: usize,
        /// Epochs at most.
        epochs: usize,
        /// R of the softmax.
        logit_range: f64,
        /// Bytes of the evaluation keys.
        key_bytes: usize,
        /// What was predicted for a step.
        predicted_step_seconds: f64,
        /// What was predicted for the peak of memory.
        predicted_memory_bytes: usize,
        /// The number of the first step: not 0 if the run was resumed.
        first_step: usize,
        /// Threads.
        threads: usize,
    },
    /// A step.
    Step {
        /// From 1.
        epoch: usize,
        /// From 1, over all epochs.
        step: usize,
        /// Rows of the batch.
        rows: usize,
        /// Seconds of the whole step.
        seconds: f64,
        /// Its parts.
        phases: Vec<Phase>,
        /// Bootstraps in it.
        bootstraps: usize,
        /// The level of the weights after it.
        level: usize,
        /// log2 of their scale.
        log_scale: f64,
        /// Bytes of memory of the process at its end.
        memory_bytes: usize,
    },
    /// The end of an epoch.
    Epoch {
        /// From 1.
        epoch: usize,
        /// Seconds of its steps.
        seconds: f64,
        /// Seconds of computing the validation outputs.
        validation_seconds: f64,
        /// Whether the client said to go on.
        go_on: bool,
    },
    /// A checkpoint was written.
    Checkpoint {
        /// Steps done.
        step: usize,
        /// Seconds to write it.
        seconds: f64,
        /// Its bytes.
        bytes: u64,
    },
    /// The end of the run.
    End {
        /// Steps done in all.
        steps: usize,
        /// Epochs done in all.
        epochs: usize,
        /// Seconds of all steps and validations, over resumed runs.
        seconds: f64,
        /// The largest memory of the process.
        peak_memory_bytes: usize,
        /// Why it ended: stopped by the client, all epochs done, interrupted.
        reason: String,
    },
}

/// Loss and accuracy on one set of rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Part of the rows that are classified rightly.
    pub accuracy: f64,
    /// The largest magnitude of a logit.
    pub max_logit: f64,
}

/// What the client writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ClientEvent {
    /// The decrypted weights beside those of the plain twin, where a run compares them.
    Weights {
        /// Steps done.
        step: usize,
        /// The largest difference of a weight from the twin with the same approximations.
        difference: f64,
        /// The largest weight.
        max_weight: f64,
        /// The largest logit of the batch by the twin.
        max_logit: f64,
        /// Loss on the batch by the twin.
        loss: f64,
    },
    /// The validation after an epoch.
    Validation {
        /// From 1.
        epoch: usize,
        /// Steps done.
        step: usize,
        /// Of the encrypted model, V.
        encrypted: Quality,
        /// The largest magnitude of a logit that W has on the same rows: softmax is computed of those of W.
        #[serde(default)]
        max_logit_w: Option<f64>,
        /// The largest magnitude of a logit of W that a training row had until then, by the plain twin.
        #[serde(default)]
        max_logit_rows: Option<f64>,
        /// Of the plain twin with the same approximations, if there is one.
        twin: Option<Quality>,
        /// Of the plain training with exact softmax, if there is one.
        exact: Option<Quality>,
        /// Whether the training goes on.
        go_on: bool,
    },
    /// The result on the test set.
    Test {
        /// Of the encrypted model.
        encrypted: Quality,
        /// Of the plain twin, if there is one.
        twin: Option<Quality>,
        /// Of the plain training with exact softmax, if there is one.
        exact: Option<Quality>,
        /// Rows by true class, then by predicted class.
        confusion: Vec<Vec<usize>>,
        /// The names of the classes, if they have other names than their numbers.
        #[serde(default)]
        class_names: Option<Vec<String>>,
    },
}

/// What a log is made of.
pub trait Event: Serialize + DeserializeOwned {
    /// Who may read a new log.
    const ACCESS: Access;

    /// The step or epoch that the event tells of; none for what happens once in a run. A later event of the same kind and number
    /// replaces it: after a resumption, steps since the last checkpoint are done again.
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

/// The events that no later one replaces, in their order: see [`Event::number`].
#[must_use]
pub fn latest<E: Event>(events: &[E]) -> Vec<&E> {
    let mut seen = HashSet::new();
    let last = |event: &&E| event.number().is_none_or(|number| seen.insert((discriminant(*event), number)));
    let mut kept: Vec<&E> = events.iter().rev().filter(last).collect();
    kept.reverse();
    kept
}

/// Appends events to a file.
#[derive(Debug)]
pub struct Writer<E> {
    file: File,
    path: PathBuf,
    event: PhantomData<fn(E)>,
}

impl<E: Event> Writer<E> {
    /// Opens a log, which need not exist, to write behind its last whole line. What a process that was killed, or lost
    /// its power, left of one more line is cut off: [`read`] tells of it.
    ///
    /// # Errors
    /// [`Error::Io`] names the path; [`Error::Malformed`] for what is not a regular file, and for a log that is damaged
    /// elsewhere than at its end.
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

    /// Writes an event, all of its line at once, and brings it to the disk.
    ///
    /// # Errors
    /// [`Error::Malformed`] if a number of the event is not finite, which JSON cannot hold; [`Error::Io`] names the path. After the latter
    /// the log has to be opened anew, as a part of the line may have been written.
    pub fn write(&mut self, event: &E) -> Result<()> {
        let mut line = serde_json::to_string(event).expect("numbers and strings have a JSON form");
        // What is not finite became null, which is no number.
        serde_json::from_str::<E>(&line).map_err(|_| Error::malformed("log", "event", &line, "of finite numbers"))?;
        line.push('\n');
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|error| Error::io(format_args!("writing the log {}", self.path.display()), &error))
    }
}

/// What a log holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Log<E> {
    /// Its events, in order.
    pub events: Vec<E>,
    /// Bytes of their lines.
    bytes: u64,
    /// Bytes of a torn line behind them.
    torn: u64,
}

impl<E> Log<E> {
    /// A sentence for the user if the end of the log was torn and is left out.
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

/// The longest log that is read, in bytes: that of a million steps takes half of it.
const LIMIT: u64 = 1 << 30;

/// Reads a log. A last line that has no end, or is no JSON, is one that a process is writing, was killed at, or lost with
/// its power: it is left out, and [`Log::warning`] tells of it.
///
/// # Errors
/// [`Error::Io`] names the path; [`Error::Malformed`] names the path and the number of a line that is not an event.
pub fn read<E: DeserializeOwned>(path: impl AsRef<Path>) -> Result<Log<E>> {
    let path = path.as_ref();
    parse(&read_bounded(path, LIMIT)?, path)
}

/// Whether a last line that is no event is only a part of one.
fn is_torn(line: &[u8]) -> bool {
    !line.ends_with(b"\n") || serde_json::from_slice::<serde::de::IgnoredAny>(line).is_err()
}

/// [`read`] for the bytes of a log; the path is for errors.
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
                // Its position counts from this line.
                let error = error.to_string();
                let reason = error.split(" at line ").next().unwrap_or_default();
                let wanted = format_args!("an event ({reason}): restore the log from a copy, or remove this line");
                return Err(Error::malformed("log", field, format_args!("{start:?}"), wanted));
            }
        }
    }
    Ok(log)
}
