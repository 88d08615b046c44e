//! The foundation of the crate: modules that all others use and that do not depend on the CKKS
//! modules.
//!
//! | module | contents |
//! |---|---|
//! | [`error`](mod@error) | the errors, and advice what to do about them |
//! | [`key_generation`] | the id that says which keys and ciphertexts belong together |
//! | [`key_id`] | the kind of an evaluation key |
//! | [`fft`] | the transform between slots and coefficients |
//! | [`files`] | files that are complete or absent, and reading of bounded length |
//! | `parallel`, `memory`, `text` | loops over threads; buffers that are reused; text for human readers |

pub mod error;
pub mod fft;
pub mod files;
pub mod key_generation;
pub mod key_id;
pub(crate) mod memory;
pub(crate) mod parallel;
pub(crate) mod text;
