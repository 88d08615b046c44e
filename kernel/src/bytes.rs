//! The canonical byte form of a limb: every residue as its value in [0, q), little-endian,
//! in ⌈bits/8⌉ bytes.
//!
//! A limb has only one byte form: residues are written from any representative, and they are read
//! back only if they are below q. There is no header; lengths and moduli come from the parameters.

use crate::error::Error;
use crate::modulus::Modulus;
use crate::scratch::total;

/// The number of bytes of one residue, 1 to 7.
const fn residue_len(q: &Modulus) -> usize {
    q.bits().div_ceil(8) as usize
}

/// The number of bytes of a limb of n residues modulo q.
///
/// # Panics
/// If the number is more than `usize::MAX`.
#[must_use]
pub const fn limb_len(q: &Modulus, n: usize) -> usize {
    total(n, residue_len(q))
}

/// Calls `$f::<W>($args)`, where W is the number of bytes of one residue, so that the compiler sees
/// copies of known length.
macro_rules! with_residue_len {
    ($q:expr, $f:ident($($args:expr),*)) => {
        match residue_len($q) {
            1 => $f::<1>($($args),*),
            2 => $f::<2>($($args),*),
            3 => $f::<3>($($args),*),
            4 => $f::<4>($($args),*),
            5 => $f::<5>($($args),*),
            6 => $f::<6>($($args),*),
            _ => $f::<7>($($args),*),
        }
    };
}

/// Writes one limb. The values are integers with |x| ≤ q, in any representative (centred,
/// canonical, ±q for 0).
///
/// Takes the same time for all values.
///
/// # Panics
/// If `out` is not [`limb_len`]`(q, values.len())` bytes long.
pub fn encode_limb(q: &Modulus, values: &[f64], out: &mut [u8]) {
    assert_eq!(out.len(), limb_len(q, values.len()), "bytes of a limb of {} residues", values.len());
    with_residue_len!(q, encode(q, values, out));
}

fn encode<const W: usize>(q: &Modulus, values: &[f64], out: &mut [u8]) {
    let q = q.value() as i64;
    for (&x, bytes) in values.iter().zip(out.as_chunks_mut::<W>().0) {
        debug_assert!(x.abs() <= q as f64 && x as i64 as f64 == x, "{x} is not an integer in [-{q}, {q}]");
        // Maps [−q, q] to [0, q], then to [−q, 0], then to [0, q). The spread sign bit selects
        // the q to add.
        let x = x as i64;
        let x = x + (q & (x >> 63)) - q;
        let x = x + (q & (x >> 63));
        bytes.copy_from_slice(&x.to_le_bytes()[..W]);
    }
}

/// Reads one limb into centred residues, which are integers in [−(q−1)/2, (q−1)/2].
/// `limb` is its index, used for the error only.
///
/// Decoding stops at the first refused residue, so its time depends on the bytes.
///
/// # Errors
/// [`Error::Length`] if `bytes` is not [`limb_len`]`(q, out.len())` bytes long;
/// `out` is then unchanged. [`Error::Residue`] for the first residue that is not below q;
/// `out` then holds the residues before it.
pub fn decode_limb(q: &Modulus, limb: usize, bytes: &[u8], out: &mut [f64]) -> Result<(), Error> {
    let wanted = limb_len(q, out.len());
    if bytes.len() != wanted {
        return Err(Error::Length { found: bytes.len(), wanted });
    }
    with_residue_len!(q, decode(q, limb, bytes, out))
}

fn decode<const W: usize>(q: &Modulus, limb: usize, bytes: &[u8], out: &mut [f64]) -> Result<(), Error> {
    for (index, (x, bytes)) in out.iter_mut().zip(bytes.as_chunks::<W>().0).enumerate() {
        let mut word = [0; 8];
        word[..W].copy_from_slice(bytes);
        let value = u64::from_le_bytes(word);
        if value >= q.value() {
            return Err(Error::Residue { limb, index, value, modulus: q.value() });
        }
        *x = q.centre(value) as f64;
    }
    Ok(())
}
