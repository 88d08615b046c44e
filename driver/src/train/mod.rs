//! Training a softmax-regression layer.
//!
//! | module | what |
//! |---|---|
//! | [`config`] | settings, as in a TOML file |
//! | [`log`] | what a run writes down |
//! | [`report`](mod@report) | a page of HTML from that |

pub mod config;
pub mod log;
pub mod report;

pub use config::{Config, Method, Mode};
pub use report::report;
