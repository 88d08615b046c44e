//! Reading encapsulation keys: see `hetal_fuzz::wire_encapsulation_keys`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hetal_fuzz::wire_encapsulation_keys(data));
