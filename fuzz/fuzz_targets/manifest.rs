//! Manifests of encrypted data: see `hetal_fuzz::manifest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hetal_fuzz::manifest(data));
