//! Tests of the canonical byte form of a limb, against a reference encoder of three lines.

use hetal_kernel::bytes::{decode_limb, encode_limb, limb_len};
use hetal_kernel::primes::is_prime;
use hetal_kernel::{Error, Modulus};
use proptest::prelude::*;

/// Returns the largest and the smallest prime of each bit length. These give every number of bytes,
/// with the top byte full and nearly empty.
fn moduli() -> Vec<Modulus> {
    (2..=50)
        .flat_map(|bits| {
            let mut range = (1u64 << (bits - 1)..1 << bits).filter(|&n| n > 2 && is_prime(n));
            let largest = (1u64 << (bits - 1)..1 << bits).rev().find(|&n| n > 2 && is_prime(n));
            [range.next(), largest].map(|q| Modulus::new(q.expect("Bertrand")).expect("prime"))
        })
        .collect()
}

fn encode(q: &Modulus, values: &[f64]) -> Vec<u8> {
    let mut bytes = vec![0xAA; limb_len(q, values.len())];
    encode_limb(q, values, &mut bytes);
    bytes
}

fn decode(q: &Modulus, limb: usize, bytes: &[u8], n: usize) -> Result<Vec<f64>, Error> {
    let mut values = vec![f64::NAN; n];
    decode_limb(q, limb, bytes, &mut values).map(|()| values)
}

/// Encodes canonical residues in little-endian bytes. This is the format in three lines: the
/// specification that the code is held to.
fn reference(q: &Modulus, canonical: &[u64]) -> Vec<u8> {
    let width = (1..).find(|&width| q.value() < 1 << (8 * width)).expect("at most 7 bytes");
    canonical.iter().flat_map(|x| (0..width).map(move |i| (x >> (8 * i)) as u8)).collect()
}

/// The bytes of a limb: as many for each residue as the modulus needs.
#[test]
fn lengths() {
    for (q, width) in [(3, 1), (251, 1), (257, 2), (65521, 2), (65537, 3), ((1 << 40) - 87, 5), ((1 << 50) - 27, 7)] {
        let q = Modulus::new(q).expect("prime");
        assert_eq!(limb_len(&q, 1), width);
        assert_eq!(limb_len(&q, 1 << 16), width << 16);
        assert_eq!(limb_len(&q, 0), 0);
    }
}

/// Every representative of a residue, and both zeros, have the bytes of the reference encoder.
#[test]
fn every_representative_has_the_same_bytes() {
    for q in moduli() {
        let wide = q.value() as i64;
        for canonical in
            [0, 1, wide / 2 - 1, wide / 2, wide / 2 + 1, wide - 2, wide - 1].into_iter().filter(|&x| x >= 0)
        {
            let expected = reference(&q, &[canonical as u64]);
            for x in [canonical, canonical - wide] {
                assert_eq!(encode(&q, &[x as f64]), expected, "{x} mod {wide}");
            }
        }
        let zero = reference(&q, &[0]);
        for x in [0.0, -0.0, q.as_f64(), -q.as_f64()] {
            assert_eq!(encode(&q, &[x]), zero, "{x} mod {wide}");
        }
    }
}

proptest! {
    /// Random residues get the bytes of the reference encoder, and decoding gives them back
    /// centred.
    #[test]
    fn round_trip(q in 0..moduli().len(), words in prop::collection::vec(any::<u64>(), 0..70)) {
        let q = moduli()[q];
        let canonical: Vec<_> = words.iter().map(|word| q.reduce(*word)).collect();
        let centred: Vec<_> = canonical.iter().map(|&x| q.centre(x) as f64).collect();
        let bytes = encode(&q, &centred);
        prop_assert_eq!(&bytes, &reference(&q, &canonical));
        prop_assert_eq!(decode(&q, 0, &bytes, words.len()), Ok(centred));
    }
}

/// A residue that is not below the modulus is refused, with its limb, index and value in the error.
#[test]
fn residues_not_below_the_modulus_are_refused_wherever_they_are() {
    for q in moduli() {
        let modulus = q.value();
        let largest = if q.bits() % 8 == 0 { (1 << q.bits()) - 1 } else { (1 << q.bits().next_multiple_of(8)) - 1 };
        for value in [modulus, modulus + 1, largest].into_iter().filter(|&value| value <= largest) {
            for (limb, index) in [(0, 0), (7, 3), (2, 9)] {
                let mut residues = [modulus - 1; 10];
                residues[index] = value;
                let mut out = [f64::NAN; 10];
                let refused = decode_limb(&q, limb, &reference(&q, &residues), &mut out);
                assert_eq!(refused, Err(Error::Residue { limb, index, value, modulus }));
                // The values that were read before it are there, and nothing else is.
                assert!(out[..index].iter().all(|&x| x == -1.0) && out[index..].iter().all(|x| x.is_nan()));
            }
        }
    }
    // The first of several is reported.
    let q = Modulus::new(97).expect("prime");
    let refused = Err(Error::Residue { limb: 1, index: 1, value: 97, modulus: 97 });
    assert_eq!(decode(&q, 1, &[96, 97, 255], 3), refused);
}

/// All words of two bytes: those below 257 are decoded and centred, all others refused.
#[test]
fn every_residue_of_a_small_modulus() {
    let q = Modulus::new(257).expect("prime");
    for value in 0..=u16::MAX {
        let decoded = decode(&q, 5, &value.to_le_bytes(), 1);
        if value < 257 {
            let centred = if value <= 128 { f64::from(value) } else { f64::from(value) - 257.0 };
            assert_eq!(decoded, Ok(vec![centred]));
        } else {
            assert_eq!(decoded, Err(Error::Residue { limb: 5, index: 0, value: value.into(), modulus: 257 }));
        }
    }
}

/// Bytes of any other length are refused, with the found and the wanted length in the error.
#[test]
fn other_lengths_are_refused() {
    for q in moduli() {
        let wanted = limb_len(&q, 4);
        for found in (0..2 * wanted).filter(|&found| found != wanted) {
            assert_eq!(decode(&q, 0, &vec![0; found], 4), Err(Error::Length { found, wanted }));
        }
        assert_eq!(decode(&q, 0, &[], 0), Ok(vec![]));
    }
}

#[test]
#[should_panic(expected = "bytes of a limb")]
fn encoding_into_a_wrong_length_panics() {
    encode_limb(&Modulus::new(257).expect("prime"), &[0.0; 4], &mut [0; 7]);
}
