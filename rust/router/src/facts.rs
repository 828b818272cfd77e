//! What a decision reads of the shared state. Everything else comes from the snapshot and the request, so a
//! decision with given facts can be explained and replayed.

use edgeroute_limits::{Breaker, Limits, Used};
use edgeroute_shared::{Cells, Exact};

/// Source of the numbers that change from request to request.
pub trait Facts {
    /// How full the fullest of the limits that apply is, before this request.
    fn used(&self, scopes: &[Limits]) -> Used;
    /// Whether a replica is to be passed over.
    fn is_open(&self, breaker: &Breaker) -> bool;
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
}

impl Facts for GivenFacts {
    fn used(&self, _: &[Limits]) -> Used {
        Used { requests_percent: self.requests_used, tokens_percent: self.tokens_used }
    }

    fn is_open(&self, _: &Breaker) -> bool {
        false
    }

    fn turn(&self, _: Exact) -> u64 {
        self.turn
    }
}
