//! Tests of files that a user or a server names: some are not regular files, some are too long,
//! some do not fit the disk.
#![cfg(unix)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use hetal::Error;
use hetal::base::files::{Access, open_regular, read_bounded, write_atomically, write_sized};
use hetal::train::data::dataset::{Dataset, Features};

/// A directory that is removed on drop.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hetal-io-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("writable");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Makes a pipe to which nobody writes: opening it would block for ever.
fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo").success());
}

/// A file is read up to a bound on its length; pipes, devices and folders are refused by their
/// kind.
#[test]
fn bounded_reading() {
    let directory = Directory::new("bounded");
    let (file, fifo) = (directory.0.join("file"), directory.0.join("fifo"));
    fs::write(&file, [7; 10]).expect("writable");
    assert_eq!(read_bounded(&file, 10).expect("fits"), [7; 10]);
    let error = read_bounded(&file, 9).expect_err("too long").to_string();
    assert!(["file: bytes 10", "at most 9"].iter().all(|part| error.contains(part)), "{error}");
    // A sparse file takes no room on the disk, but would take its length in memory.
    fs::File::create(&file).and_then(|file| file.set_len(1 << 40)).expect("writable");
    let error = read_bounded(&file, 1 << 20).expect_err("too long").to_string();
    assert!(["1099511627776", "1048576"].iter().all(|part| error.contains(part)), "{error}");
    pipe(&fifo);
    let refused = [(fifo.as_path(), "(a pipe)"), (Path::new("/dev/zero"), "(a device)"), (&directory.0, "(a folder)")];
    for (path, kind) in refused {
        for error in [read_bounded(path, 1 << 20).map(drop), open_regular(path).map(drop)] {
            let error = error.expect_err(kind).to_string();
            assert!(error.contains(&path.display().to_string()) && error.contains(kind), "{error}");
        }
    }
    // Some files do not report their length.
    let version = read_bounded(Path::new("/proc/version"), 1 << 16);
    assert!(!cfg!(target_os = "linux") || !version.expect("text").is_empty());
    let missing = read_bounded(&directory.0.join("missing"), 1).expect_err("missing");
    assert!(matches!(missing, Error::Io { kind: std::io::ErrorKind::NotFound, .. }), "{missing}");
}

/// Pipes and devices are refused in the place of arrays: in folders only regular files are read,
/// and other paths are checked by their first bytes.
#[test]
fn devices_and_pipes_are_no_data() {
    let directory = Directory::new("devices");
    pipe(&directory.0.join("features_train.npy"));
    let error = Dataset::read(&directory.0).expect_err("a pipe").to_string();
    assert!(["features_train.npy (a pipe)", "a regular file"].iter().all(|part| error.contains(part)), "{error}");
    fs::remove_file(directory.0.join("features_train.npy")).expect("removes");
    pipe(&directory.0.join("meta.json"));
    let error = Dataset::read(&directory.0).expect_err("a pipe").to_string();
    assert!(error.contains("meta.json (a pipe)"), "{error}");
    for (path, kind) in [("/dev/zero", "(a device)"), ("/dev/null", "(a device)")] {
        let error = Dataset::read(path).expect_err(kind).to_string();
        assert!(error.contains(path) && error.contains(kind), "{error}");
    }
    let error = Features::read("/dev/zero").expect_err("a device").to_string();
    assert!(error.contains("/dev/zero: first bytes"), "{error}");
    let error = Features::read("/dev/null").expect_err("a device").to_string();
    assert!(error.contains("8 bytes are missing"), "{error}");
    assert!(Features::read(&directory.0).is_err());
}

/// Control characters in names do not reach a terminal through errors, while letters of any
/// language are kept.
#[test]
fn errors_are_printable() {
    let directory = Directory::new("printable");
    let path = directory.0.join("\u{1b}[31mé\u{7}\u{9b}\u{202e}\n中");
    let wanted = r"\u{1b}[31mé\u{7}\u{9b}\u{202e}\n中";
    fs::write(&path, "not an array").expect("writable");
    let errors = [
        Features::read(&path).map(drop),
        Dataset::read(&path).map(drop),
        read_bounded(&path, 3).map(drop),
        read_bounded(&path.join("x"), 3).map(drop),
        write_atomically(path.join("x"), Access::Shared, |_| Ok(())),
    ];
    for error in errors {
        let error = error.expect_err("not an array").to_string();
        assert!(error.contains(wanted) && !error.contains(char::is_control), "{error:?}");
    }
    // The same for a key, a value and a string of JSON.
    fs::write(directory.0.join("meta.json"), r#"{"step": "\u001b[31m"}"#).expect("writable");
    let error = Dataset::read(&directory.0).expect_err("no step").to_string();
    assert!(error.contains("meta.json: step \"\\u001b[31m\"") && !error.contains('\u{1b}'), "{error:?}");
}

/// Writes as many zeros as wanted, in pieces.
fn zeros(file: &mut fs::File, bytes: usize) -> hetal::Result<()> {
    let written = (0..bytes / 512).try_for_each(|_| file.write_all(&[0; 512]));
    written.map_err(|error| Error::Io { context: "zeros".into(), kind: error.kind(), message: error.to_string() })
}

/// Errors of files that do not fit: in a file system of a few pages, if this process may mount one,
/// and everywhere under a limit on the size of files.
#[test]
fn what_does_not_fit() {
    const LIMITED: &str = "HETAL_TEST_LIMITED";
    const SIZE: usize = 1 << 20;
    let directory = Directory::new(if std::env::var_os(LIMITED).is_some() { "limited" } else { "full" });
    let path = directory.0.join("file");
    let names = || fs::read_dir(&directory.0).expect("a folder").count();
    if std::env::var_os(LIMITED).is_some() {
        let error = write_sized(&path, Access::Shared, SIZE as u64, |file| zeros(file, SIZE)).expect_err("limited");
        assert!(matches!(error, Error::Io { kind: std::io::ErrorKind::FileTooLarge, .. }), "{error}");
        let text = error.to_string();
        assert!(text.starts_with(&format!("writing {}: ", path.display())), "{text}");
        // The limit is eight units, of 512 bytes or of 1024: shells differ.
        let ends = |text: &str, needed: &str| {
            [4096, 8192]
                .iter()
                .any(|written| text.ends_with(&format!(": {written} bytes were written and {needed} needed")))
        };
        assert!(ends(&text, "1048576 are"), "{text}");
        let text = write_atomically(&path, Access::Shared, |file| zeros(file, SIZE)).expect_err("limited").to_string();
        assert!(ends(&text, "more are"), "{text}");
        assert_eq!(names(), 0);
        return;
    }
    write_sized(&path, Access::Shared, SIZE as u64, |file| zeros(file, SIZE)).expect("fits");
    fs::remove_file(&path).expect("removes");
    // No disk has so much room, which is noticed before anything is done.
    let error =
        write_sized(&path, Access::Shared, u64::MAX, |_| panic!("too early")).expect_err("too large").to_string();
    let parts = [path.to_str().expect("text"), "it needs 18446744073709551615 bytes", "are free"];
    assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    assert_eq!(names(), 0);
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" --exact what_does_not_fit";
    let own = std::env::current_exe().expect("a program");
    let output = Command::new("sh").arg("-c").arg(script).arg(own).env(LIMITED, "").output().expect("starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(&directory.0).output();
    if mount.is_ok_and(|output| output.status.success()) {
        let sized = write_sized(&path, Access::Shared, SIZE as u64, |file| zeros(file, SIZE));
        let growing = write_atomically(&path, Access::Shared, |file| zeros(file, SIZE));
        let left = names();
        let unmounted = Command::new("umount").arg(&directory.0).status();
        assert!(unmounted.expect("umount").success());
        let errors = [sized, growing].map(|error| error.expect_err("full"));
        for error in &errors {
            assert!(matches!(error, Error::Io { kind: std::io::ErrorKind::StorageFull, .. }), "{error}");
            assert!(error.to_string().starts_with(&format!("writing {}: ", path.display())), "{error}");
        }
        let [sized, growing] = errors.map(|error| error.to_string());
        assert!(sized.ends_with("it needs 1048576 bytes, and 65536 are free there"), "{sized}");
        assert!(growing.ends_with("65536 bytes were written and more are needed"), "{growing}");
        assert_eq!(left, 0);
    }
}

/// A temporary file that a killed process left is removed when the same file is written again. One
/// that another process is writing is not.
#[test]
fn files_that_were_left() {
    let directory = Directory::new("left");
    let at = |name: &str| directory.0.join(name);
    for name in [".page.html.7.0", ".page.html.8.12", ".page.html.9.1", ".other.7.0", "page.html.7.0", ".page.html.7"] {
        fs::write(at(name), "half").expect("writable");
    }
    // The process that writes this one is alive.
    let held = fs::File::options().write(true).open(at(".page.html.9.1")).expect("there");
    held.lock().expect("locks");
    write_atomically(at("page.html"), Access::Shared, |file| {
        file.write_all(b"whole").expect("writable");
        Ok(())
    })
    .expect("writable");
    let mut names: Vec<String> = fs::read_dir(&directory.0)
        .expect("there")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    assert_eq!(names, [".other.7.0", ".page.html.7", ".page.html.9.1", "page.html", "page.html.7.0"]);
    assert_eq!(fs::read(at("page.html")).expect("there"), b"whole");
}
