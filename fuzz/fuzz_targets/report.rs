//! Reports of runs: see `hetal_fuzz::report`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hetal_fuzz::report(data));
