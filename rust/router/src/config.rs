//! The normalised configuration: what the supervisor publishes as a generation, already validated by
//! `edgeroute.config`, where people get their diagnostics. Names are resolved again in [`crate::Snapshot`].

use std::collections::BTreeMap;

use edgeroute_limits::Quotas;
use serde::Deserialize;

/// One published configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Accounts at somebody who serves models.
    pub providers: Vec<Provider>,
    /// Public names and what serves them.
    pub models: Vec<Model>,
    /// Rules in order; the first match wins.
    pub rules: Vec<Rule>,
    /// Teams with their models, aliases and limits.
    pub teams: Vec<Team>,
    /// Keys that clients present.
    pub virtual_keys: Vec<VirtualKey>,
    /// Attempts, deadlines and reservations of every request.
    pub defaults: Defaults,
    /// Largest request body in bytes.
    pub max_body: usize,
    /// Largest streamed response in bytes on a face without back-pressure.
    pub max_stream: u64,
}

/// A provider; one base URL per replica, ending where the dialect's paths begin (`https://host/v1`).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Name used in targets.
    pub name: String,
    /// Wire protocol, by its name in the documentation.
    pub dialect: String,
    /// Base URLs, one per replica.
    pub urls: Vec<String>,
    /// Credential, sent the way the dialect wants it.
    pub api_key: Option<String>,
}

/// A public model name: an alias, or a pool of targets. A name may end in `*`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Public name.
    pub name: String,
    /// The model that answers instead, for an alias.
    pub alias: Option<String>,
    /// Targets in order; with `weighted` they are drawn by weight.
    pub targets: Vec<Target>,
    /// Whether weights, not the order, choose the target.
    pub weighted: bool,
    /// Models whose targets are tried after this one's.
    pub fallbacks: Vec<String>,
}

/// One way to serve a model.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Name of the provider.
    pub provider: String,
    /// Model name at the provider; `*` stands for what the public name's `*` matched.
    pub model: String,
    /// Share of requests, for weighted pools.
    pub weight: u32,
}

/// A condition with an action: exactly one of `model` and `reject`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Slug; becomes a label and a header value.
    pub name: String,
    /// CEL expression of type bool.
    pub when: String,
    /// Model to use.
    pub model: Option<String>,
    /// Refusal to answer with.
    pub reject: Option<Reject>,
}

/// What a rejecting rule answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reject {
    /// HTTP status, 400–499.
    pub status: u16,
    /// Sentence for the client.
    pub message: String,
}

/// A team.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Team {
    /// Name.
    pub name: String,
    /// Models that its keys may ask for; all if absent.
    pub models: Option<Vec<String>>,
    /// Names of its own for models.
    pub aliases: BTreeMap<String, String>,
    /// Limits shared by its keys.
    #[serde(with = "QuotasDef")]
    pub limits: Quotas,
}

/// A virtual key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VirtualKey {
    /// Name, for logs and rules.
    pub name: String,
    /// Team it belongs to.
    pub team: Option<String>,
    /// SHA-256 of the key in lower-case hex.
    pub hash: String,
    /// Limits of this key alone.
    #[serde(with = "QuotasDef")]
    pub limits: Quotas,
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
}
