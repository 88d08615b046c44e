//! Times this project and its peers in turn in one process, and prints one JSON object per line.

mod ckks;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use hetal_benches::cases::{Conversion, Division, KeySwitch, Shape, Transforms};
use hetal_benches::setup::default_isas;
use hetal_benches::timing::{Budget, interleaved};
use hetal_benches::{BITS, peer};
use hetal_kernel::Isa;
use serde::Serialize;

/// Compares this project with other code in one process.
///
/// First checks that the results agree, and exits with status 1 if they do not. Then prints one
/// JSON object a line: times are medians of the CPU time of one thread, warm, in nanoseconds;
/// "ratio" is peer_ns / ours_ns, how many times faster than the peer this project is. For ckks,
/// peers are stored figures of another run on another machine, and two threads are compared with
/// one by the wall clock.
#[derive(Parser)]
struct Arguments {
    /// What to compare.
    what: What,
    /// Few samples of small rings: to see that everything runs and is right.
    #[arg(long)]
    quick: bool,
    /// Instruction set of our side; may be repeated. By default avx2 if there is one, then the
    /// best. Not for ckks, which takes the best.
    #[arg(long, value_name = "NAME")]
    isa: Vec<Isa>,
    /// Parameters, for ckks only. By default n16, with --quick test-13.
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// Transforms, against those of tfhe-ntt.
    Ntt,
    /// Base conversion and division by primes, against scalar code with 128-bit sums (and
    /// tfhe-ntt's transforms).
    Rns,
    /// Key-switching, against nothing but the transforms in it.
    Keyswitch,
    /// CKKS, against stored figures of other libraries, and two threads against one.
    Ckks,
}

/// One line of output.
#[derive(Serialize)]
struct Record<'a> {
    what: &'a str,
    n: usize,
    bits: u32,
    #[serde(flatten)]
    size: Size,
    ours_ns: u64,
    peer_ns: u64,
    /// peer / ours, the factor by which this project is faster.
    ratio: f64,
    /// ours / peer, where the peer is the transforms alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    over_ntts: Option<f64>,
    isa: &'static str,
    peer: &'a str,
}

/// The numbers of limbs of the work.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum Size {
    One {},
    Convert { from: usize, to: usize },
    ModDown { kept: usize, dropped: usize },
    Switch { limbs: usize, special: usize, digits: usize },
}

/// The parts of a record that are the same throughout a run.
struct Reporter {
    n: usize,
    size: Size,
    isa: Isa,
}

/// Prints a line.
fn print(record: &impl Serialize) -> Result<(), Box<dyn Error>> {
    writeln!(io::stdout(), "{}", serde_json::to_string(record)?)?;
    Ok(())
}

impl Reporter {
    fn record<'a>(&self, what: &'a str, ours: f64, peer: &'a str, peer_ns: f64) -> Record<'a> {
        Record {
            what,
            n: self.n,
            bits: BITS,
            size: self.size,
            ours_ns: ours.round() as u64,
            peer_ns: peer_ns.round() as u64,
            ratio: thousandths(peer_ns / ours),
            over_ntts: None,
            isa: self.isa.name(),
            peer,
        }
    }

    /// Prints a comparison with code that does the same.
    fn versus(&self, what: &str, ours: f64, peer: &str, peer_ns: f64) -> Result<(), Box<dyn Error>> {
        print(&self.record(what, ours, peer, peer_ns))
    }

    /// Prints a comparison with the transforms alone.
    fn over_ntts(&self, what: &str, ours: f64, peer: &str, ntts: f64) -> Result<(), Box<dyn Error>> {
        print(&Record { over_ntts: Some(thousandths(ours / ntts)), ..self.record(what, ours, peer, ntts) })
    }
}

fn thousandths(x: f64) -> f64 {
    (x * 1000.0).round() / 1000.0
}

fn ntt(log_n: u32, isa: Isa, budget: Budget) -> Result<(), Box<dyn Error>> {
    let mut case = Transforms::new(log_n, isa)?;
    case.check()?;
    let report = Reporter { n: case.table().n(), size: Size::One {}, isa: case.table().isa() };
    let [forward, peer_forward, forward_u64, inverse, peer_inverse, inverse_u64, peer_normalised] =
        interleaved(budget, |competitor| match competitor {
            0 => case.forward(),
            1 => case.peer_forward(),
            2 => case.forward_u64(),
            3 => case.inverse(),
            4 => case.peer_inverse(),
            5 => case.inverse_u64(),
            _ => case.peer_inverse_normalised(),
        });
    let peer = peer::name(case.plan());
    let [with, without] = ["inv + normalize", "inv, without 1/N"].map(|rest| format!("{peer}, {rest}"));
    report.versus("ntt_forward", forward, &peer, peer_forward)?;
    report.versus("ntt_forward_u64", forward_u64, &peer, peer_forward)?;
    report.versus("ntt_inverse", inverse, &with, peer_normalised)?;
    report.versus("ntt_inverse_u64", inverse_u64, &with, peer_normalised)?;
    // This is the harder comparison: this project includes the factor 1/N, the peer leaves it to
    // the caller.
    report.versus("ntt_inverse_harder_peer_without_1_over_n", inverse, &without, peer_inverse)?;
    report.versus("ntt_inverse_u64_harder_peer_without_1_over_n", inverse_u64, &without, peer_inverse)
}

fn convert(log_n: u32, limbs: [usize; 2], isa: Isa, budget: Budget) -> Result<(), Box<dyn Error>> {
    let mut case = Conversion::new(log_n, limbs, isa)?;
    case.check()?;
    let [from, to] = limbs;
    let report = Reporter { n: 1 << log_n, size: Size::Convert { from, to }, isa: case.isa() };
    let [fast, peer_fast, centred, peer_centred] = interleaved(budget, |competitor| match competitor {
        0 => case.fast(),
        1 => case.peer_fast(),
        2 => case.centred(),
        _ => case.peer_centred(),
    });
    let peer = "scalar u128 sums, Barrett";
    report.versus("convert_fast", fast, peer, peer_fast)?;
    report.versus("convert_centred", centred, peer, peer_centred)
}

fn mod_down(log_n: u32, limbs: [usize; 2], isa: Isa, budget: Budget) -> Result<(), Box<dyn Error>> {
    let mut case = Division::new(log_n, limbs, isa)?;
    case.check()?;
    let [kept, dropped] = limbs;
    let report = Reporter { n: 1 << log_n, size: Size::ModDown { kept, dropped }, isa: case.isa() };
    let [ours, theirs] = interleaved(budget, |competitor| match competitor {
        0 => case.divide(),
        _ => case.peer_divide(),
    });
    let peer = format!("{}, scalar u128 sums, Barrett", peer::name(case.plan()));
    report.versus("mod_down", ours, &peer, theirs)
}

fn keyswitch(log_n: u32, shape: Shape, isa: Isa, budget: Budget) -> Result<(), Box<dyn Error>> {
    let mut case = KeySwitch::new(log_n, shape, isa)?;
    case.check()?;
    let size = Size::Switch { limbs: shape.limbs, special: shape.special, digits: shape.digits() };
    let report = Reporter { n: 1 << log_n, size, isa: case.isa() };
    let [switch, ntts, peer_ntts, decompose, decompose_ntts, accumulate, unpacked, mod_down, mod_down_ntts] =
        interleaved(budget, |competitor| match competitor {
            0 => case.switch(),
            1 => case.ntts(shape.ntts()),
            2 => case.peer_ntts(shape.ntts()),
            3 => case.decompose(),
            4 => case.ntts(shape.decompose_ntts()),
            5 => case.accumulate(),
            6 => case.accumulate_unpacked(),
            7 => case.mod_down(),
            _ => case.ntts(shape.mod_down_ntts()),
        });
    let describe = |who: &str, [inverse, forward]: [usize; 2]| format!("{who}, {inverse} inverse + {forward} forward");
    let [all, first, last] = [shape.ntts(), shape.decompose_ntts(), shape.mod_down_ntts()];
    report.over_ntts("keyswitch_over_its_ntts", switch, &describe("own NTT warm", all), ntts)?;
    report.over_ntts("keyswitch_over_peer_ntts", switch, &describe(&peer::name(case.plan()), all), peer_ntts)?;
    report.over_ntts("hoisted_decompose", decompose, &describe("own NTT warm", first), decompose_ntts)?;
    report.versus("hoisted_accumulate", accumulate, "own sums, unpacked key", unpacked)?;
    report.over_ntts("hoisted_mod_down", mod_down, &describe("own NTT warm", last), mod_down_ntts)
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let (budget, log_n, preset) =
        if arguments.quick { (Budget::QUICK, 12, "test-13") } else { (Budget::FULL, 16, "n16") };
    match (arguments.what, &arguments.preset, &arguments.isa[..]) {
        (What::Ckks, preset_given, []) => return ckks::run(preset_given.as_deref().unwrap_or(preset), budget),
        (What::Ckks, ..) => return Err("--isa is not for ckks".into()),
        (_, Some(_), _) => return Err("--preset is for ckks only".into()),
        _ => {}
    }
    let isas = if arguments.isa.is_empty() { default_isas() } else { arguments.isa.clone() };
    for isa in isas {
        match arguments.what {
            What::Ntt => (12..=log_n).try_for_each(|log_n| ntt(log_n, isa, budget))?,
            What::Rns => {
                Conversion::ALL.into_iter().try_for_each(|limbs| convert(log_n, limbs, isa, budget))?;
                mod_down(log_n, [13, 5], isa, budget)?;
            }
            What::Keyswitch => Shape::ALL.into_iter().try_for_each(|shape| keyswitch(log_n, shape, isa, budget))?,
            What::Ckks => unreachable!("has no ISA to choose"),
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    if cfg!(debug_assertions) {
        eprintln!("compare: built without --release, its times mean nothing");
    }
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // A reader such as `head` has seen enough.
        Err(error) if error.downcast_ref().is_some_and(|e: &io::Error| e.kind() == io::ErrorKind::BrokenPipe) => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}
