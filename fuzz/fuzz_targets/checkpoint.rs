//! Checkpoints of runs: see `hetal_fuzz::checkpoint`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hetal_fuzz::checkpoint(data));
