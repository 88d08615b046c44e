//! The `hetal` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    hetal::cli::run()
}
