//! Reading secret keys: see `hetal_fuzz::wire_secret_key`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hetal_fuzz::wire_secret_key(data));
