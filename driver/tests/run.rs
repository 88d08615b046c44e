//! Whole trainings at insecure parameters: folders, early stopping, interruption, resumption.

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{rng, unit};
use hetal::circuits::softmax::{NormaliseSquare, NormaliseSquareConfig};
use hetal::io::dataset::{Dataset, Split};
use hetal::train::log::{self, ClientEvent, ServerEvent, Writer};
use hetal::train::run::Outcome;
use hetal::train::store::{DataFolder, KeyFolder, Part, RunFolder};
use hetal::train::{Client, Config, DataShape, Run, Server, TrainPlan, Validator, twin};
use hetal::{Error, Result};

/// A folder of its own that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Rows of two overlapping classes and a third one apart; labels of validation rows are noisy, so that its loss rises in the end.
fn dataset() -> Dataset {
    let mut rng = rng(21);
    let split = |rows: usize, noise: f64, rng: &mut _| {
        let (mut features, mut labels) = (Vec::new(), Vec::new());
        for i in 0..rows {
            let class = i % 3;
            let centre = |j: usize| if j % 3 == class { 0.5 } else { 0.0 };
            features.extend((0..6).map(|j| (centre(j) + 0.8 * unit(rng)) as f32));
            let wrong = unit(rng).abs() < noise;
            labels.push(if wrong { (class as u32 + 1) % 3 } else { class as u32 });
        }
        Split { features, columns: 6, labels }
    };
    let train = split(50, 0.0, &mut rng);
    let (val, test) = (split(33, 0.3, &mut rng), split(20, 0.0, &mut rng));
    Dataset { train, val: Some(val), test: Some(test), classes: 3 }
}

fn config() -> Config {
    Config {
        preset: "test-10".to_owned(),
        batch: 32,
        learning_rate: 0.4,
        epochs: 12,
        patience: 2,
        logit_range: 16.0,
        weight_range: 8.0,
        checkpoint_steps: 3,
        ..Config::default()
    }
}

struct Job {
    folder: Folder,
    dataset: Dataset,
    keys: KeyFolder,
    client: Client,
    data: DataFolder,
    server: Server,
}

fn job(name: &str) -> Job {
    let (folder, dataset, mut rng) = (Folder::new(name), dataset(), rng(22));
    let shape = DataShape { rows: 50, features: 6, classes: 3 };
    let plan = TrainPlan::new(&config(), shape).expect("a plan");
    let mut told = Vec::new();
    KeyFolder::create(&folder.at("keys"), plan, &mut rng, &mut |done, all| told.push((done, all))).expect("writes");
    assert!(told.iter().enumerate().all(|(i, &(done, all))| done == i + 1 && all == told.len()));
    let keys = KeyFolder::open(&folder.at("keys")).expect("reads");
    let client = Client::new(keys.plan().clone(), keys.secret().expect("reads")).expect("its parameters");
    DataFolder::create(&folder.at("data"), &client, &dataset, &mut rng, &mut |_, _| {}).expect("writes");
    let data = DataFolder::open(&folder.at("data"), keys.plan()).expect("reads");
    let (public, encapsulation) = keys.public(&mut |_, _| {}).expect("reads");
    let server = Server::new(keys.plan().clone(), Arc::new(public), Arc::new(encapsulation)).expect("its parameters");
    Job { folder, dataset, keys, client, data, server }
}

impl Job {
    fn validator(&self, run: &RunFolder) -> Validator<'_> {
        let earlier = if run.client_log().exists() { log::read(run.client_log()).expect("reads") } else { Vec::new() };
        let labels = &self.dataset.val.as_ref().expect("there").labels;
        Validator::new(
            &self.client,
            labels,
            Default::default(),
            Writer::open(run.client_log()).expect("opens"),
            &earlier,
        )
    }

    /// Trains, interrupted after a number of steps.
    fn train(&self, run: &RunFolder, resume: bool, steps: usize) -> Result<Outcome> {
        let interrupt = AtomicBool::new(false);
        let mut owner = self.validator(run);
        let resume = resume.then(|| run.load(self.keys.plan(), &self.data.hash())).transpose()?;
        let mut done = 0;
        let settings = Run { folder: run, interrupt: &interrupt, predicted: (1.0, 1) };
        settings.train(&self.server, &self.data, &mut owner, resume, |_| {
            done += 1;
            interrupt.store(done == steps, Ordering::Relaxed);
            Ok(())
        })
    }
}

#[test]
fn trained_stopped_and_resumed() {
    let job = job("run-whole");
    let (plan, config) = (job.keys.plan(), config());
    // In one go.
    let whole = RunFolder::create(&job.folder.at("whole")).expect("a folder");
    let outcome = job.train(&whole, false, usize::MAX).expect("trains");
    assert_eq!(outcome, Outcome::Stopped);
    let softmax = NormaliseSquare::new(NormaliseSquareConfig::new(3, config.logit_range)).expect("reachable");
    let twin = twin::train(&job.dataset, &config, softmax, |_| {}).expect("trains");
    let events: Vec<ClientEvent> = log::read(whole.client_log()).expect("reads");
    assert_eq!(events.len(), twin.epochs.len());
    assert!(events.len() > 3 && events.len() < config.epochs, "{} epochs are no test of stopping", events.len());
    for (event, epoch) in events.iter().zip(&twin.epochs) {
        let ClientEvent::Validation { epoch: number, step, encrypted, go_on, .. } = event else { panic!("{event:?}") };
        let wanted = epoch.validation.expect("there is a set");
        assert!((encrypted.loss - wanted.loss).abs() < 1e-3, "epoch {number}: {encrypted:?} {wanted:?}");
        assert_eq!((*number, *step), (epoch.epoch, 2 * epoch.epoch));
        assert_eq!(*go_on, *number < twin.epochs.len());
    }
    // The kept results have the best epoch, and its weights.
    let best = job.validator(&whole).best_epoch();
    assert_eq!(best, twin.best_epoch);
    assert_eq!(best, events.len() - config.patience);
    let model = whole.read_model(plan, best).expect("reads");
    let [_, v] = job.client.weights(&model).expect("decrypts");
    let difference = v.iter().zip(&twin.weights.values).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(difference < 2e-3, "{difference}");
    assert!(whole.read_model(plan, best - 1).is_err());
    // The server's log.
    let server: Vec<ServerEvent> = log::read(whole.server_log()).expect("reads");
    let steps = server.iter().filter(|event| matches!(event, ServerEvent::Step { .. })).count();
    assert_eq!(steps, 2 * events.len());
    assert!(matches!(server.last(), Some(ServerEvent::End { steps: all, .. }) if *all == steps));
    // Encrypted inference equals plain inference.
    let test = job.dataset.test.as_ref().expect("there");
    let outputs = job.server.outputs(&model, &job.data.features(Part::Test, 0).expect("reads")).expect("runs");
    let logits = job.client.logits(&outputs, test.rows()).expect("decrypts");
    for (a, b) in logits.iter().flatten().zip(twin.weights.logits(&test.features).iter().flatten()) {
        assert!((a - b).abs() < 2e-2, "{a} {b}");
    }

    // Interrupted twice, then resumed; and killed without notice, which leaves the last checkpoint.
    let parts = RunFolder::create(&job.folder.at("parts")).expect("a folder");
    assert_eq!(job.train(&parts, false, 1).expect("trains"), Outcome::Interrupted);
    assert_eq!(job.train(&parts, true, 4).expect("trains"), Outcome::Interrupted);
    let saved = std::fs::read(job.folder.at("parts/checkpoint.ct")).expect("is there");
    assert_eq!(job.train(&parts, true, 2).expect("trains"), Outcome::Interrupted);
    std::fs::write(job.folder.at("parts/checkpoint.ct"), saved).expect("writes");
    assert_eq!(job.train(&parts, true, usize::MAX).expect("trains"), Outcome::Stopped);
    for epoch in best..=events.len() {
        let name = format!("model-{epoch:03}.ct");
        let read = |run: &str| std::fs::read(job.folder.at(run).join(&name)).expect("is there");
        assert!(read("whole") == read("parts"), "{name} is not bit for bit the same");
    }
    assert_eq!(job.validator(&parts).best_epoch(), best);
    // A run that is over does nothing more.
    assert_eq!(job.train(&parts, true, usize::MAX).expect("nothing to do"), Outcome::Stopped);
}

#[test]
fn what_does_not_belong_is_refused() {
    let job = job("run-refused");
    let plan = job.keys.plan();
    let run = RunFolder::create(&job.folder.at("run")).expect("a folder");
    assert_eq!(job.train(&run, false, 1).expect("trains"), Outcome::Interrupted);
    let malformed = |result: Result<()>, what: &str| {
        let error = result.expect_err(what).to_string();
        assert!(error.contains(what), "{error}");
    };
    malformed(RunFolder::create(&job.folder.at("run")).map(|_| ()), "empty");
    malformed(run.load(plan, "other").map(|_| ()), "other encrypted data");
    let rate = Config { learning_rate: 1.5, ..config() };
    let keys = job.keys.clone().with_config(&rate).expect("keys do not depend on the step size");
    malformed(run.load(keys.plan(), &job.data.hash()).map(|_| ()), "settings");
    let range = Config { logit_range: 8.0, ..config() };
    malformed(job.keys.clone().with_config(&range).map(|_| ()), "job");
    // A changed file of data, of a checkpoint, a missing one.
    let path = job.folder.at("data/train-00001.ct");
    let mut bytes = std::fs::read(&path).expect("is there");
    bytes[1000] ^= 1;
    std::fs::write(&path, &bytes).expect("writes");
    malformed(job.data.batch(1).map(|_| ()), "SHA-256");
    std::fs::remove_file(&path).expect("removes");
    malformed(DataFolder::open(&job.folder.at("data"), plan).map(|_| ()), "train-00001.ct");
    let path = job.folder.at("run/checkpoint.ct");
    let bytes = std::fs::read(&path).expect("is there");
    for len in [0, 3, 40, 1000, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..len]).expect("writes");
        malformed(run.load(plan, &job.data.hash()).map(|_| ()), "checkpoint.ct");
    }
    std::fs::write(&path, [&bytes[..], b"x"].concat()).expect("writes");
    malformed(run.load(plan, &job.data.hash()).map(|_| ()), "checkpoint.ct");
    // The secret of other parameters.
    let secret = hetal::SecretKey::generate(&hetal::Parameters::preset("test-11").expect("known"), &mut rng(1));
    assert!(matches!(Client::new(plan.clone(), secret.expect("a secret")), Err(Error::OtherParameters { .. })));
}
