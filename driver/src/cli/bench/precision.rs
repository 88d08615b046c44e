//! `hetal bench precision`.

use clap::Args;

use crate::base::error::Result;
use crate::ckks::params::Parameters;
use crate::cli::{announce, table};
use crate::measure::precision;

#[derive(Debug, Args)]
pub(in crate::cli) struct PrecisionArgs {
    /// The parameters.
    #[arg(long, default_value = "n16")]
    preset: String,
}

impl PrecisionArgs {
    pub(super) fn run(&self, json: bool) -> Result<()> {
        let params = Parameters::preset(&self.preset)?;
        let rows = precision::measure(&params)?;
        announce(&params, json);
        if json {
            rows.iter().for_each(table::json);
            return Ok(());
        }
        println!("bits: -log2 of the error of a slot, {} slots of magnitude up to 1", params.slots());
        let cells = rows.iter().map(|row| {
            let levels = format!("{} to {}", row.level, row.level_after);
            let [mean, worst, bound] = [row.mean_bits, row.worst_bits, row.bound_bits].map(|bits| format!("{bits:.1}"));
            let holds = if row.holds() { "yes" } else { "NO" };
            vec![row.operation.to_owned(), levels, mean, worst, bound, holds.to_owned()]
        });
        table::print(&["operation", "level", "mean", "worst", "bound", "holds"], &cells.collect::<Vec<_>>());
        Ok(())
    }
}
