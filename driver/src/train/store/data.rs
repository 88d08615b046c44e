//! Folders of encrypted data.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::folder::{Folder, Kind, Making, check_finished};
use super::receipt::Receipt;
use super::{KeyFolder, Progress, check_job, check_keys, encoded_len, read_json, read_list, write_json};
use crate::base::error::{Error, Result, check_count};
use crate::base::files::{Access, write_sized};
use crate::base::key_generation::KeyGeneration;
use crate::base::parallel::try_map;
use crate::base::text::hex;
use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::encryption::SeededCiphertext;
use crate::train::client::Client;
use crate::train::data::dataset::Part;
use crate::train::data::dataset::{Dataset, Split};
use crate::train::plan::{JobHash, TrainPlan};
use crate::train::protocol::{Batch, BatchSource, Origin};
use crate::wire;

/// The manifest of a folder of encrypted data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    job: JobHash,
    keys: KeyGeneration,
    /// The numbers of rows for training, validation and testing.
    rows: [usize; 3],
    /// The hash of the normaliser that was applied to the features, if any.
    normaliser: Option<String>,
    /// The SHA-256 of every file, by name.
    files: BTreeMap<String, String>,
}

/// The length limit of a manifest in bytes: room for 700,000 batches.
const MANIFEST_LIMIT: u64 = 1 << 26;

/// A folder of encrypted data.
#[derive(Clone, Debug)]
pub struct DataFolder {
    folder: Folder,
    plan: TrainPlan,
    manifest: Manifest,
}

impl DataFolder {
    /// Refuses a path at which [`DataFolder::create`] would fail, so that the user learns of it
    /// before work that takes long.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the folder is not empty.
    pub fn check_new(path: &Path) -> Result<()> {
        Folder::new(path, Kind::Data).check_new()
    }

    /// Encrypts a data set, batch by batch, and stores the `receipt`, which is what the client has
    /// to remember of it, beside the keys. The rows are those of [`Receipt::prepare`].
    ///
    /// # Errors
    /// The errors of [`Client::encrypt`]; [`Error::Malformed`] if the folder is not empty,
    /// [`Error::InUse`], [`Error::Io`]. After an error nothing is left of the folder.
    pub fn create(
        path: &Path,
        keys: &KeyFolder,
        client: &Client,
        dataset: &Dataset,
        mut receipt: Receipt,
        rng: &mut (impl CryptoRng + ?Sized),
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let shape = keys.plan().shape();
        check_count("features", dataset.train.columns, shape.features)?;
        check_count("classes", dataset.classes, shape.classes)?;
        check_keys(path, client.secret().key_generation(), keys.generation())?;
        let plan = keys.plan().clone().with_rows(dataset.train.rows())?;
        let making = Making::begin(path, Kind::Data)?;
        let splits = [Some(&dataset.train), dataset.val.as_ref(), dataset.test.as_ref()];
        let rows = splits.map(|split| split.map_or(0, Split::rows));
        let (job, generation, normaliser) = (plan.hash(), keys.generation(), receipt.normaliser.clone());
        let manifest = Manifest { job, keys: generation, rows, normaliser, files: BTreeMap::new() };
        let mut data = Self { folder: making.folder().clone(), plan, manifest };
        let zeros = vec![0.0; shape.classes * (shape.features + 1)];
        data.add("start.ct", &client.encrypt_state(&zeros, &zeros, rng)?)?;
        let all = Part::ALL.map(|part| data.batches(part)).iter().sum();
        let mut done = 0;
        for (part, split) in Part::ALL.into_iter().zip(splits) {
            let Some(split) = split else { continue };
            for i in 0..data.batches(part) {
                let mut batch = client.encrypt(split, i * data.plan.batch(), data.batch_rows(part, i), rng)?;
                if part == Part::Train {
                    batch.features.append(&mut batch.labels);
                }
                data.add(&batch_name(part, i), &batch.features)?;
                done += 1;
                progress(done, all);
            }
        }
        write_json(&data.folder.file("manifest.json")?, Access::Shared, &data.manifest)?;
        receipt.data = data.hash();
        keys.write_receipt(&receipt)?;
        making.finish()?;
        Ok(data)
    }

    fn add(&mut self, name: &str, list: &[SeededCiphertext]) -> Result<()> {
        let path = self.folder.file(name)?;
        let mut hasher = Sha256::new();
        write_sized(&path, Access::Shared, encoded_len(list, self.plan.params())?, |file| {
            let mut out = Hashed { inner: file, hasher: &mut hasher };
            list.iter().try_for_each(|object| wire::write(&mut out, object, self.plan.params()))
        })?;
        self.manifest.files.insert(name.to_owned(), hex(&hasher.finalize()));
        Ok(())
    }

    /// Opens a folder of data that were encrypted under these keys.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`] if the data were encrypted for other keys,
    /// or files are missing.
    pub fn open(path: &Path, keys: &KeyFolder) -> Result<Self> {
        let folder = Folder::new(path, Kind::Data);
        check_finished(&folder)?;
        let file = folder.file("manifest.json")?;
        let manifest: Manifest = read_json(&file, MANIFEST_LIMIT)?;
        check_keys(&file, manifest.keys, keys.generation())?;
        let plan = keys.plan().clone().with_rows(manifest.rows[0]).map_err(|error| error.in_file(&file))?;
        check_job(&file, manifest.job, &plan)?;
        let data = Self { folder, plan, manifest };
        // Missing files are reported now, and not after an hour of training. The names are made
        // only once their count matches the list of files, which therefore bounds them.
        let batches: Vec<usize> = Part::ALL.into_iter().map(|part| data.batches(part)).collect();
        let wanted = batches.iter().try_fold(1, |sum: usize, batches| sum.checked_add(*batches));
        let found = data.manifest.files.len();
        if wanted != Some(found) {
            let field = format_args!("{}: number of files", file.display());
            let wanted = format_args!("{}, of {:?} rows", wanted.unwrap_or(usize::MAX), data.manifest.rows);
            return Err(Error::malformed("manifest", field, found, wanted));
        }
        let names = Part::ALL.into_iter().flat_map(|part| (0..data.batches(part)).map(move |i| batch_name(part, i)));
        for name in names.chain(["start.ct".to_owned()]) {
            if !data.manifest.files.contains_key(&name) {
                return Err(Error::malformed("manifest", file.display(), name, "in the list of files"));
            }
            data.folder.read(&name)?;
        }
        Ok(data)
    }

    /// Returns the plan for the number of rows in this folder.
    #[must_use]
    pub const fn plan(&self) -> &TrainPlan {
        &self.plan
    }

    /// Returns the number of rows of a part.
    #[must_use]
    pub const fn rows(&self, part: Part) -> usize {
        self.manifest.rows[part as usize]
    }

    /// Returns the number of batches of a part.
    #[must_use]
    pub const fn batches(&self, part: Part) -> usize {
        self.rows(part).div_ceil(self.plan.batch())
    }

    /// Returns the number of rows of a batch.
    #[must_use]
    pub fn batch_rows(&self, part: Part, i: usize) -> usize {
        (self.rows(part) - i * self.plan.batch()).min(self.plan.batch())
    }

    /// Returns the origin that checkpoints and models of these data record.
    #[must_use]
    pub fn origin(&self) -> Origin {
        let Manifest { job, keys, ref normaliser, .. } = self.manifest;
        Origin { job, keys, data: self.hash(), normaliser: normaliser.clone() }
    }

    /// Returns the hash that identifies these data, which checkpoints and models record.
    #[must_use]
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(serde_json::to_string(&self.manifest).expect("strings have a JSON form")))
    }

    fn read(&self, name: &str, list: &[(usize, usize)]) -> Result<Vec<Ciphertext>> {
        let (path, mut file, length) = self.folder.read(name)?;
        let params = self.plan.params();
        let wanted: u64 = list.iter().map(|&(count, level)| count as u64 * wire::seeded_len(params, level)).sum();
        if length != wanted {
            let field = format_args!("{}: bytes", path.display());
            return Err(Error::malformed("file", field, length, wanted));
        }
        let mut bytes = vec![0; length as usize];
        file.read_exact(&mut bytes).map_err(|error| super::reading(&path, &error))?;
        let found = hex(&Sha256::digest(&bytes));
        if self.manifest.files.get(name) != Some(&found) {
            let field = format_args!("{}: SHA-256", path.display());
            return Err(Error::malformed("file", field, found, "that of the manifest: the file was changed"));
        }
        let count = list.iter().map(|(count, _)| count).sum();
        let list: Vec<SeededCiphertext> = read_list(&mut &bytes[..], count, params, &path)?;
        for object in &list {
            check_keys(&path, object.key_generation(), self.manifest.keys)?;
        }
        try_map(list, |object| object.expand(params))
    }

    /// Reads the initial state.
    ///
    /// # Errors
    /// [`Error::Io`], and the errors of [`wire::read`], here and below.
    pub fn start(&self) -> Result<Vec<Ciphertext>> {
        self.read("start.ct", &[(self.plan.circuit().states(), self.plan.bootstrap().output_level())])
    }

    /// Reads a training batch.
    ///
    /// # Errors
    /// As [`DataFolder::start`].
    pub fn batch(&self, i: usize) -> Result<Batch> {
        let (circuit, levels) = (self.plan.circuit(), self.plan.levels());
        let blocks = circuit.features().grid().len();
        let list = [(blocks, levels.features), (circuit.outputs(), levels.errors)];
        let mut features = self.read(&batch_name(Part::Train, i), &list)?;
        let labels = features.split_off(blocks);
        Ok(Batch { features, labels, rows: self.batch_rows(Part::Train, i) })
    }

    /// Reads the features of a batch for which outputs are to be computed.
    ///
    /// # Errors
    /// As [`DataFolder::start`].
    pub fn features(&self, part: Part, i: usize) -> Result<Vec<Ciphertext>> {
        if part == Part::Train {
            return Ok(self.batch(i)?.features);
        }
        let blocks = self.plan.circuit().features().grid().len();
        self.read(&batch_name(part, i), &[(blocks, self.plan.levels().features)])
    }
}

fn batch_name(part: Part, i: usize) -> String {
    format!("{}-{i:05}.ct", part.name())
}

/// A writer that also hashes what it writes.
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

impl BatchSource for DataFolder {
    fn origin(&self) -> Origin {
        Self::origin(self)
    }

    fn start(&self) -> Result<Vec<Ciphertext>> {
        Self::start(self)
    }

    fn batch(&self, i: usize) -> Result<Batch> {
        Self::batch(self, i)
    }

    fn validation_batches(&self) -> usize {
        self.batches(Part::Val)
    }

    fn validation(&self, i: usize) -> Result<Vec<Ciphertext>> {
        self.features(Part::Val, i)
    }
}
