//! Models of runs: see `hetal_fuzz::model`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hetal_fuzz::model(data));
