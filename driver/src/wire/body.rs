//! Reads and writes the bytes after a header.

use std::fmt::{Arguments, Display};
use std::io::{ErrorKind, Read, Write};

use hetal_kernel::bytes::{decode_limb, encode_limb, limb_len};
use hetal_kernel::{Error as KernelError, Eval, RnsPoly};

use super::kind::Kind;
use crate::base::error::{Error, Result};
use crate::ckks::params::Parameters;

/// The input of one object's body, with its declared length.
pub struct Body<'a> {
    input: &'a mut dyn Read,
    object: &'static str,
    declared: u64,
    left: u64,
}

impl<'a> Body<'a> {
    pub(super) fn new(input: &'a mut dyn Read, kind: Kind, declared: u64) -> Self {
        Self { input, object: kind.name(), declared, left: declared }
    }

    /// Returns the number of bytes of the body that are not read yet.
    pub(super) const fn left(&self) -> u64 {
        self.left
    }

    pub(super) fn malformed(&self, field: impl Display, value: impl Display, wanted: impl Display) -> Error {
        Error::malformed(self.object, field, value, wanted)
    }

    /// Checks the declared length, as soon as the right length is known.
    pub(super) fn check_len(&self, wanted: u64, because: Arguments<'_>) -> Result<()> {
        if self.declared == wanted {
            return Ok(());
        }
        Err(self.malformed("body length", self.declared, format_args!("{wanted} for {because}")))
    }

    /// Fills `out` from the input.
    pub(super) fn fill(&mut self, out: &mut [u8], field: Arguments<'_>) -> Result<()> {
        let wanted = out.len() as u64;
        if wanted > self.left {
            let least = (self.declared - self.left).saturating_add(wanted);
            return Err(self.malformed("body length", self.declared, format_args!("at least {least} for the {field}")));
        }
        let found = fill(self.input, out).map_err(|error| self.fails(field, &error))? as u64;
        if found < wanted {
            return Err(Error::Truncated { object: self.object, field: field.to_string(), missing: self.left - found });
        }
        self.left -= wanted;
        Ok(())
    }

    fn fails(&self, field: Arguments<'_>, error: &std::io::Error) -> Error {
        Error::io(format_args!("{}: reading the {field}", self.object), error)
    }

    pub(super) fn array<const LEN: usize>(&mut self, field: &str) -> Result<[u8; LEN]> {
        let mut out = [0; LEN];
        self.fill(&mut out, format_args!("{field}"))?;
        Ok(out)
    }

    /// Reads a polynomial whose limb i is modulo the prime of QP with number `table(i)`.
    pub(super) fn poly(
        &mut self,
        params: &Parameters,
        limbs: usize,
        table: impl Fn(usize) -> usize,
        name: &str,
    ) -> Result<RnsPoly<Eval>> {
        let mut poly = RnsPoly::zero(params.n(), limbs);
        let mut bytes = Vec::new();
        for (i, limb) in poly.limbs_mut().enumerate() {
            let q = params.qp().modulus(table(i));
            bytes.resize(limb_len(q, limb.len()), 0);
            self.fill(&mut bytes, format_args!("limb {i} of {name}"))?;
            decode_limb(q, i, &bytes, limb).map_err(|error| self.residue(name, error))?;
        }
        Ok(poly)
    }

    /// Converts what the kernel found wrong with the limbs of `name` to an error.
    pub(super) fn residue(&self, name: impl Display, error: KernelError) -> Error {
        match error {
            KernelError::Residue { limb, index, value, modulus } => self.malformed(
                format_args!("residue {index} of limb {limb} of {name}"),
                value,
                format_args!("below {modulus}"),
            ),
            other => other.into(),
        }
    }

    /// Checks that the body is used up.
    pub(super) fn end(&self) -> Result<()> {
        self.check_len(self.declared - self.left, format_args!("what it holds"))
    }
}

/// Reads until `out` is full or the input ends, and returns the number of bytes read.
pub(super) fn fill(input: &mut dyn Read, out: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < out.len() {
        match input.read(&mut out[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The output for one object.
pub struct Sink<'a> {
    out: &'a mut dyn Write,
    object: &'static str,
}

impl<'a> Sink<'a> {
    pub(super) fn new(out: &'a mut dyn Write, kind: Kind) -> Self {
        Self { out, object: kind.name() }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let object = self.object;
        self.out.write_all(bytes).map_err(|error| Error::io(format_args!("{object}: writing"), &error))
    }

    /// Writes the limbs of a polynomial. Limb i is modulo the prime of QP with number `table(i)`.
    pub(super) fn poly(
        &mut self,
        params: &Parameters,
        poly: &RnsPoly<Eval>,
        table: impl Fn(usize) -> usize,
    ) -> Result<()> {
        let mut bytes = Vec::new();
        for i in 0..poly.limbs() {
            let q = params.qp().modulus(table(i));
            bytes.resize(limb_len(q, poly.n()), 0);
            encode_limb(q, poly.limb(i), &mut bytes);
            self.bytes(&bytes)?;
        }
        Ok(())
    }

    pub(super) fn flush(self) -> Result<()> {
        let object = self.object;
        self.out.flush().map_err(|error| Error::io(format_args!("{object}: writing"), &error))
    }
}

/// Returns the encoded length, in bytes, of the limbs of a polynomial.
pub(super) fn poly_len(params: &Parameters, limbs: usize, table: impl Fn(usize) -> usize) -> u64 {
    (0..limbs).map(|i| limb_len(params.qp().modulus(table(i)), params.n()) as u64).sum()
}
