//! The plain training that precedes an encrypted one: it finds the ranges that are needed,
//! and what to do if the settings have smaller ones.

use std::time::{Duration, Instant};

use super::progress::Progress;
use crate::base::error::Result;
use crate::train::data::dataset::Dataset;
use crate::train::data::normaliser::curvature;
use crate::train::twin::{self, Exact, Rehearsal, RowSoftmax};
use crate::train::{Config, DataShape, Method, TrainPlan};

/// The time for which `encrypt` follows the plain training. Its steps take a thousandth of those
/// of an encrypted training or less: the part that is not seen in this time is hours away in
/// the encrypted training.
const BUDGET: Duration = Duration::from_secs(60);

/// Trains on plain numbers, for a limited time, and shows progress. Returns what it saw,
/// and whether it was cut short.
pub(super) fn follow(
    dataset: &Dataset,
    config: &Config,
    softmax: impl RowSoftmax,
    label: &'static str,
    budget: Option<Duration>,
) -> Result<(Rehearsal, bool)> {
    let steps = dataset.train.rows().div_ceil(config.batch);
    let progress = Progress::new(label, steps.saturating_mul(config.epochs));
    let (begun, mut over) = (Instant::now(), false);
    let seen = twin::rehearse(dataset, config, softmax, |step, validation| {
        progress.set(step.step);
        if let Some(Some(quality)) = validation {
            progress.message(format!("loss {:.4}", quality.loss));
        }
        over = budget.is_some_and(|budget| begun.elapsed() >= budget);
        !over
    })?;
    progress.finish();
    let cut = over && seen.epochs < config.epochs;
    Ok((seen, cut))
}

/// The part of the plain training that `encrypt` has seen.
pub(super) struct Seen {
    pub(super) max_logit: f64,
    pub(super) max_weight: f64,
    /// The number of epochs that were finished.
    pub(super) epochs: usize,
    /// Whether there would have been more.
    pub(super) cut: bool,
}

impl Seen {
    /// Prints the result for people.
    pub(super) fn print(&self, config: &Config) {
        let Self { max_logit, max_weight, epochs, cut } = self;
        let (max_logit, max_weight) = (number(*max_logit), number(*max_weight));
        println!("plain training of {epochs} epochs: largest logit {max_logit}, largest weight {max_weight}");
        if *cut {
            let (all, seconds) = (config.epochs, BUDGET.as_secs());
            println!("it was followed for {seconds} s, not for all of {all} epochs, as hetal train --plain does");
        }
    }
}

/// Trains on plain numbers, and warns if the encrypted training would leave its ranges.
pub(super) fn rehearse(dataset: &Dataset, config: &Config, normalised: bool) -> Result<Seen> {
    let (Rehearsal { max_logit, max_weight, epochs, .. }, cut) =
        follow(dataset, config, Exact, "plain steps", Some(BUDGET))?;
    if let Some(text) = warning(dataset, config, normalised, [max_logit, max_weight]) {
        eprintln!("hetal: warning: {text}");
    }
    Ok(Seen { max_logit, max_weight, epochs, cut })
}

/// Returns a warning if the largest logit or weight is out of range.
fn warning(dataset: &Dataset, config: &Config, normalised: bool, largest: [f64; 2]) -> Option<String> {
    let ranges = [("logit", config.logit_range), ("weight", config.weight_range)];
    let beyond = ranges.into_iter().zip(largest).filter(|((_, range), largest)| largest > range);
    let facts: Vec<String> = beyond
        .map(|((what, range), largest)| {
            format!("the largest {what} is {} and {what}_range is {range}", number(largest))
        })
        .collect();
    let needed = Needed::new(largest);
    (!facts.is_empty()).then(|| {
        let advice = needed.at_least(config).advice(&needed.missing(config), dataset, config, normalised);
        format!("on plain data {}: {advice}", facts.join(", "))
    })
}

/// The ranges that suffice for a plain training, with a tenth more for the errors
/// of the approximations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Needed {
    pub(super) logit_range: f64,
    pub(super) weight_range: f64,
}

/// The smallest ranges: smaller ones gain nothing.
const SMALLEST: Needed = Needed { logit_range: 0.5, weight_range: 0.1 };

impl Needed {
    pub(super) fn new(largest: [f64; 2]) -> Self {
        // Ranges from 10 on are whole numbers.
        let enough = |x: f64| if x < 10.0 { (x * 11.0).ceil() / 10.0 } else { (x * 1.1).ceil() };
        let [logit, weight] = largest.map(enough);
        Self { logit_range: logit.max(SMALLEST.logit_range), weight_range: weight.max(SMALLEST.weight_range) }
    }

    /// Checks whether a training with these ranges can be planned.
    fn plan(self, dataset: &Dataset, config: &Config) -> Result<()> {
        let config = Config { logit_range: self.logit_range, weight_range: self.weight_range, ..config.clone() };
        let shape = DataShape { rows: dataset.train.rows(), features: dataset.train.columns, classes: dataset.classes };
        TrainPlan::new(&config, shape).map(|_| ())
    }

    /// Raises each range to at least that of the settings, which are known to be plannable.
    fn at_least(self, config: &Config) -> Self {
        Self {
            logit_range: self.logit_range.max(config.logit_range),
            weight_range: self.weight_range.max(config.weight_range),
        }
    }

    /// Returns advice for ranges of the settings that are too small for a training:
    /// to make keys with these `options`, or something else.
    fn advice(self, options: &str, dataset: &Dataset, config: &Config, normalised: bool) -> String {
        let planned = self.plan(dataset, config);
        if let (Err(error), Err(_)) = (&planned, SMALLEST.plan(dataset, config)) {
            return format!("no keys can be made with these settings: {error}");
        }
        let stable = stable_rate(dataset, config);
        let unfit = stable.is_some() && !normalised;
        let reason = match &planned {
            _ if unfit => format!("the features are too large for a learning rate of {}: ", config.learning_rate),
            Ok(()) => String::new(),
            Err(error) => format!("no keys can be made with {options} ({error}): "),
        };
        let slower = match stable {
            Some(rate) if rate < SMALLEST_RATE => None,
            Some(rate) => Some(format!("train with --learning-rate {rate}")),
            None => Some("train with a smaller learning rate".to_owned()),
        };
        let normalise = unfit.then(|| "pass --normalise".to_owned());
        let keys = planned.is_ok().then(|| format!("make keys with {options}"));
        reason + &[normalise, keys, slower].into_iter().flatten().collect::<Vec<_>>().join(", or ")
    }

    /// Returns [`Needed::advice`] on keys that are to be made for a training with these
    /// largest logit and weight.
    pub(super) fn keys(self, largest: [f64; 2], dataset: &Dataset, config: &Config, normalised: bool) -> String {
        let options = format!("--logit-range {} --weight-range {}", self.logit_range, self.weight_range);
        let holds = largest[0] <= config.logit_range && largest[1] <= config.weight_range;
        if holds && self.plan(dataset, config).is_ok() {
            return format!("make keys with {options}");
        }
        self.advice(&options, dataset, config, normalised)
    }

    /// Returns the options of keygen that have to differ from the settings.
    fn missing(self, config: &Config) -> String {
        let logit = (self.logit_range > config.logit_range).then(|| format!("--logit-range {}", self.logit_range));
        let weight = (self.weight_range > config.weight_range).then(|| format!("--weight-range {}", self.weight_range));
        logit.into_iter().chain(weight).collect::<Vec<_>>().join(" ")
    }
}

/// The smallest learning rate that the settings allow.
const SMALLEST_RATE: f64 = 1e-6;

/// Returns a stable learning rate, in two digits, if that of the settings is beyond what is stable
/// for features of this size, whatever the labels.
fn stable_rate(dataset: &Dataset, config: &Config) -> Option<f64> {
    let curvature = curvature(&dataset.train);
    // Quadratics are stable up to this product of learning rate and curvature.
    let bound = match config.method {
        Method::Nesterov => 4.0 / 3.0,
        Method::Sgd => 2.0,
    };
    (config.learning_rate * curvature > bound).then(|| {
        let rate = curvature.recip();
        let unit = 10f64.powf(rate.log10().floor() - 1.0);
        format!("{:.1e}", (rate / unit).floor() * unit).parse().expect("a number")
    })
}

/// Formats a number of any size.
pub(super) fn number(x: f64) -> String {
    if x < 1e5 { format!("{x:.4}") } else { format!("{x:.2e}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::data::dataset::Split;

    /// Rows whose first feature tells their class, times a factor.
    fn rows(factor: f32) -> Dataset {
        let labels: Vec<u32> = (0..60).map(|i| i % 2).collect();
        let features = labels.iter().enumerate().flat_map(|(i, &y)| [factor * (y as f32 - 0.5), (i % 7) as f32 / 7.0]);
        let train = Split { features: features.collect(), columns: 2, labels: labels.clone() };
        Dataset { train, val: None, test: None, classes: 2, class_names: None }
    }

    fn config() -> Config {
        Config { preset: "test-10".to_owned(), batch: 20, epochs: 5, ..Config::default() }
    }

    #[test]
    fn followed_for_so_long() {
        let (dataset, config) = (rows(1.0), Config { epochs: 300_000_000, ..config() });
        let (seen, cut) = follow(&dataset, &config, Exact, "steps", Some(Duration::from_millis(50))).expect("exact");
        assert!(cut && seen.epochs > 10 && seen.epochs < config.epochs, "{}", seen.epochs);
        let config = Config { epochs: 3, ..config };
        let (seen, cut) = follow(&dataset, &config, Exact, "steps", Some(Duration::ZERO)).expect("exact");
        assert!(cut && seen.epochs == 0 && seen.max_weight > 0.0);
        let (seen, cut) = follow(&dataset, &config, Exact, "steps", Some(BUDGET)).expect("exact");
        assert_eq!((seen.epochs, cut), (3, false));
    }

    #[test]
    fn needed_ranges() {
        let needed = |logit, weight| {
            let Needed { logit_range, weight_range } = Needed::new([logit, weight]);
            (logit_range, weight_range)
        };
        assert_eq!(needed(9.0, 2.0), (9.9, 2.2));
        assert_eq!(needed(10.5, 0.01), (12.0, 0.1));
        assert_eq!(needed(0.0, 30.0), (0.5, 33.0));
    }

    #[test]
    fn advice_for_ranges() {
        let text = |dataset: &Dataset, config: &Config, normalised, largest| {
            warning(dataset, config, normalised, largest).expect("is out of range")
        };
        assert_eq!(warning(&rows(1.0), &config(), false, [31.0, 3.9]), None);
        assert_eq!(
            text(&rows(1.0), &config(), false, [40.0, 1.0]),
            "on plain data the largest logit is 40.0000 and logit_range is 32: make keys with --logit-range 44, or train with a smaller \
             learning rate"
        );
        let both = text(&rows(1.0), &config(), false, [40.0, 5.0]);
        assert!(both.contains("make keys with --logit-range 44 --weight-range 5.5, or"), "{both}");
        // Features of a size for which no keys can be made, and features for which
        // keys can be made.
        assert_eq!(
            text(&rows(2e10), &config(), false, [5.9e20, 1e10]),
            "on plain data the largest logit is 5.90e20 and logit_range is 32, the largest weight is 1.00e10 and weight_range is 4: the \
             features are too large for a learning rate of 1: pass --normalise"
        );
        let large = text(&rows(20.0), &config(), false, [40.0, 1.0]);
        assert!(
            large.ends_with(
                ": pass --normalise, or make keys with --logit-range 44, or train with --learning-rate 0.019"
            ),
            "{large}"
        );
        // Features that are normalised already.
        let wild = text(&rows(1.0), &Config { learning_rate: 100.0, ..config() }, true, [1e6, 1.0]);
        let wanted = "no keys can be made with --logit-range 1100000 (";
        assert!(wild.contains(wanted) && wild.ends_with("): train with --learning-rate 1.6"), "{wild}");
        // Advice on keys that are to be made.
        let keys = |dataset: &Dataset, largest| Needed::new(largest).keys(largest, dataset, &config(), false);
        assert_eq!(keys(&rows(1.0), [5.0, 1.0]), "make keys with --logit-range 5.5 --weight-range 1.1");
        let impossible = keys(&Dataset { classes: 1000, ..rows(1.0) }, [5.0, 1.0]);
        assert!(impossible.starts_with("no keys can be made with these settings: "), "{impossible}");
    }
}
