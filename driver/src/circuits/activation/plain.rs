//! Plain numbers: a simulation with the same approximations and without noise.

use super::{Layout, Softmax, Vectors};
use crate::base::error::{Error, Result, check_count};
use crate::circuits::Chebyshev;

/// Computes with `f64` slots. Bootstrapping does not change them.
#[derive(Clone, Debug)]
pub struct Plain {
    layout: Layout,
}

impl Plain {
    /// Creates a simulation for this layout.
    #[must_use]
    pub const fn new(layout: Layout) -> Self {
        Self { layout }
    }

    /// Computes the softmax of rows by a variant.
    ///
    /// # Errors
    /// [`Error::Count`] if the number of classes is not the variant's,
    /// or if rows have different lengths; [`Error::Range`] if there are no rows.
    pub fn softmax(variant: &impl Softmax, rows: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
        let classes = rows.first().map_or(0, Vec::len);
        rows.iter().try_for_each(|row| check_count("classes", row.len(), classes))?;
        let slots = (rows.len() * classes.next_power_of_two()).next_power_of_two();
        let layout = Layout::strided(slots, rows.len(), classes)?;
        let out = variant.run(&Self::new(layout), layout.fill(|row, class| rows[row][class], 0.0))?;
        let row = |row| (0..classes).map(|class| out[layout.slot(row, class)]).collect();
        Ok((0..rows.len()).map(row).collect())
    }
}

fn zip(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    assert_eq!(a.len(), b.len(), "vectors of different lengths");
    a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect()
}

impl Vectors for Plain {
    type Vector = Vec<f64>;

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn add(&self, a: &Vec<f64>, b: &Vec<f64>) -> Result<Vec<f64>> {
        Ok(zip(a, b, |a, b| a + b))
    }

    fn sub(&self, a: &Vec<f64>, b: &Vec<f64>) -> Result<Vec<f64>> {
        Ok(zip(a, b, |a, b| a - b))
    }

    fn mul(&self, a: &Vec<f64>, b: &Vec<f64>) -> Result<Vec<f64>> {
        Ok(zip(a, b, |a, b| a * b))
    }

    fn mul_slots(&self, a: &Vec<f64>, constants: &[f64]) -> Result<Vec<f64>> {
        Ok(zip(a, constants, |a, b| a * b))
    }

    fn add_slots(&self, a: &Vec<f64>, constants: &[f64]) -> Result<Vec<f64>> {
        Ok(zip(a, constants, |a, b| a + b))
    }

    fn polynomial(&self, a: &Vec<f64>, p: &Chebyshev) -> Result<Vec<f64>> {
        Ok(a.iter().map(|&x| p.evaluate(x)).collect())
    }

    fn rotate(&self, a: &Vec<f64>, k: i64) -> Result<Vec<f64>> {
        let n = a.len();
        let by = (k * self.layout.stride() as i64).rem_euclid(n as i64) as usize;
        Ok((0..n).map(|i| a[(i + by) % n]).collect())
    }

    fn checkpoint_amplified(&self, live: &mut [(&mut Vec<f64>, f64)], _: u32) -> Result<()> {
        for (x, bound) in live {
            // A value beyond its bound would wrap around in a bootstrapping.
            if let Some(&value) = x.iter().find(|x| x.abs() > *bound * (1.0 + 1e-9)) {
                return Err(Error::Range { what: "a value to bootstrap", value, min: -*bound, max: *bound });
            }
        }
        Ok(())
    }
}
