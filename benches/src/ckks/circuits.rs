//! The operations of the evaluator, at one level.

use std::sync::Arc;

use hetal::circuits::{Chebyshev, EncodedTransform, LinearPlan, LinearTransform, PolynomialPlan};
use hetal::{Ciphertext, Complex64, Evaluator, KeyRequests, Plaintext};
use rand_chacha::ChaCha20Rng;

use super::{Setup, rng};

/// An operation on ciphertexts of N/2 slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A rotation by one slot.
    Rotate,
    /// The product of two ciphertexts, relinearised and rescaled.
    Multiply,
    /// The product of a ciphertext and a plaintext, rescaled.
    MultiplyPlain,
    /// The sum of two ciphertexts.
    Add,
    /// A division by one prime.
    Rescale,
    /// Rotations by 1 … 8 slots, one by one.
    Rotations,
    /// The same rotations, of one decomposition.
    Hoisted,
    /// A product with a matrix of the diagonals 1 … 8: these rotations with their ModDown
    /// postponed, including products and rescaling.
    Diagonals8,
    /// A product with a matrix of the diagonals −15 … 15.
    Diagonals31,
    /// A Chebyshev polynomial of degree 31.
    Polynomial31,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 10] = [
        Self::Rotate,
        Self::Multiply,
        Self::MultiplyPlain,
        Self::Add,
        Self::Rescale,
        Self::Rotations,
        Self::Hoisted,
        Self::Diagonals8,
        Self::Diagonals31,
        Self::Polynomial31,
    ];
    /// The operations that are a single step.
    pub const STEPS: [Self; 5] = [Self::Rotate, Self::Multiply, Self::MultiplyPlain, Self::Add, Self::Rescale];
    /// The operations that are whole circuits.
    pub const CIRCUITS: [Self; 2] = [Self::Diagonals31, Self::Polynomial31];
    /// Eight rotations in three ways; the second and third are compared with the first.
    pub const BATCHES: [Self; 3] = [Self::Rotations, Self::Hoisted, Self::Diagonals8];
    /// The operations that have to gain from a second thread.
    pub const THREADED: [Self; 4] = [Self::Rotate, Self::Multiply, Self::Diagonals31, Self::Polynomial31];

    /// Returns the name of the operation in the output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rotate => "rotate",
            Self::Multiply => "mul_relinearise_rescale",
            Self::MultiplyPlain => "mul_plain_rescale",
            Self::Add => "add",
            Self::Rescale => "rescale",
            Self::Rotations => "rotations_8",
            Self::Hoisted => "rotations_8_hoisted",
            Self::Diagonals8 => "transform_8_diagonals",
            Self::Diagonals31 => "transform_31_diagonals",
            Self::Polynomial31 => "chebyshev_degree_31",
        }
    }
}

/// The rotations of [`Operation::BATCHES`].
const STEPS: [i64; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

/// The degree of the polynomial.
const DEGREE: usize = 31;

/// Operands, keys and results of all [`Operation`]s at one level.
#[derive(Debug)]
pub struct Circuits<'a> {
    setup: &'a Setup,
    level: usize,
    evaluator: Evaluator,
    /// The slots z and w.
    slots: [Vec<Complex64>; 2],
    /// Encryptions of z, w, and the real part of z.
    operands: [Ciphertext; 3],
    /// An encoding of w.
    plain: Plaintext,
    /// An encryption of z, at a scale that the rescaling makes nominal.
    product: Ciphertext,
    few: Matrix,
    many: Matrix,
    polynomial: PolynomialPlan,
    /// The results of the last operation, followed by those that an earlier one left.
    out: Vec<Ciphertext>,
}

impl<'a> Circuits<'a> {
    /// Makes operands and keys: at N = 2^16 and the highest level, about 5 GiB of them.
    ///
    /// # Errors
    /// Those of `hetal`.
    pub fn new(setup: &'a Setup, level: usize) -> hetal::Result<Self> {
        let (params, mut rng) = (setup.params(), rng(2));
        let slots = [(); 2].map(|()| setup.slots(&mut rng));
        let [z, w] = &slots;
        let real: Vec<_> = z.iter().map(|z| z.re.into()).collect();
        let (scale, q) = (params.scale(level), params.q(level).as_f64());
        let mut encrypt = |values: &[Complex64], scale: f64| {
            setup.secret.encrypt(&setup.encoder.encode(values, level, scale)?, &mut rng)
        };
        let operands = [encrypt(z, scale)?, encrypt(w, scale)?, encrypt(&real, scale)?];
        let product = encrypt(z, scale * q)?;
        let [few, many] = [1..=8, -15..=15].map(|indices| Matrix::new(setup, indices, level, &mut rng));
        let (few, many) = (few?, many?);
        let polynomial = PolynomialPlan::new(params, series(), level)?;
        let requests = requests(setup, level, [few.plan(), many.plan()], &polynomial);
        let keys = setup.secret.evaluation_keys(&requests, &mut rng)?;
        Ok(Self {
            level,
            evaluator: Evaluator::new(params, Arc::new(keys)),
            plain: setup.encoder.encode(w, level, q)?,
            out: vec![Ciphertext::empty(params)],
            setup,
            slots,
            operands,
            product,
            few,
            many,
            polynomial,
        })
    }

    /// Returns the number of limbs of the operands.
    #[must_use]
    pub const fn limbs(&self) -> usize {
        self.level + 1
    }

    /// Does the operation. Results of single steps are written over the last ones.
    ///
    /// # Panics
    /// Never, if [`Circuits::check`] passes.
    pub fn run(&mut self, operation: Operation) {
        self.apply(operation).expect("was checked");
    }

    fn apply(&mut self, operation: Operation) -> hetal::Result<()> {
        let (evaluator, [z, w, real]) = (&self.evaluator, &self.operands);
        // Operations without an `_into` form free the last results first, so that they can take
        // this memory.
        let single = matches!(operation, Operation::Rotate | Operation::Multiply | Operation::MultiplyPlain);
        if !(single || matches!(operation, Operation::Add | Operation::Rescale)) {
            self.out = vec![Ciphertext::empty(evaluator.params())];
        }
        let out = &mut self.out[0];
        match operation {
            Operation::Rotate => evaluator.rotate_into(z, STEPS[0], out)?,
            Operation::Multiply => evaluator.mul_rescale_into(z, w, out)?,
            Operation::MultiplyPlain => {
                evaluator.mul_plain_into(z, &self.plain, out)?;
                evaluator.rescale_assign(out)?;
            }
            Operation::Add => evaluator.add_into(z, w, out)?,
            Operation::Rescale => evaluator.rescale_into(&self.product, out)?,
            Operation::Rotations => {
                self.out = STEPS.iter().map(|&k| evaluator.rotate(z, k)).collect::<hetal::Result<_>>()?;
            }
            Operation::Hoisted => self.out = evaluator.rotate_hoisted(z, &STEPS)?,
            Operation::Diagonals8 => *out = evaluator.transform(z, &self.few.encoded)?,
            Operation::Diagonals31 => *out = evaluator.transform(z, &self.many.encoded)?,
            Operation::Polynomial31 => {
                let scale = self.setup.params().scale(self.level - self.polynomial.depth());
                *out = evaluator.polynomial(real, &self.polynomial, scale)?;
            }
        }
        Ok(())
    }

    /// Returns the slots of the results, in plain arithmetic.
    fn expected(&self, operation: Operation) -> Vec<Vec<Complex64>> {
        let [z, w] = &self.slots;
        let slotwise =
            |f: fn(Complex64, Complex64) -> Complex64| vec![z.iter().zip(w).map(|(&z, &w)| f(z, w)).collect()];
        match operation {
            Operation::Rotate => vec![rotated(z, STEPS[0])],
            Operation::Multiply | Operation::MultiplyPlain => slotwise(|z, w| z * w),
            Operation::Add => slotwise(|z, w| z + w),
            Operation::Rescale => slotwise(|z, _| z),
            Operation::Rotations | Operation::Hoisted => STEPS.iter().map(|&k| rotated(z, k)).collect(),
            Operation::Diagonals8 => vec![self.few.times(z)],
            Operation::Diagonals31 => vec![self.many.times(z)],
            Operation::Polynomial31 => {
                let coefficients = self.polynomial.polynomial().coefficients();
                vec![z.iter().map(|z| chebyshev_sum(coefficients, z.re).into()).collect()]
            }
        }
    }

    /// Checks every operation against plain arithmetic.
    ///
    /// # Errors
    /// A description of the difference.
    pub fn check(&mut self) -> Result<(), String> {
        Operation::ALL.into_iter().try_for_each(|operation| {
            let what = format!("{}, {} limbs", operation.name(), self.limbs());
            let describe = |error: hetal::Error| format!("{what}: {error}");
            self.apply(operation).map_err(describe)?;
            self.out.iter().zip(self.expected(operation)).try_for_each(|(found, expected)| {
                self.setup.compare(&what, &self.setup.secret.decrypt(found).map_err(describe)?, &expected)
            })
        })
    }
}

/// Returns the keys of all operations at a level.
fn requests(setup: &Setup, level: usize, plans: [&LinearPlan; 2], polynomial: &PolynomialPlan) -> KeyRequests {
    let params = setup.params();
    let single = KeyRequests::default().relinearisation(level);
    let mut all = STEPS.iter().fold(single, |all, &k| all.rotation(params, k, level));
    plans.into_iter().for_each(|plan| all.extend(&plan.requests(params)));
    all.extend(&polynomial.requests());
    all
}

/// A random matrix with few diagonals.
#[derive(Debug)]
struct Matrix {
    diagonals: Vec<(i64, Vec<Complex64>)>,
    encoded: EncodedTransform,
}

impl Matrix {
    fn new(
        setup: &Setup,
        indices: std::ops::RangeInclusive<i64>,
        level: usize,
        rng: &mut ChaCha20Rng,
    ) -> hetal::Result<Self> {
        let params = setup.params();
        let diagonals: Vec<_> = indices.map(|k| (k, setup.slots(rng))).collect();
        let transform = LinearTransform::new(params.slots(), diagonals.iter().cloned())?;
        let plan = transform.plan(params, level, level)?;
        let encoded = EncodedTransform::new(&setup.encoder, &transform, plan, params.q(level).as_f64())?;
        Ok(Self { diagonals, encoded })
    }

    const fn plan(&self) -> &LinearPlan {
        self.encoded.plan()
    }

    /// Returns the product with a vector.
    fn times(&self, z: &[Complex64]) -> Vec<Complex64> {
        let mut sum = vec![Complex64::ZERO; z.len()];
        for (k, diagonal) in &self.diagonals {
            sum.iter_mut().zip(diagonal).zip(rotated(z, *k)).for_each(|((sum, d), z)| *sum += d * z);
        }
        sum
    }
}

/// Returns the slots rotated by k: slot j of the result is slot j + k.
fn rotated(z: &[Complex64], k: i64) -> Vec<Complex64> {
    let mut out = z.to_vec();
    out.rotate_left(k.rem_euclid(z.len() as i64) as usize);
    out
}

/// Returns a polynomial on [−1, 1] that needs all its coefficients. None of them is 0, and the sum
/// of their sizes, by which the noise of the T_i grows at most, is about 1.
fn series() -> Chebyshev {
    Chebyshev::new((0..=DEGREE).map(|i| (i as f64).cos() / 20.0).collect(), [-1.0, 1.0])
}

/// Returns Σ c_i·cos(i·arccos x).
fn chebyshev_sum(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().enumerate().map(|(i, c)| c * (i as f64 * x.acos()).cos()).sum()
}
