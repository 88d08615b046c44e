//! Training a softmax-regression layer.
//!
//! | module | what |
//! |---|---|
//! | [`config`] | settings, as in a TOML file |
//! | [`circuit`] | the linear part of a step |
//! | [`plan`] | keys, levels and costs, before any key exists |
//! | [`log`] | what a run writes down |

pub mod circuit;
pub mod client;
pub mod config;
pub mod log;
pub mod metrics;
pub mod optimiser;
pub mod plan;
pub mod server;
pub mod stopping;

pub use circuit::Circuit;
pub use client::{Client, SeededBatch};
pub use config::{Config, Method, Mode};
pub use plan::{DataShape, TrainPlan};
pub use server::{Batch, Server};
