//! Workspace that callers own, so that hot operations allocate nothing.

use aligned_vec::{AVec, ConstAlign};
use core::ops::{Deref, DerefMut};

/// The distance, in `f64`, between the limbs of a polynomial or of a workspace:
/// N plus a pad of 17 cache lines (one below N = 512). Without the pad, limbs of 2^k coefficients
/// would start at the same cache sets, and loops over many limbs would evict their own operands
/// (measured: twice the time in the inner product of a key-switch).
///
/// # Panics
/// If the distance is above `usize::MAX`.
#[must_use]
pub const fn limb_stride(n: usize) -> usize {
    n.checked_add(if n >= 512 { 136 } else { 8 }).expect("a limb beyond the address space")
}

/// Returns `count` times `size`, for lengths. They must not wrap around, which on 32-bit targets is
/// not far away.
pub(crate) const fn total(count: usize, size: usize) -> usize {
    count.checked_mul(size).expect("a length beyond the address space")
}

/// A cache-line aligned buffer of `f64`, initially zero. Functions with a `scratch: &mut [f64]`
/// argument have a `*_scratch_len` function beside them that tells the length they need;
/// what they leave in the buffer is unspecified.
#[derive(Clone, Debug)]
pub struct Scratch(AVec<f64, ConstAlign<64>>);

impl Scratch {
    /// Allocates `len` zeros.
    ///
    /// # Panics
    /// If the buffer is larger than the address space.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self(AVec::from_iter(64, core::iter::repeat_n(0.0, len)))
    }
}

impl Deref for Scratch {
    type Target = [f64];
    fn deref(&self) -> &[f64] {
        &self.0
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f64] {
        &mut self.0
    }
}
