//! The special FFT of CKKS: maps the coefficients of a real polynomial to its values at the slots,
//! and back.
//!
//! With ζ = exp(2πi/4n), the slots of a real polynomial m modulo Y^2n + 1 are z_j = m(ζ^(5^j)) for
//! j < n. At the other n primitive 4n-th roots, m has the conjugate values (Cheon, Kim, Kim, Song:
//! Homomorphic encryption for arithmetic of approximate numbers, 2017,
//! <https://eprint.iacr.org/2016/421>). As ζ^(n·5^j) = i, the two halves of the coefficients pack
//! into n complex numbers w_t = m_t + i·m_(t+n), and
//!
//! > z_j = Σ_(t<n) w_t·x_j^t with x_j = ζ^(5^j).
//!
//! The terms with even t and those with odd t are transforms of half the size at the points x_j²,
//! j < n/2. The powers of 5 repeat modulo 2n after n/2, so that x_(j+n/2)² = x_j² and
//! x_(j+n/2) = −x_j. Hence z_j = even_j + x_j·odd_j and z_(j+n/2) = even_j − x_j·odd_j.
//! This is the usual FFT by decimation in time with other roots and with the slots in natural
//! order.
//!
//! When the levels up to size l are done, there are n/l transforms with l values each;
//! transform k is that of the terms t ≡ k modulo n/l. Value j of transform k is stored where it
//! keeps the inner loops long and contiguous, and everything in place:
//!
//! 1. While there are more transforms than values, it is at rev(j)·n/l + k, where rev reverses the
//!    bits of an index. The inner loop is over k and has a single root x_j;
//!    a level splits runs in halves.
//! 2. Half-way, the bits of all indices are reversed, which moves the value to rev(k)·l + j.
//! 3. From there on the inner loop is over j and along the roots; a level joins neighbouring runs.
//!
//! The results are the same on every machine, bit for bit. Sums and products are in a fixed order
//! and each is rounded once (none is fused), and the roots come from integer arithmetic,
//! since the sin and cos of the standard library differ between platforms.

use pulp::{Arch, Scalar, Simd, WithSimd};

/// The largest log2 of a number of slots.
const MAX_LOG_SLOTS: u32 = 16;

/// The number of rows and columns of a tile of the bit reversal: a row is a cache line of numbers.
/// No machine has longer vectors.
const TILE: usize = 8;

/// From this log2 of a number of slots on, all runs fill a vector and the bit reversal uses tiles.
const TILED_LOG_SLOTS: u32 = 2 * TILE.ilog2();

/// The tables of the special FFT for one number of slots. The numbers to transform are passed as
/// separate real and imaginary parts.
///
/// The root mean square of the errors is about 2.5·2^-53 of that of the results for 2^15 random
/// numbers; it grows like the square root of log n.
#[derive(Clone, Debug)]
pub struct SpecialFft {
    log_slots: u32,
    /// The number of levels before the bit reversal.
    split_levels: u32,
    /// The real parts and the imaginary parts of the points x_j. Those of the transforms of size 2l
    /// are at index l + j for j < l, and before the bit reversal at l + rev(j).
    roots: [Vec<f64>; 2],
}

impl SpecialFft {
    /// Creates the tables for 2^log_slots slots, 16 bytes for each slot.
    ///
    /// # Panics
    /// If log_slots is above 16.
    #[must_use]
    pub fn new(log_slots: u32) -> Self {
        assert!(log_slots <= MAX_LOG_SLOTS, "at most 2^{MAX_LOG_SLOTS} slots");
        let split_levels = log_slots / 2;
        let mut roots = [vec![0.0; 1 << log_slots], vec![0.0; 1 << log_slots]];
        for level in 0..log_slots {
            let (l, mut power) = (1 << level, 1);
            for j in 0..l {
                let at = l + if level < split_levels { reversed(j, level) } else { j };
                let [re, im] = root_of_unity(power, level + 3);
                (roots[0][at], roots[1][at]) = (re as f64 / ONE as f64, im as f64 / ONE as f64);
                power = power * 5 % (8 * l);
            }
        }
        Self { log_slots, split_levels, roots }
    }

    /// Returns the number n of slots.
    #[must_use]
    pub fn slots(&self) -> usize {
        1 << self.log_slots
    }

    /// Decodes: replaces the packed coefficients w_t by the slots z_j = Σ_t w_t·ζ^(t·5^j),
    /// both in natural order.
    ///
    /// # Panics
    /// Unless both slices have one number for each slot.
    pub fn to_slots(&self, re: &mut [f64], im: &mut [f64]) {
        self.dispatch(Transform::<false> { fft: self, re, im });
    }

    /// Encodes: replaces the slots z_j by the packed coefficients w_t.
    /// This is the inverse of [`SpecialFft::to_slots`].
    ///
    /// # Panics
    /// Unless both slices have one number for each slot.
    pub fn to_coefficients(&self, re: &mut [f64], im: &mut [f64]) {
        self.dispatch(Transform::<true> { fft: self, re, im });
    }

    fn dispatch<const INVERSE: bool>(&self, transform: Transform<'_, INVERSE>) {
        let lengths = [transform.re.len(), transform.im.len()];
        assert_eq!(lengths, [self.slots(); 2], "one number for each slot");
        if self.log_slots < TILED_LOG_SLOTS {
            transform.with_simd(Scalar::new());
        } else {
            Arch::new().dispatch(transform);
        }
    }
}

/// A call of [`SpecialFft::to_slots`] or of its inverse.
struct Transform<'a, const INVERSE: bool> {
    fft: &'a SpecialFft,
    re: &'a mut [f64],
    im: &'a mut [f64],
}

impl<const INVERSE: bool> WithSimd for Transform<'_, INVERSE> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { fft, re, im } = self;
        for step in 0..fft.log_slots {
            let level = if INVERSE { fft.log_slots - 1 - step } else { step };
            if !INVERSE && level == fft.split_levels {
                bit_reverse(re, 1.0);
                bit_reverse(im, 1.0);
            }
            if level < fft.split_levels {
                split::<S, INVERSE>(simd, fft, level, re, im);
            } else {
                join::<S, INVERSE>(simd, fft, level, re, im);
            }
            if INVERSE && level == fft.split_levels {
                // The factor 1/n of the inverse is applied on the way.
                // It is a power of two and thus exact.
                bit_reverse(re, 1.0 / fft.slots() as f64);
                bit_reverse(im, 1.0 / fft.slots() as f64);
            }
        }
    }
}

/// Computes a level before the bit reversal.
#[inline(always)]
fn split<S: Simd, const INVERSE: bool>(simd: S, fft: &SpecialFft, level: u32, re: &mut [f64], im: &mut [f64]) {
    let l = 1 << level;
    let (re, im) = (S::as_mut_simd_f64s(re).0, S::as_mut_simd_f64s(im).0);
    let half = re.len() / (2 * l);
    for (at, (re, im)) in (l..).zip(re.chunks_exact_mut(2 * half).zip(im.chunks_exact_mut(2 * half))) {
        let root = [simd.splat_f64s(fft.roots[0][at]), simd.splat_f64s(fft.roots[1][at])];
        let ((a_re, b_re), (a_im, b_im)) = (re.split_at_mut(half), im.split_at_mut(half));
        for i in 0..half {
            let pair = [[a_re[i], a_im[i]], [b_re[i], b_im[i]]];
            [[a_re[i], a_im[i]], [b_re[i], b_im[i]]] = butterfly::<S, INVERSE>(simd, pair, root);
        }
    }
}

/// Computes a level after the bit reversal.
#[inline(always)]
fn join<S: Simd, const INVERSE: bool>(simd: S, fft: &SpecialFft, level: u32, re: &mut [f64], im: &mut [f64]) {
    let l = 1 << level;
    let (re, im) = (S::as_mut_simd_f64s(re).0, S::as_mut_simd_f64s(im).0);
    let root_re = S::as_simd_f64s(&fft.roots[0][l..2 * l]).0;
    let root_im = S::as_simd_f64s(&fft.roots[1][l..2 * l]).0;
    let half = root_re.len();
    for (re, im) in re.chunks_exact_mut(2 * half).zip(im.chunks_exact_mut(2 * half)) {
        let ((a_re, b_re), (a_im, b_im)) = (re.split_at_mut(half), im.split_at_mut(half));
        for i in 0..half {
            let pair = [[a_re[i], a_im[i]], [b_re[i], b_im[i]]];
            let root = [root_re[i], root_im[i]];
            [[a_re[i], a_im[i]], [b_re[i], b_im[i]]] = butterfly::<S, INVERSE>(simd, pair, root);
        }
    }
}

/// The real and imaginary parts of as many numbers as a vector has.
type Complex<S> = [<S as Simd>::f64s; 2];

/// Returns (a + b·root, a − b·root). The inverse omits its factor 1/2:
/// it returns (a + b, (a − b)·conjugate of the root).
#[inline(always)]
fn butterfly<S: Simd, const INVERSE: bool>(simd: S, [a, b]: [Complex<S>; 2], root: Complex<S>) -> [Complex<S>; 2] {
    let [root_re, root_im] = root;
    if INVERSE {
        let sum = [simd.add_f64s(a[0], b[0]), simd.add_f64s(a[1], b[1])];
        let [re, im] = [simd.sub_f64s(a[0], b[0]), simd.sub_f64s(a[1], b[1])];
        let product_re = simd.add_f64s(simd.mul_f64s(re, root_re), simd.mul_f64s(im, root_im));
        let product_im = simd.sub_f64s(simd.mul_f64s(im, root_re), simd.mul_f64s(re, root_im));
        [sum, [product_re, product_im]]
    } else {
        let [re, im] = b;
        let product_re = simd.sub_f64s(simd.mul_f64s(re, root_re), simd.mul_f64s(im, root_im));
        let product_im = simd.add_f64s(simd.mul_f64s(im, root_re), simd.mul_f64s(re, root_im));
        let sum = [simd.add_f64s(a[0], product_re), simd.add_f64s(a[1], product_im)];
        [sum, [simd.sub_f64s(a[0], product_re), simd.sub_f64s(a[1], product_im)]]
    }
}

/// Moves every number to the index with the reversed bits and multiplies it by a factor.
///
/// Moving the numbers one by one would take twice as long as all levels together, since each number
/// of a cache line goes to a different line. A tile consists of whole lines:
/// it holds the numbers with the same middle bits of the index; the high three bits give the row
/// and the low three the column.
#[inline(always)]
fn bit_reverse(x: &mut [f64], factor: f64) {
    let bits = x.len().ilog2();
    if bits < TILED_LOG_SLOTS {
        for i in 0..x.len() {
            let j = reversed(i, bits);
            if i < j {
                x.swap(i, j);
            }
            x[i] *= factor;
        }
        return;
    }
    let middle_bits = bits - TILED_LOG_SLOTS;
    for i in 0..1 << middle_bits {
        let j = reversed(i, middle_bits);
        if i <= j {
            let (to_j, to_i) = (reversed_tile(x, i, factor), reversed_tile(x, j, factor));
            store_tile(x, i, &to_i);
            store_tile(x, j, &to_j);
        }
    }
}

/// Returns the tile with these middle bits, multiplied by a factor and arranged as it is stored at
/// the reversed middle bits.
#[inline(always)]
fn reversed_tile(x: &[f64], middle: usize, factor: f64) -> [[f64; TILE]; TILE] {
    let mut tile = [[0.0; TILE]; TILE];
    for (row, run) in x.chunks_exact(x.len() / TILE).enumerate() {
        for (column, number) in run[TILE * middle..][..TILE].iter().enumerate() {
            tile[reversed(column, TILE.ilog2())][reversed(row, TILE.ilog2())] = number * factor;
        }
    }
    tile
}

#[inline(always)]
fn store_tile(x: &mut [f64], middle: usize, tile: &[[f64; TILE]; TILE]) {
    for (run, row) in x.chunks_exact_mut(x.len() / TILE).zip(tile) {
        run[TILE * middle..][..TILE].copy_from_slice(row);
    }
}

/// Returns the index with its lowest bits in reverse order.
#[inline(always)]
fn reversed(index: usize, bits: u32) -> usize {
    index.reverse_bits().checked_shr(usize::BITS - bits).unwrap_or(0)
}

/// The number 1 in fixed point.
const ONE: i64 = 1 << 62;

/// Returns the real and imaginary parts of exp(2πi·index/2^log_order) in fixed point, within 2^-60,
/// for index < 2^log_order and log_order ≥ 3.
fn root_of_unity(index: usize, log_order: u32) -> [i64; 2] {
    /// π/4.
    const QUARTER_PI: i128 = 0x3243_F6A8_885A_308D;
    let eighth = 1 << (log_order - 3);
    let (octant, rest) = (index / eighth, index % eighth);
    // Reflecting every other octant leads into the first one, so that the series are short.
    let rest = if octant % 2 == 0 { rest } else { eighth - rest };
    let x = ((QUARTER_PI * rest as i128) >> (log_order - 3)) as i64;
    // The series are cos x = 1 − x²/(1·2)·(1 − x²/(3·4)·(…)) and
    // sin x = x·(1 − x²/(2·3)·(1 − x²/(4·5)·(…))).
    let product = |a: i64, b: i64| ((i128::from(a) * i128::from(b)) >> 62) as i64;
    let square = product(x, x);
    let (mut cos, mut sin) = (ONE, ONE);
    for k in (1..=10).rev() {
        cos = ONE - product(square, cos) / ((2 * k - 1) * 2 * k);
        sin = ONE - product(square, sin) / (2 * k * (2 * k + 1));
    }
    sin = product(x, sin);
    let [re, im] = if matches!(octant, 1 | 2 | 5 | 6) { [sin, cos] } else { [cos, sin] };
    [if matches!(octant, 2..=5) { -re } else { re }, if octant >= 4 { -im } else { im }]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The unit roundoff.
    const ROUNDOFF: f64 = f64::EPSILON / 2.0;

    /// Real and imaginary parts. They are integers below 2^39, so that [`naive`] is exact.
    type Numbers = [Vec<f64>; 2];

    fn random(n: usize) -> Numbers {
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state as i64 >> 24) as f64
        };
        [(); 2].map(|()| (0..n).map(|_| next()).collect())
    }

    /// Returns 5^j modulo 4n for j < n.
    fn powers_of_5(n: usize) -> Vec<usize> {
        std::iter::successors(Some(1), |power| Some(power * 5 % (4 * n))).take(n).collect()
    }

    /// Computes Σ_i x_i·ζ^exponent(i), rounded only once except for the last bits of the roots.
    fn naive(x: &Numbers, exponent: impl Fn(usize) -> usize) -> [f64; 2] {
        let n = x[0].len();
        let mut sum = [0, 0];
        for (i, (&re, &im)) in x[0].iter().zip(&x[1]).enumerate() {
            // The order is 8n, which `root_of_unity` has for n = 1 too.
            let [cos, sin] = root_of_unity(2 * (exponent(i) % (4 * n)), n.ilog2() + 3).map(i128::from);
            let (re, im) = (re as i128, im as i128);
            sum = [sum[0] + re * cos - im * sin, sum[1] + re * sin + im * cos];
        }
        sum.map(|x| x as f64 / ONE as f64)
    }

    /// Checks pairs of a result and its exact value.
    fn check(name: &str, levels: u32, pairs: impl Iterator<Item = ([f64; 2], [f64; 2])>) {
        let (mut sums, mut maxima) = ([0f64; 2], [0f64; 2]);
        for (x, y) in pairs {
            let squares = [[x[0] - y[0], x[1] - y[1]], y].map(|[re, im]| re * re + im * im);
            for i in 0..2 {
                (sums[i], maxima[i]) = (sums[i] + squares[i], maxima[i].max(squares[i]));
            }
        }
        let [rms, max] = [sums, maxima].map(|[error, exact]| (error / exact).sqrt() / ROUNDOFF);
        println!("{name}: error of {rms:.2} units of roundoff (root mean squares), {max:.2} (maxima)");
        // The levels add independent errors, each with a root mean square of less than a unit.
        // The largest of all errors is within twice the bound even if the exact values are of equal
        // size.
        let bound = f64::from(levels + 1).sqrt();
        assert!(rms <= bound && max <= 2.0 * bound, "{name}: {rms}, {max}");
    }

    /// Compares both directions with the definition, at some of the indices if there are many.
    fn compare(name: &str, fft: &SpecialFft, x: &Numbers) {
        let n = fft.slots();
        let powers = powers_of_5(n);
        let indices = || (0..n).step_by(((n * n) >> 19) | 1);

        let [mut re, mut im] = x.clone();
        fft.to_slots(&mut re, &mut im);
        let pairs = indices().map(|j| ([re[j], im[j]], naive(x, |t| powers[j] * t)));
        check(&format!("slots, {name}, n = {n}"), fft.log_slots, pairs);

        let [mut re, mut im] = x.clone();
        fft.to_coefficients(&mut re, &mut im);
        let exact = |t| naive(x, |j| (4 * n - powers[j]) * t).map(|sum| sum / n as f64);
        let pairs = indices().map(|t| ([re[t], im[t]], exact(t)));
        check(&format!("coefficients, {name}, n = {n}"), fft.log_slots, pairs);
    }

    #[test]
    fn both_directions_agree_with_the_definition() {
        for log_slots in (0..=8).chain([11, 15, 16]) {
            let fft = SpecialFft::new(log_slots);
            let n = fft.slots();
            compare("random", &fft, &random(n));
            if n <= 256 {
                // First one result is much larger than the others, then one input is.
                compare("ones", &fft, &[vec![1.0; n], vec![0.0; n]]);
                let spike = (0..n).map(|i| if i == n / 3 { 2f64.powi(39) - 1.0 } else { 1.0 }).collect();
                compare("spike", &fft, &[spike, vec![-1.0; n]]);
            }
        }
    }

    #[test]
    fn the_directions_are_inverses() {
        for log_slots in 0..=MAX_LOG_SLOTS {
            let fft = SpecialFft::new(log_slots);
            let x = random(fft.slots());
            let pairs = |re: &[f64], im: &[f64]| {
                (0..fft.slots()).map(|i| ([re[i], im[i]], [x[0][i], x[1][i]])).collect::<Vec<_>>().into_iter()
            };
            let [mut re, mut im] = x.clone();
            fft.to_slots(&mut re, &mut im);
            fft.to_coefficients(&mut re, &mut im);
            check(&format!("to slots and back, n = {}", fft.slots()), 2 * log_slots, pairs(&re, &im));

            let [mut re, mut im] = x.clone();
            fft.to_coefficients(&mut re, &mut im);
            fft.to_slots(&mut re, &mut im);
            check(&format!("to coefficients and back, n = {}", fft.slots()), 2 * log_slots, pairs(&re, &im));
        }
    }

    /// For n = 1 the slot of m_0 + m_1·Y is m_0 + i·m_1. For n = 2 the slots are at ζ and ζ^5 = −ζ,
    /// where ζ = exp(iπ/4).
    #[test]
    fn the_smallest_ones() {
        let (mut re, mut im) = ([3.0], [-5.0]);
        SpecialFft::new(0).to_slots(&mut re, &mut im);
        assert_eq!((re, im), ([3.0], [-5.0]));
        SpecialFft::new(0).to_coefficients(&mut re, &mut im);
        assert_eq!((re, im), ([3.0], [-5.0]));

        let h = std::f64::consts::FRAC_1_SQRT_2;
        let (mut re, mut im) = ([1.0, 2.0], [0.0, 4.0]);
        SpecialFft::new(1).to_slots(&mut re, &mut im);
        assert_eq!((re, im), ([1.0 - 2.0 * h, 1.0 + 2.0 * h], [6.0 * h, -6.0 * h]));
    }

    /// The slots of Y^t, and of i·Y^t = Y^(t+n), are powers of ζ.
    #[test]
    fn monomials() {
        let fft = SpecialFft::new(15);
        let n = fft.slots();
        let powers = powers_of_5(n);
        for t in [0, 1, 2, 3, n / 2 - 1, n / 2, 0x2A5C, n - 1] {
            for imaginary in [0, 1] {
                let mut w = [vec![0.0; n], vec![0.0; n]];
                w[imaginary][t] = 1.0;
                let [mut re, mut im] = w;
                fft.to_slots(&mut re, &mut im);
                let pairs = (0..n).map(|j| {
                    let [cos, sin] = root_of_unity(powers[j] * (t + n * imaginary) % (4 * n), 17);
                    ([re[j], im[j]], [cos, sin].map(|x| x as f64 / ONE as f64))
                });
                check(&format!("monomial {t}, imaginary {imaginary}"), 15, pairs);
            }
        }
    }

    /// Compares vectors of one number with those of this machine.
    #[test]
    fn results_do_not_depend_on_the_machine() {
        fn bits<const INVERSE: bool>(fft: &SpecialFft, scalar: bool) -> Vec<u64> {
            let [mut re, mut im] = random(fft.slots());
            let transform = Transform::<INVERSE> { fft, re: &mut re, im: &mut im };
            if scalar {
                transform.with_simd(Scalar::new())
            } else {
                Arch::new().dispatch(transform)
            }
            re.iter().chain(&im).map(|x| x.to_bits()).collect()
        }
        for log_slots in TILED_LOG_SLOTS..=13 {
            let fft = SpecialFft::new(log_slots);
            assert_eq!(bits::<false>(&fft, true), bits::<false>(&fft, false), "to slots, log n = {log_slots}");
            assert_eq!(bits::<true>(&fft, true), bits::<true>(&fft, false), "to coefficients, log n = {log_slots}");
        }
    }

    #[test]
    fn roots_of_unity() {
        // The roots are multiplicative to the last bits, and i is at a quarter:
        // together with the rough value of the first root, this makes it the right one.
        for log_order in [3, 4, 7, 13, 18] {
            let order = 1 << log_order;
            assert_eq!(
                [0, 1, 2, 3].map(|i| root_of_unity(i * order / 4, log_order)),
                [[ONE, 0], [0, ONE], [-ONE, 0], [0, -ONE]]
            );
            let [re, im] = root_of_unity(1, log_order).map(|x| x as f64 / ONE as f64);
            assert!((im.atan2(re) * order as f64 / std::f64::consts::TAU - 1.0).abs() < 1e-9);
            for a in (0..order).step_by((order / 128).max(1)).map(|a| a + 5 * a / 128) {
                for b in [1, 3, order / 8, a] {
                    let [[re, im], [re_b, im_b]] = [a, b].map(|i| root_of_unity(i % order, log_order).map(i128::from));
                    let product = [(re * re_b - im * im_b) >> 62, (re * im_b + im * re_b) >> 62];
                    let direct = root_of_unity((a + b) % order, log_order).map(i128::from);
                    let error = product[0].abs_diff(direct[0]).max(product[1].abs_diff(direct[1]));
                    assert!(error <= 8, "{a} + {b} of {order}: {error}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "one number for each slot")]
    fn lengths_are_checked() {
        SpecialFft::new(3).to_slots(&mut [0.0; 8], &mut [0.0; 7]);
    }

    #[test]
    #[should_panic(expected = "at most 2^16 slots")]
    fn size_is_checked() {
        let _ = SpecialFft::new(17);
    }
}
