//! Work space that operations and threads borrow and give back.

use std::sync::{Mutex, PoisonError};

use hetal_kernel::{Eval, RnsPoly, Scratch};

/// Buffers that are not in use. There are at most as many as were in use at one time.
#[derive(Default)]
pub(crate) struct Pool(Mutex<Vec<Scratch>>);

impl Pool {
    /// Calls `f` with a buffer of at least `len` unspecified words.
    pub(crate) fn with<R>(&self, len: usize, f: impl FnOnce(&mut [f64]) -> R) -> R {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = {
            let mut free = lock();
            // Takes the smallest buffer that is long enough. If all are too short,
            // one is freed before a new one is made, so that the pool does not grow.
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

/// Polynomials that were dropped and can be reused for new ones. A fresh page from the system costs
/// as much time as several passes over it, and the system's allocator returns blocks of this size
/// to the system again and again.
#[derive(Default, Debug)]
pub(crate) struct Spares(Mutex<Vec<RnsPoly<Eval>>>);

impl Spares {
    /// The most polynomials to keep; a circuit holds fewer at one time.
    const MAX: usize = 64;

    /// Returns a polynomial with unspecified residues.
    pub(crate) fn take(&self, n: usize, limbs: usize) -> RnsPoly<Eval> {
        let taken = {
            let mut spares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let fits = spares.iter().enumerate().filter(|(_, p)| p.n() == n && p.capacity() >= limbs);
            let at = fits.min_by_key(|(_, p)| p.capacity()).map(|(i, _)| i);
            if at.is_none() {
                // A smaller polynomial is not grown, which would copy it:
                // it is freed, and a larger one is made.
                spares.pop();
            }
            at.map(|i| spares.swap_remove(i))
        };
        taken.map_or_else(
            || RnsPoly::zero(n, limbs),
            |mut poly| {
                poly.reshape(limbs);
                poly
            },
        )
    }

    /// Takes polynomials back.
    pub(crate) fn give(&self, polys: impl IntoIterator<Item = RnsPoly<Eval>>) {
        let mut spares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = Self::MAX - spares.len().min(Self::MAX);
        spares.extend(polys.into_iter().take(room));
    }
}
