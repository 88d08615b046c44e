//! Jobs of folders of keys: see `hetal_fuzz::job`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hetal_fuzz::job(data));
