//! The operations of the owner of the key, at the highest level.

use std::hint::black_box;

use hetal::ckks::encryption::SeededCiphertext;
use hetal::{Ciphertext, Complex64, Plaintext, PublicKey};
use rand_chacha::ChaCha20Rng;

use super::{Setup, compare, rng};

/// An operation of the owner of the key, on N/2 slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientOperation {
    /// From slots to a plaintext.
    Encode,
    /// Encryption under the secret key, with a seed in place of half the ciphertext.
    EncryptSeeded,
    /// Encryption under the public key.
    EncryptPublic,
    /// Decryption to a plaintext.
    Decrypt,
    /// From a plaintext to slots.
    Decode,
    /// Decryption and decoding.
    DecryptDecode,
}

impl ClientOperation {
    /// All operations.
    pub const ALL: [Self; 6] =
        [Self::Encode, Self::EncryptSeeded, Self::EncryptPublic, Self::Decrypt, Self::Decode, Self::DecryptDecode];

    /// Returns the name of the operation in the output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Encode => "encode",
            Self::EncryptSeeded => "encrypt_secret_seeded",
            Self::EncryptPublic => "encrypt_public",
            Self::Decrypt => "decrypt",
            Self::Decode => "decode",
            Self::DecryptDecode => "decrypt_decode",
        }
    }
}

/// The result of an operation.
enum Outcome {
    Plaintext(Plaintext),
    Seeded(SeededCiphertext),
    Ciphertext(Ciphertext),
    Slots(Vec<Complex64>),
}

/// The operands of all [`ClientOperation`]s.
#[derive(Debug)]
pub struct Client<'a> {
    setup: &'a Setup,
    public: PublicKey,
    rng: ChaCha20Rng,
    slots: Vec<Complex64>,
    plaintext: Plaintext,
    ciphertext: Ciphertext,
}

impl<'a> Client<'a> {
    /// Makes a public key and encrypts random slots.
    ///
    /// # Errors
    /// Those of `hetal`.
    pub fn new(setup: &'a Setup) -> hetal::Result<Self> {
        let mut rng = rng(1);
        let slots = setup.slots(&mut rng);
        let level = setup.params().max_level();
        let plaintext = setup.encoder.encode(&slots, level, setup.params().scale(level))?;
        Ok(Self {
            public: PublicKey::generate(&setup.secret, &mut rng),
            ciphertext: setup.secret.encrypt(&plaintext, &mut rng)?,
            setup,
            rng,
            slots,
            plaintext,
        })
    }

    /// Returns the number of limbs of the plaintext and the ciphertext.
    #[must_use]
    pub fn limbs(&self) -> usize {
        self.plaintext.level() + 1
    }

    /// Does the operation.
    ///
    /// # Panics
    /// Never, if [`Client::check`] passes.
    pub fn run(&mut self, operation: ClientOperation) {
        black_box(self.outcome(operation).expect("was checked"));
    }

    fn outcome(&mut self, operation: ClientOperation) -> hetal::Result<Outcome> {
        let Setup { encoder, secret } = self.setup;
        let (plaintext, rng) = (&self.plaintext, &mut self.rng);
        Ok(match operation {
            ClientOperation::Encode => {
                Outcome::Plaintext(encoder.encode(&self.slots, plaintext.level(), plaintext.scale())?)
            }
            ClientOperation::EncryptSeeded => Outcome::Seeded(secret.encrypt_seeded(plaintext, rng)?),
            ClientOperation::EncryptPublic => {
                Outcome::Ciphertext(self.public.encrypt(encoder.params(), plaintext, rng)?)
            }
            ClientOperation::Decrypt => Outcome::Plaintext(secret.decrypt(&self.ciphertext)?),
            ClientOperation::Decode => Outcome::Slots(encoder.decode(plaintext)?),
            ClientOperation::DecryptDecode => Outcome::Slots(encoder.decode(&secret.decrypt(&self.ciphertext)?)?),
        })
    }

    /// Checks that every operation leads back to the slots.
    ///
    /// # Errors
    /// A description of the difference.
    pub fn check(&mut self) -> Result<(), String> {
        ClientOperation::ALL.into_iter().try_for_each(|operation| {
            let found = self.outcome(operation).and_then(|outcome| self.read(outcome));
            compare(operation.name(), &found.map_err(|error| error.to_string())?, &self.slots)
        })
    }

    /// Returns the slots of an outcome.
    fn read(&self, outcome: Outcome) -> hetal::Result<Vec<Complex64>> {
        let Setup { encoder, secret } = self.setup;
        match outcome {
            Outcome::Slots(slots) => Ok(slots),
            Outcome::Plaintext(plaintext) => encoder.decode(&plaintext),
            Outcome::Ciphertext(ciphertext) => encoder.decode(&secret.decrypt(&ciphertext)?),
            Outcome::Seeded(seeded) => encoder.decode(&secret.decrypt(&seeded.expand(encoder.params())?)?),
        }
    }
}
