//! Arrays: see `hetal_fuzz::npy`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hetal_fuzz::npy(data));
