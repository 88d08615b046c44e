//! `hetal bench bootstrap`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use num_complex::Complex64;
use rand_core::Rng;
use serde::Serialize;

use super::{Single, median};
use crate::base::error::Result;
use crate::base::text;
use crate::circuits::bootstrap::{Breakdown, Order, Packing};
use crate::circuits::{Bootstrap, BootstrapConfig, BootstrapPlan, Bootstrapper};
use crate::ckks::encoding::Encoder;
use crate::ckks::eval::Evaluator;
use crate::ckks::keys::{SecretKey, entropy};
use crate::ckks::params::Parameters;
use crate::cli::{announce, table};
use crate::measure::footprint;

#[derive(Debug, Args)]
pub(in crate::cli) struct BootstrapArgs {
    /// The parameters.
    #[arg(long, default_value = "n16")]
    preset: String,
    /// log2 of the number of slots; that of N/2 by default.
    #[arg(long, value_name = "K")]
    log_slots: Option<u32>,
    /// What the slots hold.
    #[arg(long, value_enum, default_value_t = PackingArg::Real)]
    packing: PackingArg,
    /// The fast choice of the settings below, as trainings take it; otherwise the precise one.
    #[arg(long)]
    fast: bool,
    /// SlotToCoeff last, as in the classic order.
    #[arg(long)]
    stc_last: bool,
    /// Bootstrappings to time.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    repeat: u32,
    /// Bootstrap each result again, and show the error against the first input.
    #[arg(long)]
    chain: bool,
    /// The slots.
    #[arg(long, value_enum, default_value_t = Input::Uniform)]
    input: Input,
    /// Degree of the arcsine: 1 for none, 3, 5, 7.
    #[arg(long, value_name = "DEGREE")]
    arcsine: Option<usize>,
    /// log2 of q_0 over the scale of the raised message.
    #[arg(long, value_name = "BITS")]
    log_ratio: Option<u32>,
    /// Doublings of the angle.
    #[arg(long, value_name = "R")]
    doublings: Option<u32>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PackingArg {
    Real,
    Complex,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Input {
    /// Uniform in [−1, 1], fresh each time.
    Uniform,
    /// The same number everywhere.
    Constant,
    /// One slot of 1 among zeros.
    Spike,
}

/// The numbers that are known before anything is computed.
#[derive(Serialize)]
struct PlanLine {
    preset: String,
    slots: usize,
    reductions: usize,
    input_level: usize,
    output_level: usize,
    overflow_bound: u32,
    degree: usize,
    log_failure: f64,
    keys: usize,
    key_bytes: usize,
    diagonal_bytes: usize,
    cost_in_transforms: f64,
}

/// The result of one bootstrapping, in seconds and bits.
#[derive(Serialize)]
struct RunLine {
    seconds: f64,
    stc: f64,
    raise: f64,
    cts: f64,
    eval_mod: f64,
    mean_bits: f64,
    worst_bits: f64,
    output_level: usize,
}

/// The summary of all bootstrappings.
#[derive(Serialize)]
struct EndLine {
    threads: usize,
    median_seconds: f64,
    /// The time on one thread, if there are more threads.
    one_thread_seconds: Option<f64>,
    mean_bits: f64,
    worst_bits: f64,
    slots: usize,
    keys_seconds: f64,
    diagonals_seconds: f64,
    peak_bytes: Option<usize>,
}

impl BootstrapArgs {
    fn config(&self, params: &Parameters) -> BootstrapConfig {
        let packing = match self.packing {
            PackingArg::Real => Packing::Real,
            PackingArg::Complex => Packing::Complex,
        };
        let choice = if self.fast { BootstrapConfig::fast } else { BootstrapConfig::new };
        let mut config = choice(self.log_slots.unwrap_or(params.log_n() - 1), packing);
        if self.stc_last {
            config.order = Order::StcLast;
        }
        config.arcsine = self.arcsine.unwrap_or(config.arcsine);
        config.log_ratio = self.log_ratio.unwrap_or(config.log_ratio);
        config.doublings = self.doublings.unwrap_or(config.doublings);
        config
    }

    fn slots(&self, n: usize, rng: &mut impl Rng) -> Vec<Complex64> {
        let complex = matches!(self.packing, PackingArg::Complex);
        let mut uniform = || (rng.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
        let mut value = || Complex64::new(uniform(), if complex { uniform() } else { 0.0 });
        match self.input {
            Input::Uniform => (0..n).map(|_| value()).collect(),
            Input::Constant => vec![value(); n],
            Input::Spike => (0..n).map(|j| if j == n / 3 { Complex64::ONE } else { Complex64::ZERO }).collect(),
        }
    }

    pub(super) fn run(&self, json: bool) -> Result<()> {
        let params = Parameters::preset(&self.preset)?;
        let plan = BootstrapPlan::new(&params, self.config(&params))?;
        let requests = plan.requests();
        let line = PlanLine {
            preset: self.preset.clone(),
            slots: 1 << plan.config().log_slots,
            reductions: plan.reductions(),
            input_level: plan.input_level(),
            output_level: plan.output_level(),
            overflow_bound: plan.overflow_bound(),
            degree: plan.eval_mod().degree(),
            log_failure: plan.log_failure(),
            keys: requests.plan(&params)?.len() + 2,
            key_bytes: plan.key_bytes()?,
            diagonal_bytes: plan.diagonal_bytes(),
            cost_in_transforms: plan.cost().in_transforms(),
        };
        let n = line.slots;
        announce(&params, json);
        if json {
            table::json(&line);
        } else {
            println!(
                "{n} {:?} slots, {} EvalMod of degree {}, |I| <= {}, failure 2^{:.0}, level {} to {}",
                plan.config().packing,
                line.reductions,
                line.degree,
                line.overflow_bound,
                line.log_failure,
                line.input_level,
                line.output_level
            );
            let [keys, diagonals] = [line.key_bytes, line.diagonal_bytes].map(text::bytes);
            println!(
                "{} keys, {keys}; diagonals {diagonals}; {:.0} transforms' worth of work",
                line.keys, line.cost_in_transforms
            );
        }

        let mut rng = entropy()?;
        let clock = Instant::now();
        let secret = SecretKey::generate(&params, &mut rng)?;
        let keys = secret.evaluation_keys(&requests, &mut rng)?;
        let encapsulation = secret.encapsulation_keys(&mut rng)?;
        let keys_seconds = clock.elapsed().as_secs_f64();
        let clock = Instant::now();
        let (evaluator, encoder) = (Evaluator::new(&params, Arc::new(keys)), Encoder::new(&params));
        let bootstrapper = Bootstrapper::new(plan, Arc::new(encapsulation))?;
        let diagonals_seconds = clock.elapsed().as_secs_f64();

        let level = bootstrapper.plan().input_level();
        let encrypt =
            |z: &[Complex64], rng: &mut _| secret.encrypt(&encoder.encode(z, level, params.scale(level))?, rng);
        let mut z = self.slots(n, &mut rng);
        let mut input = encrypt(&z, &mut rng)?;
        // The first run is not timed: its data still has to be brought from memory.
        bootstrapper.bootstrap_timed(&evaluator, &input, 0)?;
        let single = Single::new()?;
        let (mut runs, mut seconds, mut one_thread) = (Vec::new(), Vec::new(), Vec::new());
        let (mut total, mut worst) = (0.0, 0.0f64);
        for _ in 0..self.repeat {
            let clock = Instant::now();
            let (out, times) = bootstrapper.bootstrap_timed(&evaluator, &input, 0)?;
            seconds.push(clock.elapsed().as_secs_f64());
            one_thread.extend(single.run(|| {
                let clock = Instant::now();
                bootstrapper.bootstrap(&evaluator, &input)?;
                Ok(clock.elapsed().as_secs_f64())
            })?);
            let found = encoder.decode(&secret.decrypt(&out)?)?;
            let error = |(a, b): (&Complex64, &Complex64)| match self.packing {
                PackingArg::Real => (a.re - b.re).abs(),
                PackingArg::Complex => (a - b).norm(),
            };
            let errors: Vec<f64> = found.iter().zip(&z).map(error).collect();
            let (sum, largest) = (errors.iter().sum::<f64>(), errors.iter().copied().fold(0.0, f64::max));
            (total, worst) = (total + sum, worst.max(largest));
            runs.push(run_line(*seconds.last().expect("was just pushed"), times, sum / n as f64, largest, out.level()));
            if json {
                table::json(runs.last().expect("was just pushed"));
            }
            if self.chain {
                input = evaluator.adjust(&out, level, params.scale(level))?;
            } else {
                z = self.slots(n, &mut rng);
                input = encrypt(&z, &mut rng)?;
            }
        }
        let end = EndLine {
            threads: rayon::current_num_threads(),
            median_seconds: median(seconds),
            one_thread_seconds: (!one_thread.is_empty()).then(|| median(one_thread)),
            mean_bits: -(total / (n as f64 * f64::from(self.repeat))).log2(),
            worst_bits: -worst.log2(),
            slots: n * self.repeat as usize,
            keys_seconds,
            diagonals_seconds,
            peak_bytes: footprint::peak().ok(),
        };
        if json {
            table::json(&end);
            return Ok(());
        }
        let cells = runs.iter().enumerate().map(|(i, run)| {
            let times = [run.seconds, run.stc, run.raise, run.cts, run.eval_mod].map(|s| format!("{s:.3}"));
            let bits = [run.mean_bits, run.worst_bits].map(|bits| format!("{bits:.2}"));
            [vec![(i + 1).to_string()], times.to_vec(), bits.to_vec()].concat()
        });
        table::print(
            &["run", "seconds", "StC", "raise", "CtS", "EvalMod", "mean bits", "worst bits"],
            &cells.collect::<Vec<_>>(),
        );
        let alone = end.one_thread_seconds.map_or_else(String::new, |one| {
            format!(" ({:.2} times as fast as on one: {one:.3} s)", one / end.median_seconds)
        });
        println!(
            "median {:.3} s with {} threads{alone}; {:.2} bits mean, {:.2} worst over {} slots; keys made in {:.1} s, diagonals in {:.1} s; peak memory {}",
            end.median_seconds,
            end.threads,
            end.mean_bits,
            end.worst_bits,
            end.slots,
            end.keys_seconds,
            end.diagonals_seconds,
            end.peak_bytes.map_or_else(|| "unknown".to_owned(), text::bytes)
        );
        Ok(())
    }
}

fn run_line(seconds: f64, times: Breakdown, mean: f64, worst: f64, output_level: usize) -> RunLine {
    let [stc, raise, cts, eval_mod] =
        [times.stc, times.raise, times.cts, times.eval_mod].map(|t: Duration| t.as_secs_f64());
    RunLine { seconds, stc, raise, cts, eval_mod, mean_bits: -mean.log2(), worst_bits: -worst.log2(), output_level }
}
