//! Tests of the plain twin against slow and simple code: the optimiser, gradients, whole trainings,
//! when they stop, and the numbers that describe them.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};

use common::{rng, unit};
use hetal::Error;
use hetal::circuits::activation::{NormaliseSquare, NormaliseSquareConfig, exact};
use hetal::train::data::dataset::{Dataset, Split};
use hetal::train::data::normaliser::Normaliser;
use hetal::train::log::ClientEvent;
use hetal::train::metrics::{Confusion, predicted, quality};
use hetal::train::optimiser::momentum;
use hetal::train::stopping::EarlyStopping;
use hetal::train::twin::{Epoch, Exact, Trained, Twin, Weights, rehearse, train};
use hetal::train::{Config, Method, Twins};

/// Returns rows around one centre for each class.
fn clusters(rows: usize, columns: usize, classes: usize, seed: u64) -> Split {
    let mut random = rng(seed);
    let labels: Vec<u32> = (0..rows).map(|i| (i % classes) as u32).collect();
    let features = labels.iter().flat_map(|&label| {
        let near = |j: usize| if j % classes == label as usize { 0.7 } else { 0.0 };
        (0..columns).map(|j| (near(j) + unit(&mut random)) as f32).collect::<Vec<_>>()
    });
    Split { features: features.collect(), columns, labels: labels.clone() }
}

fn dataset(train: Split, val: Option<Split>) -> Dataset {
    let classes = train.labels.iter().max().map_or(0, |&label| label as usize + 1);
    Dataset { train, val, test: None, classes, class_names: None }
}

/// Returns the mean loss by its definition.
fn loss(split: &Split, classes: usize, weights: &[f64]) -> f64 {
    let columns = split.columns + 1;
    let row = |i: usize| {
        let power = |j: usize| {
            let x = split.row(i).iter().map(|x| f64::from(*x)).chain([1.0]);
            x.zip(&weights[j * columns..]).map(|(x, w)| x * w).sum::<f64>().exp()
        };
        -(power(split.labels[i] as usize) / (0..classes).map(power).sum::<f64>()).ln()
    };
    (0..split.rows()).map(row).sum::<f64>() / split.rows() as f64
}

/// The first momenta of Nesterov's method in closed form, and their limit.
#[test]
fn momenta_have_their_closed_values() {
    let golden = f64::midpoint(1.0, 5f64.sqrt());
    let third = f64::midpoint(1.0, (1.0 + 4.0 * golden * golden).sqrt());
    let fourth = f64::midpoint(1.0, (1.0 + 4.0 * third * third).sqrt());
    let wanted = [0.0, (1.0 - golden) / third, (1.0 - third) / fourth];
    for (i, wanted) in wanted.into_iter().enumerate() {
        assert!((momentum(Method::Nesterov, i + 1) - wanted).abs() < 1e-15, "{i}");
    }
    // λ_t is about t/2, so that γ_t tends to −1 like −1 + 3/t.
    assert!((momentum(Method::Nesterov, 3000) + 1.0 - 1e-3).abs() < 1e-5);
    assert!((1..400).all(|t| momentum(Method::Nesterov, t + 1) < momentum(Method::Nesterov, t)));
    assert!([1, 2, 700].iter().all(|&t| momentum(Method::Sgd, t) == 0.0));
}

/// The step follows the gradient of the loss, which is found by differences of the loss.
#[test]
fn gradients_are_those_of_the_loss() {
    let split = clusters(150, 5, 3, 1);
    let config = Config { method: Method::Sgd, learning_rate: 0.5, ..Config::default() };
    let mut twin = Twin::new(&config, 3, 5, Exact).expect("a usable configuration");
    let mut random = rng(2);
    let weights: Vec<f64> = (0..18).map(|_| unit(&mut random)).collect();
    twin.w.values.clone_from(&weights);
    let step = twin.step(&split.features, &split.labels).expect("whole rows");
    assert!((step.quality.loss - loss(&split, 3, &weights)).abs() < 1e-12);
    assert_eq!((step.step, step.rows), (1, 150));
    let h = 1e-5;
    for i in 0..18 {
        let moved = |by: f64| {
            let mut weights = weights.clone();
            weights[i] += by;
            loss(&split, 3, &weights)
        };
        let slope = (moved(h) - moved(-h)) / (2.0 * h);
        let found = (weights[i] - twin.w.values[i]) / 0.5;
        assert!((found - slope).abs() < 1e-9, "{i}: {found} {slope}");
    }
    assert_eq!(twin.w, twin.v);
    let largest = twin.w.values.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
    assert!(step.max_weight == largest && twin.w.largest() == largest);
    assert!(matches!(twin.step(&split.features[1..], &split.labels), Err(Error::Count { .. })));
}

/// Runs a training as one would write it down, number by number. Returns V and W after every step,
/// and the largest magnitude of both and of the logits.
fn naive(split: &Split, classes: usize, config: &Config) -> (Vec<Vec<f64>>, Vec<Vec<f64>>, f64, f64) {
    let d = split.columns;
    let x = |i: usize, j: usize| if j == d { 1.0 } else { f64::from(split.features[i * d + j]) };
    let mut w = vec![vec![0.0; d + 1]; classes];
    let mut v = w.clone();
    let (mut lambda, mut max_weight, mut max_logit) = (1.0f64, 0.0f64, 0.0f64);
    for _ in 0..config.epochs {
        let mut first = 0;
        while first < split.rows() {
            let last = (first + config.batch).min(split.rows());
            let mut gradient = vec![vec![0.0; d + 1]; classes];
            for i in first..last {
                let logits: Vec<f64> = (0..classes).map(|c| (0..=d).map(|j| w[c][j] * x(i, j)).sum()).collect();
                max_logit = logits.iter().fold(max_logit, |a, b| a.max(b.abs()));
                let p = exact(&logits);
                for c in 0..classes {
                    let error = p[c] - if split.labels[i] as usize == c { 1.0 } else { 0.0 };
                    (0..=d).for_each(|j| gradient[c][j] += error * x(i, j) / (last - first) as f64);
                }
            }
            let next = (1.0 + (1.0 + 4.0 * lambda * lambda).sqrt()) / 2.0;
            let gamma = if config.method == Method::Sgd { 0.0 } else { (1.0 - lambda) / next };
            lambda = next;
            for c in 0..classes {
                for j in 0..=d {
                    let moved = w[c][j] - config.learning_rate * gradient[c][j];
                    w[c][j] = (1.0 - gamma) * moved + gamma * v[c][j];
                    v[c][j] = moved;
                    max_weight = max_weight.max(moved.abs()).max(w[c][j].abs());
                }
            }
            first = last;
        }
    }
    (w, v, max_weight, max_logit)
}

/// Whole trainings give the weights and largest values of the naive one, for both methods and
/// ragged batches.
#[test]
fn trains_as_written_down() {
    // The last batch has a single row; the sums of the others take several pieces.
    let split = clusters(301, 13, 4, 3);
    for (method, batch) in
        [(Method::Nesterov, 100), (Method::Sgd, 100), (Method::Nesterov, 9), (Method::Nesterov, 1000)]
    {
        let config = Config { method, batch, epochs: 4, learning_rate: 0.2, ..Config::default() };
        let (w, v, max_weight, max_logit) = naive(&split, 4, &config);
        let data = dataset(split.clone(), None);
        let mut twin = Twin::new(&config, 4, 13, Exact).expect("a usable configuration");
        let mut steps = Vec::new();
        (0..4).for_each(|_| steps.extend(twin.epoch(&data).expect("exact")));
        let close = |found: &Weights, wanted: &[Vec<f64>]| {
            found.values.len() == 56 && found.values.iter().zip(wanted.concat()).all(|(a, b)| (a - b).abs() < 1e-12)
        };
        assert!(close(&twin.w, &w) && close(&twin.v, &v), "{method:?} {batch}");
        let rows: Vec<usize> = steps.iter().map(|step| step.rows).collect();
        let mut wanted = vec![batch; 301 / batch];
        wanted.push(301 % batch);
        assert_eq!(rows, wanted.repeat(4));
        assert!(steps.iter().enumerate().all(|(i, step)| step.step == i + 1));
        let trained = train(&data, &config, Exact, |_| {}).expect("exact");
        assert_eq!((&trained.weights, trained.best_epoch), (&twin.v, 4));
        assert!((trained.max_weight() - max_weight).abs() < 1e-12);
        assert!((trained.max_logit() - max_logit).abs() < 1e-12);
    }
}

/// Returns data in which some validation labels contradict the training, so that the validation
/// loss falls and rises again.
fn contradicted() -> Dataset {
    let train = clusters(120, 12, 3, 4);
    let mut val = clusters(60, 12, 3, 5);
    val.labels[..6].iter_mut().for_each(|label| *label = (*label + 1) % 3);
    dataset(train, Some(val))
}

fn losses(trained: &Trained) -> Vec<f64> {
    trained.epochs.iter().map(|epoch| epoch.validation.expect("has one").loss).collect()
}

/// Training stops after the epochs of its patience and keeps the weights of the best epoch.
#[test]
fn stops_early_and_keeps_the_best() {
    let data = contradicted();
    let config = Config { batch: 50, epochs: 60, patience: 3, ..Config::default() };
    let mut told: Vec<Epoch> = Vec::new();
    let trained = train(&data, &config, Exact, |epoch| told.push(epoch.clone())).expect("exact");
    assert_eq!(told, trained.epochs);
    let losses = losses(&trained);
    let best = (0..losses.len()).min_by(|&a, &b| losses[a].total_cmp(&losses[b])).expect("not empty") + 1;
    assert_eq!(trained.best_epoch, best);
    assert!(best > 1 && losses.len() == best + 3, "{losses:?}");
    // The weights are those of a training that ends at the best epoch, and the loss only gets worse
    // if it goes on.
    let shorter = train(&data, &Config { epochs: best, ..config.clone() }, Exact, |_| {}).expect("exact");
    assert_eq!(shorter.weights, trained.weights);
    let val = data.val.as_ref().expect("has one");
    let found = quality(&trained.weights.logits(&val.features), &val.labels);
    assert_eq!(Some(found), trained.epochs[best - 1].validation);
    let longer = train(&data, &Config { patience: 60, ..config.clone() }, Exact, |_| {}).expect("exact");
    assert_eq!((longer.epochs.len(), longer.best_epoch), (60, best));
    let refused = train(&data, &Config { batch: 0, ..config }, Exact, |_| {});
    assert!(matches!(refused, Err(Error::Range { what: "batch", .. })));
}

/// A rehearsal gives the results of a training without keeping them all, and ends when asked or out
/// of range.
#[test]
fn rehearses_in_little_memory() {
    let data = contradicted();
    let config = Config { batch: 50, epochs: 60, patience: 3, ..Config::default() };
    let trained = train(&data, &config, Exact, |_| {}).expect("exact");
    let mut told = 0;
    let seen = rehearse(&data, &config, Exact, |step, ended| {
        told += 1;
        assert_eq!((step.step, ended.is_some()), (told, told % 3 == 0));
        true
    });
    let seen = seen.expect("exact");
    assert_eq!((&seen.weights, seen.best_epoch, seen.epochs), (&trained.weights, trained.best_epoch, told / 3));
    assert_eq!((seen.max_logit, seen.max_weight), (trained.max_logit(), trained.max_weight()));
    assert_eq!((seen.validation, &seen.left), (trained.epochs[trained.best_epoch - 1].validation, &None));
    // The rehearsal is stopped in the second epoch.
    let shorter = rehearse(&data, &config, Exact, |step, _| step.step < 4).expect("exact");
    assert_eq!((shorter.epochs, shorter.best_epoch), (1, 1));
    // The rehearsal ends when a logit is out of range, and names the step.
    let softmax = NormaliseSquare::new(NormaliseSquareConfig::new(3, 1.0)).expect("reachable");
    let left = rehearse(&data, &config, softmax, |_, _| true).expect("no error").left.expect("its range is too small");
    let beyond = trained.epochs.iter().flat_map(|epoch| &epoch.steps).find(|step| step.quality.max_logit > 1.0);
    let beyond = beyond.expect("some step");
    assert!(
        left.step == beyond.step && (left.max_logit - beyond.quality.max_logit).abs() < 1e-2,
        "{left:?} {beyond:?}"
    );
}

/// The twins of a run validate and compare as whole trainings do, in any pieces, and continue after
/// an interruption.
#[test]
fn twins_go_along_with_a_run() {
    let data = contradicted();
    let config = Config { batch: 50, epochs: 8, patience: 8, logit_range: 16.0, ..Config::default() };
    let softmax = || config.softmax(3, false).expect("reachable");
    let approximate = train(&data, &config, softmax(), |_| {}).expect("in range");
    let exact = train(&data, &config, Exact, |_| {}).expect("exact");
    let interrupt = AtomicBool::new(false);
    let twins = |config: &Config| Twins::new(config, &data, &interrupt).expect("usable settings");
    // Some go epoch by epoch, and some many epochs at once, as where a run is resumed.
    for epochs in [&[1, 2, 3, 8][..], &[5, 8]] {
        let mut twins = twins(&config);
        for &epoch in epochs {
            let wanted = [&approximate, &exact].map(|trained| trained.epochs[epoch - 1].validation);
            assert_eq!(twins.validate(3 * epoch).expect("in range"), wanted, "{epoch}");
            let steps = approximate.epochs[..epoch].iter().flat_map(|epoch| &epoch.steps);
            let largest = steps.map(|step| step.quality.max_logit).fold(0.0, f64::max);
            assert_eq!(twins.max_logit(3 * epoch), Ok(largest));
        }
        let mut twin = Twin::new(&config, 3, 12, softmax()).expect("usable settings");
        (0..8).for_each(|_| drop(twin.epoch(&data).expect("in range")));
        let mut weights = [twin.w.values, twin.v.values];
        weights[1][7] += 0.5;
        let compared = twins.compare(24, &weights).expect("in range");
        assert!(
            matches!(compared, Some(ClientEvent::Weights { step: 24, difference, .. }) if (difference - 0.5).abs() < 1e-12)
        );
    }
    // An interruption loses nothing.
    let mut interrupted = twins(&config);
    interrupt.store(true, Ordering::Relaxed);
    assert!(matches!(interrupted.validate(3), Err(Error::Interrupted { .. })));
    assert!(matches!(interrupted.compare(3, &Default::default()), Err(Error::Interrupted { .. })));
    interrupt.store(false, Ordering::Relaxed);
    let wanted = [&approximate, &exact].map(|trained| trained.epochs[3].validation);
    assert_eq!(interrupted.validate(12).expect("in range"), wanted);
    // Only the approximation has a range that it can leave.
    let mut small = twins(&Config { logit_range: 1.0, ..config.clone() });
    for epoch in [4, 5] {
        let found = small.validate(3 * epoch).expect("the other twin goes on");
        assert_eq!(found, [None, exact.epochs[epoch - 1].validation]);
        assert!(small.max_logit(3 * epoch).expect("computed") > 1.0);
    }
    assert_eq!(small.compare(15, &Default::default()), Ok(None));
}

/// Patience counts the epochs without a smaller loss; equal losses and NaN are not smaller.
#[test]
fn patience_counts_epochs_without_a_smaller_loss() {
    let run = |losses: &[f64]| {
        let mut stopping = EarlyStopping::new(2);
        let found: Vec<(bool, bool)> =
            losses.iter().map(|&loss| (stopping.is_best(loss), stopping.goes_on())).collect();
        (found, stopping.best_epoch())
    };
    let (better, worse, end) = ((true, true), (false, true), (false, false));
    assert_eq!(run(&[3.0, 2.0, 2.0, 1.0, 1.5, 1.0]), (vec![better, better, worse, better, worse, end], 4));
    assert_eq!(run(&[f64::NAN, f64::NAN]), (vec![worse, end], 0));
    assert_eq!(run(&[f64::INFINITY, f64::NAN, 1.0]), (vec![better, worse, better], 3));
}

/// Normaliser and training do not depend on the number of threads, bit for bit.
#[test]
fn threads_change_nothing() {
    let mut data = Dataset::digits();
    let config = Config { batch: 500, epochs: 2, ..Config::default() };
    let mut run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            data = Dataset::digits();
            let normaliser = Normaliser::fit(&data.train).expect("varies");
            normaliser.apply_to(&mut data).expect("as many columns");
            (normaliser, train(&data, &config, Exact, |_| {}).expect("exact"))
        })
    };
    let one = run(1);
    assert!(one.1.weights.largest() > 0.1);
    for threads in [2, 5] {
        assert_eq!(run(threads), one, "{threads}");
    }
}

/// The digits are learned with the exact and with the approximate softmax, and a range that is too
/// small is refused.
#[test]
fn learns_digits_with_either_softmax() {
    let mut data = Dataset::digits();
    let normaliser = Normaliser::fit(&data.train).expect("varies");
    normaliser.apply_to(&mut data).expect("as many columns");
    let config = Config { batch: 512, epochs: 12, ..Config::default() };
    let test = data.test.as_ref().expect("has one");
    let tested = |trained: &Trained| quality(&trained.weights.logits(&test.features), &test.labels);
    let exact = train(&data, &config, Exact, |_| {}).expect("exact");
    assert!(tested(&exact).accuracy > 0.95);
    // The learning rate is as stable as it is meant to be: with plain descent on all rows, the loss
    // falls in every step.
    let descent = Config { batch: 1257, epochs: 40, patience: 40, method: Method::Sgd, ..config.clone() };
    let descent = train(&data, &descent, Exact, |_| {}).expect("exact");
    let falls: Vec<f64> = descent.epochs.iter().map(|epoch| epoch.steps[0].quality.loss).collect();
    assert!(falls.is_sorted_by(|a, b| a > b), "{falls:?}");
    // Approximated, with a range that holds and with one that does not.
    let range = |range| NormaliseSquare::new(NormaliseSquareConfig::new(10, range)).expect("reachable");
    let approximated = train(&data, &config, range(16.0), |_| {}).expect("in range");
    let difference = losses(&approximated).into_iter().zip(losses(&exact)).map(|(a, b)| (a - b).abs());
    assert!(difference.fold(0.0, f64::max) < 1e-3);
    assert!((tested(&approximated).accuracy - tested(&exact).accuracy).abs() < 0.01);
    let refused = train(&data, &config, range(4.0), |_| {});
    assert!(matches!(refused, Err(Error::Range { value, max: 4.0, .. }) if value.abs() > 4.0));
    let other = NormaliseSquare::new(NormaliseSquareConfig::new(3, 16.0)).expect("reachable");
    let wanted = Error::Count { what: "classes", found: 10, wanted: 3 };
    assert_eq!(train(&data, &config, other, |_| {}).expect_err("other classes"), wanted);
}

/// Loss, accuracy, confusion, precision and recall, calculated by hand.
#[test]
fn metrics_by_hand() {
    let two = 2f64.ln();
    // The probabilities are (1/2, 1/4, 1/4), (1/4, 1/4, 1/2) and, with logits that overflow an
    // exponential, (1, 0, 0).
    let logits = vec![vec![two, 0.0, 0.0], vec![0.0, 0.0, two], vec![1000.0, -1000.0, -1000.0]];
    let found = quality(&logits, &[0, 1, 0]);
    assert!((found.loss - (two + 2.0 * two) / 3.0).abs() < 1e-15);
    assert_eq!((found.accuracy, found.max_logit), (2.0 / 3.0, 1000.0));
    assert!(quality(&[vec![f64::NAN, 1.0]], &[1]).max_logit.is_nan());
    assert_eq!([predicted(&[1.0, 1.0]), predicted(&[0.0, 2.0, 2.0]), predicted(&[-1.0, -2.0])], [0, 1, 0]);
    let confusion = Confusion::new(&logits, &[0, 1, 0], 3);
    assert_eq!(confusion.counts(), [[2, 0, 0], [0, 0, 1], [0, 0, 0]]);
    assert_eq!([0, 1, 2].map(|class| confusion.precision(class)), [Some(1.0), None, Some(0.0)]);
    assert_eq!([0, 1, 2].map(|class| confusion.recall(class)), [Some(1.0), Some(0.0), None]);
}
