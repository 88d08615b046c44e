//! CKKS in one thread, at the level of 13 limbs and at the highest one.

mod common;

use std::time::Duration;

use common::ThreadTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, criterion_group, criterion_main};
use hetal_benches::ckks::{Circuits, Client, ClientOperation, Operation, Setup, pool};
use hetal_benches::timing::Clock;
use rayon::ThreadPool;

const PRESET: &str = "n16";

/// Measures `run` in the only thread of a pool, by the clock of that thread.
fn bench(group: &mut BenchmarkGroup<'_, ThreadTime>, pool: &ThreadPool, name: &str, mut run: impl FnMut() + Send) {
    group.bench_function(name, |b| {
        b.iter_custom(|times| pool.install(|| Clock::Thread.time(|| (0..times).for_each(|_| run()))));
    });
}

fn ckks(criterion: &mut Criterion<ThreadTime>) {
    let setup = Setup::new(PRESET).expect("the preset exists");
    let (pool, isa) = (pool(1).expect("there are threads"), setup.params().qp().isa());
    let name = |what: &str, limbs: usize| format!("{what}/{limbs} limbs/{}/{isa}", setup.params().n());
    for level in [12, setup.params().max_level()] {
        let mut case = Circuits::new(&setup, level).expect("the level exists");
        case.check().expect("the results are right");
        let mut group = criterion.benchmark_group(name("ckks", case.limbs()));
        group.sampling_mode(SamplingMode::Flat).sample_size(10).measurement_time(Duration::from_millis(1500));
        // The circuits come first, as in `compare`: they leave the allocator with memory for the
        // single steps.
        for operation in Operation::ALL.into_iter().rev() {
            bench(&mut group, &pool, operation.name(), || case.run(operation));
        }
        group.finish();
    }
    let mut case = Client::new(&setup).expect("the level exists");
    case.check().expect("the results are right");
    let mut group = criterion.benchmark_group(name("ckks client", case.limbs()));
    group.sampling_mode(SamplingMode::Flat).sample_size(10).measurement_time(Duration::from_millis(1500));
    for operation in ClientOperation::ALL {
        bench(&mut group, &pool, operation.name(), || case.run(operation));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = common::criterion();
    targets = ckks
}
criterion_main!(benches);
