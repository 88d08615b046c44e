//! The side that computes. It is built from public material only.

pub mod run;

pub use run::Run;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::base::error::{Error, Result, check_count};
use crate::circuits::matrix::Encrypted;
use crate::circuits::{Bootstrap, Bootstrapper, activation};
use crate::ckks::ciphertext::{Ciphertext, Plaintext};
use crate::ckks::eval::Evaluator;
use crate::ckks::keys::{EncapsulationKeys, EvaluationKeys, KeyId};
use crate::train::log::Phase;
use crate::train::optimiser::momentum;
use crate::train::plan::TrainPlan;
use crate::train::protocol::Batch;
use crate::train::step::{Masks, Step, Weights, lower};

/// Computes steps and outputs with evaluation keys:
///
/// ```
/// use std::sync::Arc;
/// use hetal::train::{Server, TrainPlan};
/// use hetal::{KeySet, ckks::keys::EncapsulationKeys};
///
/// fn server(plan: TrainPlan, keys: KeySet, encapsulation: EncapsulationKeys) {
///     let _ = Server::new(plan, Arc::new(keys), Arc::new(encapsulation));
/// }
/// ```
///
/// The server has no secret key, and none of its functions takes one. The following differs from
/// the above only in the type of the keys:
///
/// ```compile_fail
/// use std::sync::Arc;
/// use hetal::train::{Server, TrainPlan};
/// use hetal::{SecretKey, ckks::keys::EncapsulationKeys};
///
/// fn server(plan: TrainPlan, keys: SecretKey, encapsulation: EncapsulationKeys) {
///     let _ = Server::new(plan, Arc::new(keys), Arc::new(encapsulation));
/// }
/// ```
pub struct Server {
    plan: TrainPlan,
    evaluator: Evaluator,
    bootstrap: Box<dyn Bootstrap>,
    masks: Masks<Plaintext>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("job", &self.plan.hash()).finish_non_exhaustive()
    }
}

impl Server {
    /// Creates a server with the keys that the plan asks for.
    ///
    /// # Errors
    /// [`Error::OtherParameters`] for keys of other parameters, [`Error::OtherKeys`] if the keys do
    /// not belong together.
    pub fn new(plan: TrainPlan, keys: Arc<dyn EvaluationKeys>, encapsulation: Arc<EncapsulationKeys>) -> Result<Self> {
        // Every training relinearises. If that key is missing, the first step reports it.
        if let Some(key) = keys.find(KeyId::Relinearisation, 0) {
            encapsulation.key_generation().check(key.key_generation())?;
        }
        let bootstrap = Bootstrapper::new(plan.bootstrap().clone(), encapsulation)?;
        Self::with_bootstrap(plan, keys, Box::new(bootstrap))
    }

    /// Creates a server with another bootstrapping, from and to the planned levels.
    ///
    /// # Errors
    /// [`Error::LevelMismatch`] if the bootstrapping has other levels.
    pub fn with_bootstrap(
        plan: TrainPlan,
        keys: Arc<dyn EvaluationKeys>,
        bootstrap: Box<dyn Bootstrap>,
    ) -> Result<Self> {
        let levels = [
            (bootstrap.input_level(), plan.bootstrap().input_level()),
            (bootstrap.output_level(), plan.bootstrap().output_level()),
        ];
        if let Some((left, right)) = levels.into_iter().find(|(found, planned)| found != planned) {
            return Err(Error::LevelMismatch { left, right });
        }
        let evaluator = Evaluator::new(plan.params(), keys);
        let masks = plan.circuit().masks(&Encrypted::new(&evaluator), plan.levels().features)?;
        Ok(Self { plan, evaluator, bootstrap, masks })
    }

    /// Returns the plan.
    #[must_use]
    pub const fn plan(&self) -> &TrainPlan {
        &self.plan
    }

    /// Computes step `number`, counted from 1. Returns the next state and what each
    /// phase of the step took.
    ///
    /// # Errors
    /// [`Error::MissingKey`]; [`Error::Count`] for a batch of another shape;
    /// [`Error::Level`], [`Error::OtherParameters`] and [`Error::OtherKeys`] if state,
    /// batch and keys do not belong together.
    pub fn step(&self, state: &[Ciphertext], batch: &Batch, number: usize) -> Result<(Vec<Ciphertext>, Vec<Phase>)> {
        let (plan, circuit) = (&self.plan, self.plan.circuit());
        check_count("ciphertexts of the state", state.len(), circuit.states())?;
        check_count("blocks of features", batch.features.len(), circuit.features().grid().len())?;
        check_count("ciphertexts of labels", batch.labels.len(), circuit.outputs())?;
        let slots = Encrypted::new(&self.evaluator);
        let counted = Counted { inner: &*self.bootstrap, count: AtomicUsize::new(0), nanos: AtomicU64::new(0) };
        let mut phases = Phases { list: Vec::new(), clock: Instant::now(), counted: &counted };
        let step = Step {
            state,
            features: &batch.features,
            rows: batch.rows,
            learning_rate: plan.config().learning_rate,
            momentum: momentum(plan.config().method, number),
        };
        let level = plan.levels().errors;
        let errors = |(logits, labels): (Ciphertext, &Ciphertext)| {
            let p = activation::Encrypted::softmax(
                plan.softmax(),
                plan.softmax_plan(),
                &self.evaluator,
                Some(&counted),
                &logits,
            )?;
            let p = self.evaluator.adjust(&p, level, plan.params().scale(level))?;
            self.evaluator.sub(&p, labels)
        };
        let softmax = |logits: Vec<Ciphertext>| logits.into_iter().zip(&batch.labels).map(errors).collect();
        let next = circuit.step(&slots, &self.masks, plan.levels(), step, softmax, |name, v| phases.mark(name, v))?;
        let next = next.iter().map(|v| counted.bootstrap(&self.evaluator, v)).collect::<Result<Vec<_>>>()?;
        phases.mark("refresh", &next[0]);
        Ok((next, phases.list))
    }

    /// Computes the logits of a batch for the client, with V (the result) or with W.
    /// They are divided by their range, and at level 0.
    ///
    /// # Errors
    /// As [`Server::step`].
    pub fn outputs(&self, state: &[Ciphertext], features: &[Ciphertext], which: Weights) -> Result<Vec<Ciphertext>> {
        let slots = Encrypted::new(&self.evaluator);
        let levels = self.plan.levels();
        let outputs = self.plan.circuit().outputs_of(&slots, &self.masks, levels, state, features, which)?;
        lower(&slots, &outputs, 0)
    }

    /// Lowers a state to the form in which it is kept: the level that computing outputs requires.
    ///
    /// # Errors
    /// [`Error::Level`] if the state has fewer levels.
    pub fn kept(&self, state: &[Ciphertext]) -> Result<Vec<Ciphertext>> {
        lower(&Encrypted::new(&self.evaluator), state, self.plan.levels().state)
    }
}

/// A bootstrapping that counts its calls and their time.
struct Counted<'a> {
    inner: &'a dyn Bootstrap,
    count: AtomicUsize,
    nanos: AtomicU64,
}

impl Counted<'_> {
    /// Returns the number of bootstraps so far, and their time.
    fn so_far(&self) -> (usize, Duration) {
        (self.count.load(Ordering::Relaxed), Duration::from_nanos(self.nanos.load(Ordering::Relaxed)))
    }
}

impl Bootstrap for Counted<'_> {
    fn input_level(&self) -> usize {
        self.inner.input_level()
    }

    fn output_level(&self) -> usize {
        self.inner.output_level()
    }

    fn bootstrap_bounded(&self, evaluator: &Evaluator, a: &Ciphertext, log_bound: i32) -> Result<Ciphertext> {
        let clock = Instant::now();
        let out = self.inner.bootstrap_bounded(evaluator, a, log_bound);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(clock.elapsed().as_nanos() as u64, Ordering::Relaxed);
        out
    }
}

/// The phases of a step, one after the other.
struct Phases<'a> {
    list: Vec<Phase>,
    clock: Instant,
    counted: &'a Counted<'a>,
}

impl Phases<'_> {
    fn mark(&mut self, name: &str, v: &Ciphertext) {
        let seconds = std::mem::replace(&mut self.clock, Instant::now()).elapsed().as_secs_f64();
        let (count, time) = self.counted.so_far();
        let before = |f: fn(&Phase) -> f64| self.list.iter().map(f).sum::<f64>();
        let (counted, timed) = (before(|p| p.bootstraps as f64) as usize, before(|p| p.bootstrap_seconds));
        self.list.push(Phase {
            name: name.to_owned(),
            seconds,
            bootstrap_seconds: time.as_secs_f64() - timed,
            bootstraps: count - counted,
            level: v.level(),
            log_scale: v.scale().log2(),
        });
    }
}
