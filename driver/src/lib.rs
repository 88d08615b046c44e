//! CKKS: arithmetic on encrypted vectors of real and complex numbers,
//! with bootstrapping, on [`hetal_kernel`].
//!
//! # Example
//!
//! Two vectors are encrypted by the owner of the secret key, multiplied and rotated by a server
//! without it, and decrypted by the owner:
//!
//! ```
//! use std::sync::Arc;
//! use hetal::{Encoder, Evaluator, KeyRequests, Parameters, SecretKey};
//! use hetal::ckks::keys;
//!
//! let params = Parameters::preset("test-11")?; // insecure, for tests; in earnest "n16"
//! let (level, mut rng) = (5, keys::entropy()?);
//! // The owner of the data: a secret, keys for exactly what will be computed, two ciphertexts.
//! let secret = SecretKey::generate(&params, &mut rng)?;
//! let requests = KeyRequests::default().relinearisation(level).rotation(&params, 1, level - 1);
//! let keys = secret.evaluation_keys(&requests, &mut rng)?;
//! let encoder = Encoder::new(&params);
//! let a = secret.encrypt(&encoder.encode(&[1.0, 2.0, 3.0, 4.0], level, params.scale(level))?, &mut rng)?;
//! let b = secret.encrypt(&encoder.encode(&[0.5, 0.25, -1.0, 2.0], level, params.scale(level))?, &mut rng)?;
//! // The server: public keys only.
//! let evaluator = Evaluator::new(&params, Arc::new(keys));
//! let product = evaluator.mul_rescale(&a, &b)?; // one level less, the nominal scale of that level
//! let rotated = evaluator.rotate(&product, 1)?;
//! // The owner again.
//! let values = encoder.decode_real(&secret.decrypt(&rotated)?)?;
//! assert!(values.iter().zip([0.5, -3.0, 8.0, 0.5]).all(|(x, y)| (x - y).abs() < 1e-6));
//! # Ok::<(), hetal::Error>(())
//! ```
//!
//! # Where things are
//!
//! Each layer uses those above it in this table, and none below.
//!
//! | layer | content |
//! |---|---|
//! | [`base`] | errors, key generations, files, loops over threads: everything that does not depend on CKKS |
//! | [`ckks`] | parameters, keys, encoding, ciphertexts and arithmetic on them, with estimates of all errors |
//! | [`wire`] | the byte format of every stored object |
//! | [`circuits`] | polynomials, linear transforms, bootstrapping, softmax, products of matrices: plans that give keys, depth and cost beforehand |
//! | [`measure`] | measurements of errors and memory |
//! | [`train`] | training on ciphertexts: data sets, steps, the two roles, folders, logs, and its plain twin |
//! | [`cli`] | the `hetal` program |
//!
//! # Levels and scales
//!
//! A ciphertext at level l has the modulus q_0 ⋯ q_l; its scale Δ is the factor between
//! slots and encoded numbers. The scale of a product is the product of the scales;
//! rescaling divides by q_l and takes a level. The primes are chosen so that a ciphertext with
//! the [nominal scale](Parameters::scale) Δ_l of its level, squared and rescaled, has exactly
//! the scale Δ_{l−1}: circuits that keep to nominal scales never have to adjust a scale.
//! Scales are tracked as `f64` and compared to within [2^−40](ckks::ciphertext::SCALE_TOLERANCE).
//! Operands that differ by more are refused with both scales in the error; [`Evaluator::adjust`]
//! brings one operand to the level and scale of the other. See [`encoding`](ckks::encoding) for the
//! mathematics of the slots and [`noise`](ckks::noise) for the mathematics of the errors.
//!
//! # Security
//!
//! * **Model.** The server is honest but curious: it computes what it was asked to,
//!   and learns nothing from what it sees. CKKS ciphertexts are malleable, and nothing here proves
//!   that a computation was done as asked.
//! * **Parameters.** Parameters are refused if their modulus, with all special primes, exceeds
//!   the one for 128 bits at their ring degree ([`params::max_log_qp`](ckks::params::max_log_qp),
//!   uniform ternary secrets, σ = 3.2), unless both their literal and their name say that they are
//!   insecure. The 128 bits are gates of the best classical attack (2^129.3 at the preset `n16`);
//!   in core-SVP, which counts less, `n16` has 95. The one sparse secret, that of bootstrapping,
//!   has a key only modulo q_0·p_0 ([`keys::EncapsulationKeys`](ckks::keys::EncapsulationKeys)).
//!   This modulus is refused above [`params::max_sparse_log_qp`](ckks::params::max_sparse_log_qp),
//!   a bound that exists for N = 2^15 and 2^16 only.
//! * **Decryptions.** A decrypted value contains the noise of its ciphertext.
//!   Whoever gets such values and the ciphertexts can compute the secret (IND-CPA-D;
//!   Li and Micciancio, [EUROCRYPT 2021](https://eprint.iacr.org/2020/1533)). Never hand out what
//!   [`SecretKey::decrypt`] returns, nor numbers computed from it: [`Encoder::decode_public`]
//!   rounds and floods them. [`flooding_bound`](ckks::encryption::flooding_bound) gives the noise
//!   that this hides for a number of slots and queries, and says which noise to assume if its
//!   tails are heavy. A single bit per query, such as whether to go on, is a small oracle too:
//!   limit the number of such bits.
//! * **Circular security.** Evaluation keys encrypt functions of the secret under itself.
//!   This needs the usual assumption, on which all schemes of this kind rest.
//! * **Time.** Sampling secrets and errors, encryption and decryption take constant time;
//!   decoding, and everything on public data, does not.
//! * **Memory.** Secrets, errors and intermediate values computed from them are wiped;
//!   keys of generators may stay in memory that was freed. The program switches core dumps off;
//!   protecting memory that is swapped out is left to the operating system.
//! * **Files.** Files that travel lie in separate folders ([`train::store`]).
//!   Folders that come back are considered hostile: links in them are not followed,
//!   and all numbers are checked. Everything carries the id of its keys
//!   ([`KeyGeneration`](base::key_generation::KeyGeneration)), which detects accidental
//!   mix-ups but proves nothing.
//! * **Ranges.** Softmax is correct for logits within their range. It is applied to the logits
//!   of W on encrypted rows, which nobody sees. The client sees the logits of W and of V on the
//!   validation rows, and stops when one leaves the range. For training rows it computes the logits
//!   of the plain twin, and reports when one leaves the range.
//! * **Randomness.** Random numbers come from the operating system
//!   ([`keys::entropy`](ckks::keys::entropy)). Every ciphertext and every key expands its public
//!   part from a fresh seed.

pub mod base;
pub mod circuits;
pub mod ckks;
#[cfg(feature = "cli")]
pub mod cli;
pub mod measure;
pub mod train;
pub mod wire;

pub use base::error::{Error, Result};
pub use ckks::ciphertext::{Ciphertext, Plaintext};
pub use ckks::encoding::Encoder;
pub use ckks::eval::Evaluator;
pub use ckks::keys::{KeyRequests, KeySet, PublicKey, SecretKey};
pub use ckks::params::{Parameters, ParametersLiteral};
pub use hetal_kernel as kernel;
pub use num_complex::Complex64;
