//! Reading structured cases from bytes.

use std::cell::RefCell;
use std::collections::HashMap;

use hetal_kernel::{Isa, Modulus, RnsBasis};

/// The NTT-friendly primes of all targets, in ascending order. From [`FIRST_RNS`] on they are 1
/// modulo 512, which is enough for every ring degree up to 2^8: the largest of each size from 13 to
/// 50 bits, several of the sizes that are used most, and some just above a power of two. The primes
/// before them are as small as primes for small rings get.
pub const PRIMES: [u64; 70] = [
    97, // 1 modulo 2^5
    193,
    257,
    353,
    641,
    769,
    3329,
    7681, // 13 bits
    10753,
    15361,
    32257,
    64513,
    125441,
    260609,
    523777,
    524801,
    1047041, // 20 bits
    2091521,
    4191233,
    8383489,
    16770049,
    33551873,
    67104769,
    134215681,
    268432897,
    536870401,
    1073731073, // 30 bits, three
    1073732609,
    1073738753,
    1073750017, // above 2^30
    2147483137,
    4294962689,
    8589921281,
    17179859969,
    34359724033,
    68719456769,
    68719464449,
    137438949889,
    274877905921,
    549755809793,
    1099511572993, // 40 bits, five
    1099511577089,
    1099511590913,
    1099511592961,
    1099511603713,
    1099511630849, // above 2^40
    2199023254529,
    4398046504961,
    8796093008897,
    17592186037249,
    35184372067841,
    35184372080129,
    35184372088321,
    35184372096001,
    70368744166913,
    140737488349697,
    281474976694273,
    281474976729601, // above 2^48
    562949953408001,
    562949953417729,
    562949953438721,  // above 2^49
    1125899906757121, // 50 bits, nine
    1125899906760193,
    1125899906769409,
    1125899906774017,
    1125899906785793,
    1125899906802689,
    1125899906820097,
    1125899906822657,
    1125899906826241,
];

/// The index of the first prime that is 1 modulo 512.
pub const FIRST_RNS: usize = 7;

/// The index of the first of nine primes of 50 bits.
pub const FIRST_50: usize = 61;

/// Primes without a transform, at the edges of a residue's number of bytes. The last ones are the
/// extremes of 50 bits.
pub const OTHER_PRIMES: [u64; 18] = [
    3,
    5,
    7,
    127,
    251,
    263,
    65521,
    65537,
    16777213,
    16777259,
    4294967291,
    4294967311,
    1099511627689,
    1099511627791,
    281474976710597,
    281474976710677,
    562949953421381,
    1125899906842597,
];

/// A reader of bytes that goes on with zeros after the end.
#[derive(Clone, Debug)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Returns a reader of these bytes.
    #[must_use]
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// Reads one byte.
    pub fn byte(&mut self) -> u8 {
        match *self.0 {
            [] => 0,
            [first, ref rest @ ..] => {
                self.0 = rest;
                first
            }
        }
    }

    /// Reads one byte, modulo `n`.
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n
    }

    /// Reads eight bytes, little-endian.
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// Reads all bytes that are left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Reads one byte that names an ISA. If this machine lacks it, returns the fastest one.
    pub fn isa(&mut self) -> Isa {
        Isa::by_name(Isa::NAMES[self.below(Isa::NAMES.len())]).unwrap_or_else(|_| Isa::detect())
    }

    /// Reads a byte for each of `count` primes out of `all`. A prime that is in `used` already
    /// stands for the next one that is not; all primes are added to `used`.
    ///
    /// # Panics
    /// If there are not as many unused primes.
    pub fn primes(&mut self, count: usize, all: &[u64], used: &mut Vec<u64>) -> Vec<u64> {
        let mut prime = || {
            let wanted = self.below(all.len());
            let mut unused = all[wanted..].iter().chain(all).filter(|q| !used.contains(q));
            let q = *unused.next().expect("fewer are asked for than there are");
            used.push(q);
            q
        };
        (0..count).map(|_| prime()).collect()
    }

    /// Reads a length byte l, a seed byte, and l + 1 codes. If the input ends before the codes, the
    /// values are random.
    pub fn pattern(&mut self) -> Pattern {
        let (len, seed) = (usize::from(self.byte()) + 1, self.byte());
        let (codes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        Pattern { seed, codes: if codes.is_empty() { vec![u8::MAX] } else { codes.to_vec() } }
    }
}

/// Values that are given by one code each, repeated over and over: named worst cases, or random
/// numbers.
#[derive(Clone, Debug)]
pub struct Pattern {
    seed: u8,
    codes: Vec<u8>,
}

impl Pattern {
    /// Returns code number i.
    #[must_use]
    pub fn code(&self, i: usize) -> u8 {
        self.codes[i % self.codes.len()]
    }

    /// Returns 64 random bits of value i in limb j. Equal codes at different places give different
    /// bits.
    #[must_use]
    pub fn random(&self, i: usize, j: usize) -> u64 {
        // SplitMix64 (Steele, Lea and Flood, 2014), once for each word.
        let words = [u64::from(self.seed), u64::from(self.code(i)), j as u64, i as u64];
        words.iter().fold(0, |state, word| {
            let z = (state ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        })
    }

    /// Returns residue i of limb j in [0, q), given by the low five bits of the code.
    #[must_use]
    pub fn residue(&self, i: usize, j: usize, q: u64) -> u64 {
        let half = q / 2;
        let value = match self.code(i) % 32 {
            0 => 0,
            1 => 1,
            2 => q - 1,
            3 => half,
            4 => half + 1,
            5 => 2,
            6 => q - 2,
            7 => half - 1,
            8 => half + 2,
            9 => half + (i as u64) % 2,
            10 => q / 4,
            11 => q - q / 4,
            _ => self.random(i, j),
        };
        value % q
    }

    /// Returns the residue as an integer in [−q, q]; the high bits of the code choose which.
    #[must_use]
    pub fn any_representative(&self, i: usize, j: usize, q: u64) -> f64 {
        let (r, wide) = (self.residue(i, j, q), q as f64);
        match (self.code(i) / 32 % 4, r) {
            (1, 0) => wide,
            (2, 0) => -wide,
            (3, 0) => -0.0,
            (1, _) => r as f64,
            (2, _) => r as f64 - wide,
            _ => centred(r, q),
        }
    }

    /// Returns the residue as an integer in [−5q/4, 5q/4], the range that forward transforms
    /// accept. The highest bit of the code asks for one beyond ±q.
    #[must_use]
    pub fn forward_input(&self, i: usize, j: usize, q: u64) -> f64 {
        match self.residue(i, j, q) {
            r if self.code(i) >= 128 && r <= q / 4 => (r + q) as f64,
            r if self.code(i) >= 128 && r >= q - q / 4 => r as f64 - (2 * q) as f64,
            _ => self.any_representative(i, j, q),
        }
    }

    /// Returns the residue as an integer with |x| ≤ q/2 + 2. Where there are two, the highest bit
    /// of the code asks for the one farther from 0.
    #[must_use]
    pub fn centred(&self, i: usize, j: usize, q: u64) -> f64 {
        let x = centred(self.residue(i, j, q), q);
        if self.code(i) >= 128 { farther(x, q) } else { x }
    }
}

/// Returns the representative of x modulo q on the other side of 0, if it is within q/2 + 2 as
/// well, and otherwise x.
#[must_use]
pub fn farther(x: f64, q: u64) -> f64 {
    let other = if x > 0.0 { x - q as f64 } else { x + q as f64 };
    if 2.0 * other.abs() <= q as f64 + 4.0 { other } else { x }
}

fn centred(r: u64, q: u64) -> f64 {
    if r > q / 2 { r as f64 - q as f64 } else { r as f64 }
}

/// Returns the modulus of a prime.
///
/// # Panics
/// If the kernel does not accept it as a prime.
#[must_use]
pub fn modulus(q: u64) -> Modulus {
    Modulus::new(q).unwrap_or_else(|error| panic!("{q}: {error}"))
}

/// Returns the basis of these primes, which are among [`PRIMES`] from [`FIRST_RNS`] on. Tables are
/// made once.
///
/// # Panics
/// If the kernel refuses primes that it documents to accept.
#[must_use]
pub fn basis(log_n: u32, isa: Isa, primes: &[u64]) -> RnsBasis {
    thread_local! {
        static ALL: RefCell<HashMap<(u32, &'static str), RnsBasis>> = RefCell::default();
    }
    ALL.with_borrow_mut(|all| {
        let all = all.entry((log_n, isa.name())).or_insert_with(|| {
            let moduli: Vec<_> = PRIMES[FIRST_RNS..].iter().map(|&q| modulus(q)).collect();
            RnsBasis::with_isa(log_n, &moduli, isa).expect("distinct primes that are 1 modulo 512")
        });
        let mut parts = primes.iter().map(|q| {
            let i = PRIMES[FIRST_RNS..].iter().position(|p| p == q).expect("a prime of the list");
            all.range(i..i + 1)
        });
        let first = parts.next().expect("at least one prime");
        parts.fold(first, |basis, part| basis.concat(&part).expect("distinct primes"))
    })
}
