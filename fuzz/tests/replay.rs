//! Runs the bodies of all fuzz targets on their corpora and on past crashes; a body panics if its
//! oracle disagrees.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use hetal_fuzz::TARGETS;

/// Returns the files of `kind/target`, in order, or `None` without that directory.
fn files(kind: &str, target: &str) -> Option<Vec<PathBuf>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target);
    let entries = fs::read_dir(directory).ok()?;
    let mut files: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    Some(files)
}

fn replay(target: &str) {
    let (_, body) = TARGETS.into_iter().find(|(name, _)| *name == target).expect("a target");
    let corpus = files("corpus", target).unwrap_or_else(|| panic!("fuzz/corpus/{target} is missing"));
    assert!(!corpus.is_empty(), "fuzz/corpus/{target} is empty");
    let all = corpus.into_iter().chain(files("crashes", target).unwrap_or_default());
    let fails = |file: &PathBuf| {
        let data = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        catch_unwind(AssertUnwindSafe(|| body(&data))).is_err()
    };
    let failures: Vec<_> = all.filter(fails).collect();
    assert!(failures.is_empty(), "{target} fails on {failures:#?}");
}

/// Returns the names of a manifest's `[[bin]]` sections.
fn binaries(manifest: &str) -> Vec<&str> {
    let sections = manifest.split("\n[").filter_map(|section| section.strip_prefix("[bin]]\n"));
    sections
        .map(|section| {
            let name = section.lines().find_map(|line| line.strip_prefix("name = \"")).expect("a name");
            name.strip_suffix('"').expect("a quoted name")
        })
        .collect()
}

macro_rules! replays {
    ($($target:ident)*) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target));
        })*

        #[test]
        fn every_target_is_replayed_and_a_binary() {
            let names = TARGETS.map(|(name, _)| name);
            assert_eq!([$(stringify!($target)),*], names);
            assert_eq!(binaries(include_str!("../Cargo.toml")), names);
        }
    };
}

replays!(
    ntt base_conversion keyswitch bytes_limb bytes_key crt wire_parameters wire_plaintext wire_ciphertext wire_seeded
    wire_secret_key wire_public_key wire_evaluation_keys wire_encapsulation_keys npy npz settings job manifest checkpoint
    model logs report
);

/// Every directory of a corpus or of crashes belongs to a target, since others would never be
/// replayed.
#[test]
fn every_directory_belongs_to_a_target() {
    for kind in ["corpus", "crashes"] {
        for directory in files(kind, "").unwrap_or_default() {
            let name = directory.file_name().and_then(|name| name.to_str()).expect("a name");
            assert!(TARGETS.iter().any(|(target, _)| *target == name), "{}", directory.display());
        }
    }
}
