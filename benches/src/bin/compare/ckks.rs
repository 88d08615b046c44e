//! The subject `ckks`: one thread compared with stored figures of peers, batches compared with
//! single rotations, and two threads compared with one.

use std::error::Error;
use std::thread::available_parallelism;

use aligned_vec::{AVec, ConstAlign};
use hetal_benches::ckks::stored::{self, Figure, PEERS, Peer};
use hetal_benches::ckks::{Circuits, Client, ClientOperation, Operation, Setup, pool};
use hetal_benches::timing::{Budget, Clock, interleaved, interleaved_by};
use hetal_kernel::{Isa, NttTable};
use rayon::ThreadPool;
use serde::Serialize;

use crate::{print, thousandths};

/// The first line, which explains the figures of the peers.
#[derive(Serialize)]
struct Header {
    what: &'static str,
    peers: [Peer; PEERS.len()],
    note: &'static str,
    measured: &'static str,
}

/// A line about one operation.
#[derive(Serialize)]
struct Record<'a> {
    what: String,
    preset: &'a str,
    n: usize,
    limbs: usize,
    ours_ns: u64,
    #[serde(flatten)]
    beside: Beside,
    isa: &'static str,
}

/// The time with which this project's time is compared.
#[derive(Serialize)]
#[serde(untagged)]
enum Beside {
    /// Stored figures, not measured in this run.
    Stored { stored_peers: Vec<Stored> },
    /// Eight single rotations, in the same run. The quotient is to be at most `goal`.
    Rotations { rotations_8_ns: u64, over_rotations_8: f64, goal: f64 },
    /// One thread, in the same run. The quotient is to be at least `goal`. Threads that share
    /// nothing would gain `unrelated`.
    OneThread { clock: &'static str, one_thread_ns: u64, speedup: f64, unrelated: f64, goal: f64 },
}

/// A stored figure, and the factor by which this project is faster.
#[derive(Serialize)]
struct Stored {
    #[serde(flatten)]
    figure: Figure,
    ratio: f64,
}

/// The values that all lines of a run have in common.
struct Reporter<'a> {
    preset: &'a str,
    n: usize,
    isa: Isa,
}

impl Reporter<'_> {
    fn line(&self, what: impl Into<String>, limbs: usize, ours: f64, beside: Beside) -> Result<(), Box<dyn Error>> {
        let (preset, n, isa) = (self.preset, self.n, self.isa.name());
        print(&Record { what: what.into(), preset, n, limbs, ours_ns: nanoseconds(ours), beside, isa })
    }

    /// Prints a line with whatever stored figures there are.
    fn stored(&self, what: &str, limbs: usize, ours: f64) -> Result<(), Box<dyn Error>> {
        let stored = |figure: Figure| Stored { figure, ratio: thousandths(figure.ms * 1e6 / ours) };
        let stored_peers = stored::figures(what, self.n, limbs).into_iter().map(stored).collect();
        self.line(what, limbs, ours, Beside::Stored { stored_peers })
    }
}

fn nanoseconds(x: f64) -> u64 {
    x.round() as u64
}

/// Measures the operations of the owner of the key, in one thread.
fn client(report: &Reporter<'_>, setup: &Setup, one: &ThreadPool, budget: Budget) -> Result<(), Box<dyn Error>> {
    let mut case = Client::new(setup)?;
    case.check()?;
    let times: [f64; ClientOperation::ALL.len()] =
        one.install(|| interleaved(budget, |i| case.run(ClientOperation::ALL[i])));
    ClientOperation::ALL
        .into_iter()
        .zip(times)
        .try_for_each(|(operation, ours)| report.stored(operation.name(), case.limbs(), ours))
}

/// Measures operations on ciphertexts, in one thread.
fn operations<const K: usize>(
    report: &Reporter<'_>,
    case: &mut Circuits<'_>,
    operations: [Operation; K],
    one: &ThreadPool,
    budget: Budget,
) -> Result<(), Box<dyn Error>> {
    let times: [f64; K] = one.install(|| interleaved(budget, |i| case.run(operations[i])));
    operations
        .into_iter()
        .zip(times)
        .try_for_each(|(operation, ours)| report.stored(operation.name(), case.limbs(), ours))
}

/// Measures eight rotations in three ways.
fn batches(
    report: &Reporter<'_>,
    case: &mut Circuits<'_>,
    one: &ThreadPool,
    budget: Budget,
) -> Result<(), Box<dyn Error>> {
    let [single, hoisted, diagonals] = one.install(|| interleaved(budget, |i| case.run(Operation::BATCHES[i])));
    for (operation, ours, goal) in [(Operation::Hoisted, hoisted, 0.6), (Operation::Diagonals8, diagonals, 0.4)] {
        let (rotations_8_ns, over_rotations_8) = (nanoseconds(single), thousandths(ours / single));
        let beside = Beside::Rotations { rotations_8_ns, over_rotations_8, goal };
        report.line(operation.name(), case.limbs(), ours, beside)?;
    }
    Ok(())
}

/// The number of calls that follow each other on the same threads, as in a circuit: for the first
/// one, the threads have to be woken.
const IN_A_ROW: u32 = 8;

/// Two loops of transforms that share nothing, each on a limb that stays in the cache of its core.
struct Unrelated<'a> {
    table: &'a NttTable,
    limbs: [AVec<f64, ConstAlign<64>>; 2],
}

impl<'a> Unrelated<'a> {
    fn new(table: &'a NttTable) -> Self {
        Self { table, limbs: [(); 2].map(|()| AVec::from_iter(64, (0..table.n()).map(|i| i as f64))) }
    }

    /// Runs both loops: at the same time in a pool of two threads, one after the other in a pool of
    /// one.
    fn run(&mut self) {
        let [a, b] = &mut self.limbs;
        let repeat = |limb: &mut [f64]| {
            for _ in 0..400 {
                self.table.forward(limb);
                self.table.inverse(limb);
            }
        };
        rayon::join(|| repeat(a), || repeat(b));
    }
}

/// Measures two threads against one, each in a pool of its own, in turn. The wall clock counts the
/// time that other processes take ([`Clock::Wall`] says why it is used), so the machine has to have
/// two idle cores. The gain of [`Unrelated`] loops shows how much the machine gives to two threads
/// at all, at the same time.
fn threads(
    report: &Reporter<'_>,
    case: &mut Circuits<'_>,
    table: &NttTable,
    pools: [&ThreadPool; 2],
    budget: Budget,
) -> Result<(), Box<dyn Error>> {
    let mut unrelated = Unrelated::new(table);
    for operation in Operation::THREADED {
        let run = |i: usize| {
            let pool = pools[i % 2];
            if i < 2 {
                pool.install(|| (0..IN_A_ROW).for_each(|_| case.run(operation)));
            } else {
                pool.install(|| unrelated.run());
            }
        };
        let [one, two, alone, together] = interleaved_by(Clock::Wall, budget, run);
        let [one, two] = [one, two].map(|time| time / f64::from(IN_A_ROW));
        let (one_thread_ns, speedup) = (nanoseconds(one), thousandths(one / two));
        let unrelated = thousandths(alone / together);
        let beside = Beside::OneThread { clock: "wall", one_thread_ns, speedup, unrelated, goal: 1.7 };
        report.line(format!("two_threads_{}", operation.name()), case.limbs(), two, beside)?;
    }
    Ok(())
}

/// Returns a pool of two threads, if there are cores for them.
fn second() -> Result<Option<ThreadPool>, Box<dyn Error>> {
    if available_parallelism()?.get() < 2 {
        eprintln!("compare: one core: two threads are not compared with one");
        return Ok(None);
    }
    Ok(Some(pool(2)?))
}

/// Measures everything for one preset.
pub(crate) fn run(preset: &str, budget: Budget) -> Result<(), Box<dyn Error>> {
    let setup = Setup::new(preset)?;
    let params = setup.params();
    let report = Reporter { preset, n: params.n(), isa: params.qp().isa() };
    print(&Header { what: "stored_peers", peers: PEERS, note: stored::NOTE, measured: stored::MEASURED })?;
    let (one, two, levels) = (pool(1)?, second()?, setup.levels());
    for (i, &level) in levels.iter().enumerate() {
        let mut case = Circuits::new(&setup, level)?;
        case.check()?;
        // The work that needs most memory comes first. The allocator then has enough for the single
        // steps. Otherwise these would take pages from the system and hand them back in every call,
        // or not, depending on the state of the allocator.
        batches(&report, &mut case, &one, budget)?;
        operations(&report, &mut case, Operation::CIRCUITS, &one, budget)?;
        operations(&report, &mut case, Operation::STEPS, &one, budget)?;
        // Two threads are compared at the first level and at the highest.
        if let Some(two) = two.as_ref().filter(|_| i == 0 || i + 1 == levels.len()) {
            threads(&report, &mut case, params.qp().table(0), [&one, two], budget)?;
        }
    }
    client(&report, &setup, &one, budget)
}
