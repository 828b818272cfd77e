//! The normalised configuration: what the supervisor publishes as a generation, already validated by
//! `edgeroute.config`, where people get their diagnostics. Names are resolved again in `compile`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use edgeroute_limits::Quotas;
use serde::Deserialize;

use crate::snapshot::Secret;

/// One published configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Accounts at somebody who serves models.
    pub(crate) providers: Vec<Provider>,
    /// Public names and what serves them.
    pub(crate) models: Vec<Model>,
    /// Expressions that rules may use, by name; each may use those before it.
    pub(crate) definitions: Vec<(String, String)>,
    /// Rules as they are written.
    pub(crate) rules: Vec<Rule>,
    /// Teams with their models, aliases and limits.
    pub(crate) teams: Vec<Team>,
    /// Keys that clients present.
    pub(crate) virtual_keys: Vec<VirtualKey>,
    /// Attempts, deadlines and reservations of every request.
    pub(crate) defaults: Defaults,
    /// Networks of the proxies whose `x-forwarded-for` is believed, as `address/prefix`.
    pub(crate) trusted_proxies: Vec<String>,
    /// Largest request body in bytes.
    pub(crate) max_body: usize,
    /// Largest whole response in bytes.
    pub(crate) max_reply: usize,
    /// Largest streamed response in bytes on a face without back-pressure.
    pub(crate) max_stream: u64,
    /// Most open requests of a worker.
    pub(crate) max_in_flight: usize,
    /// Where answers are kept; none if no model and no rule asks for it.
    pub(crate) cache: Option<Cache>,
}

/// Where the answers of all workers are kept.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Directory of the store.
    pub path: String,
    /// Most bytes of it on the disk.
    pub bytes: u64,
    /// Most bytes of answers that a worker keeps in its memory.
    pub memory: usize,
    /// Most entries.
    pub entries: usize,
    /// URL of a Redis or Valkey that several hosts share.
    pub redis: Option<Secret>,
}

/// Whether and how answers of a model are kept and given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelCache {
    /// For which requests.
    pub(crate) mode: CacheMode,
    /// For how long, in milliseconds.
    pub(crate) ttl_ms: u64,
    /// Who shares answers.
    pub(crate) scope: CacheScope,
    /// Whether answers to similar requests are given, or only compared at first.
    pub(crate) serve: CacheServe,
    /// How sure it must be that two questions mean the same, in thousandths.
    pub(crate) threshold_permille: u32,
    /// Whether identical requests in flight share one exchange.
    pub(crate) share: bool,
    /// How streams are given again.
    pub(crate) replay: CacheReplay,
    /// Requests of a higher temperature are not answered from the cache, in thousandths.
    pub(crate) max_temperature_permille: u32,
    /// Turns of the user that a request may have to be answered by similarity.
    pub(crate) turns: u32,
    /// Whether answers from the cache count against token limits.
    pub(crate) count_tokens: bool,
}

/// What a rule that switches a cache on gets, where the model says nothing.
impl Default for ModelCache {
    fn default() -> Self {
        Self {
            mode: CacheMode::Exact,
            ttl_ms: 3_600_000,
            scope: CacheScope::VirtualKey,
            serve: CacheServe::Observe,
            threshold_permille: 950,
            share: false,
            replay: CacheReplay::AtOnce,
            max_temperature_permille: 300,
            turns: 1,
            count_tokens: false,
        }
    }
}

/// Which requests are answered from the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CacheMode {
    /// Those that were asked before.
    Exact,
    /// Also those that mean what was asked before.
    Semantic,
}

/// Who shares answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CacheScope {
    VirtualKey,
    Team,
    Everybody,
}

/// When answers to similar requests are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CacheServe {
    /// Where comparisons have shown that they are right.
    Observe,
    /// Always.
    Always,
}

/// How streams are given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CacheReplay {
    AtOnce,
    /// With the pauses that they had.
    Paced,
}

/// What a rule changes of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleCache {
    /// Another mode.
    pub(crate) mode: Option<RuleCacheMode>,
    /// Another time, in milliseconds.
    pub(crate) ttl_ms: Option<u64>,
}

/// A mode that a rule chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RuleCacheMode {
    Off,
    Exact,
    Semantic,
}

/// A provider.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Provider {
    /// Name used in targets.
    pub(crate) name: String,
    /// Wire protocol, by its name in the documentation.
    pub(crate) dialect: String,
    /// Where it is reached.
    pub(crate) replicas: Vec<Replica>,
    /// Credentials that take turns, each sent the way the dialect wants it.
    pub(crate) credentials: Vec<Secret>,
    /// Header fields of every request to it; names in lower case.
    pub(crate) headers: Vec<(String, Secret)>,
    /// PEM text of authorities trusted besides the system's.
    pub(crate) ca: Option<Box<str>>,
    /// Connections of each worker to each replica.
    pub(crate) max_connections: usize,
    /// What serves the models, where it is known.
    pub(crate) engine: Option<Engine>,
    /// How its prompt cache behaves, where it is known.
    pub(crate) prompt_cache: Option<PromptCache>,
}

/// An inference engine whose metrics and extra fields are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Engine {
    Vllm,
    Sglang,
}

/// A provider's cache of prompt prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PromptCache {
    /// Seconds after which a prefix that nobody sent is forgotten; none if it stays until the room is needed.
    pub(crate) lifetime_s: Option<u32>,
    /// Shorter prefixes are not kept.
    pub(crate) least_tokens: u64,
}

/// One base URL of a provider.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replica {
    /// Base URL, ending where the dialect's paths begin (`https://host/v1`).
    pub(crate) url: String,
    /// URL of the CONNECT proxy on the way, which may hold a password.
    pub(crate) proxy: Option<Secret>,
    /// Its share of requests; zero while it is drained.
    pub(crate) weight: u32,
    /// Where to connect, if that was discovered; the URL's host remains whom it must be.
    pub(crate) address: Option<IpAddr>,
}

/// A public model name: an alias, or a pool of targets. A name may end in `*`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    /// Public name.
    pub(crate) name: String,
    /// The model that answers instead, for an alias.
    pub(crate) alias: Option<String>,
    /// Targets as listed.
    pub(crate) targets: Vec<Target>,
    /// How they are ordered.
    pub(crate) strategy: Strategy,
    /// Models whose targets are tried after this one's.
    pub(crate) fallbacks: Vec<String>,
    /// Whether and how its answers are kept.
    pub(crate) cache: Option<ModelCache>,
    /// Who makes the vectors of its questions, if not edgeroute itself.
    pub(crate) embedder: Option<Embedder>,
    /// Who says whether two of its answers say the same, where that cannot be compared.
    pub(crate) judge: Option<Named>,
}

/// A target that makes vectors.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Embedder {
    /// Which one.
    pub(crate) target: Named,
    /// How long a request may wait for its vector, in milliseconds.
    pub(crate) wait_ms: u64,
}

/// How a pool orders its targets.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Strategy {
    /// Which one; it says which of the rest matter.
    pub(crate) name: StrategyName,
    /// What is hashed, by `session` and `bounded-hash`: the first of these that a request has.
    pub(crate) key: Vec<String>,
    /// How far above its share a target may be loaded, by `bounded-hash`.
    pub(crate) load_factor_percent: u32,
    /// Whose caches are kept apart, by `affinity`.
    pub(crate) cache_salt: Option<Tenant>,
    /// Shared memory of the index, by `affinity`.
    pub(crate) index_bytes: usize,
    /// What a second less of waiting may cost, in the currency of the prices, by `affinity`.
    pub(crate) second_price: f64,
}

/// The strategies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StrategyName {
    Ordered,
    Weighted,
    RoundRobin,
    LeastLoad,
    PowerOfTwo,
    Latency,
    Cost,
    Session,
    BoundedHash,
    Affinity,
}

/// Who shares what others must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tenant {
    Team,
    VirtualKey,
}

/// What a target charges per million tokens, in one currency.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Price {
    /// Prompt tokens.
    pub(crate) input: f64,
    /// Prompt tokens read from the provider's cache.
    pub(crate) cached_input: f64,
    /// Generated tokens.
    pub(crate) output: f64,
}

/// One way to serve a model.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Target {
    /// Name of the provider.
    pub(crate) provider: String,
    /// Model name at the provider; `*` stands for what the public name's `*` matched.
    pub(crate) model: String,
    /// Share of requests, beside those of the other targets.
    pub(crate) weight: u32,
    /// What it charges, if that is known.
    pub(crate) price: Option<Price>,
    /// Deadline for a connection; the default one if absent, as for the next two.
    pub(crate) connect_ms: Option<u64>,
    /// Deadline for the first byte of a response.
    pub(crate) first_byte_ms: Option<u64>,
    /// Longest silence inside a response.
    pub(crate) gap_ms: Option<u64>,
}

/// A condition with actions: `reject` alone, or any of the others.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// Slug; becomes a label and a header value.
    pub(crate) name: String,
    /// The virtual key that it is for.
    pub(crate) virtual_key: Option<String>,
    /// The team that it is for; at most one of the two is given.
    pub(crate) team: Option<String>,
    /// Within a scope, lower ones are tried first.
    pub(crate) priority: i64,
    /// CEL expression of type bool.
    pub(crate) when: String,
    /// What follows if it cannot be evaluated.
    pub(crate) on_error: OnError,
    /// Models of which one is drawn by weight; none if the model stays.
    pub(crate) models: Vec<Share>,
    /// By whom it is drawn; by the request's seed if absent.
    pub(crate) sticky: Option<Sticky>,
    /// The one target to use.
    pub(crate) pin: Option<Named>,
    /// Top-level fields of the body as JSON text, without one to remove them.
    pub(crate) body: Vec<(String, Option<String>)>,
    /// Header fields towards the provider, names in lower case; without a value to remove them.
    pub(crate) headers: Vec<(String, Option<String>)>,
    /// A word for later rules and the log.
    pub(crate) tag: Option<String>,
    /// Models to try when those of the model failed.
    pub(crate) fallbacks: Option<Fallbacks>,
    /// Refusal to answer with.
    pub(crate) reject: Option<Reject>,
    /// Whether rules match again afterwards.
    #[serde(rename = "continue")]
    pub(crate) continues: bool,
    /// What it changes of the cache.
    pub(crate) cache: Option<RuleCache>,
}

/// What follows from a condition that cannot be evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnError {
    /// The rule does not match.
    NoMatch,
    /// The rule matches.
    Match,
    /// The request is refused.
    Reject,
}

/// Whose requests get the same model of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sticky {
    /// Those of one user, as the client names it, or else of one virtual key.
    User,
    /// Those of one virtual key.
    VirtualKey,
}

/// A model and its share of requests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Share {
    /// Name of the model.
    pub(crate) model: String,
    /// Its share, beside those of the others.
    pub(crate) weight: u32,
}

/// A target, which need not be one of a model's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    /// Name of the provider.
    pub(crate) provider: String,
    /// Model name at the provider.
    pub(crate) model: String,
}

/// Models that a rule lets follow.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fallbacks {
    /// Their names.
    pub(crate) models: Vec<String>,
    /// Whether they come after the model's own, not in place of them.
    pub(crate) add: bool,
}

/// What a rejecting rule answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reject {
    /// HTTP status, 400–499.
    pub(crate) status: u16,
    /// Sentence for the client.
    pub(crate) message: String,
}

/// A team.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Team {
    /// Name.
    pub(crate) name: String,
    /// Models that its keys may ask for; all if absent.
    pub(crate) models: Option<Vec<String>>,
    /// Names of its own for models.
    pub(crate) aliases: BTreeMap<String, String>,
    /// Limits shared by its keys.
    #[serde(with = "QuotasDef")]
    pub(crate) limits: Quotas,
}

/// A virtual key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VirtualKey {
    /// Name, for logs and rules.
    pub(crate) name: String,
    /// Team it belongs to.
    pub(crate) team: Option<String>,
    /// SHA-256 of the key in lower-case hex.
    pub(crate) hash: String,
    /// Limits of this key alone.
    #[serde(with = "QuotasDef")]
    pub(crate) limits: Quotas,
}

/// How [`Quotas`] are written.
#[derive(Deserialize)]
#[serde(remote = "Quotas", deny_unknown_fields)]
struct QuotasDef {
    requests_per_minute: Option<u64>,
    tokens_per_minute: Option<u64>,
    concurrency: Option<u64>,
}

/// What applies to every request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// Most attempts for one request.
    pub attempts: u32,
    /// Output tokens to reserve when the client names no maximum.
    pub reserve_output: u64,
    /// Deadline for a connection, in milliseconds.
    pub connect_ms: u64,
    /// Deadline for the first byte of a response, in milliseconds.
    pub first_byte_ms: u64,
    /// Longest silence inside a response, in milliseconds.
    pub gap_ms: u64,
    /// Deadline for the whole request, in milliseconds.
    pub total_ms: u64,
    /// Deadline for the body of a request to arrive, in milliseconds.
    pub body_ms: u64,
}
