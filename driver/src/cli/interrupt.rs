//! Ctrl-C, and other requests to end the process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::base::error::{Error, Result};
use crate::base::files::unfinished::{Unfinished, remove_all};

/// Whether some owner of [`Graceful`] looks at [`INTERRUPTED`].
static LOOKED_AT: AtomicBool = AtomicBool::new(false);
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Installs the handler of requests to end. From then on such a request ends the process at once,
/// without leaving unfinished files, and with the exit status of a process that is killed
/// by this signal in a shell: 130 for Ctrl-C. A training ends after its current step;
/// a second request ends it at once.
pub(super) fn install() -> Result<()> {
    let mut signals = vec![SIGINT, SIGTERM];
    // Whoever starts the program with `nohup` wants it to go on.
    if !ignored(SIGHUP) {
        signals.push(SIGHUP);
    }
    let fails = |error: std::io::Error| Error::io("waiting for signals", &error);
    let mut signals = Signals::new(signals).map_err(fails)?;
    let wait = move || {
        for signal in signals.forever() {
            if LOOKED_AT.load(Ordering::SeqCst) && !INTERRUPTED.swap(true, Ordering::SeqCst) {
                eprintln!("hetal: ending after this step; once more to end at once");
                continue;
            }
            let _nothing_new = remove_all();
            eprintln!("hetal: interrupted");
            std::process::exit(128 + signal);
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map(|_| ()).map_err(fails)
}

/// Waits for the end of the process if it has begun, so that failures that it
/// causes are not reported.
pub(super) fn settle() {
    drop(Unfinished::new(|| ()));
}

/// Returns whether the process was started with this signal ignored, as far as this can be known.
fn ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// While it exists, a request to end sets a flag that its owner looks at.
pub(super) struct Graceful(());

impl Graceful {
    /// Creates the guard. There may be only one at a time.
    pub(super) fn new() -> Self {
        LOOKED_AT.store(true, Ordering::SeqCst);
        Self(())
    }

    /// Returns the flag.
    pub(super) fn flag(&self) -> &'static AtomicBool {
        &INTERRUPTED
    }
}

impl Drop for Graceful {
    fn drop(&mut self) {
        LOOKED_AT.store(false, Ordering::SeqCst);
    }
}
