//! `hetal encrypt`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::progress::Progress;
use super::table;
use crate::error::{Error, Result};
use crate::io::dataset::{Dataset, Split};
use crate::io::normaliser::Normaliser;
use crate::keys::entropy;
use crate::train::store::{DataFolder, KeyFolder, Part, read_json, write_json};
use crate::train::twin::{self, Exact};
use crate::train::{Client, Config};

/// Beside the keys: what features are normalised with.
const NORMALISER: &str = "normaliser.json";

#[derive(Debug, Args)]
pub(super) struct EncryptArgs {
    /// The folder of keys.
    #[arg(long, value_name = "DIR")]
    keys: PathBuf,
    /// The data set: a folder of .npy files, or an .npz file.
    #[arg(long, value_name = "DIR|FILE.npz")]
    data: PathBuf,
    /// The new folder of encrypted data.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Standardise features by the training rows; predict and evaluate will do the same.
    #[arg(long)]
    normalise: bool,
}

#[derive(Serialize)]
struct Encrypted {
    rows: [usize; 3],
    bytes: u64,
    seconds: f64,
    max_logit: f64,
    max_weight: f64,
}

impl EncryptArgs {
    pub(super) fn run(&self, json: bool) -> Result<()> {
        let folder = KeyFolder::open(&self.keys)?;
        let client = Client::new(folder.plan().clone(), folder.secret()?)?;
        let mut dataset = Dataset::read(&self.data)?;
        let normaliser = self.normalise.then(|| Normaliser::fit(&dataset.train)).transpose()?;
        let path = self.keys.join(NORMALISER);
        let before = normaliser_of(&self.keys)?;
        if before.is_some() && before != normaliser {
            let wanted = if self.normalise {
                "of the same data: use other keys, or remove it if nothing encrypted with it is left"
            } else {
                "absent: pass --normalise, use other keys, or remove it if nothing encrypted with it is left"
            };
            return Err(Error::malformed("normaliser", "file", path.display(), wanted));
        }
        if let Some(normaliser) = &normaliser {
            normaliser.apply_to(&mut dataset)?;
        }
        let [max_logit, max_weight] = rehearse(&dataset, folder.plan().config())?;
        // Before the data: what is encrypted without it could not be used rightly.
        if let Some(normaliser) = &normaliser {
            write_json(&path, normaliser)?;
        }
        let batch = folder.plan().batch();
        let splits = [Some(&dataset.train), dataset.val.as_ref(), dataset.test.as_ref()];
        let total = splits.iter().flatten().map(|split| split.rows().div_ceil(batch)).sum();
        let (start, progress) = (Instant::now(), Progress::new("batches", total));
        let made = DataFolder::create(&self.out, &client, &dataset, &mut entropy()?, &mut |done, _| progress.set(done));
        progress.finish();
        if made.is_err() && before.is_none() && normaliser.is_some() {
            // There is nobody to tell; the failure before is being told already.
            let _ = fs::remove_file(&path);
        }
        let data = made?;
        let (seconds, bytes) = (start.elapsed().as_secs_f64(), bytes_of(&self.out)?);
        let rows = [Part::Train, Part::Val, Part::Test].map(|part| data.rows(part));
        if json {
            table::json(&Encrypted { rows, bytes, seconds, max_logit, max_weight });
        } else {
            let [train, val, test] = rows;
            println!("{train} rows to train on, {val} to validate, {test} to test, in {}", self.out.display());
            println!("{} on disk, {seconds:.1} s", table::bytes(bytes as usize));
            println!("plain training: largest logit {max_logit:.2}, largest weight {max_weight:.3}");
        }
        Ok(())
    }
}

/// What the client normalises features with, if it does.
pub(super) fn normaliser_of(keys: &Path) -> Result<Option<Normaliser>> {
    let path = keys.join(NORMALISER);
    // What cannot be looked at is an error of reading it.
    if matches!(path.try_exists(), Ok(false)) { Ok(None) } else { read_json(&path).map(Some) }
}

/// A split of a data set.
pub(super) const fn split_of(dataset: &Dataset, part: Part) -> Option<&Split> {
    match part {
        Part::Train => Some(&dataset.train),
        Part::Val => dataset.val.as_ref(),
        Part::Test => dataset.test.as_ref(),
    }
}

/// Trains on plain numbers, and warns if the encrypted training would leave its ranges. The largest logit and weight.
pub(super) fn rehearse(dataset: &Dataset, config: &Config) -> Result<[f64; 2]> {
    let trained = twin::train(dataset, config, Exact, |_| {})?;
    let largest = [trained.max_logit(), trained.max_weight()];
    let ranges = [("logit", config.logit_range), ("weight", config.weight_range)];
    for ((what, range), largest) in ranges.into_iter().zip(largest) {
        if largest > range {
            // A tenth more, for errors of the approximations.
            let enough = if largest < 10.0 { (largest * 11.0).ceil() / 10.0 } else { (largest * 1.1).ceil() };
            eprintln!(
                "hetal: warning: on plain data the largest {what} is {largest:.3} and {what}_range is {range}: make keys with --{what}-range {enough}, or train with a smaller learning rate"
            );
        }
    }
    Ok(largest)
}

/// Bytes of all files of a folder.
pub(super) fn bytes_of(folder: &Path) -> Result<u64> {
    let fails = |error| Error::io(format_args!("reading {}", folder.display()), &error);
    let entries = fs::read_dir(folder).map_err(fails)?;
    entries.map(|entry| Ok(entry.and_then(|entry| entry.metadata()).map_err(fails)?.len())).sum()
}
