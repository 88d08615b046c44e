//! Training a softmax-regression layer.
//!
//! | module | what |
//! |---|---|
//! | [`config`] | settings, as in a TOML file |
//! | [`optimiser`] | how weights follow gradients |
//! | [`stopping`] | when to stop |
//! | [`twin`] | the same training on plain numbers |
//! | [`metrics`] | how good logits are |
//! | [`log`] | what a run writes down |

pub mod config;
pub mod log;
pub mod metrics;
pub mod optimiser;
pub mod stopping;
pub mod twin;

pub use config::{Config, Method, Mode};
