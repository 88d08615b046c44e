//! Bodies of the fuzz targets: functions of bytes that panic if the kernel, or a reader of the
//! driver, is wrong.
//!
//! Every body reads a structured case from its input with [`input::Input`]. Bytes that are missing
//! read as 0, so that every input is a case. It compares the kernel with its own oracle: `u128`
//! with `%`, or big integers. The kernel's scalar arithmetic never supplies an expected value.
//! Targets for readers of foreign files take any bytes, or a description of a good file, which has
//! to be read as it was described.
//!
//! `.ci/fuzz SECONDS [TARGET]...` fuzzes; `cargo test` replays `corpus/TARGET/*` and
//! `crashes/TARGET/*` without a fuzzer. The corpora hold hand-made cases with names (`cargo run -p
//! hetal-fuzz --example seeds` writes them again) and a minimised selection of what fuzzing found,
//! named by hash. An input that once failed belongs in `crashes/TARGET`.
#![forbid(unsafe_code)]

mod arrays;
mod bytes;
mod conversion;
mod crt;
mod folders;
pub mod input;
mod keyswitch;
mod ntt;
mod oracle;
mod settings;
mod wire;

pub use arrays::{archive, npy, npz};
pub use bytes::{bytes_key, bytes_limb};
pub use conversion::base_conversion;
pub use crt::crt;
pub use folders::{checkpoint, job, logs, manifest, model, report};
pub use keyswitch::keyswitch;
pub use ntt::ntt;
pub use settings::settings;
pub use wire::{
    wire_ciphertext, wire_encapsulation_keys, wire_evaluation_keys, wire_parameters, wire_plaintext, wire_public_key,
    wire_secret_key, wire_seeded,
};

/// A target's name and body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, in the order of the manifest.
pub const TARGETS: [Target; 23] = [
    ("ntt", ntt),
    ("base_conversion", base_conversion),
    ("keyswitch", keyswitch),
    ("bytes_limb", bytes_limb),
    ("bytes_key", bytes_key),
    ("crt", crt),
    ("wire_parameters", wire_parameters),
    ("wire_plaintext", wire_plaintext),
    ("wire_ciphertext", wire_ciphertext),
    ("wire_seeded", wire_seeded),
    ("wire_secret_key", wire_secret_key),
    ("wire_public_key", wire_public_key),
    ("wire_evaluation_keys", wire_evaluation_keys),
    ("wire_encapsulation_keys", wire_encapsulation_keys),
    ("npy", npy),
    ("npz", npz),
    ("settings", settings),
    ("job", job),
    ("manifest", manifest),
    ("checkpoint", checkpoint),
    ("model", model),
    ("logs", logs),
    ("report", report),
];
