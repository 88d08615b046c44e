//! Times of peer libraries, as they were once measured: **stored figures of another run on another
//! machine**. They are not taken beside this project's times, so only big ratios mean anything.

use serde::Serialize;

/// Explains the figures to readers of the output.
pub const NOTE: &str = "the peers' times are stored figures of another run on another machine: only big ratios mean \
                        anything; theirs at the highest level have 25 limbs, ours more";

/// How the figures were measured.
pub const MEASURED: &str = "single thread, N = 2^16, a Zen 3 EPYC with AVX2, wall clock medians in ms";

/// The ring degree of the figures.
const N: usize = 1 << 16;

/// A peer library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Peer {
    /// Written in Go.
    #[serde(rename = "Lattigo 6.2.0")]
    Lattigo,
    /// Written in C++.
    #[serde(rename = "OpenFHE 1.6.1")]
    OpenFhe,
    /// Written in C++.
    #[serde(rename = "SEAL (tenseal 0.3.18)")]
    Seal,
}

/// The peers, in the order of the columns of the table.
pub const PEERS: [Peer; 3] = [Peer::Lattigo, Peer::OpenFhe, Peer::Seal];

/// A time that was not measured.
const NONE: f64 = f64::NAN;

/// The operation, the number of limbs, and milliseconds by peer.
const TABLE: [(&str, usize, [f64; 3]); 13] = [
    ("rotate", 13, [224.0, 168.0, 322.0]),
    ("rotate", 25, [594.0, 667.0, 942.0]),
    ("mul_relinearise_rescale", 13, [237.0, 276.0, 365.0]),
    ("mul_relinearise_rescale", 25, [606.0, 703.0, 1003.0]),
    ("mul_plain_rescale", 13, [50.6, 41.7, 51.0]),
    ("mul_plain_rescale", 25, [128.0, 100.0, 105.0]),
    ("add", 13, [2.2, 4.6, 4.9]),
    ("add", 25, [4.4, 8.2, 9.4]),
    ("encode", 25, [131.0, 56.0, 37.0]),
    ("encrypt_public", 25, [276.0, 216.0, 195.0]),
    ("decrypt", 25, [26.0, NONE, 10.4]),
    ("decode", 25, [703.0, NONE, 268.0]),
    // OpenFHE decodes when it decrypts.
    ("decrypt_decode", 25, [NONE, 428.0, NONE]),
];

/// A stored time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// The peer that was measured.
    pub peer: Peer,
    /// The number of limbs.
    pub limbs: usize,
    /// The time in milliseconds.
    pub ms: f64,
}

/// Returns the times that the peers need for an operation at this number of limbs. If that was not
/// measured, the next smaller number is taken, which favours the peers. Returns nothing for other
/// ring degrees.
#[must_use]
pub fn figures(operation: &str, n: usize, limbs: usize) -> Vec<Figure> {
    let rows = TABLE.iter().filter(|row| n == N && row.0 == operation && row.1 <= limbs);
    let Some((_, limbs, times)) = rows.max_by_key(|row| row.1) else { return Vec::new() };
    let figure = |(peer, &ms)| Figure { peer, limbs: *limbs, ms };
    PEERS.into_iter().zip(times).map(figure).filter(|figure| !figure.ms.is_nan()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ckks::{ClientOperation, Operation};

    #[test]
    /// Figures are those of the number of limbs or the next smaller one, and there are none for
    /// other degrees and operations.
    fn figures_by_limbs() {
        let limbs = |limbs| figures("rotate", N, limbs).iter().map(|figure| figure.limbs).collect::<Vec<_>>();
        assert_eq!([limbs(13), limbs(24), limbs(25), limbs(30)], [[13; 3], [13; 3], [25; 3], [25; 3]]);
        assert!(limbs(12).is_empty() && figures("rotate", N / 2, 13).is_empty() && figures("none", N, 13).is_empty());
        assert_eq!(figures("decrypt_decode", N, 30), [Figure { peer: Peer::OpenFhe, limbs: 25, ms: 428.0 }]);
    }

    #[test]
    /// All rows of the table are of operations that exist.
    fn rows_are_of_operations() {
        let known =
            Operation::ALL.map(Operation::name).into_iter().chain(ClientOperation::ALL.map(ClientOperation::name));
        let known: Vec<_> = known.collect();
        assert!(TABLE.iter().all(|(operation, ..)| known.contains(operation)));
    }
}
