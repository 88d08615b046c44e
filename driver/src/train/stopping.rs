//! Decides when to stop, and which epoch is the result.

use super::log::{ClientEvent, Quality, latest};

/// Returns the validations of a log by epoch; of several for one epoch, the last.
pub fn validations(events: &[ClientEvent]) -> impl Iterator<Item = (usize, Quality)> {
    latest(events).into_iter().filter_map(|event| match event {
        ClientEvent::Validation { epoch, encrypted, .. } => Some((*epoch, *encrypted)),
        _ => None,
    })
}

/// Returns the epoch that is the result: the first one with the smallest loss among those whose
/// logits stayed within their range. Beyond this range softmax is wrong.
pub fn best_epoch(validations: impl IntoIterator<Item = (usize, Quality)>, logit_range: f64) -> Option<usize> {
    let right = validations.into_iter().filter(|(_, q)| q.max_logit <= logit_range && !q.loss.is_nan());
    right.min_by(|(a, x), (b, y)| x.loss.total_cmp(&y.loss).then(a.cmp(b))).map(|(epoch, _)| epoch)
}

/// Follows validation losses, epoch by epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct EarlyStopping {
    patience: usize,
    epoch: usize,
    best: Option<(usize, f64)>,
}

impl EarlyStopping {
    /// Creates a rule that stops after `patience` epochs without a smaller loss.
    #[must_use]
    pub const fn new(patience: usize) -> Self {
        Self { patience, epoch: 0, best: None }
    }

    /// Records the loss of the next epoch, and returns whether it is the smallest so
    /// far. NaN never is.
    pub fn is_best(&mut self, loss: f64) -> bool {
        self.epoch += 1;
        let better = !loss.is_nan() && self.best.is_none_or(|(_, best)| loss < best);
        if better {
            self.best = Some((self.epoch, loss));
        }
        better
    }

    /// Returns whether to go on.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.epoch < self.best_epoch() + self.patience
    }

    /// Returns the epoch with the smallest loss, counted from 1; 0 if there is none.
    #[must_use]
    pub fn best_epoch(&self) -> usize {
        self.best.map_or(0, |(epoch, _)| epoch)
    }
}
