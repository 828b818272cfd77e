//! The whole decision on a 1 kB chat request: key, team limits, ten rules, four weighted targets, on live cells.
//! 1,024 different requests in rotation; settling each is part of the measured time, dropping its ticket is not.
//!
//! Then the decision among many replicas by each strategy, without rules and limits; for affinity, of conversations
//! that the index knows.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../tests/common/mod.rs"]
#[allow(dead_code, unreachable_pub)]
mod common;

use std::hint::black_box;
use std::sync::Arc;

use common::{AT, Host, chat, config, limits, pool, provider, rule};
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use edgeroute_router::{End, Event, LiveFacts, Snapshot, decide};
use edgeroute_shared::{Cells, Layout, Owner};
use serde_json::json;

fn bodies() -> Vec<Vec<u8>> {
    let words =
        ["ocean", "maple", "harbor", "canyon", "violet", "lantern", "meadow", "copper", "winter", "signal"];
    (0..1_024usize)
        .map(|index| {
            let text: Vec<&str> = (0..110).map(|at| words[(index * 31 + at * at + at) % words.len()]).collect();
            format!(
                r#"{{"model":"gpt-4o-mini","temperature":0.{},"max_tokens":{},"messages":[{{"role":"system","content":"You are a helpful assistant.\n{}"}},{{"role":"user","content":"Question {index}: \"{}\""}}]}}"#,
                index % 9,
                100 + index % 400,
                text[..40].join(" "),
                text[40..].join(" ")
            )
            .into_bytes()
        })
        .collect()
}

fn benchmark(criterion: &mut Criterion) {
    let rules = vec![
        rule("premium", r#"headers["x-tier"] == "premium""#, "large"),
        rule("near-limit", "tokens_used > 75", "large"),
        rule("long-prompt", "prompt_tokens + max_tokens > 200000", "large"),
        rule("batch", r#"headers["x-batch"] == "yes" && !stream"#, "large"),
        rule("team", r#"team_name in ["blue", "green"]"#, "large"),
        rule("embeddings", r#"request_type == "embedding" && model.startsWith("text-")"#, "large"),
        rule("tester", r#"virtual_key_name == "tester" || virtual_key_name == "trial""#, "large"),
        rule("many-messages", "message_count > 400", "large"),
        rule("parameter", r#"has(params.variant) && params.variant == "b""#, "large"),
        rule("agent", r#"headers["user-agent"].contains("forbidden")"#, "large"),
    ];
    let host = Host::new(&config(
        vec![provider("provider", "openai-chat", &["http://127.0.0.1:9/v1"])],
        vec![
            pool(
                "gpt-4o-mini",
                &[("provider", "a", 40), ("provider", "b", 30), ("provider", "c", 20), ("provider", "d", 10)],
                true,
                &[],
            ),
            pool("large", &[("provider", "large", 1)], false, &[]),
        ],
        rules,
        limits(Some(1 << 38), Some(1 << 39), None),
    ));
    let headers: Vec<(&[u8], &[u8])> = vec![
        (b"host", b"127.0.0.1:4000"),
        (b"accept", b"application/json"),
        (b"accept-encoding", b"gzip, deflate"),
        (b"connection", b"keep-alive"),
        (b"user-agent", b"OpenAI/Python 3.52.0"),
        (b"x-stainless-lang", b"python"),
        (b"x-stainless-package-version", b"3.52.0"),
        (b"x-stainless-os", b"Linux"),
        (b"x-stainless-arch", b"x64"),
        (b"x-stainless-runtime", b"CPython"),
        (b"authorization", b"Bearer sk-test"),
        (b"content-type", b"application/json"),
        (b"content-length", b"1024"),
    ];
    let bodies = bodies();
    assert!((900..1_100).contains(&bodies[0].len()), "a body of {} bytes", bodies[0].len());

    let mut group = criterion.benchmark_group("decide");
    let mut at = 0;
    group.bench_function("chat 1 kB, key, 2 limits, 10 rules, 4 targets", |bencher| {
        bencher.iter_batched(
            || {
                at += 1;
                at
            },
            |seed| {
                let facts = LiveFacts::new(&host.cells, AT.unix_ms);
                let request = chat(&headers, &bodies[seed % bodies.len()]);
                let mut ticket =
                    decide(&host.snapshot, &host.row, &facts, black_box(&request), AT, seed as u64);
                ticket.advance(Event::Ended { end: End::ClientGone, usage: None, events: 0 }, AT);
                ticket
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// A decision by `name` among so many replicas, of requests with prompts of so many bytes.
fn strategy(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, replicas: usize, bytes: usize) {
    let mut config = common::replicas(replicas, name, json!({"index_bytes": 8 << 20}));
    config["models"][0]["targets"][0]["price"] = json!({"input": 1.0, "cached_input": 0.1, "output": 4.0});
    let layout = Layout { exact: 1 << 18, gauges: 1 << 16, sums: 256, rows: 2 };
    let cells = Cells::anonymous(layout).unwrap();
    let row = Arc::new(cells.claim_row(Owner::current().unwrap()).unwrap());
    let snapshot = Arc::new(Snapshot::compile(config.to_string().as_bytes(), &cells, 1, 0).unwrap());
    let text = "lorem ipsum dolor sit amet ".repeat(bytes / 27);
    let bodies: Vec<Vec<u8>> = (0..1_024)
        .map(|id| {
            format!(r#"{{"model":"pool","messages":[{{"role":"system","content":"You are {id}. {text}"}}]}}"#)
                .into()
        })
        .collect();
    let ids: Vec<String> = (0..1_024).map(|id| format!("session {id}")).collect();
    let facts = LiveFacts::new(&cells, AT.unix_ms);
    let mut seed = 0;
    let id = BenchmarkId::new(format!("{name}, {} kB", bytes / 1_000), replicas);
    group.bench_function(id, |bencher| {
        bencher.iter_batched(
            || {
                seed += 1;
                seed
            },
            |seed| {
                let id = ids[seed % ids.len()].as_bytes();
                let headers: [(&[u8], &[u8]); 2] =
                    [(b"authorization", b"Bearer sk-test"), (b"x-session-id", id)];
                let request = chat(&headers, &bodies[seed % bodies.len()]);
                let mut ticket = decide(&snapshot, &row, &facts, black_box(&request), AT, seed as u64);
                ticket.attempt_started(AT);
                ticket.advance(Event::Ended { end: End::ClientGone, usage: None, events: 0 }, AT);
                ticket
            },
            BatchSize::SmallInput,
        );
    });
}

fn strategies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide, settle");
    for (name, replicas) in [
        ("ordered", 64),
        ("round-robin", 64),
        ("least-load", 64),
        ("power-of-two", 64),
        ("latency", 64),
        ("cost", 64),
        ("session", 64),
        ("bounded-hash", 64),
        ("bounded-hash", 100),
        ("ordered", 10_000),
        ("least-load", 10_000),
        ("session", 10_000),
    ] {
        strategy(&mut group, name, replicas, 1_000);
    }
    for bytes in [8_000, 48_000] {
        strategy(&mut group, "ordered", 64, bytes);
        strategy(&mut group, "affinity", 64, bytes);
    }
    group.finish();
}

criterion_group!(benches, benchmark, strategies);
criterion_main!(benches);
