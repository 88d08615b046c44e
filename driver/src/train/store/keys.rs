//! Folders of keys, and what the client keeps beside the keys.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::folder::{Folder, Kind, Making, check_finished};
use super::receipt::Receipt;
use super::{Progress, check_job, check_keys, read_json, write_json};
use crate::base::error::{Error, Result, check_count};
use crate::base::files::{Access, write_sized};
use crate::base::key_generation::KeyGeneration;
use crate::base::text::hex;
use crate::ckks::keys::{EncapsulationKeys, KeySet, SecretKey};
use crate::train::config::{Config, OF_KEYS};
use crate::train::data::normaliser::Normaliser;
use crate::train::plan::{DataShape, JobHash, TrainPlan};
use crate::wire::{self, Wire};

/// The purpose for which a folder of keys was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The settings.
    pub config: Config,
    /// The size of the data that the keys were planned for; other data may have
    /// other numbers of rows.
    pub shape: DataShape,
    /// The hash of the plan: [`TrainPlan::hash`].
    pub hash: JobHash,
    /// The generation of the keys.
    pub keys: KeyGeneration,
}

/// The length limit in bytes of the file of a job, and of other lists of settings.
const JOB_LIMIT: u64 = 1 << 16;
/// The length limit in bytes of a normaliser and of a receipt: 2^20 features take 48 MiB.
const CLIENT_LIMIT: u64 = 1 << 28;

/// A normaliser as the client keeps it. The server is told its hash; without the salt it could use
/// the hash to test guesses of the values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredNormaliser {
    salt: String,
    /// The normaliser.
    pub normaliser: Normaliser,
}

impl StoredNormaliser {
    /// Creates a stored normaliser with a fresh salt.
    pub fn new(normaliser: Normaliser, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut salt = [0; 16];
        rng.fill_bytes(&mut salt);
        Self { salt: hex(&salt), normaliser }
    }

    /// Reads a stored normaliser from a file.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Malformed`], which name the path.
    pub fn read(path: &Path) -> Result<Self> {
        let stored: Self = read_json(path, CLIENT_LIMIT)?;
        stored.normaliser.check().map_err(|error| error.in_file(path))?;
        Ok(stored)
    }

    /// Returns the hash by which encrypted data and models refer to this normaliser.
    #[must_use]
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(serde_json::to_string(self).expect("numbers and strings have a JSON form")))
    }
}

/// A folder of keys.
#[derive(Clone, Debug)]
pub struct KeyFolder {
    folder: Folder,
    plan: TrainPlan,
    generation: KeyGeneration,
}

impl KeyFolder {
    /// Creates a folder with all keys for a training.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the folder is not empty, [`Error::InUse`], [`Error::Io`].
    pub fn create(
        path: &Path,
        plan: TrainPlan,
        rng: &mut (impl CryptoRng + ?Sized),
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let making = Making::begin(path, Kind::Keys)?;
        let (folder, params) = (making.folder(), plan.params());
        let secret = SecretKey::generate(params, rng)?;
        let bytes = secret.encoded_len(params)?;
        write_sized(folder.file("secret.key")?, Access::Owner, bytes, |file| wire::write(file, &secret, params))?;
        let encapsulation = secret.encapsulation_keys(rng)?;
        let bytes = encapsulation.encoded_len(params)?;
        write_sized(folder.file("public/encapsulation.keys")?, Access::Shared, bytes, |file| {
            wire::write(file, &encapsulation, params)
        })?;
        let requests = plan.requests();
        let list = requests.plan(params)?;
        let bytes = wire::evaluation_keys_len(params, &list)?;
        write_sized(folder.file("public/evaluation.keys")?, Access::Shared, bytes, |file| {
            let mut done = 0;
            let keys = secret.evaluation_keys_iter(&requests, rng)?.inspect(|_| {
                done += 1;
                progress(done, list.len());
            });
            wire::write_evaluation_keys(file, params, &list, keys)
        })?;
        let generation = secret.key_generation();
        let (config, shape, hash) = (plan.config().clone(), plan.shape(), plan.hash());
        let job = Job { config, shape, hash, keys: generation };
        write_json(&folder.file("public/job.json")?, Access::Shared, &job)?;
        let folder = folder.clone();
        making.finish()?;
        Ok(Self { folder, plan, generation })
    }

    /// Opens a folder of keys, and plans its training again.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`] if this version of hetal makes another plan than the
    /// version that made the keys.
    pub fn open(path: &Path) -> Result<Self> {
        let folder = Folder::new(path, Kind::Keys);
        check_finished(&folder)?;
        let file = folder.file("public/job.json")?;
        let job: Job = read_json(&file, JOB_LIMIT)?;
        let plan = TrainPlan::new(&job.config, job.shape)?;
        check_job(&file, job.hash, &plan)?;
        Ok(Self { folder, plan, generation: job.keys })
    }

    /// Returns the plan.
    #[must_use]
    pub const fn plan(&self) -> &TrainPlan {
        &self.plan
    }

    /// Returns the id that everything made with these keys carries.
    #[must_use]
    pub const fn generation(&self) -> KeyGeneration {
        self.generation
    }

    /// Returns the same keys with other settings, as far as keys do not depend on them:
    /// step size, method, epochs, patience and checkpoints.
    ///
    /// # Errors
    /// [`Error::Malformed`] names a setting that needs other keys.
    pub fn with_config(mut self, config: &Config) -> Result<Self> {
        let own = self.plan.config();
        // A batch larger than the planned number of rows was cut to that number when the keys were
        // made; the same is done here, so that the same setting still matches.
        let config = Config { batch: config.batch.min(self.plan.shape().rows), ..config.clone() };
        config.check_same(own, &OF_KEYS, "the keys are made for that; other keys are needed for another")?;
        let plan = TrainPlan::new(&config, self.plan.shape())?;
        check_job(&self.folder.file("public/job.json")?, self.plan.hash(), &plan)?;
        self.plan = plan;
        Ok(self)
    }

    /// Returns the same keys for data with another number of rows.
    ///
    /// # Errors
    /// The errors of [`TrainPlan::with_rows`].
    pub fn with_rows(mut self, rows: usize) -> Result<Self> {
        self.plan = self.plan.with_rows(rows)?;
        Ok(self)
    }

    /// Reads the secret key, which is for the client alone.
    ///
    /// # Errors
    /// The errors of [`wire::read`], with the path.
    pub fn secret(&self) -> Result<SecretKey> {
        let (path, secret) = self.read("secret.key", |file| wire::read::<SecretKey>(file, self.plan.params()))?;
        check_keys(&path, secret.key_generation(), self.generation)?;
        Ok(secret)
    }

    /// Reads the keys of the server.
    ///
    /// # Errors
    /// The errors of [`wire::read_evaluation_keys`], with the path.
    pub fn public(&self, progress: &mut Progress<'_>) -> Result<(KeySet, EncapsulationKeys)> {
        let params = self.plan.params();
        let (path, encapsulation) =
            self.read("public/encapsulation.keys", |file| wire::read::<EncapsulationKeys>(file, params))?;
        check_keys(&path, encapsulation.key_generation(), self.generation)?;
        let wanted = self.plan.requests().plan(params)?;
        let (path, keys) = self.read("public/evaluation.keys", |file| {
            let mut keys = KeySet::default();
            for (done, key) in wire::read_evaluation_keys(file, params)?.enumerate() {
                keys.insert(key?)?;
                progress(done + 1, wanted.len());
            }
            Ok(keys)
        })?;
        if let Some(key) = keys.iter().next() {
            check_keys(&path, key.key_generation(), self.generation)?;
        }
        Ok((keys, encapsulation))
    }

    fn read<T>(&self, name: &str, read: impl FnOnce(&mut BufReader<File>) -> Result<T>) -> Result<(PathBuf, T)> {
        let (path, mut file, _) = self.folder.read(name)?;
        let object = read(&mut file).map_err(|error| error.in_file(&path))?;
        wire::expect_end(&mut file).map_err(|error| error.in_file(&path))?;
        Ok((path, object))
    }

    /// Returns the normaliser that is applied to features before they are encrypted under these
    /// keys, if there is one.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Malformed`], which name the path.
    pub fn normaliser(&self) -> Result<Option<StoredNormaliser>> {
        if !self.folder.has("normaliser.json")? {
            return Ok(None);
        }
        StoredNormaliser::read(&self.folder.file("normaliser.json")?).map(Some)
    }

    /// Returns the normaliser of data or of a model that refers to it by this hash.
    ///
    /// # Errors
    /// [`Error::Malformed`] if there is no normaliser or another one, and the errors of
    /// [`KeyFolder::normaliser`].
    pub fn normaliser_of(&self, hash: Option<&str>) -> Result<Option<Normaliser>> {
        let Some(hash) = hash else { return Ok(None) };
        let path = self.folder.file("normaliser.json")?;
        let refused = |value| {
            let field = format_args!("{}", path.display());
            let wanted = "the one that the data were encrypted with: without it all results would be wrong";
            Err(Error::malformed("normaliser", field, value, wanted))
        };
        match self.normaliser()? {
            None => refused("(missing)"),
            Some(stored) if stored.hash() != hash => refused("(another one)"),
            Some(stored) => Ok(Some(stored.normaliser)),
        }
    }

    /// Stores a normaliser for the client alone: it reveals means and deviations of the features.
    ///
    /// # Errors
    /// [`Error::Io`] if writing fails.
    pub fn write_normaliser(&self, stored: &StoredNormaliser) -> Result<()> {
        write_json(&self.folder.file("normaliser.json")?, Access::Owner, stored)
    }

    /// Returns the path of the normaliser, which need not exist.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a link, and for anything that is not a regular file.
    pub fn normaliser_path(&self) -> Result<PathBuf> {
        self.folder.file("normaliser.json")
    }

    fn receipt_name(data: &str) -> String {
        format!("data-{}.json", data.get(..16).unwrap_or(data))
    }

    /// Reads the client's receipt of the data with this hash.
    ///
    /// # Errors
    /// [`Error::Malformed`] if there is no receipt or it belongs to other keys; [`Error::Io`].
    pub fn receipt(&self, data: &str) -> Result<Receipt> {
        let name = Self::receipt_name(data);
        let path = self.folder.file(&name)?;
        if !self.folder.has(&name)? {
            let wanted = "beside the keys, where encrypt wrote it: copy it back, or encrypt the data again";
            return Err(Error::malformed("encrypted data", path.display(), "(missing)", wanted));
        }
        let receipt: Receipt = read_json(&path, CLIENT_LIMIT)?;
        check_keys(&path, receipt.keys, self.generation)?;
        if let Some(names) = &receipt.class_names {
            check_count("names of classes", names.len(), self.plan.shape().classes)?;
        }
        if receipt.data != data {
            return Err(Error::malformed("encrypted data", path.display(), receipt.data, data));
        }
        Ok(receipt)
    }

    /// Stores the receipt of encrypted data, for the client alone.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`] for a link.
    pub fn write_receipt(&self, receipt: &Receipt) -> Result<()> {
        // Each receipt has a different name, so that writing one never replaces what a killed
        // process left of another; such remains have to be removed here.
        self.folder.remove_left()?;
        write_json(&self.folder.file(&Self::receipt_name(&receipt.data))?, Access::Owner, receipt)
    }

    /// Returns the path of the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}
