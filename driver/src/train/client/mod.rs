//! The side that owns the data and the secret key.

pub mod twins;
pub mod validator;

use std::fmt::Display;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

pub use twins::Twins;
pub use validator::Validator;

use crate::base::error::{Error, Result, check_count, check_integer};
use crate::base::parallel::try_map;
use crate::ckks::ciphertext::{Ciphertext, check_scales};
use crate::ckks::encoding::Encoder;
use crate::ckks::encryption::SeededCiphertext;
use crate::ckks::keys::{SecretKey, check_hash};
use crate::train::data::dataset::Split;
use crate::train::plan::TrainPlan;

/// A batch of rows that were encrypted together.
#[derive(Clone, Debug)]
pub struct SeededBatch {
    /// The blocks of features.
    pub features: Vec<SeededCiphertext>,
    /// The one-hot labels.
    pub labels: Vec<SeededCiphertext>,
}

/// Encrypts rows, and decrypts outputs and weights.
#[derive(Debug)]
pub struct Client {
    plan: TrainPlan,
    secret: SecretKey,
    encoder: Encoder,
}

impl Client {
    /// Creates a client with a secret key for the plan's parameters.
    ///
    /// # Errors
    /// [`Error::OtherParameters`] for a secret key of other parameters.
    pub fn new(plan: TrainPlan, secret: SecretKey) -> Result<Self> {
        check_hash(secret.parameters_hash(), plan.params())?;
        let encoder = Encoder::new(plan.params());
        Ok(Self { plan, secret, encoder })
    }

    /// Returns the plan.
    #[must_use]
    pub const fn plan(&self) -> &TrainPlan {
        &self.plan
    }

    /// Returns the secret key.
    #[must_use]
    pub const fn secret(&self) -> &SecretKey {
        &self.secret
    }

    /// Encrypts rows `from..from + rows` of a split: the features with the bias at the level of the
    /// products, and the labels at the level of the errors.
    ///
    /// # Errors
    /// [`Error::Count`] if the split does not have these features or rows;
    /// [`Error::Range`] for more rows than a batch has, and for a label that is not a class.
    pub fn encrypt(
        &self,
        split: &Split,
        from: usize,
        rows: usize,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<SeededBatch> {
        let (circuit, shape) = (self.plan.circuit(), self.plan.shape());
        check_count("features", split.columns, shape.features)?;
        check_integer("rows of a batch", rows, 1, self.plan.batch())?;
        check_integer("first row of a batch", from, 0, split.rows().saturating_sub(rows))?;
        check_count("rows of a split", split.rows(), split.rows().max(from + rows))?;
        let labels = &split.labels[from..from + rows];
        if let Some(&label) = labels.iter().find(|&&label| label as usize >= shape.classes) {
            let max = shape.classes as f64 - 1.0;
            return Err(Error::Range { what: "label", value: label.into(), min: 0.0, max });
        }
        let mut values = vec![0.0; circuit.dimensions().rows * (shape.features + 1)];
        for (i, row) in values.chunks_mut(shape.features + 1).take(rows).enumerate() {
            row.iter_mut().zip(split.row(from + i)).for_each(|(to, &x)| *to = x.into());
            row[shape.features] = 1.0;
        }
        let packed = circuit.features().pack(&values)?;
        let levels = self.plan.levels();
        let features = self.encrypt_all(packed.blocks(), levels.features, rng)?;
        let one_hot =
            circuit.pack_outputs(|row, class| f64::from(u8::from(row < rows && labels[row] as usize == class)))?;
        let labels = self.encrypt_all(&one_hot, levels.errors, rng)?;
        Ok(SeededBatch { features, labels })
    }

    /// Encrypts an initial state: the weights as a matrix of classes by features with the bias
    /// last, and V in the same form.
    ///
    /// # Errors
    /// [`Error::Count`] for matrices of another size.
    pub fn encrypt_state(
        &self,
        weights: &[f64],
        v: &[f64],
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Vec<SeededCiphertext>> {
        let slots = self.plan.circuit().pack_state(weights, v)?;
        self.encrypt_all(&slots, self.plan.bootstrap().output_level(), rng)
    }

    fn encrypt_all<T: Into<num_complex::Complex64> + Copy + Sync + Send>(
        &self,
        slots: &[Vec<T>],
        level: usize,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Vec<SeededCiphertext>> {
        let scale = self.plan.params().scale(level);
        let one = |slots: &Vec<T>| self.secret.encrypt_seeded(&self.encoder.encode(slots, level, scale)?, rng);
        slots.iter().map(one).collect()
    }

    /// Decrypts ciphertexts from the server, which may be anything: all that is computed from the
    /// values relies on vectors of all slots. The result is wiped when it is dropped.
    fn decrypt_all(&self, what: &'static str, list: &[Ciphertext]) -> Result<Zeroizing<Vec<Vec<f64>>>> {
        let params = self.plan.params();
        list.iter().try_for_each(|v| {
            let wrong = |field, value: &dyn Display, wanted: &dyn Display| {
                Err(Error::malformed(what, format_args!("{field} of a ciphertext"), value, wanted))
            };
            v.check(params)?;
            v.key_generation().check(self.secret.key_generation())?;
            let (level, scale) = (v.level(), v.scale());
            let nominal = params.scale(level);
            if v.degree() != 1 {
                return wrong("degree", &v.degree(), &1);
            }
            if v.slots() != params.slots() {
                return wrong("slots", &v.slots(), &params.slots());
            }
            if check_scales(nominal, scale).is_err() {
                return wrong("scale", &scale, &format_args!("{nominal} at level {level}"));
            }
            Ok(())
        })?;
        let values = try_map(list, |v| self.encoder.decode_real(&self.secret.decrypt(v)?)).map(Zeroizing::new)?;
        let found = values.iter().flatten().find(|x| !x.is_finite());
        found.map_or(Ok(()), |x| Err(Error::malformed(what, "decrypted value", x, "finite")))?;
        Ok(values)
    }

    /// Decrypts the server's outputs to logits, one vector for each row. Of all that is computed
    /// from them, only the answer whether to go on may be sent back to the server.
    ///
    /// # Errors
    /// [`Error::Count`] for outputs of another shape, [`Error::Range`] for more rows than a batch
    /// has, [`Error::OtherParameters`], [`Error::OtherKeys`]; [`Error::Malformed`] for another
    /// degree, scale or number of slots, and for values that are not finite.
    pub fn logits(&self, outputs: &[Ciphertext], rows: usize) -> Result<Vec<Vec<f64>>> {
        let circuit = self.plan.circuit();
        check_count("ciphertexts of outputs", outputs.len(), circuit.outputs())?;
        check_integer("rows of a batch", rows, 1, self.plan.batch())?;
        let mut logits = circuit.unpack_outputs(&self.decrypt_all("outputs", outputs)?, rows)?;
        let range = self.plan.config().logit_range;
        logits.iter_mut().flatten().for_each(|x| *x *= range);
        Ok(logits)
    }

    /// Decrypts W and V, each as a matrix of classes by features with the bias last.
    /// They must not be given away: see [`SecretKey::decrypt`].
    ///
    /// # Errors
    /// As [`Client::logits`].
    pub fn weights(&self, state: &[Ciphertext]) -> Result<[Vec<f64>; 2]> {
        check_count("ciphertexts of the state", state.len(), self.plan.circuit().states())?;
        self.plan.circuit().unpack_state(&self.decrypt_all("model", state)?)
    }
}
