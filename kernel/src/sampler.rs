//! Random polynomials: uniform, ternary and Gaussian coefficients from any [`rand_core`] generator,
//! and the seeds that stand for public uniform polynomials.
//!
//! | sampler | for | time | distance from the exact distribution |
//! |---|---|---|---|
//! | [`uniform_into`] | public `a` parts | depends on the values (rejection) | 0 |
//! | [`ternary_into`] | dense secrets, encryption randomness | constant | < 2^−64 a coefficient |
//! | [`ternary_fixed_weight_into`] | sparse secrets | constant | < n·2^−64 in all |
//! | [`gaussian_into`] | errors | constant | < 2^−122 a coefficient |
//!
//! Distances are total variation distances, and assume that the generator's words are uniform.
//!
//! *Constant time* means that no branch and no memory address depends on a sampled value or on
//! the random words: the time depends only on the length of the output (and on a fixed weight,
//! which is public). This is a property of the source and of the machine code that was inspected
//! (x86-64, Rust 1.95), not a promise of the language: a compiler is free to undo it.
//!
//! The secret samplers require a [`CryptoRng`] and wipe their own buffers of random words.
//! They cannot wipe what the compiler copies to registers and spill slots, which no safe code can
//! reach. The output buffer belongs to the caller, who wipes it.
//!
//! Words are taken from the generator in order and none is skipped.
//! So, on a generator whose `fill_bytes` and `next_u64` read the same stream (ChaCha),
//! the output is a portable function of the seed.

use pulp::{Arch, NullaryFnOnce};
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, Rng, SeedableRng};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::modulus::Modulus;

/// The number of samples handled at a time, so that calls into the generator and into vector code
/// are few.
const BLOCK: usize = 64;

/// Fills `out` with independent uniform residues modulo q, centred:
/// integers in [−(q−1)/2, (q−1)/2].
///
/// The distribution is exactly uniform: every little-endian 64-bit word of the generator is cut to
/// its low q.[bits](Modulus::bits)() bits, words that are not below q are rejected, and the others
/// become the coefficients in order. Fewer than half of the words are rejected. The number of words
/// drawn depends on their values, so this is for public polynomials only (`_vartime`).
pub fn uniform_into<R: Rng + ?Sized>(q: &Modulus, rng: &mut R, out: &mut [f64]) {
    let mask = u64::MAX >> (u64::BITS - q.bits());
    let (q, half) = (q.value() as i64, (q.value() / 2) as i64);
    let mut buffer = [0; 8 * BLOCK];
    let mut filled = 0;
    while filled < out.len() {
        // The loop never draws more words than coefficients are missing: none is drawn in vain,
        // and none is accepted beyond the end.
        let bytes = &mut buffer[..8 * BLOCK.min(out.len() - filled)];
        rng.fill_bytes(bytes);
        for &word in bytes.as_chunks().0 {
            let candidate = (u64::from_le_bytes(word) & mask) as i64;
            // A branch would be mispredicted at every second word. So q is subtracted through
            // a mask where the sign says so, and the result is always written but kept only if
            // the index moves on.
            let centred = candidate - (q & ((half - candidate) >> 63));
            out[filled] = centred as f64;
            filled += usize::from(candidate < q);
        }
    }
}

/// Fills `out` with independent coefficients uniform over {−1, 0, 1}, in constant time.
///
/// A coefficient is ⌊3w / 2^64⌋ − 1 for one uniform 64-bit word w. Nothing is rejected.
/// As 3 does not divide 2^64, −1 has probability (2^64 + 2) / (3·2^64), and 0 and 1 have
/// (2^64 − 1) / (3·2^64) each. The total variation distance from uniform is (2/3)·2^−64.
pub fn ternary_into(rng: &mut (impl CryptoRng + ?Sized), out: &mut [i8]) {
    for_each_word(rng, out, |x, word| *x = mul_high(word, 3) as i8 - 1);
}

/// Fills `out` with a uniform vector of exactly `weight` nonzero coefficients ±1, in constant time.
///
/// This is selection sampling (Knuth, *The Art of Computer Programming* 2, Algorithm 3.4.2 S).
/// With n the length, coefficient i is nonzero with probability r / (n − i), where r is the number
/// of nonzeros still missing. This makes every set of `weight` positions equally likely.
/// The test is ⌊w·(n − i) / 2^64⌋ < r for a uniform 64-bit word w, computed without a branch.
/// Signs are independent fair bits.
///
/// *The weight is exact.* r ≤ n − i holds at every step, because the left side of the test is below
/// n − i: the coefficient is certainly nonzero once r = n − i and certainly zero once r = 0.
///
/// *The distance from uniform is below n·2^−64.* The test holds for exactly ⌈2^64·r / (n − i)⌉
/// of the 2^64 words, so its probability exceeds r / (n − i) by less than 2^−64,
/// whatever was chosen before. If the n tests are replaced by exact ones one after the other,
/// each replacement changes the distribution of the whole vector by less than 2^−64.
///
/// # Errors
/// [`Error::HammingWeight`] if `weight` exceeds the length; `out` is then unchanged.
pub fn ternary_fixed_weight_into(
    weight: usize,
    rng: &mut (impl CryptoRng + ?Sized),
    out: &mut [i8],
) -> Result<(), Error> {
    if weight > out.len() {
        return Err(Error::HammingWeight { weight, n: out.len() });
    }
    let (mut missing, mut left) = (weight as u64, out.len() as u64);
    for_each_word(rng, out, |x, word| {
        // Both are below 2^63 (no slice is longer), so the top bit of the difference is the result
        // of the comparison.
        let hit = mul_high(word, left).wrapping_sub(missing) >> 63;
        *x = hit as i8;
        missing -= hit;
        left -= 1;
    });
    for chunk in out.chunks_mut(64) {
        let mut signs = rng.next_u64();
        for x in chunk {
            *x *= 1 - 2 * (signs & 1) as i8;
            signs >>= 1;
        }
    }
    Ok(())
}

/// The standard deviation of the Gaussian that [`gaussian_into`] rounds: the σ of the security
/// tables of the [HomomorphicEncryption.org standard](https://eprint.iacr.org/2019/939)
/// (8/√(2π) = 3.19…, by custom 3.2).
pub const SIGMA: f64 = 3.2;

/// The largest magnitude that [`gaussian_into`] returns, 42 = 13.1·[`SIGMA`].
/// The exact distribution exceeds it with probability 2^−131.3 a coefficient.
pub const GAUSSIAN_BOUND: i8 = MAGNITUDE_CDF.len() as i8;

/// Fills `out` with independent rounded Gaussians ⌊N(0, [`SIGMA`]²)⌉, in constant time.
///
/// The variance of the integers is σ² + 1/12 = 3.213². The cumulative distribution function is
/// inverted as Peikert ([CRYPTO 2010](https://eprint.iacr.org/2010/088)) does it for discrete
/// Gaussians: a sample takes two 64-bit words, and their upper 63 bits form a uniform 126-bit
/// number u, which is compared with *all* the thresholds round(2^126·P(|X| < k)), k = 1,
/// 2, … [`GAUSSIAN_BOUND`]. The number of thresholds that u reaches is the magnitude;
/// the lowest bit of the first word is the sign.
///
/// Each threshold is off by at most 2^−127, so together with the cut tail (see [`GAUSSIAN_BOUND`])
/// the total variation distance of a coefficient from the exact distribution is below 2^−122.
pub fn gaussian_into(rng: &mut (impl CryptoRng + ?Sized), out: &mut [i8]) {
    let arch = Arch::new();
    let mut buffer = Zeroizing::new([0; 16 * BLOCK]);
    let mut numbers = Zeroizing::new([[0; BLOCK]; 2]);
    let mut counts = Zeroizing::new([0; BLOCK]);
    for chunk in out.chunks_mut(BLOCK) {
        let bytes = &mut buffer[..16 * chunk.len()];
        rng.fill_bytes(bytes);
        let words = bytes.as_chunks().0.as_chunks().0;
        for (i, &[low, high]) in words.iter().enumerate() {
            numbers[0][i] = (u64::from_le_bytes(low) >> 1) as i64;
            numbers[1][i] = (u64::from_le_bytes(high) >> 1) as i64;
        }
        arch.dispatch(CountReached { numbers: &numbers, counts: &mut counts });
        for ((x, &count), [low, _]) in chunk.iter_mut().zip(counts.iter()).zip(words) {
            *x = count as i8 * (1 - 2 * (low[0] & 1) as i8);
        }
    }
}

/// Counts the entries of [`MAGNITUDE_CDF`] that each of the numbers `low + 2^63·high` reaches.
/// These are plain loops over arrays, which the compiler turns into vector instructions for
/// whatever the machine has.
struct CountReached<'a> {
    numbers: &'a [[i64; BLOCK]; 2],
    counts: &'a mut [i64; BLOCK],
}

impl NullaryFnOnce for CountReached<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { numbers: [low, high], counts } = self;
        *counts = [i64::from(GAUSSIAN_BOUND); BLOCK];
        for threshold in &MAGNITUDE_CDF {
            let (threshold_low, threshold_high) = (*threshold as i64 & i64::MAX, (threshold >> 63) as i64);
            for i in 0..BLOCK {
                let borrow = i64::from(low[i] < threshold_low);
                counts[i] -= i64::from(high[i] - borrow < threshold_high);
            }
        }
    }
}

/// The thresholds round(2^126·P(|X| < k)) for k = 1, 2, … as far as they are below 2^126,
/// where X = ⌊N(0, 3.2²)⌉ and P(|X| < k) = erf((k − 1/2) / (3.2·√2)).
/// `tests/sampler.rs` recomputes all of them with 512 fractional bits.
const MAGNITUDE_CDF: [u128; 42] = [
    0x07f2_4db3_ee40_ace2_e0a1_6d12_9c8e_cca5,
    0x1716_8e1e_2954_4c77_395b_d6a9_05ff_92eb,
    0x242e_9ad1_5fdb_9f2a_93de_32a7_cd5d_c68f,
    0x2e75_b997_0b91_6a71_93ab_ba75_c401_a840,
    0x35c8_4bc7_689b_d9bc_5563_62d5_a8df_f9b9,
    0x3a84_8c53_130d_cf7c_587f_29fd_1bec_f41f,
    0x3d4c_1c0c_a322_b3c6_d9ea_60fe_09a0_6e42,
    0x3ec7_36b2_7d02_dad9_51d4_2439_e4ef_6acd,
    0x3f7e_8ab3_8f04_1e98_113a_2a9b_f924_1757,
    0x3fcf_0274_3598_1966_63e1_5e13_daef_d702,
    0x3fef_1144_42ae_c340_1fca_2c0f_55c8_eb7c,
    0x3ffa_a8db_0f21_bcf4_de2f_d240_919e_57f2,
    0x3ffe_76d3_f22f_c798_bfeb_b5b4_a494_f2e7,
    0x3fff_98f6_682e_23d4_56d3_187e_4cf5_c36f,
    0x3fff_e768_0a30_c4c0_3ef4_495f_181d_a19b,
    0x3fff_faa7_eead_edfa_4720_ea3f_4597_0ef8,
    0x3fff_fef1_7a07_e295_cb1d_b38d_c17e_3f23,
    0x3fff_ffcf_55f8_76de_a2f7_be16_5097_24b6,
    0x3fff_fff8_09d8_9b27_5483_c739_61b0_c04b,
    0x3fff_fffe_d0d2_2f24_5524_0f92_60b5_bff9,
    0x3fff_ffff_d701_0a70_652f_b100_2459_8b8e,
    0x3fff_ffff_faf6_35fa_2934_5e9b_6dec_1517,
    0x3fff_ffff_ff6f_f615_0fb3_a3e3_378d_a2ba,
    0x3fff_ffff_fff1_6292_c33e_3e78_15cc_1737,
    0x3fff_ffff_fffe_a721_79bc_1971_7b41_7294,
    0x3fff_ffff_ffff_e320_0d15_9654_72fe_6f2e,
    0x3fff_ffff_ffff_fdcd_e2df_310d_1215_593f,
    0x3fff_ffff_ffff_ffd9_2e3e_a2e5_e131_dc24,
    0x3fff_ffff_ffff_fffd_90ca_9f1e_5a7b_d5c8,
    0x3fff_ffff_ffff_ffff_dc83_6a26_b6a2_2671,
    0x3fff_ffff_ffff_ffff_fe2a_5496_04fb_e873,
    0x3fff_ffff_ffff_ffff_ffe9_f485_4fb3_c78c,
    0x3fff_ffff_ffff_ffff_ffff_0f87_6a68_b203,
    0x3fff_ffff_ffff_ffff_ffff_f6b2_cc62_b98f,
    0x3fff_ffff_ffff_ffff_ffff_ffac_6478_2b30,
    0x3fff_ffff_ffff_ffff_ffff_fffd_55dd_5af3,
    0x3fff_ffff_ffff_ffff_ffff_ffff_ec44_95c8,
    0x3fff_ffff_ffff_ffff_ffff_ffff_ff7b_60bd,
    0x3fff_ffff_ffff_ffff_ffff_ffff_fffc_d702,
    0x3fff_ffff_ffff_ffff_ffff_ffff_ffff_ee81,
    0x3fff_ffff_ffff_ffff_ffff_ffff_ffff_ffa8,
    0x3fff_ffff_ffff_ffff_ffff_ffff_ffff_fffe,
];

/// Returns ⌊a·b / 2^64⌋. For a uniform word a, this is a number below b that is uniform up
/// to 2^−64.
#[inline]
const fn mul_high(a: u64, b: u64) -> u64 {
    ((a as u128 * b as u128) >> 64) as u64
}

/// Calls `sample` on every element of `out`, in order, with one uniform word each.
/// The words are wiped.
fn for_each_word<T>(rng: &mut (impl CryptoRng + ?Sized), out: &mut [T], mut sample: impl FnMut(&mut T, u64)) {
    let mut buffer = Zeroizing::new([0; 8 * BLOCK]);
    for chunk in out.chunks_mut(BLOCK) {
        let bytes = &mut buffer[..8 * chunk.len()];
        rng.fill_bytes(bytes);
        for (x, &word) in chunk.iter_mut().zip(bytes.as_chunks().0) {
            sample(x, u64::from_le_bytes(word));
        }
    }
}

/// A seed of 32 bytes that stands for public uniform polynomials, such as the `a` parts of keys and
/// fresh ciphertexts.
///
/// *A seed is public*: it is stored and sent in place of what it expands to, it shows in `Debug`,
/// and it is not wiped. Never expand a secret or an error from a seed.
/// The type helps: [`expand`](Self::expand) gives an [`Rng`], not the [`CryptoRng`] that the secret
/// samplers require. Every object gets its own fresh seed: two keys or ciphertexts from one seed
/// have the same `a`, which breaks their security.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// The length in bytes.
    pub const LEN: usize = 32;

    /// Draws a fresh seed.
    #[must_use]
    pub fn from_rng(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut bytes = [0; Self::LEN];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// Makes a seed from its stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes to store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Returns the key stream of ChaCha20 (Bernstein, 2008) with this seed as the key and `stream`
    /// as the little-endian 64-bit nonce, from block 0 on.
    ///
    /// The 2^64 streams of a seed are independent of each other, so that the parts of an object
    /// (the limbs of each digit of a key) take one each and can be expanded in any order,
    /// in parallel or on their own.
    #[must_use]
    pub fn expand(&self, stream: u64) -> impl Rng + use<> {
        let mut rng = ChaCha20Rng::from_seed(self.0);
        rng.set_stream(stream);
        rng
    }
}
