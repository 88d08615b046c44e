//! Tests of folders as users mix, damage and lose them, through the program: what belongs together,
//! what is left behind by a process that was killed, and whose each file is.

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use common::program::{
    CLASSES, FEATURES, SETTINGS, copy, features, folder, hetal, json, labels, npy, prints, write_data,
};
use hetal::train::store::{Kind, Party, party};
use serde_json::Value;

/// Runs a command that must fail and returns its error message.
fn refused(root: &Path, command: &str) -> String {
    let output = hetal(root, &command.split(' ').collect::<Vec<_>>());
    let error = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{command}: {error}");
    assert!(!error.contains("panicked"), "{command}: {error}");
    error
}

fn runs(root: &Path, command: &str) -> String {
    prints(root, &command.split(' ').collect::<Vec<_>>())
}

fn json_of(root: &Path, command: &str) -> Value {
    json(root, &command.split(' ').collect::<Vec<_>>())
}

const TRAIN: &str = "train --keys keys --encrypted enc --data data --run";

/// Returns a folder with two key generations of one job, their encrypted data, and a run of two
/// epochs.
fn prepared() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let root = folder(b"belonging");
        write_data(&root.join("data"));
        for (keys, data) in [("keys", "enc"), ("keys2", "enc2")] {
            prints(&root, &[&["keygen", "--data", "data", "--keys", keys][..], &SETTINGS].concat());
            prints(&root, &["encrypt", "--keys", keys, "--data", "data", "--out", data, "--normalise", "--no-shuffle"]);
        }
        runs(&root, &format!("{TRAIN} run"));
        root
    })
}

/// Returns a copy of the prepared folders, for a test that changes them.
fn own(name: &[u8]) -> PathBuf {
    let root = folder(name);
    for part in ["data", "keys", "enc", "run", "keys2", "enc2"] {
        copy(&prepared().join(part), &root.join(part));
    }
    root
}

/// Every file lies where the files of its owner do, and a folder that travels to the server has no
/// file of the client.
#[test]
fn whose_files_are() {
    let root = prepared();
    runs(root, "evaluate --keys keys --run run --data data");
    runs(root, "report run");
    let mut seen = 0;
    for (kind, name) in [(Kind::Keys, "keys"), (Kind::Data, "enc"), (Kind::Run, "run")] {
        let mut check = |folder: &Path, before: &str| {
            for entry in fs::read_dir(folder).expect("a folder") {
                let entry = entry.expect("an entry");
                if entry.path().is_dir() {
                    assert_eq!((entry.file_name().as_os_str(), before), ("public".as_ref(), ""));
                    continue;
                }
                let file = format!("{before}{}", entry.file_name().to_str().expect("text"));
                let whose = party(kind, &file).unwrap_or_else(|| panic!("{name}/{file} is on no list"));
                let travels = kind == Kind::Data || before == "public/";
                assert_eq!(travels, whose == Party::Server, "{name}/{file}");
                if whose == Party::Client && !["lock", "unfinished"].contains(&&file[..]) {
                    let mode = entry.metadata().expect("a file").permissions().mode() & 0o777;
                    assert_eq!(mode, 0o600, "{name}/{file}");
                }
                seen += 1;
            }
        };
        check(&root.join(name), "");
        if kind != Kind::Data {
            check(&root.join(name).join("public"), "public/");
        }
    }
    assert!(seen > 15, "{seen}");
    // No number of the normaliser is in the files that the server gets.
    let normaliser: Value =
        serde_json::from_slice(&fs::read(root.join("keys/normaliser.json")).expect("reads")).expect("JSON");
    let mean = normaliser["normaliser"]["mean"][0].as_f64().expect("a number").to_string();
    for file in ["keys/public/job.json", "enc/manifest.json"] {
        assert!(!fs::read_to_string(root.join(file)).expect("reads").contains(&mean), "{file}");
    }
}

/// Row 2: the data at hand are compared with those that were encrypted. Before any step, an error
/// names the part that differs.
#[test]
fn other_data() {
    let root = own(b"belonging-data");
    let rows = |part: &str| fs::read(root.join(format!("data/features_{part}.npy"))).expect("reads");
    let other = |name: &str, change: &dyn Fn(&Path)| {
        let path = root.join(name);
        write_data(&path);
        change(&path);
    };
    other("features", &|path| {
        let mut bytes = rows("train");
        *bytes.last_mut().expect("values") ^= 1;
        fs::write(path.join("features_train.npy"), bytes).expect("writes");
    });
    other("shifted", &|path| {
        let bytes = fs::read(path.join("labels_val.npy")).expect("reads");
        let y: Vec<u8> = bytes[bytes.len() - 30..].iter().map(|y| (y + 1) % CLASSES as u8).collect();
        labels(&path.join("labels_val.npy"), &y);
    });
    other("fewer", &|path| {
        features(&path.join("features_val.npy"), &vec![0.25; 20 * FEATURES]);
        labels(&path.join("labels_val.npy"), &[1; 20]);
    });
    other("none", &|path| {
        for name in ["features_val.npy", "labels_val.npy"] {
            fs::remove_file(path.join(name)).expect("removes");
        }
    });
    other("more", &|path| {
        let y: Vec<u8> = (0..100).map(|i| i % 4).collect();
        labels(&path.join("labels_train.npy"), &y);
    });
    for (data, wanted) in [
        ("features", "train: the features are not those that were encrypted"),
        ("shifted", "val: the labels are not those that were encrypted"),
        ("fewer", "val: 20 rows are in the data set, and 30 were encrypted"),
        ("none", "val: 30 rows were encrypted, and none are in the data set"),
        ("more", "train: the labels are not those that were encrypted"),
    ] {
        let error = refused(&root, &format!("train --keys keys --encrypted enc --data {data} --run new"));
        assert!(error.contains(wanted), "{data}: {error}");
        assert!(!root.join("new").exists(), "{data}");
    }
    // The data have rows to validate with, and none were encrypted.
    runs(&root, "encrypt --keys keys2 --data none --out bare --normaliser keys2/normaliser.json");
    let error = refused(&root, "train --keys keys2 --encrypted bare --data data --run new");
    assert!(error.contains("val: 30 rows are in the data set, and none were encrypted"), "{error}");
    // Labels in another order would be compared with the wrong encrypted outputs.
    let evaluate = "evaluate --keys keys --run run --encrypted enc --split val --data";
    assert!(refused(&root, &format!("{evaluate} shifted")).contains("val: the labels are not those"));
    runs(&root, &format!("{evaluate} data"));
    fs::remove_dir_all(root).expect("removes");
}

/// Row 3: keys, data and runs of two key generations with the same settings are never used
/// together.
#[test]
fn two_key_generations() {
    let root = own(b"belonging-keys");
    let mixed = |name: &str, file: &str| {
        copy(&root.join("keys"), &root.join(name));
        fs::copy(root.join("keys2").join(file), root.join(name).join(file)).expect("copies");
    };
    mixed("secret", "secret.key");
    mixed("evaluation", "public/evaluation.keys");
    mixed("encapsulation", "public/encapsulation.keys");
    mixed("job", "public/job.json");
    let foreign = "made with other keys";
    for command in [
        "train --keys keys --encrypted enc2 --data data --run new",
        "train --keys secret --encrypted enc --data data --run new",
        "train --keys evaluation --encrypted enc --data data --run new",
        "train --keys encapsulation --encrypted enc --data data --run new",
        "train --keys job --encrypted enc --data data --run new",
        "encrypt --keys secret --data data --out new --normalise",
        "encrypt --keys job --data data --out new --normalise",
        "evaluate --keys keys2 --run run --data data",
        "evaluate --keys secret --run run --data data",
        "evaluate --keys keys --run run --data data --encrypted enc2",
        "predict --keys keys2 --run run --features data/features_test.npy --out y.npy",
        "inspect data enc --keys keys2",
    ] {
        let error = refused(&root, command);
        assert!(error.contains(foreign), "{command}: {error}");
    }
    // A run of one generation is not continued with the other's keys and data.
    let error = refused(&root, "train --keys keys2 --encrypted enc2 --data data --run run --resume");
    assert!(error.contains(foreign), "{error}");
    // If the manifest of one lies over the files of the other, the digests differ.
    fs::copy(root.join("enc/manifest.json"), root.join("enc2/manifest.json")).expect("copies");
    assert!(refused(&root, "train --keys keys --encrypted enc2 --data data --run new").contains("SHA-256"));
    fs::remove_dir_all(root).expect("removes");
}

/// Rows 4 and 10: a run is continued whenever it was ended, and with those settings changed that
/// may change. Models are compared bit for bit with those of an uninterrupted run.
#[test]
fn continued() {
    let root = own(b"belonging-continued");
    // Runs that ended before their first checkpoint are continued, or begun again.
    for (run, flag) in [("a", " --resume"), ("b", "")] {
        fs::create_dir_all(root.join(run).join("public")).expect("a folder");
        fs::write(root.join(run).join("public/server.jsonl"), "{\"event\":\"sta").expect("writes");
        fs::write(root.join(run).join("public/.checkpoint.ct.12345.0"), "half").expect("writes");
        fs::write(root.join(run).join("client.jsonl"), "").expect("writes");
        let ended = json_of(&root, &format!("{TRAIN} {run}{flag}"));
        assert_eq!((&ended["steps"], &ended["epochs"]), (&6.into(), &2.into()));
        assert!(!root.join(run).join("public/.checkpoint.ct.12345.0").exists());
        let model = |run: &str| fs::read(root.join(run).join("public/model-002.ct")).expect("a model");
        assert!(model(run) == model("run"), "not bit for bit the same");
    }
    // The run is given more epochs after its end, with another patience and other checkpoints.
    let more = format!("{TRAIN} run --resume --epochs 4 --patience 9 --checkpoint-steps 2");
    let ended = json_of(&root, &more);
    assert_eq!((&ended["steps"], &ended["epochs"]), (&12.into(), &4.into()));
    let whole = json_of(&root, &format!("{TRAIN} whole --epochs 4 --patience 9"));
    assert_eq!(ended["best_epoch"], whole["best_epoch"]);
    let model = |run: &str| fs::read(root.join(run).join("public/model-004.ct")).expect("a model");
    assert!(model("run") == model("whole"), "not bit for bit the same");
    // Resumed once more, there is nothing to do, and the program says so.
    let again = json_of(&root, &more);
    assert_eq!((&again["epochs"], &again["best_epoch"]), (&ended["epochs"], &ended["best_epoch"]));
    // Settings that steps depend on may not change, and the message names only the one that did.
    let error = refused(&root, &format!("{TRAIN} run --resume --epochs 5 --learning-rate 0.5"));
    assert!(error.contains("settings: learning_rate 0.5: must be 2.0") && !error.contains('{'), "{error}");
    let error = refused(&root, &format!("{TRAIN} run --resume --logit-range 9"));
    assert!(error.contains("settings: logit_range 9.0: must be 8.0") && !error.contains('{'), "{error}");
    fs::remove_dir_all(root).expect("removes");
}

/// Row 6: all commands take the best epoch that `train` names.
#[test]
fn one_best_epoch() {
    let root = own(b"belonging-best");
    let log = root.join("run/client.jsonl");
    let events = fs::read_to_string(&log).expect("reads");
    // The second epoch has the smaller loss, but logits beyond their range.
    let events: Vec<String> = events
        .lines()
        .map(|line| {
            let mut event: Value = serde_json::from_str(line).expect("JSON");
            let second = event["epoch"] == 2;
            event["encrypted"]["loss"] = if second { 0.1 } else { 0.5 }.into();
            event["encrypted"]["max_logit"] = if second { 8.5 } else { 7.5 }.into();
            event.to_string() + "\n"
        })
        .collect();
    fs::write(&log, events.concat()).expect("writes");
    let resumed = json_of(&root, &format!("{TRAIN} run --resume"));
    assert_eq!(resumed["best_epoch"], 1);
    assert_eq!(json_of(&root, "evaluate --keys keys --run run --data data")["epoch"], 1);
    let predict = "predict --keys keys --run run --features data/features_test.npy --out y.npy";
    assert_eq!(json_of(&root, predict)["epoch"], 1);
    runs(&root, "report run");
    // If all epochs are beyond the range, there is no result, and the error says how to look at one
    // nevertheless.
    let beyond = events.concat().replace("7.5", "9.5");
    fs::write(&log, beyond).expect("writes");
    let error = refused(&root, "evaluate --keys keys --run run --data data");
    assert!(error.contains("--logit-range") && error.contains("--epoch"), "{error}");
    assert_eq!(json_of(&root, "evaluate --keys keys --run run --data data --epoch 2")["epoch"], 2);
    fs::remove_dir_all(root).expect("removes");
}

/// Row 28: softmax is also computed of training rows, and only the plain twin knows their logits;
/// if these leave the range, the program warns.
#[test]
fn training_rows_leave_the_range() {
    let root = own(b"belonging-outlier");
    // One training row is four times as far out as all others. It is on the right side, so that
    // little is learned from it.
    let path = root.join("data/features_train.npy");
    let mut bytes = fs::read(&path).expect("reads");
    let values = bytes.len() - 4 * FEATURES;
    for value in bytes[values..].chunks_exact_mut(4) {
        let far = 4.0 * f32::from_le_bytes((&*value).try_into().expect("four bytes"));
        value.copy_from_slice(&far.to_le_bytes());
    }
    fs::write(&path, bytes).expect("writes");
    runs(&root, "encrypt --keys keys --data data --out far --normaliser keys/normaliser.json --no-shuffle");
    let output = hetal(
        &root,
        &"train --keys keys --encrypted far --data data --run far-run --epochs 1".split(' ').collect::<Vec<_>>(),
    );
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(said.matches("a training row has a logit of ").count(), 1, "{said}");
    assert!(said.contains("by the plain twin, and logit_range is 8: softmax is wrong beyond it"), "{said}");
    let log = fs::read_to_string(root.join("far-run/client.jsonl")).expect("reads");
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        assert!(event["max_logit_rows"].as_f64() > Some(8.0), "{event}");
        assert!(event["max_logit_w"].as_f64() < Some(8.0), "no test of rows alone: {event}");
    }
    runs(&root, "report far-run");
    let page = fs::read_to_string(root.join("far-run/report.html")).expect("reads");
    assert!(page.contains("(batches until then, plain twin)") && page.contains("not a softmax"));
    fs::remove_dir_all(root).expect("removes");
}

/// Row 12: a run without validation data, also when it is resumed at its end.
#[test]
fn without_validation() {
    let root = own(b"belonging-bare");
    for name in ["features_val.npy", "labels_val.npy"] {
        fs::remove_file(root.join("data").join(name)).expect("removes");
    }
    runs(&root, "encrypt --keys keys --data data --out bare --normaliser keys/normaliser.json");
    let train = "train --keys keys --encrypted bare --data data --run none";
    for flag in ["", " --resume"] {
        let text = runs(&root, &format!("{train}{flag}"));
        assert!(text.contains("6 steps in 2 epochs") && text.contains("that of epoch 2"), "{text}");
        let ended = json_of(&root, &format!("{train} --resume"));
        assert_eq!((&ended["epochs"], &ended["best_epoch"]), (&2.into(), &2.into()));
    }
    assert_eq!(json_of(&root, "evaluate --keys keys --run none --data data")["epoch"], 2);
    fs::remove_dir_all(root).expect("removes");
}

fn spawned(root: &Path, command: &str) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hetal"));
    child.current_dir(root).args(command.split(' ')).stdout(Stdio::null()).stderr(Stdio::null());
    child.spawn().expect("starts")
}

/// Row 7: a run is used by one process at a time, and a log whose last line is torn is repaired.
#[test]
fn one_process_at_a_time() {
    let root = own(b"belonging-lock");
    let long = format!("{TRAIN} long --epochs 200 --patience 200 --learning-rate 0.01");
    let mut child = spawned(&root, &long);
    let log = root.join("long/public/server.jsonl");
    while !fs::read_to_string(&log).unwrap_or_default().contains("\"event\":\"step\"") {
        std::thread::yield_now();
    }
    let error = refused(&root, &format!("{long} --resume"));
    assert!(error.contains("in use"), "{error}");
    child.kill().expect("kills");
    child.wait().expect("ends");
    // The lock went with the process; the line that it was writing is torn.
    let mut text = fs::read(&log).expect("reads");
    text.extend(b"{\"event\":\"step\",\"epoch\":1,\"st");
    fs::write(&log, &text).expect("writes");
    let short = format!("{TRAIN} long --epochs 1 --learning-rate 0.01 --resume");
    let output = hetal(&root, &short.split(' ').collect::<Vec<_>>());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && error.contains("was not written to its end"), "{error}");
    runs(&root, "report long");
    // The last line has an end but is no JSON, as after a loss of power.
    let mut text = fs::read(&log).expect("reads");
    text.extend([0; 40]);
    text.push(b'\n');
    fs::write(&log, &text).expect("writes");
    runs(&root, "report long");
    runs(&root, &short);
    fs::remove_dir_all(root).expect("removes");
}

/// Row 31: logs that do not fit the checkpoint are found before anything is computed.
#[test]
fn damaged_logs() {
    let root = own(b"belonging-logs");
    let resume = format!("{TRAIN} run --resume --epochs 3");
    for (log, what) in [("client.jsonl", "validations 0"), ("public/server.jsonl", "steps 0")] {
        let path = root.join("run").join(log);
        let text = fs::read_to_string(&path).expect("reads");
        fs::write(&path, "").expect("writes");
        let error = refused(&root, &resume);
        assert!(error.contains(log) && error.contains(what) && error.contains("restore"), "{error}");
        // The log is damaged in the middle.
        let damaged = text.replacen("\"epoch\":1", "\"epoch\":x", 1);
        assert_ne!(damaged, text);
        fs::write(&path, damaged).expect("writes");
        let error = refused(&root, &resume);
        assert!(error.contains(log) && error.contains("line") && error.contains("restore"), "{error}");
        fs::write(&path, text).expect("writes");
    }
    // Without the server's log the run goes on, and the program says what is lost.
    fs::remove_file(root.join("run/public/server.jsonl")).expect("removes");
    let output = hetal(&root, &resume.split(' ').collect::<Vec<_>>());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && error.contains("server.jsonl is missing"), "{error}");
    fs::remove_dir_all(root).expect("removes");
}

/// Row 22: other rows are encrypted under the same keys and normalised in the same way.
#[test]
fn other_rows_same_keys() {
    let root = own(b"belonging-rows");
    let more = root.join("more");
    write_data(&more);
    let x: Vec<f32> = (0..141 * FEATURES).map(|i| ((i * i * 11 + i) % 997) as f32 / 500.0 - 1.0).collect();
    features(&more.join("features_train.npy"), &x);
    labels(&more.join("labels_train.npy"), &(0..141).map(|i| (i % CLASSES) as u8).collect::<Vec<_>>());
    let error = refused(&root, "encrypt --keys keys --data more --out next --normalise");
    assert!(error.contains("--normaliser keys/normaliser.json"), "{error}");
    runs(&root, "encrypt --keys keys --data more --out next --normaliser keys/normaliser.json");
    let ended = json_of(&root, "train --keys keys --encrypted next --data more --run next-run --epochs 1");
    assert_eq!(ended["steps"], 4);
    // These are 141 rows in batches of 40, with keys made for 100 rows.
    assert_eq!(json_of(&root, "inspect data next --keys keys")["batches"], Value::from(vec![4, 1, 2]));
    runs(&root, "evaluate --keys keys --run next-run --data more");
    // These are fewer rows than a batch.
    let few = root.join("few");
    write_data(&few);
    features(&few.join("features_train.npy"), &x[..7 * FEATURES]);
    labels(&few.join("labels_train.npy"), &[0, 1, 2, 0, 1, 2, 0]);
    runs(&root, "encrypt --keys keys --data few --out few-enc --normaliser keys/normaliser.json");
    let ended = json_of(&root, "train --keys keys --encrypted few-enc --data few --run few-run --epochs 2");
    assert_eq!(ended["steps"], 2);
    fs::remove_dir_all(root).expect("removes");
}

/// Row 27: results without the normaliser of the data would be wrong, so that a missing or
/// different one is refused.
#[test]
fn missing_normaliser() {
    let root = own(b"belonging-normaliser");
    let commands = [
        "evaluate --keys keys --run run --data data",
        "predict --keys keys --run run --features data/features_test.npy --out y.npy",
        "train --keys keys --encrypted enc --data data --run new",
    ];
    fs::rename(root.join("keys/normaliser.json"), root.join("kept.json")).expect("moves");
    for command in commands {
        let error = refused(&root, command);
        assert!(error.contains("normaliser.json (missing)"), "{command}: {error}");
    }
    // The other normaliser is one of the same data under other keys: its salt differs.
    fs::copy(root.join("keys2/normaliser.json"), root.join("keys/normaliser.json")).expect("copies");
    for command in commands {
        let error = refused(&root, command);
        assert!(error.contains("normaliser.json (another one)"), "{command}: {error}");
    }
    fs::copy(root.join("kept.json"), root.join("keys/normaliser.json")).expect("copies");
    runs(&root, commands[0]);
    assert!(!root.join("y.npy").exists() && !root.join("new").exists());
    fs::remove_dir_all(root).expect("removes");
}

/// Row 30: links in folders are not followed, and counters are checked.
#[test]
fn hostile_folders() {
    let root = own(b"belonging-hostile");
    fs::write(root.join("diary"), "mine\n").expect("writes");
    let linked = |folder: &str, file: &str| {
        let path = root.join(folder).join(file);
        let _ = fs::remove_file(&path);
        symlink(root.join("diary"), path).expect("links");
    };
    copy(&root.join("run"), &root.join("logs"));
    linked("logs", "client.jsonl");
    refused(&root, "report logs");
    refused(&root, "evaluate --keys keys --run logs --data data");
    copy(&root.join("run"), &root.join("page"));
    linked("page", "report.html");
    assert!(refused(&root, "report page").contains("no link"));
    copy(&root.join("run"), &root.join("model"));
    linked("model", "public/checkpoint.ct");
    let error = refused(&root, "train --keys keys --encrypted enc --data data --run model --resume");
    assert!(error.contains("no link"), "{error}");
    copy(&root.join("run"), &root.join("whole"));
    fs::remove_dir_all(root.join("whole/public")).expect("removes");
    symlink(root.join("run/public"), root.join("whole/public")).expect("links");
    assert!(refused(&root, "evaluate --keys keys --run whole --data data").contains("no link"));
    linked("enc2", "manifest.json");
    assert!(refused(&root, "inspect data enc2 --keys keys2").contains("no link"));
    linked("keys2", "secret.key");
    assert!(refused(&root, "evaluate --keys keys2 --run run --data data").contains("no link"));
    assert_eq!(fs::read_to_string(root.join("diary")).expect("reads"), "mine\n");
    // A pipe in the place of a file does not block the program.
    fs::remove_file(root.join("enc/manifest.json")).expect("removes");
    let made = Command::new("mkfifo").arg(root.join("enc/manifest.json")).status().expect("runs");
    assert!(made.success());
    assert!(refused(&root, "inspect data enc --keys keys").contains("a regular file"));

    // These counters are impossible.
    copy(&prepared().join("enc"), &root.join("counted"));
    let manifest = root.join("counted/manifest.json");
    let text = fs::read_to_string(&manifest).expect("reads");
    let rows = |text: &str, rows: [&str; 3]| {
        let mut value: Value = serde_json::from_str(text).expect("JSON");
        value["rows"] = rows.map(|x| serde_json::from_str::<Value>(x).expect("a number")).to_vec().into();
        value.to_string()
    };
    for (counts, wanted) in [
        (["0", "0", "0"], "rows to train on 0"),
        (["18446744073709551615", "1", "1"], "rows to train on"),
        (["100", "18446744073709551615", "50"], "number of files"),
        (["4294967295", "30", "50"], "number of files"),
        (["100", "70", "50"], "number of files"),
    ] {
        fs::write(&manifest, rows(&text, counts)).expect("writes");
        let error = refused(&root, "inspect data counted --keys keys");
        assert!(error.contains(wanted), "{counts:?}: {error}");
    }
    let checkpoint = root.join("run/public/checkpoint.ct");
    let bytes = fs::read(&checkpoint).expect("reads");
    let length = u32::from_le_bytes(bytes[..4].try_into().expect("four")) as usize;
    let header: Value = serde_json::from_slice(&bytes[4..4 + length]).expect("JSON");
    for (field, value, wanted) in [
        ("step", Value::from(u64::MAX), "steps, epochs"),
        ("epochs", Value::from(u64::MAX), "steps, epochs"),
        ("epochs", Value::from(1), "steps, epochs"),
        ("step", Value::from(5), "steps, epochs"),
        ("seconds", Value::from(-1.0), "seconds"),
        ("kept", Value::from(vec![0, 2]), "kept epochs"),
        ("kept", Value::from(vec![2, 1]), "kept epochs"),
        ("kept", Value::from(vec![1, 7]), "kept epochs"),
    ] {
        let mut header = header.clone();
        header[field] = value;
        let header = header.to_string();
        let changed = [&(header.len() as u32).to_le_bytes(), header.as_bytes(), &bytes[4 + length..]].concat();
        fs::write(&checkpoint, changed).expect("writes");
        let error = refused(&root, &format!("{TRAIN} run --resume").replace("enc ", "counted "));
        assert!(error.contains(wanted) || error.contains("number of files"), "{field}: {error}");
    }
    fs::remove_dir_all(root).expect("removes");
}

/// A folder that a killed process left is made anew; a folder that is complete or has other files
/// is not touched.
#[test]
fn unfinished_folders() {
    let root = own(b"belonging-unfinished");
    for (name, command) in [
        ("new-keys", "keygen --data data --keys new-keys --preset test-10 --batch 40"),
        ("new-enc", "encrypt --keys keys --data data --out new-enc --normalise"),
    ] {
        let path = root.join(name);
        fs::create_dir_all(&path).expect("a folder");
        fs::write(path.join("unfinished"), "").expect("writes");
        fs::write(path.join(".train-00000.ct.77.0"), "half").expect("writes");
        let error = refused(&root, "inspect keys new-keys");
        assert!(error.contains("make it again") || error.contains("reading"), "{error}");
        runs(&root, command);
        assert!(!path.join("unfinished").exists() && !path.join(".train-00000.ct.77.0").exists());
        // A folder that is complete, or holds other things, stays as it is.
        assert!(refused(&root, command).contains("empty"));
        fs::write(path.join("unfinished"), "").expect("writes");
        fs::write(path.join("letter"), "dear").expect("writes");
        assert!(refused(&root, command).contains("empty"));
        assert!(path.join("letter").exists());
    }
    fs::remove_dir_all(root).expect("removes");
}

/// Row 16: a result is printed even if it cannot be written to the log.
#[test]
fn measured_elsewhere() {
    let root = own(b"belonging-measured");
    // The log cannot be written, since a folder has its name.
    fs::remove_file(root.join("run/client.jsonl")).expect("removes");
    fs::create_dir(root.join("run/client.jsonl")).expect("a folder");
    let output = hetal(&root, &["evaluate", "--keys", "keys", "--run", "run", "--data", "data", "--epoch", "2"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && error.contains("the result is not in the log"), "{error}");
    fs::remove_dir_all(root).expect("removes");
}

/// Rows 15 and 16: labels that are names are kept from the arrays to the page and the predictions.
/// A test set alone, in which a class does not occur, can be evaluated.
#[test]
fn named_classes() {
    let root = folder(b"belonging-named");
    write_data(&root.join("data"));
    let names = ["cat", "dog", "eel"];
    let mut of_test = Vec::new();
    for part in ["train", "val", "test"] {
        let path = root.join(format!("data/labels_{part}.npy"));
        let bytes = fs::read(&path).expect("reads");
        of_test = bytes[bytes.len()
            - if part == "train" {
                100
            } else if part == "val" {
                30
            } else {
                50
            }..]
            .to_vec();
        let points: Vec<u8> = of_test
            .iter()
            .flat_map(|&class| names[usize::from(class)].chars())
            .flat_map(|c| u32::from(c).to_le_bytes())
            .collect();
        npy(&path, "<U3", &format!("({},)", of_test.len()), &points);
    }
    prints(&root, &[&["keygen", "--data", "data", "--keys", "keys"][..], &SETTINGS].concat());
    runs(&root, "encrypt --keys keys --data data --out enc --normalise");
    runs(&root, &format!("{TRAIN} run"));
    let predicted = runs(&root, "predict --keys keys --run run --features data/features_test.npy --out y.npy");
    assert!(names.iter().all(|name| predicted.contains(&format!("{name}: "))), "{predicted}");
    let y = fs::read(root.join("y.npy")).expect("reads");
    assert!(String::from_utf8_lossy(&y).contains("'<U3'"));
    let name = |i: usize| {
        let points = y[y.len() - 12 * (50 - i)..][..12].chunks(4);
        points.map(|c| char::from_u32(u32::from_le_bytes(c.try_into().expect("four bytes"))).expect("a character"))
    };
    // These rows are dogs alone, without any other set; their labels are numbers.
    fs::create_dir(root.join("dogs")).expect("a folder");
    let x = fs::read(root.join("data/features_test.npy")).expect("reads");
    let rows: Vec<usize> = (0..50).filter(|&i| of_test[i] == 1).collect();
    let of_row = |i: usize| x[x.len() - 4 * FEATURES * (50 - i)..][..4 * FEATURES].chunks(4);
    let dogs = rows.iter().flat_map(|&i| of_row(i)).map(|x| f32::from_le_bytes(x.try_into().expect("four bytes")));
    features(&root.join("dogs/features_test.npy"), &dogs.collect::<Vec<_>>());
    labels(&root.join("dogs/labels_test.npy"), &vec![1; rows.len()]);
    let measured = runs(&root, "evaluate --keys keys --run run --data dogs");
    let hits = rows.iter().filter(|&&i| name(i).eq("dog".chars())).count();
    let accuracy = format!("accuracy {:.2} %", 100.0 * hits as f64 / rows.len() as f64);
    assert!(measured.contains(&format!("{} rows of test", rows.len())) && measured.contains(&accuracy), "{measured}");
    runs(&root, "evaluate --keys keys --run run --data data");
    runs(&root, "report run");
    let page = fs::read_to_string(root.join("run/report.html")).expect("reads");
    assert!(names.iter().all(|name| page.contains(&format!(r#"<th scope="row">{name}</th>"#))));
    fs::remove_dir_all(root).expect("removes");
}

/// Row 32: predictions can be read by their owner alone, and every command says that test
/// parameters protect nothing.
#[test]
fn protected() {
    let root = own(b"belonging-protected");
    let predict = "predict --keys keys --run run --features data/features_test.npy --out";
    runs(&root, &format!("{predict} y.npy"));
    runs(&root, &format!("{predict} p.npy --probabilities"));
    for name in ["y.npy", "p.npy"] {
        assert_eq!(fs::metadata(root.join(name)).expect("a file").permissions().mode() & 0o777, 0o600, "{name}");
    }
    for command in [
        "keygen --data data --keys k --preset test-10 --batch 40",
        "encrypt --keys keys --data data --out e --normalise",
        "train --keys keys --encrypted enc --data data --run r --epochs 1",
        "train --keys keys --dry-run",
        "evaluate --keys keys --run run --data data",
        &format!("{predict} z.npy"),
        "report run",
        "inspect keys keys",
        "inspect data enc --keys keys",
        "inspect plan --data data --preset test-10",
        "inspect params --preset test-10",
        "bench bootstrap --preset test-13 --repeat 1",
    ] {
        let output = hetal(&root, &command.split(' ').collect::<Vec<_>>());
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(output.status.success() && text.contains("INSECURE"), "{command}: {text}");
    }
    fs::remove_dir_all(root).expect("removes");
}
