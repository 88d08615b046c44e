//! Limbs, polynomials and blocks over the threads of the current rayon pool.

use rayon::prelude::*;

use crate::error::Result;

/// Calls `f` with the number of each item, and the item.
pub(crate) fn for_each<T: Send>(items: impl Iterator<Item = T>, f: impl Fn(usize, T) + Sync + Send) {
    // Slices of one polynomial cannot be indexed from several threads, but handed out.
    items.collect::<Vec<_>>().into_par_iter().enumerate().for_each(|(i, item)| f(i, item));
}

/// `f` of every item, in their order; all are computed, and the first error is that of the first item that has one.
pub(crate) fn try_map<T: Send, R: Send>(
    items: impl IntoIterator<Item = T>,
    f: impl Fn(T) -> Result<R> + Sync + Send,
) -> Result<Vec<R>> {
    let results: Vec<_> = items.into_iter().collect::<Vec<_>>().into_par_iter().with_max_len(1).map(f).collect();
    results.into_iter().collect()
}
