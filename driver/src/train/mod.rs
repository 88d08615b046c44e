//! Training a softmax-regression layer.
//!
//! | module | what |
//! |---|---|
//! | [`config`] | settings, as in a TOML file |
//! | [`plan`] | keys, levels and costs, before any key exists |
//! | [`step`] | the linear part of a step |
//! | [`data`] | data sets in the clear |
//! | [`predict`](mod@predict) | time and memory on this machine |
//! | [`client`], [`server`] | the two roles: who holds the secret key, and who computes |
//! | [`run`] | the loop over epochs, early stopping |
//! | [`optimiser`] | momentum |
//! | [`stopping`] | early stopping |
//! | [`metrics`] | loss, accuracy, confusion |
//! | [`twin`] | the same training on plain numbers |
//! | [`follower`] | plain twins that go along with a run |
//! | [`store`] | folders of keys, encrypted data and runs |
//! | [`log`] | what a run writes down |
//! | [`report`](mod@report) | a run as a page of HTML |

pub mod client;
pub mod config;
pub mod data;
pub mod follower;
pub mod log;
pub mod metrics;
pub mod optimiser;
pub mod plan;
pub mod predict;
pub mod report;
pub mod run;
pub mod server;
pub mod step;
pub mod stopping;
pub mod store;
pub mod twin;

pub use client::{Client, SeededBatch};
pub use config::{Config, Method, Mode};
pub use follower::Twins;
pub use plan::{DataShape, TrainPlan};
pub use predict::{Prediction, predict};
pub use report::report;
pub use run::{Outputs, Owner, Run, Validator};
pub use server::{Batch, Server};
pub use step::Circuit;
