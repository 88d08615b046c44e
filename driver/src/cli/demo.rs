//! `hetal demo`: the whole training at once, in memory, on a data set that is part of the program.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::train::{Ended, Training};
use super::{announce, report, table};
use crate::base::error::{Error, Result};
use crate::base::key_generation::KeyGeneration;
use crate::base::parallel::try_map;
use crate::base::text;
use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::encryption::SeededCiphertext;
use crate::ckks::keys::{SecretKey, entropy};
use crate::ckks::params::Parameters;
use crate::train::data::dataset::{Dataset, Split};
use crate::train::data::normaliser::Normaliser;
use crate::train::log::{ClientEvent, Quality, Writer};
use crate::train::metrics::{Confusion, quality};
use crate::train::protocol::{BatchSource, Origin};
use crate::train::store::RunFolder;
use crate::train::twin::{self, Exact, Weights};
use crate::train::{Batch, Client, Config, DataShape, SeededBatch, Server, TrainPlan};

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// The new folder of the run, with its logs and its page; hetal-demo, or with a number behind
    /// it, by default.
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// The parameters: test-11 is small and insecure.
    #[arg(long, default_value = "n16")]
    preset: String,
}

#[derive(Serialize)]
struct Summary {
    keys_seconds: f64,
    key_bytes: usize,
    encrypt_seconds: f64,
    #[serde(flatten)]
    ended: Ended,
    encrypted: Quality,
    twin: Quality,
    exact: Quality,
    /// The largest difference between a weight and that of the plain twin.
    difference: f64,
    seconds: f64,
}

/// Encrypted rows in memory.
struct Memory<'a> {
    plan: &'a TrainPlan,
    keys: KeyGeneration,
    start: Vec<SeededCiphertext>,
    train: Vec<SeededBatch>,
    validation: Vec<SeededBatch>,
}

impl Memory<'_> {
    fn expand(&self, list: &[SeededCiphertext]) -> Result<Vec<Ciphertext>> {
        try_map(list, |object| object.clone().expand(self.plan.params()))
    }
}

impl BatchSource for Memory<'_> {
    fn origin(&self) -> Origin {
        // These rows live as long as the process; nothing resumes with them.
        Origin { job: self.plan.hash(), keys: self.keys, data: String::new(), normaliser: None }
    }

    fn start(&self) -> Result<Vec<Ciphertext>> {
        self.expand(&self.start)
    }

    fn batch(&self, i: usize) -> Result<Batch> {
        let SeededBatch { features, labels } = &self.train[i];
        Ok(Batch { features: self.expand(features)?, labels: self.expand(labels)?, rows: self.plan.batch_rows(i) })
    }

    fn validation_batches(&self) -> usize {
        self.validation.len()
    }

    fn validation(&self, i: usize) -> Result<Vec<Ciphertext>> {
        self.expand(&self.validation[i].features)
    }
}

/// Returns the path of a folder that does not exist yet.
fn new_folder() -> PathBuf {
    let numbered = (2..).map(|i| PathBuf::from(format!("hetal-demo-{i}")));
    let mut names = std::iter::once(PathBuf::from("hetal-demo")).chain(numbered);
    names.find(|path| !path.exists()).expect("there are numbers enough")
}

impl DemoArgs {
    pub(super) fn run(&self, json: bool) -> Result<()> {
        let clock = Instant::now();
        let say = |text: String| {
            if !json {
                println!("{text}");
            }
        };
        let mut dataset = Dataset::digits();
        Normaliser::fit(&dataset.train)?.apply_to(&mut dataset)?;
        let shape = DataShape { rows: dataset.train.rows(), features: dataset.train.columns, classes: dataset.classes };
        // A batch has as many rows as fill half of the slots, which gives about 30 steps;
        // small rings have small batches, and take more steps.
        let batch = (Parameters::preset(&self.preset)?.slots() / 32).min(512);
        let epochs = (30 / shape.rows.div_ceil(batch)).max(1);
        let config = Config { preset: self.preset.clone(), batch, epochs, logit_range: 16.0, ..Config::default() };
        let plan = TrainPlan::new(&config, shape)?;
        let path = self.run.clone().unwrap_or_else(new_folder);
        let run = RunFolder::create(&path)?;
        announce(plan.params(), json);
        say(format!(
            "{} images of handwritten digits, {} pixels, {} classes; {} steps of {} rows, {} bootstraps each",
            shape.rows,
            shape.features,
            shape.classes,
            plan.steps_per_epoch() * config.epochs,
            plan.batch(),
            plan.bootstraps()
        ));

        let approximate = twin::train(&dataset, &config, config.softmax(shape.classes, false)?, |_| {})?;
        let exact = twin::train(&dataset, &config, Exact, |_| {})?;
        let (mut rng, begun) = (entropy()?, Instant::now());
        let secret = SecretKey::generate(plan.params(), &mut rng)?;
        let keys = secret.evaluation_keys(&plan.requests(), &mut rng)?;
        let encapsulation = secret.encapsulation_keys(&mut rng)?;
        let (keys_seconds, key_bytes) = (begun.elapsed().as_secs_f64(), keys.memory_bytes());
        say(format!("client: secret key and {} of public keys, {keys_seconds:.1} s", text::bytes(key_bytes)));

        let begun = Instant::now();
        let client = Client::new(plan.clone(), secret)?;
        let zeros = vec![0.0; shape.classes * (shape.features + 1)];
        let mut encrypt = |split: &Split| {
            let starts = (0..split.rows()).step_by(plan.batch());
            let batch = |from| client.encrypt(split, from, plan.batch().min(split.rows() - from), &mut rng);
            starts.map(batch).collect::<Result<Vec<_>>>()
        };
        let (val, test) =
            (dataset.val.as_ref().expect("digits have one"), dataset.test.as_ref().expect("digits have one"));
        let (train, validation) = (encrypt(&dataset.train)?, encrypt(val)?);
        let generation = client.secret().key_generation();
        let data = Memory {
            plan: &plan,
            keys: generation,
            start: client.encrypt_state(&zeros, &zeros, &mut rng)?,
            train,
            validation,
        };
        let encrypt_seconds = begun.elapsed().as_secs_f64();
        say(format!(
            "client: {} training and {} validation images encrypted, {encrypt_seconds:.1} s",
            shape.rows,
            val.rows()
        ));

        let server = Server::new(plan.clone(), Arc::new(keys), Arc::new(encapsulation))?;
        say("server: trains on ciphertexts; after each epoch the client decrypts validation outputs and says whether to go on".to_owned());
        let training = Training { dataset: &dataset, client: &client, compare: true };
        let ended = training.run(&server, &data, &run, None)?;
        say(format!(
            "server: {} steps, {:.1} s, {:.2} s each",
            ended.steps,
            ended.seconds,
            ended.seconds / ended.steps.max(1) as f64
        ));

        let best_epoch = ended.best_epoch.ok_or_else(|| {
            let field = format_args!("{}: epochs", path.display());
            Error::malformed("run", field, 0, "at least 1 with logits in their range: use a larger preset")
        })?;
        let [_, values] = client.weights(&run.read_model(&plan, generation, best_epoch)?.state)?;
        let weights = Weights { values, columns: shape.features };
        let measure = |weights: &Weights| quality(&weights.logits(&test.features), &test.labels);
        let (encrypted, twin, exact) = (measure(&weights), measure(&approximate.weights), measure(&exact.weights));
        let differences = weights.values.iter().zip(&approximate.weights.values).map(|(a, b)| (a - b).abs());
        let difference = differences.fold(0.0, f64::max);
        let confusion = Confusion::new(&weights.logits(&test.features), &test.labels, shape.classes);
        Writer::open(run.client_log()?)?.write(&ClientEvent::Test {
            encrypted,
            twin: Some(twin),
            exact: Some(exact),
            confusion: confusion.counts().to_vec(),
            class_names: None,
        })?;
        let page = run.report()?;
        report::write(&run, &page)?;
        let seconds = clock.elapsed().as_secs_f64();
        if json {
            let result = Summary {
                keys_seconds,
                key_bytes,
                encrypt_seconds,
                ended,
                encrypted,
                twin,
                exact,
                difference,
                seconds,
            };
            table::json(&result);
            return Ok(());
        }
        println!(
            "client: decrypts the weights after epoch {}, and classifies {} other images:",
            best_epoch,
            test.rows()
        );
        let rows = [
            ("trained on ciphertexts", encrypted),
            ("plain twin, same approximations", twin),
            ("plain, exact softmax", exact),
        ];
        let cells = rows
            .map(|(name, q)| vec![name.to_owned(), format!("{:.4}", q.loss), format!("{:.2} %", 100.0 * q.accuracy)]);
        table::print(&["", "loss", "accuracy"], &cells);
        println!("weights differ from the twin's by {difference:.1e} at most");
        if let Some(bytes) = ended.peak_memory_bytes {
            println!("{seconds:.0} s in all, peak memory {}", text::bytes(bytes));
        }
        println!("the run as a page: {}", page.display());
        Ok(())
    }
}
