//! `hetal inspect`.

use clap::Subcommand;
use serde::Serialize;

use super::table;
use crate::error::Result;
use crate::footprint::Footprint;
use crate::params::{Parameters, max_log_qp, preset};

#[derive(Debug, Subcommand)]
pub(super) enum Inspect {
    /// Primes, security, and the sizes of keys and ciphertexts of a preset, or of all.
    Params {
        /// The parameters; all presets by default.
        #[arg(long)]
        preset: Option<String>,
        /// Make the keys and show the memory of this process beside what was computed.
        #[arg(long, requires = "preset")]
        measure: bool,
    },
}

#[derive(Serialize)]
struct Summary {
    preset: String,
    log_n: u32,
    levels: usize,
    log_qp: f64,
    bound: Option<u32>,
    insecure: bool,
    hash: String,
    footprint: Footprint,
    measured_bytes: Option<usize>,
}

/// One line that names the parameters and says whether they are secure.
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

impl Inspect {
    pub(super) fn run(&self, json: bool) -> Result<()> {
        let Self::Params { preset, measure } = self;
        let names =
            preset.as_ref().map_or_else(|| preset::NAMES.map(str::to_owned).to_vec(), |name| vec![name.clone()]);
        for name in names {
            let params = Parameters::preset(&name)?;
            let footprint = Footprint::new(&params)?;
            let measured_bytes = measure.then(|| crate::footprint::measure(&params)).transpose()?;
            if json {
                table::json(&Summary {
                    preset: name,
                    log_n: params.log_n(),
                    levels: params.max_level(),
                    log_qp: params.log_qp(),
                    bound: max_log_qp(params.log_n()),
                    insecure: params.is_insecure(),
                    hash: params.hash().to_string(),
                    footprint,
                    measured_bytes,
                });
                continue;
            }
            println!("{}", headline(&params));
            println!("  hash {}", params.hash());
            println!("  primes of Q {:?}, special primes {:?} bits", params.literal().q_bits, params.literal().p_bits);
            let of = |bytes| table::bytes(bytes);
            println!(
                "  tables {}, secret key {}, public key {}",
                of(footprint.tables),
                of(footprint.secret_key),
                of(footprint.public_key)
            );
            let rows = footprint.levels.iter().map(|l| {
                let scale = format!("2^{:.4}", l.log_scale);
                let sizes = [l.ciphertext, l.evaluation_key].map(of);
                let [ciphertext, key] = sizes;
                vec![l.level.to_string(), scale, l.special.to_string(), l.digits.to_string(), ciphertext, key]
            });
            table::print(
                &["  level", "scale", "special primes", "digits", "ciphertext", "evaluation key"],
                &rows
                    .map(|mut row| {
                        row[0].insert_str(0, "  ");
                        row
                    })
                    .collect::<Vec<_>>(),
            );
            println!(
                "  a process that holds all of this, a relinearisation and a Galois key for the top level, and multiplies: {}",
                of(footprint.process)
            );
            if let Some(measured) = measured_bytes {
                println!("  measured: {}, {:.3} of it", of(measured), measured as f64 / footprint.process as f64);
            }
        }
        Ok(())
    }
}
