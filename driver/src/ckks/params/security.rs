//! The largest secure modulus, and what "128 bits" counts.
//!
//! Up to these bounds the best known classical attack takes 2^128 operations or more,
//! where an operation is a gate, counted as in Matzov's [Report on the Security of
//! LWE](https://doi.org/10.5281/zenodo.6412487) (2022). For the preset `n16` (log QP = 1730) the
//! primal attack (uSVP) takes 2^129.3 gates. *Core-SVP*, which counts 2^(0.292·β) for all work on
//! blocks of β and nothing else, gives 2^95 for the same attack: 128 bits by that count need a
//! literal with a smaller modulus.

/// The largest log2(QP) with 128-bit classical security for uniform ternary secrets and σ = 3.2,
/// by log2 N, from Table 4.2 of Bossuat et al., [Security Guidelines for Implementing Homomorphic
/// Encryption](https://eprint.iacr.org/2024/463) (2024).
const BOUNDS: [(u32, u32); 8] =
    [(10, 26), (11, 53), (12, 106), (13, 214), (14, 430), (15, 868), (16, 1747), (17, 3523)];

/// The largest log2 of a modulus under which a secret of weight 32 may have a key, by log2 N.
/// The entry for 2^16 is the bound of sparse-secret encapsulation (Bossuat, Troncoso-Pastoriza and
/// Hubaux, [ACNS 2022](https://eprint.iacr.org/2022/024)). For a modulus of 100 bits,
/// estimates of the best classical attack are 2^163 there, 2^137 at N = 2^15,
/// and 2^111 at N = 2^14, which is not enough.
const SPARSE_BOUNDS: [(u32, u32); 2] = [(15, 100), (16, 121)];

/// Returns the largest log2(QP) with 128-bit security at N = 2^`log_n` for uniform ternary secrets;
/// `None` if the table has no entry.
///
/// ```
/// assert_eq!(hetal::ckks::params::max_log_qp(16), Some(1747));
/// ```
#[must_use]
pub fn max_log_qp(log_n: u32) -> Option<u32> {
    entry(&BOUNDS, log_n)
}

/// Returns the largest log2 of the modulus under which the sparse secret of a bootstrapping,
/// of weight [`SPARSE_WEIGHT`](crate::ckks::keys::SPARSE_WEIGHT), may have a key with 128-bit
/// security at N = 2^`log_n`. It is `None` if no estimate says that there is such a modulus:
/// estimates for one degree are not applied to another.
///
/// ```
/// assert_eq!([14, 15, 16].map(hetal::ckks::params::max_sparse_log_qp), [None, Some(100), Some(121)]);
/// ```
#[must_use]
pub fn max_sparse_log_qp(log_n: u32) -> Option<u32> {
    entry(&SPARSE_BOUNDS, log_n)
}

fn entry(table: &[(u32, u32)], log_n: u32) -> Option<u32> {
    table.iter().find(|&&(n, _)| n == log_n).map(|&(_, bits)| bits)
}
