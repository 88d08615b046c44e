//! Tests of `hetal bench matmul` and `hetal bench softmax`, through the program.

use std::process::{Command, Output};

use serde_json::Value;

fn hetal(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hetal")).arg("bench").args(arguments).output().expect("starts")
}

/// Returns the JSON objects that the program prints.
fn json(arguments: &[&str]) -> Vec<Value> {
    let output = hetal(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

fn number(row: &Value, name: &str) -> f64 {
    row[name].as_f64().unwrap_or_else(|| panic!("{name} of {row}"))
}

/// Returns the lines that have this entry.
fn with<'a>(lines: &'a [Value], name: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line.get(name).is_some()).collect()
}

/// The program prints the counts of the corrected Table 7 of HETAL (the paper): CMult, Mult and Rot
/// of `ColMajor`, `DiagABT` and `DiagATB` (`RowMajor` takes as many as `ColMajor`), and the
/// rotations of Jin's Aᵀ·B. `DiagATB` with PRotUp, for operands at two levels, is left to the tests
/// of the products.
#[test]
fn counts_of_the_table() {
    let table = [
        ([128, 128, 4], [[8, 4, 63], [4, 2, 34], [4, 2, 18]], 7680),
        ([256, 256, 8], [[24, 16, 191], [8, 8, 64], [12, 8, 72]], 30_720),
        ([512, 769, 4], [[56, 52, 495], [4, 26, 50], [28, 26, 238]], 46_140),
        ([1024, 769, 8], [[208, 200, 2047], [8, 100, 140], [104, 100, 1008]], 92_280),
        ([2048, 769, 16], [[800, 784, 8703], [16, 392, 456], [400, 392, 4328]], 184_560),
    ];
    let lines = json(&["matmul", "--repeat", "0"]);
    let rows = with(&lines, "product");
    assert_eq!(rows.len(), 5 * 2 * 6 * 2);
    for (shape, [crockett, abt, atb], rotations) in table {
        let entries = (shape[1] * shape[2]) as u64;
        let wanted = [
            ("Crockett", "ColMajor", crockett),
            ("Crockett", "RowMajor", crockett),
            ("Diag", "DiagABT", abt),
            ("Diag", "DiagATB", atb),
            ("Jin", "Jin ABT", [0, entries, 0]),
            ("Jin", "Jin ATB", [0, entries, rotations]),
        ];
        for (pair, product, wanted) in wanted {
            let found: Vec<_> = rows
                .iter()
                .filter(|row| {
                    row["shape"] == Value::from(shape.to_vec()) && row["pair"] == pair && row["product"] == product
                })
                .collect();
            assert_eq!(found.len(), 2, "{shape:?} {product}");
            for row in found {
                let counts = ["constants", "products", "rotations"].map(|name| row[name].as_u64().expect("a count"));
                assert_eq!(counts, wanted, "{row}");
                assert!(row.get("seconds").is_none());
            }
        }
    }
}

/// All products are measured, with small errors; those of which only a part is run are marked.
#[test]
fn matmul() {
    let arguments = ["matmul", "--preset", "test-10", "--levels", "6,5", "--repeat", "1", "--shape", "20,40,3"];
    let lines = json(&[&arguments[..], &["--limit-seconds", "0"]].concat());
    let (rows, pairs) = (with(&lines, "product"), with(&lines, "both"));
    assert_eq!((rows.len(), pairs.len(), lines.len()), (2 * 6 * 2, 2 * 6, 37));
    for row in &rows {
        let part = matches!(row["pair"].as_str(), Some("Crockett" | "Jin"));
        assert_eq!(row["extrapolated_from"].is_array(), part, "{row}");
        assert!(number(row, "seconds") > 0.0);
        assert_eq!(row["speedup"].as_f64().is_some_and(|x| x > 0.0), row["pair"] != "skewed", "{row}");
        let [largest, mean] = ["max_error", "mean_error"].map(|name| number(row, name));
        assert!(0.0 < mean && mean <= largest && largest < 2f64.powi(-20), "{row}");
    }
    // The variant with more levels ends at the level of the skewed products.
    for rows in rows.chunks(12) {
        let level = |pair: &str, i: usize| {
            let of_pair: Vec<_> = rows.iter().filter(|row| row["pair"] == pair).collect();
            of_pair[i]["output_level"].as_u64().expect("a level")
        };
        for i in 0..2 {
            assert_eq!(level("Diag, as many levels left", i), level("skewed", i));
            assert!(level("Diag", i) < level("skewed", i));
        }
    }
    for pair in pairs {
        let part = matches!(pair["both"].as_str(), Some("Crockett" | "Jin"));
        assert_eq!(pair["extrapolated"], part, "{pair}");
    }
    // A chosen few products are run in full and printed as text.
    let output = hetal(&[&arguments[..], &["20,12,3", "--products", "jin,skew"]].concat());
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success() && text.contains("skewed ATB") && text.contains("both, Jin"), "{text}");
    assert!(!text.contains("DiagABT") && text.contains("(20, 12, 3) at level 6"), "{text}");
    for wrong in [&["--shape", "1,2"][..], &["--shape", "1,2,0"], &["--shape", "1,2,3,4"], &["--products", "other"]] {
        let output = hetal(&[&["matmul"], wrong].concat());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
    // One of these levels is too low, and the other does not exist.
    for level in ["3", "99"] {
        let output = hetal(&["matmul", "--preset", "test-10", "--shape", "20,40,3", "--levels", level]);
        assert_eq!(output.status.code(), Some(1), "level {level}");
    }
}

/// Every variant is measured, and its error is within the bound of its kind.
#[test]
fn softmax() {
    let lines = json(&["softmax", "--samples", "500"]);
    assert_eq!(lines.len(), 4 * (4 * 3 + 3 + 2 + 1));
    for row in &lines {
        let bound = match row["variant"].as_str().expect("a name") {
            "normalise and square" => 1e-3,
            name if name.starts_with("paper") => 0.02,
            _ => 1.0,
        };
        let [largest, mean] = ["max_error", "mean_error"].map(|name| number(row, name));
        assert!(0.0 < mean && mean <= largest && largest < bound, "{row}");
    }
}

/// The softmax with real bootstrapping: its errors, and its differences from the same approximation
/// on numbers.
#[test]
fn encrypted_softmax() {
    let arguments =
        ["softmax", "--preset", "test-11", "--samples", "100", "--encrypted", "--classes", "3", "--ranges", "4"];
    let lines = json(&arguments);
    let (plain, encrypted) = (with(&lines, "depth"), with(&lines, "seconds"));
    assert_eq!((plain.len(), encrypted.len(), lines.len()), (6, 6, 13));
    for (plain, row) in plain.iter().zip(encrypted) {
        assert_eq!((&plain["variant"], &plain["bootstraps"]), (&row["variant"], &row["bootstraps"]));
        assert_eq!(row["rows"], 256);
        // A bootstrapping does not leave much of the other variants' sums.
        let (bounds, name) = match row["variant"].as_str().expect("a name") {
            "normalise and square" => ([2e-3, 2e-4], "ours"),
            name if name.starts_with("paper") => ([0.02, 2e-2], "the paper's"),
            "PrivGD" => ([0.2, 1e-5], "PrivGD's"),
            _ => continue,
        };
        assert!(number(row, "max_error") < bounds[0] && number(row, "max_difference") < bounds[1], "{name}: {row}");
    }
}
