//! A configuration like the one a platform team writes, and requests to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use edgeroute_router::{
    End, Event, Failure, FailureKind, LiveFacts, Now, Refusal, Request, Snapshot, Step, Ticket, decide,
};
use edgeroute_shared::{Cells, Layout, Owner, Row};
use edgeroute_wire::Piece;
use serde_json::{Value, json};

/// The key of [`config`], of the team `search`.
pub const KEY: &str = "sk-test";
/// The headers of a request with that key.
pub const HEADERS: &[Field<'static>] = &[(b"authorization", b"Bearer sk-test")];
pub const AT: Now = Now { unix_ms: 1_795_000_000_000, monotonic_us: 1_000_000 };

/// Small, because tests look through all of it.
const LAYOUT: Layout = Layout { exact: 512, gauges: 128, sums: 256, rows: 2 };

pub type Field<'a> = (&'a [u8], &'a [u8]);

/// A host with one worker.
pub struct Host {
    pub cells: Cells,
    pub row: Arc<Row>,
    pub snapshot: Arc<Snapshot>,
}

impl Host {
    pub fn new(config: &Value) -> Self {
        let cells = Cells::anonymous(LAYOUT).unwrap();
        let row = Arc::new(cells.claim_row(Owner::current().unwrap()).unwrap());
        let snapshot = Arc::new(Snapshot::compile(config.to_string().as_bytes(), &cells, 1, 0).unwrap());
        Self { cells, row, snapshot }
    }

    /// What is in flight: the cells of loads that are not zero.
    pub fn loads(&self) -> BTreeMap<String, u64> {
        self.cells.exacts().filter(|(name, value)| name.starts_with("load/") && *value > 0).collect()
    }

    pub fn decide(&self, request: &Request<'_>, now: Now, seed: u64) -> Ticket {
        let facts = LiveFacts::new(&self.cells, now.unix_ms);
        decide(&self.snapshot, &self.row, &facts, request, now, seed)
    }

    /// Decides a chat request for this model.
    pub fn chat(&self, model: &str) -> Ticket {
        self.decide(&chat(HEADERS, body(model).as_bytes()), AT, 0)
    }

    /// Metrics that are not zero.
    pub fn sums(&self) -> BTreeMap<String, u64> {
        self.cells.sums().filter(|(_, value)| *value > 0).collect()
    }

    /// Gauges of what is in flight and not zero.
    pub fn gauges(&self) -> BTreeMap<String, u64> {
        self.cells.gauges().filter(|(_, value)| *value > 0).collect()
    }

    /// What is used of this limit in the window that began last: the cell keeps it in its low 40 bits.
    pub fn window(&self, name: &str) -> u64 {
        let cell = self.cells.exact(name).unwrap();
        self.cells.at(cell).load(std::sync::atomic::Ordering::Relaxed) & ((1 << 40) - 1)
    }
}

pub fn hash(key: &str) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn provider(name: &str, dialect: &str, urls: &[&str]) -> Value {
    let replicas: Vec<Value> =
        urls.iter().map(|url| json!({"url": url, "proxy": null, "weight": 1, "address": null})).collect();
    json!({"name": name, "dialect": dialect, "replicas": replicas, "credentials": ["sk-upstream"], "max_connections": 100, "headers": [],
           "ca": null, "engine": null, "prompt_cache": null})
}

/// An OpenAI provider at one URL that bears its name.
pub fn openai(name: &str) -> Value {
    provider(name, "openai-chat", &[&format!("http://{name}/v1")])
}

pub fn pool(name: &str, targets: &[(&str, &str, u32)], weighted: bool, fallbacks: &[&str]) -> Value {
    let targets: Vec<Value> = targets
        .iter()
        .map(|(provider, model, weight)| {
            json!({"provider": provider, "model": model, "weight": weight, "price": null, "connect_ms": null, "first_byte_ms": null,
                   "gap_ms": null})
        })
        .collect();
    let strategy = strategy(if weighted { "weighted" } else { "ordered" });
    json!({"name": name, "alias": null, "targets": targets, "strategy": strategy, "fallbacks": fallbacks})
}

/// A model of targets in order, each `provider/model`.
pub fn model(name: &str, targets: &[&str], fallbacks: &[&str]) -> Value {
    let targets: Vec<(&str, &str, u32)> = targets
        .iter()
        .map(|target| target.split_once('/').unwrap())
        .map(|(provider, model)| (provider, model, 1))
        .collect();
    pool(name, &targets, false, fallbacks)
}

pub fn alias(name: &str, of: &str) -> Value {
    json!({"name": name, "alias": of, "targets": [], "strategy": strategy("ordered"), "fallbacks": []})
}

/// A strategy with the settings that it has by default.
pub fn strategy(name: &str) -> Value {
    json!({"name": name, "key": ["session", "user"], "load_factor_percent": 125, "cache_salt": null,
           "index_bytes": 65536, "second_price": 0.01})
}

/// A model `pool` over targets `provider/model` of given weights, with this strategy and settings of it.
pub fn placed(targets: &[(&str, &str, u32)], name: &str, settings: Value) -> Value {
    let mut pool = pool("pool", targets, false, &[]);
    pool["strategy"] = strategy(name);
    for (setting, value) in settings.as_object().unwrap() {
        assert!(pool["strategy"].get(setting).is_some(), "{setting}");
        pool["strategy"][setting] = value.clone();
    }
    pool
}

/// So many replicas of one provider, `http://gpu-0/v1` and so on, behind the model `pool` with this strategy.
pub fn replicas(count: usize, name: &str, settings: Value) -> Value {
    let urls: Vec<String> = (0..count).map(|number| format!("http://gpu-{number}/v1")).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let mut gpus = provider("gpus", "openai-chat", &urls);
    gpus["credentials"] = json!([]);
    config(vec![gpus], vec![placed(&[("gpus", "m", 1)], name, settings)], vec![], limits(None, None, None))
}

/// A rule that chooses a model.
pub fn rule(name: &str, when: &str, model: &str) -> Value {
    acting(name, when, json!({"models": [{"model": model, "weight": 1}]}))
}

pub fn reject(name: &str, when: &str, status: u16, message: &str) -> Value {
    acting(name, when, json!({"reject": {"status": status, "message": message}}))
}

/// A rule with these settings; all others are not set.
pub fn acting(name: &str, when: &str, settings: Value) -> Value {
    let mut rule = json!({
        "name": name, "virtual_key": null, "team": null, "priority": 0, "when": when, "on_error": "no_match",
        "models": [], "sticky": null, "pin": null, "body": [], "headers": [], "tag": null, "fallbacks": null,
        "reject": null, "continue": false,
    });
    for (setting, value) in settings.as_object().unwrap() {
        assert!(rule.get(setting).is_some(), "{setting}");
        rule[setting] = value.clone();
    }
    rule
}

pub fn limits(requests: Option<u64>, tokens: Option<u64>, concurrency: Option<u64>) -> Value {
    json!({"requests_per_minute": requests, "tokens_per_minute": tokens, "concurrency": concurrency})
}

/// Providers, models, rules and limits of the key's team, with one key.
pub fn config(providers: Vec<Value>, models: Vec<Value>, rules: Vec<Value>, limits_of_team: Value) -> Value {
    json!({
        "providers": providers,
        "models": models,
        "definitions": [],
        "rules": rules,
        "teams": [{"name": "search", "models": null, "aliases": {}, "limits": limits_of_team}],
        "virtual_keys": [{"name": "test", "team": "search", "hash": hash(KEY), "limits": limits(None, None, None)}],
        "defaults": {"attempts": 3, "reserve_output": 1024, "connect_ms": 2000, "first_byte_ms": 120_000,
                     "gap_ms": 60_000, "total_ms": 900_000, "body_ms": 30_000},
        "trusted_proxies": [],
        "max_body": 1 << 20,
        "max_reply": 64 << 20,
        "max_stream": 8 << 20,
        "max_in_flight": 2048,
    })
}

/// One OpenAI provider, one model, no limits.
pub fn simple() -> Value {
    config(vec![openai("one")], vec![model("smart", &["one/gpt-5"], &[])], vec![], limits(None, None, None))
}

/// `AT` and some milliseconds.
pub fn after(ms: u64) -> Now {
    Now { unix_ms: AT.unix_ms + ms, monotonic_us: AT.monotonic_us + ms * 1_000 }
}

pub fn body(model: &str) -> String {
    json!({"model": model, "messages": [{"role": "user", "content": "hello"}]}).to_string()
}

pub fn chat<'a>(headers: &'a [Field<'a>], body: &'a [u8]) -> Request<'a> {
    Request {
        method: "POST",
        path: "/v1/chat/completions",
        query: "",
        headers: headers.into(),
        peer: "203.0.113.9:4711",
        body,
    }
}

pub fn refusal(ticket: &Ticket) -> &Refusal {
    match ticket.step() {
        Step::Refuse(refusal) => refusal,
        step => panic!("not refused but {step:?}"),
    }
}

pub fn failed(kind: FailureKind) -> Event {
    Event::Failed(Failure { kind, detail: "detail for the operator".into() })
}

pub fn complete() -> Event {
    Event::Ended { end: End::Complete, usage: None, events: 0 }
}

/// Where the current attempt goes.
pub fn attempt(ticket: &Ticket) -> String {
    let replica = ticket.attempt(AT).unwrap().replica;
    let credential =
        ticket.credential().map_or_else(String::new, |position| format!(", credential {position}"));
    format!("{} at {}{credential}", ticket.target().unwrap(), replica.url)
}

/// The targets that are tried if every one of them fails, and the ticket in the end.
pub fn targets(mut ticket: Ticket) -> Vec<String> {
    let mut tried = Vec::new();
    while let Step::Attempt = ticket.step() {
        tried.push(ticket.target().unwrap().into_owned());
        ticket.advance(failed(FailureKind::Protocol), AT);
    }
    tried
}

/// The body of the current attempt.
pub fn spliced(ticket: &Ticket, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    ticket
        .splice(body.len(), |piece| match piece {
            Piece::Kept(range) => out.extend_from_slice(&body[range]),
            Piece::New(bytes) => out.extend_from_slice(bytes),
        })
        .unwrap();
    out
}
