//! Shared set-up of the benchmarks: inputs, checked work, peers, and stopwatches.
//!
//! * `cargo run --release -p hetal-benches --bin compare -- ntt|rns|keyswitch [--quick] [--isa NAME]` times this project
//!   and its peers in turn in one process, after it has checked their results against each other, and prints a JSON
//!   object a line.
//! * `… --bin compare -- ckks [--quick] [--preset NAME]` times the operations of `hetal`, one thread and two, after it has
//!   checked them against plain arithmetic, and prints the same.
//! * `cargo bench -p hetal-benches` runs the criterion benchmarks: absolute times, for changes from one commit to the next.
//!
//! **Peers.** [tfhe-ntt](https://crates.io/crates/tfhe-ntt) for transforms ([`peer`]): built as it is here it has no code
//! beyond AVX2; with `--features peer-avx512` it runs its AVX-512 IFMA code. For base conversion, which it has not, the
//! peer is scalar code with 128-bit sums. For CKKS there are only [`ckks::stored`] figures of peers.
//!
//! **Noise.** On shared machines only ratios within a run mean much: see [`timing::interleaved`].

pub mod cases;
pub mod ckks;
pub mod peer;
pub mod setup;
pub mod timing;

/// Bits of every prime: the largest that the kernel takes.
pub const BITS: u32 = 50;
