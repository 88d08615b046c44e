//! The cleanup that is due if the process is asked to end while it makes something.

use std::sync::{Mutex, MutexGuard, PoisonError};

type Remove = Box<dyn FnOnce() + Send>;

/// The last number given, and the numbered removals of everything unfinished, the latest last.
static LIST: Mutex<(u64, Vec<(u64, Remove)>)> = Mutex::new((0, Vec::new()));

fn list() -> MutexGuard<'static, (u64, Vec<(u64, Remove)>)> {
    // The list is consistent even after a panic.
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Something that is being made and must not stay if it is not finished.
#[derive(Debug)]
pub(crate) struct Unfinished(u64);

impl Unfinished {
    /// Registers `remove`, which [`remove_all`] calls unless this value was dropped before.
    /// `remove` may find that the thing does not exist yet, or no longer exists.
    ///
    /// Call this before the thing is created, so that it never exists unregistered.
    #[must_use]
    pub(crate) fn new(remove: impl FnOnce() + Send + 'static) -> Self {
        let mut list = list();
        list.0 += 1;
        let number = list.0;
        list.1.push((number, Box::new(remove)));
        Self(number)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        list().1.retain(|(number, _)| *number != self.0);
    }
}

/// Removes everything unfinished, the latest first. Until the result is dropped (in effect,
/// until the process ends), other threads wait where they begin or finish something.
#[cfg(feature = "cli")]
pub(crate) fn remove_all() -> impl Sized {
    let mut list = list();
    while let Some((_, remove)) = list.1.pop() {
        remove();
    }
    list
}
