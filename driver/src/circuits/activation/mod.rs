//! Softmax of the rows of an encrypted matrix, in several variants, each with one code path for ciphertexts and for plain numbers.
//!
//! | module | what |
//! |---|---|
//! | [`plain`], [`encrypted`], [`plan`] | the three things that a variant runs on: numbers, ciphertexts, levels |
//! | [`normalise_square`] | normalise and square |
//! | [`published`] | HETAL's: maximum, domain extension, exponential, Goldschmidt's inverse |
//! | [`rivals`] | three more to compare with |
//! | [`table`] | errors, depths and bootstraps side by side |
//!
//! A variant is written once, against [`Vectors`]. Run on levels ([`SoftmaxPlan::new`]) it tells its depth, where to bootstrap and
//! which keys it needs, before any key exists; on plain numbers, its error; on ciphertexts it does the same steps.
//!
//! **Padding.** Classes are padded to a power of two, rows to the number of slots. Padding contributes exactly nothing: the input is multiplied by
//! a mask in the product that scales it, so that what a polynomial makes of padding is known, and is subtracted.
//!
//! **Range.** Every variant is made for logits within a range. Beyond it results are wrong without a sign of it: check what the client decrypts.

pub mod encrypted;
mod layout;
pub mod normalise_square;
pub mod plain;
pub mod plan;
pub mod published;
#[cfg(feature = "bench")]
pub mod rivals;
mod softmax;
#[cfg(feature = "bench")]
pub mod table;
mod variant;
mod vectors;

pub use encrypted::Encrypted;
pub use layout::Layout;
pub use normalise_square::{NormaliseSquare, NormaliseSquareConfig};
pub use plain::Plain;
pub use plan::SoftmaxPlan;
pub use published::{Paper, PaperConfig};
pub use softmax::{Softmax, exact};
pub use variant::Variant;
pub use vectors::Vectors;
