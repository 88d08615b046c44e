//! The command line of `hetal`.

/// Prints a line of results. It shadows the standard macro, which panics if nothing can be written.
macro_rules! println {
    ($($text:tt)*) => {
        $crate::cli::table::line(format_args!($($text)*))
    };
}

/// Prints a line of warnings or errors. It shadows the standard macro, which panics if
/// nothing can be written.
macro_rules! eprintln {
    ($($text:tt)*) => {
        $crate::cli::table::complaint(format_args!($($text)*))
    };
}

#[cfg(feature = "bench")]
mod bench;
mod config;
mod demo;
mod encrypt;
mod inspect;
mod interrupt;
mod model;
mod plain;
mod plan;
mod progress;
mod rehearsal;
mod report;
mod shuffle;
pub(crate) mod table;
mod train;

use std::path::Path;
use std::process::ExitCode;

pub use config::parse as parse_settings;

use clap::{Parser, Subcommand};

use crate::base::error::Result;
use crate::ckks::params::Parameters;
use crate::train::store::KeyFolder;

/// Trains classifiers on encrypted data.
#[derive(Debug, Parser)]
#[command(name = "hetal", version, about = "Trains classifiers on encrypted data", long_about = None)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Results as JSON on standard output.
    #[arg(long, global = true)]
    json: bool,
    /// Threads to use; all cores by default.
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows all of it on a small data set: keys, encryption, training, decryption.
    Demo(demo::DemoArgs),
    /// Measures precision and time.
    #[cfg(feature = "bench")]
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Plans a training and makes its keys.
    Keygen(plan::KeygenArgs),
    /// Encrypts a data set.
    Encrypt(encrypt::EncryptArgs),
    /// Trains on encrypted data.
    Train(train::TrainArgs),
    /// Decrypts a trained model and measures it.
    Evaluate(model::EvaluateArgs),
    /// Classifies rows with a trained model.
    Predict(model::PredictArgs),
    /// Writes the page of a run.
    Report(report::ReportArgs),
    /// Says what parameters, plans and files hold and what they cost.
    #[command(subcommand)]
    Inspect(inspect::Inspect),
}

/// Runs the program. Its exit code is 0 for success, 1 for an error that is printed in one
/// sentence, 2 for a wrong command line, and 128 plus the number of the signal (130 for Ctrl-C) if
/// the program was asked to end.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    without_core_dumps();
    if let Err(error) = interrupt::install() {
        eprintln!("hetal: {error}");
        return ExitCode::FAILURE;
    }
    let threads = rayon::ThreadPoolBuilder::new().num_threads(cli.threads.map_or(0, usize::from));
    if let Err(error) = threads.build_global() {
        eprintln!("hetal: threads: {error}");
        return ExitCode::FAILURE;
    }
    // The command runs in the pool, so that the pool's threads do not have to be woken
    // for every operation.
    let result = rayon::scope(|_| match &cli.command {
        Command::Demo(args) => args.run(cli.json),
        #[cfg(feature = "bench")]
        Command::Bench(bench) => bench.run(cli.json),
        Command::Keygen(args) => args.run(cli.json),
        Command::Encrypt(args) => args.run(cli.json),
        Command::Train(args) => args.run(cli.json),
        Command::Evaluate(args) => args.run(cli.json),
        Command::Predict(args) => args.run(cli.json),
        Command::Report(args) => args.run(cli.json),
        Command::Inspect(inspect) => inspect.run(cli.json),
    });
    interrupt::settle();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hetal: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Switches core dumps off. A client's memory holds its secret key and its data;
/// no copy of it should be written to the disk if the process crashes.
fn without_core_dumps() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        // Lowering a limit is always allowed; where it fails, dumps stay as the user has set them.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
}

/// Opens a folder of keys.
fn open_keys(path: &Path) -> Result<KeyFolder> {
    let keys = KeyFolder::open(path)?;
    warn_if_insecure(keys.plan().params());
    Ok(keys)
}

/// Warns of insecure test parameters, whatever else a command prints.
fn warn_if_insecure(params: &Parameters) {
    if params.is_insecure() {
        warn(&format!("{} is INSECURE, for tests only: it protects nothing", params.literal().name));
    }
}

/// Prints the line that names the parameters. With JSON it only warns, on standard error, if the
/// parameters protect nothing.
fn announce(params: &Parameters, json: bool) {
    if json {
        warn_if_insecure(params);
    } else {
        println!("{}", table::headline(params));
    }
}

/// Prints a warning for people on standard error.
fn warn(text: &str) {
    eprintln!("hetal: warning: {text}");
}
