//! Archives of arrays: see `hetal_fuzz::npz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hetal_fuzz::npz(data));
