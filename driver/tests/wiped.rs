//! Tests that decrypted values do not stay in memory: this process searches its own memory for
//! them.
#![cfg(target_os = "linux")]

mod common;

use std::fs::{File, read_to_string};
use std::io::{Read, Seek, SeekFrom};

use common::*;
use hetal::wire::{self, Header};
use hetal::{Encoder, KeyRequests, Plaintext};
use zeroize::Zeroize;

/// A sequence of numbers of eight bytes each, kept in a form that the search does not find.
struct Needle(Vec<u64>);

impl Needle {
    const KEY: u64 = 0x5bd1_e995_9e37_79b9;

    fn new(values: &[f64]) -> Self {
        Self(values.iter().map(|x| x.to_bits() ^ Self::KEY).collect())
    }

    /// Returns how often the sequence is in the memory that this process can write.
    fn count(&self) -> usize {
        let len = 8 * self.0.len();
        let first = (self.0[0] ^ Self::KEY).to_le_bytes();
        let (mut memory, mut buffer) = (File::open("/proc/self/mem").expect("readable"), vec![0u8; 1 << 20]);
        let own = buffer.as_ptr() as usize..buffer.as_ptr() as usize + buffer.len();
        let mut count = 0;
        for line in read_to_string("/proc/self/maps").expect("readable").lines() {
            let mut words = line.split_whitespace();
            let (range, access) = (words.next().expect("a range"), words.next().expect("rights"));
            let (from, to) = range.split_once('-').expect("a range");
            let [from, to] = [from, to].map(|text| usize::from_str_radix(text, 16).expect("an address"));
            if !access.starts_with("rw") {
                continue;
            }
            // The pieces overlap, so that no sequence is cut.
            for start in (from..to).step_by(buffer.len() - len) {
                let size = buffer.len().min(to - start);
                memory.seek(SeekFrom::Start(start as u64)).expect("an address");
                if memory.read_exact(&mut buffer[..size]).is_err() {
                    continue;
                }
                for at in (0..(size + 1).saturating_sub(len)).step_by(8) {
                    let found = buffer[at..at + 8] == first && !own.contains(&(start + at)) && {
                        let words = buffer[at..at + len].as_chunks().0;
                        words.iter().zip(&self.0).all(|(word, x)| u64::from_le_bytes(*word) ^ Self::KEY == *x)
                    };
                    // A sequence at the end of a piece is counted in the next one.
                    count += usize::from(found && at < buffer.len() - len);
                }
            }
        }
        buffer.zeroize();
        count
    }
}

/// Returns some values of the first limb as they are in memory: residues nearest to 0. They are
/// read from the wire format, where they have 7 bytes.
fn of_polynomial(plaintext: &Plaintext, setup: &Setup) -> Needle {
    let mut bytes = Vec::new();
    wire::write(&mut bytes, plaintext, &setup.params).expect("memory takes all bytes");
    let q = setup.params.q(0).value();
    let residues = bytes[Header::LEN + 10 + 7 * 100..].chunks(7).take(8).map(|bytes| {
        let x = bytes.iter().rev().fold(0, |x, &byte| x << 8 | u64::from(byte));
        if x > q / 2 { -((q - x) as f64) } else { x as f64 }
    });
    Needle::new(&residues.collect::<Vec<_>>())
}

/// Plaintexts and decoded real slots are not in memory any more once they are dropped or wiped.
#[test]
fn decrypted_values_do_not_stay() {
    let (s, mut rng) = (Setup::new("test-10", 61, |_| KeyRequests::default()), rng(62));
    let level = 4;
    let x = random(&mut rng, 512);
    let ciphertext = s.fresh(&x, level, &mut rng);
    let plaintext = s.secret.decrypt(&ciphertext).expect("its own");
    let polynomial = of_polynomial(&plaintext, &s);
    assert_eq!(polynomial.count(), 1, "the plaintext is there");
    let copy = plaintext.clone();
    assert_eq!(polynomial.count(), 2, "so is a copy");

    let encoder = Encoder::new(&s.params);
    let mut real = encoder.decode_real(&plaintext).expect("its own");
    drop((plaintext, copy));
    assert_eq!(polynomial.count(), 0, "a plaintext stays");
    let slots = Needle::new(&real[100..108]);
    assert_eq!(slots.count(), 1, "a copy of the slots stays");
    real.zeroize();
    assert_eq!(slots.count(), 0);

    let mut complex = encoder.decode(&s.secret.decrypt(&ciphertext).expect("its own")).expect("its own");
    assert_eq!((polynomial.count(), slots.count()), (0, 0), "a plaintext or its slots stay");
    let complex_slots = Needle::new(&complex[100..104].iter().flat_map(|z| [z.re, z.im]).collect::<Vec<_>>());
    assert_eq!(complex_slots.count(), 1);
    complex.fill(hetal::Complex64::ZERO);
    assert_eq!(complex_slots.count(), 0);
}
