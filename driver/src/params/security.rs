//! How large the modulus may be.

/// The largest log2(QP) with 128-bit classical security for uniform ternary secrets and σ = 3.2, by log2 N, from Table 4.2 of
/// Bossuat et al., [Security Guidelines for Implementing Homomorphic Encryption](https://eprint.iacr.org/2024/463) (2024).
const BOUNDS: [(u32, u32); 8] =
    [(10, 26), (11, 53), (12, 106), (13, 214), (14, 430), (15, 868), (16, 1747), (17, 3523)];

/// The largest log2 of the modulus under which a *sparse* secret of weight 32 may have a key at N = 2^16: the bound behind
/// sparse-secret encapsulation (Bossuat, Troncoso-Pastoriza and Hubaux, [ACNS 2022](https://eprint.iacr.org/2022/024)).
pub const SPARSE_32_BITS: u32 = 121;

/// The largest log2(QP) with 128-bit security at N = 2^`log_n` for uniform ternary secrets; `None` where the table has no
/// entry.
///
/// ```
/// assert_eq!(hetal::params::max_log_qp(16), Some(1747));
/// ```
#[must_use]
pub fn max_log_qp(log_n: u32) -> Option<u32> {
    BOUNDS.iter().find(|&&(n, _)| n == log_n).map(|&(_, bits)| bits)
}
