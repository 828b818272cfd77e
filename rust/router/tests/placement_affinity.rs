//! The strategy `affinity`: conversations stay with the cache that holds them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use common::{AT, Field, Host, after, chat, failed, hash, limits, replicas, spliced};
use edgeroute_router::{Content, End, Event, FailureKind, Now, Request, Snapshot, Step, Ticket};
use edgeroute_shared::{Cells, Layout, Owner};
use edgeroute_wire::Usage;
use serde_json::{Value, json};

/// A conversation with a system prompt of its own and so many turns of about 2 kB.
fn conversation(id: usize, turns: usize) -> Value {
    let mut messages =
        vec![json!({"role": "system", "content": format!("Prompt {id}. {}", "rule ".repeat(400))})];
    for turn in 0..turns {
        messages.push(json!({"role": "user", "content": format!("{id}.{turn} {}", "word ".repeat(400))}));
        messages.push(json!({"role": "assistant", "content": "as you say"}));
    }
    json!({"model": "pool", "stream": true, "messages": messages})
}

/// Decides a request and sends it.
fn send(host: &Host, body: &Value, seed: u64, now: Now) -> (String, Ticket) {
    let mut ticket = host.decide(&chat(common::HEADERS, body.to_string().as_bytes()), now, seed);
    let url = ticket.attempt(now).unwrap().replica.url.to_string();
    ticket.attempt_started(now);
    (url, ticket)
}

/// The same, with a reply that ends at once; where it went.
fn ask(host: &Host, body: &Value, seed: u64, now: Now) -> String {
    let (url, mut ticket) = send(host, body, seed, now);
    ticket.advance(Event::Responded { status: 200, content: Content::Events, usage: None }, now);
    ticket.first_event(now);
    ticket.advance(Event::Ended { end: End::Complete, usage: None, events: 1 }, now);
    url
}

fn affinity(count: usize) -> Value {
    let mut config = replicas(count, "affinity", json!({}));
    config["defaults"]["attempts"] = json!(16);
    config
}

#[test]
fn a_conversation_stays_where_its_prefix_is() {
    let host = Host::new(&affinity(8));
    let firsts: Vec<String> = (0..24).map(|id| ask(&host, &conversation(id, 1), id as u64, AT)).collect();
    for turns in 2..6 {
        for (id, first) in firsts.iter().enumerate() {
            assert_eq!(
                ask(&host, &conversation(id, turns), 99 + id as u64, AT),
                *first,
                "{id}, turn {turns}"
            );
        }
    }
    let distinct: std::collections::BTreeSet<_> = firsts.iter().collect();
    assert!(distinct.len() > 4, "conversations are spread: {distinct:?}");
    assert!(host.loads().is_empty());
}

#[test]
fn what_was_not_sent_is_not_remembered() {
    let host = Host::new(&affinity(2));
    let body = conversation(1, 8);
    let cold = host.decide(&chat(common::HEADERS, body.to_string().as_bytes()), AT, 0);
    let first = cold.attempt(AT).unwrap().replica.url.clone();
    drop(cold);
    // With a load that outweighs what a remembered prefix would be worth, the other is as good.
    let loads: Vec<_> = (0..3).map(|seed| send(&host, &conversation(2, 1), seed, AT)).collect();
    let busy = loads.iter().filter(|(url, _)| **url == *first).count();
    assert!(busy <= 3);
    drop(loads);
    assert_eq!(ask(&host, &body, 0, AT), *first, "rendezvous is the same for cold prompts");
}

#[test]
fn a_busy_cache_is_left() {
    let host = Host::new(&affinity(2));
    let home = ask(&host, &conversation(1, 1), 0, AT);
    let mut open = Vec::new();
    let mut went_elsewhere = false;
    // Prompts of 25,000 tokens that nobody has read yet: more than half a second of reading.
    for id in 0..4 {
        let mut body = conversation(1, 1);
        let long = json!({"role": "user", "content": format!("{id} {}", "x".repeat(100_000))});
        body["messages"].as_array_mut().unwrap().push(long);
        let (url, ticket) = send(&host, &body, 0, AT);
        went_elsewhere |= url != home;
        open.push(ticket);
    }
    assert!(went_elsewhere, "affinity yields to load");
    drop(open);
    assert!(host.loads().is_empty());
}

#[test]
fn a_failed_replica_is_taken_to_have_lost_its_cache() {
    let body = conversation(1, 6);
    let check = |what: &dyn Fn(&mut Ticket), forgotten: bool, cache: Value| {
        let mut config = affinity(2);
        config["providers"][0]["prompt_cache"] = cache;
        let host = Host::new(&config);
        let home = ask(&host, &body, 0, AT);
        let (url, mut ticket) = send(&host, &body, 0, after(2_000));
        assert_eq!(url, home);
        what(&mut ticket);
        drop(ticket);
        // Another prompt leaves the home with more to read than the other, unless it has seen this one.
        let seen = seen(&host, &body, after(3_000));
        assert_eq!(seen.get(&home).is_none_or(|blocks| *blocks == 0), forgotten, "{seen:?}");
    };
    let fails = |kind: FailureKind| move |ticket: &mut Ticket| ticket.advance(failed(kind), after(2_500));
    let answers = |status: u16| {
        move |ticket: &mut Ticket| {
            ticket.advance(Event::Responded { status, content: Content::Json, usage: None }, after(2_500));
        }
    };
    check(&fails(FailureKind::Connect), true, Value::Null);
    check(&fails(FailureKind::FirstByteTimeout), true, Value::Null);
    check(&fails(FailureKind::Cut), true, Value::Null);
    check(&fails(FailureKind::QueueFull), false, Value::Null);
    check(&answers(500), true, Value::Null);
    check(&answers(429), false, Value::Null);
    check(&answers(400), false, Value::Null);
    check(&answers(529), false, json!({"lifetime_s": 300, "least_tokens": 1024}));
}

/// How many blocks of the prompt each replica has seen, by asking a replica after the other.
fn seen(host: &Host, body: &Value, now: Now) -> std::collections::BTreeMap<String, u64> {
    let text = body.to_string();
    let mut ticket = host.decide(&chat(common::HEADERS, text.as_bytes()), now, 0);
    let mut found = std::collections::BTreeMap::new();
    while let Step::Attempt = ticket.step() {
        let url = ticket.attempt(now).unwrap().replica.url.to_string();
        let uncached = host.cells.exacts().filter(|(name, _)| name.starts_with("load/uncached/"));
        let uncached: u64 = uncached.map(|(_, value)| value).sum();
        let blocks = (text.len() as u64 / 4).saturating_sub(uncached) / 64;
        found.insert(url, blocks);
        ticket.advance(failed(FailureKind::QueueFull), now);
    }
    found
}

#[test]
fn hosted_caches_forget_after_their_lifetime_and_keep_no_short_prefixes() {
    let check = |cache: Value, turns: usize, later_ms: u64, warm: bool| {
        let mut config = affinity(2);
        config["providers"][0]["prompt_cache"] = cache.clone();
        let host = Host::new(&config);
        let body = conversation(1, turns);
        let home = ask(&host, &body, 0, AT);
        let seen = seen(&host, &body, after(later_ms));
        assert_eq!(seen[&home] > 0, warm, "{cache}, {turns} turns, {later_ms} ms later: {seen:?}");
    };
    let cache = json!({"lifetime_s": 300, "least_tokens": 2048});
    check(cache.clone(), 6, 299_000, true);
    check(cache.clone(), 6, 302_000, false);
    check(cache.clone(), 1, 1_000, false);
    check(json!({"lifetime_s": null, "least_tokens": 0}), 1, 90_000_000, true);
    check(Value::Null, 1, 90_000_000, true);
}

/// A memory file, and whatever lies beside it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("edgeroute-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A worker on the file, which it makes if it is the first.
    fn worker(&self, config: &Value, now: Now) -> Host {
        let file = self.0.join("cells");
        let layout = Layout { exact: 512, gauges: 128, sums: 256, rows: 8 };
        let cells = if file.exists() { Cells::open(&file) } else { Cells::create(&file, layout) }.unwrap();
        let row = Arc::new(cells.claim_row(Owner::current().unwrap()).unwrap());
        let config = config.to_string();
        let snapshot = Snapshot::compile(config.as_bytes(), &cells, 1, now.unix_ms).unwrap();
        Host { cells, row, snapshot: Arc::new(snapshot) }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn workers_of_a_host_share_the_index() {
    let directory = Directory::new("workers");
    let workers = [0; 3].map(|_| directory.worker(&affinity(4), AT));
    // In the very second in which they start.
    for id in 0..12 {
        let home = ask(&workers[id % 3], &conversation(id, 3), 0, AT);
        for worker in &workers {
            assert!(seen(worker, &conversation(id, 3), AT)[&home] > 0, "{id}");
            assert_eq!(ask(worker, &conversation(id, 4), 5, AT), home, "{id}");
        }
    }
    let files: Vec<String> = fs::read_dir(&directory.0)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("affinity-"))
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(fs::metadata(directory.0.join(&files[0])).unwrap().len(), 65_536, "no more than configured");
}

#[test]
fn an_index_survives_a_reload_and_a_new_replica_has_seen_nothing() {
    let directory = Directory::new("reload");
    let before = directory.worker(&affinity(3), AT);
    let homes: Vec<String> = (0..9).map(|id| ask(&before, &conversation(id, 3), 0, after(2_000))).collect();
    let mut grown = affinity(4);
    let replicas = grown["providers"][0]["replicas"].as_array_mut().unwrap();
    replicas.rotate_left(1);
    let after_reload = directory.worker(&grown, after(5_000));
    for (id, home) in homes.iter().enumerate() {
        assert!(seen(&after_reload, &conversation(id, 3), after(6_000))[home] > 0, "{id}");
    }
    // 64 slots are taken in turn by replicas that come and go: whoever gets one again begins anew.
    for generation in 0..40 {
        let mut churned = affinity(3);
        for number in 1..3 {
            let url = format!("http://pod-{generation}-{number}/v1");
            churned["providers"][0]["replicas"][number]["url"] = json!(url);
        }
        let now = after(10_000 + 2_000 * generation);
        let host = directory.worker(&churned, now);
        for id in 0..3 {
            let seen = seen(&host, &conversation(id, 3), now);
            assert!(
                seen.iter().all(|(url, blocks)| !url.contains("pod") || *blocks == 0),
                "{generation} {id}: {seen:?}"
            );
        }
        for id in 0..3 {
            ask(&host, &conversation(id, 3), 0, after(11_000 + 2_000 * generation));
        }
    }
}

#[test]
fn hosts_that_know_nothing_of_each_other_agree_on_cold_prompts() {
    let hosts = [Host::new(&affinity(8)), Host::new(&affinity(8))];
    for id in 0..40 {
        let [one, other] = hosts.each_ref().map(|host| {
            let text = conversation(id, 2).to_string();
            let ticket = host.decide(&chat(common::HEADERS, text.as_bytes()), AT, id as u64);
            ticket.attempt(AT).unwrap().replica.url.to_string()
        });
        assert_eq!(one, other, "{id}");
    }
}

const OTHER: &[Field<'static>] = &[(b"authorization", b"Bearer sk-other")];

/// Two keys: `test` of the team `search`, `other` of its own.
fn tenants(cache_salt: Value, engine: Value) -> Host {
    let mut config = replicas(2, "affinity", json!({"cache_salt": cache_salt}));
    config["providers"][0]["engine"] = engine;
    let other =
        json!({"name": "other", "team": null, "hash": hash("sk-other"), "limits": limits(None, None, None)});
    config["virtual_keys"].as_array_mut().unwrap().push(other);
    Host::new(&config)
}

fn sent(host: &Host, headers: &[Field<'_>], body: &Value) -> Value {
    let text = body.to_string();
    let ticket = host.decide(&chat(headers, text.as_bytes()), AT, 0);
    serde_json::from_slice(&spliced(&ticket, text.as_bytes())).unwrap()
}

#[test]
fn tenants_are_kept_apart_in_engines_caches() {
    let body = conversation(1, 1);
    let salt = |host: &Host, headers, body: &Value| sent(host, headers, body)["cache_salt"].clone();
    let host = tenants(json!("team"), json!("vllm"));
    let [search, other] = [common::HEADERS, OTHER].map(|headers| salt(&host, headers, &body));
    assert_eq!(search.as_str().unwrap().len(), 64);
    assert_ne!(search, other);
    assert_eq!(search, salt(&host, common::HEADERS, &conversation(2, 1)));

    // A client may divide its own cache further, and never name another tenant's.
    let mut own = body.clone();
    own["cache_salt"] = search.clone();
    let divided = salt(&host, OTHER, &own);
    assert!(divided != search && divided != other, "{divided}");
    assert_eq!(sent(&host, common::HEADERS, &body)["messages"], body["messages"], "the rest is as it was");

    for (salts, engine) in [(Value::Null, json!("vllm")), (json!("team"), Value::Null)] {
        let host = tenants(salts, engine);
        assert_eq!(salt(&host, common::HEADERS, &body), Value::Null);
        assert_eq!(salt(&host, common::HEADERS, &own), search);
    }
}

#[test]
fn tenants_are_kept_apart_in_the_index() {
    let other_sees = |cache_salt: Value| {
        let host = tenants(cache_salt, Value::Null);
        let body = conversation(1, 4);
        let home = ask(&host, &body, 0, AT);
        let text = body.to_string();
        let mut ticket = host.decide(&chat(OTHER, text.as_bytes()), AT, 0);
        while *ticket.attempt(AT).unwrap().replica.url != *home {
            ticket.advance(failed(FailureKind::QueueFull), AT);
        }
        let uncached = host.loads().into_iter().find(|(name, _)| name.starts_with("load/uncached/"));
        uncached.is_none_or(|(_, tokens)| tokens < 500)
    };
    assert!(other_sees(Value::Null));
    assert!(!other_sees(json!("team")));
    assert!(!other_sees(json!("virtual_key")));
}

#[test]
fn what_a_byte_of_prompt_is_in_tokens_is_learned() {
    let host = Host::new(&affinity(2));
    let body = conversation(1, 4);
    let bytes = body.to_string().len() as u64;
    let load = || {
        let (_, ticket) = send(&host, &conversation(7, 4), 0, AT);
        let context = host.loads().into_iter().find(|(name, _)| name.starts_with("load/tokens/")).unwrap().1;
        drop(ticket);
        context - 1_024
    };
    let before = load();
    for seed in 0..200 {
        let (_, mut ticket) = send(&host, &body, seed, AT);
        let usage = Some(Usage { input: bytes / 2, output: 1, cached_input: 0 });
        ticket.advance(Event::Responded { status: 200, content: Content::Json, usage }, AT);
    }
    let ratio = load() as f64 / before as f64;
    assert!((1.9..2.1).contains(&ratio), "half a token per byte in place of a quarter: {ratio}");
}

#[test]
fn prompts_of_any_size_are_placed() {
    let mut config = affinity(4);
    config["max_body"] = json!(32 << 20);
    let host = Host::new(&config);
    for content in ["".to_owned(), "x".to_owned(), "x".repeat(10 << 20)] {
        let body = json!({"model": "pool", "messages": [{"role": "user", "content": content}]});
        let home = ask(&host, &body, 0, AT);
        assert_eq!(ask(&host, &body, 1, AT), home, "{} bytes", content.len());
    }
    for body in [
        json!({"model": "pool"}),
        json!({"model": "pool", "messages": null}),
        json!({"model": "pool", "messages": 7}),
    ] {
        ask(&host, &body, 0, AT);
    }
    assert!(host.loads().is_empty());
}

#[test]
fn every_operation_has_a_prompt() {
    let host = Host::new(&affinity(4));
    let text = |word: &str| word.repeat(800);
    for (path, field) in [
        ("/v1/completions", json!({"prompt": text("lorem ")})),
        ("/v1/embeddings", json!({"input": text("ipsum ")})),
        ("/v1/responses", json!({"instructions": "be brief", "input": text("dolor ")})),
    ] {
        let mut body = json!({"model": "pool"});
        body.as_object_mut().unwrap().extend(field.as_object().unwrap().clone());
        let body = body.to_string();
        let request = || Request { path, ..chat(common::HEADERS, body.as_bytes()) };
        let mut ticket = host.decide(&request(), AT, 0);
        ticket.attempt_started(AT);
        let cold = host.loads().into_iter().find(|(name, _)| name.starts_with("load/uncached/")).unwrap().1;
        drop(ticket);
        let warm = host.decide(&request(), AT, 1);
        let left = host.loads().into_iter().find(|(name, _)| name.starts_with("load/uncached/"));
        assert!(left.is_none_or(|(_, tokens)| tokens < cold / 10), "{path}: {cold}");
        drop(warm);
    }
}
