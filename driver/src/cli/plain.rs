//! `hetal train --plain`: the training on plain numbers, from which the settings of keys are taken.

use serde::Serialize;

use super::rehearsal::{Needed, follow, number};
use super::table;
use crate::base::error::Result;
use crate::train::Config;
use crate::train::data::dataset::Dataset;
use crate::train::log::Quality;
use crate::train::metrics::quality;
use crate::train::twin::{Exact, Rehearsal};

/// The result of a training.
#[derive(Serialize)]
struct Trained {
    softmax: &'static str,
    epochs: usize,
    best_epoch: usize,
    max_logit: f64,
    max_weight: f64,
    validation: Option<Quality>,
    test: Option<Quality>,
    /// The step at which logits left the range of the approximation, which ended the training.
    left_range_at: Option<usize>,
}

impl Trained {
    fn new(softmax: &'static str, seen: &Rehearsal, dataset: &Dataset) -> Self {
        let test = dataset.test.as_ref().map(|test| quality(&seen.weights.logits(&test.features), &test.labels));
        Self {
            softmax,
            epochs: seen.epochs,
            best_epoch: seen.best_epoch,
            max_logit: seen.max_logit,
            max_weight: seen.max_weight,
            validation: seen.validation,
            test,
            left_range_at: seen.left.as_ref().map(|left| left.step),
        }
    }

    fn cells(&self) -> Vec<String> {
        let show = |quality: Option<Quality>| match quality {
            Some(q) => [number(q.loss), format!("{:.2} %", 100.0 * q.accuracy)],
            None => ["-".to_owned(), "-".to_owned()],
        };
        let start = [self.softmax.to_owned(), self.epochs.to_string(), self.best_epoch.to_string()];
        let end = [number(self.max_logit), number(self.max_weight)];
        [&start[..], &show(self.validation), &show(self.test), &end].concat()
    }
}

/// The conclusions for the keys.
#[derive(Serialize)]
struct Conclusion {
    shuffle_seed: Option<u64>,
    logit_range: f64,
    weight_range: f64,
    advice: String,
}

/// Trains with exact softmax and with the approximation, on rows as they would be encrypted.
pub(super) fn run(
    dataset: &Dataset,
    config: &Config,
    normalised: bool,
    shuffle_seed: Option<u64>,
    json: bool,
) -> Result<()> {
    let (exact, _) = follow(dataset, config, Exact, "steps, exact softmax", None)?;
    // Exact softmax can train with any range, even with one that is too small
    // for the approximation.
    let (approximate, refused) = match config.softmax(dataset.classes, false) {
        Ok(softmax) => (Some(follow(dataset, config, softmax, "steps, approximate softmax", None)?.0), None),
        Err(error) => (None, Some(error)),
    };
    let mut largest = [exact.max_logit, exact.max_weight];
    if let Some(seen) = approximate.as_ref().filter(|seen| seen.left.is_none()) {
        largest = [largest[0].max(seen.max_logit), largest[1].max(seen.max_weight)];
    }
    let needed = Needed::new(largest);
    let Needed { logit_range, weight_range } = needed;
    let advice = needed.keys(largest, dataset, config, normalised);
    let trained: Vec<Trained> = [("exact", Some(&exact)), ("approximate", approximate.as_ref())]
        .into_iter()
        .filter_map(|(name, seen)| Some(Trained::new(name, seen?, dataset)))
        .collect();
    if json {
        trained.iter().for_each(table::json);
        table::json(&Conclusion { shuffle_seed, logit_range, weight_range, advice });
        return Ok(());
    }
    let names = [
        "softmax",
        "epochs",
        "best epoch",
        "val. loss",
        "val. accuracy",
        "test loss",
        "test accuracy",
        "largest logit",
        "largest weight",
    ];
    table::print(&names, &trained.iter().map(Trained::cells).collect::<Vec<_>>());
    if let Some(left) = approximate.as_ref().and_then(|seen| seen.left.as_ref()) {
        let epoch = (left.step - 1) / dataset.train.rows().div_ceil(config.batch) + 1;
        println!(
            "with the approximation training ends at step {} (epoch {epoch}), where a logit is {} and logit_range is {}",
            left.step,
            number(left.max_logit),
            config.logit_range
        );
    }
    if let Some(error) = refused {
        println!("there is no approximation for these settings: {error}");
    }
    if let Some(seed) = shuffle_seed {
        println!("rows to train on were shuffled; encrypt --shuffle-seed {seed} has them in the same order");
    }
    println!("{advice}");
    Ok(())
}
