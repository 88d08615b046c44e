//! The trait behind [`Wire`](super::Wire) that only this crate can implement.

use super::body::{Body, Sink};
use crate::base::error::Result;
use crate::base::key_generation::KeyGeneration;
use crate::ckks::params::{Parameters, ParametersHash};

/// The methods that [`Wire`](super::Wire) needs. `params` are always the parameters of the hash.
pub trait Stored: Sized {
    fn hash(&self) -> ParametersHash;
    /// Returns [`KeyGeneration::NONE`] if the object was made without keys.
    fn generation(&self) -> KeyGeneration;
    fn body_len(&self, params: &Parameters) -> Result<u64>;
    fn write_body(&self, params: &Parameters, sink: &mut Sink<'_>) -> Result<()>;
    fn read_body(params: &Parameters, generation: KeyGeneration, body: &mut Body<'_>) -> Result<Self>;
}
