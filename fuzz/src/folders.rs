use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use hetal::base::key_generation::KeyGeneration;
use hetal::train::data::dataset::Part;
use hetal::train::log::{self, ClientEvent, Event, ServerEvent, Writer};
use hetal::train::protocol::Origin;
use hetal::train::store::{DataFolder, Job, KeyFolder, RunFolder};
use hetal::train::{Client, Config, DataShape, TrainPlan, report as page};
use hetal::wire;
use hetal::{Error, SecretKey};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::arrays::printable;

/// A folder that is removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let name = format!("hetal-fuzz-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a new folder");
        Self(path)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        fs::write(&path, bytes).expect("writable");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A small training, and its first state as a file holds it.
struct Training {
    plan: TrainPlan,
    keys: KeyGeneration,
    state: Vec<u8>,
}

fn training() -> &'static Training {
    static MADE: OnceLock<Training> = OnceLock::new();
    MADE.get_or_init(|| {
        let config = Config { preset: "test-10".to_owned(), batch: 4, logit_range: 8.0, ..Config::default() };
        let plan = TrainPlan::new(&config, DataShape { rows: 8, features: 2, classes: 2 }).expect("a plan");
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let secret = SecretKey::generate(plan.params(), &mut rng).expect("a secret");
        let keys = secret.key_generation();
        let client = Client::new(plan.clone(), secret).expect("of the same parameters");
        let mut state = Vec::new();
        for object in client.encrypt_state(&[0.0; 6], &[0.0; 6], &mut rng).expect("zeros") {
            let object = object.expand(plan.params()).expect("of these parameters");
            wire::write(&mut state, &object, plan.params()).expect("into memory");
        }
        Training { plan, keys, state }
    })
}

impl Training {
    /// Returns the origin that checkpoints and models have.
    fn origin(&self) -> Origin {
        Origin { job: self.plan.hash(), keys: self.keys, data: "data".to_owned(), normaliser: None }
    }
}

/// Returns a folder of keys without keys. Opening one makes a plan, which takes longer than
/// everything else in a target, so it is opened once.
fn key_folder() -> &'static KeyFolder {
    static MADE: OnceLock<KeyFolder> = OnceLock::new();
    MADE.get_or_init(|| {
        let (folder, training) = (Folder::new(), training());
        let (config, hash) = (training.plan.config().clone(), training.plan.hash());
        let job = Job { config, shape: training.plan.shape(), hash, keys: training.keys };
        folder.put("keys/public/job.json", &serde_json::to_vec(&job).expect("numbers and strings"));
        KeyFolder::open(&folder.0.join("keys")).expect("as it was planned")
    })
}

/// Replaces the names of values that no fuzzer guesses: `{job}` stands for the hash of the plan in
/// JSON, `{keys}` for the id of the keys, `{origin}` for the origin of checkpoints, `{config}` for
/// the settings, and `{state}` for the encoded state.
fn filled(data: &[u8]) -> Vec<u8> {
    let training = training();
    let job = serde_json::to_vec(&training.plan.hash()).expect("numbers");
    let keys = serde_json::to_vec(&training.keys).expect("a string");
    let origin = serde_json::to_vec(&training.origin()).expect("numbers and strings");
    let config = serde_json::to_vec(training.plan.config()).expect("numbers and strings");
    let names: [(&str, &[u8]); 5] = [
        ("{job}", &job),
        ("{keys}", &keys),
        ("{origin}", &origin),
        ("{config}", &config),
        ("{state}", &training.state),
    ];
    let mut bytes = Vec::with_capacity(data.len());
    let mut rest = data;
    while let Some((&first, after)) = rest.split_first() {
        if let Some((name, value)) = names.iter().find(|(name, _)| rest.starts_with(name.as_bytes())) {
            bytes.extend_from_slice(value);
            rest = &rest[name.len()..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    bytes
}

fn refused<T>(found: Result<T, Error>) -> Option<T> {
    found.inspect_err(printable).ok()
}

/// The `job.json` of a folder of keys.
///
/// # Panics
/// If a file is accepted whose hash is not that of its plan.
pub fn job(data: &[u8]) {
    let folder = Folder::new();
    folder.put("public/job.json", &filled(data));
    if let Some(keys) = refused(KeyFolder::open(&folder.0)) {
        assert_eq!(keys.plan().hash(), training().plan.hash());
    }
}

/// The `manifest.json` of a folder of encrypted data.
///
/// # Panics
/// If a manifest is accepted that has other files than there are.
pub fn manifest(data: &[u8]) {
    let folder = Folder::new();
    folder.put("data/manifest.json", &filled(data));
    for name in ["start.ct", "train-00000.ct", "train-00001.ct", "val-00000.ct", "test-00000.ct"] {
        folder.put(&format!("data/{name}"), &[]);
    }
    let Some(data) = refused(DataFolder::open(&folder.0.join("data"), key_folder())) else { return };
    assert!(data.batches(Part::Train) <= 2 && data.batches(Part::Val) <= 1 && data.batches(Part::Test) <= 1);
    let _ = refused(data.start());
    for part in [Part::Train, Part::Val, Part::Test] {
        for i in 0..data.batches(part) {
            assert!((1..=4).contains(&data.batch_rows(part, i)));
            let _ = refused(data.features(part, i));
        }
    }
}

/// Returns the file of a header and the bytes after it: see [`checkpoint`].
fn framed(data: &[u8]) -> Vec<u8> {
    let (mode, data) = data.split_first().unwrap_or((&0, &[]));
    let end = data.iter().position(|&byte| byte == 255).unwrap_or(data.len());
    let (header, rest) = (filled(&data[..end]), filled(data.get(end + 1..).unwrap_or_default()));
    let length = if mode % 2 == 1 { &(header.len() as u32).to_le_bytes()[..] } else { &[] };
    [length, &header, &rest].concat()
}

/// A checkpoint. Its header is everything up to the first byte 255, and the other bytes follow. If
/// the first byte of the input is odd, the length of the header is put before it.
///
/// # Panics
/// If a checkpoint is accepted whose length is not the one in its header.
pub fn checkpoint(data: &[u8]) {
    let folder = Folder::new();
    folder.put("public/checkpoint.ct", &framed(data));
    let run = RunFolder::open(&folder.0).expect("is there");
    let (plan, origin) = (&training().plan, training().origin());
    let Some(Some(found)) = refused(run.load(plan, &origin)) else { return };
    assert!(found.kept.iter().all(|kept| kept.state.len() == found.state.len()));
    // A checkpoint that is written again is the same.
    run.save(plan, &origin, &found).expect("writable");
    let again = run.load(plan, &origin).expect("as it was written").expect("is there");
    assert_eq!((again.step, again.epochs, again.go_on), (found.step, found.epochs, found.go_on));
}

/// The model of an epoch, made like a [`checkpoint`].
///
/// # Panics
/// Never, whatever the bytes are.
pub fn model(data: &[u8]) {
    let folder = Folder::new();
    folder.put("public/model-001.ct", &framed(data));
    let run = RunFolder::open(&folder.0).expect("is there");
    let _ = refused(run.read_model(&training().plan, training().keys, 1));
}

fn reread<E: Event + Clone + PartialEq + std::fmt::Debug>(path: &PathBuf, event: &E) {
    let Some(log) = refused(log::read::<E>(path)) else { return };
    Writer::open(path).and_then(|mut log| log.write(event)).expect("writable");
    let again = log::read::<E>(path).expect("as it was");
    assert_eq!(again.events, [&log.events[..], std::slice::from_ref(event)].concat());
    assert_eq!(again.warning(path), None);
}

/// The logs of both sides: a writer continues behind the events that were read.
///
/// # Panics
/// If it does not.
pub fn logs(data: &[u8]) {
    let folder = Folder::new();
    let server = ServerEvent::Epoch { epoch: 1, seconds: 1.0, validation_seconds: 0.5, go_on: true };
    reread(&folder.put("server.jsonl", data), &server);
    let client = ClientEvent::Weights { step: 1, difference: 1e-6, max_weight: 0.5, max_logit: 2.0, loss: 0.25 };
    reread(&folder.put("client.jsonl", data), &client);
}

/// The page made from those lines that are events.
///
/// # Panics
/// If it is not well-formed.
pub fn report(data: &[u8]) {
    fn events<E: Event>(data: &[u8]) -> Vec<E> {
        data.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }
    let page = page(&events(data), &events(data));
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    roxmltree::Document::parse_with_options(&page, options).expect("well-formed");
}
