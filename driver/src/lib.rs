//! CKKS: arithmetic on encrypted vectors of real and complex numbers, with bootstrapping, on [`hetal_kernel`].
//!
//! # Example
//!
//! Two vectors are encrypted, multiplied and rotated by someone who holds no secret, and decrypted:
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
//! Each storey uses those above it in this table, and none below.
//!
//! | storey | what |
//! |---|---|
//! | [`base`] | errors, key generations, files, loops over threads: what knows nothing of CKKS |
//! | [`ckks`] | parameters, keys, encoding, ciphertexts and arithmetic on them, with the errors of all of it |
//! | [`wire`] | the bytes of every stored object |
//! | [`circuits`] | polynomials, linear transforms, bootstrapping, softmax, products of matrices: plans that tell keys, depth and cost beforehand |
//! | [`measure`] | errors and memory, measured |
//! | [`train`] | training on ciphertexts: data sets, steps, the two roles, folders, logs, and its plain twin |
//! | [`cli`] | the `hetal` program |
//!
//! # Levels and scales
//!
//! A ciphertext at level l is modulo q_0 ⋯ q_l; its scale Δ is the factor between slots and encoded numbers. A product has the product of the
//! scales; rescaling divides by q_l and takes a level. The primes are chosen so that a ciphertext with the [nominal scale](Parameters::scale)
//! Δ_l of its level has, squared and rescaled, exactly Δ_{l−1}: circuits that keep to nominal scales never have to adjust one. Scales are tracked as `f64` and
//! compared to within [2^−40](ckks::ciphertext::SCALE_TOLERANCE); operands that differ by more are refused with both scales in the error, and
//! [`Evaluator::adjust`] brings one to the level and scale of the other. See [`encoding`](ckks::encoding) for the maths of the slots and [`noise`](ckks::noise) for that of the errors.
//!
//! # Security
//!
//! * **Model.** The server is honest but curious: it computes what it was asked to and learns nothing from what it sees. CKKS ciphertexts are malleable, and
//!   nothing here proves that a computation was done as asked.
//! * **Parameters** are refused above the modulus for 128 bits at their ring degree ([`params::max_log_qp`](ckks::params::max_log_qp), uniform ternary secrets, σ = 3.2), all special
//!   primes counted, unless their literal says that they are insecure, as must their name. The 128 bits are gates of the best classical attack
//!   (2^129.3 at the preset `n16`); in core-SVP, which counts less, `n16` has 95. The one sparse secret, that of bootstrapping, has a key
//!   only modulo q_0·p_0 ([`keys::EncapsulationKeys`](ckks::keys::EncapsulationKeys)), refused above [`params::max_sparse_log_qp`](ckks::params::max_sparse_log_qp), at N = 2^15 and 2^16 only.
//! * **Decryptions.** A decrypted value holds the noise of its ciphertext. Whoever gets such values and the ciphertexts can compute the secret (IND-CPA-D; Li and
//!   Micciancio, [EUROCRYPT 2021](https://eprint.iacr.org/2020/1533)). Never hand out what [`SecretKey::decrypt`] returns, nor numbers computed from it:
//!   [`Encoder::decode_public`] rounds and floods; [`flooding_bound`](ckks::encryption::flooding_bound) says up to which noise that hides it, for so many slots and
//!   queries, and what to take for noise whose tails are heavy. A single bit per query, such as whether to go on, is an oracle too, if a small one: limit their number.
//! * **Circular security.** Evaluation keys encrypt functions of the secret under itself: the usual assumption, on which all schemes of this kind rest.
//! * **Time.** Secrets and errors are sampled, encrypted with and decrypted in constant time; decoding, and everything on public data, is not.
//! * **Memory.** Secrets, errors and what is computed from them on the way are wiped; keys of generators may stay in memory that was freed.
//!   The program switches core dumps off; memory that is swapped out is the system's to protect.
//! * **Files.** What travels lies in folders of its own ([`train::store`]), and folders that come back are taken for hostile: links in them are not
//!   followed, all numbers are checked. Everything carries the id of its keys ([`KeyGeneration`](base::key_generation::KeyGeneration)), which finds what was mixed up by mistake and
//!   proves nothing.
//! * **Ranges.** Softmax is right for logits within their range, and computed of W on rows that are encrypted: nobody sees these logits. The client
//!   sees those of W and of V on the validation rows, and stops when one leaves the range; of training rows it computes those of the plain twin,
//!   and says when one leaves it.
//! * **Randomness** comes from the operating system ([`keys::entropy`](ckks::keys::entropy)). Every ciphertext and every key expands its public part from a fresh seed.

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
