//! Data sets in the clear, as the client has them.

pub mod dataset;
pub mod normaliser;
pub mod npy;
pub mod shuffle;
