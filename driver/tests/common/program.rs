//! Helpers to run the program `hetal` on small data at insecure parameters.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

pub(crate) const FEATURES: usize = 12;
pub(crate) const CLASSES: usize = 3;
pub(crate) const SETTINGS: [&str; 10] =
    ["--preset", "test-10", "--batch", "40", "--learning-rate", "2", "--logit-range", "8", "--epochs", "2"];

pub(crate) fn hetal<S: AsRef<OsStr>>(folder: &Path, arguments: &[S]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hetal")).current_dir(folder).args(arguments).output().expect("starts")
}

/// Runs the program and returns its standard output; asserts that it succeeds.
pub(crate) fn prints<S: AsRef<OsStr> + std::fmt::Debug>(folder: &Path, arguments: &[S]) -> String {
    let output = hetal(folder, arguments);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).expect("text")
}

pub(crate) fn json<S: AsRef<OsStr> + std::fmt::Debug>(folder: &Path, arguments: &[S]) -> Value {
    let arguments: Vec<&OsStr> = arguments.iter().map(AsRef::as_ref).chain(["--json".as_ref()]).collect();
    let text = prints(folder, &arguments);
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).expect("an object")
}

pub(crate) fn npy(path: &Path, descr: &str, shape: &str, values: &[u8]) {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = (header.len() as u16).to_le_bytes();
    fs::write(path, [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), values].concat()).expect("writes");
}

pub(crate) fn features(path: &Path, x: &[f32]) {
    let bytes: Vec<u8> = x.iter().flat_map(|x| x.to_le_bytes()).collect();
    npy(path, "<f4", &format!("({}, {FEATURES})", x.len() / FEATURES), &bytes);
}

pub(crate) fn labels(path: &Path, y: &[u8]) {
    npy(path, "|u1", &format!("({},)", y.len()), y);
}

/// Writes three sets of rows. The class of a row is the index of the largest of its first features.
pub(crate) fn write_data(folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    for (part, rows) in [("train", 100), ("val", 30), ("test", 50)] {
        // The values are far from uniform, but no row occurs twice.
        let x: Vec<f32> =
            (0..rows * FEATURES).map(|i| ((i * i * 7 + i * 13 + rows) % 1009) as f32 / 504.5 - 1.0).collect();
        let class = |row: &[f32]| (0..CLASSES).max_by(|&a, &b| row[a].total_cmp(&row[b])).expect("classes") as u8;
        features(&folder.join(format!("features_{part}.npy")), &x);
        let y: Vec<u8> = x.chunks(FEATURES).map(class).collect();
        labels(&folder.join(format!("labels_{part}.npy")), &y);
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("copies");
        }
    }
}

pub(crate) fn folder(name: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(OsString::from_vec(name.to_vec()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a folder");
    path
}
