//! The settings of a training: a TOML file with a default for everything.

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result, check_range};
use crate::circuits::activation::{NormaliseSquare, NormaliseSquareConfig, Published, PublishedConfig, Variant};

/// The way in which a step is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Skewed products, normalise-and-square softmax, and the weights of all blocks
    /// in one ciphertext.
    Fast,
    /// The published method: `DiagABT`, `DiagATB`, and softmax with an approximate maximum.
    #[serde(rename = "paper")]
    Published,
}

impl Mode {
    /// Returns the name of the mode in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Published => "paper",
        }
    }
}

/// The rule by which weights follow gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Nesterov's accelerated gradient.
    Nesterov,
    /// Plain gradient descent.
    Sgd,
}

/// The settings of a training. A setting that is left out of a file has its default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The parameters, by the name of a preset.
    pub preset: String,
    /// The way in which a step is computed.
    pub mode: Mode,
    /// The rule by which weights follow gradients.
    pub method: Method,
    /// The step size η, for the mean of the loss over a batch.
    pub learning_rate: f64,
    /// The number of rows of a batch; the last batch of an epoch may have fewer.
    pub batch: usize,
    /// The largest number of epochs.
    pub epochs: usize,
    /// The number of epochs without a smaller validation loss after which the client stops.
    pub patience: usize,
    /// The range R: logits have to stay within [−R, R].
    pub logit_range: f64,
    /// The range of the weights: they have to stay within [−`weight_range`, `weight_range`].
    pub weight_range: f64,
    /// The wanted bound on the error of softmax. The published method ignores it:
    /// its approximation has the error that it has.
    pub softmax_error: f64,
    /// The number of steps between checkpoints, besides those after every epoch.
    pub checkpoint_steps: usize,
}

/// The settings for which keys and encrypted data are made.
pub const OF_KEYS: [&str; 6] = ["preset", "mode", "batch", "logit_range", "weight_range", "softmax_error"];
/// The settings that every step of a run depends on. All others may change when a run is resumed.
pub const OF_RUN: [&str; 2] = ["method", "learning_rate"];

impl Default for Config {
    fn default() -> Self {
        Self {
            preset: "n16".to_owned(),
            mode: Mode::Fast,
            method: Method::Nesterov,
            learning_rate: 1.0,
            batch: 1024,
            epochs: 20,
            patience: 3,
            logit_range: 32.0,
            weight_range: 4.0,
            softmax_error: 1e-3,
            checkpoint_steps: 10,
        }
    }
}

impl Config {
    /// Refuses settings that are out of range.
    ///
    /// # Errors
    /// [`Error::Range`] names the setting.
    pub fn check(&self) -> Result<()> {
        let most = f64::from(u32::MAX);
        let checks = [
            ("learning_rate", self.learning_rate, 1e-6, 1e3),
            ("batch", self.batch as f64, 1.0, most),
            ("epochs", self.epochs as f64, 1.0, most),
            ("patience", self.patience as f64, 1.0, most),
            ("logit_range", self.logit_range, 0.5, 1024.0),
            ("weight_range", self.weight_range, 1e-3, 1e3),
            ("softmax_error", self.softmax_error, 1e-7, 0.1),
            ("checkpoint_steps", self.checkpoint_steps as f64, 1.0, most),
        ];
        checks.into_iter().try_for_each(|(what, value, min, max)| check_range(what, value, min, max))
    }

    /// Refuses these settings if one of those in `names` differs from `wanted`;
    /// `remedy` tells the user what to do.
    ///
    /// # Errors
    /// [`Error::Malformed`] names the first setting that differs, and both values.
    pub fn check_same(&self, wanted: &Self, names: &[&str], remedy: &str) -> Result<()> {
        let json = |config: &Self| serde_json::to_value(config).expect("numbers and strings have a JSON form");
        let (found, wanted) = (json(self), json(wanted));
        let Some(name) = names.iter().find(|&&name| found[name] != wanted[name]) else { return Ok(()) };
        let wanted = format_args!("{}: {remedy}", wanted[name]);
        Err(Error::malformed("settings", name, &found[name], wanted))
    }

    /// Returns the softmax of the mode; `scaled` says that its input is already divided
    /// by the logit range.
    ///
    /// # Errors
    /// [`Error::SoftmaxError`] if there is no softmax for the range, the error and the number
    /// of classes, or [`Error::TooMany`] for the number of classes with the published method;
    /// [`Error::Range`] for settings that [`Config::check`] refuses.
    pub fn softmax(&self, classes: usize, scaled: bool) -> Result<Variant> {
        let range = self.logit_range;
        Ok(match self.mode {
            Mode::Fast => Variant::NormaliseSquare(NormaliseSquare::new(NormaliseSquareConfig {
                error: self.softmax_error,
                scaled,
                ..NormaliseSquareConfig::new(classes, range)
            })?),
            Mode::Published if classes > Published::MOST_CLASSES => {
                let (what, place, most) = ("classes", "the softmax of mode paper".to_owned(), Published::MOST_CLASSES);
                return Err(Error::TooMany { what, found: classes, place, most, advice: "use fewer, or mode fast" });
            }
            Mode::Published => {
                Variant::Published(Published::new(PublishedConfig { classes, range, precise: false, scaled })?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every setting binds the keys, binds the run, or is free to change.
    #[test]
    fn what_settings_bind() {
        let all = serde_json::to_value(Config::default()).expect("JSON");
        let mut names: Vec<&str> = all.as_object().expect("settings").keys().map(String::as_str).collect();
        let mut listed = [&OF_KEYS[..], &OF_RUN, &["epochs", "patience", "checkpoint_steps"]].concat();
        names.sort_unstable();
        listed.sort_unstable();
        assert_eq!(names, listed);
        let other = Config { learning_rate: 0.5, epochs: 3, ..Config::default() };
        let same = |names| Config::default().check_same(&other, names, "do that").map_err(|error| error.to_string());
        assert_eq!(same(&OF_KEYS), Ok(()));
        assert_eq!(same(&OF_RUN), Err("settings: learning_rate 1.0: must be 0.5: do that".to_owned()));
    }
}
