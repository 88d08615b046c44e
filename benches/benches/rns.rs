//! Base conversion and division by primes, by shape and ISA, and scalar code for comparison.

mod common;

use common::ThreadTime;
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use hetal_benches::cases::{Conversion, Division};
use hetal_benches::setup::default_isas;

const LOG_N: u32 = 16;

fn convert(criterion: &mut Criterion<ThreadTime>) {
    for limbs in Conversion::ALL {
        let [from, to] = limbs;
        let mut group = criterion.benchmark_group(format!("convert/{from}->{to}/{}", 1 << LOG_N));
        group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements((from * to) as u64 * (1 << LOG_N)));
        for (i, isa) in default_isas().into_iter().enumerate() {
            let mut case = Conversion::new(LOG_N, limbs, isa).expect("the primes exist");
            case.check().expect("the results agree");
            group.bench_function(BenchmarkId::new("fast", isa), |b| b.iter(|| case.fast()));
            group.bench_function(BenchmarkId::new("centred", isa), |b| b.iter(|| case.centred()));
            if i == 0 {
                group.bench_function(BenchmarkId::new("fast", "scalar u128"), |b| b.iter(|| case.peer_fast()));
                group.bench_function(BenchmarkId::new("centred", "scalar u128"), |b| b.iter(|| case.peer_centred()));
            }
        }
        group.finish();
    }
}

fn mod_down(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group(format!("mod_down/13+5/{}", 1 << LOG_N));
    group.sampling_mode(SamplingMode::Flat);
    for (i, isa) in default_isas().into_iter().enumerate() {
        let mut case = Division::new(LOG_N, [13, 5], isa).expect("the primes exist");
        case.check().expect("the results agree");
        group.bench_function(BenchmarkId::from_parameter(isa), |b| b.iter(|| case.divide()));
        if i == 0 {
            group.bench_function(BenchmarkId::from_parameter("tfhe-ntt and scalar u128"), |b| {
                b.iter(|| case.peer_divide());
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = common::criterion();
    targets = convert, mod_down
}
criterion_main!(benches);
