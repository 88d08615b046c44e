//! What every storey stands on, and what knows nothing of CKKS.
//!
//! | module | what |
//! |---|---|
//! | [`error`](mod@error) | what can go wrong, and what to do then |
//! | [`key_generation`] | the id that says which keys and ciphertexts belong together |
//! | [`key_id`] | what an evaluation key is for |
//! | [`fft`] | the transform between slots and coefficients |
//! | [`files`] | files that are complete or absent, of bounded length |
//! | `parallel`, `memory`, `text` | loops over threads; buffers that are used again; text for people |

pub mod error;
pub mod fft;
pub mod files;
pub mod key_generation;
pub mod key_id;
pub(crate) mod memory;
pub(crate) mod parallel;
pub(crate) mod text;
