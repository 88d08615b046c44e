//! Reading ciphertexts: see `hetal_fuzz::wire_ciphertext`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hetal_fuzz::wire_ciphertext(data));
