//! Shows how a project with residues in its own `Vec<u64>` multiplies polynomials:
//! `cargo run --release --example embed`.

use hetal_kernel::{Error, NttTable, primes};

fn main() -> Result<(), Error> {
    let log_n = 14;
    let q = primes::below_bits(log_n, 50, 1)?[0]; // or Modulus::new(your prime)
    let table = NttTable::new(q, log_n)?; // once per prime; shared by all threads

    // a = 1 − X^(N−1) and b = 2 + X, as canonical residues in [0, q).
    let (mut a, mut b) = (vec![0; table.n()], vec![0; table.n()]);
    (a[0], a[table.n() - 1]) = (1, q.value() - 1);
    (b[0], b[1]) = (2, 1);

    table.forward_u64(&mut a);
    table.forward_u64(&mut b);
    table.mul_assign_u64(&mut a, &b);
    table.inverse_u64(&mut a);

    // X^N = −1, so −X^(N−1)·X = 1: the product is 3 + X − 2·X^(N−1).
    assert_eq!((a[0], a[1], a[table.n() - 1]), (3, 1, q.value() - 2));
    println!("N = {}, q = {}, {}: (1 - X^(N-1)) (2 + X) = {} + X - 2 X^(N-1)", table.n(), q.value(), table.isa(), a[0]);
    Ok(())
}
