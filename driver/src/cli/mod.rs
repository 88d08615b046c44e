//! The command line of `hetal`.

mod bench;
mod config;
mod encrypt;
mod inspect;
mod model;
mod plan;
mod progress;
mod report;
pub(crate) mod table;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Trains classifiers on encrypted data.
#[derive(Debug, Parser)]
#[command(version, about, long_about = None)]
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
    /// Measures precision and time.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Plans a training and makes its keys.
    Keygen(plan::KeygenArgs),
    /// Encrypts a data set.
    Encrypt(encrypt::EncryptArgs),
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

/// Runs the program: 0 for success, 1 for an error that is printed in one sentence, 2 for a wrong command line.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let threads = rayon::ThreadPoolBuilder::new().num_threads(cli.threads.map_or(0, usize::from));
    if let Err(error) = threads.build_global() {
        eprintln!("hetal: threads: {error}");
        return ExitCode::FAILURE;
    }
    // In the pool, so that its threads do not have to be woken for every operation.
    let result = rayon::scope(|_| match &cli.command {
        Command::Bench(bench) => bench.run(cli.json),
        Command::Keygen(args) => args.run(cli.json),
        Command::Encrypt(args) => args.run(cli.json),
        Command::Evaluate(args) => args.run(cli.json),
        Command::Predict(args) => args.run(cli.json),
        Command::Report(args) => args.run(cli.json),
        Command::Inspect(inspect) => inspect.run(cli.json),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hetal: {error}");
            ExitCode::FAILURE
        }
    }
}
