//! Tests of the precision of every operation against its bound, and of memory against its
//! prediction: the output of `hetal bench precision` and `hetal inspect params`.

use std::process::Command;

use hetal::ckks::noise::Noise;
use hetal::measure::precision::{Row, measure};
use hetal::{Error, Parameters};
use serde_json::Value;

/// The bounds at `n16` in bits, as `hetal bench precision` derives them: −log2 of an error that
/// none of 2^15 slots exceeds, except with a probability of 2^−39. They are written down here so
/// that neither the arithmetic nor the derivation can get worse unnoticed.
const N16: [(&str, usize, f64); 13] = [
    ("encode, decode", 29, 41.1),
    ("encrypt with the secret key", 29, 37.6),
    ("encrypt with the public key", 29, 31.7),
    ("encode, decode", 17, 31.1),
    ("encrypt with the secret key", 17, 27.6),
    ("encrypt with the public key", 17, 21.6),
    ("add", 17, 27.1),
    ("rotate", 17, 21.6),
    ("conjugate", 17, 21.6),
    ("multiply, rescale", 16, 21.6),
    ("multiply, rescale to level 0", 0, 19.6),
    ("linear transform, 31 diagonals", 16, 20.8),
    ("polynomial of degree 31", 12, 15.8),
];

fn check(rows: &[Row]) {
    for row in rows {
        assert!(row.holds(), "{row:?}");
        // For a Gaussian, the mean is below the largest error by a factor of 1/√(ln(slots) + 28) or
        // less; otherwise the bound would say nothing.
        assert!(row.mean_bits > row.worst_bits + 1.0, "{row:?}");
        // The largest single error is predicted to within its tail; the bound of a polynomial adds
        // worst cases.
        let slack = if row.operation.starts_with("polynomial") { 8.0 } else { 4.5 };
        assert!(row.worst_bits < row.bound_bits + slack, "{row:?}: the bound is loose, or no error was made");
    }
}

/// At the test presets, the measured errors are within their bounds and not far below them.
#[test]
fn test_presets() {
    for name in ["test-10", "test-11", "test-13"] {
        check(&measure(&Parameters::preset(name).expect("a preset")).expect("measured"));
    }
}

/// At n16, the bounds are also at least those written down above.
#[test]
fn n16() {
    let rows = measure(&Parameters::preset("n16").expect("a preset")).expect("measured");
    check(&rows);
    assert_eq!(rows.len(), N16.len());
    for (row, (operation, level_after, bits)) in rows.iter().zip(N16) {
        assert_eq!((row.operation, row.level_after), (operation, level_after));
        assert!(row.worst_bits >= bits && row.bound_bits >= bits, "{row:?}, {bits} bits wanted");
    }
}

fn hetal(arguments: &[&str]) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_hetal")).args(arguments).output().expect("runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

/// The measured memory is within 10 % of the computed one. Each preset has a process of its own,
/// since only the largest memory of a process is measured.
#[test]
#[cfg(target_os = "linux")]
fn memory_is_what_was_computed() {
    for name in hetal::ckks::params::preset::NAMES {
        let lines = hetal(&["--json", "--threads", "2", "inspect", "params", "--preset", name, "--measure"]);
        let [line] = &lines[..] else { panic!("{} lines", lines.len()) };
        let computed = line["footprint"]["process"].as_f64().expect("a number");
        let measured = line["measured_bytes"].as_f64().expect("a number");
        // A process needs about a MiB for itself, which counts beside the 10 MiB of the smallest
        // ring.
        let slack = 1.5 * f64::from(1 << 20);
        let ratio = |measured: f64| measured / computed;
        assert!(
            ratio(measured - slack) < 1.1 && ratio(measured + slack) > 0.9,
            "{name}: {measured} of {computed} bytes"
        );
    }
}

/// Every preset is listed, and is marked insecure or within its security bound.
#[test]
fn every_preset_is_inspected() {
    let lines = hetal(&["--json", "inspect", "params"]);
    let names: Vec<_> = lines.iter().map(|line| line["preset"].as_str().expect("a name")).collect();
    assert_eq!(names, hetal::ckks::params::preset::NAMES);
    for line in &lines {
        let insecure = line["insecure"].as_bool().expect("a flag");
        assert_eq!(insecure, line["preset"].as_str().expect("a name").starts_with("test-"));
        let secure = line["bound"].as_f64().is_some_and(|bound| line["log_qp"].as_f64().expect("a number") <= bound);
        assert!(insecure || secure, "{line}");
    }
}

/// An unknown preset is refused in one sentence that names the ones there are.
#[test]
fn an_unknown_preset_is_one_sentence() {
    let output = Command::new(env!("CARGO_BIN_EXE_hetal"))
        .args(["inspect", "params", "--preset", "n61"])
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).expect("text");
    assert!(message.contains("\"n61\"") && message.contains("n16-light") && message.lines().count() == 1, "{message}");
}

/// Keys for a level below that of the ciphertext are refused.
#[test]
fn keys_that_do_not_serve() {
    let noise = Noise::new(&Parameters::preset("test-10").expect("a preset"));
    for (level, key_level) in [(5, 4), (29, 0), (30, 29), (usize::MAX, 29)] {
        let wanted = Error::LowLevel { level: key_level, needed: level };
        assert_eq!(noise.key_error(level, key_level, 1e12).map(|_| ()), Err(wanted.clone()));
        assert_eq!(noise.relinearise_rescale(level, key_level, 1e12).map(|_| ()), Err(wanted));
    }
    assert_eq!(noise.key_switch(3, 30, 1e12).map(|_| ()), Err(Error::Level { level: 30, max: 29 }));
}
