//! `hetal report`.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::table;
use crate::error::{Error, Result};
use crate::io::{Access, write_atomically};
use crate::train::log;
use crate::train::store::RunFolder;

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// The folder of the run.
    run: PathBuf,
    /// The new file; report.html of the run by default.
    #[arg(long, value_name = "FILE.html")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Written {
    report: String,
    bytes: usize,
}

impl ReportArgs {
    pub(super) fn run(&self, json: bool) -> Result<()> {
        let run = RunFolder::open(&self.run)?;
        let server = log::read(run.server_log())?;
        let log = run.client_log();
        let client = if matches!(log.try_exists(), Ok(false)) { Vec::new() } else { log::read(log)? };
        let page = crate::train::report(&server, &client);
        let path = self.out.clone().unwrap_or_else(|| run.report());
        // Decrypted values stay with the client.
        let access = if client.is_empty() { Access::Shared } else { Access::Owner };
        write_atomically(&path, access, |file| {
            file.write_all(page.as_bytes())
                .map_err(|error| Error::io(format_args!("writing {}", path.display()), &error))
        })?;
        if json {
            table::json(&Written { report: path.display().to_string(), bytes: page.len() });
        } else {
            println!("{}", path.display());
        }
        Ok(())
    }
}
