//! hetal-kernel in a program without std: an allocator, a panic handler, C's start code, nothing
//! else.
//!
//! The exit status is 0 if every product is right, 1 if one is wrong, 101 after a panic.
#![no_std]
#![no_main]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod bare;

use alloc::vec;
use alloc::vec::Vec;

use hetal_kernel::{Modulus, NttTable, primes};

const LOG_N: u32 = 8;

/// a·b mod (X^N + 1, q) by definition: the peer.
fn schoolbook(q: &Modulus, a: &[u64], b: &[u64]) -> Vec<u64> {
    let n = a.len();
    let mut c = vec![0; n];
    for (i, &x) in a.iter().enumerate() {
        for (j, &y) in b.iter().enumerate() {
            let (k, p) = ((i + j) % n, q.mul(x, y));
            c[k] = if i + j < n { q.add(c[k], p) } else { q.sub(c[k], p) };
        }
    }
    c
}

/// The same product by transforms.
fn transform(q: &Modulus, a: &[u64], b: &[u64]) -> Vec<u64> {
    let table = NttTable::new(*q, LOG_N).expect("q = 1 mod 2N");
    let (mut a, mut b) = (a.to_vec(), b.to_vec());
    table.forward_u64(&mut a);
    table.forward_u64(&mut b);
    table.mul_assign_u64(&mut a, &b);
    table.inverse_u64(&mut a);
    a
}

/// Whether the two agree on worst-case and on scattered coefficients.
fn right() -> bool {
    let n = 1 << LOG_N;
    primes::below_bits(LOG_N, Modulus::MAX_BITS, 2).expect("there are two such primes").iter().all(|q| {
        let top = vec![q.value() - 1; n];
        let scattered: Vec<u64> = (0..n as u64).map(|i| q.reduce(i.wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
        [(&top, &top), (&top, &scattered), (&scattered, &scattered)]
            .iter()
            .all(|(a, b)| schoolbook(q, a, b) == transform(q, a, b))
    })
}

fn run() -> i32 {
    i32::from(!right())
}
