//! Tests of ending the program by Ctrl-C and otherwise: it ends at once, and leaves nothing behind
//! that obstructs the next attempt.

#![cfg(unix)]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use hetal::train::data::npy;

/// "Within a second", on a machine that has other things to do.
const AT_ONCE: Duration = Duration::from_secs(3);
const SETTINGS: [&str; 8] = ["--preset", "test-10", "--batch", "40", "--logit-range", "16", "--weight-range", "8"];
/// A training on plain numbers that does not end by itself.
const ENDLESS: [&str; 10] =
    ["train", "--plain", "--data", "unvalidated", "--preset", "test-10", "--batch", "40", "--epochs", "4000000000"];

fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a folder");
    path
}

/// Writes data of three classes that features hardly tell apart, so that plain training stops early
/// where it can.
fn write_data(folder: &Path, parts: &[(&str, usize)]) {
    fs::create_dir_all(folder).expect("a folder");
    for &(part, rows) in parts {
        let noise = |i: usize, j: usize| ((i * i * 7 + i * (13 + 16 * j) + rows) % 1009) as f64 / 504.5 - 1.0;
        let features: Vec<Vec<f64>> = (0..rows).map(|i| (0..4).map(|j| noise(i, j)).collect()).collect();
        npy::write_rows(folder.join(format!("features_{part}.npy")), &features).expect("writes");
        let labels: Vec<u32> = (0..rows).map(|i| (i % 3) as u32).collect();
        npy::write_labels(folder.join(format!("labels_{part}.npy")), &labels).expect("writes");
    }
}

fn command(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hetal"));
    command.current_dir(root).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn succeeds(root: &Path, arguments: &[&str]) {
    let output = command(root, arguments).output().expect("starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn signal(child: &Child, name: &str) {
    let done = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().expect("runs");
    assert!(done.success(), "{name}: the process is not there any more");
}

/// Waits for the end, which must come soon. Returns the exit status, and standard error without the
/// warning about test parameters.
fn ends(mut child: Child) -> (i32, String) {
    let begun = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if begun.elapsed() > AT_ONCE {
            child.kill().expect("ends");
            panic!("it goes on for more than {AT_ONCE:?}");
        }
        sleep(Duration::from_millis(5));
    }
    let mut error = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut error).expect("text");
    let error = error.split_inclusive('\n').filter(|line| !line.contains("INSECURE")).collect();
    (child.wait().expect("has ended").code().expect("no signal killed it"), error)
}

fn wait_for(child: &mut Child, what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(child.try_wait().expect("a child").is_none(), "it ended before");
        assert!(begun.elapsed() < Duration::from_secs(60), "it never comes so far");
        sleep(Duration::from_millis(1));
    }
}

/// Returns the names in a folder, and none if there is no folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
}

/// Returns all files below a folder that are not finished.
fn unfinished(folder: &Path) -> Vec<String> {
    let below = names(folder).into_iter().flat_map(|name| {
        let path = folder.join(&name);
        if path.is_dir() { unfinished(&path) } else { vec![name] }
    });
    below.filter(|name| name.starts_with('.')).collect()
}

/// Interrupted while keys are made or rows are encrypted, the program leaves an empty folder, and
/// can be run again.
#[test]
fn folders_that_are_being_made() {
    let root = folder("interrupt-folders");
    write_data(&root.join("data"), &[("train", 8000)]);
    let keygen = [&["keygen", "--data", "data", "--keys", "keys", "--epochs", "1"], &SETTINGS[..]].concat();
    let encrypt = ["encrypt", "--keys", "keys", "--data", "data", "--out", "encrypted"];
    for (arguments, made, status) in [(&keygen[..], "keys", 130), (&encrypt, "encrypted", 143)] {
        let mut child = command(&root, arguments).spawn().expect("starts");
        wait_for(&mut child, || !unfinished(&root.join(made)).is_empty());
        signal(&child, if status == 130 { "INT" } else { "TERM" });
        let (code, error) = ends(child);
        assert!(code == status && error.contains("hetal: interrupted"), "{code} {error}");
        assert_eq!(names(&root.join(made)), Vec::<String>::new(), "{arguments:?}");
        succeeds(&root, arguments);
    }
}

/// Commands that compute or wait for long end at once.
#[test]
fn long_commands() {
    let root = folder("interrupt-long");
    write_data(&root.join("unvalidated"), &[("train", 100)]);
    write_data(&root.join("data"), &[("train", 100), ("val", 40)]);
    let keygen = |data, keys, epochs| {
        [&["keygen", "--data", data, "--keys", keys, "--epochs", epochs, "--patience", "2"], &SETTINGS[..]].concat()
    };
    succeeds(&root, &keygen("unvalidated", "endless", "4000000000"));
    succeeds(&root, &keygen("data", "keys", "1"));
    succeeds(&root, &["encrypt", "--keys", "keys", "--data", "data", "--out", "encrypted"]);
    let base = ["train", "--keys", "keys", "--data", "data", "--encrypted", "encrypted", "--run", "run"];
    succeeds(&root, &base);
    let predict = ["predict", "--keys", "keys", "--run", "run", "--features", "/dev/stdin", "--out", "y.npy"];
    for arguments in [
        &ENDLESS[..],
        &["encrypt", "--keys", "endless", "--data", "unvalidated", "--out", "rehearsed"],
        &predict,
        &["bench", "softmax"],
        &["demo", "--run", "demo"],
    ] {
        let mut child = command(&root, arguments).stdin(Stdio::piped()).spawn().expect("starts");
        // By then it is in the middle of its work, of which there is no sign to wait for.
        sleep(Duration::from_millis(500));
        assert!(child.try_wait().expect("a child").is_none(), "{arguments:?} is not long");
        signal(&child, "INT");
        let (code, error) = ends(child);
        assert_eq!((code, error.as_str()), (130, "hetal: interrupted\n"), "{arguments:?}");
        assert_eq!(unfinished(&root), Vec::<String>::new(), "{arguments:?}");
    }
    assert_eq!(names(&root.join("rehearsed")), Vec::<String>::new());
    // A process that ignores the end of its terminal goes on.
    let script = ["-c", "trap '' HUP; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_hetal")];
    let mut ignoring = Command::new("sh");
    ignoring.current_dir(&root).args(script).args(ENDLESS).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = ignoring.spawn().expect("starts");
    sleep(Duration::from_millis(500));
    signal(&child, "HUP");
    // Time to end, if it does not ignore the signal.
    sleep(Duration::from_millis(500));
    assert!(child.try_wait().expect("a child").is_none(), "it ended with the terminal");
    signal(&child, "INT");
    assert_eq!(ends(child).0, 130);
}

/// A training begins at once, however many epochs it may have. It ends after a step, or at once
/// with a second request.
#[test]
fn trainings() {
    let root = folder("interrupt-training");
    write_data(&root.join("data"), &[("train", 100), ("val", 40)]);
    write_data(&root.join("unvalidated"), &[("train", 100)]);
    let keygen = ["keygen", "--data", "data", "--keys", "keys", "--epochs", "1", "--patience", "2"];
    succeeds(&root, &[&keygen, &SETTINGS[..]].concat());
    for (data, out) in [("data", "encrypted"), ("unvalidated", "encrypted-unvalidated")] {
        succeeds(&root, &["encrypt", "--keys", "keys", "--data", data, "--out", out]);
    }
    let base = ["train", "--keys", "keys", "--data", "data", "--encrypted", "encrypted", "--run", "run"];
    let many = ["--epochs", "300000", "--patience", "100000"];
    let stepped = |run: &str| {
        let log = fs::read_to_string(root.join(run).join("public/server.jsonl")).unwrap_or_default();
        log.contains("\"event\":\"step\"")
    };
    let mut child = command(&root, &[&base[..], &many].concat()).spawn().expect("starts");
    wait_for(&mut child, || stepped("run"));
    signal(&child, "INT");
    let (code, error) = ends(child);
    assert!(code == 1 && error.starts_with("hetal: ending after this step"), "{code} {error}");
    assert!(error.contains("continue with --resume"), "{error}");
    assert_eq!(unfinished(&root), Vec::<String>::new());
    succeeds(&root, &[&base[..], &["--resume", "--epochs", "1"]].concat());
    // Without a validation, it is always in a step.
    let base = ["train", "--keys", "keys", "--data", "unvalidated", "--encrypted", "encrypted-unvalidated", "--run"];
    let twice = [&base[..], &["twice"], &many].concat();
    let mut child = command(&root, &twice).spawn().expect("starts");
    wait_for(&mut child, || stepped("twice"));
    signal(&child, "INT");
    let (mut told, mut byte) = (String::new(), [0]);
    while !told.contains("once more to end at once") {
        child.stderr.as_mut().expect("piped").read_exact(&mut byte).expect("it says so");
        told.push(char::from(byte[0]));
    }
    signal(&child, "INT");
    let (code, error) = ends(child);
    assert!(code == 130 && error.ends_with("hetal: interrupted\n"), "{code} {error}");
    assert_eq!(unfinished(&root), Vec::<String>::new());
    succeeds(&root, &[&base[..], &["twice", "--resume", "--epochs", "1"]].concat());
    // Interrupted before its first step, a training leaves nothing that obstructs the next one.
    let early = [&base[..], &["early", "--epochs", "1"]].concat();
    let mut child = command(&root, &early).spawn().expect("starts");
    wait_for(&mut child, || root.join("early").exists());
    signal(&child, "INT");
    assert_eq!(ends(child).0, 130);
    succeeds(&root, &early);
}
