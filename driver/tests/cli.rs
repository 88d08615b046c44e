//! Tests of the commands of a client, through the program: texts of help and of errors, and a run
//! from keys to the report.

mod common;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use common::program::{
    CLASSES, FEATURES, SETTINGS, copy, features, folder, hetal, json, labels, npy, prints, write_data,
};
use hetal::train::data::dataset::Part;
use hetal::train::log::{ClientEvent, Quality, ServerEvent, Writer};
use hetal::train::step::Weights;
use hetal::train::store::{DataFolder, Kept, KeyFolder, RunFolder};
use hetal::train::{Client, Server};
use serde_json::Value;

/// Compares with the stored file, or writes it with `HETAL_BLESS=1`.
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cli").join(name);
    if std::env::var_os("HETAL_BLESS").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, text).expect("writes");
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert!(wanted == text, "{name} is not as stored, HETAL_BLESS=1 stores it:\n{text}\nstored:\n{wanted}");
}

/// Returns a folder whose name is not UTF-8, with data, keys, encrypted data and a run of one
/// epoch.
fn prepared() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let root = folder(b"cli-\xff");
        write_data(&root.join("data"));
        let keygen = prints(&root, &[&["keygen", "--data", "data", "--keys", "keys"], &SETTINGS[..]].concat());
        assert!(keygen.contains("test-10: N = 2^10") && keygen.contains("INSECURE"), "{keygen}");
        let encrypt = json(
            &root,
            &["encrypt", "--keys", "keys", "--data", "data", "--out", "enc", "--normalise", "--no-shuffle"],
        );
        assert_eq!(encrypt["rows"], Value::from(vec![100, 30, 50]));
        train(&root);
        root
    })
}

/// Trains one epoch and writes its run folder.
fn train(root: &Path) {
    let folder = KeyFolder::open(&root.join("keys")).expect("keys");
    let plan = folder.plan().clone();
    let (keys, encapsulation) = folder.public(&mut |_, _| ()).expect("keys");
    let server = Server::new(plan.clone(), Arc::new(keys), Arc::new(encapsulation)).expect("these parameters");
    let client = Client::new(plan.clone(), folder.secret().expect("a key")).expect("these parameters");
    let data = DataFolder::open(&root.join("enc"), &folder).expect("data");
    let run = RunFolder::create(&root.join("run")).expect("a folder");
    let mut log = Writer::<ServerEvent>::open(run.server_log().expect("a path")).expect("a log");
    let mut state = data.start().expect("a state");
    for step in 1..=plan.steps_per_epoch() {
        let batch = data.batch(step - 1).expect("a batch");
        let (next, phases) = server.step(&state, &batch, step).expect("runs");
        state = next;
        let bootstraps = plan.bootstraps();
        let (level, log_scale) = (plan.bootstrap().output_level(), 40.0);
        let (rows, seconds, memory_bytes) = (batch.rows, phases.iter().map(|phase| phase.seconds).sum(), 1 << 20);
        let event =
            ServerEvent::Step { epoch: 1, step, rows, seconds, phases, bootstraps, level, log_scale, memory_bytes };
        log.write(&event).expect("writes");
    }
    let state = server.kept(&state).expect("levels");
    let outputs = data.features(Part::Val, 0).expect("a batch");
    let outputs = server.outputs(&state, &outputs, Weights::V).expect("runs");
    let max_logit = client.logits(&outputs, 30).expect("decrypts").iter().flatten().fold(0.0f64, |a, b| a.max(b.abs()));
    run.write_models(&plan, &data.origin(), &[Kept { epoch: 1, state }]).expect("writes");
    let encrypted = Quality { loss: 0.5, accuracy: 0.9, max_logit };
    let event = ClientEvent::Validation {
        epoch: 1,
        step: 3,
        encrypted,
        max_logit_w: None,
        max_logit_rows: None,
        twin: None,
        exact: None,
        go_on: true,
    };
    Writer::open(run.client_log().expect("a path")).expect("a log").write(&event).expect("writes");
}

/// Returns the names of the subcommands in a help text.
fn subcommands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.map(|line| line.split_whitespace().next().expect("a name").to_owned()).filter(|name| name != "help").collect()
}

/// The help texts of all commands are the stored ones.
#[test]
fn help() {
    let root = Path::new(".");
    let mut commands = vec![Vec::<String>::new()];
    let mut texts = 0;
    while let Some(command) = commands.pop() {
        let arguments: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let text = prints(root, &arguments);
        golden(&format!("{}.txt", [&["hetal".to_owned()], &command[..]].concat().join("-")), &text);
        commands.extend(subcommands(&text).into_iter().map(|name| [&command[..], &[name]].concat()));
        texts += 1;
    }
    assert!(texts >= 14, "{texts}");
}

/// The errors of wrong inputs are the stored ones: they say where and what is wrong, and what would
/// be right.
#[test]
fn errors() {
    let root = folder(b"cli-errors");
    let shared = prepared();
    let data = |name: &str| {
        let path = root.join(name);
        write_data(&path);
        path
    };
    data("data");
    copy(&shared.join("keys"), &root.join("keys"));
    copy(&shared.join("enc"), &root.join("enc"));
    copy(&shared.join("run"), &root.join("run"));
    let mut x = vec![0.5; 50 * FEATURES];
    x[3 * FEATURES + 7] = f32::NAN;
    features(&data("nan").join("features_test.npy"), &x);
    labels(&data("label").join("labels_test.npy"), &[[0; 49].as_slice(), &[3]].concat());
    labels(&data("rows").join("labels_test.npy"), &[0; 49]);
    npy(&data("dtype").join("features_test.npy"), "<c16", "(1, 1)", &[0; 16]);
    npy(&data("floats").join("labels_test.npy"), "<f4", "(1,)", &[0; 4]);
    let other: Vec<f32> = (0..100 * FEATURES).map(|i| (i % 17) as f32).collect();
    features(&data("shifted").join("features_train.npy"), &other);
    // These keys are cut off, unfinished, or others.
    copy(&root.join("keys"), &root.join("cut"));
    let file = fs::OpenOptions::new().write(true).open(root.join("cut/public/evaluation.keys")).expect("opens");
    file.set_len(file.metadata().expect("a length").len() - 1000).expect("cuts");
    copy(&root.join("keys"), &root.join("half"));
    fs::remove_file(root.join("half/public/job.json")).expect("removes");
    let sizes = ["--rows", "100", "--features", "12", "--classes", "3"];
    let settings = SETTINGS.map(|text| if text == "8" { "1" } else { text });
    prints(&root, &[&["keygen", "--keys", "other"][..], &sizes, &settings].concat());
    copy(&root.join("enc"), &root.join("changed"));
    let path = root.join("changed/test-00001.ct");
    let mut bytes = fs::read(&path).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).expect("writes");
    features(&root.join("x.npy"), &x[..3 * FEATURES]);
    npy(&root.join("narrow.npy"), "<f4", "(1, 2)", &[0; 8]);
    for (name, text) in [
        ("key.toml", "preset = \"n16\"\n# more\nepoch = 3\n"),
        ("type.toml", "epochs = 3\nlearning_rate = \"fast\"\n"),
        ("mode.toml", "mode = \"slow\"\n"),
        ("syntax.toml", "epochs = 3\nbatch 10\n"),
    ] {
        fs::write(root.join(name), text).expect("writes");
    }
    let evaluate = "evaluate --run run --data data --encrypted";
    let mut text = String::new();
    for command in [
        "keygen --data missing --keys new",
        "keygen --data nan --keys new",
        "keygen --data label --keys new",
        "keygen --data rows --keys new",
        "keygen --data dtype --keys new",
        "keygen --data floats --keys new",
        "keygen --data data --keys data --preset test-10",
        "keygen --data data --keys x.npy/new --preset test-10",
        "keygen --data data --keys new --preset n17",
        "keygen --data data --keys new --config missing.toml",
        "keygen --data data --keys new --config key.toml",
        "keygen --data data --keys new --config type.toml",
        "keygen --data data --keys new --config mode.toml",
        "keygen --data data --keys new --config syntax.toml",
        "keygen --data data --keys new --epochs 0",
        "keygen --data data --keys new --learning-rate 1e9",
        "keygen --rows 10 --features 3 --classes 1 --keys new",
        // These are more than there is room for, or than can be computed; the error says what would
        // work.
        "inspect plan --rows 10 --features 3 --classes 128",
        "inspect plan --rows 10 --features 3 --classes 1000 --softmax-error 0.01",
        "inspect plan --rows 10 --features 3 --classes 64 --preset test-11",
        "inspect plan --rows 10 --features 3 --classes 17 --mode paper",
        "inspect plan --rows 10 --features 3 --classes 10 --mode paper --preset test-16",
        "inspect plan --rows 10 --features 3 --classes 128 --logit-range 1024 --softmax-error 0.1",
        "inspect plan --rows 100000 --features 1048576 --classes 3 --batch 100000 --preset test-10",
        "inspect plan --rows 10 --features 1048577 --classes 3",
        "encrypt --keys missing --data data --out new --normalise",
        "encrypt --keys half --data data --out new",
        "encrypt --keys keys --data data --out new",
        "encrypt --keys keys --data data --out enc --normalise",
        "encrypt --keys keys --data data --out x.npy/new --normalise",
        "encrypt --keys keys --data shifted --out new --normalise",
        "inspect keys half",
        "inspect data enc --keys other",
        "inspect data run --keys keys",
        &format!("{evaluate} enc --keys cut"),
        &format!("{evaluate} enc --keys other"),
        &format!("{evaluate} changed --keys keys"),
        "evaluate --keys keys --run missing --data data",
        "evaluate --keys keys --run run --data data --epoch 7",
        "evaluate --keys keys --run enc --data data",
        "predict --keys keys --run run --features narrow.npy --out y.npy",
        "predict --keys keys --run run --features missing.npy --out y.npy",
        "predict --keys keys --run run --features x.npy --out /dev/full",
        "predict --keys keys --run run --features x.npy --out missing/y.npy",
        "report missing",
        "report enc",
        // Wrong command lines.
        "keygen --data data",
        "keygen --keys new --rows 10",
        "keygen --data data --keys new --mode slow",
        "evaluate --keys keys --run run --data data --split all",
    ] {
        let output = hetal(&root, &command.split(' ').collect::<Vec<_>>());
        let error = String::from_utf8(output.stderr).expect("text");
        assert!(output.stdout.is_empty() || command.starts_with("keygen"), "{command}");
        assert!(!root.join("new").exists() && !root.join("y.npy").exists(), "{command}");
        text += &format!("$ hetal {command}\n{}[{}]\n\n", hidden(&error), output.status.code().expect("an end"));
    }
    golden("errors.txt", &text);
    // A model of the same job under another secret key is recognised.
    prints(&root, &[&["keygen", "--data", "data", "--keys", "twin"][..], &SETTINGS[..]].concat());
    let output = hetal(&root, &["evaluate", "--keys", "twin", "--run", "run", "--data", "data"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && error.contains("made with other keys"), "{error}");
    // Commands that failed have added nothing to the log.
    let lines = |folder: &Path| fs::read_to_string(folder.join("run/client.jsonl")).expect("a log").lines().count();
    assert_eq!(lines(&root), 1);
    // This is checked only where permissions bind the user of the test.
    fs::create_dir(root.join("fixed")).expect("a folder");
    fs::set_permissions(root.join("fixed"), fs::Permissions::from_mode(0o555)).expect("changes");
    if fs::write(root.join("fixed/probe"), "").is_err() {
        let output =
            hetal(&root, &["predict", "--keys", "keys", "--run", "run", "--features", "x.npy", "--out", "fixed/y.npy"]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && error.contains("Permission denied"), "{error}");
    }
    // Files cannot grow, as on a full disk.
    for (blocks, command) in [
        (1000, format!("keygen --data data --keys full {}", SETTINGS.join(" "))),
        (16, "encrypt --keys other --data data --out full --normalise".to_owned()),
    ] {
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" {command}");
        let output = Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_hetal")]).current_dir(&root).output();
        let output = output.expect("starts");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        // The error names the file, how far it came and how far it had to; and nothing is left of
        // the file.
        let full = ["hetal: writing ", "full/", "File too large", " bytes were written and ", " are needed\n"];
        assert!(output.status.code() == Some(1) && full.iter().all(|part| error.contains(part)), "{error}");
        assert!(!root.join("full").exists() && !root.join("other/normaliser.json").exists());
    }
    for (target, wanted) in [("> /dev/full", "writing the results: No space left"), ("| true", "")] {
        let script = format!("for i in 1 2 3; do \"$0\" inspect params; done {target}");
        let output = Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_hetal")]).output().expect("starts");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(wanted) && !error.contains("panicked"), "{error}");
    }
    // The training would leave these ranges.
    let output = hetal(&root, &["encrypt", "--keys", "other", "--data", "data", "--out", "new"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(0) && error.contains("logit_range is 1: make keys with --logit-range"),
        "{error}"
    );
    fs::remove_dir_all(root).expect("removes");
}

/// Hides hashes, which differ from run to run.
fn hidden(text: &str) -> String {
    let long = |word: &&str| word.len() >= 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    let word = |word: &str| {
        let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        if long(&bare) { format!("HASH{}", &word[bare.len()..]) } else { word.to_owned() }
    };
    words.map(word).collect()
}

fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or_else(|| panic!("{name} of {value}"))
}

/// Evaluation on plain and on encrypted rows agrees, predictions are consistent, and sizes on the
/// disk are the planned ones.
#[test]
fn from_keys_to_report() {
    let root = prepared();
    // The tests of errors take the run as it was, so this test uses a copy.
    let _ = fs::remove_dir_all(root.join("mine"));
    copy(&root.join("run"), &root.join("mine"));
    let mode = |name: &str| fs::metadata(root.join(name)).expect("a file").permissions().mode() & 0o777;
    assert_eq!([mode("keys/secret.key"), mode("keys/normaliser.json")], [0o600; 2]);
    // The results on plain and on encrypted rows are the same.
    for split in ["train", "val", "test"] {
        let arguments = ["evaluate", "--keys", "keys", "--run", "mine", "--data", "data", "--split", split];
        let plain = json(root, &arguments);
        let encrypted = json(root, &[&arguments[..], &["--encrypted", "enc"]].concat());
        for (name, bound) in [("loss", 1e-3), ("max_logit", 1e-2), ("accuracy", 0.05)] {
            let values = [&plain, &encrypted].map(|value| number(value, name));
            assert!((values[0] - values[1]).abs() < bound, "{split} {name}: {values:?}");
        }
        assert!(number(&plain, "accuracy") > 0.5, "{plain}");
        assert_eq!(plain["epoch"], 1);
    }
    let log = fs::read_to_string(root.join("mine/client.jsonl")).expect("a log");
    assert_eq!(log.lines().filter(|line| line.contains("\"test\"")).count(), 2, "{log}");
    let text = prints(root, &["evaluate", "--keys", "keys", "--run", "mine", "--data", "data", "--epoch", "1"]);
    assert!(text.contains("epoch 1, 50 rows of test") && text.contains("precision"), "{text}");
    // Predicts classes and probabilities, with absolute paths that are not UTF-8.
    let path = |name: &str| root.join(name).into_os_string();
    for (out, probabilities) in [("y.npy", false), ("p.npy", true)] {
        let mut arguments: Vec<OsString> = vec!["predict".into()];
        for (flag, name) in
            [("--keys", "keys"), ("--run", "mine"), ("--features", "data/features_test.npy"), ("--out", out)]
        {
            arguments.extend([flag.into(), path(name)]);
        }
        arguments.extend(probabilities.then(|| "--probabilities".into()));
        let predicted = json(root, &arguments);
        assert_eq!(predicted["rows"], 50);
    }
    // Predicts for the same rows through pipes, and with a file as the standard input.
    for (features, script) in [
        ("/dev/stdin", "cat data/features_test.npy | \"$@\""),
        ("/dev/stdin", "\"$@\" < data/features_test.npy"),
        ("fifo", "rm -f fifo; mkfifo fifo; cat data/features_test.npy > fifo & \"$@\"; rm fifo"),
    ] {
        let predict = ["predict", "--keys", "keys", "--run", "mine", "--out", "piped.npy", "--features", features];
        let shell = ["-c", script, "sh", env!("CARGO_BIN_EXE_hetal")];
        let output = Command::new("sh").current_dir(root).args(shell).args(predict).output().expect("starts");
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(fs::read(root.join("piped.npy")).expect("a file"), fs::read(root.join("y.npy")).expect("a file"));
        fs::remove_file(root.join("piped.npy")).expect("removes");
    }
    let values = |name: &str, size: usize| {
        let bytes = fs::read(root.join(name)).expect("a file");
        bytes[bytes.len() - size..].to_vec()
    };
    let classes: Vec<u32> =
        values("y.npy", 50 * 4).as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
    let probabilities: Vec<f64> =
        values("p.npy", 50 * CLASSES * 8).as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    for (row, &class) in probabilities.chunks(CLASSES).zip(&classes) {
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(row.iter().all(|p| *p <= row[class as usize]), "{row:?} {class}");
    }
    // Inspects keys, data and the plan.
    let (keys, data) =
        (json(root, &["inspect", "keys", "keys"]), json(root, &["inspect", "data", "enc", "--keys", "keys"]));
    assert_eq!((&keys["job"], &keys["normalised"]), (&data["job"], &Value::from(true)));
    assert_eq!(data["batches"], Value::from(vec![3, 1, 2]));
    let plan = json(root, &[&["inspect", "plan", "--data", "data"], &SETTINGS[..]].concat());
    assert_eq!(plan["job"], keys["job"]);
    let disk = |folder: &str, wanted: fn(&str) -> bool| -> f64 {
        let entries = fs::read_dir(root.join(folder)).expect("a folder").map(|entry| entry.expect("an entry"));
        let wanted = entries.filter(|entry| wanted(entry.file_name().to_str().expect("text")));
        wanted.map(|entry| entry.metadata().expect("a size").len() as f64).sum()
    };
    let ratio = disk("enc", |name| name.starts_with("train-")) / number(&plan, "train_file_bytes");
    assert!((1.0..1.05).contains(&ratio), "{ratio}");
    assert_eq!(disk("keys/public", |name| name == "evaluation.keys"), number(&plan, "key_file_bytes"));
    for arguments in [
        &["inspect", "keys", "keys"][..],
        &["inspect", "data", "enc", "--keys", "keys"],
        &[&["inspect", "plan", "--data", "data"], &SETTINGS[..]].concat(),
    ] {
        let text = prints(root, arguments);
        assert!(text.contains(plan["job"].as_str().expect("a hash")), "{text}");
    }
    // Writes the page.
    assert_eq!(prints(root, &["report", "mine"]), "mine/report.html\n");
    prints(root, &["report", "mine", "--out", "page.html"]);
    assert_eq!(
        fs::read(root.join("page.html")).expect("a page"),
        fs::read(root.join("mine/report.html")).expect("a page")
    );
    assert_eq!(mode("page.html"), 0o600);
}

/// Settings are read from a file; those of the command line take precedence.
#[test]
fn settings() {
    let root = folder(b"cli-settings");
    let defaults = prints(&root, &["keygen", "--print-config"]);
    golden("config.toml.txt", &defaults);
    fs::write(root.join("all.toml"), &defaults).expect("writes");
    assert_eq!(prints(&root, &["inspect", "plan", "--config", "all.toml", "--print-config"]), defaults);
    // JSON readers often get these numbers wrong in the last bit.
    let sizes = ["--rows", "100", "--features", "12", "--classes", "3", "--keys", "keys"];
    let ranges = ["--logit-range", "8.1999999999999993", "--softmax-error", "0.00123456789012345678"];
    prints(&root, &[&["keygen"], &sizes[..], &SETTINGS[..6], &ranges].concat());
    prints(&root, &["inspect", "keys", "keys"]);
    fs::write(root.join("some.toml"), "epochs = 7\nbatch = 64\n").expect("writes");
    let text = prints(&root, &["keygen", "--config", "some.toml", "--batch", "32", "--print-config"]);
    assert_eq!(text, defaults.replace("epochs = 20", "epochs = 7").replace("batch = 1024", "batch = 32"));
    fs::remove_dir_all(root).expect("removes");
}

/// The training itself: planned, on plain numbers, and whole. Ended by a signal, it is continued to
/// the same bits.
#[test]
fn training() {
    let root = prepared();
    let plan = prints(root, &["train", "--keys", "keys", "--dry-run"]);
    assert!(plan.contains("bootstraps of a step") && plan.contains("predicted: a step"), "{plan}");
    let plain = prints(root, &["train", "--keys", "keys", "--data", "data", "--plain", "--json"]);
    let plain: Vec<Value> = plain.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    assert_eq!((&plain[0]["softmax"], &plain[1]["softmax"]), (&"exact".into(), &"approximate".into()));
    let arguments = |run: &'static str, more: &[&'static str]| {
        let base = ["train", "--keys", "keys", "--encrypted", "enc", "--data", "data", "--run", run, "--json"];
        [&base[..], &["--epochs", "12", "--patience", "12", "--learning-rate", "0.3"], more].concat()
    };
    let ended = |text: &str| serde_json::from_str::<Value>(text).expect("an object");
    let whole = ended(&prints(root, &arguments("whole", &["--compare"])));
    assert_eq!((&whole["steps"], &whole["epochs"]), (&36.into(), &12.into()));
    let log = fs::read_to_string(root.join("whole/client.jsonl")).expect("a log");
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let differences = events.iter().filter_map(|event| event["difference"].as_f64());
    assert_eq!(differences.clone().count(), 36);
    assert!(differences.fold(0.0, f64::max) < 5e-3);

    let mut child = Command::new(env!("CARGO_BIN_EXE_hetal"));
    child.current_dir(root).args(arguments("ended", &[])).stderr(std::process::Stdio::piped());
    let child = child.spawn().expect("starts");
    let server = root.join("ended/public/server.jsonl");
    while !fs::read_to_string(&server).unwrap_or_default().contains("\"event\":\"step\"") {
        std::thread::yield_now();
    }
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("runs");
    assert!(killed.success());
    let output = child.wait_with_output().expect("ends");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && error.contains("continue with --resume"), "{error}");
    // Other settings are refused; then it goes on.
    let other = hetal(root, &arguments("ended", &["--resume", "--method", "sgd"]));
    assert!(other.status.code() == Some(1) && String::from_utf8_lossy(&other.stderr).contains("method"));
    let resumed = ended(&prints(root, &arguments("ended", &["--resume"])));
    assert_eq!((&resumed["steps"], &resumed["best_epoch"]), (&36.into(), &whole["best_epoch"]));
    let model = |run: &str| fs::read(root.join(run).join("public/model-012.ct")).expect("a model");
    assert!(model("whole") == model("ended"), "not bit for bit the same");
    // A new run does not overwrite an old one.
    let again = hetal(root, &arguments("whole", &[]));
    assert!(again.status.code() == Some(1) && String::from_utf8_lossy(&again.stderr).contains("empty"));
}
