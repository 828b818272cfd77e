//! A configuration like the one a platform team writes, and requests to it.

use std::sync::Arc;

use edgeroute_router::{Now, Request, Snapshot};
use edgeroute_shared::{Cells, Layout, Owner, Row};
use serde_json::{Value, json};

pub const KEY: &str = "sk-test";
pub struct Host {
    pub cells: Cells,
    pub row: Arc<Row>,
    pub snapshot: Arc<Snapshot>,
}

impl Host {
    pub fn new(config: &Value) -> Self {
        let cells = Cells::anonymous(Layout::default()).unwrap();
        let row = Arc::new(cells.claim_row(Owner::current().unwrap()).unwrap());
        let snapshot = Arc::new(Snapshot::compile(config.to_string().as_bytes(), &cells, 1).unwrap());
        Self { cells, row, snapshot }
    }
}

pub fn hash(key: &str) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn provider(name: &str, dialect: &str, urls: &[&str]) -> Value {
    json!({"name": name, "dialect": dialect, "urls": urls, "api_key": "sk-upstream"})
}

pub fn pool(name: &str, targets: &[(&str, &str, u32)], weighted: bool, fallbacks: &[&str]) -> Value {
    let targets: Vec<Value> = targets
        .iter()
        .map(|(provider, model, weight)| json!({"provider": provider, "model": model, "weight": weight}))
        .collect();
    json!({"name": name, "alias": null, "targets": targets, "weighted": weighted, "fallbacks": fallbacks})
}

pub fn alias(name: &str, of: &str) -> Value {
    json!({"name": name, "alias": of, "targets": [], "weighted": false, "fallbacks": []})
}

pub fn rule(name: &str, when: &str, model: &str) -> Value {
    json!({"name": name, "when": when, "model": model, "reject": null})
}

pub fn limits(requests: Option<u64>, tokens: Option<u64>, concurrency: Option<u64>) -> Value {
    json!({"requests_per_minute": requests, "tokens_per_minute": tokens, "concurrency": concurrency})
}

/// Providers, models, rules and limits of the key's team, with one key.
pub fn config(providers: Vec<Value>, models: Vec<Value>, rules: Vec<Value>, limits_of_team: Value) -> Value {
    json!({
        "providers": providers,
        "models": models,
        "rules": rules,
        "teams": [{"name": "search", "models": null, "aliases": {}, "limits": limits_of_team}],
        "virtual_keys": [{"name": "test", "team": "search", "hash": hash(KEY), "limits": limits(None, None, None)}],
        "defaults": {"attempts": 3, "reserve_output": 1024, "connect_ms": 2000, "first_byte_ms": 120_000,
                     "gap_ms": 60_000, "total_ms": 900_000},
        "max_body": 1 << 20,
        "max_stream": 8 << 20,
    })
}

pub const AT: Now = Now { unix_ms: 1_795_000_000_000, monotonic_us: 1_000_000 };

/// `AT` and some milliseconds.
pub fn after(ms: u64) -> Now {
    Now { unix_ms: AT.unix_ms + ms, monotonic_us: AT.monotonic_us + ms * 1_000 }
}

pub fn chat<'a>(headers: &'a [(&'a [u8], &'a [u8])], body: &'a [u8]) -> Request<'a> {
    Request { method: "POST", path: "/v1/chat/completions", query: "", headers, body }
}
