//! The client's record of data that it encrypted, by which it tells whether other data is the same.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::base::error::{Error, Result};
use crate::base::key_generation::KeyGeneration;
use crate::base::text::hex;
use crate::train::data::dataset::Part;
use crate::train::data::dataset::{Dataset, Split};
use crate::train::data::normaliser::Normaliser;

/// Digests of a set of rows. They stay with the client: a server could use them to test
/// guesses of the values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Digests {
    rows: usize,
    /// The SHA-256 of the features as they were read.
    features: String,
    /// The SHA-256 of the labels.
    labels: String,
}

impl Digests {
    fn new(split: &Split) -> Self {
        let (mut features, mut labels) = (Sha256::new(), Sha256::new());
        features.update((split.columns as u64).to_le_bytes());
        for row in split.features.chunks(split.columns) {
            features.update(row.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
        }
        labels.update(split.labels.iter().flat_map(|label| label.to_le_bytes()).collect::<Vec<u8>>());
        let [features, labels] = [features, labels].map(|hasher| hex(&hasher.finalize()));
        Self { rows: split.rows(), features, labels }
    }
}

/// The client's record of data that it encrypted. It must not be given away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The hash of the encrypted data: [`DataFolder::hash`](super::DataFolder::hash).
    pub data: String,
    /// The generation of the keys.
    pub keys: KeyGeneration,
    /// The seed with which the training rows were shuffled, if they were.
    pub shuffle_seed: Option<u64>,
    /// The hash of the normaliser that was applied to the features, if any:
    /// [`StoredNormaliser::hash`](super::StoredNormaliser::hash).
    pub normaliser: Option<String>,
    /// The names of the classes, if these have names other than their numbers.
    pub class_names: Option<Vec<String>>,
    train: Digests,
    val: Option<Digests>,
    test: Option<Digests>,
}

impl Receipt {
    /// Creates the receipt of a data set as it was read. The hash of the encrypted data
    /// is filled in later.
    #[must_use]
    pub fn new(dataset: &Dataset, keys: KeyGeneration) -> Self {
        Self {
            data: String::new(),
            keys,
            shuffle_seed: None,
            normaliser: None,
            class_names: dataset.class_names.clone(),
            train: Digests::new(&dataset.train),
            val: dataset.val.as_ref().map(Digests::new),
            test: dataset.test.as_ref().map(Digests::new),
        }
    }

    /// Refuses rows that are not the encrypted rows of this part.
    ///
    /// # Errors
    /// [`Error::OtherData`] names the part and what differs in it.
    pub fn check(&self, part: Part, split: Option<&Split>) -> Result<()> {
        let encrypted = match part {
            Part::Train => Some(&self.train),
            Part::Val => self.val.as_ref(),
            Part::Test => self.test.as_ref(),
        };
        let what = match (encrypted, split.map(Digests::new)) {
            (None, None) => return Ok(()),
            (Some(encrypted), Some(found)) if *encrypted == found => return Ok(()),
            (None, Some(found)) => format!("{} rows are in the data set, and none were encrypted", found.rows),
            (Some(encrypted), None) => format!("{} rows were encrypted, and none are in the data set", encrypted.rows),
            (Some(encrypted), Some(found)) if encrypted.rows != found.rows => {
                format!("{} rows are in the data set, and {} were encrypted", found.rows, encrypted.rows)
            }
            (Some(encrypted), Some(found)) if encrypted.features != found.features => {
                "the features are not those that were encrypted".to_owned()
            }
            _ => "the labels are not those that were encrypted".to_owned(),
        };
        Err(Error::OtherData { part: part.name(), what })
    }

    /// Turns a data set, as it was read, into the rows that were encrypted:
    /// in the same order and normalised.
    ///
    /// # Errors
    /// [`Error::OtherData`] if the rows are not those that were encrypted, [`Error::Count`] for a
    /// normaliser of another number of features.
    pub fn prepare(&self, dataset: &mut Dataset, normaliser: Option<&Normaliser>) -> Result<()> {
        self.check(Part::Train, Some(&dataset.train))?;
        self.check(Part::Val, dataset.val.as_ref())?;
        self.check(Part::Test, dataset.test.as_ref())?;
        self.arrange(dataset, normaliser)
    }

    /// Does the work of [`Receipt::prepare`] without its checks, for the very data set of which
    /// this is the receipt.
    ///
    /// # Errors
    /// [`Error::Count`] for a normaliser of another number of features.
    pub fn arrange(&self, dataset: &mut Dataset, normaliser: Option<&Normaliser>) -> Result<()> {
        if let Some(normaliser) = normaliser {
            normaliser.apply_to(dataset)?;
        }
        if let Some(seed) = self.shuffle_seed {
            dataset.shuffle(seed);
        }
        Ok(())
    }
}
