//! Folders: keys, encrypted data, runs.
//!
//! | folder | file | what | whose |
//! |---|---|---|---|
//! | keys | `job.json` | settings and the size of the data, from which everything is planned | both |
//! | | `secret.key` | the secret key (mode 0600) | client |
//! | | `evaluation.keys`, `encapsulation.keys` | public keys | server |
//! | data | `manifest.json` | job, batches, hashes of all files | server |
//! | | `start.ct`, `train-00000.ct`, … `val-00000.ct`, … `test-00000.ct`, … | the first state; batches: features, then labels (training only) | server |
//! | run | `checkpoint.ct` | state and kept results, with the step they belong to | server |
//! | | `model-007.ct` | results of the last epochs, encrypted | client |
//! | | `server.jsonl`, `client.jsonl` | logs | each its own |
//!
//! Every file is complete or absent.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use rand_core::CryptoRng;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::client::Client;
use super::config::Config;
use super::plan::{DataShape, JobHash, TrainPlan};
use super::server::Batch;
use crate::ciphertext::Ciphertext;
use crate::crypt::SeededCiphertext;
use crate::error::{Error, Result, check_count};
use crate::io::dataset::{Dataset, Split};
use crate::io::wire::{self, Wire};
use crate::io::{Access, write_atomically};
use crate::keys::{EncapsulationKeys, KeySet, SecretKey};
use crate::parallel::try_map;
use crate::params::Parameters;

/// What a folder of keys was made for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The settings.
    pub config: Config,
    /// The size of the data.
    pub shape: DataShape,
    /// [`TrainPlan::hash`].
    pub hash: JobHash,
}

/// How many steps of something are done.
pub type Progress<'a> = dyn FnMut(usize, usize) + 'a;

/// Reads a JSON file.
///
/// # Errors
/// [`Error::Io`] and [`Error::Malformed`] name the path.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).map_err(|error| reading(path, &error))?;
    serde_json::from_str(&text)
        .map_err(|error| Error::malformed("file", path.display(), error, "as this version of the program writes it"))
}

/// Writes a JSON file.
///
/// # Errors
/// [`Error::Io`] names the path.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let text = serde_json::to_string_pretty(value).expect("numbers and strings have a JSON form");
    write_atomically(path, Access::Shared, |file| write_all(file, format!("{text}\n").as_bytes(), path))
}

fn write_all(out: &mut impl Write, bytes: &[u8], path: &Path) -> Result<()> {
    out.write_all(bytes).map_err(|error| Error::io(format_args!("writing {}", path.display()), &error))
}

fn reading(path: &Path, error: &std::io::Error) -> Error {
    Error::io(format_args!("reading {}", path.display()), error)
}

/// A new folder, or an empty one.
fn create(path: &Path) -> Result<()> {
    let fails = |error| Error::io(format_args!("creating the folder {}", path.display()), &error);
    fs::create_dir_all(path).map_err(fails)?;
    if fs::read_dir(path).map_err(fails)?.next().is_some() {
        return Err(Error::malformed("output", "folder", path.display(), "empty, or not exist"));
    }
    Ok(())
}

/// A folder of keys.
#[derive(Clone, Debug)]
pub struct KeyFolder {
    path: PathBuf,
    plan: TrainPlan,
}

impl KeyFolder {
    /// Makes all keys for a training.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the folder is not empty, [`Error::Io`].
    pub fn create(
        path: &Path,
        plan: TrainPlan,
        rng: &mut (impl CryptoRng + ?Sized),
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        create(path)?;
        let folder = Self { path: path.to_owned(), plan };
        let params = folder.plan.params();
        let secret = SecretKey::generate(params, rng)?;
        write_atomically(folder.file("secret.key"), Access::Owner, |file| wire::write(file, &secret, params))?;
        let encapsulation = secret.encapsulation_keys(rng)?;
        write_atomically(folder.file("encapsulation.keys"), Access::Shared, |file| {
            wire::write(file, &encapsulation, params)
        })?;
        let requests = folder.plan.requests();
        let plan = requests.plan(params)?;
        write_atomically(folder.file("evaluation.keys"), Access::Shared, |file| {
            let mut done = 0;
            let keys = secret.evaluation_keys_iter(&requests, rng)?.inspect(|_| {
                done += 1;
                progress(done, plan.len());
            });
            wire::write_evaluation_keys(file, params, &plan, keys)
        })?;
        // Last: with it the folder is complete.
        let (config, shape, hash) = (folder.plan.config().clone(), folder.plan.shape(), folder.plan.hash());
        write_json(&folder.file("job.json"), &Job { config, shape, hash })?;
        Ok(folder)
    }

    /// Opens a folder, and plans its training again.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Malformed`] if this version plans otherwise than that which made the keys.
    pub fn open(path: &Path) -> Result<Self> {
        let file = path.join("job.json");
        let job: Job = read_json(&file)?;
        let plan = TrainPlan::new(&job.config, job.shape)?;
        check_job(&file, job.hash, &plan)?;
        Ok(Self { path: path.to_owned(), plan })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The plan.
    #[must_use]
    pub const fn plan(&self) -> &TrainPlan {
        &self.plan
    }

    /// The same keys with other settings, as far as keys do not depend on them: step size, method, epochs, patience, checkpoints.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the settings need other keys.
    pub fn with_config(mut self, config: &Config) -> Result<Self> {
        let plan = TrainPlan::new(config, self.plan.shape())?;
        check_job(&self.file("job.json"), self.plan.hash(), &plan)?;
        self.plan = plan;
        Ok(self)
    }

    /// The secret key: for the client alone.
    ///
    /// # Errors
    /// Those of [`wire::read`], with the path.
    pub fn secret(&self) -> Result<SecretKey> {
        self.read("secret.key", |file| wire::read(file, self.plan.params()))
    }

    /// The keys of the server.
    ///
    /// # Errors
    /// Those of [`wire::read_evaluation_keys`], with the path.
    pub fn public(&self, progress: &mut Progress<'_>) -> Result<(KeySet, EncapsulationKeys)> {
        let params = self.plan.params();
        let encapsulation = self.read("encapsulation.keys", |file| wire::read(file, params))?;
        let wanted = self.plan.requests().plan(params)?.len();
        let mut keys = KeySet::default();
        self.read("evaluation.keys", |file| {
            for (done, key) in wire::read_evaluation_keys(file, params)?.enumerate() {
                keys.insert(key?);
                progress(done + 1, wanted);
            }
            Ok(())
        })?;
        Ok((keys, encapsulation))
    }

    fn read<T>(&self, name: &str, read: impl FnOnce(&mut BufReader<File>) -> Result<T>) -> Result<T> {
        let path = self.file(name);
        let mut file = BufReader::with_capacity(1 << 20, File::open(&path).map_err(|error| reading(&path, &error))?);
        let object = read(&mut file).map_err(|error| error.in_file(&path))?;
        wire::expect_end(&mut file).map_err(|error| error.in_file(&path))?;
        Ok(object)
    }
}

fn check_job(path: &Path, found: JobHash, plan: &TrainPlan) -> Result<()> {
    let wanted = plan.hash();
    if found == wanted {
        return Ok(());
    }
    let field = format_args!("{}: job", path.display());
    Err(Error::malformed(
        "folder",
        field,
        found,
        format_args!("{wanted}, of the same settings, data size and version of the program"),
    ))
}

/// The sets of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// To train on.
    Train,
    /// To decide when to stop.
    Val,
    /// To measure the result.
    Test,
}

impl Part {
    /// Its name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

/// What a folder of encrypted data holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    job: JobHash,
    /// Rows of the parts: training, validation, test.
    rows: [usize; 3],
    /// SHA-256 of every file, by name.
    files: std::collections::BTreeMap<String, String>,
}

/// A folder of encrypted data.
#[derive(Clone, Debug)]
pub struct DataFolder {
    path: PathBuf,
    plan: TrainPlan,
    manifest: Manifest,
}

impl DataFolder {
    /// Encrypts a data set, batch by batch.
    ///
    /// # Errors
    /// Those of [`Client::encrypt`]; [`Error::Malformed`] if the folder is not empty, [`Error::Io`].
    pub fn create(
        path: &Path,
        client: &Client,
        dataset: &Dataset,
        rng: &mut (impl CryptoRng + ?Sized),
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let plan = client.plan();
        let shape = plan.shape();
        check_count("rows to train on", dataset.train.rows(), shape.rows)?;
        check_count("features", dataset.train.columns, shape.features)?;
        check_count("classes", dataset.classes, shape.classes)?;
        create(path)?;
        let parts = [
            (Part::Train, Some(&dataset.train)),
            (Part::Val, dataset.val.as_ref()),
            (Part::Test, dataset.test.as_ref()),
        ];
        let rows = parts.map(|(_, split)| split.map_or(0, Split::rows));
        let mut folder = Self {
            path: path.to_owned(),
            plan: plan.clone(),
            manifest: Manifest { job: plan.hash(), rows, files: Default::default() },
        };
        let zeros = vec![0.0; shape.classes * (shape.features + 1)];
        folder.add("start.ct", &client.encrypt_state(&zeros, &zeros, rng)?)?;
        let all: usize = rows.iter().map(|rows| rows.div_ceil(plan.batch())).sum();
        let mut done = 0;
        for (part, split) in parts {
            let Some(split) = split else { continue };
            for i in 0..folder.batches(part) {
                let mut batch = client.encrypt(split, i * plan.batch(), folder.batch_rows(part, i), rng)?;
                if part == Part::Train {
                    batch.features.append(&mut batch.labels);
                }
                folder.add(&batch_name(part, i), &batch.features)?;
                done += 1;
                progress(done, all);
            }
        }
        write_json(&path.join("manifest.json"), &folder.manifest)?;
        Ok(folder)
    }

    fn add(&mut self, name: &str, list: &[SeededCiphertext]) -> Result<()> {
        let path = self.path.join(name);
        let mut hasher = Sha256::new();
        write_atomically(&path, Access::Shared, |file| {
            let mut out = Hashed { inner: file, hasher: &mut hasher };
            list.iter().try_for_each(|object| wire::write(&mut out, object, self.plan.params()))
        })?;
        self.manifest.files.insert(name.to_owned(), hex(&hasher.finalize()));
        Ok(())
    }

    /// Opens a folder.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`] if it was encrypted for other keys.
    pub fn open(path: &Path, plan: &TrainPlan) -> Result<Self> {
        let file = path.join("manifest.json");
        let manifest: Manifest = read_json(&file)?;
        check_job(&file, manifest.job, plan)?;
        let folder = Self { path: path.to_owned(), plan: plan.clone(), manifest };
        // What is missing is told now, and not after an hour.
        let parts = [Part::Train, Part::Val, Part::Test];
        let batches = parts.into_iter().flat_map(|part| (0..folder.batches(part)).map(move |i| batch_name(part, i)));
        for name in batches.chain(["start.ct".to_owned()]) {
            let path = folder.path.join(&name);
            fs::metadata(&path).map_err(|error| reading(&path, &error))?;
            if !folder.manifest.files.contains_key(&name) {
                return Err(Error::malformed("manifest", file.display(), name, "in the list of files"));
            }
        }
        Ok(folder)
    }

    /// Rows of a part.
    #[must_use]
    pub const fn rows(&self, part: Part) -> usize {
        self.manifest.rows[part as usize]
    }

    /// Batches of a part.
    #[must_use]
    pub const fn batches(&self, part: Part) -> usize {
        self.rows(part).div_ceil(self.plan.batch())
    }

    /// Rows of a batch.
    #[must_use]
    pub fn batch_rows(&self, part: Part, i: usize) -> usize {
        (self.rows(part) - i * self.plan.batch()).min(self.plan.batch())
    }

    /// What a checkpoint has to have in common with this data.
    #[must_use]
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(serde_json::to_string(&self.manifest).expect("strings have a JSON form")))
    }

    fn read(&self, name: &str, count: usize) -> Result<Vec<Ciphertext>> {
        let path = self.path.join(name);
        let bytes = fs::read(&path).map_err(|error| reading(&path, &error))?;
        let found = hex(&Sha256::digest(&bytes));
        let wanted = self.manifest.files.get(name);
        if wanted != Some(&found) {
            let field = format_args!("{}: SHA-256", path.display());
            return Err(Error::malformed("file", field, found, "that of the manifest: the file was changed"));
        }
        let list: Vec<SeededCiphertext> = read_list(&mut &bytes[..], count, self.plan.params(), &path)?;
        try_map(list, |object| object.expand(self.plan.params()))
    }

    /// The state to begin with.
    ///
    /// # Errors
    /// [`Error::Io`], and those of [`wire::read`]: here and below.
    pub fn start(&self) -> Result<Vec<Ciphertext>> {
        self.read("start.ct", self.plan.circuit().states())
    }

    /// A batch to train on.
    ///
    /// # Errors
    /// As [`DataFolder::start`].
    pub fn batch(&self, i: usize) -> Result<Batch> {
        let (blocks, outputs) = (self.plan.circuit().features().grid().len(), self.plan.circuit().outputs());
        let mut features = self.read(&batch_name(Part::Train, i), blocks + outputs)?;
        let labels = features.split_off(blocks);
        Ok(Batch { features, labels, rows: self.batch_rows(Part::Train, i) })
    }

    /// The features of a batch to compute outputs of.
    ///
    /// # Errors
    /// As [`DataFolder::start`].
    pub fn features(&self, part: Part, i: usize) -> Result<Vec<Ciphertext>> {
        let blocks = self.plan.circuit().features().grid().len();
        if part == Part::Train { Ok(self.batch(i)?.features) } else { self.read(&batch_name(part, i), blocks) }
    }
}

fn batch_name(part: Part, i: usize) -> String {
    format!("{}-{i:05}.ct", part.name())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads as many objects as there have to be.
fn read_list<T: Wire>(input: &mut impl Read, count: usize, params: &Parameters, path: &Path) -> Result<Vec<T>> {
    let list = (0..count).map(|_| wire::read(input, params)).collect::<Result<_>>();
    let list = list.map_err(|error| error.in_file(path))?;
    wire::expect_end(input).map_err(|error| error.in_file(path))?;
    Ok(list)
}

/// Writes and hashes.
struct Hashed<'a, W> {
    inner: &'a mut W,
    hasher: &'a mut Sha256,
}

impl<W: Write> Write for Hashed<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// Results of an epoch: what outputs are computed with.
#[derive(Clone, Debug)]
pub struct Kept {
    /// From 1.
    pub epoch: usize,
    /// The state, lowered.
    pub state: Vec<Ciphertext>,
}

/// Where a run is.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Steps done.
    pub step: usize,
    /// Epochs done and validated.
    pub epochs: usize,
    /// Whether the client let it go on.
    pub go_on: bool,
    /// Seconds of steps and validations so far.
    pub seconds: f64,
    /// The state.
    pub state: Vec<Ciphertext>,
    /// Results of the last epochs.
    pub kept: Vec<Kept>,
}

/// The beginning of a checkpoint's file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckpointHeader {
    job: JobHash,
    config: Config,
    data: String,
    step: usize,
    epochs: usize,
    go_on: bool,
    seconds: f64,
    kept: Vec<usize>,
}

/// Longest header that is read.
const HEADER_LIMIT: u32 = 1 << 20;

/// A folder of a run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// A new folder, or, to resume, one that has a checkpoint.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`] if a new run's folder is not empty.
    pub fn create(path: &Path) -> Result<Self> {
        create(path)?;
        Ok(Self { path: path.to_owned() })
    }

    /// A folder that is there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(path: &Path) -> Result<Self> {
        fs::read_dir(path).map_err(|error| reading(path, &error))?;
        Ok(Self { path: path.to_owned() })
    }

    /// The server's log.
    #[must_use]
    pub fn server_log(&self) -> PathBuf {
        self.path.join("server.jsonl")
    }

    /// The client's log.
    #[must_use]
    pub fn client_log(&self) -> PathBuf {
        self.path.join("client.jsonl")
    }

    /// The page that shows the run.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }

    fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint.ct")
    }

    /// Writes where a run is: its bytes.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, plan: &TrainPlan, data: &str, checkpoint: &Checkpoint) -> Result<u64> {
        let Checkpoint { step, epochs, go_on, seconds, state, kept } = checkpoint;
        let header = CheckpointHeader {
            job: plan.hash(),
            config: plan.config().clone(),
            data: data.to_owned(),
            step: *step,
            epochs: *epochs,
            go_on: *go_on,
            seconds: *seconds,
            kept: kept.iter().map(|kept| kept.epoch).collect(),
        };
        let header = serde_json::to_vec(&header).expect("numbers and strings have a JSON form");
        let path = self.checkpoint();
        write_atomically(&path, Access::Shared, |file| {
            let mut out = BufWriter::with_capacity(1 << 20, file);
            write_all(&mut out, &(header.len() as u32).to_le_bytes(), &path)?;
            write_all(&mut out, &header, &path)?;
            let objects = state.iter().chain(kept.iter().flat_map(|kept| &kept.state));
            objects.into_iter().try_for_each(|object| wire::write(&mut out, object, plan.params()))?;
            out.flush().map_err(|error| Error::io(format_args!("writing {}", path.display()), &error))
        })?;
        Ok(fs::metadata(&path).map_err(|error| reading(&path, &error))?.len())
    }

    /// Where the run was.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`] if it belongs to other keys, settings or data.
    pub fn load(&self, plan: &TrainPlan, data: &str) -> Result<Checkpoint> {
        let path = self.checkpoint();
        let mut file = BufReader::with_capacity(1 << 20, File::open(&path).map_err(|error| reading(&path, &error))?);
        let mut len = [0; 4];
        file.read_exact(&mut len).map_err(|error| reading(&path, &error))?;
        let len = u32::from_le_bytes(len);
        let wrong = |field, value: &dyn std::fmt::Display, wanted: &dyn std::fmt::Display| {
            Error::malformed("checkpoint", format_args!("{}: {field}", path.display()), value, wanted)
        };
        if len > HEADER_LIMIT {
            return Err(wrong("length of the header", &len, &format_args!("at most {HEADER_LIMIT}")));
        }
        let mut header = vec![0; len as usize];
        file.read_exact(&mut header).map_err(|error| reading(&path, &error))?;
        let header: CheckpointHeader = serde_json::from_slice(&header)
            .map_err(|error| wrong("header", &error, &"as this version of the program writes it"))?;
        if header.job != plan.hash() {
            return Err(wrong("job", &header.job, &format_args!("{}: it belongs to other keys", plan.hash())));
        }
        if header.data != data {
            return Err(wrong("data", &header.data, &format_args!("{data}: it belongs to other encrypted data")));
        }
        if header.config != *plan.config() {
            let show = |config: &Config| serde_json::to_string(config).expect("numbers and strings have a JSON form");
            return Err(wrong("settings", &show(&header.config), &show(plan.config())));
        }
        let (states, params) = (plan.circuit().states(), plan.params());
        let objects = read_list(&mut file, states * (1 + header.kept.len().min(1 << 16)), params, &path)?;
        let mut lists = objects.chunks(states).map(<[Ciphertext]>::to_vec);
        let state = lists.next().expect("was read");
        let kept = header.kept.into_iter().zip(lists).map(|(epoch, state)| Kept { epoch, state }).collect();
        let CheckpointHeader { step, epochs, go_on, seconds, .. } = header;
        Ok(Checkpoint { step, epochs, go_on, seconds, state, kept })
    }

    fn model(&self, epoch: usize) -> PathBuf {
        self.path.join(format!("model-{epoch:03}.ct"))
    }

    /// Writes the results of the last epochs, of which the client chooses: the job, and the ciphertexts.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_models(&self, plan: &TrainPlan, kept: &[Kept]) -> Result<()> {
        kept.iter().try_for_each(|Kept { epoch, state }| {
            let path = self.model(*epoch);
            write_atomically(&path, Access::Shared, |file| {
                write_all(file, &plan.hash().0, &path)?;
                state.iter().try_for_each(|object| wire::write(file, object, plan.params()))
            })
        })
    }

    /// The result of an epoch.
    ///
    /// # Errors
    /// [`Error::Io`], those of [`wire::read`], [`Error::Malformed`] if it belongs to other keys.
    pub fn read_model(&self, plan: &TrainPlan, epoch: usize) -> Result<Vec<Ciphertext>> {
        let path = self.model(epoch);
        let mut file = BufReader::with_capacity(1 << 20, File::open(&path).map_err(|error| reading(&path, &error))?);
        let mut job = [0; 16];
        file.read_exact(&mut job).map_err(|error| reading(&path, &error))?;
        check_job(&path, JobHash(job), plan)?;
        read_list(&mut file, plan.circuit().states(), plan.params(), &path)
    }
}
