//! Transforms and pointwise arithmetic: see `hetal_fuzz::ntt`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hetal_fuzz::ntt(data));
