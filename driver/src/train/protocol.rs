//! The interface between server and client: what the server reads, what it sends,
//! and the answers it gets. Whatever connects the two implements these traits; within one process
//! these are [`DataFolder`](super::store::DataFolder) and [`Validator`](super::Validator).
//!
//! | what the server gets | from |
//! |---|---|
//! | evaluation keys, encrypted rows and the encrypted initial state | [`BatchSource`] |
//! | after each epoch, whether to go on | [`ClientLink`], which receives encrypted outputs of the validation rows |
//!
//! Nothing else passes between them. The exception is [`Compare`], which also shows encrypted
//! states to a client in the same process, for `--compare`.

use serde::{Deserialize, Serialize};

use super::plan::JobHash;
use crate::base::error::Result;
use crate::base::key_generation::KeyGeneration;
use crate::ckks::ciphertext::Ciphertext;

/// The identity of the job, keys and data that a checkpoint or a model was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The job: [`TrainPlan::hash`](super::TrainPlan::hash).
    pub job: JobHash,
    /// The generation of the keys.
    pub keys: KeyGeneration,
    /// The encrypted data: [`DataFolder::hash`](super::store::DataFolder::hash).
    pub data: String,
    /// The hash of the normaliser that was applied to the features, if any.
    pub normaliser: Option<String>,
}

/// A batch of encrypted rows.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The blocks of features.
    pub features: Vec<Ciphertext>,
    /// The one-hot labels.
    pub labels: Vec<Ciphertext>,
    /// The number of rows; the last batch of an epoch may have fewer than the others.
    pub rows: usize,
}

/// The source of encrypted rows for the server.
pub trait BatchSource: Sync {
    /// Returns the origin that a checkpoint must share with these rows, and that a model records.
    fn origin(&self) -> Origin;

    /// Returns the initial state.
    ///
    /// # Errors
    /// The errors of reading, here and below.
    fn start(&self) -> Result<Vec<Ciphertext>>;

    /// Returns batch `i` of an epoch.
    ///
    /// # Errors
    /// As [`BatchSource::start`].
    fn batch(&self, i: usize) -> Result<Batch>;

    /// Returns the number of validation batches; 0 means that there is no validation.
    fn validation_batches(&self) -> usize;

    /// Returns the features of validation batch `i`.
    ///
    /// # Errors
    /// As [`BatchSource::start`].
    fn validation(&self, i: usize) -> Result<Vec<Ciphertext>>;
}

/// The server's results for a batch of validation rows: encrypted logits, divided by their range.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// The logits of V, the result.
    pub v: Vec<Ciphertext>,
    /// The logits of W, where gradients are taken: W runs ahead of V, and softmax is
    /// applied to its logits.
    pub w: Vec<Ciphertext>,
}

/// A completed step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stepped {
    /// The number of the step, counted from 1 over all epochs.
    pub step: usize,
    /// The number of the epoch, counted from 1.
    pub epoch: usize,
    /// The number of the batch in its epoch, counted from 0.
    pub batch: usize,
    /// The time of the step in seconds, including loading.
    pub seconds: f64,
}

/// The client as the server sees it: it receives encrypted outputs and says whether to go on.
/// Nothing else comes back.
pub trait ClientLink {
    /// Answers whether to go on after epoch `epoch`, counted from 1, and `step` steps in all.
    /// When a resumed run repeats an epoch, the new answer replaces the earlier one.
    ///
    /// # Errors
    /// The errors of the link, of decryption and of the client's log.
    /// [`Error::Interrupted`](crate::Error::Interrupted) ends the run before this validation,
    /// which is repeated when the run is resumed.
    fn goes_on(&mut self, epoch: usize, step: usize, outputs: &[Outputs]) -> Result<bool>;

    /// Answers whether a run that is resumed after this many validated epochs goes on:
    /// its patience may have been changed in between.
    fn resumes(&mut self, epochs: usize) -> bool;

    /// Is told of a completed step.
    ///
    /// # Errors
    /// As [`ClientLink::goes_on`].
    fn stepped(&mut self, _step: Stepped) -> Result<()> {
        Ok(())
    }
}

/// A client in the same process that compares every state with the plain twin.
/// No link over a network implements this trait.
pub trait Compare: ClientLink {
    /// Looks at the encrypted state after step `step`.
    ///
    /// # Errors
    /// As [`ClientLink::goes_on`].
    fn compare(&mut self, step: usize, state: &[Ciphertext]) -> Result<()>;
}
