//! What a run writes down: one JSON object per event and line, the server's and the client's in files of their own.
//!
//! The server's file holds nothing that depends on decrypted values; the client's does, and stays with the client.

use serde::{Deserialize, Serialize};

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
        /// The epoch whose weights are kept.
        best_epoch: usize,
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
        /// Of the encrypted model.
        encrypted: Quality,
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
    },
}
