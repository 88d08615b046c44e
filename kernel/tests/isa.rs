//! Tests of which ISAs this machine has, and that the suites run on them.

mod common;

use std::io::Write;

use common::*;
use hetal_kernel::{Error, Isa, NttTable};

/// Reports the ISAs of this machine. HETAL_REQUIRE_ISA=avx2,avx512 turns the absence of one of
/// these into a failure, so that a machine cannot leave one out in silence.
#[test]
fn required_isas_are_available() {
    let (available, absent): (Vec<&str>, Vec<&str>) =
        Isa::NAMES.into_iter().partition(|name| Isa::by_name(name).is_ok());
    let (executed, absent) = (available.join(" "), absent.join(" "));
    let line = format!("ISAs executed here: {executed}; not executed here: {absent}; detected: {}\n", Isa::detect());
    // Not eprintln, whose output the test harness captures.
    std::io::stderr().write_all(line.as_bytes()).expect("stderr");
    let required = std::env::var("HETAL_REQUIRE_ISA").unwrap_or_default();
    for name in required.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        assert!(Isa::by_name(name).is_ok(), "HETAL_REQUIRE_ISA={required}: {name} gives {:?}", Isa::by_name(name));
    }
}

/// The scalar and the portable code are available on every machine, and ISAs are listed in the
/// order of their names.
#[test]
fn scalar_and_portable_are_everywhere() {
    let available = isas();
    assert_eq!(available[..2], [Isa::SCALAR, Isa::PORTABLE]);
    assert_eq!((Isa::SCALAR.name(), Isa::PORTABLE.name()), ("scalar", "portable"));
    // Each ISA is listed once, in the order of the names.
    let names: Vec<_> = available.iter().map(|isa| isa.name()).collect();
    assert!(Isa::NAMES.iter().filter(|name| names.contains(name)).eq(&names));
}

/// The name of an ISA leads back to it, and every ISA has the lanes known for it.
#[test]
fn names_round_trip() {
    for isa in isas() {
        assert_eq!(Isa::by_name(isa.name()), Ok(isa));
        assert_eq!(isa.name().parse(), Ok(isa));
        assert_eq!((isa.to_string(), format!("{isa:?}")), (isa.name().into(), isa.name().into()));
        for other in isas() {
            assert_eq!(isa == other, isa.name() == other.name());
        }
    }
}

/// Unknown names and names of ISAs that this machine lacks are refused, each with its own error.
#[test]
fn other_names_are_refused() {
    for name in ["", "Scalar", "avx", "avx2 ", "avx512f", "sse2", "NEON", "scalar\0"] {
        let refused = Err(Error::UnknownIsa { known: &Isa::NAMES });
        assert_eq!((Isa::by_name(name), name.parse::<Isa>()), (refused, refused), "{name}");
    }
    let message = Error::UnknownIsa { known: &Isa::NAMES }.to_string();
    assert_eq!(message, "unknown ISA: use one of scalar, portable, avx2, avx512, neon");
    for name in Isa::NAMES {
        match Isa::by_name(name) {
            Ok(isa) => assert!(isas().contains(&isa)),
            Err(error) => {
                assert_eq!(error, Error::IsaUnavailable { name });
                assert!(isas().iter().all(|isa| isa.name() != name));
            }
        }
    }
}

/// Detection takes the SIMD leaf with the most lanes, every time, and never the portable lanes.
#[test]
fn detection_takes_the_fastest() {
    let most = isas().into_iter().filter(|isa| *isa != Isa::PORTABLE).max_by_key(|isa| isa.lanes());
    assert_eq!(Some(Isa::detect()), most);
    assert_eq!(Isa::detect(), Isa::detect());
}

/// The kernel finds exactly the ISAs that the standard library finds on this CPU.
#[cfg(target_arch = "x86_64")]
#[test]
fn detection_agrees_with_the_standard_library() {
    // pulp asks for some more of the instructions that came with AVX2; every such CPU has them.
    let avx2 = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt");
    let avx512 = avx2
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512cd")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    assert_eq!((Isa::by_name("avx2").is_ok(), Isa::by_name("avx512").is_ok()), (avx2, avx512));
    assert_eq!(Isa::by_name("neon"), Err(Error::IsaUnavailable { name: "neon" }));
}

/// NEON is part of aarch64, and AVX2 is refused there.
#[cfg(target_arch = "aarch64")]
#[test]
fn neon_is_part_of_aarch64() {
    assert!(Isa::by_name("neon").is_ok());
    assert_eq!(Isa::by_name("avx2"), Err(Error::IsaUnavailable { name: "avx2" }));
}

/// Transforms need two groups of lanes² coefficients: N ≥ 128 for eight lanes and N ≥ 32 for four.
/// In smaller rings, tables report the ISA that they take instead.
#[test]
fn small_rings_fall_back() {
    let effective = |isa: Isa, log_n: u32| match (isa.name(), log_n) {
        ("scalar" | "portable", 0..=6) => "scalar",
        ("avx512", 5 | 6) => "avx2",
        ("avx512" | "avx2", 4) => "scalar",
        (name, _) => name,
    };
    for isa in isas() {
        for log_n in [4, 5, 6, 7, 8, log_n_max()] {
            let table = NttTable::with_isa(below(log_n, 45), log_n, isa).expect("a table");
            assert_eq!(table.isa().name(), effective(isa, log_n), "{isa} at N = 2^{log_n}");
        }
    }
}
