//! Folders of keys, encrypted data and runs.
//!
//! | folder | file | content | whose |
//! |---|---|---|---|
//! | keys | `secret.key` | the secret key (mode 0600) | client |
//! | | `normaliser.json` | means and deviations of the features (0600) | client |
//! | | `data-*.json` | for each encrypted data set: digests, order of the rows, names of the classes (0600) | client |
//! | | `public/job.json` | settings and the size of the data, from which everything is planned | server |
//! | | `public/evaluation.keys`, `public/encapsulation.keys` | public keys | server |
//! | data | `manifest.json` | job, rows, hashes of all files | server |
//! | | `start.ct`, `train-00000.ct`, … `val-00000.ct`, … `test-00000.ct`, … | the initial state; batches: features, then labels (training only) | server |
//! | run | `client.jsonl`, `report.html` | what the client decrypted (0600); the page that shows the run | client |
//! | | `public/server.jsonl` | the log of the server | server |
//! | | `public/checkpoint.ct` | state and kept results, with the step they belong to | server |
//! | | `public/model-007.ct` | results of the last epochs, encrypted | server |
//!
//! **What travels.** The folders `public` of keys and of a run travel, and the folders of encrypted
//! data. [`FILES`] says whose each file is; no file of the client is in a folder that travels.
//!
//! **What belongs together.** Whoever reads files checks that they belong together:
//! everything that is made with the keys of one `keygen` carries their [`KeyGeneration`],
//! and checkpoints and models carry the hash of the data that they come from.
//!
//! **What is complete.** Every file is complete or absent, and so is a folder of keys or data:
//! one that a killed process left is recognised as unfinished, and made anew by the
//! next `keygen` or `encrypt`. A process that writes to a folder holds a lock on it.
//! Links in these folders are not followed.

mod data;
mod folder;
mod keys;
mod receipt;
mod run;

use std::io::{Read, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use data::DataFolder;
pub use folder::{FILES, Kind, Lock, PUBLIC, Party, party};
pub use keys::{Job, KeyFolder, StoredNormaliser};
pub use receipt::Receipt;
pub use run::{Checkpoint, Kept, RunFolder, StoredModel};

use super::plan::{JobHash, TrainPlan};
use crate::base::error::{Error, Result};
use crate::base::files::{Access, read_bounded, write_sized};
use crate::base::key_generation::KeyGeneration;
use crate::ckks::params::Parameters;
use crate::wire::{self, Wire};

/// A callback that is told how many steps of a task are done, and how many there are in all.
pub type Progress<'a> = dyn FnMut(usize, usize) + 'a;

/// Reads a JSON file of at most `limit` bytes.
fn read_json<T: DeserializeOwned>(path: &Path, limit: u64) -> Result<T> {
    serde_json::from_slice(&read_bounded(path, limit)?)
        .map_err(|error| Error::malformed("file", path.display(), error, "as this version of the program writes it"))
}

fn write_json<T: Serialize>(path: &Path, access: Access, value: &T) -> Result<()> {
    let text = serde_json::to_string_pretty(value).expect("numbers and strings have a JSON form") + "\n";
    write_sized(path, access, text.len() as u64, |file| write_all(file, text.as_bytes(), path))
}

fn write_all(out: &mut impl Write, bytes: &[u8], path: &Path) -> Result<()> {
    out.write_all(bytes).map_err(|error| Error::io(format_args!("writing {}", path.display()), &error))
}

fn reading(path: &Path, error: &std::io::Error) -> Error {
    Error::io(format_args!("reading {}", path.display()), error)
}

/// Refuses anything that was made with other keys.
fn check_keys(path: &Path, found: KeyGeneration, wanted: KeyGeneration) -> Result<()> {
    found.check(wanted).map_err(|error| error.in_file(path))
}

fn check_job(path: &Path, found: JobHash, plan: &TrainPlan) -> Result<()> {
    let wanted = plan.hash();
    if found == wanted {
        return Ok(());
    }
    let field = format_args!("{}: job", path.display());
    let wanted = format_args!("{wanted}, of the same settings, shape of a batch and version of the program");
    Err(Error::malformed("folder", field, found, wanted))
}

/// Returns the total length in bytes of the encoded objects of a file.
fn encoded_len<'a, T: Wire + 'a>(list: impl IntoIterator<Item = &'a T>, params: &Parameters) -> Result<u64> {
    list.into_iter().map(|object| object.encoded_len(params)).sum()
}

/// Reads exactly `count` objects, and refuses a file that holds more.
fn read_list<T: Wire>(input: &mut impl Read, count: usize, params: &Parameters, path: &Path) -> Result<Vec<T>> {
    let list = (0..count).map(|_| wire::read(input, params)).collect::<Result<_>>();
    let list = list.map_err(|error| error.in_file(path))?;
    wire::expect_end(input).map_err(|error| error.in_file(path))?;
    Ok(list)
}
