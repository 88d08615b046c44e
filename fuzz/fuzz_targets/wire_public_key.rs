//! Reading public keys: see `hetal_fuzz::wire_public_key`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hetal_fuzz::wire_public_key(data));
