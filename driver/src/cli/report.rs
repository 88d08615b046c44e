//! `hetal report`.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::{table, warn};
use crate::base::error::{Error, Result};
use crate::base::files::{Access, write_sized};
use crate::train::log::{self, ServerEvent};
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
        let path = self.out.clone().map_or_else(|| run.report(), Ok)?;
        let bytes = write(&run, &path)?;
        if json {
            table::json(&Written { report: path.display().to_string(), bytes });
        } else {
            println!("{}", path.display());
        }
        Ok(())
    }
}

/// Writes the page of a run, and returns its size in bytes.
pub(super) fn write(run: &RunFolder, path: &Path) -> Result<usize> {
    let server_log = run.server_log()?;
    let server = log::read(&server_log)?;
    let (client, warning) = run.client_events()?;
    server.warning(&server_log).into_iter().chain(warning).for_each(|text| warn(&text));
    let server = server.events;
    if server.iter().any(|event| matches!(event, ServerEvent::Start { insecure: true, .. })) {
        warn("the run is INSECURE, for tests only: it protects nothing");
    }
    let page = crate::train::report(&server, &client);
    // The page is readable by its owner alone if it shows decrypted values:
    // these stay with the client.
    let access = if client.is_empty() { Access::Shared } else { Access::Owner };
    write_sized(path, access, page.len() as u64, |file| {
        file.write_all(page.as_bytes()).map_err(|error| Error::io(format_args!("writing {}", path.display()), &error))
    })?;
    Ok(page.len())
}
