//! Reading evaluation keys: see `hetal_fuzz::wire_evaluation_keys`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hetal_fuzz::wire_evaluation_keys(data));
