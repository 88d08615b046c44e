//! Workspace that operations and threads borrow and hand back.

use std::sync::{Mutex, PoisonError};

use hetal_kernel::Scratch;

/// Buffers not in use. There are at most as many as were in use at one time.
#[derive(Default)]
pub(crate) struct Pool(Mutex<Vec<Scratch>>);

impl Pool {
    /// Calls `f` with a buffer of at least `len` unspecified words.
    pub(crate) fn with<R>(&self, len: usize, f: impl FnOnce(&mut [f64]) -> R) -> R {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = {
            let mut free = lock();
            // The smallest that is long enough; a short one is given up for a new one, so that the pool does not grow.
            let fits = free.iter().enumerate().filter(|(_, s)| s.len() >= len).min_by_key(|(_, s)| s.len());
            let at = fits.map(|(i, _)| i);
            match at {
                Some(i) => Some(free.swap_remove(i)),
                None => {
                    free.pop();
                    None
                }
            }
        };
        let mut scratch = taken.unwrap_or_else(|| Scratch::new(len));
        let result = f(&mut scratch);
        lock().push(scratch);
        result
    }
}
