//! Strategies that look at each candidate: who comes first, and why.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;

use std::collections::BTreeMap;

use common::{
    AT, Field, Host, body, chat, complete, config, failed, limits, openai, placed, provider, replicas,
    strategy,
};
use edgeroute_router::{Explanation, FailureKind, Snapshot, Step, Ticket, explain};
use edgeroute_shared::{Cells, Layout};
use serde_json::{Value, json};

const STRATEGIES: [&str; 8] =
    ["round-robin", "least-load", "power-of-two", "latency", "cost", "session", "bounded-hash", "affinity"];

/// A configuration of so many replicas, with prices.
fn priced(count: usize, name: &str) -> Value {
    let mut config = replicas(count, name, json!({}));
    config["models"][0]["targets"][0]["price"] = json!({"input": 1.0, "cached_input": 0.1, "output": 4.0});
    config
}

fn explained(host: &Host, facts: &Value, seed: u64) -> Explanation {
    let written = json!({
        "path": "/v1/chat/completions", "headers": {"authorization": "Bearer sk-test", "x-session-id": "one"},
        "body": {"model": "pool", "messages": [{"role": "user", "content": "x".repeat(4_000)}]},
        "facts": facts, "seed": seed,
    });
    explain(&host.snapshot, &serde_json::from_value(written).unwrap())
}

/// The numbers of the replicas in the order in which they are tried.
fn order(host: &Host, facts: &Value, seed: u64) -> Vec<usize> {
    let explanation = explained(host, facts, seed);
    let number = |at: &String| at.rsplit("gpu-").next().unwrap().trim_end_matches("/v1").parse().unwrap();
    explanation.decision.candidates.iter().map(number).collect()
}

/// Decides a request with these headers; the number of the replica that comes first.
fn first(host: &Host, headers: &[Field<'_>], seed: u64) -> (usize, Ticket) {
    let mut all = common::HEADERS.to_vec();
    all.extend_from_slice(headers);
    let ticket = host.decide(&chat(&all, body("pool").as_bytes()), AT, seed);
    let url = ticket.attempt(AT).unwrap().replica.url.to_string();
    (url.trim_start_matches("http://gpu-").trim_end_matches("/v1").parse().unwrap(), ticket)
}

#[test]
fn who_comes_first() {
    let check = |name: &str, facts: Value, expected: &[usize]| {
        let host = Host::new(&priced(3, name));
        for seed in 0..20 {
            assert_eq!(order(&host, &facts, seed), expected, "{name} {facts}, seed {seed}");
        }
    };
    let gpu = |number: usize| format!("http://gpu-{number}/v1");
    let tokens = |tokens: [u64; 3]| {
        let of = |number: usize| (gpu(number), json!({"context_tokens": tokens[number], "requests": 1}));
        json!({"loads": (0..3).map(of).collect::<BTreeMap<_, _>>()})
    };
    check("round-robin", json!({"turn": 0}), &[0, 1, 2]);
    check("round-robin", json!({"turn": 5}), &[2, 0, 1]);
    check("least-load", tokens([500, 300, 400]), &[1, 2, 0]);
    check("least-load", tokens([0, 300, 400]), &[0, 1, 2]);
    check("cost", tokens([500, 300, 400]), &[1, 2, 0]);
    let engines =
        json!({"engines": {gpu(0): {"running": 4, "waiting": 2}, gpu(1): {"running": 1, "waiting": 0}}});
    check("least-load", engines, &[2, 1, 0]);

    let slow = json!({"first_token_ms": 900.0, "per_token_ms": 30.0});
    let fast = json!({"first_token_ms": 300.0, "per_token_ms": 10.0});
    let middle = json!({"first_token_ms": 500.0, "per_token_ms": 20.0});
    let latencies = json!({gpu(0): slow, gpu(1): middle, gpu(2): fast});
    check("latency", json!({"latencies": latencies}), &[2, 1, 0]);
    // Three requests that wait at the fastest make it the slowest; who was never measured is as good as the fastest.
    let waiting = json!({gpu(2): {"requests": 3}});
    check("latency", json!({"latencies": latencies, "loads": waiting}), &[1, 0, 2]);
    let known = json!({gpu(0): slow, gpu(1): fast});
    check("latency", json!({"latencies": known, "loads": {gpu(1): {"requests": 1}}}), &[2, 1, 0]);
}

#[test]
fn cheaper_targets_come_first() {
    let mut pool = placed(&[("one", "a", 1), ("two", "b", 1)], "cost", json!({}));
    pool["targets"][0]["price"] = json!({"input": 1.0, "cached_input": 1.0, "output": 10.0});
    pool["targets"][1]["price"] = json!({"input": 5.0, "cached_input": 5.0, "output": 5.0});
    let host =
        Host::new(&config(vec![openai("one"), openai("two")], vec![pool], vec![], limits(None, None, None)));
    let check = |content: usize, most: u64, expected: &str| {
        let body = json!({"model": "pool", "max_tokens": most,
                          "messages": [{"role": "user", "content": "x".repeat(content)}]});
        let ticket = host.decide(&chat(common::HEADERS, body.to_string().as_bytes()), AT, 0);
        assert_eq!(ticket.target().unwrap(), expected, "{content} bytes, {most} tokens");
    };
    check(8_000, 100, "one/a");
    check(400, 1_000, "two/b");
}

#[test]
fn power_of_two_avoids_the_busiest_and_knows_only_two() {
    let host = Host::new(&priced(3, "power-of-two"));
    let facts = json!({"loads": {"http://gpu-0/v1": {"context_tokens": 9_000}, "http://gpu-1/v1": {"context_tokens": 10}}});
    let firsts: Vec<usize> = (0..200).map(|seed| order(&host, &facts, seed)[0]).collect();
    let of = |number| firsts.iter().filter(|first| **first == number).count();
    assert_eq!(of(0), 0);
    assert!(of(1) > 40 && of(2) > 100, "{} {}", of(1), of(2));
}

#[test]
fn a_replica_that_cannot_be_reached_comes_last() {
    for name in STRATEGIES {
        let host = Host::new(&priced(3, name));
        // Whoever comes first refuses connections.
        let broken = first(&host, &[(b"x-session-id", b"one")], 0).0;
        for _ in 0..60 {
            let (number, mut ticket) = first(&host, &[(b"x-session-id", b"one")], 0);
            let failure = if number == broken { FailureKind::Connect } else { FailureKind::Unsendable };
            ticket.advance(failed(failure), AT);
            ticket.advance(failed(FailureKind::Unsendable), AT);
        }
        for seed in 0..40 {
            let (number, mut ticket) = first(&host, &[(b"x-session-id", b"one")], seed);
            assert_ne!(number, broken, "{name}");
            if seed < 39 {
                ticket.advance(failed(FailureKind::Unsendable), AT);
                continue;
            }
            let mut tried = Vec::new();
            while let Step::Attempt = ticket.step() {
                tried.push(ticket.attempt(AT).unwrap().replica.url.to_string());
                ticket.advance(failed(FailureKind::Protocol), AT);
            }
            assert_eq!(
                (tried.len(), &tried[2]),
                (3, &format!("http://gpu-{broken}/v1")),
                "{name}: {tried:?}"
            );
        }
    }
}

#[test]
fn drained_replicas_get_nothing_and_weights_set_shares() {
    for name in STRATEGIES.into_iter().chain(["ordered", "weighted"]) {
        let mut config = priced(4, name);
        for (number, weight) in [(0, 2), (1, 0)] {
            config["providers"][0]["replicas"][number]["weight"] = json!(weight);
        }
        let host = Host::new(&config);
        let mut counts = [0; 4];
        for request in 0..800u64 {
            let id = format!("session {request}");
            let (number, mut ticket) = first(&host, &[(b"x-session-id", id.as_bytes())], request);
            counts[number] += 1;
            ticket.advance(complete(), AT);
        }
        assert_eq!(counts[1], 0, "{name}: {counts:?}");
        // Who goes by load gives all to the strongest while nothing is in flight.
        if matches!(name, "round-robin" | "session" | "bounded-hash" | "ordered" | "weighted") {
            assert!((320..480).contains(&counts[0]), "{name}: {counts:?}");
        }
    }
}

#[test]
fn sessions_stay_where_they_are() {
    let sources = [
        ("x-claude-code-session-id", "session"),
        ("session-id", "session"),
        ("session_id", "session"),
        ("x-opencode-session", "session"),
        ("x-session-affinity", "session"),
        ("x-session-id", "session"),
        ("x-tenant", "header:X-Tenant"),
    ];
    for (name, key) in sources {
        let host = Host::new(&replicas(8, "session", json!({"key": [key]})));
        let mut hosts_of = BTreeMap::new();
        for id in 0..40 {
            let value = format!("id-{id}");
            let headers = [(name.as_bytes(), value.as_bytes())];
            let firsts: Vec<usize> = (0..4).map(|seed| first(&host, &headers, seed).0).collect();
            assert!(firsts.iter().all(|number| *number == firsts[0]), "{name}: {firsts:?}");
            *hosts_of.entry(firsts[0]).or_insert(0) += 1;
        }
        assert!(hosts_of.len() > 5, "{name}: sessions are spread: {hosts_of:?}");
    }
}

#[test]
fn where_keys_are_read_from() {
    let check = |sources: &[&str], fields: Value, same: bool| {
        let host = Host::new(&replicas(8, "session", json!({"key": sources})));
        let mut body = json!({"model": "pool", "messages": [{"role": "user", "content": "hello"}]});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let firsts: Vec<String> = (0..12)
            .map(|seed| host.decide(&chat(common::HEADERS, body.to_string().as_bytes()), AT, seed))
            .map(|ticket| ticket.attempt(AT).unwrap().replica.url.to_string())
            .collect();
        assert_eq!(firsts.iter().all(|url| *url == firsts[0]), same, "{sources:?} {fields}: {firsts:?}");
    };
    check(&["session", "user"], json!({}), false);
    check(&["session"], json!({"user": "alice"}), false);
    check(&["session", "user"], json!({"user": "alice"}), true);
    check(&["session"], json!({"prompt_cache_key": "thread-1"}), true);
    check(&["session"], json!({"prompt_cache_key": ""}), false);
    check(&["session"], json!({"prompt_cache_key": 7}), false);
    check(&["user"], json!({"safety_identifier": "bob"}), true);
    check(&["user"], json!({"metadata": {"user_id": "carol"}}), true);
    check(&["virtual_key"], json!({}), true);
    check(&["prompt"], json!({}), true);
}

#[test]
fn few_sessions_move_when_a_replica_comes() {
    let placed = |count: usize| {
        let host = Host::new(&replicas(count, "session", json!({})));
        let of = |id: usize| first(&host, &[(b"x-session-id", format!("id-{id}").as_bytes())], 0).0;
        (0..300).map(of).collect::<Vec<_>>()
    };
    let (nine, ten) = (placed(9), placed(10));
    let moved: Vec<usize> =
        nine.iter().zip(&ten).filter(|(before, after)| before != after).map(|(_, after)| *after).collect();
    assert!(moved.iter().all(|to| *to == 9), "nobody moves but to the new one: {moved:?}");
    assert!((15..50).contains(&moved.len()), "{} of 300", moved.len());
}

#[test]
fn bounded_hashing_keeps_its_bound() {
    const COUNT: usize = 5;
    let host = Host::new(&replicas(COUNT, "bounded-hash", json!({})));
    let mut open = Vec::new();
    let mut in_flight = [0u64; COUNT];
    // Everybody wants the same replica.
    for request in 1..=60u64 {
        let (number, ticket) = first(&host, &[(b"x-session-id", b"busy")], request);
        in_flight[number] += 1;
        open.push(ticket);
        let bound = (125 * request).div_ceil(100 * COUNT as u64);
        assert!(in_flight.iter().all(|load| *load <= bound), "{in_flight:?}, bound {bound}");
    }
    assert_eq!(*in_flight.iter().max().unwrap(), 15, "{in_flight:?}");
    for mut ticket in open {
        ticket.advance(complete(), AT);
    }
    assert!(host.loads().is_empty(), "{:?}", host.loads());
}

#[test]
fn round_robin_is_shared_by_all_candidates_of_a_pool() {
    let pool = placed(&[("one", "a", 1), ("two", "b", 2)], "round-robin", json!({}));
    let host =
        Host::new(&config(vec![openai("one"), openai("two")], vec![pool], vec![], limits(None, None, None)));
    let firsts: Vec<String> = (0..6).map(|_| host.chat("pool").target().unwrap().into_owned()).collect();
    let expected: Vec<&str> = ["two/b", "one/a", "two/b"].into_iter().cycle().take(6).collect();
    assert_eq!(firsts, expected);
}

#[test]
fn pools_of_two_dialects_choose_among_those_that_the_caller_speaks() {
    for name in STRATEGIES {
        let providers = vec![openai("one"), provider("claude", "anthropic-messages", &["http://c/v1"])];
        let mut pool = placed(&[("claude", "opus", 1), ("one", "a", 1)], name, json!({}));
        for target in 0..2 {
            pool["targets"][target]["price"] = json!({"input": 1.0, "cached_input": 0.1, "output": 4.0});
        }
        let host = Host::new(&config(providers, vec![pool], vec![], limits(None, None, None)));
        assert_eq!(common::targets(host.chat("pool")), ["one/a"], "{name}");
    }
}

#[test]
fn what_cannot_be_placed_among_is_refused_at_load() {
    let cells = Cells::anonymous(Layout::default()).unwrap();
    let check = |config: &Value, expected: &str| {
        let compiled = Snapshot::compile(config.to_string().as_bytes(), &cells, 1, 0);
        let error = compiled.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    for name in STRATEGIES.into_iter().chain(["ordered", "weighted"]) {
        let mut drained = priced(2, name);
        for number in 0..2 {
            drained["providers"][0]["replicas"][number]["weight"] = json!(0);
        }
        check(&drained, "model `pool`: none of its targets has a replica that takes requests");
        let mut unweighted = priced(2, name);
        unweighted["models"][0]["targets"][0]["weight"] = json!(0);
        if name != "ordered" {
            check(&unweighted, "model `pool`: no target has a weight above 0");
        }
        let mut twice = priced(2, name);
        twice["models"][0]["targets"] =
            json!([twice["models"][0]["targets"][0], twice["models"][0]["targets"][0]]);
        if !matches!(name, "ordered" | "weighted") {
            check(&twice, "gpus/m at http://gpu-0/v1 is listed twice");
        }
    }
    check(&replicas(3, "cost", json!({})), "needs a price for each target; there is none for gpus/m");
    check(&replicas(65, "affinity", json!({})), "at most 64 candidates apart, these are 65");
    check(&replicas(2, "affinity", json!({"index_bytes": 1_000})), "an index of 1000 bytes is too small");
    check(&replicas(2, "session", json!({"key": ["cookie"]})), "a key cannot be read from `cookie`");
    check(&replicas(2, "bounded-hash", json!({"load_factor_percent": 99})), "must be at least 100 %");
    let mut unknown = replicas(2, "least-load", json!({}));
    unknown["models"][0]["strategy"]["name"] = json!("fastest");
    check(&unknown, "unknown variant `fastest`");
    assert_eq!(strategy("least-load")["name"], "least-load");
}

#[test]
fn ten_thousand_replicas_are_placed_among() {
    let cells = Cells::anonymous(Layout { exact: 1 << 17, gauges: 1 << 16, sums: 256, rows: 1 }).unwrap();
    let row = std::sync::Arc::new(cells.claim_row(edgeroute_shared::Owner::current().unwrap()).unwrap());
    for name in ["ordered", "least-load"] {
        let config = priced(10_000, name);
        let snapshot = Snapshot::compile(config.to_string().as_bytes(), &cells, 1, 0).unwrap();
        let host = Host { cells: cells.clone(), row: row.clone(), snapshot: std::sync::Arc::new(snapshot) };
        let (_, mut ticket) = first(&host, &[(b"x-session-id", b"one")], 7);
        ticket.advance(complete(), AT);
        assert!(host.loads().is_empty(), "{name}");
    }
    // A memory file of the usual size has no room for their loads, and says so.
    let usual = Cells::anonymous(Layout::default()).unwrap();
    let config = priced(10_000, "least-load").to_string();
    let error = Snapshot::compile(config.as_bytes(), &usual, 1, 0).unwrap_err().to_string();
    assert!(error.contains("no gauge cell is left"), "{error}");
}

#[test]
fn explain_says_who_was_passed_over_and_why() {
    let check = |name: &str, facts: Value, expected: &[&str]| {
        let explanation = explained(&Host::new(&priced(3, name)), &facts, 0);
        let notes: Vec<String> = explanation.reasons.into_iter().map(|reason| reason.note).collect();
        let text = notes.join("\n");
        for part in expected {
            assert!(text.contains(part), "{name}: {part:?} is not in\n{text}");
        }
    };
    let busy = json!({"loads": {"http://gpu-0/v1": {"requests": 9, "context_tokens": 700, "uncached_tokens": 40_000}}});
    check("least-load", busy.clone(), &["gpus/m at http://gpu-0/v1: 700 tokens in flight, weight 1"]);
    check("latency", json!({}), &["not measured yet"]);
    check("cost", json!({}), &["gpus/m at http://gpu-1/v1: 0.0"]);
    check("session", json!({}), &["from the header `x-session-id`"]);
    let seen = json!({"loads": busy["loads"], "seen": {"http://gpu-0/v1": 12}});
    check(
        "affinity",
        seen,
        &[
            "the prompt has 15 blocks",
            "gpus/m at http://gpu-0/v1: has seen 12 blocks",
            "9 requests, 700 tokens in flight and 40000 not read yet",
            "passed over: over the bound",
            "chosen: ",
        ],
    );
    let all = |requests: u64| json!({"requests": requests});
    let loads = json!({"http://gpu-0/v1": all(9), "http://gpu-1/v1": all(9), "http://gpu-2/v1": all(9)});
    check("bounded-hash", json!({"loads": loads}), &["key "]);
}
