use hetal_kernel::{Error, Isa, NttTable};

use crate::input::{Input, PRIMES, Pattern, modulus};
use crate::oracle::{add, evaluate, mul, negacyclic, pow, residue, residues, sub};

/// Transforms, products and pointwise arithmetic of one ring against the definitions.
///
/// Input: the ISA, log2 of the degree − 4, the prime, the code of a constant, two slots to look at,
/// the number of terms of a sum of products, and the patterns of two polynomials.
///
/// # Panics
/// If the kernel is wrong.
pub fn ntt(data: &[u8]) {
    let mut input = Input::new(data);
    let isa = input.isa();
    let log_n = 4 + input.below(5) as u32;
    let (n, q) = (1usize << log_n, PRIMES[input.below(PRIMES.len())]);
    let has_root = q % (2 * n as u64) == 1;
    let table = match NttTable::with_isa(modulus(q), log_n, isa) {
        Ok(table) => table,
        Err(error) => {
            assert_eq!((error, has_root), (Error::NoRootOfUnity { modulus: q, log_n }, false));
            return;
        }
    };
    assert!(has_root, "a table of degree {n} modulo {q}");
    let psi = table.modulus().root_of_unity(log_n).expect("there is a table");
    assert_eq!(pow(psi, n as u64, q), q - 1, "{psi} is no primitive 2^{}-th root modulo {q}", log_n + 1);
    let ring = Ring { table, q, n, psi };

    let c = Input::new(&[0, 0, input.byte()]).pattern().residue(0, 0, q);
    let slots = [input.below(n), input.below(n)];
    let terms = input.below(20);
    let (a, b) = (input.pattern(), input.pattern());
    ring.products(&a, &b, slots);
    ring.inverses(&a, c, slots);
    ring.pointwise(&a, &b, c);
    ring.sums_of_products(&a, &b, terms);
}

struct Ring {
    table: NttTable,
    q: u64,
    n: usize,
    psi: u64,
}

impl Ring {
    fn canonical(&self, a: &Pattern) -> Vec<u64> {
        (0..self.n).map(|i| a.residue(i, 0, self.q)).collect()
    }

    fn centred(&self, a: &Pattern, j: usize) -> Vec<f64> {
        (0..self.n).map(|i| a.centred(i, j, self.q)).collect()
    }

    /// Returns the value that the definition puts into a slot of the transform of a.
    fn slot(&self, a: &[u64], slot: usize) -> u64 {
        let bits = self.n.trailing_zeros();
        let reversed = (0..bits).fold(0, |r, k| 2 * r + (slot >> k) as u64 % 2);
        evaluate(a, pow(self.psi, 2 * reversed + 1, self.q), self.q)
    }

    /// Checks forward and inverse transforms in both number formats, and a product in between.
    fn products(&self, a: &Pattern, b: &Pattern, slots: [usize; 2]) {
        let (table, q) = (&self.table, self.q);
        let integers = [a, b].map(|x| self.canonical(x));
        let mut floats = [a, b].map(|x| (0..self.n).map(|i| x.forward_input(i, 0, self.q)).collect::<Vec<_>>());
        let mut words = integers.clone();
        for ((float, word), integer) in floats.iter_mut().zip(&mut words).zip(&integers) {
            let before = float.clone();
            table.forward(float);
            table.forward_u64(word);
            assert_eq!(residues(float, q), *word, "forward and forward_u64");
            for slot in slots {
                assert_eq!(word[slot], self.slot(integer, slot), "slot {slot}");
            }
            self.compare_portable(&before, float, NttTable::forward);

            let (mut float, mut word) = (float.clone(), word.clone());
            table.inverse(&mut float);
            table.inverse_u64(&mut word);
            assert_eq!(residues(&float, q), *integer, "forward and back");
            assert_eq!(word, *integer, "forward and back in u64");
        }

        let [mut float, factor] = floats;
        table.mul_assign(&mut float, &factor);
        let [mut word, factor] = words;
        table.mul_assign_u64(&mut word, &factor);
        assert_eq!(residues(&float, q), word, "mul_assign and mul_assign_u64");
        table.inverse(&mut float);
        table.inverse_u64(&mut word);
        let expected = negacyclic(&integers[0], &integers[1], q);
        assert_eq!(residues(&float, q), expected, "product");
        assert_eq!(word, expected, "product in u64");
    }

    /// Checks inverse transforms of values that no forward transform gives, without and with a
    /// constant.
    fn inverses(&self, a: &Pattern, c: u64, slots: [usize; 2]) {
        let (table, q) = (&self.table, self.q);
        let before: Vec<_> = (0..self.n).map(|i| a.any_representative(i, 0, self.q)).collect();
        let values = self.canonical(a);
        let (mut float, mut word) = (before.clone(), values.clone());
        table.inverse(&mut float);
        table.inverse_u64(&mut word);
        assert_eq!(residues(&float, q), word, "inverse and inverse_u64");
        for slot in slots {
            assert_eq!(self.slot(&word, slot), values[slot], "slot {slot} of an inverse");
        }
        self.compare_portable(&before, &float, NttTable::inverse);

        let mut scaled = before.clone();
        table.inverse_scaled(&mut scaled, &table.inverse_scale(c));
        let expected: Vec<_> = word.iter().map(|&x| mul(x, c, q)).collect();
        assert_eq!(residues(&scaled, q), expected, "inverse times {c}");
        self.compare_portable(&before, &scaled, |table, x| table.inverse_scaled(x, &table.inverse_scale(c)));
    }

    /// Checks that the portable lanes model all others of their number bit for bit.
    fn compare_portable(&self, before: &[f64], after: &[f64], f: impl Fn(&NttTable, &mut [f64])) {
        if self.table.isa().lanes() != Isa::PORTABLE.lanes() {
            return;
        }
        let portable = NttTable::with_isa(*self.table.modulus(), self.table.log_n(), Isa::PORTABLE).expect("as before");
        let mut x = before.to_vec();
        f(&portable, &mut x);
        let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&x), bits(after), "portable lanes and others of their number");
    }

    /// Checks the pointwise operations, coefficient by coefficient.
    fn pointwise(&self, a: &Pattern, b: &Pattern, c: u64) {
        let (table, q) = (&self.table, self.q);
        let (x, y, z) = (self.centred(a, 0), self.centred(b, 0), self.centred(b, 1));
        let [rx, ry, rz] = [&x, &y, &z].map(|x| residues(x, q));
        let check = |name: &str, f: &dyn Fn(&mut [f64]), expected: &dyn Fn(u64, u64, u64) -> u64| {
            let mut out = x.clone();
            f(&mut out);
            for (i, out) in residues(&out, q).into_iter().enumerate() {
                let (x, y, z) = (rx[i], ry[i], rz[i]);
                assert_eq!(out, expected(x, y, z), "{name} of {x}, {y}, {z} and {c} modulo {q}");
            }
        };
        check("add", &|x| table.add_assign(x, &y), &|x, y, _| add(x, y, q));
        check("sub", &|x| table.sub_assign(x, &y), &|x, y, _| sub(x, y, q));
        check("sub_reverse", &|x| table.sub_reverse_assign(x, &y), &|x, y, _| sub(y, x, q));
        check("neg", &|x| table.neg_assign(x), &|x, _, _| sub(0, x, q));
        check("mul", &|x| table.mul_assign(x, &y), &|x, y, _| mul(x, y, q));
        check("mul_add", &|x| table.mul_add_assign(x, &y, &z), &|x, y, z| add(x, mul(y, z, q), q));
        check("mul_scalar", &|x| table.mul_scalar_assign(x, c), &|x, _, _| mul(x, c, q));
        check("add_scalar", &|x| table.add_scalar_assign(x, c), &|x, _, _| add(x, c, q));
        check("sub_mul_scalar", &|x| table.sub_mul_scalar_assign(x, &y, c), &|x, y, _| mul(sub(x, y, q), c, q));

        // These are up to the largest values that the conversions document.
        let large: Vec<_> = (0..self.n).map(|i| self.large(a, i)).collect();
        let mut words = vec![u64::MAX; self.n];
        table.to_u64(&large, &mut words);
        assert_eq!(words, large.iter().map(|&x| residue(x, q)).collect::<Vec<_>>(), "to_u64 modulo {q}");
        let large: Vec<_> = large.iter().map(|x| x.abs() as u64 % (1 << 52)).collect();
        let mut floats = vec![f64::NAN; self.n];
        table.from_u64(&large, &mut floats);
        assert_eq!(residues(&floats, q), large.iter().map(|&x| x % q).collect::<Vec<_>>(), "from_u64 modulo {q}");
    }

    /// Returns an integer up to ±2^53.
    fn large(&self, a: &Pattern, i: usize) -> f64 {
        let x = a.residue(i, 0, (1 << 53) + 1) as f64;
        if a.code(i) & 64 == 0 { x } else { -x }
    }

    fn sums_of_products(&self, a: &Pattern, b: &Pattern, terms: usize) {
        let q = self.q;
        let x: Vec<_> = (0..terms).map(|t| self.centred(a, t)).collect();
        let y = [0, 100].map(|from| (0..terms).map(|t| self.centred(b, from + t)).collect::<Vec<_>>());
        let mut out = [vec![f64::NAN; self.n], vec![f64::NAN; self.n]];
        let (xs, ys) = (slices(&x), y.each_ref().map(|y| slices(y)));
        self.table.dot_into(out.each_mut().map(Vec::as_mut_slice), &xs, ys.each_ref().map(Vec::as_slice));
        for (out, y) in out.iter().zip(&y) {
            for (i, out) in residues(out, q).into_iter().enumerate() {
                let products = x.iter().zip(y).map(|(x, y)| mul(residue(x[i], q), residue(y[i], q), q));
                assert_eq!(out, products.fold(0, |sum, p| add(sum, p, q)), "{terms} terms at {i} modulo {q}");
            }
        }
    }
}

fn slices(x: &[Vec<f64>]) -> Vec<&[f64]> {
    x.iter().map(Vec::as_slice).collect()
}
