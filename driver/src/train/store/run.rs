//! Folders of runs: checkpoints, results, logs.

use std::fs;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::folder::{Folder, Kind, Lock, is_unfinished};
use super::{check_job, check_keys, encoded_len, read_list, reading, write_all};
use crate::base::error::{Error, Result};
use crate::base::files::{Access, write_sized};
use crate::base::key_generation::KeyGeneration;
use crate::ckks::ciphertext::Ciphertext;
use crate::train::config::{Config, OF_RUN};
use crate::train::log::{self, ClientEvent, ServerEvent};
use crate::train::plan::TrainPlan;
use crate::train::protocol::Origin;
use crate::train::stopping;
use crate::wire;

/// The result of an epoch, with which outputs are computed.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// The state, lowered to the level that outputs need.
    pub state: Vec<Ciphertext>,
}

/// The point that a run has reached.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The number of steps done.
    pub step: usize,
    /// The number of epochs done and validated.
    pub epochs: usize,
    /// Whether the client let the run go on.
    pub go_on: bool,
    /// The seconds of steps and validations so far.
    pub seconds: f64,
    /// The state.
    pub state: Vec<Ciphertext>,
    /// The results of the last epochs.
    pub kept: Vec<Kept>,
}

/// The header of a checkpoint file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckpointHeader {
    origin: Origin,
    config: Config,
    step: usize,
    epochs: usize,
    go_on: bool,
    seconds: f64,
    kept: Vec<usize>,
}

impl CheckpointHeader {
    /// Refuses counters that no run with `steps` steps in an epoch can reach.
    fn check(&self, steps: usize) -> Result<()> {
        let Self { step, epochs, go_on, seconds, kept, .. } = self;
        let begin = epochs.checked_mul(steps);
        let end = begin.and_then(|begin| begin.checked_add(steps));
        let wrong = |field, value: String, wanted: &str| Err(Error::malformed("checkpoint", field, value, wanted));
        // The upper bound is included: all steps of an epoch are done when its validation
        // is interrupted.
        if !begin.zip(end).is_some_and(|(begin, end)| (begin..=end).contains(step)) {
            return wrong("steps, epochs", format!("{step}, {epochs}"), &format!("of {steps} steps an epoch"));
        }
        if !(seconds.is_finite() && *seconds >= 0.0) {
            return wrong("seconds", seconds.to_string(), "finite and not negative");
        }
        if !kept.is_sorted_by(|a, b| a < b)
            || kept.last() != (*epochs > 0).then_some(epochs)
            || kept.first() == Some(&0)
        {
            let wanted = format!("some of the epochs 1 to {epochs} in order, the last one among them");
            return wrong("kept epochs", format!("{kept:?}"), &wanted);
        }
        if !go_on && *epochs == 0 {
            return wrong("go_on", go_on.to_string(), "true before the first epoch");
        }
        self.config.check()
    }
}

/// The header of a model file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelHeader {
    origin: Origin,
    epoch: usize,
}

/// The stored result of an epoch.
#[derive(Clone, Debug)]
pub struct StoredModel {
    /// The job, keys and data that the model comes from.
    pub origin: Origin,
    /// The state, encrypted.
    pub state: Vec<Ciphertext>,
}

/// The length limit of a header in bytes.
const HEADER_LIMIT: u32 = 1 << 20;

/// A folder of a run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    folder: Folder,
    /// The lock, held if this process writes to the folder.
    _lock: Option<Arc<Lock>>,
}

const CHECKPOINT: &str = "public/checkpoint.ct";
const SERVER_LOG: &str = "public/server.jsonl";
const CLIENT_LOG: &str = "client.jsonl";
const LOCK: &str = "lock";

impl RunFolder {
    /// Creates the folder of a new run. A run that was ended before its first
    /// checkpoint is begun anew.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the folder holds other things, [`Error::InUse`], [`Error::Io`].
    pub fn create(path: &Path) -> Result<Self> {
        let folder = Folder::new(path, Kind::Run);
        let begun = |name: &String| [LOCK, CLIENT_LOG, SERVER_LOG].contains(&name.as_str()) || is_unfinished(name);
        if path.exists() && !folder.names()?.iter().all(begun) {
            let wanted = "empty, or not exist; --resume continues a run";
            return Err(Error::malformed("output", "folder", path.display(), wanted));
        }
        folder.make()?;
        let lock = Lock::take(&folder, LOCK)?;
        folder.remove_left()?;
        for name in [CLIENT_LOG, SERVER_LOG] {
            if folder.has(name)? {
                let path = folder.file(name)?;
                fs::remove_file(&path)
                    .map_err(|error| Error::io(format_args!("removing {}", path.display()), &error))?;
            }
        }
        Ok(Self { folder, _lock: Some(Arc::new(lock)) })
    }

    /// Opens the folder of a run to be continued.
    ///
    /// # Errors
    /// [`Error::InUse`] while another process trains in it, [`Error::Io`].
    pub fn resume(path: &Path) -> Result<Self> {
        let Self { folder, .. } = Self::open(path)?;
        let lock = Lock::take(&folder, LOCK)?;
        folder.remove_left()?;
        Ok(Self { folder, _lock: Some(Arc::new(lock)) })
    }

    /// Opens an existing folder for reading.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        fs::read_dir(path).map_err(|error| reading(path, &error))?;
        Ok(Self { folder: Folder::new(path, Kind::Run), _lock: None })
    }

    /// Returns the path of the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the path of the server's log.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a link, and for anything that is not a regular
    /// file, here and below.
    pub fn server_log(&self) -> Result<PathBuf> {
        self.folder.file(SERVER_LOG)
    }

    /// Returns the path of the client's log.
    ///
    /// # Errors
    /// As [`RunFolder::server_log`].
    pub fn client_log(&self) -> Result<PathBuf> {
        self.folder.file(CLIENT_LOG)
    }

    /// Returns the path of the page that shows the run.
    ///
    /// # Errors
    /// As [`RunFolder::server_log`].
    pub fn report(&self) -> Result<PathBuf> {
        self.folder.file("report.html")
    }

    /// Reads the events of the client's log, none if there is no log, and a warning for the user if
    /// the log is damaged.
    ///
    /// # Errors
    /// The errors of [`log::read`].
    pub fn client_events(&self) -> Result<(Vec<ClientEvent>, Option<String>)> {
        self.events(CLIENT_LOG)
    }

    /// Reads the events of the server's log, none if there is no log, and a warning for the user if
    /// the log is damaged.
    ///
    /// # Errors
    /// The errors of [`log::read`].
    pub fn server_events(&self) -> Result<(Vec<ServerEvent>, Option<String>)> {
        self.events(SERVER_LOG)
    }

    fn events<E: DeserializeOwned>(&self, name: &str) -> Result<(Vec<E>, Option<String>)> {
        if !self.folder.has(name)? {
            return Ok((Vec::new(), None));
        }
        let path = self.folder.file(name)?;
        let log = log::read(&path)?;
        let warning = log.warning(&path);
        Ok((log.events, warning))
    }

    /// Checks the logs of a run that is to be continued from a checkpoint.
    /// A log that lacks events is an error, for a part of it is lost then;
    /// a log that is missing altogether only gives a warning. Returns the warnings for the user.
    ///
    /// # Errors
    /// [`Error::Malformed`], and the errors of [`log::read`].
    pub fn check_logs(&self, checkpoint: &Checkpoint, validates: bool) -> Result<Vec<String>> {
        let (server, server_warning) = self.server_events()?;
        let (client, client_warning) = self.client_events()?;
        let step = |event: &ServerEvent| if let ServerEvent::Step { step, .. } = event { Some(*step) } else { None };
        let validated =
            |event: &ClientEvent| if let ClientEvent::Validation { epoch, .. } = event { Some(*epoch) } else { None };
        let epochs = if validates { checkpoint.epochs } else { 0 };
        let logs = [
            (SERVER_LOG, "steps", server.iter().filter_map(step).max(), checkpoint.step),
            (CLIENT_LOG, "validations", client.iter().filter_map(validated).max(), epochs),
        ];
        let mut warnings: Vec<String> = server_warning.into_iter().chain(client_warning).collect();
        for (name, what, found, wanted) in logs {
            let found = found.unwrap_or(0);
            if found >= wanted {
                continue;
            }
            let path = self.folder.file(name)?;
            if self.folder.has(name)? {
                let field = format_args!("{}: {what}", path.display());
                let wanted = format_args!(
                    "{wanted}, as in the checkpoint: restore the log from a copy, or remove it to go on without what it told"
                );
                return Err(Error::malformed("log", field, found, wanted));
            }
            warnings.push(format!("{} is missing: nothing is known of the first {wanted} {what}", path.display()));
        }
        Ok(warnings)
    }

    /// Writes a checkpoint, and returns the size of the file in bytes.
    ///
    /// # Errors
    /// [`Error::Io`] if writing fails.
    pub fn save(&self, plan: &TrainPlan, origin: &Origin, checkpoint: &Checkpoint) -> Result<u64> {
        let Checkpoint { step, epochs, go_on, seconds, state, kept } = checkpoint;
        let header = CheckpointHeader {
            origin: origin.clone(),
            config: plan.config().clone(),
            step: *step,
            epochs: *epochs,
            go_on: *go_on,
            seconds: *seconds,
            kept: kept.iter().map(|kept| kept.epoch).collect(),
        };
        let objects: Vec<_> = state.iter().chain(kept.iter().flat_map(|kept| &kept.state)).collect();
        self.write(CHECKPOINT, &header, &objects, plan)
    }

    /// Reads the checkpoint; `None` if the run was ended before its first one.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`] if it belongs to other keys, settings or data,
    /// or if it is missing although there are models.
    pub fn load(&self, plan: &TrainPlan, origin: &Origin) -> Result<Option<Checkpoint>> {
        if !self.folder.has(CHECKPOINT)? {
            let models = self.models()?;
            if models.is_empty() {
                return Ok(None);
            }
            let path = self.folder.file(CHECKPOINT)?;
            let wanted = format_args!("there, as the run has models of the epochs {models:?}");
            return Err(Error::malformed("checkpoint", path.display(), "(missing)", wanted));
        }
        let (path, mut file, _) = self.folder.read(CHECKPOINT)?;
        let header: CheckpointHeader = read_header(&mut file, "checkpoint", &path)?;
        check_origin(&path, &header.origin, plan, origin.keys)?;
        let Origin { data, normaliser, .. } = &header.origin;
        if (data, normaliser) != (&origin.data, &origin.normaliser) {
            let wanted = format_args!("{}: it belongs to other encrypted data", origin.data);
            return Err(Error::malformed("checkpoint", format_args!("{}: data", path.display()), data, wanted));
        }
        header.check(plan.steps_per_epoch()).map_err(|error| error.in_file(&path))?;
        plan.config().check_same(
            &header.config,
            &OF_RUN,
            "the run was begun with that; begin a new run for another",
        )?;
        let (states, params) = (plan.circuit().states(), plan.params());
        let objects: Vec<Ciphertext> = read_list(&mut file, states * (1 + header.kept.len()), params, &path)?;
        objects.iter().try_for_each(|object| check_keys(&path, object.key_generation(), origin.keys))?;
        let mut lists = objects.chunks(states).map(<[Ciphertext]>::to_vec);
        let state = lists.next().expect("was read");
        let kept = header.kept.into_iter().zip(lists).map(|(epoch, state)| Kept { epoch, state }).collect();
        let CheckpointHeader { step, epochs, go_on, seconds, .. } = header;
        Ok(Some(Checkpoint { step, epochs, go_on, seconds, state, kept }))
    }

    /// Writes the results of the last epochs, among which the client chooses.
    ///
    /// # Errors
    /// [`Error::Io`] if writing fails.
    pub fn write_models(&self, plan: &TrainPlan, origin: &Origin, kept: &[Kept]) -> Result<()> {
        kept.iter().try_for_each(|Kept { epoch, state }| {
            let header = ModelHeader { origin: origin.clone(), epoch: *epoch };
            self.write(&model_name(*epoch), &header, &state.iter().collect::<Vec<_>>(), plan).map(|_| ())
        })
    }

    /// Returns the epochs for which there are models, in ascending order.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be read.
    pub fn models(&self) -> Result<Vec<usize>> {
        let number = |name: &String| {
            let epoch = name.strip_prefix("public/model-")?.strip_suffix(".ct")?.parse().ok()?;
            (model_name(epoch) == *name).then_some(epoch)
        };
        let mut epochs: Vec<usize> = self.folder.names()?.iter().filter_map(number).collect();
        epochs.sort_unstable();
        Ok(epochs)
    }

    /// Returns the epoch that is the result, counted from 1: that of [`stopping::best_epoch`],
    /// or `None` if no epoch stayed within the range of logits. For a run without validations it is
    /// the last epoch that has a model.
    ///
    /// # Errors
    /// [`Error::Malformed`] if there is no model, and the errors of [`log::read`].
    pub fn best_epoch(&self, logit_range: f64) -> Result<Option<usize>> {
        let models = self.models()?;
        let Some(&last) = models.last() else {
            let field = format_args!("{}: models", self.path().display());
            return Err(Error::malformed("run", field, 0, "at least 1: train first, or continue with --resume"));
        };
        let (events, _) = self.client_events()?;
        let validations: Vec<_> = stopping::validations(&events).collect();
        if validations.is_empty() { Ok(Some(last)) } else { Ok(stopping::best_epoch(validations, logit_range)) }
    }

    /// Reads the result of an epoch.
    ///
    /// # Errors
    /// [`Error::Io`], the errors of [`wire::read`], and [`Error::Malformed`] if the model belongs
    /// to other keys or another epoch.
    pub fn read_model(&self, plan: &TrainPlan, keys: KeyGeneration, epoch: usize) -> Result<StoredModel> {
        let (path, mut file, _) = self.folder.read(&model_name(epoch))?;
        let header: ModelHeader = read_header(&mut file, "model", &path)?;
        check_origin(&path, &header.origin, plan, keys)?;
        if header.epoch != epoch {
            let field = format_args!("{}: epoch", path.display());
            return Err(Error::malformed("model", field, header.epoch, epoch));
        }
        let state = read_list(&mut file, plan.circuit().states(), plan.params(), &path)?;
        Ok(StoredModel { origin: header.origin, state })
    }

    /// Writes a header, preceded by its length, and ciphertexts. Returns the size of
    /// the file in bytes.
    fn write(&self, name: &str, header: &impl Serialize, objects: &[&Ciphertext], plan: &TrainPlan) -> Result<u64> {
        let header = serde_json::to_vec(header).expect("numbers and strings have a JSON form");
        let path = self.folder.file(name)?;
        let bytes = 4 + header.len() as u64 + encoded_len(objects.iter().copied(), plan.params())?;
        write_sized(&path, Access::Shared, bytes, |file| {
            let mut out = BufWriter::with_capacity(1 << 20, file);
            write_all(&mut out, &(header.len() as u32).to_le_bytes(), &path)?;
            write_all(&mut out, &header, &path)?;
            objects.iter().try_for_each(|object| wire::write(&mut out, *object, plan.params()))?;
            out.flush().map_err(|error| Error::io(format_args!("writing {}", path.display()), &error))
        })?;
        Ok(bytes)
    }
}

fn model_name(epoch: usize) -> String {
    format!("public/model-{epoch:03}.ct")
}

fn read_header<T: DeserializeOwned>(file: &mut impl Read, object: &'static str, path: &Path) -> Result<T> {
    let mut len = [0; 4];
    file.read_exact(&mut len).map_err(|error| reading(path, &error))?;
    let len = u32::from_le_bytes(len);
    if len > HEADER_LIMIT {
        let field = format_args!("{}: length of the header", path.display());
        return Err(Error::malformed(object, field, len, format_args!("at most {HEADER_LIMIT}")));
    }
    let mut header = vec![0; len as usize];
    file.read_exact(&mut header).map_err(|error| reading(path, &error))?;
    serde_json::from_slice(&header).map_err(|error| {
        let field = format_args!("{}: header", path.display());
        Error::malformed(object, field, error, "as this version of the program writes it")
    })
}

fn check_origin(path: &Path, found: &Origin, plan: &TrainPlan, keys: KeyGeneration) -> Result<()> {
    check_keys(path, found.keys, keys)?;
    check_job(path, found.job, plan)
}
