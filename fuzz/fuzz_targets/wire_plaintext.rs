//! Reading plaintexts: see `hetal_fuzz::wire_plaintext`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hetal_fuzz::wire_plaintext(data));
