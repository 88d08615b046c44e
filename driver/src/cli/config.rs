//! Settings and sizes on the command line.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::base::error::{Error, Result};
use crate::base::files::read_at_most;
use crate::train::data::dataset::Dataset;
use crate::train::{Config, DataShape, Method, Mode};

/// The length limit of a file of settings in bytes.
const SETTINGS_LIMIT: u64 = 1 << 20;

/// Settings of a training; those on the command line come before those of the file.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings")]
pub(super) struct ConfigArgs {
    /// A TOML file with settings.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Print all settings as TOML, and do nothing else.
    #[arg(long)]
    pub(super) print_config: bool,
    /// The parameters.
    #[arg(long)]
    preset: Option<String>,
    /// How a step is computed: fast or as published.
    #[arg(long, value_parser = PossibleValuesParser::new(["fast", "paper"])
        .map(|name| if name == "fast" { Mode::Fast } else { Mode::Published }))]
    mode: Option<Mode>,
    /// How weights follow gradients.
    #[arg(long, value_parser = PossibleValuesParser::new(["nesterov", "sgd"])
        .map(|name| if name == "sgd" { Method::Sgd } else { Method::Nesterov }))]
    method: Option<Method>,
    /// Step size for the mean of the loss over a batch.
    #[arg(long, value_name = "X")]
    learning_rate: Option<f64>,
    /// Rows of a batch.
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Epochs at most.
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Epochs without a smaller validation loss after which to stop.
    #[arg(long, value_name = "N")]
    patience: Option<usize>,
    /// Largest magnitude of a logit.
    #[arg(long, value_name = "X")]
    logit_range: Option<f64>,
    /// Largest magnitude of a weight.
    #[arg(long, value_name = "X")]
    weight_range: Option<f64>,
    /// Wanted bound on the error of softmax.
    #[arg(long, value_name = "X")]
    softmax_error: Option<f64>,
    /// Steps between checkpoints.
    #[arg(long, value_name = "N")]
    checkpoint_steps: Option<usize>,
}

impl ConfigArgs {
    /// Returns the settings: `base` wherever neither the file nor the command line says otherwise.
    pub(super) fn config(&self, base: Config) -> Result<Config> {
        let mut config = match &self.config {
            Some(path) => read(path, &base)?,
            None => base,
        };
        fn set<T: Clone>(to: &mut T, value: Option<&T>) {
            if let Some(value) = value {
                to.clone_from(value);
            }
        }
        set(&mut config.preset, self.preset.as_ref());
        set(&mut config.mode, self.mode.as_ref());
        set(&mut config.method, self.method.as_ref());
        set(&mut config.learning_rate, self.learning_rate.as_ref());
        set(&mut config.batch, self.batch.as_ref());
        set(&mut config.epochs, self.epochs.as_ref());
        set(&mut config.patience, self.patience.as_ref());
        set(&mut config.logit_range, self.logit_range.as_ref());
        set(&mut config.weight_range, self.weight_range.as_ref());
        set(&mut config.softmax_error, self.softmax_error.as_ref());
        set(&mut config.checkpoint_steps, self.checkpoint_steps.as_ref());
        config.check()?;
        Ok(config)
    }
}

/// Reads the settings of a file, which may be a pipe; the others are those of `base`.
fn read(path: &Path, base: &Config) -> Result<Config> {
    let file = File::open(path).map_err(|error| Error::io(format_args!("reading {}", path.display()), &error))?;
    let bytes = read_at_most(file, path, SETTINGS_LIMIT)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let (at, field) = (error.utf8_error().valid_up_to(), format_args!("{}:", path.display()));
        Error::malformed("settings", field, format_args!("byte {at}"), "UTF-8")
    })?;
    parse(&text, &path.display().to_string(), base)
}

/// Parses the settings of a TOML text without checking their values; those that it leaves out are
/// those of `base`. `name` is for errors.
///
/// # Errors
/// [`Error::Malformed`] names the line, the key and the value that is not a setting.
pub fn parse(text: &str, name: &str, base: &Config) -> Result<Config> {
    let refused = |error: toml::de::Error| refused(name, text, &error);
    // This pass reports wrong keys and types with their lines.
    toml::from_str::<Config>(text).map_err(refused)?;
    let given: toml::Table = toml::from_str(text).map_err(refused)?;
    // The settings are not merged as JSON, which has no NaN: refusing NaN is left to the check.
    let mut merged = toml::Table::try_from(base)
        .map_err(|error| Error::malformed("settings", "before", error, "numbers that TOML has"))?;
    merged.extend(given);
    merged.try_into().map_err(refused)
}

/// Formats a TOML error as one sentence with file, line and key.
fn refused(name: &str, text: &str, error: &toml::de::Error) -> Error {
    let at = error.span().map_or(0, |span| span.start.min(text.len()));
    let number = text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count();
    let line = text.lines().nth(number).unwrap_or_default();
    let (key, value) = line.split_once('=').map_or((line, ""), |(key, value)| (key.trim(), value.trim()));
    let message = error.message().replace('\n', " ");
    let place = format_args!("{name}, line {}", number + 1);
    let wanted = message.split_once("expected ").map(|(_, wanted)| match wanted {
        "f64" => "a number".to_owned(),
        "usize" => "a whole number from 0".to_owned(),
        wanted => wanted.replace('`', ""),
    });
    match wanted {
        Some(wanted) if message.starts_with("unknown field") => {
            Error::malformed("settings", format_args!("{place}: key"), key, wanted)
        }
        Some(wanted) if !value.is_empty() => {
            Error::malformed("settings", format_args!("{place}: {key}"), value, wanted)
        }
        _ => Error::malformed("settings", format_args!("{place}:"), line, format_args!("TOML ({message})")),
    }
}

/// Prints settings as a commented file.
pub(super) fn print(config: &Config) {
    println!("{}", commented(config).trim_end());
}

fn commented(config: &Config) -> String {
    let Config {
        preset,
        mode,
        method,
        learning_rate,
        batch,
        epochs,
        patience,
        logit_range,
        weight_range,
        softmax_error,
        checkpoint_steps,
    } = config;
    let mode = mode.name();
    let method = match method {
        Method::Nesterov => "nesterov",
        Method::Sgd => "sgd",
    };
    format!(
        "# Encryption parameters: the name of a preset (hetal inspect params).
preset = {preset:?}

# How a step is computed: \"fast\", or \"paper\" as published.
mode = {mode:?}

# How weights follow gradients: \"nesterov\" (accelerated) or \"sgd\" (plain descent).
method = {method:?}

# Step size, for the mean of the loss over a batch.
learning_rate = {learning_rate:?}

# Rows of a batch; the last one of an epoch may have fewer.
batch = {batch}

# Epochs at most.
epochs = {epochs}

# Epochs without a smaller validation loss after which the client stops.
patience = {patience}

# Logits have to stay within plus or minus this.
logit_range = {logit_range:?}

# Weights have to stay within plus or minus this.
weight_range = {weight_range:?}

# Wanted bound on the error of a probability that softmax computes.
softmax_error = {softmax_error:?}

# Steps between checkpoints, besides those after every epoch.
checkpoint_steps = {checkpoint_steps}
"
    )
}

/// The size of the data, or where it is.
#[derive(Debug, Args)]
pub(super) struct ShapeArgs {
    /// The data set: a folder of .npy files, or an .npz file.
    #[arg(long, value_name = "DIR|FILE.npz", conflicts_with_all = ["rows", "features", "classes"])]
    data: Option<PathBuf>,
    /// Rows to train on, instead of the data.
    #[arg(long, value_name = "N", required_unless_present_any = ["data", "print_config"])]
    rows: Option<usize>,
    /// Features.
    #[arg(long, value_name = "F", required_unless_present_any = ["data", "print_config"])]
    features: Option<usize>,
    /// Classes.
    #[arg(long, value_name = "C", required_unless_present_any = ["data", "print_config"])]
    classes: Option<usize>,
}

impl ShapeArgs {
    pub(super) fn shape(&self) -> Result<DataShape> {
        if let Some(path) = &self.data {
            let data = Dataset::read(path)?;
            return Ok(DataShape { rows: data.train.rows(), features: data.train.columns, classes: data.classes });
        }
        // A missing number becomes 0 and is refused later; the command line was checked before.
        let [rows, features, classes] = [self.rows, self.features, self.classes].map(Option::unwrap_or_default);
        Ok(DataShape { rows, features, classes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that TOML has and JSON lacks are kept; all other settings stay as before.
    #[test]
    fn merged_settings() {
        let base = Config { preset: "test-11".to_owned(), softmax_error: 0.01, ..Config::default() };
        let merged = |text: &str| parse(text, "s.toml", &base);
        assert_eq!(merged("batch = 7\nepochs = 2"), Ok(Config { batch: 7, epochs: 2, ..base.clone() }));
        assert_eq!(merged("learning_rate = 2").expect("whole").learning_rate, 2.0);
        for bad in ["nan", "inf", "-inf", "+nan"] {
            for key in ["learning_rate", "logit_range", "weight_range", "softmax_error"] {
                let config = merged(&format!("{key} = {bad}")).expect("a number");
                let error = config.check().expect_err(bad).to_string();
                assert!(
                    error.starts_with(key)
                        && error.contains(bad.trim_start_matches('+').replace("nan", "NaN").as_str()),
                    "{error}"
                );
            }
        }
        let wrong = [
            ("batch = -1", &["s.toml, line 1: batch -1", "whole number"][..]),
            ("epochs = 1e999", &["epochs"]),
            ("preset = 1", &["s.toml, line 1: preset 1"]),
            ("\n\"\\u001b[31mred\" = 1", &["line 2: key \"\\u001b[31mred\""]),
            ("\u{1b}[31mred = 1", &["line 1: \\u{1b}[31mred"]),
            ("preset = \"a\u{1b}", &["\\u{1b}"]),
        ];
        for (text, parts) in wrong {
            let error = merged(text).expect_err(text).to_string();
            assert!(parts.iter().all(|part| error.contains(part)) && !error.contains('\u{1b}'), "{error:?}");
        }
        let deep = format!("a = {}", "[".repeat(100_000));
        assert!(merged(&deep).is_err());
    }

    /// The printed text has every setting, and parses to the same settings.
    #[test]
    fn printed_settings() {
        let other = Config { mode: Mode::Published, method: Method::Sgd, softmax_error: 1e-7, ..Config::default() };
        for config in [Config::default(), other] {
            let text = commented(&config);
            let table: toml::Table = toml::from_str(&text).expect("TOML");
            let json = serde_json::to_value(&config).expect("JSON");
            assert_eq!(table.len(), json.as_object().expect("fields").len());
            assert_eq!(toml::from_str::<Config>(&text).expect("settings"), config);
        }
    }
}
