//! CRT composition: see `hetal_fuzz::crt`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hetal_fuzz::crt(data));
