//! The compiled configuration: immutable, every name resolved to an index, every shared cell found.

use std::collections::HashMap;

use edgeroute_limits::{Breaker, BreakerSettings, Limits};
use edgeroute_placement::Order;
use edgeroute_rules::RuleSet;
use edgeroute_shared::{Cells, Exact, Gauge};
use edgeroute_wire::Dialect;
use smallvec::SmallVec;
use xxhash_rust::xxh3::Xxh3Builder;

use crate::config::{Config, Defaults, Reject};
use crate::meter::{Sums, label};
use crate::variables;

type NameMap<V> = HashMap<Box<str>, V, Xxh3Builder>;

/// Why a normalised configuration cannot become a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// Not the JSON that this version publishes.
    #[error("the published configuration cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A name that nothing defines.
    #[error("{place} names the {kind} `{name}`, which does not exist")]
    Unknown {
        /// Where the name stands.
        place: String,
        /// What it should be the name of.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A rule that does not compile.
    #[error("rule `{rule}`: {message}")]
    Rule {
        /// Name of the rule.
        rule: String,
        /// The first error, rendered.
        message: String,
    },
    /// Aliases or fallbacks that lead back to themselves.
    #[error("aliases or fallbacks of the model `{0}` form a cycle")]
    Cycle(String),
    /// A value out of range.
    #[error("{0}")]
    Invalid(String),
    /// The memory file has no room.
    #[error(transparent)]
    Cells(#[from] edgeroute_shared::Error),
    /// A limit that cannot be kept.
    #[error(transparent)]
    Limits(#[from] edgeroute_limits::Error),
}

/// Three connect failures in a row take a replica out for ten seconds, on all workers of the host.
const BREAKER: BreakerSettings = BreakerSettings { failures: 3, open_ms: 10_000 };

/// Index of a model in its snapshot.
pub type ModelId = u16;

/// One base URL of a provider.
#[derive(Debug)]
pub struct Replica {
    /// Base URL, ending where the dialect's paths begin.
    pub url: Box<str>,
    /// Health on this host.
    pub breaker: Breaker,
}

/// An account at somebody who serves models.
#[derive(Debug)]
pub struct Provider {
    /// Name in the configuration.
    pub name: Box<str>,
    /// Protocol it speaks.
    pub dialect: Dialect,
    /// Credential; never printed.
    pub api_key: Option<Secret>,
    /// Its base URLs.
    pub replicas: Vec<Replica>,
    /// Counter that gives the replicas their turn.
    pub turns: Exact,
}

/// A value that prints redacted.
#[derive(Clone)]
pub struct Secret(Box<str>);

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

/// One way to serve a model.
#[derive(Debug)]
pub struct Target {
    /// `provider/model` as the configuration writes it: metrics and headers.
    pub name: Box<str>,
    /// Index of its provider.
    pub provider: u16,
    /// Model name at the provider; none where the client's own name is passed on (wildcards).
    pub model: Option<Box<str>>,
    /// Exchanges open on this target.
    pub in_flight: Gauge,
}

/// A pool behind a public name. Aliases have been resolved away.
#[derive(Debug)]
pub struct Model {
    /// Public name, or pattern.
    pub name: Box<str>,
    /// Range of its targets in the snapshot.
    pub targets: Vec<u16>,
    /// Weights of the targets, for weighted pools.
    pub weights: Option<Vec<u32>>,
    /// Models tried afterwards, in order, their own fallbacks included.
    pub fallbacks: Vec<ModelId>,
}

impl Model {
    /// Indexes into `targets`, first choice first.
    pub fn order(&self, seed: u64) -> Order {
        match &self.weights {
            Some(weights) => edgeroute_placement::weighted(weights, seed),
            None => edgeroute_placement::ordered(self.targets.len() as u16),
        }
    }
}

/// What a rule does.
#[derive(Debug)]
pub enum Action {
    /// Use this public model name.
    Model(Box<str>),
    /// Refuse.
    Reject(Reject),
}

/// A compiled rule; its condition is in the rule set under the same index.
#[derive(Debug)]
pub struct Rule {
    /// Slug.
    pub name: Box<str>,
    /// What it does.
    pub action: Action,
}

/// A team.
#[derive(Debug)]
pub struct Team {
    /// Name.
    pub name: Box<str>,
    models: Option<Vec<Box<str>>>,
    aliases: NameMap<Box<str>>,
    limits: Limits,
    counts_tokens: bool,
}

/// A virtual key.
#[derive(Debug)]
pub struct Key {
    /// Name.
    pub name: Box<str>,
    /// Its own limits, then its team's.
    pub scopes: SmallVec<[Limits; 2]>,
    /// Whether any of them counts tokens.
    pub counts_tokens: bool,
    team: Option<u16>,
}

/// The compiled configuration of one generation.
#[derive(Debug)]
pub struct Snapshot {
    /// Number under which the supervisor published it.
    pub generation: u64,
    /// Providers.
    pub providers: Vec<Provider>,
    /// Targets of all models.
    pub targets: Vec<Target>,
    /// Models.
    pub models: Vec<Model>,
    /// Rules.
    pub rules: Vec<Rule>,
    /// Conditions of the rules.
    pub conditions: RuleSet,
    /// Keys.
    pub keys: Vec<Key>,
    /// Attempts, deadlines and reservations.
    pub defaults: Defaults,
    /// Largest request body in bytes.
    pub max_body: usize,
    /// Largest streamed response in bytes on a face without back-pressure.
    pub max_stream: u64,
    pub(crate) sums: Sums,
    teams: Vec<Team>,
    names: NameMap<ModelId>,
    /// Prefix before the `*`, longest first.
    wildcards: Vec<(Box<str>, ModelId)>,
    key_hashes: HashMap<[u8; 32], u16, Xxh3Builder>,
}

/// A model found for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The model.
    pub model: ModelId,
    /// What its `*` matched, for wildcards.
    pub rest: Option<&'a str>,
}

impl Snapshot {
    /// Compiles a normalised configuration and finds its cells, creating those that are new.
    pub fn compile(normalised: &[u8], cells: &Cells, generation: u64) -> Result<Self, CompileError> {
        let config: Config = serde_json::from_slice(normalised)?;
        let providers = compile_providers(&config, cells)?;
        let (models, targets, names, wildcards) = compile_models(&config, &providers, cells)?;
        let (rules, conditions) = compile_rules(&config)?;
        let mut snapshot = Self {
            generation,
            providers,
            targets,
            models,
            rules,
            conditions,
            keys: Vec::with_capacity(config.virtual_keys.len()),
            defaults: config.defaults,
            max_body: config.max_body,
            max_stream: config.max_stream,
            sums: Sums::default(),
            teams: Vec::with_capacity(config.teams.len()),
            names,
            wildcards,
            key_hashes: HashMap::default(),
        };
        for team in config.teams {
            let limits = Limits::new(cells, &format!("team/{}", team.name), team.limits)?;
            snapshot.teams.push(Team {
                models: team.models.map(|names| names.into_iter().map(Into::into).collect()),
                aliases: team.aliases.into_iter().map(|(from, to)| (from.into(), to.into())).collect(),
                limits,
                counts_tokens: team.limits.tokens_per_minute.is_some(),
                name: team.name.into(),
            });
        }
        for (index, key) in config.virtual_keys.into_iter().enumerate() {
            let team = match key.team {
                None => None,
                Some(name) => {
                    Some(position(&snapshot.teams, |team| *team.name == *name).ok_or_else(|| {
                        CompileError::Unknown {
                            place: format!("virtual key `{}`", key.name),
                            kind: "team",
                            name,
                        }
                    })?)
                }
            };
            let hash = decode_hash(&key.hash).ok_or_else(|| {
                CompileError::Invalid(format!("virtual key `{}`: its hash is not 64 hex digits", key.name))
            })?;
            let limits = Limits::new(cells, &format!("key/{}", key.name), key.limits)?;
            let of_team = team.and_then(|team| snapshot.teams.get(usize::from(team)));
            let entry = Key {
                scopes: std::iter::once(limits).chain(of_team.map(|team| team.limits)).collect(),
                counts_tokens: key.limits.tokens_per_minute.is_some()
                    || of_team.is_some_and(|team| team.counts_tokens),
                name: key.name.into(),
                team,
            };
            snapshot.key_hashes.insert(hash, index as u16);
            snapshot.keys.push(entry);
        }
        Ok(snapshot)
    }

    /// The key whose SHA-256 is `hash`.
    pub fn key(&self, hash: &[u8; 32]) -> Option<u16> {
        self.key_hashes.get(hash).copied()
    }

    /// The team of a key.
    pub fn team_of(&self, key: &Key) -> Option<&Team> {
        key.team.and_then(|team| self.teams.get(usize::from(team)))
    }

    /// Finds the model for a public name: exact names first, then the wildcard with the longest prefix.
    pub fn find<'a>(&self, name: &'a str) -> Option<Found<'a>> {
        if let Some(&model) = self.names.get(name) {
            return Some(Found { model, rest: None });
        }
        self.wildcards
            .iter()
            .find_map(|(prefix, model)| Some((name.strip_prefix(&**prefix)?, *model)))
            .map(|(rest, model)| Found { model, rest: Some(rest) })
    }

    /// Public names that a key may ask for, sorted: models, aliases and its team's own aliases.
    pub fn names_for(&self, key: &Key) -> Vec<&str> {
        let team = self.team_of(key);
        let mut names: Vec<&str> = self
            .names
            .keys()
            .map(AsRef::as_ref)
            .filter(|name| team.is_none_or(|team| team.allows(name)))
            .chain(team.into_iter().flat_map(|team| team.aliases.keys().map(AsRef::as_ref)))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Team {
    /// The model that a name of the team's own stands for.
    pub fn alias(&self, name: &str) -> Option<&str> {
        self.aliases.get(name).map(AsRef::as_ref)
    }

    /// Whether the team's keys may ask for this name. Entries may end in `*`.
    pub fn allows(&self, name: &str) -> bool {
        let matches = |entry: &str| match entry.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => entry == name,
        };
        self.models.as_ref().is_none_or(|models| models.iter().any(|entry| matches(entry)))
            || self.aliases.contains_key(name)
    }
}

fn compile_providers(config: &Config, cells: &Cells) -> Result<Vec<Provider>, CompileError> {
    let compile = |provider: &crate::config::Provider| {
        let dialect = Dialect::from_name(&provider.dialect).ok_or_else(|| CompileError::Unknown {
            place: format!("provider `{}`", provider.name),
            kind: "dialect",
            name: provider.dialect.clone(),
        })?;
        let replicas = provider
            .urls
            .iter()
            .map(|url| {
                let breaker = Breaker::new(cells, &format!("breaker/{}/{url}", provider.name), BREAKER)?;
                Ok(Replica { url: url.as_str().into(), breaker })
            })
            .collect::<Result<_, CompileError>>()?;
        Ok(Provider {
            name: provider.name.as_str().into(),
            dialect,
            api_key: provider.api_key.as_deref().map(|key| Secret(key.into())),
            replicas,
            turns: cells.exact(&format!("turn/{}", provider.name))?,
        })
    };
    config.providers.iter().map(compile).collect()
}

type Models = (Vec<Model>, Vec<Target>, NameMap<ModelId>, Vec<(Box<str>, ModelId)>);

fn compile_models(config: &Config, providers: &[Provider], cells: &Cells) -> Result<Models, CompileError> {
    let by_name: NameMap<usize> =
        config.models.iter().enumerate().map(|(index, model)| (model.name.as_str().into(), index)).collect();
    let resolve = |name: &str, place: &str| -> Result<usize, CompileError> {
        let mut name = name;
        for _ in 0..=config.models.len() {
            let &index = by_name.get(name).ok_or_else(|| CompileError::Unknown {
                place: place.into(),
                kind: "model",
                name: name.into(),
            })?;
            match config.models.get(index).and_then(|model| model.alias.as_deref()) {
                Some(alias) => name = alias,
                None => return Ok(index),
            }
        }
        Err(CompileError::Cycle(name.into()))
    };

    let (mut models, mut targets) = (Vec::new(), Vec::new());
    let (mut names, mut wildcards) = (NameMap::<ModelId>::default(), Vec::new());
    for model in &config.models {
        let resolved = resolve(&model.name, "models")?;
        match model.name.strip_suffix('*') {
            Some(prefix) => wildcards.push((prefix.into(), resolved as ModelId)),
            None => _ = names.insert(model.name.as_str().into(), resolved as ModelId),
        }
        let place = format!("model `{}`", model.name);
        let mut own = Vec::with_capacity(model.targets.len());
        for target in &model.targets {
            let provider =
                position(providers, |provider| *provider.name == *target.provider).ok_or_else(|| {
                    CompileError::Unknown {
                        place: place.clone(),
                        kind: "provider",
                        name: target.provider.clone(),
                    }
                })?;
            let name = format!("{}/{}", target.provider, target.model);
            let in_flight = cells.gauge(&format!("edgeroute_in_flight{{target={}}}", label(&name)), None)?;
            own.push(targets.len() as u16);
            targets.push(Target {
                name: name.into(),
                provider,
                model: (target.model != "*").then(|| target.model.as_str().into()),
                in_flight,
            });
        }
        let mut fallbacks = Vec::new();
        if model.alias.is_none() {
            collect_fallbacks(config, &resolve, resolved, &place, 0, &mut fallbacks)?;
        }
        models.push(Model {
            name: model.name.as_str().into(),
            targets: own,
            weights: model.weighted.then(|| model.targets.iter().map(|target| target.weight).collect()),
            fallbacks,
        });
    }
    wildcards.sort_by(|a: &(Box<str>, ModelId), b| b.0.len().cmp(&a.0.len()).then(a.0.cmp(&b.0)));
    Ok((models, targets, names, wildcards))
}

/// Appends the fallbacks of a model depth first, each model once.
fn collect_fallbacks(
    config: &Config,
    resolve: &impl Fn(&str, &str) -> Result<usize, CompileError>,
    model: usize,
    place: &str,
    depth: usize,
    into: &mut Vec<ModelId>,
) -> Result<(), CompileError> {
    if depth > config.models.len() {
        return Err(CompileError::Cycle(place.into()));
    }
    for name in config.models.get(model).map(|model| model.fallbacks.as_slice()).unwrap_or_default() {
        let fallback = resolve(name, place)?;
        if !into.contains(&(fallback as ModelId)) {
            into.push(fallback as ModelId);
            collect_fallbacks(config, resolve, fallback, place, depth + 1, into)?;
        }
    }
    Ok(())
}

fn compile_rules(config: &Config) -> Result<(Vec<Rule>, RuleSet), CompileError> {
    let expressions: Vec<&str> = config.rules.iter().map(|rule| rule.when.as_str()).collect();
    let conditions = RuleSet::compile(&variables::environment(), &expressions).map_err(|errors| {
        let (rule, message) = errors
            .first()
            .map(|(index, diagnostic)| {
                let rule = config.rules.get(*index);
                let source = rule.map_or("", |rule| rule.when.as_str());
                (rule.map_or("", |rule| rule.name.as_str()), diagnostic.render(source))
            })
            .unwrap_or_default();
        CompileError::Rule { rule: rule.into(), message }
    })?;
    let rules = config
        .rules
        .iter()
        .map(|rule| {
            let action = match (&rule.model, &rule.reject) {
                (Some(model), None) => Action::Model(model.as_str().into()),
                (None, Some(reject)) => {
                    Action::Reject(Reject { status: reject.status, message: reject.message.clone() })
                }
                _ => {
                    let text = format!("rule `{}` needs exactly one of model and reject", rule.name);
                    return Err(CompileError::Invalid(text));
                }
            };
            Ok(Rule { name: rule.name.as_str().into(), action })
        })
        .collect::<Result<_, CompileError>>()?;
    Ok((rules, conditions))
}

fn position<T>(items: &[T], matches: impl Fn(&T) -> bool) -> Option<u16> {
    items.iter().position(matches).and_then(|index| u16::try_from(index).ok())
}

fn decode_hash(hex: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if hex.len() != 64 {
        return None;
    }
    for (byte, digits) in hash.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(hash)
}
