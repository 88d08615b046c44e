use std::sync::OnceLock;

use hetal::base::key_generation::KeyGeneration;
use hetal::ckks::encryption::SeededCiphertext;
use hetal::ckks::keys::EncapsulationKeys;
use hetal::ckks::params::{SecretDistribution, Security};
use hetal::wire::{self, Kind, Wire};
use hetal::{Ciphertext, Parameters, ParametersLiteral, Plaintext, PublicKey, SecretKey};

use crate::input::Input;

/// Returns the parameters of all targets: those of the driver's golden files, or larger primes with
/// digits of two limbs.
fn parameters(index: usize) -> &'static Parameters {
    static ALL: [OnceLock<Parameters>; 2] = [OnceLock::new(), OnceLock::new()];
    ALL[index % 2].get_or_init(|| {
        let (log_n, q_bits, p_bits) =
            [(4, vec![33, 25, 30], vec![40]), (5, vec![44, 28, 32, 32], vec![50, 50])][index % 2].clone();
        let (name, secret) = ("test-wire".to_owned(), SecretDistribution::Ternary);
        let literal = ParametersLiteral { name, log_n, q_bits, p_bits, secret, security: Security::Insecure };
        Parameters::new(literal).expect("a good literal")
    })
}

/// The format, written independently of the driver.
struct Format<'a> {
    params: &'a Parameters,
    n: usize,
    primes: Vec<u64>,
}

/// Returns the smallest number of bytes that holds q.
fn width(q: u64) -> usize {
    (1..8).find(|&bytes| q >> (8 * bytes) == 0).expect("q is below 2^56")
}

/// Takes bytes off the front.
fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    bytes.split_off(..len)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |x, &byte| x << 8 | u64::from(byte))
}

fn take_number(bytes: &mut &[u8], len: usize) -> Option<u64> {
    take(bytes, len).map(number)
}

fn when(condition: bool) -> Option<()> {
    condition.then_some(())
}

/// Whether keys have made an object of this kind with this body. If so, its header has an id.
fn keyed(kind: Kind, body: &[u8]) -> bool {
    match kind {
        Kind::Parameters | Kind::Plaintext => false,
        Kind::EvaluationKeys => !body.starts_with(&[0; 4]),
        _ => true,
    }
}

/// Returns the id and the body of an object whose header is right, and the bytes after the body.
fn split<'a>(
    kind: Kind,
    hash: Option<&Parameters>,
    mut bytes: &'a [u8],
) -> Option<(KeyGeneration, &'a [u8], &'a [u8])> {
    when(take(&mut bytes, 12)? == [&b"\x89hetal\r\n\x02\x00"[..], &[kind as u8, 0]].concat())?;
    let found = take(&mut bytes, 16)?;
    if let Some(params) = hash {
        when(found == params.hash().0)?;
    }
    let generation = KeyGeneration(take(&mut bytes, 16)?.try_into().expect("16 bytes"));
    let len = take_number(&mut bytes, 8)?;
    let (body, rest) = bytes.split_at_checked(usize::try_from(len).ok()?)?;
    when(keyed(kind, body) == (generation.0 != [0; 16]))?;
    Some((generation, body, rest))
}

/// Puts a header of this kind before a body.
fn join(kind: Kind, params: &Parameters, body: &[u8]) -> Vec<u8> {
    let generation = if keyed(kind, body) { *b"a key generation" } else { [0; 16] };
    let len = (body.len() as u64).to_le_bytes();
    [b"\x89hetal\r\n\x02\x00", &[kind as u8, 0][..], &params.hash().0, &generation, &len, body].concat()
}

impl<'a> Format<'a> {
    fn new(params: &'a Parameters) -> Self {
        let primes = params.qp().moduli().iter().map(|q| q.value()).collect();
        Self { params, n: params.n(), primes }
    }

    fn levels(&self) -> usize {
        self.params.max_level() + 1
    }

    /// Returns the primes of a key of this level, as many times as it has digits.
    fn key(&self, level: usize) -> Vec<u64> {
        let shape = self.params.gadget_shape(level);
        let digit = [&self.primes[..=level], &self.primes[self.levels()..][..shape.special]].concat();
        digit.repeat((level + 1).div_ceil(shape.alpha))
    }

    /// Returns the primes of a key to a sparse secret.
    fn sparse(&self) -> [u64; 2] {
        [self.primes[0], self.primes[self.levels()]]
    }

    fn len(&self, primes: &[u64]) -> usize {
        primes.iter().map(|&q| self.n * width(q)).sum()
    }

    fn limbs(&self, body: &mut &[u8], primes: &[u64]) -> Option<()> {
        for &q in primes {
            let limb = take(body, self.n * width(q))?;
            when(limb.chunks(width(q)).all(|bytes| number(bytes) < q))?;
        }
        Some(())
    }

    /// Reads level, log2 of slots and scale, if they are in their ranges.
    fn shape(&self, body: &mut &[u8]) -> Option<(usize, u32, f64)> {
        let (level, log_slots) = (take_number(body, 1)? as usize, take_number(body, 1)? as u32);
        let scale = f64::from_bits(take_number(body, 8)?);
        when(level < self.levels() && log_slots < self.params.log_n() && scale.is_finite() && scale > 0.0)?;
        Some((level, log_slots, scale))
    }

    /// Appends limbs with the residues of a pattern.
    fn make(&self, pattern: &crate::input::Pattern, primes: &[u64], out: &mut Vec<u8>) {
        for (j, &q) in primes.iter().enumerate() {
            (0..self.n).for_each(|i| out.extend(&pattern.residue(i, j, q).to_le_bytes()[..width(q)]));
        }
    }
}

/// Returns the bytes to read that the input describes: as they come; under a header of the right
/// kind, hash and length; or an object made by `make`, with some of its bytes overwritten and some
/// bytes after it.
///
/// The first byte gives the kind. The bytes follow, or their description: the number of overwritten
/// places, for each a position (two bytes) and a byte, the number of bytes after the object, and
/// the input of `make`.
fn bytes(
    input: &mut Input<'_>,
    kind: Kind,
    params: &Parameters,
    make: impl FnOnce(&mut Input<'_>, &mut Vec<u8>),
) -> Vec<u8> {
    match input.byte() % 3 {
        0 => input.rest().to_vec(),
        1 => join(kind, params, input.rest()),
        _ => {
            let pokes: Vec<_> = (0..input.below(4))
                .map(|_| (usize::from(u16::from_le_bytes([input.byte(), input.byte()])), input.byte()))
                .collect();
            let after = input.below(4);
            let mut body = Vec::new();
            make(input, &mut body);
            let mut bytes = join(kind, params, &body);
            bytes.resize(bytes.len() + after, 0);
            let len = bytes.len();
            pokes.into_iter().for_each(|(at, byte)| bytes[at % len] = byte);
            bytes
        }
    }
}

/// Compares a reader with the format's result for the same bytes: `Some` with the bytes after the
/// object if they are valid.
fn compare<T>(bytes: &[u8], wanted: Option<&[u8]>, read: impl FnOnce(&mut &[u8]) -> hetal::Result<T>) -> Option<T> {
    let mut rest = bytes;
    match (read(&mut rest), wanted) {
        (Ok(object), Some(wanted)) => {
            assert_eq!(rest, wanted, "another length read");
            Some(object)
        }
        (Err(error), None) => {
            assert!(!error.to_string().is_empty());
            None
        }
        (Ok(_), None) => panic!("{bytes:02x?} was taken"),
        (Err(error), Some(_)) => panic!("{bytes:02x?} was refused: {error}"),
    }
}

fn assert_written<T: Wire>(object: &T, params: &Parameters, bytes: &[u8], rest: &[u8]) {
    let mut again = Vec::new();
    wire::write(&mut again, object, params).expect("memory takes all bytes");
    assert_eq!(again, bytes[..bytes.len() - rest.len()], "other bytes written");
}

/// The common part of the targets. Reads the parameters and the bytes from the input, compares the
/// reader with `check`, which gets a body and returns its contents if it is right, and then checks
/// the writer.
fn object<T: Wire, S>(
    data: &[u8],
    make: impl FnOnce(&Format<'_>, &mut Input<'_>, &mut Vec<u8>),
    check: impl FnOnce(&Format<'_>, &mut &[u8]) -> Option<S>,
    compare_fields: impl FnOnce(&T, S),
) {
    let mut input = Input::new(data);
    let params = parameters(input.below(2));
    let format = Format::new(params);
    let bytes = bytes(&mut input, T::KIND, params, |input, body| make(&format, input, body));
    let wanted = split(T::KIND, Some(params), &bytes).and_then(|(_, mut body, rest)| {
        let fields = check(&format, &mut body)?;
        body.is_empty().then_some((fields, rest))
    });
    let object = compare(&bytes, wanted.as_ref().map(|(_, rest)| *rest), |input| wire::read::<T>(input, params));
    if let (Some(object), Some((fields, rest))) = (object, wanted) {
        compare_fields(&object, fields);
        assert_written(&object, params, &bytes, rest);
    }
}

/// Makes level, log2 of slots and scale, mostly good ones.
fn make_shape(format: &Format<'_>, input: &mut Input<'_>, body: &mut Vec<u8>) -> usize {
    let level = input.below(format.levels() + 1);
    body.extend([level as u8, input.byte() % 8]);
    body.extend(f64::from_bits(input.u64()).to_le_bytes());
    level.min(format.levels() - 1)
}

/// The reader of plaintexts.
///
/// Input: the parameters, and then the bytes (see the source). A made object is described by the
/// level, log2 of slots, the scale (8 bytes) and a pattern.
///
/// # Panics
/// If the driver is wrong.
pub fn wire_plaintext(data: &[u8]) {
    let make = |format: &Format<'_>, input: &mut Input<'_>, body: &mut Vec<u8>| {
        let level = make_shape(format, input, body);
        format.make(&input.pattern(), &format.primes[..=level], body);
    };
    let check = |format: &Format<'_>, body: &mut &[u8]| {
        let shape = format.shape(body)?;
        format.limbs(body, &format.primes[..=shape.0]).map(|()| shape)
    };
    object(data, make, check, |plaintext: &Plaintext, (level, log_slots, scale)| {
        assert_eq!((plaintext.level(), plaintext.slots(), plaintext.scale()), (level, 1 << log_slots, scale));
    });
}

/// The reader of ciphertexts.
///
/// Input: the parameters, and then the bytes (see the source). A made object is described by the
/// degree and the input of a plaintext.
///
/// # Panics
/// If the driver is wrong.
pub fn wire_ciphertext(data: &[u8]) {
    let make = |format: &Format<'_>, input: &mut Input<'_>, body: &mut Vec<u8>| {
        let degree = input.below(4);
        body.push(degree as u8);
        let level = make_shape(format, input, body);
        format.make(&input.pattern(), &format.primes[..=level].repeat(degree + 1), body);
    };
    let check = |format: &Format<'_>, body: &mut &[u8]| {
        let degree = take_number(body, 1)? as usize;
        when(degree == 1 || degree == 2)?;
        let shape = format.shape(body)?;
        format.limbs(body, &format.primes[..=shape.0].repeat(degree + 1)).map(|()| (degree, shape))
    };
    object(data, make, check, |ciphertext: &Ciphertext, (degree, (level, log_slots, scale))| {
        assert_eq!((ciphertext.degree(), ciphertext.level()), (degree, level));
        assert_eq!((ciphertext.slots(), ciphertext.scale()), (1 << log_slots, scale));
    });
}

/// The reader of seeded ciphertexts.
///
/// Input: the parameters, and then the bytes (see the source). A made object is described like a
/// plaintext, and its pattern also makes the seed.
///
/// # Panics
/// If the driver is wrong.
pub fn wire_seeded(data: &[u8]) {
    let make = |format: &Format<'_>, input: &mut Input<'_>, body: &mut Vec<u8>| {
        let level = make_shape(format, input, body);
        let pattern = input.pattern();
        body.extend((0..32).map(|i| pattern.random(i, usize::MAX) as u8));
        format.make(&pattern, &format.primes[..=level], body);
    };
    let check = |format: &Format<'_>, body: &mut &[u8]| {
        let shape = format.shape(body)?;
        take(body, 32)?;
        format.limbs(body, &format.primes[..=shape.0]).map(|()| shape)
    };
    object(data, make, check, |ciphertext: &SeededCiphertext, (level, log_slots, scale)| {
        assert_eq!((ciphertext.level(), ciphertext.slots(), ciphertext.scale()), (level, 1 << log_slots, scale));
    });
}

/// The reader of secret keys.
///
/// Input: the parameters, and then the bytes (see the source). A made object is described by its
/// body.
///
/// # Panics
/// If the driver is wrong.
pub fn wire_secret_key(data: &[u8]) {
    let make = |format: &Format<'_>, input: &mut Input<'_>, body: &mut Vec<u8>| {
        body.extend((0..format.n / 4).map(|_| input.byte()));
    };
    let check = |format: &Format<'_>, body: &mut &[u8]| {
        let codes = take(body, format.n / 4)?.iter().flat_map(|byte| [0, 2, 4, 6].map(|shift| byte >> shift & 3));
        let secret: Vec<_> =
            codes.map(|code| [Some(0i8), Some(1), None, Some(-1)][usize::from(code)]).collect::<Option<_>>()?;
        // In such small rings, chance may give any other secret.
        when(secret.iter().any(|&c| c != 0)).map(|()| secret)
    };
    object(data, make, check, |secret: &SecretKey, coefficients| assert_eq!(secret.coefficients(), coefficients));
}

/// The reader of public keys.
///
/// Input: the parameters, and then the bytes (see the source). A made object is described by a
/// pattern.
///
/// # Panics
/// If the driver is wrong.
pub fn wire_public_key(data: &[u8]) {
    let make = |format: &Format<'_>, input: &mut Input<'_>, body: &mut Vec<u8>| {
        let pattern = input.pattern();
        body.extend((0..32).map(|i| pattern.random(i, usize::MAX) as u8));
        format.make(&pattern, &format.primes[..=format.levels()], body);
    };
    let check = |format: &Format<'_>, body: &mut &[u8]| {
        take(body, 32)?;
        format.limbs(body, &format.primes[..=format.levels()])
    };
    object(data, make, check, |_: &PublicKey, ()| ());
}

/// The reader of encapsulation keys.
///
/// Input: the parameters, and then the bytes (see the source). A made object is described by two
/// patterns.
///
/// # Panics
/// If the driver is wrong.
pub fn wire_encapsulation_keys(data: &[u8]) {
    let make = |format: &Format<'_>, input: &mut Input<'_>, body: &mut Vec<u8>| {
        for primes in [&format.sparse()[..], &format.primes[..=format.levels()]] {
            let pattern = input.pattern();
            body.extend((0..32).map(|i| pattern.random(i, usize::MAX) as u8));
            format.make(&pattern, primes, body);
        }
    };
    let check = |format: &Format<'_>, body: &mut &[u8]| {
        take(body, 32)?;
        format.limbs(body, &format.sparse())?;
        take(body, 32)?;
        format.limbs(body, &format.primes[..=format.levels()])
    };
    object(data, make, check, |_: &EncapsulationKeys, ()| ());
}

/// The reader of sets of evaluation keys.
///
/// Input: the parameters, and then the bytes (see the source). A made object is described by the
/// number of keys and, for each, the kind, level, Galois element and a pattern.
///
/// # Panics
/// If the driver is wrong.
pub fn wire_evaluation_keys(data: &[u8]) {
    let mut input = Input::new(data);
    let params = parameters(input.below(2));
    let format = Format::new(params);
    let bytes = bytes(&mut input, Kind::EvaluationKeys, params, |input, body| {
        let count = input.below(5);
        body.extend((count as u32).to_le_bytes());
        for _ in 0..count {
            let (kind, level, element) = (input.byte(), input.below(format.levels()), input.byte());
            let shape = params.gadget_shape(level);
            body.extend([kind, level as u8, shape.special as u8, shape.alpha as u8, element, 0, 0, 0]);
            let (primes, pattern) = (format.key(level), input.pattern());
            body.extend((32 + format.len(&primes) as u64).to_le_bytes());
            body.extend((0..32).map(|i| pattern.random(i, usize::MAX) as u8));
            format.make(&pattern, &primes, body);
        }
    });
    let record = |body: &mut &[u8]| {
        let (kind, level) = (take_number(body, 1)?, take_number(body, 1)? as usize);
        let (special, alpha) = (take_number(body, 1)?, take_number(body, 1)?);
        let (element, len) = (take_number(body, 4)?, take_number(body, 8)?);
        when(kind == 0 && element == 0 || kind == 1 && element % 2 == 1 && element < 2 * format.n as u64)?;
        when(level < format.levels())?;
        let shape = params.gadget_shape(level);
        when((special as usize, alpha as usize) == (shape.special, shape.alpha))?;
        let primes = format.key(level);
        when(len == 32 + format.len(&primes) as u64)?;
        take(body, 32)?;
        format.limbs(body, &primes)?;
        Some((element, level))
    };
    let wanted = split(Kind::EvaluationKeys, Some(params), &bytes).and_then(|(generation, mut body, rest)| {
        let count = take_number(&mut body, 4)?;
        let mut keys = Vec::new();
        for _ in 0..count {
            let key = record(&mut body)?;
            when(!keys.contains(&key))?;
            keys.push(key);
        }
        body.is_empty().then_some(((generation, keys), rest))
    });
    let read = |input: &mut &[u8]| wire::read_evaluation_keys(input, params)?.collect::<hetal::Result<Vec<_>>>();
    let keys = compare(&bytes, wanted.as_ref().map(|(_, rest)| *rest), read);
    if let (Some(keys), Some(((generation, wanted), rest))) = (keys, wanted) {
        assert!(keys.iter().all(|key| key.key_generation() == generation), "keys of another id");
        let plan: Vec<_> = keys.iter().map(|key| (key.id(), key.level())).collect();
        assert_eq!(
            plan.iter().map(|(_, level)| *level).collect::<Vec<_>>(),
            wanted.iter().map(|key| key.1).collect::<Vec<_>>()
        );
        let mut again = Vec::new();
        wire::write_evaluation_keys(&mut again, params, &plan, keys.iter().map(Ok)).expect("memory takes all bytes");
        assert_eq!(again, bytes[..bytes.len() - rest.len()], "other bytes written");
    }
}

/// The reader of parameters. Small ones are built as well.
///
/// Input: the parameters whose hash is used, and then the bytes (see the source). A made object is
/// described by the length of the name, log2 of N, the numbers of primes, their bits − 24, the kind
/// and weight of the secret, and the security.
///
/// # Panics
/// If the driver is wrong.
pub fn wire_parameters(data: &[u8]) {
    let mut input = Input::new(data);
    let params = parameters(input.below(2));
    let bytes = bytes(&mut input, Kind::Parameters, params, |input, body| {
        let name = b"test-0123456789";
        let len = input.below(name.len() + 1);
        body.push(len as u8);
        body.extend(&name[..len]);
        body.push(input.byte() % 32);
        let counts = [input.byte() % 80, input.byte() % 80];
        body.extend(counts);
        body.extend((0..counts[0] + counts[1]).map(|_| 24 + input.byte() % 28));
        body.extend([input.byte() % 3, input.byte(), input.byte(), input.byte() % 4, 0, input.byte() % 3]);
    });
    let wanted = split(Kind::Parameters, None, &bytes).and_then(|(_, mut body, rest)| {
        let len = take_number(&mut body, 1)? as usize;
        let name = std::str::from_utf8(take(&mut body, len)?).ok()?;
        let (log_n, q, p) = (take_number(&mut body, 1)?, take_number(&mut body, 1)?, take_number(&mut body, 1)?);
        when((4..=17).contains(&log_n) && (2..=64).contains(&q) && (1..=64).contains(&p))?;
        let (q, p) = (take(&mut body, q as usize)?, take(&mut body, p as usize)?);
        when(q.iter().chain(p).all(|bits| (25..=50).contains(bits)))?;
        when(p.iter().copied().map(u32::from).sum::<u32>() >= q.iter().copied().map(u32::from).max()?)?;
        let (secret, weight, security) =
            (take_number(&mut body, 1)?, take_number(&mut body, 4)?, take_number(&mut body, 1)?);
        when(secret == 0 && weight == 0 || secret == 1 && (1..=1 << log_n).contains(&weight))?;
        let insecure = security == 1 && (name.starts_with("test-") || name.starts_with("insecure-"));
        when(insecure || security == 0 && secret == 0)?;
        when(body.is_empty() && !name.chars().any(char::is_control))?;
        Some((name, log_n as u32, q, p, weight as usize, rest))
    });
    let stored = compare(&bytes, wanted.map(|wanted| wanted.5), |input| wire::read_parameters(input));
    let (Some(stored), Some((name, log_n, q, p, weight, rest))) = (stored, wanted) else { return };
    let literal = stored.literal.clone();
    let bits = |bits: &[u32]| bits.iter().map(|&bits| bits as u8).collect::<Vec<_>>();
    assert_eq!((literal.name.as_str(), literal.log_n), (name, log_n));
    assert_eq!((bits(&literal.q_bits), bits(&literal.p_bits)), (q.to_vec(), p.to_vec()));
    let secret = if weight == 0 { SecretDistribution::Ternary } else { SecretDistribution::FixedWeight(weight) };
    assert_eq!(literal.secret, secret);
    if log_n > 5 || q.len() + p.len() > 8 {
        return;
    }
    let hash = stored.hash;
    let (made, built) = (Parameters::new(literal), stored.build());
    let made = match made {
        Ok(made) => made,
        Err(error) => return assert_eq!(Some(error), built.err()),
    };
    // The hash is not in the body: if it is that of other parameters, building must fail.
    assert_eq!(built.map(|built| built.hash()).ok(), (made.hash() == hash).then_some(hash));
    let mut again = Vec::new();
    wire::write_parameters(&mut again, &made).expect("memory takes all bytes");
    assert_eq!(
        (&again[..12], &again[28..]),
        (&bytes[..12], &bytes[28..bytes.len() - rest.len()]),
        "other bytes written"
    );
    let read = wire::read_parameters(&mut again.as_slice()).and_then(wire::StoredParameters::build);
    assert_eq!(read.map(|read| read.hash()), Ok(made.hash()));
}
