//! Files that are not complete yet. They lie beside their final place, under temporary names.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::access::{Access, restrict};
use super::unfinished::Unfinished;

/// A file that is removed unless it gets its final name. As long as the file is open,
/// its process holds a lock on it, which the system releases if the process dies.
pub(super) struct Temporary {
    path: PathBuf,
    renamed: bool,
    _unfinished: Unfinished,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // There is nobody to report this to; the failure before it is reported already.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Temporary {
    pub(super) fn beside(path: &Path, access: Access) -> Result<(Self, File)> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
        remove_left(directory_of(path), |left| target(left) == Some(&*name.to_string_lossy()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        restrict(&mut options, access);
        loop {
            let mut temporary = OsString::from(".");
            temporary.push(name);
            temporary.push(format!(".{}.{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
            let temporary = path.with_file_name(temporary);
            let to_remove = temporary.clone();
            let unfinished = Unfinished::new(move || {
                let _ = fs::remove_file(to_remove);
            });
            match options.open(&temporary) {
                // The file was left by a killed process that had the same process id.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                opened => {
                    let file = opened?;
                    // Some file systems have no locks: then nothing that was left is removed
                    // either.
                    let locked = file.lock().is_ok();
                    // Before it was locked, another process may have taken the file for one that
                    // was left, and removed it.
                    if !locked || temporary.try_exists()? {
                        return Ok((Self { path: temporary, renamed: false, _unfinished: unfinished }, file));
                    }
                }
            }
        }
    }

    pub(super) fn rename(mut self, to: &Path) -> Result<()> {
        fs::rename(&self.path, to)?;
        self.renamed = true;
        Ok(())
    }
}

/// Returns the directory in which a file is, or will be.
pub(super) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns the final name of the file that has this temporary name; `None` for other names.
fn target(name: &str) -> Option<&str> {
    let mut parts = name.strip_prefix('.')?.rsplitn(3, '.');
    let mut number = || parts.next()?.parse::<u64>().ok();
    number()?;
    number()?;
    parts.next()
}

/// Tells whether this is the name of a file that will be renamed when it is complete (see
/// [`write_atomically`](super::write_atomically)).
pub(crate) fn is_temporary(name: &str) -> bool {
    target(name).is_some()
}

/// Removes those temporary files in a folder whose names `which` accepts and whose process is gone.
/// Files that cannot be removed stay: nothing depends on them.
pub(crate) fn remove_left(folder: &Path, which: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if is_temporary(&name) && which(&name) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let path = entry.path();
            if File::options().write(true).open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, wanted) in [
            (".checkpoint.ct.123.0", Some("checkpoint.ct")),
            (".y.1.2", Some("y")),
            (".1.2.3.4", Some("1.2")),
            ("checkpoint.ct", None),
            ("checkpoint.ct.1.2", None),
            (".profile", None),
            (".x.1", None),
            (".x.1.y", None),
            (".x.-1.2", None),
        ] {
            assert_eq!(target(name), wanted, "{name}");
        }
    }
}
