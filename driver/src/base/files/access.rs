//! Who may read a file.

use std::fs::OpenOptions;

/// Who may read a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever the process's file mode mask lets.
    Shared,
    /// The owner alone (mode 0600), from the first byte on: for secret keys. On systems without file modes as `Shared`.
    Owner,
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
