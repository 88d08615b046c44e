//! Progress of long tasks, on standard error.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

/// The time between two lines if standard error is not a terminal.
const MINUTE: Duration = Duration::from_secs(60);

/// A bar with rate and remaining time; if standard error is not a terminal, one line a minute.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    label: &'static str,
    /// The time at which the last line was printed; `None` on a terminal.
    printed: Option<Cell<Instant>>,
}

impl Progress {
    /// Shows that nothing of `total` is done yet.
    pub(super) fn new(label: &'static str, total: usize) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let style = "{prefix} {wide_bar} {pos}/{len}, {per_sec}, {eta} left {msg}";
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total as u64), target)
            .with_style(ProgressStyle::with_template(style).expect("a template"))
            .with_prefix(label)
            .with_finish(ProgressFinish::AndClear);
        if terminal {
            bar.enable_steady_tick(Duration::from_secs(1));
        }
        Self { bar, label, printed: (!terminal).then(|| Cell::new(Instant::now())) }
    }

    /// Shows that `done` are done in all.
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

    /// Sets the text after the numbers.
    pub(super) fn message(&self, text: impl Into<String>) {
        self.bar.set_message(text.into());
    }

    /// Prints a warning on a separate line at once.
    pub(super) fn warn(&self, text: &str) {
        self.bar.suspend(|| eprintln!("hetal: warning: {text}"));
    }

    /// Removes the bar, as dropping it does.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
