//! What a decision reads of the shared state. Everything else comes from the snapshot and the request, so a
//! decision with given facts can be explained and replayed.

use std::borrow::Cow;

use edgeroute_limits::{Breaker, Limits, Used};
use edgeroute_rules::Timestamp;
use edgeroute_shared::{Cells, Exact};
use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer};

/// Source of the numbers that change from request to request.
pub trait Facts {
    /// How full the fullest of the limits that apply is, before this request.
    fn used(&self, scopes: &[Limits]) -> Used;
    /// Whether a replica is to be passed over.
    fn is_open(&self, breaker: &Breaker) -> bool;
    /// Wall clock, Unix milliseconds.
    fn unix_ms(&self) -> u64;
    /// Whose turn it is among the replicas and credentials of a provider.
    fn turn(&self, turns: Exact) -> u64;
}

/// Facts read from the cells of this host, now.
#[derive(Clone, Copy, Debug)]
pub struct LiveFacts<'a> {
    /// The memory file.
    pub cells: &'a Cells,
    /// Wall clock, Unix milliseconds.
    pub unix_ms: u64,
}

impl Facts for LiveFacts<'_> {
    fn used(&self, scopes: &[Limits]) -> Used {
        Limits::used(scopes, self.cells, self.unix_ms)
    }

    fn is_open(&self, breaker: &Breaker) -> bool {
        breaker.is_open(self.cells, self.unix_ms)
    }

    fn unix_ms(&self) -> u64 {
        self.unix_ms
    }

    fn turn(&self, turns: Exact) -> u64 {
        self.cells.at(turns).fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }
}

/// Facts written down beforehand: for `explain`, tests and replay. The default is an idle host.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GivenFacts {
    /// Percent of the fullest token limit.
    pub tokens_used: f64,
    /// Percent of the fullest request limit.
    pub requests_used: f64,
    /// Turn of every provider's replicas and credentials.
    pub turn: u64,
    /// Wall clock, in JSON as of RFC 3339; 1970 if nobody says.
    #[serde(deserialize_with = "moment")]
    pub now: Option<Timestamp>,
}

impl Facts for GivenFacts {
    fn used(&self, _: &[Limits]) -> Used {
        Used { requests_percent: self.requests_used, tokens_percent: self.tokens_used }
    }

    fn is_open(&self, _: &Breaker) -> bool {
        false
    }

    fn unix_ms(&self) -> u64 {
        let seconds = self.now.map_or(0, Timestamp::unix_seconds);
        u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000)
    }

    fn turn(&self, _: Exact) -> u64 {
        self.turn
    }
}

fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    let message = "a time is written as in 2026-11-21T23:30:00Z";
    Timestamp::parse(&text).map(Some).ok_or_else(|| D::Error::custom(message))
}
