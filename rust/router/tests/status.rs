//! What the status page is told.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;

use common::{AT, Host, after, config, failed, limits, model, openai, provider};
use edgeroute_router::FailureKind;
use serde_json::{Value, json};

fn host() -> Host {
    let mut two = provider("two", "openai-chat", &["http://2a/v1", "http://2b/v1"]);
    two["credentials"] = json!(["sk-secret-1", "sk-secret-2"]);
    two["headers"] = json!([["x-account", "sk-secret-3"]]);
    two["replicas"][0]["proxy"] = json!("http://user:sk-secret-4@proxy:3128");
    let models = vec![model("smart", &["two/m", "one/a"], &[]), model("again", &["one/a", "one/*"], &[])];
    let mut config = config(vec![openai("one"), two], models, vec![], limits(None, Some(100_000), None));
    config["virtual_keys"][0]["limits"] = limits(Some(50), None, Some(2));
    Host::new(&config)
}

fn status(host: &Host, ms: u64) -> Value {
    let status = host.snapshot.status(&host.cells, after(ms).unix_ms);
    serde_json::to_value(status).unwrap()
}

/// Two replicas of `two/m`, then `one/a` and `one/*`.
fn targets(in_flight: u64, breaker: &str, open_ms: u64) -> Value {
    let closed = |url| json!({"url": url, "breaker": "closed", "open_ms": 0});
    json!([
        {"target": "two/m", "in_flight": in_flight, "replicas": [
            {"url": "http://2a/v1", "breaker": breaker, "open_ms": open_ms}, closed("http://2b/v1"),
        ]},
        {"target": "one/a", "in_flight": 0, "replicas": [closed("http://one/v1")]},
        {"target": "one/*", "in_flight": 0, "replicas": [closed("http://one/v1")]},
    ])
}

#[test]
fn an_idle_host() {
    let host = host();
    let limit = |limit, most| json!({"limit": limit, "most": most, "used": 0, "reserved": 0});
    assert_eq!(
        status(&host, 0),
        json!({
            "targets": targets(0, "closed", 0),
            "limits": [
                {"owner": "team", "name": "search", "limits": [limit("tokens_per_minute", 100_000)]},
                {"owner": "virtual key", "name": "test",
                 "limits": [limit("requests_per_minute", 50), limit("concurrency", 2)]},
            ],
        })
    );
}

#[test]
fn what_is_in_use() {
    let host = host();
    let mut first = host.chat("smart");
    first.advance(common::complete(), AT);
    let mut second = host.chat("smart");
    let before = status(&host, 0);
    assert_eq!(before["targets"], targets(1, "closed", 0));
    let tokens = &before["limits"][0]["limits"][0];
    let (used, reserved) = (tokens["used"].as_u64().unwrap(), tokens["reserved"].as_u64().unwrap());
    assert!(used > reserved && reserved > 1_024, "the first is settled, the second reserved: {tokens}");
    let of_key = &before["limits"][1]["limits"];
    assert_eq!(of_key[0], json!({"limit": "requests_per_minute", "most": 50, "used": 2, "reserved": 1}));
    assert_eq!(of_key[1], json!({"limit": "concurrency", "most": 2, "used": 1, "reserved": 0}));
    assert_eq!(status(&host, 0), before, "asking changes nothing");
    second.advance(common::complete(), AT);
    assert_eq!(status(&host, 0)["targets"], targets(0, "closed", 0));
}

#[test]
fn a_replica_that_cannot_be_reached() {
    let host = host();
    for _ in 0..6 {
        let mut ticket = host.chat("smart");
        let first = ticket.attempt(AT).unwrap().replica.url.ends_with("2a/v1");
        ticket.advance(if first { failed(FailureKind::Connect) } else { common::complete() }, AT);
        ticket.advance(common::complete(), AT);
    }
    assert_eq!(status(&host, 0)["targets"], targets(0, "open", 10_000));
    assert_eq!(status(&host, 9_999)["targets"], targets(0, "open", 1));
    assert_eq!(status(&host, 10_000)["targets"], targets(0, "half-open", 0));
}

#[test]
fn no_secrets() {
    let host = host();
    let shown = format!("{} {:?}", status(&host, 0), host.snapshot);
    assert!(!shown.contains("sk-secret") && !shown.contains(&common::hash(common::KEY)), "{shown}");
}

#[test]
fn replicas_are_told_once_with_their_provider() {
    let host = host();
    let replicas = host.snapshot.replicas(&host.cells, AT.unix_ms);
    let told: Vec<_> = replicas.map(|(provider, replica)| (provider, replica.url, replica.breaker)).collect();
    let expected = [
        ("one", "http://one/v1", "closed"),
        ("two", "http://2a/v1", "closed"),
        ("two", "http://2b/v1", "closed"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_discovered_replica_bears_its_address_and_has_a_breaker_of_its_own() {
    let mut two = provider("two", "openai-chat", &["http://gpus/v1", "http://gpus/v1"]);
    two["replicas"][0]["address"] = json!("10.0.0.7");
    two["replicas"][1]["address"] = json!("fd00::8");
    let host =
        Host::new(&config(vec![two], vec![model("m", &["two/m"], &[])], vec![], limits(None, None, None)));
    for _ in 0..6 {
        let mut ticket = host.chat("m");
        let first = ticket.attempt(AT).unwrap().replica.name.ends_with("@10.0.0.7");
        ticket.advance(if first { failed(FailureKind::Connect) } else { common::complete() }, AT);
        ticket.advance(common::complete(), AT);
    }
    let replicas = host.snapshot.replicas(&host.cells, AT.unix_ms);
    let told: Vec<_> = replicas.map(|(_, replica)| (replica.url, replica.breaker)).collect();
    assert_eq!(told, [("http://gpus/v1@10.0.0.7", "open"), ("http://gpus/v1@fd00::8", "closed")]);
}

#[test]
fn loads_are_told_where_a_strategy_looks_at_them() {
    let host = Host::new(&common::replicas(2, "least-load", json!({})));
    let ticket = host.chat("pool");
    let status = serde_json::to_value(host.snapshot.status(&host.cells, AT.unix_ms)).unwrap();
    let replicas = status["targets"][0]["replicas"].as_array().unwrap();
    let loads: Vec<_> = replicas.iter().map(|replica| &replica["load"]).collect();
    let busy = loads.iter().find(|load| load["requests"] == 1).unwrap();
    let idle = json!({"requests": 0, "context_tokens": 0, "uncached_tokens": 0});
    assert!(
        busy["context_tokens"].as_u64().unwrap() > 1_024 && busy["uncached_tokens"].as_u64().unwrap() > 0
    );
    assert!(loads.contains(&&idle), "{loads:?}");
    drop(ticket);
    let plain = Host::new(&common::simple());
    let status = serde_json::to_value(plain.snapshot.status(&plain.cells, AT.unix_ms)).unwrap();
    assert_eq!(status["targets"][0]["replicas"][0].get("load"), None);
}
