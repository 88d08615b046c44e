//! NumPy's array files,
//! [format](https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html) 1 to 3.
//! Arrays of numbers have one or two dimensions; arrays of text, which hold names of classes,
//! have one. Every header that NumPy reads is read here.
//!
//! Headers come from whoever made the file. Their length and depth are bounded.
//! Shapes are multiplied with overflow checks, and compared with the available bytes
//! and with [`MAX_VALUES`] before any value is read. Memory grows as values arrive.
//! Libraries for the format leave out at least one of these checks.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use crate::base::error::{Error, Result, check_count};
use crate::base::files::{Access, write_sized};
use crate::base::text::printable;

/// The largest number of classes.
pub const MAX_CLASSES: usize = 1024;

/// The largest number of values in an array: they take a GiB of memory, and more cannot reasonably
/// be meant for encryption.
pub const MAX_VALUES: u64 = 1 << 28;
/// The largest number of characters in the name of a class.
pub const MAX_NAME: usize = 256;

/// The kind of object in errors.
const OBJECT: &str = "array";
const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// NumPy refuses headers longer than 10 000 bytes too.
const LONGEST_HEADER: usize = 10_000;

/// The largest number of bytes of a value; text is padded to the longest one.
const LARGEST_VALUE: usize = 1 << 16;
/// The largest depth of nested lists and tuples in a header.
const DEPTH: usize = 8;
/// The number of characters of a foreign text that an error shows.
const SHOWN: usize = 200;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Float,
    Signed,
    Unsigned,
    Bool,
    /// Code points of 32 bits, padded with zeros.
    Text,
    /// Bytes, padded with zeros.
    Bytes,
}

/// The type of the values in an array.
#[derive(Clone, Copy)]
struct Dtype {
    kind: Kind,
    size: usize,
    big_endian: bool,
}

impl Dtype {
    /// Parses a type as NumPy does. It is a byte order (by default the machine's) followed by a
    /// letter and a size or by the letter of a C type; or it is a name.
    fn parse(text: &str) -> Option<Self> {
        let native = cfg!(target_endian = "big");
        let (big_endian, rest) = match text.as_bytes().first()? {
            b'<' => (false, &text[1..]),
            b'>' => (true, &text[1..]),
            b'=' | b'|' => (native, &text[1..]),
            _ => (native, text),
        };
        let named = || {
            let sized = match text {
                "half" | "float16" => "f2",
                "single" | "float32" => "f4",
                "double" | "float" | "float64" => "f8",
                "byte" | "int8" => "i1",
                "short" | "int16" => "i2",
                "intc" | "int32" => "i4",
                "int" | "int_" | "intp" | "long" | "longlong" | "int64" => "i8",
                "ubyte" | "uint8" => "u1",
                "ushort" | "uint16" => "u2",
                "uintc" | "uint32" => "u4",
                "uint" | "uintp" | "ulong" | "ulonglong" | "uint64" => "u8",
                "bool" | "bool_" => "b1",
                _ => return None,
            };
            Some(sized)
        };
        let of_c = match rest {
            "e" => "f2",
            "f" => "f4",
            "d" => "f8",
            "b" => "i1",
            "h" => "i2",
            "i" => "i4",
            "l" | "q" | "p" | "n" => "i8",
            "B" => "u1",
            "H" => "u2",
            "I" => "u4",
            "L" | "Q" | "P" | "N" => "u8",
            "?" => "b1",
            "c" => "S1",
            sized => named().unwrap_or(sized),
        };
        let (letter, digits) = of_c.split_at_checked(1)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let size: usize = digits.parse().ok()?;
        let (kind, size) = match (letter, size) {
            ("f", 2 | 4 | 8) => (Kind::Float, size),
            ("i", 1 | 2 | 4 | 8) => (Kind::Signed, size),
            ("u", 1 | 2 | 4 | 8) => (Kind::Unsigned, size),
            ("b", 1) => (Kind::Bool, size),
            ("U", _) => (Kind::Text, size.checked_mul(4)?),
            ("S" | "a", _) => (Kind::Bytes, size),
            _ => return None,
        };
        (1..=LARGEST_VALUE).contains(&size).then_some(Self { kind, size, big_endian })
    }

    const fn is_text(self) -> bool {
        matches!(self.kind, Kind::Text | Kind::Bytes)
    }

    /// Returns the bits of a number as an integer.
    fn bits(self, bytes: &[u8]) -> u64 {
        let push = |bits: u64, byte: &u8| bits << 8 | u64::from(*byte);
        if self.big_endian { bytes.iter().fold(0, push) } else { bytes.iter().rev().fold(0, push) }
    }

    /// Returns the value as an integer; values of other kinds are refused before.
    fn integer(self, bytes: &[u8]) -> i128 {
        let bits = self.bits(bytes);
        let unused = 64 - 8 * self.size;
        match self.kind {
            Kind::Signed => i128::from((bits << unused) as i64 >> unused),
            Kind::Bool => i128::from(bits != 0),
            _ => i128::from(bits),
        }
    }

    /// Returns a text without its padding; `None` if it is not Unicode.
    fn text(self, bytes: &[u8]) -> Option<String> {
        if self.kind == Kind::Bytes {
            let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            return String::from_utf8(bytes[..end].to_vec()).ok();
        }
        let points: Vec<u32> = bytes.chunks_exact(4).map(|bytes| self.bits(bytes) as u32).collect();
        let end = points.iter().rposition(|&point| point != 0).map_or(0, |last| last + 1);
        points[..end].iter().map(|&point| char::from_u32(point)).collect()
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

/// Returns the number with these bits in IEEE 754 binary16.
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

/// An array whose header was read.
pub(super) struct Array<R> {
    reader: R,
    /// The source of the array, for errors.
    name: String,
    descr: String,
    dtype: Dtype,
    fortran: bool,
    shape: Vec<usize>,
}

impl<R: Read> Array<R> {
    /// Reads the header of an array of at most `most` values. `available` is the length of the
    /// source in bytes, if it is known.
    pub(super) fn open(mut reader: R, name: String, available: Option<u64>, most: u64) -> Result<Self> {
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
            return Err(Error::malformed(OBJECT, format_args!("{name}: header"), shown(header.trim()), wanted));
        };
        let Some(dtype) = descr.text().and_then(Dtype::parse) else {
            let wanted = "f2, f4, f8, i1 … i8, u1 … u8 or bool, or text for names of classes: convert with NumPy's \
                          features.astype('float32') or labels.astype(str)";
            return Err(Error::malformed(OBJECT, format_args!("{name}: dtype"), shown(&descr.to_string()), wanted));
        };
        let descr = shown(&descr.to_string());
        let count = shape.iter().try_fold(1u64, |product, &n| product.checked_mul(n as u64));
        let bytes = count.and_then(|count| count.checked_mul(dtype.size as u64));
        if let Some(available) = available {
            let available = available.saturating_sub((start.len() + width + length) as u64);
            match bytes {
                Some(bytes) if bytes == available => {}
                Some(bytes) if bytes < available => {
                    let wanted = format_args!("the {bytes} that the header declares");
                    return Err(Error::malformed(OBJECT, format_args!("{name}: bytes of values"), available, wanted));
                }
                _ => return Err(truncated(&name, bytes.unwrap_or(u64::MAX) - available)),
            }
        }
        match count {
            Some(count) if count <= most && bytes.is_some() => Ok(Self { reader, name, descr, dtype, fortran, shape }),
            _ => {
                let count = count.map_or_else(|| "above 2^64".to_owned(), |count| count.to_string());
                let wanted = if most < MAX_VALUES {
                    format!("at most {most} in an archive of this length: save the arrays as .npy files in a folder")
                } else {
                    format!("at most {most}: use fewer rows or features")
                };
                Err(Error::malformed(OBJECT, format_args!("{name}: number of values"), count, wanted))
            }
        }
    }

    /// Returns the source of the array, for errors.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the number of values.
    pub(super) fn values(&self) -> u64 {
        self.shape.iter().map(|&n| n as u64).product()
    }

    /// Returns the numbers of rows and columns of features.
    pub(super) fn matrix(&self) -> Result<[usize; 2]> {
        match self.shape[..] {
            [rows, columns] if rows > 0 && columns > 0 => Ok([rows, columns]),
            _ => Err(self.refused_shape("(rows, columns) with at least one of each")),
        }
    }

    /// Returns the number of rows of labels.
    pub(super) fn rows(&self) -> Result<usize> {
        match self.shape[..] {
            [rows] if rows > 0 => Ok(rows),
            _ => Err(self.refused_shape("(rows,) with at least one of them: one class number or name per row")),
        }
    }

    fn refused_shape(&self, wanted: &str) -> Error {
        Error::malformed(OBJECT, format_args!("{}: shape", self.name), format_args!("{:?}", self.shape), wanted)
    }

    /// Reads finite numbers, row by row.
    pub(super) fn features(self) -> Result<Vec<f32>> {
        let [rows, columns] = self.matrix()?;
        let (dtype, fortran) = (self.dtype, self.fortran);
        if dtype.is_text() {
            let wanted = "one of numbers: convert features with NumPy's astype('float32')";
            return Err(Error::malformed(OBJECT, format_args!("{}: dtype", self.name), self.descr, wanted));
        }
        let mut values = Vec::new();
        self.for_each(|i, bytes, name| {
            let value = dtype.float(bytes);
            // A number that is too large for `f32` becomes infinite in this conversion.
            if !(value as f32).is_finite() {
                let (row, column) = if fortran { (i % rows, i / rows) } else { (i / columns, i % columns) };
                let field = format_args!("{name}, row {row}, column {column}:");
                return Err(Error::malformed(OBJECT, field, value, "a finite number: replace it or drop the row"));
            }
            values.push(value as f32);
            Ok(())
        })?;
        if fortran {
            let of = |i: usize| values[i % columns * rows + i / columns];
            values = (0..values.len()).map(of).collect();
        }
        Ok(values)
    }

    /// Reads classes, and their names in ascending order if the labels are text.
    pub(super) fn labels(self, known: Known<'_>) -> Result<(Vec<u32>, Option<Vec<String>>)> {
        let rows = self.rows()?;
        let dtype = self.dtype;
        let refused =
            |wanted: &str| Err(Error::malformed(OBJECT, format_args!("{}: dtype", self.name), &self.descr, wanted));
        let classes = match known {
            _ if dtype.kind == Kind::Float => {
                return refused(
                    "an integer one, or text: convert labels with NumPy's astype('uint8'), names with astype(str)",
                );
            }
            // The labels are the numbers of the names.
            Known::Names(names) if !dtype.is_text() => names.len(),
            Known::Numbers(_) if dtype.is_text() => return refused("an integer one, as the classes have no names"),
            Known::Names(names) => {
                let mut numbers: HashMap<String, u32> = names.iter().cloned().zip(0..).collect();
                return Ok((self.named(&mut numbers, Some(names))?, None));
            }
            Known::Nothing if dtype.is_text() => {
                let mut numbers = HashMap::new();
                let mut labels = self.named(&mut numbers, None)?;
                let mut names: Vec<(String, u32)> = numbers.into_iter().collect();
                names.sort_unstable();
                let mut places = vec![0; names.len()];
                names.iter().zip(0..).for_each(|(&(_, number), place)| places[number as usize] = place);
                labels.iter_mut().for_each(|label| *label = places[*label as usize]);
                return Ok((labels, Some(names.into_iter().map(|(name, _)| name).collect())));
            }
            Known::Nothing => MAX_CLASSES,
            Known::Numbers(classes) => classes,
        };
        let hint = if matches!(known, Known::Nothing) {
            ": number the classes from 0 without gaps, or make the numbers names with NumPy's astype(str)"
        } else {
            ""
        };
        let mut labels = Vec::with_capacity(rows.min(LARGEST_VALUE));
        self.for_each(|row, bytes, name| {
            let label = dtype.integer(bytes);
            if !(0..classes as i128).contains(&label) {
                let wanted = format_args!("a class from 0 to {}{hint}", classes - 1);
                return Err(Error::malformed(OBJECT, format_args!("{name}, row {row}: label"), label, wanted));
            }
            labels.push(label as u32);
            Ok(())
        })?;
        Ok((labels, None))
    }

    /// Reads names as their numbers; a name without a number gets the next one if no
    /// names are `wanted`.
    fn named(self, numbers: &mut HashMap<String, u32>, wanted: Option<&[String]>) -> Result<Vec<u32>> {
        let (rows, dtype) = (self.rows()?, self.dtype);
        let mut labels = Vec::with_capacity(rows.min(LARGEST_VALUE));
        self.for_each(|row, bytes, name| {
            let refused = |value: &str, wanted: &str| {
                let (field, value) = (format_args!("{name}, row {row}: label"), shown(value));
                Err(Error::malformed(OBJECT, field, format_args!("{value:?}"), wanted))
            };
            let Some(text) = dtype.text(bytes) else {
                return refused(&String::from_utf8_lossy(bytes), "Unicode: decode labels with NumPy's char.decode");
            };
            if let Some(&number) = numbers.get(&text) {
                labels.push(number);
                return Ok(());
            }
            if let Some(names) = wanted {
                return refused(&text, &format!("one of the classes {}", shown(&format!("{names:?}"))));
            }
            if text.chars().count() > MAX_NAME || printable(&text) != text {
                return refused(&text, &format!("at most {MAX_NAME} characters, all of them printable"));
            }
            if numbers.len() == MAX_CLASSES {
                return refused(&text, &format!("one of at most {MAX_CLASSES} names: are these names of classes?"));
            }
            let number = numbers.len() as u32;
            numbers.insert(text, number);
            labels.push(number);
            Ok(())
        })?;
        Ok(labels)
    }

    /// Calls `f` for every value with its position in the file, its bytes,
    /// and the name of the array.
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
        // Reading to the end makes an archive compare its checksum.
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
    Error::Truncated { object: OBJECT, field: printable(name), missing }
}

/// Returns the beginning of a foreign text, for errors.
fn shown(text: &str) -> String {
    let mut start: String = text.chars().take(SHOWN).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}

/// What is known about the labels before they are read.
#[derive(Clone, Copy)]
pub(super) enum Known<'a> {
    /// Nothing: the labels define the classes.
    Nothing,
    /// The labels are numbers below this one.
    Numbers(usize),
    /// The labels are these names.
    Names(&'a [String]),
}

/// A Python value of a kind that a header may hold.
enum Literal<'a> {
    Text(String),
    Number(usize),
    Flag(bool),
    Tuple(Vec<Self>),
    /// A list or None, as it is written; lists describe the types of records.
    Other(&'a str),
}

impl Literal<'_> {
    fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

impl std::fmt::Display for Literal<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Other(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::Tuple(items) => {
                f.write_str("(")?;
                items.iter().try_for_each(|item| write!(f, "{item}, "))?;
                f.write_str(")")
            }
        }
    }
}

/// Parses a header into dtype, Fortran order and shape. It is a Python dictionary with these
/// three keys in any order.
fn parse(header: &str) -> Option<(Literal<'_>, bool, Vec<usize>)> {
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    let mut rest = Rest(header);
    rest.expect('{')?;
    while !rest.take('}') {
        let key = rest.string()?;
        rest.expect(':')?;
        let value = rest.value(DEPTH)?;
        match (key.as_str(), value) {
            ("descr", value) => descr = Some(value),
            ("fortran_order", Literal::Flag(flag)) => fortran = Some(flag),
            ("shape", Literal::Tuple(items)) => {
                let number = |item| if let Literal::Number(number) = item { Some(number) } else { None };
                shape = Some(items.into_iter().map(number).collect::<Option<_>>()?);
            }
            _ => return None,
        }
        if !rest.take(',') {
            rest.expect('}')?;
            break;
        }
    }
    rest.skip();
    if rest.0.is_empty() { Some((descr?, fortran?, shape?)) } else { None }
}

/// The rest of a header that is still to be parsed.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Skips blanks and comments.
    fn skip(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']);
        while self.0.starts_with('#') {
            self.0 = self.0.split_once('\n').map_or("", |(_, after)| after);
            self.0 = self.0.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']);
        }
    }

    /// Consumes `wanted` if it comes next, and returns whether it did.
    fn take(&mut self, wanted: char) -> bool {
        self.skip();
        let after = self.0.strip_prefix(wanted);
        self.0 = after.unwrap_or(self.0);
        after.is_some()
    }

    fn expect(&mut self, wanted: char) -> Option<()> {
        self.take(wanted).then_some(())
    }

    /// Consumes and returns the characters up to the first that is not of this kind.
    fn span(&mut self, kind: impl Fn(char) -> bool) -> &'a str {
        let (span, rest) = self.0.split_at(self.0.find(|c| !kind(c)).unwrap_or(self.0.len()));
        self.0 = rest;
        span
    }

    fn value(&mut self, depth: usize) -> Option<Literal<'a>> {
        self.skip();
        let start = self.0;
        let (depth, first) = (depth.checked_sub(1)?, start.chars().next()?);
        match first {
            '(' => {
                let (mut items, comma) = self.items(')', depth)?;
                // Parentheses around one value do not make it a tuple.
                if items.len() == 1 && !comma { items.pop() } else { Some(Literal::Tuple(items)) }
            }
            '[' => {
                self.items(']', depth)?;
                Some(Literal::Other(&start[..start.len() - self.0.len()]))
            }
            '0'..='9' => {
                let digits = self.span(|c| c.is_ascii_digit());
                // Python 2 writes long integers with an L.
                self.skip();
                self.0 = self.0.strip_prefix('L').unwrap_or(self.0);
                digits.parse().ok().map(Literal::Number)
            }
            _ if first.is_ascii_alphabetic() && !start[1..].starts_with(['\'', '"']) => {
                match self.span(|c| c.is_ascii_alphanumeric()) {
                    "True" => Some(Literal::Flag(true)),
                    "False" => Some(Literal::Flag(false)),
                    "None" => Some(Literal::Other("None")),
                    _ => None,
                }
            }
            _ => self.string().map(Literal::Text),
        }
    }

    /// Parses the values in brackets, and tells whether a comma follows the last one.
    fn items(&mut self, end: char, depth: usize) -> Option<(Vec<Literal<'a>>, bool)> {
        self.0 = &self.0[1..];
        let (mut items, mut comma) = (Vec::new(), false);
        while !self.take(end) {
            items.push(self.value(depth)?);
            comma = self.take(',');
            if !comma {
                self.expect(end)?;
                break;
            }
        }
        Some((items, comma))
    }

    /// Parses adjacent quoted strings, which Python joins.
    fn string(&mut self) -> Option<String> {
        let mut text = String::new();
        self.skip();
        loop {
            let prefix = self.span(|c| matches!(c, 'u' | 'U' | 'r' | 'R'));
            let raw = prefix.contains(['r', 'R']);
            let quote = self.0.chars().next().filter(|quote| prefix.len() < 2 && matches!(quote, '\'' | '"'))?;
            self.0 = &self.0[1..];
            loop {
                text.push_str(self.span(|c| c != quote && c != '\\' && c != '\n'));
                let next = self.0.chars().next()?;
                self.0 = &self.0[next.len_utf8()..];
                match next {
                    '\\' => self.escape(raw, &mut text)?,
                    '\n' => return None,
                    _ => break,
                }
            }
            self.skip();
            let mut ahead = Rest(self.0);
            ahead.span(|c| c.is_ascii_alphabetic());
            if !ahead.0.starts_with(['\'', '"']) {
                return Some(text);
            }
        }
    }

    /// Parses what follows a backslash.
    fn escape(&mut self, raw: bool, text: &mut String) -> Option<()> {
        let next = self.0.chars().next()?;
        self.0 = &self.0[next.len_utf8()..];
        if raw {
            text.extend(['\\', next]);
            return Some(());
        }
        let from = self.0;
        let mut code = |length: usize, radix: u32| {
            let digits = from.get(..length).filter(|digits| digits.chars().all(|c| c.is_digit(radix)))?;
            self.0 = &from[length..];
            char::from_u32(u32::from_str_radix(digits, radix).ok()?)
        };
        let escaped = match next {
            '\n' => return Some(()),
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'x' => code(2, 16)?,
            'u' => code(4, 16)?,
            'U' => code(8, 16)?,
            'N' => return None,
            '0'..='7' => {
                let digits = from.bytes().take(2).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
                let first = next.to_digit(8)?;
                let rest = if digits == 0 { 0 } else { u32::from(code(digits, 8)?) };
                char::from_u32(first << (3 * digits) | rest)?
            }
            '\\' | '\'' | '"' => next,
            other => {
                text.push('\\');
                other
            }
        };
        text.push(escaped);
        Some(())
    }
}

/// Writes classes as unsigned integers of 32 bits, readable by the owner alone:
/// predictions are decrypted values.
///
/// # Errors
/// The errors of [`write_sized`].
pub fn write_labels(path: impl AsRef<Path>, labels: &[u32]) -> Result<()> {
    let shape = format!("({},)", labels.len());
    write(path.as_ref(), "<u4", &shape, labels.iter().flat_map(|label| label.to_le_bytes()))
}

/// Writes names of classes as text padded to the longest one, readable by the owner alone.
///
/// # Errors
/// The errors of [`write_sized`].
pub fn write_names<S: AsRef<str>>(path: impl AsRef<Path>, names: &[S]) -> Result<()> {
    let length = |name: &S| name.as_ref().chars().count();
    // NumPy does not allow text of length 0 in files.
    let width = names.iter().map(length).max().unwrap_or(0).max(1);
    let padded = |name: &'_ S| {
        let points: Vec<u32> = name.as_ref().chars().map(u32::from).collect();
        (0..width).flat_map(move |i| points.get(i).copied().unwrap_or(0).to_le_bytes())
    };
    write(path.as_ref(), &format!("<U{width}"), &format!("({},)", names.len()), names.iter().flat_map(padded))
}

/// Writes rows of numbers, such as probabilities or logits, as 64-bit floating point,
/// readable by the owner alone.
///
/// # Errors
/// [`Error::Count`] for rows of different lengths; the errors of [`write_sized`].
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
    write_sized(path, Access::Owner, bytes.len() as u64, |file| {
        file.write_all(&bytes).map_err(|error| Error::io(format_args!("writing {}", path.display()), &error))
    })
}
