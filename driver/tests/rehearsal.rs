//! Tests of what the program says before training on ciphertexts: the plain training, ranges, and
//! the order of rows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hetal::train::data::npy;
use serde_json::Value;

const SETTINGS: [&str; 6] = ["--preset", "test-10", "--batch", "40", "--learning-rate", "0.1"];

/// Returns standard output and standard error, without the warning about test parameters; asserts
/// success.
fn hetal(folder: &Path, arguments: &[&str]) -> [String; 2] {
    let output = Command::new(env!("CARGO_BIN_EXE_hetal")).current_dir(folder).args(arguments).output();
    let output = output.expect("starts");
    let [text, error] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("text"));
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {text}{error}");
    [text, error.lines().filter(|line| !line.contains("INSECURE")).collect()]
}

/// Returns the lines of JSON that the program prints.
fn json(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let [text, _] = hetal(folder, &[arguments, &["--json"]].concat());
    text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
}

/// Writes data of three classes, sorted by class, that two features tell apart. The first feature
/// is multiplied by `factor`.
fn write_data(folder: &Path, factor: f64) {
    fs::create_dir_all(folder).expect("a folder");
    for (part, rows) in [("train", 120), ("val", 30), ("test", 30)] {
        let labels: Vec<u32> = (0..rows).map(|i| (3 * i / rows) as u32).collect();
        let row = |(i, &label): (usize, &u32)| {
            let noise = |k: usize| ((i * i * 7 + i * k + rows) % 101) as f64 / 101.0 - 0.5;
            vec![factor * (f64::from(label) - 1.0 + noise(13)), f64::from(label == 1) + noise(29)]
        };
        let features: Vec<Vec<f64>> = labels.iter().enumerate().map(row).collect();
        npy::write_rows(folder.join(format!("features_{part}.npy")), &features).expect("writes");
        npy::write_labels(folder.join(format!("labels_{part}.npy")), &labels).expect("writes");
    }
}

fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a folder");
    path
}

/// The plain training needs only data and settings, and its advice holds: with the ranges that it
/// names, the same training stays within them.
#[test]
fn plain_training() {
    let root = folder("rehearsal-plain");
    write_data(&root.join("data"), 1.0);
    let base = [&["train", "--plain", "--data", "data"], &SETTINGS[..]].concat();
    let with = |more: &[&'static str]| [&base[..], more].concat();
    let [text, error] = hetal(&root, &with(&["--shuffle-seed", "1"]));
    assert!(error.is_empty() && text.contains("largest logit") && text.contains("approximate"), "{text}{error}");
    let lines = json(&root, &with(&["--shuffle-seed", "1"]));
    let number = |line: usize, name: &str| lines[line][name].as_f64().unwrap_or_else(|| panic!("{name}: {lines:?}"));
    for name in ["max_logit", "max_weight"] {
        assert!((number(0, name) - number(1, name)).abs() < 0.01, "{name}: {lines:?}");
    }
    let (range, largest) = (number(2, "logit_range"), number(0, "max_logit"));
    assert!(largest * 1.09 < range && range < largest * 1.1 + 1.1, "{lines:?}");
    let advice = format!("make keys with --logit-range {range} --weight-range {}", number(2, "weight_range"));
    assert!(text.ends_with(&format!("{advice}\n")) && lines[2]["advice"] == *advice, "{text}{lines:?}");
    // The advice can be followed: the same training stays in these ranges, and keys can be made.
    let ranges: Vec<String> = advice.split(' ').skip(3).map(str::to_owned).collect();
    let followed: Vec<&str> = base.iter().copied().chain(ranges.iter().map(String::as_str)).collect();
    let again = json(&root, &[&followed[..], &["--shuffle-seed", "1"]].concat());
    assert_eq!((&again[0], &again[1]["left_range_at"]), (&lines[0], &Value::Null));
    let keygen = [&["keygen", "--data", "data", "--keys", "keys"], &followed[4..]].concat();
    hetal(&root, &keygen);
    // With a range that is too small only the approximation ends, at the step that the program
    // names.
    let [small, _] = hetal(&root, &with(&["--logit-range", "0.6", "--shuffle-seed", "1"]));
    let told = small.lines().find(|line| line.starts_with("with the approximation")).expect("is told");
    assert!(told.ends_with("logit_range is 0.6"), "{told}");
    assert!(small.ends_with(&format!("{advice}, or train with a smaller learning rate\n")), "{small}");
    let lines = json(&root, &with(&["--logit-range", "0.6", "--shuffle-seed", "1"]));
    let step = lines[1]["left_range_at"].as_u64().expect("a step");
    let at = format!("at step {step} (epoch {}), where a logit is", (step - 1) / 3 + 1);
    assert!(lines[0] == again[0] && step > 1 && told.contains(&at), "{lines:?} {told}");
    // This uses the settings of keys, with early stopping as in the run.
    assert_eq!(json(&root, &with(&["--epochs", "2"]))[0]["epochs"], 2);
    let of_keys = json(&root, &["train", "--plain", "--data", "data", "--keys", "keys", "--shuffle-seed", "1"]);
    assert_eq!(of_keys[..2], again[..2]);
    let other = json(&root, &with(&["--shuffle-seed", "2"]));
    let sorted = json(&root, &with(&["--no-shuffle"]));
    assert!(other[0] != again[0] && sorted[0] != again[0] && sorted[2]["shuffle_seed"].is_null());
}

/// Sorted rows are shuffled; the program says so, and the order can be repeated with the seed.
#[test]
fn shuffled_rows() {
    let root = folder("rehearsal-shuffled");
    write_data(&root.join("data"), 1.0);
    hetal(&root, &[&["keygen", "--data", "data", "--keys", "keys"], &SETTINGS[..]].concat());
    let encrypt = |out: &'static str, more: &[&'static str]| {
        [&["encrypt", "--keys", "keys", "--data", "data", "--out", out], more].concat()
    };
    let [text, error] = hetal(&root, &encrypt("one", &[]));
    assert!(error.is_empty() && text.contains("--shuffle-seed"), "{text}{error}");
    let two = json(&root, &encrypt("two", &[]));
    let seed = two[0]["shuffle_seed"].as_u64().expect("a seed");
    assert!(!text.contains(&format!("--shuffle-seed {seed} ")), "the same seed twice: {text}");
    // The same seed gives the same order, and hence the same plain training.
    let seed = seed.to_string();
    let plain = ["train", "--plain", "--data", "data", "--keys", "keys", "--shuffle-seed", &seed];
    let plain = json(&root, &plain);
    assert_eq!((&plain[0]["max_logit"], &plain[0]["max_weight"]), (&two[0]["max_logit"], &two[0]["max_weight"]));
    let [text, error] = hetal(&root, &encrypt("three", &["--no-shuffle"]));
    let wanted = "3 of 3 batches of 40 rows lack classes (batch 1: class 1, 2)";
    assert!(
        error.contains(wanted) && error.contains("without --no-shuffle") && !text.contains("seed"),
        "{text}{error}"
    );
}

/// For features that are too large, the program advises to normalise them; a wider range would not
/// help.
#[test]
fn huge_features() {
    let root = folder("rehearsal-huge");
    write_data(&root.join("data"), 1e10);
    let [text, _] = hetal(&root, &[&["train", "--plain", "--data", "data"], &SETTINGS[..]].concat());
    assert!(text.ends_with("the features are too large for a learning rate of 0.1: pass --normalise\n"), "{text}");
    hetal(&root, &[&["keygen", "--data", "data", "--keys", "keys"], &SETTINGS[..]].concat());
    let encrypt = |out| ["encrypt", "--keys", "keys", "--data", "data", "--out", out];
    let [_, error] = hetal(&root, &encrypt("raw"));
    assert!(error.contains("too large for a learning rate of 0.1: pass --normalise"), "{error}");
    assert!(!error.contains("make keys"), "{error}");
    let [_, error] = hetal(&root, &[&encrypt("normalised")[..], &["--normalise"]].concat());
    assert!(error.is_empty(), "{error}");
}
