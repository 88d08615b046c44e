//! The softmax of ciphertexts.

use std::borrow::Cow;
use std::cell::Cell;

use super::softmax::log_bound;
use super::{Layout, Softmax, SoftmaxPlan, Vectors};
use crate::base::error::{Error, Result};
use crate::circuits::{Bootstrap, Chebyshev, PolynomialPlan};
use crate::ckks::ciphertext::{Ciphertext, check_scales};
use crate::ckks::encoding::Encoder;
use crate::ckks::eval::Evaluator;

/// Computes with ciphertexts, which have the nominal scale of their level after every step.
pub struct Encrypted<'a> {
    evaluator: &'a Evaluator,
    encoder: Encoder,
    bootstrap: Option<&'a dyn Bootstrap>,
    plan: &'a SoftmaxPlan,
    /// The number of checkpoints that were passed.
    passed: Cell<usize>,
}

impl<'a> Encrypted<'a> {
    /// Runs a variant by its plan. Returns the softmax of the rows of x, at the plan's last level.
    ///
    /// # Errors
    /// [`Error::LowLevel`] if x is below the plan's first level, [`Error::Level`]
    /// if there is no such level or the bootstrapping has other levels than were planned for,
    /// [`Error::MissingKey`], [`Error::Unsupported`] if the plan asks for a bootstrapping and there
    /// is none.
    pub fn softmax(
        variant: &impl Softmax,
        plan: &'a SoftmaxPlan,
        evaluator: &'a Evaluator,
        bootstrap: Option<&'a dyn Bootstrap>,
        x: &Ciphertext,
    ) -> Result<Ciphertext> {
        let params = evaluator.params();
        params.check_level(plan.level())?;
        let x = evaluator.adjust(x, plan.level(), params.scale(plan.level()))?;
        let encoder = Encoder::new(params);
        variant.run(&Self { evaluator, encoder, bootstrap, plan, passed: Cell::new(0) }, x)
    }

    /// Returns both at the lower one of their levels.
    /// A ciphertext that has this level already is not copied.
    fn aligned<'b>(&self, a: &'b Ciphertext, b: &'b Ciphertext) -> Result<[Cow<'b, Ciphertext>; 2]> {
        let level = a.level().min(b.level());
        let scale = self.evaluator.params().scale(level);
        let at_level = |x: &'b Ciphertext| match x.level() == level {
            true => check_scales(x.scale(), scale).map(|()| Cow::Borrowed(x)),
            false => self.evaluator.adjust(x, level, scale).map(Cow::Owned),
        };
        Ok([at_level(a)?, at_level(b)?])
    }

    /// Rescales a. Its scale, which is right up to rounding, is set to exactly the nominal one.
    fn settled(&self, mut a: Ciphertext) -> Result<Ciphertext> {
        self.evaluator.rescale_assign(&mut a)?;
        a.set_scale(self.evaluator.params().scale(a.level()))?;
        Ok(a)
    }
}

impl Vectors for Encrypted<'_> {
    type Vector = Ciphertext;

    fn layout(&self) -> &Layout {
        self.plan.layout()
    }

    fn add(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext> {
        let [a, b] = self.aligned(a, b)?;
        self.evaluator.add(&a, &b)
    }

    fn sub(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext> {
        let [a, b] = self.aligned(a, b)?;
        self.evaluator.sub(&a, &b)
    }

    fn mul(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext> {
        let [a, b] = self.aligned(a, b)?;
        let mut out = self.evaluator.mul_rescale(&a, &b)?;
        out.set_scale(self.evaluator.params().scale(out.level()))?;
        Ok(out)
    }

    fn mul_slots(&self, a: &Ciphertext, constants: &[f64]) -> Result<Ciphertext> {
        let (params, level) = (self.evaluator.params(), a.level());
        if level == 0 {
            return Err(Error::NoLevelsLeft { operation: "a product with constants", needed: 1, level });
        }
        let scale = params.scale(level - 1) * params.q(level).as_f64() / a.scale();
        let product = if constants.iter().all(|c| *c == constants[0]) {
            self.evaluator.mul_constant(a, constants[0], scale)?
        } else {
            self.evaluator.mul_plain(a, &self.encoder.encode(constants, level, scale)?)?
        };
        self.settled(product)
    }

    fn add_slots(&self, a: &Ciphertext, constants: &[f64]) -> Result<Ciphertext> {
        if constants.iter().all(|c| *c == constants[0]) {
            return self.evaluator.add_constant(a, constants[0]);
        }
        self.evaluator.add_plain(a, &self.encoder.encode(constants, a.level(), a.scale())?)
    }

    fn polynomial(&self, a: &Ciphertext, p: &Chebyshev) -> Result<Ciphertext> {
        let params = self.evaluator.params();
        let plan = PolynomialPlan::new(params, p.clone(), a.level())?;
        self.evaluator.polynomial(a, &plan, params.scale(a.level() - plan.depth()))
    }

    fn rotate(&self, a: &Ciphertext, k: i64) -> Result<Ciphertext> {
        self.evaluator.rotate(a, k * self.layout().stride() as i64)
    }

    fn rotate_sum(&self, a: &Ciphertext, k: i64) -> Result<Ciphertext> {
        self.evaluator.rotate_sum(a, k * self.layout().stride() as i64)
    }

    fn checkpoint_amplified(&self, live: &mut [(&mut Ciphertext, f64)], log_gain: u32) -> Result<()> {
        let here = self.passed.replace(self.passed.get() + 1);
        if !self.plan.refreshes().contains(&here) {
            return Ok(());
        }
        let bootstrap = self.bootstrap.ok_or(Error::Unsupported { what: "a bootstrapping that the plan asks for" })?;
        for (x, bound) in live.iter_mut().filter(|(x, _)| x.level() < bootstrap.output_level()) {
            **x = bootstrap.bootstrap_bounded(self.evaluator, x, log_bound(*bound, log_gain))?;
        }
        Ok(())
    }
}
