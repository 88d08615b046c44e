//! Data sets: rows of features with labels.
//!
//! A data set is a folder, or an `.npz` archive, of NumPy arrays ([`npy`](super::npy)):
//!
//! | file | content |
//! |---|---|
//! | `features_train.npy` | numbers, rows × features, without a column for a bias |
//! | `labels_train.npy` | one label per row: the class as an integer, from 0, without gaps, or as a bool; or its name, as text |
//! | `features_val.npy`, `labels_val.npy` | validation rows, which decide when to stop; may be absent |
//! | `features_test.npy`, `labels_test.npy` | test rows, which measure the result; may be absent |
//! | `meta.json` | in folders only; may be absent. If it has a number `step`, features are multiplied by it: for features stored as small integers |
//!
//! Classes with names are numbered in the order of the names (by code points),
//! like in `numpy.unique`; in validation and test labels these numbers may stand for the names.
//! In archives the names of arrays may lack `.npy`.
//!
//! An array has at most [`MAX_VALUES`] values. The arrays of an archive together have
//! at most 2^24 values and 64 more for every byte of the archive: some kilobytes of an
//! archive can stand for gigabytes. Only regular files are read, with one exception:
//! lone features may come through a pipe.
//!
//! Everything is checked when it is read. Errors name the file, the row and the
//! column, counted from 0.

use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use super::npy::{Array, Known, MAX_VALUES};
use crate::base::error::{Error, Result};
use crate::base::files::{open_regular, read_bounded};

/// The kind of object in errors.
const OBJECT: &str = "data set";
/// A deflated byte expands to at most this many bytes.
const LARGEST_INFLATION: u64 = 1032;
/// The number of values that an archive may have in addition to those for its bytes.
const ARCHIVE_VALUES: u64 = 1 << 24;
/// The number of values that an archive may have for each of its bytes. Even archives with little
/// information (rare values among zeros) have far fewer.
const BYTE_VALUES: u64 = 64;
/// The length limit of a `meta.json` in bytes.
const META_LIMIT: u64 = 1 << 20;

/// The parts of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The rows to train on.
    Train,
    /// The rows that decide when to stop.
    Val,
    /// The rows that measure the result.
    Test,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// Returns the name of the part in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

/// Rows of features whose classes are unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// The values, row by row.
    pub values: Vec<f32>,
    /// The number of features of a row, without a bias.
    pub columns: usize,
}

impl Features {
    /// Reads a lone `.npy` file whose rows are to be classified; a `meta.json` beside it counts as
    /// in a [data set](self). Anything that is not a regular file, such as `/dev/stdin` or a named
    /// pipe, is read up to the length that the header declares, and has no `meta.json`.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`] and [`Error::Truncated`] for anything that is not an
    /// array of finite numbers in rows and columns.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let open = |error| Error::io(format_args!("opening {}", path.display()), &error);
        let file = File::open(path).map_err(open)?;
        let metadata = file.metadata().map_err(open)?;
        let (length, step) = if metadata.is_file() {
            (Some(metadata.len()), step(path.parent().unwrap_or(Path::new("")))?)
        } else {
            (None, None)
        };
        Self::from_array(Array::open(file, path.display().to_string(), length, MAX_VALUES)?, step)
    }

    /// Reads an array from any reader, such as memory or a socket; `name` is for errors.
    ///
    /// # Errors
    /// As [`Features::read`].
    pub fn from_reader(name: &str, reader: impl Read) -> Result<Self> {
        Self::from_array(Array::open(reader, name.to_owned(), None, MAX_VALUES)?, None)
    }

    fn from_array(array: Array<impl Read>, step: Option<f32>) -> Result<Self> {
        let [_, columns] = array.matrix()?;
        let name = array.name().to_owned();
        let mut values = array.features()?;
        if let Some(step) = step {
            values.iter_mut().for_each(|x| *x *= step);
            if let Some(i) = values.iter().position(|x| !x.is_finite()) {
                let field = format_args!("{name}, row {}, column {}: product with step", i / columns, i % columns);
                return Err(Error::malformed(OBJECT, field, step, "a finite number: change step in meta.json"));
            }
        }
        Ok(Self { values, columns })
    }

    /// Returns the number of rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.values.len() / self.columns
    }
}

/// Rows of features, each with its class.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// The values, row by row.
    pub features: Vec<f32>,
    /// The number of features of a row, without a bias.
    pub columns: usize,
    /// The class of every row, counted from 0.
    pub labels: Vec<u32>,
}

impl Split {
    /// Returns the number of rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.labels.len()
    }

    /// Returns the features of a row.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn row(&self, i: usize) -> &[f32] {
        &self.features[i * self.columns..(i + 1) * self.columns]
    }
}

/// A data set with all its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// The rows to train on.
    pub train: Split,
    /// The rows that decide when to stop.
    pub val: Option<Split>,
    /// The rows that measure the result.
    pub test: Option<Split>,
    /// The number of classes: one more than the largest label.
    pub classes: usize,
    /// The names of the classes in ascending order, if labels are text.
    pub class_names: Option<Vec<String>>,
}

impl Dataset {
    /// Reads a folder or an `.npz` archive.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`] and [`Error::Truncated`] name the file, the row,
    /// the column, the value and what is expected.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_source(Source::open(path.as_ref())?)
    }

    /// Reads an `.npz` archive from any reader, such as memory; `name` is for errors.
    ///
    /// # Errors
    /// As [`Dataset::read`].
    pub fn from_archive(name: &Path, reader: impl Read + Seek) -> Result<Self> {
        Self::from_source(Source::archive(name, Box::new(reader))?)
    }

    /// Reads one part of a data set whose classes are known; `None` if the part is absent.
    /// The data set need not have the other parts. `names` are the names of the classes,
    /// if labels are text or the numbers of names.
    ///
    /// # Errors
    /// As [`Dataset::read`]; [`Error::Malformed`] names the row and the label that is not
    /// one of the classes.
    pub fn read_split(
        path: impl AsRef<Path>,
        part: Part,
        classes: usize,
        names: Option<&[String]>,
    ) -> Result<Option<Split>> {
        let mut source = Source::open(path.as_ref())?;
        let step = source.step()?;
        let known = names.map_or(Known::Numbers(classes), Known::Names);
        Ok(source.split(part.name(), step, known)?.map(|(split, _)| split))
    }

    /// Returns the [optical digits](https://doi.org/10.24432/C50P49) of E. Alpaydin and C.
    /// Kaynak (UCI Machine Learning Repository, CC BY 4.0), which are part of this library:
    /// 8×8 counts from 0 to 16, 10 classes, 1257 rows to train, 180 to validate, 360 to test.
    ///
    /// # Panics
    /// Never: the arrays are well-formed.
    #[must_use]
    pub fn digits() -> Self {
        Self::from_source(Source::Digits).expect("well-formed")
    }

    fn from_source(mut source: Source) -> Result<Self> {
        let step = source.step()?;
        let Some((train, class_names)) = source.split("train", step, Known::Nothing)? else {
            let field = source.name("features_train.npy");
            return Err(Error::malformed(OBJECT, field, "(missing)", "an array of rows × features"));
        };
        let labels = source.name("labels_train.npy");
        let mut rows = vec![0usize; train.labels.iter().max().map_or(0, |&largest| largest as usize + 1)];
        train.labels.iter().for_each(|&label| rows[label as usize] += 1);
        let classes = rows.len();
        if let Some(empty) = rows.iter().position(|&count| count == 0) {
            let field = format_args!("{labels}: rows of class {empty}:");
            let wanted = "at least 1: number the classes from 0 without gaps, or make the numbers names with NumPy's astype(str)";
            return Err(Error::malformed(OBJECT, field, 0, wanted));
        }
        if classes < 2 {
            let field = format_args!("{labels}: number of classes");
            return Err(Error::malformed(OBJECT, field, classes, "at least 2: there is nothing to tell apart"));
        }
        let known = class_names.as_deref().map_or(Known::Numbers(classes), Known::Names);
        let mut other = |part: &str| {
            let split = source.split(part, step, known)?.map(|(split, _)| split);
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
        Ok(Self { train, val, test, classes, class_names })
    }
}

/// A reader of the bytes of an archive.
trait Bytes: Read + Seek {}

impl<R: Read + Seek> Bytes for R {}

/// The source of the arrays of a data set.
enum Source<'a> {
    Folder(&'a Path),
    Archive {
        path: &'a Path,
        length: u64,
        /// The number of values that may still be read.
        values: u64,
        archive: Box<ZipArchive<Box<dyn Bytes + 'a>>>,
    },
    Digits,
}

impl<'a> Source<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let metadata =
            fs::metadata(path).map_err(|error| Error::io(format_args!("opening {}", path.display()), &error))?;
        if metadata.is_dir() {
            return Ok(Self::Folder(path));
        }
        Self::archive(path, Box::new(BufReader::new(open_regular(path)?.0)))
    }

    fn archive(path: &'a Path, mut reader: Box<dyn Bytes + 'a>) -> Result<Self> {
        let open = |error| Error::io(format_args!("opening the archive {}", path.display()), &error);
        let length = reader.seek(SeekFrom::End(0)).map_err(open)?;
        if has_large_directory(&mut reader, length).map_err(open)? {
            let wanted = "without one, as below 2 GiB: save the arrays as .npy files in a folder";
            let field = format_args!("{}: directory", path.display());
            return Err(Error::malformed(OBJECT, field, "of the ZIP64 format", wanted));
        }
        let archive = ZipArchive::new(reader).map_err(|error| open(error.into()))?;
        let values = length.saturating_mul(BYTE_VALUES).saturating_add(ARCHIVE_VALUES).min(MAX_VALUES);
        Ok(Self::Archive { path, length, values, archive: Box::new(archive) })
    }

    /// Returns the name of an array, for errors.
    fn name(&self, file: &str) -> String {
        match self {
            Self::Folder(path) | Self::Archive { path, .. } => path.join(file).display().to_string(),
            Self::Digits => file.to_owned(),
        }
    }

    fn step(&self) -> Result<Option<f32>> {
        if let Self::Folder(path) = self { step(path) } else { Ok(None) }
    }

    /// Opens an array, if it is present.
    fn array(&mut self, file: &str) -> Result<Option<Array<Box<dyn Read + '_>>>> {
        let (mut name, mut any) = (self.name(file), MAX_VALUES);
        let (reader, available, most): (Box<dyn Read + '_>, u64, &mut u64) = match self {
            Self::Folder(path) => match open_regular(&path.join(file)) {
                Ok((file, length)) => (Box::new(file), length, &mut any),
                Err(Error::Io { kind: ErrorKind::NotFound, .. }) => return Ok(None),
                Err(error) => return Err(error),
            },
            Self::Archive { path, archive, length, values } => {
                let bare = file.trim_end_matches(".npy");
                let Some(member) = [file, bare].into_iter().find(|name| archive.index_for_name(name).is_some()) else {
                    return Ok(None);
                };
                name = path.join(member).display().to_string();
                let member = archive
                    .by_name(member)
                    .map_err(|error| Error::io(format_args!("opening {name}"), &error.into()))?;
                // The declared size is trusted only as far as the archive can hold it.
                let held = member.compressed_size().min(*length).saturating_mul(LARGEST_INFLATION);
                let size = member.size().min(held);
                (Box::new(member), size, values)
            }
            Self::Digits => {
                let bytes: &[u8] = match file {
                    "features_train.npy" => include_bytes!("../../../data/digits/features_train.npy"),
                    "labels_train.npy" => include_bytes!("../../../data/digits/labels_train.npy"),
                    "features_val.npy" => include_bytes!("../../../data/digits/features_val.npy"),
                    "labels_val.npy" => include_bytes!("../../../data/digits/labels_val.npy"),
                    "features_test.npy" => include_bytes!("../../../data/digits/features_test.npy"),
                    "labels_test.npy" => include_bytes!("../../../data/digits/labels_test.npy"),
                    _ => return Ok(None),
                };
                (Box::new(bytes), bytes.len() as u64, &mut any)
            }
        };
        let array = Array::open(reader, name, Some(available), *most)?;
        *most -= array.values();
        Ok(Some(array))
    }

    /// Reads features with their labels, if they are present, and the names of the classes if
    /// these were not `known`.
    fn split(
        &mut self,
        part: &str,
        step: Option<f32>,
        known: Known<'_>,
    ) -> Result<Option<(Split, Option<Vec<String>>)>> {
        let files = [format!("features_{part}.npy"), format!("labels_{part}.npy")];
        let features = self.array(&files[0])?.map(|array| Features::from_array(array, step)).transpose()?;
        let labels = self.array(&files[1])?.map(|array| array.labels(known)).transpose()?;
        let missing = |file: &str, other: &str| {
            Err(Error::malformed(OBJECT, self.name(file), "(missing)", format_args!("beside {other}")))
        };
        match (features, labels) {
            (None, None) => Ok(None),
            (Some(_), None) => missing(&files[1], &files[0]),
            (None, Some(_)) => missing(&files[0], &files[1]),
            (Some(features), Some((labels, _))) if features.rows() != labels.len() => {
                let field = format_args!("{}: rows", self.name(&files[1]));
                let wanted = format_args!("{}, as in {}", features.rows(), files[0]);
                Err(Error::malformed(OBJECT, field, labels.len(), wanted))
            }
            (Some(features), Some((labels, names))) => {
                Ok(Some((Split { features: features.values, columns: features.columns, labels }, names)))
            }
        }
    }
}

/// Returns whether a ZIP64 directory might be read. Its number of members could be anything,
/// and memory is reserved for all of them before the first one is read.
/// The mark of such a directory stands before one of the records that may end an archive;
/// the last of these is followed by at most 2^16 bytes of comment.
fn has_large_directory(reader: &mut (impl Read + Seek), length: u64) -> std::io::Result<bool> {
    const RECORD: u64 = 22;
    const LOCATOR: usize = 20;
    let start = length.saturating_sub((1 << 16) + RECORD + LOCATOR as u64 + 8);
    reader.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    reader.take(length - start).read_to_end(&mut tail)?;
    let ends =
        tail.windows(LOCATOR + 4).any(|window| window.starts_with(b"PK\x06\x07") && window.ends_with(b"PK\x05\x06"));
    Ok(ends)
}

/// Returns the factor of stored features, if the folder has one.
fn step(folder: &Path) -> Result<Option<f32>> {
    let path: PathBuf = folder.join("meta.json");
    let text = match read_bounded(&path, META_LIMIT) {
        Ok(text) => text,
        Err(Error::Io { kind: ErrorKind::NotFound, .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let meta: serde_json::Value = serde_json::from_slice(&text)
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
