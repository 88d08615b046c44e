//! The seam between server and client: what the server reads, what it sends, and what it is answered. Whatever
//! connects the two implements these traits; within one process that are
//! [`DataFolder`](super::store::DataFolder) and [`Validator`](super::Validator).
//!
//! | the server has | from |
//! |---|---|
//! | keys for evaluation, encrypted rows, the encrypted first state | [`BatchSource`] |
//! | after each epoch: whether to go on | [`ClientLink`], which gets encrypted outputs of the validation rows |
//!
//! Nothing else passes. [`Compare`] shows encrypted states to a client as well, for `--compare`: it is for one process.

use serde::{Deserialize, Serialize};

use super::plan::JobHash;
use crate::base::error::Result;
use crate::base::key_generation::KeyGeneration;
use crate::ckks::ciphertext::Ciphertext;

/// What checkpoints and models come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// [`TrainPlan::hash`](super::TrainPlan::hash).
    pub job: JobHash,
    /// Of the keys.
    pub keys: KeyGeneration,
    /// [`DataFolder::hash`](super::store::DataFolder::hash).
    pub data: String,
    /// The hash of what features were normalised with, if they were.
    pub normaliser: Option<String>,
}

/// A batch of encrypted rows.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Blocks of features.
    pub features: Vec<Ciphertext>,
    /// One-hot labels.
    pub labels: Vec<Ciphertext>,
    /// Rows, as far as they are there.
    pub rows: usize,
}

/// Where the server finds encrypted rows.
pub trait BatchSource: Sync {
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
    /// As [`BatchSource::start`].
    fn batch(&self, i: usize) -> Result<Batch>;

    /// Batches to validate with; 0 for no validation.
    fn validation_batches(&self) -> usize;

    /// The features of one of them.
    ///
    /// # Errors
    /// As [`BatchSource::start`].
    fn validation(&self, i: usize) -> Result<Vec<Ciphertext>>;
}

/// What the server computes of a batch of validation rows: encrypted logits over their range.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// Of V, the result.
    pub v: Vec<Ciphertext>,
    /// Of W, where gradients are taken: it runs ahead of V, and softmax is computed of its logits.
    pub w: Vec<Ciphertext>,
}

/// A step that was done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stepped {
    /// The number of the step, from 1, over all epochs.
    pub step: usize,
    /// The number of the epoch, from 1.
    pub epoch: usize,
    /// The number of the batch in its epoch, from 0.
    pub batch: usize,
    /// The time of the step in seconds, with loading.
    pub seconds: f64,
}

/// The client as the server sees it: it gets encrypted outputs, and says whether to go on. Nothing else comes back.
pub trait ClientLink {
    /// Answers, after an epoch, from 1, and this many steps, whether to go on. An epoch that is done again, after a run was
    /// resumed, replaces what was said before.
    ///
    /// # Errors
    /// Those of the link, of decryption and of the client's log; [`Error::Interrupted`](crate::Error::Interrupted) ends the
    /// run before this validation, which is done again when it is resumed.
    fn goes_on(&mut self, epoch: usize, step: usize, outputs: &[Outputs]) -> Result<bool>;

    /// Answers whether a run that is resumed after this many validated epochs goes on: its patience may be another one now.
    fn resumes(&mut self, epochs: usize) -> bool;

    /// Hears of a step.
    ///
    /// # Errors
    /// As [`ClientLink::goes_on`].
    fn stepped(&mut self, _step: Stepped) -> Result<()> {
        Ok(())
    }
}

/// A client in the same process that compares every state with the plain twin. No link over a network implements it.
pub trait Compare: ClientLink {
    /// Looks at the encrypted state after a step.
    ///
    /// # Errors
    /// As [`ClientLink::goes_on`].
    fn compare(&mut self, step: usize, state: &[Ciphertext]) -> Result<()>;
}
