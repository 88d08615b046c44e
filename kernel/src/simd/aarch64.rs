//! NEON (two lanes), through pulp's safe token.

use pulp::aarch64::Neon as Token;
use pulp::{Simd, cast, f64x2};

use super::float::{FloatLanes, pulp_call, pulp_float_ops};
use super::lane_index;

#[derive(Clone, Copy)]
pub(super) struct Neon(Token);

pulp_call!(NeonCall, Token, Neon);

impl FloatLanes<2> for Neon {
    pulp_float_ops!(2, f64x2);

    #[inline(always)]
    fn round(self, a: f64x2) -> f64x2 {
        cast(self.0.neon.vrndnq_f64(cast(a)))
    }

    #[inline(always)]
    fn shift_bits_right(self, a: f64x2, n: u32) -> f64x2 {
        // NEON shifts to the right by shifting to the left by a negative number.
        cast(self.0.neon.vshlq_u64(cast(a), cast([-i64::from(n); 2])))
    }

    #[inline(always)]
    fn transpose(self, [a, b]: [f64x2; 2]) -> [f64x2; 2] {
        let neon = self.0.neon;
        [cast(neon.vzip1q_f64(cast(a), cast(b))), cast(neon.vzip2q_f64(cast(a), cast(b)))]
    }

    #[inline(always)]
    fn permute(self, v: f64x2, lanes: &[u64; 2]) -> f64x2 {
        let v: [f64; 2] = cast(v);
        cast(lanes.map(|lane| v[lane_index(lane) % 2]))
    }
}
