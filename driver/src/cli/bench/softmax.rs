//! `hetal bench softmax`.

use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use rand_core::Rng;
use serde::Serialize;

use super::{Single, median};
use crate::base::error::{Error, Result};
use crate::base::text;
use crate::circuits::activation::Variant;
use crate::circuits::activation::plan::Refresh;
use crate::circuits::activation::table::{CLASSES, Compared, RANGES, row};
use crate::circuits::activation::{Encrypted, Layout, Plain, Softmax, SoftmaxPlan, exact};
use crate::circuits::bootstrap::Packing;
use crate::circuits::{BootstrapConfig, BootstrapPlan, Bootstrapper};
use crate::ckks::encoding::Encoder;
use crate::ckks::eval::Evaluator;
use crate::ckks::keys::{KeyRequests, SecretKey, entropy};
use crate::ckks::params::Parameters;
use crate::cli::{announce, table};
use crate::measure::footprint;

#[derive(Debug, Args)]
pub(in crate::cli) struct SoftmaxArgs {
    /// The parameters of what is encrypted.
    #[arg(long, default_value = "n16")]
    preset: String,
    /// Rows of the plain simulation, for each number of classes and range.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,
    /// Classes.
    #[arg(long, value_delimiter = ',', default_values_t = CLASSES)]
    classes: Vec<usize>,
    /// Ranges R: logits are uniform in [−R, R].
    #[arg(long, value_delimiter = ',', default_values_t = RANGES)]
    ranges: Vec<f64>,
    /// Run everything on ciphertexts as well.
    #[arg(long)]
    encrypted: bool,
}

/// The number of runs of hetal's softmax, of which the median is taken.
const REPEAT: usize = 3;

/// The measurement of one variant on one full ciphertext.
#[derive(Serialize)]
struct EncryptedRow {
    variant: String,
    classes: usize,
    range: f64,
    rows: usize,
    level: usize,
    output_level: usize,
    bootstraps: usize,
    seconds: f64,
    /// The time on one thread, for hetal's softmax, if there are more threads.
    one_thread_seconds: Option<f64>,
    /// The largest error of an entry.
    max_error: f64,
    /// The mean over rows of the largest error in the row.
    mean_error: f64,
    /// The largest difference from the plain simulation.
    max_difference: f64,
}

/// The summary of the encrypted measurements.
#[derive(Serialize)]
struct EndLine {
    preset: String,
    threads: usize,
    keys: usize,
    key_bytes: usize,
    peak_bytes: Option<usize>,
}

/// A variant, the numbers that it was made for, and its plan on ciphertexts.
struct Case {
    variant: Compared,
    classes: usize,
    range: f64,
    plan: SoftmaxPlan,
}

impl SoftmaxArgs {
    fn cells(&self) -> impl Iterator<Item = (usize, f64)> {
        self.classes.iter().flat_map(|&classes| self.ranges.iter().map(move |&range| (classes, range)))
    }

    pub(super) fn run(&self, json: bool) -> Result<()> {
        let mut rows = Vec::new();
        for (classes, range) in self.cells() {
            for variant in Compared::all(classes, range)? {
                rows.push(row(&variant, classes, range, self.samples as usize)?);
            }
        }
        if json {
            rows.iter().for_each(table::json);
        } else {
            println!(
                "plain, {} rows; the paper's with the parameters of R = 128, rivals where they are defined",
                self.samples
            );
            let cells = rows.iter().map(|row| {
                let counts = [row.depth, row.bootstraps].map(|count| count.to_string());
                [
                    identity(&row.variant, row.classes, row.range),
                    errors([row.max_error, row.mean_error]),
                    counts.to_vec(),
                ]
                .concat()
            });
            let names = ["softmax", "classes", "R", "max error", "mean error", "depth", "bootstraps"];
            table::print(&names, &cells.collect::<Vec<_>>());
        }
        if self.encrypted { self.run_encrypted(json) } else { Ok(()) }
    }

    fn run_encrypted(&self, json: bool) -> Result<()> {
        let params = Parameters::preset(&self.preset)?;
        if !json {
            println!("");
        }
        announce(&params, json);
        let bootstrap = BootstrapPlan::new(&params, BootstrapConfig::fast(params.log_n() - 1, Packing::Real))?;
        let refresh = Refresh { input: bootstrap.input_level(), output: bootstrap.output_level() };
        let mut cases = Vec::new();
        for (classes, range) in self.cells() {
            let layout = Layout::strided(params.slots(), params.slots() / classes.next_power_of_two(), classes)?;
            for variant in Compared::all(classes, range)? {
                let plan = SoftmaxPlan::new(&params, &variant, layout, refresh.output, refresh.input, Some(refresh))?;
                cases.push(Case { variant, classes, range, plan });
            }
        }
        let mut requests = bootstrap.requests();
        cases.iter().for_each(|case| requests.extend(case.plan.requests()));
        let mut session = Session::new(params, bootstrap, &requests)?;
        let mut rows = Vec::new();
        // The first measurement is discarded: its data still has to be brought from memory.
        if let Some(first) = cases.first() {
            session.measure(first)?;
        }
        for case in &cases {
            eprintln!(
                "{}, {} classes, R = {}: bootstraps {}",
                case.variant.name(),
                case.classes,
                case.range,
                case.plan.bootstraps()
            );
            let row = session.measure(case)?;
            if json {
                table::json(&row);
            }
            rows.push(row);
        }
        let end = EndLine {
            preset: self.preset.clone(),
            threads: rayon::current_num_threads(),
            keys: requests.plan(&session.params)?.len(),
            key_bytes: requests.memory_bytes(&session.params)?,
            peak_bytes: footprint::peak().ok(),
        };
        if json {
            table::json(&end);
            return Ok(());
        }
        println!("encrypted, a full ciphertext each, from level {} to {} or above", refresh.output, refresh.input);
        let cells = rows.iter().map(|row| {
            let counts = [row.rows, row.bootstraps, row.output_level].map(|count| count.to_string());
            let of = errors([row.max_error, row.mean_error, row.max_difference]);
            let threads =
                row.one_thread_seconds.map_or_else(|| "-".to_owned(), |one| format!("{:.2}", one / row.seconds));
            let seconds = vec![format!("{:.2}", row.seconds), threads];
            [identity(&row.variant, row.classes, row.range), counts.to_vec(), seconds, of].concat()
        });
        let names = [
            "softmax",
            "classes",
            "R",
            "rows",
            "bootstraps",
            "to level",
            "seconds",
            "over one thread",
            "max error",
            "mean error",
            "from plain",
        ];
        table::print(&names, &cells.collect::<Vec<_>>());
        let peak = end.peak_bytes.map_or_else(|| "unknown".to_owned(), text::bytes);
        println!("{} threads; {} keys, {}; peak memory {peak}", end.threads, end.keys, text::bytes(end.key_bytes));
        Ok(())
    }
}

fn identity(variant: &str, classes: usize, range: f64) -> Vec<String> {
    vec![variant.to_owned(), classes.to_string(), range.to_string()]
}

fn errors<const N: usize>(errors: [f64; N]) -> Vec<String> {
    errors.map(|error| format!("{error:.1e}")).to_vec()
}

/// One secret, one set of keys and one bootstrapping for all cases.
struct Session {
    params: Parameters,
    rng: rand_chacha::ChaCha20Rng,
    secret: SecretKey,
    evaluator: Evaluator,
    encoder: Encoder,
    bootstrapper: Bootstrapper,
    single: Single,
}

impl Session {
    fn new(params: Parameters, bootstrap: BootstrapPlan, requests: &KeyRequests) -> Result<Self> {
        let mut rng = entropy()?;
        let secret = SecretKey::generate(&params, &mut rng)?;
        let evaluator = Evaluator::new(&params, Arc::new(secret.evaluation_keys(requests, &mut rng)?));
        let encapsulation = Arc::new(secret.encapsulation_keys(&mut rng)?);
        let bootstrapper = Bootstrapper::new(bootstrap, encapsulation)?;
        let single = Single::new()?;
        Ok(Self { encoder: Encoder::new(&params), params, rng, secret, evaluator, bootstrapper, single })
    }

    fn measure(&mut self, case: &Case) -> Result<EncryptedRow> {
        let Case { variant, classes, range, plan } = case;
        let (layout, level) = (*plan.layout(), plan.level());
        let mut entry = || range * ((self.rng.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0);
        let rows: Vec<Vec<f64>> = (0..layout.rows()).map(|_| (0..*classes).map(|_| entry()).collect()).collect();
        let x = layout.fill(|row, class| rows[row][class], 0.0);
        let plaintext = self.encoder.encode(&x, level, self.params.scale(level))?;
        let input = self.secret.encrypt(&plaintext, &mut self.rng)?;
        let timed = || {
            let clock = Instant::now();
            let out = Encrypted::softmax(variant, plan, &self.evaluator, Some(&self.bootstrapper), &input)?;
            Ok::<_, Error>((clock.elapsed().as_secs_f64(), out))
        };
        // The published variants take minutes; they run once, on all threads.
        let repeat = if matches!(variant, Compared::Variant(Variant::NormaliseSquare(_))) { REPEAT } else { 1 };
        let (mut seconds, mut one_thread) = (Vec::new(), Vec::new());
        let (first, out) = timed()?;
        seconds.push(first);
        for _ in 1..repeat {
            one_thread.extend(self.single.run(|| Ok(timed()?.0))?);
            seconds.push(timed()?.0);
        }
        let found = self.encoder.decode_real(&self.secret.decrypt(&out)?)?;
        let simulated = variant.run(&Plain::new(layout), x)?;
        let (mut max_error, mut sum, mut max_difference) = (0.0f64, 0.0, 0.0f64);
        for (i, row) in rows.iter().enumerate() {
            let mut of_row = 0.0f64;
            for (j, wanted) in exact(row).into_iter().enumerate() {
                let slot = layout.slot(i, j);
                of_row = of_row.max((found[slot] - wanted).abs());
                max_difference = max_difference.max((found[slot] - simulated[slot]).abs());
            }
            max_error = max_error.max(of_row);
            sum += of_row;
        }
        Ok(EncryptedRow {
            variant: variant.name(),
            classes: *classes,
            range: *range,
            rows: rows.len(),
            level,
            output_level: out.level(),
            bootstraps: plan.bootstraps(),
            seconds: median(seconds),
            one_thread_seconds: (!one_thread.is_empty()).then(|| median(one_thread)),
            max_error,
            mean_error: sum / rows.len() as f64,
            max_difference,
        })
    }
}
