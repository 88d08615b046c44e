//! Tests of whole trainings at insecure parameters: folders, early stopping, interruption,
//! resumption.

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{rng, unit};
use hetal::circuits::activation::{NormaliseSquare, NormaliseSquareConfig};
use hetal::train::data::dataset::Part;
use hetal::train::data::dataset::{Dataset, Split};
use hetal::train::log::{ClientEvent, ServerEvent, Writer, latest};
use hetal::train::protocol::{Compare, Origin, Stepped};
use hetal::train::server::run::Outcome;
use hetal::train::step::Weights;
use hetal::train::store::{DataFolder, KeyFolder, Receipt, RunFolder};
use hetal::train::{Client, ClientLink, Config, DataShape, Outputs, Run, Server, TrainPlan, Twins, Validator, twin};
use hetal::{Ciphertext, Encoder, Error, Evaluator, Result, SecretKey};

/// A folder of its own that is removed on drop.
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

/// Returns rows of two overlapping classes and of a third one apart. Labels of validation rows are
/// noisy, so that the validation loss rises in the end.
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
    Dataset { train, val: Some(val), test: Some(test), classes: 3, class_names: None }
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
    let receipt = Receipt::new(&dataset, keys.generation());
    DataFolder::create(&folder.at("data"), &keys, &client, &dataset, receipt, &mut rng, &mut |_, _| {})
        .expect("writes");
    let data = DataFolder::open(&folder.at("data"), &keys).expect("reads");
    let (public, encapsulation) = keys.public(&mut |_, _| {}).expect("reads");
    let server = Server::new(keys.plan().clone(), Arc::new(public), Arc::new(encapsulation)).expect("its parameters");
    Job { folder, dataset, keys, client, data, server }
}

impl Job {
    fn validator<'a>(&'a self, run: &RunFolder, interrupt: &'a AtomicBool) -> Validator<'a> {
        let (earlier, _) = run.client_events().expect("reads");
        let labels = &self.dataset.val.as_ref().expect("there").labels;
        let twins = Twins::new(self.keys.plan().config(), &self.dataset, interrupt).expect("usable settings");
        let log = Writer::open(run.client_log().expect("a path")).expect("opens");
        Validator::new(&self.client, labels, twins, log, &earlier)
    }

    fn best_epoch(&self, run: &RunFolder) -> usize {
        self.validator(run, &AtomicBool::new(false)).best_epoch().expect("there is one")
    }

    /// Trains until it is interrupted after a number of steps.
    fn train(&self, run: &RunFolder, resume: bool, steps: usize) -> Result<Outcome> {
        self.train_until(&self.server, run, resume, steps, 0)
    }

    /// Trains until it is interrupted after a number of steps or in the validation of an epoch.
    fn train_until(
        &self,
        server: &Server,
        run: &RunFolder,
        resume: bool,
        steps: usize,
        epoch: usize,
    ) -> Result<Outcome> {
        let interrupt = AtomicBool::new(false);
        let inner = self.validator(run, &interrupt);
        let mut owner = Interrupting { inner, left: steps, epoch, interrupt: &interrupt };
        let resume = resume.then(|| run.load(server.plan(), &self.data.origin())).transpose()?.flatten();
        let settings = Run { folder: run, interrupt: &interrupt, predicted: (1.0, 1) };
        settings.train_compared(server, &self.data, &mut owner, resume).map(|ended| ended.outcome)
    }
}

/// A client that interrupts the training after some steps, or in the validation of an epoch.
struct Interrupting<'a> {
    inner: Validator<'a>,
    left: usize,
    epoch: usize,
    interrupt: &'a AtomicBool,
}

impl ClientLink for Interrupting<'_> {
    fn goes_on(&mut self, epoch: usize, step: usize, outputs: &[Outputs]) -> Result<bool> {
        if epoch == self.epoch {
            self.interrupt.store(true, Ordering::Relaxed);
        }
        self.inner.goes_on(epoch, step, outputs)
    }

    fn resumes(&mut self, epochs: usize) -> bool {
        self.inner.resumes(epochs)
    }

    fn stepped(&mut self, done: Stepped) -> Result<()> {
        self.left -= 1;
        self.interrupt.store(self.left == 0, Ordering::Relaxed);
        self.inner.stepped(done)
    }
}

impl Compare for Interrupting<'_> {
    fn compare(&mut self, step: usize, state: &[Ciphertext]) -> Result<()> {
        self.inner.compare(step, state)
    }
}

/// An encrypted training agrees with the plain twin in losses, weights and the epoch where it
/// stops. Interrupted and resumed, it gives the same models bit for bit.
#[test]
fn trained_stopped_and_resumed() {
    let job = job("run-whole");
    let (plan, config) = (job.keys.plan(), config());
    // This run goes in one go.
    let whole = RunFolder::create(&job.folder.at("whole")).expect("a folder");
    let outcome = job.train(&whole, false, usize::MAX).expect("trains");
    assert_eq!(outcome, Outcome::Stopped);
    let softmax = NormaliseSquare::new(NormaliseSquareConfig::new(3, config.logit_range)).expect("reachable");
    let twin = twin::train(&job.dataset, &config, softmax, |_| {}).expect("trains");
    let events: Vec<ClientEvent> = whole.client_events().expect("reads").0;
    let (compared, events): (Vec<_>, Vec<_>) =
        events.into_iter().partition(|event| matches!(event, ClientEvent::Weights { .. }));
    assert_eq!((events.len(), compared.len()), (twin.epochs.len(), 2 * twin.epochs.len()));
    for event in &compared {
        let ClientEvent::Weights { step, difference, .. } = event else { unreachable!("was partitioned") };
        assert!(*difference < 2e-3, "step {step}: {difference}");
    }
    assert!(events.len() > 3 && events.len() < config.epochs, "{} epochs are no test of stopping", events.len());
    for (event, epoch) in events.iter().zip(&twin.epochs) {
        let ClientEvent::Validation { epoch: number, step, encrypted, twin: plain, exact, go_on, .. } = event else {
            panic!("{event:?}")
        };
        let wanted = epoch.validation.expect("there is a set");
        assert_eq!(*plain, Some(wanted), "epoch {number}");
        let difference = exact.map_or(f64::NAN, |exact| (exact.loss - wanted.loss).abs());
        assert!(difference < 1e-3, "epoch {number}: {exact:?} {wanted:?}");
        assert!((encrypted.loss - wanted.loss).abs() < 1e-3, "epoch {number}: {encrypted:?} {wanted:?}");
        assert_eq!((*number, *step), (epoch.epoch, 2 * epoch.epoch));
        assert_eq!(*go_on, *number < twin.epochs.len());
    }
    // The kept results have the best epoch, and its weights.
    let best = job.best_epoch(&whole);
    assert_eq!(best, twin.best_epoch);
    assert_eq!(whole.best_epoch(config.logit_range), Ok(Some(best)));
    assert_eq!(best, events.len() - config.patience);
    let generation = job.keys.generation();
    let model = whole.read_model(plan, generation, best).expect("reads").state;
    let [_, v] = job.client.weights(&model).expect("decrypts");
    let difference = v.iter().zip(&twin.weights.values).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(difference < 2e-3, "{difference}");
    assert!(whole.read_model(plan, generation, best - 1).is_err());
    // Checks the server's log.
    let server: Vec<ServerEvent> = whole.server_events().expect("reads").0;
    let steps = server.iter().filter(|event| matches!(event, ServerEvent::Step { .. })).count();
    assert_eq!(steps, 2 * events.len());
    assert!(matches!(server.last(), Some(ServerEvent::End { steps: all, .. }) if *all == steps));
    // Encrypted inference equals plain inference.
    let test = job.dataset.test.as_ref().expect("there");
    let outputs = job.data.features(Part::Test, 0).expect("reads");
    let outputs = job.server.outputs(&model, &outputs, Weights::V).expect("runs");
    let logits = job.client.logits(&outputs, test.rows()).expect("decrypts");
    for (a, b) in logits.iter().flatten().zip(twin.weights.logits(&test.features).iter().flatten()) {
        assert!((a - b).abs() < 2e-2, "{a} {b}");
    }

    // This run is interrupted twice and resumed. It is also killed without notice, which leaves the
    // last checkpoint.
    let parts = RunFolder::create(&job.folder.at("parts")).expect("a folder");
    assert_eq!(job.train(&parts, false, 1).expect("trains"), Outcome::Interrupted);
    // It is interrupted after the last step of an epoch, and in its validation: the log has no
    // validation before it is done.
    for (steps, epoch) in [(1, 0), (usize::MAX, 1)] {
        let outcome = job.train_until(&job.server, &parts, true, steps, epoch).expect("trains");
        assert_eq!(outcome, Outcome::Interrupted);
        let (events, _) = parts.client_events().expect("reads");
        assert!(!events.iter().any(|event| matches!(event, ClientEvent::Validation { .. })), "{events:?}");
    }
    assert_eq!(job.train(&parts, true, 3).expect("trains"), Outcome::Interrupted);
    let saved = std::fs::read(job.folder.at("parts/public/checkpoint.ct")).expect("is there");
    assert_eq!(job.train(&parts, true, 2).expect("trains"), Outcome::Interrupted);
    std::fs::write(job.folder.at("parts/public/checkpoint.ct"), saved).expect("writes");
    assert_eq!(job.train(&parts, true, usize::MAX).expect("trains"), Outcome::Stopped);
    for epoch in best..=events.len() {
        let name = format!("public/model-{epoch:03}.ct");
        let read = |run: &str| std::fs::read(job.folder.at(run).join(&name)).expect("is there");
        assert!(read("whole") == read("parts"), "{name} is not bit for bit the same");
    }
    assert_eq!(job.best_epoch(&parts), best);
    let validations = |run: &RunFolder| {
        let (events, _) = run.client_events().expect("reads");
        let events = latest(&events).into_iter().filter(|event| matches!(event, ClientEvent::Validation { .. }));
        events.cloned().collect::<Vec<_>>()
    };
    assert_eq!(validations(&parts), validations(&whole));
    // A run that is over does nothing more.
    assert_eq!(job.train(&parts, true, usize::MAX).expect("nothing to do"), Outcome::Stopped);

    // With more patience the run goes on, to the point that a run with this patience reaches, and
    // keeps the result of the best epoch.
    let patient = Config { patience: config.patience + 2, ..config };
    let keys = job.keys.clone().with_config(&patient).expect("keys do not depend on it");
    let (public, encapsulation) = keys.public(&mut |_, _| {}).expect("reads");
    let server = Server::new(keys.plan().clone(), Arc::new(public), Arc::new(encapsulation)).expect("its parameters");
    let client = Client::new(keys.plan().clone(), keys.secret().expect("reads")).expect("its parameters");
    let job = Job { keys, client, ..job };
    assert_eq!(job.train_until(&server, &parts, true, usize::MAX, 0).expect("trains"), Outcome::Stopped);
    let straight = RunFolder::create(&job.folder.at("straight")).expect("a folder");
    assert_eq!(job.train_until(&server, &straight, false, usize::MAX, 0).expect("trains"), Outcome::Stopped);
    let longer = job.best_epoch(&parts);
    assert_eq!(parts.best_epoch(patient.logit_range), straight.best_epoch(patient.logit_range));
    let models = straight.models().expect("reads");
    assert!(models.last() > Some(&events.len()) && models.contains(&longer), "{models:?} {longer}");
    for epoch in models {
        let name = format!("public/model-{epoch:03}.ct");
        let read = |run: &str| std::fs::read(job.folder.at(run).join(&name)).expect("is there");
        assert!(read("straight") == read("parts"), "{name} is not bit for bit the same");
    }
    // With less patience it stops at once, and the best epoch is still there.
    let hasty = job.keys.clone().with_config(&Config { patience: 1, ..patient }).expect("keys do not depend on it");
    let client = Client::new(hasty.plan().clone(), hasty.secret().expect("reads")).expect("its parameters");
    let job = Job { keys: hasty, client, ..job };
    assert_eq!(job.train_until(&server, &parts, true, usize::MAX, 0).expect("nothing to do"), Outcome::Stopped);
    assert!(parts.models().expect("reads").contains(&longer));
}

/// The client decrypts only ciphertexts that the server can have returned: slots, scale, degree,
/// keys and parameters are checked.
#[test]
fn what_the_server_returns_is_checked() {
    let job = job("run-returned");
    let (plan, mut rng) = (job.keys.plan(), rng(23));
    let (params, circuit) = (plan.params(), plan.circuit());
    let secret = job.client.secret();
    let encrypted = |secret: &SecretKey, slots: usize, level: usize, scale: f64, rng: &mut _| {
        let plaintext = Encoder::new(secret.params()).encode(&vec![0.25; slots], level, scale).expect("encodes");
        secret.encrypt(&plaintext, rng).expect("encrypts")
    };
    let (slots, scale) = (params.slots(), params.scale(0));
    let outputs = |one: Ciphertext| job.client.logits(&vec![one; circuit.outputs()], 5).map(|_| ());
    let model = |one: Ciphertext| job.client.weights(&vec![one; circuit.states()]).map(|_| ());
    let good = encrypted(secret, slots, 0, scale, &mut rng);
    assert_eq!((outputs(good.clone()), model(good.clone())), (Ok(()), Ok(())));
    assert!(job.client.logits(&[], 5).is_err() && job.client.weights(&[]).is_err());

    let other = SecretKey::generate(params, &mut rng).expect("a secret");
    let foreign =
        SecretKey::generate(&hetal::Parameters::preset("test-11").expect("known"), &mut rng).expect("a secret");
    let at = params.max_level();
    let high = encrypted(secret, slots, at, params.scale(at), &mut rng);
    let product = Evaluator::without_keys(params).mul_lazy(&high, &high).expect("multiplies");
    for (name, wrong, wanted) in [
        ("few slots", encrypted(secret, slots / 2, 0, scale, &mut rng), "slots"),
        ("one slot", encrypted(secret, 1, 0, scale, &mut rng), "slots"),
        ("scale", encrypted(secret, slots, 0, scale / 1024.0, &mut rng), "scale"),
        ("degree", product, "degree"),
        ("keys", encrypted(&other, slots, 0, scale, &mut rng), "made with other keys"),
        ("parameters", encrypted(&foreign, slots, 0, foreign.params().scale(0), &mut rng), "other parameters"),
    ] {
        for error in [outputs(wrong.clone()), model(wrong)].map(|result| result.expect_err(name).to_string()) {
            assert!(error.contains(wanted), "{name}: {error}");
        }
    }
}

/// Data, checkpoints and settings that do not belong to a run, or were changed, are refused.
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
    let origin = job.data.origin();
    let other = Origin { data: "other".to_owned(), ..origin.clone() };
    malformed(run.load(plan, &other).map(|_| ()), "other encrypted data");
    let rate = Config { learning_rate: 1.5, ..config() };
    let keys = job.keys.clone().with_config(&rate).expect("keys do not depend on the step size");
    malformed(run.load(keys.plan(), &origin).map(|_| ()), "learning_rate 1.5: must be 0.4");
    let range = Config { logit_range: 8.0, ..config() };
    malformed(job.keys.clone().with_config(&range).map(|_| ()), "logit_range 8.0: must be 16.0");
    // Files of the data and of the checkpoint are changed, cut, missing or too long.
    let path = job.folder.at("data/train-00001.ct");
    let mut bytes = std::fs::read(&path).expect("is there");
    bytes[1000] ^= 1;
    std::fs::write(&path, &bytes).expect("writes");
    malformed(job.data.batch(1).map(|_| ()), "SHA-256");
    std::fs::remove_file(&path).expect("removes");
    malformed(DataFolder::open(&job.folder.at("data"), &job.keys).map(|_| ()), "train-00001.ct");
    let path = job.folder.at("run/public/checkpoint.ct");
    let bytes = std::fs::read(&path).expect("is there");
    for len in [0, 3, 40, 1000, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..len]).expect("writes");
        malformed(run.load(plan, &origin).map(|_| ()), "checkpoint.ct");
    }
    std::fs::write(&path, [&bytes[..], b"x"].concat()).expect("writes");
    malformed(run.load(plan, &origin).map(|_| ()), "checkpoint.ct");
    // This secret has other parameters.
    let secret = SecretKey::generate(&hetal::Parameters::preset("test-11").expect("known"), &mut rng(1));
    assert!(matches!(Client::new(plan.clone(), secret.expect("a secret")), Err(Error::OtherParameters { .. })));
}
