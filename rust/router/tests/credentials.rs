//! Several credentials of one provider: whose turn it is, and which is tried after a failure.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;

use std::collections::BTreeMap;

use common::{AT, Host, attempt, failed, model, provider, simple};
use edgeroute_router::{Content, Event, FailureKind, LogFormat, Step, Ticket};
use proptest::prelude::*;
use serde_json::{Value, json};

const URLS: [&str; 4] = ["a", "b", "c", "d"];

/// A model of two targets: one at so many replicas with so many credentials, and another provider's.
fn host(replicas: usize, credentials: usize) -> Host {
    let mut config = simple();
    let mut several = provider("one", "openai-chat", &URLS[..replicas]);
    several["credentials"] = (0..credentials).map(|index| json!(format!("sk-secret-{index}"))).collect();
    config["providers"] = json!([several, provider("two", "openai-chat", &["z"])]);
    config["models"] = json!([model("smart", &["one/m", "two/m"], &[])]);
    config["defaults"]["attempts"] = json!(100);
    Host::new(&config)
}

fn status(status: u16) -> Event {
    Event::Responded { status, content: Content::Json, usage: None }
}

/// Where the attempts go if each ends so; `a1` is the first credential at the replica `a`.
fn order(mut ticket: Ticket, event: impl Fn() -> Event) -> Vec<String> {
    let mut tried = Vec::new();
    while let Step::Attempt = ticket.step() {
        let at = attempt(&ticket);
        tried.push(at.split_once(" at ").unwrap().1.replace(", credential ", ""));
        ticket.advance(event(), AT);
    }
    tried
}

#[test]
fn what_follows_a_failure() {
    let check = |event: fn() -> Event, expected: &[&str]| {
        assert_eq!(order(host(2, 2).chat("smart"), event), expected, "{:?}", event());
    };
    // One account is used up: the other account at the same replica comes first.
    check(|| status(429), &["a1", "a2", "b1", "b2", "z"]);
    // A replica that fails is not helped by another credential, and attempts are few.
    for event in [
        || status(500),
        || status(408),
        || failed(FailureKind::Cut),
        || failed(FailureKind::ErrorEvent),
        || failed(FailureKind::Protocol),
        || failed(FailureKind::FirstByteTimeout),
        || failed(FailureKind::Connect),
        || failed(FailureKind::ConnectTimeout),
        || failed(FailureKind::QueueFull),
        || failed(FailureKind::QueueTimeout),
    ] {
        check(event, &["a1", "b1", "z"]);
    }
    // A credential that is refused is refused everywhere.
    for event in [|| status(401), || status(403)] {
        check(event, &["a1", "a2", "z"]);
    }
}

#[test]
fn whether_a_stream_that_begins_with_an_error_is_tried_elsewhere() {
    let check = |targets: &[&str], attempts: u64, expected: &[bool]| {
        let mut config = simple();
        let mut several = provider("one", "openai-chat", &URLS[..2]);
        several["credentials"] = json!(["sk-secret-0", "sk-secret-1"]);
        config["providers"] = json!([several, provider("two", "openai-chat", &["z"])]);
        config["models"] = json!([model("smart", targets, &[])]);
        config["defaults"]["attempts"] = json!(attempts);
        let mut ticket = Host::new(&config).chat("smart");
        let mut found = Vec::new();
        while let Step::Attempt = ticket.step() {
            found.push(ticket.has_another(AT));
            ticket.advance(failed(FailureKind::ErrorEvent), AT);
        }
        assert_eq!(found, expected, "{targets:?}, {attempts} attempts");
    };
    check(&["one/m", "two/m"], 100, &[true, true, false]);
    // The other credential of the last replica is nothing else.
    check(&["one/m"], 100, &[true, false]);
    check(&["two/m"], 100, &[false]);
    check(&["one/m", "two/m"], 2, &[true, false]);
}

#[test]
fn what_is_passed_over_is_of_the_same_target() {
    let mut config = simple();
    config["models"] = json!([model("smart", &["one/x", "one/y"], &[])]);
    let host = Host::new(&config);
    for event in [|| failed(FailureKind::Connect), || status(401)] {
        assert_eq!(order(host.chat("smart"), event).len(), 2, "{:?}", event());
    }
}

#[test]
fn a_single_credential_has_no_number() {
    for credentials in [0, 1] {
        assert_eq!(order(host(2, credentials).chat("smart"), || status(500)), ["a", "b", "z"]);
    }
}

#[test]
fn credentials_are_named_by_position_only() {
    let host = host(1, 2);
    let mut ticket = host.chat("smart");
    let log = |ticket: &Ticket, format| {
        let mut log = Vec::new();
        ticket.record("id", AT, format, &mut log);
        String::from_utf8(log).unwrap()
    };
    ticket.advance(status(429), AT);
    ticket.advance(status(200), AT);
    let credential = ticket.attempt(AT).unwrap().credential.unwrap();
    assert_eq!(credential.field(), ("authorization", &b"Bearer sk-secret-1"[..]));
    let text = log(&ticket, LogFormat::Text);
    assert!(
        text.contains(r#" target=one/m credential=2 failed="one/m credential 1: status 429" "#),
        "{text}"
    );
    let record: Value = serde_json::from_str(&log(&ticket, LogFormat::Json)).unwrap();
    assert_eq!(record["credential"], 2);
    assert!(!format!("{ticket:?} {:?} {text} {record}", host.snapshot).contains("sk-secret"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn turns_are_even_and_every_pair_is_tried_once(replicas in 1..=4usize, credentials in 1..=4usize) {
        let host = host(replicas, credentials);
        let pairs = replicas * credentials;
        let mut first = BTreeMap::<String, usize>::new();
        for _ in 0..2 * pairs {
            let mut tried = order(host.chat("smart"), || status(429));
            prop_assert_eq!(tried.pop(), Some("z".to_owned()));
            *first.entry(tried[0].clone()).or_default() += 1;
            tried.sort();
            tried.dedup();
            prop_assert_eq!(tried.len(), pairs, "each once");
        }
        prop_assert_eq!(first.len(), pairs);
        prop_assert!(first.values().all(|count| *count == 2), "{:?}", first);
    }
}
