//! The choice of the digits and the number of special primes of a key-switching key, by its level.

/// The number of limbs in a digit and the number of special primes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GadgetShape {
    /// The number k of special primes; they are the first ones of the parameters.
    pub special: usize,
    /// The number α of limbs in a digit.
    pub alpha: usize,
}

/// The number of bits by which P exceeds every digit. The noise of a key switch, √(D·N/12)·σ·Q_d/P,
/// is then below that of the rounding, √(N/18), for up to 16 digits.
const MARGIN: u32 = 5;

/// Returns the shape with the least estimated time for a key switch at `q_bits.len()` limbs.
pub(super) fn choose(q_bits: &[u32], p_bits: &[u32]) -> GadgetShape {
    let fits = |shape: &GadgetShape| {
        let p: u32 = p_bits[..shape.special].iter().sum();
        q_bits.chunks(shape.alpha).all(|digit| digit.iter().sum::<u32>() + MARGIN <= p)
    };
    let shapes =
        (1..=p_bits.len()).flat_map(|special| (1..=q_bits.len()).map(move |alpha| GadgetShape { special, alpha }));
    shapes
        .filter(fits)
        .min_by(|a, b| cost(q_bits.len(), a).total_cmp(&cost(q_bits.len(), b)))
        // A digit of one limb fits under all special primes, without a margin:
        // the literal was checked for that.
        .unwrap_or(GadgetShape { special: p_bits.len(), alpha: 1 })
}

/// Estimates the time of a key switch at l limbs, in transforms. It is based on measured times of
/// the parts at N = 2^16 (see the kernel's benches): a term of a conversion takes 0.06 transforms,
/// and a term of the inner product 0.25.
fn cost(l: usize, &GadgetShape { special: k, alpha }: &GadgetShape) -> f64 {
    const CONVERSION: f64 = 0.06;
    const INNER: f64 = 0.25;
    let digits = l.div_ceil(alpha);
    let lifted = (digits * (l + k) - l) as f64;
    let mod_up = l as f64 + lifted * (1.0 + CONVERSION * (alpha + 1) as f64);
    let inner = INNER * (2 * digits * (l + k)) as f64;
    let mod_down = 2.0 * (k as f64 + l as f64 * (1.0 + CONVERSION * (k + 1) as f64));
    mod_up + inner + mod_down
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_by_level() {
        let q = [vec![50], vec![40; 17], vec![50; 12]].concat();
        let p = [50; 8];
        assert_eq!(choose(&q, &p), GadgetShape { special: 8, alpha: 8 });
        for limbs in 1..=q.len() {
            let shape = choose(&q[..limbs], &p);
            for (d, digit) in q[..limbs].chunks(shape.alpha).enumerate() {
                let (bits, special) = (digit.iter().sum::<u32>(), 50 * shape.special as u32);
                assert!(bits + 5 <= special, "limbs {limbs}, digit {d}: {bits} of {special} bits");
            }
        }
        // There is only one special prime, as large as the limbs: this leaves no margin,
        // but a key exists.
        assert_eq!(choose(&[50, 40], &[50]), GadgetShape { special: 1, alpha: 1 });
    }
}
