//! Transforms by ring degree and ISA, and the transforms of tfhe-ntt for comparison.

mod common;

use common::ThreadTime;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hetal_benches::cases::Transforms;
use hetal_benches::peer;
use hetal_benches::setup::default_isas;

fn ntt(criterion: &mut Criterion<ThreadTime>) {
    for log_n in 12..=16 {
        let mut group = criterion.benchmark_group(format!("ntt/{}", 1 << log_n));
        group.throughput(Throughput::Elements(1 << log_n));
        let mut peer_done = false;
        for isa in default_isas() {
            let mut case = Transforms::new(log_n, isa).expect("the primes exist");
            case.check().expect("the results agree");
            let name = case.table().isa().name();
            group.bench_function(BenchmarkId::new("forward", name), |b| b.iter(|| case.forward()));
            group.bench_function(BenchmarkId::new("forward_u64", name), |b| b.iter(|| case.forward_u64()));
            group.bench_function(BenchmarkId::new("inverse", name), |b| b.iter(|| case.inverse()));
            group.bench_function(BenchmarkId::new("inverse_u64", name), |b| b.iter(|| case.inverse_u64()));
            if !std::mem::replace(&mut peer_done, true) {
                let name = peer::name(case.plan());
                group.bench_function(BenchmarkId::new("forward", &name), |b| b.iter(|| case.peer_forward()));
                group.bench_function(BenchmarkId::new("inverse", &name), |b| b.iter(|| case.peer_inverse_normalised()));
            }
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = common::criterion();
    targets = ntt
}
criterion_main!(benches);
