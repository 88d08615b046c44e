//! `hetal encrypt`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use rand_core::CryptoRng;
use serde::Serialize;

use super::progress::Progress;
use super::rehearsal::rehearse;
use super::shuffle::{ShuffleArgs, warn_of_missing};
use super::{open_keys, table};
use crate::base::error::{Error, Result};
use crate::base::text;
use crate::ckks::keys::entropy;
use crate::train::Client;
use crate::train::data::dataset::Dataset;
use crate::train::data::dataset::Part;
use crate::train::data::normaliser::Normaliser;
use crate::train::store::{DataFolder, KeyFolder, Receipt, StoredNormaliser};

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
    /// Standardise features as other data were, with a normaliser.json that was kept.
    #[arg(long, value_name = "FILE.json", conflicts_with = "normalise")]
    normaliser: Option<PathBuf>,
    #[command(flatten)]
    shuffle: ShuffleArgs,
}

#[derive(Serialize)]
struct Encrypted {
    rows: [usize; 3],
    bytes: u64,
    seconds: f64,
    /// `None` if the training rows keep the order of the data set.
    shuffle_seed: Option<u64>,
    max_logit: f64,
    max_weight: f64,
    /// The number of epochs of plain training in which these were the largest.
    plain_epochs: usize,
}

impl EncryptArgs {
    pub(super) fn run(&self, json: bool) -> Result<()> {
        let keys = open_keys(&self.keys)?;
        let client = Client::new(keys.plan().clone(), keys.secret()?)?;
        DataFolder::check_new(&self.out)?;
        let mut dataset = Dataset::read(&self.data)?;
        let mut receipt = Receipt::new(&dataset, keys.generation());
        let mut rng = entropy()?;
        let normaliser = self.normaliser(&keys, &dataset, &mut rng)?;
        receipt.normaliser = normaliser.as_ref().map(StoredNormaliser::hash);
        receipt.shuffle_seed = self.shuffle.seed()?;
        receipt.arrange(&mut dataset, normaliser.as_ref().map(|stored| &stored.normaliser))?;
        let shuffle_seed = receipt.shuffle_seed;
        warn_of_missing(&dataset, keys.plan().batch(), shuffle_seed);
        let seen = rehearse(&dataset, keys.plan().config(), normaliser.is_some())?;
        // The normaliser is written before the data: data without it could not be used correctly.
        let before = keys.normaliser()?.is_some();
        if let Some(normaliser) = normaliser.as_ref().filter(|_| !before) {
            keys.write_normaliser(normaliser)?;
        }
        let batch = keys.plan().batch();
        let splits = [Some(&dataset.train), dataset.val.as_ref(), dataset.test.as_ref()];
        let total = splits.iter().flatten().map(|split| split.rows().div_ceil(batch)).sum();
        let (start, progress) = (Instant::now(), Progress::new("batches", total));
        let tell = &mut |done, _| progress.set(done);
        let made = DataFolder::create(&self.out, &keys, &client, &dataset, receipt, &mut rng, tell);
        progress.finish();
        if made.is_err() && !before && normaliser.is_some() {
            // An error of this removal is ignored; the failure before it is reported already.
            let _ = keys.normaliser_path().map(fs::remove_file);
        }
        let data = made?;
        let (seconds, bytes) = (start.elapsed().as_secs_f64(), bytes_of(&self.out)?);
        let rows = Part::ALL.map(|part| data.rows(part));
        if json {
            let (max_logit, max_weight, plain_epochs) = (seen.max_logit, seen.max_weight, seen.epochs);
            table::json(&Encrypted { rows, bytes, seconds, shuffle_seed, max_logit, max_weight, plain_epochs });
        } else {
            let [train, val, test] = rows;
            println!("{train} rows to train on, {val} to validate, {test} to test, in {}", self.out.display());
            if let Some(seed) = shuffle_seed {
                println!("rows to train on are shuffled; --shuffle-seed {seed} gives this order again");
            }
            println!("{} on disk, {seconds:.1} s", text::bytes(bytes as usize));
            seen.print(keys.plan().config());
        }
        Ok(())
    }
}

impl EncryptArgs {
    /// Returns the normaliser for the features. One key folder has one normaliser,
    /// with which a model is used.
    fn normaliser(
        &self,
        keys: &KeyFolder,
        dataset: &Dataset,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<StoredNormaliser>> {
        let wanted = match &self.normaliser {
            Some(path) => Some(StoredNormaliser::read(path)?),
            None if self.normalise => Some(StoredNormaliser::new(Normaliser::fit(&dataset.train)?, rng)),
            None => None,
        };
        let before = keys.normaliser()?;
        let values = |stored: &Option<StoredNormaliser>| stored.as_ref().map(|stored| stored.normaliser.clone());
        if before.is_none() || values(&before) == values(&wanted) {
            return Ok(before.or(wanted));
        }
        let path = keys.normaliser_path()?;
        let wanted =
            format_args!("that of these data: pass --normaliser {} to use it, or use other keys", path.display());
        Err(Error::malformed("normaliser", "file", path.display(), wanted))
    }
}

/// Returns the bytes of all files of a folder and of its subfolders.
pub(super) fn bytes_of(folder: &Path) -> Result<u64> {
    let fails = |error| Error::io(format_args!("reading {}", folder.display()), &error);
    let entries = fs::read_dir(folder).map_err(fails)?;
    let bytes = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.map_err(fails)?;
        let metadata = entry.metadata().map_err(fails)?;
        if metadata.is_dir() { bytes_of(&entry.path()) } else { Ok(metadata.len()) }
    };
    entries.map(bytes).sum()
}
