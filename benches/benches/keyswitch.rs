//! Key-switching and its hoisted parts, by shape and ISA.

mod common;

use std::time::Duration;

use common::ThreadTime;
use criterion::{BenchmarkId, Criterion, SamplingMode, criterion_group, criterion_main};
use hetal_benches::cases::{KeySwitch, Shape};
use hetal_benches::setup::default_isas;

const LOG_N: u32 = 16;

fn keyswitch(criterion: &mut Criterion<ThreadTime>) {
    for shape in Shape::ALL {
        let Shape { limbs, special, alpha } = shape;
        let mut group =
            criterion.benchmark_group(format!("keyswitch/{limbs}+{special} in digits of {alpha}/{}", 1 << LOG_N));
        group.sampling_mode(SamplingMode::Flat).sample_size(10).measurement_time(Duration::from_millis(1500));
        for isa in default_isas() {
            let mut case = KeySwitch::new(LOG_N, shape, isa).expect("the primes exist");
            case.check().expect("the results are right");
            group.bench_function(BenchmarkId::new("switch", isa), |b| b.iter(|| case.switch()));
            group.bench_function(BenchmarkId::new("decompose", isa), |b| b.iter(|| case.decompose()));
            group.bench_function(BenchmarkId::new("accumulate", isa), |b| b.iter(|| case.accumulate()));
            group.bench_function(BenchmarkId::new("mod_down", isa), |b| b.iter(|| case.mod_down()));
            group.bench_function(BenchmarkId::new("ntts", isa), |b| b.iter(|| case.ntts(shape.ntts())));
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = common::criterion();
    targets = keyswitch
}
criterion_main!(benches);
