//! Writes files that are complete or absent ([`write_atomically`]) and reads files of bounded
//! length ([`read_bounded`]).

mod access;
pub(crate) mod temporary;
pub(crate) mod unfinished;

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Result as IoResult};
use std::path::Path;

pub use access::Access;
pub(crate) use access::restrict;
use temporary::{Temporary, directory_of};

use crate::base::error::{Error, Result};

/// Opens a file for reading and returns it with its length. Anything but a regular file is refused
/// before it is opened: opening a named pipe waits for a writer, and a device may never end.
///
/// # Errors
/// [`Error::Io`] names the path; [`Error::Malformed`] says what it is if it is not a regular file.
pub fn open_regular(path: &Path) -> Result<(File, u64)> {
    let fails = |error| Error::io(format_args!("reading {}", path.display()), &error);
    regular(path, &fs::metadata(path).map_err(fails)?)?;
    let file = File::open(path).map_err(fails)?;
    // In the meantime the name may have come to mean something else.
    let length = regular(path, &file.metadata().map_err(fails)?)?;
    Ok((file, length))
}

/// Returns the length of a regular file, and an error for anything else.
fn regular(path: &Path, metadata: &fs::Metadata) -> Result<u64> {
    if metadata.is_file() {
        return Ok(metadata.len());
    }
    Err(Error::malformed("file", path.display(), kind_of(metadata), "a regular file"))
}

/// Describes something that is not a regular file.
fn kind_of(metadata: &fs::Metadata) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = metadata.file_type();
        if kind.is_fifo() {
            return "(a pipe)";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "(a device)";
        }
        if kind.is_socket() {
            return "(a socket)";
        }
    }
    if metadata.is_dir() { "(a folder)" } else { "(something else)" }
}

/// Reads a regular file that has at most `limit` bytes.
///
/// # Errors
/// Those of [`open_regular`]; [`Error::Malformed`] names the path and the limit if the file is
/// longer, before any of it is read.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let (file, length) = open_regular(path)?;
    if length > limit {
        return Err(too_long(path, length, limit));
    }
    read_at_most(file, path, limit)
}

/// Reads to the end, which has to come within `limit` bytes: a file may grow while it is read.
pub(crate) fn read_at_most(reader: impl Read, path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = reader.take(limit.saturating_add(1)).read_to_end(&mut bytes);
    let read = read.map_err(|error| Error::io(format_args!("reading {}", path.display()), &error))?;
    if read as u64 > limit { Err(too_long(path, format_args!("more than {limit}"), limit)) } else { Ok(bytes) }
}

fn too_long(path: &Path, found: impl std::fmt::Display, limit: u64) -> Error {
    let field = format_args!("{}: bytes", path.display());
    Error::malformed("file", field, found, format_args!("at most {limit}"))
}

/// Writes a file that is complete or absent. `write` fills a new file in the same directory,
/// which is synced to the disk and then takes the name `path`, replacing an older file.
/// If anything before that fails, the new file is removed and the older one stays.
/// The same happens if the program is asked to end, for instance by Ctrl-C.
/// Unfinished files that a killed process left for the same path are removed.
///
/// The file is not buffered, so that no copy of a secret stays behind in a buffer:
/// the writers of [`wire`](crate::wire) write whole limbs.
///
/// # Errors
/// [`Error::Io`] names the path; [`Error::Malformed`] if the path is something other than a file;
/// the errors of `write`.
pub fn write_atomically(
    path: impl AsRef<Path>,
    access: Access,
    write: impl FnOnce(&mut File) -> Result<()>,
) -> Result<()> {
    write_file(path.as_ref(), access, None, write)
}

/// Does the same as [`write_atomically`] for a file of known length.
/// If `bytes` bytes do not fit in the file system, this fails before `write` begins,
/// which may take long.
///
/// # Errors
/// As [`write_atomically`]; [`Error::Io`] with the file, the available room and the needed room.
pub fn write_sized(
    path: impl AsRef<Path>,
    access: Access,
    bytes: u64,
    write: impl FnOnce(&mut File) -> Result<()>,
) -> Result<()> {
    write_file(path.as_ref(), access, Some(bytes), write)
}

fn write_file(
    path: &Path,
    access: Access,
    bytes: Option<u64>,
    write: impl FnOnce(&mut File) -> Result<()>,
) -> Result<()> {
    // A link stays a link: the file that it points to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    // Renaming would replace a device or a pipe.
    if fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(Error::malformed("output", "path", path.display(), "a file or not exist"));
    }
    let fails = |what: &'static str| {
        let path = &path;
        move |error: std::io::Error| Error::io(format_args!("{what} {}", path.display()), &error)
    };
    if let (Some(bytes), Some(room)) = (bytes, room(directory_of(&path)))
        && room < bytes
    {
        let kind = ErrorKind::StorageFull;
        let message = format!("it needs {bytes} bytes, and {room} are free there");
        return Err(Error::io(format_args!("writing {}", path.display()), &std::io::Error::new(kind, message)));
    }
    let (temporary, mut file) = Temporary::beside(&path, access).map_err(fails("creating a file beside"))?;
    let written = write(&mut file).and_then(|()| file.sync_all().map_err(fails("writing")));
    if let Err(error) = written {
        return Err(full(&path, &file, bytes, error));
    }
    temporary.rename(&path).map_err(fails("renaming a file to"))?;
    drop(file);
    sync_directory(&path).map_err(fails("writing the directory of"))
}

/// Describes an error caused by a full disk, a quota or a limit of the process:
/// says how much was written and how much was needed.
fn full(path: &Path, file: &File, bytes: Option<u64>, error: Error) -> Error {
    match error {
        Error::Io { kind, message, .. }
            if matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge) =>
        {
            let written = file.metadata().map_or(0, |metadata| metadata.len());
            let needed = bytes.map_or_else(|| "more are needed".to_owned(), |bytes| format!("{bytes} are needed"));
            let message = format!("{message}: {written} bytes were written and {needed}");
            Error::io(format_args!("writing {}", path.display()), &std::io::Error::new(kind, message))
        }
        error => error,
    }
}

/// Returns the bytes that may be written to a file system, if it tells.
/// Some file systems that are not on disks have no size.
#[cfg(unix)]
fn room(directory: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(directory).ok().filter(|found| found.f_blocks > 0)?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(not(unix))]
fn room(_: &Path) -> Option<u64> {
    None
}

/// Syncs the new name to the disk.
#[cfg(unix)]
fn sync_directory(path: &Path) -> IoResult<()> {
    File::open(directory_of(path))?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> IoResult<()> {
    Ok(())
}
