//! The plain twin: the server's computation on plain numbers instead of ciphertexts,
//! with exact softmax or with an approximation of it.
//!
//! Batches are consecutive rows in the given order, which has to be the order in which they were
//! encrypted. The last batch of an epoch may be smaller; its gradient is the mean over its own
//! rows. A constant feature 1 is appended as the last one, for the bias. Weights start at 0,
//! and steps count on over epochs ([`optimiser`](super::optimiser)).
//!
//! **Which weights.** Of the two matrices of Nesterov's method, V is the result: validation, test
//! and early stopping use V. (In an independent training of the five tasks of HETAL (the paper),
//! the validation losses are those of V to 10⁻⁵ in every epoch; those of W differ by up to 6 % in
//! early epochs.) Gradients are taken at W, which runs ahead of V; hence the logits that softmax
//! has to cope with in training are those of W. Ranges therefore have to hold for both.
//!
//! Results are the same for every number of threads: sums run over pieces of a fixed number of
//! rows, which are added in order.

use rayon::prelude::*;

use super::config::Config;
use super::log::Quality;
use super::metrics::quality;
use super::optimiser::Momenta;
use super::stopping::EarlyStopping;
use crate::base::error::{Error, Result, check_count};
use crate::circuits::activation::{Plain, Softmax, exact};
use crate::train::data::dataset::{Dataset, Split};

/// The number of rows that are summed in one piece.
const ROWS: usize = 64;
/// The number of partial sums of a scalar product: enough to fill vector registers.
const LANES: usize = 8;

/// A softmax of rows of logits.
pub trait RowSoftmax: Sync {
    /// Returns the probabilities of every row.
    ///
    /// # Errors
    /// The errors of [`Plain::softmax`]: an approximation may refuse logits that leave the range
    /// for which it is made.
    fn rows(&self, logits: &[Vec<f64>]) -> Result<Vec<Vec<f64>>>;
}

/// The softmax without approximation.
#[derive(Clone, Copy, Debug)]
pub struct Exact;

impl RowSoftmax for Exact {
    fn rows(&self, logits: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
        Ok(logits.iter().map(|row| exact(row)).collect())
    }
}

/// An approximation, given undivided logits. An approximation that takes logits divided by their
/// range differs only in who divides; it has a twin that divides by itself.
impl<S: Softmax + Sync> RowSoftmax for S {
    fn rows(&self, logits: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
        Plain::softmax(self, logits)
    }
}

/// The weights of all classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// One row for each class: a weight for every feature, then the bias.
    pub values: Vec<f64>,
    /// The number of features, without the bias.
    pub columns: usize,
}

impl Weights {
    /// Returns weights that are all 0.
    #[must_use]
    pub fn zero(classes: usize, columns: usize) -> Self {
        Self { values: vec![0.0; classes * (columns + 1)], columns }
    }

    /// Returns the number of classes.
    #[must_use]
    pub const fn classes(&self) -> usize {
        self.values.len() / (self.columns + 1)
    }

    /// Returns the largest magnitude of a weight, biases included.
    #[must_use]
    pub fn largest(&self) -> f64 {
        self.values.iter().map(|x| x.abs()).fold(0.0, f64::max)
    }

    /// Returns the logits of rows of features.
    ///
    /// # Panics
    /// If `features` does not consist of whole rows.
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

/// The results of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The number of the step, counted from 1 over all epochs.
    pub step: usize,
    /// The number of rows of the batch.
    pub rows: usize,
    /// The quality of the weights before the step, on the batch.
    pub quality: Quality,
    /// The largest weight of W and V after the step.
    pub max_weight: f64,
}

/// The results of an epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Epoch {
    /// The number of the epoch, counted from 1.
    pub epoch: usize,
    /// The steps of the epoch.
    pub steps: Vec<Step>,
    /// The quality on the validation set, if there is one.
    pub validation: Option<Quality>,
}

/// A training in progress.
#[derive(Clone, Debug)]
pub struct Twin<S> {
    /// The weights at which gradients are taken.
    pub w: Weights,
    /// The weights that are the result.
    pub v: Weights,
    /// The number of steps done.
    pub step: usize,
    momenta: Momenta,
    config: Config,
    softmax: S,
}

impl<S: RowSoftmax> Twin<S> {
    /// Creates a training that has not made a step yet.
    ///
    /// # Errors
    /// [`Error::Range`] as in [`Config::check`].
    pub fn new(config: &Config, classes: usize, columns: usize, softmax: S) -> Result<Self> {
        config.check()?;
        let zero = Weights::zero(classes, columns);
        let momenta = Momenta::new(config.method);
        Ok(Self { w: zero.clone(), v: zero, step: 0, momenta, config: config.clone(), softmax })
    }

    /// Makes a step with a batch.
    ///
    /// # Errors
    /// [`Error::Count`] if there is not one label for every row of features;
    /// the errors of [`RowSoftmax::rows`].
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

    /// Returns the logits of some rows, and the sum of their gradients.
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

    /// Makes the steps of an epoch.
    ///
    /// # Errors
    /// As [`Twin::step`].
    pub fn epoch(&mut self, dataset: &Dataset) -> Result<Vec<Step>> {
        (0..self.steps_per_epoch(&dataset.train)).map(|_| self.next(&dataset.train)).collect()
    }

    fn steps_per_epoch(&self, train: &Split) -> usize {
        train.rows().div_ceil(self.config.batch)
    }

    /// Returns the features and labels of the next batch.
    fn batch<'a>(&self, train: &'a Split) -> (&'a [f32], &'a [u32]) {
        let from = self.step % self.steps_per_epoch(train) * self.config.batch;
        let to = (from + self.config.batch).min(train.rows());
        (&train.features[from * train.columns..to * train.columns], &train.labels[from..to])
    }

    /// Makes the next step.
    fn next(&mut self, train: &Split) -> Result<Step> {
        let (features, labels) = self.batch(train);
        self.step(features, labels)
    }

    /// Makes the next step, or says why there is none if logits leave the range of the softmax.
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

    /// Returns the quality of the result on the validation set, if there is one.
    pub(super) fn validation(&self, dataset: &Dataset) -> Option<Quality> {
        dataset.val.as_ref().map(|val| quality(&self.v.logits(&val.features), &val.labels))
    }
}

/// The point at which the logits of a training left the range for which its softmax is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Left {
    /// The step that could not be done, counted from 1.
    pub step: usize,
    /// The largest logit of its batch.
    pub max_logit: f64,
    /// The error of the softmax.
    pub error: Error,
}

/// The result of a training. It takes the same memory for any number of epochs.
#[derive(Clone, Debug, PartialEq)]
pub struct Rehearsal {
    /// The weights after the best epoch; if no epoch was finished, those after the last step.
    pub weights: Weights,
    /// The epoch with the smallest validation loss, counted from 1; without a validation set,
    /// the last epoch; 0 if no epoch was finished.
    pub best_epoch: usize,
    /// The quality on the validation set after the best epoch.
    pub validation: Option<Quality>,
    /// The number of epochs that were finished.
    pub epochs: usize,
    /// The largest logit of all batches and validations, which `logit_range` has to exceed.
    pub max_logit: f64,
    /// The largest weight of all steps, which `weight_range` has to exceed.
    pub max_weight: f64,
    /// The point at which the logits left the range of the softmax, if this ended the training.
    pub left: Option<Left>,
}

/// Trains until the validation loss has not fallen for `patience` epochs, all epochs are done,
/// logits leave the range of the softmax, or `on_step` returns `false`. `on_step` is called after
/// every step; after the last step of an epoch it also gets the validation.
///
/// # Errors
/// The errors of [`Twin::new`] and [`Twin::step`], except for logits out of range.
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
    /// The weights after the epoch with the smallest validation loss; without a validation set,
    /// after the last epoch.
    pub weights: Weights,
    /// The epoch of these weights, counted from 1.
    pub best_epoch: usize,
    /// The results of all epochs.
    pub epochs: Vec<Epoch>,
}

impl Trained {
    /// Returns the largest logit of all batches and validations, which `logit_range` has to exceed.
    #[must_use]
    pub fn max_logit(&self) -> f64 {
        let qualities = self.epochs.iter().flat_map(|e| e.steps.iter().map(|s| s.quality).chain(e.validation));
        qualities.map(|quality| quality.max_logit).fold(0.0, f64::max)
    }

    /// Returns the largest weight of all steps, which `weight_range` has to exceed.
    #[must_use]
    pub fn max_weight(&self) -> f64 {
        self.epochs.iter().flat_map(|epoch| &epoch.steps).map(|step| step.max_weight).fold(0.0, f64::max)
    }
}

/// Trains like [`rehearse`], keeps the results of all epochs, and calls
/// `on_epoch` with each of them.
///
/// # Errors
/// The errors of [`rehearse`], and [`Error::Range`] for logits that leave the range of the softmax.
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
