//! Thread CPU time, the wall clock, and samples of competitors taken in turn.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Returns the CPU time that this thread has used. The time in which others had the core does not
/// count. On platforms that do not report it, this is the wall clock.
#[must_use]
pub fn thread_time() -> Duration {
    #[cfg(unix)]
    {
        use rustix::time::{ClockId, clock_gettime};
        clock_gettime(ClockId::ThreadCPUTime).try_into().expect("CPU time is not negative")
    }
    #[cfg(not(unix))]
    wall_time()
}

/// Returns the time since the first call of this function.
#[must_use]
pub fn wall_time() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

/// The clock that a stopwatch reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// [`thread_time`], for work that the calling thread does alone: other processes disturb it
    /// least.
    Thread,
    /// [`wall_time`], for work that is spread over threads. CPU time cannot tell the gain from
    /// threads: that of the calling thread leaves out the work of the others, and a sum over all of
    /// them includes the time for which they wait.
    Wall,
}

impl Clock {
    /// Returns the time now.
    #[must_use]
    pub fn now(self) -> Duration {
        match self {
            Self::Thread => thread_time(),
            Self::Wall => wall_time(),
        }
    }

    /// Returns the time that `f` takes.
    pub fn time(self, f: impl FnOnce()) -> Duration {
        let start = self.now();
        f();
        self.now() - start
    }
}

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// No further round starts after this much time.
    pub time: Duration,
    /// The least number of rounds.
    pub rounds: usize,
}

impl Budget {
    /// The budget for numbers that are to be quoted.
    pub const FULL: Self = Self { time: Duration::from_millis(2000), rounds: 15 };
    /// The budget for checking that everything runs.
    pub const QUICK: Self = Self { time: Duration::from_millis(50), rounds: 3 };
}

/// A sample repeats its call until it takes about this long, which is far above the cost of reading
/// the clock.
const SAMPLE: Duration = Duration::from_micros(300);

/// The limit below which a call finds its data in a cache if the same call ran just before. Such
/// calls are preceded by an untimed one, which puts the data there.
const WARM: Duration = Duration::from_millis(3);

/// [`interleaved_by`] the CPU time of the calling thread.
pub fn interleaved<const K: usize>(budget: Budget, run: impl FnMut(usize)) -> [f64; K] {
    interleaved_by(Clock::Thread, budget, run)
}

/// Returns the median times, in nanoseconds per call, of K competitors: `run(i)` is one call of
/// competitor i.
///
/// A round takes one short sample of each, so that whatever slows the machine for a while slows all
/// of them. Before each sample of a short call comes an untimed one, so that the call finds its
/// operands where its own last call left them, and not where the other competitors pushed them:
/// times are *warm*. Medians drop the samples that an interrupt or a migration hit.
pub fn interleaved_by<const K: usize>(clock: Clock, budget: Budget, mut run: impl FnMut(usize)) -> [f64; K] {
    let plan: [(usize, bool); K] = std::array::from_fn(|i| {
        run(i);
        let once = clock.time(|| run(i)).max(Duration::from_nanos(1));
        ((SAMPLE.as_nanos() / once.as_nanos()).max(1) as usize, once < WARM)
    });
    let mut samples = [const { Vec::new() }; K];
    let start = clock.now();
    while samples[0].len() < budget.rounds || clock.now() - start < budget.time {
        for (i, (repeats, warm)) in plan.into_iter().enumerate() {
            if warm {
                run(i);
            }
            let taken = clock.time(|| (0..repeats).for_each(|_| run(i)));
            samples[i].push(taken.as_nanos() as f64 / repeats as f64);
        }
    }
    samples.map(median)
}

/// Returns the median.
///
/// # Panics
/// If there are no samples.
fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    let middle = samples.len() / 2;
    if samples.len() % 2 == 1 { samples[middle] } else { f64::midpoint(samples[middle - 1], samples[middle]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Medians of odd and even numbers of samples, by hand.
    #[test]
    fn medians() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![9.0, 1.0, 2.0, 4.0]), 3.0);
    }

    /// A competitor with 16 times the work takes longer and is called less often in a round.
    #[test]
    fn competitors_take_turns() {
        let mut calls = [0; 2];
        let budget = Budget { time: Duration::ZERO, rounds: 4 };
        let times: [f64; 2] = interleaved(budget, |i| {
            calls[i] += 1;
            std::hint::black_box((0..1000 << (4 * i)).fold(1u64, |x, k| std::hint::black_box(x ^ k)));
        });
        assert!(times[0] < times[1] && calls[0] > calls[1], "{times:?} ns, {calls:?} calls");
    }
}
