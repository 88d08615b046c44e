//! `hetal bench`.

mod bootstrap;
mod matmul;
mod precision;
mod softmax;

use std::io;

use clap::Subcommand;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::base::error::{Error, Result};

#[derive(Debug, Subcommand)]
pub(super) enum Bench {
    /// Errors of encoding, encryption and every operation, in bits, beside their bounds.
    Precision(precision::PrecisionArgs),
    /// Time of the steps of a bootstrapping, its precision, keys and memory.
    Bootstrap(bootstrap::BootstrapArgs),
    /// Operations, time and error of the matrix products, ours beside their rivals.
    Matmul(matmul::MatmulArgs),
    /// Errors, depth and bootstraps of the softmaxes, ours beside their rivals; encrypted, their
    /// time as well.
    Softmax(softmax::SoftmaxArgs),
}

impl Bench {
    pub(super) fn run(&self, json: bool) -> Result<()> {
        match self {
            Self::Precision(args) => args.run(json),
            Self::Bootstrap(args) => args.run(json),
            Self::Matmul(args) => args.run(json),
            Self::Softmax(args) => args.run(json),
        }
    }
}

/// A pool with one thread, to compare with all threads in the same run;
/// `None` if there is only one.
struct Single(Option<ThreadPool>);

impl Single {
    fn new() -> Result<Self> {
        let pool = || ThreadPoolBuilder::new().num_threads(1).build();
        let pool = (rayon::current_num_threads() > 1).then(pool).transpose();
        Ok(Self(pool.map_err(|error| Error::io("a pool of one thread", &io::Error::other(error)))?))
    }

    /// Runs `f` on one thread.
    fn run<T: Send>(&self, f: impl FnOnce() -> Result<T> + Send) -> Result<Option<T>> {
        self.0.as_ref().map(|pool| pool.install(f)).transpose()
    }
}

/// Returns the median, or the upper one of two middle values.
///
/// # Panics
/// If there are no values.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
