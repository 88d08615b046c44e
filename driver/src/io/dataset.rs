//! Data sets: rows of features with labels.
//!
//! A data set is a folder, or an `.npz` archive, of NumPy arrays ([`npy`](super::npy)):
//!
//! | file | what |
//! |---|---|
//! | `features_train.npy` | numbers, rows × features, without a column for a bias |
//! | `labels_train.npy` | integers, one per row: the class, from 0, without gaps |
//! | `features_val.npy`, `labels_val.npy` | to decide when to stop; may be absent |
//! | `features_test.npy`, `labels_test.npy` | to measure the result; may be absent |
//! | `meta.json` | in folders; may be absent. If it has a number `step` features are multiplied by it: for features stored as small integers |
//!
//! All is checked when it is read: what is wrong is told with file, row and column, counted from 0.

use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

use super::npy::Array;
use crate::error::{Error, Result};

/// Classes at most.
pub const MAX_CLASSES: usize = 1024;

/// The kind of object in errors.
const OBJECT: &str = "data set";
/// No deflated byte becomes more than this many.
const LARGEST_INFLATION: u64 = 1032;

/// Rows of features, of unknown class.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// Values by rows.
    pub values: Vec<f32>,
    /// Features of a row, without a bias.
    pub columns: usize,
}

impl Features {
    /// Reads a lone `.npy` file, to classify its rows; a `meta.json` beside it counts as in a [data set](self).
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`] and [`Error::Truncated`] for what is not an array of finite numbers in rows and columns.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let folder = path.parent().unwrap_or(Path::new(""));
        let open = |error| Error::io(format_args!("opening {}", path.display()), &error);
        let file = File::open(path).map_err(open)?;
        let length = file.metadata().map_err(open)?.len();
        Self::from_array(Array::open(file, path.display().to_string(), length)?, step(folder)?)
    }

    fn from_array(array: Array<impl Read>, step: Option<f32>) -> Result<Self> {
        let [_, columns] = array.matrix()?;
        let mut values = array.features()?;
        if let Some(step) = step {
            values.iter_mut().for_each(|x| *x *= step);
        }
        Ok(Self { values, columns })
    }

    /// The number of rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.values.len() / self.columns
    }
}

/// Rows of features, each with a class.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Values by rows.
    pub features: Vec<f32>,
    /// Features of a row, without a bias.
    pub columns: usize,
    /// The class of every row, from 0.
    pub labels: Vec<u32>,
}

impl Split {
    /// The number of rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.labels.len()
    }

    /// The features of a row.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn row(&self, i: usize) -> &[f32] {
        &self.features[i * self.columns..(i + 1) * self.columns]
    }
}

/// What one folder holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// To train on.
    pub train: Split,
    /// To decide when to stop.
    pub val: Option<Split>,
    /// To measure the result.
    pub test: Option<Split>,
    /// The number of classes: one more than the largest label.
    pub classes: usize,
}

impl Dataset {
    /// Reads a folder or an `.npz` archive.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`] and [`Error::Truncated`] name the file, the row, the column, the value and what it has to be.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let metadata =
            fs::metadata(path).map_err(|error| Error::io(format_args!("opening {}", path.display()), &error))?;
        let source = if metadata.is_dir() { Source::Folder(path) } else { Source::archive(path, metadata.len())? };
        Self::from_source(source)
    }

    /// The [optical digits](https://doi.org/10.24432/C50P49) of E. Alpaydin and C. Kaynak (UCI Machine Learning Repository, CC BY 4.0), which are part of
    /// this library: 8×8 counts from 0 to 16, 10 classes, 1257 rows to train, 180 to validate, 360 to test.
    ///
    /// # Panics
    /// Never: the arrays are well-formed.
    #[must_use]
    pub fn digits() -> Self {
        Self::from_source(Source::Digits).expect("well-formed")
    }

    fn from_source(mut source: Source) -> Result<Self> {
        let step = source.step()?;
        let Some(train) = source.split("train", step, MAX_CLASSES)? else {
            let field = source.name("features_train.npy");
            return Err(Error::malformed(OBJECT, field, "(missing)", "an array of rows × features"));
        };
        let labels = source.name("labels_train.npy");
        let mut rows = vec![0usize; train.labels.iter().max().map_or(0, |&largest| largest as usize + 1)];
        train.labels.iter().for_each(|&label| rows[label as usize] += 1);
        let classes = rows.len();
        if let Some(empty) = rows.iter().position(|&count| count == 0) {
            let field = format_args!("{labels}: rows of class {empty}:");
            return Err(Error::malformed(OBJECT, field, 0, "at least 1: number the classes from 0 without gaps"));
        }
        if classes < 2 {
            let field = format_args!("{labels}: number of classes");
            return Err(Error::malformed(OBJECT, field, classes, "at least 2: there is nothing to tell apart"));
        }
        let mut other = |part: &str| {
            let split = source.split(part, step, classes)?;
            match split {
                Some(split) if split.columns != train.columns => {
                    let field = format_args!("{}: columns", source.name(&format!("features_{part}.npy")));
                    let wanted = format_args!("{}, as in features_train.npy", train.columns);
                    Err(Error::malformed(OBJECT, field, split.columns, wanted))
                }
                split => Ok(split),
            }
        };
        let (val, test) = (other("val")?, other("test")?);
        Ok(Self { train, val, test, classes })
    }
}

/// Where arrays come from.
enum Source<'a> {
    Folder(&'a Path),
    Archive { path: &'a Path, length: u64, archive: Box<ZipArchive<BufReader<File>>> },
    Digits,
}

impl<'a> Source<'a> {
    fn archive(path: &'a Path, length: u64) -> Result<Self> {
        let open = |error| Error::io(format_args!("opening the archive {}", path.display()), &error);
        let file = BufReader::new(File::open(path).map_err(open)?);
        let archive = ZipArchive::new(file).map_err(|error| open(error.into()))?;
        Ok(Self::Archive { path, length, archive: Box::new(archive) })
    }

    /// The name of an array, for errors.
    fn name(&self, file: &str) -> String {
        match self {
            Self::Folder(path) | Self::Archive { path, .. } => path.join(file).display().to_string(),
            Self::Digits => file.to_owned(),
        }
    }

    fn step(&self) -> Result<Option<f32>> {
        if let Self::Folder(path) = self { step(path) } else { Ok(None) }
    }

    /// An array, if it is there.
    fn array(&mut self, file: &str) -> Result<Option<Array<Box<dyn Read + '_>>>> {
        let name = self.name(file);
        let open = |error| Error::io(format_args!("opening {name}"), &error);
        let (reader, available): (Box<dyn Read + '_>, u64) = match self {
            Self::Folder(path) => match File::open(path.join(file)) {
                Ok(file) => {
                    let length = file.metadata().map_err(open)?.len();
                    (Box::new(file), length)
                }
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(open(error)),
            },
            Self::Archive { archive, length, .. } => match archive.by_name(file) {
                Ok(member) => {
                    // The declared size is taken for true only as far as the archive can hold it.
                    let most = member.compressed_size().min(*length).saturating_mul(LARGEST_INFLATION);
                    let size = member.size().min(most);
                    (Box::new(member), size)
                }
                Err(ZipError::FileNotFound) => return Ok(None),
                Err(error) => return Err(open(error.into())),
            },
            Self::Digits => {
                let bytes: &[u8] = match file {
                    "features_train.npy" => include_bytes!("../../data/digits/features_train.npy"),
                    "labels_train.npy" => include_bytes!("../../data/digits/labels_train.npy"),
                    "features_val.npy" => include_bytes!("../../data/digits/features_val.npy"),
                    "labels_val.npy" => include_bytes!("../../data/digits/labels_val.npy"),
                    "features_test.npy" => include_bytes!("../../data/digits/features_test.npy"),
                    "labels_test.npy" => include_bytes!("../../data/digits/labels_test.npy"),
                    _ => return Ok(None),
                };
                (Box::new(bytes), bytes.len() as u64)
            }
        };
        Array::open(reader, name, available).map(Some)
    }

    /// Features with their labels, which are below `classes`, if they are there.
    fn split(&mut self, part: &str, step: Option<f32>, classes: usize) -> Result<Option<Split>> {
        let files = [format!("features_{part}.npy"), format!("labels_{part}.npy")];
        let features = self.array(&files[0])?.map(|array| Features::from_array(array, step)).transpose()?;
        let labels = self.array(&files[1])?.map(|array| array.labels(classes)).transpose()?;
        let missing = |file: &str, other: &str| {
            Err(Error::malformed(OBJECT, self.name(file), "(missing)", format_args!("beside {other}")))
        };
        match (features, labels) {
            (None, None) => Ok(None),
            (Some(_), None) => missing(&files[1], &files[0]),
            (None, Some(_)) => missing(&files[0], &files[1]),
            (Some(features), Some(labels)) if features.rows() != labels.len() => {
                let field = format_args!("{}: rows", self.name(&files[1]));
                let wanted = format_args!("{}, as in {}", features.rows(), files[0]);
                Err(Error::malformed(OBJECT, field, labels.len(), wanted))
            }
            (Some(features), Some(labels)) => {
                Ok(Some(Split { features: features.values, columns: features.columns, labels }))
            }
        }
    }
}

/// The factor of stored features, if the folder has one.
fn step(folder: &Path) -> Result<Option<f32>> {
    let path: PathBuf = folder.join("meta.json");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(format_args!("reading {}", path.display()), &error)),
    };
    let meta: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| Error::malformed(OBJECT, path.display(), error, "a JSON object"))?;
    match meta.get("step") {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(value) => {
            let step = value.as_f64().map(|step| step as f32).filter(|step| step.is_normal() && *step > 0.0);
            let field = format_args!("{}: step", path.display());
            step.map(Some).ok_or_else(|| Error::malformed(OBJECT, field, value, "a positive number, or null"))
        }
    }
}
