//! Shared set-up of the benchmarks: inputs, checked work, peers, and stopwatches.
//!
//! * `cargo run --release -p hetal-benches --bin compare -- ntt|rns|keyswitch` with `[--quick]` and
//!   `[--isa NAME]` times this project and its peers in turn in one process, after it has checked
//!   their results against each other. It prints one JSON object per line.
//! * `… --bin compare -- ckks [--quick] [--preset NAME]` times the operations of `hetal`, in one
//!   thread and in two, after it has checked them against plain arithmetic, and prints the same.
//! * `cargo bench -p hetal-benches` runs the criterion benchmarks: absolute times, for changes from
//!   one commit to the next.
//!
//! **Peers.** The peer for transforms is [tfhe-ntt](https://crates.io/crates/tfhe-ntt) ([`peer`]).
//! As it is built here, it has no code beyond AVX2; with `--features peer-avx512` it runs its
//! AVX-512 IFMA code. It has no base conversion, so the peer for that is scalar code with 128-bit
//! sums. For CKKS there are only [`ckks::stored`] figures of peers.
//!
//! **Noise.** On shared machines only ratios within a run mean much: see [`timing::interleaved`].

pub mod cases;
pub mod ckks;
pub mod peer;
pub mod setup;
pub mod timing;

/// The bits of every prime: the most that the kernel accepts.
pub const BITS: u32 = 50;
