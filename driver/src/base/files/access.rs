//! The access to a new file.

use std::fs::OpenOptions;

/// The readers of a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everyone whom the file mode mask of the process admits.
    Shared,
    /// The owner alone (mode 0600), from the first byte on: for secret keys.
    /// On systems without file modes this is the same as `Shared`.
    Owner,
}

/// Restricts a file that is created with these options to the readers that `access` names.
#[cfg(unix)]
pub(crate) fn restrict(options: &mut OpenOptions, access: Access) {
    if access == Access::Owner {
        std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    }
}

#[cfg(not(unix))]
pub(crate) fn restrict(_: &mut OpenOptions, _: Access) {}
