//! Output of results: in columns for people, and as JSON for programs.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

use serde::Serialize;

use crate::base::text::printable;
use crate::ckks::params::{Parameters, max_log_qp};

/// Prints lines, and ends the process if that fails; nothing is said if nobody reads on.
/// Terminal control characters are escaped, as names come from files of other parties.
pub(super) fn line(text: Arguments<'_>) {
    let text = text.to_string();
    let lines: Vec<String> = text.split('\n').map(printable).collect();
    if let Err(error) = writeln!(std::io::stdout().lock(), "{}", lines.join("\n")) {
        if error.kind() != ErrorKind::BrokenPipe {
            eprintln!("hetal: writing the results: {error}");
        }
        std::process::exit(1);
    }
}

/// Prints a line on standard error, also escaped. A failure is ignored: nobody could be told.
pub(super) fn complaint(text: Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{}", printable(&text.to_string()));
}

/// Prints rows in columns under their names. All columns but the first are aligned to the right, as
/// most entries are numbers.
pub(super) fn print(names: &[&str], rows: &[Vec<String>]) {
    let width =
        |i: usize| rows.iter().map(|row| row[i].chars().count()).chain([names[i].chars().count()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let cells = cells.iter().zip(&widths).enumerate();
        let padded =
            cells.map(|(i, (cell, &width))| if i == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") });
        println!("{}", padded.collect::<Vec<_>>().join("  ").trim_end());
    };
    line(names.to_vec());
    rows.iter().for_each(|row| line(row.iter().map(String::as_str).collect()));
}

/// Prints one JSON object in one line.
pub(super) fn json(value: &impl Serialize) {
    println!("{}", serde_json::to_string(value).expect("numbers and strings have a JSON form"));
}

/// Prints names with their values.
pub(super) fn facts(rows: &[(&str, String)]) {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    rows.iter().for_each(|(name, value)| println!("  {name:<width$}  {value}"));
}

/// Returns one line that names the parameters and says whether they are secure.
pub(super) fn headline(params: &Parameters) -> String {
    let security = match max_log_qp(params.log_n()) {
        _ if params.is_insecure() => "INSECURE, for tests only".to_owned(),
        Some(bound) => format!("128-bit secure up to {bound}"),
        None => "no bound known".to_owned(),
    };
    let name = &params.literal().name;
    format!(
        "{name}: N = 2^{}, log QP = {:.1}, {security}; {}",
        params.log_n(),
        params.log_qp(),
        params.qp().isa().name()
    )
}
