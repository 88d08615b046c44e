//! Reading a key: see `hetal_fuzz::bytes_key`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hetal_fuzz::bytes_key(data));
