//! Loops that spread limbs, polynomials and blocks over the threads of the current rayon pool.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hetal_kernel::{Eval, RnsPoly};
use rayon::prelude::*;

use crate::base::error::Result;

/// How long a thread that finds no more work waits for the others at the end of a loop.
/// Otherwise it would fall asleep at once, and waking it for the next loop would take as long as
/// many a loop itself: products of matrices at level 5 took 2 to 8 % longer on two threads.
const LINGER: Duration = Duration::from_micros(300);

/// Calls `f` with the number of each item and the item. Each thread takes the next item when it has
/// finished one: if long items come first, the wait at the end is shortest.
pub(crate) fn for_each<T: Send>(items: impl Iterator<Item = T> + Send, f: impl Fn(usize, T) + Sync + Send) {
    let (items, running) = (Mutex::new(items.enumerate()), AtomicUsize::new(0));
    let next = || {
        let item = items.lock().unwrap_or_else(PoisonError::into_inner).next();
        running.fetch_add(usize::from(item.is_some()), Relaxed);
        item
    };
    let work = || {
        while let Some((i, item)) = next() {
            f(i, item);
            running.fetch_sub(1, Relaxed);
        }
        let clock = Instant::now();
        while running.load(Relaxed) > 0 && clock.elapsed() < LINGER {
            // The last items may have parts that other threads can share.
            if rayon::yield_now() != Some(rayon::Yield::Executed) {
                std::hint::spin_loop();
            }
        }
    };
    on_threads(rayon::current_num_threads(), &work);
}

/// Calls `work` on as many threads as are free, up to this number.
fn on_threads(threads: usize, work: &(impl Fn() + Sync)) {
    if threads > 1 {
        rayon::join(work, || on_threads(threads - 1, work));
    } else {
        work();
    }
}

/// Does the same as [`for_each`], but on this thread alone unless the items are to be `shared`.
/// Sharing pays for the last task of a loop, when other threads wait.
pub(crate) fn for_each_shared<T: Send>(
    shared: bool,
    items: impl Iterator<Item = T> + Send,
    f: impl Fn(usize, T) + Sync + Send,
) {
    if shared { for_each(items, f) } else { items.enumerate().for_each(|(i, item)| f(i, item)) }
}

/// Calls `f` for each limb of these polynomials, with the number of the part, the number of the
/// limb, and the limb. All parts are done in one step, since each step ends with waiting for the
/// last thread. All parts of a limb come before the next limb: their input is then in the cache.
pub(crate) fn for_each_limb(parts: &mut [RnsPoly<Eval>], f: impl Fn(usize, usize, &mut [f64]) + Sync + Send) {
    let limbs = |(part, poly)| RnsPoly::limbs_mut(poly).enumerate().map(move |(i, limb)| (part, i, limb));
    let mut tasks: Vec<_> = parts.iter_mut().enumerate().flat_map(limbs).collect();
    tasks.sort_by_key(|&(_, i, _)| i);
    for_each(tasks.into_iter(), |_, (part, i, limb)| f(part, i, limb));
}

/// Applies `f` to every item and returns the results in order.
/// Every item is computed, and the returned error is that of the first item that fails.
pub(crate) fn try_map<T: Send, R: Send>(
    items: impl IntoIterator<Item = T>,
    f: impl Fn(T) -> Result<R> + Sync + Send,
) -> Result<Vec<R>> {
    let results: Vec<_> = items.into_iter().collect::<Vec<_>>().into_par_iter().with_max_len(1).map(f).collect();
    results.into_iter().collect()
}
