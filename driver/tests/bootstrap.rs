//! Tests of bootstrapping against the slots that went in.

use std::f64::consts::TAU;
use std::sync::Arc;

use hetal::circuits::bootstrap::{InsecureRefresh, Order, Packing};
use hetal::circuits::{Bootstrap, BootstrapConfig, BootstrapPlan, Bootstrapper};
use hetal::ckks::keys::{EncapsulationKeys, KeySet};
use hetal::ckks::params::{ParametersLiteral, SecretDistribution, Security};
use hetal::wire;
use hetal::{Ciphertext, Complex64, Encoder, Error, Evaluator, Parameters, SecretKey};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

struct Setup {
    params: Parameters,
    encoder: Encoder,
    secret: SecretKey,
    evaluator: Evaluator,
    bootstrapper: Bootstrapper,
    rng: ChaCha20Rng,
}

fn setup(preset: &str, config: BootstrapConfig) -> Setup {
    let params = Parameters::preset(preset).expect("a preset");
    let plan = BootstrapPlan::new(&params, config).expect("a plan");
    let mut rng = ChaCha20Rng::seed_from_u64(u64::from(config.log_slots));
    let secret = SecretKey::generate(&params, &mut rng).expect("a secret");
    let keys = secret.evaluation_keys(&plan.requests(), &mut rng).expect("keys");
    let bytes = keys.memory_bytes() + EncapsulationKeys::memory_bytes(&params);
    assert_eq!(plan.key_bytes().expect("a plan"), bytes);
    let encapsulation = secret.encapsulation_keys(&mut rng).expect("keys");
    let evaluator = Evaluator::new(&params, Arc::new(keys));
    let bootstrapper = Bootstrapper::new(plan, Arc::new(encapsulation)).expect("diagonals");
    Setup { encoder: Encoder::new(&params), params, secret, evaluator, bootstrapper, rng }
}

impl Setup {
    fn slots(&self) -> usize {
        1 << self.bootstrapper.plan().config().log_slots
    }

    fn uniform(&mut self, complex: bool) -> Vec<Complex64> {
        let n = self.slots();
        let mut x = || (self.rng.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
        (0..n).map(|_| Complex64::new(x(), if complex { x() } else { 0.0 })).collect()
    }

    fn encrypt(&mut self, z: &[Complex64], level: usize) -> Ciphertext {
        let plaintext = self.encoder.encode(z, level, self.params.scale(level)).expect("encodes");
        self.secret.encrypt(&plaintext, &mut self.rng).expect("encrypts")
    }

    /// Encrypts at the lowest level that can be bootstrapped.
    fn encrypt_low(&mut self, z: &[Complex64]) -> Ciphertext {
        self.encrypt(z, self.bootstrapper.input_level())
    }

    fn decrypt(&self, a: &Ciphertext) -> Vec<Complex64> {
        self.encoder.decode(&self.secret.decrypt(a).expect("decrypts")).expect("decodes")
    }

    /// Bootstraps and checks everything that does not depend on the values.
    fn bootstrap(&self, a: &Ciphertext) -> Ciphertext {
        let copy = a.clone();
        let out = self.bootstrapper.bootstrap(&self.evaluator, a).expect("bootstraps");
        assert_eq!(a, &copy, "the input was changed");
        assert_eq!((out.level(), out.slots()), (self.bootstrapper.output_level(), self.slots()));
        assert_eq!(out.scale(), self.params.scale(out.level()), "not exactly the nominal scale");
        out
    }
}

/// Returns −log2 of the mean and of the largest error of real and imaginary parts, or of real parts
/// alone for real packing.
fn bits(found: &[Complex64], wanted: &[Complex64], packing: Packing) -> (f64, f64) {
    assert_eq!(found.len(), wanted.len());
    let errors = found.iter().zip(wanted).flat_map(|(a, b)| match packing {
        Packing::Real => vec![(a.re - b.re).abs()],
        Packing::Complex => vec![(a.re - b.re).abs(), (a.im - b.im).abs()],
    });
    let errors: Vec<f64> = errors.collect();
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    (-mean.log2(), -errors.iter().copied().fold(0.0, f64::max).log2())
}

/// Bootstrapping for every number of slots, both packings, both orders and both choices, against
/// the slots that went in.
/// At N = 2^10 the noise in the slots is below that of n16 by 2^6. The error of the sine is
/// (2π/2^10)²/24 = 2^−19.3 without an arcsine. With SlotToCoeff last, the largest coefficients are
/// those of a vector of few slots, and the mean over as few as 8 slots varies with the seed: from
/// 22.37 to 22.62 bits over twelve seeds.
#[test]
fn every_number_of_slots() {
    let choices = [BootstrapConfig::new, BootstrapConfig::fast];
    for (choice, first, last) in [(choices[0], (25.5, 23.0), (22.25, 19.0)), (choices[1], (19.5, 18.0), (17.0, 13.0))] {
        for (order, wanted) in [(Order::StcFirst, first), (Order::StcLast, last)] {
            for packing in [Packing::Complex, Packing::Real] {
                for log_slots in 3..=9 {
                    let mut s = setup("test-10", BootstrapConfig { order, ..choice(log_slots, packing) });
                    let z = s.uniform(packing == Packing::Complex);
                    let a = s.encrypt_low(&z);
                    let out = s.bootstrap(&a);
                    let (mean, worst) = bits(&s.decrypt(&out), &z, packing);
                    assert!(
                        mean > wanted.0 && worst > wanted.1,
                        "2^{log_slots} {packing:?} {order:?}: {mean} mean, {worst} worst"
                    );
                }
            }
        }
    }
}

/// Bootstrapping in the largest ring, with up to all 2^15 slots and a chain that is as long as
/// bootstrapping needs.
#[test]
fn every_number_of_slots_of_the_largest_ring() {
    for log_slots in 10..=15 {
        let packing = if log_slots % 2 == 0 { Packing::Complex } else { Packing::Real };
        let mut s = setup("test-16", BootstrapConfig::new(log_slots, packing));
        let z = s.uniform(packing == Packing::Complex);
        let a = s.encrypt_low(&z);
        let (mean, worst) = bits(&s.decrypt(&s.bootstrap(&a)), &z, packing);
        assert!(mean > 23.0 && worst > 19.0, "2^{log_slots} {packing:?}: {mean} mean, {worst} worst");
    }
}

/// In a larger ring, inputs with levels to spare and with another scale are brought down first.
#[test]
fn inputs_of_any_level() {
    for (log_slots, packing) in [(12, Packing::Real), (10, Packing::Complex)] {
        let mut s = setup("test-13", BootstrapConfig::new(log_slots, packing));
        let z = s.uniform(packing == Packing::Complex);
        let mut a = s.encrypt(&z, 9);
        s.evaluator.mul_integer_assign(&mut a, 2).expect("multiplies");
        a.set_scale(2.0 * a.scale()).expect("a scale");
        let (mean, worst) = bits(&s.decrypt(&s.bootstrap(&a)), &z, packing);
        assert!(mean > 23.5 && worst > 20.5, "2^{log_slots}: {mean} mean, {worst} worst");
        // Fewer slots than the plan is for repeat themselves.
        let few = vec![Complex64::new(0.25, 0.0), Complex64::new(-0.5, 0.0)];
        let a = s.encrypt(&few, 5);
        let wanted: Vec<_> = few.iter().cycle().take(s.slots()).copied().collect();
        let (_, worst) = bits(&s.decrypt(&s.bootstrap(&a)), &wanted, packing);
        assert!(worst > 20.5, "{worst} worst");
    }
}

/// Constant slots, a single spike and chains of twenty bootstrappings keep their precision.
#[test]
fn constants_spikes_and_chains() {
    let mut s = setup("test-10", BootstrapConfig::new(9, Packing::Real));
    let n = s.slots();
    let spike: Vec<Complex64> = (0..n).map(|j| f64::from(u8::from(j == n / 3)).into()).collect();
    for z in [vec![Complex64::ONE; n], vec![(-1.0).into(); n], vec![Complex64::ZERO; n], spike] {
        let a = s.encrypt_low(&z);
        let (_, worst) = bits(&s.decrypt(&s.bootstrap(&a)), &z, Packing::Real);
        assert!(worst > 22.5, "{worst} bits");
    }
    // Twenty in a row do not drift: the noise adds up like a random walk, with the square root of
    // their number.
    let level = s.bootstrapper.input_level();
    let z = s.uniform(false);
    let mut a = s.encrypt_low(&z);
    for i in 1..=20 {
        let out = s.bootstrap(&a);
        let (mean, worst) = bits(&s.decrypt(&out), &z, Packing::Real);
        let lost = f64::from(i).sqrt().log2();
        assert!(mean > 26.8 - lost && worst > 24.3 - lost, "{i}: {mean} mean, {worst} worst");
        a = s.evaluator.adjust(&out, level, s.params.scale(level)).expect("adjusts");
    }
}

/// Without an arcsine, the error of the sine is the same function each time and adds up: to
/// 20·2^−19.3 at worst.
#[test]
fn fast_chains() {
    let mut s = setup("test-10", BootstrapConfig::fast(9, Packing::Real));
    let z = s.uniform(false);
    let mut a = s.encrypt_low(&z);
    for i in 1..=20 {
        let out = s.bootstrap(&a);
        let (mean, worst) = bits(&s.decrypt(&out), &z, Packing::Real);
        let lost = f64::from(i).log2();
        assert!(mean > 19.5 - lost && worst > 18.0 - lost, "{i}: {mean} mean, {worst} worst");
        a = s.evaluator.adjust(&out, 3, s.params.scale(3)).expect("adjusts");
    }
}

/// The noise is proportional to the bound. Slots beyond the bound come back as values of the sine.
#[test]
fn bounds() {
    let mut s = setup("test-10", BootstrapConfig::fast(9, Packing::Real));
    let z = s.uniform(false);
    for log_bound in [-6, -3, 0, 2] {
        let bound = f64::from(log_bound).exp2();
        let run = |level: usize, z: &[Complex64], s: &mut Setup| {
            let a = s.encrypt(z, level);
            let out = s.bootstrapper.bootstrap_bounded(&s.evaluator, &a, log_bound)?;
            assert_eq!((out.level(), out.scale()), (17, s.params.scale(17)));
            Ok(s.decrypt(&out))
        };
        // A division takes one level.
        let level = if log_bound > 0 { 4 } else { 3 };
        let small: Vec<Complex64> = z.iter().map(|z| z * bound).collect();
        let (_, worst) = bits(&run(level, &small, &mut s).expect("bootstraps"), &small, Packing::Real);
        assert!(worst > 18.0 - f64::from(log_bound), "{log_bound}: {worst} worst");
        if log_bound > 0 {
            assert!(matches!(run(3, &small, &mut s), Err(Error::ScaleMismatch { .. })));
        }
        // This gain halves the error of the sine up to the bound.
        let unit = TAU / 1024.0 / bound;
        let gain = 1.0 + (TAU / 1024.0).powi(2) / 8.0;
        let sines: Vec<Complex64> = z.iter().map(|z| Complex64::from(gain * (unit * z.re).sin() / unit)).collect();
        let (_, worst) = bits(&run(level, &z, &mut s).expect("bootstraps"), &sines, Packing::Real);
        assert!(worst > 20.5 - f64::from(log_bound), "{log_bound}: {worst} from the sine");
    }
}

/// An arcsine removes the error of the sine, for two or three levels.
#[test]
fn arcsine() {
    for (degree, depth) in [(3, 2), (5, 3), (7, 3)] {
        let config = BootstrapConfig { arcsine: degree, log_ratio: 8, ..BootstrapConfig::fast(9, Packing::Real) };
        let mut s = setup("test-10", config);
        assert_eq!(s.bootstrapper.output_level(), 17 - depth);
        let z = s.uniform(false);
        let a = s.encrypt_low(&z);
        let (mean, worst) = bits(&s.decrypt(&s.bootstrap(&a)), &z, Packing::Real);
        assert!(mean > 23.0 && worst > 21.0, "degree {degree}: {mean} mean, {worst} worst");
    }
}

/// Two real ciphertexts are bootstrapped at once, each against its own slots; other packings refuse
/// this.
#[test]
fn pairs() {
    for log_slots in [9, 6] {
        let mut s = setup("test-10", BootstrapConfig::new(log_slots, Packing::Complex));
        let z = [s.uniform(false), s.uniform(false)];
        let [a, b] = z.clone().map(|z| s.encrypt_low(&z));
        let out = s.bootstrapper.bootstrap_pair(&s.evaluator, &a, &b).expect("bootstraps");
        for (out, z) in out.iter().zip(&z) {
            let (mean, worst) = bits(&s.decrypt(out), z, Packing::Real);
            assert!(mean > 23.5 && worst > 21.5, "2^{log_slots}: {mean} mean, {worst} worst");
            assert_eq!((out.level(), out.scale()), (s.bootstrapper.output_level(), s.params.scale(out.level())));
        }
    }
    let s = setup("test-10", BootstrapConfig::new(4, Packing::Real));
    let a = Ciphertext::empty(&s.params);
    assert!(matches!(s.bootstrapper.bootstrap_pair(&s.evaluator, &a, &a), Err(Error::Unsupported { .. })));
}

/// As documented, slots beyond 1 come back through the sine, whose period is 2^log_ratio.
#[test]
fn beyond_the_range() {
    let mut s = setup("test-10", BootstrapConfig::fast(9, Packing::Real));
    let n = s.slots();
    let z: Vec<Complex64> = (0..n).map(|j| (j as f64 - n as f64 / 2.0).into()).collect();
    let a = s.encrypt(&z, 3);
    let found = s.decrypt(&s.bootstrap(&a));
    let ratio = 1024.0;
    let gain = 1.0 + (TAU / ratio) * (TAU / ratio) / 8.0;
    for (z, found) in z.iter().zip(&found) {
        let sine = ratio / TAU * (TAU * z.re / ratio).sin() * gain;
        assert!((found.re - sine).abs() < 1e-3, "{} came back as {}, not {sine}", z.re, found.re);
        // This is visible: the values are far from those that went in.
        assert!(z.re.abs() < 128.0 || (found.re - z.re).abs() > 8.0, "{} came back as {}", z.re, found.re);
    }
}

/// Keys that were written and read again give bit for bit the same result, and so do other numbers
/// of threads.
#[test]
fn stored_keys_and_threads() {
    let mut s = setup("test-10", BootstrapConfig::new(8, Packing::Complex));
    let z = s.uniform(true);
    let a = s.encrypt(&z, 3);
    let plan = s.bootstrapper.plan().clone();
    let requests = plan.requests().plan(&s.params).expect("a plan");
    let keys = s.secret.evaluation_keys(&plan.requests(), &mut s.rng).expect("keys");
    let encapsulation = s.secret.encapsulation_keys(&mut s.rng).expect("keys");
    let (mut bytes, mut capsule) = (Vec::new(), Vec::new());
    wire::write_key_set(&mut bytes, &s.params, &keys).expect("writes");
    wire::write(&mut capsule, &encapsulation, &s.params).expect("writes");
    assert_eq!(keys.iter().len(), requests.len());
    let again: KeySet = wire::read_key_set(&mut bytes.as_slice(), &s.params).expect("reads");
    let capsule: EncapsulationKeys = wire::read(&mut capsule.as_slice(), &s.params).expect("reads");
    let run = |keys: KeySet, capsule: EncapsulationKeys, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let evaluator = Evaluator::new(&s.params, Arc::new(keys));
            let bootstrapper = Bootstrapper::new(plan.clone(), Arc::new(capsule)).expect("diagonals");
            bootstrapper.bootstrap(&evaluator, &a).expect("bootstraps")
        })
    };
    let first = run(keys, encapsulation.clone(), 1);
    assert_eq!(first, run(again.clone(), capsule, 2));
    assert_eq!(first, run(again, encapsulation, 5));
}

/// Ciphertext, evaluation keys and encapsulation keys must come from one key generation. If any of
/// the three does not, the error says so before work starts, with both ids.
#[test]
fn other_keys_are_refused() {
    let mut s = setup("test-10", BootstrapConfig::new(8, Packing::Complex));
    let z = s.uniform(true);
    let mine = s.encrypt_low(&z);
    let other = SecretKey::generate(&s.params, &mut s.rng).expect("a secret");
    let plaintext = s.encoder.encode(&z, mine.level(), mine.scale()).expect("encodes");
    let theirs = other.encrypt(&plaintext, &mut s.rng).expect("encrypts");
    let plan = s.bootstrapper.plan().clone();
    let keys = other.evaluation_keys(&plan.requests(), &mut s.rng).expect("keys");
    let evaluator = Evaluator::new(&s.params, Arc::new(keys));
    let encapsulation = other.encapsulation_keys(&mut s.rng).expect("keys");
    let bootstrapper = Bootstrapper::new(plan, Arc::new(encapsulation)).expect("diagonals");
    let (a, b) = (s.secret.key_generation(), other.key_generation());
    let refused = |bootstrapper: &Bootstrapper, evaluator: &Evaluator, x: &Ciphertext| {
        let error = bootstrapper.bootstrap(evaluator, x).expect_err("other keys");
        let Error::OtherKeys { found, wanted } = error else { panic!("{error:?}") };
        (found, wanted)
    };
    assert_eq!(refused(&s.bootstrapper, &s.evaluator, &theirs), (b, a));
    assert_eq!(refused(&s.bootstrapper, &evaluator, &mine), (a, b));
    assert_eq!(refused(&s.bootstrapper, &evaluator, &theirs), (b, a));
    assert_eq!(refused(&bootstrapper, &s.evaluator, &mine), (a, b));
    assert_eq!(refused(&bootstrapper, &s.evaluator, &theirs), (b, a));
    assert_eq!(refused(&bootstrapper, &evaluator, &mine), (a, b));
    let pair = s.bootstrapper.bootstrap_pair(&s.evaluator, &mine, &theirs).map(|_| ());
    assert!(matches!(pair, Err(Error::OtherKeys { .. })), "{pair:?}");
    let out = bootstrapper.bootstrap(&evaluator, &theirs).expect("bootstraps");
    assert_eq!(out.key_generation(), b);
    assert_eq!(s.bootstrap(&mine).key_generation(), a);
}

/// The sparse secret has one key, modulo q_0·p_0, at every preset.
#[test]
fn the_sparse_modulus() {
    for name in hetal::ckks::params::preset::NAMES {
        let params = Parameters::preset(name).expect("a preset");
        let bits = EncapsulationKeys::sparse_log_modulus(&params).expect("small enough");
        assert!((99.9..=100.0).contains(&bits), "{name}: {bits} bits: not q_0·p_0");
    }
}

/// Keys under the sparse secret are made where an estimate says that they are secure, which is at N
/// = 2^15 and 2^16, and for literals that promise nothing.
#[test]
fn the_sparse_secret_is_refused_where_it_is_not_secure() {
    let make = |log_n, security, name: &str| {
        let literal = ParametersLiteral {
            name: name.to_owned(),
            log_n,
            q_bits: vec![50, 40],
            p_bits: vec![50],
            secret: SecretDistribution::Ternary,
            security,
        };
        Parameters::new(literal).expect("the dense secret is secure")
    };
    let keys = |params: &Parameters| {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        SecretKey::generate(params, &mut rng).expect("a secret").encapsulation_keys(&mut rng).map(|_| ())
    };
    for (log_n, bound) in [(15, 100.0), (16, 121.0)] {
        let params = make(log_n, Security::Bits128, "mine");
        let bits = EncapsulationKeys::sparse_log_modulus(&params).expect("secure");
        assert!(bits <= bound && bits > 99.9, "{bits} bits at N = 2^{log_n}");
        keys(&params).expect("secure");
    }
    for log_n in [13, 14, 17] {
        let params = make(log_n, Security::Bits128, "mine");
        for error in [keys(&params), EncapsulationKeys::sparse_log_modulus(&params).map(|_| ())] {
            let error = error.expect_err("no estimate says that it is secure");
            assert!(matches!(&error, Error::Insecure { bound: 0, .. }), "{error:?}");
            let wanted = format!(
                "parameters mine: the secret of weight 32 that bootstrapping needs has a modulus q_0·p_0 of 100.0 bits, \
                 and none is known to be 128-bit secure at N = 2^{log_n}: use N = 2^15 or 2^16"
            );
            assert_eq!(error.to_string(), wanted);
        }
    }
    keys(&make(14, Security::Insecure, "insecure-14")).expect("nothing was promised");
}

/// Levels, degrees and sizes of keys that plans for n16 have, and settings that are refused.
#[test]
fn plans() {
    let params = Parameters::preset("n16").expect("a preset");
    for (log_slots, packing, reductions, merged) in [
        (15, Packing::Complex, 2, 0),
        (15, Packing::Real, 1, 0),
        (14, Packing::Real, 1, 0),
        (14, Packing::Complex, 1, 1),
    ] {
        for (config, level, degree) in
            [(BootstrapConfig::new(log_slots, packing), 2, 127), (BootstrapConfig::fast(log_slots, packing), 3, 30)]
        {
            let plan = BootstrapPlan::new(&params, config).expect("a plan");
            assert_eq!((plan.reductions(), plan.eval_mod().degree()), (reductions, degree));
            // Bootstrapping takes 14 levels, either way.
            assert_eq!((plan.input_level(), plan.output_level()), (level, level + 14 - merged));
            assert!(plan.log_failure() < -64.0 && plan.overflow_bound() == 15, "{}", plan.log_failure());
            let gib = f64::from(1 << 30);
            assert!(plan.key_bytes().expect("a plan") as f64 / gib < 10.0);
            assert!(plan.depth() == 29 - plan.output_level() && plan.cost().transforms > 1000);
        }
    }
    let config = BootstrapConfig::new(15, Packing::Real);
    let plan = |config| BootstrapPlan::new(&params, config).map(|_| ());
    assert_eq!(plan(BootstrapConfig { log_slots: 2, ..config }), Err(Error::Slots { slots: 4, max: 32768 }));
    assert_eq!(plan(BootstrapConfig { log_slots: 16, ..config }), Err(Error::Slots { slots: 65536, max: 32768 }));
    assert!(matches!(plan(BootstrapConfig { log_ratio: 30, ..config }), Err(Error::Range { value: 30.0, .. })));
    assert!(matches!(plan(BootstrapConfig { arcsine: 4, ..config }), Err(Error::Range { value: 4.0, .. })));
    assert!(matches!(
        plan(BootstrapConfig { doublings: 22, precision: -40.0, ..config }),
        Err(Error::NoLevelsLeft { .. })
    ));
    assert!(matches!(plan(BootstrapConfig { precision: 60.0, ..config }), Err(Error::Range { .. })));
}

/// Chains that would end anywhere inside a bootstrapping are refused when they are planned.
#[test]
fn every_length_is_planned_or_refused() {
    let params = Parameters::preset("test-10").expect("a preset");
    for order in [Order::StcFirst, Order::StcLast] {
        let plan = |doublings| {
            let config =
                BootstrapConfig { order, doublings, precision: -40.0, ..BootstrapConfig::new(5, Packing::Complex) };
            BootstrapPlan::new(&params, config)
        };
        let planned: Vec<bool> = (0..30).map(|doublings| plan(doublings).is_ok()).collect();
        // The long chains come first, and none succeeds after one that is too short.
        assert!(planned[3] && !planned[25] && planned[3..].is_sorted_by(|a, b| a >= b), "{planned:?}");
        let error = plan(25).expect_err("too short").to_string();
        assert!(error.contains("levels"), "{error}");
    }
}

/// Inputs of too low a level, other scale, more slots or missing keys are refused.
#[test]
fn refusals() {
    let mut s = setup("test-10", BootstrapConfig::new(5, Packing::Complex));
    let z = s.uniform(true);
    let low = s.encrypt(&z, 1);
    let run = |a: &Ciphertext| s.bootstrapper.bootstrap(&s.evaluator, a);
    assert_eq!(run(&low), Err(Error::LowLevel { level: 1, needed: 2 }));
    let mut other = s.encoder.encode(&z, 2, 1e9).map(|p| s.secret.encrypt(&p, &mut ChaCha20Rng::seed_from_u64(1)));
    let other = other.as_mut().expect("encodes").as_mut().expect("encrypts");
    assert!(matches!(run(other), Err(Error::ScaleMismatch { .. })));
    let wide = vec![Complex64::ONE; 64];
    let wide = s.encoder.encode(&wide, 2, s.params.scale(2)).expect("encodes");
    let wide = s.secret.encrypt(&wide, &mut ChaCha20Rng::seed_from_u64(2)).expect("encrypts");
    assert_eq!(run(&wide), Err(Error::Slots { slots: 64, max: 32 }));
    let without = Evaluator::without_keys(&s.params);
    let a = s.encrypt_low(&z);
    for log_bound in [i32::MIN, -17, 17] {
        let found = s.bootstrapper.bootstrap_bounded(&s.evaluator, &a, log_bound);
        assert!(matches!(found, Err(Error::Range { .. })), "{log_bound}");
    }
    assert!(matches!(s.bootstrapper.bootstrap(&without, &a), Err(Error::MissingKey { .. })));
}

fn copy_of(secret: &SecretKey) -> SecretKey {
    let coefficients = secret.coefficients().to_vec().into();
    SecretKey::from_coefficients(secret.params(), coefficients, secret.key_generation()).expect("a secret")
}

/// The stand-in for tests keeps the contract of a bootstrapping and refuses secure parameters.
#[test]
fn insecure_refresh() {
    let mut s = setup("test-10", BootstrapConfig::new(9, Packing::Complex));
    let z = s.uniform(true);
    let a = s.encrypt(&z, 6);
    let secret = copy_of(&s.secret);
    let refresh = InsecureRefresh::new(secret, 3, 17, ChaCha20Rng::seed_from_u64(3)).expect("insecure parameters");
    let out = refresh.bootstrap(&s.evaluator, &a).expect("refreshes");
    assert_eq!((out.level(), out.scale()), (refresh.output_level(), s.params.scale(17)));
    assert!(bits(&s.decrypt(&out), &z, Packing::Complex).1 > 27.0);
    let n16 = Parameters::preset("n16").expect("a preset");
    let secret = SecretKey::generate(&n16, &mut s.rng).expect("a secret");
    let error = InsecureRefresh::new(secret, 3, 17, ChaCha20Rng::seed_from_u64(3)).expect_err("secure parameters");
    assert!(error.to_string().contains("n16"), "{error}");
}
