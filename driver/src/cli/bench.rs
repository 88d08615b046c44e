//! `hetal bench`.

use clap::Subcommand;

use super::table;
use crate::error::Result;
use crate::params::Parameters;
use crate::precision;

#[derive(Debug, Subcommand)]
pub(super) enum Bench {
    /// Errors of encoding, encryption and every operation, in bits, beside their bounds.
    Precision {
        /// The parameters.
        #[arg(long, default_value = "n16")]
        preset: String,
    },
}

impl Bench {
    pub(super) fn run(&self, json: bool) -> Result<()> {
        match self {
            Self::Precision { preset } => {
                let params = Parameters::preset(preset)?;
                let rows = precision::measure(&params)?;
                if json {
                    rows.iter().for_each(table::json);
                    return Ok(());
                }
                println!("{}", super::inspect::headline(&params));
                println!("bits: -log2 of the error of a slot, {} slots of magnitude up to 1", params.slots());
                let cells = rows.iter().map(|row| {
                    let levels = format!("{} to {}", row.level, row.level_after);
                    let [mean, worst, bound] =
                        [row.mean_bits, row.worst_bits, row.bound_bits].map(|bits| format!("{bits:.1}"));
                    let holds = if row.holds() { "yes" } else { "NO" };
                    vec![row.operation.to_owned(), levels, mean, worst, bound, holds.to_owned()]
                });
                table::print(&["operation", "level", "mean", "worst", "bound", "holds"], &cells.collect::<Vec<_>>());
                Ok(())
            }
        }
    }
}
