//! Who gets a request: shares by weight, replicas in turn, broken replicas last.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;

use std::collections::BTreeMap;

use common::{
    AT, HEADERS, Host, after, attempt, body, chat, config, failed, limits, model, openai, pool, provider,
    refusal, simple, targets,
};
use edgeroute_router::{Content, Event, FailureKind, GivenFacts, Now, Step, decide};
use serde_json::json;

const URLS: [&str; 3] = ["http://a/v1", "http://b/v1", "http://c/v1"];

/// One provider with so many replicas.
fn replicas(count: usize) -> Host {
    let mut config = simple();
    config["providers"] = json!([provider("one", "openai-chat", &URLS[..count])]);
    Host::new(&config)
}

#[test]
fn weights_set_shares() {
    let two = pool("split", &[("one", "a", 80), ("one", "b", 20), ("one", "never", 0)], true, &["same"]);
    let same = pool("same", &[("one", "c", 1), ("one", "d", 1)], true, &[]);
    let host = Host::new(&config(vec![openai("one")], vec![two, same], vec![], limits(None, None, None)));
    let mut first = BTreeMap::<String, u32>::new();
    let mut pairs = BTreeMap::<String, u32>::new();
    for seed in 0..2_000 {
        let ticket = host.decide(&chat(HEADERS, body("split").as_bytes()), AT, seed);
        let order = targets(ticket);
        assert_eq!(order.len(), 3, "two targets of the pool, then one of the fallback: {order:?}");
        *first.entry(order[0].clone()).or_default() += 1;
        *pairs.entry(format!("{} {}", order[0], order[2])).or_default() += 1;
    }
    assert_eq!(first.keys().collect::<Vec<_>>(), ["one/a", "one/b"]);
    assert!((1_530..1_670).contains(&first["one/a"]), "{first:?}");
    // A pool's draw tells nothing of its fallback's.
    assert!((700..900).contains(&pairs["one/a one/c"]), "{pairs:?}");
}

#[test]
fn replicas_take_turns() {
    let host = replicas(3);
    let firsts: Vec<String> = (0..7)
        .map(|_| {
            let mut ticket = host.chat("smart");
            let at = attempt(&ticket);
            ticket.advance(common::complete(), AT);
            at.replace("one/gpt-5 at ", "")
        })
        .collect();
    let expected: Vec<&str> = URLS.into_iter().cycle().take(7).collect();
    assert_eq!(firsts, expected);
}

#[test]
fn two_targets_of_one_provider_share_its_turns() {
    let mut config = simple();
    config["providers"] = json!([provider("one", "openai-chat", &URLS[..2])]);
    config["models"] = json!([model("smart", &["one/x", "one/y"], &[])]);
    let host = Host::new(&config);
    let firsts = [(); 4].map(|()| {
        let mut ticket = host.chat("smart");
        let at = attempt(&ticket);
        ticket.advance(common::complete(), AT);
        at
    });
    assert_ne!(firsts[0], firsts[1], "{firsts:?}");
    assert_eq!(firsts[0], firsts[2], "{firsts:?}");
}

/// Tries the first replica once and says how it went.
fn connect(host: &Host, now: Now, succeeds: bool) {
    let facts = GivenFacts::default();
    let mut ticket =
        decide(&host.snapshot, &host.row, &facts, &chat(HEADERS, body("smart").as_bytes()), now, 0);
    assert_eq!(attempt(&ticket), "one/gpt-5 at http://a/v1");
    match succeeds {
        true => ticket.advance(Event::Responded { status: 200, content: Content::Json, usage: None }, now),
        false => ticket.advance(failed(FailureKind::Connect), now),
    }
    ticket.advance(common::complete(), now);
}

/// The replicas in the order in which one request tries them.
fn order(host: &Host, now: Now) -> Vec<String> {
    let mut ticket = host.decide(&chat(HEADERS, body("smart").as_bytes()), now, 0);
    let mut tried = Vec::new();
    while let Step::Attempt = ticket.step() {
        tried.push(ticket.attempt(now).unwrap().replica.url.to_string());
        // Says nothing of the connection, but ends the request.
        ticket.advance(failed(FailureKind::Unsendable), now);
    }
    tried
}

#[test]
fn three_connect_failures_in_a_row_take_a_replica_out() {
    let check = |history: &[bool], out: bool| {
        let host = replicas(2);
        history.iter().for_each(|succeeds| connect(&host, AT, *succeeds));
        let firsts: Vec<String> = (0..4).flat_map(|_| order(&host, AT)).collect();
        assert_eq!(firsts.iter().all(|url| url == "http://b/v1"), out, "{history:?}: {firsts:?}");
    };
    check(&[], false);
    check(&[false, false], false);
    check(&[false, false, false], true);
    check(&[false, false, true, false, false], false);
    check(&[false, false, false, true], false);
}

#[test]
fn what_opens_and_what_closes_a_breaker() {
    let check = |kind: FailureKind, opens: bool| {
        let host = replicas(2);
        for _ in 0..3 {
            let facts = GivenFacts::default();
            let request = body("smart");
            let mut ticket =
                decide(&host.snapshot, &host.row, &facts, &chat(HEADERS, request.as_bytes()), AT, 0);
            ticket.advance(failed(kind), AT);
            ticket.advance(failed(FailureKind::Unsendable), AT);
        }
        let urls: Vec<String> = (0..2).flat_map(|_| order(&host, AT)).collect();
        assert_eq!(!urls.contains(&"http://a/v1".to_owned()), opens, "{kind:?}: {urls:?}");
    };
    check(FailureKind::Connect, true);
    check(FailureKind::ConnectTimeout, true);
    check(FailureKind::QueueFull, false);
    check(FailureKind::QueueTimeout, false);
    check(FailureKind::FirstByteTimeout, false);
    check(FailureKind::Protocol, false);
    check(FailureKind::Cut, false);
    check(FailureKind::TotalTimeout, false);

    // Who could not say whether it was connected closes nothing.
    for unknown in [FailureKind::QueueFull, FailureKind::QueueTimeout, FailureKind::TotalTimeout] {
        let host = replicas(2);
        for kind in [FailureKind::Connect, FailureKind::Connect, unknown, FailureKind::Connect] {
            let facts = GivenFacts::default();
            let request = body("smart");
            let mut ticket =
                decide(&host.snapshot, &host.row, &facts, &chat(HEADERS, request.as_bytes()), AT, 0);
            ticket.advance(failed(kind), AT);
            ticket.advance(failed(FailureKind::Unsendable), AT);
        }
        assert_eq!(order(&host, AT), ["http://b/v1"], "{unknown:?}");
        assert_eq!(order(&host, AT), ["http://b/v1"], "{unknown:?}");
    }
}

#[test]
fn a_replica_comes_back_after_ten_seconds() {
    let host = replicas(2);
    (0..3).for_each(|_| connect(&host, AT, false));
    for (ms, back) in [(0, false), (9_999, false), (10_000, true)] {
        let urls: Vec<String> = (0..2).flat_map(|_| order(&host, after(ms))).collect();
        assert_eq!(urls.contains(&"http://a/v1".to_owned()), back, "after {ms} ms");
    }
}

#[test]
fn the_last_usable_replica_is_always_tried() {
    let host = replicas(1);
    (0..5).for_each(|_| connect(&host, AT, false));
    assert_eq!(order(&host, AT), ["http://a/v1"]);

    // Broken ones come last, in their order.
    let host = replicas(2);
    (0..3).for_each(|_| connect(&host, AT, false));
    let ticket = host.chat("smart");
    assert_eq!(attempt(&ticket), "one/gpt-5 at http://b/v1");
    assert_eq!(targets(ticket).len(), 2);
}

#[test]
fn only_targets_of_the_callers_dialect_are_candidates() {
    let mut config = simple();
    config["providers"] = json!([openai("one"), provider("claude", "anthropic-messages", &["http://c/v1"])]);
    config["models"] = json!([
        model("mixed", &["claude/opus", "one/gpt-5"], &[]),
        model("claude", &["claude/opus"], &["sonnet"]),
        model("sonnet", &["claude/sonnet", "claude/opus"], &[])
    ]);
    let host = Host::new(&config);
    assert_eq!(targets(host.chat("mixed")), ["one/gpt-5"]);
    let ticket = host.chat("claude");
    let refusal = refusal(&ticket);
    assert_eq!((refusal.status, refusal.code.name()), (400, "no_target_for_dialect"));
    assert_eq!(
        refusal.message,
        "the model `claude` cannot be served in openai-chat: claude/opus speaks anthropic-messages, claude/sonnet \
         speaks anthropic-messages; this version does not translate between dialects"
    );
}
