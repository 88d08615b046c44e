//! The order of the training rows, on the command line.

use clap::Args;
use rand_core::Rng;

use super::warn;
use crate::base::error::Result;
use crate::ckks::keys::entropy;
use crate::train::data::dataset::Dataset;

#[derive(Debug, Args)]
pub(super) struct ShuffleArgs {
    /// Train on the rows in the order in which they are, instead of shuffling them.
    #[arg(long)]
    pub(super) no_shuffle: bool,
    /// Shuffle the rows to train on with this seed, as it was printed, instead of a new one.
    #[arg(long, value_name = "N", conflicts_with = "no_shuffle")]
    pub(super) shuffle_seed: Option<u64>,
}

impl ShuffleArgs {
    /// Returns the seed with which to shuffle the training rows; `None` if they keep their order.
    pub(super) fn seed(&self) -> Result<Option<u64>> {
        match self.shuffle_seed {
            _ if self.no_shuffle => Ok(None),
            // The seed has 32 bits, so that people can type it and JSON readers keep it exactly;
            // no secret depends on it.
            None => Ok(Some(u64::from(entropy()?.next_u32()))),
            seed => Ok(seed),
        }
    }
}

/// Warns if batches lack classes. The rows were shuffled with `seed`, or have their own
/// order if it is `None`.
pub(super) fn warn_of_missing(dataset: &Dataset, batch: usize, seed: Option<u64>) {
    if let Some(text) = lacking(dataset, batch, seed.is_some()) {
        warn(&text);
    }
}

/// Returns a warning if batches lack classes.
fn lacking(dataset: &Dataset, batch: usize, shuffled: bool) -> Option<String> {
    let (mut batches, mut without, mut first) = (0, 0, None);
    for (i, missing) in dataset.train.missing_classes(batch, dataset.classes).enumerate() {
        batches += 1;
        if !missing.is_empty() {
            without += 1;
            first.get_or_insert((i + 1, missing));
        }
    }
    let (number, missing) = first?;
    let mut names: Vec<String> = missing.iter().take(LISTED).map(u32::to_string).collect();
    names.extend((missing.len() > LISTED).then(|| format!("… ({} of {})", missing.len(), dataset.classes)));
    let advice = if shuffled { "use a larger --batch" } else { "let rows be shuffled, without --no-shuffle" };
    Some(format!(
        "{without} of {batches} batches of {batch} rows lack classes (batch {number}: class {}), which makes results worse and logits larger: {advice}",
        names.join(", ")
    ))
}

/// The largest number of classes that a message names.
const LISTED: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::data::dataset::Split;

    #[test]
    fn batches_that_lack_classes() {
        let dataset = |labels: Vec<u32>| {
            let classes = labels.iter().max().map_or(0, |&label| label as usize + 1);
            let train = Split { features: vec![0.0; labels.len()], columns: 1, labels };
            Dataset { train, val: None, test: None, classes, class_names: None }
        };
        let mixed = dataset(vec![0, 1, 2, 2, 1, 0, 0, 0, 1, 2]);
        let text = lacking(&mixed, 3, false).expect("two lack some");
        assert!(text.starts_with("2 of 4 batches of 3 rows lack classes (batch 3: class 2), which"), "{text}");
        assert!(text.ends_with(": let rows be shuffled, without --no-shuffle"), "{text}");
        assert_eq!(lacking(&mixed, 6, false), None);
        let text = lacking(&dataset((0..9).collect()), 1, true).expect("all lack some");
        assert!(text.contains("9 of 9 batches") && text.contains("1, 2, 3, 4, 5, … (8 of 9)"), "{text}");
        assert!(text.ends_with("use a larger --batch"), "{text}");
    }
}
