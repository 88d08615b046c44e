//! Vector lanes: a trait over which every hot loop is written once, and one leaf file per
//! instruction set.
//!
//! | [`Isa`] | lanes | residue in a register | product | chosen by [`Isa::detect`] |
//! |---|---|---|---|---|
//! | `scalar` | 1 | `i64` | `u128`, Barrett | where none of the SIMD leaves is available |
//! | `portable` | 8 | `[f64; 8]` | `libm::fma` | never: for tests and as a model of the SIMD leaves |
//! | `avx2` | 4 | `f64` | FMA3 | x86-64 with AVX2 and FMA |
//! | `avx512` | 8 | `f64` | AVX-512F | x86-64 with AVX-512 F, BW, CD, DQ, VL |
//! | `neon` | 2 | `f64` | NEON | aarch64 |
//!
//! The four `f64` leaves carry out the same operations in the same order, so they agree **bit for
//! bit**. The scalar leaf is exact integer arithmetic and agrees with them modulo q. [The crate's
//! documentation](crate#numbers-and-ranges) explains why a product modulo q is exact in `f64`.
//!
//! This module is the only place with `cfg(target_arch)`, and pulp's tokens never leave it.

/// Builds the array `[e(0), e(1), …, e(K−1)]`. Unlike in `core::array::from_fn`, the expression
/// stays in the calling function: a closure would be compiled without the ISA's instructions and
/// called.
macro_rules! array {
    ($k:expr, |$i:ident| $e:expr) => {{
        let mut out = {
            let $i = 0;
            [$e; $k]
        };
        let mut $i = 1;
        while $i < $k {
            out[$i] = $e;
            $i += 1;
        }
        out
    }};
}
pub(crate) use array;

/// Prefetches the cache line of `data[index]`. Any index is allowed, even if there is no such
/// element. Without the crate feature `std` this does nothing.
#[inline(always)]
pub(crate) fn fetch<T>(data: &[T], index: usize) {
    #[cfg(feature = "std")]
    prefetch_index::prefetch_index(data, index);
    #[cfg(not(feature = "std"))]
    let _ = (data, index);
}

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod float;
mod portable;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86;

use core::fmt;
use core::str::FromStr;

use crate::error::Error;
use crate::modulus::Modulus;

/// An instruction set that this machine has. Holding a value of this type is the proof:
/// an ISA that is not available cannot be named, so dispatch needs no checks.
#[derive(Clone, Copy)]
pub struct Isa(Token);

/// Makes everything that depends on the list of instruction sets from one table. A row has, in
/// this order:
///
/// * the condition under which the leaf is compiled;
/// * the variant of [`Token`], and the type of the proof that the CPU has the instructions;
/// * `name`: the name in [`Isa::NAMES`];
/// * `lanes`: the number of `f64` in a register, a power of two up to [`MAX_LANES`];
/// * `detected`: whether [`Isa::detect`] may choose it; a later row is preferred to an earlier one;
/// * `token`: an `Option` of the proof, empty where the CPU lacks the instructions;
/// * `narrower`: the token that serves rings too small for so many lanes;
/// * `run`: how a task is compiled and run with these instructions.
macro_rules! isas {
    ($(
        #[cfg($cfg:meta)]
        $variant:ident($proof:ty) {
            name: $name:literal, lanes: $lanes:literal, detected: $detected:literal,
            token: $token:expr,
            narrower: |$wide:ident| $narrower:expr,
            run: |$held:ident, $task:ident| $run:expr,
        }
    )*) => {
        #[derive(Clone, Copy)]
        enum Token {
            $(#[cfg($cfg)] $variant($proof),)*
        }

        $(const _: () = assert!(($lanes as usize).is_power_of_two() && $lanes <= MAX_LANES, $name);)*

        /// Every name, and whether [`Isa::detect`] may choose it.
        const TABLE: [(&str, bool); [$($name),*].len()] = [$(($name, $detected)),*];

        impl Isa {
            /// Every name that [`Isa::by_name`] knows, on any machine.
            pub const NAMES: [&'static str; TABLE.len()] = [$($name),*];

            /// Returns the ISA of this name.
            ///
            /// # Errors
            /// [`Error::UnknownIsa`] for a name outside [`Isa::NAMES`], [`Error::IsaUnavailable`]
            /// if this machine lacks it.
            pub fn by_name(name: &str) -> Result<Self, Error> {
                let name = *Self::NAMES.iter().find(|n| **n == name).ok_or(Error::UnknownIsa { known: &Self::NAMES })?;
                let token = match name {
                    $(#[cfg($cfg)] $name => $token.map(Token::$variant),)*
                    _ => None,
                };
                token.map(Self).ok_or(Error::IsaUnavailable { name })
            }

            /// The name of this ISA, one of [`Isa::NAMES`].
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $(#[cfg($cfg)] Token::$variant(_) => $name,)*
                }
            }

            /// The number of residues per vector.
            #[must_use]
            pub const fn lanes(self) -> usize {
                match self.0 {
                    $(#[cfg($cfg)] Token::$variant(_) => $lanes,)*
                }
            }

            fn narrower(self) -> Self {
                Self(match self.0 {
                    $(#[cfg($cfg)] Token::$variant($wide) => $narrower,)*
                })
            }

            /// Runs `task` compiled for this ISA.
            #[inline]
            pub(crate) fn run<T: Task>(self, task: T) -> T::Output {
                match self.0 {
                    $(#[cfg($cfg)] Token::$variant($held) => {
                        let $task = task;
                        $run
                    })*
                }
            }
        }
    };
}

/// The largest number of lanes for which the blocks of the transforms are made.
const MAX_LANES: usize = 8;

isas! {
    #[cfg(all())]
    Scalar(()) {
        name: "scalar", lanes: 1, detected: true,
        token: Some(()),
        narrower: |_wide| Token::Scalar(()),
        run: |_held, task| task.run(scalar::Scalar),
    }
    #[cfg(all())]
    Portable(()) {
        name: "portable", lanes: 8, detected: false,
        token: Some(()),
        narrower: |_wide| Token::Scalar(()),
        run: |_held, task| task.run(float::Fma(portable::Portable)),
    }
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3) {
        name: "avx2", lanes: 4, detected: true,
        token: pulp::x86::V3::try_new(),
        narrower: |_wide| Token::Scalar(()),
        run: |v3, task| v3.vectorize(x86::Avx2Call(v3, task)),
    }
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4) {
        name: "avx512", lanes: 8, detected: true,
        token: pulp::x86::V4::try_new(),
        narrower: |v4| Token::Avx2(*v4),
        run: |v4, task| v4.vectorize(x86::Avx512Call(v4, task)),
    }
    #[cfg(target_arch = "aarch64")]
    Neon(pulp::aarch64::Neon) {
        name: "neon", lanes: 2, detected: true,
        token: pulp::aarch64::Neon::try_new(),
        narrower: |_wide| Token::Scalar(()),
        run: |neon, task| neon.vectorize(aarch64::NeonCall(neon, task)),
    }
}

impl Isa {
    /// The integer fallback, which is available everywhere.
    pub const SCALAR: Self = Self(Token::Scalar(()));
    /// Arrays of eight `f64` with the fused multiply-add of libm, which is slow where the compiler
    /// knows no FMA instruction. This ISA models the SIMD leaves bit for bit.
    pub const PORTABLE: Self = Self(Token::Portable(()));

    /// Returns the fastest available ISA. The CPU is asked once per process (pulp caches
    /// the answer).
    ///
    /// Without the crate feature `std` only CPUID is read, which does not tell whether
    /// the operating system saves the wide registers; a kernel or firmware that does not save them
    /// should use [`Isa::SCALAR`].
    #[must_use]
    pub fn detect() -> Self {
        let mut detected = TABLE.iter().rev().filter(|(_, detected)| *detected);
        detected.find_map(|(name, _)| Self::by_name(name).ok()).unwrap_or(Self::SCALAR)
    }

    /// Returns the available ISAs, `scalar` first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::NAMES.iter().filter_map(|name| Self::by_name(name).ok())
    }

    /// Returns the ISA for a ring of degree 2^log_n. The transforms work on two groups of lanes²
    /// coefficients at once, so rings below 2·lanes² (N < 128 for eight lanes, N < 32 for four)
    /// fall back to a narrower ISA: from AVX-512 to AVX2, otherwise to the scalar one.
    pub(crate) fn for_degree(self, log_n: u32) -> Self {
        if 1 << log_n >= 2 * self.lanes() * self.lanes() { self } else { self.narrower().for_degree(log_n) }
    }
}

impl PartialEq for Isa {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Isa {}

impl fmt::Debug for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Isa {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::by_name(name)
    }
}

/// Work that is written once over [`Lanes`] and compiled for each ISA.
/// `run` and everything it calls must be `#[inline(always)]`: otherwise the callee is compiled
/// without the ISA's instructions.
pub(crate) trait Task {
    type Output;
    fn run<const L: usize, S: Lanes<L>>(self, simd: S) -> Self::Output;
}

/// L residues in a register, and the operations of the kernel on them.
///
/// A value x of type [`Lanes::V`] holds signed integers congruent to residues;
/// β = |x| / q is its range. "Centred" means |x| ≤ q/2 + 2 ([`Lanes::reduce`]).
/// Every bound below is proved in [the crate's documentation](crate#numbers-and-ranges).
pub(crate) trait Lanes<const L: usize>: Copy {
    /// L signed representatives.
    type V: Copy;
    /// The constants of one modulus, broadcast.
    type Q: Copy;
    /// A constant multiplier together with its quotient by q, broadcast.
    type W: Copy;
    /// An unreduced sum of products.
    type Acc: Copy;
    /// L real numbers (not residues).
    type Real: Copy;

    fn modulus(self, q: &Modulus) -> Self::Q;
    /// Makes a multiplier from `[w, w/q]`, where |w| ≤ q/2.
    fn multiplier(self, w: [f64; 2]) -> Self::W;
    fn splat(self, x: f64) -> Self::V;
    fn load(self, x: &[f64; L]) -> Self::V;
    fn store(self, x: &mut [f64; L], v: Self::V);
    /// Loads words whose *bits* are u64 below 2^52.
    fn load_u64(self, x: &[f64; L]) -> Self::V;
    /// Returns the residue in a word of a [packed](crate::packed) limb, ignoring the `bits` high
    /// bits of the word. The result is centred if the word holds a packed residue.
    fn unpack_low(self, q: Self::Q, bits: u32, word: &[u64; L]) -> Self::V;
    /// Returns the residue whose chunks are in the high bits of C words.
    /// It is centred as in [`Lanes::unpack_low`].
    fn unpack_high<const C: usize>(self, q: Self::Q, words: [&[u64; L]; C]) -> Self::V;
    /// Stores a value with β < 8 as canonical residues in [0, q), as the bits of u64.
    fn store_u64(self, q: Self::Q, x: &mut [f64; L], v: Self::V);

    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// Centres residues: |x| ≤ 2^53 goes in, |x| ≤ q/2 + 2 comes out.
    fn reduce<const K: usize>(self, q: Self::Q, a: [Self::V; K]) -> [Self::V; K];
    /// Returns b·w mod q for |b| ≤ 2^53: |result| ≤ q/2 + |b|·q·2^−53.
    /// K products side by side hide each other's latency.
    fn mul_const<const K: usize>(self, q: Self::Q, b: [Self::V; K], w: [Self::W; K]) -> [Self::V; K];
    /// Returns b·w mod q for |b| ≤ 2^53 and |w| ≤ q/2 + 2: |result| ≤ q/2 + 1.5·|b|·q·2^−53 + 3.
    fn mul<const K: usize>(self, q: Self::Q, b: [Self::V; K], w: [Self::V; K]) -> [Self::V; K];

    /// Transposes an L×L block.
    fn transpose(self, v: [Self::V; L]) -> [Self::V; L];
    /// Lane i of the result is lane [`lane_index`]\(lanes\[i\]) mod L of v.
    fn permute(self, v: Self::V, lanes: &[u64; L]) -> Self::V;

    /// Starts a sum with the product a·b.
    fn acc_first(self, a: Self::V, b: Self::V) -> Self::Acc;
    /// Returns acc + a·b. A sum has at most [`MAX_TERMS`] products of centred residues before
    /// [`Lanes::acc_finish`].
    fn acc_mul(self, acc: Self::Acc, a: Self::V, b: Self::V) -> Self::Acc;
    /// Returns the centred residues of K accumulators.
    fn acc_finish<const K: usize>(self, q: Self::Q, acc: [Self::Acc; K]) -> [Self::V; K];
    /// Returns the residues of K accumulators with |x| ≤ 5q/4, using one reduction instead of two.
    fn acc_finish_lazy<const K: usize>(self, q: Self::Q, acc: [Self::Acc; K]) -> [Self::V; K];

    fn real_zero(self) -> Self::Real;
    /// Returns r + v·c in plain floating point.
    fn real_add(self, r: Self::Real, v: Self::V, c: f64) -> Self::Real;
    /// Rounds to the nearest integers.
    fn real_round(self, r: Self::Real) -> Self::V;
}

/// The number of products of centred residues that one accumulator holds:
/// 8·(2^49 + 2)² < 2^101 · (1 + 2^−46), see [the crate's documentation](crate#sums-of-products).
pub(crate) const MAX_TERMS: usize = 8;

/// Accumulators of several vectors, all of which are summed before the first is
/// [finished](Lanes::acc_finish). Between the first product and the stored residue each operation
/// waits for the one before. If vectors were handled one by one, the waiting operations would fill
/// the processor's queue: two products took 1.17 ns per residue on Zen 3 with AVX2 that way,
/// and take 0.80 ns this way. The struct is aligned to a cache line so that no vector straddles two
/// lines.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Sums<A>(pub(crate) [A; SUMS]);

/// The number of accumulators in [`Sums`].
pub(crate) const SUMS: usize = 16;

impl<A: Copy> Sums<A> {
    /// Returns empty sums.
    #[inline(always)]
    pub(crate) fn new<const L: usize, S: Lanes<L, Acc = A>>(simd: S) -> Self {
        Self([simd.acc_first(simd.splat(0.0), simd.splat(0.0)); SUMS])
    }
}

/// Encodes lane i for the list of [`Lanes::permute`]: the numbers of its two halves, because x86
/// permutes halves.
pub(crate) const fn lane(i: usize) -> u64 {
    let low = 2 * i as u64;
    low | (low + 1) << 32
}

/// Decodes the index i from [`lane`]'s encoding.
pub(crate) const fn lane_index(lane: u64) -> usize {
    lane as u32 as usize / 2
}

/// The number of high bits in each of `chunks` words of a [packed](crate::packed) limb that hold
/// a part of one more residue.
pub(crate) const fn chunk_bits(chunks: usize) -> u32 {
    match chunks {
        2 => 21,
        4 => 13,
        _ => 0,
    }
}
