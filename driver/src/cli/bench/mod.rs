//! `hetal bench`.

mod bootstrap;
mod matmul;
mod precision;
mod softmax;

use clap::Subcommand;

use crate::error::Result;

#[derive(Debug, Subcommand)]
pub(super) enum Bench {
    /// Errors of encoding, encryption and every operation, in bits, beside their bounds.
    Precision(precision::PrecisionArgs),
    /// Time of the steps of a bootstrapping, its precision, keys and memory.
    Bootstrap(bootstrap::BootstrapArgs),
    /// Operations, time and error of the matrix products, ours beside their rivals.
    Matmul(matmul::MatmulArgs),
    /// Errors, depth and bootstraps of the softmaxes, ours beside their rivals; encrypted, their time as well.
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
