//! The primitive operations on unit blocks.
//!
//! | operation | constants | rotations | levels |
//! |---|---|---|---|
//! | [`rot_up`] | 0 | 1 | 0 |
//! | [`rot_left`] | 1 | 2 | 1 |
//! | [`prot_up`] | 1 | 1 | 1 |
//! | [`sum_rows`] | 0 | log2 s0 | 0 |
//! | [`sum_cols`] | 1 | 2·log2 s1 | 1 |

use std::borrow::Cow;

use num_complex::Complex64;

use super::packing::Shape;
use super::slots::Slots;
use crate::base::error::Result;

/// Creates a mask that is 1 where the predicate of row and column holds, and 0 elsewhere.
///
/// # Errors
/// As [`Slots::encode`].
pub fn indicator<S: Slots>(
    slots: &S,
    unit: Shape,
    level: usize,
    holds: impl Fn(usize, usize) -> bool,
) -> Result<S::Mask> {
    slots.encode(level, &|slot| f64::from(u8::from(holds(slot / unit.cols, slot % unit.cols))).into())
}

/// Computes v + (v rotated by stride) + … + (v rotated by (count − 1)·stride) for a power of two
/// `count`, with log2(count) rotations.
///
/// # Errors
/// As [`Slots::rotate`].
pub fn fold<S: Slots>(slots: &S, mut v: S::Vector, count: usize, stride: i64) -> Result<S::Vector> {
    debug_assert!(count.is_power_of_two(), "{count} terms");
    for i in 0..count.ilog2() {
        v = slots.rotate_sum(&v, stride << i)?;
    }
    Ok(v)
}

/// Rotates rows up: row i of the result is row i + k, modulo s0.
///
/// # Errors
/// As [`Slots::rotate`].
pub fn rot_up<S: Slots>(slots: &S, unit: Shape, v: &S::Vector, k: i64) -> Result<S::Vector> {
    slots.rotate(v, k * unit.cols as i64)
}

/// The mask of the first `k` columns, which [`rot_left`] by k carries to the end of the row.
///
/// # Errors
/// As [`Slots::encode`].
pub fn rot_left_mask<S: Slots>(slots: &S, unit: Shape, level: usize, k: usize) -> Result<S::Mask> {
    indicator(slots, unit, level, |_, j| j < k)
}

/// Rotates columns to the left: column j of the result is column j + k, modulo s1, for 0 < k < s1.
/// This takes a level; `mask` is [`rot_left_mask`].
///
/// # Errors
/// Those of [`Slots`].
pub fn rot_left<S: Slots>(slots: &S, unit: Shape, v: &S::Vector, k: usize, mask: &S::Mask) -> Result<S::Vector> {
    let first = slots.mask(v, mask)?;
    let rest = slots.sub(&slots.lower(v, slots.level(&first))?, &first)?;
    let k = k as i64;
    slots.add(&slots.rotate(&rest, k)?, &slots.rotate(&first, k - unit.cols as i64)?)
}

/// The mask of the last `k` columns, which [`prot_up`] by k moves.
///
/// # Errors
/// As [`Slots::encode`].
pub fn prot_up_mask<S: Slots>(slots: &S, unit: Shape, level: usize, k: usize) -> Result<S::Mask> {
    indicator(slots, unit, level, |_, j| j + k >= unit.cols)
}

/// Rotates the last columns, those in `mask`, up by one row. This takes a level;
/// the mask is [`prot_up_mask`].
///
/// # Errors
/// Those of [`Slots`].
pub fn prot_up<S: Slots>(slots: &S, unit: Shape, v: &S::Vector, mask: &S::Mask) -> Result<S::Vector> {
    let last = slots.mask(v, mask)?;
    let rest = slots.sub(&slots.lower(v, slots.level(&last))?, &last)?;
    slots.add(&rest, &rot_up(slots, unit, &last, 1)?)
}

/// Replaces every row by the sum of all rows. The rotations are cyclic, so that no mask is needed.
///
/// # Errors
/// As [`Slots::rotate`].
pub fn sum_rows<S: Slots>(slots: &S, unit: Shape, v: S::Vector) -> Result<S::Vector> {
    fold(slots, v, unit.rows, unit.cols as i64)
}

/// The mask of the first column. There, the sums in [`sum_cols`] are not mixed with other rows.
///
/// # Errors
/// As [`Slots::encode`].
pub fn sum_cols_mask<S: Slots>(slots: &S, unit: Shape, level: usize) -> Result<S::Mask> {
    indicator(slots, unit, level, |_, j| j == 0)
}

/// Replaces every column by the sum of all columns. This takes a level;
/// `mask` is [`sum_cols_mask`].
///
/// # Errors
/// Those of [`Slots`].
pub fn sum_cols<S: Slots>(slots: &S, unit: Shape, v: S::Vector, mask: &S::Mask) -> Result<S::Vector> {
    let sums = slots.mask(&fold(slots, v, unit.cols, 1)?, mask)?;
    fold(slots, sums, unit.cols, -1)
}

/// Computes 2·Re v, which takes no level.
pub(super) fn twice_real<S: Slots>(slots: &S, v: &S::Vector) -> Result<S::Vector> {
    slots.add(v, &slots.conjugate(v)?)
}

/// Computes a + i·b.
pub(super) fn complexify<S: Slots>(slots: &S, a: &S::Vector, b: &S::Vector) -> Result<S::Vector> {
    slots.add(a, &slots.mul_i(b)?)
}

/// Computes sum ← sum + v, where `None` stands for 0.
pub(super) fn accumulate<S: Slots>(slots: &S, sum: &mut Option<S::Vector>, v: S::Vector) -> Result<()> {
    match sum {
        Some(sum) => slots.add_assign(sum, v),
        None => {
            *sum = Some(v);
            Ok(())
        }
    }
}

/// Vectors of one level, which are copied only where they had to be changed.
pub(super) type Blocks<'a, S> = Vec<Cow<'a, <S as Slots>::Vector>>;

/// Brings vectors to a level.
pub(super) fn at_level<'a, S: Slots>(slots: &S, list: &'a [S::Vector], level: usize) -> Result<Blocks<'a, S>> {
    let lower = |v| if slots.level(v) == level { Ok(Cow::Borrowed(v)) } else { Ok(Cow::Owned(slots.lower(v, level)?)) };
    list.iter().map(lower).collect()
}

/// Returns the lowest level of these vectors.
pub(super) fn lowest<'a, S: Slots>(slots: &S, list: impl IntoIterator<Item = &'a S::Vector>) -> usize
where
    S::Vector: 'a,
{
    list.into_iter().map(|v| slots.level(v)).min().unwrap_or(0)
}

/// Brings both operands to the lowest level of either, and returns that level too.
pub(super) fn same_level<'a, S: Slots>(
    slots: &S,
    left: &'a [S::Vector],
    right: &'a [S::Vector],
) -> Result<(usize, Blocks<'a, S>, Blocks<'a, S>)> {
    let level = lowest(slots, left.iter().chain(right));
    Ok((level, at_level(slots, left, level)?, at_level(slots, right, level)?))
}

/// Returns a mask that is ½ where the first predicate holds, minus i/2 where the second one holds,
/// times a factor. Twice the real part of the product with x + i·y is then x where the first one
/// holds and y where the second one does.
pub(super) fn select<S: Slots>(
    slots: &S,
    unit: Shape,
    level: usize,
    first: impl Fn(usize, usize) -> bool,
    second: impl Fn(usize, usize) -> bool,
    factor: impl Fn(usize, usize) -> f64,
) -> Result<S::Mask> {
    let half = |holds: bool| if holds { 0.5 } else { 0.0 };
    slots.encode(level, &|slot| {
        let (i, j) = (slot / unit.cols, slot % unit.cols);
        Complex64::new(half(first(i, j)), -half(second(i, j))) * factor(i, j)
    })
}
