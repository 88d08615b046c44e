//! Tests of the transforms against their definition, on every ISA: with random coefficients, with
//! worst cases, and with inputs searched for the growth of the sums inside.

mod common;

use common::*;
use hetal_kernel::primes::{Direction, NttPrimes};
use hetal_kernel::{Error, Isa, MAX_LOG_N, MIN_LOG_N, Modulus, NttTable};
use proptest::prelude::*;
use rand_core::Rng;

/// One ring, with the table of every ISA.
struct Subject {
    ring: Ring,
    tables: Vec<NttTable>,
}

impl Subject {
    fn new(modulus: Modulus, log_n: u32) -> Self {
        let table = |isa| NttTable::with_isa(modulus, log_n, isa).expect("a table");
        Self { ring: Ring::new(&modulus, log_n), tables: isas().into_iter().map(table).collect() }
    }

    /// Checks everything that must hold for coefficients x with |x| ≤ 5q/4.
    fn check_forward(&self, what: &str, x: &[f64]) {
        let Self { ring, tables } = self;
        let (q, log_n) = (ring.q, ring.log_n);
        let canonical = residues(q, x);
        let forward = ring.forward(&canonical);
        let mut bits = SameBits::default();
        for (table, name) in tables.iter().zip(isas()) {
            let what = |direction| format!("{direction} of {what}, q = {q}, N = 2^{log_n}, {name}");
            let mut y = x.to_vec();
            table.forward(&mut y);
            assert_same(&check_centred(q, &y), &forward, what("forward"));
            bits.check(table.isa(), &y);
            let mut y_u64 = canonical.clone();
            table.forward_u64(&mut y_u64);
            assert_same(&y_u64, &forward, what("forward_u64"));
            table.inverse(&mut y);
            assert_same(&check_centred(q, &y), &canonical, what("round trip"));
            table.inverse_u64(&mut y_u64);
            assert_same(&y_u64, &canonical, what("round trip in u64"));
        }
    }

    /// Checks everything that must hold for x with |x| ≤ q: as coefficients, as coefficients
    /// stretched to 5q/4, and as values.
    fn check(&self, what: &str, x: &[f64]) {
        self.check_forward(what, x);
        self.check_forward(&format!("stretched {what}"), &x.iter().map(|x| (1.25 * x).trunc()).collect::<Vec<_>>());
        let Self { ring, tables } = self;
        let (q, log_n) = (ring.q, ring.log_n);
        let canonical = residues(q, x);
        let mut inverse: Option<Vec<u64>> = None;
        let mut inverse_bits = SameBits::default();
        for (table, name) in tables.iter().zip(isas()) {
            let what = |direction| format!("{direction} of {what}, q = {q}, N = 2^{log_n}, {name}");
            let mut z = x.to_vec();
            table.inverse(&mut z);
            let result = check_centred(q, &z);
            inverse_bits.check(table.isa(), &z);
            // The coefficients whose values are x: the forward oracle shows them to be right for
            // one ISA, and all others must return the same.
            let expected = inverse.get_or_insert_with(|| {
                assert_same(&ring.forward(&result), &canonical, what("inverse"));
                result.clone()
            });
            assert_same(&result, expected, what("inverse"));
            let mut z_u64 = canonical.clone();
            table.inverse_u64(&mut z_u64);
            assert_same(&z_u64, expected, what("inverse_u64"));

            table.forward(&mut z);
            assert_same(&check_centred(q, &z), &canonical, what("round trip from values"));
        }
    }
}

/// Returns random integers in [q − 2^20, q], or in the upper half of [0, q] if q is small.
fn near_maximal(q: u64, n: usize, rng: &mut impl Rng) -> Vec<f64> {
    (0..n).map(|_| (q - rng.next_u64() % (q / 2).min(1 << 20)) as f64).collect()
}

fn with_signs(x: Vec<f64>, mut negative: impl FnMut(usize) -> bool) -> Vec<f64> {
    x.into_iter().enumerate().map(|(i, x)| if negative(i) { 0.0 - x } else { x }).collect()
}

/// Returns coefficients at the ends of their range.
fn worst_cases(q: u64, n: usize, rng: &mut impl Rng) -> Vec<(&'static str, Vec<f64>)> {
    let all = |x: f64| vec![x; n];
    let alternating = |x: f64| with_signs(all(x), |i| i % 2 == 1);
    let (half, q_f64) = ((q / 2) as f64, q as f64);
    let at = |places: &[(usize, f64)]| {
        let mut x = all(0.0);
        places.iter().for_each(|&(i, value)| x[i] = value);
        x
    };
    let mut word = rng.next_u64();
    vec![
        ("0", all(0.0)),
        ("-0", all(-0.0)),
        ("1", all(1.0)),
        ("-1", all(-1.0)),
        ("q - 1", all(q_f64 - 1.0)),
        ("(q - 1)/2", all(half)),
        ("(q + 1)/2", all(half + 1.0)),
        ("-(q - 1)/2", all(-half)),
        ("alternating (q - 1)/2", alternating(half)),
        ("alternating (q + 1)/2", alternating(half + 1.0)),
        ("q", all(q_f64)),
        ("-q", all(-q_f64)),
        ("alternating q", alternating(q_f64)),
        ("alternating q - 1", alternating(q_f64 - 1.0)),
        ("q/2 + 2", all(extreme(q).min(q_f64))),
        ("near q", near_maximal(q, n, rng)),
        ("near -q", with_signs(near_maximal(q, n, rng), |_| true)),
        ("near q, alternating", with_signs(near_maximal(q, n, rng), |i| i % 2 == 1)),
        ("near q, halves", with_signs(near_maximal(q, n, rng), |i| i >= n / 2)),
        (
            "near q, random signs",
            with_signs(near_maximal(q, n, rng), |_| {
                word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                word >> 63 == 1
            }),
        ),
        ("q - 1 at X^0", at(&[(0, q_f64 - 1.0)])),
        ("-(q - 1)/2 at X^(N-1)", at(&[(n - 1, -half)])),
        ("sparse", at(&[(1, q_f64), (n / 2, -q_f64), (n / 2 + 3, 1.0), (n - 2, half)])),
        ("random", random_centred(q, n, rng)),
        ("random in [0, q)", random_residues(q, n, rng).iter().map(|&x| x as f64).collect()),
    ]
}

// ---- the oracle itself ----

/// The oracle's fast recursion gives the values that Horner's rule gives by definition.
#[test]
fn the_oracle_is_the_definition() {
    for log_n in [4, 5, 7] {
        for modulus in [above(log_n, 0), below(log_n, 50)] {
            let ring = Ring::new(&modulus, log_n);
            let a = random_residues(ring.q, ring.n(), &mut rng(1));
            let values: Vec<_> = (0..ring.n()).map(|slot| ring.value(&a, slot)).collect();
            assert_eq!(ring.forward(&a), values);
        }
    }
}

// ---- forward and inverse ----

/// Transformed, multiplied slot by slot and transformed back, polynomials give their product modulo
/// X^N + 1, as the oracle computes it term by term.
#[test]
fn slots_multiply_as_negacyclic_polynomials() {
    for log_n in 4..=8 {
        for modulus in moduli(log_n) {
            let Subject { ring, tables } = Subject::new(modulus, log_n);
            let (q, n) = (ring.q, ring.n());
            let mut rng = rng(q);
            let random = random_residues(q, n, &mut rng);
            let pairs = [
                (random.clone(), random_residues(q, n, &mut rng)),
                (vec![q - 1; n], vec![q - 1; n]),
                (vec![q / 2; n], vec![q / 2 + 1; n]),
                (random, vec![q - 1; n]),
            ];
            for (a, b) in pairs {
                let expected = ring.product(&a, &b);
                for table in &tables {
                    let what = format!("q = {q}, N = {n}, {}", table.isa());
                    let mut product: Vec<_> = a.iter().map(|&x| centre(q, x)).collect();
                    let mut factor: Vec<_> = b.iter().map(|&x| centre(q, x)).collect();
                    table.forward(&mut product);
                    table.forward(&mut factor);
                    table.mul_assign(&mut product, &factor);
                    table.inverse(&mut product);
                    assert_same(&check_centred(q, &product), &expected, &what);

                    let (mut product, mut factor) = (a.clone(), b.clone());
                    table.forward_u64(&mut product);
                    table.forward_u64(&mut factor);
                    table.mul_assign_u64(&mut product, &factor);
                    table.inverse_u64(&mut product);
                    assert_same(&product, &expected, &what);
                }
            }
        }
    }
}

/// Slots hold the values at odd powers of ψ: for every degree, random slots against Horner's rule,
/// and for the polynomial X all slots against the powers themselves.
#[test]
fn slots_hold_the_values_at_odd_powers_of_psi() {
    for log_n in MIN_LOG_N..=log_n_large() {
        for modulus in [above(log_n, 0), below(log_n, 50)] {
            let Subject { ring, tables } = Subject::new(modulus, log_n);
            let (q, n) = (ring.q, ring.n());
            let mut rng = rng(u64::from(log_n));
            let a = random_residues(q, n, &mut rng);
            let mut slots = vec![0, 1, n / 2, n - 1];
            slots.extend((0..4).map(|_| rng.next_u64() as usize % n));
            let expected: Vec<_> = slots.iter().map(|&slot| ring.value(&a, slot)).collect();
            let square = mul_mod(q, ring.psi, ring.psi);
            let mut powers = vec![ring.psi];
            (1..n).for_each(|i| powers.push(mul_mod(q, powers[i - 1], square)));
            let identity: Vec<_> = (0..n).map(|slot| powers[reverse(slot, log_n)]).collect();
            for table in &tables {
                let what = format!("q = {q}, N = {n}, {}", table.isa());
                let mut values: Vec<_> = a.iter().map(|&x| centre(q, x)).collect();
                table.forward(&mut values);
                let values = check_centred(q, &values);
                let found: Vec<_> = slots.iter().map(|&slot| values[slot]).collect();
                assert_same(&found, &expected, &what);
                let mut x = vec![0.0; n];
                x[1] = 1.0;
                table.forward(&mut x);
                assert_same(&check_centred(q, &x), &identity, &what);
            }
        }
    }
}

/// Worst-case inputs of small rings, for primes of every size, against the oracle's transform.
#[test]
fn worst_cases_in_small_rings() {
    for log_n in 4..=8 {
        for modulus in moduli(log_n) {
            let subject = Subject::new(modulus, log_n);
            let mut rng = rng(modulus.value());
            for (what, x) in worst_cases(modulus.value(), 1 << log_n, &mut rng) {
                subject.check(what, &x);
            }
        }
    }
}

/// The same worst cases in rings of 2^9 to 2^11 coefficients, for fewer primes.
#[test]
fn worst_cases_in_middle_rings() {
    for log_n in degrees(9..=11) {
        let moduli = [below(log_n, 50), below(log_n, 47), above(log_n, 0), below(log_n, 48), below(log_n, 49)];
        for modulus in moduli.into_iter().take(if thorough() { 5 } else { 2 }) {
            let subject = Subject::new(modulus, log_n);
            let mut rng = rng(modulus.value());
            for (what, x) in worst_cases(modulus.value(), 1 << log_n, &mut rng) {
                subject.check(what, &x);
            }
        }
    }
}

/// Most of these worst cases in rings of 2^12 coefficients and more, where transforms go block by
/// block.
#[test]
fn worst_cases_in_large_rings() {
    for log_n in degrees(12..=17) {
        for modulus in [below(log_n, 47), below(log_n, 50)] {
            let subject = Subject::new(modulus, log_n);
            let mut rng = rng(modulus.value());
            for (what, x) in worst_cases(modulus.value(), 1 << log_n, &mut rng).into_iter().skip(6) {
                subject.check(what, &x);
            }
        }
    }
}

/// Three of the worst cases in the largest rings.
#[test]
fn worst_cases_in_the_largest_rings() {
    for log_n in 15..=log_n_large() {
        let modulus = below(log_n, 50);
        let subject = Subject::new(modulus, log_n);
        let mut rng = rng(u64::from(log_n));
        for (what, x) in worst_cases(modulus.value(), 1 << log_n, &mut rng) {
            if ["near q", "-q", "random"].contains(&what) {
                subject.check(what, &x);
            }
        }
    }
}

proptest! {
    #![proptest_config(config(200))]
    /// Random mixtures of extreme and ordinary coefficients against the oracle's transform.
    #[test]
    fn any_coefficients(
        log_n in 4u32..=7,
        prime in 0usize..16,
        x in proptest::collection::vec((0u8..12, any::<u64>()), 128),
    ) {
        let moduli = moduli(log_n);
        let modulus = moduli[prime % moduli.len()];
        let q = modulus.value();
        let x: Vec<_> = x[..1 << log_n]
            .iter()
            .map(|&(kind, word)| {
                let magnitude = match kind >> 1 {
                    0 => q,
                    1 => q - 1,
                    2 => q / 2,
                    3 => word % 2,
                    4 => q - word % q.min(1 << 30),
                    _ => word % (q + 1),
                };
                if kind % 2 == 0 { magnitude as f64 } else { 0.0 - magnitude as f64 }
            })
            .collect();
        Subject::new(modulus, log_n).check("any coefficients", &x);
    }
}

// ---- growth ----

/// Searches for inputs that make the sums inside a transform grow. A sum that leaves ±2^53 is
/// rounded, and the result is then wrong, so these inputs reveal a missing reduction.
///
/// A forward transform leaves in a slot the value x₀ ± r₀ ± r₁ ± …, where rₗ is the product of a
/// twiddle and the *partner*, a value of layer l that is itself such a sum over 2^l other
/// coefficients. One coefficient of the partner can be chosen so that the partner, and hence rₗ,
/// takes any residue. The search takes the choice whose rₗ, computed as the kernel computes it, is
/// largest, and negates the partner if the sign is wrong. Residues a little beyond q/2 make rₗ
/// exceed q/2, if the error in the quotient allows. All values of one layer use the same twiddles
/// as far as they go, so one search for each layer is enough.
struct Growth<'a> {
    ring: &'a Ring,
    /// log2 of the lanes. So many layers, the last ones forward and the first ones backward, have
    /// twiddles without a quotient.
    lane_layers: u32,
    tries: u32,
}

impl Growth<'_> {
    /// Returns twiddle i of a transform, centred.
    fn twiddle(&self, root: u64, i: usize) -> f64 {
        centre(self.ring.q, pow_mod(self.ring.q, root, reverse(i, self.ring.log_n) as u64))
    }

    /// Returns a product as the `f64` ISAs compute it.
    fn product(&self, b: f64, w: f64, inside_lanes: bool) -> f64 {
        let q = self.ring.q as f64;
        let h = b * w;
        let quotient = if inside_lanes { h * (1.0 / q) } else { b * (w / q) }.round_ties_even();
        (-quotient).mul_add(q, h) - (-b).mul_add(w, h)
    }

    /// Returns the error in the quotient, for b = 1, that comes from the rounding of w/q or 1/q.
    fn constant_error(&self, w: f64, inside_lanes: bool) -> f64 {
        let q = self.ring.q as f64;
        let error = if inside_lanes { w * (1.0 / q).mul_add(q, -1.0) } else { (w / q).mul_add(q, -w) };
        error.abs() / q
    }

    /// Returns an integer near ±q/2, or beyond it as far as the quotient of a product with |b| may
    /// be wrong.
    fn about_half(&self, b: f64, rng: &mut impl Rng) -> f64 {
        let (q, word) = (self.ring.q as f64, rng.next_u64());
        let reach = (b.abs() * q * 2f64.powi(-53)).min(0.49 * q);
        // The fraction is in [-1/8, 1). A negative one stays below q/2, where errors of the
        // quotient only reduce products.
        let fraction = (word >> 11) as f64 * 2f64.powi(-53) * 1.125 - 0.125;
        let r = (q / 2.0 + reach * fraction).trunc();
        if word % 2 == 0 { r } else { -r }
    }

    fn layer_twiddle(&self, slot: usize, layer: u32) -> (f64, bool) {
        let Ring { log_n, psi, .. } = *self.ring;
        let block = slot >> (log_n - layer);
        (self.twiddle(psi, (1 << layer) + block), layer + self.lane_layers >= log_n)
    }

    /// Of 500 random slots, returns the one for which the constants on its way have the largest
    /// errors.
    fn worst_slot(&self, rng: &mut impl Rng) -> usize {
        let error = |slot: usize| -> f64 {
            let weighted = |layer| {
                let (w, inside_lanes) = self.layer_twiddle(slot, layer);
                self.constant_error(w, inside_lanes) * f64::from(layer + 2)
            };
            (0..self.ring.log_n).map(weighted).sum()
        };
        let slots = (0..500).map(|_| rng.next_u64() as usize % self.ring.n());
        slots.max_by(|&a, &b| error(a).total_cmp(&error(b))).expect("500 slots")
    }

    /// Returns the coefficients for one slot, for two values of x₀ (one of which makes a sum odd),
    /// and the largest sum. `reduced` is the layer before which the first operands are reduced.
    fn forward(&self, slot: usize, reduced: Option<u32>, rng: &mut impl Rng) -> ([Vec<f64>; 2], f64) {
        let Ring { q, log_n, .. } = *self.ring;
        let (q_f64, start) = (q as f64, widest(q));
        let value = |x0: f64, steps: &[f64]| {
            let add = |sum: f64, (layer, r): (u32, &f64)| {
                let reduce = reduced == Some(layer);
                r + if reduce { sum - q_f64 * (sum / q_f64).round_ties_even() } else { sum }
            };
            (0..).zip(steps).fold(x0, add)
        };
        let (mut steps, mut partners) = (Vec::<f64>::new(), Vec::<Vec<f64>>::new());
        // x₀ is at the front, and the coefficients of each layer's partner are at the odd places.
        let interleave = |x0: f64, partners: &[Vec<f64>]| {
            partners.iter().fold(vec![x0], |x, partner| x.iter().zip(partner).flat_map(|(&a, &b)| [a, b]).collect())
        };
        for layer in 0..log_n {
            let (w, inside_lanes) = self.layer_twiddle(slot, layer);
            let w_inv = inv_mod(q, residue(q, w));
            let (sum, largest) = (steps.iter().fold(0, |sum, &r| (sum + residue(q, r)) % q), value(start, &steps));
            let search = (0..self.tries).map(|_| {
                let b = mul_mod(q, w_inv, residue(q, self.about_half(largest, rng)));
                let x0 = ((b + q - sum) % q) as f64;
                (self.product(value(x0, &steps), w, inside_lanes), x0)
            });
            let (r, x0) = search.max_by(|a, b| a.0.abs().total_cmp(&b.0.abs())).expect("some tries");
            let partner = interleave(x0, &partners);
            // In the second half of its block, the value gets −r.
            let subtracted = slot >> (log_n - 1 - layer) & 1 == 1;
            let negate = (r < 0.0) != subtracted;
            partners.push(with_signs(partner, |_| negate));
            steps.push(r.abs());
        }
        let peak = (0..=steps.len()).map(|layers| value(start, &steps[..layers])).fold(0.0, f64::max);
        ([start, start - 1.0].map(|x0| interleave(x0, &partners)), peak)
    }

    /// Returns values for the coefficient at X^(2^layer). This is a sum, layer by layer, of one
    /// product for every 2^(layer + 1) values. Only every `spacing`-th value is not 0: if it is not
    /// 1, earlier layers leave the values alone, so that there is nothing to reduce before the
    /// product.
    fn inverse(&self, layer: u32, spacing: usize, rng: &mut impl Rng) -> Vec<f64> {
        let Ring { q, log_n, psi } = *self.ring;
        let psi_inv = inv_mod(q, psi);
        let (blocks, half) = ((1usize << log_n) >> (layer + 1), 1usize << layer);
        let mut x = near_maximal(q, 1 << log_n, rng);
        for (i, x) in x.chunks_exact_mut(2 * half).enumerate() {
            for (j, x) in x.iter_mut().enumerate() {
                // A value that a reduction leaves alone is at most q/2.
                let size = if spacing == 1 { *x } else { (*x / 2.0).trunc() };
                *x = match j {
                    j if j % spacing != 0 => 0.0,
                    j if j < half => size,
                    _ => 0.0 - size,
                };
            }
            // The difference is at most 4q.
            let difference = x[..half].iter().sum::<f64>() - x[half..].iter().sum::<f64>();
            let w = self.twiddle(psi_inv, blocks + i);
            let (w_inv, inside_lanes) = (inv_mod(q, residue(q, w)), layer < self.lane_layers);
            let search = (0..self.tries).map(|_| {
                let b = mul_mod(q, w_inv, residue(q, self.about_half(difference, rng)));
                let less = ((residue(q, difference) + q - b) % q) as f64;
                (self.product(difference - less, w, inside_lanes), less)
            });
            let (r, less) = search.max_by(|a, b| a.0.abs().total_cmp(&b.0.abs())).expect("some tries");
            x[0] -= less;
            if r < 0.0 {
                x.iter_mut().for_each(|x| *x = 0.0 - *x);
            }
        }
        x
    }
}

/// Returns primes just below powers of two and a little above them: the sums of 2^k values near q
/// just fit into 2^53, or just do not.
fn tight_moduli(log_n: u32) -> Vec<Modulus> {
    let below = (44..=50).map(|bits| below(log_n, bits));
    let above = (44..=49).map(|bits| above(log_n, (1 << bits) + (1 << (bits - 6))));
    below.chain(above).collect()
}

/// Of the largest primes, returns the one with the largest relative error in 1/q.
fn worst_inverse(log_n: u32) -> Modulus {
    let error = |q: &Modulus| (1.0 / q.as_f64()).mul_add(q.as_f64(), -1.0).abs();
    let primes = moduli_below(log_n, 50, 50, 0);
    primes.into_iter().max_by(|a, b| error(a).total_cmp(&error(b))).expect("primes")
}

/// Returns log2 of the lanes of the tables, each once.
fn lane_layers(subject: &Subject) -> Vec<u32> {
    let mut layers: Vec<_> = subject.tables.iter().map(|table| table.isa().lanes().trailing_zeros()).collect();
    layers.sort_unstable();
    layers.dedup();
    layers
}

/// Checks forward transforms of inputs that a search found, against the oracle's transform.
fn check_forward_growth(modulus: Modulus, log_n: u32) {
    let subject = Subject::new(modulus, log_n);
    let mut rng = rng(modulus.value());
    for lane_layers in lane_layers(&subject) {
        let growth = Growth { ring: &subject.ring, lane_layers, tries: if thorough() { 1000 } else { 50 } };
        let slots =
            if thorough() { vec![0, (1 << log_n) - 1, growth.worst_slot(&mut rng)] } else { vec![(1 << log_n) / 3] };
        for slot in slots {
            for reduced in [None, Some(2), Some(4), Some(6), Some(8)] {
                let (inputs, peak) = growth.forward(slot, reduced, &mut rng);
                if reduced.is_none() {
                    // The sum reaches 5q/4 and nearly q/2 for every layer, so the search does its
                    // work.
                    let least = 0.999 * (1.25 + f64::from(log_n) / 2.0);
                    assert!(peak > least * modulus.as_f64(), "{peak} in 2^{log_n}, slot {slot}");
                }
                for x in inputs {
                    subject.check_forward(
                        &format!("growth at slot {slot}, lanes 2^{lane_layers}, reduced {reduced:?}"),
                        &x,
                    );
                }
            }
        }
    }
}

/// Forward transforms stay exact for inputs whose inner sums grow fastest.
#[test]
fn growth_of_forward_sums() {
    for log_n in degrees([8, 10]) {
        let others = [below(log_n, 47), below(log_n, 49), above(log_n, 1 << 49)];
        check_forward_growth(worst_inverse(log_n), log_n);
        for modulus in others.into_iter().filter(|_| thorough()) {
            check_forward_growth(modulus, log_n);
        }
    }
}

/// The same in rings of 2^12 and 2^13 coefficients.
#[test]
fn growth_of_forward_sums_in_large_rings() {
    for log_n in degrees([12, 13]) {
        check_forward_growth(worst_inverse(log_n), log_n);
    }
}

/// Inverse transforms stay exact for inputs whose inner sums grow fastest.
#[test]
fn growth_of_inverse_sums() {
    for log_n in degrees(if thorough() { vec![5, 7, 8, 10, 12] } else { vec![5, 7, 8] }) {
        for modulus in tight_moduli(log_n) {
            let subject = Subject::new(modulus, log_n);
            let mut rng = rng(modulus.value());
            subject.check("near q", &near_maximal(modulus.value(), 1 << log_n, &mut rng));
            for lane_layers in lane_layers(&subject) {
                let growth = Growth { ring: &subject.ring, lane_layers, tries: if thorough() { 40 } else { 4 } };
                let ways = [(0, 1), (1, 1), (2, 4), (3, 4), (4, 16), (5, 16), (6, 64), (7, 64)];
                for (layer, spacing) in ways.into_iter().filter(|(layer, _)| *layer < log_n) {
                    let x = growth.inverse(layer, spacing, &mut rng);
                    subject.check(&format!("growth from layer {layer}, lanes 2^{lane_layers}"), &x);
                }
            }
        }
    }
}

// ---- scaled inverse ----

/// An inverse that is scaled by c gives coefficients whose values, by the oracle, are c times the
/// input.
#[test]
fn constants_of_the_inverse() {
    for log_n in degrees([4, 5, 6, 7, 8, 9, 12, 13]) {
        for modulus in [above(log_n, 0), below(log_n, 40), below(log_n, 50)] {
            let Subject { ring, tables } = Subject::new(modulus, log_n);
            let (q, n) = (ring.q, ring.n());
            let mut rng = rng(q);
            let x = near_maximal(q, n, &mut rng);
            let values = residues(q, &x);
            for c in [0, 1, 2, q / 2, q / 2 + 1, q - 1, rng.next_u64() % q] {
                let mut bits = SameBits::default();
                for table in &tables {
                    let mut y = x.clone();
                    table.inverse_scaled(&mut y, &table.inverse_scale(c));
                    bits.check(table.isa(), &y);
                    let mut out = vec![f64::NAN; n];
                    table.inverse_scaled_into(&x, &mut out, &table.inverse_scale(c));
                    assert_eq!(out, y);
                    let found = ring.forward(&check_centred(q, &y));
                    let expected: Vec<_> = values.iter().map(|&x| mul_mod(q, x, c)).collect();
                    assert_same(&found, &expected, format!("times {c}, q = {q}, N = {n}, {}", table.isa()));
                    if c == 1 {
                        let mut plain = x.clone();
                        table.inverse(&mut plain);
                        assert_eq!(y, plain);
                    }
                }
            }
        }
    }
}

// ---- refusals ----

/// Slices of a wrong length make every transform panic.
#[test]
fn lengths_are_checked() {
    for isa in isas() {
        let table = NttTable::with_isa(below(7, 50), 7, isa).expect("a table");
        let scale = table.inverse_scale(3);
        for len in [0, 1, 64, 127, 129, 256] {
            let (mut x, mut u) = (vec![0.0; len], vec![0; len]);
            assert!(panics(|| table.forward(&mut x)));
            assert!(panics(|| table.inverse(&mut x)));
            assert!(panics(|| table.inverse_scaled(&mut x, &scale)));
            assert!(panics(|| table.inverse_scaled_into(&x, &mut vec![0.0; 128], &scale)));
            assert!(panics(|| table.inverse_scaled_into(&vec![0.0; 128], &mut x, &scale)));
            assert!(panics(|| table.forward_u64(&mut u)));
            assert!(panics(|| table.inverse_u64(&mut u)));
        }
    }
}

/// Degrees out of range, and primes without a root of unity of the order, are refused by their
/// error.
#[test]
fn degrees_and_primes_are_checked() {
    let q = below(17, 50);
    for isa in isas() {
        for log_n in [0, 1, MIN_LOG_N - 1, MAX_LOG_N + 1, 31, 63, 64, u32::MAX] {
            let error = NttTable::with_isa(q, log_n, isa).map(|_| ());
            assert_eq!(error, Err(Error::RingDegree { log_n }));
        }
        // 97 = 1 + 3·2^5 serves only N = 16; 3 serves no degree.
        let q = Modulus::new(97).expect("prime");
        assert!(NttTable::with_isa(q, 4, isa).is_ok());
        let no_root = |modulus, log_n| Err(Error::NoRootOfUnity { modulus, log_n });
        assert_eq!(NttTable::with_isa(q, 5, isa).map(|_| ()), no_root(97, 5));
        assert_eq!(NttTable::with_isa(Modulus::new(3).expect("prime"), 4, isa).map(|_| ()), no_root(3, 4));
        let largest = Modulus::new((1 << 50) - 27).expect("prime");
        assert_eq!(NttTable::with_isa(largest, 4, isa).map(|_| ()), no_root((1 << 50) - 27, 4));
    }
}

/// Tables report the prime, degree, ISA and memory that they have.
#[test]
fn tables_say_what_they_are() {
    for log_n in [4, 9, 12] {
        let q = NttPrimes::new(log_n, 1 << 45, Direction::Descending).expect("a size").next().expect("a prime");
        let table = NttTable::new(q, log_n).expect("a table");
        assert_eq!((table.modulus(), table.log_n(), table.n()), (&q, log_n, 1 << log_n));
        assert_eq!(NttTable::with_isa(q, log_n, Isa::detect()).map(|table| table.isa()), Ok(table.isa()));
        // For both directions together: at least one word for every twiddle, at most three for the
        // largest rings.
        assert!((16 << log_n..=64 << log_n).contains(&table.table_bytes()), "{} bytes", table.table_bytes());
    }
}
