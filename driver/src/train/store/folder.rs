//! The owner of each file, and folders whose files hetal alone writes: these are complete or
//! absent, and never reached through a link.

use std::fs::{self, File, TryLockError};
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use super::reading;
use crate::base::error::{Error, Result};
use crate::base::files::temporary::{is_temporary, remove_left};
use crate::base::files::unfinished::Unfinished;

/// The party that may have a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// The owner of the data and the secret key alone: the file must never be given away.
    Client,
    /// The server, and the client, who sends the file or gets it back.
    Server,
}

/// The kinds of folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder of keys.
    Keys,
    /// A folder of encrypted data.
    Data,
    /// A folder of a run.
    Run,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Data => "encrypted data",
            Self::Run => "run",
        }
    }
}

/// The subfolder of a folder of keys or of a run that the server gets or sends back.
pub const PUBLIC: &str = "public";

/// All files, each with the kind of its folder, its name in the folder (`*` stands for any letters
/// and digits) and its party. The server's files lie in folders that hold nothing else.
pub const FILES: [(Kind, &str, Party); 19] = [
    (Kind::Keys, "secret.key", Party::Client),
    (Kind::Keys, "normaliser.json", Party::Client),
    (Kind::Keys, "data-*.json", Party::Client),
    (Kind::Keys, UNFINISHED, Party::Client),
    (Kind::Keys, "public/job.json", Party::Server),
    (Kind::Keys, "public/evaluation.keys", Party::Server),
    (Kind::Keys, "public/encapsulation.keys", Party::Server),
    (Kind::Data, "manifest.json", Party::Server),
    (Kind::Data, "start.ct", Party::Server),
    (Kind::Data, "train-*.ct", Party::Server),
    (Kind::Data, "val-*.ct", Party::Server),
    (Kind::Data, "test-*.ct", Party::Server),
    (Kind::Data, UNFINISHED, Party::Server),
    (Kind::Run, "client.jsonl", Party::Client),
    (Kind::Run, "report.html", Party::Client),
    (Kind::Run, "lock", Party::Client),
    (Kind::Run, "public/server.jsonl", Party::Server),
    (Kind::Run, "public/checkpoint.ct", Party::Server),
    (Kind::Run, "public/model-*.ct", Party::Server),
];

/// Marks a folder that is being made. Everything beside this file may be removed.
const UNFINISHED: &str = "unfinished";

/// Returns the party of a file by its name in a folder; `None` for a file that is not in [`FILES`].
#[must_use]
pub fn party(kind: Kind, name: &str) -> Option<Party> {
    let matches = |pattern: &str| match pattern.split_once('*') {
        None => name == pattern,
        Some((start, end)) => {
            let middle = name.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
            middle.is_some_and(|middle| !middle.is_empty() && middle.bytes().all(|c| c.is_ascii_alphanumeric()))
        }
    };
    FILES.iter().find(|(of, pattern, _)| *of == kind && matches(pattern)).map(|(.., party)| *party)
}

/// Returns whether a file, by its name in a folder, is still being written or was
/// left by a killed process.
pub(super) fn is_unfinished(name: &str) -> bool {
    is_temporary(name.rsplit('/').next().unwrap_or(name))
}

/// A folder, and the files of its kind. Neither a file nor the folder of the server's files is ever
/// reached through a link: otherwise a folder that comes back from elsewhere could make hetal read
/// or replace any file of the user.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
    kind: Kind,
}

impl Folder {
    pub(super) fn new(path: &Path, kind: Kind) -> Self {
        Self { path: path.to_owned(), kind }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of a file, which need not exist.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the path is something else than a regular file,
    /// or leads through a link.
    pub(super) fn file(&self, name: &str) -> Result<PathBuf> {
        debug_assert!(party(self.kind, name).is_some(), "{name} is not among the files of {:?}", self.kind);
        let last = self.path.join(name);
        let parts = name.match_indices('/').map(|(at, _)| (self.path.join(&name[..at]), false));
        for (path, is_file) in parts.chain([(last.clone(), true)]) {
            if !self.check(&path, is_file)? {
                break;
            }
        }
        Ok(last)
    }

    /// Returns whether the path exists. Refuses a link, and anything that is not a file or
    /// a folder as wanted.
    fn check(&self, path: &Path, is_file: bool) -> Result<bool> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(reading(path, &error)),
        };
        let wanted = match (metadata.is_symlink(), is_file) {
            (true, _) => "no link: put in its place what it leads to",
            (_, true) if !metadata.is_file() => "a regular file",
            (_, false) if !metadata.is_dir() => "a folder",
            _ => return Ok(true),
        };
        Err(Error::malformed(self.kind.name(), "path", path.display(), wanted))
    }

    /// Returns whether a file exists.
    pub(super) fn has(&self, name: &str) -> Result<bool> {
        let path = self.file(name)?;
        path.try_exists().map_err(|error| reading(&path, &error))
    }

    /// Opens a file for buffered reading. Returns its path, the reader and its length.
    pub(super) fn read(&self, name: &str) -> Result<(PathBuf, BufReader<File>, u64)> {
        let path = self.file(name)?;
        let open = || {
            let file = File::open(&path)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        let (file, length) = open().map_err(|error| reading(&path, &error))?;
        Ok((path, BufReader::with_capacity(1 << 20, file), length))
    }

    /// Returns the names of all files and of anything else in the folder, in the form of [`FILES`].
    pub(super) fn names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let mut list = |path: &Path, before: &str| -> Result<()> {
            for entry in fs::read_dir(path).map_err(|error| reading(path, &error))? {
                let name = entry.map_err(|error| reading(path, &error))?.file_name();
                names.push(format!("{before}{}", name.to_string_lossy()));
            }
            Ok(())
        };
        list(&self.path, "")?;
        let public = self.path.join(PUBLIC);
        if self.check(&public, false)? {
            list(&public, "public/")?;
        }
        names.retain(|name| name != PUBLIC);
        Ok(names)
    }

    /// Removes the temporary files that killed processes left.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the folder of the server's files is a link.
    pub(super) fn remove_left(&self) -> Result<()> {
        let public = self.path.join(PUBLIC);
        if self.check(&public, false)? {
            remove_left(&public, |_| true);
        }
        remove_left(&self.path, |_| true);
        Ok(())
    }

    fn remove(&self, which: impl Fn(&str) -> bool) -> Result<()> {
        let remove = |name: String| {
            let path = self.path.join(name);
            fs::remove_file(&path).map_err(|error| Error::io(format_args!("removing {}", path.display()), &error))
        };
        self.names()?.into_iter().filter(|name| which(name)).try_for_each(remove)
    }

    /// Refuses a folder that holds anything but what a killed process left of the
    /// same kind of folder.
    pub(super) fn check_new(&self) -> Result<()> {
        if !self.path.exists() {
            return Ok(());
        }
        let unfinished = self.has(UNFINISHED)?;
        let left = |name: &str| party(self.kind, name).is_some() || is_unfinished(name);
        if self.names()?.iter().all(|name| unfinished && left(name)) {
            return Ok(());
        }
        Err(Error::malformed("output", "folder", self.path.display(), "empty, or not exist"))
    }

    /// Removes all files, and the folders that were made for them; `made` lists the outermost
    /// first. Failures are not reported: the error that led here is.
    fn remove_all(&self, made: &[PathBuf]) {
        let _ = self.remove(|_| true);
        let _ = fs::remove_dir(self.path.join(PUBLIC));
        made.iter().rev().for_each(|path| {
            let _ = fs::remove_dir(path);
        });
    }

    /// Creates the folder, and in it the folder of the server's files if this kind has one.
    pub(super) fn make(&self) -> Result<()> {
        let parts = FILES.iter().any(|(kind, name, _)| *kind == self.kind && name.starts_with(PUBLIC));
        let path = if parts { self.path.join(PUBLIC) } else { self.path.clone() };
        fs::create_dir_all(&path)
            .map_err(|error| Error::io(format_args!("creating the folder {}", path.display()), &error))
    }
}

/// A lock on a folder. The operating system releases it when the process dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock.
    ///
    /// # Errors
    /// [`Error::InUse`] if another process holds the lock, [`Error::Io`].
    pub(super) fn take(folder: &Folder, name: &str) -> Result<Self> {
        let path = folder.file(name)?;
        let fails = |error: &std::io::Error| Error::io(format_args!("locking {}", path.display()), error);
        let options = File::options().create(true).truncate(false).write(true).clone();
        let file = options.open(&path).map_err(|error| fails(&error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::InUse { path: folder.path.display().to_string() }),
            Err(TryLockError::Error(error)) => Err(fails(&error)),
        }
    }
}

/// A folder that is being made. It is complete once [`finish`](Self::finish) was called.
/// If it is dropped before that, or the process is asked to end, the folder is removed.
/// What a killed process left is begun anew by the next one.
#[derive(Debug)]
pub(super) struct Making {
    folder: Folder,
    /// The folders that did not exist before, the outermost first.
    made: Vec<PathBuf>,
    finished: bool,
    _asked_to_end: Unfinished,
    _lock: Lock,
}

impl Making {
    /// Starts making a folder.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a folder that holds other things, [`Error::InUse`] for one that
    /// another process is making, [`Error::Io`].
    pub(super) fn begin(path: &Path, kind: Kind) -> Result<Self> {
        let folder = Folder::new(path, kind);
        folder.check_new()?;
        let mut made: Vec<PathBuf> = path.ancestors().take_while(|path| !path.exists()).map(Path::to_owned).collect();
        made.retain(|path| !path.as_os_str().is_empty());
        made.reverse();
        folder.make()?;
        let lock = Lock::take(&folder, UNFINISHED)?;
        folder.remove(|name| name != UNFINISHED)?;
        let (ended, made_before) = (folder.clone(), made.clone());
        let asked_to_end = Unfinished::new(move || ended.remove_all(&made_before));
        Ok(Self { folder, made, finished: false, _asked_to_end: asked_to_end, _lock: lock })
    }

    pub(super) const fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Marks the folder as complete: all its files have been written.
    pub(super) fn finish(mut self) -> Result<()> {
        self.folder.remove(|name| name == UNFINISHED)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if !self.finished {
            self.folder.remove_all(&self.made);
        }
    }
}

/// Refuses a folder that a killed process left unfinished.
pub(super) fn check_finished(folder: &Folder) -> Result<()> {
    if folder.has(UNFINISHED)? {
        let wanted = "complete: the process that made it was ended before; make it again";
        return Err(Error::malformed(folder.kind.name(), "folder", folder.path.display(), wanted));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(party(Kind::Keys, "secret.key"), Some(Party::Client));
        assert_eq!(party(Kind::Keys, "public/job.json"), Some(Party::Server));
        assert_eq!(party(Kind::Run, "public/model-007.ct"), Some(Party::Server));
        for name in ["model-007.ct", "public/model-.ct", "public/model-../x.ct", "secret.key"] {
            assert_eq!(party(Kind::Run, name), None, "{name}");
        }
        assert!(is_unfinished("public/.checkpoint.ct.123.0") && !is_unfinished("public/checkpoint.ct"));
        // No file of the client lies where files of the server are.
        for (kind, name, party) in FILES {
            let travels = kind == Kind::Data || name.starts_with(PUBLIC);
            assert_eq!(travels, party == Party::Server, "{name}");
        }
    }
}
