//! The negacyclic number-theoretic transform modulo one prime, and pointwise arithmetic on its
//! values.
//!
//! **Definition.** ψ is the primitive 2N-th root of unity of [`Modulus::root_of_unity`].
//! The forward transform of a(X) = Σ aⱼXʲ in Z_q\[X\]/(X^N + 1) consists of its values at the odd
//! powers of ψ in bit-reversed order: slot i holds a(ψ^(2·brev(i) + 1)).
//! Products of polynomials become products of slots.
//!
//! **Algorithm.** The forward transform uses Cooley-Tukey butterflies and the inverse one
//! Gentleman-Sande butterflies, with the twists by ψ merged into the twiddles (Longa and Naehrig,
//! CANS 2016). Two layers are done at a time (radix 4). From blocks of 2^12 coefficients on, all
//! remaining layers of a block are done while it is in the first-level cache. The last 2·log2(L)
//! layers of an ISA with L lanes are done in registers, on groups of L×L coefficients with a
//! transposition in between. Layers with one twiddle per vector use multipliers with a precomputed
//! quotient; layers with one twiddle per lane compute the quotient, which halves their table.
//!
//! # Ranges
//!
//! The forward transform takes |x| ≤ 5q/4, the inverse takes |x| ≤ q;
//! both return centred values, |x| ≤ q/2 + 2. In between, all values are signed integers in `f64`,
//! which are exact as long as they stay within ±2^53. Write β for |x|/q and δ = q·2^−53 ≤ 1/8.
//! A product with a constant of the table satisfies |r| ≤ q(1/2 + cδβ), where c = 1 if the constant
//! comes with its quotient by q and c = 3/2 if not ([proof](crate#numbers-and-ranges)).
//! Hence, if β bounds all inputs of a layer,
//!
//! * a forward butterfly (a + wb, a − wb) leaves β′ = β_a + 1/2 + cδβ, where β_a = 1/2 if the leg a
//!   was reduced;
//! * an inverse butterfly (a + b, (a − b)w) leaves 2β in the sum and 1/2 + 2cδβ in the product.
//!
//! When a table is built, these recurrences are evaluated for its prime, and a reduction is planned
//! only where the next layers would otherwise exceed 2^53/q. For q just below 2^50, that is once in
//! 6 to 8 forward layers, and one of the four outputs of an inverse radix-4 butterfly:
//! its bound B = max(y₁) = 1 + 4δB has the fixed point 2, at which 4B = 8 ≤ 2^53/q just fits.
//! Primes of up to 46 bits need hardly any reductions.

mod block;
mod forward;
mod inverse;
mod pointwise;
pub(crate) mod range;

use alloc::vec::Vec;

use aligned_vec::{AVec, ConstAlign};

use crate::error::Error;
use crate::modulus::Modulus;
use crate::simd::Isa;
use crate::{MAX_LOG_N, MIN_LOG_N};

pub use inverse::InverseScale;

/// log2 of the number of coefficients in a block (32 KiB): all layers of a block are finished
/// before the next block is touched.
const LOG_BLOCK: u32 = 12;

/// The tables of one ring Z_q\[X\]/(X^N + 1) for one ISA: the twiddles, and the plan of passes and
/// reductions.
///
/// ```
/// use hetal_kernel::{NttTable, primes};
/// let table = NttTable::new(primes::below_bits(12, 50, 1)?[0], 12)?;
/// let mut a = vec![0; table.n()];
/// a[1] = 1; // X
/// let mut b = a.clone();
/// table.forward_u64(&mut a);
/// table.forward_u64(&mut b);
/// table.mul_assign_u64(&mut a, &b);
/// table.inverse_u64(&mut a);
/// assert!(a.iter().enumerate().all(|(i, &x)| x == u64::from(i == 2))); // X²
/// # Ok::<(), hetal_kernel::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct NttTable {
    modulus: Modulus,
    log_n: u32,
    isa: Isa,
    plan: range::Plan,
    forward: Twiddles,
    inverse: Twiddles,
    scale: InverseScale,
}

/// Powers of a root in the order in which the passes read them.
#[derive(Clone, Debug)]
struct Twiddles {
    /// Pairs `[w, w/q]` of the layers with one twiddle per vector. Block i of a layer with m blocks
    /// has entry m + i.
    vector: AVec<[f64; 2], ConstAlign<64>>,
    /// The twiddles w of the layers inside vectors. Each group of L² coefficients has L − 1
    /// vectors: one for the first such layer, two for the second, four for the third.
    /// Lane j belongs to the j-th run of L coefficients.
    lane: AVec<f64, ConstAlign<64>>,
}

impl Twiddles {
    /// Tabulates the powers of `root`, which is ψ or its inverse.
    fn new(modulus: &Modulus, log_n: u32, lanes: usize, root: u64) -> Self {
        let n = 1usize << log_n;
        let mut powers = Vec::with_capacity(n);
        let mut power = 1;
        for _ in 0..n {
            powers.push(modulus.centre(power) as f64);
            power = modulus.mul(power, root);
        }
        let at = |i: usize| powers[i.reverse_bits() >> (usize::BITS - log_n)];
        let vector = AVec::from_iter(64, (0..n / lanes).map(|i| [at(i), at(i) / modulus.as_f64()]));
        let mut lane = AVec::with_capacity(64, n / (lanes * lanes) * (lanes - 1) * lanes);
        for group in 0..n / (lanes * lanes) {
            for runs in (0..lanes.trailing_zeros()).map(|layer| 1 << layer) {
                for h in 0..runs {
                    for j in 0..lanes {
                        lane.push(at((n / lanes + group * lanes + j) * runs + h));
                    }
                }
            }
        }
        Self { vector, lane }
    }
}

impl NttTable {
    /// Builds the table for the fastest ISA of this machine.
    ///
    /// # Errors
    /// [`Error::RingDegree`] if log_n is outside 4 … 17, [`Error::NoRootOfUnity`] if q is not 1
    /// modulo 2N.
    pub fn new(modulus: Modulus, log_n: u32) -> Result<Self, Error> {
        Self::with_isa(modulus, log_n, Isa::detect())
    }

    /// Builds the table for a given ISA. Rings too small for its vectors (N < 128 for eight lanes,
    /// N < 32 for four) use a narrower one, which [`NttTable::isa`] tells.
    ///
    /// # Errors
    /// As [`NttTable::new`].
    pub fn with_isa(modulus: Modulus, log_n: u32, isa: Isa) -> Result<Self, Error> {
        if !(MIN_LOG_N..=MAX_LOG_N).contains(&log_n) {
            return Err(Error::RingDegree { log_n });
        }
        let psi = modulus.root_of_unity(log_n)?;
        // ψ^(2N) = 1, so ψ^(2N − 1) is the inverse of ψ.
        let psi_inv = modulus.pow_vartime(psi, (2 << log_n) - 1);
        let isa = isa.for_degree(log_n);
        let lanes = isa.lanes();
        let inverse = Twiddles::new(&modulus, log_n, lanes, psi_inv);
        Ok(Self {
            modulus,
            log_n,
            isa,
            plan: range::Plan::new(&modulus, log_n, lanes),
            forward: Twiddles::new(&modulus, log_n, lanes, psi),
            scale: InverseScale::new(&modulus, log_n, inverse.vector[1][0], 1),
            inverse,
        })
    }

    /// The prime q.
    #[must_use]
    pub const fn modulus(&self) -> &Modulus {
        &self.modulus
    }

    /// The ring degree N.
    #[must_use]
    pub const fn n(&self) -> usize {
        1 << self.log_n
    }

    /// The log2 of the ring degree.
    #[must_use]
    pub const fn log_n(&self) -> u32 {
        self.log_n
    }

    /// The ISA whose code runs.
    #[must_use]
    pub const fn isa(&self) -> Isa {
        self.isa
    }

    /// The number of bytes that the twiddles take.
    #[must_use]
    pub fn table_bytes(&self) -> usize {
        let bytes = |t: &Twiddles| size_of_val::<[[f64; 2]]>(&t.vector) + size_of_val::<[f64]>(&t.lane);
        bytes(&self.forward) + bytes(&self.inverse)
    }

    /// Checks the length of a slice of the caller, in release builds too.
    #[track_caller]
    pub(crate) fn check(&self, len: usize) {
        assert!(len == self.n(), "{len} coefficients where the ring degree is {}", self.n());
    }
}
