//! How the weights follow the gradients.
//!
//! Steps t are counted from 1, and W = V = 0 before the first one. With the step size η and the
//! gradient G of the mean loss over a batch, a step computes:
//!
//! * V' = W − η·G(W),
//! * W' = (1 − γ_t)·V' + γ_t·V.
//!
//! In Nesterov's method γ_t = (1 − λ_t)/λ_(t+1) ≤ 0, with λ_0 = 0 and λ_t = (1 + √(1 +
//! 4λ_(t−1)²))/2 (0, 1, 1.618, 2.194, …). Plain gradient descent has γ = 0, so that W and V are the
//! same. Gradients are taken at W; V is the result.

use super::Method;

/// Returns the momentum γ of a step, counted from 1 over all epochs. It depends on nothing else,
/// so that a training can be resumed without further state.
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

/// The momenta γ of one step after the other, starting at the first: going through many steps takes
/// time in proportion to their number.
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

    /// Advances to the next step.
    pub(crate) fn advance(&mut self) {
        self.lambda = self.next();
    }
}
