//! The error type of the crate. Its variants carry the refused values.

use std::fmt::Display;

use crate::base::key_generation::KeyGeneration;
use crate::base::key_id::KeyId;
use crate::base::text::printable;

/// The reason why the driver refused its input: wrong data or configuration.
/// Wrong code (a slice of the wrong length handed to a function that states its length) is a
/// documented panic instead.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The ring arithmetic refused a number.
    #[error(transparent)]
    Kernel(#[from] hetal_kernel::Error),
    /// A parameter literal is not usable.
    #[error("parameters {name}: {reason}")]
    Parameters {
        /// The literal's name.
        name: String,
        /// The reason, with the value that is wrong.
        reason: String,
    },
    /// No preset has this name.
    #[error("unknown preset {name:?}: use one of {known}")]
    UnknownPreset {
        /// The requested name.
        name: String,
        /// The names of all presets.
        known: String,
    },
    /// The modulus is too large for 128-bit security.
    #[error("parameters {name}: {}", insecure(*log_n, *weight, *log_qp, *bound))]
    Insecure {
        /// The literal's name.
        name: String,
        /// The log2 of the ring degree.
        log_n: u32,
        /// The weight of the sparse secret of a bootstrapping; `None` for the secret of the
        /// parameters.
        weight: Option<usize>,
        /// The log2 of the product of all primes under which that secret has keys.
        log_qp: f64,
        /// The largest secure log2; 0 if none is known to be secure.
        bound: u32,
    },
    /// The ring does not have this number of slots.
    #[error("{slots} slots: must be a power of two from 1 to {max}")]
    Slots {
        /// The refused number.
        slots: usize,
        /// The largest number of slots, N/2.
        max: usize,
    },
    /// The parameters do not have this level.
    #[error("level {level} does not exist: the highest is {max}")]
    Level {
        /// The refused level.
        level: usize,
        /// The highest level.
        max: usize,
    },
    /// A ciphertext, or an object made for a level, is below the needed level.
    #[error(
        "level {level} where level {needed} or a higher one is needed: bootstrap before, or go on at a lower level"
    )]
    LowLevel {
        /// The level.
        level: usize,
        /// The lowest level that would do.
        needed: usize,
    },
    /// Two operands, or a plan and an actual object, have different levels.
    #[error("levels differ: {left} and {right}: bring both to one")]
    LevelMismatch {
        /// The first level.
        left: usize,
        /// The second level.
        right: usize,
    },
    /// An operation needs more levels than are left.
    #[error("{operation} needs {needed} levels and the ciphertext is at level {level}: bootstrap before it")]
    NoLevelsLeft {
        /// The operation.
        operation: &'static str,
        /// The number of levels that it consumes.
        needed: usize,
        /// The level of the ciphertext.
        level: usize,
    },
    /// A scale is not a positive finite number, or is too large for the modulus.
    #[error("scale {scale:e} at level {level}: must be positive and below the modulus of 2^{log_q:.0}")]
    Scale {
        /// The refused scale.
        scale: f64,
        /// The level.
        level: usize,
        /// The log2 of the modulus at that level.
        log_q: f64,
    },
    /// Two operands have different scales.
    #[error("scales differ: 2^{} and 2^{}: rescale or adjust one of them", left.log2(), right.log2())]
    ScaleMismatch {
        /// The scale of the first operand.
        left: f64,
        /// The scale of the second operand.
        right: f64,
    },
    /// The degree of an operand in the secret is not the one that the operation takes.
    #[error("a ciphertext of degree {degree} where {wanted} is needed: relinearise first")]
    Degree {
        /// The degree of the operand.
        degree: usize,
        /// The wanted degree.
        wanted: usize,
    },
    /// A value cannot be encoded.
    #[error("value {value:e} at slot {slot} is not finite")]
    NotFinite {
        /// The value's slot.
        slot: usize,
        /// The value.
        value: f64,
    },
    /// Values times the scale exceed the modulus.
    #[error("values need {needed:.1} bits at scale 2^{:.1} and level {level} has 2^{log_q:.1}: use a smaller scale or a higher level", scale.log2())]
    Overflow {
        /// The log2 of twice the largest coefficient.
        needed: f64,
        /// The scale.
        scale: f64,
        /// The level.
        level: usize,
        /// The log2 of the modulus.
        log_q: f64,
    },
    /// A list does not have the needed length.
    #[error("{found} {what} where {wanted} are needed")]
    Count {
        /// The counted things.
        what: &'static str,
        /// The number that there is.
        found: usize,
        /// The needed number.
        wanted: usize,
    },
    /// No key serves this operation at this level.
    #[error("missing {id} for level {level}: add it to the key request")]
    MissingKey {
        /// The kind of the missing key.
        id: KeyId,
        /// The ciphertext's level.
        level: usize,
    },
    /// Objects belong to different parameters.
    #[error("parameter hash {found} where {wanted} is needed: the object was made under other parameters")]
    OtherParameters {
        /// The object's hash, in hexadecimal.
        found: String,
        /// The hash in use, in hexadecimal.
        wanted: String,
    },
    /// Objects belong to different secret keys of the same parameters.
    #[error(
        "made with other keys: key generation {found} where {wanted} is needed: use keys and data that were made together, \
             or encrypt the data again with these keys"
    )]
    OtherKeys {
        /// The key generation of the object.
        found: KeyGeneration,
        /// The key generation in use.
        wanted: KeyGeneration,
    },
    /// A secret key is not one that the sampler draws. Nothing else is revealed about it.
    #[error(
        "the secret key was not drawn at random: it must have {wanted}; its file is damaged or not from keygen: use a copy of \
             the right one, or make new keys"
    )]
    ImplausibleSecret {
        /// The property that secrets of these parameters have.
        wanted: String,
    },
    /// A setting of a circuit or of a sampler is outside its range.
    #[error("{what} {value}: must be from {min} to {max}")]
    Range {
        /// The setting.
        what: &'static str,
        /// The refused value.
        value: f64,
        /// The smallest accepted value.
        min: f64,
        /// The largest accepted value.
        max: f64,
    },
    /// A number that has to be a power of two is not one.
    #[error("{what} {value}: must be a power of two")]
    PowerOfTwo {
        /// The meaning of the number.
        what: &'static str,
        /// The refused number.
        value: usize,
    },
    /// Two settings exclude each other.
    #[error("{first} and {second} exclude each other: choose one of them")]
    Conflict {
        /// One of them.
        first: &'static str,
        /// The other one.
        second: &'static str,
    },
    /// There are more things of a kind than there is room for.
    #[error("{found} {what}: {place} has room for at most {most}: {advice}")]
    TooMany {
        /// The counted things.
        what: &'static str,
        /// The number that there is.
        found: usize,
        /// The place where the limit comes from.
        place: String,
        /// The largest number.
        most: usize,
        /// Advice that would work.
        advice: &'static str,
    },
    /// No polynomials reach the wanted error of softmax.
    #[error(
        "no softmax of {classes} classes with logits up to {range} has an error of at most {error}: {}",
        reachable.map_or_else(
            || "use fewer classes or a smaller logit_range".to_owned(),
            |error| format!("set softmax_error to {error}, or use fewer classes or a smaller logit_range"),
        )
    )]
    SoftmaxError {
        /// The number of classes.
        classes: usize,
        /// The largest magnitude of logits.
        range: f64,
        /// The wanted error.
        error: f64,
        /// A larger error that can be reached.
        reachable: Option<f64>,
    },
    /// A step of training needs more levels than a bootstrapping leaves.
    #[error(
        "preset {preset}: a bootstrapping leaves {levels} levels and a step of training needs {needed} at a time: use a preset with \
             more levels, such as n16"
    )]
    FewLevels {
        /// The name of the parameters.
        preset: String,
        /// The number of levels from one bootstrapping to the next.
        levels: usize,
        /// The number of levels that would do.
        needed: usize,
    },
    /// A stored object is malformed, or an object cannot be stored.
    #[error("{object}: {field} {value}: must be {wanted}")]
    Malformed {
        /// The kind of object.
        object: &'static str,
        /// The field of the object.
        field: String,
        /// The refused value.
        value: String,
        /// The accepted values.
        wanted: String,
    },
    /// An input ends before the object that it declares.
    #[error("{object}: {missing} bytes are missing: the input ends within the {field}")]
    Truncated {
        /// The kind of object.
        object: &'static str,
        /// The field that is incomplete.
        field: String,
        /// The number of bytes that the object has beyond the end.
        missing: u64,
    },
    /// Reading or writing failed.
    #[error("{context}: {message}")]
    Io {
        /// The action that failed.
        context: String,
        /// The kind of failure.
        kind: std::io::ErrorKind,
        /// The operating system's message.
        message: String,
    },
    /// A file has wrong content.
    #[error("{path}: {error}")]
    File {
        /// The path.
        path: String,
        /// The error in its content.
        error: Box<Self>,
    },
    /// Another process holds a lock on a folder.
    #[error("{path} is in use: another process makes it or trains in it; wait until it has ended")]
    InUse {
        /// The folder.
        path: String,
    },
    /// A data set is not the one that was encrypted.
    #[error("data set: {part}: {what}: use the data that were encrypted, or encrypt these")]
    OtherData {
        /// The set of rows.
        part: &'static str,
        /// The difference.
        what: String,
    },
    /// A training was interrupted, and its state was written.
    #[error("interrupted after step {step}: continue with --resume")]
    Interrupted {
        /// The number of steps done.
        step: usize,
    },
    /// This system does not offer something.
    #[error("{what} is not available")]
    Unsupported {
        /// The missing feature.
        what: &'static str,
    },
    /// The operating system gave no random bytes.
    #[error("no randomness from the operating system: {0}")]
    Randomness(String),
}

/// Explains why a modulus is refused.
fn insecure(log_n: u32, weight: Option<usize>, log_qp: f64, bound: u32) -> String {
    match (weight, bound) {
        (None, _) => format!(
            "log QP = {log_qp:.1} bits exceeds {bound} bits, the limit for 128-bit security at N = 2^{log_n}: \
             drop levels or special primes, or raise N"
        ),
        (Some(weight), 0) => format!(
            "the secret of weight {weight} that bootstrapping needs has a modulus q_0·p_0 of {log_qp:.1} bits, and none is \
             known to be 128-bit secure at N = 2^{log_n}: use N = 2^15 or 2^16"
        ),
        (Some(weight), _) => format!(
            "the secret of weight {weight} that bootstrapping needs has a modulus q_0·p_0 of {log_qp:.1} bits, which exceeds \
             {bound} bits, the limit for 128-bit security at N = 2^{log_n}: make q_0 or p_0 smaller"
        ),
    }
}

impl Error {
    /// Creates the error for a failure of the operating system; `context` says what was being done.
    pub(crate) fn io(context: impl Display, error: &std::io::Error) -> Self {
        let (context, message) = (printable(&context.to_string()), printable(&error.to_string()));
        Self::Io { context, kind: error.kind(), message }
    }

    /// Adds the path of the file in which the error was found.
    pub(crate) fn in_file(self, path: &std::path::Path) -> Self {
        Self::File { path: printable(&path.display().to_string()), error: Box::new(self) }
    }

    /// Creates the error for a field of a stored object that does not have a wanted value.
    pub(crate) fn malformed(
        object: &'static str,
        field: impl Display,
        value: impl Display,
        wanted: impl Display,
    ) -> Self {
        let [field, value, wanted] =
            [field.to_string(), value.to_string(), wanted.to_string()].map(|text| printable(&text));
        Self::Malformed { object, field, value, wanted }
    }
}

impl KeyGeneration {
    /// Checks that two objects belong together: this id has to equal `wanted`.
    ///
    /// # Errors
    /// [`Error::OtherKeys`] if they differ.
    pub fn check(self, wanted: Self) -> Result<()> {
        if self == wanted { Ok(()) } else { Err(Error::OtherKeys { found: self, wanted }) }
    }
}

/// Refuses a setting outside its range, and NaN.
pub(crate) fn check_range(what: &'static str, value: f64, min: f64, max: f64) -> Result<()> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(Error::Range { what, value, min, max }) }
}

/// Does the same as [`check_range`] for integers.
pub(crate) fn check_integer(what: &'static str, value: usize, min: usize, max: usize) -> Result<()> {
    let [value, min, max] = [value, min, max].map(|x| x as f64);
    check_range(what, value, min, max)
}

/// Refuses a number that is not a power of two.
pub(crate) fn check_power_of_two(what: &'static str, value: usize) -> Result<()> {
    if value.is_power_of_two() { Ok(()) } else { Err(Error::PowerOfTwo { what, value }) }
}

/// Refuses a level below the one that is needed.
pub(crate) fn check_reaches(level: usize, needed: usize) -> Result<()> {
    if level >= needed { Ok(()) } else { Err(Error::LowLevel { level, needed }) }
}

/// Refuses a list whose length is not the needed one.
pub(crate) fn check_count(what: &'static str, found: usize, wanted: usize) -> Result<()> {
    if found == wanted { Ok(()) } else { Err(Error::Count { what, found, wanted }) }
}

/// The result type of the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
