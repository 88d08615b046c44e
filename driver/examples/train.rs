//! Trains a softmax classifier of handwritten digits on ciphertexts, in memory, and compares it
//! with the same training on plain numbers.
//!
//! The program `hetal` does the same with folders, logs, early stopping and resumption. Run with
//! `cargo run --release -p hetal-driver --example train`; with `n16` behind `--` at 128 bits of
//! security, where it takes some minutes.

use std::sync::Arc;

use hetal::ckks::keys::entropy;
use hetal::train::data::dataset::Dataset;
use hetal::train::data::normaliser::Normaliser;
use hetal::train::metrics::quality;
use hetal::train::twin::{self, Weights};
use hetal::train::{Batch, Client, Config, DataShape, Server, TrainPlan};
use hetal::{Result, SecretKey};

fn main() -> Result<()> {
    let preset = std::env::args().nth(1).unwrap_or_else(|| "test-11".to_owned());
    let mut dataset = Dataset::digits();
    Normaliser::fit(&dataset.train)?.apply_to(&mut dataset)?;
    let (rows, features, classes) = (dataset.train.rows(), dataset.train.columns, dataset.classes);

    // The plan follows from the settings and the shape of the data. It says which keys are needed.
    let config = Config { preset, batch: 256, epochs: 2, logit_range: 16.0, ..Config::default() };
    let plan = TrainPlan::new(&config, DataShape { rows, features, classes })?;
    let steps = config.epochs * plan.steps_per_epoch();
    println!("{rows} rows of {features} features, {steps} steps, {} bootstraps each", plan.bootstraps());

    // The client: keys, encrypted batches, encrypted weights of zero.
    let mut rng = entropy()?;
    let secret = SecretKey::generate(plan.params(), &mut rng)?;
    let keys = secret.evaluation_keys(&plan.requests(), &mut rng)?;
    let encapsulation = secret.encapsulation_keys(&mut rng)?;
    let client = Client::new(plan.clone(), secret)?;
    let zeros = vec![0.0; classes * (features + 1)];
    let expand = |list: Vec<hetal::ckks::encryption::SeededCiphertext>| {
        list.into_iter().map(|seeded| seeded.expand(plan.params())).collect::<Result<Vec<_>>>()
    };
    let mut batches = Vec::new();
    for i in 0..plan.steps_per_epoch() {
        let rows = plan.batch_rows(i);
        let encrypted = client.encrypt(&dataset.train, i * plan.batch(), rows, &mut rng)?;
        batches.push(Batch { features: expand(encrypted.features)?, labels: expand(encrypted.labels)?, rows });
    }
    let mut state = expand(client.encrypt_state(&zeros, &zeros, &mut rng)?)?;

    // The server: it has public keys and ciphertexts.
    let server = Server::new(plan.clone(), Arc::new(keys), Arc::new(encapsulation))?;
    for step in 1..=steps {
        let (next, phases) = server.step(&state, &batches[(step - 1) % batches.len()], step)?;
        state = next;
        println!("step {step}: {:.2} s", phases.iter().map(|phase| phase.seconds).sum::<f64>());
    }

    // The client decrypts W and V; V is the result.
    let [_, values] = client.weights(&state)?;
    let encrypted = Weights { values, columns: features };
    let plain = twin::train(&dataset, &config, config.softmax(classes, false)?, |_| {})?;
    let test = dataset.test.as_ref().expect("digits have a test set");
    let measure = |weights: &Weights| quality(&weights.logits(&test.features), &test.labels).accuracy;
    let (found, wanted) = (measure(&encrypted), measure(&plain.weights));
    println!("accuracy on the test set: {:.2} %, of the plain training {:.2} %", 100.0 * found, 100.0 * wanted);
    assert!((found - wanted).abs() < 0.01);
    Ok(())
}
