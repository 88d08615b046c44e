//! Reading a limb: see `hetal_fuzz::bytes_limb`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hetal_fuzz::bytes_limb(data));
