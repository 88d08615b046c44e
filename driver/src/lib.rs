//! CKKS on [`hetal_kernel`]: so far the crate re-exports the ring arithmetic it is built on.

pub use hetal_kernel as kernel;
