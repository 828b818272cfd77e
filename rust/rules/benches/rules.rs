//! Cost of rules: once per configuration (`load`) and once per request (`request`, over 1,024 requests in turn, with
//! warm caches; `cold` measures cold ones).
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

mod common;

use std::hint::black_box;

use common::{EXAMPLE, HEADERS, MIXED, environment, requests, rule_set};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use edgeroute_rules::{RuleSet, Strategy};

/// Times the first match of a set, for requests in turn.
fn first_match(criterion: &mut Criterion, id: BenchmarkId, rules: &RuleSet) {
    let requests = requests();
    let mut turn = requests.iter().cycle();
    criterion.benchmark_group("request").bench_function(id, |bencher| {
        bencher.iter(|| {
            let request = turn.next().unwrap();
            rules.pass(black_box(request)).first_match(&[], |_, error| {
                black_box(error);
            })
        });
    });
}

fn compiled(rules: &[impl AsRef<str>]) -> RuleSet {
    RuleSet::compile(&environment(), rules.iter().map(AsRef::as_ref)).unwrap()
}

fn load(criterion: &mut Criterion) {
    let environment = environment();
    let mut group = criterion.benchmark_group("load");
    group.bench_function("example", |bencher| {
        bencher.iter(|| RuleSet::compile(&environment, [black_box(EXAMPLE)]).unwrap());
    });
    for count in [1_000, 10_000] {
        let rules = rule_set(&MIXED, count);
        group.sample_size(20).bench_function(BenchmarkId::new("rules", count), |bencher| {
            bencher.iter(|| RuleSet::compile(&environment, black_box(&rules)).unwrap());
        });
    }
}

fn request(criterion: &mut Criterion) {
    first_match(criterion, BenchmarkId::from_parameter("example"), &compiled(&[EXAMPLE]));
    let searched: Vec<String> = (0..10)
        .map(|number| {
            format!(
                "model.startsWith(\"model-{number}\") || headers[\"x-header-{number}\"] in [\"a\", \"b\"]"
            )
        })
        .collect();
    first_match(
        criterion,
        BenchmarkId::from_parameter("ten rules on eleven attributes"),
        &compiled(&searched),
    );
    for (name, strings) in [("rules", MIXED), ("rules on headers", HEADERS)] {
        for count in [10, 100, 1_000, 10_000] {
            first_match(criterion, BenchmarkId::new(name, count), &compiled(&rule_set(&strings, count)));
        }
    }
}

/// The strategies beside one another: which one a set gets is decided by such figures.
fn strategies(criterion: &mut Criterion) {
    for count in [2, 8, 10, 16, 32, 100, 1_000, 3_000, 10_000] {
        for strategy in [Strategy::Scan, Strategy::Hash, Strategy::Bits] {
            let rules =
                RuleSet::compile_with(&environment(), &rule_set(&MIXED, count), Some(strategy)).unwrap();
            first_match(criterion, BenchmarkId::new(format!("{strategy:?}"), count), &rules);
        }
    }
}

criterion_group!(benches, load, request, strategies);
criterion_main!(benches);
