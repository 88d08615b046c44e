//! Limbs over the threads of the current rayon pool.

use rayon::prelude::*;

/// Calls `f` with the number of each item, and the item.
pub(crate) fn for_each<T: Send>(items: impl Iterator<Item = T>, f: impl Fn(usize, T) + Sync + Send) {
    // Slices of one polynomial cannot be indexed from several threads, but handed out.
    items.collect::<Vec<_>>().into_par_iter().enumerate().for_each(|(i, item)| f(i, item));
}
