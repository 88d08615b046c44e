//! Tests of the plans of random trainings. Every key that a step uses is requested and has the
//! digits of its level, so that rotations of one ciphertext can share theirs. If there is no plan,
//! the reason is true and the advice works.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use hetal::circuits::matrix::{Dry, Slots};
use hetal::ckks::keys::KeyId;
use hetal::ckks::params::preset;
use hetal::kernel::GaloisElement;
use hetal::train::plan::MOST_BLOCKS;
use hetal::train::step::{Circuit, Step, Weights};
use hetal::train::{Config, DataShape, Mode, TrainPlan};
use hetal::{Complex64, Error, Result};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// A backend that tracks only levels and lists the keys that ciphertexts would need. Rotations of
/// one ciphertext are listed together.
struct Asked {
    dry: Dry,
    batches: Mutex<BTreeSet<(usize, Vec<KeyId>)>>,
}

impl Asked {
    fn note(&self, level: usize, ids: Vec<KeyId>) {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).insert((level, ids));
    }

    fn rotations(&self, level: usize, ks: &[i64]) {
        let log_n = self.dry.slots.ilog2() + 1;
        let elements = ks.iter().map(|&k| GaloisElement::rotation(k, log_n)).filter(|element| element.value() != 1);
        self.note(level, elements.map(KeyId::Galois).collect());
    }
}

impl Slots for Asked {
    type Vector = usize;
    type Mask = usize;

    fn slots(&self) -> usize {
        self.dry.slots
    }

    fn level(&self, a: &usize) -> usize {
        *a
    }

    fn add(&self, a: &usize, b: &usize) -> Result<usize> {
        self.dry.add(a, b)
    }

    fn sub(&self, a: &usize, b: &usize) -> Result<usize> {
        self.dry.sub(a, b)
    }

    fn mul_i(&self, a: &usize) -> Result<usize> {
        self.dry.mul_i(a)
    }

    fn lower(&self, a: &usize, level: usize) -> Result<usize> {
        self.dry.lower(a, level)
    }

    fn encode(&self, level: usize, value: &dyn Fn(usize) -> Complex64) -> Result<usize> {
        self.dry.encode(level, value)
    }

    fn mask(&self, a: &usize, mask: &usize) -> Result<usize> {
        self.dry.mask(a, mask)
    }

    fn dot(&self, pairs: &[(&usize, &usize)]) -> Result<usize> {
        self.note(*pairs[0].0, vec![KeyId::Relinearisation]);
        self.dry.dot(pairs)
    }

    fn rotate(&self, a: &usize, k: i64) -> Result<usize> {
        self.rotations(*a, &[k]);
        Ok(*a)
    }

    fn rotate_many(&self, a: &usize, ks: &[i64]) -> Result<Vec<usize>> {
        self.rotations(*a, ks);
        Ok(vec![*a; ks.len()])
    }

    fn conjugate(&self, a: &usize) -> Result<usize> {
        let conjugation = GaloisElement::conjugation(self.dry.slots.ilog2() + 1);
        self.note(*a, vec![KeyId::Galois(conjugation)]);
        Ok(*a)
    }
}

/// Returns all keys that a step and the outputs of the result ask for.
fn asked(plan: &TrainPlan) -> BTreeSet<(usize, Vec<KeyId>)> {
    let (circuit, levels) = (plan.circuit(), plan.levels());
    let slots = Asked { dry: Dry { slots: plan.params().slots() }, batches: Mutex::default() };
    let masks = circuit.masks(&slots, levels.features).expect("levels");
    let features = vec![levels.features; circuit.features().grid().len()];
    let state = vec![plan.bootstrap().output_level(); circuit.states()];
    let step = Step { state: &state, features: &features, rows: plan.batch(), learning_rate: 1.0, momentum: -0.5 };
    let softmax = |logits: Vec<usize>| {
        assert!(logits.iter().all(|&level| level == plan.softmax_plan().level()), "{logits:?}");
        assert!(plan.softmax_plan().output_level() >= levels.errors);
        Ok(vec![levels.errors; logits.len()])
    };
    let next = circuit.step(&slots, &masks, levels, step, softmax, |_, _| {}).expect("levels");
    assert!(next.iter().all(|&level| level == levels.update && level >= plan.bootstrap().input_level()));
    let kept = vec![levels.state; circuit.states()];
    for which in [Weights::V, Weights::W] {
        circuit.outputs_of(&slots, &masks, levels, &kept, &features, which).expect("levels");
    }
    slots.batches.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Checks that every key that is used at a level is there, with the digits of that level. Returns
/// the number of groups of rotations that share digits.
fn check_keys(plan: &TrainPlan) -> usize {
    let (params, requests) = (plan.params(), plan.requests());
    let planned = requests.plan(params).expect("levels that exist");
    let served = |id: KeyId, level: usize| {
        let mut of_kind = planned.iter().filter(|&&(other, at)| other == id && at >= level);
        of_kind.any(|&(_, at)| params.gadget_shape(at) == params.gadget_shape(level))
    };
    for (id, level) in requests.iter() {
        assert!(served(id, level), "{id} at level {level}");
    }
    let requested: BTreeSet<_> = requests.iter().collect();
    let batches = asked(plan);
    for (level, ids) in &batches {
        for &id in ids {
            assert!(requested.contains(&(id, *level)), "{id} at level {level} is not asked for");
        }
    }
    batches.iter().filter(|(_, ids)| ids.len() > 1).count()
}

/// Returns a number that is uniform in [0, 1).
fn unit(rng: &mut ChaCha20Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Returns a number between these two, with a uniform logarithm.
fn between(rng: &mut ChaCha20Rng, from: f64, to: f64) -> f64 {
    from * (to / from).powf(unit(rng))
}

fn random_training(rng: &mut ChaCha20Rng, preset: &str) -> (Config, DataShape) {
    let integer = |rng: &mut ChaCha20Rng, from: f64, to: f64| between(rng, from, to + 1.0) as usize;
    let config = Config {
        preset: preset.to_owned(),
        mode: if unit(rng) < 0.3 { Mode::Published } else { Mode::Fast },
        batch: integer(rng, 1.0, 4096.0),
        logit_range: between(rng, 4.0, 128.0),
        weight_range: between(rng, 1.0, 64.0),
        softmax_error: if unit(rng) < 0.5 { 1e-3 } else { between(rng, 1e-5, 0.1) },
        ..Config::default()
    };
    let shape = DataShape {
        rows: integer(rng, 1.0, 10_000.0),
        features: integer(rng, 1.0, 1000.0),
        classes: integer(rng, 2.0, 64.0),
    };
    (config, shape)
}

/// Returns why there is no plan, and checks that the advice of the error works.
fn reason(config: &Config, shape: DataShape, error: &Error) -> String {
    // Only the softmax is made again: planning anew would take as long as the test.
    let softmax = |config: &Config| config.softmax(shape.classes, true);
    match error {
        Error::TooMany { what, found, most, .. } => {
            assert!(found > most, "{error}");
            if *what == "classes" {
                assert!(shape.classes == *found && *most >= 2, "{error}");
            }
            format!("too many {what} ({})", if error.to_string().contains("softmax") { "softmax" } else { "ring" })
        }
        Error::SoftmaxError { classes, range, error: wanted, reachable } => {
            assert_eq!((*classes, *range, *wanted), (shape.classes, config.logit_range, config.softmax_error));
            assert!(softmax(config).is_err(), "{error}");
            if let Some(softmax_error) = *reachable {
                assert!(softmax_error > *wanted, "{error}");
                softmax(&Config { softmax_error, ..config.clone() }).expect("what the error says");
            }
            "error of softmax".to_owned()
        }
        Error::FewLevels { preset, levels, needed } => {
            assert!(*preset == config.preset && needed > levels, "{error}");
            "levels of the preset".to_owned()
        }
        other => panic!("{other:?}: {other}"),
    }
}

/// Makes 300 random plans, or `HETAL_PLANS`, and checks their keys or the reasons for refusal. With
/// more than 1000 plans, every tenth is one of `n16`.
#[test]
fn random_plans_can_use_their_keys() {
    let count = std::env::var("HETAL_PLANS").map_or(300, |text| text.parse().expect("HETAL_PLANS: a number"));
    // Presets with a large ring take a second each.
    let every = if count > 1000 { 10 } else { 60 };
    let (mut rng, clock) = (ChaCha20Rng::seed_from_u64(1), Instant::now());
    let (mut refused, mut planned) = (BTreeMap::<String, usize>::new(), BTreeMap::<String, usize>::new());
    let mut hoisted = 0;
    for i in 0..count {
        let name = match i % every {
            0 => "n16",
            1 if i % (6 * every) == 1 => "n16-light",
            2 if i % (6 * every) == 2 => "test-16",
            _ => ["test-10", "test-11", "test-13"][i % 3],
        };
        let (config, shape) = random_training(&mut rng, name);
        let run = || match TrainPlan::new(&config, shape) {
            Ok(plan) => {
                assert!(plan.cost().in_transforms() > 0.0 && plan.log_failure() < 0.0);
                Ok(check_keys(&plan))
            }
            Err(error) => Err(reason(&config, shape, &error)),
        };
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(batches)) => {
                hoisted += batches;
                *planned.entry(name.to_owned()).or_default() += 1;
            }
            Ok(Err(reason)) => *refused.entry(format!("{name}: {reason}")).or_default() += 1,
            Err(_) => panic!("plan {i} of {config:?} and {shape:?}"),
        }
    }
    println!("{count} plans in {:.0} s, {hoisted} hoisted batches", clock.elapsed().as_secs_f64());
    println!("planned: {planned:#?}\nrefused: {refused:#?}");
    assert!(planned.values().sum::<usize>() > count / 3 && hoisted > count / 3);
    assert!(preset::NAMES.iter().all(|name| planned.contains_key(*name) || *name == "test-16"), "{planned:?}");
}

fn plan(config: &Config, rows: usize, features: usize, classes: usize) -> Result<TrainPlan> {
    TrainPlan::new(config, DataShape { rows, features, classes })
}

/// Returns why there is no plan.
fn refused(config: &Config, rows: usize, features: usize, classes: usize) -> Error {
    match plan(config, rows, features, classes) {
        Err(error) => error,
        Ok(plan) => panic!("{config:?} of {classes} classes is planned: {:?}", plan.levels()),
    }
}

/// Trainings whose sizes are at the limits are planned, or refused with the limit, at once.
#[test]
fn large_trainings() {
    let of = |preset: &str, batch| Config { preset: preset.to_owned(), batch, ..Config::default() };
    let most = u32::MAX as usize;
    let blocks = |plan: &TrainPlan| plan.circuit().features().grid().len();
    for (config, rows, features, classes) in [
        (of("n16", 1024), 100_000, 20_000, 10),
        (of("n16", 1024), 100_000, 1 << 20, 10),
        (Config { softmax_error: 0.01, ..of("n16", 1024) }, 100_000, 2048, 128),
        (of("test-11", 64), most, 20_000, 10),
        (Config { mode: Mode::Published, ..of("test-11", 64) }, 100_000, 100_000, 16),
    ] {
        let plan = plan(&config, rows, features, classes).expect("a plan");
        assert!(blocks(&plan) <= MOST_BLOCKS);
        check_keys(&plan);
    }
    for (config, rows, features, classes) in [
        (of("test-10", 1024), 100_000, 1 << 20, 10),
        (of("test-11", most), most, 1 << 20, 16),
        (of("n16", most), most, 1 << 20, 64),
        (Config { mode: Mode::Published, ..of("test-10", most) }, most, 1 << 20, 16),
    ] {
        let refused = refused(&config, rows, features, classes);
        let Error::TooMany { found, most: MOST_BLOCKS, .. } = refused else { panic!("{refused}") };
        // No packing has room for more entries than slots.
        let slots = 1 << (preset::by_name(&config.preset).expect("a preset").log_n - 1);
        assert!(found >= config.batch.min(rows) * (features + 1) / slots, "{refused}");
        let larger = refused.to_string().contains("or a preset with a larger ring, such as n16");
        assert!(refused.to_string().contains("use a smaller batch") && larger == (config.preset != "n16"), "{refused}");
    }
    // This has as many steps as there can be.
    let endless = plan(&Config { epochs: most, ..of("test-10", 1) }, most, 3, 3).expect("a plan");
    assert!(endless.log_failure().is_finite());
    assert_eq!(endless.batch_rows(0), 1);
    assert_eq!([most, usize::MAX].map(|i| endless.batch_rows(i)), [0, 0]);
}

/// The largest numbers that error messages name can be planned, the next ones cannot.
#[test]
fn limits_that_are_named() {
    for (preset, mode, fit) in [
        ("test-10", Mode::Fast, 16),
        ("test-11", Mode::Fast, 16),
        ("test-13", Mode::Fast, 32),
        ("test-11", Mode::Published, 16),
    ] {
        let config = Config { preset: preset.to_owned(), mode, batch: 8, softmax_error: 0.05, ..Config::default() };
        plan(&config, 10, 3, fit).unwrap_or_else(|error| panic!("{preset}: {error}"));
        let refused = refused(&config, 10, 3, fit + 1);
        assert!(matches!(refused, Error::TooMany { what: "classes", most, .. } if most == fit), "{preset}: {refused}");
    }
    // An error does not give advice that would not help.
    for (preset, mode, classes, advice) in [
        ("test-11", Mode::Fast, 128, "16: use fewer, or a preset with a larger ring, such as n16"),
        ("test-11", Mode::Fast, 129, "16: use fewer"),
        ("n16", Mode::Fast, 129, "128: use fewer"),
        ("test-10", Mode::Published, 17, "the softmax of mode paper has room for at most 16: use fewer, or mode fast"),
    ] {
        let config = Config { preset: preset.to_owned(), mode, ..Config::default() };
        let text = refused(&config, 10, 3, classes).to_string();
        assert!(text.ends_with(advice), "{text}");
    }
    // Four levels between bootstraps are enough for polynomials of degree 7, but not of 15.
    let few = Config { preset: "test-16".to_owned(), softmax_error: 1e-6, ..Config::default() };
    let few = refused(&few, 10, 3, 3);
    assert!(matches!(few, Error::FewLevels { levels, needed, .. } if levels < needed), "{few}");
}

/// The level of the logits that the plan foresees is that of a dry run of a whole step.
#[test]
fn levels_of_logits() {
    for (mode, unit) in [(Mode::Fast, [32, 16]), (Mode::Published, [16, 32])] {
        let dims = hetal::circuits::matrix::Dimensions::new(40, 30, 3);
        let unit = hetal::circuits::matrix::Shape::new(unit[0], unit[1]);
        let circuit = Circuit::new(mode, dims, unit, 8.0, 4.0).expect("fits");
        let slots = Dry { slots: 512 };
        for (features, update) in (4..17).flat_map(|features| [2, 3].map(|update| (features, update))) {
            let Some(levels) = circuit.levels(features, update) else { continue };
            let masks = circuit.masks(&slots, features).expect("levels");
            let state = vec![17; circuit.states()];
            let blocks = vec![features; circuit.features().grid().len()];
            let logits = circuit.outputs_of(&slots, &masks, levels, &state, &blocks, Weights::V).expect("levels");
            assert!(logits.iter().all(|&level| level == circuit.logits_level(levels)), "{mode:?} {levels:?}");
        }
    }
}
