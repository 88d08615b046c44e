//! Plain twins that follow an encrypted training, epoch by epoch.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::error::{Error, Result};
use crate::circuits::activation::Variant;
use crate::train::config::Config;
use crate::train::data::dataset::Dataset;
use crate::train::log::{ClientEvent, Quality};
use crate::train::twin::{Exact, RowSoftmax, Step, Twin};

/// A twin that is as far as the run, or is catching up with it.
#[derive(Debug)]
struct Follower<S> {
    twin: Twin<S>,
    /// The last step that was done.
    last: Option<Step>,
    /// The largest logit of all batches so far, each with W before its step.
    max_logit: f64,
    /// Whether the logits have left the range of the softmax. The twin then stays
    /// where it is for good.
    left: bool,
}

impl<S: RowSoftmax> Follower<S> {
    fn new(config: &Config, dataset: &Dataset, softmax: S) -> Result<Self> {
        let twin = Twin::new(config, dataset.classes, dataset.train.columns, softmax)?;
        Ok(Self { twin, last: None, max_logit: 0.0, left: false })
    }

    /// Advances the twin until `steps` steps are done in all.
    fn advance(&mut self, steps: usize, dataset: &Dataset, interrupt: &AtomicBool) -> Result<()> {
        while self.twin.step < steps && !self.left {
            if interrupt.load(Ordering::Relaxed) {
                return Err(Error::Interrupted { step: self.twin.step });
            }
            let seen = match self.twin.next_in_range(&dataset.train)? {
                Ok(step) => {
                    self.last = Some(step);
                    step.quality.max_logit
                }
                Err(left) => {
                    self.left = true;
                    left.max_logit
                }
            };
            self.max_logit = self.max_logit.max(seen);
        }
        Ok(())
    }

    fn validation(&self, dataset: &Dataset) -> Option<Quality> {
        if self.left { None } else { self.twin.validation(dataset) }
    }
}

/// The twins of a run: one with the same approximations, and one with exact softmax.
/// Each is computed only as far as somebody asks, and keeps nothing but its state.
#[derive(Debug)]
pub struct Twins<'a> {
    dataset: &'a Dataset,
    approximate: Follower<Variant>,
    exact: Follower<Exact>,
    interrupt: &'a AtomicBool,
}

impl<'a> Twins<'a> {
    /// Creates the twins for rows as they were encrypted: normalised, and in the same order.
    /// They stop as soon as `interrupt` is set.
    ///
    /// # Errors
    /// The errors of [`Config::check`] and [`Config::softmax`].
    pub fn new(config: &Config, dataset: &'a Dataset, interrupt: &'a AtomicBool) -> Result<Self> {
        let approximate = Follower::new(config, dataset, config.softmax(dataset.classes, false)?)?;
        Ok(Self { dataset, approximate, exact: Follower::new(config, dataset, Exact)?, interrupt })
    }

    /// Returns the quality of both twins on the validation set after `steps` steps.
    /// The first twin has no quality once its logits have left the range of the softmax.
    /// This does not end the run, whose own logits are checked.
    ///
    /// # Errors
    /// [`Error::Interrupted`]: the next call goes on where this one was interrupted.
    pub fn validate(&mut self, steps: usize) -> Result<[Option<Quality>; 2]> {
        self.approximate.advance(steps, self.dataset, self.interrupt)?;
        self.exact.advance(steps, self.dataset, self.interrupt)?;
        Ok([self.approximate.validation(self.dataset), self.exact.validation(self.dataset)])
    }

    /// Returns the largest logit that a training row had within `steps` steps, according to
    /// the twin with the same approximations. The run applied softmax to the encrypted logits,
    /// which the server cannot see and the client does not get.
    ///
    /// # Errors
    /// As [`Twins::validate`].
    pub fn max_logit(&mut self, steps: usize) -> Result<f64> {
        self.approximate.advance(steps, self.dataset, self.interrupt)?;
        Ok(self.approximate.max_logit)
    }

    /// Returns how far the decrypted weights W and V are, after `steps` steps, from those of the
    /// twin with the same approximations; `None` once this twin has left its range.
    ///
    /// # Errors
    /// As [`Twins::validate`].
    pub fn compare(&mut self, steps: usize, [w, v]: &[Vec<f64>; 2]) -> Result<Option<ClientEvent>> {
        self.approximate.advance(steps, self.dataset, self.interrupt)?;
        let Follower { twin, last, left, .. } = &self.approximate;
        let Some(step) = last.filter(|_| !left) else { return Ok(None) };
        let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        Ok(Some(ClientEvent::Weights {
            step: steps,
            difference: difference(w, &twin.w.values).max(difference(v, &twin.v.values)),
            max_weight: step.max_weight,
            max_logit: step.quality.max_logit,
            loss: step.quality.loss,
        }))
    }
}
