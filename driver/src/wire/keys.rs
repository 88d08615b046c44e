//! Writes and reads evaluation keys, one at a time.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::io::{Read, Write};

use hetal_kernel::{GaloisElement, KeySwitchKey};

use super::body::{Body, Sink};
use super::{Header, Kind};
use crate::base::error::{Error, Result};
use crate::base::key_generation::KeyGeneration;
use crate::ckks::keys::{EvaluationKey, KeyId, KeySet, check_hash};
use crate::ckks::params::Parameters;

/// The bytes that the number of keys takes.
const COUNT_LEN: u64 = 4;
/// The bytes of a record before its key.
const RECORD_LEN: u64 = 16;

/// A key of a record, formatted for messages.
struct Record(KeyId, usize);

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} for level {}", self.0, self.1)
    }
}

fn malformed(index: usize, field: &str, value: impl std::fmt::Display, wanted: impl std::fmt::Display) -> Error {
    Error::malformed(Kind::EvaluationKeys.name(), format_args!("{field} of record {index}"), value, wanted)
}

/// Returns the bytes that the evaluation keys of a plan take, header included:
/// the length of what [`write_evaluation_keys`] will write.
///
/// # Errors
/// [`Error::Malformed`] if the plan names a key twice; [`Error::Level`].
pub fn evaluation_keys_len(params: &Parameters, plan: &[(KeyId, usize)]) -> Result<u64> {
    let mut seen = BTreeSet::new();
    let mut len = Header::LEN as u64 + COUNT_LEN;
    for (index, &(id, level)) in plan.iter().enumerate() {
        if !seen.insert((id, level)) {
            return Err(malformed(index, "key", Record(id, level), "planned once"));
        }
        len += RECORD_LEN + KeySwitchKey::encoded_len(&*params.gadget(level)?) as u64;
    }
    Ok(len)
}

/// Writes evaluation keys as they come. `plan` says beforehand which ones they are
/// ([`KeyRequests::plan`](crate::KeyRequests::plan)), because the header has their number and
/// length. Thus a set need not fit in memory:
/// with [`SecretKey::evaluation_keys_iter`](crate::SecretKey::evaluation_keys_iter),
/// keys are made while others are written. Apart from a key, only its encoding is in memory.
/// The header has the key generation of the first key.
///
/// # Errors
/// [`Error::Malformed`] if the plan names a key twice, or if the keys are not those of the plan in
/// its order; [`Error::OtherKeys`] if they are not all of one key generation;
/// [`Error::Level`], [`Error::OtherParameters`], [`Error::Io`], and the first error among the keys.
pub fn write_evaluation_keys<K: Borrow<EvaluationKey>>(
    out: &mut impl Write,
    params: &Parameters,
    plan: &[(KeyId, usize)],
    keys: impl IntoIterator<Item = Result<K>>,
) -> Result<()> {
    let len = evaluation_keys_len(params, plan)?;
    let too_many = |_| malformed(plan.len(), "number", plan.len(), "below 2^32");
    let count = u32::try_from(plan.len()).map_err(too_many)?;
    let mut sink = Sink::new(out, Kind::EvaluationKeys);
    let mut keys = keys.into_iter().peekable();
    let generation = match keys.peek() {
        Some(Ok(key)) => key.borrow().generation,
        // The error is returned below, where the key is taken.
        Some(Err(_)) | None => KeyGeneration::NONE,
    };
    Header::write(Kind::EvaluationKeys, params.hash(), generation, len - Header::LEN as u64, &mut sink)?;
    sink.bytes(&count.to_le_bytes())?;

    let mut encoded = Vec::new();
    for (index, &(id, level)) in plan.iter().enumerate() {
        let Some(key) = keys.next() else {
            return Err(malformed(index, "key", "absent", Record(id, level)));
        };
        let key = key?;
        let key: &EvaluationKey = key.borrow();
        check_hash(key.hash, params)?;
        key.generation.check(generation)?;
        if (key.id, key.level) != (id, level) {
            return Err(malformed(index, "key", Record(key.id, key.level), Record(id, level)));
        }
        let (kind, element) = match id {
            KeyId::Relinearisation => (0, 0),
            // The element is below 2N, so that it fits.
            KeyId::Galois(element) => (1, element.value() as u32),
        };
        let len = KeySwitchKey::encoded_len(&key.gadget);
        let shape = params.gadget_shape(level);
        // A level is below 64, and there are at most 64 ciphertext primes and 64 special primes.
        let mut record = vec![kind, level as u8, shape.special as u8, shape.alpha as u8];
        record.extend(element.to_le_bytes());
        record.extend((len as u64).to_le_bytes());
        sink.bytes(&record)?;
        resize(&mut encoded, len);
        key.key.encode(&key.gadget, &mut encoded);
        sink.bytes(&encoded)?;
    }
    if let Some(key) = keys.next() {
        let key = key?;
        let key: &EvaluationKey = key.borrow();
        return Err(malformed(plan.len(), "key", Record(key.id, key.level), "absent"));
    }
    sink.flush()
}

/// Gives the vector exactly this length, in the same memory as long as that suffices.
fn resize(bytes: &mut Vec<u8>, len: usize) {
    bytes.truncate(len);
    bytes.reserve_exact(len - bytes.len());
    bytes.resize(len, 0);
}

/// Writes a set of evaluation keys that is in memory.
///
/// # Errors
/// [`Error::OtherParameters`], [`Error::Io`].
pub fn write_key_set(out: &mut impl Write, params: &Parameters, keys: &KeySet) -> Result<()> {
    let plan: Vec<_> = keys.iter().map(|key| (key.id, key.level)).collect();
    write_evaluation_keys(out, params, &plan, keys.iter().map(Ok))
}

/// An iterator that reads evaluation keys one at a time. It ends after an error.
pub struct EvaluationKeyReader<'a> {
    body: Body<'a>,
    params: Parameters,
    generation: KeyGeneration,
    count: usize,
    next: usize,
    seen: BTreeSet<(KeyId, usize)>,
    encoded: Vec<u8>,
}

impl std::fmt::Debug for EvaluationKeyReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EvaluationKeyReader")
            .field("count", &self.count)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// Begins to read evaluation keys.
///
/// # Errors
/// [`Error::Malformed`] names the field and its value; [`Error::OtherParameters`],
/// [`Error::Truncated`], [`Error::Io`]. The iterator returns the same errors;
/// it returns the last key only if the body ends with it.
pub fn read_evaluation_keys<'a>(input: &'a mut impl Read, params: &Parameters) -> Result<EvaluationKeyReader<'a>> {
    let header = Header::read(input)?;
    header.check_kind(Kind::EvaluationKeys)?;
    check_hash(header.hash, params)?;
    let mut body = Body::new(input, Kind::EvaluationKeys, header.body_len);
    let count = u32::from_le_bytes(body.array("number of keys")?);
    // Every record has at least its fixed part.
    let least = COUNT_LEN + u64::from(count) * RECORD_LEN;
    if header.body_len < least {
        return Err(body.malformed("body length", header.body_len, format_args!("at least {least} for {count} keys")));
    }
    super::check_generation(Kind::EvaluationKeys, header.generation, count > 0)?;
    if count == 0 {
        body.end()?;
    }
    let reader = EvaluationKeyReader {
        body,
        params: params.clone(),
        generation: header.generation,
        count: count as usize,
        next: 0,
        seen: BTreeSet::new(),
        encoded: Vec::new(),
    };
    Ok(reader)
}

impl EvaluationKeyReader<'_> {
    /// Returns the key generation of all keys to come; [`KeyGeneration::NONE`] if there are none.
    #[must_use]
    pub const fn key_generation(&self) -> KeyGeneration {
        self.generation
    }

    fn read(&mut self) -> Result<EvaluationKey> {
        let (index, body, params) = (self.next, &mut self.body, &self.params);
        let mut record = [0; RECORD_LEN as usize];
        body.fill(&mut record, format_args!("beginning of record {index}"))?;
        let [kind, level, special, alpha] = super::part(&record, 0);
        let element = u32::from_le_bytes(super::part(&record, 4));
        let len = u64::from_le_bytes(super::part(&record, 8));
        let id = match (kind, element) {
            (0, 0) => KeyId::Relinearisation,
            (0, element) => return Err(malformed(index, "Galois element", element, "0 for a relinearisation key")),
            (1, element) => KeyId::Galois(GaloisElement::new(element.into(), params.log_n()).map_err(|_| {
                malformed(index, "Galois element", element, format_args!("odd and below {}", 2 * params.n()))
            })?),
            (kind, _) => return Err(malformed(index, "kind", kind, "0 or 1")),
        };
        let level = usize::from(level);
        if level > params.max_level() {
            return Err(malformed(index, "level", level, format_args!("at most {}", params.max_level())));
        }
        let shape = params.gadget_shape(level);
        for (field, found, wanted) in
            [("special primes", special, shape.special), ("limbs in a digit", alpha, shape.alpha)]
        {
            if usize::from(found) != wanted {
                return Err(malformed(index, field, found, format_args!("{wanted} at level {level}")));
            }
        }
        if !self.seen.insert((id, level)) {
            return Err(malformed(index, "key", Record(id, level), "there once"));
        }
        let gadget = params.gadget(level)?;
        let wanted = KeySwitchKey::encoded_len(&gadget);
        if len != wanted as u64 {
            return Err(malformed(index, "length", len, format_args!("{wanted} at level {level}")));
        }
        if len > body.left() {
            let left = body.left();
            return Err(malformed(index, "length", len, format_args!("at most {left}, what is left of the body")));
        }
        resize(&mut self.encoded, wanted);
        body.fill(&mut self.encoded, format_args!("key of record {index}"))?;
        let key = KeySwitchKey::decode(&gadget, &self.encoded)
            .map_err(|error| body.residue(format_args!("record {index}"), error))?;
        if index + 1 == self.count {
            body.end()?;
        }
        EvaluationKey::new(params, self.generation, id, level, key)
    }
}

impl Iterator for EvaluationKeyReader<'_> {
    type Item = Result<EvaluationKey>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.count {
            return None;
        }
        let key = self.read();
        self.next = if key.is_ok() { self.next + 1 } else { self.count };
        Some(key)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // The declared keys may be missing: a caller that reserves memory by the lower bound must
        // not have to trust the input.
        (0, Some(self.count - self.next))
    }
}

impl std::iter::FusedIterator for EvaluationKeyReader<'_> {}

/// Reads a set of evaluation keys into memory. Apart from the keys, only the encoding of one is in
/// memory.
///
/// # Errors
/// As for [`read_evaluation_keys`].
pub fn read_key_set(input: &mut impl Read, params: &Parameters) -> Result<KeySet> {
    let mut keys = KeySet::default();
    for key in read_evaluation_keys(input, params)? {
        keys.insert(key?)?;
    }
    Ok(keys)
}
