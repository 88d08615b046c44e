//! Tests of random programs: 200 operations run on ciphertexts and on plain vectors side by side.
//! After each of them, the difference is within the bound that the model of the noise gives; at the
//! end, it is not far below it.

mod common;

use common::model::{Model, Tracked};
use common::*;
use hetal::Complex64;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

/// The number of ciphertexts to choose operands from.
const POOL: usize = 8;
/// Results with larger values are dropped: level 0 holds values up to 2^9 at its scale.
const LARGEST: f64 = 32.0;

struct Program<'a> {
    model: Model<'a>,
    rng: ChaCha20Rng,
    pool: Vec<Tracked>,
    slots: usize,
    top: usize,
    /// How often each operation ran.
    counts: Vec<(&'static str, usize)>,
}

impl Program<'_> {
    fn fresh(&mut self, level: usize) -> Tracked {
        let values = random(&mut self.rng, self.slots);
        self.model.fresh(&values, level, &mut self.rng)
    }

    fn pick(&mut self) -> Tracked {
        let i = below(&mut self.rng, self.pool.len());
        self.pool[i].clone()
    }

    /// Returns an operand with at least this many levels: a fresh one if the one chosen has run out
    /// of them.
    fn pick_with(&mut self, levels: usize) -> Tracked {
        let x = self.pick();
        if x.ct.level() >= levels {
            return x;
        }
        let level = levels + below(&mut self.rng, self.top + 1 - levels);
        self.fresh(level)
    }

    /// Returns x at a lower level and at its nominal scale.
    fn adjust(&mut self, x: &Tracked, level: usize) -> Tracked {
        let setup = self.model.setup;
        let ct = setup.evaluator.adjust(&x.ct, level, setup.params.scale(level)).expect("a lower level");
        self.model.adjusted(ct, x)
    }

    /// Returns the operands at the level of the lowest one.
    fn align<const COUNT: usize>(&mut self, operands: [Tracked; COUNT]) -> [Tracked; COUNT] {
        let level = operands.iter().map(|x| x.ct.level()).min().expect("operands");
        operands.map(|x| self.adjust(&x, level))
    }

    fn constant(&mut self) -> Complex64 {
        let (re, im) = (unit(&mut self.rng), unit(&mut self.rng));
        // Real constants take another code path in the evaluator.
        Complex64::new(re, if self.rng.next_u64() & 1 == 0 { im } else { 0.0 })
    }

    /// Runs one random operation and returns its name and result.
    fn step(&mut self) -> (&'static str, Tracked) {
        let setup = self.model.setup;
        let (ev, params) = (&setup.evaluator, &setup.params);
        let full = params.slots();
        // The scale of a factor that brings x to the nominal scale of the next level when it is
        // rescaled.
        let factor = |x: &Tracked| {
            let level = x.ct.level();
            params.scale(level - 1) * (params.q(level).as_f64() / x.ct.scale())
        };
        match below(&mut self.rng, 17) {
            0 => {
                let operands = [self.pick(), self.pick()];
                let [a, b] = self.align(operands);
                ("add", self.model.sum(ev.add(&a.ct, &b.ct).expect("add"), &a, &b, 1.0))
            }
            1 => {
                let operands = [self.pick(), self.pick()];
                let [a, b] = self.align(operands);
                ("sub", self.model.sum(ev.sub(&a.ct, &b.ct).expect("sub"), &a, &b, -1.0))
            }
            2 => {
                let (x, values) = (self.pick(), random(&mut self.rng, self.slots));
                let plain = setup.encoder.encode(&values, x.ct.level(), x.ct.scale()).expect("a plaintext");
                let ct = ev.add_plain(&x.ct, &plain).expect("add_plain");
                ("add_plain", self.model.add_plain(ct, &x, &repeated(&values, full)))
            }
            3 => {
                let (x, c) = (self.pick(), self.constant());
                ("add_constant", self.model.add_constant(ev.add_constant(&x.ct, c).expect("add_constant"), &x, c))
            }
            4 => {
                let (x, values) = (self.pick_with(1), random(&mut self.rng, self.slots));
                let scale = factor(&x);
                let plain = setup.encoder.encode(&values, x.ct.level(), scale).expect("a plaintext");
                let product = ev.mul_plain(&x.ct, &plain).expect("mul_plain");
                let product = self.model.mul_plain(product, &x, &repeated(&values, full), scale);
                ("mul_plain", self.model.rescaled(ev.rescale(&product.ct).expect("rescale"), &product))
            }
            5 => {
                let (x, c) = (self.pick_with(1), self.constant());
                let scale = factor(&x);
                let product = ev.mul_constant(&x.ct, c, scale).expect("mul_constant");
                let product = self.model.mul_constant(product, &x, c, scale);
                ("mul_constant", self.model.rescaled(ev.rescale(&product.ct).expect("rescale"), &product))
            }
            6 => {
                // Two primes are divided out at once, after a product with a constant whose scale
                // is about the product of both.
                let (x, c) = (self.pick_with(2), self.constant());
                let level = x.ct.level();
                let q = params.q(level).as_f64() * params.q(level - 1).as_f64();
                let scale = params.scale(level - 2) * (q / x.ct.scale());
                let mut ct = ev.mul_constant(&x.ct, c, scale).expect("mul_constant");
                let product = self.model.mul_constant(ct.clone(), &x, c, scale);
                ev.rescale_by_assign(&mut ct, 2).expect("rescale_by");
                ("rescale_by", self.model.rescaled(ct, &product))
            }
            7 | 8 => {
                let operands = [self.pick_with(1), self.pick_with(1)];
                let [a, b] = self.align(operands);
                let ct = ev.mul_rescale(&a.ct, &b.ct).expect("mul_rescale");
                ("mul_rescale", self.model.mul(ct, &[(&a, &b)], a.ct.level(), true))
            }
            9 => {
                let operands = [self.pick_with(1), self.pick_with(1)];
                let [a, b] = self.align(operands);
                let ct = ev.rescale(&ev.mul(&a.ct, &b.ct).expect("mul")).expect("rescale");
                ("mul", self.model.mul(ct, &[(&a, &b)], a.ct.level(), false))
            }
            10 => {
                let operands = std::array::from_fn(|_| self.pick_with(1));
                let [a, b, c, d, e] = self.align(operands);
                let pairs = [(&a, &b), (&c, &d), (&e, &e)];
                let lazy = ev.dot_lazy(&pairs.map(|(a, b)| (&a.ct, &b.ct))).expect("dot_lazy");
                let ct = ev.relinearise_rescale(&lazy).expect("relinearise_rescale");
                ("dot_lazy", self.model.mul(ct, &pairs, a.ct.level(), true))
            }
            11 => {
                let keyed = rotations(params);
                let (x, k) = (self.pick(), keyed[below(&mut self.rng, keyed.len())]);
                ("rotate", self.model.automorphism(ev.rotate(&x.ct, k).expect("rotate"), &x, Some(k)))
            }
            12 => {
                let x = self.pick();
                ("conjugate", self.model.automorphism(ev.conjugate(&x.ct).expect("conjugate"), &x, None))
            }
            13 => {
                let x = self.pick();
                ("mul_i", self.model.exact(ev.mul_i(&x.ct).expect("mul_i"), &x, |z| z * Complex64::I))
            }
            14 => {
                let x = self.pick();
                ("negate", self.model.exact(ev.negate(&x.ct).expect("negate"), &x, |z| -z))
            }
            15 => {
                // The scale stays that of the higher level: only the level changes.
                let x = self.pick();
                let level = below(&mut self.rng, x.ct.level() + 1);
                ("drop_to_level", self.model.exact(ev.drop_to_level(&x.ct, level).expect("drop"), &x, |z| z))
            }
            _ => {
                let x = self.pick_with(1);
                let level = below(&mut self.rng, x.ct.level());
                ("adjust", self.adjust(&x, level))
            }
        }
    }

    /// Brings the scale back to the nominal one of the level, at the price of a level. This is
    /// needed after the levels of one size of primes end, and after a level was dropped. Returns a
    /// fresh ciphertext if no level is left.
    fn normalised(&mut self, x: Tracked) -> Tracked {
        let nominal = self.model.setup.params.scale(x.ct.level());
        if (x.ct.scale() / nominal - 1.0).abs() <= hetal::ckks::ciphertext::SCALE_TOLERANCE {
            return x;
        }
        match x.ct.level() {
            0 => {
                let level = below(&mut self.rng, self.top + 1);
                self.fresh(level)
            }
            level => self.adjust(&x, level - 1),
        }
    }

    /// Returns whether the coefficients stay below Q/2. Larger ones wrap around, as after a drop
    /// from a scale of 2^50 to level 0. No coefficient is larger than the largest slot times the
    /// scale; one bit is left for the noise.
    fn fits(&self, x: &Tracked) -> bool {
        largest(&x.plain).log2() + x.ct.scale().log2() + 2.0 <= self.model.setup.params.log_q(x.ct.level())
    }

    /// Runs a program and returns the quotients of error and bound of the last ciphertexts.
    fn run(&mut self, operations: usize) -> Vec<f64> {
        for _ in 0..POOL {
            let level = below(&mut self.rng, self.top + 1);
            let x = self.fresh(level);
            self.pool.push(x);
        }
        for i in 0..operations {
            let (name, x) = self.step();
            if !self.fits(&x) {
                continue;
            }
            self.model.check(&x, &format!("operation {i}, {name}"));
            match self.counts.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count += 1,
                None => self.counts.push((name, 1)),
            }
            if largest(&x.plain) > LARGEST {
                continue;
            }
            let x = self.normalised(x);
            let at = below(&mut self.rng, POOL);
            self.pool[at] = x;
        }
        self.pool.iter().map(|x| self.model.check(x, "at the end")).collect()
    }
}

fn run(setup: &Setup, seed: u64, slots: usize, top: usize, operations: usize) -> Vec<f64> {
    let model = Model::new(setup, operations + POOL);
    let mut program = Program { model, rng: rng(seed), pool: Vec::new(), slots, top, counts: Vec::new() };
    let quotients = program.run(operations);
    assert!(operations < 200 || program.counts.len() >= 14, "few kinds of operations: {:?}", program.counts);
    quotients
}

/// Asserts that most bounds are within 2^3 of the largest error, so that ten times the error would
/// be noticed. The 6.3 to 7 standard deviations that are allowed are 2.7 times √(ln 512), the
/// largest of 512 circular Gaussians. The rest is for the deviations of dependent errors, which are
/// added instead of their variances, and for the tail of key-switching.
fn check_tightness(quotients: &mut [f64]) {
    quotients.sort_unstable_by(f64::total_cmp);
    let median = quotients[quotients.len() / 2];
    assert!(median >= 1.0 / 8.0, "half of the bounds are above {:.1} times the error", 1.0 / median);
}

/// Programs with keys for every level, each with the digits of that level, against the model of the
/// noise.
#[test]
fn programs_at_all_levels() {
    let setup = Setup::new("test-10", 1, |params| all_keys(params, 0..=params.max_level()));
    let quotients = std::cell::RefCell::new(Vec::new());
    proptest!(config(12), |(seed: u64)| {
        quotients.borrow_mut().extend(run(&setup, seed, 512, 29, 200));
    });
    check_tightness(&mut quotients.into_inner());
}

/// Programs with one key for all levels: on all levels, on the 40-bit levels, and on the lowest
/// ones.
#[test]
fn programs_with_keys_of_the_top_level() {
    let setup = Setup::new("test-11", 2, |params| all_keys(params, [params.max_level()]));
    let mut quotients = Vec::new();
    for (seed, top) in [(1, 29), (2, 17), (3, 3)] {
        quotients.extend(run(&setup, seed, 1024, top, 200));
    }
    check_tightness(&mut quotients);
}

/// Programs on ciphertexts that use fewer slots than the ring has.
#[test]
fn programs_with_few_slots() {
    let setup = Setup::new("test-10", 3, |params| all_keys(params, [params.max_level(), 12]));
    check_tightness(&mut run(&setup, 1, 256, 29, 200));
    // The mean over the 512 or 16 slots that coincide has far less noise than the bound, which is
    // for one of them, so that only the bound is checked.
    run(&setup, 2, 1, 29, 200);
    run(&setup, 3, 32, 17, 200);
}

/// A program at N = 2^13, on levels up to 12.
#[test]
fn a_program_at_test_13() {
    let setup = Setup::new("test-13", 4, |params| all_keys(params, [12]));
    check_tightness(&mut run(&setup, 1, 4096, 12, 200));
}

/// A program at N = 2^16, on levels up to 6.
#[test]
fn a_program_at_n16() {
    let setup = Setup::new("n16", 5, |params| all_keys(params, [6]));
    check_tightness(&mut run(&setup, 1, 1 << 15, 6, 200));
}
