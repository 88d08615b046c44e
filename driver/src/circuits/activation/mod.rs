//! Softmax of the rows of an encrypted matrix, in several variants.
//! Each variant has one code path for ciphertexts and for plain numbers.
//!
//! | module | content |
//! |---|---|
//! | [`plain`], [`encrypted`], [`plan`] | the three things that a variant runs on: numbers, ciphertexts, levels |
//! | [`normalise_square`] | normalise and square |
//! | [`published`] | HETAL (the paper): maximum, domain extension, exponential, Goldschmidt's inverse |
//! | [`rivals`] | three more to compare with |
//! | [`table`] | errors, depths and bootstraps side by side |
//!
//! A variant is written once, against [`Vectors`]. When it runs on levels ([`SoftmaxPlan::new`]),
//! it tells its depth, where to bootstrap and which keys it needs, before any key exists.
//! When it runs on plain numbers, it tells its error. On ciphertexts it performs the same steps.
//!
//! **Padding.** Classes are padded to a power of two, and rows to the number of slots.
//! Padding contributes exactly nothing: the product that scales the input also multiplies it
//! by a mask, so the value that a polynomial takes on padding is known and can be subtracted.
//!
//! **Range.** Every variant is made for logits within a range. Beyond it the results are wrong
//! without any error message, so check the values that the client decrypts.

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
pub use published::{Published, PublishedConfig};
pub use softmax::{Softmax, exact};
pub use variant::Variant;
pub use vectors::Vectors;
