//! Workspace that callers own, so that hot operations allocate nothing.

use aligned_vec::{AVec, ConstAlign};
use core::ops::{Deref, DerefMut};

/// Distance, in `f64`, between the limbs of a polynomial or of a workspace: N plus a pad of 17 cache lines. Without the
/// pad, limbs of 2^k coefficients would start at the same cache sets, and loops over many limbs would evict their own
/// operands (measured: twice the time in the inner product of a key-switch).
///
/// # Panics
/// If it is above `usize::MAX`.
#[must_use]
pub const fn limb_stride(n: usize) -> usize {
    n.checked_add(if n >= 512 { 136 } else { 8 }).expect("a limb beyond the address space")
}

/// `count` times `size`, for lengths: they must not wrap around, which on 32-bit targets is not far.
pub(crate) const fn total(count: usize, size: usize) -> usize {
    count.checked_mul(size).expect("a length beyond the address space")
}

/// A cache-line aligned buffer of `f64`, zero at first. Functions with a `scratch: &mut [f64]` argument name the length
/// they need in a `*_scratch_len` beside them; what they leave in it is unspecified.
#[derive(Clone, Debug)]
pub struct Scratch(AVec<f64, ConstAlign<64>>);

impl Scratch {
    /// `len` zeros.
    ///
    /// # Panics
    /// If they are larger than the address space.
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
