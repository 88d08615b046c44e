//! The ring arithmetic that homomorphic encryption needs: negacyclic NTTs, residue number systems
//! and hybrid key-switching over primes below 2^50, vectorised for AVX2, AVX-512 and NEON.
//! The crate is `no_std` (with `alloc`) and uses no `unsafe`, no threads, no clocks and no files.
//!
//! The crate knows rings, not schemes: CKKS, BGV or BFV can be built on it.
//! Everything is `Send + Sync`. Hot operations allocate nothing and work limb by limb,
//! so that callers can spread limbs and digits over cores.
//!
//! # Example
//!
//! This example multiplies two polynomials modulo two primes, and then one of them with a secret
//! through a key-switch:
//!
//! ```
//! use hetal_kernel::{Coeff, Eval, Gadget, KeySwitchKey, RnsBasis, RnsPoly, Scratch, primes, sampler};
//! # use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
//! let log_n = 12;
//! let moduli = primes::below_bits(log_n, 50, 3)?;
//! let q = RnsBasis::new(log_n, &moduli[..2])?; // ciphertext primes
//! let p = RnsBasis::new(log_n, &moduli[2..])?; // special prime
//! let gadget = Gadget::new(&q, &p, 1)?; // digits of one limb
//!
//! // (1 + X)² modulo X^N + 1.
//! let mut small = vec![0; q.n()];
//! (small[0], small[1]) = (1, 1);
//! let a = RnsPoly::<Coeff>::from_small(&small, 2).into_eval(&q);
//! let mut square = a.clone();
//! square.view_mut().mul_assign(&q, a.view());
//! assert_eq!(square.into_coeff(&q).limb(0)[..4], [1.0, 2.0, 1.0, 0.0]);
//!
//! // A secret s, a key for s² → s, and a ↦ (b, c) with b + c·s ≈ a·s².
//! let mut rng = ChaCha20Rng::seed_from_u64(1); // in earnest: a generator seeded by the operating system
//! sampler::ternary_into(&mut rng, &mut small);
//! let s = RnsPoly::<Coeff>::from_small(&small, 3).into_eval(gadget.qp());
//! let key = KeySwitchKey::relinearisation(&gadget, s.view(), &mut rng);
//! let (mut b, mut c) = (RnsPoly::<Eval>::zero(q.n(), 3), RnsPoly::<Eval>::zero(q.n(), 3));
//! let mut scratch = Scratch::new(gadget.switch_scratch_len(2));
//! gadget.switch(a.view(), &key, [&mut b.view_mut(), &mut c.view_mut()], &mut scratch);
//! # Ok::<(), hetal_kernel::Error>(())
//! ```
//!
//! Projects that hold plain residues in `&mut [u64]` use [`NttTable::forward_u64`] and its
//! siblings.
//!
//! # Where things are
//!
//! | module | contents |
//! |---|---|
//! | [`modulus`], [`primes`] | one prime and its scalar arithmetic; the search for primes; roots of unity |
//! | [`simd`] | [`Isa`], which selects the vector code; the vector lanes behind it |
//! | [`ntt`] | [`NttTable`]: transforms, pointwise arithmetic, sums of products |
//! | [`rns`] | [`RnsBasis`], base conversion, big-integer CRT |
//! | [`poly`], [`galois`] | [`RnsPoly`] with its domain in the type and prefix views by level; automorphisms |
//! | [`packed`] | polynomials stored in three quarters of the memory (keys), and sums of products with them |
//! | [`mod_down`], [`keyswitch`] | exact division by dropped primes; [`Gadget`], [`KeySwitchKey`]: digits, hoisting, lazy sums, compressed keys |
//! | [`sampler`] | uniform, ternary and Gaussian polynomials, in constant time; seeds |
//! | [`bytes`], [`scratch`], [`error`] | residues as bytes; caller-owned workspace; the error type |
//!
//! # Backends
//!
//! [`simd`] lists the backends. [`Isa::detect`] chooses one when a table is built;
//! [`Isa::by_name`] and the `with_isa` constructors force one. The vector backends agree with each
//! other bit for bit; the integer fallback agrees with them modulo q.
//!
//! # Targets
//!
//! Any target works that has `alloc`, a `usize` of 32 or 64 bits and an `f64` with IEEE 754
//! arithmetic; results are the same everywhere. CI checks these:
//!
//! | target | checks |
//! |---|---|
//! | x86_64-unknown-linux-gnu | all tests, with AVX2 and AVX-512; a program without std |
//! | aarch64-unknown-linux-gnu | all tests, with NEON |
//! | wasm32-wasip1 | all tests, in node (scalar and portable: WebAssembly's vectors are not used) |
//! | aarch64-unknown-none, wasm32-unknown-unknown, i686-unknown-linux-gnu, thumbv7em-none-eabihf | built without std |
//!
//! x86-64 without SSE2 in its calling convention, such as x86_64-unknown-none and the UEFI targets,
//! is not supported: the compiler cannot pass vectors there and stops at the AVX code. Kernels and
//! firmware on x86-64 build for a target with the ordinary convention and save its registers.
//! Where `f64` is emulated, as on thumbv7em, everything works, but slowly.
//!
//! # Numbers and ranges
//!
//! Between operations, a residue is a signed integer stored as `f64`.
//! *Centred* means |x| ≤ q/2 + 2, and every public operation returns centred residues unless it
//! says otherwise. Centred residues are representatives but not unique ones:
//! x and x ± q can both be centred within 2 of q/2. The unique form is the canonical u64 in [0, q)
//! of the `_u64` functions, [`NttTable::to_u64`] and [`bytes`]. Inputs may be centred or,
//! where the documentation says so, anything up to ±q or ±5q/4.
//!
//! All products are exact. Let RN be rounding to the nearest `f64`, and let q < 2^50 be an odd
//! prime. For integers |b| ≤ 2^53 and |w| ≤ q/2 + 2 < 2^49 (an NTT prime is at most 2^50 − 31),
//! the code computes
//!
//! h = RN(bw),  k = rint(RN(h·RN(1/q))) or rint(RN(b·RN(w/q))),  n = h − bw,  r = (h − kq) − n
//!
//! with one fused multiply-add for n and one for h − kq. This is exact for three reasons:
//!
//! 1. |bw| < 2^102, so the spacing of `f64` at h is at most 2^50 and |n| ≤ 2^49;
//!    n is an integer, hence exact.
//! 2. k differs from bw/q by at most 1/2 plus the relative errors of its roundings (three of 2^−53
//!    in the first form, two in the second) times |bw/q| ≤ |b|/2. So |k − bw/q| ≤ 1/2 + c·|b|·2^−53
//!    with c = 3/2 in the first form and c = 1 in the second. Rounding to an integer uses the
//!    instruction for it: adding 1.5·2^52 instead would fail silently for quotients below −2^51.
//! 3. |r| = |bw − kq| ≤ q(1/2 + c·|b|·2^−53) ≤ 2q, and h − kq = r + n is an integer below 2^52,
//!    so both last operations are exact.
//!
//! A reduction computes r = x − rint(RN(x·RN(1/q)))·q for |x| ≤ 2^53.
//! Its quotient is off by at most 1/2 + |x/q|·2^−52, so |r| ≤ q/2 + 2. How far sums in a transform
//! may grow between reductions is [computed for each prime](ntt) from these bounds.
//!
//! # Sums of products
//!
//! An inner product keeps a high sum H and an excess ℓ. H starts at 1.5·2^102. Each product ab
//! updates H′ = RN(ab + H) and ℓ ← ℓ + ((H′ − H) − ab), which takes two fused multiply-adds and two
//! additions. While |Σ ab| ≤ 2^101, H stays in [2^102, 2^103\], where the spacing of `f64` is 2^50.
//! So H′ − H is an exact multiple of 2^50, and each (H′ − H) − ab is an integer of at most 2^49.
//! Centred residues are below 2^49 in size, so eight products fit, and beside them the overflow
//! term of a base conversion (at most 2^5 · 2^49). At the end |ℓ| ≤ 9·2^49.
//! H − 1.5·2^102 is reduced exactly, because its quotient is below 2^52; its difference to ℓ is
//! below 2^53 and is reduced once more. Longer sums are split after eight terms.
//!
//! Where |r| ≤ 5q/4 is enough, one reduction suffices:
//! with h = H − 1.5·2^102 and k = rint(RN(RN(h − ℓ)·RN(1/q))), the result is r = (h − kq) − ℓ.
//! Three roundings lie between k and the quotient of Σ ab = h − ℓ, and |Σ ab / q| < 2^51,
//! so |k − Σ ab / q| ≤ 1/2 + 3·2^−53·2^51 = 5/4; and h − kq = r + ℓ is an integer below 2^53,
//! hence exact. Base conversions reduce this way, and the forward transform accepts their results.
//! Sums with packed operands that are divided ([`packed::Finish`]) do so too:
//! (r + centred − centred)·w has |b| below 2^52 and is reduced afterwards.
//!
//! # Costs
//!
//! In memory, a limb takes 8(N + 136) bytes for N ≥ 512 ([`scratch::limb_stride`]),
//! the tables of one prime take about 20·N bytes ([`NttTable::table_bytes`]), and a key takes
//! [`KeySwitchKey::memory_bytes`]. The operation counts of a key-switch are in [`keyswitch`]. The
//! workspace's `benches` measure everything, with another library beside it in the same process.
//!
//! # Security notes
//!
//! Samplers, key generation and transforms have no branches or addresses that depend on secret
//! values. Functions whose time depends on their data say so (`_vartime`) or say that they are for
//! public data. Secret polynomials implement `Zeroize`, and callers wipe them.
//! The crate chooses no parameters: which N, q and P are secure is for the scheme to decide.
//!
//! # Versions of rand_core
//!
//! `rand_core` 0.10 and its traits are part of the public interface: a new major version of it is
//! a breaking change here.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(all(target_arch = "x86_64", not(target_feature = "sse2")))]
compile_error!(
    "hetal-kernel needs an x86-64 target with SSE2: soft-float ones such as x86_64-unknown-none cannot pass vectors"
);

extern crate alloc;

pub mod bytes;
pub mod error;
pub mod galois;
pub mod keyswitch;
pub mod mod_down;
pub mod modulus;
pub mod ntt;
pub mod packed;
pub mod poly;
pub mod primes;
pub mod rns;
pub mod sampler;
pub mod scratch;
pub mod simd;

pub use error::Error;
pub use galois::{Automorphism, GaloisElement};
pub use keyswitch::{Gadget, KeySwitchKey};
pub use mod_down::ModDown;
pub use modulus::Modulus;
pub use ntt::NttTable;
pub use poly::{Coeff, Eval, RnsPoly, RnsPolyMut, RnsPolyRef};
pub use rns::RnsBasis;
pub use scratch::Scratch;
pub use simd::Isa;

/// The smallest supported log2 of the ring degree.
pub const MIN_LOG_N: u32 = 4;
/// The largest supported log2 of the ring degree.
pub const MAX_LOG_N: u32 = 17;
