//! Base conversion and ModDown: see `hetal_fuzz::base_conversion`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hetal_fuzz::base_conversion(data));
