//! Predicts what a training will take on this machine.
//!
//! **Time.** The planner counts the work of a step in transforms. How long a transform takes on
//! this machine is measured with rotations at the top level, which make up most of a bootstrapping.
//!
//! **Memory.** Keys, diagonals and masks are counted; so are the blocks of a batch and
//! the rotated weights. Workspace and spare polynomials are taken to be those of 80
//! ciphertexts at the top level.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::plan::TrainPlan;
use crate::base::error::Result;
use crate::circuits::Cost;
use crate::ckks::encoding::Encoder;
use crate::ckks::eval::Evaluator;
use crate::ckks::keys::{KeyRequests, SecretKey, entropy};

/// The predicted time and memory of a training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// The seconds of a step.
    pub step_seconds: f64,
    /// The peak of memory in bytes.
    pub memory_bytes: usize,
}

/// The workspace and spare polynomials, in ciphertexts at the top level, as measured on two
/// threads. With this value seven trainings peak from 8 % above to 9 % below the prediction.
const WORKSPACE: usize = 80;

/// The factor by which a step takes longer than the equivalent number of rotations,
/// as measured at N = 2^16 on two threads.
const OVERHEAD: f64 = 1.15;

/// Measures this machine for a second or two, and predicts.
///
/// # Errors
/// The errors of making a key.
pub fn predict(plan: &TrainPlan) -> Result<Prediction> {
    let step_seconds = plan.cost().in_transforms() * OVERHEAD * transform_seconds(plan)?;
    Ok(Prediction { step_seconds, memory_bytes: memory(plan)? })
}

/// Measures the seconds of one transform's worth of work.
fn transform_seconds(plan: &TrainPlan) -> Result<f64> {
    let (params, mut rng) = (plan.params(), entropy()?);
    let level = params.max_level();
    let secret = SecretKey::generate(params, &mut rng)?;
    let requests = KeyRequests::default().rotation(params, 1, level);
    let evaluator = Evaluator::new(params, Arc::new(secret.evaluation_keys(&requests, &mut rng)?));
    let plaintext = Encoder::new(params).encode(&[1.0], level, params.scale(level))?;
    let mut ciphertext = secret.encrypt(&plaintext, &mut rng)?;
    let mut rotate = || {
        let clock = Instant::now();
        evaluator.rotate_assign(&mut ciphertext, 1)?;
        Ok(clock.elapsed().as_secs_f64())
    };
    // The first rotation is left out: it finds nothing in the caches.
    let mut times = (0..12).map(|_| rotate()).collect::<Result<Vec<_>>>()?.split_off(1);
    times.sort_by(f64::total_cmp);
    let cost = Cost::key_switch(level, params.gadget_shape(level), 0);
    Ok(times[times.len() / 2] / cost.in_transforms())
}

fn memory(plan: &TrainPlan) -> Result<usize> {
    let (params, circuit) = (plan.params(), plan.circuit());
    let ciphertext = |level: usize| 2 * (level + 1) * params.n() * size_of::<f64>();
    let features = circuit.features().grid();
    let levels = plan.levels();
    // The features are counted at both of their levels. The rotated weights are counted for a
    // whole period, although the skewed product keeps only half a period of them.
    let batch = features.len() * (ciphertext(levels.features) + ciphertext(levels.errors));
    let weights = features.cols * circuit.dimensions().period() * ciphertext(levels.features);
    let keys = plan.requests().memory_bytes(params)?;
    Ok(keys + plan.bootstrap().diagonal_bytes() + batch + weights + WORKSPACE * ciphertext(params.max_level()))
}
