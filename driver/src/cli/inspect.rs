//! `hetal inspect`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use super::encrypt::bytes_of;
use super::{open_keys, plan, table, warn_if_insecure};
use crate::base::error::Result;
use crate::base::text;
use crate::ckks::params::{Parameters, max_log_qp, preset};
use crate::measure::footprint::Footprint;
use crate::train::data::dataset::Part;
use crate::train::store::DataFolder;
use crate::train::{Config, DataShape};

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
    /// What a training would need.
    Plan(Box<plan::PlanArgs>),
    /// What a folder of keys was made for, and its files.
    Keys {
        /// The folder.
        folder: PathBuf,
    },
    /// What a folder of encrypted data holds.
    Data {
        /// The folder.
        folder: PathBuf,
        /// The folder of keys.
        #[arg(long, value_name = "DIR")]
        keys: PathBuf,
    },
}

#[derive(Serialize)]
struct Keys<'a> {
    job: String,
    config: &'a Config,
    shape: DataShape,
    normalised: bool,
    bytes: u64,
}

#[derive(Serialize)]
struct Data {
    job: String,
    rows: [usize; 3],
    batches: [usize; 3],
    bytes: u64,
    hash: String,
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

impl Inspect {
    pub(super) fn run(&self, json: bool) -> Result<()> {
        match self {
            Self::Params { preset, measure } => Self::params(preset.as_deref(), *measure, json),
            Self::Plan(args) => args.plan()?.map_or(Ok(()), |plan| {
                warn_if_insecure(plan.params());
                plan::print_plan(&plan, json)
            }),
            Self::Keys { folder } => Self::keys(folder, json),
            Self::Data { folder, keys } => Self::data(folder, keys, json),
        }
    }

    fn keys(path: &Path, json: bool) -> Result<()> {
        let folder = open_keys(path)?;
        let (plan, bytes) = (folder.plan(), bytes_of(path)?);
        let (config, shape, normalised) = (plan.config(), plan.shape(), folder.normaliser()?.is_some());
        if json {
            table::json(&Keys { job: plan.hash().to_string(), config, shape, normalised, bytes });
            return Ok(());
        }
        println!("{}", table::headline(plan.params()));
        table::facts(&[
            ("job", plan.hash().to_string()),
            ("rows, features, classes", format!("{}, {}, {}", shape.rows, shape.features, shape.classes)),
            ("rows of a batch", plan.batch().to_string()),
            (
                "learning rate, epochs, patience",
                format!("{}, {}, {}", config.learning_rate, config.epochs, config.patience),
            ),
            ("ranges of logits, weights", format!("{}, {}", config.logit_range, config.weight_range)),
            ("features are normalised", if normalised { "yes" } else { "no" }.to_owned()),
            ("on disk", text::bytes(bytes as usize)),
        ]);
        Ok(())
    }

    fn data(path: &Path, keys: &Path, json: bool) -> Result<()> {
        let keys = open_keys(keys)?;
        let data = DataFolder::open(path, &keys)?;
        let parts = Part::ALL;
        let (rows, batches) = (parts.map(|part| data.rows(part)), parts.map(|part| data.batches(part)));
        let (job, bytes, hash) = (keys.plan().hash().to_string(), bytes_of(path)?, data.hash());
        if json {
            table::json(&Data { job, rows, batches, bytes, hash });
            return Ok(());
        }
        println!("job {job}, {} on disk, SHA-256 {hash}", text::bytes(bytes as usize));
        let row = |i: usize| vec![parts[i].name().to_owned(), rows[i].to_string(), batches[i].to_string()];
        table::print(&["part", "rows", "batches"], &[0, 1, 2].map(row));
        Ok(())
    }

    fn params(preset: Option<&str>, measure: bool, json: bool) -> Result<()> {
        let names = preset.map_or_else(|| preset::NAMES.map(str::to_owned).to_vec(), |name| vec![name.to_owned()]);
        for name in names {
            let params = Parameters::preset(&name)?;
            let footprint = Footprint::new(&params)?;
            let measured_bytes = measure.then(|| crate::measure::footprint::measure(&params)).transpose()?;
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
            println!("{}", table::headline(&params));
            println!("  hash {}", params.hash());
            println!("  primes of Q {:?}, special primes {:?} bits", params.literal().q_bits, params.literal().p_bits);
            let of = text::bytes;
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
