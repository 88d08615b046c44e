//! The client's answers to the server: early stopping and the check of the logits' range.

use std::collections::BTreeMap;

use super::Client;
use super::twins::Twins;
use crate::base::error::{Result, check_count};
use crate::ckks::ciphertext::Ciphertext;
use crate::train::log::{ClientEvent, Quality, Writer, latest};
use crate::train::metrics::{largest, quality};
use crate::train::protocol::{ClientLink, Compare, Outputs};
use crate::train::stopping::best_epoch;

/// A client that stops when the validation loss has not fallen for a while or a logit has left its
/// range, and that logs what it sees.
#[derive(Debug)]
pub struct Validator<'a> {
    client: &'a Client,
    labels: &'a [u32],
    /// By epoch: the quality of V, and the largest logit of W.
    validations: BTreeMap<usize, (Quality, Option<f64>)>,
    twins: Twins<'a>,
    log: Writer<ClientEvent>,
}

impl<'a> Validator<'a> {
    /// Creates a validator with the labels of the validation set and the plain twins.
    /// `earlier` holds the logged events of a run that is resumed.
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
        Self { client, labels, validations, twins, log }
    }

    /// Returns the result of the last validation: the quality of V, and the largest logit of W.
    #[must_use]
    pub fn last(&self) -> Option<(Quality, Option<f64>)> {
        self.validations.values().next_back().copied()
    }

    /// Returns the largest logit of a training row in so many steps, computed by the plain twin.
    ///
    /// # Errors
    /// Those of [`Twins::max_logit`].
    pub fn max_logit_rows(&mut self, steps: usize) -> Result<f64> {
        self.twins.max_logit(steps)
    }

    /// Returns the epoch that is the result so far: see [`best_epoch`].
    #[must_use]
    pub fn best_epoch(&self) -> Option<usize> {
        let qualities = self.validations.iter().map(|(&epoch, &(quality, _))| (epoch, quality));
        best_epoch(qualities, self.client.plan().config().logit_range)
    }
}

impl ClientLink for Validator<'_> {
    fn goes_on(&mut self, epoch: usize, step: usize, outputs: &[Outputs]) -> Result<bool> {
        let labels = self.labels.chunks(self.client.plan().batch());
        check_count("batches of outputs", outputs.len(), labels.len())?;
        let (mut v, mut w) = (Vec::with_capacity(self.labels.len()), Vec::with_capacity(self.labels.len()));
        for (outputs, labels) in outputs.iter().zip(labels) {
            v.extend(self.client.logits(&outputs.v, labels.len())?);
            w.extend(self.client.logits(&outputs.w, labels.len())?);
        }
        let (encrypted, max_logit_w) = (quality(&v, self.labels), Some(largest(&w)));
        // The twins may be interrupted, so nothing of this epoch is recorded before they are done.
        let [twin, exact] = self.twins.validate(step)?;
        let max_logit_rows = Some(self.twins.max_logit(step)?);
        self.validations.insert(epoch, (encrypted, max_logit_w));
        let go_on = self.resumes(epoch);
        let event = ClientEvent::Validation { epoch, step, encrypted, max_logit_w, max_logit_rows, twin, exact, go_on };
        self.log.write(&event)?;
        Ok(go_on)
    }

    /// Says no once a logit has left its range: softmax is then wrong without any sign of it,
    /// so that there is no use in going on.
    fn resumes(&mut self, epochs: usize) -> bool {
        self.validations.split_off(&(epochs + 1));
        let config = self.client.plan().config();
        let beyond = |logit: f64| logit > config.logit_range || logit.is_nan();
        let last = self.validations.get(&epochs);
        let in_range = last.is_none_or(|(v, w)| !beyond(v.max_logit) && !w.is_some_and(beyond));
        in_range && epochs < self.best_epoch().unwrap_or(0) + config.patience
    }
}

impl Compare for Validator<'_> {
    fn compare(&mut self, step: usize, state: &[Ciphertext]) -> Result<()> {
        let weights = self.client.weights(state)?;
        let event = self.twins.compare(step, &weights)?;
        event.map_or(Ok(()), |event| self.log.write(&event))
    }
}
