//! `hetal bench matmul`.

use std::sync::Arc;
use std::time::Instant;

use clap::{Args, ValueEnum};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use serde::Serialize;

use super::{Single, median};
use crate::base::error::{Error, Result, check_integer};
use crate::base::text;
use crate::circuits::Cost;
use crate::circuits::matrix::{
    ColMajor, Counts, DiagAbt, DiagAtb, Dimensions, Encrypted, JinAbt, JinAtb, Packing, Product, RowMajor, Shape,
    SkewAbt, SkewAtb, skew,
};
use crate::ckks::encoding::Encoder;
use crate::ckks::eval::Evaluator;
use crate::ckks::keys::{SecretKey, entropy};
use crate::ckks::params::Parameters;
use crate::cli::{announce, table};
use crate::measure::footprint;

/// The shapes in the tables of HETAL (the paper).
const SHAPES: [[usize; 3]; 5] = [[128, 128, 4], [256, 256, 8], [512, 769, 4], [1024, 769, 8], [2048, 769, 16]];

/// The products of Crockett and of Jin et al. are run whole only if their operands take
/// at most this many bytes.
const OPERANDS: usize = 2 << 30;

#[derive(Debug, Args)]
pub(in crate::cli) struct MatmulArgs {
    /// The parameters.
    #[arg(long, default_value = "n16")]
    preset: String,
    /// Rows, features and classes; the five of HETAL's tables by default.
    #[arg(long, value_name = "A,B,C", num_args = 1.., value_parser = shape)]
    shape: Vec<[usize; 3]>,
    /// Levels of both operands: that of HETAL's table and that of training.
    #[arg(long, value_name = "LEVEL,...", value_delimiter = ',', default_values_t = [12, 5])]
    levels: Vec<usize>,
    /// What to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Pair::value_variants().to_vec())]
    products: Vec<Pair>,
    /// Runs to take the median of, after one to warm up; 0 only counts.
    #[arg(long, default_value_t = 3)]
    repeat: usize,
    /// What takes longer is run once; of Crockett's and Jin's products only a part is, and its time
    /// multiplied by the ratio of operations.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    limit_seconds: f64,
}

/// Parses A, B and C, none of them zero.
fn shape(text: &str) -> std::result::Result<[usize; 3], String> {
    let sides: Vec<usize> = text.split(',').filter_map(|side| side.parse().ok().filter(|&side| side > 0)).collect();
    let three = sides.try_into().ok().filter(|_| text.split(',').count() == 3);
    three.ok_or_else(|| "three numbers are wanted, as in 512,769,4".to_owned())
}

/// A·Bᵀ and Aᵀ·B of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Pair {
    /// Ours: skewed, in the unit blocks with the fewest key-switches.
    Skew,
    /// `DiagABT` and `DiagATB` in the unit blocks with the fewest key-switches.
    DiagBest,
    /// `DiagABT` and `DiagATB` as HETAL has them.
    Diag,
    /// The same from operands that have as many levels more as it takes for the results to be at
    /// the levels of ours.
    DiagRaised,
    /// `ColMajor` and `RowMajor`.
    Crockett,
    /// Those of Jin et al.
    Jin,
}

impl Pair {
    const fn name(self) -> &'static str {
        match self {
            Self::Skew => "skewed",
            Self::DiagBest => "Diag, best unit",
            Self::Diag => "Diag",
            Self::DiagRaised => "Diag, as many levels left",
            Self::Crockett => "Crockett",
            Self::Jin => "Jin",
        }
    }
}

/// The two products of a kind.
#[derive(Clone, Copy, Debug)]
enum Side {
    /// A·Bᵀ.
    Abt,
    /// Aᵀ·B.
    Atb,
}

/// One product.
#[derive(Serialize)]
struct Row {
    shape: [usize; 3],
    level: usize,
    pair: &'static str,
    product: &'static str,
    unit: [usize; 2],
    constants: u64,
    products: u64,
    rotations: u64,
    conjugations: u64,
    relinearisations: u64,
    output_level: usize,
    keys: usize,
    key_bytes: usize,
    #[serde(flatten)]
    timing: Option<Timing>,
    /// The time divided by that of hetal's product.
    speedup: Option<f64>,
}

/// The measurement of a product.
#[derive(Clone, Copy, Serialize)]
struct Timing {
    seconds: f64,
    /// The time on one thread, for the products of hetal and of HETAL (the paper),
    /// if there are more threads.
    one_thread_seconds: Option<f64>,
    runs: usize,
    /// The shape that was run, if the seconds are extrapolated from it by the ratio of operations;
    /// the errors are then those of this part.
    extrapolated_from: Option<[usize; 3]>,
    max_error: f64,
    mean_error: f64,
}

/// Both products of one kind.
#[derive(Serialize)]
struct PairLine {
    shape: [usize; 3],
    level: usize,
    both: &'static str,
    key_switches: u64,
    seconds: f64,
    extrapolated: bool,
    max_error: f64,
    speedup: Option<f64>,
}

/// The summary at the end.
#[derive(Serialize)]
struct EndLine {
    preset: String,
    threads: usize,
    peak_bytes: Option<usize>,
}

impl MatmulArgs {
    pub(super) fn run(&self, json: bool) -> Result<()> {
        let params = Parameters::preset(&self.preset)?;
        let shapes = if self.shape.is_empty() { &SHAPES[..] } else { &self.shape };
        for &level in &self.levels {
            params.check_level(level)?;
            for &[a, b, c] in shapes.iter().filter(|_| self.products.contains(&Pair::DiagRaised)) {
                let what = "level of operands for diag-raised (lower --levels, or leave it out of --products)";
                let levels = raised(Dimensions::new(a, b, c), params.slots(), level)?;
                levels.into_iter().try_for_each(|level| check_integer(what, level, 0, params.max_level()))?;
            }
        }
        announce(&params, json);
        let mut rng = entropy()?;
        let secret = SecretKey::generate(&params, &mut rng)?;
        let single = Single::new()?;
        let mut session = Session { encoder: Encoder::new(&params), params, secret, rng, single, args: self };
        // hetal's product is first, as the others are compared with it.
        let pairs = Pair::value_variants().iter().filter(|pair| self.products.contains(pair));
        let pairs: Vec<_> = pairs.copied().collect();
        for (&shape, &level) in shapes.iter().flat_map(|shape| self.levels.iter().map(move |level| (shape, level))) {
            let mut rows: Vec<[Row; 2]> = Vec::new();
            for &pair in &pairs {
                let mut both = session.pair(pair, shape, level)?;
                let ours = rows.first().filter(|[first, _]| first.pair == Pair::Skew.name());
                for (i, row) in both.iter_mut().enumerate() {
                    let of = |row: &Row| row.timing.map(|timing| timing.seconds);
                    row.speedup = of(row).zip(ours.and_then(|ours| of(&ours[i]))).map(|(a, b)| a / b);
                }
                if json {
                    both.iter().for_each(table::json);
                }
                rows.push(both);
            }
            let both = pair_lines(level, &rows);
            if json {
                both.iter().for_each(table::json);
            } else {
                print(shape, level, &rows, &both);
            }
        }
        let end = EndLine {
            preset: self.preset.clone(),
            threads: rayon::current_num_threads(),
            peak_bytes: footprint::peak().ok(),
        };
        if json {
            table::json(&end);
        } else {
            let peak = end.peak_bytes.map_or_else(|| "unknown".to_owned(), text::bytes);
            println!("{} threads; peak memory {peak}", end.threads);
        }
        Ok(())
    }
}

/// Returns lines for both products together, for every kind whose products were timed.
fn pair_lines(level: usize, rows: &[[Row; 2]]) -> Vec<PairLine> {
    let mut lines: Vec<PairLine> = Vec::new();
    for [abt, atb] in rows {
        let (Some(first), Some(second)) = (abt.timing, atb.timing) else { continue };
        let seconds = first.seconds + second.seconds;
        let ours = lines.first().filter(|first| first.both == Pair::Skew.name());
        let speedup = ours.map(|ours| seconds / ours.seconds);
        let switches = |row: &Row| row.rotations + row.conjugations + row.relinearisations;
        lines.push(PairLine {
            shape: abt.shape,
            level,
            both: abt.pair,
            key_switches: switches(abt) + switches(atb),
            seconds,
            extrapolated: first.extrapolated_from.or(second.extrapolated_from).is_some(),
            max_error: first.max_error.max(second.max_error),
            speedup,
        });
    }
    lines
}

fn print(shape: [usize; 3], level: usize, rows: &[[Row; 2]], both: &[PairLine]) {
    let [a, b, c] = shape;
    println!("\n({a}, {b}, {c}) at level {level}");
    let number = |x: Option<f64>, digits: usize| x.map_or_else(|| "-".to_owned(), |x| format!("{x:.digits$}"));
    let cells = rows.iter().flatten().map(|row| {
        let name = if row.pair == Pair::DiagBest.name() {
            format!("{}, best unit", row.product)
        } else if row.level > level {
            format!("{} from level {}", row.product, row.level)
        } else {
            row.product.to_owned()
        };
        let unit = format!("{}x{}", row.unit[0], row.unit[1]);
        let counts = [row.constants, row.products, row.rotations, row.conjugations, row.relinearisations];
        let error =
            |of: fn(Timing) -> f64| row.timing.map_or_else(|| "-".to_owned(), |timing| format!("{:.1e}", of(timing)));
        let threads = row.timing.and_then(|timing| Some(timing.one_thread_seconds? / timing.seconds));
        let from = row.timing.and_then(|timing| timing.extrapolated_from);
        let from = from.map_or_else(String::new, |[a, b, c]| format!("({a}, {b}, {c})"));
        [
            vec![name, unit],
            counts.map(|count| count.to_string()).to_vec(),
            vec![
                row.output_level.to_string(),
                text::bytes(row.key_bytes),
                number(row.timing.map(|timing| timing.seconds), 3),
            ],
            vec![
                error(|timing| timing.max_error),
                error(|timing| timing.mean_error),
                number(row.speedup, 1),
                number(threads, 2),
            ],
            vec![from],
        ]
        .concat()
    });
    let names = [
        "product",
        "unit",
        "CMult",
        "Mult",
        "Rot",
        "Conj",
        "Relin",
        "to level",
        "keys",
        "seconds",
        "max error",
        "mean error",
    ];
    table::print(
        &[&names[..], &["ours faster by", "over one thread", "extrapolated from"]].concat(),
        &cells.collect::<Vec<_>>(),
    );
    for line in both {
        let speedup = line.speedup.map_or_else(String::new, |speedup| format!(", {speedup:.1} times ours"));
        let how = if line.extrapolated { " (extrapolated)" } else { "" };
        println!("both, {}: {} key-switches, {:.3} s{how}{speedup}", line.both, line.key_switches, line.seconds);
    }
}

/// The number of features up to which a part of Jin's products goes.
const PART: usize = 16;

/// The state that all products share.
struct Session<'a> {
    params: Parameters,
    encoder: Encoder,
    secret: SecretKey,
    rng: ChaCha20Rng,
    single: Single,
    args: &'a MatmulArgs,
}

impl Session<'_> {
    fn pair(&mut self, pair: Pair, [a, b, c]: [usize; 3], level: usize) -> Result<[Row; 2]> {
        use Side::{Abt, Atb};
        let (dims, slots) = (Dimensions::new(a, b, c), self.params.slots());
        let one_class = Dimensions::new(a, b, 1);
        let few = Dimensions::new(a, b.min(PART), 1);
        let mut case = Case { session: self, pair, dims, level };
        Ok(match pair {
            Pair::Skew => {
                let (abt, atb) = skewed(dims, slots)?;
                [case.row(Abt, &abt, None)?, case.row(Atb, &atb, None)?]
            }
            Pair::DiagRaised => {
                let (unit, [abt, atb]) = (dims.unit(slots)?, raised(dims, slots, level)?);
                case.level = abt;
                let first = case.row(Abt, &DiagAbt::new(dims, unit)?, None)?;
                case.level = atb;
                [first, case.row(Atb, &DiagAtb::new(dims, unit)?, None)?]
            }
            Pair::DiagBest | Pair::Diag => {
                let unit = if pair == Pair::Diag { dims.unit(slots)? } else { best_diag_unit(dims, slots, level)? };
                [case.row(Abt, &DiagAbt::new(dims, unit)?, None)?, case.row(Atb, &DiagAtb::new(dims, unit)?, None)?]
            }
            Pair::Crockett => {
                let unit = dims.unit(slots)?;
                [
                    case.row(Abt, &ColMajor::new(dims, unit)?, Some((&ColMajor::new(one_class, unit)?, one_class)))?,
                    case.row(Atb, &RowMajor::new(dims, unit)?, Some((&RowMajor::new(one_class, unit)?, one_class)))?,
                ]
            }
            Pair::Jin => [
                case.row(Abt, &JinAbt::new(dims, slots)?, Some((&JinAbt::new(few, slots)?, few)))?,
                case.row(Atb, &JinAtb::new(dims, slots)?, Some((&JinAtb::new(few, slots)?, few)))?,
            ],
        })
    }

    fn matrix(&mut self, shape: Shape) -> Vec<f64> {
        (0..shape.len()).map(|_| (self.rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64).collect()
    }

    /// Runs a product with exactly the keys that it needs; if `alone`, also on one thread.
    /// Measures the seconds, and the largest and the mean error.
    fn time(&mut self, side: Side, product: &(impl Product + Sync), level: usize, alone: bool) -> Result<Timing> {
        let [left, right, _] = product.packings();
        let plan = product.plan(self.params.slots(), [level; 2])?;
        let keys = self.secret.evaluation_keys(plan.requests(), &mut self.rng)?;
        let evaluator = Evaluator::new(&self.params, Arc::new(keys));
        let slots = Encrypted::new(&evaluator);
        let [a, b] = [self.matrix(left.shape()), self.matrix(right.shape())];
        let mut encrypt = |packing: Packing, values: &[f64]| {
            packing.pack(values)?.encrypt(&self.encoder, &self.secret, level, &mut self.rng)
        };
        let (x, y) = (encrypt(left, &a)?, encrypt(right, &b)?);
        let timed = || {
            let clock = Instant::now();
            let result = product.evaluate(&slots, &x, &y)?;
            Ok::<_, Error>((clock.elapsed().as_secs_f64(), result))
        };
        let (warm_up, result) = timed()?;
        let repeated = if warm_up > self.args.limit_seconds { 0 } else { self.args.repeat };
        let (mut seconds, mut one_thread) = (Vec::new(), Vec::new());
        for _ in 0..repeated {
            seconds.push(timed()?.0);
            // The two are timed in turn: whatever slows the machine for a while then slows both.
            if alone {
                one_thread.extend(self.single.run(|| Ok(timed()?.0))?);
            }
        }
        if seconds.is_empty() {
            seconds.push(warm_up);
        }
        let found = result.decrypt(&self.encoder, &self.secret)?.unpack();
        let wanted = plain(side, left.shape(), &a, right.shape(), &b);
        let errors = || found.iter().zip(&wanted).map(|(found, wanted)| (found - wanted).abs());
        Ok(Timing {
            runs: seconds.len(),
            seconds: median(seconds),
            one_thread_seconds: (!one_thread.is_empty()).then(|| median(one_thread)),
            extrapolated_from: None,
            max_error: errors().fold(0.0, f64::max),
            mean_error: errors().sum::<f64>() / wanted.len() as f64,
        })
    }
}

/// Computes A·Bᵀ or Aᵀ·B on plain numbers.
fn plain(side: Side, left: Shape, a: &[f64], right: Shape, b: &[f64]) -> Vec<f64> {
    // The strides to the next row of the result, and to the next term of a sum.
    let steps = |shape: Shape| match side {
        Side::Abt => (shape.rows, [shape.cols, 1]),
        Side::Atb => (shape.cols, [1, shape.cols]),
    };
    let ((rows, [down, along]), (cols, [right_down, right_along])) = (steps(left), steps(right));
    let inner = left.len() / rows;
    let entry =
        |i: usize, j: usize| (0..inner).map(|k| a[i * down + k * along] * b[j * right_down + k * right_along]).sum();
    (0..rows * cols).map(|at| entry(at / cols, at % cols)).collect()
}

/// Returns hetal's products in the unit blocks with the fewest key-switches.
fn skewed(dims: Dimensions, slots: usize) -> Result<(SkewAbt, SkewAtb)> {
    let unit = skew::best_unit(dims, slots)?;
    Ok((SkewAbt::new(dims, unit)?, SkewAtb::new(dims, unit)?))
}

/// Returns the levels of operands from which the products of HETAL (the paper) end at the same
/// levels as hetal's products from `level`.
fn raised(dims: Dimensions, slots: usize, level: usize) -> Result<[usize; 2]> {
    fn used(product: &impl Product, slots: usize, level: usize) -> Result<usize> {
        Ok(level - product.plan(slots, [level; 2])?.level)
    }
    let (unit, (abt, atb)) = (dims.unit(slots)?, skewed(dims, slots)?);
    Ok([
        level + used(&DiagAbt::new(dims, unit)?, slots, level)? - used(&abt, slots, level)?,
        level + used(&DiagAtb::new(dims, unit)?, slots, level)? - used(&atb, slots, level)?,
    ])
}

/// Returns the unit block with which the two products of HETAL (the paper) together have
/// the fewest key-switches.
fn best_diag_unit(dims: Dimensions, slots: usize, level: usize) -> Result<Shape> {
    let (period, mut best) = (dims.period(), (u64::MAX, dims.unit(slots)?));
    for rows in (period.ilog2()..=(slots / period).ilog2()).map(|log| 1 << log) {
        let unit = Shape::new(rows, slots / rows);
        let counts = DiagAbt::new(dims, unit)?.counts([level; 2]) + DiagAtb::new(dims, unit)?.counts([level; 2]);
        if counts.key_switches() < best.0 {
            best = (counts.key_switches(), unit);
        }
    }
    Ok(best.1)
}

/// Returns the cost of operations at a level, in transforms.
fn work(params: &Parameters, level: usize, counts: Counts) -> f64 {
    let limbs = level as u64 + 1;
    let key_switch = Cost::key_switch(level, params.gadget_shape(level), 0);
    let product = Cost { products: 4 * limbs, ..Cost::default() };
    let constant = Cost { products: 2 * limbs, ..Cost::division(2, level, 1) };
    (key_switch * counts.key_switches() + product * counts.products + constant * counts.constants).in_transforms()
}

/// One kind of products for one shape at one level.
struct Case<'a, 'b> {
    session: &'a mut Session<'b>,
    pair: Pair,
    dims: Dimensions,
    level: usize,
}

impl Case<'_, '_> {
    /// Counts a product and runs it; if that would take too long, runs a part of it.
    fn row<P: Product + Sync>(&mut self, side: Side, product: &P, part: Option<(&P, Dimensions)>) -> Result<Row> {
        let (dims, level, params) = (self.dims, self.level, self.session.params.clone());
        let (counts, unit) = (product.counts([level; 2]), product.packings()[0].unit());
        let plan = product.plan(params.slots(), [level; 2])?;
        let requests = plan.requests();
        let mut row = Row {
            shape: [dims.rows, dims.features, dims.classes],
            level,
            pair: self.pair.name(),
            product: product.name(),
            unit: [unit.rows, unit.cols],
            constants: counts.constants,
            products: counts.products,
            rotations: counts.rotations,
            conjugations: counts.conjugations,
            relinearisations: counts.relinearisations,
            output_level: plan.level,
            keys: requests.plan(&params)?.len(),
            key_bytes: requests.memory_bytes(&params)?,
            timing: None,
            speedup: None,
        };
        if self.session.args.repeat == 0 {
            return Ok(row);
        }
        eprintln!(
            "{:?} at level {level}: {} ({}), {} key-switches, keys of {}",
            row.shape,
            row.product,
            row.pair,
            counts.key_switches(),
            text::bytes(row.key_bytes)
        );
        if let Some((part, of)) = part {
            let timing = self.session.time(side, part, level, false)?;
            let ratio = work(&params, level, counts) / work(&params, level, part.counts([level; 2]));
            let seconds = timing.seconds * ratio;
            let [left, right, _] = product.packings().map(|packing| packing.grid().len());
            let operands = (left + right) * 2 * (level + 1) * params.n() * size_of::<u64>();
            if seconds > self.session.args.limit_seconds || operands > OPERANDS {
                let extrapolated_from = Some([of.rows, of.features, of.classes]);
                row.timing = Some(Timing { seconds, extrapolated_from, ..timing });
                return Ok(row);
            }
        }
        let alone = part.is_none();
        row.timing = Some(self.session.time(side, product, level, alone)?);
        Ok(row)
    }
}
