//! Reading parameters: see `hetal_fuzz::wire_parameters`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hetal_fuzz::wire_parameters(data));
