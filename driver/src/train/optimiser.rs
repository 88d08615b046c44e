//! How weights follow gradients.
//!
//! Step t, from 1, with W = V = 0 before the first one, the step size η and the gradient G of the mean loss over a batch:
//!
//! * V' = W − η·G(W),
//! * W' = (1 − γ_t)·V' + γ_t·V.
//!
//! In Nesterov's method γ_t = (1 − λ_t)/λ_(t+1) ≤ 0, with λ_0 = 0 and λ_t = (1 + √(1 + 4λ_(t−1)²))/2 (0, 1, 1.618, 2.194, …); plain descent
//! is γ = 0, where W and V are the same. W is where gradients are taken; V is the result.

use super::Method;

/// γ of a step, counted from 1 over all epochs: it depends on nothing else, so that a training resumes without further state.
///
/// # Panics
/// For step 0.
#[must_use]
pub fn momentum(method: Method, step: usize) -> f64 {
    assert!(step > 0, "steps count from 1");
    let mut momenta = Momenta::new(method);
    // Plain descent has the same γ in every step.
    let before = if method == Method::Sgd { 0 } else { step - 1 };
    (0..before).for_each(|_| momenta.advance());
    momenta.gamma()
}

/// γ of one step after the other, from the first one on: to go through many steps takes no longer than there are steps.
#[derive(Clone, Debug)]
pub(crate) struct Momenta {
    method: Method,
    /// λ_t.
    lambda: f64,
}

impl Momenta {
    pub(crate) const fn new(method: Method) -> Self {
        Self { method, lambda: 1.0 }
    }

    fn next(&self) -> f64 {
        f64::midpoint(1.0, (4.0 * self.lambda).mul_add(self.lambda, 1.0).sqrt())
    }

    pub(crate) fn gamma(&self) -> f64 {
        match self.method {
            Method::Sgd => 0.0,
            Method::Nesterov => (1.0 - self.lambda) / self.next(),
        }
    }

    /// To the next step.
    pub(crate) fn advance(&mut self) {
        self.lambda = self.next();
    }
}
