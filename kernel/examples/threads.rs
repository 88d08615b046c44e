//! Shows how callers spread a key-switch over cores, using that every step works on disjoint limbs:
//! `cargo run --release --example threads`.
//!
//! Scoped threads stand for whatever thread pool the caller has. The result is the same as on one
//! thread, bit for bit.

use std::thread::scope;

use hetal_kernel::packed::Finish;
use hetal_kernel::rns::GROUP;
use hetal_kernel::{Coeff, Error, Eval, Gadget, KeySwitchKey, RnsBasis, RnsPoly, Scratch, primes, sampler};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

fn main() -> Result<(), Error> {
    let (log_n, limbs, special, alpha) = (14, 6, 2, 2);
    let moduli = primes::below_bits(log_n, 50, limbs + special)?;
    let gadget =
        Gadget::new(&RnsBasis::new(log_n, &moduli[..limbs])?, &RnsBasis::new(log_n, &moduli[limbs..])?, alpha)?;
    let (n, all, digits) = (1 << log_n, limbs + special, gadget.digits(limbs));

    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let mut small = vec![0; n];
    sampler::ternary_into(&mut rng, &mut small);
    let secret = RnsPoly::<Coeff>::from_small(&small, all).into_eval(gadget.qp());
    let key = KeySwitchKey::relinearisation(&gadget, secret.view(), &mut rng);
    let mut c = RnsPoly::<Eval>::zero(n, limbs);
    c.limbs_mut().enumerate().for_each(|(i, limb)| sampler::uniform_into(&moduli[i], &mut rng, limb));

    // Prepare: the coefficients of every limb, then the overflow of every digit.
    let mut prepared = RnsPoly::<Coeff>::zero(n, limbs);
    let mut overflow = RnsPoly::<Coeff>::zero(n, digits);
    scope(|s| {
        for (i, limb) in prepared.limbs_mut().enumerate() {
            let (gadget, c) = (&gadget, c.view());
            s.spawn(move || gadget.prepare_limb(limbs, i, c.limb(i), limb));
        }
    });
    scope(|s| {
        for (d, v) in overflow.limbs_mut().enumerate() {
            let (gadget, prepared) = (&gadget, prepared.view());
            s.spawn(move || gadget.overflow_limb(prepared, d, 0, v));
        }
    });

    // ModUp and inner product: each task handles one group of limbs modulo QP.
    let (mut b, mut a) = (RnsPoly::<Eval>::zero(n, all), RnsPoly::<Eval>::zero(n, all));
    scope(|s| {
        let (mut b_limbs, mut a_limbs) = (b.limbs_mut(), a.limbs_mut());
        for group in gadget.groups(limbs) {
            let b: Vec<_> = b_limbs.by_ref().take(group.len()).collect();
            let a: Vec<_> = a_limbs.by_ref().take(group.len()).collect();
            let (gadget, key, c, prepared, overflow) = (&gadget, &key, c.view(), prepared.view(), overflow.view());
            s.spawn(move || {
                let lifted: Vec<_> = (0..digits)
                    .map(|d| {
                        if group.start / alpha == d && group.start < limbs {
                            return c.range(group.start, group.end).to_owned();
                        }
                        let mut out = RnsPoly::zero(n, group.len());
                        gadget.digit_limbs(prepared, overflow.limb(d), d, group.start, &mut out.view_mut());
                        out
                    })
                    .collect();
                for (i, (b, a)) in b.into_iter().zip(a).enumerate() {
                    let digits: Vec<_> = lifted.iter().map(|digit| digit.limb(i)).collect();
                    let at = gadget.qp_index(limbs, group.start + i);
                    for (part, out) in [b, a].into_iter().enumerate() {
                        key.accumulate_limb(gadget, at, part, &digits, Finish::default(), out);
                    }
                }
            });
        }
    });

    // ModDown: the division by P.
    let down = gadget.mod_down();
    for sum in [&mut b, &mut a] {
        let (mut kept, mut dropped) = sum.view_mut().split_at(limbs);
        scope(|s| {
            for (i, limb) in dropped.reborrow().into_limbs_mut().enumerate() {
                s.spawn(move || down.prepare_limb(i, limb));
            }
        });
        let dropped = dropped.assume_domain::<Coeff>();
        let mut v = vec![0.0; n];
        down.overflow_into(dropped.view(), 0, &mut v);
        scope(|s| {
            for (first, mut group) in kept.groups_mut(GROUP) {
                let (dropped, v) = (dropped.view(), &v);
                s.spawn(move || {
                    let mut scratch = RnsPoly::zero(n, GROUP);
                    down.finish_limbs(first, dropped, v, &mut group, &mut scratch.view_mut());
                });
            }
        });
        sum.truncate(limbs);
    }

    // The same key-switch on one thread, for comparison.
    let (mut b1, mut a1) = (RnsPoly::<Eval>::zero(n, all), RnsPoly::<Eval>::zero(n, all));
    let mut scratch = Scratch::new(gadget.switch_scratch_len(limbs));
    gadget.switch(c.view(), &key, [&mut b1.view_mut(), &mut a1.view_mut()], &mut scratch);
    b1.truncate(limbs);
    a1.truncate(limbs);
    assert!(b == b1 && a == a1);
    println!("key-switch of {limbs} limbs in {digits} digits on threads: equal to the sequential one bit for bit");
    Ok(())
}
