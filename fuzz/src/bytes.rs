use hetal_kernel::bytes::{decode_limb, encode_limb, limb_len};
use hetal_kernel::{Error, Gadget, Isa, KeySwitchKey};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::input::{FIRST_50, FIRST_RNS, Input, OTHER_PRIMES, PRIMES, basis, modulus};
use crate::oracle::{centred, signed};

/// The format, written independently of the kernel: the smallest number of bytes that holds q.
fn width(q: u64) -> usize {
    (1..8).find(|&bytes| q >> (8 * bytes) == 0).expect("q is below 2^50")
}

fn to_bytes(q: u64, residues: &[u64]) -> Vec<u8> {
    residues.iter().flat_map(|r| r.to_le_bytes().into_iter().take(width(q))).collect()
}

/// Returns the residues of a limb whose length is right, or an error about the first wrong one.
fn parse(q: u64, limb: usize, bytes: &[u8]) -> Result<Vec<u64>, Error> {
    let mut residues = Vec::new();
    for (index, bytes) in bytes.chunks(width(q)).enumerate() {
        let value = bytes.iter().rev().fold(0, |value, &byte| 256 * value + u64::from(byte));
        if value >= q {
            return Err(Error::Residue { limb, index, value, modulus: q });
        }
        residues.push(value);
    }
    Ok(residues)
}

fn to_floats(q: u64, residues: &[u64]) -> Vec<f64> {
    residues.iter().map(|&r| centred(r, q) as f64).collect()
}

/// Returns the bytes to read that the input describes: as they come, cut or filled up to the right
/// length, or valid residues with some bytes overwritten.
///
/// The first byte gives the kind. The bytes follow, or their description: the number of overwritten
/// places, for each a position (two bytes) and a byte, and the pattern of the residues.
fn encoded(input: &mut Input<'_>, header: usize, limbs: &[(u64, usize)]) -> Vec<u8> {
    let wanted = header + limbs.iter().map(|&(q, n)| n * width(q)).sum::<usize>();
    match input.byte() % 3 {
        0 => input.rest().to_vec(),
        1 => {
            let mut bytes = input.rest().to_vec();
            bytes.resize(wanted, 0);
            bytes
        }
        _ => {
            let pokes: Vec<_> = (0..input.below(4))
                .map(|_| (usize::from(u16::from_le_bytes([input.byte(), input.byte()])) % wanted.max(1), input.byte()))
                .collect();
            let pattern = input.pattern();
            let mut bytes: Vec<_> = (0..header).map(|i| pattern.random(i, usize::MAX) as u8).collect();
            for (j, &(q, n)) in limbs.iter().enumerate() {
                bytes.extend(to_bytes(q, &(0..n).map(|i| pattern.residue(i, j, q)).collect::<Vec<_>>()));
            }
            for (at, byte) in pokes {
                if let Some(x) = bytes.get_mut(at) {
                    *x = byte;
                }
            }
            bytes
        }
    }
}

/// The reader of limbs on any bytes, and the writer.
///
/// Input: the prime, the number of residues, the number of the limb, and then the bytes (see the
/// source).
///
/// # Panics
/// If the kernel is wrong.
pub fn bytes_limb(data: &[u8]) {
    let mut input = Input::new(data);
    let primes = [&PRIMES[..], &OTHER_PRIMES].concat();
    let q = primes[input.below(primes.len())];
    let (n, limb) = (input.below(80), usize::from(input.byte()));
    let bytes = encoded(&mut input, 0, &[(q, n)]);
    let modulus = modulus(q);
    assert_eq!(limb_len(&modulus, n), n * width(q));

    let mut out = vec![f64::INFINITY; n];
    let result = decode_limb(&modulus, limb, &bytes, &mut out);
    if bytes.len() != n * width(q) {
        assert_eq!(result, Err(Error::Length { found: bytes.len(), wanted: n * width(q) }));
        assert!(out.iter().all(|x| x.is_infinite()), "written in spite of a wrong length");
        return;
    }
    let residues = match parse(q, limb, &bytes) {
        Ok(residues) => residues,
        Err(error) => {
            assert_eq!(result, Err(error));
            let Error::Residue { index, .. } = error else { unreachable!() };
            let before = parse(q, limb, &bytes[..index * width(q)]).expect("the first wrong one is later");
            assert_eq!(out[..index], to_floats(q, &before), "the residues before the wrong one");
            assert!(out[index..].iter().all(|x| x.is_infinite()), "written beyond the wrong one");
            return;
        }
    };
    assert_eq!(result, Ok(()));
    assert_eq!(out, to_floats(q, &residues));
    // All representatives have the same bytes.
    let positive: Vec<_> = residues.iter().map(|&r| if r == 0 { q as f64 } else { r as f64 }).collect();
    let negative: Vec<_> = residues.iter().map(|&r| r as f64 - q as f64).collect();
    for values in [&out, &positive, &negative] {
        let mut again = vec![0xaa; bytes.len()];
        encode_limb(&modulus, values, &mut again);
        assert_eq!(again, bytes, "bytes of {values:?} modulo {q}");
    }
}

/// The reader of compressed keys on any bytes, and the writer.
///
/// Input: the numbers of limbs and of special primes − 1, the digit size − 1, the indices of the
/// primes, and then the bytes.
///
/// # Panics
/// If the kernel is wrong.
pub fn bytes_key(data: &[u8]) {
    let mut input = Input::new(data);
    let (limbs, special) = (1 + input.below(3), 1 + input.below(2));
    // It is always enough to have as many special primes of 50 bits as a digit has primes.
    let alpha = 1 + input.below(limbs.min(special));
    let mut used = Vec::new();
    let q = input.primes(limbs, &PRIMES[FIRST_RNS..], &mut used);
    let p = input.primes(special, &PRIMES[FIRST_50..], &mut used);
    let gadget = Gadget::new(&basis(4, Isa::SCALAR, &q), &basis(4, Isa::SCALAR, &p), alpha).expect("P is large enough");
    let (qp, n, digits) = ([q, p].concat(), 16, limbs.div_ceil(alpha));
    let shape: Vec<_> = (0..digits).flat_map(|_| qp.iter().map(|&q| (q, n))).collect();
    let bytes = encoded(&mut input, 32, &shape);

    let wanted = 32 + shape.iter().map(|&(q, n)| n * width(q)).sum::<usize>();
    assert_eq!(KeySwitchKey::encoded_len(&gadget), wanted);
    let result = KeySwitchKey::decode(&gadget, &bytes);
    if bytes.len() != wanted {
        assert_eq!(result.err(), Some(Error::Length { found: bytes.len(), wanted }));
        return;
    }
    let (seed, mut rest) = bytes.split_at(32);
    let mut expected = Vec::new();
    for (i, &(q, n)) in shape.iter().enumerate() {
        let (limb, tail) = rest.split_at(n * width(q));
        rest = tail;
        match parse(q, i % qp.len(), limb) {
            Ok(residues) => expected.push(residues),
            Err(error) => {
                assert_eq!(result.err(), Some(error), "digit {}", i / qp.len());
                return;
            }
        }
    }
    let key = result.expect("all residues are right");
    assert_eq!(key.seed().as_bytes(), seed);
    for d in 0..digits {
        let [b, a] = key.part(&gadget, d);
        assert_eq!((b.limbs(), a.limbs(), b.n(), a.n()), (qp.len(), qp.len(), n, n));
        for (j, &q) in qp.iter().enumerate() {
            assert_eq!(b.limb(j), to_floats(q, &expected[d * qp.len() + j]), "b of digit {d}, limb {j}");
            assert_eq!(a.limb(j), expanded(seed, d, j, q, n), "a of digit {d}, limb {j}");
        }
    }
    let mut again = vec![0xaa; wanted];
    key.encode(&gadget, &mut again);
    assert_eq!(again, bytes);
}

/// Returns limb j of the a part of digit d, as documented: the low bits of the words of one
/// ChaCha20 stream, if they are below q.
fn expanded(seed: &[u8], d: usize, j: usize, q: u64, n: usize) -> Vec<f64> {
    let mut rng = ChaCha20Rng::from_seed(seed.try_into().expect("32 bytes"));
    rng.set_stream((d as u64) << 32 | j as u64);
    let words = std::iter::repeat_with(|| rng.next_u64() % (q + 1).next_power_of_two());
    words.filter(|&word| word < q).take(n).map(|word| centred(signed(word as i64, q), q) as f64).collect()
}
