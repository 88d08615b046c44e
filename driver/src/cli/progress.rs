//! How far something is, on standard error.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

/// Between lines where there is no terminal.
const MINUTE: Duration = Duration::from_secs(60);

/// A bar with rate and remaining time; where standard error is not a terminal, a line a minute.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    label: &'static str,
    /// When the last line was printed; none on a terminal.
    printed: Option<Cell<Instant>>,
}

impl Progress {
    /// Nothing of `total` is done.
    pub(super) fn new(label: &'static str, total: usize) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let style = "{prefix} {wide_bar} {pos}/{len}, {per_sec}, {eta} left {msg}";
        let bar = if terminal { ProgressBar::new(total as u64) } else { ProgressBar::hidden() };
        bar.set_length(total as u64);
        let bar = bar
            .with_style(ProgressStyle::with_template(style).expect("a template"))
            .with_prefix(label)
            .with_finish(ProgressFinish::AndClear);
        if terminal {
            bar.enable_steady_tick(Duration::from_secs(1));
        }
        Self { bar, label, printed: (!terminal).then(|| Cell::new(Instant::now())) }
    }

    /// So much is done in all.
    pub(super) fn set(&self, done: usize) {
        self.bar.set_position(done as u64);
        if let Some(printed) = self.printed.as_ref().filter(|printed| printed.get().elapsed() >= MINUTE) {
            printed.set(Instant::now());
            let (total, elapsed) = (self.bar.length().unwrap_or_default(), self.bar.elapsed().as_secs_f64());
            let rate = done as f64 / elapsed;
            let left = (total as f64 - done as f64) / rate;
            let message = self.bar.message();
            eprintln!("{} {done}/{total}, {rate:.3}/s, {left:.0} s left {message}", self.label);
        }
    }

    /// What stands behind the numbers.
    #[allow(dead_code, reason = "for the training")]
    pub(super) fn message(&self, text: impl Into<String>) {
        self.bar.set_message(text.into());
    }

    /// Takes the bar away, as does dropping it.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
