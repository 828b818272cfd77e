//! The compiled configuration: immutable, every name resolved to an index, every shared cell found.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use edgeroute_limits::{Breaker, Limits, Quotas};
use edgeroute_placement::{Order, RoundRobin};
use edgeroute_rules::RuleSet;
use edgeroute_shared::{Exact, Gauge};
use edgeroute_wire::{Dialect, quote};
use smallvec::SmallVec;

use crate::client_address::Network;
use crate::config::{Cache, Defaults, Engine, ModelCache, PromptCache};
use crate::hash::FastMap;
use crate::inquiry::Embedder;
use crate::judge::Judge;
use crate::meter::Sums;
use crate::place::{Endpoint, EndpointId, EndpointIds, Strategy};
use crate::plan::Candidate;
use crate::rule::Rule;

/// The compiled configuration of one generation.
#[derive(Debug)]
pub struct Snapshot {
    /// Number under which the supervisor published it.
    pub generation: u64,
    /// Providers, as the configuration lists them.
    pub providers: Vec<Provider>,
    /// Attempts, deadlines and reservations.
    pub defaults: Defaults,
    /// Largest request body in bytes.
    pub max_body: usize,
    /// Largest whole response in bytes.
    pub max_reply: usize,
    /// Largest streamed response in bytes on a face without back-pressure.
    pub max_stream: u64,
    /// Most open requests of a worker.
    pub max_in_flight: usize,
    /// Targets of all models.
    pub(crate) targets: Vec<Target>,
    /// What strategies look at.
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) models: Vec<Model>,
    /// In the order in which they are tried.
    pub(crate) rules: Vec<Rule>,
    /// Conditions of the rules, under the same indexes.
    pub(crate) conditions: RuleSet,
    pub(crate) keys: Vec<Key>,
    pub(crate) key_hashes: FastMap<[u8; 32], u32>,
    pub(crate) teams: Vec<Team>,
    pub(crate) names: Names,
    /// Proxies whose `x-forwarded-for` is believed.
    pub(crate) trusted_proxies: Vec<Network>,
    /// Where answers are kept, if a model or a rule asks for that.
    pub cache: Option<Cache>,
    pub(crate) sums: Sums,
}

/// An account at somebody who serves models.
#[derive(Debug)]
pub struct Provider {
    /// Name in the configuration.
    pub name: Box<str>,
    /// Protocol it speaks.
    pub dialect: Dialect,
    /// Credentials, which take turns.
    pub credentials: Vec<Credential>,
    /// Header fields of every request to it, lower-case names; they win over all others.
    pub headers: Vec<(Box<str>, Secret)>,
    /// PEM text of authorities trusted besides the system's.
    pub ca: Option<Box<str>>,
    /// Connections of each worker to each of its base URLs; as many requests again may wait for one.
    pub max_connections: usize,
    /// Who serves its models.
    pub replicas: Vec<Replica>,
    /// Counter that gives replicas and credentials their turn.
    pub(crate) turns: Exact,
    /// Whose turn it is where the replicas' weights differ.
    pub(crate) round: Option<RoundRobin>,
    pub(crate) engine: Option<Engine>,
    pub(crate) prompt_cache: Option<PromptCache>,
}

/// One of those who serve a provider's models.
#[derive(Debug)]
pub struct Replica {
    /// Its base URL; `URL@address` where the address was discovered. Health and load belong to this name.
    pub name: Box<str>,
    /// Base URL, ending where the dialect's paths begin.
    pub url: Box<str>,
    /// Where to connect, if that was discovered; the URL's host remains whom it must be.
    pub address: Option<IpAddr>,
    /// URL of the CONNECT proxy on the way to it.
    pub proxy: Option<Secret>,
    /// Its share of the provider's requests; none while it is drained.
    pub(crate) weight: u32,
    /// Health on this host.
    pub(crate) breaker: Breaker,
}

/// A value that prints redacted.
#[derive(Clone, serde::Deserialize)]
#[serde(transparent)]
pub struct Secret(Box<str>);

/// A credential as its provider's dialect wants it, written once for all requests.
#[derive(Clone, Debug)]
pub struct Credential {
    name: &'static str,
    value: Secret,
    /// Where the key begins in the value.
    key: usize,
}

/// One way to serve a model.
#[derive(Debug)]
pub(crate) struct Target {
    /// `provider/model` as the configuration writes it: metrics and headers.
    pub(crate) name: Box<str>,
    /// Index of its provider.
    pub(crate) provider: u16,
    /// Model name at the provider. A `*` at its end stands for the rest of the client's name.
    pub(crate) model: Box<str>,
    /// The same as JSON.
    pub(crate) quoted_model: Box<[u8]>,
    pub(crate) deadlines: Deadlines,
    /// Exchanges open on this target.
    pub(crate) in_flight: Gauge,
    pub(crate) endpoints: EndpointIds,
}

/// How long the parts of an exchange with a target may take, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadlines {
    pub(crate) connect_ms: u64,
    pub(crate) first_byte_ms: u64,
    pub(crate) gap_ms: u64,
}

/// Index of a model in its snapshot.
pub(crate) type ModelId = u16;

/// A pool behind a public name. Aliases have no targets: their names lead to another model.
#[derive(Debug)]
pub(crate) struct Model {
    /// Public name, or pattern.
    pub(crate) name: Box<str>,
    /// Indexes of its targets in the snapshot.
    pub(crate) targets: Vec<u16>,
    /// How its candidates are ordered.
    pub(crate) strategy: Strategy,
    /// Models tried afterwards, in order, their own fallbacks included.
    pub(crate) fallbacks: Vec<Resolved>,
    /// Whether and how its answers are kept.
    pub(crate) cache: Option<ModelCache>,
    /// Who makes the vectors of its questions, if it is not the embedding that is built in.
    pub(crate) embedder: Option<Arc<Embedder>>,
    /// Who compares its answers, where they cannot be compared otherwise.
    pub(crate) judge: Option<Arc<Judge>>,
    /// What its entries in the cache have in common.
    pub(crate) hash: u64,
    /// What tells its targets from those of another configuration, in keys of the cache.
    pub(crate) fingerprint: [u8; 16],
}

/// What a name in the configuration leads to, aliases followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) model: ModelId,
    /// What the `*` of the model's name stands for, where the configuration says so.
    pub(crate) rest: Option<Box<str>>,
}

/// Public names of models.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) exact: FastMap<Box<str>, Resolved>,
    /// Prefix before the `*`, longest first.
    pub(crate) wildcards: Vec<(Box<str>, Resolved)>,
}

/// A model found for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found<'a> {
    pub(crate) model: ModelId,
    /// What the `*` of the model's name stands for.
    pub(crate) rest: Option<&'a str>,
}

/// A team.
#[derive(Debug)]
pub(crate) struct Team {
    pub(crate) name: Box<str>,
    /// Names that its keys may ask for; all if absent.
    pub(crate) models: Option<Vec<Box<str>>>,
    /// Names of its own for models.
    pub(crate) aliases: FastMap<Box<str>, Box<str>>,
    pub(crate) limits: Limits,
    /// The amounts of its limits, to be told.
    pub(crate) quotas: Quotas,
    pub(crate) counts_tokens: bool,
}

/// A virtual key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: Box<str>,
    /// Its own limits, then its team's.
    pub(crate) scopes: SmallVec<[Limits; 2]>,
    /// The amounts of its own limits, to be told.
    pub(crate) quotas: Quotas,
    /// Whether any of them counts tokens.
    pub(crate) counts_tokens: bool,
    pub(crate) team: Option<u16>,
}

impl Snapshot {
    pub(crate) fn key(&self, index: u32) -> Option<&Key> {
        self.keys.get(index as usize)
    }

    /// Whose a limit is: what kind of owner, and its name.
    pub(crate) fn limit_owner(&self, key: u32, of_team: bool) -> (&'static str, &str) {
        let key = self.key(key);
        if of_team {
            ("team", key.and_then(|key| self.team_of(key)).map_or("", |team| &team.name))
        } else {
            ("virtual key", key.map_or("", |key| &key.name))
        }
    }

    pub(crate) fn team_of(&self, key: &Key) -> Option<&Team> {
        self.teams.get(usize::from(key.team?))
    }

    pub(crate) fn model(&self, id: ModelId) -> Option<&Model> {
        self.models.get(usize::from(id))
    }

    pub(crate) fn target(&self, index: u16) -> Option<&Target> {
        self.targets.get(usize::from(index))
    }

    pub(crate) fn provider_of(&self, target: &Target) -> Option<&Provider> {
        self.providers.get(usize::from(target.provider))
    }

    pub(crate) fn endpoint(&self, id: Option<EndpointId>) -> Option<&Endpoint> {
        self.endpoints.get(id? as usize)
    }

    /// The endpoint of a candidate, if anything is kept of it.
    pub(crate) fn endpoint_of(&self, candidate: Candidate) -> Option<EndpointId> {
        let target = self.target(candidate.target)?;
        if target.endpoints.is_empty() {
            return None;
        }
        let credentials = self.provider_of(target)?.credentials.len().max(1);
        let index = usize::from(candidate.replica) * credentials + usize::from(candidate.credential);
        target.endpoints.get(index).copied().flatten()
    }

    pub(crate) fn rule(&self, index: u16) -> Option<&Rule> {
        self.rules.get(usize::from(index))
    }

    /// Public names that a key may ask for, sorted: models, aliases and its team's own aliases.
    pub(crate) fn names_for(&self, key: &Key) -> Vec<&str> {
        let mut names: Vec<&str> = self.unsorted_names_for(key).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The same in any order; a team's alias may stand there twice.
    pub(crate) fn unsorted_names_for(&self, key: &Key) -> impl Iterator<Item = &str> {
        let team = self.team_of(key);
        let all = self.names.exact.keys().map(|name| (&**name, &**name));
        let of_team =
            team.into_iter().flat_map(|team| team.aliases.iter().map(|(name, of)| (&**name, &**of)));
        let allowed = all.chain(of_team).filter(move |(_, model)| team.is_none_or(|team| team.allows(model)));
        allowed.map(|(name, _)| name)
    }
}

impl Provider {
    /// Whether any of its replicas takes requests, or none has been discovered yet.
    pub(crate) fn takes_requests(&self) -> bool {
        self.replicas.is_empty() || self.replicas.iter().any(|replica| replica.weight > 0)
    }

    /// Whether this one takes none.
    pub(crate) fn is_drained(&self, replica: u16) -> bool {
        self.replicas.get(usize::from(replica)).is_none_or(|replica| replica.weight == 0)
    }
}

impl Names {
    /// Finds the model for a public name: exact names first, then the wildcard with the longest prefix.
    pub(crate) fn find<'a>(&'a self, name: &'a str) -> Option<Found<'a>> {
        if let Some(resolved) = self.exact.get(name) {
            return Some(resolved.found());
        }
        self.wildcards.iter().find_map(|(prefix, resolved)| {
            let rest = name.strip_prefix(&**prefix)?;
            Some(Found { model: resolved.model, rest: resolved.rest.as_deref().or(Some(rest)) })
        })
    }
}

impl Resolved {
    pub(crate) fn found(&self) -> Found<'_> {
        Found { model: self.model, rest: self.rest.as_deref() }
    }
}

impl Model {
    /// Indexes of its targets in the snapshot, first choice first, where the strategy looks at targets alone.
    pub(crate) fn order(&self, seed: u64) -> Order {
        let Strategy::Weighted(weights) = &self.strategy else { return Order::from_slice(&self.targets) };
        let positions = edgeroute_placement::weighted(weights, seed);
        positions.iter().filter_map(|position| self.targets.get(usize::from(*position)).copied()).collect()
    }
}

impl Target {
    /// The model's name at the provider for a client who asked for `rest`.
    pub(crate) fn upstream_model<'a>(&'a self, rest: &'a str) -> Cow<'a, str> {
        fill(&self.model, rest)
    }

    /// The same as JSON.
    pub(crate) fn quoted_model(&self, rest: &str) -> Cow<'_, [u8]> {
        if !self.model.ends_with('*') {
            return Cow::Borrowed(&self.quoted_model);
        }
        let mut quoted = Vec::new();
        quote(&self.upstream_model(rest), &mut quoted);
        Cow::Owned(quoted)
    }

    /// `provider/model` for a client who asked for `rest`.
    pub(crate) fn name_with<'a>(&'a self, rest: &'a str) -> Cow<'a, str> {
        fill(&self.name, rest)
    }
}

/// A pattern with `rest` in place of the `*` at its end.
fn fill<'a>(pattern: &'a str, rest: &'a str) -> Cow<'a, str> {
    match pattern.strip_suffix('*') {
        None => Cow::Borrowed(pattern),
        Some("") => Cow::Borrowed(rest),
        Some(prefix) => Cow::Owned(format!("{prefix}{rest}")),
    }
}

impl Team {
    /// The model that a name of the team's own stands for.
    pub(crate) fn alias(&self, name: &str) -> Option<&str> {
        self.aliases.get(name).map(AsRef::as_ref)
    }

    /// Whether the team's keys may use this model; an alias of the team's own gives no right to what it stands for.
    /// Entries may end in `*`.
    pub(crate) fn allows(&self, name: &str) -> bool {
        let matches = |entry: &str| match entry.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => entry == name,
        };
        self.models.as_ref().is_none_or(|models| models.iter().any(|entry| matches(entry)))
    }
}

impl Credential {
    pub(crate) fn new(dialect: Dialect, key: &Secret) -> Self {
        let (name, scheme) = match dialect {
            Dialect::OpenAiChat | Dialect::OpenAiResponses => ("authorization", "Bearer "),
            Dialect::AnthropicMessages => ("x-api-key", ""),
        };
        Self { name, value: Secret(format!("{scheme}{}", key.reveal()).into()), key: scheme.len() }
    }

    /// The header field.
    pub fn field(&self) -> (&'static str, &[u8]) {
        (self.name, self.value.reveal().as_bytes())
    }

    /// The key alone.
    pub(crate) fn key(&self) -> &str {
        self.value.reveal().get(self.key..).unwrap_or_default()
    }
}

impl Secret {
    /// The value itself, for the wire.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}
