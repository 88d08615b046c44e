//! Eight `f64` in an array. The operations are those of the SIMD leaves, so results are the same
//! bit for bit; libm supplies the fused multiply-add. This leaf serves tests and readers as
//! a model and is never chosen automatically.

use super::float::FloatLanes;
use super::lane_index;

#[derive(Clone, Copy)]
pub(super) struct Portable;

type V = [f64; 8];

#[inline(always)]
fn zip(a: V, b: V, f: impl Fn(f64, f64) -> f64) -> V {
    core::array::from_fn(|i| f(a[i], b[i]))
}

// These functions stay out of line: inlined, with eight scalar operations each, they would make up
// half of the crate's compile time.
impl FloatLanes<8> for Portable {
    type V = V;
    #[inline(always)]
    fn splat(self, x: f64) -> V {
        [x; 8]
    }
    #[inline(always)]
    fn load(self, x: &V) -> V {
        *x
    }
    #[inline(always)]
    fn store(self, x: &mut V, v: V) {
        *x = v;
    }
    #[inline(never)]
    fn add(self, a: V, b: V) -> V {
        zip(a, b, |a, b| a + b)
    }
    #[inline(never)]
    fn sub(self, a: V, b: V) -> V {
        zip(a, b, |a, b| a - b)
    }
    #[inline(never)]
    fn mul(self, a: V, b: V) -> V {
        zip(a, b, |a, b| a * b)
    }
    #[inline(never)]
    fn fma(self, a: V, b: V, c: V) -> V {
        core::array::from_fn(|i| libm::fma(a[i], b[i], c[i]))
    }
    #[inline(never)]
    fn fnma(self, a: V, b: V, c: V) -> V {
        core::array::from_fn(|i| libm::fma(-a[i], b[i], c[i]))
    }
    #[inline(never)]
    fn round(self, a: V) -> V {
        a.map(libm::rint)
    }
    #[inline(never)]
    fn if_negative(self, x: V, y: V) -> V {
        zip(x, y, |x, y| if x < 0.0 { y } else { 0.0 })
    }
    #[inline(always)]
    fn load_bits(self, x: &[u64; 8]) -> V {
        x.map(f64::from_bits)
    }
    #[inline(never)]
    fn and_bits(self, a: V, b: V) -> V {
        zip(a, b, |a, b| f64::from_bits(a.to_bits() & b.to_bits()))
    }
    #[inline(never)]
    fn or_bits(self, a: V, b: V) -> V {
        zip(a, b, |a, b| f64::from_bits(a.to_bits() | b.to_bits()))
    }
    #[inline(never)]
    fn xor_bits(self, a: V, b: V) -> V {
        zip(a, b, |a, b| f64::from_bits(a.to_bits() ^ b.to_bits()))
    }
    #[inline(never)]
    fn shift_bits_right(self, a: V, n: u32) -> V {
        a.map(|a| f64::from_bits(a.to_bits().checked_shr(n).unwrap_or(0)))
    }
    #[inline(never)]
    fn transpose(self, v: [V; 8]) -> [V; 8] {
        core::array::from_fn(|i| core::array::from_fn(|j| v[j][i]))
    }
    #[inline(never)]
    fn permute(self, v: V, lanes: &[u64; 8]) -> V {
        lanes.map(|lane| v[lane_index(lane) % 8])
    }
}
