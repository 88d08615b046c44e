//! The plain twin: what the server does with ciphertexts, on plain numbers, with exact softmax or with an approximation of it.
//!
//! Batches are the rows in the order that they have here, which has to be that in which they were encrypted; the last one of an epoch may be smaller, and its gradient is the mean over its own rows. A constant feature 1
//! is appended as the last one, for the bias. Weights start at 0, and steps count on over epochs ([`optimiser`](super::optimiser)).
//!
//! **Which weights.** Of the two that Nesterov's method has, V is the result: validation, test and early stopping use V. (An independent training of the
//! paper's five tasks has the validation losses of V to 10⁻⁵ in every epoch; those of W differ by up to 6 % in early epochs.) Gradients, hence the
//! logits that softmax has to cope with in training, are of W, which runs ahead of V: ranges have to hold for both.
//!
//! Results are the same for every number of threads: sums run over pieces of a fixed number of rows, which are added in order.

use rayon::prelude::*;

use super::config::Config;
use super::log::Quality;
use super::metrics::quality;
use super::optimiser::Momenta;
use super::stopping::EarlyStopping;
use crate::base::error::{Error, Result, check_count};
use crate::circuits::activation::{Plain, Softmax, exact};
use crate::train::data::dataset::{Dataset, Split};

/// Rows that are summed in one piece.
const ROWS: usize = 64;
/// Partial sums of a scalar product: so many that they fill vector registers.
const LANES: usize = 8;

/// Softmax of rows of logits.
pub trait RowSoftmax: Sync {
    /// The probabilities of every row.
    ///
    /// # Errors
    /// Those of [`Plain::softmax`]: logits that leave the range an approximation is made for may be refused.
    fn rows(&self, logits: &[Vec<f64>]) -> Result<Vec<Vec<f64>>>;
}

/// Softmax without approximation.
#[derive(Clone, Copy, Debug)]
pub struct Exact;

impl RowSoftmax for Exact {
    fn rows(&self, logits: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
        Ok(logits.iter().map(|row| exact(row)).collect())
    }
}

/// An approximation, given logits as they are: one that takes them divided by its range differs only in who divides, and has a twin that does it itself.
impl<S: Softmax + Sync> RowSoftmax for S {
    fn rows(&self, logits: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
        Plain::softmax(self, logits)
    }
}

/// Weights of all classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// One row per class: a weight for every feature, then the bias.
    pub values: Vec<f64>,
    /// Features, without the bias.
    pub columns: usize,
}

impl Weights {
    /// All 0.
    #[must_use]
    pub fn zero(classes: usize, columns: usize) -> Self {
        Self { values: vec![0.0; classes * (columns + 1)], columns }
    }

    /// The number of classes.
    #[must_use]
    pub const fn classes(&self) -> usize {
        self.values.len() / (self.columns + 1)
    }

    /// The largest magnitude, biases included.
    #[must_use]
    pub fn largest(&self) -> f64 {
        self.values.iter().map(|x| x.abs()).fold(0.0, f64::max)
    }

    /// The logits of rows of features.
    ///
    /// # Panics
    /// If these are not whole rows.
    #[must_use]
    pub fn logits(&self, features: &[f32]) -> Vec<Vec<f64>> {
        assert!(features.len().is_multiple_of(self.columns), "{} values are no whole rows", features.len());
        features.par_chunks(self.columns).map(|row| self.row_logits(&with_bias(row))).collect()
    }

    fn row_logits(&self, row: &[f64]) -> Vec<f64> {
        self.values.chunks_exact(self.columns + 1).map(|weights| dot(weights, row)).collect()
    }
}

fn with_bias(row: &[f32]) -> Vec<f64> {
    row.iter().map(|x| f64::from(*x)).chain([1.0]).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        (0..LANES).for_each(|i| sums[i] += a[i] * b[i]);
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// From 1, over all epochs.
    pub step: usize,
    /// Rows of the batch.
    pub rows: usize,
    /// Of the weights before the step, on the batch.
    pub quality: Quality,
    /// The largest weight after it, of W and V.
    pub max_weight: f64,
}

/// What an epoch did.
#[derive(Clone, Debug, PartialEq)]
pub struct Epoch {
    /// From 1.
    pub epoch: usize,
    /// Its steps.
    pub steps: Vec<Step>,
    /// On the validation set, if there is one.
    pub validation: Option<Quality>,
}

/// A training in progress.
#[derive(Clone, Debug)]
pub struct Twin<S> {
    /// Where gradients are taken.
    pub w: Weights,
    /// The result.
    pub v: Weights,
    /// Steps done.
    pub step: usize,
    momenta: Momenta,
    config: Config,
    softmax: S,
}

impl<S: RowSoftmax> Twin<S> {
    /// At the start.
    ///
    /// # Errors
    /// [`Error::Range`] as [`Config::check`].
    pub fn new(config: &Config, classes: usize, columns: usize, softmax: S) -> Result<Self> {
        config.check()?;
        let zero = Weights::zero(classes, columns);
        let momenta = Momenta::new(config.method);
        Ok(Self { w: zero.clone(), v: zero, step: 0, momenta, config: config.clone(), softmax })
    }

    /// A step with a batch.
    ///
    /// # Errors
    /// [`Error::Count`] if there is not one label for every row of features; those of [`RowSoftmax::rows`].
    pub fn step(&mut self, features: &[f32], labels: &[u32]) -> Result<Step> {
        let columns = self.w.columns;
        check_count("features", features.len(), labels.len() * columns)?;
        let pieces = features.par_chunks(ROWS * columns).zip(labels.par_chunks(ROWS));
        let pieces: Vec<(Vec<Vec<f64>>, Vec<f64>)> = pieces.map(|(x, y)| self.piece(x, y)).collect::<Result<_>>()?;
        let mut gradient = vec![0.0; self.w.values.len()];
        let mut logits = Vec::with_capacity(labels.len());
        for (piece_logits, piece) in pieces {
            gradient.iter_mut().zip(&piece).for_each(|(sum, x)| *sum += x);
            logits.extend(piece_logits);
        }
        self.step += 1;
        let gamma = self.momenta.gamma();
        self.momenta.advance();
        let rate = self.config.learning_rate / labels.len() as f64;
        for ((w, v), gradient) in self.w.values.iter_mut().zip(&mut self.v.values).zip(&gradient) {
            let next = *w - rate * gradient;
            *w = (1.0 - gamma) * next + gamma * *v;
            *v = next;
        }
        let max_weight = self.w.largest().max(self.v.largest());
        Ok(Step { step: self.step, rows: labels.len(), quality: quality(&logits, labels), max_weight })
    }

    /// The logits of some rows, and the sum of their gradients.
    fn piece(&self, features: &[f32], labels: &[u32]) -> Result<(Vec<Vec<f64>>, Vec<f64>)> {
        let rows: Vec<Vec<f64>> = features.chunks_exact(self.w.columns).map(with_bias).collect();
        let logits: Vec<Vec<f64>> = rows.iter().map(|row| self.w.row_logits(row)).collect();
        let mut gradient = vec![0.0; self.w.values.len()];
        for ((row, mut errors), &label) in rows.iter().zip(self.softmax.rows(&logits)?).zip(labels) {
            errors[label as usize] -= 1.0;
            for (sums, error) in gradient.chunks_exact_mut(row.len()).zip(errors) {
                sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += error * x);
            }
        }
        Ok((logits, gradient))
    }

    /// The steps of an epoch.
    ///
    /// # Errors
    /// As [`Twin::step`].
    pub fn epoch(&mut self, dataset: &Dataset) -> Result<Vec<Step>> {
        (0..self.steps_per_epoch(&dataset.train)).map(|_| self.next(&dataset.train)).collect()
    }

    fn steps_per_epoch(&self, train: &Split) -> usize {
        train.rows().div_ceil(self.config.batch)
    }

    /// The rows of the batch whose turn it is.
    fn batch<'a>(&self, train: &'a Split) -> (&'a [f32], &'a [u32]) {
        let from = self.step % self.steps_per_epoch(train) * self.config.batch;
        let to = (from + self.config.batch).min(train.rows());
        (&train.features[from * train.columns..to * train.columns], &train.labels[from..to])
    }

    /// The step whose turn it is.
    fn next(&mut self, train: &Split) -> Result<Step> {
        let (features, labels) = self.batch(train);
        self.step(features, labels)
    }

    /// The step whose turn it is; or why there is none, where logits leave the range of the softmax.
    pub(super) fn next_in_range(&mut self, train: &Split) -> Result<Result<Step, Left>> {
        match self.next(train) {
            Err(error @ Error::Range { .. }) => {
                let (features, labels) = self.batch(train);
                let max_logit = quality(&self.w.logits(features), labels).max_logit;
                Ok(Err(Left { step: self.step + 1, max_logit, error }))
            }
            step => step.map(Ok),
        }
    }

    /// How good the result is on the validation set, if there is one.
    pub(super) fn validation(&self, dataset: &Dataset) -> Option<Quality> {
        dataset.val.as_ref().map(|val| quality(&self.v.logits(&val.features), &val.labels))
    }
}

/// Where the logits of a training left the range for which its softmax is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Left {
    /// The step that could not be done, from 1.
    pub step: usize,
    /// The largest logit of its batch.
    pub max_logit: f64,
    /// What the softmax says.
    pub error: Error,
}

/// What a training comes to, in so much memory as it takes however many epochs it has.
#[derive(Clone, Debug, PartialEq)]
pub struct Rehearsal {
    /// The weights after the best epoch; if no epoch was finished, those after the last step.
    pub weights: Weights,
    /// The epoch with the smallest validation loss, from 1; without a validation set, the last one; 0 if no epoch was finished.
    pub best_epoch: usize,
    /// On the validation set after the best epoch.
    pub validation: Option<Quality>,
    /// Epochs that were finished.
    pub epochs: usize,
    /// The largest logit of all batches and validations: what `logit_range` has to exceed.
    pub max_logit: f64,
    /// The largest weight of all steps: what `weight_range` has to exceed.
    pub max_weight: f64,
    /// Where the logits left the range of the softmax, which ended the training.
    pub left: Option<Left>,
}

/// Trains until the validation loss has not fallen for `patience` epochs, all epochs are done, logits leave the range of the softmax, or
/// `on_step` says not to go on. It is told every step, and with the last one of an epoch the validation.
///
/// # Errors
/// Those of [`Twin::new`] and [`Twin::step`], but for logits out of range.
pub fn rehearse(
    dataset: &Dataset,
    config: &Config,
    softmax: impl RowSoftmax,
    mut on_step: impl FnMut(&Step, Option<Option<Quality>>) -> bool,
) -> Result<Rehearsal> {
    let mut twin = Twin::new(config, dataset.classes, dataset.train.columns, softmax)?;
    let mut stopping = EarlyStopping::new(config.patience);
    let mut seen = Rehearsal {
        weights: twin.v.clone(),
        best_epoch: 0,
        validation: None,
        epochs: 0,
        max_logit: 0.0,
        max_weight: 0.0,
        left: None,
    };
    let steps = twin.steps_per_epoch(&dataset.train);
    while seen.epochs < config.epochs {
        let step = match twin.next_in_range(&dataset.train)? {
            Ok(step) => step,
            Err(left) => {
                seen.max_logit = seen.max_logit.max(left.max_logit);
                seen.left = Some(left);
                break;
            }
        };
        seen.max_logit = seen.max_logit.max(step.quality.max_logit);
        seen.max_weight = seen.max_weight.max(step.max_weight);
        let ended = twin.step.is_multiple_of(steps).then(|| twin.validation(dataset));
        let mut goes_on = true;
        if let Some(validation) = ended {
            seen.epochs += 1;
            seen.max_logit = seen.max_logit.max(validation.map_or(0.0, |quality| quality.max_logit));
            if validation.is_none_or(|quality| stopping.is_best(quality.loss)) {
                (seen.weights, seen.best_epoch, seen.validation) = (twin.v.clone(), seen.epochs, validation);
            }
            goes_on = validation.is_none() || stopping.goes_on();
        }
        if !on_step(&step, ended) || !goes_on {
            break;
        }
    }
    if seen.epochs == 0 {
        seen.weights = twin.v;
    }
    Ok(seen)
}

/// A training that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// The weights after the epoch with the smallest validation loss; without a validation set, after the last one.
    pub weights: Weights,
    /// That epoch, from 1.
    pub best_epoch: usize,
    /// What happened.
    pub epochs: Vec<Epoch>,
}

impl Trained {
    /// The largest logit of all batches and validations: what `logit_range` has to exceed.
    #[must_use]
    pub fn max_logit(&self) -> f64 {
        let qualities = self.epochs.iter().flat_map(|e| e.steps.iter().map(|s| s.quality).chain(e.validation));
        qualities.map(|quality| quality.max_logit).fold(0.0, f64::max)
    }

    /// The largest weight of all steps: what `weight_range` has to exceed.
    #[must_use]
    pub fn max_weight(&self) -> f64 {
        self.epochs.iter().flat_map(|epoch| &epoch.steps).map(|step| step.max_weight).fold(0.0, f64::max)
    }
}

/// Trains as [`rehearse`] does, and keeps all epochs, of which `on_epoch` is told.
///
/// # Errors
/// Those of [`rehearse`], and [`Error::Range`] for logits that leave the range of the softmax.
pub fn train(
    dataset: &Dataset,
    config: &Config,
    softmax: impl RowSoftmax,
    mut on_epoch: impl FnMut(&Epoch),
) -> Result<Trained> {
    let (mut epochs, mut steps) = (Vec::new(), Vec::new());
    let Rehearsal { weights, best_epoch, left, .. } = rehearse(dataset, config, softmax, |step, ended| {
        steps.push(*step);
        if let Some(validation) = ended {
            let epoch = Epoch { epoch: epochs.len() + 1, steps: std::mem::take(&mut steps), validation };
            on_epoch(&epoch);
            epochs.push(epoch);
        }
        true
    })?;
    left.map_or(Ok(Trained { weights, best_epoch, epochs }), |left| Err(left.error))
}
