//! Tests of matrix products: exact slot by slot against plain linear algebra, encrypted, and
//! counted.

mod common;

use common::{Setup, below, config, distance, rng, unit};
use hetal::circuits::matrix::skew::best_unit;
use hetal::circuits::matrix::{
    BlockMatrix, ColMajor, Counts, DiagAbt, DiagAtb, Dimensions, Dry, Encrypted, JinAbt, JinAtb, Layout, Packing,
    Plain, PlainVector, Product, Recorded, RowMajor, Shape, SkewAbt, SkewAtb, Slots, ops,
};
use hetal::{Complex64, Error};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;

/// The slots of N = 2^16.
const SLOTS: usize = 1 << 15;
/// The error of sums of up to 2^9 products of numbers below 1, in double precision.
const EXACT: f64 = 1e-11;
/// The error allowed in an encrypted product at N = 2^11 or less: four times the largest that these
/// products, with their seeds, have been seen to leave. A rotation or a rounding at N = 2^11 and a
/// scale of 2^40 leaves an error near 2^−30 in a slot. Folds over up to 2^7 slots and sums over
/// classes multiply it by less than 2^5.
const ENCRYPTED: f64 = 1.0 / (1u64 << 23) as f64;

/// The same at N = 2^16: roundings are larger by 2^5, half of it from the secret, and folds go over
/// up to 2^9 slots.
const AT_N16: f64 = 1.0 / (1u64 << 15) as f64;

fn matrix(shape: Shape, rng: &mut ChaCha20Rng) -> Vec<f64> {
    (0..shape.len()).map(|_| unit(rng)).collect()
}

fn transposed(shape: Shape, a: &[f64]) -> Vec<f64> {
    (0..shape.len()).map(|at| a[at % shape.rows * shape.cols + at / shape.rows]).collect()
}

/// Returns A·Bᵀ of matrices with `inner` columns.
fn multiplied(a: &[f64], b: &[f64], inner: usize) -> Vec<f64> {
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum();
    a.chunks(inner).flat_map(|x| b.chunks(inner).map(move |y| dot(x, y))).collect()
}

/// Returns the result, in plain linear algebra, of a product of two matrices that have the shapes
/// of its packings.
fn expected(product: &impl Product, a: &[f64], b: &[f64]) -> Vec<f64> {
    let [left, right, result] = product.packings().map(|packing| packing.shape());
    // Shapes cannot tell the products apart where rows, features and classes are equal in number.
    if matches!(product.name(), "DiagABT" | "skewed ABT" | "ColMajor" | "Jin ABT") {
        assert_eq!((result, left.cols), (Shape::new(left.rows, right.rows), right.cols));
        return multiplied(a, b, left.cols);
    }
    assert_eq!((result, left.rows), (Shape::new(left.cols, right.cols), right.rows));
    multiplied(&transposed(left, a), &transposed(right, b), left.rows)
}

fn operands(product: &impl Product, rng: &mut ChaCha20Rng) -> [Vec<f64>; 2] {
    let [left, right, _] = product.packings();
    [matrix(left.shape(), rng), matrix(right.shape(), rng)]
}

fn assert_near(what: &str, found: &[f64], wanted: &[f64], bound: f64) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    for (at, (x, y)) in found.iter().zip(wanted).enumerate() {
        assert!((x - y).abs() <= bound, "{what}: entry {at} is {x}, should be {y}: off by {:e}", (x - y).abs());
    }
}

/// Checks that the plain backend gives in every slot what packing the true result gives, and that
/// its operations are those of the formulas and of the plan.
fn check_plain(product: &impl Product, levels: [usize; 2], rng: &mut ChaCha20Rng) {
    let [left, right, result] = product.packings();
    let slots = left.unit().len();
    let [a, b] = operands(product, rng);
    let plain = |packing: Packing, values: &[f64], level| {
        let packed = packing.pack(values).expect("entries");
        packed.try_map(|block| Ok(PlainVector { values: block.clone(), level })).expect("blocks")
    };
    let recorded = Recorded::new(Plain { slots });
    let found =
        product.evaluate(&recorded, &plain(left, &a, levels[0]), &plain(right, &b, levels[1])).expect("a product");
    let wanted = result.pack(&expected(product, &a, &b)).expect("entries");
    let bound = EXACT * (left.shape().cols.max(left.shape().rows)) as f64;
    let plan = product.plan(slots, levels).expect("a plan");
    for (block, (found, wanted)) in found.blocks().iter().zip(wanted.blocks()).enumerate() {
        assert_eq!(found.level, plan.level, "{}", product.name());
        for (slot, (x, y)) in found.values.iter().zip(wanted).enumerate() {
            let what = (product.name(), left, block, slot);
            assert!((x - y).norm() <= bound, "{what:?}: {x} should be {y}");
        }
    }
    assert_eq!(recorded.record(), plan.record, "{}", product.name());
    assert_eq!(plan.record.counts, product.counts(levels), "{} {left:?}", product.name());
}

/// Returns (constants, products, rotations) by formula, after checking them against a run without
/// ciphertexts.
fn counted(product: &impl Product, levels: [usize; 2]) -> (u64, u64, u64) {
    let slots = product.packings()[0].unit().len();
    let counts = product.counts(levels);
    assert_eq!(product.plan(slots, levels).expect("a plan").record.counts, counts, "{}", product.name());
    (counts.constants, counts.products, counts.rotations)
}

/// The counts are those of the corrected Table 7 of HETAL (the paper).
#[test]
fn counts_are_those_of_the_table() {
    type Row = (u64, u64, u64);
    let table: [((usize, usize, usize), [Row; 7]); 5] = [
        ((128, 128, 4), [(0, 512, 0), (8, 4, 63), (4, 2, 34), (0, 512, 7680), (8, 4, 63), (4, 2, 18), (4, 2, 18)]),
        (
            (256, 256, 8),
            [(0, 2048, 0), (24, 16, 191), (8, 8, 64), (0, 2048, 30720), (24, 16, 191), (12, 8, 72), (15, 8, 75)],
        ),
        (
            (512, 769, 4),
            [(0, 3076, 0), (56, 52, 495), (4, 26, 50), (0, 3076, 46140), (56, 52, 495), (28, 26, 238), (40, 26, 250)],
        ),
        (
            (1024, 769, 8),
            [
                (0, 6152, 0),
                (208, 200, 2047),
                (8, 100, 140),
                (0, 6152, 92280),
                (208, 200, 2047),
                (104, 100, 1008),
                (176, 100, 1080),
            ],
        ),
        (
            (2048, 769, 16),
            [
                (0, 12304, 0),
                (800, 784, 8703),
                (16, 392, 456),
                (0, 12304, 184_560),
                (800, 784, 8703),
                (400, 392, 4328),
                (736, 392, 4664),
            ],
        ),
    ];
    for ((a, b, c), wanted) in table {
        let dims = Dimensions::new(a, b, c);
        let unit = dims.unit(SLOTS).expect("a unit block");
        assert_eq!(unit.rows, a);
        let found = [
            counted(&JinAbt::new(dims, SLOTS).expect("a product"), [8, 8]),
            counted(&ColMajor::new(dims, unit).expect("a product"), [8, 8]),
            counted(&DiagAbt::new(dims, unit).expect("a product"), [8, 8]),
            counted(&JinAtb::new(dims, SLOTS).expect("a product"), [8, 8]),
            counted(&RowMajor::new(dims, unit).expect("a product"), [8, 8]),
            counted(&DiagAtb::new(dims, unit).expect("a product"), [8, 8]),
            counted(&DiagAtb::new(dims, unit).expect("a product"), [7, 8]),
        ];
        assert_eq!(found, wanted, "{dims:?}");
    }
}

/// The skewed products with the best unit block take few key-switches. HETAL's products with one
/// relinearisation per sum take 330, 1278, 2530 and 5234.
#[test]
fn skewed_products_switch_few_keys() {
    let shapes = [
        ((512, 769, 4), 124, 330),
        ((1024, 769, 8), 210, 1278),
        ((1024, 769, 16), 327, 2530),
        ((2048, 769, 16), 451, 5234),
    ];
    for ((a, b, c), most, rival) in shapes {
        let dims = Dimensions::new(a, b, c);
        let unit = best_unit(dims, SLOTS).expect("a unit block");
        let (abt, atb) = (SkewAbt::new(dims, unit).expect("a product"), SkewAtb::new(dims, unit).expect("a product"));
        counted(&abt, [8, 8]);
        counted(&atb, [8, 8]);
        let switches = (abt.counts([8, 8]) + atb.counts([8, 8])).key_switches();
        println!("{dims:?}: {unit:?}, {} blocks, {switches} key-switches", abt.packings()[0].grid().len());
        assert!(switches <= most, "{dims:?}: {switches} key-switches");
        let hetal = dims.unit(SLOTS).expect("a unit block");
        let (abt, atb) = (DiagAbt::new(dims, hetal).expect("a product"), DiagAtb::new(dims, hetal).expect("a product"));
        assert_eq!((abt.counts([8, 8]) + atb.counts([8, 8])).key_switches(), rival, "{dims:?}");
    }
}

/// The levels that each product takes.
#[test]
fn depths() {
    fn depth(product: &impl Product, levels: [usize; 2]) -> usize {
        product.plan(512, levels).expect("a plan").depth()
    }
    let (dims, unit) = (Dimensions::new(30, 50, 5), Shape::new(16, 32));
    assert_eq!(depth(&DiagAbt::new(dims, unit).expect("a product"), [6, 6]), 3);
    assert_eq!(depth(&DiagAtb::new(dims, unit).expect("a product"), [6, 6]), 4);
    assert_eq!(depth(&DiagAtb::new(dims, unit).expect("a product"), [6, 7]), 3);
    assert_eq!(depth(&SkewAbt::new(dims, unit).expect("a product"), [6, 6]), 2);
    assert_eq!(depth(&SkewAtb::new(dims, unit).expect("a product"), [6, 6]), 1);
    assert_eq!(depth(&ColMajor::new(dims, unit).expect("a product"), [6, 6]), 3);
    assert_eq!(depth(&RowMajor::new(dims, unit).expect("a product"), [6, 6]), 3);
    assert_eq!(depth(&JinAbt::new(dims, 512).expect("a product"), [6, 6]), 1);
    assert_eq!(depth(&JinAtb::new(dims, 512).expect("a product"), [6, 6]), 1);
}

/// Plain products of ragged shapes: one row, one column, one class; as many rows as a block and one
/// more; blocks as narrow and as low as the classes allow.
#[test]
fn corners() {
    let mut rng = rng(1);
    for (rows, features, classes) in [(1, 1, 1), (1, 40, 3), (16, 1, 2), (17, 33, 1), (64, 3, 16), (65, 64, 15)] {
        let dims = Dimensions::new(rows, features, classes);
        let period = dims.period();
        for side in [period, 512 / period, 16] {
            let unit = Shape::new(side, 512 / side);
            if unit.rows.min(unit.cols) < period {
                continue;
            }
            check_plain(&DiagAbt::new(dims, unit).expect("a product"), [4, 4], &mut rng);
            check_plain(&DiagAtb::new(dims, unit).expect("a product"), [5, 5], &mut rng);
            check_plain(&DiagAtb::new(dims, unit).expect("a product"), [5, 6], &mut rng);
            check_plain(&SkewAbt::new(dims, unit).expect("a product"), [2, 2], &mut rng);
            check_plain(&SkewAtb::new(dims, unit).expect("a product"), [1, 1], &mut rng);
        }
    }
}

/// Returns a random shape of features and classes, and a unit block that the period fits.
fn problem(seed: u64, log_slots: u32) -> (Dimensions, Shape) {
    let mut rng = rng(seed);
    let classes = 1 + below(&mut rng, 9);
    let log_period = classes.next_power_of_two().max(2).ilog2();
    let log_rows = log_period + below(&mut rng, (log_slots - 2 * log_period) as usize + 1) as u32;
    let unit = Shape::new(1 << log_rows, 1 << (log_slots - log_rows));
    let rows = 1 + below(&mut rng, if seed.is_multiple_of(4) { 1 } else { 2 * unit.rows + 3 });
    let features = 1 + below(&mut rng, 3 * unit.cols);
    (Dimensions::new(rows.min(600), features.min(200), classes), unit)
}

proptest! {
    #![proptest_config(config(64))]

    /// The products of random shapes, on plain slots, against plain linear algebra.
    #[test]
    fn plain_products_are_exact(seed: u64) {
        let (dims, unit) = problem(seed, 9);
        let mut rng = rng(seed);
        check_plain(&DiagAbt::new(dims, unit).expect("a product"), [7, 8], &mut rng);
        for levels in [[8, 8], [9, 8], [8, 9], [7, 9]] {
            check_plain(&DiagAtb::new(dims, unit).expect("a product"), levels, &mut rng);
        }
        check_plain(&SkewAbt::new(dims, unit).expect("a product"), [5, 4], &mut rng);
        check_plain(&SkewAtb::new(dims, unit).expect("a product"), [5, 5], &mut rng);
    }

    /// The same for the rival products.
    #[test]
    fn plain_rivals_are_exact(seed: u64) {
        let (dims, unit) = problem(seed, 8);
        let mut rng = rng(seed);
        check_plain(&ColMajor::new(dims, unit).expect("a product"), [7, 7], &mut rng);
        check_plain(&RowMajor::new(dims, unit).expect("a product"), [7, 8], &mut rng);
        let few = Dimensions::new(dims.rows, dims.features.min(12), dims.classes);
        check_plain(&JinAbt::new(few, 32).expect("a product"), [1, 2], &mut rng);
        check_plain(&JinAtb::new(few, 32).expect("a product"), [1, 1], &mut rng);
    }

    /// Unpacking gives back the packed entries in every layout.
    #[test]
    fn packing_and_back(seed: u64) {
        let (dims, unit) = problem(seed, 9);
        let (period, mut rng) = (dims.period(), rng(seed));
        for (shape, layout) in [
            (dims.features_shape(), Layout::Blocks),
            (dims.features_shape(), Layout::Guarded(period)),
            (dims.weights_shape(), Layout::TiledRows(period)),
            (dims.weights_shape(), Layout::SkewedRows(period)),
            (dims.logits_shape(), Layout::TiledColumns(period)),
            (dims.logits_shape(), Layout::SkewedColumns(period)),
            (dims.logits_shape(), Layout::Replicated),
        ] {
            let packing = Packing::new(shape, unit, layout).expect("a packing");
            let values = matrix(shape, &mut rng);
            let packed = packing.pack(&values).expect("entries");
            prop_assert_eq!(packed.blocks().len(), packing.grid().len());
            assert_near("packing", &packed.unpack(), &values, EXACT);
        }
    }
}

/// Checks an encrypted product, with exactly the keys of the plan, against plain linear algebra;
/// its operations must be those of the plan.
fn check_encrypted(preset: &str, product: &impl Product, levels: [usize; 2], seed: u64) {
    let bound = if preset == "n16" { AT_N16 } else { ENCRYPTED };
    let mut rng = rng(seed);
    let slots = product.packings()[0].unit().len();
    let plan = product.plan(slots, levels).expect("a plan");
    let setup = Setup::new(preset, seed, |_| plan.requests().clone());
    let [a, b] = operands(product, &mut rng);
    let [left, right, result] = product.packings();
    let mut encrypt = |packing: Packing, values: &[f64], level| {
        packing
            .pack(values)
            .expect("entries")
            .encrypt(&setup.encoder, &setup.secret, level, &mut rng)
            .expect("encrypts")
    };
    let (x, y) = (encrypt(left, &a, levels[0]), encrypt(right, &b, levels[1]));
    let recorded = Recorded::new(Encrypted::new(&setup.evaluator));
    let product_blocks = product.evaluate(&recorded, &x, &y).expect("a product");
    assert_eq!(recorded.record(), plan.record, "{}", product.name());
    assert_eq!(
        product_blocks.memory_bytes(),
        product_blocks.blocks().iter().map(|block| block.memory_bytes()).sum::<usize>()
    );
    for block in product_blocks.blocks() {
        assert_eq!(block.level(), plan.level, "{}", product.name());
        let nominal = setup.params.scale(plan.level);
        assert!((block.scale() / nominal - 1.0).abs() < 1e-9, "{}: a scale that is not nominal", product.name());
    }
    // Every slot is compared, also those that are to be zero or to repeat others.
    let wanted = result.pack(&expected(product, &a, &b)).expect("entries");
    let found = product_blocks.decrypt(&setup.encoder, &setup.secret).expect("decrypts");
    let error = found.blocks().iter().zip(wanted.blocks()).map(|(x, y)| distance(x, y)).fold(0.0, f64::max);
    println!("{}: 2^{:.2}", product.name(), error.log2());
    assert!(error <= bound, "{}: off by 2^{:.2}", product.name(), error.log2());
}

/// The diagonal and the skewed products on ciphertexts, against plain linear algebra.
#[test]
fn encrypted_products() {
    let (dims, unit) = (Dimensions::new(20, 50, 3), Shape::new(16, 32));
    check_encrypted("test-10", &DiagAbt::new(dims, unit).expect("a product"), [5, 4], 1);
    check_encrypted("test-10", &DiagAtb::new(dims, unit).expect("a product"), [6, 5], 2);
    check_encrypted("test-10", &DiagAtb::new(dims, unit).expect("a product"), [5, 6], 3);
    check_encrypted("test-10", &SkewAbt::new(dims, unit).expect("a product"), [3, 4], 4);
    check_encrypted("test-10", &SkewAtb::new(dims, unit).expect("a product"), [2, 2], 5);
    let (dims, unit) = (Dimensions::new(33, 70, 7), Shape::new(32, 32));
    check_encrypted("test-11", &DiagAbt::new(dims, unit).expect("a product"), [4, 4], 6);
    check_encrypted("test-11", &DiagAtb::new(dims, unit).expect("a product"), [4, 5], 7);
    check_encrypted("test-11", &SkewAbt::new(dims, unit).expect("a product"), [3, 3], 8);
    check_encrypted("test-11", &SkewAtb::new(dims, unit).expect("a product"), [3, 2], 9);
}

/// The rival products on ciphertexts, against plain linear algebra.
#[test]
fn encrypted_rivals() {
    let (dims, unit) = (Dimensions::new(20, 40, 3), Shape::new(16, 32));
    check_encrypted("test-10", &ColMajor::new(dims, unit).expect("a product"), [4, 4], 1);
    check_encrypted("test-10", &RowMajor::new(dims, unit).expect("a product"), [4, 4], 2);
    let dims = Dimensions::new(20, 5, 3);
    check_encrypted("test-10", &JinAbt::new(dims, 512).expect("a product"), [2, 2], 3);
    check_encrypted("test-10", &JinAtb::new(dims, 512).expect("a product"), [2, 2], 4);
}

/// All products once at N = 2^16, with ragged shapes: rows over one and features over several
/// blocks, and a number of classes that is not a power of two.
#[test]
fn at_n16() {
    let dims = Dimensions::new(300, 150, 3);
    let unit = best_unit(dims, SLOTS).expect("a unit block");
    check_encrypted("n16", &SkewAbt::new(dims, unit).expect("a product"), [3, 4], 1);
    check_encrypted("n16", &SkewAtb::new(dims, unit).expect("a product"), [2, 3], 2);
    let unit = dims.unit(SLOTS).expect("a unit block");
    check_encrypted("n16", &DiagAbt::new(dims, unit).expect("a product"), [4, 4], 3);
    check_encrypted("n16", &DiagAtb::new(dims, unit).expect("a product"), [4, 5], 4);
    check_encrypted("n16", &ColMajor::new(dims, unit).expect("a product"), [4, 4], 5);
    check_encrypted("n16", &RowMajor::new(dims, unit).expect("a product"), [4, 4], 6);
    let few = Dimensions::new(300, 2, 3);
    check_encrypted("n16", &JinAbt::new(few, SLOTS).expect("a product"), [2, 2], 7);
    check_encrypted("n16", &JinAtb::new(few, SLOTS).expect("a product"), [2, 2], 8);
}

/// Every primitive against its definition on rows and columns.
#[test]
fn primitives() {
    let (unit_block, mut rng) = (Shape::new(8, 16), rng(5));
    let slots = Recorded::new(Plain { slots: unit_block.len() });
    let values: Vec<Complex64> = (0..unit_block.len()).map(|_| unit(&mut rng).into()).collect();
    let v = PlainVector { values, level: 2 };
    let at = |i: usize, j: usize| v.values[i % 8 * 16 + j % 16];
    let check = |what: &str, found: &PlainVector, wanted: &dyn Fn(usize, usize) -> Complex64| {
        for (slot, x) in found.values.iter().enumerate() {
            assert!((x - wanted(slot / 16, slot % 16)).norm() < EXACT, "{what}: slot {slot}");
        }
    };
    check("RotUp", &ops::rot_up(&slots, unit_block, &v, 3).expect("rotates"), &|i, j| at(i + 3, j));
    let mask = ops::rot_left_mask(&slots, unit_block, 2, 5).expect("a mask");
    let left = ops::rot_left(&slots, unit_block, &v, 5, &mask).expect("rotates");
    check("RotLeft", &left, &|i, j| at(i, j + 5));
    let mask = ops::prot_up_mask(&slots, unit_block, 2, 5).expect("a mask");
    let partly = ops::prot_up(&slots, unit_block, &v, &mask).expect("rotates");
    check("PRotUp", &partly, &|i, j| at(if j >= 11 { i + 1 } else { i }, j));
    let rows = ops::sum_rows(&slots, unit_block, v.clone()).expect("a sum");
    check("SumRows", &rows, &|_, j| (0..8).map(|i| at(i, j)).sum());
    let mask = ops::sum_cols_mask(&slots, unit_block, 2).expect("a mask");
    let cols = ops::sum_cols(&slots, unit_block, v.clone(), &mask).expect("a sum");
    check("SumCols", &cols, &|i, _| (0..16).map(|j| at(i, j)).sum());
    assert_eq!([&left, &partly, &rows, &cols].map(|v| v.level), [1, 1, 2, 1]);
    let wanted = Counts { constants: 3, rotations: 1 + 2 + 1 + 3 + 8, ..Counts::default() };
    assert_eq!(slots.record().counts, wanted);
}

/// Shapes, levels, layouts and sizes that do not fit are refused, and the error names the limit.
#[test]
fn refusals() {
    let (dims, unit) = (Dimensions::new(20, 40, 3), Shape::new(16, 32));
    let product = DiagAbt::new(dims, unit).expect("a product");
    assert_eq!(product.plan(1024, [4, 4]).unwrap_err(), Error::Slots { slots: 1024, max: 512 });
    for levels in 0..3 {
        let refused = product.plan(512, [levels; 2]).unwrap_err();
        assert!(matches!(refused, Error::NoLevelsLeft { .. }), "level {levels}: {refused}");
        let refused = DiagAtb::new(dims, unit).expect("a product").plan(512, [levels, levels]).unwrap_err();
        assert!(matches!(refused, Error::NoLevelsLeft { .. }), "level {levels}: {refused}");
    }
    let skewed = SkewAbt::new(dims, unit).expect("a product");
    assert!(matches!(skewed.plan(512, [1, 1]).unwrap_err(), Error::NoLevelsLeft { .. }));
    let [left, right, _] = skewed.packings();
    let matrix = |packing: Packing| BlockMatrix::new(packing, vec![4; packing.grid().len()]).expect("blocks");
    let refused = product.evaluate(&Dry { slots: 512 }, &matrix(left), &matrix(right)).unwrap_err();
    assert!(matches!(refused, Error::Malformed { .. }), "{refused}");
    assert!(
        matches!(BlockMatrix::new(left, vec![0; 99]), Err(Error::Count { wanted, found: 99, .. }) if wanted == left.grid().len())
    );
    assert!(matches!(left.pack(&[1.0]), Err(Error::Count { found: 1, wanted: 800, .. })));
    assert!(matches!(Packing::new(Shape::new(0, 1), unit, Layout::Blocks), Err(Error::Range { .. })));
    assert_eq!(
        Packing::new(Shape::new(2, 1), Shape::new(3, 4), Layout::Blocks),
        Err(Error::PowerOfTwo { what: "rows of a unit block", value: 3 })
    );
    // These numbers of entries and slots overflow.
    let huge = 1 << 40;
    for (shape, unit) in [(Shape::new(huge, huge), unit), (Shape::new(1, 1), Shape::new(huge, huge))] {
        assert!(matches!(Packing::new(shape, unit, Layout::Blocks), Err(Error::Range { .. })));
    }
    assert!(matches!(Packing::new(Shape::new(5, 1), unit, Layout::TiledRows(4)), Err(Error::Range { .. })));
    assert!(matches!(Packing::new(Shape::new(5, 9), unit, Layout::SkewedColumns(8)), Err(Error::Range { .. })));
    assert!(matches!(DiagAbt::new(Dimensions::new(4, 4, 17), unit), Err(Error::Range { .. })));
    for refused in [Dimensions::new(4, 4, 40).unit(512), best_unit(Dimensions::new(4, 4, 40), 512)] {
        assert!(matches!(refused, Err(Error::TooMany { what: "classes in both directions", found: 40, most: 16, .. })));
    }
    assert!(Dimensions::new(4, 4, 16).unit(512).is_ok() && best_unit(Dimensions::new(4, 4, 16), 512).is_ok());
    assert!(matches!(Dimensions::new(4, 4, 4).unit(500), Err(Error::Slots { slots: 500, .. })));
    let dry = Dry { slots: 8 };
    assert!(matches!(dry.dot(&[]), Err(Error::Count { .. })));
    assert_eq!(dry.add(&1, &2), Err(Error::LevelMismatch { left: 1, right: 2 }));
    assert_eq!(dry.lower(&1, 2), Err(Error::LowLevel { level: 1, needed: 2 }));
    let texts = [dry.add(&5, &3), dry.lower(&3, 5)].map(|refused| refused.unwrap_err().to_string());
    assert_eq!(texts[0], "levels differ: 5 and 3: bring both to one");
    assert!(texts[1].starts_with("level 3 where level 5 or a higher one is needed"), "{}", texts[1]);
}
