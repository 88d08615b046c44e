//! Reading seeded ciphertexts: see `hetal_fuzz::wire_seeded`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hetal_fuzz::wire_seeded(data));
