//! What a decision reads of the shared state. Everything else comes from the snapshot and the request, so a
//! decision with given facts can be explained and replayed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use edgeroute_cache::guard::Veto;
use edgeroute_cache::{Asked, Index, Known, Similar};
use edgeroute_limits::{Breaker, Limits, Used};
use edgeroute_placement::{Latency, PeakEwma, PrefillRate, SLOTS, TokensPerByte};
use edgeroute_rules::Timestamp;
use edgeroute_shared::{Cells, Exact};
use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer};

use crate::engine::EngineSignal;
use crate::place::{AffinityPool, Endpoint, Learned, Load};

/// Source of the numbers that change from request to request.
pub trait Facts {
    /// How full the fullest of the limits that apply is, before this request.
    fn used(&self, scopes: &[Limits]) -> Used;
    /// Whether a replica is to be passed over.
    fn is_open(&self, breaker: &Breaker) -> bool;
    /// Wall clock, Unix milliseconds.
    fn unix_ms(&self) -> u64;
    /// Whose turn it is among the replicas and credentials of a provider, or the candidates of a pool.
    fn turn(&self, turns: Exact) -> u64;
    /// What an endpoint is busy with.
    fn load(&self, endpoint: &Endpoint) -> Load;
    /// What the engine behind it has said lately.
    fn signal(&self, endpoint: &Endpoint) -> Option<EngineSignal>;
    /// How fast it has been.
    fn latency(&self, endpoint: &Endpoint) -> Latency;
    /// What a pool has learned of its models.
    fn learned(&self, pool: &AffinityPool) -> Learned;
    /// How many blocks of a prompt each of its candidates has seen, by number of their slots.
    fn depths(&self, pool: &AffinityPool, chain: &[u64], depths: &mut [u16; SLOTS]);
    /// The hash of a request as it was sent, by which its key is remembered; `parts` are what else changes its key.
    fn raw_key(&self, parts: &[&[u8]], body: &[u8]) -> Option<u128>;
    /// The key and the check of the request with this hash, if they have been computed before.
    fn remembered(&self, raw: u128) -> Option<(u128, u128)>;
    /// The entry of this key and check, unless it has expired.
    fn exact(&self, key: u128, check: u128) -> Option<Known>;
    /// The entry whose question is nearest to this one.
    fn similar(&self, asked: &Asked<'_>) -> Similar;
    /// Whether a request with this key is under way in this worker, and can be joined.
    fn in_flight(&self, key: u128) -> bool;
}

/// Requests under way whose exchange others may share.
pub trait Flights: std::fmt::Debug {
    /// Whether there is one with this key that can be joined.
    fn can_join(&self, key: u128) -> bool;
}

/// Facts read from the cells of this host, now.
#[derive(Clone, Copy, Debug)]
pub struct LiveFacts<'a> {
    /// The memory file.
    pub cells: &'a Cells,
    /// Wall clock, Unix milliseconds.
    pub unix_ms: u64,
    /// What this worker knows of the cache, if there is one.
    pub cache: Option<&'a Index>,
    /// Its requests under way.
    pub flights: Option<&'a dyn Flights>,
}

impl<'a> LiveFacts<'a> {
    /// Facts of a host without a cache.
    pub fn new(cells: &'a Cells, unix_ms: u64) -> Self {
        Self { cells, unix_ms, cache: None, flights: None }
    }
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

    fn load(&self, endpoint: &Endpoint) -> Load {
        endpoint.load(self.cells)
    }

    fn signal(&self, endpoint: &Endpoint) -> Option<EngineSignal> {
        endpoint.signal(self.cells, self.unix_ms)
    }

    fn latency(&self, endpoint: &Endpoint) -> Latency {
        endpoint.latency(self.cells)
    }

    fn learned(&self, pool: &AffinityPool) -> Learned {
        pool.learned(self.cells)
    }

    fn depths(&self, pool: &AffinityPool, chain: &[u64], depths: &mut [u16; SLOTS]) {
        pool.depths(chain, (self.unix_ms / 1_000) as u32, depths);
    }

    fn raw_key(&self, parts: &[&[u8]], body: &[u8]) -> Option<u128> {
        Some(self.cache?.raw_key(parts, body))
    }

    fn remembered(&self, raw: u128) -> Option<(u128, u128)> {
        self.cache?.remembered(raw)
    }

    fn exact(&self, key: u128, check: u128) -> Option<Known> {
        self.cache?.get(key, self.unix_ms).filter(|known| known.check == check)
    }

    fn similar(&self, asked: &Asked<'_>) -> Similar {
        self.cache.map_or(Similar::Nothing, |cache| cache.similar(asked, self.unix_ms))
    }

    fn in_flight(&self, key: u128) -> bool {
        self.flights.is_some_and(|flights| flights.can_join(key))
    }
}

/// How fast a replica has been, for prompts of any size.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GivenLatency {
    /// Milliseconds to the first token.
    pub first_token_ms: f32,
    /// Milliseconds per further token.
    pub per_token_ms: f32,
}

/// An entry of the cache whose question is similar.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenSimilar {
    /// Cosine of the two questions.
    pub similarity: f32,
    /// How old it is, in milliseconds.
    #[serde(default)]
    pub age_ms: u64,
    /// Whether there is evidence that its answer is right.
    #[serde(default)]
    pub proven: bool,
    /// The veto that tells the questions apart, by its name.
    #[serde(default, deserialize_with = "veto")]
    pub veto: Option<Veto>,
}

/// Facts written down beforehand: for `explain`, tests and replay. The default is an idle host.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GivenFacts {
    /// Percent of the fullest token limit.
    pub tokens_used: f64,
    /// Percent of the fullest request limit.
    pub requests_used: f64,
    /// Turn of every provider's replicas and credentials, and of every pool's candidates.
    pub turn: u64,
    /// What replicas are busy with, by their URLs; idle without.
    pub loads: BTreeMap<String, Load>,
    /// What their engines say.
    pub engines: BTreeMap<String, EngineSignal>,
    /// How fast they have been; not measured without.
    pub latencies: BTreeMap<String, GivenLatency>,
    /// How many blocks of the prompt they have seen.
    pub seen: BTreeMap<String, u16>,
    /// Tokens per byte of prompt, as learned.
    pub tokens_per_byte: Option<f32>,
    /// Prompt tokens that a replica reads per second, as learned.
    pub prefill_rate: Option<f32>,
    /// The entry of the same request, by its age in milliseconds.
    pub cached_age_ms: Option<u64>,
    /// The entry of the most similar request. Without one, no embedder has made the vector of the question.
    pub similar: Option<GivenSimilar>,
    /// Whether an identical request is under way.
    pub in_flight: bool,
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

    fn load(&self, endpoint: &Endpoint) -> Load {
        self.loads.get(&*endpoint.name).copied().unwrap_or_default()
    }

    fn signal(&self, endpoint: &Endpoint) -> Option<EngineSignal> {
        self.engines.get(&*endpoint.name).copied()
    }

    fn latency(&self, endpoint: &Endpoint) -> Latency {
        let Some(given) = self.latencies.get(&*endpoint.name) else { return Latency::default() };
        let all = |ms| [PeakEwma::default().with(ms, 0); Latency::SIZES];
        Latency { first_token: all(given.first_token_ms), per_token: all(given.per_token_ms) }
    }

    fn learned(&self, _: &AffinityPool) -> Learned {
        let bits = |given: Option<f32>| given.unwrap_or_default().to_bits();
        Learned {
            tokens_per_byte: TokensPerByte::from_bits(bits(self.tokens_per_byte)),
            prefill_rate: PrefillRate::from_bits(bits(self.prefill_rate)),
        }
    }

    fn depths(&self, pool: &AffinityPool, chain: &[u64], depths: &mut [u16; SLOTS]) {
        let most = u16::try_from(chain.len()).unwrap_or(u16::MAX);
        pool.given_depths(|replica| self.seen.get(replica).copied().unwrap_or(0).min(most), depths);
    }

    fn raw_key(&self, _: &[&[u8]], _: &[u8]) -> Option<u128> {
        None
    }

    fn remembered(&self, _: u128) -> Option<(u128, u128)> {
        None
    }

    fn exact(&self, _: u128, check: u128) -> Option<Known> {
        self.cached_age_ms.map(|age_ms| known(check, age_ms))
    }

    fn similar(&self, asked: &Asked<'_>) -> Similar {
        match self.similar {
            Some(GivenSimilar { similarity, veto: Some(veto), .. }) if similarity >= asked.threshold => {
                Similar::Refused { similarity, veto }
            }
            Some(GivenSimilar { similarity, age_ms, proven, .. }) if similarity >= asked.threshold => {
                Similar::Found { key: 0, similarity, known: known(0, age_ms), is_proven: proven }
            }
            None if asked.has_embedder => Similar::NoVector,
            _ => Similar::Nothing,
        }
    }

    fn in_flight(&self, _: u128) -> bool {
        self.in_flight
    }
}

fn known(check: u128, age_ms: u64) -> Known {
    Known { check, age_ms, body: None }
}

fn veto<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Veto>, D::Error> {
    let Some(name) = Option::<Cow<'de, str>>::deserialize(deserializer)? else { return Ok(None) };
    let names = || Veto::ALL.map(Veto::name).join(", ");
    let found = Veto::ALL.into_iter().find(|veto| veto.name() == name);
    found.map(Some).ok_or_else(|| D::Error::custom(format!("a veto is one of {}", names())))
}

fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    let message = "a time is written as in 2026-11-21T23:30:00Z";
    Timestamp::parse(&text).map(Some).ok_or_else(|| D::Error::custom(message))
}
