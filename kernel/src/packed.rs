//! Polynomials stored in 11/16 (q below 2^42) or 13/16 of the memory, for data that is written once
//! and read often, such as keys.
//!
//! Keys take most of the memory of a machine that computes with them.
//! An inner product takes about as long as the key takes to come from memory, so unpacking on
//! the way costs little (`compare keyswitch`: 0.9 to 1.06 times as fast as with `f64` residues on
//! Zen 4 and 5, 0.7 to 0.84 on Zen 3; within a key-switch, 3 to 7 % of its time).
//!
//! A residue has at most 50 bits, so a word of 64 bits has room for part of another one.
//! C words hold C residues in their low bits and one more residue, cut into C chunks of B bits,
//! in their high bits. (C, B) is (2, 21) for q below 2^42 and (4, 13) for all others.
//!
//! ```text
//!           bit 63       51                                            0
//! word 4g     | chunk 0  |  residue of vector 5g                       |
//! word 4g + 1 | chunk 1  |  residue of vector 5g + 1                   |    chunks 0 to 3: residue of vector 5g + 4
//! word 4g + 2 | chunk 2  |  residue of vector 5g + 2                   |
//! word 4g + 3 | chunk 3  |  residue of vector 5g + 3                   |
//! ```
//!
//! Eight lanes do this side by side: a block of [`BLOCK`] residues is 16 vectors of 8, the last
//! of which has words of its own. Chunk c is placed so that a shift to the right by 64 − (c + 1)·B
//! brings it to its position in the residue. A residue is stored as its centred representative
//! plus (q − 1)/2, which is in [0, q): one operation sets the exponent to that of 2^52,
//! and one subtraction makes it the centred `f64`.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use aligned_vec::{AVec, ConstAlign};

use crate::modulus::Modulus;
use crate::ntt::NttTable;
use crate::poly::{Eval, RnsPoly};
use crate::rns::RnsBasis;
use crate::scratch::total;
use crate::simd::{Lanes, SUMS, Sums, Task, array, chunk_bits, fetch};

/// The number of residues that are packed together. A limb with fewer residues takes the words
/// of a whole block.
pub const BLOCK: usize = LANES * VECTORS;
const LANES: usize = 8;
const VECTORS: usize = SUMS;
/// The number of packed operands that are read at once. The processor prefetches this many streams;
/// with more, it does not prefetch all of them, which halves the speed.
const STREAMS: usize = 4;

/// The number C of words in a group.
const fn group_words(q: &Modulus) -> usize {
    if q.bits() <= 2 * chunk_bits(2) { 2 } else { 4 }
}

/// The number of words in a block with groups of C words.
const fn block_words(c: usize) -> usize {
    LANES * (VECTORS - VECTORS / (c + 1))
}

/// The number of words in a packed limb of n residues modulo q.
#[must_use]
pub const fn packed_len(q: &Modulus, n: usize) -> usize {
    n.div_ceil(BLOCK) * block_words(group_words(q))
}

/// Polynomials of packed limbs over one basis, in values. Two of them are equal if their residues
/// are.
///
/// They share one allocation, in which no two limbs begin at the same offset in a page:
/// the processor's cache keeps few lines of the same offset, and streams that go through pages side
/// by side take a fifth longer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PackedPolys {
    n: usize,
    /// The offsets at which the limbs of a polynomial begin, followed by its length.
    starts: Vec<usize>,
    words: AVec<u64, ConstAlign<64>>,
}

/// The pad after each limb: 17 cache lines, as in [`limb_stride`](crate::scratch::limb_stride).
const PAD: usize = 136;

impl PackedPolys {
    /// Returns room for `count` polynomials that are not yet packed.
    pub(crate) fn new(basis: &RnsBasis, count: usize) -> Self {
        let mut starts = vec![0];
        for j in 0..basis.len() {
            starts.push(starts[j] + packed_len(basis.modulus(j), basis.n()) + PAD);
        }
        let words = AVec::from_iter(64, core::iter::repeat_n(0, total(count, starts[basis.len()])));
        Self { n: basis.n(), starts, words }
    }

    /// The number of bytes that `count` polynomials take in memory, pads included.
    pub(crate) fn bytes(basis: &RnsBasis, count: usize) -> usize {
        let words: usize = basis.moduli().iter().map(|q| packed_len(q, basis.n()) + PAD).sum();
        total(total(count, words), size_of::<u64>())
    }

    /// The number of limbs.
    pub(crate) fn limbs(&self) -> usize {
        self.starts.len() - 1
    }

    /// The number of polynomials.
    pub(crate) fn len(&self) -> usize {
        self.words.len() / self.starts[self.limbs()]
    }

    fn range(&self, i: usize, j: usize) -> Range<usize> {
        assert!(i < self.len() && j < self.limbs(), "limb {j} of {} of polynomial {i} of {}", self.limbs(), self.len());
        let start = i * self.starts[self.limbs()];
        start + self.starts[j]..start + self.starts[j + 1] - PAD
    }

    /// Returns the words of limb j of polynomial i.
    ///
    /// # Panics
    /// If there is no such limb.
    pub(crate) fn limb(&self, i: usize, j: usize) -> &[u64] {
        &self.words[self.range(i, j)]
    }

    /// Packs limb j of polynomial i. Takes the same time for all values.
    ///
    /// # Panics
    /// If there is no such limb, or the length is not N.
    pub(crate) fn pack(&mut self, basis: &RnsBasis, i: usize, j: usize, values: &[f64]) {
        let range = self.range(i, j);
        basis.table(j).pack_into(values, &mut self.words[range]);
    }

    /// Unpacks polynomial i into residues in [−(q−1)/2, (q−1)/2].
    ///
    /// # Panics
    /// If there is no such polynomial, or the basis differs from the one that packed it in its
    /// ring, number of limbs or sizes of primes.
    pub(crate) fn unpack(&self, basis: &RnsBasis, i: usize) -> RnsPoly<Eval> {
        assert!(self.limbs() == basis.len() && self.n == basis.n(), "{} limbs of {}", self.limbs(), self.n);
        let mut poly = RnsPoly::zero(self.n, self.limbs());
        for (j, limb) in poly.limbs_mut().enumerate() {
            basis.table(j).unpack_into(self.limb(i, j), limb);
        }
        poly
    }
}

/// The steps applied, in this order, to a sum of products s before it is stored.
/// Constants are residues in [0, q).
#[derive(Clone, Copy, Default, Debug)]
pub struct Finish<'a> {
    /// Adds a multiple, given (x, w): s ← s + x·w.
    pub add: Option<(&'a [f64], u64)>,
    /// Subtracts and multiplies, given (x, w): s ← (s − x)·w, which is the last step of ModDown and
    /// of rescaling.
    pub divide: Option<(&'a [f64], u64)>,
}

impl<'a> Finish<'a> {
    fn operands(self) -> impl Iterator<Item = &'a [f64]> {
        [self.add, self.divide].into_iter().flatten().map(|(x, _)| x)
    }
}

impl NttTable {
    /// Packs N residues, which are integers with |x| ≤ q in any representative, into [`packed_len`]
    /// words. Takes the same time for all values.
    ///
    /// # Panics
    /// If a length is wrong.
    #[track_caller]
    pub fn pack_into(&self, values: &[f64], words: &mut [u64]) {
        self.check(values.len());
        self.check_packed(words.len());
        match group_words(self.modulus()) {
            2 => pack::<2>(self.modulus(), values, words),
            _ => pack::<4>(self.modulus(), values, words),
        }
    }

    /// Unpacks words into residues in [−(q−1)/2, (q−1)/2].
    ///
    /// # Panics
    /// If a length is wrong.
    #[track_caller]
    pub fn unpack_into(&self, words: &[u64], out: &mut [f64]) {
        self.check(out.len());
        self.check_packed(words.len());
        match group_words(self.modulus()) {
            2 => self.isa().run(Unpack::<2>(self.modulus(), words, out)),
            _ => self.isa().run(Unpack::<4>(self.modulus(), words, out)),
        }
    }

    /// Computes a single sum like [`NttTable::dot_into`], for packed bᵢ: out ← Σ aᵢ·bᵢ.
    /// Then the steps of `finish` are applied while the sum is in registers.
    /// Callers can also split the limbs, at multiples of [`BLOCK`] and [`packed_len`] of it.
    ///
    /// # Panics
    /// If lengths do not fit each other, or the lists are empty or differ in length.
    #[track_caller]
    pub fn dot_packed_into(&self, out: &mut [f64], a: &[&[f64]], b: &[&[u64]], finish: Finish<'_>) {
        assert!(a.len() == b.len() && !a.is_empty(), "{} and {} operands", a.len(), b.len());
        let (len, words) = (out.len(), packed_len(self.modulus(), out.len()));
        assert!(len.is_multiple_of(BLOCK.min(self.n())), "a sum of {len} values, not of a multiple of {BLOCK}");
        let values = a.iter().copied().chain(finish.operands());
        let wrong = values.map(<[f64]>::len).find(|&found| found != len);
        assert!(wrong.is_none(), "{} values for a sum of {len}", wrong.unwrap_or(0));
        let wrong = b.iter().find(|b| b.len() != words).map(|b| b.len());
        assert!(wrong.is_none(), "{} words for a sum of {len} values of {words}", wrong.unwrap_or(0));
        for from in (0..a.len()).step_by(STREAMS) {
            let terms = from..a.len().min(from + STREAMS);
            let finish = if terms.end == a.len() { finish } else { Finish::default() };
            let (a, b) = (&a[terms.clone()], &b[terms]);
            if len >= BLOCK {
                self.dot_streams(out, a, b, from > 0, finish);
                continue;
            }
            let pad = |values: &[f64]| {
                let mut padded = [0.0; BLOCK];
                padded[..len].copy_from_slice(values);
                padded
            };
            let mut sum = pad(out);
            let padded: [_; STREAMS] = core::array::from_fn(|i| a.get(i).map_or([0.0; BLOCK], |a| pad(a)));
            let padded = padded.each_ref().map(|padded| &padded[..]);
            let [add, divide] = [finish.add, finish.divide].map(|operand| operand.map(|(x, w)| (pad(x), w)));
            let finish = Finish {
                add: add.as_ref().map(|(x, w)| (&x[..], *w)),
                divide: divide.as_ref().map(|(x, w)| (&x[..], *w)),
            };
            self.dot_streams(&mut sum, &padded[..a.len()], b, from > 0, finish);
            out.copy_from_slice(&sum[..len]);
        }
    }

    /// Sums 1 to [`STREAMS`] terms over whole blocks and applies `finish`:
    /// out ← Σᵢ aᵢ·bᵢ, added to `out` if `accumulate` is set.
    fn dot_streams(&self, out: &mut [f64], a: &[&[f64]], b: &[&[u64]], accumulate: bool, finish: Finish<'_>) {
        let add = finish.add.map(|(x, w)| (x, self.constant(w)[0]));
        let divide = finish.divide.map(|(x, w)| (x, self.constant(w)));
        macro_rules! run {
            ($($d:literal)*) => {
                match (a.len(), group_words(self.modulus())) {
                    $(
                        ($d, 2) => run!(2, $d),
                        ($d, _) => run!(4, $d),
                    )*
                    _ => unreachable!("1 to {STREAMS} terms"),
                }
            };
            ($c:literal, $d:literal) => {
                self.isa().run(DotPacked::<$c, $d> {
                    modulus: self.modulus(),
                    out,
                    a: core::array::from_fn(|i| a[i]),
                    b: core::array::from_fn(|i| b[i]),
                    accumulate,
                    add,
                    divide,
                })
            };
        }
        run!(1 2 3 4);
    }

    #[track_caller]
    fn check_packed(&self, words: usize) {
        let wanted = packed_len(self.modulus(), self.n());
        assert!(words == wanted, "{words} words for a packed limb of {wanted}");
    }
}

fn pack<const C: usize>(q: &Modulus, values: &[f64], words: &mut [u64]) {
    let bits = chunk_bits(C);
    let q = q.value() as i64;
    let half = q / 2;
    let stored = |x: f64| {
        debug_assert!(x.abs() <= q as f64 && x as i64 as f64 == x, "{x} is not an integer in [-{q}, {q}]");
        // Maps [−q, q] to [half − 2q, half], then to [half − q, q), then to [0, q).
        // The spread sign bit selects the q to add.
        let x = x as i64 + half - q;
        let x = x + (q & (x >> 63));
        (x + (q & (x >> 63))) as u64
    };
    for (values, words) in values.chunks(BLOCK).zip(words.chunks_exact_mut(block_words(C))) {
        let mut block = [0; BLOCK];
        block.iter_mut().zip(values).for_each(|(out, &x)| *out = stored(x));
        let (vectors, words) = (block.as_chunks::<LANES>().0, words.as_chunks_mut::<LANES>().0);
        for (vectors, words) in vectors.chunks(C + 1).zip(words.chunks_mut(C)) {
            for (c, words) in words.iter_mut().enumerate() {
                for (lane, word) in words.iter_mut().enumerate() {
                    let extra = vectors.get(C).map_or(0, |extra| extra[lane]);
                    let chunk = (extra >> (c as u32 * bits)) & ((1 << bits) - 1);
                    *word = vectors[c][lane] | chunk << (u64::BITS - bits);
                }
            }
        }
    }
}

struct Unpack<'a, const C: usize>(&'a Modulus, &'a [u64], &'a mut [f64]);

impl<const C: usize> Task for Unpack<'_, C> {
    type Output = ();

    #[inline(always)]
    fn run<const L: usize, S: Lanes<L>>(self, simd: S) {
        let mut block = Block([0.0; BLOCK]);
        for (words, out) in self.1.chunks_exact(block_words(C)).zip(self.2.chunks_mut(BLOCK)) {
            unpack_block::<L, C, S>(simd, simd.modulus(self.0), words, &mut block);
            out.copy_from_slice(&block.0[..out.len()]);
        }
    }
}

/// A block of residues, aligned to a cache line so that no vector straddles two lines.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Block([f64; BLOCK]);

/// How many blocks ahead of the multiplied one the words are prefetched.
/// The processor prefetches too, but not from one page into the next. With words from memory,
/// a sum of two products took 1.4 ns (Zen 3, AVX2) without this and takes 1.25 with it;
/// with words from the cache it takes 1.15. Prefetching the `f64` operands as well made it slower.
const AHEAD: usize = 4;

struct DotPacked<'a, const C: usize, const D: usize> {
    modulus: &'a Modulus,
    out: &'a mut [f64],
    a: [&'a [f64]; D],
    b: [&'a [u64]; D],
    /// Whether to add to the contents of `out`.
    accumulate: bool,
    /// [`Finish::add`], with the constant centred.
    add: Option<(&'a [f64], f64)>,
    /// [`Finish::divide`], with the constant centred and its quotient by q.
    divide: Option<(&'a [f64], [f64; 2])>,
}

impl<const C: usize, const D: usize> Task for DotPacked<'_, C, D> {
    type Output = ();

    #[inline(always)]
    fn run<const L: usize, S: Lanes<L>>(self, simd: S) {
        let q = simd.modulus(self.modulus);
        let add = self.add.map(|(x, w)| (x.as_chunks::<BLOCK>().0, simd.splat(w)));
        let divide = self.divide.map(|(x, w)| (x.as_chunks::<BLOCK>().0, simd.multiplier(w)));
        let a = array!(D, |j| self.a[j].as_chunks::<BLOCK>().0);
        let mut sums = Sums::new(simd);
        for (i, out) in self.out.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            // The slices have lengths that the compiler knows, so it leaves out index checks.
            let words = i * block_words(C);
            for b in self.b {
                (0..block_words(C)).step_by(8).for_each(|line| fetch(b, words + AHEAD * block_words(C) + line));
            }
            let mut block = DotBlock {
                out: out.as_chunks_mut::<L>().0,
                a: array!(D, |j| a[j][i].as_chunks::<L>().0),
                b: array!(D, |j| self.b[j][words..words + block_words(C)].as_chunks::<L>().0),
                accumulate: self.accumulate,
                add: add.map(|(x, w)| (x[i].as_chunks::<L>().0, w)),
                divide: divide.map(|(x, w)| (x[i].as_chunks::<L>().0, w)),
            };
            for register in 0..LANES / L {
                for group in 0..VECTORS / (C + 1) {
                    block.sum_group::<C>(simd, q, register, group * C, group * (C + 1), &mut sums);
                }
                // 16 is one more than a multiple of C + 1, so one vector remains.
                block.sum_group::<1>(simd, q, register, block_words(C) / LANES - 1, VECTORS - 1, &mut sums);
                for vector in (0..VECTORS).step_by(2) {
                    block.finish::<2>(simd, q, register, vector, &sums);
                }
            }
        }
    }
}

/// [`DotPacked`] on one block.
struct DotBlock<'a, const L: usize, const D: usize, S: Lanes<L>> {
    out: &'a mut [[f64; L]],
    a: [&'a [[f64; L]]; D],
    b: [&'a [[u64; L]]; D],
    accumulate: bool,
    add: Option<(&'a [[f64; L]], S::V)>,
    divide: Option<(&'a [[f64; L]], S::W)>,
}

impl<const L: usize, const D: usize, S: Lanes<L>> DotBlock<'_, L, D, S> {
    /// Computes the unreduced sums of one group of G words: for register number `register`
    /// of the vectors from `vector` on and the words from `word` on.
    #[inline(always)]
    fn sum_group<const G: usize>(
        &self,
        simd: S,
        q: S::Q,
        register: usize,
        word: usize,
        vector: usize,
        out: &mut Sums<S::Acc>,
    ) {
        let at = |vector: usize| vector * (LANES / L) + register;
        // Computes the sums of K vectors side by side, the first of which is number `first`
        // of the group.
        macro_rules! sums {
            ($k:expr, $first:expr, |$j:ident, $c:ident| $b:expr) => {{
                let vector = vector + $first;
                let mut sums = array!($k, |k| {
                    let ($j, $c) = (0, $first + k);
                    simd.acc_first(simd.load(&self.a[0][at(vector + k)]), $b)
                });
                for $j in 1..D {
                    sums = array!($k, |k| {
                        let $c = $first + k;
                        simd.acc_mul(sums[k], simd.load(&self.a[$j][at(vector + k)]), $b)
                    });
                }
                if let Some((x, w)) = self.add {
                    sums = array!($k, |k| simd.acc_mul(sums[k], simd.load(&x[at(vector + k)]), w));
                }
                out.0[vector..vector + $k].copy_from_slice(&sums);
            }};
        }
        macro_rules! low {
            ($k:expr, $first:expr) => {
                sums!($k, $first, |j, c| simd.unpack_low(q, chunk_bits(G), &self.b[j][at(word + c)]))
            };
        }
        if G == 1 {
            low!(1, 0);
        } else {
            for first in (0..G).step_by(2) {
                low!(2, first);
            }
            sums!(1, G, |j, _c| simd.unpack_high(q, array!(G, |c| &self.b[j][at(word + c)])));
        }
    }

    /// Reduces and finishes K sums and stores them.
    #[inline(always)]
    fn finish<const K: usize>(&mut self, simd: S, q: S::Q, register: usize, vector: usize, sums: &Sums<S::Acc>) {
        let at = |vector: usize| vector * (LANES / L) + register;
        let accs = array!(K, |k| sums.0[vector + k]);
        let mut sums = match self.divide {
            Some(_) => simd.acc_finish_lazy(q, accs),
            None => simd.acc_finish(q, accs),
        };
        if self.accumulate {
            sums = array!(K, |k| simd.add(sums[k], simd.load(&self.out[at(vector + k)])));
        }
        if let Some((x, w)) = self.divide {
            sums = array!(K, |k| simd.sub(sums[k], simd.load(&x[at(vector + k)])));
            sums = simd.mul_const(q, sums, [w; K]);
        }
        if self.accumulate || self.divide.is_some() {
            sums = simd.reduce(q, sums);
        }
        for (k, &sum) in sums.iter().enumerate() {
            simd.store(&mut self.out[at(vector + k)], sum);
        }
    }
}

/// Unpacks the residues of the first block of `words`.
#[inline(always)]
fn unpack_block<const L: usize, const C: usize, S: Lanes<L>>(simd: S, q: S::Q, words: &[u64], out: &mut Block) {
    let words = words[..block_words(C)].as_chunks::<L>().0;
    let out = out.0.as_chunks_mut::<L>().0;
    let registers = LANES / L;
    for i in 0..registers {
        for group in 0..VECTORS / (C + 1) {
            let (word, vector) = (group * C, group * (C + 1));
            let words = array!(C, |c| &words[(word + c) * registers + i]);
            for (c, word) in words.iter().enumerate() {
                simd.store(&mut out[(vector + c) * registers + i], simd.unpack_low(q, chunk_bits(C), word));
            }
            simd.store(&mut out[(vector + C) * registers + i], simd.unpack_high(q, words));
        }
        let last = simd.unpack_low(q, 0, &words[words.len() - registers + i]);
        simd.store(&mut out[(VECTORS - 1) * registers + i], last);
    }
}
