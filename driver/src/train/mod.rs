//! Training a softmax-regression layer.
//!
//! | module | what |
//! |---|---|
//! | [`config`] | settings, as in a TOML file |
//! | [`log`] | what a run writes down |

pub mod config;
pub mod log;

pub use config::{Config, Method, Mode};
