//! The error type of the crate. Its variants carry the numbers that were refused.

use core::fmt;

/// The reason why the kernel refused its input. Wrong data and wrong configuration are errors;
/// wrong code (a slice of the wrong length passed to a hot operation) is a documented panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The modulus is not an odd prime in [3, 2^50).
    NotAPrime {
        /// The refused value.
        value: u64,
    },
    /// The prime has no primitive 2N-th root of unity: it is not 1 modulo 2N.
    NoRootOfUnity {
        /// The prime.
        modulus: u64,
        /// The log2 of the ring degree N.
        log_n: u32,
    },
    /// The ring degree is outside 2^4 … 2^17.
    RingDegree {
        /// The log2 of the refused degree.
        log_n: u32,
    },
    /// A search for primes was asked to start above 2^50, where there are no moduli.
    PrimeSize {
        /// The refused size (a value, not a number of bits).
        size: u64,
    },
    /// Fewer primes of the wanted form exist than were asked for.
    NotEnoughPrimes {
        /// How many were found.
        found: usize,
        /// How many were asked for.
        wanted: usize,
    },
    /// A modulus occurs twice among moduli that have to be coprime.
    RepeatedModulus {
        /// The repeated prime.
        modulus: u64,
    },
    /// A number of limbs, digits or bits is outside its range.
    Count {
        /// What was counted: "limbs", "limbs in a digit", "digits", "dropped limbs",
        /// "bits of a prime".
        what: &'static str,
        /// The refused count.
        value: usize,
        /// The smallest accepted value.
        min: usize,
        /// The largest accepted value.
        max: usize,
    },
    /// The Galois element is even, or not below 2N.
    GaloisElement {
        /// The refused element.
        element: u64,
    },
    /// A residue read from outside is not below its modulus.
    Residue {
        /// The index of the limb.
        limb: usize,
        /// The index of the coefficient or slot.
        index: usize,
        /// The value read.
        value: u64,
        /// The modulus of that limb.
        modulus: u64,
    },
    /// Encoded bytes are shorter or longer than the parameters say.
    Length {
        /// The number of bytes passed.
        found: usize,
        /// The number of bytes needed.
        wanted: usize,
    },
    /// The product of the special primes is more than 2 bits smaller than the largest digit,
    /// so that a key-switch would be too noisy.
    SpecialModulusTooSmall {
        /// The log2 of the product of the special primes.
        special_bits: u32,
        /// The log2 of the largest digit's product.
        digit_bits: u32,
    },
    /// This ISA is not available on this machine.
    IsaUnavailable {
        /// The name of the ISA.
        name: &'static str,
    },
    /// No ISA has this name.
    UnknownIsa {
        /// All names.
        known: &'static [&'static str],
    },
    /// A fixed Hamming weight is larger than the ring degree.
    HammingWeight {
        /// The refused weight.
        weight: usize,
        /// The ring degree.
        n: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotAPrime { value } => write!(f, "modulus {value} is not an odd prime below 2^50"),
            Self::NoRootOfUnity { modulus, log_n } => {
                write!(f, "prime {modulus} is not 1 modulo 2^{}: the NTT of degree 2^{log_n} needs that", log_n + 1)
            }
            Self::RingDegree { log_n } => write!(f, "ring degree 2^{log_n} is outside 2^4 to 2^17"),
            Self::PrimeSize { size } => write!(f, "primes near {size}: all moduli are below 2^50, start there"),
            Self::NotEnoughPrimes { found, wanted } => {
                write!(f, "only {found} of {wanted} primes exist in the wanted range: choose another size")
            }
            Self::RepeatedModulus { modulus } => write!(f, "modulus {modulus} occurs twice in one basis"),
            Self::Count { what, value, min, max } => write!(f, "{value} {what}: must be from {min} to {max}"),
            Self::GaloisElement { element } => write!(f, "Galois element {element} is not odd and below 2N"),
            Self::Residue { limb, index, value, modulus } => {
                write!(f, "residue {value} at limb {limb}, index {index} is not below its modulus {modulus}")
            }
            Self::Length { found, wanted } => write!(f, "{found} bytes where {wanted} are needed"),
            Self::SpecialModulusTooSmall { special_bits, digit_bits } => write!(
                f,
                "special primes of {special_bits} bits are smaller than the largest digit of {digit_bits} bits: \
                 add special primes or make digits smaller"
            ),
            Self::IsaUnavailable { name } => write!(f, "ISA {name} is not available here"),
            Self::UnknownIsa { known } => {
                write!(f, "unknown ISA: use one of ")?;
                let mut names = known.iter().enumerate();
                names.try_for_each(|(i, name)| write!(f, "{}{name}", if i > 0 { ", " } else { "" }))
            }
            Self::HammingWeight { weight, n } => write!(f, "Hamming weight {weight} exceeds the ring degree {n}"),
        }
    }
}

impl core::error::Error for Error {}
