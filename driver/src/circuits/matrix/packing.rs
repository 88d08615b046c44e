//! Matrices in slots: unit blocks, layouts, packing and encryption.
//!
//! A unit block of s0 × s1 = N/2 slots is stored by rows:
//! entry (i, j) is in slot i·s1 + j, so that a rotation by s1 moves rows.
//! A matrix is a grid of such blocks. Its [`Layout`] tells which entry of the matrix a slot holds.

use num_complex::Complex64;
use rand_core::CryptoRng;

use crate::base::error::{Result, check_count, check_integer, check_power_of_two};
use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::encoding::Encoder;
use crate::ckks::keys::SecretKey;

/// The numbers of rows and columns of a matrix or of a unit block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// The number of rows.
    pub rows: usize,
    /// The number of columns.
    pub cols: usize,
}

impl Shape {
    /// Creates the shape rows × cols.
    #[must_use]
    pub const fn new(rows: usize, cols: usize) -> Self {
        Self { rows, cols }
    }

    /// The number of entries.
    #[must_use]
    pub const fn len(self) -> usize {
        self.rows * self.cols
    }

    /// Tells whether there are no entries.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// Tells which entry of a matrix a slot holds.
/// Periods p are powers of two that divide both sides of the unit block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Blocks side by side, padded with zeros.
    Blocks,
    /// Up to p rows, repeated downwards with period p; used for weights.
    TiledRows(usize),
    /// Up to p columns, repeated to the right with period p; used for logits and their errors.
    TiledColumns(usize),
    /// Blocks whose last p − 1 columns are zero,
    /// so that a rotation by less than p does not carry entries into another row.
    /// The entries are halved, because both products of [`super::skew`] come out doubled.
    Guarded(usize),
    /// The weights for [`super::skew`]: slot (i, j) holds row (i + j) mod p,
    /// in the same columns as [`Layout::Guarded`].
    SkewedRows(usize),
    /// The logits of [`super::skew`]: slot (i, j) holds column (i + j) mod p of row i.
    SkewedColumns(usize),
    /// One block for each entry, which fills all its slots.
    Replicated,
}

/// The largest number of entries of a matrix, or of slots of a unit block.
/// No machine holds as many.
const MOST_ENTRIES: usize = 1 << 60;

/// The positions of the entries of a matrix of one shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Packing {
    shape: Shape,
    unit: Shape,
    layout: Layout,
}

impl Packing {
    /// Creates the packing of a matrix of this shape in unit blocks of that shape.
    ///
    /// # Errors
    /// [`Error::PowerOfTwo`](crate::Error::PowerOfTwo) if a side of the unit block or a period
    /// is not a power of two, [`Error::Range`](crate::Error::Range) for an empty matrix,
    /// more than 2^60 entries or slots, a period that the block does not have,
    /// or a tiled side that is longer than the period.
    pub fn new(shape: Shape, unit: Shape, layout: Layout) -> Result<Self> {
        for (what, side) in [("rows of a unit block", unit.rows), ("columns of a unit block", unit.cols)] {
            check_power_of_two(what, side)?;
        }
        // With these limits, sums of numbers of entries and slots are far from overflowing.
        check_integer("columns of a unit block", unit.cols, 1, MOST_ENTRIES / unit.rows.min(MOST_ENTRIES))?;
        check_integer("rows of a matrix", shape.rows, 1, MOST_ENTRIES)?;
        check_integer("columns of a matrix", shape.cols, 1, MOST_ENTRIES / shape.rows)?;
        let packing = Self { shape, unit, layout };
        if let Some(period) = packing.period() {
            check_power_of_two("period of a layout", period)?;
            check_integer("period of a layout", period, 1, unit.rows.min(unit.cols))?;
            match layout {
                Layout::TiledRows(_) | Layout::SkewedRows(_) => {
                    check_integer("rows of a tiled matrix", shape.rows, 1, period)?
                }
                Layout::TiledColumns(_) | Layout::SkewedColumns(_) => {
                    check_integer("columns of a tiled matrix", shape.cols, 1, period)?;
                }
                _ => {}
            }
        }
        Ok(packing)
    }

    const fn period(&self) -> Option<usize> {
        match self.layout {
            Layout::Blocks | Layout::Replicated => None,
            Layout::TiledRows(p)
            | Layout::TiledColumns(p)
            | Layout::Guarded(p)
            | Layout::SkewedRows(p)
            | Layout::SkewedColumns(p) => Some(p),
        }
    }

    /// The shape of the matrix.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// The shape of a unit block.
    #[must_use]
    pub const fn unit(&self) -> Shape {
        self.unit
    }

    /// The layout.
    #[must_use]
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    /// The number of columns of a block that hold entries.
    fn width(&self) -> usize {
        match self.layout {
            Layout::Guarded(p) | Layout::SkewedRows(p) => self.unit.cols + 1 - p,
            _ => self.unit.cols,
        }
    }

    /// The numbers of rows and columns of blocks.
    #[must_use]
    pub fn grid(&self) -> Shape {
        let (rows, cols) = (self.shape.rows.div_ceil(self.unit.rows), self.shape.cols.div_ceil(self.width()));
        match self.layout {
            Layout::Blocks | Layout::Guarded(_) => Shape::new(rows, cols),
            Layout::TiledRows(_) | Layout::SkewedRows(_) => Shape::new(1, cols),
            Layout::TiledColumns(_) | Layout::SkewedColumns(_) => Shape::new(rows, 1),
            Layout::Replicated => self.shape,
        }
    }

    /// Returns the entry in slot (i, j) of block (row, col), if the slot holds one.
    fn entry(&self, row: usize, col: usize, i: usize, j: usize) -> Option<(usize, usize)> {
        let (down, right) = (row * self.unit.rows + i, col * self.width() + j);
        let (r, c) = match self.layout {
            Layout::Blocks | Layout::Guarded(_) => (down, right),
            Layout::TiledRows(p) => (i % p, right),
            Layout::TiledColumns(p) => (down, j % p),
            Layout::SkewedRows(p) => ((i + j) % p, right),
            Layout::SkewedColumns(p) => (down, (i + j) % p),
            Layout::Replicated => (row, col),
        };
        (j < self.width() && r < self.shape.rows && c < self.shape.cols).then_some((r, c))
    }

    /// The factor applied to every entry.
    const fn factor(&self) -> f64 {
        if matches!(self.layout, Layout::Guarded(_)) { 0.5 } else { 1.0 }
    }

    /// Calls `f` for every slot that holds an entry, with the block,
    /// the slot and the index of the entry by rows.
    fn for_entries(&self, mut f: impl FnMut(usize, usize, usize)) {
        let (grid, unit) = (self.grid(), self.unit);
        for block in 0..grid.len() {
            for slot in 0..unit.len() {
                let at = self.entry(block / grid.cols, block % grid.cols, slot / unit.cols, slot % unit.cols);
                if let Some((r, c)) = at {
                    f(block, slot, r * self.shape.cols + c);
                }
            }
        }
    }

    /// Packs a matrix, given by rows, into slots.
    ///
    /// # Errors
    /// [`Error::Count`](crate::Error::Count) if the number of values is not that of the shape.
    pub fn pack(&self, values: &[f64]) -> Result<PackedMatrix> {
        check_count("entries of a matrix", values.len(), self.shape.len())?;
        let mut blocks = vec![vec![Complex64::ZERO; self.unit.len()]; self.grid().len()];
        self.for_entries(|block, slot, entry| blocks[block][slot] = (self.factor() * values[entry]).into());
        Ok(BlockMatrix { packing: *self, blocks })
    }
}

/// A matrix in blocks, which are slots, ciphertexts or the vectors of a backend.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockMatrix<V> {
    packing: Packing,
    blocks: Vec<V>,
}

/// A matrix in slots, before encryption or after decryption.
pub type PackedMatrix = BlockMatrix<Vec<Complex64>>;
/// A matrix in ciphertexts.
pub type EncryptedMatrix = BlockMatrix<Ciphertext>;

impl<V> BlockMatrix<V> {
    /// Creates a matrix from these blocks, with the grid stored by rows.
    ///
    /// # Errors
    /// [`Error::Count`](crate::Error::Count) if the number of blocks is not that of the packing.
    pub fn new(packing: Packing, blocks: Vec<V>) -> Result<Self> {
        check_count("blocks of a matrix", blocks.len(), packing.grid().len())?;
        Ok(Self { packing, blocks })
    }

    /// The positions of the entries.
    #[must_use]
    pub const fn packing(&self) -> &Packing {
        &self.packing
    }

    /// The blocks, with the grid stored by rows.
    #[must_use]
    pub fn blocks(&self) -> &[V] {
        &self.blocks
    }

    /// Returns the same matrix with every block replaced.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn try_map<W>(&self, f: impl FnMut(&V) -> Result<W>) -> Result<BlockMatrix<W>> {
        let blocks = self.blocks.iter().map(f).collect::<Result<_>>()?;
        Ok(BlockMatrix { packing: self.packing, blocks })
    }
}

impl PackedMatrix {
    /// Returns the entries by rows.
    /// An entry that is held in several slots is the mean of their real parts.
    #[must_use]
    pub fn unpack(&self) -> Vec<f64> {
        let mut sums = vec![(0.0, 0.0); self.packing.shape.len()];
        self.packing.for_entries(|block, slot, entry| {
            let (sum, count) = &mut sums[entry];
            *sum += self.blocks[block][slot].re;
            *count += self.packing.factor();
        });
        sums.into_iter().map(|(sum, count)| sum / count).collect()
    }

    /// Encrypts every block at a level and its nominal scale.
    /// To encrypt with a public key or with seeds, use [`BlockMatrix::try_map`].
    ///
    /// # Errors
    /// Those of [`Encoder::encode`] and [`SecretKey::encrypt`].
    pub fn encrypt(
        &self,
        encoder: &Encoder,
        secret: &SecretKey,
        level: usize,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<EncryptedMatrix> {
        encoder.params().check_level(level)?;
        let scale = encoder.params().scale(level);
        self.try_map(|block| secret.encrypt(&encoder.encode(block, level, scale)?, rng))
    }
}

impl EncryptedMatrix {
    /// Decrypts every block. As with [`SecretKey::decrypt`], the result must not be given away.
    ///
    /// # Errors
    /// Those of [`SecretKey::decrypt`].
    pub fn decrypt(&self, encoder: &Encoder, secret: &SecretKey) -> Result<PackedMatrix> {
        self.try_map(|block| encoder.decode(&secret.decrypt(block)?))
    }

    /// The memory of the ciphertexts, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.blocks.iter().map(Ciphertext::memory_bytes).sum()
    }
}
