//! Stored objects: their bytes ([`wire`]), data sets ([`dataset`], [`normaliser`], [`npy`]) and files that are complete or absent ([`write_atomically`]).

pub mod dataset;
pub mod normaliser;
pub mod npy;
pub mod wire;

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Result as IoResult};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Who may read a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever the process's file mode mask lets.
    Shared,
    /// The owner alone (mode 0600), from the first byte on: for secret keys. On systems without file modes as `Shared`.
    Owner,
}

/// Writes a file that is complete or absent: `write` fills a new file in the same directory, which is brought to the disk and then
/// takes the name `path`, replacing an older file. If anything before that fails the new file is removed and the older one stays.
///
/// The file is not buffered, so that no copy of a secret stays behind in a buffer: the writers of [`wire`] write whole limbs.
///
/// # Errors
/// [`Error::Io`] names the path; [`Error::Malformed`] if it names something that is not a file; what `write` returns.
pub fn write_atomically(
    path: impl AsRef<Path>,
    access: Access,
    write: impl FnOnce(&mut File) -> Result<()>,
) -> Result<()> {
    let path = path.as_ref();
    // A link stays one: the file behind it is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    // Renaming would take the place of a device or a pipe.
    if fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(Error::malformed("output", "path", path.display(), "a file or not exist"));
    }
    let fails = |what: &'static str| {
        let path = &path;
        move |error: std::io::Error| Error::io(format_args!("{what} {}", path.display()), &error)
    };
    let (temporary, mut file) = Temporary::beside(&path, access).map_err(fails("creating a file beside"))?;
    write(&mut file)?;
    file.sync_all().map_err(fails("writing"))?;
    drop(file);
    fs::rename(&temporary.0, &path).map_err(fails("renaming a file to"))?;
    std::mem::forget(temporary);
    sync_directory(&path).map_err(fails("writing the directory of"))
}

/// A file to be removed unless it gets its final name.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // There is nobody to tell; the failure before is being told already.
        let _ = fs::remove_file(&self.0);
    }
}

impl Temporary {
    fn beside(path: &Path, access: Access) -> IoResult<(Self, File)> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        restrict(&mut options, access);
        loop {
            let mut temporary = std::ffi::OsString::from(".");
            temporary.push(name);
            temporary.push(format!(".{}.{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
            let temporary = path.with_file_name(temporary);
            match options.open(&temporary) {
                // Left by a process that had the same number and was killed.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                opened => return opened.map(|file| (Self(temporary), file)),
            }
        }
    }
}

/// Lets a file that is made with these options be read by whom `access` says.
#[cfg(unix)]
pub(crate) fn restrict(options: &mut OpenOptions, access: Access) {
    if access == Access::Owner {
        std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    }
}

#[cfg(not(unix))]
pub(crate) fn restrict(_: &mut OpenOptions, _: Access) {}

/// Brings the new name to the disk.
#[cfg(unix)]
fn sync_directory(path: &Path) -> IoResult<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> IoResult<()> {
    Ok(())
}
