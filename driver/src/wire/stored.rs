//! What only this crate can make of an object.

use super::body::{Body, Sink};
use crate::base::error::Result;
use crate::base::key_generation::KeyGeneration;
use crate::ckks::params::{Parameters, ParametersHash};

/// What [`Wire`](super::Wire) needs; with `params` those of the hash.
pub trait Stored: Sized {
    fn hash(&self) -> ParametersHash;
    /// [`KeyGeneration::NONE`] if keys have not made it.
    fn generation(&self) -> KeyGeneration;
    fn body_len(&self, params: &Parameters) -> Result<u64>;
    fn write_body(&self, params: &Parameters, sink: &mut Sink<'_>) -> Result<()>;
    fn read_body(params: &Parameters, generation: KeyGeneration, body: &mut Body<'_>) -> Result<Self>;
}
