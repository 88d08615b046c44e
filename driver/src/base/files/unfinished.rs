//! What has to be removed if the process is asked to end in the middle of something.

use std::sync::{Mutex, MutexGuard, PoisonError};

type Remove = Box<dyn FnOnce() + Send>;

/// What is being done, by numbers, the latest last.
static LIST: Mutex<(u64, Vec<(u64, Remove)>)> = Mutex::new((0, Vec::new()));

fn list() -> MutexGuard<'static, (u64, Vec<(u64, Remove)>)> {
    // The list is whole whatever panicked.
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Something that is being made, and must not stay if it does not get done.
#[derive(Debug)]
pub(crate) struct Unfinished(u64);

impl Unfinished {
    /// If [`remove_all`] is called before this is dropped it calls `remove`, which may find that there is nothing yet, or nothing any more.
    ///
    /// To be called before the thing is there, so that it is never there unnoticed.
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

#[cfg(feature = "cli")]
/// Removes whatever is unfinished, the latest first. Until the result is dropped, which is to say until the process ends, other threads
/// wait where they begin or finish something.
pub(crate) fn remove_all() -> impl Sized {
    let mut list = list();
    while let Some((_, remove)) = list.1.pop() {
        remove();
    }
    list
}
