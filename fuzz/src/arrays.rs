use std::collections::BTreeSet;
use std::io::Cursor;
use std::path::Path;

use hetal::Error;
use hetal::train::data::dataset::{Dataset, Features};
use hetal::train::data::npy::MAX_CLASSES;

use crate::input::Input;

/// Asserts that an error has no character that controls a terminal, whatever was read.
pub(crate) fn printable(error: &Error) {
    let text = error.to_string();
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// The check sum of archives, computed bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 })
    })
}

/// Returns an archive of members, stored as they are or, if `deflated`, in a block that is marked
/// as stored.
///
/// # Panics
/// If a member is longer than a block.
#[must_use]
pub fn archive(members: &[(&str, &[u8])], deflated: bool) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in members {
        let length = u16::try_from(content.len()).expect("a block");
        let block = [&[1], &length.to_le_bytes()[..], &(!length).to_le_bytes()].concat();
        let data = [if deflated { &block[..] } else { &[] }, content].concat();
        // The fields are version, flags, method, time, date, check sum, sizes, and the lengths of
        // the name and of the extra field.
        let mut fields = vec![20, 0, 0, 0, if deflated { 8 } else { 0 }, 0, 0, 0, 0x21, 0];
        fields.extend([crc(content), data.len() as u32, u32::from(length)].map(u32::to_le_bytes).concat());
        fields.extend([(name.len() as u16).to_le_bytes(), [0; 2]].concat());
        let offset = bytes.len() as u32;
        bytes.extend([b"PK\x03\x04", &fields[..], name.as_bytes(), &data].concat());
        directory.extend([b"PK\x01\x02\x14\x00", &fields[..], &[0; 10], &offset.to_le_bytes()].concat());
        directory.extend(name.as_bytes());
    }
    let (start, count) = (bytes.len() as u32, (members.len() as u16).to_le_bytes());
    let sizes = [(directory.len() as u32).to_le_bytes(), start.to_le_bytes()].concat();
    bytes.extend([&directory[..], b"PK\x05\x06\0\0\0\0", &count, &count, &sizes, &[0; 2]].concat());
    bytes
}

/// Reads a data set that has only this training set.
fn dataset(features: &[u8], labels: &[u8]) -> Result<Dataset, Error> {
    let archive = archive(&[("features_train.npy", features), ("labels_train", labels)], false);
    Dataset::from_archive(Path::new("x.npz"), Cursor::new(archive))
}

fn with_header(version: u8, header: &str, values: &[u8]) -> Vec<u8> {
    let length = (header.len() as u32).to_le_bytes();
    [b"\x93NUMPY", &[version, 0][..], &length[..if version == 1 { 2 } else { 4 }], header.as_bytes(), values].concat()
}

/// Asserts what holds for every data set that was read.
fn consistent(dataset: &Dataset) {
    assert!((2..=MAX_CLASSES).contains(&dataset.classes));
    if let Some(names) = &dataset.class_names {
        assert_eq!(names.len(), dataset.classes);
        assert!(names.is_sorted_by(|a, b| a < b) && !names.iter().any(|name| name.contains(char::is_control)));
    }
    for split in [Some(&dataset.train), dataset.val.as_ref(), dataset.test.as_ref()].into_iter().flatten() {
        assert!(split.rows() > 0 && split.features.len() == split.rows() * split.columns);
        assert_eq!(split.columns, dataset.train.columns);
        assert!(split.features.iter().all(|x| x.is_finite()));
        assert!(split.labels.iter().all(|&label| (label as usize) < dataset.classes));
    }
    let seen: BTreeSet<_> = dataset.train.labels.iter().collect();
    assert_eq!(seen.len(), dataset.classes);
}

/// Arrays. If the first byte is even, the others are a file, which is read as features and as
/// labels. If it is odd, they describe a good file, whose values have to be read as they are.
///
/// # Panics
/// If a reader accepts what it must not, or reads other values than were written.
/// If a reader takes what it must not, or reads other values than were written.
pub fn npy(data: &[u8]) {
    let mut input = Input::new(data);
    let (mode, mut style) = (input.byte(), Style(input.byte()));
    match mode % 4 {
        0 | 2 => raw(input.rest()),
        1 => numbers(&mut input, &mut style),
        _ => names(&mut input, &mut style),
    }
}

fn raw(file: &[u8]) {
    let found = Features::from_reader("x.npy", file);
    if let Err(error) = &found {
        printable(error);
    }
    let rows = found.map_or(2, |features| {
        assert!(features.columns > 0 && features.values.len() == features.rows() * features.columns);
        assert!(features.values.iter().all(|x| x.is_finite()));
        features.rows()
    });
    // A file that does not fit into the archive is too long to show anything.
    if file.len() > usize::from(u16::MAX) || rows > 1 << 15 {
        return;
    }
    let one = with_header(1, &format!("{{'descr':'|u1','fortran_order':False,'shape':({rows},1)}}"), &vec![1; rows]);
    match dataset(&one, file) {
        Ok(dataset) => consistent(&dataset),
        Err(error) => printable(&error),
    }
}

/// The style in which a header is written.
struct Style(u8);

impl Style {
    /// Returns one of several ways, chosen by the next bits.
    fn choose<'a>(&mut self, ways: &[&'a str]) -> &'a str {
        let way = ways[usize::from(self.0) % ways.len()];
        self.0 = self.0.rotate_right(3) ^ 0x5A;
        way
    }

    /// Returns a header in one of the ways that Python takes for the same dictionary.
    fn header(&mut self, descr: &str, fortran: bool, shape: &[usize]) -> (u8, String) {
        let version = self.choose(&["1", "2", "3"]).parse().expect("a digit");
        let long = self.choose(&["", "L", " L"]);
        let shape: Vec<String> = shape.iter().map(|n| format!("{n}{long}")).collect();
        let end = if shape.len() == 1 { "," } else { self.choose(&["", ",", " , "]) };
        let blank = self.choose(&["", " ", "\n", "\t ", "# 'shape': {\n"]);
        let quote = self.choose(&["'", "\"", "'''"]);
        let prefix = self.choose(&["", "u"]);
        let (open, close) = [("", ""), ("(", ")")][usize::from(self.0) % 2];
        let descr = format!("{prefix}{open}{quote}{descr}{quote}{close}").replace("u(", "(");
        let mut pairs = [
            format!("{prefix}'descr'{blank}:{descr}"),
            format!("{quote}fortran{quote} {prefix}'_order':{blank}{}", if fortran { "True" } else { "False" }),
            format!("{blank}'\\x73hape':({blank}{}{end})", shape.join(",")),
        ];
        pairs.rotate_left(usize::from(self.0) % 3);
        let last = self.choose(&["", ",", ", "]);
        (version, format!("{blank}{{{blank}{}{last}{blank}}}{blank}\n", pairs.join(",")))
    }
}

/// Checks that rows and columns of some type, made from bytes, are read as they were written.
fn numbers(input: &mut Input<'_>, style: &mut Style) {
    let (kind, flags) = (input.below(12), input.byte());
    let (rows, columns) = (input.below(9) + 1, input.below(9) + 1);
    let (big, fortran) = (flags & 1 == 1, flags & 2 == 2);
    let sized = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"][kind];
    let size: usize = sized[1..].parse().expect("a size");
    let order = if big {
        ">"
    } else if size == 1 {
        style.choose(&["<", "|", "=", ""])
    } else {
        "<"
    };
    let (mut values, mut wanted) = (Vec::new(), vec![0.0f64; rows * columns]);
    for i in 0..rows * columns {
        let (row, column) = if fortran { (i % rows, i / rows) } else { (i / columns, i % columns) };
        let word = input.u64();
        let mut bytes = word.to_le_bytes()[..size].to_vec();
        let bits = word & u64::MAX >> (64 - 8 * size);
        wanted[row * columns + column] = match (sized, size) {
            ("f2", _) => half(bits as u16),
            ("f4", _) => f64::from(f32::from_bits(bits as u32)),
            ("f8", _) => f64::from_bits(bits),
            ("b1", _) => f64::from(u8::from(bits != 0)),
            (signed, 1) if signed.starts_with('i') => f64::from(bits as i8),
            (signed, 2) if signed.starts_with('i') => f64::from(bits as i16),
            (signed, 4) if signed.starts_with('i') => f64::from(bits as i32),
            (signed, 8) if signed.starts_with('i') => bits as i64 as f64,
            _ => bits as f64,
        };
        if big {
            bytes.reverse();
        }
        values.extend(bytes);
    }
    let (version, header) = style.header(&format!("{order}{sized}"), fortran, &[rows, columns]);
    let file = with_header(version, &header, &values);
    let wanted: Vec<f32> = wanted.into_iter().map(|x| x as f32).collect();
    match Features::from_reader("x.npy", &file[..]) {
        Ok(features) => assert_eq!(features, Features { values: wanted, columns }, "{header}"),
        Err(error) => {
            printable(&error);
            assert!(wanted.iter().any(|x| !x.is_finite()), "{header}: {error}");
        }
    }
}

/// Returns the number with these bits in IEEE's binary16, by its definition.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let fraction = f64::from(bits & 0x3FF) / 1024.0;
    match bits >> 10 & 0x1F {
        0 => sign * fraction / 16384.0,
        31 if fraction > 0.0 => f64::NAN,
        31 => sign * f64::INFINITY,
        exponent => sign * (1.0 + fraction) * 2f64.powi(i32::from(exponent) - 15),
    }
}

/// Checks that labels that are names, made from bytes, are read as they were written.
fn names(input: &mut Input<'_>, style: &mut Style) {
    let (flags, width, rows) = (input.byte(), input.below(4) + 1, input.below(20) + 1);
    let points = ['a', 'b', 'Z', 'é', '\u{ffff}', '\u{10ffff}', ' ', '\\', '\u{1b}'];
    let labels: Vec<String> =
        (0..rows).map(|_| (0..input.below(width + 1)).map(|_| points[input.below(points.len())]).collect()).collect();
    let (mut values, descr) = (Vec::new(), ["<U", ">U", "|S"][usize::from(flags) % 3]);
    // A character has at most four bytes.
    let size = if descr == "|S" { 4 * width } else { width };
    for label in &labels {
        if descr == "|S" {
            values.extend(label.bytes().chain(std::iter::repeat(0)).take(size));
        } else {
            for point in label.chars().map(u32::from).chain(std::iter::repeat(0)).take(size) {
                values.extend(if descr == ">U" { point.to_be_bytes() } else { point.to_le_bytes() });
            }
        }
    }
    let (version, header) = style.header(&format!("{descr}{size}"), flags & 4 == 4, &[rows]);
    let one = with_header(1, &format!("{{'descr':'|u1','fortran_order':False,'shape':({rows},1)}}"), &vec![1; rows]);
    let sorted: BTreeSet<&String> = labels.iter().collect();
    match dataset(&one, &with_header(version, &header, &values)) {
        Ok(dataset) => {
            consistent(&dataset);
            let found = dataset.class_names.expect("labels are text");
            assert_eq!(found.iter().collect::<Vec<_>>(), sorted.into_iter().collect::<Vec<_>>());
            let again: Vec<&String> = dataset.train.labels.iter().map(|&label| &found[label as usize]).collect();
            assert_eq!(again, labels.iter().collect::<Vec<_>>());
        }
        Err(error) => {
            printable(&error);
            let steers = labels.iter().any(|label| label.contains('\u{1b}'));
            assert!(steers || sorted.len() < 2, "{header}: {error}");
        }
    }
}

/// Archives: whatever they hold, a data set that is read is consistent.
///
/// # Panics
/// If it is not.
pub fn npz(data: &[u8]) {
    match Dataset::from_archive(Path::new("x.npz"), Cursor::new(data)) {
        Ok(dataset) => consistent(&dataset),
        Err(error) => printable(&error),
    }
}
