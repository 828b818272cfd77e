//! Cost of the first match when nothing is in the caches of the processor, as after other work: between two requests
//! a buffer larger than the caches is swept. The bytes of the request are touched again, since they just came in.
//! Prints median and 95th percentile; beside them the mean of the fastest round with warm caches, which is what other
//! programs on the machine disturb least: in the same order each time, which the processor learns, and in changing
//! order.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a benchmark")]

mod common;

use std::hint::black_box;
use std::time::{Duration, Instant};

use common::{EXAMPLE, HEADERS, MIXED, REQUESTS, Request, environment, requests, rule_set};
use edgeroute_rules::{RuleSet, Strategy};

const SWEPT_BYTES: usize = 96 << 20;
const ROUNDS: usize = 300;

fn sweep(buffer: &mut [u64]) {
    for line in buffer.iter_mut().step_by(8) {
        *line = line.wrapping_add(1);
    }
    black_box(buffer);
}

fn touch(request: &Request) -> usize {
    let bytes = request.bytes.iter().map(|byte| usize::from(*byte)).sum::<usize>();
    let fields = request.headers.fields().iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    bytes + fields + request.tokens_used as usize
}

/// Only what is named on the command line is measured, if anything is.
fn is_wanted(name: &str) -> bool {
    let mut named = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).peekable();
    named.peek().is_none() || named.any(|wanted| format!("{name}/").starts_with(&format!("{wanted}/")))
}

fn measure(name: &str, rules: impl FnOnce() -> RuleSet, requests: &[Request], buffer: &mut [u64]) {
    if !is_wanted(name) {
        return;
    }
    let rules = rules();
    let ask = |request: &Request| {
        let start = Instant::now();
        black_box(rules.pass(black_box(request)).first_match(&[], |_, _| {}));
        start.elapsed()
    };
    // Any odd step leads to each request once.
    let round = |step: usize| {
        let start = Instant::now();
        for request in (0..REQUESTS).filter_map(|number| requests.get(number * step % REQUESTS)) {
            black_box(rules.pass(black_box(request)).first_match(&[], |_, _| {}));
        }
        start.elapsed()
    };
    let warm = |step: fn(usize) -> usize| {
        let fastest = (0..ROUNDS).map(|number| round(step(number))).min().unwrap_or_default();
        fastest.as_secs_f64() * 1e9 / REQUESTS as f64
    };
    let (rotating, changing) = (warm(|_| 1), warm(|number| 2 * number + 101));
    print!("{name:<24} {:<5}", format!("{:?}", rules.summary().strategy));
    print!(" warm {rotating:>6.1} ns, in changing order {changing:>6.1} ns");
    if buffer.is_empty() {
        println!();
        return;
    }
    let mut times: Vec<Duration> = requests
        .iter()
        .map(|request| {
            sweep(buffer);
            black_box(touch(request));
            ask(request)
        })
        .collect();
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).unwrap().as_nanos();
    println!("   cold median {:>6} ns   p95 {:>6} ns", at(50), at(95));
}

fn main() {
    let requests = requests();
    let warm_only = std::env::args().any(|argument| argument == "--warm");
    let mut buffer = vec![1_u64; if warm_only { 0 } else { SWEPT_BYTES / 8 }];
    let mut measured = |name: &str, rules: &dyn Fn() -> RuleSet| measure(name, rules, &requests, &mut buffer);
    let compiled = |rules: &[String]| RuleSet::compile(&environment(), rules).unwrap();
    measured("true", &|| compiled(&["true".into()]));
    measured("example", &|| compiled(&[EXAMPLE.into()]));
    for count in [10, 100, 1_000, 10_000] {
        measured(&format!("rules/{count}"), &|| compiled(&rule_set(&MIXED, count)));
        measured(&format!("headers/{count}"), &|| compiled(&rule_set(&HEADERS, count)));
        for strategy in [Strategy::Scan, Strategy::Hash, Strategy::Bits] {
            let rules =
                || RuleSet::compile_with(&environment(), &rule_set(&MIXED, count), Some(strategy)).unwrap();
            measured(&format!("strategies/{count}/{strategy:?}"), &rules);
        }
    }
}
