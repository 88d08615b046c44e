//! NumPy's array files, [format](https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html) 1 to 3: arrays of numbers in one or two dimensions.
//!
//! Headers come from whoever made the file. Their length is bounded, shapes are multiplied with checks and compared with the bytes that there are
//! before anything is allocated, and the parser does not recurse; libraries for the format leave at least one of these out.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use super::{Access, write_atomically};
use crate::error::{Error, Result, check_count};

/// The kind of object in errors.
const OBJECT: &str = "array";
const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// NumPy refuses headers longer than 10 000 bytes too.
const LONGEST_HEADER: usize = 10_000;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Float,
    Signed,
    Unsigned,
}

/// The type of the numbers.
#[derive(Clone, Copy)]
struct Dtype {
    kind: Kind,
    size: usize,
    big_endian: bool,
}

impl Dtype {
    fn parse(text: &str) -> Option<Self> {
        let (order, rest) = text.split_at_checked(1)?;
        let (kind, size) = match rest {
            "f2" | "f4" | "f8" => (Kind::Float, &rest[1..]),
            "i1" | "i2" | "i4" | "i8" => (Kind::Signed, &rest[1..]),
            "u1" | "u2" | "u4" | "u8" => (Kind::Unsigned, &rest[1..]),
            _ => return None,
        };
        let size = size.parse().ok()?;
        match order {
            "<" | ">" => {}
            "|" if size == 1 => {}
            _ => return None,
        }
        Some(Self { kind, size, big_endian: order == ">" })
    }

    /// The bits of a number, lowest first.
    fn bits(self, bytes: &[u8]) -> u64 {
        let push = |bits: u64, byte: &u8| bits << 8 | u64::from(*byte);
        if self.big_endian { bytes.iter().fold(0, push) } else { bytes.iter().rev().fold(0, push) }
    }

    /// As an integer; what is not one is refused before.
    fn integer(self, bytes: &[u8]) -> i128 {
        let bits = self.bits(bytes);
        let unused = 64 - 8 * self.size;
        if self.kind == Kind::Signed { i128::from((bits << unused) as i64 >> unused) } else { i128::from(bits) }
    }

    fn float(self, bytes: &[u8]) -> f64 {
        match (self.kind, self.size) {
            (Kind::Float, 2) => half(self.bits(bytes) as u16),
            (Kind::Float, 4) => f64::from(f32::from_bits(self.bits(bytes) as u32)),
            (Kind::Float, _) => f64::from_bits(self.bits(bytes)),
            _ => self.integer(bytes) as f64,
        }
    }
}

/// The number with these bits in IEEE's binary16.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

/// An array of which the header was read.
pub(super) struct Array<R> {
    reader: R,
    /// Where it comes from, for errors.
    name: String,
    descr: String,
    dtype: Dtype,
    fortran: bool,
    shape: Vec<usize>,
}

impl<R: Read> Array<R> {
    /// Reads the header of an array in `available` bytes.
    pub(super) fn open(mut reader: R, name: String, available: u64) -> Result<Self> {
        let mut start = [0; 8];
        fill(&mut reader, &mut start, &name)?;
        let (magic, version) = (&start[..6], start[6]);
        if magic != MAGIC || !(1..=3).contains(&version) {
            let found = start.escape_ascii();
            return Err(Error::malformed(OBJECT, format_args!("{name}: first bytes"), found, "those of a .npy file"));
        }
        let mut length = [0; 4];
        let width = if version == 1 { 2 } else { 4 };
        fill(&mut reader, &mut length[..width], &name)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST_HEADER {
            let wanted = format_args!("at most {LONGEST_HEADER} bytes");
            return Err(Error::malformed(OBJECT, format_args!("{name}: length of the header"), length, wanted));
        }
        let mut header = vec![0; length];
        fill(&mut reader, &mut header, &name)?;
        let header = String::from_utf8_lossy(&header);
        let wanted = "{'descr': '<f4', 'fortran_order': False, 'shape': (rows, columns)}, with the file's own values";
        let Some((descr, fortran, shape)) = parse(&header) else {
            return Err(Error::malformed(OBJECT, format_args!("{name}: header"), header.trim(), wanted));
        };
        let Some(dtype) = Dtype::parse(&descr) else {
            let wanted = "f2, f4, f8, i1 … i8 or u1 … u8: convert with NumPy's astype";
            return Err(Error::malformed(OBJECT, format_args!("{name}: dtype"), descr, wanted));
        };
        let bytes = shape.iter().try_fold(dtype.size as u64, |product, &n| product.checked_mul(n as u64));
        let available = available.saturating_sub((start.len() + width + length) as u64);
        match bytes {
            Some(bytes) if bytes == available => Ok(Self { reader, name, descr, dtype, fortran, shape }),
            Some(bytes) if bytes < available => {
                let wanted = format_args!("the {bytes} that the header declares");
                Err(Error::malformed(OBJECT, format_args!("{name}: bytes of values"), available, wanted))
            }
            _ => Err(truncated(&name, bytes.unwrap_or(u64::MAX) - available)),
        }
    }

    /// Rows and columns of features.
    pub(super) fn matrix(&self) -> Result<[usize; 2]> {
        match self.shape[..] {
            [rows, columns] if rows > 0 && columns > 0 => Ok([rows, columns]),
            _ => Err(self.refused_shape("(rows, columns) with at least one of each")),
        }
    }

    /// Rows of labels.
    pub(super) fn rows(&self) -> Result<usize> {
        match self.shape[..] {
            [rows] if rows > 0 => Ok(rows),
            _ => Err(self.refused_shape("(rows,) with at least one of them: one class number per row")),
        }
    }

    fn refused_shape(&self, wanted: &str) -> Error {
        Error::malformed(OBJECT, format_args!("{}: shape", self.name), format_args!("{:?}", self.shape), wanted)
    }

    /// Finite numbers, by rows.
    pub(super) fn features(self) -> Result<Vec<f32>> {
        let [rows, columns] = self.matrix()?;
        let (dtype, fortran) = (self.dtype, self.fortran);
        let mut values = vec![0.0; rows * columns];
        self.for_each(|i, bytes, name| {
            let (row, column) = if fortran { (i % rows, i / rows) } else { (i / columns, i % columns) };
            let value = dtype.float(bytes);
            // A number that is too large becomes infinite here.
            if !(value as f32).is_finite() {
                let field = format_args!("{name}, row {row}, column {column}:");
                return Err(Error::malformed(OBJECT, field, value, "a finite number: replace it or drop the row"));
            }
            values[row * columns + column] = value as f32;
            Ok(())
        })?;
        Ok(values)
    }

    /// Classes below `classes`.
    pub(super) fn labels(self, classes: usize) -> Result<Vec<u32>> {
        let rows = self.rows()?;
        let dtype = self.dtype;
        if dtype.kind == Kind::Float {
            let wanted = "an integer one: convert labels with NumPy's astype('uint8')";
            return Err(Error::malformed(OBJECT, format_args!("{}: dtype", self.name), self.descr, wanted));
        }
        let mut labels = Vec::with_capacity(rows);
        self.for_each(|row, bytes, name| {
            let label = dtype.integer(bytes);
            if !(0..classes as i128).contains(&label) {
                let wanted = format_args!("a class from 0 to {}", classes - 1);
                return Err(Error::malformed(OBJECT, format_args!("{name}, row {row}: label"), label, wanted));
            }
            labels.push(label as u32);
            Ok(())
        })?;
        Ok(labels)
    }

    /// Calls with every number's position in the file, its bytes, and the name of the array.
    fn for_each(mut self, mut f: impl FnMut(usize, &[u8], &str) -> Result<()>) -> Result<()> {
        let (size, count) = (self.dtype.size, self.shape.iter().product::<usize>());
        let mut buffer = vec![0; 1 << 16];
        for first in (0..count).step_by(buffer.len() / size) {
            let length = buffer.len().min((count - first) * size);
            let chunk = &mut buffer[..length];
            fill(&mut self.reader, chunk, &self.name)?;
            for (i, bytes) in chunk.chunks_exact(size).enumerate() {
                f(first + i, bytes, &self.name)?;
            }
        }
        // At its end an archive compares its check sum.
        let more =
            self.reader.read(&mut [0]).map_err(|error| Error::io(format_args!("reading {}", self.name), &error))?;
        if more > 0 {
            let field = format_args!("{}: bytes of values", self.name);
            return Err(Error::malformed(OBJECT, field, "too many", "as many as the header declares"));
        }
        Ok(())
    }
}

fn fill(reader: &mut impl Read, mut to: &mut [u8], name: &str) -> Result<()> {
    while !to.is_empty() {
        match reader.read(to) {
            Ok(0) => return Err(truncated(name, to.len() as u64)),
            Ok(n) => to = &mut to[n..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io(format_args!("reading {name}"), &error)),
        }
    }
    Ok(())
}

fn truncated(name: &str, missing: u64) -> Error {
    Error::Truncated { object: OBJECT, field: name.to_owned(), missing }
}

/// dtype, Fortran order and shape of a header: a Python dictionary with these three keys, in any order.
fn parse(header: &str) -> Option<(String, bool, Vec<usize>)> {
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    let mut rest = header.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    while !rest.is_empty() {
        let (key, after) = string(rest)?;
        rest = after.trim_start().strip_prefix(':')?.trim_start();
        rest = match key {
            "descr" => {
                let (value, after) = string(rest)?;
                descr = Some(value.to_owned());
                after
            }
            "fortran_order" => {
                let word = |word| rest.strip_prefix(word);
                let (value, after) = word("True").map(|after| (true, after)).or(word("False").map(|a| (false, a)))?;
                fortran = Some(value);
                after
            }
            "shape" => {
                let (inner, after) = rest.strip_prefix('(')?.split_once(')')?;
                let inner = inner.trim();
                let numbers = inner.strip_suffix(',').unwrap_or(inner).split(',').map(str::trim);
                shape = Some(numbers.filter(|_| !inner.is_empty()).map(|n| n.parse().ok()).collect::<Option<_>>()?);
                after
            }
            _ => return None,
        };
        rest = rest.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if rest.is_empty() => rest,
            None => return None,
        };
    }
    Some((descr?, fortran?, shape?))
}

/// A quoted string without escapes, and what follows it.
fn string(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('\'')
        .and_then(|inner| inner.split_once('\''))
        .or_else(|| text.strip_prefix('"').and_then(|inner| inner.split_once('"')))
}

/// Writes classes, as unsigned integers of 32 bits.
///
/// # Errors
/// Those of [`write_atomically`].
pub fn write_labels(path: impl AsRef<Path>, labels: &[u32]) -> Result<()> {
    let shape = format!("({},)", labels.len());
    write(path.as_ref(), "<u4", &shape, labels.iter().flat_map(|label| label.to_le_bytes()))
}

/// Writes rows of numbers, as floating point of 64 bits: probabilities, logits.
///
/// # Errors
/// [`Error::Count`] for rows of different lengths; those of [`write_atomically`].
pub fn write_rows(path: impl AsRef<Path>, rows: &[Vec<f64>]) -> Result<()> {
    let columns = rows.first().map_or(0, Vec::len);
    rows.iter().try_for_each(|row| check_count("columns", row.len(), columns))?;
    let shape = format!("({}, {columns})", rows.len());
    write(path.as_ref(), "<f8", &shape, rows.iter().flatten().flat_map(|x| x.to_le_bytes()))
}

fn write(path: &Path, descr: &str, shape: &str, values: impl Iterator<Item = u8>) -> Result<()> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    // Values start at a multiple of 64.
    let unpadded = MAGIC.len() + 4 + header.len() + 1;
    header.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');
    let mut bytes = [&MAGIC[..], &[1, 0], &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat();
    bytes.extend(values);
    write_atomically(path, Access::Shared, |file| {
        file.write_all(&bytes).map_err(|error| Error::io(format_args!("writing {}", path.display()), &error))
    })
}
