//! Tests of training: the circuit against plain linear algebra, plans, and encrypted steps against
//! the same steps on numbers.

mod common;

use std::sync::Arc;

use common::{rng, unit};
use hetal::circuits::activation::{Layout, Plain as PlainSoftmax, Softmax, Vectors};
use hetal::circuits::matrix::{Dimensions, Plain, PlainVector, Shape};
use hetal::ckks::encryption::SeededCiphertext;
use hetal::ckks::keys::EncapsulationKeys;
use hetal::train::data::dataset::Split;
use hetal::train::optimiser::momentum;
use hetal::train::step::{Circuit, Levels, Step, Weights};
use hetal::train::{Batch, Client, Config, DataShape, Mode, Server, TrainPlan};
use hetal::{Complex64, Error, KeySet, SecretKey};

/// Returns rows of features with the bias, and the class of each row.
fn data(rows: usize, features: usize, classes: usize, seed: u64) -> (Vec<Vec<f64>>, Vec<usize>) {
    let mut rng = rng(seed);
    let row = |rng: &mut _| (0..features).map(|_| unit(rng)).chain([1.0]).collect::<Vec<f64>>();
    let x: Vec<Vec<f64>> = (0..rows).map(|_| row(&mut rng)).collect();
    let label =
        |x: &Vec<f64>| (0..classes).max_by(|&a, &b| x[a % features].total_cmp(&x[b % features])).expect("classes");
    let y = x.iter().map(label).collect();
    (x, y)
}

fn logits(x: &[Vec<f64>], w: &[f64]) -> Vec<Vec<f64>> {
    let row = |x: &Vec<f64>| w.chunks(x.len()).map(|w| x.iter().zip(w).map(|(a, b)| a * b).sum()).collect();
    x.iter().map(row).collect()
}

/// Does one step by its definition: W ← (1 − γ)(W − G) + γV, V ← W − G.
fn naive_step(
    [w, v]: &mut [Vec<f64>; 2],
    (x, y): (&[Vec<f64>], &[usize]),
    softmax: &impl Softmax,
    (rate, momentum): (f64, f64),
) {
    let p = PlainSoftmax::softmax(softmax, &logits(x, w)).expect("rows");
    let columns = x[0].len();
    for (at, (w, v)) in w.iter_mut().zip(v).enumerate() {
        let (class, j) = (at / columns, at % columns);
        let error = |i: usize| (p[i][class] - f64::from(u8::from(y[i] == class))) * x[i][j];
        let next = *w - (0..x.len()).map(error).sum::<f64>() * rate / x.len() as f64;
        (*w, *v) = ((1.0 - momentum) * next + momentum * *v, next);
    }
}

fn vectors(slots: Vec<Vec<f64>>, level: usize) -> Vec<PlainVector> {
    let vector = |values: Vec<f64>| PlainVector { values: values.into_iter().map(Complex64::from).collect(), level };
    slots.into_iter().map(vector).collect()
}

fn reals(vectors: &[PlainVector]) -> Vec<Vec<f64>> {
    vectors.iter().map(|v| v.values.iter().map(|z| z.re).collect()).collect()
}

/// Checks two steps and the outputs over plain slots against plain linear algebra.
fn check_circuit(config: &Config, dims: Dimensions, unit_block: Shape, levels: Levels) {
    let (slots, classes, rate) = (Plain { slots: 512 }, dims.classes, config.learning_rate);
    let circuit = Circuit::new(config.mode, dims, unit_block, config.logit_range, config.weight_range).expect("fits");
    let [softmax, reference] = [true, false].map(|scaled| config.softmax(classes, scaled).expect("reachable"));
    let masks = circuit.masks(&slots, levels.features).expect("levels");
    let layout = circuit.layout().expect("fits");

    let mut rng = rng(3);
    let mut plain = [(); 2].map(|()| (0..classes * dims.features).map(|_| unit(&mut rng) / 4.0).collect::<Vec<f64>>());
    let mut state = vectors(circuit.pack_state(&plain[0], &plain[1]).expect("entries"), 17);
    assert_eq!(state.len(), circuit.states());
    for (step, rows) in [dims.rows, dims.rows - dims.rows / 3].into_iter().enumerate() {
        let (mut x, y) = data(rows, dims.features - 1, classes, step as u64);
        let wanted = logits(&x, &plain[1]);
        let momentum = -0.4 * step as f64;
        naive_step(&mut plain, (&x, &y), &reference, (rate, momentum));
        x.resize(dims.rows, vec![0.0; dims.features]);
        let packed = circuit.features().pack(&x.concat()).expect("entries");
        let features: Vec<_> =
            packed.blocks().iter().map(|b| PlainVector { values: b.clone(), level: levels.features }).collect();
        let outputs = circuit.outputs_of(&slots, &masks, levels, &state, &features, Weights::V).expect("runs");
        let found = circuit.unpack_outputs(&reals(&outputs), rows).expect("fits");
        for (a, b) in found.iter().flatten().zip(wanted.iter().flatten()) {
            assert!((a * config.logit_range - b).abs() < 1e-12, "{dims:?} {unit_block:?}: logits");
        }
        let labels =
            circuit.pack_outputs(|row, class| f64::from(u8::from(row < rows && y[row] == class))).expect("fits");
        assert_eq!((outputs.len(), labels.len()), (circuit.outputs(), circuit.outputs()));
        let softmax = |logits: Vec<PlainVector>| {
            assert_eq!(logits[0].level, outputs[0].level);
            let errors = reals(&logits).into_iter().zip(&labels).map(|(x, y)| {
                let p = softmax.run(&PlainSoftmax::new(layout), x)?;
                Ok(p.iter().zip(y).map(|(p, y)| p - y).collect())
            });
            Ok(vectors(errors.collect::<hetal::Result<_>>()?, levels.errors))
        };
        let step = Step { state: &state, features: &features, rows, learning_rate: rate, momentum };
        let mut parts = Vec::new();
        state = circuit.step(&slots, &masks, levels, step, softmax, |name, _| parts.push(name)).expect("runs");
        assert_eq!(parts, ["weights", "logits", "softmax", "errors", "gradient", "update"]);
        assert!(state.iter().all(|v| v.level == levels.update), "{dims:?} {levels:?}");
        let mut slots = reals(&state);
        slots.pop();
        assert!(matches!(circuit.unpack_state(&slots), Err(Error::Count { .. })));
        assert!(matches!(circuit.unpack_outputs(&[], 1), Err(Error::Count { found: 0, .. })));
        let more = circuit.unpack_outputs(&reals(&outputs), dims.rows + 1).unwrap_err();
        assert!(matches!(more, Error::Range { what: "rows of a batch", .. }), "{more}");
        let [w, v] = circuit.unpack_state(&reals(&state)).expect("entries");
        for (found, wanted) in [(w, &plain[0]), (v, &plain[1])] {
            for (a, b) in found.iter().zip(wanted) {
                assert!((a - b).abs() < 1e-9, "{dims:?} {unit_block:?} step {rows}: {a} {b}");
            }
        }
        state.iter_mut().for_each(|v| v.level = 17);
    }
}

/// The circuits of both modes on plain slots, against plain linear algebra, for ragged and large
/// shapes.
#[test]
fn circuits_on_plain_slots() {
    // The columns are rows, features without the bias, classes, unit rows of the fast mode, and the
    // numbers of states and outputs of both modes. There are ragged shapes, shapes of one block and
    // of many.
    for (rows, features, classes, unit_rows, fast, paper) in [
        (40, 11, 3, 16, (1, 1), (4, 1)),
        (64, 64, 3, 16, (2, 1), (18, 1)),
        (16, 7, 2, 16, (1, 1), (2, 1)),
        (300, 7, 2, 16, (1, 2), (8, 2)),
        (5, 3, 4, 32, (1, 1), (2, 1)),
        (50, 40, 5, 32, (3, 1), (12, 1)),
        (33, 30, 7, 16, (2, 1), (8, 1)),
        (128, 9, 4, 32, (1, 1), (6, 1)),
        (200, 9, 4, 16, (1, 2), (6, 2)),
        (20, 60, 10, 32, (61, 1), (8, 1)),
    ] {
        let dims = Dimensions::new(rows, features + 1, classes);
        let units = [Shape::new(unit_rows, 512 / unit_rows), dims.unit(512).expect("fits")];
        for ((mode, unit_block), counts) in [Mode::Fast, Mode::Published].into_iter().zip(units).zip([fast, paper]) {
            let config = Config { mode, learning_rate: 0.7, logit_range: 6.0, weight_range: 3.0, ..Config::default() };
            let circuit = Circuit::new(mode, dims, unit_block, 6.0, 3.0).expect("fits");
            assert_eq!((circuit.states(), circuit.outputs()), counts, "{mode:?} {dims:?}");
            // The levels of the features are above and below those of the errors, for the gradient.
            for features in [9, 6] {
                let levels = circuit.levels(features, 3).expect("levels");
                check_circuit(&config, dims, unit_block, levels);
            }
            let lowest = (0..).find_map(|features| circuit.levels(features, 3)).expect("levels");
            check_circuit(&config, dims, unit_block, lowest);
        }
    }
}

/// Checks sums in a layout whose rows are apart: they are right in every class of every row, and
/// partial sums of one row lie between rows.
fn check_sums(layout: Layout) {
    let (rows, classes, plain) = (layout.rows(), layout.classes(), PlainSoftmax::new(layout));
    let value = |row, class| 1.0 + (row * classes + class) as f64;
    let x = layout.fill(value, 0.0);
    assert_eq!(x.iter().filter(|x| **x != 0.0).count(), rows * classes);
    let sums = plain.row_sum(&x).expect("sums");
    let wanted: Vec<f64> = (0..rows).map(|row| (0..classes).map(|class| value(row, class)).sum()).collect();
    for (row, wanted) in wanted.iter().enumerate() {
        (0..classes).for_each(|class| assert_eq!(sums[layout.slot(row, class)], *wanted));
    }
    let most = wanted.last().expect("rows");
    assert!(sums.iter().all(|sum| (0.0..=*most).contains(sum)), "{layout:?}");
}

/// Layouts whose rows are apart: their sums, and shapes that are refused.
#[test]
fn layouts_with_rows_apart() {
    for (rows, classes, unit_rows, spacing) in
        [(20, 3, 8, 16), (32, 3, 8, 16), (20, 3, 8, 8), (8, 4, 8, 16), (40, 7, 4, 8), (3, 2, 2, 4)]
    {
        check_sums(Layout::skewed(512, rows, classes, unit_rows, spacing).expect("fits"));
        check_sums(Layout::spaced(512, rows, classes, spacing).expect("fits"));
    }
    for (rows, classes, spacing) in [(4, 3, 2), (33, 3, 16), (1, 3, 1024), (0, 3, 16), (4, 1, 16)] {
        let refused = Layout::spaced(512, rows, classes, spacing).unwrap_err();
        assert!(matches!(refused, Error::Range { .. }), "{rows} {classes} {spacing}: {refused}");
    }
    assert_eq!(Layout::spaced(512, 4, 3, 12), Err(Error::PowerOfTwo { what: "spacing of rows", value: 12 }));
}

/// The plans of both modes: bootstraps, depth and keys, counted by hand.
#[test]
fn plans_of_both_modes() {
    let shape = DataShape { rows: 40, features: 12, classes: 3 };
    let [fast, paper] =
        [Mode::Fast, Mode::Published].map(|mode| TrainPlan::new(&config(mode, 16), shape).expect("a plan"));
    assert_ne!(fast.hash(), paper.hash());
    assert!(fast.bootstraps() < paper.bootstraps() && fast.depth() < paper.depth());
    assert!(fast.cost().in_transforms() < paper.cost().in_transforms());
    // One unit block of 16 × 32 holds the features, so that W and V take one bootstrapping each,
    // besides those of softmax.
    assert_eq!(paper.bootstraps(), 2 + paper.softmax_plan().bootstraps());
    // The levels of DiagABT, of the published softmax with one extension and two levels to bring
    // the maximum to all classes, of DiagATB, and of the momentum.
    let rotated_errors = usize::from(paper.levels().features <= paper.levels().errors);
    assert_eq!(paper.depth(), 3 + (48 + 2) + (3 + rotated_errors) + 1);
    assert!(paper.requests().iter().count() > paper.bootstrap().requests().iter().count());
    let refused = |classes| TrainPlan::new(&config(Mode::Published, 16), DataShape { classes, ..shape }).unwrap_err();
    assert!(matches!(refused(17), Error::TooMany { what: "classes", found: 17, most: 16, .. }));
    assert!(matches!(refused(1), Error::Range { what: "classes", .. }));
}

/// Checks a whole training at insecure parameters: steps on ciphertexts, with bootstrapping,
/// against the same steps on numbers.
fn check_encrypted(config: &Config, shape: DataShape, steps: usize, [error, logit_error]: [f64; 2]) {
    let DataShape { rows, features, classes } = shape;
    let plan = TrainPlan::new(config, shape).expect("a plan");
    let (mut rng, params) = (rng(11), plan.params().clone());
    let secret = SecretKey::generate(&params, &mut rng).expect("a secret");
    let keys = Arc::new(secret.evaluation_keys(&plan.requests(), &mut rng).expect("keys"));
    let encapsulation = Arc::new(secret.encapsulation_keys(&mut rng).expect("keys"));
    let server = Server::new(plan.clone(), keys, encapsulation).expect("keys of these parameters");
    let client = Client::new(plan.clone(), secret).expect("a secret of these parameters");
    let id = client.secret().key_generation();

    let (x, y) = data(rows, features, classes, 1);
    let split = Split {
        features: x.iter().flat_map(|row| row[..features].iter().map(|&x| x as f32)).collect(),
        columns: features,
        labels: y.iter().map(|&label| label as u32).collect(),
    };
    let x: Vec<Vec<f64>> = (0..rows).map(|i| split.row(i).iter().map(|&x| x.into()).chain([1.0]).collect()).collect();
    let reference = config.softmax(classes, false).expect("reachable");
    let expand = |list: Vec<SeededCiphertext>| {
        list.into_iter().map(|c| c.expand(&params).expect("these parameters")).collect::<Vec<_>>()
    };
    let more = plan.batch() + 1;
    let range = Error::Range { what: "rows of a batch", value: more as f64, min: 1.0, max: plan.batch() as f64 };
    assert_eq!(client.encrypt(&split, 0, more, &mut rng).map(drop), Err(range));
    for from in [rows, usize::MAX] {
        assert!(matches!(client.encrypt(&split, from, 1, &mut rng).map(drop), Err(Error::Range { .. })));
    }
    let mut plain = [(); 2].map(|()| vec![0.0; classes * (features + 1)]);
    let mut state = expand(client.encrypt_state(&plain[0], &plain[1], &mut rng).expect("entries"));
    for step in 1..=steps {
        let i = (step - 1) % plan.steps_per_epoch();
        let (from, rows) = (i * plan.batch(), plan.batch_rows(i));
        let batch = client.encrypt(&split, from, rows, &mut rng).expect("rows");
        let batch = Batch { features: expand(batch.features), labels: expand(batch.labels), rows };
        let (next, phases) = server.step(&state, &batch, step).expect("runs");
        assert!(next.iter().all(|c| c.key_generation() == id), "of other keys");
        assert_eq!(phases.iter().map(|p| p.bootstraps).sum::<usize>(), plan.bootstraps());
        state = next;
        let range = from..from + rows;
        let momentum = momentum(config.method, step);
        naive_step(&mut plain, (&x[range.clone()], &y[range.clone()]), &reference, (config.learning_rate, momentum));
        let found = client.weights(&state).expect("decrypts");
        for (found, wanted) in found.iter().zip(&plain) {
            for (a, b) in found.iter().zip(wanted) {
                assert!((a - b).abs() < error, "step {step}: {a} {b}");
            }
        }
        let kept = server.kept(&state).expect("levels");
        let outputs = server.outputs(&kept, &batch.features, Weights::V).expect("runs");
        assert!(outputs.iter().all(|v| v.level() == 0));
        let found = client.logits(&outputs, rows).expect("decrypts");
        for (a, b) in found.iter().flatten().zip(logits(&x[range], &plain[1]).iter().flatten()) {
            assert!((a - b).abs() < logit_error, "step {step}: {a} {b}");
        }
    }
}

/// Objects made with two secret keys of one plan are never used together: server and client refuse
/// them and name the ids that they found.
#[test]
fn keys_and_data_of_two_generations() {
    let shape = DataShape { rows: 6, features: 3, classes: 3 };
    let plan = TrainPlan::new(&config(Mode::Fast, 6), shape).expect("a plan");
    let (mut rng, params) = (rng(12), plan.params().clone());
    let secrets = [(); 2].map(|()| SecretKey::generate(&params, &mut rng).expect("a secret"));
    let [a, b] = [&secrets[0], &secrets[1]].map(SecretKey::key_generation);
    let [keys, other_keys] =
        [0, 1].map(|i| Arc::new(secrets[i].evaluation_keys(&plan.requests(), &mut rng).expect("keys")));
    let [encapsulation, other_encapsulation] =
        [0, 1].map(|i| Arc::new(secrets[i].encapsulation_keys(&mut rng).expect("keys")));
    let mixed = |keys: &Arc<KeySet>, encapsulation: &Arc<EncapsulationKeys>| {
        Server::new(plan.clone(), keys.clone(), encapsulation.clone()).map(|_| ())
    };
    assert_eq!(mixed(&keys, &other_encapsulation), Err(Error::OtherKeys { found: b, wanted: a }));
    assert_eq!(mixed(&other_keys, &encapsulation), Err(Error::OtherKeys { found: a, wanted: b }));
    let server = Server::new(plan.clone(), keys, encapsulation).expect("keys of one generation");

    let clients = secrets.map(|secret| Client::new(plan.clone(), secret).expect("a secret"));
    let (x, y) = data(6, 3, 3, 1);
    let split = Split {
        features: x.iter().flat_map(|row| row[..3].iter().map(|&x| x as f32)).collect(),
        columns: 3,
        labels: y.iter().map(|&label| label as u32).collect(),
    };
    let mut made = |client: &Client| {
        let expand = |list: Vec<SeededCiphertext>| {
            list.into_iter().map(|c| c.expand(&params).expect("these parameters")).collect::<Vec<_>>()
        };
        let zeros = vec![0.0; 3 * 4];
        let state = expand(client.encrypt_state(&zeros, &zeros, &mut rng).expect("entries"));
        let batch = client.encrypt(&split, 0, 6, &mut rng).expect("rows");
        (state, Batch { features: expand(batch.features), labels: expand(batch.labels), rows: 6 })
    };
    let [(state, batch), (other_state, other_batch)] = [&clients[0], &clients[1]].map(&mut made);
    let refused = |what: &str, result: hetal::Result<()>| {
        let error = result.expect_err(what);
        assert!(matches!(error, Error::OtherKeys { .. }), "{what}: {error:?}");
        assert!([a, b].iter().all(|id| error.to_string().contains(&id.to_string())), "{what}: {error}");
    };
    refused("state", server.step(&other_state, &batch, 1).map(|_| ()));
    refused("batch", server.step(&state, &other_batch, 1).map(|_| ()));
    refused("both", server.step(&other_state, &other_batch, 1).map(|_| ()));
    let labels = Batch { labels: other_batch.labels.clone(), ..batch.clone() };
    refused("labels", server.step(&state, &labels, 1).map(|_| ()));
    let kept = server.kept(&state).expect("levels");
    refused("features", server.outputs(&kept, &other_batch.features, Weights::V).map(|_| ()));
    refused(
        "kept",
        server.outputs(&server.kept(&other_state).expect("levels"), &batch.features, Weights::V).map(|_| ()),
    );
    let outputs = server.outputs(&kept, &batch.features, Weights::V).expect("runs");
    refused("weights", clients[1].weights(&state).map(|_| ()));
    refused("logits", clients[1].logits(&outputs, 6).map(|_| ()));
    clients[0].logits(&outputs, 6).expect("its own");
}

fn config(mode: Mode, batch: usize) -> Config {
    Config {
        preset: "test-10".to_owned(),
        mode,
        batch,
        learning_rate: 2.0,
        logit_range: 8.0,
        weight_range: 4.0,
        ..Config::default()
    }
}

/// Encrypted steps of the fast mode against plain steps.
#[test]
fn encrypted_steps_follow_plain_ones() {
    check_encrypted(&config(Mode::Fast, 40), DataShape { rows: 100, features: 12, classes: 3 }, 6, [2e-3, 1e-2]);
}

/// Encrypted steps with keys of several levels that have equal digits, which hoisted rotations use
/// together.
#[test]
fn encrypted_steps_with_keys_of_several_levels() {
    let config = Config { preset: "test-11".to_owned(), logit_range: 24.0, weight_range: 8.0, ..config(Mode::Fast, 4) };
    check_encrypted(&config, DataShape { rows: 8, features: 4, classes: 12 }, 2, [5e-3, 5e-2]);
}

/// Encrypted steps of the published method against plain steps.
#[test]
fn encrypted_steps_of_the_paper_follow_plain_ones() {
    // One shape has sums from both sides and the other masked sums; both have ragged batches.
    for (batch, rows, features, classes) in [(16, 40, 12, 3), (64, 100, 12, 5)] {
        check_encrypted(&config(Mode::Published, batch), DataShape { rows, features, classes }, 3, [2e-3, 1e-2]);
    }
}
