//! What a cache adds to the decision on a 1 kB chat request: 1,024 different requests in rotation, all of which have an
//! entry. Settling each is part of the measured time, dropping its ticket is not.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../tests/common/mod.rs"]
#[allow(dead_code, unreachable_pub)]
mod common;
#[path = "../tests/recalled/mod.rs"]
#[allow(dead_code, unreachable_pub)]
mod recalled;

use std::hint::black_box;

use common::AT;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use edgeroute_router::{End, Event, LiveFacts, decide};
use recalled::{Cached, settings, with_store};
use serde_json::{Value, json};

/// A request of about 1 kB, and the same as another client would write it.
fn body(index: usize, question: &str, model: &str) -> [Vec<u8>; 2] {
    let words =
        ["ocean", "maple", "harbor", "canyon", "violet", "lantern", "meadow", "copper", "winter", "signal"];
    let text: Vec<&str> = (0..110).map(|at| words[(index * 31 + at * at + at) % words.len()]).collect();
    let system = format!("You are a helpful assistant.\\n{}", text.join(" "));
    let system = format!(r#"{{"role":"system","content":"{system}"}}"#);
    let user = format!(r#"{{"role":"user","content":"{question}"}}"#);
    let one = format!(r#"{{"model":"{model}","max_tokens":{index},"messages":[{system},{user}]}}"#);
    let other = format!(r#"{{"messages": [{system}, {user}], "max_tokens": {index}, "model": "{model}"}}"#);
    [one.into(), other.into()]
}

fn benchmark(criterion: &mut Criterion) {
    let mut config = with_store(common::simple());
    let model = |name: &str, cache: Value| {
        let mut model = common::model(name, &["one/m"], &[]);
        model["cache"] = cache;
        model
    };
    config["models"] = json!([
        model("none", json!(null)),
        model("exact", settings(json!({}))),
        model(
            "semantic",
            settings(json!({"mode": "semantic", "serve": "always", "threshold_permille": 900}))
        ),
    ]);
    let mut group = criterion.benchmark_group("recall");
    let headers = recalled::headers(&[
        ("host", "127.0.0.1:4000"),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, deflate"),
        ("connection", "keep-alive"),
        ("user-agent", "OpenAI/Python 3.52.0"),
        ("x-stainless-lang", "python"),
        ("x-stainless-os", "Linux"),
        ("x-stainless-runtime", "CPython"),
        ("content-type", "application/json"),
        ("content-length", "1024"),
    ]);
    let places: Vec<String> =
        (0..1_024).map(|index| format!("{}{index}", ["Lima", "Oslo", "Kyoto"][index % 3])).collect();
    for (name, model, stored, asked) in [
        ("no cache", "none", None, 0),
        ("miss", "exact", None, 0),
        ("exact hit, the same bytes", "exact", Some("How far is PLACE from the coast?"), 0),
        ("exact hit, other bytes", "exact", Some("How far is PLACE from the coast?"), 1),
        ("semantic miss", "semantic", None, 0),
        ("semantic hit", "semantic", Some("how far is PLACE from the coast"), 0),
    ] {
        let mut cached = Cached::new(&config);
        let question = |index: usize, text: &str| text.replace("PLACE", &places[index]);
        let bodies: Vec<Vec<u8>> = (0..1_024)
            .map(|index| {
                let bodies = body(index, &question(index, "How far is PLACE from the coast?"), model);
                if let Some(stored) = stored {
                    let [body, _] = body(index, &question(index, stored), model);
                    let ticket = cached.decide(&common::chat(&headers, &body), AT);
                    cached.answer(ticket).unwrap();
                }
                let [one, other] = bodies;
                if asked == 0 { one } else { other }
            })
            .collect();
        let answered = bodies.iter().filter(|body| {
            let ticket = cached.decide(&common::chat(&headers, body), AT);
            let header = recalled::header(ticket);
            header.starts_with("hit") || header.starts_with("semantic")
        });
        let answered = answered.count();
        assert_eq!(answered > 1_000, stored.is_some(), "{name}: {answered} are answered");
        let mut at = 0;
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    at += 1;
                    at
                },
                |seed| {
                    let facts = LiveFacts {
                        cells: &cached.host.cells,
                        unix_ms: AT.unix_ms,
                        cache: Some(&cached.index),
                        flights: None,
                    };
                    let request = common::chat(&headers, &bodies[seed % bodies.len()]);
                    let mut ticket = decide(
                        &cached.host.snapshot,
                        &cached.host.row,
                        &facts,
                        black_box(&request),
                        AT,
                        seed as u64,
                    );
                    ticket.advance(Event::Ended { end: End::ClientGone, usage: None, events: 0 }, AT);
                    ticket
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
