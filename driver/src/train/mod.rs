//! Training a softmax-regression layer.
//!
//! | module | content |
//! |---|---|
//! | [`config`] | the settings, as in a TOML file |
//! | [`plan`] | keys, levels and costs, before any key exists |
//! | [`step`] | the linear part of a step |
//! | [`data`] | data sets in the clear |
//! | [`predict`](mod@predict) | time and memory on this machine |
//! | [`client`], [`server`] | the two roles: the holder of the secret key, and the side that computes |
//! | [`protocol`] | what passes between them |
//! | [`optimiser`] | momentum |
//! | [`stopping`] | early stopping |
//! | [`metrics`] | loss, accuracy, confusion |
//! | [`twin`] | the same training on plain numbers |
//! | [`store`] | folders of keys, encrypted data and runs |
//! | [`log`] | the log of a run |
//! | [`report`](mod@report) | a run as an HTML page |

pub mod client;
pub mod config;
pub mod data;
pub mod log;
pub mod metrics;
pub mod optimiser;
pub mod plan;
pub mod predict;
pub mod protocol;
pub mod report;
pub mod server;
pub mod step;
pub mod stopping;
pub mod store;
pub mod twin;

pub use client::{Client, SeededBatch, Twins, Validator};
pub use config::{Config, Method, Mode};
pub use plan::{DataShape, TrainPlan};
pub use predict::{Prediction, predict};
pub use protocol::{Batch, BatchSource, ClientLink, Outputs};
pub use report::report;
pub use server::{Run, Server};
pub use step::Circuit;
