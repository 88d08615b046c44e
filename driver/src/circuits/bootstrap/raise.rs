//! Raising the modulus from q_0 to q_0 ⋯ q_L, through the sparse secret.

use hetal_kernel::{Coeff, Eval, RnsPoly};

use crate::base::error::Result;
use crate::base::parallel::for_each;
use crate::circuits::Cost;
use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::eval::Evaluator;
use crate::ckks::keys::EncapsulationKeys;
use crate::ckks::params::{GadgetShape, Parameters};

/// The cost of raising: a key switch of one limb,
/// the transforms of both parts to all limbs and p_0, and the division by p_0.
pub(super) fn cost(params: &Parameters) -> Cost {
    let limbs = params.max_level() + 1;
    let lifted = 2 * limbs as u64 + 1;
    Cost::key_switch(0, GadgetShape { special: 1, alpha: 1 }, 0)
        + Cost { transforms: 2 + lifted, products: lifted, key_switches: 1, key_limbs: lifted + 1, ..Cost::default() }
        + Cost::division(2, limbs, 1)
}

impl Evaluator {
    /// Returns m mod q_0 as m + q_0·I modulo q_0 ⋯ q_L,
    /// where I is as small as the sparse secret makes it. The input is taken down to level 0;
    /// the scale and the number of slots stay the same.
    pub(super) fn raise(&self, a: &Ciphertext, keys: &EncapsulationKeys) -> Result<Ciphertext> {
        let params = self.params();
        let gadget = EncapsulationKeys::gadget(params)?;
        let (n, limbs) = (params.n(), params.max_level() + 1);
        // The ciphertext under the sparse secret.
        let mut switched = [RnsPoly::<Eval>::zero(n, 2), RnsPoly::<Eval>::zero(n, 2)];
        self.pool.with(gadget.switch_scratch_len(1), |scratch| {
            let [b, a_out] = switched.each_mut();
            gadget.switch(a.parts[1].prefix(1), &keys.to_sparse, [&mut b.view_mut(), &mut a_out.view_mut()], scratch);
        });
        let [mut b, mut a_part] = switched;
        b.truncate(1);
        a_part.truncate(1);
        b.view_mut().add_assign(params.qp(), a.parts[0].prefix(1));
        // Lifts the integers nearest to 0 to all primes.
        // c_1 is a digit for the switch back to the usual secret, while c_0 is only raised.
        let [small_b, small_a] = [b, a_part].map(|part| part.into_coeff(params.qp()));
        let lift = |small: &RnsPoly<Coeff>, i: usize, out: &mut [f64]| {
            let table = params.qp().table(i);
            out.copy_from_slice(small.limb(0));
            table.mul_scalar_assign(out, 1);
            table.forward(out);
        };
        let mut parts = vec![self.spares.take(n, limbs + 1), self.spares.take(n, limbs + 1)];
        let [b, a_out] = &mut parts[..] else { unreachable!("two parts") };
        let p = params.qp().modulus(limbs).value();
        for_each(b.limbs_mut().zip(a_out.limbs_mut()), |i, (b, a_out)| {
            let table = params.qp().table(i);
            // Computes c_1·(b, a) + (p_0·c_0, 0). Modulo p_0 the second term vanishes.
            if i < limbs {
                lift(&small_b, i, b);
                table.mul_scalar_assign(b, table.modulus().reduce(p));
            } else {
                b.fill(0.0);
            }
            lift(&small_a, i, a_out);
            table.mul_add_assign(b, a_out, keys.b.limb(i));
            table.mul_assign(a_out, keys.a.limb(i));
        });
        let mut views: Vec<_> = parts.iter_mut().map(RnsPoly::view_mut).collect();
        self.divide(&params.divider(limbs, limbs, 1), &mut views);
        parts.iter_mut().for_each(|part| part.reshape(limbs));
        let (hash, generation) = (a.hash, a.generation);
        Ok(Ciphertext { hash, generation, parts: self.parts(parts), scale: a.scale, log_slots: a.log_slots })
    }
}
