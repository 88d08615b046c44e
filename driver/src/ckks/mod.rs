//! The CKKS scheme: parameters, keys, ciphertexts and their arithmetic (Cheon, Kim, Kim and Song,
//! [ASIACRYPT 2017](https://eprint.iacr.org/2016/421)).
//!
//! | module | contents |
//! |---|---|
//! | [`params`] | parameters, presets, the bound for 128-bit security |
//! | [`encoding`] | encoding of vectors as plaintexts, and decoding |
//! | [`ciphertext`] | plaintexts and ciphertexts: polynomials with their level and scale |
//! | [`keys`] | secret, public and evaluation keys, each made for a level |
//! | [`encryption`] | encryption, decryption, and values that may be given away |
//! | [`eval`] | arithmetic on ciphertexts |
//! | [`noise`] | formulas for the errors of all of these |

pub mod ciphertext;
pub mod encoding;
pub mod encryption;
pub mod eval;
pub mod keys;
pub mod noise;
pub mod params;
