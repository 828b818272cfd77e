//! A host with a cache, and requests that go to it.

use std::collections::HashSet;
use std::sync::Arc;

use edgeroute_cache::{Entry, Index};
use edgeroute_router::{
    Content, Event, Fill, Flights, LiveFacts, LogFormat, Now, Request, Step, Ticket, decide,
};
use edgeroute_wire::Usage;
use serde_json::{Map, Value, json};

use crate::common::{self, AT, Field, HEADERS, Host};

pub const USAGE: Option<Usage> = Some(Usage { input: 30, output: 12, cached_input: 0 });

/// Keys of the requests under way.
#[derive(Debug, Default)]
pub struct UnderWay(pub HashSet<u128>);

impl Flights for UnderWay {
    fn can_join(&self, key: u128) -> bool {
        self.0.contains(&key)
    }
}

/// A host with a cache.
pub struct Cached {
    pub host: Host,
    pub index: Index,
    pub under_way: UnderWay,
}

/// A cache with the settings that a model has by default, and these.
pub fn settings(of: Value) -> Value {
    let mut all = json!({
        "mode": "exact", "ttl_ms": 3_600_000, "scope": "virtual_key", "serve": "observe", "threshold_permille": 950,
        "share": false, "replay": "at-once", "max_temperature_permille": 300, "turns": 1, "count_tokens": false,
    });
    for (name, value) in of.as_object().unwrap() {
        assert!(all.get(name).is_some(), "{name}");
        all[name] = value.clone();
    }
    all
}

/// Says where answers are kept.
pub fn with_store(mut config: Value) -> Value {
    config["cache"] =
        json!({"path": "/nowhere", "bytes": 1 << 20, "memory": 1 << 20, "entries": 100, "redis": null});
    config
}

/// One provider, and a model `smart` with this cache.
pub fn config(cache: Value) -> Value {
    let mut config = with_store(common::simple());
    config["models"][0]["cache"] = settings(cache);
    config
}

/// A chat with these fields in place of its own.
pub fn chat(fields: Value) -> String {
    let mut body =
        json!({"model": "smart", "messages": [{"role": "user", "content": "How far is the moon?"}]});
    for (name, value) in fields.as_object().unwrap_or(&Map::new()) {
        body[name] = value.clone();
    }
    body.to_string()
}

/// `HEADERS` and these.
pub fn headers(more: &[(&'static str, &'static str)]) -> Vec<Field<'static>> {
    let more = more.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    HEADERS.iter().copied().chain(more).collect()
}

impl Cached {
    pub fn new(config: &Value) -> Self {
        Self {
            host: Host::new(config),
            index: Index::new(2_000, 1 << 20, [1; 16]),
            under_way: UnderWay::default(),
        }
    }

    /// The same with this cache of the model.
    pub fn with(cache: Value) -> Self {
        Self::new(&config(cache))
    }

    fn facts(&self, now: Now) -> LiveFacts<'_> {
        LiveFacts {
            cells: &self.host.cells,
            unix_ms: now.unix_ms,
            cache: Some(&self.index),
            flights: Some(&self.under_way),
        }
    }

    pub fn decide(&self, request: &Request<'_>, now: Now) -> Ticket {
        decide(&self.host.snapshot, &self.host.row, &self.facts(now), request, now, 0)
    }

    /// Tells the ticket that the entry is gone, or that there is nothing to join.
    pub fn missing(&self, ticket: &mut Ticket) {
        ticket.missing(&self.facts(AT), AT);
    }

    pub fn ask(&self, body: &str) -> Ticket {
        self.decide(&common::chat(HEADERS, body.as_bytes()), AT)
    }

    pub fn ask_with(&self, more: &[(&'static str, &'static str)], body: &str) -> Ticket {
        self.decide(&common::chat(&headers(more), body.as_bytes()), AT)
    }

    /// Lets the model answer, and keeps the answer if it may be kept.
    pub fn answer(&mut self, mut ticket: Ticket) -> Option<Fill> {
        respond(&mut ticket);
        let fill = ticket.fill();
        if let Some(fill) = &fill {
            self.keep(fill, Some(b"answer"));
        }
        fill
    }

    pub fn keep(&mut self, fill: &Fill, body: Option<&[u8]>) {
        let entry = Entry {
            key: fill.key,
            check: fill.check,
            tenant: fill.tenant,
            model: fill.model,
            stored_ms: AT.unix_ms,
            expires_ms: AT.unix_ms + fill.ttl_ms,
            body: body.map(Arc::from),
            meaning: fill.meaning.clone(),
        };
        self.index.insert(entry, AT.unix_ms);
        if let Some(raw) = fill.raw {
            self.index.remember(raw, (fill.key, fill.check));
        }
    }

    /// Asks it once and keeps the answer.
    pub fn fill(&mut self, body: &str) -> Fill {
        let ticket = self.ask(body);
        self.answer(ticket).unwrap()
    }
}

/// The current attempt gets a whole answer.
pub fn respond(ticket: &mut Ticket) {
    assert!(matches!(ticket.step(), Step::Attempt), "{:?}", ticket.step());
    ticket.attempt_started(AT);
    ticket.advance(Event::Responded { status: 200, content: Content::Json, usage: USAGE }, AT);
}

/// Gives back what a ticket holds.
pub fn leave(mut ticket: Ticket) {
    ticket.advance(Event::Ended { end: edgeroute_router::End::ClientGone, usage: None, events: 0 }, AT);
}

/// What the header says, once the ticket has given back what it holds.
pub fn header(ticket: Ticket) -> String {
    let header = ticket.cache_header().unwrap_or_else(|| format!("{:?}", ticket.step()));
    leave(ticket);
    header
}

pub fn record(ticket: &Ticket) -> Value {
    let mut log = Vec::new();
    ticket.record("id", AT, LogFormat::Json, &mut log);
    serde_json::from_slice(&log).unwrap()
}
