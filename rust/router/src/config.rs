//! The normalised configuration: what the supervisor publishes as a generation, already validated by
//! `edgeroute.config`, where people get their diagnostics. Names are resolved again in `compile`.

use std::collections::BTreeMap;

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
}

/// One base URL of a provider.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replica {
    /// Base URL, ending where the dialect's paths begin (`https://host/v1`).
    pub(crate) url: String,
    /// URL of the CONNECT proxy on the way, which may hold a password.
    pub(crate) proxy: Option<Secret>,
}

/// A public model name: an alias, or a pool of targets. A name may end in `*`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    /// Public name.
    pub(crate) name: String,
    /// The model that answers instead, for an alias.
    pub(crate) alias: Option<String>,
    /// Targets in order; with `weighted` they are drawn by weight.
    pub(crate) targets: Vec<Target>,
    /// Whether weights, not the order, choose the target.
    pub(crate) weighted: bool,
    /// Models whose targets are tried after this one's.
    pub(crate) fallbacks: Vec<String>,
}

/// One way to serve a model.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Target {
    /// Name of the provider.
    pub(crate) provider: String,
    /// Model name at the provider; `*` stands for what the public name's `*` matched.
    pub(crate) model: String,
    /// Share of requests, for weighted pools.
    pub(crate) weight: u32,
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
    pub(crate) pin: Option<Pin>,
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
pub(crate) struct Pin {
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
