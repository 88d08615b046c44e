//! The order of the training rows, and the classes that a batch lacks.
//!
//! Batches are consecutive rows. If rows are sorted by class, most batches contain one class only,
//! and every step unlearns what the one before it has learned; hence a client shuffles its rows
//! before it encrypts them. The order depends only on a seed, and is the same on every machine and
//! in every version: whoever has the seed and the data set has the order.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::dataset::{Dataset, Split};

/// The constant part of the generator's key. It ensures that no other use of a seed
/// produces the same stream.
const PURPOSE: &[u8; 24] = b"hetal: order of rows  v1";

impl Dataset {
    /// Shuffles the training rows. Validation and test rows keep their order,
    /// which is the order of predictions.
    pub fn shuffle(&mut self, seed: u64) {
        self.train.shuffle(seed);
    }
}

impl Split {
    /// Shuffles rows and their labels into an order that depends only on the seed and on the number
    /// of rows; all orders are equally likely.
    ///
    /// The algorithm is fixed: the Fisher–Yates shuffle, from the last row to the second,
    /// with numbers of `ChaCha20` whose key is the seed (little-endian) and a constant,
    /// made uniform by Lemire's multiplication with rejection.
    pub fn shuffle(&mut self, seed: u64) {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..].copy_from_slice(PURPOSE);
        let mut rng = ChaCha20Rng::from_seed(key);
        for last in (1..self.rows()).rev() {
            let other = below(&mut rng, last as u64 + 1) as usize;
            if other < last {
                self.labels.swap(other, last);
                let (start, end) = self.features.split_at_mut(last * self.columns);
                let from = other * self.columns;
                start[from..from + self.columns].swap_with_slice(&mut end[..self.columns]);
            }
        }
    }

    /// Returns, for every batch of `batch` rows, which of the classes 0 to `classes` − 1 it lacks;
    /// the last batch may have fewer rows.
    ///
    /// # Panics
    /// If `batch` is 0, or a label is not below `classes`.
    pub fn missing_classes(&self, batch: usize, classes: usize) -> impl Iterator<Item = Vec<u32>> {
        self.labels.chunks(batch).map(move |labels| {
            let mut there = vec![false; classes];
            labels.iter().for_each(|&label| there[label as usize] = true);
            (0..classes as u32).filter(|&class| !there[class as usize]).collect()
        })
    }
}

/// Returns a uniform number below `n`: the upper half of a 128-bit product.
/// Products that would make some results likelier are rejected (D. Lemire, Fast random integer
/// generation in an interval, ACM Transactions on Modeling and Computer Simulation 29, 2019).
fn below(rng: &mut ChaCha20Rng, n: u64) -> u64 {
    let rejected = n.wrapping_neg() % n;
    loop {
        let product = u128::from(rng.next_u64()) * u128::from(n);
        if product as u64 >= rejected {
            return (product >> 64) as u64;
        }
    }
}
