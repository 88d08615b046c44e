//! AVX2 + FMA (four lanes) and AVX-512F (eight lanes), through pulp's safe tokens.

use pulp::x86::{V3, V4};
use pulp::{Simd, cast, f64x4, f64x8};

use super::float::{FloatLanes, pulp_call, pulp_float_ops};

#[derive(Clone, Copy)]
pub(super) struct Avx2(V3);

#[derive(Clone, Copy)]
pub(super) struct Avx512(V4);

pulp_call!(Avx2Call, V3, Avx2);
pulp_call!(Avx512Call, V4, Avx512);

impl FloatLanes<4> for Avx2 {
    pulp_float_ops!(4, f64x4);

    #[inline(always)]
    fn round(self, a: f64x4) -> f64x4 {
        self.0.round_f64x4(a)
    }

    #[inline(always)]
    fn shift_bits_right(self, a: f64x4, n: u32) -> f64x4 {
        cast(self.0.avx2._mm256_srlv_epi64(cast(a), cast([u64::from(n); 4])))
    }

    #[inline(always)]
    fn transpose(self, v: [f64x4; 4]) -> [f64x4; 4] {
        let avx = self.0.avx;
        let (a, b, c, d) = (cast(v[0]), cast(v[1]), cast(v[2]), cast(v[3]));
        let (ab_even, ab_odd) = (avx._mm256_unpacklo_pd(a, b), avx._mm256_unpackhi_pd(a, b));
        let (cd_even, cd_odd) = (avx._mm256_unpacklo_pd(c, d), avx._mm256_unpackhi_pd(c, d));
        [
            cast(avx._mm256_permute2f128_pd::<0x20>(ab_even, cd_even)),
            cast(avx._mm256_permute2f128_pd::<0x20>(ab_odd, cd_odd)),
            cast(avx._mm256_permute2f128_pd::<0x31>(ab_even, cd_even)),
            cast(avx._mm256_permute2f128_pd::<0x31>(ab_odd, cd_odd)),
        ]
    }

    #[inline(always)]
    fn permute(self, v: f64x4, lanes: &[u64; 4]) -> f64x4 {
        cast(self.0.avx2._mm256_permutevar8x32_epi32(cast(v), cast(*lanes)))
    }
}

impl FloatLanes<8> for Avx512 {
    pulp_float_ops!(8, f64x8);

    #[inline(always)]
    fn round(self, a: f64x8) -> f64x8 {
        // Rounds to nearest with ties to even, raises no exceptions and does not scale.
        cast(self.0.avx512f._mm512_roundscale_pd::<8>(cast(a)))
    }

    #[inline(always)]
    fn shift_bits_right(self, a: f64x8, n: u32) -> f64x8 {
        cast(self.0.avx512f._mm512_srlv_epi64(cast(a), cast([u64::from(n); 8])))
    }

    #[inline(always)]
    fn transpose(self, v: [f64x8; 8]) -> [f64x8; 8] {
        let f = self.0.avx512f;
        // These are macros because closures would be compiled without AVX-512 and called.
        // Interleaves two rows: first columns 0 2 4 6 of both, then columns 1 3 5 7.
        macro_rules! rows {
            ($i:literal) => {{
                let (x, y) = (cast(v[$i]), cast(v[$i + 1]));
                (f._mm512_unpacklo_pd(x, y), f._mm512_unpackhi_pd(x, y))
            }};
        }
        // Takes the 128-bit lanes of two registers: first lanes 0 2 of both, then lanes 1 3
        // of both.
        macro_rules! lanes {
            ($x:expr, $y:expr) => {
                (f._mm512_shuffle_f64x2::<0x88>($x, $y), f._mm512_shuffle_f64x2::<0xdd>($x, $y))
            };
        }
        let ((r0, r1), (r2, r3), (r4, r5), (r6, r7)) = (rows!(0), rows!(2), rows!(4), rows!(6));
        // aXY holds columns X and Y of rows 0 to 3; bXY holds those of rows 4 to 7.
        let ((a04, a26), (b04, b26)) = (lanes!(r0, r2), lanes!(r4, r6));
        let ((a15, a37), (b15, b37)) = (lanes!(r1, r3), lanes!(r5, r7));
        let ((c0, c4), (c2, c6)) = (lanes!(a04, b04), lanes!(a26, b26));
        let ((c1, c5), (c3, c7)) = (lanes!(a15, b15), lanes!(a37, b37));
        [cast(c0), cast(c1), cast(c2), cast(c3), cast(c4), cast(c5), cast(c6), cast(c7)]
    }

    #[inline(always)]
    fn permute(self, v: f64x8, lanes: &[u64; 8]) -> f64x8 {
        cast(self.0.avx512f._mm512_permutexvar_epi32(cast(*lanes), cast(v)))
    }
}
