//! `hetal evaluate` and `hetal predict`: the client's use of a trained model.

use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, value_parser};
use serde::Serialize;

use super::progress::Progress;
use super::{open_keys, table, warn};
use crate::base::error::{Error, Result};
use crate::circuits::activation::exact;
use crate::ckks::ciphertext::Ciphertext;
use crate::train::data::dataset::Part;
use crate::train::data::dataset::{Dataset, Features};
use crate::train::data::normaliser::Normaliser;
use crate::train::data::npy;
use crate::train::log::{ClientEvent, Quality, Writer};
use crate::train::metrics::{Confusion, predicted, quality};
use crate::train::step;
use crate::train::store::{DataFolder, KeyFolder, Receipt, RunFolder, StoredModel};
use crate::train::twin::Weights;
use crate::train::{Client, Server, TrainPlan};

/// Decrypted weights beyond this multiple of their range are not weights: decrypting with another
/// secret key gives far larger values.
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

/// A model, with the client that can decrypt it.
struct Model {
    keys: KeyFolder,
    client: Client,
    epoch: usize,
    state: Vec<Ciphertext>,
    normaliser: Option<Normaliser>,
    /// The receipt of the data that the model was trained on.
    receipt: Receipt,
}

impl ModelArgs {
    fn open(&self) -> Result<Model> {
        let keys = open_keys(&self.keys)?;
        let client = Client::new(keys.plan().clone(), keys.secret()?)?;
        let run = RunFolder::open(&self.run)?;
        let epoch = match self.epoch {
            Some(epoch) => epoch as usize,
            None => match run.best_epoch(keys.plan().config().logit_range)? {
                Some(epoch) => epoch,
                None => {
                    // The ranges of other keys say nothing about this model.
                    run.models()?
                        .last()
                        .map(|&last| run.read_model(keys.plan(), keys.generation(), last))
                        .transpose()?;
                    let field = format_args!("{}: epochs", run.path().display());
                    let wanted = "at least 1 with logits in their range: make keys with a larger --logit-range, or name an --epoch";
                    return Err(Error::malformed("run", field, 0, wanted));
                }
            },
        };
        let StoredModel { origin, state } = run.read_model(keys.plan(), keys.generation(), epoch)?;
        let normaliser = keys.normaliser_of(origin.normaliser.as_deref())?;
        let receipt = keys.receipt(&origin.data)?;
        Ok(Model { keys, client, epoch, state, normaliser, receipt })
    }
}

impl Model {
    fn plan(&self) -> &TrainPlan {
        self.keys.plan()
    }

    /// Returns V, the result. Warns if a weight has left its range.
    fn weights(&self) -> Result<Weights> {
        let [w, v] = self.client.weights(&self.state)?;
        let columns = self.plan().shape().features;
        let [w, weights] = [w, v].map(|values| Weights { values, columns });
        let (largest, range) = (weights.largest().max(w.largest()), self.plan().config().weight_range);
        if largest > range * BEYOND {
            let wanted = format_args!("within {range}, or near: the run has left its ranges");
            return Err(Error::malformed("model", "largest weight", format_args!("{largest:e}"), wanted));
        }
        if largest > range {
            warn(&format!(
                "the largest weight is {largest:.3} and weight_range is {range}: the model may be wrong; make keys with a larger --weight-range"
            ));
        }
        Ok(weights)
    }

    /// Normalises features like the training rows.
    fn normalise(&self, values: &mut [f32], columns: usize) -> Result<()> {
        let wanted = self.plan().shape().features;
        if columns != wanted {
            return Err(Error::Count { what: "features", found: columns, wanted });
        }
        self.normaliser.as_ref().map_or(Ok(()), |normaliser| normaliser.apply(values, columns))
    }

    /// Returns the logits, computed as the server does.
    fn outputs(&self, data: &DataFolder, part: Part) -> Result<Vec<Vec<f64>>> {
        let keys = Progress::new("keys", self.plan().requests().plan(self.plan().params())?.len());
        let (public, encapsulation) = self.keys.public(&mut |done, _| keys.set(done))?;
        keys.finish();
        let server = Server::new(self.plan().clone(), Arc::new(public), Arc::new(encapsulation))?;
        let progress = Progress::new("batches", data.batches(part));
        let mut logits = Vec::with_capacity(data.rows(part));
        for i in 0..data.batches(part) {
            let outputs = server.outputs(&self.state, &data.features(part, i)?, step::Weights::V)?;
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
    /// The names of the classes, if these have names other than their numbers.
    class_names: Option<Vec<String>>,
    confusion: Vec<Vec<usize>>,
    precision: Vec<Option<f64>>,
    recall: Vec<Option<f64>>,
}

impl EvaluateArgs {
    pub(super) fn run(&self, json: bool) -> Result<()> {
        let model = self.model.open()?;
        let part = self.split;
        let classes = model.plan().shape().classes;
        let names = model.receipt.class_names.as_deref();
        let Some(mut split) = Dataset::read_split(&self.data, part, classes, names)? else {
            let field = format_args!("{}: features_{}.npy", self.data.display(), part.name());
            return Err(Error::malformed("data set", field, "(missing)", "there: use another --split"));
        };
        let logits = if let Some(path) = &self.encrypted {
            let data = DataFolder::open(path, &model.keys)?;
            let receipt = model.keys.receipt(&data.hash())?;
            receipt.check(part, Some(&split))?;
            if let Some(seed) = receipt.shuffle_seed.filter(|_| part == Part::Train) {
                split.shuffle(seed);
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
            class_names: model.receipt.class_names.clone(),
            confusion: confusion.counts().to_vec(),
            precision: each(Confusion::precision),
            recall: each(Confusion::recall),
        };
        if part == Part::Test {
            let (confusion, class_names) = (evaluation.confusion.clone(), evaluation.class_names.clone());
            let event = ClientEvent::Test { encrypted: quality, twin: None, exact: None, confusion, class_names };
            let note = |run: RunFolder| Writer::open(run.client_log()?)?.write(&event);
            // The measured result is printed even if the folder of the run cannot be written.
            if let Err(error) = RunFolder::resume(&self.model.run).and_then(note) {
                warn(&format!("the result is not in the log of the run: {error}"));
            }
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
        let Self { epoch, split, rows, quality, class_names, confusion, precision, recall } = self;
        let Quality { loss, accuracy, max_logit } = quality;
        println!("epoch {epoch}, {rows} rows of {split}");
        println!("loss {loss:.6}, accuracy {:.2} %, largest logit {max_logit:.2}", accuracy * 100.0);
        let numbers = || (0..confusion.len()).map(|class| class.to_string()).collect();
        let classes: Vec<String> = class_names.clone().unwrap_or_else(numbers);
        let percent = |part: Option<f64>| part.map_or_else(|| "-".to_owned(), |part| format!("{:.2} %", part * 100.0));
        let row = |class: usize| {
            let counts = confusion[class].iter().map(usize::to_string);
            let parts = [precision[class], recall[class]].map(percent);
            [classes[class].clone()].into_iter().chain(counts).chain(parts).collect()
        };
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
    /// The new file: a class per row. It is yours alone: whoever has it and the encrypted rows may
    /// find out the secret
    /// key, so that it must not go to the server.
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
    /// The names of the classes, if these have names other than their numbers.
    class_names: Option<Vec<String>>,
    /// The numbers of rows by predicted class.
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
        } else if let Some(names) = &model.receipt.class_names {
            npy::write_names(&self.out, &labels.iter().map(|&label| &names[label as usize]).collect::<Vec<_>>())?;
        } else {
            npy::write_labels(&self.out, &labels)?;
        }
        let mut classes = vec![0; model.plan().shape().classes];
        labels.iter().for_each(|&label| classes[label as usize] += 1);
        if json {
            let class_names = model.receipt.class_names;
            table::json(&Predictions { epoch: model.epoch, rows: labels.len(), class_names, classes });
        } else {
            println!("{} rows by the model of epoch {}, in {}", labels.len(), model.epoch, self.out.display());
            let name =
                |class: usize| model.receipt.class_names.as_ref().map_or(class.to_string(), |all| all[class].clone());
            let counts = classes.iter().enumerate().map(|(class, rows)| format!("{}: {rows}", name(class)));
            println!("rows by class: {}", counts.collect::<Vec<_>>().join(", "));
        }
        Ok(())
    }
}
