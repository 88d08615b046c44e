//! Pointwise arithmetic modulo q on N centred residues, which may be coefficients or values.

use core::ops::Range;

use super::NttTable;
use crate::Modulus;
use crate::simd::{Lanes, MAX_TERMS, SUMS, Sums, Task, array};

/// Defines an operation that overwrites each vector of `a` with a function of it, of the same
/// vector of each further slice and of a constant, if there is one. The result is stored reduced.
/// The constant is centred and comes with its quotient by q.
macro_rules! assign {
    (
        $(#[$doc:meta])* $name:ident($($slice:ident)* $(; $constant:ident)?),
        |$simd:ident, $q:ident, $a:ident| $body:expr
    ) => {
        $(#[$doc])*
        ///
        /// # Panics
        /// If a length is not N.
        #[track_caller]
        pub fn $name(&self, a: &mut [f64] $(, $slice: &[f64])* $(, $constant: u64)?) {
            struct Op<'a> {
                table: &'a NttTable,
                a: &'a mut [f64],
                $($slice: &'a [f64],)*
                $($constant: [f64; 2],)?
            }
            impl Task for Op<'_> {
                type Output = ();
                #[inline(always)]
                fn run<const L: usize, S: Lanes<L>>(self, $simd: S) {
                    let $q = $simd.modulus(&self.table.modulus);
                    let out = self.a.as_chunks_mut::<L>().0;
                    // All slices are cut to one common length, so that the loop contains no index
                    // checks.
                    $(let $slice = &self.$slice.as_chunks::<L>().0[..out.len()];)*
                    $(let $constant = self.$constant;)?
                    for i in 0..out.len() {
                        let $a = $simd.load(&out[i]);
                        $(let $slice = $simd.load(&$slice[i]);)*
                        let [r] = $simd.reduce($q, [$body]);
                        $simd.store(&mut out[i], r);
                    }
                }
            }
            self.check(a.len());
            $(self.check($slice.len());)*
            self.isa.run(Op { table: self, a, $($slice,)* $($constant: self.constant($constant),)? });
        }
    };
}

impl NttTable {
    assign! {
        /// Adds b: a ← a + b.
        add_assign(b), |simd, q, a| simd.add(a, b)
    }
    assign! {
        /// Subtracts b: a ← a − b.
        sub_assign(b), |simd, q, a| simd.sub(a, b)
    }
    assign! {
        /// Subtracts a from b: a ← b − a.
        sub_reverse_assign(b), |simd, q, a| simd.sub(b, a)
    }
    assign! {
        /// Multiplies by b: a ← a·b.
        mul_assign(b), |simd, q, a| simd.mul(q, [a], [b])[0]
    }
    assign! {
        /// Adds a product: a ← a + b·c.
        mul_add_assign(b c), |simd, q, a| simd.add(a, simd.mul(q, [b], [c])[0])
    }
    assign! {
        /// Multiplies by a constant residue c in [0, q): a ← a·c.
        mul_scalar_assign(; c), |simd, q, a| simd.mul_const(q, [a], [simd.multiplier(c)])[0]
    }
    assign! {
        /// Adds b times a constant residue c in [0, q): a ← a + b·c.
        mul_scalar_add_assign(b; c), |simd, q, a| simd.add(a, simd.mul_const(q, [b], [simd.multiplier(c)])[0])
    }
    assign! {
        /// Adds a constant residue c in [0, q): a ← a + c. In [`Eval`](crate::Eval) form this adds
        /// the constant polynomial c.
        add_scalar_assign(; c), |simd, q, a| simd.add(a, simd.splat(c[0]))
    }
    assign! {
        /// Subtracts b and multiplies by a constant residue c in [0, q): a ← (a − b)·c.
        /// This is the last step of ModDown and of rescaling.
        sub_mul_scalar_assign(b; c), |simd, q, a| simd.mul_const(q, [simd.sub(a, b)], [simd.multiplier(c)])[0]
    }

    /// Negates: a ← −a, which is exact without a reduction.
    ///
    /// # Panics
    /// If the length is not N.
    #[track_caller]
    pub fn neg_assign(&self, a: &mut [f64]) {
        self.check(a.len());
        for a in a {
            // 0 − a instead of −a avoids negative zeros.
            *a = 0.0 - *a;
        }
    }

    /// Computes `OUT` sums of products, outₖ ← Σᵢ aᵢ·bₖᵢ, over any number of terms:
    /// with two sums, both halves of a key-switch read their digits once. The sums are accumulated
    /// without reductions, at two fused multiply-adds and two additions a term.
    /// Callers can also pass parts of limbs, to use what is in the cache for several sums.
    ///
    /// # Panics
    /// If lengths differ or are not a multiple of 8, or the lists differ in length.
    #[track_caller]
    pub fn dot_into<const OUT: usize>(&self, out: [&mut [f64]; OUT], a: &[&[f64]], b: [&[&[f64]]; OUT]) {
        self.dot_runs(out, a, b, 1);
    }

    /// Computes sums like [`NttTable::dot_into`], for aᵢ that are constant on runs of `run` values
    /// and hold one value for each run. Polynomials in X^`run`, such as plaintexts with few slots,
    /// have such values. This costs no more than `dot_into` and reads `run` times less of the aᵢ.
    ///
    /// # Panics
    /// If `run` is not a multiple of 8, lengths differ or are not a multiple of `run`,
    /// the length of an aᵢ is not the `run`-th part of the others, or the lists differ in length.
    #[track_caller]
    pub fn dot_repeated_into<const OUT: usize>(
        &self,
        out: [&mut [f64]; OUT],
        a: &[&[f64]],
        b: [&[&[f64]]; OUT],
        run: usize,
    ) {
        assert!(run >= 8 && run.is_multiple_of(8), "runs of {run} values, not of a multiple of 8");
        self.dot_runs(out, a, b, run);
    }

    #[track_caller]
    fn dot_runs<const OUT: usize>(&self, mut out: [&mut [f64]; OUT], a: &[&[f64]], b: [&[&[f64]]; OUT], run: usize) {
        let len = out.first().map_or(0, |out| out.len());
        assert!(len.is_multiple_of(run.max(8)), "sums of {len} values, not of a multiple of {}", run.max(8));
        for b in b {
            assert!(a.len() == b.len(), "{} and {} operands", a.len(), b.len());
            let wrong = b.iter().find(|b| b.len() != len).or(a.iter().find(|a| a.len() != len / run));
            assert!(wrong.is_none(), "{} values for sums of {len}", wrong.map_or(0, |x| x.len()));
        }
        assert!(out.iter().all(|out| out.len() == len), "sums of unequal length");
        if a.is_empty() {
            out.iter_mut().for_each(|out| out.fill(0.0));
        }
        for from in (0..a.len()).step_by(MAX_TERMS) {
            let terms = from..a.len().min(from + MAX_TERMS);
            let (a, b) = (&a[terms.clone()], b.map(|b| &b[terms.clone()]));
            let out = out.each_mut().map(|out| &mut **out);
            macro_rules! run {
                ($($d:literal)*) => {
                    match a.len() {
                        $($d => self.isa.run(Dot::<$d, OUT> {
                            modulus: &self.modulus,
                            out,
                            a: core::array::from_fn(|i| a[i]),
                            b: b.map(|b| core::array::from_fn(|i| b[i])),
                            add: from > 0,
                            run,
                        }),)*
                        _ => unreachable!("chunks have 1 to {MAX_TERMS} terms"),
                    }
                };
            }
            run!(1 2 3 4 5 6 7 8);
        }
    }

    /// Multiplies like [`NttTable::mul_assign`], on canonical residues in [0, q).
    ///
    /// # Panics
    /// If a length is not N.
    #[track_caller]
    pub fn mul_assign_u64(&self, a: &mut [u64], b: &[u64]) {
        struct Op<'a>(&'a NttTable, &'a mut [f64], &'a [f64]);
        impl Task for Op<'_> {
            type Output = ();
            #[inline(always)]
            fn run<const L: usize, S: Lanes<L>>(self, simd: S) {
                let q = simd.modulus(&self.0.modulus);
                for (x, b) in self.1.as_chunks_mut::<L>().0.iter_mut().zip(self.2.as_chunks::<L>().0) {
                    // The second factor has to be centred.
                    let b = simd.reduce(q, [simd.load_u64(b)]);
                    let [r] = simd.mul(q, [simd.load_u64(x)], b);
                    simd.store_u64(q, x, r);
                }
            }
        }
        self.check(a.len());
        self.check(b.len());
        self.isa.run(Op(self, bytemuck::cast_slice_mut(a), bytemuck::cast_slice(b)));
    }

    /// Writes the canonical residues in [0, q) of integral |a| ≤ 2^53 to `out`.
    ///
    /// # Panics
    /// If a length is not N.
    #[track_caller]
    pub fn to_u64(&self, a: &[f64], out: &mut [u64]) {
        struct Op<'a>(&'a NttTable, &'a [f64], &'a mut [f64]);
        impl Task for Op<'_> {
            type Output = ();
            #[inline(always)]
            fn run<const L: usize, S: Lanes<L>>(self, simd: S) {
                let q = simd.modulus(&self.0.modulus);
                for (a, out) in self.1.as_chunks::<L>().0.iter().zip(self.2.as_chunks_mut::<L>().0) {
                    simd.store_u64(q, out, simd.load(a));
                }
            }
        }
        self.check(a.len());
        self.check(out.len());
        self.isa.run(Op(self, a, bytemuck::cast_slice_mut(out)));
    }

    /// Writes the centred residues of canonical a in [0, q) to `out`. Any a below 2^52 is accepted.
    ///
    /// # Panics
    /// If a length is not N.
    #[track_caller]
    pub fn from_u64(&self, a: &[u64], out: &mut [f64]) {
        struct Op<'a>(&'a NttTable, &'a [f64], &'a mut [f64]);
        impl Task for Op<'_> {
            type Output = ();
            #[inline(always)]
            fn run<const L: usize, S: Lanes<L>>(self, simd: S) {
                let q = simd.modulus(&self.0.modulus);
                for (a, out) in self.1.as_chunks::<L>().0.iter().zip(self.2.as_chunks_mut::<L>().0) {
                    let [r] = simd.reduce(q, [simd.load_u64(a)]);
                    simd.store(out, r);
                }
            }
        }
        self.check(a.len());
        self.check(out.len());
        self.isa.run(Op(self, bytemuck::cast_slice(a), out));
    }

    /// Returns the centred constant and its quotient by q.
    pub(crate) fn constant(&self, c: u64) -> [f64; 2] {
        let w = self.modulus.centre(self.modulus.reduce(c)) as f64;
        [w, w / self.modulus.as_f64()]
    }
}

/// Sums of at most [`MAX_TERMS`] terms. Their number is a constant so that all slices stay in
/// registers.
struct Dot<'a, const D: usize, const OUT: usize> {
    modulus: &'a Modulus,
    out: [&'a mut [f64]; OUT],
    a: [&'a [f64]; D],
    b: [[&'a [f64]; D]; OUT],
    /// Whether to add to the contents of `out`.
    add: bool,
    /// The number of values of b that each value of a stands for.
    run: usize,
}

impl<const D: usize, const OUT: usize> Task for Dot<'_, D, OUT> {
    type Output = ();

    #[inline(always)]
    fn run<const L: usize, S: Lanes<L>>(mut self, simd: S) {
        let vectors = self.b.first().map_or(0, |b| b[0].len() / L);
        let mut sums = array!(OUT, |_k| Sums::new(simd));
        if self.run == 1 {
            for from in (0..vectors).step_by(SUMS) {
                self.vectors(simd, None, from..vectors.min(from + SUMS), &mut sums);
            }
            return;
        }
        let length = self.run / L;
        for run in 0..vectors / length {
            let terms = array!(D, |j| simd.splat(self.a[j][run]));
            let end = (run + 1) * length;
            for from in (run * length..end).step_by(SUMS) {
                self.vectors(simd, Some(terms), from..end.min(from + SUMS), &mut sums);
            }
        }
    }
}

impl<const D: usize, const OUT: usize> Dot<'_, D, OUT> {
    /// Computes these vectors of the sums. `terms` holds the values of the a if they are the same
    /// for all vectors.
    #[inline(always)]
    fn vectors<const L: usize, S: Lanes<L>>(
        &mut self,
        simd: S,
        terms: Option<[S::V; D]>,
        vectors: Range<usize>,
        sums: &mut [Sums<S::Acc>; OUT],
    ) {
        let q = simd.modulus(self.modulus);
        // All slices are cut to one common length, so that the loop contains no index checks.
        let b = array!(OUT, |k| array!(D, |j| &self.b[k][j].as_chunks::<L>().0[vectors.clone()]));
        let a = match terms {
            Some(_) => [&[][..]; D],
            None => array!(D, |j| &self.a[j].as_chunks::<L>().0[vectors.clone()]),
        };
        for i in 0..vectors.len() {
            let terms = match terms {
                Some(terms) => terms,
                None => array!(D, |j| simd.load(&a[j][i])),
            };
            for (sums, b) in sums.iter_mut().zip(&b) {
                let mut acc = simd.acc_first(terms[0], simd.load(&b[0][i]));
                for j in 1..D {
                    acc = simd.acc_mul(acc, terms[j], simd.load(&b[j][i]));
                }
                sums.0[i] = acc;
            }
        }
        for (sums, out) in sums.iter().zip(&mut self.out) {
            let out = &mut out.as_chunks_mut::<L>().0[vectors.clone()];
            for (acc, out) in sums.0.iter().zip(out) {
                let mut sum = simd.acc_finish(q, [*acc]);
                if self.add {
                    sum = simd.reduce(q, [simd.add(sum[0], simd.load(out))]);
                }
                simd.store(out, sum[0]);
            }
        }
    }
}
