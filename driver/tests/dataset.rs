//! Tests of data sets: arrays and archives built byte by byte, everything that can be wrong with
//! them, and what a client does with them before encryption.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{rng, unit};
use hetal::Error;
use hetal::train::data::dataset::Part;
use hetal::train::data::dataset::{Dataset, Features, Split};
use hetal::train::data::normaliser::{Normaliser, curvature};
use hetal::train::data::npy;
use proptest::prelude::*;

/// A directory that is removed on drop.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hetal-dataset-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("writable");
        Self(path)
    }

    fn put(&self, file: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(file);
        fs::write(&path, bytes).expect("writable");
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Returns an array in version 1 of the published format.
fn array(descr: &str, fortran: bool, shape: &str, values: &[u8]) -> Vec<u8> {
    let fortran = if fortran { "True" } else { "False" };
    with_header(&format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}"), values)
}

fn with_header(header: &str, values: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len() + 1).expect("short").to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.push(b'\n');
    bytes.extend(values);
    bytes
}

fn f4(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// The check sum of archives, computed bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 })
    })
}

/// Returns an archive whose members are deflated (in a block that is stored as it is) or not.
fn archive(members: &[(&str, Vec<u8>)], deflated: bool) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in members {
        let length = u16::try_from(content.len()).expect("short");
        let mut data = Vec::new();
        if deflated {
            data.push(1);
            data.extend(length.to_le_bytes());
            data.extend((!length).to_le_bytes());
        }
        data.extend(content);
        // The fields are versions, flags, method, time, date, check sum, sizes and the length of
        // the name.
        let mut fields = Vec::new();
        fields.extend([20, 0, 0, 0, if deflated { 8 } else { 0 }, 0, 0, 0, 0x21, 0]);
        fields.extend(crc(content).to_le_bytes());
        fields.extend((data.len() as u32).to_le_bytes());
        fields.extend(u32::from(length).to_le_bytes());
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend([0, 0]);
        let offset = bytes.len() as u32;
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&fields);
        bytes.extend(name.as_bytes());
        bytes.extend(data);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&fields);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, count) = (bytes.len() as u32, members.len() as u16);
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

/// Returns four rows to train on and two to validate with, of three features and two classes.
fn good() -> Vec<(&'static str, Vec<u8>)> {
    let train: Vec<f32> = (0u8..12).map(|i| f32::from(i) / 4.0 - 1.0).collect();
    vec![
        ("features_train.npy", array("<f4", false, "(4, 3)", &f4(&train))),
        ("labels_train.npy", array("|u1", false, "(4,)", &[0, 1, 1, 0])),
        ("features_val.npy", array("<f4", false, "(2, 3)", &f4(&train[..6]))),
        ("labels_val.npy", array("<i8", false, "(2,)", &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
    ]
}

fn folder(name: &str, files: &[(&str, Vec<u8>)]) -> Directory {
    let directory = Directory::new(name);
    files.iter().for_each(|(file, bytes)| drop(directory.put(file, bytes)));
    directory
}

fn wanted() -> Dataset {
    let features: Vec<f32> = (0u8..12).map(|i| f32::from(i) / 4.0 - 1.0).collect();
    let val = Split { features: features[..6].to_vec(), columns: 3, labels: vec![1, 0] };
    let train = Split { features, columns: 3, labels: vec![0, 1, 1, 0] };
    Dataset { train, val: Some(val), test: None, classes: 2, class_names: None }
}

/// A folder, an archive and a deflated archive of the same arrays are the same data set.
#[test]
fn folders_and_archives_are_the_same() {
    let directory = folder("good", &good());
    assert_eq!(Dataset::read(&directory.0).expect("good"), wanted());
    for deflated in [false, true] {
        let path = directory.put("all.npz", archive(&good(), deflated));
        assert_eq!(Dataset::read(path).expect("good"), wanted(), "{deflated}");
    }
    let features = Features::read(directory.0.join("features_val.npy")).expect("good");
    assert_eq!((features.rows(), features.columns), (2, 3));
    assert_eq!(features.values, wanted().val.expect("has one").features);
}

/// Every supported type of number is read to the values of its definition.
#[test]
fn every_dtype() {
    let directory = Directory::new("dtypes");
    let read = |descr: &str, bytes: &[u8]| {
        let count = bytes.len() / descr[2..].parse::<usize>().expect("a size");
        let path = directory.put("x.npy", array(descr, false, &format!("(1, {count})"), bytes));
        Features::read(path).expect(descr).values
    };
    // binary16 by its definition: 1, −2, the largest, the smallest, the smallest normal, near 1/3,
    // −0, the largest subnormal.
    let half = [0x3C00u16, 0xC000, 0x7BFF, 0x0001, 0x0400, 0x3555, 0x8000, 0x03FF];
    let values = [1.0, -2.0, 65504.0, 2f32.powi(-24), 2f32.powi(-14), 0.333_251_95, -0.0, 1023.0 * 2f32.powi(-24)];
    let little: Vec<u8> = half.iter().flat_map(|x| x.to_le_bytes()).collect();
    let big: Vec<u8> = half.iter().flat_map(|x| x.to_be_bytes()).collect();
    for (descr, bytes) in [("<f2", little), (">f2", big)] {
        let found = read(descr, &bytes);
        assert_eq!(found, values);
        assert_eq!(found[6].to_bits(), (-0.0f32).to_bits());
    }
    assert_eq!(read("<f4", &[0, 0, 0xA0, 0x3F]), [1.25]);
    assert_eq!(read(">f4", &[0x3F, 0xA0, 0, 0]), [1.25]);
    assert_eq!(read("<f8", &[0, 0, 0, 0, 0, 0, 0xF4, 0x3F]), [1.25]);
    assert_eq!(read("|u1", &[0, 127, 255]), [0.0, 127.0, 255.0]);
    assert_eq!(read("|i1", &[0, 127, 255, 128]), [0.0, 127.0, -1.0, -128.0]);
    assert_eq!(read("<i2", &[0xFE, 0xFF, 0, 1]), [-2.0, 256.0]);
    assert_eq!(read(">u2", &[0xFE, 0xFF]), [65279.0]);
    assert_eq!(read("<i4", &[0, 0, 0, 0x80]), [-2f32.powi(31)]);
    assert_eq!(read("<u4", &[0, 0, 0, 0x80]), [2f32.powi(31)]);
    assert_eq!(read("<i8", &[0xFF; 8]), [-1.0]);
    assert_eq!(read("<u8", &[0xFF; 8]), [2f32.powi(64)]);
    assert_eq!(read("|b1", &[0, 1, 2]), [0.0, 1.0, 1.0]);
}

/// Headers that NumPy 2.4 reads as two rows of three f4, and headers that it refuses. An @ is a new
/// line.
#[test]
fn header_dialects() {
    let values: Vec<f32> = (0u8..6).map(f32::from).collect();
    let directory = Directory::new("dialects");
    let read = |header: &str, version: u8| {
        let mut bytes = with_header(&header.replace('@', "\n"), &f4(&values));
        if version > 1 {
            bytes[6] = version;
            bytes.splice(10..10, [0, 0]);
        }
        Features::read(directory.put("x.npy", bytes))
    };
    let accepted = [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}",
        "{'shape': (2L, 3L), 'fortran_order': False, 'descr': '<f4'}",
        "{'shape': (2 L, 3L), 'fortran_order': False, 'descr': '<f4'}",
        "  { \"shape\" :( 2,3 ,) ,\"fortran_order\":False , \"descr\":\"<f4\",}",
        "{u'descr': u'<f4', u'fortran_order': False, u'shape': (2, 3)}",
        "{'descr': ('<f4'), 'fortran_order': (False), 'shape': ((2), (3))}",
        "{'de' 'scr': '<' 'f4', 'fortran_order': False, 'shape': (2, 3)}",
        r"{'descr': '\x3cf4', 'fortran_order': False, 'shape': (2, 3)}",
        r"{'descr': '\074f\64', 'fortran_order': False, 'shape': (2, 3)}",
        r"{'descr': '\u003c\U00000066\x34', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': r'<f4', 'fortran_order': False, 'shape': (2, 3)}",
        r#"{'descr': """<f4""", 'fortran_order': False, 'shape': (2, 3)}"#,
        "{'descr': '<f4', 'fortran_order': False, # by rows@ 'shape': (2, 3)}",
        "{'descr': '<f4',@ 'fortran_order': False,@ 'shape': (2,@ 3)}@",
        "{'descr': '<f04', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '>f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}",
    ];
    for header in accepted {
        for version in 1..=3 {
            let found = read(header, version).expect(header);
            assert_eq!((found.columns, &found.values), (3, &values), "{header}");
        }
    }
    let refused = [
        r"{'descr': r'\x3cf4', 'fortran_order': False, 'shape': (2, 3)}",
        r"{'descr': '\<f4', 'fortran_order': False, 'shape': (2, 3)}",
        r"{'descr': '\x3', 'fortran_order': False, 'shape': (2, 3)}",
        r"{'descr': '\UFFFFFFFF', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<float32', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': ' <f4', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<F4', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<f+4', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<é4', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'more': 1}",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': [2, 3]}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3.0)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3),,}",
        "{,'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<f4' 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} x",
        "{'descr': b'<f4', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<f4', 'fortran_order': false, 'shape': (2, 3)}",
        "{'descr': '<f4, 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': None, 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3)}",
        "",
        "{",
        "{'",
        "{'a\\",
    ];
    for header in refused {
        let error = read(header, 1).expect_err(header).to_string();
        assert!(error.contains("header") || error.contains("dtype"), "{error}");
    }
}

/// Every way to name a type, with the type that NumPy 2.4 takes it for. Where no order of bytes is
/// named, it is that of this machine.
#[test]
fn names_of_types() {
    let directory = Directory::new("types");
    let sizes = [
        ("f2", "e half float16"),
        ("f4", "f =f4 |f4 f4 single float32 <f"),
        ("f8", "d |d f8 double float float64"),
        ("i1", "b i1 >i1 =b int8 byte"),
        ("i2", "h =h short int16"),
        ("i4", "i |i intc int32"),
        ("i8", "l q p n int int_ intp long longlong int64"),
        ("u1", "B =B u1 uint8 ubyte"),
        ("u2", "H |H ushort uint16"),
        ("u4", "I uintc uint32"),
        ("u8", "L Q P N uint uintp ulong ulonglong uint64"),
        ("b1", "? |? <? >? b1 bool bool_"),
    ];
    for (sized, names) in sizes {
        let size: usize = sized[1..].parse().expect("a number");
        // The number one: the highest bits of a float or the lowest of an integer.
        let mut bytes = match sized {
            "f2" => 0x3C00u16.to_le_bytes().to_vec(),
            "f4" => 1f32.to_le_bytes().to_vec(),
            "f8" => 1f64.to_le_bytes().to_vec(),
            _ => [vec![1], vec![0; size - 1]].concat(),
        };
        if cfg!(target_endian = "big") {
            bytes.reverse();
        }
        for name in
            names.split(' ').filter(|name| size == 1 || !name.starts_with('<') || cfg!(target_endian = "little"))
        {
            let found = Features::read(directory.put("x.npy", array(name, false, "(1, 1)", &bytes))).expect(name);
            assert_eq!(found.values, [1.0], "{name}");
        }
    }
}

/// Arrays by columns, headers of version 2, and arrays of more values than a piece that is read at
/// once.
#[test]
fn orders_versions_and_headers() {
    let directory = Directory::new("orders");
    let read = |bytes: &[u8]| Features::read(directory.put("x.npy", bytes)).expect("good").values;
    // By columns: 1, 4 | 2, 5 | 3, 6.
    assert_eq!(read(&array("|u1", true, "(2, 3)", &[1, 4, 2, 5, 3, 6])), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let second = [
        &b"\x93NUMPY\x02\x00\x3B\0\0\0"[..],
        b"{'shape': (1,2), \"descr\":\"|u1\", 'fortran_order':False    }\n",
        &[7, 9],
    ];
    assert_eq!(second[1].len(), 0x3B);
    assert_eq!(read(&second.concat()), [7.0, 9.0]);
    // These are more values than one piece of a file.
    let many: Vec<f32> = (0..50_000u16).map(f32::from).collect();
    assert_eq!(read(&array("<f4", false, "(5000, 10)", &f4(&many))), many);
}

/// Features are multiplied by the step of meta.json, and wrong steps are refused.
#[test]
fn steps_multiply() {
    let mut files = good();
    files[0].1 = array("|i1", false, "(2, 2)", &[1, 255, 128, 0]);
    files[1].1 = array("|u1", false, "(2,)", &[0, 1]);
    files.truncate(2);
    let directory = folder("steps", &files);
    let train = || Dataset::read(&directory.0).map(|dataset| dataset.train.features);
    for none in [r"{}", r#"{"step": null, "rows": {"train": 2}}"#] {
        directory.put("meta.json", none);
        assert_eq!(train().expect("good"), [1.0, -1.0, -128.0, 0.0]);
    }
    directory.put("meta.json", r#"{"step": 0.25, "classes": 2}"#);
    assert_eq!(train().expect("good"), [0.25, -0.25, -32.0, 0.0]);
    assert_eq!(Features::read(directory.0.join("features_train.npy")).expect("good").values[2], -32.0);
    for (bad, part) in
        [(r#"{"step": "x"}"#, "\"x\""), (r#"{"step": -1}"#, "-1"), (r#"{"step": 1e300}"#, "1e"), ("{", "EOF")]
    {
        directory.put("meta.json", bad);
        let error = train().expect_err(bad).to_string();
        assert!(error.contains("meta.json") && error.contains(part), "{error}");
    }
}

/// Everything that can be wrong is refused, with the texts that its error has to contain; in
/// folders and in archives.
#[test]
fn bad_data_is_refused() {
    let three = |labels: &[u8]| array("|u1", false, &format!("({},)", labels.len()), labels);
    let features = |values: &[f32]| array("<f4", false, "(4, 3)", &f4(values));
    let with = |at: usize, value: f32| {
        let mut values = [0.0; 12];
        values[at] = value;
        features(&values)
    };
    let cut = |bytes: Vec<u8>, by: usize| bytes[..bytes.len() - by].to_vec();
    let (train, labels, val, val_labels) = (0, 1, 2, 3);
    let deep = "(".repeat(9000);
    let cases: Vec<(usize, Vec<u8>, &[&str])> = vec![
        (train, vec![], &["features_train.npy", "8 bytes"]),
        (train, b"1,2,3\n4,5,6\n".to_vec(), &["features_train.npy", "1,2,3", ".npy"]),
        (train, b"\x93NUMPY\x09\x00\x00\x00\x00\x00".to_vec(), &["first bytes", "\\t"]),
        (train, b"\x93NUMPY\x02\x00\xFF\xFF\xFF\xFF".to_vec(), &["header", "4294967295", "10000"]),
        (
            train,
            with_header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4,)}", &[]),
            &["dtype", "astype"],
        ),
        (train, with_header("{'descr': '<f4', 'fortran_order': False}", &[]), &["header", "shape"]),
        (train, with_header(&format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {deep}"), &[]), &["header"]),
        (train, array("<f4", false, "(4, -3)", &[]), &["header", "-3"]),
        (train, array("<f4", false, "(4, 99999999999999999999999)", &[]), &["header"]),
        (train, array("|O", false, "(4, 3)", &[]), &["dtype", "|O", "astype"]),
        (train, array("<c8", false, "(4, 3)", &[0; 96]), &["dtype", "<c8", "astype"]),
        (train, array("<U3", false, "(4, 3)", &[0; 144]), &["dtype", "<U3", "astype"]),
        (train, array("<U0", false, "(4, 3)", &[]), &["dtype", "<U0", "astype"]),
        (train, array("<U4611686018427387904", false, "(4, 3)", &[]), &["dtype", "astype"]),
        (train, array("\x1b[31m<f4", false, "(4, 3)", &[0; 48]), &["dtype \\u{1b}[31m<f4"]),
        (
            train,
            with_header("{'descr': '\\x1b[2J\\x07\\n', 'fortran_order': False, 'shape': (1,)}", &[]),
            &[r"dtype \u{1b}[2J\u{7}\n: "],
        ),
        (train, with_header("\x1b[31m\u{202e}é", &[]), &[r"header \u{1b}[31m\u{202e}é: "]),
        (train, array("<f4", false, "(12,)", &[0; 48]), &["shape", "[12]", "(rows, columns)"]),
        (train, array("<f4", false, "()", &[0; 4]), &["shape", "[]", "(rows, columns)"]),
        (train, array("<f4", false, "(2, 2, 3)", &[0; 48]), &["shape", "[2, 2, 3]"]),
        (train, array("<f4", false, "(0, 3)", &[]), &["shape", "[0, 3]", "at least one"]),
        (train, array("<f4", false, "(4, 0)", &[]), &["shape", "[4, 0]", "at least one"]),
        (train, array("<f4", false, "(5, 3)", &[0; 60]), &["labels_train.npy: rows", " 4", " 5"]),
        (train, array("<f4", false, "(4, 2)", &[0; 32]), &["features_val.npy: columns", " 3", " 2"]),
        (train, array("<f4", false, "(1099511627776, 1)", &[0; 48]), &["4398046511056 bytes are missing"]),
        (train, array("<f4", false, "(4294967296, 4294967296, 4294967296)", &[]), &["bytes are missing"]),
        (train, cut(features(&[0.0; 12]), 1), &["features_train.npy", "1 bytes are missing"]),
        (train, [features(&[0.0; 12]), vec![0]].concat(), &["features_train.npy", "49", "48"]),
        (train, with(7, f32::NAN), &["features_train.npy, row 2, column 1", "NaN", "finite"]),
        (train, with(11, f32::NEG_INFINITY), &["row 3, column 2", "-inf", "finite"]),
        (
            train,
            array("<f8", true, "(4, 1)", &[[0; 24].to_vec(), 1e39f64.to_le_bytes().to_vec()].concat()),
            &["row 3, column 0", "1000", "finite"],
        ),
        (labels, array("<f4", false, "(4,)", &[0; 16]), &["labels_train.npy: dtype", "<f4", "astype"]),
        (labels, array("|u1", false, "(4, 1)", &[0; 4]), &["labels_train.npy: shape", "[4, 1]", "(rows,)"]),
        (labels, array("|u1", false, "(0,)", &[]), &["labels_train.npy: shape", "[0]"]),
        (
            labels,
            array("|i1", false, "(4,)", &[0, 1, 254, 0]),
            &["labels_train.npy, row 2: label -2", "0 to 1023", "astype(str)"],
        ),
        (labels, array("|O", false, "(4,)", b"\x80\x03cnumpy"), &["labels_train.npy: dtype |O", "labels.astype(str)"]),
        (labels, array("<f4", false, "(4,)", &[0; 16]), &["astype('uint8')", "astype(str)"]),
        (labels, array("|S3", false, "(4,)", b"ab\0a\xff\0ab\0ab\0"), &["labels_train.npy, row 1: label", "Unicode"]),
        (
            labels,
            array("<U1", false, "(4,)", &[0, 0, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            &["row 0: label", "Unicode"],
        ),
        (
            labels,
            array("|S3", false, "(4,)", b"ab\0a\x1b\0ab\0ab\0"),
            &[r#"labels_train.npy, row 1: label "a\u{1b}""#, "printable"],
        ),
        (val_labels, array("|S1", false, "(2,)", b"ab"), &["labels_val.npy: dtype |S1", "no names"]),
        (
            labels,
            array("<u2", false, "(4,)", &[0, 0, 0, 4, 1, 0, 1, 0]),
            &["labels_train.npy, row 1: label 1024", "0 to 1023"],
        ),
        (labels, array("<u8", false, "(1,)", &[255; 8]), &["row 0: label 18446744073709551615"]),
        (labels, three(&[0, 1, 3, 0]), &["labels_train.npy: rows of class 2: 0", "gaps", "astype(str)"]),
        (labels, three(&[1, 1, 1, 1]), &["rows of class 0: 0"]),
        (labels, three(&[0, 0, 0, 0]), &["number of classes 1", "at least 2"]),
        (labels, three(&[0, 1, 0]), &["labels_train.npy: rows 3", " 4"]),
        (labels, cut(three(&[0, 1, 0, 1]), 2), &["labels_train.npy", "2 bytes are missing"]),
        (val, array("<f4", false, "(2, 4)", &[0; 32]), &["features_val.npy: columns 4", " 3"]),
        (val_labels, three(&[0, 2]), &["labels_val.npy, row 1: label 2", "0 to 1"]),
        (val_labels, three(&[0]), &["labels_val.npy: rows 1", " 2"]),
    ];
    for (at, bytes, parts) in cases {
        let mut files = good();
        files[at].1 = bytes;
        let directory = folder("bad", &files);
        let archived = directory.put("all.npz", archive(&files, true));
        for path in [&directory.0, &archived] {
            let error = Dataset::read(path).expect_err(&format!("{parts:?}")).to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error} without {parts:?}");
            assert!(error.len() < 12_000, "{error}");
        }
    }
}

fn text(width: usize, big_endian: bool, names: &[&str]) -> Vec<u8> {
    let order = if big_endian { '>' } else { '<' };
    let points = names.iter().flat_map(|name| name.chars().map(u32::from).chain(std::iter::repeat(0)).take(width));
    let bytes = points.flat_map(|point| if big_endian { point.to_be_bytes() } else { point.to_le_bytes() });
    array(&format!("{order}U{width}"), false, &format!("({},)", names.len()), &bytes.collect::<Vec<_>>())
}

/// Names of classes are sorted by code points, as numpy.unique(["b", "é", "Z", "b"],
/// return_inverse=True) does: (["Z", "b", "é"], [1, 2, 0, 1]).
#[test]
fn classes_with_names() {
    let mut files = good();
    files[1].1 = text(2, false, &["b", "é", "Z", "b"]);
    files[3].1 = text(7, true, &["é", "b"]);
    let directory = folder("names", &files);
    let named = Dataset::read(&directory.0).expect("good");
    let names = ["Z", "b", "é"].map(str::to_owned).to_vec();
    assert_eq!((named.train.labels, named.classes, named.class_names), (vec![1, 2, 0, 1], 3, Some(names.clone())));
    assert_eq!(named.val.expect("is there").labels, [2, 1]);
    // Bytes are read as UTF-8; zeros within a name are characters.
    directory.put("labels_train.npy", array("|S2", false, "(4,)", "b\0éZ\0b\0".as_bytes()));
    assert_eq!(Dataset::read(&directory.0).expect("good").class_names, Some(names.clone()));
    // Here, only a later split has a name.
    directory.put("labels_val.npy", text(9, false, &["b", "\u{1b}[31mnew"]));
    let error = Dataset::read(&directory.0).expect_err("unknown").to_string();
    let parts = ["labels_val.npy, row 1: label \"\\u{1b}[31mnew\"", r#"["Z", "b", "é"]"#];
    assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    // This is one class too many.
    let many: Vec<String> = (0..1025).map(|i| i.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    directory.put("labels_train.npy", text(4, false, &many));
    directory.put("features_train.npy", array("|u1", false, "(1025, 1)", &[1; 1025]));
    let error = Dataset::read(&directory.0).expect_err("too many").to_string();
    assert!(["row 1024: label \"1024\"", "1024 names"].iter().all(|part| error.contains(part)), "{error}");
    directory.put("labels_train.npy", text(257, false, &["x".repeat(257).as_str(); 2]));
    let error = Dataset::read(&directory.0).expect_err("too long").to_string();
    assert!(["row 0: label \"xxx", "256 characters"].iter().all(|part| error.contains(part)), "{error}");
    // True and false are 1 and 0.
    directory.put("features_train.npy", array("|u1", false, "(4, 3)", &[1; 12]));
    directory.put("labels_train.npy", array("|b1", false, "(4,)", &[0, 1, 1, 0]));
    directory.put("labels_val.npy", array("|b1", false, "(2,)", &[1, 0]));
    let flags = Dataset::read(&directory.0).expect("good");
    assert_eq!((flags.train.labels, flags.class_names), (vec![0, 1, 1, 0], None));
    // The names are written and read again.
    let path = directory.0.join("labels_train.npy");
    npy::write_names(&path, &["b", "é", "Z", "b"]).expect("writable");
    let bytes = fs::read(&path).expect("is there");
    assert!(bytes[10..].starts_with(b"{'descr': '<U1', 'fortran_order': False, 'shape': (4,), }"));
    assert_eq!(&bytes[128..], [b'b', 0, 0, 0, 0xE9, 0, 0, 0, b'Z', 0, 0, 0, b'b', 0, 0, 0]);
    npy::write_names(&path, &["b", "longer"]).expect("writable");
    let bytes = fs::read(&path).expect("is there");
    assert_eq!(
        (&bytes[128..136], &bytes[152..156], bytes.len()),
        (&[b'b', 0, 0, 0, 0, 0, 0, 0][..], &[b'l', 0, 0, 0][..], 176)
    );
}

/// A test set can be read alone; its classes are those of a model.
#[test]
fn one_split() {
    let directory = Directory::new("split");
    directory.put("features_test.npy", array("|u1", false, "(2, 1)", &[5, 6]));
    directory.put("labels_test.npy", array("|u1", false, "(2,)", &[0, 1]));
    let read = |part, classes, names: Option<&[String]>| Dataset::read_split(&directory.0, part, classes, names);
    let wanted = Split { features: vec![5.0, 6.0], columns: 1, labels: vec![0, 1] };
    assert_eq!(read(Part::Test, 7, None), Ok(Some(wanted.clone())));
    assert_eq!(read(Part::Val, 7, None), Ok(None));
    let error = read(Part::Test, 1, None).expect_err("a class more").to_string();
    assert!(error.contains("labels_test.npy, row 1: label 1"), "{error}");
    let names = ["a", "b", "c"].map(str::to_owned);
    // These labels are the numbers of the names.
    assert_eq!(read(Part::Test, 3, Some(&names)), Ok(Some(wanted.clone())));
    let error = read(Part::Test, 1, Some(&names[..1])).expect_err("a class more").to_string();
    assert!(error.contains("labels_test.npy, row 1: label 1: must be a class from 0 to 0"), "{error}");
    directory.put("labels_test.npy", text(3, false, &["c", "b"]));
    assert_eq!(read(Part::Test, 3, Some(&names)), Ok(Some(Split { labels: vec![2, 1], ..wanted })));
    assert!(read(Part::Test, 3, None).expect_err("names").to_string().contains("no names"));
    // A split other than the training's may lack any class, even the last one.
    let mut files = good();
    files[3].1 = array("|u1", false, "(2,)", &[0, 0]);
    assert_eq!(Dataset::read(&folder("lacking", &files).0).expect("good").classes, 2);
}

/// Archives whose members have no suffix, as some writers make them.
#[test]
fn archives_whose_names_have_no_suffix() {
    let bare: Vec<_> = good().into_iter().map(|(name, bytes)| (name.trim_end_matches(".npy"), bytes)).collect();
    let directory = Directory::new("bare");
    assert_eq!(Dataset::read(directory.put("x.npz", archive(&bare, true))).expect("good"), wanted());
    let mut broken = bare;
    broken[1].1 = array("|u1", false, "(4,)", &[0, 1, 3, 0]);
    let error = Dataset::read(directory.put("x.npz", archive(&broken, true))).expect_err("a gap").to_string();
    assert!(error.contains("labels_train.npy: rows of class 2"), "{error}");
}

/// Files whose lengths are lies, or are true but cannot be meant, are all refused before memory is
/// taken.
#[test]
fn lengths_that_cannot_be_meant() {
    let directory = Directory::new("lengths");
    let sparse = |name: &str, descr: &str, shape: &str, size: u64| {
        let bytes = array(descr, false, shape, &[]);
        let path = directory.put(name, &bytes);
        let file = fs::OpenOptions::new().write(true).open(&path).expect("writable");
        // Not every file system allows a length of 2^62 bytes, even if all of them are a hole.
        (file.set_len(bytes.len() as u64 + size).is_ok(), path)
    };
    let (made, path) = sparse("8g.npy", "<f4", "(2147483648, 1)", 1 << 33);
    assert!(made);
    let error = Features::read(&path).expect_err("8 GiB").to_string();
    assert!(["8g.npy: number of values 2147483648", "268435456"].iter().all(|part| error.contains(part)), "{error}");
    let (made, path) = sparse("2-62.npy", "|u1", "(2305843009213693952, 2)", 1 << 62);
    let error = Features::read(&path).expect_err("2^62").to_string();
    assert!(error.contains(if made { "number of values 4611686018427387904" } else { "bytes are missing" }), "{error}");
    // From a pipe, only the header is known.
    for shape in ["(2305843009213693952, 2)", "(4294967296, 4294967296, 4294967296)", "(268435456, 2)"] {
        let error = Features::from_reader("pipe", &array("|u1", false, shape, &[0; 9])[..]).expect_err(shape);
        assert!(error.to_string().contains("pipe: number of values"), "{error}");
    }
    let error = Features::from_reader("pipe", &array("|u1", false, "(134217728, 2)", &[0; 9])[..]).expect_err("short");
    assert!(matches!(error, Error::Truncated { .. }), "{error}");
    // This pipe never ends.
    let endless =
        |start: Vec<u8>| Features::from_reader("pipe", std::io::Read::chain(&*start.leak(), std::io::repeat(0)));
    let error = endless(Vec::new()).expect_err("zeros").to_string();
    assert!(error.contains("pipe: first bytes"), "{error}");
    let error = endless(array("|u1", false, "(2, 2)", &[1])).expect_err("too long").to_string();
    assert!(error.contains("pipe: bytes of values too many"), "{error}");
    let exact = Features::from_reader("pipe", &array("|u1", true, "(2, 2)", &[1, 2, 3, 4])[..]).expect("good");
    assert_eq!(exact, Features { values: vec![1.0, 3.0, 2.0, 4.0], columns: 2 });
    // These archives inflate a thousand times.
    let inflating = |rows: u64| {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let mut put = |name: &str, start: Vec<u8>, zeros: u64| {
            writer.start_file(name, zip::write::SimpleFileOptions::default()).expect("a member");
            std::io::Write::write_all(&mut writer, &start).expect("writable");
            std::io::copy(&mut std::io::Read::take(std::io::repeat(0), zeros), &mut writer).expect("writable");
        };
        put("features_train.npy", array("|u1", false, &format!("({rows}, 1)"), &[]), rows);
        put("labels_train.npy", array("|u1", false, &format!("({rows},)"), &[1]), rows - 1);
        writer.finish().expect("an archive").into_inner()
    };
    // 64 KB stand for 64 MB, and in memory, as numbers, for a quarter of a gigabyte.
    let bomb = inflating(1 << 25);
    assert!(bomb.len() < 1 << 17, "{}", bomb.len());
    let error = Dataset::from_archive(Path::new("x.npz"), std::io::Cursor::new(&bomb)).expect_err("a bomb").to_string();
    let most = (1 << 24) + 64 * bomb.len();
    let parts = ["x.npz/features_train.npy: number of values 33554432".to_owned(), format!("at most {most}")];
    assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    // The same amount in two arrays is also refused.
    let both = inflating(10 << 20);
    let error = Dataset::from_archive(Path::new("x.npz"), std::io::Cursor::new(&both)).expect_err("a bomb").to_string();
    assert!(error.contains("labels_train.npy: number of values 10485760"), "{error}");
    let good = inflating(1 << 20);
    assert_eq!(
        Dataset::from_archive(Path::new("x.npz"), std::io::Cursor::new(&good)).expect("good").train.rows(),
        1 << 20
    );
    // This directory has more members than there is memory: 2^40, by the record of the ZIP64
    // format.
    let mut record = b"PK\x06\x06\x2c\0\0\0\0\0\0\0\x2d\0\x2d\0\0\0\0\0\0\0\0\0".to_vec();
    record.extend([1u64 << 40, 1 << 40, 1 << 50, 0].iter().flat_map(|number| number.to_le_bytes()));
    record.extend(b"PK\x06\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0");
    record.extend([&b"PK\x05\x06"[..], &[0; 4], &[0xFF; 12], &[0; 2]].concat());
    let error =
        Dataset::from_archive(Path::new("x.npz"), std::io::Cursor::new(&record)).expect_err("ZIP64").to_string();
    assert!(["ZIP64", "folder"].iter().all(|part| error.contains(part)), "{error}");
    // All of this archive is a hole.
    let (_, path) = sparse("hole.npz", "<f4", "(1, 1)", 1 << 40);
    assert!(Dataset::read(path).is_err());
}

/// A product with the step of meta.json that is too large is refused.
#[test]
fn steps_that_overflow() {
    let directory = folder("overflow", &good());
    directory.put("meta.json", r#"{"step": 3e38}"#);
    directory.put(
        "features_train.npy",
        array("<f4", false, "(4, 3)", &f4(&[1.0, 1.0, 1.0, 1.0, 1.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])),
    );
    let error = Dataset::read(&directory.0).expect_err("too large").to_string();
    assert!(error.contains("features_train.npy, row 1, column 1: product with step"), "{error}");
}

/// A missing file is named, together with the one that needs it.
#[test]
fn missing_files_are_named() {
    for (missing, beside) in [
        ("features_train.npy", "labels_train.npy"),
        ("labels_train.npy", "features_train.npy"),
        ("features_val.npy", "labels_val.npy"),
        ("labels_val.npy", "features_val.npy"),
    ] {
        let files: Vec<_> = good().into_iter().filter(|(name, _)| *name != missing).collect();
        let directory = folder("missing", &files);
        let error = Dataset::read(&directory.0).expect_err(missing).to_string();
        assert!([missing, "(missing)", beside].iter().all(|part| error.contains(part)), "{error}");
    }
    let empty = Directory::new("empty");
    let error = Dataset::read(&empty.0).expect_err("empty").to_string();
    assert!(error.contains("features_train.npy (missing)"), "{error}");
    let nowhere = empty.0.join("nowhere");
    for error in
        [Dataset::read(&nowhere).map(drop), Features::read(&nowhere).map(drop)].map(|found| found.expect_err("nowhere"))
    {
        assert!(matches!(&error, Error::Io { context, .. } if context.contains("nowhere")), "{error}");
    }
}

/// Archives with wrong bytes, check sums or lengths are refused.
#[test]
fn bad_archives_are_refused() {
    let directory = Directory::new("archives");
    let read = |bytes: &[u8]| Dataset::read(directory.put("x.npz", bytes)).map(drop);
    let whole = archive(&good(), false);
    assert!(read(&whole).is_ok());
    assert!(matches!(read(b"not an archive"), Err(Error::Io { .. })));
    // This is the first of the values: 80 bytes into the first member's content, which follows 30
    // bytes and its name.
    let mut flipped = whole.clone();
    let at = whole.windows(4).position(|four| four == (-1f32).to_le_bytes()).expect("is there");
    flipped[at] ^= 1;
    let error = read(&flipped).expect_err("check sum").to_string();
    assert!(error.contains("features_train.npy") && error.contains("checksum"), "{error}");
    // This member declares four gigabytes, inside and outside.
    let mut files = good();
    files[0].1 = array("|u1", false, "(4294967000, 1)", &[0; 9]);
    let mut huge = archive(&files, true);
    let size = (files[0].1.len() as u32).to_le_bytes();
    let declared = 4_294_967_200u32.to_le_bytes();
    for at in (0..huge.len() - 4).filter(|&at| huge[at..at + 4] == size).collect::<Vec<_>>() {
        huge[at..at + 4].copy_from_slice(&declared);
    }
    let error = read(&huge).expect_err("too large");
    assert!(matches!(error, Error::Truncated { missing, .. } if missing > 4_000_000_000), "{error}");
}

proptest! {
    #![proptest_config(common::config(300))]

    /// Any bytes give an error, or finite numbers that are as many as declared.
    #[test]
    fn no_bytes_panic(cut in 0usize..200, changes in proptest::collection::vec((0usize..150, any::<u8>()), 0..4)) {
        let directory = Directory::new("fuzz");
        let mut bytes = good()[0].1.clone();
        for (at, byte) in changes {
            let length = bytes.len();
            bytes[at % length] = byte;
        }
        bytes.truncate(cut.max(1));
        if let Ok(features) = Features::read(directory.put("x.npy", &bytes)) {
            prop_assert!(features.values.iter().all(|x| x.is_finite()));
            prop_assert_eq!(features.values.len(), features.rows() * features.columns);
        }
        let mut archived = archive(&good(), true);
        archived.truncate(archived.len() - cut);
        archived[cut] ^= 0x55;
        let _ = Dataset::read(directory.put("x.npz", &archived));
    }
}

/// Written arrays have the bytes of the published format, and are read as they were written.
#[test]
fn written_arrays() {
    let directory = Directory::new("written");
    let path = directory.0.join("x.npy");
    npy::write_labels(&path, &[3, 258]).expect("writable");
    let bytes = fs::read(&path).expect("is there");
    assert_eq!(&bytes[..10], b"\x93NUMPY\x01\x00\x76\x00");
    let header = std::str::from_utf8(&bytes[10..128]).expect("ASCII");
    assert!(header.starts_with("{'descr': '<u4', 'fortran_order': False, 'shape': (2,), }") && header.ends_with('\n'));
    assert_eq!(&bytes[128..], [3, 0, 0, 0, 2, 1, 0, 0]);
    let rows = vec![vec![0.5, -0.25, 1.0], vec![0.0, 3.0, 1e-3]];
    npy::write_rows(&path, &rows).expect("writable");
    let read = Features::read(&path).expect("readable");
    assert_eq!(read.columns, 3);
    assert_eq!(read.values, rows.concat().iter().map(|x| *x as f32).collect::<Vec<_>>());
    let ragged = npy::write_rows(&path, &[vec![1.0], vec![]]);
    assert_eq!(ragged, Err(Error::Count { what: "columns", found: 0, wanted: 1 }));
}

/// The digits that the crate contains have the published sizes and counts.
#[test]
fn the_digits() {
    let digits = Dataset::digits();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/digits");
    assert_eq!(digits, Dataset::read(folder).expect("good"));
    let Dataset { train, val, test, classes, class_names: None } = &digits else { panic!("digits have no names") };
    let splits = [train, val.as_ref().expect("has one"), test.as_ref().expect("has one")];
    assert_eq!(splits.map(|split| (split.rows(), split.columns)), [(1257, 64), (180, 64), (360, 64)]);
    assert_eq!(*classes, 10);
    assert!(splits.iter().flat_map(|split| &split.features).all(|x| x.fract() == 0.0 && (0.0..=16.0).contains(x)));
    // The published numbers of rows of every class.
    let mut rows = [0; 10];
    splits.iter().flat_map(|split| &split.labels).for_each(|&label| rows[label as usize] += 1);
    assert_eq!(rows, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
}

fn split(columns: usize, features: Vec<f32>) -> Split {
    let labels = vec![0; features.len() / columns];
    Split { features, columns, labels }
}

fn normalised(normaliser: &Normaliser, split: &Split) -> Vec<f32> {
    let mut values = split.features.clone();
    normaliser.apply(&mut values, split.columns).expect("as many columns");
    values
}

/// Normalised features of small examples, calculated by hand.
#[test]
fn normalised_by_hand() {
    // Two features are not correlated: the eigenvalue is 1, hence s = √2. A third one is constant.
    let features = split(3, vec![1.0, 10.0, 7.5, 1.0, 30.0, 7.5, 3.0, 10.0, 7.5, 3.0, 30.0, 7.5]);
    let normaliser = Normaliser::fit(&features).expect("varies");
    let root = std::f32::consts::SQRT_2;
    let wanted = [-root, -root, 0.0, -root, root, 0.0, root, -root, 0.0, root, root, 0.0];
    let close = |found: &[f32], wanted: &[f32]| {
        found.len() == wanted.len() && found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6)
    };
    let found = normalised(&normaliser, &features);
    assert!(close(&found, &wanted), "{found:?}");
    // Later rows use the statistics of the first ones. Values are cut off at 8 deviations, and the
    // constant feature stays 0.
    let later = normalised(&normaliser, &split(3, vec![2.0, 1e6, 9.0]));
    assert!(close(&later, &[0.0, 8.0 * root, 0.0]), "{later:?}");
    // The same feature four times: the eigenvalue is 4.
    let same = split(4, [[1.0; 4], [-1.0; 4]].concat());
    assert!((Normaliser::fit(&same).expect("varies").scale() - 0.5f64.sqrt()).abs() < 1e-6);
    // The normaliser is stored and read again.
    let json = serde_json::to_string(&normaliser).expect("numbers");
    assert_eq!(serde_json::from_str::<Normaliser>(&json).expect("as written"), normaliser);
    let wrong = normaliser.apply(&mut [0.0; 2], 2);
    assert_eq!(wrong, Err(Error::Count { what: "features", found: 2, wanted: 3 }));
    let constant = Normaliser::fit(&split(2, vec![1.0, 2.0, 1.0, 2.0])).expect_err("constant").to_string();
    assert!(constant.contains("vary"), "{constant}");
}

/// Returns the largest eigenvalue of the mean of (x, 1)(x, 1)ᵀ, by squaring the matrix.
fn eigenvalue(columns: usize, values: &[f32]) -> f64 {
    let n = columns + 1;
    let mut a = vec![vec![0.0; n]; n];
    let rows = values.len() / columns;
    for row in values.chunks(columns) {
        let x: Vec<f64> = row.iter().map(|x| f64::from(*x)).chain([1.0]).collect();
        (0..n).for_each(|i| (0..n).for_each(|j| a[i][j] += x[i] * x[j] / rows as f64));
    }
    let trace = |a: &[Vec<f64>]| (0..n).map(|i| a[i][i]).sum::<f64>();
    // λ is the limit of tr(A^2^k)^(1/2^k).
    let mut log = trace(&a).ln();
    let scale = trace(&a);
    a.iter_mut().flatten().for_each(|x| *x /= scale);
    for k in 1..30 {
        let square: Vec<Vec<f64>> =
            (0..n).map(|i| (0..n).map(|j| (0..n).map(|l| a[i][l] * a[l][j]).sum()).collect()).collect();
        let scale = trace(&square);
        log += scale.ln() / f64::from(k).exp2();
        a = square.into_iter().map(|row| row.into_iter().map(|x| x / scale).collect()).collect();
    }
    log.exp()
}

/// The largest eigenvalue of normalised features, computed by squaring, is 2.
#[test]
fn normalised_features_have_the_eigenvalue_that_is_stable() {
    let mut random = rng(3);
    // The tails are heavy on one side: clipping shifts the mean.
    let skewed: Vec<f32> = (0..3000).map(|_| (-9.0 * unit(&mut random)).exp() as f32).collect();
    for train in [Dataset::digits().train, split(5, skewed)] {
        let normaliser = Normaliser::fit(&train).expect("varies");
        let found = eigenvalue(train.columns, &normalised(&normaliser, &train));
        assert!((1.99..2.001).contains(&found), "{found}");
    }
}

/// The curvature is half the largest eigenvalue, computed by hand and by squaring.
#[test]
fn curvature_by_eigenvalues() {
    // The mean of (x, 1)(x, 1)ᵀ is diag(9, 1).
    assert!((curvature(&split(1, vec![3.0, -3.0])) - 4.5).abs() < 1e-5);
    assert!((curvature(&split(1, vec![0.0, 0.0])) - 0.5).abs() < 1e-5);
    let huge = curvature(&split(1, vec![1e38, -2e38]));
    assert!((huge / 1.25e76 - 1.0).abs() < 1e-5, "{huge}");
    let mut random = rng(4);
    for train in [Dataset::digits().train, split(5, (0..300).map(|_| 3.0 * unit(&mut random) as f32 + 1.0).collect())] {
        let (found, wanted) = (curvature(&train), eigenvalue(train.columns, &train.features) / 2.0);
        assert!((found / wanted - 1.0).abs() < 1e-3, "{found} {wanted}");
    }
}

/// Returns rows that contain their number.
fn numbered(rows: usize) -> Split {
    let features = (0..rows).flat_map(|i| [i as f32, -(i as f32)]).collect();
    Split { features, columns: 2, labels: (0..rows as u32).collect() }
}

/// Orders of rows are those of a separate program with its own `ChaCha20`, and all orders are
/// equally likely.
#[test]
fn shuffled_in_the_same_order_everywhere() {
    let order = |rows: usize, seed: u64| {
        let mut split = numbered(rows);
        split.shuffle(seed);
        let moved = split.labels.iter().flat_map(|&label| [label as f32, -(label as f32)]);
        assert!(split.features.iter().copied().eq(moved), "rows and labels are apart");
        split.labels
    };
    assert_eq!(order(20, 0), [17, 2, 10, 9, 1, 14, 11, 13, 8, 0, 5, 16, 12, 19, 15, 7, 3, 6, 18, 4]);
    assert_eq!(order(20, u64::MAX), [10, 5, 16, 17, 8, 0, 1, 12, 2, 15, 18, 9, 13, 14, 19, 6, 3, 4, 7, 11]);
    let long = order(100_000, 12345);
    assert_eq!((&long[..4], &long[99_998..]), (&[27587, 24146, 79498, 47822][..], &[71530, 84879][..]));
    assert!((order(0, 1), order(1, 1)) == (vec![], vec![0]));
    let mut sorted = long;
    sorted.sort_unstable();
    assert!(sorted.into_iter().eq(0..100_000));
    // All orders of four rows occur about equally often: 24 orders, 1000 times each, with a
    // standard deviation of 31.
    let mut counts = std::collections::HashMap::new();
    (0..24_000).for_each(|seed| *counts.entry(order(4, seed)).or_insert(0i32) += 1);
    assert!(counts.len() == 24 && counts.values().all(|count| (count - 1000).abs() < 6 * 31), "{counts:?}");
}

/// Only the rows to train on are shuffled.
#[test]
fn only_rows_to_train_on_are_shuffled() {
    let before = Dataset {
        train: numbered(50),
        val: Some(numbered(9)),
        test: Some(numbered(7)),
        classes: 50,
        class_names: None,
    };
    let mut after = before.clone();
    after.shuffle(3);
    assert!(after.train != before.train);
    assert_eq!((&after.val, &after.test, after.classes), (&before.val, &before.test, before.classes));
}

/// The classes that batches lack, by hand, and for sorted and shuffled digits.
#[test]
fn classes_that_batches_lack() {
    let split = |labels: &[u32]| Split { features: vec![0.0; labels.len()], columns: 1, labels: labels.to_vec() };
    let lacking = |labels: &[u32], batch| split(labels).missing_classes(batch, 3).collect::<Vec<_>>();
    assert_eq!(lacking(&[0, 0, 1, 1, 2, 2, 1], 3), [vec![2], vec![0], vec![0, 2]]);
    assert_eq!(lacking(&[0, 0, 1, 1, 2, 2, 1], 5), [vec![], vec![0]]);
    assert_eq!(lacking(&[2, 1, 0], 100), [Vec::<u32>::new()]);
    // Sorted digits in batches of 128 lack nearly all classes; shuffled ones lack none.
    let mut digits = Dataset::digits();
    let mut order: Vec<usize> = (0..digits.train.rows()).collect();
    order.sort_by_key(|&i| digits.train.labels[i]);
    let features = order.iter().flat_map(|&i| digits.train.row(i).to_vec()).collect();
    let labels = order.iter().map(|&i| digits.train.labels[i]).collect();
    digits.train = Split { features, labels, ..digits.train };
    assert!(digits.train.missing_classes(128, 10).all(|missing| missing.len() >= 7));
    digits.shuffle(1);
    assert!(digits.train.missing_classes(128, 10).all(|missing| missing.is_empty()));
}
