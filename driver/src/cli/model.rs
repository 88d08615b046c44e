//! `hetal evaluate` and `hetal predict`: what the client does with a trained model.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, value_parser};
use serde::Serialize;

use super::encrypt::{normaliser_of, split_of};
use super::progress::Progress;
use super::table;
use crate::ciphertext::Ciphertext;
use crate::circuits::softmax::exact;
use crate::error::{Error, Result};
use crate::io::dataset::{Dataset, Features};
use crate::io::normaliser::Normaliser;
use crate::io::npy;
use crate::train::log::{self, ClientEvent, Quality, Writer, latest};
use crate::train::metrics::{Confusion, predicted, quality};
use crate::train::store::{DataFolder, KeyFolder, Part, RunFolder};
use crate::train::twin::Weights;
use crate::train::{Client, Server, TrainPlan};

/// Decrypted weights this many times their range are none: what another secret key makes of them is larger by far.
const BEYOND: f64 = 16.0;

/// Which model.
#[derive(Debug, Args)]
pub(super) struct ModelArgs {
    /// The folder of keys.
    #[arg(long, value_name = "DIR")]
    keys: PathBuf,
    /// The folder of the run.
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// The epoch of the model; that with the least validation loss by default.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    epoch: Option<u32>,
}

/// A model, and who can read it.
struct Model {
    folder: KeyFolder,
    client: Client,
    run: RunFolder,
    epoch: usize,
    state: Vec<Ciphertext>,
    normaliser: Option<Normaliser>,
}

impl ModelArgs {
    fn open(&self) -> Result<Model> {
        let folder = KeyFolder::open(&self.keys)?;
        let client = Client::new(folder.plan().clone(), folder.secret()?)?;
        let run = RunFolder::open(&self.run)?;
        let epoch = match self.epoch {
            Some(epoch) => epoch as usize,
            None => best_epoch(&self.run, &run)?,
        };
        let state = run.read_model(folder.plan(), epoch)?;
        let normaliser = normaliser_of(&self.keys)?;
        Ok(Model { folder, client, run, epoch, state, normaliser })
    }
}

/// The epoch with the least validation loss; where none was validated, the last one with a model.
fn best_epoch(path: &Path, run: &RunFolder) -> Result<usize> {
    let log = run.client_log();
    let events: Vec<ClientEvent> = if matches!(log.try_exists(), Ok(false)) { Vec::new() } else { log::read(&log)? };
    let validations = latest(&events).into_iter().filter_map(|event| match event {
        ClientEvent::Validation { epoch, encrypted, .. } => Some((*epoch, encrypted.loss)),
        _ => None,
    });
    if let Some((epoch, _)) = validations.min_by(|a, b| a.1.total_cmp(&b.1)) {
        return Ok(epoch);
    }
    let fails = |error| Error::io(format_args!("reading {}", path.display()), &error);
    let names = std::fs::read_dir(path).map_err(fails)?.map(|entry| Ok(entry.map_err(fails)?.file_name()));
    let names = names.collect::<Result<Vec<_>>>()?;
    let number = |name: &std::ffi::OsString| name.to_str()?.strip_prefix("model-")?.strip_suffix(".ct")?.parse().ok();
    let missing = || Error::malformed("run", format_args!("{}: models", path.display()), 0, "at least 1: train first");
    names.iter().filter_map(number).max().ok_or_else(missing)
}

impl Model {
    fn plan(&self) -> &TrainPlan {
        self.folder.plan()
    }

    /// V, the result.
    fn weights(&self) -> Result<Weights> {
        let [_, values] = self.client.weights(&self.state)?;
        let weights = Weights { values, columns: self.plan().shape().features };
        let (largest, range) = (weights.largest(), self.plan().config().weight_range);
        if largest > range * BEYOND {
            let wanted = format_args!("within {range}, or near: the run belongs to other keys, or left its ranges");
            return Err(Error::malformed("model", "largest weight", format_args!("{largest:e}"), wanted));
        }
        Ok(weights)
    }

    /// Normalises as the training rows were.
    fn normalise(&self, values: &mut [f32], columns: usize) -> Result<()> {
        let wanted = self.plan().shape().features;
        if columns != wanted {
            return Err(Error::Count { what: "features", found: columns, wanted });
        }
        self.normaliser.as_ref().map_or(Ok(()), |normaliser| normaliser.apply(values, columns))
    }

    /// The logits that the server computes.
    fn outputs(&self, data: &DataFolder, part: Part) -> Result<Vec<Vec<f64>>> {
        let keys = Progress::new("keys", self.plan().requests().plan(self.plan().params())?.len());
        let (public, encapsulation) = self.folder.public(&mut |done, _| keys.set(done))?;
        keys.finish();
        let server = Server::new(self.plan().clone(), Arc::new(public), Arc::new(encapsulation))?;
        let progress = Progress::new("batches", data.batches(part));
        let mut logits = Vec::with_capacity(data.rows(part));
        for i in 0..data.batches(part) {
            let outputs = server.outputs(&self.state, &data.features(part, i)?)?;
            logits.extend(self.client.logits(&outputs, data.batch_rows(part, i))?);
            progress.set(i + 1);
        }
        progress.finish();
        Ok(logits)
    }
}

#[derive(Debug, Args)]
pub(super) struct EvaluateArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// The data set: a folder of .npy files, or an .npz file.
    #[arg(long, value_name = "DIR|FILE.npz")]
    data: PathBuf,
    /// Compute outputs on this folder of encrypted data instead; labels are still those of --data.
    #[arg(long, value_name = "DIR")]
    encrypted: Option<PathBuf>,
    /// Which rows.
    #[arg(long, default_value = "test", value_parser = PossibleValuesParser::new(["test", "val", "train"])
        .map(|name| match name.as_str() {
            "train" => Part::Train,
            "val" => Part::Val,
            _ => Part::Test,
        }))]
    split: Part,
}

#[derive(Serialize)]
struct Evaluation {
    epoch: usize,
    split: &'static str,
    rows: usize,
    #[serde(flatten)]
    quality: Quality,
    confusion: Vec<Vec<usize>>,
    precision: Vec<Option<f64>>,
    recall: Vec<Option<f64>>,
}

impl EvaluateArgs {
    pub(super) fn run(&self, json: bool) -> Result<()> {
        let model = self.model.open()?;
        let part = self.split;
        let dataset = Dataset::read(&self.data)?;
        let Some(split) = split_of(&dataset, part) else {
            let field = format_args!("{}: features_{}.npy", self.data.display(), part.name());
            return Err(Error::malformed("data set", field, "(missing)", "there: use another --split"));
        };
        let classes = model.plan().shape().classes;
        if dataset.classes != classes {
            return Err(Error::Count { what: "classes", found: dataset.classes, wanted: classes });
        }
        let logits = if let Some(path) = &self.encrypted {
            let data = DataFolder::open(path, model.plan())?;
            let (found, wanted) = (split.rows(), data.rows(part));
            if found != wanted {
                return Err(Error::Count { what: "labels", found, wanted });
            }
            model.outputs(&data, part)?
        } else {
            let mut features = split.features.clone();
            model.normalise(&mut features, split.columns)?;
            model.weights()?.logits(&features)
        };
        let quality = quality(&logits, &split.labels);
        let confusion = Confusion::new(&logits, &split.labels, classes);
        let each = |f: fn(&Confusion, usize) -> Option<f64>| (0..classes).map(|class| f(&confusion, class)).collect();
        let evaluation = Evaluation {
            epoch: model.epoch,
            split: part.name(),
            rows: split.rows(),
            quality,
            confusion: confusion.counts().to_vec(),
            precision: each(Confusion::precision),
            recall: each(Confusion::recall),
        };
        if part == Part::Test {
            let confusion = evaluation.confusion.clone();
            let event = ClientEvent::Test { encrypted: quality, twin: None, exact: None, confusion };
            Writer::open(model.run.client_log())?.write(&event)?;
        }
        if json {
            table::json(&evaluation);
        } else {
            evaluation.print();
        }
        Ok(())
    }
}

impl Evaluation {
    fn print(&self) {
        let Self { epoch, split, rows, quality, confusion, precision, recall } = self;
        let Quality { loss, accuracy, max_logit } = quality;
        println!("epoch {epoch}, {rows} rows of {split}");
        println!("loss {loss:.6}, accuracy {:.2} %, largest logit {max_logit:.2}", accuracy * 100.0);
        let percent = |part: Option<f64>| part.map_or_else(|| "-".to_owned(), |part| format!("{:.2} %", part * 100.0));
        let row = |class: usize| {
            let counts = confusion[class].iter().map(usize::to_string);
            let parts = [precision[class], recall[class]].map(percent);
            [class.to_string()].into_iter().chain(counts).chain(parts).collect()
        };
        let classes: Vec<String> = (0..confusion.len()).map(|class| class.to_string()).collect();
        let names = ["class, as:"].into_iter().chain(classes.iter().map(String::as_str)).chain(["precision", "recall"]);
        table::print(&names.collect::<Vec<_>>(), &(0..confusion.len()).map(row).collect::<Vec<_>>());
    }
}

#[derive(Debug, Args)]
pub(super) struct PredictArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Rows of features.
    #[arg(long, value_name = "FILE.npy")]
    features: PathBuf,
    /// The new file: a class per row.
    #[arg(long, value_name = "FILE.npy")]
    out: PathBuf,
    /// Write the probabilities of all classes instead.
    #[arg(long)]
    probabilities: bool,
}

#[derive(Serialize)]
struct Predictions {
    epoch: usize,
    rows: usize,
    /// Rows by predicted class.
    classes: Vec<usize>,
}

impl PredictArgs {
    pub(super) fn run(&self, json: bool) -> Result<()> {
        let model = self.model.open()?;
        let Features { mut values, columns } = Features::read(&self.features)?;
        model.normalise(&mut values, columns)?;
        let logits = model.weights()?.logits(&values);
        let labels: Vec<u32> = logits.iter().map(|row| predicted(row) as u32).collect();
        if self.probabilities {
            npy::write_rows(&self.out, &logits.iter().map(|row| exact(row)).collect::<Vec<_>>())?;
        } else {
            npy::write_labels(&self.out, &labels)?;
        }
        let mut classes = vec![0; model.plan().shape().classes];
        labels.iter().for_each(|&label| classes[label as usize] += 1);
        if json {
            table::json(&Predictions { epoch: model.epoch, rows: labels.len(), classes });
        } else {
            println!("{} rows by the model of epoch {}, in {}", labels.len(), model.epoch, self.out.display());
            println!("rows by class: {classes:?}");
        }
        Ok(())
    }
}
