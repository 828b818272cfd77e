//! What endpoints are busy with: counted while it is so, and gone when all is done, whatever happened.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;

use std::sync::Arc;

use common::{AT, Host, after, chat, failed, placed, pool, replicas};
use edgeroute_limits::reap;
use edgeroute_router::{Content, End, Event, Failure, FailureKind, Snapshot, Step, Ticket};
use edgeroute_shared::Owner;
use edgeroute_wire::Usage;
use proptest::prelude::*;
use serde_json::{Value, json};

fn body(bytes: usize, stream: bool) -> String {
    json!({"model": "pool", "stream": stream, "messages": [{"role": "user", "content": "x".repeat(bytes)}]})
        .to_string()
}

/// Two replicas by `name`, and behind them a fallback in order to the same.
fn host(name: &str) -> Host {
    let mut config = replicas(2, name, json!({}));
    config["models"][0]["targets"][0]["price"] = json!({"input": 1.0, "cached_input": 0.1, "output": 4.0});
    config["models"][0]["fallbacks"] = json!(["plain"]);
    config["models"].as_array_mut().unwrap().push(pool("plain", &[("gpus", "m", 1)], false, &[]));
    Host::new(&config)
}

/// What stands in the cells of one kind, over all endpoints.
fn total(host: &Host, kind: &str) -> u64 {
    let loads = host.loads();
    loads.iter().filter(|(name, _)| name.starts_with(&format!("load/{kind}/"))).map(|(_, value)| value).sum()
}

fn usage(input: u64, output: u64, cached_input: u64) -> Option<Usage> {
    Some(Usage { input, output, cached_input })
}

fn cut() -> Failure {
    Failure { kind: FailureKind::Cut, detail: "cut".into() }
}

/// Something that may happen to a request.
fn event() -> impl Strategy<Value = u8> {
    0..12u8
}

fn happen(ticket: &mut Ticket, event: u8, now_ms: u64) {
    let now = after(now_ms);
    let responded = |status, content| Event::Responded { status, content, usage: usage(900, 40, 300) };
    match event {
        0 => ticket.attempt_started(now),
        1 => ticket.advance(failed(FailureKind::Connect), now),
        2 => ticket.advance(failed(FailureKind::FirstByteTimeout), now),
        3 => ticket.advance(failed(FailureKind::TotalTimeout), now),
        4 => ticket.advance(responded(200, Content::Json), now),
        5 => ticket.advance(responded(200, Content::Events), now),
        6 => ticket.advance(responded(503, Content::Json), now),
        7 => ticket.advance(responded(429, Content::Other("html".into())), now),
        8 => ticket.first_event(now),
        9 => ticket.advance(Event::Ended { end: End::Complete, usage: usage(900, 40, 0), events: 40 }, now),
        10 => ticket.advance(Event::Ended { end: End::ClientGone, usage: None, events: 3 }, now),
        _ => ticket.advance(Event::Ended { end: End::Failed(cut()), usage: None, events: 3 }, now),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Requests in any order, each with anything happening to it, and dropped in the end.
    #[test]
    fn loads_are_gone_when_all_tickets_are(
        name in prop::sample::select(vec!["least-load", "power-of-two", "latency", "cost", "bounded-hash", "affinity"]),
        requests in prop::collection::vec((0..20_000usize, any::<bool>(), prop::collection::vec(event(), 0..8)), 1..12),
    ) {
        let host = host(name);
        let mut open = Vec::new();
        for (number, (bytes, stream, events)) in requests.iter().enumerate() {
            let mut ticket = host.decide(&chat(common::HEADERS, body(*bytes, *stream).as_bytes()), AT, number as u64);
            for (step, event) in events.iter().enumerate() {
                happen(&mut ticket, *event, 10 * step as u64);
            }
            open.push(ticket);
            prop_assert!(total(&host, "requests") <= open.len() as u64);
            if number % 3 == 2 {
                open.remove(0);
            }
        }
        open.clear();
        prop_assert!(host.loads().is_empty(), "{:?}", host.loads());
    }
}

#[test]
fn a_request_is_a_load_while_it_is_open() {
    let host = host("least-load");
    let mut ticket = host.decide(&chat(common::HEADERS, body(4_000, true).as_bytes()), AT, 0);
    assert_eq!(total(&host, "requests"), 1);
    assert_eq!(total(&host, "uncached"), 1_007, "4 bytes a token, and what a chat adds");
    assert_eq!(total(&host, "tokens"), 1_007 + 1_024, "with what may be generated");
    ticket.attempt_started(AT);
    ticket.advance(Event::Responded { status: 200, content: Content::Events, usage: None }, after(5));
    assert_eq!(total(&host, "uncached"), 1_007, "a head says nothing of the prompt");
    for ms in [50, 60, 70] {
        ticket.first_event(after(ms));
        assert_eq!((total(&host, "uncached"), total(&host, "requests")), (0, 1));
    }
    ticket.advance(Event::Ended { end: End::Complete, usage: usage(1_000, 3, 0), events: 3 }, after(90));
    assert!(host.loads().is_empty(), "{:?}", host.loads());
}

#[test]
fn a_large_maximum_counts_as_the_default_one() {
    let host = host("least-load");
    let body = json!({"model": "pool", "max_tokens": 1u64 << 60, "n": 100, "messages": []}).to_string();
    let ticket = host.decide(&chat(common::HEADERS, body.as_bytes()), AT, 0);
    assert_eq!(total(&host, "tokens"), 3 + 1_024);
    drop(ticket);
    assert!(host.loads().is_empty());
}

#[test]
fn a_failed_attempt_takes_its_load_along() {
    let host = host("bounded-hash");
    let mut ticket = host.decide(&chat(common::HEADERS, body(100, false).as_bytes()), AT, 0);
    let before = host.loads();
    ticket.advance(failed(FailureKind::Connect), AT);
    let loads = host.loads();
    assert_eq!((before.len(), loads.len()), (3, 3));
    assert!(before.keys().all(|name| !loads.contains_key(name)), "{before:?} {loads:?}");
    ticket.advance(failed(FailureKind::TotalTimeout), AT);
    assert!(host.loads().is_empty() && matches!(ticket.step(), Step::Refuse(_)));
}

#[test]
fn pools_with_the_same_endpoint_share_its_load() {
    let host = host("least-load");
    let request = body(400, false).replace("pool", "plain");
    let ticket = host.decide(&chat(common::HEADERS, request.as_bytes()), AT, 0);
    assert_eq!(total(&host, "requests"), 1);
    let busy = ticket.attempt(AT).unwrap().replica.url.clone();
    for seed in 0..8 {
        let other = host.decide(&chat(common::HEADERS, body(10, false).as_bytes()), AT, seed);
        assert_ne!(other.attempt(AT).unwrap().replica.url, busy);
    }
}

#[test]
fn the_load_of_a_killed_worker_returns() {
    let host = host("affinity");
    let dead = Owner { pid: 4_000_000, started: 1 };
    let row = Arc::new(host.cells.claim_row(dead).unwrap());
    let killed = Host { cells: host.cells.clone(), row, snapshot: host.snapshot.clone() };
    let lost = killed.decide(&chat(common::HEADERS, body(9_000, true).as_bytes()), AT, 0);
    let kept = host.decide(&chat(common::HEADERS, body(3_000, true).as_bytes()), AT, 0);
    assert_eq!(total(&host, "requests"), 2);
    reap(&host.cells, Owner::current().unwrap(), |owner| owner != dead).unwrap();
    assert_eq!(total(&host, "requests"), 1);
    drop(kept);
    assert!(host.loads().is_empty(), "{:?}", host.loads());
    std::mem::forget(lost);
}

/// The latency cells that are set, with what they say in milliseconds.
fn latencies(host: &Host) -> Vec<(String, u64)> {
    let named = host.cells.exacts().filter(|(name, value)| name.starts_with("latency/") && *value != 0);
    let mut all: Vec<_> = named
        .map(|(name, value)| {
            let ms = f32::from_bits((value >> 32) as u32).round() as u64;
            (name.rsplit_once('/').unwrap().0.to_owned(), ms)
        })
        .collect();
    all.sort();
    all
}

#[test]
fn latency_is_measured_by_size_of_prompt() {
    let check = |bytes: usize, events: &dyn Fn(&mut Ticket), expected: &[(&str, u64)]| {
        let host = host("latency");
        let mut ticket = host.decide(&chat(common::HEADERS, body(bytes, true).as_bytes()), AT, 0);
        ticket.attempt_started(after(10));
        events(&mut ticket);
        drop(ticket);
        let expected: Vec<_> = expected.iter().map(|(name, ms)| ((*name).to_owned(), *ms)).collect();
        assert_eq!(latencies(&host), expected);
    };
    let stream = |ticket: &mut Ticket| {
        ticket.advance(Event::Responded { status: 200, content: Content::Events, usage: None }, after(20));
        ticket.first_event(after(110));
        ticket.first_event(after(200));
        ticket
            .advance(Event::Ended { end: End::Complete, usage: usage(1_000, 11, 0), events: 11 }, after(310));
    };
    check(400, &stream, &[("latency/each/0", 20), ("latency/first/0", 100)]);
    check(8_000, &stream, &[("latency/each/2", 20), ("latency/first/2", 100)]);
    let whole = |ticket: &mut Ticket| {
        ticket.advance(
            Event::Responded { status: 200, content: Content::Json, usage: usage(100, 10, 0) },
            after(510),
        );
    };
    check(400, &whole, &[("latency/first/0", 500)]);
    let broken = |ticket: &mut Ticket| ticket.advance(failed(FailureKind::Connect), after(20));
    check(400, &broken, &[]);
}

#[test]
fn strategies_without_loads_have_no_cells_for_them() {
    for name in ["ordered", "weighted", "round-robin", "session"] {
        let config = replicas(2, name, json!({}));
        let host = Host::new(&config);
        let ticket = host.chat("pool");
        assert!(host.cells.exacts().all(|(name, _)| !name.starts_with("load/")), "{name}");
        drop(ticket);
    }
    let written: Value = placed(&[("gpus", "m", 1)], "least-load", json!({}));
    assert_eq!(written["strategy"]["name"], "least-load");
    let mut config = replicas(2, "least-load", json!({}));
    config["providers"][0]["engine"] = json!("vllm");
    let host = Host::new(&config);
    assert!(host.cells.exacts().any(|(name, _)| name == "engine/gpus/http://gpu-1/v1"));
    Snapshot::compile(config.to_string().as_bytes(), &host.cells, 2, 0).unwrap();
}

#[test]
fn replicas_that_come_and_go_take_no_more_cells_than_are_in_use() {
    let cells = host("latency").cells;
    let row = Arc::new(cells.claim_row(Owner::current().unwrap()).unwrap());
    let mut exacts = Vec::new();
    for generation in 0..30 {
        let mut config = replicas(3, "latency", json!({}));
        for number in 0..3 {
            // A pod lives for three generations.
            let url = format!("http://pod-{}/v1", 3 * ((generation + number) / 3) + number);
            config["providers"][0]["replicas"][number]["url"] = json!(url);
        }
        let compile = || Snapshot::compile(config.to_string().as_bytes(), &cells, 1, 0).unwrap();
        let host = Host { cells: cells.clone(), row: row.clone(), snapshot: Arc::new(compile()) };
        let mut ticket = host.decide(&chat(common::HEADERS, body(100, false).as_bytes()), AT, 0);
        ticket.attempt_started(AT);
        let whole = Event::Responded { status: 200, content: Content::Json, usage: usage(30, 9, 0) };
        ticket.advance(whole, after(1 + generation as u64));
        compile();
        let kept = |name: &String| name.starts_with("load/") || name.starts_with("latency/");
        exacts.push(cells.exacts().filter(|(name, _)| kept(name)).count());
    }
    assert_eq!(exacts[29], exacts[1], "{exacts:?}");
}
