//! Logs of runs: see `hetal_fuzz::logs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hetal_fuzz::logs(data));
