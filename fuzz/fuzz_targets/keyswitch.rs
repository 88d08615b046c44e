//! Key-switching: see `hetal_fuzz::keyswitch`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hetal_fuzz::keyswitch(data));
