//! Tests of moduli against u128 arithmetic, and of primes against trial division and published
//! pseudoprimes.

use hetal_kernel::primes::{Direction, NttPrimes, below_bits, is_prime};
use hetal_kernel::{Error, Modulus};
use proptest::prelude::*;

/// Returns primes at both ends of the range and on both sides of powers of two.
fn moduli() -> Vec<Modulus> {
    let near_powers = (3..=50).flat_map(|bits| {
        let largest = (1..1u64 << bits).rev().find(|&n| is_prime(n));
        let smallest = (1u64 << (bits - 1)..1 << bits).find(|&n| is_prime(n));
        [largest, smallest].map(|n| n.expect("Bertrand"))
    });
    [3, 5, 97, 65537].into_iter().chain(near_powers).map(|q| Modulus::new(q).expect("prime")).collect()
}

/// Returns the residues at which carries, comparisons and quotient estimates go wrong, if anywhere.
fn edges(q: u64) -> Vec<u64> {
    let mut edges = vec![0, 1, 2 % q, q / 2 - 1, q / 2, q / 2 + 1, q - 2, q - 1];
    edges.sort_unstable();
    edges.dedup();
    edges
}

fn check_reduction(q: &Modulus, x: u128) {
    assert_eq!(u128::from(q.reduce_u128(x)), x % u128::from(q.value()), "{x} mod {}", q.value());
}

fn check_pair(m: &Modulus, a: u64, b: u64) {
    let q = m.value();
    let (wide_q, wide_a, wide_b) = (u128::from(q), u128::from(a), u128::from(b));
    assert_eq!(u128::from(m.add(a, b)), (wide_a + wide_b) % wide_q, "{a} + {b} mod {q}");
    assert_eq!(u128::from(m.sub(a, b)), (wide_a + wide_q - wide_b) % wide_q, "{a} - {b} mod {q}");
    assert_eq!(u128::from(m.mul(a, b)), wide_a * wide_b % wide_q, "{a} * {b} mod {q}");
}

/// A modulus is an odd prime below 2^50; everything else is refused.
#[test]
fn accepts_the_odd_primes_below_2_to_the_50_only() {
    let largest = (1 << 50) - 27;
    assert_eq!(Modulus::new(largest).map(|q| (q.value(), q.bits())), Ok((largest, 50)));
    assert_eq!(Modulus::new(3).map(|q| (q.value(), q.bits())), Ok((3, 2)));
    // 2^50 + 55 is the next prime above 2^50, and 2^61 − 1 is a prime, too.
    assert!(is_prime((1 << 50) + 55));
    for value in [0, 1, 2, 4, 9, 1 << 49, 1 << 50, (1 << 50) - 1, (1 << 50) + 55, (1 << 61) - 1, u64::MAX] {
        assert_eq!(Modulus::new(value), Err(Error::NotAPrime { value }));
    }
}

/// The number of bits of a modulus, and its value as a float.
#[test]
fn size_of_a_modulus() {
    for m in moduli() {
        let q = m.value();
        assert!(q >> (m.bits() - 1) == 1, "{q} has not {} bits", m.bits());
        assert_eq!(m.as_f64() as u64, q);
    }
}

/// Reductions of the largest values, and of multiples of q and their neighbours, against the `%` of
/// u128.
#[test]
fn reduction_at_the_worst_cases() {
    for q in moduli() {
        let limit = (1u128 << (q.bits() + 63)) - 1;
        let wide = u128::from(q.value());
        for x in [0, 1, u128::from(u64::MAX), limit, limit - 1, limit - wide, limit / 2, (wide - 1) * (wide - 1)] {
            check_reduction(&q, x);
        }
        // One below, at and one above multiples of q, the estimated quotient is furthest off.
        for multiple in [1, 2, 3, wide - 1, limit / wide, limit / wide - 1, limit / wide / 2] {
            for x in [multiple * wide - 1, multiple * wide, multiple * wide + 1] {
                check_reduction(&q, x.min(limit));
            }
        }
        for x in [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX] {
            let expected = i128::from(x).rem_euclid(i128::from(q.value()));
            assert_eq!(i128::from(q.reduce_i64(x)), expected, "{x} mod {}", q.value());
            assert_eq!(q.reduce(x as u64), x as u64 % q.value());
        }
    }
}

/// Sums, products, negatives, centred values and inverses at the edges, against u128 arithmetic.
#[test]
fn arithmetic_at_the_worst_cases() {
    for m in moduli() {
        let q = m.value();
        for a in edges(q) {
            for b in edges(q) {
                check_pair(&m, a, b);
            }
            assert_eq!(m.neg(a), (q - a) % q);
            let centred = m.centre(a);
            assert_eq!(centred.rem_euclid(q as i64), a as i64);
            assert!(centred.unsigned_abs() <= q / 2, "{centred} of {q}");
            match m.inv(a) {
                None => assert_eq!(a, 0),
                Some(inverse) => assert_eq!(m.mul(a, inverse), 1),
            }
        }
    }
}

/// Powers against repeated multiplication.
#[test]
fn powers_against_repeated_multiplication() {
    for q in [3, 97, (1 << 50) - 27] {
        let m = Modulus::new(q).expect("prime");
        for a in edges(q) {
            let mut power = 1;
            for e in 0..100 {
                assert_eq!(m.pow_vartime(a, e), power, "{a}^{e} mod {q}");
                power = m.mul(power, a);
            }
        }
    }
}

proptest! {
    /// Reductions, sums and products of random values against u128 arithmetic.
    #[test]
    fn arithmetic_on_random_values(q in 0..moduli().len(), x: u128, a: u64, b: u64) {
        let m = moduli()[q];
        check_reduction(&m, x >> (65 - m.bits()));
        check_pair(&m, a % m.value(), b % m.value());
    }
}

/// A root of unity has order exactly 2N, and is the first that the search over bases 2, 3, … finds.
#[test]
fn roots_of_unity_have_their_order_and_are_the_first() {
    for log_n in [0, 1, 4, 10, 16, 17] {
        let two_n = 2u64 << log_n;
        for m in NttPrimes::new(log_n, 1 << 40, Direction::Descending).expect("a size").take(3) {
            let psi = m.root_of_unity(log_n).expect("1 mod 2N");
            assert_eq!(m.pow_vartime(psi, two_n), 1);
            assert_ne!(m.pow_vartime(psi, two_n / 2), 1);
            let cofactor = (m.value() - 1) / two_n;
            let first = (2..).map(|g| m.pow_vartime(g, cofactor)).find(|&x| m.pow_vartime(x, two_n / 2) != 1);
            assert_eq!(Some(psi), first);
        }
    }
    // The smallest cases by hand: −1 is the root of order 2 modulo 3. For 17 = 1 + 2·8, the
    // cofactor is 1; 2^1 has order 8 and 3^1 has order 16.
    assert_eq!(Modulus::new(3).unwrap().root_of_unity(0), Ok(2));
    assert_eq!(Modulus::new(17).unwrap().root_of_unity(3), Ok(3));
    let q = Modulus::new(97).unwrap();
    assert!(q.root_of_unity(4).is_ok());
    assert_eq!(q.root_of_unity(5), Err(Error::NoRootOfUnity { modulus: 97, log_n: 5 }));
}

/// The primality test agrees with a sieve for all numbers below 100,000.
#[test]
fn primality_against_trial_division() {
    // The sieve of Eratosthenes.
    let mut prime = vec![true; 100_000];
    prime[..2].fill(false);
    for p in 2..317 {
        if prime[p] {
            (p * p..prime.len()).step_by(p).for_each(|n| prime[n] = false);
        }
    }
    assert_eq!(prime.iter().filter(|&&p| p).count(), 9592);
    for (n, &expected) in (0..).zip(&prime) {
        assert_eq!(is_prime(n), expected, "{n}");
    }
}

/// The primality test is right about published pseudoprimes and other hard composites, and about
/// large primes.
#[test]
fn primality_of_the_known_hard_cases() {
    // The smallest strong pseudoprimes to the first 1, 2, 3, … prime bases, as far as they fit into
    // u64 (OEIS A014233).
    let strong = [
        2047,
        1_373_653,
        25_326_001,
        3_215_031_751,
        2_152_302_898_747,
        3_474_749_660_383,
        341_550_071_728_321,
        3_825_123_056_546_413_051,
    ];
    // Carmichael numbers, the squares of the Wieferich primes, and products of two primes near 2^25
    // and 2^32.
    let others = [
        561,
        41041,
        825_265,
        9_746_347_772_161,
        1_194_649,
        12_327_121,
        33_554_393 * 33_554_383,
        4_294_967_291 * 4_294_967_279,
        u64::MAX,
    ];
    for n in strong.into_iter().chain(others) {
        assert!(!is_prime(n), "{n} is composite");
    }
    // The largest primes below 2^64, 2^63 and 2^50, a Mersenne prime, and the factors of the
    // products above.
    for n in [
        u64::MAX - 58,
        (1 << 63) - 25,
        (1 << 50) - 27,
        (1 << 61) - 1,
        33_554_393,
        33_554_383,
        4_294_967_291,
        4_294_967_279,
    ] {
        assert!(is_prime(n), "{n} is prime");
    }
}

/// The search finds exactly the primes that are 1 mod 2N, in order, in both directions.
#[test]
fn prime_search_walks_in_order_and_misses_none() {
    for (log_n, size) in [(4, 0), (4, 1), (4, 97), (4, 98), (10, 12289), (10, 12290), (16, 1 << 40), (0, 3), (0, 4)] {
        let step = 2u64 << log_n;
        let up: Vec<_> =
            NttPrimes::new(log_n, size, Direction::Ascending).expect("a size").map(|q| q.value()).take(20).collect();
        let down: Vec<_> =
            NttPrimes::new(log_n, size, Direction::Descending).expect("a size").map(|q| q.value()).take(20).collect();
        let wanted = |&n: &u64| n % step == 1 && n > 2 && is_prime(n);
        assert_eq!(up, (size..).filter(wanted).take(20).collect::<Vec<_>>(), "up from {size}");
        assert_eq!(down, (0..size).rev().filter(wanted).take(20).collect::<Vec<_>>(), "down from {size}");
    }
}

/// The search ends at the bottom of the range or at 2^50, without missing a prime.
#[test]
fn prime_search_ends() {
    // All primes that are 1 mod 2^18 and below 2^23, downwards to the bottom of the range.
    let down: Vec<_> = NttPrimes::new(17, 1 << 23, Direction::Descending).expect("a size").map(|q| q.value()).collect();
    assert_eq!(down, [7_340_033, 5_767_169, 786_433]);
    // Upwards, the search stops at 2^50, also when it starts there.
    let mut up = NttPrimes::new(4, 1 << 50, Direction::Ascending).expect("a size");
    assert_eq!((up.next(), up.next()), (None, None));
    let first = NttPrimes::new(4, 1 << 50, Direction::Descending).expect("a size").next().map(|q| q.value());
    assert_eq!(first, (1..1 << 50).rev().find(|&n| n % 32 == 1 && is_prime(n)));
    let last: Vec<_> =
        NttPrimes::new(17, (1 << 50) - (1 << 26), Direction::Ascending).expect("a size").map(|q| q.value()).collect();
    assert!(!last.is_empty() && last.iter().all(|&q| q < 1 << 50) && last.is_sorted());
}

/// The largest primes below a power of two are distinct, in descending order and 1 mod 2N; if there
/// are too few, an error says so.
#[test]
fn primes_below_a_size() {
    let primes = below_bits(16, 45, 30).expect("enough");
    assert_eq!(primes.len(), 30);
    assert!(primes.windows(2).all(|pair| pair[0].value() > pair[1].value()));
    assert!(primes[0].value() < 1 << 45 && primes.iter().all(|q| q.value() % (1 << 17) == 1));
    assert_eq!(below_bits(17, 23, 3).map(|primes| primes.len()), Ok(3));
    assert_eq!(below_bits(17, 23, 4), Err(Error::NotEnoughPrimes { found: 3, wanted: 4 }));
    // 97 = 1 mod 32 has 7 bits, and no prime below 2^5 is 1 mod 32, so 6 bits are the fewest to ask
    // for.
    assert_eq!(below_bits(4, 6, 1), Err(Error::NotEnoughPrimes { found: 0, wanted: 1 }));
    assert_eq!(below_bits(4, 7, 1).map(|primes| primes[0].value()), Ok(97));
    // 3 = 1 mod 2 is the smallest of all, with 2 bits.
    assert_eq!(below_bits(0, 2, 1).map(|primes| primes[0].value()), Ok(3));
    let largest = (1..1 << 50).rev().find(|&n| n % (1 << 15) == 1 && is_prime(n));
    assert_eq!(below_bits(14, 50, 1).ok().map(|primes| primes[0].value()), largest);
}

/// Sizes and degrees outside the range of the search are refused with their value and the range,
/// and not replaced by the nearest ones that would do.
#[test]
fn prime_search_refuses_other_sizes_and_degrees() {
    for (log_n, bits, count) in
        [(14, 51, 1), (14, 60, 1), (14, 63, 1), (14, 64, 1), (16, u32::MAX, 0), (14, 15, 1), (4, 5, 1)]
            .into_iter()
            .chain([(4, 0, 1), (0, 1, 1), (17, 18, 0)])
    {
        let (value, min) = (bits as usize, log_n as usize + 2);
        let error = below_bits(log_n, bits, count).expect_err("no such primes");
        assert_eq!(error, Error::Count { what: "bits of a prime", value, min, max: 50 });
        assert_eq!(error.to_string(), format!("{bits} bits of a prime: must be from {min} to 50"));
    }
    for direction in [Direction::Ascending, Direction::Descending] {
        for size in [(1 << 50) + 1, 1 << 60, u64::MAX] {
            let error = NttPrimes::new(14, size, direction).expect_err("no such moduli");
            assert_eq!(error, Error::PrimeSize { size });
            assert_eq!(error.to_string(), format!("primes near {size}: all moduli are below 2^50, start there"));
        }
        for log_n in [18, 62, 63, u32::MAX] {
            assert_eq!(NttPrimes::new(log_n, 1 << 40, direction).map(|_| ()), Err(Error::RingDegree { log_n }));
            assert_eq!(below_bits(log_n, 40, 1), Err(Error::RingDegree { log_n }));
        }
    }
}

/// Powers and inverses of a number that is not below q are those of its residue.
#[test]
fn powers_of_any_number() {
    for q in [3, 97, (1 << 50) - 27] {
        let m = Modulus::new(q).expect("prime");
        for a in edges(q).into_iter().chain([q, q + 1, 2 * q, 2 * q + 2, u64::MAX - u64::MAX % q, u64::MAX]) {
            for e in [0, 1, 2, 3, q - 2, q - 1] {
                assert_eq!(m.pow_vartime(a, e), m.pow_vartime(a % q, e), "{a}^{e} mod {q}");
            }
            let product = m.inv(a).map(|inverse| u128::from(inverse) * u128::from(a % q) % u128::from(q));
            assert_eq!(product, (!a.is_multiple_of(q)).then_some(1), "1/{a} mod {q}");
        }
    }
}
